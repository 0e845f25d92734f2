"""Maxima and minima over small windows: the elements of all windows side by side.

    y[n,p,c] = max[k](x[n,2*p+k,c])           t[k,n,p,c] = x[n,2*p+k,c]
                                              np.maximum.reduce(t, axis=0, out=y)
    a[n,p,c] = argmax[k](x[n,2*p+k,c])        how many t[k] != y before the first t[k] == y

NumPy compares arrays fast, and the few elements of one window slowly.
"""

from __future__ import annotations

from sympy import Mul, S

from derive.code.elementwise import Elementwise
from derive.code.statements import Value
from derive.code.views import arranged, estimate, merged
from derive.language.notation import Index

Order = tuple[Index, ...]


def extremum(
    values: Elementwise, function: str, value: Value, kept: Order, bound: Order
) -> Value | None:
    """`function.reduce` over windows that a view names; None where they are no such windows."""
    if not _are_windows(value, kept, bound):
        return None
    elements = _side_by_side(values, value, (*bound, *kept))
    key = (function, elements.text, bound)
    if key not in values.extrema:
        stacked = merged(elements, (bound, *((i,) for i in kept)))
        out = values.code.array(kept)
        values.extrema[key] = values.code.call(
            f"np.{function}.reduce", f"{stacked}, axis=0", out, operations=value.elements
        )
    return values.extrema[key]


def argument(
    values: Elementwise, function: str, value: Value, kept: Order, bound: Order
) -> Value | None:
    """The first place of that extremum in each window."""
    best = extremum(values, function, value, kept, bound)
    if best is None:
        return None
    elements = _side_by_side(values, value, (*bound, *kept))
    stacked = merged(elements, (bound, *((i,) for i in kept)))
    size = int(Mul(*(i.size for i in bound)))
    before = values.code.array((Index("_k", S(size - 1)), *kept), "boolean")
    values.code.call("np.not_equal", f"{stacked}[:-1], {best.text}", before)
    if size > 2:
        still = (
            f"for _k in range({size - 2}):\n"
            "    np.logical_and({out}[_k], {out}[_k + 1], out={out}[_k + 1])"
        )
        values.code.emit(before, still, still, update=True)
    out = values.code.array(kept, "integer")
    return values.code.call("np.add.reduce", f"{before.text}, axis=0", out)


def _are_windows(value: Value, kept: Order, bound: Order) -> bool:
    """Whether elements are read through a view, few for each of many results."""
    size = Mul(*(i.size for i in bound))
    if value.buffer or value.kind != "real" or set(value.indices) != {*kept, *bound}:
        return False
    if len(value.indices) != len(kept) + len(bound) or not kept or not size.is_Integer:
        return False
    return 1 < size <= 16 and estimate(Mul(*(i.size for i in kept))) >= 16 * size


def _side_by_side(values: Elementwise, value: Value, order: Order) -> Value:
    """A copy of the windows, their own axes first."""
    places = tuple(value.indices.index(i) for i in order)
    earlier = values.copies.get(value.text)
    if earlier is not None and earlier[0] == places:
        return Value(earlier[1].text, order, value.kind)
    out = values.code.array(order)
    source = arranged(value, order)
    copied = values.code.emit(out, f"{{out}} = {source}.copy()", f"np.copyto({{out}}, {source})")
    values.copies[value.text] = (places, copied)
    return copied
