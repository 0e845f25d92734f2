"""Sums of parts that lie beside each other: each part is computed where it belongs.

    z[n,g,j] = a[n,j]*b[n,j]*(g == 0) + c[n,j]*(g == 1)

    ->    np.multiply(a, b, out=z[:, 0])
          z[:, 1] = c

    z[n,m] = where(m < J, a[n,m]*b[n,m], 0) + where(0 <= m - J, c[n,m-J], 0)

    ->    np.multiply(a, b, out=z[:, :J])
          z[:, J:] = c

Exact, because at each place of the axis all other parts are 0.
"""

from __future__ import annotations

from dataclasses import replace

from sympy import Add, Expr, Mul, S, default_sort_key

from derive.code.elementwise import Elementwise
from derive.code.statements import Statement, Value, size_text
from derive.code.views import arranged, subscript
from derive.gradients.blocks import Block, partition
from derive.language.functions import eq, where
from derive.language.notation import Equation, Index, holds


def placed(values: Elementwise, e: Equation) -> Value | None:
    """The value of an equation whose addends each stand at one place of an axis; else None."""
    if not holds(e.body, (where, eq)):
        return None
    if parted := partition(e):
        return _in_blocks(values, parted, e)
    parts: dict[Expr, Expr] = {}
    axis = None
    for addend in Add.make_args(e.body):
        found = _place(values, addend, e)
        if found is None or axis not in (None, found[0]):
            return None
        axis, place, term = found
        parts[place] = parts.get(place, S.Zero) + term
    if axis is None or len(parts) < 2:
        return None
    out, own = _whole(values, e)
    values.frame = tuple(i for i in own if i != axis)
    for k in range(int(_length(values, axis))):
        text = out.text + subscript([str(k) if i == axis else ":" for i in own])
        put(values, parts.get(S(k), S.Zero), out, text, values.frame)
    return out


def _whole(values: Elementwise, e: Equation) -> tuple[Value, tuple[Index, ...]]:
    """An array to be written part by part, and its axes."""
    own = tuple(i for i in values.frame if i in e.indices)
    out = values.code.array(own)
    values.code.buffers[out.buffer] = replace(values.code.buffers[out.buffer], stored=True)
    return out, own


def _in_blocks(values: Elementwise, found: tuple[Block, ...], e: Equation) -> Value:
    """The array of an equation whose addends are blocks of one axis."""
    out, own = _whole(values, e)
    axis = found[0].axis
    parts: dict[tuple[Expr, Index], Expr] = {}
    for b in found:
        parts[b.start, b.own] = parts.get((b.start, b.own), S.Zero) + b.term
    if (Add(*(i.size for _, i in parts)) - axis.size).expand() != 0:
        values.code.emit(out, "", "{out}.fill(0)", operations=S.Zero, update=True)
    for start, i in sorted(parts, key=lambda part: default_sort_key(part[0])):
        text = out.text + subscript([places(start, i, axis) if k == axis else ":" for k in own])
        values.frame = tuple(i if k == axis else k for k in own)
        put(values, parts[start, i], out, text, values.frame)
    return out


def places(start: Expr, own: Index, axis: Index) -> str:
    """The slice of an axis that a block of it takes."""
    stop = (start + own.size).expand()
    low = "" if start == 0 else size_text(start)
    return f"{low}:" + ("" if stop == axis.size else size_text(stop))


def _place(values: Elementwise, addend: Expr, e: Equation) -> tuple[Index, Expr, Expr] | None:
    """(g, 2, a) of an addend a*(g == 2), g being an axis of known length."""
    for factor in Mul.make_args(addend):
        for g, place in (factor.args, factor.args[::-1]) if isinstance(factor, eq) else ():
            if not (isinstance(g, Index) and g in e.indices and place.is_Integer):
                continue
            length = _length(values, g)
            if length.is_Integer and 0 <= place < length:
                term = addend / factor
                return None if term.has(g) else (g, place, term)
    return None


def _length(values: Elementwise, i: Index) -> Expr:
    size: Expr = i.size
    return values.sizes.get(size, size)


def put(values: Elementwise, term: Expr, out: Value, text: str, indices: tuple[Index, ...]) -> None:
    """The term computed into a part of an array."""
    start = len(values.code.statements)
    value = values.real(values.value(term))
    made = [s for s in values.code.statements[start:] if s.out == value.buffer]
    last = values.code.statements[-1] if values.code.statements[start:] else None
    if value.buffer and made == [last] and last is not None and value.indices == indices:
        direct = last.into and not last.update and f"{value.text}." not in last.into
        if direct and last.into.count(value.text) == 1:
            into = last.into.replace(value.text, text)
            values.code.statements[-1] = replace(
                last, out=out.buffer, fresh="", into=into, overwrites=(), update=True
            )
            same = [key for key, v in values.known.items() if v.text == value.text]
            values.known |= {key: replace(values.known[key], text=text) for key in same}
            return
    source = arranged(value, indices) if value.indices else value.text
    values.code.statements.append(
        Statement(
            out.buffer,
            "",
            f"{text} = {source}",
            origin=values.code.origin,
            update=True,
            loop=values.code.loop,
        )
    )
