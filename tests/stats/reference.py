"""Computes tests/data/stats/reference.json: what common/stats must give for a few small samples.

    /usr/bin/python3 tests/stats/reference.py tests/data/stats/reference.json

Needs SciPy (Debian's python3-scipy), which building and testing do not; so the file is committed. Written from
the words of the headers in common/stats alone. Bootstrap distributions are exact here: all n^n resamples of n
trials, each as likely, where the C++ draws some at random.
"""
import itertools
import json
import math
import sys

import numpy as np
from scipy import stats

INF = float("inf")


def exact_resamples(n):
    """Every resample of n trials, once for each multiset, with the number of orders that give it."""
    for chosen in itertools.combinations_with_replacement(range(n), n):
        orders = math.factorial(n)
        for count in np.bincount(chosen, minlength=n):
            orders //= math.factorial(int(count))
        yield list(chosen), orders


def expanded_tail(n, confidence):
    return float(stats.norm.cdf(math.sqrt(n / (n - 1)) * stats.t.ppf((1 - confidence) / 2, n - 1)))


def exact_quantile(values, weights, q):
    """The smallest value whose cumulative probability reaches q."""
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(np.asarray(weights, float)[order])
    at = int(np.searchsorted(cumulative, q * cumulative[-1]))
    return float(np.asarray(values)[order][min(at, len(order) - 1)])


def exact_bca(x, confidence):
    x = np.asarray(x, float)
    n = len(x)
    means, weights = zip(*((x[c].mean(), w) for c, w in exact_resamples(n)))
    means, weights = np.array(means), np.array(weights, float)
    weights /= weights.sum()
    mean = x.mean()
    tie = np.isclose(means, mean, rtol=0, atol=1e-12)
    z0 = stats.norm.ppf(weights[(means < mean) & ~tie].sum() + weights[tie].sum() / 2)
    jackknife = np.array([np.delete(x, i).mean() for i in range(n)])
    d = jackknife.mean() - jackknife
    a = (d ** 3).sum() / (6 * (d ** 2).sum() ** 1.5)
    z = stats.norm.ppf(expanded_tail(n, confidence))
    return [exact_quantile(means, weights, stats.norm.cdf(z0 + (z0 + s) / (1 - a * (z0 + s)))) for s in (z, -z)]


def scipy_bca(x, confidence):
    """By scipy.stats.bootstrap, at the confidence that has the expanded tails."""
    level = 1 - 2 * expanded_tail(len(x), confidence)
    result = stats.bootstrap((np.asarray(x, float),), np.mean, confidence_level=level, n_resamples=400000,
                             batch=10000, method="BCa", random_state=np.random.default_rng(5))
    return [float(v) for v in result.confidence_interval]


def bernstein(x, low, high, confidence):
    n, delta = len(x), (1 - confidence) / 2
    half = math.sqrt(2 * np.var(x, ddof=1) * math.log(2 / delta) / n)
    half += 7 * (high - low) * math.log(2 / delta) / (3 * (n - 1))
    return [max(low, float(np.mean(x)) - half), min(high, float(np.mean(x)) + half)]


def isotonic(values, weights):
    """Min-max formula (Robertson, Wright & Dykstra 1988, theorem 1.4.4)."""
    v, w = np.asarray(values, float), np.asarray(weights, float)

    def average(i, j):
        return float((v[i:j + 1] * w[i:j + 1]).sum() / w[i:j + 1].sum())

    n = len(v)
    return [max(min(average(i, j) for j in range(k, n)) for i in range(k + 1)) for k in range(n)]


def crossing(log10_ber, fit, loss):
    if fit[0] > loss:
        return -INF
    for i, value in enumerate(fit):
        if value >= loss:
            if i == 0 or value == loss:
                return log10_ber[i]
            return log10_ber[i - 1] + (log10_ber[i] - log10_ber[i - 1]) * (loss - fit[i - 1]) / (value - fit[i - 1])
    return INF


def thresholds(log10_ber, losses, limits, confidence):
    losses = np.asarray(losses, float)  # [rate][trial]
    n = losses.shape[1]

    def find(chosen):
        fit = isotonic(losses[:, chosen].mean(axis=1), [n] * len(log10_ber))
        return [crossing(log10_ber, fit, limit) for limit in limits]

    replicates, weights = zip(*((find(c), w) for c, w in exact_resamples(n)))
    tail = expanded_tail(n, confidence)
    at = find(list(range(n)))
    return [dict(loss=limit, log10_ber=at[i],
                 interval=[exact_quantile([r[i] for r in replicates], weights, q) for q in (tail, 1 - tail)])
            for i, limit in enumerate(limits)]


def factors(means):
    return [m / np.mean(np.delete(means, i)) for i, m in enumerate(means)]


def vulnerability(losses, goldens, bits, confidence):
    losses = np.asarray(losses, float)  # [target][trial]
    n = losses.shape[1]
    tail = expanded_tail(n, confidence)
    replicates, weights = zip(*((factors(losses[:, c].mean(axis=1)), w) for c, w in exact_resamples(n)))
    result = []
    for i, x in enumerate(losses):
        t = [float(v) for v in stats.t.interval(confidence, n - 1, x.mean(), stats.sem(x))]
        mbit = bits[i] / 1e6
        result.append(dict(
            loss=[float(x.mean()), *t],
            relative_loss=[100 * v / goldens[i] for v in (float(x.mean()), *t)],
            loss_per_mbit=[v / mbit for v in (float(x.mean()), *t)],
            vf=[float(factors(losses.mean(axis=1))[i]),
                *(exact_quantile([r[i] for r in replicates], weights, q) for q in (tail, 1 - tail))]))
    return result


