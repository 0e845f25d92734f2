"""What a user gets: one derivation, and its views as LaTeX, as code and as a check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from derive.checks import Arrays, Report, compare, contracted, in_double, random_cotangent
from derive.gradients.derivation import Gradients
from derive.held import holding
from derive.language.notation import DeriveError, Program
from derive.modules import formula_functions, formula_module, formula_origin
from derive.modules.formula_functions import Function
from derive.modules.loading import load
from derive.numerics.stability import ACCURACIES, stabilize
from derive.pages import glossary, notebook
from derive.pages.chains import Chains, symbols
from derive.pages.document import Document
from derive.pages.exposition import document
from derive.pages.graph import of_gradients
from derive.pages.html_page import html
from derive.pages.latex_document import latex
from derive.pages.markdown import markdown
from derive.pages.notebook import ShownEquation, ShownStep
from derive.pages.picture import picture


@dataclass(frozen=True, repr=False)
class Derivation:
    """The gradient, vector-Jacobian product, Jacobian, Hessian or Hessian-vector product.

    `kind` is "gradient", "vjp", "jacobian", "hessian" or "hvp"; `wrt` are the operands;
    `direction` is the name of the extra input of a vjp or hvp, `first` the gradient that a Hessian
    or hvp is the derivative of; `sizes` are those given besides the formula.
    """

    kind: str
    text: str
    wrt: tuple[str, ...]
    gradients: Gradients
    accuracy: str = "exact"
    direction: str = ""
    first: Derivation | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.accuracy not in ACCURACIES:
            known = " or ".join(map(repr, ACCURACIES))
            raise DeriveError(f"accuracy is {known}, not {self.accuracy!r}")

    def __repr__(self) -> str:
        return "\n".join(map(str, self.equations))

    def _repr_latex_(self) -> str:
        """The equations, for a notebook."""
        return notebook.block(self.equations)

    @cached_property
    def steps(self) -> tuple[ShownStep, ...]:
        """The recorded steps, in order."""
        return notebook.steps(Chains(self.gradients))

    @cached_property
    def equations(self) -> tuple[ShownEquation, ...]:
        """Forward and cotangent equations; `str()` of each is one line of the formula language."""
        return notebook.equations(self.gradients, symbols(self.gradients))

    @cached_property
    def computed(self) -> Program:
        """The equations in the form that is computed, right to the last bits."""
        return stabilize(self.gradients.program, self.accuracy)

    def latex(self) -> str:
        """A complete document that pdflatex compiles."""
        return latex(self.document)

    def html(self) -> str:
        """A page that needs no network and no script, the module's code beside the derivation."""
        return html(self.document, self.source(), picture(of_gradients(self.gradients)))

    def markdown(self) -> str:
        """GitHub-flavored Markdown, its mathematics in fences."""
        return markdown(self.document)

    @cached_property
    def document(self) -> Document:
        """What the pages of the derivation say, before it is LaTeX, HTML or Markdown."""
        cost = glossary.cost({f.name: f.operations for f in self.functions})
        return document(self.gradients, text=self.text, computed=self.computed, after=cost)

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """The functions of the module."""
        g = self.gradients
        return formula_functions.functions(
            self.kind, self.computed, g.cotangents, self.direction, g.numbers
        )

    def source(self) -> str:
        """A NumPy module, importable on its own."""
        g = self.gradients
        return formula_module.source(
            self.kind,
            self.computed,
            g.cotangents,
            self.direction,
            self.functions,
            g.equations,
            g.numbers,
            formula_origin.words(self.kind, self.text, self.wrt, self.sizes, self.accuracy),
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
        made = formula_functions.functions("value", computed, {}, "", {})
        text = formula_module.source("value", computed, {}, "", made, (), {}, ())
        module = load(text, "derived_value")
        held = {copy: given[name] for copy, name in copies.items() if name in given}
        return lambda at: module.value(**at, **held)
