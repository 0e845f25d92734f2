"""The tail of the normal distribution without a special function: erf, erfc and GELU from it.

    Q(a) = P(X > a) = exp(-a**2/2) * R(a),  a >= 0:     erf(v) = 1 - 2*Q(sqrt(2)*v) for v >= 0

`R(a) = p(t)/(a + 1/sqrt(2))` with `t = (a - 4)/(a + 4)` and one polynomial p for all a. The
square in the exponential is split, so that the tail keeps its relative accuracy: with `h` the
nearest multiple of 1/32 to a, `exp(-h**2/2)` has an exact argument and `exp(-(a - h)*(a + h)/2)`
a small one.

`TAIL` and `CENTRE` are Chebyshev interpolants in powers of t and of v**2, by `mpmath.chebyfit`
with 60 digits, rounded to double precision; a test computes them anew.
"""

from __future__ import annotations

from sympy import Abs, Expr, Float, Integer, exp

from derive.language.functions import horner, minimum, nearest, rounded

# p(t) = (a + 1/sqrt(2)) * exp(a**2/2) * Q(a) for t in -1..1, within 2**-58
TAIL = (
    0.44440096988866873,
    -0.04679514018372027,
    -0.02243020572551263,
    0.0496029774014633,
    -0.041237929250779355,
    0.020423374660062863,
    -0.005151040082175343,
    -0.00047272734590219983,
    0.000749722122355924,
    -8.108750885003464e-05,
    -9.624419076970786e-05,
    1.9893344615216637e-05,
    1.4887791236177921e-05,
    -3.188662049116423e-06,
    -2.807894357569154e-06,
    3.4250794243102623e-07,
    5.818591068926917e-07,
    1.992732181331363e-08,
    -1.1641854592611652e-07,
    -2.701165180102501e-08,
    1.9454128113961554e-08,
    9.578108642303533e-09,
    -2.0979259834686953e-09,
    -2.007568973012324e-09,
    1.9934291811404328e-11,
    2.0430758497810312e-10,
    2.1989612375505207e-11,
)
# erf(v)/v as a polynomial in v**2, for v**2 in 0..1, within 2**-56
CENTRE = (
    1.1283791670955126,
    -0.37612638903183543,
    0.11283791670945006,
    -0.02686617064323777,
    0.0052239776071164225,
    -0.0008548325975389692,
    0.00012055294904839707,
    -1.492473690741966e-05,
    1.6447424703317362e-06,
    -1.6208483801871705e-07,
    1.3720064546777686e-08,
    -7.795898827002142e-10,
)

_FARTHEST = 39.5  # exp(-39.5**2/2) is 0 in float64


def gaussian(x: Expr, c: Expr) -> Expr:
    """`exp(-c*x**2)` for a number c > 0"""
    a = magnitude(x, c)
    h = rounded(nearest(32 * a) / 32)
    return rounded(rounded(exp(-c * h**2)) * exp(-c * rounded(rounded(a - h) * rounded(a + h))))


def magnitude(x: Expr, c: Expr) -> Expr:
    """`|x|`, cut where nothing is left of `exp(-c*x**2)`."""
    farthest = int(_FARTHEST / (2 * float(c)) ** 0.5) + 1
    return rounded(minimum(Abs(x), Integer(farthest)))


def mills(a: Expr) -> Expr:
    """`R(a) = Q(a)/exp(-a**2/2)`"""
    t = rounded((a - 4) / (a + 4))
    return rounded(horner(t, *map(Float, TAIL)) / (a + Float(0.5**0.5)))


def centre(v: Expr) -> Expr:
    """`erf(v)/v` for `|v| <= 1`"""
    return rounded(horner(rounded(v**2), *map(Float, CENTRE)))
