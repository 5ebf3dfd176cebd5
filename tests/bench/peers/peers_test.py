"""Tests the bench on the CPU with a tiny ViT: python3 tests/bench/peers/peers_test.py

Needs what peers.py needs. Bitquake's trial_bench is stood in for by a script of its contract, which
computes the faulty weights in numpy; BITQUAKE_TRIAL_BENCH names a real one to use instead.
"""

import contextlib
import io
import json
import os
import pathlib
import stat
import sys
import tempfile
import unittest

import numpy as np
import torch

import mrfi_trial
import peers
import pytorchfi_trial
import reference
import trial
import workload

CPU = torch.device("cpu")
IMAGES = 16
FLIPS = 500

# WRONG_BIT is added to the bit of the first fault.
TRIAL_BENCH = '''#!{python}
import argparse, csv, hashlib, json
import numpy as np
from safetensors.numpy import load_file

parser = argparse.ArgumentParser()
for name in ("model", "images", "faults", "format", "compute", "device"):
    parser.add_argument("--" + name, required=True)
for name in ("count", "batch", "repeats"):
    parser.add_argument("--" + name, required=True, type=int)
given = parser.parse_args()
images = np.fromfile(given.images, dtype=np.uint8)
assert images.size % given.count == 0 or images.size > given.count
words, scales = {{}}, {{}}
for name, weight in load_file(given.model + "/model.safetensors").items():
    if weight.ndim < 2:
        continue
    scales[name] = np.float32(np.abs(weight).max() / np.float32(127))
    words[name] = np.rint(weight / scales[name]).astype(np.int8)
wrong = {wrong_bit}
for fault in csv.DictReader(open(given.faults)):
    bit = (int(fault["bit"]) + wrong) % 8
    wrong = 0
    flat = words[fault["tensor"]].reshape(-1)
    flat[int(fault["index"])] ^= np.uint8(1 << bit).view(np.int8)
print(json.dumps({{
    "device": "stand-in", "compute": given.compute, "batch": given.batch, "images": given.count,
    "forward_images_per_s": [20.0, 10.0, 30.0][:given.repeats],
    "inject_s": [0.1, 0.2], "undo_s": 0.01, "infer_s": 1, "trial_s": [1.0, 2.0],
    "faulty_weights": {{name: hashlib.sha256((w.astype(np.float32) * scales[name]).astype("<f4")
                                            .tobytes()).hexdigest() for name, w in words.items()}},
    "predictions": []}}))
'''


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="bitquake-peers-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)


