"""A document is what its views show: prose, displays and tables, chains and their numbers."""

import re

import pytest

import derive
from derive.pages.chains import chains, symbols
from derive.pages.document import Display, Document, Row, Section, Table, Verbatim, runs
from derive.pages.latex_document import latex
from derive.pages.markdown import markdown
from derive.printing.latex_layout import LINE
from derive.printing.latex_printer import PageLatex
from derive.printing.unicode_names import plain

HOSTILE = r"<script>alert(1)</script> $x$ `y` *z* \input{/etc/passwd} & | #7 __init__"
TWO_LAYERS = """
    h[n,j] = tanh(sum[i](x[n,i]*W[i,j]) + b[j])
    z[n,k] = sum[j](h[n,j]*V[j,k]) + c[k]
    L = mean[n](logsumexp[k](z[n,k]) - z[n,y[n]])
"""


def two_layers() -> derive.Derivation:
    text = "\n".join(line.strip() for line in TWO_LAYERS.strip().splitlines())
    return derive.differentiate(text, wrt=["W", "b", "V", "c"])


def test_prose_is_read_in_runs():
    prose = r"the *sum* of $a*b$ in `x_1` is (#7.2), not (7)"
    assert list(runs(prose)) == [
        ("text", "the "),
        ("emphasis", "sum"),
        ("text", " of "),
        ("mathematics", "a*b"),
        ("text", " in "),
        ("code", "x_1"),
        ("text", " is "),
        ("number", "7.2"),
        ("text", ", not (7)"),
    ]


def test_each_line_of_a_chain_has_its_own_number():
    gradients = two_layers().gradients
    found = [line.number for chain in chains(gradients) for line in chain.lines]
    assert len(found) == len(set(found))
    for chain in chains(gradients):
        *before, last = chain.lines
        assert last.number == chain.number
        assert [line.number for line in before] == [
            f"{chain.number}.{k}" for k in range(1, len(before) + 1)
        ]


def test_a_chain_ends_at_the_equation_of_its_number():
    gradients = two_layers().gradients
    of_number = {str(k): target for target, k in gradients.numbers.items()}
    named = {e.target: e for e in gradients.backward}
    reached = {chain.number: chain.lines[-1].equation for chain in chains(gradients)}
    for number, equation in reached.items():
        if number in of_number:
            assert of_number[number] == equation.target
            assert named[equation.target].body == equation.body
    assert {str(gradients.numbers[t]) for t in named} <= set(reached)


def test_every_equation_on_the_page_has_a_number():
    """What a cotangent belongs to is no equation without one."""
    d = derive.differentiate("L = sum[n](tanh(sum[i](x[n,i]*w[i]))**2)", wrt="w")
    shown = {e.target for e in d.gradients.shown}
    for chain in chains(d.gradients):
        for use in chain.uses:
            assert use.number
    for e in d.gradients.shown:
        if e.target.endswith("_bar"):
            assert e.target.removesuffix("_bar") in shown | {"x", "w"}


@pytest.mark.parametrize("view", [latex, markdown])
def test_every_number_is_in_every_view(view):
    d = two_layers()
    shown = set(re.findall(r"\((\w+)\)|eqtarget\{([\w.]+)\}", view(d.document)))
    numbers = {number for pair in shown for number in pair if number}
    assert {str(k) for k in d.gradients.numbers.values()} <= numbers


def test_markdown_has_no_command_that_github_refuses():
    written = markdown(two_layers().document)
    assert r"\operatorname" not in written
    assert r"\mathop{\mathrm{logsumexp}}\limits_{k}" in written
    assert r"\mathop{\mathrm{onehot}}\nolimits(y)" in written


def test_users_text_is_escaped():
    document = Document(HOSTILE, (Section("Formula", (Verbatim((HOSTILE, "```")),)),))
    written = latex(document)
    assert r"\input" not in written
    assert r"\textbackslash{}" in written
    shown = markdown(document)
    head, _, rest = shown.partition("\n")
    assert "<script>" not in head.replace("\\", "\0")
    assert r"\<script\>" in head
    assert "````\n" in rest  # the fence is longer than the one within


def test_what_does_not_print_in_a_formula_reaches_no_page():
    steering = "\x1b]0;title\x07 \u202e reversed \ud800"
    d = derive.differentiate(f"L = sum[i](\tw[i]**2)  # {steering}\r\n# more", wrt="w")
    shown = "\\x1b]0;title\\x07 \\u202e reversed \\ud800"
    for page in (d.html(), d.markdown()):
        assert shown in page
        assert not set(page) & {"\x1b", "\x07", "\u202e", "\ud800", "\r", "\t"}
        page.encode()


TAKEN = "x_hessian[n] = 2*x[n]\nL = sum[n](x_hessian[n]*x[n]*x[n])"


