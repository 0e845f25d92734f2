"""The backward pass as it is written: its equations so far, and each new one in textbook form.

    x_bar = the sum of what the uses add   ->   the same value, read from what is there already

What is there already are the forward equations that have to do with those that the new one reads,
and the cotangents written before it. Every change is a step of the derivation: two equal equations
and the name of what makes them equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sympy import Expr, Function, Mul, Symbol

from derive.gradients.activity import tensors_read
from derive.gradients.calculus import Step
from derive.gradients.identities import COMMON_FACTOR
from derive.gradients.lengths import length
from derive.gradients.normal_form import pruned, span, spans, without_implied_guards
from derive.gradients.reuse import READ_BACKWARD, outside, reused, signed, values_of
from derive.gradients.simplify import textbook
from derive.gradients.statistics import with_equals
from derive.language.functions import eq
from derive.language.notation import (
    Access,
    Equation,
    Index,
    Program,
    Recurrence,
    Reduce,
    accesses,
)
from derive.language.scans import ordered

EQUAL = "equal cotangents"


class BackwardPass:
    """`wrt` are the operands asked for; `sizes` and `spans` grow while the pass is written."""

    def __init__(self, program: Program, wrt: tuple[str, ...], sizes: dict[Symbol, Expr]) -> None:
        self.wrt = wrt
        self.sizes = sizes
        self.spans = spans(program)
        self.readers: dict[str, list[Equation]] = {}
        for e in program.equations:
            for name in dict.fromkeys((*tensors_read(e), e.target)):
                self.readers.setdefault(name, []).append(e)
        self.tensors: dict[str, str] = {}  # by the names of their cotangents
        self.equations: list[Equation] = []
        self.computed: list[Equation] = []  # the cotangents in scans, to be read again
        self.auxiliary: list[Equation] = []  # those of parts of equations
        self.written: dict[str, Equation] = {}  # all by target, without those asked for
        self.sums: dict[str, Equation] = {}  # the cotangents as they were summed up
        self.steps: list[Step] = []

    def add(self, equation: Equation, recurrence: Recurrence | None = None) -> None:
        """One more equation, the last so far; one of a scan has its recurrence."""
        self.equations.append(equation)
        if self.tensors.get(equation.target) not in self.wrt:
            self.written[equation.target] = equation
        self.spans[equation.target] = span(equation.indices, recurrence)
        if recurrence:
            self.computed.append(replace(equation, recurrence=recurrence))

    def put_from(self, begin: int, equations: Iterable[Equation]) -> None:
        """Other forms of the equations from a place on."""
        self.equations[begin:] = equations
        for equation in self.equations[begin:]:
            if equation.target in self.written:
                self.written[equation.target] = equation

    def in_textbook_form(self, raw: Equation) -> Equation:
        """A cotangent as it is summed up, in textbook form; the steps to it recorded."""
        raw = self.with_equals(raw)
        known = (e for e in self.related(raw) if not (e.recurrence and e.reduction))
        # What is read at another step than it is computed at is not to be written out.
        in_scans = {e.target for e in self.computed}
        elsewhere = {
            a.tensor
            for a in accesses(raw.body)
            if a.tensor in in_scans and not all(isinstance(i, Index) for i in a.indices)
        }
        inline = (e for e in self.auxiliary if e.target not in elsewhere)
        others = self.written
        if elsewhere:
            others = {t: e for t, e in others.items() if t not in elsewhere}
        equation, rewrites = textbook(raw, known, inline, others, self.behind(raw))
        self.steps.extend(Step(rule, before, after) for rule, before, after in rewrites)
        equation = self.with_cotangents(equation)
        turned = replace(equation, body=signed(equation.body))
        if self.tensors.get(raw.target) in self.wrt and turned != equation:
            # A mere change of sign is no step of its own where it comes with one.
            last = self.steps[-1] if self.steps else None
            if last and last.after == equation and last.before not in (equation, turned):
                self.steps[-1] = replace(last, after=turned)
            else:
                self.steps.append(Step(COMMON_FACTOR, equation, turned))
            equation = turned
        body = without_implied_guards(equation.body, self.spans, self.sizes)
        return replace(equation, body=pruned(body, self.sizes))

    def with_cotangents(self, equation: Equation) -> Equation:
        """Cotangents computed before read again: of all that is added up within a `tanh`."""
        found = (*self.computed, *(e for e in self.auxiliary if not _is_short(e.body)))
        scalar = (e for e in found if e.reduction is None and not plain(e.body))
        values: dict[Expr, Any] = dict(values_of(equation.body, scalar))
        for value, access in tuple(values.items()):
            number, rest = value.as_coeff_Mul()
            values.setdefault(rest, access / number)  # a number stands before a sum
        after = replace(equation, body=outside(reused(equation.body, values)))
        if length(after.body) < length(equation.body):
            self.steps.append(Step(READ_BACKWARD, equation, after))
            return after
        return equation

    def with_equals(self, raw: Equation) -> Equation:
        """Its terms read a cotangent that was summed up from the same terms."""
        equal = replace(raw, body=with_equals(raw.body, self.sums))
        if equal.body != raw.body:
            self.steps.append(Step(EQUAL, raw, equal))
        self.sums[raw.target] = equal
        return equal

    def reads_cotangents(self, body: Expr) -> bool:
        return any(a.tensor in self.tensors for a in accesses(body))

    def behind(self, equation: Equation) -> tuple[Equation, ...]:
        """The forward equations that have to do with the tensors whose cotangents it reads."""
        read = (self.tensors.get(a.tensor, "") for a in accesses(equation.body))
        return tuple(dict.fromkeys(e for name in read for e in self.readers.get(name, ())))

    def related(self, equation: Equation) -> tuple[Equation, ...]:
        """The forward equations that read a tensor which `equation` reads, or define it."""
        found = {e: None for a in accesses(equation.body) for e in self.readers.get(a.tensor, ())}
        return tuple(found)

    def in_order(self) -> tuple[Equation, ...]:
        """The equations of the backward pass in an order of evaluation."""
        return ordered(self.equations) if self.computed else tuple(self.equations)


def slight(body: Expr) -> bool:
    """Whether a number is as short as a name for it: 1/s, -1/(2*s**2)."""
    return not body.has(Reduce, Index, Function) and length(body) <= 9


def plain(body: Expr) -> bool:
    """Whether to write a cotangent out says more than to name it: 1/N, -g[n], i == j."""
    if all(isinstance(factor, eq) for factor in Mul.make_args(body)):
        return True
    coefficient, access = (
        Mul(*(a for a in Mul.make_args(body) if not isinstance(a, Access))),
        [a for a in Mul.make_args(body) if isinstance(a, Access)],
    )
    if coefficient.has(Access, Index, Reduce) or len(access) > 1:
        return False
    return all(isinstance(i, Index) for a in access for i in a.indices)


def _is_short(body: Expr) -> bool:
    """Whether a part's cotangent is a quotient such as r_bar/(2*r), which needs no name."""
    factors = (factor.as_base_exp()[0] for factor in Mul.make_args(body))
    return all(isinstance(base, Access | Symbol) or base.is_Number for base in factors)
