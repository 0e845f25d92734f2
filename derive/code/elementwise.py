"""Scalar expressions as array operations, each over the indices that it depends on and no others.

    exp(a[i])*b[i,j] + 1     ->    t_1[i]   = np.exp(a)
                                   t_2[i,j] = np.multiply(t_1[:, None], b)
                                   t_3[i,j] = np.add(t_2, 1)

An expression without indices stays an expression of Python; equal subexpressions are computed once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from functools import lru_cache

import sympy
from sympy import Add, Expr, Function, Mul, Pow, S, Symbol
from sympy.codegen.cfunctions import expm1, log1p

from derive.code.reading import Reading
from derive.code.statements import Code, Value
from derive.code.ufuncs import common, number, operand
from derive.language import functions as f
from derive.language.notation import REMEMBERED, Access, Index, accesses, indices
from derive.language.text_printer import shared_coefficient

FUNCTIONS = {
    sympy.exp: "exp",
    sympy.log: "log",
    log1p: "log1p",
    expm1: "expm1",
    sympy.Abs: "abs",
    sympy.sign: "sign",
    sympy.sin: "sin",
    sympy.cos: "cos",
    sympy.tan: "tan",
    sympy.sinh: "sinh",
    sympy.cosh: "cosh",
    sympy.tanh: "tanh",
    sympy.asin: "arcsin",
    sympy.acos: "arccos",
    sympy.atan: "arctan",
    f.nearest: "rint",
    f.maximum: "maximum",
    f.minimum: "minimum",
    sympy.Max: "maximum",
    sympy.Min: "minimum",
    f.mod: "mod",
    f.floordiv: "floor_divide",
    sympy.floor: "floor",
}
COMPARISONS = {
    f.eq: ("equal", "=="),
    f.ne: ("not_equal", "!="),
    f.lt: ("less", "<"),
    f.le: ("less_equal", "<="),
}


@lru_cache(maxsize=REMEMBERED)
def anywhere(e: Expr) -> tuple[tuple[Index, ...], Hashable]:
    """The indices of a function, as they come, and what it is whatever they are called.

    Of a function of one argument it is the function and that argument: nothing is evaluated anew.
    """
    own = tuple(dict.fromkeys(i for i in sympy.preorder_traversal(e) if isinstance(i, Index)))
    new = {i: i.renamed(f"_{k}") for k, i in enumerate(own)}
    if len(e.args) == 1:
        return own, (type(e), e.args[0].xreplace(new))
    return own, e.xreplace(new)


class Elementwise(Reading):
    """Expressions to values: `known` are those computed before, `rectified` maximum(z, 0) by z."""

    def __init__(self, code: Code, sizes: Mapping[Symbol, Expr]) -> None:
        super().__init__(code, sizes)
        self.known: dict[tuple[Hashable, str], Value] = {}
        self.rectified: dict[Expr, Value] = {}

    def value(self, e: Expr) -> Value:
        """The value of a scalar expression; equal expressions have one value."""
        guarded = self._reading(e)
        if type(e) not in FUNCTIONS:
            key: tuple[Hashable, str] = (e, guarded)
            found = self.known.get(key)
            if found is None:
                found = self.known[key] = self._compute(e)
            return found
        # exp(z[n,k]) is exp(z[n,j]) along another axis.
        own, function = anywhere(e)
        standing = [i.renamed(f"_{k}") for k, i in enumerate(own)]
        key = (function, guarded)
        if key not in self.known:
            value = self._compute(e)
            there = tuple(standing[own.index(i)] for i in value.indices)
            self.known[key] = Value(value.text, there, value.kind)
        value = self.known[key]
        there = tuple(own[standing.index(i)] for i in value.indices)
        return Value(value.text, there, value.kind)

    def _reading(self, e: Expr) -> str:
        """How accesses outside their tensors are read here, which the value depends on.

        And whether its products are of integers.
        """
        outside = self.padding if self.guarded and e.has(Access) else ""
        return outside + " exact" * (self.exact and not isinstance(e, Access | Index))

    def _compute(self, e: Expr) -> Value:
        if isinstance(e, Access):
            return self.access(e)
        if isinstance(e, Index):
            return self.grid(e)
        if not indices(e) and (e.is_number or (not e.has(Access, Function) and e.is_integer)):
            return number(e)
        if e.is_Add:
            return self.sum(e)
        if e.is_Mul and (-e, self._reading(e)) in self.known:
            return self.apply("negative", self.value(-e))
        if e.is_Mul or (e.is_Pow and e.exp.could_extract_minus_sign()):
            return self.product(Mul.make_args(e))
        if e.is_Pow:
            return self.power(e)
        if isinstance(e, f.where):
            return self.choice(*e.args)
        if isinstance(e, f.stop_gradient | f.rounded):
            return self.value(e.args[0])
        if isinstance(e, f.horner):
            return self.polynomial(e)
        if isinstance(e, f.Named):
            return self.value(e.expanded())
        if type(e) in COMPARISONS:
            return self.comparison(e)
        if isinstance(e, f.and_ | f.or_ | f.not_):
            return self.logical(e)
        if type(e) in FUNCTIONS:
            arguments = (
                self.arguments(e)
                if isinstance(e, f.mod | f.floordiv)
                else [*map(self.value, e.args)]
            )
            integer = isinstance(e, f.mod | f.floordiv | f.maximum | f.minimum | sympy.Abs)
            return self.apply(FUNCTIONS[type(e)], *arguments, whole=integer)
        raise NotImplementedError(f"no NumPy for {type(e).__name__}")

    # Arithmetic

    def sum(self, e: Add) -> Value:
        """a + b - c, beginning with the largest; a one-hot addend is added at its places."""
        if shared := shared_coefficient(e):
            return self.product(shared)
        plus: list[Value] = []
        minus: list[Value] = []
        one_hot: list[Expr] = []
        for term in e.args:
            if self.one_hot(term) is not None:
                one_hot.append(term)
                continue
            negative = term.could_extract_minus_sign()
            (minus if negative else plus).append(self.value(-term if negative else term))
        plus, minus = (self.grouped(values, "add") for values in (plus, minus))
        if not plus and not minus:
            plus = [self.value(one_hot.pop(0))]
        total = plus.pop(0) if plus else self.apply("negative", minus.pop(0))
        for function, values in (("add", plus), ("subtract", minus)):
            for v in values:
                total = self.apply(function, total, v)
        for term in one_hot:
            total = self.add_one_hot(total, term)
        return total

    def product(self, factors: Iterable[Expr]) -> Value:
        """a*b/(c*d): the numerator, then one division by the denominator.

        Scalars are put together and go to the smallest array there is.
        """
        rational: Expr = S.One
        above: list[Expr] = []
        below: list[Expr] = []
        for factor in factors:
            if factor.is_Rational:
                rational = rational * factor
            elif factor.is_Pow and factor.exp.could_extract_minus_sign():
                below.append(Pow(factor.base, -factor.exp))
            else:
                above.append(factor)
        if abs(rational.p) == 1 and rational.q & (rational.q - 1):
            above.append(S(rational.p))  # x/3 is a division, x/2 and 2*x/3 are multiplications
            below.append(S(rational.q))
        else:
            above.append(rational)
        scale, divisor = (
            self._scalars(x for x in side if not indices(x)) for side in (above, below)
        )
        numerator, denominator = (
            self.grouped([self.value(x) for x in side if indices(x)], "multiply")[::-1]
            for side in (above, below)
        )
        if divisor.text != "1":
            if scale.text not in ("1", "-1") or not (numerator or denominator):
                scale = self.apply("divide", scale, divisor)
            elif denominator:
                denominator[0] = self.apply("multiply", denominator[0], divisor)
            else:
                numerator[0] = self.apply("divide", numerator[0], divisor)
        if not numerator:
            numerator = [scale]
        elif scale.text == "-1":
            numerator[0] = self.apply("negative", numerator[0])
        elif scale.text != "1":
            numerator[0] = self.apply("multiply", numerator[0], scale)
        total = self.folded(numerator)
        return self.apply("divide", total, self.folded(denominator)) if denominator else total

    def _scalars(self, factors: Iterable[Expr]) -> Value:
        """The product of factors without indices: numbers, sizes and tensors of rank 0."""
        numbers = S.One
        values = []
        for x in factors:
            if x.is_number and not x.has(Function):
                numbers = numbers * x
            else:
                values.append(self.value(x))
        if numbers != 1 or not values:
            values.insert(0, number(numbers))
        return self.folded(values)

    def power(self, e: Pow) -> Value:
        base, exponent = self.value(e.base), e.exp
        if exponent == S.Half:
            return self.apply("sqrt", base)
        if exponent.is_Integer and 2 <= exponent <= 16:
            half = self.value(e.base ** (exponent // 2))
            if base.indices == () and exponent == 2:
                return self.apply("power", base, Value("2", kind="count"), whole=True)
            square = self.apply("square", half, whole=True)
            return square if exponent % 2 == 0 else self.apply("multiply", square, base)
        return self.apply("power", self.real(base), self.value(exponent))

    def polynomial(self, e: f.horner) -> Value:
        """c_0 + t*(c_1 + t*(...)), in place."""
        t = self.real(self.value(e.args[0]))
        constants = [number(c).text for c in e.args[1:]]
        if len(constants) == 1:
            return Value(constants[0], kind="number")
        *rest, second, last = constants
        if not t.indices:
            text = last
            for c in [second, *rest[::-1]]:
                text = f"{c} + {operand(t.text)} * {operand(text)}"
            return Value(text)
        out = self.code.array(t.indices)
        start = [
            f"np.multiply({t.text}, {last}, out={{out}})",
            f"np.add({{out}}, {second}, out={{out}})",
        ]
        loop = [
            f"for coefficient in ({', '.join(rest[::-1])}{',' * (len(rest) == 1)}):",
            f"    np.multiply({{out}}, {t.text}, out={{out}})",
            "    np.add({out}, coefficient, out={out})",
        ] * bool(rest)
        fresh = [f"{{out}} = np.multiply({t.text}, {last})", *start[1:], *loop]
        operations = 2 * (len(constants) - 1) * out.elements
        return self.code.emit(out, "\n".join(fresh), "\n".join(start + loop), (), operations)

    # Conditions

    def arguments(self, e: Expr) -> list[Value]:
        """The arguments of a comparison or division: integers are compared in integers."""
        tensors = (self.tensors[a.tensor][0] for a in accesses(e))
        whole = not e.has(Pow) and all(value.kind == "integer" for value in tensors)
        return [self.position(x) if whole else self.value(x) for x in e.args]

    def comparison(self, e: Expr) -> Value:
        a, b = self.arguments(e)
        if isinstance(e, f.lt) and e.args[0] == 0 and e.args[1] in self.rectified:
            b = self.rectified[e.args[1]]  # 0 < z as 0 < maximum(z, 0), so that z need not be kept
        name, operator = COMPARISONS[type(e)]
        if not a.indices and not b.indices:
            return Value(f"{operand(a.text)} {operator} {operand(b.text)}", kind="boolean")
        return self.call(name, (a, b), "boolean")

    def logical(self, e: Expr) -> Value:
        name = type(e).__name__.rstrip("_")
        values = [self.condition(x) for x in e.args]
        scalars = [operand(v.text) for v in values if not v.indices]
        arrays = [v for v in values if v.indices]
        if name == "not":
            if scalars:
                return Value(f"not {scalars[0]}", kind="boolean")
            return self.call("logical_not", (arrays[0],), "boolean")
        if scalars:
            arrays.append(Value(f" {name} ".join(scalars), kind="boolean"))
        total, *rest = arrays
        for v in rest:
            total = self.call(f"logical_{name}", (total, v), "boolean")
        return total

    def condition(self, e: Expr) -> Value:
        """The value of an expression as a truth value."""
        v = self.value(e)
        return v if v.kind == "boolean" else self.comparison(f.ne(e, S.Zero))

    def choice(self, condition: Expr, a: Expr, b: Expr) -> Value:
        """where(c, a, b); with 0 for one branch the other is multiplied by the mask.

        Both branches are evaluated everywhere; `stability` has made that safe.
        """
        if b == 0 and condition in (f.lt(S.Zero, a), f.le(S.Zero, a)):
            self.rectified[a] = self.apply("maximum", self.value(a), Value("0", kind="count"))
            return self.rectified[a]
        guarded = self.guarded
        # `0 <= i-1 and t[i-1] == 2`: what comes first guards the rest.
        self.guarded = guarded or isinstance(condition, f.and_ | f.or_)
        mask = self.condition(condition)
        self.guarded = True
        x, y = self.value(a), self.value(b)
        self.guarded = guarded
        if not (mask.indices or x.indices or y.indices):
            parts = (operand(v.text) for v in (x, mask, y))
            return Value("{} if {} else {}".format(*parts), kind=common((x, y)))
        if b == 0 and x.kind == "real":
            return self.apply("multiply", x, mask)
        if a == 0 and y.kind == "real":
            return self.apply("multiply", y, self.call("logical_not", (mask,), "boolean"))
        return self.select(mask, x, y)
