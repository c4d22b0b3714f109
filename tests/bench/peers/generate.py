"""transformers' `generate` with its cache of keys and values: greedy, prompts of different lengths padded on the left."""

import torch
import transformers

from case import CASE, answer, median, tokens
from models import DEVICE, HALF, of_transformers, sync

model = of_transformers().eval()
if HALF:
    model = model.to(torch.bfloat16)
lengths, new = CASE["prompts"], CASE["new"]
width = max(lengths)
ids, mask = torch.zeros(len(lengths), width, dtype=torch.long), torch.zeros(len(lengths), width, dtype=torch.long)
for row, length in enumerate(lengths):
    ids[row, width - length:] = torch.tensor(tokens(length, first=1000 * row))
    mask[row, width - length:] = 1
ids, mask = ids.to(DEVICE), mask.to(DEVICE)


@torch.inference_mode()
def write():
    whole = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=new, do_sample=False, eos_token_id=None, pad_token_id=0)
    assert whole.shape[1] == width + new, whole.shape


seconds = median(write, sync)
answer({"new tokens": (len(lengths) * new / seconds, "tokens/s")}, f"transformers {transformers.__version__}")
