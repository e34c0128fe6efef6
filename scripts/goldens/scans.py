"""Goldens for causal scans: margins and losses with windows of layers skipped or repeated.

Writes Tests/Goldens/scans/expected.json: for each tiny checkpoint of Tests/Goldens/models two items
with options, one text, and for each window what transformers' layers give when they run in another
order (skip, loop) or when states are mixed between passes (the others), in f32:
  half     x = g(x0), then x <- x + (g(x) - x)/2 for each further iteration
  damped   x = x0, then k times x <- x + (g(x) - x)/k
  heun     k steps of Heun's method of size 1/k on dx/dt = g(x) - x
  rk4      k steps of the classical Runge-Kutta method of size 1/k on the same
g is the window's layers, x0 its input. A margin is log P(gold) - max log P(other), each summed over the
option's tokens; log-odds is log p/(1 - p) of the gold option's share p; nll is -log P summed over the text's
tokens after the first. Of a skipped single layer also its effect on the later ones, mean over positions of
|u - u'|/|u|, and |p - p'| at the last position; of two windows the dynamics of four passes: mean over
positions of |T^k h - T^(k-1) h|/|h|, and the cosine of successive changes.
Pinned versions: requirements.txt.
"""

import json
import sys
from pathlib import Path

# A neighbour of this file may be named like a package that transformers imports (tokenizers).
sys.path[0] = str(Path(__file__).resolve().parent / "support")

import torch
import transformers

ROOT = Path(__file__).resolve().parents[2] / "Tests/Goldens"
NAMES = (
    "gemma3", "gpt2", "llama-bf16", "llama-deep", "llama-dynamic", "llama-gqa", "llama-llama3",
    "mistral", "neox-sequential", "olmo", "olmo2-gqa", "olmo3", "phi3", "pythia", "qwen2",
    "qwen2-sliding", "qwen3", "qwen3-yarn",
)


class Body:
    """The layers of a checkpoint, to be run in any order."""

    def __init__(self, name):
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            ROOT / "models" / name, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.config = self.model.config
        body = self.body = self.model.base_model
        if self.config.model_type == "gpt2":
            self.embedding, self.layers, self.norm = body.wte, body.h, body.ln_f
        elif self.config.model_type == "gpt_neox":
            self.embedding, self.layers, self.norm = (
                body.embed_in, body.layers, body.final_layer_norm,
            )
        else:
            self.embedding, self.layers, self.norm = body.embed_tokens, body.layers, body.norm

    def embed(self, ids):
        hidden = self.embedding(ids[None])
        if self.config.model_type == "gpt2":
            hidden = hidden + self.body.wpe(torch.arange(len(ids))[None])
        return hidden

    def run(self, layers, hidden):
        length = hidden.shape[1]
        positions = torch.arange(length)
        distance = positions[:, None] - positions[None, :]
        window = getattr(self.config, "sliding_window", None)
        types = getattr(self.config, "layer_types", None) or (
            ["sliding_attention" if window else "full_attention"] * len(self.layers)
        )
        for index in layers:
            kind = types[index]
            visible = distance >= 0
            if kind == "sliding_attention":
                visible = visible & (distance < window)
            mask = torch.where(visible, 0.0, torch.finfo(torch.float32).min)[None, None]
            given = {"attention_mask": mask, "position_ids": positions[None]}
            if self.config.model_type in ("gemma3_text", "olmo3"):
                given["position_embeddings"] = self.body.rotary_emb(
                    hidden, positions[None], kind
                )
            elif self.config.model_type != "gpt2":
                given["position_embeddings"] = self.body.rotary_emb(hidden, positions[None])
            out = self.layers[index](hidden, **given)
            hidden = out[0] if isinstance(out, tuple) else out
        return hidden

    def with_window(self, ids, window):
        """Logits [T, V]."""
        kind, start, length, count = window
        layers = range(start, start + length)
        x = self.run(range(start), self.embed(ids))
        if kind == "loop":
            for _ in range(count):
                x = self.run(layers, x)
        elif kind == "half":
            x = self.run(layers, x)
            for _ in range(count - 1):
                x = x + (self.run(layers, x) - x) / 2
        elif kind == "damped":
            for _ in range(count):
                x = x + (self.run(layers, x) - x) / count
        elif kind in ("heun", "rk4"):
            step = 1 / count
            slope = lambda state: self.run(layers, state) - state
            for _ in range(count):
                first = slope(x)
                if kind == "heun":
                    x = x + step / 2 * (first + slope(x + step * first))
                    continue
                second = slope(x + step / 2 * first)
                third = slope(x + step / 2 * second)
                fourth = slope(x + step * third)
                x = x + step / 6 * (first + 2 * second + 2 * third + fourth)
        else:
            assert kind == "skip"
        hidden = self.run(range(start + length, len(self.layers)), x)
        return self.model.lm_head(self.norm(hidden))[0]

    def score(self, context, option, window):
        ids = torch.tensor(context + option)
        logs = self.with_window(ids[:-1], window).log_softmax(-1)
        rows = range(len(context) - 1, len(ids) - 1)
        return sum(logs[row, ids[row + 1]].item() for row in rows)


