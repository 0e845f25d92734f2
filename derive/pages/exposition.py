"""The document of a derivation: what each of its pages says, in which order.

The forward equations and the cotangents in short, in index form and matrix form, under the numbers
that the generated code cites; then each cotangent with its steps; then what is to look up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from derive.gradients.derivation import Gradients
from derive.gradients.reuse import READ_BACKWARD, READ_FORWARD, WRITTEN_OUT
from derive.gradients.stepping import FIRST, PASSED_ON
from derive.language.notation import Equation, Program, accesses
from derive.language.source import printable
from derive.pages import four_equations_section, glossary
from derive.pages.chains import IMPLIED, SUMMED, Chains
from derive.pages.derivation_sections import sections
from derive.pages.document import Block, Document, Prose, Section, Verbatim
from derive.pages.latex_rows import displays, enumerated
from derive.printing.latex_layout import endless
from derive.printing.latex_names import Names

GIVEN = 24  # lines of the formula shown as it was written
READABLE = 120  # nodes of a form made for accuracy; beyond, it is left to the code


def document(
    gradients: Gradients,
    title: str = "",
    public: Mapping[str, str] | None = None,
    text: str = "",
    computed: Program | None = None,
    before: Iterable[Section] = (),
    after: Iterable[Section] = (),
    chains: Chains | None = None,
    beside: Sequence[Chains] = (),
) -> Document:
    """All that a page says of the derivation of these gradients.

    `title` is free text; `public` gives for tensors the names that users know; `text` is the
    formula as it was written, shown at the top; `computed` is the program that the code computes,
    shown where it differs from the textbook form; `before` and `after` are sections around the
    derivation, and `beside` the chains of steps that are shown there. `chains` are those of the
    gradients, where they are known, with symbols for what is computed in another form.
    """
    others = as_computed(gradients, computed)
    chains = chains or Chains(gradients, others)
    names, numbers = chains.names, gradients.numbers
    own = {e.target for e in gradients.backward}
    forward = [e for e in gradients.shown if e.target not in own]
    backward = [e for e in gradients.shown if e.target in own]
    derived = (
        Section("Forward", displays(forward, names, numbers)),
        Section("Backward", (_BACKWARD, *displays(backward, names, numbers, own))),
        *four_equations_section.section(gradients, names),
        *glossary.functions(chains, others),
        *glossary.kinks(gradients.forward),
        Section("Steps", (" ".join((_STEPS, *_rules(chains, beside))),), sections(chains)),
        *glossary.identities(chains, beside),
        *_as_computed(others, names, numbers),
        *after,
    )
    front = (*_given(text), *before, glossary.notation(chains, derived))
    symbols = glossary.symbols(chains, public or {})
    return Document(title or _title(gradients), (*front, *derived, symbols))


def _title(gradients: Gradients) -> str:
    """`The derivatives of L by W, b`, `The Hessian of L by w`"""
    forward, operands = gradients.forward, list(gradients.cotangents)
    of = f"of {(forward.results or (forward.result,))[0]} by {', '.join(operands)}"
    match gradients.suffix:
        case "_hessian":
            return f"The Hessian {of}"
        case "_hvp":
            return f"The Hessian {of}, times a direction"
        case "_jacobian":
            return f"The Jacobian {of}"
    return f"The derivative{'s' if len(operands) > 1 else ''} {of}"


def _given(text: str) -> Iterator[Section]:
    """The formula as it was written; of a very long one the beginning."""
    lines = [printable(line.rstrip()) for line in text.expandtabs().strip().split("\n")]
    more = len(lines) - GIVEN
    blocks: list[Block] = [Verbatim(tuple(lines[:GIVEN]))]
    blocks += [f"*and {more} lines more*"] if more > 0 else []
    if text:
        yield Section("Formula", tuple(blocks))


def as_computed(gradients: Gradients, computed: Program | None) -> tuple[Equation, ...]:
    """The equations that are computed in another form than the textbook's.

    With those that only they read: on the page these are parts of an equation.
    """
    known = {(e.target, e.body) for e in gradients.program.equations}
    shown = {e.target for e in gradients.shown}
    found: list[Equation] = []
    read: set[str] = set()
    for e in reversed(computed.equations if computed else ()):
        if (e.target, e.body) not in known or (e.target in read and e.target not in shown):
            found.append(e)
            read |= {a.tensor for a in accesses(e.body)}
    return tuple(reversed(found))


def _as_computed(
    others: Iterable[Equation], names: Names, numbers: Mapping[str, int]
) -> Iterator[Section]:
    """The readable ones, under the numbers of the equations that they are a part of."""
    origins = {e.target: numbers.get(e.origin or e.target) for e in others}
    known = {t: number for t, number in origins.items() if number}
    shown = [e for e in others if not endless(e.body, READABLE)]
    hidden = [e for e in others if e not in shown and e.target in known]
    blocks: list[Block] = [
        "In the code these have another form, equal in value, that does not overflow and loses "
        "fewer digits."
    ]
    if hidden:
        parts = [f"${names(e.target).indexed()}$ of (#{known[e.target]})" for e in hidden]
        blocks.append(
            f"Left to the code, having more terms than a page should hold: {enumerated(parts)}."
        )
    if others:
        yield Section("As computed", (*blocks, *displays(shown, names, known, origins)))


_BACKWARD = (
    "The cotangents in the order in which they are computed; the steps that lead to each follow."
)

# What rules do, of those that are on the page.

_STEPS = (
    r"For $y_o = f(\ldots, x_{a(o)}, \ldots)$ the *chain rule* adds "
    r"$\sum_o \bar{y}_o\, \partial y_o / \partial x_{a(o)}\, \delta_{k,\,a(o)}$ to $\bar{x}_k$. "
    "The *local derivative* is carried out, the *Kronecker deltas* are solved for the indices "
    "summed over, and the *contraction* counts indices that nothing depends on."
)
_RULES = {
    SUMMED: "The *sum over uses* adds up what each use of a tensor contributes.",
    IMPLIED: "A condition that the ranges of indices imply is left out: *range implied*.",
    WRITTEN_OUT: "A *cotangent written out* is replaced by what it was found to be.",
    PASSED_ON: (
        "In the *backward recurrence* the condition that there is a step after is left out: "
        "beyond the last step the cotangents are $0$."
    ),
    FIRST: "What the *first step* passes back is the cotangent of the initial value.",
    READ_BACKWARD: (
        "The *reuse of the backward pass* reads a cotangent that was computed already."
    ),
    READ_FORWARD: (
        "The *reuse of the forward pass* reads what a forward equation has computed already."
    ),
}


def _rules(chains: Chains, beside: Sequence[Chains]) -> Iterator[Prose]:
    named = glossary.rules(chains, *beside)
    yield from (meaning for rule, meaning in _RULES.items() if rule in named)
