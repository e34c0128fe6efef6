"""Goldens for configurations as files spell them: support/*_variants.py over the tiny checkpoints.

Reads Tests/Goldens/models; writes Tests/Goldens/configurations/variants.json with two lists.
`safetensors`: {name, model, base, set, unset, outer} and either `refused`, a part of the error, or
`logits`: with T tokens (expected.json's longer sequence), at position t the logit of token t + 1, of
transformers in f32 on the model's weights under the changed configuration [T - 1]. Where transformers
reads the file wrong, `instead` says which configuration it was given, `why` for what reason.
`gguf`: {name, model, keys, dropped} and the same.
"""

import copy
import json
import shutil
import sys
import tempfile
from pathlib import Path

# A neighbour of this file may be named like a package that transformers imports (tokenizers).
sys.path[0] = str(Path(__file__).resolve().parent / "support")

import torch
import transformers

from gguf_variants import GGUF_VARIANTS
from llama_variants import LLAMA_VARIANTS
from other_variants import OTHER_VARIANTS

GOLDENS = Path(__file__).resolve().parents[2] / "Tests/Goldens"
MODELS = GOLDENS / "models"


def read(path):
    return json.loads(path.read_text())


def changed(config, changes, unset=(), outer=None):
    """`config` with the changes in its text_config, if it has one."""
    config = copy.deepcopy(config)
    text = config.get("text_config", config)
    for key in unset:
        del text[key]
    text.update(changes)
    config.update(outer or {})
    return config


def load(folder, config):
    with tempfile.TemporaryDirectory() as copied:
        for file in folder.glob("model*.safetensors"):
            shutil.copy(file, copied)
        (Path(copied) / "config.json").write_text(json.dumps(config))
        return transformers.AutoModelForCausalLM.from_pretrained(
            copied, dtype=torch.float32, attn_implementation="eager"
        ).eval()


def logits(model, folder):
    tokens = torch.tensor(read(folder / "expected.json")["tokens"][1])
    with torch.no_grad():
        rows = model(tokens[None], use_cache=False).logits[0]
    values = rows[:-1].gather(1, tokens[1:, None])[:, 0]
    assert values.isfinite().all()
    return [round(value, 6) for value in values.tolist()]


def safetensors_entry(variant):
    folder = MODELS / variant.model
    entry = {
        "name": variant.name,
        "model": variant.model,
        "base": variant.base,
        "set": variant.set,
        "unset": list(variant.unset),
        "outer": variant.outer,
    }
    if variant.refused:
        return entry | {"refused": variant.refused}
    config = changed(read(folder / variant.base), variant.set, variant.unset, variant.outer)
    if variant.reference is not None:
        config = changed(config, variant.reference, variant.reference_unset)
        entry |= {"instead": variant.reference, "why": variant.why}
    values = logits(load(folder, config), folder)
    if "ignored" in variant.name:
        kept = changed(read(folder / variant.base), {}, variant.unset)
        assert values == logits(load(folder, kept), folder), f"{variant.name} is not ignored"
    return entry | {"logits": values}


def gguf_entry(variant):
    folder = MODELS / variant.model
    entry = {
        "name": variant.name,
        "model": variant.model,
        "keys": variant.keys,
        "dropped": list(variant.dropped),
    }
    if variant.refused:
        return entry | {"refused": variant.refused}
    model = load(folder, changed(read(folder / "config.v5.json"), variant.reference))
    rotary = model.base_model.rotary_emb
    if variant.divide != 1:
        rotary.inv_freq /= variant.divide
    if variant.attention != 1:
        rotary.attention_scaling *= variant.attention
    return entry | {"logits": logits(model, folder)}


def main():
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    written = {
        "safetensors": [safetensors_entry(variant) for variant in LLAMA_VARIANTS + OTHER_VARIANTS],
        "gguf": [gguf_entry(variant) for variant in GGUF_VARIANTS],
    }
    out = GOLDENS / "configurations"
    out.mkdir(exist_ok=True)
    # One variant a line.
    lists = [
        f'"{name}": [\n' + ",\n".join(json.dumps(entry) for entry in entries) + "\n]"
        for name, entries in written.items()
    ]
    made = {"torch": torch.__version__, "transformers": transformers.__version__}
    text = "{\n" + ",\n".join([f'"made_with": {json.dumps(made)}', *lists]) + "\n}\n"
    json.loads(text)
    (out / "variants.json").write_text(text)
    refused = sum("refused" in entry for entries in written.values() for entry in entries)
    total = sum(map(len, written.values()))
    print(f"{total} variants, {refused} of them refused, {len(text) // 1024} KiB")


if __name__ == "__main__":
    main()
