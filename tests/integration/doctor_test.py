"""doctor says what a worker here computes with, and measures compute modes against fp32."""

import json
import shutil
import struct
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

    def golden(self, *flags, model=bitquake.MODEL, code=0):
        """The check of a model's top-1 without faults."""
        out, _ = self.call("doctor", "--json", "--golden", *flags, "--model", model, "--data", bitquake.DATA,
                           "--cache", self.folder / "pixels", code=code)
        answer = json.loads(out)
        return answer["golden"], answer["checks"][-1]

    def test_golden_holds_the_demo_to_its_published_figure(self):
        measured, check = self.golden()
        self.assertEqual((measured["images"], measured["top1"]), (2000, 1857))
        self.assertEqual(check["verdict"], "good", check)
        self.assertIn("top-1 92.850% of 2000 images in fp32, published 92.850%", check["finding"])
        # One image is 0.05 points.
        figures = self.folder / "figures.csv"
        for top1 in ("92.80", "92.90"):
            figures.write_text("model,dataset,images,side,crop_pct,interpolation,parameters,top1,source\n"
                               f"{bitquake.MODEL.name},fashion-mnist,2000,28,1.0,bicubic,0,{top1},a mistake\n")
            _, check = self.golden(figures, code=FAILED)
            self.assertEqual(check["verdict"], "bad", check)
            self.assertIn("0.050 pp is more than 0.03", check["finding"])
            self.assertIn("bitquake fetch-help", check["remedy"])

    def test_golden_notices_other_weights_and_other_preprocessing(self):
        model = self.folder / bitquake.MODEL.name
        shutil.copytree(bitquake.MODEL, model)
        weights = bytearray((model / "model.safetensors").read_bytes())
        (size,) = struct.unpack("<Q", weights[:8])
        first, end = json.loads(weights[8:8 + size])["head.weight"]["data_offsets"]
        weights[8 + size + first:8 + size + end] = bytes(end - first)  # it knows one class only
        (model / "model.safetensors").write_bytes(weights)
        measured, check = self.golden(model=model, code=FAILED)
        self.assertLess(measured["top1"], 400)
        self.assertEqual(check["verdict"], "bad", check)
        shutil.copy(bitquake.MODEL / "model.safetensors", model)
        config = json.loads((model / "config.json").read_text())
        config["pretrained_cfg"]["interpolation"] = "bilinear"
        (model / "config.json").write_text(json.dumps(config))
        _, check = self.golden(model=model, code=FAILED)
        self.assertIn("prepares images otherwise: 28 pixels, crop 1, bilinear", check["finding"])

    def test_golden_says_when_no_figure_is_known(self):
        shutil.copytree(bitquake.MODEL, self.folder / "mine")
        _, check = self.golden(model=self.folder / "mine")
        self.assertEqual(check["verdict"], "warning")
        self.assertIn("--golden FILE", check["remedy"])

    def test_fetch_help_names_every_file(self):
        model = "vit_base_patch16_224.augreg_in21k_ft_in1k"
        out, _ = self.call("fetch-help", model)
        for part in (f"timm/{model}", "config.json", "model.safetensors", "timm/imagenet-1k-wds", "_info.json",
                     "imagenet1k-validation-63.tar", "n01440764/", "84.532%", "doctor --golden"):
            self.assertIn(part, out)
        self.assertNotIn("model.ts", out)
        self.assertIn("model.ts", self.call("fetch-help", "resnet50.tv_in1k")[0])
        out, _ = self.call("fetch-help", model, "--json")
        self.assertEqual(json.loads(out)["files"], ["config.json", "model.safetensors"])
        out, _ = self.call("fetch-help", model[:-1])
        self.assertIn(f"did you mean '{model}'", out)
        self.call("fetch-help", f"timm/{model}", code=USAGE)

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
        for measure in ("--fidelity", "--golden"):
            _, error = self.call("doctor", measure, code=USAGE)
            self.assertIn(f"{measure} is measured on a model and images of yours: give --model FOLDER", error)
        _, error = self.call("doctor", "--model", bitquake.MODEL, code=USAGE)
        self.assertIn("--golden or --fidelity", error)
        _, error = self.call("doctor", "--golden", "/nowhere.csv", "--model", "a", "--data", "b", code=FAILED)
        self.assertIn("/nowhere.csv: No such file or directory", error)
        _, error = self.call("doctor", "--fidelity", "--model", "/nowhere", "--data", bitquake.DATA, code=FAILED)
        self.assertIn("/nowhere: no such folder", error)


if __name__ == "__main__":
    unittest.main()
