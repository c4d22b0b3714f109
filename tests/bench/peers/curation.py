"""What `filter`, `dedupe` and `balance` do (tests/bench/curation.rs), with the `datasets` library.

`datasets` has no near-duplicate search: MinHash here is numpy's, 128 permutations over runs of three words, banded as ours and
with the same rule on numbers, mapped over a process per core; then the pairs of one bucket are compared in one. Its filter is
one regular expression, which is less than ours does.
"""

import hashlib
import re
import resource
import time
from collections import defaultdict

import datasets
import numpy as np

from case import CASE, answer

PERMUTATIONS, BANDS, ROWS, RUN = 128, 21, 6, 3
random = np.random.default_rng(0)
TIMES = random.integers(1, 2**63, PERMUTATIONS, dtype=np.uint64) | np.uint64(1)
PLUS = random.integers(0, 2**63, PERMUTATIONS, dtype=np.uint64)


def usable(row):
    return 1 <= len(row["prompt"]) <= 20000 and re.fullmatch(r"-?[\d.,]+", row["answer"] or "") is not None


def sketch(row):
    words = re.findall(r"\w+", row["prompt"].lower())
    runs = {" ".join(words[i : i + RUN]) for i in range(max(1, len(words) - RUN + 1))}
    hashes = np.array([int.from_bytes(hashlib.blake2b(run.encode(), digest_size=8).digest(), "little") for run in runs], np.uint64)
    signature = ((hashes[:, None] * TIMES + PLUS) >> np.uint64(32)).min(0).astype(np.uint32)
    numbers = " ".join(word for word in words if any(c.isdigit() for c in word))
    text = " ".join(row["prompt"].lower().split()).rstrip(".?! ")
    return {"signature": signature.tobytes(), "numbers": numbers, "text": hashlib.blake2b(text.encode(), digest_size=16).digest()}


def repeats(sketches):
    signatures = np.frombuffer(b"".join(sketches["signature"]), np.uint32).reshape(-1, PERMUTATIONS)
    kept, texts, buckets = [], set(), defaultdict(list)
    for row, (text, numbers) in enumerate(zip(sketches["text"], sketches["numbers"])):
        if text in texts:
            continue
        signature = signatures[row]
        keys = [(band, numbers, signature[band * ROWS : (band + 1) * ROWS].tobytes()) for band in range(BANDS)]
        near = {other for key in keys for other in buckets.get(key, ())}
        if any((signatures[other] == signature).mean() >= 0.8 for other in near):
            continue
        texts.add(text)
        kept.append(row)
        for key in keys:
            buckets[key].append(row)
    return kept


def balanced(rows, total):
    cells = defaultdict(list)
    for row, (topic, level) in enumerate(zip(rows["topic"], rows["level"])):
        cells[topic, level].append(row)
    quota, left, kept = {}, total, []
    for place, (cell, members) in enumerate(sorted(cells.items(), key=lambda cell: len(cell[1]))):
        quota[cell] = min(len(members), left // (len(cells) - place))
        left -= quota[cell]
    for cell, members in cells.items():
        kept += list(random.permutation(members)[: quota[cell]])
    return sorted(kept)


if __name__ == "__main__":
    datasets.disable_progress_bars()
    datasets.disable_caching()
    file, threads = f"{CASE['folder']}/rows.jsonl", CASE["threads"]
    times = [time.perf_counter()]
    rows = datasets.load_dataset("json", data_files=file, split="train", cache_dir=f"{CASE['folder']}/cache")
    rows = rows.filter(usable, num_proc=threads)
    times.append(time.perf_counter())
    sketches = rows.map(sketch, remove_columns=rows.column_names, num_proc=threads)
    rows = rows.select(repeats(sketches[:]))
    times.append(time.perf_counter())
    rows = rows.select(balanced(rows.select_columns(["topic", "level"])[:], CASE["rows"] // 5))
    rows.to_json(f"{file}.out", force_ascii=False)
    times.append(time.perf_counter())
    figures = {"all three": (CASE["rows"] / (times[-1] - times[0]), "rows/s")}
    for name, start, end in zip(("filter", "dedupe", "balance"), times, times[1:]):
        figures[name] = (end - start, "s")
    peak = max(resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    answer(figures, f"datasets {datasets.__version__}", peak_mib=peak)
