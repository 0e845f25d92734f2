"""Auxiliary equations that are read once, put back where they are read.

    t_1[n] = sum[k](exp(z[n,k]));  y[n,j] = exp(z[n,j]) / t_1[n]
    ->  y[n,j] = exp(z[n,j]) / sum[k](exp(z[n,k]))

Exact, because an auxiliary equation changes no value. The opposite of `flatten`, for the reader:
what is read twice keeps its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from sympy import Expr

from derive.gradients.normal_form import fresh
from derive.language.notation import (
    REMEMBERED,
    Access,
    Equation,
    Index,
    accesses,
    indices,
    reductions,
)


def fold(equations: Iterable[Equation], keep: Collection[str] = ()) -> tuple[Equation, ...]:
    """The equations without the auxiliary ones that are read just once; those in `keep` stay."""
    whole = tuple(equations)
    parts = foldable(whole, keep)
    return tuple(inserted(e, parts) for e in whole if e.target not in parts)


def foldable(equations: Iterable[Equation], keep: Collection[str] = ()) -> Mapping[str, Equation]:
    """The auxiliary equations that are read just once, by target, themselves folded."""
    whole = tuple(equations)
    every = [a for e in whole for a in accesses(e.body)]
    reads = Counter(a.tensor for a in every)
    keep = {*keep, *_kept_by_recurrences(whole, every)}
    parts: dict[str, Equation] = {}
    for e in whole:
        auxiliary = e.origin not in ("", e.target) and e.target not in keep
        if auxiliary and reads[e.target] == 1:
            parts[e.target] = inserted(e, parts)
    return parts


def _kept_by_recurrences(whole: Sequence[Equation], every: Iterable[Access]) -> Iterator[str]:
    """What has an initial value or is one, and what is read at a step where its body is not."""
    started = {e.target for e in whole if e.recurrence is not None}
    if not started:
        return
    yield from started
    for e in whole:
        if e.recurrence is not None:
            yield from (a.tensor for a in accesses(e.recurrence.initial))
    moved = {a.tensor for a in every if not all(isinstance(i, Index) for i in a.indices)}
    for e in whole:
        if e.target in moved and any(a.tensor in started for a in accesses(e.body)):
            yield e.target


def inserted(equation: Equation, parts: Mapping[str, Equation]) -> Equation:
    """The equation with each access to one of `parts` replaced by what that is."""
    body = equation.body
    read = {a for a in accesses(body) if a.tensor in parts}
    for access in sorted(read, key=str):
        body = _with(body, access, parts[access.tensor])
    return replace(equation, body=body) if read else equation


@lru_cache(maxsize=REMEMBERED)
def _with(host: Expr, access: Access, part: Equation) -> Expr:
    return host.xreplace({access: _at(part, access, host)})


def _at(part: Equation, access: Access, host: Expr) -> Expr:
    """The body of an auxiliary equation at the indices of an access, no bound name met twice."""
    taken = {i.name for i in indices(host) | indices(access) | set(part.indices)}
    bound = dict.fromkeys(i for r in reductions(part.body) for i in r.bound)
    body = part.body.xreplace({i: i.renamed(fresh(i.name, taken)) for i in sorted(bound, key=str)})
    return body.xreplace(dict(zip(part.indices, access.indices, strict=True)))
