"""Adjoints of reads: what an index map read from, the same map accumulates to.

    E_bar[v,d] = sum[n](g[n,d] * (v == token[n]))      np.add.at(E_bar, token, g), on flat positions
    x_bar[i]   = sum[p](g[p] * w[i-2*p])               for k: x_bar[k : k + 2*P - 1 : 2] += (g*w[k])
    x_bar[i]   = sum[k](where(e%2 == 0, g[e//2]*w[k], 0)), e = i-3*k   for k: x_bar[3*k : ... : 2]
    x_bar[i]   = g[(i+1)//2] * w[(i+1)%2]          x_bar[k-1 : ... : 2] += g*w[k], cut to the axis
    z[a]       = sum[p,k](x[p]*w[k]*(a == 2*p + k))                    z[k : ... : 2] += x*w[k]
    W_bar[f]   = where(0 <= f-J and f-J < J, g[f-J], 0)                W_bar[J : 2*J] += g

The terms that count are computed at once, as matrix products where they are any, and each is added
where it belongs.
"""

from __future__ import annotations

from sympy import Add, Expr, Mul, S, Symbol

from derive.code.contraction import summed
from derive.code.elementwise import Elementwise
from derive.code.reading import margins_around
from derive.code.spreading import Spread, spreads
from derive.code.stages import spread_out
from derive.code.statements import Value, size_text
from derive.code.views import (
    affine_form,
    arranged,
    estimate,
    radix,
    shape_text,
    subscript,
    transposition,
)
from derive.gradients.normal_form import conditions_inside
from derive.language.functions import maximum, minimum
from derive.language.notation import Access, Equation, Index, accesses


def accumulated(values: Elementwise, e: Equation) -> Value | None:
    """The value of an equation whose terms each belong to few elements; None if it is no such."""
    found = spreads(values, e)
    if found is None:
        return None
    if len(found) == 1:
        value = _reshaped(values, e, found[0]) or spread_out(values, e, found[0])
        if value is not None:
            return value
    total = None
    for spread in found:
        placed = all(affine_form(x) is not None for x in spread.at.values())
        part = _sliced(values, e, spread, total) if placed else _scattered(values, e, spread)
        total = part if total in (None, part) else values.apply("add", total, part)
    return total


def _term(values: Elementwise, e: Equation, spread: Spread, frame: tuple[Index, ...]) -> Value:
    """The term over the indices `frame`, the other ones summed."""
    inner = tuple(i for i in spread.bound if i not in frame)
    outer, guarded = values.frame, values.guarded
    values.frame, values.guarded = (*frame, *inner), bool(spread.conditions)
    conditions = _unpadded(values, spread)
    value = values.real(summed(values, spread.term, inner, conditions))
    values.frame, values.guarded = outer, guarded
    return value


def _unpadded(values: Elementwise, spread: Spread) -> tuple[Expr, ...]:
    """The conditions but those that an access stays inside: it reads a copy with 0 around it."""
    implied = set()
    for a in Mul.make_args(spread.term) if spread.conditions else ():
        if isinstance(a, Access):
            value, axes = values.tensors[a.tensor]
            shape = values.shapes[a.tensor]
            if value.indices == axes and value.whole and values.padded(value, a.indices, shape):
                for x, n in zip(a.indices, shape, strict=True):
                    implied |= {*conditions_inside(x, n, values.sizes)}
    return tuple(c for c in spread.conditions if c not in implied)


def _zeros(values: Elementwise, axes: tuple[Index, ...]) -> Value:
    out = values.code.array(axes)
    shape = shape_text(i.size for i in axes)
    zeros = f"{{out}} = np.zeros({shape}, dtype)"
    return values.code.emit(out, zeros, "{out}.fill(0)", operations=S.Zero)


def _scattered(values: Elementwise, e: Equation, spread: Spread) -> Value:
    """Added one by one at flat positions: np.add.at(E_bar.reshape(-1), token*D + d, g)."""
    frame: dict[Index, None] = {}
    for i in e.indices:
        place = spread.at.get(i, i)
        own = [x for a in accesses(place) for x in a.indices if isinstance(x, Index)]
        own += [j for j in (*e.indices, *spread.bound) if place.has(j)]
        frame |= dict.fromkeys(own)
    order = tuple(frame)
    term = _whole(values, _term(values, e, spread, order), order)
    at = tuple(
        # What is left out adds 0 anywhere.
        minimum(maximum(place, S.Zero), i.size - 1)
        if spread.conditions and not isinstance(place, Access | Index)
        else place
        for i, place in ((i, spread.at.get(i, i)) for i in e.indices)
    )
    guarded, values.guarded = values.guarded, bool(spread.conditions)
    places = _whole(values, values.flat(at, tuple(i.size for i in e.indices), order), order)
    values.guarded = guarded
    out = _zeros(values, e.indices)
    flattened = (
        v.text if len(v.indices) == 1 else f"{v.text}.reshape(-1)" for v in (out, places, term)
    )
    added = f"np.add.at({', '.join(flattened)})"
    return values.code.emit(out, added, added, operations=term.elements, update=True)


