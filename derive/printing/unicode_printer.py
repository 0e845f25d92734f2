"""Expressions and equations in index notation as one line of Unicode, for a terminal.

    W_1_bar[i,j] = sum[n](x[n,i]*z_1_bar[n,j])    ->    W̄⁽¹⁾[i,j] = ∑ₙ x[n,i]·z̄⁽¹⁾[n,j]

Factors and terms stand as they do on the LaTeX page. Indices stay in brackets: Unicode has
subscripts for few letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy
from sympy import Add, Expr, Mul, Rational, S
from sympy.printing.str import StrPrinter

from derive.language.functions import eq, where
from derive.language.notation import Access, Equation, Index, Reduce
from derive.language.text_printer import decimal_text, shared_coefficient
from derive.printing.display import displayed
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
from derive.printing.unicode_names import (
    UnicodeNames,
    index_name,
    size_name,
    subscript,
    superscript,
)

_RELATIONS = {"eq": "=", "ne": "≠", "lt": "<", "le": "≤"}
_FLIPPED = {"lt": ">", "le": "≥"}
_OPERATORS = {"sum": "∑", "prod": "∏"}
_FUNCTIONS = {
    "sigmoid": "σ",
    "maximum": "max",
    "minimum": "min",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "stop_gradient": "stop",
}


class PageUnicode(PagePrinter, StrPrinter):
    """SymPy's printer of text, with the nodes of the notation.

    `order` says which index comes first, `inner` the same within a partial derivative.
    """

    relations = _RELATIONS
    flipped = _FLIPPED
    and_sign, or_sign, not_sign = " ∧ ", " ∨ ", "¬"

    def __init__(
        self, names: UnicodeNames, order: Sequence[Index] = (), inner: Sequence[Index] = ()
    ) -> None:
        StrPrinter.__init__(self)
        Order.__init__(self, order)
        self.names = names
        self.inner = inner
        symbols = {name.symbol for name in names.plain.values()}
        # A sign that a tensor of the user's has is no other thing's.
        self.functions = {f: sign for f, sign in _FUNCTIONS.items() if sign not in symbols}
        self.delta = "" if "δ" in symbols else "δ"

    # The nodes of the notation.

    def _print_Index(self, e: Any) -> str:
        return index_name(e.name)

    def _print_Symbol(self, e: Any) -> str:
        if e.name.endswith("_zero"):  # the index does not run over its whole axis
            return f"0·{size_name(e.name.removesuffix('_zero'))}"
        return size_name(e.name)

    def _print_Piece(self, e: Any) -> str:
        return str(e.name)

    def _print_Access(self, e: Any) -> str:
        inside = ",".join(map(self.index, e.indices))
        return f"{self.names(e.tensor).symbol}[{inside}]" if e.indices else self.symbol(e.tensor)

    def symbol(self, tensor: str) -> str:
        return self.names(tensor).symbol

    def index(self, e: Expr) -> str:
        """An index expression: the multiples first, the constant last, `2·p+k−1`."""
        return self.signed(multiples_first(e), tight=True) if e.is_Add else str(self._print(e))

    def _print_Reduce(self, e: Any) -> str:
        bound = [self._print(i) for i in e.bound]
        lowered = [subscript(name) for name in bound]
        below = "" if e.guard != 1 or None in lowered else "".join(map(str, lowered))
        if not below:
            condition = f": {self.condition(e.guard)}" if e.guard != 1 else ""
            below = f"[{','.join(bound)}{condition}]"
        if e.op not in _OPERATORS:
            return f"{e.op}{below}({self._print(e.term)})"
        return f"{_OPERATORS[e.op]}{below} {self.at_least(e.term, BIG)}"

    def _print_Partial(self, e: Any) -> str:
        below = f"∂{self._print(e.operand)}"
        if isinstance(e.body, Access):
            return f"∂{self._print(e.body)}/{below}"
        within = PageUnicode(self.names, self.inner)
        return f"∂/{below}{self.bracketed(within.doprint(e.body))}"

    # Sums and products.

    def _print_Add(self, e: Any, order: Any = None) -> str:
        if shared := shared_coefficient(e):
            return str(self._print(Mul(*shared, evaluate=False)))
        if e.is_integer and not e.has(Access, Reduce):
            return self.signed(multiples_first(e), tight=e.has(Index))
        return self.signed(sorted(e.args, key=self.term_key))

    def signed(self, terms: Sequence[Expr], *, tight: bool = False) -> str:
        """Terms with their signs between them; `tight` in an index."""
        space = "" if tight else " "
        out = ""
        for term in terms:
            minus = negative(term)
            shown = self.at_least(-term if minus else term, BIG)
            if out:
                out += f"{space}{'−' if minus else '+'}{space}{shown}"
            else:
                out = f"−{shown}" if minus else shown
        return out

    def _print_Mul(self, e: Any) -> str:
        if negative(e):
            return f"−{self.at_least(-e, BIG)}"
        apart = [b for a in Mul.make_args(e) for b in (a.is_Add and shared_coefficient(a)) or (a,)]
        number = Mul(*(a for a in apart if a.is_Number))
        factors = [a for a in apart if not is_coefficient(a)]
        sizes = [a for a in apart if is_coefficient(a) and not a.is_Number]
        summed = any(isinstance(a, Reduce) for a in factors)
        above, below = coefficients(Mul(number, *sizes), summed)
        above = [a for a in above if a != 1]
        below = [a for a in below if a != 1] + [reciprocal(a) for a in factors if is_reciprocal(a)]
        factors = sorted((a for a in factors if not is_reciprocal(a)), key=self.factor_key)
        sums = [a for a in factors if isinstance(a, Reduce) and a.op in _OPERATORS]
        over = self.joined([*above, *(a for a in factors if a not in sums)])
        if below:
            under = self.at_least(below[0], SCRIPTED) if len(below) == 1 else self.joined(below)
            over = f"{over or '1'}/{under if len(below) == 1 else self.bracketed(under)}"
            over = self.bracketed(over) if sums else over
        return self.joined(sums, over)

    def joined(self, factors: Sequence[Expr], before: str = "") -> str:
        """Factors side by side, those that would run into the next in parentheses."""
        out = before
        for k, factor in enumerate(factors):
            last = k == len(factors) - 1 and isinstance(factor, Reduce)
            shown = self.at_least(factor, BIG if last else PRODUCT)
            gap = " " if shown.startswith(("∑", "∏")) else "·"
            out += gap + shown if out else shown
        return out

    def _print_Pow(self, e: Any) -> str:
        base, exponent = e.args
        if is_reciprocal(e):
            return f"1/{self.at_least(reciprocal(e), SCRIPTED)}"
        if exponent == S.Half:
            return f"√{self.at_least(base, ATOM)}"
        if exponent.is_Integer:
            return f"{self.at_least(base, ATOM)}{superscript(int(exponent))}"
        return f"{self.at_least(base, ATOM)}^{self.at_least(exponent, ATOM)}"

    def _print_Integer(self, e: Any) -> str:
        return f"−{-e.p}" if e.p < 0 else str(e.p)

    def _print_Rational(self, e: Any) -> str:
        if is_decimal(e):
            return _scientific(str(decimal_text(e)))
        return f"{'−' if e.p < 0 else ''}{abs(e.p)}/{e.q}"

    def _print_Float(self, e: Any) -> str:
        return _scientific(repr(float(e)))

    _print_NegativeOne = _print_Zero = _print_One = _print_Integer
    _print_Half = _print_Rational

    def _print_Pi(self, e: Any) -> str:
        return "π"

    def _print_Exp1(self, e: Any) -> str:
        return "exp(1)"

    # Functions and conditions.

    def _print_Function(self, e: Any) -> str:
        name = type(e).__name__
        return self.functions.get(name, name) + self.bracketed(", ".join(map(self._print, e.args)))

    def _print_log1p(self, e: Any) -> str:
        return f"log({self._print(Add(S.One, e.args[0], evaluate=False))})"

    # SymPy has methods of its own for these.
    _print_sign = _print_Function

    def _print_Abs(self, e: Any) -> str:
        return f"|{self._print(e.args[0])}|"

    def _print_floordiv(self, e: Any) -> str:
        a, b = e.args
        return f"⌊{self.at_least(a, PRODUCT)}/{self.at_least(b, SCRIPTED)}⌋"

    def _print_mod(self, e: Any) -> str:
        a, b = e.args
        return f"{self.at_least(a, PRODUCT)} mod {self.at_least(b, SCRIPTED)}"

    def _print_where(self, e: Any) -> str:
        cases = []
        rest: Any = e
        while isinstance(rest, where):
            condition, a, rest = rest.args
            cases.append(f"{self._print(a)} if {self.condition(condition)}")
        return f"{{{', '.join(cases)}, else {self._print(rest)}}}"

    def bracket(self, e: Any) -> str:
        """A condition as a number: Kronecker's delta between indices, else Iverson's bracket."""
        positions = isinstance(e, eq) and not e.has(Access) and all(a.has(Index) for a in e.args)
        if positions and self.delta:
            return f"{self.delta}[{','.join(map(self.index, e.args))}]"
        return f"[{self.condition(e)}]"

    _print_eq = _print_ne = _print_lt = _print_le = bracket
    _print_and_ = _print_or_ = _print_not_ = bracket

    # Parentheses.

    def bracketed(self, inside: str) -> str:
        return f"({inside})"

    def binding(self, e: Expr) -> int:
        """A quotient is along the line what it is not where it stands upright."""
        if isinstance(e, sympy.exp | where):
            return ATOM
        quotient = isinstance(e, Rational) and not e.is_Integer
        if (e.is_Pow and is_reciprocal(e)) or (quotient and not negative(e)):
            return PRODUCT
        return super().binding(e)


def _scientific(decimal: str) -> str:
    """A decimal as a page has it: 1E-8 is 10⁻⁸."""
    digits, _, exponent = decimal.lower().replace("-", "−", decimal.startswith("-")).partition("e")
    if not exponent:
        return digits
    power = f"10{superscript(str(int(exponent)))}"
    return power if digits in ("1", "1.0") else f"{digits}·{power}"


def expression_unicode(e: Expr, names: UnicodeNames, order: Sequence[Index] = ()) -> str:
    """One expression."""
    return str(PageUnicode(names, order).doprint(displayed(e)))


def equation_unicode(
    equation: Equation, names: UnicodeNames, inner: Sequence[Index] = ()
) -> tuple[str, str]:
    """The two sides of an equation; `inner` is the order within a partial derivative."""
    page = PageUnicode(names, equation.indices, inner)
    return str(page.doprint(equation.access)), str(page.doprint(displayed(equation.body)))
