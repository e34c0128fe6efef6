"""Goldens for the decoder families: tiny random checkpoints and what transformers computes on them.

Writes Tests/Goldens/models/<name>/:
  config.json, *.safetensors       the checkpoint
  config.v4.json, config.v5.json   its configuration as transformers 4 and as transformers 5 spell it
  model.gguf                       for some: the same weights as llama.cpp's converter stores them
  expected.json                    token ids, layer plans, the checkpoint's point
  expected.safetensors             what transformers computes in f32 on the reloaded checkpoint
Pinned versions: requirements.txt. Random weights come from fixed seeds; checks in this script make
sure that each checkpoint's feature (scaling, window, bias, ...) is visible in its logits.

With T tokens, d the hidden size, V the vocabulary, L layers, expected.safetensors holds
  tokens.{0,1} [T] i64; logits.{0,1} [T, V]; states.{0,1} [L+1, T, d] (raw h_0..h_L);
  looped.logits.{0,1} [T, V]; plan.logits.0 [T, V]; for some attn_out.1, mlp_out.1 [L, T, d].
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
from safetensors.torch import load_file, save_file

from gguf_layout import architecture_of, read_weights
from tiny_checkpoints import CHECKPOINTS, VOCABULARY
from tiny_gguf import write_gguf

OUT = Path(__file__).resolve().parents[2] / "Tests/Goldens/models"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SEQUENCE_LENGTHS = (5, 23)


def make_model(spec):
    """The model with random weights: sharp attention, logits that spread over several nats."""
    config = transformers.AutoConfig.for_model(**spec.v5())
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    generator = torch.Generator().manual_seed(sum(map(ord, spec.name)))
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith(("q_norm.weight", "k_norm.weight")):
            values = (0.4 if spec.gemma else 1.4) + 0.3 * noise
        elif name.endswith(("norm.weight", "ln_1.weight", "ln_2.weight", "ln_f.weight")):
            values = (0.0 if spec.gemma else 1.0) + 0.3 * noise
        elif name.endswith(".bias"):
            values = 0.4 * noise
        elif "embed" in name or "lm_head" in name or "wte" in name or "wpe" in name:
            values = 0.4 * noise
        else:
            fused = ("query_key_value", "c_attn", "qkv_proj")
            sharp = (".q_proj", ".k_proj") + fused
            gain = 1.45 if any(part in name for part in sharp) else 1.0
            fan_in = parameter.shape[0 if spec.family == "gpt2" else 1]
            values = gain * noise / fan_in**0.5
        parameter.data.copy_(values)
    return model


def parts(model):
    """The embedding, layers and final norm, and in a layer what is added to the residual stream."""
    kind = model.config.model_type
    body = model.base_model
    if kind == "gpt2":
        return body.wte, body.h, body.ln_f, "attn", "mlp"
    if kind == "gpt_neox":
        return body.embed_in, body.layers, body.final_layer_norm, "attention", "mlp"
    if hasattr(body.layers[0], "post_feedforward_layernorm"):
        added = ("post_attention_layernorm", "post_feedforward_layernorm")
    else:
        added = ("self_attn", "mlp")
    return body.embed_tokens, body.layers, body.norm, *added


def load(folder):
    """The checkpoint in f32, every tensor widened after reading; buffers are computed in f32."""
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()


def capture(model, ids):
    """Raw states [L+1, T, d], attention and MLP contributions [L, T, d], logits [T, V]."""
    _, layers, _, attention_name, mlp_name = parts(model)
    states, attention, mlp, hooks = [], [], [], []

    def keep(store):
        return lambda module, args, out: store.append(out[0] if isinstance(out, tuple) else out)

    hooks.append(
        layers[0].register_forward_pre_hook(
            lambda module, args, kwargs: states.append(args[0]), with_kwargs=True
        )
    )
    for layer in layers:
        hooks.append(layer.register_forward_hook(keep(states)))
        hooks.append(getattr(layer, attention_name).register_forward_hook(keep(attention)))
        hooks.append(getattr(layer, mlp_name).register_forward_hook(keep(mlp)))
    with torch.no_grad():
        logits = model(ids[None], use_cache=False).logits[0]
    for hook in hooks:
        hook.remove()
    states, attention, mlp = (torch.stack(x)[:, 0] for x in (states, attention, mlp))
    rebuilt = states[0] + attention.sum(0) + mlp.sum(0)
    assert (rebuilt - states[-1]).norm() < 1e-5 * states[-1].norm()
    return states, attention, mlp, logits


def run_plan(model, ids, plan):
    """Logits [T, V] of the layer list `plan` in the order given; masks and loop written out here."""
    body = model.base_model
    config = model.config
    embedding, layers, norm, *_ = parts(model)
    positions = torch.arange(len(ids))
    distance = positions[:, None] - positions[None, :]
    window = getattr(config, "sliding_window", None)
    types = getattr(config, "layer_types", None) or (
        ["sliding_attention" if window else "full_attention"] * len(layers)
    )
    with torch.no_grad():
        hidden = embedding(ids[None])
        if config.model_type == "gpt2":
            hidden = hidden + body.wpe(positions[None])
        for index in plan:
            kind = types[index]
            visible = distance >= 0
            if kind == "sliding_attention":
                visible = visible & (distance < window)
            mask = torch.where(visible, 0.0, torch.finfo(torch.float32).min)[None, None]
            given = {"attention_mask": mask, "position_ids": positions[None]}
            if config.model_type in ("gemma3_text", "olmo3"):
                given["position_embeddings"] = body.rotary_emb(hidden, positions[None], kind)
            elif config.model_type != "gpt2":
                given["position_embeddings"] = body.rotary_emb(hidden, positions[None])
            out = layers[index](hidden, **given)
            hidden = out[0] if isinstance(out, tuple) else out
        return model.lm_head(norm(hidden))[0]


def logits_with(spec, model, change):
    """Logits of the longer sequence under a changed configuration and the same weights."""
    settings = copy.deepcopy(spec.v5())
    change(settings)
    config = transformers.AutoConfig.for_model(**settings)
    config._attn_implementation = "eager"
    other = transformers.AutoModelForCausalLM.from_config(config).eval()
    # Without bias tensors is one of the changes, hence not strict.
    other.load_state_dict(model.state_dict(), strict=False)
    with torch.no_grad():
        return other(token_ids(spec)[1][None], use_cache=False).logits[0]


def token_ids(spec):
    generator = torch.Generator().manual_seed(7 + len(spec.name))
    return [torch.randint(0, VOCABULARY, (n,), generator=generator) for n in SEQUENCE_LENGTHS]


def check_that_features_show(spec, model, logits):
    """Fails when a wrong implementation could pass: uniform attention, flat logits, idle features."""
    assert logits.std() > 1.5, f"{spec.name}: logits are flat ({logits.std():.2f})"
    with torch.no_grad():
        weights = model(token_ids(spec)[1][None], use_cache=False, output_attentions=True).attentions
    last = torch.stack([w[0, :, -1] for w in weights])
    visible = (last > 0).sum(-1).clamp(min=2)
    share = (torch.special.entr(last).sum(-1) / visible.log()).mean()
    assert share < 0.85, f"{spec.name}: attention is near uniform ({share:.2f} of the maximum)"
    for name, (change, least) in spec.features().items():
        difference = (logits_with(spec, model, change) - logits).abs().max()
        assert difference > least, f"{spec.name}: {name} does not show ({difference:.4f})"
    wide = copy.deepcopy(model).double()
    noise = max(
        (run_plan(wide, token_ids(spec)[1], plan) - run_plan(model, token_ids(spec)[1], plan))
        .abs().max().item()
        for plan in (range(spec.layers), spec.looped_plan(), spec.free_plan())
    )
    assert noise < 4e-5, f"{spec.name}: f32 noise {noise:.1e} leaves no room for a 1e-4 tolerance"
    return noise


def check_spelling(spec, folder, settings, logits):
    """A hand-written configuration must give the same logits, bit for bit, where transformers
    reads it."""
    with tempfile.TemporaryDirectory() as other:
        for file in folder.glob("*.safetensors*"):
            shutil.copy(file, other)
        (Path(other) / "config.json").write_text(json.dumps(settings))
        with torch.no_grad():
            again = load(other)(token_ids(spec)[1][None], use_cache=False).logits[0]
    assert torch.equal(again, logits), f"{spec.name}: spelling {settings} changes the logits"


def check_gguf(spec, path, model):
    """What the file holds must be the checkpoint's weights again."""
    wanted = {k: v for k, v in model.state_dict().items() if k != "lm_head.weight" or not spec.tied}
    read = read_weights(
        path, architecture_of(spec.family), wanted, spec.layers, spec.heads, spec.kv_heads,
        extra={"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"},
    )
    for name, tensor in wanted.items():
        # 1 + w rounds Gemma's norm weights.
        assert (read[name] - tensor).abs().max() <= 1e-7, f"{path}: {name} came back changed"


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_checkpoint(spec):
    folder = OUT / spec.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = make_model(spec).to(DTYPES[spec.dtype])
    made.save_pretrained(folder, **({"max_shard_size": spec.shard_size} if spec.shard_size else {}))
    (folder / "generation_config.json").unlink(missing_ok=True)
    if spec.shard_size:
        assert len(list(folder.glob("*.safetensors"))) == 3

    model = load(folder)
    tensors = {}
    for index, ids in enumerate(token_ids(spec)):
        states, attention, mlp, logits = capture(model, ids)
        identity = run_plan(model, ids, range(len(states) - 1))
        assert (identity - logits).abs().max() < 1e-5, f"{spec.name}: the written-out loop differs"
        tensors[f"tokens.{index}"] = ids
        tensors[f"logits.{index}"] = logits
        tensors[f"states.{index}"] = states
        tensors[f"looped.logits.{index}"] = run_plan(model, ids, spec.looped_plan())
    if spec.contributions:
        tensors["attn_out.1"], tensors["mlp_out.1"] = attention, mlp
    tensors["plan.logits.0"] = run_plan(model, token_ids(spec)[0], spec.free_plan())
    noise = check_that_features_show(spec, model, logits)
    check_spelling(spec, folder, spec.v4(), logits)
    check_spelling(spec, folder, spec.v5(), logits)

    if spec.gguf:
        write_gguf(spec, model, folder / "model.gguf")
        check_gguf(spec, folder / "model.gguf", model)
    rewrite_tensors(spec, folder)
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "expected.safetensors")
    write_json(folder / "config.v4.json", spec.wrapped(spec.v4(), "v4"))
    write_json(folder / "config.v5.json", spec.wrapped(spec.v5(), "v5"))
    if spec.prefix:
        shutil.copy(folder / f"config.{spec.wrapping}.json", folder / "config.json")
    write_json(
        folder / "expected.json",
        {
            "shows": spec.shows,
            "tokens": [ids.tolist() for ids in token_ids(spec)],
            "looped": {"notation": spec.loop_notation(), "plan": spec.looped_plan()},
            "plan": spec.free_plan(),
            "layers": spec.layers,
            "hidden_size": spec.hidden,
            "vocab_size": VOCABULARY,
            "stored_dtype": spec.dtype,
            "gguf": spec.gguf,
            "made_with": {"torch": torch.__version__, "transformers": transformers.__version__},
        },
    )
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{spec.name:22} {size / 1024:6.0f} KiB  f32 noise {noise:.1e}  std {logits.std():.2f}")
    return size


