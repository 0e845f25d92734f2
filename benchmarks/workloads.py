"""The workloads: a network of specs/ each, with the batch that a step trains on.

Parameters and data are drawn here, with a fixed seed, and are the same for every peer. They have
the public names and axes of the generated module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

from benchmarks.networks import Network, read
from derive import pipeline
from derive.modules.loading import load

SPECS = Path(__file__).parent / "specs"
# With some seeds an element of a million before a relu lies within rounding of 0, and peers differ
# in the side on which they see it. With this one none does.
SEED = 16


@dataclass(frozen=True)
class Workload:
    """A network and the number of samples in a batch. `nonzero` is the share of inputs that are."""

    letter: str
    name: str
    title: str
    batch: int
    nonzero: float = 1.0

    @property
    def label(self) -> str:
        """Its letter and title."""
        return f"{self.letter} {self.title}"

    @property
    def path(self) -> Path:
        """Its spec."""
        return SPECS / f"{self.name}.toml"

    @property
    def network(self) -> Network:
        """Its layers."""
        return read(self.path)


WORKLOADS = (
    Workload("a", "mlp_64_32_10", "MLP 64-32-10", 32),
    Workload("b", "mlp_784_128_10", "MLP 784-128-10", 64),
    Workload("c", "mlp_784_512_512_10", "MLP 784-512-512-10", 128),
    Workload("d", "mlp_1024_2048_2048_1000", "MLP 1024-2048-2048-1000", 256),
    Workload("e", "lenet", "LeNet 28x28", 64),
    Workload("f", "vgg_block", "VGG block 32x32x16", 32),
    Workload("g", "lstm", "LSTM 50 steps, 32 to 64", 32),
    Workload("h", "transformer_block", "transformer block 64x64", 16),
    Workload("i", "mlp_10000_64_10", "MLP 10000-64-10, sparse", 64, nonzero=0.01),
    Workload("j", "deep_cnn", "6 convolutions, batch norm", 32),
    Workload("k", "gru", "GRU 200 steps, 32 to 64", 32),
    Workload("l", "language_model", "language model, 2 blocks", 16),
)


@dataclass(frozen=True)
class Problem:
    """What a peer trains: parameters {public name: array}, a batch, and the network's layers."""

    workload: Workload
    network: Network
    params: Mapping[str, np.ndarray]
    x: np.ndarray
    y: np.ndarray

    def with_batch(self, size: int) -> Problem:
        """The same parameters, and other data of another size."""
        x, y = _batch(replace(self.workload, batch=size), self.network, np.random.default_rng(size))
        return replace(self, x=x, y=y)


@cache
def module(workload: Workload) -> ModuleType:
    """The generated module, derived anew from the spec."""
    return load(pipeline.derive_network(workload.path).source(), workload.name)


@cache
def problem(workload: Workload) -> Problem:
    """The parameters and the batch of a workload."""
    generator = np.random.default_rng(SEED)
    shapes = module(workload).PARAMETERS
    params = {name: _parameter(name, shape, generator) for name, shape in shapes.items()}
    network = workload.network
    return Problem(workload, network, params, *_batch(workload, network, generator))


def _parameter(name: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Weights of a size that keeps activations near 1; nothing is 0, so that no error hides."""
    layer, own = name.split(".")
    drawn = generator.standard_normal(shape)
    if own.startswith("gamma"):
        drawn = 1 + 0.1 * drawn
    elif layer.startswith(("lstm", "gru")):
        drawn = generator.uniform(-1, 1, shape) / math.sqrt(shape[-1] / 4)
    elif len(shape) == 1 or own.startswith("b_"):
        drawn *= 0.05
    elif own in ("E", "P"):
        drawn *= 0.5
    else:
        fan_in = shape[0] if own in ("W_q", "W_k", "W_v") else math.prod(shape[:-1])
        drawn *= math.sqrt((2 if layer.startswith(("dense", "conv2d")) else 1) / fan_in)
    return drawn.astype(np.float32)


def _batch(
    workload: Workload, network: Network, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs from the normal distribution, or tokens; classes as targets."""
    shape = (workload.batch, *network.input)
    *steps, classes = network.layers[-1].shape
    y = generator.integers(0, classes, (workload.batch, *steps))
    if network.vocabulary:
        return generator.integers(0, network.vocabulary, shape), y
    x = generator.standard_normal(shape, dtype=np.float32)
    if workload.nonzero < 1:
        x *= generator.random(shape) < workload.nonzero
    return x, y
