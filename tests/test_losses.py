"""Losses: the textbook form of the gradient, and values where others give nan.

The values wanted are computed here by hand in plain NumPy; gradients by central differences, and at
kinks and extremes by what is stated.
"""

import warnings

import mpmath
import numpy as np
import pytest

import derive
from derive import pipeline

SOFTMAX = "p[...,j] = exp(z[...,j])/sum[k](exp(z[...,k]))\n"
DIFFERENCE = "a[n,d] = z[n,0,d] - z[n,1,d]\n"
LOSSES = {
    "log_cosh": "L = mean[...](log(cosh(z[...] - y[...])))",
    "kl": "L = mean[...](sum[k](where(y[...,k] > 0, y[...,k]*(log(y[...,k]) - z[...,k]), 0)))",
    "focal": SOFTMAX + "L = -mean[...]((1 - p[...,y[...]])**2*log(p[...,y[...]]))",
    "hinge": "L = mean[n](mean[k](where(k == y[n], 0, maximum(0, 1 - z[n,y[n]] + z[n,k]))))",
    "cosine": (
        "r[...] = sqrt(sum[d](z[...,d]**2))\nq[...] = sqrt(sum[d](y[...,d]**2))\n"
        "L = mean[...](1 - sum[d](z[...,d]*y[...,d])"
        "/(maximum(r[...], 0.00000001)*maximum(q[...], 0.00000001)))"
    ),
    "triplet": (
        DIFFERENCE + "b[n,d] = z[n,0,d] - z[n,2,d]\nr[n] = sqrt(sum[d](a[n,d]**2))\n"
        "q[n] = sqrt(sum[d](b[n,d]**2))\nL = mean[n](maximum(0, r[n] - q[n] + 1))"
    ),
    "contrastive": (
        DIFFERENCE + "r[n] = sqrt(sum[d](a[n,d]**2))\n"
        "L = mean[n](y[n]*r[n]**2 + (1 - y[n])*maximum(0, 1 - r[n])**2)"
    ),
    "smoothed": (
        "L = mean[...](logsumexp[k](z[...,k]) - 0.9*z[...,y[...]] - 0.1*mean[k](z[...,k]))"
    ),
    "class weights": ("L = sum[n](w[y[n]]*(logsumexp[k](z[n,k]) - z[n,y[n]]))/sum[n](w[y[n]])"),
    "ignored": (
        "c[n] = where(y[n] != -100, 1, 0)\n"
        "L = sum[n](c[n]*(logsumexp[k](z[n,k]) - z[n,y[n] % K]))/sum[n](c[n])"
    ),
    "ignored by a condition": (
        "L = sum[n](where(y[n] != -100, logsumexp[k](z[n,k]) - z[n,y[n] % K], 0))"
        "/sum[n](where(y[n] != -100, 1, 0))"
    ),
}
SHARES = np.array([[0.5, 0.0, 0.25, 0.25], [0.0, 0.0, 1.0, 0.0], [0.1, 0.2, 0.3, 0.4]])
CLASSES = np.array([2, 0, 3])


def arrays(name):
    rng = np.random.default_rng(0)
    shape = {"triplet": (5, 3, 2), "contrastive": (5, 2, 2)}.get(name, (3, 4))
    given = {"z": rng.normal(size=shape), "y": CLASSES, "w": rng.uniform(0.5, 2, 4)}
    given["y"] = {
        "log_cosh": rng.normal(size=shape),
        "cosine": rng.normal(size=shape),
        "kl": SHARES,
        "contrastive": np.array([1.0, 0, 1, 0, 0]),
        "ignored": np.array([2, -100, 3]),
        "ignored by a condition": np.array([2, -100, 3]),
    }.get(name, CLASSES)
    if name == "contrastive":
        given["z"] *= 0.3
    return {k: a for k, a in given.items() if f"{k}[" in LOSSES[name]}


def compiled(name, accuracy):
    return derive.differentiate(LOSSES[name], "z", accuracy=accuracy).compile()


def quietly(f, **given):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, gradients = f.value_and_grad(**given)
    return value, gradients["z"]


