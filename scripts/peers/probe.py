"""The full probe in PyTorch and transformers, as a good user would write it.

    probe.py --model DIR --tokens F.u16 --sequences K --sequence-length T --precision f32|bf16 \\
        --batch B --chunk N --threads N --out F [--angular] [--tune]

Hooks keep the raw residual states of a batch at every boundary; angular distance (last token and
all), block influence, contribution and its cosine per layer; the logit lens at every boundary and
position through final norm and unembedding, in chunks of positions, one log_softmax each. bf16
means weights and activations; metrics are computed in f32, and cosines in f64, since arccos near 1
needs the digits. --tune measures which batch and which chunk are fastest instead. Like ours, it
reads ids: tokenizing is no part of it.
"""

import argparse
import math
import time
from collections import defaultdict
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

import torchside

BATCHES = [1, 2, 4, 8]
CHUNKS = [16, 32, 64, 128, 256, 512]

LAYER_NAMES = (
    "angular_distance_last", "angular_distance", "block_influence", "contribution",
    "contribution_cosine",
)  # fmt: skip
BOUNDARY_NAMES = (
    "entropy", "kl_to_final", "kl_from_final", "top1_agreement", "top5_agreement", "cross_entropy",
)  # fmt: skip


def keep_states(model: PreTrainedModel) -> list[torch.Tensor]:
    """A list that fills with the raw states of all boundaries at each pass: L+1 of [B, T, d]."""
    states: list[torch.Tensor] = []
    layers = model.model.layers

    def before(module, args, kwargs):
        states.clear()
        states.append(args[0] if args else kwargs["hidden_states"])

    def after(module, args, output):
        states.append(output[0] if isinstance(output, tuple) else output)

    layers[0].register_forward_pre_hook(before, with_kwargs=True)
    for layer in layers:
        layer.register_forward_hook(after)
    return states


class Means:
    """Sums and counts of each metric at each layer or boundary."""

    def __init__(self) -> None:
        self.sums: defaultdict[tuple[str, int], float] = defaultdict(float)
        self.counts: defaultdict[tuple[str, int], int] = defaultdict(int)

    def add(self, name: str, index: int, values: torch.Tensor) -> None:
        self.sums[name, index] += values.sum(dtype=torch.double).item()
        self.counts[name, index] += values.numel()

    def series(self, names: tuple[str, ...], count: int) -> dict[str, list[float]]:
        """{metric: [mean at each index]}, without the metrics that were not measured."""
        return {
            name: [self.sums[name, i] / self.counts[name, i] for i in range(count)]
            for name in names
            if self.counts.get((name, 0))
        }


def measure_layers(states: list[torch.Tensor], means: Means, everything: bool) -> None:
    """The metrics between neighbouring boundaries; only the distances unless `everything`."""
    before = states[0].double()
    before_norm = before.norm(dim=-1)
    for layer, state in enumerate(states[1:]):
        after = state.double()
        after_norm = after.norm(dim=-1)
        cosine = ((before * after).sum(-1) / (before_norm * after_norm)).clamp_(-1, 1)
        distance = cosine.arccos() / math.pi
        means.add("angular_distance", layer, distance)
        means.add("angular_distance_last", layer, distance[:, -1])
        if everything:
            update = after - before
            norm = update.norm(dim=-1)
            means.add("block_influence", layer, 1 - cosine)
            means.add("contribution", layer, norm / before_norm)
            along = (update * before).sum(-1) / (norm * before_norm)
            means.add("contribution_cosine", layer, along.clamp_(-1, 1))
        before, before_norm = after, after_norm


