"""The limit: the matrix products of a step and nothing else, into arrays that are there already.

For each contraction C[m,n] = A[m,k] B[k,n] of the forward pass, those of its two cotangents; for
a convolution the product after im2col. It is no strict bound: a convolution has shapes that the
BLAS likes better than these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.networks import Layer, Network
from benchmarks.workloads import Problem


@dataclass(frozen=True)
class Product:
    """`stack` products A B of [m,k] and [k,n], `times` one after the other.

    `inner` says whether A has a cotangent, which the input of the network has not.
    """

    m: int
    k: int
    n: int
    inner: bool = True
    stack: int = 1
    times: int = 1


def products(network: Network, batch: int) -> tuple[Product, ...]:
    """The contractions of the forward pass."""
    return tuple(p for layer in network.layers for p in _of(layer, network, batch))


def _of(layer: Layer, network: Network, batch: int) -> Iterator[Product]:
    shape = network.shape(layer.inputs[0])
    rows, inner = batch * math.prod(shape[:-1]), layer.inputs[0] != "input"
    if layer.type == "dense":
        yield Product(rows, shape[-1], layer.shape[-1], inner)
    elif layer.type == "conv2d":
        columns = layer.fields["kernel_size"] ** 2 * shape[-1]
        yield Product(batch * math.prod(layer.shape[:-1]), columns, layer.shape[-1], inner)
    elif layer.type in ("lstm", "gru"):
        units, gates = layer.fields["units"], {"lstm": 4, "gru": 3}[layer.type]
        yield Product(rows, shape[-1], gates * units, inner)
        yield Product(batch, units, gates * units, times=shape[0])
    elif layer.type in ("multi_head_attention", "transformer_block"):
        (t, d), heads = shape, layer.fields["heads"]
        yield Product(rows, d, 3 * d, inner)
        yield Product(t, d // heads, t, stack=batch * heads)
        yield Product(t, t, d // heads, stack=batch * heads)
        yield Product(rows, d, d)
        if layer.type == "transformer_block":
            yield Product(rows, d, layer.fields["hidden"])
            yield Product(rows, layer.fields["hidden"], d)


class MatrixProducts:
    """The products of a step, with samples or with features as the rows."""

    def __init__(self, problem: Problem, threads: int = 2, features_first: bool = False) -> None:
        self.problem, self.threads, self.features_first = problem, threads, features_first
        self.calls = [*self._calls(len(problem.x), backward=True)]

    def step(self) -> float:
        for times, a, b, out in self.calls:
            for _ in range(times):
                np.matmul(a, b, out)
        return math.nan

    def predictor(self, x: np.ndarray) -> Callable[[], Any]:
        calls = [*self._calls(len(x), backward=False)]

        def forward() -> None:
            for times, a, b, out in calls:
                for _ in range(times):
                    np.matmul(a, b, out)

        return forward

    def _calls(self, batch: int, backward: bool) -> Iterator[tuple]:
        """(times, a, b, out) for each call."""
        for p in products(self.problem.network, batch):
            a, b, c = self._arrays(p, p.m)  # cotangents go elsewhere, or the numbers would grow
            yield p.times, a, b, c
            if not backward:
                continue
            if p.inner:
                yield (
                    p.times,
                    *((a.mT, c, b.copy()) if self.features_first else (c, b.mT, a.copy())),
                )
            # What a loop adds to the cotangent of its weights is one product after the loop.
            a, b, c = self._arrays(p, p.m * p.times)
            yield 1, *((c, b.mT, a.copy()) if self.features_first else (a.mT, c, b.copy()))

    def _arrays(self, p: Product, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """a, b and their product: samples as rows, [m,k] [k,n], or features, [n,k] [k,m]."""
        rows, columns = (p.n, m) if self.features_first else (m, p.n)
        stack = (p.stack,) if p.stack > 1 else ()
        shapes = ((rows, p.k), (p.k, columns), (rows, columns))
        a, b, c = (np.ones((*stack, *shape), np.float32) for shape in shapes)
        return a, b, c
