"""Sums over windows in every order of axes, against the interpreter: values and cotangents."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import pytest
from lowered_programs import run_fresh, run_workspace
from numpy.testing import assert_allclose
from test_convolution import arrays, derived, spans

from derive.code import window_rows
from derive.code.layout import AS_WRITTEN, BATCH_LAST, FEATURES_FIRST, Layout
from derive.code.lowering import lower
from derive.language.interpreter import evaluate

LAYOUTS = {"written": AS_WRITTEN, "batch": BATCH_LAST, "features": FEATURES_FIRST}
BATCH = 2


@functools.cache
def exact(text, inputs, sizes):
    """Program, results, arrays and what the interpreter computes of them, for all layouts."""
    inputs, sizes = dict(inputs), dict(sizes)
    gradients = derived(text, inputs, sizes).gradients
    program = gradients.program
    given = arrays(inputs, sizes, BATCH)
    seed = next(t for t in program.inputs if t.name == "z_bar")
    shape = [BATCH if i.name == "n" else int(i.size) for i in seed.axes]
    given["z_bar"] = np.random.default_rng(9).normal(size=shape)
    results = ("z", *(gradients.cotangents[t] for t in inputs))
    return program, results, given, evaluate(program, given)


def compare(text: str, inputs: Mapping[str, str], sizes: Mapping[str, int], layout: Layout) -> str:
    """Value and all cotangents, in both forms that a module has; the text of the statements.

    What is written `x` in the text is computed from the input x, and z from what is written `z`, so
    that a layout may order the axes of both.
    """
    axes, result = ",".join(inputs["x"]), text[text.index("z[") + 1 :].partition("]")[0] + "]"
    text = f"a[{axes}] = sin(x[{axes}])\n" + text.replace("x[", "a[").replace("z[", "o[")
    text += f"\nz{result} = o{result}**2"
    program, results, given, expected = exact(text, tuple(inputs.items()), tuple(sizes.items()))
    for run in (run_fresh, run_workspace):
        found = run(program, results, given, np.float64, layout)
        for t in results:
            assert_allclose(found[t], expected[t], rtol=1e-9, atol=1e-9, err_msg=t)
    return "\n".join(s.into or s.fresh for s in lower(program, results, layout).statements)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "size, kernel, stride, dilation, padding",
    [
        (7, 3, 1, 1, 0),
        (7, 3, 1, 1, "same"),
        (8, 3, 2, 1, 1),
        (9, 3, 1, 2, "same"),
        (9, 2, 3, 1, 0),
        (5, 5, 1, 1, 0),
        (4, 3, 1, 3, "same"),
        (3, 2, 2, 4, "same"),
    ],
)
def test_one_axis(size, kernel, stride, dilation, padding, layout):
    count, before, _ = spans(size, kernel, stride, dilation, padding)
    compare(
        f"z[n,p,j] = sum[k,c](x[n,{stride}*p+{dilation}*k-{before},c] * W[k,c,j]) + b[j]",
        {"x": "nhc", "W": "kcj", "b": "j"},
        {"h": size, "p": count, "k": kernel, "c": 2, "j": 3},
        LAYOUTS[layout],
    )


SQUARES = [
    ((6, 6), (3, 3), (1, 1), (1, 1), "same", (2, 3)),
    ((6, 7), (3, 2), (1, 1), (1, 1), 0, (3, 2)),
    ((7, 5), (5, 3), (1, 1), (1, 1), "same", (16, 2)),
    ((7, 5), (3, 3), (2, 1), (1, 1), 1, (2, 3)),
    ((8, 8), (2, 2), (2, 2), (1, 1), 0, (1, 4)),
    ((7, 7), (3, 3), (1, 1), (2, 2), "same", (2, 2)),
    ((7, 9), (2, 3), (1, 2), (1, 3), "same", (1, 5)),
    ((5, 5), (1, 1), (1, 1), (1, 1), 0, (2, 3)),
    ((5, 4), (5, 4), (1, 1), (1, 1), 0, (2, 3)),
    ((4, 4), (3, 3), (1, 1), (3, 3), "same", (2, 2)),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape, kernel, stride, dilation, padding, features", SQUARES)
def test_two_axes(shape, kernel, stride, dilation, padding, features, layout):
    text = two_axes(shape, kernel, stride, dilation, padding, features, LAYOUTS[layout])
    if layout == "batch" and dilation[0] == stride[0] == 1 and kernel not in ((1, 1), (5, 4)):
        assert "sliding_window_view({_" in text
        assert f"}}, {kernel[0]}, 0)" in text


def two_axes(shape, kernel, stride, dilation, padding, features, layout) -> str:
    pairs = zip(shape, kernel, stride, dilation, strict=True)
    (p, top, _), (q, left, _) = (spans(*pair, padding) for pair in pairs)
    (s, t), (d, e), (c, f) = stride, dilation, features
    return compare(
        f"z[n,p,q,f] = sum[k,l,c](x[n,{s}*p+{d}*k-{top},{t}*q+{e}*l-{left},c]*W[k,l,c,f]) + b[f]",
        {"x": "nhwc", "W": "klcf", "b": "f"},
        {
            **dict(zip("hw", shape, strict=True)),
            **dict(zip("kl", kernel, strict=True)),
            "p": p,
            "q": q,
            "c": c,
            "f": f,
        },
        layout,
    )


@pytest.mark.parametrize("block", [1, 3000, 2**20])
@pytest.mark.parametrize("shape, kernel, stride, dilation, padding, features", SQUARES)
def test_some_rows_at_a_time(
    shape, kernel, stride, dilation, padding, features, block, monkeypatch
):
    """Whatever is large is computed in blocks of rows, of which borders see fewer taps."""
    monkeypatch.setattr(window_rows, "LARGE", 0)
    monkeypatch.setattr(window_rows, "BLOCK", block)
    two_axes(shape, kernel, stride, dilation, padding, features, BATCH_LAST)


@pytest.mark.parametrize("apart", [0, 9])
def test_rows_that_see_fewer_taps_stand_alone_or_among_zeros(apart, monkeypatch):
    monkeypatch.setattr(window_rows, "LARGE", 0)
    monkeypatch.setattr(window_rows, "APART", apart)
    compare(
        "z[n,p,q,f] = sum[k,l,c](x[n,p+k-4,q+l-4,c]*W[k,l,c,f])",
        {"x": "nhwc", "W": "klcf"},
        {"h": 8, "w": 8, "p": 12, "q": 12, "k": 5, "l": 5, "c": 16, "f": 2},
        BATCH_LAST,
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stride, padding", [(1, 0), (1, 1), (2, 0), (2, 1)])
def test_depthwise_grouped_and_three_axes(stride, padding, layout):
    count = spans(6, 3, stride, 1, padding)[0]
    at = f"x[n,{stride}*p+k-{padding},{stride}*q+l-{padding}"
    sizes = {"h": 6, "w": 6, "p": count, "q": count, "k": 3, "l": 3}
    compare(
        f"z[n,p,q,c] = sum[k,l]({at},c]*W[k,l,c])",
        {"x": "nhwc", "W": "klc"},
        sizes | {"c": 3},
        LAYOUTS[layout],
    )
    compare(
        f"z[n,p,q,g,f] = sum[k,l,c]({at},g,c]*W[k,l,g,c,f])",
        {"x": "nhwgc", "W": "klgcf"},
        sizes | {"g": 2, "c": 2, "f": 3},
        LAYOUTS[layout],
    )
    three = f"{at},{stride}*r+m-{padding}"
    compare(
        f"z[n,p,q,r,f] = sum[k,l,m,c]({three},c]*W[k,l,m,c,f])",
        {"x": "nhwdc", "W": "klmcf"},
        sizes | {"d": 6, "r": count, "m": 3, "c": 2, "f": 3},
        LAYOUTS[layout],
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stride, padding", [(1, 0), (1, 1), (2, 0), (2, 1)])
def test_transposed(stride, padding, layout):
    count = stride * 4 + 3 - 2 * padding
    compare(
        f"z[n,p,q,f] = sum[i,j,k,l,c](x[n,i,j,c]*W[k,l,c,f]"
        f" * (p == {stride}*i+k-{padding}) * (q == {stride}*j+l-{padding}))",
        {"x": "nijc", "W": "klcf"},
        {"i": 5, "j": 5, "p": count, "q": count, "k": 3, "l": 3, "c": 2, "f": 3},
        LAYOUTS[layout],
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_factors_and_orders(layout):
    """Weights for each place, a product of factors, features first, two convolutions in a row."""
    sizes = {"h": 6, "w": 6, "p": 4, "q": 4, "k": 3, "l": 3, "c": 2, "f": 3}
    for text, inputs in (
        (
            "z[n,p,q,f] = sum[k,l,c](x[n,p+k,q+l,c]*W[p,q,k,l,c,f])",
            {"x": "nhwc", "W": "pqklcf"},
        ),
        (
            "z[n,f,p,q] = sum[c,k,l](x[n,c,p+k,q+l]*W[f,c,k,l])",
            {"x": "nchw", "W": "fckl"},
        ),
        (
            "z[n,p,q,f] = sum[k,l,c](x[n,p+k,q+l,c]*W[k,l,c,f]*v[n,c])",
            {"x": "nhwc", "W": "klcf", "v": "nc"},
        ),
        (
            "z[n,p,q] = sum[k,l,c](x[n,p+k,q+l,c]*W[k,l]*u[c])",
            {"x": "nhwc", "W": "kl", "u": "c"},
        ),
        (
            "y[n,i,j,c] = sum[k,l](x[n,i+k-1,j+l-1,c]*V[k,l])\n"
            "z[n,p,q,f] = sum[k,l,c](y[n,p+k,q+l,c]*W[k,l,c,f])",
            {"x": "nhwc", "V": "kl", "W": "klcf"},
        ),
    ):
        more = {"i": 6, "j": 6} if "j" in text else {}
        known = text + "".join(inputs.values())
        own = {i: n for i, n in (sizes | more).items() if i in known}
        compare(text, inputs, own, LAYOUTS[layout])


def test_columns_are_added_in_the_end_where_that_is_less():
    """One feature from many: the features are summed before the columns are."""
    text = compare(
        "z[n,p,q,f] = sum[k,l,c](x[n,p+k,q+l,c]*W[k,l,c,f])",
        {"x": "nhwc", "W": "klcf"},
        {"h": 8, "w": 8, "p": 6, "q": 6, "k": 3, "l": 3, "c": 32, "f": 1},
        BATCH_LAST,
    )
    assert "sum[l]" in text


def test_zeros_around_are_written_once():
    """What no window's element is stays 0, and is not filled at every step."""
    text = compare(
        "z[n,p,q,f] = sum[k,l,c](x[n,p+k-1,q+l-1,c]*W[k,l,c,f])",
        {"x": "nhwc", "W": "klcf"},
        {"h": 6, "w": 6, "p": 6, "q": 6, "k": 3, "l": 3, "c": 2, "f": 3},
        BATCH_LAST,
    )
    assert "np.zeros" in text
    assert ".fill(0)" not in text
