"""Goldens of the evaluation's statistics, from scipy, statsmodels, numpy and CPython's random.

    pip install -r requirements.txt
    python scripts/goldens/evaluation_statistics.py

Writes Tests/Goldens/evaluation/statistics.json. (The file is not called statistics.py: a script's folder
comes before the standard library, whose module of that name scipy imports.)
"""

import json
import math
import random
from pathlib import Path

import numpy as np
from scipy.stats import binomtest, false_discovery_control
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

OUT = Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "evaluation" / "statistics.json"


def wilson(right, items):
    low, high = proportion_confint(right, items, alpha=0.05, method="wilson")
    return [right / items, float(low), float(high)]


def macro(strata):
    """The method of variance estimates recovery (Zou and Donner 2008) with equal weights."""
    limits = np.array([wilson(right, items) for right, items in strata])
    value = limits[:, 0].mean()
    weight = 1 / len(strata)
    low = value - math.sqrt(np.sum((weight * (limits[:, 0] - limits[:, 1])) ** 2))
    high = value + math.sqrt(np.sum((weight * (limits[:, 2] - limits[:, 0])) ** 2))
    return [float(value), float(low), float(high)]


def exact_mcnemar(gained, lost):
    p = mcnemar([[0, gained], [lost, 0]], exact=True).pvalue if gained + lost else 1.0
    if gained + lost:
        assert abs(p - binomtest(gained, gained + lost, 0.5).pvalue) < 1e-12
    return float(p)


def bootstrap(strata, resamples, seed):
    """strata: for each stratum a list of clusters, each a list of values."""
    rng = random.Random(seed)
    value = np.mean([np.mean([v for cluster in s for v in cluster]) for s in strata])
    means = []
    for _ in range(resamples):
        parts = []
        for stratum in strata:
            drawn = [stratum[int(rng.random() * len(stratum))] for _ in stratum]
            values = [v for cluster in drawn for v in cluster]
            parts.append(np.mean(values))
        means.append(np.mean(parts))
    low, high = np.quantile(means, [0.025, 0.975])
    return [float(value), float(low), float(high)]


def bootstraps():
    rng = np.random.default_rng(7)
    cases = []
    for sizes in ([[1] * 40], [[1] * 25, [1] * 8, [1] * 13], [[3, 1, 4, 2, 6, 1, 1, 5]],
                  [[2, 2, 3], [1, 4, 1, 1]], [[1]]):
        strata = [[[float(v) for v in rng.choice([-1, 0, 0.25, 1], size)] for size in stratum]
                  for stratum in sizes]
        seed = int(rng.integers(0, 2 ** 40))
        cases.append({"strata": strata, "resamples": 300, "seed": seed,
                      "interval": bootstrap(strata, 300, seed)})
    return cases


def effects():
    rng = np.random.default_rng(11)
    cases = []
    for n in (2, 5, 40, 300):
        differences = rng.choice([-1.0, 0.0, 0.0, 0.0, 1.0], n)
        differences[0] = 1.0
        deviation = np.std(differences, ddof=1)
        cases.append({
            "differences": differences.tolist(),
            "mde": float((1.960 + 0.842) * deviation / math.sqrt(n)),
            "needed": {str(e): max(2, math.ceil(((1.960 + 0.842) * deviation / e) ** 2))
                       for e in (0.01, 0.02, 0.1, 0.5)}})
    return cases


def adjusted():
    rng = np.random.default_rng(3)
    cases = []
    for n in (1, 2, 7, 51):
        p = np.minimum(1, rng.exponential(0.15, n))
        if n > 5:
            p[3] = p[4]
        q = multipletests(p, method="fdr_bh")[1]
        assert np.allclose(q, false_discovery_control(p), rtol=1e-13)
        cases.append({"p": p.tolist(), "q": [float(v) for v in q]})
    return cases


def samples():
    cases = []
    for seed, population, count in [
            (1234, 3610, 1000), (1234, 2376, 1000), (1234, 30, 5), (1234, 21, 5), (1234, 22, 5),
            (1234, 85, 6), (1234, 86, 6), (1234, 1, 1), (1234, 10, 10), (0, 100000, 40),
            (1 << 33, 1000, 12)]:
        sample = random.Random(seed).sample(range(population), count)
        cases.append({"seed": seed, "population": population, "count": count,
                      "sample": sample if count <= 50 else sample[:20] + sample[-20:]})
    rng = random.Random(99)
    return {"samples": cases, "random": [rng.random() for _ in range(700)]}


def main():
    golden = {
        "wilson": [[right, items, wilson(right, items)] for right, items in
                   [(0, 1), (1, 1), (0, 200), (200, 200), (1, 3), (113, 200), (499, 1000),
                    (7993, 14042)]],
        "macro": [[strata, macro(strata)] for strata in
                  [[(3, 10)], [(3, 10), (50, 60)], [(0, 4), (4, 4), (2, 4)],
                   [(i % 7, 3 + i % 11 + i % 7) for i in range(57)]]],
        "mcnemar": [[g, l, exact_mcnemar(g, l)] for g, l in
                    [(0, 0), (0, 1), (1, 0), (3, 3), (2, 9), (9, 2), (0, 20), (140, 101),
                     (1500, 1402), (4, 5)]],
        "bootstrap": bootstraps(), "effects": effects(), "adjusted": adjusted(),
        "random": samples(),
    }
    OUT.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


main()
