"""Trains an `hf-etd` folder on many GPUs: torchrun, FSDP2, the configuration of `etd train`.

    torchrun --nproc-per-node 8 scripts/handoff/train_fsdp.py --config C.yaml [--set steps=100]
    python scripts/handoff/train_fsdp.py --config C.yaml --to-hf OUT [--checkpoint RUN/dcp-1000]

`model` in the configuration is a folder of `etd export --format hf-etd`. Each physical block is
sharded once and runs as often as the plan says. `keep: inputs` and `auto` recompute activations block
by block. RUN/dcp-<step> holds sharded weights and optimiser; a run that finds one in its `out` goes on
from the newest, also on another number of GPUs. `--to-hf` writes such a checkpoint as an hf-etd folder,
which transformers and `etd` open. Runs on CPUs too (gloo).
"""

import argparse
import json
import os
import re
import shutil
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.nn.functional as F
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from transformers import AutoModelForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parent))
from recipe import Recipe, RecipeError, fail  # noqa: E402


def open_model(recipe):
    """The folder's model in f32, its loop checked against the configuration."""
    folder = Path(recipe.model)
    if not (folder / "modeling_etd.py").is_file():
        fail(f"{folder}: not an hf-etd folder; write one with etd export --format hf-etd")
    # Code of the folder runs here, which is what an hf-etd folder is for.
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, trust_remote_code=True)
    etd = model.config.etd
    if (etd["encoder"], etd["think"], etd["decoder"]) != recipe.split:
        fail(f"{folder}: it loops {etd['encoder']}-{etd['think']}-{etd['decoder']}, and split says "
             f"{'-'.join(map(str, recipe.split))}; export it with this split")
    return model


def blocks(model):
    """The physical blocks, each once."""
    return next(m for m in model.modules() if type(m).__name__ == "ThinkingLayers")


def shard(model, recipe):
    """FSDP2 of each block and of the rest; master weights and reductions in f32."""
    policy = MixedPrecisionPolicy(reduce_dtype=torch.float32)
    if recipe.precision == "bf16":
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for block in blocks(model):
        fully_shard(block, mp_policy=policy)
    fully_shard(model, mp_policy=policy)


def losses(model, tokens, z_weight):
    """Cross-entropy of the T - 1 next tokens and the z-loss, means over the tokens."""
    logits = model(input_ids=tokens, use_cache=False).logits[:, :-1].float()
    entropy = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    return entropy, z_weight * torch.logsumexp(logits, -1).square().mean()


def newest(folder):
    """The last whole checkpoint of a run, and its step."""
    found = [(int(match[1]), path) for path in folder.glob("dcp-*")
             if (match := re.fullmatch(r"dcp-(\d+)", path.name))]
    return max(found, default=None)


def save(model, optimizer, recipe, step, rank):
    """Every rank writes its shards under a temporary name; the first gives the final one."""
    final = recipe.out / f"dcp-{step}"
    temporary = recipe.out / f".dcp-{step}.part"
    if rank == 0 and temporary.exists():
        shutil.rmtree(temporary)
    dist.barrier()
    weights, state = get_state_dict(model, optimizer)
    dcp.save({"model": weights, "optimizer": state}, checkpoint_id=temporary)
    if rank == 0:
        os.rename(temporary, final)
    dist.barrier()


def load(model, optimizer, path):
    weights, state = get_state_dict(model, optimizer)
    dcp.load({"model": weights, "optimizer": state}, checkpoint_id=path)
    set_state_dict(model, optimizer, model_state_dict=weights, optim_state_dict=state)


