"""What a page shows is equal to what it stands for."""

import numpy as np
import pytest

import derive
from derive.language.formula import parse
from derive.language.interpreter import evaluate
from derive.printing.display import displayed
from derive.printing.latex_names import Names
from derive.printing.latex_printer import equation_latex

FORMULAS = (
    "y[n,d] = (m[n] - x[n,d])*sum[i](x[n,i]*(x[n,i] - m[n]))",
    "y[n,d] = x[n,d] + 3*(m[n] - x[n,d])*v[n]*sum[i]((x[n,i] - m[n])**3)/D",
    "y[n,d] = (m[n] - x[n,d])*sum[i]((x[n,i] - m[n])*(m[n] - x[n,i]))",
    "y[n,d] = (m[n] - x[n,d])/2 + sum[i](x[n,i] - m[n])",
    "y[n,d] = -tanh(m[n] - x[n,d])*where(m[n] > 0, x[n,d], 0) + mean[i](x[n,i]*m[n])",
)


@pytest.mark.parametrize("text", FORMULAS)
def test_it_has_the_same_value(text):
    rng = np.random.default_rng(0)
    program = parse(text)
    arrays = {t.name: rng.normal(size=(3, 4)[: len(t.axes)]) for t in program.inputs}
    (equation,) = program.equations
    shown = type(program)(
        (type(equation)(equation.target, equation.indices, displayed(equation.body)),),
        program.inputs,
        program.sizes,
    )
    expected = evaluate(program, arrays)["y"]
    np.testing.assert_allclose(evaluate(shown, arrays)["y"], expected, rtol=1e-13, atol=1e-13)


def test_a_difference_has_one_sign():
    (equation,) = parse(FORMULAS[0]).equations
    _, body = equation_latex(equation, Names())
    assert body == r"-(x_{nd} - m_{n}) \sum_{i} x_{ni} (x_{ni} - m_{n})"


def test_layer_norm_arrives_at_the_textbook_form():
    d = derive.differentiate(
        "m[n] = sum[d](x[n,d])/D\nv[n] = sum[d]((x[n,d] - m[n])**2)/D\n"
        "L = sum[n,d](g[n,d]*(x[n,d] - m[n])/sqrt(v[n] + eps))",
        wrt="x",
    )
    (equation,) = (e for e in d.gradients.backward if e.target == "x_bar")
    _, body = equation_latex(equation, Names())
    assert "x_{nd} - m_{n}" in body
    assert "m_{n} - x" not in body
