"""Cut STIX Two Math down to what pages of derivations show.

    python subset.py STIXTwoMath-Regular.otf      writes STIXTwoMath-subset.woff2 beside this file

The font is release 2.13 b171 of https://github.com/stipub/stixfonts (tag v2.13b171,
fonts/static_otf/STIXTwoMath-Regular.otf); its license is OFL.txt, from there. The subset keeps the
MATH table, by which browsers stretch parentheses, place limits and draw roots. Needs fonttools and
brotli, which the package does not.

Two things are changed for Chromium. It makes a root as wide as the widest of its signs would be: so
all signs of a root get the width of the smallest. As an accent it stretches U+02DC, not U+0303: so
the former gets the wide forms of the latter.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.transformPen import TransformPen
from fontTools.subset import Options, Subsetter, load_font, save_font
from fontTools.ttLib import TTFont

SHA256 = "3a5f3f26f40d5698b3c62dd085d48d6663696a3f80825aab8b553d5097518e8c"

# First and last code points.
RANGES = (
    (0x0020, 0x007E),  # ASCII
    (0x0391, 0x03A9),  # Greek
    (0x03B1, 0x03C9),
    (0x1D400, 0x1D433),  # bold, italic, bold italic: a browser italicizes `x` to one of these
    (0x1D434, 0x1D467),
    (0x1D468, 0x1D49B),
    (0x1D6A8, 0x1D6E1),  # the same of Greek
    (0x1D6E2, 0x1D71B),
    (0x1D71C, 0x1D755),
    (0x1D7CE, 0x1D7D7),  # bold digits
)
SINGLE = (
    "\u00a0¬±·×ϑϕϖϰϱϵℎℓ"
    "¯ˆ˜˙\u0302\u0303\u0304\u0305\u0307‾"  # accents
    "\u2009–—‖…′″‴⋯⋮⋱"
    "←↑→↓↔↦⇐⇒⇔"
    "∀∂∃∇∈∉∏∑−∓∗∘√∝∞∣∥∧∨∩∪∫≈≔≠≡≤≥≪≫⊂⊆⊕⊖⊗⊘⊙⊤⊥⋅⋆⌈⌉⌊⌋⟨⟩"
)


def code_points() -> Iterator[int]:
    for first, last in RANGES:
        yield from range(first, last + 1)
    yield from map(ord, SINGLE)


def narrow_roots(font: TTFont) -> None:
    """Give every sign of a root the advance width of the smallest."""
    variants = font["MATH"].table.MathVariants
    smallest = font.getBestCmap()[ord("√")]
    root = variants.VertGlyphConstruction[variants.VertGlyphCoverage.glyphs.index(smallest)]
    glyphs = [v.VariantGlyph for v in root.MathGlyphVariantRecord[1:]]
    glyphs += [part.glyph for part in root.GlyphAssembly.PartRecords]
    width, _ = font["hmtx"][smallest]
    outlines = font.getGlyphSet()
    charstrings = font["CFF "].cff.topDictIndex[0].CharStrings
    for glyph in glyphs:
        advance, bearing = font["hmtx"][glyph]
        scale = width / advance
        pen = T2CharStringPen(None, outlines)
        outlines[glyph].draw(TransformPen(pen, (scale, 0, 0, 1, 0, 0)))
        old = charstrings[glyph]
        charstrings[glyph] = pen.getCharString(old.private, old.globalSubrs)
        font["hmtx"][glyph] = (width, round(bearing * scale))


def widen_tildes(font: TTFont) -> None:
    """Give the tilde the wide forms of the combining tilde."""
    variants = font["MATH"].table.MathVariants
    names = font.getBestCmap()
    coverage, constructions = variants.HorizGlyphCoverage, variants.HorizGlyphConstruction
    wide = dict(zip(coverage.glyphs, constructions, strict=True))
    wide[names[0x02DC]] = wide[names[0x0303]]
    coverage.glyphs = sorted(wide, key=font.getGlyphID)
    variants.HorizGlyphConstruction = [wide[name] for name in coverage.glyphs]
    variants.HorizGlyphCount = len(wide)


def main(source: Path) -> None:
    if hashlib.sha256(source.read_bytes()).hexdigest() != SHA256:
        sys.exit(f"{source} is not STIXTwoMath-Regular.otf of release 2.13 b171")
    options = Options(
        flavor="woff2",
        layout_features=["dtls", "flac"],  # dotless i and j, and flat accents
        name_IDs=[0, 1, 2, 4, 5, 6, 13, 14],  # the notices of copyright and license among them
        notdef_outline=True,
        glyph_names=False,
        hinting=False,
        desubroutinize=False,
    )
    font = load_font(source, options)
    narrow_roots(font)
    widen_tildes(font)
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=code_points())
    subsetter.subset(font)
    save_font(font, Path(__file__).with_name("STIXTwoMath-subset.woff2"), options)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
