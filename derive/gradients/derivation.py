"""The reverse sweep: from a program to its cotangents, every step recorded.

Each tensor between the operands and the result gets one equation, the sum of what its uses add to
its cotangent, in textbook form. The result is a program again, in the same language, and may be
differentiated again. `x_bar` is the derivative of the result by `x` and has the shape of `x`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from sympy import Expr

from derive.gradients.activity import POSITIONS
from derive.gradients.calculus import CHAIN_RULE, Step
from derive.gradients.folding import fold, foldable
from derive.gradients.normal_form import flatten, needed, spans, without_implied_guards
from derive.gradients.simplify import name_softmaxes
from derive.gradients.sweep import Sweep
from derive.language.notation import (
    Access,
    Equation,
    Index,
    Partial,
    Program,
    Recurrence,
    accesses,
)
from derive.language.scans import groups, in_order


@dataclass(frozen=True)
class Gradients:
    """Forward equations, cotangent equations, and the steps from the ones to the others.

    `forward` is in normal form; `backward` holds the cotangent equations in textbook form, in the
    order of evaluation. `cotangents` gives for each operand asked for the target that holds its
    cotangent. `suffix` is what the sweep added to the names of tensors for those of cotangents.
    """

    forward: Program
    backward: tuple[Equation, ...]
    cotangents: Mapping[str, str]
    steps: tuple[Step, ...]
    suffix: str = field(default="_bar", kw_only=True)

    @cached_property
    def equations(self) -> tuple[Equation, ...]:
        """The equations as they are written: before a recurrence its initial line."""
        return tuple(line for e in self.shown for line in e.lines)

    @cached_property
    def shown(self) -> tuple[Equation, ...]:
        """The equations as a page shows them: a part that is read once stands where it is read."""
        forward, sizes = self.forward, dict(self.forward.sizes)
        kept = {e.target for e in forward.equations if e.target not in self.parts}
        reach = spans(replace(forward, equations=forward.equations + self.backward))
        plain = tuple(
            e.with_body(without_implied_guards(e.body, reach, sizes)) for e in forward.equations
        )
        return fold(plain + self.backward, {*self._results, *kept})

    @cached_property
    def parts(self) -> Mapping[str, Equation]:
        """The auxiliary forward equations that are shown where they are read.

        Each is read once, and its cotangent is that of the equation which reads it.
        """
        own = {e.target for e in self.backward}
        keep = {a.tensor for e in self.backward for a in accesses(e.body)}
        keep |= {e.target for e in self.forward.equations if e.reduction in POSITIONS}
        bodies = {s.after.target: s.after.body for s in self.steps}
        for tensor, cotangent in self.differentiated.items():
            if cotangent in own or not isinstance(bodies[cotangent], Access):
                keep.add(tensor)
        return foldable(self.forward.equations, keep | set(self._results))

    @cached_property
    def differentiated(self) -> Mapping[str, str]:
        """The target of the cotangent of each tensor that a step differentiates by."""
        return {
            p.operand.tensor: s.after.target
            for s in self.steps
            if s.rule == CHAIN_RULE
            for p in _partials(s.after.body)
        }

    @cached_property
    def program(self) -> Program:
        """Value and cotangents as one program in normal form; parts know what they are parts of."""
        whole = self.forward.equations + self.backward
        shown = {e.target for e in self.shown}
        reader = {a.tensor: e.target for e in reversed(whole) for a in accesses(e.body)}

        def home(target: str) -> str:
            return target if target in shown else home(reader[target])

        def known(e: Equation) -> Equation:
            origin = "" if e.target in shown else home(e.target)
            return e if e.origin == origin else replace(e, origin=origin)

        equations = tuple(map(known, whole))
        return flatten(replace(self.forward, equations=equations, results=self._results))

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """The number of each equation shown, by target."""
        return {e.target: k for k, e in enumerate(self.shown, 1)}

    @property
    def _results(self) -> tuple[str, ...]:
        return (*(self.forward.results or (self.forward.result,)), *self.cotangents.values())


def _partials(e: Expr) -> Iterator[Partial]:
    """The derivatives in an expression that are not yet carried out; there is none within one."""
    if isinstance(e, Partial):
        yield e
    elif not isinstance(e, Access):
        for a in e.args:
            yield from _partials(a)


@dataclass(frozen=True)
class Numbered(Gradients):
    """Gradients whose equations have numbers of a page that shows others, too."""

    given: Mapping[str, int]

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        return self.given


def with_given(gradients: Gradients, numbers: Mapping[str, int]) -> Numbered:
    """The gradients under these numbers."""
    g = gradients
    return Numbered(g.forward, g.backward, g.cotangents, g.steps, numbers, suffix=g.suffix)


def reverse(
    forward: Program,
    wrt: tuple[str, ...],
    seeds: Mapping[str, Expr],
    outer: tuple[Index, ...] = (),
    suffix: str = "_bar",
) -> Gradients:
    """The cotangents of the tensors `wrt`, given those of the results.

    `forward` is in normal form. `seeds` gives for each result its cotangent, an expression in the
    result's own indices and in `outer`: leading indices that every cotangent then carries (a
    Jacobian is the sweep from the seed `m == k`). A tensor that no result depends on has the
    cotangent 0.
    """
    sweep = Sweep(forward, wrt, outer, suffix)
    for target, seed in seeds.items():
        sweep.terms.setdefault(target, []).append(seed)
    for group in reversed(groups(forward.equations)):
        sweep.visit(group)
        sweep.finish(group)
    for name in wrt:
        if name not in sweep.concluded:
            sweep.conclude(name)
    cotangents = {name: sweep.bar(name) for name in wrt}
    program = replace(sweep.program, sizes=tuple(sweep.sizes.items()))
    program, backward, named = name_softmaxes(program, sweep.backward.in_order())
    program = in_order(program)
    read = needed(replace(program, equations=backward), tuple(cotangents.values()))
    steps = (*sweep.backward.steps, *(Step(*rewriting) for rewriting in named))
    return Gradients(program, read.equations, cotangents, steps, suffix=suffix)


def with_numbers(gradients: Gradients) -> Gradients:
    """The gradients with the sizes put in that are numbers; in a network all but the batch's are.

    The sweep may have introduced some: `r` in 0..1 where the forward pass reads `x[i//2]`.
    """
    values: dict[Expr, Expr] = {}
    for size, value in gradients.forward.sizes:
        value = value.xreplace(values)
        if value.is_Integer:
            values[size] = value

    def put(e: Expr) -> Expr:
        resized = {i: i.resized(values[i.size]) for i in e.atoms(Index) if i.size in values}
        return e.xreplace(resized | values)

    def equation(e: Equation) -> Equation:
        r = e.recurrence
        start = r and Recurrence(put(r.index), r.step, put(r.initial))
        return replace(e, indices=tuple(map(put, e.indices)), body=put(e.body), recurrence=start)

    if not values:
        return gradients
    forward = gradients.forward
    inputs = tuple(replace(t, axes=tuple(map(put, t.axes))) for t in forward.inputs)
    sizes = tuple((s, put(v)) for s, v in forward.sizes if s not in values)
    return Gradients(
        Program(tuple(map(equation, forward.equations)), inputs, sizes, forward.results),
        tuple(map(equation, gradients.backward)),
        gradients.cotangents,
        tuple(
            replace(s, before=equation(s.before), after=equation(s.after)) for s in gradients.steps
        ),
        suffix=gradients.suffix,
    )
