"""One layer, activation, loss, optimizer or initializer: its forward formula and its fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from derive import formula as formulas
from derive import size_expressions
from derive.formula import FormulaError
from derive.notation import Program
from derive.toml_positions import Document, KeyPath, SpecError

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

Fields = Mapping[str, bool | int | float]

_NEXT = re.compile(r"^\s*([A-Za-z_]\w*)_next\s*[\[=]", re.ASCII | re.MULTILINE)


@dataclass(frozen=True)
class Pattern:
    """`x[n,i]`: what a formula calls an input, and its indices; the first is the batch."""

    name: str
    indices: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}[{','.join(self.indices)}]"

    def fits(self, rank: int) -> bool:
        """Whether an input with that many axes, the batch included, can be meant."""
        if "..." in self.indices:
            return rank >= len(self.indices)
        return rank == len(self.indices)


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

    def parse(self, functions: Mapping[str, Any], inputs: Given, constants: Fields) -> Program:
        """The program, its sizes symbols; raises `SpecError` with the place in the document."""
        try:
            return formulas.parse(
                self.text, functions=functions, inputs=inputs, constants=constants
            )
        except FormulaError as error:
            raise SpecError((self._placed(error),)) from None

    def _placed(self, error: FormulaError) -> str:
        place = error.place
        if place is None:
            return self.document.at_value(self.path, error.message)
        return self.document.in_string(
            self.path, place.line, place.column, error.message, place.width, error.hint
        )


@dataclass(frozen=True, eq=False)
class Case:
    """What a layer computes for inputs that fit its patterns."""

    inputs: tuple[Pattern, ...]
    sizes: tuple[tuple[str, str], ...]
    parameters: tuple[ParameterRule, ...]
    formula: Formula


@dataclass(frozen=True, eq=False)
class Definition:
    """One entry of the library or of a user. Only layers have more than one case."""

    kind: str
    name: str
    constants: tuple[tuple[str, bool | int | float], ...]
    cases: tuple[Case, ...]
    functions: Mapping[str, Any]  # what its formulas may call
    predict: Formula | None = None
    proba: Formula | None = None
    _read: dict[Any, Program] = field(default_factory=dict, repr=False)

    @property
    def required(self) -> tuple[str, ...]:
        """Fields without a default: integers above 0, the names in `sizes` that are no sizes."""
        names: dict[str, None] = {}
        for case in self.cases:
            known = {i.upper() for p in case.inputs for i in p.indices}
            known |= {i.upper() for i, _ in case.sizes} | {name for name, _ in self.constants}
            for _, text in case.sizes:
                names |= dict.fromkeys(sorted(size_expressions.names(text) - known))
        return tuple(names)

    @property
    def states(self) -> tuple[str, ...]:
        """Of an optimizer: the names `s` for which its formula computes an `s_next`."""
        return tuple(s for s in _NEXT.findall(self.cases[0].formula.text) if s != "w")

    def program(self, case: Case, fields: Fields) -> Program:
        """The formula of a case with numbers for its fields; its sizes are symbols. Read once."""
        given = self._given(case)
        numbers = {name: value for name, value in fields.items() if name not in given}
        used = tuple((n, v) for n, v in numbers.items() if n in case.formula.names)
        key = (self.cases.index(case), used)
        if key not in self._read:
            self._read[key] = case.formula.parse(self.functions, given, numbers)
        return self._read[key]

    def symbolic(self) -> Program:
        """The formula of the first case with its constants as scalar inputs."""
        (case, *_) = self.cases
        scalars: Given = {name: () for name, _ in self.constants}
        return case.formula.parse(self.functions, scalars | self._given(case), {})

    def answer(self, formula: Formula, fields: Fields) -> Program:
        """The program of `predict` or `proba`, which read the output `z`."""
        return formula.parse(self.functions, {"z": None}, fields)

    def _given(self, case: Case) -> Given:
        given: Given = dict(GIVEN[self.kind])
        given |= {p.name: p.indices for p in case.inputs}
        given |= {p.name: p.indices for p in case.parameters}
        given |= {s: ("...",) for s in self.states if self.kind == "optimizer"}
        # An index with a size of its own runs over an axis of a tensor that no formula can name.
        return given | {SIZES: tuple(index for index, _ in case.sizes)}
