"""Where each key and value of a TOML document stands, so that an error can point at it.

`tomllib` reads values and forgets their places; the scanner here walks the same text once more and
keeps nothing but places. It runs only on text that `tomllib` has accepted, so it checks nothing. A
place is a path into the data, such as `("layers", 0, "units")`.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from derive.language.notation import DeriveError
from derive.language.source import Source

KeyPath = tuple[str | int, ...]

MAX_CHARACTERS = 1_000_000

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t]*")
_FILLER = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SCALAR = re.compile(r"[^,\]}#\n]*[^,\]}# \t\n]")
_SYNTAX_ERROR = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)")
_STRINGS = (
    (re.compile(r"'''(?:\r?\n)?"), re.compile(r"'{3,5}")),
    (re.compile(r'"""(?:\r?\n)?'), re.compile(r'"{3,5}')),
    (re.compile(r"'"), re.compile(r"'")),
    (re.compile(r'"'), re.compile(r'"')),
)
_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[ \t]*\r?\n[ \t\r\n]*|.)", re.DOTALL)


class SpecError(DeriveError):
    """Everything that is wrong with a spec: one message after the other, each with its place."""

    def __init__(self, messages: tuple[str, ...]) -> None:
        super().__init__("\n".join(messages))
        self.messages = messages


@dataclass(frozen=True)
class Place:
    """Offsets into the text: the key's first character, and the value's first and last plus one."""

    key: int
    start: int
    end: int


@dataclass(frozen=True)
class Document:
    """A TOML text with its data and the place of every key and value in it."""

    filename: str
    text: str
    data: dict[str, Any]
    places: Mapping[KeyPath, Place]

    def at_key(self, path: KeyPath, message: str) -> str:
        """`file:line:column: message`, the line, a caret under the key or what should hold it."""
        return self.at_offset(self._place(path).key, message)

    def at_value(self, path: KeyPath, message: str) -> str:
        """The same, with the caret under the value."""
        return self.at_offset(self._place(path).start, message)

    def in_string(
        self, path: KeyPath, line: int, column: int, message: str, width: int = 1, hint: str = ""
    ) -> str:
        """The same, with carets at a line and column, both from 0, of the string at `path`."""
        offsets, value = _string_offsets(self.text, self._place(path).start)
        before = sum(len(part) + 1 for part in value.split("\n")[:line])
        return self.at_offset(offsets[min(before + column, len(value))], message, width, hint)

    def at_offset(self, offset: int, message: str, width: int = 1, hint: str = "") -> str:
        """The same, with carets at characters of the text."""
        start = self.text.rfind("\n", 0, offset) + 1
        line = self.text.count("\n", 0, start)
        return _pointed(self.filename, self.text, line, offset - start, message, width, hint)

    def _place(self, path: KeyPath) -> Place:
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(0, 0, 0))


def _pointed(
    filename: str,
    text: str,
    line: int,
    column: int,
    message: str,
    width: int = 1,
    hint: str = "",
) -> str:
    source = Source(tuple(text.split("\n")), filename)
    return str(source.place(line, column, width).error(message, hint))


def read(path: Path) -> Document:
    """The document in a file; raises `SpecError` where it cannot be read or is no TOML."""
    try:
        with path.open("rb") as file:
            data = file.read(4 * MAX_CHARACTERS + 4)
    except OSError as error:
        raise SpecError((f"{path}: cannot be read: {error.strerror}",)) from None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError((f"{path}:{line}:1: this line is not UTF-8 text",)) from None
    return parse(text.removeprefix("\ufeff"), str(path))


def parse(text: str, filename: str) -> Document:
    """The document in a text."""
    text = text.replace("\r\n", "\n")
    if len(text) > MAX_CHARACTERS:
        limit = f"{MAX_CHARACTERS:,} characters"
        raise SpecError((f"{filename}:1:1: the text has {len(text):,} characters, over {limit}",))
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _SYNTAX_ERROR.fullmatch(str(error))
        if found is None:
            raise SpecError((f"{filename}:1:1: {error}",)) from None
        line, column = int(found[2] or 0) - 1, int(found[3] or 0) - 1
        if line < 0:
            line, column = text.count("\n"), len(text) - text.rfind("\n") - 1
        raise SpecError((_pointed(filename, text, line, column, found[1]),)) from None
    except RecursionError:
        raise SpecError((f"{filename}:1:1: arrays or tables are nested too deep",)) from None
    return Document(filename, text, data, _Scanner(text).scan())


