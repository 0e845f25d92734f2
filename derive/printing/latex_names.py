"""Names as LaTeX: `W_1` is $W^{(1)}$, `W_1_bar` is $\\bar{W}^{(1)}$, `eps` is $\\varepsilon$.

    name  ::=  stem { "_" mark }        stem  ::=  letter | greek | word | letter digits
    mark  ::=  bar | hat | tilde | dot  an accent on the stem
            |  digits                   the superscript (digits): the number of a layer
            |  word                     an upright superscript

Subscripts are kept for indices. Whatever the name is, none of its characters reaches LaTeX
unescaped, and `Names` gives two names two symbols. Where the cotangents are known, a name of the
user's that ends as theirs do, `x_bar`, is an upright word.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass

_LOWER = (
    "alpha beta gamma delta zeta eta theta iota kappa mu nu xi pi rho sigma tau upsilon phi chi"
)
_UPPER = "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
_GREEK = {name: f"\\{name}" for name in f"{_LOWER} psi omega {_UPPER} ell".split()} | {
    "eps": r"\varepsilon",
    "epsilon": r"\varepsilon",
    "lam": r"\lambda",
    "lambda_": r"\lambda",
}
_UPPER_GREEK = {
    _GREEK[name]: _GREEK[name.capitalize()]
    for name in map(str.lower, _UPPER.split())
    if name in _GREEK
}
_KNOWN = {"learning_rate": "eta"}
NEXT = "next"  # what a state is after a step
_BARRED = re.compile(r"_bar(_\d+)?$")
_AGAIN = re.compile(r"(.+_[a-z]+)_\d+")  # `x_bar_1`, as `x_bar` was taken
_ACCENTS = {"bar": r"\bar", "hat": r"\hat", "tilde": r"\tilde", "dot": r"\dot"}
_WIDE = {r"\bar": r"\overline", r"\hat": r"\widehat", r"\tilde": r"\widetilde", r"\dot": r"\dot"}
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "-": "{-}",
    **{c: f"\\{c}" for c in "$&%#_"},
}


def escaped(text: str) -> str:
    """Free text for LaTeX; what the standard fonts lack is shown by its code point."""
    return "".join(map(_escaped_character, text))


def _escaped_character(c: str) -> str:
    if c in _ESCAPES:
        return _ESCAPES[c]
    if " " <= c <= "~" or ("\u00c0" <= c <= "\u017e" and c not in _UNKNOWN_LATIN):
        return c
    return _SIGNS.get(c) or f"U+{ord(c):04X}"


# In Latin-1 and Latin Extended-A, but in no font of texlive-latex-base's default encoding.
_UNKNOWN_LATIN = frozenset("ÐðÞþĐđĦħĸŊŋŁłŒœŦŧŉŲųĄąĘęĮįİſŀĿ")
_ALPHABET = (
    r"\alpha \beta \gamma \delta \varepsilon \zeta \eta \theta \iota \kappa \lambda \mu \nu "
    r"\xi o \pi \rho \varsigma \sigma \tau \upsilon \varphi \chi \psi \omega"
)
_SIGNS = {
    "\u00a0": "~",
    "–": "--",
    "—": "---",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "×": r"\ensuremath{\times}",
    "·": r"\ensuremath{\cdot}",
    "±": r"\ensuremath{\pm}",
    "→": r"\ensuremath{\rightarrow}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "≠": r"\ensuremath{\neq}",
    "∞": r"\ensuremath{\infty}",
    "∂": r"\ensuremath{\partial}",
    "∑": r"\ensuremath{\sum}",
    "√": r"\ensuremath{\surd}",
    "²": r"\ensuremath{{}^2}",
    "³": r"\ensuremath{{}^3}",
    "°": r"\ensuremath{{}^\circ}",
    "§": r"\S{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
} | {chr(0x3B1 + k): rf"\ensuremath{{{letter}}}" for k, letter in enumerate(_ALPHABET.split())}


@dataclass(frozen=True)
class Name:
    """A symbol and what stands above it to the right: `W`, `(1)`."""

    symbol: str
    above: str = ""

    def indexed(self, below: str = "") -> str:
        """The symbol with its superscript and with subscripts."""
        above = f"^{{{self.above}}}" if self.above else ""
        return f"{self.symbol}{above}_{{{below}}}" if below else f"{self.symbol}{above}"


@dataclass(frozen=True)
class Marked:
    """A tensor's name taken apart; `wide` where the stem is a word."""

    stem: str
    accents: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    wide: bool = False


