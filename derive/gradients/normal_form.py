"""The normal form: every equation a scalar expression, or one reduction of one.

    y[n,j] = exp(z[n,j]) / sum[k](exp(z[n,k]))    ->    s[n]   = sum[k](exp(z[n,k]))
                                                        y[n,j] = exp(z[n,j]) / s[n]

Exact, because an auxiliary equation names a subexpression and changes no value. In normal form the
guard of a reduction says which terms count, so that no later pass has to ask whether an access may
fall outside its tensor: where the guard holds, none does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from sympy import Expr, Mul, S, Symbol

from derive.language.functions import and_, floordiv, le, lt, mod, not_, or_, where
from derive.language.notation import (
    REMEMBERED,
    Access,
    Equation,
    Index,
    Program,
    Recurrence,
    Reduce,
    accesses,
    indices,
    reductions,
)
from derive.language.scans import in_order, reads

_LETTERS = {
    "sum": "s",
    "mean": "m",
    "prod": "q",
    "max": "m",
    "min": "m",
    "logsumexp": "l",
    "argmax": "k",
    "argmin": "k",
}


def flatten(program: Program) -> Program:
    """The same program in normal form; auxiliary targets are `s` (sum), `l` (logsumexp), ..."""
    return _Flattening(program).run()


class Taken(set[str]):
    """Names in use beside those of another set: these are looked up, not copied.

    Nothing is added to the other set, so that where its free names begin is found once.
    """

    def __init__(self, others: frozenset[str]) -> None:
        super().__init__()
        self.others = others

    def __contains__(self, name: object) -> bool:
        return name in self.others or super().__contains__(name)

    def __copy__(self) -> Taken:
        found = Taken(self.others)
        found.update(self)
        return found


@lru_cache(maxsize=REMEMBERED)
def _free(base: str, taken: frozenset[str]) -> int:
    """The first number of a name that is not taken."""
    numbers = itertools.count(1) if base in taken else itertools.repeat(0)
    return next(k for k in numbers if _numbered(base, k) not in taken)


def _numbered(base: str, k: int) -> str:
    return f"{base}_{k}" if k else base


def fresh(base: str, taken: set[str]) -> str:
    """`base`, or `base_1`, `base_2`, ...: the first that is not taken; it is taken afterwards."""
    k = _free(base, taken.others) if isinstance(taken, Taken) else 0
    while (name := _numbered(base, k)) in taken:
        k += 1
    taken.add(name)
    return name


def needed(program: Program, results: tuple[str, ...]) -> Program:
    """The program with only those equations that its results depend on."""
    known = {e.target: e for e in program.equations}
    wanted: set[str] = set()
    pending = [name for name in results if name in known]
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted.add(name)
            pending += [other for other in reads(known[name]) if other in known]
    kept = tuple(e for e in program.equations if e.target in wanted)
    return replace(program, equations=kept, results=results)


def names(program: Program) -> set[str]:
    """Every name of a tensor in a program, and that of each index which counts steps."""
    steps = {e.recurrence.index.name for e in program.equations if e.recurrence}
    return {e.target for e in program.equations} | {t.name for t in program.inputs} | steps


Span = tuple[tuple[Expr, Expr], ...]  # of each axis the first position, and how many there are


def spans(program: Program) -> dict[str, Span]:
    """The positions at which every tensor may be read, the start of a recurrence included."""
    found = {t.name: tuple((S.Zero, i.size) for i in t.axes) for t in program.inputs}
    return found | {e.target: span(e.indices, e.recurrence) for e in program.equations}


def span(axes: Iterable[Index], recurrence: Recurrence | None = None) -> Span:
    """`0..size-1` for each axis, and for that of a recurrence `-1..size-1` or `0..size`."""

    def positions(i: Index) -> tuple[Expr, Expr]:
        if recurrence is None or i != recurrence.index:
            return S.Zero, i.size
        return (S.NegativeOne if recurrence.step < 0 else S.Zero), i.size + 1

    return tuple(map(positions, axes))


class _Flattening:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.taken = names(program)
        self.spans = spans(program)
        self.sizes = dict(program.sizes)
        self.equations: list[Equation] = []
        self.auxiliary: dict[tuple[Expr, tuple[Index, ...]], Access] = {}

    def run(self) -> Program:
        for equation in self.program.equations:
            recurrence = self.recurrence(equation)
            body = self.body(equation.body, equation.indices, equation)
            if recurrence is not equation.recurrence:
                equation = replace(equation, recurrence=recurrence)
            self.equations.append(equation.with_body(body))
        return in_order(replace(self.program, equations=tuple(self.equations)))

    def body(self, e: Expr, order: tuple[Index, ...], parent: Equation) -> Expr:
        """A right side: a scalar expression, or one reduction of one."""
        if not reductions(e):
            return e
        e = _scaled_inside(e)
        if isinstance(e, Reduce):
            return self.reduction(e, order, parent)
        return self.scalar(e, order, parent)

    def recurrence(self, equation: Equation) -> Recurrence | None:
        """The recurrence with its initial value named, unless it is a number or a tensor."""
        if (recurrence := equation.recurrence) is None:
            return None
        initial = recurrence.initial
        if initial.is_Number:
            return recurrence
        if isinstance(initial, Access) and all(isinstance(i, Index) for i in initial.indices):
            return recurrence
        free = tuple(i for i in equation.indices if i in indices(initial))
        target = fresh(f"{equation.target}_start", self.taken)
        body = self.body(initial, free, equation)
        self.equations.append(Equation(target, free, body, equation.origin or equation.target))
        self.spans[target] = span(free)
        return replace(recurrence, initial=Access(target, *free))

    def reduction(self, e: Reduce, order: tuple[Index, ...], parent: Equation) -> Expr:
        term = self.scalar(e.term, order + e.bound, parent)
        if e.op in ("sum", "mean") and isinstance(term, where) and term.args[2] == 0:
            # sum[i](where(c, a, 0)): the condition says which terms count, as a guard does.
            condition, term, _ = term.args
            if e.op == "sum" and not any(accesses(condition)):
                e = Reduce(e.op, term, e.bound, and_(e.guard, condition))
            else:
                term = where(condition, term, S.Zero)
        guards = tuple(self.guards(term, e.guard))
        if not guards and term is e.term:
            return e
        return Reduce(e.op, term, e.bound, and_(e.guard, *guards))

    def scalar(self, e: Expr, order: tuple[Index, ...], parent: Equation) -> Expr:
        """The expression with its reductions named, innermost first."""
        if not reductions(e):
            return e
        if isinstance(e, Reduce):
            return self.named(self.reduction(_scaled_inside(e), order, parent), order, parent)
        return e.func(*(self.scalar(a, order, parent) for a in e.args))

    def named(self, e: Expr, order: tuple[Index, ...], parent: Equation) -> Access:
        free = e.atoms(Index) - set(e.bound)
        own = tuple(i for i in order if i in free)
        key = (_canonical(e), own)
        if key not in self.auxiliary:
            target = fresh(_LETTERS[e.op] + _number(parent.target), self.taken)
            origin = parent.origin or parent.target
            self.equations.append(Equation(target, own, e, origin))
            self.spans[target] = span(own)
            self.auxiliary[key] = Access(target, *own)
        return self.auxiliary[key]

    def guards(self, term: Expr, guard: Expr) -> Iterable[Expr]:
        """Conditions under which every access of `term` stays inside; none for what surely does."""
        stated = set(_conjuncts(guard))
        for access, conditions in reached(term, ()):
            for on_axis in conditions_of(access, self.spans[access.tensor], self.sizes):
                inside = and_(*(c for c in on_axis if c not in stated))
                yield or_(not_(and_(*conditions)), inside) if conditions else inside


def conditions_of(
    access: Access, span_: Span, sizes: dict[Symbol, Expr]
) -> Iterable[tuple[Expr, ...]]:
    """What has to hold for an access to stay inside its tensor, axis by axis."""
    for e, (first, count) in zip(access.indices, span_, strict=True):
        if isinstance(e, Access) or (isinstance(e, Index) and first == 0 and e.size == count):
            yield ()
        else:
            yield conditions_inside(e - first, count, sizes)


def conditions_inside(e: Expr, size: Expr, sizes: dict[Symbol, Expr]) -> tuple[Expr, ...]:
    """What has to hold for `0 <= e < size`, less what holds by the ranges of the indices."""
    if isinstance(e, Access):
        return ()  # a lookup: an id outside the table is an error, not a term left out
    lowest, highest = bounds(e)
    conditions = []
    if not nonnegative(lowest, sizes):
        conditions.append(le(S.Zero, e))
    if not nonnegative(size - 1 - highest, sizes):
        conditions.append(lt(e, size))
    return tuple(conditions)


def bounds(e: Expr) -> tuple[Expr, Expr]:
    """The least and greatest value of an index expression, by interval arithmetic."""
    if isinstance(e, Index):
        return S.Zero, e.size - 1
    if not e.has(Index, Access):
        return e, e
    if e.is_Add:
        parts = [bounds(a) for a in e.args]
        return sum((a for a, _ in parts), S.Zero), sum((b for _, b in parts), S.Zero)
    if e.is_Mul:
        coefficient, rest = _coefficient(e)
        if rest is not None:
            low, high = bounds(rest)
            return (
                (coefficient * low, coefficient * high)
                if coefficient.is_nonnegative
                else (coefficient * high, coefficient * low)
            )
    if isinstance(e, mod) and e.args[1].is_positive:
        return S.Zero, e.args[1] - 1
    if isinstance(e, floordiv) and e.args[1].is_positive:
        low, high = bounds(e.args[0])
        return floordiv(low, e.args[1]), floordiv(high, e.args[1])
    return S.NegativeInfinity, S.Infinity


def _coefficient(e: Mul) -> tuple[Expr, Expr | None]:
    """A product of sizes and numbers with one index expression: (the former, the latter)."""
    varying = [a for a in e.args if a.has(Index)]
    if len(varying) != 1:
        return S.One, None
    coefficient = Mul(*(a for a in e.args if not a.has(Index)))
    return (coefficient, varying[0]) if coefficient.is_nonzero else (S.One, None)


def pruned(e: Expr, sizes: dict[Symbol, Expr]) -> Expr:
    """The expression without the comparisons that hold for every index: 0 <= i, i < I  ->  1."""

    def decided(condition: Expr) -> Expr:
        a, b = condition.args
        margin = (b - a - (1 if isinstance(condition, lt) else 0)).expand()
        return S.One if nonnegative(bounds(margin)[0], sizes) else condition

    found = {c: decided(c) for c in e.atoms(lt, le)}
    return e.xreplace({c: d for c, d in found.items() if d != c})


def reduced(e: Expr, sizes: dict[Symbol, Expr]) -> Expr:
    """Digits read off: (2*i + r) // 2 -> i + r//2, (2*i + r) % 2 -> r%2; i and r, if r in 0..1."""

    def digits(part: Expr) -> Expr:
        a, c = part.args
        quotient = S.Zero
        for term in a.expand().as_ordered_terms():
            q = term / c
            if q.is_integer and not q.has(floordiv, mod):
                quotient += q
        rest = (a - c * quotient).expand()
        low, high = bounds(rest)
        if nonnegative(low, sizes) and nonnegative(c - 1 - high, sizes):
            return quotient if isinstance(part, floordiv) else rest
        if quotient == 0:
            return part
        return quotient + floordiv(rest, c) if isinstance(part, floordiv) else mod(rest, c)

    found = {part: digits(part) for part in e.atoms(floordiv, mod) if part.args[1].is_positive}
    changed = {part: new for part, new in found.items() if new != part}
    return reduced(e.xreplace(changed), sizes) if changed else e


