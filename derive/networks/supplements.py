"""What a network's module computes besides derivation and update, each equation with its number.

    inference        where it differs from training: running means for those of the batch
    weighted_loss    the loss with a weight for each sample, and the cotangent of the output
    probabilities, labels    what an answer is read as
    per_sample       the cotangents with the batch index kept
    second           the Hessian of the loss times a direction
    initial          the first values of parameters and states

An equation that the derivation has too bears that number; the others go on from the update's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sympy import Float, Integer

from derive.gradients.derivation import Gradients, Numbered, with_given
from derive.gradients.normal_form import flatten, needed
from derive.gradients.simplify import recognize
from derive.language.notation import Equation, Index, Program
from derive.networks.network_parts import Initializer, Network
from derive.networks.passes import Derivatives
from derive.networks.updates import Update, on_axis

INFERENCE, WEIGHTED, PER_SAMPLE, SECOND = "inference", "weighted_loss", "per_sample", "second"
PROBABILITIES, LABELS, INITIAL = "probabilities", "labels", "initial"


@dataclass(frozen=True)
class Supplement:
    """Equations beside those of the derivation.

    `kind` is one of those above; there are several of `INITIAL`, each with a name of its own.
    `gradients` is the whole that a pass computes from, with steps where it was derived by some,
    under the numbers of the page; of what the derivation has too these are the derivation's.
    `program` holds what is computed of it, each part with the target of its equation as origin.
    `numbers` gives the numbers of all equations cited, by target; `equations` are those that only
    this supplement has, in the order of their numbers.
    """

    name: str
    kind: str
    gradients: Numbered
    program: Program
    numbers: Mapping[str, int]
    equations: tuple[Equation, ...]


def supplements(
    derivatives: Derivatives, network: Network, update: Update
) -> Mapping[str, Supplement]:
    """By name; those of initial values are named `initial <formula>`."""
    page = derivatives.gradients
    last = max((*page.numbers.values(), *update.numbers.values()))
    found: dict[str, Supplement] = {}
    for name, own, results in _computed(derivatives, network):
        found[name] = _beside(page, own, name, results, last + 1)
        last += len(found[name].equations)
    for program in _initial(network):
        name = initial(program)
        if name not in found:
            shown = on_axis(program, Index("p"))
            numbers = {e.target: k for k, e in enumerate(shown.equations, last + 1)}
            own = Numbered(shown, (), {}, (), numbers)
            found[name] = Supplement(name, INITIAL, own, program, numbers, shown.equations)
            last += len(numbers)
    return found


def initial(program: Program) -> str:
    """The name of the supplement that states these initial values."""
    return f"{INITIAL} {program}"


def constant(value: float) -> Program:
    """`w[...] = 0`, the first value of a state."""
    body = Integer(int(value)) if value == int(value) else Float(value)
    return Program((Equation("w", (Index("..."),), body),), ())


def _initial(network: Network) -> Iterable[Program]:
    initializers: Iterable[Initializer] = dict.fromkeys(p.initializer for p in network.parameters)
    yield from (i.program for i in initializers)
    yield from (constant(s.initial) for s in network.states)


def _computed(
    derivatives: Derivatives, network: Network
) -> Iterable[tuple[str, Gradients, tuple[str, ...]]]:
    """Each pass beside the derivation: its name, its equations, its results."""
    inference = derivatives.inference
    yield INFERENCE, inference, inference.forward.results
    weighted = derivatives.weighted
    if not isinstance(weighted, str):
        bars = tuple(weighted.cotangents.values())
        yield WEIGHTED, weighted, (weighted.forward.result, *bars)
    for name, program in ((PROBABILITIES, network.proba), (LABELS, network.predict)):
        if program is not None:
            own = Gradients(recognize(flatten(program))[0], (), {}, ())
            yield name, own, (own.forward.result,)
    for name, each in ((PER_SAMPLE, derivatives.each), (SECOND, derivatives.second)):
        if isinstance(each, Gradients):
            yield name, each, tuple(each.cotangents.values())


def _beside(
    page: Gradients, own: Gradients, name: str, results: tuple[str, ...], first: int
) -> Supplement:
    """What is computed of `own`, the equations that the page has too under the page's numbers."""
    known = {e.target: e for e in page.program.equations}
    program = own.program
    same = {e.target for e in program.equations if _equal(known.get(e.target), e)}
    equations = []
    for e in needed(program, results).equations:
        home = known[e.target].origin or e.target if e.target in same else ""
        origin = home if home in same else e.origin
        equations.append(e if e.origin == origin else replace(e, origin=origin))
    cited = {e.origin or e.target for e in equations}
    numbers = {t: page.numbers[t] for t in cited & same if t in page.numbers}
    others = tuple(e for e in own.shown if e.target in cited and e.target not in numbers)
    numbers |= {e.target: k for k, e in enumerate(others, first)}
    computed = replace(program, equations=tuple(equations), results=results)
    whole = {t: page.numbers[t] for t in same if t in page.numbers} | numbers
    return Supplement(name, name, with_given(own, whole), computed, numbers, others)


def _equal(one: Equation | None, other: Equation) -> bool:
    return one is not None and (one.indices, one.body) == (other.indices, other.body)
