"""Equations in index notation: the mathematics on the page, and nothing else.

    equation  ::=  tensor[index, ...] = body
    body      ::=  a SymPy expression over accesses, indices, sizes and reductions
    access    ::=  tensor[integer expression, ...]
    reduction ::=  op[index, ...](term)

`Index`, `Access` and `Reduce` are SymPy expressions: scalar calculus and algebra are SymPy's.
`str()` of a program is text of the formula language and reads back as the same program; that of an
equation does where each index alone runs over its whole axis, which the program knows, and
`Program.text` always. Everything here is frozen. Meaning is given by `interpreter.evaluate`,
well-formedness by `checker.check`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import sympy
from sympy import Expr, Pow, S, Symbol, exp
from sympy.core.symbol import Str

from derive.language.text_printer import equation_text

REDUCTIONS = ("sum", "mean", "prod", "max", "min", "logsumexp", "argmax", "argmin")
ELLIPSIS = "..."
REMEMBERED = 1 << 17  # expressions of which each is one object, and taken apart once


class DeriveError(ValueError):
    """The base of every error that the user's input can cause."""


def size(name: str) -> Symbol:
    """The symbol of a size, a positive integer."""
    return Symbol(name, integer=True, positive=True)


def zero(size_: Symbol) -> Symbol:
    """`0*size`, kept beside an index that does not run over its whole axis: `W[i, 0*J+j]`."""
    return Symbol(f"{size_.name}_zero", zero=True)


def size_of_zero(symbol: Symbol) -> Symbol:
    """The size of which `zero` made a symbol."""
    return size(symbol.name.removesuffix("_zero"))


class Index(Symbol):
    """An index with its range `0 .. size-1`; the size is a symbol or a positive integer.

    The index named `...` stands for all leading axes together, as one merged axis.
    """

    __slots__ = ("size",)

    def __new__(cls, name: str, size_: Expr | None = None) -> Index:
        return cls._made(name, size(name.upper()) if size_ is None else S(size_))

    @classmethod
    @lru_cache(maxsize=REMEMBERED)  # one object, so that comparing is quick
    def _made(cls, name: str, size_: Expr) -> Index:
        self = Symbol.__xnew__(cls, name, integer=True, nonnegative=True)
        self.size = size_
        return self

    def _hashable_content(self) -> tuple[Any, ...]:
        return (*super()._hashable_content(), self.size)

    def __eq__(self, other: object) -> bool:
        # What `Basic` finds by the contents, of which no more than name and size can differ.
        if self is other:
            return True
        if type(other) is not Index:
            return super().__eq__(other)
        return self.name == other.name and bool(self.size == other.size)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = Symbol.__hash__

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return ((self.name, self.size), {})

    def resized(self, size_: Expr) -> Index:
        return Index(self.name, size_)

    def renamed(self, name: str) -> Index:
        return Index(name, self.size)


class Access(Expr):
    """`tensor[a, b, ...]`: one element of a tensor, each index an integer expression.

    An index may itself be an access to an integer tensor (a lookup). A scalar has no indices.
    """

    is_commutative = True
    is_real = True
    is_extended_real = True
    is_finite = True

    def __new__(cls, tensor: str | Str, *indices: Any) -> Access:
        name = tensor.name if isinstance(tensor, Str) else tensor
        return cls._made(name, *[i if isinstance(i, Expr) else S(i) for i in indices])

    @classmethod
    @lru_cache(maxsize=REMEMBERED)
    def _made(cls, name: str, *indices: Expr) -> Access:
        return Expr.__new__(cls, Str(name), *indices)

    @property
    def tensor(self) -> str:
        name: str = self.args[0].name
        return name

    @property
    def indices(self) -> tuple[Expr, ...]:
        return self.args[1:]

    def _eval_derivative(self, symbol: Symbol) -> Expr:
        # The calculus replaces the occurrence in question by a plain symbol first.
        return S.Zero


