"""LaTeX: single expressions as a textbook has them, and documents that pdflatex compiles."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from sympy import S

import derive
from derive.gradients.derivation import Gradients, reverse
from derive.gradients.folding import fold
from derive.gradients.normal_form import flatten
from derive.gradients.simplify import recognize
from derive.language.formula import parse
from derive.language.notation import Access, Index
from derive.library.definitions import functions
from derive.networks.network import compose
from derive.networks.spec import load
from derive.pages.exposition import document
from derive.pages.latex_document import latex
from derive.pipeline import generate
from derive.printing.latex_layout import BREAK, TIMES, lines, width
from derive.printing.latex_names import Names, escaped, index_name, tensor_name
from derive.printing.latex_printer import PageLatex, equation_latex

SPECS = Path(__file__).parent.parent / "specs"

needs_tex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")

EQUATIONS = {
    "z_1[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]": (
        r"z^{(1)}_{nj} = \sum_{i} x_{ni}\, W^{(1)}_{ij} + b^{(1)}_{j}"
    ),
    "W_bar[i,j] = sum[n](z_bar[n,j]*x[n,i])": r"\bar{W}_{ij} = \sum_{n} x_{ni}\, \bar{z}_{nj}",
    "x_bar[n,i] = sum[j](W[i,j]*z_bar[n,j])": r"\bar{x}_{ni} = \sum_{j} \bar{z}_{nj}\, W_{ij}",
    "z_bar[n,j] = p[n,j]*(g[n,j] - sum[k](g[n,k]*p[n,k]))": (
        r"\bar{z}_{nj} = p_{nj} \Bigl( g_{nj} - \sum_{k} g_{nk}\, p_{nk} \Bigr)"
    ),
    "z_bar[n,k] = (p[n,k] - (k == y[n]))/N": (
        r"\bar{z}_{nk} = \frac{1}{N} (p_{nk} - [\,k = y_{n}\,])"
    ),
    "z_bar[n,j] = where(z[n,j] > 0, a_bar[n,j], 0)": (
        r"\bar{z}_{nj} = \begin{cases} \bar{a}_{nj} & \text{if } z_{nj} > 0 \\ "
        r"0 & \text{otherwise} \end{cases}"
    ),
    "L = mean[n](logsumexp[k](z[n,k]) - z[n,y[n]])": (
        r"L = \frac{1}{N} \sum_{n} "
        r"\bigl( \operatorname*{logsumexp}_{k}\, z_{nk} - z_{n,\,y_{n}} \bigr)"
    ),
    "y[n,p] = sum[k](x[n,2*p+k]*w[k])": r"y_{np} = \sum_{k} x_{n,\,2 p+k}\, w_{k}",
    "D[i,j] = v[i]*w[j]*(i == j)": r"D_{ij} = v_{i}\, w_{j}\, \delta_{ij}",
    "e[n,t,d] = E[token[n,t],d]": r"e_{ntd} = E_{\mathrm{token}_{nt},\,d}",
    "m[n] = max[k](z[n,k])": r"m_{n} = \max_{k}\, z_{nk}",
    "y[...,j] = sum[i](x[...,i]*W[i,j])": (r"y_{\ldots,\,j} = \sum_{i} x_{\ldots,\,i}\, W_{ij}"),
    "y[n,d] = gamma[d]*(x[n,d] - mu[n])/sqrt(var[n] + eps) + beta[d]": (
        r"y_{nd} = \frac{\gamma_{d} (x_{nd} - \mu_{n})}{\sqrt{\mathrm{var}_{n} + \varepsilon}} "
        r"+ \beta_{d}"
    ),
    "z_bar[n] = a_bar[n]*(1 - a_1[n]**2)": r"\bar{z}_{n} = \bar{a}_{n} (1 - (a^{(1)}_{n})^{2})",
    "y[n] = 1/(1 + exp(-x[n]))": r"y_{n} = \frac{1}{1 + e^{-x_{n}}}",
    "y[n] = tanh(x[n])**2 - 0.044715*x[n]**3/2": (
        r"y_{n} = \tanh^{2}(x_{n}) - 0.0223575 x_{n}^{3}"
    ),
    "y[n] = 0.9*x[n]**0.25 + 1e-8*0.9**t": (r"y_{n} = 0.9 x_{n}^{1/4} + 10^{-8} \cdot 0.9^{t}"),
    "y[n] = maximum(x[n], 0) + sigmoid(x[n])": r"y_{n} = \max(x_{n},\, 0) + \sigma(x_{n})",
    "y[i] = x[(i+1) % I]": r"y_{i} = x_{(i + 1) \bmod I}",
}


@pytest.mark.parametrize("text", EQUATIONS)
def test_equation(text: str) -> None:
    (equation,) = parse(text, functions=functions()).equations
    assert " = ".join(equation_latex(equation, Names())) == EQUATIONS[text]


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("W", "W"),
        ("W_1", "W^{(1)}"),
        ("W1", "W^{(1)}"),
        ("W_1_bar", r"\bar{W}^{(1)}"),
        ("x_hat_bar", r"\bar{\hat{x}}"),
        ("W_q", "W^{q}"),
        ("gamma", r"\gamma"),
        ("eps", r"\varepsilon"),
        ("loss", r"\mathrm{loss}"),
        ("loss_bar", r"\overline{\mathrm{loss}}"),
        ("my_long_name", r"\mathrm{my\_long\_name}"),
        ("_x", r"\mathrm{\_x}"),
        ("x__y", r"\mathrm{x\_\_y}"),
    ],
)
def test_name(name: str, latex: str) -> None:
    assert tensor_name(name).indexed() == latex


def test_two_names_have_two_symbols() -> None:
    tensors = ("W1", "W_1", "x", "X", "eps", "epsilon", "z_1_bar", "z_bar_1")
    names = Names(tensors, ("x", "X"))
    assert len({names(t) for t in tensors}) == len(tensors)
    assert names.matrix("X").indexed() == "X"
    assert names.matrix("x").indexed() == "x"  # the capital is another's


def test_fresh_indices_are_primed() -> None:
    assert [index_name(i) for i in ("k", "k_1", "k_2", "i1", "alpha")] == [
        "k",
        "k'",
        "k''",
        "i_{1}",
        r"\alpha",
    ]


HOSTILE = r"100 % of $x$ & y_1 #2 {a} ~b^c \input{/etc/passwd} <ü> “π” – 中 \\ \end{document} `'\""


def test_escapes() -> None:
    shown = escaped(HOSTILE)
    assert not re.search(r"(?<!\\)[$&%#_~^]", shown.replace(r"\ensuremath{\pi}", ""))
    assert r"\input" not in shown
    assert r"\end" not in shown
    assert "中" not in shown


def test_long_expressions_are_broken() -> None:
    terms = " + ".join(f"a_{k}[n]*exp(b_{k}[n]*x[n])/(1 + c_{k}[n]**2)" for k in range(20))
    (equation,) = parse(f"y[n] = ({terms})*(1 + {terms.replace('a_', 'u_')})").equations
    page = PageLatex(Names(), equation.indices)
    broken = lines(equation.body, page, 300.0)
    assert len(broken) > 3
    assert all(width(line) <= 301.0 for line in broken)
    assert not any(BREAK in line or TIMES in line for line in broken)
    assert all(line.count("{") == line.count("}") for line in broken)


def test_fold() -> None:
    program = flatten(parse("y[n,j] = exp(z[n,j])/sum[k](exp(z[n,k]))"))
    assert len(program.equations) == 2
    (folded,) = fold(program.equations)
    assert str(folded) == "y[n,j] = exp(z[n,j])/sum[k](exp(z[n,k]))"
    twice = flatten(parse("y[n] = sum[k](z[n,k])\nw[n,m] = y[n]*sum[k](z[n,k])*v[m]"))
    shared = [e.target for e in fold(twice.equations)]
    assert shared[-1] == "w"


# Documents

FORMULAS = {
    "two_layers": (
        """
        z_1[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]
        a_1[n,j] = relu(z_1[n,j])
        z_2[n,k] = sum[j](a_1[n,j]*W_2[j,k]) + b_2[k]
        L = mean[n](logsumexp[k](z_2[n,k]) - z_2[n,y[n]])
        """,
        ("W_1", "b_1", "W_2", "b_2"),
    ),
    "layer_norm": (
        """
        mu[n] = sum[d](x[n,d]) / D
        var[n] = sum[d]((x[n,d] - mu[n])**2) / D
        y[n,d] = gamma[d] * (x[n,d] - mu[n]) / sqrt(var[n] + eps) + beta[d]
        L = sum[n,d](y[n,d]*h[n,d])
        """,
        ("x", "gamma", "beta"),
    ),
    "convolution": (
        """
        y[n,p,f] = sum[k,c](x[n,2*p+k,c]*W[k,c,f]) + b[f]
        L = sum[n,p,f](tanh(y[n,p,f])**2)
        """,
        ("x", "W", "b"),
    ),
    "pooling": ("y[n,p] = max[k](x[n,2*p+k])\nL = sum[n,p](y[n,p]*g[n,p])", ("x",)),
    "attention": (
        """
        S[h,t,s] = sum[d](q[h,t,d]*k[h,s,d])/sqrt(D)
        P[h,t,s] = exp(S[h,t,s])/sum[r](exp(S[h,t,r]))
        o[h,t,d] = sum[s](P[h,t,s]*v[h,s,d])
        L = sum[h,t,d](o[h,t,d]*g[h,t,d])
        """,
        ("q", "k", "v"),
    ),
    "embedding": ("L = sum[n,t,d](E[token[n,t],d]**2)", ("E",)),
    "any_rank": ("y[...,j] = sum[i](x[...,i]*W[i,j])\nL = sum[...,j](y[...,j]**2)", ("x", "W")),
    "huber": (
        "L = mean[n](where(abs(z[n] - y[n]) <= delta, (z[n] - y[n])**2/2, "
        "delta*(abs(z[n] - y[n]) - delta/2)))",
        ("z",),
    ),
    "long_sum": (
        "L = sum[n]("
        + " + ".join(f"alpha_{k}*exp(-beta_{k}*x[n]**{k % 5 + 1})*sin({k}*x[n])" for k in range(13))
        + ")",
        ("x", "alpha_3"),
    ),
    "long_product": (
        "y[n] = "
        + " * ".join(f"(1 + exp(-beta_{k}*x[n]))" for k in range(9))
        + "\nL = sum[n](y[n])",
        ("x",),
    ),
    "long_names": (
        "Loss_value = mean[batch](sum[channel](activation_of_layer[batch,channel]*weights[channel])"
        "**2 + where(bias > 0, bias, 0.01*bias))",
        ("weights", "bias"),
    ),
    "deep_stack": (
        "\n".join(
            ["z_1[n,j] = tanh(sum[i](x[n,i]*W_1[i,j]))"]
            + [f"z_{k}[n,j] = tanh(sum[i](z_{k - 1}[n,i]*W_{k}[i,j]))" for k in range(2, 13)]
            + ["L = sum[n,j](z_12[n,j])"]
        ),
        tuple(f"W_{k}" for k in range(1, 13)),
    ),
}


@cache
def derived(name: str) -> Gradients:
    text, wrt = FORMULAS[name]
    text = "\n".join(line.strip() for line in text.strip().splitlines())
    program, _ = recognize(flatten(parse(text, functions=functions())))
    return reverse(program, wrt, {program.result: S.One})


def compile_(document: str, folder: Path) -> str:
    """Run pdflatex; its log."""
    (folder / "page.tex").write_text(document, encoding="utf-8")
    command = [
        "pdflatex",
        "-interaction=nonstopmode",
        "-halt-on-error",
        "-no-shell-escape",
        "page.tex",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120)
    log = (folder / "page.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-3000:]
    return log


@needs_tex
@pytest.mark.parametrize("name", FORMULAS)
def test_document_compiles(name: str, tmp_path: Path) -> None:
    text, _ = FORMULAS[name]
    log = compile_(latex(document(derived(name), HOSTILE, {"W_1": "dense_1.W"}, text)), tmp_path)
    assert "Overfull" not in log
    assert "Missing character" not in log


@pytest.mark.parametrize("name", FORMULAS)
def test_document_has_every_equation(name: str) -> None:
    gradients = derived(name)
    page = latex(document(gradients))
    steps = set(re.findall(r"\\tag\{\\eqtarget\{([\w.]+)\}\}", page))
    if name != "deep_stack":  # where equations of equal layers are shown once
        assert {str(k) for k in gradients.numbers.values()} <= steps
    for rule in ("chain rule", "local derivative", "Kronecker delta"):
        assert re.search(rf"\\rule(name|note){{{rule}}}", page)
    packages = set(re.findall(r"\\usepackage(?:\[.*?\])?\{(.*?)\}", page))
    allowed = {
        "amsmath",
        "amssymb",
        "bm",
        "array",
        "longtable",
        "hyperref",
        "geometry",
        "fontenc",
        "inputenc",
    }
    assert {p for packed in packages for p in packed.split(",")} <= allowed


def test_each_number_is_one_target() -> None:
    page = latex(document(derived("two_layers")))
    targets = re.findall(r"\\eqtarget\{([\w.]+)\}", page)
    assert len(targets) == len(set(targets))


def test_repeated_layers_are_shown_once() -> None:
    page = latex(document(derived("deep_stack")))
    assert r"likewise for $\ell =$ $3$, $4$, $\ldots$, $12$" in page
    assert "W^{(7)}_" not in page
    assert len(page) < 40_000


def test_many_layers_are_alike_whatever_their_sizes() -> None:
    def page(layers: int) -> str:
        steps = "".join(
            f"z_{k}[n,i_{k}] = sum[i_{k - 1}](a_{k - 1}[n,i_{k - 1}]*W_{k}[i_{k - 1},i_{k}])\n"
            f"a_{k}[n,i_{k}] = tanh(z_{k}[n,i_{k}])\n"
            for k in range(1, layers + 1)
        )
        loss = f"L = mean[n](sum[i_{layers}](a_{layers}[n,i_{layers}]))"
        return derive.differentiate(steps + loss, f"W_{layers}").latex()

    assert r"\tag{\eqtarget{3}}" in page(7)  # of few layers that differ, all are shown
    assert r"likewise for $\ell =$ $2$, $3$, $\ldots$, $9$" in page(9)


def test_matrix_forms_are_beside() -> None:
    page = latex(document(derived("two_layers")))
    for form in (
        r"\bar{W}^{(2)} &= A^{(1)\top}\, \bar{Z}^{(2)}",
        r"\bar{A}^{(1)} &= \bar{Z}^{(2)}\, W^{(2)\top}",
        r"\bar{b}^{(2)} &= \bar{Z}^{(2)\top}\, \mathbf{1}",
        r"\bar{Z}^{(2)} &= \frac{1}{N} (P - \operatorname{onehot}(y))",
    ):
        assert form in page


def test_functions_and_kinks_are_stated() -> None:
    page = latex(document(derived("two_layers")))
    assert r"\operatorname{relu}(u) &= \max(0,\, u)" in page or "cases" in page
    assert r"$\operatorname{relu}'(0) = 0$" in page
    assert r"\operatorname*{logsumexp}_{k}\, z_{k} &= \log" in page
    assert "the first of equal elements" in latex(document(derived("pooling")))
    assert r"\lvert x \rvert' = " in latex(document(derived("huber")))


def test_what_is_computed_in_another_form_is_shown() -> None:
    gradients = derived("two_layers")
    program = gradients.program
    changed = [replace(e, body=e.body + 1) if e.target == "L" else e for e in program.equations]
    page = latex(document(gradients, computed=replace(program, equations=tuple(changed))))
    assert r"\section*{As computed}" in page
    assert rf"\tag{{\eqlink{{{gradients.numbers['L']}}}}}" in page.split("As computed")[1]
    assert "As computed" not in latex(document(gradients, computed=program))


def test_the_update_has_the_numbers_that_the_module_cites() -> None:
    files = generate(SPECS / "digits_mlp.toml")
    shown = files["digits_mlp.tex"].split(r"\section*{Update}")[1].split(r"\section*")[0]
    cited = files["digits_mlp.py"].split("class Optimizer")[1]
    numbers = re.findall(r"\\eqtarget\{(\d+)\}", shown)
    assert numbers and numbers == re.findall(r"# \((\d+)\) \w+\[p\] =", cited)
    assert r"m^{\mathrm{next}}_{p} &= 0.9 m_{p} + 0.1 g^{\mathrm{regularized}}_{p}" in shown


def test_rules_are_stated() -> None:
    page = latex(document(derived("two_layers")))
    for said in (
        r"\rulename{mask} & v [\,u > 0\,] &= \begin{cases}",
        r"\rulename{common factor} & u v + u w &= u (v + w)",
        r"The \emph{sum over uses} adds up",
    ):
        assert said in page


def test_what_no_page_should_hold_is_left_out() -> None:
    text = "x[n]"
    for _ in range(40):
        text = f"tanh(1 + {text})"
    program, _ = recognize(flatten(parse(f"L = sum[n]({text})")))
    page = latex(document(reverse(program, ("x",), {program.result: S.One})))
    assert r"\bar{x}_{n} &= \text{(more terms than a page should hold)}" in page
    assert len(page) < 20_000


# The final form in index notation, and the closed form of the textbook.
CLOSED = {
    "two_layers": {
        "z_2_bar": r"\frac{1}{N} (p_{nk} - [k = y_n])",
        "a_1_bar": r"\sum_k \bar{z}_{nk} W_{jk}",
        "W_2_bar": r"\sum_n a_{nj} \bar{z}_{nk}",
        "b_1_bar": r"\sum_n \bar{z}_{nj}",
    },
    "attention": {
        "S_bar": r"P_{hts} (\bar{P}_{hts} - \sum_r \bar{P}_{htr} P_{htr})",
        "v_bar": r"\sum_t P_{hts} g_{htd}",
    },
    "convolution": {
        "W_bar": r"\sum_{n,p} x_{n,2p+k,c} \bar{y}_{npf}",
        "b_bar": r"\sum_{n,p} \bar{y}_{npf}",
    },
}


def symbols(latex: str) -> int:
    """The number of signs that a reader sees."""
    seen = re.sub(r"\\(,|bar|frac|substack|operatorname\*?|mathrm|[bB]igg?[lr])", " ", latex)
    seen = re.sub(r"\^\{\(\d+\)\}", "", seen)  # the number of a layer
    return len(re.findall(r"\\[A-Za-z]+|[^\s{}_^]", seen))


@pytest.mark.parametrize("name", CLOSED)
def test_final_forms_are_as_short_as_the_textbooks(name: str) -> None:
    gradients = derived(name)
    equations = {e.target: e for e in gradients.backward}
    for target, closed in CLOSED[name].items():
        _, body = equation_latex(equations[target], Names())
        assert symbols(body) <= 1.25 * symbols(closed), body


@needs_tex
@pytest.mark.parametrize("path", sorted(SPECS.glob("*.toml")), ids=lambda p: p.stem)
def test_documents_of_the_specs_compile(path: Path, tmp_path: Path) -> None:
    spec = load(path)
    network = compose(spec)
    program, _ = recognize(flatten(network.program))
    parameters = tuple(p.tensor for p in network.parameters)
    gradients = reverse(program, parameters, {program.result: S.One})
    public = {p.tensor: p.name for p in network.parameters}
    log = compile_(latex(document(gradients, spec.title or spec.name, public)), tmp_path)
    assert "Overfull" not in log


@needs_tex
def test_widths_are_no_less_than_in_print(tmp_path: Path) -> None:
    shown = []
    for name in FORMULAS:
        if name != "deep_stack":
            for e in derived(name).backward:
                shown.append(PageLatex(Names(), e.indices).doprint(e.body))
    boxes = "\n".join(
        rf"\setbox0\hbox{{$\displaystyle {s}$}}\typeout{{WIDTH {k} \the\wd0}}"
        for k, s in enumerate(shown)
    )
    body = rf"\begin{{document}}{boxes}\end{{document}}"
    page = rf"\documentclass{{article}}\usepackage{{amsmath}}{body}"
    log = compile_(page, tmp_path)
    found = re.findall(r"WIDTH (\d+) ([\d.]+)pt", log)
    assert len(found) == len(shown)
    for k, printed in found:
        assert 0.97 * float(printed) - 3.0 <= width(shown[int(k)]), shown[int(k)]


def test_access_order_is_not_alphabetical() -> None:
    n, i, j = map(Index, "nij")
    product = Access("Z", n, i) * Access("A", i, j)
    assert PageLatex(Names(), (n, j)).doprint(product) == r"Z_{ni}\, A_{ij}"
