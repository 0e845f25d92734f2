"""Lines of ratios, and the table that they make."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.rounds import Ratio, Round, quiet, ratio, seconds


@dataclass(frozen=True)
class Line:
    """Our milliseconds, the ratios to the peers by heading, and the rounds that count."""

    label: str
    ours: float
    ratios: Mapping[str, Ratio]
    rounds: int
    quiet: bool


def line(label: str, timed: Sequence[Round], ours: str) -> Line:
    """A line from its rounds."""
    counted, calm = quiet(timed)
    ratios = {peer: ratio(counted, ours, peer) for peer in counted[0].seconds if peer != ours}
    return Line(label, 1e3 * seconds(counted, ours), ratios, len(counted), calm)


def table(lines: Sequence[Line], headings: Sequence[str]) -> list[str]:
    """Two rows a line, medians above ranges, in about 100 columns."""
    head = f"{'ours / peer':26}{'ours, ms':>9}" + "".join(f"{h:>10}" for h in headings)
    return [head, *(row for one in lines for row in rows(one, headings))]


def rows(one: Line, headings: Sequence[str]) -> list[str]:
    """The two rows of a line."""
    found = [one.ratios.get(heading) for heading in headings]
    medians = (f"{digits(r.median) if r else '-':>10}" for r in found)
    ranges = (f"{f'{short(r.low)}-{short(r.high)}' if r else '':>10}" for r in found)
    counted = f"  {one.rounds} rounds" + ("" if one.quiet else ", noisy")
    upper = f"{one.label:26.26}{digits(one.ours):>9}" + "".join(medians)
    return [upper, (f"{counted:35}" + "".join(ranges)).rstrip()]


def digits(value: float) -> str:
    """Three digits that count: 0.0123 -> 0.012, 1.234 -> 1.23, 123.4 -> 123."""
    if not math.isfinite(value):
        return str(value)
    places = 3 if value < 0.0995 else 2 if value < 9.95 else 1 if value < 99.5 else 0
    return f"{value:.{places}f}"


def short(value: float) -> str:
    """Three characters: 0.5 -> .50, 1.234 -> 1.2, 12.3 -> 12."""
    if value < 0.995:
        return f"{value:.2f}"[1:]
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
