"""What a user gets: one derivation, and its views as LaTeX, as code and as a check."""

from __future__ import annotations

import importlib.util
import linecache
import zlib
from dataclasses import dataclass
from functools import cached_property
from importlib.abc import InspectLoader
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from derive import formula_module
from derive.calculus import Step
from derive.checks import Arrays, Report, compare, contracted, in_double, random_cotangent
from derive.derivation import Gradients
from derive.latex_document import latex
from derive.notation import DeriveError, Equation, Program
from derive.stability import ACCURACIES, stabilize


@dataclass(frozen=True, repr=False)
class Derivation:
    """The gradient, vector-Jacobian product, Hessian or Hessian-vector product of a formula.

    `kind` is "gradient", "vjp", "hessian" or "hvp"; `wrt` are the operands; `direction` is the name
    of the extra input of the second and fourth kind, `first` the gradient that the third and fourth
    are derivatives of.
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

        def result(at: Arrays) -> Any:
            return first.value_and_grad(**at)[1][operand] if self.first else first.value(**at)

        if self.kind == "gradient":
            return compare(result, module.value_and_grad(**given)[1], given, self.wrt)
        cotangent = random_cotangent(np.shape(result(given)))
        match self.kind:
            case "vjp":
                found = module.vjp(cotangent, **given)
            case "hvp":
                found = {operand: module.hvp(cotangent, **given)}
            case _:
                found = {operand: np.tensordot(cotangent, module.hessian(**given), cotangent.ndim)}
        return compare(contracted(result, cotangent), found, given, self.wrt)


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
