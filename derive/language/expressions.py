"""Expressions of the formula language: `ast` -> SymPy, through a whitelist.

    (x[n,d] - mu[n])**2/D -> Pow(Access("x", n, d) - Access("mu", n), 2)/D

Nothing is evaluated: a node without a meaning here is an error. Every index still has the size of
its own spelling; the reader keeps account of all that `ranges` has to know to make them one.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sympy
from sympy import Add, Expr, Mul, S

from derive.language import constants as exact
from derive.language.functions import (
    Condition,
    Named,
    and_,
    eq,
    floordiv,
    le,
    lt,
    mod,
    ne,
    not_,
    or_,
    where,
)
from derive.language.lines import (
    Line,
    chain,
    counts,
    is_ellipsis,
    items,
    place_of,
    reduction,
    refusal,
)
from derive.language.names import Names, as_read
from derive.language.notation import ELLIPSIS, REDUCTIONS, Access, Index, Reduce, zero
from derive.language.ranges import Use
from derive.language.source import FormulaError, Place, Source, suggestion

_INDEX_HELP = "Indices are made of indices, sizes, integers and + - * // %, or an integer tensor."
_UNBOUND = "the index `{0}` is neither on the left side nor bound here"
_BIND = "Put it on the left side, or bind it by a reduction such as sum[{0}](...)."


class Scope(NamedTuple):
    """Where an expression stands: its equation's number, and the indices by their names there."""

    equation: int
    indices: dict[str, Index]
    guarded: bool = False  # in a reduction or a branch of `where`
    renamed: frozenset[str] = frozenset()  # names made for inner indices around it


class Read(NamedTuple):
    """An access to an assigned tensor: in which line, and where it stands."""

    line: int
    access: Access
    place: Place


