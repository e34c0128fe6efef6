"""Trains `hf-etd` folders by other software and compares the losses with a plain PyTorch loop.

    training.py [--etd .build/release/etd] [--parts trainer,fsdp,refused] [--out RESULTS.json]

A random OLMo-2 of 16 layers, 7-4*3-5, f32. The plain loop knows nothing of `modeling_etd.py`: it runs
the base model's own layers in the plan's order, in one process.
  fsdp       scripts/handoff/train_fsdp.py, two gloo processes, 20 steps (1e-3); activation
             checkpointing; the same killed by SIGKILL and resumed; resumed by one process; the last
             checkpoint as a folder, its logits against the plain loop's weights, and opened by `etd`
  trainer    ten steps of transformers' Trainer on the folder (1e-3); left out without accelerate
Fails at the first difference beyond the bound.
"""

import argparse
import inspect
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from export import DECODER, ENCODER, ITERATIONS, LAYERS, ROOT, THINK, check, export, load, make_model
from transformers import AutoModelForCausalLM
from transformers.masking_utils import create_causal_mask

SCRIPT = ROOT / "scripts" / "handoff" / "train_fsdp.py"
LENGTH, BATCH, STEPS, TRAINER_STEPS, BOUND = 24, 8, 20, 10, 1e-3
RATE, DECAY, Z_LOSS = 2e-3, 0.1, 1e-3
STEPS_OF_LAYERS = [
    *range(ENCODER), *list(range(ENCODER, ENCODER + THINK)) * ITERATIONS,
    *range(ENCODER + THINK, LAYERS)]


def looped_logits(model, tokens):
    """Logits of the base model's layers in the plan's order."""
    inner = model.model
    hidden = inner.embed_tokens(tokens)
    places = torch.arange(tokens.shape[1])[None]
    names = inspect.signature(create_causal_mask).parameters
    cache = {"cache": None} if "cache" in names else {"past_key_values": None}
    mask = create_causal_mask(
        config=model.config, **states_of(hidden), **cache, attention_mask=None,
        position_ids=places)
    rotary = inner.rotary_emb(hidden, places)
    for layer in STEPS_OF_LAYERS:
        out = inner.layers[layer](
            hidden, attention_mask=mask, position_ids=places, position_embeddings=rotary)
        hidden = out[0] if isinstance(out, tuple) else out
    return model.lm_head(inner.norm(hidden))


def states_of(hidden):
    """The states under the name that transformers 4.57 or 5 has for them, and 4.57's places."""
    names = inspect.signature(create_causal_mask).parameters
    states = "inputs_embeds" if "inputs_embeds" in names else "input_embeds"
    out = {states: hidden}
    if "cache_position" in names and names["cache_position"].default is inspect.Parameter.empty:
        out["cache_position"] = torch.arange(hidden.shape[1])
    return out


def plain_loop(base, tokens, steps, z_weight, all_decay):
    """The recipe in one process. Losses of each step, and the model that it leaves."""
    model = load(base).train()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    embedding = model.model.embed_tokens.weight
    rest = [p for p in model.parameters() if p is not embedding]
    groups = [{"params": rest, "weight_decay": DECAY},
              {"params": [embedding], "weight_decay": DECAY if all_decay else 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.95), eps=1e-8)
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / steps)
        rows = torch.from_numpy(
            tokens[step * BATCH * LENGTH:(step + 1) * BATCH * LENGTH].astype(np.int64)
        ).view(BATCH, LENGTH)
        logits = looped_logits(model, rows)[:, :-1]
        entropy = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), rows[:, 1:].reshape(-1))
        loss = entropy + z_weight * torch.logsumexp(logits, -1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses, model.eval()


def recipe(folder, model, data, out, **changes):
    values = {
        "model": str(model), "split": f"{ENCODER}-{THINK}-{DECODER}", "iterations": ITERATIONS,
        "data": [{"path": str(data), "weight": 1}], "sequence_length": LENGTH, "batch_size": BATCH,
        "micro_batch_size": 2, "steps": STEPS,
        "optimizer": {"name": "adamw", "lr": RATE, "betas": [0.9, 0.95], "eps": 1e-8,
                      "weight_decay": DECAY, "decay_norms": True, "decay_embeddings": False},
        "schedule": {"name": "linear", "warmup_steps": 0, "final_lr": 0}, "clip_norm": 1.0,
        "z_loss": Z_LOSS, "precision": "f32", "out": str(out), "checkpoint_every": 6,
        "keep": "activations", **changes}
    path = folder / f"{out.name}.yaml"
    # JSON is YAML but for numbers such as 1e-08, which YAML 1.1 takes for text.
    path.write_text(json.dumps(values).replace("1e-08", "1.0e-8"))
    return path


def torchrun(config, processes, *more, wait=True):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        f"--nproc-per-node={processes}", str(SCRIPT), "--config", str(config), *more]
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""})
    if not wait:
        return started
    output, _ = started.communicate()
    check(started.returncode == 0, f"torchrun {config}:\n{output[-3000:]}")
    return output


