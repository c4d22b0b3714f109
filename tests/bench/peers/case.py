"""What every peer does: one case comes in as JSON (argv[1]), one line of JSON goes out.

The case is the same text that curricle's side of the comparison reads (tests/bench/main.rs), so that shapes, tokens and
repeats can't differ. A peer is a process of its own: its peak of memory is its own, and nothing is warm but what it warms.
"""

import json
import statistics
import subprocess
import sys
import time

CASE = json.loads(sys.argv[1])


def times(work, sync=lambda: None):
    """Seconds of each measured call; the first calls only warm up."""
    taken = []
    for _ in range(CASE["warm"] + CASE["repeats"]):
        sync()
        start = time.perf_counter()
        work()
        sync()
        taken.append(time.perf_counter() - start)
    return taken[CASE["warm"]:]


def median(work, sync=lambda: None):
    return statistics.median(times(work, sync))


def tokens(count, first=0):
    """The tokens of the other side: they follow from their number (`token` in tests/bench/case.rs)."""
    size = CASE["size"]["vocabulary"]
    return [16 + (number * 7919 + 13) % (size - 16) for number in range(first, first + count)]


def operations(length):
    """As `Size::operations` in tests/bench/case.rs."""
    size = CASE["size"]
    width, head = size["width"], size["width"] // size["heads"]
    attention = 2 * width * width + 2 * width * size["kv_heads"] * head
    weights = size["layers"] * (attention + 3 * width * size["inner"]) + size["vocabulary"] * width
    return 6 * (weights + size["layers"] * width * length)


def peak_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))


def device_mib():
    """Memory in use on the first GPU, asked as the other side asks."""
    if CASE["device"] == "cpu":
        return None
    ask = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return int(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.split()[0])


def answer(figures, who, **more):
    """`figures` as {name: (value, unit)}; who made them, with a version."""
    figures = [{"name": name, "value": value, "unit": unit} for name, (value, unit) in figures.items()]
    print(json.dumps({"figures": figures, "who": who, "peak_mib": peak_mib(), "device_mib": device_mib(), **more}))