class Names:
    """The symbols of a set of tensors: each its own. Among equals the first keeps the short one.

    A tensor in `matrices` has a capital letter there, unless that is another tensor's. Where
    `cotangents` are given, no other tensor has a bar; one that gave way to a name of the user's,
    `x_bar_1`, has the symbol of `x_bar`, which then is a word.
    """

    def __init__(
        self,
        tensors: Sequence[str] = (),
        matrices: Sequence[str] = (),
        cotangents: Collection[str] = (),
    ) -> None:
        self.plain: dict[str, Name] = {}
        self.capital: dict[str, Name] = {}
        self.cotangents = frozenset(cotangents)
        others = {*tensors, *matrices} - self.cotangents
        again = ((c, _AGAIN.fullmatch(c)) for c in sorted(self.cotangents))
        self.first = {c: found[1] for c, found in again if found and found[1] in others}
        barred = {t for t in others if self.cotangents and _BARRED.search(t)}
        self.words = barred | {*self.first.values()}
        taken: set[Name] = set()
        for tensor in dict.fromkeys((*tensors, *matrices)):
            name = self.symbol(tensor)
            self.plain[tensor] = self.literal(tensor) if name in taken else name
            taken.add(self.plain[tensor])
        for tensor in dict.fromkeys(matrices):
            name = self.symbol(tensor, capital=True)
            self.capital[tensor] = self.plain[tensor] if name in taken else name
            taken.add(self.capital[tensor])

    def __call__(self, tensor: str) -> Name:
        return self.plain.get(tensor) or self.named(tensor)

    def matrix(self, tensor: str) -> Name:
        """The symbol in matrix forms: the same, a capital for a matrix."""
        return self.capital.get(tensor) or self(tensor)

    def with_symbols(self, symbols: Mapping[str, Name]) -> Names:
        """The same names but for these, which stand in matrix forms as they are."""
        other = copy(self)
        other.plain, other.capital = {**self.plain, **symbols}, {**self.capital, **symbols}
        return other

    def is_cotangent(self, tensor: str) -> bool:
        """Whether a tensor has a bar."""
        known = tensor in self.cotangents or not self.cotangents
        return known and _BARRED.search(tensor) is not None

    def symbol(self, tensor: str, *, capital: bool = False) -> Name:
        if tensor in self.words:
            return self.literal(tensor)
        if tensor in self.cotangents and (stem := _BARRED.sub("", tensor)) in self.words:
            return self.overlined(stem)
        return self.named(self.first.get(tensor, tensor), capital=capital)

    def named(self, tensor: str, *, capital: bool = False) -> Name:
        return tensor_name(tensor, capital=capital)

    def literal(self, tensor: str) -> Name:
        return _literal(tensor)

    def overlined(self, tensor: str) -> Name:
        """The cotangent of a tensor that is a word."""
        return Name(f"\\overline{{{_literal(tensor).symbol}}}")


def marked(name: str) -> Marked | None:
    """The parts of a tensor's name; None where it has to be taken as a whole."""
    if name in _KNOWN:
        return Marked(_KNOWN[name])
    stem, *marks = name.split("_")
    if not stem or not all(marks):
        return None
    if numbered := re.fullmatch(r"([A-Za-z])(\d+)", stem):
        stem, marks = numbered[1], [numbered[2], *marks]
    wide = len(stem) > 1 and stem not in _GREEK
    accents = tuple(m for m in marks if m in _ACCENTS)
    numbers = tuple(m for m in marks if m.isdecimal())
    words = tuple(m for m in marks if m not in _ACCENTS and not m.isdecimal())
    if wide or any(len(w) > 1 for w in words[1:]):
        after = words[-1:] if words[-1:] == (NEXT,) else ()
        words = words[: len(words) - len(after)]
        return Marked("_".join((stem, *words)), accents, numbers, after, wide=True)
    return Marked(stem, accents, numbers, words)


def tensor_name(name: str, *, capital: bool = False) -> Name:
    """The symbol that a tensor's name alone suggests."""
    parts = marked(name)
    if parts is None:
        return _literal(name)
    symbol = _stem(parts.stem)
    if capital:
        symbol = _UPPER_GREEK.get(symbol, symbol.upper() if len(symbol) == 1 else symbol)
    for accent in parts.accents:
        symbol = f"{_WIDE[_ACCENTS[accent]] if parts.wide else _ACCENTS[accent]}{{{symbol}}}"
    above = [f"({','.join(parts.numbers)})"] if parts.numbers else []
    above += [w if len(w) == 1 else f"\\mathrm{{{_upright(w)}}}" for w in parts.words]
    return Name(symbol, ",".join(above))


def index_name(name: str) -> str:
    """An index: `i`, `alpha`, `i1` as $i_1$; a name made fresh, `k_1`, is $k'$.

    A name bound again within a reduction over the same one, `i__1`, is $i_1$ as well.
    """
    if name == "...":
        return r"\ldots"
    if inner := re.fullmatch(r"(.*[A-Za-z.])__(\d+)", name):
        return f"{index_name(inner[1])}_{{{inner[2]}}}"
    if again := re.fullmatch(r"(.*[A-Za-z.]_\d+)_(\d+)", name):
        return f"{index_name(again[1])}_{{{again[2]}}}"
    if fresh := re.fullmatch(r"(.*[A-Za-z.])_(\d+)", name):
        stem, number = index_name(fresh[1]), int(fresh[2])
        return f"{stem}{chr(39) * number}" if number <= 2 else f"{stem}_{{{number}}}'"
    if numbered := re.fullmatch(r"([A-Za-z])(\d+)", name):
        return f"{numbered[1]}_{{{numbered[2]}}}"
    return _stem(name)


def size_name(name: str) -> str:
    """A size: `N`, `K_1` as $K_1$, `HIDDEN` upright."""
    if name == "...":
        return r"N_{\ldots}"
    if numbered := re.fullmatch(r"([A-Za-z])_?(\d+)", name):
        return f"{numbered[1]}_{{{numbered[2]}}}"
    return _stem(name)


def function_name(name: str) -> str:
    """A function: upright, with an operator's spacing; `f` is a letter."""
    if re.fullmatch(r"[A-Za-z]", name):
        return name
    return f"\\operatorname{{{_upright(name)}}}"


def _stem(stem: str) -> str:
    if stem in _GREEK:
        return _GREEK[stem]
    return stem if re.fullmatch(r"[A-Za-z]", stem) else f"\\mathrm{{{_upright(stem)}}}"


def _literal(name: str) -> Name:
    return Name(f"\\mathrm{{{_upright(name)}}}")


def _upright(name: str) -> str:
    """A name within \\mathrm; no name has more than ASCII letters, digits and underscores."""
    return re.sub(r"[^A-Za-z0-9_]", "", name).replace("_", r"\_")
