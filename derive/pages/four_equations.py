"""The four equations of backpropagation of a dense stack, read off the cotangents derived.

    BP1   delta_L = a_L_bar * f'(z_L)                      the error of the output layer
    BP2   delta_l = (delta_(l+1) @ W_(l+1).T) * f'(z_l)    that of a layer from the next one's
    BP3   b_l_bar = sum over n of delta_l                  the bias
    BP4   W_l_bar = a_(l-1).T @ delta_l                    the weights

Michael Nielsen, Neural Networks and Deep Learning (2015), chapter 2. `delta_l` is another name for
`z_l_bar`. Nothing is written down here but which recorded equations are put into which, and that
`f'(z)` stands for the derivative that the local-derivative step carries out.

A dense stack is: two or more layers `z[...,j] = sum[i](a[...,i]*W[i,j]) + b[j]`, the bias optional,
each with weights of its own; `a = f(z)` element by element between two of them, after the last one
or not; the first reads an input, each layer and each activation only what stands before it, and
the rest, the scalar loss, reads no more of them than the output of the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sympy import Add, Expr, Mul
from sympy.core.function import Function

from derive.gradients.calculus import CHAIN_RULE, Step
from derive.gradients.derivation import Gradients
from derive.gradients.folding import inserted
from derive.gradients.identities import u
from derive.language.functions import Named, differentiate_scalar, eq, named
from derive.language.notation import Access, Equation, Index, Partial, Reduce, accesses
from derive.pages.document import Prose
from derive.printing.latex_names import Names
from derive.printing.likewise import Likewise, alike
from derive.printing.matrix import Matrix
from derive.printing.matrix_form import MatrixForm, matrix_form

ALONE = Likewise()
LETTERS = "fgh"  # of activations that have no name
TITLES: Mapping[str, Prose] = {
    "BP1": "the error of the output layer",
    "BP2": "the error of a hidden layer from that of the next layer",
    "BP3": "the gradient by a bias",
    "BP4": "the gradient by the weights",
}


@dataclass(frozen=True)
class Law:
    """One of the four equations for one layer, counted from 1, and for those that are alike.

    `equations` are forms of one equation: in general, with `f'`, then as it was derived. They are
    over the tensors of the page, where `delta` is called `z_bar`; `symbols` gives the names.
    `numbers` are those of the equations of the page that are put together. `functions` are what
    `f` is, where that is no function of the language: pairs of `f(u)` and its formula.
    """

    name: str
    layer: int
    equations: tuple[Equation, ...]
    numbers: tuple[int, ...]
    functions: tuple[tuple[Expr, Expr], ...] = ()
    same: Likewise = ALONE

    @property
    def title(self) -> Prose:
        return TITLES[self.name]

    @property
    def matrix_forms(self) -> tuple[MatrixForm | None, ...]:
        """The matrix form of each of the equations, `(delta @ W.T) * f'(z)` in this order."""
        forms = map(matrix_form, self.equations)
        return tuple(f and MatrixForm(f.target, _products_first(f.body)) for f in forms)


@dataclass(frozen=True)
class Dense:
    """A dense layer, and the activation after it or None."""

    z: Equation
    weights: str
    bias: str
    read: str
    activation: Equation | None = None


def _products_first(matrix: Matrix) -> Matrix:
    if matrix.op != "hadamard":
        return matrix
    return replace(matrix, args=tuple(sorted(matrix.args, key=_place)))


def _place(factor: Matrix) -> tuple[bool, bool]:
    return factor.rank > 0, factor.op != "product"


def four_equations(gradients: Gradients) -> tuple[Law, ...]:
    """BP1 to BP4 of a dense stack, layers from the last to the first; of anything else nothing."""
    layers = stack(gradients)
    bars = gradients.differentiated
    backward = {e.target: e for e in gradients.backward}
    if not all(bars.get(layer.z.target) in backward for layer in layers):
        return ()
    begun = {(s.before.target, s.after.target): s for s in gradients.steps if s.rule == CHAIN_RULE}
    letters: dict[Expr, str] = {}
    found: list[Law] = []
    for number, layer in reversed(tuple(enumerate(layers, 1))):
        name = "BP1" if number == len(layers) else "BP2"
        found.append(_error(name, number, layer, gradients, backward, begun, letters))
    for name, tensors in (
        ("BP3", [layer.bias for layer in layers]),
        ("BP4", [layer.weights for layer in layers]),
    ):
        for number, tensor in reversed(tuple(enumerate(tensors, 1))):
            bar = gradients.cotangents.get(tensor, "")
            if bar in backward:
                found.append(Law(name, number, (backward[bar],), _numbers(gradients, bar)))
    return tuple(_grouped(found))


def symbols(gradients: Gradients, names: Names) -> Names:
    """The names of a page with `delta^(l)` for the cotangent of `z_l`, in matrix forms too."""
    bars = (gradients.differentiated[layer.z.target] for layer in stack(gradients))
    deltas = {bar: names.named(f"delta_{k}") for k, bar in enumerate(bars, 1)}
    known = (*names.plain.items(), *names.capital.items())
    others = {symbol for tensor, symbol in known if tensor not in deltas}
    free = {bar: name for bar, name in deltas.items() if name not in others}
    return names.with_symbols(free if len(free) == len(deltas) else {})


def _grouped(laws: Iterable[Law]) -> Iterator[Law]:
    """Of layers that are alike the first one, which says of the others that they are."""
    found = list(laws)
    for name in TITLES:
        own = [law for law in found if law.name == name]
        shown = [replace(law, same=same) for law, same in alike(own, lambda law: law.equations)]
        yield from sorted(shown, key=lambda law: -law.layer)


def _numbers(gradients: Gradients, *bars: str) -> tuple[int, ...]:
    return tuple(sorted(gradients.numbers[bar] for bar in bars if bar in gradients.numbers))


# The errors.


def _error(
    name: str,
    number: int,
    layer: Dense,
    gradients: Gradients,
    backward: Mapping[str, Equation],
    begun: Mapping[tuple[str, str], Step],
    letters: dict[Expr, str],
) -> Law:
    """`delta_l` by the chain rule through the activation, and as it was derived."""
    delta = backward[gradients.differentiated[layer.z.target]]
    if layer.activation is None:
        return Law(name, number, (delta,), _numbers(gradients, delta.target))
    given, general = _through(begun[layer.activation.target, delta.target])
    a_bar = gradients.differentiated.get(layer.activation.target, "")
    parts = {a_bar: backward[a_bar]} if a_bar in backward else {}
    function, functions = _prime(general, letters)
    z = layer.z.access.xreplace(dict(zip(layer.z.indices, delta.indices, strict=True)))
    by_chain_rule = Equation(delta.target, delta.indices, given * function(z))
    forms = [by_chain_rule, inserted(by_chain_rule, parts), inserted(delta, parts)]
    if name == "BP2":
        del forms[0]
    kept = tuple(dict.fromkeys(forms))
    return Law(name, number, kept, _numbers(gradients, delta.target, *parts), functions)


def _through(step: Step) -> tuple[Expr, Expr]:
    """The cotangent that a chain-rule step passes through `a = f(z)`, and `f(u)`."""
    body = step.after.body
    factors = Mul.make_args(body.term if isinstance(body, Reduce) else body)
    (partial,) = (f for f in factors if isinstance(f, Partial))
    deltas = [f for f in factors if isinstance(f, eq)]
    given = Mul(*(f for f in factors if f != partial and f not in deltas))
    own = set(step.after.indices)
    back = {
        copy: i for a, b in (d.args for d in deltas) for i, copy in ((a, b), (b, a)) if i in own
    }
    return given.xreplace(back), partial.body.xreplace({partial.operand: u})


def _prime(general: Expr, letters: dict[Expr, str]) -> tuple[Any, tuple[tuple[Expr, Expr], ...]]:
    """The derivative of `f(u)` as a function with a name of its own: `sigmoid'`; what `f` is."""
    derivative = differentiate_scalar(general, u)
    simple = isinstance(general, Function) and general.args[:1] == (u,)
    if simple and (len(general.args) == 1 or isinstance(general, Named)):
        return _function(f"{type(general).__name__.lower()}'", derivative), ()
    k = len(letters)
    name = letters.setdefault(general, LETTERS[k] if k < len(LETTERS) else f"f{k}")
    return _function(f"{name}'", derivative), ((_function(name, general)(u), general),)


@lru_cache(maxsize=256)
def _function(name: str, formula: Expr) -> Any:
    return named(name, (u,), formula)


# The stack.


def stack(gradients: Gradients) -> tuple[Dense, ...]:
    """The dense layers from the input to the output; none where the program is no dense stack."""
    own = {e.target for e in gradients.backward}
    forward = [e for e in gradients.shown if e.target not in own]
    result = (gradients.forward.results or (gradients.forward.result,))[0]
    if any(e.recurrence for e in forward) or gradients.forward.equation(result).indices:
        return ()
    inputs = {t.name for t in gradients.forward.inputs}
    moving = set(gradients.differentiated) - inputs
    readers: dict[str, list[Equation]] = {}
    for e in forward:
        for tensor in dict.fromkeys(a.tensor for a in accesses(e.body)):
            readers.setdefault(tensor, []).append(e)
    layers: list[Dense] = []
    for e in forward:
        layer = _dense(e, inputs)
        if layer is None:
            continue
        if layers and (layers[-1].activation is None or layer.read != layers[-1].activation.target):
            return ()
        if not layers and layer.read in moving:
            return ()
        if any(len(readers[t]) > 1 for t in (layer.weights, layer.bias) if t):
            return ()
        (*_, reader) = readers.get(e.target, [e])
        if len(readers.get(e.target, ())) == 1 and _is_elementwise(reader, e, inputs):
            layer = Dense(e, layer.weights, layer.bias, layer.read, reader)
        layers.append(layer)
    hidden = [layer.activation.target for layer in layers[:-1] if layer.activation]
    if len(layers) < 2 or any(len(readers[a]) > 1 for a in hidden):
        return ()
    last = layers[-1]
    output = (last.activation or last.z).target
    known = {layer.z.target for layer in layers} | {*hidden, output}
    rest = [e for e in forward if e.target not in known]
    return tuple(layers) if _is_loss(rest, output, moving) else ()


def _is_loss(rest: Iterable[Equation], output: str, moving: set[str]) -> bool:
    """Whether the equations read, of what has a cotangent, the output and each other alone."""
    equations = tuple(rest)
    own = {output, *(e.target for e in equations)}
    return all(
        a.tensor in own or a.tensor not in moving for e in equations for a in accesses(e.body)
    )


def _dense(e: Equation, inputs: set[str]) -> Dense | None:
    """`z[...,j] = sum[i](a[...,i]*W[i,j]) + b[j]`, the indices of `a` and `W` in any order."""
    if not e.indices:
        return None
    sums = [t for t in Add.make_args(e.body) if isinstance(t, Reduce)]
    biases = [t for t in Add.make_args(e.body) if t not in sums]
    if len(sums) != 1 or len(biases) > 1:
        return None
    (total,) = sums
    factors = Mul.make_args(total.term)
    if total.op != "sum" or total.guard != 1 or len(total.bound) != 1 or len(factors) != 2:
        return None
    if not all(_is_plain(f) for f in (*factors, *biases)):
        return None
    (i,) = total.bound
    for a, weights in (factors, factors[::-1]):
        units = set(e.indices) - set(a.indices)  # none in a layer of one unit, z[n]
        fits = set(weights.indices) == {i, *units} and set(a.indices) == {*e.indices, i} - units
        bias = biases[0] if biases else None
        added = bias is None or (set(bias.indices) == units and bias.tensor in inputs)
        if fits and added and len(units) < 2 and weights.tensor in inputs:
            return Dense(e, weights.tensor, bias.tensor if bias else "", a.tensor)
    return None


def _is_plain(e: Expr) -> bool:
    """Whether an expression is an access at distinct indices."""
    return (
        isinstance(e, Access)
        and all(isinstance(i, Index) for i in e.indices)
        and len(set(e.indices)) == len(e.indices)
    )


def _is_elementwise(e: Equation, z: Equation, inputs: set[str]) -> bool:
    """`a[n,j] = f(z[n,j])`, f a function of one number."""
    read = set(accesses(e.body))
    if e.body.has(Reduce) or len(read) != 1 or len(e.indices) != len(z.indices):
        return False
    (a,) = read
    return a == Access(z.target, *e.indices) and not e.body.xreplace({a: u}).has(Index, Access)
