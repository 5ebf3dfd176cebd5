"""Spread and adaptive trials beside ten full repeats, over a grid of bit-error rates and blocks.

    python3 tests/bench/statistics/spread_against_full.py --out runs/spread --device cuda

The claim: in every cell they reach a half-width no wider than the larger of 0.5 pp and what ten full repeats give
there, with at least 20 times fewer images over the grid; and both estimate the same. Prints a line for each cell
with both intervals and costs, writes the same as spread_against_full.csv, then says whether each part of the claim
holds. Exit code 1: one does not.

How it is measured:
  1. Ten full repeats (`images: all`, `trials: 10`) of every cell.
  2. What each cell is then allowed: the larger of --half-width and its half-width in 1.
  3. Adaptive trials on one fold each (`images: spread`, `trials: {min: 10, max: 500, half_width: ...}`). A campaign
     asks all of its cells for one width, so cells are grouped: the widths asked for go up from --half-width in steps
     of --step, and each cell goes to the campaign with the widest that is no wider than it is allowed. So no cell is
     asked for less than the claim says, and each for at most a step more.
--uniform adds one campaign that asks every cell for --half-width: what one pays who does not know the spread of the
cells beforehand, and wants the same width everywhere. It is another claim, for where full repeats give 10 pp it asks
for twenty times less; its figures are printed, and nothing is concluded.

Images are counted as the column `images` of cells.csv does: all that trials saw, also where deduplication or a trial
without a flip made inference needless; nothing is gained by resuming a forward pass in the middle either.

Both sides have the same seed, and so share the faults of trials 0 to 9. Their difference is held against
sqrt(h1^2 + h2^2), as of independent estimates: of 20 cells one may well be beyond.

The bundled model and 10,000 images by default; 40 cells of full repeats are 4,000,000 images. On two CPU cores try
--small: two cells, on the demo's 2,000 images; ratios are a fifth then, and mean little.
"""

import math
import sys

import campaigns

FULL_TRIALS = 10
WANTED_RATIO = 20
# Of the cells, those whose estimates may differ by more than their joint half-width: 5% are expected at the most.
ALLOWED_APART = 0.1


