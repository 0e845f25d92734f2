"""Windows in stages, one axis after the other, on slices that lie strided in memory.

    y[n,p,q,c] = max[k,l](x[n,2*p+k,2*q+l,c])

    ->    np.less(x[:, :, ::2], x[:, :, 1::2], out=t_1)          columns: l
          np.maximum(x[:, :, ::2], x[:, :, 1::2], out=t_2)
          np.less(t_2[:, ::2], t_2[:, 1::2], out=t_3)            rows: k
          np.maximum(t_2[:, ::2], t_2[:, 1::2], out=y)

    x_bar[n,h,v,c] = (2*(h%2) + v%2 == y_argmax[n,h//2,v//2,c])*y_bar[n,h//2,v//2,c]

    ->    np.multiply(y_bar, t_3, out=t_4[:, 1::2])              rows
          np.subtract(y_bar, t_4[:, 1::2], out=t_4[:, ::2])
          np.multiply(t_4, t_1, out=x_bar[:, :, 1::2])           columns
          np.subtract(t_4, x_bar[:, :, 1::2], out=x_bar[:, :, ::2])

Exact: a maximum, a minimum or a sum over (k, l) is that over k of those over l. Of equal elements
the first takes the whole cotangent, first in the order of (k, l), the last index running fastest.
A stage passes on to element j only what strictly beats all elements before it, so that it leaves
the first extremum of its own axis. The columns come first: within the row that takes the
cotangent this is the first column, and between rows, compared by their extrema alone, the first
row that has the extremum. The part that goes to an element is the cotangent times 1 or 0 and the
rest is the cotangent minus this part, so 0 or the cotangent itself, without rounding.

Without masks the cotangent goes to all elements of a window: the adjoint of a sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sympy import Add, Expr, Mul, S

from derive.code.contraction import scaled, summed
from derive.code.elementwise import Elementwise
from derive.code.reading import margins_around
from derive.code.spreading import Spread, spreads
from derive.code.statements import Value, size_text
from derive.code.views import affine_form, arranged, subscript, view
from derive.gradients.normal_form import conditions_inside
from derive.language.functions import and_, eq
from derive.language.notation import (
    Access,
    Equation,
    Index,
    Reduce,
    accesses,
    indices,
    reads_plainly,
)

Order = tuple[Index, ...]
_LONGEST = 8  # elements along one axis of a window: each has statements of its own
_BETTER = {"maximum": "less", "minimum": "greater"}


@dataclass(frozen=True)
class Stage:
    """Windows along one axis: element `digit` of window `own` is at `place` on `axis`.

    `own` is None where one window is the whole axis. `masks` say for every element but the first
    whether it beats those before it.
    """

    axis: Index
    place: Expr
    digit: Index
    own: Index | None
    masks: tuple[Value, ...] = ()

    def at(self, j: int, array: Value) -> Value:
        """Element j of all windows, as a view of the array that they move along."""
        place = self.place.xreplace({self.digit: S(j)})
        places = tuple(place if i == self.axis else i for i in array.indices)
        found = view(array, places, tuple(i.size for i in array.indices))
        assert found is not None
        return found

    def positions(self, j: int) -> frozenset[int]:
        """Where the elements j lie on the axis."""
        place = self.place.xreplace({self.digit: S(j)})
        if self.own is None:
            return frozenset([int(place)])
        return frozenset(int(place.xreplace({self.own: S(v)})) for v in range(int(self.own.size)))


@dataclass(frozen=True)
class Staged:
    """An extremum in stages, the first stage first; `access` is what the windows read.

    `level` are the axes of the array that is read, in their order in memory, one for each axis of
    `access`; `margins` how far they reach out around the tensor.
    """

    kept: Order
    bound: Order
    access: tuple[Expr, ...]
    shape: tuple[Expr, ...]
    level: Order
    margins: tuple[tuple[Expr, Expr], ...]
    stages: tuple[Stage, ...]
    value: Value


# Forward


def extremum(values: Elementwise, function: str, neutral: str, e: Equation) -> Value | None:
    """An extremum over windows that move along an axis, or whose places are looked for as well."""
    key = (function, e.term, e.guard, e.bound)
    moving = isinstance(e.term, Access) and any(
        x.has(*e.bound) and x.has(*e.indices) for x in e.term.indices if e.indices
    )
    if not moving and values.staged.get(key) is None:
        return None
    found = staged(values, function, neutral, e)
    return found.value if found else None


def staged(values: Elementwise, function: str, neutral: str, e: Equation) -> Staged | None:
    """The stages of an extremum; None where they are no few elements along each of some axes."""
    key = (function, e.term, e.guard, e.bound)
    if key not in values.staged:
        values.staged[key] = _carried_out(values, function, neutral, e)
    found: Staged | None = values.staged[key]
    return found


def added(
    values: Elementwise, term: Expr, bound: Order, conditions: Sequence[Expr]
) -> Value | None:
    """The sum of a term c*x[n,2*p+k] over windows that move along an axis; else None."""
    if bound and reads_plainly(term):
        return None
    scalar, rest = term.as_independent(Index, Access, as_Add=False)
    moving = [
        i for x in getattr(rest, "indices", ()) if len(x.atoms(Index)) > 1 for i in x.atoms(Index)
    ]
    if not isinstance(rest, Access) or not set(bound) <= set(moving):
        return None
    kept = tuple(i for i in values.frame if rest.has(i) and i not in bound)
    guard = and_(*conditions) if conditions else S.One
    e = Equation("", kept, Reduce("sum", rest, bound, guard))
    found = staged(values, "add", "0", e)
    return scaled(values, found.value, scalar) if found else None


def _carried_out(values: Elementwise, function: str, neutral: str, e: Equation) -> Staged | None:
    a = e.term
    if not isinstance(a, Access) or values.code.loop or not (indices(a) & set(e.indices)):
        return None
    value, axes = values.tensors[a.tensor]
    if value.kind != "real" or set(value.indices) != set(axes) or len(set(axes)) < len(axes):
        return None
    single = {i: S.Zero for i in e.bound if i.size == 1}
    bound = tuple(i for i in e.bound if i not in single)
    access = tuple(x.xreplace(single) for x in a.indices)
    at = tuple(access[axes.index(i)] for i in value.indices)
    shape = tuple(i.size for i in value.indices)
    conditions = set(e.guard.args if isinstance(e.guard, and_) else (e.guard,) * (e.guard != 1))
    inside = {
        c.xreplace(single)
        for x, n in zip(at, shape, strict=True)
        for c in conditions_inside(x, n, values.sizes)
    }
    if {c.xreplace(single) for c in conditions} != inside:
        return None
    if not _are_windows(at, shape, bound, e.indices):
        return None
    outer, values.padding = values.padding, neutral
    padded = values.padded(value, at, shape) if inside else (value, at)
    values.padding = outer
    if padded is None:
        return None
    array, places = padded
    margins = tuple(margins_around(x, n, values.sizes) for x, n in zip(at, shape, strict=True))
    level = tuple(
        Index(f"_{k}", i.size) if x.has(*bound) else x
        for k, (x, i) in enumerate(zip(places, array.indices, strict=True))
    )
    current = Value(array.text, level, array.kind)
    stages: list[Stage] = []
    for digit in reversed(bound):
        (k,) = (k for k, x in enumerate(places) if x.has(digit))
        (own,) = places[k].atoms(Index) - {digit} or (None,)
        stage = Stage(level[k], places[k], digit, own)
        current, masks = _reduced(values, function, stage, current, len(stages) + 1 == len(bound))
        stages.append(replace(stage, masks=masks))
    order = tuple(access[axes.index(i)] for i in value.indices)
    return Staged(e.indices, bound, order, shape, level, margins, tuple(stages), current)


def _are_windows(
    at: Sequence[Expr], shape: Sequence[Expr], bound: Order, own: Sequence[Index]
) -> bool:
    """Whether each bound index moves along an axis of its own, by numbers of places."""
    if not bound or not all(i.size.is_Integer and i.size <= _LONGEST for i in bound):
        return False
    seen: list[Index] = []
    for x, n in zip(at, shape, strict=True):
        affine = affine_form(x)
        if affine is None:
            return False
        terms = dict(affine[1])
        seen += terms
        digits = [i for i in terms if i in bound]
        if not digits:
            if not (isinstance(x, Index) and x.size == n):
                return False
            continue
        numbers = (affine[0], n, *terms.values(), *(i.size for i in terms))
        if len(digits) > 1 or len(terms) > 2 or not all(c.is_Integer for c in numbers):
            return False
        if not all(c > 0 for c in terms.values()):
            return False
    return len(set(seen)) == len(seen) and set(bound) <= set(seen) <= {*bound, *own}


def _reduced(
    values: Elementwise, function: str, stage: Stage, array: Value, is_last: bool
) -> tuple[Value, tuple[Value, ...]]:
    """The extrema along one axis, and the masks that say which elements they are."""
    best = stage.at(0, array)
    after = best.indices
    if is_last:
        after = tuple(i for i in values.frame if i in after)
    masks = []
    for j in range(1, int(stage.digit.size)):
        later = stage.at(j, array)
        arguments = f"{arranged(best, after)}, {arranged(later, after)}"
        if function in _BETTER:
            mask = values.code.array(after, "boolean")
            masks.append(values.code.call(f"np.{_BETTER[function]}", arguments, mask))
        out = values.code.array(after)
        best = values.code.call(f"np.{function}", arguments, out, overwrites=(best,))
    return best, tuple(masks)


# Backward


def routed(values: Elementwise, e: Equation) -> Value | None:
    """A cotangent that goes to places of extrema, or to all elements of windows; else None."""
    if not values.routes or e.reduction not in ("sum", None) or values.code.loop is not None:
        return None
    if not e.indices:
        return None
    addends = {addend: _route(values, e, addend) for addend in Add.make_args(e.term)}
    others = [addend for addend, route in addends.items() if route is None]
    if len(others) == len(addends) or (others and e.reduction):
        return None
    frame = values.frame
    parts = []
    for route in addends.values():
        if route is not None:
            parts.append(_carried_back(values, e, *route))
            values.frame = frame
    if others:
        parts.append(values.value(Add(*others)))
    total, *rest = parts
    for part in rest:
        total = values.apply("add", total, part)
    return total


# A spread, what of its term is the cotangent of windows, their stages, and the names of the axes
# of the arrays in these by the indices of the equation.
Route = tuple[Spread, Expr, Staged, Mapping[Index, Index]]


def _route(values: Elementwise, e: Equation, addend: Expr) -> Route | None:
    if not any(a.tensor in values.routes for x in addend.atoms(eq) for a in accesses(x)):
        return None
    body = Reduce("sum", addend, e.bound, e.guard) if e.reduction else addend
    found = spreads(values, replace(e, body=body))
    if found is None and not e.reduction:
        found = [Spread({}, addend, (), ())]
    if found is None or len(found) != 1 or found[0].conditions:
        return None
    (spread,) = found
    for factor in Mul.make_args(spread.term):
        for number, read in (factor.args, factor.args[::-1]) if isinstance(factor, eq) else ():
            if isinstance(read, Access) and read.tensor in values.routes:
                windows = values.routes[read.tensor]
                names = _matched(e, spread, number, read, windows)
                rest = spread.term / factor
                if names is not None and _is_cotangent(spread, rest, windows, names):
                    return spread, rest, windows, names
    return None


def _is_cotangent(
    spread: Spread, rest: Expr, windows: Staged, names: Mapping[Index, Index]
) -> bool:
    """Whether an expression has one value for each window."""
    summed = {*spread.bound} - {names[i] for i in windows.bound}
    return indices(rest) <= {*(names[i] for i in windows.kept), *summed}


def _matched(
    e: Equation, spread: Spread, number: Expr, read: Access, windows: Staged
) -> Mapping[Index, Index] | None:
    """The indices of windows by those that a cotangent of theirs has for them."""
    affine = affine_form(number)
    if affine is None or affine[0] != 0 or len(affine[1]) != len(windows.bound):
        return None
    if not all(isinstance(i, Index) for i in read.indices):
        return None
    names = dict(zip(windows.kept, read.indices, strict=True))
    weight = S.One
    for (digit, c), i in zip(reversed(affine[1]), reversed(windows.bound), strict=True):
        if c != weight or digit.size != i.size:
            return None
        names[i] = digit
        weight = weight * i.size
    if len(set(names.values())) < len(names):
        return None
    left = list(e.indices)
    for k, x in enumerate(windows.access):
        place = x.xreplace(names)
        same = [
            i
            for i in left
            if i.size == windows.shape[k] and (spread.at.get(i, i) - place).expand() == 0
        ]
        if not same:
            return None
        left.remove(same[0])
        names[windows.level[k]] = same[0]
    return None if left else names


def spread_out(values: Elementwise, e: Equation, spread: Spread) -> Value | None:
    """What goes to all elements of windows, as the cotangent of a sum does; else None."""
    route = None if values.code.loop else _everywhere(values, e, spread)
    if route is None:
        return None
    frame = values.frame
    value = _carried_back(values, e, *route)
    values.frame = frame
    return value


def _everywhere(values: Elementwise, e: Equation, spread: Spread) -> Route | None:
    """The stages of what goes to all elements of windows."""
    term = spread.term
    if spread.conditions:
        return None
    bound: list[Index] = []
    level, margins = [], []
    stages: list[Stage] = []
    names: dict[Index, Index] = {}
    for k, i in enumerate(e.indices):
        place = spread.at.get(i, i)
        if place == i:
            if i in names:
                return None
            names[i] = i
            level.append(i)
            margins.append((S.Zero, S.Zero))
            continue
        affine = affine_form(place)
        if affine is None:
            return None
        digits = [j for j, _ in affine[1] if not term.has(j)]
        own = [j for j, _ in affine[1] if term.has(j)]
        numbers = (affine[0], i.size, *(c for _, c in affine[1]), *(j.size for j, _ in affine[1]))
        if len(digits) != 1 or len(own) > 1 or not all(c.is_Integer for c in numbers):
            return None
        if digits[0].size > _LONGEST or not all(c > 0 for _, c in affine[1]):
            return None
        before, after = margins_around(place, i.size, values.sizes)
        axis = Index(f"_{k}", i.size + before + after)
        bound += digits
        stages.append(Stage(axis, (place + before).expand(), digits[0], own[0] if own else None))
        level.append(axis)
        margins.append((before, after))
        names |= {axis: i} | {j: j for j in (*digits, *own)}
    if not stages or len(set(names)) < len(level) + len(stages):
        return None
    kept = tuple(j for j in names if j not in (*bound, *level) or j in e.indices)
    found = Staged(
        kept,
        tuple(bound),
        tuple(spread.at.get(i, i) for i in e.indices),
        tuple(i.size for i in e.indices),
        tuple(level),
        tuple(margins),
        tuple(stages),
        Value("", ()),
    )
    return (spread, term, found, names) if _is_cotangent(spread, term, found, names) else None


def _carried_back(
    values: Elementwise,
    e: Equation,
    spread: Spread,
    rest: Expr,
    found: Staged,
    names: Mapping[Index, Index],
) -> Value:
    """The cotangent of the array that windows read, from that of the windows, stage by stage."""
    frame = values.frame
    own = {names[i]: i for i in found.kept}
    target = {names[i]: i for i in found.level}
    inner = tuple(i for i in spread.bound if i not in own and i not in target)
    inner = tuple(i for i in inner if i not in {names[b] for b in found.bound})
    windows = {s.axis: s.own for s in found.stages}
    last = [windows.get(target[i], target[i]) for i in frame if i in target]
    order = found.value.indices or tuple(i for i in last if i is not None)
    values.frame = (*(names[i] for i in order), *inner)
    g = values.real(summed(values, rest, inner))
    g = Value(g.text, tuple(own[i] for i in g.indices), g.kind)
    axes = [target[i] for i in frame if i in target]
    for k, stage in reversed(tuple(enumerate(found.stages))):
        earlier = {s.axis: s.own for s in found.stages[:k]}
        level = tuple(j for i in axes if (j := earlier.get(i, i)) is not None)
        g = _spread_out(values, stage, g, level)
    places = dict(zip(found.level, found.margins, strict=True))
    back = {i: j for j, i in target.items()}
    cut = [
        ":"
        if places[i] == (0, 0)
        else f"{size_text(places[i][0])}:{size_text(i.size - places[i][1])}"
        for i in g.indices
    ]
    values.frame = frame
    return Value(g.text + subscript(cut), tuple(back[i] for i in g.indices), g.kind)


def _spread_out(values: Elementwise, stage: Stage, g: Value, axes: Order) -> Value:
    """The cotangent of elements along one axis from that of their extrema, or of their sums."""
    out = values.code.array(axes)
    values.code.buffers[out.buffer] = replace(values.code.buffers[out.buffer], stored=True)
    count = int(stage.digit.size)
    first, *others = (stage.at(j, out) for j in range(count))
    values.frame = first.indices
    places = [stage.positions(j) for j in range(count)]
    new = _first_written(places)
    _cleared(values, out, stage.axis, set().union(*(places[j] for j in new)))
    alone = not places[0] & set().union(*places[1:])

    def put(text: str) -> None:
        values.code.emit(out, "", text, operations=first.elements, update=True)

    def text(v: Value) -> str:
        return arranged(v, first.indices)

    left = g
    for j in range(count - 1, 0, -1):
        part = others[j - 1]
        if not stage.masks:
            put(
                f"np.copyto({part.text}, {text(g)})"
                if j in new
                else f"np.add({part.text}, {text(g)}, out={part.text})"
            )
            continue
        mask = stage.masks[j - 1]
        if j in new:
            put(f"np.multiply({text(left)}, {text(mask)}, out={part.text})")
        else:
            product = values.apply("multiply", left, mask)
            put(f"np.add({part.text}, {text(product)}, out={part.text})")
            part = product
        if alone:
            put(f"np.subtract({text(left)}, {text(part)}, out={first.text})")
            left = first
        else:
            left = values.apply("subtract", left, part)
    if not (alone and stage.masks):
        put(
            f"np.copyto({first.text}, {text(left)})"
            if 0 in new
            else f"np.add({first.text}, {text(left)}, out={first.text})"
        )
    return out


def _first_written(places: Sequence[frozenset[int]]) -> set[int]:
    """The elements that nothing is written to before, when the last ones come first."""
    seen: set[int] = set()
    new = set()
    for j in range(len(places) - 1, -1, -1):
        if not places[j] & seen:
            new.add(j)
        seen |= places[j]
    return new


def _cleared(values: Elementwise, out: Value, axis: Index, covered: set[int]) -> None:
    """Zeros where nothing is written before something is added or the whole is read."""
    missing = [k for k in range(int(axis.size)) if k not in covered]
    starts = [k for k in missing if k - 1 not in missing]
    stops = [k + 1 for k in missing if k + 1 not in missing]
    if len(starts) > 2:
        values.code.emit(out, "", "{out}.fill(0)", operations=S.Zero, update=True)
        return
    for start, stop in zip(starts, stops, strict=True):
        low, high = str(start) if start else "", str(stop) if stop < axis.size else ""
        part = subscript([f"{low}:{high}" if i == axis else ":" for i in out.indices])
        text = f"{{out}}{part} = 0" if part else "{out}.fill(0)"
        values.code.emit(out, "", text, operations=S.Zero, update=True)
