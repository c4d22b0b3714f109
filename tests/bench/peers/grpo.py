"""A step of TRL's `GRPOTrainer`: the same prompts, group, completions of one length, a KL term, one update.

The parts are timed around the trainer's own methods: what `_get_per_token_logps_and_entropies` takes while completions are
made and scored is the pass of the reference; the rest of that is the rollout; the rest of the step is the update. As users run
it but for the end token, which is held back until the last token, for equal work, and gradient checkpointing, which is off
because it only saves memory. Forward passes have `peer_micro_batch` completions each.
"""

import statistics
import tempfile
import time

import datasets
import numpy as np
import torch
import trl
from PIL import Image
from datasets import Dataset
from tokenizers import Tokenizer, models as kinds, pre_tokenizers
from transformers import PreTrainedTokenizerFast, TrainerCallback

from case import CASE, answer, tokens
from models import DEVICE, HALF, of_transformers, sync

steps = CASE["warm"] + CASE["repeats"]
group, new = CASE["group"], CASE["new"]
count = len(CASE["prompts"]) * group
micro = CASE["peer_micro_batch"]
spent = {"rollout": [], "log-probabilities": [], "step": []}
scoring, began = False, 0.0


def timed(method, into, only_scoring=False):
    def wrapped(self, *args, **kwargs):
        global scoring
        if only_scoring and not scoring:
            return method(self, *args, **kwargs)
        outer = scoring
        scoring = True
        sync()
        start = time.perf_counter()
        try:
            return method(self, *args, **kwargs)
        finally:
            sync()
            into.append(time.perf_counter() - start)
            scoring = outer

    return wrapped


class Clock(TrainerCallback):
    def on_step_begin(self, *_args, **_kwargs):
        global began
        sync()
        began = time.perf_counter()

    def on_step_end(self, *_args, **_kwargs):
        sync()
        spent["step"].append(time.perf_counter() - began)


def reward(completion_ids, **_):
    """Differs within a group, so that there is something to learn."""
    return [float(sum(ids) % 2) for ids in completion_ids]


trainer = trl.GRPOTrainer
trainer._generate_and_score_completions = timed(trainer._generate_and_score_completions, spent["rollout"])
scored = spent["log-probabilities"]
trainer._get_per_token_logps_and_entropies = timed(trainer._get_per_token_logps_and_entropies, scored, only_scoring=True)


def words():
    """A word per id, so that a prompt has the very tokens of the case."""
    named = {0: "<pad>", 1: "<|vision_start|>", 2: "<|vision_end|>", 3: "<|image_pad|>", 4: "<|video_pad|>", 5: "<end>", 6: "<unk>"}
    table = {named.get(i, f"w{i}"): i for i in range(CASE["size"]["vocabulary"])}
    table = Tokenizer(kinds.WordLevel(table, unk_token="<unk>"))
    table.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    table.add_special_tokens(list(named.values()))
    return PreTrainedTokenizerFast(tokenizer_object=table, eos_token="<end>", pad_token="<pad>", unk_token="<unk>", padding_side="left")


def with_images(tokenizer):
    """What Qwen2.5-VL comes with: an image's tokens, then the words."""
    from transformers import Qwen2_5_VLProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    template = (
        "{%- for message in messages %}{%- if message.content is string %}{{- message.content }}{%- else %}"
        "{%- for part in message.content %}{%- if part.type == 'image' %}{{- '<|vision_start|><|image_pad|><|vision_end|>' }}"
        "{%- else %}{{- part.text }}{%- endif %}{%- endfor %}{%- endif %}{%- endfor %}")
    tokenizer.chat_template = template
    images = Qwen2VLImageProcessorPil(size={"shortest_edge": 56 * 56, "longest_edge": 336 * 336})
    return Qwen2_5_VLProcessor(images, tokenizer, Qwen2VLVideoProcessor(), chat_template=template)


def picture(row, side):
    y, x = np.mgrid[0:side, 0:side]
    return Image.fromarray(np.stack([(x * 3 + row * 7) % 256, (y * 5 + row) % 256, (x * y + row) % 256], -1).astype(np.uint8))


def questions(steps):
    taken = CASE["patches"] ** 2 // 4 + 2 if CASE["patches"] else 0
    ids = [tokens(length, first=1000 * row)[taken:] for row, length in enumerate(CASE["prompts"])]
    texts = [" ".join(f"w{i}" for i in row) for row in ids]
    if not CASE["patches"]:
        return Dataset.from_dict({"prompt": texts * steps})
    pictures = [picture(row, 14 * CASE["patches"]) for row in range(len(texts))]
    prompts = [[{"role": "user", "content": text}] for text in texts]
    return Dataset.from_dict({"prompt": prompts * steps, "image": pictures * steps}).cast_column("image", datasets.Image())


with tempfile.TemporaryDirectory() as folder:
    reader = with_images(words()) if CASE["patches"] else words()
    of_transformers(images=CASE["patches"] > 0).save_pretrained(folder)
    reader.save_pretrained(folder)
    # As a rollout of ours: to the last token, and no token that stands for an image.
    drawn = {"min_new_tokens": new, "suppress_tokens": [1, 2, 3, 4]}
    settings = trl.GRPOConfig(
        output_dir=folder, max_steps=steps, per_device_train_batch_size=micro, gradient_accumulation_steps=count // micro,
        num_generations=group, max_completion_length=new, temperature=1.0, beta=CASE["kl"], learning_rate=1e-6, max_grad_norm=1.0,
        generation_kwargs=drawn, gradient_checkpointing=False, bf16=HALF, use_cpu=DEVICE == "cpu",
        report_to="none", logging_strategy="no", save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
        model_init_kwargs={"dtype": "float32"})
    loop = trl.GRPOTrainer(model=folder, reward_funcs=reward, args=settings, train_dataset=questions(steps),
                           processing_class=reader, callbacks=[Clock()])
    loop.train()

read = steps * (sum(CASE["prompts"]) * group + count * new)
assert loop.state.num_input_tokens_seen == read, (loop.state.num_input_tokens_seen, read)
assert len(spent["step"]) == steps == len(spent["rollout"]), {name: len(of) for name, of in spent.items()}
passes = len(scored) // steps
of_reference = [sum(scored[i * passes:(i + 1) * passes]) for i in range(steps)]
whole = spent["step"]
making = [every - passed for every, passed in zip(spent["rollout"], of_reference)]
update = [step - every for step, every in zip(whole, spent["rollout"])]
figures = {"rollout": making, "update": update, "step": whole}
if CASE["kl"] > 0:
    figures["log-probabilities"] = of_reference
warm = CASE["warm"]
figures = {name: (statistics.median(of[warm:]), "s") for name, of in figures.items()}
answer(figures, f"TRL {trl.__version__}")
