"""`derive explain`: the equation and the steps behind a line of a generated module."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from networks import ROOT, SPECS, TINY, committed, committed_files, deep, derived

import derive
from derive import module_origin, pipeline
from derive.__main__ import main
from derive.code.citations import citations
from derive.explanation import MANY, Explanation, difference
from derive.pages.derivation_sections import LABEL
from derive.pages.document import Display, Row
from derive.pages.latex_rows import TAG, access_latex, broken
from derive.pages.terminal import Screen
from derive.pages.terminal_rows import Style
from derive.printing.latex_layout import LINE

IN_FORMULAS = Style(unicode=False)


@pytest.fixture(scope="module", params=SPECS, ids=lambda path: path.stem)
def network(request):
    """What a spec's module was generated from, and its explanation."""
    subject = module_origin.of_network(committed(request.param))
    return subject, explanation(subject, Style()), request.param


def explanation(subject, style=IN_FORMULAS):
    return Explanation(subject, subject.text, Path("net.py"), 100, style)


def explained(subject, line, last=None, style=IN_FORMULAS):
    return "\n".join(explanation(subject, style).lines(line, last or line))


def collapsed(text):
    return "".join(text.split())


def test_every_line_can_be_explained(network):
    subject, explain, _ = network
    lines = subject.text.split("\n")
    cited = {k: c for c in citations(subject.text) if c.numbers for k in range(c.first, c.last + 1)}
    assert len(cited) > 50
    for k in range(1, len(lines) + 1):
        shown = [*explain.lines(k, k)]
        assert shown[0].startswith(f"net.py:{k}")
        if lines[k - 1].strip():
            assert f"  {lines[k - 1].rstrip()}" in shown
        if k not in cited:
            assert "This line cites no equation." in shown
            assert re.fullmatch(r"  line \d+( in [\w.]+)? cites \(\d+\).*", shown[-1])
            continue
        heads = [int(n) for n in re.findall(r"^\((\d+)\) of ", "\n".join(shown), re.MULTILINE)]
        assert heads == [*dict.fromkeys(n for n in cited[k].numbers[:MANY])]


def test_the_equation_printed_is_the_one_that_the_code_states(network):
    subject, explain, _ = network
    lines = subject.text.split("\n")
    for c in citations(subject.text):
        if c.is_statement or len(c.numbers) != 1:
            continue
        stated = collapsed(" ".join(k.strip().lstrip("# ") for k in lines[c.first - 1 : c.last]))
        if "[l" in stated:
            continue  # of many layers, in a loop
        number = c.numbers[0]
        group, equation = subject.find(number)
        assert f"({number}){collapsed(str(equation))}" == stated
        printed = collapsed("".join(explain.equation(number, c.first).lines[1:]))
        notation = Screen(group.chains, 100, Style()).notation
        shown = collapsed("=".join(notation.equation(equation)))
        assert shown in printed.partition(f"({number})")[0]


def written(sections):
    """The right sides that a page has under each number: where it is at home, and in lists.

    The four equations are in other symbols, and what the code computes has other forms.
    """
    found = {}
    for section in sections:
        if section.title in ("The four equations of backpropagation", "As computed"):
            continue
        for block in section.blocks:
            text = ""
            for row, *_ in block.lines if isinstance(block, Display) else ():
                goes_on = row.right.startswith((r"\qquad ", r"\quad = "))
                text = text + row.right if goes_on else row.right
                if row.number:
                    found.setdefault(row.number, set()).add(text)
                    text = ""
        for number, texts in written(section.parts).items():
            found.setdefault(number, set()).update(texts)
    return found


def test_it_is_the_one_under_that_number_on_the_page(network):
    subject, _, spec = network
    page = written(committed(spec).document.sections)
    numbers = {n for c in citations(subject.text) for n in c.numbers}
    assert len(page.keys() & set(map(str, numbers))) > 20
    for number in numbers:
        group, equation = subject.find(number)
        names = group.chains.names
        row = Row(access_latex(equation, names))
        rooms = (LINE - TAG, LINE - TAG - LABEL)  # alone, and in a chain of steps
        ours = {"".join(r.right for r in broken(equation, row, names, room)) for room in rooms}
        # Of layers that are alike one is shown.
        assert page.get(str(number), ours) <= ours, number


