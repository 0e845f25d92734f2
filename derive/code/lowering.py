"""Equations to statements of NumPy.

    z[n,j] = sum[i](x[n,i]*W[i,j])        ->    np.matmul(x, W)               contraction
    a[n,j] = exp(z[n,j]) / s[n]           ->    np.exp(z), np.divide(...)     elementwise
    m[n]   = max[j](z[n,j])               ->    np.maximum.reduce(z, axis=1)
    b[j,i] = a[i,j]                       ->    a.T, no statement at all
    h[t,j] = tanh(h[t-1,j] + u[t,j])      ->    for t in range(T): ...            loops

What comes out are statements in the order of the equations, each buffer computed once. A tensor
that is a view of another, or does not vary along an axis, is not stored unless it is a result.
"""

from __future__ import annotations

import keyword
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from sympy import Expr, Mul, Pow, S, cosh, exp, log, sinh, tan

from derive.code import extrema, stages
from derive.code.accumulation import accumulated
from derive.code.contraction import reduced, scaled, summed
from derive.code.elementwise import Elementwise
from derive.code.hoisting import hoisted
from derive.code.joined_factors import joined
from derive.code.layout import AS_WRITTEN, Layout, as_written, frames, roles
from derive.code.liveness import alive
from derive.code.loops import Loops
from derive.code.placement import placed
from derive.code.stacking import stacked
from derive.code.statements import LEADING, Buffer, Code, Lowered, Value, size_text
from derive.code.views import arranged, merged, shape_text, transposition
from derive.code.window_products import convolution
from derive.gradients.normal_form import conditions_inside, fresh, needed, pruned
from derive.language import scans
from derive.language.functions import Named, and_, mod
from derive.language.notation import (
    Access,
    Equation,
    Index,
    Program,
    Reduce,
    accesses,
    indices,
    size,
)
from derive.language.text_printer import text

BATCH = size("N")  # the size of the axis of a batch, in networks

# What the lines of a module may call, or have as names of their own.
RESERVED = frozenset((LEADING, "np", "math", "dtype", "ws", "_empty", "coefficient"))
RESERVED |= {"arrays", "cotangent", "direction", "grads"}
RESERVED |= {"range", "abs", "max", "min", "round", "bool", "float", "tuple", "len", "ValueError"}


def lower(
    program: Program,
    results: Iterable[str] = (),
    layout: Layout = AS_WRITTEN,
    free: Collection[str] = (),
) -> Lowered:
    """The statements that compute `results` (default: those of the program) from the inputs.

    `program` is in normal form, and stable. Equations that no result needs are left out. `layout`
    is the order of axes in memory; of inputs and results only those that are `free` follow it.
    """
    (only,) = arrangements(program, results, [(layout, free)])
    return only.lowered()


Choice = tuple[Layout, Collection[str]]


@dataclass(frozen=True)
class Arrangement:
    """A program as it is lowered, and the order in memory of the axes of each of its tensors.

    `fixed` are the results that have their axes in the order in which they are written; `choice`
    is the layout, and what is free to follow it.
    """

    choice: Choice
    program: Program
    frames: Mapping[str, tuple[Index, ...]]
    fixed: frozenset[str]

    def lowered(self) -> Lowered:
        """The program's statements."""
        return _Lowering(self).run()


def arrangements(
    program: Program,
    results: Iterable[str],
    choices: Iterable[Choice],
) -> tuple[Arrangement, ...]:
    """The program in several layouts, each with what is free to follow it; no two are the same.

    Statements depend on nothing else, so that layouts which arrange alike need not be compared.
    """
    wanted = needed(program, tuple(results) or program.results or (program.result,))
    program = hoisted(joined(stacked(wanted)))
    parts = cache(lambda: roles(program, BATCH))
    inputs = {t.name for t in program.inputs}
    found: dict[Any, Arrangement] = {}
    for layout, free in choices:
        fixed = {*program.results, *inputs} - set(free)
        order = frames(program, parts(), layout, fixed) if layout else as_written(program)
        own = frozenset(fixed - inputs)
        arranged = Arrangement((layout, free), program, order, own)
        found.setdefault((own, *order.values()), arranged)
    return tuple(found.values())


