"""Compares a dump with what transformers' modules give, at every site that the file holds.

    dump.py CHECKPOINT FILE.h5 [--tolerance 1e-4] [--documents N]

CHECKPOINT is a Hugging Face directory; the ids come from the file. Prints for each site the greatest
error of a row relative to that row's norm, and fails beyond the tolerance (plus the rounding of f16 or
bf16). Attention weights are compared as they are.
"""

import argparse
import sys
from pathlib import Path

import torch
import transformers


def layers_of(model):
    body = model.base_model
    body = getattr(body, "language_model", body)
    return body.h if hasattr(body, "h") else body.layers


def output(value):
    return (value[0] if isinstance(value, tuple) else value).detach()


def hook(module, store, name):
    module.register_forward_hook(lambda m, a, out: store.__setitem__(name, output(out)))


def watch(layer, store, index, kind):
    """Registers hooks for what the layer adds, and for its queries, keys and values."""
    attention = getattr(layer, "self_attn", None) or getattr(layer, "attention", None) or layer.attn
    post = hasattr(layer, "post_feedforward_layernorm")
    hook(layer.post_attention_layernorm if post else attention, store, ("attn_out", index))
    hook(layer.post_feedforward_layernorm if post else layer.mlp, store, ("mlp_out", index))
    hook(layer, store, ("resid", index + 1))
    for name in ("q", "k", "v"):
        module = getattr(attention, f"{name}_norm", None) or getattr(attention, f"{name}_proj", None)
        if module is not None:
            hook(module, store, (name, index))
    for name in ("c_attn", "query_key_value", "qkv_proj"):
        if hasattr(attention, name):
            hook(getattr(attention, name), store, ("fused", index))


def split_fused(kind, value, config):
    """[T, fused] to q, k, v as [T, heads, head dimension]."""
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    if kind == "gpt_neox":
        value = value.view(value.shape[0], heads, 3 * size)
        return value[..., :size], value[..., size : 2 * size], value[..., 2 * size :]
    pairs = heads if kind == "gpt2" else config.num_key_value_heads
    parts = value.split([heads * size, pairs * size, pairs * size], dim=-1)
    return [part.reshape(value.shape[0], -1, size) for part in parts]


def shaped(value, shape):
    """[1, T, heads · size], [1, T, heads, size] or [1, heads, T, size] to [T, heads, size]."""
    value = value[0]
    if value.dim() == 3 and value.shape[0] == shape[0] and value.shape[1] != shape[0]:
        value = value.transpose(0, 1)
    return value.reshape(-1, *shape)


def stored(data, row, first, last):
    values = data[row, first:last]
    if data.attrs["encoding"] == "bfloat16":
        return torch.from_numpy(values.view("int16").copy()).view(torch.bfloat16).float()
    return torch.from_numpy(values.astype("float32"))


def main():
    # The goldens take the hooks above and need no HDF5.
    import h5py

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--documents", type=int)
    options = parser.parse_args()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        options.checkpoint, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    config = model.config.get_text_config()
    kind = config.model_type
    store, worst, counts = {}, {}, {}
    for index, layer in enumerate(layers_of(model)):
        watch(layer, store, index, kind)
        if index == 0:
            layer.register_forward_pre_hook(
                lambda m, a, k: store.__setitem__(
                    ("resid", 0), (a[0] if a else k["hidden_states"]).detach()), with_kwargs=True)
    with h5py.File(options.file) as file, torch.no_grad():
        activations = file["activations"]
        for document, (first, length) in enumerate(
            zip(file["documents/offset"][:], file["documents/length"][:])
        ):
            if options.documents is not None and document >= options.documents:
                break
            last = first + length
            ids = torch.from_numpy(file["tokens/id"][first:last].astype("int64"))
            assert (file["tokens/position"][first:last] == range(length)).all()
            assert (file["tokens/document"][first:last] == document).all()
            want = "attn_pattern" in activations
            attentions = model(ids[None], use_cache=False, output_attentions=want).attentions
            for name, data in activations.items():
                if isinstance(data, h5py.Group):
                    pattern = data[str(document)]
                    for row, layer in enumerate(pattern.attrs["layers"]):
                        theirs = attentions[layer][0]
                        ours = stored(pattern, row, None, None)
                        error = (ours - theirs).abs().max().item()
                        worst[name] = max(worst.get(name, 0), error)
                        counts[name] = counts.get(name, 0) + 1
                    continue
                for row, layer in enumerate(data.attrs["layers"]):
                    layer = int(layer)
                    if name == "resid_mid":
                        theirs = (store["resid", layer] + store["attn_out", layer])[0]
                    elif ("fused", layer) in store and name in ("q", "k", "v"):
                        parts = split_fused(kind, store["fused", layer][0], config)
                        theirs = parts["qkv".index(name)]
                    else:
                        theirs = shaped(store[name, layer], data.shape[2:])
                    clip = getattr(config, "clip_qkv", None)
                    if clip and name in ("q", "k", "v"):
                        theirs = theirs.clamp(-clip, clip)
                    ours = stored(data, row, first, last).flatten(1)
                    theirs = theirs.flatten(1)
                    assert ours.shape == theirs.shape, (name, ours.shape, theirs.shape)
                    error = ((ours - theirs).norm(dim=1) / theirs.norm(dim=1)).max().item()
                    worst[name] = max(worst.get(name, 0), error)
                    counts[name] = counts.get(name, 0) + 1
                    largest = data.attrs["max_abs"][row]
                    assert ours.abs().max() <= largest * (1 + 1e-6), (name, layer, largest)
        rounding = {"float32": 0, "float16": 2**-11, "bfloat16": 2**-8}
        failed = False
        for name, error in sorted(worst.items()):
            data = activations[name]
            data = data["0"] if isinstance(data, h5py.Group) else data
            bad = not error <= options.tolerance + rounding[data.attrs["encoding"]]
            failed |= bad
            print(f"{name:14} {counts[name]:5} rows  {error:.2e}{'  TOO LARGE' if bad else ''}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
