"""What is found of the first of those alike is what would be found of each."""

import itertools
import random
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sympy
from sympy import Basic, Expr

from derive import pipeline
from derive.gradients import calculus
from derive.gradients.backward_pass import BackwardPass
from derive.gradients.calculus import contribution
from derive.gradients.normal_form import Taken, fresh
from derive.language.functions import lt, where
from derive.language.likeness import Likeness, Memory, Pattern, likeness
from derive.language.notation import (
    Access,
    Equation,
    Index,
    Program,
    Reduce,
    Tensor,
    accesses,
)
from derive.modules.kernels import _text, cited
from derive.modules.rolling import marked

SPECS = sorted(Path(__file__).parent.parent.glob("specs/*.toml"))
T = TypeVar("T")

n = Index("n")
i, j, k = (Index(name, 4) for name in "ijk")
p, q = Index("p", 7), Index("q", 9)


def alike(a: Expr, b: Expr) -> bool:
    return likeness((a,)).key == likeness((b,)).key


def alike_in_sizes(a: Expr, b: Expr) -> bool:
    return likeness((a,)).in_sizes == likeness((b,)).in_sizes


def product(x: str, w: str, *indices: Index) -> Expr:
    a, b, c = indices
    return Reduce("sum", Access(x, a, b) * Access(w, b, c), (b,))


def test_names_are_of_no_account_but_their_order_is() -> None:
    assert alike(product("a", "b", n, i, j), product("c", "d", n, i, j))
    assert alike(product("a", "b", n, i, j), product("a", "b", n, i, k))
    assert not alike(product("a", "b", n, i, j), product("d", "c", n, i, j))
    assert not alike(product("a", "b", n, i, j), product("a", "b", n, j, i))


def test_the_order_as_printed_counts_too() -> None:
    """z_1 is before z_10, but z_10[n] before z_1[n]; z_1 is before z_2 in both."""
    first = Access("z_1", n) + Access("z_2", n)
    assert alike(first, Access("z_8", n) + Access("z_9", n))
    assert not alike(first, Access("z_1", n) + Access("z_10", n))


def test_so_does_the_order_among_other_words() -> None:
    assert alike(sympy.tanh(Access("a", n)), sympy.tanh(Access("b", n)))
    assert not alike(sympy.tanh(Access("a", n)), sympy.tanh(Access("z", n)))


@pytest.mark.parametrize(
    "other",
    [
        Access("x", i, j) * Access("y", j, i),
        Access("x", i, i) * Access("y", i, i),
        Access("x", i, j) + Access("y", i, j),
        Access("x", i, j) * Access("x", i, j),
        2 * Access("x", i, j) * Access("y", i, j),
        Access("x", i, j, k) * Access("y", i, j, k),
    ],
)
def test_same_names_in_another_structure(other: Expr) -> None:
    assert not alike(Access("x", i, j) * Access("y", i, j), other)


def test_sizes_count_only_by_which_are_equal_where_indices_are_places() -> None:
    square = product("a", "b", n, i, j)
    assert not alike(square, product("a", "b", n, p, q))
    assert not alike_in_sizes(square, product("a", "b", n, p, q))
    one, other = product("a", "b", n, i, p), product("a", "b", n, i, q)
    assert not alike(one, other)
    assert alike_in_sizes(one, other)
    assert not alike_in_sizes(one, product("a", "b", n, i, Index("q", 1)))
    assert not alike_in_sizes(one, product("a", "b", n, i, Index("q")))


@pytest.mark.parametrize(
    "e",
    [
        Access("x", i + 1),
        Access("x", i, sympy.Integer(5)),
        where(lt(i, 3), Access("x", i), 0),
        Reduce("sum", Access("x", i), (i,), lt(i, 3)),
        Reduce("sum", Access("x", i) - Access("m"), (i,)),
    ],
)
def test_elsewhere_more_may_depend_on_them(e: Expr) -> None:
    assert likeness((e,)).ranged
    assert not likeness((Access("x", i), product("a", "b", n, i, j))).ranged


def renamed(like: Likeness, seed: int) -> list[Any]:
    """Other names in the same order, tensors and indices each among themselves."""
    drawn = random.Random(seed)
    texts = sorted(str(name.name) for name in like.names)
    new: list[str] = []
    while len(new) < len(texts):
        new = sorted({drawn.choice("abcxyz") + f"_{drawn.randrange(99):02}" for _ in texts})
    table = dict(zip(texts, new, strict=True))
    return [
        name.renamed(table[name.name]) if isinstance(name, Index) else type(name)(table[name.name])
        for name in like.names
    ]


def literal(e: Basic) -> Any:
    """An expression with all that makes it up."""
    more = (getattr(e, "is_commutative", None), getattr(e, "nargs", None), str(e))
    return (type(e), more, *map(literal, e.args))


