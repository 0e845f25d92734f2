"""Templates of code without logic, and files that are written whole or not at all."""

import os
import re
from pathlib import Path

import jinja2
import pytest

from derive.render import render, write

TEMPLATES = sorted((Path(__file__).resolve().parent.parent / "templates").glob("*.py.jinja"))


def test_an_unknown_field_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render("network.py.jinja", module=object())
    with pytest.raises(jinja2.UndefinedError):
        render("network.py.jinja")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_loops_and_fields_alone(path):
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"\{%[-+]?\s*(\w+)", text)
    assert set(blocks) <= {"for", "endfor"}
    fields = re.findall(r"\{\{\s*(.*?)\s*\}\}", text)
    assert fields and all(re.fullmatch(r"[\w.]+", field) for field in fields)


def test_files_are_written_once_and_then_left_alone(tmp_path):
    texts = {tmp_path / "new" / "a.py": "a = 1\n", tmp_path / "b.tex": "ä\n"}
    assert set(write(texts)) == set(texts)
    assert (tmp_path / "b.tex").read_bytes() == "ä\n".encode()
    os.utime(tmp_path / "b.tex", ns=(1, 1))
    assert write(texts) == ()
    assert (tmp_path / "b.tex").stat().st_mtime_ns == 1
    assert write({tmp_path / "b.tex": "other\n"}) == (tmp_path / "b.tex",)
    assert (tmp_path / "b.tex").read_text() == "other\n"


def test_nothing_is_left_where_writing_fails(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "a.py").write_text("before\n")
    with pytest.raises(OSError):
        write({tmp_path / "taken": "text\n", tmp_path / "a.py": "after\n"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.py", "taken"]
    assert (tmp_path / "a.py").read_text() == "before\n"
