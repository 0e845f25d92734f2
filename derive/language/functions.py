"""The scalar functions of the language that SymPy lacks, or has with another meaning.

Conditions are numbers: a comparison is the expression 0 or 1 (the Iverson bracket), so that it may
stand in a product. A kink's convention is stated where its derivative is: it is the branch that the
condition takes at the kink.
"""

from __future__ import annotations

import operator
import sys
from typing import Any, ClassVar

import sympy
from sympy import Expr, Function, Integer, S
from sympy.codegen.cfunctions import expm1, log1p

# A formula may be nested 100 deep, and SymPy takes dozens of frames to differentiate one level.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 10_000))


class Real(Function):
    """A function whose value is a real number."""

    is_real = True
    is_extended_real = True
    is_finite = True


class Condition(Real):
    """0 or 1; its derivative is 0."""

    is_integer = True
    is_nonnegative = True

    def _eval_derivative(self, symbol: sympy.Symbol) -> Expr:
        return S.Zero


class Comparison(Condition):
    """Decided where both sides are numbers, or the same."""

    nargs = 2
    holds: ClassVar[Any]  # the comparison of two numbers

    @classmethod
    def eval(cls, a: Expr, b: Expr) -> Expr | None:
        if a == b:
            return Integer(cls.holds(0, 0))
        return Integer(bool(cls.holds(a, b))) if a.is_Number and b.is_Number else None


class eq(Comparison):
    """`a == b`"""

    holds = staticmethod(operator.eq)


class ne(Comparison):
    """`a != b`"""

    holds = staticmethod(operator.ne)


class lt(Comparison):
    """`a < b`"""

    holds = staticmethod(operator.lt)


class le(Comparison):
    """`a <= b`"""

    holds = staticmethod(operator.le)


class and_(Condition):
    """`a and b and ...`, flat, each condition once, in the order given."""

    @classmethod
    def eval(cls, *conditions: Expr) -> Expr | None:
        flat: list[Expr] = []
        for c in conditions:
            for part in c.args if isinstance(c, and_) else (c,):
                if part == 0:
                    return S.Zero
                if not (part.is_Number and part != 0) and part not in flat:
                    flat.append(part)
        if not flat:
            return S.One
        if len(flat) == 1:
            return flat[0]
        return None if tuple(flat) == conditions else and_(*flat)


class or_(Condition):
    """`a or b`"""

    nargs = 2

    @classmethod
    def eval(cls, a: Expr, b: Expr) -> Expr | None:
        if (a.is_Number and a != 0) or (b.is_Number and b != 0):
            return S.One
        return b if a == 0 else a if b == 0 else None


class not_(Condition):
    """`not a`"""

    nargs = 1

    @classmethod
    def eval(cls, a: Expr) -> Expr | None:
        if a.is_Number:
            return Integer(a == 0)
        return a.args[0] if isinstance(a, not_) else None


class where(Real):
    """`where(condition, a, b)`; only the branch taken counts."""

    nargs = 3

    @classmethod
    def eval(cls, condition: Expr, a: Expr, b: Expr) -> Expr | None:
        if condition.is_Number:
            return b if condition == 0 else a
        return a if a == b and a.is_Number else None

    def _eval_derivative(self, symbol: sympy.Symbol) -> Expr:
        condition, a, b = self.args
        return where(condition, a.diff(symbol), b.diff(symbol))


class maximum(Real):
    """`maximum(a, b)`; where they are equal, the first argument takes the derivative."""

    nargs = 2

    @classmethod
    def eval(cls, a: Expr, b: Expr) -> Expr | None:
        if a == b:
            return a
        return (b if a < b else a) if a.is_Number and b.is_Number else None

    def _eval_derivative(self, symbol: sympy.Symbol) -> Expr:
        a, b = self.args
        return where(le(b, a), a.diff(symbol), b.diff(symbol))


class minimum(Real):
    """`minimum(a, b)`; where they are equal, the first argument takes the derivative."""

    nargs = 2

    @classmethod
    def eval(cls, a: Expr, b: Expr) -> Expr | None:
        if a == b:
            return a
        return (a if a < b else b) if a.is_Number and b.is_Number else None

    def _eval_derivative(self, symbol: sympy.Symbol) -> Expr:
        a, b = self.args
        return where(le(a, b), a.diff(symbol), b.diff(symbol))


