"""Common mistakes: for each, the message names the place and the remedy, and the exit code is right."""

import json
import os
import pathlib
import shutil
import struct
import subprocess
import unittest

import bitquake

FAILED, USAGE, UNREACHABLE = 1, 2, 3
GOOD = "name: test\nmodels: [m]\ndataset: d\nber: [1e-3]\n"


def with_line(line, without=""):
    """A good campaign file, a line more at its end, those beginning with `without` left out."""
    lines = [kept for kept in GOOD.splitlines() if not without or not kept.startswith(without)]
    return "\n".join(lines + [line]) + "\n"


# What the file says; where it is wrong; what to do about it.
FILES = {
    "field misspelt": (with_line("trails: 3"), ":5:1: unknown field 'trails'", "did you mean 'trials'?"),
    "field given twice": (with_line("name: other"), ":5:1: field 'name' is given twice", "leave one out"),
    "field missing": (GOOD.replace("models: [m]\n", ""), ":1:1: missing field 'models'", "Folders below the model root"),
    "data set missing": (GOOD.replace("dataset: d\n", ""), ":1:1: missing field 'dataset'", "Folder below the data root"),
    "text for a number": (with_line("trials: many"), ":5:9: trials: ", "expected"),
    "number for a list": (with_line("models: 7", "models"), ":4:9: models: ", "expected"),
    "trials negative": (with_line("trials: -3"), ":5:9: trials: -3", "the smallest allowed, 1"),
    "BER above one": (with_line("ber: [1e-3, 2]", "ber"), ":4:13: ber[1]: 2", "the largest allowed, 1"),
    "BER negative": (with_line("ber: [-1e-3]", "ber"), ":4:7: ber[0]: -1e-3", "the smallest allowed, 0"),
    "BER grid backwards": (with_line("ber: {from: 1e-3, to: 1e-9, per_decade: 2}", "ber"), ":4:", "from"),
    "BER field misspelt": (with_line("ber: {form: 1e-9, to: 1e-3, per_decade: 2}", "ber"), ":4:7: ", "did you mean 'from'?"),
    "format unknown": (with_line("formats: [flot16]"), ":5:11: formats[0]: unknown number format 'flot16'", "known are int2 to int16"),
    "format near": (with_line("formats: [int8, fp23]"), ":5:17: formats[1]: unknown number format 'fp23'", "did you mean 'fp32'"),
    "granularity misspelt": (with_line("granularities: [blok]"), ":5:17: granularities[0]: 'blok'", "did you mean 'block'?"),
    "granularity's field misspelt": (with_line("granularities: [{block: {bloks: [1]}}]"), ":5:26: ", "did you mean 'blocks'?"),
    "tensor type misspelt": (with_line("granularities: [{type: [qq]}]"), ":5:25: granularities[0].type[0]: 'qq'", "did you mean 'q'"),
    "fault misspelt": (with_line("fault: bitflip"), ":5:8: fault: 'bitflip'", "did you mean 'bit_flip'?"),
    "protection misspelt": (with_line("fault: {kind: bit_flip, protection: secdet}"), ":5:37: ", "did you mean 'secded'?"),
    "images unknown": (with_line("images: some"), ":5:9: images: ", "expected"),
    "images none": (with_line("images: {first: 0}"), ":5:17: images.first: 0", "the smallest allowed, 1"),
    "compute unknown": (with_line("compute: fp64"), ":5:10: compute: 'fp64'", "did you mean"),
    "name with a slash": (with_line("name: a/b", "name"), ":4:7: name: 'a/b' holds a character", "other than A-Z"),
    "model twice": (with_line("models: [m, m]", "models"), ":4:13: models[1]: repeats item 0", "leave it out"),
    "tab": ("name: test\n\tmodels: [m]\n", ":2:", "spaces"),
    "quote open": (with_line("compute: \"fp32"), ":", "a quoted text is not closed"),
    "list at the top": ("- name: test\n", ":1:1: ", "expected a campaign, a map with the fields"),
    "anchor": (with_line("compute: &c fp32"), ":5:10: anchors", "write the value out"),
    "empty": ("", ":1:1: ", "expected a campaign, a map with the fields"),
    "fault list missing": (with_line("fault: {list: none.csv}", "ber"), ":4:15: fault.list: ", "give a CSV file of tensor,index,bit"),
    "fewest above most": (with_line("trials: {min: 20, max: 10, half_width: 0.5}"), ":5:", "max"),
}

