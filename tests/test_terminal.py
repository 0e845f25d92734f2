"""A derivation in a terminal: its width, its columns, its numbers, its colors and its encoding."""

import io
import os
import pty
import re
import subprocess
import sys
from functools import cache

import pytest

from derive import pipeline
from derive.pages import terminal
from derive.pages.chains import Chains
from derive.pages.terminal_rows import PLAIN, Style, columns_of, style_of
from derive.printing.likewise import alike
from derive.printing.line_breaks import lines, width

SQUARES = "L = sum[n]((y[n] - sum[i](X[n,i]*w[i]))**2)"
CASES = {
    "squares": (SQUARES, "w", {}),
    "softmax": (
        "z[n,k] = sum[i](x[n,i]*W[i,k]) + b[k]\n"
        "L = mean[n](-log(exp(z[n,y[n]])/sum[k](exp(z[n,k]))))",
        "W b",
        {},
    ),
    "convolution": (
        "y[p] = sum[k](x[2*p+k-1]*w[k]) + b\nL = sum[p](relu(y[p])**2)",
        "w x b",
        {"p": 7},
    ),
    "pooling": ("y[p] = max[k](x[2*p+k])\nL = sum[p](y[p]**2)", "x", {"p": 4, "k": 2}),
    "norm": (
        "mu[d] = mean[n](x[n,d])\nvar[d] = mean[n]((x[n,d] - mu[d])**2)\n"
        "L = sum[n,d](c[n,d]*(gamma[d]*(x[n,d] - mu[d])/sqrt(var[d] + eps) + beta[d]))",
        "x gamma beta",
        {},
    ),
    "recurrence": (
        "h[t,j] = tanh(sum[k](h[t-1,k]*U[k,j]) + u[t,j])\nh[-1,j] = h0[j]\n"
        "L = sum[j](h[T-1,j]*c[j])",
        "U h0",
        {},
    ),
    "cases": (
        "L = sum[n](where(abs(x[n]) > 1 and x[n] < c, x[n]**3, -exp(-x[n])/3)"
        "*maximum(a[n], b[n]) + x[n]%3)",
        "x a",
        {},
    ),
    "long names": (
        "L = sum[n]("
        + " + ".join(f"exp(first_{k}[n]*second_{k}[n]*a_name_of_some_length[n])" for k in range(9))
        + ")",
        "first_3 second_8 a_name_of_some_length",
        {},
    ),
    "deep": (
        "\n".join(f"a_{k}[n] = sigmoid(a_{k - 1}[n]*w_{k}[n])" for k in range(1, 9))
        + "\nL = sum[n](a_8[n])",
        "w_1 w_2",
        {},
    ),
}
FORMULAS = Style(unicode=False)
PAINT = re.compile(r"\x1b\[[\d;]*m")


@cache
def derived(case):
    text, wrt, sizes = CASES[case]
    return pipeline.differentiate(text, wrt.split(), sizes=sizes).gradients


@cache
def shown(case, columns, style):
    return list(terminal.derivation(derived(case), columns, style))


@pytest.fixture(params=CASES)
def case(request):
    return request.param


def squares(style=PLAIN, columns=80):
    gradients = pipeline.differentiate(SQUARES, "w").gradients
    return list(terminal.derivation(gradients, columns, style))


def test_least_squares():
    assert (
        "\n".join(squares())
        == """\
Forward
  s[n] = ∑ᵢ X[n,i]·w[i]       s = X w                                        (1)
     L = ∑ₙ (y[n] − s[n])²    L = ‖y − s‖²                                   (2)

Steps
  w̄ is the derivative of L by w.

s̄, through (2)
  chain rule         s̄[n] = ∑ₙ′ ∂/∂s[n′]((y[n′] − s[n′])²)·δ[n,n′]         (3.1)
  local derivative        = ∑ₙ′ 2·(s[n′] − y[n′])·δ[n,n′]                  (3.2)
  Kronecker delta         = 2·(s[n] − y[n])                                  (3)
                            since n′ = n
  matrix form           s̄ = 2 (s − y)

w̄, through (1)
  chain rule         w̄[i] = ∑ₙᵢ′ s̄[n]·∂/∂w[i′](X[n,i′]·w[i′])·δ[i,i′]      (4.1)
  local derivative        = ∑ₙᵢ′ X[n,i′]·s̄[n]·δ[i,i′]                      (4.2)
  Kronecker delta         = ∑ₙ X[n,i]·s̄[n]                                   (4)
                            since i′ = i
  matrix form           w̄ = Xᵀ s̄

Result
  s̄[n] = 2·(s[n] − y[n])    s̄ = 2 (s − y)                                    (3)
  w̄[i] = ∑ₙ X[n,i]·s̄[n]     w̄ = Xᵀ s̄                                         (4)"""
    )


