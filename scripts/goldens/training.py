#!/usr/bin/env python3
"""Goldens for training: losses and parameter gradients by PyTorch's autograd, in f64, of the tiny checkpoints
of Tests/Goldens/models with their think block run k times, and ten steps of torch.optim.AdamW.

Writes Tests/Goldens/training/<name>.safetensors, of two sequences of 20 random tokens:
  tokens [2, 20] i64, learned [2, 20] i64 (0: this token is not predicted)
  loss.<k> [2]                  mean cross-entropy over the predicted tokens, mean of (log Σ exp)²
  gradient.<k>.<tensor>         of cross-entropy + z · mean (log Σ exp)², by the file's tensor names
for k = 1 and 3 with the think block of the checkpoint's split; z = 1e-2, large enough to be seen. And
  steps-<name>.safetensors      tokens [10, 2, 20], loss [10], grad_norm [10] of ten steps of AdamW as the
                                recipe has it, k = 2, with the settings in steps.json
Pinned versions: requirements.txt. Needs the goldens of models.py.
"""

import json
import sys
from pathlib import Path

# A neighbour of this file may be named like a package that transformers imports (tokenizers).
sys.path[0] = str(Path(__file__).resolve().parent / "support")

import torch
import transformers
from safetensors.torch import load_file, save_file

from tiny_checkpoints import CHECKPOINTS, VOCABULARY

GOLDENS = Path(__file__).resolve().parents[2] / "Tests/Goldens"
OUT = GOLDENS / "training"
NAMES = [
    "llama-gqa", "llama-bias", "mistral", "olmo", "olmo2-gqa", "olmo3", "qwen2", "qwen3", "phi3",
    "gemma3-layer-types", "pythia", "neox-sequential", "gpt2",
]
STEPS = ["olmo2-gqa", "gpt2"]
Z = 1e-2
SETTINGS = {
    "lr": 3e-3, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1, "clip_norm": 1.0,
    "z_loss": 1e-5, "iterations": 2,
}


def load(name):
    return transformers.AutoModelForCausalLM.from_pretrained(
        GOLDENS / "models" / name, dtype=torch.float64, attn_implementation="eager"
    ).eval()


def parts(model):
    body = model.base_model
    kind = model.config.model_type
    if kind == "gpt2":
        return body.wte, body.h, body.ln_f
    if kind == "gpt_neox":
        return body.embed_in, body.layers, body.final_layer_norm
    return body.embed_tokens, body.layers, body.norm


def logits(model, ids, plan):
    """Logits [B, T, V] of the layers `plan` in that order."""
    config, body = model.config, model.base_model
    embedding, layers, norm = parts(model)
    positions = torch.arange(ids.shape[1])[None]
    distance = positions[0][:, None] - positions[0][None, :]
    window = getattr(config, "sliding_window", None)
    types = getattr(config, "layer_types", None) or (
        ["sliding_attention" if window else "full_attention"] * len(layers)
    )
    hidden = embedding(ids)
    if config.model_type == "gpt2":
        hidden = hidden + body.wpe(positions)
    for index in plan:
        visible = distance >= 0
        if types[index] == "sliding_attention":
            visible = visible & (distance < window)
        mask = torch.where(visible, 0.0, torch.finfo(torch.float32).min)[None, None].double()
        given = {"attention_mask": mask, "position_ids": positions}
        if config.model_type in ("gemma3_text", "olmo3"):
            given["position_embeddings"] = body.rotary_emb(hidden, positions, types[index])
        elif config.model_type != "gpt2":
            given["position_embeddings"] = body.rotary_emb(hidden, positions)
        out = layers[index](hidden, **given)
        hidden = out[0] if isinstance(out, tuple) else out
    return model.lm_head(norm(hidden))


def losses(model, ids, plan, learned=None):
    """Mean cross-entropy and mean (log Σ exp)² of the next tokens."""
    z = logits(model, ids, plan)[:, :-1].reshape(-1, VOCABULARY)
    target = ids[:, 1:].reshape(-1)
    sums = torch.logsumexp(z, -1)
    each = sums - z.gather(-1, target[:, None])[:, 0]
    if learned is not None:
        keep = learned[:, 1:].reshape(-1).bool()
        each, sums = each[keep], sums[keep]
    return each.mean(), (sums**2).mean()


def plan_of(spec, k):
    encoder, think, decoder = spec.split
    first = list(range(encoder))
    block = list(range(encoder, encoder + think))
    return first + block * k + list(range(encoder + think, encoder + think + decoder))


def gradients(name):
    spec = next(x for x in CHECKPOINTS if x.name == name)
    generator = torch.Generator().manual_seed(sum(map(ord, name)) + 1)
    ids = torch.randint(0, VOCABULARY, (2, 20), generator=generator)
    learned = (torch.rand(2, 20, generator=generator) > 0.2).long()
    stored = load_file(GOLDENS / "models" / name / "model.safetensors").keys()
    tensors = {"tokens": ids, "learned": learned}
    for k in (1, 3):
        model = load(name)
        mean, squares = losses(model, ids, plan_of(spec, k), learned)
        (mean + Z * squares).backward()
        tensors[f"loss.{k}"] = torch.stack([mean, squares]).detach().float()
        for tensor, parameter in model.named_parameters():
            if parameter.grad.abs().max() < 1e-9 and not tensor.endswith(("k_proj.bias",)):
                raise SystemExit(f"{name}: {tensor} has no gradient")
            # Without the prefix, or GPT-NeoX's head by the name that transformers 4 gave it.
            names = (tensor, tensor.split(".", 1)[1], "embed_out.weight")
            key = next(x for x in names if x in stored)
            tensors[f"gradient.{k}.{key}"] = parameter.grad.float().contiguous()
    return tensors


def steps(name):
    spec = next(x for x in CHECKPOINTS if x.name == name)
    model = load(name).float()
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(0, VOCABULARY, (10, 2, 20), generator=generator)
    decayed, others = [], []
    for key, parameter in model.named_parameters():
        embeds = any(part in key for part in ("embed_tokens", "embed_in", "wte", "wpe"))
        (others if embeds else decayed).append(parameter)
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": SETTINGS["weight_decay"]},
         {"params": others, "weight_decay": 0.0}],
        lr=SETTINGS["lr"], betas=SETTINGS["betas"], eps=SETTINGS["eps"], foreach=False,
    )
    results, norms = [], []
    for step in range(10):
        for group in optimizer.param_groups:
            group["lr"] = SETTINGS["lr"] * (1 - step / 10)
        optimizer.zero_grad()
        mean, squares = losses(model, ids[step], plan_of(spec, SETTINGS["iterations"]))
        loss = mean + SETTINGS["z_loss"] * squares
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), SETTINGS["clip_norm"]))
        results.append(loss.detach())
        optimizer.step()
    return {"tokens": ids, "loss": torch.stack(results).float(), "grad_norm": torch.stack(norms).float()}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        save_file(gradients(name), OUT / f"{name}.safetensors")
        print(name)
    for name in STEPS:
        save_file(steps(name), OUT / f"steps-{name}.safetensors")
    (OUT / "steps.json").write_text(json.dumps(SETTINGS, indent=2) + "\n")


main()
