"""Makes tests/golden/images/: small image files and what transformers makes of them with Pillow.

    images.py            writes the folder images/ beside this script
    images.py --check    writes it into a temporary folder and compares (part of `make golden`)

Needs transformers 5.23, Pillow 12.3 and numpy; draws no random numbers, so running it again changes nothing.

The folder holds every file, and `expected.json`:

- `files`: of each file the upright RGB image that `load_image` and the image processor make of it: width, height, digest;
- `patches`: of some files the pixel values (little-endian float32) and grid, with the processor's bounds;
- `sizes`: `smart_resize` of every pair of `sides`, for each of the bounds; null where the reference refuses;
- `resized`: Pillow's bicubic resizing of `picture(width, height)`.

A digest is the hash h = (h * 0x100000001B3 + byte + 1) mod 2^64 over all bytes, in hexadecimal.
"""

import io
import json
import struct
import sys
import tempfile
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from transformers.image_utils import load_image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

HERE = Path(__file__).parent / "images"
warnings.filterwarnings("ignore")


def digest(data):
    values = np.frombuffer(bytes(data), np.uint8).astype(np.uint64) + np.uint64(1)
    powers = np.full(len(values), 0x100000001B3, np.uint64)
    powers[0] = 1
    return f"{int((values[::-1] * np.cumprod(powers, dtype=np.uint64)).sum(dtype=np.uint64)):016x}"


def picture(width, height):
    """A picture with smooth and jagged parts; the tests draw the same one."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 7 % 256, (x * 31 + y * 17) % 256], -1).astype(np.uint8)


def photo(width, height):
    """Soft shapes and colours, as JPEG likes them, with some hard edges."""
    y, x = np.mgrid[0:height, 0:width]
    soft = [128 + 100 * np.sin(x / 7.3 + y / 11), 128 + 120 * np.cos(x * y / 301), 60 + (x * 5 + y * 3) % 140]
    image = np.stack(soft, -1)
    image[height // 3 : height // 2, width // 4 : width // 2] = [250, 20, 30]
    return np.clip(image, 0, 255).astype(np.uint8)


# PNG, written by hand: Pillow cannot write most of the kinds that it reads.


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits, colours, rows, palette=None, transparent=None, before=b"", after=b"", interlaced=False):
    """`rows` are bytes; each row is stored unfiltered."""
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, interlaced))
    out += before
    if palette is not None:
        out += chunk(b"PLTE", bytes(palette))
    if transparent is not None:
        out += chunk(b"tRNS", bytes(transparent))
    data = b"".join(b"\0" + bytes(row) for row in rows)
    return out + chunk(b"IDAT", zlib.compress(data, 9)) + after + chunk(b"IEND", b"")


def packed(levels, bits):
    """Rows of small levels, several to a byte."""
    rows = []
    for row in levels:
        text = "".join(f"{int(level):0{bits}b}" for level in row)
        text += "0" * (-len(text) % 8)
        rows.append(bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8)))
    return rows


def adam7(image):
    """Rows of the seven passes of an interlaced RGB image."""
    rows = []
    for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        rows += [row.tobytes() for row in image[y0::dy, x0::dx] if row.size]
    return rows


def exif(value, order):
    """EXIF with nothing but an orientation; `order` is < or > for the bytes of numbers."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, value, 0)
    return mark + struct.pack(order + "IH", 8, 1) + entry + struct.pack(order + "I", 0)


def xmp(value):
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="{value}"/></x:xmpmeta>'.encode()


