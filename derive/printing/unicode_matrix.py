"""The matrix form of an equation as one line of Unicode: W̄ = Xᵀ Z̄.

A space stands for the matrix product, ⊙ and ⊘ for the product and quotient element by element, 1
for the column of ones.
"""

from __future__ import annotations

from typing import Any

from sympy import Expr, S

from derive.printing.latex_printer import Piece
from derive.printing.matrix import ATOM, PRODUCT, SCALED, Matrix, binding
from derive.printing.matrix_form import MatrixForm
from derive.printing.ordering import negative
from derive.printing.unicode_names import UnicodeNames, superscript
from derive.printing.unicode_printer import PageUnicode


def form_unicode(form: MatrixForm, names: UnicodeNames) -> tuple[str, str]:
    """The two sides."""
    return matrix_unicode(form.target, names), matrix_unicode(form.body, names)


def matrix_unicode(m: Matrix, names: UnicodeNames) -> str:
    page = PageUnicode(names)

    def inner(m: Matrix, level: int) -> str:
        shown = matrix_unicode(m, names)
        return shown if binding(m) >= level else f"({shown})"

    match m.op:
        case "tensor":
            name = names.matrix(m.args[0]) if m.rank == 2 else names(m.args[0])
            return name.symbol
        case "number":
            return str(page.doprint(m.args[0]))
        case "ones":
            return "1"
        case "identity":
            return "I"
        case "onehot":
            return f"onehot({names(m.args[0]).symbol})"
        case "transpose":
            return f"{inner(m.args[0], ATOM)}ᵀ"
        case "product":
            return " ".join(inner(a, PRODUCT) for a in m.args)
        case "hadamard":
            return _hadamard(m, inner)
        case "sum":
            return _signed([matrix_unicode(a, names) for a in m.args])
        case "power":
            return _power(m, inner, page)
        case "diag" | "diagonal":
            (a,) = m.args
            if a.op == "power" and a.args[1] == -1:
                return f"diag({matrix_unicode(a.args[0], names)})⁻¹"
            return f"diag({matrix_unicode(a, names)})"
        case "trace":
            return f"tr({matrix_unicode(m.args[0], names)})"
        case "norm":
            return f"‖{matrix_unicode(m.args[0], names)}‖²"
    function, *arguments = m.args
    return str(page.doprint(function(*(_piece(a, matrix_unicode(a, names)) for a in arguments))))


def _piece(m: Matrix, shown: str) -> Expr:
    """An argument of a scalar function, for its printer."""
    return m.args[0] if m.op == "number" else Piece(shown)


def _hadamard(m: Matrix, inner: Any) -> str:
    scalars = [a for a in m.args if a.rank == 0]
    factors = [a for a in m.args if a.rank > 0]
    number = m.args[0].args[0] if m.args[0].op == "number" else S.One
    minus = negative(number)
    if minus:
        scalars = ([Matrix("number", (-number,), 0)] if number != -1 else []) + scalars[1:]
    shown = [inner(a, SCALED) for a in scalars]
    coefficient = "·".join(f"({a})" if "/" in a else a for a in shown)
    out = ""
    for factor in factors:
        divided = factor.op == "power" and factor.args[1] == -1
        level = ATOM if out or factors[1:] else PRODUCT
        part = inner(factor.args[0] if divided and out else factor, level)
        out += (" ⊘ " if divided else " ⊙ ") + part if out else part
    space = " " if coefficient and out else ""
    return f"{'−' if minus else ''}{coefficient}{space}{out}"


def _power(m: Matrix, inner: Any, page: PageUnicode) -> str:
    base, exponent = m.args
    if exponent == S.Half:
        return f"√{inner(base, ATOM)}"
    if base.rank == 0 and exponent.is_Integer:
        return f"{inner(base, ATOM)}{superscript(int(exponent))}"
    circle = "⊙" if base.rank else ""
    power = page.doprint(exponent)
    return f"{inner(base, ATOM)}^{circle}{power if exponent.is_Integer else f'({power})'}"


def _signed(terms: list[str]) -> str:
    out = terms[0]
    for term in terms[1:]:
        out += f" − {term[1:].lstrip()}" if term.startswith("−") else f" + {term}"
    return out
