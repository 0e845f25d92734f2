"""Repeated layers: what is the same but for the number of the layer is shown once.

z_3[n,j] = sum[i](a_2[n,i]*W_3[i,j]) + b_3[j]
->  as z_4[n,j] = sum[i](a_3[n,i]*W_4[i,j]) + b_4[j], and so on to the 199th
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sympy import Add, Basic, Mul

from derive.language.notation import Access, Equation, Reduce

FEWEST = 4  # fewer than these are all shown

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
        layer = _layer(first.target)
        key: object = k
        if layer is not None:
            key = tuple(pattern(e, layer) for e in (first, *rest))
        groups.setdefault(key, []).append((k, layer or 0, first.target, item))
    out: list[tuple[int, Item, Likewise]] = []
    for group in groups.values():
        if len(group) < FEWEST:
            out += [(k, item, Likewise()) for k, _, _, item in group]
            continue
        layers = tuple(layer for _, layer, _, _ in group)
        targets = tuple(target for _, _, target, _ in group)
        place, _, _, item = group[0]
        out.append((place, item, Likewise(layers[0], layers[1:], targets[1:])))
    return [(item, same) for _, item, same in sorted(out, key=lambda found: found[0])]


def _layer(tensor: str) -> int | None:
    found = _NUMBERED.fullmatch(tensor)
    return int(found[2]) if found else None


def _relative(tensor: str, layer: int) -> str:
    found = _NUMBERED.fullmatch(tensor)
    return f"{found[1]}_{int(found[2]) - layer:+d}{found[3]}" if found else tensor


def pattern(equation: Equation, layer: int = 0) -> object:
    """What an equation says: layers counted from this one, indices by where they are bound."""
    own = {i: (0, k, i.size) for k, i in enumerate(equation.indices)}
    shape = tuple(i.size for i in equation.indices)
    r = equation.recurrence
    start = r and (own.get(r.index), r.step, _expression(r.initial, layer, own))
    return _relative(equation.target, layer), shape, _expression(equation.body, layer, own), start


def _expression(e: Basic, layer: int, scope: Mapping[Basic, object]) -> object:
    if isinstance(e, Access):
        indices = (_expression(i, layer, scope) for i in e.indices)
        return (_relative(e.tensor, layer), *indices)
    if not e.args:
        return scope.get(e, e)
    if isinstance(e, Reduce):
        scope = {**scope, **{i: (len(scope), k, i.size) for k, i in enumerate(e.bound)}}
    parts = [_expression(a, layer, scope) for a in e.args]
    if isinstance(e, Add | Mul):
        return (type(e), frozenset(Counter(parts).items()))
    return (type(e), *parts)
