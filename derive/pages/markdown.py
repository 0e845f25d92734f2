"""A document as GitHub-flavored Markdown, its displays in fences of `math`.

GitHub sets these with MathJax, where `\\tag` is not allowed within `aligned`: the number of an
equation is a column of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

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

_MARKS = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>&~$])")


def markdown(document: Document) -> str:
    """The document as the text of a `.md` file."""
    title = _escaped(" ".join(document.title.split()))
    parts = [f"# {title}", *(part for s in document.sections for part in _section(s, "##"))]
    return "\n\n".join(parts) + "\n"


def _mathematics(latex: str) -> str:
    """LaTeX without `\\operatorname`, which GitHub refuses."""
    latex = re.sub(r"\\operatorname\*\{([^}]*)\}", r"\\mathop{\\mathrm{\1}}\\limits", latex)
    return re.sub(r"\\operatorname\{([^}]*)\}", r"\\mathop{\\mathrm{\1}}\\nolimits", latex)


def _section(section: Section, level: str) -> list[str]:
    parts = [f"{level} {_prose(section.title)}", *map(_block, section.blocks)]
    return parts + [part for inner in section.parts for part in _section(inner, f"{level}#")]


def _block(block: Block) -> str:
    match block:
        case str():
            return _prose(block)
        case Display():
            return _display(block)
        case Table():
            return _table(block)
        case Verbatim():
            return _fenced("", "\n".join(block.lines))


def _fenced(language: str, text: str) -> str:
    """Between fences that are longer than any run of backquotes in the text."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", f"`{text}")))
    return f"{fence}{language}\n{text}\n{fence}"


def _prose(prose: Prose) -> str:
    return "".join(_run(kind, content) for kind, content in runs(prose))


def _run(kind: str, content: str) -> str:
    match kind:
        case "mathematics":
            return f"$`{_mathematics(content)}`$"
        case "emphasis":
            return f"*{_escaped(content)}*"
        case "code":
            return f"`{content}`"
        case "number":
            return f"({content})"
    return content


def _escaped(text: str) -> str:
    return _MARKS.sub(r"\\\1", text)


def _display(display: Display) -> str:
    lines = (text for some in rules(display) for text in _lines(some, display.ruled))
    body = _mathematics(" \\\\\n".join(lines))
    return _fenced("math", f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}")


def _lines(lines: Sequence[Sequence[Row]], ruled: bool) -> Iterator[str]:
    """The lines of an equation, then what is noted on it."""
    yield from (_line(line, ruled) for line in lines if line[0].left or line[0].right)
    before = "& & & " if ruled else "& "
    yield from (before + _within(row.note) for line in lines for row in line if row.note)


def _line(line: Sequence[Row], ruled: bool) -> str:
    first = line[0]
    rule = rf"&\textit{{{first.rule}}} & " if ruled else ""
    sides = r" & \qquad ".join(f"{row.left} &{row.sign} {row.right}" for row in line)
    number = f" && ({first.number})" if first.number else ""
    return rule + sides + number


def _within(note: Prose) -> str:
    """Prose within mathematics."""
    shown = []
    for kind, content in runs(note):
        number = f"({content})" if kind == "number" else content
        shown.append(content if kind == "mathematics" else rf"\text{{{number}}}")
    return "".join(shown)


def _table(table: Table) -> str:
    rows = [table.heads, tuple("---" for _ in table.heads), *table.rows]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _cell(prose: Prose) -> str:
    """A cell, in which a bar would begin the next one."""
    return _prose(prose).replace("|", r"\vert ")
