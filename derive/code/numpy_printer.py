"""Schedules as lines of NumPy, each citing the equation that it computes a part of.

    np.matmul(x, W, out=z)  # (1)
    np.add(z, b, out=z)  # (1)

Lines keep to 99 columns at the indentation where they stand in a module.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, pairwise

from sympy import Mul

from derive.code.scheduling import Schedule
from derive.code.statements import DTYPES, Loop, Statement, range_text, size_text
from derive.code.views import shape_text

WIDTH = 91  # 99 columns less two levels of indentation
LINE = 64  # bytes of a cache line, where `_empty` lets an array begin that has
LARGE = 4096  # so many bytes


def lines(
    statements: Iterable[Statement], names: Mapping[str, str], numbers: Mapping[str, object]
) -> tuple[str, ...]:
    """The statements as lines of a function's body.

    `names` gives the text of each buffer (`prefixed`), `numbers` those of the equations by target.
    """
    out: list[str] = []
    for loop, group in groupby(statements, key=lambda s: s.loop):
        if loop is None:
            out.extend(plain(group, names, numbers))
        else:
            out.extend(wrapped(header(loop, names), WIDTH))
            out.extend(f"    {line}" for line in plain(group, names, numbers, WIDTH - 4))
    return tuple(out)


def header(loop: Loop, names: Mapping[str, str]) -> str:
    """The line that a loop begins with."""
    return loop.head.format_map(names) or f"for {loop.counter} in {range_text(loop)}:"


def plain(
    statements: Iterable[Statement],
    names: Mapping[str, str],
    numbers: Mapping[str, object],
    width: int = WIDTH,
) -> Iterable[str]:
    """The lines of statements which stand in one loop, or in none."""
    quiet = False
    for s in statements:
        if s.quiet and not quiet:
            yield 'with np.errstate(all="ignore"):  # of elements that are left out'
        quiet = s.quiet
        margin = "    " * quiet
        text = s.text.format_map(names)
        cited = f"  # ({numbers[s.origin]})" if s.origin in numbers else ""
        for line in text.split("\n"):  # each a statement
            first, *rest = wrapped(margin + line, width)
            yield first + cited
            yield from rest


def prefixed(schedule: Schedule, prefix: str) -> Mapping[str, str]:
    """The text of each buffer: its name behind the prefix; a step's, or a scalar's, alone.

    But a scalar that is made in the setup is there for all steps.
    """
    made = {s.out for s in schedule.setup}
    return {
        b.name: (prefix if (b.shape or b.name in made) and not b.local else "") + b.name
        for b in schedule.buffers
    }


def allocation(
    schedule: Schedule, names: Mapping[str, str], numbers: Mapping[str, object]
) -> tuple[str, ...]:
    """The lines that make a workspace's arrays. They read the sizes, `dtype` and what is given."""
    out: list[str] = []
    shape_of = {b.name: b.shape for b in schedule.buffers}
    hosts = {slot.host for slot in schedule.slots}
    for slot in schedule.slots:
        first, *others = slot.buffers
        dtype = DTYPES[slot.kind]
        alike = len({shape_of[b] for b in slot.buffers}) == 1 and not any(slot.starts)
        if alike and slot.name not in hosts:
            memory = names.get(slot.host, slot.host) + slot.lent
            made = f"_lent({memory}, " if memory else "_empty("
            out.append(f"{names[first]} = {made}{shape_text(shape_of[first])}, {dtype})")
            out.extend(f"{names[b]} = {names[first]}" for b in others)
            continue
        whole = names.get(slot.name, slot.name)
        memory = names.get(slot.host, slot.host) + slot.lent
        made = f"_lent({memory}, " if memory else "_empty("
        out.append(f"{whole} = {made}{size_text(slot.size)}, {dtype})")
        for b, start in zip(slot.buffers, slot.starts, strict=True):
            low = size_text(start) if start else ""
            own = f"{low}:{size_text(start + Mul(*shape_of[b]))}"
            out.append(f"{names[b]} = {whole}[{own}].reshape{shape_text(shape_of[b])}")
    out.extend(lines(schedule.setup, names, numbers))
    return tuple(out)


def wrapped(line: str, width: int) -> Sequence[str]:
    """A line broken within its longest outermost brackets, where it is too long."""
    if len(line) <= width or line.lstrip().startswith("if "):
        return (line,)
    if line.lstrip().startswith("for "):
        return _filled(line, width)
    if line.endswith("]") and " = [" in line:
        return _listed(line, width)
    start, end, commas = max(_brackets(line), key=lambda b: b[1] - b[0], default=(0, 0, []))
    if end == start:
        return (line,)
    margin = line[: len(line) - len(line.lstrip())]
    cuts = [start, *commas, end]
    parts = [line[a + 1 : b].strip() for a, b in pairwise(cuts)]
    inner = f"{margin}    {', '.join(parts)}"
    # A comma behind a single part would make a tuple of it.
    fits = len(inner) <= width or len(parts) == 1
    body = [inner] if fits else [f"{margin}    {p}," for p in parts]
    return (line[: start + 1], *body, margin + line[end:])


def _filled(line: str, width: int) -> Sequence[str]:
    """The head of a loop over or into a tuple: its elements below, as many on a line as fit."""
    if "(" not in line.partition(" in ")[0]:
        head, _, rest = line.partition("for ")
        inside, _, after = rest.partition(" in ")
        if "," not in inside:
            return _broken(line, width)
        line = f"{head}for ({inside}) in {after}"
    return _broken(line, width)


def _broken(line: str, width: int) -> Sequence[str]:
    """A line whose first round brackets are filled line by line."""
    start = line.index("(")
    end = line.index(")") if ") in " in line else line.rindex(")")
    margin = line[: len(line) - len(line.lstrip())]
    indent = margin + " " * 4
    inner = _lines(line[start + 1 : end], width, indent)
    return (line[: start + 1], *inner, margin + line[end:])


def _listed(line: str, width: int) -> Sequence[str]:
    """A list of tuples, one for each step of a loop: `a = [(b[t], c[t]) for t in range(50)]`."""
    margin = line[: len(line) - len(line.lstrip())]
    indent = margin + " " * 4
    start = line.index("[")
    element, _, rest = line[start + 1 : -1].rpartition(" for ")
    body: tuple[str, ...] = (f"{indent}{element}",)
    if len(body[0]) > width and element[0] == "(":
        inner = _lines(element[1:-1], width, indent + " " * 4)
        body = (f"{indent}(", *inner, f"{indent})")
    return (line[: start + 1], *body, f"{indent}for {rest}", f"{margin}]")


def _lines(text: str, width: int, indent: str) -> Sequence[str]:
    """Elements with commas between them, as many on a line as there is room for."""
    depth = 0
    whole = ""
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        whole += "\x03" if depth and c == " " else c  # no line ends within an element
    lines = textwrap.wrap(
        whole,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\x03", " ") for line in lines]


def _brackets(line: str) -> Iterable[tuple[int, int, list[int]]]:
    """Start, end and commas of each outermost pair of round brackets."""
    depth = start = 0
    commas: list[int] = []
    quoted = False
    for k, c in enumerate(line):
        quoted ^= c in "'\""
        if quoted:
            continue
        if c in "([{":
            if depth == 0:
                start, commas = k, []
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth == 0 and c == ")":
                yield start, k, commas
        elif c == "," and depth == 1:
            commas.append(k)
