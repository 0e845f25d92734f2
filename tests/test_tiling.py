"""Loops over tiles: what joins one, what must not, and that the numbers are the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sympy import Symbol

from derive.code.lowering import lower
from derive.code.numpy_printer import allocation, lines
from derive.code.scheduling import Schedule, workspace
from derive.code.tiling import TILE, tiled
from derive.gradients.normal_form import flatten
from derive.language.formula import parse
from derive.render import render

SIZES = {Symbol(name, integer=True, positive=True): 2000 for name in "NJ"}
CHAIN = """
    z[n,j] = exp(x[n,j]) + b[j]
    h[n,j] = sin(z[n,j])*z[n,j]
    y[n,j] = h[n,j]/(1 + h[n,j]**2)"""


def plain(text: str, *results: str) -> Schedule:
    program = flatten(parse(text))
    return workspace(lower(program, results), tuple(t.name for t in program.inputs))


def loops(schedule: Schedule, results: tuple[str, ...], size: int = 2000) -> Schedule:
    symbols = {s for b in schedule.buffers for e in b.shape for s in e.free_symbols}
    sizes = dict.fromkeys(symbols, size)
    return tiled(schedule, [len(schedule.statements)], results, sizes)


def tiles_function() -> Any:
    """`_tiles` as the modules have it."""
    source = render.__globals__["_PLAIN"].loader.get_source(None, "network.py.jinja")[0]
    start = source.index("def _tiles")
    space = {"np": np, "math": math, "TILE": TILE}
    exec(source[start : source.index("{% endfor %}", start)], space)
    return space["_tiles"]


def run(schedule: Schedule, space: dict[str, Any]) -> dict[str, Any]:
    names = {b.name: b.name for b in schedule.buffers}
    space = {**space, "np": np, "dtype": np.dtype(float), "TILE": TILE, "_tiles": tiles_function()}
    space["_empty"] = np.empty
    exec("\n".join(allocation(schedule, names, {})), space)
    exec("\n".join(lines(schedule.statements, names, {})), space)
    return space


def test_a_chain_is_one_loop_and_its_arrays_are_tiles() -> None:
    before = plain(CHAIN, "y")
    after = loops(before, ("y",))
    assert len({s.loop for s in after.statements}) == 1
    assert after.statements[0].loop is not None
    kept = {b for slot in after.slots for b in slot.buffers}
    assert kept == {"y"} or "h" not in kept
    assert len(after.slots) <= len(before.slots)


def test_the_numbers_are_the_same() -> None:
    rng = np.random.default_rng(0)
    before = plain(CHAIN, "y", "h")
    after = loops(before, ("y", "h"))
    for n, j in ((3, 4), (300, 700), (2, 70_000)):
        space = {"N": n, "J": j, "x": rng.standard_normal((n, j)), "b": rng.standard_normal(j)}
        wanted, found = run(before, space), run(after, space)
        assert np.array_equal(wanted["y"], found["y"]) and np.array_equal(wanted["h"], found["h"])


def test_small_arrays_stay_as_they_are() -> None:
    before = plain(CHAIN, "y")
    assert loops(before, ("y",), 10) == before


def test_a_reduction_ends_a_loop() -> None:
    text = """
    e[n,j] = exp(x[n,j]) + 1
    s[n] = sum[j](e[n,j])
    p[n,j] = e[n,j]/s[n]
    q[n,j] = p[n,j]*x[n,j]"""
    after = loops(plain(text, "q", "e"), ("q", "e"))
    reduction = next(k for k, s in enumerate(after.statements) if "ones" in s.text)
    assert not after.statements[reduction].loop
    before = {s.loop for s in after.statements[:reduction]}
    assert not before & {s.loop for s in after.statements[reduction + 1 :]} - {None}


def test_a_loop_reads_nothing_elsewhere_that_it_writes() -> None:
    text = """
    a[n,j] = exp(x[n,j])
    b[n,j] = a[n,j] + a[j,n]
    c[n,j] = b[n,j]*x[n,j]"""
    program = flatten(parse(text))
    before = workspace(lower(program, ("c",)), ("x",))
    after = loops(before, ("c",))
    x = np.random.default_rng(0).standard_normal((300, 300))
    names = {str(s): 300 for b in before.buffers for e in b.shape for s in e.free_symbols}
    space = {**names, "x": x}
    wanted = np.exp(x)
    assert np.array_equal(run(after, space)["c"], (wanted + wanted.T) * x)


def test_tiles_cover_arrays_once_and_fit_the_cache() -> None:
    tiles = tiles_function()
    for shape in ((5,), (TILE + 7,), (3, 50_000), (2, 3, 20_000), (70_000, 2)):
        a, b = np.zeros(shape), np.ones(shape[-1:]).reshape((1,) * (len(shape) - 1) + shape[-1:])
        scratch = np.empty(min(TILE, a.size))
        found = tiles(a, b, scratch=(scratch,))
        for part, row, free in found:
            assert part.size <= TILE and part.shape == free.shape
            np.add(part, row, out=free)
            np.copyto(part, free)
        assert (a == 1).all() and sum(t[0].size for t in found) == a.size
