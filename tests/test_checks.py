"""The gradient check itself: it passes what is right, and notices what is not."""

from dataclasses import replace

import numpy as np
import pytest

import derive
from derive.checks import MOST, Report, compare, contracted, random_cotangent
from derive.language.notation import DeriveError

RNG = np.random.default_rng(1)
N, I, J = 5, 4, 3
ARRAYS = {
    "x": RNG.normal(size=(N, I)),
    "W": RNG.normal(size=(I, J)),
    "b": RNG.normal(size=J),
    "t": RNG.normal(size=(N, J)),
    "c": np.array(1.7),
}


def value(a):
    return float(np.mean((a["c"] * np.tanh(a["x"] @ a["W"] + a["b"]) - a["t"]) ** 2))


def gradient(a):
    y = np.tanh(a["x"] @ a["W"] + a["b"])
    y_bar = 2 * (a["c"] * y - a["t"]) / y.size
    z_bar = y_bar * a["c"] * (1 - y**2)
    return {
        "W": a["x"].T @ z_bar,
        "b": z_bar.sum(axis=0),
        "c": (y_bar * y).sum(),
        "x": z_bar @ a["W"].T,
    }


WRT = ("W", "b", "c", "x")


def test_right_gradients_pass():
    report = compare(value, gradient(ARRAYS), ARRAYS, WRT)
    assert report.ok and report.worst < 1e-9
    assert [row.compared for row in report.rows] == [I * J, J, 1, N * I]


@pytest.mark.parametrize(
    "fault",
    [
        lambda g: {**g, "W": g["W"] * 0.99},
        lambda g: {**g, "W": -g["W"]},
        lambda g: {**g, "b": g["b"] + 1e-6 * np.abs(g["b"]).max()},
        lambda g: {**g, "c": g["c"] * 0},
        lambda g: {**g, "x": np.roll(g["x"], 1, axis=0)},
        lambda g: {**g, "x": np.full((N, I), np.nan)},
        lambda g: {**g, "W": np.where(np.arange(I * J).reshape(I, J) == 7, np.inf, g["W"])},
        lambda g: {**g, "b": g["b"][:, None]},
    ],
)
def test_wrong_gradients_do_not(fault):
    report = compare(value, fault(gradient(ARRAYS)), ARRAYS, WRT)
    assert not report.ok and not report.worst < 1e-7
    assert sum(not row.ok for row in report.rows) == 1


def test_float32_arrays_are_compared_in_float64():
    single = {name: a.astype(np.float32) for name, a in ARRAYS.items()}
    double = {name: a.astype(np.float64) for name, a in single.items()}
    assert compare(value, gradient(double), single, WRT).ok


def test_what_is_missing_is_an_error():
    with pytest.raises(DeriveError, match="no gradient named t"):
        compare(value, gradient(ARRAYS), ARRAYS, ["t"])
    with pytest.raises(DeriveError, match="no array named q"):
        compare(value, gradient(ARRAYS), ARRAYS, ["q"])


def relu_sum(a):
    return float((a["w"] * np.maximum(a["x"], 0)).sum())


@pytest.mark.parametrize("distance", [0.0, 1e-6, 3e-6, 5e-6, 6e-6, 8e-6, 1.2e-5, 1.6e-5, -4e-6])
def test_kinks_are_not_judged(distance):
    x = np.array([1.0, -2.0, distance, 0.5])
    a = {"x": x, "w": np.array([2.0, 3.0, 5.0, -1.0])}
    report = compare(relu_sum, {"x": a["w"] * (x > 0)}, a, ["x"])
    assert report.ok and report.rows[0].kinks <= 1
    # What is wrong elsewhere is still noticed.
    assert not compare(relu_sum, {"x": a["w"] * (x > -3)}, a, ["x"]).ok


def test_a_check_of_nothing_but_kinks_is_no_check():
    a = {"x": np.zeros(3), "w": np.ones(3)}
    report = compare(relu_sum, {"x": np.zeros(3)}, a, ["x"])
    assert not report.ok and "kink at every element" in str(report)


def test_steep_functions_are_not_taken_for_kinks():
    def steep(a):
        return float((1 / a["x"] ** 5).sum())

    x = np.array([0.05, 0.2, 1.0])
    report = compare(steep, {"x": -5 / x**6}, {"x": x}, ["x"])
    assert report.ok and report.rows[0].kinks == 0


def test_rounding_of_a_large_value_is_no_fault():
    def shifted(a):
        return value(a) + 1e6

    assert compare(shifted, gradient(ARRAYS), ARRAYS, WRT).ok