def norms(states):
    return states.double().norm(dim=-1)


def skip_effect(body, ids, skipped):
    """By later layer, and the change of the prediction at the last position. ids are what runs."""
    layers = len(body.layers)
    own = other = body.embed(ids)
    changes = [None] * layers
    for layer in range(layers):
        next_own = body.run([layer], own)
        if layer < skipped:
            other = next_own
        elif layer > skipped:
            next_other = body.run([layer], other)
            u, changed = next_own[0] - own[0], next_other[0] - other[0]
            changes[layer] = (norms(u - changed) / norms(u)).mean().item()
            other = next_other
        own = next_own
    p, changed = (
        body.model.lm_head(body.norm(state))[0, -1].double().softmax(-1) for state in (own, other)
    )
    return {"skipped": skipped, "later": changes, "output": (p - changed).norm().item()}


def dynamics(body, ids, start, length, count):
    h = x = body.run(range(start), body.embed(ids))
    changes, cosines, before = [], [], None
    for _ in range(count):
        y = body.run(range(start, start + length), x)
        delta = (y - x)[0].double()
        changes.append((norms(delta) / norms(h[0])).mean().item())
        if before is not None:
            cosine = (delta * before).sum(-1) / (norms(delta) * norms(before))
            cosines.append(cosine.mean().item())
        x, before = y, delta
    return {"start": start, "length": length, "change": changes, "cosine": cosines}


def items_of(ids):
    return [
        {
            "context_tokens": ids[:6],
            "options_tokens": [ids[6:7], ids[7:10], ids[10:12]],
            "gold": 1,
        },
        {
            "context_tokens": ids[3:15],
            "options_tokens": [ids[15:18], ids[15:17] + ids[20:21]],
            "gold": 0,
        },
    ]


def windows_of(layers):
    windows = []
    for start, length in [(0, 1), (layers // 2, 1), (layers - 1, 1), (1, 2), (0, layers)]:
        windows.append(("skip", start, length, None))
        for kind in ("loop", "half", "damped", "heun", "rk4"):
            windows += [(kind, start, length, count) for count in (2, 3)]
    return windows


def values(body, ids, items, window):
    margins, log_odds = [], []
    for item in items:
        scores = [
            body.score(item["context_tokens"], option, window)
            for option in item["options_tokens"]
        ]
        gold = scores.pop(item["gold"])
        margins.append(gold - max(scores))
        log_odds.append(gold - torch.tensor(scores, dtype=torch.double).logsumexp(0).item())
    return {"margins": margins, "log_odds": log_odds, "nll": -body.score(ids[:1], ids[1:], window)}


def main():
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    found = {}
    for name in NAMES:
        facts = json.loads((ROOT / "models" / name / "expected.json").read_text())
        ids = facts["tokens"][1]
        items = items_of(ids)
        body = Body(name)
        with torch.no_grad():
            base = values(body, ids, items, ("loop", 0, 1, 1))
            whole = body.model(torch.tensor(ids)[None], use_cache=False).logits[0]
            logs = whole[:-1].log_softmax(-1)
            nll = -sum(logs[row, token].item() for row, token in enumerate(ids[1:]))
            # One text's rotary tables can depend on its length: the last id is no input here.
            if name != "llama-dynamic":
                assert abs(nll - base["nll"]) < 1e-4, f"{name}: the written-out loop differs"
            rows = []
            for window in windows_of(facts["layers"]):
                kind, start, length, count = window
                row = {"kind": kind, "start": start, "length": length, "iterations": count}
                row |= values(body, ids, items, window)
                assert abs(row["nll"] - base["nll"]) > 1e-3, f"{name}: {window} changes nothing"
                rows.append(row)
            layers = facts["layers"]
            effects = [skip_effect(body, torch.tensor(ids[:-1]), layer) for layer in range(layers)]
            loops = [
                dynamics(body, torch.tensor(ids[:-1]), start, length, 4)
                for start, length in ((layers // 2, 1), (0, 2))
            ]
        found[name] = {
            "items": items, "text": ids, "base": base, "windows": rows,
            "skip_effect": effects, "dynamics": loops,
        }
        print(f"{name:22} {len(rows)} windows")
    out = ROOT / "scans"
    out.mkdir(exist_ok=True)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    (out / "expected.json").write_text(
        json.dumps({"made_with": versions, "models": found}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
