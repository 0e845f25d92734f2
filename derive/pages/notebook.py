"""What a notebook shows: equations and steps that typeset themselves, with their numbers.

A notebook asks an object for `_repr_latex_` and sets what it gets with MathJax or KaTeX. The
equations and steps of the lower layers know nothing of LaTeX; these are the same, and equal to
them, with the symbols and numbers of their derivation. Only commands that both know are used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from derive.gradients.calculus import Step
from derive.gradients.derivation import Gradients
from derive.language.notation import Equation
from derive.pages.chains import Chains
from derive.printing.latex_layout import LEFT_OUT, endless
from derive.printing.latex_names import Names, escaped
from derive.printing.latex_printer import equation_latex
from derive.printing.matrix_form import matrix_form


@dataclass(frozen=True, eq=False)
class ShownEquation(Equation):
    """An equation that a notebook shows, equal to the equation that it is."""

    number: str = field(default="", repr=False)
    names: Names = field(default_factory=Names, repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equation) and _parts(self) == _parts(other)

    __hash__ = Equation.__hash__

    def _repr_latex_(self) -> str:
        """The equation, the matrix form beside it, its number."""
        shown = [_sides(self, self.names), _matrix(self, self.names)]
        line = r" \qquad ".join(" = ".join(sides) for sides in shown if sides)
        return f"$${line}{_tag(self.number)}$$"


@dataclass(frozen=True, eq=False)
class ShownStep(Step):
    """A step that a notebook shows: the rule and what it leads to."""

    number: str = field(default="", repr=False)
    names: Names = field(default_factory=Names, repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and _fields(self) == _fields(other)

    __hash__ = Step.__hash__

    def _repr_latex_(self) -> str:
        left, right = _sides(self.after, self.names)
        return rf"$$\text{{{escaped(self.rule)}:}}\quad {left} = {right}{_tag(self.number)}$$"


def equations(gradients: Gradients, names: Names) -> tuple[ShownEquation, ...]:
    """The equations of a derivation, as a notebook shows them."""
    numbered = set(gradients.shown)  # the initial line of a recurrence has no number
    return tuple(
        _shown(e, names, str(gradients.numbers[e.target]) if e in numbered else "")
        for e in gradients.equations
    )


def steps(chains: Chains) -> tuple[ShownStep, ...]:
    """The recorded steps, those that a page shows with their numbers there."""
    lines = (line for chain in chains.chains for line in chain.lines)
    numbers = {line.step: line.number for line in lines if line.step}
    return tuple(_step(s, chains.names, numbers) for s in chains.gradients.steps)


def block(shown: Iterable[ShownEquation]) -> str:
    """Equations aligned at their signs, the matrix form of each beside it, and their numbers.

    `\\tag` is not allowed within `aligned`: a number is a column of its own.
    """
    rows = []
    for e in shown:
        index, matrix = _sides(e, e.names), _matrix(e, e.names)
        beside = f"{matrix[0]} &= {matrix[1]}" if matrix else "&"
        number = f"({e.number})" if e.number else ""
        rows.append(rf"{index[0]} &= {index[1]} & \qquad {beside} & & \qquad {number}")
    body = " \\\\\n".join(rows)
    return f"$$\\begin{{aligned}}\n{body}\n\\end{{aligned}}$$"


def _shown(e: Equation, names: Names, number: str = "") -> ShownEquation:
    return ShownEquation(e.target, e.indices, e.body, e.origin, e.recurrence, number, names)


def _step(step: Step, names: Names, numbers: Mapping[Step, str]) -> ShownStep:
    number = numbers.get(step, "")
    before, after = _shown(step.before, names), _shown(step.after, names, number)
    return ShownStep(step.rule, before, after, number, names)


def _parts(e: Equation) -> tuple[object, ...]:
    return e.target, e.indices, e.body, e.origin, e.recurrence


def _fields(s: Step) -> tuple[object, ...]:
    return s.rule, s.before, s.after


def _sides(e: Equation, names: Names) -> tuple[str, str]:
    if endless(e.body):
        return equation_latex(Equation(e.target, e.indices, e.access), names)[0], LEFT_OUT
    return equation_latex(e, names)


def _matrix(e: Equation, names: Names) -> tuple[str, str] | None:
    form = matrix_form(e)
    return form.latex(names) if form else None


def _tag(number: str) -> str:
    return rf" \tag{{{number}}}" if number else ""
