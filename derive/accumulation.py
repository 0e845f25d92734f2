"""Adjoints of reads: what an index map read from, the same map accumulates to.

    E_bar[v,d] = sum[n](g[n,d] * (v == token[n]))      np.add.at(E_bar, token, g), on flat positions
    x_bar[i]   = sum[p](g[p] * w[i-2*p])               for k: x_bar[k : k + 2*P - 1 : 2] += (g*w[k])
    W_bar[f]   = where(0 <= f-J and f-J < J, g[f-J], 0)                W_bar[J : 2*J] += g

The calculus solves `i == 2*p + k` for k, which leaves a sum over all p of which few terms count.
Here k comes back as the name of `i - 2*p`, so that the terms that count are computed at once, as
matrix products where they are any, and each is added where it belongs. Exact: the points (p, k) are
those points (i, p) whose terms are not left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sympy import Add, Expr, Mul, S, Symbol

from derive.contraction import summed
from derive.elementwise import Elementwise
from derive.functions import and_, eq, le, lt, maximum, minimum, where
from derive.normal_form import conditions_inside, fresh
from derive.notation import Access, Equation, Index, accesses
from derive.reading import margins_around
from derive.statements import Value, size_text
from derive.views import affine_form, arranged, estimate, shape_text, subscript, transposition


class Spread(NamedTuple):
    """`target[at] += term`, where `conditions` hold, for all points of `bound`.

    `at` gives the place on those axes of the target whose index is not an index of the term.
    """

    at: Mapping[Index, Expr]
    term: Expr
    bound: tuple[Index, ...]
    conditions: tuple[Expr, ...]


def accumulated(values: Elementwise, e: Equation) -> Value | None:
    """The value of an equation whose terms each belong to few elements; None if it is no such."""
    if e.reduction not in ("sum", None):
        return None
    spreads = []
    for addend in Add.make_args(e.term):
        term, conditions = _conditions(addend, e.guard)
        found = _by_lookup(values, e, term, conditions) or _by_shift(values, e, term, conditions)
        if found is None or not _separate(e, found):
            return None
        spreads.append(found)
    total = None
    for spread in spreads:
        placed = all(affine_form(x) is not None for x in spread.at.values())
        part = _sliced(values, e, spread, total) if placed else _scattered(values, e, spread)
        total = part if total in (None, part) else values.apply("add", total, part)
    return total


def _separate(e: Equation, spread: Spread) -> bool:
    """Whether places are found by ids, or no two axes of the target move with the same index."""
    if not all(affine_form(x) for x in spread.at.values()):
        return True
    moving = [j for i in e.indices for j in spread.at.get(i, i).atoms(Index)]
    return len(set(moving)) == len(moving)


def _conditions(term: Expr, guard: Expr) -> tuple[Expr, tuple[Expr, ...]]:
    """c*where(a and b, t, 0) with a guard as the term c*t and the conditions (guard, a, b)."""
    factors, conditions = [], [guard]
    for factor in Mul.make_args(term):
        if isinstance(factor, where) and factor.args[2] == 0:
            conditions.append(factor.args[0])
            factor = factor.args[1]
        factors.append(factor)
    both = and_(*conditions)
    return Mul(*factors), both.args if isinstance(both, and_) else (both,) * (both != 1)


def _by_lookup(
    values: Elementwise, e: Equation, term: Expr, conditions: tuple[Expr, ...]
) -> Spread | None:
    """The rows that ids name: a factor (v == token[n]) whose ids are known to lie on the axis v."""
    at: dict[Index, Expr] = {}
    for factor in Mul.make_args(term):
        for v, place in (factor.args, factor.args[::-1]) if isinstance(factor, eq) else ():
            rest = term / factor
            free = v in e.indices and not any(x.has(v) for x in (rest, place, *conditions))
            if free and _is_inside(values, place, v.size):
                at[v], term = place, rest
                break
    return Spread(at, term, e.bound, conditions) if at else None


def _is_inside(values: Elementwise, place: Expr, size: Expr) -> bool:
    """Whether ids were checked before, or come from a maximum, which is at a place that exists."""
    tensors = {a.tensor for a in accesses(place)}
    if tensors <= values.positions or not isinstance(place, Access):
        return bool(tensors) and tensors <= values.positions
    return all(isinstance(i, Index) for i in place.indices) and (
        (values.value(place).text, size) in values.checked
    )


def _by_shift(
    values: Elementwise, e: Equation, term: Expr, conditions: tuple[Expr, ...]
) -> Spread | None:
    """The elements that a window puts together: i - 2*p named k, for each such target index i."""
    at: dict[Index, Expr] = {}
    bound = list(e.bound)
    taken = {i.name for i in (*e.indices, *e.bound)}
    for i in e.indices:
        for shift, size in _shifts(i, bound, term, conditions, values):
            k = Index(fresh(f"{i.name}_", taken), size)
            c = shift.coeff(i)
            place = (i + c * (k - shift)).expand()
            new_term, *new_conditions = (
                _tidied(x.xreplace({i: place})) for x in (term, *conditions)
            )
            left = tuple(x for x in new_conditions if not _holds(x, values))
            if not any(x.has(i) for x in (place, new_term, *left)) and _stays_inside(
                new_term, k, left, values
            ):
                term, conditions = new_term, left
                at[i] = place
                bound.append(k)
                break
    return Spread(at, term, tuple(bound), conditions) if at else None


def _shifts(
    i: Index,
    bound: Sequence[Index],
    term: Expr,
    conditions: Sequence[Expr],
    values: Elementwise,
) -> Iterable[tuple[Expr, Expr]]:
    """Expressions +-i + ... of an index and bound ones that must lie in 0..size-1, and the size."""
    reads = {
        x: n
        for a in accesses(term)
        for x, n in zip(a.indices, values.shapes[a.tensor], strict=True)
    }
    for condition in conditions:
        if not isinstance(condition, le | lt):
            continue
        low, high = condition.args
        shift, size = (low, high) if isinstance(condition, lt) else (high, reads.get(high))
        affine = affine_form(shift)
        if size is None or size.has(Index, Access) or affine is None:
            continue
        if isinstance(condition, le) and low != 0:
            continue
        coefficients = dict(affine[1])
        c = coefficients.pop(i, S.Zero)
        # Where all signs are the same the access is a window of its tensor, and is read as such.
        if (
            abs(c) == 1
            and set(coefficients) <= set(bound)
            and all((c * b).is_negative for b in coefficients.values())
        ):
            yield shift, size


def _stays_inside(term: Expr, k: Index, conditions: tuple[Expr, ...], values: Elementwise) -> bool:
    """Whether the accesses with a new index are inside their tensors where the conditions hold."""
    return all(
        c in conditions
        for a in accesses(term)
        for x, n in zip(a.indices, values.shapes[a.tensor], strict=True)
        if x.has(k) and not isinstance(x, Access)
        for c in conditions_inside(x, n, values.sizes)
    )


def _tidied(e: Expr) -> Expr:
    """The expression with the index expressions in it multiplied out."""
    found = {a: Access(a.tensor, *(x.expand() for x in a.indices)) for a in accesses(e)}
    e = e.xreplace(found)
    return e.xreplace({c: c.func(*(x.expand() for x in c.args)) for c in e.atoms(eq, le, lt)})


def _holds(condition: Expr, values: Elementwise) -> bool:
    """Whether a comparison holds by the ranges of its indices."""
    if not isinstance(condition, le | lt):
        return condition == 1
    low, high = condition.args
    if isinstance(condition, le):
        return low == 0 and not any(
            isinstance(c, le) for c in conditions_inside(high, high, values.sizes)
        )
    return not high.has(Index) and not any(
        isinstance(c, lt) for c in conditions_inside(low, high, values.sizes)
    )


def _term(values: Elementwise, e: Equation, spread: Spread, frame: tuple[Index, ...]) -> Value:
    """The term over the indices `frame`, the other ones summed."""
    inner = tuple(i for i in spread.bound if i not in frame)
    outer, guarded = values.frame, values.guarded
    values.frame, values.guarded = (*frame, *inner), bool(spread.conditions)
    value = values.real(summed(values, spread.term, inner, spread.conditions))
    values.frame, values.guarded = outer, guarded
    return value


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
    term = _term(values, e, spread, (*loops, *moved))
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
