"""Cotangents that go through a mean, a variance or a norm, in their compact form.

    x_bar[n,d] = h[n,d]/sd[n] + mu_bar[n]/D + 2*v_bar[n]*(x[n,d] - mu[n])/D
        ->   (h[n,d] - mean[k](h[n,k]) - x_hat[n,d]*mean[k](h[n,k]*x_hat[n,k]))/sd[n]

Three facts make it, and none of them knows a layer: what is centred sums to 0; the cotangent of a
statistic is read once, so it may stand where it is read; and where `x_hat = a/b` was computed, `a`
is `x_hat*b`, whereupon powers of `b` cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import sympy
from sympy import Add, Expr, Mul, Pow, S, Symbol, exp

from derive.gradients.identities import COMMON_FACTOR
from derive.gradients.lengths import length
from derive.gradients.normal_form import fresh
from derive.gradients.reuse import (
    OUT_OF_SUMS,
    READ_FORWARD,
    WRITTEN_OUT,
    outside,
    value_at,
    values_of,
)
from derive.gradients.shortest import not_condition
from derive.language.functions import eq, where
from derive.language.notation import ELLIPSIS, Access, Equation, Index, Reduce, accesses, indices

# Forms of one expression, each with the rule that leads to it.
Forms = tuple[tuple[str, Expr], ...]


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


def with_whole_softmax(e: Expr, p: Equation, bound: tuple[Index, ...]) -> Expr:
    """`sum[k]((1 + z[k])*p[k]) -> 1 + sum[k](z[k]*p[k])` for a softmax p over `bound`."""
    table = {}
    for reduce in sorted(e.atoms(Reduce), key=str):
        if reduce.op != "sum" or reduce.guard != 1 or len(reduce.bound) != len(bound):
            continue
        known: list[Expr] = []
        rest: list[Expr] = []
        for term in Add.make_args(sympy.expand_mul(reduce.term)):
            whole = [f for f in Mul.make_args(term) if _is_over(f, p.target, reduce.bound)]
            free = len(whole) == 1 and not (term / whole[0]).has(*reduce.bound)
            (known if free else rest).append(term / whole[0] if free else term)
        if known:
            others = outside(Reduce("sum", Add(*rest), reduce.bound)) if rest else S.Zero
            table[reduce] = Add(*known, others)
    after = e.xreplace(table)
    after = Mul(*(sympy.expand_mul(f) if f.has(Reduce) else f for f in Mul.make_args(after)))
    return after if length(after) < length(e) else e


def _is_over(e: Expr, target: str, bound: tuple[Index, ...]) -> bool:
    return isinstance(e, Access) and e.tensor == target and e.indices[-len(bound) :] == bound


def with_equals(e: Expr, cotangents: Mapping[str, Equation]) -> Expr:
    """`l_bar*p[k] - g*(k == y) -> l_bar*p[k] - l_bar*(k == y)`, where l_bar was summed up to g."""
    if not isinstance(e, Add) or not e.has(eq):
        return e
    read = [a for a in dict.fromkeys(accesses(e)) if a.tensor in cotangents]
    values = [(a, _plainly(value_at(cotangents[a.tensor], a))) for a in read]
    terms = []
    for term in e.args:
        deltas, rest = _without_deltas(term)
        for a, value in values:
            for sign in (1, -1):
                if deltas != 1 and sympy.expand(rest - sign * value) == 0:
                    term = sign * a * deltas
        terms.append(term)
    return Add(*terms)


def _without_deltas(term: Expr) -> tuple[Expr, Expr]:
    """The deltas that are factors of a term, within masks too, and what is left without them."""
    factors = Mul.make_args(_plainly(term))
    deltas = [f for f in factors if isinstance(f, eq)]
    return Mul(*deltas), Mul(*(f for f in factors if f not in deltas))


def _plainly(e: Expr) -> Expr:
    """`e` with masks as factors, for comparing: `where(c, a, 0)` as `[c]*a`."""

    def mask(part: Expr) -> Expr:
        condition, a, b = part.args
        if b != 0:
            condition, a = not_condition(condition), b
        return Symbol(f"[{condition}]") * a

    return e.replace(lambda part: isinstance(part, where) and 0 in part.args[1:], mask)


def compact(
    equation: Equation, known: Iterable[Equation], cotangents: Mapping[str, Equation]
) -> Forms:
    """The body with the cotangents of statistics written out, where the whole is shorter so.

    Each form on the way with the rule that leads to it; none where the body stays as it is.
    """
    body = equation.body
    if body.has(exp):
        return ()  # exponentials are shortened otherwise
    known = tuple(known)
    used: dict[str, Equation] = {}
    roots = {k.target for k in known if isinstance(k.body, Pow) and k.body.exp == S.Half}

    def of_root(e: Expr) -> bool:
        return _is_of_root(e, roots)

    fits = _anything if isinstance(body, Add) else of_root
    axes = set(equation.indices)
    whole = _written_out(body, axes, cotangents, used, fits)
    if not any(e.body.has(Reduce) or of_root(e.body) for e in used.values()):
        return ()
    before = length(body) + sum(length(e.body) for e in used.values())
    factored = _renumbered(outside(whole), axes)
    whole = _renumbered(whole, axes)
    ways = [
        tuple((rule, _renumbered(form, axes)) for rule, form in way)
        for way in _ways(factored, tuple(known))
    ]
    found = min(ways, key=lambda way: length(way[-1][1]))
    begin = ((WRITTEN_OUT, whole), (OUT_OF_SUMS, factored))
    return (*begin, *found) if length(found[-1][1]) < before else ()


def _anything(_: Expr) -> bool:
    return True


def _is_of_root(e: Expr, roots: Collection[str]) -> bool:
    """Whether a cotangent is that of what stands under a root: `r_bar/(2*sqrt(s))`, or masked."""
    if isinstance(e, where) and e.args[2] == 0:
        e = e.args[1]
    powers = [f for f in Mul.make_args(e) if isinstance(f, Pow) and isinstance(f.base, Access)]
    return isinstance(e, Mul) and any(
        f.exp == -S.Half or (f.exp == -1 and f.base.tensor in roots) for f in powers
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


def _ways(e: Expr, known: tuple[Equation, ...]) -> Iterator[Forms]:
    """The ways to the compact form, with one known quotient read in it or with none."""
    plain = [k for k in known if k.reduction is None]
    rooted = _with_roots(e, [k for k in plain if isinstance(k.body, Pow)])
    gathered = Add(*_gathered(_distributed(rooted)))
    yield (READ_FORWARD, rooted), (COMMON_FACTOR, _collected(gathered))
    for k in plain:
        numerator, denominator = _quotient(k.body)
        if denominator == 1 or numerator.is_number:
            continue
        table: dict[Expr, Expr] = {}
        for value, access in values_of(gathered, (k,)).items():
            a, b = _quotient(value)
            table[a] = access * b
            for part in gathered.atoms(Add):
                number, primitive = part.primitive()
                if primitive in (a, -a):
                    table[part] = (number if primitive == a else -number) * access * b
        read = outside(gathered.xreplace(table))
        yield (
            (READ_FORWARD, rooted),
            (COMMON_FACTOR, gathered),
            (READ_FORWARD, read),
            (COMMON_FACTOR, _collected(_distributed(read))),
        )


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
