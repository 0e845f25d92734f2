"""Numbers for the interpreter: what each scalar function does with float64 or with many digits.

Integers are Python's own and stay integers where mathematics says so; `1/0` is inf and the
logarithm of a negative number nan, as in NumPy, with either kind of number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import mpmath
import numpy as np
import sympy
from sympy import Expr
from sympy.codegen.cfunctions import expm1, log1p

from derive.language import functions
from derive.language.notation import DeriveError


@dataclass(frozen=True)
class Arithmetic:
    """What is computed with real numbers; integers are Python's own."""

    real: Callable[[Any], Any]
    divide: Callable[[Any, Any], Any]
    power: Callable[[Any, Any], Any]
    constant: Callable[[Expr], Any]
    functions: Mapping[Any, Callable[..., Any]]
    difference: Any  # the relative step of a central difference


FLOATS = Arithmetic(
    real=np.float64,
    divide=np.divide,
    power=np.power,
    constant=lambda c: np.float64(float(c)),
    functions={
        sympy.exp: np.exp,
        sympy.log: np.log,
        log1p: np.log1p,
        expm1: np.expm1,
        sympy.sqrt: np.sqrt,
        sympy.sin: np.sin,
        sympy.cos: np.cos,
        sympy.tan: np.tan,
        sympy.sinh: np.sinh,
        sympy.cosh: np.cosh,
        sympy.tanh: np.tanh,
        sympy.asin: np.arcsin,
        sympy.acos: np.arccos,
        sympy.atan: np.arctan,
        sympy.erf: lambda a: np.float64(math.erf(a)),
        sympy.erfc: lambda a: np.float64(math.erfc(a)),
        functions.nearest: np.rint,
        functions.floordiv: np.floor_divide,
        functions.mod: np.remainder,
    },
    difference=2.0**-17,
)


def multiprecision(digits: int) -> Arithmetic:
    """Numbers of so many decimal digits, with a context of their own."""
    mp = mpmath.mp.clone()
    mp.dps = digits

    def real_part(function: Callable[..., Any]) -> Callable[..., Any]:
        def apply(*arguments: Any) -> Any:
            value = function(*arguments)
            return mp.nan if isinstance(value, mp.mpc) else value

        return apply

    def divide(a: Any, b: Any) -> Any:
        return a / b if b != 0 else mp.nan if a == 0 else mp.sign(a) * mp.inf

    def power(a: Any, b: Any) -> Any:
        return mp.inf if a == 0 and b < 0 else a**b

    known = [c for c in FLOATS.functions if hasattr(mp, c.__name__)]
    table = {c: real_part(getattr(mp, c.__name__)) for c in known}
    table[functions.nearest] = mp.nint
    table[functions.floordiv] = lambda a, b: mp.floor(divide(a, b))
    table[functions.mod] = lambda a, b: mp.nan if b == 0 else a % b
    return Arithmetic(
        real=mp.convert,
        divide=divide,
        power=real_part(power),
        constant=lambda c: mp.convert(str(sympy.N(c, digits + 5))),
        functions=table,
        difference=mp.mpf(10) ** (-digits // 3),
    )


def maximum(a: Any, b: Any) -> Any:
    return a if a >= b or a != a else b


def minimum(a: Any, b: Any) -> Any:
    return a if a <= b or a != a else b


# Those that are the same for integers, floats and numbers of many digits.
ON_ANY_NUMBERS: dict[Any, Callable[..., Any]] = {
    functions.eq: lambda a, b: int(a == b),
    functions.ne: lambda a, b: int(a != b),
    functions.lt: lambda a, b: int(a < b),
    functions.le: lambda a, b: int(a <= b),
    functions.not_: lambda a: int(not a),
    functions.maximum: maximum,
    functions.minimum: minimum,
    functions.stop_gradient: lambda a: a,
    functions.rounded: lambda a: a,
    functions.horner: lambda t, *c: reduce(lambda above, below: above * t + below, reversed(c)),
    sympy.Min: min,  # of sizes
    sympy.Max: max,
    sympy.Abs: abs,
    sympy.sign: lambda a: a if a != a else int(a > 0) - int(a < 0),
}


def _integer_quotient(a: int, b: int) -> int:
    if b == 0:
        raise DeriveError(f"{a} // 0 is no integer")
    return a // b


# Those that give an integer for integers.
ON_INTEGERS: dict[Any, Callable[[int, int], int]] = {
    functions.floordiv: _integer_quotient,
    functions.mod: lambda a, b: a - b * _integer_quotient(a, b),
}
