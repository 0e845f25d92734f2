"""The fields of TOML tables, checked as they are read; what is wrong is collected, not raised."""

from __future__ import annotations

import difflib
import keyword
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from derive.library.toml_positions import Document, KeyPath

MAX_SIZE = 2**31 - 1
NEAR = 0.5  # how like a word must be to be named instead of all, from 0 to 1


class Kind(NamedTuple):
    """What a value has to be: in words, and as a test."""

    words: str
    holds: Callable[[Any], bool]


def is_name(value: Any) -> bool:
    """`[A-Za-z_][A-Za-z0-9_]*`, at most 64 characters, and no keyword of Python."""
    found = isinstance(value, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", value)
    return bool(found) and not keyword.iskeyword(value)


def is_number(value: Any) -> bool:
    """A finite number; `true` is none, nor is an integer that no float64 holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**1023 if isinstance(value, int) else math.isfinite(value)


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_SIZE


def is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_SIZE


STRING = Kind("a string", lambda v: isinstance(v, str))
TITLE = Kind("a string of at most 500 characters", lambda v: isinstance(v, str) and len(v) <= 500)
NAME = Kind("a name ([A-Za-z_][A-Za-z0-9_]*, no keyword of Python)", is_name)
NAMES = Kind("a list of names", lambda v: isinstance(v, list) and all(map(is_name, v)) and bool(v))
BOOLEAN = Kind("true or false", lambda v: isinstance(v, bool))
NUMBER = Kind("a finite number", is_number)
RATE = Kind("a finite number above 0", lambda v: is_number(v) and v > 0)
SIZE = Kind("an integer above 0", is_size)
SIZES = Kind(
    "a list of integers above 0, at most 16",
    lambda v: isinstance(v, list) and 0 < len(v) <= 16 and all(map(is_size, v)),
)
TABLE = Kind("a table", lambda v: isinstance(v, dict))
TABLES = Kind(
    "a list of tables",
    lambda v: isinstance(v, list) and bool(v) and all(isinstance(t, dict) for t in v),
)


def choice(*values: str) -> Kind:
    """One of these strings."""
    return Kind(" or ".join(f'"{v}"' for v in values), lambda v: v in values)


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word most like this one; empty if nothing is known."""
    found = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.0)
    return found[0] if found else ""


def shown(value: Any) -> str:
    """A value as it might stand in TOML, shortened."""
    if isinstance(value, dict):
        return "a table"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


@dataclass(frozen=True)
class Table:
    """One table of a document; every complaint goes to `errors`, with its place."""

    document: Document
    path: KeyPath
    data: dict[str, Any]
    errors: list[str]

    def only(self, *known: str) -> None:
        """Complains of every key but these, naming the nearest of them, or all if none is near."""
        for key in self.data:
            if key not in known:
                near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=NEAR)
                if near:
                    hint = f"the nearest known key is {near[0]!r}"
                else:
                    hint = f"the known keys are {', '.join(map(repr, sorted(known)))}"
                self.at_key(key, f"unknown key {key!r}; {hint}")

    def required(self, key: str, kind: Kind) -> Any:
        """The value, or None after a complaint."""
        if key not in self.data:
            self.errors.append(
                self.document.at_key(self.path, f"{key} is missing; it must be {kind.words}")
            )
            return None
        return self.optional(key, kind, None)

    def optional(self, key: str, kind: Kind, default: Any) -> Any:
        """The value; the default where there is none, and after a complaint."""
        if key not in self.data:
            return default
        value = self.data[key]
        if not kind.holds(value):
            self.at_value(key, f"{key} must be {kind.words}, not {shown(value)}")
            return default
        return value

    def table(self, key: str) -> Table | None:
        """The table within; None where there is none, and after a complaint."""
        data = self.optional(key, TABLE, None)
        return None if data is None else Table(self.document, (*self.path, key), data, self.errors)

    def tables(self, key: str) -> list[Table]:
        """The tables of a list; none where it is not there, and after a complaint."""
        return [
            Table(self.document, (*self.path, key, k), data, self.errors)
            for k, data in enumerate(self.optional(key, TABLES, ()))
        ]

    def at_key(self, key: str, message: str) -> None:
        self.errors.append(self.document.at_key((*self.path, key), message))

    def at_value(self, key: str, message: str) -> None:
        self.errors.append(self.document.at_value((*self.path, key), message))
