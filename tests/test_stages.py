"""Windows in stages: maxima, minima and means with their cotangents, in every layout.

Values are few whole numbers, so that most windows hold equal elements: the first in the order of
the bound indices takes the whole cotangent, as it does in PyTorch.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from lowered_programs import Workspace, namespace
from numpy.testing import assert_allclose

from derive.code import layout
from derive.code.lowering import lower
from derive.code.numpy_printer import allocation, lines, prefixed
from derive.code.scheduling import fresh, workspace
from derive.gradients.derivation import reverse
from derive.gradients.normal_form import flatten
from derive.language.formula import parse
from derive.language.notation import Access, Program, Tensor
from derive.numerics.stability import stabilize

LAYOUTS = {"as written": layout.AS_WRITTEN, "batch last": layout.BATCH_LAST}
LAYOUTS |= {"features first": layout.FEATURES_FIRST}


def derived(text: str, axes: str, sizes: dict[str, int]) -> Program:
    """The program of `z` and `x_bar`; the batch's size stays open."""
    program = parse(text, sizes=sizes, inputs={"x": tuple(axes)})
    known = dict(program.sizes)

    def number(e: Any) -> Any:
        renamed = {
            i: i.resized(i.size.xreplace(known)) for i in e.free_symbols if hasattr(i, "size")
        }
        return e.xreplace(renamed | known)

    equations = tuple(
        type(e)(e.target, tuple(map(number, e.indices)), number(e.body), e.origin)
        for e in program.equations
    )
    inputs = tuple(Tensor(t.name, tuple(map(number, t.axes))) for t in program.inputs)
    program = flatten(Program(equations, inputs))
    own = program.equation("z").indices
    seeded = replace(program, inputs=(*program.inputs, Tensor("z_bar", own)))
    gradients = reverse(seeded, ("x",), {"z": Access("z_bar", *own)})
    return stabilize(gradients.program, "exact")


def computed(program: Program, order: layout.Layout, x: Any, z_bar: Any) -> tuple[Any, Any, str]:
    """z and x_bar as a workspace computes them, in the second of two runs, and its lines."""
    results = ("z", "x_bar")
    schedule = workspace(lower(program, results, order, ("z", "x", "z_bar")), ("x_bar",))
    names = prefixed(schedule, "ws.")
    known = namespace(program, {"x": x, "z_bar": z_bar}, x.dtype) | {"ws": Workspace()}
    ws = known["ws"]
    for tensor, a in (("x", x), ("z_bar", z_bar), ("x_bar", np.full_like(x, np.nan))):
        if tensor not in schedule.names:
            continue
        there = a.transpose(np.argsort(_order(schedule.turned.get(tensor, ""), a.ndim)))
        setattr(ws, names[schedule.names[tensor]].removeprefix("ws."), there.copy())
    exec("\n".join(allocation(schedule, names, {})), known)
    code = "\n".join(lines(schedule.statements, names, {}))
    exec(code, known)
    exec(code, known)
    found = []
    for tensor in results:
        array = vars(ws)[names[schedule.names[tensor]].removeprefix("ws.")]
        found.append(array.transpose(_order(schedule.turned.get(tensor, ""), array.ndim)))
    return found[0], found[1], code


def _order(turned: str, rank: int) -> tuple[int, ...]:
    """The order of axes that `.T` or `.transpose(2, 0, 1)` asks for."""
    own = tuple(range(rank))
    return tuple(map(int, re.findall(r"\d+", turned))) or (own[::-1] if turned else own)


def reference(f: Any, op: str, kernel: Any, stride: Any, padding: Any, x: Any) -> Any:
    x = x.permute(0, 3, 1, 2)
    if op == "min":
        z = -f.max_pool2d(-x, kernel, stride, padding)
    else:
        pool = f.max_pool2d if op == "max" else f.avg_pool2d
        z = pool(x, kernel, stride, padding)
    return z.permute(0, 2, 3, 1)


CASES = [
    ((6, 8), (2, 2), (2, 2), 0),
    ((7, 9), (2, 2), (2, 2), 0),
    ((7, 9), (3, 3), (2, 2), 0),
    ((6, 8), (3, 3), (2, 2), 1),
    ((6, 5), (3, 2), (1, 1), 0),
    ((5, 5), (3, 3), (1, 1), 1),
    ((9, 9), (2, 3), (3, 3), 0),
    ((6, 6), (1, 2), (1, 2), 0),
    ((8, 8), (4, 4), (2, 2), 0),
]


