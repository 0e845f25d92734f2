"""The page's sections on what a module computes besides the derivation and the update.

Each shows the equations that are not in the derivation, under the numbers that the code cites, and
the steps to those cotangents that are derived in another way than one of the derivation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from derive.gradients.normal_form import names
from derive.networks.supplements import (
    INFERENCE,
    INITIAL,
    LABELS,
    PER_SAMPLE,
    PROBABILITIES,
    SECOND,
    WEIGHTED,
    Supplement,
)
from derive.pages import derivation_sections
from derive.pages.chains import Chains, symbols
from derive.pages.document import Prose, Row, Section
from derive.pages.latex_rows import EMPTY, TAG, access_latex, broken, displays, initial_row, stacked
from derive.printing.latex_layout import LINE
from derive.printing.likewise import alike

_TITLES = {
    INFERENCE: "Inference",
    WEIGHTED: "Weighted loss",
    PROBABILITIES: "Probabilities",
    LABELS: "Labels",
    PER_SAMPLE: "The gradient of each sample",
    SECOND: "The Hessian times a direction",
    INITIAL: "Initial values",
}
_WORDS = {
    INFERENCE: (
        "What differs from training when the network answers: nothing is drawn at random, and "
        "states are read as they are."
    ),
    WEIGHTED: (
        "A weight for each sample is a factor of its loss; from the cotangent of the output on, "
        "the backward pass is as before."
    ),
    PROBABILITIES: "How the output is read.",
    LABELS: "How the output is read.",
    PER_SAMPLE: (
        "The derivatives of the loss of each sample alone: in the cotangents the batch index is "
        "kept, and the sum over it left out. Cotangents that are not stated here are those of the "
        "backward pass, computed from these."
    ),
    SECOND: (
        "The cotangents of the parameters, each times its direction, are added up, and their sum "
        r"is differentiated: $u^{\mathrm{hvp}}$ is its derivative by $u$. The Hessian is "
        "symmetric; so, for a parameter, that is the product of the Hessian and the direction, and "
        r"$\bar{u}^{\mathrm{hvp}}$ is the derivative of $u$ along the direction."
    ),
}


_LIKE = {
    WEIGHTED: "Step by step as in the derivation are derived",
    PER_SAMPLE: "For a batch of one sample, $N = 1$, are derived",
    SECOND: (
        r"Step by step as in the derivation, $u^{\mathrm{hvp}}$ in place of $\bar{u}$, are derived"
    ),
}


def sections(beside: Mapping[str, Supplement], steps: Mapping[str, Chains]) -> Iterator[Section]:
    """The sections, in the order of the numbers in them; initial values are one section.

    `steps` are the chains of each supplement, and under "" those of the derivation.
    """
    initial: list[Supplement] = []
    for own in beside.values():
        if own.kind == INITIAL:
            initial.append(own)
        elif own.equations:
            yield _section(own, steps[own.name], steps[""])
    if initial:
        rows = [row for own in initial for row in _rows(own)]
        yield Section(_TITLES[INITIAL], (" ".join(_initial_words(initial)), stacked(rows)))


def _section(own: Supplement, chains: Chains, page: Chains) -> Section:
    """The equations; those that have steps are at home where these end."""
    derived = {t for c in chains.chains for t in (c.equation.target, *c.same.targets)}
    shown = displays(own.equations, chains.names, own.numbers, derived)
    words = " ".join((_WORDS[own.kind], *_counterparts(own, chains, page)))
    return Section(_TITLES[own.kind], (words, *shown), derivation_sections.sections(chains))


def _counterparts(own: Supplement, chains: Chains, page: Chains) -> Iterator[Prose]:
    """Which equations are derived as those of the derivation: `(#23) as (#8), (#24) as (#9)`."""
    like = chains.referred
    if own.kind == PER_SAMPLE:
        like = {e.target: e.target for e in own.equations if e.target in page.gradients.numbers}
    equations = [e for e in own.equations if e.target in like]
    pairs = [
        f"(#{own.numbers[e.target]}) as (#{page.gradients.numbers[like[e.target]]})"
        for e, _ in alike(equations, lambda e: (e,))
    ]
    if pairs:
        *others, last = pairs
        yield f"{_LIKE[own.kind]} {', '.join(others)}{' and ' if others else ''}{last}."


def _rows(own: Supplement) -> Iterator[Row]:
    """The equations in index form alone: a parameter has any number of axes."""
    names_ = symbols(own.gradients)
    for e in own.equations:
        number = str(own.numbers[e.target])
        initial = initial_row(e, names_)
        yield from broken(e, Row(access_latex(e, names_), number=number), names_, LINE - TAG)
        if initial != EMPTY:
            yield initial


def _initial_words(initial: list[Supplement]) -> Iterator[Prose]:
    yield "$w$ is a parameter or a state before the first step, $p$ counting its elements."
    read = set().union(*(names(own.program) for own in initial))
    if "u" in read:
        yield "$u$ is drawn uniformly from 0 to 1, for each element anew."
    if "e" in read:
        yield "$e$ is drawn from the standard normal distribution, for each element anew."
    fans = {"fan_in", "fan_out"} & read
    if fans:
        yield (
            r"The fans are how many inputs an output is computed from, and how many outputs an "
            "input goes to."
        )
