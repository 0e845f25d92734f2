"""Definitions put to use: the tables `[[layers]]` of a spec, and those of a layer made of layers.

    type = "dense", units = 3, activation = "relu"    ->    dense_1, and relu_1 that reads it

Every layer has a name and names its inputs. Within a definition a field may be an expression of
the fields and sizes there: `units = "hidden"`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from derive.language.notation import DeriveError
from derive.library import size_expressions
from derive.library.definition import Computed, Definition, FieldRule, Layer, Use
from derive.library.fields import LAYER_FIELDS, value
from derive.library.toml_tables import NAME, NAMES, RATE, SIZE, STRING, Table, nearest

# Finds a definition by kind and name; None after a complaint about the key.
Find = Callable[[Table, str, str, str], Definition | None]


def layers(
    top: Table, find: Find, *, given: Iterable[str] = ("input",), inner: bool = False
) -> tuple[Layer, ...]:
    """The layers of a table; `given` are the names of its inputs, the first one is the default.

    `inner`: they make up a layer themselves.
    """
    outputs = {name: name for name in given}  # what a name in `inputs` means: the activated output
    tables = top.tables("layers")
    later = [table.data.get("name") for table in tables]
    found: list[Layer] = []
    counts: Counter[str] = Counter()
    previous = next(iter(outputs))
    for k, table in enumerate(tables):
        use = used(table, "layer", find, *LAYER_FIELDS, inner=inner)
        type_ = str(table.data.get("type", "layer"))
        counts[type_] += 1
        name = table.optional("name", NAME, None) or f"{type_}_{counts[type_]}"
        inputs = tuple(_inputs(table, outputs, previous, {name, *later[k:]}))
        share = _share(table, found, use)
        _unique(table, name, outputs)
        outputs[name] = previous = name
        renamed = _renamed(table, use) if inner else ()
        repeat = _repeat(table, inner)
        if use is not None:
            own = (use.definition, use.fields, use.path, name, inputs)
            found.append(Layer(*own, share, renamed, repeat))
        activation = _activation(table, find, use)
        if activation is not None:
            counts[activation.type] += 1
            outputs[name] = previous = f"{activation.type}_{counts[activation.type]}"
            _unique(table, previous, outputs)
            outputs[previous] = previous
            fields, path = activation.fields, activation.path
            own = (activation.definition, fields, path, previous, (name,))
            found.append(Layer(*own, repeat=repeat))
    if not top.errors:
        _dangling(top, found)
    return tuple(found)


def _unique(table: Table, name: str, names: dict[str, str]) -> None:
    if name == "input":
        table.at_value("name", "no layer can be called 'input': that is the network's input")
    elif name in names:
        table.at_value("name", f"two layers have the name {name!r}")


def _inputs(table: Table, outputs: dict[str, str], previous: str, later: set[Any]) -> list[str]:
    found = []
    for k, name in enumerate(table.optional("inputs", NAMES, ())):
        if name in outputs:
            found.append(outputs[name])
            continue
        path = (*table.path, "inputs", k)
        near = f"the nearest name is {nearest(name, outputs)!r}"
        if name in later:
            near = "a layer reads what stands above it, and not itself"
        message = f"no layer before this one is called {name!r}; {near}"
        table.errors.append(table.document.at_value(path, message))
    return found or [previous]


def _share(table: Table, before: list[Layer], use: Use | None) -> str:
    share: str = table.optional("share", NAME, "")
    other = next((layer for layer in before if layer.name == share), None)
    if share and other is None:
        names = [layer.name for layer in before]
        near = f"; the nearest name is {nearest(share, names)!r}" if names else ""
        table.at_value("share", f"no layer before this one is called {share!r}{near}")
    elif other is not None and use is not None and other.definition is not use.definition:
        table.at_value("share", f"{share!r} is of another type: {other.type}")
    return share


def _repeat(table: Table, inner: bool) -> int:
    repeat: int = table.optional("repeat", SIZE, 1)
    if inner and "repeat" in table.data:
        table.at_key(
            "repeat",
            "a layer within a definition is not repeated alone; repeat the layer that is defined",
        )
    return repeat


def _renamed(table: Table, use: Use | None) -> tuple[tuple[str, str], ...]:
    group = table.table("parameters")
    if group is None or use is None:
        return ()
    known = use.definition.parameters
    found = {}
    for name in group.data:
        if name not in known:
            near = f"; the nearest is {nearest(name, known)!r}" if known else ""
            group.at_key(name, f"{use.type} has no parameter {name!r}{near}")
        found[name] = group.optional(name, NAME, name)
    return tuple(found.items())


def _activation(table: Table, find: Find, use: Use | None) -> Use | None:
    if use is not None and "activation" in dict(use.fields):
        return None
    type_ = table.optional("activation", STRING, None)
    if type_ is None:
        return None
    definition = find(table, "activation", "layer", type_)
    if definition is None:
        return None
    if definition.required:
        table.at_value("activation", f"{type_} has fields of its own: write it as a layer")
        return None
    return Use(definition, definition.constants, (*table.path, "activation"))


def _dangling(top: Table, found: list[Layer]) -> None:
    """Every layer but the last one is read by another, or lends its parameters to one."""
    read = {name for layer in found for name in (*layer.inputs, layer.share)}
    for layer in found[:-1]:
        if layer.name not in read:
            message = (
                f"the layer {layer.name!r} is left dangling: nothing reads its output, and "
                "the network's output is the last layer"
            )
            top.errors.append(top.document.at_key(layer.path, message))


def used(table: Table, kind: str, find: Find, *keys: str, inner: bool = False) -> Use | None:
    """The definition that `type` names, with the fields given in the table."""
    type_ = table.required("type", STRING)
    if type_ is None:
        return None
    definition = find(table, "type", kind, type_)
    if definition is None:
        return None
    fields: dict[str, Any] = {}
    for rule in definition.fields:
        fields[rule.name] = _field(table, rule, fields, inner)
    if kind == "optimizer" and "learning_rate" not in fields:
        fields["learning_rate"] = table.required("learning_rate", RATE)
    table.only(*keys, *(("parameters",) if inner else ()), *fields)
    for rule in definition.fields:
        if rule.same_as and rule.name not in table.data:
            fields[rule.name] = fields[rule.same_as]
    return Use(definition, tuple(fields.items()), table.path)


def _field(table: Table, rule: FieldRule, before: dict[str, Any], inner: bool) -> Any:
    given = table.data.get(rule.name)
    if inner and isinstance(given, str) and not rule.kind.holds(given):
        try:
            size_expressions.names(given)
        except DeriveError as error:
            table.at_value(rule.name, str(error))
        return Computed(given)
    if rule.default is None and not rule.same_as:
        return value(table.required(rule.name, rule.kind))
    return value(table.optional(rule.name, rule.kind, rule.default))


def checked(rule: FieldRule, found: Any) -> Any:
    """The value of a field, computed within a definition."""
    if not rule.kind.holds(list(found) if isinstance(found, tuple) else found):
        raise DeriveError(f"{rule.name} must be {rule.kind.words}, not {found!r}")
    return found