class Peers(Case):
    """Each route with real peers."""

    def setUp(self):
        super().setUp()
        self.load = workload.Workload.create("tiny", IMAGES, 0, self.folder)
        self.golden = reference.Reference(self.load.model)
        self.batches = workload.device_batches(self.load.images, self.load.batch, self.load.model,
                                               CPU)

    def measure(self, route, faults):
        expected = trial.Expected(faults.flips, self.golden.faulty_values(faults),
                                  self.predictions(faults))
        if isinstance(route, type):
            route = route(self.load, self.golden, faults, self.batches, CPU)
        return trial.measure(route, expected, CPU, repeats=2)

    def predictions(self, faults):
        model = workload.create_model(self.load.choice)
        reference.set_weights(model, self.golden.faulty_values(faults))
        with torch.inference_mode():
            return trial.predict(model, self.batches)

    def faults(self):
        return workload.draw_faults(workload.faultable_weights(self.load.model), FLIPS)

    def twice_in_a_word(self):
        """Bits 0 and 3 of one word."""
        return workload.FaultList({"blocks.1.mlp.fc2.weight": workload.TensorFaults(
            np.array([77, 77]), np.array([0, 3]))})

    def test_routes_that_give_the_lists_weights_are_timed(self):
        for route in (pytorchfi_trial.Values, pytorchfi_trial.Function, mrfi_trial.Documented,
                      mrfi_trial.Best):
            with self.subTest(route=route.__name__):
                rows = self.measure(route, self.faults())
                self.assertEqual([row.compute for row in rows], list(route.computes))
                self.assertEqual(rows[0].predictions, f"{IMAGES} of {IMAGES}")
                for row in rows:
                    self.assertEqual(row.flips, FLIPS)
                    for figure in (row.inject_s, row.infer_s, row.trial_s):
                        self.assertEqual(len(figure.values), 2)
                        self.assertGreater(figure.low, 0)

    def test_an_injection_that_takes_long_is_timed_once(self):
        limit = trial.LONG_INJECTION
        self.addCleanup(setattr, trial, "LONG_INJECTION", limit)
        trial.LONG_INJECTION = 0
        row = self.measure(pytorchfi_trial.Values, self.faults())[0]
        self.assertEqual(len(row.inject_s.values), 1)
        self.assertAlmostEqual(row.trial_s.low, row.inject_s.median + row.infer_s.low)
        self.assertIn("once", row.note)

    def test_mrfis_own_quantiser_is_refused(self):
        with self.assertRaisesRegex(trial.Refused, "values differ"):
            self.measure(mrfi_trial.OwnQuantization, self.faults())

    def test_a_route_that_loses_one_of_two_bits_in_a_word_is_refused(self):
        for route in (mrfi_trial.Documented, mrfi_trial.Best):
            with self.subTest(route=route.__name__):
                with self.assertRaisesRegex(trial.Refused, "1 of .* values differ.*mlp.fc2"):
                    self.measure(route, self.twice_in_a_word())
        self.measure(pytorchfi_trial.Function, self.twice_in_a_word())

    def test_a_fault_that_lands_nowhere_is_refused(self):
        route = pytorchfi_trial.Values(self.load, self.golden, self.twice_in_a_word(), self.batches,
                                       CPU)
        route._places["layer_num"] = [1000, 1000]
        with self.assertRaisesRegex(trial.Refused, "1 of .* values differ"):
            self.measure(route, self.twice_in_a_word())

    def test_weights_that_change_during_a_trial_are_refused(self):
        class Forgets(mrfi_trial.Documented):
            def run(self, compute):
                self._mrfi.golden = True  # quantises, and flips nothing
                return super().run(compute)

        with self.assertRaisesRegex(trial.Refused, "after the last forward pass"):
            self.measure(Forgets, self.faults())


class Reference(Case):
    def test_quantizes_and_flips_as_defined(self):
        # Scale 2: 5 is halfway between 2 and 3 words, -7 between -4 and -3; ties go to even.
        quantized = reference.quantize(torch.tensor([254.0, -254.0, 5.0, -7.0, 0.0, -0.1]))
        self.assertEqual(quantized.words.tolist(), [127, -127, 2, -4, 0, 0])
        faults = workload.TensorFaults(np.array([0, 1, 4, 2]), np.array([7, 7, 7, 1]))
        flipped = reference.flip(quantized, faults)
        self.assertEqual(flipped.words.tolist(), [-1, 1, 0, -4, -128, 0])
        self.assertEqual(flipped.values().tolist(), [-2.0, 2.0, 0.0, -8.0, -256.0, 0.0])
        self.assertEqual(quantized.words.tolist(), [127, -127, 2, -4, 0, 0])

    def test_a_difference_is_one_of_bits(self):
        expected = {"w": torch.tensor([1.0, 0.0])}
        self.assertEqual(reference.difference(expected, {"w": torch.tensor([1.0, 0.0])}), "")
        for found in ([1.0, -0.0], [float(np.nextafter(np.float32(1), np.float32(2))), 0.0]):
            self.assertIn("1 of 2 values differ",
                          reference.difference(expected, {"w": torch.tensor(found)}))
        self.assertIn("missing", reference.difference(expected, {}))


