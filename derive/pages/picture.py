"""A graph as inline SVG: arrows downward for values, dashed ones upward for cotangents.

Every number is a link to the equation of that number on the page, every node to its first equation,
every dashed arrow to the cotangent that it stands for. Colours are the page's `--ink`, `--accent`,
`--paper` and `--muted`, each with a fallback. A node has the class `n7` for its equation (7), and
is lit in the colour `--on` where a rule of the page gives it one. There is no id in it. Widths of
texts are estimated, for there is no font here: what is too long is shortened in the middle, and
whole in its title.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from derive.pages.document import words
from derive.pages.graph import Edge, Graph, Node, runs
from derive.pages.graph_layout import Layout, Place, Point, layout
from derive.render import render

NAME, TEXT, CODE = 7.9, 6.1, 6.4  # widths of a character: the names', prose, formulas
ROW = 16.0  # the height of a line of text
PAD = 10.0  # between the border of a node and its text
WIDEST = 232.0  # of a node
APART = 4.5  # of an arrow and the cotangent's beside it, half of it
MARGIN = 6.0
LEGIBLE = 0.85  # the picture is drawn no smaller than this
LEGEND = {
    "forward": "values",
    "backward": "cotangents",
    "forward recurrent": "of another step",
}


@dataclass(frozen=True)
class Line:
    """A line of text in a node; `text` is finished SVG."""

    kind: str
    x: str
    y: str
    text: str


@dataclass(frozen=True)
class Box:
    """A node as the template reads it: a link around rectangle and text, then the numbers."""

    kind: str
    title: str
    opening: str
    closing: str
    left: str
    top: str
    width: str
    height: str
    lines: tuple[Line, ...]
    numbers: tuple[Line, ...]


@dataclass(frozen=True)
class Arrow:
    """The arrows of one node to all that read it, or those of the cotangent that come back."""

    kind: str
    title: str
    opening: str
    closing: str
    path: str
    areas: tuple[str, ...]  # where a pointer meets a dashed line
    heads: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """An entry of the legend."""

    kind: str
    path: str
    head: str
    x: str
    y: str
    text: str


@dataclass(frozen=True)
class Picture:
    """What the template reads: finished text, field by field."""

    title: str
    width: str
    height: str
    narrowest: str
    arrows: tuple[Arrow, ...]
    nodes: tuple[Box, ...]
    legend: tuple[Entry, ...]


def picture(graph: Graph) -> str:
    """The graph as an `svg` element, for a page on which equation (7) stands at `eq-7`."""
    texts = {node.name: _Text(node) for node in graph.nodes}
    layers = [
        t.width for node, t in zip(graph.nodes, texts.values(), strict=True) if node.kind == "layer"
    ]
    same = max(layers, default=0.0)
    sizes = {
        node.name: (max(text.width, same * (node.kind in ("layer", "dots", "loss"))), text.height)
        for node, text in zip(graph.nodes, texts.values(), strict=True)
    }
    found = layout(graph, sizes)
    width = max(found.width, 170.0) + 2 * MARGIN
    height = found.height + 2 * MARGIN + 1.75 * ROW
    drawn = Picture(
        title=escape(graph.title),
        width=_number(width),
        height=_number(height),
        narrowest=_number(LEGIBLE * width),
        arrows=tuple(_arrows(graph, found)),
        nodes=tuple(texts[node.name].box(found.places[node.name]) for node in graph.nodes),
        legend=tuple(_legend(graph, height - MARGIN - 3)),
    )
    return render("picture.svg.jinja", picture=drawn)


def shortened(text: str, most: int) -> str:
    """At most so many characters, an ellipsis in the middle for what is left out."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


