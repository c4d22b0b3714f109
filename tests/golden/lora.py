#!/usr/bin/env python3
"""Adapters that PEFT made, and what a Qwen2.5-VL computes with them. CPU, no network, deterministic.

usage: lora.py OUT      writes the fixture that stages/src/model/peft/tests.rs compares with
       lora.py --check  compares with the committed one, `lora` beside this file, instead

OUT/base     a checkpoint: 2 decoder layers, 2 vision blocks, untied head, biases and norms that are not trivial
OUT/all      an adapter of every linear layer, the fused `qkv`, the merger and the head included; alpha / r
OUT/some     an adapter of `q_proj` and `v_proj` alone, float16 on disk; alpha / sqrt(r)
OUT/golden.safetensors   a row with an image, and its logits: of the base, with each adapter, and with each one merged
"""
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from generate import differences

IMAGE, VIDEO, START, END = 3, 4, 1, 2


def config():
    return Qwen2_5_VLConfig(
        text_config=dict(
            vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-6, tie_word_embeddings=False,
            use_sliding_window=False, bos_token_id=None, eos_token_id=5, pad_token_id=0,
            rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 0]},
        ),
        vision_config=dict(
            depth=2, hidden_size=8, intermediate_size=12, num_heads=2, patch_size=14, spatial_merge_size=2,
            temporal_patch_size=2, window_size=56, out_hidden_size=16, fullatt_block_indexes=[1], tokens_per_second=2,
        ),
        image_token_id=IMAGE, video_token_id=VIDEO, vision_start_token_id=START, vision_end_token_id=END,
        tie_word_embeddings=False, attn_implementation="eager",
    )


def load(folder):
    return Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, attn_implementation="eager").eval()


def row():
    """One image of 4 x 6 patches between words."""
    words = [6 + (7 * i) % 33 for i in range(12)]
    ids = torch.tensor([words[:3] + [START] + [IMAGE] * 6 + [END] + words[3:]])
    generator = torch.Generator().manual_seed(5)
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == IMAGE).int(),
        "pixel_values": torch.randn(24, 1176, generator=generator),
        "image_grid_thw": torch.tensor([[1, 4, 6]]),
    }


def adapt(base, seed, **settings):
    model = get_peft_model(load(base), LoraConfig(task_type="CAUSAL_LM", **settings))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():  # PEFT begins with zeros in B, which would hide every mistake
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    return model.eval()


def write(out):
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(config())
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.add_(noise * 0.1) if weight.ndim == 1 else weight.copy_(noise * 0.15)
    base = os.path.join(out, "base")
    model.save_pretrained(base)
    os.remove(os.path.join(base, "generation_config.json"))
    inputs = row()
    golden = {name: value.contiguous() for name, value in inputs.items()}
    with torch.no_grad():
        golden["logits.base"] = load(base)(**inputs).logits
        for name, settings in {
            "all": dict(seed=2, r=3, lora_alpha=6, lora_dropout=0.1, target_modules=[
                "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv", "attn.proj",
                "merger.mlp.0", "merger.mlp.2", "lm_head"]),
            "some": dict(seed=3, r=4, lora_alpha=5, use_rslora=True, target_modules=["q_proj", "v_proj"]),
        }.items():
            torch.manual_seed(settings["seed"])
            model = adapt(base, **settings)
            folder = os.path.join(out, name)
            if name == "some":
                model = model.half().float()  # numbers that float16 holds
            model.save_pretrained(folder)
            os.remove(os.path.join(folder, "README.md"))
            if name == "some":
                path = os.path.join(folder, "adapter_model.safetensors")
                save_file({key: value.half() for key, value in load_file(path).items()}, path, metadata={"format": "pt"})
                model = PeftModel.from_pretrained(load(base), folder).eval()
            path = os.path.join(folder, "adapter_config.json")
            with open(path) as file:
                settings = json.load(file)
            settings["base_model_name_or_path"] = "base"
            settings["target_modules"].sort()  # PEFT keeps a set, whose order changes from run to run
            with open(path, "w") as file:
                json.dump(settings, file, indent=2, sort_keys=True)
                file.write("\n")
            golden[f"logits.{name}"] = model(**inputs).logits
            golden[f"merged.{name}"] = model.merge_and_unload()(**inputs).logits
    save_file({name: value.contiguous() for name, value in golden.items()}, os.path.join(out, "golden.safetensors"))


def check():
    """Regenerates and compares; true where nothing but rounding differs."""
    wrong, committed = 0, Path(__file__).parent / "lora"
    with tempfile.TemporaryDirectory() as temporary:
        write(temporary)
        for name in sorted({str(file.relative_to(root)) for root in (Path(temporary), committed) for file in root.rglob("*.*")}):
            ours, theirs = Path(temporary) / name, committed / name
            if not (ours.is_file() and theirs.is_file()):
                print(f"lora/{name}: {'not committed' if ours.is_file() else 'no longer written'}")
                wrong += 1
                continue
            for why in differences(ours, theirs):
                print(f"lora/{name}: {why or 'not the same bytes, but equal up to rounding'}")
                wrong += why is not None
    print("unchanged" if wrong == 0 else f"{wrong} differences")
    return wrong == 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if check() else 1)
    write(sys.argv[1])
