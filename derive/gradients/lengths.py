"""How long an expression is for a reader: what the textbook form is the least of."""

from __future__ import annotations

from sympy import Add, Expr, Mul, Pow, cosh, exp, sinh, tanh
from sympy.codegen.cfunctions import expm1

from derive.gradients.identities import sigmoid
from derive.language.notation import Access

# Beyond this many symbols an expression is left as it stands: textbook forms are short.
LARGEST = 80

# The functions of `u` that are rational functions of `exp(u)`.
EXPONENTIALS = (exp, tanh, sinh, cosh, sigmoid, expm1)


def length(e: Expr, cached: frozenset[Expr] = frozenset()) -> int:
    """The number of symbols that a reader sees; what is cached counts as one."""
    if not e.args or e in cached or isinstance(e, Access):
        return 1
    if isinstance(e, Pow) and e.exp == -1:
        return 1 + length(e.base, cached)
    if isinstance(e, Mul) and e.args[0] == -1:
        return length(-e, cached) + 1
    if isinstance(e, Add) and -e in cached:
        return 2
    joints = len(e.args) - 1 if isinstance(e, Add | Mul) else 1
    return joints + sum(length(a, cached) for a in e.args)


def cost(e: Expr, cached: frozenset[Expr] = frozenset()) -> int:
    """The length, and two for every kind of exponential: `s*(1 - s)` rather than `exp(-z)*s**2`."""
    return length(e, cached) + 2 * len({type(part) for part in e.atoms(*EXPONENTIALS)})


def minus_signs(e: Add) -> int:
    return sum(1 for a in e.args if a.as_coeff_Mul()[0].is_negative)