@pytest.mark.filterwarnings("ignore:.*encountered")
def test_a_value_that_is_not_finite_is_a_fault():
    for broken in (np.nan, np.inf):
        report = compare(
            lambda a, b=broken: b * a["x"], {"x": np.ones(())}, {"x": np.ones(())}, "x"
        )
        assert not report.ok and report.worst == np.inf


def test_a_gradient_that_is_zero():
    def constant(a):
        return float((a["w"] ** 2).sum())

    a = {"x": RNG.normal(size=3), "w": RNG.normal(size=3)}
    assert compare(constant, {"x": np.zeros(3)}, a, ["x"]).ok
    assert not compare(constant, {"x": np.full(3, 1e-3)}, a, ["x"]).ok


def test_of_many_elements_some_are_drawn_and_all_are_moved_at_once():
    x = RNG.normal(size=(40, 30))
    w = RNG.normal(size=(40, 30))

    def quadratic(a):
        return float((w * a["x"] ** 2).sum())

    right = 2 * w * x
    report = compare(quadratic, {"x": right}, {"x": x}, ["x"])
    assert report.ok and report.rows[0].compared == MOST + 1
    for flat in range(0, x.size, 97):  # one wrong element, seldom among those drawn
        wrong = right.copy()
        wrong.flat[flat] += 0.01 * np.abs(right).max()
        assert not compare(quadratic, {"x": wrong}, {"x": x}, ["x"]).ok


def test_results_of_any_shape_by_a_random_cotangent():
    softmax = lambda z: np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)  # noqa: E731
    z = RNG.normal(size=(3, 4))
    g = random_cotangent((3, 4))
    p = softmax(z)
    right = p * (g - (g * p).sum(axis=-1, keepdims=True))
    scalar = contracted(lambda a: softmax(a["z"]), g)
    assert compare(scalar, {"z": right}, {"z": z}, ["z"]).ok
    assert not compare(scalar, {"z": p * g}, {"z": z}, ["z"]).ok
    # By all ones the sum of a softmax is constant: anything that vanishes would pass.
    assert len(set(np.abs(g).ravel())) == g.size and (g > 0).any() and (g < 0).any()


def test_the_table_fits_a_terminal():
    arrays = {**ARRAYS, "transformer_block_12.gamma_1": np.ones((3, 2))}
    gradients = {
        **gradient(ARRAYS),
        "b": np.zeros(J),
        "transformer_block_12.gamma_1": np.ones((3, 2)),
    }
    report = compare(value, gradients, arrays, [*WRT, "transformer_block_12.gamma_1"])
    shown = str(report).splitlines()
    assert all(len(line) <= 80 for line in shown)
    assert len(shown) == 1 + 5 + 2
    assert "]: 0, but differences give" in str(report)
    assert Report(()).ok and Report(()).worst == 0


STOPPED = [
    "L = sum[i](x[i]**2*stop_gradient(sin(x[i])))",
    "h[i] = x[i]**2\nL = sum[i](h[i]*stop_gradient(h[i]*x[i]))",
    "h[-1] = 0\nh[t] = tanh(h[t-1]*stop_gradient(h[t-1]) + x[t])\nL = sum[t](h[t]**2)",
    "L = sum[i](stop_gradient(x[i])*sum[k](x[k]*x[i]**2))",
]


@pytest.mark.parametrize("text", STOPPED)
@pytest.mark.parametrize("kind", ["differentiate", "vjp", "jacobian", "hessian", "hvp"])
def test_what_stop_gradient_holds_is_not_moved(kind, text):
    x = np.random.default_rng(0).normal(size=5)
    derivation = getattr(derive, kind)(text, "x")
    report = derivation.check(x=x)
    assert report.ok, report
    assert report.rows[0].compared == 5


def test_beside_what_is_held_a_wrong_gradient_is_found():
    x = np.random.default_rng(0).normal(size=5)
    held = derive.differentiate("L = sum[i](x[i]**2*stop_gradient(x[i]))", "x")
    free = derive.differentiate("L = sum[i](x[i]**2*x[i])", "x")
    wrong = replace(held, gradients=replace(free.gradients, forward=held.gradients.forward))
    assert not wrong.check(x=x).ok


def test_arrays_that_are_missing_beside_what_is_held():
    held = derive.differentiate("L = sum[i](x[i]*stop_gradient(u[i]))", "x")
    with pytest.raises(ValueError, match="u: this array is missing"):
        held.check(x=np.ones(3))
