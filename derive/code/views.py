"""Accesses as views: which strided array of NumPy an index expression reads.

    x[j,i]              x.T                     x[n, 2*p+1]   x[:, 1 : 2*P : 2]
    x[n, f//W, f%W]     x.reshape(N, H*W)       x[2*p+k]      sliding_window_view(x, K)[::2]
    W[i, g*J+j]         W.reshape(I, G, J)      A[i,i]        np.diagonal(A)

A view reads the very elements that the index expressions name, so nothing is computed. What is none
of these (a lookup, a digit that wraps) is gathered by `elementwise`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from sympy import Expr, Mul, S

from derive.code.statements import Value, size_text
from derive.language.functions import floordiv, mod
from derive.language.notation import REMEMBERED, Access, Index

_WINDOWS = "np.lib.stride_tricks.sliding_window_view"


def arranged(value: Value, indices: tuple[Index, ...]) -> str:
    """The value as an array that broadcasts against the axes `indices`, a superset of its own."""
    if not value.indices:
        return value.text
    order = tuple(i for i in indices if i in value.indices)
    places = [":" if i in order else "None" for i in indices]
    while places[0] == "None":
        places.pop(0)
    return value.text + transposition(value.indices, order) + subscript(places)


def transposition(indices: tuple[Index, ...], order: tuple[Index, ...]) -> str:
    """What brings axes `indices` into `order`: "", ".T" or ".transpose(...)"."""
    if indices == order:
        return ""
    if indices == order[::-1]:
        return ".T"
    return f".transpose({', '.join(str(indices.index(i)) for i in order)})"


def subscript(places: Sequence[str]) -> str:
    """`[:, 1, ::2]`, without the trailing `:` that say nothing; "" where nothing is left."""
    last = max((k for k, place in enumerate(places) if place != ":"), default=-1)
    return f"[{', '.join(places[: last + 1])}]" if last >= 0 else ""


def shape_text(sizes: Iterable[Expr]) -> str:
    """A shape as Python: `(N, H*W)`, `(N,)`, `()`."""
    texts = [size_text(s) for s in sizes]
    return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"


def merged(value: Value, groups: Sequence[tuple[Index, ...]]) -> str | None:
    """The value with one axis for each group of its indices; None if that is no view.

    Axes of a group must lie next to each other in memory, in the order of the group.
    """
    groups = [g for g in groups if g]
    native = sorted(groups, key=lambda g: value.indices.index(g[0]))
    order = tuple(g[0] for g in groups)
    if all(len(g) == 1 for g in groups):
        return value.text + transposition(value.indices, order)
    if not value.whole or tuple(i for g in native for i in g) != value.indices:
        return None
    sizes = shape_text(Mul(*(i.size for i in g)) for g in native)
    return f"{value.whole}.reshape{sizes}{transposition(tuple(g[0] for g in native), order)}"


def view(value: Value, at: tuple[Expr, ...], shape: tuple[Expr, ...]) -> Value | None:
    """The value at the index expressions `at`, one for each axis of `shape`; None if it is no view.

    The expressions must stay inside the array.
    """
    joined = _joined(at, shape) if value.whole else (at, shape)
    text = value.text
    if joined[0] != at:
        at, shape = joined
        text = f"{value.whole}.reshape{shape_text(shape)}"
    slices: list[str] = []
    steps: list[str] = []
    axes: list[Index] = []
    blocks: list[Expr] = []
    windows: list[tuple[int, Expr, Expr, Index]] = []
    for e, size in zip(at, shape, strict=True):
        affine = affine_form(e)
        if affine is None:
            return None
        offset, terms = affine
        if not terms:
            slices.append(size_text(offset))
            blocks.append(size)
            continue
        order = radix(offset, terms, size)
        if order and value.whole:
            slices.extend(":" for _ in order)
            axes.extend(order)
            steps.extend(":" for _ in order)
            blocks.extend(i.size for i in order)
            continue
        blocks.append(size)
        if len(terms) > 2 or (len(terms) == 2 and not all(c.is_positive for _, c in terms)):
            return None
        (p, a), *rest = terms
        extent = a * (p.size - 1)
        if rest:
            ((k, b),) = rest
            windows.append((len(axes), b * (k.size - 1) + 1, b, k))
            extent += b * (k.size - 1)
        elif a.could_extract_minus_sign():
            offset, extent = offset + extent, -extent
        start, stop = offset.expand(), (offset + extent + 1).expand()
        slices.append(_slice(start, stop, size, S.One if rest else abs(a)))
        steps.append(
            f"::{size_text(a)}"
            if rest and a != 1
            else "::-1"
            if a.could_extract_minus_sign()
            else ":"
        )
        axes.append(p)
    if len(blocks) > len(at):
        text = f"{value.whole}.reshape{shape_text(blocks)}"
    text += subscript(slices)
    if windows:
        lengths = shape_text(length for _, length, _, _ in windows)
        places = tuple(axis for axis, _, _, _ in windows)
        text = f"{_WINDOWS}({text}, {lengths}, {places})"
        axes.extend(k for _, _, _, k in windows)
        steps.extend(f"::{size_text(b)}" if b != 1 else ":" for _, _, b, _ in windows)
    text += subscript(steps)
    while len(set(axes)) < len(axes):
        text, axes = _diagonal(text, axes)
    return Value(text, tuple(axes), value.kind)


def affine_form(e: Expr) -> tuple[Expr, list[tuple[Index, Expr]]] | None:
    """`offset + c*i + ...` as (offset, [(i, c), ...]), largest steps first; None if not affine."""
    if isinstance(e, Index):
        return S.Zero, [(e, S.One)]
    e = e.expand()
    terms = []
    for i in sorted((s for s in e.free_symbols if isinstance(s, Index)), key=lambda i: i.name):
        c = e.coeff(i)
        if c.has(Index):
            return None
        terms.append((i, c))
        e = e - c * i
    offset = e.expand()
    if offset.has(Index, Access):
        return None
    terms.sort(key=lambda t: -estimate(abs(t[1])))
    return offset, terms


SMALL = 1 << 14  # elements: of fewer, a call takes longer than what it computes


@lru_cache(maxsize=REMEMBERED)
def estimate(size: Expr) -> float:
    """A typical value of a size, to choose by: 64 for a size that is not known."""
    return float(size.xreplace(dict.fromkeys(size.free_symbols, S(64))))


def count(axes: Iterable[Index]) -> float:
    """How many elements some axes have, typically."""
    return estimate(Mul(*(i.size for i in axes)))


def _slice(start: Expr, stop: Expr, size: Expr, step: Expr) -> str:
    if start == 0 and (stop - size).expand() == 0 and step == 1:
        return ":"
    low = "" if start == 0 else size_text(start)
    high = "" if (stop - size).expand() == 0 else size_text(stop)
    return f"{low}:{high}" + ("" if step == 1 else f":{size_text(step)}")


def radix(offset: Expr, terms: list[tuple[Index, Expr]], size: Expr) -> tuple[Index, ...] | None:
    """The indices of `g*J + j` over an axis of G*J elements, as digits: (g, j)."""
    if offset != 0 or len(terms) < 2:
        return None
    for order in (terms, sorted(terms, key=lambda t: t[1] == 1)):
        weight = S.One
        for i, c in reversed(order):
            if (c - weight).expand() != 0:
                break
            weight = weight * i.size
        else:
            if (weight - size).expand() == 0:
                return tuple(i for i, _ in order)
    return None


def _joined(
    at: tuple[Expr, ...], shape: tuple[Expr, ...]
) -> tuple[tuple[Expr, ...], tuple[Expr, ...]]:
    """Digits of one number joined: (f//W, f%W) on axes (H, W)  ->  (f) on an axis H*W."""
    for k in range(len(at) - 1, 0, -1):
        high, low, width = at[k - 1], at[k], shape[k]
        if not (isinstance(low, mod) and (low.args[1] - width).expand() == 0):
            continue
        if high == floordiv(low.args[0], width):
            whole = low.args[0]
        elif isinstance(high, mod) and high.args[0] == floordiv(low.args[0], width):
            if (high.args[1] - shape[k - 1]).expand() != 0:
                continue
            whole = mod(low.args[0], (high.args[1] * width).expand())
        else:
            continue
        product = (shape[k - 1] * width).expand()
        return _joined(
            (*at[: k - 1], whole, *at[k + 1 :]), (*shape[: k - 1], product, *shape[k + 1 :])
        )
    return at, shape


def _diagonal(text: str, axes: list[Index]) -> tuple[str, list[Index]]:
    """One repeated index made a single axis, the last one: A[i,i] is np.diagonal(A)."""
    index = next(i for i in axes if axes.count(i) > 1)
    first = axes.index(index)
    second = axes.index(index, first + 1)
    where_ = "" if (first, second) == (0, 1) else f", axis1={first}, axis2={second}"
    kept = [i for k, i in enumerate(axes) if k not in (first, second)]
    return f"np.diagonal({text}{where_})", [*kept, index]
