"""Pages of derivations in a real browser: nothing overflows, links land, the font is used.

A script is put into a copy of the page (which itself allows none), measures, and hands what it
found to the document around, which the browser prints. Skipped where there is no Chromium.
"""

import functools
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import networks
import pytest

import derive
from derive.code.citations import citations

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
SPECS = Path(__file__).parent.parent / "specs"
DENSE = '[[layers]]\ntype = "dense"\nunits = {}\nactivation = "relu"\n'
ROLLED = f"""
name = "rolled"
[input]
shape = [16]
{DENSE.format(16) * 8}
{DENSE.format(4)}
[loss]
type = "mse"
[optimizer]
type = "sgd"
learning_rate = 0.1
[training]
epochs = 1
batch_size = 8
"""
FORMULA = """s[n,j] = sum[i](x[n,i]*W[i,j])
L = sum[n,j]((relu(s[n,j]) - t[n,j])**2)"""
WIDE, NARROW = (1360, 900), (420, 900)
LIT = ("two_layer_multiclass", "formula")
PAGES = (*LIT, "rolled", "residual_mlp")  # layers that are one loop; layers of many kinds

pytestmark = pytest.mark.skipif(not BROWSER, reason="no Chromium")

MEASURE = r"""
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const name = e => `${e.localName}#${e.id}.${e.getAttribute("class")} ${e.textContent.slice(0, 40)}`;
const scrolls = e => ["auto", "scroll"].includes(getComputedStyle(e).overflowX);
const held = e => e && e !== document.documentElement && (scrolls(e) || held(e.parentElement));
const background = e => getComputedStyle(e).backgroundColor;

function lit(hash) {
  location.hash = hash;
  const marked = all(".line, .code span").filter(e => e.id && background(e) === lamp);
  return marked.map(e => e.id);
}

function width(family) {
  const probe = document.createElement("span");
  probe.style = `position: absolute; font: 40px ${family}`;
  probe.textContent = "∑𝑊𝜎⊙∂";
  document.body.append(probe);
  const found = probe.getBoundingClientRect().width;
  probe.remove();
  return found;
}

let lamp = "";
document.fonts.ready.then(() => {
  const still = document.createElement("style");
  still.textContent = "* { transition: none !important }";
  document.head.append(still);
  const root = document.scrollingElement, edge = root.clientWidth + 1;
  const outside = e => {
    const { left, right } = e.getBoundingClientRect();
    return right > edge || left < -1;
  };
  const box = selector => document.querySelector(selector).getBoundingClientRect().toJSON();
  const cut = e => e.scrollHeight > e.clientHeight + 1;
  const lamp_ = document.createElement("i");
  lamp_.style = "background: var(--lit)";
  document.body.append(lamp_);
  lamp = background(lamp_);
  const found = {
    window: innerWidth,
    scrolled: root.scrollWidth - root.clientWidth,
    outside: all("body *").filter(e => outside(e) && !held(e.parentElement)).map(name),
    wide: all(".display").filter(e => e.scrollWidth > e.clientWidth).map(name),
    cut: all(".display, .eq").filter(e => scrolls(e) && cut(e)).map(name),
    overlaps: all(".line").filter(line => {
      const number = line.querySelector(".number")?.getBoundingClientRect();
      return number && all(".eq, .rule", line).some(e => {
        const r = e.getBoundingClientRect(), inner = e.matches(".eq") ? e.lastChild : e;
        const right = Math.min(r.right, inner.getBoundingClientRect().right);
        return right > number.left + 1 && r.bottom > number.top + 1 && r.top < number.bottom - 1;
      });
    }).map(name),
    ids: all("[id]").map(e => e.id),
    links: all("a[href]").map(e => e.getAttribute("href")),
    fonts: [...document.fonts].map(f => [f.family, f.status]),
    family: getComputedStyle(document.querySelector(".line math")).fontFamily,
    widths: [width('"STIX Two Math", serif'), width("serif")],
    main: box("main"),
    code: box(".code"),
    lit: Object.fromEntries(HASHES.map(hash => [hash, lit(hash)])),
  };
  parent.postMessage(JSON.stringify(found), "*");
});
"""
# A window of the browser's own may not be as narrow as a phone; a frame may.
AROUND = """<!DOCTYPE html><meta charset="utf-8"><pre></pre>
<script>onmessage = e => document.querySelector("pre").textContent = e.data</script>
<iframe src="page.html" width="{}" height="{}" style="border: 0"></iframe>
"""


