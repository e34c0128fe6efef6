"""Opens `etd export`'s folders in transformers and PEFT and compares them with what `etd` computes.

    export.py [--etd .build/release/etd] [--families llama,gemma3,…] [--out RESULTS.json]

For each family a random model of 16 layers (the configuration of a golden, deepened) and the plan
7-4*3-5, in f32. Compared with `etd score --last-logits` of the looped model:
  hf-unrolled, hf-etd   logits at every position (1e-4), 64 greedy tokens through `generate` with cache
  hf-etd                other k at run time, k = 1 and the base model, hidden states per executed layer,
                        gradients with and without checkpointing and against those of the copies in
                        hf-unrolled, a save and a load
  peft                  logits and tokens; for the families that `etd export` refuses, what PEFT does
Runs under transformers 4.57 and 5, with whichever Python has it; PEFT is left out where it is not
installed. Fails at the first difference beyond the bound.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

try:
    import peft
except ImportError:
    peft = None

ROOT = Path(__file__).resolve().parents[2]
GOLDENS = ROOT / "Tests" / "Goldens" / "models"
# A golden of each family; the last two have sliding layers of their own kind.
FAMILIES = {
    "llama": "llama-gqa", "mistral": "mistral", "olmo": "olmo", "olmo2": "olmo2-gqa",
    "olmo3": "olmo3", "qwen2": "qwen2", "qwen2-sliding": "qwen2-sliding", "qwen3": "qwen3",
    "phi3": "phi3", "gemma3": "gemma3", "gpt_neox": "pythia", "gpt2": "gpt2",
}
ENCODER, THINK, DECODER, ITERATIONS = 7, 4, 5, 3
LAYERS, PROMPT, NEW = 16, 12, 64
BOUND = 1e-4


def check(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"export.py: {what}")


def make_model(golden: str, folder: Path) -> transformers.PreTrainedModel:
    """A random model with the golden's configuration and 16 layers, saved in this version's spelling."""
    spelling = "config.v4.json" if transformers.__version__.startswith("4.") else "config.v5.json"
    values = json.loads((GOLDENS / golden / spelling).read_text())
    kind = values.pop("model_type")
    for name in ("num_hidden_layers", "n_layer"):
        if name in values:
            values[name] = LAYERS
    if types := values.get("layer_types"):
        values["layer_types"] = [types[i % len(types)] for i in range(LAYERS)]
    if "max_window_layers" in values:
        values["max_window_layers"] = min(values["max_window_layers"], LAYERS)
    # The frequencies of longrope depend on a text's length, so a prefix by itself is another text.
    scaling = values.get("rope_parameters") or values.get("rope_scaling") or {}
    if scaling.get("rope_type") == "longrope":
        values.pop("rope_scaling", None)
        if "rope_parameters" in values:
            kept = ("rope_theta", "partial_rotary_factor")
            plain = {name: scaling[name] for name in kept if name in scaling}
            values["rope_parameters"] = {"rope_type": "default", **plain}
    for name in ("n_positions", "max_position_embeddings"):
        if name in values:
            values[name] = 128
    config = AutoConfig.for_model(kind, **values)
    # Gradients are compared, and GPT-2's dropout is on by default.
    for name in ("attn_pdrop", "embd_pdrop", "resid_pdrop"):
        if hasattr(config, name):
            setattr(config, name, 0.0)
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # Large enough that a layer more or less shows, small enough that 24 layers stay tame.
            if parameter.dim() > 1:
                parameter.normal_(0, 0.6 / math.sqrt(parameter.shape[-1]))
    model.save_pretrained(folder)
    return model


def export(etd: str, model: Path, form: str, out: Path) -> subprocess.CompletedProcess:
    plan = f"{ENCODER}-{THINK}*{ITERATIONS}-{DECODER}"
    return subprocess.run(
        [etd, "export", "--model", model, "--split", plan, "--format", form, "--out", out,
         "--quiet"], capture_output=True, text=True)


def ours(etd: str, model: Path, ids: list[int], iterations: int) -> torch.Tensor:
    """Our looped model's logits after each prefix of two ids and more, [T - 1, V]."""
    lines = "".join(json.dumps({"tokens": ids[:end]}) + "\n" for end in range(2, len(ids) + 1))
    done = subprocess.run(
        [etd, "score", "--model", model, "--precision", "f32", "--input", "-", "--output", "-",
         "--split", f"{ENCODER}-{THINK}*{iterations}-{DECODER}", "--last-logits", "--quiet"],
        input=lines, capture_output=True, text=True, check=True)
    return torch.tensor([json.loads(line)["last_logits"] for line in done.stdout.splitlines()])


