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
from dataclasses import dataclass, replace
from functools import lru_cache

from sympy import Dummy, Expr, Mul, S, Symbol, Tuple, exp, preorder_traversal
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
from derive.language.notation import (
    REDUCTIONS,
    Access,
    Equation,
    Index,
    Partial,
    Reduce,
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
    if places is None:
        axes = target.indices[len(target.indices) - len(operand.indices) :]
        places = tuple(zip(axes, operand.indices, strict=True))
    pairs = Tuple(*(Tuple(*pair) for pair in places))
    # New indices and sizes may be needed: these are named for good.
    if sizes or any(e.has(floordiv, mod) for e in (equation.body, cotangent)):
        forms = _forms(equation, operand, cotangent, target, pairs, sizes, taken, argument)
    else:
        forms = _derived_once(equation, operand, cotangent, target, pairs, taken, argument)
    steps = []
    before = equation
    for rule, body in zip(RULES, forms, strict=True):
        after = Equation(target.tensor, target.indices, body)
        if after.body != before.body:
            steps.append(Step(rule, before, after))
        before = after
    return Contribution(before.body, tuple(steps))


def _derived_once(
    equation: Equation,
    operand: Access,
    cotangent: Expr,
    target: Access,
    places: Tuple,
    taken: set[str],
    argument: Access | None,
) -> Tuple:
    """The forms, derived under the names `_0`, `_1`, ...: equal layers are derived once.

    So are layers that differ in sizes alone, under names of sizes: where nothing but a size's name
    was looked at, none of them stands in the forms.
    """
    given = Tuple(
        equation.access, equation.body, operand, cotangent, target, places, argument or S.Zero
    )
    sizes: dict[Expr, Expr] = {}
    forms, back = None, {}
    if _is_plain(given):
        names = _standing(given, sizes)
        forms, back = _remembered(given.xreplace(names)), {new: old for old, new in names.items()}
    if forms is None or (sizes and forms.has(*sizes.values())):
        names = _standing(given)
        forms, back = _remembered(given.xreplace(names)), {new: old for old, new in names.items()}
    for copy in sorted(forms.atoms(Index) - back.keys(), key=str):
        original = back[copy.renamed(copy.name.rpartition("_")[0])]
        stem = re.sub(r"(?<=[A-Za-z])_\d+$", "", original.name)  # a copy of j_1 is j_2
        back[copy] = original.renamed(fresh(stem, taken))
    return forms.xreplace(back)


def _is_plain(given: Tuple) -> bool:
    """Whether each axis is read by an index over it, so that no size says which terms there are."""
    accesses = (a for a in given.atoms(Access) if a.tensor not in REDUCTIONS)
    places = given.args[5].args
    return all(isinstance(i, Index) for a in accesses for i in a.indices) and all(
        isinstance(i, Index) and i.size == k.size for k, i in (place.args for place in places)
    )


def _standing(given: Tuple, sizes: dict[Expr, Expr] | None = None) -> dict[Expr, Expr]:
    """Names for indices and tensors in the order in which they come; for numbers as sizes, too."""
    names: dict[Expr, Expr] = {}
    for e in preorder_traversal(given):
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
def _remembered(given: Tuple) -> Tuple:
    access, body, operand, cotangent, target, places, argument = given
    equation = Equation(access.tensor, access.indices, body)
    taken = {i.name for i in given.atoms(Index)}
    return _forms(equation, operand, cotangent, target, places, {}, taken, argument or None)


def _forms(
    equation: Equation,
    operand: Access,
    cotangent: Expr,
    target: Access,
    places: Tuple,
    sizes: dict[Symbol, Expr],
    taken: set[str],
    argument: Access | None,
) -> Tuple:
    """What the operand adds to the target: the form that each of the rules arrives at."""
    own = (*equation.indices, *equation.bound)
    renaming = {i: i.renamed(fresh(i.name, taken)) for i in own if i in _clashing(own, target)}
    bound = tuple(renaming.get(i, i) for i in own)
    operand_, term, guard = (e.xreplace(renaming) for e in (operand, equation.term, equation.guard))
    y_bar = cotangent.xreplace(renaming)
    weight = _reduction_weight(equation, argument, taken).xreplace(renaming)
    deltas = tuple(eq(k, a.xreplace(renaming)) for k, a in places)
    local = local_derivative(term, operand_)
    solved = eliminate(Sum(Mul(y_bar, weight, local), bound, guard, deltas), sizes, taken)
    if argument is not None:
        solved = replace(solved, guard=_inside_windows(solved.guard, argument.tensor))
    return Tuple(
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
