"""A derivation as one HTML page that needs no network and no script.

The derivation stands beside the code, whose lines cite its equations by their numbers. An equation
is at home at `#eq-7`, a line of code at `#L120`; pointing at one lights the other, by a rule of CSS
for each number. Mathematics is MathML, and its font is within the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from derive.pages.document import (
    Block,
    Display,
    Document,
    Prose,
    Row,
    Section,
    Table,
    Verbatim,
    runs,
)
from derive.pages.html_code import Code, cited, listing, marks
from derive.pages.math_font import style
from derive.pages.mathml import mathml
from derive.render import render

DEEPEST = 6  # of the headings that HTML has
LISTED = 3  # parts of a section, from which on they are listed at its head

Line = tuple[Row, ...]


def html(document: Document, source: str = "", picture: str = "") -> str:
    """The page: the derivation, `source`, the text of the module made from it, and an inline SVG.

    Raises DeriveError where `source` is no Python.
    """
    page = Page(document, cited(source))
    sections = [page.section(section, 2) for section in document.sections]
    slugs = [slug for slug, _ in sections]
    contents = map(page.entry, document.sections, slugs)
    return render(
        "page.html.jinja",
        title=escape(document.title),
        font=style(),
        rules=tuple(page.lighting()),
        start=page.start(),
        contents=tuple(contents),
        pictures=(picture,) if picture else (),
        sections=tuple(text for _, text in sections),
        listings=(listing(page.code, page.homes),) if source else (),
    )


class Page:
    """A page while it is written: where its numbers lead, and the ids that it has given."""

    def __init__(self, document: Document, code: Code) -> None:
        self.code = code
        self.homes = dict(_homes(document.sections))
        self.ids = {"code", *(f"eq-{n}" for n in self.homes)}

    def lighting(self) -> Iterator[str]:
        """Of each equation: what lights it when pointed at, and what is lit."""
        pointed = ":is(:hover,:target,:focus-within)"
        for n in dict.fromkeys(self.homes.values()):
            if "." not in n:
                number, group = marks([n]).split()
                yield (f":root:has(.{group}{pointed}):has(.{number}{pointed}) .{number}:not(.step)")

    def start(self) -> str:
        """The id of the line of code that computes the first equation."""
        return f"L{self.code.first.get('1', 1)}"

    # Sections.

    def section(self, section: Section, level: int) -> tuple[str, str]:
        """The id of a section, and its HTML."""
        slug = self.slug(section.title)
        parts = [self.section(part, level + 1) for part in section.parts]
        slugs = [part for part, _ in parts]
        entries = [self.symbol(s, part) for s, part in zip(section.parts, slugs, strict=True)]
        listed = f'<nav class="parts">{" ".join(entries)}</nav>' if len(parts) >= LISTED else ""
        heading = f"h{min(level, DEEPEST)}"
        return slug, "\n".join((
            f'<section aria-labelledby="{slug}">',
            f'<{heading} id="{slug}">{self.prose(section.title)}'
            f' <a class="here" href="#{slug}" aria-label="Link to this section">#</a></{heading}>',
            *map(self.block, section.blocks),
            listed,
            *(text for _, text in parts),
            "</section>",
        ))  # fmt: skip

    def slug(self, title: Prose) -> str:
        """An id that nothing else on the page has: `backward`, `bar-z-2`."""
        words = "-".join(re.findall(r"[a-z0-9]+", title.lower())) or "section"
        slug, k = words, 1
        while slug in self.ids:
            k += 1
            slug = f"{words}-{k}"
        self.ids.add(slug)
        return slug

    def entry(self, section: Section, slug: str) -> str:
        """A line of the contents: a title as far as a comma or parenthesis, without its links."""
        shown = []
        for kind, text in runs(section.title):
            head, *more = re.split(r" ?[,(]", text, maxsplit=1) if kind == "text" else [text]
            shown.append(self.run(kind, head, linked=False))
            if more:
                break
        return f'<a href="#{slug}">{"".join(shown)}</a>'

    def symbol(self, section: Section, slug: str) -> str:
        """An entry of the list of a section's parts: the symbol in a title, where there is one."""
        first = next((text for kind, text in runs(section.title) if kind == "mathematics"), "")
        return f'<a href="#{slug}">{mathml(first)}</a>' if first else self.entry(section, slug)

    # Blocks.

    def block(self, block: Block) -> str:
        match block:
            case Display():
                return self.display(block)
            case Table():
                return self.table(block)
            case Verbatim():
                return f'<pre class="given">{escape(chr(10).join(block.lines))}</pre>'
        return f"<p>{self.prose(block)}</p>"

    def table(self, table: Table) -> str:
        heads = "".join(f'<th scope="col">{self.prose(head)}</th>' for head in table.heads)
        rows = "\n".join(
            f"<tr>{''.join(f'<td>{self.prose(cell)}</td>' for cell in row)}</tr>"
            for row in table.rows
        )
        return (
            f'<div class="wide"><table>\n<thead><tr>{heads}</tr></thead>\n'
            f"<tbody>\n{rows}\n</tbody></table></div>"
        )

    def prose(self, prose: Prose, *, display: bool = False) -> str:
        """Text with its markup; all else in it is escaped. `display` has large fractions."""
        return "".join(self.run(kind, text, display=display) for kind, text in runs(prose))

    def run(self, kind: str, text: str, *, linked: bool = True, display: bool = False) -> str:
        match kind:
            case "mathematics":
                return mathml(text, display=display)
            case "emphasis":
                return f"<em>{escape(text)}</em>"
            case "code":
                return f"<code>{escape(text)}</code>"
            case "number" if linked and text in self.homes:
                return f'<a href="#eq-{self.homes[text]}">({text})</a>'
            case "number":
                return f"({text})"
        return escape(text)

    # Displays.

    def display(self, display: Display) -> str:
        """A grid, one element for each equation however many lines it has."""
        paired = any(len(line) > 1 and (line[1].left or line[1].right) for line in display.lines)
        kind = "ruled" if display.ruled else "paired" if paired else "plain"
        equations, number = [], ""
        for lines in _equations(display):
            number = next((row.number for line in lines for row in line if row.number), number)
            equations.append(self.equation(lines, number, display.ruled))
        return f'<div class="display {kind}">\n{"".join(equations)}</div>'

    def equation(self, lines: list[Line], belongs: str, ruled: bool) -> str:
        """The lines of an equation; one without a number belongs to the one before it."""
        rows = [row for line in lines for row in line]
        numbered = next((row for row in rows if row.number), Row())
        number = numbered.number
        home = bool(number) and self.homes.get(number) == number and numbered.home
        whole, _, step = (number or belongs).partition(".")
        role = "line" if number and not step else "line step"
        parts = [f'<span id="eq-{n}"></span>' for row in rows if row.home for n in row.also]
        parts += [f'<span class="rule">{escape(rows[0].rule)}</span>'] if ruled else []
        parts += [form for line in lines for form in _forms(line)]
        parts += [self.number(number, home)] if number else []
        notes = [self.prose(row.note, display=True) for row in rows if row.note]
        parts += [f'<p class="note">{note}</p>' for note in notes]
        id_ = f' id="eq-{number}"' if home else ""
        classes = f"{role} {marks([whole])}" if whole else role
        return f'<div{id_} class="{classes}">{"".join(parts)}</div>\n'

    def number(self, number: str, home: bool) -> str:
        """Where an equation is at home, a link to the code that computes it; elsewhere to there."""
        line = self.code.first.get(number.partition(".")[0])
        target = f"L{line}" if home and line else f"eq-{self.homes.get(number, '')}"
        href = f' href="#{target}"' if number in self.homes else ""
        return f'<a class="number"{href}>({number})</a>'