# A command line; what is wrong; what to do about it.
COMMAND_LINES = {
    "no command": ([], "no command is given", "to begin: bitquake run"),
    "command misspelt": (["lst"], "there is no command 'lst'", "did you mean 'list'"),
    "command unknown": (["frobnicate"], "there is no command 'frobnicate'", "`bitquake --help` lists"),
    "option misspelt": (["run", "c.yaml", "--worker", "2"], "run: unknown option '--worker'", "did you mean '--workers'"),
    "option of the program": (["--sever", "x"], "unknown option '--sever'", "bitquake --help"),
    "argument missing": (["validate"], "validate: FILE is missing", "see `bitquake validate --help`"),
    "argument too many": (["validate", "a", "b"], "validate: 'b' is one argument too many", "usage: bitquake validate"),
    "value missing": (["run", "c.yaml", "--out"], "run: --out needs a value", "run directory to make"),
    "value no number": (["run", "c.yaml", "--workers", "many"], "run: 'many' is no value for --workers", "worker processes"),
    "value too small": (["run", "c.yaml", "--workers", "0"], "run: --workers: ", "1 to 256"),
    "choice misspelt": (["results", "x", "--format", "tabel"], "results: --format: 'tabel'", "did you mean 'table'?"),
    "device unknown": (["run", "c.yaml", "--device", "gpu"], "--device: 'gpu'", "cpu, cuda or cuda:NUMBER"),
    "neither file nor run": (["run"], "run needs a campaign file", "--resume DIR"),
    "both file and run": (["run", "c.yaml", "--resume", "d"], "run: FILE excludes --resume", "give one of the two"),
    "lease work negative": (["run", "c.yaml", "--lease-work-seconds", "-5"], "run: --lease-work-seconds: ", "0 to 86400"),
    "lease jobs negative": (["run", "c.yaml", "--max-lease-jobs", "-5"], "run: --max-lease-jobs: ", "1 to 1000000"),
    "shell unknown": (["completion", "tcsh"], "completion: SHELL: 'tcsh'", "bash, zsh, fish"),
    "help of nothing": (["help", "rum"], "there is no command 'rum'", "did you mean 'run'?"),
    "option required": (["protect", "x", "--ber", "1e-3"], "protect: --loss PP is missing", "percentage points"),
    "granularity unknown": (["inspect", str(bitquake.MODEL), "--granularity", "hed"], "'hed'", "did you mean 'head'?"),
    "format unknown": (["inspect", str(bitquake.MODEL), "--format", "fp17"], "--format: unknown number format 'fp17'", "did you mean 'fp16'"),
}


class Case(bitquake.Case):
    def told(self, code, place, remedy, *arguments):
        """The command fails with this code, and one line that holds place and remedy; returns it."""
        _, error = self.call(*arguments, code=code)
        self.assertRegex(error, "(?m)^bitquake: ")
        self.assertIn(place, error)
        lines = [line for line in error.splitlines() if place in line]
        self.assertTrue(any(remedy in line for line in lines), f"{remedy!r} in {lines}")
        self.assertNotIn("\x1b", error)
        return error


