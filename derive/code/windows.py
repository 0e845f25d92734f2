"""Sums over windows: which sums of products are some, and how their windows move.

    z[n,p,q,f] = sum[k,l,c](x[n,p+k,q+l,c]*W[k,l,c,f])      rows p+k, columns q+l; c like the taps

Exact: an index that runs against its window is counted from its end. How the products are computed
says `window_products`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sympy import Expr, Mul, S, exp, floor, log

from derive.code.elementwise import Elementwise
from derive.code.reading import margins_around
from derive.code.spreading import factored
from derive.code.statements import Value, size_text
from derive.code.views import affine_form, count, estimate
from derive.gradients.normal_form import conditions_inside
from derive.language.notation import Access, Equation, Index, indices, reads_plainly

Order = tuple[Index, ...]


@dataclass(frozen=True)
class Moved:
    """An axis along which windows move: element `step*position + spacing*tap + offset`.

    `before` and `after` are how far the windows reach out of the axis of `size` elements.
    """

    position: Index
    tap: Index
    step: Expr
    spacing: Expr
    offset: Expr
    size: Expr
    before: Expr
    after: Expr

    @property
    def is_padded(self) -> bool:
        return (self.before, self.after) != (0, 0)

    @property
    def reach(self) -> Expr:
        """The elements from the first that a window sees to the last."""
        extent = self.step * (self.position.size - 1) + self.spacing * (self.tap.size - 1)
        return (extent + 1).expand()

    def seen(self, tap: int | None) -> tuple[str, str]:
        """Positions at which this tap is inside the axis, and the elements that it sees there.

        Twice "" where there is none. Without a tap: where all that windows see is among `reach`,
        and where it is along the axis.
        """
        if tap is None:
            first = self.before + self.offset
            count = self.reach - self.before - self.after
            return slice_text(self.before, count, S.One, self.reach), slice_text(
                first, count, S.One, self.size
            )
        found = self.inside(tap)
        if found is None:
            return "", ""
        low, count, start = found
        return (
            slice_text(low, count, S.One, self.position.size),
            slice_text(start, count, self.step, self.size),
        )

    def inside(self, tap: int) -> tuple[Expr, Expr, Expr] | None:
        """The first position at which a tap is inside, how many are; what the first one sees."""
        shift = self.spacing * tap + self.offset
        low, high = S.Zero, self.position.size
        if self.is_padded:
            low = max(S.Zero, -floor(shift / self.step))
            high = min(high, floor((self.size - 1 - shift) / self.step) + 1)
            if high <= low:
                return None
        return low, (high - low).expand(), (self.step * low + shift).expand()


def slice_text(start: Expr, count: Expr, step: Expr, size: Expr) -> str:
    """So many elements of an axis from the first one, a step apart, as a subscript."""
    stop = (start + step * (count - 1) + 1).expand()
    if start == 0 and step == 1 and (stop - size).expand() == 0:
        return ":"
    low = "" if start == 0 else size_text(start.expand())
    high = "" if (stop - size).expand() == 0 else size_text(stop)
    return f"{low}:{high}" + ("" if step == 1 else f":{size_text(step)}")


@dataclass(frozen=True)
class Windows:
    """A sum of products over windows.

    `value` holds the tensor with the windows, `at` what stands at each of its axes: an index, or
    an axis along which the windows move, the first of these being `rows`. Of the plain indices
    those of `stack` are also kept and the other factor's, `features` are the taps' like, `long`
    the positions' like: if `forward`, the former are summed and the latter kept; else conversely.
    """

    value: Value
    at: tuple[Index | Moved, ...]
    other: Expr
    stack: Order
    features: Order
    long: Order
    forward: bool

    @property
    def moved(self) -> tuple[Moved, ...]:
        return tuple(x for x in self.at if isinstance(x, Moved))

    @property
    def rows(self) -> Moved:
        return self.moved[0]

    @property
    def columns(self) -> tuple[Moved, ...]:
        return self.moved[1:]

    @property
    def overlapping(self) -> bool:
        """Whether rows of windows are rows in memory, one after the other."""
        r = self.rows
        return r.spacing == 1 and estimate(r.step) <= estimate(r.tap.size)

    @property
    def taps(self) -> Order:
        """The indices of a window's elements, in their order in memory."""
        return (*(m.tap for m in self.moved), *self.features)

    @property
    def runs(self) -> Order:
        """The last axes: positions along columns, and what lies beside them."""
        return tuple(
            x.position if isinstance(x, Moved) else x
            for x in self.at
            if x in self.long or (isinstance(x, Moved) and x is not self.rows)
        )


