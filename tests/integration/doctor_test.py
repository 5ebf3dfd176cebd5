"""doctor says what a worker here computes with, and measures compute modes against fp32."""

import json
import shutil
import subprocess
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

    def checks(self, *flags, code=0):
        """What it found, by subject."""
        out, _ = self.call("doctor", "--json", *flags, code=code)
        return {check["subject"]: check for check in json.loads(out)["checks"]}

    def test_finds_everything_in_order(self):
        socket = f"unix:{self.folder}/server.sock"
        self.serve("--db", self.folder / "a.db", "--listen", socket)
        found = self.checks("--model-root", bitquake.MODEL.parent, "--data-root", bitquake.DATA.parent,
                            "--server", socket)
        for subject in ("programs", "device cpu", "models", "data", "clock"):
            self.assertEqual(found[subject]["verdict"], "good", found[subject])
        self.assertIn("1 model", found["models"]["finding"])
        self.assertIn("fashion-mnist (2000 images)", found["data"]["finding"])
        self.assertIn("answers in", found["server"]["finding"])
        # Nobody computes yet; it says how to change that.
        self.assertEqual(found["server"]["verdict"], "warning")
        self.assertIn(f"bitquake-worker --server {socket}", found["server"]["remedy"])

    def test_says_how_to_mend_what_is_bad(self):
        (self.folder / "models" / "broken").mkdir(parents=True)
        (self.folder / "empty").mkdir()
        found = self.checks("--model-root", self.folder / "models", "--data-root", self.folder / "empty",
                            "--server", "unix:/nowhere", code=FAILED)
        for subject, remedy in (("models", "config.json and model.safetensors"), ("data", "_info.json"),
                                ("server", "bitquake-server --db")):
            self.assertEqual(found[subject]["verdict"], "bad", found[subject])
            self.assertIn(remedy, found[subject]["remedy"])
        found = self.checks("--model-root", "/nowhere", code=FAILED)
        self.assertIn("/nowhere: No such file or directory", found["models"]["finding"])
        out, error = self.call("doctor", "--server", "unix:/nowhere", code=FAILED)
        self.assertRegex(out, r"(?m)^bad +server: .*\n +-> start one: ")
        self.assertIn("1 check found what must be mended", error)

    def test_looks_for_the_other_programs(self):
        alone = self.folder / "bitquake"
        shutil.copy(bitquake.BIN / "bitquake", alone)
        done = subprocess.run([str(alone), "doctor"], capture_output=True, text=True, env=self.environment)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("bitquake-server is missing", done.stdout)
        self.assertIn("-> build all three with deploy/build.sh", done.stdout)

    def test_needs_a_gpu_only_if_one_is_asked_for(self):
        gpu = self.checks()["gpu"]
        self.assertIn(gpu["verdict"], ("good", "unchecked"))
        if gpu["verdict"] == "unchecked":  # this machine has none
            found = self.checks("--device", "cuda", code=FAILED)
            self.assertEqual((found["gpu"]["verdict"], found["device cuda"]["verdict"]), ("bad", "bad"))
            self.assertIn("NVIDIA's driver", found["gpu"]["remedy"])

    def test_tells_what_is_missing(self):
        _, error = self.call("doctor", "--device", "gpu", code=USAGE)
        self.assertIn("'gpu' is not cpu, cuda or cuda:NUMBER", error)
        _, error = self.call("doctor", "--fidelity", code=USAGE)
        self.assertIn("give --model FOLDER and --data FOLDER", error)
        _, error = self.call("doctor", "--fidelity", "--model", "/nowhere", "--data", bitquake.DATA, code=FAILED)
        self.assertIn("/nowhere: no such folder", error)


if __name__ == "__main__":
    unittest.main()
