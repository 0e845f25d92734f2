"""Sums over windows: matrices whose rows overlap in memory.

    z[n,p,q,f] = sum[k,l,c](x[n,p+k,q+l,c]*W[k,l,c,f])

    E[h,l,c,q,n] = x[n,h,q+l,c]                the windows' columns side by side
    A[p,(k,l,c),(q,n)] = E[p+k,l,c,q,n]        no copy: row p+1 begins one row of E after row p
    z[p,f,(q,n)] = W.T @ A[p]                  a matrix product for each row

    W_bar[k,l,c,f] = sum[p]((A[p] @ z_bar[p].T)[(k,l,c),f])
    x_bar[n,h,w,c] = sum[f,k,l](z_bar[n,h-k,w-l,f]*W[k,l,c,f])    a sum over windows of z_bar

Exact: an index that runs against its window is counted from its end, and where windows reach out of
their tensor, E holds 0. These elements of E are written once, where the memory is E's own.

Of few columns, or many features, less is written if the columns are added in the end:

    Y[p,(l,c),(w,n)] = W[(l,c),(k,f)] @ A[p,(k,f),(w,n)]
    x_bar[h,c,w,n] = sum[l](Y[h,l,c,w-l,n])

This pays where the batch, or columns, lie last in memory; elsewhere sums over windows are products
of matrices that are copied (contraction).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from sympy import Expr, Mul, S, exp, floor, log

from derive.code.contraction import matrices, reduced
from derive.code.elementwise import Elementwise
from derive.code.reading import margins_around
from derive.code.spreading import factored
from derive.code.statements import Statement, Value, size_text
from derive.code.views import affine_form, arranged, estimate, merged, shape_text, subscript
from derive.gradients.normal_form import conditions_inside
from derive.language.notation import Access, Equation, Index, indices
from derive.language.text_printer import text

Order = tuple[Index, ...]

PACKED = 0.7  # time to bring an element of a matrix into cache, in nanoseconds
MULTIPLIED = 1 / 80  # to multiply and add
COPIED = 0.35  # to copy one
ADDED = 0.7  # to add one to another
SHARED = 2**17  # elements of an array that gives its memory to others rather than to keep zeros


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
            return _slice(self.before, count, S.One, self.reach), _slice(
                first, count, S.One, self.size
            )
        shift = self.spacing * tap + self.offset
        low, high = S.Zero, self.position.size
        if self.is_padded:
            low = max(S.Zero, -floor(shift / self.step))
            high = min(high, floor((self.size - 1 - shift) / self.step) + 1)
            if high <= low:
                return "", ""
        start = (self.step * low + shift).expand()
        count = (high - low).expand()
        return (
            _slice(low, count, S.One, self.position.size),
            _slice(start, count, self.step, self.size),
        )


def _slice(start: Expr, count: Expr, step: Expr, size: Expr) -> str:
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


def convolution(values: Elementwise, e: Equation) -> Value | None:
    """The value of a sum over windows, as products of overlapping matrices; None if it is none."""
    found = _windows(values, e)
    if found is None:
        return None
    if not found.forward:
        return _correlated(values, found)
    if found.columns and _by_columns(values, found) < 0.75 * _by_expansion(values, found):
        return _added_columns(values, found)
    return _multiplied(values, found)


def _windows(values: Elementwise, e: Equation) -> Windows | None:
    if e.reduction != "sum":
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
    return found if _count(found.runs) >= 16 else None


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


# The windows in memory


def _expanded(values: Elementwise, w: Windows) -> Value:
    """E[stack, h, taps of columns, features, runs], or with the rows' taps too: the matrices A."""
    rows = w.rows
    height = Index(f"{rows.position.name}_{rows.tap.name}", rows.reach)
    own = (rows.position, rows.tap) if not w.overlapping else (height,)
    columns = tuple(m.tap for m in w.columns)
    order = (*w.stack, *own, *columns, *w.features, *w.runs)
    source = tuple(
        (height if x is rows else x.position) if isinstance(x, Moved) else x for x in w.at
    )
    plain = not w.columns and w.overlapping and not rows.is_padded and rows.offset == 0
    plain = plain and (rows.reach - rows.size).expand() == 0 and order == source
    if plain and w.value.buffer:
        return Value(w.value.text, order)
    key = _key(w, order)
    if key not in values.expansions:
        values.expansions[key] = _copied(values, w, order, source, height)
    return Value(values.expansions[key].text, order)


