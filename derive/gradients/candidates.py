"""Other forms of a scalar expression: the candidates that the shortest one is chosen from.

    a*x + b*x                ->  (a + b)*x                factors, and divisors, in common
    softplus(-u)             ->  softplus(u) - u          a reflection
    exp(-z)*sigmoid(z)**2    ->  s*(1 - s), s = sigmoid(z)    another generator

The last one is a change of variable: where all exponentials are powers of `E = exp(u)`, an
expression is a rational function of E, hence of sigmoid(u) and of tanh(u/2), too, for E is a
rational function of these. Each form has the value of the expression wherever that has one: it is
made by polynomial algebra with rational coefficients and by rows of `identities`, and by nothing
else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from math import gcd

import sympy
from sympy import Add, Expr, Mul, Pow, Symbol, cosh, exp, sinh, tanh

from derive.gradients.identities import (
    COMMON_FACTOR,
    EXPONENTIAL,
    EXPONENTIAL_FORMS,
    REFLECTIONS,
    SUBSTITUTIONS,
    rewritten,
    sigmoid,
    u,
)
from derive.gradients.lengths import EXPONENTIALS, LARGEST, length

E = Symbol("E", positive=True)
G = Symbol("G", positive=True)

# Symbols of the largest polynomial that is factored: the time grows with them without bound.
FACTORED = 8


def representations(e: Expr) -> Iterator[tuple[str, Expr]]:
    """Other forms of `e` with the same value, each with the name of what makes it so."""
    yield "", e
    yield from ((COMMON_FACTOR, form) for form in _collected(e))
    for row in REFLECTIONS:
        for part in sorted(e.atoms(row.left.func), key=str):
            after = rewritten(part, row)
            if after is not None:
                reflected = e.xreplace({part: after})
                yield row.name, reflected
                yield from ((row.name, form) for form in _collected(sympy.expand_mul(reflected)))
    for base in exponents(e):
        yield from _in_other_generators(e, base)


def _collected(e: Expr) -> Iterator[Expr]:
    plain, back = opaque(e)
    if isinstance(plain, Add):
        yield sympy.factor_terms(plain).xreplace(back)
        yield _by_divisor(plain).xreplace(back)
        yield _by_factors(plain).xreplace(back)
        yield _factored(plain).xreplace(back)
    if isinstance(e, Mul) and any(isinstance(f, Add) for f in e.args):
        yield Mul(*(sympy.factor_terms(f) if isinstance(f, Add) else f for f in e.args))
        if e.args[0].is_Number and len(e.args) == 2:
            yield sympy.expand_mul(e)


def _factored(e: Expr) -> Expr:
    """The irreducible factors, where they are found in reasonable time."""
    return sympy.factor(e) if len(e.free_symbols) <= FACTORED else e


def _by_divisor(e: Add) -> Expr:
    """`r + a/s - b/s -> r + (a - b)/s`: terms over one divisor together, the others as they are."""
    over: dict[Expr, list[Expr]] = {}
    for term in e.args:
        divisor = Mul(*(f for f in Mul.make_args(term) if f.is_Pow and f.exp.is_negative))
        over.setdefault(divisor, []).append(term)
    return Add(*(sympy.factor_terms(Add(*terms)) for terms in over.values()))


def _by_factors(e: Add) -> Expr:
    """`a*(x - y)*c + a*(y - x)*d + b*f -> a*(x - y)*(c - d) + b*f`: first what have most in common.

    Two differences that differ by their sign alone are one factor.
    """
    terms = [_factors(term) for term in e.args]
    found = []
    while len(terms) > 1:
        common = max((a[1] & b[1] for a, b in combinations(terms, 2)), key=_symbols_of)
        if not common:
            break
        inside = [t for t in terms if common <= t[1]]
        terms = [t for t in terms if t not in inside]
        found.append(Mul(*common, Add(*(Mul(number, *own - common) for number, own in inside))))
    return Add(*found, *(Mul(number, *own) for number, own in terms))


def _factors(term: Expr) -> tuple[Expr, frozenset[Expr]]:
    """The number and the other factors of a term, each sum with the sign that is its own."""
    number, rest = term.as_coeff_Mul()
    own = set()
    for f in Mul.make_args(rest):
        turned = isinstance(f, Add) and f.could_extract_minus_sign()
        number, f = (-number, -f) if turned else (number, f)
        own.add(f)
    return number, frozenset(own)


def _symbols_of(factors: frozenset[Expr]) -> tuple[int, list[str]]:
    return sum(map(length, factors)), sorted(map(str, factors))


def opaque(
    e: Expr, keep: Callable[[Expr], bool] = lambda part: False
) -> tuple[Expr, dict[Expr, Expr]]:
    """`e` as a rational function with rational coefficients, and what its new symbols stand for.

    Over roots, pi and functions taken for what they are, polynomial algebra takes forever.
    """
    table: dict[Expr, Expr] = {}

    def visit(e: Expr) -> Expr:
        if e.is_Symbol or e.is_Rational or keep(e):
            return e
        if isinstance(e, Add | Mul) or (isinstance(e, Pow) and e.exp.is_Integer):
            return e.func(*map(visit, e.args))
        return table.setdefault(e, Symbol(f"~{len(table)}", real=True))

    plain = visit(e)
    return plain, {symbol: part for part, symbol in table.items()}


def exponents(e: Expr) -> tuple[Expr, ...]:
    """The `u` such that the exponentials in `e` are `exp(k*u)` with coprime integers `k`."""
    found: dict[Expr, list[sympy.Rational]] = {}
    for part in e.atoms(exp, tanh, sinh, cosh, sigmoid):
        coefficient, base = _unit(part.args[0])
        found.setdefault(base, []).append(coefficient * (2 if isinstance(part, tanh) else 1))
    units = []
    for base, coefficients in found.items():
        denominator = sympy.ilcm(1, *(c.q for c in coefficients))
        numerator = gcd(*(int(c * denominator) for c in coefficients))
        units.append(base * sympy.Rational(numerator, denominator))
    return tuple(sorted(units, key=str))


def multiple(a: Expr, base: Expr) -> sympy.Rational | None:
    """The rational number `a/base`, or None where it is none."""
    (c, unit), (d, other) = _unit(a), _unit(base)
    return c / d if unit == other else None


def _unit(a: Expr) -> tuple[sympy.Rational, Expr]:
    """`a = coefficient * base` with a rational coefficient and the base's own sign fixed."""
    coefficient, base = a.as_content_primitive() if isinstance(a, Add) else a.as_coeff_Mul()
    if not coefficient.is_Rational:
        coefficient, base = sympy.Integer(1), a
    if isinstance(base, Add) and base.could_extract_minus_sign():
        coefficient, base = -coefficient, -base
    return coefficient, base


