"""`run` on trained models and whole data sets against what timm predicted for them.

Needs the folders models/ (with golden.safetensors) and data/ in BITQUAKE_SHARED, or in ../shared.
Whole data sets with a large model take minutes: only with BITQUAKE_SLOW_TESTS=1.
"""

import json
import os
import pathlib
import sqlite3
import struct
import unittest

import bitquake

SHARED = pathlib.Path(os.environ.get("BITQUAKE_SHARED", bitquake.SOURCE.parent / "shared"))
SLOW = os.environ.get("BITQUAKE_SLOW_TESTS") == "1"


def int16s(path, name):
    """A tensor of a safetensors file."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    first, end = json.loads(content[8:8 + size])[name]["data_offsets"]
    return struct.unpack(f"<{(end - first) // 2}h", content[8 + size + first:8 + size + end])


def block(number):
    return {"block": {"blocks": [number]}}


@unittest.skipUnless((SHARED / "models").is_dir(), f"no trained models in {SHARED}")
class GoldenParity(bitquake.Case):
    def check(self, model, data, granularity, fp32_top1, int8_top1, *flags):
        folder = self.folder / "run"
        # One fold: predictions come in the order of the data set. Faults late in the network: the
        # golden passes are what this is about.
        file = self.write("campaign.json", bitquake.campaign(
            models=[str(SHARED / "models" / model)], dataset=str(SHARED / "data" / data),
            formats=["fp32", "int8"], granularities=[granularity],
            ber=[1e-6], trials=1, folds=1, images="all"))
        self.call("run", file, "--out", folder, *flags, patience=3600)
        golden = SHARED / "models" / model / "golden.safetensors"
        expected, labels = int16s(golden, "argmax"), int16s(golden, "labels")
        for name, top1 in (("fp32", fp32_top1), ("int8", int8_top1)):
            predicted = self.predictions(folder, name)
            self.assertEqual(len(predicted), len(expected))
            agreeing = sum(a == b for a, b in zip(predicted, expected))
            correct = 100 * sum(a == b for a, b in zip(predicted, labels)) / len(labels)
            print(f"{model} {name}: {agreeing} of {len(expected)} as timm's fp32, "
                  f"top-1 {correct:.2f}%, known {top1:.2f}%")
            self.assertAlmostEqual(correct, top1, delta=0.02)
            if name == "fp32":
                self.assertGreaterEqual(agreeing, 9995)
        stated = json.loads((folder / "campaign.json").read_text())["golden"]
        self.assertAlmostEqual(stated[0]["top1"], fp32_top1, delta=0.02)

    def predictions(self, folder, name):
        with sqlite3.connect(folder / "campaign.db") as database:
            ((blob,),) = database.execute(
                "SELECT predictions FROM goldens JOIN variants ON variants.id = variant "
                "WHERE format = ?", [name]).fetchall()
        return struct.unpack(f"<{len(blob) // 4}i", blob)

    def test_fashion_mnist(self):
        self.check("vit_tiny_patch4_28.fashion_mnist", "fashion-mnist", block(7), 92.10, 92.17)

    @unittest.skipUnless(SLOW, "slow: set BITQUAKE_SLOW_TESTS=1")
    def test_clip(self):
        self.check("vit_tiny_patch4_clip_28.fashion_mnist", "fashion-mnist", block(3), 92.20, 92.22)

    @unittest.skipUnless(SLOW, "slow: set BITQUAKE_SLOW_TESTS=1")
    def test_swin(self):
        self.check("swin_tiny_patch2_window7_28.fashion_mnist", "fashion-mnist", block(5), 89.43,
                   89.45)

    @unittest.skipUnless(SLOW, "slow: set BITQUAKE_SLOW_TESTS=1")
    def test_deepvit(self):
        self.check("deepvit_tiny_patch4_28.fashion_mnist", "fashion-mnist", block(7), 84.22, 84.25)

    @unittest.skipUnless(SLOW, "slow: set BITQUAKE_SLOW_TESTS=1")
    def test_torchscript(self):
        self.check("resnet_tiny_28.fashion_mnist", "fashion-mnist", "model", 92.48, 92.47,
                   "--allow-torchscript")

    @unittest.skipUnless(SLOW, "slow: set BITQUAKE_SLOW_TESTS=1")
    def test_tiny_imagenet(self):
        self.check("vit_small_patch8_64.tiny_imagenet", "tiny-imagenet", block(11), 46.33, 46.30)


if __name__ == "__main__":
    unittest.main(verbosity=2)
