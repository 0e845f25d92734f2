"""Kinks: what is taken for a derivative where there is none.

    relu'(0) = 0,  |x|'(0) = 0,  of equal elements of a maximum the first takes the whole cotangent

`kinks(program)` are the conventions in force in a program, `kink(step)` those that one step makes
use of. What a function of the library has at a kink is computed from its own derivative; of the
language's own functions it is stated here as they are differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from sympy import Abs, Dummy, Expr, Function, Integer, Rational, S, sign

from derive.gradients.calculus import CHAIN_RULE, LOCAL_DERIVATIVE, Step
from derive.language.functions import (
    Named,
    differentiate_scalar,
    le,
    lt,
    maximum,
    minimum,
    mod,
    where,
)
from derive.language.notation import Partial, Program, Reduce, accesses
from derive.language.text_printer import text
from derive.pages.document import Prose
from derive.printing.latex_names import Names, function_name
from derive.printing.latex_printer import expression_latex

BESIDE = Rational(1, 1 << 30)  # how far from a kink its two sides are looked at
JUMP = 2.0**-20  # how much a derivative differs there, if there is a kink
DIGITS = 12  # of a number that is stated as it is


class Kink(NamedTuple):
    """A convention: in plain text without an end, and as a sentence."""

    plain: str
    prose: Prose


RELU = Kink("relu'(0) = 0", r"$\operatorname{relu}'(0) = 0$.")
ABSOLUTE = Kink(
    "|x|'(0) = 0",
    r"$\lvert x \rvert' = \operatorname{sign}(x)$, which is $0$ at $x = 0$.",
)
JUMP_OF_SIGN = Kink("sign'(0) = 0", r"$\operatorname{sign}'(x) = 0$, at the jump too.")
ARGUMENTS = Kink(
    "of equal arguments of a maximum or minimum the first has the whole derivative",
    r"In $\max(a, b)$ and $\min(a, b)$ with $a = b$ the first argument takes the derivative.",
)
CASES = Kink(
    "at the border of two cases it is that of the case which holds there",
    "At the border between two cases the derivative is that of the case that holds there.",
)
ELEMENTS = Kink(
    "of equal elements the first in index order takes the whole cotangent",
    r"In a $\max$ or $\min$ over an index the first of equal elements, in the order of the "
    "index, takes the whole cotangent.",
)
REMAINDER = Kink(
    "a % b has the derivatives 1 and -floor(a/b), at its jumps too",
    r"$a \bmod b$ has the derivatives $1$ and $-\lfloor a/b \rfloor$, at its jumps too.",
)

_ORDER = (RELU, ABSOLUTE, JUMP_OF_SIGN, ARGUMENTS, CASES, ELEMENTS, REMAINDER)
_KINKED = (Named, Abs, sign, maximum, minimum, where, mod)


def kinks(program: Program) -> tuple[Kink, ...]:
    """The conventions in force in a program, each once."""
    integer = {t.name for t in program.inputs if t.kind == "integer"}
    integer |= {e.target for e in program.equations if e.reduction in ("argmax", "argmin")}

    def moves(e: Expr) -> bool:
        return any(a.tensor not in integer for a in accesses(e))

    found = {kink for e in program.equations for kink in _in(e.body, moves)}
    if any(r.op in ("max", "min") for e in program.equations for r in e.body.atoms(Reduce)):
        found.add(ELEMENTS)
    return _ordered(found)


def kink(step: Step) -> tuple[Kink, ...]:
    """The conventions that a step makes use of: it differentiates at what may be a kink."""
    if step.rule == CHAIN_RULE:
        return (ELEMENTS,) if step.before.reduction in ("max", "min") else ()
    if step.rule != LOCAL_DERIVATIVE:
        return ()
    found: set[Kink] = set()
    for partial in step.before.body.atoms(Partial):
        operand = partial.operand
        found |= set(_in(partial.body, lambda e, operand=operand: e.has(operand)))  # type: ignore[misc]
    return _ordered(found)


def _ordered(found: set[Kink]) -> tuple[Kink, ...]:
    known = {kink: k for k, kink in enumerate(_ORDER)}
    return tuple(sorted(found, key=lambda kink: (known.get(kink, 0), kink)))


def _in(e: Expr, moves: Callable[[Expr], bool]) -> Iterator[Kink]:
    """The kinks of the functions in an expression whose arguments move."""
    for part in e.atoms(*_KINKED):
        if isinstance(part, Named):
            if moves(part):
                yield from _of_named(part, moves)
        elif isinstance(part, where):
            if _is_relu(part) and moves(part):
                yield RELU
            elif moves(part.args[0]):
                yield CASES
        elif moves(part):
            yield _of_function(part)


def _of_function(part: Expr) -> Kink:
    if isinstance(part, maximum) and part.args[0] == 0:
        return RELU
    if isinstance(part, maximum | minimum):
        return ARGUMENTS
    return {Abs: ABSOLUTE, sign: JUMP_OF_SIGN, mod: REMAINDER}[type(part)]


def _is_relu(e: Expr) -> bool:
    condition, a, b = e.args
    return bool(b == 0 and condition == lt(S.Zero, a))


def _of_named(part: Named, moves: Callable[[Expr], bool]) -> Iterator[Kink]:
    """`relu'(0) = 0`: the derivative at each kink; of several arguments, what its formula has."""
    parameters = part.args[1:]
    function: Any = type(part)
    if all(p.is_number for p in parameters):
        yield from _of_one_argument(function, parameters)
    else:
        yield from _in(part.expanded(), moves)


@lru_cache(maxsize=256)
def _of_one_argument(function: Any, parameters: tuple[Expr, ...]) -> tuple[Kink, ...]:
    u = Dummy("u", real=True)
    formula = _expanded(function(u, *parameters))
    derivative = differentiate_scalar(formula, u)
    found = []
    for point in sorted(_borders(formula, u)):
        left, at, right = (
            _expanded(derivative).xreplace({u: place})
            for place in (point - BESIDE, point, point + BESIDE)
        )
        if not abs(float(left) - float(right)) < JUMP:
            found.append(_stated(function.__name__, point, at))
    return tuple(found)


def _stated(name: str, point: Expr, value: Expr) -> Kink:
    place, exact = text(point), text(value)
    signs = ("=", "=")
    if len(exact) > DIGITS:
        value = Rational(f"{float(value):.4f}")
        exact, signs = text(value), ("is about", r"\approx")
    shown = [expression_latex(e, Names()) for e in (point, value)]
    return Kink(
        f"{name}'({place}) {signs[0]} {exact}",
        f"${function_name(name)}'({shown[0]}) {signs[1]} {shown[1]}$.",
    )


def _expanded(e: Expr) -> Expr:
    """An expression without functions that have a formula of their own."""
    while named := e.atoms(Named):
        e = e.xreplace({f: f.expanded() for f in named})
    return e


def _borders(formula: Expr, u: Expr) -> set[Expr]:
    """The arguments at which the cases of a formula of one argument meet."""
    differences = [a - b for a, b in (c.args for c in formula.atoms(lt, le, maximum, minimum))]
    differences += [f.args[0] for f in formula.atoms(Abs, sign)]
    found = set()
    for difference in differences:
        slope = difference.diff(u) if not difference.atoms(Function) else S.Zero
        if slope.is_number and slope != 0:
            found.add(-difference.xreplace({u: Integer(0)}) / slope)
    return {point for point in found if point.is_Number}
