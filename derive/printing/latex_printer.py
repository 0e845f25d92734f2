"""Expressions and equations in index notation as LaTeX, in the order in which a textbook has them.

    z_1[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]
    ->  z^{(1)}_{nj} = \\sum_{i} x_{ni}\\, W^{(1)}_{ij} + b^{(1)}_{j}

The printer sets an expression in one piece; `latex_layout` breaks what is too long for a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy
from sympy import Add, Expr, Mul, S, Symbol
from sympy.printing.latex import LatexPrinter

from derive.language.functions import Condition, eq, where
from derive.language.notation import Access, Equation, Index, Reduce
from derive.language.text_printer import decimal_text, shared_coefficient
from derive.printing.display import displayed
from derive.printing.latex_names import Names, function_name, index_name, size_name
from derive.printing.ordering import (
    ATOM,
    BIG,
    PRODUCT,
    SCRIPTED,
    Order,
    PagePrinter,
    coefficients,
    is_coefficient,
    is_decimal,
    is_reciprocal,
    multiples_first,
    negative,
    reciprocal,
)

_OPERATORS = {
    "sum": r"\sum",
    "prod": r"\prod",
    "mean": r"\operatorname*{mean}",
    "max": r"\max",
    "min": r"\min",
    "logsumexp": r"\operatorname*{logsumexp}",
    "argmax": r"\operatorname*{arg\,max}",
    "argmin": r"\operatorname*{arg\,min}",
}
_HEADS = {
    "log": r"\log",
    "sin": r"\sin",
    "cos": r"\cos",
    "tan": r"\tan",
    "sinh": r"\sinh",
    "cosh": r"\cosh",
    "tanh": r"\tanh",
    "asin": r"\arcsin",
    "acos": r"\arccos",
    "atan": r"\arctan",
    "sigmoid": r"\sigma",
    "maximum": r"\max",
    "minimum": r"\min",
    "stop_gradient": function_name("stop"),
}
_RELATIONS = {"eq": "=", "ne": r"\neq", "lt": "<", "le": r"\leq"}
_FLIPPED = {"lt": ">", "le": r"\geq"}

_OPENING = ("(", r"\bigl", r"\Bigl", r"\biggl", r"\left", r"\sum", r"\prod", r"\frac")


class Piece(Symbol):
    """A part of an expression that is LaTeX already: in a matrix form, a matrix."""

    def __new__(cls, latex: str) -> Piece:
        return Symbol.__xnew__(cls, latex, real=True)


class PageLatex(PagePrinter, LatexPrinter):
    """SymPy's printer, with the nodes of the notation.

    `order` says which index comes first, `inner` the same within a partial derivative.
    """

    relations = _RELATIONS
    flipped = _FLIPPED
    and_sign, or_sign, not_sign = r",\ ", r" \lor ", r"\lnot "

    def __init__(
        self, names: Names, order: Sequence[Index] = (), inner: Sequence[Index] = ()
    ) -> None:
        LatexPrinter.__init__(self)
        Order.__init__(self, order)
        self.names = names
        self.inner = inner
        self.printed: dict[Expr, str] = {}  # a part that stands in many places is printed once

    def _print(self, expr: Any, **settings: Any) -> str:
        if settings:
            return str(super()._print(expr, **settings))
        if expr not in self.printed:
            self.printed[expr] = super()._print(expr)
        return self.printed[expr]

    # The nodes of the notation.

    def _print_Index(self, e: Any) -> str:
        return index_name(e.name)

    def _print_Symbol(self, e: Any) -> str:
        return size_name(e.name)

    def _print_Piece(self, e: Any) -> str:
        return str(e.name)

    def _print_Access(self, e: Any) -> str:
        return self.names(e.tensor).indexed(self.subscript(e.indices))

    def subscript(self, indices: Sequence[Expr]) -> str:
        parts = [self.index(i) for i in indices]
        close = all(
            isinstance(i, Index) and len(part.strip("'")) == 1
            for i, part in zip(indices, parts, strict=True)
        )
        return "".join(parts) if close else r",\,".join(parts)

    def index(self, e: Expr) -> str:
        """An index expression: the multiples first, the constant last, `2p+k-1`."""
        return self.signed(multiples_first(e), tight=True) if e.is_Add else self._print(e)

    def _print_Reduce(self, e: Any) -> str:
        below = ",".join(self._print(i) for i in e.bound)
        if e.guard != 1:
            below = rf"\substack{{{below} \\ {self.condition(e.guard)}}}"
        loosest = BIG if e.op in ("sum", "prod") else PRODUCT
        space = "" if e.op in ("sum", "prod") else r"\,"
        return f"{_OPERATORS[e.op]}_{{{below}}}{space} {self.at_least(e.term, loosest)}"

    def _print_Partial(self, e: Any) -> str:
        if isinstance(e.body, Access):
            below = rf"\partial {self._print(e.operand)}"
            return rf"\frac{{\partial {self._print(e.body)}}}{{{below}}}"
        return self.derivative(e.operand) + self.within().at_least(e.body, SCRIPTED)

    def derivative(self, operand: Access) -> str:
        return rf"\frac{{\partial}}{{\partial {self._print(operand)}}}\, "

    def within(self) -> PageLatex:
        """The printer of what is differentiated."""
        return PageLatex(self.names, self.inner)

    # Sums and products.

    def _print_Add(self, e: Any, order: Any = None) -> str:
        if shared := shared_coefficient(e):
            return self._print(Mul(*shared, evaluate=False))
        integral = e.is_integer and not e.has(Access, Reduce)
        return self.signed(multiples_first(e) if integral else sorted(e.args, key=self.term_key))

    def terms(self, e: Add) -> list[tuple[Expr, str]]:
        """The terms of a sum, each with its sign, the first with none but a minus."""
        ordered = sorted(e.args, key=self.term_key)
        return [(a, self.signed([a], first=k == 0)) for k, a in enumerate(ordered)]

    def signed(self, terms: Sequence[Expr], *, tight: bool = False, first: bool = True) -> str:
        """Terms with their signs between them; `tight` in a subscript."""
        space = "" if tight else " "
        out = ""
        for term in terms:
            minus = negative(term)
            shown = self.at_least(-term if minus else term, BIG)
            if first:
                out = f"-{shown}" if minus else shown
            else:
                out += f"{self.line_break}{space}{'-' if minus else '+'}{space}{shown}"
            first = False
        return out

    line_break = ""

    def _print_Mul(self, e: Any) -> str:
        if negative(e):
            return f"-{self.at_least(-e, BIG)}"
        above, below = coefficients(e, any(isinstance(a, Reduce) for a in e.args))
        factors = [a for a in Mul.make_args(e) if not is_coefficient(a)]
        under = [reciprocal(a) for a in factors if is_reciprocal(a)]
        factors = sorted((a for a in factors if not is_reciprocal(a)), key=self.factor_key)
        apart = (Reduce, Condition, where) if under else (Reduce, Condition, where, sympy.exp)
        late = [a for a in factors if isinstance(a, apart)]
        early = [a for a in factors if a not in late]
        if not under and (late or len(early) != 1 or self.is_tall(early[0])):
            late, early = early + late, []
        if not (below or under):
            return self.joined([*above, *early, *late])
        over = self.product([*above, *early])
        fraction = self.fraction(over, self.product([*below, *under]))
        return self.joined(late, fraction) if late else fraction

    def is_tall(self, e: Expr) -> bool:
        return e.is_Add or r"\frac" in self._print(e)

    def product(self, factors: Sequence[Expr]) -> str:
        if not factors:
            return "1"
        return self._print(factors[0]) if len(factors) == 1 else self.joined(factors)

    def joined(self, factors: Sequence[Expr], before: str = "") -> str:
        """Factors side by side, those that would run into the next in parentheses."""
        out = before
        for k, factor in enumerate(factors):
            last = k == len(factors) - 1
            shown = self.at_least(factor, BIG if last else PRODUCT)
            close = shown.startswith(_OPENING) or (k > 0 and is_coefficient(factors[k - 1]))
            close = close and not shown.startswith((r"\mathrm", r"\overline"))
            gap = r" \cdot " if shown[:1].isdigit() else " " if close else r"\, "
            out += gap + shown if out else shown
        return out

    def fraction(self, over: str, under: str) -> str:
        return rf"\frac{{{over}}}{{{under}}}"

    def _print_Pow(self, e: Any) -> str:
        base, exponent = e.args
        if is_reciprocal(e):
            return self.fraction("1", self._print(reciprocal(e)))
        if exponent == S.Half:
            return rf"\sqrt{{{self._print(base)}}}"
        power = f"{exponent.p}/{exponent.q}" if exponent.is_Rational else self._print(exponent)
        power = power.removesuffix("/1")
        head = _HEADS.get(type(base).__name__, "")
        if exponent.is_Integer and head and head != r"\max":
            return f"{head}^{{{power}}}{self.bracketed(self._print(base.args[0]))}"
        return f"{self.at_least(base, ATOM)}^{{{power}}}"

    def _print_Integer(self, e: Any) -> str:
        return str(e.p)

    def _print_Rational(self, e: Any) -> str:
        if is_decimal(e):
            return _scientific(str(decimal_text(e)))
        return rf"{'-' if e.p < 0 else ''}\frac{{{abs(e.p)}}}{{{e.q}}}"

    def _print_Float(self, e: Any) -> str:
        return _scientific(repr(float(e)))

    # Functions and conditions.

    def _print_Function(self, e: Any, exp: Any = None) -> str:
        name = type(e).__name__.rstrip("'")
        primes = "'" * (len(type(e).__name__) - len(name))  # of a derivative: sigmoid'
        inside = f",\\, {self.line_break}".join(map(self._print, e.args))
        return f"{_HEADS.get(name) or function_name(name)}{primes}{self.bracketed(inside)}"

    def _print_log1p(self, e: Any) -> str:
        return self._print(sympy.log(Add(S.One, e.args[0], evaluate=False), evaluate=False))

    # SymPy has methods of its own for these.
    _print_log = _print_tanh = _print_sign = _print_erf = _print_erfc = _print_Function

    def _print_exp(self, e: Any, exp: Any = None) -> str:
        argument = e.args[0]
        if argument.has(Reduce, where, Piece) or argument.count_ops() > 6:
            return rf"\exp{self.bracketed(self._print(argument))}"
        return f"e^{{{self._print(argument)}}}"

    def _print_ExpBase(self, e: Any, exp: Any = None) -> str:
        return self._print_exp(e)

    def _print_Abs(self, e: Any, exp: Any = None) -> str:
        return rf"\lvert {self._print(e.args[0])} \rvert"

    def _print_floordiv(self, e: Any) -> str:
        a, b = e.args
        return rf"\lfloor {self.at_least(a, PRODUCT)}/{self.at_least(b, SCRIPTED)} \rfloor"

    def _print_mod(self, e: Any) -> str:
        a, b = e.args
        return rf"{self.at_least(a, PRODUCT)} \bmod {self.at_least(b, SCRIPTED)}"

    def _print_where(self, e: Any) -> str:
        condition, a, b = e.args
        rows = [rf"{self._print(a)} & \text{{if }} {self.condition(condition)}"]
        while isinstance(b, where):
            condition, a, b = b.args
            rows.append(rf"{self._print(a)} & \text{{if }} {self.condition(condition)}")
        rows.append(rf"{self._print(b)} & \text{{otherwise}}")
        lines = r" \\ ".join(rows)
        return rf"\begin{{cases}} {lines} \end{{cases}}"

    def bracket(self, e: Any) -> str:
        """A condition as a number: Kronecker's delta between indices, else Iverson's bracket."""
        if (
            isinstance(e, eq)
            and not e.has(Access)
            and e.args[0].has(Index)
            and e.args[1].has(Index)
        ):
            return rf"\delta_{{{self.subscript(e.args)}}}"
        return f"[\\,{self.condition(e)}\\,]"

    _print_eq = _print_ne = _print_lt = _print_le = bracket
    _print_and_ = _print_or_ = _print_not_ = bracket

    # Parentheses.

    def bracketed(self, inside: str) -> str:
        """Parentheses of the height of what they hold."""
        if r"\begin" in inside:
            return rf"\left( {inside} \right)"
        if r"\Bigl" in inside or r"\biggl" in inside:
            return rf"\biggl( {inside} \biggr)"
        if any(tall in inside for tall in (r"\frac", r"\sum", r"\prod", r"\substack")):
            return rf"\Bigl( {inside} \Bigr)"
        if r"\sqrt" in inside or r"\operatorname*" in inside or r"\max_" in inside:
            return rf"\bigl( {inside} \bigr)"
        return f"({inside})"


def expression_latex(e: Expr, names: Names, order: Sequence[Index] = ()) -> str:
    """One expression, in one piece."""
    return PageLatex(names, order).doprint(displayed(e))


def equation_latex(
    equation: Equation, names: Names, indices: Sequence[Index] | None = None
) -> tuple[str, str]:
    """The two sides of an equation, in the order of these indices, as a rule its own."""
    order = equation.indices if indices is None else indices
    return (
        expression_latex(equation.access, names, order),
        expression_latex(equation.body, names, order),
    )


def _scientific(decimal: str) -> str:
    """A decimal as a page has it: 1E-8 is $10^{-8}$."""
    digits, _, exponent = decimal.lower().partition("e")
    if not exponent:
        return digits
    power = f"10^{{{int(exponent)}}}"
    return power if digits in ("1", "1.0") else rf"{digits} \cdot {power}"
