"""The models of the cases in torch: a decoder written as one writes it, and transformers' classes with random weights."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from case import CASE

torch.set_num_threads(CASE["threads"])
torch.manual_seed(0)
DEVICE = CASE["device"]
# On a GPU: weights in float32, products in bfloat16, as Trainer's `bf16` does. On a CPU all is float32.
HALF = CASE["dtype"] == "bf16"


def sync():
    if DEVICE != "cpu":
        torch.cuda.synchronize()


def autocast():
    return torch.autocast(DEVICE, torch.bfloat16, enabled=HALF)


def config():
    """The text of a case's size, as `Qwen2Config` and `Qwen2_5_VLTextConfig` take it."""
    size = CASE["size"]
    return dict(
        vocab_size=size["vocabulary"], hidden_size=size["width"], num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"], num_key_value_heads=size["kv_heads"], intermediate_size=size["inner"],
        tie_word_embeddings=size["tied"], max_position_embeddings=size["positions"], rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6}, initializer_range=0.02,
        bos_token_id=None, eos_token_id=None, pad_token_id=0)


def of_transformers(images=False):
    """Text: `Qwen2ForCausalLM`, which is what Qwen2.5-VL is without its vision tower, and leaner than its class."""
    if not images:
        from transformers import Qwen2Config, Qwen2ForCausalLM

        return Qwen2ForCausalLM(Qwen2Config(**config())).to(DEVICE)
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    size, text = CASE["size"], config()
    head = size["width"] // size["heads"] // 2
    sections = [head - 2 * (3 * head // 8), 3 * head // 8, 3 * head // 8]
    text["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": sections}
    tied = text.pop("tie_word_embeddings")
    vision = size["vision"]
    vision = dict(depth=vision["depth"], hidden_size=vision["width"], intermediate_size=vision["inner"], num_heads=vision["heads"],
                  out_hidden_size=size["width"], window_size=112, fullatt_block_indexes=vision["whole"], patch_size=14,
                  spatial_merge_size=2, temporal_patch_size=2)
    whole = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied, vision_start_token_id=1,
                             vision_end_token_id=2, image_token_id=3, video_token_id=4)
    return Qwen2_5_VLForConditionalGeneration(whole).to(DEVICE)


class Layer(nn.Module):
    def __init__(self, width, heads, inner):
        super().__init__()
        self.heads, self.head = heads, width // heads
        self.before, self.between = (nn.RMSNorm(width, eps=1e-6) for _ in range(2))
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.o = nn.Linear(width, width, bias=False)
        self.gate, self.up = (nn.Linear(width, inner, bias=False) for _ in range(2))
        self.down = nn.Linear(inner, width, bias=False)

    def turned(self, x, cos, sin):
        half = torch.cat((-x[..., self.head // 2:], x[..., :self.head // 2]), -1)
        return x * cos + half * sin

    def forward(self, x, cos, sin):
        b, t, d = x.shape
        normed = self.before(x)
        q, k, v = (m(normed).view(b, t, self.heads, self.head).transpose(1, 2) for m in (self.q, self.k, self.v))
        seen = F.scaled_dot_product_attention(self.turned(q, cos, sin), self.turned(k, cos, sin), v, is_causal=True)
        x = x + self.o(seen.transpose(1, 2).reshape(b, t, d))
        normed = self.between(x)
        return x + self.down(F.silu(self.gate(normed)) * self.up(normed))


class Decoder(nn.Module):
    """As many query heads as key heads, a head of its own: nothing that a library adds."""

    def __init__(self):
        super().__init__()
        size = CASE["size"]
        width, heads = size["width"], size["heads"]
        assert heads == size["kv_heads"] and not size["tied"]
        self.embedding = nn.Embedding(size["vocabulary"], width)
        self.layers = nn.ModuleList(Layer(width, heads, size["inner"]) for _ in range(size["layers"]))
        self.norm, self.lm_head = nn.RMSNorm(width, eps=1e-6), nn.Linear(width, size["vocabulary"], bias=False)
        head = width // heads
        angles = torch.arange(CASE["length"])[:, None] / 1e6 ** (torch.arange(0, head, 2) / head)
        angles = torch.cat((angles, angles), -1)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, ids):
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        return self.lm_head(self.norm(x))
