"""Branches of `where` are evaluated everywhere; they must not overflow where they are not taken."""

from __future__ import annotations

import sympy
from sympy import (
    Abs,
    Expr,
    Integer,
    Mul,
    Pow,
    Rational,
    Symbol,
    cosh,
    erf,
    erfc,
    exp,
    log,
    sinh,
    tan,
)
from sympy.codegen.cfunctions import expm1, log1p

from derive.language.functions import Named, le, lt, maximum, minimum, where

ZERO, ONE = Integer(0), Integer(1)
# Functions that may leave the range of the numbers, or that are not defined everywhere.
GROWING = (exp, expm1, sinh, cosh, tan, log, log1p, Pow, Named, erf, erfc)


def within(branch: Expr, condition: Expr, taken: bool) -> Expr:
    """A branch with its operands kept where the condition sends it: exp(x) for x <= 0 only.

    where(x > 0, x, exp(x))  ->  where(x > 0, x, exp(minimum(x, 0)))
    """
    if not branch.atoms(*GROWING) and not any(map(_repeats, branch.atoms(Mul))):
        return branch
    limits = _limits(condition, taken)
    if limits is not None:
        x, within_limits, ends = limits
        if all(_is_finite(branch.xreplace({x: end})) for end in ends):
            return branch.xreplace({x: within_limits})
    safe = _safe_point(branch)
    return branch.xreplace(
        {
            s: where(condition, s, safe) if taken else where(condition, safe, s)
            for s in branch.free_symbols
            if not s.is_positive  # a size is harmless
        }
    )


def _repeats(product: Mul) -> bool:
    """Whether an operand stands in two factors, so that the product grows faster than it."""
    seen: set[Symbol] = set()
    for factor in product.args:
        if seen & factor.free_symbols:
            return True
        seen |= factor.free_symbols
    return False


def _limits(condition: Expr, taken: bool) -> tuple[Expr, Expr, tuple[Expr, ...]] | None:
    """`x`, x within its limits, and the limits, where a comparison with a number holds or fails."""
    if not isinstance(condition, lt | le):
        return None
    a, b = condition.args
    if a.is_Symbol and b.is_number:
        return a, minimum(a, b) if taken else maximum(a, b), (b,)
    if b.is_Symbol and a.is_number:
        return b, maximum(b, a) if taken else minimum(b, a), (a,)
    if isinstance(a, Abs) and a.args[0].is_Symbol and b.is_number and taken:
        x = a.args[0]
        return x, minimum(maximum(x, -b), b), (-b, b)
    return None


def _safe_point(branch: Expr) -> Expr:
    """A value of all operands at which every part of the branch is finite and real."""
    for safe in (ZERO, ONE, Rational(1, 2), -ONE):
        if _is_finite(branch.xreplace(dict.fromkeys(branch.free_symbols, safe))):
            return safe
    return ONE


def _is_finite(e: Expr) -> bool:
    return not e.has(sympy.zoo, sympy.oo, -sympy.oo, sympy.nan) and e.is_real is not False
