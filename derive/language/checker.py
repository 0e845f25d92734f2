"""What makes a program well formed: invariants, each a function that yields its violations.

A program that a pass made wrong is found here, before anything is computed from it. `check` holds
for what a user may write, `check_normal` for what `flatten` gives as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import sympy
from sympy import Expr, Symbol
from sympy.codegen.cfunctions import expm1, log1p

from derive.language import functions
from derive.language.functions import (
    FUNCTIONS,
    Named,
    and_,
    floordiv,
    maximum,
    minimum,
    mod,
    or_,
    stop_gradient,
    where,
)
from derive.language.notation import (
    ELLIPSIS,
    REDUCTIONS,
    Access,
    DeriveError,
    Equation,
    Index,
    Program,
    Recurrence,
    Reduce,
    accesses,
)
from derive.language.scans import Group, groups, reachable, recurrence
from derive.language.text_printer import text

Violations = Iterator[str]

_OPERATIONS = (sympy.Add, sympy.Mul, sympy.Pow, sympy.Number, sympy.NumberSymbol, Symbol)
_FUNCTIONS = tuple(f for f in FUNCTIONS.values() if isinstance(f, type))
_OF_INDICES = (sympy.Add, sympy.Mul, sympy.Pow, floordiv, mod)
_OF_INTEGERS = (*_OF_INDICES, maximum, minimum, stop_gradient, sympy.Abs, where)


def check(program: Program) -> None:
    """Raise a `DeriveError` that names the equation and the invariant it breaks."""
    _require(program, INVARIANTS)


def check_normal(program: Program) -> None:
    """`check`, and that each body is a scalar expression or one reduction of one."""
    _require(program, (*INVARIANTS, reductions_stand_at_the_root, initial_values_are_plain))


def _require(program: Program, invariants: tuple[Callable[[Program], Violations], ...]) -> None:
    for invariant in invariants:
        for violation in invariant(program):
            raise DeriveError(f"{violation} (of a program: {_sentence(invariant)})")


def _sentence(invariant: Callable[[Program], Violations]) -> str:
    return invariant.__name__.replace("_", " ")


class Place(NamedTuple):
    """An expression, the indices that may stand in it, and whether a condition guards it."""

    e: Expr
    scope: tuple[Index, ...]
    guarded: bool


def _places(e: Expr, scope: tuple[Index, ...], guarded: bool = False) -> Iterator[Place]:
    """Every expression within `e`, in preorder."""
    yield Place(e, scope, guarded)
    if isinstance(e, Access):
        for i in e.indices:
            yield from _places(i, scope, guarded)
    elif isinstance(e, Reduce):
        inner = (*scope, *e.bound)
        yield from _places(e.guard, inner, guarded)
        yield from _places(e.term, inner, guarded or e.guard != 1)
    else:
        for k, a in enumerate(e.args):
            yield from _places(a, scope, guarded or (isinstance(e, where | and_ | or_) and k > 0))


def _in_bodies(program: Program) -> Iterator[tuple[Equation, Place]]:
    for equation in program.equations:
        for line in equation.lines:
            scope = tuple(i for i in line.indices if isinstance(i, Index))
            for place in _places(line.body, scope):
                yield line, place


def _axes(program: Program) -> dict[str, tuple[Index, ...]]:
    inputs = {t.name: t.axes for t in program.inputs}
    return inputs | {e.target: e.indices for e in program.equations}


# The invariants


def names_are_given_once(program: Program) -> Violations:
    names = [*(t.name for t in program.inputs), *(e.target for e in program.equations)]
    yield from (f"{name} is given twice" for name, count in Counter(names).items() if count > 1)


def left_hand_indices_are_plain_and_distinct(program: Program) -> Violations:
    left = [(text(e.access), e.indices) for e in program.equations]
    for shown, axes in [*((str(t), t.axes) for t in program.inputs), *left]:
        if not all(isinstance(i, Index) for i in axes):
            yield f"{shown}: an axis is no plain index"
        elif len({i.name for i in axes}) < len(axes):
            yield f"{shown}: an index stands on two axes"


def bodies_are_of_the_language(program: Program) -> Violations:
    for equation, (e, _, _) in _in_bodies(program):
        known = (*_OPERATIONS, *_FUNCTIONS, functions.Real, expm1, log1p, Access, Reduce, Named)
        if not isinstance(e, known) or e in (sympy.nan, sympy.zoo, sympy.I):
            yield f"{equation}: {text(e)} is no expression of the language ({type(e).__name__})"


def reductions_are_known(program: Program) -> Violations:
    for equation, (e, _, _) in _in_bodies(program):
        if isinstance(e, Reduce) and e.op not in REDUCTIONS:
            yield f"{equation}: {e.op} is no reduction"
        if isinstance(e, Reduce) and not e.bound:
            yield f"{equation}: {e.op} reduces over no index"


def bound_names_are_fresh(program: Program) -> Violations:
    for equation, (e, scope, _) in _in_bodies(program):
        if isinstance(e, Reduce):
            names = [i.name for i in (*scope, *e.bound)]
            for name in {n for n in names if names.count(n) > 1}:
                yield f"{equation}: {e.op} binds {name}, which is already in scope"


def indices_are_on_the_left_or_bound(program: Program) -> Violations:
    for equation, (e, scope, _) in _in_bodies(program):
        if isinstance(e, Index) and e not in scope:
            yield f"{equation}: nothing gives the index {e.name} of size {e.size} a range here"


def recurrences_run_over_an_index_of_the_left(program: Program) -> Violations:
    for equation in program.equations:
        if (found := equation.recurrence) is not None:
            if found.index not in equation.indices:
                yield f"{equation}: a recurrence over {found.index.name}, which is not on the left"
            if found.step not in (-1, 1):
                yield f"{equation}: a recurrence by a step of {found.step}"


def tensors_are_read_below_their_line(program: Program) -> Violations:
    """Those of one scan may be read above it, by equations and not by initial lines."""
    known = {t.name for t in program.inputs}
    for group in groups(program.equations):
        scan = {e.target for e in group} if recurrence(group) is not None else set()
        for equation in group:
            *initial, line = equation.lines
            read = [(line, a.tensor) for a in accesses(line.body) if a.tensor not in scan]
            read += [(first, a.tensor) for first in initial for a in accesses(first.body)]
            for line, tensor in read:
                if tensor not in known:
                    yield f"{line}: {tensor} is read, but is no input and no earlier target"
            known |= set() if scan else {equation.target}
        known |= scan


def accesses_have_an_index_for_each_axis(program: Program) -> Violations:
    axes = _axes(program)
    for equation, (e, _, _) in _in_bodies(program):
        if isinstance(e, Access) and len(e.indices) != len(axes[e.tensor]):
            yield f"{equation}: {text(e)} where {e.tensor} has {len(axes[e.tensor])} axes"


def scans_go_step_by_step(program: Program) -> Violations:
    """Each member at the index itself from a line above, or at the step if it has a start."""
    for group, found in _scans(program):
        t = found.index
        above: set[str] = set()
        axes = {e.target: e.indices.index(t) for e in group if t in e.indices}
        starts = {e.target for e in group if e.recurrence is not None}
        for equation in group:
            if equation.target not in axes:
                yield f"{equation}: in a scan over {t.name}, which is not on the left"
            other = equation.recurrence or found
            if (other.index, other.step) != (t, found.step):
                yield f"{equation}: a recurrence that runs otherwise than its scan over {t.name}"
            for access in accesses(equation.body):
                if access.tensor in axes:
                    index = access.indices[axes[access.tensor]]
                    known = above if index == t else starts if index == t + found.step else ()
                    if access.tensor not in known:
                        yield f"{equation}: {text(access)} is not known yet at this step"
            above.add(equation.target)


def members_of_a_scan_stand_together(program: Program) -> Violations:
    for group, _ in _scans(program):
        names = {e.target for e in group}
        graph = {e.target: {a.tensor for a in accesses(e.body)} & names for e in group}
        from_each = {name: reachable(graph, name) for name in graph}
        for equation in group:  # first what is no part of any scan, then what is of another
            if equation.target not in from_each[equation.target]:
                yield f"{equation}: stands within a scan to which it does not belong"
        for equation in group:
            if names - from_each[equation.target]:
                yield f"{equation}: stands within a scan to which it does not belong"


def _scans(program: Program) -> Iterator[tuple[Group, Recurrence]]:
    for group in groups(program.equations):
        if (found := recurrence(group)) is not None:
            yield group, found


def index_names_have_one_size(program: Program) -> Violations:
    sizes: dict[str, Expr] = {}
    for equation in program.equations:
        inside = {i for line in equation.lines for i in line.body.atoms(Index)}
        for i in (*equation.indices, *sorted(inside, key=str)):
            if sizes.setdefault(i.name, i.size) != i.size:
                yield f"{equation}: the index {i.name} has size {i.size}, but above {sizes[i.name]}"


def indices_alone_run_over_their_axis(program: Program) -> Violations:
    """Under a condition, or where both sizes are known numbers, over a part of it is enough."""
    axes = _axes(program)
    numbers = {symbol: value for symbol, value in program.sizes if value.is_Integer}
    for equation, (e, _, guarded) in _in_bodies(program):
        if isinstance(e, Access) and not guarded:
            for i, axis in zip(e.indices, axes[e.tensor], strict=True):
                if isinstance(i, Index) and i.size != axis.size:
                    rest = axis.size.xreplace(numbers) - i.size.xreplace(numbers)
                    if not (rest.is_Integer and rest >= 0):
                        sizes = f"has size {i.size}, but the axis {axis.size}"
                        yield f"{equation}: in {text(e)} the index {i.name} {sizes}"


def positions_are_integers(program: Program) -> Violations:
    integer = integer_tensors(program)
    for equation, (e, _, _) in _in_bodies(program):
        for i in e.indices if isinstance(e, Access) else ():
            if not _is_position(i, integer):
                yield f"{equation}: the index {text(i)} of {text(e)} is no integer expression"
            if not isinstance(i, Index) and any(a.name == ELLIPSIS for a in i.atoms(Index)):
                yield f"{equation}: {text(e)} computes with ..., which only stands for axes"


def sizes_follow_from_the_inputs(program: Program) -> Violations:
    axes = [i for t in program.inputs for i in t.axes]
    known = {i.size for i in axes if isinstance(i.size, Symbol)}
    for symbol, value in program.sizes:  # it may be that of an input's axis, too
        if [s for s, _ in program.sizes].count(symbol) > 1:
            yield f"the size {symbol} is given twice"
        if value.has(Index, Access) or not value.free_symbols <= known:
            yield f"the size {symbol} = {text(value)} does not follow from sizes of inputs"
        known.add(symbol)
    for equation, (e, scope, _) in _in_bodies(program):
        sizes = (i.size for i in (*scope, *(e.bound if isinstance(e, Reduce) else ())))
        read = e.free_symbols if isinstance(e, Symbol) and not isinstance(e, Index) else set()
        for symbol in read.union(*(s.free_symbols for s in sizes)) - known:
            yield f"{equation}: nothing fixes the size {symbol}"


def results_are_targets(program: Program) -> Violations:
    targets = {e.target for e in program.equations}
    if not targets:
        yield "there is no equation"
    yield from (f"{name} is asked for" for name in program.results if name not in targets)


def initial_values_are_plain(program: Program) -> Violations:
    for equation in program.equations:
        if equation.recurrence is not None:
            e = equation.recurrence.initial
            plain = isinstance(e, Access) and all(isinstance(i, Index) for i in e.indices)
            if not (e.is_number or plain):
                yield f"{equation.lines[0]}: no number, and no access at plain indices"


def reductions_stand_at_the_root(program: Program) -> Violations:
    for equation in program.equations:
        for part in (equation.term, equation.guard):
            if part.has(Reduce):
                yield f"{equation}: a reduction within {text(part)}"


# Each may rely on those before it.
INVARIANTS: tuple[Callable[[Program], Violations], ...] = (
    names_are_given_once,
    left_hand_indices_are_plain_and_distinct,
    bodies_are_of_the_language,
    reductions_are_known,
    bound_names_are_fresh,
    indices_are_on_the_left_or_bound,
    recurrences_run_over_an_index_of_the_left,
    tensors_are_read_below_their_line,
    accesses_have_an_index_for_each_axis,
    index_names_have_one_size,
    indices_alone_run_over_their_axis,
    scans_go_step_by_step,
    members_of_a_scan_stand_together,
    positions_are_integers,
    sizes_follow_from_the_inputs,
    results_are_targets,
)


def integer_tensors(program: Program) -> frozenset[str]:
    """The inputs that hold integers, and the targets that are computed from nothing else."""
    found = {t.name for t in program.inputs if t.kind == "integer"}
    for group in groups(program.equations):
        new = {e.target for e in group}
        while not_integer := {
            e.target for e in group if e.target in new and not _gives_integers(e, found | new)
        }:
            new -= not_integer
        found |= new
    return frozenset(found)


def _gives_integers(equation: Equation, integer: set[str]) -> bool:
    if equation.reduction in ("argmax", "argmin"):
        return True
    return all(_is_position(line.body, integer, _OF_INTEGERS) for line in equation.lines)


def _is_position(
    e: Expr, integer: frozenset[str] | set[str], computed: tuple[type, ...] = _OF_INDICES
) -> bool:
    """Whether an expression is made of indices, sizes, integers and elements of integer tensors."""
    if isinstance(e, Access):
        return e.tensor in integer
    if isinstance(e, Reduce):
        return e.op in ("argmax", "argmin")
    if isinstance(e, sympy.Integer) or (isinstance(e, Symbol) and e.is_integer):
        return True
    if isinstance(e, sympy.Pow) and not (e.exp.is_Integer and e.exp > 0):
        return False
    parts = e.args[1:] if isinstance(e, where) else e.args
    return isinstance(e, computed) and all(_is_position(a, integer, computed) for a in parts)
