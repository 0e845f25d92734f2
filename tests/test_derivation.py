"""The reverse sweep arrives at what a textbook prints, and is a program again."""

import numpy as np
import pytest
import sympy

from derive.gradients.derivation import Gradients, reverse
from derive.gradients.normal_form import flatten, needed
from derive.gradients.simplify import recognize
from derive.language.formula import parse
from derive.language.functions import eq
from derive.language.interpreter import evaluate
from derive.language.notation import Access, DeriveError, Equation, Index, Tensor, accesses


def gradients(text: str, *wrt: str, **options: object) -> Gradients:
    program, _ = recognize(flatten(parse(text, **options)))
    return reverse(program, wrt, {program.result: sympy.S.One})


def vjp(text: str, *wrt: str) -> Gradients:
    program, _ = recognize(flatten(parse(text)))
    result = program.equation(program.result)
    bar = Tensor(f"{result.target}_bar", result.indices)
    program = type(program)(program.equations, (*program.inputs, bar), program.sizes)
    return reverse(program, wrt, {result.target: Access(bar.name, *bar.axes)})


def lines(found: Gradients) -> list[str]:
    return [str(e) for e in found.equations]


DENSE = "z[n,j] = sum[i](x[n,i]*W[i,j]) + b[j]"


def test_dense() -> None:
    """X_bar = Z_bar W^T, W_bar = X^T Z_bar, b_bar = sum_n Z_bar"""
    assert lines(vjp(DENSE, "x", "W", "b")) == [
        "z[n,j] = sum[i](x[n,i]*W[i,j]) + b[j]",
        "b_bar[j] = sum[n](z_bar[n,j])",
        "W_bar[i,j] = sum[n](x[n,i]*z_bar[n,j])",
        "x_bar[n,i] = sum[j](z_bar[n,j]*W[i,j])",
    ]


@pytest.mark.parametrize(
    ("forward", "arrived"),
    [
        ("tanh(z[n])", "z_bar[n] = (1 - a[n]**2)*a_bar[n]"),
        ("1/(1 + exp(-z[n]))", "z_bar[n] = (1 - a[n])*a[n]*a_bar[n]"),
        ("exp(z[n])", "z_bar[n] = a[n]*a_bar[n]"),
        ("log(1 + exp(z[n]))", "z_bar[n] = a_bar[n]*sigmoid(z[n])"),
        ("where(z[n] > 0, z[n], 0)", "z_bar[n] = where(0 < z[n], a_bar[n], 0)"),
    ],
)
def test_activations_in_terms_of_their_output(forward: str, arrived: str) -> None:
    assert lines(vjp(f"a[n] = {forward}", "z"))[-1] == arrived


@pytest.mark.parametrize(
    "loss",
    [
        "log(sum[k](exp(z[n,k]))) - z[n,y[n]]",
        "logsumexp[k](z[n,k]) - z[n,y[n]]",
        "-log(exp(z[n,y[n]])/sum[k](exp(z[n,k])))",
    ],
)
def test_softmax_cross_entropy_does_not_go_through_the_jacobian(loss: str) -> None:
    found = lines(gradients(f"L = mean[n]({loss})", "z"))
    assert found[-1] == "z_bar[n,k] = (p[n,k] - (k == y[n]))/N"
    assert any(line.startswith("p[n,k] = exp(z[n,k] - ") for line in found)


def test_softmax() -> None:
    """p * (g - sum_k g_k p_k)"""
    found = lines(vjp("p[n,j] = exp(z[n,j])/sum[k](exp(z[n,k]))", "z"))
    assert found[-1] == "z_bar[n,j] = p[n,j]*(p_bar[n,j] - sum[j_1](p[n,j_1]*p_bar[n,j_1]))"


