"""Forms of the fewest passes over an array, for what training asks of a number.

    cheap(e)      no spurious inf or nan, no warning; right within a few eps * max(1, |value|)

    x*R(exp(u))         one exponential of a clipped u, for a polynomial u of x:
                        x*sigmoid(x) -> x*(E/(1 + E)), E = exp(min(x, 42.5))
    sigmoid(u)          (1 + tanh(u/2))/2
    softplus(u)         max(u, log1p(exp(min(u, 64))))
    log(R(exp(u)))      without the care for its root: |u| + log1p(exp(-2*|u|)) - log(2)

What is left by these is for `stable_forms`. An error of a few eps in a factor that is bounded is
one of a few eps in the product, unless the other factor is what the first is a function of:
x*(1 - sigmoid(x)) at x = 30 multiplies it by 30. There, and only there, every factor is computed
with a small relative error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, reduce
from typing import NamedTuple

import sympy
from sympy import (
    Abs,
    Add,
    Expr,
    Integer,
    Mul,
    Poly,
    Pow,
    Rational,
    Symbol,
    cosh,
    erf,
    erfc,
    exp,
    log,
    sinh,
    tanh,
)
from sympy.codegen.cfunctions import expm1, log1p

from derive.gradients.candidates import multiple, opaque
from derive.gradients.identities import sigmoid, softplus
from derive.gradients.lengths import LARGEST
from derive.gradients.shortest import renamed
from derive.language.functions import Named, maximum, minimum, rounded, where
from derive.language.notation import REMEMBERED, Access, Reduce, holds
from derive.numerics.pairs import in_exponentials, plain_logarithm, quotient
from derive.numerics.stable_forms import exponents_of, stable

ZERO, ONE = Integer(0), Integer(1)
W, E = Symbol("W", positive=True), Symbol("E", positive=True)

_ROOM = (exp, expm1, tanh, sinh, cosh, log, log1p, Named, where, erf, erfc)


@lru_cache(maxsize=REMEMBERED)
def cheap(e: Expr) -> Expr:
    """An equal expression with fewer passes; what is left to make stable is no `rounded`."""
    if not holds(e, _ROOM):
        return e
    (plain,), back = renamed((e,))
    return _cheap(_written_out(plain)).xreplace(back)


def _written_out(e: Expr) -> Expr:
    """Named functions as their formulas, down to the sigmoid and softplus."""
    if not e.args or isinstance(e, rounded | Access | Reduce):
        return e
    e = e.func(*map(_written_out, e.args))
    known = isinstance(e, sigmoid | softplus) or not isinstance(e, Named)
    return e if known else _written_out(e.expanded())


@lru_cache(maxsize=4096)
def _cheap(e: Expr) -> Expr:
    if not e.args or isinstance(e, rounded | Access | Reduce) or not holds(e, _ROOM):
        return e
    rule = RULES.get(e.func)
    form = rule(e) if rule else None
    if form is not None:
        return form
    return e if _amplifies(e) else e.func(*map(_cheap, e.args))


def _amplifies(e: Expr) -> bool:
    """Whether an absolute error of a few eps in an argument may be a larger one in the value."""
    if isinstance(e, log | log1p):
        return True
    if isinstance(e, Pow):
        return not (e.exp.is_Integer and e.exp.is_positive)
    if not isinstance(e, Add | Mul):
        return False
    bounded = [a for a in e.args if a.atoms(sigmoid, softplus, log, log1p, erf, erfc)]
    others = [a.free_symbols for a in e.args]
    return any(
        a.free_symbols & own
        for k, a in enumerate(e.args)
        if a in bounded
        for j, own in enumerate(others)
        if j != k
    )


# ---------------------------------------------------------------- one exponential and its operand


class _Clip(NamedTuple):
    """x, cut where the exponential is 0 and where it grows beyond what is needed of it."""

    falls: Expr  # a polynomial of x is -800 here, beyond which its exponential is 0
    grows: Expr  # and 43 here

    def at(self, x: Expr, zero: bool, end: bool) -> Expr:
        """x cut where the exponential falls to 0, where it grows, at both ends or at none."""
        lower, upper = (zero, end) if self.grows > 0 else (end, zero)
        low, high = sorted((self.falls, self.grows))
        x = rounded(maximum(x, low)) if lower else x
        return rounded(minimum(x, high)) if upper else x


def one_exponential(e: Expr) -> Expr | None:
    """A polynomial in x, its coefficients rational in exp(u(x)), with u cut where it is large.

        x*sigmoid(x)    ->  x*D                 E = exp(m), m = min(x, 42.5), D = E/(1 + E)
        its derivative  ->  D*(1 + m/(1 + E))

    Numerators and denominators are polynomials in E with coefficients of one sign, whose relative
    error is a few eps. At 42.5 what has an end has come to it, for 42.5*exp(-42.5) is below
    eps/10, and the square of exp(42.5) is a number even in single precision. Where u is below
    -800, E is 0: there only a u that may leave the range of the numbers is cut.
    """
    if e.count_ops() > LARGEST:
        return None
    bases = exponents_of(e)
    if len(bases) != 1:
        return None
    (base,) = bases
    if len(base.free_symbols) != 1 or not base.is_polynomial(x := next(iter(base.free_symbols))):
        return None
    outer, core = e.as_independent(x, as_Add=False)
    number, outer = outer.as_coeff_Mul()
    core = number * core
    if core.free_symbols != {x} or outer.has(*_ROOM):
        return None
    parts = _by_powers(core, base, x)
    if parts is None or all(powers.keys() == {0} for powers in parts.values()):
        return None
    # The same choice for a value and its derivative, which share the exponential then.
    p = Poly(base, x)
    rising = p if _value(p, 1) > 0 else -p
    found = [_in(parts, q, 1 if q == p else -1, x) for q in (rising, -rising)]
    forms = [form for form in found if form is not None]
    return outer * rounded(min(forms, key=lambda form: form[0])[1]) if forms else None


def _by_powers(core: Expr, base: Expr, x: Symbol) -> dict[Expr, dict[int, Expr]] | None:
    """`{R: {i: c}}` for the sum of all `c * x**i * R(W)`, W = exp(base)."""

    def of_base(part: Expr) -> bool:
        k = multiple(part.args[0], base) if isinstance(part, exp) else None
        return k is not None and k.is_Integer

    plain, back = opaque(in_exponentials(core), of_base)
    if any(part.free_symbols for part in back.values()):
        return None
    table = {part: W ** multiple(part.args[0], base) for part in plain.atoms(exp)}
    numerator, denominator = sympy.fraction(sympy.cancel(plain.xreplace(table)))
    if denominator.has(x) or not numerator.is_polynomial(x):
        return None
    found: dict[Expr, dict[int, Expr]] = {}
    for (i,), c in Poly(numerator, x).terms():
        number, ratio = sympy.factor(c / denominator).as_independent(W, as_Add=False)
        found.setdefault(ratio, {})[i] = number.xreplace(back)
    return found


def _value(p: Poly, x: float) -> float:
    total = 0.0
    for c in p.all_coeffs():
        total = total * x + float(c)
    return total


_ZERO, _END = 800.0, 42.5


def _clip(p: Poly) -> _Clip | None:
    """Where p has come to -800 and to 43; None unless it is monotonous in between."""
    sign = 1 if _value(p, 1) > _value(p, -1) else -1
    falls = _reached(lambda v: -_value(p, -sign * v), _ZERO)
    grows = _reached(lambda v: _value(p, sign * v), _END)
    if falls is None or grows is None:
        return None
    step = (grows + falls) / 256
    values = [_value(p, sign * float(k * step - falls)) for k in range(257)]
    return _Clip(-sign * falls, sign * grows) if values == sorted(values) else None


def _reached(rising: Callable[[float], float], value: float) -> Rational | None:
    """A short number at which a rising function has come to a value."""
    low, high = 2.0**-20, 2.0**20
    if rising(low) > value or rising(high) < value:
        return None
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if rising(middle) < value else (low, middle)
    unit = Rational(2) ** (math.frexp(high)[1] - 7)
    return unit * math.ceil(high / unit)


def _in(
    parts: dict[Expr, dict[int, Expr]], p: Poly, sign: int, x: Symbol
) -> tuple[tuple[int, int], Expr] | None:
    """The sum in E = exp(p), where W = E**sign, and what it costs; None where it is not bounded.

    The cost is that of the denominators, which a value and its derivative have in common; then
    what does not go to 0 with E, for only that end is exact.
    """
    clip = _clip(p)
    if clip is None:
        return None
    terms = []
    for ratio, powers in parts.items():
        above, below = sympy.fraction(sympy.cancel(ratio.xreplace({W: E**sign})))
        top, bottom = _factors(above), _factors(below)
        if top is None or bottom is None or any(f.eval(0) == 0 for f in bottom[1]):
            return None
        if _degree(top[1]) > _degree(bottom[1]):
            return None
        number = top[0] / bottom[0]
        terms.append(_Term(top[1], bottom[1], {i: c * number for i, c in powers.items()}))
    divisors = {f for term in terms for f in term.bottom}
    steep = p.degree() > 1 or abs(float(p.LC())) > 1  # p may leave the range of the numbers
    cut = clip.at(x, steep, True)
    exponential = rounded(exp(_polynomial(p, cut)))
    shared, rest = _in_common(terms)
    total = ZERO
    for old, new in zip(terms, rest, strict=True):
        # Where it may be, x is cut as in the exponential: the same number is read again.
        zero, end = old.cut
        own = clip.at(cut if end else x, zero and not (steep and end), False)
        quotient_ = _quotient(new.top, new.bottom, exponential)
        total += _coefficient(new.powers, own) * quotient_
    if shared.bottom:
        total = rounded(total) * _quotient(shared.top, shared.bottom, exponential)
    not_zero = sum(not any(f.eval(0) == 0 for f in term.top) for term in terms)
    return (sum(map(_passes, divisors)), not_zero), total


class _Term(NamedTuple):
    """`top/bottom * sum of c_i*x**i`, top and bottom products of polynomials in E."""

    top: list[Poly]
    bottom: list[Poly]
    powers: dict[int, Expr]

    @property
    def cut(self) -> tuple[bool, bool]:
        """Whether x must be cut where E is 0, lest x**2*0 or 2*x*0 is inf*0, and where E is cut."""
        most = max(self.powers)
        starts = any(f.eval(0) == 0 for f in self.top)
        large = most > 1 or (most == 1 and float(Abs(self.powers[1])) > 1)
        return starts and large, most > 0 and _degree(self.top) < _degree(self.bottom)


def _in_common(terms: list[_Term]) -> tuple[_Term, list[_Term]]:
    """The quotient that all terms have as a factor, and the terms without it."""
    nothing = _Term([], [], {})
    if len(terms) == 1:
        return nothing, terms
    sides = []
    for k in (0, 1):
        first, *others = (list(term[k]) for term in terms)
        sides.append(reduce(_both, others, first))
    top, bottom = sides
    rest = [
        term._replace(top=_without(term.top, top), bottom=_without(term.bottom, bottom))
        for term in terms
    ]
    # x*E may overflow where x*(E/(1 + E)) does not, and x/(1/2 + E) where x*E/(1/2 + E) is 0.
    bounded = all(
        not max(new.powers) or (old.cut[1] and all(f.eval(0) >= 1 for f in new.bottom))
        for old, new in zip(terms, rest, strict=True)
    )
    return (_Term(top, bottom, {}), rest) if bottom and bounded else (nothing, terms)


def _both(a: list[Poly], b: list[Poly]) -> list[Poly]:
    return [f for f in dict.fromkeys(a) for _ in range(min(a.count(f), b.count(f)))]


def _without(a: list[Poly], b: list[Poly]) -> list[Poly]:
    rest = list(a)
    for f in b:
        rest.remove(f)
    return rest


def _passes(f: Poly) -> int:
    """How many operations Horner's scheme takes."""
    return int(f.degree()) - (f.LC() == 1) + sum(c != 0 for c in f.all_coeffs()[1:])


