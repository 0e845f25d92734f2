"""The sweep itself: equations visited from the last to the first, cotangents concluded on the way.

A cotangent is concluded when all uses of its tensor have been visited. In a scan what is read at
the step is used by steps that come later: it gets its cotangent's name first and its value last.
"""

from __future__ import annotations

from dataclasses import replace

from sympy import Add, Expr, Integer, Mul

from derive.calculus import Step, contribution, operands
from derive.functions import and_, eq, where
from derive.normal_form import (
    conditions_inside,
    fresh,
    names,
    span,
    spans,
    without_implied_guards,
)
from derive.notation import (
    Access,
    DeriveError,
    Equation,
    Index,
    Program,
    Recurrence,
    Reduce,
    accesses,
    indices,
)
from derive.reuse import reused, values_of
from derive.scans import Group, groups, ordered, reads, recurrence
from derive.simplify import textbook
from derive.statistics import with_equals
from derive.stepping import FIRST, PASSED_ON, Scan

POSITIONS = ("argmax", "argmin")


class Sweep:
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
        self.spans = spans(program)
        self.recurrences = {e.target: e.recurrence for e in program.equations if e.recurrence}
        self.targets = {e.target for e in program.equations}
        self.active = _active(program, wrt)
        self.index_names = {i.name for e in program.equations for i in indices(e.body)}
        self.index_names |= {i.name for axes in (*self.axes.values(), outer) for i in axes}
        self.readers: dict[str, list[Equation]] = {}
        for e in program.equations:
            for name in dict.fromkeys((*_read(e), e.target)):
                self.readers.setdefault(name, []).append(e)
        self.terms: dict[str, list[Expr]] = {}
        self.bars: dict[str, str] = {}
        self.tensors: dict[str, str] = {}  # by the names of their cotangents
        self.first: dict[str, list[tuple[tuple[Expr, ...], Expr]]] = {}  # see with_first_step
        self.computed: list[Equation] = []  # the cotangents in scans, to be read again
        self.auxiliary: list[Equation] = []
        self.concluded: set[str] = set()
        self.backward: list[Equation] = []
        self.written: dict[str, Equation] = {}  # the same by target, without those asked for
        self.sums: dict[str, Equation] = {}  # the cotangents as they were summed up
        self.steps: list[Step] = []

    def bar(self, tensor: str) -> str:
        """The name of a tensor's cotangent; it gives way to the user's names."""
        if tensor not in self.bars:
            bar = self.bars[tensor] = fresh(tensor + self.suffix, self.names)
            self.tensors[bar] = tensor
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
            self.spans[bar.tensor] = span(self.axes_of_bar(equation.target), scan.backward)
        read = (operand for equation in members for operand in operands(equation))
        scan.carried |= {a.tensor for a in read if scan.reads_at_the_step(a)}
        begin = len(self.backward)
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
        self.backward[begin:] = scan.with_recurrences(self.backward[begin:])
        for equation in self.backward[begin:]:
            if equation.target in self.written:
                self.written[equation.target] = equation

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
        taken = set(self.index_names)
        part = contribution(
            equation, operand, cotangent, target, self.sizes, taken, argument, places
        )
        if part.body != 0:
            self.steps.extend(part.steps)
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
        for name in dict.fromkeys(name for e in group for name in _read(e)):
            first = self.readers[name][0]
            if name in self.wrt and name not in self.targets and first.target in visited:
                self.conclude(name)

    def conclude(self, tensor: str, scan: Scan | None = None) -> Expr:
        """Sum up a tensor's cotangent, bring it to textbook form, and say how uses refer to it."""
        self.concluded.add(tensor)
        axes, bodies = self.axes_of_bar(tensor), self.terms.get(tensor, [])
        raw = Equation(self.bar(tensor), axes, Add(*bodies))
        if scan and tensor in scan.passed:
            raw = self.with_step_after(raw, tensor, scan)
        elif tensor in self.first:
            raw = self.with_first_step(raw, tensor)
        equation = self.in_textbook_form(raw)
        carried = scan is not None and tensor in scan.carried
        if tensor not in self.wrt and not carried and _plain(equation.body):
            return equation.body
        self.add(equation, scan)
        if tensor in self.targets and self.program.equation(tensor).origin:
            self.auxiliary.append(equation)
        return equation.access

    def add(self, equation: Equation, scan: Scan | None) -> None:
        """One more equation of the backward pass."""
        self.backward.append(equation)
        if self.tensors.get(equation.target) not in self.wrt:
            self.written[equation.target] = equation
        recurrence_ = scan.backward if scan else None
        self.spans[equation.target] = span(equation.indices, recurrence_)
        if scan:
            self.computed.append(replace(equation, recurrence=recurrence_))

    def in_textbook_form(self, raw: Equation) -> Equation:
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
        body = without_implied_guards(equation.body, self.spans, self.sizes)
        return replace(equation, body=body)

    def with_cotangents(self, equation: Equation) -> Equation:
        """Cotangents computed in a scan read again: of all that is added up within a `tanh`."""
        scalar = (e for e in self.computed if e.reduction is None and not _plain(e.body))
        after = replace(equation, body=reused(equation.body, values_of(equation.body, scalar)))
        if after.body != equation.body:
            self.steps.append(Step("reuse of the backward pass", equation, after))
        return after

    def with_step_after(self, raw: Equation, tensor: str, scan: Scan) -> Equation:
        """The cotangent with what the step after passes on, free of the condition on the end."""
        passed = scan.passed[tensor]
        free = [scan.without_end(body, self.sizes) for body, _ in passed]
        if not all(
            linear and scan.exists_at_the_end(e, self.spans, self.sizes)
            for e, (_, linear) in zip(free, passed, strict=True)
        ):
            free = [self.passed_back(raw, tensor, scan, free)]
        before = replace(raw, body=Add(raw.body, *(body for body, _ in passed)))
        after = replace(raw, body=Add(raw.body, *free))
        if before.body != after.body:
            self.steps.append(Step(PASSED_ON, before, after))
        return after

    def passed_back(self, raw: Equation, tensor: str, scan: Scan, terms: list[Expr]) -> Access:
        """What is passed on as an equation of its own; its access at the step after."""
        target = fresh(f"{tensor}_back", self.names)
        scan.bars.add(target)
        body = Add(*map(scan.at_own_step, terms))
        same = scan.is_the_same_at_each_step(tensor)
        if not same:  # then it is not what the first step passes on
            step_before = scan.index + scan.recurrence.step
            inside = conditions_inside(step_before, scan.index.size, self.sizes)
            body = where(and_(*inside), body, Integer(0))
        equation = self.in_textbook_form(Equation(target, raw.indices, body))
        self.add(equation, scan)
        initial = self.recurrences[tensor].initial
        first = {scan.index: scan.index.size - 1 if scan.recurrence.step > 0 else Integer(0)}
        if same and isinstance(initial, Access) and tensor in scan.started:
            own = dict(zip(initial.indices, self.axes[initial.tensor], strict=True))
            if len(own) == len(self.axes[tensor]) - 1 == len(initial.indices):
                at = equation.access.xreplace(first).xreplace(own)
                found = (tuple(scan.started[tensor]), at)
                self.first.setdefault(initial.tensor, []).append(found)
        return equation.access.xreplace({scan.index: scan.after})

    def with_first_step(self, raw: Equation, tensor: str) -> Equation:
        """The cotangent of an initial value read from what the first step passes on."""
        terms = list(self.terms[tensor])
        for bodies, access in self.first[tensor]:
            for body in bodies:
                terms.remove(body)
            terms.append(access)
        after = replace(raw, body=Add(*terms))
        self.steps.append(Step(FIRST, raw, after))
        return after

    def in_order(self) -> tuple[Equation, ...]:
        """The equations of the backward pass in an order of evaluation."""
        return ordered(self.backward) if self.computed else tuple(self.backward)

    def with_equals(self, raw: Equation) -> Equation:
        """Its terms read a cotangent that was summed up from the same terms."""
        equal = replace(raw, body=with_equals(raw.body, self.sums))
        if equal.body != raw.body:
            self.steps.append(Step("equal cotangents", raw, equal))
        self.sums[raw.target] = equal
        return equal

    def behind(self, equation: Equation) -> tuple[Equation, ...]:
        """The forward equations that have to do with the tensors whose cotangents it reads."""
        read = (self.tensors.get(a.tensor, "") for a in accesses(equation.body))
        return tuple(dict.fromkeys(e for name in read for e in self.readers.get(name, ())))

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
        self.spans[target] = span(equation.indices)
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
    for group in groups(program.equations):
        before = -1
        while before < len(active):  # in a scan an equation may read what stands below it
            before = len(active)
            active |= {e.target for e in group if _is_active(e, active)}
            if len(group) == 1:
                break
    return active


def _is_active(equation: Equation, active: set[str]) -> bool:
    start = equation.recurrence
    if start and any(a.tensor in active for a in accesses(start.initial)):
        return True
    if equation.reduction in POSITIONS:
        return False
    return any(operand.tensor in active for operand in operands(equation))


def _read(equation: Equation) -> list[str]:
    """The tensors that an equation reads, in the order of their reading."""
    own = [a.tensor for a in accesses(equation.body)]
    return list(dict.fromkeys((*own, *sorted(reads(equation)))))


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
