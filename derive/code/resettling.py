"""Where the arrays of a workspace lie once its statements are in order: the slots anew.

    slot_2: a_1, then z_1_bar          a_2: in W_1_bar, which nobody has written yet
    slot_5: a_2                   ->   slot_1: a_1, then z_1_bar
    slot_9: t_8, of truth values       t_8: in slot_1, between the two

The vector of the gradients is as long as all parameters, and those of the first layers are written
last: until then there is room in it for what is read no more by the time. Exact, because what lies
in a gradient's memory is read for the last time before the gradient is written for the first, and
because each step writes all gradients anew. Arrays that were computed in place of each other stay
together; what loops over tiles need no more has left its slot.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from sympy import Expr, Mul, S, Symbol

from derive.code.liveness import lives
from derive.code.packing import Stay, lined, packed
from derive.code.scheduling import Schedule, Slot, number_and_unit
from derive.code.statements import Buffer, Statement, fields, size_text
from derive.code.tiling import MOST, TILE

# Gradients, of more of which none lends memory: each layer would lie elsewhere, and no loop over
# layers could make their arrays.
MANY = 64


@dataclass(frozen=True)
class Lent:
    """A vector of memory by its name in the setup, and the buffers that lie in it, in order."""

    name: str
    buffers: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Chain:
    """Buffers in the same memory, each from its own statement on, and how long they stay."""

    buffers: tuple[str, ...]
    begins: tuple[float, ...]
    kind: str
    size: Expr
    last: float

    @property
    def first(self) -> float:
        return self.begins[0]

    @cached_property
    def sizes(self) -> tuple[Expr, Expr]:
        return number_and_unit((self.size,))

    def real_numbers(self, sizes: Mapping[Symbol, int]) -> int:
        """As how many real numbers its elements take the memory, at most."""
        count = int(self.size.xreplace(sizes))
        return {"real": count, "integer": 2 * count, "boolean": -(-count // 4)}[self.kind]


def resettled(
    schedule: Schedule,
    lent: Lent,
    until: Mapping[str, float],
    later: float,
    sizes: Mapping[Symbol, int],
) -> Schedule:
    """The schedule of a workspace in slots that are made for its statements as they are now.

    `until` gives for the buffers that are read from without the statement up to which they stay;
    what statements from `later` on need alone is in slots of its own. `sizes` are those for which
    arrays fit into what is lent; where larger ones do not, they get memory of their own.
    """
    schedule = _with_scratch(schedule)
    sizes = {**sizes, MOST: TILE}
    buffers = {b.name: b for b in schedule.buffers}
    first, last = _lives(schedule, buffers)
    for b, k in until.items():
        last[b] = max(last.get(b, k), k)
    setup = {s.out: fields(s.text) for s in schedule.setup}
    loops = {s.loop.head for s in schedule.statements if s.loop and s.loop.head}
    tiles = [frozenset().union(*(setup.get(b, ()) for b in fields(head))) for head in loops]
    # What one loop has in the same place at different times may be apart, too.
    tried = [
        _slots(
            sorted(_chains(schedule.slots, buffers, first, last, together), key=_order),
            _Room(lent, buffers, first),
            later,
            sizes,
        )
        for together in (tiles, [])
    ]

    def own(slots: Iterable[Slot]) -> int:
        """How many numbers the memory is that nothing lends."""
        return sum(int(slot.size.xreplace(sizes)) for slot in slots if not slot.lent)

    return replace(schedule, slots=min(tried, key=own))


def _slots(
    chains: Sequence[_Chain], room: _Room, later: float, sizes: Mapping[Symbol, int]
) -> tuple[Slot, ...]:
    """The slots of chains: those that find room in what is lent, or in other slots, have none."""
    numbers = {c: c.real_numbers(sizes) for c in chains}
    early = [c for c in chains if c.first < later]
    gradients = {
        c: memory
        for c in sorted(early, key=lambda c: (-numbers[c], *_order(c)))
        if (memory := room.taken(numbers[c], c.first, c.last))
    }
    pools: dict[tuple[str, Expr, bool], list[_Chain]] = {}
    for c in chains:
        pools.setdefault((c.kind, c.sizes[1], c.first >= later), []).append(c)
    # The real numbers first, which can lend to the others.
    order = sorted(pools, key=lambda p: (p[0] != "real", -sum(numbers[c] for c in pools[p])))
    slots: list[Slot] = []
    done: set[_Chain] = set()
    for kind, unit, late in order:
        own = [c for c in pools[kind, unit, late] if c not in done]
        hosting = kind == "real" and not late
        settled = done.union(own)
        guests = [c for c in early if c not in settled] if hosting else []
        each = max(int(unit.xreplace(sizes)), 1)
        counts = [int(c.sizes[0]) for c in own]
        counts += [lined(-(-numbers[c] // each)) for c in guests]
        stays = [Stay(n, c.first, c.last) for n, c in zip(counts, own + guests, strict=True)]
        elsewhere = {k for k, c in enumerate(own + guests) if c in gradients or k >= len(own)}
        places, totals = packed(stays, elsewhere)
        inside: list[list[tuple[float, str, Expr, int]]] = [[] for _ in totals]
        for k, (c, place) in enumerate(zip(own + guests, places, strict=True)):
            if place is not None and k < len(own):
                own_start = place.start * unit
                rows = zip(c.begins, c.buffers, strict=True)
                inside[place.slot] += [(begin, b, own_start, k) for begin, b in rows]
            elif place is not None:
                low, high = (size_text(n * unit) for n in (place.start, place.start + counts[k]))
                slots.append(_alone(c, f"slot_{len(done)}_{place.slot}", f"[{low}:{high}]"))
            elif k < len(own):
                slots.append(_alone(c, "", gradients[c]))
        for k, (rows_, total) in enumerate(zip(inside, totals, strict=True)):
            _, held, starts, of = zip(*sorted(rows_, key=lambda row: row[0]), strict=True)
            name = f"slot_{len(done)}_{k}"
            slots.append(Slot(name, kind, total * unit, held, starts, of))
        done |= {*own, *(c for c, p in zip(guests, places[len(own) :], strict=True) if p)}
    begins = {c.buffers[0]: c.first for c in chains}
    slots.sort(key=lambda slot: (bool(slot.host), begins[slot.buffers[0]]))
    names = {slot.name: f"slot_{k + 1}" for k, slot in enumerate(slots) if slot.name}
    return tuple(
        replace(slot, name=f"slot_{k + 1}", host=names.get(slot.host, ""))
        for k, slot in enumerate(slots)
    )


def _order(c: _Chain) -> tuple[float, tuple[str, ...]]:
    return c.first, c.buffers


def _alone(c: _Chain, host: str, lent: str) -> Slot:
    """A slot in memory that something else lends."""
    same = len(c.buffers)
    return Slot("", c.kind, c.size, c.buffers, (S.Zero,) * same, (0,) * same, host, lent)


class _Room:
    """The lent vector: what of it is free, and how long."""

    def __init__(
        self, lent: Lent, buffers: Mapping[str, Buffer], first: Mapping[str, float]
    ) -> None:
        self.name = lent.name
        lending = lent.buffers if len(lent.buffers) <= MANY else ()
        self.ends = np.cumsum([int(Mul(*buffers[b].shape)) for b in lending])
        self.written = np.array([first[b] for b in lending])  # for the first time
        self.places: list[tuple[int, int]] = []  # what is taken, from where to where
        self.times: list[tuple[float, float]] = []  # and from when to when

    def taken(self, count: int, first: float, last: float) -> str:
        """The memory of so many numbers, of all that is free that which is written first; or ""."""
        count = lined(count)
        if not count or not (self.written > last).any():
            return ""
        places = np.array(self.places, int).reshape(-1, 2)
        times = np.array(self.times).reshape(-1, 2)
        beside = places[(times[:, 0] <= last) & (times[:, 1] >= first)]
        starts = np.unique([0, *map(lined, self.ends.tolist()), *beside[:, 1].tolist()])
        starts = starts[starts + count <= self.ends[-1]]
        # A place is free if as many of what is beside begin before its end as end before its start.
        begun = np.searchsorted(np.sort(beside[:, 0]), starts + count)
        ended = np.searchsorted(np.sort(beside[:, 1]), starts, "right")
        starts = starts[begun == ended]
        if not len(starts):
            return ""
        parts = np.searchsorted(self.ends, np.stack([starts, starts + count - 1], 1), "right")
        parts[:, 1] += 1
        until = np.minimum.reduceat(np.append(self.written, np.inf), parts.ravel())[::2]
        until[until <= last] = np.inf
        best = int(np.argmin(until))
        if until[best] == np.inf:
            return ""
        start = int(starts[best])
        self.places.append((start, start + count))
        self.times.append((first, last))
        return f"{self.name}[{start}:{start + count}]"


def _with_scratch(schedule: Schedule) -> Schedule:
    """The schedule with its scratch, which lies where loops over tiles find room, in slots."""
    scratch = {s.out for s in schedule.setup if f"{MOST}, " in s.text and "= _empty(" in s.text}
    own = [replace(b, local=False) for b in schedule.buffers if b.name in scratch]
    return replace(
        schedule,
        buffers=(*(b for b in schedule.buffers if b.name not in scratch), *own),
        setup=tuple(s for s in schedule.setup if s.out not in scratch),
        slots=(
            *schedule.slots,
            *(Slot("", b.kind, Mul(*b.shape), (b.name,), (S.Zero,), (0,)) for b in own),
        ),
    )


def _chains(
    slots: Iterable[Slot],
    buffers: Mapping[str, Buffer],
    first: Mapping[str, float],
    last: Mapping[str, float],
    together: Iterable[Collection[str]],
) -> Iterable[_Chain]:
    """What lies together: what was computed in place, and what of `together` was in one place."""
    chains: dict[tuple[int, int], list[str]] = {}
    kinds: dict[tuple[int, int], str] = {}
    places: dict[str, tuple[int, Expr, Expr]] = {}
    of: dict[str, tuple[int, int]] = {}
    for k, slot in enumerate(slots):
        for b, start, number in zip(slot.buffers, slot.starts, slot.chains, strict=True):
            chains.setdefault((k, number), []).append(b)
            kinds[k, number] = slot.kind
            places[b] = k, start, Mul(*buffers[b].shape)
            of[b] = k, number
    for some in together:
        one: dict[tuple[int, Expr, Expr], tuple[int, int]] = {}
        for b in sorted(some & of.keys()):
            chain = one.setdefault(places[b], of[b])
            if chain != of[b]:
                moved = chains.pop(of[b])
                chains[chain] += moved
                of |= dict.fromkeys(moved, chain)
    for chain, some_ in chains.items():
        begins, names = zip(*sorted((first.get(b, -1.0), b) for b in some_), strict=True)
        end = max(last.get(b, math.inf) for b in names)
        yield _Chain(names, begins, kinds[chain], Mul(*buffers[names[0]].shape), end)


def _lives(
    schedule: Schedule, buffers: Mapping[str, Buffer]
) -> tuple[dict[str, float], dict[str, float]]:
    """The first and last statement of each buffer, its tiles in lists of the setup included."""
    made = {s.out: fields(s.text) for s in schedule.setup}
    reached: dict[str, frozenset[str]] = {}

    def behind(name: str) -> frozenset[str]:
        if name not in reached:
            inner = made.get(name, frozenset()) - {name}
            reached[name] = inner.union(*map(behind, inner))
        return reached[name]

    def plain(s: Statement) -> Statement:
        named = fields(s.text) | {s.out} | (fields(s.loop.head) if s.loop else frozenset())
        more = frozenset[str]().union(*map(behind, named)) - named
        if not more:
            return s
        text = " ".join(f"{{{b}}}" for b in sorted(more))
        return replace(s, into=f"{s.text} {text}", fresh="")

    return lives([plain(s) for s in schedule.statements], buffers)
