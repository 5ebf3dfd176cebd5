"""Thresholds, vulnerability, ranks, bit positions and MAD against VF, of a real run: each figure is computed again
here, from what trials.csv, cells.csv and mad.csv say, by its definition; and the same files come from a run
directory and from a coordinator."""

import csv
import io
import itertools
import json
import math
import unittest

import bitquake

HEADS, BLOCKS = 4, (0, 1)
RATES = (1e-4, 1e-2, 1e-1)
CAMPAIGN = bitquake.campaign(
    seed=11, formats=["int8"], ber=list(RATES), trials=3, images={"first": 200}, attention_distance="golden",
    granularities=["model", {"block": {"blocks": [0, 1, 2], "ber": 0.03}},
                   {"head": {"blocks": list(BLOCKS), "ber": 0.5}},
                   {"bit": {"positions": [0, 5, 6, 7], "ber": 0.01}}])


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def number(text):
    return float(text) if text else math.nan


def fragile_ranks(losses):
    """1 for the largest; equal ones share the mean of their places."""
    return [sum(x > y for x in losses) + (sum(x == y for x in losses) + 1) / 2 for y in losses]


def pearson(x, y):
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y))
    return covariance / math.sqrt(sum((a - mean_x) ** 2 for a in x) * sum((b - mean_y) ** 2 for b in y))


