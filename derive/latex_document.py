"""The document: how each gradient was derived, for pdflatex with texlive-latex-base alone.

Notation and conventions, the forward equations, the cotangents in short, then each with its steps:
index form and matrix form, and the numbers that the generated code cites. What is there or not,
the template has as a tuple of one element or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from sympy import Abs, Expr, S, Symbol, exp, log, sign

from derive.calculus import contribution
from derive.derivation import Gradients
from derive.functions import Named, lt, maximum, minimum, mod, where
from derive.identities import COROLLARIES, INDEXED, REFLECTIONS, REWRITINGS, RULES
from derive.latex_layout import LINE, endless, width
from derive.latex_names import Names, escaped
from derive.latex_printer import expression_latex
from derive.latex_rows import TAG, Row, Sheet, chained, enumerated, link, listed, target
from derive.latex_steps import IMPLIED, SUMMED, Page
from derive.likewise import Likewise, alike
from derive.notation import ELLIPSIS, Access, Equation, Index, Partial, Program, Reduce, accesses
from derive.render import render
from derive.stepping import FIRST, PASSED_ON
from derive.updates import Update

GIVEN = 24  # lines of the formula shown as it was written
READABLE = 120  # nodes of a form made for accuracy; beyond, it is left to the code
TABLE = 32  # rows of a table that stay together


@dataclass(frozen=True)
class Entry:
    """A row of the table of tensors."""

    symbol: str
    name: str
    shape: str
    role: str


@dataclass(frozen=True)
class Passage:
    """Sentences, and the equations that they are about."""

    text: str
    displays: tuple[str, ...]


def latex(
    gradients: Gradients,
    title: str = "",
    public: Mapping[str, str] | None = None,
    text: str = "",
    computed: Program | None = None,
    update: Update | None = None,
) -> str:
    """A complete document that pdflatex compiles.

    `title` is free text; `public` gives for tensors the names that users know; `text` is the
    formula as it was written, shown at the top; `computed` is the program that the code computes,
    shown where it differs from the textbook form; `update` is what an optimizer does with the
    cotangents.
    """
    others = _others(gradients, computed)
    page = Page(gradients, others)
    forward = page.displays(page.forward, target)
    backward = page.displays(page.backward, link)
    sections = tuple(page.sections())
    updates = tuple(_updates(update))
    kinks = list(_kinks(gradients.forward))
    entries = list(_entries(page, public or {}))
    written = [*forward, *backward, *(part for section in sections for part in section.parts)]
    written += [display for update in updates for display in update.displays]
    return render(
        "derivation.tex.jinja",
        title=escaped(title or "Derivation"),
        given=_given(text) if text else (),
        operands=_several([f"${page.symbol(t)}$" for t in gradients.cotangents]),
        result=_result(page),
        conventions=tuple(_conventions(gradients, "\n".join(written))),
        indices=tuple(_index_rows(page)),
        tables=tuple(tuple(entries[k : k + TABLE]) for k in range(0, len(entries), TABLE)),
        kinks=("\n\n".join(kinks),) if kinks else (),
        forward=forward,
        backward=backward,
        rules=tuple(meaning for rule, meaning in _RULES.items() if rule in page.rules),
        sections=sections,
        computed=tuple(_computed(page, others)),
        updates=updates,
        functions=tuple(_functions(page, others)),
        identities=tuple(_identities(page)),
    )


def _given(text: str) -> tuple[str, ...]:
    """The formula as it was written; of a very long one the beginning."""
    given = text.strip().split("\n")
    shown = list(map(_typed, given[:GIVEN]))
    more = len(given) - len(shown)
    shown += [rf"\emph{{and {more} lines more}}"] if more else []
    return (" \\\\\n".join(shown),)


def _result(page: Page) -> str:
    """What is differentiated, in words."""
    forward = page.gradients.forward
    target = (forward.results or (forward.result,))[0]
    symbol = page.symbol(target)
    if forward.equation(target).indices:
        return rf"the sum of ${symbol}$, each element weighted,"
    return f"the result, ${symbol}$,"


def _others(gradients: Gradients, computed: Program | None) -> tuple[Equation, ...]:
    """The equations computed in another form than the textbook's."""
    known = {(e.target, e.body) for e in gradients.program.equations}
    return tuple(
        e for e in (computed.equations if computed else ()) if (e.target, e.body) not in known
    )


