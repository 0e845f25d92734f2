"""Blocks of an axis: what stands at some places of it alone, in an index of its own.

    z[m] = where(m < J, a[m], 0) + where(0 <= m - J, b[m-J], 0)

For m in 0..2*J-1 these are the blocks a[j], at m = j, and b[j], at m = j + J, with j in 0..J-1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

from sympy import Add, Expr, S

from derive.gradients.normal_form import nonnegative, pruned
from derive.language.functions import and_, le, lt, where
from derive.language.notation import Equation, Index, indices


@dataclass(frozen=True)
class Block:
    """`chosen` is `where(start <= axis and axis < start + own.size, ..., 0)`, `term` in `own`."""

    chosen: where
    axis: Index
    own: Index
    start: Expr
    term: Expr

    @property
    def places(self) -> tuple[Expr, Expr]:
        return self.start, self.stop

    @property
    def stop(self) -> Expr:
        return (self.start + self.own.size).expand()

    def with_term(self, term: Expr) -> Block:
        """The block with another term in its own index."""
        whole = term.xreplace({self.own: self.axis - self.start})
        return replace(self, chosen=where(self.chosen.args[0], whole, S.Zero), term=term)


def block(e: Expr, axes: tuple[Index, ...]) -> Block | None:
    """What a choice under conditions on one of the axes is there; None for any other expression."""
    if not isinstance(e, where) or e.args[2] != 0:
        return None
    found = indices(e.args[0])
    if len(found) != 1 or not found <= set(axes):
        return None
    (axis,) = found
    condition = e.args[0]
    starts, stops = {S.Zero}, {axis.size}
    for c in condition.args if isinstance(condition, and_) else (condition,):
        if not isinstance(c, le | lt):
            return None
        low, high = c.args
        if isinstance(c, le) and low == 0 and not (offset := axis - high).has(Index):
            starts.add(offset)
        elif isinstance(c, lt) and not high.has(Index) and not (low - axis).has(Index):
            stops.add((high - (low - axis)).expand())
        else:
            return None
    start = next((a for a in starts if all(nonnegative(a - b, {}) for b in starts)), None)
    stop = next((a for a in stops if all(nonnegative(b - a, {}) for b in stops)), None)
    if start is None or stop is None:
        return None
    size = (stop - start).expand()
    if not nonnegative(size, {}):
        return None
    own = Index(f"{axis.name}'", size)
    return Block(e, axis, own, start, pruned(e.args[1].xreplace({axis: own + start}), {}))


def blocks(e: Equation) -> Iterator[Block]:
    """The addends of an equation that are blocks."""
    found = (block(addend, e.indices) for addend in Add.make_args(e.body))
    yield from (b for b in found if b is not None)


def partition(e: Equation) -> tuple[Block, ...]:
    """The blocks of an axis that an equation is the sum of; none where they overlap."""
    found = tuple(blocks(e))
    if len({b.axis for b in found}) != 1 or len(found) < len(Add.make_args(e.body)):
        return ()
    apart = (
        a.places == b.places
        or (a.start - b.stop).expand().is_nonnegative
        or (b.start - a.stop).expand().is_nonnegative
        for a, b in combinations(found, 2)
    )
    return found if all(apart) else ()
