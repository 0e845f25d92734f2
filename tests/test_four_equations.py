"""The four equations of backpropagation: read off what was derived, and equal to it in value."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sympy import S

from derive.gradients.derivation import Gradients, reverse, with_numbers
from derive.gradients.normal_form import flatten
from derive.gradients.simplify import recognize
from derive.language.formula import parse
from derive.language.functions import where
from derive.language.interpreter import evaluate
from derive.language.notation import Equation, Program, Tensor
from derive.library.definitions import functions
from derive.networks.network import compose
from derive.networks.spec import load
from derive.pages.document import Display, Row
from derive.pages.four_equations import Law, four_equations, stack, symbols
from derive.pages.four_equations_section import section
from derive.printing.latex_names import Names

SPECS = Path(__file__).parent.parent / "specs"
SIZES = {"N": 4, "I": 3, "J": 5, "K": 2}

ACTIVATIONS = {
    "sigmoid": "sigmoid({z})",
    "naive sigmoid": "1/(1 + exp(-{z}))",
    "tanh": "tanh({z})",
    "relu": "relu({z})",
    "softplus": "softplus({z})",
    "gelu": "gelu({z})",
    "maximum": "maximum({z}, 0)",
    "leaky": "leaky_relu({z}, slope=0.3)",
    "its own": "{z}*sigmoid(2*{z})",
}
LOSSES = {
    "softmax cross-entropy": "L = mean[n](logsumexp[k]({z}[n,k]) - {z}[n,y[n]])",
    "mse": "L = mean[n,k](({z}[n,k] - t[n,k])**2)",
    "sigmoid and mse": "o[n,k] = sigmoid({z}[n,k])\nL = mean[n,k]((o[n,k] - t[n,k])**2)",
    "tanh and sum": "o[n,k] = tanh({z}[n,k])\nL = sum[n,k](o[n,k]*t[n,k])",
    "logits": "L = mean[n,k](softplus({z}[n,k]) - t[n,k]*{z}[n,k])",
    "naive cross-entropy": (
        "o[n,k] = 1/(1 + exp(-{z}[n,k]))\n"
        "L = -mean[n](sum[k](t[n,k]*log(o[n,k]) + (1 - t[n,k])*log(1 - o[n,k])))"
    ),
}


def stack_text(layers: int, activation: str, loss: str) -> str:
    """A stack of dense layers as a formula: I units in, J in each hidden layer, K out."""
    lines = []
    read, unit = "x", "i"
    for l in range(1, layers):
        j = "hj"[l % 2] if l > 1 else "j"
        lines.append(f"z_{l}[n,{j}] = sum[{unit}]({read}[n,{unit}]*W_{l}[{unit},{j}]) + b_{l}[{j}]")
        lines.append(f"a_{l}[n,{j}] = {ACTIVATIONS[activation].format(z=f'z_{l}[n,{j}]')}")
        read, unit = f"a_{l}", j
    z = f"z_{layers}"
    lines.append(f"{z}[n,k] = sum[{unit}]({read}[n,{unit}]*W_{layers}[{unit},k]) + b_{layers}[k]")
    return "\n".join((*lines, LOSSES[loss].format(z=z)))


@cache
def derived(text: str, *wrt: str) -> Gradients:
    program, _ = recognize(flatten(parse(text, functions=functions())))
    real = [t.name for t in program.inputs if t.kind == "real"]
    by = wrt or tuple(name for name in real if name != "t")
    return reverse(program, by, {program.result: S.One})


def sizes_of(program: Program) -> dict[str, int]:
    used = {str(i.size) for t in program.inputs for i in t.axes}
    return {name: SIZES.get(name, 5) for name in used}


def drawn(program: Program) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    sizes = sizes_of(program)
    for t in program.inputs:
        shape = [sizes[str(i.size)] for i in t.axes]
        real = t.kind == "real"
        arrays[t.name] = rng.uniform(-1, 1, shape) if real else rng.integers(0, 2, shape)
    return arrays


def value(equation: Equation, program: Program, values: dict[str, Any]) -> Any:
    """One equation, all tensors given."""
    known = {e.target: Tensor(e.target, e.indices) for e in program.equations}
    inputs = (*program.inputs, *known.values())
    alone = Program((replace(equation, target="it"),), inputs, program.sizes)
    return evaluate(alone, {t.name: values[t.name] for t in inputs})["it"]


def by_name(laws: tuple[Law, ...]) -> dict[str, list[Law]]:
    found: dict[str, list[Law]] = {}
    for law in laws:
        found.setdefault(law.name, []).append(law)
    return found


CASES = [
    *((2, activation, "softmax cross-entropy") for activation in ACTIVATIONS),
    *((2, "tanh", loss) for loss in LOSSES),
    (3, "sigmoid", "mse"),
    (4, "relu", "sigmoid and mse"),
    (7, "tanh", "softmax cross-entropy"),
]


@pytest.mark.parametrize(("layers", "activation", "loss"), CASES)
def test_every_form_has_the_value_of_the_cotangent(layers: int, activation: str, loss: str) -> None:
    gradients = derived(stack_text(layers, activation, loss))
    laws = four_equations(gradients)
    program = gradients.program
    arrays = drawn(program)
    sizes = sizes_of(program)
    values = {**arrays, **evaluate(program, arrays)}
    assert set(by_name(laws)) == {"BP1", "BP2", "BP3", "BP4"}
    for law in laws:
        for equation, form in zip(law.equations, law.matrix_forms, strict=True):
            expected = values[equation.target]
            found = value(equation, program, values)
            assert_allclose(found, expected, rtol=1e-11, atol=1e-14, err_msg=str(equation))
            if form is None:
                assert equation.body.has(where)  # of two cases that are both not 0
                continue
            found = form.evaluate(values, sizes)
            assert_allclose(found, expected, rtol=1e-11, atol=1e-14, err_msg=str(form))


def test_each_layer_has_its_law_until_many_are_alike() -> None:
    laws = by_name(four_equations(derived(stack_text(4, "relu", "mse"))))
    assert [law.layer for law in laws["BP1"]] == [4]
    assert [law.layer for law in laws["BP2"]] == [3, 2, 1]
    assert [law.layer for law in laws["BP3"]] == [4, 3, 2, 1]
    assert [law.layer for law in laws["BP4"]] == [4, 3, 2, 1]


def test_what_many_layers_have_in_common_is_said_once() -> None:
    lines, read = [], "x"
    for l in range(1, 9):
        j, i = "ij"[l % 2], "ji"[l % 2]
        lines.append(f"z_{l}[n,{j}] = sum[{i}]({read}[n,{i}]*W_{l}[{i},{j}]) + b_{l}[{j}]")
        lines.append(f"a_{l}[n,{j}] = tanh(z_{l}[n,{j}])")
        read = f"a_{l}"
    text = "\n".join((*lines, "L = mean[n,i]((a_8[n,i] - t[n,i])**2)"))
    program, _ = recognize(flatten(parse(text, sizes={"i": 5, "j": 5}, functions=functions())))
    gradients = with_numbers(reverse(program, ("W_1", "b_1"), {program.result: S.One}))
    laws = by_name(four_equations(gradients))
    assert [law.layer for law in laws["BP1"]] == [8]
    (law,) = laws["BP2"]
    assert (law.layer, *law.same.others) == (7, 6, 5, 4, 3, 2, 1)


def test_only_what_was_asked_for() -> None:
    gradients = derived(stack_text(2, "tanh", "mse"), "W_1", "b_2")
    laws = by_name(four_equations(gradients))
    assert [law.layer for law in laws["BP3"]] == [2]
    assert [law.layer for law in laws["BP4"]] == [1]
    cited = {gradients.numbers[bar] for bar in ("z_1_bar", "a_1_bar")}
    assert set(laws["BP2"][0].numbers) == cited


HEAD = "z_1[n,j] = sum[i](x[n,i]*W_1[i,j])\na_1[n,j] = tanh(z_1[n,j])\n"
NO_STACK = {
    "one layer": "z[n,j] = sum[i](x[n,i]*W[i,j])\na[n,j] = tanh(z[n,j])\nL = sum[n,j](a[n,j])",
    "no activation": (
        "z_1[n,j] = sum[i](x[n,i]*W_1[i,j])\nz_2[n,k] = sum[j](z_1[n,j]*W_2[j,k])\n"
        "L = sum[n,k](z_2[n,k]**2)"
    ),
    "residual": HEAD + (
        "z_2[n,k] = sum[j](a_1[n,j]*W_2[j,k])\nr[n,j] = a_1[n,j]*c\n"
        "L = sum[n,k](z_2[n,k]**2) + sum[n,j](r[n,j])"
    ),
    "a skip": HEAD + (
        "z_2[n,i] = sum[j](a_1[n,j]*W_2[j,i]) + x[n,i]\nL = sum[n,i](z_2[n,i]**2)"
    ),
    "shared weights": (
        "z_1[n,j] = sum[i](x[n,i]*W[i,j])\na_1[n,j] = tanh(z_1[n,j])\n"
        "z_2[n,i] = sum[j](a_1[n,j]*W[i,j])\nL = sum[n,i](z_2[n,i]**2)"
    ),
    "softmax between": (
        "z_1[n,j] = sum[i](x[n,i]*W_1[i,j])\na_1[n,j] = exp(z_1[n,j])/sum[j](exp(z_1[n,j]))\n"
        "z_2[n,k] = sum[j](a_1[n,j]*W_2[j,k])\nL = sum[n,k](z_2[n,k]**2)"
    ),
    "gates": HEAD + (
        "g[n,j] = a_1[n,j]*m[n,j]\nz_2[n,k] = sum[j](g[n,j]*W_2[j,k])\nL = sum[n,k](z_2[n,k]**2)"
    ),
    "convolution": (
        "z_1[n,p,j] = sum[k,i](x[n,p+k,i]*W_1[k,i,j])\na_1[n,p,j] = relu(z_1[n,p,j])\n"
        "f[n,j] = max[p](a_1[n,p,j])\nz_2[n,m] = sum[j](f[n,j]*W_2[j,m])\nL = sum[n,m](z_2[n,m]**2)"
    ),
    "recurrence": (
        "h[t,j] = tanh(sum[k](h[t-1,k]*U[k,j]) + x[t,j])\nh[-1,j] = 0\n"
        "z[t,m] = sum[j](h[t,j]*V[j,m])\nL = sum[t,m](z[t,m]**2)"
    ),
    "a penalty on what is hidden": HEAD + (
        "z_2[n,k] = sum[j](a_1[n,j]*W_2[j,k])\nL = sum[n,k](z_2[n,k]**2) + sum[n,j](a_1[n,j]**2)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_STACK)
def test_anything_else_has_none(name: str) -> None:
    gradients = derived(NO_STACK[name])
    assert four_equations(gradients) == ()
    assert list(section(gradients, Names())) == []


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("two_layer_regression", 2),
        ("two_layer_binary", 2),
        ("two_layer_multiclass", 2),
        ("digits_mlp", 2),
        ("residual_mlp", 0),
        ("digits_cnn", 0),
        ("digits_lstm", 0),
    ],
)
def test_networks(name: str, layers: int) -> None:
    network = compose(load(SPECS / f"{name}.toml"))
    program, _ = recognize(flatten(network.program))
    loss = network.program.results[0]
    by = (*(p.tensor for p in network.parameters), network.output.name)
    gradients = reverse(program, by, {loss: S.One})
    assert len(stack(gradients)) == layers
    assert bool(four_equations(gradients)) == bool(layers)


def names_of(gradients: Gradients) -> Names:
    ranks = {t.name: len(t.axes) for t in gradients.forward.inputs}
    ranks |= {e.target: len(e.indices) for e in gradients.shown}
    return Names(tuple(ranks), tuple(t for t, rank in ranks.items() if rank == 2))


def rows(gradients: Gradients) -> list[tuple[str, ...]]:
    (found,) = section(gradients, names_of(gradients))
    lines = [line for b in found.blocks if isinstance(b, Display) for line in b.lines]
    return [tuple(shown(row) for row in line) for line in lines]


def shown(row: Row) -> str:
    return f"{row.left} {row.sign} {row.right}".strip()


def test_two_layers_on_the_page() -> None:
    gradients = derived(stack_text(2, "sigmoid", "softmax cross-entropy"))
    assert rows(gradients) == [
        (
            r"\delta^{(2)}_{nk} = \frac{1}{N} (p_{nk} - [\,k = y_{n}\,])",
            r"\delta^{(2)} = \frac{1}{N} (P - \operatorname{onehot}(y))",
        ),
        (
            r"\delta^{(1)}_{nj} = \sigma'(z^{(1)}_{nj}) \sum_{k} \delta^{(2)}_{nk}\, W^{(2)}_{jk}",
            r"\delta^{(1)} = (\delta^{(2)}\, W^{(2)\top}) \odot \sigma'(Z^{(1)})",
        ),
        (
            r"= a^{(1)}_{nj} (1 - a^{(1)}_{nj}) \sum_{k} \delta^{(2)}_{nk}\, W^{(2)}_{jk}",
            r"= (\delta^{(2)}\, W^{(2)\top}) \odot A^{(1)} \odot (1 - A^{(1)})",
        ),
        (
            r"\bar{b}^{(2)}_{k} = \sum_{n} \delta^{(2)}_{nk}",
            r"\bar{b}^{(2)} = \delta^{(2)\top}\, \mathbf{1}",
        ),
        (
            r"\bar{b}^{(1)}_{j} = \sum_{n} \delta^{(1)}_{nj}",
            r"\bar{b}^{(1)} = \delta^{(1)\top}\, \mathbf{1}",
        ),
        (
            r"\bar{W}^{(2)}_{jk} = \sum_{n} a^{(1)}_{nj}\, \delta^{(2)}_{nk}",
            r"\bar{W}^{(2)} = A^{(1)\top}\, \delta^{(2)}",
        ),
        (
            r"\bar{W}^{(1)}_{ij} = \sum_{n} x_{ni}\, \delta^{(1)}_{nj}",
            r"\bar{W}^{(1)} = X^{\top}\, \delta^{(1)}",
        ),
    ]


def test_the_error_of_an_output_activation_by_the_derivative_of_the_loss() -> None:
    gradients = derived(stack_text(2, "tanh", "sigmoid and mse"))
    first, second, third, *_ = rows(gradients)
    assert first == (
        r"\delta^{(2)}_{nk} = \bar{o}_{nk}\, \sigma'(z^{(2)}_{nk})",
        r"\delta^{(2)} = \bar{O} \odot \sigma'(Z^{(2)})",
    )
    assert r"\sigma'(z^{(2)}_{nk}) (o_{nk} - t_{nk})" in second[0]
    assert r"o_{nk} (1 - o_{nk}) (o_{nk} - t_{nk})" in third[0]


def test_an_activation_without_a_name_is_stated() -> None:
    gradients = derived(stack_text(2, "its own", "mse"))
    (found,) = section(gradients, names_of(gradients))
    assert r"Here $f(u) = " in str(found.blocks[0])
    assert any("f'(z^{(1)}_{nj})" in row[0] for row in rows(gradients))


def test_a_tensor_called_delta_keeps_its_symbol() -> None:
    text = stack_text(2, "tanh", "mse").replace("x[", "delta_1[")
    gradients = derived(text)
    names = names_of(gradients)
    assert symbols(gradients, names)("z_1_bar") == names("z_1_bar")
