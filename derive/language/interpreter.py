"""The meaning of a program: Python loops over index points, one number at a time.

This is the slow, obvious evaluation against which every pass and the generated code are tested; it
shares nothing with them. A reduction leaves out the terms in which an access falls outside its
tensor, `where` looks only at the branch it takes, and a `Partial` is a central difference.

`evaluate` computes in float64, `evaluate_mp` the same program with as many digits as are asked for.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import sympy
from sympy import Dummy, Expr, Symbol

from derive.language import functions
from derive.language.arithmetic import (
    FLOATS,
    ON_ANY_NUMBERS,
    ON_INTEGERS,
    Arithmetic,
    maximum,
    minimum,
    multiprecision,
)
from derive.language.arrays import merge, numbers, unmerge
from derive.language.functions import Named, stop_gradient
from derive.language.notation import (
    Access,
    DeriveError,
    Equation,
    Index,
    Partial,
    Program,
    Reduce,
)
from derive.language.scans import Group, groups, recurrence
from derive.language.text_printer import text

Point = dict[str, Any]  # the value of every index in scope
Meaning = Callable[[Point], Any]  # a scalar body, compiled


class _Outside(DeriveError):
    """An access fell outside its tensor: a reduction leaves its term out, else it is an error."""


def evaluate(program: Program, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Every assigned tensor, in float64; tensors of integers are of an integer type.

    Raises `DeriveError` where arrays are missing, unknown or do not fit each other, where a lookup
    or an access that no reduction surrounds leaves its tensor, and for a `max` of nothing.
    """
    return _evaluate(program, arrays, FLOATS)


def evaluate_mp(
    program: Program, arrays: Mapping[str, Any], digits: int = 50
) -> dict[str, np.ndarray]:
    """As `evaluate`, with numbers of so many decimal digits, in arrays of type object."""
    return _evaluate(program, arrays, multiprecision(digits))


def _evaluate(
    program: Program, arrays: Mapping[str, Any], arithmetic: Arithmetic
) -> dict[str, np.ndarray]:
    tensors, sizes, leading = _bind(program, arrays, arithmetic)
    scope = _Scope(tensors, sizes, arithmetic, {})
    results = {}
    with np.errstate(all="ignore"):
        for group in groups(program.equations):
            scope.evaluate(group)
            for equation in group:
                value = tensors[equation.target]
                results[equation.target] = unmerge(value, equation.indices, leading)
    return results


# Reductions: of the terms that are not left out, each with its number in row-major order

Terms = list[tuple[int, Any]]


def _logsumexp(terms: Terms, arithmetic: Arithmetic) -> Any:
    """`log(sum(exp(v)))` by the largest term, so that nothing overflows."""
    exp, log = arithmetic.functions[sympy.exp], arithmetic.functions[sympy.log]
    values = [arithmetic.real(v) for _, v in terms]
    most = reduce(maximum, values)
    if most in (math.inf, -math.inf):
        return most
    return most + log(sum(exp(v - most) for v in values))


def _argmax(terms: Terms, arithmetic: Arithmetic) -> int:
    best = reduce(maximum, (v for _, v in terms))
    return next(number for number, v in terms if v == best or v != v)


def _argmin(terms: Terms, arithmetic: Arithmetic) -> int:
    return _argmax([(number, -v) for number, v in terms], arithmetic)


_REDUCTIONS: dict[str, Callable[[Terms, Arithmetic], Any]] = {
    "sum": lambda terms, _: sum(v for _, v in terms),
    "prod": lambda terms, _: math.prod(v for _, v in terms),
    "max": lambda terms, _: reduce(maximum, (v for _, v in terms)),
    "min": lambda terms, _: reduce(minimum, (v for _, v in terms)),
    "logsumexp": _logsumexp,
    "argmax": _argmax,
    "argmin": _argmin,
}
_NEED_A_TERM = ("max", "min", "logsumexp", "argmax", "argmin")


# Arrays and sizes


