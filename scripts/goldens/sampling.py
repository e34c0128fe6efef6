"""Goldens of generation: transformers' logits processors, and its greedy tokens on the tiny checkpoints.

    pip install -r requirements.txt
    python scripts/goldens/sampling.py

Writes Tests/Goldens/inference/sampling.json. Needs the checkpoints of scripts/goldens/models.py.
"""

import json
import sys
from pathlib import Path

# A script's folder comes before the packages, and has a tokenizers.py.
sys.path.pop(0)

import torch
from transformers import AutoModelForCausalLM, GenerationConfig, LogitsProcessorList

GOLDENS = Path(__file__).resolve().parents[2] / "Tests" / "Goldens"
OUT = GOLDENS / "inference" / "sampling.json"

SETTINGS = [
    {},
    {"temperature": 0.7},
    {"temperature": 2.5},
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 1000},
    {"top_p": 0.9},
    {"top_p": 0.3},
    {"top_p": 0.01},
    {"min_p": 0.05},
    {"min_p": 0.5},
    {"repetition_penalty": 1.3},
    {"repetition_penalty": 0.8},
    {"temperature": 0.6, "top_k": 12, "top_p": 0.85, "min_p": 0.08, "repetition_penalty": 1.2},
    {"temperature": 1.7, "top_k": 20, "top_p": 0.5, "repetition_penalty": 1.1},
    {"temperature": 3.0, "top_p": 0.95, "min_p": 0.2},
]

# One of each kind of cache and position: full, sliding, learned, parallel, with norms of its own.
MODELS = ["llama-gqa", "gemma3", "gpt2", "pythia", "olmo2-gqa", "olmo3", "mistral", "qwen3", "phi3"]


def processed(model, settings, ids, logits):
    """The logits as `generate` would sample from them: the order of processors is transformers' own."""
    config = GenerationConfig(do_sample=True, **{"top_k": 0, **settings})
    processors = model._get_logits_processor(
        config, input_ids_seq_length=ids.shape[1], encoder_input_ids=ids, prefix_allowed_tokens_fn=None,
        logits_processor=LogitsProcessorList(), device="cpu", model_kwargs={})
    out = processors(ids, logits.clone())[0]
    return [None if v == float("-inf") else float(v) for v in out]


def main():
    torch.manual_seed(20)
    torch.set_grad_enabled(False)
    plain = AutoModelForCausalLM.from_pretrained(GOLDENS / "models" / "llama-gqa", dtype=torch.float32)
    cases = []
    for number, settings in enumerate(SETTINGS * 2):
        logits = torch.randn(1, 60) * (1.5 if number < len(SETTINGS) else 4.0)
        ids = torch.randint(0, 60, (1, 12))
        out = processed(plain, settings, ids, logits)
        if settings and settings != {"top_k": 1000}:
            assert out != [float(v) for v in logits[0]], f"{settings} changes nothing"
        cases.append({"settings": settings, "text": ids[0].tolist(),
                      "logits": [float(v) for v in logits[0]], "processed": out})

    greedy = []
    for name in MODELS:
        folder = GOLDENS / "models" / name
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        prompt = json.loads((folder / "expected.json").read_text())["tokens"][1][:7]
        for penalty in (1.0, 1.4):
            # No end of text: every golden is as long as it can be.
            model.generation_config.eos_token_id = None
            # Without a mask, ids that equal the padding's would be left out of the prompt.
            ids = model.generate(
                torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                max_new_tokens=20, do_sample=False, repetition_penalty=penalty,
                pad_token_id=0, eos_token_id=None)
            tokens = ids[0, len(prompt):].tolist()
            assert len(tokens) == 20, (name, tokens)
            greedy.append({"model": name, "prompt": prompt, "repetition_penalty": penalty, "tokens": tokens})
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"cases": cases, "greedy": greedy}) + "\n")
    print(OUT)


if __name__ == "__main__":
    main()
