"""One case of a definition, read from its table: inputs, sizes, parameters, formulas.

    input = "x[n,i]"    sizes = { j = "units" }    parameters.W = { indices = "i,j" }
    forward = "z[n,j] = sum[i](x[n,i]*W[i,j])"

What a case does not say itself stands in the definition around it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from derive.language.notation import DeriveError
from derive.library import size_expressions, uses
from derive.library.catalogue import Definitions
from derive.library.definition import (
    GIVEN,
    Case,
    Computed,
    Definition,
    DrawRule,
    Formula,
    Initial,
    Layer,
    ParameterRule,
    Pattern,
    StateRule,
)
from derive.library.fields import RESERVED, Declared
from derive.library.toml_tables import NUMBER, STRING, Table, choice, is_name, is_number, nearest

PARAMETER_KEYS = ("indices", "init", "when", "fan_in", "fan_out")
STATE_KEYS = ("indices", "initial")
DRAW_KEYS = ("indices", "distribution")

_PATTERN = re.compile(r"\s*([A-Za-z_]\w*)\s*\[\s*([^\[\]]*?)\s*\]\s*", re.ASCII)


@dataclass(frozen=True)
class Place:
    """Where a case stands: what it does not say itself, the definition around it says."""

    kind: str
    name: str
    own: Table
    around: Table
    fields: Declared
    known: Definitions
    waiting: frozenset[str]  # layers of the document that are not read yet

    def at(self, *keys: str) -> Table:
        """The table that has one of these keys."""
        return self.own if any(key in self.own.data for key in keys) else self.around


def read(place: Place) -> Case | None:
    """The case; None after a complaint."""
    before = len(place.own.errors)
    inputs = _patterns(place.at("input", "inputs")) if place.kind == "layer" else ()
    sizes = _expressions(place, "sizes")
    numbers = _expressions(place, "numbers")
    ranks = _expressions(place, "ranks")
    group = place.at("parameters").table("parameters")
    parameters = tuple(
        rule
        for name in (group.data if group else ())
        if (rule := _parameter(name, group, place)) is not None
    )
    states, draws = _states(place), _draws(place)
    when = _condition(place.own, "when")
    require = _require(place.at("require"))
    layers: tuple[Layer, ...] = ()
    if "layers" in place.own.data or ("layers" in place.around.data and place.own is place.around):
        formula = Formula("", place.own.document, (*place.own.path, "layers"))
        inference = None
        if "forward" in place.own.data:
            place.own.at_key("forward", "a layer is made of layers or has a formula, not both")
        if parameters or states or draws:
            place.own.at_key("layers", "a layer made of layers has their parameters, none besides")
        layers = _layers(place, inputs)
    else:
        key = "forward" if place.kind == "layer" else "formula"
        text = place.at(key).required(key, STRING)
        found = _formula(place.at(key), key, text)
        inference = None
        if place.kind == "layer":
            at = place.at("inference")
            inference = _formula(at, "inference", at.optional("inference", STRING, None))
        if found is None or len(place.own.errors) > before:
            return None
        formula = found
        _check_names(place, key, [*inputs, *parameters, *states, *draws], numbers)
    if len(place.own.errors) > before:
        return None
    return Case(
        inputs, formula, inference, when, require,
        sizes, numbers, ranks, parameters, states, draws, layers,
    )  # fmt: skip


def _formula(table: Table, key: str, text: str | None) -> Formula | None:
    return None if text is None else Formula(text, table.document, (*table.path, key))


def _check_names(
    place: Place, key: str, rules: list[Any], numbers: tuple[tuple[str, str], ...]
) -> None:
    """Every name of a formula has one meaning."""
    table = place.at(key)
    whole = {n for n, parts in place.fields.pairs.items() if n not in parts}
    called = {n for n in place.fields.choices if n not in place.fields.pairs}
    names = Counter([rule.name for rule in rules] + [name for name, _ in numbers])
    names.update(place.fields.names - whole)
    names.update(name for name in GIVEN[place.kind] if name != "learning_rate")
    for name, meanings in names.items():
        if (name in place.known.functions or name == "pi") and name not in called:
            table.at_key(key, f"{name!r} is a function or a number of the language")
        elif meanings > 1:
            table.at_key(key, f"the name {name!r} has more than one meaning")


def _patterns(table: Table) -> tuple[Pattern, ...]:
    if "inputs" in table.data:
        key, texts = "inputs", table.data["inputs"]
        if "input" in table.data:
            table.at_key("input", "input and inputs exclude each other")
    else:
        key, texts = "input", [table.required("input", STRING)]
    if not isinstance(texts, list) or not texts:
        table.at_value(key, 'inputs must be a list such as ["q[n,t,d]", "k[n,s,d]"]')
        return ()
    patterns = [p for text in texts if text is not None and (p := _pattern(text))]
    if len(patterns) < len(texts) or len({p.name for p in patterns}) < len(patterns):
        if None not in texts:
            table.at_value(
                key,
                f'{key} must be a pattern such as "x[n,i]", the batch first, "x[...,i]" or '
                '"x[n,*s]"',
            )
        return ()
    return tuple(patterns)


def _pattern(text: Any) -> Pattern | None:
    found = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    indices = _indices(found[2], groups=True)
    usable = indices and "..." not in indices[1:] and is_name(found[1])
    usable = usable and not indices[0].startswith("*")
    return Pattern(found[1], indices) if usable else None


def _indices(text: str, groups: bool = False) -> tuple[str, ...]:
    """The indices in `i,j` or `n,*s`; none where they are no distinct names."""
    names = tuple(part.strip() for part in text.split(","))
    bare = [n.removeprefix("*").strip() if groups else n for n in names]
    good = all((is_name(n) and n == n.lower()) or n == "..." for n in bare)
    return names if good and len(set(bare)) == len(names) else ()


def _expressions(place: Place, key: str) -> tuple[tuple[str, str], ...]:
    """`sizes`, `numbers` or `ranks`: expressions by the name of an index, a number, a group."""
    group = place.at(key).table(key)
    if group is None:
        return ()
    found = []
    for name, text in group.data.items():
        text = str(text) if isinstance(text, int) and not isinstance(text, bool) else text
        if key == "sizes" and not _indices(name, groups=True):
            group.at_key(name, f"{name!r} is no name of an index (lower case)")
        elif key != "sizes" and not is_name(name):
            group.at_key(name, f"{name!r} is no name")
        elif not isinstance(text, str):
            group.at_value(name, f'{name} must be an expression such as "units"')
        else:
            check_expression(group, name, text)
            found.append((name, text))
    return tuple(found)


def check_expression(table: Table, key: str, text: str) -> None:
    """Complains of what is no expression of sizes and fields."""
    try:
        for name in sorted(size_expressions.names(text) & set(RESERVED)):
            table.at_value(key, f"{name!r} is a field that every layer has, and no size")
    except DeriveError as error:
        table.at_value(key, str(error))


def _condition(table: Table, key: str) -> str:
    text: str = table.optional(key, STRING, "")
    if text:
        check_expression(table, key, text)
    return text


def _require(table: Table) -> tuple[str, ...]:
    given = table.data.get("require", [])
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
        table.at_value("require", 'require must be a list of conditions such as ["rate < 1"]')
        return ()
    for text in texts:
        check_expression(table, "require", text)
    return tuple(texts)


# Tensors of a layer.


def _named_indices(table: Table) -> tuple[str, ...]:
    text = table.required("indices", STRING)
    indices = _indices(text, groups=True) if text else ()
    if text is not None and (not indices or "..." in indices):
        table.at_value("indices", 'indices must be distinct names such as "i,j"')
    return indices


def _tensors(place: Place, key: str, keys: tuple[str, ...]) -> Mapping[str, Table]:
    group = place.at(key).table(key)
    found = {}
    for name in group.data if group else ():
        assert group is not None
        table = group.table(name)
        if not is_name(name):
            group.at_key(name, f"{name!r} is no name for a tensor")
        elif table is not None:
            table.only(*keys)
            found[name] = table
    return found


def _states(place: Place) -> tuple[StateRule, ...]:
    return tuple(
        StateRule(name, _named_indices(table), float(table.optional("initial", NUMBER, 0.0)))
        for name, table in _tensors(place, "state", STATE_KEYS).items()
    )


def _draws(place: Place) -> tuple[DrawRule, ...]:
    drawn = choice("uniform", "normal")
    return tuple(
        DrawRule(name, _named_indices(table), table.required("distribution", drawn) or "uniform")
        for name, table in _tensors(place, "draws", DRAW_KEYS).items()
    )


def _parameter(name: str, group: Table | None, place: Place) -> ParameterRule | None:
    table = group.table(name) if group else None
    if table is None or group is None:
        return None
    if not is_name(name):
        group.at_key(name, f"{name!r} is no name for a parameter")
    table.only(*PARAMETER_KEYS)
    indices = _named_indices(table)
    when = table.optional("when", STRING, "")
    if when and not isinstance(place.fields.constants.get(when), bool):
        table.at_value("when", f"when must name a constant that is true or false, not {when!r}")
    fan_in, fan_out = (table.optional(key, STRING, "") for key in ("fan_in", "fan_out"))
    for key, fan in (("fan_in", fan_in), ("fan_out", fan_out)):
        if fan:
            check_expression(table, key, fan)
    return ParameterRule(name, indices, _initial(table, place.known), when, fan_in, fan_out)


def _initial(table: Table, known: Definitions) -> Initial:
    """`init = 0.25`, `init = "zeros"` or `init = { type = "normal", std = 0.02 }`."""
    value = table.data.get("init", "zeros")
    if is_number(value):
        return Initial("constant", (("value", float(value)),))
    if isinstance(value, str):
        name, fields = value, {}
    else:
        given = table.table("init")
        if given is None:
            return Initial("zeros")
        name = given.required("type", STRING) or "zeros"
        fields = {k: given.optional(k, NUMBER, 0.0) for k in given.data if k != "type"}
    definition = known.find("initializer", name)
    if definition is None:
        names = known.names("initializer")
        table.at_value(
            "init", f"unknown initializer {name!r}; the nearest is {nearest(name, names)!r}"
        )
        return Initial("zeros")
    for key in fields:
        if key not in dict(definition.constants):
            table.at_value("init", f"initializer {name!r} has no field {key!r}")
    return Initial(name, tuple(fields.items()))


# Layers of a layer.


def _layers(place: Place, inputs: tuple[Pattern, ...]) -> tuple[Layer, ...]:
    names = [p.name for p in inputs]
    given = ["input", *names] if len(names) == 1 else names
    if not given:
        return ()
    before = len(place.own.errors)

    def find(table: Table, key: str, kind: str, name: str) -> Definition | None:
        if place.known.find(kind, name) is None and name in place.waiting:
            if name == place.name:
                table.at_value(key, f"{name!r} cannot be made of itself")
            else:
                table.at_value(key, f"{name!r} is defined below; a layer is made of those above it")
            return None
        return place.known.named(table, key, kind, name)

    layers = uses.layers(place.at("layers"), find, given=given, inner=True)
    if len(place.own.errors) == before:
        owners: dict[str, str] = {}
        for layer in layers:
            for name in layer.public:
                other = owners.setdefault(name, layer.name)
                if other != layer.name:
                    message = f"{other} and {layer.name} both have a parameter {name!r}: "
                    message += f'rename one, as parameters = {{ {name} = "{name}_2" }}'
                    place.own.errors.append(place.own.document.at_key(layer.path, message))
    return layers


def read_names(case: Case) -> dict[str, None]:
    """What the expressions of a case read that is no size of it: fields, in order."""
    known = {i.upper() for p in case.inputs for i in p.indices if not i.startswith("*")}
    known |= {i.upper() for i in case.formula.matrix}
    known |= {g for p in case.inputs for g in p.groups} | {name for name, _ in case.numbers}
    for index, _ in case.sizes:
        known.add(index[1:] if index.startswith("*") else index.upper())
    texts = [text for part in (case.sizes, case.numbers, case.ranks) for _, text in part]
    texts += [case.when] if case.when else []
    texts += case.require
    for layer in case.layers:
        texts += [v.text for _, v in layer.fields if isinstance(v, Computed)]
    found: dict[str, None] = {}
    for text in texts:
        found |= dict.fromkeys(sorted(size_expressions.names(text) - known))
    return found
