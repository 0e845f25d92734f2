"""One step of a scan: its equations lowered with the step's index being a number.

What is read at a step is a row of an array, named before the step; what is read at the step before
is a row of that array too, or the other one of a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sympy import Add, Expr, Mul, S, Symbol

from derive.code.elementwise import Elementwise
from derive.code.placement import places, put
from derive.code.statements import Statement, Value, size_text
from derive.code.views import arranged, subscript
from derive.gradients.blocks import Block
from derive.language.functions import eq
from derive.language.notation import Access, Equation, Index, Program, Recurrence, Reduce, accesses

# What marks a loop's counter in a text until the loop is done; no name has it.
COUNTER = "\x03"


@dataclass(frozen=True)
class Member:
    """An equation of a scan, and how its values are kept: the text of the row of a step, of the
    row of the step before and of the initial value, each "" where there is none. `rest` are the
    axes of a row as they are written, `order` as they lie in memory.
    """

    equation: Equation
    axis: int
    rest: tuple[Index, ...]
    order: tuple[Index, ...]
    storage: str = ""
    row: str = ""
    before: str = ""
    start: str = ""
    whole: bool = False
    last: bool = False
    moving: tuple[Block, ...] = ()  # where other blocks of an axis stay, those that do not


class Step:
    """The equations of a scan at one step of it."""

    def __init__(
        self,
        values: Elementwise,
        program: Program,
        compute: Callable[[Equation], Value],
        members: Mapping[str, Member],
        found: Recurrence,
        counter: Symbol,
    ) -> None:
        self.values = values
        self.code = values.code
        self.program = program
        self.compute = compute
        self.members = members
        self.t, self.step, self.counter = found.index, found.step, counter
        self.name = counter.name.removeprefix(COUNTER)
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
                values.expansions,
                values.overlapped,
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
        if m.moving:
            return self.moved(m)
        body = e.body
        if isinstance(body, Reduce):
            parts = (self.at_step(x) for x in (body.term, body.guard))
            term, guard = parts
            body = Reduce(body.op, term, body.bound, guard)
        else:
            body = self.at_step(body)
        step = Equation(e.target, m.rest, body.xreplace({self.t: self.counter}), e.origin)
        value = self.kept(m, self.with_single_steps(m, step) or self.compute(step))
        self.values.tensors[now(e.target)] = (value, m.rest)
        self.values.shapes[now(e.target)] = tuple(i.size for i in m.rest)
        return value

    def moved(self, m: Member) -> Value:
        """The blocks of a member that change, beside those that stay."""
        e = m.equation
        out = self.code.array(m.order, label=f"{e.target}_{self.name}", of=m.storage)
        buffer = self.code.buffers[out.buffer]
        self.code.buffers[out.buffer] = replace(buffer, local=True)
        self.bind(out.buffer, m.row)
        for b in m.moving:
            own = tuple(b.own if i == b.axis else i for i in m.order)
            text = out.text + subscript(
                [places(b.start, b.own, b.axis) if i == b.axis else ":" for i in m.order]
            )
            self.values.frame = own
            put(self.values, self.at_step(b.term).xreplace({self.t: self.counter}), out, text, own)
        self.values.tensors[now(e.target)] = (out, m.rest)
        self.values.shapes[now(e.target)] = tuple(i.size for i in m.rest)
        return out

    def with_single_steps(self, m: Member, step: Equation) -> Value | None:
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
            read = [a for other in self.program.equations for a in accesses(other.body)]
            once = [now(a.tensor) for a in read].count(rest.tensor) == 1
            if not (once and self.is_own(value, m.order)):
                value = self.copied(value, m.order)
            begin = self.begin
        if not self.is_own(value, m.order, begin) or value.kind != "real":
            return None
        for a in single:
            condition = self.condition(a)
            assert condition is not None
            text = self.values.condition(condition).text
            addend = self.values.value(a / condition)
            source = arranged(addend, m.order) if addend.indices else addend.text
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
                return now(tensor)
            if (tensor, axis) not in self.read:
                name = f"{tensor}@{self.step}"
                suffix = "before" if self.step < 0 else "after"
                value = self.row(m.before, m.storage, m.order, tensor, suffix, m.start != "")
                self.values.tensors[name] = (value, m.rest)
                self.values.shapes[name] = tuple(i.size for i in m.rest)
                self.read[tensor, axis] = name
            return self.read[tensor, axis]
        if x != self.t:
            tensor = previous(tensor)
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
        own = self.is_own(value, m.order)
        if not m.storage:
            if not own and not m.last:
                return value
            if not own:
                value = self.copied(value, m.order)
            if not e.origin or e.origin == e.target:
                buffer = self.code.buffers[value.buffer]
                self.code.buffers[value.buffer] = replace(buffer, label=label)
            return value
        if not own:
            value = self.copied(value, m.order)
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


def now(tensor: str) -> str:
    return f"{tensor}@"


def previous(tensor: str) -> str:
    return f"{tensor}@before"


def extended(tensor: str) -> str:
    return f"{tensor}@all"