def load(path: Path, **options) -> transformers.PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, **options).eval()


def greedy(model, ids: list[int], **options) -> list[int]:
    prompt = torch.tensor([ids[:PROMPT]])
    out = model.generate(
        input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=NEW,
        min_new_tokens=NEW, do_sample=False, use_cache=True, pad_token_id=0, **options)
    return out[0].tolist()


def difference(model, ids: list[int], expected: torch.Tensor, **options) -> float:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), **options).logits[0, 1:]
    return (logits - expected).abs().max().item()


def same_tokens(model, ids: list[int], expected: torch.Tensor) -> int:
    """How many generated ids are those of the largest of our logits."""
    # Generation suppresses the end of text until NEW tokens are there.
    end = model.generation_config.eos_token_id
    ruled = expected.clone()
    if end is not None:
        ruled[:, end] = -torch.inf
    return sum(
        int(ruled[place - 2].argmax()) == ids[place] for place in range(PROMPT, PROMPT + NEW))


def compare(model, etd: str, base: Path, what: str) -> dict:
    """64 greedy tokens of theirs, and all logits along them, against ours."""
    torch.manual_seed(2)
    vocabulary = model.get_input_embeddings().weight.shape[0]
    ids = torch.randint(3, vocabulary, (PROMPT,)).tolist()
    with torch.no_grad():
        ids = greedy(model, ids)
    expected = ours(etd, base, ids, ITERATIONS)
    error = difference(model, ids, expected)
    check(error < BOUND, f"{what}: logits differ by {error}")
    equal = same_tokens(model, ids, expected)
    check(equal == NEW, f"{what}: {equal} of {NEW} greedy tokens are ours")
    return {"largest_logit_difference": error, "greedy_tokens_equal": equal, "ids": ids}


def gradients(model, ids: list[int], checkpointing: bool) -> dict[str, torch.Tensor]:
    """With checkpointing every executed layer has to run twice."""
    runs = []
    layers = next(m for m in model.modules() if isinstance(m, torch.nn.ModuleList))
    # Of a module within, since transformers 5 runs the forward again and not the call.
    within = [next(layer.children()) for layer in layers.children()]
    hooks = [m.register_forward_pre_hook(lambda *_: runs.append(1)) for m in within]
    model.train()
    model.zero_grad()
    if checkpointing:
        model.gradient_checkpointing_enable()
    tokens = torch.tensor([ids])
    model(input_ids=tokens, labels=tokens, use_cache=False).loss.backward()
    model.gradient_checkpointing_disable()
    model.eval()
    for hook in hooks:
        hook.remove()
    executed = LAYERS + (ITERATIONS - 1) * THINK
    check(len(runs) == executed * (1 + checkpointing), f"{len(runs)} runs of {executed} layers")
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm().clamp_min(1e-12)).item()


def summed(gradients: dict[str, torch.Tensor], steps: list[int]) -> dict[str, torch.Tensor]:
    """Gradients of an unrolled model, those of the copies of a layer added up under its name."""
    out: dict[str, torch.Tensor] = {}
    for name, gradient in gradients.items():
        parts = name.split(".")
        place = next((i for i, part in enumerate(parts) if part.isdigit()), None)
        if place is not None:
            parts[place] = str(steps[int(parts[place])])
        key = ".".join(parts)
        out[key] = out[key] + gradient if key in out else gradient
    return out


