"""The normal form: every equation a scalar expression, or one reduction of one.

    y[n,j] = exp(z[n,j]) / sum[k](exp(z[n,k]))    ->    s[n]   = sum[k](exp(z[n,k]))
                                                        y[n,j] = exp(z[n,j]) / s[n]

Exact, because an auxiliary equation names a subexpression and changes no value. In normal form the
guard of a reduction says which terms count, so that no later pass has to ask whether an access may
fall outside its tensor: where the guard holds, none does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sympy import Expr, Mul, S, Symbol

from derive.functions import and_, floordiv, le, lt, mod, not_, or_, where
from derive.notation import Access, Equation, Index, Program, Reduce, accesses

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


def fresh(base: str, taken: set[str]) -> str:
    """`base`, or `base_1`, `base_2`, ...: the first that is not taken; it is taken afterwards."""
    name, k = base, 0
    while name in taken:
        k += 1
        name = f"{base}_{k}"
    taken.add(name)
    return name


def needed(program: Program, results: tuple[str, ...]) -> Program:
    """The program with only those equations that its results depend on."""
    wanted = set(results)
    kept = []
    for equation in reversed(program.equations):
        if equation.target in wanted:
            kept.append(equation)
            wanted |= {a.tensor for a in accesses(equation.body)}
    return replace(program, equations=tuple(reversed(kept)), results=results)


def names(program: Program) -> set[str]:
    """Every name of a tensor in a program."""
    return {e.target for e in program.equations} | {t.name for t in program.inputs}


def shapes(program: Program) -> dict[str, tuple[Expr, ...]]:
    """The sizes of every tensor's axes."""
    sizes = {t.name: tuple(i.size for i in t.axes) for t in program.inputs}
    return sizes | {e.target: tuple(i.size for i in e.indices) for e in program.equations}


class _Flattening:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.taken = names(program)
        self.shapes = shapes(program)
        self.sizes = dict(program.sizes)
        self.equations: list[Equation] = []
        self.auxiliary: dict[tuple[Expr, tuple[Index, ...]], Access] = {}

    def run(self) -> Program:
        for equation in self.program.equations:
            body = _scaled_inside(equation.body)
            order = equation.indices
            if isinstance(body, Reduce):
                body = self.reduction(body, order, equation)
            else:
                body = self.scalar(body, order, equation)
            self.equations.append(replace(equation, body=body))
        return replace(self.program, equations=tuple(self.equations))

    def reduction(self, e: Reduce, order: tuple[Index, ...], parent: Equation) -> Expr:
        term = self.scalar(e.term, order + e.bound, parent)
        if e.op in ("sum", "mean") and isinstance(term, where) and term.args[2] == 0:
            # sum[i](where(c, a, 0)): the condition says which terms count, as a guard does.
            condition, term, _ = term.args
            if e.op == "sum" and not any(accesses(condition)):
                e = Reduce(e.op, term, e.bound, and_(e.guard, condition))
            else:
                term = where(condition, term, S.Zero)
        return Reduce(e.op, term, e.bound, and_(e.guard, *self.guards(term, e.guard)))

    def scalar(self, e: Expr, order: tuple[Index, ...], parent: Equation) -> Expr:
        """The expression with its reductions named, innermost first."""
        if not e.has(Reduce):
            return e
        if isinstance(e, Reduce):
            return self.named(self.reduction(_scaled_inside(e), order, parent), order, parent)
        return e.func(*(self.scalar(a, order, parent) for a in e.args))

    def named(self, e: Expr, order: tuple[Index, ...], parent: Equation) -> Access:
        free = e.atoms(Index) - set(e.bound)
        indices = tuple(i for i in order if i in free)
        key = (_canonical(e), indices)
        if key not in self.auxiliary:
            target = fresh(_LETTERS[e.op] + _number(parent.target), self.taken)
            origin = parent.origin or parent.target
            self.equations.append(Equation(target, indices, e, origin))
            self.shapes[target] = tuple(i.size for i in indices)
            self.auxiliary[key] = Access(target, *indices)
        return self.auxiliary[key]

    def guards(self, term: Expr, guard: Expr) -> Iterable[Expr]:
        """Conditions under which every access of `term` stays inside; none for what surely does."""
        stated = set(_conjuncts(guard))
        for access, conditions in _reached(term, ()):
            for e, size in zip(access.indices, self.shapes[access.tensor], strict=True):
                inside = and_(
                    *(c for c in conditions_inside(e, size, self.sizes) if c not in stated)
                )
                yield or_(not_(and_(*conditions)), inside) if conditions else inside


def conditions_inside(e: Expr, size: Expr, sizes: dict[Symbol, Expr]) -> tuple[Expr, ...]:
    """What has to hold for `0 <= e < size`, less what holds by the ranges of the indices."""
    if isinstance(e, Access):
        return ()  # a lookup: an id outside the table is an error, not a term left out
    lowest, highest = bounds(e)
    conditions = []
    if not _nonnegative(lowest, sizes):
        conditions.append(le(S.Zero, e))
    if not _nonnegative(size - 1 - highest, sizes):
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
        return S.One if _nonnegative(bounds(margin)[0], sizes) else condition

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
        if _nonnegative(low, sizes) and _nonnegative(c - 1 - high, sizes):
            return quotient if isinstance(part, floordiv) else rest
        if quotient == 0:
            return part
        return quotient + floordiv(rest, c) if isinstance(part, floordiv) else mod(rest, c)

    found = {part: digits(part) for part in e.atoms(floordiv, mod) if part.args[1].is_positive}
    changed = {part: new for part, new in found.items() if new != part}
    return reduced(e.xreplace(changed), sizes) if changed else e


def without_implied_guards(
    e: Expr, shapes: dict[str, tuple[Expr, ...]], sizes: dict[Symbol, Expr]
) -> Expr:
    """sum[p](where(0 <= i-p and i-p < K, w[i-p], 0)) -> sum[p](w[i-p]): the access says it."""
    if isinstance(e, Reduce):
        term = without_implied_guards(e.term, shapes, sizes)
        implied = {
            condition
            for access, conditions in _reached(term, ())
            if not conditions
            for index, size in zip(access.indices, shapes[access.tensor], strict=True)
            for condition in conditions_inside(index, size, sizes)
        }
        guard = and_(*(c for c in _conjuncts(e.guard) if c not in implied))
        return Reduce(e.op, term, e.bound, guard)
    if not e.has(Reduce):
        return e
    return e.func(*(without_implied_guards(a, shapes, sizes) for a in e.args))


def _conjuncts(guard: Expr) -> tuple[Expr, ...]:
    return guard.args if isinstance(guard, and_) else (guard,)


def _nonnegative(e: Expr, sizes: dict[Symbol, Expr]) -> bool:
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


def _reached(e: Expr, conditions: tuple[Expr, ...]) -> Iterable[tuple[Access, tuple[Expr, ...]]]:
    """Each access with the conditions of the `where` branches that it stands in."""
    if isinstance(e, where):
        condition, a, b = e.args
        yield from _reached(condition, conditions)
        yield from _reached(a, (*conditions, condition))
        yield from _reached(b, (*conditions, not_(condition)))
        return
    if isinstance(e, Access):
        yield e, conditions
    for a in e.args:
        yield from _reached(a, conditions)


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