def ranking(losses, most, confidence):
    losses = np.asarray(losses, float)
    n = losses.shape[1]
    tail = expanded_tail(n, confidence)

    def ranks(chosen):
        return stats.rankdata(-np.round(losses[:, chosen].mean(axis=1), 12))

    def membership(rank):
        """Part of each target in the `most` first places; equal ones share theirs."""
        low = rank - (np.array([np.sum(rank == r) for r in rank]) - 1) / 2
        ties = np.array([np.sum(rank == r) for r in rank])
        return np.clip((most - low + 1) / ties, 0, 1)

    replicates, weights = zip(*((ranks(c), w) for c, w in exact_resamples(n)))
    weights = np.array(weights, float) / sum(weights)
    share = sum(w * membership(r) for r, w in zip(replicates, weights))
    return [dict(rank=float(ranks(list(range(n)))[i]), share=float(share[i]),
                 interval=[exact_quantile([r[i] for r in replicates], weights, q) for q in (tail, 1 - tail)])
            for i in range(len(losses))]


def spearman(x, y, confidence):
    rho, p = stats.spearmanr(x, y)
    half = stats.norm.ppf((1 + confidence) / 2) * math.sqrt((1 + rho ** 2 / 2) / (len(x) - 3))
    return dict(x=x, y=y, confidence=confidence, rho=float(rho), p_value=float(p),
                interval=[float(np.tanh(np.arctanh(rho) + s * half)) for s in (-1, 1)])


def main():
    rng = np.random.default_rng(2418)
    samples = [[0.5, -0.25, 3, 0, 0, 7.5], [1.25, 2.5, 0.75, 1.5, 1.0, 2.0, 1.75]]
    long_samples = [[float(v) for v in np.round(rng.exponential(3, 12), 3)],
                    [float(v) for v in np.round(rng.normal(10, 2, 25), 3)]]
    reference = {"intervals": [], "samples": [], "expanded_tails": [], "isotonic": [], "spearman": []}
    for x in samples + long_samples:
        for confidence in (0.9, 0.95):
            reference["intervals"].append(dict(
                values=x, confidence=confidence,
                t=[float(v) for v in stats.t.interval(confidence, len(x) - 1, np.mean(x), stats.sem(x))],
                bca=exact_bca(x, confidence) if x in samples else scipy_bca(x, confidence),
                bernstein=bernstein(x, -20, 80, confidence)))
        reference["samples"].append(dict(
            values=x, mean=float(np.mean(x)), deviation=float(np.std(x, ddof=1)),
            skewness=float(stats.skew(x, bias=False)),
            quantiles={str(q): float(np.quantile(x, q)) for q in (0.05, 0.3, 0.5, 0.95)}))
    for n in (2, 3, 10, 50, 500):
        for confidence in (0.8, 0.95, 0.99):
            reference["expanded_tails"].append(dict(n=n, confidence=confidence, tail=expanded_tail(n, confidence)))
    for n in (1, 2, 5, 12, 40):
        for _ in range(4):
            values = [float(v) for v in np.round(np.linspace(0, 3, n) + rng.normal(0, 1.5, n), 2)]
            weights = [float(v) for v in rng.integers(1, 30, n)]
            reference["isotonic"].append(dict(values=values, weights=weights, fit=isotonic(values, weights)))
    log10_ber = [-6, -5.5, -5, -4.25, -4]
    size = np.array([0.2, 0.4, 2.5, 6, 30])[:, None]
    curve = np.round(size * rng.gamma(2, 0.5, 7)[None, :] + rng.normal(0, 0.3, (5, 7)), 2).tolist()
    reference["thresholds"] = dict(log10_ber=log10_ber, losses=curve, confidence=0.9,
                                   thresholds=thresholds(log10_ber, curve, [0.1, 1, 5, 10, 30, 90], 0.9))
    losses = np.round(np.array([6, 5.5, 2, 1, 1])[:, None] + rng.normal(0, 0.9, (5, 6)), 2)
    losses[4] = losses[3]  # ties
    losses, goldens, bits = losses.tolist(), [80, 80, 75, 80, 90], [590592, 2359296, 1000000, 2359296, 589824]
    reference["targets"] = dict(
        losses=losses, goldens=goldens, bits=bits, confidence=0.9, most_fragile=4,
        vulnerability=vulnerability(losses, goldens, bits, 0.9), ranking=ranking(losses, 4, 0.9))
    for n, ties in ((12, False), (12, True), (40, False), (4, False)):
        x = rng.normal(size=n)
        y = 0.6 * x + rng.normal(size=n)
        digits = 0 if ties else 4
        reference["spearman"].append(
            spearman(np.round(x, digits).tolist(), np.round(y, digits).tolist(), 0.95))
    text = json.dumps(reference, indent=1).replace("-Infinity", '"-inf"').replace("Infinity", '"inf"')
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(text + "\n")


if __name__ == "__main__":
    main()
