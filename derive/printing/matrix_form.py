"""The matrix form of an equation, where it has one; evaluable with NumPy and printable.

    W_bar[i,j] = sum[n](x[n,i]*z_bar[n,j])    ->    W_bar = x.T @ z_bar
    z[n,j] = sum[i](x[n,i]*W[i,j]) + b[j]     ->    z = x @ W + ones @ b.T

A product of factors is a graph: an index is a vertex, a matrix an edge, a vector a label. A bound
vertex on two edges is a matrix product, on one a matrix times a vector, on none a dot product;
parallel edges are a Hadamard product. What is no such graph, a tensor of three axes say, has no
matrix form.

Vectors are columns. Functions and powers act element by element, and so does adding a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sympy import Expr, Function, Mul, S

from derive.language.functions import eq, where
from derive.language.notation import Access, Equation, Index, Reduce
from derive.printing.display import displayed
from derive.printing.latex_layout import endless
from derive.printing.latex_names import Names
from derive.printing.matrix import Matrix, hadamard, product, total, transposed, transpositions
from derive.printing.ordering import Order


@dataclass(frozen=True)
class MatrixForm:
    """`target = body`, both matrices, vectors or scalars of the same shape."""

    target: Matrix
    body: Matrix

    def evaluate(self, arrays: Mapping[str, Any], sizes: Mapping[str, int]) -> np.ndarray:
        """The value of the target, from the arrays of the tensors and the values of the sizes."""
        value = self.body.evaluate(arrays, sizes)
        return value.reshape(value.shape[: self.target.rank]) if self.target.rank < 2 else value

    def latex(self, names: Names) -> tuple[str, str]:
        """The two sides."""
        return self.target.latex(names), self.body.latex(names)

    def __str__(self) -> str:
        return f"{self.target} = {self.body}"


class _NoForm(Exception):
    """The expression is no matrix expression."""


def matrix_form(equation: Equation) -> MatrixForm | None:
    """The matrix form of an equation, or None.

    A scalar equation among scalars has none, nor has one of more terms than a page should hold.
    """
    axes = equation.indices
    if endless(equation.body):
        return None
    if not all(isinstance(i, Index) for i in axes):  # the initial line of a recurrence
        return None
    body = displayed(equation.body)
    if isinstance(body, where) and 0 in body.args[1:]:
        body = displayed(Mul(S.One, body, evaluate=False))
    if len(axes) > 2 or not any(a.indices for a in (*body.atoms(Access), equation.access)):
        return None
    try:
        matrix = _broadcast(_matrix(body, axes), _axes_of(body, axes), axes)
    except _NoForm:
        return None
    if matrix.rank < len(axes):
        return None
    return MatrixForm(Matrix("tensor", (equation.target,), len(axes)), matrix)


# From index form to matrix form.

Axes = tuple[Index, ...]


def _free(e: Expr) -> set[Index]:
    if isinstance(e, Reduce):
        return (_free(e.term) | _free(e.guard)) - set(e.bound)
    if isinstance(e, Index):
        return {e}
    return set().union(*map(_free, e.args)) if e.args else set()


def _matrix(e: Expr, axes: Axes) -> Matrix:
    """The matrix of an expression whose free indices are among `axes`, over those that it has."""
    own = tuple(i for i in axes if i in _free(e))
    if not e.has(Access, Index, Reduce):
        return Matrix("number", (e,), 0)
    if isinstance(e, Access):
        return _tensor(e, own)
    if isinstance(e, Mul) or (isinstance(e, Reduce) and e.op == "sum" and e.guard == 1):
        return _contraction(e, own)
    if e.is_Add:
        number, rest = e.primitive()
        if number != 1 and all(abs(a.as_coeff_Mul()[0]) == 1 for a in rest.args):
            return hadamard([Matrix("number", (number,), 0), _matrix(rest, own)])
        terms = sorted(e.args, key=Order(own).term_key)
        return total([_broadcast(_matrix(a, own), _axes_of(a, own), own) for a in terms])
    if e.is_Pow and e.exp.is_Number:
        base = _matrix(e.base, own)
        return Matrix("power", (base, e.exp), base.rank)
    if isinstance(e, eq) and len(own) == 2:
        return _delta(e, own)
    if isinstance(e, Function) and not isinstance(e, where) and e.args:
        parts = [_broadcast(_matrix(a, own), _axes_of(a, own), own) for a in e.args]
        return Matrix("apply", (type(e), *parts), max(p.rank for p in parts))
    raise _NoForm


def _axes_of(e: Expr, axes: Axes) -> Axes:
    return tuple(i for i in axes if i in _free(e))


def _tensor(e: Access, axes: Axes) -> Matrix:
    rank = len(e.indices)
    if rank > 2 or not all(isinstance(i, Index) for i in e.indices):
        raise _NoForm
    tensor = Matrix("tensor", (e.tensor,), rank)
    if rank == 2 and e.indices[0] == e.indices[1]:
        return Matrix("diagonal", (tensor,), 1)
    return transposed(tensor) if rank == 2 and e.indices[0] != axes[0] else tensor


def _delta(e: eq, axes: Axes) -> Matrix:
    """`(i == j)` is the identity, `(j == y[n])` the rows of the identity that y picks."""
    a, b = e.args
    if isinstance(a, Index) and isinstance(b, Index):
        if a.size != b.size:
            raise _NoForm
        return Matrix("identity", (a.size,), 2)
    index, lookup = (a, b) if isinstance(a, Index) else (b, a)
    if not isinstance(index, Index) or not isinstance(lookup, Access):
        raise _NoForm
    if len(lookup.indices) != 1 or not isinstance(lookup.indices[0], Index):
        raise _NoForm
    rows = Matrix("onehot", (lookup.tensor, index.size), 2)
    return rows if axes == (lookup.indices[0], index) else transposed(rows)


def _contraction(e: Expr, axes: Axes) -> Matrix:
    """A product of factors, summed over the bound indices."""
    bound = list(e.bound) if isinstance(e, Reduce) else []
    graph = _Graph()
    factors = Mul.make_args(e.term if isinstance(e, Reduce) else e)
    for factor in sorted(factors, key=Order(axes).factor_key):
        ends = tuple(i for i in (*axes, *bound) if i in _free(factor))
        if len(ends) > 2:
            raise _NoForm
        graph.add(_matrix(factor, ends), ends)
    while bound:
        graph.eliminate(min(bound, key=graph.degree), bound)
    return graph.result(axes)


class _Graph:
    """Scalars, labels at vertices, and edges: one for each pair, its rows at the first vertex."""

    def __init__(self) -> None:
        self.scalars: list[Matrix] = []
        self.labels: dict[Index, list[Matrix]] = {}
        self.edges: dict[tuple[Index, Index], Matrix] = {}

    def add(self, matrix: Matrix, ends: Axes) -> None:
        if matrix.rank == 0:
            self.scalars.append(matrix)
        elif len(ends) == 1:
            self.labels.setdefault(ends[0], []).append(matrix)
        else:
            first, second = ends
            if (second, first) in self.edges:
                first, second, matrix = second, first, transposed(matrix)
            known = self.edges.get((first, second))
            self.edges[first, second] = hadamard([known, matrix]) if known else matrix

    def at(self, vertex: Index) -> list[tuple[Index, Index]]:
        return [pair for pair in self.edges if vertex in pair]

    def degree(self, vertex: Index) -> int:
        return len(self.at(vertex))

    def from_(self, vertex: Index, pair: tuple[Index, Index]) -> tuple[Index, Matrix]:
        """Take an edge out: its other end, and its matrix with the rows there."""
        matrix = self.edges.pop(pair)
        return (pair[1], transposed(matrix)) if pair[0] == vertex else (pair[0], matrix)

    def eliminate(self, vertex: Index, bound: list[Index]) -> None:
        """Sum over one of the bound indices, or over two at once where that has a name."""
        bound.remove(vertex)
        labels = self.labels.pop(vertex, [])
        pairs = self.at(vertex)
        if len(pairs) > 2:
            raise _NoForm
        if not pairs:
            self.scalars.append(_dot(labels, vertex))
            return
        end, matrix = self.from_(vertex, pairs[0])
        if len(pairs) == 1:
            alone = end in bound and not labels and not self.labels.get(end) and not self.at(end)
            if alone and (total := _named_total(matrix)):
                bound.remove(end)
                self.scalars.append(total)
                return
            column = hadamard(labels) if labels else Matrix("ones", (vertex.size,), 1)
            self.add(product([matrix, column]), (end,))
            return
        other, second = self.from_(vertex, pairs[1])
        middle = [Matrix("diag", (hadamard(labels),), 2)] if labels else []
        self.add(product([matrix, *middle, transposed(second)]), (end, other))

    def result(self, axes: Axes) -> Matrix:
        labels = [self.labels.get(i, []) for i in axes]
        if len(axes) < 2:
            return hadamard([*self.scalars, *(v for vectors in labels for v in vectors)])
        if not self.edges:
            ends = [
                hadamard(vectors) if vectors else Matrix("ones", (i.size,), 1)
                for i, vectors in zip(axes, labels, strict=True)
            ]
            matrix = product([ends[0], transposed(ends[1])])
        else:
            _, matrix = self.from_(axes[1], next(iter(self.edges)))
            if matrix.op == "identity" and any(labels):
                matrix = Matrix("diag", (hadamard(labels[0] + labels[1]),), 2)
            else:
                matrix = _scaled(matrix, *labels)
        return hadamard([*self.scalars, matrix])


def _scaled(matrix: Matrix, rows: list[Matrix], columns: list[Matrix]) -> Matrix:
    """`diag(u) A diag(v)`; of a matrix that is no product, `(u v^T) * f(A)`."""
    if rows and columns and matrix.op not in ("tensor", "transpose", "product"):
        outer = product([hadamard(rows), transposed(hadamard(columns))])
        return hadamard([outer, matrix])
    left, right = ([Matrix("diag", (hadamard(v),), 2)] if v else [] for v in (rows, columns))
    return product([*left, matrix, *right])


def _dot(labels: list[Matrix], vertex: Index) -> Matrix:
    """The sum of the products of vectors."""
    if not labels:
        return Matrix("number", (vertex.size,), 0)
    if len(labels) == 1:
        (v,) = labels
        if v.op == "diagonal":
            return Matrix("trace", v.args, 0)
        if v.op == "power" and v.args[1] == 2:
            return Matrix("norm", (v.args[0],), 0)
        labels = [v, Matrix("ones", (vertex.size,), 1)]
    first, second = labels[0], hadamard(labels[1:])
    if first == second:
        return Matrix("norm", (first,), 0)
    forms = [product([transposed(a), b]) for a, b in ((first, second), (second, first))]
    return min(forms, key=transpositions)


def _named_total(matrix: Matrix) -> Matrix | None:
    """The sum of all elements, where it has a name: a squared norm, a trace of a product."""
    if matrix.op == "transpose":
        return _named_total(matrix.args[0])
    if matrix.op == "power" and matrix.args[1] == 2:
        return Matrix("norm", (matrix.args[0],), 0)
    if matrix.op == "hadamard" and len(matrix.args) == 2:
        a, b = matrix.args
        if a == b:
            return Matrix("norm", (a,), 0)
        forms = [product([transposed(a), b]), product([a, transposed(b)])]
        return Matrix("trace", (min(forms, key=transpositions),), 0)
    return None


def _broadcast(matrix: Matrix, axes: Axes, whole: Axes) -> Matrix:
    """A vector as a matrix of equal rows or columns; a scalar stays one."""
    if matrix.rank == 1 and len(whole) == 2:
        if axes == whole[:1]:
            return product([matrix, transposed(Matrix("ones", (whole[1].size,), 1))])
        return product([Matrix("ones", (whole[0].size,), 1), transposed(matrix)])
    return matrix