def _degree(factors: list[Poly]) -> int:
    return sum(int(f.degree()) for f in factors)


def _factors(e: Expr) -> tuple[Expr, list[Poly]] | None:
    """The number and the other factors, each as often as it stands; None where one may cancel."""
    number, found = sympy.factor_list(e, E)
    factors: list[Poly] = []
    for f, k in found:
        if E not in f.free_symbols:
            number *= f**k
            continue
        poly = Poly(f, E)
        if not all(c.is_positive for c in poly.coeffs()):
            return None
        factors += [poly] * k
    return number, factors


def _horner(f: Poly, at: Expr) -> Expr:
    total, *rest = f.all_coeffs()
    for c in rest:
        total = _held(_held(total * at) + c)
    return total


def _held(e: Expr) -> Expr:
    return rounded(e) if isinstance(e, Add | Mul | Pow) and e.free_symbols else e


def _quotient(top: list[Poly], bottom: list[Poly], at: Expr) -> Expr:
    """The product of the quotients, none of which exceeds the range of single precision."""
    top, total = list(top), ONE
    for f in bottom:
        room, factors = f.degree(), []
        for g in list(top):
            if g.degree() <= room:
                room -= g.degree()
                top.remove(g)
                factors.append(g)
        numerator = reduce(lambda a, g: _product(a, _horner(g, at)), factors, ONE)
        total = total * numerator / _horner(f, at)
        total = total if total.func is Pow else _held(total)  # c/(1 + E) is one division
    return reduce(lambda a, g: _product(a, _horner(g, at)), top, total)


