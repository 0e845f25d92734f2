"""Normalization arrives at the compact form, however it is written, with the right values."""

import numpy as np
import pytest

import derive
from derive import pipeline

MEAN = "mu[n] = mean[d](x[n,d])"
VARIANCE = "v[n] = mean[d]((x[n,d] - mu[n])**2)"
SUM = "mu[n] = sum[d](x[n,d])/D\nv[n] = sum[d]((x[n,d] - mu[n])**2)/D"
HAT = "x_hat[n,d] = (x[n,d] - mu[n])/sqrt(v[n] + eps)"
NAMED = "sd[n] = sqrt(v[n] + eps)\nx_hat[n,d] = (x[n,d] - mu[n])/sd[n]"
AFFINE = "y[n,d] = gamma[d]*x_hat[n,d] + beta[d]"
INLINE = "(x[n,d] - mean[k](x[n,k]))"


def compact(sd, h="x_hat_bar", hat="x_hat", axes="n,d", other="n,d_1", bound="d_1", op="mean"):
    """`(h - mean(h) - x_hat*mean(h*x_hat))/sd`, as it is printed."""
    first, second = (
        f"{op}[{bound}]({t})" for t in (f"{h}[{other}]", f"{hat}[{other}]*{h}[{other}]")
    )
    return f"x_bar[{axes}] = ({h}[{axes}] - {first} - {second}*{hat}[{axes}])/{sd}"


