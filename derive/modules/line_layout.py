"""Long lines of generated code on several.

    np.matmul(a, b, out=c)  # (7) ...    ->    # (7) ...
                                               np.matmul(a, b,
                                                   out=c)

Only calls and comments get so long: a call goes on inside its brackets, where a new line means
nothing.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

WIDTH = 99  # columns of a line


def tidy(module: str) -> str:
    """The text of a module, its lines at most 99 columns."""
    return "\n".join(part.rstrip() for line in module.split("\n") for part in _shortened(line))


def _shortened(line: str) -> list[str]:
    """A line that is too long; of a call the comment is above it, the arguments are below."""
    if len(line) <= WIDTH:
        return [line]
    margin = line[: len(line) - len(line.lstrip())]
    if line.startswith(f"{margin}# "):
        first, *rest = _broken(line[len(margin) + 2 :], WIDTH - len(margin) - 6)
        return [f"{margin}# {first}", *(f"{margin}#     {part}" for part in rest)]
    code, _, comment = line.partition("  # ")
    lines = [f"{margin}# {comment}"] if comment else []
    return lines + textwrap.wrap(
        code,
        WIDTH,
        subsequent_indent=margin + "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _broken(text: str, width: int) -> Iterable[str]:
    """Text on several lines: broken at spaces, a long word behind an operator or a bracket."""
    line = ""
    for word in text.split():
        parts = [word] if len(word) <= width else re.findall(r"[^*(]*[*(]*", word)
        for k, part in enumerate(parts):
            space = " " if line and not k else ""
            if line and len(line) + len(space) + len(part) > width:
                yield line
                line, space = "", ""
            line += space + part
    yield line
