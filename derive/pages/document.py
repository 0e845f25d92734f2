"""A derivation as a document, before it is LaTeX, HTML or Markdown.

Mathematics is LaTeX as `latex_printer` writes it; `Prose` is text with a little markup:

    $x$     mathematics             *x*     emphasis
    `x`     a name or code          (#7)    the number of an equation, a link to where it stands

Text of users reaches a document as `Document.title`, in `Verbatim`, or as a name in backquotes: a
name has letters, digits, dots and underscores alone. A view escapes all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

Prose = str

_MARKUP = re.compile(r"\$([^$]*)\$|\*([^*]+)\*|`([^`]*)`|\(#([\w.]+)\)")
KINDS = ("mathematics", "emphasis", "code", "number")


@dataclass(frozen=True)
class Row:
    """One line of a display: `left sign right`, the rule that led there, its number.

    `home` says that the equation of this number stands here; elsewhere the number is a link to it.
    `also` are the numbers of equations that are at home here too: this one in other layers. `note`
    is prose: why the rule holds here, or what goes for other layers. A row of a note alone has
    neither sides nor sign.
    """

    left: str = ""
    right: str = ""
    rule: str = ""
    number: str = ""
    home: bool = True
    sign: str = "="
    note: Prose = ""
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Display:
    """Equations aligned at their signs. On a line stand one row or, side by side, two.

    Where `ruled`, each line has one row, whose rule stands before it.
    """

    lines: tuple[tuple[Row, ...], ...]
    ruled: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells, as many as there are heads."""

    heads: tuple[Prose, ...]
    rows: tuple[tuple[Prose, ...], ...]


@dataclass(frozen=True)
class Verbatim:
    """Lines as a user wrote them."""

    lines: tuple[str, ...]


Block = Prose | Display | Table | Verbatim


@dataclass(frozen=True)
class Section:
    """A heading, what stands under it, and the sections within it."""

    title: Prose
    blocks: tuple[Block, ...] = ()
    parts: tuple[Section, ...] = ()


@dataclass(frozen=True)
class Document:
    """All that a page of a derivation says; `title` is free text."""

    title: str
    sections: tuple[Section, ...]


def rules(display: Display) -> list[list[tuple[Row, ...]]]:
    """The lines of each rule: one without a name goes on with the equation before it."""
    found: list[list[tuple[Row, ...]]] = []
    for line in display.lines:
        if found and not (line[0].left or line[0].sign or line[0].rule):
            found[-1].append(line)
        else:
            found.append([line])
    return found


def runs(prose: Prose) -> Iterator[tuple[str, str]]:
    """The parts of prose: ("text", ...) or one of `KINDS` and what is marked so."""
    end = 0
    for found in _MARKUP.finditer(prose):
        if found.start() > end:
            yield "text", prose[end : found.start()]
        assert found.lastindex is not None
        yield KINDS[found.lastindex - 1], found[found.lastindex]
        end = found.end()
    if end < len(prose):
        yield "text", prose[end:]


def words(prose: Prose) -> str:
    """Prose without its markup."""
    return "".join(content for _, content in runs(prose))