def in_generator(e: Expr, base: Expr) -> tuple[Expr, dict[Expr, Expr]] | None:
    """`e` as a rational function of `E = exp(base)` and symbols for the rest, or None."""

    def of_base(part: Expr) -> bool:
        return isinstance(part, EXPONENTIALS) and multiple(part.args[0], base) is not None

    plain, back = opaque(e, of_base)
    table = {}
    for part in filter(of_base, plain.atoms(*EXPONENTIALS)):
        form = part
        for row in EXPONENTIAL_FORMS:
            form = rewritten(part, row) or form
        powers = {p: multiple(p.args[0], base) for p in form.atoms(exp)}
        table[part] = form.xreplace({p: E**k for p, k in powers.items() if k is not None})
    return (plain.xreplace(table), back) if table else None


def _in_other_generators(e: Expr, base: Expr) -> Iterator[tuple[str, Expr]]:
    found = in_generator(e, base)
    if found is None or length(found[0]) > LARGEST:
        return
    rational, back = found
    rational = sympy.cancel(rational)
    common = gcd(0, *(int(power) for power in _powers(rational)))
    if common > 1 and not rational.xreplace({E**k: 1 for k in _powers(rational)}).has(E):
        base = base * common
        rational = rational.xreplace({E**k: E ** (k / common) for k in _powers(rational)})
    for name, value, generator in _generators(base):
        form = sympy.cancel(rational.xreplace({E: value}))
        for shaped in (form, _factored(form), sympy.factor_terms(form)):
            yield name, shaped.xreplace(back).xreplace({G: generator})


def _powers(e: Expr) -> list[Expr]:
    return [part.exp for part in e.atoms(Pow) if part.base == E]


def _generators(base: Expr) -> Iterator[tuple[str, Expr, Expr]]:
    """Names, `exp(base)` in a new generator `G`, and what `G` is."""
    yield EXPONENTIAL, G, exp(base)
    yield EXPONENTIAL, 1 / G, exp(-base)
    for row in SUBSTITUTIONS:
        (function,) = row.right.atoms(sigmoid, tanh)
        argument = base / row.left.args[0].coeff(u)
        yield row.name, row.right.xreplace({function: G}), function.xreplace({u: argument})
