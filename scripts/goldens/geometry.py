#!/usr/bin/env python3
"""Goldens for the geometry of states: moments, dimensions, prompt entropy, curvature, CKA, by their
formulas in numpy f64, written the long way round.

Needs: numpy==2.4.6 safetensors==0.8.0. Run from the package's root:
    python3 scripts/goldens/geometry.py
Writes Tests/Goldens/geometry/{states.safetensors,expected.json}, the same bytes at every run.
"""

import json
import pathlib

import numpy as np
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "geometry"
WIDTH = 12
# Tokens of each document and how many of them were added in front. Two documents are longer than one
# block of 256 positions; the last is shorter than the width.
DOCUMENTS = [(300, 0), (281, 1), (9, 0)]
BATCH = 256
ENTROPY_POSITIONS = 512


def make_states():
    """Four boundaries: plain; a rotated, noisy copy; one huge direction and an offset; unrelated."""
    rng = np.random.default_rng(20251124)
    total = sum(length for length, _ in DOCUMENTS)
    plain = rng.normal(size=(total, WIDTH)) * np.linspace(0.1, 2, WIDTH)
    rotation, _ = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))
    copy = 3 * plain @ rotation + 0.3 * rng.normal(size=plain.shape)
    huge = copy + 5
    huge[:, 3] += 4000 * rng.normal(size=total) + 20000
    unrelated = np.cumsum(rng.normal(size=plain.shape), axis=0) * 0.01
    return [x.astype(np.float32) for x in (plain, copy, huge, unrelated)]


def counted(states):
    """The states of each document as f64, without those of added tokens."""
    pieces, start = [], 0
    for length, added in DOCUMENTS:
        pieces.append(states[start + added:start + length].astype(np.float64))
        start += length
    return pieces


def entropy(values):
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def estimate(sums, counts):
    sums, counts = np.array(sums), np.array(counts)
    mean = sums.sum() / counts.sum()
    number = len(sums)
    error = np.sqrt(number / (number - 1) * ((sums - mean * counts) ** 2).sum()) / counts.sum()
    return [float(mean), float(error)]


def prompt_entropy(states):
    z = states[:ENTROPY_POSITIONS]
    z = z - z.mean(axis=0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    # The whole token Gram matrix, where the product takes the smaller side.
    return entropy(np.clip(np.linalg.eigvalsh(z @ z.T / len(z)), 0, None))


def angles(states):
    steps = np.diff(states, axis=0)
    found = []
    for v, w in zip(steps, steps[1:]):
        cosine = v @ w / (np.linalg.norm(v) * np.linalg.norm(w))
        found.append(np.arccos(np.clip(cosine, -1, 1)))
    return found


def hsic1(k, l):
    """The unbiased estimator of Song et al. 2012, equation 4, term by term."""
    k, l = k.copy(), l.copy()
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l, 0)
    n = len(k)
    one = np.ones(n)
    first = np.trace(k @ l)
    second = (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
    third = 2 / (n - 2) * (one @ k @ l @ one)
    return (first + second - third) / (n * (n - 3))


def cka(boundaries):
    tokens = [np.concatenate(counted(states)) for states in boundaries]
    sums = np.zeros((len(tokens), len(tokens)))
    for start in range(0, len(tokens[0]) - BATCH + 1, BATCH):
        grams = [x[start:start + BATCH] @ x[start:start + BATCH].T for x in tokens]
        sums += [[hsic1(k, l) for l in grams] for k in grams]
    scale = np.sqrt(np.diag(sums))
    return (sums / np.outer(scale, scale)).tolist()


def describe(states):
    pieces = counted(states)
    rows = np.concatenate(pieces)
    covariance = np.cov(rows, rowvar=False)
    values = np.clip(np.linalg.eigvalsh(covariance), 0, None)
    norms = np.linalg.norm(rows, axis=1)
    turns = [angles(piece) for piece in pieces]
    return {
        "count": len(rows),
        "mean": rows.mean(axis=0).tolist(),
        "covariance": covariance.tolist(),
        "norm": [norms.mean(), norms.min(), norms.max(), float((norms**2).sum())],
        "effective_rank": float(np.exp(entropy(values))),
        "participation_ratio": float(values.sum() ** 2 / (values**2).sum()),
        "prompt_entropy": estimate([prompt_entropy(p) for p in pieces], [1] * len(pieces)),
        "curvature": estimate([sum(t) for t in turns], [len(t) for t in turns]),
    }


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    boundaries = make_states()
    save_file({f"states.{i}": x for i, x in enumerate(boundaries)}, OUT / "states.safetensors")
    expected = {
        "documents": [list(document) for document in DOCUMENTS],
        "boundaries": [describe(states) for states in boundaries],
        "cka": cka(boundaries),
    }
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
