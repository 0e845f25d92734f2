"""Sums over windows of large tensors, some rows at a time: what is beside the tensors stays small.

    z[p,f,q,n] = sum[k,l,c](x[p+k-1,c,q+l-1,n]*W[k,l,c,f])

    Y[(f,l),(w,n)] = W[(f,l),(1:,c)] @ x[(0:2,c),(w,n)]         row 0 sees two taps of three
    z[0,f,q,n] = sum[l](Y[f,l,q+l-1,n])
    for p in range(30):
        Y[(f,l),(w,n)] = W[(f,l),(k,c)] @ x[(p:p+3,c),(w,n)]    rows that see all three
        z[p+1,f,q,n] = sum[l](Y[f,l,q+l-1,n])

    E[k,l,c,q,n] = x[p+k,c,q+l-1,n]                             or columns side by side, before
    z[p+1,f,(q,n)] = W[f,(k,l,c)] @ E[(k,l,c),(q,n)]            the product

    W_bar[k,l,c,f] = sum[p]((x[(p:p+3,c),(l-1:,n)] @ z_bar[p,f,(q,n)].T)[(k,c),f])

Rows lie one after the other in memory, so that those which a row of windows sees are a matrix as
they are, also without some of their first or last columns. Exact: a tap outside of the tensor
reads 0, and a product with 0 is left out of the sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from sympy import Expr, Mul, S, Symbol, divisors

from derive.code.contraction import matrices, reduced
from derive.code.elementwise import Elementwise
from derive.code.expansion import expanded, slices_outside
from derive.code.statements import Loop, Statement, Value, size_text
from derive.code.views import arranged, count, estimate, merged, shape_text, subscript
from derive.code.windows import Moved, Order, Windows, slice_text
from derive.language.notation import Index
from derive.language.text_printer import text

LARGE = 2**17  # elements of windows side by side that do not stay in the cache
BLOCK = 2**17  # of some rows of them that do
APART = 5  # groups of rows that see different taps; of more the tensor gets rows of 0 around it


@dataclass(frozen=True)
class Group:
    """Rows of windows, `count` from the `first` one, that see the same `taps` from one on."""

    first: Expr
    count: Expr
    tap: int
    taps: int


@dataclass(frozen=True)
class Block:
    """Rows of a group, `count` from `start` in it, with the loop that goes over all of them."""

    group: Group
    start: Expr
    count: Expr
    loop: Loop | None = None

    @property
    def axis(self) -> Order:
        """The axis that the rows have in arrays of their own: none where it is one row."""
        return () if self.count == 1 else (Index("row", self.count),)

    def place(self, size: Expr) -> str:
        """Where the rows are among all."""
        first = (self.group.first + self.start).expand()
        return size_text(first) if not self.axis else slice_text(first, self.count, S.One, size)


def product(values: Elementwise, w: Windows, added: bool) -> Value | None:
    """The sum by blocks of rows; None where tensors are small, or lie in memory in another way.

    With `added` columns these are summed in the end.
    """
    p = w.rows.position
    beside = estimate(w.rows.reach) * count((*w.taps, *w.runs)) / count((w.rows.tap,))
    own = tuple(x.position if isinstance(x, Moved) else x for x in w.at)
    if values.code.loop or w.stack or not w.overlapping or beside <= LARGE:
        return None
    if not w.value.buffer or own != (p, *w.features, *w.runs) or len(w.columns) > 1:
        return None
    if any(c.step != 1 or c.position != w.runs[0] for c in w.columns):
        return None
    apart = len(groups(w.rows)) > APART
    if (apart and w.forward and not added) or any(g.taps == 0 for g in groups(w.rows)):
        return None
    g = values.real(values.value(w.other))
    outer = tuple(i for i in g.indices if i not in {p, *w.taps, *w.runs})
    if not outer or not (w.forward or (g.buffer and g.indices == (p, *outer, *w.runs))):
        return None
    w = _surrounded(values, w) if apart else w
    if not w.forward:
        return _correlated(values, w, g, outer)
    return (_added_columns if added else _multiplied)(values, w, g)


def groups(m: Moved) -> list[Group]:
    """The rows of windows by the taps that they see."""
    if not m.is_padded:
        return [Group(S.Zero, m.position.size, 0, int(m.tap.size))]
    seen = [
        [k for k in range(int(m.tap.size)) if 0 <= m.step * p + m.offset + k < m.size]
        for p in range(int(m.position.size))
    ]
    found = []
    first = 0
    for taps, some in groupby(seen):
        rows = len([*some])
        found.append(Group(S(first), S(rows), min(taps, default=0), len(taps)))
        first += rows
    return found


def _blocks(values: Elementwise, m: Moved, row: float) -> Iterator[Block]:
    """All rows of windows, some at a time where one takes so many elements of another array.

    What is computed of a block says itself that it is in its loop.
    """
    for g in groups(m):
        most = max(BLOCK / row, 1)
        if not g.count.is_Integer or g.count <= most:
            yield Block(g, S.Zero, g.count)
            continue
        rows = max(d for d in divisors(g.count) if d <= most)
        counter = Symbol(f"_{m.position.name}", integer=True, nonnegative=True)
        number = -1 - len(values.code.statements)
        loop = Loop(counter.name, g.count / rows, False, number)
        yield Block(g, rows * counter, S(rows), loop)


def _surrounded(values: Elementwise, w: Windows) -> Windows:
    """The same windows, over a copy of the tensor that has rows of 0 around it."""
    m = w.rows
    whole = {c: Index(f"{c.position.name}_{c.tap.name}", c.size) for c in w.columns}
    at = tuple(whole.get(x, x) if isinstance(x, Moved) else x for x in w.at)
    held = expanded(values, replace(w, at=at, long=(*w.long, *whole.values())))
    inside = replace(m, size=m.reach, offset=S.Zero, before=S.Zero, after=S.Zero)
    return replace(w, value=held, at=tuple(inside if x is m else x for x in w.at))


# Forward


def _added_columns(values: Elementwise, w: Windows, g: Value) -> Value:
    """Y by rows alone, then the sum over columns, block by block."""
    (c,) = w.columns
    inner = (w.rows.tap, *w.features)
    outer = tuple(i for i in values.frame if i in g.indices and i not in inner)
    left = matrices(values, g, (), outer, inner)
    kept = (w.rows.position, *(i for i in outer if i != c.tap), *w.runs)
    out = _stored(values, tuple(i for i in values.frame if i in kept))
    whole = (Index(f"{c.position.name}_{c.tap.name}", c.size), *w.long)
    for b in _blocks(values, w.rows, count((*outer, *whole))):
        y = _stored(values, (*b.axis, *outer, *whole))
        into = merged(y, (b.axis, outer, whole))
        seen = _seen(values, w, b)
        part = _rows_of(values, out, w.rows.position, b)
        own = Mul(*(i.size for i in w.features))
        taps = slice_text(b.group.tap * own, b.group.taps * own, S.One, w.rows.tap.size * own)
        flops = 2 * y.elements * b.group.taps * own
        _emit(values, y, b, f"np.matmul({left}{subscript([':', taps])}, {seen}, out={into})", flops)
        _emit(values, part, b, _column_sums(part, y, c, whole[0]), y.elements)
    return out


def _column_sums(out: Value, y: Value, c: Moved, whole: Index) -> str:
    """The columns of `y` added to those of `out` which they belong to."""
    shown = tuple(c.position if i == whole else i for i in y.indices if i != c.tap)
    first: list[str] = []
    more: list[str] = []
    for tap in range(int(c.tap.size)):
        there, seen = c.seen(tap)
        if not there:
            continue
        at = {c.tap: str(tap), whole: seen}
        source = Value(y.text + subscript([at.get(i, ":") for i in y.indices]), shown)
        place = out.text + subscript([there if i == c.position else ":" for i in out.indices])
        if not first and there == ":":
            first.append(f"np.copyto({place}, {arranged(source, out.indices)})")
        else:
            more.append(f"np.add({place}, {arranged(source, out.indices)}, out={place})")
    seen_at = (c.position + c.spacing * c.tap + c.offset if i == whole else i for i in y.indices)
    note = f"# {_told(out.indices, out)} = sum[{c.tap}]({_told(seen_at, y)})"
    return "\n".join((note, *(first or [f"{out.text}.fill(0)"]), *more))


def _told(at: Iterable[Expr], array: Value) -> str:
    """An element of an array in index notation."""
    return f"{array.text}[{','.join(text(x) for x in at)}]"


def _multiplied(values: Elementwise, w: Windows, g: Value) -> Value:
    """The products of E, block by block; without columns, of the rows as they are."""
    m = w.rows
    outer = tuple(i for i in values.frame if i in g.indices and i not in w.taps)
    left = matrices(values, g, (), outer, w.taps)
    natural = ((m.position,), outer, w.runs)
    kept = {i for group in natural for i in group}
    out = _stored(values, tuple(i for i in values.frame if i in kept))
    into = merged(out, natural)
    if into is None:
        out = _stored(values, tuple(i for group in natural for i in group))
        into = merged(out, natural)
    own = Mul(*(i.size for i in w.taps)) / m.tap.size
    for b in _blocks(values, m, float(own) * count(w.runs)):
        seen = _side_by_side(values, w, b) if w.columns else _seen(values, w, b)
        sizes = (*b.axis, *(Index("_", Mul(*(i.size for i in x))) for x in natural[1:]))
        rows = f"{into}{subscript([b.place(m.position.size)])}"
        part = _bound(values, rows, sizes, out, b.loop)
        taps = slice_text(b.group.tap * own, b.group.taps * own, S.One, m.tap.size * own)
        flops = 2 * part.elements * b.group.taps * own
        product_ = f"np.matmul({left}{subscript([':', taps])}, {seen}, out={part.text})"
        _emit(values, part, b, product_, flops)
    return out


def _side_by_side(values: Elementwise, w: Windows, b: Block) -> str:
    """What a block sees with columns side by side, as matrices: [row, (k, l, c), (q, n)]."""
    m, (c,) = w.rows, w.columns
    reach = m.step * (b.count - 1) + b.group.taps
    e = _stored(values, (Index("h", reach), c.tap, *w.features, *w.runs))
    seen = [c.seen(tap) for tap in range(int(c.tap.size))]
    parts = [{c.tap: str(tap), c.position: there} for tap, (there, _) in enumerate(seen)]
    zeros = [
        f"{e.text}{subscript([beyond.get(i, ':') for i in e.indices])} = 0"
        for part in parts
        for outside in slices_outside(part[c.position])
        for beyond in (part | {c.position: outside},)
    ]
    if zeros:
        values.code.emit(e, "", "\n".join(zeros), operations=S.Zero, update=True)
    start = (m.step * (b.group.first + b.start) + m.offset + b.group.tap).expand()
    place = slice_text(start, reach, S.One, w.value.indices[0].size)
    x = _bound(
        values, f"{w.value.text}[{place}]", (e.indices[0], *w.value.indices[1:]), w.value, b.loop
    )
    wide = [":" for _ in (m, *w.features)]
    copies = [
        f"np.copyto({e.text}{subscript([part.get(i, ':') for i in e.indices])}, "
        f"{x.text}{subscript([*wide, its])})"
        for part, (there, its) in zip(parts, seen, strict=True)
        if there
    ]
    columns = c.position + c.spacing * c.tap + c.offset
    seen_at = (columns if i == c.position else i for i in e.indices if i != c.tap)
    note = f"# {_told(e.indices, e)} = {_told(seen_at, x)}"
    _emit(values, e, b, "\n".join((note, *copies)), S.Zero, update=True)
    inner = b.group.taps * Mul(*(i.size for i in (c.tap, *w.features)))
    run = Mul(*(i.size for i in w.runs))
    if not b.axis:
        return f"{e.text}.reshape{shape_text((inner, run))}"
    return _windows(values, e, e.text, b.count, (b.group.taps, m.step), (inner, run)).text


# Backward


def _correlated(values: Elementwise, w: Windows, g: Value, outer: Order) -> Value:
    """T[p,l,(k,c),f] = x[(p:p+3,c),(l-1:,n)] @ z_bar[p,f,(q,n)].T, summed over p"""
    m = w.rows
    taps = tuple(c.tap for c in w.columns)
    out = _stored(values, (m.position, *taps, m.tap, *w.features, *outer))
    own = Mul(*(i.size for i in w.features))
    features, run, rest = (Mul(*(i.size for i in x)) for x in (outer, w.runs, w.runs[1:]))
    side = Mul(*(i.size for i in taps))
    sizes = (m.position.size, side, m.tap.size * own, features)
    for b in (Block(group, S.Zero, group.count) for group in groups(m)):
        seen = _seen(values, w, b)
        place = b.place(m.position.size)
        own_g = f"{g.text}.reshape{shape_text((m.position.size, features, run))}"
        of_block = own_g + subscript([place])
        right = _bound(
            values, of_block, (*b.axis, Index("_f", features), Index("_q", run)), g, None
        )
        turned = ".transpose(0, 2, 1)" if b.axis else ".T"
        low, high = b.group.tap * own, (b.group.tap + b.group.taps) * own
        among = slice_text(low, high - low, S.One, sizes[2])
        lines = [
            f"{out.text}.reshape{shape_text(sizes)}{subscript([place, ':', part])} = 0"
            for part in slices_outside(among)
        ]
        for tap in range(int(side)):
            there = its = ":"
            for c in w.columns:
                found = c.inside(tap)
                if found is None:
                    its = ""
                    continue
                low, columns, start = found
                there = slice_text(low * rest, columns * rest, S.One, run)
                its = slice_text(start * rest, columns * rest, S.One, c.size * rest)
            into = f"{out.text}.reshape{shape_text(sizes)}{subscript([place, str(tap), among])}"
            if not its:
                lines.append(f"{into}[...] = 0")
                continue
            wide = [":" for _ in (*b.axis, m)]
            a = seen + subscript([*wide, its])
            lines.append(
                f"np.matmul({a}, {right.text}{subscript([*wide, there])}{turned}, out={into})"
            )
        flops = 2 * Mul(*sizes) / m.position.size * b.count * run
        _emit(values, out, b, "\n".join(lines), flops, update=True)
    return reduced(values, "add", out, (m.position,))


# Views and statements


def _seen(values: Elementwise, w: Windows, b: Block) -> str:
    """What a block sees of the tensor's rows, as matrices: [row, (k, c), (w, n)]."""
    m, g = w.rows, b.group
    own = Mul(*(i.size for i in w.features))
    run = Mul(*(i.size for i in w.value.indices[1 + len(w.features) :]))
    start, height = (m.step * g.first + m.offset + g.tap).expand(), w.value.indices[0].size
    sizes = (g.taps * own, run)
    last = tuple(Index(f"_{k}", size) for k, size in enumerate(sizes))
    if g.count == 1:
        part = slice_text(start * own, g.taps * own, S.One, height * own)
        matrix = f"{w.value.text}.reshape{shape_text((height * own, run))}{subscript([part])}"
        return _bound(values, matrix, last, w.value, None).text
    reach = (m.step * (g.count - 1) + g.taps).expand()
    whole = w.value.text + subscript([slice_text(start, reach, S.One, height)])
    every = _windows(values, w.value, whole, g.count, (g.taps, m.step), sizes)
    if b.loop is None:
        return every.text
    place = size_text(b.start) if not b.axis else slice_text(b.start, b.count, S.One, g.count)
    return _bound(values, f"{every.text}[{place}]", (*b.axis, *last), every, b.loop).text


