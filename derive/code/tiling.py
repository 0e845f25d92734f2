"""Elementwise statements over the same large arrays as one loop over tiles that stay in the cache.

    np.multiply({z}, {z}, out={t_1})           for {z}, {a}, {t} in {a_tiles}:
    np.add({t_1}, {b}[:, None], out={t_1})  ->     np.multiply({z}, {z}, out={t})
    np.multiply({t_1}, {z}, out={a})               ...

Exact, because each element is computed from the elements at its own place, in the same order of
statements; what a loop writes it reads at no other place. An array that nothing but the loop needs
is as large as one tile. Where arrays are small the list has one tile: that costs nothing.
"""

from __future__ import annotations

import ast
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from string import ascii_lowercase

import numpy as np
from sympy import Add, Expr, Max, Min, Mul, S, Symbol

from derive.code.array_forms import Forms, Parsed, buffer_of, buffers_in, parsed
from derive.code.liveness import viewed
from derive.code.scheduling import Part, Schedule, Slot, places
from derive.code.statements import DTYPES, Buffer, Loop, Statement, fields, size_text
from derive.code.views import estimate, shape_text
from derive.gradients.normal_form import fresh as fresh_name

TILE = 2**15  # elements of a tile; below, calls take longer than work
MOST = Symbol("TILE", integer=True, positive=True)  # that number, as sizes name it
LARGE = 2**20  # bytes of the arrays of a loop; what is smaller stays in the cache as it is
ITEM = 4  # bytes of an element, to estimate by
HELD_BACK = 8  # statements that a loop may overtake
LOCAL = frozenset(("l", "ws", "N", "dtype", "np", "math"))  # names that a function has otherwise


@dataclass(frozen=True)
class Operand:
    """An array of a statement: a `whole` one has all elements of its buffer, in their order.

    `own`: the statement touches each element at its own place alone.
    """

    text: str
    buffer: str
    shape: tuple[Expr, ...]
    whole: bool
    memory: Part
    own: bool = False


@dataclass(frozen=True)
class Pass:
    """A statement that computes each element of `shape` for itself; where its operands stand."""

    statement: Statement
    tree: Parsed
    shape: tuple[Expr, ...]
    count: Expr  # of elements
    operands: tuple[tuple[ast.expr, Operand], ...]
    written: tuple[Part, ...]

    @cached_property
    def flat(self) -> bool:
        """Whether all operands are whole arrays of this many elements."""
        return all(o.own for _, o in self.operands)

    def keeps_to_itself(self, other: Pass) -> bool:
        """Whether what it writes the other one touches at the same places alone."""
        return not any(
            w.meets(o.memory) and not (o.own and w == o.memory)
            for w in self.written
            for _, o in other.operands
        )


@dataclass(frozen=True)
class Step:
    """A statement, as a pass where it is one, and the memory that it touches and changes."""

    statement: Statement
    touched: tuple[Part, ...]
    changed: tuple[Part, ...]
    own: Pass | None


def tiled(
    schedule: Schedule,
    sections: Iterable[int],
    results: Collection[str],
    sizes: Mapping[Symbol, int],
    late: Collection[str] = (),
) -> Schedule:
    """The schedule of a workspace, with loops over tiles where they save time.

    `sections` are the lengths of the functions that its statements are divided into: no loop goes
    beyond one. `results` are tensors that are read from without, `late` those whose arrays are
    there only after the setup; `sizes` are typical ones to choose by.
    """
    tiling = _Tiling(
        schedule,
        {schedule.names[t] for t in results if t in schedule.names},
        sizes,
        {schedule.names[t] for t in late if t in schedule.names},
    )
    statements: list[Statement] = []
    start = 0
    for length in sections:
        statements += tiling.section(schedule.statements[start : start + length])
        start += length
    return tiling.finished((*statements, *schedule.statements[start:]))


