"""Windows of a tensor as matrices, rows of which overlap in memory.

    E[h,l,c,q,n] = x[n,h,q+l,c]                the windows' columns side by side
    A[p,(k,l,c),(q,n)] = E[p+k,l,c,q,n]        no copy: row p+1 begins one row of E after row p

Exact: where windows reach out of their tensor, E holds 0. These elements of E are written once,
where the memory is E's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from sympy import Mul, S

from derive.code.elementwise import Elementwise
from derive.code.statements import Statement, Value, size_text
from derive.code.views import arranged, estimate, shape_text, subscript
from derive.code.windows import Moved, Order, Windows
from derive.language.notation import Index
from derive.language.text_printer import text

SHARED = 2**17  # elements of an array that gives its memory to others rather than to keep zeros


def expanded(values: Elementwise, w: Windows) -> Value:
    """E[stack, h, taps of columns, features, runs], or with the rows' taps too: the matrices A."""
    rows = w.rows
    height = Index(f"{rows.position.name}_{rows.tap.name}", rows.reach)
    own = (rows.position, rows.tap) if not w.overlapping else (height,)
    columns = tuple(m.tap for m in w.columns)
    order = (*w.stack, *own, *columns, *w.features, *w.runs)
    source = tuple(
        (height if x is rows else x.position) if isinstance(x, Moved) else x for x in w.at
    )
    plain = not w.columns and w.overlapping and not rows.is_padded and rows.offset == 0
    plain = plain and (rows.reach - rows.size).expand() == 0 and order == source
    if plain and w.value.buffer:
        return Value(w.value.text, order)
    key = _key(w, order)
    if key not in values.expansions:
        values.expansions[key] = _copied(values, w, order, source, height)
    return Value(values.expansions[key].text, order)


def _key(w: Windows, order: Order) -> tuple[object, ...]:
    """What an expansion depends on, whatever its indices are called."""
    where: list[tuple[Any, int]] = []
    for x in w.at:
        if isinstance(x, Moved):
            numbers = (x.step, x.spacing, x.offset, x.position.size, x.tap.size)
            where.append((numbers, order.index(x.tap) if x.tap in order else -1))
        else:
            where.append(((), order.index(x)))
    return (w.value.text, w.overlapping, tuple(where))


def _copied(values: Elementwise, w: Windows, order: Order, source: Order, height: Index) -> Value:
    """The expansion, copied tap by tap."""
    padded = any(m.is_padded for m in w.moved)
    out = values.code.array(order)
    apart = padded and (values.code.loop is not None or estimate(out.elements) < SHARED)
    if apart:
        cleared(values, out)
    zeros: dict[str, None] = {}
    lines = []
    free = [m for m in w.moved if not (m is w.rows and w.overlapping)]
    for taps in product(*(range(int(m.tap.size)) for m in free)):
        at = dict(zip((m.tap for m in free), taps, strict=True))
        there = {m.tap: str(t) for m, t in zip(free, taps, strict=True)}
        places = []
        for x in w.at:
            if isinstance(x, Index):
                places.append(":")
                continue
            mine, its = x.seen(at.get(x.tap))
            own = height if x is w.rows and w.overlapping else x.position
            there[own] = mine
            places.append(its)
            open_ = padded and not apart and "" not in places[:-1]
            for part in slices_outside(mine) if open_ else ():
                beyond = {own: part} if own == height else there | {own: part}
                zeros[out.text + subscript([beyond.get(i, ":") for i in order])] = None
        if "" in places:
            continue
        seen = Value(w.value.text + subscript(places), source)
        if not w.overlapping:
            seen = Value(seen.text, tuple(w.rows.position if i == height else i for i in source))
        target = out.text + subscript([there.get(i, ":") for i in order])
        kept = tuple(i for i in order if i in seen.indices)
        lines.append(f"np.copyto({target}, {arranged(seen, kept)})")
    note = f"# {_told(values, w, order, height)}"
    copied = "\n".join((note, *(f"{part} = 0" for part in zeros), *lines))
    made = "" if apart else f"{{out}} = np.empty({shape_text(i.size for i in order)}, dtype)\n"
    return values.code.emit(out, made + copied, copied, operations=S.Zero, update=apart)


def slices_outside(inside: str) -> Iterator[str]:
    """The slices before and behind one: ":1" and "33:" of "1:33"; all, of none."""
    low, _, high = inside.partition(":")
    yield from (":",) * (not inside)
    yield from (f":{low}",) * bool(low)
    yield from (f"{high}:",) * bool(high)


def _told(values: Elementwise, w: Windows, order: Order, height: Index) -> str:
    """What an expansion holds, in index notation: `E[h,l,c,q,n] = x[h,c,l+q-1,n]`."""
    places = (
        x
        if isinstance(x, Index)
        else (height - x.before)
        if x is w.rows and w.overlapping
        else x.step * x.position + x.spacing * x.tap + x.offset
        for x in w.at
    )
    own = ",".join(str(i) for i in order)
    return f"{{out}}[{own}] = {w.value.text}[{','.join(text(x) for x in places)}]"


def cleared(values: Elementwise, out: Value) -> None:
    """Zeros that stay, around what is written to an array at every step."""
    shape = shape_text(i.size for i in out.indices)
    zeros = f"{{out}} = np.zeros({shape}, dtype)"
    stays = values.code.loop is None
    if stays:
        buffer = values.code.buffers[out.buffer]
        values.code.buffers[out.buffer] = replace(buffer, bordered=True)
    values.code.emit(out, zeros, "" if stays else "{out}.fill(0)", operations=S.Zero)


def window_matrices(values: Elementwise, w: Windows) -> str:
    """A[stack, position, taps, runs] as text."""
    e = expanded(values, w)
    rows = w.rows
    sizes = [i.size for i in w.stack]
    sizes += [rows.position.size, Mul(*(i.size for i in w.taps)), Mul(*(i.size for i in w.runs))]
    if not w.overlapping:
        return f"{e.text}.reshape{shape_text(sizes)}"
    # A reshape of the windows along rows is a view where the tensor lies in one block of memory.
    at = len(w.stack)
    axes = len(e.indices)
    order = (*range(at + 1), axes, *range(at + 1, axes))
    made = f"np.lib.stride_tricks.sliding_window_view({e.text}, {size_text(rows.tap.size)}, {at})"
    if rows.step != 1:
        made += subscript([*(":" for _ in w.stack), f"::{size_text(rows.step)}"])
    made += f".transpose({', '.join(map(str, order))}).reshape{shape_text(sizes)}"
    key = made
    if key not in values.overlapped:
        shape = tuple(Index(f"_{k}", s) for k, s in enumerate(sizes))
        out = values.code.array(shape, of=e.buffer)
        values.code.statements.append(
            Statement(
                out.buffer,
                f"{out.text} = {made}",
                origin=values.code.origin,
                binds=True,
                loop=values.code.loop,
            )
        )
        values.overlapped[key] = out
    return values.overlapped[key].text