def _bind(
    program: Program, arrays: Mapping[str, Any], arithmetic: Arithmetic
) -> tuple[dict[str, np.ndarray], dict[Symbol, int], tuple[int, ...]]:
    """The inputs with their leading axes merged, the size of every symbol, and the leading axes."""
    known = {t.name for t in program.inputs}
    for name in sorted(known ^ arrays.keys()):
        fault = "no array is given for" if name in known else "the program does not read"
        raise DeriveError(f"{fault} {name}")
    tensors: dict[str, np.ndarray] = {}
    sizes: dict[Symbol, int] = {}
    first: dict[Symbol, str] = {}  # where each size was found
    shapes: dict[str, tuple[int, ...]] = {}  # the leading axes of each tensor that has them
    for tensor in program.inputs:
        array = numbers(tensor, np.asarray(arrays[tensor.name]), arithmetic)
        tensors[tensor.name] = array = merge(tensor, array, shapes)
        for axis, (index, size) in enumerate(zip(tensor.axes, array.shape, strict=True)):
            place = f"axis {axis} of {tensor.name} (index {index.name})"
            if isinstance(index.size, Symbol):
                expected = sizes.setdefault(index.size, size)
                first.setdefault(index.size, place)
            else:
                expected = int(index.size)
            if expected != size:
                other = first.get(index.size, "the program")
                raise DeriveError(f"{place} has size {size}, but {other} has {expected}")
    for symbol, expression in program.sizes:
        value = _Scope({}, sizes, arithmetic, {}).compiled(expression)({})
        if sizes.setdefault(symbol, value) != value:
            place = first[symbol]
            raise DeriveError(f"{place} has size {sizes[symbol]}, but {symbol} must be {value}")
        if value < 1 and not symbol.is_zero:
            raise DeriveError(
                f"the size {symbol} = {text(expression)} is {value}, but must be positive"
            )
    return tensors, sizes, next(iter(shapes.values()), ())


# Equations


@dataclass(frozen=True)
class _Start:
    """The initial values of a recurrence, which stand at one more place on an axis."""

    axis: int
    position: int
    values: np.ndarray


