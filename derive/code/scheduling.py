"""Which arrays share memory: in place where an operand dies, a slot again after its last use.

    t_1 = np.matmul(x, W)          z = np.matmul(x, W)
    t_2 = np.add(t_1, b)     ->    np.add(z, b, out=z)
    p   = np.exp(t_2)              p = np.exp(z)

Exact, because a buffer gives its memory away only at the last statement that reads it. Within an
equation intermediate results pass their memory on (`_chained`); in a workspace buffers of different
equations share slots besides.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count
from math import prod
from types import MappingProxyType

from sympy import Add, Expr, Mul, S

from derive.code.liveness import alive, lives, viewed
from derive.code.packing import Stay, packed
from derive.code.statements import DTYPES, Buffer, Lowered, Statement, fields, size_text
from derive.code.views import shape_text
from derive.gradients.normal_form import fresh as fresh_name
from derive.language.notation import REMEMBERED

_WORD = re.compile(r"(?<![\w{])\w+(?![\w}])")  # and no buffer


@dataclass(frozen=True)
class Slot:
    """Memory of a workspace that several buffers share: `size` elements.

    Each begins at its number in `starts`; where two of them meet they are never needed at once.
    Those of one number in `chains` were computed in place of each other, and lie together. A slot
    without memory of its own is in that of the slot `host`, or in what the setup calls so: `lent`.
    """

    name: str
    kind: str
    size: Expr
    buffers: tuple[str, ...]
    starts: tuple[Expr, ...]
    chains: tuple[int, ...]
    host: str = ""
    lent: str = ""


@dataclass(frozen=True)
class Part:
    """A part of a slot, or, as the slot of its own name, an array that is in none."""

    slot: str
    start: Expr = S.Zero
    size: Expr = S.One

    def meets(self, other: Part) -> bool:
        """Whether they have memory in common, or may have."""
        if self.slot != other.slot:
            return False
        if self.start == other.start:
            return True
        return not (_is_behind(self, other) or _is_behind(other, self))


@dataclass(frozen=True)
class Schedule:
    """Statements in order, with the memory that they work in.

    A statement with `fresh` makes its array, one without writes into an array that is there.
    `names` gives the buffer of a tensor. `slots` divide the buffers of a workspace by the memory
    they share; `setup` are the statements that a workspace runs once, when it is made. `checks` are
    its lines that raise where inputs do not fit; in a function that makes its arrays these stand
    among the statements. `turned` brings a tensor's axes from memory into order. `sizes_used` are
    the sizes that the statements name. `operations` counts floating-point operations, `elements`
    those read and written.
    """

    buffers: tuple[Buffer, ...]
    statements: tuple[Statement, ...]
    names: Mapping[str, str]
    checks: tuple[Statement, ...]
    sizes_used: tuple[str, ...]
    operations: Expr
    elements: Expr
    slots: tuple[Slot, ...] = ()
    setup: tuple[Statement, ...] = ()
    turned: Mapping[str, str] = field(default_factory=dict)

    def split(
        self, forward: Collection[str]
    ) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
        """The statements before, and from, the first that computes no target of `forward`."""
        for k, s in enumerate(self.statements):
            if s.origin not in forward:
                return self.statements[:k], self.statements[k:]
        return self.statements, ()

    def buffer(self, name: str) -> Buffer:
        return next(b for b in self.buffers if b.name == name)


@lru_cache(maxsize=REMEMBERED)
def _is_behind(one: Part, other: Part) -> bool:
    return bool((one.start - other.start - other.size).is_nonnegative)


def divided(schedule: Schedule, later: Sequence[Statement]) -> tuple[Schedule, Schedule]:
    """The schedule with the memory, and setup, that its statements need; and what `later` adds."""
    apart = set(map(id, later))
    needed: set[str] = set()
    for s in schedule.statements:
        if id(s) not in apart:
            needed |= fields(s.text) | {s.out} | (fields(s.loop.head) if s.loop else set())
    for s in reversed(schedule.setup):
        if s.out in needed:
            needed |= fields(s.text)
    own = {slot.name for slot in schedule.slots if needed & {*slot.buffers, slot.name}}
    return (
        replace(
            schedule,
            slots=tuple(slot for slot in schedule.slots if slot.name in own),
            setup=tuple(s for s in schedule.setup if s.out in needed or not s.out),
        ),
        replace(
            schedule,
            slots=tuple(slot for slot in schedule.slots if slot.name not in own),
            setup=tuple(s for s in schedule.setup if s.out and s.out not in needed),
        ),
    )


def fresh(lowered: Lowered) -> Schedule:
    """A function that makes its arrays as it goes, and writes over what nobody reads any more."""
    # Where the form for workspaces reads arrays of its own, that form is out of the question here.
    own = tuple(
        replace(s, into="") if s.fresh and not fields(s.into) <= fields(s.fresh) else s
        for s in lowered.statements
    )
    lowered, written_over = _chained(_alive(replace(lowered, statements=own)), set(), {})
    statements = [
        _without_idle_copies(replace(s, fresh=""), {}) if k in written_over else s
        for k, s in enumerate(lowered.statements)
    ]
    statements = _with_arrays(statements, {b.name: b for b in lowered.buffers})
    inputs = {lowered.names[t.name] for t in lowered.inputs if t.name in lowered.names}
    early = [s for s in statements if not s.out and s.reads <= inputs]
    return _schedule(lowered, (*early, *(s for s in statements if s not in early)))


def workspace(
    lowered: Lowered,
    given: Iterable[str] = (),
    over: Mapping[str, str] = MappingProxyType({}),
    later: Collection[str] = (),
) -> Schedule:
    """Statements that work in arrays made beforehand, and the plan of these.

    `given` are the tensors whose arrays the caller provides, besides the inputs: results that are
    written where they shall be. Other results stay as they are to the end. `over` gives for a
    result the input that it replaces, `m_next` for `m`: it is computed in place where no statement
    needs the old one any more, and copied there in the end where one does. What the equations of
    `later` need alone is apart from what those before them need.
    """
    given = {lowered.names[t] for t in given if t in lowered.names}
    constant = _constants(lowered, given)
    scalars = {b.name for b in lowered.buffers if not b.shape}
    in_place = tuple(
        replace(s, fresh="") if s.into and s.out not in scalars | constant else s
        for s in lowered.statements
    )
    lowered = _alive(replace(lowered, statements=in_place))
    replaced = {lowered.names[new]: lowered.names[old] for new, old in over.items()}
    bordered = {b.name for b in lowered.buffers if b.bordered}
    lowered, _ = _chained(lowered, constant | bordered, replaced)
    constant = _constants(lowered, given)
    bordered = {b.name for b in lowered.buffers if b.bordered}
    held = (
        given
        | constant
        | bordered
        | {lowered.names[t.name] for t in lowered.inputs if t.name in lowered.names}
        | {b.name for b in lowered.buffers if b.of}
    )
    made = [
        s
        for s in lowered.statements
        if s.out in constant or (s.out in bordered and not s.update) or (s.binds and not s.loop)
    ]
    statements = tuple(s for s in lowered.statements if s.out and s not in made)
    slots = _slots(lowered, statements, held, later)
    place = places(slots, {b.name: b.shape for b in lowered.buffers})
    return replace(
        _schedule(lowered, (_without_idle_copies(s, place) for s in statements)),
        checks=tuple(s for s in lowered.statements if not s.out),
        setup=tuple(made),
        slots=slots,
    )


def places(slots: Iterable[Slot], shapes: Mapping[str, tuple[Expr, ...]]) -> dict[str, Part]:
    """Where each buffer of some slots lies."""
    return {
        b: Part(slot.name, start, Mul(*shapes[b]))
        for slot in slots
        for b, start in zip(slot.buffers, slot.starts, strict=True)
    }


def _alive(lowered: Lowered) -> Lowered:
    """Without the statements that no result needs in the form chosen; all, where none is stated."""
    wanted = {lowered.names[t] for t in lowered.results}
    if not wanted:
        return lowered
    buffers_ = {b.name: b for b in lowered.buffers}
    kept, wanted = alive(lowered.statements, buffers_, wanted)
    wanted |= {lowered.names[t.name] for t in lowered.inputs if t.name in lowered.names}
    buffers = tuple(b for b in lowered.buffers if b.name in wanted)
    return replace(lowered, statements=kept, buffers=buffers)


def _schedule(lowered: Lowered, statements: Iterable[Statement]) -> Schedule:
    statements = tuple(s for s in statements if s.text)
    buffers = {b.name: b for b in lowered.buffers}
    done = tuple(s for s in statements if s.out)
    loops = {s.loop.size for s in done if s.loop}
    texts = " ".join((*(s.text for s in done), *map(size_text, loops)))
    named = set(_WORD.findall(texts))
    sizes = _sizes(lowered.buffers) | loops
    symbols = {size_text(symbol) for e in sizes for symbol in e.free_symbols}
    operations = Counter(s.operations for s in done)
    elements = Counter(
        (*number_and_unit(buffers[b].shape), s.loop.size if s.loop else S.One)
        for s in done
        if not s.binds
        for b in (*s.reads, s.out)
    )
    return Schedule(
        lowered.buffers,
        statements,
        lowered.names,
        (),
        tuple(sorted(symbols & named)),
        _total((n, *term.as_coeff_Mul()) for term, n in operations.items()),
        _total((n, number, unit * steps) for (number, unit, steps), n in elements.items()),
        turned=dict(lowered.turned),
    )


def _total(terms: Iterable[tuple[int, Expr, Expr]]) -> Expr:
    """The sum of products, like terms as numbers first: SymPy takes its time with each new one."""
    found: dict[Expr, Expr] = {}
    for times, number, unit in terms:
        found[unit] = found.get(unit, S.Zero) + times * number
    return Add(*(number * unit for unit, number in found.items()))


@lru_cache(maxsize=REMEMBERED)
def number_and_unit(shape: tuple[Expr, ...]) -> tuple[Expr, Expr]:
    """How many elements an array of this shape has: a number of what depends on sizes."""
    number = prod(size for size in shape if size.is_Integer)
    unit = Mul(*(size for size in shape if not size.is_Integer))
    if unit.is_Add:
        return S.One, number * unit
    own, unit = unit.as_coeff_Mul()
    return number * own, unit


def _sizes(buffers: Iterable[Buffer]) -> set[Expr]:
    """The lengths of the axes of all buffers, each once."""
    return {size for b in buffers for size in b.shape}


def _without_idle_copies(s: Statement, place: Mapping[str, Part]) -> Statement:
    """The statement without a copy to the memory where the operand is already."""
    for b in s.reads | {s.out}:
        idle = f"np.copyto({{{s.out}}}, {{{b}}})"
        if idle in s.into and (b == s.out or (b in place and place[b] == place.get(s.out))):
            return replace(s, into=s.into.replace(idle, "").lstrip("\n"))
    return s


def _with_arrays(statements: Sequence[Statement], buffers: Mapping[str, Buffer]) -> list[Statement]:
    """With the arrays that loops store their steps in, made before them; rows are written to."""
    found: list[Statement] = []
    there: set[str] = set()
    begin = 0  # of the loop that the statement is in
    for k, s in enumerate(statements):
        if not s.loop or k == 0 or statements[k - 1].loop != s.loop:
            begin = len(found)
        for name in sorted(fields(s.text)):
            b = buffers[viewed(name, buffers)]
            if b.stored and b.name not in there:
                there.add(b.name)
                made = f"{{{b.name}}} = np.empty({shape_text(b.shape)}, {DTYPES[b.kind]})"
                found.insert(begin, Statement(b.name, made, origin=s.origin))
                begin += 1
        if s.fresh and not s.binds and s.out and buffers[s.out].of:
            row = s.fresh.replace(f"{{{s.out}}} = ", f"{{{s.out}}}[...] = ", 1)
            s = replace(s, fresh="", into=s.into or row)
        found.append(s)
    return found


def _chained(
    lowered: Lowered, kept: set[str], replaced: Mapping[str, str]
) -> tuple[Lowered, set[int]]:
    """Anonymous buffers merged with what is written over them, and where that happens.

    What is in the buffers of `kept` stays for the next time; a buffer of `replaced` is merged with
    that of an input. Each remaining buffer has a name to print: that of its tensor, or `t_1`, ...
    """
    buffers = {b.name: b for b in lowered.buffers}
    _, last = lives(lowered.statements, buffers)
    merged: dict[str, str] = {}
    written_over: set[int] = set()
    begun: dict[str, int] = {}  # the statement that first wrote into a buffer's memory
    for k, s in enumerate(lowered.statements):
        begun.setdefault(s.out, k)
        old = replaced.get(s.out, "")
        if old in s.overwrites and last[old] == k:
            merged[s.out] = old
            continue
        dying = [
            b
            for b in s.overwrites
            if buffers[b].anonymous
            and not (buffers[b].of or buffers[b].stored)
            and last[b] == k
            and b not in merged
            and b not in kept
        ]
        if dying:
            b = next(
                (b for b in dying if _is_over(lowered.statements, begun[b], old, last)), dying[0]
            )
            merged[b] = s.out
            begun[s.out] = begun[b]
            written_over.add(k)
    lowered = _replacing(lowered, merged, replaced, last)
    names: dict[str, str] = {}
    taken = {b.name for b in lowered.buffers if not b.anonymous}
    temporaries = (fresh_name(t, taken) for k in count(1) if (t := f"t_{k}") not in taken)
    taken |= {str(s) for e in _sizes(lowered.buffers) for s in e.free_symbols}
    taken |= {s.loop.counter for s in lowered.statements if s.loop}
    for name in buffers:
        final = _final(name, merged)
        if not buffers[final].anonymous:
            names[name] = final
        else:
            if final not in names:
                label = buffers[final].label
                names[final] = fresh_name(label, taken) if label else next(temporaries)
            names[name] = names[final]
    texts = {old: f"{{{new}}}" for old, new in names.items()}
    statements = tuple(
        replace(
            s,
            out=names.get(s.out, ""),
            fresh=s.fresh.format_map(texts),
            into=s.into.format_map(texts),
            overwrites=tuple(names[b] for b in s.overwrites),
        )
        for s in lowered.statements
    )
    left = tuple(
        replace(b, name=names[b.name], of=names.get(b.of, ""))
        for b in lowered.buffers
        if b.name not in merged
    )
    tensors = {t: names.get(b, b) for t, b in lowered.names.items()}
    return replace(lowered, buffers=left, statements=statements, names=tensors), written_over


def _is_over(
    statements: Sequence[Statement], first: int, old: str, last: Mapping[str, float]
) -> bool:
    """Whether a statement may write to the memory of an input: nothing reads that any more."""
    if old not in last:
        return False
    return last[old] < first or (last[old] == first and old in statements[first].overwrites)


def _final(name: str, merged: Mapping[str, str]) -> str:
    """The buffer in whose memory another one is."""
    while name in merged:
        name = merged[name]
    return name


def _replacing(
    lowered: Lowered, merged: dict[str, str], replaced: Mapping[str, str], last: Mapping[str, float]
) -> Lowered:
    """Results that replace inputs merged with these, where the old is read no more; else copied."""
    statements = list(lowered.statements)
    for new, old in replaced.items():
        if new in merged:
            continue
        first = next(k for k, s in enumerate(statements) if _final(s.out, merged) == new)
        if _is_over(statements, first, old, last):
            merged[new] = old
        else:
            origin = statements[-1].origin
            statements.append(
                Statement(old, into=f"np.copyto({{{old}}}, {{{new}}})", origin=origin)
            )
    return replace(lowered, statements=tuple(statements))


def numbered(base: str, taken: set[str]) -> str:
    k = 1
    while f"{base}_{k}" in taken:
        k += 1
    return fresh_name(f"{base}_{k}", taken)


def _constants(lowered: Lowered, given: set[str]) -> set[str]:
    """The arrays that depend on nothing but sizes."""
    varying = given | {lowered.names[t.name] for t in lowered.inputs if t.name in lowered.names}
    # Scalars are local names, and what a loop computes may change with its steps.
    varying |= {b.name for b in lowered.buffers if not b.shape or b.stored or b.of}
    varying |= {s.out for s in lowered.statements if s.loop}
    for s in lowered.statements:
        if s.reads & varying:
            varying.add(s.out)
    return {s.out for s in lowered.statements if s.out and s.out not in varying}


@dataclass
class _Chain:
    """Buffers that follow each other in the same memory, each computed in place of the last."""

    buffers: list[str]
    first: float
    last: float


def _slots(
    lowered: Lowered, statements: tuple[Statement, ...], held: set[str], later: Collection[str]
) -> tuple[Slot, ...]:
    """Slots for the buffers not held otherwise.

    What only statements of `later` equations need is in slots of its own, and so are sizes that
    differ in more than a number: which of them is larger depends on the sizes in them.
    """
    buffers = {b.name: b for b in lowered.buffers}
    first, last = lives(statements, buffers)
    results = {lowered.names[t] for t in lowered.results}
    last |= dict.fromkeys((viewed(b, buffers) for b in results), len(statements))
    end = next((k for k, s in enumerate(statements) if s.origin in later), len(statements))
    pools: dict[tuple[str, Expr, bool], list[_Chain]] = {}
    ends: dict[str, _Chain] = {}  # by the last buffer of a chain
    planned = [b for b in lowered.buffers if b.shape and b.name not in held]
    for b in sorted(planned, key=lambda b: first[b.name]):
        start = first[b.name]
        inside = statements[int(start)].overwrites if start == int(start) else ()
        over = [o for o in inside if o in ends and last[o] == start]
        if over:
            chain = ends.pop(over[0])
            chain.buffers.append(b.name)
            chain.last = max(chain.last, last[b.name])
        else:
            chain = _Chain([b.name], start, last[b.name])
            key = (b.kind, number_and_unit(b.shape)[1], start >= end)
            pools.setdefault(key, []).append(chain)
        ends[b.name] = chain
    found: list[tuple[float, Slot]] = []
    for (kind, unit, _), chains in pools.items():
        counts = [int(number_and_unit(buffers[c.buffers[0]].shape)[0]) for c in chains]
        stays = [Stay(n, c.first, c.last) for n, c in zip(counts, chains, strict=True)]
        places, sizes = packed(stays)
        inside_: list[list[tuple[float, str, Expr, int]]] = [[] for _ in sizes]
        for k, (place, chain) in enumerate(zip(places, chains, strict=True)):
            assert place is not None
            inside_[place.slot] += [(first[b], b, place.start * unit, k) for b in chain.buffers]
        for size, some in zip(sizes, inside_, strict=True):
            some.sort(key=lambda x: x[0])
            _, names, starts, numbers = zip(*some, strict=True)
            found.append((some[0][0], Slot("", kind, size * unit, names, starts, numbers)))
    found.sort(key=lambda x: x[0])
    return tuple(replace(slot, name=f"slot_{k + 1}") for k, (_, slot) in enumerate(found))
