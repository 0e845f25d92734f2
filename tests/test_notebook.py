"""What a notebook shows of a derivation, of its equations and of its steps."""

import pickle
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from latex2mathml.converter import convert

import derive
from derive import pipeline
from derive.language.notation import Equation
from derive.pages.chains import Chains

SOFTMAX = """
z[n,k] = sum[i](x[n,i]*W[i,k]) + b[k]
L = mean[n](-log(exp(z[n,y[n]])/sum[k](exp(z[n,k]))))
"""
CASES = {
    "softmax": (SOFTMAX, "W b", {}),
    "cases": (
        "L = sum[n](where(abs(x[n]) > 1 and x[n] < c, x[n]**3, -exp(-x[n])/3)"
        "*maximum(a[n], b[n]) + x[n]%3)",
        "x a",
        {},
    ),
    "convolution": (
        "y[p] = sum[k](x[2*p+k-1]*w[k]) + b\nL = sum[p](relu(y[p])**2/sqrt(eps + s))",
        "w x s",
        {"p": 7},
    ),
    "pooling": ("y[p] = max[k](x[2*p+k])\nL = sum[p](y[p]**2)", "x", {"p": 4, "k": 2}),
    "recurrence": (
        "h[t,j] = tanh(sum[k](h[t-1,k]*U[k,j]) + u[t,j])\nh[-1,j] = h0[j]\n"
        "L = sum[j](h[T-1,j]*c[j])",
        "U h0",
        {},
    ),
    "names": ("a_loss = sum[n](a_name[n]*q_1_hat[n] + W_q[n]*first_3[n])", "first_3 W_q", {}),
}

# What MathJax and KaTeX both know, and LaTeX with amsmath.
COMMON = r"""
\, \\ \{ \} \_ \qquad \quad \tag \text \begin \end \frac \sqrt \sum \prod \max \min \operatorname
\operatorname* \substack \bar \hat \tilde \dot \overline \widehat \widetilde \mathrm \mathbf
\partial \odot \oslash \cdot \top \leq \geq \neq \lor \lnot \lvert \rvert \lVert \rVert
\lfloor \rfloor \bmod \ldots \log \exp \sin \cos \tan \sinh \cosh \tanh \arcsin \arccos
\arctan \Bigl \Bigr \bigl \bigr \biggl \biggr \left \right \sigma \delta \alpha \beta \gamma \mu
\eta \varepsilon
"""
COMMANDS = {*COMMON.split(), "\\ "}


@pytest.fixture(scope="module", params=CASES)
def d(request):
    text, wrt, sizes = CASES[request.param]
    return derive.differentiate(text, wrt.split(), sizes=sizes)


def test_equations_are_the_equations(d):
    plain = d.gradients.equations
    assert d.equations == plain
    assert plain == d.equations
    assert list(map(str, d.equations)) == list(map(str, plain))
    assert list(map(hash, d.equations)) == list(map(hash, plain))
    assert all(isinstance(e, Equation) for e in d.equations)
    assert d.equations[0] != replace(d.equations[0], body=d.equations[0].body + 1)
    assert d.equations[0] != "an equation"
    assert pickle.loads(pickle.dumps(d.equations[0])) == plain[0]


def test_steps_are_the_steps(d):
    plain = d.gradients.steps
    assert d.steps == plain
    assert plain == d.steps
    assert hash(d.steps) == hash(plain)
    assert d.steps[0] != replace(d.steps[0], rule="another")
    assert [s.after for s in d.steps] == [s.after for s in plain]


def test_the_numbers_are_those_of_the_page(d):
    numbers = d.gradients.numbers
    for e in d.equations:
        found = re.findall(r"\\tag\{(\d+)\}", e._repr_latex_())
        assert found == ([str(numbers[e.target])] if e in d.gradients.shown else [])
    lines = [line for c in Chains(d.gradients).chains for line in c.lines if line.step]
    for step in d.steps:
        tag = re.findall(r"\\tag\{([\w.]+)\}", step._repr_latex_())
        assert not tag or tag[0] in {line.number for line in lines if line.step == step}
    assert any(r"\tag" in step._repr_latex_() for step in d.steps)


def test_the_derivation_shows_every_equation(d):
    shown = d._repr_latex_()
    assert shown.startswith("$$\\begin{aligned}\n") and shown.endswith("\n\\end{aligned}$$")
    rows = shown.split("\n")[1:-1]
    assert len(rows) == len(d.equations)
    assert r"\tag" not in shown  # not allowed within aligned
    numbers = re.findall(r"\\qquad \((\d+)\)", shown)
    assert numbers == [str(k) for k in d.gradients.numbers.values()]
    assert len({row.count("&") for row in rows if "cases" not in row}) <= 1


def shown(d):
    yield d._repr_latex_()
    for item in (*d.equations, *d.steps, *(s.before for s in d.steps)):
        yield item._repr_latex_()


def test_only_common_commands_are_used(d):
    for latex in shown(d):
        assert latex.startswith("$$") and latex.endswith("$$") and "$" not in latex[2:-2]
        found = set(re.findall(r"\\(?:[A-Za-z]+\*?|.)", latex))
        assert found <= COMMANDS, found - COMMANDS
        assert set(re.findall(r"\\begin\{(\w+)\}", latex)) <= {"aligned", "cases"}
        assert latex.count("{") - latex.count(r"\{") == latex.count("}") - latex.count(r"\}")


def test_latex2mathml_reads_each(d):
    for latex in shown(d):
        inside = re.sub(r"\\tag\{[^}]*\}", "", latex[2:-2]).replace("{aligned}", "{split}")
        mathml = convert(inside)
        assert "<merror" not in mathml
        assert "\\" not in mathml


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_pdflatex_sets_each(d, tmp_path):
    body = "\n\n".join(
        f"{latex[2:-2]}".join((r"\begin{equation*}", r"\end{equation*}")) for latex in shown(d)
    )
    document = (
        "\\documentclass{article}\n\\usepackage[paperwidth=2000pt]{geometry}\n"
        f"\\usepackage{{amsmath}}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    )
    (tmp_path / "shown.tex").write_text(document)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "shown.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-1500:]


def test_one_equation():
    d = derive.differentiate(SOFTMAX, ["W", "b"])
    assert d.equations[-1]._repr_latex_() == (
        r"$$\bar{W}_{ik} = \sum_{n} x_{ni}\, \bar{z}_{nk} "
        r"\qquad \bar{W} = X^{\top}\, \bar{Z} \tag{7}$$"
    )
    last = [s for s in d.steps if s.after.target == "W_bar"][-1]
    assert last._repr_latex_() == (
        r"$$\text{Kronecker delta:}\quad \bar{W}_{ik} = \sum_{n} x_{ni}\, \bar{z}_{nk} \tag{7}$$"
    )


def test_every_kind_of_derivation_shows_itself():
    text = "L = sum[n](exp(x[n])*c[n])"
    for d in (
        pipeline.hessian(text, "x"),
        pipeline.hvp(text, "x"),
        pipeline.vjp("y[n] = exp(x[n])", "x"),
        pipeline.jacobian("y[n] = exp(x[n])", "x"),
    ):
        assert d._repr_latex_().startswith("$$")
        assert all(step._repr_latex_() for step in d.steps)
