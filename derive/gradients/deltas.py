"""Eliminating Kronecker deltas: integer equations solved for summation indices, with ranges.

    sum[p,k](g[p] * w[k] * (i == 2*p+k-1))  ->  sum[p](g[p] * w[i-2*p+1]), guard 0 <= i-2*p+1 < K
    sum[p](g[p] * (i == 2*p))               ->  g[i//2], guard i % 2 == 0 and i//2 < P
    sum[i](g[i] * (k == i//2))              ->  sum[r](g[2*k + r]), r in 0..1, guard 2*k + r < I
    sum[i](g[i] * (k == (i - j) % n))       ->  g[(k + j) % n], where i runs over n values
    sum[p,k](g[p,k] * (i == 2*p + k))       ->  g[i//2, i%2], where k runs over 2 values
    sum[r,k](g[r,k] * (i == (6*r+k)//4) * (j == (6*r+k)%4))
                                            ->  g[(4*i+j)//6, (4*i+j)%6], that is 4*i+j == 6*r+k

Every solution is exact: an index is replaced only by the one value that solves the equation, under
a guard that says when that value exists. What has no such solution (a lookup, a comparison with an
element) stays in the term as the condition that it is. SymPy's own deltas are not used: they lose
the parity and the ranges.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

from sympy import Add, Expr, Mul, S, Symbol

from derive.gradients.normal_form import bounds, conditions_inside, fresh, pruned, reduced
from derive.language.functions import and_, eq, floordiv, mod
from derive.language.notation import Access, Index


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
    s = Sum(rest, s.bound, s.guard, of_numbers(s.deltas + linking))
    known, own, new = set(sizes), set(s.bound), set()
    while s.deltas:
        # An index that stands alone first: it leaves the least behind.
        delta = min(s.deltas, key=lambda d: _difficulty(d, s, sizes))
        others = list(s.deltas)
        others.remove(delta)
        solved = _solve(delta, Sum(s.term, s.bound, s.guard, tuple(others)), sizes, taken)
        # One that cannot be solved stays in the term, where later solutions are put in, too.
        s = solved or Sum(s.term * delta, s.bound, s.guard, tuple(others))
        # After i = 3*j + r, what was k == i % 3 is k == r.
        s = Sum(s.term, s.bound, s.guard, tuple(reduced(d, sizes) for d in s.deltas))
        new |= {i.size for i in s.bound if i not in own and i.size.is_Symbol}
    s = _without_equations(s, sizes, taken)
    # The size of an index may be written as a number: its symbol says that the name is taken.
    used = {size for i in s.bound for size in (i.size, Index(i.name).size)}
    gone = (new | (sizes.keys() - known)) - used
    s = _without_sizes(s, gone, sizes)
    for symbol in gone - known:
        del sizes[symbol]
    s = _known(Sum(s.term, s.bound, reduced(s.guard, sizes)))
    term, guard = (pruned(reduced(e, sizes), sizes) for e in (s.term, s.guard))
    # What is known without reading a tensor first: it may be what the reading needs.
    return Sum(term, s.bound, and_(*sorted(_conjuncts(guard), key=lambda c: c.has(Access))))


def of_numbers(deltas: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """The deltas, those of a number's digits as one: (i == e//c)*(j == e%c) is (c*i + j == e)."""
    for high, low in permutations((d for d in deltas if isinstance(d, eq)), 2):
        if joined := _number(high, low):
            return of_numbers((joined, *(d for d in deltas if d not in (high, low))))
    return deltas


def _number(high: Expr, low: Expr) -> Expr | None:
    for i, quotient in (high.args, high.args[::-1]):
        for j, digit in (low.args, low.args[::-1]):
            if not (isinstance(quotient, floordiv) and isinstance(digit, mod)):
                continue
            (e, whole), (rest, c) = quotient.args, digit.args
            below = S.One
            if isinstance(rest, floordiv) and rest.args[1] != whole:
                rest, below = rest.args
            # Digits are printed in the lowest terms: (6*r + k) % 2 is k % 2.
            same = ((e - rest) / whole).expand().is_integer
            if isinstance(j, Index) and j.size == c and (whole - below * c).expand() == 0 and same:
                return eq((c * i + j).expand(), _quotient(e, below))
    return None


def _without_equations(s: Sum, sizes: dict[Symbol, Expr], taken: set[str]) -> Sum:
    """The sum with the affine equations in its guard used up, as deltas are."""
    for condition in _conjuncts(s.guard) if s.bound else ():
        affine = isinstance(condition, eq) and not condition.has(Access, floordiv, mod)
        if affine and condition.has(*s.bound):
            rest = and_(*(c for c in _conjuncts(s.guard) if c != condition))
            solved = _solve(condition, Sum(s.term, s.bound, rest), sizes, taken)
            if solved:
                return _without_equations(solved, sizes, taken)
    return s


def _conjuncts(guard: Expr) -> tuple[Expr, ...]:
    return guard.args if isinstance(guard, and_) else (guard,)


