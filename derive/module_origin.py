"""What a generated module was generated from, as its docstring says, derived anew.

    generated/digits_mlp.py   ->  specs/digits_mlp.toml: beside it, in ../specs, here, in specs
    a module of a formula     ->  the formula, in its docstring

Nothing of the module is run. Its equations are given under the numbers that its lines cite.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from derive import pipeline
from derive.code.citations import parsed
from derive.derived import Derivation
from derive.gradients.calculus import CHAIN_RULE
from derive.gradients.derivation import Gradients, Numbered
from derive.language.notation import DeriveError, Equation, accesses
from derive.language.source import printable
from derive.modules import formula_origin
from derive.network_derivation import NetworkDerivation
from derive.networks import supplements
from derive.pages.chains import Chains

_SPEC = re.compile(r"Generated from (\w+)\.toml by `derive generate`")
_FUNCTIONS: Mapping[str, Callable[..., Derivation]] = {
    "differentiate": pipeline.differentiate,
    "vjp": pipeline.vjp,
    "jacobian": pipeline.jacobian,
    "hessian": pipeline.hessian,
    "hvp": pipeline.hvp,
}


@dataclass(frozen=True)
class Definition:
    """Where an equation comes from, "layer dense_1, dense", and the formula that stands there."""

    name: str
    formula: str

    @property
    def names(self) -> set[str]:
        """The names in the formula."""
        return set(re.findall(r"[A-Za-z_]\w*", self.formula))


@dataclass(frozen=True)
class Group:
    """Equations of one origin under the numbers of the page; `words` say what they are."""

    words: str
    chains: Chains
    equations: tuple[Equation, ...]
    definitions: tuple[Definition, ...] = ()

    @property
    def gradients(self) -> Gradients:
        return self.chains.gradients

    @cached_property
    def through(self) -> tuple[tuple[str, str], ...]:
        """Each forward equation of the page with a cotangent that goes back through it."""
        found: dict[tuple[str, str], None] = {}
        for step in self.gradients.steps:
            if step.rule == CHAIN_RULE:
                tensor = step.before.target
                while tensor in self.chains.parts:
                    tensor = self.chains.readers[tensor]
                found[tensor, step.after.target] = None
        return tuple(found)

    @cached_property
    def numbered(self) -> Mapping[int, Equation]:
        numbers = self.gradients.numbers
        return {numbers[e.target]: e for e in self.equations if e.target in numbers}


@dataclass(frozen=True)
class Subject:
    """What a module was generated from, derived anew: its text now, and its equations."""

    text: str
    groups: tuple[Group, ...]
    layers: Mapping[str, Definition]  # by the target of a forward equation

    def find(self, number: int) -> tuple[Group, Equation] | None:
        for group in self.groups:
            if number in group.numbered:
                return group, group.numbered[number]
        return None


def subject(path: Path, text: str, spec: Path | None = None) -> Subject:
    """What the module says that it was generated from, derived anew.

    Raises DeriveError where it says nothing, or where its spec is not found or is another's.
    """
    shown = printable(str(path))
    tree, _ = parsed(text, shown)
    words = ast.get_docstring(tree, clean=False) or ""
    origin = formula_origin.read(words)
    if origin is not None:
        function = _FUNCTIONS[origin.function]
        return of_formula(function(origin.text, origin.wrt, origin.sizes, origin.accuracy))
    found = _SPEC.search(" ".join(words.split()))
    if found is None:
        raise DeriveError(
            f"{shown} is no module that derive generated, or too old a one: its docstring names "
            "neither a spec nor a formula"
        )
    derived = pipeline.derive_network(spec or _spec(path, found[1]))
    if derived.spec.name != found[1]:
        raise DeriveError(
            f"{shown} was generated from {found[1]}.toml, but this spec is of {derived.spec.name}"
        )
    return of_network(derived)


def _spec(path: Path, name: str) -> Path:
    """The spec of that name: beside the module, in `specs` beside its folder, or here."""
    folder = path.absolute().parent
    here = Path.cwd()
    places = dict.fromkeys((folder, folder.parent / "specs", here, here / "specs"))
    for place in places:
        candidate = place / f"{name}.toml"
        if candidate.is_file():
            return candidate
    searched = printable(", ".join(map(str, places)))
    raise DeriveError(
        f"{printable(str(path))} was generated from {name}.toml, which is in none of {searched}; "
        f"say where it is: --spec PATH/{name}.toml"
    )


def of_formula(d: Derivation) -> Subject:
    """The module of a formula."""
    lines = tuple(line.rstrip() for line in d.text.strip().split("\n"))
    group = Group("the derivation", Chains(d.gradients), d.gradients.shown)
    own = {e.target for e in d.gradients.backward}
    written = Definition("the formula", "\n".join(lines))
    layers = {e.target: written for e in d.gradients.shown if e.target not in own}
    return Subject(d.source(), (group,), layers)


def of_network(derived: NetworkDerivation) -> Subject:
    """The module of a network."""
    gradients, update = derived.derivatives.gradients, derived.update
    optimizer = derived.spec.optimizer.definition
    groups = [
        Group("the derivation", derived.chains[""], gradients.shown),
        Group(
            f"the update, one step of {optimizer.name}",
            Chains(Numbered(update.program, (), {}, (), update.numbers)),
            update.program.equations,
            (Definition(f"optimizer {optimizer.name}", optimizer.cases[0].formula.text),),
        ),
    ]
    for own in derived.beside.values():
        words = _BESIDE[own.kind]
        groups.append(Group(words, derived.chains[own.name], own.equations))
    return Subject(derived.source(), tuple(groups), _layers(derived))


_BESIDE = {
    supplements.INFERENCE: "inference, where it differs from training",
    supplements.WEIGHTED: "the loss with a weight for each sample",
    supplements.PROBABILITIES: "the probabilities that an answer is read as",
    supplements.LABELS: "the labels that an answer is read as",
    supplements.PER_SAMPLE: "the gradient of each sample: the batch index kept",
    supplements.SECOND: "the Hessian times a direction: the gradient differentiated again",
    supplements.INITIAL: "the initial values of parameters and states, p counting their elements",
}


def _layers(derived: NetworkDerivation) -> Mapping[str, Definition]:
    """The layer of each forward equation; of an auxiliary one that of the equation it is for."""
    found = {
        target: Definition(f"layer {layer.name}, {layer.type}", layer.formula)
        for layer in derived.network.layers
        for target in layer.equations
    }
    definition = derived.spec.loss.definition
    loss = Definition(f"the loss, {definition.name}", definition.cases[0].formula.text)
    for e in reversed(derived.derivatives.gradients.forward.equations):
        layer = found.setdefault(e.target, loss)
        for a in accesses(e.body):
            if a.tensor not in found:
                found[a.tensor] = layer
    return found
