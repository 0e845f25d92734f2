"""Programs run through lowering, scheduling and printing, in both forms that a module has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from sympy import exp, log

from derive.code.layout import AS_WRITTEN, Layout
from derive.code.lowering import lower
from derive.code.numpy_printer import allocation, lines, prefixed
from derive.code.scheduling import fresh, workspace
from derive.code.statements import LEADING, size_text
from derive.language.notation import Equation, Program, Reduce


def written_out(program: Program) -> Program:
    """Each logsumexp as a maximum, a sum and a logarithm: lowering knows no other reductions."""
    equations = []
    for e in program.equations:
        if e.reduction == "logsumexp":
            origin = e.origin or e.target
            term, bound, guard = e.term, e.bound, e.guard
            top = Equation(f"{e.target}_m", e.indices, Reduce("max", term, bound, guard), origin)
            sums = Reduce("sum", exp(term - top.access), bound, guard)
            total = Equation(f"{e.target}_s", e.indices, sums, origin)
            equations += [top, total]
            e = replace(e, body=top.access + log(total.access))
        equations.append(e)
    return replace(program, equations=tuple(equations))


def check_ids(ids: Any, size: int, access: str) -> None:
    if np.min(ids, initial=0) < 0 or np.max(ids, initial=0) >= max(size, 1):
        raise ValueError(f"{access}: ids")


def check_range(low: int, high: int, size: int, access: str) -> None:
    if low < 0 or high >= size:
        raise ValueError(f"{access}: range")


def check_terms(some: Any, target: str) -> None:
    if not np.all(some):
        raise ValueError(f"{target}: no term")


def namespace(program: Program, arrays: Mapping[str, Any], dtype: Any) -> dict[str, Any]:
    """What the lines may name: NumPy, the sizes, the checks."""
    known = {
        "np": np,
        "_empty": np.empty,
        "math": math,
        "dtype": np.dtype(dtype),
        "_check_ids": check_ids,
        "_check_range": check_range,
        "_check_terms": check_terms,
    }
    for tensor in program.inputs:
        for i, length in zip(tensor.axes, np.shape(arrays[tensor.name]), strict=True):
            known[size_text(i.size)] = length
    sizes = {
        s: known[size_text(s)] for t in program.inputs for i in t.axes for s in i.size.free_symbols
    }
    for symbol, e in program.sizes:
        known[size_text(symbol)] = sizes[symbol] = int(e.xreplace(sizes))
    assert LEADING not in {t.name for t in program.inputs}
    return known


def cast(program: Program, arrays: Mapping[str, Any], dtype: Any) -> dict[str, Any]:
    kinds = {t.name: np.int64 if t.kind == "integer" else dtype for t in program.inputs}
    return {name: np.asarray(a, kinds[name]) for name, a in arrays.items()}


def run_fresh(
    program: Program,
    results: tuple[str, ...],
    arrays: Mapping[str, Any],
    dtype: Any = np.float64,
    layout: Layout = AS_WRITTEN,
) -> dict[str, Any]:
    """The results as a formula's function computes them."""
    lowered = lower(program, results, layout)
    schedule = fresh(lowered)
    known = namespace(program, arrays, dtype)
    given = cast(program, arrays, dtype)
    known |= {schedule.names[t]: a for t, a in given.items() if t in schedule.names}
    exec("\n".join(lines(schedule.statements, prefixed(schedule, ""), {})), known)
    for name, a in cast(program, arrays, dtype).items():
        assert np.array_equal(a, given[name]), f"{name} was written to"
    return {t: known[schedule.names[t]] for t in results}


class Workspace:
    pass


def run_workspace(
    program: Program,
    results: tuple[str, ...],
    arrays: Mapping[str, Any],
    dtype: Any = np.float64,
    layout: Layout = AS_WRITTEN,
) -> dict[str, Any]:
    """The results as a network's workspace computes them, the second time it is used."""
    lowered = lower(program, results, layout)
    shapes = {e.target: e.indices for e in program.equations}
    given = [t for t in results if shapes[t]]
    schedule = workspace(lowered, given)
    names = prefixed(schedule, "ws.")
    known = namespace(program, arrays, dtype) | {"ws": Workspace()}
    for tensor, a in cast(program, arrays, dtype).items():
        if tensor in schedule.names:
            known["given"] = a
            exec(f"{names[schedule.names[tensor]]} = given", known)
    for t in given:
        shape = [
            known[size_text(i.size)] if not i.size.is_Integer else int(i.size) for i in shapes[t]
        ]
        kind = schedule.buffer(schedule.names[t]).kind
        known["given"] = np.full(shape, 7, np.int64 if kind == "integer" else dtype)
        exec(f"{names[schedule.names[t]]} = given", known)
    exec("\n".join(allocation(schedule, names, {})), known)
    for name, a in vars(known["ws"]).items():
        slots = [b for slot in schedule.slots for b in slot.buffers]
        if name in slots and a.dtype.kind == "f":
            a.fill(np.nan)
    known_first = {schedule.names[t] for t in arrays if t in schedule.names}
    checks = [s for s in schedule.checks if s.reads <= known_first]
    code = "\n".join(lines((*checks, *schedule.statements), names, {}))
    exec(code, known)
    exec(code, known)
    places = vars(known["ws"]) | known
    return {t: places[names[schedule.names[t]].removeprefix("ws.")] for t in results}