class DerivedFigures(bitquake.Case):
    run_folder = None

    def setUp(self):
        super().setUp()
        self.run_folder = self.folder / "run"
        file = self.write("campaign.json", CAMPAIGN)
        self.printed, _ = self.call("run", file, "--out", self.run_folder)

    def file(self, name):
        return (self.run_folder / name).read_text()

    def of(self, granularity):
        return [cell for cell in table(self.file("cells.csv")) if cell["granularity"] == granularity]

    def test_of_a_run(self):
        with self.subTest("thresholds"):
            self.check_thresholds()
        with self.subTest("vulnerability and ranks"):
            self.check_fragility()
        with self.subTest("bit positions"):
            self.check_bits()
        with self.subTest("attention distance"):
            self.check_mad_against_vf()
        with self.subTest("words"):
            for words in ("BER at which the mean loss", "Most fragile targets", "Loss by bit position",
                          "Attention distance (MAD) against VF"):
                self.assertIn(words, self.printed)
        with self.subTest("sources"):
            self.check_sources()

    def check_thresholds(self):
        cells = {float(cell["ber"]): float(cell["loss_mean"]) for cell in self.of("model")}
        losses = [cells[ber] for ber in RATES]
        self.assertEqual(losses, sorted(losses), "the fit is the losses only if these are in order")
        rows = table(self.file("thresholds.csv"))
        self.assertEqual([(row["granularity"], row["loss_pp"]) for row in rows],
                         [("model", "1"), ("model", "5"), ("model", "10")])
        for row in rows:
            limit, found = float(row["loss_pp"]), float(row["log10_ber"])
            self.assertLess(losses[0], limit, "the grid begins below")
            self.assertGreater(losses[-1], limit, "the grid ends above")
            for (ber, loss), (next_ber, next_loss) in itertools.pairwise(zip(RATES, losses)):
                if loss < limit <= next_loss:
                    low, high = math.log10(ber), math.log10(next_ber)
                    self.assertAlmostEqual(found, low + (high - low) * (limit - loss) / (next_loss - loss))
            self.assertLessEqual(float(row["ci_low"]), found)
            self.assertGreaterEqual(float(row["ci_high"]), found)

    def check_fragility(self):
        for granularity, siblings in (("block", lambda cell: ""),
                                      ("head", lambda cell: cell["target"].rsplit(".", 1)[0])):
            cells = self.of(granularity)
            ranks = fragile_ranks([float(cell["loss_mean"]) for cell in cells])
            for cell, rank in zip(cells, ranks):
                loss = float(cell["loss_mean"])
                self.assertAlmostEqual(float(cell["relative_loss"]), 100 * loss / float(cell["golden_top1"]))
                self.assertAlmostEqual(float(cell["loss_per_mbit"]), loss / float(cell["bits"]) * 1e6)
                others = [float(c["loss_mean"]) for c in cells if siblings(c) == siblings(cell) and c is not cell]
                mean = sum(others) / len(others)
                self.assertEqual(cell["vf"] != "", mean > 1e-9)
                if cell["vf"]:
                    self.assertAlmostEqual(float(cell["vf"]), loss / mean)
                if cell["vf_low"]:
                    self.assertLessEqual(float(cell["vf_low"]), float(cell["vf"]) + 1e-12)
                    self.assertGreaterEqual(float(cell["vf_high"]), float(cell["vf"]) - 1e-12)
                self.assertEqual(float(cell["rank"]), rank)
                self.assertTrue(1 <= float(cell["rank_low"]) <= rank <= float(cell["rank_high"]) <= len(cells))

    def check_bits(self):
        cells = {cell["target"]: cell for cell in self.of("bit")}
        rows = table(self.file("bits.csv"))
        self.assertEqual([row["bit"] for row in rows], ["0", "5", "6", "7"])
        total = sum(float(cell["loss_mean"]) for cell in cells.values())
        self.assertGreater(total, 0)
        for row in rows:
            cell = cells["bit" + row["bit"]]
            loss = float(cell["loss_mean"])
            self.assertEqual(row["target"], "model")
            self.assertAlmostEqual(float(row["loss_mean"]), loss)
            self.assertAlmostEqual(float(row["ci_low"]), float(cell["golden_top1"]) - float(cell["ci_high"]))
            self.assertAlmostEqual(float(row["loss_per_flip"]), loss / float(cell["flips_mean"]))
            self.assertAlmostEqual(float(row["share"]), 100 * loss / total)
        self.assertGreater(float(rows[-1]["share"]), float(rows[0]["share"]), "the sign against the last bit")

    def check_mad_against_vf(self):
        mad = {(row["block"], row["head"]): row for row in table(self.file("mad.csv")) if row["trial"] == ""
               and row["format"] == "int8"}
        cells = self.of("head")
        self.assertEqual(len(cells), len(BLOCKS) * HEADS)
        rows = table(self.file("mad_vf.csv"))
        self.assertEqual([row["mad"] for row in rows], ["as_is", "renormalised"])
        for row, column in zip(rows, ("mad_px", "mad_renormalised_px")):
            pairs = []
            for cell in cells:
                _, block, _, head = cell["target"].split(".")
                if cell["vf"]:
                    pairs.append((float(mad[block, head[1:]][column]), float(cell["vf"])))
            self.assertGreater(len(pairs), 3, "nearly all heads lose something at this rate")
            rho = pearson(*(fragile_ranks(values) for values in zip(*pairs)))
            self.assertEqual(int(row["heads"]), len(pairs))
            self.assertAlmostEqual(float(row["rho"]), rho)
            half = 1.959964 * math.sqrt((1 + rho * rho / 2) / (len(pairs) - 3))
            self.assertAlmostEqual(float(row["ci_high"]), math.tanh(math.atanh(rho) + half), places=5)
            self.assertTrue(0 <= float(row["p_value"]) <= 1)

    def check_sources(self):
        """The files are those that `results` gives, of the run directory and of a coordinator."""
        address = f"unix:{self.folder}/other.sock"
        server = self.serve("--db", self.run_folder / "campaign.db", "--listen", address)
        (listed,) = json.loads(self.call("list", "--json", "--server", address)[0])
        kinds = (("thresholds.csv", ["--thresholds"]), ("bits.csv", ["--bits"]),
                 ("mad_vf.csv", ["--mad-vf"]), ("cells.csv", []))
        self.check_against_files(kinds, listed["id"], "--server", address)
        out = self.folder / "fetched"
        self.call("results", listed["id"], "--server", address, "--out", out)
        for name, _ in kinds:
            self.assertEqual((out / name).read_text(), self.file(name))
        self.end(server)
        self.check_against_files(kinds, self.run_folder)

    def check_against_files(self, kinds, *campaign):
        for name, flags in kinds:
            text, _ = self.call("results", *campaign, *flags, "--format", "csv")
            self.assertEqual(text, self.file(name))
            rows = json.loads(self.call("results", *campaign, *flags, "--json")[0])
            self.assertEqual([list(row) for row in rows], [text.splitlines()[0].split(",")] * len(table(text)))
        _, error = self.call("results", *campaign, "--bits", "--thresholds", code=2)
        self.assertTrue(error)


if __name__ == "__main__":
    unittest.main(verbosity=2)
