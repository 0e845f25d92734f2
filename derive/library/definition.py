"""One layer, activation, loss, optimizer or initializer: its forward formula and its fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from derive.language import formula as formulas
from derive.language.formula import FormulaError
from derive.language.notation import Program
from derive.library import groups
from derive.library.toml_positions import Document, KeyPath, SpecError
from derive.library.toml_tables import Kind

# What a formula of each kind may read besides its own constants and parameters. None: the axes are
# those that the formula uses.
Given = dict[str, tuple[str, ...] | None]
GIVEN: dict[str, Given] = {
    "activation": {"x": None},
    "layer": {},
    "loss": {"z": None, "y": None},
    "optimizer": {"w": ("...",), "g": ("...",), "t": (), "learning_rate": ()},
    "initializer": {"u": ("...",), "e": ("...",), "fan_in": (), "fan_out": ()},
}

SIZES = "the sizes given"

Fields = Mapping[str, Any]  # true or false, a number, a word, or a tuple of numbers

_MATRIX = re.compile(
    r"^\s*w\s*\[\s*([a-z_]\w*)\s*,\s*([a-z_]\w*)\s*\]\s*=(?!=)", re.ASCII | re.MULTILINE
)
_NEXT = re.compile(r"^\s*([A-Za-z_]\w*)_next\s*[\[=]", re.ASCII | re.MULTILINE)


@dataclass(frozen=True)
class Pattern:
    """`x[n,i]`: what a formula calls an input, and its indices; the first is the batch.

    `...` stands for leading axes, the batch with them; `*s` for any number of axes after it.
    """

    name: str
    indices: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}[{','.join(self.indices)}]"

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(i[1:] for i in self.indices if i.startswith("*"))

    def fits(self, rank: int) -> bool:
        """Whether an input with that many axes, the batch included, can be meant."""
        if "..." in self.indices:
            return rank >= len(self.indices)
        single = len(self.indices) - len(self.groups)
        return rank >= single if self.groups else rank == single


@dataclass(frozen=True)
class Initial:
    """The initializer of a parameter and the fields given to it."""

    name: str
    fields: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class ParameterRule:
    """A parameter of a layer: absent, and 0 in the formula, where the field `when` is false."""

    name: str
    indices: tuple[str, ...]
    initial: Initial
    when: str = ""
    fan_in: str = ""  # size expressions; empty: the axes that the layer sums over
    fan_out: str = ""  # and the others


@dataclass(frozen=True)
class StateRule:
    """A tensor that training renews: the formula computes `name_next`."""

    name: str
    indices: tuple[str, ...]
    initial: float


@dataclass(frozen=True)
class DrawRule:
    """A tensor of random numbers, "uniform" on [0, 1) or "normal"."""

    name: str
    indices: tuple[str, ...]
    distribution: str


@dataclass(frozen=True)
class Binding:
    """What a definition depends on when it is put to use, besides its inputs.

    `values` are those of all names that a size can read; `numbers` and `words` the fields that the
    formula reads, `lists` those fields that are lists; `sizes` gives index, text and size.
    """

    values: Mapping[str, Any]
    numbers: Mapping[str, bool | int | float]
    words: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    sizes: tuple[tuple[str, str, int], ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def expanded(self, indices: Sequence[str]) -> tuple[str, ...]:
        """The indices with the axes of each group written out."""
        return tuple(
            axis for i in indices for axis in (self.groups[i[1:]] if i.startswith("*") else (i,))
        )


def constant(fields: Fields) -> Binding:
    """Of a definition without sizes: its fields alone."""
    numbers = {name: v for name, v in fields.items() if isinstance(v, bool | int | float)}
    words = {name: v for name, v in fields.items() if isinstance(v, str)}
    lists = {name: v for name, v in fields.items() if isinstance(v, tuple)}
    return Binding(fields, numbers, words, lists)


@dataclass(frozen=True, eq=False)
class Formula:
    """Lines of the formula language, and where they stand in a document."""

    text: str
    document: Document
    path: KeyPath

    @property
    def names(self) -> set[str]:
        """The names in the text."""
        return set(re.findall(r"[A-Za-z_]\w*", self.text))

    @property
    def matrix(self) -> tuple[str, ...]:
        """Of an initializer of matrices: the indices of `w[i,j] = ...`, row and column."""
        found = _MATRIX.search(self.text)
        return found.groups() if found else ()

    def parse(self, functions: Mapping[str, Any], inputs: Given, binding: Binding) -> Program:
        """The program, its sizes symbols; raises `SpecError` with the place in the document."""
        orders = {k: tuple(map(int, v)) for k, v in binding.lists.items()}
        written = groups.written(self.text, binding.groups, orders)
        called = {k: functions[v] for k, v in binding.words.items() if v in functions}
        constants = {k: v for k, v in binding.numbers.items() if k not in inputs}
        try:
            return formulas.parse(
                written.text, functions={**functions, **called}, inputs=inputs, constants=constants
            )
        except FormulaError as error:
            raise SpecError((self._placed(error, written),)) from None

    def _placed(self, error: FormulaError, written: groups.Written) -> str:
        place = error.place
        if place is None or place.source.lines != tuple(written.text.split("\n")):
            return self.document.at_value(self.path, error.message)
        before = self.text[: written.origin(place.line, place.column)]
        line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
        return self.document.in_string(
            self.path, line, column, error.message, place.width, error.hint
        )


@dataclass(frozen=True, eq=False)
class Case:
    """What a layer computes for inputs that fit its patterns and fields that fit `when`.

    `sizes`, `numbers` and `ranks` are expressions by the name of an index, a number, a group.
    A layer made of `layers` has no formula of its own.
    """

    inputs: tuple[Pattern, ...]
    formula: Formula
    inference: Formula | None = None
    when: str = ""
    require: tuple[str, ...] = ()
    sizes: tuple[tuple[str, str], ...] = ()
    numbers: tuple[tuple[str, str], ...] = ()
    ranks: tuple[tuple[str, str], ...] = ()
    parameters: tuple[ParameterRule, ...] = ()
    states: tuple[StateRule, ...] = ()
    draws: tuple[DrawRule, ...] = ()
    layers: tuple[Layer, ...] = ()

    def tensors(self, drawn: tuple[DrawRule, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """What its formula may read: names with their indices."""
        yield from ((p.name, p.indices) for p in self.inputs)
        yield from ((p.name, p.indices) for p in self.parameters)
        yield from ((s.name, s.indices) for s in self.states)
        yield from ((d.name, d.indices) for d in drawn)

    @property
    def names(self) -> set[str]:
        """The names in its formulas."""
        return self.formula.names | (self.inference.names if self.inference else set())


@dataclass(frozen=True)
class FieldRule:
    """A field of a definition: what it has to be, and its default. None: it must be given."""

    name: str
    kind: Kind
    default: Any = None
    same_as: str = ""  # the field whose value is the default


@dataclass(frozen=True, eq=False)
class Definition:
    """One entry of the library or of a user. Layers and losses may have several cases."""

    kind: str
    name: str
    fields: tuple[FieldRule, ...]
    cases: tuple[Case, ...]
    functions: Mapping[str, Any]  # what its formulas may call
    pairs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    predict: Formula | None = None
    proba: Formula | None = None
    associative: bool = False
    _read: dict[Any, Program] = field(default_factory=dict, repr=False)

    @property
    def required(self) -> tuple[str, ...]:
        """Fields without a default."""
        return tuple(f.name for f in self.fields if f.default is None and not f.same_as)

    @property
    def constants(self) -> tuple[tuple[str, Any], ...]:
        """The other fields with their defaults."""
        return tuple((f.name, f.default) for f in self.fields if f.default is not None)

    @property
    def states(self) -> tuple[str, ...]:
        """Of an optimizer: the names `s` for which its formula computes an `s_next`."""
        return tuple(s for s in _NEXT.findall(self.cases[0].formula.text) if s != "w")

    @property
    def parameters(self) -> tuple[str, ...]:
        """Of a layer: what its parameters and states are called, those of its layers too."""
        found = dict.fromkeys(
            name
            for case in self.cases
            for name in (*(r.name for r in case.parameters), *(s.name for s in case.states))
        )
        for case in self.cases:
            for layer in case.layers:
                found |= dict.fromkeys(layer.public)
        return tuple(found)

    def program(self, case: Case, binding: Binding, formula: Formula | None = None) -> Program:
        """The formula of a case (or its inference formula) with numbers for its fields.

        The sizes are symbols. Read once for equal numbers.
        """
        formula = formula or case.formula
        given = self._given(case, binding, formula)
        names = formula.names
        key = (
            self.cases.index(case),
            formula is case.formula,
            tuple(
                (n, v, type(v))
                for part in (binding.numbers, binding.words)
                for n, v in part.items()
                if n in names
            ),
            tuple((n, v) for n, v in binding.lists.items() if n in names),
            tuple(binding.groups.items()),
            tuple(index for index, _, _ in binding.sizes),
        )
        if key not in self._read:
            self._read[key] = formula.parse(self.functions, given, binding)
        return self._read[key]

    def symbolic(self) -> Program:
        """The formula of the first case with its constants as scalar inputs."""
        (case, *_) = self.cases
        scalars: Given = {name: () for name, _ in self.constants}
        given = scalars | self._given(case, constant({}), case.formula)
        return case.formula.parse(self.functions, given, constant({}))

    def answer(self, formula: Formula, binding: Binding) -> Program:
        """The program of `predict` or `proba`, which read the output `z`."""
        given: Given = {"z": None}
        given |= self._vectors(formula, binding)
        return formula.parse(self.functions, given, binding)

    def _given(self, case: Case, binding: Binding, formula: Formula) -> Given:
        given: Given = dict(GIVEN[self.kind])
        drawn = case.draws if formula is case.formula else ()
        given |= {name: binding.expanded(indices) for name, indices in case.tensors(drawn)}
        if self.kind == "initializer" and formula.matrix:
            given |= {"u": formula.matrix, "e": formula.matrix}
        given |= {s: ("...",) for s in self.states if self.kind == "optimizer"}
        given |= self._vectors(formula, binding)
        # An index with a size of its own runs over an axis of a tensor that no formula can name.
        return given | {SIZES: tuple(index for index, _, _ in binding.sizes)}

    def _vectors(self, formula: Formula, binding: Binding) -> Given:
        """The lists that a formula reads as vectors, `class_weight[k]`."""
        return {
            name: None
            for name in binding.lists
            if re.search(rf"\b{name}\s*\[", formula.text, re.ASCII)
        }


@dataclass(frozen=True)
class Use:
    """A definition put to use, with a value for each of its fields; `path` is where."""

    definition: Definition
    fields: tuple[tuple[str, Any], ...]
    path: KeyPath

    @property
    def type(self) -> str:
        return self.definition.name


@dataclass(frozen=True)
class Layer(Use):
    """`inputs` are names of earlier layers, or "input"; `share` names a layer, or is empty.

    Within a definition `renamed` gives parameters other names, old to new. In a network `repeat`
    says how often it stands above itself, with its activation.
    """

    name: str = ""
    inputs: tuple[str, ...] = ()
    share: str = ""
    renamed: tuple[tuple[str, str], ...] = ()
    repeat: int = 1

    @property
    def public(self) -> tuple[str, ...]:
        """What its own parameters are called in the definition around it."""
        if self.share:
            return ()
        return tuple(dict(self.renamed).get(name, name) for name in self.definition.parameters)


@dataclass(frozen=True)
class Computed:
    """The value of a field within a definition: an expression of the fields and sizes there."""

    text: str
