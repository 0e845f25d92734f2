"""The order of terms and factors in a textbook, and where its parentheses stand.

Whatever an expression is printed with. Factors stand as the indices of the equation's own have it,
cotangents before values, these before functions and sums; positive terms before negative ones, the
fullest first, constants last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sympy
from sympy import Add, Expr, Integer, Mul, Pow, Rational, Symbol

from derive.language.functions import Condition, and_, eq, le, lt, mod, ne, not_, where
from derive.language.notation import Access, Index, Partial, Reduce
from derive.language.text_printer import decimal_text, shared_coefficient
from derive.printing.display import negation

# How tightly an expression binds, loosest first.
RELATION, SUM, BIG, PRODUCT, SCRIPTED, ATOM = range(6)

# The kinds of factors, in the order in which they stand; a reduction makes a long one longer.
COTANGENT, VALUE, FUNCTION, DERIVATIVE, LONG, _LONGER, BRACKET, DELTA = range(8)


class Order:
    """Which index comes first; a fresh name, `k_1`, stands where `k` does."""

    def __init__(self, order: Sequence[Index] = ()) -> None:
        # On the initial line of a recurrence, h[-1,j], a position stands among the indices.
        self.rank = {_stem(i): k for k, i in enumerate(order) if isinstance(i, Index)}

    def position(self, e: Expr) -> tuple[int, ...]:
        """Where the indices of an expression stand in the order of the equation's own."""
        return tuple(sorted(self.rank.get(_stem(i), len(self.rank)) for i in _free(e)))

    def term_key(self, e: Expr) -> tuple[Any, ...]:
        """Positive terms first, numbers before the fullest of them, which come before constants."""
        number = e.is_Number and e > 0
        length = len(Mul.make_args(e)) if negative(e) else 0
        full = (not e.has(Reduce), -len(_free(e)), self.position(e))
        return (negative(e), not number, length, *full, _natural(e))

    def factor_key(self, e: Expr) -> tuple[Any, ...]:
        """As indices have it; then cotangents before values, these before functions and sums."""
        kind = self.kind(e.base if e.is_Pow else e)
        if kind > FUNCTION:
            return (1, kind + e.has(Reduce), _natural(e))
        place = self.position(e)
        return (0, place[:1], kind, place, _natural(e))

    def kind(self, e: Expr) -> int:
        """The place of a factor among the others."""
        if isinstance(e, Access):
            return COTANGENT if self.is_cotangent(e.tensor) else VALUE
        if isinstance(e, Partial):
            return DERIVATIVE
        if e.is_Add or isinstance(e, Reduce):
            return LONG
        if isinstance(e, Condition):
            return DELTA if isinstance(e, eq) else BRACKET
        return FUNCTION

    def is_cotangent(self, tensor: str) -> bool:
        """Whether it is one, where no more is known than its name."""
        return tensor.endswith("_bar")