class CampaignFiles(Case):
    def test_each_names_line_and_remedy(self):
        for mistake, (text, place, remedy) in FILES.items():
            with self.subTest(mistake):
                file = self.write("campaign.yaml", text)
                error = self.told(USAGE, place, remedy, "validate", file)
                self.assertIn("campaign.yaml", error)
                # The same before anything is started, and of a file that is submitted.
                self.told(USAGE, place, remedy, "run", file, "--out", self.folder / "run")
                self.assertFalse((self.folder / "run").exists())
                self.told(USAGE, place, remedy, "submit", file, "--server", "unix:/nowhere")

    def test_files_that_are_none(self):
        self.told(USAGE, "none.yaml", "give the path of a campaign file", "validate", self.folder / "none.yaml")
        self.told(USAGE, str(self.folder), "give the path of a campaign file", "validate", self.folder)
        binary = self.folder / "binary.yaml"
        binary.write_bytes(bytes(range(256)))
        self.told(USAGE, "binary.yaml:1:1: ", "not text", "validate", binary)
        large = self.write("large.yaml", "#" * (2 << 20))
        self.told(USAGE, "large.yaml", "the limit of 1048576 bytes", "validate", large)
        old = self.folder / "secret.yaml"
        old.write_text(GOOD)
        old.chmod(0)
        if not self.reads_everything():
            self.told(USAGE, "secret.yaml", "Permission denied", "validate", old)

    def reads_everything(self):
        """As root does."""
        try:
            (self.folder / "secret.yaml").read_text()
        except PermissionError:
            return False
        return True

    def test_all_mistakes_of_a_file_are_told_at_once(self):
        file = self.write("campaign.yaml", with_line("trails: 3\ncompute: fp64"))
        _, error = self.call("validate", file, code=USAGE)
        self.assertIn("did you mean 'trials'?", error)
        self.assertIn("compute: 'fp64'", error)


class CommandLines(Case):
    def test_each_names_the_word_and_the_remedy(self):
        for mistake, (arguments, place, remedy) in COMMAND_LINES.items():
            with self.subTest(mistake):
                error = self.told(USAGE, place, remedy, *arguments)
                self.assertEqual(error.count("\n"), 1, error)