def _windows(
    values: Elementwise,
    of: Value,
    seen: str,
    rows: Expr,
    taps: tuple[int, Expr],
    sizes: tuple[Expr, Expr],
) -> Value:
    """Windows of some taps, a step apart, that move along the first axis of a view, as matrices."""
    axes = len(of.indices)
    made = f"np.lib.stride_tricks.sliding_window_view({seen}, {taps[0]}, 0)"
    made += "" if taps[1] == 1 else f"[::{size_text(taps[1])}]"
    order = (0, axes, *range(1, axes))
    made += f".transpose({', '.join(map(str, order))}).reshape{shape_text((rows, *sizes))}"
    if made not in values.overlapped:
        shape = tuple(Index(f"_{k}", size) for k, size in enumerate((rows, *sizes)))
        values.overlapped[made] = _bound(values, made, shape, of, None)
    found: Value = values.overlapped[made]
    return found


def _rows_of(values: Elementwise, out: Value, p: Index, b: Block) -> Value:
    """The rows of a block in an array of all."""
    place = b.place(p.size)
    rows = out.text + subscript([place if i == p else ":" for i in out.indices])
    shown = tuple(j for i in out.indices for j in (b.axis if i == p else (i,)))
    return _bound(values, rows, shown, out, b.loop)


def _bound(values: Elementwise, seen: str, shape: Order, of: Value, loop: Loop | None) -> Value:
    """A name for a view, of its own at every step of a loop."""
    out = values.code.array(shape, of=of.buffer)
    buffer = values.code.buffers[out.buffer]
    values.code.buffers[out.buffer] = replace(buffer, local=loop is not None)
    made = f"{out.text} = {seen}"
    values.code.statements.append(
        Statement(out.buffer, made, origin=values.code.origin, binds=True, loop=loop)
    )
    return out


def _stored(values: Elementwise, axes: Order) -> Value:
    """An array that is there before it is written, part by part."""
    out = values.code.array(axes)
    values.code.buffers[out.buffer] = replace(values.code.buffers[out.buffer], stored=True)
    return out


def _emit(
    values: Elementwise, out: Value, b: Block, into: str, flops: Expr, update: bool = False
) -> None:
    """A statement for all rows of a block."""
    values.code.loop = b.loop
    flops = flops * (b.loop.size if b.loop else 1)
    values.code.emit(out, "", into, operations=flops, update=update)
    values.code.loop = None