def without_implied_guards(e: Expr, spans_: dict[str, Span], sizes: dict[Symbol, Expr]) -> Expr:
    """sum[p](where(0 <= i-p and i-p < K, w[i-p], 0)) -> sum[p](w[i-p]): the access says it."""
    if all(part.guard == 1 for part in reductions(e)):
        return e
    if isinstance(e, Reduce):
        term = without_implied_guards(e.term, spans_, sizes)
        implied = {
            condition
            for access, conditions in reached(term, ())
            if not conditions
            for on_axis in conditions_of(access, spans_[access.tensor], sizes)
            for condition in on_axis
        }
        guard = and_(*(c for c in _conjuncts(e.guard) if c not in implied))
        return Reduce(e.op, term, e.bound, guard)
    return e.func(*(without_implied_guards(a, spans_, sizes) for a in e.args))


def _conjuncts(guard: Expr) -> tuple[Expr, ...]:
    return guard.args if isinstance(guard, and_) else (guard,)


def nonnegative(e: Expr, sizes: dict[Symbol, Expr]) -> bool:
    """Whether an expression in sizes is surely >= 0; sizes are at least 1."""
    if not e.is_finite:
        return False
    e = e.xreplace(sizes).expand()
    # c*floordiv(a, c) <= a, so that for -c*floordiv(a, c) a lower bound is -a.
    for part in e.atoms(floordiv):
        a, c = part.args
        coefficient = e.coeff(part)
        if coefficient.is_negative and (-coefficient / c).is_integer:
            e = (e - coefficient * part + coefficient * a / c).expand()
    return bool(e.is_nonnegative) or bool(_shifted(e).is_nonnegative)


