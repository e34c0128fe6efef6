#!/usr/bin/env python3
"""Goldens for the Selection module: Kneedle, the bootstrap over documents, the windows.

Needs: kneed==0.9.0 numpy==2.4.6 scipy==1.17.1 (Python 3.11 or newer). Run from the package's root:
    python3 scripts/goldens/selection.py
Writes Tests/Goldens/selection/*.json, the same bytes at every run.
"""

import json
import math
import pathlib
import random
import warnings

import numpy as np
from kneed import KneeLocator

OUT = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "selection"
SENSITIVITIES = [0.5, 1.0, 2.0, 5.0, 10.0]

# Angular distances at the last token, measured on 16 x 128 tokens of LAMBADA and GSM8K text.
SMOLLM2_135M = [
    .49, .19, .085, .079, .092, .092, .085, .087, .102, .088, .085, .089, .078, .079, .083, .084,
    .089, .082, .099, .102, .115, .105, .107, .099, .181, .07, .082, .094, .098, .211]
GEMMA3_270M = [
    .434, .31, .065, .122, .068, .271, .087, .162, .036, .048, .063, .119, .124, .088, .055, .068,
    .06, .057]


def locate(y, sensitivity):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a constant curve divides 0 by 0
        return KneeLocator(
            range(len(y)), y, S=sensitivity, curve="convex", direction="decreasing",
            interp_method="interp1d", online=False)


def knee(y, sensitivity):
    found = locate(y, sensitivity).knee
    return None if found is None else int(found)


def curve(kind, n, rng):
    """One curve of n points, rounded so that the file stays small."""
    x = np.arange(n)
    if kind == "decay":
        y = np.exp(-x / rng.uniform(1, n / 2)) + rng.normal(0, rng.choice([0.005, 0.05]), n)
    elif kind == "bump":
        y = np.exp(-x / rng.uniform(1, n / 3)) + rng.normal(0, 0.01, n)
        y += 0.6 * np.exp(-((x - rng.uniform(0, n)) / rng.uniform(0.5, n / 6)) ** 2)
    elif kind == "ends":
        y = 0.1 + np.exp(-x / rng.uniform(0.5, 4)) + 0.5 * np.exp((x - n) / rng.uniform(0.5, 4))
        y += rng.normal(0, 0.02, n)
    elif kind == "plateau":
        y = np.repeat(np.sort(rng.uniform(0, 1, n))[::-1], rng.integers(2, 5))[:n]
    elif kind == "ties":
        # Few levels on an even grid: the difference curve meets its thresholds exactly.
        y = rng.integers(0, rng.integers(2, 6), n) / (n - 1)
    elif kind == "steps":
        # Falls by whole mean steps, so that D is flat where y falls and drops where it rests.
        y = np.maximum.accumulate(rng.integers(0, n, n))[::-1] / (n - 1)
    elif kind == "increasing":
        y = np.sort(rng.uniform(0, 1, n))
    elif kind == "line":
        y = (n - 1 - x) / (n - 1)
    elif kind == "noise":
        y = rng.uniform(0, 1, n)
    elif kind == "tiny":
        return [float(v) for v in np.round(rng.uniform(0, 1, n), 3) * 1e-300]
    elif kind == "constant":
        return [round(float(rng.uniform(0, 1)), 3)] * n
    return [float(v) for v in np.round(y, int(rng.choice([2, 3, 4])))]


def kneedle():
    rng = np.random.default_rng(20251007)
    kinds = ["decay", "bump", "ends", "plateau", "ties", "steps", "increasing", "line", "noise",
             "tiny"]
    curves = []
    for index in range(400):
        n = 3 + index % 62
        kind = kinds[rng.integers(len(kinds))]
        curves.append((kind, curve(kind, n, rng)))
    curves += [("constant", curve("constant", n, rng)) for n in (3, 12, 30)]
    # Deeper than any model today. Not 87, 91, 181, 281: there NumPy's mean step is not 1/(n-1), and
    # these kinds meet their thresholds exactly.
    curves += [("deep", curve(kind, n, rng)) for n in (86, 100, 128, 150)
               for kind in ("steps", "line")]
    curves += [("smollm2-135m", SMOLLM2_135M), ("smollm2-135m reversed", SMOLLM2_135M[::-1]),
               ("gemma-3-270m", GEMMA3_270M), ("gemma-3-270m reversed", GEMMA3_270M[::-1])]
    records = []
    for position, (kind, y) in enumerate(curves):
        record = {"kind": kind, "y": y, "knees": [knee(y, s) for s in SENSITIVITIES]}
        shown = position % 25 == 0 or kind.startswith(("smollm2", "gemma"))
        if shown and kind != "constant":
            found = locate(y, 1.0)
            record["normalized"] = found.y_normalized.tolist()
            record["difference"] = found.y_difference.tolist()
            record["maxima"] = found.maxima_indices.tolist()
            record["minima"] = found.minima_indices.tolist()
            record["thresholds"] = found.Tmx.tolist()
        records.append(record)
    return {"sensitivities": SENSITIVITIES, "curves": records}