def rewrite_tensors(spec, folder):
    """Other tensor names (a wrapper's prefix, none at all) and tensors that are no parameters."""
    file = folder / "model.safetensors"
    if spec.prefix is None and not spec.extras:
        return
    tensors = load_file(file)
    if spec.prefix is not None:
        base = spec.base_prefix
        tensors = {
            (spec.prefix + k.removeprefix(base) if k.startswith(base) else k): v
            for k, v in tensors.items()
        }
    if spec.extras:
        tensors |= buffers(spec, tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def buffers(spec, tensors):
    """What older checkpoints of the family hold beside their parameters."""
    prefix = spec.base_prefix if spec.prefix is None else spec.prefix
    mask = torch.ones(1, 1, 4, 4).tril()
    found = {}
    for layer in range(spec.layers):
        if spec.family == "gpt2":
            found[f"{prefix}h.{layer}.attn.bias"] = mask.clone()
            found[f"{prefix}h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
            continue
        attention = "attention" if spec.family == "gpt_neox" else "self_attn"
        name = f"{prefix}layers.{layer}.{attention}"
        found[f"{name}.rotary_emb.inv_freq"] = torch.ones(spec.size // 2)
        if spec.family == "gpt_neox":
            found[f"{name}.bias"] = mask.bool()
            found[f"{name}.masked_bias"] = torch.tensor(-1e9)
    if spec.family == "llama":
        found["lm_head.weight"] = tensors[f"{prefix}embed_tokens.weight"].clone()
    return found


def main():
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    names = set(sys.argv[1:])
    total = sum(write_checkpoint(s) for s in CHECKPOINTS if not names or s.name in names)
    print(f"{total / 1024:.0f} KiB in all")


if __name__ == "__main__":
    main()
