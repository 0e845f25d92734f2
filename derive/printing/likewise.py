"""Repeated layers: what is the same but for the number of the layer is shown once.

z_3[n,j] = sum[i](a_2[n,i]*W_3[i,j]) + b_3[j]
->  as z_4[n,j] = sum[i](a_3[n,i]*W_4[i,j]) + b_4[j], and so on to the 199th
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from sympy import Add, Basic, Mul

from derive.language.functions import eq
from derive.language.notation import REMEMBERED, Access, Equation, Index, Reduce, accesses

FEWEST = 4  # fewer than these are all shown
MANY = 8  # fewer than these are alike only where their axes are as long

_NUMBERED = re.compile(r"(.*?)_(\d+)((?:_[a-z]+)*)")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Likewise:
    """The layer shown and the layers that are the same, with their targets."""

    layer: int = 0
    others: tuple[int, ...] = ()
    targets: tuple[str, ...] = ()


def alike(
    items: Iterable[Item], equations: Callable[[Item], Sequence[Equation]]
) -> list[tuple[Item, Likewise]]:
    """The items without those that repeat an earlier one in another layer; what they stand for.

    They stay in their order.
    """
    groups: dict[object, list[tuple[int, int, str, Item]]] = {}
    for k, item in enumerate(items):
        first, *rest = equations(item)
        _, layer, _ = _parted(first.target)
        key: object = k
        if layer is not None:
            key = tuple(pattern(e, layer) for e in (first, *rest))
        groups.setdefault(key, []).append((k, layer or 0, first.target, item))
    out: list[tuple[int, Item, Likewise]] = []
    for whole in groups.values():
        parts: dict[object, list[tuple[int, int, str, Item]]] = {}
        for found in whole:
            few = FEWEST <= len(whole) < MANY
            lengths = tuple(map(_lengths, equations(found[3]))) if few else ()
            parts.setdefault(lengths, []).append(found)
        for group in parts.values():
            if len(group) < FEWEST:
                out += [(k, item, Likewise()) for k, _, _, item in group]
                continue
            layers = tuple(layer for _, layer, _, _ in group)
            targets = tuple(target for _, _, target, _ in group)
            place, _, _, item = group[0]
            out.append((place, item, Likewise(layers[0], layers[1:], targets[1:])))
    return [(item, same) for _, item, same in sorted(out, key=lambda found: found[0])]


def _lengths(e: Equation) -> tuple[object, ...]:
    """How long the axes of an equation are, and those that it sums over."""
    bound = Counter(i.size for r in e.body.atoms(Reduce) for i in r.bound)
    return *(i.size for i in e.indices), frozenset(bound.items())


@lru_cache(maxsize=REMEMBERED)
def _parted(tensor: str) -> tuple[str, int | None, str]:
    """A name as what stands before its layer, the layer, and what stands behind."""
    found = _NUMBERED.fullmatch(tensor)
    return (found[1], int(found[2]), found[3]) if found else (tensor, None, "")


def _relative(tensor: str, layer: int) -> tuple[str, int | None, str]:
    before, own, behind = _parted(tensor)
    return before, None if own is None else own - layer, behind


def pattern(equation: Equation, layer: int = 0) -> object:
    """What an equation says: layers counted from this one, indices by where they are bound.

    How long an axis is counts where it may be said: not of an index that stands for a place alone,
    as a subscript or in a delta.
    """
    own = {i: (0, k) for k, i in enumerate(equation.indices)}
    r = equation.recurrence
    start = r and (
        own.get(r.index),
        r.index.size,
        r.step,
        _expression(r.initial, layer, own),
    )
    return (
        _relative(equation.target, layer),
        len(own),
        _expression(equation.body, layer, own),
        start,
    )


def _expression(e: Basic, layer: int, scope: Mapping[Basic, object]) -> object:
    if isinstance(e, Access | eq):
        places = e.indices if isinstance(e, Access) else e.args
        indices = (
            scope.get(i, i) if isinstance(i, Index) else _expression(i, layer, scope)
            for i in places
        )
        if isinstance(e, Access):
            return (_relative(e.tensor, layer), *indices)
        return (eq, len({i.size for i in places if isinstance(i, Index)}), *indices)
    if isinstance(e, Index):
        return scope.get(e), e.size
    if not e.args:
        return e
    if isinstance(e, Reduce):
        scope = {**scope, **{i: (len(scope), k) for k, i in enumerate(e.bound)}}
        read = {i for a in accesses(e.term) for i in a.indices}
        said = (i.size for i in e.bound if e.op == "mean" or i not in read)
        parts = [_expression(a, layer, scope) for a in (e.term, e.guard)]
        return (e.op, len(e.bound), *said, *parts)
    parts = [_expression(a, layer, scope) for a in e.args]
    if isinstance(e, Add | Mul):
        return (type(e), frozenset(Counter(parts).items()))
    return (type(e), *parts)
