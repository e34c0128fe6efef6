"""Variants of the OLMo families, Gemma-3, GPT-NeoX and GPT-2."""

from config_variants import (
    FLAT,
    FULL,
    LINEAR,
    NULL,
    SLIDING,
    Variant,
    WINDOWLESS,
    YARN,
    olmo3,
    with_rope,
)

OTHER_VARIANTS = [
    # OLMo and OLMo-2
    Variant("olmo-no-clip", "olmo", {"clip_qkv": None}),
    Variant("olmo-epsilon-is-ignored", "olmo", {"rms_norm_eps": 0.5, "layer_norm_eps": 0.5}),
    Variant("olmo2-no-epsilon", "olmo2-gqa", unset=("rms_norm_eps",)),
    Variant("olmo2-clip-is-ignored", "olmo2-gqa", {"clip_qkv": 0.5}),
    Variant(
        "olmo2-window-is-ignored", "olmo2-gqa", {"sliding_window": 4, "layer_types": [SLIDING] * 5}
    ),
    # OLMo-3
    Variant(
        "olmo3-flat-yarn",
        "olmo3",
        with_rope(rope_theta=500000.0, **YARN),
        reference=olmo3({"rope_theta": 500000.0} | YARN),
        why=FLAT,
    ),
    Variant(
        "olmo3-flat-base",
        "olmo3",
        with_rope(rope_theta=100.0, rope_type="default"),
        reference=olmo3(
            {"rope_theta": 100.0, "rope_type": "default"},
            {"rope_theta": 100.0, "rope_type": "default"},
        ),
        why=FLAT,
    ),
    Variant(
        "olmo3-flat-yarn-base",
        "olmo3",
        with_rope(rope_theta=100.0, **YARN),
        reference=olmo3(
            {"rope_theta": 100.0} | YARN, {"rope_theta": 100.0, "rope_type": "default"}
        ),
        why=FLAT,
    ),
    Variant(
        "olmo3-flat-base-beside",
        "olmo3",
        with_rope(**YARN) | {"rope_theta": 100.0},
        reference=olmo3(
            {"rope_theta": 100.0} | YARN, {"rope_theta": 100.0, "rope_type": "default"}
        ),
        reference_unset=("rope_theta",),
        why=FLAT,
    ),
    Variant(
        "olmo3-legacy-base",
        "olmo3",
        {"rope_theta": 100.0},
        base="config.v4.json",
        reference=olmo3(
            {"rope_theta": 100.0} | YARN, {"rope_theta": 100.0, "rope_type": "default"}
        ),
        reference_unset=("rope_theta", "rope_scaling"),
        why="transformers 4 gave the base to all layers; 5.23 takes it for the full ones and the default for the others",
    ),
    Variant("olmo3-legacy-no-base", "olmo3", unset=("rope_theta",), base="config.v4.json"),
    Variant("olmo3-legacy-no-scaling", "olmo3", {"rope_scaling": None}, base="config.v4.json"),
    Variant("olmo3-only-full", "olmo3", {"rope_parameters": {FULL: {"rope_theta": 100.0} | YARN}}),
    Variant(
        "olmo3-only-sliding",
        "olmo3",
        {"rope_parameters": {SLIDING: {"rope_theta": 100.0, "rope_type": "default"}}},
    ),
    Variant("olmo3-null-sliding", "olmo3", olmo3({"rope_theta": 100.0} | YARN, None)),
    Variant("olmo3-nested-without-base", "olmo3", olmo3(dict(YARN), {"rope_type": "default"})),
    Variant(
        "olmo3-yarn-on-both",
        "olmo3",
        olmo3({"rope_theta": 500000.0} | YARN, {"rope_theta": 500000.0} | YARN),
    ),
    Variant("olmo3-original-beside-is-ignored", "olmo3", {"original_max_position_embeddings": 64}),
    Variant(
        "olmo3-yarn-without-original",
        "olmo3",
        olmo3({"rope_theta": 500000.0, "rope_type": "yarn", "factor": 8.0}),
    ),
    Variant(
        "olmo3-truncate-within", "olmo3", olmo3({"rope_theta": 100.0, "truncate": False} | YARN)
    ),
    Variant(
        "olmo3-truncate-beside",
        "olmo3",
        {
            "rope_parameters": olmo3({"rope_theta": 100.0} | YARN)["rope_parameters"]
            | {"truncate": False}
        },
    ),
    Variant(
        "olmo3-scaling-beside-parameters",
        "olmo3",
        olmo3({"rope_theta": 100.0, "rope_type": "default"}) | {"rope_scaling": LINEAR},
    ),
    Variant("olmo3-no-layer-types", "olmo3", unset=("layer_types",)),
    Variant(
        "olmo3-pattern-is-ignored", "olmo3", {"sliding_window_pattern": 2}, unset=("layer_types",)
    ),
    Variant("olmo3-all-full", "olmo3", {"layer_types": [FULL] * 5}),
    Variant(
        "olmo3-no-window", "olmo3", {"sliding_window": None}, refused="sliding_window: is null"
    ),
    Variant(
        "olmo3-no-window-all-full",
        "olmo3",
        {"sliding_window": None, "layer_types": [FULL] * 5},
        reference={"sliding_window": 64},
        why=WINDOWLESS,
    ),
    Variant("olmo3-window-not-said", "olmo3", unset=("sliding_window",)),
    # Gemma-3
    Variant(
        "gemma3-private-pattern", "gemma3", {"_sliding_window_pattern": 2}, unset=("layer_types",)
    ),
    Variant("gemma3-pattern", "gemma3", {"sliding_window_pattern": 2}, unset=("layer_types",)),
    Variant(
        "gemma3-both-patterns",
        "gemma3",
        {"sliding_window_pattern": 3, "_sliding_window_pattern": 2},
        unset=("layer_types",),
    ),
    Variant(
        "gemma3-pattern-of-one", "gemma3", {"sliding_window_pattern": 1}, unset=("layer_types",)
    ),
    Variant("gemma3-no-pattern", "gemma3", unset=("layer_types",)),
    Variant(
        "gemma3-types-win", "gemma3", {"sliding_window_pattern": 2, "_sliding_window_pattern": 3}
    ),
    Variant("gemma3-all-sliding", "gemma3", {"layer_types": [SLIDING] * 8}),
    Variant("gemma3-use-window-is-ignored", "gemma3", {"use_sliding_window": False}),
    Variant(
        "gemma3-window-null", "gemma3", {"sliding_window": None}, refused="sliding_window: is null"
    ),
    Variant("gemma3-window-not-said", "gemma3", unset=("sliding_window",)),
    Variant(
        "gemma3-activation-name", "gemma3", {"hidden_act": "silu"}, unset=("hidden_activation",)
    ),
    Variant("gemma3-activation-silu", "gemma3", {"hidden_activation": "silu"}),
    Variant("gemma3-two-activations", "gemma3", {"hidden_act": "silu"}),
    Variant(
        "gemma3-activation-null",
        "gemma3",
        {"hidden_activation": None},
        reference={"hidden_activation": "gelu_pytorch_tanh"},
        why=NULL,
    ),
    Variant("gemma3-query-scalar", "gemma3", unset=("query_pre_attn_scalar",)),
    Variant("gemma3-head-dim-null", "gemma3", {"head_dim": None}, refused="has shape [32, 24]"),
    Variant("gemma3-tied-by-default", "gemma3", unset=("tie_word_embeddings",)),
    Variant("gemma3-no-epsilon", "gemma3", unset=("rms_norm_eps",)),
    Variant(
        "gemma3-flat-of-the-defaults",
        "gemma3",
        with_rope(rope_theta=1000000.0, rope_type="default"),
    ),
    Variant(
        "gemma3-flat-base",
        "gemma3",
        with_rope(rope_theta=100.0, rope_type="default"),
        reference={
            "rope_parameters": {
                FULL: {"rope_theta": 100.0, "rope_type": "default"},
                SLIDING: {"rope_theta": 10000.0, "rope_type": "default"},
            }
        },
        why=FLAT,
    ),
    Variant(
        "gemma3-flat-linear",
        "gemma3",
        with_rope(rope_theta=1000000.0, **LINEAR),
        reference={
            "rope_parameters": {
                FULL: {"rope_theta": 1000000.0} | LINEAR,
                SLIDING: {"rope_theta": 10000.0, "rope_type": "default"},
            }
        },
        why=FLAT,
    ),
    Variant(
        "gemma3-only-full",
        "gemma3",
        {"rope_parameters": {FULL: {"rope_theta": 100.0, "rope_type": "default"}}},
    ),
    Variant(
        "gemma3-only-sliding",
        "gemma3",
        {"rope_parameters": {SLIDING: {"rope_theta": 100.0, "rope_type": "default"}}},
    ),
    Variant(
        "gemma3-only-full-local-beside",
        "gemma3",
        {
            "rope_parameters": {FULL: {"rope_theta": 100.0, "rope_type": "default"}},
            "rope_local_base_freq": 30.0,
        },
    ),
    Variant(
        "gemma3-bases-beside",
        "gemma3",
        {
            "rope_parameters": {FULL: {"rope_type": "default"}, SLIDING: {"rope_type": "default"}},
            "rope_local_base_freq": 30.0,
            "rope_theta": 60.0,
        },
    ),
    Variant("gemma3-bases-in-both", "gemma3", {"rope_local_base_freq": 30.0, "rope_theta": 60.0}),
    Variant(
        "gemma3-empty-parameters",
        "gemma3",
        {"rope_parameters": {}, "rope_local_base_freq": 30.0, "rope_theta": 60.0},
    ),
    Variant("gemma3-legacy", "gemma3", {"rope_theta": 70.0}, base="config.v4.json"),
    Variant(
        "gemma3-legacy-scaling",
        "gemma3",
        {"rope_scaling": {"type": "linear", "factor": 8.0}},
        base="config.v4.json",
        reference={"rope_scaling": {"rope_type": "linear", "factor": 8.0}},
        why="5.23 lets the older key of the type lose to a default; 4 reads it",
    ),
    Variant(
        "gemma3-legacy-both-types",
        "gemma3",
        {"rope_scaling": {"type": "linear", "rope_type": "linear", "factor": 8.0}},
        base="config.v4.json",
    ),
    Variant(
        "gemma3-legacy-no-bases",
        "gemma3",
        unset=("rope_theta", "rope_local_base_freq"),
        base="config.v4.json",
    ),
    Variant("gemma3-scaling-beside-parameters", "gemma3", {"rope_scaling": LINEAR}),
    Variant(
        "gemma3-original-beside",
        "gemma3",
        {
            "rope_parameters": {
                FULL: {"rope_theta": 100.0} | YARN,
                SLIDING: {"rope_theta": 100.0, "rope_type": "default"},
            },
            "original_max_position_embeddings": 64,
        },
    ),
    Variant(
        "gemma3-sliding-scaled",
        "gemma3",
        {
            "rope_parameters": {
                FULL: {"rope_theta": 100.0, "rope_type": "default"},
                SLIDING: {"rope_theta": 100.0} | LINEAR,
            }
        },
    ),
    Variant(
        "gemma3-dynamic-full",
        "gemma3",
        {
            "rope_parameters": {
                FULL: {"rope_theta": 100.0, "rope_type": "dynamic", "factor": 2.0},
                SLIDING: {"rope_theta": 100.0, "rope_type": "default"},
            },
            "max_position_embeddings": 16,
        },
    ),
    Variant(
        "gemma3-bidirectional",
        "gemma3",
        {"use_bidirectional_attention": True},
        refused="use_bidirectional_attention: true",
    ),
    Variant(
        "gemma3-softcap",
        "gemma3",
        {"final_logit_softcapping": 5.0},
        refused="final_logit_softcapping: 5.0",
    ),
    Variant(
        "gemma3-attention-softcap",
        "gemma3",
        {"attn_logit_softcapping": 5.0},
        refused="attn_logit_softcapping: 5.0",
    ),
    # GPT-NeoX
    Variant("neox-legacy-base", "pythia", {"rotary_emb_base": 100}, base="config.v4.json"),
    Variant("neox-legacy-no-base", "pythia", unset=("rotary_emb_base",), base="config.v4.json"),
    Variant("neox-legacy-no-share", "pythia", unset=("rotary_pct",), base="config.v4.json"),
    Variant(
        "neox-legacy-scaling",
        "pythia",
        {"rope_scaling": {"type": "linear", "factor": 4.0}},
        base="config.v4.json",
    ),
    Variant("neox-rope-theta-is-ignored", "pythia", {"rope_theta": 100.0}, base="config.v4.json"),
    Variant(
        "neox-other-share-is-ignored",
        "pythia",
        {"partial_rotary_factor": 0.5},
        base="config.v4.json",
    ),
    Variant(
        "neox-share-beside",
        "pythia",
        with_rope(rope_theta=100.0, rope_type="default") | {"rotary_pct": 0.5},
    ),
    Variant("neox-share-in-both", "pythia", {"rotary_pct": 1.0}),
    Variant(
        "neox-base-beside",
        "pythia",
        with_rope(rope_type="default", partial_rotary_factor=0.25) | {"rotary_emb_base": 50.0},
    ),
    Variant(
        "neox-rope-theta-beside-parameters",
        "pythia",
        with_rope(rope_type="default", partial_rotary_factor=0.25) | {"rope_theta": 50.0},
    ),
    Variant(
        "neox-scaling-beside-parameters",
        "pythia",
        with_rope(rope_theta=50.0, rope_type="default", partial_rotary_factor=0.5)
        | {"rope_scaling": LINEAR},
        refused="rope_scaling: stands beside",
    ),
    Variant("neox-sequential", "pythia", {"use_parallel_residual": False}),
    Variant("neox-parallel-by-default", "neox-sequential", unset=("use_parallel_residual",)),
    Variant("neox-no-epsilon", "pythia", unset=("layer_norm_eps",)),
    Variant(
        "neox-rms-epsilon-is-ignored", "pythia", {"rms_norm_eps": 0.5, "layer_norm_epsilon": 0.5}
    ),
    Variant("neox-bias-by-default", "pythia", unset=("attention_bias",)),
    Variant("neox-tanh", "pythia", {"hidden_act": "gelu_fast"}),
    Variant("neox-no-activation", "pythia", unset=("hidden_act",)),
    Variant("neox-untied-by-default", "pythia", unset=("tie_word_embeddings",)),
    Variant("neox-kv-heads-are-ignored", "pythia", {"num_key_value_heads": 1}),
    Variant(
        "neox-odd-share",
        "pythia",
        with_rope(rope_theta=100.0, rope_type="default", partial_rotary_factor=0.2),
        refused="rotary_pct: rotary embedding needs an even",
    ),
    # GPT-2
    Variant("gpt2-heads-by-another-name", "gpt2", {"num_attention_heads": 4}, unset=("n_head",)),
    Variant(
        "gpt2-heads-in-both",
        "gpt2",
        {"num_attention_heads": 4},
        refused="num_attention_heads: 4 contradicts n_head",
    ),
    Variant(
        "gpt2-all-names-new",
        "gpt2",
        {
            "num_attention_heads": 3,
            "hidden_size": 24,
            "num_hidden_layers": 3,
            "max_position_embeddings": 32,
        },
        unset=("n_head", "n_embd", "n_layer", "n_positions"),
    ),
    Variant("gpt2-unscaled", "gpt2", {"scale_attn_weights": False}),
    Variant(
        "gpt2-by-layer",
        "gpt2",
        {"scale_attn_by_inverse_layer_idx": True},
        refused="scale_attn_by_inverse_layer_idx: true",
    ),
    Variant("gpt2-upcast", "gpt2", {"reorder_and_upcast_attn": True}),
    Variant("gpt2-no-epsilon", "gpt2", unset=("layer_norm_epsilon",)),
    Variant(
        "gpt2-other-epsilons-are-ignored", "gpt2", {"layer_norm_eps": 0.5, "rms_norm_eps": 0.5}
    ),
    Variant("gpt2-no-activation", "gpt2", unset=("activation_function",)),
    Variant("gpt2-other-activation-is-ignored", "gpt2", {"hidden_act": "relu"}),
    Variant("gpt2-tied-by-default", "gpt2", unset=("tie_word_embeddings",)),
    Variant("gpt2-inner-not-said", "gpt2", unset=("n_inner",)),
    # A vision-language configuration
    Variant(
        "wrapped-outer-fields-are-ignored",
        "gemma3-wrapped-v5",
        outer={
            "rope_theta": 3.0,
            "sliding_window": 2,
            "rms_norm_eps": 0.5,
            "hidden_activation": "relu",
        },
    ),
    Variant(
        "wrapped-tied-outside",
        "gemma3-wrapped-v5",
        unset=("tie_word_embeddings",),
        outer={"tie_word_embeddings": True},
    ),
    Variant(
        "wrapped-tied-only-outside",
        "gemma3-wrapped-v5",
        {"tie_word_embeddings": False},
        outer={"tie_word_embeddings": True},
    ),
    Variant(
        "wrapped-tied-only-inside",
        "gemma3-wrapped-v5",
        {"tie_word_embeddings": True},
        outer={"tie_word_embeddings": False},
        refused="lm_head.weight",
    ),
]
