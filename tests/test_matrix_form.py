"""The matrix form says what the index form says: both are evaluated and compared.

python tests/test_matrix_form.py     # how many equations of the committed networks have one
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sympy import S
from test_steps import SPECS, derived, evaluated, everything

from derive.gradients.derivation import reverse
from derive.gradients.normal_form import flatten, spans
from derive.gradients.simplify import recognize
from derive.language.formula import parse
from derive.language.functions import eq
from derive.language.interpreter import evaluate
from derive.language.notation import Access, Equation, Index
from derive.library.definitions import functions
from derive.printing.latex_names import Names
from derive.printing.matrix_form import matrix_form

SIZES = {"N": 4, "I": 3, "J": 5, "K": 2, "M": 5}

# The index form, the matrix form as text, the matrix form as LaTeX.
FORMS = [
    (
        "z[n,j] = sum[i](x[n,i]*W[i,j]) + b[j]",
        "z = x @ W + ones(N) @ b.T",
        r"Z = X\, W + \mathbf{1}\, b^{\top}",
    ),
    (
        "W_bar[i,j] = sum[n](x[n,i]*z_bar[n,j])",
        "W_bar = x.T @ z_bar",
        r"\bar{W} = X^{\top}\, \bar{Z}",
    ),
    (
        "x_bar[n,i] = sum[j](z_bar[n,j]*W[i,j])",
        "x_bar = z_bar @ W.T",
        r"\bar{X} = \bar{Z}\, W^{\top}",
    ),
    (
        "b_bar[j] = sum[n](z_bar[n,j])",
        "b_bar = z_bar.T @ ones(N)",
        r"\bar{b} = \bar{Z}^{\top}\, \mathbf{1}",
    ),
    (
        "z_1_bar[n,j] = where(z_1[n,j] > 0, a_1_bar[n,j], 0)",
        None,
        r"\bar{Z}^{(1)} = \bar{A}^{(1)} \odot [\,Z^{(1)} > 0\,]",
    ),
    (
        "z_bar[n,j] = a_bar[n,j]*a[n,j]*(1 - a[n,j])",
        "z_bar = a_bar * a * (1 + (-1) * a)",
        r"\bar{Z} = \bar{A} \odot A \odot (1 - A)",
    ),
    (
        "z_bar[n,j] = p[n,j]*(g[n,j] - sum[k](g[n,k]*p[n,k]))",
        None,
        r"\bar{Z} = P \odot (G - (G \odot P)\, \mathbf{1}\, \mathbf{1}^{\top})",
    ),
    (
        "z_bar[n,k] = (p[n,k] - (k == y[n]))/N",
        None,
        r"\bar{Z} = \frac{1}{N} (P - \operatorname{onehot}(y))",
    ),
    ("L = sum[i,m](x[i]*A[i,m]*u[m])", "L = x.T @ A @ u", r"L = x^{\top}\, A\, u"),
    ("H[j,m] = A[j,m] + A[m,j]", "H = A + A.T", r"H = A + A^{\top}"),
    (
        "H[i,m] = sum[n](X[n,i]*p[n]*(1 - p[n])*Z[n,m])",
        None,
        r"H = X^{\top}\, \operatorname{diag}(p \odot (1 - p))\, Z",
    ),
    ("L = sum[n]((y[n] - sum[i](X[n,i]*w[i]))**2)", None, r"L = \lVert y - X\, w \rVert^{2}"),
    ("L = sum[n,i](A[n,i]**2)", None, r"L = \lVert A \rVert_F^{2}"),
    ("L = sum[j](A[j,j])", "L = tr(A)", r"L = \operatorname{tr}(A)"),
    ("L = sum[i,j](A[i,j]*B[j,i])", "L = tr(A @ B)", r"L = \operatorname{tr}(A\, B)"),
    ("L = sum[i,j](A[i,j]*B[i,j])", None, r"L = \operatorname{tr}(A^{\top}\, B)"),
    ("L = sum[i,j](A[i,j])", None, r"L = \mathbf{1}^{\top}\, A\, \mathbf{1}"),
    ("d[j] = A[j,j]*v[j]", None, r"d = \operatorname{diag}(A) \odot v"),
    ("G[n,j] = -2*v[n]*u[j]", None, r"G = -2\, v\, u^{\top}"),
    ("G[n,j] = x[n,j]/s[n]", None, r"G = \operatorname{diag}(s)^{-1}\, X"),
    ("G[n,j] = x[n,j]/y[n,j]", None, r"G = X \oslash Y"),
    ("G[n,j] = exp(x[n,j] - m[n])", None, r"G = \exp(X - m\, \mathbf{1}^{\top})"),
    ("s[n] = mean[j](x[n,j])", None, r"s = \frac{1}{J} X\, \mathbf{1}"),
    ("r[n] = sqrt(v[n] + eps)", None, r"r = \sqrt{v + \varepsilon}"),
    ("G[i,j] = sum[n,m](A[n,i]*B[n,m]*C[m,j])", "G = A.T @ B @ C", r"G = A^{\top}\, B\, C"),
    ("G[n,j] = sum[i](x[n,i]*W[i,j])*c[n,j]", "G = c * (x @ W)", r"G = C \odot (X\, W)"),
]


@pytest.mark.parametrize(("text", "plain", "latex"), FORMS, ids=[t for t, _, _ in FORMS])
def test_form(text: str, plain: str | None, latex: str) -> None:
    program = parse(text)
    (equation,) = program.equations
    form = matrix_form(equation)
    assert form is not None
    if plain:
        assert str(form) == plain
    matrices = tuple(t for t, span in spans(program).items() if len(span) == 2)
    shown = " = ".join(form.latex(Names(tuple(spans(program)), matrices)))
    assert shown == latex


@pytest.mark.parametrize("text", [t for t, _, _ in FORMS])
def test_value(text: str) -> None:
    program = parse(text)
    (equation,) = program.equations
    form = matrix_form(equation)
    assert form is not None
    random = np.random.default_rng(0)
    arrays = {}
    for tensor in program.inputs:
        shape = [SIZES.get(str(i.size)) or int(i.size) for i in tensor.axes]
        if tensor.kind == "integer":
            arrays[tensor.name] = random.integers(0, SIZES["K"], shape)
        else:
            arrays[tensor.name] = random.uniform(0.5, 2.0, shape)
    expected = evaluate(program, arrays)[equation.target]
    value = form.evaluate(arrays, SIZES)
    assert value.shape == expected.shape
    np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_diagonal_matrix() -> None:
    j = Index("j")
    m = Index("m", j.size)
    form = matrix_form(Equation("D", (j, m), Access("v", j) * eq(j, m)))
    assert str(form) == "D = diag(v)"
    form = matrix_form(Equation("D", (j, m), 2 * eq(j, m)))
    assert str(form) == "D = 2 * eye(J)"
    assert form is not None
    np.testing.assert_array_equal(form.evaluate({}, {"J": 3}), 2 * np.eye(3))


def test_one_vector_alone_is_each_column_or_each_row() -> None:
    n, j = Index("n"), Index("j")
    arrays, sizes = {"m": np.arange(3.0), "g": np.arange(3.0)}, {"N": 3, "J": 3}
    columns = matrix_form(Equation("y", (n, j), Access("m", n) / j.size))
    rows = matrix_form(Equation("y", (n, j), Access("g", j) / j.size))
    assert columns is not None and rows is not None
    expected = np.repeat(np.arange(3.0)[:, None] / 3, 3, axis=1)
    np.testing.assert_array_equal(columns.evaluate(arrays, sizes), expected)
    np.testing.assert_array_equal(rows.evaluate(arrays, sizes), expected.T)


@pytest.mark.parametrize(
    "text",
    [
        "T[n,i,j] = x[n,i]*y[n,j]",  # three axes
        "y[n,p] = sum[k](x[n,p+k]*w[k])",  # an affine access
        "y[n,d] = E[t[n],d]",  # a lookup
        "m[n] = max[k](z[n,k])",  # a reduction that is no sum
        "G[i,j] = sum[k,l](A[i,k]*B[k,l]*C[l,j]*D[k,j]*F[i,l])",  # vertices of three edges
        "c = a + b",  # scalars
    ],
)
def test_no_form(text: str) -> None:
    (equation,) = parse(text).equations
    assert matrix_form(equation) is None


DERIVATIONS = {
    "two layers": (
        "z[n,j] = sum[i](x[n,i]*W[i,j]) + b[j]\n"
        "a[n,j] = tanh(z[n,j])\n"
        "u[n,k] = sum[j](a[n,j]*V[j,k]) + c[k]\n"
        "L = mean[n](logsumexp[k](u[n,k]) - u[n,y[n]])",
        ("x", "W", "b", "V", "c"),
    ),
    "layer norm": (
        "mu[n] = mean[i](x[n,i])\n"
        "var[n] = mean[i]((x[n,i] - mu[n])**2)\n"
        "y[n,i] = gamma[i]*(x[n,i] - mu[n])/sqrt(var[n] + 0.1) + beta[i]\n"
        "L = sum[n,i](y[n,i]*h[n,i])",
        ("x", "gamma", "beta"),
    ),
    "softmax": (
        "p[n,j] = exp(z[n,j])/sum[k](exp(z[n,k]))\nL = sum[n,j](p[n,j]*g[n,j])",
        ("z",),
    ),
    "least squares": ("L = sum[n]((y[n] - sum[i](X[n,i]*w[i]))**2)", ("w", "X", "y")),
    "quadratic form": ("L = sum[i,j](x[i]*A[i,j]*x[j])", ("x", "A")),
    "bilinear": ("L = sum[i,j](x[i]*A[i,j]*tanh(v[j]))", ("x", "A", "v")),
}


@pytest.mark.parametrize("name", DERIVATIONS)
def test_every_form_of_a_derivation(name: str) -> None:
    text, wrt = DERIVATIONS[name]
    program, _ = recognize(flatten(parse(text, functions=functions())))
    gradients = reverse(program, wrt, {program.result: S.One})
    random = np.random.default_rng(1)
    arrays = {}
    for tensor in program.inputs:
        shape = [SIZES[str(i.size)] for i in tensor.axes]
        integer = tensor.kind == "integer"
        values = random.integers(0, SIZES["K"], shape) if integer else random.normal(size=shape)
        arrays[tensor.name] = values
    values = arrays | evaluate(gradients.program, arrays)
    found = 0
    for equation in gradients.equations:
        form = matrix_form(equation)
        if form is not None:
            found += 1
            value = form.evaluate(values, SIZES)
            np.testing.assert_allclose(value, values[equation.target], rtol=1e-9, atol=1e-12)
    assert found >= len(wrt)


COMMITTED = sorted(path.stem for path in SPECS.glob("*.toml"))


def committed_forms(name: str):
    """Of a committed network at small sizes: each distinct equation shown, forward, backward or at
    the end of a step, its matrix form or None, and both values.
    """
    case = derived(name)
    values = everything(case)
    shown = (*case.gradients.equations, *(s.after for s in case.gradients.steps))
    arrays = {t.name: case.arrays[t.name] for t in case.gradients.program.inputs}
    sizes = {
        str(i.size): n
        for t in case.gradients.program.inputs
        for i, n in zip(t.axes, arrays[t.name].shape, strict=True)
    }
    for equation in dict.fromkeys(shown):
        form = matrix_form(equation)
        if form is None:
            yield equation, None, None, None
        else:
            yield equation, form, form.evaluate(values, sizes), evaluated(equation, case, values)


@pytest.mark.parametrize("name", COMMITTED)
def test_every_form_of_a_committed_network(name: str) -> None:
    found = 0
    for equation, form, value, expected in committed_forms(name):
        if form is not None:
            found += 1
            atol = 1e-12 * max(np.max(np.abs(expected), initial=0.0), 1e-3)
            assert value.shape == expected.shape
            np.testing.assert_allclose(value, expected, rtol=0, atol=atol, err_msg=str(equation))
    assert found > 0


def report():
    """How many of the equations shown have a matrix form."""
    for name in COMMITTED:
        forms = [form for _, form, _, _ in committed_forms(name)]
        yield f"{name:<24}{len(forms) - forms.count(None):>4} of {len(forms)}"


if __name__ == "__main__":
    sys.stdout.write("\n".join(report()) + "\n")
