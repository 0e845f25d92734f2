"""Rows of MathML: elements side by side, with TeX's space between them.

    x, =, -, y  ->  <mi>x</mi><mo>=</mo><mo lspace="0" rspace="0">−</mo><mi>y</mi>

The space stands in the attributes of operators, where browsers would not have it by themselves;
between two elements that are none, in an element of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from derive.pages.math_symbols import (
    BIN,
    CLOSE,
    OP,
    OPEN,
    ORD,
    PUNCT,
    REL,
    SPACE,
    Sign,
    natural_space,
    space_between,
)

SLOT = "\0"  # where the attributes of an operator go, once its neighbors are known
_STRETCHY = frozenset("()[]{}|‖⌊⌋⌈⌉⟨⟩←→↦⇒")


@dataclass(frozen=True, slots=True)
class Item:
    """What stands in a row: its element and class; of an operator or a leaf the text too."""

    xml: str
    kind: int = ORD
    operator: str = ""
    text: str = ""
    width: float = 0.0  # of a space, which has no element


def leaf_item(sign: Sign) -> Item:
    if sign.kind == SPACE:
        return Item("", SPACE, width=float(sign.text))
    if sign.tag == "mo":
        return operator_item(sign, ' stretchy="false"' if sign.text in _STRETCHY else "")
    xml = f"<{sign.tag}{sign.attributes}>{escape(sign.text)}</{sign.tag}>"
    return Item(xml, sign.kind, text=sign.text)


def operator_item(sign: Sign, attributes: str) -> Item:
    xml = f"<mo{SLOT}{attributes}>{escape(sign.text)}</mo>"
    return Item(xml, sign.kind, sign.text, sign.text)


def boxed(items: Sequence[Item], script: bool) -> str:
    """One element, whatever the items are."""
    shown = row(items, script)
    return shown if len(items) == 1 and items[0].kind != SPACE else f"<mrow>{shown}</mrow>"


def row(items: Sequence[Item], script: bool) -> str:
    """The elements of a row."""
    atoms = [k for k, item in enumerate(items) if item.kind != SPACE]
    kinds = _kinds([items[k].kind for k in atoms])
    glue = [
        sum(items[k].width for k in range(a + 1, b)) for a, b in pairwise((-1, *atoms, len(items)))
    ]
    left, right = [0.0] * len(atoms), [0.0] * len(atoms)
    for b in range(1, len(atoms)):
        before, after = items[atoms[b - 1]].operator, items[atoms[b]].operator
        space = space_between(kinds[b - 1], kinds[b], script)
        if before and (not after or natural_space(before)[1] == space):
            right[b - 1] = space
        elif after:
            left[b] = space
        else:
            glue[b] += space
    out = []
    for k, atom in enumerate(atoms):
        item = items[atom]
        out.append(_space(glue[k]))
        if item.operator:
            first = k == 0 and len(atoms) > 1 and item.operator in "+−±"  # a sign, by its place
            usual = (0, 0) if first else natural_space(item.operator)
            out.append(item.xml.replace(SLOT, _sides((left[k], right[k]), usual), 1))
        else:
            out.append(item.xml)
    return "".join((*out, _space(glue[-1])))


def _space(width: float) -> str:
    return f'<mspace width="{_em(width)}"/>' if width else ""


def _sides(widths: tuple[float, float], usual: tuple[int, int]) -> str:
    named = zip(("lspace", "rspace"), widths, usual, strict=True)
    return "".join(f' {name}="{_em(w)}"' for name, w, u in named if w != u)


def _em(width: float) -> str:
    return f"{width / 18:.3f}".rstrip("0").rstrip(".") + "em" if width else "0"


def _kinds(kinds: list[int]) -> list[int]:
    """The classes of atoms; a binary sign with nothing to join is an ordinary atom."""
    for k, kind in enumerate(kinds):
        if kind == BIN and (k == 0 or kinds[k - 1] in (BIN, OP, REL, OPEN, PUNCT)):
            kinds[k] = ORD
        elif kind in (REL, CLOSE, PUNCT) and k > 0 and kinds[k - 1] == BIN:
            kinds[k - 1] = ORD
    if kinds and kinds[-1] == BIN:
        kinds[-1] = ORD
    return kinds
