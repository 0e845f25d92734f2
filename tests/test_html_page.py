"""The page of a derivation: what it holds, what it links, and that text of users stays text."""

import re
from html.parser import HTMLParser

import pytest
from networks import ROOT, SPECS
from pygments.lexers.python import PythonLexer

from derive.language.notation import DeriveError
from derive.pages import html_code
from derive.pages.document import Display, Document, Row, Section, Table, Verbatim
from derive.pages.html_code import cited, listing
from derive.pages.html_page import html

NASTY = '<script>alert(1)</script> & "x" </style> {{ title }} {% for %}'
SOURCE = '''"""A module.

    ( 1)  y[n] = 2*x[n]
"""
TEXT = "<b>&amp;</b> # (1)"


def value(x):
    y = 2*x  # (1)
    # (2) z[n] = y[n] +
    #     1
    z = y + 1  # (2)
    for l in range(2, 5):
        w = z  # (2*l-1)
    return w
'''


class Elements(HTMLParser):
    """The elements of a page: checks that they close in order, and gathers ids, links, text."""

    VOID = ("meta", "link", "br", "hr")

    def __init__(self, page):
        super().__init__()
        self.open, self.ids, self.links, self.texts, self.tags = [], [], [], [], []
        self.within = {}  # text by the id of the elements around it
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if "href" in attributes else []
        if tag not in self.VOID:
            self.open.append((tag, attributes.get("id")))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, text):
        self.texts.append(text)
        for _, id_ in self.open:
            if id_:
                self.within[id_] = self.within.get(id_, "") + text

    def classes(self, id_):
        return next(a.get("class", "").split() for _, a in self.tags if a.get("id") == id_)

    def hrefs(self, within):
        """The links inside the element of an id, by their order on the page."""
        start = next(k for k, (_, a) in enumerate(self.tags) if a.get("id") == within)
        found = []
        for _, attributes in self.tags[start + 1 :]:
            if "id" in attributes:
                break
            found += [attributes["href"]] if "href" in attributes else []
        return found


def equation(number, **others):
    return Row("y_{n}", r"2\, x_{n}", number=number, **others)


DOCUMENT = Document(
    "A title",
    (
        Section("Forward", (Display(((equation("1"), Row("Y", "2 X")), (equation("2"),))),)),
        Section("Backward", ("See (#3) and (#9).", Display(((equation("3", home=False),),)))),
        Section(
            "Steps",
            (),
            (
                Section(
                    r"$\bar{y}$, through (#1)",
                    (
                        Display(
                            (
                                (equation("3.1", rule="chain rule"),),
                                (Row(rule="softmax", right="a", note="for (#1) $x$"),),
                                (Row(right="+ b", sign="", number="3", also=("5", "7")),),
                                (Row("Y", "X", rule="matrix form"),),
                            ),
                            ruled=True,
                        ),
                    ),
                ),
            ),
        ),
    ),
)


@pytest.fixture(scope="module")
def page():
    return Elements(html(DOCUMENT, SOURCE))


def test_ids_are_unique_and_links_land(page):
    assert len(page.ids) == len(set(page.ids))
    assert {"eq-1", "eq-2", "eq-3", "eq-3.1", "eq-5", "eq-7", "L9", "code"} <= set(page.ids)
    inner = [link for link in page.links if not link.startswith("data:")]
    assert {link[1:] for link in inner} <= set(page.ids)
    assert all(link.startswith("#") for link in inner)


def test_a_number_at_home_leads_to_its_code(page):
    lines = SOURCE.split("\n")
    assert page.hrefs("eq-1") == [f"#L{lines.index('    y = 2*x  # (1)') + 1}"]
    rolled = f"#L{lines.index('        w = z  # (2*l-1)') + 1}"
    assert page.hrefs("eq-3.1") == [rolled]  # a step leads where its equation does


def test_a_line_leads_to_what_it_cites(page):
    lines = SOURCE.split("\n")
    assert page.hrefs(f"L{lines.index('    y = 2*x  # (1)') + 1}") == ["#eq-1"]
    rolled = f"L{lines.index('        w = z  # (2*l-1)') + 1}"
    assert page.hrefs(rolled) == ["#eq-3"]  # of 3, 5, 7 all are at home there
    assert page.classes(rolled) == ["n3", "g0"]


def test_a_broken_comment_is_one_citation(page):
    lines = SOURCE.split("\n")
    assert "n2" in page.classes(f"L{lines.index('    #     1') + 1}")


def test_a_string_is_no_citation(page):
    line = (
        f"L{SOURCE.split(chr(10)).index('TEXT = ' + chr(34) + '<b>&amp;</b> # (1)' + chr(34)) + 1}"
    )
    assert page.hrefs(line) == [] and page.classes(line) == []


def test_the_lines_of_an_equation_are_one_element(page):
    assert page.within["eq-3"].startswith("softmax")
    assert "(3)" in page.within["eq-3"] and "for (1)" in page.within["eq-3"]


def test_a_number_without_a_home_is_no_link(page):
    assert "#eq-9" not in page.links and "See (3) and (9)." in "".join(page.texts)