def test_its_steps_are_those_of_the_page(network):
    _, explain, spec = network
    page = committed_files(spec)[f"{spec.stem}.tex"]
    steps = re.compile(r"\((\d+\.\d+)\)$", re.MULTILINE)
    seen = set()
    for number in {n for c in explain.found for n in c.numbers}:
        seen |= set(steps.findall("\n".join(explain.equation(number, 1).lines)))
    on_page = set(re.findall(r"\\eqtarget\{(\d+\.\d+)\}", page))
    # What reads the same in Unicode, a factor before a fraction or in it, is one line there.
    assert seen <= on_page and len(seen) > 0.9 * len(on_page)


def at(text, code, function=""):
    """The number of the first line with this code, after a function's head."""
    start = text.index(f"def {function}(") if function else 0
    return text[: text.index(code, start)].count("\n") + 1


@pytest.fixture(scope="module")
def tiny():
    return module_origin.of_network(derived(f"second_order = true\n{TINY}"))


def test_a_cotangent_is_led_to_from_the_forward_equation(tiny):
    text = explained(tiny, at(tiny.text, "ws.W_2_bar)  # ("))
    for part in (
        "in backward_pass",
        "np.dot(ws.a_1_T, ws.z_2_bar, out=ws.W_2_bar)",
        "W_2_bar[j,k] = sum[n](a_1[n,j]*z_2_bar[n,k])",
        "Comes through\n  z_2[n,k] = sum[j](a_1[n,j]*W_2[j,k]) + b_2[k]",
        "(3) is of layer dense_2, dense",
        "chain rule",
        "local derivative",
        "Kronecker delta",
        "matrix form",
    ):
        assert part in text, part


def test_a_forward_equation_is_its_layer_s_and_has_cotangents(tiny):
    text = explained(tiny, at(tiny.text, "np.dot(", "forward_pass"))
    assert "From layer dense_1, dense\n  z[...,j] = sum[i](x[...,i] * W[i,j]) + b[j]" in text
    back = text.partition("Cotangents that go back through it")[2]
    assert re.findall(r"(\w+)\[[\w,]+\] =", back) == ["b_1_bar", "W_1_bar", "x_bar"]


def test_the_loss_is_its_formula_s(tiny):
    text = explained(tiny, at(tiny.text, "L = ", "forward_pass"))
    assert "From the loss, softmax_cross_entropy" in text


def test_an_update_is_the_optimizer_s(tiny):
    text = explained(tiny, at(tiny.text, "np.subtract(w,", "update"))
    assert "of the update, one step of adam" in text
    assert "From optimizer adam" in text and "sqrt(v_next[...]" in text


def test_the_gradient_of_a_sample_points_to_that_of_all(tiny):
    text = explained(tiny, at(tiny.text, "out=ws.W_2_bar)", "per_sample_pass"))
    assert "of the gradient of each sample" in text
    assert re.search(r"In the derivation it is \(\d+\)\n  W_2_bar\[j,k\] = sum\[n\]", text)


def test_second_derivatives_have_their_steps(tiny):
    text = explained(tiny, at(tiny.text, "out=ws.W_1_hvp)", "second_pass"))
    assert "of the Hessian times a direction" in text and "chain rule" in text


def test_initial_values_and_weighted_losses(tiny):
    text = explained(tiny, at(tiny.text, "[...] = 0  # (", "init"))
    assert "of the initial values" in text and "w[p] = 0" in text
    text = explained(tiny, at(tiny.text, "return L, z_2_bar", "weighted_loss") - 1)
    assert "sample_weight[n]" in text and "chain rule" in text


def test_several_lines_are_explained_once_each(tiny):
    first = at(tiny.text, "# (1) z_1")
    text = explained(tiny, first, first + 4)
    assert re.findall(r"^\((\d+)\) of", text, re.MULTILINE) == ["1", "2"]


