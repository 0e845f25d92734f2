"""Polynomials that neither overflow nor lose the bits that an exponential is sensitive to.

homogeneous(e)              x/(1 + x**2), right where x**2 is no number any more
compensated(u, x, cut)      exp(u) for a polynomial u, to the last bits
"""

from __future__ import annotations

import math

import sympy
from sympy import Abs, Add, Expr, Integer, Mul, Pow, Rational, Symbol, exp

from derive.language.functions import lt, maximum, minimum, nearest, rounded, where

ZERO, ONE = Integer(0), Integer(1)


def homogeneous(e: Expr) -> tuple[Expr | None, Expr]:
    """`2*x/(1 + x**2)  ->  2*s*t/(s**2 + t**2)`, `x = s/t`, `max(|s|, t) = 1`; and what is left.

    Exact, for numerator and denominator are multiplied by the same power of t; and so neither the
    square nor its reciprocal leaves the range of the numbers. None where there is no such part.
    """
    factors = Mul.make_args(e)
    for f in factors:
        if isinstance(f, Pow) and f.exp.is_Integer and f.exp.is_negative and f.base.is_Add:
            (*symbols,) = f.base.free_symbols
            if len(symbols) == 1 and f.base.is_polynomial(x := symbols[0]):
                polynomial = sympy.Poly(f.base, x)
                if polynomial.degree() >= 2 and all(c.is_positive for c in polynomial.coeffs()):
                    own = [a for a in factors if _is_rational(a, x)]
                    rest = Mul(*(a for a in factors if a not in own))
                    return _in_unit_square(Mul(*own), x), rest
    return None, e


def _is_rational(e: Expr, x: Symbol) -> bool:
    return e.free_symbols == {x} and e.is_rational_function(x)


def _in_unit_square(e: Expr, x: Symbol) -> Expr:
    large = rounded(maximum(Abs(x), ONE))
    s, t = rounded(x / large), rounded(1 / large)
    sides, degrees = [], []
    for part in sympy.fraction(sympy.together(e)):
        factors: list[Expr] = []
        degree = 0
        for factor, power in sympy.factor_list(part, x)[1]:
            p = sympy.Poly(factor, x)
            degree += power * p.degree()
            terms = [c * s**k * t ** (p.degree() - k) for (k,), c in p.terms()]
            factors.append(Add(*terms) ** power)
        sides.append(Mul(sympy.factor_list(part, x)[0], *factors))
        degrees.append(degree)
    above, below = sides
    return above / below * t ** (degrees[1] - degrees[0])


def compensated(base: Expr, x: Symbol, cut: Expr) -> tuple[Expr, Expr, Expr]:
    """`u`, `exp(min(u, 0))`, `exp(min(-u, 0))` for a polynomial `u` of degree 2 or more.

    An error of u, however small beside u, is a relative error of exp(u). So u is computed as
    `hi + lo` where hi is exact: Horner's scheme on pieces of 11 bits, whose products even float32
    holds exactly. `cut` is x, cut where nothing is left of exp(-|u|).
    """
    polynomial, limit = sympy.Poly(base, x), farthest(base, x)
    grid = _grid(float(limit))
    x_hi = _nearest(cut, grid)
    x_lo = rounded(cut - x_hi)
    hi, lo, most = ZERO, ZERO, 0.0
    fine = ONE  # hi is a multiple of 1/fine
    for c in polynomial.all_coeffs():
        if hi != 0:
            g = _grid(most)
            piece = _nearest(hi, g) if g < fine else hi
            rest = _held(_held(hi - piece) + lo) if g < fine else lo
            whole = _held(hi + lo)
            hi, lo = _held(piece * x_hi), _held(x_lo * whole + x_hi * rest)
            fine, most = min(g, fine) * grid, most * limit
            c_hi = sympy.Rational(round(c * fine), fine)
        else:
            fine = _grid(abs(float(c)))
            c_hi = sympy.Rational(round(c * fine), fine)
        if c != 0:
            hi, lo = _held(hi + c_hi), _held(lo + (c - c_hi).evalf(17))
        most += abs(float(c))
    u = rounded(hi + lo)
    n = rounded(exp(minimum(hi, ZERO))) * exp(where(lt(hi, ZERO), lo, ZERO))
    m = rounded(exp(minimum(-hi, ZERO))) * exp(where(lt(hi, ZERO), ZERO, -lo))
    return u, rounded(n), rounded(m)


def _held(e: Expr) -> Expr:
    return rounded(e) if e.free_symbols else e


def _nearest(e: Expr, grid: Expr) -> Expr:
    """The nearest multiple of `1/grid`."""
    return rounded(nearest(e * grid) / grid) if e.free_symbols else Rational(round(e * grid), grid)


def _grid(most: float) -> Integer | Rational:
    """`g` such that the multiples of 1/g up to `most` have at most 11 bits."""
    return Integer(2) ** (11 - math.frexp(most)[1])


def farthest(base: Expr, x: Symbol) -> int:
    """The power of 2 from which on the polynomial exceeds 800: nothing is left of exp(-800)."""
    p = sympy.lambdify(x, base, "math")
    small = (k for k in range(1, 64) if min(abs(p(2**k)), abs(p(-(2**k)))) <= 800)
    return 2 ** (max(small, default=0) + 1)
