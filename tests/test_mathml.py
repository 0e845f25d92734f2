"""MathML of every formula that the printers write: nothing lost, well formed, spaced as in TeX."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from importlib.resources import files
from itertools import chain
from pathlib import Path
from xml.etree import ElementTree

import pytest

import derive
from derive.pages.document import Display, Document, Table, runs
from derive.pages.exposition import document
from derive.pages.math_font import font, style
from derive.pages.math_rows import SLOT
from derive.pages.math_symbols import COMMANDS
from derive.pages.math_tokens import UnknownLatex
from derive.pages.mathml import mathml

GENERATED = Path(__file__).parent.parent / "generated"

# What MathML Core has: a browser ignores all else.
CORE = {
    "math": {"displaystyle"},
    "mrow": set(),
    "mi": {"mathvariant"},
    "mn": set(),
    "mtext": set(),
    "mo": {
        "form",
        "lspace",
        "rspace",
        "stretchy",
        "minsize",
        "maxsize",
        "movablelimits",
    },
    "mspace": {"width"},
    "mpadded": {"depth", "height"},
    "mstyle": {"displaystyle", "scriptlevel"},
    "mfrac": set(),
    "msqrt": set(),
    "msub": set(),
    "msup": set(),
    "msubsup": set(),
    "munder": set(),
    "mover": {"accent"},
    "munderover": set(),
    "mtable": {"class"},
    "mtr": set(),
    "mtd": set(),
}
ARGUMENTS = {"mfrac": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2} | dict.fromkeys(
    ("msubsup", "munderover"), 3
)


def inside(latex: str) -> str:
    """What stands in the element of a formula."""
    return mathml(latex).removeprefix("<math>").removesuffix("</math>")


# All that the printers write


FORMULAS = {
    "convolution": """
        y[n,p,f] = sum[k,c](x[n,2*p+k,c]*W[k,c,f]) + b[f]
        L = sum[n,p,f](tanh(y[n,p,f])**2)
    """,
    "lstm": """
        i[t,j] = sigmoid(sum[k](x[t,k]*W_i[k,j]) + sum[k](h[t-1,k]*U_i[k,j]))
        f[t,j] = sigmoid(sum[k](x[t,k]*W_f[k,j]) + sum[k](h[t-1,k]*U_f[k,j]))
        g[t,j] = tanh(sum[k](x[t,k]*W_g[k,j]) + sum[k](h[t-1,k]*U_g[k,j]))
        c[-1,j] = 0
        c[t,j] = f[t,j]*c[t-1,j] + i[t,j]*g[t,j]
        h[-1,j] = 0
        h[t,j] = tanh(c[t,j])
        L = sum[t,j](h[t,j]**2)
    """,
    "attention": """
        S[h,t,s] = sum[d](q[h,t,d]*W[h,s,d])/sqrt(D)
        P[h,t,s] = exp(S[h,t,s])/sum[r](exp(S[h,t,r]))
        o[h,t,d] = sum[s](P[h,t,s]*v[h,s,d])
        L = sum[h,t,d](o[h,t,d]*g[h,t,d])
    """,
    "batch_norm": """
        mu[d] = mean[n](W[n,d])
        var[d] = mean[n]((W[n,d] - mu[d])**2)
        x_hat[n,d] = (W[n,d] - mu[d])/sqrt(var[d] + eps)
        L = sum[n,d](x_hat[n,d]*gamma[d]*h[n,d])
    """,
    "huber": """
        L = mean[n](where(abs(W[n] - y[n]) <= delta, (W[n] - y[n])**2/2, delta*abs(W[n] - y[n])))
    """,
    "pooling": "L = sum[n,p](g[n,p]*max[k](W[n,2*p+k])) + logsumexp[n](W[n,0])",
    "indices": "L = sum[i](W[(i+1) % I]*v[i // 2])",
    "long_names": """
        hidden_state[batch,channel] = maximum(sum[k](x[batch,k]*W[k,channel]), 0)
        L = sum[batch,channel](hidden_state[batch,channel]**1.5*erf(hidden_state[batch,channel]))
    """,
    "long_sum": "L = sum[n](" + " + ".join(f"a_{k}*exp(-b_{k}*W[n]**{k})" for k in range(12)) + ")",
    "long_product": "L = sum[n](" + "*".join(f"(1 + exp(-b_{k}*W[n]))" for k in range(9)) + ")",
}


def of_document(page: Document) -> Iterator[str]:
    """The formulas of a document: the sides of rows, and those within prose."""
    sections = list(page.sections)
    while sections:
        section = sections.pop()
        sections += section.parts
        yield from of_prose(section.title)
        for block in section.blocks:
            if isinstance(block, Display):
                for row in chain.from_iterable(block.lines):
                    yield from (row.left, row.right, f"{row.left} {row.sign} {row.right}")
                    yield from of_prose(row.note)
            elif isinstance(block, Table):
                yield from chain.from_iterable(
                    of_prose(cell) for cells in (block.heads, *block.rows) for cell in cells
                )
            elif isinstance(block, str):
                yield from of_prose(block)


def of_prose(prose: str) -> Iterator[str]:
    return (text for kind, text in runs(prose) if kind == "mathematics")


# A rule with its note, whose braces are nested.
NOTED = r"\\rulenote\{[^{}]*\}\{(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*\}"


def of_tex(page: str) -> Iterator[str]:
    """The cells of the displays of a LaTeX document, and what stands between dollar signs."""
    for display in re.findall(r"(?s)\\begin\{alignat\*\}\{\d\}\n(.*?)\n\\end\{alignat\*\}", page):
        text = re.sub(r"\\hypertarget\{\w+\}\{\}", "", display)
        text = re.sub(r" ?\\tag\{\\eq\w+\{[\w.]+\}\}|\\rulename\{[^{}]*\}", "", text)
        for note in re.findall(NOTED, text):
            yield from re.findall(r"\$([^$]+)\$", note)
        text = re.sub(NOTED, "", text)
        for line in re.split(r" ?\\\\\*?\n", text):
            if r"\rlap" not in line:
                yield from cells(line)
    body = re.sub(r"(?s)\\begin\{alignat\*\}.*?\\end\{alignat\*\}", "", page)
    yield from re.findall(r"(?<!\\)\$((?:[^$\\]|\\.)+)\$", body.partition(r"\begin{document}")[2])


def cells(line: str) -> list[str]:
    out, depth = [""], 0
    for token in re.findall(r"\\(?:begin|end)\{[a-z]+\}|\\.|[^\\]", line):
        depth += token.startswith(r"\begin{") - token.startswith(r"\end{")
        if token == "&" and depth == 0:
            out.append("")
        else:
            out[-1] += token
    return [cell.strip() for cell in out]


def check_well_formed(latex: str) -> None:
    """Well-formed XML of elements and attributes that browsers know."""
    for display in (False, True):
        text = mathml(latex, display)
        assert SLOT not in text
        assert not re.search(r"[\ue000-\uf8ff]", text)
        for element in ElementTree.fromstring(text).iter():
            assert set(element.attrib) <= CORE[element.tag], latex
            assert len(element) == ARGUMENTS.get(element.tag, len(element)), latex


def check(latex: str) -> None:
    """Each letter, digit and sign is shown."""
    check_well_formed(latex)
    plain = re.sub(r"\\(?:begin|end)\{\w+\}|\\mathbf\{\w\}|\\text\b|\\operatorname\*?", " ", latex)
    shown = "".join(ElementTree.fromstring(mathml(latex)).itertext()).replace("−", "-")
    for name in ("log", "exp", "sin", "cos", "tan", "sinh", "cosh", "tanh", "max", "min"):
        plain = re.sub(rf"\\{name}(?![a-z])", f" {name} ", plain)
    plain = re.sub(r"\\bmod\b", " mod ", plain)
    plain = re.sub(r"\\[A-Za-z]+|\\[^A-Za-z]", " ", plain)
    characters = re.compile(r"[-A-Za-z0-9+=<>()\[\],/]")
    assert sorted(characters.findall(plain)) == sorted(characters.findall(shown)), latex


@pytest.mark.parametrize("name", FORMULAS)
def test_every_formula_of_a_derivation(name: str) -> None:
    text = "\n".join(map(str.strip, FORMULAS[name].strip().splitlines()))
    wrt = re.search(r"\bW\w*", text)
    assert wrt
    gradients = derive.differentiate(text, wrt=wrt[0]).gradients
    found = set(map(str.strip, of_document(document(gradients, text=text)))) - {""}
    assert len(found) > 20
    for latex in found:
        check(latex)


@pytest.mark.parametrize("path", sorted(GENERATED.glob("*.tex")), ids=lambda path: path.stem)
def test_every_formula_of_the_generated_documents(path: Path) -> None:
    found = set(of_tex(path.read_text(encoding="utf-8"))) - {""}
    assert len(found) > 40
    for latex in found:
        check(latex)


# Single constructs


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        ("z_{i}", "<msub><mi>z</mi><mi>i</mi></msub>"),
        # A sign has the space of its place; what browsers do by themselves is not said again.
        ("a - b", "<mi>a</mi><mo>−</mo><mi>b</mi>"),
        ("a = -b", '<mi>a</mi><mo>=</mo><mo lspace="0" rspace="0">−</mo><mi>b</mi>'),
        ("x_{i-1}", '<mo lspace="0" rspace="0">−</mo>'),
        ("10^{-8}", "<msup><mn>10</mn><mrow><mo>−</mo><mn>8</mn></mrow></msup>"),
        (r"a \log b", '<mi>a</mi><mspace width="0.167em"/><mi>log</mi><mspace width="0.167em"/>'),
        (r"a\, b", '<mi>a</mi><mspace width="0.167em"/><mi>b</mi>'),
        (r"\log(b)", '<mi>log</mi><mo stretchy="false">(</mo>'),
        ("=", "<mo>=</mo>"),
        ("a := b", "<mo>:=</mo>"),
        ("a/b", '<mo lspace="0" rspace="0">/</mo>'),
        (r"x_{i \bmod n}", '<mspace width="0.278em"/><mi>mod</mi><mspace width="0.278em"/>'),
        # Names are one element.
        (r"\operatorname{relu}(x)", '<mi>relu</mi><mo stretchy="false">(</mo>'),
        (r"\mathrm{my\_loss}_{n}", "<msub><mi>my_loss</mi><mi>n</mi></msub>"),
        (r"\mathrm{x}", '<mi mathvariant="normal">x</mi>'),
        (r"\Gamma", '<mi mathvariant="normal">Γ</mi>'),
        (r"\text{if } x", "<mtext>if\u00a0</mtext>"),
        (r"\mathbf{1} \mathbf{W} \mathbf{z}", "<mn>𝟏</mn><mi>𝐖</mi><mi>𝐳</mi>"),
        ("2in", "<mn>2</mn><mi>i</mi><mi>n</mi>"),  # no length
        ("x^23", "<msup><mi>x</mi><mn>2</mn></msup><mn>3</mn>"),
        # The superscript of a layer is a label.
        ("W^{(1)}_{ij}", "<mtext>(1)</mtext></msubsup>"),
        ("W^{(1)\\top}", '<mo stretchy="false">(</mo><mn>1</mn>'),
        # Primes are as high as the font has them.
        ("k'", '<mrow><mi>k</mi><mo lspace="0" rspace="0">′</mo></mrow>'),
        ("k''_{3}", "″</mo></mrow><mn>3</mn></msub>"),
        (r"\lvert x \rvert'", '<mo lspace="0" rspace="0" stretchy="false">|</mo><mo'),
        # Limits are below in displays; what is only named so is an operator.
        (r"\max_{k}\, z", 'movablelimits="true">max</mo><mi>k</mi></munder>'),
        (r"\max(a)", "<mi>max</mi>"),
        (r"\operatorname*{arg\,max}_{i} x", ">arg\u2009max</mo><mi>i</mi></munder>"),
        (r"\sum_{n} x", '<munder><mo lspace="0" rspace="0.167em">∑</mo><mi>n</mi></munder>'),
        (r"\sum\limits_{n} x", 'movablelimits="false">∑</mo><mi>n</mi></munder>'),
        (
            r"\sum_{\substack{i \\ i < n}} x",
            '<mtable class="substack"><mtr><mtd><mi>i</mi></mtd></mtr><mtr><mtd><mi>i</mi>'
            '<mo lspace="0" rspace="0">&lt;</mo><mi>n</mi></mtd></mtr></mtable>',
        ),
        # Accents.
        (r"\bar{x}", '<mover accent="true"><mi>x</mi><mo stretchy="false">¯</mo></mover>'),
        (r"\hat{\bar{x}}", '<mo stretchy="false">¯</mo></mover><mo stretchy="false">ˆ</mo>'),
        (r"\overline{\mathrm{loss}}", '<mover accent="true"><mi>loss</mi><mo>‾</mo></mover>'),
        (r"\widehat{\mathrm{ab}}", "<mi>ab</mi><mo>\u0302</mo>"),
        (r"\bar{\mu}^{(2)}_{j}", '<mpadded depth="0" height="0.66em"><mover'),
        ("y_{n}", '<msub><mpadded depth="0"><mi>y</mi></mpadded><mi>n</mi></msub>'),
        # Delimiters.
        (r"\Bigl( x \Bigr)", '<mo stretchy="true" minsize="1.8em" maxsize="1.8em">(</mo>'),
        (r"\Bigr)^{2}", "<msup><mrow><mo"),
        (r"x\big|_{(6)}", '<mspace width="0.06em"/></mrow><mtext>(6)</mtext></msub>'),
        (r"\left( x \right)", '<mrow><mo form="prefix">(</mo><mi>x</mi><mo form="postfix">)'),
        (
            r"\begin{cases} a & \text{if } x \geq 1 \\ 0 & \text{otherwise} \end{cases}",
            '<mrow><mo form="prefix">{</mo><mtable class="cases"><mtr><mtd><mi>a</mi></mtd><mtd>'
            "<mtext>if\u00a0</mtext><mi>x</mi><mo>≥</mo><mn>1</mn></mtd></mtr>",
        ),
        (r"\scriptstyle a+b", '<mstyle displaystyle="false" scriptlevel="1"><mi>a</mi>'),
    ],
)
def test_construct(latex: str, expected: str) -> None:
    check_well_formed(latex)
    assert expected in inside(latex)


def test_the_element() -> None:
    assert mathml("x") == "<math><mi>x</mi></math>"
    assert mathml("x", display=True) == '<math displaystyle="true"><mi>x</mi></math>'


def test_text_is_escaped() -> None:
    text = mathml(r"a < b > c \text{<script>&amp;</script>}")
    assert "<script" not in text
    assert "".join(ElementTree.fromstring(text).itertext()) == "a<b>c<script>&amp;</script>"


@pytest.mark.parametrize(
    "latex",
    [
        r"\foo",
        r"\mathbb{R}",
        r"\begin{aligned} a &= b \end{aligned}",
        r"\tag{1}",
        r"\rlap{x}",
        r"\underbrace{x}",
        r"\mathbf{ab}",
        r"\mathrm{a\%}",
        r"\mathrm{\bar{a}}",
        r"\text{in $x$}",
        r"\sqrt[3]{x}",
        r"\frac{a}",
        r"a & b",
        r"a \\ b",
        "x}",
        "{x",
        r"\begin{cases} a",
        "x % y",
        "x # y",
        "$x$",
        "ä",
        "\ue000",
        "a\x1fb",
        r"\a",
        "",
    ],
)
def test_what_no_printer_writes_is_refused(latex: str) -> None:
    with pytest.raises(UnknownLatex):
        mathml(latex)


# The font


def test_the_font_has_every_sign() -> None:
    ttlib = pytest.importorskip("fontTools.ttLib")
    pytest.importorskip("brotli")
    path = files("derive") / "fonts" / "STIXTwoMath-subset.woff2"
    cut = ttlib.TTFont(str(path))
    known = cut.getBestCmap()
    shown = "".join(sign.text for sign in COMMANDS.values() if sign.tag != "mspace")
    shown += "¯‾ˆ\u0302˜˙′″‴∑∏−\u00a0\u2009𝟏𝐖𝐳" + "".join(map(chr, range(0x20, 0x7F)))
    assert [c for c in shown if ord(c) not in known] == []
    italic = [*range(0x1D434, 0x1D455), *range(0x1D456, 0x1D468), 0x210E]  # h has its own place
    italic += [*range(0x1D6FC, 0x1D71C)]
    assert [hex(c) for c in italic if c not in known] == []
    assert "MATH" in cut
    notices = " ".join(map(str, cut["name"].names))
    assert "SIL Open Font License" in notices
    assert "STIX Fonts Project Authors" in notices


def test_the_font_is_in_the_style() -> None:
    head, _, data = font().partition(",")
    assert head == "data:font/woff2;base64"
    assert b64decode(data, validate=True)[:4] == b"wOF2"
    assert len(data) < 80_000
    assert font() in style()
    assert ".cases" in style()
    assert ".substack" in style()
    license_ = (files("derive") / "fonts" / "OFL.txt").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE Version 1.1" in license_
    assert "STIX Fonts Project Authors" in license_


def test_numbers_keep_their_places() -> None:
    # What is read once for all numbers is written with each at its own place.
    for layer, index in (("32", "22"), ("22", "32"), ("33", "33"), ("4", "12")):
        shown = mathml(rf"b^{{({layer})}}_{{j_{{{index}}}'}} + {layer} \times 64")
        assert f"<mn>{index}</mn></msub><mtext>({layer})</mtext>" in shown
        assert re.findall("<mn>(.*?)</mn>", shown) == [index, layer, "64"]
