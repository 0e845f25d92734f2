"""Factors of one step of a scan after the other as one, where nothing else reads what is between.

    q[n,t,j] = (1 - g[n,t,j]**2)*a[n,t,j]                  (members of a scan: a, q, v)
    v[n,t,j] = r[n,t,j]*q[n,t,j]

    ->    q_in[n,t,j] = r[n,t,j]*(1 - g[n,t,j]**2)         for all steps at once, before the scan
          v[n,t,j]    = q_in[n,t,j]*a[n,t,j]

The product is taken in another order: its value is the same but for roundings. A step has a product
less, and of the two factors and what they are computed from one array is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from sympy import Add, Expr, Mul

from derive.code.views import SMALL, count
from derive.gradients.blocks import block
from derive.gradients.normal_form import fresh, names
from derive.language import scans
from derive.language.notation import Access, Equation, Index, Program, accesses


def joined(program: Program) -> Program:
    """The program with the factors of members that are read once in those of their readers."""
    if all(e.recurrence is None for e in program.equations):
        return program
    results = program.results or (program.result,)
    reads = Counter(a.tensor for e in program.equations for a in accesses(e.body))
    starts = (e.recurrence.initial for e in program.equations if e.recurrence)
    reads.update(a.tensor for initial in starts for a in accesses(initial))
    once = {t for t, count in reads.items() if count == 1} - set(results)
    taken = names(program)
    found: list[Equation] = []
    for group in scans.groups(scans.ordered(program.equations)):
        recurrence = scans.recurrence(group)
        if recurrence is None or _is_large(group, recurrence.index):
            found += group
            continue
        members = {e.target: e for e in group}
        before: list[Equation] = []
        for e in group:
            if e.reduction is None and e.target in members:
                addends = Add.make_args(e.body)
                new = (_addend(a, e, members, once, taken, before) for a in addends)
                members[e.target] = replace(e, body=Add(*new))
        found += [*before, *members.values()]
    return replace(program, equations=tuple(found), results=results)


def _is_large(group: scans.Group, t: Index) -> bool:
    """Whether a step's arrays are large: memory for all steps costs more than a product at each."""
    return any(count(i for i in e.indices if i != t) > SMALL for e in group)


def _addend(
    addend: Expr,
    e: Equation,
    members: dict[str, Equation],
    once: Collection[str],
    taken: set[str],
    before: list[Equation],
) -> Expr:
    """An addend, a block of one or not, with the factors of what it reads of members."""
    own = block(addend, e.indices)
    if own is None:
        return _product(addend, members, once, taken, before)
    return own.with_term(_product(own.term, members, once, taken, before)).chosen


def _product(
    term: Expr,
    members: dict[str, Equation],
    once: Collection[str],
    taken: set[str],
    before: list[Equation],
) -> Expr:
    """A product with the factors of one member that it reads: those that do not move as one."""
    for a in Mul.make_args(term):
        inner = members.get(a.tensor) if isinstance(a, Access) and a.tensor in once else None
        if inner is None or inner.reduction or inner.recurrence is not None:
            continue
        if [getattr(i, "size", None) for i in a.indices] != [i.size for i in inner.indices]:
            continue
        there = dict(zip(inner.indices, a.indices, strict=True))
        here = {i: j for j, i in there.items()}
        kept, moving = _parted(inner.body, members)
        factor, rest = _parted(term / a, members)
        if not kept.has(Access) or not factor.has(Access) or not factor.atoms(Index) <= {*here}:
            continue
        both = kept * factor.xreplace(here)
        if not any(x.atoms(Index) >= {*inner.indices} for x in accesses(both)):
            continue
        target = fresh(f"{inner.target}_in", taken)
        before.append(Equation(target, inner.indices, both, inner.origin or inner.target))
        del members[inner.target]
        return Mul(Access(target, *a.indices), moving.xreplace(there), rest)
    return term


def _parted(e: Expr, members: Collection[str]) -> tuple[Expr, Expr]:
    """The factors that read no member, and those that do."""
    factors = Mul.make_args(e)
    moving = [x for x in factors if any(a.tensor in members for a in accesses(x))]
    return Mul(*(x for x in factors if x not in moving)), Mul(*moving)
