"""JAX: loss, gradients and Adam in one compiled function that overwrites its state.

The batch lies on the device already; a step ends when its results are there. Images are N,H,W,C:
on two cores that was as fast as N,C,H,W for LeNet and faster for larger convolutions.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.layouts import packed, unpacked
from benchmarks.networks import run
from benchmarks.peers.adam import BETA1, BETA2, EPS, RATE
from benchmarks.peers.array_network import functions
from benchmarks.workloads import Problem

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp


class Jax:
    """A training step under `jax.jit`, its state donated; a loop unrolled by `unroll` steps."""

    threads = 1  # NumPy has no part in it

    def __init__(self, problem: Problem, unroll: int = 1) -> None:
        self.problem, self.unroll = problem, unroll
        self.params = {k: jnp.array(v) for k, v in packed(problem.params).items()}
        zeros = jax.tree_util.tree_map(jnp.zeros_like, self.params)
        self.state = (self.params, zeros, jax.tree_util.tree_map(jnp.copy, zeros), jnp.array(0))
        self.batch = jax.device_put(problem.x), jax.device_put(problem.y.astype(np.int32))
        self.update = jax.jit(self._update, donate_argnums=0)

    def step(self) -> Any:
        self.state, loss = self.update(self.state, *self.batch)
        jax.block_until_ready((self.state, loss))
        return loss

    def gradients(self) -> dict[str, np.ndarray]:
        found = jax.jit(jax.grad(self._loss))(self.state[0], *self.batch)
        return unpacked(found, {k: v.shape for k, v in self.problem.params.items()})

    def predictor(self, x: np.ndarray) -> Callable[[], Any]:
        given = jax.device_put(x)
        forward = jax.jit(lambda params, x: self._forward(params, x, training=False))
        return lambda: jax.block_until_ready(forward(self.state[0], given))

    def _forward(self, params: Any, x: Any, training: bool) -> Any:
        table = functions(jnp, {**SPECIAL, "scan": self._scan}, training)
        return run(self.problem.network, table, params, x)

    def _loss(self, params: Any, x: Any, y: Any) -> Any:
        log_p = jax.nn.log_softmax(self._forward(params, x, training=True))
        return -jnp.mean(jnp.take_along_axis(log_p, y[..., None], -1))

    def _update(self, state: Any, x: Any, y: Any) -> Any:
        params, m, v, t = state
        loss, g = jax.value_and_grad(self._loss)(params, x, y)
        t = t + 1
        tree_map = jax.tree_util.tree_map
        m = tree_map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
        v = tree_map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
        c1, c2 = 1 - BETA1 ** t.astype(jnp.float32), 1 - BETA2 ** t.astype(jnp.float32)
        params = tree_map(
            lambda w, m, v: w - RATE * (m / c1) / (jnp.sqrt(v / c2) + EPS), params, m, v
        )
        return (params, m, v, t), loss

    def _scan(self, step: Callable, states: Any, x: Any) -> Any:
        return jax.lax.scan(lambda s, u: (step(s, u), None), states, x, unroll=self.unroll)[0]


def _convolve(x: Any, W: Any) -> Any:
    return jax.lax.conv_general_dilated(
        x, W, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _pool(x: Any) -> Any:
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


SPECIAL = {"convolve": _convolve, "pool": _pool, "relu": jax.nn.relu, "erf": jax.lax.erf}