def _computed(page: Page, others: Iterable[Equation]) -> Iterator[Passage]:
    """The readable ones, under the numbers of the equations that they are a part of."""
    origins = {e.target: page.numbers.get(e.origin or e.target) for e in others}
    numbers = {t: number for t, number in origins.items() if number}
    shown = [e for e in others if not endless(e.body, READABLE)]
    hidden = [e for e in others if e not in shown and e.target in numbers]
    parts = enumerated([f"${page.symbol(e.target)}$ of ({numbers[e.target]})" for e in hidden])
    sentence = f"Left to the code, having more terms than a page should hold: {parts}."
    if others:
        yield Passage(sentence if hidden else "", page.displays(shown, link, numbers))


def _updates(update: Update | None) -> Iterator[Passage]:
    """What the optimizer does with the cotangents, in index form."""
    if update is None:
        return
    program = update.program
    tensors = (*(t.name for t in program.inputs), *(e.target for e in program.equations))
    sheet = Sheet(Names(tensors), update.numbers)
    rows = []
    for e in program.equations:
        first = Row(sheet.access(e), tag=target(update.numbers[e.target]))
        rows += [(row,) for row in sheet.broken(e, first, LINE - TAG)]
    yield Passage(" ".join(_update_words(update, sheet)), (listed(rows),))


def _update_words(update: Update, sheet: Sheet) -> Iterator[str]:
    states = [f"${sheet.symbol(s)}$" for s in update.optimizer.states]
    inputs = {t.name for t in update.program.inputs}
    yield (
        f"One step of {escaped(update.optimizer.name)} on all parameters at once: $w$ holds them "
        "one after the other, $p$ counting their elements, and $g$ their cotangents in that order."
    )
    if states:
        verb = "is a state" if len(states) == 1 else "are states"
        yield f"{' and '.join(states)} {verb}, $0$ at the beginning."
    if "t" in inputs:
        yield r"$t = 1, 2, \ldots$ is the number of the step."
    if "learning_rate" in inputs:
        yield f"${sheet.symbol('learning_rate')}$ is the learning rate."
    yield r"What is marked $\mathrm{next}$ takes the place of what is not, for the step after."


def _functions(page: Page, others: Iterable[Equation]) -> Iterator[str]:
    """What the functions are that have a formula of their own."""
    steps = (s.after for s in page.gradients.steps)
    found: dict[type[Named], None] = {}
    reductions = set()
    for e in (*page.forward, *page.backward, *steps, *others):
        found |= dict.fromkeys(
            sorted({type(f) for f in e.body.atoms(Named)}, key=lambda c: c.__name__)
        )
        reductions |= {r.op for r in e.body.atoms(Reduce)}
    stated: list[tuple[Expr, Expr]] = [(f(*f.parameters), f.formula) for f in found]
    if "logsumexp" in reductions:
        k = Index("k")
        z = Access("z", k)
        l = Equation("l", (), Reduce("logsumexp", z, (k,)))
        stated.append((l.body, log(Reduce("sum", exp(z), (k,)))))
        j = k.renamed("j")
        derived = contribution(l, z, S.One, Access("z_bar", j), {}, {"j", "k"}).body
        stated.append((Partial(l.body, Access("z", j)), derived.xreplace({l.access: l.body})))
    rows = [Row(*(expression_latex(e, page.names) for e in sides)) for sides in stated]
    if rows:
        yield listed((row,) for row in rows)


# What signs mean, of those that are on the page.

