"""Computes tests/data/report from scratch: a made-up campaign, and the cells.csv and trials.csv it must give.

Written from the words of common/report/results.h alone, with the standard library only; exact fractions up to
the last step. `reference.py DIR` writes the files; `reference.py --check DIR` compares them with what lies there.
"""
import csv
import functools
import io
import json
import math
import pathlib
import random
import sys
from fractions import Fraction

CELL_COLUMNS = """campaign model format fault granularity target bits ber trials images golden_top1 golden_top5
top1_mean top1_std top1_min top1_max top1_p05 top1_median top1_p95 ci_low ci_high loss_mean top5_mean sdc_rate
due_rate flips_mean vf cell interval confidence half_width_asked half_width_observed stopped inferences relative_loss
loss_per_mbit vf_low vf_high rank rank_low rank_high""".split()
TRIAL_COLUMNS = """campaign model format fault granularity target ber trial images top1 top5 sdc due flips
faults_digest""".split()


def made_up_campaign():
    rng = random.Random(2418)
    goldens = {
        ("vit, tiny", "int8"): dict(images=10000, top1=8431, top5=9702),
        ("vit, tiny", "fp32"): dict(images=10000, top1=8440, top5=9711),
        ('swin "s"', "int8"): dict(images=3001, top1=2500, top5=2900),
    }
    targets = [("model", "model", 8000000)]
    targets += [("block", f"blocks.{b}", 600000 + b) for b in range(4)]
    targets += [("type", t, 90000) for t in "qkv"] + [("type", f"blocks.{b}.{t}", 30000) for b in (0, 1) for t in "qk"]
    targets += [("head", f"blocks.{b}.attn.h{h}", 9000) for b in (0, 1) for h in range(3)]
    targets += [("head", f"blocks.0.attn.h{h}.{t}", 3000) for h in range(2) for t in "qv"]
    cells = []
    for (model, fmt), golden in goldens.items():
        for granularity, target, bits in targets:
            for ber in (0.0, 1e-6, 3.16227766e-5):
                damage = ber * 3e3 * rng.uniform(0.2, 2)
                trials = []
                for t in range(rng.choice([1, 2, 3, 10])):
                    images = golden["images"] if granularity != "head" else 200
                    right = min(images, round(images * golden["top1"] / golden["images"]) + rng.randint(-3, 3))
                    right5 = min(images, round(images * golden["top5"] / golden["images"]))
                    lost = min(right, int(rng.expovariate(1) * damage * images))
                    trials.append(dict(trial=t, images=images, golden_top1=right, golden_top5=right5,
                                       top1=right - lost + (lost > 5), top5=right5 - lost // 2, sdc=lost * 3 // 2,
                                       due=lost // 7, flips=int(ber * bits * rng.uniform(0, 2)),
                                       faults_digest=f"{rng.getrandbits(128):032x}"))
                if rng.random() < 0.1:
                    trials = []
                cells.append(dict(campaign="made-up", model=model, format=fmt, fault="bit_flip", bits=bits,
                                  granularity=granularity, target=target, ber=ber, golden=golden, trials=trials))
    return cells


def incomplete_beta(a, b, x):
    """Regularised, by Lentz's continued fraction (Numerical Recipes 6.4)."""
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    f = d
    for m in range(1, 500):
        for numerator in (m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                          -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))):
            d = 1 / (1 + numerator * d)
            c = 1 + numerator / c
            f *= c * d
    return front * f / a


@functools.lru_cache(maxsize=None)
def student_975(df):
    low, high = 0.0, 1000.0
    while high - low > 1e-13 * high:
        t = (low + high) / 2
        below = 1 - incomplete_beta(df / 2, 0.5, df / (df + t * t)) / 2
        low, high = (t, high) if below < 0.975 else (low, t)
    return (low + high) / 2


def quantile(values, q):
    values = sorted(values)
    position = q * (len(values) - 1)
    i = math.floor(position)
    return values[i] + (position - i) * (values[min(i + 1, len(values) - 1)] - values[i])


