"""Scans as loops: a step is lowered like any equations, its index being a number.

    h[n,t,j] = tanh(s[n,t,j] + u[n,t,j])    ->    for t in range(T):
    s[n,t,j] = sum[k](h[n,t-1,k]*U[k,j])              h_t = h[t]
    h[-1,j]  = h0[j]                                  np.matmul(h_before[t], U, out=h_t)
                                                      np.add(h_t, u[t], out=h_t)
                                                      np.tanh(h_t, out=h_t)

What is read outside the loop is stored with the steps as its first axis, so that a step works on
one block of memory; with one more place for the initial value where it is read at the step before.
What is read at the step before and, outside, at the last step alone is kept for two steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from sympy import Expr, S, Symbol

from derive.code.elementwise import Elementwise
from derive.code.hoisting import reads_last, steps_of
from derive.code.liveness import without_invariants
from derive.code.placement import places, put
from derive.code.scan_step import COUNTER, Member, Step, extended, previous
from derive.code.statements import Loop, Statement, Value, size_text
from derive.code.views import arranged, subscript
from derive.gradients.blocks import partition
from derive.gradients.normal_form import conditions_inside, fresh
from derive.language import scans
from derive.language.notation import Access, Equation, Index, Program, Recurrence, accesses


class Loops:
    """The scans of a program lowered; `compute` gives the value of an equation of one step."""

    def __init__(
        self,
        values: Elementwise,
        program: Program,
        compute: Callable[[Equation], Value],
        taken: set[str],
        frames: Mapping[str, tuple[Index, ...]],
    ) -> None:
        self.frames = frames
        self.values = values
        self.code = values.code
        self.program = program
        self.compute = compute
        self.taken = taken
        self.steps = steps_of(program.equations)
        self.counters: dict[str, str] = {}
        self.count = 0
        self.scanned: dict[str, Index] = {}  # what a scan reads at its steps, and its index
        for group in scans.groups(program.equations):
            found = scans.recurrence(group)
            if found is not None:
                for a in (a for e in group for a in accesses(e.body)):
                    self.scanned[a.tensor] = found.index

    # Outside

    def frame(self, e: Equation) -> tuple[Index, ...]:
        """The order of an equation's axes in memory: steps first where a scan reads them."""
        own = (*e.indices, *e.bound)
        order = self.frames.get(e.target, own)
        t = self.scanned.get(e.target)
        if t is None and order == own:
            return own
        first = (t,) if t in e.indices else ()
        return tuple(dict.fromkeys(i for i in (*first, *order, *own) if i in own))

    def rewritten(self, e: Expr) -> Expr:
        """An expression outside scans: h[n,t-1,j] is read from an array that begins a step before.

        Positions of which it is not sure that they are steps, as those of the whole array.
        """
        if not self.steps:
            return e
        if isinstance(e, Access) and e.tensor in self.steps:
            axis, t, step = self.steps[e.tensor]
            x = e.indices[axis]
            moved = (x - step).expand()
            inside = not conditions_inside(x, t.size, self.values.sizes)
            if isinstance(moved, Index) and moved.size == t.size and not isinstance(x, Index):
                return Access(previous(e.tensor), *e.indices[:axis], moved, *e.indices[axis + 1 :])
            if not inside:
                place = x - step if step < 0 else x
                return Access(extended(e.tensor), *e.indices[:axis], place, *e.indices[axis + 1 :])
            return e
        if not e.args or not e.has(Access):
            return e
        return e.func(*map(self.rewritten, e.args))

    # A scan

    def lower(self, group: scans.Group) -> None:
        found = scans.recurrence(group)
        assert found is not None
        members = {e.target: self.stored(e, group, found) for e in group}
        for m in members.values():
            self.staying(m, found)
        name = self.counter(found.index)
        self.count += 1
        start = len(self.code.statements)
        counter = Symbol(COUNTER + name, integer=True, nonnegative=True)
        step = Step(self.values, self.program, self.compute, members, found, counter)
        self.code.loop = Loop(name, found.index.size, found.step > 0, self.count)
        results = {e.target: step.run(e) for e in group}
        self.code.loop = None
        statements = [*step.bindings, *self.code.statements[start:]]
        times = found.index.size
        self.code.statements[start:] = [
            replace(
                s,
                fresh=s.fresh.replace(COUNTER, ""),
                into=s.into.replace(COUNTER, ""),
                operations=s.operations * (times if s.loop else 1),
            )
            for s in without_invariants(statements, COUNTER)
        ]
        step.forget()
        for m in members.values():
            self.outside(m, found, results[m.equation.target])

    def stored(self, e: Equation, group: scans.Group, found: Recurrence) -> Member:
        """The arrays that a member is kept in, and its initial value there."""
        axis = e.indices.index(found.index)
        rest = (*e.indices[:axis], *e.indices[axis + 1 :])
        inside = {other.target for other in group}
        outer = [
            a
            for other in self.program.equations
            if other.target not in inside
            for a in accesses(other.body)
            if a.tensor == e.target
        ]
        outer += [
            a
            for other in self.program.equations
            if other.recurrence is not None and other.target not in inside
            for a in accesses(other.recurrence.initial)
            if a.tensor == e.target
        ]
        t = Symbol(COUNTER + self.counter(found.index), integer=True)
        whole = e.target in self.program.results or not all(
            reads_last(a, group, found.step) for a in outer
        )
        order = tuple(i for i in self.frame(e) if i in rest)
        parted = partition(e) if e.recurrence is None else ()
        if parted and parted[0].axis == found.index:
            parted = ()
        moving = tuple(b for b in parted if any(a.tensor in inside for a in accesses(b.term)))
        if len(moving) == len(parted) or len({b.start for b in parted}) < len(parted):
            moving = ()
        whole = whole or bool(moving)
        plain = Member(
            e, axis, rest, order, whole=whole, last=bool(outer) and not whole, moving=moving
        )
        if e.recurrence is None:
            if not whole:
                return plain
            kind = "integer" if e.reduction in ("argmax", "argmin") else "real"
            out = self.code.array((found.index, *order), kind, label=e.target)
            self.keep(out)
            return replace(plain, storage=out.buffer, row=f"{{{out.buffer}}}[{t}]")
        self.code.origin = e.origin or e.target
        size = found.index.size
        if whole:
            everything = Index(f"{found.index.name}_all", size + 1)
            out = self.code.array((everything, *order), label=f"{e.target}_all")
            self.keep(out)
            low, high = f"{out.text}[:-1]", f"{out.text}[1:]"
            label = f"{e.target}_before" if found.step < 0 else f"{e.target}_after"
            now = self.bound(
                (found.index, *order), high if found.step < 0 else low, out.buffer, e.target
            )
            before = self.bound(
                (found.index, *order), low if found.step < 0 else high, out.buffer, label
            )
            self.values.tensors[previous(e.target)] = self.laid(before, e)
            self.values.shapes[previous(e.target)] = tuple(i.size for i in e.indices)
            axes = tuple(everything if i == found.index else i for i in e.indices)
            self.values.tensors[extended(e.target)] = (
                Value(out.text, (everything, *order)),
                axes,
            )
            self.values.shapes[extended(e.target)] = tuple(i.size for i in axes)
            start = f"{out.text}[{0 if found.step < 0 else -1}]"
            self.initial(e, order, out.buffer, start)
            return replace(
                plain,
                storage=now.buffer,
                row=f"{now.text}[{t}]",
                before=f"{before.text}[{t}]",
                start=start,
            )
        out = self.code.array((Index("_", S(2)), *order), label=f"{e.target}_pair")
        self.keep(out)
        start = f"{out.text}[0]"
        self.initial(e, order, out.buffer, start)
        here = f"({t} + 1) % 2" if found.step < 0 else f"({size_text(size)} - {t}) % 2"
        there = f"{t} % 2" if found.step < 0 else f"({size_text(size - 1)} - {t}) % 2"
        return replace(
            plain,
            storage=out.buffer,
            row=f"{out.text}[{here}]",
            before=f"{out.text}[{there}]",
            start=start,
        )

    def staying(self, m: Member, found: Recurrence) -> None:
        """The blocks of a member that read no member, written for all steps at once."""
        if not m.moving:
            return
        self.code.origin = m.equation.origin or m.equation.target
        out = Value(f"{{{m.storage}}}", (found.index, *m.order))
        for b in partition(m.equation):
            if b not in m.moving:
                own = tuple(b.own if i == b.axis else i for i in out.indices)
                text = out.text + subscript(
                    [places(b.start, b.own, b.axis) if i == b.axis else ":" for i in out.indices]
                )
                self.values.frame = own
                put(self.values, self.rewritten(b.term), out, text, own)

    def counter(self, t: Index) -> str:
        """The variable of a loop over an index; `l` is that of loops over layers."""
        if t.name not in self.counters:
            self.counters[t.name] = fresh(t.name, {*self.taken, "l"})
            self.taken.add(self.counters[t.name])
        return self.counters[t.name]

    def keep(self, out: Value) -> None:
        buffer = self.code.buffers[out.buffer]
        self.code.buffers[out.buffer] = replace(buffer, stored=True)

    def bound(self, indices: tuple[Index, ...], text: str, of: str, label: str) -> Value:
        """A name for a view of a stored array."""
        out = self.code.array(indices, label=label, of=of)
        self.code.statements.append(
            Statement(out.buffer, f"{out.text} = {text}", origin=self.code.origin, binds=True)
        )
        return out

    def initial(self, e: Equation, rest: tuple[Index, ...], storage: str, place: str) -> None:
        """What the tensor is before the first step."""
        assert e.recurrence is not None
        self.values.frame = rest
        value = self.values.value(self.rewritten(e.recurrence.initial))
        source = arranged(value, rest) if value.indices else value.text
        self.code.statements.append(
            Statement(storage, "", f"{place} = {source}", origin=self.code.origin, update=True)
        )

    def laid(self, value: Value, e: Equation) -> tuple[Value, tuple[Index, ...]]:
        return value, e.indices

    def outside(self, m: Member, found: Recurrence, value: Value) -> None:
        """What later equations read of a member."""
        e = m.equation
        self.values.shapes[e.target] = tuple(i.size for i in e.indices)
        if m.whole:
            kind = self.code.buffers[m.storage].kind
            value = Value(f"{{{m.storage}}}", (found.index, *m.order), kind)
        elif m.last and m.storage:
            last = f"{size_text(found.index.size)} % 2"
            value = Value(f"{{{m.storage}}}[{last}]", m.order)
        self.values.tensors[e.target] = (value, e.indices)
