"""Equations as one line of Unicode: what it looks like, and that it says what the equation says."""

import re
import unicodedata
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from derive import pipeline
from derive.language.formula import parse
from derive.language.interpreter import evaluate
from derive.language.notation import Index, Partial
from derive.library.definitions import functions
from derive.pages.chains import Chains
from derive.printing.line_breaks import width
from derive.printing.matrix_form import matrix_form
from derive.printing.unicode_matrix import form_unicode
from derive.printing.unicode_names import UnicodeNames, index_name, plain
from derive.printing.unicode_printer import equation_unicode

DENSE = """
z_1[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]
a_1[n,j] = sigmoid(z_1[n,j])
z_2[n,k] = sum[j](a_1[n,j]*W_2[j,k]) + b_2[k]
L = mean[n](log(sum[k](exp(z_2[n,k]))) - z_2[n,y[n]])
"""

NORM = """
mu[d] = mean[n](x[n,d])
var[d] = mean[n]((x[n,d] - mu[d])**2)
L = sum[n,d](c[n,d]*(gamma[d]*(x[n,d] - mu[d])/sqrt(var[d] + eps) + beta[d]))
"""


def decomposed(*lines):
    """With each mark a character of its own: editors write some letters with theirs as one."""
    return [unicodedata.normalize("NFD", line) for line in lines]


def printed(text, **sizes):
    """The last equation of a text."""
    e = parse(text, functions=functions(), sizes=sizes).equations[-1]
    return " = ".join(equation_unicode(e, UnicodeNames()))


FORMS = {
    "z[n,j] = sum[i](x[n,i]*W[i,j]) + b[j]": "z[n,j] = ∑ᵢ x[n,i]·W[i,j] + b[j]",
    "L = mean[n]((p[n] - y[n])**2)": "L = (1/N) ∑ₙ (p[n] − y[n])²",
    "y[n] = sum[d](x[n,d])": "y[n] = ∑[d] x[n,d]",
    "y[n] = sum[k,m](x[n,k]*u[k,m]) * 3": "y[n] = 3 ∑ₖₘ x[n,k]·u[k,m]",
    "q[n] = (p[n,0] - (k[n] == 3))/4": "q[n] = (p[n,0] − [k[n] = 3])/4",
    "y = sqrt(var + eps) + sqrt(a*b)": "y = √(a·b) + √(ε + var)",
    "y = a/(b*c)": "y = a/(b·c)",
    "y = a/b*c": "y = a·c/b",
    "y = a - (b - c)": "y = a + c − b",
    "y = -(a + b)*c": "y = −c·(a + b)",
    "y = 1/x**2 + x**-0.5 + x**1.5": "y = 1/√x + 1/x² + x^(3/2)",
    "y = (-x)**2 + 2**x + (x*c)**k": "y = (c·x)^k + 2^x + x²",
    "y = 1e-8*x + 0.044715*c": "y = 0.044715·c + 10⁻⁸·x",
    "y = sigmoid(z)*abs(z)*exp(-z)*log1p(z)": "y = |z|·exp(−z)·log(1 + z)·σ(z)",
    "y = maximum(a, b) - relu(c)": "y = max(a, b) − relu(c)",
    "y[n] = max[k](x[n,k])": "y[n] = maxₖ(x[n,k])",
    "y[n] = where(x[n] > 0 and not x[n] >= 3, x[n], 0.1*x[n])": (
        "y[n] = {x[n] if x[n] > 0 ∧ ¬[x[n] ≥ 3], else 0.1·x[n]}"
    ),
    "y[p] = sum[k](x[2*p+k-1]*w[k])": "y[p] = ∑ₖ x[2·p+k−1]·w[k]",
    "y[n] = x[n]*sum[k](where(0 <= n-k and n-k < 3, w[k], 0))": "y[n] = x[n] ∑ₖ w[k]·[0 ≤ n−k < 3]",
    "y[i] = x[i//2]*x[i%2]": "y[i] = x[⌊i/2⌋]·x[i mod 2]",
    "y[i] = sum[j](A[i,j]*(i == j))": "y[i] = ∑ⱼ A[i,j]·δ[i,j]",
    "y[alpha] = x[alpha]*prod[k1](u[k1])": "y[α] = x[α] ∏ₖ₁ u[k₁]",
}


@pytest.mark.parametrize("text", FORMS)
def test_forms(text):
    sizes = {"p": 4} if "2*p" in text else {"i": 6} if "//" in text else {}
    assert printed(text, **sizes) == FORMS[text]


def shown(text, wrt):
    g = pipeline.differentiate(text, wrt).gradients
    names = plain(Chains(g).names)
    return [" = ".join(equation_unicode(e, names)) for e in g.shown], g, names


