"""Images become the pixels that timm's eval transform makes of them, on PIL.

    environment.py pixels_parity.py PARITY_PIXELS [DATA_SET...]

The images: the photos that scikit-learn's and matplotlib's wheels carry, as they are and re-encoded
at many sizes, shapes, qualities, subsamplings, colour modes, sequential and progressive, with an
EXIF orientation, as PNG; and some from the DATA_SETs (WebDataset tars), where given. The
transforms: those of models' pretrained_cfg, by timm.data.create_transform. PARITY_PIXELS
(pixels.cc) reads the same files and the config.json that timm exports.

99.9 % of all values must be at most one level off (of 255). That the comparison can tell is seen
from the same images with the wrong filter, which must fail.
"""

import argparse
import io
import random
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import PIL
import safetensors.torch
import timm
import torch
from PIL import Image
from timm.models._hub import save_config_for_hf

SEED = 2418
WITHIN_ONE = 0.999
SITE = Path(sysconfig.get_path("purelib"))
PHOTOS = (SITE / "sklearn/datasets/images/china.jpg", SITE / "sklearn/datasets/images/flower.jpg",
          SITE / "matplotlib/mpl-data/sample_data/grace_hopper.jpg")

SIZES = ((1, 1), (7, 3), (17, 333), (333, 17), (28, 28), (64, 64), (63, 65), (91, 60), (127, 500),
         (500, 127), (224, 224), (248, 248), (249, 250), (256, 341), (384, 384), (333, 500),
         (500, 333), (375, 500), (500, 375), (640, 427), (683, 1024), (1600, 1067))

# How an image is stored, and with which options of PIL's.
CODINGS = (
    ("RGB", dict(format="JPEG", quality=95, subsampling="4:4:4")),
    ("RGB", dict(format="JPEG", quality=90, subsampling="4:2:2")),
    ("RGB", dict(format="JPEG", quality=85, subsampling="4:2:0")),
    ("RGB", dict(format="JPEG", quality=75, subsampling="4:2:0", progressive=True)),
    ("RGB", dict(format="JPEG", quality=30, subsampling="4:2:0")),
    ("RGB", dict(format="JPEG", quality=98, subsampling="4:4:4", progressive=True)),
    ("RGB", dict(format="JPEG", quality=80, subsampling="4:2:0", exif=True)),
    ("L", dict(format="JPEG", quality=88)),
    ("L", dict(format="JPEG", quality=70, progressive=True)),
    ("CMYK", dict(format="JPEG", quality=92)),
    ("RGB", dict(format="PNG")),
    ("P", dict(format="PNG")),
    ("RGBA", dict(format="PNG")),
)

# A model of each kind of pretrained_cfg, cut to a block; and one input of 64 pixels.
MODELS = (
    ("224, crop 0.9", "vit_tiny_patch16_224.augreg_in21k_ft_in1k", {}),
    ("384, crop 1.0", "vit_tiny_patch16_384.augreg_in21k_ft_in1k", {}),
    ("64, crop 0.875", "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
     dict(img_size=64, pretrained_cfg_overlay=dict(input_size=(3, 64, 64), crop_pct=0.875))),
)


def encode(photo, size, mode, options, rng):
    """A random part of the photo, of the wanted shape, stretched to the wanted size."""
    scale = min(photo.width / size[0], photo.height / size[1]) * rng.uniform(0.6, 1)
    box = (max(1, size[0] * scale), max(1, size[1] * scale))
    left, top = rng.uniform(0, photo.width - box[0]), rng.uniform(0, photo.height - box[1])
    image = photo.resize(size, Image.Resampling.LANCZOS, (left, top, left + box[0], top + box[1]))
    options = dict(options)
    if options.pop("exif", False):
        exif = Image.Exif()
        exif[0x0112] = rng.choice((3, 6, 8))
        options["exif"] = exif
    if mode == "RGBA":
        image.putalpha(image.convert("L"))
    elif mode != "RGB":
        image = image.convert(mode)
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