class floordiv(Real):
    """`a // b`, rounded down; in indices."""

    nargs = 2
    is_integer = True

    @classmethod
    def eval(cls, a: Expr, b: Expr) -> Expr | None:
        if b == 1 and a.is_integer:
            return a
        if a == 0:
            return S.Zero
        return sympy.floor(a / b) if a.is_Number and b.is_Number and b != 0 else None

    def _eval_derivative(self, symbol: sympy.Symbol) -> Expr:
        return S.Zero


class mod(Real):
    """`a % b` as in Python, `a - b*floor(a/b)`; on values and in indices."""

    nargs = 2

    @classmethod
    def eval(cls, a: Expr, b: Expr) -> Expr | None:
        if (b == 1 and a.is_integer) or a == 0:
            return S.Zero
        return a - b * sympy.floor(a / b) if a.is_Number and b.is_Number and b != 0 else None

    def _eval_is_integer(self) -> bool | None:
        return self.args[0].is_integer and self.args[1].is_integer

    def _eval_derivative(self, symbol: sympy.Symbol) -> Expr:
        a, b = self.args
        return a.diff(symbol) - floordiv(a, b) * b.diff(symbol)


class stop_gradient(Real):
    """`stop_gradient(a)`: the value `a`, taken for a constant."""

    nargs = 1

    def _eval_derivative(self, symbol: sympy.Symbol) -> Expr:
        return S.Zero


class rounded(Real):
    """`a`, as the floating-point number that it is computed to.

    A barrier: algebra does not look inside, so that `exp(p)*exp(q)` stays two numbers and an error
    term such as `rounded(a + b) - a - b` stays one. Stands in computed programs only.
    """

    nargs = 1


class nearest(Real):
    """The integer nearest to `a`, where that is exact. In computed programs only."""

    nargs = 1
    is_integer = True


class horner(Real):
    """`horner(t, c_0, c_1, ..., c_d) = c_0 + t*(c_1 + t*(... + t*c_d))`, evaluated in this order.

    Stands in computed programs only.
    """


class Named(Real):
    """A function given by a formula in other functions, with a name of its own.

    Subclasses are made by `named`. The derivative is that of the formula: nobody writes one.
    """

    parameters: ClassVar[tuple[sympy.Symbol, ...]]
    formula: ClassVar[Expr]
    defaults: ClassVar[tuple[Expr, ...]]

    def expanded(self) -> Expr:
        """The formula with the arguments put in."""
        return self.formula.xreplace(dict(zip(self.parameters, self.args, strict=True)))

    def fdiff(self, argindex: int = 1) -> Expr:
        derivative = differentiate_scalar(self.formula, self.parameters[argindex - 1])
        return derivative.xreplace(dict(zip(self.parameters, self.args, strict=True)))


def named(
    name: str,
    parameters: tuple[sympy.Symbol, ...],
    formula: Expr,
    defaults: tuple[Expr, ...] = (),
) -> type[Named]:
    """The function `name(parameters) = formula`; `defaults` are those of the last parameters."""
    fields = {
        "parameters": parameters,
        "formula": formula,
        "defaults": defaults,
        "nargs": len(parameters),
    }
    return type(name, (Named,), fields)


def differentiate_scalar(expression: Expr, symbol: sympy.Symbol) -> Expr:
    """`d expression / d symbol` by SymPy; jumps of sign and the like count as 0, as at a kink."""
    derivative = expression.diff(symbol)
    if any(not power.exp.is_number for power in expression.atoms(sympy.Pow)):
        derivative = sympy.powsimp(derivative)  # y*x**y/x -> y*x**(y - 1): right where x is 0
    return derivative.replace(sympy.DiracDelta, lambda *_: S.Zero)


# What a formula may call, by the name it has there.
FUNCTIONS: dict[str, Any] = {
    "exp": sympy.exp,
    "log": sympy.log,
    "log1p": log1p,
    "expm1": expm1,
    "sqrt": sympy.sqrt,
    "abs": sympy.Abs,
    "sign": sympy.sign,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "tanh": sympy.tanh,
    "asin": sympy.asin,
    "acos": sympy.acos,
    "atan": sympy.atan,
    "erf": sympy.erf,
    "erfc": sympy.erfc,
    "maximum": maximum,
    "minimum": minimum,
    "where": where,
    "stop_gradient": stop_gradient,
}