MASK = (1 << 64) - 1


class SplitMix64:
    """Steele, Lea and Flood 2014, with Lemire's bounded draws (2019)."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, bound):
        while True:
            product = self.next() * bound
            if product & MASK >= (1 << 64) % bound:
                return product >> 64


def split_of(distances, sensitivity):
    n = len(distances)
    encoder = knee(distances, sensitivity) or 0
    decoder = knee(distances[::-1], sensitivity) or 0
    think = n - encoder - decoder
    return None if think < 1 else f"{encoder}-{think}*k-{decoder}"


def documents(name, base, count, noise, seed):
    """Distances of `count` documents that scatter around a curve."""
    rng = random.Random(seed)
    rows = [[round(max(0.0, v * (1 + rng.gauss(0, noise))), 5) for v in base]
            for _ in range(count)]
    mean = [math.fsum(column) / count for column in zip(*rows)]
    return {"name": name, "documents": rows, "distances": mean}


def bootstrap():
    # A curve with a clear knee at 5 from the left and 4 from the right of 16 layers.
    clear = [.5, .42, .34, .26, .18, .08, .078, .08, .079, .081, .08, .082, .15, .22, .29, .36]
    cases = [
        documents("clear", clear, 8, 0.05, 1),
        documents("shaky", clear, 5, 0.25, 2),
        documents("smollm2-135m", SMOLLM2_135M, 6, 0.1, 3),
        documents("gemma-3-270m", GEMMA3_270M, 4, 0.15, 4),
    ]
    for seed, case in enumerate(cases):
        case["seed"] = seed * 0x1234567
        case["resamples"] = 200
        case["proposal"] = split_of(case["distances"], 1.0)
        draw = SplitMix64(case["seed"])
        counts = {}
        rows = case["documents"]
        for _ in range(case["resamples"]):
            total = [0.0] * len(rows[0])
            for _ in rows:
                total = [a + b for a, b in zip(total, rows[draw.below(len(rows))])]
            found = split_of([t / len(rows) for t in total], 1.0)
            counts[found or "none"] = counts.get(found or "none", 0) + 1
        case["counts"] = counts
    generator = SplitMix64(1234567)
    bounded = SplitMix64(99)
    return {
        # The first of these are the values published with the generator's test suites.
        "splitmix64_of_1234567": [str(generator.next()) for _ in range(8)],
        "below_of_99": [[bound, bounded.below(bound)]
                        for bound in [1, 2, 3, 7, 10, 1000, 2**40 + 1, 2**62 + 1, 2**62 + 3] * 3],
        "cases": cases,
    }


def windows_of(y):
    n_layers = len(y)
    edge = math.ceil(n_layers / 8)
    middle = np.array(y[edge:n_layers - edge])
    found = []
    for length in range(max(2, n_layers // 8), max(3, n_layers // 3) + 1):
        same = []
        for start in range(edge, n_layers - edge - length + 1):
            mean = float(np.mean(y[start:start + length]))
            depth = None
            if length < len(middle) and middle.max() > middle.min():
                # Sampling without replacement: variance of the mean of `length` of m values.
                variance = np.var(middle, ddof=1) / length * (1 - length / len(middle))
                depth = float((middle.mean() - mean) / np.sqrt(variance))
            same.append((mean, start, {
                "notation": f"{start}-{length}*k-{n_layers - start - length}",
                "mean": mean, "depth": depth}))
        found += [window for _, _, window in sorted(same, key=lambda w: w[:2])[:3]]
    return found


def windows():
    rng = np.random.default_rng(7)
    curves = [SMOLLM2_135M, GEMMA3_270M]
    curves += [[float(v) for v in np.round(rng.uniform(0.03, 0.4, n), 4)]
               for n in list(range(1, 12)) + [16, 24, 32, 48]]
    cases = []
    for y in curves:
        found = windows_of(y)
        deepest = max((w for w in found if w["depth"]), key=lambda w: w["depth"], default=None)
        leading = deepest["notation"] if deepest and deepest["depth"] > 0 else None
        cases.append({"distances": y, "windows": found, "leading": leading})
    return {"cases": cases}


def ranges(n_layers):
    edge = math.ceil(n_layers / 8)
    for length in range(max(2, n_layers // 8), max(3, n_layers // 3) + 1):
        yield [range(start, start + length) for start in range(edge, n_layers - edge - length + 1)]


def notation(window, n_layers):
    return f"{window.start}-{len(window)}*k-{n_layers - window.stop}"


def standout(n_layers, score):
    """The window whose score lies furthest above the mean of its length, in standard deviations."""
    best = None
    for windows in ranges(n_layers):
        known = [(window, score(window)) for window in windows if score(window) is not None]
        if len(known) < 3:
            continue
        values = np.array([value for _, value in known])
        for window, value in known:
            z = (value - values.mean()) / values.std(ddof=1)
            if best is None or z > best[0]:
                best = (z, window)
    return notation(best[1], n_layers)


def deepest(values, n_layers):
    found = windows_of([float(value) for value in values])
    return max((w for w in found if w["depth"]), key=lambda w: w["depth"])["notation"]


def stages(cost, boundaries):
    """Every pair of borders, one by one."""
    layers = boundaries - 1
    best = None
    for a in range(1, layers):
        for b in range(a + 2, layers):
            total = cost(range(0, a)) + cost(range(a, b)) + cost(range(b, boundaries))
            if best is None or total < best[0]:
                best = (total, a, b)
    return f"{best[1]}-{best[2] - best[1]}*k-{layers - best[2]}"


def squares(features):
    rows = [(row - row.mean()) / row.std() for row in map(np.array, features)]
    return lambda part: sum(((row[part.start:part.stop] - row[part.start:part.stop].mean()) ** 2).sum()
                            for row in rows)


def unlikeness(likeness):
    def cost(part):
        if len(part) < 2:
            return 0.0
        pairs = [1 - likeness[i][j] for i in part for j in part if j > i]
        return len(part) * float(np.mean(pairs))
    return cost


def selectors():
    """What each selector proposes of random evidence, worked out here by other means."""
    rng = np.random.default_rng(19)
    cases = []
    for n_layers in (12, 16, 21):
        influence = rng.uniform(0.02, 0.4, n_layers)
        length, cosine = rng.uniform(0.1, 2, n_layers), rng.uniform(-1, 1, n_layers)
        entropy, divergence = rng.uniform(1, 9, n_layers + 1), rng.uniform(0, 9, n_layers + 1)
        distances = np.abs(np.subtract.outer(*[rng.uniform(0, 0.5, n_layers + 1)] * 2))
        cka = rng.uniform(0.2, 1, (n_layers + 1, n_layers + 1))
        cka = (cka + cka.T) / 2
        read = rng.normal(0, 0.1, n_layers)
        effect = rng.uniform(0, 1.4, (n_layers, n_layers))
        changes, text = rng.normal(0, 1, (9, n_layers)), rng.uniform(0.01, 1.2, n_layers)
        fitted = text < 0.8
        slope, intercept = np.polyfit(text[fitted], changes.mean(0)[fitted], 1)
        use = -(changes.mean(0) - intercept - slope * text)
        dynamics = [{"start": window.start, "length": len(window),
                     "change": [float(v) for v in rng.uniform(0.1, 2, 3)]}
                    for windows in ranges(n_layers) for window in windows]
        ratio = {(d["start"], d["length"]): d["change"][-1] / d["change"][0] for d in dynamics}
        padded = [np.append(np.log(length), np.log(length[-1])), np.append(cosine, cosine[-1])]
        later = [np.minimum(effect[s, s + 1:], 1).mean() if s + 1 < n_layers else np.nan
                 for s in range(n_layers)]
        proposals = {
            "block_distance": standout(
                n_layers, lambda window: -distances[window.start, window.stop]),
            "block_influence": deepest(influence, n_layers),
            "contribution": stages(squares(padded), n_layers + 1),
            "lens": stages(squares([entropy, divergence]), n_layers + 1),
            "read": deepest(-read, n_layers),
            "use": deepest(-use, n_layers),
            "stages": stages(unlikeness(cka), n_layers + 1),
            "dynamics": standout(n_layers, lambda w: -ratio[(w.start, len(w))]),
            "skip_effect": deepest(-np.nan_to_num(later, nan=0.0), n_layers),
        }
        cases.append({
            "layers": n_layers, "block_influence": influence.tolist(), "contribution": length.tolist(),
            "contribution_cosine": cosine.tolist(), "entropy": entropy.tolist(),
            "kl_to_final": divergence.tolist(), "distances": distances.tolist(),
            "cka": cka.tolist(), "read_bits": read.tolist(), "effect": effect.tolist(),
            "changes": changes.tolist(), "text_damage": text.tolist(), "dynamics": dynamics,
            "proposals": proposals})
    return {"cases": cases}


def write(name, value):
    """One line per record, so that a change shows in a diff."""
    lines = []
    for key, content in value.items():
        if isinstance(content, list) and content and isinstance(content[0], dict):
            body = ",\n".join(json.dumps(item, separators=(",", ":")) for item in content)
            lines.append(f'"{key}": [\n{body}\n]')
        else:
            lines.append(f'"{key}": {json.dumps(content)}')
    (OUT / name).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    write("kneedle.json", kneedle())
    write("bootstrap.json", bootstrap())
    write("windows.json", windows())
    write("selectors.json", selectors())
