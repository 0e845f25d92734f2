"""Matrix expressions: a value in NumPy, a formula in LaTeX, a line of text.

    product(transpose(tensor x), tensor z_bar)    ->    X^T Z_bar,  x.T @ z_bar

Vectors are columns. Functions, powers and sums with a number act element by element. The functions
that make an expression keep it in normal form: products flat, scalars before them, few transposes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from sympy import Expr, Mul, S

from derive.language.interpreter import evaluate
from derive.language.notation import Access, Equation, Index, Program, Tensor
from derive.language.text_printer import text
from derive.printing.latex_names import Names
from derive.printing.latex_printer import PageLatex, Piece


@dataclass(frozen=True)
class Matrix:
    """A matrix expression: an operation on others. `rank` is 0 for a scalar, 1 for a column."""

    op: str
    args: tuple[Any, ...]
    rank: int

    def evaluate(self, arrays: Mapping[str, Any], sizes: Mapping[str, int]) -> np.ndarray:
        """The value, with two axes: a vector is a column, a scalar 1 by 1."""
        if self.op in _LEAVES:
            return _leaf(self, arrays, sizes)
        if self.op == "power":
            return self.args[0].evaluate(arrays, sizes) ** float(self.args[1])
        if self.op == "apply":
            function, *arguments = self.args
            return _apply(function, [a.evaluate(arrays, sizes) for a in arguments])
        return _EVALUATIONS[self.op](*(a.evaluate(arrays, sizes) for a in self.args))

    def latex(self, names: Names) -> str:
        return _latex(self, names)

    def __str__(self) -> str:
        return _text(self)


# Making expressions.


def transpositions(matrix: Matrix) -> int:
    own = matrix.op == "transpose"
    return own + sum(transpositions(a) for a in matrix.args if isinstance(a, Matrix))


def transposed(matrix: Matrix) -> Matrix:
    if matrix.op == "transpose":
        return matrix.args[0]
    if matrix.op in ("diag", "identity", "number"):
        return matrix
    if matrix.op == "product":
        return Matrix("product", tuple(transposed(a) for a in reversed(matrix.args)), 2)
    outside = Matrix("transpose", (matrix,), 2)
    if matrix.rank == 2 and matrix.op == "power":
        inside = Matrix("power", (transposed(matrix.args[0]), matrix.args[1]), 2)
        return min(outside, inside, key=transpositions)
    if matrix.rank == 2 and matrix.op in ("sum", "hadamard"):
        parts = tuple(transposed(a) if a.rank == 2 else a for a in matrix.args)
        return min(Matrix(matrix.op, parts, 2), outside, key=transpositions)
    return outside


def product(factors: Sequence[Matrix]) -> Matrix:
    """The matrix product, flat; identities vanish, scalars come to the front."""
    scalars: list[Matrix] = []
    flat: list[Matrix] = []
    for f in factors:
        turned = f.op == "transpose" and f.args[0].op == "hadamard"
        parts = f.args[0].args if turned else f.args if f.op == "hadamard" else (f,)
        scalars += [a for a in parts if a.rank == 0]
        f = hadamard([a for a in parts if a.rank > 0])
        f = transposed(f) if turned else f
        flat += f.args if f.op == "product" else (f,)
    kept = [f for f in flat if f.op != "identity"] or flat[:1]
    if len(kept) == 1:
        return hadamard([*scalars, *kept])
    column = kept[-1].rank == 1
    row = kept[0].op == "transpose" and kept[0].args[0].rank == 1
    product = Matrix("product", tuple(kept), 0 if row and column else 1 if column else 2)
    return hadamard([*scalars, product])


def hadamard(factors: Sequence[Matrix]) -> Matrix:
    """The elementwise product, flat, scalars first."""
    flat: list[Matrix] = []
    for f in factors:
        flat += f.args if f.op == "hadamard" else (f,)
    number = Mul(*(f.args[0] for f in flat if f.op == "number"))
    flat = [f for f in flat if f.op != "number"]
    flat.sort(key=lambda f: (f.rank > 0, _is_quotient(f)))
    if number != 1 or not flat:
        flat = [Matrix("number", (number,), 0), *flat]
    if len(flat) == 1:
        return flat[0]
    return _upright(Matrix("hadamard", tuple(flat), max(f.rank for f in flat)))


def _is_quotient(matrix: Matrix) -> bool:
    return matrix.op == "power" and matrix.args[1] == -1


def _upright(matrix: Matrix) -> Matrix:
    """`A.T * B.T -> (A * B).T`: the transpose outside, where that leaves fewer."""
    if matrix.rank < 2:
        return matrix
    parts = tuple(transposed(a) if a.rank == 2 else a for a in matrix.args)
    turned = Matrix("transpose", (Matrix(matrix.op, parts, 2),), 2)
    return turned if transpositions(turned) < transpositions(matrix) else matrix


def total(terms: Sequence[Matrix]) -> Matrix:
    return _upright(Matrix("sum", tuple(terms), max(t.rank for t in terms)))


# Evaluation.

_LEAVES = ("tensor", "number", "ones", "identity", "onehot")

_EVALUATIONS: dict[str, Callable[..., np.ndarray]] = {
    "transpose": np.transpose,
    "product": lambda *factors: reduce(np.matmul, factors),
    "hadamard": lambda *factors: reduce(np.multiply, factors),
    "sum": lambda *terms: reduce(np.add, terms),
    "diag": lambda v: np.diag(v[:, 0]),
    "diagonal": lambda a: np.diagonal(a)[:, np.newaxis],
    "trace": lambda a: np.trace(a).reshape(1, 1),
    "norm": lambda a: np.sum(a * a).reshape(1, 1),
}


def _leaf(leaf: Matrix, arrays: Mapping[str, Any], sizes: Mapping[str, int]) -> np.ndarray:
    def size(e: Expr) -> int:
        return int(e.xreplace({s: S(sizes[s.name]) for s in e.free_symbols}))

    match leaf.op:
        case "tensor":
            array = np.asarray(arrays[leaf.args[0]], dtype=float)
            shape = {0: (1, 1), 1: (-1, 1), 2: (-1, *array.shape[-1:])}[leaf.rank]
            return array.reshape(shape)
        case "number":
            number = leaf.args[0]
            number = number.xreplace({s: S(sizes[s.name]) for s in number.free_symbols})
            return np.full((1, 1), float(number))
        case "ones":
            return np.ones((size(leaf.args[0]), 1))
        case "identity":
            return np.eye(size(leaf.args[0]))
    lookup = np.asarray(arrays[leaf.args[0]]).reshape(-1, 1)
    return np.asarray(lookup == np.arange(size(leaf.args[1])), dtype=float)


def _apply(function: Any, arguments: list[np.ndarray]) -> np.ndarray:
    """A scalar function element by element, as the interpreter does it."""
    shape = np.broadcast_shapes(*(a.shape for a in arguments))
    i = Index("i")
    given = {f"a{k}": np.broadcast_to(a, shape).ravel() for k, a in enumerate(arguments)}
    body = function(*(Access(name, i) for name in given))
    inputs = tuple(Tensor(name, (i,)) for name in given)
    return evaluate(Program((Equation("y", (i,), body),), inputs), given)["y"].reshape(shape)


# Printing.

SUM, SCALED, HADAMARD, PRODUCT, ATOM = range(5)  # how tightly an expression binds
_BINDING = {"sum": SUM, "product": PRODUCT, "transpose": ATOM, "power": ATOM}


def binding(m: Matrix) -> int:
    if m.op == "hadamard":
        return SCALED if m.args[0].rank == 0 else HADAMARD
    if m.op == "number":
        return SUM if m.args[0].is_Add else SCALED
    return _BINDING.get(m.op, ATOM)


def _latex(m: Matrix, names: Names) -> str:
    page = PageLatex(names)

    def inner(m: Matrix, level: int) -> str:
        shown = _latex(m, names)
        return shown if binding(m) >= level else page.bracketed(shown)

    match m.op:
        case "tensor":
            name = names.matrix(m.args[0]) if m.rank == 2 else names(m.args[0])
            return name.indexed()
        case "number":
            return page.doprint(m.args[0])
        case "ones":
            return r"\mathbf{1}"
        case "identity":
            return "I"
        case "onehot":
            return rf"\operatorname{{onehot}}({names(m.args[0]).indexed()})"
        case "transpose":
            (a,) = m.args
            if a.op == "tensor":
                name = names.matrix(a.args[0]) if a.rank == 2 else names(a.args[0])
                return f"{name.symbol}^{{{name.above}{chr(92)}top}}"
            return f"{_base(inner(a, ATOM))}^{{\\top}}"
        case "product":
            return r"\, ".join(inner(a, PRODUCT) for a in m.args)
        case "hadamard":
            return _hadamard_latex(m, inner)
        case "sum":
            return signed([_latex(a, names) for a in m.args])
        case "power":
            return _power_latex(m, inner)
        case "diag" | "diagonal":
            (a,) = m.args
            if a.op == "power" and a.args[1].is_negative:
                exponent = page.doprint(a.args[1]) if a.args[1] == -1 else f"{a.args[1]}"
                return rf"\operatorname{{diag}}({_latex(a.args[0], names)})^{{{exponent}}}"
            return rf"\operatorname{{diag}}({_latex(a, names)})"
        case "trace":
            return rf"\operatorname{{tr}}({_latex(m.args[0], names)})"
        case "norm":
            below = "_F" if m.args[0].rank == 2 else ""
            return rf"\lVert {_latex(m.args[0], names)} \rVert{below}^{{2}}"
    function, *arguments = m.args
    return page.doprint(function(*(_piece(a, _latex(a, names)) for a in arguments)))


def _piece(m: Matrix, shown: str) -> Expr:
    """An argument of a scalar function, for its printer."""
    return m.args[0] if m.op == "number" else Piece(shown)


def _hadamard_latex(m: Matrix, inner: Any) -> str:
    scalars = [a for a in m.args if a.rank == 0]
    factors = [a for a in m.args if a.rank > 0]
    coefficient = r"\, ".join(inner(a, SCALED) for a in scalars)
    if factors and m.args[0] == Matrix("number", (S.NegativeOne,), 0):
        coefficient = "-" + r"\, ".join(inner(a, SCALED) for a in scalars[1:])
    out = ""
    for factor in factors:
        divided = factor.op == "power" and factor.args[1] == -1
        shown = inner(
            factor.args[0] if divided and out else factor, ATOM if out or factors[1:] else PRODUCT
        )
        out += (r" \oslash " if divided else r" \odot ") + shown if out else shown
    gap = r"\, " if coefficient[-1:].isalnum() or out.startswith(r"\mathrm") else " "
    return f"{coefficient}{gap if coefficient else ''}{out}"


def _power_latex(m: Matrix, inner: Any) -> str:
    base, exponent = m.args
    if exponent == S.Half:
        return rf"\sqrt{{{inner(base, SUM)}}}"
    circle = r"\odot " if base.rank else ""
    return f"{_base(inner(base, ATOM))}^{{{circle}{exponent}}}"


def _base(shown: str) -> str:
    """What gets a superscript: LaTeX refuses a second one."""
    return f"({shown})" if "^" in shown and not shown.endswith(")") else shown


def signed(terms: list[str]) -> str:
    out = terms[0]
    for term in terms[1:]:
        out += f" - {term[1:].lstrip()}" if term.startswith("-") else f" + {term}"
    return out


_TEXT = {"transpose": "{}.T", "diag": "diag({})", "diagonal": "diag({})", "trace": "tr({})"}


def _text(m: Matrix) -> str:
    """The expression with NumPy's operators: `@` between matrices, `*` element by element."""

    def inner(m: Matrix, level: int) -> str:
        natural = m.op == "number" and m.args[0].is_Integer and m.args[0] >= 0
        return _text(m) if natural or binding(m) >= level else f"({_text(m)})"

    match m.op:
        case "tensor":
            return str(m.args[0])
        case "number":
            return text(m.args[0])
        case "ones" | "identity":
            return f"{'ones' if m.op == 'ones' else 'eye'}({text(m.args[0])})"
        case "onehot":
            return f"onehot({m.args[0]})"
        case "product":
            return " @ ".join(inner(a, PRODUCT) for a in m.args)
        case "hadamard":
            return " * ".join(inner(a, ATOM) for a in m.args)
        case "sum":
            return signed([_text(a) for a in m.args])
        case "power":
            return f"{inner(m.args[0], ATOM)}**{m.args[1]}"
        case "norm":
            return f"norm({_text(m.args[0])})**2"
        case "transpose" | "diag" | "diagonal" | "trace":
            level = ATOM if m.op == "transpose" else SUM
            return _TEXT[m.op].format(inner(m.args[0], level))
    function, *arguments = m.args
    return text(function(*(_piece(a, _text(a)) for a in arguments)))
