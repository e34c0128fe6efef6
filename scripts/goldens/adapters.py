"""Goldens for LoRA adapters: what PEFT computes with random adapters on the tiny checkpoints.

Writes Tests/Goldens/adapters/<name>/: the adapter as PEFT saves it, its base given as a relative path,
and expected.safetensors with tokens [T] and logits [T, V] of the base with the adapter beside it, in f32.
"""

import json
import shutil
import sys
from pathlib import Path

# A neighbour of this file may be named like a package that transformers imports (tokenizers).
sys.path[0] = str(Path(__file__).resolve().parent / "support")

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file

GOLDENS = Path(__file__).resolve().parents[2] / "Tests/Goldens"
OUT = GOLDENS / "adapters"

ADAPTERS = {
    # name: (base, LoraConfig)
    "llama-plain": ("llama-gqa", dict(r=3, lora_alpha=7, target_modules=["q_proj", "v_proj", "down_proj"])),
    "llama-stabilised": (
        "llama-gqa",
        dict(
            r=2, lora_alpha=5, use_rslora=True, target_modules=["k_proj", "gate_proj"],
            rank_pattern={"layers.1.mlp.gate_proj": 4}, alpha_pattern={"layers.1.mlp.gate_proj": 3},
        ),
    ),
    "llama-looped": (
        "llama-gqa",
        dict(r=2, lora_alpha=4, target_modules=["q_proj", "up_proj"], layer_replication=[[0, 3], [1, 3], [1, 4]]),
    ),
    "gpt2-turned": ("gpt2", dict(r=2, lora_alpha=4, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)),
    "gemma3-plain": ("gemma3", dict(r=2, lora_alpha=4, target_modules=["q_proj", "o_proj", "gate_proj"])),
    "mistral-head": (
        "mistral", dict(r=2, lora_alpha=4, target_modules=["o_proj"], modules_to_save=["lm_head"])),
}


def load(base):
    return transformers.AutoModelForCausalLM.from_pretrained(
        GOLDENS / "models" / base, dtype=torch.float32, attn_implementation="eager").eval()


def main():
    for name, (base, settings) in ADAPTERS.items():
        folder = OUT / name
        shutil.rmtree(folder, ignore_errors=True)
        generator = torch.Generator().manual_seed(sum(map(ord, name)))
        model = get_peft_model(load(base), LoraConfig(task_type="CAUSAL_LM", **settings))
        for key, parameter in model.named_parameters():
            if "lora_" in key or "modules_to_save" in key:
                with torch.no_grad():
                    parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        model.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        path = folder / "adapter_config.json"
        config = json.loads(path.read_text())
        config["base_model_name_or_path"] = f"../../models/{base}"
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        tokens = json.loads((GOLDENS / "models" / base / "expected.json").read_text())["tokens"][1]
        with torch.no_grad():
            logits = PeftModel.from_pretrained(load(base), folder).eval()(torch.tensor([tokens])).logits[0]
            plain = load(base)(torch.tensor([tokens])).logits[0]
        assert (logits - plain).abs().max() > 0.1, f"{name}: the adapter does not show"
        save_file(
            {"tokens": torch.tensor(tokens, dtype=torch.int32), "logits": logits.contiguous()},
            folder / "expected.safetensors")
        print(name, f"largest change {(logits - plain).abs().max():.3f}")


main()
