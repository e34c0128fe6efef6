"""Encode, Think, Decode: a causal language model whose middle layers run several times.

The weights are the base model's, once. `config.etd` says which layers are the think block and how
often it runs; `model.iterations` changes that at any time, `model(..., iterations=k)` and
`model.generate(..., iterations=k)` for one call. One iteration is the base model.

Every executed layer has a slot of its own in the key/value cache, and an entry of its own in
`output_hidden_states`. Written for transformers 4.57 and 5; knows nothing of how the family's layers
compute. Not for use from several threads at once.
"""

import contextlib
import copy
import functools

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


class ThinkingLayers(nn.ModuleList):
    """The model's layers, which a pass goes through in the order of `steps`.

    Outside a pass it is the plain list. A layer learns its cache slot just before it runs.
    """

    steps = None

    def __iter__(self):
        return super().__iter__() if self.steps is None else self._executed(self.steps)

    def __getitem__(self, index):
        if self.steps is None or not isinstance(index, slice):
            return super().__getitem__(index)
        return self._executed(self.steps[index])

    def _executed(self, steps):
        layers = list(super().__iter__())
        indexed = [[m for m in layer.modules() if hasattr(m, "layer_idx")] for layer in layers]
        for slot, layer in enumerate(steps):
            for module in indexed[layer]:
                module.layer_idx = slot
            yield layers[layer]


class ETDForCausalLM(Base):
    config_class = ETDConfig

    def __init__(self, config):
        super().__init__(config)
        etd = config.etd
        if etd.get("router") is not None:
            raise ValueError("config.etd.router: this modeling_etd.py runs a fixed number of passes")
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
            yield
        finally:
            layers.steps = None
            inner.config = config

    # Generation and Trainer look at the names of its arguments.
    @functools.wraps(Base.forward)
    def forward(self, *args, iterations=None, **kwargs):
        with self._depth(iterations), self._looping():
            return super().forward(*args, **kwargs)

    def generate(self, *args, iterations=None, **kwargs):
        with self._depth(iterations):
            return super().generate(*args, **kwargs)