def _reshaped(values: Elementwise, e: Equation, spread: Spread) -> Value | None:
    """Terms that belong to all elements, each to one: the term itself, in another shape."""
    frame: list[Index] = []
    own = tuple(i for i in values.frame if i in e.indices)
    for i in own:
        affine = affine_form(spread.at.get(i, i))
        digits = (i,) if i not in spread.at else affine and radix(*affine, i.size)
        if not digits:
            return None
        frame += digits
    term = _whole(values, _term(values, e, spread, tuple(frame)), tuple(frame))
    return Value(f"{term.text}.reshape{shape_text(i.size for i in own)}", own)


def _whole(values: Elementwise, v: Value, axes: tuple[Index, ...]) -> Value:
    """The value as an array with just these axes, one after the other in memory."""
    if v.buffer and v.indices == axes:
        return v
    v = v if v.kind in ("real", "integer", "count") else values.real(v)
    out = values.code.array(axes, "real" if v.kind in ("real", "number") else "integer")
    source = arranged(v, axes)
    spread = f"np.broadcast_to({source}, {shape_text(i.size for i in axes)}).copy()"
    return values.code.emit(
        out, f"{{out}} = {spread}", f"np.copyto({{out}}, {source})", operations=S.Zero
    )


def _sliced(values: Elementwise, e: Equation, spread: Spread, total: Value | None) -> Value:
    """Added slice by slice, in a loop over the small indices: out[k : k + 2*P - 1 : 2] += t[k].

    What comes before in the sum is added to where it is, unless places lie outside the target.
    """
    padded: list[Index] = []
    slices: list[str] = []
    moved: list[Index] = []
    loops: list[Index] = []
    backward: set[Index] = set()
    inside: list[str] = []
    for i in e.indices:
        place = spread.at.get(i)
        if place is None:
            padded.append(i)
            slices.append(":")
            inside.append(":")
            moved.append(i)
            continue
        offset, terms = affine_form(place) or (S.Zero, [])
        before, after = margins_around(place, i.size, values.sizes)
        terms = sorted(terms, key=lambda t: (t[1].is_negative or False, -estimate(t[0].size)))
        (p, a), *rest = terms
        if a.could_extract_minus_sign():  # the last one first
            offset, a = offset + a * (p.size - 1), -a
            backward.add(p)
        start = offset + before + Add(*(b * _counter(k) for k, b in rest))
        stop = (start + a * (p.size - 1) + 1).expand()
        step = f":{size_text(a)}" if a != 1 else ""
        slices.append(f"{size_text(start.expand())}:{size_text(stop)}{step}")
        inside.append(
            ":" if before == after == 0 else f"{size_text(before)}:{size_text(before + i.size)}"
        )
        padded.append(
            i if before == after == 0 else Index(f"{i.name}_padded", i.size + before + after)
        )
        moved.append(p)
        loops.extend(k for k, _ in rest if k not in loops)
    values.counted = tuple(loops)
    term = _term(values, e, spread, (*loops, *moved))
    values.counted = ()
    again = total is not None and total.buffer and tuple(padded) == e.indices
    out = total if total and again else _zeros(values, tuple(padded))
    places = [
        str(_counter(i)) if i in loops else "::-1" if i in backward else ":" for i in term.indices
    ]
    kept = tuple(i for i in term.indices if i not in loops)
    order = tuple(i for i in moved if i in kept)
    added = term.text + (subscript(places) if term.indices else "") + transposition(kept, order)
    if order and len(order) < len(moved):
        added += subscript([":" if i in order else "None" for i in moved])
    text = f"{{out}}{subscript(slices)} += {added}"
    for k in reversed(loops):
        indented = text.replace("\n", "\n    ")
        text = f"for {_counter(k)} in range({size_text(k.size)}):\n    {indented}"
    values.code.emit(out, text, text, operations=term.elements, update=True)
    return Value(out.text + subscript(inside), e.indices)


def _counter(k: Index) -> Symbol:
    """The variable of a loop; no tensor's name begins with an underscore in code."""
    return Symbol(f"_{k.name}".rstrip("_"), integer=True)
