"""The tiny checkpoints that models.py makes: what each is, and its configuration in both spellings.

The two spellings are written out by hand, from the configurations that transformers 4 and
transformers 5 store; models.py checks both by loading them.
"""

from dataclasses import dataclass, field

VOCABULARY = 131


@dataclass
class Spec:
    name: str
    family: str
    shows: str
    layers: int = 4
    hidden: int = 32
    heads: int = 4
    kv_heads: int = 2
    head_dim: int | None = None
    intermediate: int = 40
    eps: float = 1e-5
    tied: bool = True
    theta: float = 10000.0
    # rope_scaling without the base, as transformers 4 spells it
    scaling: dict | None = None
    attention_bias: bool = False
    mlp_bias: bool = False
    # Gemma-3 only
    local_theta: float = 10000.0
    window: int = 8
    pattern: int = 6
    layer_types: list | None = None
    query_scalar: float | None = None
    # files
    dtype: str = "float32"
    shard_size: str | None = None
    prefix: str | None = None
    wrapping: str | None = None
    extras: bool = False
    gguf: str | None = None
    contributions: bool = False
    split: tuple = (1, 2, 1)
    # keys left out of the transformers 4 spelling, where the family's default is the value
    omitted: set = field(default_factory=set)

    @property
    def gemma(self):
        return self.family == "gemma3_text"

    def kinds(self):
        return self.layer_types or [
            "full_attention" if (i + 1) % self.pattern == 0 else "sliding_attention"
            for i in range(self.layers)
        ]

    def common(self):
        values = {
            "architectures": [
                {"llama": "LlamaForCausalLM", "olmo2": "Olmo2ForCausalLM"}.get(
                    self.family, "Gemma3ForCausalLM"
                )
            ],
            "attention_bias": self.attention_bias,
            "attention_dropout": 0.0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "hidden_size": self.hidden,
            "initializer_range": 0.02,
            "intermediate_size": self.intermediate,
            "max_position_embeddings": 128,
            "model_type": self.family,
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads,
            "pad_token_id": None,
            "rms_norm_eps": self.eps,
            "tie_word_embeddings": self.tied,
            "use_cache": True,
            "vocab_size": VOCABULARY,
        }
        if self.head_dim is not None:
            values["head_dim"] = self.head_dim
        if self.family == "llama":
            values["mlp_bias"] = self.mlp_bias
            values["pretraining_tp"] = 1
        if self.gemma:
            values |= {
                "attn_logit_softcapping": None,
                "final_logit_softcapping": None,
                "hidden_activation": "gelu_pytorch_tanh",
                "query_pre_attn_scalar": self.query_scalar or self.head_dim,
                "sliding_window": self.window,
            }
        else:
            values["hidden_act"] = "silu"
        return values

    def v4(self):
        """config.json as transformers 4 stores it."""
        values = self.common() | {
            "rope_theta": self.theta,
            "rope_scaling": self.scaling,
            "torch_dtype": self.dtype,
            "transformers_version": "4.50.0",
        }
        if self.gemma:
            values["rope_local_base_freq"] = self.local_theta
            # With layer_types, a pattern that contradicts them must lose.
            values["sliding_window_pattern"] = 2 if self.layer_types else self.pattern
            if self.layer_types:
                values["layer_types"] = self.layer_types
        return {k: v for k, v in sorted(values.items()) if k not in self.omitted}

    def v5(self):
        """config.json as transformers 5 stores it."""
        scaled = {"rope_theta": self.theta, "rope_type": "default"} | (self.scaling or {})
        values = self.common() | {"dtype": self.dtype, "transformers_version": "5.23.0"}
        values["rope_parameters"] = scaled
        if self.gemma:
            values["layer_types"] = self.kinds()
            values["rope_parameters"] = {
                "full_attention": scaled,
                "sliding_attention": {"rope_theta": self.local_theta, "rope_type": "default"},
            }
        return dict(sorted(values.items()))

    def wrapped(self, values, spelling):
        """Nested as the multimodal Gemma3ForConditionalGeneration stores it, if this one is."""
        if not self.wrapping:
            return values
        inner = {k: v for k, v in values.items() if k not in ("architectures", "torch_dtype")}
        outer = {
            "architectures": ["Gemma3ForConditionalGeneration"],
            "image_token_index": 130,
            "mm_tokens_per_image": 4,
            "model_type": "gemma3",
            "text_config": inner,
            "transformers_version": values["transformers_version"],
            "vision_config": {
                "hidden_size": 48, "model_type": "siglip_vision_model", "num_hidden_layers": 2,
            },
        }
        outer["torch_dtype" if spelling == "v4" else "dtype"] = self.dtype
        return outer

    def looped_plan(self):
        """Encoder, think block three times, decoder."""
        encoder, think, decoder = self.split
        assert encoder + think + decoder == self.layers
        block = list(range(encoder, encoder + think))
        return list(range(encoder)) + 3 * block + list(range(encoder + think, self.layers))

    def loop_notation(self):
        return f"{self.split[0]}-{self.split[1]}*3-{self.split[2]}"

    def free_plan(self):
        """A plan that is no split: the second layer left out, the last before it run twice."""
        kept = [i for i in range(self.layers) if i != 1]
        return kept[:-1] + [kept[-2], kept[-1]]

    def features(self):
        """Changes of the configuration that must change the logits: {name: function}."""
        changes = {"rope base": lambda c: set_theta(c, 3.0)}
        if self.scaling:
            changes["rope scaling"] = drop_scaling
        if self.attention_bias:
            changes["attention bias"] = lambda c: c.update(attention_bias=False)
        if self.mlp_bias:
            changes["MLP bias"] = lambda c: c.update(mlp_bias=False)
        if self.gemma:
            changes["window"] = lambda c: c.update(sliding_window=self.window + 1)
            changes["local rope base"] = set_local_theta
            changes["layer types"] = lambda c: c.update(
                layer_types=["full_attention"] + c["layer_types"][1:]
            )
            if self.query_scalar:
                changes["query scale"] = lambda c: c.update(query_pre_attn_scalar=self.head_dim)
        return changes


