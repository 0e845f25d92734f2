"""Where each array lies, so that those which are never needed at once take the same memory.

    a: 6 numbers, from statement 1 to 4             slot 0: 6 numbers    a at 0, then b at 0, c at 4
    b: 4 numbers, from 5 to 9; c: 2, from 7 to 8

Largest first, what is no shorter than a cache line at the beginning of one: each goes where it
fits in the smallest slot that has room for it all the time that it stays, or else begins a slot of
its own size. What has a place elsewhere begins none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

LINE = 16  # numbers of a cache line
RATIO = 64  # how much larger a slot may be: less than that is not worth a place in it


@dataclass(frozen=True)
class Stay:
    """So many numbers, from one statement to another, both included."""

    size: int
    first: float
    last: float


@dataclass(frozen=True)
class Place:
    """A slot by its number, and the first number in it."""

    slot: int
    start: int


def packed(
    stays: Sequence[Stay], elsewhere: Collection[int] = ()
) -> tuple[list[Place | None], list[int]]:
    """The place of each, and the sizes of the slots.

    Those `elsewhere` come last, and have none here where the others' slots have no room for them.
    """
    order = sorted(
        range(len(stays)), key=lambda k: (k in elsewhere, -stays[k].size, stays[k].first, k)
    )
    found: list[Place | None] = [None] * len(stays)
    first, last = (np.zeros(len(stays)) for _ in range(2))
    slot, start, size, room = (np.zeros(len(stays), int) for _ in range(4))
    slots = 0
    done = 0
    for k in order:
        own = stays[k]
        there = np.flatnonzero((first[:done] <= own.last) & (last[:done] >= own.first))
        left = room[:slots] - np.bincount(slot[there], size[there], slots)
        roomy = np.flatnonzero((left >= own.size) & (room[:slots] <= RATIO * own.size))
        place = Place(slots, 0)
        # Of slots of one size the first one, so that layers which are alike lie alike.
        for j in roomy[np.argsort(room[roomy], kind="stable")].tolist():
            beside = there[slot[there] == j]
            at = _gap(start[beside], size[beside], own.size, int(room[j]))
            if at is not None:
                place = Place(j, at)
                break
        if place.slot == slots and k in elsewhere:
            continue
        if place.slot == slots:
            room[slots] = own.size
            slots += 1
        first[done], last[done] = own.first, own.last
        slot[done], start[done], size[done] = place.slot, place.start, own.size
        found[k] = place
        done += 1
    return found, room[:slots].tolist()


def _gap(starts: np.ndarray, sizes: np.ndarray, size: int, room: int) -> int | None:
    """The first place between others that is large enough."""
    at = 0
    for start, length in sorted(zip(starts.tolist(), sizes.tolist(), strict=True)):
        if start - at >= size:
            return at
        at = max(at, start + length)
        if size >= LINE:
            at = lined(at)
    return at if room - at >= size else None


def lined(number: int) -> int:
    """The next beginning of a cache line."""
    return -(-number // LINE) * LINE
