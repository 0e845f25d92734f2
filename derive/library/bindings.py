"""A definition's sizes, numbers and axis groups, for fields and inputs that are given.

sizes = { p = "(T - K)//stride + 1" }    x[n,t] of 8, K = 3, stride = 2    ->    P = 3
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sympy import Expr

from derive.language.notation import DeriveError
from derive.library import groups, size_expressions
from derive.library.definition import Binding, Case, Definition, Fields, Pattern

_RESHAPED = re.compile(r"reshaped\s*\(\s*(\w+)\s*,\s*(\w+)\s*\)")

Shape = Sequence[Expr]  # the sizes of an input's axes, the batch first


def fits(definition: Definition, case: Case, fields: Fields, ranks: Sequence[int]) -> bool:
    """Whether a case is meant: by the number of inputs and of their axes, and by its condition."""
    patterns = case.inputs
    if definition.kind in ("layer", "activation"):
        if len(ranks) != (len(patterns) or 1):
            return False
        if not all(p.fits(rank) for p, rank in zip(patterns, ranks, strict=False)):
            return False
    return not case.when or size_expressions.holds(case.when, named(definition, fields))


def named(definition: Definition, fields: Fields) -> dict[str, Any]:
    """The fields by the names that expressions read them by: of a pair, those of its parts."""
    values = dict(fields)
    for name, parts in definition.pairs.items():
        value = values[name] if name in parts else values.pop(name)
        split = value if isinstance(value, tuple) else (value,) * len(parts)
        values |= dict(zip(parts, split, strict=True))
    return values


def bind(
    definition: Definition, case: Case, fields: Fields, shapes: Sequence[Shape] = ()
) -> Binding:
    """The binding of a case to inputs of these shapes; raises `DeriveError` where none fits."""
    values = named(definition, fields)
    counts: dict[str, int] = {}
    for pattern, shape in zip(case.inputs, shapes, strict=False):
        _read_shape(pattern, shape, case, values, counts)
    sizes = _computed(case, values)
    for text in case.require:
        if not size_expressions.holds(text, values):
            shown = [f"{n} = {values[n]}" for n in sorted(size_expressions.names(text))]
            raise DeriveError(f"{text} must hold, but {', '.join(shown)}")
    for index, _, found in sizes:
        if index.startswith("*"):
            counts[index[1:]] = len(found)
    _check_reshaped(case, values)
    return _binding(definition, case, fields, values, counts, _axes(case, sizes, counts))


def nominal(definition: Definition, case: Case) -> Binding:
    """A binding to read the formula with where nothing is known: two axes for each group."""
    fields = {f.name: 1 if f.default is None else f.default for f in definition.fields}
    for rule in definition.fields:
        if rule.same_as:
            fields[rule.name] = fields[rule.same_as]
    values = named(definition, fields)
    texts = [case.formula.text, case.inference.text if case.inference else ""]
    for name, given in fields.items():
        if isinstance(given, str) and given not in definition.functions and name in case.names:
            fields[name] = values[name] = 1  # the formula reads the number that may stand there
    for name in fields:
        if any(re.search(rf"\*\s*\w+\s*\[\s*{name}\s*\]", text) for text in texts):
            fields[name] = values[name] = (1, 0)
        elif any(re.search(rf"\b{name}\s*\[", text) for text in texts):
            fields[name] = values[name] = (1.0, 1.0)
    values |= {name: 1 for name, _ in case.numbers}
    indices = [i for _, axes in case.tensors(case.draws) for i in axes]
    found = [i[1:] for i in indices if i.startswith("*")]
    found += [i[1:] for i, _ in case.sizes if i.startswith("*")]
    counts = dict.fromkeys(found, 2)
    sizes = [(i, text, (1, 1) if i.startswith("*") else 1) for i, text in case.sizes]
    return _binding(definition, case, fields, values, counts, _axes(case, sizes, counts))


def _binding(
    definition: Definition,
    case: Case,
    fields: Fields,
    values: Mapping[str, Any],
    counts: Mapping[str, int],
    sizes: tuple[tuple[str, str, int], ...],
) -> Binding:
    constants = {
        *fields,
        *(part for parts in definition.pairs.values() for part in parts),
        *(name for name, _ in case.numbers),
    }
    read = {name: values[name] for name in values if name in constants}
    return Binding(
        values,
        {name: v for name, v in read.items() if isinstance(v, bool | int | float)},
        {name: v for name, v in read.items() if isinstance(v, str)},
        {name: v for name, v in read.items() if isinstance(v, tuple)},
        sizes,
        _group_names(case, counts),
    )


def _group_names(case: Case, counts: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    return {group: groups.names(group, count, case.names) for group, count in counts.items()}


def _axes(
    case: Case, sizes: Iterable[tuple[str, str, Any]], counts: Mapping[str, int]
) -> tuple[tuple[str, str, int], ...]:
    """Index, text and size of each axis with a size of its own."""
    named_ = _group_names(case, counts)
    found: list[tuple[str, str, int]] = []
    for index, text, value in sizes:
        if index.startswith("*"):
            axes = named_[index[1:]]
            found += [(i, text, v) for i, v in zip(axes, value, strict=True)]
        else:
            found.append((index, text, value))
    return tuple(found)


def _read_shape(
    pattern: Pattern, shape: Shape, case: Case, values: dict[str, Any], counts: dict[str, int]
) -> None:
    """The sizes of an input by the names of its axes, in `values`; `...` is left out."""
    single = [i for i in pattern.indices if not i.startswith("*")]
    free = len(shape) - len(single)
    rules = dict(case.ranks)
    for group in pattern.groups:
        if group in rules:
            counts[group] = _rank(rules[group], len(shape) - 1, free, shape, values)
            free -= counts[group]
    sizes = list(shape)
    rest = [g for g in pattern.groups if g not in rules]
    if "..." in pattern.indices:
        del sizes[: len(shape) - len(pattern.indices) + 1]
    for index in pattern.indices:
        if index == "...":
            continue
        if not index.startswith("*"):
            size = sizes.pop(0)
            if size.is_Integer:
                values.setdefault(index.upper(), int(size))
            continue
        group = index[1:]
        count = free if group in rest else counts[group]
        if counts.setdefault(group, count) != count:
            raise DeriveError(
                f"{pattern.name} has another number of axes than the inputs before it"
            )
        part = tuple(sizes[:count])
        del sizes[:count]
        if all(size.is_Integer for size in part):
            values.setdefault(group, tuple(map(int, part)))


def _rank(text: str, total: int, free: int, shape: Shape, values: Mapping[str, Any]) -> int:
    """How many axes stand before one; negative numbers count from the end."""
    axis = size_expressions.size(text, values)
    found = axis + total if axis < 0 else axis
    if not 0 <= found <= free:
        shown = ", ".join(map(str, shape[1:]))
        raise DeriveError(f"{text} = {axis} is no axis of the shape ({shown})")
    return found


def _computed(case: Case, values: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """The sizes in order; they and the numbers are put in `values`, whatever their order."""
    waiting = {index: (text, False) for index, text in case.sizes}
    waiting |= {name: (text, True) for name, text in case.numbers}
    found: dict[str, Any] = {}
    while waiting:
        ready = [
            name
            for name, (text, _) in waiting.items()
            if size_expressions.names(text) <= set(values)
        ]
        for name in ready or list(waiting)[:1]:
            text, is_number = waiting.pop(name)
            if is_number:
                values[name] = size_expressions.size(text, values)
            else:
                found[name] = _size(name, text, values)
                spelled = name[1:] if name.startswith("*") else name.upper()
                values.setdefault(spelled, found[name])
    return [(index, text, found[index]) for index, text in case.sizes]


def _size(index: str, text: str, values: Mapping[str, Any]) -> Any:
    if index.startswith("*"):
        sizes = size_expressions.value(text, values)
        if not isinstance(sizes, tuple):
            raise DeriveError(f"the sizes of {index} are a list, but {text} is none")
        return sizes
    size = size_expressions.size(text, values)
    if size < 1:
        known = ", ".join(f"{n} = {values[n]}" for n in sorted(size_expressions.names(text)))
        raise DeriveError(
            f"nothing is left along {index}: its size is {text} = {size}, where {known}"
        )
    return size


def _check_reshaped(case: Case, values: Mapping[str, Any]) -> None:
    for text in (case.formula.text, case.inference.text if case.inference else ""):
        for to, of in _RESHAPED.findall(text):
            sizes = [values.get(g, values.get(g.upper())) for g in (to, of)]
            if None in sizes:
                continue
            shapes = [s if isinstance(s, tuple) else (s,) for s in sizes]
            counts = [math.prod(s) for s in shapes]
            if counts[0] != counts[1]:
                shown = [
                    f"{list(s)} has {_elements(c)}" for s, c in zip(shapes, counts, strict=True)
                ]
                raise DeriveError(", but ".join(shown))


def _elements(count: int) -> str:
    return f"{count} element" + ("" if count == 1 else "s")
