"""The fields of a definition: what each has to be, and its default.

    pairs = { kernel_size = ["kh", "kw"] }          an integer above 0, or a list of two
    choices = { padding = ["valid", "same", 0] }    one of these words, or an integer from 0 on
    lists = ["shape"]                               a list of integers or of numbers
    constants = { stride = 1, padding = "valid" }   defaults

Every other name that a size expression reads, and nothing gives, is an integer above 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from derive.library.definition import Computed, FieldRule, Layer
from derive.library.toml_tables import (
    BOOLEAN,
    NUMBER,
    RATE,
    SIZE,
    SIZES,
    Kind,
    Table,
    is_integer,
    is_name,
    is_number,
)

# Fields that every layer has; a definition's own names keep clear of them. `activation` may be a
# field of its own.
LAYER_FIELDS = ("type", "name", "inputs", "share", "repeat", "activation")
RESERVED = tuple(field for field in LAYER_FIELDS if field != "activation")

FRACTION = Kind("at least 0 and below 1", lambda v: is_number(v) and 0 <= v < 1)
FRACTIONS = ("momentum", "rho", "beta1", "beta2")
NONNEGATIVE = Kind("a finite number, at least 0", lambda v: is_number(v) and v >= 0)
NUMBERS = Kind(
    "a list of finite numbers",
    lambda v: isinstance(v, list) and len(v) <= 10_000 and all(map(is_number, v)),
)
INTEGERS = Kind(
    "a list of integers, at most 16",
    lambda v: isinstance(v, list) and len(v) <= 16 and all(map(is_integer, v)),
)
WORDS = Kind(
    "a list of words, integers, true and false",
    lambda v: isinstance(v, list) and bool(v) and all(isinstance(w, str | int) for w in v),
)
PARTS = Kind(
    'a list of different names such as ["kh", "kw"]',
    lambda v: isinstance(v, list) and bool(v) and all(map(is_name, v)) and len(set(v)) == len(v),
)


@dataclass(frozen=True)
class Declared:
    """What a definition says of its fields, before it is known which others its sizes read."""

    constants: Mapping[str, Any]
    pairs: Mapping[str, tuple[str, ...]]
    choices: Mapping[str, tuple[Any, ...]]
    lists: tuple[str, ...]

    @property
    def names(self) -> set[str]:
        """Every name that stands for a field or for a part of one."""
        parts = {part for parts in self.pairs.values() for part in parts}
        return {*self.constants, *self.pairs, *self.choices, *self.lists, *parts}


def declared(table: Table) -> Declared:
    """The keys `constants`, `pairs`, `choices` and `lists` of a definition."""
    pairs = {name: tuple(v) for name, v in _named(table, "pairs", PARTS).items()}
    choices = {name: tuple(v) for name, v in _named(table, "choices", WORDS).items()}
    found = table.optional("lists", PARTS, [])
    lists = tuple(name for name in found if _usable(table, "lists", name))
    group = table.table("constants")
    constants = group.data if group else {}
    for name in constants:
        assert group is not None
        if not is_name(name) or name in RESERVED:
            group.at_key(name, f"{name!r} is no name for a constant")
    return Declared(constants, pairs, choices, lists)


def _named(table: Table, key: str, kind: Kind) -> dict[str, Any]:
    group = table.table(key)
    if group is None:
        return {}
    values = {name: group.optional(name, kind, None) for name in group.data}
    return {n: v for n, v in values.items() if v is not None and _usable(group, n, n)}


def _usable(table: Table, key: str, name: str) -> bool:
    if name in RESERVED or not is_name(name):
        table.at_key(key, f"{name!r} is no name for a field")
        return False
    return True


def rules(
    table: Table,
    kind: str,
    fields: Declared,
    read: Iterable[str],
    passed: Mapping[str, Kind],
    orders: Iterable[str],
    shapes: Iterable[str],
) -> tuple[FieldRule, ...]:
    """The fields: those that must be given first, then those with a default.

    `read` are the names that size expressions read, `passed` those that are only handed on to a
    layer within, `orders` and `shapes` the lists that stand for axes and for sizes.
    """
    whole = {part: name for name, parts in fields.pairs.items() for part in parts}
    integers = {whole.get(name, name) for name in read}
    for name in read:
        if name in fields.pairs and name not in whole and name not in passed:
            parts = " and ".join(fields.pairs[name])
            table.at_key("pairs", f"a size reads {name}, which is a pair: read {parts}")
    unknown = [whole.get(n, n) for n in read if whole.get(n, n) not in fields.constants]
    unknown += [n for n in passed if n not in fields.constants]
    required = dict.fromkeys([*unknown, *fields.pairs, *fields.choices, *fields.lists])
    found = []
    for name in required:
        if name not in fields.constants:
            rule = passed.get(name) or _kind(name, kind, None, fields, integers, orders, shapes)
            found.append(FieldRule(name, rule))
    group = table.table("constants")
    for name, default in fields.constants.items():
        assert group is not None
        other = (
            isinstance(default, str)
            and default != name
            and default in {*required, *fields.constants}
        )
        if other and default not in fields.choices.get(name, ()):
            found.append(
                FieldRule(
                    name, _kind(name, kind, 1, fields, integers, orders, shapes), None, default
                )
            )
            continue
        rule = _kind(name, kind, default, fields, integers, orders, shapes)
        if rule is NUMBER and not is_number(default):
            group.at_value(name, f"{name} must be a finite number, true or false")
        elif not rule.holds(default):
            group.at_value(name, f"{name} must be {rule.words}")
        found.append(FieldRule(name, rule, value(default)))
    return tuple(found)


def value(given: Any) -> Any:
    """A value of a field as it is kept: lists as tuples."""
    return tuple(given) if isinstance(given, list) else given


def _kind(
    name: str,
    kind: str,
    default: Any,
    fields: Declared,
    integers: set[str],
    orders: Iterable[str],
    shapes: Iterable[str],
) -> Kind:
    if name in fields.lists:
        return INTEGERS if name in orders else SIZES if name in shapes else NUMBERS
    single = _single(name, kind, default, fields, integers)
    return _pair(single, len(fields.pairs[name])) if name in fields.pairs else single


def _single(name: str, kind: str, default: Any, fields: Declared, integers: set[str]) -> Kind:
    if name in fields.choices:
        return _choice(fields.choices[name])
    if isinstance(default, bool):
        return BOOLEAN
    if kind == "optimizer":
        if name == "learning_rate":
            return RATE
        return FRACTION if name in FRACTIONS else NONNEGATIVE
    if default is None or name in fields.pairs:
        return SIZE
    if name in integers and is_integer(default):
        if default < 0:
            return Kind("an integer", is_integer)
        if default == 0:
            return Kind("an integer, at least 0", lambda v: is_integer(v) and v >= 0)
        return SIZE
    return NUMBER


def _choice(words: tuple[Any, ...]) -> Kind:
    exact = [w for w in words if isinstance(w, str | bool)]
    least = min((w for w in words if not isinstance(w, str | bool)), default=None)
    shown = [f'"{w}"' if isinstance(w, str) else str(w).lower() for w in exact]
    if least is not None:
        shown.append(f"an integer, at least {least}")

    def holds(v: Any) -> bool:
        if isinstance(v, str | bool):
            return any(type(v) is type(w) and v == w for w in exact)
        return least is not None and is_integer(v) and v >= least

    return Kind(" or ".join(shown), holds)


def _pair(single: Kind, count: int) -> Kind:
    return Kind(
        f"{single.words}, or a list of {count} of them",
        lambda v: (
            len(v) == count and all(map(single.holds, v))
            if isinstance(v, list)
            else single.holds(v)
        ),
    )


def passed(layers: Iterable[Layer]) -> dict[str, Kind]:
    """Fields of a definition that its layers take as they are: what they have to be."""
    found: dict[str, Kind] = {}
    for layer in layers:
        kinds = {f.name: f.kind for f in layer.definition.fields}
        for name, given in layer.fields:
            if isinstance(given, Computed) and is_name(given.text):
                found.setdefault(given.text, kinds[name])
    return found
