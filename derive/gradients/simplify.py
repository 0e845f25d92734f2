"""The textbook form: what a derivation arrives at, by named identities.

    recognize(program)          before differentiating: naive forms get their names
    textbook(equation, known)   after: cached outputs reused, factors collected, sums in place
    name_softmaxes(program, backward)   at the end: `p` for the exponentials that cotangents read

Every change is recorded as `Rewriting(identity, before, after)`, two equal equations and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from sympy import Add, Expr, Mul, Pow, exp

from derive.gradients.blocks import blocks
from derive.gradients.identities import COMMON_FACTOR, SOFTMAX, SUM_OF_DEVIATIONS
from derive.gradients.lengths import length
from derive.gradients.normal_form import fresh, names
from derive.gradients.recognition import recognize
from derive.gradients.reuse import (
    OUT_OF_SUMS,
    READ_FORWARD,
    WRITTEN_OUT,
    Rewriting,
    outside,
    reused,
    signed,
    value_at,
    values_of,
)
from derive.gradients.shortest import simplified, stages
from derive.gradients.statistics import balanced, captured, compact, with_whole_softmax
from derive.language.functions import where
from derive.language.notation import Access, Equation, Index, Program, Reduce, accesses

__all__ = ["Rewriting", "name_softmaxes", "recognize", "textbook"]


def textbook(
    equation: Equation,
    known: Iterable[Equation],
    inline: Iterable[Equation] = (),
    cotangents: Mapping[str, Equation] = MappingProxyType({}),
    further: Iterable[Equation] = (),
) -> tuple[Equation, tuple[Rewriting, ...]]:
    """A cotangent equation in textbook form, and the steps to it.

    `known` are equations in normal form whose targets may be read instead of computed again.
    `inline` are cotangents whose reductions are written out where this makes a common factor:
    `p*g + p*l_bar -> p*(g - sum[k](g*p))`; `cotangents`, all there are, may be written out where
    they came through a statistic; `further` are forward equations that these have to do with.
    """
    known = tuple(known)
    steps: list[Rewriting] = []
    table = {e.target: e for e in inline}

    def record(identity: str, body: Expr) -> None:
        nonlocal equation
        if body != equation.body:
            after = replace(equation, body=body)
            steps.append(Rewriting(identity, equation, after))
            equation = after

    record(OUT_OF_SUMS, outside(equation.body))
    record(SUM_OF_DEVIATIONS, balanced(equation.body, known))
    for rule, body in compact(equation, (*known, *further), cotangents):
        record(rule, body)
    record(WRITTEN_OUT, _inlined(equation.body, table))
    scalar = (e for e in known if e.reduction is None and e.body.args and not _trivial(e.body))
    computed = tuple(scalar)
    for part in blocks(equation):
        for identity, term in _shorter(part.term, values_of(part.term, computed)):
            after = part.with_term(term)
            record(identity, equation.body.xreplace({part.chosen: after.chosen}))
            part = after
    values = values_of(equation.body, computed)
    for identity, body in _shorter(equation.body, values):
        record(identity, body)
    return equation, tuple(steps)


def _trivial(body: Expr) -> bool:
    return isinstance(body, Access) or body.is_Number


def _shorter(body: Expr, values: dict[Expr, Access]) -> Iterator[tuple[str, Expr]]:
    """The forms on the way to the shortest one, each with the name of the identity."""
    inside = body
    for identity, form in _stages(body, tuple(values)):
        yield identity, form
        inside = form
    read = reused(inside, values)
    yield READ_FORWARD, read
    if inside.has(where) and not read.has(where):  # the mask is read with the value
        yield COMMON_FACTOR, simplified(read)[0]


def _stages(e: Expr, values: tuple[Expr, ...]) -> Iterator[tuple[str, Expr]]:
    """Each scalar part simplified, the terms of reductions first."""
    for reduce in tuple(_reductions(e)):
        part: Expr = reduce
        for identity, term in _stages(reduce.term, values):
            before, part = part, Reduce(reduce.op, term, reduce.bound, reduce.guard)
            e = e.xreplace({before: part})
            yield identity, e
        e = e.xreplace({part: outside(part)})
        yield OUT_OF_SUMS, e
    yield from stages(e, values)


def _reductions(e: Expr) -> Iterator[Reduce]:
    """The outermost reductions of an expression."""
    if isinstance(e, Reduce):
        yield e
    elif not isinstance(e, Access):
        for a in e.args:
            yield from _reductions(a)


def _inlined(e: Expr, table: dict[str, Equation]) -> Expr:
    """`p*g + p*l_bar -> p*g - p*sum[k](g*p)`, where `l_bar` is a sum of its own."""
    values = {}
    if isinstance(e, Add):
        for a in dict.fromkeys(accesses(e)):
            if a.tensor in table and _is_scaled_sum(table[a.tensor].body):
                values[a] = captured(value_at(table[a.tensor], a), e)
    return e.xreplace(values)


def _is_scaled_sum(e: Expr) -> bool:
    factors = Mul.make_args(e)
    return sum(isinstance(f, Reduce) for f in factors) == 1 and len(factors) <= 3


def name_softmaxes(
    program: Program, backward: tuple[Equation, ...]
) -> tuple[Program, tuple[Equation, ...], tuple[Rewriting, ...]]:
    """The softmax as a forward equation of its own, where a cotangent reads one.

    z_bar[n,j] = (exp(z[n,j] - l[n]) - (j == y[n]))/N
        ->   p[n,j] = exp(z[n,j] - l[n]),   z_bar[n,j] = (p[n,j] - (j == y[n]))/N
    """
    taken = names(program) | {e.target for e in backward}
    readers: dict[str, list[int]] = {}
    for k, e in enumerate(backward):
        for name in {a.tensor for a in accesses(e.body)}:
            readers.setdefault(name, []).append(k)
    written = list(backward)
    steps: list[Rewriting] = []
    forward: list[Equation] = []
    for equation in program.equations:
        forward.append(equation)
        if equation.reduction != "logsumexp" or equation.guard != 1:
            continue  # under a guard the exponential may have no value elsewhere
        bound = equation.bound
        p = Equation("", (*equation.indices, *bound), exp(equation.term - equation.access))
        changed = {}
        for k in readers.get(equation.target, ()):
            after = _with_softmax(written[k].body, p)
            after = with_whole_softmax(after, p, bound)
            if after != written[k].body:
                changed[k] = replace(written[k], body=after)
        if changed:
            renaming = _plain_names(p, changed.values())
            p = Equation(
                fresh("p", taken),
                tuple(renaming.get(i, i) for i in p.indices),
                p.body.xreplace(renaming),
            )
            forward.append(p)
            own = {"": p.target}
            for k, e in changed.items():
                after = _retargeted(e, own)
                steps.append(Rewriting(SOFTMAX, written[k], after))
                written[k] = after
    results = program.results or (program.result,)  # a softmax may come to stand after them
    program = replace(program, equations=tuple(forward), results=results)
    return program, tuple(written), tuple(steps)


def _with_softmax(e: Expr, p: Equation) -> Expr:
    """`w*sum[n](exp(q[n] - l[n])*g[n]) -> sum[n](p[n]*g[n])` for `p[n] = w*exp(q[n] - l[n])`."""
    powers = [f for f in Mul.make_args(p.body) if isinstance(f, exp)]
    if p.body in powers or len(powers) != 1:
        return reused(e, values_of(e, (p,)))
    weight = replace(p, body=Mul(*(f for f in Mul.make_args(p.body) if f not in powers)))
    found = values_of(e, (replace(p, body=powers[0]),))
    table: dict[Expr, Any] = {v: a / value_at(weight, a) for v, a in found.items()}
    after = signed(outside(reused(e, table)))
    divisors = {f.base for f in after.atoms(Pow) if f.exp.is_negative}
    divisors -= {f.base for f in e.atoms(Pow) if f.exp.is_negative}
    return after if not divisors and length(after) < length(e) else e


def _plain_names(p: Equation, readers: Iterable[Equation]) -> dict[Index, Index]:
    """The index names under which a reader has `p`, if it has it at distinct plain indices."""
    for e in readers:
        for a in accesses(e.body):
            plain = all(isinstance(i, Index) for i in a.indices)
            if a.tensor == p.target and plain and len(set(a.indices)) == len(a.indices):
                return dict(zip(p.indices, a.indices, strict=True))
    return {}


def _retargeted(e: Equation, name: dict[str, str]) -> Equation:
    table: dict[Any, Any] = {
        a: Access(name[a.tensor], *a.indices) for a in accesses(e.body) if a.tensor in name
    }
    return replace(e, body=e.body.xreplace(table))
