"""Equations as rows of displays, finished LaTeX: broken where too wide, with rules and numbers.

    z &= x\\, W & \\qquad Z &= X\\, W \\tag{\\eqtarget{1}} \\\\

What layers have in common is shown once. A form of more terms than a page should hold is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from derive.latex_layout import INDENT, LINE, endless, lines, width
from derive.latex_names import Names
from derive.latex_printer import PageLatex, expression_latex
from derive.likewise import Likewise, alike
from derive.matrix_form import matrix_form
from derive.notation import Equation, Index

# In points: a number, the sign between two sides, the widest equation with another beside it.
TAG = 42.0
RELATION = 13.0
HALF = 205.0
WIDE = 90.0  # a left side wider than this has no right side beside it
TOGETHER = 8  # a chain of no more rows stays on one page


@dataclass(frozen=True)
class Row:
    """One line of a display: `left = right`, the rule that led there, its number."""

    left: str = ""
    right: str = ""
    rule: str = ""
    tag: str = ""
    sign: str = "="

    @property
    def sides(self) -> str:
        return f"{self.left} &{self.sign} {self.right}"

    @property
    def width(self) -> float:
        return width(self.left + self.right) + RELATION


EMPTY = Row(sign="")
Tag = Callable[[object], str]


def target(number: object) -> str:
    """The number of an equation, where that is shown."""
    return rf" \tag{{\eqtarget{{{number}}}}}"


def link(number: object) -> str:
    """The number of an equation that is shown elsewhere, as a link to there."""
    return rf" \tag{{\eqlink{{{number}}}}}"


def listed(rows: Iterable[Sequence[Row]]) -> str:
    """A display of rows that stand side by side, the same number in every line."""
    shown = list(rows)
    texts = (r" & \qquad ".join(r.sides for r in line) + line[0].tag for line in shown)
    return _display(len(shown[0]), texts, r" \\")


def chained(rows: Sequence[Row]) -> str:
    """A display with a column of rules before the equations; a short one stays on one page."""
    texts = (rf"&\rulename{{{row.rule}}} & {row.sides}{row.tag}" for row in rows)
    return _display(2, texts, r" \\*" if len(rows) <= TOGETHER else r" \\")


def _display(columns: int, texts: Iterable[str], end: str) -> str:
    body = f"{end}\n".join(texts)
    return f"\\begin{{alignat*}}{{{columns}}}\n{body}\n\\end{{alignat*}}"


class Sheet:
    """Symbols and numbers of a set of equations, and the rows that show these."""

    def __init__(self, names: Names, numbers: Mapping[str, int]) -> None:
        self.names = names
        self.numbers = numbers

    def symbol(self, tensor: str) -> str:
        return self.names(tensor).indexed()

    def access(self, equation: Equation) -> str:
        return expression_latex(equation.access, self.names, equation.indices)

    def displays(
        self, equations: Sequence[Equation], tag: Tag, numbers: Mapping[str, int] | None = None
    ) -> tuple[str, ...]:
        """Equations, the matrix form of each beside it or, where one is too wide, below."""
        tags = {t: tag(k) for t, k in (self.numbers if numbers is None else numbers).items()}
        found = [
            line
            for equation, same in alike(equations, lambda e: (e,))
            for line in self.block(equation, same, tags.get(equation.target, ""))
        ]
        return tuple(listed(group) for _, group in groupby(found, key=len))

    def block(self, equation: Equation, same: Likewise, tag: str) -> Iterator[tuple[Row, ...]]:
        rows = self.broken(equation, Row(self.access(equation), tag=tag), LINE - TAG)
        second = [
            row
            for row in (self.initial_row(equation), self.matrix_row(equation, LINE - TAG))
            if row != EMPTY
        ]
        matrix = second[0] if second else EMPTY
        beside = len(rows) == 1 and max(rows[0].width, matrix.width) <= HALF
        below = second[1:] if beside else second
        if same.others:
            below.append(Row(right=rf"\rlap{{{self.likewise(same)}}}", sign=""))
        if beside:
            yield rows[0], matrix
            yield from ((row, EMPTY) for row in below)
        else:
            yield from ((row,) for row in (*rows, *below))

    def likewise(self, same: Likewise) -> str:
        """`likewise for l = 3, ..., 199: (5), ..., (397)`"""
        numbers = [f"({self.numbers[t]})" for t in same.targets if t in self.numbers]
        layers = enumerated(list(map(str, same.others)))
        return rf"likewise for $\ell = {layers}$" + (f": {enumerated(numbers)}" if numbers else "")

    def initial_row(self, equation: Equation, rule: str = "") -> Row:
        """The initial line of a recurrence, or an empty row."""
        initial, *others = equation.lines
        if not others:
            return EMPTY
        left, right = (
            expression_latex(e, self.names, equation.indices)
            for e in (initial.access, initial.body)
        )
        return Row(left, right, rule)

    def matrix_row(self, equation: Equation, room: float, rule: str = "") -> Row:
        """The matrix form, or an empty row where there is none or it is too wide."""
        form = None if endless(equation.body) else matrix_form(equation)
        if form is None:
            return EMPTY
        row = Row(*form.latex(self.names), rule)
        return row if row.width <= room else EMPTY

    def broken(
        self, equation: Equation, row: Row, room: float, inner: tuple[Index, ...] = ()
    ) -> list[Row]:
        """An equation on as many lines as it needs; the first has the rule, the last the number."""
        page = PageLatex(self.names, equation.indices, inner)
        left = width(self.access(equation))
        room -= (left if left <= WIDE else INDENT) + RELATION
        first, *others = lines(equation.body, page, room)
        if left <= WIDE:
            rows = [replace(row, right=first, tag="")]
        else:
            # The left side stands on a line of its own, that it does not push the others out.
            rows = [Row(right=row.left, rule=row.rule, sign="")] if row.left else []
            rows += [Row(right=rf"\quad = {first}", rule="" if rows else row.rule, sign="")]
        rows += [Row(right=rf"\qquad {line}", sign="") for line in others]
        rows[-1] = replace(rows[-1], tag=row.tag)
        return rows


def enumerated(items: Sequence[str]) -> str:
    """All of a few, of many the first and the last."""
    if len(items) <= 3:
        return ", ".join(items)
    return rf"{items[0]}, {items[1]}, \ldots, {items[-1]}"
