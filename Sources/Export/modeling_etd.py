"""Encode, Think, Decode: a causal language model whose middle layers run several times.

The weights are the base model's, once. `config.etd` says which layers are the think block and how
often it runs; `model.iterations` changes that at any time, `model(..., iterations=k)` and
`model.generate(..., iterations=k)` for one call. One iteration is the base model.

With a router (`config.etd.router`) a token halts after the pass in which its halting probabilities add
up to 1 - epsilon: its state is frozen, `iterations` is the most passes, and `model.passes` says how
many each token of the last call ran. `config.etd.kv_policy` says what keys and values a halted token
has in the passes that it skips: `recompute` (from its frozen state), `last` (those of its last pass),
`skip` (nobody attends to it).

Every executed layer has a slot of its own in the key/value cache, and an entry of its own in
`output_hidden_states`, where states of the think block are those before halted tokens get theirs back. Written for transformers 4.57 and 5; knows nothing of how the family's layers
compute. Not for use from several threads at once.
"""

import contextlib
import copy
import functools
import inspect

import torch
import torch.nn as nn
import transformers
from transformers import LlamaForCausalLM as Base


def executed_layers(etd, iterations):
    """The layer of each step, in order."""
    encoder, think, decoder = etd["encoder"], etd["think"], etd["decoder"]
    loop = list(range(encoder, encoder + think)) * iterations
    return [*range(encoder), *loop, *range(encoder + think, encoder + think + decoder)]


class ETDConfig(Base.config_class):
    """The base model's configuration, and `etd`."""

    def unrolled(self, iterations):
        """What a checkpoint with every executed layer written out would say: caches and masks are
        made by it."""
        steps = executed_layers(self.etd, iterations)
        config = copy.copy(self)
        # Its own text configuration, so that nobody unrolls it again.
        config.__class__ = Base.config_class
        types = getattr(self, "layer_types", None)
        config.num_hidden_layers = len(steps)
        if types is not None:
            config.layer_types = [types[layer] for layer in steps]
        return config

    def get_text_config(self, decoder=None, encoder=None):
        # `generate` sizes its cache by what this gives it.
        if decoder and not encoder and getattr(self, "etd", None):
            return self.unrolled(self.etd["iterations"])
        return super().get_text_config(decoder=decoder, encoder=encoder)


POLICIES = ("recompute", "last", "skip")


