"""One trial from end to end: the evaluator and `bitquake run` against timm with faulty weights.

    python trial_reference_test.py PATH_OF_TRIAL_OUTCOME

Needs torch, timm and numpy. The bundled model and images; the weights are quantised, hit and
dequantised by bitquake_reference, the images read by PIL and timm, the forwards timm's own.
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
DATA = SOURCE / "deploy/demo/data/fashion-mnist"
SEED, TRIAL = 2418, 0

# Format and bit-error rate: one that costs some of 93% accuracy, not all.
FORMATS = {
    "int4": 1e-2,
    "int8": 1e-2,
    "int16": 1e-2,
    "fixed(2.6)": 3e-3,
    "fp16": 1e-5,
    "bf16": 1e-5,
    "fp8_e4m3": 3e-3,
    "fp32": 1e-6,
}


def images_and_labels():
    config = json.loads((MODEL / "config.json").read_text())["pretrained_cfg"]
    transform = timm.data.create_transform(**timm.data.resolve_data_config(config))
    images, labels = [], []
    for shard in json.loads((DATA / "_info.json").read_text())["splits"]["validation"]["filenames"]:
        with tarfile.open(DATA / shard) as tar:
            for member in tar:
                content = tar.extractfile(member).read()
                if member.name.endswith(".cls"):
                    labels.append(int(content))
                else:
                    images.append(transform(PIL.Image.open(io.BytesIO(content)).convert("RGB")))
    assert len(images) == len(labels)
    return torch.stack(images), np.array(labels)


class Trials(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        torch.manual_seed(0)
        cls.images, cls.labels = images_and_labels()
        cls.weights = {name: tensor.float().numpy() for name, tensor in
                       safetensors.torch.load_file(MODEL / "model.safetensors").items()}
        config = json.loads((MODEL / "config.json").read_text())
        cls.model = timm.models.vision_transformer.VisionTransformer(
            num_classes=config["num_classes"], global_pool=config["global_pool"],
            **config["model_args"]).eval()
        folder = tempfile.TemporaryDirectory(prefix="bitquake-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.program = subprocess.Popen([PROGRAM, MODEL, DATA, cls.folder / "pixels"], text=True,
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
        """timm's, with the weights of the surface in a number format, after the faults."""
        format = reference.Format.parse(name)
        hits = {tensor: [reference.Hit(*fault) for fault in listed] for tensor, listed in faults}
        weights = dict(self.weights)
        for tensor in self.surface():
            words, scales = reference.quantize(weights[tensor], format, **quantization)
            words = reference.faulty_words(words, kind, hits.pop(tensor, []))
            weights[tensor] = reference.dequantize(words, scales, format)
        self.assertFalse(hits, "faults outside of the surface")
        self.model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
        with torch.inference_mode():
            return torch.cat([self.model(batch) for batch in self.images.split(100)]).numpy()

    def surface(self):
        return [name for name, weights in self.weights.items() if weights.ndim >= 2]

    def compare(self, name, ber, fault, target={"kind": "model"}, quantization={}):
        """Asserts that both sides predict alike; returns the trial as the evaluator has it."""
        request = dict(format=name, quantization=quantization, fault=fault, target=target,
                       seed=SEED, trial=TRIAL, ber=ber)
        drawn = self.ask(**request)
        self.assertCountEqual(drawn["surface"], self.surface())
        logits = self.logits(name, quantization, fault["kind"], drawn["faults"])
        finite = np.isfinite(logits).all(axis=1)
        predictions = np.where(finite, np.where(finite[:, None], logits, 0).argmax(axis=1), -1)
        trial = self.ask(**request, predictions=predictions.tolist())
        self.assertEqual(trial["digest"], drawn["digest"])

        images, differing = len(self.labels), trial["differing"]
        top1 = int((predictions == self.labels).sum())
        lead = np.diff(np.sort(logits[differing], axis=1)[:, -2:]).ravel()
        print(f"{name:10} {json.dumps(fault)} at {ber:g}: {trial['flips']} flips, golden "
              f"{trial['golden_top1']}, top-1 {trial['top1']} here {top1} of {images}, "
              f"non-finite {trial['due']} here {(~finite).sum()}, differing {differing} by "
              f"{lead} of logits to {np.abs(logits[finite]).max() if finite.any() else 0:.3g}")
        self.assertEqual(trial["images"], images)
        self.assertGreater(trial["flips"], 0)
        self.assertLessEqual(len(differing), 0.0005 * images)
        self.assertLessEqual(abs(trial["top1"] - top1), len(differing))
        return trial

    def test_every_format(self):
        for name, ber in FORMATS.items():
            with self.subTest(format=name):
                trial = self.compare(name, ber, {"kind": "bit_flip"})
                self.assertGreater(trial["golden_top1"] - trial["top1"], 10, "costs some accuracy")
                self.assertGreater(trial["top1"], 300, "and not all")


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
