"""Expressions in the form in which a page shows them, whatever it is printed with.

    mean[n](f)         ->  1/N * sum[n](f)
    sum[k](c*f[k])     ->  c * sum[k](f[k])       a factor without the index stands before the sum
    where(c, f, 0)     ->  f * [c]                within a product or a sum
    rounded(f)         ->  f                      a matter of the code alone

Exact: a mean is a sum over its count, sums are linear, and a condition is the number 0 or 1.
"""

from __future__ import annotations

from sympy import Expr, Mul, S

from derive.functions import Condition, le, lt, not_, rounded, where
from derive.notation import Access, Index, Partial, Reduce


def displayed(e: Expr) -> Expr:
    """The expression as a page shows it; cases at its root stay."""
    return _shown(e, root=True)


def _shown(e: Expr, *, root: bool = False) -> Expr:
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
        condition, a, b = e.args
        a, b = _shown(a), _shown(b)
        if root or (a != 0 and b != 0):
            return where(condition, a, b)
        return Mul(condition, a) if b == 0 else Mul(negation(condition), b)
    return e.func(*map(_shown, e.args))


def negation(condition: Expr) -> Expr:
    """The opposite condition, a comparison where it was one."""
    if isinstance(condition, lt | le):
        return (le if isinstance(condition, lt) else lt)(condition.args[1], condition.args[0])
    return not_(condition)
