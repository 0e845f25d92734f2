"""The formula language: text -> Program.

    mu[n]  = sum[d](x[n,d]) / D
    y[n,d] = gamma[d] * (x[n,d] - mu[n]) / sqrt(var[n] + eps) + beta[d]

The text is parsed by `ast` and read through a whitelist; nothing of it is ever evaluated. Numbers
become exact rationals. An inner index that bears the name of an outer one gets a name of its own
(`i` becomes `i__1`), so bound names are distinct along every scope; `ranges.infer` then gives every
index its size. The initial line of a recurrence becomes a part of its equation, and the equations
of a scan come to stand together. Every error is a FormulaError that shows its place.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sympy
from sympy import Add, Expr, Integer, Mul, Symbol

from derive.language import recurrences
from derive.language.constants import check_body
from derive.language.expressions import Reader, Scope
from derive.language.functions import (
    FUNCTIONS,
    floordiv,
    maximum,
    minimum,
    mod,
    stop_gradient,
    where,
)
from derive.language.lines import Line, split
from derive.language.names import Names, as_read, collect
from derive.language.notation import ELLIPSIS, Access, Equation, Program, Reduce, Tensor, accesses
from derive.language.ranges import Text, infer
from derive.language.scans import ordered
from derive.language.source import FormulaError, Source, suggestion

__all__ = ["FormulaError", "parse"]

LONGEST = 100_000  # characters


def parse(
    text: str,
    *,
    sizes: Mapping[str, int | str] | None = None,
    functions: Mapping[str, Any] = FUNCTIONS,
    inputs: Mapping[str, tuple[str, ...] | None] | None = None,
    constants: Mapping[str, Any] | None = None,
    filename: str = "<formula>",
    first_line: int = 1,
) -> Program:
    """The program that a text of the formula language says.

    `sizes` gives the sizes of indices, by the name of the index or of its size: numbers, or texts
    of other sizes and constants such as `"(H - K)//2 + 1"`. `constants` are names that stand for
    numbers. With `inputs` the text is that of a definition: it may read only these tensors (name ->
    its indices, or None where they are not known) and what it has assigned above.

    Raises FormulaError, which shows the place.
    """
    if not isinstance(text, str):
        raise FormulaError(f"{filename}: a formula is a str, not {type(text).__name__}")
    if len(text) > LONGEST:
        raise FormulaError(
            f"{filename}: the formula has {len(text)} characters, more than {LONGEST}"
        )
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    source = Source(tuple(lines), filename, first_line)
    try:
        equations = split(source)
        names = collect(source, equations, functions, constants or {}, inputs)
        program = _program(Reader(source, names, equations), sizes or {})
        if (again := _in_order(equations, names, program)) != equations:
            # What is printed shall read back as the same: names of inputs and sizes, their order.
            names = collect(source, again, functions, constants or {}, inputs)
            result = program.result
            program = _program(Reader(source, names, again), sizes or {})
            program = replace(program, results=() if program.result == result else (result,))
        return program
    except RecursionError:
        raise FormulaError(f"{filename}: the formula is nested too deeply") from None


def _program(reader: Reader, sizes: Mapping[str, int | str]) -> Program:
    names = reader.names
    for tensor, axes in (names.given or {}).items():
        if axes is not None:
            place = reader.source.place(0, 0)
            reader.axes[tensor] = len(axes), place
            reader.whole(tensor, dict(enumerate(axes)), [place] * len(axes), -1)
    scopes = _left_sides(reader)
    bodies: list[Expr] = []
    for line, scope in zip(reader.lines, scopes, strict=True):
        bodies.append(reader.value(line.body, scope))
        reader.exact(line.body, check_body, bodies[-1])
    starts = recurrences.starts(reader, scopes)
    recurrences.check(reader, scopes, starts)
    kinds = _kinds(reader, bodies)
    inputs = _inputs(reader, bodies)
    ranges = infer(
        Text(
            uses=tuple(reader.uses),
            order=tuple(map(as_read, names.indices)),
            inputs={name: reader.axes[name][0] for name in inputs},
            given=_given(reader, sizes),
            names=names.used,
            hidden=frozenset(filter(names.is_hidden, names.used)),
            places={as_read(i): place for i, place in names.indices.items()},
            starts={(target, start.axis): start.step for target, start in starts.items()},
        )
    )
    equations = []
    for target, number in names.assigned.items():
        indices = tuple(map(ranges.index, scopes[number].indices.values()))
        equation = Equation(target, indices, ranges.settle(bodies[number]))
        if target in starts and recurrences.is_used(target, starts, bodies):
            start = starts[target]
            initial = ranges.settle(bodies[start.line])
            found = recurrences.recurrence(reader, equation, start, initial, ranges)
            equation = replace(equation, recurrence=found)
        equations.append(equation)
    in_order, last = ordered(equations), equations[-1].target
    return Program(
        in_order,
        tuple(Tensor(name, ranges.inputs[name], kinds.get(name, "real")) for name in inputs),
        tuple(ranges.values.items()),
        () if in_order[-1].target == last else (last,),
    )


def _in_order(lines: list[Line], names: Names, program: Program) -> list[Line]:
    """The lines in the order of the program's equations, initial lines above theirs."""
    numbers = [
        known[e.target]
        for e in program.equations
        for known in (names.initial, names.assigned)
        if e.target in known
    ]
    return [lines[number] for number in numbers]


