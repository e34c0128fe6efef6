"""Goldens for the two fetched models: per-layer and lens metrics as transformers computes them.

Reads the GGUF files that scripts/fetch-model leaves in the cache, dequantises them with the gguf
package into a transformers model in f32 (layout undone by support/gguf_layout.py, not by
transformers' own loader) and writes Tests/Goldens/models/real/<name>.json.

Four windows of 128 ids are four documents. The ids are the longest pieces of the vocabulary that
match the text below, from left to right: legitimate input, though not always the tokenizer's own
cut. They are given as data, so no position is left out of a mean, not even Gemma's leading BOS.
Definitions: cosines in f64, clamped to [-1, 1]; the lens applies the final norm to the raw state;
p in f64 from f32 logits; a mean is m = ΣS_d/Σn_d over documents d and its standard error
sqrt(D/(D-1)·Σ_d(S_d - m·n_d)²)/Σn_d. Natural logarithms.
"""

import json
import math
import sys
from pathlib import Path

# A neighbour of this file may be named like a package that transformers imports (tokenizers).
sys.path[0] = str(Path(__file__).resolve().parent / "support")

import gguf
import torch
import transformers

from real_checkpoints import CACHE, MODELS, load
from sample_text import TEXTS

OUT = Path(__file__).resolve().parents[2] / "Tests/Goldens/models/real"
WINDOW = 128


def byte_letters():
    """The letter that a byte-level vocabulary writes for each byte (GPT-2's table)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(others)}


def windows(path, prefix):
    """[4, 128] ids: each text cut greedily into the longest pieces of the file's vocabulary."""
    fields = gguf.GGUFReader(path).fields
    vocabulary = {piece: i for i, piece in enumerate(fields["tokenizer.ggml.tokens"].contents())}
    byte_level = fields["tokenizer.ggml.model"].contents() == "gpt2"
    letters = byte_letters()
    rows = []
    for text in TEXTS:
        if byte_level:
            text = "".join(letters[b] for b in text.encode())
        else:
            text = text.replace(" ", "▁")
        ids, at = list(prefix), 0
        while at < len(text) and len(ids) < WINDOW:
            piece = next(
                text[at : at + n] for n in range(24, 0, -1) if text[at : at + n] in vocabulary
            )
            ids.append(vocabulary[piece])
            at += len(piece)
        assert len(ids) == WINDOW, f"a text gives {len(ids)} ids only"
        rows.append(ids)
    return torch.tensor(rows)


def run(model, ids):
    """Raw states h_0..h_L [L+1, T, d] of one window, and the model's own logits [T, V]."""
    layers = model.model.layers
    states = []
    hooks = [layers[0].register_forward_pre_hook(lambda m, args: states.append(args[0][0]))]
    for layer in layers:
        hooks.append(
            layer.register_forward_hook(
                lambda m, args, out: states.append((out[0] if isinstance(out, tuple) else out)[0])
            )
        )
    logits = model(ids[None], use_cache=False).logits[0]
    for hook in hooks:
        hook.remove()
    return torch.stack(states), logits


def cosine(a, b):
    a, b = a.double(), b.double()
    return ((a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))).clamp(-1, 1)


def layer_values(states):
    """{metric: [L, n]} values of one document."""
    before, after = states[:-1], states[1:]
    # The contribution is h_{l+1} - h_l of the f32 states, taken in f64.
    update = after.double() - before.double()
    between = cosine(before, after)
    distance = between.arccos() / math.pi
    return {
        "angular_distance_last": distance[:, -1:],
        "angular_distance": distance,
        "block_influence": 1 - between,
        "contribution": update.norm(dim=-1) / before.double().norm(dim=-1),
        "contribution_cosine": cosine(update, before),
    }


def top5_sets(logits):
    """The five largest of each row, ties to the lower id: a stable sort of the negated logits."""
    candidates = logits.topk(32).indices.sort().values
    order = logits.gather(-1, candidates).neg().sort(dim=-1, stable=True).indices[:, :5]
    return candidates.gather(-1, order)


def boundary_values(model, states, final_logits, ids):
    """{metric: [L+1, n]} values of one document; cross-entropy has one position less."""
    final = final_logits.double().log_softmax(-1)
    final_top = top5_sets(final_logits)
    rows = {}
    for state in states:
        logits = model.lm_head(model.model.norm(state))
        log_p = logits.double().log_softmax(-1)
        top = top5_sets(logits)
        shared = (top[:, :, None] == final_top[:, None, :]).any(-1).double().sum(-1)
        values = {
            "entropy": -(log_p.exp() * log_p).sum(-1),
            "kl_to_final": (log_p.exp() * (log_p - final)).sum(-1),
            "kl_from_final": (final.exp() * (final - log_p)).sum(-1),
            "top1_agreement": (top[:, 0] == final_top[:, 0]).double(),
            "top5_agreement": shared / 5,
            "cross_entropy": -log_p[:-1].gather(-1, ids[1:, None])[:, 0],
        }
        for name, value in values.items():
            rows.setdefault(name, []).append(value)
    return {name: torch.stack(value) for name, value in rows.items()}


def summary(documents):
    """{metric, metric_se: [layers]} from the values [layers, n_d] of each document."""
    out = {}
    for name in documents[0]:
        sums = torch.stack([d[name].sum(-1) for d in documents])
        counts = torch.tensor([d[name].shape[-1] for d in documents], dtype=torch.double)[:, None]
        mean = sums.sum(0) / counts.sum()
        count = len(documents)
        error = (count / (count - 1) * (sums - mean * counts).square().sum(0)).sqrt() / counts.sum()
        out[name] = mean.tolist()
        out[f"{name}_se"] = error.tolist()
    return out


def rounded(value):
    """Ten significant digits: far below what f32 states determine."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, list):
        return [rounded(v) for v in value]
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return value


def golden(name):
    path = CACHE / f"{name}.gguf"
    ids = windows(path, MODELS[name].prefix)
    model = load(path)
    layers, boundaries, last = [], [], []
    for row in ids:
        states, logits = run(model, row)
        layers.append(layer_values(states))
        boundaries.append(boundary_values(model, states, logits, row))
        log_p = logits.double().log_softmax(-1)
        top = logits[-1].topk(20)
        last.append(
            {
                "top_ids": top.indices.tolist(),
                "top_logits": top.values.tolist(),
                "log_sum_exp": logits[-1].double().logsumexp(-1).item(),
                "sum_logprob": log_p[:-1].gather(-1, row[1:, None]).sum().item(),
            }
        )
    return {
        "model": name,
        "windows": ids.tolist(),
        "layers": summary(layers),
        "boundaries": summary(boundaries),
        "last_position": last,
        "made_with": {"torch": torch.__version__, "transformers": transformers.__version__},
    }


def to_json(value):
    """Indented by one level only, so that a list of numbers is one line."""
    lines = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items() if k != "windows"]
    lines.append('  "windows": [\n' + ",\n".join(f"    {row}" for row in value["windows"]) + "\n  ]")
    return "{\n" + ",\n".join(lines) + "\n}\n"


@torch.no_grad()
def main():
    torch.set_num_threads(2)
    OUT.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or MODELS:
        if not (CACHE / f"{name}.gguf").exists():
            sys.exit(f"{name} is not fetched: run scripts/fetch-model {name}")
        result = rounded(golden(name))
        (OUT / f"{name}.json").write_text(to_json(result))
        print(name, [round(d, 3) for d in result["layers"]["angular_distance_last"]])


if __name__ == "__main__":
    main()