class _Lowering:
    def __init__(self, arranged: Arrangement) -> None:
        program = arranged.program
        self.program, self.fixed, self.frames = program, arranged.fixed, arranged.frames
        self.results = frozenset(program.results)
        self.code = Code()
        self.values = Elementwise(self.code, dict(program.sizes))
        self.names: dict[str, str] = {}
        self.zeros = {s: S.Zero for s, e in program.sizes if e == 0}
        lengths = {i.size for e in program.equations for i in (*indices(e.body), *e.indices)}
        lengths |= {i.size for t in program.inputs for i in t.axes}
        self.taken = {str(s) for n in lengths for s in n.free_symbols}
        self.taken |= {str(s) for s, _ in program.sizes} | RESERVED
        self.positions = _positions(program)
        self.loops = Loops(self.values, program, self.computed, self.taken, self.frames)

    def run(self) -> Lowered:
        for tensor in self.program.inputs:
            order = self.frames[tensor.name]
            name = tensor.name if order == tensor.axes else f"{tensor.name}_laid"
            value = self.code.array(order, tensor.kind, self.named(tensor.name, name))
            self.values.tensors[tensor.name] = (value, tensor.axes)
            self.values.shapes[tensor.name] = tuple(i.size for i in tensor.axes)
        for group in scans.groups(self.program.equations):
            if scans.recurrence(group) is None:
                for equation in group:
                    self.equation(equation)
                continue
            self.loops.lower(group)
            for equation in group:
                if equation.target in self.results:
                    self.result(equation)
        return self.finished()

    def named(self, tensor: str, name: str = "") -> str:
        """A tensor's name in Python: its own, unless a size or a word of the module has that."""
        self.names[tensor] = fresh(_identifier(name or tensor), self.taken)
        return self.names[tensor]

    def equation(self, e: Equation) -> None:
        self.code.origin = e.origin or e.target
        body = self.loops.rewritten(e.body)
        value = self.computed(e if body is e.body else replace(e, body=body))
        stored = e.target in self.results
        auxiliary = e.origin not in ("", e.target) and not stored
        if stored and value.indices and e.reduction not in ("argmax", "argmin"):
            value = self.values.real(value)
        buffer = self.code.buffers.get(value.buffer)
        if not e.indices:
            value = self.scalar(e.target, value)
        elif buffer and buffer.anonymous and self.is_laid_out(value, e):
            if not auxiliary:
                self.claim(buffer, e.target)
        elif stored:
            value = self.copied(e, value)
        self.values.tensors[e.target] = (value, e.indices)
        self.values.shapes[e.target] = tuple(i.size for i in e.indices)
        if e.reduction in ("argmax", "argmin"):
            self.values.positions[e.target] = Mul(*(i.size for i in e.bound))

    def is_laid_out(self, value: Value, e: Equation) -> bool:
        """Whether an array has the tensor's axes: in their order, where it is a fixed result."""
        if e.target in self.fixed or len(set(value.indices)) < len(value.indices):
            return value.indices == e.indices
        return set(value.indices) == set(e.indices)

    def computed(self, e: Equation) -> Value:
        """The value of an equation's body."""
        # `0*J + j` reads the first block of J: its offset is written as a size of value 0.
        e = replace(e, body=e.body.xreplace(self.zeros)) if self.zeros else e
        self.values.exact = e.target in self.positions
        self.values.frame = self.loops.frame(e)
        value = (
            placed(self.values, e)
            or stages.routed(self.values, e)
            or convolution(self.values, e)
            or accumulated(self.values, e)
        )
        if value is None:
            value = self.reduction(e) if e.reduction else self.values.value(e.body)
        return value

    def result(self, e: Equation) -> None:
        """A member of a scan as a result: its array, where its axes are in order there."""
        self.code.origin = e.origin or e.target
        value, _ = self.values.tensors[e.target]
        buffer = self.code.buffers[value.buffer]
        if self.is_laid_out(value, e) and not buffer.of:
            self.claim(buffer, e.target)
        else:
            self.values.tensors[e.target] = (self.copied(e, value), e.indices)

    def claim(self, buffer: Buffer, target: str) -> None:
        """Let an anonymous buffer be the target's."""
        self.code.buffers[buffer.name] = replace(buffer, anonymous=False)
        self.names[target] = buffer.name

    def scalar(self, target: str, value: Value) -> Value:
        """A name for a scalar, unless it is one already."""
        buffer = self.code.buffers.get(value.buffer)
        if buffer and buffer.anonymous:
            self.claim(buffer, target)
            return value
        if value.kind in ("count", "number") and target not in self.results:
            return value
        value = self.values.real(value) if value.kind == "boolean" else value
        out = self.code.array((), value.kind, self.named(target))
        return self.code.emit(out, f"{{out}} = {value.text}", "", operations=S.Zero)

    def copied(self, e: Equation, value: Value) -> Value:
        """The value in a new array of the target's axes."""
        value = self.values.real(value)
        own = e.indices
        if e.target not in self.fixed:
            own = tuple(i for i in self.loops.frame(e) if i in e.indices)
        out = self.code.array(own, value.kind if value.indices else "real", self.named(e.target))
        source = arranged(value, own)
        shape = shape_text(i.size for i in own)
        if not value.indices:
            made = f"np.full({shape}, {source}, dtype)"
        elif set(value.indices) == set(e.indices):
            made = f"{source}.copy()"
        else:
            made = f"np.broadcast_to({source}, {shape}).copy()"
        return self.code.emit(
            out, f"{{out}} = {made}", f"np.copyto({{out}}, {source})", operations=S.Zero
        )

    # Reductions

    def reduction(self, e: Equation) -> Value:
        """The value of an equation that reduces, over the target's indices or some of them."""
        values = self.values
        if e.guard != 1:
            guard = pruned(e.guard, values.sizes)
            e = replace(e, body=Reduce(e.body.op, e.term, e.bound, guard))
        if e.guard == 0:
            return self.nothing(e)
        conditions = _conjuncts(e.guard)
        guarded, values.guarded = values.guarded, bool(conditions)
        try:
            match e.reduction:
                case "sum":
                    return self.sum(e.term, e.bound, conditions)
                case "mean":
                    size = Mul(*(i.size for i in e.bound))
                    return self.sum(e.term / size, e.bound, conditions)
                case "max":
                    return self.extremum("maximum", "-np.inf", e)
                case "min":
                    return self.extremum("minimum", "np.inf", e)
                case "prod":
                    return self.product(e)
                case "argmax" | "argmin":
                    return self.argument(e)
        finally:
            values.guarded = guarded
        raise NotImplementedError(f"no NumPy for the reduction {e.reduction}")

    def nothing(self, e: Equation) -> Value:
        """The value of a reduction without any term."""
        if e.reduction in ("sum", "mean", "prod"):
            return Value(str(int(e.reduction == "prod")), kind="count")
        self.code.check(f"_check_terms(False, {text(e.access)!r})")
        return Value("np.nan", kind="number")

    def sum(self, term: Expr, bound: tuple[Index, ...], conditions: tuple[Expr, ...]) -> Value:
        if found := stages.added(self.values, term, bound, conditions):
            return found
        if not conditions:
            return summed(self.values, term, bound)
        if term.has(exp, log, tan, sinh, cosh, mod, Named, *_quotients(term)):
            # Where a condition fails the term may overflow: it is left out, not multiplied by 0.
            chosen = self.left_out(term, and_(*conditions), "0")
            absent = Mul(*(i.size for i in bound if i not in chosen.indices))
            return scaled(self.values, reduced(self.values, "add", chosen, bound), absent)
        # Padding is 0, and so is a product with a factor that reads it.
        padded = {
            c
            for a in Mul.make_args(term)
            if isinstance(a, Access) and self.pads(a)
            for x, n in zip(a.indices, self.values.shapes[a.tensor], strict=True)
            for c in conditions_inside(x, n, self.values.sizes)
        }
        conditions = tuple(c for c in conditions if c not in padded)
        return summed(self.values, term, bound, conditions)

    def pads(self, a: Access) -> bool:
        """Whether an access under a guard is read from a padded copy."""
        value, axes = self.values.tensors[a.tensor]
        if value.indices != axes or not value.buffer:
            return False
        return self.values.padded(value, a.indices, self.values.shapes[a.tensor]) is not None

    def left_out(self, term: Expr, guard: Expr, neutral: str) -> Value:
        """where(guard, term, neutral), whatever the term is where the guard fails."""
        if guard == 1:
            return self.values.value(term)
        self.code.quiet = True
        value = self.values.value(term)
        self.code.quiet = False
        mask = self.values.condition(guard)
        return self.values.select(mask, value, Value(neutral, kind="number"))

    def extremum(self, function: str, neutral: str, e: Equation) -> Value:
        if e.guard != 1:
            mask = self.values.condition(e.guard)
            axes = tuple(k for k, i in enumerate(mask.indices) if i in e.bound)
            some = f"{mask.text}.any(axis={axes})" if axes else mask.text
            self.code.check(f"_check_terms({some}, {text(e.access)!r})")
        if found := stages.extremum(self.values, function, neutral, e):
            return found
        value = self.values.real(self.chosen(e, neutral))
        if found := extrema.extremum(self.values, function, value, *self.divided(e, value)):
            return found
        return reduced(self.values, function, value, e.bound)

    def divided(self, e: Equation, value: Value) -> tuple[tuple[Index, ...], tuple[Index, ...]]:
        """The indices that a reduction leaves of a value, and its own."""
        return tuple(i for i in e.indices if i in value.indices), e.bound

    def chosen(self, e: Equation, neutral: str) -> Value:
        """The term where the guard holds, else what loses against every other term."""
        if e.guard == 1 or not isinstance(e.term, Access):
            return self.left_out(e.term, e.guard, neutral)
        inside = {
            c
            for x, n in zip(e.term.indices, self.values.shapes[e.term.tensor], strict=True)
            for c in conditions_inside(x, n, self.values.sizes)
        }
        self.values.padding = neutral
        padded = self.pads(e.term)
        guard = and_(*(c for c in _conjuncts(e.guard) if not (padded and c in inside)))
        value = self.left_out(e.term, guard, neutral)
        self.values.padding = "0"
        return value

    def product(self, e: Equation) -> Value:
        value = self.values.real(self.left_out(e.term, e.guard, "1"))
        times = Mul(*(i.size for i in e.bound if i not in value.indices))
        value = reduced(self.values, "multiply", value, e.bound)
        return value if times == 1 else self.values.apply("power", value, self.values.value(times))

    def argument(self, e: Equation) -> Value:
        """The position of the first extremum among the points of the bound ranges."""
        neutral = "-np.inf" if e.reduction == "argmax" else "np.inf"
        function = "maximum" if e.reduction == "argmax" else "minimum"
        if staged := stages.staged(self.values, function, neutral, e):
            self.values.routes[e.target] = staged
        value = self.chosen(e, neutral)
        if found := extrema.argument(self.values, function, value, *self.divided(e, value)):
            return found
        whole = (*(i for i in e.indices if i in value.indices), *e.bound)
        kept = whole[: len(whole) - len(e.bound)]
        groups = (*((i,) for i in kept), e.bound)
        if value.indices != whole or merged(value, groups) is None:
            missing = set(whole) != set(value.indices)
            source = arranged(value, whole)
            shape = shape_text(i.size for i in whole)
            made = f"np.broadcast_to({source}, {shape}).copy()" if missing else f"{source}.copy()"
            out = self.code.array(whole, value.kind if value.indices else "real")
            value = self.code.emit(out, f"{{out}} = {made}", f"np.copyto({{out}}, {source})")
        whole_text = merged(value, groups)
        out = self.code.array(kept, "integer")
        axis = f", axis={len(kept)}" if kept else ""
        return self.code.call(
            f"np.{e.reduction}", f"{whole_text}{axis}", out, operations=value.elements
        )

    # The whole

    def finished(self) -> Lowered:
        """Everything that the results need, under the names that Python shall see."""
        results = {self.names[t] for t in self.results}
        kept, wanted = alive(self.code.statements, self.code.buffers, results)
        renamed = {
            b: fresh(_identifier(t), self.taken) for t, b in self.names.items() if b[0] == "_"
        }
        used = {*wanted, *(self.names[t.name] for t in self.program.inputs)}
        buffers = tuple(
            replace(b, name=renamed.get(b.name, b.name), of=renamed.get(b.of, b.of))
            if b.name in renamed or b.of in renamed
            else b
            for b in self.code.buffers.values()
            if b.name in used
        )
        for b in self.code.buffers:
            renamed.setdefault(b, b)
        texts = {b: f"{{{name}}}" for b, name in renamed.items()}
        statements = tuple(
            replace(
                s,
                out=renamed.get(s.out, ""),
                fresh=s.fresh.format_map(texts),
                into=s.into.format_map(texts),
                overwrites=tuple(renamed[b] for b in s.overwrites),
            )
            for s in kept
        )
        return Lowered(
            inputs=self.program.inputs,
            results=self.program.results,
            buffers=buffers,
            statements=statements,
            names={t: renamed[b] for t, b in self.names.items() if b in used},
            sizes=tuple((s, size_text(e)) for s, e in self.program.sizes),
            turned=tuple((t, way) for t in self.names if (way := self.turned(t))),
        )

    def turned(self, tensor: str) -> str:
        """What brings a tensor's array from its order in memory to that of its axes."""
        value, axes = self.values.tensors.get(tensor, (None, ()))
        kept = value is not None and set(value.indices) == set(axes)
        return transposition(value.indices, axes) if value and kept else ""


def _identifier(tensor: str) -> str:
    """A tensor's name in Python; those that begin with `_` are the module's and lowering's own."""
    return f"t{tensor}" if tensor[0] == "_" else tensor + "_" * keyword.iskeyword(tensor)


def _positions(program: Program) -> set[str]:
    """The tensors that stand in an index, or that such a tensor is computed from."""
    found: set[str] = set()
    for e in reversed(program.equations):
        for a in accesses(e.body):
            places = (x for x in a.indices if not isinstance(x, Index))
            found |= {b.tensor for x in places for b in accesses(x)}
            found |= {a.tensor} if e.target in found else set()
    return found


def _conjuncts(guard: Expr) -> tuple[Expr, ...]:
    """The conditions that a guard joins."""
    return guard.args if isinstance(guard, and_) else (guard,) * (guard != 1)


def _quotients(term: Expr) -> Iterable[Expr]:
    """The powers of a term that need not be finite: divisions and roots."""
    powers = (p for p in term.atoms(Pow) if p.has(Index, Access))
    return [p for p in powers if not (p.exp.is_nonnegative and p.exp.is_integer)]
