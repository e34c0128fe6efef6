#!/usr/bin/env python3
"""Goldens for the geometry of states: moments, dimensions, prompt entropy, curvature, CKA, by their
formulas in numpy f64, written the long way round; and the same with attention sinks left out.

Needs: numpy==2.4.6 safetensors==0.8.0. Run from the package's root:
    python3 scripts/goldens/geometry.py
Writes Tests/Goldens/geometry/{states,sinks}.safetensors, expected.json and sinks.json, the same bytes at
every run.
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

# Documents with sinks, and what their states are multiplied by: document, positions, boundaries, factor.
# Four boundaries, of which two are a third.
BLOCK = 512
SINK_DOCUMENTS = [(600, 0), (300, 1), (40, 0), (1, 0), (1100, 0)]
SCALED = [
    (0, [0], [1, 2, 3], 500),  # the first position
    (0, [37], [1, 2], 60),  # massive at two boundaries
    (0, [100], [1, 2, 3], 12),  # held back, but not massive
    (0, [200], [2], 60),  # massive at one boundary alone
    (0, [555], [2, 3], 60),  # massive, in the second block
    (1, [0], [1, 2, 3], 500),  # an added token
    (1, [2, 3], [1, 2, 3], 60),  # massive, neighbours
    (2, [39], [1, 2, 3], 9),  # held back, the last of its document
    (4, range(512, 1100), [0, 1, 2, 3], 3),  # the median grows threefold...
    (4, [50], [1, 2, 3], 30),  # ...so this one, massive so far, is ordinary
]


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
    return cka_of([np.concatenate(counted(states)) for states in boundaries])


def cka_of(tokens):
    """CKA of the tokens' states at each boundary, batch by batch in the order given."""
    sums = np.zeros((len(tokens), len(tokens)))
    for start in range(0, len(tokens[0]) - BATCH + 1, BATCH):
        grams = [x[start:start + BATCH] @ x[start:start + BATCH].T for x in tokens]
        sums += [[hsic1(k, l) for l in grams] for k in grams]
    scale = np.sqrt(np.diag(sums))
    return (sums / np.outer(scale, scale)).tolist()


def describe(states):
    return describe_pieces(counted(states))


def describe_pieces(pieces):
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


def make_sink_states():
    """Four boundaries of documents of which some states are scaled."""
    rng = np.random.default_rng(20251126)
    total = sum(length for length, _ in SINK_DOCUMENTS)
    plain = rng.normal(size=(total, WIDTH)) * np.linspace(0.5, 2, WIDTH)
    boundaries = [plain]
    for _ in range(3):
        rotation, _ = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))
        boundaries.append(boundaries[-1] @ rotation + 0.5 * rng.normal(size=plain.shape))
    for document, positions, scaled, factor in SCALED:
        start = sum(length for length, _ in SINK_DOCUMENTS[:document])
        for boundary in scaled:
            boundaries[boundary][[start + p for p in positions]] *= factor
    return [x.astype(np.float32) for x in boundaries]


def long_positions(states, added, factor, until):
    """Positions before `until` with states longer than `factor` medians at a third of the boundaries."""
    lengths = np.array([np.linalg.norm(x[:until], axis=1) for x in states])
    medians = np.median(lengths[:, added:], axis=1, keepdims=True)
    return set(np.flatnonzero(3 * (lengths > factor * medians).sum(axis=0) >= len(states)).tolist())


def sinks():
    """Every number over the positions that are no sinks."""
    boundaries = make_sink_states()
    save_file({f"states.{i}": x for i, x in enumerate(boundaries)}, OUT / "sinks.safetensors")
    start, held_back, massive, kept, sampled = 0, [], [], [], []
    for index, (length, added) in enumerate(SINK_DOCUMENTS):
        states = [x[start:start + length].astype(np.float64) for x in boundaries]
        first = max(1, added)
        held = set()
        for begin in range(0, length, BLOCK):
            end = min(length, begin + BLOCK)
            candidates = long_positions(states, added, 5, end)
            held |= {p for p in candidates if max(begin, first) <= p}
        final = long_positions(states, added, 20, length) & held
        held_back += [[index, p] for p in sorted(held)]
        massive += [[index, p] for p in sorted(final)]
        kept.append([p for p in range(first, length) if p not in final])
        # The order in which batches fill: what was held back comes at the document's end.
        order = [p for p in range(first, length) if p not in held] + sorted(held - final)
        sampled.append([x[order] for x in states])
        start += length
    assert massive == [[0, 37], [0, 555], [1, 2], [1, 3]], massive
    assert [0, 100] in held_back and [4, 50] in held_back and [0, 200] not in held_back

    described = []
    for states in boundaries:
        start, pieces, entropies, turns = 0, [], [], []
        for (length, added), positions in zip(SINK_DOCUMENTS, kept):
            piece = states[start:start + length].astype(np.float64)
            start += length
            pieces.append(piece[positions])
            early = [p for p in positions if p < max(1, added) + ENTROPY_POSITIONS]
            if len(early) > 1:
                entropies.append(prompt_entropy(piece[early]))
            # Only three neighbours that are all kept have an angle.
            triples = [p for p in positions if {p - 1, p - 2} <= set(positions)]
            if triples:
                turns.append([angles(piece[p - 2:p + 1])[0] for p in triples])
        entry = describe_pieces([p for p in pieces if len(p) > 1])
        entry["prompt_entropy"] = estimate(entropies, [1] * len(entropies))
        entry["curvature"] = estimate([sum(t) for t in turns], [len(t) for t in turns])
        described.append(entry)
    tokens = [np.concatenate([d[b] for d in sampled]) for b in range(len(boundaries))]
    expected = {
        "documents": [list(document) for document in SINK_DOCUMENTS],
        "massive": massive,
        "boundaries": described,
        "cka": cka_of(tokens),
    }
    (OUT / "sinks.json").write_text(json.dumps(expected, indent=1) + "\n")


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
    sinks()


if __name__ == "__main__":
    main()
