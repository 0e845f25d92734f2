"""Sums by products that are known already, and factors computed while a function's parts are."""

import numpy as np
import pytest

from derive.code.early import early
from derive.code.layout import AS_WRITTEN, FEATURES_FIRST
from derive.code.reassociation import reassociated
from derive.language.interpreter import evaluate
from tests.lowered_programs import run_fresh, run_workspace
from tests.test_planning import arranged, order, program

ATTENTION = """
S[n,t,s] = sum[k](q[n,t,k]*r[n,s,k])
m[n,t] = max[s](S[n,t,s])
P[n,t,s] = exp(S[n,t,s] - m[n,t])
o[n,t,k] = sum[s](P[n,t,s]*v[n,s,k])
g[n,t,s] = 2*sum[k](u[n,t,k]*v[n,s,k])
d[n,t] = sum[c](P[n,t,c]*g[n,t,c])
y[n,t,s] = P[n,t,s]*(g[n,t,s] - d[n,t]) + o[n,t,0]
"""
SIZES = {"t": 6, "s": 6, "c": 6, "k": 2}
SHAPES = dict.fromkeys("qruv", (3, 6, 2))


def texts(found):
    return {e.target: str(e) for e in found.equations}


def drawn(shapes, seed=0):
    draw = np.random.default_rng(seed)
    return {name: draw.standard_normal(shape) for name, shape in shapes.items()}


def test_a_sum_goes_over_the_fewer_terms_of_a_known_product():
    found = reassociated(program(ATTENTION, **SIZES))
    assert "o[n,t,_k]*u[n,t,_k]" in texts(found)["d"]


@pytest.mark.parametrize("run", [run_fresh, run_workspace])
@pytest.mark.parametrize("layout", [AS_WRITTEN, FEATURES_FIRST])
def test_it_is_the_same_sum(run, layout):
    own, given = program(ATTENTION, **SIZES), drawn(SHAPES)
    wanted = evaluate(own, given)
    found = run(reassociated(own), ("d", "y"), given, layout=layout)
    for tensor, a in found.items():
        np.testing.assert_allclose(a, wanted[tensor], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "old, new",
    [
        ("sum[c](P[n,t,c]*g[n,t,c])", "sum[c](P[n,c,t]*g[n,t,c])"),  # no product that is known
        ("sum[c](P[n,t,c]*g[n,t,c])", "sum[c](P[n,t,c]*g[n,c,t])"),
        ("sum[s](P[n,t,s]*v[n,s,k])", "sum[s](P[n,s,t]*v[n,s,k])"),
        ("sum[k](u[n,t,k]*v[n,s,k])", "sum[k](u[n,s,k]*v[n,t,k])"),
        ("sum[k](u[n,t,k]*v[n,s,k])", "sum[k](u[n,t,k]*v[n,s,k]*r[n,s,k])"),
    ],
)
def test_another_sum_stays(old, new):
    own = program(ATTENTION.replace(old, new), **SIZES)
    assert texts(reassociated(own)) == texts(own)


def test_a_sum_of_no_more_terms_stays():
    own = program(ATTENTION, **{**SIZES, "k": 4})
    assert texts(reassociated(own)) == texts(own)


def test_what_maxima_are_taken_over_lies_outside():
    text = ATTENTION.replace("q[n,t,k]", "x[n,t,j]*W[j,k]").replace("sum[k](x", "sum[j,k](x")
    found = arranged(program(text, **SIZES), FEATURES_FIRST)
    for tensor in "SPg":
        assert "nst" in order(found, tensor)
    assert order(found, "m").endswith("st")
    assert order(found, "d").endswith("ct")


SWISH = """
z[n,j] = sum[i](x[n,i]*W[i,j])
a[n,j] = z[n,j]/(1 + exp(-z[n,j]))
b[n,i] = sum[j](a[n,j]*W[i,j])
b_bar[n,k] = sum[i](b[n,i]*W[i,k])
z_bar[n,k] = (1/(1 + exp(-z[n,k])) + z[n,k]*exp(-z[n,k])/(1 + exp(-z[n,k]))**2)*b_bar[n,k]
y[n,j] = z_bar[n,j]*b[n,0]
"""


def test_a_derivative_is_computed_with_its_function():
    own = program(SWISH, n=3, i=2, j=4, k=4)
    found, moved = early(own, {"z", "a", "b"})
    targets = [e.target for e in found.equations]
    assert moved == {"z_bar"}
    assert targets[:3] == ["z", "a", "z_bar_in"]
    assert found.equations[2].origin == "z_bar"
    assert set(texts(found)["z_bar"].split(" = ")[1].split("*")) == {
        "z_bar_in[n,k]",
        "b_bar[n,k]",
    }
    given = drawn({"x": (3, 2), "W": (2, 4)})
    wanted = evaluate(own, given)
    for run in (run_fresh, run_workspace):
        for tensor, a in run(found, ("y", "z_bar"), given).items():
            np.testing.assert_allclose(a, wanted[tensor], rtol=1e-12)


@pytest.mark.parametrize(
    "old, new",
    [
        ("(1/(1 + exp(-z[n,k]))", "(1/(1 + exp(-b_bar[n,k]))"),  # a factor not of the forward pass
        ("z[n,j]/(1 + exp(-z[n,j]))", "where(0 < z[n,j], z[n,j], 0)"),  # no function in common
    ],
)
def test_what_shares_no_function_stays(old, new):
    own = program(SWISH.replace(old, new), n=3, i=2, j=4, k=4)
    found, moved = early(own, {"z", "a", "b"})
    assert not moved
    assert texts(found) == texts(own)


@pytest.mark.parametrize(
    "text, shape",
    [
        ("y[j] = sum[n](x[n,j])", (40, 30)),
        ("y[n] = sum[j](x[n,j])", (40, 30)),
        ("y[n] = sum[i,j](x[n,i,j])", (5, 40, 30)),
        ("y[n,j] = sum[i](x[n,i,j])", (5, 40, 30)),
        ("y[n,j] = mean[i](x[n,i,j])", (5, 4, 3)),
        ("y[i] = sum[n,j](x[n,i,j])", (5, 4, 300)),
        ("y[j] = sum[n,i](x[n,i,j])", (5, 40, 30)),
        ("y[n,i] = sum[j](x[n,i,j])", (5, 40, 0)),
        ("y[n,j] = sum[i](x[n,i,j])", (0, 4, 3)),
    ],
)
@pytest.mark.parametrize("run", [run_fresh, run_workspace])
def test_sums_by_products_with_ones(run, text, shape):
    given = drawn({"x": shape})
    own = program(text)
    np.testing.assert_allclose(run(own, ("y",), given)["y"], evaluate(own, given)["y"], rtol=1e-12)
