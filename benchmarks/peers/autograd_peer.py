"""HIPS autograd: idiomatic array code, differentiated at each step; then Adam in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad

from benchmarks.layouts import packed, unpacked
from benchmarks.networks import run
from benchmarks.peers.array_network import functions
from benchmarks.peers.numpy_peer import Adam
from benchmarks.workloads import Problem


class Autograd:
    """A training step by `value_and_grad`."""

    def __init__(self, problem: Problem, threads: int = 2) -> None:
        self.problem, self.threads = problem, threads
        self.params = packed(problem.params)
        self.adam = Adam(self.params)
        self.value_and_grad = value_and_grad(self._loss)

    def step(self) -> Any:
        loss, gradients = self.value_and_grad(self.params)
        self.adam.step(gradients)
        return loss

    def gradients(self) -> dict[str, np.ndarray]:
        _, found = self.value_and_grad(self.params)
        return unpacked(found, {k: v.shape for k, v in self.problem.params.items()})

    def predictor(self, x: np.ndarray) -> Callable[[], Any]:
        table = functions(anp, _special(), training=False)
        return lambda: run(self.problem.network, table, self.params, x)

    def _loss(self, params: Any) -> Any:
        table = functions(anp, _special(), training=True)
        z = run(self.problem.network, table, params, self.problem.x)
        z = anp.reshape(z, (-1, z.shape[-1]))
        z = z - anp.max(z, axis=1, keepdims=True)
        log_p = z - anp.log(anp.sum(anp.exp(z), axis=1, keepdims=True))
        return -anp.mean(log_p[np.arange(len(z)), self.problem.y.reshape(-1)])


def _convolve(x: Any, W: Any) -> Any:
    """The windows side by side, then one product."""
    kh, kw, c, filters = W.shape
    h, w = x.shape[1] - kh + 1, x.shape[2] - kw + 1
    windows = [x[:, k : k + h, l : l + w, :] for k in range(kh) for l in range(kw)]
    columns = anp.concatenate(windows, axis=3)
    return anp.matmul(columns, anp.reshape(W, (kh * kw * c, filters)))


def _pool(x: Any) -> Any:
    n, h, w, c = x.shape
    return anp.max(anp.max(anp.reshape(x, (n, h // 2, 2, w // 2, 2, c)), axis=4), axis=2)


def _scan(step: Callable, states: Any, x: Any) -> Any:
    for u in x:
        states = step(states, u)
    return states


def _special() -> dict[str, Callable]:
    special = {"convolve": _convolve, "pool": _pool, "scan": _scan}
    special["relu"] = lambda x: anp.maximum(x, 0)
    special["erf"] = _erf
    return special


def _erf(x: Any) -> Any:
    from autograd.scipy.special import erf  # SciPy is needed for this one function

    return erf(x)