class Faults(Case):
    WEIGHTS = {"a": torch.zeros(3, 5), "b": torch.zeros(1), "c": torch.zeros(4)}

    def test_hit_each_word_at_most_once(self):
        faults = workload.draw_faults(self.WEIGHTS, 20)  # all
        self.assertEqual({name: hit.indices.tolist() for name, hit in faults.tensors.items()},
                         {"a": list(range(15)), "b": [0], "c": list(range(4))})
        bits = np.concatenate([hit.bits for hit in faults.tensors.values()])
        self.assertTrue(0 <= bits.min() and bits.max() <= 7)
        with self.assertRaisesRegex(workload.Unfit, "ask for fewer"):
            workload.draw_faults(self.WEIGHTS, 21)

    def test_are_the_same_each_time(self):
        paths = [self.folder / "1.csv", self.folder / "2.csv"]
        for path in paths:
            workload.save_faults(workload.draw_faults(self.WEIGHTS, 7), path)
        first, second = (path.read_text() for path in paths)
        self.assertEqual(first, second)
        self.assertEqual(first.splitlines()[0], "tensor,index,bit")
        self.assertEqual(len(first.splitlines()), 8)


class Driver(Case):
    def trial_bench(self, wrong_bit=0):
        path = self.folder / f"trial_bench_{wrong_bit}"
        path.write_text(TRIAL_BENCH.format(python=sys.executable, wrong_bit=wrong_bit))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def call(self, program, *arguments):
        out = self.folder / "peers.json"
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = peers.main(["--device", "cpu", "--models", "tiny", "--quick", "--images",
                               str(IMAGES), "--flips", str(FLIPS), "--bitquake", str(program),
                               "--out", str(out), *arguments])
        return code, json.loads(out.read_text()), printed.getvalue()

    def test_prints_all_programs_and_the_ratios(self):
        program = os.environ.get("BITQUAKE_TRIAL_BENCH") or self.trial_bench()
        code, found, printed = self.call(program, "--computes", "fp32,bf16")
        self.assertEqual(code, 0, printed)
        self.assertEqual({(row["program"], row["compute"]) for row in found["forward"]},
                         {(p, c) for p in ("timm eager", "Bitquake") for c in ("fp32", "bf16")})
        self.assertEqual({row["program"] for row in found["trials"]},
                         {"PyTorchFI 0.6.0", "MRFI 2.1.0", "Bitquake"})
        self.assertEqual([row["what"] for row in found["refused"]],
                         [f"MRFI 2.1.0, its SymmericQuantization, {FLIPS} flips"])
        # A forward ratio for each mode; and for each of 4 peer routes in fp32 two, in bf16 one.
        self.assertEqual(len(found["ratios"]), 2 + 4 * 2 + 3)
        for expected in ("Bitquake, in place, and undo", "its SymmericQuantization",
                         "times as fast", "torch 2.", "mrfi 2.1.0"):
            self.assertIn(expected, printed)

    def test_takes_figures_as_the_contract_has_them(self):
        _, found, _ = self.call(self.trial_bench(), "--computes", "fp32", "--only", "mrfi")
        (ours, _) = [row for row in found["trials"] if row["program"] == "Bitquake"]
        self.assertAlmostEqual(ours["inject_s"]["median"], 0.16)  # with undo
        self.assertEqual((ours["trial_s"]["min"], ours["trial_s"]["max"]), (1, 2))
        self.assertEqual(ours["predictions"], f"0 of {IMAGES}")

    def test_bitquake_with_other_weights_is_refused(self):
        code, found, printed = self.call(self.trial_bench(wrong_bit=1), "--only", "forward",
                                         "--computes", "fp32")
        self.assertEqual(code, 1)
        self.assertEqual({row["program"] for row in found["forward"]}, {"timm eager"})
        self.assertIn("1 of 10 faulty weights differ", printed)
        self.assertEqual(found["ratios"], [])

    def test_images_that_do_not_fill_batches_are_an_error(self):
        with self.assertRaisesRegex(SystemExit, "not a multiple of the batch"):
            self.call("/bin/false", "--images", "13")

    def test_a_bitquake_that_fails_is_an_error(self):
        code, found, printed = self.call("/bin/false", "--only", "forward", "--computes", "fp32")
        self.assertEqual(code, 1)
        self.assertIn("exited with 1", printed)


if __name__ == "__main__":
    torch.set_num_threads(1)  # the models are tiny
    unittest.main(verbosity=2)