def write_photos(folder):
    """Every size of every photo, the codings in turn."""
    rng = random.Random(SEED)
    paths = list(PHOTOS)
    for p, photo in enumerate(PHOTOS):
        image = Image.open(photo).convert("RGB")
        for s, size in enumerate(SIZES):
            for turn in range(2 if max(size) < 600 else 1):
                mode, options = CODINGS[(p + 2 * s + 5 * turn + 3 * p * s) % len(CODINGS)]
                paths.append(folder / f"{photo.stem}-{size[0]}x{size[1]}-{turn}.jpg")
                paths[-1].write_bytes(encode(image, size, mode, options, rng))
    return paths


def unpack(data_set, folder, images_of_each=10):
    """Some images of each tar."""
    paths = []
    for tar in sorted(data_set.glob("*.tar")):
        with tarfile.open(tar) as archive:
            members = [m for m in archive if m.name.lower().endswith((".jpg", ".jpeg", ".png"))]
            for member in members[::max(1, len(members) // images_of_each)]:
                paths.append(folder / f"{tar.stem}-{Path(member.name).name}")
                paths[-1].write_bytes(archive.extractfile(member).read())
    return paths


def reference(paths, config):
    """8-bit pixels: timm's transform whole, its normalisation undone."""
    transform = timm.data.create_transform(**config, is_training=False)
    mean = torch.tensor(config["mean"]).view(3, 1, 1)
    std = torch.tensor(config["std"]).view(3, 1, 1)
    images = []
    for path in paths:
        values = (transform(Image.open(path).convert("RGB")) * std + mean) * 255
        pixels = values.round()
        assert (values - pixels).abs().max() < 0.01, "not a transform of 8-bit pixels"
        images.append(pixels.to(torch.uint8).numpy())
    return np.stack(images)


def ours(program, model, paths, folder, shape):
    model_folder = folder / "model"
    model_folder.mkdir(exist_ok=True)
    safetensors.torch.save_file(model.state_dict(), model_folder / "model.safetensors")
    save_config_for_hf(model, model_folder / "config.json")
    run = subprocess.run([program, model_folder, folder / "pixels", *paths])
    if run.returncode != 0:
        raise SystemExit(f"{program} failed")
    return np.fromfile(folder / "pixels", np.uint8).reshape(shape)


def describe(name, differences):
    """Prints the figures; returns the share of values that are at most one level off."""
    within = float((differences <= 1).mean())
    print(f"{name:44} equal {100 * (differences == 0).mean():8.4f} %  within 1 "
          f"{100 * within:8.4f} %  largest difference {differences.max()}", flush=True)
    return within


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("data_sets", nargs="*", type=Path)
    arguments = parser.parse_args()
    print(f"timm {timm.__version__}, pillow {PIL.__version__}")
    failed = []
    with tempfile.TemporaryDirectory(prefix="bitquake-parity-") as name:
        folder = Path(name)
        paths = write_photos(folder)
        photos = len(paths)
        for data_set in arguments.data_sets:
            paths += unpack(data_set, folder)
        print(f"{photos} files from {len(PHOTOS)} photos, {len(paths) - photos} from data sets")
        for label, model_name, options in MODELS:
            torch.manual_seed(SEED)
            model = timm.create_model(model_name, depth=1, **options)
            config = timm.data.resolve_model_data_config(model)
            expected = reference(paths, config)
            pixels = ours(arguments.program, model, paths, folder, expected.shape)
            differences = np.abs(pixels.astype(np.int16) - expected)
            if not describe(label, differences) >= WITHIN_ONE:
                failed.append(label)
            worst = differences.reshape(len(paths), -1).max(axis=1)
            for i in np.argsort(-worst, kind="stable")[:5]:
                if worst[i] > 1:
                    print(f"    {paths[i].name}: {worst[i]}")
        wrong = reference(paths, {**config, "interpolation": "bilinear"})
        differences = np.abs(pixels.astype(np.int16) - wrong)
        if describe(f"{label}, against bilinear", differences) >= WITHIN_ONE:
            failed.append("the comparison itself: it takes one filter for another")
    if failed:
        sys.exit(f"not equal to timm's pixels: {', '.join(failed)}")


main()