def set_theta(config, theta):
    rope = config["rope_parameters"]
    rope.get("full_attention", rope)["rope_theta"] = theta


def set_local_theta(config):
    full = config["rope_parameters"]["full_attention"]["rope_theta"]
    config["rope_parameters"]["sliding_attention"]["rope_theta"] = full


def drop_scaling(config):
    rope = config["rope_parameters"]
    rope = rope.get("full_attention", rope)
    theta = rope["rope_theta"]
    rope.clear()
    rope.update(rope_theta=theta, rope_type="default")


CHECKPOINTS = [
    Spec(
        "llama-gqa", "llama", "grouped-query attention, tied embeddings",
        intermediate=36, gguf="F32", contributions=True,
    ),
    Spec(
        "llama-llama3", "llama",
        "head_dim other than hidden/heads, one k/v head, untied, llama-3 rope scaling, F16",
        kv_heads=1, head_dim=12, tied=False, theta=100.0, dtype="float16", gguf="F16",
        scaling={
            "factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
            "original_max_position_embeddings": 32, "rope_type": "llama3",
        },
    ),
    Spec(
        "llama-linear", "llama",
        "linear rope scaling; no num_key_value_heads in config.v4.json; a stored tied head and "
        "rotary_emb.inv_freq tensors that are no parameters",
        layers=3, split=(1, 1, 1), kv_heads=4, extras=True,
        scaling={"factor": 4.0, "rope_type": "linear"}, omitted={"num_key_value_heads"},
    ),
    Spec(
        "llama-sharded", "llama", "three safetensors files and an index, untied",
        layers=3, split=(1, 1, 1), tied=False, shard_size="45KB",
    ),
    Spec(
        "llama-bf16", "llama", "BF16; no rope base in config.v4.json: the default 10,000 holds",
        layers=3, split=(1, 1, 1), dtype="bfloat16", omitted={"rope_theta"},
    ),
    Spec(
        "llama-bias", "llama", "biases on every projection of attention and MLP",
        layers=3, split=(1, 1, 1), hidden=24, intermediate=36, attention_bias=True, mlp_bias=True,
        gguf="F32",
    ),
    Spec(
        "llama-deep", "llama", "eight layers, for 3-2*3-3",
        layers=8, split=(3, 2, 3), hidden=24, intermediate=36, kv_heads=1, dtype="bfloat16",
    ),
    Spec(
        "olmo2-gqa", "olmo2", "post-norms, QK-norm over all heads at once, GQA, untied, BF16",
        layers=5, split=(1, 2, 2), tied=False, eps=1e-6, theta=500000.0, dtype="bfloat16",
        gguf="BF16", contributions=True,
    ),
    Spec(
        "olmo2-mha", "olmo2", "as many k/v heads as heads, tied, tensor names without `model.`",
        layers=3, split=(1, 1, 1), kv_heads=4, prefix="",
    ),
    Spec(
        "gemma3", "gemma3_text",
        "sliding and full layers (every 4th), window 8, two rope bases, query scale other than "
        "head_dim, head_dim other than hidden/heads",
        layers=8, split=(3, 2, 3), hidden=24, head_dim=8, intermediate=20, kv_heads=2, eps=1e-6,
        theta=5000.0, local_theta=100.0, pattern=4, query_scalar=6, contributions=True,
    ),
    Spec(
        "gemma3-layer-types", "gemma3_text",
        "layer_types that no pattern gives, against a contradicting sliding_window_pattern",
        layers=4, hidden=24, head_dim=8, intermediate=32, eps=1e-6, theta=5000.0, local_theta=100.0,
        dtype="bfloat16",
        layer_types=[
            "sliding_attention", "full_attention", "full_attention", "sliding_attention",
        ],
    ),
    Spec(
        "gemma3-linear", "gemma3_text",
        "linear rope scaling on full layers only, the default pattern (every 6th full), F16",
        layers=7, split=(2, 2, 3), hidden=24, head_dim=16, intermediate=28, kv_heads=1, eps=1e-6, theta=1000000.0,
        scaling={"factor": 8.0, "rope_type": "linear"}, dtype="float16", gguf="F16",
    ),
    Spec(
        "gemma3-wrapped-v4", "gemma3_text",
        "text_config and the prefix `language_model.model.`; no rope base in config.v4.json: the "
        "defaults 1,000,000 and 10,000 hold",
        layers=3, split=(1, 1, 1), hidden=24, head_dim=8, intermediate=32, eps=1e-6,
        theta=1000000.0, pattern=2, dtype="bfloat16", prefix="language_model.model.",
        wrapping="v4", omitted={"rope_theta", "rope_local_base_freq"},
    ),
    Spec(
        "gemma3-wrapped-v5", "gemma3_text", "text_config and the prefix `model.language_model.`",
        layers=3, split=(1, 1, 1), hidden=24, head_dim=8, intermediate=32, eps=1e-6, theta=5000.0,
        local_theta=100.0, pattern=2, dtype="bfloat16", prefix="model.language_model.",
        wrapping="v5",
    ),
]
