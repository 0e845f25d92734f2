"""The peers on a workload: built, their gradients and losses checked, their settings chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks import threads
from benchmarks.accuracy import Error, error
from benchmarks.peers.numpy_peer import TextbookNumPy
from benchmarks.peers.table import PEERS, Kind
from benchmarks.rounds import Entry, fastest
from benchmarks.workloads import Problem, Workload, problem


@dataclass(frozen=True)
class Competitor:
    """A peer that takes part: its setting, and how far its gradients are from the exact ones.

    `enter` is called before its turn. Matrix products and a reference have no gradients.
    """

    peer: Any
    setting: str
    enter: Callable[[], object]
    error: Error | None = None

    @property
    def step(self) -> Entry:
        """A training step, to be timed."""
        return Entry(self.peer.step, self.enter)


@dataclass(frozen=True)
class Contest:
    """Who takes part in a workload, by heading; who was excluded or is not there, and why."""

    problem: Problem
    peers: Mapping[str, Competitor]
    absent: Mapping[str, str]
    wrong: Mapping[str, str]


class Wrong(Exception):
    """A peer computes something else."""


def contest(
    workload: Workload, kinds: Sequence[Kind], reference: ModuleType | None = None
) -> Contest:
    """All peers that are installed and right, each with the setting that suits it best."""
    given = problem(workload)
    exact, losses = _exact(given)
    peers: dict[str, Competitor] = {}
    absent: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for kind in kinds:
        offered = kind.settings(given.network)
        if missing := kind.missing():
            absent[kind.heading] = f"{missing} is not installed"
        elif offered:
            try:
                tried = [_competitor(kind, given, chosen, exact, losses) for chosen in offered]
            except Wrong as found:
                wrong[kind.heading] = str(found)
            except Exception as failure:  # noqa: BLE001  # in somebody else's code; it is told
                absent[kind.heading] = f"{type(failure).__name__}: {failure}".splitlines()[0]
            else:
                peers[kind.heading] = _fastest(tried)
    made = reference and reference.make(workload.letter)
    if made is not None:
        nothing = partial(threads.use, 1)
        enter = getattr(made, "enter", nothing)
        peers["reference"] = Competitor(made, getattr(made, "setting", ""), enter)
    return Contest(given, peers, absent, wrong)


def _competitor(
    kind: Kind,
    given: Problem,
    settings: Mapping[str, Any],
    exact: Mapping[str, np.ndarray],
    losses: Sequence[float],
) -> Competitor:
    """A peer whose gradients are right, and whose first steps have the right losses.

    Both are looked at, because what is timed is `step` and not `gradients`.
    """
    peer = kind.build(given, settings)
    enter = partial(threads.use, peer.threads)
    enter()
    setting = ", ".join(f"{name} {value}" for name, value in settings.items())
    if not hasattr(peer, "gradients"):
        return Competitor(peer, setting, enter)
    found = error(peer.gradients(), exact)
    if not found.small:
        raise Wrong(f"gradients off by {found.worst:.1e} in {found.name}")
    own = [float(peer.step()) for _ in losses]
    changes = np.diff(own), np.diff(losses)
    if not (np.allclose(own, losses, rtol=1e-4) and np.allclose(*changes, rtol=0.1, atol=3e-6)):
        raise Wrong(f"losses {own} where {list(losses)} are exact")
    return Competitor(peer, setting, enter, found)


def _fastest(tried: Sequence[Competitor]) -> Competitor:
    return tried[int(fastest({str(k): one.step for k, one in enumerate(tried)}))]


def _exact(given: Problem) -> tuple[dict[str, np.ndarray], list[float]]:
    """Gradients and the losses of three steps in float64, by PyTorch where it is installed."""
    if PEERS[0].missing():
        wide = {name: w.astype(np.float64) for name, w in given.params.items()}
        x = given.x if given.x.dtype.kind == "i" else given.x.astype(np.float64)
        peer: Any = TextbookNumPy(replace(given, params=wide, x=x))
    else:
        import torch

        peer = PEERS[0].build(given, {"dtype": torch.float64})
    return peer.gradients(), [float(peer.step()) for _ in range(3)]
