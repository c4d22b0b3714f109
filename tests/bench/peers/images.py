"""Pillow and transformers: pixels to resized ones or to patches, a PNG file to patches; one image at a time, on one thread."""

import numpy as np
import PIL
import transformers
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from case import CASE, answer, median

SIZES = [
    ((1920, 1080), (1092, 616)),
    ((640, 480), (252, 168)),
    ((640, 480), (644, 476)),
    ((333, 97), (672, 196)),
    ((4000, 3000), (1148, 840)),
]


def picture(width, height):
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([x * 255 // width, y * 7 % 256, (x * 31 + y * 17) % 256], -1).astype(np.uint8))


def patches(image, target):
    size = {"shortest_edge": 56 * 56, "longest_edge": target[0] * target[1]}
    return processor(images=image, size=size, return_tensors="np")


processor = Qwen2VLImageProcessorPil()
figures = {}
for source, target in SIZES:
    image = picture(*source)
    name = f"{source[0]} × {source[1]} → {target[0]} × {target[1]}"
    figures[f"{name}, resizing alone"] = (1e3 * median(lambda: image.resize(target, Image.Resampling.BICUBIC)), "ms")
    figures[name] = (1e3 * median(lambda: patches(image, target)), "ms")
source, target = SIZES[0]
seconds = median(lambda: patches(Image.open(f"{CASE['folder']}/picture.png").convert("RGB"), target))
figures[f"a PNG file of {source[0]} × {source[1]} → {target[0]} × {target[1]}"] = (seconds * 1e3, "ms")
answer(figures, f"transformers {transformers.__version__}, Pillow {PIL.__version__}")
