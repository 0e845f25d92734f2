"""The public functions: what a user of `import derive` may rely on."""

import inspect
import subprocess
import sys
import traceback

import mpmath
import numpy as np
import pytest

import derive

LEAST_SQUARES = "L = sum[n]((y[n] - sum[i](X[n,i]*w[i]))**2)"
LOGISTIC = "z[n] = sum[i](X[n,i]*w[i])\nL = sum[n](log(1 + exp(z[n])) - y[n]*z[n])"


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"y": rng.normal(size=5), "X": rng.normal(size=(5, 3)), "w": rng.normal(size=3)}


def test_value_and_gradient(arrays: dict[str, np.ndarray]) -> None:
    d = derive.differentiate(LEAST_SQUARES, wrt=["w", "X"])
    f = d.compile()
    residual = arrays["y"] - arrays["X"] @ arrays["w"]
    value, gradients = f.value_and_grad(**arrays)
    assert isinstance(value, float)
    assert value == pytest.approx(residual @ residual)
    assert f.value(**arrays) == value
    np.testing.assert_allclose(gradients["w"], -2 * arrays["X"].T @ residual)
    np.testing.assert_allclose(gradients["X"], -2 * np.outer(residual, arrays["w"]))
    assert d.check(**arrays).ok


def test_a_string_is_a_list_of_one() -> None:
    assert derive.differentiate(LEAST_SQUARES, wrt="w").wrt == ("w",)


def test_equations_read_back(arrays: dict[str, np.ndarray]) -> None:
    d = derive.differentiate(LEAST_SQUARES, wrt="w")
    text = "\n".join(map(str, d.equations))
    again = derive.vjp(text, wrt="y").compile()
    np.testing.assert_allclose(
        again.value(**arrays), d.compile().value_and_grad(**arrays)[1]["w"], rtol=1e-14
    )


def test_single_precision_stays_single(arrays: dict[str, np.ndarray]) -> None:
    single = {name: a.astype(np.float32) for name, a in arrays.items()}
    f = derive.differentiate("L = c*" + LEAST_SQUARES[4:], wrt=["w", "c"]).compile()
    _, gradients = f.value_and_grad(**single, c=0.5)
    assert gradients["w"].dtype == np.float32
    assert gradients["c"].shape == ()


def test_inputs_are_not_written_to_and_results_are_fresh(arrays: dict[str, np.ndarray]) -> None:
    f = derive.differentiate("L = sum[i](w[i]*c[i])", wrt=["w", "c"]).compile()
    w, c = arrays["w"], arrays["w"] + 1
    before = w.copy(), c.copy()
    _, gradients = f.value_and_grad(w=w, c=c)
    gradients["w"] += 7
    np.testing.assert_array_equal((w, c), before)
    for a in (w, c):
        a.setflags(write=False)
    f.value_and_grad(w=w, c=c)


def test_any_strides_are_accepted(arrays: dict[str, np.ndarray]) -> None:
    f = derive.differentiate(LEAST_SQUARES, wrt="w").compile()
    strided = arrays | {"X": np.asfortranarray(arrays["X"]), "y": np.repeat(arrays["y"], 2)[::2]}
    np.testing.assert_allclose(
        f.value_and_grad(**strided)[1]["w"], f.value_and_grad(**arrays)[1]["w"]
    )


def test_one_module_serves_every_rank() -> None:
    f = derive.differentiate("L = sum[...,j](z[...,j]**2 * a[j])", wrt=["z", "a"]).compile()
    for shape in [(4,), (3, 4), (2, 3, 4), (0, 4)]:
        z, a = np.arange(np.prod(shape), dtype=float).reshape(shape), np.arange(4.0)
        value, gradients = f.value_and_grad(z=z, a=a)
        assert value == pytest.approx((z**2 * a).sum())
        np.testing.assert_allclose(gradients["z"], 2 * z * a)
        np.testing.assert_allclose(gradients["a"], (z**2).reshape(-1, 4).sum(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"w": np.ones(4)}, "w.*4.*3"),
        ({"w": np.ones((3, 1))}, "w"),
        ({"v": np.ones(3)}, "v"),
        ({"w": None}, "w"),
        ({"X": np.ones((5, 3), complex)}, "X"),
    ],
)
def test_arrays_that_do_not_fit(
    arrays: dict[str, np.ndarray], change: dict[str, object], message: str
) -> None:
    f = derive.differentiate(LEAST_SQUARES, wrt="w").compile()
    given = {name: a for name, a in (arrays | change).items() if a is not None}
    with pytest.raises(ValueError, match=message):
        f.value_and_grad(**given)