PLAIN, ROOT = compact("sqrt(eps + v[n])"), compact("sd[n]")
FORMULAS = {
    "layer": (f"{MEAN}\n{VARIANCE}\n{HAT}\n{AFFINE}", PLAIN),
    "the deviation is named": (f"{MEAN}\n{VARIANCE}\n{NAMED}\n{AFFINE}", ROOT),
    "sums over D": (f"{SUM}\n{HAT}\n{AFFINE}", PLAIN),
    "sums over D, named": (f"{SUM}\n{NAMED}\n{AFFINE}", ROOT),
    "variance by squares": (
        f"{MEAN}\nv[n] = mean[d](x[n,d]**2) - mu[n]**2\n{HAT}\n{AFFINE}",
        PLAIN,
    ),
    "variance in one line": (
        f"v[n] = mean[d]({INLINE}**2)\nx_hat[n,d] = {INLINE}/sqrt(v[n] + eps)\n{AFFINE}",
        PLAIN,
    ),
    "no quotient is named": (
        f"{MEAN}\n{VARIANCE}\ny[n,d] = gamma[d]*(x[n,d] - mu[n])/sqrt(v[n] + eps) + beta[d]",
        "x_bar[n,d] = (mean[d_1](gamma[d_1]*(x[n,d_1] - mu[n])*y_bar[n,d_1])*(mu[n] - x[n,d])"
        "/(eps + v[n]) + y_bar[n,d]*gamma[d] - mean[d_1](gamma[d_1]*y_bar[n,d_1]))"
        "/sqrt(eps + v[n])",
    ),
    "leading axes": (
        "\n".join([MEAN, VARIANCE, HAT, AFFINE]).replace("[n", "[..."),
        PLAIN.replace("n,d", "...,d").replace("v[n]", "v[...]"),
    ),
    "rms": (
        "r[n] = sqrt(mean[d](x[n,d]**2) + eps)\nx_hat[n,d] = x[n,d]/r[n]\n"
        "y[n,d] = gamma[d]*x_hat[n,d]",
        "x_bar[n,d] = (x_hat_bar[n,d] - mean[d_1](x_hat[n,d_1]*x_hat_bar[n,d_1])*x_hat[n,d])/r[n]",
    ),
    "rms, its root inline": (
        "x_hat[n,d] = x[n,d]/sqrt(mean[k](x[n,k]**2) + eps)\ny[n,d] = gamma[d]*x_hat[n,d]",
        "x_bar[n,d] = (x_hat_bar[n,d] - mean[d_1](x_hat[n,d_1]*x_hat_bar[n,d_1])*x_hat[n,d])"
        "/sqrt(eps + m[n])",
    ),
    "length": (
        "r[n] = sqrt(sum[d](x[n,d]**2))\ny[n,d] = x[n,d]/r[n]",
        "x_bar[n,d] = (y_bar[n,d] - sum[d_1](y[n,d_1]*y_bar[n,d_1])*y[n,d])/r[n]",
    ),
    "length, inline": (
        "y[n,d] = x[n,d]/sqrt(sum[k](x[n,k]**2))",
        "x_bar[n,d] = (y_bar[n,d] - sum[d_1](y[n,d_1]*y_bar[n,d_1])*y[n,d])/sqrt(s[n])",
    ),
    "batch": (
        "mu[c] = mean[...](x[...,c])\nv[c] = mean[...]((x[...,c] - mu[c])**2)\n"
        "x_hat[...,c] = (x[...,c] - mu[c])/sqrt(v[c] + eps)\n"
        "y[...,c] = gamma[c]*x_hat[...,c] + beta[c]",
        "x_bar[...,c] = (x_hat_bar[...,c] - mean[...](x_hat_bar[...,c])"
        " - x_hat[...,c]*mean[...](x_hat[...,c]*x_hat_bar[...,c]))/sqrt(eps + v[c])",
    ),
    "instance": (
        "mu[n,c] = mean[h,w](x[n,h,w,c])\nv[n,c] = mean[h,w]((x[n,h,w,c] - mu[n,c])**2)\n"
        "y[n,h,w,c] = (x[n,h,w,c] - mu[n,c])/sqrt(v[n,c] + eps)",
        compact("sqrt(eps + v[n,c])", "y_bar", "y", "n,h,w,c", "n,h_1,w_1,c", "h_1,w_1"),
    ),
    "group": (
        "mu[n,g] = mean[h,r](x[n,h,g,r])\nv[n,g] = mean[h,r]((x[n,h,g,r] - mu[n,g])**2)\n"
        "x_hat[n,h,g,r] = (x[n,h,g,r] - mu[n,g])/sqrt(v[n,g] + eps)\n"
        "y[n,h,g,r] = gamma[g,r]*x_hat[n,h,g,r] + beta[g,r]",
        compact("sqrt(eps + v[n,g])", axes="n,h,g,r", other="n,h_1,g,r_1", bound="h_1,r_1"),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_it_arrives_at_the_compact_form(name):
    text, wanted = FORMULAS[name]
    assert wanted in [str(e) for e in pipeline.vjp(text, "x").equations]


def arrays(text):
    rng = np.random.default_rng(0)
    four = "h" in text.split("x[")[1][:6]
    shape = (2, 3, 2, 4) if four else (3, 5)
    weights = (2, 4) if "gamma[g" in text else shape[-1:]
    known = {"x": rng.normal(size=shape), "eps": 0.125}
    known |= {name: rng.normal(size=weights) for name in ("gamma", "beta")}
    return {name: a for name, a in known.items() if name in text}


@pytest.mark.parametrize("accuracy", ["exact", "training"])
@pytest.mark.parametrize("name", FORMULAS)
def test_values_agree_with_differences(name, accuracy):
    text, _ = FORMULAS[name]
    given = arrays(text)
    wrt = [n for n in ("x", "gamma", "beta") if n in given]
    report = derive.vjp(text, wrt, accuracy=accuracy).check(**given)
    assert report.ok, str(report)


def test_sizes_that_are_numbers():
    text, wanted = FORMULAS["layer"]
    d = pipeline.vjp(text, "x", sizes={"d": 5})
    assert wanted in map(str, d.equations)


def test_the_second_derivative():
    text = FORMULAS["rms"][0] + "\nL = sum[n,d](y[n,d]**3)"
    given = arrays(text)
    f = derive.hvp(text, "x").compile()
    direction = np.random.default_rng(1).normal(size=(3, 5))
    gradient = derive.differentiate(text, "x").compile().value_and_grad
    h = 1e-6
    up, down = (gradient(**{**given, "x": given["x"] + s * h * direction})[1]["x"] for s in (1, -1))
    np.testing.assert_allclose(
        f.hvp(direction, **given), (up - down) / (2 * h), rtol=1e-5, atol=1e-6
    )


def test_the_direction_of_nothing_is_nothing():
    f = derive.vjp("y[n,d] = x[n,d]/sqrt(sum[k](x[n,k]**2))", "x").compile()
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_array_equal(f.value(x=x), [[0.6, 0.8], [0, 0]])


def test_a_residual_stays_beside_the_fraction():
    text = (
        f"{MEAN}\nsd[n] = sqrt(mean[d]((x[n,d] - mu[n])**2) + eps)\n"
        "x_hat[n,d] = (x[n,d] - mu[n])/sd[n]\ny[n,d] = x[n,d] + gamma[d]*x_hat[n,d]"
    )
    wanted = compact("sd[n]") + " + y_bar[n,d]"
    assert wanted in [str(e) for e in pipeline.vjp(text, "x").equations]