def parse(arguments):
    options = campaigns.parser(__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--ber", type=campaigns.numbers(float), default=[1e-3, 3e-3, 1e-2, 3e-2, 1e-1])
    options.add_argument("--blocks", type=campaigns.numbers(int), default=list(range(8)))
    options.add_argument("--half-width", type=float, default=0.5, help="percentage points")
    options.add_argument("--min", type=int, default=10, help="trials of a cell")
    options.add_argument("--max", type=int, default=500, help="trials of a cell")
    options.add_argument("--step", type=float, default=1.1, help="between the widths that are asked for, above 1")
    options.add_argument("--uniform", action="store_true", help="also one campaign with --half-width for all cells")
    chosen = campaigns.parse(options, arguments)
    if chosen.step <= 1:
        options.error("--step must be above 1")
    if chosen.small:
        chosen.ber, chosen.blocks = [3e-2], [0, 7]
    return chosen


def granularities(cells):
    """Entries for the blocks and rates of (block, rate) pairs."""
    rates = {}
    for block, ber in cells:
        rates.setdefault(block, []).append(ber)
    return [{"block": {"blocks": [block], "ber": sorted(bers)}} for block, bers in sorted(rates.items())]


def full_campaign(chosen, cells):
    return dict(campaigns.base(chosen, "full"), granularities=granularities(cells), ber=chosen.ber, images="all",
                trials=FULL_TRIALS)


def adaptive_campaign(chosen, name, cells, half_width):
    return dict(campaigns.base(chosen, name), granularities=granularities(cells), ber=chosen.ber, images="spread",
                trials={"min": chosen.min, "max": chosen.max, "half_width": half_width})


def asked_width(allowed, least, step):
    """The widest of least, least * step, least * step^2, ... that is no wider than allowed, which is `least` or more.

    Rounded down to four digits after the point, for a campaign file that people can read.
    """
    steps = max(0, math.floor(math.log(allowed / least) / math.log(step) + 1e-9))
    width = math.floor(least * step ** steps * 1e4) / 1e4
    assert width <= allowed + 1e-9, (width, allowed)
    return min(width, allowed)


def joint(a, b):
    return math.hypot(a.half_width, b.half_width)


class Comparison:
    """One cell: what it was allowed and asked for, and what both sides found."""

    def __init__(self, target, ber, full, adaptive, least, asked):
        self.target, self.ber, self.full, self.adaptive, self.asked = target, ber, full, adaptive, asked
        self.allowed = max(least, full.half_width)
        self.reached = adaptive.half_width <= self.allowed + 1e-9
        self.apart = abs(full.top1 - adaptive.top1) > joint(full, adaptive)

    HEADING = ["target", "ber", "full_top1", "full_half_width", "full_images", "asked", "adaptive_top1",
               "adaptive_half_width", "stopped", "trials", "adaptive_images", "ratio", "reached", "agree"]

    def row(self):
        full, adaptive = self.full, self.adaptive
        return [self.target, f"{self.ber:.1e}", f"{full.top1:.2f}", f"{full.half_width:.3f}", str(full.images),
                f"{self.asked:.3f}", f"{adaptive.top1:.2f}", f"{adaptive.half_width:.3f}", adaptive.stopped,
                str(adaptive.trials), str(adaptive.images), f"{full.images / adaptive.images:.1f}",
                "yes" if self.reached else "NO", "NO" if self.apart else "yes"]


def compare(chosen, full, adaptive):
    """A Comparison for each cell; `adaptive` has for each cell its width asked for and its Run."""
    return [Comparison(target, ber, cell, adaptive[target, ber][1].cells[target, ber], chosen.half_width,
                       adaptive[target, ber][0])
            for (target, ber), cell in sorted(full.cells.items())]


def verdicts(comparisons):
    """(what, whether it holds) for each part of the claim."""
    wide = [c for c in comparisons if not c.reached]
    apart = [c for c in comparisons if c.apart]
    images = [sum(side.images for side in sides) for sides in zip(*((c.full, c.adaptive) for c in comparisons))]
    inferences = [sum(side.inferences for side in sides)
                  for sides in zip(*((c.full, c.adaptive) for c in comparisons))]
    ratio = images[0] / images[1]
    return [(f"half-width reached in {len(comparisons) - len(wide)} of {len(comparisons)} cells", not wide),
            (f"images: {images[0]} against {images[1]}, {ratio:.1f} times fewer (wanted: {WANTED_RATIO}); inferences "
             f"that deduplication left: {inferences[0]} against {inferences[1]}", ratio >= WANTED_RATIO),
            (f"estimates within their joint half-width in {len(comparisons) - len(apart)} of {len(comparisons)} cells",
             len(apart) <= max(1, ALLOWED_APART * len(comparisons)))]


def run_adaptive(chosen, full):
    """For each cell (the width it is asked for, the Run it is in)."""
    by_width = {}
    for (target, ber), cell in full.cells.items():
        allowed = max(chosen.half_width, cell.half_width)
        by_width.setdefault(asked_width(allowed, chosen.half_width, chosen.step), []).append((target, ber))
    found = {}
    for width, cells in sorted(by_width.items()):
        run = campaigns.run(chosen, adaptive_campaign(
            chosen, f"adaptive-{width:.4f}", [(int(target.split(".")[-1]), ber) for target, ber in cells], width))
        found.update({cell: (width, run) for cell in cells})
    return found


def report(title, comparisons):
    print(f"\n{title}\n{campaigns.aligned([Comparison.HEADING] + [c.row() for c in comparisons])}\n")
    results = verdicts(comparisons)
    for what, holds in results:
        print(f"{'holds' if holds else 'DOES NOT HOLD'}: {what}")
    return all(holds for _, holds in results)


def main(arguments):
    chosen = parse(arguments)
    cells = [(block, ber) for block in chosen.blocks for ber in chosen.ber]
    full = campaigns.run(chosen, full_campaign(chosen, cells))
    comparisons = compare(chosen, full, run_adaptive(chosen, full))
    holds = report(f"Ten full repeats against one fold a trial; half-widths in pp. Each cell is asked for the larger "
                   f"of {chosen.half_width:g} and that of the full repeats, at most a step of {chosen.step:g} less.",
                   comparisons)
    campaigns.write_csv(chosen.out / "spread_against_full.csv", [Comparison.HEADING] + [c.row() for c in comparisons])
    if chosen.uniform:
        run = campaigns.run(chosen, adaptive_campaign(chosen, "uniform", cells, chosen.half_width))
        uniform = compare(chosen, full, {cell: (chosen.half_width, run) for cell in full.cells})
        report(f"For comparison: every cell asked for {chosen.half_width:g} pp, however wide full repeats are.",
               uniform)
        campaigns.write_csv(chosen.out / "uniform.csv", [Comparison.HEADING] + [c.row() for c in uniform])
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
