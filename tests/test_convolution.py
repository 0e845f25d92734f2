"""Convolution, pooling and upsampling as formulas, against PyTorch and the textbook.

Every formula is differentiated and compiled; strides, dilations and paddings of all kinds are in
the grids, windows larger than the stride and smaller, sizes that do not divide.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sympy import Expr

from derive.derived import Derivation
from derive.gradients.derivation import reverse
from derive.gradients.normal_form import flatten
from derive.language.formula import parse
from derive.language.notation import Access, Index, Program, Tensor

Sizes = Mapping[str, int]


def derived(text: str, inputs: Mapping[str, str], sizes: Sizes) -> Derivation:
    """The cotangents of all inputs; all sizes but that of the batch are numbers."""
    program = parse(text, sizes=sizes, inputs={k: tuple(v) for k, v in inputs.items()})
    known = dict(program.sizes)

    def numbered(e: Expr) -> Expr:
        return e.xreplace({i: i.resized(i.size.xreplace(known)) for i in e.atoms(Index)} | known)

    program = Program(
        tuple(
            replace(e, indices=tuple(map(numbered, e.indices)), body=numbered(e.body))
            for e in program.equations
        ),
        tuple(replace(t, axes=tuple(map(numbered, t.axes))) for t in program.inputs),
    )
    program = flatten(program)
    axes = program.equation(program.result).indices
    seeded = replace(program, inputs=(*program.inputs, Tensor("z_bar", axes)))
    operands = tuple(inputs)
    gradients = reverse(seeded, operands, {program.result: Access("z_bar", *axes)})
    return Derivation("vjp", text, operands, gradients, "exact", "z_bar")


def arrays(inputs: Mapping[str, str], sizes: Sizes, batch: int = 2) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    known = {**sizes, "n": batch}
    return {name: rng.normal(size=[known[i] for i in axes]) for name, axes in inputs.items()}


def compare(text: str, inputs: Mapping[str, str], sizes: Sizes, reference: Any) -> None:
    """Value and cotangents of the compiled formula against those of a function of torch tensors."""
    torch = pytest.importorskip("torch")
    given = arrays(inputs, sizes)
    module = derived(text, inputs, sizes).compile()
    tensors = {k: torch.tensor(a, requires_grad=True) for k, a in given.items()}
    expected = reference(torch.nn.functional, **tensors)
    value = module.value(**given)
    assert_allclose(value, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    seed = np.random.default_rng(8).normal(size=value.shape)
    expected.backward(torch.tensor(seed))
    found = module.vjp(seed, **given)
    for name, tensor in tensors.items():
        exact = tensor.grad.numpy()
        assert_allclose(found[name], exact, rtol=1e-10, atol=1e-11, err_msg=name)


def spans(size: int, kernel: int, stride: int, dilation: int, padding: Any) -> tuple[int, int, int]:
    """The number of windows, and the zeros before and after."""
    span = dilation * (kernel - 1) + 1
    if padding == "same":
        count = -(-size // stride)
        total = max((count - 1) * stride + span - size, 0)
        return count, total // 2, total - total // 2
    return (size + 2 * padding - span) // stride + 1, padding, padding


GRID = [
    case
    for case in itertools.product((7,), (1, 2, 3), (1, 2, 3), (1, 2, 3), (0, 1, "same"))
    if spans(*case)[0] > 0
]


@pytest.mark.parametrize("size, kernel, stride, dilation, padding", GRID)
def test_conv1d(size, kernel, stride, dilation, padding):
    count, before, after = spans(size, kernel, stride, dilation, padding)

    def reference(f, x, W, b):
        x = f.pad(x.permute(0, 2, 1), (before, after))
        z = f.conv1d(x, W.permute(2, 1, 0), b, stride, 0, dilation)
        return z.permute(0, 2, 1)

    compare(
        f"z[n,p,j] = sum[k,c](x[n,{stride}*p+{dilation}*k-{before},c] * W[k,c,j]) + b[j]",
        {"x": "nhc", "W": "kcj", "b": "j"},
        {"h": size, "p": count, "k": kernel, "c": 2, "j": 3},
        reference,
    )


SQUARES = [
    ((6, 7), (3, 2), (1, 2), (1, 1), "same"),
    ((7, 5), (3, 3), (2, 1), (1, 2), 1),
    ((8, 8), (2, 2), (2, 2), (1, 1), 0),
    ((7, 7), (2, 2), (2, 2), (1, 1), 1),
    ((7, 9), (2, 3), (3, 2), (2, 3), "same"),
    ((5, 5), (1, 1), (3, 1), (1, 1), 0),
    ((9, 6), (5, 4), (2, 2), (1, 1), "same"),
]


def _both(shape, kernel, stride, dilation, padding):
    pairs = zip(shape, kernel, stride, dilation, strict=True)
    (p, top, bottom), (q, left, right) = (spans(*pair, padding) for pair in pairs)
    rows = f"{stride[0]}*p+{dilation[0]}*k-{top}"
    columns = f"{stride[1]}*q+{dilation[1]}*l-{left}"
    sizes = {"h": shape[0], "w": shape[1], "p": p, "q": q, "k": kernel[0], "l": kernel[1]}
    return rows, columns, sizes, (left, right, top, bottom)


@pytest.mark.parametrize("shape, kernel, stride, dilation, padding", SQUARES)
def test_conv2d(shape, kernel, stride, dilation, padding):
    rows, columns, sizes, around = _both(shape, kernel, stride, dilation, padding)

    def reference(f, x, W, b):
        x = f.pad(x.permute(0, 3, 1, 2), around)
        return f.conv2d(x, W.permute(3, 2, 0, 1), b, stride, 0, dilation).permute(0, 2, 3, 1)

    compare(
        f"z[n,p,q,j] = sum[k,l,c](x[n,{rows},{columns},c] * W[k,l,c,j]) + b[j]",
        {"x": "nhwc", "W": "klcj", "b": "j"},
        {**sizes, "c": 2, "j": 3},
        reference,
    )


@pytest.mark.parametrize("shape, kernel, stride, dilation, padding", SQUARES)
@pytest.mark.parametrize("inside", [False, True])
def test_groups(shape, kernel, stride, dilation, padding, inside):
    rows, columns, sizes, around = _both(shape, kernel, stride, dilation, padding)

    def reference(f, x, W, b):
        x = f.pad(x.permute(0, 3, 1, 2), around)
        z = f.conv2d(x, W.permute(3, 2, 0, 1), b, stride, 0, dilation, groups=2)
        return z.permute(0, 2, 3, 1)

    text = f"""
        s[n,p,q,g,m] = sum[k,l,i](x[n,{rows},{columns},2*g+i] * W[k,l,i,3*g+m])
        z[n,p,q,j] = s[n,p,q,j//3,j%3] + b[j]"""
    sizes |= {"c": 4, "i": 2, "j": 6} | ({} if inside else {"g": 2, "m": 3})
    if inside:
        text = f"z[n,p,q,j] = sum[k,l,i](x[n,{rows},{columns},2*(j//3)+i] * W[k,l,i,j]) + b[j]"
    compare(text, {"x": "nhwc", "W": "klij", "b": "j"}, sizes, reference)


@pytest.mark.parametrize("shape, kernel, stride, dilation, padding", SQUARES)
def test_depthwise(shape, kernel, stride, dilation, padding):
    rows, columns, sizes, around = _both(shape, kernel, stride, dilation, padding)

    def reference(f, x, W, b):
        x = f.pad(x.permute(0, 3, 1, 2), around)
        z = f.conv2d(x, W.permute(2, 0, 1)[:, None], b, stride, 0, dilation, groups=3)
        return z.permute(0, 2, 3, 1)

    compare(
        f"z[n,p,q,c] = sum[k,l](x[n,{rows},{columns},c] * W[k,l,c]) + b[c]",
        {"x": "nhwc", "W": "klc", "b": "c"},
        {**sizes, "c": 3},
        reference,
    )


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("form", ["delta", "where", "digits"])
def test_transposed(kernel, stride, padding, form):
    length = 3 * stride + kernel - 2 * padding
    if length < 1 or padding >= kernel:
        pytest.skip("nothing comes out")

    def reference(f, x, W, b):
        z = f.conv_transpose1d(x.permute(0, 2, 1), W.permute(2, 1, 0), b, stride, padding)
        return z.permute(0, 2, 1)

    place = f"{stride}*p + k - {padding}"
    text = {
        "delta": f"z[n,a,o] = sum[p,k,c](x[n,p,c] * W[k,o,c] * (a == {place})) + b[o]",
        "where": f"z[n,a,o] = sum[p,k,c](where(a == {place}, x[n,p,c] * W[k,o,c], 0)) + b[o]",
        "digits": f"z[n,a,o] = sum[k,c](where((a+{padding}-k) % {stride} == 0, "
        f"x[n,(a+{padding}-k)//{stride},c] * W[k,o,c], 0)) + b[o]",
    }[form]
    sizes = {"p": 4, "k": kernel, "c": 2, "o": 3, "a": length}
    compare(text, {"x": "npc", "W": "koc", "b": "o"}, sizes, reference)


POOLS = [
    (size, kernel, stride, 1, padding)
    for size, kernel, stride, padding in itertools.product((7,), (1, 2, 3), (1, 2, 3), (0, 1))
    if padding <= kernel // 2
]


@pytest.mark.parametrize("size, kernel, stride, dilation, padding", POOLS)
@pytest.mark.parametrize("op", ["max", "mean"])
def test_pooling(size, kernel, stride, dilation, padding, op):
    rows, columns, sizes, _ = _both((size, 5), (kernel, 2), (stride, 2), (dilation, 1), padding)

    def reference(f, x):
        x = x.permute(0, 3, 1, 2)
        pool = f.max_pool2d if op == "max" else f.avg_pool2d
        return pool(x, (kernel, 2), (stride, 2), padding).permute(0, 2, 3, 1)

    text = f"z[n,p,q,c] = {op}[k,l](x[n,{rows},{columns},c])"
    compare(text, {"x": "nhwc"}, {**sizes, "c": 2}, reference)


@pytest.mark.parametrize(
    "text, sizes, reference",
    [
        ("z[n,c] = mean[h,w](x[n,h,w,c])", {}, lambda f, x: x.mean((1, 2))),
        ("z[n,c] = max[h,w](x[n,h,w,c])", {}, lambda f, x: x.amax((1, 2))),
        (
            "z[n,a,b,c] = x[n,a//2,b//3,c]",
            {"a": 8, "b": 15},
            lambda f, x: x.repeat_interleave(2, 1).repeat_interleave(3, 2),
        ),
        ("z[n,h,w,c] = x[n,(h-3)%4,(w+2)%5,c]", {}, lambda f, x: x.roll((3, -2), (1, 2))),
        ("z[n,f] = x[n,f//10,(f//2)%5,f%2]", {"f": 40}, lambda f, x: x.reshape(2, 40)),
        (
            "z[n,a,b,c] = x[n,2*a+b,3,c]",
            {"a": 2, "b": 2},
            lambda f, x: x[:, :, 3].reshape(2, 2, 2, 2),
        ),
    ],
)
def test_whole_images(text, sizes, reference):
    compare(text, {"x": "nhwc"}, {"h": 4, "w": 5, "c": 2, **sizes}, reference)


@pytest.mark.parametrize(
    "text, inputs, sizes, lines",
    [
        (
            "z[n,p,j] = sum[k,c](x[n,2*p+3*k-1,c] * W[k,c,j]) + b[j]",
            {"x": "nhc", "W": "kcj", "b": "j"},
            {"h": 9, "p": 3, "k": 3, "c": 2, "j": 4},
            (
                "b_bar[j] = sum[n,p](z_bar[n,p,j])",
                "W_bar[k,c,j] = sum[n,p](x[n,2*p+3*k-1,c]*z_bar[n,p,j])",
                "x_bar[n,h,c] = sum[j,k](where(((1 + h - 3*k) % 2) == 0, "
                "z_bar[n,(1+h-3*k)//2,j]*W[k,c,j], 0))",
            ),
        ),
        (
            "z[n,p,q,j] = sum[k,l,c](x[n,p+k-1,q+l-1,c] * W[k,l,c,j])",
            {"x": "nhwc", "W": "klcj"},
            {"h": 5, "w": 5, "p": 5, "q": 5, "k": 3, "l": 3, "c": 2, "j": 4},
            ("x_bar[n,h,w,c] = sum[j,k,l](z_bar[n,h-k+1,w-l+1,j]*W[k,l,c,j])",),
        ),
        (
            "z[n,p,q,j] = sum[k,l,c](x[n,2*p+k,2*q+l,c] * W[k,l,c,j])",
            {"x": "nhwc", "W": "klcj"},
            {"h": 6, "w": 6, "p": 3, "q": 3, "k": 2, "l": 2, "c": 2, "j": 4},
            ("x_bar[n,h,w,c] = sum[j](z_bar[n,h//2,w//2,j]*W[h%2,w%2,c,j])",),
        ),
        (
            "z[n,a,o] = sum[p,k,c](x[n,p,c] * W[k,o,c] * (a == 2*p + k - 1))",
            {"x": "npc", "W": "koc"},
            {"p": 4, "k": 3, "c": 2, "o": 3, "a": 7},
            (
                "W_bar[k,o,c] = sum[n,p](z_bar[n,2*p+k-1,o]*x[n,p,c])",
                "x_bar[n,p,c] = sum[o,k](z_bar[n,2*p+k-1,o]*W[k,o,c])",
            ),
        ),
        (
            "z[n,p,q,c] = mean[k,l](x[n,2*p+k,2*q+l,c])",
            {"x": "nhwc"},
            {"h": 6, "w": 6, "p": 3, "q": 3, "k": 2, "l": 2, "c": 2},
            ("x_bar[n,h,w,c] = z_bar[n,h//2,w//2,c]/4",),
        ),
        (
            "z[n,p,q,c] = max[k,l](x[n,2*p+k,2*q+l,c])",
            {"x": "nhwc"},
            {"h": 6, "w": 6, "p": 3, "q": 3, "k": 2, "l": 2, "c": 2},
            (
                "x_bar[n,h,w,c] = (2*(h % 2) + (w % 2) == z_argmax[n,h//2,w//2,c])"
                "*z_bar[n,h//2,w//2,c]",
            ),
        ),
        (
            "z[n,p,c] = max[k](x[n,2*p+k-1,c])",
            {"x": "nhc"},
            {"h": 7, "p": 4, "k": 3, "c": 2},
            ("x_bar[n,h,c] = sum[p]((h == 2*p + z_argmax[n,p,c] - 1)*z_bar[n,p,c])",),
        ),
    ],
)
def test_textbook_form(text, inputs, sizes, lines):
    printed = list(map(str, derived(text, inputs, sizes).equations))
    for line in lines:
        assert line in printed