class Reduce(Expr):
    """`op[bound](term)` over the points of the bound ranges where `guard` holds.

    A term is also left out where one of its accesses falls outside its tensor. Bound indices have
    names of their own within an equation (`parse` sees to it), so substitution captures nothing.
    """

    is_commutative = True
    is_real = True
    is_extended_real = True

    def __new__(cls, op: str | Str, term: Any, bound: Any, guard: Any = 1) -> Reduce:
        name = op if isinstance(op, Str) else Str(op)
        return Expr.__new__(cls, name, S(term), sympy.Tuple(*bound), S(guard))

    @property
    def op(self) -> str:
        return str(self.args[0].name)

    @property
    def term(self) -> Expr:
        return self.args[1]

    @property
    def bound(self) -> tuple[Index, ...]:
        return tuple(self.args[2])

    @property
    def guard(self) -> Expr:
        return self.args[3]

    def _eval_derivative(self, symbol: Symbol) -> Expr:
        raise NotImplementedError("flatten the equation before differentiating it")


class Partial(Expr):
    """`∂ body / ∂ operand`, not yet carried out; `operand` is one access within `body`.

    Stands in the recorded steps between the chain rule and the local derivative only. `occurrence`
    counts the equal accesses from the left of `body`'s preorder; -1 means all of them.
    """

    is_commutative = True
    is_real = True

    def __new__(cls, body: Any, operand: Access) -> Partial:
        return Expr.__new__(cls, S(body), operand)

    @property
    def body(self) -> Expr:
        return self.args[0]

    @property
    def operand(self) -> Access:
        return self.args[1]


@dataclass(frozen=True)
class Tensor:
    """An input: its name, one index for each axis (all distinct), and its kind."""

    name: str
    axes: tuple[Index, ...]
    kind: str = "real"  # or "integer"

    def __str__(self) -> str:
        return f"{self.name}[{','.join(i.name for i in self.axes)}]" if self.axes else self.name


@dataclass(frozen=True)
class Recurrence:
    """What an equation says of its target before the first step: `h[-1,j] = h0[j]`.

    The target may then be read at `index + step`, anywhere: at -1 (step -1) or at the size of
    `index` (step +1) it is `initial`, an expression in the equation's other indices; in normal form
    a number or one access to a tensor outside the scan, at plain indices.
    """

    index: Index
    step: int  # -1: runs forward, h[t-1] is read; +1: runs backward, h[t+1] is read
    initial: Expr

    @property
    def start(self) -> Expr:
        """The position of the initial value on the axis: -1, or the size."""
        return S.NegativeOne if self.step < 0 else self.index.size


@dataclass(frozen=True)
class Equation:
    """`target[indices] = body`, each index running over its whole range.

    In *normal form* (what `flatten` gives) the body is a scalar expression, or one `Reduce` of one:
    `reduction` is then the op or None, `bound`, `term` and `guard` its parts.
    """

    target: str
    indices: tuple[Index, ...]
    body: Expr
    origin: str = ""  # the equation of the derivation that this one computes a part of
    recurrence: Recurrence | None = None

    @property
    def access(self) -> Access:
        return Access(self.target, *self.indices)

    @property
    def reduction(self) -> str | None:
        return self.body.op if isinstance(self.body, Reduce) else None

    @property
    def bound(self) -> tuple[Index, ...]:
        return self.body.bound if isinstance(self.body, Reduce) else ()

    @property
    def term(self) -> Expr:
        return self.body.term if isinstance(self.body, Reduce) else self.body

    @property
    def guard(self) -> Expr:
        return self.body.guard if isinstance(self.body, Reduce) else S.One

    def with_body(self, body: Expr) -> Equation:
        """The equation with another right side."""
        return self if body is self.body else replace(self, body=body)

    @property
    def lines(self) -> tuple[Equation, ...]:
        """As it is written: the initial line of a recurrence, `h[-1,j] = h0[j]`, and the equation.

        The initial line is for printing alone: one of its indices is a position.
        """
        if self.recurrence is None:
            return (self,)
        start = {self.recurrence.index: self.recurrence.start}
        indices = tuple(start.get(i, i) for i in self.indices)
        return Equation(self.target, indices, self.recurrence.initial), self

    def __str__(self) -> str:
        return equation_text(self.access, self.body)


