#!/usr/bin/env python3
"""Makes this folder: images and tars, and what PIL and tarfile say of them (expected.json).

    python3 -m venv venv && venv/bin/pip install 'pillow<13' numpy && venv/bin/python make.py

Pixels are kept as SHA-256 of their bytes, for they must be equal: "rgb" of interleaved rows as
decoded, "resized" the same after Image.resize, "transformed" of planes after timm's eval transform.

Pillow 13 resizes vertically first where the height shrinks more than the width; the trained models'
published accuracies come from earlier ones, which always go horizontally first.
"""

import hashlib
import io
import json
import math
import pathlib
import struct
import tarfile
import zlib

import numpy as np
import PIL
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}

FIELDS = ("height", "width", "crop_pct", "crop_mode", "interpolation")
TRANSFORMS = {
    "224 of 248": (224, 224, 0.9, "center", "bicubic"),
    "384 whole": (384, 384, 1.0, "center", "bicubic"),
    "64": (64, 64, 0.875, "center", "bicubic"),
    "64 bilinear": (64, 64, 0.875, "center", "bilinear"),
    "64 squashed": (64, 64, 0.9, "squash", "bicubic"),
    "48 x 80": (48, 80, 0.9, "center", "bicubic"),
    "33 padded": (33, 33, 1.5, "center", "bicubic"),
    "20 x 33 squashed and padded": (20, 33, 1.2, "squash", "bilinear"),
}
SIZES = [(1, 1), (28, 28), (37, 200), (91, 17), (80, 120), (331, 248), (92, 120), (80, 121)]


