"""Eliminating Kronecker deltas: integer equations solved for summation indices, with ranges.

    sum[p,k](g[p] * w[k] * (i == 2*p+k-1))  ->  sum[p](g[p] * w[i-2*p+1]), guard 0 <= i-2*p+1 < K
    sum[p](g[p] * (i == 2*p))               ->  g[i//2], guard i % 2 == 0 and i//2 < P
    sum[i](g[i] * (k == i//2))              ->  sum[r](g[2*k + r]), r in 0..1, guard 2*k + r < I
    sum[i](g[i] * (k == (i - j) % n))       ->  g[(k + j) % n], where i runs over n values

Every solution is exact: an index is replaced only by the one value that solves the equation, under
a guard that says when that value exists. What has no such solution (a lookup, a comparison with an
element) stays in the term as the condition that it is. SymPy's own deltas are not used: they lose
the parity and the ranges.
"""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Expr, Mul, S, Symbol

from derive.functions import and_, eq, floordiv, mod
from derive.normal_form import bounds, conditions_inside, fresh, pruned, reduced
from derive.notation import Access, Index


@dataclass(frozen=True)
class Sum:
    """`sum[bound](term)` where `guard` holds, the deltas of the term apart from it."""

    term: Expr
    bound: tuple[Index, ...]
    guard: Expr
    deltas: tuple[Expr, ...] = ()

    def substituted(self, values: dict[Index, Expr]) -> Sum:
        return Sum(
            self.term.xreplace(values),
            tuple(i for i in self.bound if i not in values),
            self.guard.xreplace(values),
            tuple(d.xreplace(values) for d in self.deltas),
        )


def eliminate(s: Sum, sizes: dict[Symbol, Expr], taken: set[str]) -> Sum:
    """The sum with each delta used up that an index of the sum can be solved from.

    `taken` are the names of indices in use; names of new indices are added to it, and their sizes
    to `sizes`.
    """
    factors = Mul.make_args(s.term)
    linking = tuple(f for f in factors if isinstance(f, eq) and f.has(*s.bound)) if s.bound else ()
    rest = Mul(*(f for f in factors if f not in linking))
    s = Sum(rest, s.bound, s.guard, s.deltas + linking)
    known, own, new = set(sizes), set(s.bound), set()
    while s.deltas:
        # An index that stands alone first: it leaves the least behind.
        delta = min(s.deltas, key=lambda d: _difficulty(d, s.bound))
        others = list(s.deltas)
        others.remove(delta)
        solved = _solve(delta, Sum(s.term, s.bound, s.guard, tuple(others)), sizes, taken)
        # One that cannot be solved stays in the term, where later solutions are put in, too.
        s = solved or Sum(s.term * delta, s.bound, s.guard, tuple(others))
        # After i = 3*j + r, what was k == i % 3 is k == r.
        s = Sum(s.term, s.bound, s.guard, tuple(reduced(d, sizes) for d in s.deltas))
        new |= {i.size for i in s.bound if i not in own}
    gone = (new | (sizes.keys() - known)) - {i.size for i in s.bound}
    s = _without_sizes(s, gone, sizes)
    for symbol in gone - known:
        del sizes[symbol]
    term, guard = (pruned(reduced(e, sizes), sizes) for e in (s.term, s.guard))
    # What is known without reading a tensor first: it may be what the reading needs.
    conjuncts = guard.args if isinstance(guard, and_) else (guard,)
    return Sum(term, s.bound, and_(*sorted(conjuncts, key=lambda c: c.has(Access))))


def _without_sizes(s: Sum, gone: set[Symbol], sizes: dict[Symbol, Expr]) -> Sum:
    """The sum with the sizes of indices that came and went written as what they are."""
    values: dict[Expr, Expr] = {}
    for symbol in [size for size in sizes if size in gone]:
        values[symbol] = sizes[symbol].xreplace(values)
    for symbol in {i.size for i in s.bound} & sizes.keys():
        sizes[symbol] = sizes[symbol].xreplace(values)
    return Sum(s.term.xreplace(values), s.bound, s.guard.xreplace(values), s.deltas)


def _difficulty(delta: Expr, bound: tuple[Index, ...]) -> int:
    if not isinstance(delta, eq):
        return 0
    alone = [a for a in delta.args if isinstance(a, Index) and a in bound]
    return 1 if alone else 2 if not delta.has(floordiv, mod) else 3 if not delta.has(mod) else 4


