"""The way through, from a formula to its derivation and its NumPy module.

text  ->  program              formula.parse          what the user means
      ->  normal form, named   flatten, recognize     one reduction an equation; sigmoid, logsumexp
      ->  cotangents           reverse                each step recorded, in textbook form
      ->  document, pages      exposition, html ...   each step, its reason; HTML, LaTeX, Markdown
      ->  stable program       stabilize              right to the last bits
      ->  statements, module   lower ... render       matmul, views, ufuncs; NumPy

The functions here go as far as the cotangents; the views are in `derived`, `network_derivation`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from sympy import Expr, Mul, S

from derive.collector import deferred
from derive.derived import Derivation
from derive.gradients.derivation import Gradients, reverse
from derive.gradients.normal_form import flatten, fresh, names
from derive.gradients.simplify import recognize
from derive.language.formula import parse
from derive.language.functions import eq
from derive.language.notation import ELLIPSIS, Access, DeriveError, Index, Program, Tensor, indices
from derive.library.definitions import functions
from derive.network_derivation import NetworkDerivation
from derive.networks import passes
from derive.networks.network import compose
from derive.networks.spec import load
from derive.networks.supplements import supplements
from derive.networks.updates import numbered


def generate(path: Path) -> dict[str, str]:
    """A network spec as files, name to text: the training module and the pages of its derivation.

    Raises SpecError, with file, line and caret, where the spec is wrong.
    """
    return derive_network(path).files()


@deferred()
def derive_network(path: Path) -> NetworkDerivation:
    """A network spec, composed and derived. Raises SpecError where the spec is wrong."""
    spec = load(path)
    network = compose(spec)
    derivatives = passes.derive(network, spec.second_order)
    update = numbered(network.optimizer, derivatives.gradients.numbers)
    beside = supplements(derivatives, network, update)
    return NetworkDerivation(spec, network, derivatives, update, beside)


def differentiate(
    text: str,
    wrt: str | Iterable[str],
    sizes: Mapping[str, int] | None = None,
    accuracy: str = "exact",
) -> Derivation:
    """The gradient of a scalar result by the tensors `wrt`; compiled: `value`, `value_and_grad`."""
    program = forward(text, sizes)
    operands = _operands(wrt, program)
    gradients = reverse(program, operands, {program.result: _one(program)})
    return Derivation("gradient", text, operands, gradients, accuracy, sizes=sizes or {})


def vjp(
    text: str,
    wrt: str | Iterable[str],
    sizes: Mapping[str, int] | None = None,
    accuracy: str = "exact",
) -> Derivation:
    """The vector-Jacobian product of any result; compiled: `value`, `vjp(cotangent, ...)`."""
    program = forward(text, sizes)
    operands = _operands(wrt, program)
    program, cotangent = _with_input(program, "_bar")
    gradients = reverse(program, operands, {program.result: cotangent})
    direction = cotangent.tensor
    return Derivation("vjp", text, operands, gradients, accuracy, direction, sizes=sizes or {})


def hessian(
    text: str,
    wrt: str | Iterable[str],
    sizes: Mapping[str, int] | None = None,
    accuracy: str = "exact",
) -> Derivation:
    """All second derivatives of a scalar result by one tensor; compiled: `hessian(...)`.

    The Jacobian of the gradient: the sweep from the cotangent `g_bar[m,k] = (m == k)`.
    """
    first = differentiate(text, wrt, sizes, accuracy)
    operand = _operand(first)
    program = first.gradients.program
    gradient = first.gradients.cotangents[operand]
    rows, seed = _rows(program, gradient)
    second = reverse(program, (operand,), {gradient: seed}, rows, "_hessian")
    both = _after(first.gradients, second)
    return Derivation("hessian", text, (operand,), both, accuracy, first=first, sizes=first.sizes)


def jacobian(
    text: str,
    wrt: str,
    sizes: Mapping[str, int] | None = None,
    accuracy: str = "exact",
) -> Derivation:
    """All derivatives of any result by one tensor; compiled: `value(...)`, `jacobian(...)`.

    The sweep from the cotangent `y_bar[m,j] = (m == j)`; axes of the result, then of the tensor.
    """
    program = forward(text, sizes)
    operands = _operands(wrt, program)
    if len(operands) > 1:
        raise DeriveError(f"a Jacobian is by one tensor; wrt names {', '.join(operands)}")
    rows, seed = _rows(program, program.result)
    gradients = reverse(program, operands, {program.result: seed}, rows, "_jacobian")
    return Derivation("jacobian", text, operands, gradients, accuracy, sizes=sizes or {})


def hvp(
    text: str,
    wrt: str | Iterable[str],
    sizes: Mapping[str, int] | None = None,
    accuracy: str = "exact",
) -> Derivation:
    """The Hessian times a direction, without the Hessian; compiled: `hvp(direction, ...)`.

    The Hessian is symmetric, so it is the vector-Jacobian product of the gradient.
    """
    first = differentiate(text, wrt, sizes, accuracy)
    operand = _operand(first)
    gradient = first.gradients.cotangents[operand]
    program, direction = _with_input(first.gradients.program, "_direction", gradient)
    second = reverse(program, (operand,), {gradient: direction}, suffix="_hvp")
    both = _after(first.gradients, second)
    return Derivation("hvp", text, (operand,), both, accuracy, direction.tensor, first, first.sizes)


def forward(text: str, sizes: Mapping[str, int] | None = None) -> Program:
    """A formula in normal form, its naive forms recognized."""
    program, _ = recognize(flatten(parse(text, sizes=sizes, functions=functions())))
    return program


def _operands(wrt: str | Iterable[str], program: Program) -> tuple[str, ...]:
    """The tensors to differentiate by, each once. Raises DeriveError where one is no tensor."""
    given = (wrt,) if isinstance(wrt, str) else tuple(wrt) if isinstance(wrt, Iterable) else None
    if given is None or not all(isinstance(name, str) for name in given):
        raise DeriveError(f"wrt is a name or a list of names, not {wrt!r:.60}")
    if not given:
        raise DeriveError("wrt names nothing to differentiate by")
    known = [t.name for t in program.inputs] + [e.target for e in program.equations if not e.origin]
    sizes = {str(i.size) for e in program.equations for i in indices(e.body) | {*e.indices}}
    for name in given:
        if name in known:
            continue
        if name in sizes:
            raise DeriveError(f"wrt: {name} is a size, an integer; there is no derivative by it")
        names_ = re.findall(r"\w+", name)
        hint = f"; a list of names is expected: wrt={names_}" if "," in name else ""
        raise DeriveError(
            f"wrt: {name!r} does not stand in the formula, whose names are {', '.join(known)}{hint}"
        )
    return tuple(dict.fromkeys(given))


def _operand(first: Derivation) -> str:
    if len(first.wrt) > 1:
        raise DeriveError(f"a Hessian is by one tensor; wrt names {', '.join(first.wrt)}")
    return first.wrt[0]


def _one(program: Program) -> Expr:
    result = program.equation(program.result)
    if result.indices:
        raise DeriveError(
            f"the result {Tensor(result.target, result.indices)} is no scalar; "
            "sum it, or ask in Python for the vector-Jacobian product with derive.vjp"
        )
    return S.One


def _rows(program: Program, result: str) -> tuple[tuple[Index, ...], Expr]:
    """Indices for the elements of a result, and the cotangent `m == k` that each of them has."""
    axes = program.equation(result).indices
    taken = {i.name for e in program.equations for i in indices(e.body)}
    taken |= {i.name for e in program.equations for i in e.indices}
    bases = ("leading" if i.name == ELLIPSIS else i.name for i in axes)
    rows = tuple(i.renamed(fresh(base, taken)) for i, base in zip(axes, bases, strict=True))
    return rows, Mul(*(eq(a, b) for a, b in zip(rows, axes, strict=True)))


def _with_input(program: Program, suffix: str, result: str | None = None) -> tuple[Program, Access]:
    """The program with one more input, shaped like a result of it."""
    equation = program.equation(result or program.result)
    name = fresh(equation.target + suffix, names(program))
    tensor = Tensor(name, equation.indices)
    return replace(program, inputs=(*program.inputs, tensor)), Access(name, *equation.indices)


def _after(first: Gradients, second: Gradients) -> Gradients:
    """The second sweep, with the steps of the first before its own."""
    return replace(second, steps=first.steps + second.steps)
