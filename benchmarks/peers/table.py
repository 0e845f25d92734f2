"""The peers in the order of the table's columns, and the settings that each may choose from.

A peer gets its best setting: those listed are tried on the workload before it is timed.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from benchmarks.networks import Network
from benchmarks.threads import cores
from benchmarks.workloads import Problem

Settings = Mapping[str, Any]
THREADS = tuple({"threads": n} for n in sorted({1, cores()}))


class Peer(Protocol):
    """One implementation of a workload."""

    threads: int

    def step(self) -> Any: ...


@dataclass(frozen=True)
class Kind:
    """A column: its heading, the class in a module of this package, and what that needs.

    `settings` gives those to choose from, none where the peer does not have the network.
    """

    heading: str
    module: str
    class_: str
    needs: str
    settings: Callable[[Network], tuple[Settings, ...]]

    def missing(self) -> str | None:
        """The package that is not installed, if so."""
        return None if importlib.util.find_spec(self.needs) else self.needs

    def build(self, problem: Problem, settings: Settings) -> Any:
        """The peer on a problem."""
        module = importlib.import_module(f"benchmarks.peers.{self.module}")
        return getattr(module, self.class_)(problem, **settings)


def _any(*settings: Settings) -> Callable[[Network], tuple[Settings, ...]]:
    return lambda network: settings


def _torch(network: Network) -> tuple[Settings, ...]:
    return ({}, {"channels_last": True}) if _has(network, "conv2d") else ({},)


def _compiled(network: Network) -> tuple[Settings, ...]:
    if _has(network, "lstm", "gru"):
        return ()  # it would unroll the steps and compile them for more than ten minutes
    images = {"channels_last": True} if _has(network, "conv2d") else {}
    return ({"compiled": True, **images},)


def _jax(network: Network) -> tuple[Settings, ...]:
    return ({}, {"unroll": 5}) if _has(network, "lstm", "gru") else ({},)


def _sklearn(network: Network) -> tuple[Settings, ...]:
    return THREADS if all(layer.type in ("dense", "relu") for layer in network.layers) else ()


def _has(network: Network, *types: str) -> bool:
    return any(layer.type in types for layer in network.layers)


OURS = Kind("derive", "derive_peer", "Derive", "numpy", _any(*THREADS))
PEERS = (
    Kind("PyTorch", "torch_peer", "Torch", "torch", _torch),
    Kind("compiled", "torch_peer", "Torch", "torch", _compiled),
    Kind("JAX", "jax_peer", "Jax", "jax", _jax),
    Kind("autograd", "autograd_peer", "Autograd", "autograd", _any(*THREADS)),
    Kind("sklearn", "sklearn_peer", "ScikitLearn", "sklearn", _sklearn),
    Kind("NumPy", "numpy_peer", "TextbookNumPy", "numpy", _any(*THREADS)),
    Kind(
        "products",
        "matrix_products",
        "MatrixProducts",
        "numpy",
        _any(*({**t, "features_first": f} for t in THREADS for f in (False, True))),
    ),
)


def load_file(path: Path) -> ModuleType:
    """A module of somebody else's, with `make(letter)`, which gives an object with `step()`."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