def _key(w: Windows, order: Order) -> tuple[object, ...]:
    """What an expansion depends on, whatever its indices are called."""
    where: list[tuple[Any, int]] = []
    for x in w.at:
        if isinstance(x, Moved):
            numbers = (x.step, x.spacing, x.offset, x.position.size, x.tap.size)
            where.append((numbers, order.index(x.tap) if x.tap in order else -1))
        else:
            where.append(((), order.index(x)))
    return (w.value.text, w.overlapping, tuple(where))


def _copied(values: Elementwise, w: Windows, order: Order, source: Order, height: Index) -> Value:
    """The expansion, copied tap by tap."""
    padded = any(m.is_padded for m in w.moved)
    out = values.code.array(order)
    apart = padded and (values.code.loop is not None or estimate(out.elements) < SHARED)
    if apart:
        cleared(values, out)
    zeros: dict[str, None] = {}
    lines = []
    free = [m for m in w.moved if not (m is w.rows and w.overlapping)]
    for taps in product(*(range(int(m.tap.size)) for m in free)):
        at = dict(zip((m.tap for m in free), taps, strict=True))
        there = {m.tap: str(t) for m, t in zip(free, taps, strict=True)}
        places = []
        for x in w.at:
            if isinstance(x, Index):
                places.append(":")
                continue
            mine, its = x.seen(at.get(x.tap))
            own = height if x is w.rows and w.overlapping else x.position
            there[own] = mine
            places.append(its)
            for part in _outside(mine) if padded and not apart and "" not in places[:-1] else ():
                beyond = {own: part} if own == height else there | {own: part}
                zeros[out.text + subscript([beyond.get(i, ":") for i in order])] = None
        if "" in places:
            continue
        seen = Value(w.value.text + subscript(places), source)
        if not w.overlapping:
            seen = Value(seen.text, tuple(w.rows.position if i == height else i for i in source))
        target = out.text + subscript([there.get(i, ":") for i in order])
        kept = tuple(i for i in order if i in seen.indices)
        lines.append(f"np.copyto({target}, {arranged(seen, kept)})")
    note = f"# {_told(values, w, order, height)}"
    copied = "\n".join((note, *(f"{part} = 0" for part in zeros), *lines))
    made = "" if apart else f"{{out}} = np.empty({shape_text(i.size for i in order)}, dtype)\n"
    return values.code.emit(out, made + copied, copied, operations=S.Zero, update=apart)


def _outside(inside: str) -> Iterator[str]:
    """The slices before and behind one: ":1" and "33:" of "1:33"; all, of none."""
    low, _, high = inside.partition(":")
    yield from (":",) * (not inside)
    yield from (f":{low}",) * bool(low)
    yield from (f"{high}:",) * bool(high)


def _told(values: Elementwise, w: Windows, order: Order, height: Index) -> str:
    """What an expansion holds, in index notation: `E[h,l,c,q,n] = x[h,c,l+q-1,n]`."""
    places = (
        x
        if isinstance(x, Index)
        else (height - x.before)
        if x is w.rows and w.overlapping
        else x.step * x.position + x.spacing * x.tap + x.offset
        for x in w.at
    )
    own = ",".join(str(i) for i in order)
    return f"{{out}}[{own}] = {w.value.text}[{','.join(text(x) for x in places)}]"


def cleared(values: Elementwise, out: Value) -> None:
    """Zeros that stay, around what is written to an array at every step."""
    shape = shape_text(i.size for i in out.indices)
    zeros = f"{{out}} = np.zeros({shape}, dtype)"
    stays = values.code.loop is None
    if stays:
        buffer = values.code.buffers[out.buffer]
        values.code.buffers[out.buffer] = replace(buffer, bordered=True)
    values.code.emit(out, zeros, "" if stays else "{out}.fill(0)", operations=S.Zero)


