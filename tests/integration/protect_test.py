"""Protection schemes compared in one campaign, and `protect` against brute force over all sets."""

import csv
import io
import itertools
import json
import shutil
import unittest

import bitquake

USAGE, FAILED = 2, 1
SEED = 5
FIELDS = dict(seed=SEED, ber=[1e-2], trials=4, images={"first": 100})
PARTS = ["embed", "attention", "mlp", "head"]


def rows(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


class Protect(bitquake.Case):
    def measure(self, folder, **fields):
        text = bitquake.campaign(**dict(FIELDS, **fields))
        self.call("run", self.write(f"{folder}.json", text), "--out", self.folder / folder)
        return rows(self.folder / folder / "cells.csv")

    def protect(self, campaign, *arguments, code=0):
        out, _ = self.call("protect", campaign, "--json", *arguments, code=code)
        return json.loads(out)

    def test_the_confirmed_set_is_the_smallest_of_all(self):
        self.measure("parts", granularities=["model", "part"])
        # Every set at once, hit by the faults that protect confirms with.
        faults = [{"kind": "bit_flip", "protect": list(chosen)} if chosen else "bit_flip"
                  for size in range(len(PARTS) + 1)
                  for chosen in itertools.combinations(PARTS, size)]
        cells = self.measure("all", seed=SEED + 1, fault=faults)
        self.assertEqual(len(cells), 2 ** len(PARTS))
        model_bits = int(cells[0]["bits"])
        sets = []
        for fault, cell in zip(faults, cells):
            chosen = () if fault == "bit_flip" else tuple(fault["protect"])
            sets.append((model_bits - int(cell["bits"]), float(cell["loss_mean"]), chosen))
        self.assertEqual(max(sets)[:2], (model_bits, 0))
        found = set()
        for limit in (5, 3, 1):
            cost, loss, chosen = min(one for one in sets if one[1] <= limit)
            answer = self.protect(self.folder / "parts", "--ber", "1e-2", "--loss", limit,
                                  "--confirm", "--out", self.folder / f"confirm-{limit}",
                                  "-o", self.folder / "confirm.json")
            self.assertEqual(answer["bits"], cost, (limit, answer, sorted(sets)))
            self.assertEqual(tuple(part["target"] for part in answer["protect"]), chosen)
            self.assertEqual(answer["model_bits"], model_bits)
            self.assertAlmostEqual(answer["confirmed"]["mean"], loss, places=9)
            self.assertLessEqual(answer["confirmed"]["mean"], limit)
            self.assertTrue(answer["confirmed"]["next_smaller_fails"])
            found.add(chosen)
        self.assertGreater(len(found), 1)
        # The file that it wrote is that confirming campaign.
        self.call("run", self.folder / "confirm.json", "--out", self.folder / "again")
        [again] = rows(self.folder / "again" / "cells.csv")
        self.assertEqual(int(again["bits"]), model_bits - cost)
        self.assertAlmostEqual(float(again["loss_mean"]), loss, places=9)

        # The limit holds without protection; or the question has no answer in this campaign.
        answer = self.protect(self.folder / "parts", "--ber", "1e-2", "--loss", 90)
        self.assertEqual((answer["bits"], answer["protect"]), (0, []))
        for arguments, error in [(["--ber", "1e-3"], "no BER 0.001; it has 0.01"),
                                 (["--ber", "1e-2", "--bits"], "no bit positions of targets"),
                                 (["--ber", "1e-2", "--format", "int4"], "it has int8")]:
            _, text = self.call("protect", self.folder / "parts", "--loss", 1, *arguments,
                                code=USAGE)
            self.assertIn(error, text)

        # The same campaign in a coordinator's store, with a worker to confirm.
        shutil.copy(self.folder / "parts" / "campaign.db", self.folder / "server.db")
        server = self.serve("--db", self.folder / "server.db", "--listen", "127.0.0.1:0")
        address = f"127.0.0.1:{server.port}"
        self.start("bitquake-worker", "--server", address, "--model-root", bitquake.MODEL.parent,
                   "--data-root", bitquake.DATA.parent)
        [status] = json.loads(self.call("list", "--json", "--server", address)[0])
        remote = self.protect(status["id"], "--ber", "1e-2", "--loss", 5, "--confirm", "--server",
                              address)
        local = self.protect(self.folder / "parts", "--ber", "1e-2", "--loss", 5, "--confirm",
                             "--out", self.folder / "confirm-again")
        self.assertEqual(remote, local)

    def test_top_bits_of_the_model(self):
        self.measure("bits", granularities=["model", "bit"])
        cells = self.measure("tops", seed=SEED + 1, fault=["bit_flip"] + [
            {"kind": "bit_flip", "protect": [{"target": "model", "top": top}]}
            for top in range(1, 9)])
        top, loss = next((top, float(cell["loss_mean"])) for top, cell in enumerate(cells)
                         if float(cell["loss_mean"]) <= 2)
        answer = self.protect(self.folder / "bits", "--ber", "1e-2", "--loss", 2, "--bits",
                              "--confirm")
        [part] = answer["protect"]
        self.assertEqual(part["target"], "model")
        self.assertEqual(part["positions"], [7 - i for i in range(top)])
        self.assertAlmostEqual(answer["confirmed"]["mean"], loss, places=9)

    def test_schemes_side_by_side(self):
        faults = ["bit_flip", {"kind": "bit_flip", "protection": "secded"},
                  {"kind": "bit_flip", "protection": {"scheme": "secded", "uncorrectable": "keep"}},
                  {"kind": "bit_flip", "protection": "parity"},
                  {"kind": "bit_flip", "protection": {"scheme": "tmr", "bits": 8}},
                  {"kind": "bit_flip", "protection": "clamp"}]
        cells = self.measure("schemes", ber=[1e-4], fault=faults)
        flips = {cell["fault"]: float(cell["flips_mean"]) for cell in cells}
        self.assertEqual(len(flips), len(faults))
        bits, p = int(cells[0]["bits"]), 1e-4
        # Flips that are left, as rates say: two of a memory word's 72 bits hold 2 * 64/72 of data,
        # and two of three copies are wrong at 3 p^2.
        pairs = bits / 64 * (72 * 71 / 2) * p**2
        for fault, expected in [("bit_flip", bits * p),
                                ("bit_flip + secded uncorrectable=keep", pairs * 2 * 64 / 72),
                                ("bit_flip + tmr bits=8", bits * 3 * p**2)]:
            trials = [float(row["flips"]) for row in rows(self.folder / "schemes" / "trials.csv")
                      if row["fault"] == fault]
            self.assertAlmostEqual(flips[fault] / expected, 1,
                                   delta=5 * (2 * expected * len(trials))**0.5
                                   / (expected * len(trials)))
        # A trial of each is computed again, faults and all.
        for cell in cells:
            self.call("replay", self.folder / "schemes", cell["cell"], 1)


if __name__ == "__main__":
    unittest.main()
