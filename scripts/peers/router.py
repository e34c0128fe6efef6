"""Runs `hf-etd` folders with a router and compares them with a plain loop over tokens' own keys.

    router.py [--etd .build/release/etd] [--out RESULTS.json]

A random Llama of 16 layers with a random router, 7-4-5, at most 5 passes, f32. `etd export` has to keep
the router; each policy's logits, passes and 24 greedy tokens of `generate` (with its cache) have to be
those of the loop below, which keeps no cache and knows nothing of `modeling_etd.py`.
"""

import argparse
import json
import math
import subprocess
import tempfile
from pathlib import Path

import torch
import transformers
from export import DECODER, ENCODER, ROOT, THINK, check, load, make_model
from safetensors.torch import load_file, save_file

MOST, EPSILON, PROMPT, NEW, BOUND = 5, 0.01, 24, 24, 1e-4
POLICIES = ("recompute", "last", "skip")


def turned(x, cos, sin):
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin


def block(layer, state, cos, sin, config, replace):
    """A Llama layer. `replace(k, v)` gives the keys, values and who may be attended to."""
    attention, length = layer.self_attn, state.shape[0]
    x = layer.input_layernorm(state)
    heads = lambda y: y.view(length, -1, config.head_dim).transpose(0, 1)  # noqa: E731
    q, k, v = (heads(p(x)) for p in (attention.q_proj, attention.k_proj, attention.v_proj))
    k, v, allowed = replace(turned(k, cos, sin), v)
    groups = q.shape[0] // k.shape[0]
    k, v = k.repeat_interleave(groups, 0), v.repeat_interleave(groups, 0)
    scores = turned(q, cos, sin) @ k.transpose(1, 2) / math.sqrt(config.head_dim)
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    seen = causal & (allowed[None] | torch.eye(length, dtype=torch.bool))
    mixed = scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v
    state = state + attention.o_proj(mixed.transpose(0, 1).reshape(length, -1))
    return state + layer.mlp(layer.post_attention_layernorm(state))


def reference(model, weight, bias, ids, policy, most):
    """Logits [T, V] of a text and the passes of each token."""
    inner, config, length = model.model, model.config, len(ids)
    state = inner.embed_tokens(torch.tensor(ids))
    cos, sin = (x[0] for x in inner.rotary_emb(state[None], torch.arange(length)[None]))
    everyone = torch.ones(length, dtype=torch.bool)

    def plain(k, v):
        return k, v, everyone

    for layer in inner.layers[:ENCODER]:
        state = block(layer, state, cos, sin, config, plain)
    sums, halted = torch.zeros(length), torch.zeros(length, dtype=torch.bool)
    passes = torch.zeros(length, dtype=torch.long)
    last = {}
    for _ in range(most):
        before, stopped = state, halted.clone()
        for index in range(ENCODER, ENCODER + THINK):
            def replace(k, v, index=index):
                if policy == "last" and index in last:
                    for token in stopped.nonzero()[:, 0].tolist():
                        k[:, token], v[:, token] = last[index][0][:, token], last[index][1][:, token]
                last[index] = (k, v)
                return k, v, ~stopped if policy == "skip" else everyone

            state = block(inner.layers[index], state, cos, sin, config, replace)
        for token in range(length):
            if stopped[token]:
                state[token] = before[token]
                continue
            passes[token] += 1
            sums[token] += torch.sigmoid(weight[0] @ state[token] + bias[0])
            halted[token] = sums[token] >= 1 - EPSILON
    for layer in inner.layers[ENCODER + THINK:]:
        state = block(layer, state, cos, sin, config, plain)
    return model.lm_head(inner.norm(state)), passes.tolist()


def random_router(model):
    """Halting probabilities that differ between tokens: scaled by what the states are."""
    config = model.config
    weight = torch.randn(1, config.hidden_size)
    with torch.no_grad():
        text = torch.randint(3, config.vocab_size, (1, 64))
        states = model(input_ids=text, output_hidden_states=True).hidden_states[ENCODER + THINK][0]
    deviation, mean = torch.std_mean(states @ weight[0])
    weight = 1.5 * weight / deviation
    return weight, (-0.7 - 1.5 * mean / deviation).reshape(1)