class _Tiling:
    def __init__(
        self,
        schedule: Schedule,
        results: set[str],
        sizes: Mapping[Symbol, int],
        late: set[str],
    ) -> None:
        self.schedule = schedule
        self.buffers = {b.name: b for b in schedule.buffers}
        self.results = results
        self.sizes = {s: S(n) for s, n in sizes.items()}
        self.late = late
        lengths = {size for b in schedule.buffers for size in b.shape}
        symbols = {s.name: s for size in lengths for s in size.free_symbols}
        self.forms = Forms(self.buffers, symbols)
        self.places = places(schedule.slots, {b.name: b.shape for b in schedule.buffers})
        everything = (*schedule.statements, *schedule.setup, *schedule.checks)
        self.uses = Counter(b for s in everything for b in {*fields(s.text), s.out})
        self.taken = {*self.buffers, *symbols}
        self.setup: list[Statement] = []
        self.scratch: dict[str, list[Expr]] = {}  # what each piece of scratch has to hold
        self.within: set[str] = set()  # buffers that are nowhere but in a loop
        self.loops = 0
        self.saved: list[Expr] = []  # elements that a loop does not move again

    def memory(self, name: str) -> Part:
        base = viewed(name, self.buffers)
        return self.places.get(base, Part(base))

    # Runs

    def section(self, statements: Iterable[Statement]) -> Iterator[Statement]:
        """The statements of a function, runs of passes as loops."""
        left = deque(map(self.step, statements))
        while left:
            run, behind = self.run(left)
            if self.worthwhile(run):
                yield from self.looped(run)
                for _ in range(len(run) + len(behind)):
                    left.popleft()
                left.extendleft(reversed(behind))
            else:
                yield left.popleft().statement

    def run(self, steps: Iterable[Step]) -> tuple[list[Pass], list[Step]]:
        """The passes that make a loop with the first one, and the others up to there, after it."""
        run: list[Pass] = []
        behind: list[Step] = []
        end = 0  # of what the loop overtakes
        for step in steps:
            if step.own and (not run or self.joins(step, run, behind)):
                run.append(step.own)
                end = len(behind)
            elif run and _may_wait(step.statement) and len(behind) - end < HELD_BACK:
                behind.append(step)
            else:
                break
        return run, behind

    def step(self, s: Statement) -> Step:
        touched = tuple(map(self.memory, fields(s.text)))
        changed = (self.memory(s.out),) if s.out else ()
        return Step(s, touched, changed, self.pass_of(s))

    def pass_of(self, s: Statement) -> Pass | None:
        """What an elementwise statement is made of, None for another statement."""
        if s.loop or s.binds or s.quiet or s.fresh or not s.out:
            return None
        tree = parsed(s.into)
        calls = [*_calls(tree.tree.body)] if tree else []
        if tree is None or None in calls:
            return None
        operands: list[tuple[ast.expr, Operand]] = []
        shapes = []
        written = []
        for call in calls:
            assert call is not None
            out, others = call
            for node in (out, *others):
                name = buffer_of(node)
                if not (self.buffers[name].shape if name else buffers_in(node)):
                    continue  # a scalar
                operand = self.operand(node, tree)
                if operand is None:
                    return None
                operands.append((node, operand))
                if node is out:
                    shapes.append(operand.shape)
                    written.append(operand.memory)
        first, *rest = shapes
        if any(not _same(shape, first) for shape in rest):
            return None
        if not all(_fits(o.shape, first) for _, o in operands):
            return None
        known = tuple(
            (node, replace(o, own=True) if o.whole and _same(o.shape, first) else o)
            for node, o in operands
        )
        found = Pass(s, tree, first, _count(first), known, tuple(written))
        return found if found.keeps_to_itself(found) else None

    def operand(self, node: ast.expr, tree: Parsed) -> Operand | None:
        """An array that is there when the setup is done: a view, or a whole buffer."""
        view = self.forms.view(node)
        if view is None or view.buffer in self.late or self.buffers[view.buffer].local:
            return None
        inner = node
        if isinstance(node, ast.Subscript) and all(map(_is_wide, _places(node))):
            inner = node.value
        base = self.forms.view(inner)
        size = Mul(*self.buffers[view.buffer].shape)
        whole = base is not None and base.order == "C" and _same((Mul(*base.shape),), (size,))
        whole &= not self.buffers[view.buffer].of
        memory = self.memory(view.buffer)
        return Operand(tree.text(node), view.buffer, view.shape, whole, memory)

    def joins(self, step: Step, run: Sequence[Pass], behind: Sequence[Step]) -> bool:
        """Whether a pass may be the next one of a run, ahead of what stands between."""
        p = step.own
        if p is None or p.count != run[0].count:
            return False
        if not p.flat and any(not q.flat and not _same(p.shape, q.shape) for q in run):
            return False
        if behind and not any(o.memory in step.touched for q in run for _, o in q.operands):
            return False
        if any(_meet(step.touched, s.changed) or _meet(p.written, s.touched) for s in behind):
            return False
        return all(p.keeps_to_itself(q) and q.keeps_to_itself(p) for q in run)

    def worthwhile(self, run: Sequence[Pass]) -> bool:
        """Whether arrays are read or written again, and are large altogether."""
        each = [{o.memory for _, o in p.operands if _same(o.shape, p.shape)} for p in run]
        together = set().union(*each)
        again = sum(map(len, each)) > len(together)
        return again and ITEM * self.number(run[0].count) * len(together) >= LARGE

    def number(self, count: Expr) -> float:
        """How many a size is, about."""
        return estimate(count.xreplace(self.sizes))

    # Loops

    def looped(self, run: Sequence[Pass]) -> Iterator[Statement]:
        """A run as a loop over tiles, and the list of these in the setup."""
        name = self.named(run)
        shape, groups = self.merged(run)
        inside = self.inside(run)
        locals_: dict[tuple[str | Part, str], str] = {}  # the name in the loop of each array
        arrays: dict[str, str] = {}  # by that: what it is a tile of
        pieces: dict[str, str] = {}  # or which kind of scratch
        used = set(LOCAL)
        statements = []
        for p in run:
            places = []
            out = ""
            for node, o in p.operands:
                alone = o.buffer in inside
                whole = "" if alone else self.whole(o, p, run, groups)
                key = (self.places[o.buffer] if alone else o.buffer, whole)
                if key not in locals_:
                    label = fresh_name(o.buffer, used)
                    used.add(label)
                    own = fresh_name(f"{label}_of_{name}", self.taken)
                    self.taken.add(own)
                    kind = self.buffers[o.buffer].kind
                    self.buffers[own] = Buffer(own, shape, kind, label=label, local=True)
                    locals_[key] = own
                    if alone:
                        pieces[own] = kind
                    else:
                        arrays[own] = whole
                places.append((node, f"{{{locals_[key]}}}"))
                out = locals_[key] if o.buffer == p.statement.out else out
            text = p.tree.replaced(places)
            statements.append(replace(p.statement, out=out, into=text, overwrites=()))
        scratch = self.pieces(pieces.values(), Mul(*shape))
        self.within |= inside
        moved = [{*fields(p.statement.text), p.statement.out} for p in run]
        once = set().union(*moved) - inside
        again = Counter(b for buffers in moved for b in buffers) - Counter(once)
        self.saved += (n * Mul(*self.buffers[b].shape) for b, n in again.items())
        self.buffers[name] = Buffer(name, (S.One,), "tiles")
        given = [*arrays.values()]
        if scratch:
            given.append(f"scratch=({', '.join(scratch)}{',' * (len(scratch) == 1)})")
        made = f"{{{name}}} = _tiles({', '.join(given)})"
        self.setup.append(Statement(name, made, origin=run[-1].statement.origin))
        self.loops += 1
        together = ", ".join(f"{{{b}}}" for b in (*arrays, *pieces))
        alone_ = "," * (len(arrays) + len(pieces) == 1)
        head = f"for {together}{alone_} in {{{name}}}:"
        loop = Loop("", S.One, False, -self.loops, head)
        yield from (replace(s, loop=loop) for s in statements)

    def named(self, run: Sequence[Pass]) -> str:
        """The name of the list of tiles, after what the run computes last."""
        stem = f"{run[-1].statement.origin}_tiles"
        names = (stem, *(f"{stem}_{c}" for c in ascii_lowercase[1:]))
        name = next((n for n in names if n not in self.taken), None)
        name = name or fresh_name(stem, self.taken)
        self.taken.add(name)
        return name

    def inside(self, run: Sequence[Pass]) -> set[str]:
        """The buffers that nothing but this run needs, and whose memory it shares with no other.

        It writes each before it reads it, and all that read it are in the run.
        """
        uses = Counter(b for p in run for b in {*fields(p.statement.text), p.statement.out})
        first: dict[str, Statement] = {}
        for p in run:
            for b in sorted(fields(p.statement.text)):
                first.setdefault(b, p.statement)
        found = {
            b
            for b, s in first.items()
            if b in self.places
            and b not in self.results
            and uses[b] == self.uses[b]
            and s.out == b
            and b not in s.reads
        }
        others = {self.memory(b) for b in first if b not in found}
        return {b for b in found if not _meet({self.places[b]}, others)}

    def pieces(self, kinds: Iterable[str], count: Expr) -> list[str]:
        """Scratch of these kinds, which all loops share."""
        found: list[str] = []
        for kind in kinds:
            name = next(n for n in _scratch_names(kind) if f"{{{n}}}" not in found)
            if name not in self.scratch:
                self.buffers[name] = Buffer(name, (count,), kind, local=True)
                self.scratch[name] = []
            self.scratch[name].append(count)
            found.append(f"{{{name}}}")
        return found

    # Shapes

    def merged(self, run: Sequence[Pass]) -> tuple[tuple[Expr, ...], list[list[int]]]:
        """The shape that the tiles are cut from, and the axes of the run's that each stands for.

        Neighbouring axes are one where no array has one of them only.
        """
        shape = _shape(run)
        operands = [(o, p) for p in run for _, o in p.operands]
        if not all(o.whole for o, _ in operands):
            return shape, [[k] for k in range(len(shape))]
        patterns = {_pattern(o.shape, p.shape) for o, p in operands if not p.flat}
        groups = [[0]]
        for k in range(1, len(shape)):
            if all(pattern[k] == pattern[k - 1] for pattern in patterns):
                groups[-1].append(k)
            else:
                groups.append([k])
        return tuple(Mul(*(shape[k] for k in group)) for group in groups), groups

    def whole(
        self, o: Operand, p: Pass, run: Sequence[Pass], groups: Sequence[Sequence[int]]
    ) -> str:
        """An operand with as many axes as the tiles have."""
        if not o.whole:
            missing = len(_shape(run)) - len(o.shape)
            return o.text + (f"[{', '.join(['None'] * missing)}]" if missing else "")
        if len(groups) == 1:
            flat = len(self.buffers[o.buffer].shape) == 1
            return f"{{{o.buffer}}}" + ".reshape(-1)" * (not flat)
        shape = _shape(run) if p.flat else (S.One,) * (len(p.shape) - len(o.shape)) + o.shape
        merged = tuple(Mul(*(shape[k] for k in group)) for group in groups)
        if _same(merged, self.buffers[o.buffer].shape):
            return f"{{{o.buffer}}}"
        return f"{{{o.buffer}}}.reshape{shape_text(merged)}"

    # The whole

    def finished(self, statements: tuple[Statement, ...]) -> Schedule:
        if not self.loops:
            return self.schedule
        for name, counts in self.scratch.items():
            size = Min(MOST, Max(*counts))
            self.buffers[name] = replace(self.buffers[name], shape=(size,))
        made = [
            Statement(
                name,
                f"{{{name}}} = _empty({size_text(Min(MOST, Max(*counts)))}, "
                f"{DTYPES[self.buffers[name].kind]})",
            )
            for name, counts in self.scratch.items()
        ]
        buffers = tuple(b for n, b in self.buffers.items() if n not in self.within)
        return replace(
            self.schedule,
            buffers=buffers,
            statements=statements,
            setup=(*self.schedule.setup, *made, *self.setup),
            slots=tuple(self.shrunk()),
            elements=self.schedule.elements - Add(*self.saved),
        )

    def shrunk(self) -> Iterator[Slot]:
        """The slots without the buffers that are nowhere but in a loop."""
        for slot in self.schedule.slots:
            rows = zip(slot.buffers, slot.starts, slot.chains, strict=True)
            left = [row for row in rows if row[0] not in self.within]
            if len(left) == len(slot.buffers):
                yield slot
            elif left:
                names, starts, chains = zip(*left, strict=True)
                ends = [start + Mul(*self.buffers[b].shape) for b, start, _ in left]
                size = _largest(ends) or slot.size
                yield replace(slot, buffers=names, starts=starts, chains=chains, size=size)


