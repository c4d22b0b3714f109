"""One step of supervised training: forward, backward, clipping by the global norm, AdamW. A plain loop, no Trainer.

Eager, as it is run; AdamW is the fused one, which is Trainer's default. `compile` in the case compiles the model first.
"""

import torch
import torch.nn.functional as F

from case import CASE, answer, median, operations, tokens
from models import DEVICE, Decoder, autocast, of_transformers, sync

rows, length, patches = CASE["rows"], CASE["length"], CASE["patches"]
model = Decoder().to(DEVICE) if CASE["peer"] == "torch" else of_transformers(images=patches > 0)
model.train()
if CASE["recompute"]:
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
run = torch.compile(model) if CASE["compile"] else model
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.0, fused=True)
ids = torch.tensor(tokens(rows * length)).view(rows, length)
inputs = {}
if patches > 0:
    units = patches * patches // 4
    ids[:, 0], ids[:, 1:1 + units], ids[:, 1 + units] = 1, 3, 2
    values = torch.arange(rows * patches * patches * 1176) * 37 % 255
    inputs = dict(pixel_values=((values - 127) / 100).view(-1, 1176), image_grid_thw=torch.tensor([[1, patches, patches]] * rows),
                  mm_token_type_ids=(ids == 3).int())
    inputs = {name: value.to(DEVICE) for name, value in inputs.items()}
# The token after each; shifting these costs nothing, a slice of the logits is a copy of them.
labels = torch.cat((ids[:, 1:], torch.full((rows, 1), -100)), 1).flatten().to(DEVICE)
ids = ids.to(DEVICE)


def step():
    with autocast():
        logits = run(ids) if CASE["peer"] == "torch" else run(input_ids=ids, **inputs, use_cache=False).logits
        loss = F.cross_entropy(logits.flatten(0, 1).float(), labels)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


seconds = median(step, sync)
if CASE["peer"] == "torch":
    who = f"PyTorch {torch.__version__}"
else:
    import transformers

    who = f"transformers {transformers.__version__}"
who += ", compiled" if CASE["compile"] else ""
rate = rows * length / seconds
figures = {"step": (rate, "tokens/s")}
if DEVICE != "cpu":
    figures["model FLOPs of an H100's 989 T/s"] = (100 * rate * operations(length) / 989e12, "%")
answer(figures, who)