def _forms(line: Line) -> Iterator[str]:
    """What stands on a line: one form of an equation or, side by side, two."""
    forms = [row for row in line if row.left or row.right]
    for place, row in zip(("one", "two") if len(forms) > 1 else ("",), forms, strict=False):
        sides = (("left", row.left), ("sign", row.sign), ("right", row.right))
        shown = "".join(
            f'<span class="{side}">{mathml(latex, display=True) if latex else ""}</span>'
            for side, latex in sides
        )
        yield f'<span class="{f"eq {place}".strip()}">{shown}</span>'


def _equations(display: Display) -> list[list[Line]]:
    """The lines of each equation: one without a side to the left continues the one before.

    A number ends an equation; what is left is a note on it.
    """
    found: list[list[Line]] = []
    ended = True
    for line in display.lines:
        note = not any(row.left or row.right for row in line)
        begins = any(row.left or row.sign or row.rule for row in line)
        if found and (note or not (ended or begins)):
            found[-1].append(line)
        else:
            found.append([line])
        if not note:
            ended = any(row.number for row in line)
    return found


def _homes(sections: tuple[Section, ...]) -> Iterator[tuple[str, str]]:
    """All numbers that are at home in these sections, each with that of its row."""
    for section in sections:
        for block in section.blocks:
            for line in block.lines if isinstance(block, Display) else ():
                for row in line:
                    if row.home and row.number:
                        yield from ((n, row.number) for n in (row.number, *row.also))
        yield from _homes(section.parts)