class _Text:
    """What is written in a node, and how much room that takes."""

    def __init__(self, node: Node) -> None:
        self.node = node
        room = WIDEST - 2 * PAD
        self.called = "⋮ " * (node.kind == "dots") + (node.heading or node.name)
        self.name = shortened(self.called, int(room / NAME))
        self.whole = f"{node.tensor}: {node.shape}" if node.tensor else node.shape
        self.shape = shortened(self.whole, int(room / TEXT))
        first = NAME * len(self.name) + TEXT * len(self.shape) + 1.5 * PAD
        self.beside = bool(node.shape) and first <= room
        details = [self.shape] * (not self.beside) + [
            shortened(words(d), int(room / TEXT)) for d in node.details
        ]
        most = 0 if node.kind == "dots" else int(room / TEXT)
        self.rows = [("detail", text) for text in _packed(details, most)]
        if node.formula:
            self.rows.append(("formula", shortened(node.formula, int(room / CODE))))
        ends = _plain(node.forward), _plain(node.backward) + "∂ " * bool(node.backward)
        counted = TEXT * sum(map(len, ends)) + PAD * all(ends)
        self.stacked = counted > room
        numbers = [TEXT * max(map(len, ends))] if self.stacked else [counted]
        widths = [first if self.beside else NAME * len(self.name), *numbers]
        widths += [(CODE if kind == "formula" else TEXT) * len(text) for kind, text in self.rows]
        self.width = max(widths) + 2 * PAD
        below = bool(node.forward or node.backward) + self.stacked
        self.height = ROW * (1 + len(self.rows) + below) + 8

    def box(self, place: Place) -> Box:
        """The node where it stands."""
        node = self.node
        left, right = place.left + PAD + MARGIN, place.right - PAD + MARGIN
        ys = [_number(place.top + MARGIN + 3 + ROW * k - 4) for k in range(1, 9)]
        lines = [Line("name", _number(left), ys[0], escape(self.name))]
        if self.beside:
            lines.append(Line("shape end", _number(right), ys[0], escape(self.shape)))
        for (kind, text), y in zip(self.rows, ys[1:], strict=False):
            lines.append(Line(kind, _number(left), y, escape(text)))
        y = ys[1 + len(self.rows)]
        numbers = []
        if node.forward:
            text = self.linked(node.forward)
            numbers.append(Line("numbers forward", _number(left), y, text))
            y = ys[2 + len(self.rows)] if self.stacked else y
        if node.backward:
            text = f"∂ {self.linked(node.backward)}"
            numbers.append(Line("numbers backward end", _number(right), y, text))
        own = (*node.forward, *node.backward) * (node.kind != "dots")
        kinds = [node.kind, *(f"n{k}" for k in own)]
        opening, closing = _link((*node.forward, *node.backward)[:1])
        about = [": ".join(filter(None, (self.called, self.whole))), node.note]
        return Box(
            " ".join(kinds),
            escape("\n".join(filter(None, about))),
            opening,
            closing,
            _number(place.left + MARGIN),
            _number(place.top + MARGIN),
            _number(place.width),
            _number(place.height),
            tuple(lines),
            tuple(numbers),
        )

    def linked(self, numbers: Sequence[int]) -> str:
        """(1)–(3), (7), each end a link."""
        out = ""
        for sign, number in _ranges(numbers):
            opening, closing = _link((number,) * bool(number))
            out += f"{sign}{opening}({number}){closing}" if number else sign
        return out


def _packed(texts: Iterable[str], most: int) -> list[str]:
    """Texts side by side on as few lines as hold them."""
    lines: list[str] = []
    for text in filter(None, texts):
        if lines and len(lines[-1]) + len(text) + 3 <= most:
            lines[-1] += f" · {text}"
        else:
            lines.append(text)
    return lines


def _plain(numbers: Sequence[int]) -> str:
    return "".join(f"{sign}({number})" if number else sign for sign, number in _ranges(numbers))


def _ranges(numbers: Sequence[int]) -> Iterator[tuple[str, int]]:
    """The ends of runs of numbers, each with what stands before it; of many runs some are left out.

    1, 2, 3, 7  ->  ("", 1) ("–", 3) (", ", 7)
    """
    found = runs(numbers)
    for k, run in enumerate(found):
        if len(found) > 3 and 0 < k < len(found) - 1:
            if k == 1:
                yield ", …", 0
            continue
        yield ", " if k else "", run[0]
        if len(run) > 1:
            yield ", " if len(run) == 2 else "–", run[-1]


