"""A block of layers that is repeated: one layer's equations, with an axis for the layers.

    z[n,j] = sum[i](a_0[n,i]*W[i,j]) + b[j]       z[l,n,j] = sum[i](a[l-1,n,i]*W[l,i,j]) + b[l,j]
    a[n,j] = tanh(z[n,j])                   ->    a[l,n,j] = tanh(z[l,n,j]),  a[-1,n,j] = a_0[n,j]

Exact: at each l these are the block's equations with parameters of its own, for what the layer
below gives, and the first one for what the block is given. So depth is a recurrence as time is:
derived once, however deep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sympy import Expr

from derive.language.notation import (
    Access,
    DeriveError,
    Equation,
    Index,
    Recurrence,
    Reduce,
    Tensor,
)


@dataclass(frozen=True)
class Repetition:
    """`layer` counts the layers; `source` is the input of the first, `result` that of the next.

    `places` says for each tensor of the block where among its axes the layers are counted.
    """

    layer: Index
    source: Tensor
    result: Tensor
    places: Mapping[str, int]

    def tensor(self, t: Tensor) -> Tensor:
        """A tensor of the block for all layers."""
        return replace(t, axes=self._with_layer(t.name, t.axes, self.layer))

    def equation(self, e: Equation) -> Equation:
        """An equation of the block for all layers."""
        if e.recurrence is not None:
            raise DeriveError(
                f"what has a recurrence of its own, that of {e.target} here, cannot be repeated; "
                "write the layers one by one"
            )
        indices = self._with_layer(e.target, e.indices, self.layer)
        body = self._body(e.body)
        if e.target != self.result.name:
            return replace(e, indices=indices, body=body)
        start = Recurrence(self.layer, -1, Access(self.source.name, *self.result.axes))
        return replace(e, indices=indices, body=body, recurrence=start)

    def last(self, name: str) -> Equation:
        """What the last layer gives, as a tensor of its own."""
        top = self.layer.size - 1
        return Equation(
            name,
            self.result.axes,
            Access(self.result.name, *self._with_layer(self.result.name, self.result.axes, top)),
        )

    def _body(self, e: Expr) -> Expr:
        if isinstance(e, Access):
            indices = tuple(map(self._body, e.indices))
            if e.tensor == self.source.name:
                return Access(
                    self.result.name,
                    *self._with_layer(self.result.name, indices, self.layer - 1),
                )
            return Access(e.tensor, *self._with_layer(e.tensor, indices, self.layer))
        if isinstance(e, Reduce):
            return Reduce(e.op, self._body(e.term), e.bound, self._body(e.guard))
        return e.func(*map(self._body, e.args)) if e.args and not isinstance(e, Index) else e

    def _with_layer(self, name: str, axes: tuple[Any, ...], layer: Expr) -> tuple[Any, ...]:
        at = self.places.get(name)
        return axes if at is None else (*axes[:at], layer, *axes[at:])