_SIGNS = (
    (r"\mathbf{1}", r"$\mathbf{1}$ is the column of ones."),
    (r"\odot", r"$\odot$ is the product element by element."),
    (r"\oslash", r"$\oslash$ is the quotient element by element."),
    (r"onehot", r"Row $n$ of $\operatorname{onehot}(y)$ is $1$ at $y_n$, else $0$."),
    (r"[\,", r"$[\,c\,]$ is $1$ where the condition $c$ holds, else $0$."),
    (r"\delta_", r"$\delta_{ij}$ is $1$ where $i = j$, else $0$."),
)


# What rules do that are no identities, of those that are on the page.

_RULES = {
    SUMMED: r"The \emph{sum over uses} adds up what each use of a tensor contributes.",
    IMPLIED: r"A condition that the ranges of indices imply is left out: \emph{range implied}.",
    "cotangent written out": (
        r"A \emph{cotangent written out} is replaced by what it was found to be."
    ),
    PASSED_ON: (
        r"In the \emph{backward recurrence} the condition that there is a step after is left out: "
        r"beyond the last step the cotangents are $0$."
    ),
    FIRST: r"What the \emph{first step} passes back is the cotangent of the initial value.",
    "reuse of the backward pass": (
        r"The \emph{reuse of the backward pass} reads a cotangent that was computed already."
    ),
    "compact form": (
        r"The \emph{compact form} puts in the cotangents of means, variances and norms; "
        r"where $q = a/b$ was computed, $a$ is $q\,b$."
    ),
    "reuse of the forward pass": (
        r"The \emph{reuse of the forward pass} reads what a forward equation has computed already."
    ),
}


def _conventions(gradients: Gradients, written: str) -> Iterator[str]:
    if any(sign_ in written for sign_ in (r"\top", r"\odot", r"\mathbf{1}")):
        yield "In matrix forms vectors are columns, and functions act element by element."
    yield from (meaning for sign_, meaning in _SIGNS if sign_ in written)
    suffixes = {c.rpartition("_")[2] for c in gradients.cotangents.values()}
    if "hessian" in suffixes:
        yield r"$x^{\mathrm{hessian}}_{ij}$ is the derivative of $\bar{x}_i$ by $x_j$."
    if "jacobian" in suffixes:
        yield r"$x^{\mathrm{jacobian}}_{ij}$ is the derivative of the result at $i$ by $x_j$."
    if "hvp" in suffixes:
        yield r"$x^{\mathrm{hvp}}$ is the Hessian of the result by $x$, times the direction."
    started = {e.target for e in gradients.shown if e.recurrence}
    read = [
        i
        for e in gradients.shown
        for a in accesses(e.body)
        if a.tensor not in started
        for i in a.indices
    ]
    if any(not isinstance(i, Index | Access) and i.has(Index) for i in read):
        yield "A term of a sum in which an index leaves its range is left out."


def _kinks(forward: Program) -> Iterator[str]:
    """The conventions in force where a derivative does not exist."""
    functions = {type(f) for e in forward.equations for f in e.body.atoms(Named)}
    relu = any(f.__name__ == "relu" for f in functions)
    formulas = [f.formula for f in functions if f.__name__ != "relu"]
    formulas += [e.body for e in forward.equations]

    def has(*classes: type) -> bool:
        return any(e.atoms(*classes) for e in formulas)

    if relu or any(_is_relu(f) for e in formulas for f in e.atoms(maximum, where)):
        yield r"$\operatorname{relu}'(0) = 0$."
    if has(Abs, sign):
        yield r"$\lvert x \rvert' = \operatorname{sign}(x)$, which is $0$ at $x = 0$."
    if has(maximum, minimum):
        yield (
            r"In $\max(a, b)$ and $\min(a, b)$ with $a = b$ "
            "the first argument takes the derivative."
        )
    if has(where):
        yield "At the border between two cases the derivative is that of the case that holds there."
    if any(r.op in ("max", "min") for e in formulas for r in e.atoms(Reduce)):
        yield (
            r"In a $\max$ or $\min$ over an index the first of equal elements, in the order of the "
            "index, takes the whole cotangent."
        )
    if has(mod):
        yield r"$a \bmod b$ has the derivatives $1$ and $-\lfloor a/b \rfloor$, at its jumps too."


