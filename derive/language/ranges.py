"""The range of every index, and what an access may reach.

    x[n,i], W[i,j], b[j]            n, i, j stand alone: they run over the axes
    y[p] = sum[k](x[2*p+k]*w[k])    p never does: the largest range that stays inside x,
                                    P = (X - K)//2 + 1

Indices that share an axis share one size symbol. A size that no axis of an input fixes is given or
derived: `infer` finds it as an expression of the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import sympy
from sympy import Add, Expr, S, Symbol

from derive.language.functions import floordiv
from derive.language.notation import (
    ELLIPSIS,
    Index,
    indices,
    size,
    size_of_zero,
    zero,
)
from derive.language.reach import beyond, bounds, ends, exact, nonnegative
from derive.language.source import FormulaError, Place
from derive.language.text_printer import text

_LETTERS = "ijklmnopqrstuvwabcdefghxyz"

Axis = tuple[str, int]  # a tensor and the number of one of its axes


@dataclass(frozen=True)
class Use:
    """One axis of one access, as it is written. Each index has the size of its own spelling."""

    tensor: str
    axis: int
    index: Expr
    equation: int
    place: Place
    alone: bool = False  # a plain index: it runs over the whole axis
    block: bool = False  # has a product with a size: it fixes no range
    guarded: bool = False  # in a reduction or in a branch of `where`: it may fall outside


@dataclass(frozen=True)
class Text:
    """What `parse` read, as far as ranges depend on it.

    `order` lists the sizes of all index names, those whose spelling is preferred first; `inputs`
    gives each input's number of axes; `names` are all names in use, `hidden` those that are no
    sizes although they are spelled like one. `places` has the first place of each index name.
    """

    uses: tuple[Use, ...]
    order: tuple[Symbol, ...]
    inputs: Mapping[str, int]
    given: Mapping[Symbol, Expr]
    names: frozenset[str]
    hidden: frozenset[str]
    places: Mapping[Symbol, Place]
    starts: Mapping[Axis, int] = field(default_factory=dict)  # the steps of recurrences


@dataclass(frozen=True)
class Ranges:
    """What `infer` found."""

    symbols: Mapping[Symbol, Symbol]  # the size of an index name -> the one its family shares
    axes: Mapping[Axis, Symbol]  # the size of every axis
    inputs: Mapping[str, tuple[Index, ...]]
    values: Mapping[Symbol, Expr]  # of the sizes that are given or derived, over those of inputs

    def settle(self, e: Expr) -> Expr:
        """The expression with the shared sizes in the place of those read."""
        renaming: dict[Expr, Expr] = {}
        for symbol in e.free_symbols:
            if isinstance(symbol, Index):
                renaming[symbol] = self.index(symbol)
            elif symbol.is_zero:
                renaming[symbol] = zero(self.symbols[size_of_zero(symbol)])
            else:
                renaming[symbol] = self.symbols[symbol]
        return e.xreplace(renaming)

    def index(self, i: Index) -> Index:
        return i.resized(self.symbols[i.size])


def infer(read: Text) -> Ranges:
    """The range of every index in a text.

    Raises FormulaError for an index whose range nothing fixes, for sizes that contradict each
    other, and for an access outside its tensor as far as the sizes are known.
    """
    kin = _families(read)
    symbols = {s: _shared_symbol(kin[s], read) for s in read.order}
    axes, inputs = _axes_of_inputs(read, kin, symbols)
    for use in read.uses:
        if use.alone:
            axes[use.tensor, use.axis] = symbols[use.index.size]
    values = _given(read, symbols)
    ranges = Ranges(symbols, axes, inputs, values)
    fixed = {i.size for tensor in inputs.values() for i in tensor}
    affine = [(u, ranges.settle(u.index)) for u in read.uses if not u.alone]
    _derive(read, affine, ranges, values, fixed)
    _check(read, affine, ranges)
    values |= {s: S.Zero for _, index in affine for s in _zeros(index)}
    return ranges


def _families(read: Text) -> dict[Symbol | Axis, list[Symbol]]:
    """For each index name and each axis that an index names: the index names of one range."""
    family: dict[Symbol | Axis, list[Symbol]] = {s: [s] for s in read.order}
    owner: dict[Axis, Symbol] = {}
    rank = {s: r for r, s in enumerate(read.order)}
    for use in read.uses:
        if not use.alone:
            continue
        own = use.index.size
        first = owner.setdefault((use.tensor, use.axis), own)
        if family[first] is not family[own]:
            both = sorted(family[first] + family[own], key=rank.__getitem__)
            if any(s.name == ELLIPSIS for s in both):
                raise use.place.error(
                    f"axis {use.axis} of `{use.tensor}` is both `...` and a single axis",
                    "`...` stands for all leading axes: use it wherever they are meant.",
                )
            for s in both:
                family[s] = both
    return family | {axis: family[s] for axis, s in owner.items()}


def _shared_symbol(family: list[Symbol], read: Text) -> Symbol:
    """The size by which a family goes: the first that the text can spell."""
    spelled = [s for s in family if s.name not in read.hidden]
    return spelled[0] if spelled else size(f"{family[0].name.lower()}_size")


def _axes_of_inputs(
    read: Text, kin: Mapping[Symbol | Axis, list[Symbol]], symbols: Mapping[Symbol, Symbol]
) -> tuple[dict[Axis, Symbol], dict[str, tuple[Index, ...]]]:
    """An index for each axis of each input: the one that stands there in the text, or a new one."""
    rank = {s: r for r, s in enumerate(read.order)}
    plain: dict[Axis, list[Use]] = {}
    for use in read.uses:
        if use.alone and _base(use.index) == use.index.name:
            plain.setdefault((use.tensor, use.axis), []).append(use)
    letters = _new_names(read.names)
    sizes: dict[Axis, Symbol] = {}
    inputs: dict[str, tuple[Index, ...]] = {}
    for tensor, count in read.inputs.items():
        chosen: dict[str, Index] = {}
        for axis in range(count):
            uses = sorted(
                plain.get((tensor, axis), ()), key=lambda u: (u.equation, rank[u.index.size])
            )
            name = next((u.index.name for u in uses if u.index.name not in chosen), None)
            family = kin.get((tensor, axis))
            new = next(letters) if name is None else name
            index = Index(new, symbols[family[0]] if family else None)
            chosen[new], sizes[tensor, axis] = index, index.size
        inputs[tensor] = tuple(chosen.values())
    return sizes, inputs


def _new_names(names: frozenset[str]) -> Iterator[str]:
    numbered = (f"i_{k}" for k in itertools.count(1))
    taken = {n.lower() for n in names}
    return (n for n in itertools.chain(_LETTERS, numbered) if n not in taken)


def _base(index: Index) -> str:
    """The name by which the text calls an index: `i` for `i__1`, an inner `i` renamed."""
    return str(index.name).rpartition("__")[0] or str(index.name)


def _given(read: Text, symbols: Mapping[Symbol, Symbol]) -> dict[Symbol, Expr]:
    """The sizes given, each with its shared symbol. Two numbers for one size are an error."""
    values: dict[Symbol, Expr] = {}
    by: dict[Symbol, Symbol] = {}
    for s, value in read.given.items():
        shared, value = symbols[s], value.xreplace(dict(symbols))
        if values.get(shared, value) != value:
            raise read.places[s].error(
                f"`{_name(by[shared])}` and `{_name(s)}` run over the same axis, but their sizes "
                f"are given as {values[shared]} and {value}"
            )
        values[shared], by[shared] = value, s
    for shared in values:
        for other in values:
            values[other] = values[other].xreplace({shared: values[shared]})
    for shared, s in by.items():
        if values[shared].free_symbols & set(values):
            raise read.places[s].error(f"the size given for `{_name(s)}` depends on itself")
    return values


def _name(size_: Symbol) -> str:
    """The index name of a size as read."""
    return str(size_.name).lower()


def _derive(
    read: Text,
    affine: list[tuple[Use, Expr]],
    ranges: Ranges,
    values: dict[Symbol, Expr],
    fixed: set[Symbol],
) -> None:
    """Adds to `values` the largest range of every index that never stands alone."""
    known = fixed | set(values)
    unknown = [s for s in dict.fromkeys(ranges.symbols.values()) if s not in known]
    uses: dict[Symbol, list[tuple[Use, Expr]]] = {s: [] for s in unknown}
    for use, index in affine:
        for s in {i.size for i in indices(index)} & uses.keys():
            uses[s] += [] if use.block or _steps(use, index, s, read, ranges) else [(use, index)]
    while unknown:
        reasons: dict[Symbol, tuple[Place, str]] = {}
        for s in unknown:
            found = _largest(s, uses[s], read.starts, ranges, values, set(unknown), reasons)
            if found is not None:
                break
        else:
            raise _unfixed(unknown, read, ranges, reasons)
        values[s] = found
        unknown.remove(s)
    for s in values:
        values[s] = values[s].xreplace(values)


def _steps(use: Use, index: Expr, s: Symbol, read: Text, ranges: Ranges) -> bool:
    """Whether it is h[t-1] over the axis of `t` itself, which says nothing of its range."""
    step = read.starts.get(axis := (use.tensor, use.axis), 0)
    return step != 0 and ranges.axes[axis] == s and isinstance(index - step, Index)


def _largest(
    s: Symbol,
    uses: list[tuple[Use, Expr]],
    starts: Mapping[Axis, int],
    ranges: Ranges,
    values: Mapping[Symbol, Expr],
    unknown: set[Symbol],
    reasons: dict[Symbol, tuple[Place, str]],
) -> Expr | None:
    """The largest size `s` with which every access stays inside; None while that is not known."""
    last = sympy.Dummy("last", integer=True, nonnegative=True)
    bounds: list[Expr] = []
    for use, index in uses:
        axis = ranges.axes[use.tensor, use.axis]
        reach = ends(index)
        if reach is None:
            reasons[s] = use.place, "what this access reaches is not known beforehand"
            return None
        low, high = (e.xreplace({s: last + 1}).expand() for e in reach)
        others = (low.free_symbols | high.free_symbols | {axis}) & unknown
        if others:
            reasons[s] = use.place, "it depends on that of " + _list(others)
            return None
        known = dict(values)
        before, after = beyond(starts.get((use.tensor, use.axis), 0))
        low, high, limit = (e.xreplace(known) for e in (low + before, high, axis - 1 + after))
        if last not in low.free_symbols and not nonnegative(low):
            reasons[s] = use.place, "this access may fall outside at the lower end (padding)"
            return None
        try:
            found = [_most(-low, S.Zero, last), _most(high, limit, last)]
        except NotImplementedError:
            reasons[s] = use.place, "this access is not linear in it"
            return None
        bounds += [b + 1 for b in found if b is not None]
    return sympy.Min(*dict.fromkeys(bounds)) if bounds else None


def _most(e: Expr, limit: Expr, last: Symbol) -> Expr | None:
    """The largest `last` with `e <= limit`; None where every one will do.

    a*last + b <= limit        last <= (limit - b)//a
    c*(a//q) + b <= limit      a <= q*((limit - b)//c + 1) - 1       for c > 0
                               -a <= q*((limit - b)//-c)             for c < 0
    """
    terms = Add.make_args(e.expand())
    here = [t for t in terms if last in t.free_symbols]
    room = limit - Add(*(t for t in terms if last not in t.free_symbols))
    slope = Add(*here).coeff(last)
    if not here:
        return None
    if (Add(*here) - slope * last).expand() == 0 and slope.is_Integer:
        return floordiv(room.expand(), slope) if slope > 0 else None
    coefficient, rest = Add(*here).as_coeff_Mul()
    if not (isinstance(rest, floordiv) and rest.args[1].is_positive and coefficient.is_Integer):
        raise NotImplementedError
    a, q = rest.args
    room = floordiv(room.expand(), abs(coefficient))
    return _most(a, q * (room + 1) - 1, last) if coefficient > 0 else _most(-a, q * room, last)


def _unfixed(
    unknown: list[Symbol],
    read: Text,
    ranges: Ranges,
    reasons: Mapping[Symbol, tuple[Place, str]],
) -> FormulaError:
    s = next((s for s in unknown if "depends" not in reasons.get(s, (0, ""))[1]), unknown[0])
    first = next(r for r in read.order if ranges.symbols[r] == s)
    place, reason = reasons.get(s, (read.places[first], ""))
    name = _name(first)
    return place.error(
        f"nothing fixes the range of the index `{name}`" + (f": {reason}" if reason else ""),
        f'Give its size, as sizes={{"{name}": 7}}, or use `{name}` alone at an axis.',
    )


def _list(sizes: set[Symbol]) -> str:
    return ", ".join(sorted(f"`{s.name.lower()}`" for s in sizes))


def _check(read: Text, affine: list[tuple[Use, Expr]], ranges: Ranges) -> None:
    """Raises FormulaError for an empty range, and for an access outside its tensor, where known."""
    for s, value in ranges.values.items():
        if value.is_Integer and value < 1:
            first = next(r for r in read.order if ranges.symbols[r] == s)
            place = read.places[first]
            raise place.error(f"the index `{_name(first)}` has no range: {s} = {value}")
    for use, index in affine:
        if use.guarded:
            continue
        size = ranges.values.get(axis := ranges.axes[use.tensor, use.axis], axis)
        numbers = {s: v for s in _sizes(index) if (v := ranges.values.get(s, s)).is_Integer}
        reach: tuple[Expr | int, Expr | int] | None = bounds(index, numbers)
        if reach is None and exact(index):
            reach = ends(index)
        if reach is None:
            continue
        low, high = (S(v).xreplace(dict(ranges.values)) for v in reach)
        before, after = beyond(read.starts.get((use.tensor, use.axis), 0))
        too_far = (high - size - after).expand()
        if (low + before).is_negative or (too_far.is_Integer and too_far >= 0):
            raise use.place.error(
                f"this access leaves `{use.tensor}`: the index runs from {text(low)} to "
                f"{text(high)}, the size of the axis is {text(size)}",
                "Outside reductions and `where` an access must stay inside its tensor: "
                "shift it, give a smaller size, or guard it with `where`.",
            )


def _sizes(e: Expr) -> set[Symbol]:
    """The sizes in an index expression, those of its indices included."""
    return {s.size if isinstance(s, Index) else s for s in e.free_symbols if not s.is_zero}


def _zeros(e: Expr) -> set[Symbol]:
    return {s for s in e.free_symbols if s.is_zero}
