#!/usr/bin/env python3
"""Goldens for the Probing module: ridge and logistic probes, their figures, token anchors.

Needs: numpy scikit-learn scipy tokenizers (requirements.txt). Run from the package's root:
    python3 scripts/goldens/probing.py
Writes Tests/Goldens/probing/*.json, the same bytes at every run.

The features are not stored: both sides make them with SplitMix64.
"""

import sys

# tokenizers.py beside this file is not the package.
sys.path = [p for p in sys.path if not p.rstrip("/").endswith("scripts/goldens")]

import json
import math
import pathlib

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tokenizers import Tokenizer

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "Goldens"
OUT = GOLDENS / "probing"
MASK = (1 << 64) - 1

ROWS, WIDTH, CLASSES = 400, 24, 3
TRAIN, VALIDATION = slice(0, 240), slice(240, 320)
TEST = slice(320, 400)
FEW = slice(0, 20)
WIDE = 100
RIDGE = [0.1, 1.0, 10.0, 100.0, 1000.0, 1e4, 1e5]
LOGISTIC = [0.1, 1.0, 10.0, 100.0, 1000.0, 1e4]
FIRST_SCALE = 2.0


def splitmix64(seed):
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


def features():
    """Sums of four uniforms, on scales from 1/8 to 8 and far from zero; the last is constant."""
    draw = splitmix64(2018)
    x = np.empty((ROWS, WIDTH))
    for row in range(ROWS):
        for column in range(WIDTH):
            total = sum((next(draw) >> 40) / 2.0**24 for _ in range(4)) - 2
            scale = 2.0 ** (column % 7 - 3)
            x[row, column] = total * scale + column % 5 * 40 * scale
    x[:, WIDTH - 1] = 3.5
    return x.astype(np.float32)


def objective(parameters, intercept, z, y, penalty):
    scores = z @ parameters.T + intercept
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-logs[np.arange(len(y)), y].sum() + penalty / 2 * (parameters**2).sum())


def borders(count, least):
    found = [count]
    while found[0] // 2 >= least:
        found.insert(0, found[0] // 2)
    return found


def one_hot(y):
    return np.where(np.arange(CLASSES)[None, :] == y[:, None], 1.0, -1.0)


def bits(scores, y, scale):
    scores = scores * scale
    top = scores.max(axis=1, keepdims=True)
    logs = scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
    return float(-logs[np.arange(len(y)), y].sum() / math.log(2))


def ridge_code(x, y, strength):
    ends = borders(len(y), 8 * CLASSES)
    total, sent = ends[0] * math.log2(CLASSES), []
    for seen, end in zip(ends, ends[1:]):
        model = make_pipeline(StandardScaler(), Ridge(alpha=strength))
        model.fit(x[:seen], one_hot(y[:seen]))
        scale = FIRST_SCALE
        if sent:
            cost = lambda t: sum(bits(s, labels, math.exp(t)) for s, labels in sent)
            bounds = (math.log(0.05), math.log(50))
            found = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-9})
            scale = math.exp(found.x)
        scores = model.predict(x[seen:end])
        total += bits(scores, y[seen:end], scale)
        sent.append((scores, y[seen:end]))
    return total


def logistic(penalty):
    return make_pipeline(
        StandardScaler(), LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=20000))


def logistic_code(x, y, penalty):
    ends = borders(len(y), 8 * CLASSES)
    total = ends[0] * math.log2(CLASSES)
    for seen, end in zip(ends, ends[1:]):
        assert len(set(y[:seen])) == CLASSES
        logs = logistic(penalty).fit(x[:seen], y[:seen]).predict_log_proba(x[seen:end])
        total -= logs[np.arange(end - seen), y[seen:end]].sum() / math.log(2)
    return float(total)


def pairs(x32):
    """Products of two features, centred first so that they differ, in f32: the first WIDE of them."""
    centred = x32 - x32[0]
    columns = [
        centred[:, i] * centred[:, j] for i in range(WIDTH) for j in range(i, WIDTH)]
    return np.stack(columns[:WIDE], axis=1).astype(np.float64)


def far_rows(x32):
    """Single rows and whole features far away: the first row at a million deviations of the others."""
    far = x32.copy()
    far[0, 0] = np.float32(72168.0)
    far[100, 4] = np.float32(-1e6)
    far[:, 8] += np.float32(16384.0)
    return far.astype(np.float64)


def ridges(x, y, train):
    fits = []
    for strength in RIDGE:
        model = make_pipeline(StandardScaler(), Ridge(alpha=strength))
        model.fit(x[train], one_hot(y[train]))
        scaler, fitted = model[0], model[1]
        raw = fitted.coef_ / scaler.scale_
        held = model.predict(x[VALIDATION])
        fits.append({
            "strength": strength,
            "weights": raw.T.tolist(),
            "intercepts": (fitted.intercept_ - raw @ scaler.mean_).tolist(),
            "validation_accuracy": float((held.argmax(axis=1) == y[VALIDATION]).mean()),
            "validation_error": float(((held - one_hot(y[VALIDATION])) ** 2).sum()),
            "test_accuracy": float((model.predict(x[TEST]).argmax(axis=1) == y[TEST]).mean()),
        })
    return fits


