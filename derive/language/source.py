"""Text with places in it, so that an error can show where it is.

formula.txt:2:14: unknown function `sigmod`
    a[n,j] = sigmod(z[n,j])
             ^^^^^^
Did you mean `sigmoid`?
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from derive.language.notation import DeriveError

_LONGEST_SHOWN = 120


class FormulaError(DeriveError):
    """A formula that cannot be read. `place` is where in its text, None if nowhere in particular.

    `message` says what is wrong and `hint` what to do; the error's own text has both, and the line
    with a caret between them.
    """

    def __init__(
        self, text: str, message: str = "", hint: str = "", place: Place | None = None
    ) -> None:
        super().__init__(text)
        self.message = message or text
        self.hint = hint
        self.place = place


@dataclass(frozen=True)
class Source:
    """The lines of a text; `first_line` is the number of the first one in its file."""

    lines: tuple[str, ...]
    filename: str = "<formula>"
    first_line: int = 1

    def place(self, line: int, column: int, width: int = 1) -> Place:
        """The place at a line and column, both counted from 0."""
        return Place(self, line, column, width)


@dataclass(frozen=True)
class Place:
    """A piece of one line of a source."""

    source: Source
    line: int
    column: int
    width: int = 1

    @property
    def number(self) -> int:
        """The line's number in its file."""
        return self.source.first_line + self.line

    def error(self, message: str, hint: str = "") -> FormulaError:
        """The error that shows this place: where and what, the line, a caret, what to do."""
        line = self.source.lines[self.line]
        shown = "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in line)
        start = len(shown) - len(shown.lstrip())
        if self.column - start > _LONGEST_SHOWN:
            start = self.column - _LONGEST_SHOWN // 2
        start = min(start, self.column)
        shown = shown[start:].rstrip()[:_LONGEST_SHOWN]
        column = self.column - start
        width = max(1, min(self.width, len(shown) - column))
        parts = [
            f"{self.source.filename}:{self.number}:{self.column + 1}: {message}",
            f"    {shown}",
            f"    {' ' * column}{'^' * width}",
        ]
        text = "\n".join([*parts, hint] if hint else parts)
        return FormulaError(text, message, hint, self)


def printable(text: str) -> str:
    """Text with what does not print as its escape: no terminal and no page is steered by it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def suggestion(name: str, known: Iterable[str]) -> str:
    """`Did you mean ...?` for a misspelled name, or nothing."""
    by_lower = {k.lower(): k for k in sorted(known)}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"Did you mean `{by_lower[near[0]]}`?" if near else ""
