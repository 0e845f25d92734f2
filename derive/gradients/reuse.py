"""What an equation has computed already, found again in another expression and read instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sympy import Add, Expr, Mul, Pow, exp

from derive.gradients.candidates import multiple
from derive.gradients.lengths import minus_signs
from derive.gradients.normal_form import bounds
from derive.language.functions import where
from derive.language.notation import Access, Equation, Index, Reduce, accesses, indices
from derive.language.scans import elsewhere

# What is read that an equation has computed; a cotangent's value where its name stood; and what
# does not depend on the index of a sum.
READ_FORWARD, READ_BACKWARD = "reuse of the forward pass", "reuse of the backward pass"
WRITTEN_OUT, OUT_OF_SUMS = "cotangent written out", "factors out of sums"


class Rewriting(NamedTuple):
    """One use of an identity: both equations have the same value."""

    identity: str
    before: Equation
    after: Equation


def with_term(equation: Equation, term: Expr) -> Expr:
    """The equation's body with another term."""
    body = equation.body
    if term is equation.term:
        return body
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
                if any(_leaves(places[i], i) for i in equation.indices):
                    continue  # it holds no value there
                at = Access(equation.target, *(places[i] for i in equation.indices))
                if elsewhere(equation, at):
                    continue  # it may be the initial value there
                values.setdefault(value_at(equation, at), at)
    return values


def _leaves(place: Expr, index: Index) -> bool:
    """Whether a place is outside, or an index of another range: r[m] for r[j], j < 3 and m < 12."""
    if isinstance(place, Index):
        return place.size != index.size
    return bool((bounds(place)[0] - index.size).expand().is_nonnegative)


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
        elif i.xreplace(further) == e:
            further |= {j: j for j in indices(i) - further.keys()}  # z[j + J] for itself
        else:
            j = next(iter(indices(i) - further.keys()), None)
            if j is None or not isinstance(e - i + j, Index):
                return None
            further[j] = e - i + j  # z[m + J] for z[j + J]
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
    if isinstance(e, where) and e.args[2] == 0:
        found = _masked(e, values)
        if found is not None:
            return found
    if isinstance(e, exp):
        for value, access in values.items():
            if isinstance(value, exp):
                k = multiple(e.args[0], value.args[0])
                if k is not None and k.is_Integer and k != 0:
                    return access**k
    if isinstance(e, Pow) and e.exp.is_Rational:
        for value, access in values.items():
            base, k = value.as_base_exp()
            if isinstance(value, Pow) and base == e.base and (e.exp / k).is_Integer:
                return access ** (e.exp / k)
    if not e.args or isinstance(e, Access):
        return e
    return e.func(*(reused(a, values) for a in e.args))


def _masked(e: where, values: dict[Expr, Access]) -> Expr | None:
    """`where(c, a*g, 0) -> p*g` for `p = where(c, a, 0)` and a g that is a number everywhere."""
    condition, term, _ = e.args
    factors = Mul.make_args(term)
    for value, access in values.items():
        if isinstance(value, where) and value.args[0] == condition and value.args[2] == 0:
            parts = Mul.make_args(value.args[1])
            rest = [f for f in factors if f not in parts]
            if len(rest) + len(parts) == len(factors) and all(map(is_everywhere, rest)):
                return access * Mul(*rest)
    return None


def is_everywhere(e: Expr) -> bool:
    """Whether `e` is finite and inside its tensors at every point: a number, `x[n,d]`."""
    if isinstance(e, Access):
        return all(isinstance(i, Index) for i in e.indices)
    if isinstance(e, Reduce):
        return e.op in ("sum", "mean")
    return bool(e.is_number and e.is_finite)


def outside(e: Expr) -> Expr:
    """`sum[k](c*f[k]) -> c * sum[k](f[k])` for every factor free of the bound indices.

    What the guard is there for stays within: `x[i-2]` under `0 <= i-2`.
    """
    if isinstance(e, Reduce):
        term = outside(e.term)
        if e.op in ("sum", "mean") and isinstance(term, Add):
            number, rest = term.primitive()
            if number != 1:
                return number * outside(Reduce(e.op, rest, e.bound, e.guard))
        if e.op in ("sum", "mean"):
            free: list[Expr] = []
            bound: list[Expr] = []
            for factor in Mul.make_args(term):
                inside = factor.has(*e.bound) or _needs(factor, e.guard)
                (bound if inside else free).append(factor)
            if bound:
                return Mul(*free, Reduce(e.op, Mul(*bound), e.bound, e.guard))
        return Reduce(e.op, term, e.bound, e.guard)
    if not e.has(Reduce) or isinstance(e, Access):
        return e
    return e.func(*(outside(a) for a in e.args))


def signed(e: Expr) -> Expr:
    """`-sum[k](a - x[k]) -> sum[k](x[k] - a)`: a minus sign goes into the sum that has one."""
    if not e.has(Reduce) or isinstance(e, Access):
        return e
    e = e.func(*(signed(a) for a in e.args))
    beside = isinstance(e, Mul) and any(isinstance(f, Add) and minus_signs(f) for f in e.args)
    if isinstance(e, Mul) and e.args[0].is_Number and e.args[0].is_negative and not beside:
        for reduce in e.args:
            if isinstance(reduce, Reduce) and reduce.op in ("sum", "mean"):
                for f in Mul.make_args(reduce.term):
                    if isinstance(f, Add) and 2 * minus_signs(f) >= len(f.args):
                        turned = Reduce(reduce.op, -f * reduce.term / f, reduce.bound, reduce.guard)
                        return -e / reduce * turned
    return e


def _needs(factor: Expr, guard: Expr) -> bool:
    """Whether a guard may be there for one of the accesses of a factor."""
    stated = indices(guard)
    positions = (i for a in accesses(factor) for i in a.indices)
    return guard != 1 and any(not i.has(Index) or indices(i) & stated for i in positions)
