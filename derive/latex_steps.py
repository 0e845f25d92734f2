"""A derivation as rows of displays: lists of equations, and the steps behind each cotangent.

    W_bar[i,j] = sum[n](x[n,i]*z_bar[n,j])    ->    chain rule        W_ij = ...     (7.1)
                                                    local derivative       = ...     (7.2)
                                                    Kronecker delta        = ...     (7)
                                                    matrix form       W = X^T Z

An auxiliary equation that one equation reads, and whose cotangent is that equation's own, is shown
where it is read. What layers have in common is shown once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from derive.calculus import Step
from derive.derivation import Gradients
from derive.folding import foldable, inserted
from derive.latex_layout import LINE
from derive.latex_names import Names
from derive.latex_printer import expression_latex
from derive.latex_rows import EMPTY, TAG, Row, Sheet, chained, target
from derive.likewise import Likewise, alike
from derive.notation import Access, Equation, Index, Partial, accesses

CHAIN = ("chain rule", "local derivative", "Kronecker delta", "contraction")
SUMMED, IMPLIED = "sum over uses", "range implied"
LABEL = 112.0  # the column of rule names, in points


@dataclass(frozen=True)
class Section:
    """How one cotangent was derived: displays, and the text between them."""

    heading: str
    parts: tuple[str, ...]


class Page(Sheet):
    """A derivation with the numbers, symbols and abridgements that a page of it has."""

    def __init__(self, gradients: Gradients, others: Sequence[Equation] = ()) -> None:
        self.gradients = gradients
        self.letters: dict[str, str] = {}
        self.rules: dict[str, None] = {}  # those that the sections show, in order
        self.parts = _parts(gradients)
        whole = gradients.forward.equations
        self.readers = {a.tensor: e.target for e in reversed(whole) for a in accesses(e.body)}
        self.forward = tuple(inserted(e, self.parts) for e in whole if e.target not in self.parts)
        self.backward = gradients.backward
        self.named = {e.target: e for e in self.backward}
        ranks = {t.name: len(t.axes) for t in gradients.forward.inputs}
        ranks |= {e.target: len(e.indices) for e in (*whole, *gradients.backward, *others)}
        ranks |= {s.after.target: len(s.after.indices) for s in gradients.steps}
        names = Names(tuple(ranks), tuple(t for t, rank in ranks.items() if rank == 2))
        super().__init__(names, gradients.numbers)

    def tag(self, tensor: str) -> str:
        """The number of an equation; a letter for one that stands only within others."""
        if tensor in self.numbers:
            return str(self.numbers[tensor])
        return self.letters.setdefault(tensor, _letters(len(self.letters)))

    def sections(self) -> Iterator[Section]:
        items = [(self.concluded(tensor, steps), steps) for tensor, steps in self.grouped()]
        for (equation, steps), same in alike(items, _chain):
            yield self.section(equation, steps, same)

    def concluded(self, tensor: str, steps: list[Step]) -> Equation:
        """What the steps arrive at."""
        return self.named.get(tensor) or steps[-1].after

    def grouped(self) -> list[tuple[str, list[Step]]]:
        """The steps of each cotangent; those without a number before the next that has one."""
        cotangents = _cotangents(self.gradients.steps)
        hidden = {cotangents[part] for part in self.parts if part in cotangents}
        groups: dict[str, list[Step]] = {e.target: [] for e in self.backward}
        last: dict[str, int] = {}
        for k, step in enumerate(self.gradients.steps):
            if step.after.target not in hidden:
                groups.setdefault(step.after.target, []).append(step)
                last[step.after.target] = k
        place: dict[str, tuple[int, int, int]] = {}
        following = len(self.numbers) + 1
        for tensor in sorted(groups, key=lambda t: last.get(t, -1), reverse=True):
            number = self.numbers.get(tensor)
            following = min(following, number or following)
            place[tensor] = (number or following, int(number is not None), last.get(tensor, -1))
        return [(tensor, groups[tensor]) for tensor in sorted(groups, key=place.__getitem__)]

    def section(self, equation: Equation, steps: list[Step], same: Likewise) -> Section:
        tag = self.tag(equation.target)
        tags = (target(f"{tag}.{k}") for k in count(1))
        left = self.access(equation)
        uses, rewritings = _uses(steps)
        chains: list[tuple[str, list[Row]]] = []
        for use in uses:
            short, words = self.through(use[0].before)
            shown = rf"{left}\big|_{{{short}}}" if len(uses) > 1 else left
            rows: list[Row] = []
            for step in use:
                order = use[0].before.indices
                self.append(rows, shown, step.after, step.rule, next(tags), order)
            chains.append((words, rows))
        if len(uses) != 1:
            total = rewritings[0].before if rewritings else equation
            chains.append(("all uses together" if uses else "", rows := []))
            self.append(rows, left, total, SUMMED if uses else "", next(tags))
        rows = chains[-1][1]
        for step in rewritings:
            self.append(rows, left, step.after, step.rule, next(tags))
        self.append(rows, left, equation, IMPLIED, next(tags))
        rows[-1] = replace(rows[-1], tag=target(tag))
        initial = self.initial_row(equation, "start value")
        if initial != EMPTY:
            rows.append(initial)
        matrix = self.matrix_row(equation, LINE - LABEL - TAG, "matrix form")
        if matrix != EMPTY:
            rows.append(matrix)
        aside = "" if equation.target in self.numbers else " (written out where it is read)"
        heading = f"${self.symbol(equation.target)}${aside}"
        first, *parts = [part for words, rows in chains for part in (words, chained(rows))]
        parts += [self.likewise(same)] if same.others else []
        return Section(f"{heading}, {first}" if first else heading, tuple(parts))

    def append(
        self,
        rows: list[Row],
        left: str,
        equation: Equation,
        rule: str,
        tag: str,
        inner: tuple[Index, ...] = (),
    ) -> None:
        """One more line of a chain, unless it would read as the one before."""
        row = Row("" if rows else left, rule=rule, tag=tag)
        shown = inserted(equation, self.parts)
        new = self.broken(shown, row, LINE - LABEL - TAG, inner)
        if [r.right for r in rows[-len(new) :]] != [r.right for r in new]:
            rows += new
            self.rules |= dict.fromkeys(rule.split(", "))

    def through(self, equation: Equation) -> tuple[str, str]:
        """The equation that a use stands in: in short, and in words."""
        tensor, part = equation.target, ""
        if tensor in self.parts:
            part = f"the {equation.reduction} in " if equation.reduction else ""
            while tensor in self.parts:
                tensor = self.readers[tensor]
        if tensor in self.numbers:
            number = self.numbers[tensor]
            return f"({number})", rf"through {part}(\eqlink{{{number}}})"
        right = expression_latex(equation.body, self.names, equation.indices)
        return self.symbol(tensor), f"through ${self.access(equation)} = {right}$"


def _parts(gradients: Gradients) -> Mapping[str, Equation]:
    """The auxiliary forward equations to show within those that read them."""
    cotangents = _cotangents(gradients.steps)
    bodies = {s.after.target: s.after.body for s in gradients.steps}
    own = {e.target for e in gradients.backward}
    keep = {a.tensor for e in gradients.backward for a in accesses(e.body)}
    for tensor, cotangent in cotangents.items():
        if cotangent in own or not isinstance(bodies[cotangent], Access):
            keep.add(tensor)
    return foldable(gradients.forward.equations, keep)


def _cotangents(steps: Sequence[Step]) -> dict[str, str]:
    """The target of the cotangent of each tensor that the steps differentiate by."""
    return {
        p.operand.tensor: s.after.target
        for s in steps
        if s.rule == CHAIN[0]
        for p in s.after.body.atoms(Partial)
    }


def _uses(steps: list[Step]) -> tuple[list[list[Step]], list[Step]]:
    """The chain of each use of a tensor, and the rewritings of their sum."""
    uses: list[list[Step]] = []
    rewritings: list[Step] = []
    for step in steps:
        if step.rule == CHAIN[0]:
            uses.append([step])
        elif step.rule in CHAIN and uses and not rewritings:
            uses[-1].append(step)
        else:
            rewritings.append(step)
    return uses, rewritings


def _chain(item: tuple[Equation, list[Step]]) -> tuple[Equation, ...]:
    """What makes one chain of steps like another: where it begins, and each step."""
    equation, steps = item
    begins = [s.before for s in steps if s.rule == CHAIN[0]]
    return (equation, *begins, *(s.after for s in steps))


def _letters(k: int) -> str:
    return (_letters(k // 26 - 1) if k >= 26 else "") + chr(65 + k % 26)
