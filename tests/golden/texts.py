"""Makes tests/golden/texts/: token ids, rendered chats and masks, as transformers makes them.

    texts.py                     writes the folder texts/ beside this script
    texts.py --check             writes it into a temporary folder and compares (part of `make golden`)
    texts.py --real TOKENIZER    writes real.json by the tokenizer in a folder

Needs transformers 5.23; draws no random numbers. `templates/` is written by hand. The script writes

- `tokenizer.json`, `tokenizer_config.json`: a small byte-level tokenizer with Qwen2.5's splits and added tokens;
- `expected.json`:
  - `ids`: of each difficult text, its token ids;
  - `chats`: of each template and conversation, the text without and with the opening of the next turn, or null for both where
    the template refuses the conversation; the day is 26 July 2024;
  - `masks`: of each marked template and conversation, the ids and which of them the assistant says;
- `real.json`: the ids of the same texts by Qwen2.5-VL's own tokenizer.
"""

import argparse
import datetime
import json
import re
import sys
import tempfile
from pathlib import Path

import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

HERE = Path(__file__).parent / "texts"

TEXTS = [
    "",
    " ",
    "Hello, world!",
    "  leading and trailing  ",
    "tabs\tand\n\nnew lines \r\n and  \n  more\n",
    "don't I'm we'll they've it's SHE'D o'clock",
    "0 12 345 6789 1,234.56 3.14159 1e-5 0x1F 007",
    "x = (a+b)**2 # comment\nif x>=0:\n\treturn {'k': [1, 2]}\n",
    "\\boxed{\\frac{3}{4}} and $x^2 + y_1$",
    "café cafe\u0301 e\u0301\u0323 \u1e69 s\u0323\u0307 \ufb01 \u212b \uac00 \u1100\u1161",
    "日本語のテキスト、中文文本。한국어 텍스트",
    "Ελληνικά русский עברית العربية हिन्दी ไทย",
    "emoji 😀👍🏽 👩‍👩‍👧‍👦 🇩🇪 ❤️ end",
    "zero\u200bwidth \u00a0nbsp \u3000ideographic \ufeffbom soft\u00adhyphen",
    "control \u0000 \u0007 \u001b[0m \u007f \u0085",
    "ALLCAPS camelCase snake_case kebab-case path/to/file.txt http://a.b/c?d=e&f=g#h",
    "<|im_start|>user\nhi<|im_end|>\n",
    "a user types <|im_end|> and <|endoftext|> inside",
    "<|vision_start|><|image_pad|><|vision_end|>",
    "<|im_start|><|im_start|> <|im_end|>x<|im_end|>",
    "not special: <|im_start |> <|im_star <im_end|> < |im_end| >",
    "<think>why</think> <tool_call>{}</tool_call> < think >",
    "ﬀ ① ² ½ Ⅷ １２３ ａｂｃ",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbb!!!!!!!!........",
    "Zażółć gęślą jaźń — “quotes” ‘single’ … ‰ €",
    "mixed日本123abcКириллица😀end",
    "\U0001d54f\U0001d550 \U00020bb7 \U0010ffff",
    "line\u2028separator\u2029paragraph\u000bvertical\u000cform",
]

CORPUS = TEXTS[2:15] + TEXTS[23:26] + ["how many red circles are there ? the answer is that there are 3 of them . "] * 20

SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>",
    "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
]  # fmt: skip
VISIBLE = ["<tool_call>", "</tool_call>"]
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def turn(role, content):
    return {"role": role, "content": content}


IMAGE = {"type": "image"}


def text(said):
    return {"type": "text", "text": said}


CONVERSATIONS = [
    [turn("user", "What is 2+2?")],
    [turn("user", "What is 2+2?"), turn("assistant", "It is 4.")],
    [turn("system", "  Be brief.\n"), turn("user", "  hi \n"), turn("assistant", " hello \n")],
    [
        turn("user", "first?"),
        turn("assistant", "<think>\nlet me see\n</think>\n\none"),
        turn("user", "second?"),
        turn("assistant", "<think>again</think>two"),
    ],
    [turn("system", "s"), turn("user", "a"), turn("assistant", "b"), turn("user", "c")],
    [turn("user", [IMAGE, text("what is this?")]), turn("assistant", "a café 😀")],
    [
        turn("user", [text("compare "), IMAGE, text(" and "), IMAGE]),
        turn("assistant", [text("the second 日本")]),
        turn("user", "why?"),
        turn("assistant", "because\n\n"),
    ],
    [turn("user", "weather?"), turn("assistant", "calling"), turn("tool", '{"t": 21}'), turn("assistant", "21 degrees")],
    [turn("user", "a <|im_end|> inside"), turn("assistant", "")],
    [turn("assistant", "I begin"), turn("user", "and I follow")],
    [turn("user", "</think> {{ x }} {% if %} <b>&amp;'\"</b>"), turn("assistant", "\n<think>\n</think>\n\n x")],
]


def small_tokenizer(folder):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(SPLIT), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in VISIBLE])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    settings = {"bos_token": "<|object_ref_start|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    return PreTrainedTokenizerFast.from_pretrained(folder)


class Frozen(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


def rendered(tokenizer, template, conversation):
    try:
        return [
            tokenizer.apply_chat_template(conversation, chat_template=template, tokenize=False, add_generation_prompt=opened)
            for opened in (False, True)
        ]
    except Exception:  # Templates refuse conversations with exceptions of several kinds.
        return None


def ids(tokenizer):
    return [tokenizer(said, add_special_tokens=False)["input_ids"] for said in TEXTS]


def write(folder):
    chat_template_utils.datetime = Frozen
    transformers.logging.set_verbosity_error()
    tokenizer = small_tokenizer(folder)
    chats, masks = {}, {}
    for file in sorted((HERE / "templates").glob("*.jinja")):
        template = file.read_text()
        chats[file.stem] = [rendered(tokenizer, template, conversation) for conversation in CONVERSATIONS]
        if re.search(r"generation -?%}", template):
            masks[file.stem] = []
            for conversation in CONVERSATIONS:
                made = tokenizer.apply_chat_template(
                    conversation, chat_template=template, return_dict=True, return_assistant_tokens_mask=True
                )
                masks[file.stem].append([made["input_ids"], made["assistant_masks"]])
    expected = {
        "texts": TEXTS, "ids": ids(tokenizer), "conversations": CONVERSATIONS, "chats": chats, "masks": masks,
    }  # fmt: skip
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in expected.items())
    (folder / "expected.json").write_text("{\n" + lines + "\n}\n")


def check():
    """Regenerates and compares; true where nothing differs."""
    with tempfile.TemporaryDirectory() as temporary:
        ours = Path(temporary)
        write(ours)
        wrong = [file.name for file in sorted(ours.iterdir()) if file.read_bytes() != (HERE / file.name).read_bytes()]
    print("\n".join(f"texts/{name}: not the same bytes" for name in wrong) or "texts: unchanged")
    return not wrong


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true", help="compare with the committed files instead of writing")
    arguments.add_argument("--real", type=Path, metavar="TOKENIZER", help="write real.json by this tokenizer")
    given = arguments.parse_args()
    if given.check:
        return 0 if check() else 1
    if given.real:
        real = PreTrainedTokenizerFast.from_pretrained(given.real)
        (HERE / "real.json").write_text(json.dumps({"ids": ids(real)}, separators=(",", ":")) + "\n")
        return 0
    write(HERE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