def _product(a: Expr, b: Expr) -> Expr:
    return _held(a * b)


def _coefficient(powers: dict[int, Expr], x: Expr) -> Expr:
    """`sum of c_i * x**i`, by Horner's scheme in the square of x where all i are odd or even."""
    step = 2 if len(powers) > 1 and len({i % 2 for i in powers}) == 1 else 1
    low = min(powers)
    at = rounded(x**step) if step > 1 else x
    total: Expr = ZERO
    for i in range(max(powers), low - 1, -step):
        total = rounded(total * at) if total != 0 else total
        total = total + _number(powers.get(i, ZERO))
    return (rounded(total) if total.free_symbols else total) * x**low


def _polynomial(p: Poly, x: Expr) -> Expr:
    return _coefficient({i: c for (i,), c in p.terms()}, x)


def _number(c: Expr) -> Expr:
    return c if c.is_Rational and c.q < 2**10 else Rational(float(c))


# ---------------------------------------------------------------- single functions


def logistic(s: Expr) -> Expr:
    """`sigmoid(u) -> (1 + tanh(u/2))/2`"""
    u = stable(_cheap(s.args[0]))
    u = rounded(u) if isinstance(u, Add) else u
    return rounded(Rational(1, 2) + tanh(u / 2) / 2)


def soft_maximum(e: Expr) -> Expr:
    """`softplus(u) -> max(u, log1p(exp(min(u, 64))))`: the logarithm is above u, and at 64 is u."""
    u = stable(_cheap(e.args[0]))
    u = rounded(u) if isinstance(u, Add) else u
    return rounded(maximum(u, log1p(exp(minimum(u, Integer(64))))))


def logarithm(e: Expr) -> Expr | None:
    """`log(cosh(u)) -> |u| + log1p(exp(-2*|u|)) - log(2)`: right but for its root's neighbours."""
    whole = e.args[0] if isinstance(e, log) else 1 + e.args[0]
    if isinstance(whole - 1, exp):
        return soft_maximum(softplus((whole - 1).args[0]))
    bases = exponents_of(whole)
    if len(bases) != 1:
        return None
    (base,) = bases
    if whole.has(where) or not base.free_symbols:
        return None
    q = quotient(in_exponentials(whole), base)
    if q is None:
        return None
    u = stable(base)
    form = plain_logarithm(q, rounded(u) if isinstance(u, Add) else u)
    return None if form is None else rounded(form)


RULES: dict[type, Callable[..., Expr | None]] = {
    Mul: one_exponential,
    Add: one_exponential,
    sigmoid: logistic,
    softplus: soft_maximum,
    log: logarithm,
    log1p: logarithm,
}
