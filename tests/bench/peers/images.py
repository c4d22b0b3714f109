"""Pillow and transformers on the sizes of `bench_resizing` (datasets/src/resize/tests.rs), one thread, median of 31.

    python tests/bench/peers/images.py
"""

import statistics
import time

import numpy as np
import PIL
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil


def picture(width, height):
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([x * 255 // width, y * 7 % 256, (x * 31 + y * 17) % 256], -1).astype(np.uint8))


def median(call):
    times = []
    for _ in range(31):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


print("Pillow", PIL.__version__)
processor = Qwen2VLImageProcessorPil()
for source, target in [
    ((1920, 1080), (1092, 616)),
    ((640, 480), (252, 168)),
    ((640, 480), (644, 476)),
    ((333, 97), (672, 196)),
    ((4000, 3000), (1148, 840)),
]:
    image = picture(*source)
    resize = median(lambda: image.resize(target, Image.Resampling.BICUBIC))
    size = {"shortest_edge": 56 * 56, "longest_edge": target[0] * target[1]}
    whole = median(lambda: processor(images=image, size=size, return_tensors="np"))
    print(f"{source} -> {target}: {resize:.2f} ms; up to patches {whole:.2f} ms")
