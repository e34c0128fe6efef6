"""The two fetched GGUF files as transformers models: configurations by hand, weights dequantised.

The layout is undone by gguf_layout, not by transformers' own loader.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers

from gguf_layout import read_weights

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "etd/models"

SMOLLM2 = transformers.LlamaConfig(
    vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
    num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192, rms_norm_eps=1e-5,
    tie_word_embeddings=True, rope_parameters={"rope_theta": 100000.0, "rope_type": "default"},
)
GEMMA3 = transformers.Gemma3TextConfig(
    vocab_size=262144, hidden_size=640, intermediate_size=2048, num_hidden_layers=18,
    num_attention_heads=4, num_key_value_heads=1, head_dim=256, max_position_embeddings=32768,
    rms_norm_eps=1e-6, tie_word_embeddings=True, query_pre_attn_scalar=256, sliding_window=512,
    layer_types=["full_attention" if i % 6 == 5 else "sliding_attention" for i in range(18)],
    rope_parameters={
        "full_attention": {"rope_theta": 1000000.0, "rope_type": "default"},
        "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"},
    },
)


@dataclass
class Fetched:
    architecture: str
    config: transformers.PretrainedConfig
    # ids that start each window
    prefix: list[int]


# by file name
MODELS = {
    "smollm2-135m-instruct": Fetched("llama", SMOLLM2, []),
    "gemma-3-270m": Fetched("gemma3", GEMMA3, [2]),
}


def load(path):
    """The model in the GGUF file `path`, whose name is a key of MODELS, in f32."""
    fetched = MODELS[path.stem]
    config = fetched.config
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    weights = read_weights(
        path, fetched.architecture, [name for name, _ in model.named_parameters()],
        config.num_hidden_layers, config.num_attention_heads, config.num_key_value_heads,
    )
    model.load_state_dict(weights, strict=False)
    model.tie_weights()
    return model
