#!/usr/bin/env python3
"""Writes the fixtures that the model is compared with: what transformers makes of small checkpoints, on a CPU in float32.

    generate.py                       writes every case into the folder of this file
    generate.py --check               writes them into a temporary folder and compares (this is `make golden`)
    generate.py --case tied --out D   writes one case into D/tied
    generate.py --checkpoint FOLDER --out D [--forward-only]
                                      writes fixtures for a checkpoint of yours into D, for `curricle verify-model`
    generate.py --smollm2 FOLDER      writes smollm2.json: greedy continuations by the checkpoint in FOLDER

Needs the packages of requirements.lock.txt and no network. README.md says what every file and tensor holds.
Everything follows from the tables below: the same packages on the same machine give the same bytes.
"""

import argparse
import dataclasses
import filecmp
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import numpy
import torch
import transformers
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (AutoTokenizer, PreTrainedTokenizerFast, Qwen2_5_VLConfig,
                          Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

HERE = Path(__file__).resolve().parent

# Tokens with a meaning of their own; the architecture knows the last four.
ENDOFTEXT, IM_START, IM_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VISION_START, VISION_END, IMAGE_PAD, VIDEO_PAD = "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"
SPECIAL = [ENDOFTEXT, IM_START, IM_END, VISION_START, VISION_END, IMAGE_PAD, VIDEO_PAD]

# How Qwen's tokenizers cut text before merging.
WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r"|\s+(?!\S)|\s+")

