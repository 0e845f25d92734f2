"""Liveness: which statements a result needs, and from where to where a buffer's elements count.

A loop's body runs again, so what is read in it and written before it lives to the loop's end, and
what is written in it and read at its next step or after it lives from the loop's beginning. What
is written to, or read from, a view is that of the buffer viewed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from derive.code.statements import Buffer, Loop, Statement, fields


def viewed(name: str, buffers: Mapping[str, Buffer]) -> str:
    """The buffer that a view is a view of in the end; another buffer itself."""
    while buffers[name].of:
        name = buffers[name].of
    return name


def alive(
    statements: Sequence[Statement], buffers: Mapping[str, Buffer], wanted: Collection[str]
) -> tuple[tuple[Statement, ...], set[str]]:
    """The statements that compute what is wanted, in whichever form, and all buffers in these."""
    needed = set(wanted)
    while True:
        before = len(needed)
        kept = []
        for s in reversed(statements):
            place = s.out if s.binds or not s.out else viewed(s.out, buffers)
            if place in needed or not s.out:
                kept.append(s)
                needed |= fields(s.fresh) | fields(s.into)
                needed |= {s.out} if s.out else set()
        if len(needed) == before:
            return tuple(reversed(kept)), needed


def spans(loops: Sequence[Loop | None]) -> dict[Loop, tuple[int, int]]:
    """The first and the last statement of each loop."""
    found = {}
    start = 0
    for loop, group in groupby(loops):
        length = len(list(group))
        if loop is not None:
            found[loop] = (start, start + length - 1)
        start += length
    return found


def lives(
    statements: Sequence[Statement], buffers: Mapping[str, Buffer]
) -> tuple[dict[str, float], dict[str, float]]:
    """The first and the last statement that each buffer has a part in; between two of them, `k.5`,
    where that is a loop's beginning or end.
    """
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    within: dict[str, set[Loop | None]] = {}
    for k, s in enumerate(statements):
        for name in (*s.reads, s.out) if s.out else s.reads:
            base = viewed(name, buffers)
            for b in (name,) if base == name else (name, base):
                first.setdefault(b, k)
                last[b] = k
                within.setdefault(b, set()).add(s.loop)
    around = spans([s.loop for s in statements])
    for b, loops in within.items():
        if len(loops) == 1 and not buffers[b].stored:
            continue
        for start, stop in (around[loop] for loop in loops if loop is not None):
            first[b] = min(first[b], start - 0.5)
            last[b] = max(last[b], stop + 0.5)
    return first, last


def without_invariants(statements: Iterable[Statement], counter: str) -> Iterable[Statement]:
    """The statements of a loop, those before it that compute the same at every step."""
    statements = tuple(statements)
    varying: set[str] = set()

    def varies(s: Statement) -> bool:
        named = fields(s.fresh) | fields(s.into) | {s.out}
        return s.binds or bool(named & varying) or _names(s, counter)

    while True:
        more = {s.out for s in statements if s.out and varies(s)}
        if more == varying:
            break
        varying |= more
    yield from (replace(s, loop=None) for s in statements if not varies(s))
    yield from (s for s in statements if varies(s))


def _names(s: Statement, counter: str) -> bool:
    """Whether a statement names the loop's counter, marked off as lowering writes it."""
    return counter in s.fresh or counter in s.into