def metrics(out):
    path = out / "metrics.jsonl"
    if not path.is_file():
        return []
    return [json.loads(line)["loss"] for line in path.read_text().splitlines() if line.endswith("}")]


def worst(found, expected, what):
    check(len(found) == len(expected), f"{what}: {len(found)} losses of {len(expected)}")
    largest = max(abs(a - b) for a, b in zip(found, expected))
    check(largest < BOUND, f"{what}: losses differ by {largest}")
    return largest


def killed(config, out, processes):
    """Runs until some steps after the first checkpoint, then kills every process of the run."""
    started = torchrun(config, processes, wait=False)
    while len(metrics(out)) < 8:
        if started.poll() is not None:
            check(False, f"{config}: ended by itself:\n{started.stdout.read()[-3000:]}")
        time.sleep(0.02)
    # torchrun's workers are sessions of their own and would outlive it.
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(started.pid)], capture_output=True, text=True)
    children = listed.stdout.split()
    check(len(children) == processes, f"{out}: workers {children} of {processes} processes")
    for process in (started.pid, *map(int, children)):
        os.kill(process, signal.SIGKILL)
    started.communicate()
    written = len(metrics(out))
    check(written < STEPS, f"{out}: the run was over before it was killed")
    check((out / "dcp-6").is_dir(), f"{out}: no checkpoint before the kill")
    return written


def fsdp(etd, folder, base, looped, data, tokens):
    expected, trained = plain_loop(base, tokens, STEPS, Z_LOSS, all_decay=False)
    check(expected[0] - expected[-1] > 0.1, f"the plain loop learns nothing: {expected}")
    result = {"plain_losses": expected}
    torchrun(recipe(folder, looped, data, folder / "whole"), 2)
    result["losses_differ_by"] = worst(metrics(folder / "whole"), expected, "two processes")
    torchrun(recipe(folder, looped, data, folder / "again", keep="inputs"), 2)
    result["checkpointed_losses_differ_by"] = worst(
        metrics(folder / "again"), expected, "activation checkpointing")
    for processes in (2, 1):
        out = folder / f"killed-{processes}"
        config = recipe(folder, looped, data, out)
        result[f"killed_after_step_resumed_by_{processes}"] = killed(config, out, 2)
        torchrun(config, processes)
        result[f"resumed_by_{processes}_losses_differ_by"] = worst(
            metrics(out), expected, f"killed and resumed by {processes}")
    written = folder / "written"
    done = subprocess.run(
        [sys.executable, SCRIPT, "--config", folder / "killed-2.yaml", "--to-hf", written],
        capture_output=True, text=True)
    check(done.returncode == 0, f"--to-hf: {done.stderr}")
    ids = torch.from_numpy(tokens[:LENGTH].astype(np.int64))[None]
    with torch.no_grad():
        theirs = load(written, trust_remote_code=True)(input_ids=ids, use_cache=False).logits
        plain = looped_logits(trained, ids)
    result["written_folder_logits_differ_by"] = (theirs - plain).abs().max().item()
    check(result["written_folder_logits_differ_by"] < BOUND, f"{written}: other weights")
    line = json.dumps({"tokens": ids[0].tolist()}) + "\n"
    ours = subprocess.run(
        [etd, "score", "--model", written, "--precision", "f32", "--input", "-", "--output", "-",
         "--split", f"{ENCODER}-{THINK}*{ITERATIONS}-{DECODER}", "--last-logits", "--quiet"],
        input=line, capture_output=True, text=True)
    check(ours.returncode == 0, f"etd score: {ours.stderr}")
    last = torch.tensor(json.loads(ours.stdout)["last_logits"])
    result["etd_logits_differ_by"] = (last - theirs[0, -1]).abs().max().item()
    check(result["etd_logits_differ_by"] < 1e-4, f"etd on {written}: {result}")
    return result