def _matrices(values: Elementwise, w: Windows) -> str:
    """A[stack, position, taps, runs] as text."""
    e = _expanded(values, w)
    rows = w.rows
    sizes = [i.size for i in w.stack]
    sizes += [rows.position.size, Mul(*(i.size for i in w.taps)), Mul(*(i.size for i in w.runs))]
    if not w.overlapping:
        return f"{e.text}.reshape{shape_text(sizes)}"
    # A reshape of the windows along rows is a view where the tensor lies in one block of memory.
    at = len(w.stack)
    axes = len(e.indices)
    order = (*range(at + 1), axes, *range(at + 1, axes))
    made = f"np.lib.stride_tricks.sliding_window_view({e.text}, {size_text(rows.tap.size)}, {at})"
    if rows.step != 1:
        made += subscript([*(":" for _ in w.stack), f"::{size_text(rows.step)}"])
    made += f".transpose({', '.join(map(str, order))}).reshape{shape_text(sizes)}"
    key = made
    if key not in values.overlapped:
        shape = tuple(Index(f"_{k}", s) for k, s in enumerate(sizes))
        out = values.code.array(shape, of=e.buffer)
        values.code.statements.append(
            Statement(
                out.buffer,
                f"{out.text} = {made}",
                origin=values.code.origin,
                binds=True,
                loop=values.code.loop,
            )
        )
        values.overlapped[key] = out
    return values.overlapped[key].text


# The products


def _multiplied(values: Elementwise, w: Windows) -> Value:
    """z[stack, p, f, runs] = W.T @ A[p]"""
    g = values.real(values.value(w.other))
    a = _matrices(values, w)
    moving = {*w.stack, *w.taps}
    rows = tuple(i for i in values.frame if i in g.indices and i not in moving)
    left = matrices(values, g, w.stack, rows, w.taps)
    groups = (*((i,) for i in w.stack), (w.rows.position,), rows, w.runs)
    out, into = _target(values, groups)
    # One matrix for all positions: [stack, 1, f, taps].
    left += subscript([*(":" for _ in w.stack), "None"]) if w.stack else ""
    if not rows:
        left += "[..., None, :]"
        into += subscript([":"] * (len(w.stack) + 1) + ["None"])
    return _emitted(values, out, f"{left}, {a}", into, w, rows)


def _target(values: Elementwise, groups: Sequence[Order]) -> tuple[Value, str]:
    """An array for a product, in the order of the frame where that is a view; and the view."""
    natural = tuple(i for group in groups for i in group)
    own = tuple(i for i in values.frame if i in natural)
    out = values.code.array(own if len(own) == len(natural) else natural)
    into = merged(out, groups)
    if into is None:
        out = values.code.array(natural)
        into = merged(out, groups)
    assert into is not None
    return out, into


def _emitted(
    values: Elementwise, out: Value, arguments: str, into: str, w: Windows, rows: Order
) -> Value:
    flops = 2 * Mul(*(i.size for i in {*out.indices, *w.taps, *rows}))
    made = f"{{out}} = np.empty({shape_text(i.size for i in out.indices)}, dtype)"
    product_ = f"np.matmul({arguments}, out={into})"
    return values.code.emit(out, f"{made}\n{product_}", product_, operations=flops)


def _correlated(values: Elementwise, w: Windows) -> Value:
    """T[stack, p, taps, f] = A[p] @ z_bar[p].T, summed over p"""
    g = values.real(values.value(w.other))
    a = _matrices(values, w)
    p = w.rows.position
    moving = {*w.stack, p, *w.runs}
    columns = tuple(i for i in values.frame if i in g.indices and i not in moving)
    right = matrices(values, g, (*w.stack, p), w.runs, columns)
    order = (*w.stack, p, *w.taps, *columns)
    out = values.code.array(order)
    groups = (*((i,) for i in w.stack), (p,), w.taps, columns)
    into = merged(out, groups)
    assert into is not None
    if not columns:
        right += "[..., None]"
        into += "[..., None]"
    flops = 2 * Mul(*(i.size for i in {*order, *w.runs}))
    made = f"{{out}} = np.empty({shape_text(i.size for i in order)}, dtype)"
    product_ = f"np.matmul({a}, {right}, out={into})"
    products = values.code.emit(out, f"{made}\n{product_}", product_, operations=flops)
    return reduced(values, "add", products, (p,))