@pytest.mark.parametrize("style", [PLAIN, FORMULAS])
@pytest.mark.parametrize("columns", [40, 80])
def test_no_line_is_too_wide(case, columns, style):
    found = shown(case, columns, style)
    assert max(map(width, found)) <= columns
    assert all(line == line.rstrip() for line in found)


def test_numbers_stand_at_the_right_and_are_those_of_the_code(case):
    gradients, found = derived(case), shown(case, 80, PLAIN)
    tagged = [line for line in found if re.search(r"  \(([\dA-Z.]+)\)$", line)]
    assert all(width(line) == 80 for line in tagged)
    start, end = found.index("Steps"), found.index("Result")
    for part in (found[:start], found[end:]):
        for line in part:
            if number := re.search(r"  \((\d+)\)$", line):
                assert int(number[1]) in gradients.numbers.values()
    wanted = {line.number for chain in Chains(gradients).chains for line in chain.lines}
    there = {m[1] for line in tagged if (m := re.search(r"\(([\dA-Z.]+)\)$", line))}
    mains = {number for number in wanted if "." not in number}
    assert mains <= there <= wanted | {str(k) for k in gradients.numbers.values()}


def test_equations_are_aligned_at_their_sign(case):
    """Within a chain every line with a rule has its `=` in one column."""
    chains = Chains(derived(case))
    for chain in chains.chains:
        found = list(terminal.Screen(chains, 120, PLAIN).chain(chain))
        columns: list[set[int]] = [set()]
        for line in found[1:]:
            if "through" in line or "all uses" in line:
                columns.append(set())
            elif line[:21].strip() and " = " in line[21:].partition("since")[0]:
                columns[-1].add(width(line[: line.index(" = ", 20)]))
        assert all(len(where) <= 1 for where in columns)


def test_no_character_is_lost(case):
    """Side by side, the lines of the narrowest are those of a very wide one."""

    def text(columns, style):
        return sorted("".join(shown(case, columns, style)).replace(" ", ""))

    for style in (PLAIN, FORMULAS):
        assert text(80, style) == text(2000, style)


def test_formulas_read_as_they_are_written(case):
    """Without Unicode each equation is `str(equation)`, in characters that ASCII has."""
    found = "".join(shown(case, 80, FORMULAS))
    assert found.isascii()
    whole = re.sub(r"\s", "", found)
    for e, _ in alike(derived(case).equations, lambda e: (e,)):
        assert re.sub(r"\s", "", str(e)) in whole


def test_color_changes_nothing_else(case):
    plain, colored = shown(case, 80, PLAIN), shown(case, 80, Style(colored=True))
    assert not any("\x1b" in line for line in plain)
    assert any("\x1b" in line for line in colored)
    assert [PAINT.sub("", line).rstrip() for line in colored] == plain
    assert all(line.count("\x1b[0m") * 2 == line.count("\x1b[") for line in colored)


def test_what_layers_have_in_common_is_shown_once():
    found = "\n".join(shown("deep", 80, PLAIN))
    assert "  likewise for layers 2, 3, ..., 8: (2), (3), ..., (8)\n" in found
    assert "a⁽¹⁾[n] = σ(a⁽⁰⁾[n]·w⁽¹⁾[n])" in found
    assert "a⁽³⁾[n] = " not in found


def test_kinks_name_their_conventions():
    gradients = pipeline.differentiate("L = sum[n](relu(x[n]))", "x").gradients
    found = list(terminal.derivation(gradients, 80, PLAIN))
    assert found[found.index("Conventions at kinks") + 1] == "  relu'(0) = 0"


def test_a_form_of_too_many_terms_is_left_out():
    terms = " + ".join(f"x[n]*c_{k}[n]*u_{k}[n]" for k in range(180))
    gradients = pipeline.differentiate(f"L = sum[n]({terms})", "x").gradients
    for style in (PLAIN, FORMULAS):
        found = list(terminal.derivation(gradients, 80, style))
        assert any("(more terms than a page should hold)" in line for line in found)
        assert len(found) < 60


