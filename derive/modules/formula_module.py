"""The module of a single formula: `templates/formula.py.jinja`, filled in.

The module needs NumPy alone. Its docstring has the equations under the numbers that its lines
cite, what it was derived from and what each function costs; it has the checks that it calls.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sympy import Expr, Symbol

from derive.code.statements import size_text
from derive.language.notation import ELLIPSIS, Equation, Index, Program, Tensor
from derive.modules.formula_functions import COLUMNS, Function
from derive.modules.formula_helpers import HELPERS
from derive.render import render

COUNTED = 50  # columns of a number of operations that is stated


@dataclass(frozen=True)
class Module:
    """What the template reads: finished text, field by field."""

    title: str
    equations: tuple[str, ...]
    notes: tuple[str, ...]
    imports: tuple[str, ...]
    inputs: tuple[str, ...]
    integers: str
    functions: tuple[Function, ...]
    helpers: tuple[str, ...]


def source(
    kind: str,
    computed: Program,
    cotangents: Mapping[str, str],
    direction: str,
    made: Iterable[Function],
    equations: Iterable[Equation],
    numbers: Mapping[str, int],
    origin: Iterable[str],
) -> str:
    """The text of the module with the functions `made`.

    `equations` and their `numbers` are those of the page; `origin` is what the module was derived
    from, as lines of a docstring.
    """
    made = tuple(made)
    inputs = [t for t in computed.inputs if t.name != direction]
    integers = [f'"{t.name}"' for t in inputs if t.kind == "integer"]
    body = "\n".join(line for f in made for line in f.lines)
    helpers = tuple(code for name, code in HELPERS.items() if f"{name}(" in body)
    module = Module(
        title=_TITLES[kind].format(result=computed.result, operands=", ".join(cotangents)),
        equations=tuple(_numbered(equations, numbers)),
        notes=(*_notes(cotangents, made), *origin),
        imports=("import math", "", "import numpy as np"),
        inputs=tuple(_axes(t, dict(computed.sizes)) for t in inputs),
        integers=f"{{{', '.join(integers)}}}" if integers else "set()",
        functions=made,
        helpers=helpers,
    )
    return re.sub(r"\n{4,}", "\n\n\n", render("formula.py.jinja", module=module)).rstrip() + "\n"


_TITLES = {
    "value": "{result}.",
    "gradient": "{result} and its gradient by {operands}.",
    "vjp": "{result} and its vector-Jacobian product by {operands}.",
    "jacobian": "{result} and its Jacobian by {operands}.",
    "hessian": "The Hessian of {result} by {operands}.",
    "hvp": "The Hessian of {result} by {operands}, times a direction.",
}


def _axes(tensor: Tensor, sizes: Mapping[Symbol, Expr]) -> str:
    given = {s: n for s, n in sizes.items() if n.is_Integer and s.name != ELLIPSIS}
    pairs = []
    for i in tensor.axes:
        size = str(given[i.size]) if i.size in given else f'"{size_text(i.size)}"'
        pairs.append(f'("{i.name}", {size})')
    return f'"{tensor.name}": ({", ".join(pairs)}{"," * (len(pairs) == 1)}),'


def _numbered(equations: Iterable[Equation], numbers: Mapping[str, int]) -> Iterable[str]:
    for e in equations:
        initial = not all(isinstance(i, Index) for i in e.indices)  # the number is its equation's
        numbered = e.target in numbers and not initial
        number = f"({numbers[e.target]:>2})  " if numbered else " " * 6
        yield from textwrap.wrap(
            f"{number}{e}", COLUMNS - 4, subsequent_indent=" " * 10, break_long_words=False
        )


def _notes(cotangents: Mapping[str, str], made: Iterable[Function]) -> Iterable[str]:
    if cotangents:
        operand, target = next(iter(cotangents.items()))
        yield f"`{target}` is the derivative by `{operand}`. A number such as (1) at the end"
        yield "of a line is that of the equation which the line computes a part of."
    for function in made:
        operations = size_text(function.operations)
        if len(operations) < COUNTED:
            yield f"`{function.name}` takes {operations} floating-point operations."
