"""Blocks of an axis that another tensor has at the same places, read from there.

    v[n,m] = where(m < J, r[n,m]*g[n,m], 0) + where(J <= m, q[n,m-J]*r[n,m-J], 0)
    u[n,m] = where(m < J, r[n,m]*g[n,m], 0) + where(J <= m, q[n,m-J], 0)

    ->    u[n,m] = where(m < J, v[n,m], 0) + where(J <= m, q[n,m-J], 0)

Exact: where a block is, all other blocks of the tensor are 0. What the block was computed from need
not be kept for it: r and g of all steps, where v is a member of a scan that others read.
"""

from __future__ import annotations

from dataclasses import replace

from sympy import Add, Expr, S

from derive.gradients.blocks import Block, partition
from derive.language import scans
from derive.language.functions import where
from derive.language.notation import Access, Equation, Index, Program, accesses


def with_known_blocks(program: Program) -> Program:
    """The program with such blocks read from the first tensor that has them."""
    groups = [*scans.groups(program.equations)]
    kept = {
        a.tensor
        for group in groups
        for e in group
        for a in accesses(e.body)
        if a.tensor not in {other.target for other in group}
    }
    known: dict[tuple[Expr, ...], str] = {}
    found: list[Equation] = []
    for group in groups:
        alone = scans.recurrence(group) is None
        for e in group:
            parts = partition(e)
            found.append(_read(e, parts, known) if alone and parts else e)
            if alone or e.target in kept:
                for b in parts:
                    if sum(b.places == other.places for other in parts) == 1:
                        known.setdefault(_anywhere(b.chosen, e), e.target)
    results = program.results or (program.result,)
    return replace(program, equations=tuple(found), results=results)


def _read(e: Equation, parts: tuple[Block, ...], known: dict[tuple[Expr, ...], str]) -> Equation:
    """The equation with the blocks that are computed elsewhere read from there."""
    body = []
    for b in parts:
        there = known.get(_anywhere(b.chosen, e))
        read = there is not None and not isinstance(b.term, Access)
        own = where(b.chosen.args[0], Access(there, *e.indices), S.Zero) if read else b.chosen
        body.append(own)
    return replace(e, body=Add(*body))


def _anywhere(chosen: Expr, e: Equation) -> tuple[Expr, ...]:
    """A block, whatever the indices of its tensor are called, and the tensor's shape."""
    renamed = {i: Index(f"_{k}", i.size) for k, i in enumerate(e.indices)}
    return chosen.xreplace(renamed), *(i.size for i in e.indices)
