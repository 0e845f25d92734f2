"""Where a line of LaTeX ends: the width of a formula, estimated, and the breaking of long ones.

The estimate is in points at ten-point type and errs on the wide side, so that a document compiles
without an overfull box although no TeX was run. What fits is set in one piece; what does not is
broken at the signs of its sum; what does not fit then is written along a line and broken wherever
that may be.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import Any

from sympy import Expr, S, preorder_traversal

from derive.printing.display import displayed
from derive.printing.latex_printer import PageLatex
from derive.printing.ordering import BIG, PRODUCT, SCRIPTED

LINE = 455.0  # the width of the text, in points
LONGEST = 1000  # nodes of an expression that is shown
LEFT_OUT = r"\text{(more terms than a page should hold)}"
BREAK = "\x1f"  # where LinearLatex allows the end of a line
NARROW = 0.6  # of the room: what is no wider is not broken where something around it is
INDENT = 22.0  # of every line of a broken expression but the first
TIMES = "\x1e"  # the same between two factors: the next line begins with a dot

_BEFORE_DIGIT = re.compile(rf"{TIMES}(?=\d)")
_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|[^\\]", re.DOTALL)
_LETTERS = (
    dict.fromkeys("ijltfrIJ()[]|/!.,;:'", 4.2)
    | dict.fromkeys("mwMW", 10.5)
    | dict.fromkeys("pynbd", 6.1)
)
_COMMANDS = {
    **dict.fromkeys((r"\,", r"\!", r"\;", r"\:"), 1.8),
    **dict.fromkeys((r"\ ", r"\{", r"\}", r"\_", r"\lvert", r"\rvert"), 5.0),
    **dict.fromkeys((r"\lfloor", r"\rfloor", r"\lVert", r"\rVert"), 5.5),
    **dict.fromkeys((r"\bigl", r"\bigr"), 1.0),
    **dict.fromkeys((r"\Bigl", r"\Bigr", r"\left", r"\right"), 3.0),
    **dict.fromkeys((r"\biggl", r"\biggr"), 5.0),
    **dict.fromkeys((r"\sum", r"\prod"), 16.0),
    **dict.fromkeys((r"\leq", r"\geq", r"\neq", r"\odot", r"\oslash", r"\cdot", r"\lor"), 13.0),
    **dict.fromkeys((r"\max", r"\min", r"\log", r"\exp", r"\sin", r"\cos", r"\tan"), 21.0),
    **dict.fromkeys((r"\sinh", r"\cosh", r"\tanh", r"\bmod"), 28.0),
    **dict.fromkeys((r"\arcsin", r"\arccos", r"\arctan"), 36.0),
    **dict.fromkeys((r"\mathrm", r"\mathbf", r"\operatorname", r"\operatorname*"), 1.0),
    **dict.fromkeys((r"\substack", r"\bar", r"\hat", r"\tilde", r"\dot"), 0.0),
    **dict.fromkeys((r"\overline", r"\widehat", r"\widetilde", r"\quad"), 10.0),
    r"\sqrt": 9.0,
    r"\text": 4.5,
    r"\top": 7.0,
    r"\ldots": 13.0,
    r"\qquad": 20.0,
}
_SCRIPT = 0.75
_SIGNS = "+-=<>"
_UNDER = (r"\sum", r"\prod", r"\max", r"\min", r"\operatorname*")


def tokens(latex: str) -> list[str]:
    """Commands with their backslash, and single characters."""
    return _TOKEN.findall(latex)


def width(latex: str) -> float:
    """The width of a formula in display style, in points, rather too much than too little."""
    return _width(tokens(_unbroken(latex)), 1.0)


def _width(rest: list[str], scale: float) -> float:
    """Read the tokens up to the end or a closing brace; they are consumed from the front."""
    rest.reverse()
    return _run(rest, scale)


def _run(rest: list[str], scale: float) -> float:
    columns = [0.0]  # the widest cell of each; without `&`, of the whole
    column = 0
    total = script = 0.0
    operator = False  # limits stand under it, not beside
    while rest:
        token = rest.pop()
        if token == "}":
            break
        if token == r"\end":
            _argument(rest, scale)
            break
        if token in "^_":
            script = max(script, _argument(rest, scale * _SCRIPT))
            if rest and rest[-1] in "^_":
                continue
            total += max(0.0, script - 16.0 * scale) if operator else script
            script = 0.0
        elif token in (r"\\", "&"):
            columns[column] = max(columns[column], total)
            column, total = (column + 1 if token == "&" else 0), 0.0
            columns += [0.0] * (column + 1 - len(columns))
        elif token == r"\frac":
            total += max(_argument(rest, scale), _argument(rest, scale)) + 3.0
        elif token == r"\begin":
            _argument(rest, scale)
            total += 13.0 + _run(rest, scale)
        elif token == "{":
            total += _run(rest, scale)
        elif token != " ":
            total += _symbol(token) * (scale if token not in _SIGNS or scale == 1 else 0.6)
        operator = token in _UNDER or (operator and token in "{ ")
    columns[column] = max(columns[column], total)
    return sum(columns) + 11.0 * (len(columns) - 1)


def _argument(rest: list[str], scale: float) -> float:
    while rest and rest[-1] == " ":
        rest.pop()
    token = rest.pop()
    return _run(rest, scale) if token == "{" else _symbol(token) * scale


def _symbol(token: str) -> float:
    if token.startswith("\\"):
        return _COMMANDS.get(token, 8.0)
    if token in _SIGNS:
        return 13.0
    return _LETTERS.get(token, 8.4 if token.isupper() else 5.6)


class LinearLatex(PageLatex):
    """An expression along a line, with `BREAK` or `TIMES` wherever the line may end.

    What is narrow is set as ever. Of what is wide, a fraction is a quotient or has its numerator
    after it, and cases are a function of three arguments.
    """

    line_break = BREAK

    def __init__(self, page: PageLatex, room: float) -> None:
        super().__init__(page.names, (), page.inner)
        self.rank = page.rank
        self.whole = page
        self.room = room

    def _print(self, expr: Any, **settings: Any) -> str:
        whole = self.whole._print(expr, **settings)
        narrow = width(whole) <= NARROW * self.room
        return whole if narrow else super()._print(expr, **settings)

    def within(self) -> PageLatex:
        return LinearLatex(self.whole.within(), self.room)

    def _print_Partial(self, e: Any) -> str:
        body = self.within().at_least(e.body, SCRIPTED)
        apart = BREAK if width(body) > NARROW * self.room else ""
        return self.derivative(e.operand) + apart + body

    def subscript(self, indices: Sequence[Expr]) -> str:
        return self.whole.subscript(indices)

    def condition(self, e: Expr) -> str:
        return self.whole.condition(e)

    def fraction(self, over: str, under: str) -> str:
        below = _unbroken(under)
        if width(below) > NARROW * self.room:
            return f"({over}) {BREAK}/ ({under})"
        if width(over) <= NARROW * self.room:
            return super().fraction(_unbroken(over), below)
        return rf"\frac{{1}}{{{below}}}{TIMES}{self.bracketed(over) if _is_sum(over) else over}"

    def joined(self, factors: Sequence[Expr], before: str = "") -> str:
        joined = before or super().joined(factors[:1])
        for factor in factors if before else factors[1:]:
            last = factor is factors[-1]
            joined += TIMES + self.at_least(factor, BIG if last else PRODUCT)
        return joined

    def bracketed(self, inside: str) -> str:
        if width(inside) <= NARROW * self.room:
            return super().bracketed(_unbroken(inside))
        tall = any(sign in inside for sign in (r"\frac", r"\sum", r"\prod", r"\begin"))
        return rf"\Bigl( {inside} \Bigr)" if tall else f"({inside})"

    def _print_exp(self, e: Any, exp: Any = None) -> str:
        return rf"\exp{self.bracketed(self._print(e.args[0]))}"

    def _print_where(self, e: Any) -> str:
        whole = self.whole.doprint(e)
        if width(whole) <= self.room * 0.9:
            return whole
        condition, a, b = e.args
        parts = [self.condition(condition), self._print(a), self._print(b)]
        return rf"\operatorname{{where}}({BREAK}{f', {BREAK}'.join(parts)})"

    def _print_Pow(self, e: Any) -> str:
        base, exponent = e.args
        if exponent == S.Half:
            return rf"\operatorname{{sqrt}}{self.bracketed(self._print(base))}"
        return super()._print_Pow(e)


def _is_sum(latex: str) -> bool:
    """Whether signs stand outside all parentheses and braces."""
    depth = 0
    for token in tokens(latex):
        depth += (token in "{(") - (token in "})")
        if depth == 0 and token in "+-":
            return True
    return False


def _unbroken(latex: str) -> str:
    latex = _BEFORE_DIGIT.sub(r"\\cdot ", latex.replace(BREAK, ""))
    return latex.replace(TIMES, r"\, ")


def endless(e: Expr, nodes: int = LONGEST) -> bool:
    """Whether an expression has more nodes than a page should hold; no more are looked at."""
    return any(True for _ in islice(preorder_traversal(e), nodes, None))


def lines(e: Expr, page: PageLatex, room: float) -> list[str]:
    """An expression as lines no wider than `room`, in one piece where that fits."""
    if endless(e):
        return [LEFT_OUT]
    shown = displayed(e)
    whole = page.doprint(shown)
    if width(whole) <= room:
        return [whole]
    first, room = room, room - INDENT
    if not shown.is_Add:
        return _filled(pieces(LinearLatex(page, room).doprint(shown)), first, room)
    out: list[str] = []
    joinable = False
    for term, part in page.terms(shown):
        if width(part) > room:
            linear = LinearLatex(page, room).signed([term], first=not out)
            out += _filled(pieces(linear), room if out else first, room)
        elif joinable and width(f"{out[-1]} {part}") <= room:
            out[-1] += f" {part}"
        else:
            out.append(part)
        joinable = width(part) <= room
    return out


def pieces(latex: str) -> list[str]:
    """The parts between breaks, those within braces aside; a factor's part begins with `TIMES`."""
    out, depth = [""], 0
    for token in tokens(latex):
        depth += (token == "{") - (token == "}")
        if depth == 0 and token in (BREAK, TIMES):
            out.append(token)
        else:
            out[-1] += token
    return out


