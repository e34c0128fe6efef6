"""Keys of GGUF files that llama.cpp reads and writes around rotary embeddings, and what they mean.
configurations.py computes the logits.
"""

from dataclasses import dataclass, field

from config_variants import LINEAR, olmo3, with_rope


@dataclass
class GGUFVariant:
    """Keys of a GGUF file, with llama.cpp's meaning written as a configuration of transformers."""

    name: str
    model: str
    # keys below the architecture's name; a value may be a str, bool, int (u32) or float (f32)
    keys: dict
    # changes of config.v5.json; `divide` and `attention` change frequencies and cosines after that
    reference: dict = field(default_factory=dict)
    divide: float = 1
    attention: float = 1
    # keys of the file to take away
    dropped: tuple = ()
    refused: str = ""


SCALING = "rope.scaling"
LINEAR_BY_4 = with_rope(rope_theta=10000.0, **LINEAR)

# llama.cpp, src/llama-model.cpp (load_hparams) and src/llama-context.cpp, of 2026: the type is linear
# without a key, none sets the factor to 1; rope.scale_linear counts where rope.scaling.factor is not
# there; a factor of 0 stands for 1; all frequencies are divided by the factor, those with factors of
# their own too; cosines and sines are multiplied by attn_factor; yarn's original context is the
# context without a key; whether the model was finetuned changes nothing.
GGUF_VARIANTS = [
    GGUFVariant("factor-alone", "llama-gqa", {f"{SCALING}.factor": 4.0}, LINEAR_BY_4),
    GGUFVariant("factor-of-2023", "llama-gqa", {"rope.scale_linear": 4.0}, LINEAR_BY_4),
    GGUFVariant(
        "both-factors",
        "llama-gqa",
        {"rope.scale_linear": 9.0, f"{SCALING}.factor": 4.0},
        LINEAR_BY_4,
    ),
    GGUFVariant(
        "factor-of-zero", "llama-gqa", {"rope.scale_linear": 4.0, f"{SCALING}.factor": 0.0}
    ),
    GGUFVariant(
        "linear", "llama-gqa", {f"{SCALING}.type": "linear", f"{SCALING}.factor": 4.0}, LINEAR_BY_4
    ),
    GGUFVariant(
        "linear-of-2023",
        "llama-gqa",
        {f"{SCALING}.type": "linear", "rope.scale_linear": 4.0},
        LINEAR_BY_4,
    ),
    GGUFVariant("linear-without-factor", "llama-gqa", {f"{SCALING}.type": "linear"}),
    GGUFVariant(
        "none-with-factor", "llama-gqa", {f"{SCALING}.type": "none", f"{SCALING}.factor": 4.0}
    ),
    GGUFVariant(
        "attention-factor-alone", "llama-gqa", {f"{SCALING}.attn_factor": 1.25}, attention=1.25
    ),
    GGUFVariant(
        "linear-with-attention-factor",
        "llama-gqa",
        {f"{SCALING}.factor": 4.0, f"{SCALING}.attn_factor": 1.25},
        LINEAR_BY_4,
        attention=1.25,
    ),
    GGUFVariant(
        "finetuned",
        "llama-gqa",
        {
            f"{SCALING}.factor": 4.0,
            f"{SCALING}.finetuned": True,
            f"{SCALING}.original_context_length": 16,
        },
        LINEAR_BY_4,
    ),
    GGUFVariant(
        "yarn",
        "llama-gqa",
        {
            f"{SCALING}.type": "yarn",
            f"{SCALING}.factor": 4.0,
            f"{SCALING}.original_context_length": 16,
        },
        with_rope(
            rope_theta=10000.0, rope_type="yarn", factor=4.0, original_max_position_embeddings=16
        ),
    ),
    GGUFVariant(
        "yarn-of-2023",
        "llama-gqa",
        {f"{SCALING}.type": "yarn", "rope.scale_linear": 4.0},
        with_rope(
            rope_theta=10000.0, rope_type="yarn", factor=4.0, original_max_position_embeddings=128
        ),
    ),
    GGUFVariant("yarn-without-factor", "llama-gqa", {f"{SCALING}.type": "yarn"}),
    GGUFVariant(
        "yarn-betas",
        "llama-gqa",
        {
            f"{SCALING}.type": "yarn",
            f"{SCALING}.factor": 4.0,
            f"{SCALING}.original_context_length": 64,
            f"{SCALING}.yarn_beta_fast": 4.0,
            f"{SCALING}.yarn_beta_slow": 0.5,
            f"{SCALING}.yarn_ext_factor": 1.0,
            f"{SCALING}.yarn_attn_factor": 1.0,
        },
        with_rope(
            rope_theta=10000.0,
            rope_type="yarn",
            factor=4.0,
            beta_fast=4.0,
            beta_slow=0.5,
            original_max_position_embeddings=64,
        ),
    ),
    GGUFVariant("factors-and-factor", "llama-llama3", {f"{SCALING}.factor": 2.0}, divide=2),
    GGUFVariant(
        "factors-and-none", "llama-llama3", {f"{SCALING}.type": "none", f"{SCALING}.factor": 2.0}
    ),
    GGUFVariant(
        "longrope-and-factor",
        "phi3",
        {f"{SCALING}.type": "longrope", f"{SCALING}.factor": 2.0},
        with_rope(
            rope_theta=100.0,
            rope_type="longrope",
            partial_rotary_factor=0.75,
            short_factor=[2.0, 2.5, 3.0],
            long_factor=[3.0, 5.0, 8.0],
        ),
    ),
    GGUFVariant(
        "longrope-without-original",
        "phi3",
        {},
        with_rope(
            rope_theta=100.0,
            rope_type="longrope",
            partial_rotary_factor=0.75,
            short_factor=[1.0, 1.25, 1.5],
            long_factor=[1.5, 2.5, 4.0],
            attention_factor=1.224744871391589,
        )
        | {"original_max_position_embeddings": 64},
        dropped=(f"{SCALING}.original_context_length",),
    ),
    GGUFVariant(
        "sliding-layers-unscaled",
        "olmo3",
        {},
        olmo3({"rope_theta": 500000.0, "factor": 8.0, "rope_type": "linear"}),
        dropped=(f"{SCALING}.type", f"{SCALING}.attn_factor"),
    ),
    GGUFVariant("gemma3-type-dropped", "gemma3-linear", {}, dropped=(f"{SCALING}.type",)),
    GGUFVariant("causal", "llama-gqa", {"attention.causal": True}),
    GGUFVariant("softcap-of-zero", "gemma3-linear", {"final_logit_softcapping": 0.0}),
    GGUFVariant(
        "unknown-type", "llama-gqa", {f"{SCALING}.type": "ntk"}, refused='"ntk" is not supported'
    ),
    GGUFVariant(
        "type-of-a-number", "llama-gqa", {f"{SCALING}.type": 1}, refused="llama.rope.scaling.type"
    ),
    GGUFVariant(
        "negative-factor",
        "llama-gqa",
        {f"{SCALING}.factor": -4.0},
        refused="llama.rope.scaling.factor: expected a positive number",
    ),
    GGUFVariant(
        "factor-of-a-string",
        "llama-gqa",
        {f"{SCALING}.factor": "4"},
        refused="llama.rope.scaling.factor: expected a positive number",
    ),
    GGUFVariant(
        "longrope-without-factors",
        "llama-gqa",
        {f"{SCALING}.type": "longrope"},
        refused="rope_factors_short.weight",
    ),
    GGUFVariant(
        "yarn-beside-factors",
        "llama-llama3",
        {f"{SCALING}.type": "yarn", f"{SCALING}.factor": 2.0},
        refused='"yarn" is not supported beside',
    ),
    GGUFVariant(
        "yarn-attention-factor",
        "qwen2",
        {f"{SCALING}.attn_factor": 2.0},
        refused="qwen2.rope.scaling.attn_factor: 2.0",
    ),
    GGUFVariant(
        "yarn-yarn-attention-factor",
        "qwen2",
        {f"{SCALING}.yarn_attn_factor": 2.0},
        refused="qwen2.rope.scaling.yarn_attn_factor: 2.0",
    ),
    GGUFVariant(
        "yarn-extrapolation",
        "qwen2",
        {f"{SCALING}.yarn_ext_factor": 0.5},
        refused="yarn_ext_factor: only 1.0",
    ),
    GGUFVariant(
        "yarn-log-multiplier",
        "qwen2",
        {f"{SCALING}.yarn_log_multiplier": 0.1},
        refused="yarn_log_multiplier: only 0.0",
    ),
    GGUFVariant(
        "not-causal", "qwen3", {"attention.causal": False}, refused="qwen3.attention.causal"
    ),
    GGUFVariant(
        "softcap",
        "gemma3-linear",
        {"final_logit_softcapping": 30.0},
        refused="gemma3.final_logit_softcapping",
    ),
]
