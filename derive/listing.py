"""The library as text for a terminal: each entry with its formulas and what these lead to.

    layer dense(units, bias=true)
        z[...,j] = sum[i](x[...,i] * W[i,j]) + b[j]

Cotangents are derived when they are asked for, by the sweep that derives those of a network.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from sympy import Expr, S

from derive.gradients.derivation import reverse
from derive.gradients.normal_form import flatten, fresh, names
from derive.gradients.simplify import recognize
from derive.language.notation import Access, Program, Tensor
from derive.library.bindings import nominal
from derive.library.definition import SIZES, Case, Computed, Definition, Layer, ParameterRule

WIDTH = 80  # columns of a terminal
INDENT = " " * 4


def listing(definitions: Iterable[Definition]) -> Iterator[str]:
    """Every entry with the formula of its first case, by the files of the library."""
    title = ""
    for definition in definitions:
        part = PurePath(definition.cases[0].formula.document.filename).stem.capitalize()
        if part != title:
            yield from ["", part, ""] if title else [part, ""]
            title = part
        yield from _wrapped(_heading(definition), "")
        yield from _formulas(definition.cases[0])
        more = len(definition.cases) - 1
        if more:
            yield f"{INDENT}# {more} more case{'s' * (more > 1)}: derive layers {definition.name}"


def entry(definition: Definition) -> Iterator[str]:
    """One entry with all its cases, and the cotangents of the first."""
    yield from _wrapped(_heading(definition), "")
    yield from _section("Fields", map(_field, definition.fields))
    for k, case in enumerate(definition.cases):
        inputs = ", ".join(map(str, case.inputs))
        where = f", where {case.when}" if case.when else ", else" if k else ""
        title = f"Formula{f' of {inputs}' if inputs else ''}{where}"
        yield from ["", *_wrapped(title, ""), *_formulas(case)]
        if case.inference is not None:
            yield from _section("In inference", _lines(case.inference.text))
        if k == 0 or case.parameters != definition.cases[k - 1].parameters:
            yield from _section("Parameters", map(_parameter, case.parameters))
        if k == 0 or case.sizes != definition.cases[k - 1].sizes:
            sizes = [f"{i if i[0] == '*' else i.upper()} = {text}" for i, text in case.sizes]
            numbers = [f"{name} = {text}" for name, text in case.numbers]
            yield from _section("Sizes", sizes + numbers)
    (case, *others) = definition.cases
    if definition.kind in ("layer", "activation", "loss") and not case.layers:
        title = "Cotangents of the first case" if others else "Cotangents"
        yield from _section(title, cotangents(definition, case))


def cotangents(definition: Definition, case: Case) -> list[str]:
    """The equations of the reverse sweep, those of the textbook, at the defaults of the fields.

    Sizes stay symbols. A field that must be given is 1 where the formula reads its number, and
    what is computed of sizes that are not known, the padding before an image, is 0.
    """
    binding = nominal(definition, case)
    unknown = dict.fromkeys((name for name, _ in case.numbers), 0)
    program = definition.program(case, replace(binding, numbers={**binding.numbers, **unknown}))
    program, _ = recognize(flatten(_without_sizes(program)))
    given = [p.name for p in case.inputs] or ["z" if definition.kind == "loss" else "x"]
    given += [rule.name for rule in case.parameters]
    real = {t.name for t in program.inputs if t.kind == "real"}
    result = program.equation(program.result)
    seed: Expr = S.One
    if result.indices:
        bar = fresh(f"{result.target}_bar", names(program))
        inputs = (*program.inputs, Tensor(bar, result.indices))
        program, seed = replace(program, inputs=inputs), Access(bar, *result.indices)
    wrt = tuple(name for name in given if name in real)
    gradients = reverse(program, wrt, {program.result: seed})
    forward = {e.target for e in gradients.forward.equations}
    return [str(line) for e in gradients.shown if e.target not in forward for line in e.lines]


def _without_sizes(program: Program) -> Program:
    """Without the tensor that no formula can name, whose axes have the sizes given."""
    return replace(program, inputs=tuple(t for t in program.inputs if t.name != SIZES))


def _heading(definition: Definition) -> str:
    defaults = {name: _shown(value) for name, value in definition.constants}
    defaults |= {f.name: f.same_as for f in definition.fields if f.same_as}
    fields = ", ".join(
        f"{f.name}={defaults[f.name]}" if f.name in defaults else f.name for f in definition.fields
    )
    return f"{definition.kind} {definition.name}" + (f"({fields})" if fields else "")


def _field(rule: Any) -> str:
    default = rule.same_as or (None if rule.default is None else _shown(rule.default))
    return f"{rule.name}: {rule.kind.words}" + (f"; default {default}" if default else "")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"


def _formulas(case: Case) -> Iterator[str]:
    for line in [*map(_layer, case.layers), *_lines(case.formula.text)]:
        yield from _wrapped(line)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def _layer(layer: Layer) -> str:
    fields = dict(layer.definition.constants)
    given = [
        f"{name}={value.text if isinstance(value, Computed) else _shown(value)}"
        for name, value in layer.fields
        if isinstance(value, Computed) or fields.get(name) != value
    ]
    return f"{layer.name} = {layer.type}({', '.join([*layer.inputs, *given])})"


def _parameter(rule: ParameterRule) -> str:
    fields = ", ".join(f"{name} = {_shown(value)}" for name, value in rule.initial.fields)
    initial = rule.initial.name + (f"({fields})" if fields else "")
    where = f", where {rule.when}" if rule.when else ""
    return f"{rule.name}[{','.join(rule.indices)}]: {initial}{where}"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = [part for line in lines for part in _wrapped(line)]
    yield from ["", title, *found] if found else []


def _wrapped(line: str, indent: str = INDENT) -> list[str]:
    """The line in the width of a terminal, broken at spaces and, where none is, after a factor."""
    lines = textwrap.wrap(
        line,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [part for line in lines for part in _broken(line, indent + INDENT)]


def _broken(line: str, indent: str) -> list[str]:
    end = max(line.rfind("*", 0, WIDTH), line.rfind("/", 0, WIDTH)) + 1
    if len(line) <= WIDTH or end <= len(indent):
        return [line]
    return [line[:end], *_broken(indent + line[end:], indent)]