def test_a_line_that_cites_nothing_says_where_the_next_is(tiny):
    line = at(tiny.text, "return L", "forward_pass")
    text = explained(tiny, line)
    assert "This line cites no equation." in text
    assert "forward_pass: The loss of the batch" in text
    assert re.search(rf"line {line - 1} cites \(\d+\)", text)
    assert "line " in explained(tiny, 1)  # in no function
    assert explained(tiny, at(tiny.text, "ws.y = _empty", "per_sample_grad"))


def test_layers_in_a_loop_are_explained_by_the_first_ones():
    subject = module_origin.of_network(derived(deep(12)))
    line = at(subject.text, "np.dot(ws.W_T[l], ws.a[l - 1]", "forward_pass")
    text = explained(subject, line)
    assert "In the loop it computes (3), (5), (7), ..., (21)." in text
    assert "From layer dense_2, dense" in text and "From layer dense_4, dense" in text
    line = at(subject.text, "ws.W_bar[l]", "backward_pass")
    text = explained(subject, line)
    number = re.search(r"^\((\d+)\) of", text, re.MULTILINE)[1]
    assert number in text
    assert text.count("Steps") == 1 and text.count("Its steps are those of (") == MANY - 1


# The command.


def run(capsys, *arguments):
    code = main(["explain", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A spec, its module beside `specs`, and no other spec in sight."""
    (tmp_path / "specs").mkdir()
    (tmp_path / "generated").mkdir()
    (tmp_path / "elsewhere").mkdir()
    spec = tmp_path / "specs" / "tiny.toml"
    spec.write_text(TINY)
    (tmp_path / "generated" / "tiny.py").write_text(pipeline.derive_network(spec).source())
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def test_the_command(capsys, folder):
    module = folder / "generated" / "tiny.py"
    line = at(module.read_text(), "ws.W_2_bar)  # (")
    code, out, err = run(capsys, f"{module}:{line}")
    assert (code, err) == (0, "")
    assert "Steps" in out and "(9)" in out
    code, out, _ = run(capsys, f"{module}:{line}-{line + 3}")
    assert code == 0 and "(10)" in out
    code, out, _ = run(capsys, f"{module}:3")
    assert code == 0 and "cites no equation" in out


def test_a_committed_module_is_explained():
    module = "generated/two_layer_regression.py"
    place = f"{module}:{at((ROOT / module).read_text(encoding='utf-8'), 'np.dot(')}"
    done = subprocess.run(
        [sys.executable, "-m", "derive", "explain", place],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{place}, in forward")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("tiny.py", "write FILE:LINE"),
        ("tiny.py:", "write FILE:LINE"),
        ("tiny.py:x", "write FILE:LINE"),
        ("tiny.py:1-2-3", "write FILE:LINE"),
        (":12", "write FILE:LINE"),
        ("tiny.py:0", "has the lines 1 to"),
        ("tiny.py:99999999999999999999999999", "has the lines 1 to"),
        ("tiny.py:9-8", "has the lines 1 to"),
        ("nowhere.py:1", "No such file"),
        (".:1", "directory"),
    ],
)
def test_a_place_that_is_none(capsys, folder, monkeypatch, place, message):
    monkeypatch.chdir(folder / "generated")
    code, out, err = run(capsys, place)
    assert (code, out) == (2, "")
    assert message in err and err.startswith("derive: ") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'"""A module."""\nx = 1\n', "is no module that derive generated"),
        (b"x = (\n", "other.py:1: this is no Python: '(' was never closed"),
        (b"\xff\xfe\n", "is no text"),
        (
            b'"""\nMade by\n\n    os.remove(formula)\n\nof the formula\n\n    L = x\n"""\n',
            "is no module",
        ),
        (
            b'"""\nMade by\n\n    derive.hvp(formula, wrt=f(), accuracy="exact")\n\n'
            b'of the formula\n\n    L = x\n"""\n',
            "is no module",
        ),
        (
            b'"""\nMade by\n\n    derive.hvp(formula, wrt=["x"], accuracy="exact")\n\n'
            b'of the formula\n\n    L = x +\n"""\n',
            "not a formula",
        ),
    ],
)
def test_a_file_that_is_no_generated_module(capsys, folder, content, message):
    path = folder / "generated" / "other.py"
    path.write_bytes(content)
    code, out, err = run(capsys, f"{path}:1")
    assert (code, out) == (2, "")
    assert message in err


