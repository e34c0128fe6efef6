"""Ways in which configuration files spell the tiny models: legacy keys, keys left out, keys that
transformers ignores, and combinations of them. configurations.py computes what each means.
"""

from dataclasses import dataclass, field

ORIGINAL = 16


@dataclass
class Variant:
    name: str
    # folder of Tests/Goldens/models whose weights are used
    model: str
    # changes of config.json (of its text_config, if it has one); None stores null
    set: dict = field(default_factory=dict)
    unset: tuple = ()
    # which of the model's configurations is changed
    base: str = "config.v5.json"
    # further changes for transformers, where 5.23 refuses the file or reads it wrong; `why` says how
    reference: dict | None = None
    reference_unset: tuple = ()
    why: str = ""
    # changes outside of text_config
    outer: dict = field(default_factory=dict)
    # the error must hold this: what would change the numbers and is not built, or has two meanings
    refused: str = ""


YARN = {
    "attention_factor": 1.2079441541679836,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "factor": 8.0,
    "original_max_position_embeddings": ORIGINAL,
    "rope_type": "yarn",
}
PLAIN = {"rope_theta": 500000.0, "rope_type": "default"}
SLIDING, FULL = "sliding_attention", "full_attention"
LINEAR = {"factor": 4.0, "rope_type": "linear"}
# Wrong in transformers 5.23: it adds the two layer types beside what a flat object holds and reads
# them alone, so that base and scaling are lost. Files of transformers 5.0 are flat: there, as in
# transformers 4, the base was for all layers and the scaling for the full ones.
FLAT = "a flat object of transformers 5.0; 5.23 drops it"
NULL = "5.23 takes no null here; absence means the same"
WINDOWLESS = "5.23 wants a window even where no layer has one"


def with_rope(**values):
    return {"rope_parameters": values}


def olmo3(full, sliding=PLAIN):
    return {"rope_parameters": {FULL: full, SLIDING: sliding}}
