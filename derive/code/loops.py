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

from collections.abc import Callable
from dataclasses import dataclass, replace

from sympy import Add, Expr, Mul, S, Symbol

from derive.code.elementwise import Elementwise
from derive.code.hoisting import reads_last, steps_of
from derive.code.liveness import without_invariants
from derive.code.statements import Loop, Statement, Value, size_text
from derive.code.views import arranged, subscript
from derive.gradients.normal_form import conditions_inside, fresh
from derive.language import scans
from derive.language.functions import eq
from derive.language.notation import Access, Equation, Index, Program, Recurrence, Reduce, accesses

# What marks a loop's counter in a text until the loop is done; no name has it.
_COUNTER = "\x03"


@dataclass(frozen=True)
class Member:
    """An equation of a scan, and how its values are kept: the text of the row of a step, of the
    row of the step before and of the initial value, each "" where there is none.
    """

    equation: Equation
    axis: int
    rest: tuple[Index, ...]
    storage: str = ""
    row: str = ""
    before: str = ""
    start: str = ""
    whole: bool = False
    last: bool = False


class Loops:
    """The scans of a program lowered; `compute` gives the value of an equation of one step."""

    def __init__(
        self,
        values: Elementwise,
        program: Program,
        compute: Callable[[Equation], Value],
        taken: set[str],
    ) -> None:
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
        t = self.scanned.get(e.target)
        order = (t, *(i for i in e.indices if i != t)) if t in e.indices else e.indices
        return (*order, *e.bound)

    def rewritten(self, e: Expr) -> Expr:
        """An expression outside scans: h[n,t-1,j] is read from an array that begins a step before.

        Positions of which it is not sure that they are steps, as those of the whole array.
        """
        if isinstance(e, Access) and e.tensor in self.steps:
            axis, t, step = self.steps[e.tensor]
            x = e.indices[axis]
            moved = (x - step).expand()
            inside = not conditions_inside(x, t.size, self.values.sizes)
            if isinstance(moved, Index) and moved.size == t.size and not isinstance(x, Index):
                return Access(_before(e.tensor), *e.indices[:axis], moved, *e.indices[axis + 1 :])
            if not inside:
                place = x - step if step < 0 else x
                return Access(_all(e.tensor), *e.indices[:axis], place, *e.indices[axis + 1 :])
            return e
        if not e.args or not e.has(Access):
            return e
        return e.func(*map(self.rewritten, e.args))

    # A scan

    def lower(self, group: scans.Group) -> None:
        found = scans.recurrence(group)
        assert found is not None
        members = {e.target: self.stored(e, group, found) for e in group}
        name = self.counter(found.index)
        self.count += 1
        start = len(self.code.statements)
        step = _Step(self, members, found, Symbol(_COUNTER + name, integer=True, nonnegative=True))
        self.code.loop = Loop(name, found.index.size, found.step > 0, self.count)
        results = {e.target: step.run(e) for e in group}
        self.code.loop = None
        statements = [*step.bindings, *self.code.statements[start:]]
        times = found.index.size
        self.code.statements[start:] = [
            replace(
                s,
                fresh=s.fresh.replace(_COUNTER, ""),
                into=s.into.replace(_COUNTER, ""),
                operations=s.operations * (times if s.loop else 1),
            )
            for s in without_invariants(statements, _COUNTER)
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
        t = Symbol(_COUNTER + self.counter(found.index), integer=True)
        whole = e.target in self.program.results or not all(
            reads_last(a, group, found.step) for a in outer
        )
        plain = Member(e, axis, rest, whole=whole, last=bool(outer) and not whole)
        if e.recurrence is None:
            if not whole:
                return plain
            kind = "integer" if e.reduction in ("argmax", "argmin") else "real"
            out = self.code.array((found.index, *rest), kind, label=e.target)
            self.keep(out)
            return replace(plain, storage=out.buffer, row=f"{{{out.buffer}}}[{t}]")
        self.code.origin = e.origin or e.target
        size = found.index.size
        if whole:
            everything = Index(f"{found.index.name}_all", size + 1)
            out = self.code.array((everything, *rest), label=f"{e.target}_all")
            self.keep(out)
            low, high = f"{out.text}[:-1]", f"{out.text}[1:]"
            label = f"{e.target}_before" if found.step < 0 else f"{e.target}_after"
            now = self.bound(
                (found.index, *rest), high if found.step < 0 else low, out.buffer, e.target
            )
            before = self.bound(
                (found.index, *rest), low if found.step < 0 else high, out.buffer, label
            )
            self.values.tensors[_before(e.target)] = self.laid(before, e)
            self.values.shapes[_before(e.target)] = tuple(i.size for i in e.indices)
            axes = tuple(everything if i == found.index else i for i in e.indices)
            self.values.tensors[_all(e.target)] = (Value(out.text, (everything, *rest)), axes)
            self.values.shapes[_all(e.target)] = tuple(i.size for i in axes)
            start = f"{out.text}[{0 if found.step < 0 else -1}]"
            self.initial(e, rest, out.buffer, start)
            return replace(
                plain,
                storage=now.buffer,
                row=f"{now.text}[{t}]",
                before=f"{before.text}[{t}]",
                start=start,
            )
        out = self.code.array((Index("_", S(2)), *rest), label=f"{e.target}_pair")
        self.keep(out)
        start = f"{out.text}[0]"
        self.initial(e, rest, out.buffer, start)
        here = f"({t} + 1) % 2" if found.step < 0 else f"({size_text(size)} - {t}) % 2"
        there = f"{t} % 2" if found.step < 0 else f"({size_text(size - 1)} - {t}) % 2"
        return replace(
            plain,
            storage=out.buffer,
            row=f"{out.text}[{here}]",
            before=f"{out.text}[{there}]",
            start=start,
        )

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
            value = Value(f"{{{m.storage}}}", (found.index, *m.rest), kind)
        elif m.last and m.storage:
            last = f"{size_text(found.index.size)} % 2"
            value = Value(f"{{{m.storage}}}[{last}]", m.rest)
        self.values.tensors[e.target] = (value, e.indices)


class _Step:
    """The equations of a scan at one step of it."""

    def __init__(
        self, loops: Loops, members: dict[str, Member], found: Recurrence, counter: Symbol
    ) -> None:
        self.values = values = loops.values
        self.code = values.code
        self.compute = loops.compute
        self.loops = loops
        self.members = members
        self.t, self.step, self.counter = found.index, found.step, counter
        self.name = counter.name.removeprefix(_COUNTER)
        self.bindings: list[Statement] = []
        self.begin = len(self.code.statements)
        self.read: dict[tuple[str, int], str] = {}
        # What is known of a step's values is no use outside, nor at another loop's steps.
        self.saved = [
            (known, dict(known))
            for known in (
                values.known,
                values.rectified,
                values.copies,
                values.pads,
                values.places,
            )
        ]

    def forget(self) -> None:
        for known, before in self.saved:
            known.clear()
            known.update(before)

    def run(self, e: Equation) -> Value:
        m = self.members[e.target]
        self.code.origin = e.origin or e.target
        body = e.body
        if isinstance(body, Reduce):
            parts = (self.at_step(x) for x in (body.term, body.guard))
            term, guard = parts
            body = Reduce(body.op, term, body.bound, guard)
        else:
            body = self.at_step(body)
        step = Equation(e.target, m.rest, body.xreplace({self.t: self.counter}), e.origin)
        value = self.kept(m, self.with_single_steps(e, step) or self.compute(step))
        self.values.tensors[_now(e.target)] = (value, m.rest)
        self.values.shapes[_now(e.target)] = tuple(i.size for i in m.rest)
        return value

    def with_single_steps(self, e: Equation, step: Equation) -> Value | None:
        """A sum of which some addends count at one step alone: `if t == 7: np.add(h, y, out=h)`.

        None where there is none, or where the sum of the others may be read elsewhere.
        """
        single = [a for a in Add.make_args(step.body) if self.condition(a) is not None]
        rest = step.body - Add(*single)
        if not single or rest == 0:
            return None
        begin = len(self.code.statements)
        value = self.compute(replace(step, body=rest))
        if isinstance(rest, Access):
            read = [a for other in self.loops.program.equations for a in accesses(other.body)]
            once = [_now(a.tensor) for a in read].count(rest.tensor) == 1
            if not (once and self.is_own(value, step.indices)):
                value = self.copied(value, step.indices)
            begin = self.begin
        if not self.is_own(value, step.indices, begin) or value.kind != "real":
            return None
        for a in single:
            condition = self.condition(a)
            assert condition is not None
            text = self.values.condition(condition).text
            addend = self.values.value(a / condition)
            source = arranged(addend, step.indices) if addend.indices else addend.text
            self.code.emit(
                value,
                "",
                f"if {text}:\n    np.add({{out}}, {source}, out={{out}})",
                operations=S.Zero,
                update=True,
            )
        known = self.values.known
        for key in [key for key, v in known.items() if value.text in v.text]:
            del known[key]
        return value

    def condition(self, addend: Expr) -> Expr | None:
        """The factor `t == 7` of an addend."""
        for factor in Mul.make_args(addend):
            if isinstance(factor, eq) and factor.has(self.counter) and not factor.has(Index):
                return None if any(accesses(factor)) else factor
        return None

    def at_step(self, e: Expr) -> Expr:
        """The expression with each tensor read at this step, or the one before, without that axis.

        `x[n,t,j]` is read as `x@1[n,j]`, which is a row of x.
        """
        if isinstance(e, Access):
            indices = tuple(map(self.at_step, e.indices))
            axes = [k for k, x in enumerate(indices) if x.has(self.t)]
            if not axes:
                return Access(e.tensor, *indices)
            (axis,) = axes
            rest = (*indices[:axis], *indices[axis + 1 :])
            name = self.at(e.tensor, axis, indices[axis])
            return Access(name, *rest)
        if not e.args or not e.has(Access):
            return e
        return e.func(*map(self.at_step, e.args))

    def at(self, tensor: str, axis: int, x: Expr) -> str:
        """The name of a tensor at this step, or at the one before."""
        if tensor in self.members:
            m = self.members[tensor]
            if x == self.t:
                return _now(tensor)
            if (tensor, axis) not in self.read:
                name = f"{tensor}@{self.step}"
                suffix = "before" if self.step < 0 else "after"
                value = self.row(m.before, m.storage, m.rest, tensor, suffix, m.start != "")
                self.values.tensors[name] = (value, m.rest)
                self.values.shapes[name] = tuple(i.size for i in m.rest)
                self.read[tensor, axis] = name
            return self.read[tensor, axis]
        if x != self.t:
            tensor = _before(tensor)
        if (tensor, axis) not in self.read:
            value, axes = self.values.tensors[tensor]
            rest = (*axes[:axis], *axes[axis + 1 :])
            name = f"{tensor}@@{axis}"
            if axes[axis] in value.indices:
                place = value.indices.index(axes[axis])
                left = (*value.indices[:place], *value.indices[place + 1 :])
                text = value.text + subscript([":"] * place + [str(self.counter)])
                whole = bool(value.buffer) and place == 0
                value = (
                    self.row(text, value.buffer, left, "", "", whole, value.kind)
                    if left
                    else Value(text, (), value.kind)
                )
            self.values.tensors[name] = (value, rest)
            self.values.shapes[name] = tuple(i.size for i in rest)
            self.read[tensor, axis] = name
        return self.read[tensor, axis]

    def row(
        self,
        text: str,
        of: str,
        indices: tuple[Index, ...],
        tensor: str,
        suffix: str,
        whole: bool,
        kind: str = "real",
    ) -> Value:
        """A step's part of an array: by a name where it is one block of memory."""
        if not indices or not whole:
            return Value(text, indices, kind)
        tensor = tensor or self.code.buffers[of].label or of.lstrip("_0123456789")
        label = "_".join(x for x in (tensor, suffix, self.name) if x) if tensor else ""
        out = self.code.array(indices, kind, label=label, of=of)
        buffer = self.code.buffers[out.buffer]
        self.code.buffers[out.buffer] = replace(buffer, local=True)
        self.bind(out.buffer, text)
        return out

    def bind(self, name: str, text: str) -> None:
        self.bindings.append(
            Statement(
                name,
                f"{{{name}}} = {text}",
                origin=self.code.origin,
                binds=True,
                loop=self.code.loop,
            )
        )

    def kept(self, m: Member, value: Value) -> Value:
        """The value of a member, in its row where it has one."""
        e = m.equation
        if m.storage and self.code.buffers[m.storage].kind == "real":
            value = self.values.real(value)
        if not m.rest:
            value = self.scalar(e.target, value)
            if m.storage:
                self.code.statements.append(
                    Statement(
                        m.storage,
                        "",
                        f"{m.row} = {value.text}",
                        origin=self.code.origin,
                        update=True,
                        loop=self.code.loop,
                    )
                )
            return value
        label = f"{e.target}_{self.name}"
        own = self.is_own(value, m.rest)
        if not m.storage:
            if not own and not m.last:
                return value
            if not own:
                value = self.copied(value, m.rest)
            if not e.origin or e.origin == e.target:
                buffer = self.code.buffers[value.buffer]
                self.code.buffers[value.buffer] = replace(buffer, label=label)
            return value
        if not own:
            value = self.copied(value, m.rest)
        buffer = self.code.buffers[value.buffer]
        self.code.buffers[value.buffer] = replace(
            buffer, label=label, of=m.storage, local=True, stored=False
        )
        self.bind(value.buffer, m.row)
        return value

    def is_own(self, value: Value, indices: tuple[Index, ...], begin: int = -1) -> bool:
        """Whether a value is an array made for it at this step, or since a statement of it."""
        buffer = self.code.buffers.get(value.buffer)
        if buffer is None or not buffer.anonymous or buffer.of or buffer.label:
            return False
        made = [s for s in self.code.statements[max(begin, self.begin) :] if s.out == buffer.name]
        return bool(made) and value.indices == indices and all(s.into for s in made)

    def copied(self, value: Value, indices: tuple[Index, ...]) -> Value:
        out = self.code.array(indices, "real" if not value.indices else value.kind)
        source = arranged(value, indices)
        shape = ", ".join(size_text(i.size) for i in indices) + "," * (len(indices) == 1)
        made = f"np.broadcast_to({source}, ({shape})).copy()"
        return self.code.emit(
            out, f"{{out}} = {made}", f"np.copyto({{out}}, {source})", operations=S.Zero
        )

    def scalar(self, target: str, value: Value) -> Value:
        out = self.code.array((), value.kind, label=f"{target}_{self.name}")
        return self.code.emit(out, f"{{out}} = {value.text}", "", operations=S.Zero)


def _now(tensor: str) -> str:
    return f"{tensor}@"


def _before(tensor: str) -> str:
    return f"{tensor}@before"


def _all(tensor: str) -> str:
    return f"{tensor}@all"