def test_a_dense_network():
    lines, gradients, names = shown(DENSE, ["W_1", "b_1", "W_2", "b_2"])
    assert lines[-7:] == decomposed(
        "z̄⁽²⁾[n,k] = (p[n,k] − [k = y[n]])/N",
        "b̄⁽²⁾[k] = ∑ₙ z̄⁽²⁾[n,k]",
        "W̄⁽²⁾[j,k] = ∑ₙ a⁽¹⁾[n,j]·z̄⁽²⁾[n,k]",
        "ā⁽¹⁾[n,j] = ∑ₖ z̄⁽²⁾[n,k]·W⁽²⁾[j,k]",
        "z̄⁽¹⁾[n,j] = ā⁽¹⁾[n,j]·a⁽¹⁾[n,j]·(1 − a⁽¹⁾[n,j])",
        "b̄⁽¹⁾[j] = ∑ₙ z̄⁽¹⁾[n,j]",
        "W̄⁽¹⁾[i,j] = ∑ₙ x[n,i]·z̄⁽¹⁾[n,j]",
    )
    forms = [matrix_form(e) for e in gradients.shown]
    assert [" = ".join(form_unicode(f, names)) for f in forms if f] == decomposed(
        "Z⁽¹⁾ = X W⁽¹⁾ + 1 b⁽¹⁾ᵀ",
        "A⁽¹⁾ = σ(Z⁽¹⁾)",
        "Z⁽²⁾ = A⁽¹⁾ W⁽²⁾ + 1 b⁽²⁾ᵀ",
        "P = exp(Z⁽²⁾ − l 1ᵀ)",
        "Z̄⁽²⁾ = (1/N) (P − onehot(y))",
        "b̄⁽²⁾ = Z̄⁽²⁾ᵀ 1",
        "W̄⁽²⁾ = A⁽¹⁾ᵀ Z̄⁽²⁾",
        "Ā⁽¹⁾ = Z̄⁽²⁾ W⁽²⁾ᵀ",
        "Z̄⁽¹⁾ = Ā⁽¹⁾ ⊙ A⁽¹⁾ ⊙ (1 − A⁽¹⁾)",
        "b̄⁽¹⁾ = Z̄⁽¹⁾ᵀ 1",
        "W̄⁽¹⁾ = Xᵀ Z̄⁽¹⁾",
    )


MATRICES = {
    "y[i,j] = a[i]*M[i,j]/s[j]": "Y = diag(a) M diag(s)⁻¹",
    "y = sum[i](M[i,i])*c": "y = c·tr(M)",
    "y = sum[i,j](M[i,j]**2)/3": "y = (1/3)·‖M‖²",
    "y[i,j] = -2*M[i,j]**2 + N[j,i]": "Y = Nᵀ − 2 M^⊙2",
    "y[i,j] = u[i]*v[j]": "Y = u vᵀ",
    "y[i] = sqrt(a[i])/b[i]": "y = √a ⊘ b",
}


@pytest.mark.parametrize("text", MATRICES)
def test_matrix_forms(text):
    e = parse(text, functions=functions()).equations[-1]
    names = UnicodeNames(("y", "M", "N"), ("y", "M", "N") if len(e.indices) == 2 else ())
    form = matrix_form(e)
    assert form is not None
    assert " = ".join(form_unicode(form, names)) == MATRICES[text]


# What is printed says what the equation says: it is read back, by rules of precedence alone.

SUBSCRIPTS = dict(zip("ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", "aehijklmnoprstuvx", strict=True))
SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True))


def read(text, names):
    """A right side as text of the formula language."""
    text = text.replace("\u0304", "_bar").replace("√", "sqrt").replace("′", "q")
    for tensor, name in names.items():
        text = re.sub(rf"(?<!\w){re.escape(name)}(?![\w⁽])", tensor, text)
    text = re.sub(r"sqrt(?!\()(\w+(?:\[[^\]]*\])?)", r"sqrt(\1)", text)
    text = re.sub(r"\|([^|]*)\|", r"abs(\1)", text)
    text = text.translate(str.maketrans({"·": "*", "−": "-", "σ": "sigmoid", "^": "**"}))
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda s: "**" + "".join(map(SUPERSCRIPTS.get, s[0])), text)
    text = re.sub(r"(?<!\w)\[(\w+) = (\w+\[\w+\])\]", r"(\1 == \2)", text)
    text = re.sub(r"(\w+)([ₐ-ₜᵢ-ᵥⱼ]+)\(", lambda m: f"{m[1]}[{_indices(m[2])}](", text)
    while found := re.search(r" ?([∑∏])([ₐ-ₜᵢ-ᵥⱼq]+|\[[\w,]+\]) ", text):
        end = _reach(text, found.end())
        op = "sum" if found[1] == "∑" else "prod"
        times = "*" if found[0][0] == " " and text[found.start() - 1] not in "(+-" else " "
        body = f"{op}[{_indices(found[2])}]({text[found.end() : end]})"
        text = text[: found.start()] + times + body + text[end:]
    return text


def _indices(below):
    """The prime of an index is a `q` here."""
    if below[0] == "[":
        return below.strip("[]")
    return ",".join(SUBSCRIPTS[c[0]] + c[1:] for c in re.findall("[^q]q?", below))


