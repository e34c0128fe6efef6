"""Log-likelihoods of requests in PyTorch and transformers, as lm-evaluation-harness computes them.

    score.py --model DIR --requests F.json --batch B --threads N --out F [--tune]

Requests are [{"ids": [...], "first": n}]: ids from n on are scored. Those that run the same ids
share one pass; passes go by falling length, in batches padded on the right (causal attention
never sees the padding), with the logits of all positions and their log_softmax. f32. --tune
measures which batch is fastest instead.
"""

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

import torchside

BATCHES = [1, 2, 4, 8, 16, 32]


class Scorer:
    def __init__(self, model: PreTrainedModel, requests: list[dict]) -> None:
        self.model, self.requests = model, requests
        groups: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, request in enumerate(requests):
            # The last id is predicted, never run.
            groups[tuple(request["ids"][:-1])].append(index)
        self.groups = sorted(groups.items(), key=lambda group: -len(group[0]))
        self.sums = [0.0] * len(requests)
        self.greedy = [False] * len(requests)

    def run(self, batch: int) -> None:
        for start in range(0, len(self.groups), batch):
            self.run_batch(self.groups[start : start + batch])

    def run_batch(self, groups: list[tuple[tuple[int, ...], list[int]]]) -> None:
        longest = max(len(ids) for ids, _ in groups)
        rows = [list(ids) + [0] * (longest - len(ids)) for ids, _ in groups]
        logits = self.model(input_ids=torch.tensor(rows), use_cache=False).logits
        log_p = F.log_softmax(logits, dim=-1)
        for row, (_, members) in zip(log_p, groups):
            for index in members:
                self.take(index, row)

    def take(self, index: int, log_p: torch.Tensor) -> None:
        """Scores one request from the log-probabilities [T, V] of its row."""
        ids, first = self.requests[index]["ids"], self.requests[index]["first"]
        rows, targets = log_p[first - 1 : len(ids) - 1], torch.tensor(ids[first:])
        self.sums[index] = rows.gather(-1, targets[:, None]).sum().item()
        self.greedy[index] = bool((rows.argmax(-1) == targets).all())

    def tune(self) -> dict[str, object]:
        """The batch with the least seconds a token, on passes of middling length."""
        candidates = [size for size in BATCHES if size <= len(self.groups)]
        batch, seconds = torchside.fastest(candidates, self.cost)
        return {"batch": batch, "by_batch": seconds}

    def cost(self, batch: int) -> float:
        start = (len(self.groups) - batch) // 2
        groups = self.groups[start : start + batch]
        tokens = sum(len(ids) for ids, _ in groups)
        return torchside.least(lambda: self.run_batch(groups), 2) / tokens


def parse() -> argparse.Namespace:
    parser = torchside.parser(__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--tune", action="store_true")
    return parser.parse_args()


@torch.inference_mode()
def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    start = time.perf_counter()
    model = torchside.open_model(options.model, "f32")
    scorer = Scorer(model, json.loads(options.requests.read_text()))
    opened = time.perf_counter() - start
    if options.tune:
        return torchside.write(scorer.tune(), options.out)
    seconds = torchside.timed(lambda: scorer.run(options.batch))
    result = {
        "open_s": opened,
        "pass_s": seconds,
        "sums": scorer.sums,
        "greedy": scorer.greedy,
        "passes": len(scorer.groups),
        "tokens_run": sum(len(ids) for ids, _ in scorer.groups),
    }
    torchside.write(result, options.out)


if __name__ == "__main__":
    main()