def export(etd, base, out, form="hf-etd"):
    return subprocess.run(
        [etd, "export", "--model", base, "--split", f"{ENCODER}-{THINK}*{MOST}-{DECODER}",
         "--format", form, "--out", out, "--quiet"], capture_output=True, text=True)


def compare(plain, folder, weight, bias, policy):
    model = load(folder, trust_remote_code=True)
    torch.manual_seed(4)
    prompt = torch.randint(3, model.config.vocab_size, (1, PROMPT))
    with torch.no_grad():
        # A token that ends the text would stop it.
        text = model.generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=NEW,
            min_new_tokens=NEW, do_sample=False, pad_token_id=0, use_cache=True)[0].tolist()
        logits, passes = reference(plain, weight, bias, text, policy, MOST)
        result = {}
        for cached in (True, False):
            found = model(input_ids=torch.tensor([text]), use_cache=cached).logits[0]
            error = (found - logits).abs().max().item()
            check(error < BOUND, f"{policy}, use_cache {cached}: logits differ by {error}")
            check(model.passes[0].tolist() == passes, f"{policy}: {model.passes} passes, not {passes}")
            result[f"logits_differ_by_{'cached' if cached else 'plain'}"] = error
        ruled = logits.clone()
        ends = model.generation_config.eos_token_id
        if ends is not None:
            ruled[:, ends] = -torch.inf
        equal = sum(
            int(ruled[place - 1].argmax()) == text[place] for place in range(PROMPT, PROMPT + NEW))
        check(equal == NEW, f"{policy}: {equal} of {NEW} greedy tokens")
        check(len(set(passes)) > 2, f"{policy}: all tokens run alike: {passes}")
        full, _ = reference(plain, weight, bias - 100, text, policy, MOST)
        result["router_changes_logits_by"] = (full - logits).abs().max().item()
        check(result["router_changes_logits_by"] > 1e-2, f"{policy}: the router changes nothing")
    return {**result, "greedy_tokens_equal": equal, "passes": passes}, logits[:PROMPT]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--etd", default=str(ROOT / ".build/release/etd"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = {
        "plan": f"{ENCODER}-{THINK}*{MOST}-{DECODER}", "epsilon": EPSILON, "bound": BOUND,
        "made_with": {"torch": torch.__version__, "transformers": transformers.__version__},
        "policies": {},
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        base = folder / "base"
        plain = make_model("llama-gqa", base)
        weight, bias = random_router(plain)
        file = base / "model.safetensors"
        pair = {"etd.router.weight": weight, "etd.router.bias": bias}
        save_file({**load_file(file), **pair}, file, {"format": "pt"})
        config = json.loads((base / "config.json").read_text())
        seen = []
        for policy in POLICIES:
            config["etd"] = {"kv_policy": policy, "router": {"epsilon": EPSILON}}
            (base / "config.json").write_text(json.dumps(config))
            out = folder / policy
            done = export(options.etd, base, out)
            check(done.returncode == 0, f"{policy}: {done.stderr}")
            kept = load_file(out / "model.safetensors")
            check(all(torch.equal(kept[name], pair[name]) for name in pair), f"{out}: the router")
            results["policies"][policy], logits = compare(plain, out, weight, bias, policy)
            print(policy, json.dumps(results["policies"][policy]), flush=True)
            seen.append(logits)
        check((seen[0] - seen[1]).abs().max() > BOUND and (seen[0] - seen[2]).abs().max() > BOUND,
              "the policies are alike here, so nothing was told apart")
        done = export(options.etd, base, folder / "unrolled", "hf-unrolled")
        check(done.returncode == 0, f"hf-unrolled: {done.stderr}")
        names = load_file(folder / "unrolled" / "model.safetensors")
        check(not any(name.startswith("etd.") for name in names), "hf-unrolled keeps the router")
        config["etd"]["kv_policy"] = "shared"
        (base / "config.json").write_text(json.dumps(config))
        done = export(options.etd, base, folder / "shared")
        check(done.returncode == 1 and "kv_policy" in done.stderr, f"shared: {done.stderr}")
    if options.out:
        options.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
