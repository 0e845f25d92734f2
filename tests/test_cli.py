"""The command `derive`: what it prints, what it writes, and its exit codes."""

import os
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
from networks import TINY

from derive.__main__ import main
from derive.network_derivation import NetworkDerivation
from derive.printing.line_breaks import width

SQUARES = "L = sum[n]((y[n] - sum[i](X[n,i]*w[i]))**2)"


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def run(capsys, *arguments):
    """Exit code, stdout and stderr of a command."""
    try:
        code = main([str(a) for a in arguments])
    except SystemExit as exit_:  # argparse
        code = exit_.code
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_help_does_not_load_sympy():
    program = (
        "import sys, derive.__main__ as command\n"
        "try:\n    command.main(['--help'])\n"
        "except SystemExit:\n"
        "    print([name for name in ('sympy', 'numpy', 'jinja2') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("[]\n")
    for command in ("generate", "gradient", "check", "layers", "train"):
        assert command in done.stdout


def test_the_module_can_be_run():
    done = subprocess.run(
        [sys.executable, "-m", "derive", "gradient", "L = x**2", "--wrt", "x"],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "x̄ = 2·x" in done.stdout


# generate


def test_generate_writes_module_and_derivation(capsys, spec, tmp_path):
    out = tmp_path / "new" / "folder"
    code, printed, errors = run(capsys, "generate", spec, "--out", out)
    assert (code, errors) == (0, "")
    names = ["tiny.py", "tiny.tex", "tiny.html"]
    assert {path.name for path in out.iterdir()} == {*names}
    assert printed.splitlines() == [str(out / name) for name in names]


def test_unchanged_files_are_left_alone(capsys, spec, tmp_path):
    run(capsys, "generate", spec, "--out", tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    _, printed, _ = run(capsys, "generate", spec, "--out", tmp_path)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == before
    assert printed.count("(unchanged)") == 3


def test_markdown_is_written_where_it_is_asked_for(capsys, spec, tmp_path):
    code, _, errors = run(capsys, "generate", spec, "--out", tmp_path, "--md")
    assert (code, errors) == (0, "")
    assert "```math" in (tmp_path / "tiny.md").read_text(encoding="utf-8")


WRONG_SPECS = {
    "no file": (None, "No such file"),
    "syntax": ("name = ", "3:"),
    "unknown key": (TINY.replace("units = 5", "unit = 5"), "units"),
    "unknown layer": (TINY.replace('"dense"', '"danse"'), "dense"),
    "unknown loss": (TINY.replace("softmax_cross", "softmax_kross"), "softmax_cross_entropy"),
    "a size that is none": (TINY.replace("units = 5", "units = true"), "units"),
    "a name that is code": (TINY.replace('"tiny"', '"os.abort()"'), "name"),
    "a name that is a path": (TINY.replace('"tiny"', '"../tiny"'), "name"),
    "not text": (b"\xff\xfe\x00", ""),
}


@pytest.mark.parametrize("case", WRONG_SPECS)
def test_a_wrong_spec_is_one_message_and_changes_nothing(case, capsys, spec, tmp_path):
    content, message = WRONG_SPECS[case]
    wrong = tmp_path / "wrong.toml"
    if isinstance(content, str):
        wrong.write_text("\n\n" + content)
    elif content:
        wrong.write_bytes(content)
    out = tmp_path / "out"
    code, printed, errors = run(capsys, "generate", spec, wrong, "--out", out)
    assert (code, printed) == (2, "")
    assert "wrong.toml" in errors and message in errors
    assert "Traceback" not in errors
    assert not out.exists()


def test_two_specs_of_one_name_are_refused(capsys, spec, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text(TINY)
    code, _, errors = run(capsys, "generate", spec, other, "--out", tmp_path / "out")
    assert code == 2
    assert "tiny" in errors
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_a_message(capsys, spec, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, errors = run(capsys, "generate", spec, "--out", tmp_path / "file")
    assert code == 2
    assert "Traceback" not in errors
    assert str(tmp_path / "file") in errors


# gradient


def test_gradient_prints_the_derivation_in_80_columns(capsys):
    code, printed, errors = run(capsys, "gradient", SQUARES, "--wrt", "w")
    assert (code, errors) == (0, "")
    assert max(map(width, printed.splitlines())) <= 80
    for part in ("Forward", "Steps", "chain rule", "local derivative", "Kronecker delta", "Result"):
        assert part in printed
    assert printed.splitlines()[-1].startswith("  w̄[i] = ∑ₙ X[n,i]·s̄[n]     w̄ = Xᵀ s̄ ")


def test_long_lines_are_wrapped(capsys):
    formula = "L = sum[n](" + " + ".join(f"exp(first_{k}[n]*second_{k}[n])" for k in range(9)) + ")"
    code, printed, _ = run(capsys, "gradient", formula, "--wrt", "first_3, second_8")
    assert code == 0
    assert max(map(width, printed.splitlines())) <= 80
    assert "f̅i̅r̅s̅t̅⁽³⁾[n] = " in printed and "s̅e̅c̅o̅n̅d̅⁽⁸⁾[n] = " in printed


def test_gradient_prints_a_document_or_the_source(capsys):
    _, latex, _ = run(capsys, "gradient", SQUARES, "--wrt", "w", "--latex")
    assert latex.startswith("\\documentclass")
    _, html, _ = run(capsys, "gradient", SQUARES, "--wrt", "w", "--html")
    assert html.startswith("<!DOCTYPE html>") and html.endswith("</html>\n")
    command = [sys.executable, "-m", "derive", "gradient", SQUARES, "--wrt", "w", "--html"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    coded = subprocess.run(command, capture_output=True, env=environment, check=True).stdout
    assert unescape(coded.decode("ascii")) == unescape(html)
    _, markdown, _ = run(capsys, "gradient", SQUARES, "--wrt", "w", "--md")
    assert markdown.startswith("# ") and "```math" in markdown
    _, source, _ = run(capsys, "gradient", SQUARES, "--wrt", "w", "--source")
    compile(source, "source", "exec")
    assert "def value_and_grad(" in source


def test_sizes_can_be_given(capsys):
    formula = "L = sum[p,k](x[p+k]*w[k])"
    code, printed, _ = run(capsys, "gradient", formula, "--wrt", "w", "--size", "p=7")
    assert code == 0
    assert "w̄[k] = ∑ₚ x[k+p]" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["L = foo(x", "--wrt", "x"], "<formula>:1:"),
        (["L = sum[i](x[i])", "--wrt", "q"], "q"),
        (["y[i] = x[i]", "--wrt", "x"], "scalar"),
        (["L = x", "--wrt", ""], "wrt"),
        (["L = sum[p](x[p])", "--wrt", "x", "--size", "p"], "--size p=7"),
        (["L = x"], "--wrt"),
        (["L = x", "--wrt", "x", "--latex", "--source"], "--latex"),
        (["L = x", "--wrt", "x", "--html", "--md"], "--html"),
    ],
)
def test_a_wrong_formula_is_one_message(arguments, message, capsys):
    code, printed, errors = run(capsys, "gradient", *arguments)
    assert (code, printed) == (2, "")
    assert message in errors
    assert "Traceback" not in errors


# check, layers, train


def test_check_prints_a_table(capsys, spec):
    code, printed, errors = run(capsys, "check", spec)
    assert (code, errors) == (0, "")
    rows = printed.splitlines()
    assert [row.split()[0] for row in rows[1:]] == [
        "dense_1.W",
        "dense_1.b",
        "dense_2.W",
        "dense_2.b",
        "input",
    ]
    assert all(row.endswith("ok") for row in rows[1:])
    assert max(map(len, rows)) <= 80


def test_check_exits_1_where_a_gradient_is_wrong(capsys, spec, monkeypatch):
    right = NetworkDerivation.source

    def wrong(derived):
        return right(derived).replace("out=ws.b_1_bar)", "out=ws.b_1_bar); ws.b_1_bar *= 1.001")

    monkeypatch.setattr(NetworkDerivation, "source", wrong)
    code, printed, _ = run(capsys, "check", spec)
    assert code == 1
    assert [row.split()[0] for row in printed.splitlines() if "WRONG" in row] == ["dense_1.b"]


def test_layers_lists_the_library_with_its_formulas(capsys):
    code, printed, _ = run(capsys, "layers")
    assert code == 0
    for entry in ("layer dense(units", "activation relu", "loss mse", "optimizer adam("):
        assert entry in printed
    assert max(map(len, printed.splitlines())) <= 80
    code, printed, errors = run(capsys, "layers", "dens")
    assert (code, printed) == (2, "")
    assert "dense" in errors


def test_layers_shows_what_an_entry_leads_to(capsys):
    expected = """\
layer dense(units, bias=true)

Fields
    units: an integer above 0
    bias: true or false; default true

Formula of x[...,i]
    z[...,j] = sum[i](x[...,i] * W[i,j]) + b[j]

Parameters
    W[i,j]: glorot_uniform
    b[j]: zeros, where bias

Sizes
    J = units

Cotangents
    b_bar[j] = sum[...](z_bar[...,j])
    W_bar[i,j] = sum[...](x[...,i]*z_bar[...,j])
    x_bar[...,i] = sum[j](z_bar[...,j]*W[i,j])
"""
    assert run(capsys, "layers", "dense") == (0, expected, "")


WINE = TINY.replace("[4]", "[13]").replace("epochs = 3", "epochs = 12")


def test_train_reports_the_figures_of_the_test(capsys, tmp_path):
    pytest.importorskip("sklearn")
    path = tmp_path / "wine.toml"
    path.write_text(WINE)
    code, printed, errors = run(capsys, "train", path, "--data", "wine")
    assert code == 0
    assert "epoch 12/12" in errors
    assert "134 samples to train on, 44 held out" in printed
    accuracy = float(printed.split("test accuracy ")[1])
    assert accuracy > 0.8
    assert run(capsys, "train", path, "--data", "wine")[1] == printed


def test_train_says_what_does_not_fit(capsys, spec):
    pytest.importorskip("sklearn")
    code, _, errors = run(capsys, "train", spec, "--data", "wine")
    assert code == 2
    assert "expected shape (N, 4), given (134, 13)" in errors
    code, _, errors = run(capsys, "train", spec, "--data", "text")
    assert code == 2
    assert "must be tokens" in errors
    code, _, errors = run(capsys, "train", spec, "--data", "flowers")
    assert code == 2
    assert "digits" in errors


def test_train_needs_scikit_learn(capsys, spec, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    code, _, errors = run(capsys, "train", spec, "--data", "wine")
    assert code == 2
    assert "pip install scikit-learn" in errors


def test_there_is_a_command_in_the_package():
    assert "derive.__main__:main" in Path("pyproject.toml").read_text()