@dataclass(frozen=True)
class _Scope:
    """What a body may refer to besides its indices."""

    tensors: dict[str, np.ndarray]
    sizes: Mapping[Symbol, int]
    arithmetic: Arithmetic
    starts: dict[str, _Start]

    def evaluate(self, group: Group) -> None:
        """The values of an equation, or of all equations of a scan, one step after the other."""
        found = recurrence(group)
        for equation in group:
            self.start(equation)
            self.tensors[equation.target] = np.empty(self.shape(equation.indices), object)
        bodies = [self.compiled(equation.body) for equation in group]
        if found is None:
            for equation, body in zip(group, bodies, strict=True):
                values = self.tensors[equation.target]
                self.fill(equation, values, equation.indices, body, {})
        else:
            steps = range(self.range_of(found.index))
            if not steps:
                size = f"the size {found.index.size} is 0"
                raise DeriveError(f"the recurrence of {group[0].target} has no step: {size}")
            for step in steps if found.step < 0 else reversed(steps):
                for equation, body in zip(group, bodies, strict=True):
                    values, at = self.tensors[equation.target], {found.index.name: step}
                    self.fill(equation, values, equation.indices, body, at)
        for equation in group:
            self.tensors[equation.target] = self.settled(self.tensors[equation.target])

    def start(self, equation: Equation) -> None:
        """Puts down what stands before the first step, if the equation is a recurrence."""
        if (found := equation.recurrence) is None:
            return
        axis = equation.indices.index(found.index)
        position = -1 if found.step < 0 else self.range_of(found.index)
        others = (*equation.indices[:axis], *equation.indices[axis + 1 :])
        values = np.empty(self.shape(others), object)
        self.fill(equation.lines[0], values, others, self.compiled(found.initial), {})
        self.starts[equation.target] = _Start(axis, position, self.settled(values))

    def shape(self, indices: Sequence[Index]) -> tuple[int, ...]:
        return tuple(map(self.range_of, indices))

    def fill(
        self,
        equation: Equation,
        values: np.ndarray,
        indices: tuple[Index, ...],
        body: Meaning,
        fixed: Point,
    ) -> None:
        """The body at every point of the indices, but those that have one value here."""
        names = [i.name for i in indices]
        ranges = [(fixed[i.name],) if i.name in fixed else range(self.range_of(i)) for i in indices]
        for place in itertools.product(*ranges):
            try:
                values[place] = body(dict(zip(names, place, strict=True)))
            except DeriveError as error:
                raise DeriveError(f"in {equation}: {error}") from None

    def settled(self, values: np.ndarray) -> np.ndarray:
        """Of integers if each value is one."""
        if values.size and all(isinstance(v, int) for v in values.flat):
            return values.astype(np.int64)
        return values.astype(np.float64) if self.arithmetic is FLOATS else values

    def range_of(self, index: Index) -> int:
        if isinstance(index.size, sympy.Integer):
            return int(index.size)
        if index.size not in self.sizes:
            raise DeriveError(f"nothing fixes the size {index.size} of the index {index.name}")
        return self.sizes[index.size]

    def compiled(self, e: Expr) -> Meaning:
        """The expression as a function of the values of its indices."""
        match e:
            case Index():
                return lambda point: point[e.name]
            case Symbol() if e in self.sizes:
                size = self.sizes[e]
                return lambda point: size
            case Dummy():  # stands for the operand of a `Partial`
                return lambda point: point[e]
            case Symbol():
                raise DeriveError(f"nothing fixes the size {e}")
            case sympy.Integer():
                integer = int(e)
                return lambda point: integer
            case sympy.Rational():
                ratio = self.arithmetic.divide(*map(self.arithmetic.real, (int(e.p), int(e.q))))
                return lambda point: ratio
            case _ if e.is_number and not e.args:
                constant = self.arithmetic.constant(e)
                return lambda point: constant
            case Access():
                return self._access(e)
            case Reduce():
                return self._reduce(e)
            case Partial():
                return self._partial(e)
            case Named():
                return self.compiled(e.expanded())
        parts = [self.compiled(a) for a in e.args]
        match e:
            case functions.where():
                condition, a, b = parts
                return lambda point: a(point) if condition(point) else b(point)
            case functions.and_():
                return lambda point: int(all(part(point) for part in parts))
            case functions.or_():
                return lambda point: int(any(part(point) for part in parts))
            case sympy.Add():
                return lambda point: sum(part(point) for part in parts)
            case sympy.Mul():
                return self._product(e)
            case sympy.Pow():
                return self._power(e)
        apply = self._function(e)
        return lambda point: apply(*(part(point) for part in parts))

    def _function(self, e: Expr) -> Callable[..., Any]:
        if e.func in ON_ANY_NUMBERS:
            return ON_ANY_NUMBERS[e.func]
        if e.func in ON_INTEGERS:
            integers, reals = ON_INTEGERS[e.func], self._function_of_reals(e)
            return lambda a, b: (
                integers(a, b) if isinstance(a, int) and isinstance(b, int) else reals(a, b)
            )
        return self._function_of_reals(e)

    def _function_of_reals(self, e: Expr) -> Callable[..., Any]:
        if e.func not in self.arithmetic.functions:
            raise DeriveError(f"{e.func.__name__} is no function of the language: {text(e)}")
        function, real = self.arithmetic.functions[e.func], self.arithmetic.real
        return lambda *arguments: function(*map(real, arguments))

    def _product(self, e: Expr) -> Meaning:
        """`a*b*c**(-2)` is `a*b / c**2`: one division, as it is written."""
        below = [a for a in e.args if _is_reciprocal(a)]
        factors = [self.compiled(a) for a in e.args if a not in below]
        divisors = [self.compiled(1 / a) for a in below]
        divide = self.arithmetic.divide
        if not divisors:
            return lambda point: math.prod(part(point) for part in factors)
        return lambda point: divide(
            math.prod(part(point) for part in factors),
            math.prod(part(point) for part in divisors),
        )

    def _power(self, e: Expr) -> Meaning:
        real, divide, power = self.arithmetic.real, self.arithmetic.divide, self.arithmetic.power
        if _is_reciprocal(e):
            divisor = self.compiled(1 / e)
            return lambda point: divide(real(1), real(divisor(point)))
        base, exponent = self.compiled(e.base), self.compiled(e.exp)
        if e.exp == sympy.Rational(1, 2):
            root = self.arithmetic.functions[sympy.sqrt]
            return lambda point: root(real(base(point)))

        def meaning(point: Point) -> Any:
            a, b = base(point), exponent(point)
            if isinstance(a, int) and isinstance(b, int) and b >= 0:
                return a**b
            return power(real(a), real(b))

        return meaning

    def _access(self, e: Access) -> Meaning:
        if e.tensor not in self.tensors:
            raise DeriveError(f"{text(e)} reads {e.tensor}, which has no value yet")
        array, start = self.tensors[e.tensor], self.starts.get(e.tensor)
        if array.ndim != len(e.indices):
            raise DeriveError(
                f"{text(e)} has {len(e.indices)} indices, but {e.tensor} {array.ndim} axes"
            )
        positions = [self.compiled(i) for i in e.indices]
        lookups = [i.has(Access) for i in e.indices]
        real = self.arithmetic.real

        def meaning(point: Point) -> Any:
            at = tuple(position(point) for position in positions)
            source, free = array, None
            if start is not None and at[start.axis] == start.position:
                source, free = start.values, start.axis
            for axis, (k, size) in enumerate(zip(at, array.shape, strict=True)):
                if not isinstance(k, int):
                    raise DeriveError(f"index {axis} of {text(e)} is {k}, which is no integer")
                if not 0 <= k < size and axis != free:
                    place = f"element {k} on axis {axis} of {e.tensor}, which has {size}"
                    fault = f"{text(e)} reads {place}"
                    raise DeriveError(fault) if lookups[axis] else _Outside(fault)
            value = source[tuple(k for axis, k in enumerate(at) if axis != free)]
            if value is None:
                raise DeriveError(f"{text(e)} reads an element that has no value yet")
            return int(value) if isinstance(value, int | np.integer) else real(value)

        return meaning

    def _reduce(self, e: Reduce) -> Meaning:
        term, guard = self.compiled(e.term), self.compiled(e.guard)
        names = [i.name for i in e.bound]
        ranges = [range(self.range_of(i)) for i in e.bound]
        count = math.prod(map(len, ranges))

        def terms(point: Point) -> Terms:
            kept = []
            for number, values in enumerate(itertools.product(*ranges)):
                inner = point | dict(zip(names, values, strict=True))
                try:
                    if guard(inner):
                        kept.append((number, term(inner)))
                except _Outside:
                    continue
            return kept

        if e.op == "mean":
            real, divide = self.arithmetic.real, self.arithmetic.divide
            return lambda point: divide(real(sum(v for _, v in terms(point))), real(max(count, 1)))
        fold = _REDUCTIONS[e.op]

        def meaning(point: Point) -> Any:
            kept = terms(point)
            if not kept and e.op in _NEED_A_TERM:
                raise DeriveError(f"{e.op}[{','.join(names)}] has no term left to take")
            return fold(kept, self.arithmetic)

        return meaning

    def _partial(self, e: Partial) -> Meaning:
        """`(f(x + h) - f(x - h)) / 2h`; what `stop_gradient` holds is a constant."""
        x = Dummy()
        held = {s: Dummy() for s in e.body.atoms(stop_gradient)}
        body = e.body.xreplace(held).xreplace({e.operand: x})
        body = body.xreplace({dummy: s for s, dummy in held.items()})
        value, operand = self.compiled(body), self.compiled(e.operand)
        real, step = self.arithmetic.real, self.arithmetic.difference

        def meaning(point: Point) -> Any:
            at = real(operand(point))
            h = step * max(abs(at), real(1))
            above, below = at + h, at - h
            return (value(point | {x: above}) - value(point | {x: below})) / (above - below)

        return meaning


def _is_reciprocal(e: Expr) -> bool:
    return isinstance(e, sympy.Pow) and bool(e.exp.is_Number and e.exp.is_negative)