@pytest.mark.parametrize("seed", range(5))
def test_a_pattern_gives_what_substitution_gives(seed: int) -> None:
    text = "h[n,j] = tanh(sum[i](x[n,i]*w[i,j]) - 2*b[j])\n"
    text += "m[n] = mean[j](where(h[n,j] > 0, h[n,j]/3, exp(h[n,j])))\nL = sum[n](sqrt(m[n] + 5))"
    gradients = pipeline.differentiate(text, ["w", "b", "x"]).gradients
    bodies = [e.body for s in gradients.steps for e in (s.before, s.after)]
    for e in dict.fromkeys((*bodies, *(e.body for e in gradients.program.equations))):
        like = likeness((e,))
        names = renamed(like, seed)
        (found,) = Pattern((e,), like.names)(names)
        expected = e.xreplace(dict(zip(like.names, names, strict=True)))
        assert found == expected
        assert literal(found) == literal(expected)
        assert hash(found) == hash(expected)


def forgetful(monkeypatch: pytest.MonkeyPatch, function: Callable[[], T]) -> T:
    """What a function gives where nothing is remembered."""
    with monkeypatch.context() as patch:
        patch.setattr(Memory, "get", lambda self, key: None)
        patch.setattr(Memory, "__setitem__", lambda self, key, value: None)
        patch.setattr(calculus, "_remembered", calculus._remembered.__wrapped__)
        return function()


def stack(names: list[tuple[str, str, str]], body: str) -> tuple[str, list[str]]:
    """One layer for each triple: its input, its matrix, its output."""
    lines = [body.format(x=x, w=w, z=z) for x, w, z in names]
    return "\n".join([*lines, f"L = mean[n,j]({names[-1][2]}[n,j]**2)"]), [w for _, w, _ in names]