# ChatML; SYSTEM is what stands before a chat that has no system turn of its own.
TEMPLATE = """\
{%- if messages[0].role != 'system' %}
{{- 'SYSTEM' }}
{%- endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string %}
{{- message.content }}
{%- else %}
{%- for part in message.content %}
{{- '<|vision_start|><|image_pad|><|vision_end|>' if part.type == 'image' else part.text }}
{%- endfor %}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

# The optimizer step: `torch.optim.AdamW` on every parameter after clipping the global norm. Part of the layout.
CLIP, ADAMW = 1.0, {"lr": 1e-3, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}

# A best token must lead by this much, or rounding could change what is generated.
MARGIN = 1e-3

IMAGE = {"type": "image"}


@dataclasses.dataclass
class Case:
    """One fixture: a model, pictures, and a batch of chats (each a list of turns that ends with the assistant's)."""

    name: str
    seed: int
    heads: tuple  # query heads, key heads
    head_dim: int
    sections: list  # of M-RoPE: frequencies of time, height, width
    intermediate: int
    layers: int
    vocabulary: int
    tied: bool
    window: int  # pixels
    full: list  # vision blocks over whole frames
    depth: int
    pixels: tuple  # fewest, most
    sizes: list  # of the pictures: width, height
    shown: list  # pictures of the batch, in order
    chats: list
    padding: str
    learn: str  # "all": every token of text; "answers": the assistant's
    new_tokens: int
    system: str = ""
    shard: str = "1GB"
    dtype: torch.dtype = torch.float32
    theta: float = 1e6


def user(*parts):
    """A user's turn: text, or pictures and text."""
    if len(parts) == 1 and isinstance(parts[0], str):
        return {"role": "user", "content": parts[0]}
    return {"role": "user", "content": [part if part is IMAGE else {"type": "text", "text": part} for part in parts]}


def assistant(text):
    return {"role": "assistant", "content": text}


CASES = [
    # No, one and two pictures in a row; padding before; windows of 2 x 2 units that divide one picture's grid and cut the
    # other's; sides of 2.5 and 3.5 blocks, which round to even; every token of text is learnt, also the first of a row.
    Case(name="tied", seed=1, heads=(4, 2), head_dim=8, sections=[1, 2, 1], intermediate=40, layers=3, vocabulary=384,
         tied=True, window=56, full=[1, 3], depth=4, pixels=(784, 28 * 28 * 16), sizes=[(130, 75), (98, 70)],
         shown=[0, 1, 0], padding="left", learn="all", new_tokens=12,
         system="<|im_start|>system\\nBe brief.<|im_end|>\\n",
         chats=[[user(IMAGE, "What is it?"), assistant("A red circle.")],
                [user(IMAGE, "or", IMAGE, "?"), assistant("The 2nd.")],
                [user("12 + 30?"), assistant("42")]]),
    # Seven query heads to a key head; a head of its own, so that nothing but the embedding uses the padding token's row;
    # shards with an index; windows of one unit, a picture of one unit, and one that is as large as pictures may be.
    Case(name="untied", seed=2, heads=(7, 1), head_dim=6, sections=[1, 1, 1], intermediate=36, layers=2, vocabulary=320,
         tied=False, window=28, full=[0], depth=2, pixels=(784, 3136), sizes=[(28, 28), (100, 90)],
         shown=[0, 1, 0], padding="left", learn="all", new_tokens=10, shard="80KB", theta=1e4,
         chats=[[user(IMAGE, "and", IMAGE), assistant("é ≠ e")],
                [user("So?", IMAGE), assistant("Yes")]]),
    # bfloat16 weights (computed with in float32); a key head per query head; every block sees windows only; a picture that
    # is made as large as pictures must be; a system turn; padding after; only the assistant's words are learnt.
    Case(name="bfloat16", seed=3, heads=(2, 2), head_dim=12, sections=[2, 2, 2], intermediate=48, layers=2,
         vocabulary=320, tied=True, window=84, full=[], depth=2, pixels=(4704, 12845056), sizes=[(30, 44)],
         shown=[0], padding="right", learn="answers", new_tokens=10, dtype=torch.bfloat16,
         chats=[[{"role": "system", "content": "Look."}, user(IMAGE, "How many?"), assistant("3")],
                [user("So?"), assistant("Yes, it is.")]]),
    # Text alone, of several turns and of more than one language: the vision tower is there and stays untouched.
    Case(name="text", seed=5, heads=(4, 1), head_dim=8, sections=[2, 1, 1], intermediate=40, layers=2, vocabulary=320,
         tied=False, window=112, full=[0, 1], depth=2, pixels=(3136, 12845056), sizes=[], shown=[],
         padding="right", learn="all", new_tokens=12,
         chats=[[user("2 + 3?"), assistant("5"), user("Sure?"), assistant("Yes.")],
                [user("Où?"), assistant("Là-bas 👍")],
                [user("Hi"), assistant("Hello")]]),
]


def tokenizer_of(case):
    """A byte-level BPE with Qwen's cuts, trained on the case's own words, as large as its embedding less a few rows."""
    corpus = ["system", "user", "assistant", "Be brief."] * 8
    for chat in case.chats:
        for turn in chat:
            parts = [turn["content"]] if isinstance(turn["content"], str) else [p.get("text", "") for p in turn["content"]]
            corpus += [part for part in parts if part]
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(WORDS), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=case.vocabulary - len(SPECIAL) - 2, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    bpe.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=IM_END, pad_token=ENDOFTEXT)
    # What the processor asks a tokenizer for.
    fast.image_token, fast.video_token, fast.vision_bos_token, fast.vision_eos_token = (
        IMAGE_PAD, VIDEO_PAD, VISION_START, VISION_END)
    return fast


