"""`images: all`, `images: spread` and adaptive trials, on a real model with one seed, estimate the same accuracies."""

import csv
import io
import itertools
import math
import unittest

import bitquake

# The demo's 2,000 images in 10 folds. Of block 0 much is lost, and trials differ; of block 7 nearly nothing.
FOLD = 200
FIELDS = dict(seed=5, formats=["int8"], folds=10, granularities=[{"block": {"blocks": [0, 7]}}], ber=[5e-2])
HALF_WIDTH = 2
KINDS = {"all": dict(images="all", trials=5),
         "spread": dict(images="spread", trials=10),
         "adaptive": dict(images="spread", trials={"min": 8, "max": 20, "half_width": HALF_WIDTH})}


def half_width(cell):
    return (float(cell["ci_high"]) - float(cell["ci_low"])) / 2


class ImageSpending(bitquake.Case):
    def measure(self, kind):
        """The cells by target, and the trials by target and number."""
        folder = self.folder / kind
        file = self.write(f"{kind}.json", bitquake.campaign(name=kind, **FIELDS, **KINDS[kind]))
        self.call("run", file, "--out", folder, patience=1000)
        cells, trials = (list(csv.DictReader(io.StringIO((folder / name).read_text())))
                         for name in ("cells.csv", "trials.csv"))
        return ({cell["target"]: cell for cell in cells},
                {(trial["target"], trial["trial"]): trial for trial in trials})

    def test_estimates_agree_within_their_intervals(self):
        found = {kind: self.measure(kind) for kind in KINDS}
        for target in ("blocks.0", "blocks.7"):
            for (a, (cells_a, _)), (b, (cells_b, _)) in itertools.combinations(found.items(), 2):
                with self.subTest(target=target, a=a, b=b):
                    apart = abs(float(cells_a[target]["top1_mean"]) - float(cells_b[target]["top1_mean"]))
                    # As of independent estimates: that they share faults makes it easier.
                    self.assertLessEqual(apart, math.hypot(half_width(cells_a[target]), half_width(cells_b[target])))
        self.check_costs(found["adaptive"][0])
        self.check_shared_trials(found)

    def check_costs(self, cells):
        for target, cell in cells.items():
            with self.subTest("adaptive", target=target):
                self.assertEqual(int(cell["images"]), FOLD * int(cell["trials"]))
                self.assertIn(cell["stopped"], ("width", "max"))
                if cell["stopped"] == "width":
                    self.assertLessEqual(half_width(cell), HALF_WIDTH + 1e-9)
        self.assertLess(int(cells["blocks.7"]["trials"]), int(cells["blocks.0"]["trials"]))

    def check_shared_trials(self, found):
        """A trial of one number has the same faults, however images are spent; and so nearly the same accuracy."""
        standard_error = 100 * math.sqrt(0.25 / FOLD)  # of a difference that images make at the most
        for key, trial in found["all"][1].items():
            for kind in ("spread", "adaptive"):
                with self.subTest("shared", kind=kind, trial=key):
                    other = found[kind][1][key]
                    self.assertEqual(other["faults_digest"], trial["faults_digest"])
                    self.assertEqual(other["flips"], trial["flips"])
                    self.assertEqual((int(trial["images"]), int(other["images"])), (10 * FOLD, FOLD))
                    self.assertLess(abs(float(other["top1"]) - float(trial["top1"])), 3 * standard_error)


if __name__ == "__main__":
    unittest.main(verbosity=2)
