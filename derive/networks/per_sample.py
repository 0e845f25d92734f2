"""The gradient of each sample's loss: the batch index kept, the sum over it left out.

    L = mean[n](l[n])                             L[n] = l[n]
    z_bar[n,j] = (p[n,j] - (j == y[n]))/N   ->    z_bar[n,j] = p[n,j] - (j == y[n])
    W_bar[i,j] = sum[n](x[n,i]*z_bar[n,j])        W_bar[n,i,j] = x[n,i]*z_bar[n,j]

Exact, because every sample gets a batch of its own: of the equations of value and gradient, in
normal form, N is 1 there and every position in the batch is 0; what is 0 in the batch of sample n
is n in the batch of all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from sympy import Expr, S

from derive.gradients.derivation import Gradients
from derive.gradients.normal_form import needed
from derive.language.functions import where
from derive.language.likeness import Memory, Pattern, likeness
from derive.language.notation import Access, DeriveError, Equation, Index, Program, Reduce, accesses


class Coupled(DeriveError):
    """What a network computes of one sample depends on the others."""


def per_sample(
    gradients: Gradients, parameters: Collection[str], output: str, batch: Index
) -> Gradients:
    """The gradients by the parameters with the batch index in front of their axes.

    Raises Coupled where an equation before the loss reads several samples.
    """
    axes = _axes(gradients.forward)
    for equation in needed(gradients.forward, (output,)).equations:
        _assert_separate(equation, axes, batch)
    bars = {p: gradients.cotangents[p] for p in parameters}
    program = needed(gradients.program, tuple(bars.values()))
    separate = _Separate(program, batch)
    equations = tuple(map(separate.equation, program.equations))
    return Gradients(replace(program, equations=equations), (), bars, ())


def _assert_separate(
    equation: Equation, axes: Mapping[str, tuple[Index, ...]], batch: Index
) -> None:
    bound = [i for i in equation.bound if i.size == batch.size]
    places = {
        place
        for a in accesses(equation.body)
        for i, place in zip(axes[a.tensor], a.indices, strict=True)
        if i.size == batch.size
    }
    own = {i for i in equation.indices if i.size == batch.size}
    if bound or places - own or len(own) > 1:
        raise Coupled(f"{equation.target} depends on several samples at once: {equation}")


def _axes(program: Program) -> Mapping[str, tuple[Index, ...]]:
    axes = {t.name: t.axes for t in program.inputs}
    return axes | {e.target: e.indices for e in program.equations}


class _Separate:
    """The program of a batch of one sample, for every sample at once."""

    def __init__(self, program: Program, batch: Index) -> None:
        self.batch = batch
        self.axes = _axes(program)
        # What differs from sample to sample; what is made of parameters alone does not.
        self.varying = {t for t, axes in self.axes.items() if any(map(self.counts, axes))}
        self.varying |= set(program.results)
        reading = {e.target: {a.tensor for a in accesses(e.body)} for e in program.equations}
        while more := {t for t, read in reading.items() if read & self.varying} - self.varying:
            self.varying |= more
        self.kinds = {
            t: (t in self.varying, tuple(map(self.counts, axes))) for t, axes in self.axes.items()
        }
        self.first: Memory[Pattern] = Memory()  # the bodies for the first of those alike

    def counts(self, index: Index) -> bool:
        """Whether an index counts samples."""
        return bool(index.size == self.batch.size)

    def equation(self, e: Equation) -> Equation:
        if e.target not in self.varying:
            return e
        recurrence = e.recurrence
        if recurrence is not None:
            recurrence = replace(recurrence, initial=self.of_one(recurrence.initial))
        indices = (self.batch, *(i for i in e.indices if not self.counts(i)))
        return replace(e, indices=indices, body=self.body(e), recurrence=recurrence)

    def body(self, e: Equation) -> Expr:
        """The right side, with other names that of the first like it.

        Exact, because no more is looked at than which axes count samples, and what varies.
        """
        like = likeness((e.access, e.body, self.batch))
        key = (like.in_sizes, tuple([self.kinds.get(name.name) for name in like.names]))
        first = self.first.get(key)
        if first is None:
            first = self.first[key] = Pattern((self.of_one(e.body),), like.names)
        (body,) = first(like.names)
        return body

    def of_one(self, e: Expr) -> Expr:
        """An expression where the batch is one sample."""
        if isinstance(e, Access):
            places = zip(self.axes[e.tensor], e.indices, strict=True)
            rest = [self.of_one(place) for i, place in places if not self.counts(i)]
            return Access(e.tensor, *([self.batch] if e.tensor in self.varying else []), *rest)
        if isinstance(e, Reduce):
            return self.reduction(e)
        if isinstance(e, Index):
            return S.Zero if self.counts(e) else e
        if e == self.batch.size:
            return S.One
        return e.func(*map(self.of_one, e.args)) if e.args else e

    def reduction(self, e: Reduce) -> Expr:
        bound = tuple(i for i in e.bound if not self.counts(i))
        term, guard = self.of_one(e.term), self.of_one(e.guard)
        if bound:
            return Reduce(e.op, term, bound, guard)
        if e.op in ("argmax", "argmin"):
            return S.Zero
        return term if guard == 1 else where(guard, term, S.One if e.op == "prod" else S.Zero)
