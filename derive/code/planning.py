"""The layout that a schedule is fastest in: each one is tried in a dry run.

    as written    z[n,p,q,j]           the interface's own order
    batch last    z in memory p,j,q,n  windows move over long runs of memory
    features first           j,n,p,q   sums over features end in long runs

A layout moves no numbers: equations, results and their order of evaluation are the same in all.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import cache

from sympy import Mul, Symbol

from derive.code.dry_run import APART, estimate
from derive.code.layout import AS_WRITTEN, BATCH_LAST, FEATURES_FIRST
from derive.code.lowering import arrangements, lower
from derive.code.scheduling import Schedule, divided, workspace
from derive.code.views import estimate as size_of
from derive.gradients.normal_form import needed
from derive.language.notation import Program

LAYOUTS = (AS_WRITTEN, BATCH_LAST, FEATURES_FIRST)
LARGE = 20.0  # microseconds of products in a call that two threads of BLAS do in half the time
HANDOVER = 2.0  # microseconds a call takes longer where two threads take turns in Python
CLEAR = 1.02  # of the least time, what the written order may take, which turns no operand
START = 100.0  # microseconds until another thread is at work
GAIN = 0.85  # what two threads must be below
ROOM = 2.0**21  # elements of a workspace, of which the larger part is in the cache
FULL = 256  # samples to judge that by
WORTH = 0.9  # of the time, what more samples at once must be below where that takes more room
LEAST, MOST = 16, 1024  # fewer samples make short products; more gain nothing
JUDGED = 200  # equations; a longer program is judged by its beginning
SAMPLED = 1000  # statements; a longer schedule is judged by so many of them, evenly spread


def planned(
    program: Program,
    results: Iterable[str],
    given: Iterable[str],
    free: tuple[str, ...],
    sizes: Mapping[Symbol, int],
    later: Collection[str] = (),
) -> Schedule:
    """The schedule of `results` in a workspace, in the layout that takes the least time.

    `given` are the tensors whose arrays the caller provides, `free` those of the inputs and
    results whose axes may lie in any order; `sizes` are typical ones to choose by. What the
    equations of `later` need alone is apart.
    """
    results, given = tuple(results), tuple(given)
    inputs = {t.name: t for t in program.inputs}
    open_ = tuple(t for t in free if t not in inputs)
    choices = [(layout, free_) for layout in LAYOUTS for free_ in dict.fromkeys((open_, free))]
    whole = replace(needed(program, results), results=results)
    judged = whole if len(whole.equations) <= JUDGED else _beginning(whole)

    def cost(found: Schedule) -> float:
        # The copy of an input that changes the order of its axes is the caller's.
        turned = (inputs[t] for t in found.turned if t in inputs)
        moved = sum(float(Mul(*(i.size for i in t.axes)).subs(sizes)) for t in turned)
        return estimate(found, sizes).time + APART * moved

    arranged = arrangements(judged, judged.results, choices)
    tried = [workspace(a.lowered(), given, later=later) for a in arranged]
    costs = [*map(cost, tried)]
    best = 0 if costs[0] <= CLEAR * min(costs) else costs.index(min(costs))
    if judged is whole:
        return tried[best]
    return workspace(lower(program, results, *arranged[best].choice), given, later=later)


def _beginning(program: Program) -> Program:
    equations = program.equations[:JUDGED]
    return needed(replace(program, equations=equations), (equations[-1].target,))


def shared(schedule: Schedule, batch: Symbol, sizes: Mapping[Symbol, int]) -> int:
    """How many Python threads shall share a batch: 1, its products in two threads of BLAS, or 2."""
    schedule = _sample(schedule)
    whole = estimate(schedule, sizes)
    half = estimate(schedule, {**sizes, batch: max(sizes[batch] // 2, 1)})
    alone = whole.time - whole.products / 2 * min(1.0, whole.products / whole.calls / LARGE)
    return 2 if START + half.time + half.calls * HANDOVER < GAIN * alone else 1


def _sample(schedule: Schedule) -> Schedule:
    """Some of many statements, which stand for all: what makes an array, or a loop, among them."""
    step = max(len(schedule.statements) // SAMPLED, 1)
    some = (s for k, s in enumerate(schedule.statements) if s.fresh or s.loop or k % step == 0)
    return divided(replace(schedule, statements=tuple(some)), ())[0]


def at_once(schedule: Schedule, batch: Symbol) -> int:
    """How many samples a workspace is for where there are more: their arrays stay in the cache.

    Fewer where they take no longer; more where most of the time would go to the calls.
    """
    made = sum(size_of(slot.size.subs(batch, FULL)) for slot in schedule.slots) / FULL
    fitting = max(ROOM / max(made, 1.0), 1.0)
    chosen = min(max(2 ** int(math.log2(fitting)), LEAST), MOST)

    @cache
    def each(samples: int) -> float:
        return estimate(schedule, {batch: samples}).time / samples

    while chosen < MOST and each(2 * chosen) < WORTH * each(chosen):
        chosen *= 2
    while chosen > LEAST and each(chosen // 2) <= each(chosen):
        chosen //= 2
    return chosen
