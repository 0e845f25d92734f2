"""The sweep itself: equations visited from the last to the first, cotangents concluded on the way.

A cotangent is concluded when all uses of its tensor have been visited. In a scan what is read at
the step is used by steps that come later: it gets its cotangent's name first and its value last.
"""

from __future__ import annotations

from dataclasses import replace

from sympy import Add, Expr

from derive.gradients.activity import active, tensors_read
from derive.gradients.backward_pass import BackwardPass, plain, slight
from derive.gradients.calculus import contribution, operands
from derive.gradients.normal_form import Taken, conditions_inside, fresh, names, span
from derive.gradients.passing_back import PassingBack
from derive.gradients.stepping import Scan
from derive.language.notation import (
    Access,
    Equation,
    Index,
    Program,
    Recurrence,
    Reduce,
    indices,
)
from derive.language.scans import Group, recurrence


class Sweep:
    def __init__(
        self, program: Program, wrt: tuple[str, ...], outer: tuple[Index, ...], suffix: str
    ) -> None:
        self.program = program
        self.wrt = frozenset(wrt)
        self.outer = outer
        self.suffix = suffix
        self.sizes = dict(program.sizes)
        self.names = names(program)
        self.axes = {t.name: t.axes for t in program.inputs}
        self.axes |= {e.target: e.indices for e in program.equations}
        self.recurrences = {e.target: e.recurrence for e in program.equations if e.recurrence}
        self.targets = {e.target for e in program.equations}
        self.active = active(program, wrt)
        bound = {i.name for e in program.equations for i in indices(e.body)}
        axes = {i.name for axes in (*self.axes.values(), outer) for i in axes}
        self.index_names = frozenset(bound | axes)
        self.terms: dict[str, list[Expr]] = {}
        self.bars: dict[str, str] = {}
        self.concluded: set[str] = set()
        self.waiting: list[str] = []  # inputs whose cotangents are complete
        self.backward = BackwardPass(program, wrt, self.sizes)
        self.passing_back = PassingBack(self.backward, self.names, self.axes, self.recurrences)

    def bar(self, tensor: str) -> str:
        """The name of a tensor's cotangent; it gives way to the user's names."""
        if tensor not in self.bars:
            bar = self.bars[tensor] = fresh(tensor + self.suffix, self.names)
            self.backward.tensors[bar] = tensor
        return self.bars[tensor]

    def visit(self, group: Group) -> None:
        """Conclude the cotangents of the targets and pass them on to what the equations read."""
        found = recurrence(group)
        if found is not None:
            self.visit_scan(Scan(group, found))
            return
        for equation in reversed(group):
            self.visit_alone(equation)

    def visit_alone(self, equation: Equation) -> None:
        if equation.target not in self.active or equation.target not in self.terms:
            if equation.target in self.wrt:
                self.conclude(equation.target)
            return
        self.pass_on(equation, self.conclude(equation.target))

    def visit_scan(self, scan: Scan) -> None:
        """As `visit`; what is read at the step gets its cotangent's name first, its value last."""
        members = self.members(scan)
        for equation in members:
            bar = self.access(equation.target)
            scan.bars.add(bar.tensor)
            self.backward.spans[bar.tensor] = span(self.axes_of_bar(equation.target), scan.backward)
        read = (operand for equation in members for operand in operands(equation))
        scan.carried |= {a.tensor for a in read if scan.reads_at_the_step(a)}
        begin = len(self.backward.equations)
        for equation in reversed(scan.group):
            if equation not in members:
                if equation.target in self.wrt:
                    self.conclude(equation.target)
            elif equation.target in scan.carried:
                self.pass_on(equation, self.access(equation.target), scan)
            else:
                self.pass_on(equation, self.conclude(equation.target, scan), scan)
        for equation in reversed(members):
            if equation.target in scan.carried:
                self.conclude(equation.target, scan)
        self.backward.put_from(begin, scan.with_recurrences(self.backward.equations[begin:]))

    def members(self, scan: Scan) -> list[Equation]:
        """The equations of a scan that the result depends on and that depend on an operand."""
        by_target = {e.target: e for e in scan.group}
        reached: set[str] = set()
        pending = [name for name in by_target if name in self.terms]
        while pending:
            name = pending.pop()
            if name not in reached and name in self.active:
                reached.add(name)
                read = (operand.tensor for operand in operands(by_target[name]))
                pending += [other for other in read if other in by_target]
        return [e for e in scan.group if e.target in reached]

    def axes_of_bar(self, tensor: str) -> tuple[Index, ...]:
        return (*self.outer, *self.axes[tensor])

    def access(self, tensor: str) -> Access:
        """The cotangent of a tensor, at the indices of the tensor's equation."""
        return Access(self.bar(tensor), *self.axes_of_bar(tensor))

    def pass_on(self, equation: Equation, cotangent: Expr, scan: Scan | None = None) -> None:
        """Add what an equation contributes to the cotangents of its operands."""
        if cotangent == 0:
            return
        argument = self.argument(equation)
        for operand in operands(equation):
            if operand.tensor not in self.active:
                continue
            start = self.start(operand)
            if start is None or operand.indices[start[0]] != start[1].start:
                target = self.access(operand.tensor)
                body = self.contributed(equation, operand, cotangent, target, argument)
                if body != 0 and scan and scan.reads_at_the_step(operand):
                    scan.pass_on(operand.tensor, body, cotangent)
                elif body != 0:
                    self.terms.setdefault(operand.tensor, []).append(body)
            if start is not None:
                self.pass_to_initial(equation, operand, cotangent, argument, scan)

    def contributed(
        self,
        equation: Equation,
        operand: Access,
        cotangent: Expr,
        target: Access,
        argument: Access | None,
        places: tuple[tuple[Expr, Expr], ...] | None = None,
    ) -> Expr:
        """What one operand of an equation adds to a cotangent, the steps to it recorded."""
        taken = Taken(self.index_names)
        part = contribution(
            equation, operand, cotangent, target, self.sizes, taken, argument, places
        )
        if part.body != 0:
            self.backward.steps.extend(part.steps)
        return part.body

    def start(self, operand: Access) -> tuple[int, Recurrence] | None:
        """The recurrence whose initial value an access may read, and the axis that it is on."""
        found = self.recurrences.get(operand.tensor)
        if found is None:
            return None
        axis = self.axes[operand.tensor].index(found.index)
        outside = conditions_inside(operand.indices[axis], found.index.size, self.sizes)
        return (axis, found) if outside else None

    def pass_to_initial(
        self,
        equation: Equation,
        operand: Access,
        cotangent: Expr,
        argument: Access | None,
        scan: Scan | None,
    ) -> None:
        """What an equation contributes to an initial value: h[t-1,k] is h0[k] at t = 0."""
        found = self.recurrences[operand.tensor]
        initial = found.initial
        if not isinstance(initial, Access) or initial.tensor not in self.active:
            return
        read_at = dict(zip(self.axes[operand.tensor], operand.indices, strict=True))
        axes = zip(self.axes[initial.tensor], initial.indices, strict=True)
        places = ((found.start, read_at[found.index]), *((k, read_at[i]) for k, i in axes))
        target = self.access(initial.tensor)
        body = self.contributed(equation, operand, cotangent, target, argument, places)
        if body != 0:
            self.terms.setdefault(initial.tensor, []).append(body)
            if scan and scan.reads_at_the_step(operand):
                scan.started.setdefault(operand.tensor, []).append(body)

    def finish(self, group: Group) -> None:
        """Conclude the inputs that no earlier equation reads: their cotangents are complete."""
        visited = {e.target for e in group}
        for name in dict.fromkeys(name for e in group for name in tensors_read(e)):
            first = self.backward.readers[name][0]
            if name in self.wrt and name not in self.targets and first.target in visited:
                self.waiting.append(name)
        for name in tuple(self.waiting):
            if not any(map(self.is_part_to_come, tensors_read(self.backward.readers[name][0]))):
                self.waiting.remove(name)
                self.conclude(name)

    def is_part_to_come(self, tensor: str) -> bool:
        """Whether a part of an equation has no cotangent yet; what is beside it may read that."""
        if tensor not in self.targets or not self.program.equation(tensor).origin:
            return False
        return tensor in self.active and tensor in self.terms and tensor not in self.concluded

    def conclude(self, tensor: str, scan: Scan | None = None) -> Expr:
        """Sum up a tensor's cotangent, bring it to textbook form, and say how uses refer to it."""
        self.concluded.add(tensor)
        axes, bodies = self.axes_of_bar(tensor), self.terms.get(tensor, [])
        raw = Equation(self.bar(tensor), axes, Add(*bodies))
        if scan and tensor in scan.passed:
            raw = self.passing_back.with_step_after(raw, tensor, scan)
        elif tensor in self.passing_back.first:
            raw = self.passing_back.with_first_step(raw, tensor, bodies)
        equation = self.backward.in_textbook_form(raw)
        carried = scan is not None and tensor in scan.carried
        if tensor not in self.wrt and not carried:
            part = tensor in self.targets and self.program.equation(tensor).origin
            short = slight(equation.body) and not self.backward.reads_cotangents(equation.body)
            if plain(equation.body) or ((part or axes) and short):
                return equation.body
        self.backward.add(equation, scan.backward if scan else None)
        if tensor in self.targets and self.program.equation(tensor).origin:
            self.backward.add_part(equation)
        return equation.access

    def argument(self, equation: Equation) -> Access | None:
        """The position of a maximum or minimum, as a forward equation of its own."""
        if equation.reduction not in ("max", "min"):
            return None
        op = "arg" + equation.reduction
        target = fresh(f"{equation.target}_{op}", self.names)
        body = Reduce(op, equation.term, equation.bound, equation.guard)
        argument = Equation(target, equation.indices, body, equation.origin or equation.target)
        self.backward.spans[target] = span(equation.indices)
        position = self.program.equations.index(equation)
        equations = self.program.equations
        self.program = replace(
            self.program,
            equations=(*equations[:position], argument, *equations[position:]),
        )
        return argument.access
