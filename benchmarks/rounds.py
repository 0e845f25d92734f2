"""Timing in rounds: every peer in turn, in one process, and ratios within a round.

Absolute times drift with the machine's temper; what two peers take within the same second does not
drift apart. So a round times each peer for a moment, in an order that rotates, and only ratios of
times of the same round are compared. A round in which other processes were busy is noisy, and is
left out as long as enough quiet ones remain.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.threads import cores

SLOT = 0.03  # seconds for a peer in a round, and three calls at least
LONG = 0.2  # seconds; a call that takes longer is timed once a round, and not warmed up
QUIET = 0.25  # cores; what others may use of the machine in a quiet round
ENOUGH = 5  # quiet rounds that a median needs


@dataclass(frozen=True)
class Round:
    """Seconds of a call of each peer, and the cores that others kept busy meanwhile."""

    seconds: Mapping[str, float]
    foreign: float


@dataclass(frozen=True)
class Ratio:
    """The median of the ratios of each round, and their range."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Entry:
    """What is timed: a call, and what must happen before a peer's turn."""

    call: Callable[[], object]
    enter: Callable[[], object] = lambda: None


def ratio(rounds: Sequence[Round], ours: str, peer: str) -> Ratio:
    """Our time by a peer's."""
    found = [r.seconds[ours] / r.seconds[peer] for r in rounds]
    return Ratio(statistics.median(found), min(found), max(found))


def seconds(rounds: Sequence[Round], peer: str) -> float:
    """The median time of a call."""
    return statistics.median(r.seconds[peer] for r in rounds)


def quiet(rounds: Sequence[Round]) -> tuple[tuple[Round, ...], bool]:
    """The rounds to count, and whether all of them were quiet: (few noisy ones, ...) -> quiet ones.

    With fewer than five quiet rounds all count, and the table says so.
    """
    calm = tuple(r for r in rounds if r.foreign <= QUIET)
    return (calm, True) if len(calm) >= ENOUGH else (tuple(rounds), False)


def measure(
    entries: Mapping[str, Entry],
    wanted: int,
    budget: float = 60.0,
    slot: float = SLOT,
    clock: Callable[[], float] | None = None,
    foreign: Callable[[], Callable[[], float]] | None = None,
) -> tuple[Round, ...]:
    """Rounds until as many quiet ones as wanted, or twice as many in all, or the time is over.

    However long it takes, there are five. `foreign()` starts to watch the other processes, and
    gives the function that tells how many cores they kept busy.
    """
    watch, clock = foreign or watch_others, clock or default_clock()
    counts = {name: _count(entry, slot, clock) for name, entry in entries.items()}
    rounds: list[Round] = []
    order, start = list(entries), clock()
    while len(rounds) < 2 * wanted and sum(r.foreign <= QUIET for r in rounds) < wanted:
        if len(rounds) >= ENOUGH and clock() - start > budget:
            break
        gc.collect()
        gc.disable()
        others = watch()
        found = {name: _turn(entries[name], counts[name], clock) for name in order}
        rounds.append(Round(found, others()))
        gc.enable()
        order = order[1:] + order[:1]
    return tuple(rounds)


def fastest(entries: Mapping[str, Entry], clock: Callable[[], float] | None = None) -> str:
    """The entry whose best time of a few short rounds is the shortest."""
    clock = clock or default_clock()
    if len(entries) == 1:
        return next(iter(entries))
    best = dict.fromkeys(entries, float("inf"))
    for _ in range(4):
        for name, entry in entries.items():
            best[name] = min(best[name], _turn(entry, _count(entry, 0.01, clock), clock))
    return min(best, key=best.__getitem__)


def default_clock() -> Callable[[], float]:
    """The wall clock; with one core the processor time of this process.

    On one core nothing runs beside anything, and processor time does not see other processes.
    """
    return time.process_time if cores() == 1 else time.perf_counter


def _count(entry: Entry, slot: float, clock: Callable[[], float]) -> int:
    """How many calls fill a slot."""
    took = _turn(entry, 1, clock)
    if took < LONG:
        took = min(took, _turn(entry, 2, clock))
    return 1 if took >= LONG else max(3, int(slot / max(took, 1e-7)) + 1)


def _turn(entry: Entry, count: int, clock: Callable[[], float]) -> float:
    """Seconds of a call, the mean of `count`; one before them warms the caches."""
    entry.enter()
    if count > 1:
        entry.call()
    start = clock()
    for _ in range(count):
        entry.call()
    return (clock() - start) / count


def watch_others() -> Callable[[], float]:
    """Starts to watch; the function that it gives tells how many cores others kept busy.

    Time stolen by a hypervisor counts as theirs. With processor time they do not matter,
    and where there is no /proc nobody can tell: 0.
    """
    if cores() == 1 or not Path("/proc/stat").exists():
        return lambda: 0.0
    began = (_busy(), time.process_time(), time.perf_counter())

    def busy_others() -> float:
        machine, own, wall = _busy() - began[0], time.process_time() - began[1], began[2]
        return max(0.0, machine - own) / (time.perf_counter() - wall)

    return busy_others


def _busy() -> float:
    """Seconds for which the cores were busy, all together, since the machine started."""
    first, *_ = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, first.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / 100
