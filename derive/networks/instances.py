"""A definition put to use: its formula with the network's tensors, indices and numbers put in.

    z[...,j] = sum[i](x[...,i]*W[i,j]) + b[j]   for x = a_1[n,j], units = 10, as layer 2
    ->  z_2[n,k] = sum[j](a_1[n,j]*W_2[j,k]) + b_2[k]

Exact: names are only exchanged for others, one for one, `...` for the axes that it stands for, and
sizes and constants for their numbers.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sympy import Add, Expr, Integer, Mul, S, Symbol

from derive.language import constants, reach
from derive.language.functions import eq
from derive.language.notation import (
    ELLIPSIS,
    Access,
    DeriveError,
    Equation,
    Index,
    Program,
    Recurrence,
    Reduce,
)
from derive.library.definition import SIZES, Binding

BATCH = Index("n")
LETTERS = tuple("ijklmpqrsuv")


@dataclass(frozen=True)
class Value:
    """A tensor that a formula can read, with the index of each axis, and what it is to the user."""

    tensor: str
    indices: tuple[Index, ...]
    source: str  # "dense_1", or "the input"


@dataclass
class Names:
    """The names in use. A name is that of one tensor, or of indices of one size."""

    tensors: set[str]
    sizes: dict[str, Expr] = field(default_factory=lambda: {BATCH.name: BATCH.size})
    same: dict[Expr, list[str]] = field(default_factory=lambda: {BATCH.size: [BATCH.name]})
    begin: dict[str, int] = field(default_factory=dict)  # no `base_k` is free below this k

    def index(self, preferred: str, size: Expr, used: Iterable[Index]) -> Index:
        """An axis of that size: as preferred, or a name that has the size already, or a new one."""
        taken = {i.name for i in used}
        same = self.same.setdefault(size, [])
        for name in itertools.chain([preferred], same, LETTERS, self.numbered(preferred)):
            free = name not in taken and name not in self.tensors
            if free and self.sizes.get(name, size) == size:
                if name not in self.sizes:
                    self.sizes[name] = size
                    same.append(name)
                return Index(name, size)
        raise AssertionError("numbered names have no end")

    def tensor(self, name: str) -> str:
        """The name, or with a number the first that is free."""
        candidates = itertools.chain([name], self.numbered(name))
        chosen = next(c for c in candidates if c not in self.tensors and c not in self.sizes)
        self.tensors.add(chosen)
        return chosen

    def numbered(self, base: str) -> Iterator[str]:
        """`base_1`, `base_2`, ...: all that name no tensor and no index yet, and maybe others."""
        k = self.begin.get(base, 1)
        while (name := f"{base}_{k}") in self.tensors or name in self.sizes:
            k += 1
        self.begin[base] = k
        return (f"{base}_{k}" for k in itertools.count(k))


@dataclass(frozen=True)
class Instance:
    """The equations; `axes` gives the indices of every tensor that the formula reads."""

    equations: tuple[Equation, ...]
    axes: Mapping[str, tuple[Index, ...]]
    tensors: Mapping[str, str | None]
    result: Equation


def instantiate(
    program: Program,
    values: Mapping[str, Value],
    tensors: Mapping[str, str | None],
    binding: Binding,
    names: Names,
) -> Instance:
    """The program of a definition with its inputs, constants and sizes put in.

    `values` are the inputs, `tensors` the new names of all that it assigns and of its parameters;
    None stands for a parameter that is absent, and so is 0. A list becomes the numbers in it:
    `w[k]` is `3*(k == 0) + 5*(k == 1)`. Raises `DeriveError` for sizes that do not fit, without a
    place.
    """
    building = _Building(program, values, tensors, binding, names)
    building.read_sizes()
    instance = building.build()
    building.check_accesses()
    return instance


class _Building:
    def __init__(
        self,
        program: Program,
        values: Mapping[str, Value],
        tensors: Mapping[str, str | None],
        binding: Binding,
        names: Names,
    ) -> None:
        self.program = program
        self.axes = {t.name: t.axes for t in program.inputs}
        self.values = values
        self.tensors = tensors
        self.binding = binding
        self.names = names
        self.sizes: dict[Symbol, Expr] = {}
        self.origins: dict[Symbol, str] = {}
        self.indices: dict[Index, tuple[Index, ...]] = {}
        self.merged: tuple[Index, ...] = ()  # what `...` stands for

    def read_sizes(self) -> None:
        for name, value in self.values.items():
            self.read_value(name, value)
        for axis, (_, text, size) in zip(self.axes.get(SIZES, ()), self.binding.sizes, strict=True):
            self.has_size(axis, Integer(size), repr(text))
        for name, numbers in self.binding.lists.items():
            for axis in self.axes.get(name, ())[:1]:
                self.has_size(axis, Integer(len(numbers)), name)
        derived = reach.numbers(self.program, self.numbers()) if self.program.sizes else {}
        self.sizes |= {s: Integer(v) for s, v in derived.items()}

    def numbers(self) -> dict[Symbol, Expr]:
        return {s: v for s, v in self.sizes.items() if v.is_Integer}

    def check_accesses(self) -> None:
        """No access leaves its tensor, however small the batch and what `...` stands for may be."""
        axes = [i for e in self.program.equations for i in e.indices]
        axes += [i for read in self.axes.values() for i in read]
        ones = {i.size: S.One for i in axes if isinstance(i.size, Symbol)}
        reach.check_accesses(self.program, ones | self.numbers())

    def read_value(self, name: str, value: Value) -> None:
        """The axes of one input against those that the formula reads it with."""
        axes = self.axes.get(name)
        if axes is None:
            return
        merged = len(value.indices) - len(axes) + 1
        if merged < 1 or (merged != 1 and (not axes or axes[0].name != ELLIPSIS)):
            pattern = ",".join(i.name for i in axes)
            raise DeriveError(f"{name}[{pattern}] does not fit {described(value)}")
        rest = list(value.indices)
        for axis in axes:
            group = tuple(rest[:merged] if axis.name == ELLIPSIS else rest[:1])
            del rest[: len(group)]
            if axis.name == ELLIPSIS:
                self.merged = self.merged or group
                sizes = [i.size for i in group]
                if [i.size for i in self.merged] != sizes:
                    raise DeriveError(f"{name} does not fit: {described(value)}")
            whole = group[0].size if len(group) == 1 else Mul(*(i.size for i in group))
            self.has_size(axis, whole, value.source)
            # The formula's own letter where it has that size: equal layers then read alike.
            own = Index(axis.name, self.sizes[axis.size])
            known = self.names.sizes.get(own.name) == own.size
            self.means(axis, (own,) if known else group)

    def has_size(self, axis: Index, size: Expr, origin: str) -> None:
        found = self.sizes.setdefault(axis.size, size)
        first = self.origins.setdefault(axis.size, origin)
        if found != size:
            raise DeriveError(
                f"index {axis.name} has the size {found} in {first} and {size} in {origin}"
            )

    def means(self, axis: Index, preferred: tuple[Index, ...] | None) -> tuple[Index, ...]:
        """What an index of the formula is in the network: one for one, so that none is captured."""
        if axis not in self.indices:
            used = [i for group in self.indices.values() for i in group]
            if preferred is None or any(i in used for i in preferred):
                preferred = tuple(self.new(axis, used))
            self.indices[axis] = preferred
        return self.indices[axis]

    def new(self, axis: Index, used: list[Index]) -> Iterable[Index]:
        if axis.name == ELLIPSIS or axis.name.startswith("leading__"):
            for i in self.merged:
                chosen = self.names.index(i.name, i.size, used)
                used = [*used, chosen]
                yield chosen
        elif axis.size in self.sizes:
            name = re.sub(r"_+\d+$", "", axis.name)  # of a group's axis s_2, or of an inner i__1
            yield self.names.index(name, self.sizes[axis.size], used)
        else:
            raise DeriveError(f"nothing fixes the size of index {axis.name}: give it in sizes")

    def build(self) -> Instance:
        equations = []
        for equation in self.program.equations:
            self.bind(equation.indices)
        for equation in self.program.equations:
            indices = self.bind(equation.indices)
            target = self.tensors[equation.target]
            assert target is not None
            equations.append(
                Equation(
                    target,
                    indices,
                    self.rebuilt(equation.body),
                    recurrence=self.recurrence(equation.recurrence),
                )
            )
        lists = self.binding.lists
        read = {
            name: self.bind(axes)
            for name, axes in self.axes.items()
            if name != SIZES and name not in lists
        }
        result = self.tensors[self.program.result]
        return Instance(
            tuple(equations),
            read,
            self.tensors,
            next(e for e in equations if e.target == result),
        )

    def recurrence(self, old: Recurrence | None) -> Recurrence | None:
        if old is None:
            return None
        return Recurrence(self.single(old.index), old.step, self.rebuilt(old.initial))

    def bind(self, axes: Iterable[Index]) -> tuple[Index, ...]:
        return tuple(i for axis in axes for i in self.means(axis, None))

    def rebuilt(self, e: Expr) -> Expr:
        if isinstance(e, Index):
            return self.single(e)
        if isinstance(e, Symbol):
            return S.Zero if e.is_zero else self.sizes.get(e, e)
        if isinstance(e, Access):
            return self.access(e)
        if isinstance(e, Reduce):
            bound = self.bind(e.bound)
            return Reduce(e.op, self.rebuilt(e.term), bound, self.rebuilt(e.guard))
        return e.func(*map(self.rebuilt, e.args)) if e.args else e

    def single(self, axis: Index) -> Index:
        group = self.means(axis, None)
        if len(group) != 1:
            raise DeriveError("`...` stands for several axes here and is no number")
        return group[0]

    def access(self, e: Access) -> Expr:
        name = e.tensor
        indices: list[Expr] = []
        for i in e.indices:
            indices += self.means(i, None) if isinstance(i, Index) else (self.rebuilt(i),)
        if name in self.values:
            return Access(self.values[name].tensor, *indices)
        if name in self.binding.lists:
            return _element(self.binding.lists[name], indices, name)
        tensor = self.tensors[name]
        return S.Zero if tensor is None else Access(tensor, *indices)


def _element(numbers: Sequence[float], indices: Sequence[Expr], name: str) -> Expr:
    """One number of a list: the sum of all of them, each times whether it is meant."""
    if len(indices) != 1:
        raise DeriveError(f"{name} is a list: it has one index")
    (index,) = indices
    return Add(*(constants.number(v) * eq(index, Integer(k)) for k, v in enumerate(numbers)))


def described(value: Value) -> str:
    """`dense_1, of shape (128,)` for a message; the batch axis is left out."""
    sizes = [str(i.size) for i in value.indices[1:]]
    return f"{value.source}, of shape ({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
