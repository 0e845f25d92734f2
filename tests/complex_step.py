"""Derivatives without a rule for any of them: the interpreter's own evaluation at complex numbers.

    f(x + i*h) = f(x) + i*h*f'(x) + O(h^2),    f'(x) = Im f(x + i*h)/h    for h = 1e-30

Nothing is subtracted, so the derivative is as exact as the value (Squire and Trapp 1998). A number
here has many imaginary parts, one for each element that is moved: one evaluation gives them all.
Comparisons look at the real part, as those of the interpreter do.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy
from sympy.codegen.cfunctions import expm1, log1p

from derive.language import functions, interpreter
from derive.language.arithmetic import Arithmetic

H = 1e-30


class Moved:
    """A complex number, or an array of them that have one real part."""

    __slots__ = ("z",)

    def __init__(self, z):
        self.z = z

    @property
    def real(self) -> float:
        return self.z.real if isinstance(self.z, complex) else self.z.flat[0].real

    def derivative(self, count: int) -> np.ndarray:
        return np.broadcast_to(np.imag(self.z) / H, count)

    def __add__(self, other):
        return Moved(self.z + parts(other))

    def __mul__(self, other):
        return Moved(self.z * parts(other))

    def __sub__(self, other):
        return Moved(self.z - parts(other))

    def __rsub__(self, other):
        return Moved(parts(other) - self.z)

    def __truediv__(self, other):
        return quotient(self, other)

    def __rtruediv__(self, other):
        return quotient(other, self)

    def __neg__(self):
        return Moved(-self.z)

    def __abs__(self):
        return -self if self.real < 0 else self

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, n: int):
        result: Any = 1
        for _ in range(abs(n)):
            result = self * result
        return result if n >= 0 else quotient(1, result)

    def __eq__(self, other):
        return self.real == real_part(other)

    def __lt__(self, other):
        return self.real < real_part(other)

    def __le__(self, other):
        return self.real <= real_part(other)

    def __gt__(self, other):
        return self.real > real_part(other)

    def __ge__(self, other):
        return self.real >= real_part(other)

    def __bool__(self):
        return self.real != 0

    __hash__ = None


def parts(a: Any) -> Any:
    return a.z if isinstance(a, Moved) else complex(a)


def real_part(a: Any) -> float:
    return a.real if isinstance(a, Moved) else float(a)


def number(a: Any) -> Moved:
    return a if isinstance(a, Moved) else Moved(complex(a))


def quotient(a: Any, b: Any) -> Moved:
    return Moved(np.divide(parts(a), parts(b)) + 0j)


def power(a: Moved, b: Any) -> Moved:
    """By multiplication where the exponent is an integer, so that the base may be negative."""
    b = number(b)
    if np.all(np.imag(b.z) == 0) and b.real == int(b.real):
        return a ** int(b.real)
    return Moved(np.exp(b.z * np.log(a.z)) + 0j)


def error_function(z: Any) -> Any:
    """erf z = 2/sqrt(pi) * exp(-z^2) * sum_n 2^n z^(2n+1)/(2n+1)!!, all terms of one sign."""
    term = total = np.asarray(z)
    for n in range(1, 200):
        term = term * 2 * z * z / (2 * n + 1)
        total = total + term
    return 2 / np.sqrt(np.pi) * np.exp(-z * z) * total


def remainder(a: Moved, b: Moved) -> Moved:
    return a - np.floor(a.real / b.real) * b


def _applied(function: Callable[[Any], Any]) -> Callable[[Moved], Moved]:
    return lambda a: Moved(function(a.z) + 0j)


COMPLEX = Arithmetic(
    real=number,
    divide=quotient,
    power=power,
    constant=lambda c: number(float(c)),
    functions={
        **{
            f: _applied(getattr(np, name))
            for f, name in {
                sympy.exp: "exp",
                sympy.log: "log",
                log1p: "log1p",
                expm1: "expm1",
                sympy.sqrt: "sqrt",
                sympy.sin: "sin",
                sympy.cos: "cos",
                sympy.tan: "tan",
                sympy.sinh: "sinh",
                sympy.cosh: "cosh",
                sympy.tanh: "tanh",
                sympy.asin: "arcsin",
                sympy.acos: "arccos",
                sympy.atan: "arctan",
            }.items()
        },
        sympy.erf: _applied(error_function),
        sympy.erfc: _applied(lambda z: 1 - error_function(z)),
        functions.floordiv: lambda a, b: number(np.floor(a.real / b.real)),
        functions.mod: remainder,
    },
    # What the interpreter takes for a difference, (f(x + ih) - f(x - ih))/2ih, is exact then.
    difference=Moved(complex(0, H)),
)


def evaluate(program, arrays) -> dict[str, np.ndarray]:
    """As `interpreter.evaluate`; arrays of `Moved` may be among those given."""
    return interpreter._evaluate(program, arrays, COMPLEX)


def moved(arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, slice], int]:
    """The arrays with an imaginary part for each element, where each one's are, and how many."""
    count = sum(a.size for a in arrays.values())
    places, found, start = {}, {}, 0
    for name, a in arrays.items():
        places[name] = slice(start, start + a.size)
        found[name] = np.empty(a.shape, object)
        for k, place in enumerate(np.ndindex(a.shape), start):
            z = np.full(count, float(a[place]), complex)
            z[k] += 1j * H
            found[name][place] = Moved(z)
        start += a.size
    return found, places, count


def real(array: np.ndarray) -> np.ndarray:
    """The real parts; integers stay integers."""
    if array.dtype.kind in "iu":
        return array
    return np.array([real_part(a) for a in array.flat], float).reshape(array.shape)


def gradients(results, arrays, places, count) -> dict[str, np.ndarray]:
    """Of `sum(weight*result)`, pairs of arrays in `results`, by each of the arrays moved."""
    total = np.zeros(count)
    for weight, result in results:
        for w, value in zip(np.asarray(weight).flat, result.flat, strict=True):
            if isinstance(value, Moved):
                total = total + w * value.derivative(count)
    return {name: total[place].reshape(arrays[name].shape) for name, place in places.items()}
