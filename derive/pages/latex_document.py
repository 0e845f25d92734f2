"""A document as LaTeX, for pdflatex with texlive-latex-base alone.

Nothing is measured by TeX: the widths that `latex_layout` estimates decide where lines and cells
are broken, so that a document compiles without an overfull box.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from derive.pages.derivation_sections import LABEL
from derive.pages.document import (
    Block,
    Display,
    Document,
    Prose,
    Row,
    Section,
    Table,
    Verbatim,
    rules,
    runs,
)
from derive.printing.latex_layout import LINE, tokens, width
from derive.printing.latex_names import escaped
from derive.render import render

CHARACTER, TYPED = 5.2, 5.4  # in points: a letter of text, of typewriter
_UNPLAIN = re.compile(r"[^A-Za-z0-9\u00c0-\u017e .,:;()+/'-]")  # what a PDF's title leaves out
SMALL = 0.85  # of the usual size: a note below a rule
TALL = (r"\frac", r"\begin", r"\sum", r"\operatorname*")  # not to be set small
GAP = 8.0  # between two columns of a table
TOGETHER = 8  # a chain of no more lines stays on one page


@dataclass(frozen=True)
class Passage:
    """A section, finished: its heading, what stands under it, and the sections within it."""

    heading: str
    blocks: tuple[str, ...]
    parts: tuple[Passage, ...]


def latex(document: Document) -> str:
    """A complete document that pdflatex compiles."""
    return render(
        "derivation.tex.jinja",
        title=escaped(" ".join(document.title.split())),
        plain=_UNPLAIN.sub("", document.title),
        sections=tuple(_section(section) for section in document.sections),
    )


def _section(section: Section) -> Passage:
    heading = r"\section*"
    if section.blocks and isinstance(section.blocks[0], Display | Table):
        heading = r"\displays" if isinstance(section.blocks[0], Display) else r"\tables"
    return Passage(
        heading=f"{heading}{{{_prose(section.title)}}}",
        blocks=_blocks(section.blocks),
        parts=tuple(_part(part) for part in section.parts),
    )


def _part(section: Section) -> Passage:
    heading = rf"\cotangent{{{_prose(section.title)}}}"
    return Passage(heading, _blocks(section.blocks), ())


def _blocks(blocks: Sequence[Block]) -> tuple[str, ...]:
    """The blocks; a display goes on with the paragraph before it."""
    following = (*blocks[1:], "")
    return tuple(
        _block(block) + r"\par" * (isinstance(block, str) and not isinstance(after, Display))
        for block, after in zip(blocks, following, strict=False)
    )


def _block(block: Block) -> str:
    match block:
        case str():
            return _prose(block)
        case Display():
            return _display(block)
        case Table():
            return _table(block)
        case Verbatim():
            lines = " \\\\\n".join(map(_typed, block.lines))
            return f"\\begin{{flushleft}}\\small\n{lines}\n\\end{{flushleft}}"


def _prose(prose: Prose) -> str:
    return "".join(_run(kind, content) for kind, content in runs(prose))


def _run(kind: str, content: str) -> str:
    match kind:
        case "mathematics":
            return f"${content}$"
        case "emphasis":
            return rf"\emph{{{escaped(content)}}}"
        case "code":
            return _typed(content)
        case "number":
            return rf"(\eqlink{{{content}}})"
    return escaped(content)


def _typed(code: str) -> str:
    """A name or a line of the formula language, in typewriter, with places to break it."""
    return rf"\texttt{{{''.join(map(_typed_character, code))}}}"


def _typed_character(c: str) -> str:
    if c == " ":
        return r"\ "
    return escaped(c) if c.isalnum() else escaped(c) + r"\allowbreak{}"


# Displays.


def _display(display: Display) -> str:
    room = LINE - max(width(line[0].left) for line in display.lines) - 20.0
    if display.ruled:
        by_rule = ([line[0] for line in lines] for lines in rules(display))
        texts = [text for rows in by_rule for text in _ruled(rows, room - LABEL)]
    else:
        texts = [_line(line, room) for line in display.lines]
    end = " \\\\*\n" if display.ruled and len(texts) <= TOGETHER else " \\\\\n"
    columns = len(display.lines[0]) + display.ruled
    return f"\\begin{{alignat*}}{{{columns}}}\n{end.join(texts)}\n\\end{{alignat*}}"


def _line(line: Sequence[Row], room: float) -> str:
    first = line[0]
    if first.note:
        return rf"&{_boxed(first.note, room)}"
    return r" & \qquad ".join(map(_sides, line)) + _tag(first)


def _ruled(rows: Sequence[Row], room: float) -> Iterator[str]:
    """The rule and the equation; below the one, if it is narrow, or the other, why it holds."""
    note = rows[0].note
    narrow = _widest(note) <= LABEL and not _is_tall(note)
    for row in rows:
        label = rf"\rulename{{{escaped(row.rule)}}}"
        if row.note and narrow:
            label = rf"\rulenote{{{escaped(row.rule)}}}{{{_prose(note)}}}"
        yield rf"&{label} & {_sides(row)}{_tag(row)}"
    if note and not narrow:
        yield rf"&& & {_boxed(note, room)}"


def _sides(row: Row) -> str:
    return f"{row.left} &{row.sign} {row.right}"


def _boxed(note: Prose, room: float) -> str:
    return rf"\rlap{{\parbox[t]{{{room:.0f}pt}}{{\raggedright\small {_displayed(note)}}}}}"


def _displayed(note: Prose) -> str:
    """Prose with large fractions and sums."""
    return "".join(
        rf"$\displaystyle {content}$" if _is_tall(content) else _run(kind, content)
        for kind, content in runs(note)
    )


def _is_tall(note: Prose) -> bool:
    return any(sign in note for sign in TALL)


def _widest(note: Prose) -> float:
    """The width of the widest part that TeX does not break, in small type."""
    formulas = (content for kind, content in runs(note) if kind == "mathematics")
    parts = (part for formula in formulas for part in _sides_of(formula))
    return max((SMALL * (width(part) + 15.0) for part in parts), default=0.0)


def _sides_of(formula: str) -> list[str]:
    """The parts between signs of equality, those within braces and environments aside."""
    parts, depth = [""], 0
    for token in tokens(formula):
        depth += (token in ("{", r"\begin")) - (token in ("}", r"\end"))
        if token == "=" and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    return parts


def _tag(row: Row) -> str:
    if not row.number:
        return ""
    number = rf"\{'eqtarget' if row.home else 'eqlink'}{{{row.number}}}"
    also = "".join(rf"\hypertarget{{eq{k}}}{{}}" for k in row.also) if row.home else ""
    return rf" \tag{{{also}{number}}}"


# Tables.


def _table(table: Table) -> str:
    """A table that may go on on the next page, its columns no wider together than a line."""
    columns = tuple(zip(table.heads, *table.rows, strict=True))
    natural = [max(map(_width, column)) + 2.0 for column in columns]
    room = _shared(natural, LINE - GAP * (len(columns) - 1))
    wide = [n > r for n, r in zip(natural, room, strict=True)]
    widths = (f"C{{{r:.0f}pt}}" if w else "l" for w, r in zip(wide, room, strict=True))
    head, *rows = (
        " & ".join(_cell(*cell) for cell in zip(row, room, strict=True))
        for row in (table.heads, *table.rows)
    )
    body = " \\\\\n".join(rows)
    return (
        f"\\begin{{longtable}}{{@{{}}{''.join(widths)}@{{}}}}\n\\hline\n{head} \\\\\n"
        f"\\headline\n\\endhead\n\\hline\n\\endfoot\n{body} \\\\\n\\end{{longtable}}"
    )


def _shared(natural: Sequence[float], room: float) -> list[float]:
    """The width of each column: its own, or an equal part of what the narrower ones leave."""
    given = list(natural)
    if sum(natural) <= room:
        return given
    left, columns = room, sorted(range(len(natural)), key=natural.__getitem__)
    for k, column in enumerate(columns):
        given[column] = min(natural[column], left / (len(columns) - k))
        left -= given[column]
    return given


def _cell(prose: Prose, room: float) -> str:
    """A cell; mathematics that is wider than its column is set smaller."""
    shown = []
    for kind, content in runs(prose):
        over = width(content) / room if kind == "mathematics" else 1.0
        size = r"\tiny " if over > 1.4 else r"\scriptsize " if over > 1.0 else ""
        run = _run(kind, content)
        shown.append(f"{{{size}{run}}}" if size else run)
    return "".join(shown)


def _width(prose: Prose) -> float:
    return sum(_run_width(kind, content) for kind, content in runs(prose))


def _run_width(kind: str, content: str) -> float:
    match kind:
        case "mathematics":
            return width(content)
        case "code":
            return TYPED * len(content)
    return CHARACTER * (len(content) + 2 * (kind == "number"))
