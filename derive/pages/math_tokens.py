"""The LaTeX of a formula, made ready for latex2mathml: names and signs become single characters.

    \\bar{z}_{i}\\, \\log \\mathrm{loss}  ->  \\bar{z}_{i}abc, where a, b, c are of a private range

latex2mathml would split names into letters and take some signs for what they are not; structure it
reads well. What no printer of this package writes is refused, for it would be shown wrongly or not
at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from derive.pages.math_symbols import COMMANDS, OP, REL, Sign, bold

_TOKEN = re.compile(
    r"(?P<font>\\(?:operatorname\*?|mathrm|mathbf|text))\{(?P<name>(?:[^{}\\$]|\\[^A-Za-z])*)\}"
    r"|(?P<environment>\\(?:begin|end)\{[a-z]+\})"
    r"|(?P<command>\\(?:[A-Za-z]+|.))"
    r"|(?P<number>(?<=[\^_])\d|\d+(?:\.\d+)?)"
    r"|(?P<assigned>:=)"
    r"|(?P<other>[-A-Za-z+=<>/|()\[\],.;:!'^_{}&]|[ \n]+)",
    re.DOTALL,
)
# What latex2mathml reads as it should.
_STRUCTURE = (
    r"\frac \sqrt \bar \hat \tilde \dot \overline \widehat \widetilde \substack \sum \prod \limits "
    r"\left \right \big \bigl \bigr \Big \Bigl \Bigr \bigg \biggl \biggr \{ \} \\ "
    r"\displaystyle \textstyle \scriptstyle \scriptscriptstyle "
    r"\begin{cases} \end{cases}"
)
_LEFT = frozenset(_STRUCTURE.split())  # to latex2mathml
_BMOD = r"\;\mathrm{mod}\;"  # spaced so in scripts too
_PRIVATE = 0xE000
_ESCAPED = re.compile(r"\\(.)")
_IN_NAMES = {"_": "_", ",": "\u2009", " ": "\u00a0"}


class UnknownLatex(ValueError):
    """LaTeX that no printer of this package writes."""


@dataclass
class Tokens:
    """A formula, and the signs that its stand-ins stand for."""

    latex: str
    signs: list[Sign] = field(default_factory=list)

    def unknown(self, what: str) -> UnknownLatex:
        return UnknownLatex(f"{what} in the formula {self.latex}")

    def prepared(self) -> str:
        """The formula as latex2mathml is to have it."""
        return "".join(self.tokens())

    def tokens(self) -> Iterator[str]:
        latex = self.latex.replace(r"\bmod", _BMOD)
        end = depth = environments = 0
        for found in _TOKEN.finditer(latex):
            if found.start() != end or min(depth, environments) < 0:
                break
            end = found.end()
            depth += (found[0] == "{") - (found[0] == "}")
            environments += found[0].startswith(r"\begin") - found[0].startswith(r"\end")
            sign = self.sign(found)
            yield found[0] if sign is None else self.stand_in(sign)
        if not latex.strip():
            raise self.unknown("nothing")
        if depth or environments:
            raise self.unknown("an unbalanced brace or environment")
        if end < len(latex):
            raise self.unknown(repr(latex[end : end + 20]))

    def stand_in(self, sign: Sign) -> str:
        if sign not in self.signs:
            self.signs.append(sign)
        return chr(_PRIVATE + self.signs.index(sign))

    def stood_for(self, text: str) -> Sign | None:
        """The sign of a stand-in."""
        return self.signs[ord(text) - _PRIVATE] if text >= chr(_PRIVATE) else None

    def sign(self, found: re.Match[str]) -> Sign | None:
        """The sign that a token is, unless that is left to latex2mathml."""
        if found["font"]:
            return self.named(found["font"], found["name"])
        if found["number"]:
            return Sign("mn", found[0])
        if found["assigned"]:
            return Sign("mo", ":=", REL)
        if found["other"] or found[0] in _LEFT:
            return None
        if found[0] not in COMMANDS:
            raise self.unknown(found[0])
        return COMMANDS[found[0]]

    def named(self, font: str, name: str) -> Sign:
        if any(c not in _IN_NAMES for c in _ESCAPED.findall(name)):
            raise self.unknown(name)
        text = _ESCAPED.sub(lambda c: _IN_NAMES[c[1]], name)
        if not (text.isascii() or "\u2009" in text or "\u00a0" in text):
            raise self.unknown(name)
        if font == r"\text":
            return Sign("mtext", text.replace(" ", "\u00a0"))
        if font == r"\mathbf":
            if not re.fullmatch("[A-Za-z0-9]", text):
                raise self.unknown(rf"\mathbf{{{name}}}")
            return Sign("mn" if text.isdigit() else "mi", bold(text))
        upright = ' mathvariant="normal"' if len(text) == 1 else ""
        if font == r"\mathrm":
            return Sign("mi", text, attributes=upright)
        return Sign("mi", text, OP, upright, limits=font.endswith("*"))
