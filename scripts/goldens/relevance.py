"""Goldens for READ's cross-fitted probes, written out in numpy without the shortcuts of the Swift code.

Writes Tests/Goldens/relevance/cross-fit.json: features, labels, foils, folds and swaps, and for each case
the bits of labels and foils and, by swap, the mean of the foil's bits less the label's. Each fold and
labelling is fitted by itself: standardise over the other folds, solve (Z'Z + aI) W = Z'Y for every strength
a, take the a with the least (RSS/n)/(1 - (1 + tr H)/n)^2, predict; then the temperature of a fold is that
with the least bits on the held-out scores of the other folds. Also Spearman's correlation (scipy) and
bootstrap-free moments of a mean over groups.
Pinned versions: requirements.txt.
"""

import json
from pathlib import Path

import numpy
from scipy import stats

ROOT = Path(__file__).resolve().parents[2] / "Tests/Goldens/relevance"
STRENGTHS = [10 ** (exponent / 2) for exponent in range(2, 13)]
SCALES = [0.0] + [2.0**exponent for exponent in range(-1, 8)]


def fitted(features, targets, train, test):
    """Scores of the test rows."""
    means, deviations = features[train].mean(0), features[train].std(0)
    inverse = numpy.where(deviations > 0, 1 / numpy.where(deviations > 0, deviations, 1), 0)
    own, other = ((features[rows] - means) * inverse for rows in (train, test))
    centre = targets[train].mean(0)
    centred = targets[train] - centre
    best = None
    for strength in reversed(STRENGTHS):
        gram = own.T @ own + strength * numpy.eye(own.shape[1])
        hat = own @ numpy.linalg.solve(gram, own.T)
        room = 1 - (1 + numpy.trace(hat)) / len(train)
        if room <= 0:
            continue
        rss = ((centred - hat @ centred) ** 2).sum()
        score = rss / room**2
        if best is None or score < best[0]:
            best = (score, strength)
    gram = own.T @ own + best[1] * numpy.eye(own.shape[1])
    return other @ numpy.linalg.solve(gram, own.T @ centred) + centre


def bits(features, labels, folds, classes):
    targets = numpy.eye(classes)[labels]
    scores = numpy.zeros((len(labels), classes))
    for fold in range(max(folds) + 1):
        test = [row for row in range(len(labels)) if folds[row] == fold]
        train = [row for row in range(len(labels)) if folds[row] != fold]
        scores[test] = fitted(features, targets, train, test)
    losses = []
    for scale in SCALES:
        scaled = scale * scores
        scaled = scaled - scaled.max(1, keepdims=True)
        logs = scaled - numpy.log(numpy.exp(scaled).sum(1, keepdims=True))
        losses.append(-logs[range(len(labels)), labels] / numpy.log(2))
    losses = numpy.array(losses)
    found = numpy.zeros(len(labels))
    folds = numpy.array(folds)
    for fold in range(folds.max() + 1):
        chosen = losses[:, folds != fold].sum(1).argmin()
        found[folds == fold] = losses[chosen, folds == fold]
    return found


def case(random, rows, width, classes, strength):
    labels = random.integers(classes, size=rows)
    foils = random.integers(classes, size=rows)
    directions = random.normal(size=(classes, width))
    features = random.normal(size=(rows, width)) + strength * directions[labels]
    features = features.astype(numpy.float32)
    features[:, 0] = 3.5
    folds = [int(fold) for fold in random.permutation(numpy.arange(rows) % 5)]
    swaps = random.integers(2, size=(3, rows)).astype(bool)
    wide = features.astype(numpy.float64)
    swapped = []
    for swap in swaps:
        one, two = numpy.where(swap, foils, labels), numpy.where(swap, labels, foils)
        swapped.append((bits(wide, two, folds, classes) - bits(wide, one, folds, classes)).mean())
    return {
        "width": width, "classes": classes, "features": features.ravel().tolist(),
        "labels": labels.tolist(), "foils": foils.tolist(), "folds": folds,
        "swaps": swaps.astype(int).tolist(), "label_bits": bits(wide, labels, folds, classes).tolist(),
        "foil_bits": bits(wide, foils, folds, classes).tolist(), "swapped": swapped,
    }


def main():
    random = numpy.random.default_rng(18)
    cases = [
        case(random, 120, 9, 3, 0.6), case(random, 60, 90, 2, 0.3), case(random, 100, 20, 5, 0.0),
    ]
    pairs = [
        {"a": a.tolist(), "b": b.tolist(), "spearman": float(stats.spearmanr(a, b).statistic)}
        for a, b in (
            (random.normal(size=12), random.normal(size=12)),
            (random.integers(4, size=15).astype(float), random.integers(4, size=15).astype(float)),
        )
    ]
    damage, text = random.normal(size=(40, 8)), random.uniform(0, 1.5, size=8)
    text[2] = 0.0
    damage[:, 2] = 0.0
    kept = [layer for layer in range(8) if text[layer] < 0.8 and layer != 2]
    slope, intercept = numpy.polyfit(text[kept], damage.mean(0)[kept], 1)
    use = -(damage.mean(0) - (intercept + slope * text))
    use[2] = 0.0
    ROOT.mkdir(exist_ok=True)
    (ROOT / "cross-fit.json").write_text(
        json.dumps(
            {
                "made_with": {"numpy": numpy.__version__}, "cases": cases, "spearman": pairs,
                "use": {
                    "changes": damage.tolist(), "text_damage": text.tolist(), "slope": float(slope),
                    "intercept": float(intercept), "use": use.tolist(),
                },
            }
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
