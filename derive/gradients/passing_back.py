"""Cotangents in a scan: with what the step after passes back, and what the first step passes on.

    h_bar[t,j] = ... + where(t+1 < T, f[t+1,j]*h_bar[t+1,j], 0)  ->  ... + f[t+1,j]*h_bar[t+1,j]

is exact with `h_bar[T,j] = 0` if the term is linear in a cotangent and all that it reads exists at
T. Else what is passed back is an equation of its own, `h_back`, and 0 at T. Where `h_back` has one
form at every step, its value at the first step is the cotangent of the initial value, `h0_bar`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sympy import Add, Expr, Integer

from derive.gradients.backward_pass import BackwardPass
from derive.gradients.calculus import Step
from derive.gradients.normal_form import conditions_inside, fresh
from derive.gradients.stepping import FIRST, PASSED_ON, Scan
from derive.language.functions import and_, where
from derive.language.notation import Access, Equation, Index, Recurrence


class PassingBack:
    """Writes into a backward pass; `names` are taken, `axes` and `recurrences` are by tensor."""

    def __init__(
        self,
        backward: BackwardPass,
        names: set[str],
        axes: Mapping[str, tuple[Index, ...]],
        recurrences: Mapping[str, Recurrence],
    ) -> None:
        self.backward = backward
        self.names = names
        self.axes = axes
        self.recurrences = recurrences
        # By initial value: terms of its cotangent, and the access that stands for their sum.
        self.first: dict[str, list[tuple[tuple[Expr, ...], Expr]]] = {}

    def with_step_after(self, raw: Equation, tensor: str, scan: Scan) -> Equation:
        """The cotangent with what the step after passes on, free of the condition on the end."""
        passed = scan.passed[tensor]
        free = [scan.without_end(body, self.backward.sizes) for body, _ in passed]
        if not all(
            linear and scan.exists_at_the_end(e, self.backward.spans, self.backward.sizes)
            for e, (_, linear) in zip(free, passed, strict=True)
        ):
            free = [self.passed_back(raw, tensor, scan, free)]
        before = replace(raw, body=Add(raw.body, *(body for body, _ in passed)))
        after = replace(raw, body=Add(raw.body, *free))
        if before.body != after.body:
            self.backward.steps.append(Step(PASSED_ON, before, after))
        return after

    def passed_back(self, raw: Equation, tensor: str, scan: Scan, terms: list[Expr]) -> Access:
        """What is passed on as an equation of its own; its access at the step after."""
        target = fresh(f"{tensor}_back", self.names)
        scan.bars.add(target)
        body = Add(*map(scan.at_own_step, terms))
        same = scan.is_the_same_at_each_step(tensor)
        if not same:  # then it is not what the first step passes on
            step_before = scan.index + scan.recurrence.step
            inside = conditions_inside(step_before, scan.index.size, self.backward.sizes)
            body = where(and_(*inside), body, Integer(0))
        equation = self.backward.in_textbook_form(Equation(target, raw.indices, body))
        self.backward.add(equation, scan.backward)
        initial = self.recurrences[tensor].initial
        first = {scan.index: scan.index.size - 1 if scan.recurrence.step > 0 else Integer(0)}
        if same and isinstance(initial, Access) and tensor in scan.started:
            own = dict(zip(initial.indices, self.axes[initial.tensor], strict=True))
            if len(own) == len(self.axes[tensor]) - 1 == len(initial.indices):
                at = equation.access.xreplace(first).xreplace(own)
                found = (tuple(scan.started[tensor]), at)
                self.first.setdefault(initial.tensor, []).append(found)
        return equation.access.xreplace({scan.index: scan.after})

    def with_first_step(self, raw: Equation, tensor: str, terms: Iterable[Expr]) -> Equation:
        """The cotangent of an initial value read from what the first step passes on."""
        rest = list(terms)
        for bodies, access in self.first[tensor]:
            for body in bodies:
                rest.remove(body)
            rest.append(access)
        after = replace(raw, body=Add(*rest))
        self.backward.steps.append(Step(FIRST, raw, after))
        return after
