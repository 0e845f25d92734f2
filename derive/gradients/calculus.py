"""The VJP of one equation in normal form, occurrence by occurrence, as recorded steps.

    y[o] = sum[s](f(x[a(o,s)], ...))
    x_bar[k]  =  sum[o,s](y_bar[o] * df/dx * (k == a(o,s)))         chain rule
              =  the same with df/dx carried out                    local derivative
              =  the same with the deltas solved for o and s        Kronecker delta
              =  indices that nothing depends on counted            contraction

Scalar calculus is SymPy's. Each step is an equation of the language and can be re-evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, pairwise
from typing import NamedTuple

from sympy import Dummy, Expr, Mul, S, Symbol, exp, preorder_traversal
from sympy.core.symbol import Str

from derive.gradients.deltas import Sum, eliminate
from derive.gradients.normal_form import fresh
from derive.language.functions import (
    and_,
    differentiate_scalar,
    eq,
    floordiv,
    le,
    lt,
    mod,
    ne,
    where,
)
from derive.language.likeness import Likeness, Memory, Pattern, likeness
from derive.language.notation import (
    REDUCTIONS,
    Access,
    Equation,
    Index,
    Partial,
    Reduce,
    accesses,
    indices,
    size,
)

CHAIN_RULE, LOCAL_DERIVATIVE = "chain rule", "local derivative"
KRONECKER_DELTA, CONTRACTION = "Kronecker delta", "contraction"
# In the order in which they are used, each on what the one before it gave.
RULES = (CHAIN_RULE, LOCAL_DERIVATIVE, KRONECKER_DELTA, CONTRACTION)


@dataclass(frozen=True)
class Step:
    """One step of a derivation: by `rule`, `before` becomes `after`.

    For the chain rule `before` is the forward equation, and `after` what it adds to the cotangent;
    otherwise both are forms of one equation, equal for all values.
    """

    rule: str
    before: Equation
    after: Equation


@dataclass(frozen=True)
class Contribution:
    """What one occurrence of an operand adds to the operand's cotangent."""

    body: Expr
    steps: tuple[Step, ...]


def operands(equation: Equation) -> tuple[Access, ...]:
    """The distinct accesses of the term that a derivative may flow to; lookups are constants."""
    seen: dict[Access, None] = {}
    stack = [equation.term]
    while stack:
        e = stack.pop()
        if isinstance(e, Access):
            seen[e] = None
        else:
            stack.extend(reversed(e.args))
    return tuple(seen)


def contribution(
    equation: Equation,
    operand: Access,
    cotangent: Expr,
    target: Access,
    sizes: dict[Symbol, Expr],
    taken: set[str],
    argument: Access | None = None,
    places: tuple[tuple[Expr, Expr], ...] | None = None,
) -> Contribution:
    """What `operand`, an access within `equation`, adds to `target`, the cotangent of its tensor.

    `cotangent` is that of the equation's own target, an expression in the equation's indices.
    `argument`, for max and min, is the access to the flat position of the extremum. `places` are
    pairs of what is equal where the operand is that element of its tensor: as a rule the target's
    indices and the operand's.
    """
    given = _Given(equation.access, equation.body, operand, cotangent, target, places, argument)
    like = likeness(given.expressions)
    # New indices and sizes may be needed: these are named for good.
    if sizes or like.words & {floordiv.__name__, mod.__name__}:
        forms = _forms(given, sizes, taken)
    else:
        forms = _derived_once(given, like, taken)
    steps = []
    before = equation
    for rule, body in zip(RULES, forms, strict=True):
        after = Equation(target.tensor, target.indices, body)
        if after.body != before.body:
            steps.append(Step(rule, before, after))
        before = after
    return Contribution(before.body, tuple(steps))


class _Given(NamedTuple):
    """What the forms are derived of; see `contribution`."""

    access: Access
    body: Expr
    operand: Access
    cotangent: Expr
    target: Access
    places: tuple[tuple[Expr, Expr], ...] | None
    argument: Access | None

    @property
    def expressions(self) -> tuple[Expr, ...]:
        found = (self.access, self.body, self.operand, self.cotangent, self.target)
        argument = () if self.argument is None else (self.argument,)
        return (*found, *chain(*(self.places or ())), *argument)

    @property
    def pairs(self) -> tuple[tuple[Expr, Expr], ...]:
        """What is equal where the operand is that element of its tensor."""
        if self.places is not None:
            return self.places
        axes = self.target.indices[len(self.target.indices) - len(self.operand.indices) :]
        return tuple(zip(axes, self.operand.indices, strict=True))

    def xreplace(self, table: Mapping[Expr, Expr]) -> _Given:
        return _Given(
            self.access.xreplace(table),
            self.body.xreplace(table),
            self.operand.xreplace(table),
            self.cotangent.xreplace(table),
            self.target.xreplace(table),
            self.places and tuple((a.xreplace(table), b.xreplace(table)) for a, b in self.places),
            self.argument and self.argument.xreplace(table),
        )