@functools.cache
def page(name):
    """A page and the text of its module."""
    if name == "formula":
        derivation = derive.differentiate(FORMULA, wrt=["W", "x"])
        return derivation.html(), derivation.source()
    text = ROLLED if name == "rolled" else (SPECS / f"{name}.toml").read_text()
    files = networks.files(text)
    return files[f"{name}.html"], files[f"{name}.py"]


def cited(source):
    """By number the ids of the lines that cite it."""
    found = {}
    for citation in citations(source):
        for number in citation.numbers:
            lines = range(citation.first, citation.last + 1)
            found.setdefault(str(number), set()).update(f"L{line}" for line in lines)
    return found


def findings(text, size, hashes, folder):
    """What the script finds on a page in a window of this size."""
    text, allowed = re.subn(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", text)
    assert allowed == 1
    script = f"<script>const HASHES = {json.dumps(hashes)};\n{MEASURE}</script></body>"
    (folder / "page.html").write_text(text.replace("</body>", script), encoding="utf-8")
    around = folder / "around.html"
    around.write_text(AROUND.format(*size), encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={folder / 'profile'}", "--window-size=1500,1000"]
    command += ["--virtual-time-budget=5000", "--dump-dom", around.as_uri()]
    printed = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120)
    found = re.search(r"<pre>(.+?)</pre>", printed.stdout, re.DOTALL)
    assert found, printed.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


@pytest.fixture(
    scope="module",
    params=[(name, size) for name in PAGES for size in (WIDE, NARROW)],
    ids=lambda p: f"{p[0]} {p[1][0]}",
)
def looked_at(request, tmp_path_factory):
    """A page in a window: what was found, the window's width, and what its code cites."""
    name, size = request.param
    text, source = page(name)
    by_number = cited(source)
    few = list(by_number)[:5] if name in LIT else []
    hashes = [f"#eq-{n}" for n in few]
    hashes += [f"#{min(by_number[n], key=lambda i: int(i[1:]))}" for n in few]
    found = findings(text, size, hashes, tmp_path_factory.mktemp("browser"))
    return found, size, by_number


def test_nothing_overflows(looked_at):
    found, size, _ = looked_at
    assert found["window"] == size[0]
    assert found["scrolled"] <= 0
    assert found["outside"] == []
    assert found["cut"] == []
    assert found["overlaps"] == []
    if size == WIDE:
        assert found["wide"] == []


def test_ids_are_unique_and_links_land(looked_at):
    found, _, by_number = looked_at
    ids = found["ids"]
    assert len(ids) == len(set(ids)) > 50
    assert {link for link in found["links"] if link[1:] not in ids} == set()
    assert {f"eq-{n}" for n in by_number} <= set(ids)


def test_the_font_is_loaded_and_used(looked_at):
    found, _, _ = looked_at
    assert ["STIX Two Math", "loaded"] in [[f.strip('"'), s] for f, s in found["fonts"]]
    assert found["family"].strip('"').startswith("STIX Two Math")
    with_font, without = found["widths"]
    assert abs(with_font - without) > 1


def test_an_equation_and_its_code_light_each_other(looked_at):
    found, _, by_number = looked_at
    for pointed, lit in found["lit"].items():
        number = next(
            n for n, lines in by_number.items() if pointed[1:] == f"eq-{n}" or pointed[1:] in lines
        )
        assert set(lit) == {f"eq-{number}"} | by_number[number]


def test_the_code_stands_beside_or_below(looked_at):
    found, size, _ = looked_at
    main, code = found["main"], found["code"]
    if size == WIDE:
        assert code["left"] >= main["right"] - 1 and code["width"] > 400
    else:
        assert code["top"] >= main["bottom"] - 1
