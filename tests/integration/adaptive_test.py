"""Adaptive trials and searches for thresholds, on the demo's model and images.

What comes out is the same byte for byte however many workers there are and whoever is killed; an adaptive
campaign stops early where nothing happens, and agrees with one that shows every image to every trial.
"""

import csv
import json
import os
import pathlib
import signal
import tempfile
import unittest

import bitquake

FOLDS = 16
OF_A_FOLD = 20
IMAGES = FOLDS * OF_A_FOLD
GOLDEN_JOBS = 2 * FOLDS
ADAPTIVE = dict(
    name="adaptive", seed=3, granularities=["model", {"block": {"blocks": [0]}}], ber=[1e-6, 1e-2],
    trials={"min": 8, "max": 24, "half_width": 3}, images="spread", folds=FOLDS)
SEARCH = dict(
    name="search", seed=3, granularities=[{"block": {"blocks": [0, 1]}}],
    ber={"search": {"loss": [5, 15], "from": 1e-4, "to": 1e-1, "per_decade": 3}},
    trials={"min": 8, "max": 20, "half_width": 6}, images="spread", folds=FOLDS)


def rows(folder, name="cells.csv"):
    with open(folder / name, newline="") as file:
        return list(csv.DictReader(file))


class Adaptive(bitquake.Case):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="bitquake-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.shared = pathlib.Path(folder.name)
        cls.data = bitquake.write_data(cls.shared / "data", IMAGES)
        cls.quiet = {}  # of campaigns that ran undisturbed: the folder, and what was told

    def run_campaign(self, folder, campaign, *flags):
        _, told = self.call("run", self.file(campaign), "--out", folder, *flags)
        return folder, told

    def file(self, campaign):
        return self.write(campaign["name"] + ".json",
                          bitquake.campaign(**campaign, dataset=str(self.data)))

    def undisturbed(self, campaign):
        name = campaign["name"]
        if name not in self.quiet:
            self.quiet[name] = self.run_campaign(self.shared / name, campaign)
        return self.quiet[name]

    def results(self, folder):
        trials = (folder / "trials.csv").read_bytes()
        return b"\n".join(sorted(trials.split(b"\n"))), (folder / "cells.csv").read_bytes()

    def test_a_quiet_cells_stop_early_and_all_agree_with_whole_trials(self):
        folder, told = self.undisturbed(ADAPTIVE)
        self.assertIn("trials: 32 to 96", told)
        self.assertIn("inferences: 1,280 to 2,560 images; a trial sees 20 of 320", told)
        self.assertIn("ten full repeats of each cell: 13,440 images, 5.2x to 10x as many", told)
        campaign = dict(ADAPTIVE, name="whole", trials=4, images="all")
        whole, _ = self.run_campaign(self.folder / "whole", campaign)
        for cell, full in zip(rows(folder), rows(whole), strict=True):
            self.assertEqual((cell["target"], cell["ber"]), (full["target"], full["ber"]))
            self.assertEqual(cell["half_width_asked"], "3")
            self.assertEqual(full["half_width_asked"], "")
            self.assertEqual(full["stopped"], "fixed")
            width = (float(cell["ci_high"]) - float(cell["ci_low"])) / 2
            if float(cell["ber"]) < 1e-5:
                self.assertEqual((cell["trials"], cell["stopped"]), ("8", "width"))
                self.assertAlmostEqual(width, 3)
            if cell["stopped"] == "max":
                self.assertEqual(cell["trials"], "24")
                self.assertGreater(float(cell["half_width_observed"]), 3)
            # Both intervals are of one accuracy.
            apart = abs(float(cell["top1_mean"]) - float(full["top1_mean"]))
            whole_width = (float(full["ci_high"]) - float(full["ci_low"])) / 2
            self.assertLessEqual(apart, width + whole_width)
            self.assertEqual(int(cell["images"]), OF_A_FOLD * int(cell["trials"]))
            self.assertLessEqual(int(cell["inferences"]), int(cell["images"]))
        noisy = [cell for cell in rows(folder) if float(cell["ber"]) > 1e-3]
        self.assertGreater(max(int(cell["trials"]) for cell in noisy), 8)
        done = json.loads((folder / "campaign.json").read_text())
        self.assertEqual(done["jobs"]["total"], done["jobs"]["done"])
        self.assertEqual(done["jobs"]["done"],
                         1 + GOLDEN_JOBS + sum(int(cell["trials"]) for cell in rows(folder)))
        self.assertEqual(done["images"]["without_flips"] + done["images"]["copied"],
                         sum(int(c["images"]) - int(c["inferences"]) for c in rows(folder)))
        # What it was like helps to plan the next one.
        out, _ = self.call("validate", self.folder / "whole.json", "--like", folder)
        self.assertIn(f"if trials differ as in {folder}", out)
        self.assertIn("images/s of", out)

    def check_disturbed(self, campaign):
        quiet, _ = self.undisturbed(campaign)
        expected = self.results(quiet)
        for name, flags in (("many", ("--workers", "3", "--max-lease-jobs", "3")),
                            ("large", ("--lease-work-seconds", "10000"))):
            folder, _ = self.run_campaign(self.folder / name, campaign, *flags)
            self.assertEqual(self.results(folder), expected)
        total = json.loads((quiet / "campaign.json").read_text())["jobs"]["total"]
        folder = self.folder / "killed"
        run = self.start("bitquake", "run", self.file(campaign), "--out", folder,
                         "--max-lease-jobs", "2", preexec_fn=bitquake.on_one_core)
        for program, part in (("bitquake-server", 0.2), ("bitquake-worker", 0.4),
                              ("bitquake-server", 0.6)):
            at = GOLDEN_JOBS + int(part * (total - GOLDEN_JOBS))
            state = self.await_jobs(f"unix:{folder}/server.sock", at)
            self.assertEqual(state["state"], "running", "the campaign ended before the kill")
            self.assertGreaterEqual(state["jobs_expected"], state["jobs_total"])
            os.kill(bitquake.children(run.pid)[program][0], signal.SIGKILL)
        self.assertIn("signal 9; starting it again", self.finish(run))
        self.assertEqual(self.results(folder), expected)
        return quiet

    def test_b_adaptive_is_the_same_however_it_is_run(self):
        self.check_disturbed(ADAPTIVE)

    def test_c_a_search_is_the_same_however_it_is_run(self):
        folder = self.check_disturbed(SEARCH)
        cells = rows(folder)
        for target in ("blocks.0", "blocks.1"):
            losses = {float(c["ber"]): float(c["loss_mean"]) for c in cells if c["target"] == target}
            self.assertLess(len(losses), 10, "not the whole grid")
            # 15 pp is bracketed, to within a step of the grid.
            below = max(ber for ber, loss in losses.items() if loss < 15)
            above = min(ber for ber, loss in losses.items() if loss >= 15)
            self.assertLess(below, above)
            self.assertLess(above / below, 10 ** (1 / 3) * 1.01)
        # Cells are found by the numbers that are written, though not every number is a cell.
        last = cells[-1]
        self.assertGreater(int(last["cell"]), len(cells) - 1)
        out, _ = self.call("replay", folder, last["cell"], "3", "--json")
        self.assertTrue(json.loads(out)["identical"])
        _, error = self.call("replay", folder, last["cell"], "20", code=2)
        self.assertIn("trials of a cell are 0 to 19", error)


if __name__ == "__main__":
    unittest.main(verbosity=2)
