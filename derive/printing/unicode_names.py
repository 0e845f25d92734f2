"""Names as Unicode, for a terminal: `W_1` is W⁽¹⁾, `W_1_bar` is W̄⁽¹⁾, `eps` is ε.

The symbols are those of the LaTeX page as far as Unicode has them. Subscripts it has for few
letters, so that a word that is no number stays beside its stem: `W_q` is W_q. The bar of a word is
one over each of its letters, other accents are written out: `loss_hat`. No two names have the same
symbol.
"""

from __future__ import annotations

import re

from derive.printing.latex_names import Name, Names, marked

_NAMES = (
    "alpha beta gamma delta eps zeta eta theta iota kappa lam mu nu xi pi rho sigma tau upsilon "
    "phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell epsilon "
    "lambda_"
)
_GREEK = dict(zip(_NAMES.split(), "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩℓελ", strict=True))
_ACCENTS = {"bar": "\u0304", "hat": "\u0302", "tilde": "\u0303", "dot": "\u0307"}
OVERLINE = "\u0305"
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_SUBSCRIPTS = dict(zip("aehijklmnoprstuvx0123456789", "ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ₀₁₂₃₄₅₆₇₈₉", strict=True))


def superscript(number: int | str) -> str:
    return str(number).translate(_SUPERSCRIPTS)


def subscript(text: str) -> str | None:
    """A text as subscripts, or None where Unicode lacks one of them."""
    low = {*_SUBSCRIPTS.values(), *"′″‴"}
    found = [c if c in low else _SUBSCRIPTS.get(c, "") for c in text]
    return "".join(found) if all(found) else None


class UnicodeNames(Names):
    """The symbols of a set of tensors, each its own."""

    def named(self, tensor: str, *, capital: bool = False) -> Name:
        """The symbol that a tensor's name alone suggests."""
        parts = marked(tensor)
        if parts is None or (parts.wide and set(parts.accents) - {"bar"}):
            return Name(tensor)
        symbol = _stem(parts.stem)
        if capital and len(symbol) == 1:
            symbol = _capital(symbol)
        if parts.wide:
            symbol = "".join(letter + OVERLINE * len(parts.accents) for letter in symbol)
        else:
            symbol += "".join(_ACCENTS[accent] for accent in parts.accents)
        above = "".join(f"⁽{superscript(number)}⁾" for number in parts.numbers)
        below = "".join(f"_{word}" for word in parts.words)
        return Name(symbol + above + below, above)

    def literal(self, tensor: str) -> Name:
        return Name(tensor)

    def overlined(self, tensor: str) -> Name:
        """The cotangent of a tensor that is a word."""
        return Name("".join(letter + OVERLINE for letter in tensor))


def plain(names: Names) -> UnicodeNames:
    """The symbols in Unicode of the tensors that have some in LaTeX."""
    return UnicodeNames(tuple(names.plain), tuple(names.capital), names.cotangents)


def _capital(letter: str) -> str:
    """The capital of a letter, unless it looks like a Latin one: that of α is Α."""
    capital = letter.upper()
    return capital if capital.isascii() or capital in _GREEK.values() else letter


def index_name(name: str) -> str:
    """An index: `i`, `alpha`, `i1` as i₁; a name made fresh, `k_1`, is k′.

    A name bound again within a reduction over the same one, `i__1`, is i₁ as well.
    """
    if name == "...":
        return "…"
    if inner := re.fullmatch(r"(.*[A-Za-z.])__(\d+)", name):
        return index_name(inner[1]) + _lowered(inner[2])
    if fresh := re.fullmatch(r"(.*[A-Za-z.])_(\d+)", name):
        stem, number = index_name(fresh[1]), int(fresh[2])
        return stem + (" ′″‴"[number] if number <= 3 else f"′{_lowered(fresh[2])}")
    return size_name(name)


def size_name(name: str) -> str:
    """A size: `N`, `K_1` as K₁."""
    if name == "...":
        return "N[…]"
    if numbered := re.fullmatch(r"([A-Za-z])_?(\d+)", name):
        return numbered[1] + _lowered(numbered[2])
    return _stem(name)


def _lowered(digits: str) -> str:
    return "".join(_SUBSCRIPTS[c] for c in digits)


def _stem(stem: str) -> str:
    return _GREEK.get(stem, stem)