@pytest.mark.parametrize("accuracy", ["exact", "training"])
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_agree_with_differences(name, accuracy):
    report = derive.differentiate(LOSSES[name], "z", accuracy=accuracy).check(**arrays(name))
    assert report.ok, str(report)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_agree_with_torch(name):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    given = arrays(name)
    z = torch.tensor(given["z"], requires_grad=True)
    y = torch.tensor(given["y"]) if "y" in given else None
    lengths = [(z[:, 0] - z[:, k]).norm(dim=-1) for k in range(1, z.shape[1])]
    log_p = torch.log_softmax(z, -1)
    loss = {
        "log_cosh": lambda: torch.log(torch.cosh(z - y)).mean(),
        "kl": lambda: F.kl_div(z, y, reduction="batchmean"),
        "focal": lambda: F.nll_loss((1 - log_p.exp()) ** 2 * log_p, y),
        "hinge": lambda: F.multi_margin_loss(z, y),
        "cosine": lambda: (1 - F.cosine_similarity(z, y, -1)).mean(),
        "triplet": lambda: F.relu(lengths[0] - lengths[1] + 1).mean(),
        "contrastive": lambda: (y * lengths[0] ** 2 + (1 - y) * F.relu(1 - lengths[0]) ** 2).mean(),
        "smoothed": lambda: F.cross_entropy(z, y, label_smoothing=0.1),
        "class weights": lambda: F.cross_entropy(z, y, weight=torch.tensor(given["w"])),
        "ignored": lambda: F.cross_entropy(z, y, ignore_index=-100),
        "ignored by a condition": lambda: F.cross_entropy(z, y, ignore_index=-100),
    }[name]()
    loss.backward()
    for accuracy in ("exact", "training"):
        value, gradient = quietly(compiled(name, accuracy), **given)
        assert abs(value - loss.item()) <= 1e-12 * abs(loss.item())
        np.testing.assert_allclose(gradient, z.grad.numpy(), rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("log_cosh", "z_bar[...] = tanh(z[...] - y[...])/sum[...](1)"),
        ("focal", "z_bar[...,j] = l_bar[...]*(p[...,j] - (j == y[...]))"),
        ("class weights", "z_bar[n,k] = l_bar[n]*(p[n,k] - (k == y[n]))"),
        ("ignored", "z_bar[n,k] = l_bar[n]*(p[n,k] - (k == (y[n] % K)))"),
        ("ignored by a condition", "z_bar[n,k] = l_bar[n]*(p[n,k] - (k == (y[n] % K)))"),
        ("triplet", "a_bar[n,d] = a[n,d]*r_bar[n]/r[n]"),
        ("contrastive", "a_bar[n,d] = a[n,d]*r_bar[n]/r[n]"),
    ],
)
def test_textbook_forms(name, line):
    lines = [str(e) for e in pipeline.differentiate(LOSSES[name], "z").equations]
    assert line in lines, "\n".join(lines)


@pytest.mark.parametrize("accuracy", ["exact", "training"])
@pytest.mark.parametrize("name", ["focal", "smoothed", "class weights", "ignored"])
def test_large_logits(name, accuracy):
    given = arrays(name)
    given["z"] = 1e4 * np.array([[1, -1, 0.5, 0], [-1, 1, 1, 1], [0, 0, 0, 1.0]])
    value, gradient = quietly(compiled(name, accuracy), **given)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_focal_keeps_its_digits_where_the_class_is_sure():
    z = np.array([[30.0, 0.0, -3.0, 1.0], [0.0, 25.0, 1.0, 2.0], [0.0, 3.0, -40.0, 1.0]])
    y = np.array([0, 1, 2])
    value, gradient = quietly(compiled("focal", "exact"), z=z, y=y)
    with mpmath.workdps(60):
        total, wanted = mpmath.mpf(0), []
        for row, k in zip(z, y, strict=True):
            e = [mpmath.exp(a) for a in row]
            p = [a / mpmath.fsum(e) for a in e]
            q, a = 1 - p[k], mpmath.log(p[k])
            total -= q**2 * a / 3
            slope = (2 * q * p[k] * a - q**2) / 3
            wanted += [slope * ((j == k) - p[j]) for j in range(4)]
        assert abs(value - total) <= 1e-15 * total
        for got, exact in zip(gradient.flat, wanted, strict=True):
            assert abs(got - exact) <= 3e-15 * abs(exact)


def test_shares_of_0_count_nothing():
    z = np.log(np.full((3, 4), 0.25))
    value, gradient = quietly(compiled("kl", "exact"), z=z, y=SHARES)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(SHARES > 0, SHARES * (np.log(SHARES) - z), 0)
    assert abs(value - terms.sum() / 3) <= 1e-15
    np.testing.assert_allclose(gradient, -SHARES / 3, rtol=1e-15)


@pytest.mark.parametrize("accuracy", ["exact", "training"])
def test_a_distance_of_0_passes_nothing_on(accuracy):
    z = np.array([[[1.0, 2], [1, 2], [3, 4]], [[0.0, 0], [0, 1], [0, 0]], np.ones((3, 2))])
    _, gradient = quietly(compiled("triplet", accuracy), z=z)
    away, up = np.array([2.0, 2]) / np.sqrt(8), np.array([0.0, 1])
    wanted = np.zeros_like(z)
    wanted[0, 0], wanted[0, 2] = away / 3, -away / 3  # towards the third
    wanted[0] = 0 if 1 - np.sqrt(8) < 0 else wanted[0]
    wanted[1, 0], wanted[1, 1] = -up / 3, up / 3
    np.testing.assert_allclose(gradient, wanted, atol=1e-16)
    y = np.array([0.0, 1.0, 0.0])
    _, gradient = quietly(compiled("contrastive", accuracy), z=z[:, [0, 0]], y=y)
    assert (gradient == 0).all()


@pytest.mark.parametrize("accuracy", ["exact", "training"])
def test_vectors_of_0_have_a_cosine_of_0(accuracy):
    given = arrays("cosine")
    given["z"][1] = 0
    value, gradient = quietly(compiled("cosine", accuracy), **given)
    assert np.isfinite(gradient).all()
    direction = given["y"][1] / np.linalg.norm(given["y"][1])
    np.testing.assert_allclose(gradient[1], -direction / 1e-8 / 3, rtol=1e-14)
    given["y"][2] = 0
    value, gradient = quietly(compiled("cosine", accuracy), **given)
    np.testing.assert_array_equal(gradient[2], 0)
    assert np.isfinite(value)


def test_the_length_of_nothing_has_the_derivative_0():
    f = derive.differentiate("L = sum[n](sqrt(sum[i](z[n,i]**2)))", "z").compile()
    value, gradient = quietly(f, z=np.array([[3.0, 4.0], [0.0, 0.0]]))
    assert value == 5
    np.testing.assert_allclose(gradient, [[0.6, 0.8], [0, 0]], rtol=1e-15)
