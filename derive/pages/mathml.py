"""LaTeX as MathML, for the LaTeX that the printers of this package write.

    z_{i}  ->  <math><msub><mi>z</mi><mi>i</mi></msub></math>

`latex2mathml` reads the structure: scripts, fractions, roots, accents, environments. The elements
are written here, with the space that TeX puts between atoms. No attribute is written that is not in
MathML Core (https://w3c.github.io/mathml-core): browsers ignore others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from html import unescape
from itertools import count
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert_to_element

from derive.pages.math_rows import SLOT, Item, boxed, leaf_item, operator_item, row
from derive.pages.math_symbols import CHARACTERS, INNER, Sign
from derive.pages.math_tokens import Tokens, UnknownLatex

_ARITY = {"mfrac": 2, "msub": 2, "msup": 2, "msubsup": 3, "mover": 2, "munder": 2, "munderover": 3}
_LIMITS = {"msub": "munder", "msup": "mover", "msubsup": "munderover"}
_PRIMES = "′″‴"
# Numbers of more than one digit that are no part of a name or a decimal, and what stands for them.
_NUMBER = re.compile(r"(?:(?<=[_^]\{)|(?<![^( ]))[1-9][0-9]+(?![^)} ])")
_STANDING = re.compile(r"1011011101([0-9]{6})")
_LAYER = re.compile(r"\([\d,]+\)")

# The height of a delimiter: as latex2mathml has it, as TeX has it.
_HEIGHTS = {"1.2em": "1.2em", "1.623em": "1.8em", "2.047em": "2.4em"}

# What latex2mathml writes above a base: the sign, its `stretchy`, the `accent` of the whole; then
# the sign to write, which the font has as an accent, and whether it is as wide as the base.
_ACCENTS = {
    ("¯", "true", None): ("¯", False),
    ("―", None, None): ("‾", True),
    ("^", None, "true"): ("ˆ", False),
    ("^", None, None): ("\u0302", True),
    ("~", "false", None): ("˜", False),
    ("~", None, None): ("˜", True),
    ("˙", None, None): ("˙", False),
}
# Letters below the line. Browsers would put the subscripts of these lower than those of others,
# and the superscripts of letters with an accent higher; TeX does neither.
_DESCENDING = frozenset("gjpqyfQJβγζηµμξρςφϕχψ")
_CAPITAL = "0.66em"


def mathml(latex: str, display: bool = False) -> str:
    """One `<math>` element, for HTML; `display` sets it in display style, yet within its line.

    Formulas that differ in the numbers of layers alone, or of elements, are read once.

    Raises:
        UnknownLatex: not all of the formula would be shown.
    """
    numbers = _NUMBER.findall(latex)
    places = count()
    shape = _NUMBER.sub(lambda _: f"1011011101{next(places):06}", latex)
    try:
        return _STANDING.sub(lambda found: numbers[int(found[1])], _written(shape, display))
    except UnknownLatex:
        return _written(latex, display)  # whose message has the formula's own numbers


@lru_cache(maxsize=16384)
def _written(latex: str, display: bool) -> str:
    style = ' displaystyle="true"' if display else ""
    tokens = Tokens(latex)
    items = _Writer(tokens).items(convert_to_element(tokens.prepared())[0])
    # A sign alone, as between two cells of a table, keeps the space that it has in a row.
    shown = items[0].xml.replace(SLOT, "") if len(items) == 1 else row(items, False)
    return f"<math{style}>{shown}</math>"


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the elements of a tree that latex2mathml made of the tokens."""

    tokens: Tokens

    def items(self, parent: Iterable[Element], script: bool = False) -> list[Item]:
        return [self.item(child, script) for child in parent]

    def item(self, element: Element, script: bool) -> Item:
        tag = element.tag
        if len(element) != _ARITY.get(tag, len(element)):
            raise self.tokens.unknown(f"a missing argument of <{tag}>")
        if tag in ("mi", "mo"):
            return self.leaf(element)
        if tag == "mrow":
            return self.group(element, script)
        if tag == "mover" and element[1].tag == "mo":
            return self.accented(element, script)
        if tag in ("msub", "msup", "msubsup", "munder", "munderover"):
            return self.scripted(element, script)
        if tag == "mfrac":
            over, under = (self.argument(child, script) for child in element)
            return Item(f"<mfrac>{over}{under}</mfrac>")
        if tag == "msqrt":
            return Item(f"<msqrt>{self.argument(element[0], script)}</msqrt>")
        if tag == "mstyle":
            return self.styled(element)
        raise self.tokens.unknown(f"<{tag}>")

    def argument(self, element: Element, script: bool) -> str:
        """An element that stands for one argument: of a fraction, as a script."""
        items = self.items(element if element.tag == "mrow" else [element], script)
        if script and _LAYER.fullmatch("".join(i.text for i in items)):
            return f"<mtext>{''.join(i.text for i in items)}</mtext>"
        return boxed(items, script)

    def leaf(self, element: Element) -> Item:
        text = unescape(element.text or "")
        if "minsize" in element.attrib:
            height = _HEIGHTS[element.attrib["minsize"]]
            size = f' stretchy="true" minsize="{height}" maxsize="{height}"'
            return operator_item(CHARACTERS[text], size)
        sign = self.tokens.stood_for(text) or CHARACTERS.get(text)
        if sign is None and not (len(text) == 1 and text.isascii() and text.isalpha()):
            raise self.tokens.unknown(repr(text))
        return leaf_item(sign or Sign("mi", text))

    def group(self, element: Element, script: bool) -> Item:
        first = element[0] if len(element) else element
        if first.attrib.get("fence") != "true" or "minsize" in first.attrib:
            items = self.items(element, script)
            return items[0] if len(items) == 1 else Item(boxed(items, script))
        fences = [_stretched(e) for e in element if e.attrib.get("form")]
        inside = [e for e in element if not e.attrib.get("form")]
        if len(inside) == 1 and inside[0].tag == "mtable":
            body = self.table(inside[0], "cases", False)
        else:
            body = boxed(self.items(inside, script), script)
        return Item(f"<mrow>{body.join((*fences, '')[:2])}</mrow>", INNER)

    def table(self, element: Element, name: str, script: bool) -> str:
        cells = ((row(self.items(cell, script), script) for cell in line) for line in element)
        lines = ("".join(f"<mtd>{cell}</mtd>" for cell in line) for line in cells)
        return f'<mtable class="{name}">{"".join(f"<mtr>{line}</mtr>" for line in lines)}</mtable>'

    def styled(self, element: Element) -> Item:
        if element[0].tag == "mtable":
            return Item(self.table(element[0], "substack", True))
        level = element.attrib["scriptlevel"]
        attributes = f'displaystyle="{element.attrib["displaystyle"]}" scriptlevel="{level}"'
        shown = row(self.items(element, level != "0"), level != "0")
        return Item(f"<mstyle {attributes}>{shown}</mstyle>")

    def accented(self, element: Element, script: bool) -> Item:
        base, above = element
        key = (unescape(above.text or ""), above.get("stretchy"), element.get("accent"))
        sign, wide = _ACCENTS[key]
        stretchy = "" if wide else ' stretchy="false"'
        inside = self.items(base if base.tag == "mrow" else [base], script)
        xml = f'<mover accent="true">{boxed(inside, script)}<mo{stretchy}>{sign}</mo></mover>'
        return Item(xml, text="".join(i.text for i in inside))

    def scripted(self, element: Element, script: bool) -> Item:
        tag, first, arguments = element.tag, element[0], list(element[1:])
        base = self.item(first, script)
        primes = unescape(arguments[-1].text or "")
        if primes and primes in _PRIMES:
            # The sign is small and high by itself: as a superscript it would be tiny.
            arguments.pop()
            primed = f'<mrow>{base.xml}<mo lspace="0" rspace="0">{primes}</mo></mrow>'
            base, tag = replace(base, xml=primed, text=""), "msub"
        elif sign := self.limits(first):
            fixed = tag not in _LIMITS
            movable = "" if sign.text in "∑∏" and not fixed else f' movablelimits="{not fixed}"'
            base = operator_item(sign, movable.lower())
            tag = _LIMITS.get(tag, tag)
        if not arguments:
            return base
        scripts = "".join(self.argument(e, True) for e in arguments)
        xml = f"<{tag}>{_nucleus(base, tag)}{scripts}</{tag}>"
        return Item(xml, base.kind, base.operator)

    def limits(self, element: Element) -> Sign | None:
        """The sign of an operator that has its scripts above and below."""
        text = unescape(element.text or "")
        sign = self.tokens.stood_for(text) or CHARACTERS.get(text)
        return sign if sign and sign.limits else None


def _stretched(element: Element) -> str:
    """A delimiter as high as what it encloses; none for `\\left.`."""
    text = unescape(element.text or "")
    return f'<mo form="{element.attrib["form"]}">{text}</mo>' if text else ""


def _nucleus(base: Item, tag: str) -> str:
    """What has scripts, of a size that these stand where TeX puts them."""
    if base.operator and "minsize" in base.xml:
        # Only in a row of its own is an operator stretched that has scripts.
        gap = '<mspace width="0.06em"/>' if base.text == "|" else ""
        return f"<mrow>{base.xml}{gap}</mrow>"
    sizes = ""
    if tag in ("msub", "msubsup") and base.text in _DESCENDING:
        sizes = ' depth="0"'
    if tag in ("msup", "msubsup") and len(base.text) == 1 and base.xml.startswith("<mover"):
        sizes += f' height="{_CAPITAL}"'
    return f"<mpadded{sizes}>{base.xml}</mpadded>" if sizes else base.xml