@dataclass
class Reader:
    """Reads expressions, and keeps account of the accesses it meets."""

    source: Source
    names: Names
    lines: list[Line]
    axes: dict[str, tuple[int, Place]] = field(default_factory=dict)  # how many a tensor has
    inputs: dict[str, None] = field(default_factory=dict)  # in the order of the text
    integers: dict[str, Place] = field(default_factory=dict)  # tensors used as an index
    uses: list[Use] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)  # of assigned tensors

    def place(self, node: Any) -> Place:
        return place_of(self.source, node)

    def whole(
        self, tensor: str, names: Mapping[int, str], places: Sequence[Place], equation: int
    ) -> dict[str, Index]:
        """The indices that run over whole axes of a tensor, and the account of them."""
        indices = {name: Index(name, as_read(name)) for name in names.values()}
        for axis, name in names.items():
            index, place = indices[name], places[axis]
            self.uses.append(Use(tensor, axis, index, equation, place, alone=True, guarded=True))
        return indices

    # Values.

    def exact(self, node: Any, rule: Callable[..., Any], *args: Any) -> Any:
        """What a rule for numbers gives, its errors shown at a node."""
        try:
            return rule(*args)
        except exact.ConstantError as error:
            raise self.place(node).error(str(error)) from None

    def value(self, node: ast.expr, scope: Scope) -> Expr:
        """A number."""
        match node:
            case ast.Constant(value=int() | float()):
                return self.number(node)
            case ast.Name(id=name):
                return self.name(name, self.place(node), scope)
            case ast.Subscript():
                return self.access(node, scope)
            case ast.Call():
                return self.call(node, scope)
            case ast.Compare():
                return self.comparison(node, scope)
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                return self.sum(node, scope)
            case ast.BinOp(op=ast.Mult() | ast.Div()):
                return self.product(node, scope)
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                base, exponent = self.value(left, scope), self.value(right, scope)
                return self.exact(node, exact.power, base, exponent)
            case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
                return floordiv(self.value(left, scope), self.divisor(right, scope))
            case ast.BinOp(left=left, op=ast.Mod(), right=right):
                return mod(self.value(left, scope), self.divisor(right, scope))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.value(operand, scope)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.value(operand, scope)
            case ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                raise self.place(node).error(
                    "`and`, `or` and `not` stand only in the condition of `where`",
                    "Elsewhere a comparison is the number 0 or 1: multiply.",
                )
        if is_ellipsis(node):
            raise self.place(node).error("`...` is an index and has no value")
        raise refusal(self.source, node)

    def number(self, node: ast.Constant) -> Expr:
        if isinstance(node.value, bool):
            raise refusal(self.source, node)
        line = self.source.lines[node.lineno]
        return self.exact(
            node, exact.literal, line[node.col_offset : node.end_col_offset], node.value
        )

    def name(self, name: str, place: Place, scope: Scope) -> Expr:
        """A bare name: an index, a number, a size or a scalar tensor."""
        names = self.names
        if name in scope.indices:
            return scope.indices[name]
        if name == "pi":
            return sympy.pi
        if name in names.constants:
            try:
                return exact.number(names.constants[name])
            except exact.ConstantError as error:
                raise place.error(f"the constant `{name}`: {error}") from None
        if name in names.functions:
            raise place.error(f"`{name}` is a function: write `{name}(...)`")
        if names.is_size(name):
            return as_read(name.lower())
        if name in names.indices and name not in names.assigned and name not in (names.given or ()):
            raise place.error(_UNBOUND.format(name), _BIND.format(name))
        return self.tensor(name, (), place, scope)

    def sum(self, node: ast.expr, scope: Scope) -> Expr:
        """A chain of + and -, however long."""
        first, links = chain(node, (ast.Add, ast.Sub))
        terms = [self.value(first, scope)]
        for op, right in links:
            term = self.value(right, scope)
            terms.append(-term if isinstance(op, ast.Sub) else term)
        return self.exact(node, exact.checked, Add(*terms))

    def product(self, node: ast.expr, scope: Scope) -> Expr:
        return self.exact(node, exact.checked, Mul(*self.factors(node, scope)))

    def factors(self, node: ast.expr, scope: Scope) -> list[Expr]:
        """The factors of a chain of * and /, those of a sign before it and of a divisor too.

        SymPy distributes a number over a sum, so -(a + b)*c is not read as (-(a + b))*c, nor
        1/(2*(a + b)) as 1/(2*a + 2*b).
        """
        first, links = chain(node, (ast.Mult, ast.Div))
        factors: list[Expr] = []
        if links and isinstance(first, ast.UnaryOp) and isinstance(first.op, ast.USub):
            factors.append(S.NegativeOne)
            first = first.operand
        factors.append(self.value(first, scope))
        for op, right in links:
            if isinstance(op, ast.Mult):
                factors.append(self.value(right, scope))
                continue
            divisors = self.factors(right, scope)
            if Mul(*divisors) == 0:
                raise self.place(right).error("division by zero")
            factors += [self.exact(right, exact.power, d, S.NegativeOne) for d in divisors]
        return factors

    def divisor(self, node: ast.expr, scope: Scope) -> Expr:
        value = self.value(node, scope)
        if value == 0:
            raise self.place(node).error("division by zero")
        return value

    def comparison(self, node: ast.Compare, scope: Scope) -> Expr:
        """0 or 1; a chain `0 <= i < 3` is the conjunction of its links."""
        values = [self.value(n, scope) for n in (node.left, *node.comparators)]
        links = []
        for op, a, b in zip(node.ops, values, values[1:], strict=False):
            if type(op) not in _COMPARISONS:
                raise self.place(node).error(
                    "`in` and `is` are not part of the formula language",
                    "Numbers are compared by == != < <= > >=.",
                )
            links.append(_COMPARISONS[type(op)](a, b))
        return and_(*links)

    def condition(self, node: ast.expr, scope: Scope) -> Expr:
        """The condition of a `where`: 0 or 1. A number means that it is not 0."""
        match node:
            case ast.BoolOp(op=op, values=nodes):
                first, *rest = (self.condition(n, scope) for n in nodes)
                if isinstance(op, ast.And):
                    return and_(first, *rest)
                for condition in rest:
                    first = or_(first, condition)
                return first
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not_(self.condition(operand, scope))
        value = self.value(node, scope)
        return value if isinstance(value, Condition) else ne(value, S.Zero)

    # Calls.

    def call(self, node: ast.Call, scope: Scope) -> Expr:
        if (found := reduction(node)) is not None:
            return self.reduction(node, *found, scope)
        if not isinstance(node.func, ast.Name):
            raise self.place(node.func).error(
                "this cannot be called",
                f"Reductions are {', '.join(REDUCTIONS)}, as in sum[i](x[i]).",
            )
        name = node.func.id
        function = self.names.functions.get(name)
        if function is None:
            raise self.unknown_function(self.place(node.func), name, len(node.args))
        if function is where and len(node.args) == 3 and not node.keywords:
            return self.where(node, scope)
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                raise refusal(self.source, argument)
        arguments = [self.value(n, scope) for n in node.args]
        if isinstance(function, type) and issubclass(function, Named):
            arguments = self.parameters(node, function, arguments, scope)
        elif node.keywords:
            raise self.place(node.keywords[0]).error(f"`{name}` has no parameters by name")
        else:
            count = int(min(getattr(function, "nargs", (1,))))
            if len(arguments) != count:
                raise self.place(node).error(
                    f"`{name}` takes {_counted(count, 'argument')}, not {len(arguments)}"
                )
        if function is sympy.exp:
            self.exact(node, exact.check_exponent, arguments[0])
        return self.exact(node, exact.checked, function(*arguments))

    def unknown_function(self, place: Place, name: str, arguments: int) -> FormulaError:
        if name in ("max", "min") and arguments == 2:
            return place.error(f"the {name} of two numbers is `{name}imum(a, b)`")
        if name in REDUCTIONS:
            hint = f"Name its indices: {name}[i](...)."
            return place.error(f"`{name}` does not say what it runs over", hint)
        if self.names.is_tensor(name):
            return place.error(f"`{name}` is a tensor, not a function", "Indices stand in [ ].")
        near = suggestion(name, [*self.names.functions, *REDUCTIONS])
        return place.error(f"unknown function `{name}`", near)

    def where(self, node: ast.Call, scope: Scope) -> Expr:
        condition = self.condition(node.args[0], scope)
        a, b = (self.value(n, scope._replace(guarded=True)) for n in node.args[1:])
        if a == 1 and b == 0:
            return condition  # so is `i < j and j < k` written as a number
        return where(condition, a, b)

    def parameters(
        self, node: ast.Call, function: type[Named], arguments: list[Expr], scope: Scope
    ) -> list[Expr]:
        """The arguments of a library function, by place or by name, and its defaults."""
        name, names = function.__name__, [p.name for p in function.parameters]
        if len(arguments) > len(names):
            takes = _counted(len(names), "argument")
            raise self.place(node).error(f"`{name}` takes {takes} at most, not {len(arguments)}")
        values = dict(zip(names, arguments, strict=False))
        for keyword in node.keywords:
            if keyword.arg not in names:
                hint = suggestion(str(keyword.arg), names) or f"It takes {', '.join(names)}."
                raise self.place(keyword).error(f"`{name}` has no parameter `{keyword.arg}`", hint)
            if keyword.arg in values:
                raise self.place(keyword).error(f"`{keyword.arg}` is given twice")
            values[keyword.arg] = self.value(keyword.value, scope)
        required = len(names) - len(function.defaults)
        values = dict(zip(names[required:], function.defaults, strict=True)) | values
        for missing in (n for n in names if n not in values):
            raise self.place(node).error(f"`{name}` lacks its argument `{missing}`")
        return [values[n] for n in names]

    def reduction(self, node: ast.Call, op: str, bound: tuple[ast.expr, ...], scope: Scope) -> Expr:
        """`op[i,j](term)`. A name that is already in scope gets a new one within."""
        if len(node.args) != 1 or node.keywords:
            raise self.place(node).error(f"`{op}[...]` takes 1 argument, not {len(node.args)}")
        if not bound:
            raise self.place(node).error(f"`{op}` runs over no index")
        names: list[str] = []
        for n in bound:
            name = n.id if isinstance(n, ast.Name) else ELLIPSIS
            if name in names:
                raise self.place(n).error(f"the index `{name}` is bound twice")
            names.append(name)
        if counts(node):
            return Mul(*map(as_read, names))
        inner = {name: self.bound(name, scope) for name in names}
        within = scope._replace(
            indices=scope.indices | inner,
            guarded=True,
            renamed=scope.renamed | {i.name for i in inner.values()},
        )
        return Reduce(op, self.value(node.args[0], within), inner.values())

    def bound(self, name: str, scope: Scope) -> Index:
        if name not in scope.indices:
            return Index(name, as_read(name))
        taken = self.names.used | scope.renamed
        base = "leading" if name == ELLIPSIS else name
        new = (f"{base}__{k}" for k in itertools.count(1))
        return Index(next(n for n in new if n not in taken), as_read(name))

    # Accesses.

    def access(self, node: ast.Subscript, scope: Scope) -> Access:
        place, names = self.place(node), self.names
        if not isinstance(node.value, ast.Name):
            raise place.error("only the name of a tensor takes indices", "Write x[i,j].")
        name = node.value.id
        if name == "pi" or name in names.constants or name in names.functions:
            kind = "function" if name in names.functions else "number"
            raise place.error(f"`{name}` is a {kind}, it takes no indices")
        return self.tensor(name, items(node.slice), place, scope)

    def tensor(self, name: str, nodes: tuple[ast.expr, ...], place: Place, scope: Scope) -> Access:
        names = self.names
        if name not in names.assigned:
            if names.given is not None and name not in names.given:
                known = [*names.given, *names.assigned, *names.constants, *names.indices]
                hint = suggestion(name, known) or "A definition reads only what it declares."
                raise place.error(f"unknown name `{name}`", hint)
            self.inputs.setdefault(name)
        if not nodes and name in names.subscripted:
            raise place.error(f"`{name}` is read without its indices")
        self.count_axes(name, len(nodes), place)
        found = Access(name, *(self.axis(name, k, n, scope) for k, n in enumerate(nodes)))
        if name in names.assigned:
            self.reads.append(Read(scope.equation, found, place))
        return found

    def count_axes(self, tensor: str, here: int, place: Place) -> None:
        """Every access to a tensor has the same number of axes."""
        count, before = self.axes.setdefault(tensor, (here, place))
        if count != here:
            raise place.error(
                f"`{tensor}` has {_counted(here, 'axis', 'axes')} here, but "
                f"{_counted(count, 'axis', 'axes')} on line {before.number}"
            )

    def axis(self, tensor: str, axis: int, node: ast.expr, scope: Scope) -> Expr:
        """One index of an access, and the account of it."""
        index: Expr
        if is_ellipsis(node):
            if axis:
                raise self.place(node).error("`...` is the first index or none")
            if ELLIPSIS not in scope.indices:
                raise self.place(node).error(_UNBOUND.format(ELLIPSIS), _BIND.format(ELLIPSIS))
            index, alone = scope.indices[ELLIPSIS], True
        else:
            index = self.index(node, scope)
            alone = isinstance(node, ast.Name) and isinstance(index, Index)
            if isinstance(index, Index) and not alone:
                index += zero(index.size)  # SymPy has made j of 0*J + j
        self.uses.append(
            Use(
                tensor,
                axis,
                index,
                scope.equation,
                self.place(node),
                alone=alone,
                block=self.has_block(node),
                guarded=scope.guarded,
            )
        )
        return index

    def has_block(self, node: ast.expr) -> bool:
        """Whether a product has a size in it, as g*J + j has."""
        pending = [(node, False)]
        while pending:
            part, inside = pending.pop()
            if isinstance(part, ast.Name) and inside and self.names.is_size(part.id):
                return True
            if inside and counts(part):
                return True
            if isinstance(part, ast.BinOp):
                inside = inside or isinstance(part.op, ast.Mult)
                pending += [(part.left, inside), (part.right, inside)]
            elif isinstance(part, ast.UnaryOp):
                pending.append((part.operand, inside))
        return False

    def index(self, node: ast.expr, scope: Scope) -> Expr:
        """An integer expression of indices, sizes and integers, or an integer tensor."""
        match node:
            case ast.Constant(value=int()):
                return self.number(node)
            case ast.Name(id=name):
                return self.index_name(name, self.place(node), scope)
            case ast.Subscript():
                found = self.access(node, scope)
                self.integers.setdefault(found.tensor, self.place(node))
                return found
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.index(operand, scope)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.index(operand, scope)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _INDEX_OPERATORS:
                a, b = self.index(left, scope), self.index(right, scope)
                if b == 0 and isinstance(op, ast.FloorDiv | ast.Mod):
                    raise self.place(right).error("division by zero")
                return self.exact(node, exact.checked, _INDEX_OPERATORS[type(op)](a, b))
            case ast.Call() if counts(node):
                return self.call(node, scope)
        if is_ellipsis(node):
            raise self.place(node).error("`...` stands alone, as the first index")
        if isinstance(node, ast.Slice | ast.Starred | ast.Attribute | ast.Lambda):
            raise refusal(self.source, node)
        raise self.place(node).error("this is no index", _INDEX_HELP)

    def index_name(self, name: str, place: Place, scope: Scope) -> Expr:
        names = self.names
        known = name in scope.indices or name in names.constants or name in names.functions
        if not (known or names.is_tensor(name) or names.is_size(name) or name == "pi"):
            hint = suggestion(name, scope.indices) or _BIND.format(name)
            raise place.error(_UNBOUND.format(name), hint)
        found = self.name(name, place, scope)
        if isinstance(found, Access):
            self.integers.setdefault(found.tensor, place)
        elif not found.is_integer:
            raise place.error(f"`{name}` is no integer", _INDEX_HELP)
        return found


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count or 'no'} {one if count == 1 else many or one + 's'}"


_COMPARISONS: dict[type, Callable[[Expr, Expr], Expr]] = {
    ast.Eq: eq,
    ast.NotEq: ne,
    ast.Lt: lt,
    ast.LtE: le,
    ast.Gt: lambda a, b: lt(b, a),
    ast.GtE: lambda a, b: le(b, a),
}
_INDEX_OPERATORS: dict[type, Callable[[Expr, Expr], Expr]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: floordiv,
    ast.Mod: mod,
}
