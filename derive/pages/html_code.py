"""A module as highlighted lines of HTML, each citation a link to the equation that it cites.

    np.add(ws.z_1, ws.b_1, out=ws.z_1)  # (1)
    ->  <span id="L167" class="n1 g0">np.add(...)  <i class="c"># <a href="#eq-1">(1)</a></i></span>

The class of a line names the equations cited there, so that these and the line light each other.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape

from pygments.lexers.python import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType

from derive.code.citations import citations

# The classes of tokens, the first that fits; other tokens are plain.
_CLASSES = (
    (Comment, "c"),
    (Keyword, "k"),
    (Operator.Word, "k"),
    (String, "s"),
    (Number, "m"),
    (Name.Function, "f"),
    (Name.Class, "f"),
    (Name.Decorator, "f"),
)
_LEXER = PythonLexer(stripnl=False, ensurenl=False)
_NUMBER = re.compile("[0-9]+")
_ANY = "1011011101"  # in a piece whose numbers count for nothing: each of them
GROUP = 14  # equations, about as many as there are groups
_CITATION = re.compile(r"(?<=# )\([0-9l*+-]+\)")


@dataclass(frozen=True)
class Code:
    """The text of a module; by line the numbers of the equations cited there, and the reverse."""

    text: str
    cited: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    first: Mapping[str, int] = field(default_factory=dict)  # the first line that computes it


def cited(text: str) -> Code:
    """A module with its citations. Raises DeriveError where the text is no Python."""
    numbers: dict[int, dict[str, None]] = {}
    first: dict[str, int] = {}
    for citation in citations(text):
        found = [str(n) for n in citation.numbers]
        for line in range(citation.first, citation.last + 1):
            numbers.setdefault(line, {}).update(dict.fromkeys(found))
        if citation.function:  # not the list of equations at the top
            for n in found:
                first.setdefault(n, citation.first)
    return Code(text, {line: tuple(found) for line, found in numbers.items()}, first)


def marks(numbers: Collection[str]) -> str:
    """The classes by which an equation and its code find each other: its number, its group.

    A browser looks through the whole page for each rule of lighting; it does so for a group first.
    """
    groups = dict.fromkeys(f"g{int(n) // GROUP}" if n.isdigit() else "g" for n in numbers)
    return " ".join((*(f"n{n}" for n in numbers), *groups))


def listing(code: Code, homes: Mapping[str, str]) -> str:
    """The lines, one element each; `homes` gives for numbers those of the rows that show them."""
    shown = []
    for k, line in enumerate(_lines(code.text), 1):
        numbers = [*dict.fromkeys(homes[n] for n in code.cited.get(k, ()) if n in homes)]
        if numbers:
            link = rf'<a href="#eq-{numbers[0]}">\g<0></a>'
            line = _CITATION.sub(link, line, count=1)
        marked = f' class="{marks(numbers)}"' if numbers else ""
        shown.append(f'<span id="L{k}"{marked}>{line}\n</span>')
    return "".join(shown)


def _lines(text: str) -> list[str]:
    """The lines as HTML; a token on several lines is on each of them an element of its own."""
    return [line for piece in _pieces(text) for line in _highlighted(piece)]


def _pieces(text: str) -> Iterator[str]:
    """The lines, those together that a string in triple quotes goes over."""
    piece = ""
    for line in text.splitlines(keepends=True):
        piece += line
        if piece.count('"""') % 2 == 0:
            yield piece
            piece = ""
    yield from [piece] * bool(piece)


def _highlighted(piece: str) -> list[str]:
    """The lines of a piece; of pieces that differ in numbers alone the lexer reads one."""
    lines = _shape(_NUMBER.sub(_ANY, piece))
    numbers = iter(_NUMBER.findall(piece))
    return [re.sub(_ANY, lambda _: next(numbers), line) for line in lines]


@lru_cache(maxsize=4096)
def _shape(piece: str) -> tuple[str, ...]:
    lines = [""]
    for kind, value in _LEXER.get_tokens(piece):
        first, *others = (_element(kind, part) for part in value.split("\n"))
        lines[-1] += first
        lines += others
    return tuple(lines if lines[-1] else lines[:-1])


def _element(kind: _TokenType, text: str) -> str:
    known = next((name for token, name in _CLASSES if kind in token), "")
    return f'<i class="{known}">{escape(text)}</i>' if known and text.strip() else escape(text)
