"""Cotangents that go through a mean, a variance or a norm, in their compact form.

    x_bar[n,d] = h[n,d]/sd[n] + mu_bar[n]/D + 2*v_bar[n]*(x[n,d] - mu[n])/D
        ->   (h[n,d] - mean[k](h[n,k]) - x_hat[n,d]*mean[k](h[n,k]*x_hat[n,k]))/sd[n]

Three facts make it, and none of them knows a layer: what is centred sums to 0; the cotangent of a
statistic is read once, so it may stand where it is read; and where `x_hat = a/b` was computed, `a`
is `x_hat*b`, whereupon powers of `b` cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import sympy
from sympy import Add, Expr, Mul, Pow, S, Symbol, exp

from derive.functions import eq, where
from derive.normal_form import fresh
from derive.notation import ELLIPSIS, Access, Equation, Index, Reduce, accesses, indices
from derive.reuse import outside, value_at, values_of
from derive.shortest import length


def balanced(e: Expr, known: Iterable[Equation]) -> Expr:
    """`sum[d](x[n,d] - mu[n]) -> 0` for `mu[n] = mean[d](x[n,d])`, and what else cancels so."""
    statistics = [k for k in known if k.reduction in ("sum", "mean") and k.guard == 1]
    table = {}
    for reduce in sorted(e.atoms(Reduce), key=str):
        if reduce.op == "sum" and reduce.guard == 1 and reduce.term.has(Add):
            parts = Add.make_args(sympy.expand_mul(reduce.term))
            value = sympy.expand_mul(Add(*(_summed(p, reduce, statistics) for p in parts)))
            if length(value) < length(reduce) and not value.has(Reduce):
                table[reduce] = value
    return e.xreplace(table)


def _summed(part: Expr, reduce: Reduce, statistics: list[Equation]) -> Expr:
    """The sum of one term, read where a statistic knows it."""
    inside = [f for f in Mul.make_args(part) if f.has(*reduce.bound)]
    free = Mul(*(f for f in Mul.make_args(part) if f not in inside))
    if not inside:
        return free * _count(reduce)
    term = Mul(*inside)
    for k in statistics:
        coefficient = Mul(*(f for f in Mul.make_args(k.term) if not f.has(Access, Index)))
        pattern = Equation(k.target, (*k.indices, *k.bound), k.term / coefficient)
        a = values_of(term, (pattern,)).get(term)
        if a is not None and set(a.indices[len(k.indices) :]) == set(reduce.bound):
            value = Access(k.target, *a.indices[: len(k.indices)]) / coefficient
            return free * value * (_count(reduce) if k.reduction == "mean" else 1)
    return free * Reduce("sum", term, reduce.bound)


def _count(reduce: Reduce) -> Expr:
    return Mul(*(i.size for i in reduce.bound))


def with_equals(e: Expr, cotangents: Mapping[str, Equation]) -> Expr:
    """`l_bar*p[k] - g*(k == y) -> l_bar*p[k] - l_bar*(k == y)`, where l_bar was summed up to g."""
    if not isinstance(e, Add) or not e.has(eq):
        return e
    read = [a for a in dict.fromkeys(accesses(e)) if a.tensor in cotangents]
    values = [(a, _plainly(value_at(cotangents[a.tensor], a))) for a in read]
    terms = []
    for term in e.args:
        deltas = Mul(*sorted(term.atoms(eq), key=str))
        rest = _plainly(term) / deltas
        for a, value in values:
            for sign in (1, -1):
                if deltas != 1 and not rest.has(eq) and sympy.expand(rest - sign * value) == 0:
                    term = sign * a * deltas
        terms.append(term)
    return Add(*terms)


def _plainly(e: Expr) -> Expr:
    """`e` with masks as factors, for comparing: `where(c, a, 0)` as `[c]*a`."""
    return e.replace(
        lambda part: isinstance(part, where) and part.args[2] == 0,
        lambda part: Symbol(f"[{part.args[0]}]") * part.args[1],
    )


def compact(
    equation: Equation, known: Iterable[Equation], cotangents: Mapping[str, Equation]
) -> Expr:
    """The body with the cotangents of statistics written out, where the whole is shorter so."""
    body = equation.body
    if body.has(exp):
        return body  # exponentials are shortened otherwise
    used: dict[str, Equation] = {}
    fits = _anything if isinstance(body, Add) else _is_of_root
    whole = _written_out(body, set(equation.indices), cotangents, used, fits)
    if not any(e.body.has(Reduce) or _is_of_root(e.body) for e in used.values()):
        return body
    before = length(body) + sum(length(e.body) for e in used.values())
    whole = _renumbered(outside(whole), set(equation.indices))
    forms = (_renumbered(f, set(equation.indices)) for f in _forms(whole, tuple(known)))
    found = min(forms, key=length)
    return found if length(found) < before else body


def _anything(_: Expr) -> bool:
    return True


def _is_of_root(e: Expr) -> bool:
    """Whether a cotangent is that of what stands under a root: `r_bar/(2*sqrt(s))`."""
    powers = [f for f in Mul.make_args(e) if isinstance(f, Pow)]
    return isinstance(e, Mul) and any(
        isinstance(f.base, Access) and f.exp == -S.Half for f in powers
    )


def _written_out(
    e: Expr,
    axes: set[Index],
    cotangents: Mapping[str, Equation],
    used: dict[str, Equation],
    fits: Callable[[Expr], bool],
) -> Expr:
    """`e` with every cotangent put in that has only some of the axes, and that fits."""
    found = [a for a in set(accesses(e)) if a.tensor in cotangents and set(a.indices) < axes]
    for a in sorted(found, key=str):
        if fits(cotangents[a.tensor].body):
            part = used[a.tensor] = cotangents[a.tensor]
            value = _written_out(value_at(part, a), axes, cotangents, used, fits)
            e = e.xreplace({a: captured(value, e)})
    return e


def captured(value: Expr, e: Expr) -> Expr:
    """A value with bound names that do not stand in `e`; equal reductions stay equal."""
    taken = {i.name for i in indices(e) | (indices(value) - _bound(value))}
    renaming = {}
    for i in sorted(_bound(value), key=str):
        base = "leading__1" if i.name.startswith(ELLIPSIS) else i.name
        renaming[i] = i.renamed(fresh(base, taken))
    return value.xreplace(renaming)


def _bound(e: Expr) -> frozenset[Index]:
    return frozenset(i for r in e.atoms(Reduce) for i in r.bound)


def _renumbered(e: Expr, axes: set[Index]) -> Expr:
    """Every reduction over names of its own kind: what is equal but for a name is equal."""

    def numbered(reduce: Reduce) -> Reduce:
        free = {i.name for i in axes | (indices(reduce) - set(reduce.bound))}
        table = {}
        for i in reduce.bound:
            stem, _, number = i.name.rpartition("_")
            base = stem if number.isdigit() and not stem.endswith("_") else i.name
            table[i] = i.renamed(fresh(base, free))
        return reduce.xreplace(table)

    sums = {r: numbered(r) for r in e.atoms(Reduce) if not r.term.has(Reduce)}
    return e.xreplace(sums)


def _forms(e: Expr, known: tuple[Equation, ...]) -> Iterator[Expr]:
    """The compact form, with one known quotient read in it or with none."""
    plain = [k for k in known if k.reduction is None]
    e = _with_roots(e, [k for k in plain if isinstance(k.body, Pow)])
    e = Add(*_gathered(_distributed(e)))
    yield _collected(e)
    for k in plain:
        numerator, denominator = _quotient(k.body)
        if denominator == 1 or numerator.is_number:
            continue
        table: dict[Expr, Expr] = {}
        for value, access in values_of(e, (k,)).items():
            a, b = _quotient(value)
            table[a] = access * b
            for part in e.atoms(Add):
                number, primitive = part.primitive()
                if primitive in (a, -a):
                    table[part] = (number if primitive == a else -number) * access * b
        yield _collected(_distributed(outside(e.xreplace(table))))


def _distributed(e: Expr) -> Expr:
    """`(s + t)*f -> s*f + t*f` where one of the terms is a reduction or has one."""
    if isinstance(e, Add):
        return Add(*map(_distributed, e.args))
    for f in Mul.make_args(e):
        if isinstance(f, Add) and f.has(Reduce):
            return Add(*(_distributed(a * e / f) for a in f.args))
    return e


def _quotient(e: Expr) -> tuple[Expr, Expr]:
    """`a` and `b` where `e` is `a/b`."""
    below = [1 / f for f in Mul.make_args(e) if isinstance(f, Pow) and f.exp.is_negative]
    return e * Mul(*below), Mul(*below)


def _with_roots(e: Expr, roots: list[Equation]) -> Expr:
    """`(v[n] + eps)**(k/2) -> sd[n]**k` for `sd[n] = sqrt(v[n] + eps)`."""
    for value, access in values_of(e, roots).items():
        base, power = value.as_base_exp()
        table = {}
        for part in e.atoms(Pow):
            if part.base == base and (part.exp / power).is_Integer:
                table[part] = access ** (part.exp / power)
        e = e.xreplace(table)
    return e


def _collected(e: Expr) -> Expr:
    """`sum/D` as a mean, and what all terms have in common before them."""
    return _without_common([_with_means(t) for t in e.args]) if isinstance(e, Add) else e


def _gathered(e: Expr) -> list[Expr]:
    """The terms, those with one sum in common in one: `s*x - s*mu -> s*(x - mu)`."""
    groups: dict[Expr, list[Expr]] = {}
    for term in Add.make_args(e):
        number, rest = term.as_coeff_Mul()
        factors = Mul.make_args(rest)
        if sum(isinstance(f, Reduce) for f in factors) == 1:
            plain = Mul(*(f for f in factors if isinstance(f, Access)))
            groups.setdefault(abs(number) * rest / plain, []).append(sympy.sign(number) * plain)
        else:
            groups.setdefault(term, []).append(S.One)
    return [shared * Add(*parts) for shared, parts in groups.items()]


def _with_means(term: Expr) -> Expr:
    """`c*sum[k](f) -> c*K*mean[k](f)` where this is shorter."""
    for reduce in Mul.make_args(term):
        if isinstance(reduce, Reduce) and reduce.op == "sum" and reduce.guard == 1:
            rest, count = term / reduce, _count(reduce)
            if length(rest * count) < length(rest):
                term = rest * count * Reduce("mean", reduce.term, reduce.bound)
    return term


def _without_common(terms: list[Expr]) -> Expr:
    """`a/r - b/r**3 -> (a - b/r**2)/r`"""
    powers = [t.as_coeff_Mul()[1].as_powers_dict() for t in terms]
    common = S.One
    for base in powers[0]:
        exponents = [p.get(base, S.Zero) for p in powers]
        if all(k.is_positive for k in exponents) or all(k.is_negative for k in exponents):
            nearest: Callable[[Expr], Expr] = abs
            common *= base ** min(exponents, key=nearest)
    return common * Add(*(t / common for t in terms))
