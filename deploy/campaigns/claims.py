#!/usr/bin/env python3
"""Runs the small campaigns and writes what they show into CLAIMS.md, between its markers.

    python3 deploy/campaigns/claims.py                      # all: minutes on a CPU
    python3 deploy/campaigns/claims.py --only swin --check  # one campaign; does the page say the same?

Runs lie in --out, a folder for each campaign, and are taken as they are if they are of the campaign as
it is now. Programs are those of BITQUAKE_BIN_DIR; by default of build/release/bin, or of the bundle that has this file.

Outcomes are a function of the campaign on one kind of device. --check asks for the same page, digit for
digit, where the device is that of the page; elsewhere, where a few images may fall otherwise, for the
same words and for numbers that differ by at most a tenth and 0.3.
"""

import argparse
import csv
import json
import math
import os
import pathlib
import random
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
BUNDLED = PROJECT / "bin"
BIN = pathlib.Path(os.environ.get("BITQUAKE_BIN_DIR") or
                   (BUNDLED if BUNDLED.exists() else PROJECT / "build" / "release" / "bin"))
CAMPAIGNS = ("cnn-fixed-point", "model-wise", "layer-wise", "type-wise", "head-wise", "swin", "deepvit")
RESAMPLES = 2000
PAIRS = (("v", "q"), ("v", "k"), ("k", "q"))


# Runs.

def plain(campaign):
    """Models and data set by their last names, as `run` has them."""
    names = {"models": [pathlib.Path(model).name for model in campaign["models"]],
             "dataset": pathlib.Path(campaign["dataset"]).name}
    return {**campaign, **names}


def run(name, out, device):
    """The run of a small campaign, made if it is not there."""
    file = HERE / "small" / f"{name}.yaml"
    resolved = subprocess.run([str(BIN / "bitquake"), "validate", str(file), "--json"], capture_output=True, text=True)
    if resolved.returncode:
        sys.exit(f"claims: {resolved.stderr}")
    folder = out / name
    if (folder / "cells.csv").exists():
        earlier = json.loads((folder / "campaign.json").read_text())
        if earlier["state"] == "done" and earlier["campaign"] == plain(json.loads(resolved.stdout)["campaign"]):
            return Run(folder)
        sys.exit(f"claims: {folder} is not a whole run of {file}; move it away")
    print(f"claims: running {file.name} into {folder}", file=sys.stderr)
    done = subprocess.run([str(BIN / "bitquake"), "run", str(file), "--out", str(folder), "--device", device,
                           "--allow-torchscript"], stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"claims: {file.name} ended with exit code {done.returncode}; see {folder}")
    return Run(folder)


class Run:
    def __init__(self, folder):
        self.folder = folder
        self.cells = self.rows("cells.csv")
        self.trials = {}
        for row in self.rows("trials.csv"):
            key = (row["model"], row["format"], row["granularity"], row["target"], float(row["ber"]))
            self.trials.setdefault(key, {})[int(row["trial"])] = float(row["top1"])
        self.state = json.loads((folder / "campaign.json").read_text())

    def rows(self, name):
        with open(self.folder / name, newline="") as file:
            return list(csv.DictReader(file))

    def devices(self):
        return sorted({device if isinstance(device, str) else device.get("kind", json.dumps(device))
                       for device in self.state["devices"]})

    def select(self, granularity, wanted=lambda target: True):
        return [cell for cell in self.cells if cell["granularity"] == granularity and wanted(cell["target"])]

    def losses(self, cell):
        """By trial, percentage points; trials of equal number see equal images."""
        key = tuple(cell[name] for name in ("model", "format", "granularity", "target")) + (float(cell["ber"]),)
        return {trial: float(cell["golden_top1"]) - top1 for trial, top1 in self.trials[key].items()}


# Statistics.

def bootstrap(columns, statistic):
    """Percentile interval at 95% over trials, which stay together across cells."""
    trials = sorted(set.intersection(*(set(column) for column in columns)))
    draw = random.Random(2418)
    values = []
    for _ in range(RESAMPLES):
        chosen = draw.choices(trials, k=len(trials))
        value = statistic([[column[trial] for trial in chosen] for column in columns])
        if value is not None:
            values.append(value)
    values.sort()
    return values[int(0.025 * len(values))], values[math.ceil(0.975 * len(values)) - 1]