IN_ORDER = [("a", "b", "c"), ("c", "d", "e"), ("e", "f", "g")]
OUT_OF_ORDER = [("a", "b", "c"), ("c", "bb", "d"), ("d", "z", "a_2"), ("a_2", "a_1", "x")]
NUMBERED = [(f"z_{l}", f"W_{l}", f"z_{l + 1}") for l in range(7, 13)]
LAYERS = [
    "{z}[n,j] = tanh(sum[i]({x}[n,i]*{w}[i,j]))",
    "{z}[n,j] = maximum(sum[i]({x}[n,i]*{w}[i,j]), 0) + {x}[n,j]",
    "{z}[n,j] = {x}[n,j]*exp(sum[i]({w}[i,j]*{x}[n,i])) - {w}[j,j]",
    "{z}[n,j] = sum[i]({x}[n,i]*{w}[i,j]) - mean[k]({x}[n,k])",
    "{z}[n,j] = {w}[j,j]*{x}[n,j]/sqrt(mean[k]({x}[n,k]**2) + 1/9)",
    "{z}[n,j] = {w}[j,j]*exp({x}[n,j])/sum[k](exp({x}[n,k]))",
]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("names", [IN_ORDER, OUT_OF_ORDER, NUMBERED])
def test_alike_layers_are_derived_as_each_by_itself(
    names: list[tuple[str, str, str]], layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, wrt = stack(names, layer)
    expected = forgetful(monkeypatch, lambda: pipeline.differentiate(text, wrt).gradients)
    for _ in range(2):
        found = pipeline.differentiate(text, wrt).gradients
        assert found.steps == expected.steps
        assert found.backward == expected.backward
        assert found.program == expected.program


LAYER_TYPES = [
    ["dense tanh"],
    ["dense relu", "layer_norm"],
    ["dense sigmoid", "batch_norm"],
    ["dense softmax"],
]


@pytest.mark.parametrize("types", LAYER_TYPES)
@pytest.mark.parametrize("units", [(4, 4, 4, 4), (4, 5, 6, 7), (6, 5, 5, 6), (1, 5, 1, 2)])
def test_alike_layers_of_a_network_whatever_their_sizes(
    units: tuple[int, ...], types: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["[input]", "shape = [5]"]
    for size, type_ in itertools.product((*units, 3), types):
        name, *activation = type_.split()
        lines += ["[[layers]]", f'type = "{name}"']
        lines += [f"units = {size}", f'activation = "{activation[0]}"'] if activation else []
    lines += ["[loss]", 'type = "mse"', "[optimizer]", 'type = "sgd"', "learning_rate = 0.1"]
    spec = tmp_path / "network.toml"
    spec.write_text("\n".join(["name = 'network'", *lines]))
    found = pipeline.derive_network(spec)
    expected = forgetful(monkeypatch, lambda: pipeline.derive_network(spec))
    assert found.derivatives == expected.derivatives
    assert found.derivatives.gradients.shown == expected.derivatives.gradients.shown
    assert found.beside == expected.beside


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_equations_alike_read_as_they_would_alone(path: Path) -> None:
    found = pipeline.derive_network(path).derivatives.gradients
    texts = cited(found).equations
    assert len(texts) > 10
    equations = {e.target: e for e in found.equations}  # not the initial lines of recurrences
    for e in equations.values():
        assert texts[e.target] == marked(str(e))


def test_a_name_that_is_a_word_is_no_place_for_others() -> None:
    """In `exp[n] = exp(z[n])` one name is also a function's; sum[i__1] is printed as sum[i]."""
    inner = Index("i__1")
    for e in (
        Equation("a", (n,), sympy.exp(Access("z", n))),
        Equation("exp", (n,), sympy.exp(Access("z", n))),
        Equation("a", (i,), Reduce("sum", Access("z", inner), (inner,))),
        Equation("b", (i,), Reduce("sum", Access("z", j), (j,))),
        Equation("N", (n,), Access("z", n) / n.size),
    ):
        assert _text(e) == marked(str(e))


def test_copies_of_indices_have_an_order_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """With i_1 taken, the copy of i comes after i_2 and not before it."""
    i_2 = Index("i_2", 4)
    body = Access("a", i, i_2) * Access("a", i_2, i) * Access("x", i)
    y = Equation("y", (i_2, i), body)

    def found(*taken: str) -> Any:
        names = Taken(frozenset({"i", "i_2", *taken}))
        return contribution(y, Access("x", i), y.access, Access("x_bar", i), {}, names)

    for taken in ([], ["i_1"], [], ["i_1", "i_3"]):
        expected = forgetful(monkeypatch, lambda taken=taken: found(*taken))  # type: ignore[misc]
        assert found(*taken) == expected


def written(*raws: Equation, inline: Sequence[Equation] = ()) -> list[Equation]:
    """Cotangents in textbook form, of a program that computes nothing else."""
    read = {a.tensor: len(a.indices) for e in (*raws, *inline) for a in accesses(e.body)}
    inputs = (Tensor(t, tuple(Index(f"i{k}", 9) for k in range(r))) for t, r in read.items())
    found = BackwardPass(Program((), tuple(inputs)), ("w",), {})
    found.tensors |= {"w_bar": "w"}
    for e in inline:
        found.add(e)
        found.add_part(e)
    return [found.in_textbook_form(raw) for raw in raws]


def test_sizes_decide_what_the_ranges_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> list[Equation]:
        few, many = Index("j", 3), Index("j", 5)
        return [
            e
            for i in (few, many, few)
            for e in written(Equation("z", (i,), where(lt(i, 3), Access("y", i), 0)))
        ]

    first, second, third = found()
    assert [first, second, third] == forgetful(monkeypatch, found)
    assert first == third and not first.body.has(where) and second.body.has(where)


def test_signs_are_turned_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> list[Equation]:
        body = -Reduce("sum", (Access("a", n) - Access("b", i)) * Access("c", n, i), (n,))
        return written(*(Equation(t, (i,), body) for t in ("v_bar", "w_bar", "u_bar")))

    assert found() == forgetful(monkeypatch, found)
    assert found()[0].body != found()[1].body


def test_names_made_anew_are_not_those_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """sum[j](u[n,j]*v[j,k]) + s_bar[n,k], where s_bar is a sum over j: this one is over j_1."""

    def found(j: Index) -> Equation:
        own = Reduce("sum", Access("u", n, j) * Access("v", j, k), (j,))
        other = Reduce("sum", Access("u", n, j) * Access("x", j, k), (j,))
        part = Equation("s_bar", (n, k), other)
        raw = Equation("z_bar", (n, k), own * Access("u", n, k) + part.access * Access("u", n, k))
        (e,) = written(raw, inline=[part])
        return e

    for index in (Index("j", 4), Index("i", 4), Index("j", 4)):
        expected = forgetful(monkeypatch, lambda index=index: found(index))  # type: ignore[misc]
        assert found(index) == expected


def test_a_memory_holds_but_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derive.language.likeness.MOST", 2)
    memory: Memory[int] = Memory()
    for key in "abca":
        memory[key] = 1
    assert list(memory) == ["c", "a"]


def test_names_beside_those_of_another_set() -> None:
    others = frozenset({"j", "j_1", "j_3", "k_1"})
    taken, plain = Taken(others), set(others)
    for base in ("j", "j", "j", "k", "k", "m", "m"):
        assert fresh(base, taken) == fresh(base, plain)
    assert others | taken == plain
    assert {*copy(taken)} == {*taken}
    assert copy(taken).others is others
