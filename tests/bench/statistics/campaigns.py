"""What the benches of statistics share: they write campaign files, run `bitquake run`, and read what it leaves."""

import argparse
import csv
import json
import math
import pathlib
import subprocess
import sys
import time

SOURCE = pathlib.Path(__file__).resolve().parents[3]
SHARED = SOURCE.parent / "shared"
DEMO = SOURCE / "deploy" / "demo"
MODEL = SHARED / "models" / "vit_tiny_patch4_28.fashion_mnist"
DATA = SHARED / "data" / "fashion-mnist"


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def numbers(kind):
    """An argument's type: a list with commas."""
    return lambda text: [kind(word) for word in text.split(",") if word]


def parser(description):
    """The options that all of the benches take."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--bitquake", type=pathlib.Path, default=SOURCE / "build/release/bin/bitquake",
                         help="the program")
    options.add_argument("--device", default="cpu", help="as `bitquake run` takes it: cpu, cuda, cuda:1")
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--model", type=pathlib.Path, default=MODEL, help="folder")
    options.add_argument("--data", type=pathlib.Path, default=DATA, help="folder")
    options.add_argument("--format", default="int8")
    options.add_argument("--seed", type=int, default=2418)
    options.add_argument("--folds", type=int, default=50)
    options.add_argument("--out", type=pathlib.Path, required=True,
                         help="folder for campaign files, run directories and the table; runs that it has are not "
                              "run again")
    options.add_argument("--small", action="store_true",
                         help="what two CPU cores do in minutes, on the demo's model and 2,000 images")
    return options


def parse(options, arguments):
    chosen = options.parse_args(arguments)
    if chosen.small:
        chosen.model, chosen.data, chosen.folds = DEMO / "models" / MODEL.name, DEMO / "data" / DATA.name, 10
    return chosen


def base(chosen, name):
    """The fields of a campaign that all share."""
    for option, path in (("--model", chosen.model), ("--data", chosen.data)):
        if not path.exists():
            sys.exit(f"{path}: no such folder; name another by {option}")
    return {"name": name, "seed": chosen.seed, "models": [str(chosen.model.resolve())],
            "dataset": str(chosen.data.resolve()), "formats": [chosen.format], "folds": chosen.folds}


class Run:
    """A finished run: its cells by (target, rate), and its folder."""

    def __init__(self, folder):
        self.folder = folder
        self.cells = {}
        for row in self.rows("cells.csv"):
            self.cells[row["target"], float(row["ber"])] = Cell(row)

    def rows(self, name):
        with open(self.folder / name, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def images(self):
        return sum(cell.images for cell in self.cells.values())

    def inferences(self):
        return sum(cell.inferences for cell in self.cells.values())


class Cell:
    def __init__(self, row):
        self.trials = int(row["trials"])
        self.images = int(row["images"])  # of all its trials, whether or not they took an inference
        self.inferences = int(row["inferences"])  # those that did
        self.top1 = float(row["top1_mean"])
        self.low, self.high = number(row["ci_low"]), number(row["ci_high"])
        self.half_width = (self.high - self.low) / 2
        self.stopped = row["stopped"]


def number(text):
    return float(text) if text else math.nan


def run(chosen, campaign):
    """Runs a campaign, unless --out has its run already; returns the Run."""
    chosen.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(campaign, indent=1)
    file = chosen.out / f"{campaign['name']}.json"
    folder = chosen.out / campaign["name"]
    if (folder / "cells.csv").exists():
        if file.read_text(encoding="utf-8") != text:
            sys.exit(f"{folder} is the run of another campaign than this one; remove it, or name another --out")
        say(f"{campaign['name']}: already run")
        return Run(folder)
    file.write_text(text, encoding="utf-8")
    say(f"{campaign['name']}: running")
    start = time.monotonic()
    command = [str(chosen.bitquake), "run"]
    command += ["--resume", str(folder)] if (folder / "run.json").exists() else [
        str(file), "--out", str(folder), "--device", chosen.device, "--workers", str(chosen.workers)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}")
    finished = Run(folder)
    say(f"{campaign['name']}: {len(finished.cells)} cells, {finished.images()} images, {finished.inferences()} "
        f"inferences, {time.monotonic() - start:.0f} s")
    return finished


def aligned(rows):
    """Rows of text, the first of them the heading, in columns to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(field.rjust(width) for field, width in zip(row, widths)) for row in rows)


def write_csv(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
