"""Repeated layers as loops: lines that repeat but for the number of the layer are printed once.

    np.matmul(ws.a_1, ws.W_2, out=ws.z_2)       for l in range(2, 200):
    np.matmul(ws.a_2, ws.W_3, out=ws.z_3)   ->      np.matmul(ws.a[l - 1], ws.W[l], out=ws.z[l])
    ...

Exact, because it works on finished lines: a loop stands for just the lines that it replaces, in
their order. The numbers that may differ are marked by `mark`; a block of lines repeats where its
text is the same and each marked number moves on by a step of its own.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_MARK = re.compile("\x01(-?[0-9]+)\x02")
_PLACES = re.compile(
    '(?P<plain>"[^"\x01]*")|'
    "ws\\.(?P<stem>\\w+)_\x01(?P<field>-?[0-9]+)\x02(?P<rest>\\w*)"
    '|"(?P<before>[^"\x01]*)\x01(?P<string>-?[0-9]+)\x02(?P<after>[^"]*)"'
    "|\x01(?P<number>-?[0-9]+)\x02"
)
_INDICES = re.compile(r"\[[^\[\]]*\]")
_LETTER = re.compile(r"[a-z]\w*")
_NUMBERED = re.compile(r"(\w*[^\W\d])_([0-9]+)(?![0-9])(\w*)")

_FIELD = re.compile("ws\\.(\\w+)(?!\\w|\x01)")
GIVEN = ("x", "y", "drawn", "gradients")  # fields of every workspace

LEAST = 4  # repetitions; fewer read better one by one
ALIKE = 5  # repetitions of a single line
LONGEST = 2000  # lines of a block


def mark(number: int) -> str:
    """A number in a line that may be another one in the line's repetitions."""
    return f"\x01{number}\x02"


def field(name: str) -> str:
    """A field of the workspace, the number in its name marked: `W_2_bar` -> `ws.W[2]_bar`."""
    return f"ws.{local(name)}"


def local(name: str) -> str:
    """A name within one step of a loop, the number in it marked."""
    found = _NUMBERED.fullmatch(name)
    return f"{found[1]}_{mark(int(found[2]))}{found[3]}" if found else name


def marked(text: str) -> str:
    """Text for people, such as a comment, with the numbers of the layers in its names marked."""
    return _NUMBERED.sub(lambda m: f"{m[1]}_{mark(int(m[2]))}{m[3]}", text)


@dataclass(frozen=True)
class Loop:
    """`count` repetitions of a block of lines; `steps` holds the steps of each line's numbers."""

    lines: tuple[str, ...]
    steps: tuple[tuple[int, ...], ...]
    count: int