def test_the_code_reads_as_it_was_written():
    shown = listing(cited(SOURCE), {"1": "1"})
    text = re.sub("<[^>]*>", "", shown)
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#x27;", "'")):
        text = text.replace(entity, character)
    assert text.replace("&amp;", "&") == SOURCE
    assert shown.count("<span") == SOURCE.count("\n")


def test_each_equation_lights_its_code():
    page = html(DOCUMENT, SOURCE)
    rules = re.findall(r"^:root:has\(\.(g\d+).*:has\(\.(n\d+)\b.*\) \.(n\d+):not", page, re.M)
    assert [(group, lit) for group, by, lit in rules if by == lit] == [
        ("g0", "n1"),
        ("g0", "n2"),
        ("g0", "n3"),
    ]
    assert len(rules) == 3


def test_text_of_users_stays_text():
    document = Document(
        NASTY,
        (
            Section("Formula", (Verbatim((NASTY, "</pre>")),)),
            Section("Names", (Table(("`<b>`", "<i>"), (("*<u>*", "`a_b`"),)), "x < y & z")),
            Section(
                "Rules", (Display(((Row("x", "y", rule="<hr>", note="<img>"),),), ruled=True),)
            ),
        ),
    )
    page = html(document, f"TEXT = {NASTY!r}\n")
    found = Elements(page)
    assert {tag for tag, _ in found.tags}.isdisjoint({"script", "b", "u", "hr", "img"})
    assert all(not name.startswith("on") for _, attributes in found.tags for name in attributes)
    assert found.within["L1"] == f"TEXT = {NASTY!r}\n"
    text = "".join(found.texts)
    assert text.count(NASTY) >= 3 and "x < y & z" in text
    assert page.count("</style>") == 1


def test_the_page_needs_nothing_else():
    page = html(DOCUMENT, SOURCE, '<svg viewBox="0 0 1 1"><title>picture</title></svg>')
    assert "<script" not in page and "@import" not in page
    assert "default-src 'none'" in page
    assert all(url.startswith("data:") for url in re.findall(r"url\(['\"]?([^)]{5})", page))
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page) == []
    assert '<html lang="en">' in page and "width=device-width" in page


def test_what_is_not_there_has_no_place():
    page = html(DOCUMENT)
    assert 'id="code"' not in page and "<figure" not in page
    assert Elements(page).hrefs("eq-1") == ["#eq-1"]


def test_the_contents_name_each_section():
    parts = tuple(Section(f"Part {k} (aside), through (#1)") for k in range(3))
    document = Document("t", (DOCUMENT.sections[0], Section("Steps $x$", (), parts)))
    page = html(document)
    bar, listed = re.findall(r"<nav[^>]*>(.*?)</nav>", page, re.DOTALL)
    assert re.findall(r'href="([^"]*)"', bar) == ["#forward", "#steps-x"]
    assert re.findall(r'href="#part-\d-[^"]*">([^<]*)</a>', listed) == [
        "Part 0",
        "Part 1",
        "Part 2",
    ]


def test_equal_titles_have_ids_of_their_own():
    page = Elements(html(Document("t", (Section("Code"), Section("eq 1"), Section("eq 1")))))
    assert [i for i in page.ids if i.startswith(("code", "eq"))] == ["code-2", "eq-1", "eq-1-2"]


def luminance(color):
    """Of `#rrggbb`, as WCAG 2 defines it."""
    parts = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out(scheme):
    css = re.search(r"<style>(.*?)</style>", html(DOCUMENT), re.DOTALL)[1]
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colors = dict(re.findall(r"--(\w+): (#\w{6});", blocks[scheme]))
    texts = ("ink", "muted", "accent", "keyword", "string", "name", "digits", "comment")
    for text in texts:
        for ground in ("paper", "panel", "lit"):
            dark, light = sorted(luminance(colors[c]) for c in (text, ground))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def test_on_paper_there_is_no_code():
    page = html(Document("", ()), "x = 1\n")
    paper = page.partition("@media print {")[2].partition("</style>")[0]
    hidden = re.findall(r"([^{}]+)\{\s*display: none;\s*\}", paper)
    assert ".code" in re.findall(r"[.\w-]+", "".join(hidden))


def test_what_is_no_python_is_an_error():
    with pytest.raises(DeriveError, match="no Python"):
        html(DOCUMENT, "def (")


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_each_line_is_highlighted_as_in_the_whole(path):
    text = (ROOT / "generated" / f"{path.stem}.py").read_text()
    lexer = PythonLexer(stripnl=False, ensurenl=False)
    lines = "".join(html_code._element(*token) for token in lexer.get_tokens(text)).split("\n")
    shown = html_code._lines(text)
    assert [re.sub("</?i[^>]*>", "", line) for line in shown] == [
        re.sub("</?i[^>]*>", "", line) for line in lines[:-1]
    ]
    plain = [k for k, line in enumerate(lines[:-1]) if line.count("<i") == line.count("</i>")]
    within = [k for k in plain if "<i" in lines[k]]  # and no part of a longer token
    assert [shown[k] for k in within] == [lines[k] for k in within]
