"""doctor says what a worker here computes with, and measures compute modes against fp32."""

import json
import unittest

import bitquake

USAGE, FAILED = 2, 1


class Doctor(bitquake.Case):
    def test_names_the_device(self):
        out, _ = self.call("doctor")
        self.assertRegex(out, r"device cpu: cpu \w+ .+, torch 2\.")
        out, _ = self.call("doctor", "--json")
        self.assertEqual(json.loads(out)["device"], "cpu")

    def test_fidelity_counts_images_and_trials(self):
        out, _ = self.call("doctor", "--json", "--fidelity", "--model", bitquake.MODEL, "--data", bitquake.DATA,
                           "--images", "200", "--trials", "2", "--ber", "1e-3", "--cache", self.folder / "pixels")
        modes = {mode["compute"]: mode for mode in json.loads(out)["fidelity"]}
        self.assertEqual(set(modes), {"bf16", "fp16"})
        for mode in modes.values():
            self.assertEqual((mode["golden"]["images"], mode["faulty"]["images"]), (200, 400))
            self.assertGreater(mode["golden"]["same"], 195)
            self.assertGreater(mode["golden"]["fp32_top1"], 170)

    def test_tells_what_is_missing(self):
        _, error = self.call("doctor", "--device", "gpu", code=USAGE)
        self.assertIn("'gpu' is not cpu, cuda or cuda:NUMBER", error)
        _, error = self.call("doctor", "--fidelity", code=USAGE)
        self.assertIn("give --model FOLDER and --data FOLDER", error)
        _, error = self.call("doctor", "--fidelity", "--model", "/nowhere", "--data", bitquake.DATA, code=FAILED)
        self.assertIn("/nowhere: no such folder", error)


if __name__ == "__main__":
    unittest.main()