@pytest.mark.parametrize(
    ("derivation", "wanted"),
    [
        (pipeline.hessian("L = sum[n](x[n]**3)", "x"), "x_hessian is the Hessian of L by x."),
        (
            pipeline.hvp("L = sum[n](x[n]**3)", "x"),
            "x_hvp is the Hessian of L by x, times the direction.",
        ),
        (
            pipeline.jacobian("y[n] = x[n]**3", "x"),
            "x_jacobian is the derivative of y by x, the indices of y first.",
        ),
        (
            pipeline.vjp("y[n] = x[n]**3", "x"),
            "x̄ is the derivative of the sum of y, each element weighted, by x.",
        ),
        (
            pipeline.hessian("x_hessian[n] = 2*x[n]\nL = sum[n](x_hessian[n]*x[n]*x[n])", "x"),
            "x_hessian_1 is the Hessian of L by x.",
        ),
        (
            pipeline.differentiate("x_bar = mean[n](x[n])\nL = sum[n](x_bar*x[n]*x[n])", "x"),
            "x̄ is the derivative of L by x.",
        ),
    ],
)
def test_it_says_what_is_derived(derivation, wanted):
    found = list(terminal.derivation(derivation.gradients, 80, PLAIN))
    assert f"  {wanted}" in found


# Where a line ends.


@pytest.mark.parametrize(
    ("text", "room", "wanted"),
    [
        ("a·b + c·d", 9, ["a·b + c·d"]),
        ("aaaa·bbbb + cccc·dddd", 16, ["aaaa·bbbb", "+ cccc·dddd"]),
        ("aaaa·(b + c)·d", 9, ["aaaa", "·(b + c)", "·d"]),
        ("aaaaaaaa·bbbb/cc[i + 1]", 15, ["aaaaaaaa·bbbb", "/cc[i + 1]"]),
        ("∑ₙ x[n]·y[n]", 9, ["∑ₙ x[n]", "·y[n]"]),
        ("x**2*y", 5, ["x**2", "*y"]),
        ("W̄X̄Z̄", 2, ["W̄X̄", "Z̄"]),
        ("f(aaaa, bbbb)", 8, ["f(aaaa,", "bbbb)"]),
    ],
)
def test_lines_end_at_signs(text, room, wanted):
    assert lines(text, room, room) == wanted


# What standard output is.


class Stream(io.StringIO):
    def __init__(self, terminal, encoding):
        super().__init__()
        self.terminal, self.coding = terminal, encoding

    encoding = property(lambda self: self.coding)

    def isatty(self):
        return self.terminal


@pytest.mark.parametrize(
    ("stream", "environment", "wanted"),
    [
        (Stream(True, "utf-8"), {"TERM": "xterm"}, Style(True, True)),
        (Stream(False, "utf-8"), {"TERM": "xterm"}, Style(False, True)),
        (Stream(True, "utf-8"), {"TERM": "dumb"}, Style(False, True)),
        (Stream(True, "utf-8"), {"NO_COLOR": "1"}, Style(False, True)),
        (Stream(True, "utf-8"), {"NO_COLOR": ""}, Style(True, True)),
        (Stream(True, "ascii"), {}, Style(True, False)),
        (Stream(False, "latin-1"), {}, Style(False, False)),
        (Stream(False, None), {}, Style(False, False)),
    ],
)
def test_the_style_follows_the_stream(stream, environment, wanted):
    assert style_of(stream, environment) == wanted


def test_a_pipe_has_80_columns_and_a_terminal_its_own(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert columns_of(Stream(False, "utf-8")) == 80
    assert columns_of(Stream(True, "utf-8")) == 100
    monkeypatch.setenv("COLUMNS", "20")
    assert columns_of(Stream(True, "utf-8")) == 40


COMMAND = [sys.executable, "-m", "derive", "gradient", SQUARES, "--wrt", "w"]


def run(**environment):
    return subprocess.run(
        COMMAND, capture_output=True, env={**os.environ, **environment}, check=True
    ).stdout


def test_in_a_pipe_it_is_plain():
    assert run(PYTHONIOENCODING="utf-8").decode().splitlines() == squares()


def test_without_unicode_it_is_formulas():
    assert run(PYTHONIOENCODING="ascii").decode("ascii").splitlines() == squares(FORMULAS)


def test_on_a_terminal_it_is_colored():
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(COMMAND, stdout=slave, env=environment) as process:
        os.close(slave)
        parts = []
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            parts.append(part)
    os.close(master)
    assert process.returncode == 0
    found = b"".join(parts).decode().replace("\r\n", "\n").splitlines()
    assert found == squares(Style(colored=True))
    assert [PAINT.sub("", line) for line in found] == squares()