def _filled(parts: list[str], first: float, room: float) -> list[str]:
    """Parts put on as few lines as they fit on, `first` being the room on the first of them.

    A term is kept in one piece where a line can hold it; else its factors are parts. A part that
    fits on no line is set smaller.
    """
    out: list[str] = []
    for unit in _units(parts, room):
        if out and _extent(out[-1] + unit) <= (first if len(out) == 1 else room):
            out[-1] += unit
        else:
            out.append(unit)
    return [_fitting(line, room if k else first) for k, line in enumerate(out)]


def _units(parts: list[str], room: float) -> list[str]:
    terms: list[list[str]] = []
    for part in parts:
        if part.startswith(TIMES) and terms:
            terms[-1].append(part)
        else:
            terms.append([part])
    units: list[str] = []
    for term in terms:
        units += ["".join(term)] if _extent("".join(term)) <= room else term
    return units


def _opened(line: str) -> str:
    """The line as it is printed: one that goes on with a factor begins with a dot."""
    return (r"\cdot " if line.startswith(TIMES) else "") + _unbroken(line.removeprefix(TIMES))


def _extent(line: str) -> float:
    return width(_opened(line))


def _fitting(line: str, room: float) -> str:
    over = _extent(line) / room
    smaller = r"\scriptstyle " if over <= 1.35 else r"\scriptscriptstyle "
    return _opened(line) if over <= 1 else smaller + _opened(line)