class _First(NamedTuple):
    """What was derived of the first of those alike.

    `copied` are the places of the indices that new ones are copies of, and `order` has the places
    of all indices, the copies after the names, as they were sorted.
    """

    copied: tuple[int, ...]
    order: tuple[int, ...]
    forms: Pattern


_FIRST: Memory[_First] = Memory()


def _derived_once(given: _Given, like: Likeness, taken: set[str]) -> tuple[Expr, ...]:
    """The forms, with other names those of the first like these: equal layers are derived once.

    So are layers that differ in sizes alone, where these have no part in it.
    """
    first = _FIRST.get(like.in_sizes) or _FIRST.get(like.key)
    if first is not None:
        own = copy(taken)
        names = list(like.names)
        names += [_copied(names[k], own) for k in first.copied]
        if all(names[a].name < names[b].name for a, b in pairwise(first.order)):
            taken |= own
            return first.forms(names)
    forms, back, in_sizes = _under_own_names(given)
    copies = sorted({i for e in forms for i in e.atoms(Index)} - back.keys(), key=str)
    names = list(like.names)
    copied = []
    for new in copies:
        original = back[new.renamed(new.name.rpartition("_")[0])]
        back[new] = _copied(original, taken)
        names.append(back[new])
        copied.append(names.index(original))
    forms = tuple(e.xreplace(back) for e in forms)
    places = (k for k, name in enumerate(names) if isinstance(name, Index))
    order = tuple(sorted(places, key=lambda k: names[k].name))
    first = _First(tuple(copied), order, Pattern(forms, names))
    _FIRST[like.in_sizes if in_sizes else like.key] = first
    return forms


def _copied(original: Index, taken: set[str]) -> Index:
    """An index over the same range; a copy of j_1 is j_2."""
    stem = re.sub(r"(?<=[A-Za-z])_\d+$", "", original.name)
    return original.renamed(fresh(stem, taken))


def _under_own_names(given: _Given) -> tuple[tuple[Expr, ...], dict[Expr, Expr], bool]:
    """The forms under the names `_0`, `_1`, ..., what these stand for, and if sizes have no part.

    With names for sizes, too: where nothing but such a name was looked at, none of them stands in
    the forms.
    """
    sizes: dict[Expr, Expr] = {}
    if _is_plain(given):
        names = _standing(given, sizes)
        forms = _remembered(given.xreplace(names))
        if not any(sizes and e.has(*sizes.values()) for e in forms):
            return forms, {new: old for old, new in names.items()}, True
    names = _standing(given)
    return _remembered(given.xreplace(names)), {new: old for old, new in names.items()}, False


def _is_plain(given: _Given) -> bool:
    """Whether each axis is read by an index over it, so that no size says which terms there are."""
    read = (a for e in given.expressions for a in accesses(e) if a.tensor not in REDUCTIONS)
    return all(isinstance(i, Index) for a in read for i in a.indices) and all(
        isinstance(i, Index) and i.size == k.size for k, i in given.pairs
    )


def _standing(given: _Given, sizes: dict[Expr, Expr] | None = None) -> dict[Expr, Expr]:
    """Names for indices and tensors in the order in which they come; for numbers as sizes, too."""
    names: dict[Expr, Expr] = {}
    for e in chain(*map(preorder_traversal, given.expressions)):
        if isinstance(e, Index):
            if e not in names:
                new = e.renamed(f"_{len(names)}")
                if sizes is not None and e.size.is_Integer and e.size > 1:
                    new = new.resized(sizes.setdefault(e.size, size(f"_size_{len(sizes)}")))
                names[e] = new
        elif isinstance(e, Access) and e.tensor not in REDUCTIONS:
            names.setdefault(e.args[0], Str(f"_{len(names)}"))
    return names


@lru_cache(maxsize=1024)
def _remembered(given: _Given) -> tuple[Expr, ...]:
    return _forms(given, {}, {i.name for e in given.expressions for i in indices(e)})


