"""Variants of Llama, Mistral, Qwen and Phi-3, and values of the wrong kind."""

from config_variants import FULL, LINEAR, NULL, SLIDING, Variant, WINDOWLESS, YARN, olmo3, with_rope

LLAMA_VARIANTS = [
    # Llama: both spellings of rotary embeddings
    Variant("llama-no-rope-at-all", "llama-gqa", unset=("rope_parameters",)),
    Variant(
        "llama-base-beside-parameters",
        "llama-gqa",
        {"rope_parameters": {"rope_type": "default"}, "rope_theta": 50.0},
    ),
    Variant(
        "llama-base-in-both",
        "llama-gqa",
        {"rope_parameters": {"rope_type": "default", "rope_theta": 70.0}, "rope_theta": 50.0},
    ),
    Variant("llama-empty-parameters", "llama-gqa", {"rope_parameters": {}, "rope_theta": 50.0}),
    Variant("llama-null-parameters", "llama-gqa", {"rope_parameters": None, "rope_theta": 50.0}),
    Variant(
        "llama-legacy-type",
        "llama-gqa",
        {"rope_scaling": {"type": "linear", "factor": 4.0}, "rope_theta": 100.0},
        base="config.v4.json",
    ),
    Variant(
        "llama-both-types",
        "llama-gqa",
        {"rope_scaling": {"type": "dynamic", "rope_type": "linear", "factor": 4.0}},
        base="config.v4.json",
    ),
    Variant("llama-empty-scaling", "llama-gqa", {"rope_scaling": {}}, base="config.v4.json"),
    Variant(
        "llama-scaling-beside-parameters",
        "llama-gqa",
        with_rope(rope_theta=50.0, rope_type="default") | {"rope_scaling": LINEAR},
        refused="rope_scaling: stands beside",
    ),
    Variant(
        "llama-scaling-with-base-beside-parameters",
        "llama-gqa",
        with_rope(rope_theta=50.0, rope_type="linear", factor=2.0)
        | {"rope_scaling": LINEAR | {"rope_theta": 30.0}, "rope_theta": 20.0},
    ),
    Variant(
        "llama-null-scaling-beside-parameters",
        "llama-gqa",
        with_rope(rope_theta=50.0, **LINEAR) | {"rope_scaling": None},
    ),
    Variant("llama3-original-beside", "llama-llama3", {"original_max_position_embeddings": 8}),
    Variant(
        "llama3-without-original",
        "llama-llama3",
        with_rope(
            factor=8.0,
            high_freq_factor=4.0,
            low_freq_factor=1.0,
            rope_type="llama3",
            rope_theta=100.0,
        ),
    ),
    Variant("llama-head-dim-null", "llama-gqa", {"head_dim": None}),
    Variant("llama-kv-heads-null", "llama-linear", {"num_key_value_heads": None}),
    Variant("llama-no-epsilon", "llama-gqa", unset=("rms_norm_eps",)),
    Variant("llama-no-biases-said", "llama-gqa", unset=("attention_bias", "mlp_bias")),
    Variant(
        "llama-window-is-ignored", "llama-gqa", {"sliding_window": 4, "use_sliding_window": True}
    ),
    Variant(
        "llama-layer-types-are-ignored",
        "llama-gqa",
        {"layer_types": [SLIDING] * 4, "sliding_window": 4},
    ),
    Variant(
        "llama-multipliers-are-ignored",
        "llama-gqa",
        {
            "attention_multiplier": 2.0,
            "logits_scaling": 3.0,
            "embedding_multiplier": 5.0,
            "residual_multiplier": 0.5,
        },
    ),
    Variant(
        "llama-softcapping-is-ignored",
        "llama-gqa",
        {"final_logit_softcapping": 5.0, "attn_logit_softcapping": 5.0, "query_pre_attn_scalar": 3},
    ),
    Variant("llama-clip-is-ignored", "llama-gqa", {"clip_qkv": 0.5}),
    Variant("llama-pretraining-tp", "llama-gqa", {"pretraining_tp": 2}),
    Variant(
        "llama-partial-beside",
        "llama-gqa",
        {"partial_rotary_factor": 0.5},
        refused="partial_rotary_factor: 0.5",
    ),
    Variant(
        "llama-partial-nested",
        "llama-gqa",
        with_rope(rope_theta=1e4, rope_type="default", partial_rotary_factor=0.5),
        refused="partial_rotary_factor: 0.5",
    ),
    Variant(
        "llama-partial-linear",
        "llama-gqa",
        with_rope(rope_theta=1e4, partial_rotary_factor=0.5, **LINEAR),
        refused="partial_rotary_factor: 0.5",
    ),
    Variant(
        "llama-nested-parameters",
        "llama-gqa",
        olmo3({"rope_theta": 50.0, "rope_type": "default"}),
        refused="rope_parameters: has an object for each layer type",
    ),
    Variant("llama-activation-swish", "llama-gqa", {"hidden_act": "swish"}),
    Variant("llama-activation-gelu", "llama-gqa", {"hidden_act": "gelu"}),
    Variant("llama-activation-tanh", "llama-gqa", {"hidden_act": "gelu_pytorch_tanh"}),
    Variant("llama-activation-fast", "llama-gqa", {"hidden_act": "gelu_fast"}),
    Variant(
        "llama-activation-null",
        "llama-gqa",
        {"hidden_act": None},
        reference={"hidden_act": "silu"},
        why=NULL,
    ),
    Variant(
        "llama-rope-type-null",
        "llama-gqa",
        with_rope(rope_theta=10000.0, rope_type=None, type="linear", factor=4.0),
        reference=with_rope(rope_theta=10000.0, **LINEAR),
        why=NULL,
    ),
    Variant("llama-no-activation", "llama-gqa", unset=("hidden_act",)),
    Variant("llama-untied-by-default", "llama-llama3", unset=("tie_word_embeddings",)),
    Variant(
        "llama-dynamic-context-beside", "llama-dynamic", {"original_max_position_embeddings": 8}
    ),
    Variant(
        "llama-dynamic-context-within",
        "llama-dynamic",
        with_rope(
            factor=2.0, rope_type="dynamic", rope_theta=100.0, original_max_position_embeddings=8
        ),
    ),
    Variant("llama-yarn", "llama-gqa", with_rope(rope_theta=100.0, **YARN)),
    Variant(
        "llama-yarn-without-original",
        "llama-gqa",
        with_rope(rope_theta=100.0, rope_type="yarn", factor=4.0),
    ),
    Variant(
        "llama-yarn-original-beside",
        "llama-gqa",
        with_rope(rope_theta=100.0, **YARN) | {"original_max_position_embeddings": 64},
    ),
    Variant(
        "llama-yarn-factor-null",
        "llama-gqa",
        with_rope(rope_theta=100.0, **(YARN | {"factor": None})),
    ),
    Variant(
        "llama-yarn-no-factor",
        "llama-gqa",
        with_rope(rope_theta=100.0, rope_type="yarn", original_max_position_embeddings=16),
        reference=with_rope(
            rope_theta=100.0, rope_type="yarn", factor=8.0, original_max_position_embeddings=16
        ),
        why="5.23 asks for the key, which may be null: then the factor is the quotient of the contexts",
    ),
    Variant(
        "llama-yarn-one-mscale",
        "llama-gqa",
        with_rope(
            rope_theta=100.0,
            rope_type="yarn",
            factor=4.0,
            mscale=0.7,
            original_max_position_embeddings=16,
        ),
    ),
    Variant(
        "llama-yarn-betas-null",
        "llama-gqa",
        with_rope(
            rope_theta=100.0,
            **(YARN | {"beta_fast": None, "beta_slow": None, "attention_factor": None}),
        ),
    ),
    Variant(
        "llama-yarn-attn-factor-names",
        "llama-gqa",
        with_rope(
            rope_theta=100.0,
            rope_type="yarn",
            factor=4.0,
            attn_factor=3.0,
            original_max_position_embeddings=16,
        ),
    ),
    Variant(
        "llama-yarn-finetuned",
        "llama-gqa",
        with_rope(
            rope_theta=100.0,
            rope_type="yarn",
            factor=4.0,
            finetuned=True,
            original_max_position_embeddings=16,
        ),
    ),
    Variant(
        "llama-longrope",
        "llama-gqa",
        with_rope(
            rope_theta=100.0,
            rope_type="longrope",
            short_factor=[1.0, 1.5, 2.0, 3.0],
            long_factor=[2.0, 3.0, 4.0, 5.0],
            original_max_position_embeddings=16,
        ),
    ),
    Variant(
        "llama-longrope-factor",
        "llama-gqa",
        with_rope(
            rope_theta=100.0,
            rope_type="longrope",
            short_factor=[1.0, 1.5, 2.0, 3.0],
            long_factor=[2.0, 3.0, 4.0, 5.0],
            original_max_position_embeddings=16,
            factor=32.0,
        ),
    ),
    Variant(
        "llama-longrope-attention-factor",
        "llama-gqa",
        with_rope(
            rope_theta=100.0,
            rope_type="longrope",
            short_factor=[1.0, 1.5, 2.0, 3.0],
            long_factor=[2.0, 3.0, 4.0, 5.0],
            original_max_position_embeddings=16,
            factor=32.0,
            attention_factor=1.3,
        ),
    ),
    Variant("llama-base-of-one", "llama-gqa", with_rope(rope_theta=1.0, rope_type="default")),
    # Mistral
    Variant("mistral-no-window", "mistral", {"sliding_window": None}),
    Variant("mistral-window-not-said", "mistral", unset=("sliding_window",)),
    Variant("mistral-layer-types", "mistral", {"layer_types": [FULL, SLIDING, FULL]}),
    Variant("mistral-layer-types-null", "mistral", {"layer_types": None}),
    Variant(
        "mistral-layer-types-without-window",
        "mistral",
        {"layer_types": [FULL] * 3, "sliding_window": None},
        reference={"sliding_window": 64},
        why=WINDOWLESS,
    ),
    Variant("mistral-bias-is-ignored", "mistral", {"attention_bias": True, "mlp_bias": True}),
    Variant(
        "mistral-use-window-is-ignored",
        "mistral",
        {"use_sliding_window": False, "max_window_layers": 2},
    ),
    Variant("mistral-no-epsilon", "mistral", unset=("rms_norm_eps",)),
    # Qwen
    Variant("qwen2-bias-is-ignored", "qwen2", {"attention_bias": False, "mlp_bias": True}),
    Variant(
        "qwen2-yarn-attention-factor",
        "qwen2",
        with_rope(
            rope_theta=1000.0,
            rope_type="yarn",
            factor=4.0,
            attention_factor=1.4,
            original_max_position_embeddings=16,
        ),
    ),
    Variant(
        "qwen2-window-off",
        "qwen2-sliding",
        {"use_sliding_window": False, "layer_types": [FULL] * 3},
    ),
    Variant(
        "qwen2-window-off-types-sliding",
        "qwen2-sliding",
        {"use_sliding_window": False},
        refused="layer_types: has sliding layers",
    ),
    Variant(
        "qwen2-window-off-no-types",
        "qwen2-sliding",
        {"use_sliding_window": False},
        unset=("layer_types",),
    ),
    Variant("qwen2-window-not-said", "qwen2-sliding", unset=("layer_types", "use_sliding_window")),
    Variant("qwen2-no-types", "qwen2-sliding", unset=("layer_types",)),
    Variant(
        "qwen2-max-window-layers", "qwen2-sliding", {"max_window_layers": 2}, unset=("layer_types",)
    ),
    Variant(
        "qwen2-max-window-layers-zero",
        "qwen2-sliding",
        {"max_window_layers": 0},
        unset=("layer_types",),
    ),
    Variant(
        "qwen2-max-window-layers-not-said",
        "qwen2-sliding",
        unset=("layer_types", "max_window_layers"),
    ),
    Variant(
        "qwen2-types-win",
        "qwen2-sliding",
        {"layer_types": [SLIDING, FULL, SLIDING], "max_window_layers": 3},
    ),
    Variant("qwen2-window-null", "qwen2-sliding", {"sliding_window": None}, unset=("layer_types",)),
    Variant(
        "qwen2-window-null-types-sliding",
        "qwen2-sliding",
        {"sliding_window": None},
        refused="sliding_window: is null",
    ),
    Variant("qwen2-window-size-not-said", "qwen2-sliding", unset=("layer_types", "sliding_window")),
    Variant(
        "qwen2-nested",
        "qwen2-sliding",
        olmo3({"rope_theta": 100.0, "rope_type": "default"}),
        refused="rope_parameters: has an object for each layer type",
    ),
    Variant("qwen2-head-dim", "qwen2", {"head_dim": 12}),
    Variant("qwen2-untied-by-default", "qwen2-sliding", unset=("tie_word_embeddings",)),
    Variant(
        "qwen2-mrope",
        "qwen2",
        {"rope_scaling": {"type": "mrope", "mrope_section": [2, 2, 2]}},
        refused='"mrope" is not supported',
    ),
    Variant("qwen3-no-bias-said", "qwen3", unset=("attention_bias",)),
    Variant("qwen3-softcapping-is-ignored", "qwen3", {"final_logit_softcapping": 5.0}),
    Variant(
        "qwen3-yarn-truncate",
        "qwen3-yarn",
        with_rope(
            rope_theta=100.0,
            rope_type="yarn",
            factor=4.0,
            beta_fast=4.0,
            beta_slow=0.5,
            original_max_position_embeddings=16,
        ),
    ),
    Variant("qwen3-no-epsilon", "qwen3", unset=("rms_norm_eps",)),
    # Phi-3
    Variant("phi3-original-not-said", "phi3", unset=("original_max_position_embeddings",)),
    Variant(
        "phi3-original-within",
        "phi3",
        with_rope(
            rope_theta=100.0,
            rope_type="longrope",
            partial_rotary_factor=0.75,
            long_factor=[1.5, 2.5, 4.0],
            short_factor=[1.0, 1.25, 1.5],
            original_max_position_embeddings=16,
        ),
        unset=("original_max_position_embeddings",),
        refused="rope_parameters.original_max_position_embeddings: transformers takes 4096",
    ),
    Variant(
        "phi3-original-in-both",
        "phi3",
        with_rope(
            rope_theta=100.0,
            rope_type="longrope",
            partial_rotary_factor=0.75,
            long_factor=[1.5, 2.5, 4.0],
            short_factor=[1.0, 1.25, 1.5],
            original_max_position_embeddings=32,
        ),
    ),
    Variant(
        "phi3-su",
        "phi3",
        {
            "rope_scaling": {
                "type": "su",
                "long_factor": [1.5, 2.5, 4.0],
                "short_factor": [1.0, 1.25, 1.5],
            }
        },
        base="config.v4.json",
        reference={
            "rope_scaling": {
                "type": "longrope",
                "long_factor": [1.5, 2.5, 4.0],
                "short_factor": [1.0, 1.25, 1.5],
            }
        },
        why="5.23 takes the older name only beside an original context within",
    ),
    Variant(
        "phi3-yarn-means-longrope",
        "phi3",
        {
            "rope_scaling": {
                "type": "yarn",
                "long_factor": [1.5, 2.5, 4.0],
                "short_factor": [1.0, 1.25, 1.5],
            }
        },
        base="config.v4.json",
    ),
    Variant(
        "phi3-factor",
        "phi3",
        with_rope(
            rope_theta=100.0,
            rope_type="longrope",
            partial_rotary_factor=0.75,
            long_factor=[1.5, 2.5, 4.0],
            short_factor=[1.0, 1.25, 1.5],
            factor=32.0,
        ),
    ),
    Variant(
        "phi3-attention-factor",
        "phi3",
        with_rope(
            rope_theta=100.0,
            rope_type="longrope",
            partial_rotary_factor=0.75,
            long_factor=[1.5, 2.5, 4.0],
            short_factor=[1.0, 1.25, 1.5],
            attention_factor=1.1,
        ),
    ),
    Variant(
        "phi3-mscales-are-ignored",
        "phi3",
        with_rope(
            rope_theta=100.0,
            rope_type="longrope",
            partial_rotary_factor=0.75,
            long_factor=[1.5, 2.5, 4.0],
            short_factor=[1.0, 1.25, 1.5],
            short_mscale=1.4,
            long_mscale=1.6,
        ),
    ),
    Variant(
        "phi3-partial-beside",
        "phi3",
        with_rope(
            rope_theta=100.0,
            rope_type="longrope",
            long_factor=[1.5, 2.5, 4.0],
            short_factor=[1.0, 1.25, 1.5],
        )
        | {"partial_rotary_factor": 0.75},
    ),
    Variant("phi3-plain", "phi3", with_rope(rope_theta=100.0, rope_type="default")),
    Variant(
        "phi3-plain-partial",
        "phi3",
        with_rope(rope_theta=100.0, rope_type="default", partial_rotary_factor=0.5),
    ),
    Variant(
        "phi3-linear",
        "phi3",
        with_rope(rope_theta=100.0, **LINEAR),
        refused="rope_scaling: only longrope",
    ),
    Variant("phi3-no-window", "phi3", {"sliding_window": None}),
    Variant("phi3-window-not-said", "phi3", unset=("sliding_window",)),
    Variant("phi3-bias-is-ignored", "phi3", {"attention_bias": True, "mlp_bias": True}),
    Variant("phi3-layer-types-are-ignored", "phi3", {"layer_types": [FULL] * 3}),
    Variant("phi3-no-epsilon", "phi3", unset=("rms_norm_eps",)),
    # Values that are not what they should be
    Variant(
        "rope-scaling-of-a-string",
        "llama-gqa",
        {"rope_scaling": "linear"},
        refused="rope_scaling: expected an object",
    ),
    Variant(
        "rope-parameters-of-a-list",
        "llama-gqa",
        {"rope_parameters": [1]},
        refused="rope_parameters: expected an object",
    ),
    Variant(
        "rope-type-of-a-number",
        "llama-gqa",
        with_rope(rope_theta=100.0, rope_type=5),
        refused="rope_parameters.rope_type: expected a name",
    ),
    Variant(
        "truncate-of-a-string",
        "llama-gqa",
        with_rope(rope_theta=100.0, truncate="no", **YARN),
        refused="rope_parameters.truncate: expected true or false",
    ),
    Variant(
        "mscale-of-a-string",
        "llama-gqa",
        with_rope(rope_theta=100.0, mscale="1", **YARN),
        refused="rope_parameters.mscale: expected a number",
    ),
    Variant(
        "layer-type-of-a-number",
        "olmo3",
        olmo3(5),
        refused="rope_parameters.full_attention: expected an object",
    ),
    Variant(
        "activation-of-a-number",
        "llama-gqa",
        {"hidden_act": 5},
        refused="hidden_act: expected a name",
    ),
    Variant(
        "negative-first-layer",
        "qwen2-sliding",
        {"max_window_layers": -1},
        unset=("layer_types",),
        refused="max_window_layers: expected a whole number from 0",
    ),
    Variant(
        "tied-by-a-string",
        "gemma3-wrapped-v5",
        outer={"tie_word_embeddings": "yes"},
        refused="tie_word_embeddings: expected true or false",
    ),
    Variant(
        "phi3-window-of-a-string",
        "phi3",
        {"sliding_window": "wide"},
        refused="sliding_window: expected a positive whole number",
    ),
]
