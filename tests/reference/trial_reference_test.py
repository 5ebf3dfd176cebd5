"""One trial from end to end: the evaluator and `bitquake run` against timm with faulty weights.

    python trial_reference_test.py PATH_OF_TRIAL_OUTCOME PATH_OF_BITQUAKE

Needs torch, timm and numpy. The bundled model, the first 200 of the bundled images, or a whole shard of
1,000 with BITQUAKE_SLOW_TESTS=1; the weights are quantised, hit and dequantised by bitquake_reference,
the images read by PIL and timm, the forwards timm's own.
"""

import csv
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest

import numpy as np
import PIL.Image
import safetensors.torch
import timm
import timm.data
import torch

import bitquake_reference as reference

SOURCE = pathlib.Path(__file__).resolve().parents[2]
MODEL = SOURCE / "deploy/demo/models/vit_tiny_patch4_28.fashion_mnist"
SHARD = SOURCE / "deploy/demo/data/fashion-mnist/fashionmnist-validation-00.tar"
IMAGES = 1000 if os.environ.get("BITQUAKE_SLOW_TESTS") == "1" else 200
SEED = 2418

BIT_FLIP = {"kind": "bit_flip"}


def spare(top_exponent_bit, bits):
    """Bit flips but in that position: one there makes a weight so large that it decides alone."""
    return {"kind": "bit_flip", "positions": [p for p in range(bits) if p != top_exponent_bit]}


# Number format, fault model and bit-error rate: one that costs some of 93% accuracy, and not all.
FORMATS = [
    ("int4", BIT_FLIP, 1e-2),
    ("int8", BIT_FLIP, 1e-2),
    ("int16", BIT_FLIP, 1e-2),
    ("fixed(2.6)", BIT_FLIP, 3e-4),
    ("fp16", BIT_FLIP, 3e-6),
    ("bf16", spare(14, 16), 3e-3),
    ("fp8_e4m3", BIT_FLIP, 5e-5),
    ("fp8_e5m2", BIT_FLIP, 3e-6),
    ("fp32", spare(30, 32), 1e-3),
]


def write_data(path):
    """The first images of a shard, as a shard of their own."""
    with tarfile.open(SHARD) as shard, tarfile.open(path, "w") as tar:
        members = shard.getmembers()  # of each image, itself and its label
        for member in members[:2 * IMAGES]:
            tar.addfile(member, shard.extractfile(member))


def images_and_labels(shard):
    config = json.loads((MODEL / "config.json").read_text())["pretrained_cfg"]
    transform = timm.data.create_transform(**timm.data.resolve_data_config(config))
    images, labels = [], []
    with tarfile.open(shard) as tar:
        for member in tar:
            content = tar.extractfile(member).read()
            if member.name.endswith(".cls"):
                labels.append(int(content))
            else:
                images.append(transform(PIL.Image.open(io.BytesIO(content)).convert("RGB")))
    assert len(images) == len(labels) == IMAGES
    return torch.stack(images), np.array(labels)


