"""Numbers of a formula, exact: decimals become rationals, and what float64 cannot hold is an error.

    0.044715 -> 8943/200000        1e400, 9**9**9, exp(1000) -> ConstantError

Powers of numbers are worked out only where they stay small, so that no formula takes forever.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import sympy
from sympy import Add, Expr, Integer, Rational, S

from derive.language.notation import DeriveError

_LARGEST = Rational(2**1024 - 2**970)  # the first number that rounds to infinity
_SMALLEST = Rational(1, 2**1075)  # the last number that rounds to 0
_LONGEST = 1000  # digits of a literal
_MOST_BITS = 4096  # of an exact power

OVERFLOW = "this constant overflows float64"
UNDERFLOW = "this constant is too small for float64"
NOT_REAL = "this is not a finite real number"


class ConstantError(DeriveError):
    """A constant that is no finite real number of float64."""


def literal(digits: str, value: Any) -> Expr:
    """The exact number that is written `digits`, which Python reads as `value`."""
    if type(value) not in (int, float):
        raise ConstantError(f"{value!a:.40} is no number")
    if len(digits) > _LONGEST:
        raise ConstantError(f"a number of more than {_LONGEST} digits")
    if isinstance(value, int):
        return checked(Integer(value))
    if math.isinf(value):
        raise ConstantError(OVERFLOW)
    if value == 0 and Decimal(digits) != 0:
        raise ConstantError(UNDERFLOW)
    return Rational(digits.replace("_", "")) if value else S.Zero


def number(value: Any) -> Expr:
    """A Python number as an exact one; a float means the decimal that it prints as."""
    if isinstance(value, Expr) and value.is_number:
        return checked(value)
    if isinstance(value, bool):
        return Integer(value)
    if isinstance(value, int | float) and math.isfinite(value):
        return literal(repr(value), value)
    raise ConstantError(f"{value!r:.40} is no finite number")


def checked(value: Expr) -> Expr:
    """The value, if it is no constant or one that float64 can hold."""
    if value.is_Rational:
        magnitude = abs(value)
    elif not value.is_number:
        return value
    elif value.is_extended_real is False or value.has(sympy.I):
        raise ConstantError(NOT_REAL)
    else:
        magnitude = abs(sympy.N(value, 17))
    if magnitude.has(sympy.nan, sympy.zoo, sympy.oo, sympy.I):
        raise ConstantError(NOT_REAL)
    if magnitude.is_Number and magnitude >= _LARGEST:
        raise ConstantError(OVERFLOW)
    if magnitude.is_Number and value != 0 and magnitude <= _SMALLEST:
        raise ConstantError(UNDERFLOW)
    return value


def power(base: Expr, exponent: Expr) -> Expr:
    """`base**exponent`, in which SymPy multiplies out powers of numbers, however long."""
    coefficient = checked(base if base.is_number else base.as_coeff_Mul()[0])
    if base == 0 and exponent.is_negative:
        raise ConstantError("division by zero")
    if coefficient.is_Rational and coefficient not in (0, 1, -1) and exponent.is_comparable:
        times = float(exponent)
        logarithm = times * math.log2(abs(float(coefficient)))
        if logarithm > 1024:
            raise ConstantError(OVERFLOW)
        if logarithm < -1075:
            raise ConstantError(UNDERFLOW)
        bits = max(int(coefficient.p).bit_length(), int(coefficient.q).bit_length())
        if abs(times) * bits > _MOST_BITS:
            if base != coefficient or base < 0:
                raise ConstantError("this power of a number has too many digits")
            return number(float(sympy.Float(base, 50) ** exponent))
    return checked(base**exponent)


def check_exponent(exponent: Expr) -> None:
    """Refuses exp(a) where SymPy would work out a power: exp(1000000*log(2))."""
    for term in Add.make_args(exponent):
        coefficient, rest = term.as_coeff_Mul()
        if abs(coefficient) > 1024 and rest.has(sympy.log):
            raise ConstantError("this exponent is too large")
        if term.is_comparable and abs(sympy.N(term, 17)) > 1024:
            raise ConstantError(OVERFLOW if term.is_positive else UNDERFLOW)


def check_body(body: Expr) -> None:
    """Refuses a body that has a number which is not finite, or not real."""
    if body.has(sympy.I, sympy.zoo, sympy.nan, sympy.oo):
        raise ConstantError(NOT_REAL)
    for rational in body.atoms(Rational):
        checked(rational)