def _solve(delta: Expr, s: Sum, sizes: dict[Symbol, Expr], taken: set[str]) -> Sum | None:
    """`sum(term * delta)` with the delta used up; None where no index can be solved for."""
    if delta == 1:
        return s
    if delta == 0:
        return Sum(S.Zero, s.bound, s.guard, s.deltas)
    if not isinstance(delta, eq):
        return None
    left, right = delta.args
    for a, b in ((left, right), (right, left)):
        if isinstance(a, Index) and a in s.bound and not b.has(a):
            return _substitute(a, b, s, sizes)
    return (
        _solve_affine(left - right, s, sizes)
        or _solve_mod(left, right, s, sizes)
        or _solve_mod(right, left, s, sizes)
        or _unfold(left, right, s, sizes, taken)
        or _unfold(right, left, s, sizes, taken)
    )


def _substitute(
    index: Index, value: Expr, s: Sum, sizes: dict[Symbol, Expr], *conditions: Expr
) -> Sum:
    inside = conditions_inside(value, index.size, sizes)
    s = s.substituted({index: value})
    return Sum(s.term, s.bound, and_(s.guard, *conditions, *inside), s.deltas)


def _solve_affine(difference: Expr, s: Sum, sizes: dict[Symbol, Expr]) -> Sum | None:
    """From `c*v + rest == 0`: v = -rest/c where c divides it; c = +-1 and outer indices first."""
    candidates = []
    expanded = difference.expand()
    for position, index in enumerate(s.bound):
        c = expanded.coeff(index)
        rest = (expanded - c * index).expand()
        if c.is_nonzero and not c.has(Index, Access) and not rest.has(index):
            candidates.append((0 if abs(c) == 1 else 1, position, index, c, rest))
    if not candidates:
        return None
    unit, _, index, c, rest = min(candidates, key=lambda t: t[:2])
    if unit == 0:
        return _substitute(index, -rest / c, s, sizes)
    negative = c.could_extract_minus_sign()
    numerator, c = (rest, -c) if negative else (-rest, c)
    numerator = numerator.expand()
    return _substitute(index, floordiv(numerator, c), s, sizes, eq(mod(numerator, c), S.Zero))


def _solve_mod(left: Expr, right: Expr, s: Sum, sizes: dict[Symbol, Expr]) -> Sum | None:
    """From `k == (+-v + rest) % m` with v in 0..m-1: v = +-(k - rest) % m, one of each class."""
    if not isinstance(right, mod):
        return None
    inner, m = right.args
    inner = inner.expand()
    for index in s.bound:
        c = inner.coeff(index)
        rest = inner - c * index
        if abs(c) == 1 and index.size == m and not (rest.has(index) or left.has(index)):
            value = mod((c * (left - rest)).expand(), m)
            return _substitute(index, value, s, sizes, *conditions_inside(left, m, sizes))
    return None


def _unfold(
    left: Expr, right: Expr, s: Sum, sizes: dict[Symbol, Expr], taken: set[str]
) -> Sum | None:
    """`k == e // c`: `c*k + r == e` for one r in 0..c-1; `k == e % m`: `k + m*q == e` for one q."""
    if not (isinstance(right, floordiv | mod) and right.has(*s.bound)):
        return None
    inner, c = right.args
    if c.has(Index, Access) or not c.is_positive or inner.has(Access):
        return None
    if isinstance(right, floordiv):
        r = _new_index("r", c, sizes, taken)
        delta, conditions = eq(c * left + r, inner), ()
    else:
        low, high = bounds(inner)
        if not (low.is_finite and high.is_finite):
            return None
        lowest = floordiv(low, c)
        r = _new_index("q", (floordiv(high, c) - lowest + 1).expand(), sizes, taken)
        delta = eq(left + c * (r + lowest), inner)
        conditions = conditions_inside(left, c, sizes)
    extended = Sum(s.term, (*s.bound, r), and_(s.guard, *conditions), s.deltas)
    # r itself must not be what is solved for: that would give the equation back.
    inner_bound = tuple(i for i in s.bound if inner.has(i))
    trial = Sum(extended.term, inner_bound, extended.guard, extended.deltas)
    solved = _solve_affine(delta.args[0] - delta.args[1], trial, sizes)
    if solved is None:
        return None
    outer = tuple(i for i in extended.bound if i not in inner_bound)
    return Sum(solved.term, outer + solved.bound, solved.guard, solved.deltas)


def _new_index(base: str, value: Expr, sizes: dict[Symbol, Expr], taken: set[str]) -> Index:
    index = Index(fresh(base, taken))
    while sizes.get(index.size, value) != value:  # the size of another sum's index
        index = Index(fresh(base, taken))
    sizes[index.size] = value
    return index
