"""Expressions in the form in which a page shows them, whatever it is printed with.

    mean[n](f)         ->  1/N * sum[n](f)
    sum[k](c*f[k])     ->  c * sum[k](f[k])       a factor without the index stands before the sum
    where(c, f, 0)     ->  f * [c]                within a product or a sum
    0 <= m - J         ->  J <= m
    -tanh(y - z)       ->  tanh(z - y)            and other odd functions of a difference
    (m - x)*sum(x - m) -> -(x - m)*sum(x - m)     the difference has one sign, that in the sum
    rounded(f)         ->  f                      a matter of the code alone

Exact: a mean is a sum over its count, sums are linear, and a condition is the number 0 or 1.
"""

from __future__ import annotations

from collections.abc import Collection

from sympy import Add, Expr, Mul, S

from derive.language.functions import Condition, and_, eq, le, lt, ne, not_, or_, rounded, where
from derive.language.notation import Access, Index, Partial, Reduce
from derive.language.text_printer import solved, without_sign


def displayed(e: Expr) -> Expr:
    """The expression as a page shows it; cases at its root stay."""
    shown = _shown(e, root=True)
    inside = {pair for r in shown.atoms(Reduce) for a in r.term.atoms(Add) if (pair := _pair(a))}
    return _turned(shown, inside) if inside else shown


def _shown(e: Expr, *, root: bool = False) -> Expr:
    if isinstance(e, lt | le):
        return solved(e)
    if isinstance(e, and_ | or_ | not_):
        return e.func(*map(_shown, e.args))
    if isinstance(e, Access | Condition) or not e.args:
        return e
    if isinstance(e, rounded):
        return _shown(e.args[0], root=root)
    if isinstance(e, Partial):
        return Partial(_shown(e.body, root=True), e.operand)
    if isinstance(e, Reduce):
        term = _shown(e.term)
        if e.op not in ("sum", "mean"):
            return Reduce(e.op, term, e.bound, e.guard)
        count = Mul(*(i.size for i in e.bound)) if e.op == "mean" else S.One
        outside = [a for a in Mul.make_args(term) if not (a.atoms(Index) & set(e.bound))]
        inside = Mul(*(a for a in Mul.make_args(term) if a not in outside))
        return Mul(*outside, 1 / count, Reduce("sum", inside, e.bound, e.guard))
    if isinstance(e, where):
        condition, a, b = map(_shown, e.args)
        if root or (a != 0 and b != 0):
            return where(condition, a, b)
        return Mul(condition, a) if b == 0 else Mul(negation(condition), b)
    shown = e.func(*map(_shown, e.args))
    return without_sign(shown) if isinstance(shown, Mul) else shown


def _pair(e: Expr) -> tuple[str, str] | None:
    """The tensors of `x[n,d] - m[n]`, the positive one first."""
    if not isinstance(e, Add) or len(e.args) > 2:
        return None
    positive = [a for a in e.args if isinstance(a, Access)]
    negative = [-a for a in e.args if isinstance(-a, Access)]
    if len(positive) != 1 or len(negative) != 1:
        return None
    return positive[0].tensor, negative[0].tensor


def _turned(e: Expr, inside: Collection[tuple[str, str]]) -> Expr:
    """The expression with the factors turned that are a difference the other way around."""
    if not isinstance(e, Add | Mul):
        return e
    parts = [_turned(a, inside) for a in e.args]
    if isinstance(e, Add) or sum(not a.is_Number for a in parts) < 2:
        return e.func(*parts)
    for k, a in enumerate(parts):
        pair = _pair(a)
        if pair is not None and pair[::-1] in inside and pair not in inside:
            parts[k] = -a
            parts.append(S.NegativeOne)
    return Mul(*parts)


def negation(condition: Expr) -> Expr:
    """The opposite condition, a comparison where it was one."""
    if isinstance(condition, lt | le):
        return (le if isinstance(condition, lt) else lt)(condition.args[1], condition.args[0])
    if isinstance(condition, eq | ne):
        return (ne if isinstance(condition, eq) else eq)(*condition.args)
    return not_(condition)
