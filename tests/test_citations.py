"""Every statement that computes cites an equation, and what it cites stands on the page."""

import io
import re
import sys
import tokenize
from pathlib import Path

import pytest
from library_configurations import LAYERS, LOSSES
from networks import ROOT, SPECS, TINY, committed_files, deep, files, source, spec

import derive
from derive.code import citations
from derive.code.citations import FRAME, uncited
from derive.language.notation import DeriveError
from derive.library.definitions import library

TEMPLATES = ("network.py.jinja", "formula.py.jinja")


def shown(text):
    """The statements that should cite and do not, as a reader sees them."""
    lines = text.split("\n")
    return [f"{c.function}: {lines[c.first - 1].strip()}" for c in uncited(text)]


def cited(text):
    return {n for c in citations.citations(text) for n in c.numbers}


def numbered(page):
    """The numbers of the equations of a LaTeX page, those of layers shown once included."""
    found = re.findall(r"\\(?:eqtarget\{|hypertarget\{eq)(\d+)\}", page)
    return {int(n) for n in found}


@pytest.fixture(scope="module", params=SPECS, ids=lambda path: path.stem)
def generated(request):
    return {Path(name).suffix: text for name, text in committed_files(request.param).items()}


def test_every_statement_of_a_network_cites(generated):
    assert shown(generated[".py"]) == []


def test_what_is_cited_stands_on_the_page(generated):
    found = cited(generated[".py"])
    assert found, "nothing is cited at all"
    assert found <= numbered(generated[".tex"])


def test_numbers_count_without_a_gap(generated):
    assert numbered(generated[".tex"]) == set(range(1, max(numbered(generated[".tex"])) + 1))


def test_the_docstring_says_which_numbers_are_whose(generated):
    words = generated[".py"].split('"""')[1]
    rows = re.findall(r"^ {4}\((\d+)\)(?: to \((\d+)\))?  +(\S.*)$", words, re.MULTILINE)
    ranges = [range(int(first), int(last or first) + 1) for first, last, _ in rows]
    assert [n for some in ranges for n in some] == [*range(1, max(numbered(generated[".tex"])) + 1)]
    meanings = [meaning for *_, meaning in rows]
    assert meanings[:2] == ["the forward pass and the loss", "the cotangents"]
    assert meanings[-1] == "initial values"


def entries():
    """One configuration of each entry of the library."""
    found = {}
    for configuration in (*LAYERS, *LOSSES):
        found.setdefault(configuration.entry, configuration)
    return list(found.values())


@pytest.mark.parametrize("configuration", (*LAYERS, *LOSSES), ids=lambda c: c.name)
def test_every_statement_of_an_entry_cites(configuration):
    assert shown(source(configuration.spec)) == []


@pytest.mark.parametrize("configuration", entries(), ids=lambda c: c.entry)
def test_so_do_second_derivatives(configuration):
    assert shown(source("second_order = true\n" + configuration.spec)) == []