def _meet(some: Iterable[Part], others: Collection[Part]) -> bool:
    return any(a.meets(b) for a in some for b in others)


def _may_wait(s: Statement) -> bool:
    """Whether a statement does no more than to write into its array."""
    return bool(s.out and s.into) and not (s.fresh or s.loop or s.binds or s.quiet)


def _shape(run: Sequence[Pass]) -> tuple[Expr, ...]:
    """The axes that all passes of a run have."""
    return next((p.shape for p in run if not p.flat), run[0].shape)


def _scratch_names(kind: str) -> Iterator[str]:
    stem = {"real": "scratch", "boolean": "mask", "integer": "places"}[kind]
    for a in ("", *ascii_lowercase):
        yield from (f"{stem}_{a}{b}" for b in ascii_lowercase)


def _calls(body: Iterable[ast.stmt]) -> Iterator[tuple[ast.expr, list[ast.expr]] | None]:
    """Where each elementwise call writes to, and what it reads; None for anything else."""
    for statement in body:
        match statement:
            case ast.For(target=ast.Name(), iter=ast.Tuple(), body=inner, orelse=[]):
                yield from _calls(inner)
            case ast.Expr(
                value=ast.Call(
                    func=ast.Attribute(value=ast.Name("np"), attr="copyto"),
                    args=[out, source],
                    keywords=keywords,
                )
            ) if all(k.arg == "where" for k in keywords):
                yield out, [source, *(k.value for k in keywords)]
            case ast.Expr(
                value=ast.Call(
                    func=ast.Attribute(value=ast.Name("np"), attr=attr),
                    args=args,
                    keywords=[ast.keyword(arg="out", value=out)],
                )
            ) if _is_elementwise(attr, len(args)):
                yield out, args
            case _:
                yield None