def estimate(golden, trial, key):
    here = Fraction(trial[key] - trial["golden_" + key], trial["images"])
    return 100 * (Fraction(golden[key], golden["images"]) + here)


def siblings_key(cell):
    """Heads: the others of the block (and type). Types of blocks: the same of the other blocks."""
    target = cell["target"].split(".")
    if cell["granularity"] == "head":
        group = tuple("*" if part[0] == "h" and part[1:].isdigit() else part for part in target)
    elif cell["granularity"] == "type":
        group = target[-1] if len(target) > 1 else None
    else:
        group = None
    return cell["model"], cell["format"], cell["granularity"], cell["ber"], group


def ranking_key(cell):
    """Over all blocks; whole heads, types of heads, types of blocks and types of the model each by themselves."""
    kind = cell["granularity"] in ("head", "type") and cell["target"].count(".")
    return cell["model"], cell["format"], cell["granularity"], cell["ber"], kind


def memoized(f):
    known = {}

    def lookup(cell):
        if id(cell) not in known:
            known[id(cell)] = f(cell)
        return known[id(cell)]
    return lookup


def philox(counter, key):
    """Philox 4x32-10 (Salmon et al. 2011)."""
    c, k, mask = list(counter), list(key), 0xFFFFFFFF
    for _ in range(10):
        low, high = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(high >> 32) ^ c[1] ^ k[0], high & mask, (low >> 32) ^ c[3] ^ k[1], low & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c


SEED, RESAMPLES = 2418, 200