def test_what_is_no_file_is_an_error_at_once(capsys, tmp_path):
    fifo = tmp_path / "fifo.py"
    os.mkfifo(fifo)
    for path in ("/dev/zero", fifo):
        code, out, err = run(capsys, f"{path}:1")
        assert (code, out) == (2, "") and err == f"derive: {path} is no file\n"


HOSTILE = "\x1b]0;title\x07 \u202e reversed \u2066"


def test_what_does_not_print_reaches_no_terminal(capsys, folder):
    module = folder / "generated" / f"tiny{HOSTILE}.py"
    (folder / "generated" / "tiny.py").rename(module)
    text = module.read_text()
    line = at(text, "ws.W_2_bar)  # (")
    lines = text.split("\n")
    found = at(text, "def forward_pass(")
    lines[found - 1] += f"  # {HOSTILE}"
    lines[found] = lines[found].replace('"""', f'"""{HOSTILE} ', 1)
    module.write_text("\n".join(lines))
    for place in (line, found, found + 1, 1, 99999):
        code, out, err = run(capsys, f"{module}:{place}")
        assert code == (2 if place == 99999 else 0), err
        assert "\\x1b]0;title\\x07 \\u202e reversed \\u2066" in out + err
        assert all(c.isprintable() or c == "\n" for c in out + err)
    module.write_text(f"x = {HOSTILE}")
    _, _, err = run(capsys, f"{module}:1")
    assert "this is no Python" in err and all(c.isprintable() or c == "\n" for c in err)


def test_a_module_that_was_moved_needs_its_spec(capsys, folder):
    moved = folder / "elsewhere" / "away" / "tiny.py"
    moved.parent.mkdir()
    moved.write_text((folder / "generated" / "tiny.py").read_text())
    line = at(moved.read_text(), "ws.W_2_bar)  # (")
    code, _, err = run(capsys, f"{moved}:{line}")
    assert code == 2 and "--spec PATH/tiny.toml" in err and "tiny.toml" in err
    spec = folder / "specs" / "tiny.toml"
    code, out, err = run(capsys, f"{moved}:{line}", "--spec", spec)
    assert (code, err) == (0, "") and "Steps" in out
    (folder / "elsewhere" / "specs").mkdir()
    (folder / "elsewhere" / "specs" / "tiny.toml").write_text(TINY)
    assert run(capsys, f"{moved}:{line}")[0] == 0  # in `specs` of the current folder
    other = folder / "other.toml"
    other.write_text(TINY.replace('"tiny"', '"other"'))
    code, _, err = run(capsys, f"{moved}:{line}", "--spec", other)
    assert code == 2 and "this spec is of other" in err


def test_a_stale_module(capsys, folder):
    module, spec = folder / "generated" / "tiny.py", folder / "specs" / "tiny.toml"
    text = module.read_text()
    line = at(text, "ws.W_2_bar)  # (")
    spec.write_text(TINY.replace("epochs = 3", "epochs = 4"))
    changed = at(text, "epochs=3")
    code, out, err = run(capsys, f"{module}:{line}")
    assert code == 0 and "Steps" in out
    assert f"first in line {changed}" in err and "still the same" in err
    spec.write_text(TINY.replace("tanh", "sigmoid"))
    code, out, err = run(capsys, f"{module}:{at(text, 'np.tanh(')}")
    assert (code, out) == (2, "")
    assert "stale or was edited" in err and "generate it again" in err
    spec.write_text(TINY)
    module.write_text(text.replace("# (9)", "# (99)"))
    code, out, err = run(capsys, f"{module}:{line}")
    assert (code, out) == (2, "") and "(99)" in err


def test_difference():
    assert difference("a\nb\n", "a\nb\n") is None
    assert difference("a\nb\n", "a\nc\n") == 2
    assert difference("a\n", "a\nb\n") == 2