def _is_relu(e: Expr) -> bool:
    a, b = e.args[-2:]
    return (isinstance(e, maximum) and 0 in (a, b)) or e == where(lt(S.Zero, a), a, S.Zero)


_STATEMENTS = COROLLARIES + REWRITINGS + REFLECTIONS + RULES + INDEXED


def _identities(page: Page) -> Iterator[str]:
    """The identities that were used, each with what it says."""
    rows = []
    for name in page.rules:
        for k, identity in enumerate(i for i in _STATEMENTS if i.name == name):
            left, right = (expression_latex(e, page.names) for e in (identity.left, identity.right))
            rows.append(Row(left, right, rule="" if k else escaped(name)))
    if rows:
        yield chained(rows)


# Tables.


def _index_rows(page: Page) -> Iterator[tuple[str, str]]:
    """The indices of each size."""
    forward = page.gradients.forward
    axes = [i for t in forward.inputs for i in t.axes]
    equations = page.gradients.shown
    bound = [i for e in equations for r in e.body.atoms(Reduce) for i in r.bound]
    given = dict(forward.sizes)
    ranges: dict[str, list[Index]] = {}
    for i in dict.fromkeys((*axes, *(i for e in equations for i in e.indices), *bound)):
        size = expression_latex(i.size, page.names)
        if isinstance(i.size, Symbol) and i.size in given and i.name != ELLIPSIS:
            size += f" = {expression_latex(given[i.size], page.names)}"
        ranges.setdefault(size, []).append(i)
    for size, group in ranges.items():
        names = dict.fromkeys(f"${expression_latex(i, page.names)}$" for i in group)
        yield enumerated(list(names)), f"${size}$"


def _entries(page: Page, public: Mapping[str, str]) -> Iterator[Entry]:
    """The tensors, each as an equation whose body is its role."""
    gradients = page.gradients
    tensors = []
    for t in gradients.forward.inputs:
        role = "input, integers" if t.kind == "integer" else "input"
        if t.name in gradients.cotangents:
            role = "parameter" if t.name in public else "operand"
        tensors.append(Equation(t.name, t.axes, Symbol(role)))
    tensors += [replace(e, body=Symbol("computed")) for e in page.forward]
    for e, same in alike(tensors, lambda e: (e,)):
        names = [public.get(t, t) for t in (e.target, *same.targets)]
        yield _entry(page, e, same, _several(names, "..."))


def _entry(page: Page, e: Equation, same: Likewise, name: str) -> Entry:
    symbol = page.access(e)
    if same.others:
        symbol = symbol.replace(f"({same.layer})", r"(\ell)", 1)
        symbol += rf",\ \ell = {enumerated([str(k) for k in (same.layer, *same.others)])}"
    shape = r" \times ".join(expression_latex(i.size, page.names) for i in e.indices)
    wide = width(symbol)
    small = r"\tiny " if wide > 220 else r"\scriptsize " if wide > 160 else ""
    room = LINE - 120.0 - min(wide, 160.0) - min(width(shape), 120.0)
    return Entry(
        symbol=f"{small}${symbol}$",
        name=_boxed(_typed(name), 5.4 * len(name) + 2.0, room),
        shape=_boxed(f"${shape}$", width(shape), 120.0) if shape else "scalar",
        role=str(e.body),
    )


def _several(items: list[str], dots: str = r"\ldots") -> str:
    """All of some, of many the first and the last."""
    return ", ".join(items if len(items) <= 12 else [items[0], items[1], dots, items[-1]])


def _boxed(content: str, natural: float, room: float) -> str:
    """Broken into lines where it is wider than its column."""
    if natural <= room:
        return content
    return rf"\parbox{{{room:.0f}pt}}{{\raggedright\strut {content}\strut}}"


def _typed(code: str) -> str:
    """A name or a line of the formula language, in typewriter, with places to break it."""
    return rf"\texttt{{{''.join(map(_typed_character, code))}}}"


def _typed_character(c: str) -> str:
    if c == " ":
        return r"\ "
    return escaped(c) if c.isalnum() else escaped(c) + r"\allowbreak{}"
