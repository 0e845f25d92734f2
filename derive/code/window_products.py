"""Sums over windows: products of matrices whose rows overlap in memory.

    z[n,p,q,f] = sum[k,l,c](x[n,p+k,q+l,c]*W[k,l,c,f])

    A[p,(k,l,c),(q,n)] = x[n,p+k,q+l,c]        the windows as matrices (expansion)
    z[p,f,(q,n)] = W.T @ A[p]                  a matrix product for each row

    W_bar[k,l,c,f] = sum[p]((A[p] @ z_bar[p].T)[(k,l,c),f])
    x_bar[n,h,w,c] = sum[f,k,l](z_bar[n,h-k,w-l,f]*W[k,l,c,f])    a sum over windows of z_bar

Of few columns, or many features, less is written if the columns are added in the end:

    Y[p,(l,c),(w,n)] = W[(l,c),(k,f)] @ A[p,(k,f),(w,n)]
    x_bar[h,c,w,n] = sum[l](Y[h,l,c,w-l,n])

This pays where the batch, or columns, lie last in memory; elsewhere sums over windows are products
of matrices that are copied (contraction). Large tensors are gone through in blocks (window_rows).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

from sympy import Expr, Mul

from derive.code import window_rows
from derive.code.contraction import matrices, reduced
from derive.code.elementwise import Elementwise
from derive.code.expansion import window_matrices
from derive.code.statements import Value
from derive.code.views import arranged, count, estimate, merged, shape_text, subscript
from derive.code.windows import Moved, Order, Windows, windows
from derive.language.notation import Equation, Index, indices
from derive.language.text_printer import text

PACKED = 0.7  # time to bring an element of a matrix into cache, in nanoseconds
MULTIPLIED = 1 / 80  # to multiply and add
COPIED = 0.35  # to copy one
ADDED = 0.7  # to add one to another


def convolution(values: Elementwise, e: Equation) -> Value | None:
    """The value of a sum over windows, as products of overlapping matrices; None if it is none."""
    found = windows(values, e)
    if found is None:
        return None
    added = bool(found.columns) and found.forward
    added = added and _by_columns(values, found) < 0.75 * _by_expansion(values, found)
    if by_rows := window_rows.product(values, found, added):
        return by_rows
    if not found.forward:
        return _correlated(values, found)
    return _added_columns(values, found) if added else _multiplied(values, found)


def _multiplied(values: Elementwise, w: Windows) -> Value:
    """z[stack, p, f, runs] = W.T @ A[p]"""
    g = values.real(values.value(w.other))
    a = window_matrices(values, w)
    moving = {*w.stack, *w.taps}
    rows = tuple(i for i in values.frame if i in g.indices and i not in moving)
    left = matrices(values, g, w.stack, rows, w.taps)
    groups = (*((i,) for i in w.stack), (w.rows.position,), rows, w.runs)
    out, into = _target(values, groups)
    # One matrix for all positions: [stack, 1, f, taps].
    left += subscript([*(":" for _ in w.stack), "None"]) if w.stack else ""
    if not rows:
        left += "[..., None, :]"
        into += subscript([":"] * (len(w.stack) + 1) + ["None"])
    return _emitted(values, out, f"{left}, {a}", into, w, rows)


def _target(values: Elementwise, groups: Sequence[Order]) -> tuple[Value, str]:
    """An array for a product, in the order of the frame where that is a view; and the view."""
    natural = tuple(i for group in groups for i in group)
    own = tuple(i for i in values.frame if i in natural)
    out = values.code.array(own if len(own) == len(natural) else natural)
    into = merged(out, groups)
    if into is None:
        out = values.code.array(natural)
        into = merged(out, groups)
    assert into is not None
    return out, into


def _emitted(
    values: Elementwise, out: Value, arguments: str, into: str, w: Windows, rows: Order
) -> Value:
    flops = 2 * Mul(*(i.size for i in {*out.indices, *w.taps, *rows}))
    made = f"{{out}} = np.empty({shape_text(i.size for i in out.indices)}, dtype)"
    product_ = f"np.matmul({arguments}, out={into})"
    return values.code.emit(out, f"{made}\n{product_}", product_, operations=flops)


def _correlated(values: Elementwise, w: Windows) -> Value:
    """T[stack, p, taps, f] = A[p] @ z_bar[p].T, summed over p"""
    g = values.real(values.value(w.other))
    a = window_matrices(values, w)
    p = w.rows.position
    moving = {*w.stack, p, *w.runs}
    columns = tuple(i for i in values.frame if i in g.indices and i not in moving)
    right = matrices(values, g, (*w.stack, p), w.runs, columns)
    order = (*w.stack, p, *w.taps, *columns)
    out = values.code.array(order)
    groups = (*((i,) for i in w.stack), (p,), w.taps, columns)
    into = merged(out, groups)
    assert into is not None
    if not columns:
        right += "[..., None]"
        into += "[..., None]"
    flops = 2 * Mul(*(i.size for i in {*order, *w.runs}))
    made = f"{{out}} = np.empty({shape_text(i.size for i in order)}, dtype)"
    product_ = f"np.matmul({a}, {right}, out={into})"
    products = values.code.emit(out, f"{made}\n{product_}", product_, operations=flops)
    return reduced(values, "add", products, (p,))


# Columns added in the end


def _by_expansion(values: Elementwise, w: Windows) -> float:
    """The time of products with windows whose columns are side by side."""
    inner = count(w.taps)
    reach = w.rows.reach if w.overlapping else w.rows.position.size * w.rows.tap.size
    expanded = estimate(reach) * inner / count((w.rows.tap,)) * count((*w.runs, *w.stack))
    return expanded * COPIED + count((*w.stack, w.rows.position, *w.runs)) * inner * (
        PACKED + _outer(w) * MULTIPLIED
    )


def _by_columns(values: Elementwise, w: Windows) -> float:
    """The time of products with rows of the tensor, and of adding up their columns."""
    if not w.overlapping or any(m.step != 1 for m in w.columns):
        return float("inf")
    columns = count(m.tap for m in w.columns)
    inner = count(w.taps) / columns
    whole = count(w.long)
    for m in w.columns:
        whole *= estimate(m.size)
    rows = count((*w.stack, w.rows.position))
    copied = estimate(w.rows.reach) / rows * inner if w.rows.is_padded else 0.0
    result = rows * count(w.runs) * _outer(w)
    return (
        copied * COPIED
        + rows * whole * inner * (PACKED + _outer(w) * columns * MULTIPLIED)
        + columns * result * ADDED
    )


def _outer(w: Windows) -> float:
    """The rows of the other factor's matrix."""
    return count(i for i in indices(w.other) if i not in {*w.stack, *w.taps})


