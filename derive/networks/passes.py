"""A network's derivatives, ordered into the passes of its module.

    forward     output and loss
    renewal     the next values of the states
    loss        the cotangent of the output
    backward    those of the parameters
    input       that of the input

Exact, because each pass holds all that its results depend on and that no earlier one computes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sympy import S

from derive.gradients.derivation import Gradients, reverse, with_numbers
from derive.gradients.normal_form import flatten, fresh, names, needed
from derive.gradients.simplify import recognize
from derive.language.notation import Access, Equation, Program, Tensor
from derive.networks import weighting
from derive.networks.network_parts import Network
from derive.networks.per_sample import Coupled, per_sample

Targets = frozenset[str]


@dataclass(frozen=True)
class Derivatives:
    """All that a module computes, besides the update.

    `gradients` are by the parameters, the input if it is made of numbers, and the output;
    `sections` are the targets of each pass. `inference` has no cotangents. The others are None, or
    the reason in words, where there is no such derivative.
    """

    gradients: Gradients
    sections: tuple[Targets, ...]
    inference: Gradients
    weighted: Gradients | str
    each: Gradients | str
    second: Gradients | None


def derive(network: Network, second_order: bool) -> Derivatives:
    """All derivatives of a network; that of its gradient only if asked for."""
    loss, output = network.program.results[0], network.output.name
    parameters = tuple(p.tensor for p in network.parameters)
    trained = _normal(network.program)
    answering = needed(trained, (loss, output)).equations
    program = replace(trained, equations=_first(answering, trained.equations))
    by = (*parameters, *(["x"] if network.input.kind == "real" else []), output)
    swept = with_numbers(reverse(program, by, {loss: S.One}))
    backward = replace(swept.forward, equations=swept.backward)
    start = needed(backward, (swept.cotangents[output],)).equations
    training = needed(backward, tuple(swept.cotangents[p] for p in parameters)).equations
    ordered = _first(start, _first(training, swept.backward))
    gradients = replace(swept, backward=ordered)
    renewed = _targets(program.equations) - _targets(answering)
    sections = (
        _targets(swept.forward.equations) - renewed,
        renewed,
        _targets(start),
        _targets(training) - _targets(start),
        _targets(swept.backward) - _targets(training) - _targets(start),
    )
    same = network.inference == network.program
    inference = trained if same else _normal(network.inference)
    return Derivatives(
        gradients,
        sections,
        Gradients(inference, (), {}, ()),
        _weighted(network),
        _each(gradients, parameters, network),
        _second(gradients, parameters) if second_order and parameters else None,
    )


def _normal(program: Program) -> Program:
    return recognize(flatten(program))[0]


def _targets(equations: tuple[Equation, ...]) -> Targets:
    return frozenset(e.target for e in equations)


def _first(some: tuple[Equation, ...], equations: tuple[Equation, ...]) -> tuple[Equation, ...]:
    """The equations in `some` before the others, all in their order."""
    chosen = _targets(some)
    return tuple(sorted(equations, key=lambda e: e.target not in chosen))


def _weighted(network: Network) -> Gradients | str:
    """The weighted loss and the cotangent of the output, of output, target and weights alone."""
    try:
        program, _ = weighting.weighted(_normal(network.loss), network.input.axes[0])
    except weighting.NoMean as error:
        return str(error)
    return with_numbers(reverse(program, (network.output.name,), {program.result: S.One}))


def _each(gradients: Gradients, parameters: tuple[str, ...], network: Network) -> Gradients | str:
    if not parameters:
        return "the network has no parameters"
    batch = network.input.axes[0]
    try:
        return per_sample(gradients, parameters, network.output.name, batch)
    except Coupled as error:
        return str(error)


def _second(first: Gradients, parameters: tuple[str, ...]) -> Gradients:
    """The Hessian of the loss times a direction: the sweep from the gradient, so weighted."""
    program = needed(first.program, tuple(first.cotangents[p] for p in parameters))
    taken = names(first.program)
    seeds = {}
    directions = []
    for p in parameters:
        gradient = program.equation(first.cotangents[p])
        tensor = Tensor(fresh(f"{p}_direction", taken), gradient.indices)
        seeds[gradient.target] = Access(tensor.name, *tensor.axes)
        directions.append(tensor)
    program = replace(program, inputs=(*program.inputs, *directions))
    return with_numbers(reverse(program, parameters, seeds, suffix="_hvp"))
