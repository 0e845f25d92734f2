"""The scanner of places agrees with tomllib: what stands at the place of a value is that value."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derive.library.toml_positions import SpecError, parse

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)
MULTILINE = st.text(st.sampled_from("a'\"\\ \t\né#]}=,"), max_size=12)


def basic(text):
    return (
        '"'
        + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        + '"'
    )


def literal(text):
    bad = "'" in text or "\n" in text
    return basic(text) if bad else f"'{text}'"


def long_basic(text):
    escaped = text.replace("\\", "\\\\").replace('"""', '""\\"')
    if escaped.endswith('"'):
        escaped = escaped[:-1] + '\\"'
    return f'"""\n{escaped}"""'


def folded(text):
    return '"""\\\n   ' + text.replace("\\", "\\\\").replace('"', '\\"').lstrip() + '\\u00e9"""'


def long_literal(text):
    return basic(text) if "'''" in text or text.endswith("'") else f"'''{text}'''"


def quotes_before_the_end(text):
    return f'"""{text}"""""' if not set(text) & set('"\\\n\t') else basic(text)


strings = st.builds(
    lambda form, text: form(text),
    st.sampled_from([basic, literal, long_basic, long_literal, folded, quotes_before_the_end]),
    TEXT | MULTILINE,
)
scalars = (
    strings
    | st.integers(-(10**6), 10**6).map(str)
    | st.sampled_from(["true", "1e-3", "-inf", "0x1f", "1979-05-27 07:32:00", "1_000", "3.5"])
)
keys = st.sampled_from(["a", "b-c", "d_1", '"e.f"', "'g h'", '"\\u00e9"', "1"])
gaps = st.sampled_from(["", " ", "\n", " # ] } ' \"\n\t", "\n\n"])


@st.composite
def arrays(draw, values):
    items = draw(st.lists(values, max_size=3))
    gap = lambda: draw(gaps)  # noqa: E731
    comma = "," if items and draw(st.booleans()) else ""
    return "[" + ",".join(gap() + i + gap() for i in items) + comma + gap() + "]"


@st.composite
def tables(draw, values):
    names = draw(st.lists(keys, max_size=3, unique=True))
    return "{" + ", ".join(f"{k} = {draw(values)}" for k in names) + "}"


values = st.recursive(scalars, lambda v: arrays(v) | tables(v), max_leaves=6)


@st.composite
def documents(draw):
    lines = []
    for _ in range(draw(st.integers(0, 7))):
        dotted = " . ".join(draw(st.lists(keys, min_size=1, max_size=2)))
        kind = draw(st.sampled_from(["pair", "pair", "pair", "table", "array"]))
        if kind == "pair":
            lines.append(f"{draw(st.sampled_from(['', '  ']))}{dotted} = {draw(values)} # c")
        else:
            lines.append(f"[{dotted}]" if kind == "table" else f"[[ {dotted} ]]")
    return draw(gaps) + "\n".join(lines) + draw(st.sampled_from(["", "\n"]))


def nodes(data, path=()):
    yield path, data
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from nodes(value, (*path, key))


@settings(max_examples=400, deadline=None)
@given(documents())
def test_places_agree_with_tomllib(text):
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # a key given twice, most of all
    document = parse(text, "f")
    for path, value in nodes(data):
        if not path:
            continue
        place = document.places[path]
        if not isinstance(value, dict | list):
            assert tomllib.loads(f"v = {text[place.start : place.end]}")["v"] == value
        if isinstance(value, str):
            for k, character in enumerate(value):
                message = document.in_string(path, *line_column(value, k), "m")
                line, column = map(int, message.split(":")[1:3])
                assert text.split("\n")[line - 1][column - 1 :][:1] in (character, "\\", "")


def line_column(value, k):
    before = value[:k]
    return before.count("\n"), k - before.rfind("\n") - 1


def test_a_message_shows_the_line_and_a_caret():
    document = parse("a = 1\n[b]\n  units = 0 # no\n", "net.toml")
    assert document.at_value(("b", "units"), "too small") == (
        "net.toml:3:11: too small\n    units = 0 # no\n            ^"
    )
    assert document.at_key(("b", "units"), "odd").splitlines()[0] == "net.toml:3:3: odd"
    assert document.at_key(("b", "missing"), "missing").startswith("net.toml:2:1:")
    assert document.at_key(("c",), "missing").startswith("net.toml:1:1:")


def test_an_element_of_an_array_of_tables_has_its_own_place():
    document = parse("[[l]]\nu = 1\n[[l]]\nu = 2\n[l.x]\nv = 3\n", "f")
    assert document.at_value(("l", 1, "u"), "m").startswith("f:4:5: m")
    assert document.at_value(("l", 1, "x", "v"), "m").startswith("f:6:5: m")
    assert document.at_key(("l", 1), "m").startswith("f:3:1: m")


@pytest.mark.parametrize(
    "text, place",
    [("a = \n", "f:1:5"), ("a = [1,\n", "f:2:1"), ("a = 1\na = 2\n", "f:2"), ("= 1", "f:1:1")],
)
def test_a_syntax_error_has_a_place(text, place):
    with pytest.raises(SpecError) as raised:
        parse(text, "f")
    assert str(raised.value).startswith(place)


def test_deep_nesting_is_an_error_and_no_crash():
    with pytest.raises(SpecError):
        parse("a = " + "[" * 100_000, "f")
