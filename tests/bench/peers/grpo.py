"""A step of TRL's `GRPOTrainer`: the same prompts, group, completions of one length, a KL term, one update.

The parts are timed around the trainer's own methods: what `_get_per_token_logps_and_entropies` takes while completions are
made and scored is the pass of the reference; the rest of that is the rollout; the rest of the step is the update. As users run
it but for the end token, which is held back until the last token, for equal work, and gradient checkpointing, which is off
because it only saves memory. Completions of a micro-batch are those of the case, or what `peer_micro_batch` says.
"""

import statistics
import tempfile
import time

import torch
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models as kinds, pre_tokenizers
from transformers import PreTrainedTokenizerFast, TrainerCallback

from case import CASE, answer, tokens
from models import DEVICE, HALF, of_transformers, sync

steps = CASE["warm"] + CASE["repeats"]
prompts, group, new = CASE["prompts"], CASE["group"], CASE["new"]
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
with tempfile.TemporaryDirectory() as folder:
    # One word per id: a prompt has the very tokens of the case.
    words = Tokenizer(kinds.WordLevel({f"w{i}": i for i in range(CASE["size"]["vocabulary"])}, unk_token="w6"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w5", pad_token="w0", unk_token="w6")
    model = of_transformers()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    del model
    texts = [" ".join(f"w{i}" for i in tokens(length, first=1000 * row)) for row, length in enumerate(prompts)]
    settings = trl.GRPOConfig(
        output_dir=folder, max_steps=steps, per_device_train_batch_size=micro, gradient_accumulation_steps=len(prompts) * group // micro,
        num_generations=group, max_completion_length=new, temperature=1.0, beta=CASE["kl"], learning_rate=1e-6, max_grad_norm=1.0,
        generation_kwargs={"min_new_tokens": new}, gradient_checkpointing=False, bf16=HALF, use_cpu=DEVICE == "cpu",
        report_to="none", logging_strategy="no", save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
        model_init_kwargs={"dtype": "float32"})
    data = Dataset.from_dict({"prompt": texts * steps})
    loop = trl.GRPOTrainer(model=folder, reward_funcs=reward, args=settings, train_dataset=data, processing_class=tokenizer,
                           callbacks=[Clock()])
    loop.train()

assert len(spent["step"]) == steps == len(spent["rollout"]), {name: len(of) for name, of in spent.items()}
passes = len(scored) // steps
of_reference = [sum(scored[i * passes:(i + 1) * passes]) for i in range(steps)]
whole = spent["step"]
making = [every - passed for every, passed in zip(spent["rollout"], of_reference)]
update = [step - every for step, every in zip(whole, spent["rollout"])]
figures = {"rollout": making, "log-probabilities": of_reference, "update": update, "step": whole}
warm = CASE["warm"]
figures = {name: (statistics.median(of[warm:]), "s") for name, of in figures.items()}
answer(figures, f"TRL {trl.__version__}")
