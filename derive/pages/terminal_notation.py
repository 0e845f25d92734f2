"""The mathematics of a terminal: in Unicode, or in the formula language where that is all it has.

W̄[i,k] = ∑ₙ x[n,i]·z̄[n,k]    or    W_bar[i,k] = sum[n](x[n,i]*z_bar[n,k])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sympy import Expr

from derive.language.notation import Equation, Index
from derive.language.text_printer import condition_text, text
from derive.pages.chains import Chains, Use
from derive.printing.latex_layout import endless
from derive.printing.matrix_form import matrix_form
from derive.printing.unicode_matrix import form_unicode
from derive.printing.unicode_names import plain
from derive.printing.unicode_printer import PageUnicode, equation_unicode, expression_unicode

LEFT_OUT = "(more terms than a page should hold)"


class Notation(Protocol):
    """How equations are written; `inner` is the order of indices within a partial derivative."""

    def symbol(self, tensor: str) -> str: ...

    def expression(self, e: Expr, order: Sequence[Index]) -> str: ...

    def position(self, e: Expr) -> str: ...

    def condition(self, e: Expr) -> str: ...

    def equation(self, e: Equation, inner: Sequence[Index] = ()) -> tuple[str, str]: ...

    def matrix(self, e: Equation) -> tuple[str, str] | None: ...

    def of_use(self, left: str, use: Use) -> str: ...


class InUnicode:
    """As a page has it, along a line."""

    def __init__(self, chains: Chains) -> None:
        self.names = plain(chains.names)
        self.page = PageUnicode(self.names)

    def symbol(self, tensor: str) -> str:
        return self.names(tensor).symbol

    def expression(self, e: Expr, order: Sequence[Index]) -> str:
        return expression_unicode(e, self.names, order)

    def position(self, e: Expr) -> str:
        """An integer expression, as it stands in an index."""
        return self.page.index(e)

    def condition(self, e: Expr) -> str:
        return self.page.condition(e)

    def equation(self, e: Equation, inner: Sequence[Index] = ()) -> tuple[str, str]:
        if endless(e.body):
            return str(self.page.doprint(e.access)), LEFT_OUT
        return equation_unicode(e, self.names, inner)

    def matrix(self, e: Equation) -> tuple[str, str] | None:
        """The matrix form, where there is one."""
        form = matrix_form(e)
        return form_unicode(form, self.names) if form else None

    def of_use(self, left: str, use: Use) -> str:
        """What one use of a tensor adds to its cotangent: `z̄[n,k]|(4)`."""
        return f"{left}|{f'({use.number})' if use.number else self.symbol(use.through.target)}"


class InFormulas:
    """As it is typed: each equation reads back."""

    def symbol(self, tensor: str) -> str:
        return tensor

    def expression(self, e: Expr, order: Sequence[Index]) -> str:
        return text(e)

    def position(self, e: Expr) -> str:
        return text(e)

    def condition(self, e: Expr) -> str:
        return condition_text(e)

    def equation(self, e: Equation, inner: Sequence[Index] = ()) -> tuple[str, str]:
        left, _, right = str(e).partition(" = ")
        return left, LEFT_OUT if endless(e.body) else right

    def matrix(self, e: Equation) -> tuple[str, str] | None:
        form = matrix_form(e)
        return (str(form.target), str(form.body)) if form else None

    def of_use(self, left: str, use: Use) -> str:
        return left