def test_vjp_of_a_result_of_any_shape(arrays: dict[str, np.ndarray]) -> None:
    d = derive.vjp("z[n,j] = sum[i](X[n,i]*W[i,j])", wrt=["X", "W"])
    f = d.compile()
    W, g = np.ones((3, 2)), np.arange(10.0).reshape(5, 2)
    found = f.vjp(g, X=arrays["X"], W=W)
    np.testing.assert_allclose(f.value(X=arrays["X"], W=W), arrays["X"] @ W)
    np.testing.assert_allclose(found["X"], g @ W.T)
    np.testing.assert_allclose(found["W"], arrays["X"].T @ g)
    assert d.check(X=arrays["X"], W=W).ok


def test_hessian_of_logistic_regression(arrays: dict[str, np.ndarray]) -> None:
    d = derive.hessian(LOGISTIC, wrt="w")
    X = arrays["X"]
    p = 1 / (1 + np.exp(-X @ arrays["w"]))
    np.testing.assert_allclose(d.compile().hessian(**arrays), X.T @ ((p * (1 - p))[:, None] * X))
    assert d.check(**arrays).ok
    assert sum("np.matmul(" in line for line in d.source().splitlines()) == 2  # z, and one product


def test_hessian_of_a_quadratic_form() -> None:
    A = np.arange(9.0).reshape(3, 3)
    d = derive.hessian("L = sum[i,j](x[i]*A[i,j]*x[j])", wrt="x")
    np.testing.assert_array_equal(d.compile().hessian(x=np.ones(3), A=A), A + A.T)


def test_hessian_of_a_matrix_has_its_axes_twice() -> None:
    d = derive.hessian("L = sum[i,j](W[i,j]**3)", wrt="W")
    W = np.arange(1.0, 7.0).reshape(2, 3)
    H = d.compile().hessian(W=W)
    assert H.shape == (2, 3, 2, 3)
    np.testing.assert_allclose(H.reshape(6, 6), np.diag(6 * W.reshape(-1)))


def test_hessian_vector_product(arrays: dict[str, np.ndarray]) -> None:
    d = derive.hvp(LOGISTIC, wrt="w")
    H = derive.hessian(LOGISTIC, wrt="w").compile().hessian(**arrays)
    v = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(d.compile().hvp(v, **arrays), H @ v)
    assert d.check(**arrays).ok


NAIVE = {
    "log(1 + exp(x[n]))": lambda x: mpmath.log1p(mpmath.exp(x)),
    "1/(1 + exp(-x[n]))": lambda x: 1 / (1 + mpmath.exp(-x)),
    "1 - tanh(x[n])**2": lambda x: mpmath.sech(x) ** 2,
    "exp(x[n])/(1 + exp(x[n]))**2": lambda x: 1 / (2 + 2 * mpmath.cosh(x)),
    "x[n]/(1 + exp(-x[n]))": lambda x: x / (1 + mpmath.exp(-x)),
}


@pytest.mark.parametrize("accuracy", ["exact", "training"])
@pytest.mark.parametrize("formula", NAIVE)
def test_naive_forms_are_right_in_the_tails(formula: str, accuracy: str) -> None:
    x = np.array([0.0, 1e-9, 0.3, -3.0, 20.0, 40.0, -40.0, 800.0, -800.0])
    with mpmath.workdps(800):
        value = [float(NAIVE[formula](mpmath.mpf(v))) for v in x]
        slope = [float(mpmath.diff(NAIVE[formula], mpmath.mpf(v), h="1e-200")) for v in x]
    f = derive.vjp(f"a[n] = {formula}", wrt="x", accuracy=accuracy).compile()
    bound = {"rtol": 2e-15, "atol": 0} if accuracy == "exact" else {"rtol": 1e-15, "atol": 1e-15}
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(f.value(x=x), value, **bound)
        np.testing.assert_allclose(f.vjp(np.ones(9), x=x)["x"], slope, **bound)


