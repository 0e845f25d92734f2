"""Where a line of text ends: an equation that is too long, broken at its operators.

    z_bar[n,k] = sum[n_1](x[n_1,k]*w[k]) + b[k]    ->    sum[n_1](x[n_1,k]*w[k])
                                                           + b[k]

A line ends before a sign, outside of as many parentheses as possible. Put side by side, the lines
are the text again, but for spaces.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator

DEEPER = 0.9  # of a line: how much of it is left empty to break outside one pair of parentheses
NEXT = 0.4  # of that: the same for each pair within the first
# How much worse it is than between terms: between factors, before a fraction's line, a comparison.
BETWEEN, OVER, COMPARED = 0.55, 0.8, 1.5
WHOLE = 3  # the same for a derivative, dz/dx
_FIRST = frozenset((*"+−-=∧∨⊙⊘", "if", "else", "and", "or", "where"))  # of a line, at best
_SIGNS = frozenset((*"+−-=<>≤≥≠∧∨⊙⊘*@", "==", "!=", "<=", ">=", "//"))
_WORDS = frozenset(("if", "else", "and", "or", "not", "mod", "where", "since"))
# What opens and closes; between brackets an index or a condition is best kept on one line.
_DEPTH = {"(": 1, ")": -1, "{": 1, "}": -1, "⌊": 1, "⌋": -1, "[": 2, "]": -2}
_TIMES = re.compile(r"·|(?<!\*)\*(?!\*)|(?<!/)/(?!/)(?=.)")


def width(text: str) -> int:
    """The columns that a text takes: marks over a letter take none."""
    return sum(1 for c in text if not unicodedata.combining(c))


def lines(text: str, first: int, rest: int) -> list[str]:
    """The text on lines of at most `first` columns, then `rest`."""
    out = []
    room = first
    while width(text) > room:
        end = _end(text, room)
        out.append(text[:end].rstrip(" "))
        text = text[end:].lstrip(" ")
        room = rest
    return [*out, text]


def _end(text: str, room: int) -> int:
    """Where the first line is best ended."""
    best, found = -math.inf, 0
    for place, depth in _places(text):
        used = width(text[:place].rstrip(" "))
        if used > room:
            break
        value = used / room - DEEPER * min(depth, 1 + NEXT * (depth - 1))
        if place and value >= best:
            best, found = value, place
    return found or _cut(text, room)


def _cut(text: str, room: int) -> int:
    """Where a text has to be cut that ends nowhere; a mark stays with its letter."""
    place = next(k for k in range(len(text) + 1) if width(text[:k]) > room) - 1
    return max(place, 1)


def _places(text: str) -> Iterator[tuple[int, float]]:
    """Where a line may end, and how bad that is: as deep as it stands in parentheses.

    Between two factors it is worse than between two terms, after a comma better.
    """
    depth = least = 0
    places: list[tuple[int, float]] = []
    start = 0  # of the word
    for k, c in enumerate(text):
        depth += _DEPTH.get(c, 0)
        least = min(least, depth)
        if c == " ":
            word, start = text[start:k], k + 1
            if _may_end(word):
                places.append((k, depth + _worse(word, text[start:], depth)))
        elif k and _TIMES.match(text, k):
            over = WHOLE if text[k + 1] == "∂" else OVER
            places.append((k, depth + (over if c == "/" else BETWEEN)))
    yield from ((place, depth - least) for place, depth in places)


def _may_end(word: str) -> bool:
    """Whether a line may end after a word: not after a sign, nor after that of a sum."""
    bare = word.lstrip("([{−-")
    return bool(bare) and bare[0] not in "∑∏" and bare not in _SIGNS and bare not in _WORDS


def _worse(word: str, rest: str, depth: int) -> float:
    """Of the end of a line between a word and the rest, as against one between two terms."""
    if word.endswith((",", ";")):
        return 0.0 if depth else -0.5
    following = rest.split(" ", 1)[0]
    return 0.0 if following in _FIRST else COMPARED if following in _SIGNS else BETWEEN