# Columns added in the end


def _by_expansion(values: Elementwise, w: Windows) -> float:
    """The time of products with windows whose columns are side by side."""
    inner = _count(w.taps)
    reach = w.rows.reach if w.overlapping else w.rows.position.size * w.rows.tap.size
    expanded = estimate(reach) * inner / _count((w.rows.tap,)) * _count((*w.runs, *w.stack))
    return expanded * COPIED + _count((*w.stack, w.rows.position, *w.runs)) * inner * (
        PACKED + _outer(w) * MULTIPLIED
    )


def _by_columns(values: Elementwise, w: Windows) -> float:
    """The time of products with rows of the tensor, and of adding up their columns."""
    if not w.overlapping or any(m.step != 1 for m in w.columns):
        return float("inf")
    columns = _count(m.tap for m in w.columns)
    inner = _count(w.taps) / columns
    whole = _count(w.long)
    for m in w.columns:
        whole *= estimate(m.size)
    rows = _count((*w.stack, w.rows.position))
    copied = estimate(w.rows.reach) / rows * inner if w.rows.is_padded else 0.0
    result = rows * _count(w.runs) * _outer(w)
    return (
        copied * COPIED
        + rows * whole * inner * (PACKED + _outer(w) * columns * MULTIPLIED)
        + columns * result * ADDED
    )


def _outer(w: Windows) -> float:
    """The rows of the other factor's matrix."""
    return _count(i for i in indices(w.other) if i not in {*w.stack, *w.taps})


def _count(own: Iterable[Index]) -> float:
    return estimate(Mul(*(i.size for i in own)))


def _added_columns(values: Elementwise, w: Windows) -> Value:
    """Y[p,l,f,w,n] by rows alone, then z[p,f,q,n] = sum[l](Y[p,l,f,q+l,n])"""
    whole = {m: Index(f"{m.position.name}_{m.tap.name}", m.size) for m in w.columns}
    at = tuple(whole.get(x, x) if isinstance(x, Moved) else x for x in w.at)
    beside = _multiplied(values, replace(w, at=at, long=(*w.long, *whole.values())))
    taps = {m.tap for m in w.columns}
    positions = {i: m.position for m, i in whole.items()}
    shown = tuple(positions.get(i, i) for i in beside.indices if i not in taps)
    out = values.code.array(tuple(i for i in values.frame if i in shown))
    first: list[str] = []
    added: list[str] = []
    for numbers in product(*(range(int(m.tap.size)) for m in w.columns)):
        at_ = {m.tap: str(t) for m, t in zip(w.columns, numbers, strict=True)}
        there = {}
        for m, t in zip(w.columns, numbers, strict=True):
            there[m.position], at_[whole[m]] = m.seen(t)
        if "" in there.values():
            continue
        text_ = beside.text + subscript([at_.get(i, ":") for i in beside.indices])
        source = arranged(Value(text_, shown), out.indices)
        place = out.text + subscript([there.get(i, ":") for i in out.indices])
        if not first and set(there.values()) == {":"}:
            first.append(f"np.copyto({place}, {source})")
        else:
            added.append(f"np.add({place}, {source}, out={place})")
    term = f"{beside.text}[{','.join(text(_column(i, whole)) for i in beside.indices)}]"
    own, over = (",".join(map(str, x)) for x in (out.indices, taps))
    note = f"# {out.text}[{own}] = sum[{over}]({term})"
    lines = "\n".join((note, *(first or ["{out}.fill(0)"]), *added))
    made = f"{{out}} = np.empty({shape_text(i.size for i in out.indices)}, dtype)"
    operations = Mul(beside.elements)
    return values.code.emit(out, f"{made}\n{lines}", lines, operations=operations)


def _column(i: Index, whole: Mapping[Moved, Index]) -> Expr:
    """Where a column of the tensor is seen."""
    for m, own in whole.items():
        if own == i:
            return m.position + m.spacing * m.tap + m.offset
    return i