@functools.lru_cache(maxsize=None)
def resampled_trials(n):
    """For each resample, which of n trials it takes."""
    return [[word * n >> 32 for block in range((n + 3) // 4)
             for word in philox((block, r, 0x626F6F74, 0), (SEED, 0))][:n] for r in range(RESAMPLES)]


def expanded_tail(n):
    return 0.5 * math.erfc(math.sqrt(n / (n - 1)) * student_975(n - 1) / math.sqrt(2))


def percentile_ends(values, tail):
    return [float(quantile(values, q)) for q in (tail, 1 - tail)]


@memoized
def trial_losses(cell):
    return [Fraction(100 * (t["golden_top1"] - t["top1"]), t["images"]) for t in cell["trials"]]


@memoized
def resampled_losses(cell):
    losses = [float(x) for x in trial_losses(cell)]
    return [math.fsum(losses[t] for t in taken) / len(losses) for taken in resampled_trials(len(losses))]


def add_intervals(row, cell, siblings, ranked):
    """Of vf and rank; `siblings` and `ranked` have the cell itself among them."""
    fewest = lambda group: min(len(c["trials"]) for c in group)
    if len(siblings) > 1 and fewest(siblings) > 1 and row["vf"] != "":
        others = [resampled_losses(c) for c in siblings if c is not cell]
        means = [math.fsum(at) / len(at) for at in zip(*others)]
        if all(mean > 1e-9 for mean in means):
            row["vf_low"], row["vf_high"] = percentile_ends(
                [own / mean for own, mean in zip(resampled_losses(cell), means)], expanded_tail(fewest(siblings)))
        else:  # one of RESAMPLES is more than one of a thousand
            assert RESAMPLES < 1000
    if len(ranked) > 1 and fewest(ranked) > 1:
        places = [place(own, at) for own, at in zip(resampled_losses(cell), zip(*map(resampled_losses, ranked)))]
        row["rank_low"], row["rank_high"] = percentile_ends(places, expanded_tail(fewest(ranked)))


def place(own, losses):
    """1 for the largest; equal ones share the mean of their places."""
    return sum(x > own for x in losses) + (sum(x == own for x in losses) + 1) / 2


@memoized
def loss(cell):
    golden = cell["golden"]
    mean = sum(estimate(golden, t, "top1") for t in cell["trials"]) / len(cell["trials"])
    return Fraction(100 * golden["top1"], golden["images"]) - mean


def inferences(cell, cells):
    """Images of trials that flip something, and not what the same trial of the target flips at a lower rate."""
    keys = "model", "format", "granularity", "target"
    lower = [c for c in cells if all(c[k] == cell[k] for k in keys) and c["ber"] < cell["ber"]]
    known = {(t["trial"], t["faults_digest"]) for c in lower for t in c["trials"]}
    return sum(t["images"] for t in cell["trials"]
               if t["flips"] > 0 and (t["trial"], t["faults_digest"]) not in known)


def cell_row(cell, cells):
    golden, trials = cell["golden"], cell["trials"]
    n = len(trials)
    images = sum(t["images"] for t in trials)
    top1 = [estimate(golden, t, "top1") for t in trials]
    mean = sum(top1) / n
    row = {k: cell[k] for k in CELL_COLUMNS[:8]}
    row["cell"] = next(i for i, c in enumerate(cells) if c is cell)
    row.update(trials=n, images=images, golden_top1=Fraction(100 * golden["top1"], golden["images"]),
               golden_top5=Fraction(100 * golden["top5"], golden["images"]), top1_mean=mean, top1_min=min(top1),
               top1_max=max(top1), top1_p05=quantile(top1, Fraction(1, 20)),
               top1_median=quantile(top1, Fraction(1, 2)), top1_p95=quantile(top1, Fraction(19, 20)),
               loss_mean=loss(cell), top5_mean=sum(estimate(golden, t, "top5") for t in trials) / n,
               sdc_rate=Fraction(100 * sum(t["sdc"] for t in trials), images),
               due_rate=Fraction(100 * sum(t["due"] for t in trials), images),
               flips_mean=Fraction(sum(t["flips"] for t in trials), n), top1_std="", ci_low="", ci_high="",
               interval="t", confidence=0.95, half_width_asked="", half_width_observed="", stopped="fixed",
               inferences=inferences(cell, cells), vf="", vf_low="", vf_high="", rank="", rank_low="", rank_high="",
               relative_loss=100 * loss(cell) / Fraction(100 * golden["top1"], golden["images"]),
               loss_per_mbit=loss(cell) * 1000000 / cell["bits"])
    if n > 1:
        std = math.sqrt(sum((x - mean) ** 2 for x in top1) / (n - 1))
        half = student_975(n - 1) * std / math.sqrt(n)
        row.update(top1_std=std, ci_low=float(mean) - half, ci_high=float(mean) + half,
                   half_width_observed=half)
    siblings = [c for c in cells if c["trials"] and siblings_key(c) == siblings_key(cell)]
    others = [loss(c) for c in siblings if c is not cell]
    if others and sum(others) > 0:
        row["vf"] = loss(cell) / (sum(others) / len(others))
    ranked = [c for c in cells if c["trials"] and ranking_key(c) == ranking_key(cell)]
    if len(ranked) > 1:
        row["rank"] = place(loss(cell), [loss(c) for c in ranked])
    add_intervals(row, cell, siblings, ranked)
    return row


def shown(value):
    if isinstance(value, (float, Fraction)):
        value = float(value)
        return str(int(value)) if value == int(value) else repr(value)
    return str(value)


def to_csv(columns, rows):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([shown(row[c]) for c in columns] for row in rows)
    return out.getvalue()


def trial_rows(cells):
    for cell in cells:
        for t in cell["trials"]:
            yield {**cell, **t, "top1": estimate(cell["golden"], t, "top1"),
                   "top5": estimate(cell["golden"], t, "top5")}


def main(check, folder):
    cells = made_up_campaign()
    files = {"campaign.json": json.dumps(cells, indent=0) + "\n",
             "cells.csv": to_csv(CELL_COLUMNS, [cell_row(c, cells) for c in cells if c["trials"]]),
             "trials.csv": to_csv(TRIAL_COLUMNS, trial_rows(cells))}
    for name, text in files.items():
        if not check:
            (folder / name).write_text(text)
        elif (folder / name).read_text() != text:
            print(f"{folder / name} is not what reference.py computes; run it without --check")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv, pathlib.Path(sys.argv[-1])))