def mean(values):
    return sum(values) / len(values)


def difference(columns):
    return mean(columns[0]) - mean(columns[1])


def ranks(values):
    order = sorted(range(len(values)), key=lambda index: values[index])
    places = [0.0] * len(values)
    for index in order:
        same = [other for other in order if values[other] == values[index]]
        places[index] = mean([order.index(other) for other in same])
    return places


def rank_correlation(first, second):
    """Spearman's; None if one of them is constant."""
    first, second = ranks(first), ranks(second)
    centred = [(a - mean(first), b - mean(second)) for a, b in zip(first, second)]
    scale = math.sqrt(sum(a * a for a, _ in centred) * sum(b * b for _, b in centred))
    return sum(a * b for a, b in centred) / scale if scale else None


# Text.

def short(model):
    return model.split(".")[0]


def interval(cell, low, high, digits=2):
    if cell[low] == "" or cell[high] == "":
        return "-"
    return f"[{float(cell[low]):.{digits}f}, {float(cell[high]):.{digits}f}]"


def loss_interval(cell):
    golden = float(cell["golden_top1"])
    return f"[{golden - float(cell['ci_high']):.2f}, {golden - float(cell['ci_low']):.2f}]"


def number(text, digits=2):
    return "-" if text == "" else f"{float(text):.{digits}f}"


def log_ber(row):
    def end(text):
        return {"inf": "above", "-inf": "below"}.get(text) or f"{float(text):.2f}"
    return f"{end(row['log10_ber'])} [{end(row['ci_low'])}, {end(row['ci_high'])}]"