def _link(numbers: Sequence[int]) -> tuple[str, str]:
    """The tags around a link to the first number, empty where there is none."""
    return (f'<a href="#eq-{numbers[0]}">', "</a>") if numbers else ("", "")


# Arrows.


def _arrows(graph: Graph, found: Layout) -> Iterator[Arrow]:
    """The arrows of each node; where edges share a lane, it is drawn once."""
    bundles: dict[tuple[str, bool], list[Edge]] = {}
    for edge in found.ways:
        bundles.setdefault((edge.tail, edge.recurrent), []).append(edge)
    for (tail, recurrent), edges in bundles.items():
        values = [e for e in edges if e.forward]
        back = [e for e in edges if e.backward]
        apart = APART if values and back else 0.0
        kind = " recurrent" * recurrent
        if values:
            ways = [found.ways[e] for e in values]
            heads = dict.fromkeys(_head(w, not recurrent, -apart) for w in ways)
            names = ", ".join(e.head for e in values)
            title = escape(f"{names} read{'s' * (len(values) == 1)} {tail}")
            path = " ".join(_curves(ways, -apart))
            yield Arrow(f"forward{kind}", title, "", "", path, (), tuple(heads))
        if back:
            ways = [found.ways[e] for e in back]
            heads = dict.fromkeys(_head(w, recurrent, apart) for w in ways)
            number = back[0].number
            title = escape(f"the cotangent of {tail}" + f", equation ({number})" * bool(number))
            opening, closing = _link((number,) * bool(number))
            path = " ".join(_curves(ways, apart))
            areas = (path,) * bool(opening)
            yield Arrow(f"backward{kind}", title, opening, closing, path, areas, tuple(heads))


def _curves(ways: Sequence[Sequence[Point]], aside: float) -> Iterator[str]:
    """The pieces of the ways, each once, moved aside; tangents at their ends are vertical."""
    pieces = dict.fromkeys(p for way in ways for p in pairwise(way))
    for (x0, y0), (x1, y1) in pieces:
        x0, x1, y0, y1 = x0 + aside + MARGIN, x1 + aside + MARGIN, y0 + MARGIN, y1 + MARGIN
        start = f"M{_number(x0)} {_number(y0)}"
        if abs(x1 - x0) < 0.05:
            yield f"{start}V{_number(y1)}"
            continue
        # Where the way is nearly level, the two lines are kept apart by their heights.
        steep = max(-1.0, min(1.0, (x1 - x0) / 60))
        middle = (y0 + y1) / 2 - aside * steep
        bends = " ".join(map(_number, (x0, middle, x1, middle, x1, y1)))
        yield f"{start}C{bends}"


def _head(way: Sequence[Point], downward: bool, aside: float) -> str:
    """The triangle at the lower or at the upper end of a way."""
    x, y = way[-1] if downward else way[0]
    return _triangle(x + aside + MARGIN, y + MARGIN, -7.0 if downward else 7.0)


def _triangle(x: float, y: float, long: float) -> str:
    points = ((x, y), (x - 3.2, y + long), (x + 3.2, y + long))
    return " ".join(f"{_number(a)},{_number(b)}" for a, b in points)


def _legend(graph: Graph, y: float) -> Iterator[Entry]:
    x = MARGIN + 4
    present = {"forward": any(e.forward for e in graph.edges)}
    present["backward"] = any(e.backward for e in graph.edges)
    present["forward recurrent"] = any(e.recurrent for e in graph.edges)
    for kind, text in LEGEND.items():
        if present[kind]:
            top, bottom = y - 12, y + 2
            tip = (bottom, -7.0) if kind == "forward" else (top, 7.0)
            path = f"M{_number(x)} {_number(top)}V{_number(bottom)}"
            yield Entry(kind, path, _triangle(x, *tip), _number(x + 9), _number(y - 1), text)
            x += 30 + TEXT * len(text)


def _number(value: float) -> str:
    """Two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
