"""Says as JSON what h5py finds in a dump, and checks moments against numpy.

    read_dump.py FILE.h5                 sites, tables and labels
    read_dump.py FILE.h5 MOMENTS.h5      the greatest relative errors of MOMENTS.h5, which is of the
                                         same data, against numpy on FILE.h5's values

Needs h5py and numpy and nothing else: no reader of ours.
"""

import json
import sys

import h5py
import numpy as np


def decoded(data, *index):
    """Stored values as float64, whatever their encoding."""
    values = data[index]
    if data.attrs["encoding"] == "bfloat16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float64)


def plain(value):
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if hasattr(value, "item") else value


def describe(file):
    sites = {}
    for name, data in file["activations"].items():
        if isinstance(data, h5py.Group):
            sites[name] = {
                document: decoded(pattern, slice(None)).sum(axis=(1, 2, 3)).tolist()
                for document, pattern in data.items()
            }
            continue
        values = [decoded(data, row).reshape(data.shape[1], -1) for row in range(data.shape[0])]
        sites[name] = {
            "shape": data.shape,
            "dtype": str(data.dtype),
            "chunks": data.chunks,
            "maxshape": data.maxshape,
            "layers": data.attrs["layers"].tolist(),
            "encoding": data.attrs["encoding"],
            "max_abs": data.attrs["max_abs"].tolist(),
            "largest": [float(np.abs(v).max()) for v in values],
            "sums": [float(v.sum()) for v in values],
            "last": [v[-1].tolist() for v in values],
        }
    return {
        "attributes": {
            name: value.tolist() if isinstance(value, np.ndarray) else plain(value)
            for name, value in file.attrs.items()
        },
        "sites": sites,
        "tokens": {name: data[:].tolist() for name, data in file["tokens"].items()},
        "documents": {
            name: [plain(value) for value in data[:]] for name, data in file["documents"].items()
        },
        "labels": {
            name: [plain(value) for value in data[:]]
            for name, data in file.get("labels", {}).items()
        },
    }


def compare(file, moments):
    worst = {}

    def note(name, ours, theirs, scale):
        worst[name] = max(worst.get(name, 0), float(np.abs(np.asarray(ours) - theirs).max() / scale))

    for name, group in moments["moments"].items():
        data = file["activations"][name]
        assert (group.attrs["layers"] == data.attrs["layers"]).all()
        for row in range(data.shape[0]):
            x = decoded(data, row).reshape(data.shape[1], -1)
            scale = (x**2).mean()
            covariance = np.cov(x, rowvar=False)
            norms = np.linalg.norm(x, axis=1)
            values = np.linalg.eigvalsh(covariance).clip(0)
            shares = values[values > 0] / values.sum()
            note("count", group["count"][row], len(x), 1)
            note("mean", group["mean"][row], x.mean(0), scale**0.5)
            note("covariance", group["covariance"][row], covariance, scale)
            note("variance", group["variance"][row], covariance.diagonal(), scale)
            note("norm_mean", group["norm_mean"][row], norms.mean(), norms.max())
            note("norm_range", group["norm_range"][row], [norms.min(), norms.max()], norms.max())
            rank = np.exp(-(shares * np.log(shares)).sum())
            note("effective_rank", group["effective_rank"][row], rank, rank)
            ratio = values.sum() ** 2 / (values**2).sum()
            note("participation_ratio", group["participation_ratio"][row], ratio, ratio)
    return worst


def main():
    with h5py.File(sys.argv[1]) as file:
        if len(sys.argv) > 2:
            with h5py.File(sys.argv[2]) as moments:
                json.dump(compare(file, moments), sys.stdout)
        else:
            json.dump(describe(file), sys.stdout)


if __name__ == "__main__":
    main()
