"""Gradients from what is kept anyway, in place of a factor that follows from it."""

import numpy as np
import pytest

from derive.code.affine_factors import without_affine_factors
from derive.code.layout import AS_WRITTEN, FEATURES_FIRST
from derive.language.interpreter import evaluate
from derive.language.notation import accesses
from tests.lowered_programs import run_fresh, run_workspace
from tests.test_planning import program

NORMALIZED = """
x[n,i] = 2*h[n,i]
y[n,i] = x[n,i]*c[i] + b[i]
z[n,j] = sum[i](y[n,i]*W[i,j])
g[n,j] = 3*z[n,j]
v[j] = sum[m](g[m,j])
W_bar[i,j] = sum[n](y[n,i]*g[n,j])
c_bar[i] = sum[n](x[n,i]*y_bar[n,i])
L[i,j] = W_bar[i,j] + v[j] + c_bar[i]
"""
FORWARD = {"x", "y", "z"}
SIZES = {"i": 4, "j": 3}
SHAPES = {"h": (9, 4), "y_bar": (9, 4), "c": (4,), "b": (4,), "W": (4, 3)}


def given():
    draw = np.random.default_rng(0)
    return {name: draw.standard_normal(shape) for name, shape in SHAPES.items()}


def readers(found, tensor):
    return {e.target for e in found.equations if tensor in {a.tensor for a in accesses(e.body)}}


def test_the_factor_is_read_by_the_forward_pass_alone():
    found = without_affine_factors(program(NORMALIZED, **SIZES), FORWARD)
    assert readers(found, "y") == {"z"}
    own = {e.target: str(e) for e in found.equations}
    assert own["W_bar"] == "W_bar[i,j] = b[i]*v[j] + c[i]*s[i,j]"
    assert own["s"] == "s[i,j] = sum[n](x[n,i]*g[n,j])"
    assert found.equation("s").origin == "W_bar"


@pytest.mark.parametrize("run", [run_fresh, run_workspace])
@pytest.mark.parametrize("layout", [AS_WRITTEN, FEATURES_FIRST])
def test_it_is_the_same_gradient(run, layout):
    own = program(NORMALIZED, **SIZES)
    wanted = evaluate(own, given())
    found = run(without_affine_factors(own, FORWARD), ("L",), given(), layout=layout)
    np.testing.assert_allclose(found["L"], wanted["L"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "old, new",
    [
        ("sum[m](g[m,j])", "sum[m](g[m,j]**2)"),  # the sum of g alone is not known
        ("v[j] = sum[m](g[m,j])\n", "v[j] = z[0,j]\n"),
        ("v[j] = sum[m](g[m,j])\n", "u[n] = sum[k](g[n,k])\nv[j] = u[0] + z[0,j]\n"),
        ("sum[n](x[n,i]*y_bar[n,i])", "sum[n](y[n,i]*y_bar[n,i])"),  # one reader is no product
        ("sum[n](x[n,i]*y_bar[n,i])", "sum[n](y_bar[n,i])"),  # x is not kept
        ("sum[n](y[n,i]*g[n,j])", "sum[n](y[n,i]**2*g[n,j])"),
        ("x[n,i]*c[i] + b[i]", "x[n,i]*c[i] + h[n,i]"),  # a shift for each sample
        ("x[n,i]*c[i] + b[i]", "x[n,i]*c[i]"),
    ],
)
def test_another_factor_is_kept(old, new):
    assert old in NORMALIZED
    own = program(NORMALIZED.replace(old, new), **SIZES)
    assert without_affine_factors(own, FORWARD).equations == own.equations


def test_sums_larger_than_the_factor_are_not_worth_it():
    own = program(NORMALIZED, i=4, j=300)
    assert without_affine_factors(own, FORWARD).equations == own.equations


def test_a_sum_that_comes_later_does_not_count():
    lines = NORMALIZED.strip().split("\n")
    lines[4], lines[5] = lines[5], lines[4]
    own = program("\n".join(lines), **SIZES)
    assert without_affine_factors(own, FORWARD).equations == own.equations


def test_what_depends_on_a_bound_index_stays_in_the_sum():
    own = program(
        "x[n,i] = 2*h[n,i]\ny[n,i] = x[n,i]*c[i] + b[i]\ng[n,i] = 3*y[n,i]\n"
        "v = sum[m,k](g[m,k])\ns = sum[n,i](y[n,i]*g[n,i])\n"
        "c_bar[i] = sum[n](x[n,i]*y_bar[n,i])\nL[i] = c_bar[i] + s + v",
        i=4,
    )
    assert without_affine_factors(own, {"x", "y", "g"}).equations == own.equations
