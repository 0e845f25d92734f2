"""A derivation in a terminal: forward equations, the chain of steps of each cotangent, the result.

    W̄, through (1)
      chain rule        W̄[i,k] = ∑ₙₖ′ᵢ′ z̄[n,k′]·∂/∂W[i′,k′](…)·δ[i,i′]·δ[k,k′]    (7.1)
      Kronecker delta          = ∑ₙ x[n,i]·z̄[n,k]                                 (7)
      matrix form            W̄ = Xᵀ Z̄

In Unicode where the terminal has it, else in the formula language.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from derive.gradients.derivation import Gradients
from derive.language.functions import and_
from derive.language.notation import Equation, Index
from derive.pages.chains import Chain, Chains, Line, Use
from derive.pages.kinks import kinks
from derive.pages.reasons import Reason, reason
from derive.pages.terminal_notation import InFormulas, InUnicode, Notation
from derive.pages.terminal_rows import Layout, Row, Style
from derive.printing.likewise import Likewise, alike


def derivation(gradients: Gradients, columns: int, style: Style) -> Iterator[str]:
    """Forward equations, the chain of steps of each cotangent, conventions, the cotangents."""
    yield from Screen(Chains(gradients), columns, style).derivation()


class Screen:
    """The chains of a derivation, so many columns, a style."""

    def __init__(self, chains: Chains, columns: int, style: Style) -> None:
        self.chains = chains
        self.numbers = chains.gradients.numbers
        self.style = style
        self.layout = Layout(columns, style)
        self.notation: Notation = InUnicode(chains) if style.unicode else InFormulas()

    def derivation(self) -> Iterator[str]:
        gradients = self.chains.gradients
        own = {e.target for e in gradients.backward}
        yield self.style.heading("Forward")
        yield from self.equations([e for e in gradients.shown if e.target not in own])
        yield from ("", self.style.heading("Steps"))
        for sentence in self.about():
            yield from self.layout.sentence(sentence)
        for chain in self.chains.chains:
            yield ""
            yield from self.chain(chain)
        conventions = kinks(gradients.forward)
        if conventions:
            yield from ("", self.style.heading("Conventions at kinks"))
        for kink in conventions:
            yield from self.layout.sentence(kink.plain)
        yield from ("", self.style.heading("Result"))
        yield from self.equations([e for e in gradients.shown if e.target in own])

    def about(self) -> Iterator[str]:
        """What the first of the cotangents is."""
        gradients, symbol = self.chains.gradients, self.notation.symbol
        result = (gradients.forward.results or (gradients.forward.result,))[0]
        tensor, cotangent = next(iter(gradients.cotangents.items()))
        found, y, x = symbol(cotangent), symbol(result), symbol(tensor)
        match gradients.suffix:
            case "_bar" if gradients.forward.equation(result).indices:
                yield f"{found} is the derivative of the sum of {y}, each element weighted, by {x}."
            case "_bar":
                yield f"{found} is the derivative of {y} by {x}."
            case "_jacobian":
                yield f"{found} is the derivative of {y} by {x}, the indices of {y} first."
            case "_hessian":
                yield f"{found} is the Hessian of {y} by {x}."
            case "_hvp":
                yield f"{found} is the Hessian of {y} by {x}, times the direction."

    def equations(self, equations: Sequence[Equation]) -> Iterator[str]:
        """A list of equations; what layers have in common is shown once."""
        rows: list[Row] = []
        for e, same in alike(equations, lambda e: (e,)):
            bar = e in self.chains.gradients.backward
            rows += [Row(*self.notation.equation(start)) for start in e.lines[:-1]]
            sides = self.notation.equation(e)
            number, matrix = str(self.numbers[e.target]), self.notation.matrix(e)
            note = self.likewise(same) if same.others else ""
            rows.append(Row(*sides, "", number, matrix, note=note, is_cotangent=bar))
        yield from self.layout.listed(rows)

    def chain(self, chain: Chain) -> Iterator[str]:
        """How one cotangent was derived: through each use, then what became of their sum."""
        several = len(chain.uses) > 1
        name = self.notation.symbol(chain.equation.target)
        words = [] if len(chain.uses) != 1 else [self.through(chain.uses[0])]
        words += [] if chain.equation.target in self.numbers else ["written out where it is read"]
        yield from self.layout.titled(name, ", ".join(words))
        rows: list[Row] = []
        for use in chain.uses:
            rows = self.rows(use.lines, use.through.indices)
            if several:
                left = self.notation.of_use(rows[0].left, use)
                yield from self.layout.sentence(self.through(use))
                yield from self.layout.chained(_differing([replace(rows[0], left=left), *rows[1:]]))
        if several:
            yield from self.layout.sentence("all uses together")
            rows = []
        rewritings = self.rows(chain.rewritings)
        rows += [replace(row, left="") for row in rewritings] if rows else rewritings
        yield from self.layout.chained([*_differing(rows), *self.ending(chain.equation)])
        if chain.same.others:
            yield from self.layout.sentence(self.likewise(chain.same))

    def rows(self, steps: Sequence[Line], inner: Sequence[Index] = ()) -> list[Row]:
        rows: list[Row] = []
        for line in steps:
            left, right = self.notation.equation(line.equation, inner)
            why = ""
            if line.step:
                why = self.because(reason(line.step, self.chains.known), line.equation)
            left = "" if rows else left
            rows.append(Row(left, right, line.rule, line.number, None, why, is_cotangent=True))
        return rows

    def ending(self, equation: Equation) -> Iterator[Row]:
        """The initial line of a recurrence, and the matrix form."""
        for start in equation.lines[:-1]:
            yield Row(*self.notation.equation(start), "start value", is_cotangent=True)
        if matrix := self.notation.matrix(equation):
            yield Row(*matrix, "matrix form", is_cotangent=True)

    def through(self, use: Use) -> str:
        """The equation that a use stands in."""
        if use.number:
            return f"through {use.part}({use.number})"
        return f"through {' = '.join(self.notation.equation(use.through))}"

    def because(self, why: Reason, equation: Equation) -> str:
        """The reason of a step: what is equal, and where."""
        show, order = self.notation, equation.indices
        equalities = [
            " = ".join(show.expression(side, order) for side in equality)
            for equality in (*why.general, *why.here)
        ]
        equalities += [f"{show.position(i)} = {show.position(e)}" for i, e in why.solved]
        holds = [", ".join(equalities)] if equalities else []
        holds += [f"where {show.condition(and_(*why.conditions))}"] if why.conditions else []
        return "; ".join(filter(None, (" ".join(holds), *(kink.plain for kink in why.kinks))))

    def likewise(self, same: Likewise) -> str:
        """`likewise for layers 3, ..., 199: (5), ..., (397)`"""
        numbers = [f"({self.numbers[t]})" for t in same.targets if t in self.numbers]
        layers = _enumerated(list(map(str, same.others)))
        return f"likewise for layers {layers}" + (f": {_enumerated(numbers)}" if numbers else "")


def _differing(rows: Sequence[Row]) -> list[Row]:
    """The rows without those that read as the one before, which has their number."""
    kept: list[Row] = []
    for row in rows:
        if kept and kept[-1].right == row.right:
            kept[-1] = replace(kept[-1], number=row.number)
        else:
            kept.append(row)
    return kept


def _enumerated(items: Sequence[str]) -> str:
    """All of a few, of many the first and the last."""
    return ", ".join(items if len(items) <= 3 else [*items[:2], "...", items[-1]])
