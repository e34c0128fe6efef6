"""How llama.cpp lays a Hugging Face checkpoint out in a GGUF file: names, row order, norm offsets.

Used in both directions: models.py writes tiny fixtures, real_models.py reads published files.
Knows nothing of tokenizers and of quantisation.
"""

import gguf
import torch

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "olmo2": gguf.MODEL_ARCH.OLMO2,
    "gemma3": gguf.MODEL_ARCH.GEMMA3,
}


def interleave_rows(tensor, heads):
    """Reorders the rows of each head from rotate-half order (x1.. x2..) to pairs (x1 x2 x1 x2..).

    tensor: [heads · head_dim, ...], a q or k weight or bias.
    """
    rows = tensor.shape[0]
    return (
        tensor.reshape(heads, 2, rows // heads // 2, *tensor.shape[1:])
        .swapaxes(1, 2)
        .reshape(tensor.shape)
    )


def deinterleave_rows(tensor, heads):
    """The inverse of interleave_rows."""
    rows = tensor.shape[0]
    return (
        tensor.reshape(heads, rows // heads // 2, 2, *tensor.shape[1:])
        .swapaxes(1, 2)
        .reshape(tensor.shape)
    )


def gguf_name(architecture, layers, name):
    """The GGUF name of a Hugging Face tensor name, e.g. blk.0.attn_q.weight."""
    names = gguf.get_tensor_name_map(ARCHITECTURES[architecture], layers)
    found = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if found is None:
        raise KeyError(f"{architecture}: no GGUF name for {name}")
    return found


def to_gguf(architecture, name, tensor, heads, kv_heads):
    """A Hugging Face tensor as llama.cpp's converter stores it."""
    if architecture == "llama" and ".q_proj." in name:
        return interleave_rows(tensor, heads)
    if architecture == "llama" and ".k_proj." in name:
        return interleave_rows(tensor, kv_heads)
    if architecture == "gemma3" and name.endswith("norm.weight"):
        return tensor + 1
    return tensor


def from_gguf(architecture, name, tensor, heads, kv_heads):
    """The inverse of to_gguf; name is the Hugging Face name, tensor an f32 tensor."""
    if architecture == "llama" and ".q_proj." in name:
        return deinterleave_rows(tensor, heads)
    if architecture == "llama" and ".k_proj." in name:
        return deinterleave_rows(tensor, kv_heads)
    if architecture == "gemma3" and name.endswith("norm.weight"):
        return tensor - 1
    return tensor


def read_weights(path, architecture, names, layers, heads, kv_heads, extra=()):
    """Every Hugging Face tensor in `names` from a GGUF file, dequantised to f32.

    Raises KeyError for a tensor that the file lacks, ValueError for one that was neither asked for
    nor named in `extra`.
    """
    stored = {t.name: t for t in gguf.GGUFReader(path).tensors}
    weights = {}
    for name in names:
        entry = stored.pop(gguf_name(architecture, layers, name))
        values = gguf.quants.dequantize(entry.data, entry.tensor_type)
        tensor = torch.from_numpy(values.copy()).float().reshape(*reversed(entry.shape.tolist()))
        weights[name] = from_gguf(architecture, name, tensor, heads, kv_heads).contiguous()
    if stored.keys() - extra:
        raise ValueError(f"{path}: tensors that no weight takes: {sorted(stored)}")
    return weights