def row_dots(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The products of the rows of two [N, V] matrices, without a third matrix: [N]."""
    return torch.bmm(a[:, None, :], b[:, :, None])[:, 0, 0]


def read_lens(
    model: PreTrainedModel, state: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-probabilities [N, V] of states [N, d], their exponentials, and the top five ids."""
    log_p = F.log_softmax(model.lm_head(model.model.norm(state)).float(), dim=-1)
    return log_p, log_p.exp(), log_p.topk(5).indices


def measure_lens(
    model: PreTrainedModel, states: list[torch.Tensor], ids: torch.Tensor, means: Means, chunk: int
) -> None:
    """Every boundary's lens at every position of a batch, `chunk` positions at a time."""
    flat = [state.flatten(0, 1) for state in states]
    # The next id of each position; the last of a document has none.
    following = F.pad(ids[:, 1:], (0, 1), value=-1).flatten()
    for start in range(0, len(following), chunk):
        rows = slice(start, start + chunk)
        target = following[rows]
        known = target >= 0
        final = read_lens(model, flat[-1][rows])
        final_entropy = -row_dots(final[1], final[0])
        for boundary, state in enumerate(flat):
            last = boundary == len(flat) - 1
            log_p, p, top = final if last else read_lens(model, state[rows])
            entropy = -row_dots(p, log_p)
            shared = (top[:, :, None] == final[2][:, None, :]).any(-1).float().mean(-1)
            next_log_p = log_p.gather(-1, target.clamp(min=0)[:, None])[:, 0]
            means.add("entropy", boundary, entropy)
            means.add("kl_to_final", boundary, -entropy - row_dots(p, final[0]))
            means.add("kl_from_final", boundary, -final_entropy - row_dots(final[1], log_p))
            means.add("top1_agreement", boundary, (top[:, 0] == final[2][:, 0]).float())
            means.add("top5_agreement", boundary, shared)
            means.add("cross_entropy", boundary, -next_log_p[known])


class Probe:
    def __init__(self, model: PreTrainedModel, ids: torch.Tensor, angular: bool) -> None:
        self.model, self.ids, self.angular = model, ids, angular
        self.states = keep_states(model)
        self.layers, self.boundaries = Means(), Means()

    def body(self, ids: torch.Tensor) -> None:
        self.model.model(input_ids=ids, use_cache=False)

    def run(self, batch: int, chunk: int) -> None:
        for ids in self.ids.split(batch):
            self.body(ids)
            measure_layers(self.states, self.layers, everything=not self.angular)
            if not self.angular:
                measure_lens(self.model, self.states, ids, self.boundaries, chunk)

    def tune(self, seconds_each: float = 3) -> dict[str, object]:
        """The fastest batch for the body and the fastest chunk for one boundary's lens."""
        batches = [size for size in BATCHES if size <= len(self.ids)]
        self.body(self.ids[: batches[-1]])
        flat = self.states[-1].flatten(0, 1)
        chunks = [size for size in CHUNKS if size <= len(flat)] or [len(flat)]
        batch, by_batch = torchside.fastest(batches, lambda size: self.body_cost(size, seconds_each))
        if self.angular:
            return {"batch": batch, "chunk": chunks[0], "by_batch": by_batch}
        chunk, by_chunk = torchside.fastest(
            chunks, lambda size: self.lens_cost(flat, size, seconds_each)
        )
        return {"batch": batch, "chunk": chunk, "by_batch": by_batch, "by_chunk": by_chunk}

    def body_cost(self, batch: int, limit: float) -> float:
        """Least seconds a token of the body at this batch size."""
        ids = self.ids[:batch]
        return torchside.least(lambda: self.body(ids), limit) / ids.numel()

    def lens_cost(self, flat: torch.Tensor, chunk: int, limit: float) -> float:
        """Least seconds a position of a two-boundary lens on chunks of this size."""
        rows = flat[: CHUNKS[-1]]
        ids = torch.zeros(1, len(rows), dtype=torch.long)

        def work() -> None:
            measure_lens(self.model, [rows[None], rows[None]], ids, Means(), chunk)

        return torchside.least(work, limit) / len(rows)


def read_ids(options: argparse.Namespace) -> torch.Tensor:
    """Consecutive windows of the token file: [K, T]."""
    kind = {".u16": "<u2", ".u32": "<u4"}[options.tokens.suffix]
    count = options.sequences * options.sequence_length
    ids = numpy.fromfile(options.tokens, dtype=kind)[:count].astype(numpy.int64)
    return torch.from_numpy(ids).reshape(options.sequences, options.sequence_length)


def parse() -> argparse.Namespace:
    parser = torchside.parser(__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--tokens", type=Path, required=True)
    parser.add_argument("--sequences", type=int, required=True)
    parser.add_argument("--sequence-length", type=int, required=True)
    parser.add_argument("--precision", choices=torchside.DTYPES, required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--angular", action="store_true", help="angular distances only, no lens")
    parser.add_argument("--tune", action="store_true")
    return parser.parse_args()


@torch.inference_mode()
def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    start = time.perf_counter()
    probe = Probe(
        torchside.open_model(options.model, options.precision), read_ids(options), options.angular
    )
    opened = time.perf_counter() - start
    if options.tune:
        return torchside.write(probe.tune(), options.out)
    # PyTorch's first call of everything takes about a second; our pass starts cold, its does not.
    probe.body(probe.ids[:1, :8])
    seconds = torchside.timed(lambda: probe.run(options.batch, options.chunk))
    layers = len(probe.model.model.layers)
    result = {
        "open_s": opened,
        "pass_s": seconds,
        "layers": probe.layers.series(LAYER_NAMES, layers),
        "boundaries": probe.boundaries.series(BOUNDARY_NAMES, layers + 1),
    }
    torchside.write(result, options.out)


if __name__ == "__main__":
    main()