def png_files():
    w, h = 33, 30
    image = picture(w, h)
    grey = image[..., 2]
    wide = np.stack([image, 255 - image], -1).reshape(h, -1)  # 16 bits a colour: high byte, low byte
    palette = picture(16, 16).reshape(-1)
    indices = grey.astype(int) // 4 % 64
    for bits in (1, 2, 4, 8):
        yield f"grey{bits}.png", png(w, h, bits, 0, packed(grey >> (8 - bits), bits))
        yield f"palette{bits}.png", png(w, h, bits, 3, packed(indices % 2**bits, bits), palette[: 3 * 2**bits])
    dark = np.stack([grey // 200, grey], -1).reshape(h, -1)
    yield "grey16.png", png(w, h, 16, 0, dark)
    yield "grey16_clear0.png", png(w, h, 16, 0, dark * (dark > 99), transparent=[0, 0])
    yield "grey16_clear7.png", png(w, h, 16, 0, dark, transparent=[0, 7])
    yield "grey1_clear0.png", png(w, h, 1, 0, packed(grey >> 7, 1), transparent=[0, 0])
    yield "grey1_clear1.png", png(w, h, 1, 0, packed(grey >> 7, 1), transparent=[0, 1])
    yield "grey4_clear.png", png(w, h, 4, 0, packed(grey >> 4, 4), transparent=[0, 85])
    yield "grey8_clear.png", png(w, h, 8, 0, grey, transparent=[0, 48])
    yield "grey_alpha8.png", png(w, h, 8, 4, np.stack([grey, image[..., 0]], -1).reshape(h, -1))
    yield "grey_alpha16.png", png(w, h, 16, 4, np.stack([grey, grey // 3, image[..., 0], grey], -1).reshape(h, -1))
    yield "palette_short.png", png(w, h, 8, 3, indices.astype(np.uint8), palette[: 3 * 20])
    yield "palette_clear_first.png", png(w, h, 8, 3, indices.astype(np.uint8), palette, [0])
    yield "palette_clear_third.png", png(w, h, 8, 3, indices.astype(np.uint8), palette, [255, 255, 0, 255])
    yield "palette_clear_two.png", png(w, h, 8, 3, indices.astype(np.uint8), palette, [0, 255, 0])
    yield "palette_half_clear.png", png(w, h, 8, 3, indices.astype(np.uint8), palette, [128] * 64)
    yield "rgb8.png", png(w, h, 8, 2, image.reshape(h, -1))
    yield "rgb8_clear.png", png(w, h, 8, 2, image.reshape(h, -1), transparent=b"".join(bytes([0, v]) for v in image[4, 5]))
    yield "rgb8_interlaced.png", png(w, h, 8, 2, adam7(image), interlaced=True)
    yield "rgb16.png", png(w, h, 16, 2, wide)
    yield "rgb16_clear.png", png(w, h, 16, 2, wide, transparent=b"".join(bytes([0, v]) for v in image[4, 5]))
    alpha = np.concatenate([image, image[..., :1]], -1)
    yield "rgba8.png", png(w, h, 8, 6, alpha.reshape(h, -1))
    yield "rgba16.png", png(w, h, 16, 6, np.stack([alpha, 255 - alpha], -1).reshape(h, -1))
    turned = image.reshape(h, -1)
    yield "exif5.png", png(w, h, 8, 2, turned, before=chunk(b"eXIf", exif(5, ">")))
    yield "exif8_after.png", png(w, h, 8, 2, turned, after=chunk(b"eXIf", exif(8, "<")))
    packet = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(6)
    yield "xmp6.png", png(w, h, 8, 2, turned, before=chunk(b"iTXt", packet))


def jpeg(image, mode="RGB", **settings):
    out = io.BytesIO()
    Image.fromarray(image).convert(mode).save(out, "JPEG", **{"quality": 75, **settings})
    return out.getvalue()


def jpeg_files():
    image = photo(61, 47)
    for name, sampling in [("444", 0), ("422", 1), ("420", 2)]:
        yield f"{name}.jpg", jpeg(image, subsampling=sampling)
        yield f"{name}_progressive.jpg", jpeg(image, subsampling=sampling, progressive=True)
    yield "grey.jpg", jpeg(image, "L")
    yield "grey_progressive.jpg", jpeg(image, "L", progressive=True)
    yield "best.jpg", jpeg(image, quality=100, subsampling=2)
    yield "worst.jpg", jpeg(image, quality=5)
    yield "restarts.jpg", jpeg(image, restart_marker_blocks=2)
    inks = np.concatenate([255 - image, image[..., 1:2] // 3], -1)
    out = io.BytesIO()
    Image.fromarray(inks, "CMYK").save(out, "JPEG", quality=80)
    yield "cmyk.jpg", out.getvalue()
    small = photo(30, 28)
    for value in range(1, 9):
        yield f"exif{value}.jpg", jpeg(small, exif=b"Exif\0\0" + exif(value, "<>"[value % 2]))
    yield "exif9.jpg", jpeg(small, exif=b"Exif\0\0" + exif(9, "<"))
    yield "xmp3.jpg", jpeg(small, xmp=xmp(3))


def webp(image, **settings):
    out = io.BytesIO()
    Image.fromarray(image).save(out, "WEBP", **{"quality": 75, **settings})
    return out.getvalue()


def webp_files():
    image = photo(61, 47)
    clear = np.concatenate([image, image[..., :1]], -1)
    yield "lossy.webp", webp(image)
    yield "lossy_clear.webp", webp(clear)
    yield "lossless.webp", webp(image, lossless=True)
    yield "lossless_clear.webp", webp(clear, lossless=True, exact=True)
    yield "exif6.webp", webp(photo(30, 28), exif=b"Exif\0\0" + exif(6, "<"))
    yield "xmp3.webp", webp(photo(30, 28), xmp=xmp(3))
    frames = [Image.fromarray(photo(40, 30)), Image.fromarray(255 - photo(40, 30))]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], duration=100)
    yield "moving.webp", out.getvalue()


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    files, patches = {}, {}
    processor = Qwen2VLImageProcessorPil()
    bounds = {"min_pixels": 28 * 28 * 4, "max_pixels": 28 * 28 * 16}
    for name, data in [*png_files(), *jpeg_files(), *webp_files()]:
        (folder / name).write_bytes(data)
        upright = load_image(str(folder / name))
        rgb = processor.convert_to_rgb(upright)
        files[name] = [rgb.shape[1], rgb.shape[0], digest(rgb)]
        if name in ("rgb8.png", "rgba8.png", "palette_clear_first.png", "420.jpg", "cmyk.jpg", "exif6.jpg", "lossy_clear.webp"):
            size = {"shortest_edge": bounds["min_pixels"], "longest_edge": bounds["max_pixels"]}
            made = processor(images=upright, size=size, return_tensors="np")
            values = made["pixel_values"].astype("<f4")
            patches[name] = {"grid": made["image_grid_thw"][0].tolist(), "digest": digest(values.tobytes())}
    sides = [28, 29, 41, 42, 43, 56, 69, 70, 71, 84, 97, 98, 99, 126, 150, 154, 200, 333, 480, 640, 1000, 1080, 1920, 4000, 5599, 5600, 5601]
    sizes = []
    for low, high in [(3136, 12845056), (3136, 50176), (262144, 4194304), (200704, 1003520)]:
        found = []
        for height in sides:
            for width in sides:
                try:
                    found.append(smart_resize(height, width, 28, low, high)[::-1])
                except ValueError:
                    found.append(None)
        sizes.append({"min_pixels": low, "max_pixels": high, "found": found})
    cases = [(100, 60, 84, 56), (30, 45, 112, 140), (57, 300, 56, 308), (333, 97, 336, 84), (640, 480, 252, 168), (1, 200, 28, 196)]
    cases += [(200, 1, 196, 28), (2, 3, 280, 420), (28, 28, 56, 56), (56, 56, 28, 28), (600, 400, 28, 28), (28, 600, 28, 28)]
    cases += [(29, 5600, 28, 1120), (5600, 29, 1120, 28), (128, 128, 128, 84), (128, 128, 84, 128), (255, 257, 252, 252), (64, 64, 504, 28)]
    cases += [(w, h, W, H) for w, h in ((31, 77), (150, 113), (401, 223)) for W, H in ((28, 84), (140, 112), (308, 252), (420, 28))]
    resized = []
    for w, h, W, H in cases:
        resized.append([w, h, W, H, digest(np.array(Image.fromarray(picture(w, h)).resize((W, H), Image.Resampling.BICUBIC)))])
    expected = {"files": files, "bounds": bounds, "patches": patches, "sides": sides, "sizes": sizes, "resized": resized}
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in expected.items())
    (folder / "expected.json").write_text("{\n" + lines + "\n}\n")


def check():
    """Regenerates and compares; true where nothing differs."""
    with tempfile.TemporaryDirectory() as temporary:
        ours = Path(temporary)
        write(ours)
        names = {file.name for folder in (ours, HERE) for file in folder.iterdir() if file.is_file()}
        same = lambda name: all((f / name).is_file() for f in (ours, HERE)) and (ours / name).read_bytes() == (HERE / name).read_bytes()
        wrong = [name for name in sorted(names) if not same(name)]
    print("\n".join(f"images/{name}: not the same bytes" for name in wrong) or "images: unchanged")
    return not wrong


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if check() else 1)
    write(HERE)