def bad_input(folder, looped, data):
    """What has to be refused, with a part of the line that says so."""
    cases = {
        "split": ({"split": "6-5-5"}, 1, "export it with this split"),
        "key": ({"batchsize": 3}, 1, "did you mean batch_size?"),
        "elsewhere": ({"trains": "lora"}, 1, "run by etd train only"),
        "batch": ({"batch_size": 3}, 2, "not a multiple of"),
        "data": ({"data": [{"path": "no.u16"}]}, 1, "no.u16"),
        "model": ({"model": str(folder)}, 1, "not an hf-etd folder"),
        "optimizer": ({"optimizer": {"name": "muon", "lr": 0.1}}, 1, "only adamw"),
    }
    for name, (changes, processes, said) in cases.items():
        out = folder / f"bad-{name}"
        started = torchrun(recipe(folder, looped, data, out, **changes), processes, wait=False)
        output, _ = started.communicate()
        check(started.returncode != 0 and said in output, f"bad input, {name}: {output[-1500:]}")
        check(not out.exists(), f"bad input, {name}: {out} was made")
    return sorted(cases)


def trainer(folder, base, looped, tokens):
    """Ten steps with transformers' own loop, optimiser, clipping and schedule."""
    expected, _ = plain_loop(base, tokens, TRAINER_STEPS, 0.0, all_decay=True)

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return BATCH * TRAINER_STEPS

        def __getitem__(self, index):
            row = torch.from_numpy(tokens[index * LENGTH:(index + 1) * LENGTH].astype(np.int64))
            return {"input_ids": row, "labels": row}

    class InOrder(transformers.Trainer):
        def _get_train_sampler(self, *_):
            return torch.utils.data.SequentialSampler(self.train_dataset)

        # Trainer spares norms; this recipe decays everything.
        def get_decay_parameter_names(self, model):
            return [name for name, _ in model.named_parameters()]

    model = AutoModelForCausalLM.from_pretrained(
        looped, dtype=torch.float32, trust_remote_code=True)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / "trainer"), max_steps=TRAINER_STEPS, learning_rate=RATE,
        per_device_train_batch_size=BATCH // 2, gradient_accumulation_steps=2, weight_decay=DECAY,
        adam_beta1=0.9, adam_beta2=0.95, adam_epsilon=1e-8, max_grad_norm=1.0,
        lr_scheduler_type="linear", logging_steps=1, report_to=[], save_strategy="no", use_cpu=True,
        gradient_checkpointing=True, disable_tqdm=True)
    loop = InOrder(model=model, args=arguments, train_dataset=Rows())
    loop.train()
    found = [line["loss"] for line in loop.state.log_history if "loss" in line]
    return {"plain_losses": expected, "losses_differ_by": worst(found, expected, "Trainer")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--etd", default=str(ROOT / ".build/release/etd"))
    parser.add_argument("--parts", default="trainer,fsdp,refused")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    parts = options.parts.split(",")
    torch.set_num_threads(1)
    try:
        import accelerate
    except ImportError:
        accelerate = None
    results = {
        "plan": f"{ENCODER}-{THINK}*{ITERATIONS}-{DECODER}", "bound": BOUND,
        "made_with": {
            "torch": torch.__version__, "transformers": transformers.__version__,
            "accelerate": accelerate.__version__ if accelerate else None,
        },
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        base, looped, data = folder / "base", folder / "looped", folder / "tokens.u16"
        vocabulary = make_model("olmo2-gqa", base).config.vocab_size
        done = export(options.etd, base, "hf-etd", looped)
        check(done.returncode == 0, f"hf-etd: {done.stderr}")
        draw = np.random.default_rng(3)
        # Few of the tokens are frequent, so that there is something to learn.
        shares = 1 / np.arange(1, vocabulary + 1)
        tokens = draw.choice(
            vocabulary, size=BATCH * LENGTH * STEPS, p=shares / shares.sum()).astype("<u2")
        tokens.tofile(data)
        if accelerate is not None and "trainer" in parts:
            results["trainer"] = trainer(folder, base, looped, tokens)
            print("trainer", json.dumps(results["trainer"]), flush=True)
        if "fsdp" in parts:
            results["fsdp"] = fsdp(options.etd, folder, base, looped, data, tokens)
            print("fsdp", json.dumps(results["fsdp"]), flush=True)
        if "refused" in parts:
            results["refused"] = bad_input(folder, looped, data)
            print("refused", json.dumps(results["refused"]), flush=True)
    if options.out:
        options.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