def _reach(text, start):
    """A sum reaches to the next sign, or to the end of the parentheses."""
    depth = 0
    for k in range(start, len(text)):
        depth += (text[k] in "([") - (text[k] in ")]")
        if depth < 0 or (depth == 0 and text[k : k + 3] in (" + ", " - ")):
            return k
    return len(text)


def value(left, right):
    """The value of an equation at random arrays, every size 3."""
    rng = np.random.default_rng(1)
    program = parse(f"{left} = {right}", functions=functions())
    arrays = {
        t.name: rng.integers(0, 3, [3] * len(t.axes))
        if t.kind == "integer"
        else rng.uniform(0.5, 1.5, [3] * len(t.axes))
        for t in sorted(program.inputs, key=lambda t: t.name)
    }
    return evaluate(program, arrays)[program.result]


@pytest.mark.parametrize(("text", "wrt"), [(DENSE, "W_1"), (NORM, "x"), (NORM, "gamma")])
def test_what_is_printed_reads_back(text, wrt):
    _, gradients, names = shown(text, wrt)
    symbols = {t: n.symbol.replace("\u0304", "_bar") for t, n in names.plain.items()}
    compared = 0
    for e in gradients.shown:
        left, right = str(e).split(" = ", 1)
        wanted = value(left, right)
        back = read(equation_unicode(e, names)[1], symbols)
        assert_allclose(value(left, back), wanted, rtol=1e-12, err_msg=back)
        compared += 1
    assert compared == len(gradients.shown) > 3


leaves = st.sampled_from(["a", "b", "c", "2", "3", "0.5"])
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]}{t[1]}{t[2]})"),
        inner.map(lambda e: f"(-{e})"),
        inner.map(lambda e: f"({e})**2"),
        inner.map(lambda e: f"(1 + ({e})**2)**0.5"),
        inner.map(lambda e: f"(1 + ({e})**2)**-1.5"),
        inner.map(lambda e: f"exp(sin({e}))"),
        inner.map(lambda e: f"sigmoid({e})**3"),
    ),
    max_leaves=9,
)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(trees)
def test_parentheses_stand_where_they_must(tree):
    try:
        wanted = value("y", f"{tree} + 0*a")
    except (ZeroDivisionError, ValueError):
        return
    if not np.isfinite(wanted):
        return
    body = parse(f"y = {tree} + 0*a", functions=functions()).equations[-1]
    back = read(equation_unicode(body, UnicodeNames())[1], {})
    assert_allclose(value("y", f"{back} + 0*a"), wanted, rtol=1e-9, atol=1e-9, err_msg=back)


# Names.


def test_no_two_names_have_one_symbol():
    stems = ["x", "X", "mu", "W", "loss", "x1", "h0", "alpha", "eps", "epsilon", "lam", "ell"]
    marks = ["", "_1", "_2", "_bar", "_bar_bar", "_hat", "_1_2", "_q", "_q_bar", "_1_bar", "_bar_1"]
    tensors = [s + m for s, m in product(stems, marks)] + ["lambda_", "learning_rate", "eta"]
    names = UnicodeNames(tensors, tensors)
    plains = [names(t).symbol for t in tensors]
    assert len(set(plains)) == len(tensors)
    capitals = [names.matrix(t).symbol for t in tensors]
    assert len(set(capitals)) == len(tensors)
    for tensor, capital in zip(tensors, capitals, strict=True):
        assert capital not in plains or plains.index(capital) == tensors.index(tensor)


def test_names():
    names = UnicodeNames()
    symbols = {
        "W_1": "W⁽¹⁾",
        "W_1_bar": "W̄⁽¹⁾",
        "W_q_bar": "W̄_q",
        "x_hat": "x̂",
        "gamma_bar": "γ̄",
        "var_bar": "v̅a̅r̅",
        "eps": "ε",
        "learning_rate": "η",
        "W_12": "W⁽¹²⁾",
        "_x": "_x",
    }
    assert {name: names(name).symbol for name in symbols} == symbols
    indices = {"k": "k", "k_1": "k′", "k_2": "k″", "i1": "i₁", "u__1": "u₁", "...": "…"}
    assert {name: index_name(name) for name in indices} == indices


def test_marks_take_no_column():
    assert width("W̄⁽¹⁾ = Xᵀ Z̄") == len("W(1) = XT Z")
    assert width("v̅a̅r̅") == 3


def test_a_sign_that_a_tensor_has_is_no_other_things():
    e = parse(
        "y[i] = sum[j](delta[i,j]*(i == j))*sigmoid(sigma[i])", functions=functions()
    ).equations[-1]
    names = UnicodeNames(("delta", "sigma"))
    line = equation_unicode(e, names)[1]
    assert line == "sigmoid(σ[i]) ∑ⱼ δ[i,j]·[i = j]"


def test_a_derivative_not_yet_carried_out():
    e = parse("y[i] = x[i]*c").equations[-1]
    x = e.body.args[1] if str(e.body.args[1]) == "Access(x, i)" else e.body.args[0]
    partial = type(e)("x_bar", (Index("i"),), Partial(e.body, x))
    assert equation_unicode(partial, UnicodeNames())[1] == "∂/∂x[i](c·x[i])"
