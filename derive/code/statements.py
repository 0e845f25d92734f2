"""Statements of NumPy over named arrays: what lowering arrives at and a module is printed from.

    z_1[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]

becomes two statements with one buffer `t_1` between them:

    t_1 = np.matmul(x, W_1)            or    np.matmul(x, W_1, out=t_1)
    z_1 = np.add(t_1, b_1)             or    np.add(t_1, b_1, out=z_1)

Every buffer is computed once and never changed after the statements that compute it, as far as
lowering is concerned; `scheduling` lets buffers share memory. A statement is text in which `{name}`
stands for a buffer, so that printing one is `str.format_map` with the names that the module uses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from sympy import Expr, Mul, S, Symbol
from sympy.printing.precedence import PRECEDENCE

from derive.language.notation import ELLIPSIS, Index, Tensor
from derive.language.text_printer import TextPrinter

# The size of the merged leading axes `...` in code.
LEADING = "leading_size"
FIELD = re.compile(r"\{(\w+)\}")  # nothing else in a statement's text has braces
# The types of arrays of each kind; `dtype` is the floating-point type at hand.
DTYPES = {"real": "dtype", "integer": "np.int64", "boolean": "bool"}


@dataclass(frozen=True)
class Buffer:
    """An array: its name, its shape in size symbols and numbers, and what its elements are.

    `kind` is "real", "integer" or "boolean". The name is a Python identifier: that of the tensor it
    holds, or one of lowering's own (`anonymous`), which gets `label` or another name in the end. A
    buffer of shape () is a scalar. `of` is the buffer that this one is a view of, `local` one that
    changes with every step of a loop. A `stored` one is there before it is written, row by row;
    of a `bordered` one the same elements are written each time, and the others stay 0.
    """

    name: str
    shape: tuple[Expr, ...]
    kind: str = "real"
    anonymous: bool = False
    label: str = ""
    of: str = ""
    local: bool = False
    stored: bool = False
    bordered: bool = False


@dataclass(frozen=True)
class Loop:
    """`for counter in range(size)`, or from the last one to the first; `number` tells it apart.

    `head` is the line that it begins with where that is another one: `for {x_t} in {steps_1}:`.
    """

    counter: str
    size: Expr
    backward: bool
    number: int
    head: str = ""


@dataclass(frozen=True)
class Statement:
    """One step of the computation, in the two forms that a module may need.

    fresh:  computes `out` as a new array:                 "{z} = np.add({t}, {b})"
    into:   writes into the array `out`, already there:    "np.add({t}, {b}, out={z})"

    Either may be several lines. An `update` changes `out` further (an accumulation); one without
    `into` names a scalar or checks an input. `overwrites` are the buffers that `out` may share
    memory with if nothing reads them later. `origin` is the target of the equation that it
    computes a part of. `quiet`: computes elements that nobody reads, whose overflow is no news.
    `binds`: names a view and computes nothing. `loop`: what it is repeated by, together with the
    statements around it that have the same one.
    """

    out: str
    fresh: str = ""
    into: str = ""
    origin: str = ""
    overwrites: tuple[str, ...] = ()
    operations: Expr = S.Zero
    update: bool = False
    quiet: bool = False
    binds: bool = False
    loop: Loop | None = None

    @property
    def text(self) -> str:
        """The form to print: a statement that shall work in place has no other."""
        return self.fresh or self.into

    @cached_property
    def reads(self) -> frozenset[str]:
        """The buffers whose elements it needs."""
        found = fields(self.text)
        return found if self.update else found - {self.out}


@dataclass(frozen=True)
class Lowered:
    """A program as statements: inputs to results.

    `names` gives for each input and result (a tensor of the program) its buffer, which bears
    another name where the tensor's is no good in Python. `sizes` are the sizes that follow from
    others, in order of computation, with their Python text: ("P", "(X - K)//2 + 1"). `turned`
    gives for a tensor whose axes lie in another order in memory what brings them into theirs: ".T".
    """

    inputs: tuple[Tensor, ...]
    results: tuple[str, ...]
    buffers: tuple[Buffer, ...]
    statements: tuple[Statement, ...]
    names: Mapping[str, str]
    sizes: tuple[tuple[Symbol, str], ...] = ()
    turned: tuple[tuple[str, str], ...] = ()

    def buffer(self, name: str) -> Buffer:
        return next(b for b in self.buffers if b.name == name)


def fields(text: str) -> frozenset[str]:
    """The buffers named in a statement's text."""
    return frozenset(FIELD.findall(text))