def roll(lines: Sequence[str]) -> tuple[str | Loop, ...]:
    """The lines, with repeated blocks as loops; a line may be several, a loop of its own."""
    texts = ["\n".join(map(_compared, line.split("\n"))) for line in lines]
    comments = [k for k, text in enumerate(texts) if text.startswith("# (")]
    places: dict[str, list[int]] = {}
    for k, text in enumerate(texts):
        places.setdefault(text, []).append(k)
    numbers = [tuple(int(n) for n in _MARK.findall(line)) for line in lines]
    rolled: list[str | Loop] = []
    at = 0
    while at < len(lines):
        same = places[texts[at]]
        longest = min(LONGEST, (len(texts) - at) // LEAST)
        following = same[bisect_right(same, at) : bisect_right(same, at + longest)]
        periods = [k - at for k in following if _opens(numbers, comments, at, k - at)]
        period, count = _best(texts, numbers, at, periods)
        if count < (LEAST if period > 1 else ALIKE):
            rolled.append(lines[at])
            at += 1
            continue
        steps = tuple(_steps(numbers[k], numbers[k + period]) for k in range(at, at + period))
        rolled.append(Loop(tuple(lines[at : at + period]), steps, count))
        at += period * count
    return tuple(rolled)


def _compared(line: str) -> str:
    """What must be the same in a repetition: the text without the marked numbers.

    Neighbouring layers may call their axes by other letters, `z[n,j] = a[n,i]`, `z[n,i] = a[n,j]`;
    in a comment an index counts by its place alone.
    """
    code, hash_, comment = _MARK.sub("\x01", line).partition("#")
    letters: dict[str, str] = {}

    def placed(found: re.Match[str]) -> str:
        return letters.setdefault(found[0], str(len(letters)))

    return code + hash_ + _INDICES.sub(lambda found: _LETTER.sub(placed, found[0]), comment)


def elided(lines: Sequence[str], between: str) -> Iterable[str]:
    """Lines for people: of repetitions the first and the last, and `between` for the others."""
    for part in roll(lines):
        if isinstance(part, str):
            yield _MARK.sub(r"\1", part)
            continue
        yield from (_MARK.sub(r"\1", line) for line in part.lines)
        yield between
        for line, steps in zip(part.lines, part.steps, strict=True):
            numbers = zip(map(int, _MARK.findall(line)), steps, strict=True)
            yield _written(line, [str(n + s * (part.count - 1)) for n, s in numbers])


def _written(line: str, numbers: Iterable[str]) -> str:
    """The line with these texts in the places of its marked numbers."""
    following = iter(numbers)
    return _MARK.sub(lambda _: next(following), line)


def _steps(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(b - a for a, b in zip(first, second, strict=True))


def _best(
    texts: Sequence[str], numbers: Sequence[tuple[int, ...]], at: int, periods: Iterable[int]
) -> tuple[int, int]:
    """The block at this line that stands for most lines: its length and its repetitions."""
    best = (1, 1)
    for period in periods:
        if best[1] > 1 and period % best[0] == 0:
            continue  # that block taken several times
        length = period
        steps: dict[int, tuple[int, ...]] = {}
        for k in range(at, len(texts) - period):
            if texts[k] != texts[k + period]:
                break
            step = _steps(numbers[k], numbers[k + period])
            if steps.setdefault((k - at) % period, step) != step:
                break
            length += 1
        count = length // period
        moves = any(s for line in steps.values() for s in line)
        if moves and period * (count - 1) > best[0] * (best[1] - 1):
            best = (period, count)
    return best


def _opens(
    numbers: Sequence[tuple[int, ...]], comments: Sequence[int], at: int, period: int
) -> bool:
    """A block begins where a layer does: at a comment on another layer than the one before."""
    following = bisect_left(comments, at)
    if following == bisect_left(comments, at + period):
        return True
    if comments[following] != at:
        return False
    return not following or numbers[comments[following - 1]][1:2] != numbers[at][1:2]


def resolve(
    sections: Iterable[Sequence[str]],
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Sections of lines, rolled, as text; first the fields of `ws` that are kept by layer.

    Such a field is a mapping from the number of a layer, `ws.W[2]`; the others are `ws.W_2`.
    """
    sections = [list(_whole(lines)) for lines in sections]
    rolled = [roll(lines) for lines in sections]
    stems = {
        found["stem"] + found["rest"]: None
        for section in rolled
        for part in section
        if isinstance(part, Loop)
        for line in part.lines
        for found in _PLACES.finditer(line)
        if found["stem"]
    }
    taken = {
        *GIVEN,
        *(name for lines in sections for line in lines for name in _FIELD.findall(line)),
    }
    kept = {stem: stem + "_" * (stem in taken) for stem in stems}
    printed = tuple(tuple(_printed(section, kept)) for section in rolled)
    return tuple(kept.values()), printed


def _whole(lines: Iterable[str]) -> Iterable[str]:
    """The lines, those of a statement between brackets as one: no loop begins within it."""
    opened: list[str] = []
    margin = 0
    for line in lines:
        inside = bool(opened)
        opened.append(line)
        if not inside and line.partition("  # ")[0].endswith(("(", "[")):
            margin = len(line) - len(line.lstrip())
        elif not inside or len(line) - len(line.lstrip()) <= margin:
            yield "\n".join(opened)
            opened = []
    yield from opened


def _printed(section: Iterable[str | Loop], kept: Mapping[str, str]) -> Iterable[str]:
    for part in section:
        if isinstance(part, str):
            yield from _filled(part, _MARK.findall(part), kept, in_loop=False).split("\n")
            continue
        first, step = _variable(part)
        bounds = f"{first}, {first + step * part.count}" + (f", {step}" if step != 1 else "")
        yield f"for l in range({bounds}):"
        for line, steps in zip(part.lines, part.steps, strict=True):
            numbers = zip(map(int, _MARK.findall(line)), steps, strict=True)
            texts = [_linear(s // step, n - s // step * first) for n, s in numbers]
            for text in _filled(line, texts, kept, in_loop=True).split("\n"):
                yield "    " + text


def _variable(loop: Loop) -> tuple[int, int]:
    """The first value and the step of the loop's variable: a layer's number, where there is one.

    The other numbers are linear in it; where they are in none, the variable counts from 0.
    In a comment `# (7) z_4[n,j] = ...` it is the second number.
    """
    every = {abs(s) for steps in loop.steps for s in steps if s}
    choices = [
        (not comment, k != 1 if comment else k, n, s)
        for line, steps in zip(loop.lines, loop.steps, strict=True)
        for comment in [line.startswith("# (")]
        for k, (n, s) in enumerate(zip(map(int, _MARK.findall(line)), steps, strict=True))
        if s and all(other % s == 0 for other in every)
    ]
    _, _, first, step = min(choices, key=lambda choice: choice[:2], default=(False, 0, 0, 1))
    return first, step


def _linear(factor: int, constant: int) -> str:
    """`factor*l + constant` as a person writes it."""
    if factor == 0:
        return str(constant)
    term = "l" if abs(factor) == 1 else f"{abs(factor)}*l"
    if factor < 0:
        return f"{constant} - {term}"
    return term if constant == 0 else f"{term} {'-' if constant < 0 else '+'} {abs(constant)}"


def _filled(line: str, numbers: Iterable[str], kept: Mapping[str, str], in_loop: bool) -> str:
    """The line with these texts in the places of its marked numbers."""
    following = iter(numbers)

    def written(found: re.Match[str]) -> str:
        if found["plain"]:
            return found[0]
        number = next(following)
        if found["stem"]:
            name = found["stem"] + found["rest"]
            if name in kept:
                return f"ws.{kept[name]}[{number}]"
            return f"ws.{found['stem']}_{number}{found['rest']}"
        if found["string"]:
            if in_loop and not number.isdigit():
                return f'f"{found["before"]}{{{number}}}{found["after"]}"'
            return f'"{found["before"]}{number}{found["after"]}"'
        number = number.replace(" ", "")
        before = line[: found.start()]
        in_name = before.endswith("_")
        if in_name and "#" not in before.rpartition("\n")[2]:  # a name that one step has
            return number.replace("+", "_").replace("-", "m").replace("*", "")
        return f"({number})" if in_name and not number.isalnum() else number

    return _PLACES.sub(written, line)