def chosen_ridge(fits):
    return max(fits, key=lambda r: (r["validation_accuracy"], -r["validation_error"]))


def classifiers():
    x32 = features()
    x = x32.astype(np.float64)
    rng = np.random.default_rng(7)
    z = StandardScaler().fit_transform(x)
    y = (z @ rng.normal(size=(WIDTH, CLASSES)) + rng.normal(size=(ROWS, CLASSES)) * 3).argmax(axis=1)
    other = rng.integers(0, CLASSES, ROWS)
    ridge = ridges(x, y, TRAIN)
    best = chosen_ridge(ridge)
    far = far_rows(x32)
    wide = pairs(x32)
    wide_ridge = ridges(wide, y, TRAIN)
    wide_best = chosen_ridge(wide_ridge)
    logistics = []
    for penalty in LOGISTIC:
        model = logistic(penalty).fit(x[TRAIN], y[TRAIN])
        fitted = model[1]
        logs = model.predict_log_proba(x[VALIDATION])
        logistics.append({
            "strength": penalty,
            "loss": objective(
                fitted.coef_, fitted.intercept_, model[0].transform(x[TRAIN]), y[TRAIN], penalty),
            "validation_accuracy": float(model.score(x[VALIDATION], y[VALIDATION])),
            "validation_loss": float(-logs[np.arange(len(logs)), y[VALIDATION]].sum()),
            "test_accuracy": float(model.score(x[TEST], y[TEST])),
        })
    chosen = max(logistics, key=lambda r: (r["validation_accuracy"], -r["validation_loss"]))
    return {
        "seed": 2018, "rows": ROWS, "width": WIDTH, "classes": CLASSES,
        "train": TRAIN.stop, "validation": VALIDATION.stop - TRAIN.stop,
        "first_features": x32[0].tolist(), "labels": y.tolist(), "other_labels": other.tolist(),
        # Fewer rows than features.
        "ridge_few": {"train": FEW.stop, "fits": ridges(x, y, FEW)},
        # The online code's first blocks have fewer rows than features, its last one more.
        "ridge_wide": {
            "width": WIDE, "fits": [r for r in wide_ridge if r["strength"] in (1.0, 1000.0)],
            "chosen": wide_best["strength"], "test_accuracy": wide_best["test_accuracy"],
            "code_bits": ridge_code(wide[TRAIN], y[TRAIN], wide_best["strength"]),
        },
        "ridge_far": ridges(far, y, TRAIN),
        "ridge": ridge, "ridge_chosen": best["strength"],
        "ridge_code_bits": ridge_code(x[TRAIN], y[TRAIN], best["strength"]),
        "logistic": logistics, "logistic_chosen": chosen["strength"],
        "logistic_code_bits": logistic_code(x[TRAIN], y[TRAIN], chosen["strength"]),
    }


def statistics():
    rng = np.random.default_rng(3)
    wilson = []
    for count in [1, 2, 7, 40, 400]:
        for hits in sorted({0, 1, count // 3, count // 2, count - 1, count}):
            interval = binomtest(hits, count).proportion_ci(0.95, "wilson")
            wilson.append([hits, count, float(interval.low), float(interval.high)])
    f1 = []
    for classes in [2, 3, 7]:
        for size in [1, 5, 50]:
            truth = rng.integers(0, classes, size)
            guess = np.where(rng.random(size) < 0.5, truth, rng.integers(0, classes, size))
            value = f1_score(truth, guess, average="macro", zero_division=0)
            f1.append({
                "classes": classes, "truth": truth.tolist(), "predicted": guess.tolist(),
                "f1": float(value)})
    values = rng.normal(size=101).round(6)
    return {
        "wilson": wilson, "macro_f1": f1, "values": values.tolist(),
        "percentiles": np.percentile(values, [2.5, 97.5]).tolist()}


TEXTS = [
    "Anna has 3 apples, then gets 14 more. Modulo five, the total is",
    "The value of quartz is 2, so don't  stop here.",
    "naïve café 東京 is 🙂 fun",
    "( ( ) ( ) . Still open:",
]


def anchors():
    """The token that ends each character, by the offsets of Hugging Face's tokenizers."""
    cases = []
    for path in sorted((GOLDENS / "tokenizers").glob("*.tokenizer.json")):
        name = path.name
        tokenizer = Tokenizer.from_file(str(path))
        for text in TEXTS:
            encoding = tokenizer.encode(text, add_special_tokens=False)
            if tokenizer.decode(encoding.ids, skip_special_tokens=False) != text:
                continue
            tokens = []
            for place in range(len(text)):
                # Several byte tokens may share a character: the last of them ends it.
                tokens.append(max(
                    i for i, (a, b) in enumerate(encoding.offsets) if a <= place < b))
            cases.append({
                "tokenizer": name, "text": text, "ids": encoding.ids, "tokens": tokens})
    return {"cases": cases}


def write(name, value):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    (OUT / name).write_text(text.replace('},{', '},\n{') + "\n", encoding="utf-8")


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    write("classifiers.json", classifiers())
    write("statistics.json", statistics())
    write("anchors.json", anchors())