# Modules of formulas.

TEXTS = {
    "plain": "L = sum[n]((y[n] - sum[i](X[n,i]*w[i]))**2)",
    "quotes": 'L = sum[i](w[i]**2)  # """ and \'\'\' and "',
    "backslashes": 'L = sum[i](w[i]**2)  # \\ \\n \\" \\x41 \\',
    "unicode": "L = sum[i](w[i]**2)  # é ∑ \u2028 \x0c \x1b[31m \ud800",
    "percent": "L = sum[i](w[i]**2)  # {{ w }} {% x %} %s {0}",
    "end": 'L = sum[i](w[i]**2)  #"',
    "origin": "L = sum[i](\n  w[i]**2)\n\n# of the formula\n\n# Made by\n#\n",
    "indented": "\n    a[i] = w[i]**2\n    # remark\n    L = sum[i](a[i])\n",
    "tabs": "\ta[i] = w[i]**2\n\tL = sum[i](a[i])\r\n",
    "long": "L = sum[i](" + " + ".join(f"{k}*w[i]**{k}" for k in range(1, 60)) + ")",
    "without spaces": "L=sum[i](" + "+".join(f"{k}*w[i]**{k}" for k in range(1, 60)) + ")",
    "long comment": "L = sum[i](w[i])  # " + '\\"x' * 200,
}


def without_comments(text):
    return [line.partition("#")[0].split() for line in text.split("\n") if line.partition("#")[0]]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("kind", [derive.differentiate, derive.hvp], ids=lambda k: k.__name__)
def test_a_formula_s_module_holds_the_formula(capsys, tmp_path, name, kind):
    made = kind(TEXTS[name], "w").source()
    docstring = made.partition("\nimport math\n")[0]
    assert all(len(line) < 100 for line in docstring.split("\n"))
    path = tmp_path / "f.py"
    path.write_text(made, encoding="utf-8")
    subject = module_origin.subject(path, made)
    assert subject.text == made
    compile(made, "f.py", "exec")
    line = at(made, "  # (")
    code, out, err = run(capsys, f"{path}:{line}")
    assert (code, err) == (0, "")
    assert "(1) of the derivation" in explained(subject, 3)
    assert " of the derivation" in out and "\x1b" not in out


def test_the_text_comes_back_as_it_was():
    for name in ("quotes", "backslashes", "unicode", "percent", "end", "long", "without spaces"):
        made = derive.differentiate(TEXTS[name], "w").source()
        words = made_docstring(made)
        assert module_origin.formula_origin.read(words).text == TEXTS[name]


def made_docstring(made):
    return ast.get_docstring(ast.parse(made), clean=False)


@pytest.mark.parametrize(
    "kind",
    [derive.differentiate, derive.vjp, derive.jacobian, derive.hessian, derive.hvp],
    ids=lambda k: k.__name__,
)
def test_kind_sizes_and_accuracy_come_back(tmp_path, kind):
    d = kind("L = sum[p](sum[k](x[p+k]*w[k])**3)", "w", {"p": 4}, "training")
    path = tmp_path / "f.py"
    path.write_text(d.source())
    assert module_origin.subject(path, d.source()).text == d.source()
    origin = module_origin.formula_origin.read(made_docstring(d.source()))
    assert (origin.wrt, origin.sizes, origin.accuracy) == (("w",), {"p": 4}, "training")


def test_a_formula_s_module_that_was_edited(capsys, tmp_path):
    path = tmp_path / "f.py"
    made = derive.differentiate(TEXTS["plain"], "w").source()
    line = at(made, "w_bar = ")
    path.write_text(made.replace("np.matmul(s_bar, X)", "2 * np.matmul(s_bar, X)"))
    code, out, err = run(capsys, f"{path}:{line}")
    assert code == 0 and f"first in line {line}" in err and "Kronecker" in out
    path.write_text(made.replace("    L = sum[n]", "    L = 2*sum[n]"))
    code, out, err = run(capsys, f"{path}:{at(made, 'L = np.')}")
    assert code == 2 and "stale or was edited" in err