class Trials(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        torch.set_num_threads(1)  # as ctest runs beside it what else there is
        folder = tempfile.TemporaryDirectory(prefix="bitquake-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.data = cls.folder / "data"
        cls.data.mkdir()
        write_data(cls.data / SHARD.name)
        cls.images, cls.labels = images_and_labels(cls.data / SHARD.name)
        cls.weights = {name: tensor.float().numpy() for name, tensor in
                       safetensors.torch.load_file(MODEL / "model.safetensors").items()}
        config = json.loads((MODEL / "config.json").read_text())
        cls.model = timm.models.vision_transformer.VisionTransformer(
            num_classes=config["num_classes"], global_pool=config["global_pool"],
            **config["model_args"]).eval()
        cls.program = subprocess.Popen([PROGRAM, MODEL, cls.data, cls.folder / "pixels"], text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        cls.addClassCleanup(cls.end_program)

    @classmethod
    def end_program(cls):
        cls.program.stdin.close()
        cls.program.stdout.close()
        cls.program.wait()

    def ask(self, **request):
        self.program.stdin.write(json.dumps(request) + "\n")
        self.program.stdin.flush()
        answer = json.loads(self.program.stdout.readline())
        self.assertNotIn("error", answer)
        return answer

    def logits(self, name, quantization, kind, faults):
        """timm's, with the weights of the surface in a number format, after the faults; and the
        number of bits that these flip."""
        format = reference.Format.parse(name)
        hits = {tensor: [reference.Hit(*fault) for fault in listed] for tensor, listed in faults}
        weights, flips = dict(self.weights), 0
        for tensor in self.surface():
            words, scales = reference.quantize(weights[tensor], format, **quantization)
            faulty = reference.faulty_words(words, kind, hits.pop(tensor, []))
            flips += sum(int(word).bit_count() for word in (words ^ faulty)[words != faulty])
            weights[tensor] = reference.dequantize(faulty, scales, format)
        self.assertFalse(hits, "faults outside of the surface")
        self.model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
        with torch.inference_mode():
            logits = torch.cat([self.model(batch) for batch in self.images.split(100)]).numpy()
        return logits, flips

    def surface(self):
        return [name for name, weights in self.weights.items() if weights.ndim >= 2]

    def compare(self, name, trial, ber, fault, target={"kind": "model"}, quantization={}):
        """Asserts that both sides predict alike; returns the trial as the evaluator has it."""
        request = dict(format=name, quantization=quantization, fault=fault, target=target,
                       seed=SEED, trial=trial, ber=ber)
        drawn = self.ask(**request)
        self.assertCountEqual(drawn["surface"], self.surface())
        logits, flips = self.logits(name, quantization, fault["kind"], drawn["faults"])
        finite = np.isfinite(logits).all(axis=1)
        predictions = np.where(finite, np.where(finite[:, None], logits, 0).argmax(axis=1), -1)
        outcome = self.ask(**request, predictions=predictions.tolist())
        self.assertEqual(outcome["digest"], drawn["digest"])

        images, differing = len(self.labels), outcome["differing"]
        top1 = int((predictions == self.labels).sum())
        lead = np.diff(np.sort(logits[differing], axis=1)[:, -2:]).ravel()
        kind = " ".join(str(value) for value in fault.values() if isinstance(value, str))
        print(f"{name:10} {kind} at {ber:g}: {outcome['flips']} flips, golden "
              f"{outcome['golden_top1']}, top-1 {outcome['top1']} here {top1} of {images}, "
              f"non-finite {outcome['due']} here {(~finite).sum()}, differing {differing} by "
              f"{lead} of logits to {np.abs(logits[finite]).max(initial=0):.3g}", flush=True)
        self.assertEqual(outcome["images"], images)
        self.assertEqual(outcome["flips"], flips)
        self.assertLessEqual(len(differing), 0.0005 * images)
        self.assertLessEqual(abs(outcome["top1"] - top1), len(differing))
        return outcome

    def test_every_format(self):
        for name, fault, ber in FORMATS:
            with self.subTest(format=name):
                outcome = self.compare(name, 0, ber, fault)
                self.assertLess(outcome["top1"], outcome["golden_top1"] - 0.01 * IMAGES,
                                "costs some accuracy")
                self.assertGreater(outcome["top1"], 0.15 * IMAGES, "and not all")

    def test_golden_is_the_quantised_model(self):
        for name in ("int3", "fixed(2.6)"):
            with self.subTest(format=name):
                outcome = self.compare(name, 0, 0, BIT_FLIP)
                self.assertEqual(outcome["golden_top1"], outcome["top1"])
                self.assertEqual(outcome["flips"], 0)

    def test_huge_weights_and_logits_that_are_not_finite(self):
        self.assertGreater(self.compare("fp32", 1, 1e-6, BIT_FLIP)["due"], 0.5 * IMAGES)
        self.assertLess(self.compare("bf16", 0, 2e-6, BIT_FLIP)["top1"], 0.6 * IMAGES)

    def test_other_fault_models_targets_and_scales(self):
        channels = {"scale": "per_channel", "percentile": 99.5}
        for name, ber, fault, target, quantization in [
                ("int8", 2e-2, {"kind": "burst", "burst_length": 3}, {"kind": "model"}, channels),
                ("int4", 5e-2, {"kind": "stuck_at_1"}, {"kind": "model"}, channels),
                ("fp16", 2e-1, {"kind": "stuck_at_0", "sampling": "exact", "positions": [13]},
                 {"kind": "model"}, {}),
                ("int8", 5e-2, {"kind": "word"}, {"kind": "block", "name": "blocks.3"}, {}),
                ("fp32", 5e-2, {"kind": "bit_flip", "positions": [24, 25, 31]},
                 {"kind": "head", "name": "blocks.1.attn.h2"}, {})]:
            with self.subTest(format=name, fault=fault):
                outcome = self.compare(name, 5, ber, fault, target, quantization)
                self.assertGreater(outcome["flips"], 0)

    def test_a_campaign_reports_the_same_trial(self):
        """`bitquake run`: the fault list by its digest, and the correct images."""
        kinds = {"int8": {"kind": "bit_flip", "sampling": "exact"}, "fp16": {"kind": "stuck_at_0"}}
        for name, fault in kinds.items():
            with self.subTest(format=name):
                file, run = self.folder / f"{name}.json", self.folder / name
                file.write_text(json.dumps({  # JSON is YAML
                    "name": "one-trial", "seed": SEED, "models": [str(MODEL)],
                    "dataset": str(self.data), "formats": [name], "granularities": ["model"],
                    "fault": fault, "ber": [1e-2], "trials": 1, "images": "all"}))
                done = subprocess.run([BITQUAKE, "run", file, "--out", run], text=True,
                                      capture_output=True)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                with open(run / "trials.csv", newline="") as rows:
                    (row,) = csv.DictReader(rows)
                outcome = self.compare(name, 0, 1e-2, fault)
                self.assertEqual(row["faults_digest"], outcome["digest"])
                self.assertEqual(int(row["flips"]), outcome["flips"])
                self.assertEqual(int(row["images"]), outcome["images"])
                self.assertEqual(round(float(row["top1"]) / 100 * outcome["images"], 3),
                                 outcome["top1"])


if __name__ == "__main__":
    PROGRAM, BITQUAKE = sys.argv[1:3]
    del sys.argv[1:3]
    unittest.main()
