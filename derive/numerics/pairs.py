"""The exponential pair: rational functions of exp(u) without overflow, cancellation or a branch.

    n = exp(min(u, 0)),  m = exp(min(-u, 0)):     exp(u) = n/m,  max(n, m) = 1,  n*m = exp(-|u|)

`R(exp(u))` becomes a quotient of homogeneous polynomials in n and m after cancellation. Numerator
and denominator are factored; `n - m`, which cancels at 0, is `expm1(min(u, 0)) - expm1(min(-u,
0))`, of which one term is 0; sums of terms of one sign lose nothing. A logarithm of such a
quotient is taken factor by factor: `log n = min(u, 0)`, and `log P(n, m) = log P(1, 0) +
log1p(...)` in `exp(-|u|)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import sympy
from sympy import Abs, Add, Expr, Integer, Mul, Poly, Pow, Symbol, cosh, exp, log, sinh, tanh
from sympy.codegen.cfunctions import expm1, log1p

from derive.gradients.candidates import multiple
from derive.language.functions import Named, lt, maximum, minimum, rounded, where

N = Symbol("n", positive=True)
M = Symbol("m", positive=True)
E = Symbol("E", positive=True)


class Quotient(NamedTuple):
    """`coefficient * n**i * m**j * factors**powers`, each factor a polynomial in n and m."""

    coefficient: Expr
    n: int
    m: int
    factors: tuple[tuple[Poly, int], ...]


def lower(u: Expr) -> Expr:
    """`exp(min(u, 0))`"""
    return rounded(exp(minimum(u, Integer(0))))


def decay(u: Expr) -> Expr:
    """`exp(-|u|)`"""
    return rounded(exp(-Abs(u)))


def in_exponentials(e: Expr) -> Expr:
    """`e` with tanh, sinh, cosh, expm1, log1p and named functions written with exp and log."""
    if not e.args or isinstance(e, rounded):
        return e
    args = [in_exponentials(a) for a in e.args]
    match e:
        case Named():
            return in_exponentials(e.func(*args).expanded())
        case tanh():
            return 1 - 2 / (exp(2 * args[0]) + 1)
        case sinh():
            return (exp(args[0]) - exp(-args[0])) / 2
        case cosh():
            return (exp(args[0]) + exp(-args[0])) / 2
        case expm1():
            return exp(args[0]) - 1
        case log1p():
            return log(1 + args[0])
    return e.func(*args)


@lru_cache(maxsize=1024)
def quotient(e: Expr, base: Expr) -> Quotient | None:
    """`e`, in exponentials already, as a quotient in n and m for `exp(base) = n/m`."""
    table = {}
    for part in e.atoms(exp):
        k = multiple(part.args[0], base)
        if k is not None and k.is_Integer:
            table[part] = (N / M) ** k
    rational = e.xreplace(table)
    if not rational.has(N) or not _is_rational(rational):
        return None
    numerator, denominator = sympy.fraction(sympy.cancel(rational))
    top, bottom = _factored(numerator), _factored(denominator)
    if top is None or bottom is None:
        return None
    factors = (*top.factors, *((f, -k) for f, k in bottom.factors))
    return Quotient(
        top.coefficient / bottom.coefficient, top.n - bottom.n, top.m - bottom.m, factors
    )


def _is_rational(e: Expr) -> bool:
    """Whether n and m stand under sums, products and integer powers only."""
    if not e.has(N, M):
        return True
    if isinstance(e, Add | Mul):
        return all(map(_is_rational, e.args))
    if isinstance(e, Pow):
        return e.exp.is_Integer and _is_rational(e.base)
    return e in (N, M)


def _factored(e: Expr) -> Quotient | None:
    coefficient, pairs = sympy.factor_list(e)
    i = j = 0
    factors = []
    for factor, power in pairs:
        if factor == N:
            i = power
        elif factor == M:
            j = power
        elif factor.has(N, M):
            factors.append((Poly(factor, N, M), power))
        else:
            coefficient *= factor**power
    return Quotient(coefficient, i, j, tuple(factors))


def sums_of_one_sign(q: Quotient) -> bool:
    """Whether no factor can cancel: all its coefficients are positive numbers."""
    return all(c.is_positive for f, _ in q.factors for c in f.coeffs())


def differences(q: Quotient) -> bool:
    """Whether a coefficient is a difference of products: `a - a*y`, not `1 - y`."""
    coefficients = [q.coefficient, *(c for f, _ in q.factors for c in f.coeffs())]
    sums = (s for c in coefficients for s in sympy.factor(c).atoms(Add) if _mixed(s))
    return any(len(a.as_coeff_mul()[1]) > 1 for s in sums for a in s.args)


def limited(q: Quotient, x: Symbol, cut: Symbol, least: int) -> Quotient:
    """The quotient with `cut` for x in powers of x from `least` on, beside both n and m.

    Where `cut` is not x, `n*m` is 0: then `x**3*n*m` would be inf*0.
    """

    def limit(c: Expr, i: int, j: int) -> Expr:
        if i <= 0 or j <= 0:
            return c
        parts = [
            a.xreplace({x: cut}) if sympy.degree(a, x) >= least else a for a in Add.make_args(c)
        ]
        return Add(*parts)

    factors = []
    for f, k in q.factors:
        terms = [
            limit(c.expand(), i + max(q.n, 0), j + max(q.m, 0)) * N**i * M**j
            for (i, j), c in f.terms()
        ]
        factors.append((Poly(Add(*terms), N, M), k) if k > 0 else (f, k))
    return q._replace(coefficient=limit(q.coefficient, q.n, q.m), factors=tuple(factors))


_DIFFERENCE = Poly(N - M, N, M)
_SUM = Poly(N + M, N, M)
_SQUARES = Poly(N**2 + M**2, N, M)


def evaluated(q: Quotient, u: Expr, n: Expr | None = None, m: Expr | None = None) -> Expr:
    """The quotient as an expression that is right wherever it is finite.

    `n` and `m` are given where `u` is not known to the last bits but they are.
    """
    n, m = n or lower(u), m or lower(-u)
    powers: dict[Poly, int] = {}
    sign = 1
    for f, k in q.factors:
        if f == -_DIFFERENCE:
            f, sign = _DIFFERENCE, sign * (-1) ** k
        powers[f] = powers.get(f, 0) + k
    i, j = q.n, q.m
    factors: list[Expr] = [q.coefficient * sign]

    def use(function: Expr, parts: dict[Poly, int], di: int = 0, dj: int = 0) -> None:
        """Take `function`, which is the product of `parts * n**di * m**dj`, out of the quotient."""
        nonlocal i, j
        count = min(powers.get(f, 0) * s for f, s in parts.items())
        if dj:
            count = min(count, -j)
        if di:
            count = min(count, -i)
        if count > 0:
            for f, s in parts.items():
                powers[f] -= s * count
            i, j = i - di * count, j - dj * count
            factors.append(function**count)

    use(tanh(u), {_DIFFERENCE: 1, _SUM: 1, _SQUARES: -1})
    use(tanh(u / 2), {_DIFFERENCE: 1, _SUM: -1})
    use(expm1(u), {_DIFFERENCE: 1}, dj=-1)
    use(-expm1(-u), {_DIFFERENCE: 1}, di=-1)
    unbounded: list[Expr] = []
    for f, k in powers.items():
        if k and f.as_expr().free_symbols - {N, M}:
            value, scale = _with_operands(f, n, m)
            unbounded.append(value**k)
            factors[0] *= scale**k
        elif k:
            factors.append(_value(f, n, m, u) ** k)
    both = min(i, j) if min(i, j) > 0 else max(i, j) if max(i, j) < 0 else 0
    i, j = i - both, j - both
    if both < 0:
        factors.append(exp(-both * Abs(u)))
    elif both > 0:
        factors.append((n * m) ** both)
    for k, own, opposite in ((i, n, -u), (j, m, u)):
        if k > 1 and unbounded:
            # One factor at a time: n**2 may be subnormal where x*n**2 is not.
            unbounded = [rounded(Mul(*unbounded, own))]
            factors.append(own ** (k - 1))
        elif k > 0:
            factors.append(own**k)
        elif k < 0:
            factors.append(exp(-k * maximum(opposite, Integer(0))))
    return _product(factors, unbounded)


def powered(
    raised: Iterable[tuple[Quotient, Expr]],
    q: Quotient,
    u: Expr,
    n: Expr | None = None,
    m: Expr | None = None,
) -> tuple[Expr, Quotient]:
    """The product of the powers of quotients, with those of n and m in `q`; and what is left of q.

    The exponents of n and m are added up first: of `sigmoid(u)**(g - 1) * sigmoid(-u)` no factor
    overflows, or is 0, where the product does not.
    """
    i, j, zero = Integer(q.n), Integer(q.m), Integer(0)
    coefficient = Integer(1)
    powers: dict[Poly, Expr] = {}
    for base, k in raised:
        i, j = i + k * base.n, j + k * base.m
        coefficient *= base.coefficient**k
        for f, p in base.factors:
            powers[f] = powers.get(f, zero) + k * p
    for f, p in q.factors:
        if f in powers:
            powers[f] += p
    rest = q._replace(n=0, m=0, factors=tuple((f, p) for f, p in q.factors if f not in powers))
    n, m = n or lower(u), m or lower(-u)
    factors = (_value(f, n, m, u) ** sympy.expand(k) for f, k in powers.items())
    below, above = minimum(u, zero), maximum(u, zero)
    if not all(k.is_number and abs(k) <= 1 for k in (i, j)):
        below, above = maximum(below, -_FAR), minimum(above, _FAR)
    linear = sympy.expand(i) * below - sympy.expand(j) * above
    return Mul(coefficient, exp(rounded(linear)), *factors), rest


def _product(bounded: list[Expr], unbounded: list[Expr]) -> Expr:
    """The product, a number above 1 with what is bounded: 4*x*m must not overflow."""
    number, free = bounded[0].as_coeff_Mul()
    if abs(number) <= 1 or (free == 1 and not unbounded):
        return Mul(*bounded, *unbounded)
    return Mul(free, *unbounded) * _held(Mul(number, *bounded[1:]))


def _value(f: Poly, n: Expr, m: Expr, u: Expr) -> Expr:
    if f == _DIFFERENCE:
        zero = Integer(0)
        return rounded(expm1(minimum(u, zero)) - expm1(minimum(-u, zero)))
    return Add(*(c * n**i * m**j for (i, j), c in f.terms()))


def _with_operands(f: Poly, n: Expr, m: Expr) -> tuple[Expr, Integer]:
    """A polynomial whose coefficients have operands in them, as a value times a power of 2.

    By operands, `x*(n + m) + 2*m`, the numbers scaled to at most 1; but `(1 - y)*n - y*m` as it is,
    for such coefficients may vanish.
    """
    if any(_mixed(c) for _, c in f.terms()):
        return Add(*(sympy.factor(c) * n**i * m**j for (i, j), c in f.terms())), Integer(1)
    terms: dict[Expr, dict[Expr, Expr]] = {}
    for (i, j), c in f.terms():
        for part in Add.make_args(c.expand()):
            number, free = part.as_coeff_Mul()
            terms.setdefault(free, {})[n**i * m**j] = number
    most = max([1, *(sum(map(abs, p.values())) for free, p in terms.items() if free != 1)])
    scale = Integer(2) ** max(0, math.ceil(math.log2(float(most))))
    value = Integer(0)
    for free, parts in terms.items():
        whole = Add(*(number / scale * monomial for monomial, number in parts.items()))
        value += whole if free == 1 else free * _held(whole)
    return value, scale


def _mixed(c: Expr) -> bool:
    """Whether a coefficient is a sum whose terms have both signs."""
    return len({a.could_extract_minus_sign() for a in Add.make_args(c)}) == 2


def _held(e: Expr) -> Expr:
    return e if e.is_Atom or isinstance(e, rounded) or not e.free_symbols else rounded(e)


def logarithm(q: Quotient, u: Expr) -> Expr | None:
    """`log` of the quotient; None where a factor may be 0 or a coefficient is no number.

    Where the quotient is 1 at `u = 0` its logarithm there is `log1p(quotient - 1)`, with `n - m`
    in it.
    """
    far = plain_logarithm(q, u)
    if far is None or _at_zero(q) != 1:
        return far
    near = minimum(maximum(u, Integer(-_NEAR)), Integer(_NEAR))
    whole = q.coefficient * N**q.n * M**q.m * Mul(*(f.as_expr() ** k for f, k in q.factors))
    numerator, denominator = sympy.fraction(sympy.cancel(whole - 1))
    top, bottom = _factored(numerator), _factored(denominator)
    assert top is not None and bottom is not None
    rest = Quotient(
        top.coefficient / bottom.coefficient,
        top.n - bottom.n,
        top.m - bottom.m,
        (*top.factors, *((f, -k) for f, k in bottom.factors)),
    )
    return where(lt(Abs(u), Integer(_NEAR)), log1p(evaluated(rest, near)), far)


def plain_logarithm(q: Quotient, u: Expr) -> Expr | None:
    """`log` of the quotient, factor by factor: its terms cancel where the quotient is 1."""
    if not sums_of_one_sign(q):
        return None
    linear = _log_of_powers(q.n, q.m, u)
    terms: list[Expr] = [log(q.coefficient)] if q.coefficient != 1 else []
    for f, k in q.factors:
        terms.append(k * _log_of_factor(f, u))
    return Add(linear, *terms)


_FAR = Integer(2**64)  # exp(-g*_FAR) is 0 for every exponent g, and g*_FAR a number
_NEAR = 8  # exp(8) is far from overflow, and at 8 the other form has lost its cancellation


def _at_zero(q: Quotient) -> Expr:
    return q.coefficient * Mul(*(f.as_expr().xreplace({N: 1, M: 1}) ** k for f, k in q.factors))


def _log_of_powers(i: int, j: int, u: Expr) -> Expr:
    """`log(n**i * m**j)`, where `log n = min(u, 0)` and `log m = -max(u, 0)`."""
    zero = Integer(0)
    return -i * Abs(u) if i == j else i * minimum(u, zero) - j * maximum(u, zero)


def _log_of_factor(f: Poly, u: Expr) -> Expr:
    """`log P(n, m)`: for u < 0, m = 1 and n = exp(-|u|) is small; for u >= 0 the reverse."""
    e = decay(u)
    sides = []
    for variable, other in ((N, M), (M, N)):
        p = Poly(f.as_expr().xreplace({other: Integer(1)}), variable)
        constant = p.eval(0)
        rest = (p.as_expr() - constant).expand().xreplace({variable: e})
        sides.append(log1p(rest / constant) + log(constant))
    negative, positive = sides
    return negative if negative == positive else where(lt(u, Integer(0)), negative, positive)
