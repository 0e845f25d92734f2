"""Recurrences as they are written: which initial line belongs to which scan, and who reads whom.

    h[t,j]  = tanh(sum[k](h[t-1,k]*U[k,j]) + u[t,j])
    h[-1,j] = h0[j]

Tensors that are computed from each other form one scan. Within it each is read at the scan's index
itself, or one step before (h[t-1], h starts at -1) or after it (h[t+1], h starts at T). All of that
is looked at before ranges are known, so that an error shows the place of the reading.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sympy import Expr

from derive.language.expressions import Read, Reader, Scope
from derive.language.lines import is_position
from derive.language.names import RECURRENCE
from derive.language.notation import Equation, Index, Recurrence, accesses
from derive.language.ranges import Ranges
from derive.language.scans import above_readers, reachable
from derive.language.source import FormulaError, Place
from derive.language.text_printer import text


@dataclass(frozen=True)
class Start:
    """The initial line of a recurrence, as it is read: each index has the size of its spelling."""

    line: int
    axis: int
    index: Index
    position: Expr  # -1, or a size, or a number that must turn out to be it
    place: Place

    @property
    def step(self) -> int:
        return -1 if self.position == -1 else 1


def starts(reader: Reader, scopes: Sequence[Scope]) -> dict[str, Start]:
    """The initial lines of a text, by target. Raises FormulaError for one at another position."""
    found = {}
    for target, number in reader.names.initial.items():
        equation = scopes[reader.names.assigned[target]]
        indices = list(equation.indices.values())
        axis = position(reader, number)
        node = reader.lines[number].indices[axis]
        at = reader.index(node, Scope(number, {}))
        start = Start(number, axis, indices[axis], at, reader.place(node))
        others = [*indices[:axis], *indices[axis + 1 :]]
        for own, other in zip(scopes[number].indices.values(), others, strict=True):
            if own != other:
                raise reader.place(reader.lines[number].left).error(
                    f"the initial line of `{target}` has the index `{own.name}` where its equation "
                    f"has `{other.name}`",
                    f"Write `{_at(reader, target, axis, -1 if at == -1 else 1)} = ...`.",
                )
        if not (at == -1 or (at.is_Integer and at > 0) or (at.is_Symbol and not at.is_zero)):
            raise misplaced(reader, target, start)
        found[target] = start
    return found


def position(reader: Reader, number: int) -> int:
    """The axis of an initial line on which a position stands, and no index."""
    line = reader.lines[number]
    axes = [k for k, node in enumerate(line.indices) if is_position(node)]
    if len(axes) > 1:
        raise reader.place(line.indices[axes[1]]).error(
            f"the initial line of `{line.target}` has two positions",
            "A recurrence runs over one index; the others stand on its initial line.",
        )
    return axes[0]


def misplaced(reader: Reader, target: str, start: Start) -> FormulaError:
    """The error for an initial line that is not the step before the first or after the last."""
    node = reader.lines[start.line].indices[start.axis]
    return start.place.error(
        f"the initial line of `{target}` stands at {ast.unparse(node)}, "
        "not one step before the first or after the last",
        f"Write `{_at(reader, target, start.axis, -1)} = ...` if `{target}` is read at "
        f"`{_step(start.index, -1)}`, `{_at(reader, target, start.axis, 1)} = ...` if at "
        f"`{_step(start.index, 1)}`.",
    )


def _at(reader: Reader, target: str, axis: int, step: int) -> str:
    """The left side of an initial line, for a hint: `h[-1,j]` or `h[T,j]`."""
    names = list(map(ast.unparse, reader.lines[reader.names.assigned[target]].indices))
    names[axis] = "-1" if step < 0 else names[axis].upper()
    return f"{target}[{','.join(names)}]"


def recurrence(
    reader: Reader, equation: Equation, start: Start, initial: Expr, ranges: Ranges
) -> Recurrence:
    """The recurrence with its ranges, and so with the size that its position must be."""
    index = equation.indices[start.axis]
    at, known = ranges.settle(start.position), dict(ranges.values)
    if start.step > 0 and at.xreplace(known) != index.size.xreplace(known):
        raise misplaced(reader, equation.target, start)
    return Recurrence(index, start.step, initial)


def is_used(target: str, found: Mapping[str, Start], bodies: Sequence[Expr]) -> bool:
    """Whether a reading at the step is left; a constant that is 0 may have removed it."""
    axis = found[target].axis
    own = (a for body in bodies for a in accesses(body) if a.tensor == target)
    return any(not isinstance(a.indices[axis], Index) for a in own)


def check(reader: Reader, scopes: Sequence[Scope], found: Mapping[str, Start]) -> None:
    """Raises FormulaError for a tensor that is read before it is computed, recurrences aside."""
    _Check(reader, scopes, found).run()


class _Check:
    def __init__(self, reader: Reader, scopes: Sequence[Scope], found: Mapping[str, Start]) -> None:
        self.reader, self.scopes, self.starts = reader, scopes, found
        self.assigned = reader.names.assigned
        self.graph: dict[str, set[str]] = {name: set() for name in self.assigned}
        self.readers: dict[str, set[str]] = {name: set() for name in self.assigned}
        for read in reader.reads:
            self.graph[self.target(read)].add(read.access.tensor)
            self.readers[read.access.tensor].add(self.target(read))

    def run(self) -> None:
        late = [r for r in self.reader.reads if self.assigned[r.access.tensor] >= r.line]
        scans: dict[str, set[str]] = {}
        for target in [*map(self.target, late), *self.starts]:
            if target not in scans:
                scan = self.scan(target)
                scans |= dict.fromkeys(scan, scan)
                self.check_scan(scan)
        for read in late:
            if self.is_initial(read) or read.access.tensor not in scans[self.target(read)]:
                raise self.above(read)
        for target, start in self.starts.items():
            self.check_use(target, start)

    def target(self, read: Read) -> str:
        return self.reader.lines[read.line].target

    def is_initial(self, read: Read) -> bool:
        return self.reader.names.initial.get(self.target(read)) == read.line

    def left(self, tensor: str) -> list[Index]:
        return list(self.scopes[self.assigned[tensor]].indices.values())

    def scan(self, target: str) -> set[str]:
        """What is computed from a tensor and it from them, itself included."""
        return reachable(self.graph, target) & reachable(self.readers, target) | {target}

    def above(self, read: Read) -> FormulaError:
        name = read.access.tensor
        if self.assigned[name] == read.line:
            return read.place.error(f"`{name}` is read in the equation that assigns it", RECURRENCE)
        line = self.reader.place(self.reader.lines[self.assigned[name]].left).number
        return read.place.error(f"`{name}` is read above its line", f"Line {line} assigns it.")

    def check_scan(self, scan: set[str]) -> None:
        reads = [r for r in self.reader.reads if r.access.tensor in scan and self.target(r) in scan]
        for read in reads:
            if self.is_initial(read):
                target = self.target(read)
                raise read.place.error(
                    f"the initial line of `{target}` reads `{read.access.tensor}`, "
                    f"which is computed from `{target}`"
                )
        if not reads:
            return
        started = [name for name in self.assigned if name in scan and name in self.starts]
        if not started:
            raise self.unstarted(reads)
        first, *others = started
        start = self.starts[first]
        for name in others:
            other = self.starts[name]
            if (other.index, other.step) != (start.index, start.step):
                raise other.place.error(
                    f"`{first}` and `{name}` are computed from each other, but one is a recurrence "
                    f"over {_course(start)}, the other over {_course(other)}"
                )
        for name in sorted(scan, key=self.assigned.__getitem__):
            if start.index not in self.left(name):
                line = self.reader.lines[self.assigned[name]]
                raise self.reader.place(line.left).error(
                    f"`{name}` and `{first}` are computed from each other over "
                    f"`{start.index.name}`, but `{name}` has no index `{start.index.name}`"
                )
        same: dict[str, set[str]] = {name: set() for name in scan}
        for read in reads:
            if self.is_at_the_step_itself(read, start):
                same[self.target(read)].add(read.access.tensor)
        cyclic = scan - set(above_readers(same))
        for read in reads:
            name, target = read.access.tensor, self.target(read)
            if target in cyclic and name in same[target] and target in reachable(same, name):
                here = f"at the same `{start.index.name}`"
                what = (
                    f"`{name}` is read in the equation that assigns it, {here}"
                    if name == target
                    else f"`{target}` and `{name}` are computed from each other {here}"
                )
                raise read.place.error(what, RECURRENCE)

    def is_at_the_step_itself(self, read: Read, start: Start) -> bool:
        """True for h[t], False for h[t-1] of an h that starts at -1; an error for all else."""
        name, t = read.access.tensor, start.index
        axis = self.left(name).index(t)
        index = read.access.indices[axis]
        if index == t:
            return True
        if index - t == start.step:
            if name not in self.starts:
                raise self.without_start(read, axis, start.step)
            return False
        if index - t == -start.step:
            raise read.place.error(
                f"`{name}` is read at `{_step(t, -start.step)}` in a recurrence over "
                f"{_course(start)}",
                f"There what is computed earlier stands at `{_step(t, start.step)}`.",
            )
        if (index - t).is_Integer:
            raise self.too_far(read, axis, start.step)
        raise read.place.error(
            f"`{name}` is read in its own recurrence at another place than `{t.name}` and "
            f"`{_step(t, start.step)}`",
            "What it depends on may not depend on it. After the recurrence any place may be read.",
        )

    def unstarted(self, reads: Sequence[Read]) -> FormulaError:
        """The error for a cycle in which nothing has an initial line."""
        for read, axis, step in self.steps(reads):
            if step in (1, -1):
                return self.without_start(read, axis, step)
            return self.too_far(read, axis, 1 if step > 0 else -1)
        late = next(r for r in reads if self.assigned[r.access.tensor] >= r.line)
        name, target = late.access.tensor, self.target(late)
        if name == target:
            return self.above(late)
        return late.place.error(
            f"`{name}` is read above its line, and is itself computed from `{target}`", RECURRENCE
        )

    def steps(self, reads: Sequence[Read]) -> Iterator[tuple[Read, int, int]]:
        """The readings at an index and a number more or less, with the axis and that number."""
        for read in reads:
            left = self.scopes[read.line].indices.values()
            for axis, index in enumerate(read.access.indices):
                for i in left:
                    if (index - i).is_Integer and index != i:
                        yield read, axis, int(index - i)

    def without_start(self, read: Read, axis: int, step: int) -> FormulaError:
        name = read.access.tensor
        t = self.left(name)[axis]
        return read.place.error(
            f"`{name}` is read at `{_step(t, step)}`, but has no initial line",
            f"Write one, such as `{_at(self.reader, name, axis, step)} = 0`.",
        )

    def too_far(self, read: Read, axis: int, step: int) -> FormulaError:
        name = read.access.tensor
        t = self.left(name)[axis]
        return read.place.error(
            f"`{text(read.access)}` is read, but a recurrence goes step by step: it may read "
            f"`{name}` at `{_step(t, step)}`",
            f"Carry what is further back in a tensor of its own, as g[{t.name}] = "
            f"{name}[{_step(t, step)}] does, and read that at `{_step(t, step)}`.",
        )

    def check_use(self, target: str, start: Start) -> None:
        """An initial line that nothing reads is likely meant to be read: h[t] where h[t-1] was."""
        own = (r.access for r in self.reader.reads if r.access.tensor == target)
        if all(isinstance(a.indices[start.axis], Index) for a in own):
            raise start.place.error(
                f"`{target}` has an initial line, but nothing reads it at "
                f"`{_step(start.index, start.step)}`",
                RECURRENCE,
            )


def _step(t: Index, step: int) -> str:
    return f"{t.name}{step:+}"


def _course(start: Start) -> str:
    return f"`{start.index.name}` that starts at {start.position}"
