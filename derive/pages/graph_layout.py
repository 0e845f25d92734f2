"""Where the nodes of a graph stand, from top to bottom, and the ways of its edges.

    depth       the longest path from an input, an input just above what first reads it; no layer
                is broader than a telephone, or little
    order       within a layer by the mean position of the neighbours, above and below in turn
    abscissas   near those of the neighbours, by least squares that keep order and distance
    ways        all long edges of a node share one lane, for which every layer between keeps a place

The layered drawing of Sugiyama, Tagawa and Toda (1981), without its search for the best order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from derive.pages.graph import Edge, Graph

GAP = 22.0  # between what stands side by side
LANE = 18.0  # the width of a lane: an arrow and a cotangent's beside it
BROAD = 500.0  # nodes that together are broader stand in two layers
SLOPE = 38.0  # the height between two layers
SWEEPS = 12
LIGHT = 1e-4  # the weight of what gives way to chains of nodes
CORNER = 16.0  # edges keep this distance from the corners of a node

Point = tuple[float, float]
Item = tuple[str, bool, int]  # a node, or the lane of its edges in a layer below; see `_Layers`


@dataclass(frozen=True)
class Place:
    """The rectangle of a node."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height


@dataclass(frozen=True)
class Layout:
    """`ways` are points from the upper end of an edge to its lower one.

    An edge of a node to itself has none. `width` and `height` are those of the whole.
    """

    places: Mapping[str, Place]
    ways: Mapping[Edge, tuple[Point, ...]]
    width: float
    height: float


def layout(graph: Graph, sizes: Mapping[str, tuple[float, float]]) -> Layout:
    """The layout of a graph whose nodes have these widths and heights."""
    layers = _Layers(graph, {name: width for name, (width, _) in sizes.items()})
    order = _ordered(layers)
    widths = {item: sizes[item[0]][0] if item[2] < 0 else LANE for row in order for item in row}
    x = _abscissas(layers, order, widths)
    left = min((x[i] - widths[i] / 2 for i in x), default=0.0)
    x = {item: at - left for item, at in x.items()}
    heights = [max([0.0, *(sizes[i[0]][1] for i in row if i[2] < 0)]) for row in order]
    tops, y = [], 0.0
    for height in heights:
        tops.append(y)
        y += height + SLOPE
    places = {}
    for row, top, height in zip(order, tops, heights, strict=True):
        for item in row:
            if item[2] < 0:
                w, h = sizes[item[0]]
                places[item[0]] = Place(x[item] - w / 2, top + (height - h) / 2, w, h)
    bands = list(zip(tops, heights, strict=True))
    ways = _ways(layers, x, places, bands)
    right = max((x[i] + widths[i] / 2 for i in x), default=0.0)
    return Layout(places, ways, right, max(0.0, y - SLOPE))