@dataclass(frozen=True)
class Program:
    """Equations in order of evaluation, the inputs they read, and the sizes that no input fixes.

    `sizes` gives for a size symbol its value: a number, or an expression of sizes of inputs.
    The last equation is the result, unless `results` names others.
    """

    equations: tuple[Equation, ...]
    inputs: tuple[Tensor, ...]
    sizes: tuple[tuple[Symbol, Expr], ...] = ()
    results: tuple[str, ...] = ()

    @property
    def result(self) -> str:
        return self.results[0] if self.results else self.equations[-1].target

    def equation(self, target: str) -> Equation:
        return self._by_target[target]

    @cached_property
    def _by_target(self) -> Mapping[str, Equation]:
        return {e.target: e for e in reversed(self.equations)}

    def __str__(self) -> str:
        return "\n".join(self.text(line) for e in self.equations for line in e.lines)

    def text(self, line: Equation) -> str:
        """A line as `str` has it, and `z[n,0*J+j]` where j runs over a part of the axis of z only.

        Without the program that is `z[n,j]`, which would make the axis as long as j.
        """
        sizes = dict(self.sizes)
        blocks = set()
        for a in accesses(line.body):
            for k, (index, whole) in enumerate(zip(a.indices, self._axes[a.tensor], strict=True)):
                if isinstance(index, Index) and index.size.xreplace(sizes) != whole:
                    stem = index.name.rpartition("__")[0] or index.name  # of an inner index
                    blocks.add((a.tensor, k, index.size, stem.upper() in self._axes))
        return equation_text(line.access, line.body, frozenset(blocks))

    @cached_property
    def _axes(self) -> Mapping[str, tuple[Expr, ...]]:
        """The sizes of the axes of each tensor."""
        sizes = dict(self.sizes)
        axes = {t.name: t.axes for t in self.inputs}
        axes |= {e.target: e.indices for e in self.equations}
        return {name: tuple(i.size.xreplace(sizes) for i in own) for name, own in axes.items()}


def accesses(expression: Expr) -> Iterator[Access]:
    """Every access in an expression, lookups within indices included, in preorder."""
    return iter(_accesses(expression))


@lru_cache(maxsize=REMEMBERED)
def _accesses(expression: Expr) -> tuple[Access, ...]:
    found: list[Access] = []
    pending = [expression]
    while pending:
        e = pending.pop()
        if isinstance(e, Access):
            found.append(e)
        pending += e.args[::-1]
    return tuple(found)


@lru_cache(maxsize=REMEMBERED)
def reductions(expression: Expr) -> tuple[Reduce, ...]:
    """Every reduction in an expression, those within reductions included."""
    found: list[Reduce] = []
    pending = [expression]
    while pending:
        e = pending.pop()
        if isinstance(e, Reduce):
            found.append(e)
        pending += e.args
    return tuple(found)


@lru_cache(maxsize=REMEMBERED)
def indices(expression: Expr) -> frozenset[Index]:
    """Every index that stands in an expression, bound ones included."""
    found: set[Index] = set()
    pending = [expression]
    while pending:
        e = pending.pop()
        if isinstance(e, Index):
            found.add(e)
        pending += e.args
    return frozenset(found)


@lru_cache(maxsize=REMEMBERED)
def reads_plainly(expression: Expr) -> bool:
    """Whether all accesses in an expression are at indices alone: no `x[2*p+k]`, `E[token[n]]`."""
    return all(isinstance(i, Index) for a in accesses(expression) for i in a.indices)


def holds(expression: Expr, kinds: tuple[type, ...]) -> bool:
    """Whether a part of an expression, or the whole of it, is of one of some kinds."""
    return _are_among(_kinds(expression), kinds)


@lru_cache(maxsize=REMEMBERED)
def _are_among(own: frozenset[type], kinds: tuple[type, ...]) -> bool:
    return any(issubclass(kind, kinds) for kind in own)


@lru_cache(maxsize=REMEMBERED)
def _kinds(expression: Expr) -> frozenset[type]:
    """What an expression is made of; a power of e is an exponential, as SymPy takes it to be."""
    found: set[type] = set()
    pending = [expression]
    while pending:
        e = pending.pop()
        found.add(type(e))
        if type(e) is Pow and e.args[0] is S.Exp1:
            found.add(exp)
        pending += e.args
    return frozenset(found)
