"""Threshold search beside a dense grid of bit-error rates.

    python3 tests/bench/statistics/search_against_grid.py --out runs/search --device cuda

The claim: `ber: {search: {loss: [1, 5, 10]}}` finds the rates at which a target loses 1, 5 and 10 pp within the
intervals of a dense reference grid, with at least 5 times fewer inferences. Prints a line for each target and limit,
writes the same as search_against_grid.csv, then says whether each part of the claim holds. Exit code 1: one does not.

The reference measures every rate of the grid from which the search chooses (--from, --to, --per-decade), with the
same trials, seed and images. So where both measured a rate they have the same outcome, and what is compared is
where the search chose to look. Inferences are those that both really made, after deduplication (column `inferences`
of cells.csv); images seen are printed beside them.

The finer the grid, the more bisection saves: a search measures about six rates for each end of each limit's
interval, whatever lies between. The model as a whole and its blocks 0 to 2 by default; the grid has 451 rates, and
the reference of 4 targets takes 451 x 4 x 20 trials of 200 images: 7,200,000. On two CPU cores try --small: a grid of
61 rates, of which the search takes 24, so that the ratio is not reached.
"""

import math
import sys

import campaigns

WANTED_RATIO = 5
LOSSES = [1, 5, 10]  # those of thresholds.csv by default


def parse(arguments):
    options = campaigns.parser(__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--from", dest="lowest", type=float, default=1e-5)
    options.add_argument("--to", dest="highest", type=float, default=10 ** -0.5)
    options.add_argument("--per-decade", type=int, default=100)
    options.add_argument("--trials", type=int, default=20, help="of each rate")
    options.add_argument("--blocks", type=campaigns.numbers(int), default=[0, 1, 2], help="besides the model")
    chosen = campaigns.parse(options, arguments)
    if chosen.small:
        chosen.blocks, chosen.per_decade, chosen.trials, chosen.lowest = [], 20, 8, 10 ** -3.5
    return chosen


def campaign(chosen, name, ber):
    granularities = ["model"] + ([{"block": {"blocks": chosen.blocks}}] if chosen.blocks else [])
    return dict(campaigns.base(chosen, name), granularities=granularities, ber=ber, trials=chosen.trials,
                images="spread")


def thresholds(run):
    return {(row["target"], float(row["loss_pp"])): row for row in run.rows("thresholds.csv")}


HEADING = ["target", "loss_pp", "grid_log10_ber", "grid_low", "grid_high", "search_log10_ber", "search_low",
           "search_high", "within"]


def compare(grid, search):
    """A row for each target and limit, and whether all are within."""
    rows, all_within = [], True
    for (target, loss), reference in sorted(thresholds(grid).items()):
        found = thresholds(search)[target, loss]
        low, value, high = (campaigns.number(text) for text in (reference["ci_low"], found["log10_ber"],
                                                                reference["ci_high"]))
        within = low <= value <= high  # also of infinities: not reached is found to be not reached
        all_within = all_within and within
        rows.append([target, f"{loss:g}"]
                    + [f"{campaigns.number(row[name]):.3f}" for row in (reference, found)
                       for name in ("log10_ber", "ci_low", "ci_high")] + ["yes" if within else "NO"])
    return rows, all_within


def main(arguments):
    chosen = parse(arguments)
    rates = {"from": chosen.lowest, "to": chosen.highest, "per_decade": chosen.per_decade}
    search = campaigns.run(chosen, campaign(chosen, "search", {"search": dict(rates, loss=LOSSES)}))
    grid = campaigns.run(chosen, campaign(chosen, "grid", rates))
    rows, within = compare(grid, search)
    campaigns.write_csv(chosen.out / "search_against_grid.csv", [HEADING] + rows)
    print(f"\n{campaigns.aligned([HEADING] + rows)}\n")
    ratio = grid.inferences() / search.inferences()
    for what, holds in (
            (f"{sum(row[-1] == 'yes' for row in rows)} of {len(rows)} thresholds lie within the interval of the grid",
             within),
            (f"inferences: {grid.inferences()} against {search.inferences()}, {ratio:.1f} times fewer (wanted: "
             f"{WANTED_RATIO}); cells: {len(grid.cells)} against {len(search.cells)}; images seen: {grid.images()} "
             f"against {search.images()}", ratio >= WANTED_RATIO)):
        print(f"{'holds' if holds else 'DOES NOT HOLD'}: {what}")
    return 0 if within and ratio >= WANTED_RATIO and math.isfinite(ratio) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
