"""The frames of generated files: Jinja environments, and writing what they give.

A template holds loops and field access over finished strings, and no logic: what it is given are
tuples, dataclasses and text that Python printed. The environments are strict: a name or a field
that is not there is an error. Python and HTML templates have the usual delimiters; those of LaTeX
have `((( name )))` and `((* for ... *))`, which mean nothing in TeX.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import jinja2

# Inside the package once installed; beside it in a checkout.
_PACKAGE = Path(__file__).resolve().parent
_FOLDERS = [str(place / "templates") for place in (_PACKAGE, _PACKAGE.parent)]


_PLAIN = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDERS),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # what is rendered was printed, and escaped, by a printer
)
_LATEX = _PLAIN.overlay(
    block_start_string="((*",
    block_end_string="*))",
    variable_start_string="(((",
    variable_end_string=")))",
    comment_start_string="((=",
    comment_end_string="=))",
)


def render(template: str, **fields: object) -> str:
    """The template of that name, filled in; that of a `.tex` has LaTeX's delimiters."""
    environment = _LATEX if template.endswith(".tex.jinja") else _PLAIN
    return environment.get_template(template).render(**fields)


def write(texts: Mapping[Path, str]) -> tuple[Path, ...]:
    """Write each text to its path and give the paths that changed.

    All is written beside its place first and then put there in one move each, so that no file is
    ever seen half written. A file that holds its text already is left alone.
    """
    changed = {path: text.encode() for path, text in texts.items() if not _holds(path, text)}
    beside = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in changed}
    try:
        for path, data in changed.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            beside[path].write_bytes(data)
        for path in changed:
            os.replace(beside[path], path)
    finally:
        for temporary in beside.values():
            temporary.unlink(missing_ok=True)
    return tuple(changed)


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()
