"""Sums whose terms may be close to each other, in forms in which nothing cancels.

1 - cos(u)            2*sin(u/2)**2
sqrt(u**2 + c) - u    c/(sqrt(u**2 + c) + u) for u > 0, c a positive number

And what keeps sums from being distributed where nothing cancels: at y = 1, and next to it,
`(1 - y)*a` is right to the last bits and `a - a*y` is not.
"""

from __future__ import annotations

from sympy import Abs, Add, Expr, Integer, Mul, Pow, Rational, Symbol, cos, exp, expand, sin, sqrt

from derive.gradients.lengths import length
from derive.language.functions import lt, maximum, rounded, where

ZERO, ONE = Integer(0), Integer(1)


def half_angles(e: Add) -> Expr:
    """`a - a*cos(u) -> 2*a*sin(u/2)**2`, `a + a*cos(u) -> 2*a*cos(u/2)**2`"""
    for term in e.args:
        for cosine in (f for f in Mul.make_args(term) if isinstance(f, cos)):
            a = term / cosine
            half = cosine.args[0] / 2
            for other, square in ((a, cos(half) ** 2), (-a, sin(half) ** 2)):
                if other in e.args:
                    return Add(e - term - other, 2 * other * square)
    return e


def conjugate(e: Add) -> Expr | None:
    """`sqrt(u**2 + c) - u` by its conjugate on the side where the two cancel; None for other sums.

    So its derivatives, `u/sqrt(u**2 + c) - 1` and `1/sqrt(u**2 + c) - u**2/(u**2 + c)**(3/2)`: it
    is a factor of the first, the second a number over a power. And `sqrt(u**2 + c) - sqrt(c)`.
    """
    for square in {p.base for p in e.atoms(Pow) if _sides(p)}:
        u, c = _sides(sqrt(square)) or (ZERO, ONE)
        root = _root(u, c)
        for k in (0, 1, 3):
            a, b = _by_root(Add(*(t * square ** Rational(k, 2) for t in e.args)), square)
            if b == 0 and a.is_Rational:
                return a * rounded(1 / root) ** k
            if b == 0 or not b.is_Rational:
                continue
            if expand(a + b * sqrt(c)) == 0:
                return b * u * rounded(u / (root + sqrt(c))) / root**k
            for sign in (1, -1):
                if expand(a - sign * b * u) == 0:
                    summed = rounded(root + Abs(u))
                    return b * where(lt(ZERO, -sign * u), c / summed, summed) / root**k
    return None


def hypotenuse(e: Pow) -> Expr | None:
    """Odd powers of `sqrt(u**2 + c)`, whose square does not overflow; None for others."""
    found = _sides(e)
    if found is None:
        return None
    root = _root(*found)
    return root ** (2 * e.exp) if e.exp > 0 else rounded(1 / root) ** (-2 * e.exp)


def _sides(e: Pow) -> tuple[Expr, Expr] | None:
    """`u` and `c` where `e` is an odd power of `sqrt(u**2 + c)` for a number c > 0."""
    if not (e.exp.is_Rational and e.exp.q == 2 and isinstance(e.base, Add)):
        return None
    c, square = e.base.as_coeff_Add()
    if not (c.is_Rational and c.is_positive and isinstance(square, Pow) and square.exp == 2):
        return None
    return (square.base, c) if square.base.is_polynomial() else None


def _root(u: Expr, c: Expr) -> Expr:
    large = rounded(maximum(Abs(u), ONE))
    return rounded(large * sqrt(rounded(u / large) ** 2 + c * rounded(1 / large) ** 2))


def _by_root(e: Expr, square: Expr) -> tuple[Expr, Expr]:
    """`a` and `b` of `e = a + b*sqrt(square)`"""
    inside = [t for t in Add.make_args(e) if any(p.base == square for p in t.atoms(Pow))]
    b = expand(Add(*inside) / sqrt(square))
    return expand(e - Add(*inside)), b


def linear(e: Expr, part: Expr) -> tuple[Expr, Expr] | None:
    """`c` and `r` where `e = c*part + r`, with `part` in neither; no other sum is distributed."""
    number, part = part.as_coeff_Mul()
    if e == part:
        return 1 / number, ZERO
    if not e.has(part):
        return ZERO, e
    if isinstance(e, Add):
        found = [linear(a, part) for a in e.args]
        if any(f is None for f in found):
            return None
        pairs = [f for f in found if f is not None]
        return Add(*(c for c, _ in pairs)) / number, Add(*(r for _, r in pairs))
    if isinstance(e, Mul):
        own = set(Mul.make_args(part))
        if own <= set(e.args):
            c = Mul(*(f for f in e.args if f not in own))
            return None if c.has(part) else (c / number, ZERO)
        inside = [f for f in e.args if f.has(part)]
        if len(inside) == 1:
            others = Mul(*(f for f in e.args if f is not inside[0]))
            found_in = linear(inside[0], part)
            return found_in and (others * found_in[0] / number, others * found_in[1])
    return None


def shorter(e: Expr) -> Expr:
    """`(1 - y)*a + y*a -> a`, but `(1 - y)*a + y*b` as it is: at y = 1 it is b to the last bit."""
    expanded = expand(e)
    return expanded if length(expanded) < length(e) else e


def with_sums_whole(e: Expr, base: Expr) -> tuple[Expr, dict[Expr, Expr]]:
    """`e` with a symbol for each sum of operands, `1 - y`, and what it stands for.

    Such a sum is as right as its operands are; `a - a*y` is not where y is close to 1.
    """
    table: dict[Expr, Expr] = {}
    values: dict[Expr, Expr] = {}
    for part in sorted(e.atoms(Add), key=str):
        if part.free_symbols.isdisjoint(base.free_symbols) and not part.has(exp):
            sign = -1 if part.could_extract_minus_sign() else 1
            symbol = next((s for s, a in values.items() if a == sign * part), None)
            symbol = symbol or Symbol(f"~sum{len(values)}", real=True)
            values[symbol] = sign * part
            table[part] = sign * symbol
    return e.xreplace(table), values
