"""How llama.cpp lays a Hugging Face checkpoint out in a GGUF file: names, row order, norm offsets.

Used in both directions: models.py writes tiny fixtures, real_models.py reads published files.
Knows nothing of tokenizers and of quantisation.
"""

import gguf
import torch

ARCHITECTURES = {
    "gemma3": gguf.MODEL_ARCH.GEMMA3,
    "gpt2": gguf.MODEL_ARCH.GPT2,
    "gptneox": gguf.MODEL_ARCH.GPTNEOX,
    "llama": gguf.MODEL_ARCH.LLAMA,
    "olmo": gguf.MODEL_ARCH.OLMO,
    "olmo2": gguf.MODEL_ARCH.OLMO2,
    "phi3": gguf.MODEL_ARCH.PHI3,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}

# Those whose query and key rows the converter interleaves.
INTERLEAVED = ("llama", "olmo")


def architecture_of(family):
    """What llama.cpp calls a `model_type`."""
    names = {"gemma3_text": "gemma3", "gpt_neox": "gptneox", "mistral": "llama", "olmo3": "olmo2"}
    return names.get(family, family)


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


def turned(architecture, name):
    """Whether the converter transposes a tensor: GPT-2's projections are stored [in, out]."""
    return architecture == "gpt2" and name.endswith(
        ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    )


def to_gguf(architecture, name, tensor, heads, kv_heads):
    """A Hugging Face tensor as llama.cpp's converter stores it."""
    if architecture in INTERLEAVED and ".q_proj." in name:
        return interleave_rows(tensor, heads)
    if architecture in INTERLEAVED and ".k_proj." in name:
        return interleave_rows(tensor, kv_heads)
    if architecture == "gptneox" and ".query_key_value." in name:
        # head by head (q k v) to all queries, all keys, all values
        by_head = tensor.reshape(heads, 3, -1, *tensor.shape[1:])
        return by_head.swapaxes(0, 1).reshape(tensor.shape)
    if turned(architecture, name):
        return tensor.T
    if architecture == "gemma3" and name.endswith("norm.weight"):
        return tensor + 1
    return tensor


def from_gguf(architecture, name, tensor, heads, kv_heads):
    """The inverse of to_gguf; name is the Hugging Face name, tensor an f32 tensor."""
    if architecture in INTERLEAVED and ".q_proj." in name:
        return deinterleave_rows(tensor, heads)
    if architecture in INTERLEAVED and ".k_proj." in name:
        return deinterleave_rows(tensor, kv_heads)
    if architecture == "gptneox" and ".query_key_value." in name:
        blocks = tensor.reshape(3, heads, -1, *tensor.shape[1:])
        return blocks.swapaxes(0, 1).reshape(tensor.shape)
    if turned(architecture, name):
        return tensor.T
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
