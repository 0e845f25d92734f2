"""Rows of equations as lines for a terminal: aligned at the sign, the number at the right end.

      chain rule        l̄[n] = (1/N) ∑ₙ′ ∂/∂l[n′](l[n′] − z[n′,y[n′]])·δ[n,n′]     (5.1)
      local derivative       = (1/N) ∑ₙ′ δ[n,n′]                                    (5.2)

No line is wider than asked for, and no character of an equation is lost.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TextIO

from derive.printing.line_breaks import lines, width

WIDTH = 80  # columns where nobody says how many there are
NARROWEST, WIDEST = 40, 120
MARGIN = "  "
LABEL = 19  # columns of the rules' names
LONG = 1 / 3  # of the columns: a wider left side has no right side beside it
GAP = 4  # columns between an equation and its matrix form
SHARE = 0.6  # of the columns: the longest equation that has its matrix form beside it
HANGING, MORE = 4, 2  # how far lines below are indented
SAMPLE = "W̄⁽¹⁾ₙᵀ∑∏∂δ√⊙⊘′·−≤≠∧⌊‖v̅"  # what Unicode has to be there for
_NUMBER = re.compile(r"(\(\d+\))")


@dataclass(frozen=True)
class Style:
    """Whether lines are in color, and in Unicode."""

    colored: bool = False
    unicode: bool = True

    def heading(self, line: str) -> str:
        return self._painted("1;4", line)

    def cotangent(self, line: str) -> str:
        return self._painted("1", line)

    def rule(self, line: str) -> str:
        return self._painted("3", line)

    def number(self, line: str) -> str:
        return self._painted("36", line)

    def aside(self, line: str) -> str:
        return self._painted("2", line)

    def _painted(self, code: str, line: str) -> str:
        return f"\x1b[{code}m{line}\x1b[0m" if self.colored and line.strip() else line


PLAIN = Style()


def style_of(stream: TextIO, environment: Mapping[str, str]) -> Style:
    """Color on a terminal, unless NO_COLOR or TERM says otherwise; Unicode where it is encoded."""
    wanted = not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
    try:
        SAMPLE.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return Style(stream.isatty() and wanted, unicode=False)
    return Style(stream.isatty() and wanted)


def columns_of(stream: TextIO) -> int:
    """The width of the terminal that a stream is, within reason; else 80."""
    if not stream.isatty():
        return WIDTH
    return min(max(shutil.get_terminal_size((WIDTH, 24)).columns, NARROWEST), WIDEST)


@dataclass(frozen=True)
class Row:
    """An equation: its sides, the rule that led there and why, its number, its matrix form.

    A note stands below it.
    """

    left: str
    right: str
    rule: str = ""
    number: str = ""
    matrix: tuple[str, str] | None = None
    why: str = ""
    note: str = ""
    is_cotangent: bool = False

    @property
    def tag(self) -> str:
        return f"({self.number})" if self.number else ""


class Layout:
    """So many columns, in a style."""

    def __init__(self, columns: int, style: Style) -> None:
        self.columns = columns
        self.style = style
        self.label = LABEL if columns >= 3 * LABEL else 0

    def listed(self, rows: Sequence[Row]) -> Iterator[str]:
        """Equations under one another, the matrix form of each beside or below it."""
        left = self._left([*rows, *(_below(row) for row in rows)])
        start = len(MARGIN) + left + 3
        ends = [start + width(r.right) for r in rows if r.matrix and not self._is_long(r)]
        beside = max((end for end in ends if end <= SHARE * self.columns), default=0) + GAP
        for row in rows:
            matrix = " = ".join(row.matrix or ())
            end = start + width(row.right)
            room = self.columns - beside - width(row.tag) - GAP
            if matrix and not self._is_long(row) and end + GAP <= beside and width(matrix) <= room:
                yield from self._block(row, left, 0, " " * (beside - end) + matrix)
            else:
                yield from self._block(row, left, 0)
                if row.matrix:
                    yield from self._block(_below(row), left, 0)
            if row.note:
                yield from self.sentence(row.note)

    def chained(self, rows: Sequence[Row]) -> Iterator[str]:
        """Equations with a column of rules before them, and below each why it holds."""
        left = self._left(rows)
        for row in rows:
            if row.rule and not self.label:
                yield MARGIN + self.style.rule(row.rule)
            yield from self._block(row, left, self.label)

    def titled(self, name: str, words: str) -> Iterator[str]:
        """The name of a cotangent, and what goes for it."""
        beside = f", {words}" if words else ""
        if width(name + beside) > self.columns:
            yield self.style.cotangent(name)
            yield from self.sentence(words)
        else:
            found = "".join(self.sentence(beside, "")) if beside else ""
            yield self.style.cotangent(name) + found

    def sentence(self, text: str, margin: str = MARGIN) -> Iterator[str]:
        """Words, broken between them, and the numbers of equations."""
        room = self.columns - len(margin)
        for line in lines(text, room, room):
            parts = enumerate(_NUMBER.split(line))
            yield margin + "".join(
                self.style.number(part) if k % 2 else self.style.aside(part) for k, part in parts
            )

    def _block(self, row: Row, left: int, label: int, matrix: str = "") -> Iterator[str]:
        """One equation on as many lines as it needs, the number on the last; why it holds."""
        start = HANGING if self._is_long(row) else left + 3
        room = self.columns - len(MARGIN) - label
        parts = self._broken(row.right + matrix, row.tag, room - start)
        pad = " " * (left - width(row.left))
        cells = [f"{pad}{self._left_side(row)} = {parts[0]}"]
        if self._is_long(row):
            cells = [f"{self._left_side(row)} =", " " * start + parts[0]]
        cells += [" " * (start + MORE) + part for part in parts[1:]]
        if row.tag:
            used = start + MORE * (len(parts) > 1) + width(parts[-1])
            cells[-1] += " " * (room - used - width(row.tag)) + self.style.number(row.tag)
        cells += self._reason(row.why, start, room)
        rules = textwrap.wrap(row.rule, label - 2) if label else []
        for rule, cell in zip_longest(rules, cells, fillvalue=""):
            line = MARGIN + self.style.rule(rule) + " " * (label - len(rule)) + cell
            yield line.rstrip(" ")

    def _reason(self, why: str, start: int, room: int) -> Iterator[str]:
        parts = lines(f"since {why}", room - start, room - start - HANGING) if why else []
        for k, part in enumerate(parts):
            yield " " * (start + HANGING * (k > 0)) + self.style.aside(part)

    def _broken(self, text: str, tag: str, room: int) -> list[str]:
        """The right side on lines, on the last of which there is room for the number."""
        parts = lines(text, room, room - MORE)
        last = width(parts[-1]) + (MORE if len(parts) > 1 else 0)
        if tag and last + 2 + width(tag) > room:
            room -= width(tag) + 2
            parts = lines(text, room, room - MORE)
        return parts

    def _left_side(self, row: Row) -> str:
        return self.style.cotangent(row.left) if row.is_cotangent else row.left

    def _is_long(self, row: Row) -> bool:
        return width(row.left) > LONG * self.columns

    def _left(self, rows: Sequence[Row]) -> int:
        """The columns of the left sides, those aside that have a line of their own."""
        return max((width(r.left) for r in rows if not self._is_long(r)), default=0)


def _below(row: Row) -> Row:
    """The matrix form of a row, as a row of its own."""
    left, right = row.matrix or ("", "")
    return replace(row, left=left, right=right, number="")
