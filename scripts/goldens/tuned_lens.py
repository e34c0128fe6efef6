#!/usr/bin/env python3
"""Goldens for the training of a tuned lens: losses and gradients by PyTorch's autograd on the tiny
checkpoints of Tests/Goldens/models, and steps of torch.optim.AdamW.

Writes Tests/Goldens/lens-training/<name>.safetensors, for L translators of width d on the 23 tokens of the
checkpoint's second sequence:
  weight [L, d, d], bias [L, d]                     A and b, random
  loss [L]                                          Σ over positions of KL(p_L‖p_l) in nats
  weight_gradient [L, d, d], bias_gradient [L, d]
with p_l = softmax(W_U · Norm_f(h_l + A h_l + b)): norm and unembedding are transformers' own modules on
the reloaded checkpoint, h_l transformers' raw states from expected.safetensors. And adamw.safetensors:
  start [n], gradients [steps, n], values [steps, n]  after each step, with the settings in adamw.json.
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

GOLDENS = Path(__file__).resolve().parents[2] / "Tests/Goldens"
OUT = GOLDENS / "lens-training"
# RMSNorm before and after, LayerNorm without weight, with bias, Gemma's 1 + w, tied and untied.
NAMES = ["llama-gqa", "olmo2-mha", "olmo3", "olmo", "pythia", "gpt2", "gemma3-layer-types", "qwen3"]
ADAMW = {"lr": 0.02, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1}


def final_norm(model):
    for path in ("model.norm", "gpt_neox.final_layer_norm", "transformer.ln_f"):
        try:
            return model.get_submodule(path)
        except AttributeError:
            continue
    raise SystemExit(f"no final norm in {type(model).__name__}")


def lens(name):
    folder = GOLDENS / "models" / name
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    norm, head = final_norm(model), model.get_output_embeddings()
    expected = load_file(folder / "expected.safetensors")
    states = expected["states.1"]
    layers, width = states.shape[0] - 1, states.shape[2]
    logs = torch.log_softmax(head(norm(states[-1])), -1).detach()
    reference = torch.log_softmax(expected["logits.1"], -1)
    if (logs - reference).abs().max() > 1e-4:
        raise SystemExit(f"{name}: norm and unembedding do not give the model's logits")

    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    weight = 0.3 / width**0.5 * torch.randn(layers, width, width, generator=generator)
    bias = 0.2 * torch.randn(layers, width, generator=generator)
    weight.requires_grad_()
    bias.requires_grad_()
    losses = []
    for layer in range(layers):
        h = states[layer]
        read = torch.log_softmax(head(norm(h + h @ weight[layer].T + bias[layer])), -1)
        losses.append((logs.exp() * (logs - read)).sum())
    loss = torch.stack(losses)
    loss.sum().backward()
    if min(weight.grad[layer].abs().max() for layer in range(layers)) < 1e-3:
        raise SystemExit(f"{name}: a gradient is too small to show anything")
    return {
        "weight": weight.detach(), "bias": bias.detach(), "loss": loss.detach(),
        "weight_gradient": weight.grad, "bias_gradient": bias.grad,
    }


def adamw():
    generator = torch.Generator().manual_seed(6)
    parameter = torch.nn.Parameter(torch.randn(37, generator=generator))
    start = parameter.detach().clone()
    optimizer = torch.optim.AdamW(
        [parameter], lr=ADAMW["lr"], betas=ADAMW["betas"], eps=ADAMW["eps"],
        weight_decay=ADAMW["weight_decay"])
    gradients, values = [], []
    for step in range(4):
        gradient = torch.randn(37, generator=generator) * 10.0 ** (step - 2)
        parameter.grad = gradient.clone()
        optimizer.step()
        gradients.append(gradient)
        values.append(parameter.detach().clone())
    return {"start": start, "gradients": torch.stack(gradients), "values": torch.stack(values)}


def main():
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        tensors = lens(name)
        save_file({key: value.contiguous() for key, value in tensors.items()},
                  OUT / f"{name}.safetensors")
        print(name, [round(value, 3) for value in tensors["loss"].tolist()])
    save_file(adamw(), OUT / "adamw.safetensors")
    (OUT / "adamw.json").write_text(json.dumps(ADAMW, indent=2) + "\n")


if __name__ == "__main__":
    main()
