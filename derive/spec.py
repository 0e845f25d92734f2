"""The description of a network, read from TOML: plain data, every field checked.

    load(Path("specs/digits_mlp.toml")) -> Spec

A spec is data: nothing in it is evaluated. All that is wrong with it is reported at once, in one
`SpecError`, each message with file, line, column and a caret. The shorthand `activation = "relu"`
is a layer of its own here, and every layer has a name and names its inputs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from derive.definition import Definition
from derive.definitions import LAYER_FIELDS, Definitions, extended, library, namespace
from derive.toml_positions import Document, KeyPath, SpecError, read
from derive.toml_tables import (
    BOOLEAN,
    NAME,
    NAMES,
    NUMBER,
    RATE,
    SIZE,
    SIZES,
    STRING,
    TITLE,
    Kind,
    Table,
    choice,
    is_number,
    nearest,
)

KEYS = (
    *("name", "title", "dtype", "accuracy", "second_order", "include", "define"),
    *("input", "layers", "loss", "optimizer", "regularization", "training"),
)
PATHS = Kind(
    'a list of relative paths such as ["my_layers.toml"]',
    lambda v: (
        isinstance(v, list)
        and all(isinstance(p, str) and p.isprintable() and p.endswith(".toml") for p in v)
    ),
)
FRACTION = Kind("at least 0 and below 1", lambda v: is_number(v) and 0 <= v < 1)
FRACTIONS = ("momentum", "rho", "beta1", "beta2")
NONNEGATIVE = Kind("a finite number, at least 0", lambda v: is_number(v) and v >= 0)

Fields = tuple[tuple[str, bool | int | float], ...]


@dataclass(frozen=True)
class Input:
    """`shape` is without the batch axis; `vocabulary` bounds the tokens of an integer input."""

    shape: tuple[int, ...]
    dtype: str  # that of the spec, or "int64"
    vocabulary: int | None = None

    @property
    def is_tokens(self) -> bool:
        return self.dtype == "int64"


@dataclass(frozen=True)
class Use:
    """A definition put to use, with a value for each of its fields; `path` is where."""

    definition: Definition
    fields: Fields
    path: KeyPath

    @property
    def type(self) -> str:
        return self.definition.name


@dataclass(frozen=True)
class Layer(Use):
    """`inputs` are names of earlier layers, or "input"; `share` names a layer, or is empty."""

    name: str = ""
    inputs: tuple[str, ...] = ()
    share: str = ""


@dataclass(frozen=True)
class Regularization:
    """0 means none."""

    l1: float = 0.0
    l2: float = 0.0
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Training:
    """Defaults of `fit`; no clipping where `gradient_clip_norm` is None."""

    epochs: int = 10
    batch_size: int = 32
    gradient_clip_norm: float | None = None


@dataclass(frozen=True)
class Spec:
    """One network."""

    name: str
    title: str
    dtype: str
    accuracy: str
    second_order: bool
    input: Input
    layers: tuple[Layer, ...]
    loss: Use
    optimizer: Use
    regularization: Regularization
    training: Training
    definitions: Definitions
    document: Document


def load(path: Path) -> Spec:
    """The spec in a file; raises `SpecError` with everything that is wrong with it."""
    return interpret(read(path))


def interpret(document: Document) -> Spec:
    """The spec in a document."""
    errors: list[str] = []
    top = Table(document, (), document.data, errors)
    top.only(*KEYS)
    name = top.required("name", NAME)
    if name is not None and name.startswith("__"):
        top.at_value("name", f"{name!r} is no name for a module")
    title = top.optional("title", TITLE, name or "")
    dtype = top.optional("dtype", choice("float32", "float64"), "float32")
    accuracy = top.optional("accuracy", choice("training", "exact"), "training")
    second_order = top.optional("second_order", BOOLEAN, False)
    definitions = _definitions(top)
    input_ = _input(top, dtype)
    layers = _layers(top, definitions)
    loss = _use(top, "loss", definitions) if _section(top, "loss") else None
    optimizer = _optimizer(top, definitions)
    regularization = _regularization(top, optimizer)
    training = _training(top)
    if errors or input_ is None or loss is None or optimizer is None:
        raise SpecError(tuple(errors))
    return Spec(
        name,
        " ".join("".join(c if c.isprintable() else " " for c in title).split()),
        dtype,
        accuracy,
        second_order,
        input_,
        layers,
        loss,
        optimizer,
        regularization,
        training,
        definitions,
        document,
    )


def _section(top: Table, key: str) -> Table | None:
    if key not in top.data:
        top.errors.append(top.document.at_key((), f"the section [{key}] is missing"))
    return top.table(key)


def _definitions(top: Table) -> Definitions:
    """The library, then what the spec includes, then its own definitions; the last one counts."""
    known = library()
    for k, included in enumerate(top.optional("include", PATHS, ())):
        path = Path(top.document.filename).parent / included
        if Path(included).is_absolute():
            top.errors.append(
                top.document.at_value(("include", k), "the path must be relative to the spec")
            )
            continue
        try:
            document = read(path)
        except SpecError as error:
            for message in error.messages:
                top.errors.append(top.document.at_value(("include", k), message))
            continue
        table = Table(document, (), document.data, top.errors)
        table.only("define")
        known = extended(known, table)
    return extended(known, top)


def _input(top: Table, dtype: str) -> Input | None:
    table = _section(top, "input")
    if table is None:
        return None
    table.only("shape", "dtype", "vocabulary")
    shape = table.required("shape", SIZES)
    kind = table.optional("dtype", choice(dtype, "int64"), dtype)
    vocabulary = table.optional("vocabulary", SIZE, None)
    if vocabulary is not None and kind != "int64":
        table.at_key("vocabulary", 'a vocabulary is for tokens: add dtype = "int64"')
    return Input(tuple(shape or ()), kind, vocabulary)


def _layers(top: Table, definitions: Definitions) -> tuple[Layer, ...]:
    if "layers" not in top.data:
        top.errors.append(top.document.at_key((), "the list [[layers]] is missing"))
    layers: list[Layer] = []
    counts: Counter[str] = Counter()
    outputs = {"input": "input"}  # what a name in `inputs` means: the activated output
    previous = "input"
    for table in top.tables("layers"):
        use = _used(table, "layer", definitions, *LAYER_FIELDS)
        type_ = str(table.data.get("type", "layer"))
        counts[type_] += 1
        name = table.optional("name", NAME, None) or f"{type_}_{counts[type_]}"
        inputs = tuple(_inputs(table, outputs, previous))
        share = _share(table, layers, use)
        _unique(table, name, outputs)
        outputs[name] = previous = name
        if use is not None:
            layers.append(Layer(use.definition, use.fields, use.path, name, inputs, share))
        activation = _activation(table, definitions)
        if activation is not None:
            counts[activation.type] += 1
            outputs[name] = previous = f"{activation.type}_{counts[activation.type]}"
            _unique(table, previous, outputs)
            outputs[previous] = previous
            fields, path = activation.fields, activation.path
            layers.append(Layer(activation.definition, fields, path, previous, (name,)))
    return tuple(layers)


def _unique(table: Table, name: str, names: dict[str, str]) -> None:
    if name == "input":
        table.at_value("name", "no layer can be called 'input': that is the network's input")
    elif name in names:
        table.at_value("name", f"two layers have the name {name!r}")


def _inputs(table: Table, outputs: dict[str, str], previous: str) -> list[str]:
    found = []
    for k, name in enumerate(table.optional("inputs", NAMES, ())):
        if name in outputs:
            found.append(outputs[name])
            continue
        path = (*table.path, "inputs", k)
        near = nearest(name, outputs)
        message = f"no layer before this one is called {name!r}; the nearest name is {near!r}"
        table.errors.append(table.document.at_value(path, message))
    return found or [previous]


def _share(table: Table, layers: list[Layer], use: Use | None) -> str:
    share: str = table.optional("share", NAME, "")
    other = next((layer for layer in layers if layer.name == share), None)
    if share and other is None:
        names = [layer.name for layer in layers]
        near = f"; the nearest name is {nearest(share, names)!r}" if names else ""
        table.at_value("share", f"no layer before this one is called {share!r}{near}")
    elif other is not None and use is not None and other.definition is not use.definition:
        table.at_value("share", f"{share!r} is of another type: {other.type}")
    return share


def _activation(table: Table, definitions: Definitions) -> Use | None:
    type_ = table.optional("activation", STRING, None)
    if type_ is None:
        return None
    definition = _named(table, "activation", "layer", type_, definitions)
    if definition is None:
        return None
    if definition.required:
        table.at_value("activation", f"{type_} has fields of its own: write it as a layer")
        return None
    return Use(definition, definition.constants, (*table.path, "activation"))


def _optimizer(top: Table, definitions: Definitions) -> Use | None:
    if "optimizer" not in top.data:
        adam = definitions.find("optimizer", "adam")
        return Use(adam, adam.constants, ()) if adam else None
    return _use(top, "optimizer", definitions)


def _use(top: Table, kind: str, definitions: Definitions) -> Use | None:
    table = top.table(kind)
    return None if table is None else _used(table, kind, definitions, "type")


def _used(table: Table, kind: str, definitions: Definitions, *keys: str) -> Use | None:
    """The definition that `type` names, with the fields given in the table."""
    type_ = table.required("type", STRING)
    if type_ is None:
        return None
    definition = _named(table, "type", kind, type_, definitions)
    if definition is None:
        return None
    fields: dict[str, bool | int | float] = {}
    for name in definition.required:
        fields[name] = table.required(name, SIZE)
    for name, default in definition.constants:
        fields[name] = table.optional(name, _kind(kind, name, default), default)
    if kind == "optimizer" and "learning_rate" not in fields:
        fields["learning_rate"] = table.required("learning_rate", RATE)
    table.only(*keys, *fields)
    return Use(definition, tuple(fields.items()), table.path)


def _kind(kind: str, name: str, default: bool | int | float) -> Kind:
    if isinstance(default, bool):
        return BOOLEAN
    if kind != "optimizer":
        return NUMBER
    if name == "learning_rate":
        return RATE
    return FRACTION if name in FRACTIONS else NONNEGATIVE


def _named(
    table: Table, key: str, kind: str, name: str, definitions: Definitions
) -> Definition | None:
    definition = definitions.find(kind, name)
    if definition is None and (namespace(kind), name) not in definitions.broken:
        near = nearest(name, definitions.names(kind))
        table.at_value(key, f"unknown {kind} {name!r}; the nearest is {near!r}")
    return definition


def _regularization(top: Table, optimizer: Use | None) -> Regularization:
    table = top.table("regularization")
    if table is None:
        return Regularization()
    keys = ("l1", "l2", "weight_decay")
    table.only(*keys)
    rates = {key: float(table.optional(key, RATE, 0.0)) for key in keys}
    if rates["weight_decay"] and optimizer and "weight_decay" in dict(optimizer.fields):
        table.at_key(
            "weight_decay", f"{optimizer.type} has a weight_decay of its own, in [optimizer]"
        )
    return Regularization(**rates)


def _training(top: Table) -> Training:
    table = top.table("training")
    if table is None:
        return Training()
    table.only("epochs", "batch_size", "gradient_clip_norm")
    return Training(
        table.optional("epochs", SIZE, Training.epochs),
        table.optional("batch_size", SIZE, Training.batch_size),
        table.optional("gradient_clip_norm", RATE, None),
    )