def _added_columns(values: Elementwise, w: Windows) -> Value:
    """Y[p,l,f,w,n] by rows alone, then z[p,f,q,n] = sum[l](Y[p,l,f,q+l,n])"""
    whole = {m: Index(f"{m.position.name}_{m.tap.name}", m.size) for m in w.columns}
    at = tuple(whole.get(x, x) if isinstance(x, Moved) else x for x in w.at)
    beside = _multiplied(values, replace(w, at=at, long=(*w.long, *whole.values())))
    taps = {m.tap for m in w.columns}
    positions = {i: m.position for m, i in whole.items()}
    shown = tuple(positions.get(i, i) for i in beside.indices if i not in taps)
    out = values.code.array(tuple(i for i in values.frame if i in shown))
    first: list[str] = []
    added: list[str] = []
    for numbers in product(*(range(int(m.tap.size)) for m in w.columns)):
        at_ = {m.tap: str(t) for m, t in zip(w.columns, numbers, strict=True)}
        there = {}
        for m, t in zip(w.columns, numbers, strict=True):
            there[m.position], at_[whole[m]] = m.seen(t)
        if "" in there.values():
            continue
        text_ = beside.text + subscript([at_.get(i, ":") for i in beside.indices])
        source = arranged(Value(text_, shown), out.indices)
        place = out.text + subscript([there.get(i, ":") for i in out.indices])
        if not first and set(there.values()) == {":"}:
            first.append(f"np.copyto({place}, {source})")
        else:
            added.append(f"np.add({place}, {source}, out={place})")
    term = f"{beside.text}[{','.join(text(_column(i, whole)) for i in beside.indices)}]"
    own, over = (",".join(map(str, x)) for x in (out.indices, taps))
    note = f"# {out.text}[{own}] = sum[{over}]({term})"
    lines = "\n".join((note, *(first or ["{out}.fill(0)"]), *added))
    made = f"{{out}} = np.empty({shape_text(i.size for i in out.indices)}, dtype)"
    operations = Mul(beside.elements)
    return values.code.emit(out, f"{made}\n{lines}", lines, operations=operations)


def _column(i: Index, whole: Mapping[Moved, Index]) -> Expr:
    """Where a column of the tensor is seen."""
    for m, own in whole.items():
        if own == i:
            return m.position + m.spacing * m.tap + m.offset
    return i