def _left_sides(reader: Reader) -> list[Scope]:
    """The scope of each line: the indices on its left side."""
    scopes = []
    for number, line in enumerate(reader.lines):
        places = list(map(reader.place, line.indices))
        is_initial = reader.names.initial.get(line.target) == number
        start = recurrences.position(reader, number) if is_initial else None
        names: dict[int, str] = {}
        for axis, (node, place) in enumerate(zip(line.indices, places, strict=True)):
            name = node.id if isinstance(node, ast.Name) else ELLIPSIS
            if axis == start:
                continue
            if name in names.values():
                raise place.error(f"the index `{name}` stands twice on the left side")
            if name == ELLIPSIS and axis:
                raise place.error("`...` stands for leading axes: it is the first index or none")
            names[axis] = name
        reader.count_axes(line.target, len(places), reader.place(line.left))
        scopes.append(Scope(number, reader.whole(line.target, names, places, number)))
    return scopes


def _inputs(reader: Reader, bodies: list[Expr]) -> list[str]:
    """The inputs as they are declared, or as they are read: alphabetically in each equation.

    SymPy may change the order of terms, and what is printed shall read back as the same.
    """
    if reader.names.given is not None:
        return [name for name in reader.names.given if name in reader.axes]
    read = dict.fromkeys(t for body in bodies for t in sorted({a.tensor for a in accesses(body)}))
    return [name for name in (read | reader.inputs) if name in reader.inputs]


def _given(reader: Reader, sizes: Mapping[str, int | str]) -> dict[Symbol, Expr]:
    """The sizes given, by their symbols as read."""
    indices = reader.names.indices
    found: dict[Symbol, Expr] = {}
    for key, value in sizes.items():
        name = str(key) if key in indices else str(key).lower()
        if name not in indices:
            raise reader.source.place(0, 0).error(
                f"a size is given for `{key}`, but no index is called so",
                suggestion(name, indices),
            )
        place, symbol = indices[name], as_read(name)
        if isinstance(value, str):
            number = _size(reader, value)
        elif isinstance(value, bool) or not hasattr(value, "__index__"):
            raise place.error(f"the size of `{name}` is a positive integer, not {value!r:.40}")
        else:
            number = Integer(value.__index__())
        if number.is_Integer and number < 1:
            raise place.error(f"the size of `{name}` is a positive integer, not {number}")
        if found.get(symbol, number) != number:
            raise place.error(f"the size of `{name}` is given as {found[symbol]} and {number}")
        found[symbol] = number
    return found


def _size(reader: Reader, text: str) -> Expr:
    """A size as an expression of sizes and constants: `(H - K)//2 + 1`."""
    source = Source(tuple(f"size = {text}".split("\n")), reader.source.filename)
    node = split(source)[0].body
    inner = replace(reader, source=source)
    found = inner.index(node, Scope(-1, {}))
    if found.has(Access):
        raise inner.place(node).error("a size is an expression of other sizes")
    return found


def _kinds(reader: Reader, bodies: list[Expr]) -> dict[str, str]:
    """The tensors used as an index, followed through assigned ones down to the inputs."""
    assigned, initial = reader.names.assigned, reader.names.initial
    kinds: dict[str, str] = {}
    pending = list(reader.integers.items())
    while pending:
        tensor, place = pending.pop()
        if tensor in kinds:
            continue
        kinds[tensor] = "integer"
        for number in (lines[tensor] for lines in (assigned, initial) if tensor in lines):
            read = _integer_tensors(bodies[number])
            if read is None:
                raise place.error(f"`{tensor}` is used as an index, but is no integer tensor")
            pending += [(name, place) for name in read]
    return kinds


def _integer_tensors(e: Expr) -> set[str] | None:
    """The tensors that have to be integer so that an expression is; None if it is none then."""
    match e:
        case Access():
            return {e.tensor}
        case Reduce():  # of the others NumPy's result is a floating-point number
            return set() if e.op.startswith("arg") else None
        case Add() | Mul() | floordiv() | mod():
            parts = e.args
        case maximum() | minimum() | stop_gradient() | sympy.Abs():
            parts = e.args
        case where():
            parts = e.args[1:]
        case sympy.Pow() if e.exp.is_Integer and e.exp > 0:
            parts = e.args[:1]
        case _:
            return set() if e.is_Atom and e.is_integer else None
    found = [_integer_tensors(part) for part in parts]
    return None if None in found else {name for names in found for name in names or ()}
