"""The formula language: text -> Program.

    mu[n]  = sum[d](x[n,d]) / D
    y[n,d] = gamma[d] * (x[n,d] - mu[n]) / sqrt(var[n] + eps) + beta[d]

The text is parsed by `ast` and read through a whitelist; nothing of it is ever evaluated. Numbers
become exact rationals. An inner index that bears the name of an outer one gets a name of its own
(`i` becomes `i__1`), so bound names are distinct along every scope; `ranges.infer` then gives every
index its size. Every error is a FormulaError that shows its place.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sympy
from sympy import Add, Expr, Integer, Mul, Symbol

from derive.constants import check_body
from derive.expressions import Reader, Scope
from derive.functions import (
    FUNCTIONS,
    Condition,
    floordiv,
    maximum,
    minimum,
    mod,
    stop_gradient,
    where,
)
from derive.lines import Line, split
from derive.names import as_read, collect
from derive.notation import ELLIPSIS, Access, Equation, Program, Reduce, Tensor, accesses
from derive.ranges import Text, infer
from derive.source import FormulaError, Source, suggestion

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
        return _program(Reader(source, names, equations), sizes or {})
    except RecursionError:
        raise FormulaError(f"{filename}: the formula is nested too deeply") from None


def _program(reader: Reader, sizes: Mapping[str, int | str]) -> Program:
    names = reader.names
    for tensor, axes in (names.given or {}).items():
        if axes is not None:
            reader.axes[tensor] = len(axes), reader.source.place(0, 0)
            reader.whole(tensor, axes, [reader.source.place(0, 0)] * len(axes), -1)
    scopes = [_left_side(reader, number, line) for number, line in enumerate(reader.lines)]
    bodies: list[Expr] = []
    for line, scope in zip(reader.lines, scopes, strict=True):
        bodies.append(reader.value(line.body, scope))
        reader.exact(line.body, check_body, bodies[-1])
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
        )
    )
    return Program(
        tuple(
            Equation(
                line.target,
                tuple(map(ranges.index, scope.indices.values())),
                ranges.settle(body),
            )
            for line, scope, body in zip(reader.lines, scopes, bodies, strict=True)
        ),
        tuple(Tensor(name, ranges.inputs[name], kinds.get(name, "real")) for name in inputs),
        tuple(ranges.values.items()),
    )


def _left_side(reader: Reader, number: int, line: Line) -> Scope:
    places = list(map(reader.place, line.indices))
    names: list[str] = []
    for node, place in zip(line.indices, places, strict=True):
        name = node.id if isinstance(node, ast.Name) else ELLIPSIS
        if name in names:
            raise place.error(f"the index `{name}` stands twice on the left side")
        if name == ELLIPSIS and names:
            raise place.error("`...` stands for leading axes: it is the first index or none")
        names.append(name)
    reader.axes[line.target] = len(names), reader.place(line.left)
    return Scope(number, reader.whole(line.target, names, places, number))


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
    assigned = reader.names.assigned
    kinds: dict[str, str] = {}
    pending = list(reader.integers.items())
    while pending:
        tensor, place = pending.pop()
        if tensor in kinds:
            continue
        kinds[tensor] = "integer"
        if tensor in assigned:
            read = _integer_tensors(bodies[assigned[tensor]])
            if read is None:
                raise place.error(f"`{tensor}` is used as an index, but is no integer tensor")
            pending += [(name, place) for name in read]
    return kinds


def _integer_tensors(e: Expr) -> set[str] | None:
    """The tensors that have to be integer so that an expression is; None if it is none then."""
    match e:
        case Access():
            return {e.tensor}
        case Reduce():
            if e.op in ("sum", "prod", "max", "min"):
                return _integer_tensors(e.term)
            return set() if e.op.startswith("arg") else None
        case Condition() | floordiv():
            return set()
        case Add() | Mul() | mod() | maximum() | minimum() | stop_gradient() | sympy.Abs():
            parts = e.args
        case where():
            parts = e.args[1:]
        case sympy.Pow() if e.exp.is_Integer and e.exp > 0:
            parts = e.args[:1]
        case _:
            return set() if e.is_Atom and e.is_integer else None
    found = [_integer_tensors(part) for part in parts]
    return None if None in found else {name for names in found for name in names or ()}