@pytest.mark.parametrize("order", LAYOUTS)
@pytest.mark.parametrize("size, kernel, stride, padding", CASES)
@pytest.mark.parametrize("op", ["max", "min", "mean"])
def test_windows(op, size, kernel, stride, padding, order):
    torch = pytest.importorskip("torch")
    counts = [(n + 2 * padding - k) // s + 1 for n, k, s in zip(size, kernel, stride, strict=True)]
    text = f"z[n,p,q,c] = {op}[k,l](x[n,{stride[0]}*p+k-{padding},{stride[1]}*q+l-{padding},c])"
    sizes = dict(zip("pqklhwc", (*counts, *kernel, *size, 3), strict=True))
    program = derived(text, "nhwc", sizes)
    rng = np.random.default_rng(3)
    x = rng.integers(-1, 2, (4, *size, 3)).astype(float)
    z_bar = rng.normal(size=(4, *counts, 3))
    t = torch.tensor(x, requires_grad=True)
    z = reference(torch.nn.functional, op, kernel, stride, padding, t)
    z.backward(torch.tensor(z_bar))
    value, x_bar, code = computed(program, LAYOUTS[order], x, z_bar)
    assert_allclose(value, z.detach().numpy(), rtol=1e-14, atol=1e-15)
    assert_allclose(x_bar, t.grad.numpy(), rtol=1e-14, atol=1e-15)
    if 1 not in kernel:
        assert "argm" not in code
        assert "sliding_window_view" not in code


@pytest.mark.parametrize("order", LAYOUTS)
@pytest.mark.parametrize("op", ["max", "min"])
def test_all_places_at_once(op, order):
    """Extrema over whole axes: the first of equal elements, row by row."""
    program = derived(f"z[n,c] = {op}[h,w](x[n,h,w,c])", "nhwc", {"h": 4, "w": 5, "c": 3})
    rng = np.random.default_rng(4)
    x = rng.integers(0, 3, (4, 4, 5, 3)).astype(float)
    z_bar = rng.normal(size=(4, 3))
    value, x_bar, _ = computed(program, LAYOUTS[order], x, z_bar)
    flat = x.reshape(4, 20, 3)
    first = flat.argmax(1) if op == "max" else flat.argmin(1)
    exact = np.zeros_like(flat)
    np.put_along_axis(exact, first[:, None], z_bar[:, None], 1)
    assert np.array_equal(value, np.take_along_axis(flat, first[:, None], 1)[:, 0])
    assert np.array_equal(x_bar, exact.reshape(x.shape))


@pytest.mark.parametrize("order", LAYOUTS)
def test_every_order_of_four_elements(order):
    """All windows of 2 x 2 over three values: as NumPy finds the first maximum, row by row."""
    sizes = {"p": 1, "q": 1, "k": 2, "l": 2, "h": 2, "w": 2, "c": 1}
    program = derived("z[n,p,q,c] = max[k,l](x[n,2*p+k,2*q+l,c])", "nhwc", sizes)
    windows = np.array([*itertools.product((0.0, -1.0, 1.0), repeat=4)])
    z_bar = np.random.default_rng(7).normal(size=(len(windows), 1, 1, 1))
    _, x_bar, _ = computed(program, LAYOUTS[order], windows.reshape(-1, 2, 2, 1), z_bar)
    exact = np.zeros_like(windows)
    np.put_along_axis(exact, windows.argmax(1)[:, None], z_bar[:, :, 0, 0], 1)
    assert np.array_equal(x_bar.reshape(-1, 4), exact)


def test_places_that_are_a_result_are_integers():
    program = derived("z[n,p] = max[k](x[n,2*p+k])", "nh", {"p": 40, "k": 2, "h": 80})
    names = ("z", "z_argmax", "x_bar")
    schedule = fresh(lower(program, names))
    x = np.random.default_rng(5).integers(0, 2, (3, 80)).astype(float)
    known = namespace(program, {"x": x, "z_bar": np.ones((3, 40))}, x.dtype)
    known |= {schedule.names["x"]: x, schedule.names["z_bar"]: np.ones((3, 40))}
    exec("\n".join(lines(schedule.statements, prefixed(schedule, ""), {})), known)
    places = known[schedule.names["z_argmax"]]
    assert places.dtype == np.int64
    assert np.array_equal(places, x.reshape(3, 40, 2).argmax(2))


def test_slices_and_masks_take_the_place_of_windows():
    sizes = {"p": 12, "q": 12, "k": 2, "l": 2, "h": 24, "w": 24, "c": 6}
    program = derived("z[n,p,q,c] = max[k,l](x[n,2*p+k,2*q+l,c])", "nhwc", sizes)
    rng = np.random.default_rng(6)
    x, z_bar = rng.normal(size=(2, 24, 24, 6)), rng.normal(size=(2, 12, 12, 6))
    code = computed(program, layout.BATCH_LAST, x, z_bar)[2]
    calls = [line.split("(")[0].removeprefix("np.") for line in code.splitlines()]
    calls = [
        c for c in calls if c in ("less", "maximum", "multiply", "subtract", "copyto", "equal")
    ]
    assert calls == [*["less", "maximum"] * 2, *["multiply", "subtract"] * 2]