def windows(values: Elementwise, e: Equation) -> Windows | None:
    if e.reduction != "sum" or reads_plainly(e.term):
        return None
    term, conditions = factored(e.term, e.guard)
    for a in Mul.make_args(term):
        if not isinstance(a, Access) or a.tensor not in values.tensors:
            continue
        if all(isinstance(x, Index) for x in a.indices):
            continue
        value, axes = values.tensors[a.tensor]
        inside = {
            c
            for x, n in zip(a.indices, values.shapes[a.tensor], strict=True)
            for c in conditions_inside(x, n, values.sizes)
        }
        if not set(conditions) - {S.true, S.One} <= inside or (inside and not conditions):
            continue
        if value.kind != "real" or set(value.indices) != set(axes) or term.has(exp, log):
            continue
        other = term / a
        if other.has(a) or other == 1:
            continue
        at, other = _turned(a, other, e.bound)
        for forward in (True, False):
            found = _roles(values, e, value, axes, at, other, forward)
            if found is not None:
                return found
    return None


def _turned(a: Access, other: Expr, bound: Order) -> tuple[tuple[Expr, ...], Expr]:
    """With indices that run backward along windows counted from their end: x[p-k] is x[p+k-K+1]."""
    backward = {
        k: k.size - 1 - k
        for x in a.indices
        for k, c in (affine_form(x) or (0, ()))[1]
        if c.could_extract_minus_sign() and k in bound
    }
    return tuple(x.xreplace(backward).expand() for x in a.indices), other.xreplace(backward)


def _roles(
    values: Elementwise,
    e: Equation,
    value: Value,
    axes: Order,
    at: tuple[Expr, ...],
    other: Expr,
    forward: bool,
) -> Windows | None:
    """The parts that indices play; None where memory, or the formula, is of another kind."""
    beside = indices(other)

    def is_long(i: Index) -> bool:
        return (i in e.indices and i not in beside) if forward else (i in e.bound and i in beside)

    def is_feature(i: Index) -> bool:
        return (i in e.bound and i in beside) if forward else (i in e.indices and i not in beside)

    placed: list[Index | Moved] = []
    for own in value.indices:
        x, size = at[axes.index(own)], own.size
        if isinstance(x, Index) and x.size == size:
            placed.append(x)
            continue
        moved = _moved(values, x, size, is_long, is_feature)
        if moved is None:
            return None
        placed.append(moved)
    names = [i for x in placed for i in ((x.position, x.tap) if isinstance(x, Moved) else (x,))]
    if len(set(names)) < len(names) or not any(isinstance(x, Moved) for x in placed):
        return None
    plain = [x for x in placed if isinstance(x, Index)]
    long = tuple(i for i in plain if is_long(i))
    features = tuple(i for i in plain if is_feature(i))
    stack = tuple(i for i in plain if i in e.indices and i in beside)
    if len(long) + len(features) + len(stack) < len(plain):
        return None
    # What is summed but no tap, and kept but no window's, is the other factor's alone.
    if any(i in e.bound and i not in names for i in beside):
        return None
    if any(i not in names and i not in beside for i in (*e.indices, *e.bound)):
        return None
    rows = next(x for x in placed if isinstance(x, Moved))
    is_run = [x in long or (isinstance(x, Moved) and x is not rows) for x in placed]
    if True not in is_run or False in is_run[is_run.index(True) :]:
        return None
    found = Windows(value, tuple(placed), other, stack, features, long, forward)
    # Windows are small, the tensor is not; the other way round it is the taps that would move.
    small = all(estimate(m.tap.size) <= estimate(m.position.size) for m in found.moved)
    if not small and all(i.size.is_Integer for i in long):
        return None
    return found if count(found.runs) >= 16 else None


def _moved(
    values: Elementwise,
    x: Expr,
    size: Expr,
    is_long: Callable[[Index], bool],
    is_feature: Callable[[Index], bool],
) -> Moved | None:
    """The axis along which windows move as this index expression says; None if it is no window."""
    affine = affine_form(x)
    if affine is None or len(affine[1]) != 2:
        return None
    offset, terms = affine
    if any(not c.is_positive for _, c in terms):
        return None
    position = [(i, c) for i, c in terms if is_long(i)]
    tap = [(i, c) for i, c in terms if is_feature(i)]
    if len(position) != 1 or len(tap) != 1:
        return None
    ((p, step),), ((k, spacing),) = position, tap
    before, after = margins_around(x, size, values.sizes)
    numeric = all(v.is_Integer for v in (p.size, size, before, after, offset, step))
    if not k.size.is_Integer or not 1 <= k.size <= 32:
        return None
    if (before, after) != (0, 0) and not numeric:
        return None
    if before == 0 and offset.is_negative:
        return None
    found = Moved(p, k, step, spacing, offset, size, before, after)
    return None if (found.reach - before - after).is_nonpositive else found