def kept_metrics(path, step):
    """Lines up to the checkpoint's step; a killed run may have written more, the last one in part."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except ValueError:
            break
    temporary = path.with_suffix(".part")
    temporary.write_text("".join(kept))
    os.replace(temporary, path)


def train(recipe):
    on_gpu = torch.cuda.is_available()
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=timedelta(minutes=30))
    rank, ranks = dist.get_rank(), dist.get_world_size()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    if recipe.batch_size % (ranks * recipe.micro_batch_size):
        fail(f"batch_size {recipe.batch_size} is not a multiple of {ranks} processes x "
             f"micro_batch_size {recipe.micro_batch_size}")
    model = open_model(recipe).train()
    if recipe.keep != "activations":
        model.gradient_checkpointing_enable({"use_reentrant": False})
    model.to(device)
    # Before sharding, which replaces the parameters: which of them decay is a matter of modules.
    shard(model, recipe)
    optimizer = torch.optim.AdamW(
        recipe.groups(model), lr=recipe.lr, betas=recipe.betas, eps=recipe.eps)
    start = 0
    if found := newest(recipe.out):
        start, path = found
        load(model, optimizer, path)
    metrics = recipe.out / "metrics.jsonl"
    if rank == 0:
        recipe.out.mkdir(parents=True, exist_ok=True)
        kept_metrics(metrics, start)
    dist.barrier()
    for step in range(start, recipe.steps):
        begun = time.perf_counter()
        model.iterations = recipe.iterations(step)
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step)
        tokens = torch.from_numpy(recipe.batch(step, rank, ranks)).to(device)
        parts = tokens.split(recipe.micro_batch_size)
        sums = torch.zeros(2, device=device)
        for part in parts:
            entropy, z_loss = losses(model, part, recipe.z_loss)
            ((entropy + z_loss) / len(parts)).backward()
            sums += torch.stack([entropy.detach(), z_loss.detach()]) / (len(parts) * ranks)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        optimizer.step()
        optimizer.zero_grad()
        dist.all_reduce(sums)
        entropy, z_loss = sums.tolist()
        if rank == 0:
            count = recipe.batch_size * recipe.sequence_length
            line = {
                "step": step + 1, "loss": entropy + z_loss, "ce": entropy, "z_loss": z_loss,
                "grad_norm": norm.item(), "lr": recipe.rate(step),
                "iterations": recipe.iterations(step), "tokens": (step + 1) * count,
                "tokens_per_s": count / (time.perf_counter() - begun),
            }
            with metrics.open("a") as file:
                file.write(json.dumps(line) + "\n")
        # Every rank has the same sums, so all stop together.
        if not (entropy + z_loss < float("inf")):
            fail(f"the loss of step {step + 1} is {entropy + z_loss}; the last checkpoint is whole")
        if (step + 1) % recipe.checkpoint_every == 0 or step + 1 == recipe.steps:
            save(model, optimizer, recipe, step + 1, rank)
    dist.destroy_process_group()


def to_folder(recipe, checkpoint, out):
    """A sharded checkpoint as an hf-etd folder, by one process without a group."""
    if out.exists():
        fail(f"{out}: it is there already; give another --to-hf")
    if checkpoint is None:
        found = newest(recipe.out)
        if not found:
            fail(f"{recipe.out}: no checkpoint (dcp-<step>) in it")
        checkpoint = found[1]
    model = open_model(recipe)
    weights = model.state_dict()
    try:
        dcp.load({"model": weights}, checkpoint_id=checkpoint, no_dist=True)
    except (OSError, dcp.api.CheckpointException) as error:
        fail(f"{checkpoint}: {' '.join(str(error).split())}")
    model.load_state_dict(weights)
    model.iterations = recipe.iterations(recipe.steps - 1)
    temporary = out.with_name(f".{out.name}.part")
    if temporary.exists():
        shutil.rmtree(temporary)
    model.save_pretrained(temporary)
    # What transformers does not write: tokenizer, licence, chat template.
    for path in Path(recipe.model).iterdir():
        written = (temporary / path.name).exists() or ".safetensors" in path.name
        if path.is_file() and not written and path.name != "README.md":
            shutil.copyfile(path, temporary / path.name)
    os.rename(temporary, out)
    print(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="YAML of etd train")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--to-hf", type=Path, metavar="OUT", help="write a checkpoint as a folder")
    parser.add_argument("--checkpoint", type=Path, help="with --to-hf; the newest of the run otherwise")
    options = parser.parse_args()
    try:
        recipe = Recipe(options.config, options.set)
    except RecipeError as error:
        fail(str(error))
    if options.to_hf:
        to_folder(recipe, options.checkpoint, options.to_hf)
    elif "RANK" not in os.environ:
        fail("start it with torchrun --nproc-per-node N")
    else:
        train(recipe)


if __name__ == "__main__":
    main()