def _shifted(e: Expr) -> Expr:
    """The expression with each size N written as N' + 1, N' >= 0, which shows `N - 1 >= 0`."""
    return e.xreplace(
        {s: Symbol(s.name, integer=True, nonnegative=True) + 1 for s in e.free_symbols}
    ).expand()


def reached(e: Expr, conditions: tuple[Expr, ...]) -> Iterable[tuple[Access, tuple[Expr, ...]]]:
    """Each access with the conditions of the `where` branches that it stands in."""
    if isinstance(e, where):
        condition, a, b = e.args
        yield from reached(condition, conditions)
        yield from reached(a, (*conditions, condition))
        yield from reached(b, (*conditions, not_(condition)))
        return
    if isinstance(e, Access):
        yield e, conditions
    for a in e.args:
        yield from reached(a, conditions)


def _scaled_inside(e: Expr) -> Expr:
    """c * sum[i](f)  ->  sum[i](c * f), for a coefficient c of numbers and sizes."""
    if not e.is_Mul:
        return e
    reductions = [a for a in e.args if isinstance(a, Reduce) and a.op in ("sum", "mean")]
    rest = [a for a in e.args if a not in reductions]
    if len(reductions) != 1 or any(a.has(Index, Access, Reduce) for a in rest):
        return e
    (inner,) = reductions
    return Reduce(inner.op, Mul(*rest) * inner.term, inner.bound, inner.guard)


def _canonical(e: Reduce) -> Expr:
    """The reduction with its bound names numbered, so that equal reductions are equal."""
    return e.xreplace({i: Index(f"_{k}", i.size) for k, i in enumerate(e.bound)})


def _number(target: str) -> str:
    """`_2` of `z_2`: a part of an equation bears the number of its layer."""
    stem, mark, number = target.rpartition("_")
    return mark + number if stem and number.isdigit() else ""
