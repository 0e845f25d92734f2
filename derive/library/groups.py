"""Groups of axes: `*s` in a formula stands for as many axes as the input has there.

    y[n,*s] = x[n,*s]                    y[n,s_1,s_2] = x[n,s_1,s_2]
    y[n,*s[axes]] = x[n,*s]              y[n,s_2,s_1] = x[n,s_1,s_2]               axes = [1, 0]
    y[n,*r] = x[n,*reshaped(r,s)]        y[n,r_1] = x[n, (r_1)//S_2, (r_1)%S_2]

The formula is written out when it is put to use, where it is known how many axes there are. Each
character of the result has its place in the text, so that an error shows where that stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from derive.language.notation import DeriveError

Groups = Mapping[str, tuple[str, ...]]

_GROUP = re.compile(
    r"(?<=[\[,])(?P<before>\s*)\*\s*(?:"
    r"reshaped\s*\(\s*(?P<to>\w+)\s*,\s*(?P<of>\w+)\s*\)"
    r"|(?P<name>[A-Za-z_]\w*)(?:\s*\[\s*(?P<order>\w+)\s*\])?)"
)
_EMPTY = (re.compile(r",\s*(?=[,\]])"), re.compile(r"(?<=\[)\s*,"), re.compile(r"\[\s*\]"))


@dataclass(frozen=True)
class Written:
    """A text with its groups written out; `origins` has the place of each character of it."""

    text: str
    origins: tuple[int, ...]

    def origin(self, line: int, column: int) -> int:
        """The place in the original of a line and column here, both counted from 0."""
        before = sum(len(part) + 1 for part in self.text.split("\n")[:line])
        offset = min(before + column, len(self.text))
        return self.origins[offset]


def names(group: str, count: int, taken: set[str]) -> tuple[str, ...]:
    """Names for the axes of a group, which no other name of the text is."""
    base = group
    while any(re.fullmatch(rf"{base}_\d+", name, re.IGNORECASE) for name in taken):
        base += "_"
    return tuple(f"{base}_{k}" for k in range(1, count + 1))


def permutation(axes: Sequence[int], count: int) -> tuple[int, ...]:
    """The axes counted from 0; raises `DeriveError` unless each stands there once."""
    found = tuple(a + count if a < 0 else a for a in axes)
    if sorted(found) != list(range(count)):
        raise DeriveError(f"{list(axes)} is no permutation of {count} axes, 0 to {count - 1}")
    return found


def place(group: Sequence[str], other: Sequence[str]) -> list[str]:
    """The indices of `other` at the same row-major place as those of `group`."""
    terms = ["*".join([i, *(j.upper() for j in group[k + 1 :])]) for k, i in enumerate(group)]
    flat = f"({' + '.join(terms) or '0'})"
    found = []
    for k, axis in enumerate(other):
        after = "*".join(j.upper() for j in other[k + 1 :])
        divided = f"({flat}//({after}))" if after else flat
        found.append(f"{divided}%{axis.upper()}" if k else divided)
    return found


def written(text: str, groups: Groups, lists: Mapping[str, Sequence[int]]) -> Written:
    """The text with every `*s` written out; an unknown group stays as it is."""
    result: list[str] = []
    origins: list[int] = []
    position, empty = 0, False
    for found in _GROUP.finditer(text):
        axes = _axes(found, groups, lists)
        if axes is None:
            continue
        empty = empty or not axes
        kept = text[position : found.start()] + found["before"]
        result.append(kept)
        origins += range(position, position + len(kept))
        result.append(",".join(axes))
        origins += [found.end("before")] * len(result[-1])
        position = found.end()
    result.append(text[position:])
    origins += range(position, len(text) + 1)
    if empty:
        return _without_empty("".join(result), origins)
    return Written("".join(result), tuple(origins))


def _axes(
    found: re.Match[str], groups: Groups, lists: Mapping[str, Sequence[int]]
) -> Sequence[str] | None:
    if found["name"] is None:
        pair = [groups.get(found[part], (found[part],)) for part in ("to", "of")]
        return place(pair[0], pair[1])
    axes = groups.get(found["name"])
    if axes is None or found["order"] is None:
        return axes
    if found["order"] not in lists:
        return None
    return [axes[k] for k in permutation(lists[found["order"]], len(axes))]


def _without_empty(text: str, origins: list[int]) -> Written:
    """The commas and brackets that groups of no axes leave behind are taken out."""
    for pattern in _EMPTY:
        while (found := pattern.search(text)) is not None:
            text = text[: found.start()] + text[found.end() :]
            origins = origins[: found.start()] + origins[found.end() :]
    return Written(text, tuple(origins))
