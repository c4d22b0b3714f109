"""transformers' fast tokenizer on whole lists of rows: text alone, and as chats through the template."""

import json

import transformers
from transformers import AutoTokenizer

from case import CASE, answer, median

folder = CASE["folder"]
tokenizer = AutoTokenizer.from_pretrained(CASE["model"] or f"{folder}/model")
with open(f"{folder}/rows.jsonl") as lines:
    rows = [json.loads(line) for line in lines]
prompts = [row["prompt"] for row in rows]
chats = [[{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["target"]}] for row in rows]
text = median(lambda: tokenizer(prompts))
chat = median(lambda: tokenizer.apply_chat_template(chats, tokenize=True))
figures = {"text": (len(rows) / text, "rows/s"), "chat": (len(rows) / chat, "rows/s")}
answer(figures, f"transformers {transformers.__version__}")