def _is_elementwise(name: str, arguments: int) -> bool:
    function = getattr(np, name, None)
    return (
        isinstance(function, np.ufunc)
        and function.signature is None
        and (function.nin, function.nout) == (arguments, 1)
    )


def _places(node: ast.Subscript) -> list[ast.expr]:
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]


def _is_wide(place: ast.expr) -> bool:
    """`:` or `None`"""
    match place:
        case ast.Slice(lower=None, upper=None, step=None) | ast.Constant(value=None):
            return True
    return False


def _count(shape: tuple[Expr, ...]) -> Expr:
    """How many elements an array of this shape has."""
    return Mul(*shape).expand()


def _same(a: tuple[Expr, ...], b: tuple[Expr, ...]) -> bool:
    return a == b or (
        len(a) == len(b) and all(x == y or (x - y).expand() == 0 for x, y in zip(a, b, strict=True))
    )


def _fits(shape: tuple[Expr, ...], whole: tuple[Expr, ...]) -> bool:
    """Whether an array of this shape broadcasts to the whole."""
    if len(shape) > len(whole):
        return False
    end = whole[len(whole) - len(shape) :]
    return all(x == 1 or _same((x,), (y,)) for x, y in zip(shape, end, strict=True))


def _pattern(shape: tuple[Expr, ...], whole: tuple[Expr, ...]) -> tuple[bool, ...]:
    """For each axis of the whole whether an array has it."""
    missing = len(whole) - len(shape)
    return (False,) * missing + tuple(
        x != 1 or y == 1 for x, y in zip(shape, whole[missing:], strict=True)
    )


def _largest(counts: Sequence[Expr]) -> Expr | None:
    """The largest of some sizes, whatever is in them; None if that depends on it."""
    for a in counts:
        terms = ((a - b).expand().as_coefficients_dict().values() for b in counts)
        if all(c >= 0 for coefficients in terms for c in coefficients):
            return a
    return None
