"""What a user gets: one derivation, and its views as LaTeX, as code and as a check."""

from __future__ import annotations

import importlib.util
import linecache
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.abc import InspectLoader
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from derive import formula_module
from derive.calculus import Step
from derive.checks import Arrays, Report, compare, contracted, in_double, random_cotangent
from derive.derivation import Gradients
from derive.held import holding
from derive.latex_document import latex
from derive.notation import DeriveError, Equation, Program
from derive.stability import ACCURACIES, stabilize


@dataclass(frozen=True, repr=False)
class Derivation:
    """The gradient, vector-Jacobian product, Jacobian, Hessian or Hessian-vector product.

    `kind` is "gradient", "vjp", "jacobian", "hessian" or "hvp"; `wrt` are the operands;
    `direction` is the name of the extra input of a vjp or hvp, `first` the gradient that a Hessian
    or hvp is the derivative of.
    """

    kind: str
    text: str
    wrt: tuple[str, ...]
    gradients: Gradients
    accuracy: str = "exact"
    direction: str = ""
    first: Derivation | None = None

    def __post_init__(self) -> None:
        if self.accuracy not in ACCURACIES:
            known = " or ".join(map(repr, ACCURACIES))
            raise DeriveError(f"accuracy is {known}, not {self.accuracy!r}")

    def __repr__(self) -> str:
        return "\n".join(map(str, self.equations))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The recorded steps, in order."""
        return self.gradients.steps

    @property
    def equations(self) -> tuple[Equation, ...]:
        """Forward and cotangent equations; `str()` of each is one line of the formula language."""
        return self.gradients.equations

    @cached_property
    def computed(self) -> Program:
        """The equations in the form that is computed, right to the last bits."""
        return stabilize(self.gradients.program, self.accuracy)

    def latex(self) -> str:
        """A complete document that pdflatex compiles."""
        return latex(self.gradients, text=self.text, computed=self.computed)

    def source(self) -> str:
        """A NumPy module, importable on its own."""
        g = self.gradients
        return formula_module.source(
            self.kind,
            self.computed,
            g.forward.result,
            g.cotangents,
            self.direction,
            g.equations,
            g.numbers,
        )

    def compile(self) -> ModuleType:
        """The module, loaded."""
        return load(self.source(), f"derived_{self.kind}")

    def check(self, /, **arrays: Any) -> Report:
        """The compiled derivatives against central differences, in float64, at the given arrays.

        Derivatives of a result that is no scalar are contracted with a random cotangent first.
        What `stop_gradient` holds stays what it is at the given arrays.
        Raises DeriveError where an operand is no input: it cannot be moved.
        """
        inputs = [t.name for t in self.gradients.forward.inputs]
        for name in self.wrt:
            if name not in inputs:
                raise DeriveError(f"{name} is computed by the formula: check compares inputs only")
        given = {name: in_double(array) for name, array in arrays.items()}
        module = self.compile()
        operand = self.wrt[0]
        first = self.first.compile() if self.first else module

        def moved(at: Arrays) -> Any:
            return first.value_and_grad(**at)[1][operand] if self.first else first.value(**at)

        result = self._holding(given) or moved
        if self.kind == "gradient":
            return compare(result, module.value_and_grad(**given)[1], given, self.wrt)
        cotangent = random_cotangent(np.shape(result(given)))
        match self.kind:
            case "vjp":
                found = module.vjp(cotangent, **given)
            case "hvp":
                found = {operand: module.hvp(cotangent, **given)}
            case _:
                whole = getattr(module, self.kind)(**given)
                found = {operand: np.tensordot(cotangent, whole, cotangent.ndim)}
        return compare(contracted(result, cotangent), found, given, self.wrt)

    def _holding(self, given: Arrays) -> Callable[[Arrays], Any] | None:
        """What is differentiated, where `stop_gradient` holds a part of it at the given arrays.

        None where nothing is held.
        """
        program, target = self.gradients.forward, self.gradients.forward.result
        if self.first:
            program = self.first.gradients.program
            target = self.first.gradients.cotangents[self.wrt[0]]
        inputs = tuple(t for t in program.inputs if t.name != self.direction)
        program, copies = holding(replace(program, results=(target,), inputs=inputs))
        if not copies:
            return None
        computed = stabilize(program, self.accuracy)
        text = formula_module.source("value", computed, target, {}, "", (), {})
        module = load(text, "derived_value")
        held = {copy: given[name] for copy, name in copies.items() if name in given}
        return lambda at: module.value(**at, **held)


class _Source(InspectLoader):
    """Loads a module from its text, which tracebacks and warnings quote."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.file = f"<{name} {zlib.crc32(text.encode()):08x}>"
        linecache.cache[self.file] = (len(text), None, text.splitlines(keepends=True), self.file)

    def get_source(self, fullname: str) -> str:
        return self.text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.text, self.file, "exec")


def load(source: str, name: str) -> ModuleType:
    """A generated module, loaded from its text."""
    loader = _Source(source, name)
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
