"""Tests what the benches of statistics make of finished runs, on made-up ones: no program is run."""

import contextlib
import csv
import io
import pathlib
import tempfile
import types
import unittest

import campaigns
import search_against_grid
import spread_against_full


def cells_csv(folder, cells):
    """Writes a run's cells.csv; `cells` are (target, ber, trials, images, top1, half-width)."""
    folder.mkdir(parents=True)
    rows = [["target", "ber", "trials", "images", "inferences", "top1_mean", "ci_low", "ci_high", "stopped"]]
    for target, ber, trials, images, top1, half in cells:
        rows.append([target, ber, trials, images, images // 2, top1, top1 - half, top1 + half, "width"])
    campaigns.write_csv(folder / "cells.csv", rows)
    return campaigns.Run(folder)


class Scratch(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="bitquake-test-")
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)


class AskedWidth(unittest.TestCase):
    def test_is_never_above_what_is_allowed_and_at_most_a_step_below(self):
        for thousandth in range(500, 20_000, 7):
            allowed = thousandth / 1000
            asked = spread_against_full.asked_width(allowed, 0.5, 1.1)
            self.assertLessEqual(asked, allowed)
            self.assertGreater(asked, allowed / 1.1 - 1e-4)
            self.assertGreaterEqual(asked, 0.5)

    def test_of_what_is_allowed_least_is_that(self):
        self.assertEqual(spread_against_full.asked_width(0.5, 0.5, 1.1), 0.5)

    def test_is_shared_by_cells_that_are_allowed_nearly_the_same(self):
        widths = {spread_against_full.asked_width(0.5 + i / 1000, 0.5, 1.1) for i in range(2000)}
        self.assertLess(len(widths), 20)


class Granularities(unittest.TestCase):
    def test_have_each_block_once_with_its_rates(self):
        self.assertEqual(spread_against_full.granularities([(7, 0.1), (0, 0.03), (7, 0.01)]),
                         [{"block": {"blocks": [0], "ber": [0.03]}}, {"block": {"blocks": [7], "ber": [0.01, 0.1]}}])


class Verdicts(Scratch):
    def verdicts(self, adaptive):
        full = cells_csv(self.folder / "full", [("blocks.0", 0.1, 10, 100_000, 50.0, 4.0),
                                                ("blocks.1", 0.1, 10, 100_000, 90.0, 0.1)])
        other = cells_csv(self.folder / "adaptive", adaptive)
        chosen = types.SimpleNamespace(half_width=0.5)
        found = spread_against_full.compare(chosen, full, {cell: (0.5, other) for cell in full.cells})
        return [holds for _, holds in spread_against_full.verdicts(found)]

    def test_all_hold(self):
        self.assertEqual(self.verdicts([("blocks.0", 0.1, 30, 6000, 52.0, 4.0),
                                        ("blocks.1", 0.1, 10, 4000, 90.1, 0.5)]), [True, True, True])

    def test_a_cell_that_is_wider_than_both(self):
        self.assertEqual(self.verdicts([("blocks.0", 0.1, 30, 6000, 52.0, 4.01),
                                        ("blocks.1", 0.1, 10, 4000, 90.1, 0.5)]), [False, True, True])
        self.folder = self.folder / "other"
        self.assertEqual(self.verdicts([("blocks.0", 0.1, 30, 6000, 52.0, 4.0),
                                        ("blocks.1", 0.1, 10, 4000, 90.1, 0.51)]), [False, True, True])

    def test_too_many_images(self):
        self.assertEqual(self.verdicts([("blocks.0", 0.1, 30, 6200, 52.0, 4.0),
                                        ("blocks.1", 0.1, 10, 4000, 90.1, 0.5)]), [True, False, True])

    def test_estimates_apart(self):
        # One of two may be, by chance; both may not.
        self.assertEqual(self.verdicts([("blocks.0", 0.1, 30, 6000, 57.0, 4.0),
                                        ("blocks.1", 0.1, 10, 4000, 90.1, 0.5)]), [True, True, True])
        self.folder = self.folder / "other"
        self.assertEqual(self.verdicts([("blocks.0", 0.1, 30, 6000, 57.0, 4.0),
                                        ("blocks.1", 0.1, 10, 4000, 91.0, 0.5)]), [True, True, False])


class Search(Scratch):
    def run_with(self, name, rows):
        run = cells_csv(self.folder / name, [("model", 0.1, 10, 1000, 50.0, 4.0)])
        heading = ["target", "loss_pp", "log10_ber", "ci_low", "ci_high"]
        campaigns.write_csv(run.folder / "thresholds.csv", [heading] + rows)
        return run

    def test_thresholds_are_held_against_the_interval_of_the_grid(self):
        grid = self.run_with("grid", [["model", 1, -2.5, -2.6, -2.4], ["model", 10, "inf", -1.1, "inf"]])
        search = self.run_with("search", [["model", 1, -2.45, -9, -2], ["model", 10, "inf", -1, "inf"]])
        rows, within = search_against_grid.compare(grid, search)
        self.assertTrue(within)
        self.assertEqual([row[0:2] for row in rows], [["model", "1"], ["model", "10"]])
        missed = self.run_with("missed", [["model", 1, -2.39, -9, -2], ["model", 10, "-inf", -1, "inf"]])
        rows, within = search_against_grid.compare(grid, missed)
        self.assertFalse(within)
        self.assertEqual([row[-1] for row in rows], ["NO", "NO"])


class Runs(Scratch):
    def test_are_not_run_again_and_not_taken_for_others(self):
        (self.folder / "model").mkdir()
        chosen = types.SimpleNamespace(out=self.folder, bitquake="/nowhere", device="cpu", workers=1)
        campaign = {"name": "n", "seed": 1}
        cells_csv(self.folder / "n", [("blocks.0", 0.1, 10, 1000, 50.0, 4.0)])
        (self.folder / "n.json").write_text('{\n "name": "n",\n "seed": 1\n}')
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(campaigns.run(chosen, campaign).images(), 1000)
            with self.assertRaises(SystemExit):
                campaigns.run(chosen, dict(campaign, seed=2))

    def test_tables_are_aligned(self):
        self.assertEqual(campaigns.aligned([["a", "bbb"], ["22", "1"]]), " a  bbb\n22    1")
        campaigns.write_csv(self.folder / "t.csv", [["a", "b"], ["1", "2"]])
        with open(self.folder / "t.csv", newline="", encoding="utf-8") as file:
            self.assertEqual(list(csv.reader(file)), [["a", "b"], ["1", "2"]])


if __name__ == "__main__":
    unittest.main()
