"""Writes a tiny checkpoint as GGUF, with the keys and the layout of llama.cpp's converter.

There is no vocabulary in the file: tests give token ids.
"""

import math

import gguf
import numpy as np
import torch

from gguf_layout import ARCHITECTURES, architecture_of, gguf_name, to_gguf
from tiny_checkpoints import ORIGINAL, VOCABULARY

FILE_TYPES = {"F32": 0, "F16": 1, "BF16": 32}


def encode(tensor, kind):
    """The array and the stored type of one tensor; vectors stay f32, as llama.cpp keeps them."""
    array = tensor.numpy()
    if kind == "F32" or array.ndim == 1:
        return array.astype(np.float32), gguf.GGMLQuantizationType.F32
    narrow = tensor.to({"F16": torch.float16, "BF16": torch.bfloat16}[kind])
    # The golden is computed on these weights, so the narrow type must hold them exactly.
    assert torch.equal(narrow.float(), tensor)
    if kind == "F16":
        return narrow.numpy(), gguf.GGMLQuantizationType.F16
    return narrow.view(torch.uint16).numpy().view(np.uint8), gguf.GGMLQuantizationType.BF16


def write_gguf(spec, model, path):
    architecture = architecture_of(spec.family)
    head_dim = spec.size
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[ARCHITECTURES[architecture]])
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(spec.name)
    writer.add_file_type(FILE_TYPES[spec.gguf])
    writer.add_context_length(spec.context)
    writer.add_embedding_length(spec.hidden)
    writer.add_block_count(spec.layers)
    writer.add_feed_forward_length(spec.intermediate)
    writer.add_head_count(spec.heads)
    if architecture not in ("gpt2", "gptneox"):
        writer.add_head_count_kv(spec.kv_heads)
    if architecture in ("gpt2", "gptneox", "olmo"):
        writer.add_layer_norm_eps(spec.eps)
    else:
        writer.add_layer_norm_rms_eps(spec.eps)
    if architecture == "gptneox":
        writer.add_parallel_residual(spec.parallel)
    if architecture != "gpt2":
        writer.add_rope_freq_base(spec.theta)
    if spec.head_dim or spec.gemma:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if spec.clip:
        writer.add_clamp_kqv(spec.clip)
    if spec.window:
        writer.add_sliding_window(spec.window)
    if spec.gemma:
        # Neither the local rope base nor the pattern is stored, nor a query scale.
        assert spec.local_theta == 10000.0 and spec.pattern == 6 and spec.layer_types is None
        assert spec.query_scalar is None
    elif architecture != "gpt2":
        writer.add_vocab_size(VOCABULARY)
        writer.add_rope_dimension_count(int(head_dim * (spec.partial or 1)))
    if spec.family == "olmo3":
        writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in spec.kinds()])
    kind = (spec.scaling or {}).get("rope_type")
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(spec.scaling["factor"])
    elif kind == "longrope":
        # The factors are tensors; the file holds the attention factor and no scaling type.
        scale = spec.context / ORIGINAL
        writer.add_rope_scaling_orig_ctx_len(ORIGINAL)
        writer.add_rope_scaling_attn_factors(
            math.sqrt(1 + math.log(scale) / math.log(ORIGINAL))
        )
        for length in ("long", "short"):
            factors = np.array(spec.scaling[f"{length}_factor"], dtype=np.float32)
            writer.add_tensor(f"rope_factors_{length}.weight", factors)
    elif kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(spec.scaling["factor"])
        writer.add_rope_scaling_orig_ctx_len(spec.scaling["original_max_position_embeddings"])
        if "attention_factor" in spec.scaling:
            writer.add_rope_scaling_attn_factors(spec.scaling["attention_factor"])
    elif kind == "llama3":
        # llama.cpp stores llama-3 scaling as one divisor per rotary frequency.
        plain = 1.0 / spec.theta ** (torch.arange(0, head_dim, 2, dtype=torch.float) / head_dim)
        writer.add_tensor("rope_freqs.weight", (plain / model.model.rotary_emb.inv_freq).numpy())

    state = model.state_dict()
    for name, tensor in state.items():
        if name == "lm_head.weight" and spec.tied:
            continue
        stored = to_gguf(architecture, name, tensor, spec.heads, spec.kv_heads).contiguous()
        array, element = encode(stored, spec.gguf)
        writer.add_tensor(gguf_name(architecture, spec.layers, name), array, raw_dtype=element)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
