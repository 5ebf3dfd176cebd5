"""Folders of images by class have the labels and the order that timm gives them.

    environment.py dataset_parity.py PARITY_DATASET

Trees as ImageNet's and as people make them (numbers with and without leading zeros, mixed case,
signs that sort before and after the path separator), with and without a validation subfolder, are
read by timm.data.create_dataset and by PARITY_DATASET (dataset.cc).
"""

import itertools
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from timm.data import create_dataset

SEED = 2418
CLASSES = {
    "as ImageNet": [f"n{number:08d}" for number in random.Random(SEED).sample(range(10**7), 40)],
    "numbers": [str(number) for number in range(25)],
    "words": ["cat", "Dog", "ant", "Zebra", "cat dog", "cat-dog", "cat_dog", "cat.dog", "catdog",
              "c"],
    "mixed": ["n1", "n1-x", "n1.x", "n1x", "N2", "n10", "n1x2", "n1x10", "1n", "01m", "_", "-", "~",
              "a", "a0", "a00b", "a0c", "A1", "B", "b2b", "7", "10", "x" * 60],
}
NAMES = ["1.jpg", "2.JPEG", "10.png", "a.jpg", "B.Jpeg", "a-1.PNG", "a_1.jpg", "x9.y10.jpg",
         "ILSVRC2012_val_00000293.JPEG", "ILSVRC2012_val_00002138.JPEG", "caf\u00e9.jpg"]


def write_tree(root, classes, rng):
    for name in classes:
        (root / name).mkdir(parents=True)
        for image in rng.sample(NAMES, rng.randint(1, len(NAMES))):
            (root / name / image).touch()
        (root / name / "notes.txt").touch()


def timms(folder):
    samples = create_dataset("", str(folder), split="validation").reader.samples
    return [f"{label} {path}" for path, label in samples]


def ours(program, folder):
    run = subprocess.run([program, folder], stdout=subprocess.PIPE, text=True)
    if run.returncode != 0:
        raise SystemExit(f"{program} failed on {folder}")
    return run.stdout.splitlines()


def main(program):
    rng = random.Random(SEED)
    failed = False
    for (name, classes), subfolder in itertools.product(CLASSES.items(), ("", "validation", "val")):
        with tempfile.TemporaryDirectory(prefix="bitquake-parity-") as folder:
            if subfolder:
                write_tree(Path(folder) / "train", ["other"], rng)
            write_tree(Path(folder) / subfolder, classes, rng)
            expected, found = timms(folder), ours(program, folder)
        assert len({line.split()[0] for line in expected}) == len(classes)
        print(f"{name:12} {subfolder or '.':11} {len(classes):3} classes {len(expected):4} images "
              f"{'equal' if found == expected else 'different'}", flush=True)
        if found != expected:
            failed = True
            for line, other in zip(expected, found):
                if line != other:
                    print(f"    timm: {line}\n    ours: {other}")
                    break
    if failed:
        sys.exit("not equal to timm's samples")


main(sys.argv[1])