@pytest.mark.parametrize(
    ("d", "title", "sentence"),
    [
        (derive.differentiate("L = sum[n](x[n]*y[n])", ["x", "y"]), "derivatives of L by x, y", ""),
        (derive.jacobian("y[n] = x[n]**3", "x"), "Jacobian of y by x", "{jacobian}}_{ij}$ is the"),
        (
            derive.hessian("L = sum[n](x[n]**3)", "x"),
            "Hessian of L by x",
            "{hessian}}_{ij}$ is the",
        ),
        (derive.hessian(TAKEN, "x"), "Hessian of L by x", "{hessian}}_{ij}$ is the"),
        (
            derive.hvp("L = sum[n](x[n]**3)", "x"),
            "Hessian of L by x, times a direction",
            "{hvp}}$ is the Hessian",
        ),
        (
            derive.differentiate("x_hvp[n] = x[n]**2\nL = sum[n](x_hvp[n])", "x_hvp"),
            "derivative of L by x_hvp",
            "",
        ),
    ],
)
def test_the_kind_of_a_derivative_is_not_read_off_a_name(d, title, sentence):
    assert d.document.title == f"The {title}"
    words = next(s for s in d.document.sections if s.title == "Notation").blocks[0]
    kinds = re.findall(r"\\mathrm\{(?:jacobian|hessian|hvp)\}\}(?:_\{ij\})?\$ is the", words)
    assert len(kinds) == (sentence != "") and sentence in words


def test_only_cotangents_have_a_bar():
    d = derive.differentiate("x_bar = mean[n](x[n])\nL = sum[n](x_bar*x[n]*x[n])", "x")
    names = symbols(d.gradients)
    assert names("x_bar").symbol == r"\mathrm{x\_bar}"
    assert d.gradients.cotangents["x"] == "x_bar_1" and names("x_bar_1").indexed() == r"\bar{x}"
    assert names("x_bar_bar").symbol == r"\overline{\mathrm{x\_bar}}"
    assert r"2\, \mathrm{x\_bar}\, x_{n}" in d.latex()
    unicode = plain(names)
    assert [unicode(t).symbol for t in ("x_bar", "x_bar_1")] == ["x_bar", "x\u0304"]
    assert unicode("x_bar_bar").symbol == "".join(letter + "\u0305" for letter in "x_bar")
    # A factor that is no cotangent stands among the values, as `x_c` would.
    for name in ("x_bar", "x_c"):
        e = derive.differentiate(f"L = sum[n](a_b[n]*{name}[n]*w[n])", "w").gradients
        page = PageLatex(symbols(e), e.backward[0].indices)
        found = page.doprint(e.backward[0].body)
        assert found.startswith("a^{b}_{n}")


def test_parts_of_cotangents_keep_the_bar_where_they_are_differentiated_again():
    text = "h[n,j] = tanh(sum[i](x[n,i]*W[i,j]))\nL = mean[n](logsumexp[j](h[n,j]))"
    g = derive.hvp(text, "W").gradients
    names = symbols(g)
    again = [e.target for e in g.forward.equations if "_bar" in e.target]
    assert len(again) > 2
    for target in (*again, *(t.name for t in g.forward.inputs if "_bar" in t.name)):
        assert names(target).symbol.startswith((r"\bar{", r"\overline{"))


def test_a_note_in_markdown_stands_below_the_whole_of_a_broken_equation():
    rows = (
        Row("x", "a", rule="rule", note="why"),
        Row(right=r"\qquad + b", sign="", number="1"),
        Row("", "c", rule="other", number="2", note="so"),
        Row(sign="", note="alone"),
    )
    text = markdown(Document("", (Section("", (Display(tuple((r,) for r in rows), ruled=True),)),)))
    places = [text.index(part) for part in ("= a", "+ b", "why", "= c", "so", "alone")]
    assert places == sorted(places) and text.count("why") == 1


def test_a_display_in_markdown_is_one_fence():
    rows = (
        (Row("a", "b + c", "chain rule", "1.1", note=r"with $n' = n$"),),
        (Row("", "c", "contraction", "1"),),
    )
    document = Document("t", (Section("Steps", (Display(rows, ruled=True),)),))
    assert markdown(document) == (
        "# t\n\n## Steps\n\n```math\n\\begin{aligned}\n"
        "&\\textit{chain rule} & a &= b + c && (1.1) \\\\\n"
        "& & & \\text{with }n' = n \\\\\n"
        "&\\textit{contraction} &  &= c && (1)\n"
        "\\end{aligned}\n```\n"
    )


def test_a_table_is_no_wider_than_a_line():
    long = ", ".join(f"`layer_{k}.weights`" for k in range(40))
    table = Table(("symbol", "name"), ((r"$W^{(1)}_{ij}$", long), ("$b$", "`b`")))
    written = latex(Document("t", (Section("Notation", (table,)),)))
    widths = [float(w) for w in re.findall(r"C\{(\d+)pt\}", written)]
    assert widths and sum(widths) < LINE
    assert written.count(r"\\") >= 3


def test_a_bar_within_a_cell_of_markdown_is_no_border():
    table = Table(("a", "b"), ((r"$\bar{x}\big|_{(7)}$", "`x`"),))
    shown = markdown(Document("t", (Section("T", (table,)),)))
    assert shown.splitlines()[-1].count("|") == 3
