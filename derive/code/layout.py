"""Layout: in which order the axes of each tensor lie in memory.

    z_1[n,p,q,j]    in the order  p, j, q, n      rows, features, columns, batch

An axis plays the same part in all tensors that it goes through: it is one of a parameter's (a
feature), one that windows move along (rows, columns), the batch, or another position. A layout is
an order of these parts; the axes of each tensor are sorted by it. Exact, because an equation says
nothing about memory: only results of the program stay as they are written. Of two axes with the
same part the one that maxima are taken over lies outside, so that they run over whole rows:

    m[n,h,t] = max[s](S[n,h,t,s])    S in the order  h, n, s, t
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import permutations

from sympy import Expr

from derive.language.notation import Index, Program, accesses

Order = tuple[Index, ...]
Layout = tuple[str, ...]  # parts, outermost first

AS_WRITTEN: Layout = ()
BATCH_LAST: Layout = ("rows", "features", "positions", "columns", "batch")
FEATURES_FIRST: Layout = ("features", "batch", "rows", "columns", "positions")


@dataclass(frozen=True)
class Roles:
    """What the indices of a program's tensors are, whatever the layout.

    `part` is the part that an index plays; of the pairs in `outer` the first lies outside.
    """

    batch: Expr
    part: Mapping[tuple[str, Index], str]
    outer: Collection[tuple[str, Index, Index]]


def roles(program: Program, batch: Expr) -> Roles:
    """The parts that indices play; `batch` is the size of the batch's axis."""
    part = _parts(program, batch)
    return Roles(batch, part, _outer(program, part))


def as_written(program: Program) -> Mapping[str, Order]:
    """For each input its axes, for each equation all its indices, as they are written."""
    found = {t.name: t.axes for t in program.inputs}
    return found | {e.target: (*e.indices, *e.bound) for e in program.equations}


def frames(
    program: Program, roles: Roles, layout: Layout, fixed: Collection[str]
) -> Mapping[str, Order]:
    """For each input its axes, for each equation all its indices, in their order in memory.

    Tensors without the batch's axis, and those that are `fixed`, stay as they are written.
    """
    if not layout:
        return as_written(program)
    written: dict[str, tuple[Order, Order]] = {t.name: (t.axes, ()) for t in program.inputs}
    written |= {e.target: (e.indices, e.bound) for e in program.equations}
    batch, part, outer = roles.batch, roles.part, roles.outer
    places_of = {name: k for k, name in enumerate(layout)}
    found = {}
    for tensor, (own, bound) in written.items():
        all_ = (*own, *bound)
        places = {
            i: (places_of[part[tensor, i]], -sum((tensor, i, j) in outer for j in all_))
            for i in all_
        }
        ordered = tuple(sorted(all_, key=places.__getitem__))
        if tensor in fixed or not any(i.size == batch for i in own):
            ordered = (*own, *(i for i in ordered if i not in own))
        found[tensor] = ordered
    return found


def _parts(program: Program, batch: Expr) -> Mapping[tuple[str, Index], str]:
    """The part that each index of each equation plays."""
    axes = _Axes()
    windows: list[tuple[tuple[str, int], tuple[str, Index]]] = []
    for t in program.inputs:
        for k, i in enumerate(t.axes):
            axes.join((t.name, k), (t.name, i))
    for e in program.equations:
        for k, i in enumerate(e.indices):
            axes.join((e.target, k), (e.target, i))
        for a in accesses(e.body):
            plain = [x for x in a.indices if isinstance(x, Index)]
            for k, x in enumerate(a.indices):
                own = sorted(x.atoms(Index), key=lambda i: (-_length(i), i.name))
                if isinstance(x, Index) and plain.count(x) == 1:
                    axes.join((a.tensor, k), (e.target, x))
                elif own and sum(y.has(own[0]) for y in a.indices) == 1:
                    axes.join((a.tensor, k), (e.target, own[0]))
                    if len(own) > 1:
                        windows.append(((a.tensor, k), (e.target, own[0])))
    parameters = {t.name for t in program.inputs if all(i.size != batch for i in t.axes)}
    features = {axes.root(a) for a in axes.above if a[0] in parameters and isinstance(a[1], int)}
    moved: dict[str, list[object]] = {}
    for (tensor, k), _ in sorted(windows, key=lambda w: w[0]):
        root = axes.root((tensor, k))
        if tensor not in parameters and root not in features:
            moved.setdefault(tensor, [])
            if root not in moved[tensor]:
                moved[tensor].append(root)
    rows = {roots[0] for roots in moved.values()}
    columns = {root for roots in moved.values() for root in roots[1:]} - rows
    found = {}
    everything = [(t.name, t.axes) for t in program.inputs]
    everything += [(e.target, (*e.indices, *e.bound)) for e in program.equations]
    for tensor, indices in everything:
        for i in indices:
            root = axes.root((tensor, i))
            found[tensor, i] = (
                "batch"
                if i.size == batch
                else "features"
                if root in features
                else "rows"
                if root in rows
                else "columns"
                if root in columns
                else "positions"
            )
    return found


def _outer(
    program: Program, part: Mapping[tuple[str, Index], str]
) -> Collection[tuple[str, Index, Index]]:
    """The pairs of a tensor's indices with the same part of which the first is to lie outside."""
    pairs = _Axes()
    wanted = []
    found = []
    for t in program.inputs:
        for i, j in _alike(t.name, t.axes, part):
            pairs.join((t.name, (t.axes.index(i), t.axes.index(j))), (t.name, (i, j)))
            found.append((t.name, i, j))
    for e in program.equations:
        for i, j in _alike(e.target, (*e.indices, *e.bound), part):
            found.append((e.target, i, j))
            if i in e.indices and j in e.indices:
                place = (e.indices.index(i), e.indices.index(j))
                pairs.join((e.target, place), (e.target, (i, j)))
            for a in accesses(e.body):
                if i in a.indices and j in a.indices:
                    place = (a.indices.index(i), a.indices.index(j))
                    pairs.join((a.tensor, place), (e.target, (i, j)))
                    if e.reduction in ("max", "min") and i in e.bound and j in e.indices:
                        wanted.append((e.target, (i, j)))
    roots = {pairs.root(pair) for pair in wanted}
    return {
        (tensor, i, j)
        for tensor, i, j in found
        if pairs.root((tensor, (i, j))) in roots and pairs.root((tensor, (j, i))) not in roots
    }


def _alike(
    tensor: str, own: Order, part: Mapping[tuple[str, Index], str]
) -> list[tuple[Index, Index]]:
    """The pairs of indices that play the same part."""
    return [(i, j) for i, j in permutations(own, 2) if part[tensor, i] == part[tensor, j]]


def _length(i: Index) -> float:
    return float(i.size) if i.size.is_Integer else float("inf")


class _Axes:
    """Axes of tensors, and indices of equations, in classes of those that are one."""

    def __init__(self) -> None:
        self.above: dict[tuple[str, object], tuple[str, object]] = {}

    def root(self, a: tuple[str, object]) -> tuple[str, object]:
        while (b := self.above.setdefault(a, a)) != a:
            self.above[a] = a = self.above.get(b, b)
        return a

    def join(self, a: tuple[str, object], b: tuple[str, object]) -> None:
        self.above[self.root(a)] = self.root(b)
