"""Arithmetic of values: NumPy functions of arrays whose axes have indices, and of Python scalars.

    add(a[i], b[i,j])    ->    t[i,j] = np.add(a[:, None], b)
    divide(L, 2*N)       ->    L / (2*N), an expression: nothing is computed for it yet

Arithmetic between an integer array and floating ones would widen these, so integers are converted
where they meet; Python numbers never widen. Products and powers of integers overflow, so these too
are of floating-point numbers, but within an index or a comparison of integers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sympy import Expr

from derive.code.statements import Code, Value, size_text
from derive.code.views import arranged
from derive.language.notation import Index

NUMBERS = ("count", "number")  # kinds of Python's int and float
_NUMERAL = re.compile(r"[0-9.]+(e[+-]?[0-9]+)?")
_OPERATORS = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "mod": "%",
    "floor_divide": "//",
    "power": "**",
}
# What is called differently, or is no function of the module `math`, for Python's numbers.
_PYTHON = {
    "abs": "abs",
    "maximum": "max",
    "minimum": "min",
    "rint": "round",
    "arcsin": "math.asin",
    "arccos": "math.acos",
    "arctan": "math.atan",
}


class Arithmetic:
    """Values from values, as statements of `code`; `frame` is the order of the axes of results.

    `exact`: the values are positions, and products of integers stay integers.
    """

    def __init__(self, code: Code) -> None:
        self.code = code
        self.frame: tuple[Index, ...] = ()
        self.exact = False

    def apply(self, name: str, *values: Value, whole: bool = False) -> Value:
        """A function of arithmetic, of real numbers; `whole`: of integers too."""
        whole = whole or name in ("add", "subtract", "multiply", "negative")
        kinds = {v.kind for v in values}
        if name in ("multiply", "square", "power"):
            whole = self.exact or "integer" not in kinds
        if whole and kinds <= {"integer", "count"}:
            kind = "integer" if any(v.indices for v in values) or "integer" in kinds else "count"
        elif kinds == {"boolean"} and name == "multiply":
            kind = "boolean"
        else:
            kind = "real"
            values = tuple(self.real(v) if v.kind == "integer" else v for v in values)
            if not any(v.kind == "real" for v in values):
                values = tuple(self.real(v) if v.kind == "boolean" else v for v in values)
            if all(v.kind in NUMBERS for v in values):
                kind = "number"
        if any(v.indices for v in values):
            return self.call(name, values, kind)
        texts = [operand(v.text) for v in values]
        if kind == "boolean":
            return Value(" and ".join(texts), kind=kind)
        if name in _OPERATORS:
            if name != "power" and texts[0] == f"({values[0].text})" and " " not in texts[0]:
                texts[0] = values[0].text  # a sign binds closer than these
            return Value(f"{texts[0]} {_OPERATORS[name]} {texts[1]}", kind=kind)
        if name == "negative":
            return Value(f"-{texts[0]}", kind=kind)
        if name == "square":
            return Value(f"{texts[0]} ** 2", kind=kind)
        arguments = ", ".join(v.text for v in values)
        if kind in NUMBERS:  # the functions of NumPy would make a float64 of it, which widens
            return Value(f"{_PYTHON.get(name, f'math.{name}')}({arguments})", kind=kind)
        return Value(f"np.{name}({arguments})", kind=kind)

    def call(self, name: str, values: tuple[Value, ...], kind: str) -> Value:
        out = self.code.array(self.union(values), kind)
        operands = [arranged(v, out.indices) for v in values]
        if kind == "integer" and 0 < max(len(v.indices) for v in values) < len(out.indices):
            # NumPy would buffer every operand that is repeated along an axis.
            first, *rest = operands
            own = ", ".join(["{out}", *rest])
            return self.code.emit(
                out,
                f"{{out}} = np.{name}({', '.join(operands)})",
                f"np.copyto({{out}}, {first})\nnp.{name}({own}, out={{out}})",
                (),
            )
        return self.code.call(f"np.{name}", ", ".join(operands), out, values)

    def union(self, values: Iterable[Value]) -> tuple[Index, ...]:
        found = {i for v in values for i in v.indices}
        return tuple(i for i in self.frame if i in found)

    def real(self, v: Value) -> Value:
        """The value in floating-point."""
        if v.kind in ("real", *NUMBERS):
            return v
        if not v.indices:
            return Value(f"dtype.type({v.text})")
        out = self.code.array(v.indices)
        return self.code.emit(
            out, f"{{out}} = {v.text}.astype(dtype)", f"np.copyto({{out}}, {v.text})"
        )

    def select(self, mask: Value, x: Value, y: Value) -> Value:
        """np.where(mask, x, y)"""
        kind = "integer" if common((x, y)) in ("integer", "count") else "real"
        if kind == "real":
            x, y = self.real(x), self.real(y)
        out = self.code.array(self.union((mask, x, y)), kind)
        m, s, t = (arranged(v, out.indices) for v in (mask, x, y))
        cast = "" if kind in (x.kind, y.kind) else ".astype(dtype)"
        return self.code.emit(
            out,
            f"{{out}} = np.where({m}, {s}, {t}){cast}",
            f"np.copyto({{out}}, {t})\nnp.copyto({{out}}, {s}, where={m})",
            (y,) if y.text not in (m + s) else (),
        )

    def folded(self, values: list[Value]) -> Value:
        first, *rest = values
        for v in rest:
            first = self.apply("multiply", first, v)
        return first

    def grouped(self, values: list[Value], function: str) -> list[Value]:
        """Values of the same indices combined, those with most indices first."""
        groups: dict[frozenset[Index], Value] = {}
        for v in values:
            key = frozenset(v.indices)
            groups[key] = self.apply(function, groups[key], v) if key in groups else v
        return sorted(groups.values(), key=lambda v: -len(v.indices))


def number(e: Expr) -> Value:
    """A number, or an integer expression of sizes, as Python has it."""
    if e.is_integer:
        return Value(size_text(e), kind="count")
    return Value(repr(e.p / e.q if e.is_Rational else float(e.evalf(30))), kind="number")


def operand(text: str) -> str:
    """An expression in brackets, unless it holds together without."""
    if _NUMERAL.fullmatch(text):
        return text
    depth = 0
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        if depth == 0 and c in " +-*/%":
            return f"({text})"
    return text


def common(values: Iterable[Value]) -> str:
    """The kind that holds all values."""
    kinds = {v.kind for v in values}
    if len(kinds) == 1:
        return kinds.pop()
    if kinds <= {"integer", "count"}:
        return "integer"
    return "number" if kinds <= set(NUMBERS) else "real"
