"""Scans: equations that read each other at the step before, and are computed together.

    s[t,j] = sum[k](h[t-1,k]*U[k,j])        one scan over t: s and h at 0, then at 1, ...
    h[t,j] = tanh(s[t,j] + u[t,j])          h[-1,j] = h0[j]

In a program the equations of a scan stand together, in the order in which they are evaluated within
one step. All of them carry the scan's index; what they read of each other, they read at the index
itself from lines above, or at the step from any line that has a `recurrence`.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import replace

from derive.language.notation import Access, Equation, Index, Program, Recurrence, accesses

Group = tuple[Equation, ...]


def reads(equation: Equation) -> frozenset[str]:
    """The tensors that an equation reads, its initial line included."""
    found = {a.tensor for a in accesses(equation.body)}
    if equation.recurrence is not None:
        found |= {a.tensor for a in accesses(equation.recurrence.initial)}
    return frozenset(found)


def groups(equations: Sequence[Equation]) -> tuple[Group, ...]:
    """The scans of a program and its other equations, each of these alone, in order."""
    if all(e.recurrence is None for e in equations):
        return tuple((e,) for e in equations)  # each reads what stands above it
    place = {e.target: k for k, e in enumerate(equations)}
    found: list[Group] = []
    start = 0
    while start < len(equations):
        stop, k = start, start
        while k <= stop:
            read = {a.tensor for a in accesses(equations[k].body)}
            stop = max([stop, *(place[name] for name in read if name in place)])
            k += 1
        found.append(tuple(equations[start : stop + 1]))
        start = stop + 1
    return tuple(found)


def recurrence(group: Group) -> Recurrence | None:
    """The recurrence that makes a group a scan, or None: index and step are those of all."""
    found = next((e.recurrence for e in group if e.recurrence is not None), None)
    if found is None:
        return None
    targets = {e.target for e in group}
    inside = any(a.tensor in targets for e in group for a in accesses(e.body))
    return found if inside else None


def elsewhere(equation: Equation, access: Access) -> bool:
    """Whether an access to the target of a recurrence may read its initial value: `h[t-1,j]`."""
    if equation.recurrence is None:
        return False
    axis = equation.indices.index(equation.recurrence.index)
    return not isinstance(access.indices[axis], Index)


def in_order(program: Program) -> Program:
    """The program with its equations in an order of evaluation, if there is a recurrence in it."""
    if all(e.recurrence is None for e in program.equations):
        return program
    results = program.results or (program.result,)
    return replace(program, equations=ordered(program.equations), results=results)


def ordered(equations: Sequence[Equation]) -> tuple[Equation, ...]:
    """The equations in an order of evaluation, the members of each scan together; stable.

    Strongly connected components in topological order (Tarjan 1972). Within a scan, what is read at
    the index itself stands above; reads at the step are no obstacle.
    """
    by_target = {e.target: e for e in equations}
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components: list[set[str]] = []
    for root in by_target:
        if root in number:
            continue
        work = [(root, iter(_inner(by_target[root], by_target)))]
        number[root] = low[root] = len(number)
        stack.append(root)
        while work:
            name, successors = work[-1]
            for other in successors:
                if other not in number:
                    number[other] = low[other] = len(number)
                    stack.append(other)
                    work.append((other, iter(_inner(by_target[other], by_target))))
                    break
                if other in stack:
                    low[name] = min(low[name], number[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == number[name]:
                    component = set(stack[stack.index(name) :])
                    del stack[stack.index(name) :]
                    components.append(component)
    place = {name: k for k, name in enumerate(by_target)}
    return tuple(
        e
        for names in components
        for e in _within([by_target[name] for name in sorted(names, key=place.__getitem__)])
    )


def _inner(equation: Equation, known: dict[str, Equation]) -> list[str]:
    return [name for name in dict.fromkeys(sorted(reads(equation))) if name in known]


def _within(members: list[Equation]) -> list[Equation]:
    """The members of one component: those read at the index itself above those that read them."""
    index = next((e.recurrence.index for e in members if e.recurrence is not None), None)
    if len(members) == 1 or index is None:
        return members
    axes = {e.target: e.indices.index(index) for e in members if index in e.indices}
    needs = {e.target: _same_step(e, axes, index) for e in members}
    names = above_readers(needs)
    by_target = {e.target: e for e in members}
    return [by_target[name] for name in [*names, *(n for n in needs if n not in set(names))]]


def above_readers(needs: Mapping[str, set[str]]) -> list[str]:
    """The names, each below those that it needs and else as they stand; none that needs itself."""
    place = {name: k for k, name in enumerate(needs)}
    waiting = {name: len(known & needs.keys()) for name, known in needs.items()}
    needed_by: dict[str, list[str]] = {name: [] for name in needs}
    for name, known in needs.items():
        for other in known & needs.keys():
            needed_by[other].append(name)
    ready = [place[name] for name, count in waiting.items() if not count]
    names, found = list(needs), []
    while ready:
        found.append(names[heapq.heappop(ready)])
        for name in needed_by[found[-1]]:
            waiting[name] -= 1
            if not waiting[name]:
                heapq.heappush(ready, place[name])
    return found


def _same_step(equation: Equation, axes: Mapping[str, int], index: Index) -> set[str]:
    """The members of a scan that an equation reads at the index itself, and not at the step."""
    return {
        a.tensor
        for a in accesses(equation.body)
        if a.tensor in axes and a.indices[axes[a.tensor]] == index
    }


def reachable(graph: Mapping[str, set[str]], name: str) -> set[str]:
    """What one comes to from a name by one edge of the graph, or more."""
    found: set[str] = set()
    pending = [name]
    while pending:
        new = graph[pending.pop()] - found
        found |= new
        pending += new
    return found