OPTIMIZERS = [d.name for d in library().entries.values() if d.kind == "optimizer"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_so_do_updates_with_all_that_can_come_before_them(name):
    decay = "" if name == "adamw" else "\nweight_decay = 0.1"
    text = spec(
        optimizer=f'type = "{name}"\nlearning_rate = 0.01',
        regularization=f"l1 = 0.1\nl2 = 0.1{decay}",
        training="gradient_clip_norm = 1.0",
    )
    made = source(text)
    assert shown(made) == []
    assert shown(source(text.replace("shape = [4]", "shape = [500_000]"))) == []
    update = made[made.index("def update(ws)") :]
    assert "g_clipped" in update and "g_regularized" in update


def test_loops_over_layers_cite_the_equations_of_each():
    text = source(deep(12))
    assert "for l in range(" in text
    assert shown(text) == []
    page = next(t for name, t in files(deep(12)).items() if name.endswith(".tex"))
    assert cited(text) == numbered(page)
    forward = [c.numbers for c in citations.citations(text) if c.function == "forward_pass"]
    assert tuple(range(3, 23, 2)) in forward  # z_2, ..., z_11


FORMULAS = {
    "regression": ("L = sum[n]((y[n] - sum[i](X[n,i]*w[i]))**2)", "w", None),
    "softmax": (
        "p[n,k] = exp(z[n,k])/sum[j](exp(z[n,j]))\nL = mean[n](-log(p[n,y[n]]))",
        "z",
        None,
    ),
    "recurrence": (
        "h[t,j] = tanh(sum[k](h[t-1,k]*U[k,j]) + u[t,j])\nh[-1,j] = h0[j]\nL = sum[t,j](h[t,j]**2)",
        "U",
        None,
    ),
    "any rank": (
        "y[...,j] = sum[i](x[...,i]*W[i,j])\nL = sum[...,j](y[...,j]**2)",
        "W",
        None,
    ),
    "maximum": ("m = max[i](x[i])\nL = m**2", "x", None),
    "variance": ("mu = mean[i](x[i])\nL = mean[i]((x[i] - mu)**2)", "x", None),
    "pooling": ("y[p] = max[k](x[2*p+k])\nL = sum[p](y[p]**3)", "x", {"k": 2}),
    "convolution": ("y[p] = sum[k](x[p+k]*w[k])\nL = sum[p](gelu(y[p]))", "w", {"k": 3}),
    "lookup": ("L = sum[n,d](E[t[n],d]**2*sigmoid(E[t[n],d]))", "E", None),
    "product": ("L = prod[i](x[i])", "x", None),
    "scalar": ("L = x**2*pi", "x", None),
    "passed on": ("L = x", "x", None),
    "nothing": ("L = sum[i](y[i]) + 0*x", "x", None),
}
KINDS = (derive.differentiate, derive.vjp, derive.jacobian, derive.hessian, derive.hvp)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", FORMULAS)
def test_every_statement_of_a_formula_cites(name, kind):
    text, wrt, sizes = FORMULAS[name]
    derivation = kind(text, wrt, sizes=sizes)
    made = derivation.source()
    assert shown(made) == []
    assert cited(made) <= numbered(derivation.latex())
    assert cited(made) <= set(derivation.gradients.numbers.values())


# The rules are strict: what computes is noticed where it does not cite.


def without_citations(text, places):
    """The module with the citations of these lines removed."""
    lines = text.split("\n")
    for line in places:
        lines[line - 1] = lines[line - 1].partition("  # (")[0]
    return "\n".join(lines)


def test_no_citation_can_be_left_out_of_a_pass():
    text = source(TINY)
    statements = [
        c
        for c in citations.citations(text)
        if c.is_statement
        and c.numbers
        and not c.is_frame
        and "  # (" in text.split("\n")[c.first - 1]
    ]
    assert len(statements) > 100
    passes = [c.first for c in statements if "__init__" not in c.function]
    for places in (passes[::2], passes[1::2]):  # each between others that keep theirs
        assert [c.first for c in uncited(without_citations(text, places))] == places


@pytest.mark.parametrize(
    "statement",
    [
        "z = np.matmul(x, W)",
        "np.add(z, b, out=z)",
        "z += b",
        "z[n, y] -= 1",
        "ws.t_1.fill(0)",
        "ws.t_1[0] = 0",
        "L = t_1 / N",
        "L = t_1",
        "z = ws.t[1]",
        "ws.t[1] = t",
        "ws.t[()] = t_1",
        "_each(np.exp, ws.shares)",
        "N = t_1 / 2",
        "return np.add(z, b)",
        "return z + b",
        "grads = {'w': np.add(z, b)}",
        "x = len(np.add(z, b))",
        "if t == 7:",
        "ws.x[...] = z",
        "ws.x[0] = x",
        "ws.t_1[...] = x",
        "x = np.ascontiguousarray(np.add(x, z), dtype)",
    ],
)
def test_what_computes_is_no_frame(statement):
    body = statement + ("\n        pass" if statement.endswith(":") else "")
    made = f"def value(ws, x, z, t_1):\n    {body}\n"
    assert len(uncited(made)) == 1


@pytest.mark.parametrize(
    "statement",
    [
        '"""L"""',
        "N = len(ws.x)",
        "P = (N - 3)//2 + 1",
        "dtype = x.dtype",
        "ws.x[...] = x",
        "x = np.ascontiguousarray(x, ws.dtype)",
        'x, y = _read(arrays, "x", "y")',
        '_check_size(P, "P")',
        "return float(L)",
        "return ws.z_2",
        "ws.t[()] = t",
        "_each(share, ws.shares)",
        "return ws.z_2.transpose(2, 0, 1)",
        "raise ValueError(f'{x + 1}')",
    ],
)
def test_what_computes_nothing_is_frame(statement):
    assert uncited(f"def value(ws, x):\n    N = len(x)\n    {statement}\n") == ()


def test_the_frame_is_what_the_templates_write_themselves():
    texts = [(ROOT / "templates" / name).read_text(encoding="utf-8") for name in TEMPLATES]
    found = {n for t in texts for n in re.findall(r"^(?:def|class) (\w+)", t, re.MULTILINE)}
    filled_in = {"draw", "metrics"}
    assert found | filled_in == {n for n in found if n.startswith("_")} | FRAME | {"init"}


# Reading.


def read(text):
    return [(c.first, c.last, c.function, c.numbers) for c in citations.citations(text)]


def test_a_statement_cites_on_its_first_line_or_above():
    text = (
        "def f(ws):\n"
        "    # (3) z[n] = a very\n"
        "    #     long one\n"
        "    np.matmul(  # (3)\n"
        "        x, W\n"
        "    )\n"
        "    # (12)\n"
        "    np.add(x, y)\n"
    )
    assert read(text) == [(2, 3, "f", (3,)), (4, 6, "f", (3,)), (7, 8, "f", (12,))]


def test_a_loop_over_layers_counts():
    text = "def f(ws):\n    for l in range(2, 8, 2):\n        np.add(x, y)  # (20-3*l)\n"
    assert read(text)[-1] == (3, 3, "f", (14, 8, 2))


def test_a_loop_that_no_layers_could_fill_is_none_over_layers():
    for bounds in ("0, 9999999999999", "0, -(10**30), -1", f"{10**40}", f"-{10**40}, {10**40}, 3"):
        text = f"def f(ws):\n    for l in range({bounds}):\n        np.add(x, y)  # (2*l-1)\n"
        assert read(text)[-1] == (3, 3, "f", ())
    text = f"def f(ws):\n    np.add(x, y)  # ({'9' * 5000})\n"
    assert read(text) == [(2, 2, "f", ())]


def test_numbers_in_strings_are_none():
    text = 'def f(ws):\n    raise ValueError("  # (7)")\n'
    assert read(text) == [(2, 2, "f", ())]


def test_comments_are_those_that_python_finds(generated):
    text = generated[".py"] + Path(__file__).read_text()
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = {t.start[0]: t.string for t in tokens if t.type == tokenize.COMMENT}
    assert citations.parsed(text)[1] == comments


def test_what_is_no_python_is_an_error():
    nested = "x = " + "(" * 5000 + "1" + ")" * 5000
    deep = "x = " + "-" * 100_000 + "1"
    for text in ("def f(:\n", "x = (\n", "\0", "  x\n y", nested, deep):
        with pytest.raises(DeriveError, match=r"^<module>(:\d)?: this is no Python\b.*: [^:]+$"):
            citations.citations(text)
    with pytest.raises(DeriveError, match=r"^net\.py:2: this is no Python: .* closed"):
        citations.parsed("y = 1\nx = (\n", "net.py")


def test_what_is_nested_too_deeply_is_an_error():
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    try:
        with pytest.raises(DeriveError, match="nested too deeply"):
            citations.citations(f"def f(ws):\n    x = a{'.b' * 2000}()\n")
    finally:
        sys.setrecursionlimit(limit)
