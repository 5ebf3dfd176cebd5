"""What is kept of trials, and trials computed again: bitmaps of images, attention distances, `replay`."""

import contextlib
import csv
import io
import json
import pathlib
import shutil
import sqlite3
import tempfile
import unittest

import bitquake

FAILED, USAGE = 1, 2
IMAGES, FOLDS, BLOCKS, HEADS = 90, 2, 8, 4
FIELDS = dict(name="kept", seed=7, formats=["int8"], trials=2, folds=FOLDS,
              images={"first": IMAGES}, keep="images", attention_distance="faulty",
              granularities=["model", {"block": {"blocks": [2]}}], ber=[1e-5, 1e-2])
CELLS = 4
SWIN = bitquake.SOURCE.parent / "shared/models/swin_tiny_patch2_window7_28.fashion_mnist"


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def bits(text):
    """The bits of a bitmap in hexadecimal, the first image first."""
    number = int.from_bytes(bytes.fromhex(text), "little")
    return [number >> i & 1 for i in range(4 * len(text))]


class Replay(bitquake.Case):
    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="bitquake-test-")
        cls.addClassCleanup(scratch.cleanup)
        cls.pristine = pathlib.Path(scratch.name) / "run"

    def setUp(self):
        super().setUp()
        if not self.pristine.exists():
            self.measure(bitquake.campaign(**FIELDS), self.pristine)
        self.run = pathlib.Path(shutil.copytree(
            self.pristine, self.folder / "run", ignore=shutil.ignore_patterns("*.sock")))

    def measure(self, text, folder, *flags):
        self.call("run", self.write("campaign.json", text), "--out", folder, *flags)
        return folder

    def tamper(self, statement):
        with contextlib.closing(sqlite3.connect(self.run / "campaign.db")) as database:
            self.assertEqual(database.execute(statement).rowcount, 1)
            database.commit()

    def trial(self, cell, trial):
        """The row of trials.csv."""
        key = rows((self.run / "cells.csv").read_text())[cell]
        self.assertEqual(key["cell"], str(cell))
        (found,) = [row for row in rows((self.run / "trials.csv").read_text())
                    if row["trial"] == str(trial)
                    and all(row[name] == key[name] for name in ("target", "ber"))]
        return found

    # What is kept.

    def test_bitmaps_agree_with_the_counts(self):
        kept = rows((self.run / "images.csv").read_text())
        self.assertEqual(len(kept), CELLS * 2 * FOLDS)
        places = rows((self.run / "folds.csv").read_text())
        self.assertEqual(sorted(int(row["image"]) for row in places), list(range(IMAGES)))
        size = {fold: sum(row["fold"] == fold for row in places) for fold in ("0", "1")}
        changed = 0
        for trial in rows((self.run / "trials.csv").read_text()):
            folds = [row for row in kept
                     if all(row[name] == trial[name] for name in ("target", "ber", "trial"))]
            self.assertEqual([row["fold"] for row in folds], ["0", "1"])
            right = sum(sum(bits(row["correct"])) for row in folds)
            same = sum(sum(bits(row["same"])) for row in folds)
            self.assertAlmostEqual(100 * right / IMAGES, float(trial["top1"]))
            self.assertEqual(same, IMAGES - int(trial["sdc"]) - int(trial["due"]))
            for row in folds:
                self.assertFalse(any(bits(row["correct"])[size[row["fold"]]:]))
            changed += IMAGES - same
        self.assertGreater(changed, 0)

    def test_attention_distances_are_those_of_golden_and_of_each_trial(self):
        mad = rows((self.run / "mad.csv").read_text())
        golden = [row for row in mad if row["trial"] == ""]
        self.assertEqual([(row["format"], row["block"], row["head"]) for row in golden],
                         [(form, str(block), str(head)) for form in ("fp32", "int8")
                          for block in range(BLOCKS) for head in range(HEADS)])
        self.assertEqual(len(mad) - len(golden), CELLS * 2 * BLOCKS * HEADS)
        for row in mad:
            self.assertEqual(row["images"], str(IMAGES))
            # Between a head that looks at its own patch and one at the far corner of 28 pixels.
            self.assertGreater(float(row["mad_px"]), 0)
            self.assertLess(float(row["mad_px"]), float(row["mad_renormalised_px"]))
            self.assertLess(float(row["mad_renormalised_px"]), 24 * 2 ** 0.5)
        # A fault in block 2 leaves the blocks before it alone.
        first = {(row["block"], row["head"]): row["mad_px"] for row in golden
                 if row["format"] == "int8"}
        for row in mad:
            if row["target"] == "blocks.2" and row["block"] in ("0", "1"):
                self.assertEqual(row["mad_px"], first[row["block"], row["head"]])
        self.assertTrue(any(row["target"] == "blocks.2" and row["block"] == "3"
                            and row["mad_px"] != first["3", row["head"]] for row in mad))

    def test_all_of_it_is_the_same_however_jobs_are_leased(self):
        other = self.measure(bitquake.campaign(**FIELDS), self.folder / "other", "--workers", "2",
                             "--max-lease-jobs", "1")
        for name in ("cells.csv", "trials.csv", "images.csv", "folds.csv", "mad.csv"):
            self.assertEqual((other / name).read_text(), (self.run / name).read_text(), name)

    def test_a_campaign_that_keeps_nothing_has_no_such_files(self):
        fields = dict(FIELDS, keep=None, attention_distance=None, trials=1, ber=[1e-3],
                      granularities=["model"])
        folder = self.measure(bitquake.campaign(**fields), self.folder / "plain")
        for name in ("images.csv", "folds.csv", "mad.csv"):
            self.assertFalse((folder / name).exists(), name)

    if SWIN.exists():  # models beside the checkout
        def test_attention_within_windows_has_no_such_distance(self):
            file = self.write("campaign.json", bitquake.campaign(**dict(FIELDS, models=[str(SWIN)])))
            for command in ("run", "validate"):
                _, error = self.call(command, file, code=USAGE)
                self.assertIn("attention_distance: model '", error)
                self.assertIn("windows", error)

    # Replay.

    def test_a_trial_of_a_run_is_identical(self):
        for cell, trial in ((3, 1), (0, 0)):
            faults, verdict = self.call("replay", self.run, cell, trial)
            self.assertIn("identical", verdict)
            listed = rows(faults)
            self.assertEqual(list(listed[0]), ["tensor", "index", "bit"])
            self.assertEqual(str(len(listed)), self.trial(cell, trial)["flips"])
        out, _ = self.call("replay", self.run, 3, 1, "--json")
        self.assertEqual(json.loads(out)["identical"], True)

    def test_printed_faults_are_a_list_that_gives_the_same_trial(self):
        fields = dict(FIELDS, fault="stuck_at_1", ber=[1e-3], attention_distance="none",
                      granularities=[{"block": {"blocks": [2]}}])
        shutil.rmtree(self.run)
        self.measure(bitquake.campaign(**fields), self.run)
        faults, error = self.call("replay", self.run, 0, 1, "--print")
        self.assertEqual(error, "")
        expected = self.trial(0, 1)
        # Bits that were 1 already are not in it.
        self.assertEqual(str(faults.count("\n") - 1), expected["flips"])
        self.write("faults.csv", faults)
        listed = dict(fields, fault={"list": "faults.csv"}, ber=None, trials=1)
        again = self.measure(bitquake.campaign(**listed), self.folder / "again")
        (found,) = rows((again / "trials.csv").read_text())
        for name in ("images", "top1", "top5", "sdc", "due", "flips"):
            self.assertEqual(found[name], expected[name], name)
        kept = [row for row in rows((self.run / "images.csv").read_text()) if row["trial"] == "1"]
        for before, after in zip(kept, rows((again / "images.csv").read_text())):
            self.assertEqual((before["correct"], before["same"]), (after["correct"], after["same"]))

    def test_what_was_changed_behind_the_stores_back_is_not_compared_with(self):
        cell = "(SELECT id FROM cells ORDER BY id LIMIT 1 OFFSET 3)"
        job = f"(SELECT job FROM outcomes WHERE cell = {cell} AND trial = 1 AND fold = 1)"
        for statement, named in (
                (f"UPDATE outcomes SET top1 = top1 - 1 WHERE job = {job}", "table outcomes, row"),
                (f"UPDATE trials SET sdc = sdc + 1 WHERE cell = {cell} AND trial = 1",
                 "its sums are not those of its outcomes"),
                (f"UPDATE outcomes SET digest = 'other' WHERE job = {job}", "table outcomes, row"),
                (f"UPDATE outcome_images SET same = zeroblob(length(same)) WHERE job = {job}",
                 "table outcome_images, row"),
                (f"UPDATE outcome_attention SET sums = zeroblob(length(sums)) WHERE job = {job}",
                 "table outcome_attention, row"),
                ("UPDATE goldens SET digest = 'other' WHERE fold = 0 AND variant = "
                 "(SELECT id FROM variants WHERE format = 'int8')",
                 "table goldens, row"),
        ):
            shutil.rmtree(self.run)
            shutil.copytree(self.pristine, self.run, ignore=shutil.ignore_patterns("*.sock"))
            self.tamper(statement)
            _, error = self.call("replay", self.run, 3, 1, code=FAILED)
            self.assertIn(named, error)
            self.assertNotIn("identical", error)

    def test_another_model_or_data_set_is_refused_by_name(self):
        model = pathlib.Path(shutil.copytree(bitquake.MODEL, self.folder / "model"))
        weights = bytearray((model / "model.safetensors").read_bytes())
        weights[-1] ^= 0x80
        (model / "model.safetensors").write_bytes(weights)
        out, error = self.call("replay", self.run, 3, 1, "--model", model, code=FAILED)
        self.assertIn(f"model '{bitquake.MODEL.name}'", error)
        self.assertIn("digest", error)
        self.assertEqual(out, "")
        data = pathlib.Path(shutil.copytree(bitquake.DATA, self.folder / "data"))
        sorted(data.glob("*.tar"))[1].unlink()
        (data / "_info.json").unlink()
        _, error = self.call("replay", self.run, 3, 1, "--data", data, code=FAILED)
        self.assertIn(f"data set '{bitquake.DATA.name}'", error)

    def test_a_cell_or_trial_out_of_range_is_an_error_with_the_range(self):
        _, error = self.call("replay", self.run, CELLS, 0, code=USAGE)
        self.assertIn(f"cells are 0 to {CELLS - 1}", error)
        _, error = self.call("replay", self.run, 0, 2, code=USAGE)
        self.assertIn("trials of a cell are 0 to 1", error)

    def test_a_campaign_of_a_server(self):
        server = self.serve("--db", self.folder / "server.db", "--listen", "127.0.0.1:0")
        self.environment["BITQUAKE_SERVER"] = f"127.0.0.1:{server.port}"
        roots = ("--model-root", bitquake.MODEL.parent, "--data-root", bitquake.DATA.parent)
        self.start("bitquake-worker", "--server", f"127.0.0.1:{server.port}", *roots)
        file = self.write("served.json", bitquake.campaign(
            **FIELDS, models=[bitquake.MODEL.name], dataset=bitquake.DATA.name))
        self.call("submit", file, "--watch")
        (campaign,) = json.loads(self.call("list", "--json")[0])
        _, verdict = self.call("replay", campaign["id"], 3, 0, *roots)
        self.assertIn("identical", verdict)
        # What the run wrote, from the server.
        self.call("results", campaign["id"], "--out", self.folder / "results")
        for name in ("cells.csv", "trials.csv", "images.csv", "folds.csv", "mad.csv"):
            self.assertEqual((self.folder / "results" / name).read_text(),
                             (self.run / name).read_text(), name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
