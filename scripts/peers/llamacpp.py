"""Runs `etd export --format gguf-unrolled` in llama.cpp and compares its greedy tokens with ours.

    llamacpp.py [--etd .build/release/etd] [--models smollm2-135m-instruct,gemma-3-270m] [--out F]

Needs llama-cpp-python (built natively from PyPI) and the models of scripts/fetch-model. 64 tokens of
`etd generate` on the looped plan of the base GGUF, in f32, against llama.cpp on the unrolled file;
llama.cpp rounds activations to 8 bits (Q8_0, Q8_K) before each product, so it may choose otherwise
where two tokens are about as likely. Where the first difference lies, the two tokens' log-probabilities
have to be closer, by ours, than twice llama.cpp's largest error in the log-probabilities before it.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import llama_cpp
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "etd" / "models"
# Gemma-3's sliding layers come in periods of six, which its think block has to keep.
SPLITS = {"smollm2-135m-instruct": "9-9*2-12", "gemma-3-270m": "6-6*2-6"}
PROMPTS = [
    "The capital of France is",
    "Once upon a time there was a small village at the foot of a mountain, and in it",
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
]
NEW = 64


def check(holds, what):
    if not holds:
        raise SystemExit(f"llamacpp.py: {what}")


def theirs(model, prompt):
    """llama.cpp's greedy tokens, and its log-probabilities [NEW, V]."""
    model.reset()
    tokens, rows = list(prompt), []
    model.eval(tokens)
    for _ in range(NEW):
        # One row: that of the last token evaluated.
        logits = np.ctypeslib.as_array(
            llama_cpp.llama_get_logits_ith(model.ctx, -1), (model.n_vocab(),)).astype(np.float64)
        top = logits.max()
        rows.append(logits - top - np.log(np.exp(logits - top).sum()))
        tokens.append(int(logits.argmax()))
        model.eval(tokens[-1:])
    return tokens[len(prompt):], np.array(rows)


def ours(etd, model, prompts, split):
    """Greedy tokens of the looped plan with the log-probabilities of the eight best at each place."""
    lines = "".join(
        json.dumps({"tokens": prompt, "split": split, "max_tokens": NEW}) + "\n" for prompt in prompts)
    done = subprocess.run(
        [etd, "generate", "--model", model, "--precision", "f32", "--input", "-", "--output", "-",
         "--temperature", "0", "--ignore-eos", "--logprobs", "8", "--quiet"],
        input=lines, capture_output=True, text=True)
    check(done.returncode == 0, done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def best(entry):
    """[(token, log-probability)] of the eight best, the largest first."""
    pairs = [(item["token"], item["logprob"]) for item in entry["top"]]
    return sorted(pairs, key=lambda pair: -pair[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--etd", default=str(ROOT / ".build/release/etd"))
    parser.add_argument("--models", default=",".join(SPLITS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = {
        "greedy_tokens": NEW, "made_with": {"llama-cpp-python": llama_cpp.__version__}, "models": {}}
    for name in options.models.split(","):
        base, split = CACHE / f"{name}.gguf", SPLITS[name]
        check(base.is_file(), f"{base}: not there; run scripts/fetch-model {name}")
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / "unrolled.gguf"
            done = subprocess.run(
                [options.etd, "export", "--model", base, "--split", split, "--format",
                 "gguf-unrolled", "--out", file, "--quiet"], capture_output=True, text=True)
            check(done.returncode == 0, done.stderr)
            model = llama_cpp.Llama(
                str(file), n_ctx=256, n_batch=256, n_threads=1, verbose=False, seed=0)
            layers = int(next(
                value for key, value in model.metadata.items() if key.endswith(".block_count")))
            prompts = [model.tokenize(text.encode(), add_bos=True) for text in PROMPTS]
            rows = []
            for text, prompt, mine in zip(
                    PROMPTS, prompts, ours(options.etd, base, prompts, split)):
                found, chances = theirs(model, prompt)
                tokens = mine["tokens"]
                check(len(tokens) == NEW, f"{name}: {len(tokens)} tokens")
                same = next((i for i in range(NEW) if found[i] != tokens[i]), NEW)
                errors = [
                    float(abs(chances[place][token] - value))
                    for place in range(same) for token, value in best(mine["logprobs"][place])[:2]]
                row = {
                    "prompt": text, "equal_tokens": same,
                    "largest_logprob_difference": float(max(errors)) if errors else None}
                if same < NEW:
                    chosen = best(mine["logprobs"][same])
                    high = chosen[0][1]
                    low = dict(chosen).get(found[same])
                    check(low is not None, f"{name}: {row}: {found[same]} is not among our eight")
                    # Of the places before: at the place itself it is at least half the margin, always.
                    error = max(errors, default=0)
                    row["first_difference"] = {
                        "place": same, "ours": tokens[same], "theirs": found[same],
                        "our_margin": high - low, "their_largest_error": float(error)}
                    check(high - low < 2 * error, f"{name}: {row}: no matter of rounding")
                rows.append(row)
                print(name, json.dumps(row), flush=True)
            results["models"][name] = {"split": split, "layers": layers, "prompts": rows}
    if options.out:
        options.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
