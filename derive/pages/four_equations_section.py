"""The four equations of backpropagation as a section of a page: index form and matrix form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from derive.gradients.derivation import Gradients
from derive.language.notation import Equation
from derive.pages.document import Block, Display, Prose, Row, Section
from derive.pages.four_equations import Law, four_equations, symbols
from derive.pages.latex_rows import EMPTY, TAG, access_latex, broken, likewise, paired
from derive.printing.latex_layout import LINE
from derive.printing.latex_names import Names
from derive.printing.latex_printer import expression_latex
from derive.printing.matrix_form import MatrixForm

INTRODUCTION = (
    r"This network is a stack of dense layers. In the notation of the textbooks $\delta^{(l)}$, "
    r"the *error* of layer $l$, is the cotangent $\bar{z}$ of what goes into its activation, and "
    "a prime marks the derivative of an activation. Each law is the equation of the number beside "
    "it, the cotangent that it reads written out. The books take one sample, a column; here "
    r"samples are rows, so that their $W^{\top} \delta$ is $\delta\, W^{\top}$, and BP3 and BP4 "
    "sum over the samples."
)


def section(gradients: Gradients, names: Names) -> Iterator[Section]:
    """The section of a dense stack; none for anything else. `names` are those of the page."""
    laws = four_equations(gradients)
    if laws:
        renamed = symbols(gradients, names)
        blocks: list[Block] = [" ".join((INTRODUCTION, *_functions(laws, renamed)))]
        for name, group in groupby(laws, key=lambda law: law.name):
            found = list(group)
            blocks.append(", ".join((f"*{name}*, {found[0].title}", *_put_together(found))))
            blocks += _displays(found, renamed, gradients)
        yield Section("The four equations of backpropagation", tuple(blocks))


def _put_together(laws: Sequence[Law]) -> Iterator[Prose]:
    """`(#10) put into (#11), (#16) put into (#17)`"""
    for law in laws:
        *parts, whole = law.numbers
        if parts:
            yield f"{' and '.join(f'(#{n})' for n in parts)} put into (#{whole})"


def _functions(laws: Sequence[Law], names: Names) -> Iterator[Prose]:
    stated = dict.fromkeys(pair for law in laws for pair in law.functions)
    if stated:
        pairs = [" = ".join(expression_latex(e, names) for e in pair) for pair in stated]
        yield f"Here {', '.join(f'${pair}$' for pair in pairs)}."


def _displays(laws: Sequence[Law], names: Names, gradients: Gradients) -> Iterator[Block]:
    """The laws of one name, one display as far as they have as many forms on a line."""
    lines = [line for law in laws for line in _law(law, names, gradients)]
    yield from (Display(tuple(group)) for _, group in groupby(lines, key=len))


def _law(law: Law, names: Names, gradients: Gradients) -> Iterator[tuple[Row, ...]]:
    """All forms of a law, and below them the layers for which it is the same."""
    lines: list[tuple[Row, ...]] = []
    for k, (equation, form) in enumerate(zip(law.equations, law.matrix_forms, strict=True)):
        lines += _lines(equation, form, names, first=k == 0)
    row, *beside = lines[-1]
    lines[-1] = (replace(row, number=str(law.numbers[-1])), *beside)
    yield from lines
    if law.same.others:
        note = Row(sign="", note=likewise(law.same, gradients.numbers), home=False)
        yield note, *(EMPTY for _ in beside)


def _lines(
    equation: Equation, form: MatrixForm | None, names: Names, *, first: bool
) -> Iterator[tuple[Row, ...]]:
    """One form of a law on a line, its matrix form beside it or, if too wide, below."""
    row = Row(access_latex(equation, names), home=False)
    rows = broken(equation, row, names, LINE - TAG)
    others = [Row(*form.latex(names), home=False)] if form else []
    line, *below = paired(rows, others)
    yield line if first else tuple(replace(row, left="") for row in line)
    yield from below