@pytest.mark.parametrize("accuracy", ["exact", "training"])
def test_naive_softmax_and_logsumexp(accuracy: str) -> None:
    z = np.array([[0.0, 1.0, -1.0], [40.0, 0.0, 1.0], [800.0, 0.0, 799.0], [-800.0, -801.0, -1e9]])
    softmax = "p[n,j] = exp(z[n,j])/sum[k](exp(z[n,k]))"
    f = derive.vjp(softmax, wrt="z", accuracy=accuracy).compile()
    e = np.exp(z - z.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    g = np.array([[1.0, -2.0, 3.0]] * 4)
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(f.value(z=z), p, rtol=1e-13)
        found = f.vjp(g, z=z)["z"]
        np.testing.assert_allclose(found, p * (g - (g * p).sum(1, keepdims=True)), atol=4e-15)
        h = derive.differentiate("L = sum[n](log(sum[k](exp(z[n,k]))))", "z", accuracy=accuracy)
        value, gradients = h.compile().value_and_grad(z=z)
    assert value == pytest.approx(np.sum(z.max(1) + np.log(e.sum(1))), rel=1e-14)
    np.testing.assert_allclose(gradients["z"], p, rtol=1e-13)


def test_the_loss_of_a_sure_and_right_answer_is_no_zero() -> None:
    """A margin of 50: the loss is exp(-50), which 1 - 1 loses; so is the gradient at the target."""
    f = derive.differentiate("L = mean[n](logsumexp[k](z[n,k]) - z[n,y[n]])", "z").compile()
    value, gradients = f.value_and_grad(z=np.array([[50.0, 0.0]]), y=np.array([0]))
    assert value == pytest.approx(np.exp(-50.0), rel=1e-14)
    np.testing.assert_allclose(gradients["z"], np.exp(-50.0) * np.array([[-1.0, 1.0]]), rtol=1e-14)


def test_results_that_are_no_scalar() -> None:
    with pytest.raises(derive.DeriveError, match=r"derive\.vjp"):
        derive.differentiate("z[n] = x[n]", wrt="x")


def test_wrt_must_stand_in_the_text() -> None:
    with pytest.raises(derive.DeriveError, match="v"):
        derive.differentiate(LEAST_SQUARES, wrt="v")
    assert issubclass(derive.DeriveError, ValueError)


def test_importing_derive_loads_no_sympy() -> None:
    code = "import derive, sys; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_source_is_the_same_under_every_hash_seed() -> None:
    code = (
        "import derive; d = derive.differentiate("
        "'p[n,j] = exp(z[n,j])/sum[k](exp(z[n,k]))\\nL = sum[n,j](p[n,j]*tanh(z[n,j]*w[j])*c[n])', "
        "['z', 'w', 'c']); print(d.source(), d.latex(), *d.steps)"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1


def test_a_size_that_is_given_holds_for_the_arrays() -> None:
    f = derive.differentiate("L = sum[i](x[i])", "x", sizes={"i": 5}).compile()
    assert f.value(x=np.ones(5)) == 5
    with pytest.raises(ValueError, match=r"x: axis 0 \(index i\) has size 3.* 5 from"):
        f.value(x=np.ones(3))


ASSIGNED = "a[i] = x[i]**2\nL = sum[i](a[i]**2)"


def test_derivatives_by_an_assigned_tensor() -> None:
    x = np.arange(3.0, dtype=np.float32)
    d = derive.differentiate(ASSIGNED, wrt=["a", "L", "x"])
    _, grads = d.compile().value_and_grad(x=x)
    np.testing.assert_array_equal(grads["a"], 2 * x**2)
    np.testing.assert_array_equal(grads["x"], 4 * x**3)
    assert grads["L"] == 1 and grads["L"].shape == ()
    assert {g.dtype for g in grads.values()} == {np.dtype(np.float32)}
    back = derive.vjp(ASSIGNED, wrt=["L", "a"]).compile().vjp(3.0, x=x)
    np.testing.assert_array_equal(back["a"], 6 * x**2)
    assert back["L"] == 3
    with pytest.raises(derive.DeriveError, match="a is computed by the formula"):
        d.check(x=x)


def test_second_derivatives_by_an_assigned_tensor_of_any_rank() -> None:
    text = "a[...,i] = x[...,i]**2\nL = sum[...,i](a[...,i]**3)"
    x, v = np.arange(1.0, 7.0).reshape(2, 3), np.arange(6.0).reshape(2, 3)
    H = derive.hessian(text, "a").compile().hessian(x=x)
    assert H.shape == (2, 3, 2, 3)
    np.testing.assert_allclose(H.reshape(6, 6), np.diag(6 * x.reshape(-1) ** 2))
    np.testing.assert_allclose(derive.hvp(text, "a").compile().hvp(v, x=x), 6 * x**2 * v)
    np.testing.assert_allclose(
        derive.differentiate(text, "a").compile().value_and_grad(x=x)[1]["a"], 3 * x**4
    )


def test_a_scalar_result_shares_no_memory() -> None:
    f, x = derive.vjp("y = x", wrt=["x", "y"]).compile(), np.array(2.0)
    for result in (f.value(x=x), *f.vjp(x, x=x).values()):
        assert not np.shares_memory(result, x)
        result += 1
    assert x == 2


def test_leading_axes_may_be_none() -> None:
    f = derive.vjp("y[...] = x[...]**2", wrt="x").compile()
    x = np.array(3.0)
    assert f.value(x=x).shape == () and f.value(x=x) == 9
    assert f.vjp(np.array(1.0), x=x)["x"].shape == () and f.vjp(1.0, x=x)["x"] == 6


OWN = [
    "_read",
    "_like",
    "_given",
    "_check_size",
    "_check_terms",
    "_1",
    "np",
    "math",
    "arrays",
    "value",
    "value_and_grad",
    "float",
    "range",
    "cotangent",
    "direction",
    "dtype",
    "grads",
    "name",
    "names",
    "times",
    "INPUTS",
    "INTEGERS",
    "max",
    "min",
    "len",
    "coefficient",
    "t_1",
    "x_bar",
]


@pytest.mark.parametrize("name", OWN)
def test_a_tensor_may_bear_a_name_of_the_module(name: str) -> None:
    x, w = np.arange(1.0, 4.0), np.arange(2.0, 5.0)
    text = f"L = sum[i](exp(-{name}[i])*w[i]) + max[i]({name}[i]*w[i])"
    arrays = {name: x, "w": w}
    expected = -np.exp(-x) * w + [0, 0, 4]
    _, grads = derive.differentiate(text, [name, "w"]).compile().value_and_grad(**arrays)
    np.testing.assert_allclose(grads[name], expected)
    np.testing.assert_allclose(derive.vjp(text, name).compile().vjp(1.0, **arrays)[name], expected)
    second = np.exp(-x) * w
    np.testing.assert_allclose(derive.hvp(text, name).compile().hvp(x, **arrays), second * x)
    # Assigned, with a derived size; read for a size and a type alone.
    text = f"{name}[p] = v[2*p + 1]*c\nL = sum[p]({name}[p]**2) + mean[j](c)*max[j](u[j])"
    f = derive.vjp(text, ["v", name]).compile()
    v = np.arange(1.0, 7.0)
    grads = f.vjp(1.0, v=v, c=2.0, u=np.ones(3))
    np.testing.assert_array_equal(grads[name], 4 * v[1::2])
    np.testing.assert_array_equal(grads["v"][1::2], 8 * v[1::2])
    assert f.value(v=v, c=2.0, u=np.ones(3)) == 4 * np.sum(v[1::2] ** 2) + 2
    f = derive.differentiate(f"L = sum[i]({name}[i] + c)", [name]).compile()
    np.testing.assert_array_equal(f.value_and_grad(**{name: x, "c": 1})[1][name], np.ones(3))


def test_scalars_of_numpy_widen_as_arrays_do() -> None:
    f = derive.differentiate("L = c*sum[i](x[i])", wrt=["x", "c"]).compile()
    x = np.ones(3, np.float32) / 3
    for c in (2.0, 2, True):
        assert f.value(c=c, x=x) == np.float32(c) * x.sum()
    assert f.value(c=np.float64(1 / 3), x=x) == 1 / 3 * x.astype(float).sum()
    assert f.value_and_grad(c=np.float64(2.0), x=x)[1]["c"].dtype == np.float64


@pytest.mark.parametrize("body", ["x[i]", "c*x[i]**2", "c*(x[i] - c)"])
@pytest.mark.filterwarnings("error")
def test_a_mean_over_nothing_is_0(body: str) -> None:
    f = derive.differentiate(f"L = mean[i]({body}) + sum[i](x[i]*c)", wrt=["x", "c"]).compile()
    value, grads = f.value_and_grad(x=np.zeros(0), c=np.array(2.0))
    assert value == 0
    assert grads["x"].shape == (0,)
    assert grads["c"] == 0


@pytest.mark.parametrize("op", ["max", "min", "logsumexp", "argmax", "argmin"])
def test_an_extremum_over_nothing_is_an_error(op: str) -> None:
    f = derive.vjp(f"y[n] = {op}[i](x[n,i])", wrt="x").compile()
    with pytest.raises(ValueError, match="y: no term is left to reduce"):
        f.value(x=np.zeros((2, 0)))
    assert f.value(x=np.zeros((0, 2))).shape == (0,)


def test_powers_and_products_of_integers_do_not_overflow() -> None:
    i = np.arange(100.0)
    f = derive.differentiate("L = sum[i](x[i]*i**12)", "x").compile()
    value, grads = f.value_and_grad(x=np.ones(100))
    assert value == pytest.approx(np.sum(i**12), rel=1e-14)
    np.testing.assert_allclose(grads["x"], i**12, rtol=1e-14)
    f = derive.vjp("y[i] = k[i]*k[i]*t[k[i] % 3*2]\nz[i] = y[i]*k[i]**7*x", "x").compile()
    k, t = np.array([5, 4, 10**4]), np.arange(5.0)
    np.testing.assert_allclose(f.value(k=k, t=t, x=1.0), k**2.0 * t[k % 3 * 2] * k**7.0, 1e-14)


def test_integers_are_compared_in_integers() -> None:
    f = derive.vjp("y[i] = x[i]*(3*k[i] == 3*m[i]) + (3*k[i]) % 2", "x").compile()
    k, x = np.array([2**24, 2**24, 2**24 + 1]), np.ones(3, np.float32)
    np.testing.assert_array_equal(
        f.value(k=k, m=np.array([2**24, 2**24 + 1, 2**24]), x=x), [1, 0, 1]
    )


def test_an_assigned_index_stays_an_integer() -> None:
    f = derive.vjp("k[n] = 2*t[n]*t[n]\ny[n] = E[k[n]] + k[n]", "E").compile()
    t, E = np.array([0, 1, 2]), np.arange(9.0)
    np.testing.assert_array_equal(f.value(t=t, E=E), E[2 * t * t] + 2 * t * t)


def test_tracebacks_show_the_line_of_the_module() -> None:
    f = derive.differentiate("L = sum[i](x[i])", "x").compile()
    with pytest.raises(ValueError) as caught:
        f.value()
    shown = "".join(traceback.format_exception(caught.value))
    assert 'raise ValueError(f"{name}: {problem}' in shown
    assert inspect.getsource(f.value).startswith("def value(**arrays):")


def test_a_derivation_shows_its_equations() -> None:
    d = derive.differentiate("L = sum[i](x[i]**2)", "x")
    assert repr(d) == str(d) == "L = sum[i](x[i]**2)\nx_bar[i] = 2*x[i]"


@pytest.mark.parametrize(
    ("wrt", "message"),
    [
        ("v", r"wrt: 'v' does not stand in the formula, whose names are .*w.*, L"),
        ("X, w", r"a list of names is expected: wrt=\['X', 'w'\]"),
        ("N", "N is a size"),
        ([], "names nothing"),
        ("", "does not stand"),
        (3, "a name or a list of names, not 3"),
        (["w", 3], "a name or a list of names"),
        (None, "a name or a list of names"),
    ],
)
@pytest.mark.parametrize("kind", ["differentiate", "vjp", "hessian", "hvp"])
def test_wrt_is_a_list_of_names(kind: str, wrt: object, message: str) -> None:
    with pytest.raises(derive.DeriveError, match=message):
        getattr(derive, kind)(LEAST_SQUARES, wrt)
