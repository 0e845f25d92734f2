"""Terms that each belong to few elements of a sum, and the places where they belong.

    E_bar[v,d] = sum[n](g[n,d] * (v == token[n]))      v = token[n]
    x_bar[i]   = sum[p](g[p] * w[i-2*p])               i = 2*p + k, w[k]
    x_bar[i]   = sum[k](where(e%2 == 0, g[e//2]*w[k], 0)), e = i-3*k      i = 2*p + 3*k, g[p]
    x_bar[i]   = g[(i+1)//2] * w[(i+1)%2]              i = 2*p + k - 1, g[p]*w[k]
    W_bar[f]   = where(0 <= f-J and f-J < J, g[f-J], 0)                   f = k + J, g[k]

The calculus solves `i == 2*p + k` for k, which leaves a sum over all p of which few terms count.
Here k comes back as the name of `i - 2*p`. Exact: the points (p, k) are those points (i, p) whose
terms are not left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sympy import Add, Expr, Mul, S

from derive.code.elementwise import Elementwise
from derive.code.views import affine_form, view
from derive.gradients.deltas import of_numbers
from derive.gradients.normal_form import bounds, conditions_inside, fresh, reduced
from derive.language.functions import and_, eq, floordiv, le, lt, mod, where
from derive.language.notation import Access, Equation, Index, accesses, holds


class Spread(NamedTuple):
    """`target[at] += term`, where `conditions` hold, for all points of `bound`.

    `at` gives the place on those axes of the target whose index is not an index of the term.
    """

    at: Mapping[Index, Expr]
    term: Expr
    bound: tuple[Index, ...]
    conditions: tuple[Expr, ...]


def spreads(values: Elementwise, e: Equation) -> list[Spread] | None:
    """The terms of a sum by the places where they belong; None where one belongs everywhere."""
    if e.reduction not in ("sum", None):
        return None
    if e.guard == 1 and not holds(e.term, (where, eq, floordiv)):
        return None  # nothing says where a term belongs but these
    found = []
    for addend in Add.make_args(e.term):
        term, conditions = factored(addend, e.guard)
        spread = _by_lookup(values, e, term, conditions) or _by_shift(values, e, term, conditions)
        if spread is None or not _separate(e, spread):
            return None
        found.append(spread)
    return found


def _separate(e: Equation, spread: Spread) -> bool:
    """Whether places are found by ids, or no two axes of the target move with the same index."""
    if not all(affine_form(x) for x in spread.at.values()):
        return True
    moving = [j for i in e.indices for j in spread.at.get(i, i).atoms(Index)]
    return len(set(moving)) == len(moving)


def factored(term: Expr, guard: Expr) -> tuple[Expr, tuple[Expr, ...]]:
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
            if _in_window(place, e.bound, values):
                continue
            if free and _is_inside(values, place, v.size):
                at[v], term = place, rest
                break
    return Spread(at, term, e.bound, conditions) if at else None


def _is_inside(values: Elementwise, place: Expr, size: Expr) -> bool:
    """Whether ids were checked before, or come from a maximum, which is at a place that exists."""
    tensors = {a.tensor for a in accesses(place)}
    if tensors <= values.positions.keys() or not isinstance(place, Access):
        return bool(tensors) and tensors <= values.positions.keys()
    return all(isinstance(i, Index) for i in place.indices) and (
        (values.value(place).text, size) in values.checked
    )


def _by_shift(
    values: Elementwise, e: Equation, term: Expr, conditions: tuple[Expr, ...]
) -> Spread | None:
    """The elements that a window puts together: i - 2*p named k, for each such target index i."""
    if not conditions and not term.has(eq, floordiv):
        return None  # nothing says where a term belongs but these
    at: dict[Index, Expr] = {}
    bound = list(e.bound)
    taken = {i.name for i in (*e.indices, *e.bound)}
    for i in e.indices:
        for place, new, used in (
            *_placed(i, bound, term),
            *_chosen(i, bound, term, values, taken),
            *_shifted(i, bound, term, conditions, values, taken),
            *(() if _viewed(values, i, term) else _digits(i, term, conditions, taken)),
        ):
            rest = term / used
            new_term, *new_conditions = (
                _tidied(x.xreplace({i: place}), values) for x in (rest, *conditions)
            )
            left = tuple(x for x in new_conditions if not _holds(x, values))
            if not place.atoms(Index) <= {*bound, *new} or S.Zero in left:
                continue
            if not any(x.has(i) for x in (new_term, *left)) and all(
                _stays_inside(new_term, k, left, values) for k in new
            ):
                term, conditions = new_term, left
                at[i] = place
                bound += new
                break
    return Spread(at, _of_places(term), tuple(bound), conditions) if at else None


def _viewed(values: Elementwise, i: Index, term: Expr) -> bool:
    """Whether the accesses at an index are views as they are: v[f] = x[f//J, f%J]."""

    def is_view(a: Access) -> bool:
        value, axes = values.tensors[a.tensor]
        shape = tuple(j.size for j in axes)
        return value.indices == axes and view(value, a.indices, shape) is not None

    return all(is_view(a) for a in accesses(term) if a.has(i))


Named = tuple[Expr, tuple[Index, ...], Expr]  # where the index is, by new ones; a factor used up


def _placed(i: Index, bound: Sequence[Index], term: Expr) -> Iterable[Named]:
    """A factor (i == 2*p + k) says where a term belongs."""
    for factor in Mul.make_args(term):
        for own, place in (factor.args, factor.args[::-1]) if isinstance(factor, eq) else ():
            affine = affine_form(place)
            if own == i and affine and affine[1] and {j for j, _ in affine[1]} <= set(bound):
                yield place, (), factor


def _chosen(
    i: Index, bound: Sequence[Index], term: Expr, values: Elementwise, taken: set[str]
) -> Iterable[Named]:
    """A factor (i == 2*p + a//3), a the place of a maximum in windows: i is 2*p + k, k == a//3."""
    for factor in Mul.make_args(term):
        for own, place in (factor.args, factor.args[::-1]) if isinstance(factor, eq) else ():
            if own == i and (found := _in_window(place, bound, values)):
                digit, size = found
                k = Index(fresh(f"{i.name}_", taken), size)
                yield place.xreplace({digit: k}), (k,), factor / eq(k, digit)


def _in_window(
    place: Expr, bound: Sequence[Index], values: Elementwise
) -> tuple[Expr, Expr] | None:
    """Of 2*p + a//3, a being the place of a maximum among 9: (a//3, 3); else None.

    There are few places in a window: for each of them all windows are looked at together.
    """
    rests = [t for t in Add.make_args(place) if t.has(Access)]
    affine = affine_form(place - rests[0]) if len(rests) == 1 else None
    if not affine or not affine[1] or not {j for j, _ in affine[1]} <= set(bound):
        return None
    (digit,) = rests
    a, size = digit, S.Zero
    if isinstance(a, mod):
        a, size = a.args
    if isinstance(a, floordiv):
        a, weight = a.args
        size = size or values.positions.get(str(getattr(a, "tensor", "")), S.Zero) / weight
    if not isinstance(a, Access) or a.tensor not in values.positions:
        return None
    size = size or values.positions[a.tensor]
    return None if size.is_Integer and size > 16 else (digit, size)


def _of_places(term: Expr) -> Expr:
    """The places of maxima in a term by all their digits at once: 3*k + l == a."""
    digits = [x for x in Mul.make_args(term) if isinstance(x, eq) and x.has(floordiv, mod)]
    return Mul(term / Mul(*digits), *of_numbers(tuple(digits)))


def _shifted(
    i: Index,
    bound: Sequence[Index],
    term: Expr,
    conditions: Sequence[Expr],
    values: Elementwise,
    taken: set[str],
) -> Iterable[Named]:
    """With i - 2*p, or (i - 2*p)//3 where 3 divides it, named k: i is 2*p + k, or 2*p + 3*k."""
    for shift, size in _shifts(i, bound, term, conditions, values):
        c = shift.coeff(i)
        k = Index(fresh(f"{i.name}_", taken), size)
        yield (i + c * (k - shift)).expand(), (k,), S.One
    for condition in conditions:
        if not (isinstance(condition, eq) and isinstance(condition.args[0], mod)):
            continue
        number, divisor = condition.args[0].args
        c = number.expand().coeff(i)
        quotient = floordiv(number, divisor)
        if condition.args[1] != 0 or abs(c) != 1:
            continue
        for a in accesses(term):
            for x, n in zip(a.indices, values.shapes[a.tensor], strict=True):
                rest = x - quotient
                if x.has(quotient) and not rest.has(i, Access) and not n.has(Index):
                    k = Index(fresh(f"{i.name}_", taken), n)
                    yield (i + c * (divisor * (k - rest) - number)).expand(), (k,), S.One


def _digits(i: Index, term: Expr, conditions: Sequence[Expr], taken: set[str]) -> Iterable[Named]:
    """With (i+b)//c named p and (i+b)%c named k: i is c*p + k - b."""
    for quotient in sorted(
        {q for x in (term, *conditions) for q in x.atoms(floordiv) if q.has(i)}, key=str
    ):
        number, divisor = quotient.args
        if (number - i).has(Index, Access) or not divisor.is_Integer:
            continue
        lowest, highest = bounds(quotient)
        if le(S.Zero, quotient) in conditions:
            lowest = S.Zero
        if not (lowest.is_Integer and highest.is_finite):
            continue
        size = highest - lowest + 1
        for condition in conditions:
            if isinstance(condition, lt) and condition.args[0] == quotient:
                size = condition.args[1] - lowest
        if not size.is_positive:
            continue
        k = Index(fresh(f"{i.name}_", taken), divisor)
        p = Index(fresh(f"{i.name}_", taken), size)
        yield (i + divisor * (p + lowest) + k - number).expand(), (p, k), S.One


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


def _tidied(e: Expr, values: Elementwise) -> Expr:
    """The expression with the index expressions in it multiplied out, and digits read off."""
    e = reduced(e, values.sizes)
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