@dataclass(frozen=True)
class Value:
    """An array with an index for each of its axes, as text over buffers: `{W}.T` with axes j, i.

    `kind` is that of a buffer, or "count" and "number" for a Python int and float. A value without
    indices is a scalar: an expression rather than an array.
    """

    text: str
    indices: tuple[Index, ...] = ()
    kind: str = "real"

    @property
    def buffer(self) -> str:
        """The buffer which this is the whole of, contiguous and with its axes in order; or ''."""
        whole = self.text[0] == "{" and self.text.find("}") == len(self.text) - 1
        return self.text[1:-1] if whole else ""

    @property
    def whole(self) -> str:
        """The buffer which this is the whole of, contiguous, perhaps in another shape; or ''."""
        name, brace, rest = self.text.partition("}")
        reshaped = rest.startswith(".reshape(") and rest.endswith(")") and rest.count(".") == 1
        return name + brace if name[0] == "{" and (not rest or reshaped) else ""

    @property
    def elements(self) -> Expr:
        return Mul(*(i.size for i in self.indices))


class Code:
    """Statements and buffers as they come up; the only thing in lowering that changes."""

    def __init__(self) -> None:
        self.buffers: dict[str, Buffer] = {}
        self.statements: list[Statement] = []
        self.origin = ""
        self.quiet = False
        self.loop: Loop | None = None
        self.count = 0
        self.checks: set[str] = set()

    def array(
        self,
        indices: tuple[Index, ...],
        kind: str = "real",
        name: str = "",
        label: str = "",
        of: str = "",
    ) -> Value:
        """A new buffer with these axes, without a name of its own unless one is given."""
        if not name:
            self.count += 1
        shape = tuple(i.size for i in indices)
        buffer = Buffer(name or f"_{self.count}", shape, kind, not name, label, of)
        self.buffers[buffer.name] = buffer
        return Value(f"{{{buffer.name}}}", indices, kind)

    def emit(
        self,
        out: Value,
        fresh: str,
        into: str,
        overwrites: tuple[Value, ...] = (),
        operations: Expr | None = None,
        update: bool = False,
    ) -> Value:
        """Append a statement; `{out}` in the texts is the array that it computes."""
        self.statements.append(
            Statement(
                out.buffer,
                fresh.replace("{out}", out.text),
                into.replace("{out}", out.text),
                origin=self.origin,
                overwrites=tuple(
                    v.buffer
                    for v in overwrites
                    if v.buffer and v.indices == out.indices and v.kind == out.kind
                ),
                operations=out.elements if operations is None else operations,
                update=update,
                quiet=self.quiet,
                loop=self.loop,
            )
        )
        return out

    def call(
        self,
        function: str,
        arguments: str,
        out: Value,
        overwrites: tuple[Value, ...] = (),
        operations: Expr | None = None,
    ) -> Value:
        """`out = function(arguments)`, a NumPy function that takes `out=`."""
        return self.emit(
            out,
            f"{{out}} = {function}({arguments})",
            f"{function}({arguments}, out={{out}})",
            overwrites,
            operations,
        )

    def check(self, text: str) -> None:
        """A line that raises a ValueError where the inputs do not fit."""
        if text not in self.checks:
            self.checks.add(text)
            self.statements.append(Statement("", text, origin=self.origin, loop=self.loop))


class _SizePrinter(TextPrinter):
    """Integer expressions of sizes as Python."""

    def _print_Symbol(self, e: Symbol) -> str:
        return LEADING if e.name == ELLIPSIS else e.name

    def _print_floor(self, e: Expr) -> str:
        a, b = e.args[0].as_numer_denom()
        tight = PRECEDENCE["Mul"]
        return f"({self.parenthesize(a, tight)} // {self.parenthesize(b, tight + 1)})"

    def _print_minimum(self, e: Expr) -> str:
        return f"min({', '.join(map(self._print, e.args))})"

    def _print_maximum(self, e: Expr) -> str:
        return f"max({', '.join(map(self._print, e.args))})"

    _print_Min, _print_Max = _print_minimum, _print_maximum


_SIZES = _SizePrinter()


def range_text(loop: Loop) -> str:
    """The values of a loop's counter as Python."""
    size = size_text(loop.size)
    return f"range({size_text(loop.size - 1)}, -1, -1)" if loop.backward else f"range({size})"


def size_text(size: Expr) -> str:
    """An integer expression of sizes as Python."""
    text = _SIZES.doprint(size)
    return text[1:-1] if text[0] == "(" and text.find(")") == len(text) - 1 else text