def picture(size, seed):
    """Slopes, noise and hard edges, so that a resizing that is not quite the same shows."""
    width, height = size
    rng = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[0:height, 0:width]
    pixels = numpy.stack([x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1),
                          rng.integers(0, 256, (height, width))], axis=2).astype(numpy.uint8)
    disc = (x - width * 0.4) ** 2 + (y - height * 0.5) ** 2 < (min(width, height) * 0.3) ** 2
    pixels[disc] = (250, 30, 40)
    pixels[height // 2, :] = 255
    return Image.fromarray(pixels)


def model_of(case, ids):
    """A checkpoint whose weights, biases and norms are all far from trivial."""
    (heads, key_heads), width = case.heads, case.heads[0] * case.head_dim
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": case.vocabulary, "hidden_size": width, "intermediate_size": case.intermediate,
            "num_hidden_layers": case.layers, "num_attention_heads": heads, "num_key_value_heads": key_heads,
            "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "tie_word_embeddings": case.tied,
            "use_sliding_window": False, "bos_token_id": ids[ENDOFTEXT], "eos_token_id": ids[IM_END],
            "pad_token_id": ids[ENDOFTEXT],
            "rope_parameters": {"rope_type": "default", "rope_theta": case.theta, "mrope_section": case.sections}},
        vision_config={
            "depth": case.depth, "hidden_size": 8, "intermediate_size": 12, "num_heads": 2, "patch_size": 14,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": case.window, "out_hidden_size": width,
            "fullatt_block_indexes": case.full, "tokens_per_second": 2},
        image_token_id=ids[IMAGE_PAD], video_token_id=ids[VIDEO_PAD], vision_start_token_id=ids[VISION_START],
        vision_end_token_id=ids[VISION_END], tie_word_embeddings=case.tied)
    config._attn_implementation = "eager"
    model = Qwen2_5_VLForConditionalGeneration(config)
    rng = torch.Generator().manual_seed(case.seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=rng)
            if parameter.ndim > 1:
                embedding = name.endswith("embed_tokens.weight")
                fan_in = 1 if embedding else parameter[0].numel()
                parameter.copy_(noise * (0.3 if embedding else fan_in ** -0.5))
            elif name.endswith("bias"):
                parameter.copy_(noise * 0.2)
            else:
                parameter.copy_(1 + noise * 0.2)
    return model.to(case.dtype).eval()


def watched(model, acts):
    """Keeps what leaves the parts of the model; returns the hooks."""
    def keep(name):
        def hook(_module, _inputs, output):
            acts[name] = (output[0] if isinstance(output, tuple) else output).detach().clone().contiguous()
        return hook
    visual, text = model.model.visual, model.model.language_model
    parts = {"vis.patch_embed": visual.patch_embed, "vis.merger_windowed_order": visual.merger}
    parts |= {f"vis.block{i}": block for i, block in enumerate(visual.blocks)}
    parts |= {f"txt.layer{i}": layer for i, layer in enumerate(text.layers)}
    return [part.register_forward_hook(keep(name)) for name, part in parts.items()]


def labels_of(case, processor, batch, images, ids):
    """The batch's ids where they are to be learnt, -100 elsewhere."""
    real = batch["attention_mask"].bool()
    labels = torch.where(real, batch["input_ids"], -100)
    for token in (IMAGE_PAD, VISION_START, VISION_END):
        labels[labels == ids[token]] = -100
    if case.learn == "answers":
        at = 0
        for row, chat in enumerate(case.chats):
            used = sum(part is IMAGE for turn in chat for part in turn["content"])
            prompt = processor.apply_chat_template(chat[:-1], tokenize=False, add_generation_prompt=True)
            length = processor(text=[prompt], images=images[at:at + used] or None)["input_ids"][0]
            first = int(real[row].int().argmax())
            labels[row, :first + len(length)] = -100
            end = int((batch["input_ids"][row] == ids[IM_END]).nonzero()[-1])
            labels[row, end + 1:] = -100
            at += used
    return labels


