"""The tiny checkpoints that models.py makes: what each is, and its configuration in both spellings.

The two spellings are written out by hand, from the configurations that transformers 4 and
transformers 5 store; models.py checks both by loading them.
"""

from dataclasses import dataclass, field

VOCABULARY = 131

# The context before scaling, where a checkpoint is scaled: longer than the first token sequence,
# shorter than the second.
ORIGINAL = 16

CLASSES = {
    "gemma3_text": "Gemma3ForCausalLM",
    "gpt2": "GPT2LMHeadModel",
    "gpt_neox": "GPTNeoXForCausalLM",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "olmo": "OlmoForCausalLM",
    "olmo2": "Olmo2ForCausalLM",
    "olmo3": "Olmo3ForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}


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
    context: int = 128
    # the part of each head that turns: GPT-NeoX's rotary_pct, Phi-3's partial_rotary_factor
    partial: float | None = None
    # sliding layers: of all layers for Mistral and Phi-3, of `kinds()` for the others
    window: int | None = None
    pattern: int = 6
    # Gemma-3 only
    local_theta: float = 10000.0
    layer_types: list | None = None
    query_scalar: float | None = None
    # OLMo only
    clip: float | None = None
    # GPT-NeoX only
    parallel: bool = True
    # GPT-NeoX, GPT-2
    activation: str = "gelu"
    # Qwen only: layers that attend fully before the sliding ones
    first_sliding: int | None = None
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

    @property
    def size(self):
        """Dimensions of a head."""
        return self.head_dim or self.hidden // self.heads

    @property
    def base_prefix(self):
        """What transformers puts before the names of everything but the head."""
        return {"gpt_neox": "gpt_neox.", "gpt2": "transformer."}.get(self.family, "model.")

    def kinds(self):
        if self.layer_types:
            return self.layer_types
        if self.first_sliding is not None:
            sliding = [i >= self.first_sliding for i in range(self.layers)]
        elif self.gemma or self.family == "olmo3":
            sliding = [(i + 1) % self.pattern != 0 for i in range(self.layers)]
        else:
            sliding = [self.window is not None] * self.layers
        return ["sliding_attention" if x else "full_attention" for x in sliding]

    def common(self):
        values = {
            "architectures": [CLASSES[self.family]],
            "bos_token_id": 1,
            "eos_token_id": 2,
            "initializer_range": 0.02,
            "model_type": self.family,
            "tie_word_embeddings": self.tied,
            "use_cache": True,
            "vocab_size": VOCABULARY,
        }
        if self.family == "gpt2":
            return values | {
                "activation_function": self.activation,
                "layer_norm_epsilon": self.eps,
                "n_embd": self.hidden,
                "n_head": self.heads,
                "n_inner": None if self.intermediate == 4 * self.hidden else self.intermediate,
                "n_layer": self.layers,
                "n_positions": self.context,
                "reorder_and_upcast_attn": False,
                "scale_attn_by_inverse_layer_idx": False,
                "scale_attn_weights": True,
            }
        values |= {
            "attention_bias": self.attention_bias,
            "attention_dropout": 0.0,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "max_position_embeddings": self.context,
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
        }
        if self.family == "gpt_neox":
            return values | {
                "hidden_act": self.activation,
                "hidden_dropout": 0.0,
                "layer_norm_eps": self.eps,
                "use_parallel_residual": self.parallel,
            }
        values |= {
            "hidden_act": "silu",
            "num_key_value_heads": self.kv_heads,
            "pad_token_id": None,
            "rms_norm_eps": self.eps,
        }
        if self.head_dim is not None:
            values["head_dim"] = self.head_dim
        if self.family in ("mistral", "qwen2", "phi3"):
            del values["attention_bias"]
        if self.family == "olmo":
            del values["rms_norm_eps"]
            values["clip_qkv"] = self.clip
        if self.family in ("mistral", "olmo3", "phi3"):
            values["sliding_window"] = self.window
        if self.family in ("qwen2", "qwen3"):
            values["use_sliding_window"] = self.window is not None
            values["sliding_window"] = self.window
            values["max_window_layers"] = (
                self.layers if self.first_sliding is None else self.first_sliding
            )
        if self.family == "phi3":
            values["original_max_position_embeddings"] = ORIGINAL
        if self.family == "llama":
            values["mlp_bias"] = self.mlp_bias
            values["pretraining_tp"] = 1
        if self.gemma:
            del values["hidden_act"]
            values |= {
                "attn_logit_softcapping": None,
                "final_logit_softcapping": None,
                "hidden_activation": "gelu_pytorch_tanh",
                "query_pre_attn_scalar": self.query_scalar or self.head_dim,
                "sliding_window": self.window,
            }
        return values

    def v4(self):
        """config.json as transformers 4 stores it."""
        values = self.common() | {"torch_dtype": self.dtype, "transformers_version": "4.50.0"}
        if self.family == "gpt_neox":
            values |= {"rotary_pct": self.partial, "rotary_emb_base": self.theta}
        elif self.family == "gpt2":
            values["n_ctx"] = self.context
        else:
            values["rope_theta"] = self.theta
            if self.partial is not None:
                values["partial_rotary_factor"] = self.partial
        if self.family != "gpt2":
            values["rope_scaling"] = self.scaling
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
        if self.partial is not None:
            scaled["partial_rotary_factor"] = self.partial
        values = self.common() | {"dtype": self.dtype, "transformers_version": "5.23.0"}
        if self.family != "gpt2":
            values["rope_parameters"] = scaled
        if self.gemma or self.family in ("olmo3", "qwen2", "qwen3"):
            values["layer_types"] = self.kinds()
        if self.gemma or self.family == "olmo3":
            local = self.local_theta if self.gemma else self.theta
            values["rope_parameters"] = {
                "full_attention": scaled,
                "sliding_attention": {"rope_theta": local, "rope_type": "default"},
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
        """Changes of the configuration that must change the logits, each with the least difference
        that tells them apart: {name: (function, difference)}."""
        changes = {}
        if self.family != "gpt2":
            changes["rope base"] = lambda c: set_theta(c, 3.0)
        if self.scaling:
            changes["rope scaling"] = drop_scaling
            for key, other in (
                ("attention_factor", 1.0), ("mscale_all_dim", 0.0), ("beta_fast", 2.0),
                ("truncate", True),
            ):
                if key in self.scaling:
                    changes[key] = lambda c, key=key, other=other: rope(c).update({key: other})
        if self.attention_bias:
            changes["attention bias"] = lambda c: c.update(attention_bias=False)
        if self.mlp_bias:
            changes["MLP bias"] = lambda c: c.update(mlp_bias=False)
        if self.clip:
            changes["clip"] = lambda c: c.update(clip_qkv=None)
        # longrope's lists have the length of the part that turns, which they show by themselves.
        if self.partial and "short_factor" not in (self.scaling or {}):
            share = 1.0 if self.partial != 1 else 0.5
            changes["partial rotary"] = lambda c: rope(c).update(partial_rotary_factor=share)
        if self.family == "gpt_neox":
            changes["residual"] = lambda c: c.update(use_parallel_residual=not self.parallel)
        if self.window:
            changes["window"] = lambda c: c.update(sliding_window=self.window + 1)
        if self.gemma or self.family == "olmo3" or self.first_sliding is not None:
            flipped = {"full_attention": "sliding_attention", "sliding_attention": "full_attention"}
            changes["layer types"] = lambda c: c.update(
                layer_types=[flipped[c["layer_types"][0]]] + c["layer_types"][1:]
            )
        if self.gemma:
            changes["local rope base"] = set_local_theta
            if self.query_scalar:
                changes["query scale"] = lambda c: c.update(query_pre_attn_scalar=self.head_dim)
        least = {name: (change, 0.05) for name, change in changes.items()}
        if self.family in ("gpt_neox", "gpt2"):
            # The forms of GELU differ by 5e-4 at most; five times the tests' tolerance is enough.
            field = "hidden_act" if self.family == "gpt_neox" else "activation_function"
            form = "gelu_new" if self.activation == "gelu" else "gelu"
            least["activation"] = (lambda c: c.update({field: form}), 5e-4)
        return least


def rope(config):
    """The rotary parameters of the full layers."""
    parameters = config["rope_parameters"]
    return parameters.get("full_attention", parameters)


def set_theta(config, theta):
    rope(config)["rope_theta"] = theta


def set_local_theta(config):
    full = config["rope_parameters"]["full_attention"]["rope_theta"]
    config["rope_parameters"]["sliding_attention"]["rope_theta"] = full


def drop_scaling(config):
    kept = {k: v for k, v in rope(config).items() if k in ("rope_theta", "partial_rotary_factor")}
    rope(config).clear()
    rope(config).update(kept, rope_type="default")


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
        layers=8, split=(3, 2, 3), hidden=24, head_dim=8, intermediate=20, kv_heads=2, eps=1e-6, window=8,
        theta=5000.0, local_theta=100.0, pattern=4, query_scalar=6, contributions=True,
    ),
    Spec(
        "gemma3-layer-types", "gemma3_text",
        "layer_types that no pattern gives, against a contradicting sliding_window_pattern",
        layers=4, hidden=24, head_dim=8, intermediate=32, eps=1e-6, window=8, theta=5000.0, local_theta=100.0,
        dtype="bfloat16",
        layer_types=[
            "sliding_attention", "full_attention", "full_attention", "sliding_attention",
        ],
    ),
    Spec(
        "gemma3-linear", "gemma3_text",
        "linear rope scaling on full layers only, the default pattern (every 6th full), F16",
        layers=7, split=(2, 2, 3), hidden=24, head_dim=16, intermediate=28, kv_heads=1, eps=1e-6, window=8, theta=1000000.0,
        scaling={"factor": 8.0, "rope_type": "linear"}, dtype="float16", gguf="F16",
    ),
    Spec(
        "gemma3-wrapped-v4", "gemma3_text",
        "text_config and the prefix `language_model.model.`; no rope base in config.v4.json: the "
        "defaults 1,000,000 and 10,000 hold",
        layers=3, split=(1, 1, 1), hidden=24, head_dim=8, intermediate=32, eps=1e-6, window=8,
        theta=1000000.0, pattern=2, dtype="bfloat16", prefix="language_model.model.",
        wrapping="v4", omitted={"rope_theta", "rope_local_base_freq"},
    ),
    Spec(
        "gemma3-wrapped-v5", "gemma3_text", "text_config and the prefix `model.language_model.`",
        layers=3, split=(1, 1, 1), hidden=24, head_dim=8, intermediate=32, eps=1e-6, window=8, theta=5000.0,
        local_theta=100.0, pattern=2, dtype="bfloat16", prefix="model.language_model.",
        wrapping="v5",
    ),
    Spec(
        "llama-dynamic", "llama",
        "dynamic NTK scaling: the second sequence is longer than max_position_embeddings",
        layers=3, split=(1, 1, 1), hidden=24, intermediate=32, context=ORIGINAL, theta=100.0,
        dtype="bfloat16", scaling={"factor": 2.0, "rope_type": "dynamic"},
    ),
    Spec(
        "mistral", "mistral",
        "a window of 8 in every layer, head_dim other than hidden/heads, untied, BF16",
        layers=3, split=(1, 1, 1), hidden=24, head_dim=8, intermediate=32, tied=False, window=8,
        dtype="bfloat16",
    ),
    Spec(
        "olmo", "olmo", "LayerNorms without weight and bias, clip_qkv, GQA, tied",
        layers=3, split=(1, 1, 1), hidden=24, intermediate=32, clip=2.5,
        dtype="bfloat16", gguf="BF16", contributions=True,
    ),
    Spec(
        "olmo3", "olmo3",
        "sliding layers but every 4th, yarn on full layers only, untied, BF16",
        layers=5, split=(1, 3, 1), hidden=24, intermediate=32, tied=False, window=8, pattern=4,
        theta=500000.0, dtype="bfloat16", gguf="BF16",
        scaling={
            "attention_factor": 1.2079441541679836, "beta_fast": 32.0, "beta_slow": 1.0,
            "factor": 8.0, "original_max_position_embeddings": ORIGINAL, "rope_type": "yarn",
        },
    ),
    Spec(
        "qwen2", "qwen2",
        "biases on queries, keys and values only; yarn without an attention factor; F16",
        layers=3, split=(1, 1, 1), hidden=24, heads=2, kv_heads=1, intermediate=32, eps=1e-6,
        theta=1000.0, dtype="float16", gguf="F16",
        scaling={
            "factor": 4.0, "original_max_position_embeddings": ORIGINAL, "rope_type": "yarn",
        },
    ),
    Spec(
        "qwen2-sliding", "qwen2", "sliding layers from the second on, untied",
        layers=3, split=(1, 1, 1), hidden=24, kv_heads=4, intermediate=32, tied=False, window=6,
        first_sliding=1, dtype="bfloat16",
    ),
    Spec(
        "qwen3", "qwen3",
        "QK-norm per head, head_dim other than hidden/heads, no attention_bias, tied",
        layers=3, split=(1, 1, 1), hidden=24, head_dim=8, intermediate=32, eps=1e-6,
        theta=1000000.0, dtype="bfloat16", gguf="BF16",
    ),
    Spec(
        "qwen3-yarn", "qwen3",
        "attention bias; yarn with mscale, mscale_all_dim, other betas and no rounding",
        layers=3, split=(1, 1, 1), hidden=24, head_dim=12, intermediate=32, attention_bias=True,
        theta=100.0, dtype="bfloat16",
        scaling={
            "beta_fast": 4.0, "beta_slow": 0.5, "factor": 4.0, "mscale": 1.0,
            "mscale_all_dim": 0.4, "original_max_position_embeddings": ORIGINAL,
            "rope_type": "yarn", "truncate": False,
        },
    ),
    Spec(
        "pythia", "gpt_neox",
        "parallel residual, a quarter of each head turned, exact GELU, untied; masks and "
        "inverse frequencies that are no parameters",
        layers=3, split=(1, 1, 1), heads=2, kv_heads=2, intermediate=40, tied=False,
        attention_bias=True, partial=0.25, extras=True, dtype="float16", gguf="F16",
        contributions=True,
    ),
    Spec(
        "neox-sequential", "gpt_neox",
        "attention before MLP, whole heads turned, no attention bias, tied, tensor names "
        "without `gpt_neox.`, BF16",
        layers=3, split=(1, 1, 1), hidden=24, heads=3, kv_heads=3, intermediate=32, parallel=False,
        partial=1.0, theta=1000.0, prefix="", dtype="bfloat16", gguf="BF16",
    ),
    Spec(
        "gpt2", "gpt2",
        "learned positions, matrices stored [in, out], tanh GELU, n_inner null, tied; tensor names "
        "without `transformer.` and masks that are no parameters",
        layers=3, split=(1, 1, 1), hidden=24, heads=3, kv_heads=3, intermediate=96, context=32,
        activation="gelu_new", prefix="", extras=True, gguf="F32", contributions=True,
    ),
    Spec(
        "gpt2-inner", "gpt2", "n_inner, exact GELU, an untied head, F16",
        layers=3, split=(1, 1, 1), hidden=24, heads=3, kv_heads=3, intermediate=40, context=32,
        tied=False, dtype="float16",
    ),
    Spec(
        "phi3", "phi3",
        "fused projections, a window, three quarters of each head turned, longrope: the second "
        "sequence is longer than the original context; untied, BF16",
        layers=3, split=(1, 1, 1), hidden=32, intermediate=32, tied=False, window=12, context=64,
        partial=0.75, theta=100.0, dtype="bfloat16", gguf="BF16",
        scaling={
            "long_factor": [1.5, 2.5, 4.0], "short_factor": [1.0, 1.25, 1.5],
            "rope_type": "longrope",
        },
    ),
]