def picture(width, height, channels=3):
    """Waves, an edge and a little noise: every filter tap matters, yet it compresses."""
    rng = np.random.default_rng(width * 10007 + height)
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for c in range(channels):
        wave = 110 + 80 * np.sin(x / (9 + 3 * c) + c) * np.cos(y / (14 - 2 * c))
        wave = np.where((x // 20 + y // 30 + c) % 5 == 0, 255 - wave / 4, wave)
        planes.append(wave + rng.integers(-4, 5, (height, width)))
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, color, rows, extra=b"", compress=zlib.compress):
    """A PNG that PIL cannot write itself. `rows` carry their filter bytes."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra +
            chunk(b"IDAT", compress(rows)) + chunk(b"IEND", b""))


def raw_png(width, height, depth, color, samples, extra=b""):
    rng = np.random.default_rng(depth * 8 + color)
    stride = (width * samples * depth + 7) // 8
    rows = rng.integers(0, 256, (height, stride + 1), dtype=np.uint8)
    rows[:, 0] = np.arange(height) % 5  # every filter
    return png(width, height, depth, color, rows.tobytes(), extra)


def encode(image, **options):
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


def jpeg(image, **options):
    return encode(image, format="JPEG", **options)


def good_files():
    color = Image.fromarray(picture(120, 80))
    large = Image.fromarray(picture(500, 333))
    cmyk = Image.fromarray(picture(61, 47, 4), mode="CMYK")
    grey = Image.fromarray(picture(70, 90)[..., 0])
    oriented = Image.Exif()
    oriented[0x0112] = 6
    cmyk_jpeg = jpeg(cmyk, quality=90)
    adobe = cmyk_jpeg.index(b"Adobe")
    files = {
        "420.jpg": jpeg(color, quality=85, subsampling="4:2:0"),
        "422.jpg": jpeg(color, quality=85, subsampling="4:2:2"),
        "444.jpg": jpeg(color, quality=95, subsampling="4:4:4"),
        "progressive.jpg": jpeg(Image.fromarray(picture(151, 203)), quality=75, progressive=True),
        "restarts.jpg": jpeg(color, quality=70, restart_marker_blocks=3),
        "grey.jpg": jpeg(grey, quality=90),
        "cmyk.jpg": cmyk_jpeg,
        # The same without the Adobe marker: PIL inverts it all the same.
        "cmyk_plain.jpg": cmyk_jpeg[:adobe - 4] + cmyk_jpeg[adobe + 12:],
        # And with the marker's transform saying YCCK.
        "ycck.jpg": cmyk_jpeg[:adobe + 11] + b"\x02" + cmyk_jpeg[adobe + 12:],
        "rotated_by_exif.jpg": jpeg(color, quality=80, exif=oriented),
        "large.jpg": jpeg(large, quality=60),
        "tall.jpg": jpeg(Image.fromarray(picture(37, 91)), quality=90),
        "1x1.jpg": jpeg(Image.fromarray(picture(1, 1)), quality=90),
        "wide_3x1.jpg": jpeg(Image.fromarray(picture(3, 1)), quality=90),
        "trailing_garbage.jpg": jpeg(Image.fromarray(picture(30, 20)), quality=80) + b"garbage",
        "color.png": encode(color, format="PNG"),
        "png_inside.jpg": encode(Image.fromarray(picture(40, 30)), format="PNG"),
        "jpeg_inside.png": jpeg(Image.fromarray(picture(40, 30)), quality=80),
        "1x1.png": encode(Image.fromarray(picture(1, 1)), format="PNG"),
        "grey.png": encode(grey, format="PNG"),
        "grey_transparent.png": raw_png(21, 13, 8, 0, 1, chunk(b"tRNS", b"\0\x07")),
        "color_transparent.png": raw_png(21, 13, 8, 2, 3, chunk(b"tRNS", b"\0\1\0\2\0\3")),
        "palette.png": encode(color.quantize(200), format="PNG"),
        "palette_4_bit.png": encode(color.quantize(13), format="PNG"),
        "palette_transparent.png": encode(color.quantize(60), format="PNG",
                                          transparency=bytes(range(60))),
        "alpha.png": encode(Image.fromarray(picture(53, 41, 4), mode="RGBA"), format="PNG"),
        "grey_alpha.png": encode(Image.fromarray(picture(53, 41, 2), mode="LA"), format="PNG"),
        "1_bit.png": raw_png(19, 11, 1, 0, 1),
        "2_bit.png": raw_png(19, 11, 2, 0, 1),
        "4_bit.png": raw_png(19, 11, 4, 0, 1),
        "16_bit_color.png": raw_png(19, 11, 16, 2, 3),
        "16_bit_alpha.png": raw_png(19, 11, 16, 6, 4),
        "16_bit_grey_alpha.png": raw_png(19, 11, 16, 4, 2),
        "gamma.png": raw_png(19, 11, 8, 2, 3, chunk(b"gAMA", struct.pack(">I", 100000))),
        "interlaced.png": interlaced(),
    }
    return files


def interlaced():
    """8 x 8 grey, Adam7."""
    pixels = (np.arange(64, dtype=np.uint8) * 4).reshape(8, 8)
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4),
              (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b"".join(b"\0" + row.tobytes()
                    for y, x, dy, dx in passes for row in pixels[y::dy, x::dx])
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) +
            chunk(b"IEND", b""))


def broken_files(good):
    """name: (bytes, a part of the error that names what is wrong)"""
    baseline, progressive, image = good["420.jpg"], good["progressive.jpg"], good["color.png"]
    scan = baseline.index(b"\xff\xda")
    flipped = bytearray(image)
    flipped[image.index(b"IDAT") + 1000] ^= 1
    broken_scan = bytearray(baseline)
    for i in range(scan + 200, scan + 260):
        broken_scan[i] = 0xAA
    palette = chunk(b"PLTE", bytes(range(6)))
    size = baseline.index(b"\xff\xc0") + 5
    return {
        "empty.jpg": (b"", "neither JPEG nor PNG"),
        "text.jpg": (b"GIF89a", "neither JPEG nor PNG"),
        "header_only.jpg": (baseline[:scan], "broken JPEG"),
        "truncated.jpg": (baseline[:len(baseline) * 2 // 3], "broken JPEG: Premature end"),
        "no_end_marker.jpg": (baseline[:-2], "broken JPEG: Premature end"),
        "truncated_progressive.jpg": (progressive[:-300], "broken JPEG: Premature end"),
        "corrupt_scan.jpg": (bytes(broken_scan), "broken JPEG: Corrupt"),
        "huge.jpg": (baseline[:size] + b"\xff\xdc\xff\xdc" + baseline[size + 4:],
                     "65500 x 65500"),
        "truncated.png": (image[:len(image) // 2], "broken PNG: the file is truncated"),
        "no_end_chunk.png": (image[:-12], "broken PNG: the file is truncated"),
        "flipped_bit.png": (bytes(flipped), "broken PNG: IDAT"),
        "too_few_rows.png": (png(4, 4, 8, 0, b"\0abcd\0abcd"), "broken PNG"),
        "index_beyond_palette.png": (png(4, 1, 8, 3, b"\0\0\1\2\3", palette), "broken PNG: a pixel's index"),
        "no_palette.png": (png(4, 1, 8, 3, b"\0\0\1\2\3"), "broken PNG"),
        "huge.png": (png(60000, 60000, 8, 2, b"\0"), "60000 x 60000"),
        "long.png": (png(70000, 1, 8, 0, b"\0" + bytes(70000)), "70000 x 1"),
        "16_bit_grey.png": (raw_png(19, 11, 16, 0, 1), "16-bit grey"),
    }


def transform(image, height, width, crop_pct, mode, interpolation):
    """timm's transforms_imagenet_eval with torchvision's Resize and CenterCrop."""
    target = [math.floor(height / crop_pct), math.floor(width / crop_pct)]
    w, h = image.size
    if mode == "squash":
        new_h, new_w = target
    elif target[0] == target[1]:
        short, long = min(w, h), max(w, h)
        new_short, new_long = target[0], int(target[0] * long / short)
        new_w, new_h = (new_short, new_long) if w <= h else (new_long, new_short)
    else:
        ratio = min(h / target[0], w / target[1])
        new_h, new_w = round(h / ratio), round(w / ratio)
    image = image.resize((new_w, new_h), FILTERS[interpolation])
    if width > new_w or height > new_h:
        padded = Image.new("RGB", (max(width, new_w), max(height, new_h)))
        padded.paste(image, (max(width - new_w, 0) // 2, max(height - new_h, 0) // 2))
        image = padded
    top = int(round((image.height - height) / 2.0))
    left = int(round((image.width - width) / 2.0))
    return image.crop((left, top, left + width, top + height))


def sha(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def describe(data):
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return {
        "width": image.width,
        "height": image.height,
        "rgb": sha(np.asarray(image)),
        "transformed": {name: sha(np.asarray(transform(image, *t)).transpose(2, 0, 1))
                        for name, t in TRANSFORMS.items()},
    }


def resized(data):
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return [{"width": w, "height": h, "filter": name,
             "rgb": sha(np.asarray(image.resize((w, h), f)))}
            for w, h in SIZES for name, f in FILTERS.items()]


def write_tar(name, tar_format, pax_headers=None):
    path = HERE / "tars" / name
    names = ["./", "a/", "a/b.c/first.jpg", "first.cls", "empty.txt", "l\u00e4nge.png"]
    names += ["p" * 90 + "/" + "n" * 60 + ".png"]
    if tar_format != tarfile.USTAR_FORMAT:
        names += ["long/" * 60 + "name.jpg"]
    names += ["last.cls"]
    with tarfile.open(path, "w", format=tar_format, encoding="utf-8") as tar:
        for i, member in enumerate(names):
            info = tarfile.TarInfo(member)
            info.pax_headers = dict(pax_headers or {})
            if member.endswith("/"):
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
                continue
            data = b"" if member.startswith("empty") else (member + "!").encode() * (1 + 7 * i)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "last.cls"
        tar.addfile(link)
    with tarfile.open(path, encoding="utf-8") as tar:
        return [{"name": m.name, "offset": m.offset_data, "size": m.size,
                 "sha256": sha(np.frombuffer(tar.extractfile(m).read(), np.uint8))}
                for m in tar.getmembers() if m.isfile()]


def main():
    if int(PIL.__version__.split(".")[0]) >= 13:
        raise SystemExit("make.py: needs a Pillow before 13, see above")
    good = good_files()
    broken = broken_files(good)
    for name, data in good.items():
        (HERE / "good" / name).write_bytes(data)
    for name, (data, _) in broken.items():
        (HERE / "broken" / name).write_bytes(data)
    expected = {
        "pillow": PIL.__version__,
        "transforms": {name: dict(zip(FIELDS, t))
                       for name, t in TRANSFORMS.items()},
        "good": {name: describe(data) for name, data in good.items()},
        "resized": {name: resized(good[name]) for name in ("color.png", "alpha.png", "1x1.png")},
        "broken": {name: message for name, (_, message) in broken.items()},
        "tars": {
            "ustar.tar": write_tar("ustar.tar", tarfile.USTAR_FORMAT),
            "gnu.tar": write_tar("gnu.tar", tarfile.GNU_FORMAT),
            "pax.tar": write_tar("pax.tar", tarfile.PAX_FORMAT, {"comment": "c" * 700}),
        },
    }
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


for folder in ("good", "broken", "tars"):
    (HERE / folder).mkdir(exist_ok=True)
main()