def _forms(given: _Given, sizes: dict[Symbol, Expr], taken: set[str]) -> tuple[Expr, ...]:
    """What the operand adds to the target: the form that each of the rules arrives at."""
    access, body, operand, cotangent, target, _, argument = given
    equation = Equation(access.tensor, access.indices, body)
    own = (*equation.indices, *equation.bound)
    renaming = {i: i.renamed(fresh(i.name, taken)) for i in own if i in _clashing(own, target)}
    bound = tuple(renaming.get(i, i) for i in own)
    operand_, term, guard = (e.xreplace(renaming) for e in (operand, equation.term, equation.guard))
    y_bar = cotangent.xreplace(renaming)
    weight = _reduction_weight(equation, argument, taken).xreplace(renaming)
    deltas = tuple(eq(k, a.xreplace(renaming)) for k, a in given.pairs)
    local = local_derivative(term, operand_)
    solved = eliminate(Sum(Mul(y_bar, weight, local), bound, guard, deltas), sizes, taken)
    if argument is not None:
        solved = replace(solved, guard=_inside_windows(solved.guard, argument.tensor))
    return (
        _sum(Mul(y_bar, weight, Partial(term, operand_), *deltas), bound, guard),
        _sum(Mul(y_bar, weight, local, *deltas), bound, guard),
        _sum(solved.term, solved.bound, solved.guard),
        _counted(solved),
    )


def _inside_windows(guard: Expr, argument: str) -> Expr:
    """The guard without what holds of the place of a maximum: 0 <= a//3 and a//3 < 3."""

    def holds(condition: Expr) -> bool:
        digit = condition.args[condition.func is le] if isinstance(condition, le | lt) else None
        return isinstance(digit, floordiv) and getattr(digit.args[0], "tensor", "") == argument

    conjuncts = guard.args if isinstance(guard, and_) else (guard,)
    return and_(*(c for c in conjuncts if not holds(c)))


def local_derivative(term: Expr, operand: Access) -> Expr:
    """The derivative of a scalar term by one access, every other access held fixed."""
    symbol = Dummy("x", real=True)
    derivative = differentiate_scalar(term.xreplace({operand: symbol}), symbol)
    return derivative.xreplace({symbol: operand})


def _clashing(own: tuple[Index, ...], target: Access) -> set[Index]:
    named = {i.name for i in indices(target)}
    return {i for i in own if i.name in named}


def _reduction_weight(equation: Equation, argument: Access | None, taken: set[str]) -> Expr:
    """`d reduction / d term` at one point of the bound ranges."""
    match equation.reduction:
        case None | "sum":
            return S.One
        case "mean":
            return S.One / Mul(*(i.size for i in equation.bound))
        case "logsumexp":
            return exp(equation.term - equation.access)
        case "max" | "min":
            assert argument is not None
            return eq(flat_position(equation.bound), argument)
        case "prod":
            return _product_of_the_others(equation, taken)
    raise ValueError(f"{equation.reduction} has no derivative")


def flat_position(bound: tuple[Index, ...]) -> Expr:
    """The row-major number of a point of the bound ranges: what argmax and argmin count."""
    position: Expr = S.Zero
    for i in bound:
        position = position * i.size + i
    return position


def _product_of_the_others(equation: Equation, taken: set[str]) -> Expr:
    """prod over all other points: right where factors are zero, as the quotient would not be."""
    others = {i: i.renamed(fresh(i.name, taken)) for i in equation.bound}
    condition: Expr = ne(flat_position(tuple(others.values())), flat_position(equation.bound))
    term = where(condition, equation.term.xreplace(others), S.One)
    return Reduce("prod", term, others.values(), equation.guard.xreplace(others))


def _counted(s: Sum) -> Expr:
    """sum[i,j](f[i]) -> J * sum[i](f[i]): an index that nothing depends on counts its range."""
    used = indices(s.term) | indices(s.guard)
    unused = tuple(i for i in s.bound if i not in used)
    count = Mul(*(i.size for i in unused))
    bound = tuple(i for i in s.bound if i in used)
    return _sum(count * s.term, bound, s.guard)


def _sum(term: Expr, bound: tuple[Index, ...], guard: Expr) -> Expr:
    if term == 0 or guard == 0:
        return S.Zero
    return Reduce("sum", term, bound, guard) if bound else where(and_(guard), term, S.Zero)
