"""The reverse sweep: from a program to its cotangents, every step recorded.

Each tensor between the operands and the result gets one equation, the sum of what its uses add to
its cotangent, in textbook form. The result is a program again, in the same language, and may be
differentiated again. `x_bar` is the derivative of the result by `x` and has the shape of `x`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from sympy import Add, Expr, Mul

from derive.calculus import Step, contribution, operands
from derive.folding import fold
from derive.functions import eq
from derive.normal_form import flatten, fresh, names, needed, shapes, without_implied_guards
from derive.notation import (
    Access,
    DeriveError,
    Equation,
    Index,
    Program,
    Reduce,
    accesses,
    indices,
)
from derive.simplify import name_softmaxes, textbook

POSITIONS = ("argmax", "argmin")


@dataclass(frozen=True)
class Gradients:
    """Forward equations, cotangent equations, and the steps from the ones to the others.

    `forward` is in normal form; `backward` holds the cotangent equations in textbook form, in the
    order of evaluation. `cotangents` gives for each operand asked for the target that holds its
    cotangent.
    """

    forward: Program
    backward: tuple[Equation, ...]
    cotangents: Mapping[str, str]
    steps: tuple[Step, ...]

    @cached_property
    def equations(self) -> tuple[Equation, ...]:
        """The equations as a page shows them: a part that is read once stands where it is read."""
        positions = {e.target for e in self.forward.equations if e.reduction in POSITIONS}
        return fold(self.forward.equations + self.backward, {*self._results, *positions})

    @cached_property
    def program(self) -> Program:
        """Value and cotangents as one program in normal form; parts know what they are parts of."""
        whole = self.forward.equations + self.backward
        shown = {e.target for e in self.equations}
        reader = {a.tensor: e.target for e in reversed(whole) for a in accesses(e.body)}

        def home(target: str) -> str:
            return target if target in shown else home(reader[target])

        known = (replace(e, origin="" if e.target in shown else home(e.target)) for e in whole)
        return flatten(replace(self.forward, equations=tuple(known), results=self._results))

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """The number of each equation shown, by target."""
        return {e.target: k for k, e in enumerate(self.equations, 1)}

    @property
    def _results(self) -> tuple[str, ...]:
        return (*(self.forward.results or (self.forward.result,)), *self.cotangents.values())


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
    sweep = _Sweep(forward, wrt, outer, suffix)
    for target, seed in seeds.items():
        sweep.terms.setdefault(target, []).append(seed)
    for equation in reversed(forward.equations):
        sweep.visit(equation)
        sweep.finish(equation)
    for name in wrt:
        if name not in sweep.concluded:
            sweep.conclude(name)
    cotangents = {name: sweep.bar(name) for name in wrt}
    program = replace(sweep.program, sizes=tuple(sweep.sizes.items()))
    program, backward, named = name_softmaxes(program, tuple(sweep.backward))
    read = needed(replace(program, equations=backward), tuple(cotangents.values()))
    steps = (*sweep.steps, *(Step(*rewriting) for rewriting in named))
    return Gradients(program, read.equations, cotangents, steps)


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
        return replace(e, indices=tuple(map(put, e.indices)), body=put(e.body))

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
    )


class _Sweep:
    def __init__(
        self, program: Program, wrt: tuple[str, ...], outer: tuple[Index, ...], suffix: str
    ) -> None:
        self.program = program
        self.wrt = wrt
        self.outer = outer
        self.suffix = suffix
        self.sizes = dict(program.sizes)
        self.names = names(program)
        self.axes = {t.name: t.axes for t in program.inputs}
        self.axes |= {e.target: e.indices for e in program.equations}
        self.shapes = shapes(program)
        self.targets = {e.target for e in program.equations}
        self.active = _active(program, wrt)
        self.index_names = {i.name for e in program.equations for i in indices(e.body)}
        self.index_names |= {i.name for axes in (*self.axes.values(), outer) for i in axes}
        self.readers: dict[str, list[Equation]] = {}
        for e in program.equations:
            for name in dict.fromkeys((*(a.tensor for a in accesses(e.body)), e.target)):
                self.readers.setdefault(name, []).append(e)
        self.terms: dict[str, list[Expr]] = {}
        self.bars: dict[str, str] = {}
        self.auxiliary: list[Equation] = []
        self.concluded: set[str] = set()
        self.backward: list[Equation] = []
        self.steps: list[Step] = []

    def bar(self, tensor: str) -> str:
        """The name of a tensor's cotangent; it gives way to the user's names."""
        if tensor not in self.bars:
            self.bars[tensor] = fresh(tensor + self.suffix, self.names)
        return self.bars[tensor]

    def visit(self, equation: Equation) -> None:
        """Conclude the cotangent of the target and pass it on to what the equation reads."""
        if equation.target not in self.active or equation.target not in self.terms:
            if equation.target in self.wrt:
                self.conclude(equation.target)
            return
        cotangent = self.conclude(equation.target)
        if cotangent == 0:
            return
        argument = self.argument(equation)
        for operand in operands(equation):
            if operand.tensor not in self.active:
                continue
            target = Access(self.bar(operand.tensor), *self.outer, *self.axes[operand.tensor])
            part = contribution(
                equation,
                operand,
                cotangent,
                target,
                self.sizes,
                set(self.index_names),
                argument,
            )
            if part.body != 0:
                self.terms.setdefault(operand.tensor, []).append(part.body)
                self.steps.extend(part.steps)

    def finish(self, equation: Equation) -> None:
        """Conclude the inputs that no earlier equation reads: their cotangents are complete."""
        for name in dict.fromkeys(a.tensor for a in accesses(equation.body)):
            first = self.readers[name][0]
            if name in self.wrt and name not in self.targets and first.target == equation.target:
                self.conclude(name)

    def conclude(self, tensor: str) -> Expr:
        """Sum up a tensor's cotangent, bring it to textbook form, and say how uses refer to it."""
        self.concluded.add(tensor)
        axes = (*self.outer, *self.axes[tensor])
        raw = Equation(self.bar(tensor), axes, Add(*self.terms.get(tensor, ())))
        equation, rewrites = textbook(raw, self.related(raw), self.auxiliary)
        self.steps.extend(Step(rule, before, after) for rule, before, after in rewrites)
        body = without_implied_guards(equation.body, self.shapes, self.sizes)
        equation = replace(equation, body=body)
        if tensor not in self.wrt and _plain(equation.body):
            return equation.body
        self.backward.append(equation)
        if tensor in self.targets and self.program.equation(tensor).origin:
            self.auxiliary.append(equation)
        self.shapes[equation.target] = tuple(i.size for i in equation.indices)
        return equation.access

    def related(self, equation: Equation) -> tuple[Equation, ...]:
        """The forward equations that read a tensor which `equation` reads, or define it."""
        found = {e: None for a in accesses(equation.body) for e in self.readers.get(a.tensor, ())}
        return tuple(found)

    def argument(self, equation: Equation) -> Access | None:
        """The position of a maximum or minimum, as a forward equation of its own."""
        if equation.reduction not in ("max", "min"):
            return None
        op = "arg" + equation.reduction
        target = fresh(f"{equation.target}_{op}", self.names)
        body = Reduce(op, equation.term, equation.bound, equation.guard)
        argument = Equation(target, equation.indices, body, equation.origin or equation.target)
        self.shapes[target] = self.shapes[equation.target]
        position = self.program.equations.index(equation)
        equations = self.program.equations
        self.program = replace(
            self.program,
            equations=(*equations[:position], argument, *equations[position:]),
        )
        return argument.access


def _active(program: Program, wrt: tuple[str, ...]) -> set[str]:
    """The tensors that depend on an operand asked for, and these themselves."""
    known = names(program)
    for name in wrt:
        if name not in known:
            raise DeriveError(f"{name}: nothing of that name stands in the equations")
    integer = {t.name for t in program.inputs if t.kind == "integer"}
    for name in wrt:
        if name in integer:
            raise DeriveError(f"{name} holds integers; there is no derivative by it")
    active = set(wrt)
    for equation in program.equations:
        if equation.reduction in POSITIONS:
            continue
        if any(operand.tensor in active for operand in operands(equation)):
            active.add(equation.target)
    return active


def _plain(body: Expr) -> bool:
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