class PagePrinter(Order):
    """What the printers of pages have in common; to be mixed into a printer of SymPy's.

    That has `names`, whose names have a part `above`, `index` for an integer expression and
    `bracketed` for what stands in parentheses.
    """

    names: Any
    relations: dict[str, str]
    flipped: dict[str, str]
    and_sign: str
    or_sign: str
    not_sign: str

    _print: Any

    def index(self, e: Expr) -> str:
        raise NotImplementedError

    def bracketed(self, inside: str) -> str:
        raise NotImplementedError

    def is_cotangent(self, tensor: str) -> bool:
        return bool(self.names.is_cotangent(tensor))

    # Conditions.

    def condition(self, e: Expr) -> str:
        """A condition as a statement: `z[n,j] > 0`, `0 <= i+k < H`."""
        name = type(e).__name__
        if isinstance(e, and_):
            return self.and_sign.join(self.chains(list(e.args)))
        if name in self.relations:
            a, b = e.args
            flipped = a.is_Number and name in self.flipped
            if flipped:
                a, b = b, a
            sign = self.flipped[name] if flipped else self.relations[name]
            return f"{self.side(a)} {sign} {self.side(b)}"
        if isinstance(e, not_):
            if isinstance(e.args[0], eq | ne):
                return self.condition(negation(e.args[0]))
            return f"{self.not_sign}{self.at_least(e.args[0], ATOM)}"
        if name == "or_":
            return self.or_sign.join(self.at_least(a, ATOM) for a in e.args)
        return f"{self._print(e)} {self.relations['ne']} 0"

    def side(self, e: Expr) -> str:
        integer = not e.has(Access) or isinstance(e, Access)
        return self.index(e) if integer and e.has(Index) else str(self._print(e))

    def chains(self, conditions: list[Expr]) -> list[str]:
        """`0 <= e` and `e < size` in one."""
        out = []
        while conditions:
            first, *conditions = conditions
            upper = [
                c for c in conditions if isinstance(c, lt | le) and c.args[0] == first.args[-1]
            ]
            if isinstance(first, lt | le) and upper:
                conditions.remove(upper[0])
                sign = self.relations[type(upper[0]).__name__]
                left = f"{self.side(first.args[0])} {self.relations[type(first).__name__]}"
                out.append(
                    f"{left} {self.side(first.args[1])} {sign} {self.side(upper[0].args[1])}"
                )
            else:
                out.append(self.condition(first))
        return out

    # Parentheses.

    def binding(self, e: Expr) -> int:
        """How tightly the printed form of an expression binds."""
        if e.is_Add:
            return PRODUCT if shared_coefficient(e) else SUM
        if negative(e):
            return SUM
        if isinstance(e, Reduce):
            return BIG
        if e.is_Mul:
            return self.product_binding(e)
        if isinstance(e, Partial):
            return PRODUCT
        if isinstance(e, mod):
            return SUM  # 2 p mod 2 could be read as (2p) mod 2
        if e.is_Pow:
            return SCRIPTED
        if isinstance(e, Access):
            return SCRIPTED if self.names(e.tensor).above else ATOM
        if isinstance(e, Rational) and not (e.is_Integer or is_decimal(e)):
            return SCRIPTED
        if isinstance(e, sympy.Function) or not e.args:
            return SCRIPTED if isinstance(e, sympy.exp | where) else ATOM
        return SUM

    def product_binding(self, e: Mul) -> int:
        """A product that ends in a sum reaches as far as the sum does."""
        return BIG if any(isinstance(a, Reduce) for a in e.args) else PRODUCT

    def at_least(self, e: Expr, level: int) -> str:
        shown = self._print(e)
        return str(shown) if self.binding(e) >= level else self.bracketed(shown)


def multiples_first(e: Add) -> list[Expr]:
    """The terms of an integer expression: the multiples first, the constant last, `2p+k-1`."""
    return sorted(e.args, key=lambda a: (a.is_Number, negative(a), not a.is_Mul, str(a)))


@lru_cache(maxsize=4096)
def _natural(e: Expr) -> str:
    """A key by which `b_10` follows `b_9`."""
    return re.sub(r"\d+", lambda digits: digits[0].zfill(6), str(e))


@lru_cache(maxsize=4096)
def _free(e: Expr) -> frozenset[Index]:
    """The indices of an expression that none of its reductions binds."""
    return frozenset(e.atoms(Index)) - {i for r in e.atoms(Reduce) for i in r.bound}


def _stem(i: Index) -> str:
    return str(i.name).partition("_")[0]


def negative(e: Expr) -> bool:
    return bool(e.as_coeff_Mul()[0].is_negative)


def is_decimal(e: Rational) -> bool:
    """Whether a fraction is shown as a decimal: 0.9 and 0.044715, but 1/2 and 1/64."""
    text = decimal_text(e) if e.q >= 10 else None
    return text is not None and len(text) <= len(str(e))


def is_coefficient(e: Expr) -> bool:
    """A number or a size, or a power of one."""
    if e.is_Number:
        return True
    base = e.base if e.is_Pow and e.exp.is_Integer else e
    return isinstance(base, Symbol) and not isinstance(base, Index)


def coefficients(e: Mul, summed: bool) -> tuple[list[Expr], list[Expr]]:
    """The numbers and sizes of a product: above and below the line.

    One over a number before a sum, where it is `summed`, is that of a mean: a fraction, 1/64 and
    not 0.015625.
    """
    above: list[Expr] = []
    below: list[Expr] = []
    for a in Mul.make_args(e):
        mean = summed and a.is_Rational and abs(a.p) == 1
        if isinstance(a, Rational) and not a.is_Integer and (mean or not is_decimal(a)):
            above += [Integer(a.p)] if a.p != 1 else []
            below.append(Integer(a.q))
        elif is_reciprocal(a) and is_coefficient(a):
            below.append(reciprocal(a))
        elif is_coefficient(a):
            above.append(a)
    return above, sorted(below, key=lambda a: (not a.is_Number, str(a)))


def is_reciprocal(e: Expr) -> bool:
    return e.is_Pow and e.exp.is_Number and e.exp.is_negative


def reciprocal(e: Pow) -> Expr:
    return Pow(e.base, -e.exp)
