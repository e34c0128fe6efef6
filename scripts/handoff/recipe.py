"""The training configuration of `etd train`, read for PyTorch: keys, optimiser groups, schedule, batches."""

import difflib
import math
import sys
from pathlib import Path

import numpy as np
import yaml

KEYS = {
    "model", "split", "iterations", "data", "sequence_length", "batch_size", "micro_batch_size",
    "steps", "shuffle", "optimizer", "schedule", "clip_norm", "z_loss", "precision", "seed", "out",
    "checkpoint_every", "keep",
}
REQUIRED = {
    "model", "split", "iterations", "data", "sequence_length", "batch_size", "steps", "optimizer", "out",
}
# Keys of `etd train` that the PyTorch loop does not have.
ELSEWHERE = {
    "trains", "lora", "backprop_passes", "memory_limit", "router", "validation", "eval",
    "reset_optimizer", "repetition_filter", "loss_mask", "document_attention",
}
OPTIMIZER = {"name", "lr", "betas", "eps", "weight_decay", "decay_norms", "decay_embeddings"}
SCHEDULE = {"name", "warmup_steps", "final_lr"}


class RecipeError(Exception):
    """Something in the configuration that cannot be run; one line."""


def known(values, allowed, where, elsewhere=()):
    if not isinstance(values, dict):
        raise RecipeError(f"{where}: give keys and values, not {values!r}")
    for key in values:
        if key in allowed:
            continue
        if key in elsewhere:
            raise RecipeError(f"{where}: {key} is run by etd train only; remove it here")
        near = difflib.get_close_matches(str(key), [*allowed, *elsewhere], 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise RecipeError(f"{where}: unknown key {key}{hint}")


def number(values, key, default, low, where):
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= low:
        raise RecipeError(f"{where}: {key} must be a number of {low} or more, not {value!r}")
    return value


def whole(values, key, default, low, where):
    value = number(values, key, default, low, where)
    if value != int(value):
        raise RecipeError(f"{where}: {key} must be a whole number, not {value!r}")
    return int(value)


class Recipe:
    """A checked configuration. `settings` are the changes of `--set key=value`."""

    def __init__(self, path, settings=()):
        try:
            values = yaml.safe_load(Path(path).read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise RecipeError(f"{path}: {' '.join(str(error).split())}") from None
        known(values, KEYS, path, ELSEWHERE)
        for setting in settings:
            key, equals, value = setting.partition("=")
            if not equals:
                raise RecipeError(f"--set {setting}: write key=value")
            place, parts = values, key.split(".")
            for part in parts[:-1]:
                place = place.setdefault(part, {})
            place[parts[-1]] = yaml.safe_load(value)
        known(values, KEYS, path, ELSEWHERE)
        if missing := sorted(REQUIRED - values.keys()):
            raise RecipeError(f"{path}: {', '.join(missing)} missing")
        self.model, self.out = str(values["model"]), Path(values["out"])
        try:
            self.split = tuple(int(part) for part in str(values["split"]).split("-"))
        except ValueError:
            self.split = ()
        if len(self.split) != 3 or min(self.split) < 0 or self.split[1] < 1:
            raise RecipeError(f"{path}: split: write encoder-think-decoder, not {values['split']!r}")
        self.sequence_length = whole(values, "sequence_length", None, 2, path)
        self.batch_size = whole(values, "batch_size", None, 1, path)
        self.micro_batch_size = whole(values, "micro_batch_size", 1, 1, path)
        self.steps = whole(values, "steps", None, 1, path)
        self.shuffle = values.get("shuffle", False)
        if not isinstance(self.shuffle, bool):
            raise RecipeError(f"{path}: shuffle is true or false, not {self.shuffle!r}")
        self.clip_norm = number(values, "clip_norm", math.inf, 0, path)
        self.z_loss = number(values, "z_loss", 0, 0, path)
        self.seed = whole(values, "seed", 0, 0, path)
        self.checkpoint_every = whole(values, "checkpoint_every", 1000, 1, path)
        self.precision = self._choice(values, "precision", "bf16", ("f32", "bf16"), path)
        self.keep = self._choice(values, "keep", "auto", ("activations", "inputs", "auto"), path)
        self._read_optimizer(values["optimizer"], f"{path}: optimizer")
        self._read_schedule(values.get("schedule", {}), f"{path}: schedule")
        self._read_iterations(values["iterations"], path)
        self.tokens = self._open_data(values["data"], path)
        self.sequences = len(self.tokens) // self.sequence_length
        if self.sequences < 1:
            raise RecipeError(f"{path}: the data hold less than one sequence")
        self._order = (0, None)

    @staticmethod
    def _choice(values, key, default, choices, path):
        value = values.get(key, default)
        if value not in choices:
            raise RecipeError(f"{path}: {key} is one of {', '.join(choices)}, not {value!r}")
        return value

    def _read_optimizer(self, values, where):
        known(values, OPTIMIZER, where)
        if values.get("name", "adamw") != "adamw":
            raise RecipeError(f"{where}: only adamw runs here, not {values['name']!r}")
        self.lr = number(values, "lr", None, 0, where)
        betas = values.get("betas", [0.9, 0.95])
        if not (isinstance(betas, list) and len(betas) == 2):
            raise RecipeError(f"{where}: betas are two numbers, not {betas!r}")
        self.betas = tuple(float(beta) for beta in betas)
        self.eps = number(values, "eps", 1e-8, 0, where)
        self.weight_decay = number(values, "weight_decay", 0.1, 0, where)
        self.decay_norms = values.get("decay_norms", True)
        self.decay_embeddings = values.get("decay_embeddings", False)

    def _read_schedule(self, values, where):
        known(values, SCHEDULE, where)
        self.schedule = values.get("name", "linear")
        if self.schedule not in ("linear", "cosine"):
            raise RecipeError(f"{where}: linear and cosine run here, not {self.schedule!r}")
        self.warmup_steps = whole(values, "warmup_steps", 0, 0, where)
        self.final_lr = number(values, "final_lr", 0, 0, where)

    def _read_iterations(self, value, path):
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            self.curriculum = [(0, value)]
            return
        if isinstance(value, dict) and set(value) == {"curriculum"}:
            stages = value["curriculum"]
            if stages and stages[0][0] == 0 and all(k >= 1 for _, k in stages):
                self.curriculum = sorted((int(step), int(k)) for step, k in stages)
                return
        raise RecipeError(
            f"{path}: iterations is a whole number of 1 or more or {{curriculum: [[0, k], …]}}; "
            f"sampled depths are run by etd train only")

    def _open_data(self, sources, path):
        if isinstance(sources, (str, dict)):
            sources = [sources]
        if not isinstance(sources, list) or len(sources) != 1:
            raise RecipeError(f"{path}: data: one file of tokens runs here; mix several beforehand")
        source = sources[0]
        if isinstance(source, dict):
            known(source, {"path", "weight"}, f"{path}: data")
            source = source.get("path")
        try:
            if str(source).endswith(".u16"):
                return np.memmap(source, "<u2", "r")
            if str(source).endswith(".u32"):
                return np.memmap(source, "<u4", "r")
            if str(source).endswith(".npy"):
                return np.load(source, mmap_mode="r").reshape(-1)
        except (OSError, ValueError) as error:
            raise RecipeError(f"{source}: {error}") from None
        raise RecipeError(f"{path}: data: give a .u16, .u32 or .npy of token ids, not {source!r}")

    def rate(self, step):
        """The learning rate of a step, counted from 0."""
        if step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        share = 1 - done if self.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
        return self.final_lr + (self.lr - self.final_lr) * share

    def iterations(self, step):
        """How often the think block runs at a step, counted from 0."""
        return [k for start, k in self.curriculum if start <= step][-1]

    def batch(self, step, rank, ranks):
        """A rank's sequences of a step, [batch_size / ranks, sequence_length] int64.

        Rank r has the r-th part of the batch. Where the data end they begin again; with `shuffle` each
        round has its own order, drawn by NumPy from the seed, which is not the order of `etd train`.
        """
        part = self.batch_size // ranks
        first = step * self.batch_size + rank * part
        rows = [self._sequence(place) for place in range(first, first + part)]
        return np.stack(rows).astype(np.int64)

    def _sequence(self, place):
        turn, index = divmod(place, self.sequences)
        if self.shuffle:
            if self._order[1] is None or self._order[0] != turn:
                draw = np.random.default_rng([self.seed, turn])
                self._order = (turn, draw.permutation(self.sequences))
            index = int(self._order[1][index])
        return self.tokens[index * self.sequence_length:(index + 1) * self.sequence_length]

    def groups(self, model):
        """Parameters with and without weight decay. A tied head is an embedding."""
        import torch

        embeddings = {
            id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
        norms = {
            id(parameter) for module in model.modules() if "norm" in type(module).__name__.lower()
            for parameter in module.parameters(recurse=False)}
        decayed, free = [], []
        for parameter in model.parameters():
            spared = (id(parameter) in embeddings and not self.decay_embeddings) or (
                id(parameter) in norms and not self.decay_norms)
            (free if spared else decayed).append(parameter)
        return [
            {"params": parameters, "weight_decay": decay}
            for parameters, decay in ((decayed, self.weight_decay), (free, 0.0)) if parameters]


def fail(message):
    sys.exit(f"train_fsdp.py: {message}")
