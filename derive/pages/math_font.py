"""The font of a page's mathematics, and the style that its MathML needs.

STIX Two Math, cut down by fonts/subset.py to the characters of derivations; the SIL Open Font
License, fonts/OFL.txt, allows that.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from importlib.resources import files

_FONTS = files("derive") / "fonts"


@cache
def font() -> str:
    """The font as a data URL, for an `@font-face` of a page that needs no other file."""
    data = (_FONTS / "STIXTwoMath-subset.woff2").read_bytes()
    return f"data:font/woff2;base64,{b64encode(data).decode('ascii')}"


@cache
def style() -> str:
    """CSS: the font, and what MathML has no attribute for in MathML Core."""
    face = f'@font-face{{font-family:"STIX Two Math";src:url({font()}) format("woff2")}}'
    return f"{face}\n{(_FONTS / 'mathml.css').read_text(encoding='utf-8')}"
