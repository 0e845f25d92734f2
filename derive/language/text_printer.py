"""Equations as text of the formula language; what is printed reads back as the same equation."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any

import sympy
from sympy.printing.precedence import PRECEDENCE, precedence
from sympy.printing.str import StrPrinter

_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<="}


def decimal_text(number: sympy.Rational) -> str | None:
    """A rational as a short decimal, or None where it has none: 8943/200000 -> 0.044715."""
    p, q = int(number.p), int(number.q)
    rest = q
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1 or q == 1:
        return None
    text = str(Decimal(p) / Decimal(q))
    return text if len(text) <= 20 and sympy.Rational(text) == number else None


def shared_coefficient(e: sympy.Add) -> tuple[sympy.Rational, sympy.Add] | None:
    """2*a - 2*b as 2 and a - b, None where the terms share no factor; SymPy multiplies it out."""
    coefficients = {abs(term.as_coeff_Mul()[0]) for term in e.args}
    shared = coefficients.pop()
    if coefficients or shared == 1 or not shared.is_Rational or e.is_integer:
        return None
    return shared, sympy.Add(*(term / shared for term in e.args))


ODD = (sympy.tanh, sympy.sinh, sympy.sin, sympy.tan, sympy.asin, sympy.atan, sympy.erf, sympy.sign)


def without_sign(e: Any) -> Any:
    """-tanh(y - z) -> tanh(z - y), in print alone: SymPy takes the sign out of an odd function."""
    number, rest = e.as_coeff_Mul()
    factors = list(sympy.Mul.make_args(rest))
    for k, f in enumerate(factors):
        if number.is_negative and isinstance(f, ODD) and isinstance(f.args[0], sympy.Add):
            terms = f.args[0].args
            if 2 * sum(a.could_extract_minus_sign() for a in terms) >= len(terms):
                factors[k] = type(f)(-f.args[0], evaluate=False)
                return sympy.Mul(-number, *factors)
    return e


def solved(comparison: Any) -> Any:
    """0 <= m - J -> J <= m and m - J < K -> m < J + K, in print alone: the index by itself."""
    if type(comparison).__name__ not in ("lt", "le"):
        return comparison
    a, b = comparison.args
    zeros = {s: 0 for s in comparison.free_symbols if s.name.endswith("_zero")}
    for side, other in ((a, b), (b, a)):
        own = [i for i in side.free_symbols if type(i).__name__ == "Index"]
        if side.is_Add and len(own) == 1:
            offset = side - own[0]
            sizes = offset.free_symbols | other.free_symbols
            if all(type(e).__name__ == "Symbol" for e in sizes):
                moved = (other - offset).xreplace(zeros)
                return type(comparison)(*((own[0], moved) if side is a else (moved, own[0])))
    return comparison


# Tensor, axis, and size of an index that runs over a block of the axis, as j in `z[n,j]` where the
# axis is longer; and whether a tensor bears the name of the size.
Blocks = frozenset[tuple[str, int, Any, bool]]


class TextPrinter(StrPrinter):
    """SymPy's own printer, with the nodes and functions of the formula language.

    Factors stand in the order of the target's indices, as in
    `x_bar[n,i] = sum[j](z_bar[n,j]*W[i,j])`, and a positive term before a negative one.
    """

    indices: tuple[Any, ...] = ()  # of the target
    scope: tuple[Any, ...] = ()  # these, and those of the reductions around
    blocks: Blocks = frozenset()

    def _print_Mul(self, e: Any) -> str:
        e = without_sign(e)
        if not e.is_Mul:
            return self._print(e)
        coefficient, rest = e.as_coeff_Mul()
        sign, coefficient = ("-", -coefficient) if coefficient < 0 else ("", coefficient)
        over: list[str] = [] if coefficient.p == 1 else [str(coefficient.p)]
        under: list[str] = [] if coefficient.q == 1 else [str(coefficient.q)]
        if coefficient.q >= 10 and decimal_text(coefficient):
            over, under = [self._print(coefficient)], []
        for _, factor, inverse, printed in sorted(self._factors(rest), key=lambda f: f[0]):
            wrapped = f"({printed})" if precedence(factor) <= PRECEDENCE["Mul"] else printed
            (under if inverse else over).append(wrapped)
        a = "*".join(over) or "1"
        b = f"/({'*'.join(under)})" if len(under) > 1 else f"/{under[0]}" if under else ""
        return sign + a + b

    def _factors(self, product: Any) -> Iterator[tuple[tuple[bool, int, str], Any, bool, str]]:
        """Each factor with its place in the order; of 1/b, `b`. Each is printed once."""
        for factor in sympy.Mul.make_args(product):
            exponent = factor.as_base_exp()[1]
            inverse = bool(factor.is_Pow and exponent.is_Rational and exponent < 0)
            shown = 1 / factor if inverse else factor
            positions = [k for k, i in enumerate(self.indices) if factor.has(i)]
            printed = self._print(shown)
            plain = not factor.is_number and len(factor.args) > 0
            yield (plain, min(positions, default=-1), printed), shown, inverse, printed

    def _print_Add(self, e: Any, order: Any = None) -> str:
        if shared := shared_coefficient(e):
            return self._print(sympy.Mul(*shared, evaluate=False))
        # Only a reduction has a bracket and then a parenthesis: sum[i](...).
        terms = sorted(map(self._print, e.args), key=lambda t: (t.startswith("-"), "](" not in t))
        first, *rest = terms
        return first + "".join(f" - {t[1:]}" if t.startswith("-") else f" + {t}" for t in rest)

    def _print_Index(self, e: Any) -> str:
        return e.name

    def _print_Access(self, e: Any) -> str:
        inside = ",".join(self._position(e.tensor, k, i) for k, i in enumerate(e.indices))
        return f"{e.tensor}[{inside}]" if e.indices else e.tensor

    def _position(self, tensor: str, axis: int, e: Any) -> str:
        """z[n,j] -> z[n,0*J+j], where j runs over a part of the axis: alone it would be all."""
        printed = self._index(e)
        if self.blocks and type(e).__name__ == "Index":
            for hidden in (False, True):
                if (tensor, axis, e.size, hidden) in self.blocks:
                    return f"0*{f'sum[{e.name}](1)' if hidden else e.name.upper()}+{printed}"
        return printed

    def _index(self, e: Any) -> str:
        number, rest = e.as_coeff_Add()
        printed = self._print(e).replace(" ", "")
        if number > 0 and printed == f"{number}+{self._print(rest).replace(' ', '')}":
            return f"{printed.partition('+')[2]}+{number}"  # t+1
        return printed[1:-1] if type(e).__name__ in ("floordiv", "mod") else printed

    def _print_Reduce(self, e: Any) -> str:
        outer, term = self.scope, e.term
        bound = [self._shadow(i, term) for i in e.bound]
        self.scope = (*outer, *bound)
        inner = self._print(term.xreplace(dict(zip(e.bound, bound, strict=True))))
        # Of the others no term can be left out in words: an access outside its tensor has to do it.
        if e.op == "logsumexp" and _is_stated(e):
            self.scope = outer
            masked = type(e)("sum", sympy.exp(term), e.bound, e.guard)
            return f"log({self._print(masked)})"
        if e.guard != 1 and e.op in ("sum", "mean", "prod"):
            inner = f"where({self._condition(e.guard)}, {inner}, {int(e.op == 'prod')})"
        self.scope = outer
        return f"{e.op}[{','.join(i.name for i in bound)}]({inner})"

    def _shadow(self, index: Any, term: Any) -> Any:
        """An inner index that the parser renamed, under the name that it had: i__1 -> i."""
        base, inner, _ = index.name.rpartition("__")
        if not inner:
            return index
        written = index.renamed("..." if index.size.name == "..." else base)
        known = written in self.scope or str(index.size) in ("...", base.upper())
        return written if known and not term.has(written) else index

    def _print_Partial(self, e: Any) -> str:
        return f"d({self._print(e.body)})/d({self._print(e.operand)})"

    def _print_Rational(self, e: Any) -> str:
        return decimal_text(e) or f"{e.p}/{e.q}"

    def _print_Symbol(self, e: Any) -> str:
        if e.name.endswith("_zero"):
            return f"0*{self._print_Symbol(sympy.Symbol(e.name.removesuffix('_zero')))}"
        # A size that no capitals spell: that of the merged leading axes, or of a hidden name.
        if e.name == "..." or e.name.endswith("_size"):
            return f"sum[{e.name.removesuffix('_size')}](1)"
        return e.name

    def _print_Exp1(self, e: Any) -> str:
        return "exp(1)"

    def _print_Function(self, e: Any) -> str:
        """Parameters of a library function are named; left out where they have their default."""
        if not hasattr(e, "defaults"):
            return super()._print_Function(e)
        required = len(e.parameters) - len(e.defaults)
        shown = [self._print(a) for a in e.args[:required]]
        for p, a, default in zip(
            e.parameters[required:], e.args[required:], e.defaults, strict=True
        ):
            if a != default:
                shown.append(f"{p.name}={self._print(a)}")
        return f"{type(e).__name__}({', '.join(shown)})"

    def _print_Max(self, e: Any) -> str:
        return self._nested("maximum", e.args)

    def _print_Min(self, e: Any) -> str:
        return self._nested("minimum", e.args)

    def _nested(self, function: str, args: tuple[Any, ...]) -> str:
        *rest, last = sorted(map(self._print, args))
        for a in reversed(rest):
            last = f"{function}({a}, {last})"
        return last

    def _print_Abs(self, e: Any) -> str:
        return f"abs({self._print(e.args[0])})"

    def _comparison(self, e: Any) -> str:
        e = solved(e)
        if e.is_Number:
            return self._print(e)
        a, b = (self.parenthesize(a, PRECEDENCE["Relational"] + 1) for a in e.args)
        return f"({a} {_COMPARISONS[type(e).__name__]} {b})"

    _print_eq = _print_ne = _print_lt = _print_le = _comparison

    def _condition(self, e: Any) -> str:
        """What stands in `where` before the first comma; `and or not` stand nowhere else."""
        kind = type(e).__name__
        if kind in ("and_", "or_"):
            return f" {kind[:-1]} ".join(
                f"({self._condition(a)})"
                if type(a).__name__ in ("and_", "or_", "not_")
                else self._condition(a)
                for a in e.args
            )
        if kind == "not_":
            inner = self._condition(e.args[0])
            return f"not ({inner})"
        printed = self._print(e)
        return printed[1:-1] if kind in _COMPARISONS else printed

    def _print_where(self, e: Any) -> str:
        condition, a, b = e.args
        return f"where({self._condition(condition)}, {self._print(a)}, {self._print(b)})"

    def _truth(self, e: Any) -> str:
        return f"where({self._condition(e)}, 1, 0)"

    _print_and_ = _print_or_ = _print_not_ = _truth

    def _binary(self, e: Any, operator: str) -> str:
        tight = PRECEDENCE["Mul"]
        a, b = self.parenthesize(e.args[0], tight), self.parenthesize(e.args[1], tight + 1)
        return f"({a} {operator} {b})"

    def _print_floordiv(self, e: Any) -> str:
        return self._binary(e, "//")

    def _print_mod(self, e: Any) -> str:
        return self._binary(e, "%")


def _is_stated(e: Any) -> bool:
    """Whether a guard says more than that the accesses stay inside their tensors."""
    positions = {
        i for part in sympy.preorder_traversal(e.term) for i in getattr(part, "indices", ())
    }
    conditions = e.guard.args if type(e.guard).__name__ == "and_" else (e.guard,)
    return e.guard != 1 and any(_bounded(c) not in positions for c in conditions)


def _bounded(condition: Any) -> Any:
    """The position that `0 <= position` or `position < size` is about, or None."""
    kind = type(condition).__name__
    if kind == "le" and condition.args[0] == 0:
        return condition.args[1]
    if kind == "lt" and not any(
        type(i).__name__ == "Index" for i in condition.args[1].free_symbols
    ):
        return condition.args[0]
    return None


def text(expression: Any) -> str:
    """One expression as text of the formula language."""
    return TextPrinter().doprint(expression)


def condition_text(condition: Any) -> str:
    """A condition as it stands in `where`."""
    return TextPrinter()._condition(condition)


@lru_cache(maxsize=1 << 14)
def equation_text(target: Any, body: Any, blocks: Blocks = frozenset()) -> str:
    """`target = body` as one line of the formula language."""
    printer = TextPrinter()
    printer.blocks = blocks
    # On the initial line of a recurrence, h[-1,j], a position stands among the indices.
    printer.indices = printer.scope = tuple(i for i in target.indices if i.is_Symbol)
    return f"{printer.doprint(target)} = {printer.doprint(body)}"