def table(header, rows):
    return "\n".join([f"| {' | '.join(header)} |", "|" + "---|" * len(header),
                      *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def threshold_table(run, models=None):
    rows = {}
    for row in run.rows("thresholds.csv"):
        if row["target"] == "model":
            rows.setdefault((row["model"], row["format"]), {})[float(row["loss_pp"])] = row
    return table(["model", "format", "1 pp", "5 pp", "10 pp"],
                 [[short(model), name, *(log_ber(limits[loss]) for loss in (1, 5, 10))]
                  for (model, name), limits in rows.items()]), rows


def apart(first, second):
    """Whether two rows' intervals do not overlap."""
    return float(first["ci_low"]) > float(second["ci_high"]) or float(second["ci_low"]) > float(first["ci_high"])


def cells_table(cells, what):
    return table([what, "loss pp", "interval", "VF", "interval", "rank", "interval"],
                 [[cell["target"], number(cell["loss_mean"]), loss_interval(cell), number(cell["vf"]),
                   interval(cell, "vf_low", "vf_high"), f"{float(cell['rank']):g}",
                   interval(cell, "rank_low", "rank_high", 0)] for cell in cells])


def first_block(cells):
    """What a table of blocks says of the first."""
    first = cells[0]
    place, low, high = (float(first[name]) for name in ("rank", "rank_low", "rank_high"))
    model = short(first["model"])
    if high == 1:
        return f"{model}: shown. The first block is the most fragile, in all of its rank's interval."
    if low == 1:
        return (f"{model}: {'not contradicted' if place == 1 else 'not shown'}. The first block is number {place:.0f} "
                f"of {len(cells)}, its rank's interval is [{low:.0f}, {high:.0f}].")
    return (f"{model}: contradicted. The first block is number {place:.0f} of {len(cells)}, and its rank's interval, "
            f"[{low:.0f}, {high:.0f}], leaves the first place out.")


def unlike_one(cells):
    """How many VF intervals exclude 1, of those that exist, and how many would by chance."""
    known = [cell for cell in cells if cell["vf_low"] != "" and cell["vf_high"] != ""]
    unlike = [cell for cell in known if float(cell["vf_low"]) > 1 or float(cell["vf_high"]) < 1]
    chance = sum(math.comb(len(known), count) * 0.05 ** count * 0.95 ** (len(known) - count)
                 for count in range(len(unlike), len(known) + 1))
    return (f"{len(unlike)} of {len(known)} intervals of VF leave out 1; of targets that are all alike {0.05 * len(known):.1f} "
            f"would, and so many with probability {chance:.2g}, were the intervals independent: "
            f"{'shown' if chance < 0.05 else 'not shown'}")


# Sections: each of one run.

def model_wise(run):
    text, rows = threshold_table(run)
    models = list(dict.fromkeys(model for model, _ in rows))
    verdicts = []
    for name in dict.fromkeys(name for _, name in rows):
        large, small = (rows[model, name][5] for model in models)
        ratio = 10 ** (float(large["log10_ber"]) - float(small["log10_ber"]))
        verdicts.append(f"{name}: the rate at which 5 pp are lost is {ratio:.2f} times as high in the larger, and the "
                        f"intervals {'do not overlap' if apart(large, small) else 'overlap'}.")
    for model in models:
        eight, four = (rows[model, name][5] for name in ("int8", "int4"))
        ratio = 10 ** (float(eight["log10_ber"]) - float(four["log10_ber"]))
        verdicts.append(f"{short(model)}: int8 bears {ratio:.2f} times the rate that int4 does, and the intervals "
                        f"{'do not overlap' if apart(eight, four) else 'overlap'}.")
    return text + "\n\n" + "\n".join(f"- {verdict}" for verdict in verdicts)


def blocks(run, ber=3e-2):
    cells = [cell for cell in run.select("block") if float(cell["ber"]) == ber]
    return cells_table(cells, "block") + f"\n\n- {first_block(cells)}"


def layer_wise(run):
    return blocks(run)


def late_mlps(run):
    parts = {}
    for cell in run.select("part"):
        block, part = cell["target"].rsplit(".", 1)
        parts.setdefault(block, {})[part] = cell
    rows, above = [], []
    for block, halves in parts.items():
        columns = [run.losses(halves[part]) for part in ("mlp", "attention")]
        low, high = bootstrap(columns, difference)
        more = difference([list(column.values()) for column in columns])
        above.append(low > 0)
        rows.append([block, *(number(halves[part][name]) for name in ("loss_mean", "loss_per_mbit")
                              for part in ("mlp", "attention")), f"{more:.2f}", f"[{low:.2f}, {high:.2f}]"])
    losses = [run.losses(halves["mlp"]) for halves in parts.values()]
    order = list(range(len(losses)))

    def trend(columns):
        return rank_correlation(order, [mean(column) for column in columns])

    rho = trend([list(column.values()) for column in losses])
    low, high = bootstrap(losses, trend)
    late = above[len(above) // 2:]
    says = ("shown. Later MLPs are more fragile" if low > 0 else
            "contradicted. Later MLPs are less fragile" if high < 0 else "not shown. Later MLPs are not told apart")
    return table(["block", "MLP, loss pp", "attention, loss pp", "MLP, pp a Mbit", "attention, pp a Mbit", "MLP - attention, pp",
                  "interval"], rows) + (
        f"\n\n- The MLP loses more than the attention of its block, with an interval above 0, in {sum(above)} of {len(above)} "
        f"blocks, and in {sum(late)} of the {len(late)} later ones.\n- That later MLPs are the critical ones is {says}: the rank correlation of an "
        f"MLP's loss with its block's number is {rho:.2f} [{low:.2f}, {high:.2f}].")


def type_wise(run):
    over_all = run.select("type", lambda target: "." not in target)
    by_name = {cell["target"]: run.losses(cell) for cell in over_all}
    pairs = []
    for first, second in PAIRS:
        columns = [by_name[first], by_name[second]]
        low, high = bootstrap(columns, difference)
        pairs.append(f"- {first} loses {difference([list(column.values()) for column in columns]):.2f} pp more than {second}, "
                     f"[{low:.2f}, {high:.2f}]: {'shown' if low > 0 or high < 0 else 'not told apart'}.")
    in_blocks = {}
    for cell in run.select("type", lambda target: "." in target):
        block, name = cell["target"].rsplit(".", 1)
        in_blocks.setdefault(block, {})[name] = run.losses(cell)
    rows = []
    for block, by_name in in_blocks.items():
        rows.append([block, *(f"{mean(list(by_name[name].values())):.2f}" for name in "qkv")])
        for first, second in PAIRS:
            low, high = bootstrap([by_name[first], by_name[second]], difference)
            rows[-1].append(f"[{low:.2f}, {high:.2f}]")
    header = ["block, BER 0.3", *(f"{name}, loss pp" for name in "qkv"), *(f"{first} - {second}" for first, second in PAIRS)]
    return "\n".join([cells_table(over_all, "type, all blocks, BER 0.1"), "", *pairs, "", table(header, rows)])


def head_wise(run):
    heads = run.select("head")
    worst = sorted(heads, key=lambda cell: float(cell["rank"]))
    return cells_table(worst[:4] + worst[-2:], "head (the four most and two least fragile)") + (
        f"\n\n- Of {len(heads)} heads at BER 0.3: {unlike_one(heads)}.")


def attention_distance(run):
    rows = [[row["format"], f"{float(row['ber']):g}", row["mad"], row["heads"], number(row["rho"]),
             interval(row, "ci_low", "ci_high"), number(row["p_value"], 3)] for row in run.rows("mad_vf.csv")]
    holds_zero = [float(row["ci_low"]) <= 0 <= float(row["ci_high"]) for row in run.rows("mad_vf.csv")]
    return table(["format", "BER", "MAD", "heads", "rank correlation with VF", "interval", "p"], rows) + (
        "\n\n- Not shown: the intervals hold 0." if all(holds_zero) else "\n\n- Shown: no interval holds 0." if not any(holds_zero)
        else "\n\n- Not decided: one interval holds 0.")


def cnn(run):
    text, _ = threshold_table(run)
    tensors = sorted(run.select("tensor"), key=lambda cell: float(cell["rank"]))
    first = {cell["target"]: cell for cell in tensors}["conv1.0.weight"]
    return text + "\n\n" + cells_table(tensors[:5], "tensor (the five most fragile)") + (
        f"\n\n- The first convolution is number {float(first['rank']):.0f} of {len(tensors)}, the rank's interval is "
        f"{interval(first, 'rank_low', 'rank_high', 0)}.")


def other_transformer(run):
    text, _ = threshold_table(run)
    return text + "\n\n" + blocks(run)


SECTIONS = {"model-wise": ("model-wise", model_wise), "first-block": ("layer-wise", layer_wise),
            "late-mlps": ("layer-wise", late_mlps), "types": ("type-wise", type_wise), "heads": ("head-wise", head_wise),
            "mad": ("head-wise", attention_distance), "cnn": ("cnn-fixed-point", cnn), "swin": ("swin", other_transformer),
            "deepvit": ("deepvit", other_transformer)}


# The page.

def devices_text(runs):
    return f"Measured on {'; '.join(sorted({device for run in runs for device in run.devices()}))}."


def section(page, name):
    """The places of a section's first and last character."""
    begin, end = f"<!-- claims.py: {name} -->\n", "\n<!-- end -->"
    first = page.index(begin) + len(begin)
    return first, page.index(end, first)


def nearly(first, second):
    """The same words, and nearly the same numbers."""
    pattern = r"-?\d+\.?\d*"
    if re.sub(pattern, "#", first) != re.sub(pattern, "#", second):
        return False
    return all(abs(float(a) - float(b)) <= 0.3 + 0.1 * abs(float(a))
               for a, b in zip(re.findall(pattern, first), re.findall(pattern, second)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs") / "claims", help="where the runs lie")
    parser.add_argument("--only", nargs="+", choices=CAMPAIGNS, default=CAMPAIGNS, help="only what these campaigns show")
    parser.add_argument("--device", default="cpu", help="where they run: cpu, cuda or cuda:NUMBER")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the page would change")
    parser.add_argument("--page", type=pathlib.Path, default=HERE / "CLAIMS.md")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    runs = {name: run(name, arguments.out, arguments.device) for name in CAMPAIGNS if name in arguments.only}
    made = {name: write(runs[campaign]) for name, (campaign, write) in SECTIONS.items() if campaign in runs}
    made["device"] = devices_text(runs.values())
    page = arguments.page.read_text()
    same_device = page[slice(*section(page, "device"))] == made["device"]
    differing = []
    for name, text in made.items():
        first, last = section(page, name)
        if arguments.check and name != "device":
            if not (text == page[first:last] if same_device else nearly(text, page[first:last])):
                differing.append(f"claims: {name}: the page says\n{page[first:last]}\nand the runs\n{text}")
        elif not arguments.check:
            page = page[:first] + text + page[last:]
    if not arguments.check:
        arguments.page.write_text(page)
    sys.exit("\n".join(differing) or 0)


if __name__ == "__main__":
    main()