def _string_offsets(text: str, start: int) -> tuple[list[int], str]:
    """The string at `start`, after the offset of each of its characters and of its end."""
    opening, closing = next((o, c) for o, c in _STRINGS if o.match(text, start))
    position = start + len(opening.match(text, start)[0])  # type: ignore[index]
    basic = text[start] == '"'
    offsets: list[int] = []
    characters: list[str] = []
    while True:
        end = closing.match(text, position)
        if end:
            # Up to two quotation marks may stand right before the closing three.
            extra = max(0, len(end[0]) - 3)
            offsets += range(position, position + extra + 1)
            return offsets, "".join(characters) + end[0][:extra]
        if basic and (escape := _ESCAPE.match(text, position)):
            if not escape[0][1:].strip(" \t\r\n"):
                position = escape.end()
                continue  # a backslash at the end of a line takes the white space after it
            value = tomllib.loads(f'v = "{escape[0]}"')["v"]
            position, here = escape.end(), position
        else:
            value, here, position = text[position], position, position + 1
        offsets.append(here)
        characters.append(value)


class _Scanner:
    """One walk over the text; `position` is the offset of the next character to read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.places: dict[KeyPath, Place] = {}
        self.lengths: dict[KeyPath, int] = {}  # of the arrays of tables so far

    def scan(self) -> dict[KeyPath, Place]:
        table: KeyPath = ()
        self.skip(_FILLER)
        while self.position < len(self.text):
            if self.text[self.position] == "[":
                table = self.header()
            else:
                self.key_value(table)
            self.skip(_FILLER)
        return self.places

    def skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.position)
        assert found is not None
        self.position = found.end()
        return found[0]

    def header(self) -> KeyPath:
        start = self.position
        array = self.text.startswith("[[", start)
        self.position += 2 if array else 1
        keys = [key for key, _ in self.keys()]
        self.position += 2 if array else 1
        table: KeyPath = ()
        for k, key in enumerate(keys):
            table = (*table, key)
            if array and k == len(keys) - 1:
                self.lengths[table] = self.lengths.get(table, 0) + 1
                self.places.setdefault(table, Place(start, start, self.position))
            if table in self.lengths:
                table = (*table, self.lengths[table] - 1)
            self.places.setdefault(table, Place(start, start, self.position))
        return table

    def key_value(self, table: KeyPath) -> None:
        keys = self.keys()
        self.position += 1  # =
        self.skip(_BLANK)
        paths = [(*table, *(key for key, _ in keys[: k + 1])) for k in range(len(keys))]
        start = self.position
        self.value(paths[-1])
        for path, (_, place) in zip(paths, keys, strict=True):
            self.places.setdefault(path, Place(place, start, self.position))

    def keys(self) -> list[tuple[str, int]]:
        """A dotted key: each part and where it begins; stops at the sign after it."""
        parts = []
        while True:
            self.skip(_BLANK)
            start = self.position
            if self.text[start] in "\"'":
                parts.append((self.string(), start))
            else:
                parts.append((self.skip(_BARE), start))
            self.skip(_BLANK)
            if self.text[self.position] != ".":
                return parts
            self.position += 1

    def string(self) -> str:
        offsets, value = _string_offsets(self.text, self.position)
        opening = next(o for o, _ in _STRINGS if o.match(self.text, self.position))
        self.position = offsets[-1] + opening.pattern.count(self.text[self.position])
        return value

    def value(self, path: KeyPath) -> None:
        """Passes over a value; notes the places of what is inside it."""
        sign = self.text[self.position]
        if sign in "\"'":
            self.string()
        elif sign == "[":
            for k in self.items("]"):
                start = self.position
                self.value((*path, k))
                self.places[(*path, k)] = Place(start, start, self.position)
        elif sign == "{":
            for _ in self.items("}"):
                self.key_value(path)
        else:
            self.skip(_SCALAR)

    def items(self, closing: str) -> Iterator[int]:
        """Stops at each item of an array or an inline table, and ends after its closing sign."""
        self.position += 1
        for k in itertools.count():
            self.skip(_FILLER)
            if self.text[self.position] == closing:
                break
            yield k
            self.skip(_FILLER)
            self.position += self.text[self.position] == ","
        self.position += 1
