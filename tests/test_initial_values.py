"""Initializers of whole matrices: orthogonal ones, and those of users."""

import numpy as np
import pytest
from networks import compiled, source

from derive.library.toml_positions import SpecError

LAYERS = """
[define.layer.linear]
input = "x[n,i]"
sizes = { j = "units" }
parameters.W = { indices = "i,j", init = "orthogonal" }
forward = "z[n,j] = sum[i](x[n,i]*W[i,j])"

[define.layer.stretched]
input = "x[n,i]"
sizes = { j = "units" }
parameters.W = { indices = "i,j", init = { type = "orthogonal", gain = 3 } }
forward = "z[n,j] = sum[i](x[n,i]*W[i,j])"

[define.layer.convolved]
input = "x[n,h,c]"
sizes = { k = "3", f = "filters" }
parameters.V = { indices = "k,c,f", init = "orthogonal" }
forward = "z[n,h,f] = sum[k,c](x[n,h+k-1,c]*V[k,c,f])"
"""


def module(*layers, shape=(7,), dtype="float64", define=LAYERS):
    tables = "".join(
        "[[layers]]\n" + "".join(f"{k} = {v!r}\n" for k, v in layer.items()) for layer in layers
    )
    return compiled(
        f'name = "net"\ndtype = "{dtype}"\n[input]\nshape = {list(shape)}\n{tables}'
        f'[loss]\ntype = "mse"\n{define}'
    )


def linear(units):
    return {"type": "linear", "units": units}


@pytest.mark.parametrize("columns", [1, 3, 7, 8, 20])
def test_rows_or_columns_are_orthonormal(columns):
    """Of a tall, a square and a wide matrix."""
    w = module(linear(columns)).init(0)["linear_1.W"]
    assert w.shape == (7, columns)
    product = w.T @ w if columns <= 7 else w @ w.T
    np.testing.assert_allclose(product, np.eye(min(columns, 7)), rtol=0, atol=1e-14)


def test_the_axes_before_the_last_are_the_rows():
    net = module({"type": "convolved", "filters": 5}, shape=(6, 4))
    v = net.init(0)["convolved_1.V"]
    assert v.shape == (3, 4, 5)
    np.testing.assert_allclose(np.tensordot(v, v, ([0, 1], [0, 1])), np.eye(5), rtol=0, atol=1e-14)


def test_a_gain_stretches_it():
    w = module({"type": "stretched", "units": 7}).init(0)["stretched_1.W"]
    np.testing.assert_allclose(w.T @ w, 9 * np.eye(7), rtol=0, atol=1e-13)


def test_float32_is_rounded_at_the_end():
    single = module(linear(5), dtype="float32").init(3)["linear_1.W"]
    double = module(linear(5)).init(3)["linear_1.W"]
    assert single.dtype == np.float32
    assert np.array_equal(single, double.astype(np.float32))


def test_the_seed_decides():
    net = module(linear(5))
    first, again, other = (net.init(seed)["linear_1.W"] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


@pytest.mark.parametrize(("rows", "columns"), [(6, 4), (5, 5), (4, 6)])
def test_it_is_built_of_normal_draws(rows, columns):
    """The first column (row) is the first draw's direction: uniform on the sphere."""
    e = np.random.default_rng(0).normal(size=(rows, columns))
    w = module(linear(columns), shape=(rows,)).initial_orthogonal(rows, columns, e)
    if rows < columns:
        e, w = e.T, w.T
    np.testing.assert_allclose(w[:, 0], e[:, 0] / np.linalg.norm(e[:, 0]), rtol=1e-13)


def test_it_is_uniform_among_orthogonal_matrices():
    """By moments of the uniform (Haar) distribution, and either sign of the determinant."""
    f = module(linear(3), shape=(3,)).initial_orthogonal
    rng = np.random.default_rng(0)
    w = np.array([f(3, 3, rng.normal(size=(3, 3))) for _ in range(4000)])
    trace, right = np.trace(w, axis1=1, axis2=2), np.linalg.det(w) > 0
    assert np.abs(w.mean(0)).max() < 0.05
    assert (w**2).mean(0) == pytest.approx(1 / 3, abs=0.03)
    assert (w**4).mean(0) == pytest.approx(3 / 15, abs=0.03)
    assert (trace**2).mean() == pytest.approx(1, abs=0.1)
    assert right.mean() == pytest.approx(0.5, abs=0.05)


def test_layers_of_one_kind_share_a_function():
    three = 3 * "[[layers]]\ntype = 'linear'\nunits = 4\n"
    text = f"""
name = "net"
[input]
shape = [4]
{three}
[[layers]]
type = "stretched"
units = 4
[[layers]]
type = "linear"
units = 9
[loss]
type = "mse"
{LAYERS}
"""
    made = source(text)
    assert made.count("def initial_orthogonal") == 3  # with a gain, and of a wide matrix


def test_a_vector_is_no_matrix():
    define = """
[define.layer.scaled]
input = "x[n,i]"
parameters.a = { indices = "i", init = "orthogonal" }
forward = "z[n,i] = x[n,i]*a[i]"
"""
    with pytest.raises(SpecError, match=r"orthogonal initializes matrices, but .*\.a has .*\(7,\)"):
        module({"type": "scaled"}, define=define)


OWN = """
[define.layer.own]
input = "x[n,i]"
sizes = { j = "units" }
parameters.W = { indices = "i,j", init = "mine" }
forward = "z[n,j] = sum[i](x[n,i]*W[i,j])"
[define.initializer.mine]
"""


def own(columns, formula):
    return module({"type": "own", "units": columns}, define=OWN + formula).init(0)["own_1.W"]


def test_a_matrix_without_draws():
    assert np.array_equal(own(9, "formula = 'w[i,j] = (i == j)'"), np.eye(7, 9))


def test_a_matrix_of_uniform_draws_and_fans():
    formula = "formula = 'w[a,b] = (u[a,b] - sum[c](u[c,b])/A) / sqrt(fan_in)'"
    w = own(9, formula)
    u = np.random.default_rng(0).random((7, 9))
    np.testing.assert_allclose(w, (u - u.mean(0)) / np.sqrt(7), rtol=1e-12, atol=1e-15)


def test_the_first_case_that_the_shape_fits():
    cases = """
cases = [
    { when = "J > 8", formula = "w[i,j] = 1" },
    { when = "I == J", formula = "w[i,j] = 2" },
    { formula = "w[...] = 3" },
]
"""
    assert {n: own(n, cases)[0, 0] for n in (6, 7, 9)} == {6: 3, 7: 2, 9: 1}


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("formula = 'w[i,j] = e[j,i]'", r"mine initializes square matrices, but own_1.W has"),
        ("cases = [{ when = 'J > 9', formula = 'w[i,j] = 1' }]", "mine has no case for own_1.W"),
        ("cases = [{ when = 'K > 9', formula = 'w[i,j] = 1' }]", "nothing says what K is"),
        ("formula = 'w[i,j] = e[i]'", r"e"),
        ("formula = 'w[i,j,k] = e[i,j,k]'", r"e"),
    ],
)
def test_what_is_refused(formula, message):
    with pytest.raises(SpecError, match=message):
        own(9, formula)
