"""Goldens for activation dumps: what transformers' modules give at every site, by hooks.

Writes Tests/Goldens/activations/<name>.safetensors for one tiny checkpoint of each family, from
Tests/Goldens/models/<name>. Needs what requirements.txt pins. With S executed steps, T tokens:
  tokens [T] i64
  resid [S+1, T, d]; attn_out, mlp_out [S, T, d] (what is added, after a post-norm)
  q, k, v [S, T, heads, head dimension] (q and k after QK-norm, before rotary)
  attn_pattern [S, heads, T, T]
and the same under looped.<site> for the looped plan of the checkpoint's expected.json.
"""

import importlib.util
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# A neighbour of this file may be named like a package that transformers imports (tokenizers).
sys.path[0] = str(HERE / "support")

import torch
import transformers
from safetensors.torch import save_file

NAMES = (
    "gemma3 gpt2 llama-gqa mistral neox-sequential olmo olmo2-gqa olmo3 phi3 pythia qwen2 qwen3"
).split()
OUT = HERE.parents[1] / "Tests/Goldens/activations"
# Longer than the tiny checkpoints' windows of 8.
LENGTH = 11


def module(path):
    spec = importlib.util.spec_from_file_location(f"golden_{path.stem}", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


models = module(HERE / "models.py")
hooks = module(HERE.parent / "peers" / "dump.py")


def record(model, run):
    """The sites of each executed step, and what `run` returns."""
    config = model.config.get_text_config()
    store, steps = {}, []
    layers = hooks.layers_of(model)
    heads, pairs = config.num_attention_heads, getattr(config, "num_key_value_heads", None)
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    pairs = pairs or heads

    def ended(index):
        if ("fused", index) in store:
            queries = hooks.split_fused(config.model_type, store["fused", index][0], config)
        else:
            queries = [
                hooks.shaped(store[name, index], (count, size))
                for name, count in zip("qkv", (heads, pairs, pairs))
            ]
        clip = getattr(config, "clip_qkv", None)
        if clip:
            queries = [value.clamp(-clip, clip) for value in queries]
        step = dict(zip("qkv", queries))
        for name in ("attn_out", "mlp_out", "attn_pattern"):
            step[name] = store[name, index][0]
        step["before"], step["after"] = store["before"][0], store["resid", index + 1][0]
        steps.append({name: value.detach().clone() for name, value in step.items()})

    for index, layer in enumerate(layers):
        layer.register_forward_pre_hook(
            lambda m, a, k: store.__setitem__("before", (a[0] if a else k["hidden_states"])),
            with_kwargs=True)
        hooks.watch(layer, store, index, config.model_type)
        attention = getattr(layer, "self_attn", None) or getattr(layer, "attention", None) or layer.attn
        attention.register_forward_hook(
            lambda m, a, out, index=index: store.__setitem__(("attn_pattern", index), out[1]))
        layer.register_forward_hook(lambda m, a, out, index=index: ended(index))
    with torch.no_grad():
        result = run(model)
    states = [steps[0]["before"]] + [step["after"] for step in steps]
    tensors = {"resid": torch.stack(states)}
    for name in ("attn_out", "mlp_out", "q", "k", "v", "attn_pattern"):
        tensors[name] = torch.stack([step[name] for step in steps])
    return tensors, result


def write(name):
    folder = models.OUT / name
    facts = json.loads((folder / "expected.json").read_text())
    ids = torch.tensor(facts["tokens"][1][:LENGTH])
    plain, logits = record(
        models.load(folder), lambda model: model(ids[None], use_cache=False).logits[0])
    again, looped_logits = record(
        models.load(folder), lambda model: models.run_plan(model, ids, range(facts["layers"])))
    assert (looped_logits - logits).abs().max() < 1e-5, name
    assert all((again[site] - plain[site]).abs().max() < 1e-5 for site in plain), name
    looped, _ = record(
        models.load(folder), lambda model: models.run_plan(model, ids, facts["looped"]["plan"]))
    tensors = {"tokens": ids} | plain
    tensors |= {f"looped.{site}": value for site, value in looped.items()}
    # Every step adds its parts, whatever the norms and the order.
    for prefix in ("", "looped."):
        states = tensors[prefix + "resid"]
        added = tensors[prefix + "attn_out"] + tensors[prefix + "mlp_out"]
        assert ((states[:-1] + added) - states[1:]).norm() < 1e-5 * states.norm(), name
        pattern = tensors[prefix + "attn_pattern"]
        assert (pattern.sum(-1) - 1).abs().max() < 1e-5, name
    path = OUT / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in tensors.items()}, path)
    print(f"{name:18} {path.stat().st_size / 1024:5.0f} KiB")


def main():
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    OUT.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or NAMES:
        write(name)


if __name__ == "__main__":
    main()
