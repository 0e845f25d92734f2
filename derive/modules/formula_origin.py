"""What the module of a formula was derived from, in its docstring, and read back from there.

    Made by

        derive.differentiate(formula, wrt=["w"], sizes={"p": 7}, accuracy="exact")

    of the formula

        L = sum[p,k]((x[2*p+k] - w[k])**2)  # as it was written

Reading evaluates nothing: the call is taken apart, its arguments are literals.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from derive.language.source import printable

COLUMNS = 99
INDENT = "    "
FUNCTIONS = {
    "gradient": "differentiate",
    "vjp": "vjp",
    "jacobian": "jacobian",
    "hessian": "hessian",
    "hvp": "hvp",
}
_ORIGIN = re.compile(r"\nMade by\n\n(.*?)\n\nof the formula\n\n(.*)\Z", re.DOTALL)


@dataclass(frozen=True)
class Origin:
    """The call that a module was made by; `function` is a name in `derive`."""

    function: str
    text: str
    wrt: tuple[str, ...]
    sizes: Mapping[str, int]
    accuracy: str


def words(
    kind: str, text: str, wrt: Iterable[str], sizes: Mapping[str, int], accuracy: str
) -> Iterator[str]:
    """The lines of a docstring that say what a module was derived from."""
    given = [f"wrt={json.dumps(list(wrt))}"]
    given += [f"sizes={json.dumps({name: int(size) for name, size in sizes.items()})}"] * bool(
        sizes
    )
    call = f'derive.{FUNCTIONS[kind]}(formula, {", ".join(given)}, accuracy="{accuracy}")'
    yield from ("", "Made by", "")
    yield from textwrap.wrap(
        call, COLUMNS, initial_indent=INDENT, subsequent_indent=INDENT + " " * 4
    )
    yield from ("", "of the formula", "")
    for line in textwrap.dedent(text.expandtabs()).strip().split("\n"):
        yield from _quoted(line.rstrip())


def _quoted(line: str) -> Iterator[str]:
    """A line of a formula within a docstring: nothing in it can end that, or be an escape.

    A long one is broken behind a space, with a backslash, which Python reads as one line again.
    """
    room = COLUMNS - len(INDENT) - 1
    characters = [_escaped(c) for c in line]
    start = INDENT if line else ""
    while sum(map(len, characters)) > room:
        count, used = 0, 0
        while used + len(characters[count]) <= room:
            used += len(characters[count])
            count += 1
        spaces = [k for k in range(count // 2, count) if characters[k] == " "]
        count = spaces[-1] + 1 if spaces else count
        yield f"{start}{''.join(characters[:count])}\\"
        characters, start, room = characters[count:], "", COLUMNS - 1
    yield start + "".join(characters)


def _escaped(c: str) -> str:
    if c in ('"', "\\"):
        return f"\\{c}"
    return printable(c)


def read(docstring: str) -> Origin | None:
    """What the docstring of a module says that it was derived from; None where it says nothing."""
    found = _ORIGIN.search(docstring)
    if found is None:
        return None
    try:
        call = ast.parse(textwrap.dedent(found[1]).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    match call:
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="derive"), attr=function),
            args=[ast.Name(id="formula")],
            keywords=keywords,
        ) if function in FUNCTIONS.values():
            given = {k.arg: _literal(k.value) for k in keywords}
        case _:
            return None
    text = "\n".join(line.removeprefix(INDENT) for line in found[2].rstrip("\n").split("\n"))
    match given:
        case {"wrt": list(wrt), "accuracy": str(accuracy), **rest} if all(
            isinstance(name, str) for name in wrt
        ) and set(rest) <= {"sizes"}:
            sizes = rest.get("sizes", {})
            if isinstance(sizes, dict) and all(
                isinstance(name, str) and type(size) is int for name, size in sizes.items()
            ):
                return Origin(function, text, tuple(wrt), sizes, accuracy)
    return None


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
