"""What each name of a text is: a tensor, an index, the size of one, a function or a constant.

A name that is assigned or subscripted anywhere is a tensor. What stands on a left side or is bound
by a reduction is an index; in capitals it is its size, unless a tensor hides that spelling.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sympy import Symbol

from derive.language.lines import Line, is_ellipsis, is_position, place_of, preorder, reduction
from derive.language.notation import ELLIPSIS, size
from derive.language.source import Place, Source

RECURRENCE = (
    "A recurrence reads at t-1 what it assigns at t, as h[t] = a*h[t-1] + x[t] does, "
    "and has an initial line, h[-1] = 0."
)


@dataclass(frozen=True)
class Names:
    """The names of a text, and those given from outside.

    `given` are the tensors that a definition may read, with their indices where these are known;
    None where every unknown name is an input. `indices` are in the order in which their spelling
    is preferred for the size that several of them share.
    """

    functions: Mapping[str, Any]
    constants: Mapping[str, Any]
    given: Mapping[str, tuple[str, ...] | None] | None
    assigned: Mapping[str, int]  # the number of the equation
    initial: Mapping[str, int]  # the number of the initial line of a recurrence
    subscripted: frozenset[str]
    indices: Mapping[str, Place]  # where each is first made
    used: frozenset[str]

    def is_tensor(self, name: str) -> bool:
        known = name in self.assigned or name in self.subscripted
        return known or (self.given is not None and name in self.given)

    def is_hidden(self, name: str) -> bool:
        """Whether a name spelled like a size is none."""
        return self.is_tensor(name) or name in self.constants or name in self.functions

    def is_size(self, name: str) -> bool:
        return name.isupper() and name.lower() in self.indices and not self.is_hidden(name)


def as_read(index: str) -> Symbol:
    """The size of an index name, before those of one range are made one."""
    return size(index.upper())


def collect(
    source: Source,
    lines: list[Line],
    functions: Mapping[str, Any],
    constants: Mapping[str, Any],
    given: Mapping[str, tuple[str, ...] | None] | None,
) -> Names:
    """The names of a text. Raises FormulaError for one that may not stand where it does.

    Indices are ordered by equation, the left side first and what is bound alphabetically: SymPy may
    print a sum in another order than it was written in, and it shall read back as the same.
    """
    assigned: dict[str, int] = {}
    initial: dict[str, int] = {}
    equations = {line.target for line in lines if not any(map(is_position, line.indices))}
    subscripted: set[str] = set()
    used = {*constants, *(given or {})}
    indices = {i: source.place(0, 0) for axes in (given or {}).values() for i in axes or ()}
    for number, line in enumerate(lines):
        name, place = line.target, place_of(source, line.left)
        _check_free(name, place, functions)
        if name in constants or name in (given or {}):
            raise place.error(f"`{name}` is given, it cannot be assigned")
        starts = [node for node in line.indices if is_position(node)]
        starts = starts if name in equations or not all(map(_is_name, starts)) else []
        known, what = (
            (initial, "has two initial lines") if starts else (assigned, "is assigned twice")
        )
        if name in known:
            before = place_of(source, lines[known[name]].left).number
            raise place.error(f"`{name}` {what}", f"The first is on line {before}.")
        known[name] = number
        if line.indices:
            subscripted.add(name)
        bound: dict[str, Place] = {}
        for node in line.indices:
            if node in starts:
                used |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
                continue
            i, place = _index(source, node, functions, RECURRENCE)
            indices.setdefault(i, place)
        reductions: set[int] = set()
        for part in preorder(line.body):
            match part:
                case ast.Call(func=function) if (found := reduction(part)) is not None:
                    reductions.add(id(function))
                    for n in found[1]:
                        i, place = _index(source, n, functions)
                        bound.setdefault(i, place)
                case ast.Subscript(value=ast.Name(id=tensor)) if id(part) not in reductions:
                    subscripted.add(tensor)
                case ast.Name(id=word):
                    used.add(word)
        for i in sorted(bound):
            indices.setdefault(i, bound[i])
    for name, number in initial.items():
        if name not in assigned:
            raise place_of(source, lines[number].left).error(
                f"`{name}` has an initial line, but no equation", RECURRENCE
            )
    used |= {*assigned, *subscripted, *indices}
    return Names(
        functions,
        constants,
        given,
        assigned,
        initial,
        frozenset(subscripted),
        indices,
        frozenset(used),
    )


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name)


def _index(
    source: Source, node: ast.expr, functions: Mapping[str, Any], hint: str = ""
) -> tuple[str, Place]:
    """The name of an index where one is made: on a left side or by a reduction."""
    place = place_of(source, node)
    if is_ellipsis(node):
        return ELLIPSIS, place
    if not isinstance(node, ast.Name):
        raise place.error("an index on the left side or of a reduction is a plain name", hint)
    _check_free(node.id, place, functions)
    if not node.id.islower():
        lower = node.id.lower()
        if lower.islower():
            hint = f"Write `{lower}`; `{lower.upper()}` is its size. {hint}".rstrip()
        raise place.error(f"`{node.id}` is no index: index names are lower case", hint)
    return node.id, place


def _check_free(name: str, place: Place, functions: Mapping[str, Any]) -> None:
    if name == "pi" or name in functions:
        kind = "a number" if name == "pi" else "a function"
        raise place.error(f"`{name}` is {kind}, it can name nothing else")
