"""A loss with a weight for each sample: the mean of `w[n]` times the loss of sample n.

    L = mean[n](l[n] - z[n,y[n]])    ->    L = mean[n](sample_weight[n]*(l[n] - z[n,y[n]]))

The factor goes to the outermost reduction over the batch. Exact for a loss that is linear in its
reductions over the batch; of a quotient of two of them the numerator is weighted. Other losses are
no mean over samples.
"""

from __future__ import annotations

from dataclasses import replace

from sympy import Add, Expr, Mul, Pow

from derive.gradients.normal_form import fresh, names
from derive.language.notation import (
    Access,
    DeriveError,
    Equation,
    Index,
    Program,
    Reduce,
    Tensor,
    accesses,
)


class NoMean(DeriveError):
    """A loss that is no mean, or sum, over the samples."""


def weighted(loss: Program, batch: Index) -> tuple[Program, str]:
    """The loss, in normal form, with weights as its last input, and what these are called."""
    weights = fresh("sample_weight", names(loss))
    return _Weighting(loss, batch, Access(weights, batch)).run(), weights


class _Weighting:
    def __init__(self, loss: Program, batch: Index, weight: Access) -> None:
        self.loss = loss
        self.batch = batch
        self.weight = weight
        self.axes = {t.name: t.axes for t in loss.inputs}
        self.axes |= {e.target: e.indices for e in loss.equations}
        # What is left of the batch where the index is reduced: functions of all samples.
        self.totals: set[str] = set()
        for e in loss.equations:
            read = [a.tensor for a in accesses(e.body)]
            over = any(self.has_batch(name) or name in self.totals for name in read)
            if over and not self.has_batch(e.target):
                self.totals.add(e.target)

    def has_batch(self, tensor: str) -> bool:
        return any(i.size == self.batch.size for i in self.axes[tensor])

    def run(self) -> Program:
        weighted: set[str] = {self.loss.result}
        plain: set[str] = set()  # totals that are read as they are
        equations = []
        for e in reversed(self.loss.equations):
            if e.target in weighted:
                e = self.equation(e, weighted, plain)
            else:
                plain |= {a.tensor for a in accesses(e.body)} & self.totals
            equations.append(e)
        if weighted & plain or self.loss.result not in self.totals:
            raise NoMean(f"the loss is no mean over the samples: {self.loss}")
        inputs = (*self.loss.inputs, Tensor(self.weight.tensor, (self.batch,)))
        return replace(self.loss, equations=tuple(reversed(equations)), inputs=inputs)

    def equation(self, e: Equation, weighted: set[str], plain: set[str]) -> Equation:
        over = [i for i in e.bound if i.size == self.batch.size]
        if e.reduction not in (None, "sum", "mean") or len(over) > 1:
            raise NoMean(f"the loss is no mean over the samples: {e}")
        if over:
            plain |= {a.tensor for a in accesses(e.body)} & self.totals
            factor = Access(self.weight.tensor, over[0])
            return replace(e, body=Reduce(str(e.reduction), factor * e.term, e.bound, e.guard))
        for term in Add.make_args(e.term.expand()):
            weighted.add(self.linear(term, e, plain))
        return e

    def linear(self, term: Expr, e: Equation, plain: set[str]) -> str:
        """The one total that a term is proportional to; what it is divided by stays as it is."""
        above: list[Access] = []
        for factor in Mul.make_args(term):
            found = {a.tensor for a in accesses(factor)} & self.totals
            if isinstance(factor, Access) and found:
                above.append(factor)
            elif isinstance(factor, Pow) and factor.exp.is_negative and factor.exp.is_Integer:
                plain |= found
            elif found:
                raise NoMean(f"the loss is no mean over the samples: {e}")
        if len(above) != 1:
            raise NoMean(f"the loss is no mean over the samples: {e}")
        return above[0].tensor