class _Layers:
    """The layers of a graph, and what stands in each.

    An item is a node `(name, False, -1)` or, in layer k, the lane `(name, recurrent, k)` of the
    edges that leave the node `name` and end further below. `chains` gives for each edge its items
    from above; a recurrent edge has its head above.
    """

    def __init__(self, graph: Graph, widths: Mapping[str, float]) -> None:
        ends = {e: (e.head, e.tail) if e.recurrent else (e.tail, e.head) for e in graph.edges}
        ends = {e: (a, b) for e, (a, b) in ends.items() if a != b}
        above: dict[str, list[str]] = {node.name: [] for node in graph.nodes}
        below: dict[str, list[str]] = {node.name: [] for node in graph.nodes}
        for a, b in ends.values():
            above[b].append(a)
            below[a].append(b)
        depth = _depths(above, below, widths)
        self.sources = {(name, False, -1) for name in above if not above[name]}
        self.rows: list[list[Item]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
        for name in above:
            self.rows[depth[name]].append((name, False, -1))
        self.rows = [self._flanked(row) for row in self.rows]
        self.chains: dict[Edge, tuple[Item, ...]] = {}
        self.upper: dict[Item, list[Item]] = {}
        self.lower: dict[Item, list[Item]] = {}
        for e, (a, b) in ends.items():
            lanes = [(a, e.recurrent, k) for k in range(depth[a] + 1, depth[b])]
            chain: tuple[Item, ...] = ((a, False, -1), *lanes, (b, False, -1))
            self.chains[e] = chain
            for k, lane in enumerate(lanes, depth[a] + 1):
                if lane not in self.rows[k]:
                    self.rows[k].append(lane)
            for one, other in pairwise(chain):
                if other not in self.lower.setdefault(one, []):
                    self.lower[one].append(other)
                    self.upper.setdefault(other, []).append(one)

    def _flanked(self, row: Sequence[Item]) -> list[Item]:
        """What is computed in the middle, and inputs on both sides of it."""
        inputs = [item for item in row if item in self.sources]
        computed = [item for item in row if item not in self.sources]
        half = len(inputs) // 2
        return [*inputs[:half], *computed, *inputs[half:]]


def _depths(
    above: Mapping[str, Sequence[str]],
    below: Mapping[str, Sequence[str]],
    widths: Mapping[str, float],
) -> dict[str, int]:
    """The layer of each node, or one further off where that is full."""
    depth: dict[str, int] = {}
    used: dict[int, float] = {}

    def place(name: str, at: int, step: int) -> None:
        while used.get(at, 0.0) + widths[name] > BROAD and at in used:
            at += step
        depth[name] = at
        used[at] = used.get(at, 0.0) + widths[name] + GAP

    for name in above:
        if above[name] or not below[name]:
            place(name, max((depth.get(a, -1) + 1 for a in above[name]), default=0), 1)
    for name in above:
        if name not in depth:
            place(name, min(depth[b] for b in below[name]) - 1, -1)
    first = min(depth.values(), default=0)
    return {name: at - first for name, at in depth.items()}


def _ordered(layers: _Layers) -> list[list[Item]]:
    """The rows in an order of few crossings; of equally good ones the first found."""
    rows = [list(row) for row in layers.rows]
    best, fewest = rows, _crossings(layers, rows)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        rows = [list(row) for row in rows]
        near, ks = layers.upper, list(range(len(rows)))
        if sweep % 2:
            near, ks = layers.lower, ks[::-1]
        for beside, k in pairwise(ks):
            position = {item: float(n) for n, item in enumerate(rows[beside])}
            means = {item: float(n) for n, item in enumerate(rows[k])}
            for item in rows[k]:
                found = [position[i] for i in near.get(item, ())]
                means[item] = sum(found) / len(found) if found else means[item]
            rows[k].sort(key=means.__getitem__)
        crossings = _crossings(layers, rows)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _crossings(layers: _Layers, rows: Sequence[Sequence[Item]]) -> int:
    total = 0
    for upper, lower in pairwise(rows):
        position = {item: n for n, item in enumerate(lower)}
        ends = [sorted(position[b] for b in layers.lower.get(a, ())) for a in upper]
        passed: list[int] = []
        for found in ends:
            total += sum(sum(p > b for p in passed) for b in found)
            passed += found
    return total


def _abscissas(
    layers: _Layers, rows: Sequence[Sequence[Item]], widths: Mapping[Item, float]
) -> dict[Item, float]:
    """The middle of each item. Chains of nodes are kept straight, and so are lanes."""
    x = {}
    for row in rows:
        at = 0.0
        for item in row:
            x[item] = at + widths[item] / 2
            at += widths[item] + GAP
    weights = {i: LIGHT if i[2] >= 0 or i in layers.sources else 1.0 for i in x}
    for sweep in range(SWEEPS):
        near, other = layers.upper, layers.lower
        if sweep % 2:
            near, other = other, near
        for row in rows[::-1] if sweep % 2 else rows:
            wanted = []
            for item in row:
                found = _alike(item, near.get(item, []) or other.get(item, []), layers)
                wanted.append(sum(x[i] for i in found) / len(found) if found else x[item])
            moved = spread(wanted, [widths[i] for i in row], [weights[i] for i in row], GAP)
            x |= zip(row, moved, strict=True)
    return x


def _alike(item: Item, near: Sequence[Item], layers: _Layers) -> list[Item]:
    """Of the neighbours those that an item is to stand in line with."""
    lane = item[2] >= 0
    same = [i for i in near if (i[2] >= 0) is lane]
    computed = [i for i in same if i not in layers.sources]
    return computed or same or list(near)


def spread(
    wanted: Sequence[float], sizes: Sequence[float], weights: Sequence[float], gap: float
) -> list[float]:
    """The positions nearest to those wanted, in this order and at least `gap` apart.

    Least squares with weights, by pooling adjacent violators: what would overlap is moved as one.
    """
    offsets = [0.0]
    for a, b in pairwise(sizes):
        offsets.append(offsets[-1] + (a + b) / 2 + gap)
    pools: list[tuple[float, float, int]] = []  # mean, weight, count
    for want, offset, weight in zip(wanted, offsets, weights, strict=False):
        pool = (want - offset, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, heavy, count = pools.pop()
            total = heavy + pool[1]
            pool = ((mean * heavy + pool[0] * pool[1]) / total, total, count + pool[2])
        pools.append(pool)
    means = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]


def _ways(
    layers: _Layers,
    x: Mapping[Item, float],
    places: Mapping[str, Place],
    bands: Sequence[tuple[float, float]],
) -> dict[Edge, tuple[Point, ...]]:
    """The points of each edge: where it leaves, in and out of its lanes, where it ends."""
    pairs = {(a, b): _ends(a, b, x, places) for a, found in layers.lower.items() for b in found}
    leaving: dict[tuple[Item, Item], float] = {}
    ending: dict[tuple[Item, Item], float] = {}
    for item in x:
        if item[2] < 0:
            out = {(item, b): pairs[item, b][0] for b in layers.lower.get(item, ())}
            into = {(a, item): pairs[a, item][1] for a in layers.upper.get(item, ())}
            leaving |= _ports(out, {p: x[p[1]] for p in out}, places[item[0]])
            ending |= _ports(into, {p: x[p[0]] for p in into}, places[item[0]])
    ways = {}
    for edge, chain in layers.chains.items():
        first, last = chain[0], chain[-1]
        points = [(leaving[first, chain[1]], places[first[0]].bottom)]
        for lane in chain[1:-1]:
            top, height = bands[lane[2]]
            points += [(x[lane], top), (x[lane], top + height)]
        points.append((ending[chain[-2], last], places[last[0]].top))
        ways[edge] = tuple(points)
    return ways


def _ends(
    a: Item, b: Item, x: Mapping[Item, float], places: Mapping[str, Place]
) -> tuple[float, float]:
    """Where an edge leaves and where it ends: straight below where there is a way."""
    (low, high), (left, right) = (_reach(i, x, places) for i in (a, b))
    if max(low, left) <= min(high, right):
        narrow = a if high - low < right - left else b
        at = min(max(x[narrow], low, left), high, right)
        return at, at
    return (high, left) if high < left else (low, right)


def _reach(item: Item, x: Mapping[Item, float], places: Mapping[str, Place]) -> tuple[float, float]:
    """Between which abscissas an edge may leave an item or end in it."""
    if item[2] >= 0:
        return x[item], x[item]
    place = places[item[0]]
    return place.left + CORNER, place.right - CORNER


def _ports(
    wanted: Mapping[tuple[Item, Item], float],
    towards: Mapping[tuple[Item, Item], float],
    place: Place,
) -> dict[tuple[Item, Item], float]:
    """The ends on one side of a node, side by side in the order of the others."""
    order = sorted(wanted, key=lambda pair: (wanted[pair], towards[pair]))
    low, high = place.left + CORNER, place.right - CORNER
    gap = min(LANE, (high - low) / max(len(order) - 1, 1))
    count = len(order)
    found = spread([wanted[pair] for pair in order], [0.0] * count, [1.0] * count, gap)
    bounds = ((low + gap * k, high - gap * (count - 1 - k)) for k in range(count))
    within = (max(a, min(at, b)) for at, (a, b) in zip(found, bounds, strict=True))
    return dict(zip(order, within, strict=True))
