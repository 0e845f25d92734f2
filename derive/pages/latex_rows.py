"""Equations as rows of displays, in LaTeX: broken where too wide, the matrix form beside or below.

    z = x W    Z = X W    (1)

What layers have in common is shown once. A form of more terms than a page should hold is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from derive.language.notation import Equation, Index
from derive.pages.document import Display, Prose, Row
from derive.printing.latex_layout import INDENT, LINE, lines, width
from derive.printing.latex_names import Names
from derive.printing.latex_printer import PageLatex, equation_latex, expression_latex
from derive.printing.likewise import Likewise, alike
from derive.printing.matrix_form import matrix_form

# In points: a number, the sign between two sides, the widest equation with another beside it.
TAG = 42.0
RELATION = 13.0
HALF = 205.0
WIDE = 115.0  # a left side wider than this has no right side beside it
EMPTY = Row(sign="")


def displays(
    equations: Sequence[Equation],
    names: Names,
    numbers: Mapping[str, int],
    elsewhere: Collection[str] = (),
) -> tuple[Display, ...]:
    """Equations under their numbers, the matrix form of each beside it or, if too wide, below.

    They are at home here, but for the targets `elsewhere`, which are only listed here.
    """
    places = {e.target: k for k, e in enumerate(equations)}
    listed = [e for e in equations if e.target in elsewhere]
    stated = [e for e in equations if e.target not in elsewhere]
    items = [item for some in (listed, stated) for item in alike(some, lambda e: (e,))]
    found = [
        line
        for equation, same in sorted(items, key=lambda item: places[item[0].target])
        for line in _block(equation, same, names, numbers, equation.target not in elsewhere)
    ]
    return tuple(Display(tuple(group)) for _, group in groupby(found, key=len))


def _block(
    equation: Equation, same: Likewise, names: Names, numbers: Mapping[str, int], home: bool
) -> Iterator[tuple[Row, ...]]:
    number = numbers.get(equation.target)
    also = tuple(str(numbers[t]) for t in same.targets if t in numbers)
    first = Row(access_latex(equation, names), number=str(number or ""), home=home, also=also)
    rows = broken(equation, first, names, LINE - TAG)
    extra = (initial_row(equation, names), matrix_row(equation, names, LINE - TAG))
    below = [Row(sign="", note=likewise(same, numbers))] if same.others else []
    yield from paired(rows, [row for row in extra if row != EMPTY], below)


def paired(
    rows: Sequence[Row], others: Sequence[Row], below: Sequence[Row] = ()
) -> Iterator[tuple[Row, ...]]:
    """The lines of an equation, the first of its other forms beside it, or, if too wide, below."""
    first = others[0] if others else EMPTY
    if len(rows) == 1 and max(_width(rows[0]), _width(first)) <= HALF:
        yield rows[0], first
        yield from ((row, EMPTY) for row in (*others[1:], *below))
    else:
        yield from ((row,) for row in (*rows, *others, *below))


def access_latex(equation: Equation, names: Names) -> str:
    """The left side of an equation."""
    return expression_latex(equation.access, names, equation.indices)


def likewise(same: Likewise, numbers: Mapping[str, int]) -> Prose:
    """`likewise for l = 3, ..., 199: (5), ..., (397)`"""
    found = [f"(#{numbers[t]})" for t in same.targets if t in numbers]
    layers = enumerated([f"${k}$" for k in same.others])
    return rf"likewise for $\ell =$ {layers}" + (f": {enumerated(found)}" if found else "")


def initial_row(equation: Equation, names: Names, rule: str = "") -> Row:
    """The initial line of a recurrence, or an empty row."""
    initial, *others = equation.lines
    if not others:
        return EMPTY
    left, right = equation_latex(initial, names, equation.indices)
    return Row(left, right, rule)


def matrix_row(equation: Equation, names: Names, room: float, rule: str = "") -> Row:
    """The matrix form, or an empty row where there is none or it is too wide."""
    form = matrix_form(equation)
    if form is None:
        return EMPTY
    row = Row(*form.latex(names), rule)
    return row if _width(row) <= room else EMPTY


def broken(
    equation: Equation, row: Row, names: Names, room: float, inner: tuple[Index, ...] = ()
) -> list[Row]:
    """An equation on as many lines as it needs; rule and note are at the first, the number last."""
    page = PageLatex(names, equation.indices, inner)
    left = width(access_latex(equation, names))
    room -= (left if left <= WIDE else INDENT) + RELATION
    first, *others = lines(equation.body, page, room)
    unnumbered = replace(row, number="", also=())
    if left <= WIDE:
        rows = [replace(unnumbered, right=first)]
    else:
        # The left side stands on a line of its own, that it does not push the others out.
        rows = [replace(unnumbered, left="", right=row.left, sign="")] if row.left else []
        again = Row(home=row.home) if rows else unnumbered
        rows += [replace(again, left="", right=rf"\quad = {first}", sign="")]
    rows += [Row(right=rf"\qquad {line}", sign="", home=row.home) for line in others]
    rows[-1] = replace(rows[-1], number=row.number, also=row.also)
    return rows


def _width(row: Row) -> float:
    return width(row.left + row.right) + RELATION


def stacked(rows: Iterable[Row]) -> Display:
    """Rows below each other."""
    return Display(tuple((row,) for row in rows))


def enumerated(items: Sequence[Prose]) -> Prose:
    """All of a few, of many the first and the last."""
    if len(items) <= 3:
        return ", ".join(items)
    return rf"{items[0]}, {items[1]}, $\ldots$, {items[-1]}"