def looped_folder(etd: str, base: Path, path: Path, unrolled, ids: list[int]) -> dict:
    """What only hf-etd has."""
    model = load(path, trust_remote_code=True)
    result = compare(model, etd, base, f"{path}")
    steps = [*range(ENCODER), *list(range(ENCODER, ENCODER + THINK)) * ITERATIONS,
             *range(ENCODER + THINK, LAYERS)]
    for k in (1, 2):
        text = greedy(model, ids, iterations=k)
        expected = ours(etd, base, text, k)
        error = difference(model, text, expected, iterations=k)
        check(error < BOUND, f"{path}: logits at k = {k} differ by {error}")
        check(same_tokens(model, text, expected) == NEW, f"{path}: greedy tokens at k = {k}")
        result[f"largest_logit_difference_at_{k}"] = error
    check(model.iterations == ITERATIONS, f"{path}: a call's k stayed")
    with torch.no_grad():
        out = model(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=True)
    check(len(out.hidden_states) == len(steps) + 1, f"{path}: {len(out.hidden_states)} states")
    check(len(out.past_key_values.layers) == len(steps), f"{path}: slots of the cache")
    with torch.no_grad():
        theirs = unrolled(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
    worst = max(relative(a, b) for a, b in zip(out.hidden_states, theirs))
    check(worst < 1e-4, f"{path}: hidden states differ by {worst}")
    plain = gradients(model, ids, False)
    checkpointed = gradients(model, ids, True)
    copies = summed(gradients(unrolled, ids, False), steps)
    check(plain.keys() == checkpointed.keys() == copies.keys(), f"{path}: other gradients")
    result["checkpointed_gradients_relative_difference"] = max(
        relative(checkpointed[name], plain[name]) for name in plain)
    result["gradients_relative_difference_to_copies"] = max(
        relative(plain[name], copies[name]) for name in plain if copies[name].norm() > 1e-6)
    check(result["checkpointed_gradients_relative_difference"] < 1e-5, f"{path}: checkpointing")
    check(result["gradients_relative_difference_to_copies"] < 1e-3, f"{path}: gradients")
    saved = path.with_name(path.name + "-saved")
    model.save_pretrained(saved)
    error = difference(load(saved, trust_remote_code=True), ids, ours(etd, base, ids, ITERATIONS))
    check(error < BOUND, f"{saved}: logits differ by {error}")
    # What transformers has saved opens here as well, with the loop that it says.
    error = (ours(etd, saved, ids, 2) - ours(etd, base, ids, 2)).abs().max().item()
    check(error == 0, f"{saved}: etd's logits differ by {error}")
    return result


def adapter(etd: str, base: Path, out: Path, ids: list[int]) -> dict:
    done = export(etd, base, "peft", out)
    if done.returncode == 0:
        model = peft.PeftModel.from_pretrained(load(base), out).eval()
        return compare(model, etd, base, f"{out}")
    check(done.returncode == 1 and "PEFT" in done.stderr, f"peft: {done.stderr}")
    # What PEFT would have made of it.
    result = {"refused": done.stderr.strip().split("cannot express this: ")[-1]}
    bounds = [(0, ENCODER + THINK), *[(ENCODER, ENCODER + THINK)] * (ITERATIONS - 2),
              (ENCODER, LAYERS)]
    try:
        config = peft.LoraConfig(
            task_type="CAUSAL_LM", r=1, target_modules="all-linear",
            layer_replication=[list(pair) for pair in bounds])
        model = peft.get_peft_model(load(base), config).eval()
        error = difference(model, ids, ours(etd, base, ids, ITERATIONS))
        check(error > BOUND, f"{base}: PEFT's logits are right, and etd export refuses")
        result["peft_itself"] = f"logits differ by {error:.3g}"
    except (AttributeError, IndexError, ValueError) as error:
        result["peft_itself"] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--etd", default=str(ROOT / ".build/release/etd"))
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument(
        "--out", type=Path,
        help="results; families that are there already, by the same versions, stay")
    options = parser.parse_args()
    etd = options.etd
    results = {
        "plan": f"{ENCODER}-{THINK}*{ITERATIONS}-{DECODER}", "layers": LAYERS,
        "greedy_tokens": NEW, "bound": BOUND,
        "made_with": {
            "torch": torch.__version__, "transformers": transformers.__version__,
            "peft": peft.__version__ if peft else None,
        },
        "families": {},
    }
    if options.out and options.out.is_file():
        earlier = json.loads(options.out.read_text())
        if {**earlier, "families": {}} == results:
            results = earlier
    for family in options.families.split(","):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            base = folder / "base"
            make_model(FAMILIES[family], base)
            for form in ("hf-unrolled", "hf-etd"):
                done = export(etd, base, form, folder / f"{family}-{form}")
                check(done.returncode == 0, f"{family}: {form}: {done.stderr}")
            unrolled = load(folder / f"{family}-hf-unrolled")
            row = {"hf-unrolled": compare(unrolled, etd, base, f"{family}: hf-unrolled")}
            ids = row["hf-unrolled"]["ids"]
            shift = (ours(etd, base, ids, 1) - ours(etd, base, ids, ITERATIONS)).abs().max().item()
            check(shift > 1e-2, f"{family}: the loop leaves the logits as they are")
            row["loop_changes_logits_by"] = shift
            row["hf-etd"] = looped_folder(
                etd, base, folder / f"{family}-hf-etd", unrolled, ids)
            if peft is not None:
                row["peft"] = adapter(etd, base, folder / f"{family}-peft", ids)
            for part in row.values():
                if isinstance(part, dict):
                    part.pop("ids", None)
            print(family, json.dumps(row), flush=True)
            results["families"][family] = row
            if options.out:
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
