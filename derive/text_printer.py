"""Equations as text of the formula language; what is printed reads back as the same equation."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import sympy
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.str import StrPrinter

_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<="}


def decimal_text(number: sympy.Rational) -> str | None:
    """A rational as a short decimal, or None where it has none: 8943/200000 -> 0.044715."""
    p, q = int(number.p), int(number.q)
    rest = q
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1 or q == 1:
        return None
    text = str(Decimal(p) / Decimal(q))
    return text if len(text) <= 12 and sympy.Rational(text) == number else None


class TextPrinter(StrPrinter):
    """SymPy's own printer, with the nodes and functions of the formula language."""

    def _print_Index(self, e: Any) -> str:
        return e.name

    def _print_Access(self, e: Any) -> str:
        inside = ",".join(self._print(i).replace(" ", "") for i in e.indices)
        return f"{e.tensor}[{inside}]" if e.indices else e.tensor

    def _print_Reduce(self, e: Any) -> str:
        bound = ",".join(i.name for i in e.bound)
        term = self._print(e.term)
        if e.guard != 1:
            term = f"where({self._print(e.guard)}, {term}, 0)"
        return f"{e.op}[{bound}]({term})"

    def _print_Partial(self, e: Any) -> str:
        return f"d({self._print(e.body)})/d({self._print(e.operand)})"

    def _print_Rational(self, e: Any) -> str:
        return decimal_text(e) or f"{e.p}/{e.q}"

    def _print_Symbol(self, e: Any) -> str:
        # The merged leading axes have no size of one letter: count them.
        return "sum[...](1)" if e.name == "..." else e.name

    def _print_Abs(self, e: Any) -> str:
        return f"abs({self._print(e.args[0])})"

    def _comparison(self, e: Any) -> str:
        a, b = (self.parenthesize(a, PRECEDENCE["Relational"] + 1) for a in e.args)
        return f"({a} {_COMPARISONS[type(e).__name__]} {b})"

    _print_eq = _print_ne = _print_lt = _print_le = _comparison

    def _print_and_(self, e: Any) -> str:
        return "(" + " and ".join(map(self._print, e.args)) + ")"

    def _print_or_(self, e: Any) -> str:
        return "(" + " or ".join(map(self._print, e.args)) + ")"

    def _print_not_(self, e: Any) -> str:
        return f"(not {self._print(e.args[0])})"

    def _binary(self, e: Any, operator: str) -> str:
        tight = PRECEDENCE["Mul"]
        a, b = self.parenthesize(e.args[0], tight), self.parenthesize(e.args[1], tight + 1)
        return f"({a} {operator} {b})"

    def _print_floordiv(self, e: Any) -> str:
        return self._binary(e, "//")

    def _print_mod(self, e: Any) -> str:
        return self._binary(e, "%")


_PRINTER = TextPrinter()


def text(expression: Any) -> str:
    """One expression as text of the formula language."""
    return _PRINTER.doprint(expression)


def equation_text(target: Any, body: Any) -> str:
    """`target = body` as one line of the formula language."""
    return f"{text(target)} = {text(body)}"
