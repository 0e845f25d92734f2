"""Scalar expressions in forms that are right to the last bits, wherever the value is finite.

    stable(e)      no spurious inf, nan or 0; no warning; a few ulp where no sum truly cancels

Rational functions of one exponential, and their logarithms, go through the pair of `pairs.py`; the
error function through the tail of `normal_tail.py`. What remains are rules for single functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import sympy
from sympy import (
    Abs,
    Add,
    Dummy,
    Expr,
    Integer,
    Mul,
    Pow,
    Rational,
    Symbol,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    log,
    sinh,
    sqrt,
    tanh,
)
from sympy.codegen.cfunctions import expm1, log1p

from derive.gradients.candidates import exponents, multiple, opaque
from derive.gradients.identities import softplus
from derive.gradients.lengths import LARGEST
from derive.gradients.shortest import renamed
from derive.language.functions import Named, le, lt, maximum, minimum, rounded, where
from derive.language.notation import REMEMBERED, Access, Reduce, holds
from derive.numerics.branches import GROWING, within
from derive.numerics.differences import (
    conjugate,
    half_angles,
    hypotenuse,
    linear,
    shorter,
    with_sums_whole,
)
from derive.numerics.normal_tail import centre, gaussian, magnitude, mills
from derive.numerics.pairs import (
    Quotient,
    decay,
    differences,
    evaluated,
    in_exponentials,
    limited,
    logarithm,
    powered,
    quotient,
    sums_of_one_sign,
)
from derive.numerics.polynomial_forms import compensated, farthest, homogeneous

ZERO, ONE = Integer(0), Integer(1)


@lru_cache(maxsize=REMEMBERED)
def stable(e: Expr) -> Expr:
    """An equal expression that floating point gets right; accesses and reductions stay."""
    if not holds(e, _RISKY):
        return e
    (plain,), back = renamed((e,))
    return _stable(plain).xreplace(back)


@lru_cache(maxsize=4096)
def _stable(e: Expr) -> Expr:
    if not e.args or isinstance(e, rounded | Access | Reduce) or not holds(e, _RISKY):
        return e
    if e.has(erf, erfc):
        form = _by_normal_tail(e)
        if form is not None:
            return form
    rule = _RULES.get(e.func)
    if rule is not None:
        return rule(e)
    if isinstance(e, Named):
        return _stable(e.expanded())
    return e.func(*map(_stable, e.args))


_RISKY = (*GROWING, cos, tanh, where)


# ---------------------------------------------------------------- sums and products


@lru_cache(maxsize=4096)
def exponents_of(e: Expr) -> frozenset[Expr]:
    """The exponents that `e` is a function of, by way of exp; a long one shares none."""
    if e.count_ops() > LARGEST or not e.has(exp, tanh, sinh, cosh, expm1, log1p, Named):
        return frozenset()
    return frozenset(_unscaled(u) for u in exponents(in_exponentials(e)))


def _unscaled(u: Expr) -> Expr:
    """`x` for the exponent `2*x`, which may overflow."""
    number, rest = u.as_coeff_Mul()
    return rest if number.is_Integer and not isinstance(rest, Add | Mul) else u


def _groups(parts: tuple[Expr, ...]) -> Iterator[tuple[frozenset[Expr], list[Expr]]]:
    """The parts that share an exponent, together; those without one under the empty set."""
    groups: list[tuple[frozenset[Expr], list[Expr]]] = []
    for part in parts:
        bases, members = exponents_of(part), [part]
        for other in [g for g in groups if (g[0] & bases) or g[0] == bases]:
            groups.remove(other)
            bases, members = bases | other[0], other[1] + members
        groups.append((bases, members))
    yield from groups


def _product(e: Mul) -> Expr:
    factors: list[Expr] = []
    terms = _with_powers_apart(e)
    if terms is not None:
        return _stable(terms)
    algebraic, e = homogeneous(e)
    if algebraic is not None:
        return algebraic * _stable(e)
    for bases, members in _groups(Mul.make_args(e)):
        together = Mul(*members)
        form = _paired(together, bases) if len(members) > 1 else None
        factors += [form] if form is not None else map(_stable, members)
    return Mul(*factors)


def _has_powers(e: Expr) -> bool:
    """Whether a power in `e` is no rational function of an exponential: `sigmoid(u)**g`."""
    return any(not p.exp.is_Integer and exponents_of(p.base) for p in e.atoms(Pow))


def _with_powers_apart(e: Mul) -> Expr | None:
    """`s*(a*s**g + b) -> a*s**(g + 1) + b*s`, for s**g alone may leave the range of the numbers."""
    sums = [f for f in e.args if isinstance(f, Add) and _has_powers(f)]
    if len(sums) != 1:
        return None
    rest = Mul(*(f for f in e.args if f is not sums[0]))
    return Add(*(rest * a for a in sums[0].args)) if exponents_of(rest) else None


def _sum(e: Add) -> Expr:
    content = _content(e)
    if content != 1:
        return content * rounded(_sum_of(e.func(*(a / content for a in e.args))))
    return _sum_of(e)


def _content(e: Add) -> Rational:
    """`1/q` where this makes all numbers integers: x/6 + 1/2 is (x + 3)/6, exact at -3."""
    numbers = [a.as_coeff_Mul()[0] for a in e.args]
    if not all(c.is_Rational for c in numbers) or not any(a.is_Number for a in e.args):
        return ONE
    q = sympy.ilcm(*(c.q for c in numbers))
    return Rational(1, q) if q & (q - 1) and q < 2**10 else ONE


def _sum_of(e: Add) -> Expr:
    form = conjugate(e)
    if form is not None:
        return form
    whole = half_angles(e)
    if whole != e:
        return _stable(whole)
    e, extra = _without_softplus(e)
    if not isinstance(e, Add):
        return Add(_stable(e), *extra)
    powers = [a for a in e.args if _has_powers(a)]
    if powers:
        rest = Add(*(a for a in e.args if a not in powers))
        return Add(*map(_stable, powers), _stable(rest), *extra)
    groups = dict(_groups(e.args))
    free = groups.pop(frozenset(), [])
    numbers = [a for a in free if a.is_Number]
    others = [a for a in free if not a.is_Number]
    terms = []
    if len(groups) == 1:
        ((bases, members),) = groups.items()
        form = _paired(Add(*members, *free), bases, one_sign=True) if others else None
        if form is not None:
            return Add(form, *extra)
        form = _paired(Add(*members, *numbers), bases)
        if form is not None:
            groups, numbers = {}, []
            terms.append(form)
    for bases, members in groups.items():
        form = _paired(Add(*members), bases) if len(members) > 1 else None
        terms += [form] if form is not None else map(_stable, members)
    return Add(*terms, *numbers, *map(_stable, others), *extra)


def _paired(e: Expr, bases: frozenset[Expr], one_sign: bool = False) -> Expr | None:
    """`e` by the exponential pair, where it is a rational function of one exponential."""
    if len(bases) != 1:
        return None
    (base,) = bases
    plain, back = _rational(e, base)
    plain, raised = _raised(plain, back, base)
    q = quotient(plain, base) or (Quotient(plain, 0, 0, ()) if raised else None)
    if q is not None and differences(q):
        whole, sums = with_sums_whole(plain, base)
        apart = quotient(whole, base) if sums else None
        if apart is not None:
            sums = {symbol: total.xreplace(back) for symbol, total in sums.items()}
            plain, back, q = whole, back | sums, apart
    if q is None or (one_sign and not sums_of_one_sign(_without_numerator(q))):
        return None
    values = {d: _stable(part) for d, part in back.items() if plain.has(d)}
    u, n, m = _argument(base), None, None
    if len(base.free_symbols) == 1 and base.is_polynomial(x := next(iter(base.free_symbols))):
        limit = Integer(farthest(base, x))
        cut = rounded(minimum(maximum(x, -limit), limit))
        nonlinear = sympy.degree(base, x) > 1
        q = limited(q, x, _CUT, least=1 if nonlinear else 2)
        values[_CUT] = cut
        if nonlinear:
            u, n, m = compensated(base, x, cut)
        elif abs(base.coeff(x)) > 1:
            u = base.xreplace({x: cut})
    if raised:
        power, q = powered(raised, q, u, n, m)
        return (power * evaluated(q, u, n, m)).xreplace(values)
    return evaluated(q, u, n, m).xreplace(values)


def _raised(
    e: Expr, table: dict[Expr, Expr], base: Expr
) -> tuple[Expr, tuple[tuple[Quotient, Expr], ...]]:
    """`e` without its factors `sigmoid(u)**g`, and these, each a quotient and its exponent."""
    found: list[tuple[Quotient, Expr]] = []
    for factor in Mul.make_args(e):
        symbol, k = factor.as_base_exp()
        part = table.get(symbol)
        if isinstance(part, Pow) and exponents_of(part.base) == {base}:
            plain, back = _rational(part.base, base)
            q = None if back else quotient(plain, base)
            if q is not None and q.coefficient.is_positive and sums_of_one_sign(q):
                found.append((q, k * part.exp))
                e = e / factor
    return e, tuple(found)


_CUT = Symbol("cut", real=True)


def one_signed(e: Expr) -> bool:
    """Whether `e` is a rational function of one exponential in which nothing cancels: a sigmoid."""
    found = exponents_of(e)
    if len(found) != 1:
        return False
    (base,) = found
    plain, back = _rational(e, base)
    q = quotient(plain, base)
    return q is not None and not back and sums_of_one_sign(q)


def _without_numerator(q: Quotient) -> Quotient:
    return q._replace(factors=tuple((f, k) for f, k in q.factors if k < 0))


def _argument(base: Expr) -> Expr:
    u = _stable(base)
    return rounded(u) if isinstance(u, Add) else u


def _rational(e: Expr, base: Expr) -> tuple[Expr, dict[Expr, Expr]]:
    """`e` with a symbol for each part that is no rational function of `exp(base)`."""

    def of_base(part: Expr) -> bool:
        k = multiple(part.args[0], base) if isinstance(part, exp) else None
        return k is not None and k.is_Integer

    return opaque(in_exponentials(e), of_base)


def _without_softplus(e: Add) -> tuple[Expr, list[Expr]]:
    """`a*softplus(u) + b*softplus(-u) + c*u` in terms of max(u, 0), min(u, 0) and log1p(exp(-|u|)).

    With `a + b = 1`, `c = 0` this is binary cross entropy. No two of the three cancel unless the
    coefficients do: `softplus(u) - y*u` is `(1-y)*max(u,0) - y*min(u,0) + log1p(exp(-|u|))`.
    """
    extra: list[Expr] = []
    for s in sorted(e.atoms(softplus), key=str):
        u = s.args[0]
        u = -u if u.could_extract_minus_sign() else u
        first = linear(e, softplus(u))
        second = linear(first[1], softplus(-u)) if first else None
        if first is None or second is None or first[0] == second[0] == 0:
            continue
        a, (b, e) = first[0], second
        c, e = (linear(e, u) if not isinstance(u, Add) else None) or (ZERO, e)
        value = _argument(u)
        shared, above, below = (_stable(shorter(k)) for k in (a + b, a + c, c - b))
        extra += [
            shared * log1p(decay(value)),
            _bounded(above) * maximum(value, ZERO),
            _bounded(below) * minimum(value, ZERO),
        ]
    return e, extra


def _bounded(e: Expr) -> Expr:
    """A factor that vanishes, multiplied out first: `g*u*exp(-u)` must not overflow."""
    return rounded(e) if e.has(exp) else e


# ---------------------------------------------------------------- single functions


def _power(e: Pow) -> Expr:
    form = _paired(e, exponents_of(e)) or homogeneous(e)[0] or hypotenuse(e)
    if form is not None:
        return form
    base = _stable(e.base)
    if e.exp.is_Integer and e.exp <= -2:
        # The power of the reciprocal: it underflows where the reciprocal of the power overflows.
        return rounded(1 / base) ** -e.exp
    return Pow(base, _stable(e.exp))


def _log(e: Expr) -> Expr:
    """`log` by the pair; `log(1 + a)` as `log1p(a)`."""
    whole = e.args[0] if isinstance(e, log) else 1 + e.args[0]
    bases = exponents_of(whole)
    if len(bases) == 1:
        (base,) = bases
        plain, back = _rational(whole, base)
        q = quotient(plain, base) if not back else None
        form = logarithm(q, _argument(base)) if q is not None else None
        if form is not None:
            return form
    if isinstance(e, log) and isinstance(whole, Add) and ONE in whole.args:
        return _log1p(Add(*(a for a in whole.args if a != 1)))
    return _log1p(e.args[0]) if isinstance(e, log1p) else log(_stable(whole))


def _log1p(a: Expr) -> Expr:
    """`log1p(a)`; that of a square by two logarithms, so that the square does not overflow."""
    if isinstance(a, Pow) and a.exp == 2:
        x = rounded(Abs(_stable(a.base)))
        large = Integer(2**30)
        beyond = rounded(maximum(x, large) / large)
        return log1p(minimum(x, large) ** 2) + 2 * log(beyond)
    return log1p(_stable(a))


def _softplus(e: Expr) -> Expr:
    u = _argument(e.args[0])
    return maximum(u, ZERO) + log1p(decay(u))


def _exp(e: Expr) -> Expr:
    """`exp(-c*x**2)` with the square split; others as they are."""
    number, square = e.args[0].as_coeff_Mul()
    if isinstance(square, Pow) and square.exp == 2 and number.is_negative:
        return gaussian(_stable(square.base), -number)
    return _function(e)


def _function(e: Expr) -> Expr:
    return e.func(*map(_stable, e.args))


# ---------------------------------------------------------------- branches


def _branches(e: where) -> Expr:
    condition, a, b = e.args
    a, b = within(a, condition, True), within(b, condition, False)
    return where(_stable(condition), _stable(a), _stable(b))


# ---------------------------------------------------------------- the error function


def _by_normal_tail(e: Expr) -> Expr | None:
    """`A + B*erf(v) + C*exp(-v**2)` by Q: nothing cancels where A is B or -B.

    For A = B that is `2*B*(0 <= x) - exp(-v**2)*(s*2*B*R - C)` with the sign s of x, where nothing
    is chosen; `s*B` is `k*abs(x)` for `B = k*x`. What A, B and C have in common stands before it.
    """
    expanded = e.replace(erfc, lambda v: 1 - erf(v))
    found = expanded.atoms(erf)
    if len(found) != 1:
        return None
    (function,) = found
    v = function.args[0]
    B, C, whole = Dummy("B"), Dummy("C"), expanded
    whole = whole.xreplace({function: B, exp(-(v**2)): C})
    whole = sympy.expand(whole)
    b, c = whole.coeff(B), whole.coeff(C)
    a = sympy.expand(whole - b * B - c * C)
    if any(part.has(B, C) or part.has(exp, log, tanh) for part in (a, b, c)) or b == 0:
        return None
    scale = ONE if not v.has(sqrt(2)) else Rational(1, 2)
    x = sympy.expand(v / sqrt(scale))
    factors = (k for k in Mul.make_args(sympy.factor(b)) if k.free_symbols)
    before = Mul(*(k for k in factors if not k.free_symbols & v.free_symbols))
    own_a, own_b, own_c = (sympy.cancel(k / before) for k in (a, b, c))
    if any(k.free_symbols & before.free_symbols for k in (own_a, own_b, own_c)):
        return _of_tail(a, b, c, v, x, scale)
    return _stable(before) * _of_tail(own_a, own_b, own_c, v, x, scale)


def _of_tail(a: Expr, b: Expr, c: Expr, v: Expr, x: Expr, scale: Expr) -> Expr:
    """`a + b*erf(v) + c*exp(-v**2)` with `v**2 = scale*x**2`."""
    slope = sympy.cancel(2 * b / x)
    x, size = _stable(x), magnitude(_stable(x), scale)
    density = gaussian(x, scale)
    tail = mills(rounded(sqrt(2 * scale) * size))
    if a == 0 and c == 0:
        v = _stable(v)
        near = _stable(b) * v * centre(rounded(minimum(maximum(v, -ONE), ONE)))
        far = _stable(b) * sympy.sign(x) * (1 - 2 * density * tail)
        return where(lt(Abs(v), ONE), near, far)
    below, above = (_stable(sympy.factor(a - b)), _stable(sympy.factor(a + b)))
    c = _stable(c)
    if ZERO not in (below, above):
        left = below + density * (2 * _stable(b) * tail + c)
        right = above - density * (2 * _stable(b) * tail - c)
        return where(lt(x, ZERO), left, right)
    if not slope.free_symbols & v.free_symbols:
        slope = _stable(slope)
        side = -x if above == 0 else x
        return slope * maximum(side, ZERO) - density * rounded(slope * size * tail - c)
    part = rounded(_stable(2 * b) * tail)
    near = above * le(ZERO, x) if below == 0 else below * lt(x, ZERO)
    return near - density * rounded(rounded(part - 2 * part * lt(x, ZERO)) - c)


_RULES: dict[type, Callable[..., Expr]] = {
    Add: _sum,
    Mul: _product,
    Pow: _power,
    log: _log,
    log1p: _log,
    softplus: _softplus,
    where: _branches,
    exp: _exp,
    expm1: _function,
    tanh: _function,
    sinh: _function,
    cosh: _function,
}