class Halting:
    """One call's tokens [B, T]: their probabilities so far, their states, the passes that they ran."""

    def __init__(self, router, etd, cache):
        self.router, self.cache = router, cache
        self.policy, self.think = etd["kv_policy"], etd["think"]
        self.first, self.last = etd["encoder"], etd["encoder"] + etd["think"] - 1
        self.bound = 1 - etd["router"].get("epsilon", 0.01)
        self.passed = 0
        self.total = self.passes = self.state = None
        self.written = {}

    @property
    def halted(self):
        return None if self.total is None else self.total >= self.bound

    def end_pass(self, state):
        """Halted tokens get their states back; the others are asked whether they halt now."""
        weight = torch.sigmoid(self.router(state.to(self.router.weight.dtype)).float())[..., 0]
        if self.total is None:
            self.total, self.passes = weight, torch.ones_like(weight, dtype=torch.long)
        else:
            halted = self.halted
            state = torch.where(halted[..., None], self.state, state)
            self.total = self.total + torch.where(halted, torch.zeros_like(weight), weight)
            self.passes = self.passes + (~halted).long()
        self.state = state
        self.passed += 1
        return state

    def all_passes(self, length):
        """Passes of every token that the cache holds and of this call's, [B, length]."""
        before = getattr(self.cache, "etd_passes", None)
        own = torch.where(self.halted, self.passes, self.passes + 1)
        if before is None or before.shape[1] == 0:
            return own
        if before.shape[0] != own.shape[0] or before.shape[1] + own.shape[1] != length:
            raise ValueError("kv_policy skip: the cache was not filled by this model, or was changed")
        return torch.cat([before, own], dim=1)

    def mask(self, mask, state, dtype):
        """`mask` of a deeper pass, with the tokens left out that halted before it."""
        queries = state.shape[1]
        before = getattr(self.cache, "etd_passes", None)
        length = queries + (0 if before is None else before.shape[1])
        ran = self.all_passes(length) > self.passed
        places = torch.arange(length, device=state.device)
        query = places[length - queries:, None]
        # A halted token's own row is thrown away, and must not be empty.
        allowed = ran[:, None, None, :] | (places[None] == query)[None, None]
        if mask is None:
            return allowed & (places[None] <= query)[None, None]
        if mask.dim() != 4 or mask.shape[-1] != length:
            raise ValueError("kv_policy skip: needs the attention implementation sdpa or eager")
        if mask.dtype == torch.bool:
            return mask & allowed
        return mask.masked_fill(~allowed, torch.finfo(mask.dtype).min)

    @contextlib.contextmanager
    def keeping(self):
        """The cache, for one pass, with the keys and values of `last` for halted tokens."""
        if self.policy != "last":
            yield
            return
        cache, update = self.cache, self.cache.update

        def kept(keys, values, slot, *args, **kwargs):
            before = self.written.get(slot - self.think)
            if before is not None and self.passed > 0 and slot < self.end:
                halted = self.halted[:, None, :, None]
                keys = torch.where(halted, before[0], keys)
                values = torch.where(halted, before[1], values)
            if self.first <= slot < self.end:
                self.written[slot] = (keys, values)
            return update(keys, values, slot, *args, **kwargs)

        cache.update = kept
        try:
            yield
        finally:
            del cache.update

    def remember(self):
        """For the calls that go on from the same cache."""
        if self.cache is not None and self.passes is not None:
            before = getattr(self.cache, "etd_passes", None)
            known = self.cache.get_seq_length() - self.passes.shape[1]
            if before is None or before.shape[1] != known:
                before = self.passes[:, :0]
            self.cache.etd_passes = torch.cat([before, self.passes], dim=1)


class ThinkingLayer:
    """A layer of the think block in one pass of a model with a router."""

    def __init__(self, layer, halting, ends):
        self.layer, self.halting, self.ends = layer, halting, ends

    def __getattr__(self, name):
        return getattr(self.layer, name)

    def __call__(self, state, *args, **kwargs):
        halting = self.halting
        if halting.policy == "skip" and halting.passed > 0:
            if "attention_mask" not in kwargs:
                raise ValueError("kv_policy skip: this family's layers take no attention_mask by name")
            kwargs["attention_mask"] = halting.mask(kwargs["attention_mask"], state, state.dtype)
        out = self.layer(state, *args, **kwargs)
        if not self.ends:
            return out
        if isinstance(out, tuple):
            return (halting.end_pass(out[0]), *out[1:])
        return halting.end_pass(out)


class ThinkingLayers(nn.ModuleList):
    """The model's layers, which a pass goes through in the order of `steps`.

    Outside a pass it is the plain list. A layer learns its cache slot just before it runs.
    """

    steps = None
    halting = None

    def __iter__(self):
        return super().__iter__() if self.steps is None else self._executed(self.steps)

    def __getitem__(self, index):
        if self.steps is None or not isinstance(index, slice):
            return super().__getitem__(index)
        return self._executed(self.steps[index])

    def _executed(self, steps):
        layers = list(super().__iter__())
        indexed = [[m for m in layer.modules() if hasattr(m, "layer_idx")] for layer in layers]
        halting = self.halting
        for slot, layer in enumerate(steps):
            for module in indexed[layer]:
                module.layer_idx = slot
            if halting is not None and halting.first <= layer <= halting.last:
                yield ThinkingLayer(layers[layer], halting, layer == halting.last)
            else:
                yield layers[layer]


