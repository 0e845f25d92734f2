"""What an access may reach, over the whole ranges of its indices.

    x[2*p+k]     from 0 to 2*(P-1) + K-1

Outside reductions and `where` it has to be within the tensor. A tensor with a recurrence has one
more place, that of its initial value: before the first, or after the last.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import sympy
from sympy import Add, Expr, Integer, Mul, S, Symbol

from derive.language.functions import floordiv, mod, where
from derive.language.notation import Access, DeriveError, Index, Program, Reduce, indices
from derive.language.text_printer import text

_MOST_POINTS = 10**6


def ends(e: Expr) -> tuple[Expr, Expr] | None:
    """The least and the largest value of an index expression over the ranges of its indices.

    Sizes may be symbols. None where that is not known: a lookup, or a product of unknown sign.
    Exact if every index stands once and none in a `%`, else the ends are not within these.
    """
    if isinstance(e, Index):
        return S.Zero, e.size - 1
    if e.is_Integer or (isinstance(e, Symbol) and not e.is_zero):
        return e, e
    if isinstance(e, Symbol):
        return S.Zero, S.Zero
    if not isinstance(e, Add | Mul | sympy.Pow | floordiv | mod):
        return None
    parts = [ends(a) for a in e.args]
    if any(p is None for p in parts):
        return None
    lows, highs = zip(*(p for p in parts if p is not None), strict=True)
    if isinstance(e, Add):
        return Add(*lows), Add(*highs)
    if isinstance(e, Mul):
        return _ends_of_product(lows, highs)
    if isinstance(e, sympy.Pow):
        square = e.args[1].is_Integer and e.args[1] > 0 and nonnegative(lows[0])
        return (lows[0] ** e.args[1], highs[0] ** e.args[1]) if square else None
    if not (lows[1] == highs[1] and lows[1].is_positive):
        return None
    divisor = lows[1]
    low, high = floordiv(lows[0], divisor), floordiv(highs[0], divisor)
    if isinstance(e, floordiv):
        return low, high
    if low == high and low.is_Integer:
        return lows[0] - low * divisor, highs[0] - low * divisor
    return S.Zero, divisor - 1


def _ends_of_product(lows: Sequence[Expr], highs: Sequence[Expr]) -> tuple[Expr, Expr] | None:
    """A number, perhaps negative, times what is never negative; else all must be numbers."""
    number = lows[0] if lows[0] == highs[0] and lows[0].is_Integer else S.One
    start = 1 if number != 1 else 0
    if all(map(nonnegative, lows[start:])):
        ends_ = [(number * Mul(*side[start:])).expand() for side in (lows, highs)]
        return (ends_[1], ends_[0]) if number < 0 else (ends_[0], ends_[1])
    corners = [Mul(*corner) for corner in itertools.product(*zip(lows, highs, strict=True))]
    return (min(corners), max(corners)) if all(c.is_Integer for c in corners) else None


def bounds(e: Expr, sizes: Mapping[Symbol, Expr | int]) -> tuple[int, int] | None:
    """The least and the largest value of an index expression, the sizes being numbers.

    None for a lookup. Exact, unless an index stands twice and there are over a million points.
    """
    numbers = {s: Integer(v) for s, v in sizes.items()}
    numbers |= {s: S.Zero for s in e.free_symbols if s.is_zero}
    here = {i: Index(i.name, i.size.xreplace(numbers)) for i in indices(e)}
    e = e.xreplace(numbers | here)
    found = ends(e)
    if found is None or not all(v.is_Integer for v in found):
        return None
    if not exact(e) and not all(i.size.is_Integer for i in here.values()):
        return None
    if exact(e) or math.prod(int(i.size) for i in here.values()) > _MOST_POINTS:
        return int(found[0]), int(found[1])
    points = itertools.product(*(range(int(i.size)) for i in here.values()))
    values = [
        int(e.xreplace(dict(zip(here.values(), map(Integer, p), strict=True)))) for p in points
    ]
    return min(values), max(values)


def exact(e: Expr) -> bool:
    atoms = [a for a in sympy.preorder_traversal(e) if isinstance(a, Index)]
    return len(atoms) == len(set(atoms)) and not e.has(mod)


def unguarded(e: Expr) -> Iterator[Access]:
    """The accesses outside any reduction and any branch of `where`, those in indices included."""
    if isinstance(e, Access):
        yield e
    if isinstance(e, Reduce):
        return
    for a in e.args[:1] if isinstance(e, where) else e.args:
        yield from unguarded(a)


def numbers(program: Program, sizes: Mapping[Symbol, Expr | int]) -> dict[Symbol, int]:
    """The sizes of the inputs, and with them those that the program derives.

    Raises DeriveError for a derived size below 1, and for one given that differs.
    """
    known = {s: int(v) for s, v in sizes.items()}
    for s, value in program.sizes:
        number = value.xreplace({k: Integer(v) for k, v in known.items()}).doit()
        if not number.is_Integer:
            raise DeriveError(f"the size {s} = {text(value)} needs sizes that are not given")
        if known.setdefault(s, int(number)) != number:
            raise DeriveError(f"the size {s} is {known[s]} in the arrays, but given as {number}")
        if number < (0 if s.is_zero else 1):
            raise DeriveError(f"the size {s} = {text(value)} is {number}, but must be positive")
    return known


def check_accesses(program: Program, sizes: Mapping[Symbol, Expr | int]) -> None:
    """Raises DeriveError for an access that leaves its tensor outside any reduction and `where`."""
    known = numbers(program, sizes)
    shapes: dict[str, tuple[Index, ...]] = {t.name: t.axes for t in program.inputs}
    shapes |= {q.target: q.indices for q in program.equations}
    starts = {q.target: q.recurrence for q in program.equations if q.recurrence}
    for equation in (line for q in program.equations for line in q.lines):
        for access in unguarded(equation.body):
            start = starts.get(access.tensor)
            for index, axis in zip(access.indices, shapes[access.tensor], strict=True):
                reach = bounds(index, known)
                size = known[axis.size]
                before, after = beyond(start.step if start and axis == start.index else 0)
                if reach and (reach[0] < -before or reach[1] >= size + after):
                    raise DeriveError(
                        f"`{text(access)}` leaves its tensor: the index {text(index)} runs from "
                        f"{reach[0]} to {reach[1]}, the size of the axis is {size}"
                    )


def nonnegative(e: Expr) -> bool:
    """Whether an expression of sizes is at least 0 whatever they are; each is at least 1."""
    shifted = e.xreplace(
        {
            s: 1 + Symbol(s.name, integer=True, nonnegative=True)
            for s in e.free_symbols
            if not s.is_zero
        }
    )
    return bool(shifted.expand().is_nonnegative)


def beyond(step: int) -> tuple[int, int]:
    """The positions before the first and after the last on an axis: the one of initial values."""
    return int(step < 0), int(step > 0)
