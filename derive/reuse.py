"""What an equation has computed already, found again in another expression and read instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sympy import Add, Expr, Mul, exp

from derive.notation import Access, Equation, Index, Reduce, accesses
from derive.shortest import multiple


class Rewriting(NamedTuple):
    """One use of an identity: both equations have the same value."""

    identity: str
    before: Equation
    after: Equation


def with_term(equation: Equation, term: Expr) -> Expr:
    """The equation's body with another term."""
    body = equation.body
    return Reduce(body.op, term, body.bound, body.guard) if isinstance(body, Reduce) else term


def value_at(equation: Equation, a: Access) -> Expr:
    """The body of an equation at the indices of an access to its target."""
    return equation.body.xreplace(dict(zip(equation.indices, a.indices, strict=True)))


def values_of(body: Expr, known: Iterable[Equation]) -> dict[Expr, Access]:
    """What known equations have computed, at the indices that stand in `body`: value -> access."""
    values: dict[Expr, Access] = {}
    present = sorted(set(accesses(body)), key=str)
    for equation in known:
        reads = tuple(dict.fromkeys(accesses(equation.body)))
        for places in _unified(reads, present, {}):
            if places.keys() >= set(equation.indices):
                at = Access(equation.target, *(places[i] for i in equation.indices))
                values.setdefault(value_at(equation, at), at)
    return values


Places = dict[Expr, Expr]


def _unified(
    patterns: tuple[Access, ...], present: list[Access], places: Places
) -> Iterator[Places]:
    """The values of the indices for which every pattern is one of the accesses present."""
    if not patterns:
        yield places
        return
    first = patterns[0]
    for a in present:
        further = _places(first, a, places) if a.tensor == first.tensor else None
        if further is not None:
            yield from _unified(patterns[1:], present, further)


def _places(pattern: Access, a: Access, places: Places) -> Places | None:
    further = dict(places)
    for i, e in zip(pattern.indices, a.indices, strict=True):
        if isinstance(i, Index):
            if further.setdefault(i, e) != e:
                return None
        elif i.xreplace(further) != e:
            return None
    return further


def reused(e: Expr, values: dict[Expr, Access]) -> Expr:
    """`e` with each value that was computed before read instead; powers of an exponential too."""
    if e in values:
        return values[e]
    if isinstance(e, Add) and -e in values:
        return -values[-e]
    if isinstance(e, Mul):
        for value, access in values.items():
            factors = Mul.make_args(value)
            if len(factors) > 1 and all(f in e.args for f in factors):
                rest = Mul(*(f for f in e.args if f not in factors))
                return access * reused(rest, values)
    if isinstance(e, exp):
        for value, access in values.items():
            if isinstance(value, exp):
                k = multiple(e.args[0], value.args[0])
                if k is not None and k.is_Integer and k != 0:
                    return access**k
    if not e.args or isinstance(e, Access):
        return e
    return e.func(*(reused(a, values) for a in e.args))
