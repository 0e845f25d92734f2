"""Scalar expressions in their shortest form, by the named identities.

The work is done on numbered placeholders for tensors and remembered, so that the result depends
on no name and equal layers cost nothing the second time. Every candidate is kept only where it is
shorter: the outcome cannot be worse than what came in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from math import gcd

import sympy
from sympy import Add, Expr, Integer, Mul, Pow, Symbol, cosh, exp, sinh, tanh
from sympy.codegen.cfunctions import expm1

from derive.functions import and_, le, lt, not_, where
from derive.identities import (
    EXPONENTIAL_FORMS,
    REFLECTIONS,
    REWRITINGS,
    SUBSTITUTIONS,
    rewritten,
    sigmoid,
    u,
)
from derive.notation import Access, Reduce

# Beyond this many symbols an expression is left as it stands: textbook forms are short.
LARGEST = 80


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
    return length(e, cached) + 2 * len({type(part) for part in e.atoms(*_EXPONENTIAL)})


def renamed(expressions: tuple[Expr, ...]) -> tuple[tuple[Expr, ...], dict[Expr, Expr]]:
    """The expressions over numbered placeholders, and what each stands for.

    The numbers follow from where an access or a symbol stands, and from its name only where two
    stand in like places.
    """
    places: dict[Expr, list[tuple[str, ...]]] = {}
    for k, e in enumerate(expressions):
        for leaf, path in _leaves(e, (str(k),)):
            places.setdefault(leaf, []).append(path)
    ordered = sorted(places, key=lambda leaf: (sorted(places[leaf]), str(leaf)))
    numbered = {leaf: _placeholder(f"_{k}", leaf) for k, leaf in enumerate(ordered)}
    back = {placeholder: leaf for leaf, placeholder in numbered.items()}
    return tuple(e.xreplace(numbered) for e in expressions), back


def _placeholder(name: str, leaf: Expr) -> Symbol:
    positive = isinstance(leaf, Symbol) and leaf.is_positive
    return Symbol(name, positive=True) if positive else Symbol(name, real=True)


def _leaves(e: Expr, path: tuple[str, ...]) -> Iterator[tuple[Expr, tuple[str, ...]]]:
    """Accesses, reductions and symbols, each with the functions around it."""
    if isinstance(e, Access | Reduce | Symbol):
        yield e, path
    else:
        for k, a in enumerate(e.args):
            # The order of terms and factors depends on names; that of arguments does not.
            place = type(e).__name__ if isinstance(e, Add | Mul) else f"{type(e).__name__}.{k}"
            yield from _leaves(a, (*path, place))


def simplified(e: Expr, cached: Iterable[Expr] = ()) -> tuple[Expr, tuple[str, ...]]:
    """The shortest form of a scalar expression that the identities give, and their names."""
    if _is_plain(e) or length(e) > LARGEST:
        return e, ()
    (plain, *known), back = renamed((e, *cached))
    result, used = _simplified(plain, frozenset(known))
    return result.xreplace(back), used


def _is_plain(e: Expr) -> bool:
    """Whether `e` is a product of accesses and numbers, with nothing to simplify."""
    return all(
        isinstance(f, Access | Reduce | Symbol) or f.is_Number or isinstance(1 / f, Symbol)
        for f in Mul.make_args(e)
    )


@lru_cache(maxsize=4096)
def _simplified(e: Expr, cached: frozenset[Expr]) -> tuple[Expr, tuple[str, ...]]:
    used: list[str] = []

    def step(name: str, before: Expr, after: Expr) -> Expr:
        if after != before and name not in used:
            used.append(name)
        return after

    def named_form(e: Expr) -> Expr | None:
        for row in REWRITINGS:
            after = rewritten(e, row)
            if after is not None and after != e:
                return step(row.name, e, after)
        return None

    def inner(e: Expr) -> Expr:
        if not e.args or e in cached:
            return e
        # Before the parts are touched, and after: log(1 + exp(u)) is not -log(sigmoid(-u)).
        after = named_form(e)
        if after is None:
            parts = [inner(a) for a in e.args]
            if any(a is not b for a, b in zip(parts, e.args, strict=True)):
                e = e.func(*parts)
                after = named_form(e)
        if after is not None:
            return inner(after)
        if isinstance(e, Mul | where):
            e = step("mask", e, _masked(e))
        if isinstance(e, Add | Mul | Pow) and length(e) <= LARGEST:
            name, best = min(_representations(e), key=lambda form: cost(form[1], cached))
            if cost(best, cached) < cost(e, cached):
                return inner(step(name, e, best))
        return _signed(e, cached)

    return inner(e), tuple(used)


def _masked(e: Expr) -> Expr:
    """`where(c, 1, 0)*g -> where(c, g, 0)`; of two masks one: `where(c and d, a, 0)`."""
    if isinstance(e, Mul):
        for k, factor in enumerate(e.args):
            mask = _mask(factor)
            if mask and mask[1].is_Number:
                return where(mask[0], Mul(mask[1], *e.args[:k], *e.args[k + 1 :]), Integer(0))
        return e
    outer = _mask(e)
    inner = _mask(outer[1]) if outer else None
    return where(and_(outer[0], inner[0]), inner[1], Integer(0)) if outer and inner else e


def _mask(e: Expr) -> tuple[Expr, Expr] | None:
    """The condition `c` and the value `a` where `e` is `where(c, a, 0)`."""
    if isinstance(e, where):
        condition, a, b = e.args
        if b == 0:
            return condition, a
        if a == 0:
            return not_condition(condition), b
    return None


def _signed(e: Expr, cached: frozenset[Expr]) -> Expr:
    """`-a*(a - 1) -> a*(1 - a)`: a minus sign goes into the sum that has the most of them."""
    if not (isinstance(e, Mul) and e.args[0].is_Number and e.args[0].is_negative):
        return e
    sums = [
        f
        for f in e.args
        if isinstance(f, Add) and f not in cached and 2 * _minus_signs(f) >= len(f.args)
    ]
    if not sums:
        return e
    most = max(sums, key=_minus_signs)
    return Mul(*(-f if f in (most, e.args[0]) else f for f in e.args))


def _minus_signs(e: Add) -> int:
    return sum(1 for a in e.args if a.as_coeff_Mul()[0].is_negative)


def not_condition(c: Expr) -> Expr:
    """`not c`, a comparison again where `c` is one."""
    if isinstance(c, lt):
        return le(c.args[1], c.args[0])
    if isinstance(c, le):
        return lt(c.args[1], c.args[0])
    return not_(c)


# ---------------------------------------------------------------- rational functions of exp(u)


def _representations(e: Expr) -> Iterator[tuple[str, Expr]]:
    """Other forms of `e` with the same value, each with the name of what makes it so."""
    yield "", e
    yield from (("common factor", form) for form in _collected(e))
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
        if len(plain.free_symbols) <= 8:
            yield sympy.factor(plain).xreplace(back)
    if isinstance(e, Mul) and any(isinstance(f, Add) for f in e.args):
        yield Mul(*(sympy.factor_terms(f) if isinstance(f, Add) else f for f in e.args))
        if e.args[0].is_Number and len(e.args) == 2:
            yield sympy.expand_mul(e)


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


E = Symbol("E", positive=True)
G = Symbol("G", positive=True)


def in_generator(e: Expr, base: Expr) -> tuple[Expr, dict[Expr, Expr]] | None:
    """`e` as a rational function of `E = exp(base)` and symbols for the rest, or None."""

    def of_base(part: Expr) -> bool:
        return isinstance(part, _EXPONENTIAL) and multiple(part.args[0], base) is not None

    plain, back = opaque(e, of_base)
    table = {}
    for part in filter(of_base, plain.atoms(*_EXPONENTIAL)):
        form = part
        for row in EXPONENTIAL_FORMS:
            form = rewritten(part, row) or form
        powers = {p: multiple(p.args[0], base) for p in form.atoms(exp)}
        table[part] = form.xreplace({p: E**k for p, k in powers.items() if k is not None})
    return (plain.xreplace(table), back) if table else None


_EXPONENTIAL = (exp, tanh, sinh, cosh, sigmoid, expm1)


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
        for shaped in (form, sympy.factor(form), sympy.factor_terms(form)):
            yield name, shaped.xreplace(back).xreplace({G: generator})


def _powers(e: Expr) -> list[Expr]:
    return [part.exp for part in e.atoms(Pow) if part.base == E]


def _generators(base: Expr) -> Iterator[tuple[str, Expr, Expr]]:
    """Names, `exp(base)` in a new generator `G`, and what `G` is."""
    yield "exponential", G, exp(base)
    yield "exponential", 1 / G, exp(-base)
    for row in SUBSTITUTIONS:
        (function,) = row.right.atoms(sigmoid, tanh)
        argument = base / row.left.args[0].coeff(u)
        yield row.name, row.right.xreplace({function: G}), function.xreplace({u: argument})
