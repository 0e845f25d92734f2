"""Whether a batch may be computed part by part.

    z[n,j] = sum[i](x[n,i]*W[i,j])      z of some samples is z of all, at these
    L = mean[n](l[n])                   the mean of the parts' means, each by its share of samples

Exact, because an equation without the number of samples, that reads at sample n what it computes
for sample n, gives for a part of the batch what it gives there for the whole; and a mean, or what
is linear in means, is then the sum of those of the parts, each times its share. A sum over the
samples, a quotient of two means and a square of one are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sympy import Add, Expr, Mul

from derive.language.notation import Access, Equation, Index, Program, Reduce, accesses


def coupled(program: Program, equations: Iterable[Equation], batch: Index) -> str:
    """The first equation that makes one thing of several samples, or of their number; else ""."""
    axes = _axes(program)
    for e in equations:
        if not _is_separate(e, axes, batch):
            return str(e)
    return ""


def no_mean(program: Program, equations: Iterable[Equation], batch: Index) -> str:
    """The first equation that makes the result no mean over the samples; "" if it is one.

    `equations` are those from the output on.
    """
    axes = _axes(program)
    means: set[str] = set()
    for e in equations:
        over = [i for i in e.bound if i.size == batch.size]
        read = {a.tensor for a in accesses(e.body)}
        if over and not read & means:
            # The mean is one over the samples of what is separate.
            inner = Equation(e.target, (*e.indices, *over), e.term)
            if len(over) > 1 or e.reduction != "mean" or not _is_separate(inner, axes, batch):
                return str(e)
            if not e.guard.is_number:
                return str(e)
            means.add(e.target)
        elif read & means:
            if e.bound or _has_batch(e.body, batch) or not _is_linear(e.body, means):
                return str(e)
            means.add(e.target)
        elif not _is_separate(e, axes, batch):
            return str(e)
    return "" if program.result in means else str(program.equation(program.result))


def _is_linear(body: Expr, means: set[str]) -> bool:
    """2*m + k + 1: each term is one of the means times what is none, or none at all."""
    for term in Add.make_args(body.expand()):
        factors = [f for f in Mul.make_args(term) if {a.tensor for a in accesses(f)} & means]
        if len(factors) > 1 or not all(isinstance(f, Access) for f in factors):
            return False
    return True


def _is_separate(e: Equation, axes: Mapping[str, tuple[Index, ...]], batch: Index) -> bool:
    own = [i for i in e.indices if i.size == batch.size]
    if len(own) > 1 or any(i.size == batch.size for i in e.bound):
        return False
    start = () if e.recurrence is None else (e.recurrence.initial,)
    return all(_reads_at(part, own, axes, batch) for part in (e.body, *start))


def _reads_at(
    e: Expr, own: list[Index], axes: Mapping[str, tuple[Index, ...]], batch: Index
) -> bool:
    """Whether the batch is read nowhere but at the sample that is computed."""
    if isinstance(e, Access):
        return all(
            place in own if i.size == batch.size else _reads_at(place, own, axes, batch)
            for i, place in zip(axes[e.tensor], e.indices, strict=True)
        )
    if isinstance(e, Reduce):
        inner = (e.term, e.guard, *(i.size for i in e.bound))
        return all(_reads_at(part, own, axes, batch) for part in inner)
    if isinstance(e, Index):
        return bool(e.size != batch.size)
    return e != batch.size and all(_reads_at(a, own, axes, batch) for a in e.args)


def _has_batch(e: Expr, batch: Index) -> bool:
    return any(
        s == batch.size or (isinstance(s, Index) and s.size == batch.size) for s in e.atoms()
    )


def _axes(program: Program) -> Mapping[str, tuple[Index, ...]]:
    return {t.name: t.axes for t in program.inputs} | {
        e.target: e.indices for e in program.equations
    }
