"""The campaign files of deploy/campaigns: all are valid and fit their models; what CLAIMS.md says is what they measure.

One small campaign runs here, and all of them, with the costs that are made of them, with BITQUAKE_SLOW_TESTS=1.
"""

import csv
import json
import os
import re
import subprocess
import sys
import unittest

import bitquake

CAMPAIGNS = bitquake.SOURCE / "deploy" / "campaigns"
SLOW = os.environ.get("BITQUAKE_SLOW_TESTS") == "1"
sys.path.insert(0, str(CAMPAIGNS))

import estimate  # noqa: E402  (of deploy/campaigns)
import shapes  # noqa: E402


class Campaigns(bitquake.Case):
    def resolved(self, file):
        return json.loads(self.call("validate", file, "--json")[0])["campaign"]

    def script(self, name, *arguments):
        return subprocess.run([sys.executable, str(CAMPAIGNS / name), *map(str, arguments)], capture_output=True,
                              text=True, env=dict(self.environment, BITQUAKE_BIN_DIR=str(bitquake.BIN)))

    def test_all_files_are_valid_and_fit_their_models(self):
        for model in shapes.MODELS:
            shapes.write(model, self.folder / "models" / model)
        files = sorted(CAMPAIGNS.glob("*.yaml"))
        self.assertEqual([file.stem for file in files], sorted(estimate.CAMPAIGNS))
        self.assertEqual([file.name for file in sorted((CAMPAIGNS / "small").glob("*.yaml"))],
                         [file.name for file in files])
        for file in [*files, *(CAMPAIGNS / "small").glob("*.yaml")]:
            with self.subTest(file.name):
                out, _ = self.call("validate", file, "--model-root", self.folder / "models")
                self.assertNotIn("not on this machine; its targets", out)
                self.assertRegex(out, r"(?m)^  cells: [1-9]")

    def test_full_size_is_ten_repeats_on_all_images(self):
        for name in estimate.CAMPAIGNS:
            full, small = (self.resolved(CAMPAIGNS / folder / f"{name}.yaml") for folder in ("", "small"))
            self.assertEqual((full["trials"], full["images"], full["dataset"]), (10, "all", "imagenet-1k"), name)
            self.assertEqual([*map(self.kind, full["granularities"])], [*map(self.kind, small["granularities"])], name)
            self.assertEqual(full["attention_distance"], small["attention_distance"], name)
        seven = self.resolved(CAMPAIGNS / "model-wise.yaml")
        self.assertEqual((len(seven["models"]), seven["formats"]), (7, ["int16", "int8", "int4"]))

    def kind(self, granularity):
        """Without its rates, which are another matter in a small model."""
        if isinstance(granularity, str):
            granularity = {"type": ["q", "k", "v"], "per": "model"} if granularity == "type" else {granularity: {}}
        kept = {name: {key: part for key, part in value.items() if key != "ber"} if isinstance(value, dict) else value
                for name, value in granularity.items() if name != "ber"}
        return json.dumps(kept, sort_keys=True)

    def test_shapes_have_as_many_parameters_as_were_published(self):
        table = (bitquake.SOURCE / "client" / "cli" / "published.csv").read_text().splitlines()
        counts = {row["model"]: int(row["parameters"])
                  for row in csv.DictReader(line for line in table if not line.startswith("#"))}
        known = {model: count for model, count in counts.items() if count and model in shapes.MODELS}
        self.assertGreaterEqual(len(known), 10)
        self.assertEqual({model: shapes.parameters(model) for model in known}, known)

    def test_costs_are_of_speeds_that_readme_states(self):
        speeds, reuse = estimate.measured_speeds()
        self.assertEqual(len(speeds), 4)
        for (model, compute), rate in speeds.items():
            self.assertAlmostEqual(estimate.speed(model, compute, speeds), rate)
        self.assertGreater(min(reuse.values()), 1)
        # Twice the work takes twice as long.
        small, large = (estimate.speed(f"vit_base_patch16_{side}.augreg_in21k_ft_in1k", "fp32", speeds)
                        for side in (224, 384))
        self.assertAlmostEqual(small / large, 55.48 / 17.56, places=2)

    def test_the_page_says_what_a_campaign_measures(self):
        out = self.folder / "claims"
        part = ("--only", "cnn-fixed-point", "--check", "--out", out)
        done = self.script("claims.py", *part)
        self.assertEqual(done.returncode, 0, done.stderr)
        # A page with another number, and one with another word, are noticed; the run is taken as it is.
        page = (CAMPAIGNS / "CLAIMS.md").read_text()
        row = re.search(r"(?m)^\| conv1\.6\.weight \| ([\d.]+) ", page)
        for start, end, text in ((*row.span(1), "12.34"), (*row.span(), "| conv1.7.weight | 70.70 ")):
            changed = self.write("CLAIMS.md", page[:start] + text + page[end:])
            done = self.script("claims.py", *part, "--page", changed)
            self.assertEqual(done.returncode, 1)
            self.assertIn("claims: cnn: the page says", done.stderr)
            self.assertNotIn("running", done.stderr)
        # A run of another campaign is not taken for this one's.
        state = json.loads((out / "cnn-fixed-point" / "campaign.json").read_text())
        state["campaign"]["seed"] += 1
        (out / "cnn-fixed-point" / "campaign.json").write_text(json.dumps(state))
        self.assertIn("is not a whole run of", self.script("claims.py", *part).stderr)

    @unittest.skipUnless(SLOW, "slow: set BITQUAKE_SLOW_TESTS=1")
    def test_the_whole_page_and_all_costs(self):
        out = self.folder / "claims"
        for script, flag in (("claims.py", "--out"), ("estimate.py", "--runs")):
            done = self.script(script, "--check", flag, out)
            self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
