"""Deltas solved for summation indices, against the sum with the delta left in."""

import itertools

import numpy as np
import pytest
import sympy

from derive.gradients.deltas import Sum, eliminate
from derive.gradients.normal_form import conditions_inside
from derive.language.functions import eq, floordiv, mod
from derive.language.notation import Access, Index


def index(name: str, n: int) -> Index:
    return Index(name, sympy.Integer(n))


K = index("m", 7)


def count(e: sympy.Expr, point: dict[Index, int]) -> int:
    return int(e.xreplace({i: sympy.Integer(v) for i, v in point.items()}).doit())


def numeric(s: Sum, sizes: dict[sympy.Symbol, sympy.Expr]) -> Sum:
    """The sum with the sizes of the indices that elimination has introduced put in."""
    resized = {i: i.resized(sizes[i.size]) for i in s.bound if i.size in sizes}
    bound = tuple(resized.get(i, i) for i in s.bound)
    return Sum(s.term.xreplace(resized), bound, s.guard.xreplace(resized), s.deltas)


def total(s: Sum, point: dict[Index, int], values: dict[tuple[int, ...], int]) -> int:
    """The sum by brute force; an access is looked up in `values`."""
    result = 0
    for at in itertools.product(*(range(int(i.size)) for i in s.bound)):
        here = point | dict(zip(s.bound, at, strict=True))
        if any(count(d, here) == 0 for d in s.deltas) or count(s.guard, here) == 0:
            continue
        term = s.term.xreplace({i: sympy.Integer(v) for i, v in here.items()})
        reads = {a: values[tuple(map(int, a.indices))] for a in term.atoms(Access)}
        result += int(term.xreplace(reads))
    return result


P, Q = index("p", 5), index("q", 4)
MAPS = {
    "alone": P,
    "shift": P + 1,
    "shift back": P - 2,
    "reversed": 4 - P,
    "stride": 2 * P,
    "stride, offset": 3 * P - 2,
    "window": 2 * P + Q - 1,
    "dilated": P + 2 * Q,
    "coarse window": 2 * P + 3 * Q,
    "even only": 2 * P + 4 * Q - 1,
    "halves": floordiv(P, 2),
    "halves of a shift": floordiv(P + 3, 2),
    "thirds of a window": floordiv(2 * P + Q, 3),
    "circular": mod(P + 2, 5),
    "circular difference": mod(P - Q, 5),
    "modulo less": mod(P, 3),
    "modulo of a stride": mod(2 * P + Q, 3),
    "modulo of a difference": mod(Q - 2 * P, 3),
    "digits": 3 * floordiv(P, 3) + mod(P, 3),
    "constant": sympy.Integer(3),
}


@pytest.mark.parametrize("name", MAPS)
def test_elimination_changes_no_value(name: str) -> None:
    """sum[p,q](v[p,q] * (m == a(p,q))) for every m, also outside the range of a."""
    values = {pq: 1 + 10 * pq[0] + pq[1] for pq in itertools.product(range(5), range(4))}
    before = Sum(Access("v", P, Q), (P, Q), sympy.S.One, (eq(K, MAPS[name]),))
    sizes: dict[sympy.Symbol, sympy.Expr] = {}
    after = numeric(eliminate(before, sizes, {"m", "p", "q"}), sizes)
    for m in range(7):
        assert total(after, {K: m}, values) == total(before, {K: m}, values), (name, m, after)


@pytest.mark.parametrize("name", ["alone", "shift", "reversed", "stride", "window", "circular"])
def test_the_delta_is_used_up(name: str) -> None:
    after = eliminate(
        Sum(Access("v", P, Q), (P, Q), sympy.S.One, (eq(K, MAPS[name]),)), {}, {"m", "p", "q"}
    )
    assert P not in after.bound or Q not in after.bound
    assert not after.term.has(eq)


def test_parity_is_kept() -> None:
    """SymPy's own deltas give g[k/2] for m == 2*p, with no test of parity."""
    g = np.arange(1, 6)
    after = eliminate(Sum(Access("g", P), (P,), sympy.S.One, (eq(K, 2 * P),)), {}, {"m", "p"})
    values = {(k,): int(v) for k, v in enumerate(g)}
    assert [total(after, {K: m}, values) for m in range(7)] == [1, 0, 2, 0, 3, 0, 4]


def test_conditions_that_hold_by_the_ranges_are_not_stated() -> None:
    n, k = Index("n"), Index("k")
    assert conditions_inside(n, n.size, {}) == ()
    p = Index("p")
    sizes = {p.size: floordiv(n.size - k.size, 2) + 1}
    assert conditions_inside(2 * p + k, n.size, sizes) == ()
    assert len(conditions_inside(2 * p + k - 1, n.size, sizes)) == 1
    assert conditions_inside(mod(n - k, n.size), n.size, {}) == ()