def test_fan_out_accumulates() -> None:
    found = gradients("s[i] = x[i]**2\nL = sum[i](s[i]*a[i] + s[i]*b[i])", "x")
    assert lines(found)[-2:] == ["s_bar[i] = a[i] + b[i]", "x_bar[i] = 2*s_bar[i]*x[i]"]


def test_convolution_is_adjoint_to_transposed_convolution() -> None:
    found = lines(vjp("y[p] = sum[k](x[p+k]*w[k])", "x", "w"))
    assert found[1:] == ["w_bar[k] = sum[p](y_bar[p]*x[k+p])", "x_bar[i] = sum[k](w[k]*y_bar[i-k])"]


def test_derived_names_give_way() -> None:
    found = lines(gradients("x_bar[i] = x[i]**2\nL = sum[i](x_bar[i])", "x"))
    assert found[-1] == "x_bar_1[i] = 2*x[i]"


def test_no_dependence_is_the_cotangent_zero() -> None:
    assert lines(gradients("u[i] = x[i]**2\nL = sum[j](y[j])", "x"))[-1] == "x_bar[i] = 0"
    found = lines(gradients("L = sum[i](x[i]*stop_gradient(x[i]))", "x"))
    assert found[-1] == "x_bar[i] = stop_gradient(x[i])"


def test_the_result_is_a_program_again() -> None:
    found = gradients(DENSE + "\nL = sum[n,j](tanh(z[n,j])**3)", "W", "b")
    again = parse(str(found.program))
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(size=(3, 2)), "W": rng.normal(size=(2, 4)), "b": rng.normal(size=4)}
    once, twice = evaluate(found.program, arrays), evaluate(again, arrays)
    for name in found.cotangents.values():
        np.testing.assert_allclose(once[name], twice[name], rtol=1e-14)


def hessian(text: str, wrt: str) -> Gradients:
    first = gradients(text, wrt)
    g = first.program.equation(first.cotangents[wrt])
    rows = tuple(i.renamed(f"m{k}") for k, i in enumerate(g.indices))
    seed = sympy.Mul(*(eq(a, b) for a, b in zip(rows, g.indices, strict=True)))
    return reverse(first.program, (wrt,), {g.target: seed}, rows, "_hessian")


def _needed(found: Gradients) -> tuple[Equation, ...]:
    return needed(found.program, tuple(found.cotangents.values())).equations


def test_hessian_of_a_quadratic_form_reads_no_x() -> None:
    (only,) = _needed(hessian("L = sum[i,j](x[i]*A[i,j]*x[j])", "x"))
    assert str(only) == "x_hessian[m0,i] = A[i,m0] + A[m0,i]"


def test_hessian_of_logistic_regression_is_one_product() -> None:
    """X' diag(p(1-p)) X"""
    text = "z[n] = sum[i](X[n,i]*w[i])\nL = sum[n](log(1 + exp(z[n])) - y[n]*z[n])"
    equations = _needed(hessian(text, "w"))
    products = [e for e in equations if e.reduction == "sum" and len(e.indices) == 2]
    assert len(products) == 1
    assert (
        sum(a.tensor == "X" for e in equations for a in accesses(e.body)) == 3
    )  # z, and twice here


def test_the_cost_of_deriving_does_not_depend_on_sizes() -> None:
    small, large = (
        gradients(DENSE + "\nL = sum[n,j](z[n,j]**2)", "W", sizes={"i": n, "j": n, "n": n})
        for n in (2, 4096)
    )
    shape = [len(e.body.args) for e in small.program.equations]
    assert shape == [len(e.body.args) for e in large.program.equations]


def test_errors_name_the_operand() -> None:
    with pytest.raises(DeriveError, match="V: nothing of that name"):
        gradients("L = sum[i](x[i])", "V")
    with pytest.raises(DeriveError, match="token holds integers"):
        gradients("L = sum[n](E[token[n]])", "token")


def test_index_names_of_different_axes_do_not_meet() -> None:
    assert Index("i") != Index("i", sympy.Integer(3))