class Models(Case):
    def model(self, name="model"):
        return pathlib.Path(shutil.copytree(bitquake.MODEL, self.folder / name))

    def change_header(self, model, change):
        """Rewrites the header of its safetensors, which `change` may change."""
        file = model / "model.safetensors"
        content = file.read_bytes()
        size = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8:8 + size])
        change(header)
        text = json.dumps(header).encode()
        file.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size:])

    def change_config(self, model, **fields):
        config = json.loads((model / "config.json").read_text())
        config.update(fields)
        (model / "config.json").write_text(json.dumps(config))

    def refused(self, place, remedy, *models, **fields):
        file = self.write("campaign.yaml", bitquake.campaign(models=list(map(str, models)), **fields))
        self.told(USAGE, place, remedy, "run", file, "--out", self.folder / "run")
        self.assertFalse((self.folder / "run").exists())

    def test_name_misspelt(self):
        self.refused("model 'vit_tny' not found", "give a path, or the folder above it with --model-root", "vit_tny")
        root = bitquake.MODEL.parent
        file = self.write("campaign.yaml", bitquake.campaign(models=["vit_tiny_patch4_28.fashion_mist"]))
        self.told(USAGE, str(root), f"did you mean '{bitquake.MODEL.name}'?", "run", file, "--model-root", root)

    def test_files_missing(self):
        model = self.model()
        (model / "config.json").unlink()
        self.refused(f"{model}/config.json: no such file", "a model folder holds model.safetensors and config.json", model)
        model = self.model("other")
        (model / "model.safetensors").unlink()
        self.refused(f"{model}/model.safetensors: no such file", "a model folder holds model.safetensors and config.json", model)

    def test_config_that_is_not_json(self):
        model = self.model()
        (model / "config.json").write_text("{")
        self.refused(f"{model}: config.json", "again", model)

    def test_weights_cut_off(self):
        model = self.model()
        content = (model / "model.safetensors").read_bytes()
        (model / "model.safetensors").write_bytes(content[:len(content) // 2])
        self.refused(f"{model}/model.safetensors", "again", model)

    def test_architecture_unknown(self):
        model = self.model()
        self.change_config(model, architecture="mixer_b16_224")
        self.refused(f"{model}: config.json", "model.ts", model)

    def test_shapes_that_do_not_fit(self):
        model = self.model()
        self.change_header(model, lambda header: header["norm.weight"].update(shape=[64, 2]))
        self.refused("norm.weight", str(model), model)

    def test_classes_that_do_not_fit(self):
        model = self.model()
        self.change_config(model, num_classes=1000)
        self.refused(f"{model}: config.json: num_classes is 1000", "the weights have 10; ", model)

    def test_tensor_missing(self):
        model = self.model()
        self.change_header(model, lambda header: header.update({"nrom.weight": header.pop("norm.weight")}))
        self.refused("norm.weight", str(model), model)

    def test_two_of_one_name(self):
        (self.folder / "a").mkdir()
        (self.folder / "b").mkdir()
        self.refused("have the same name", "rename one of the folders", self.model("a/m"), self.model("b/m"))

    def test_weights_that_are_not_numbers(self):
        model = self.model()
        content = bytearray((model / "model.safetensors").read_bytes())
        content[-4:] = struct.pack("<f", float("nan"))
        (model / "model.safetensors").write_bytes(content)
        file = self.write("campaign.yaml", bitquake.campaign(models=[str(model)], formats=["fp32"]))
        self.told(FAILED, "a logit is NaN or infinite without any fault", "fetch model.safetensors again", "run", file, "--out", self.folder / "run")

    def test_targets_that_match_nothing(self):
        self.refused("granularities: model 'vit_tiny_patch4_28.fashion_mnist': no block 12", "blocks are 0 to 7",
                     bitquake.MODEL, granularities=[{"block": {"blocks": [12]}}])
        self.refused("granularities: ", "did you mean 'blocks.0'", bitquake.MODEL,
                     granularities=[{"regex": {"match": "^blcks\\.0", "name": "first"}}])
        self.refused("fault: ", "did you mean 'blocks.0'", bitquake.MODEL,
                     fault={"kind": "bit_flip", "protect": ["block.0"]})


    def test_path_that_is_not_utf8(self):
        (self.folder / "runs").mkdir()
        folder = os.fsencode(self.folder) + b"/caf\xe9"
        os.mkdir(folder)
        for fields in (dict(models=["m"], dataset=str(bitquake.DATA)), dict(dataset="d")):
            with open(folder + b"/campaign.yaml", "w") as file:
                file.write(bitquake.campaign(**fields))
            shutil.copytree(bitquake.MODEL if "models" in fields else bitquake.DATA,
                            os.fsdecode(folder + (b"/m" if "models" in fields else b"/d")))
            done = subprocess.run([bitquake.BIN / "bitquake", "run", folder + b"/campaign.yaml", "--out", self.folder / "runs/run"],
                                  capture_output=True, env=self.environment)
            self.assertEqual(done.returncode, USAGE, done.stderr)
            self.assertIn(rb"caf\xe9/", done.stderr)
            self.assertIn(b"is not UTF-8; rename the folder", done.stderr)
            self.assertEqual(list((self.folder / "runs").iterdir()), [])


class DataSets(Case):
    def data(self):
        return pathlib.Path(shutil.copytree(bitquake.DATA, self.folder / "data"))

    def fails(self, place, remedy, data, code=FAILED):
        file = self.write("campaign.yaml", bitquake.campaign(dataset=str(data)))
        self.told(code, place, remedy, "run", file, "--out", self.folder / "run")

    def test_name_misspelt(self):
        self.fails("data set 'fashion' not found", "--data-root", "fashion", code=USAGE)

    def test_no_images(self):
        data = self.folder / "data"
        data.mkdir()
        self.fails(str(data), "tars", data)

    def test_info_that_is_not_json(self):
        data = self.data()
        (data / "_info.json").write_text("{")
        self.fails(f"{data}/_info.json", "JSON", data)

    def test_info_that_names_a_tar_that_is_missing(self):
        data = self.data()
        tar = sorted(data.glob("*.tar"))[1]
        tar.unlink()
        self.fails(tar.name, "again", data)

    def test_tar_cut_off(self):
        data = self.data()
        tar = sorted(data.glob("*.tar"))[1]
        tar.write_bytes(tar.read_bytes()[:100_000])
        self.fails(tar.name, "again", data)

    def test_tar_that_is_none(self):
        data = self.data()
        tar = sorted(data.glob("*.tar"))[0]
        tar.write_bytes(b"no tar" * 1000)
        self.fails(tar.name, "again", data)


class Runs(Case):
    """Run directories, and what is asked of those that are done."""

    @classmethod
    def setUpClass(cls):
        cls.done = bitquake.Case("setUp")
        cls.done.setUp()
        cls.addClassCleanup(cls.done.doCleanups)
        cls.run_folder = cls.done.folder / "run"
        file = cls.done.write("campaign.yaml", bitquake.campaign(
            images={"first": 40}, granularities=["model", "part"], formats=["int8"]))
        cls.done.call("run", file, "--out", cls.run_folder)

    def test_directory_that_exists(self):
        file = self.write("campaign.yaml", bitquake.campaign())
        self.told(FAILED, f"run directory {self.folder} exists", "--resume", "run", file, "--out", self.folder)

    def test_directory_that_cannot_be_made(self):
        file = self.write("campaign.yaml", bitquake.campaign())
        self.told(FAILED, f"{file}/run", "--out", "run", file, "--out", file / "run")

    def test_resume_of_what_is_none(self):
        self.told(FAILED, f"{self.folder} holds no run", "give the folder that a run says it goes into", "run", "--resume", self.folder)
        self.write("run.json", "{")
        self.told(FAILED, f"{self.folder}/run.json: damaged", "run the campaign.yaml beside it anew", "run", "--resume", self.folder)

    def test_campaign_that_is_neither_run_nor_known(self):
        self.told(USAGE, f"{self.folder} is no run directory", "run.json", "results", self.folder)
        self.told(UNREACHABLE, "'runs/frist' is no run directory", "--server", "results", "runs/frist", "--server", "unix:/nowhere")

    def test_like_of_what_is_none(self):
        file = self.write("campaign.yaml", bitquake.campaign())
        self.told(USAGE, f"--like {self.folder}", "give the directory of a run that is done", "validate", file, "--like", self.folder)

    def test_like_of_damaged_files(self):
        file = self.write("campaign.yaml", bitquake.campaign())
        self.write("cells.csv", "top1_std\n1\n")
        for damaged in ("7", '{"images": 5}', '{"images": {"done": "x"}}', '{"finished_unix_ms": []}'):
            self.write("campaign.json", damaged)
            self.told(USAGE, f"--like {self.folder}", "campaign.json is not that of a run", "validate", file, "--like", self.folder)

    def test_results_of_two_campaigns_do_not_mix(self):
        out = self.folder / "results"
        told = json.loads(self.call("results", self.run_folder, "--out", out, "--json")[0])
        self.assertEqual(told["folder"], str(out))
        self.assertEqual(sorted(told["files"]), sorted(file.name for file in out.iterdir()))
        # A table that the campaign had at an earlier time, and one that is not known to be its.
        (out / "bits.csv").write_text("old\n")
        (out / "mine.csv").write_text("mine\n")
        self.call("results", self.run_folder, "--out", out)
        self.assertFalse((out / "bits.csv").exists())
        self.assertTrue((out / "mine.csv").exists())
        cells = (out / "cells.csv").read_bytes()
        for other in ('{"id": "another"}', "{}", "no JSON"):
            (out / "campaign.json").write_text(other)
            self.told(USAGE, str(out), "name another", "results", self.run_folder, "--out", out)
        self.assertEqual((out / "cells.csv").read_bytes(), cells)
        mine = self.folder / "mine"
        mine.mkdir()
        (mine / "images.csv").write_text("mine\n")
        self.call("results", self.run_folder, "--out", mine)
        self.assertEqual((mine / "images.csv").read_text(), "mine\n")

    def test_page_says_how_to_replay(self):
        self.assertIn("bitquake replay RUN-DIRECTORY CELL TRIAL", (self.run_folder / "report.html").read_text())
        self.call("report", self.run_folder, "-o", self.folder / "page.html")
        self.assertIn("bitquake replay RUN-DIRECTORY CELL TRIAL", (self.folder / "page.html").read_text())

    def test_campaign_file_that_is_edited_after_the_run_began(self):
        _, error = self.call("run", "--resume", self.run_folder)
        self.assertNotIn("was edited", error)
        file = self.run_folder / "campaign.yaml"
        text = file.read_text()
        self.addCleanup(file.write_text, text)
        file.write_text(text + "\n# more trials\n")
        _, error = self.call("run", "--resume", self.run_folder)
        self.assertIn(f"{file} was edited since this run began", error)

    def test_run_that_should_go_on_otherwise_than_it_began(self):
        resume = ("run", "--resume", self.run_folder)
        self.told(USAGE, f"{self.run_folder} began with --device cpu", "begin another run with --out", *resume, "--device", "cuda")
        self.told(USAGE, f"{self.run_folder} began with --workers 1", "begin another run with --out", *resume, "--workers", "2")
        self.call(*resume, "--device", "cpu", "--workers", "1")

    def test_cell_and_trial_that_are_not_there(self):
        self.told(USAGE, "99", "cells are 0 to 4", "replay", self.run_folder, 99, 0)
        self.told(USAGE, "no trial 7", "trials of a cell are 0 to 1", "replay", self.run_folder, 0, 7)
        self.told(USAGE, "replay: 'x' is no value for CELL", "column 'cell' of cells.csv", "replay", self.run_folder, "x", 0)

    def test_protect_asks_for_what_was_measured(self):
        ask = ["protect", self.run_folder, "--loss", "1"]
        self.told(USAGE, "BER 0.5", "0.001", *ask, "--ber", "0.5")
        self.told(USAGE, "'parts'", "did you mean 'part'?", *ask, "--ber", "1e-3", "--granularity", "parts")
        self.told(USAGE, "'vit'", bitquake.MODEL.name, *ask, "--ber", "1e-3", "--model", "vit")
        self.told(USAGE, "bit", "bits: each", *ask, "--ber", "1e-3", "--bits")


class Workers(Case):
    def test_spool_without_room(self):
        for limit in ("0", "-5", "-5MB"):
            _, error = self.call("--server", "unix:/nowhere", "--spool-limit", limit, program="bitquake-worker", code=USAGE, patience=30)
            self.assertIn("--spool-limit", error)

    def test_id_that_commands_a_terminal(self):
        server = self.serve("--db", self.folder / "a.db", "--listen", "127.0.0.1:0")
        address = f"127.0.0.1:{server.port}"
        _, error = self.call("--server", address, "--id", "w\x1b[2J\nforged", "--spool", self.folder / "spool", program="bitquake-worker", code=USAGE, patience=30)
        self.assertIn("--id", error)
        self.assertNotIn("\x1b", error)
        self.assertEqual(json.loads(self.call("workers", "--json", "--server", address)[0]), [])


class Servers(Case):
    def test_unreachable(self):
        for command in (["list"], ["workers"], ["show", "x"], ["watch", "x"], ["cancel", "x"]):
            self.told(UNREACHABLE, "cannot reach the server at unix:/nowhere", "name another with --server", *command, "--server", "unix:/nowhere")
        self.environment["BITQUAKE_SERVER"] = "127.0.0.1:1"
        self.told(UNREACHABLE, "127.0.0.1:1", "is it running?", "list")
        # A flag says more than the environment.
        self.told(UNREACHABLE, "cannot reach the server at unix:/nowhere", "name another", "list", "--server", "unix:/nowhere")

    def test_ids(self):
        socket = f"unix:{self.folder}/server.sock"
        self.serve("--db", self.folder / "a.db", "--listen", socket)
        self.environment["BITQUAKE_SERVER"] = socket
        self.told(FAILED, "no campaign 'x'", "`bitquake list` shows", "show", "x")
        ids = []
        for name in ("other", "twice", "twice"):
            file = self.write("campaign.yaml", bitquake.campaign(name=name, models=["m"], dataset="d"))
            out, _ = self.call("submit", file)
            ids.append(out.strip())
        for command in ("show", "watch", "pause", "resume", "cancel", "results"):
            self.told(USAGE, f"'twice' could be {ids[2]} or {ids[1]}", "give the whole ID", command, "twice")
            self.told(FAILED, "no campaign 'twise'", "did you mean 'twice'", command, "twise")
        out, _ = self.call("show", "other", "--json")
        self.assertEqual(json.loads(out)["id"], ids[0])
        out, _ = self.call("cancel", ids[0][:-2], "--json")
        self.assertEqual(json.loads(out)["id"], ids[0])
        self.told(FAILED, ids[0], "cancelled", "resume", ids[0])

    def test_submitted_paths(self):
        socket = f"unix:{self.folder}/server.sock"
        self.serve("--db", self.folder / "a.db", "--listen", socket)
        file = self.write("campaign.yaml", bitquake.campaign())
        self.told(USAGE, f"'{bitquake.MODEL}' is an absolute path", "give a folder below the root", "submit", file, "--server", socket)


if __name__ == "__main__":
    unittest.main()
