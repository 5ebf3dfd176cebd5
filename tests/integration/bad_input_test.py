"""Bad input gets an error that says what, where and what to do, the right exit code, and loses nothing."""

import json
import pathlib
import shutil
import unittest

import bitquake

USAGE, FAILED, UNREACHABLE = 2, 1, 3


class BadInput(bitquake.Case):
    def model(self, name="model"):
        """A copy of the demo's model, to be spoilt."""
        return pathlib.Path(shutil.copytree(bitquake.MODEL, self.folder / name))

    def data(self):
        return pathlib.Path(shutil.copytree(bitquake.DATA, self.folder / "data"))

    def rejected(self, code, *parts, text=None, **fields):
        """`run` ends with this code and an error of one line that holds the parts; returns stderr."""
        file = self.write("campaign.yaml", text or bitquake.campaign(**fields))
        out, error = self.call("run", file, "--out", self.folder / "run", code=code)
        self.assertEqual(out, "")
        for part in parts:
            self.assertIn(part, error)
        return error

    def refused(self, *parts, **options):
        """Rejected before anything is made or started."""
        error = self.rejected(options.pop("code", USAGE), *parts, **options)
        self.assertFalse((self.folder / "run").exists())
        self.assertEqual(error.count("\n"), 1, error)
        return error

    # The campaign file.

    def test_unknown_field(self):
        text = bitquake.campaign()[:-1] + ', "trails": 3}'
        self.refused("campaign.yaml:1:", "unknown field 'trails'", "did you mean 'trials'?", text=text)

    def test_ber_of_two(self):
        self.refused("campaign.yaml:1:", "ber", "2", ber=[1e-3, 2])

    def test_missing_file(self):
        _, error = self.call("run", self.folder / "none.yaml", code=USAGE)
        self.assertIn("none.yaml", error)

    def test_empty_selector_match(self):
        self.refused("campaign.yaml: granularities", "no block 12; blocks are 0 to 7", granularities=[{"block": {"blocks": [12]}}])

    def test_misspelt_tensor_type(self):
        self.refused("kq", "did you mean", granularities=[{"type": ["kq"], "per": "model"}])

    def test_validate_counts_cells_and_finds_what_matches_nothing(self):
        file = self.write("campaign.yaml", bitquake.campaign(
            granularities=["model", {"block": {"ber": [1e-3, 1e-2]}}], formats=["int8", "int4"]))
        out, _ = self.call("validate", file)
        self.assertIn("34 cells, 68 trials", out)  # 2 formats x (1 target x 1 rate + 8 x 2) x 2
        told = json.loads(self.call("validate", file, "--json")[0])
        self.assertEqual(told["campaign"]["formats"], ["int8", "int4"])
        self.assertEqual(told["models"], [{"model": str(bitquake.MODEL), "cells": 34, "searched_targets": 0}])
        self.assertEqual(told["forecast"]["trials"], {"least": 68, "most": 68})
        # Two golden passes, and the reference's, over the images of two trials in each cell.
        images = told["forecast"]["images"]
        self.assertLessEqual(told["forecast"]["inferences"]["most"], (68 + 3) * images)
        self.assertIn(f"{told['forecast']['inferences']['most']:,}", out)
        file = self.write("campaign.yaml", bitquake.campaign(
            granularities=[{"block": {"blocks": [8]}}]))
        _, error = self.call("validate", file, code=USAGE)
        self.assertIn("no block 8; blocks are 0 to 7", error)
        file = self.write("campaign.yaml", bitquake.campaign(models=["elsewhere"]))
        out, _ = self.call("validate", file)
        self.assertIn("elsewhere: not on this machine", out)
        told = json.loads(self.call("validate", file, "--json")[0])
        self.assertEqual(told["models"][0]["cells"], None)
        self.assertEqual(told["forecast"], None)

    # The model.

    def test_missing_model(self):
        self.refused("model", "vit_tny", "did you mean", "--model-root",
                     models=[str(bitquake.MODEL.parent / "vit_tny_patch4_28.fashion_mnist")])

    def test_unknown_architecture(self):
        model = self.model()
        config = json.loads((model / "config.json").read_text())
        config["architecture"] = "mixer_b16_224"
        (model / "config.json").write_text(json.dumps(config))
        self.refused("mixer_b16_224", f"{model}: config.json", models=[str(model)])

    def test_code_runs_only_if_allowed(self):
        model = self.model()
        config = json.loads((model / "config.json").read_text())
        config["architecture"] = "mixer_b16_224"
        (model / "config.json").write_text(json.dumps(config))
        (model / "model.ts").write_text("no TorchScript")
        self.refused("mixer_b16_224", "--allow-torchscript", models=[str(model)])
        # Allowed, it is loaded; also by a run that goes on.
        run = self.folder / "run"
        _, error = self.call("run", self.folder / "campaign.yaml", "--out", run,
                             "--allow-torchscript", code=FAILED)
        self.assertIn("model.ts cannot be read as TorchScript", error)
        _, error = self.call("run", "--resume", run, code=FAILED)
        self.assertIn("model.ts cannot be read as TorchScript", error)
        self.assertTrue(json.loads((run / "run.json").read_text())["allow_torchscript"])

    def test_config_that_is_not_json(self):
        model = self.model()
        (model / "config.json").write_text("{")
        self.refused(f"{model}: config.json", models=[str(model)])

    def test_truncated_safetensors(self):
        model = self.model()
        weights = (model / "model.safetensors").read_bytes()
        for size in (0, 7, 100, len(weights) // 2, len(weights) - 1):
            (model / "model.safetensors").write_bytes(weights[:size])
            self.refused(str(model / "model.safetensors"), models=[str(model)])

    # The data set.

    def test_missing_data_set(self):
        self.refused("data set", "imagenet", "--data-root", dataset="imagenet")

    def test_truncated_tar(self):
        data = self.data()
        tar = sorted(data.glob("*.tar"))[1]
        content = tar.read_bytes()
        tar.write_bytes(content[:len(content) // 2])
        self.rejected(FAILED, tar.name, dataset=str(data))

    def test_broken_image(self):
        data = self.data()
        tar = sorted(data.glob("*.tar"))[0]
        content = bytearray(tar.read_bytes())
        at = content.index(b"IDAT") + 12  # inside of the first image's compressed pixels
        content[at:at + 20] = bytes(20)
        tar.write_bytes(content)
        self.rejected(FAILED, tar.name + ": t10k_00000: broken PNG", dataset=str(data))

    def test_class_beyond_the_models(self):
        data = self.data()
        tar = sorted(data.glob("*.tar"))[0]
        content = tar.read_bytes()
        # The first label's member: a header of 512 bytes, then the label.
        start = content.index(b".cls") // 512 * 512
        content = bytearray(content)
        content[start + 124:start + 135] = b"%011o" % 2  # its size
        content[start + 148:start + 156] = b" " * 8
        content[start + 148:start + 156] = b"%06o\0 " % sum(content[start:start + 512])
        content[start + 512:start + 514] = b"99"
        tar.write_bytes(content)
        self.rejected(FAILED, "label 99", "only 10 classes", dataset=str(data))

    # What exists is not overwritten, what runs is not disturbed.

    def test_run_directory_that_exists(self):
        run = self.folder / "run"
        run.mkdir()
        (run / "mine.txt").write_text("keep me")
        self.rejected(FAILED, str(run), "exists", "--resume", "--out")
        self.assertEqual([p.name for p in run.iterdir()], ["mine.txt"])

    def test_resume_of_no_run(self):
        _, error = self.call("run", "--resume", self.folder, code=FAILED)
        self.assertIn("no run to resume", error)

    def test_second_server_on_one_database(self):
        database = self.folder / "campaign.db"
        socket = f"unix:{self.folder}/server.sock"
        first = self.serve("--db", database, "--listen", socket)
        file = self.write("campaign.json", bitquake.campaign(models=["m"], dataset="d"))
        self.call("submit", file, "--server", socket)
        _, error = self.call("--db", database, "--listen", f"unix:{self.folder}/other.sock",
                             program="bitquake-server", code=FAILED)
        self.assertIn("another bitquake-server", error)
        self.assertIn(str(database), error)
        link = self.folder / "link.db"
        link.symlink_to(database)
        _, error = self.call("--db", link, "--listen", f"unix:{self.folder}/other.sock",
                             program="bitquake-server", code=FAILED)
        self.assertIn("another bitquake-server", error)
        # The first goes on, and what it had is there.
        out, _ = self.call("list", "--json", "--server", socket)
        self.assertEqual(len(json.loads(out)), 1)
        self.assertIsNone(first.poll())

    def test_second_server_on_one_socket(self):
        socket = f"unix:{self.folder}/server.sock"
        self.serve("--db", self.folder / "a.db", "--listen", socket)
        _, error = self.call("--db", self.folder / "b.db", "--listen", socket,
                             program="bitquake-server", code=FAILED)
        self.assertIn("another server listens", error)

    def test_database_that_is_none(self):
        database = self.write("campaign.db", "no database, but long enough to look like one" * 100)
        _, error = self.call("--db", database, "--listen", f"unix:{self.folder}/server.sock",
                             program="bitquake-server", code=FAILED)
        self.assertIn("campaign.db", error)

    def test_address_without_a_server(self):
        _, error = self.call("list", "--server", f"unix:{self.folder}/none.sock", code=UNREACHABLE)
        self.assertIn("none.sock", error)

    def test_usage(self):
        self.call("run", code=USAGE)
        self.call("lst", code=USAGE)
        self.call("show", code=USAGE)


if __name__ == "__main__":
    unittest.main(verbosity=2)
