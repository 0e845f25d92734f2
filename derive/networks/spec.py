"""The description of a network, read from TOML: plain data, every field checked.

    load(Path("specs/digits_mlp.toml")) -> Spec

A spec is data: nothing in it is evaluated. All that is wrong with it is reported at once, in one
`SpecError`, each message with file, line, column and a caret. The shorthand `activation = "relu"`
is a layer of its own here, and every layer has a name and names its inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from derive.library import uses
from derive.library.catalogue import Definitions
from derive.library.definition import Layer, Use
from derive.library.definitions import extended, library
from derive.library.toml_positions import Document, SpecError, read
from derive.library.toml_tables import (
    BOOLEAN,
    NAME,
    RATE,
    SIZE,
    SIZES,
    TITLE,
    Kind,
    Table,
    choice,
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
    return uses.layers(top, definitions.named)


def _optimizer(top: Table, definitions: Definitions) -> Use | None:
    if "optimizer" not in top.data:
        adam = definitions.find("optimizer", "adam")
        return Use(adam, adam.constants, ()) if adam else None
    return _use(top, "optimizer", definitions)


def _use(top: Table, kind: str, definitions: Definitions) -> Use | None:
    table = top.table(kind)
    return None if table is None else uses.used(table, kind, definitions.named, "type")


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