def _known(s: Sum) -> Sum:
    """The sum with what its conditions say put into it.

    Where e % c == 0, c*(e//c) is e; in a product with (k == e), e is k. c*(e//c) + e%c is e.
    """
    term, guard = s.term, s.guard
    conjuncts = _conjuncts(guard)
    for multiple in (c.args[0] for c in conjuncts if isinstance(c, eq) and c.args[1] == 0):
        if isinstance(multiple, mod):
            term, guard = (_divided(e, *multiple.args) for e in (term, guard))
    term, guard = _joined(term), _joined(guard)
    for factor in Mul.make_args(term):
        if isinstance(factor, eq) and isinstance(factor.args[0], Index):
            k, e = factor.args
            guard = guard.xreplace({e: k}) if e.has(Access) else guard
    return Sum(term, s.bound, guard, s.deltas)


def _divided(e: Expr, a: Expr, c: Expr) -> Expr:
    """The expression with c*(a//c) written as `a`, which c divides."""
    quotient = floordiv(a, c)
    found = {}
    for x in (x for x in e.atoms(Add, Mul) if x.is_integer and x.has(quotient)):
        factor = x.expand().coeff(quotient) / c
        if factor.is_integer and not factor.has(Index):
            found[x] = (x + factor * (a - c * quotient)).expand()
    return e.xreplace(found)


def _joined(e: Expr) -> Expr:
    """c*(a//c) + a%c  ->  a"""
    found = {}
    for x in (x for x in e.atoms(Add) if x.is_integer and x.has(mod) and x.has(floordiv)):
        whole = x.xreplace({m: m.args[0] - m.args[1] * floordiv(*m.args) for m in x.atoms(mod)})
        if not whole.expand().has(floordiv, mod):
            found[x] = whole.expand()
    return e.xreplace(found)


def _without_sizes(s: Sum, gone: set[Symbol], sizes: dict[Symbol, Expr]) -> Sum:
    """The sum with the sizes of indices that came and went written as what they are."""
    values: dict[Expr, Expr] = {}
    for symbol in [size for size in sizes if size in gone]:
        values[symbol] = sizes[symbol].xreplace(values)
    for symbol in {i.size for i in s.bound} & sizes.keys():
        sizes[symbol] = sizes[symbol].xreplace(values)
    return Sum(s.term.xreplace(values), s.bound, s.guard.xreplace(values), s.deltas)


def _difficulty(delta: Expr, s: Sum, sizes: dict[Symbol, Expr]) -> int:
    if not isinstance(delta, eq):
        return 0
    if any(isinstance(a, Index) and a in s.bound for a in delta.args):
        return 1
    if delta.has(floordiv, mod):
        return 6 if delta.has(mod) else 5
    # Where windows overlap, the place of a maximum says which place of the window it is.
    left, right = delta.args
    is_number = _solve_digits(left - right, Sum(S.One, s.bound, S.One), sizes) is not None
    return 2 if is_number and not delta.has(Access) else 3 if is_number else 4


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
        _solve_digits(left - right, s, sizes)
        or _solve_affine(left - right, s, sizes)
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


def _solve_digits(difference: Expr, s: Sum, sizes: dict[Symbol, Expr]) -> Sum | None:
    """From `c*u + v == e` with v in 0..c-1: u = e//c, v = e%c, and so for more digits."""
    expanded = difference.expand()
    weights = {i: expanded.coeff(i) for i in s.bound if expanded.coeff(i) != 0}
    number = (expanded - sum((c * i for i, c in weights.items()), S.Zero)).expand()
    if len(weights) < 2 or number.has(*weights) or any(c.has(Index) for c in weights.values()):
        return None
    signs = {c.could_extract_minus_sign() for c in weights.values()}
    if len(signs) > 1:
        return None
    if signs == {True}:
        weights = {i: -c for i, c in weights.items()}
    else:
        number = -number
    weight: Expr = S.One
    digits: list[Index] = []
    while len(digits) < len(weights):
        fitting = [i for i, c in weights.items() if i not in digits and _same(c, weight, sizes)]
        if not fitting or not weight.is_positive:
            return None
        # A digit of one value first: it leaves the weight as it is.
        digits.append(min(fitting, key=lambda i: 0 if i.size.xreplace(sizes) == 1 else 1))
        weight = (weight * digits[-1].size).expand()
    for i in digits[:-1]:
        s = _substitute(i, mod(_quotient(number, weights[i]), i.size), s, sizes)
    top = digits[-1]
    return _substitute(top, _quotient(number, weights[top]), s, sizes)


def _quotient(number: Expr, weight: Expr) -> Expr:
    return number if weight == 1 else floordiv(number, weight)


def _same(a: Expr, b: Expr, sizes: dict[Symbol, Expr]) -> bool:
    return bool((a - b).xreplace(sizes).expand() == 0)


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
    """An index over `value` places; in another sum its name has this size or none."""
    index = Index(fresh(base, taken))
    while sizes.get(index.size, value) != value:
        index = Index(fresh(base, taken))
    sizes[index.size] = value
    return index.resized(value) if value.is_Integer else index
