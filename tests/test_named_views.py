"""Views and numbers with names: made once, and the same arrays as before."""

import numpy as np
import pytest

from derive.code.lowering import lower
from derive.code.named_views import named
from derive.code.numpy_printer import allocation, lines, prefixed
from derive.code.scheduling import workspace
from derive.gradients.normal_form import flatten
from derive.language.formula import parse


class Workspace:
    pass


def schedule(text):
    return workspace(lower(flatten(parse(text))))


def printed(found):
    return list(lines(found.statements, prefixed(found, "ws."), {}))


def run(found, inputs, result):
    """What the statements leave in the result, the second time that they run."""
    names = prefixed(found, "ws.")
    ws = Workspace()
    known = {"ws": ws, "np": np, "_empty": np.empty, "dtype": np.float64}
    known |= {"N": 4, "T": 5, "I": 3, "J": 2}
    for name, a in inputs.items():
        setattr(ws, name, a)
    exec("\n".join(allocation(found, names, {})), known)
    code = "\n".join(lines(found.statements, names, {}))
    exec(code, known)
    exec(code, known)
    return np.copy(getattr(ws, names[found.names[result]].removeprefix("ws.")))


def test_views_and_numbers_are_made_in_the_setup():
    found = named(schedule("a[n,i] = maximum(sum[j](z[n,j]*W[i,j]), 0) + b[n]"))
    setup = list(allocation(found, prefixed(found, "ws."), {}))
    assert "ws.W_T = ws.W.T" in setup
    assert "ws.zero = np.array(0, dtype)" in setup
    steps = "\n".join(printed(found))
    assert "np.dot(ws.z, ws.W_T, out=ws.a)" in steps
    assert "np.maximum(ws.a, ws.zero, out=ws.a)" in steps
    assert "[:, None]" not in steps


def test_an_array_that_comes_later_is_viewed_where_it_is_read():
    plain = schedule("a[n,i] = sum[j](z[n,j]*W[i,j])")
    assert printed(plain) == ["np.matmul(ws.z, ws.W.T, out=ws.a)"]
    assert printed(named(plain, {"W"})) == ["np.dot(ws.z, ws.W.T, out=ws.a)"]
    # In what order the elements of `a` will lie is not known, and `dot` asks for one.
    assert printed(named(plain, {"a"})) == ["np.matmul(ws.z, ws.W_T, out=ws.a)"]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a[n,i] = maximum(sum[j](z[n,j]*W[i,j]), 0)/2 + b[n]", "a"),
        ("a[i,n] = 0.25*z[n,i] - 7*b[n]", "a"),
    ],
)
def test_nothing_changes(text, result):
    rng = np.random.default_rng(0)
    shapes = {"z": (4, 2), "W": (3, 2), "b": (4,)}
    if "z[n,i]" in text:
        shapes["z"] = (4, 3)
    inputs = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    plain = schedule(text)
    assert np.array_equal(run(named(plain), inputs, result), run(plain, inputs, result))
