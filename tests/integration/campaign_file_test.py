"""What the client makes of campaign files and models before anything runs: targets, lists of faults."""

import json
import unittest

import bitquake

USAGE, FAILED = 2, 1
CSV = "tensor,index,bit\nblocks.0.mlp.fc1.weight,0,7\nblocks.0.mlp.fc1.weight,0,3\ncls_token,5,6\n"


class Inspect(bitquake.Case):
    def inspect(self, *flags, code=0):
        return self.call("inspect", bitquake.MODEL, *flags, code=code)

    def targets(self, *flags):
        out, _ = self.inspect("--json", *flags)
        return json.loads(out)

    def test_parts_cover_the_model(self):
        model = self.targets("--granularity", "model")
        parts = self.targets("--granularity", "part")
        self.assertEqual([part["target"] for part in parts], ["embed", "attention", "mlp", "head"])
        self.assertEqual(sum(part["bits"] for part in parts), model[0]["bits"])
        per_block = self.targets("--granularity", "part", "--per-block")
        self.assertEqual(per_block[0]["target"], "blocks.0.attention")
        self.assertEqual(len(per_block), 16)

    def test_bit_positions_are_those_of_the_format(self):
        bits = self.targets("--granularity", "bit", "--format", "fp16")
        self.assertEqual([bit["target"] for bit in bits], [f"bit{i}" for i in range(16)])
        self.assertEqual(bits[9]["positions"], [9])
        self.assertEqual({bit["bits"] for bit in bits}, {bits[0]["words"]})
        chosen = self.targets("--granularity", "head", "--bits", "7,6")
        self.assertEqual([t["target"] for t in chosen[:2]],
                         ["blocks.0.attn.h0.bit6", "blocks.0.attn.h0.bit7"])
        out, _ = self.inspect("--granularity", "block", "--bits", "7")
        self.assertIn("blocks.3.bit7", out)
        self.assertIn("bit 7 of each word", out)

    def test_head_has_rows(self):
        head = self.targets("--granularity", "head")[1]
        self.assertEqual(head["target"], "blocks.0.attn.h1")
        self.assertEqual([(r["first_row"], r["rows"]) for r in head["ranges"]],
                         [(32, 32), (160, 32), (288, 32)])
        out, _ = self.inspect("--granularity", "head")
        self.assertIn("rows 160..191 of 384", out)

    def test_surface_is_chosen(self):
        names = [t["target"] for t in self.targets("--surface-include", r"qkv\.bias$",
                                                   "--surface-exclude", "^head")]
        self.assertIn("blocks.0.attn.qkv.bias", names)
        self.assertNotIn("head.weight", names)
        q = self.targets("--granularity", "type", "--surface-include", r"qkv\.bias$")[0]
        self.assertEqual([r["rows"] for r in q["ranges"][:2]], [128, 128])
        _, error = self.inspect("--surface-include", "nrom1", code=FAILED)
        self.assertIn("norm1", error)

    def test_errors_name_what_is_near(self):
        _, error = self.inspect("--granularity", "hed", code=USAGE)
        self.assertIn("did you mean 'head'?", error)
        _, error = self.inspect("--granularity", "regex", "--match", r"^blcks\.0", code=FAILED)
        self.assertIn("did you mean 'blocks.0'", error)
        _, error = self.inspect("--granularity", "bit", "--bits", "8", code=USAGE)
        self.assertIn("no bit 8 in int8; its bits are 0 to 7", error)
        _, error = self.inspect("--bits", "7,x", code=USAGE)
        self.assertIn("'x' is not a bit position", error)
        _, error = self.inspect("--format", "fp17", code=USAGE)
        self.assertIn("fp16", error)
        _, error = self.call("inspect", bitquake.MODEL.parent / "vit_tny_patch4_28.fashion_mnist",
                             code=FAILED)
        self.assertIn(f"did you mean '{bitquake.MODEL.name}'?", error)


class FaultLists(bitquake.Case):
    def list_campaign(self, **fields):
        return self.write("campaign.yaml", bitquake.campaign(ber=None, trials=None,
                                                             fault={"list": "faults.csv"}, **fields))

    def test_are_read_beside_the_file_and_replayed(self):
        self.write("faults.csv", CSV)
        file = self.list_campaign(granularities=["model", {"block": {"blocks": [0, 1]}}],
                                  images={"first": 200}, folds=1)
        run = self.folder / "run"
        self.call("run", file, "--out", run)
        header, *rows = [line.split(",") for line in (run / "trials.csv").read_text().splitlines()]
        flips, target = header.index("flips"), header.index("target")
        self.assertEqual({row[target]: row[flips] for row in rows},
                         {"model": "3", "blocks.0": "2", "blocks.1": "0"})
        header, *rows = [line.split(",") for line in (run / "cells.csv").read_text().splitlines()]
        ber, bits = header.index("ber"), header.index("bits")
        self.assertEqual(float(rows[0][ber]), 3 / float(rows[0][bits]))
        self.assertEqual(rows[0][header.index("trials")], "1")
        # The run needs the file of faults no more.
        self.assertIn("cls_token,5,6", (run / "campaign.json").read_text())

    def test_are_submitted_as_text(self):
        self.write("faults.csv", CSV)
        socket = f"unix:{self.folder}/server.sock"
        self.serve("--db", self.folder / "a.db", "--listen", socket)
        file = self.list_campaign(models=["m"], dataset="d")
        self.call("submit", file, "--server", socket)
        out, _ = self.call("list", "--json", "--server", socket)
        self.assertEqual(len(json.loads(out)), 1)

    def test_errors_name_line_entry_and_model(self):
        file = self.list_campaign()
        _, error = self.call("validate", file, code=USAGE)
        self.assertIn("campaign.yaml:1:", error)
        self.assertIn("faults.csv", error)
        self.write("faults.csv", CSV + "cls_token,x,0\n")
        _, error = self.call("validate", file, code=USAGE)
        self.assertIn("'faults.csv': line 5: index 'x'", error)
        self.write("faults.csv", CSV + "cls_tokn,0,0\n")
        _, error = self.call("validate", file, code=USAGE)
        self.assertIn("fault: model", error)
        self.assertIn("cls_token", error)
        self.write("faults.csv", "tensor,index,bit\n" + "x" * (512 * 1024))
        _, error = self.call("validate", file, code=USAGE)
        self.assertIn("faults.csv", error)

    def test_counts_above_a_targets_bits_are_refused(self):
        file = self.write("campaign.yaml", bitquake.campaign(
            ber=None, fault={"kind": "bit_flip", "count": 1025}, granularities=["tensor"]))
        _, error = self.call("validate", file, code=USAGE)
        self.assertIn("cls_token", error)  # 128 words of 8 bits
        file = self.write("campaign.yaml", bitquake.campaign(
            ber=None, fault={"kind": "bit_flip", "count": 1024}, granularities=["tensor"]))
        out, _ = self.call("validate", file)
        self.assertIn("36 cells, 72 trials", out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
