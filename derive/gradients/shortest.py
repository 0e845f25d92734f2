"""Scalar expressions in their shortest form, by the named identities.

The work is done on numbered placeholders for tensors and remembered, so that the result depends
on no name and equal layers cost nothing the second time. Every candidate is kept only where it is
shorter: the outcome cannot be worse than what came in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import sympy
from sympy import Add, Expr, Integer, Mul, Pow, Symbol

from derive.gradients.candidates import representations
from derive.gradients.identities import MASK, REWRITINGS, rewritten
from derive.gradients.lengths import LARGEST, cost, length, minus_signs
from derive.language.functions import and_, le, lt, maximum, not_, where
from derive.language.notation import Access, Reduce

# The identity, a part of an expression, what becomes of it; of a mere change of sign no name.
Change = tuple[str, Expr, Expr]


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
    count = isinstance(leaf, Reduce) and leaf.op == "sum" and leaf.term == 1
    positive = count or (isinstance(leaf, Symbol) and leaf.is_positive)
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
    if _is_plain(e):
        return e, ()
    if length(e) > LARGEST:
        return _term_by_term(e, tuple(cached))
    (plain, *known), back = renamed((e, *cached))
    result, changes = _simplified(plain, frozenset(known))
    return result.xreplace(back), tuple(dict.fromkeys(name for name, _, _ in changes if name))


def stages(e: Expr, cached: Iterable[Expr] = ()) -> tuple[tuple[str, Expr], ...]:
    """The forms on the way to `simplified(e)`, each with the one identity that leads to it.

    Where they don't lie on one way, the last form alone, with the names of all.
    """
    result, used = simplified(e, cached)
    if len(used) < 2 or length(e) > LARGEST:
        return ((", ".join(used), result),) if used else ()
    (plain, *known), back = renamed((e, *cached))
    final, changes = _simplified(plain, frozenset(known))
    forms: list[tuple[str, Expr]] = []
    form = plain
    for name, before, after in changes:
        changed = form.xreplace({before: after})
        if changed == form:
            return ((", ".join(used), result),)
        form = changed
        if forms and name in (forms[-1][0], ""):
            name, _ = forms.pop()
        forms += [(name, form.xreplace(back))] if name else []
    return tuple(forms) if form == final else ((", ".join(used), result),)


def _term_by_term(e: Expr, cached: tuple[Expr, ...]) -> tuple[Expr, tuple[str, ...]]:
    """Each term of a long sum by itself, of one that is a factor too; then all, if short now."""
    sums = [f for f in Mul.make_args(e) if isinstance(f, Add)]
    if isinstance(e, Mul) and len(sums) != 1:
        return e, ()
    parts = {a: simplified(a, cached) for f in sums for a in f.args}
    short = e.xreplace({f: Add(*(parts[a][0] for a in f.args)) for f in sums})
    used = [name for _, names in parts.values() for name in names]
    if length(short) <= LARGEST:
        short, names = simplified(short, cached)
        used += names
    return short, tuple(dict.fromkeys(used))


def _is_plain(e: Expr) -> bool:
    """Whether `e` is a product of accesses and numbers, with nothing to simplify."""
    return all(
        isinstance(f, Access | Reduce | Symbol) or f.is_Number or isinstance(1 / f, Symbol)
        for f in Mul.make_args(e)
    )


@lru_cache(maxsize=4096)
def _simplified(e: Expr, cached: frozenset[Expr]) -> tuple[Expr, tuple[Change, ...]]:
    """The shortest form, and the changes of its parts on the way there."""
    changes: list[Change] = []
    tried: set[Expr] = set()  # a shorter form whose parts, simplified, give back the longer one
    done: dict[Expr, Expr] = {}  # what stands at several places becomes the same at each

    def step(name: str, before: Expr, after: Expr) -> Expr:
        if after != before:
            changes.append((name, before, after))
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
        if e not in done:
            done[e] = shortened(e)
        return done[e]

    def shortened(e: Expr) -> Expr:
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
            e = step(MASK, e, _masked(e))
        if isinstance(e, Add | Mul | Pow) and e not in tried and length(e) <= LARGEST:
            tried.add(e)
            # Of two as short, the product: s*(1 - s) rather than s - s**2.
            forms = representations(e)
            name, best = min(forms, key=lambda form: (cost(form[1], cached), form[1].is_Add))
            if cost(best, cached) < cost(e, cached):
                return inner(step(name, e, best))
        return step("", e, _signed(e, cached))

    return inner(e), tuple(changes)


def _masked(e: Expr) -> Expr:
    """`where(c, 1, 0)*g -> where(c, g, 0)`; of two masks one: `where(c and d, a, 0)`."""
    if isinstance(e, Mul):
        for k, factor in enumerate(e.args):
            mask = _mask(factor)
            rest = Mul(*e.args[:k], *e.args[k + 1 :])
            if mask and _is_zero_outside(mask[0], Mul(mask[1], rest)):
                return Mul(mask[1], rest)
            if mask and mask[1].is_Number and not (rest.is_Number or _is_count(1 / rest)):
                return where(mask[0], Mul(mask[1], rest), Integer(0))
        return e
    outer = _mask(e)
    if outer is None:
        return e
    if _is_zero_outside(*outer):
        return outer[1]
    number, rest = outer[1].as_coeff_Mul()
    inner = _mask(rest)
    if inner:
        return _masked(where(and_(outer[0], inner[0]), number * inner[1], Integer(0)))
    counts = [f for f in Mul.make_args(rest) if _is_count(1 / f)]
    rest = rest / Mul(*counts)
    if not counts and (rest != 1 or number == 1):
        return e
    return Mul(number, *counts, where(outer[0], rest, Integer(0)))


def _is_count(e: Expr) -> bool:
    """Whether `e` is a product of sizes and counts."""
    _, rest = e.as_coeff_Mul()
    return rest != 1 and all(f.is_Symbol and f.is_positive for f in Mul.make_args(rest))


def _is_zero_outside(condition: Expr, e: Expr) -> bool:
    """`where(0 <= u, max(u, 0)*a, 0) = max(u, 0)*a`, for an a that is a number everywhere."""
    if not isinstance(condition, lt | le) or condition.args[0] != 0:
        return False
    bases = [f.as_base_exp() for f in Mul.make_args(e) if not _is_count(1 / f)]
    positive = {maximum(condition.args[1], Integer(0)), maximum(Integer(0), condition.args[1])}
    others = Mul(*(base for base, _ in bases if base not in positive))
    return (
        any(base in positive and k.is_positive for base, k in bases)
        and all(k.is_positive for base, k in bases)
        and not others.atoms(sympy.Function, Pow)
    )


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
        if isinstance(f, Add) and f not in cached and 2 * minus_signs(f) >= len(f.args)
    ]
    if not sums:
        return e
    most = max(sums, key=minus_signs)
    return Mul(*(-f if f in (most, e.args[0]) else f for f in e.args))


def not_condition(c: Expr) -> Expr:
    """`not c`, a comparison again where `c` is one."""
    if isinstance(c, lt):
        return le(c.args[1], c.args[0])
    if isinstance(c, le):
        return lt(c.args[1], c.args[0])
    return not_(c)