def write(case, folder):
    """One case: its checkpoint in folder/model, and what is computed with it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    fast = tokenizer_of(case)
    ids = {token: fast.convert_tokens_to_ids(token) for token in SPECIAL}
    pillow = Qwen2VLImageProcessorPil(min_pixels=case.pixels[0], max_pixels=case.pixels[1])
    processor = Qwen2_5_VLProcessor(image_processor=pillow, tokenizer=fast, video_processor=Qwen2VLVideoProcessor(),
                                    chat_template=TEMPLATE.replace("SYSTEM", case.system))
    model_of(case, ids).save_pretrained(folder / "model", max_shard_size=case.shard)
    processor.save_pretrained(folder / "model")
    # What was written is what is computed with, whatever its number format.
    margin = measure(case, folder / "model", processor, folder, learn=True)
    assert margin > MARGIN, f"{case.name}: the best token leads by {margin} only; choose another seed"


def write_for(checkpoint, folder, learn):
    """Fixtures for a checkpoint that is there, with the pictures and chats of the first case."""
    folder.mkdir(parents=True, exist_ok=True)
    fast = AutoTokenizer.from_pretrained(checkpoint)
    fast.image_token, fast.video_token, fast.vision_bos_token, fast.vision_eos_token = (
        IMAGE_PAD, VIDEO_PAD, VISION_START, VISION_END)
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessorPil.from_pretrained(checkpoint), tokenizer=fast,
        video_processor=Qwen2VLVideoProcessor(), chat_template=fast.chat_template)
    margin = measure(dataclasses.replace(CASES[0], name=checkpoint.name), checkpoint, processor, folder, learn)
    if margin < MARGIN:
        print(f"the best token once leads by {margin} only: rounding may change what is generated")


def measure(case, checkpoint, processor, folder, learn):
    """Pictures, golden.safetensors and golden.json in `folder`; returns the smallest lead of a generated token."""
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        checkpoint, attn_implementation="eager", dtype=torch.float32).eval()
    fast, pillow = processor.tokenizer, processor.image_processor
    ids = {token: fast.convert_tokens_to_ids(token) for token in SPECIAL}

    tensors, facts = {}, {"versions": {"torch": torch.__version__.split("+")[0],
                                       "transformers": transformers.__version__, "pillow": Image.__version__}}
    facts["keys"] = []
    for file in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(file, "pt") as shard:
            facts["keys"] += [[key, list(shard.get_slice(key).get_shape())] for key in shard.keys()]
    facts["params"] = sum(parameter.numel() for parameter in model.parameters())

    pictures = [picture(size, 10 * case.seed + i) for i, size in enumerate(case.sizes)]
    for i, image in enumerate(pictures):
        image.save(folder / f"img{i}_{image.width}x{image.height}.png")
        found = pillow(images=[image], return_tensors="pt")
        tensors[f"proc.{i}.pixel_values"] = found["pixel_values"].contiguous()
        tensors[f"proc.{i}.grid_thw"] = found["image_grid_thw"]
        facts[f"proc.{i}"] = {"size": [image.width, image.height], "grid": found["image_grid_thw"].tolist()}

    images = [pictures[i] for i in case.shown]
    facts["messages"] = case.chats
    facts["texts"] = [processor.apply_chat_template(chat, tokenize=False) for chat in case.chats]
    fast.padding_side = case.padding
    batch = processor(text=facts["texts"], images=images or None, padding=True, return_tensors="pt")
    facts["batch_keys"] = {key: list(value.shape) for key, value in batch.items()}
    # The pixels of the batch are those of `proc.*`, in this order.
    facts["batch_images"] = case.shown
    tensors |= {f"batch.{key}": value.contiguous() for key, value in batch.items() if key != "pixel_values"}
    inputs = {key: value for key, value in batch.items() if key != "pixel_values"}
    positions, deltas = model.model.get_rope_index(**inputs)
    tensors["batch.position_ids"], tensors["batch.rope_deltas"] = positions.contiguous(), deltas.contiguous()

    labels = labels_of(case, processor, batch, images, ids)
    acts = {}
    hooks = watched(model, acts)
    with torch.set_grad_enabled(learn):
        out = model(**batch, labels=labels, use_cache=False)
    for hook in hooks:
        hook.remove()
    tensors |= {f"act.{name}": value for name, value in acts.items()}
    tensors["batch.labels"], tensors["out.loss"] = labels, out.loss.detach().reshape(1)
    tensors["out.logits"] = out.logits.detach().contiguous()
    scores = torch.log_softmax(out.logits[:, :-1].float(), -1)
    tensors["out.token_logps"] = scores.gather(-1, batch["input_ids"][:, 1:, None])[..., 0].detach().contiguous()
    facts["loss"] = out.loss.item()
    if learn:
        step(model, batch, labels, out.loss, tensors, facts)

    prompts = [processor.apply_chat_template(chat[:-1], tokenize=False, add_generation_prompt=True) for chat in case.chats]
    fast.padding_side = "left"
    prompt = processor(text=prompts, images=images or None, padding=True, return_tensors="pt")
    tensors["gen.input_ids"], tensors["gen.attention_mask"] = prompt["input_ids"], prompt["attention_mask"]
    tensors["gen.output_ids"], margin = greedy(model, prompt, case.new_tokens)

    save_file(dict(sorted(tensors.items())), folder / "golden.safetensors")
    write_json(folder / "golden.json", facts)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{case.name}: {facts['params']} parameters, loss {facts['loss']:.4f}, rows x tokens "
          f"{list(batch['input_ids'].shape)}, smallest lead {margin:.4f}, {size} bytes")
    return margin


def step(model, batch, labels, loss, tensors, facts):
    """Every gradient, and a clipped step of AdamW, after which the model is as it was."""
    loss.backward()
    facts["no_grad"] = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            tensors[f"grad.{name}"] = parameter.grad.detach().clone()  # clipping works in place

    facts["grad_norm"] = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP).item()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.optim.AdamW(model.parameters(), **ADAMW).step()
    with torch.no_grad():
        facts["loss_after_step"] = model(**batch, labels=labels, use_cache=False).loss.item()
    tensors |= {f"adamw.{name}": parameter.detach().clone() for name, parameter in model.named_parameters()
                if parameter.grad is not None}

    model.load_state_dict(before)


def greedy(model, prompt, new_tokens):
    """Ids of prompts and greedy continuations, and the smallest lead of a chosen token over the next best."""
    with torch.no_grad():
        made = model.generate(**prompt, max_new_tokens=new_tokens, do_sample=False, output_scores=True,
                              return_dict_in_generate=True)
    lead, width = float("inf"), prompt["input_ids"].shape[1]
    stops = model.generation_config.eos_token_id
    stops = set(stops if isinstance(stops, list) else [stops])
    for row in range(made.sequences.shape[0]):
        for step, scores in enumerate(made.scores):
            best, next_best = scores[row].topk(2).values
            lead = min(lead, float(best - next_best))
            if int(made.sequences[row, width + step]) in stops:
                break
    return made.sequences.contiguous(), lead


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


# --- continuations by a real checkpoint

PROMPTS = [
    "The capital of France is", "Water boils at a temperature of", "def fibonacci(n):\n", "Once upon a time, there was",
    "2 + 2 =", "The three primary colours are", "In 1969, humans first", "To make a cup of tea, you",
    "Q: What is the largest planet in the solar system?\nA:", "import numpy as np\n\n", "Dear Sir or Madam,\n",
    "La tour Eiffel se trouve à", "1, 2, 3, 5, 8, 13,", "She opened the door and", "Photosynthesis is the process by which",
    "<|im_start|>user\nName two animals.<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>system\nYou are terse.<|im_end|>\n<|im_start|>user\nIs the sky blue?<|im_end|>\n<|im_start|>assistant\n",
    "| City | Country |\n|---|---|\n| Rome |", "Roses are red,", "If a train travels 60 km in 1.5 hours, its speed is",
]


def smollm2(folder):
    """Greedy continuations of PROMPTS, one prompt at a time, in float32."""
    fast = AutoTokenizer.from_pretrained(folder)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32).eval()
    rows, smallest = [], float("inf")
    for text in PROMPTS:
        inputs = fast(text, return_tensors="pt", return_token_type_ids=False)
        made, lead = greedy(model, inputs, 32)
        width = inputs["input_ids"].shape[1]
        rows.append({"prompt": text, "prompt_ids": inputs["input_ids"][0].tolist(), "ids": made[0, width:].tolist(),
                     "smallest_lead": round(lead, 6)})
        smallest = min(smallest, lead)
    assert smallest > MARGIN, "rounding could change what is generated; choose other prompts"
    stops = model.generation_config.eos_token_id
    write_json(HERE / "smollm2.json", {
        "model": "SmolLM2-135M-Instruct in the architecture of Qwen2.5-VL", "new_tokens": 32, "stop": stops,
        "versions": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}, "rows": rows})
    print(f"smollm2: {len(rows)} prompts, smallest lead {smallest:.6f}")


# --- comparison with what is committed

def differences(ours, theirs):
    """Why a file is not the committed one; empty where it is, or where only floats differ by rounding."""
    if filecmp.cmp(ours, theirs, shallow=False):
        return []
    if ours.suffix == ".safetensors":
        a, b = load_file(ours), load_file(theirs)
        if a.keys() != b.keys():
            return [f"other tensors: {sorted(a.keys() ^ b.keys())}"]
        found = []
        for name in a:
            if a[name].shape != b[name].shape or a[name].dtype != b[name].dtype:
                found.append(f"{name}: another shape or number format")
            elif name.startswith("adamw."):
                continue  # a step of almost a sign: rounding of a gradient near zero turns it
            elif a[name].is_floating_point():
                worst = float((a[name].float() - b[name].float()).abs().max())
                if not worst <= 1e-4:
                    found.append(f"{name}: differs by {worst}")
            elif not torch.equal(a[name], b[name]):
                found.append(f"{name}: other integers")
        return found or [None]
    if ours.name == "golden.json":
        a, b = json.loads(ours.read_text()), json.loads(theirs.read_text())
        near = all(abs(a[key] - b[key]) <= 1e-4 for key in ("loss", "grad_norm", "loss_after_step"))
        for key in ("loss", "grad_norm", "loss_after_step"):
            a.pop(key), b.pop(key)
        return [None] if near and a == b else ["other facts"]
    return ["other bytes"]


def check(cases):
    """Regenerates and compares; true where nothing but rounding differs."""
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        for case in cases:
            ours, committed = Path(temporary) / case.name, HERE / case.name
            write(case, ours)
            names = {str(file.relative_to(root)) for root in (ours, committed) for file in root.rglob("*") if file.is_file()}
            for name in sorted(names):
                if not (ours / name).is_file() or not (committed / name).is_file():
                    print(f"{case.name}/{name}: {'not committed' if (ours / name).is_file() else 'no longer written'}")
                    wrong += 1
                    continue
                for why in differences(ours / name, committed / name):
                    print(f"{case.name}/{name}: {why or 'not the same bytes, but equal up to rounding'}")
                    wrong += why is not None
    print("unchanged" if wrong == 0 else f"{wrong} differences")
    return wrong == 0


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, default=HERE, help="folder to write to")
    arguments.add_argument("--case", action="append", choices=[case.name for case in CASES], help="only this one")
    arguments.add_argument("--check", action="store_true", help="compare with the committed files instead of writing")
    arguments.add_argument("--checkpoint", type=Path, metavar="FOLDER", help="write fixtures for this checkpoint")
    arguments.add_argument("--forward-only", action="store_true", help="with --checkpoint: no gradients, no step")
    arguments.add_argument("--smollm2", type=Path, metavar="FOLDER", help="write smollm2.json from this checkpoint")
    given = arguments.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    if given.smollm2:
        smollm2(given.smollm2)
        return 0
    if given.checkpoint:
        write_for(given.checkpoint, given.out, not given.forward_only)
        return 0
    cases = [case for case in CASES if not given.case or case.name in given.case]
    if given.check:
        return 0 if check(cases) else 1
    for case in cases:
        write(case, given.out / case.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
