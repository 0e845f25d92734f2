"""The module of a formula: what it gives, of which type, and what it says to wrong input."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import derive

DENSE = "z[...,j] = sum[i](x[...,i]*W[i,j]) + b[j]\nL = mean[...,j](z[...,j]**2)"
random = np.random.default_rng(0)


@pytest.fixture(scope="module")
def dense():
    return derive.differentiate(DENSE, wrt=["x", "W", "b"]).compile()


@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (2, 1, 3)])
def test_one_module_serves_every_rank(dense, leading):
    x, W, b = random.normal(size=(*leading, 4)), random.normal(size=(4, 5)), random.normal(size=5)
    value, grads = dense.value_and_grad(x=x, W=W, b=b)
    z = x @ W + b
    z_bar = 2 * z / z.size
    assert type(value) is float
    assert_allclose(value, (z**2).mean())
    assert_allclose(grads["x"], z_bar @ W.T)
    assert_allclose(grads["W"], x.reshape(-1, 4).T @ z_bar.reshape(-1, 5))
    assert_allclose(grads["b"], z_bar.reshape(-1, 5).sum(0))
    assert grads["x"].shape == x.shape


def test_keeps_the_type(dense):
    arrays = {"x": np.ones((2, 4)), "W": np.ones((4, 5)), "b": np.ones(5)}
    narrow = {name: a.astype(np.float32) for name, a in arrays.items()}
    grads = dense.value_and_grad(**narrow)[1]
    assert {g.dtype for g in grads.values()} == {np.dtype(np.float32)}
    mixed = dense.value_and_grad(**{**arrays, "W": narrow["W"]})[1]
    assert (mixed["W"].dtype, mixed["x"].dtype) == (np.float32, np.float64)
    whole = dense.value_and_grad(**{**arrays, "x": np.ones((2, 4), int)})[1]
    assert whole["x"].dtype == np.float64


def test_python_scalars_do_not_widen():
    f = derive.differentiate("L = c*sum[i](x[i]**2)/2", wrt=["c", "x"]).compile()
    value, grads = f.value_and_grad(c=2.0, x=np.ones(3, np.float32))
    assert value == 3
    assert grads["x"].dtype == np.float32
    assert isinstance(grads["c"], np.ndarray) and grads["c"].shape == ()


def test_inputs_of_any_strides_are_left_alone(dense):
    x = random.normal(size=(6, 8))[::2, ::-2]
    W, b = random.normal(size=(5, 4)).T, random.normal(size=10)[::2]
    x.flags.writeable = W.flags.writeable = b.flags.writeable = False
    _, grads = dense.value_and_grad(x=x, W=W, b=b)
    z_bar = 2 * (x @ W + b) / 15
    assert_allclose(grads["W"], x.T @ z_bar)
    assert not any(np.shares_memory(g, a) for g in grads.values() for a in (x, W, b))


def test_vjp_of_any_shape():
    f = derive.vjp("y[n,j] = tanh(sum[i](x[n,i]*W[i,j]))", wrt=["W", "x"]).compile()
    x, W, c = random.normal(size=(3, 4)), random.normal(size=(4, 5)), random.normal(size=(3, 5))
    y = np.tanh(x @ W)
    assert_allclose(f.value(x=x, W=W), y)
    grads = f.vjp(c, x=x, W=W)
    assert_allclose(grads["W"], x.T @ (c * (1 - y**2)))
    assert_allclose(grads["x"], (c * (1 - y**2)) @ W.T)
    with pytest.raises(ValueError, match=r"cotangent: expected shape \(3, 5\), given \(5, 3\)"):
        f.vjp(c.T, x=x, W=W)


def test_vjp_with_leading_axes():
    f = derive.vjp("y[...] = x[...]*c", wrt=["x", "c"]).compile()
    x, c = random.normal(size=(2, 3)), random.normal(size=(2, 3))
    assert f.value(x=x, c=2.0).shape == (2, 3)
    grads = f.vjp(c, x=x, c=2.0)
    assert_allclose(grads["x"], 2 * c)
    assert_allclose(grads["c"], (x * c).sum())


def test_hessian_and_its_products():
    text = "L = sum[n](log(1 + exp(-y[n]*sum[i](x[n,i]*w[i]))))"
    x, w, v = random.normal(size=(6, 3)), random.normal(size=3), random.normal(size=3)
    y = np.sign(random.normal(size=6))
    p = 1 / (1 + np.exp(-y * (x @ w)))
    exact = (x.T * (p * (1 - p))) @ x
    assert_allclose(derive.hessian(text, wrt="w").compile().hessian(x=x, y=y, w=w), exact, 1e-12)
    assert_allclose(derive.hvp(text, wrt="w").compile().hvp(v, x=x, y=y, w=w), exact @ v, 1e-12)


def test_results_are_fresh():
    f = derive.vjp("y[i] = x[i]\nz[i] = y[i]", wrt="x").compile()
    x = np.ones(3)
    assert not np.shares_memory(f.value(x=x), x)
    assert not np.shares_memory(f.vjp(x, x=x)["x"], x)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.ones((2, 4)), "W": np.ones((4, 5))}, "b: this array is missing"),
        (
            {"x": np.ones((2, 4)), "W": np.ones((4, 5)), "b": np.ones(5), "c": 1},
            "c: no such array; needed are",
        ),
        (
            {"x": np.ones((2, 4)), "W": np.ones((3, 5)), "b": np.ones(5)},
            r"x: axis 1 \(index i\) has size 4, but i has size 3 from W",
        ),
        ({"x": np.ones((2, 4)), "W": np.ones(4), "b": np.ones(5)}, "W: expected axes"),
        ({"x": np.ones(4) * 1j, "W": np.ones((4, 5)), "b": np.ones(5)}, "x: real numbers"),
    ],
)
def test_says_what_does_not_fit(dense, arrays, message):
    with pytest.raises(ValueError, match=message):
        dense.value(**arrays)


@pytest.mark.parametrize("ids", [[0, 3], [-1, 0], [0.5, 1]])
def test_ids_must_be_in_the_table(ids):
    f = derive.differentiate("L = sum[n,d](E[t[n],d]**2)", wrt="E").compile()
    with pytest.raises(ValueError, match=r"ids must lie in 0..2|integers are needed"):
        f.value(E=np.ones((3, 2)), t=ids)


def test_an_access_that_leaves_its_tensor_is_an_error():
    f = derive.differentiate("y[f] = x[2*f+1]*c[f]\nL = sum[f](y[f])", wrt="x").compile()
    f.value(x=np.ones(6), c=np.ones(3))
    with pytest.raises(ValueError, match="of an axis of size 5"):
        f.value(x=np.ones(5), c=np.ones(3))


def test_source_is_tidy_and_needs_numpy_alone():
    source = derive.differentiate(DENSE, wrt=["W", "b"]).source()
    assert source == derive.differentiate(DENSE, wrt=["W", "b"]).source()
    assert all(len(line) <= 99 and line == line.rstrip() for line in source.split("\n"))
    imports = [line for line in source.split("\n") if line.startswith(("import", "from"))]
    assert imports == ["import math", "import numpy as np"]
