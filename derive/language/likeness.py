"""Expressions that differ in names alone: what is found of the first holds for all of them.

    sum[i](a_1[n,i]*W_2[i,k])   and   sum[p](a_9[n,p]*W_10[p,q])

are alike: where the one has a name, the other has one, the same wherever the first's is the same,
and their names are in the same order. SymPy sorts terms and factors by names, and so may a rule
that chooses between two: of alike expressions it chooses what is alike. So a function that looks at
nothing else of a name gives for the second what it gives for the first, with the names exchanged.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, TypeVar

from sympy import Add, Basic, Expr, Function, Mul, Pow, S, Symbol

from derive.language.notation import REMEMBERED, Access, Index, Reduce

Name: TypeAlias = Any  # an index, or what a tensor is called
T = TypeVar("T")
_NO_WORDS: frozenset[str] = frozenset()
MOST = 1 << 13  # expressions of which a memory keeps what was found


class Outline(NamedTuple):
    """An expression without its names.

    `shape` stands for it in preorder, each name as a number; `names` are these, `words` what else
    is printed as a word. `ranged`: whether more may depend on the sizes of its indices than which
    of them are equal, as of an index that is no place in a tensor, of a guard, of a sum of sums.
    """

    shape: Hashable
    names: tuple[Name, ...]
    words: frozenset[str]
    ranged: bool


class Likeness(NamedTuple):
    """What alike expressions have in common, and the names of these, in one order.

    Equal where the expressions differ in names, `in_sizes` where they do in sizes too: any number
    above 1 in place of another, equal ones where these were equal.
    """

    key: Hashable
    in_sizes: Hashable
    names: tuple[Name, ...]
    words: frozenset[str]
    ranged: bool


def likeness(given: Iterable[Basic]) -> Likeness:
    """Of several expressions together: a name in two of them is one."""
    outlines = [outline(e) for e in given]
    numbers: dict[Name, int] = {}
    parts = tuple(
        (o.shape, tuple([numbers.setdefault(name, len(numbers)) for name in o.names]))
        for o in outlines
    )
    names = tuple(numbers)
    texts = [str(name.name) for name in names]
    words = frozenset().union(*[o.words for o in outlines])
    texts += sorted(words)
    # By name, as SymPy compares them, and as they are printed before an index: z_10[n] < z_1[n].
    orders = _order(texts), _order([f"{text}[" for text in texts])
    sizes = tuple([name.size if isinstance(name, Index) else None for name in names])
    known: dict[Any, int] = {}
    equal = tuple([(known.setdefault(s, len(known)),) if _is_any(s) else s for s in sizes])
    ranged = any(o.ranged for o in outlines)
    return Likeness((parts, orders, sizes), (parts, orders, equal), names, words, ranged)


def _is_any(size: Expr | None) -> bool:
    """Whether a size is a number above 1."""
    return size is not None and size.is_Integer and size is not S.One


def _order(texts: Sequence[str]) -> tuple[int, ...]:
    return tuple(sorted(range(len(texts)), key=texts.__getitem__))


@lru_cache(maxsize=REMEMBERED)
def outline(e: Basic) -> Outline:
    """The outline of one expression; equal ones have one."""
    if isinstance(e, Access):
        names = e.args
        if len({*names}) == len(names) and all(isinstance(i, Index) for i in names[1:]):
            return Outline(_one((Access, len(names))), names, _NO_WORDS, False)
    shape: list[Any] = []
    numbers: dict[Name, int] = {}
    words: set[str] = set()
    ranged = False

    def number(name: Name) -> None:
        shape.append((numbers.setdefault(name, len(numbers)),))

    def visit(e: Basic, in_sum: bool) -> None:
        nonlocal ranged
        if isinstance(e, Access):
            shape.extend((Access, len(e.args)))
            number(e.args[0])
            for i in e.indices:
                ranged |= not isinstance(i, Index | Access)
                number(i) if isinstance(i, Index) else visit(i, in_sum)
        elif isinstance(e, Reduce):
            shape.extend((Reduce, e.op, len(e.bound)))
            words.add(e.op)
            for i in e.bound:
                number(i)
            ranged |= e.guard != 1
            visit(e.term, True)
            visit(e.guard, True)
        elif isinstance(e, Index):
            ranged = True
            number(e)
        elif not e.args:
            shape.append(e)
            if isinstance(e, Symbol):
                words.add(e.name)
        else:
            ranged |= in_sum and isinstance(e, Add)
            shape.extend((e.func, len(e.args)))
            if isinstance(e, Function):
                words.add(e.func.__name__)
            for a in e.args:
                visit(a, in_sum)

    visit(e, False)
    return Outline(_one(tuple(shape)), tuple(numbers), frozenset(words), ranged)


@lru_cache(maxsize=REMEMBERED)
def _one(shape: tuple[Any, ...]) -> Hashable:
    """One object for equal shapes, so that comparing is quick."""
    return object()


class Memory(dict[Hashable, T]):
    """What was found, by what it was found of; the last some of it."""

    def __setitem__(self, key: Hashable, value: T) -> None:
        if len(self) >= MOST:
            self.pop(next(iter(self)), None)
        super().__setitem__(key, value)


class Pattern:
    """Expressions with places for names, to be filled with others in the same order, one for one.

    Then the terms of a sum stay sorted, equal parts equal and different ones different: nothing is
    to be evaluated, and each part is built again of parts of its own, as it was. Among the names
    may be whole expressions that stand in these.
    """

    def __init__(self, expressions: Iterable[Basic], places: Iterable[Basic]) -> None:
        self._values: list[Basic] = list(places)
        self._built: list[tuple[int, Basic, tuple[int, ...]]] = []
        slots = {e: k for k, e in enumerate(self._values)}
        named = set(slots.values())

        def slot(e: Basic) -> int:
            if e not in slots:
                # The name of a reduction is that of no tensor.
                inner = e.args[1:] if isinstance(e, Reduce) else e.args
                parts = tuple([slot(a) for a in inner])
                k = slots[e] = len(self._values)
                self._values.append(e)
                if any(part in named for part in parts):
                    named.add(k)
                    self._built.append((k, e, parts))
            return slots[e]

        self._results = tuple([slot(e) for e in expressions])

    def __call__(self, places: Iterable[Basic]) -> tuple[Any, ...]:
        values = [*places]
        values += self._values[len(values) :]
        for k, e, parts in self._built:
            values[k] = _rebuilt(e, [values[part] for part in parts])
        return tuple([values[k] for k in self._results])


def _rebuilt(e: Basic, args: Sequence[Any]) -> Basic:
    """An expression of the same kind, its arguments in their order and not evaluated."""
    if isinstance(e, Access):
        return Access(*args)
    if isinstance(e, Reduce):
        return Basic.__new__(Reduce, e.args[0], *args)
    new = Basic.__new__(type(e), *args)
    if isinstance(e, Add | Mul | Pow):
        new.is_commutative = e.is_commutative
    elif isinstance(e, Function):
        new.nargs = e.nargs
    return new
