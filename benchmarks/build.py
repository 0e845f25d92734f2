"""Seconds from a spec to code, as layers grow: ours, and others that also build before they run.

The network is a stack of dense layers with relu, all of other widths or all of the same. SymPy
differentiates the same stack written out in matrices of single symbols, which grows with widths.
Every measurement has a process of its own, and a limit.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import child

LAYERS = (10, 100, 1000)
LIMIT = 60.0  # seconds
CASES = {
    "derive, module, distinct layers": ("module", "distinct"),
    "derive, module, repeated layers": ("module", "repeated"),
    "derive, module, repeat = layers": ("module", "repeat"),
    "derive, module and pages, distinct": ("pages", "distinct"),
    "derive, module and pages, repeated": ("pages", "repeated"),
    "derive, module and pages, repeat": ("pages", "repeat"),
    "JAX, trace and compile, distinct": ("jax", "distinct"),
    "JAX, trace and compile, repeated": ("jax", "repeated"),
    "torch.compile, first step, distinct": ("torch", "distinct"),
    "torch.compile, first step, repeated": ("torch", "repeated"),
}
SYMPY = ((1, 4), (1, 16), (2, 4), (3, 4))  # layers, widths


def table(layers: tuple[int, ...] = LAYERS, limit: float = LIMIT) -> list[str]:
    """A row for each way to build; one that has taken too long is not tried with more layers."""
    rows = [f"{'seconds':38}" + "".join(f"{f'{n:,} layers':>15}" for n in layers)]
    for title, (how, widths) in CASES.items():
        cells, over = [], False
        for n in layers:
            cell = "-" if over else _seconds(limit, how, widths, str(n))
            over = over or not cell[0].isdigit()
            cells.append(f"{cell:>15}")
        rows.append(f"{title:38}" + "".join(cells))
    rows.append("")
    for n, width in SYMPY:
        title = f"SymPy, explicit matrices, {n} of {width} x {width}"
        rows.append(f"{title:38}{_seconds(limit, 'sympy', str(width), str(n)):>15}")
    return rows


def _seconds(limit: float, *arguments: str) -> str:
    try:
        return f"{child.call('benchmarks.build', *arguments, limit=limit + 10):.2f}"
    except child.TooLong:
        return f"> {limit:.0f}"
    except RuntimeError as failure:
        return "not installed" if "No module named" in str(failure) else "failed"


def spec(layers: int, widths: str) -> str:
    """A stack of dense layers; distinct ones have the widths 9, 10, 11, ..."""
    if widths == "repeat":
        return spec(1, "repeated").replace("[loss]", f"repeat = {layers}\n[loss]")
    sizes = [8 + (k + 1) * (widths == "distinct") for k in range(layers)]
    table = '[[layers]]\ntype = "dense"\nactivation = "relu"\nunits = {}\n'
    return (
        'name = "stack"\n[input]\nshape = [8]\n'
        + "".join(map(table.format, sizes))
        + '[loss]\ntype = "softmax_cross_entropy"\n[optimizer]\ntype = "adam"\n'
    )


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _ours(how: str, widths: str, layers: int) -> float:
    from derive import pipeline

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stack.toml"
        path.write_text(spec(layers, widths))
        if how == "pages":
            return _timed(lambda: pipeline.generate(path))
        return _timed(lambda: pipeline.derive_network(path).source())


def _shapes(widths: str, layers: int) -> list[tuple[int, int]]:
    sizes = [8, *(8 + (k + 1) * (widths == "distinct") for k in range(layers))]
    return [*itertools.pairwise(sizes)]


def _jax(how: str, widths: str, layers: int) -> float:
    import jax
    import jax.numpy as jnp

    def loss(params: list, x: jax.Array, y: jax.Array) -> jax.Array:
        for W, b in params:
            x = jax.nn.relu(x @ W + b)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], 1))

    shapes = _shapes(widths, layers)
    real, whole = jnp.float32, jnp.int32
    params = [(jax.ShapeDtypeStruct(s, real), jax.ShapeDtypeStruct(s[1:], real)) for s in shapes]
    x, y = jax.ShapeDtypeStruct((32, 8), real), jax.ShapeDtypeStruct((32,), whole)
    jax.jit(lambda a: a + 1).lower(x).compile()  # what JAX loads only once
    return _timed(lambda: jax.jit(jax.value_and_grad(loss)).lower(params, x, y).compile())


def _torch(how: str, widths: str, layers: int) -> float:
    import torch
    import torch.nn.functional as F

    torch._dynamo.config.cache_size_limit = 64
    params = [
        (torch.randn(o, i, requires_grad=True), torch.zeros(o, requires_grad=True))
        for i, o in _shapes(widths, layers)
    ]

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        for W, b in params:
            x = F.relu(F.linear(x, W, b))
        return F.cross_entropy(x, y)

    x, y = torch.randn(32, 8), torch.zeros(32, dtype=torch.int64)
    with tempfile.TemporaryDirectory() as folder:
        import os

        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder  # nothing compiled before counts
        return _timed(lambda: torch.compile(loss)(x, y).backward())


def _sympy(how: str, width: str, layers: int) -> float:
    from sympy import Matrix, Symbol, log, tanh

    size = int(width)
    W = [Matrix(size, size, lambda i, j, k=k: Symbol(f"W{k}_{i}_{j}")) for k in range(layers)]
    x = Matrix(size, 1, lambda i, _: Symbol(f"x_{i}"))

    def gradients() -> list[Matrix]:
        z = x
        for matrix in W:
            z = (matrix * z).applyfunc(tanh)
        loss = log(sum(math.e**e for e in z)) - z[0]
        return [matrix.applyfunc(lambda w: loss.diff(w)) for matrix in W]

    return _timed(gradients)


if __name__ == "__main__":
    how, widths, layers = sys.argv[1:]
    build = {"module": _ours, "pages": _ours, "jax": _jax, "torch": _torch, "sympy": _sympy}[how]
    print(json.dumps(build(how, widths, int(layers))))