class ETDForCausalLM(Base):
    config_class = ETDConfig

    def __init__(self, config):
        super().__init__(config)
        etd = config.etd
        self.passes = None
        layers = etd["encoder"] + etd["think"] + etd["decoder"]
        if layers != config.num_hidden_layers or etd["think"] < 1:
            raise ValueError(
                f"config.etd does not cut the model's {config.num_hidden_layers} layers: {etd}"
            )
        self._check(etd["iterations"])
        # The model without its head, whose name differs by family, and its layers' (GPT-2: h).
        self._inner, self._layers = next(
            (inner, layers)
            for inner, module in self.named_children()
            for layers in ("layers", "h")
            if hasattr(module, layers)
        )
        if etd.get("router") is not None:
            if etd.get("kv_policy") not in POLICIES:
                raise ValueError(f"config.etd.kv_policy: one of {POLICIES}, not {etd.get('kv_policy')!r}")
            # Under the names of the files: etd.router.weight [1, d] and etd.router.bias [1].
            self.etd = nn.ModuleDict({"router": nn.Linear(config.hidden_size, 1)})
        module = getattr(self, self._inner)
        setattr(module, self._layers, ThinkingLayers(getattr(module, self._layers)))

    @classmethod
    def from_pretrained(cls, *args, **kwargs):
        # transformers 5 calls GPT-NeoX's head otherwise than the files do, and translates that for its
        # own classes alone.
        if cls.config_class.model_type == "gpt_neox" and transformers.__version__[0] != "4":
            kwargs.setdefault("key_mapping", {r"^embed_out\.": "lm_head."})
        return super().from_pretrained(*args, **kwargs)

    @staticmethod
    def _check(iterations):
        if not isinstance(iterations, int) or iterations < 1:
            raise ValueError(f"iterations must be a whole number of 1 or more, not {iterations!r}")
        return iterations

    @property
    def iterations(self):
        """How often the think block runs. 1 is the base model."""
        return self.config.etd["iterations"]

    @iterations.setter
    def iterations(self, value):
        self.config.etd = {**self.config.etd, "iterations": self._check(value)}

    @contextlib.contextmanager
    def _depth(self, iterations):
        """Another number of iterations for a while; None leaves it."""
        if iterations is None:
            yield
            return
        before = self.iterations
        self.iterations = iterations
        try:
            yield
        finally:
            self.iterations = before

    @contextlib.contextmanager
    def _looping(self):
        """The base model as one with every executed layer, for one pass."""
        inner = getattr(self, self._inner)
        layers, config = getattr(inner, self._layers), inner.config
        try:
            layers.steps = executed_layers(self.config.etd, self.iterations)
            inner.config = self.config.unrolled(self.iterations)
            yield layers
        finally:
            layers.steps = None
            inner.config = config

    # Generation and Trainer look at the names of its arguments.
    @functools.wraps(Base.forward)
    def forward(self, *args, iterations=None, **kwargs):
        with self._depth(iterations), self._looping() as layers:
            if self.config.etd.get("router") is None:
                return super().forward(*args, **kwargs)
            return self._routed(layers, super().forward, args, kwargs)

    def _routed(self, layers, forward, args, kwargs):
        etd = self.config.etd
        # transformers from 5.24 on has another name for the cache.
        names = inspect.signature(getattr(self, self._inner).forward).parameters
        name = "past_key_values" if "past_key_values" in names else "cache"
        given = kwargs.get(name, kwargs.get("past_key_values"))
        cache = given
        if etd["kv_policy"] != "recompute":
            if args[1:]:
                raise TypeError("with a router, give arguments behind input_ids by name")
            if self.training and getattr(getattr(self, self._inner), "gradient_checkpointing", False):
                raise ValueError("gradient checkpointing has no cache; use kv_policy recompute")
            if cache is None:
                cache = transformers.DynamicCache(config=self.config.unrolled(self.iterations))
                kwargs[name] = cache
        halting = Halting(self.etd["router"], etd, cache)
        halting.end = etd["encoder"] + etd["think"] * self.iterations
        layers.halting = halting
        try:
            with halting.keeping():
                out = forward(*args, **kwargs)
        finally:
            layers.halting = None
        if cache is None and hasattr(out, name):
            halting.cache = getattr(out, name)
        halting.remember()
        self.passes = halting.passes
        return out

    def generate(self, *args, iterations=None, **kwargs):
        with self._depth(iterations):
            return super().generate(*args, **kwargs)
