"""Attention: the softmax under a mask is recognized, differentiated and computed as one."""

import warnings

import numpy as np
import pytest

import derive
from derive import pipeline

SCORES = "S[n,t,s] = sum[d](q[n,t,d]*k[n,s,d])/sqrt(D)\n"
SOFTMAX = "P[n,t,s] = exp(S[n,t,s])/sum[u](exp(S[n,t,u]))\n"
MASKED = "P[n,t,s] = where(s <= t, exp(S[n,t,s]), 0)/sum[u](where(u <= t, exp(S[n,t,u]), 0))\n"
OUTER_MASK = "P[n,t,s] = where(s <= t, exp(S[n,t,s])/sum[u](where(u <= t, exp(S[n,t,u]), 0)), 0)\n"
VALUES = "y[n,t,e] = sum[s](P[n,t,s]*v[n,s,e])"
FORMS = {"full": SOFTMAX, "causal": MASKED, "the mask outside": OUTER_MASK}
MULTI_HEAD = """
q[n,t,h,k] = sum[d](x[n,t,d]*W_q[d,h,k]) + b_q[h,k]
r[n,s,h,k] = sum[d](x[n,s,d]*W_k[d,h,k]) + b_k[h,k]
v[n,s,h,k] = sum[d](x[n,s,d]*W_v[d,h,k]) + b_v[h,k]
S[n,h,t,s] = sum[k](q[n,t,h,k]*r[n,s,h,k])/sqrt(K)
P[n,h,t,s] = where(s <= t, exp(S[n,h,t,s]), 0)/sum[u](where(u <= t, exp(S[n,h,t,u]), 0))
o[n,t,h,k] = sum[s](P[n,h,t,s]*v[n,s,h,k])
y[n,t,e] = sum[h,k](o[n,t,h,k]*W_o[h,k,e]) + b_o[e]
"""


def text(form):
    return SCORES + FORMS[form] + VALUES


def arrays(scale=1.0, length=5):
    rng = np.random.default_rng(0)
    return {
        "q": scale * rng.normal(size=(2, length, 3)),
        "k": rng.normal(size=(2, length, 3)),
        "v": rng.normal(size=(2, length, 4)),
    }


def reference(a, causal):
    """Output and gradients by hand, in extended precision; the cotangent is `weights`."""
    q, k, v = (a[name].astype(np.longdouble) for name in "qkv")
    S = np.einsum("ntd,nsd->nts", q, k) / np.sqrt(np.longdouble(3))
    mask = np.tril(np.ones(S.shape[1:], bool)) if causal else np.ones(S.shape[1:], bool)
    S = np.where(mask, S, -np.inf)
    P = np.exp(S - S.max(-1, keepdims=True))
    P /= P.sum(-1, keepdims=True)
    y_bar = weights(v.shape)
    P_bar = np.einsum("nte,nse->nts", y_bar, v)
    S_bar = P * (P_bar - (P * P_bar).sum(-1, keepdims=True)) / np.sqrt(np.longdouble(3))
    bars = {
        "q": np.einsum("nts,nsd->ntd", S_bar, k),
        "k": np.einsum("nts,ntd->nsd", S_bar, q),
        "v": np.einsum("nts,nte->nse", P, y_bar),
    }
    return np.einsum("nts,nse->nte", P, v), bars


def weights(shape):
    return np.random.default_rng(1).normal(size=shape)


@pytest.mark.parametrize("form", FORMS)
def test_the_derivative_is_that_of_the_textbook(form):
    lines = [str(e) for e in pipeline.vjp(text(form), ["q", "k", "v"]).equations]
    assert "S_bar[n,t,s] = P[n,t,s]*(P_bar[n,t,s] - sum[s_1](P[n,t,s_1]*P_bar[n,t,s_1]))" in lines
    assert "P_bar[n,t,s] = sum[e](v[n,s,e]*y_bar[n,t,e])" in lines
    assert "v_bar[n,s,e] = sum[t](P[n,t,s]*y_bar[n,t,e])" in lines


def test_what_is_printed_reads_back():
    program = pipeline.forward(text("causal"))
    assert "l[n,t] = log(sum[u](where(u <= t, exp(S[n,t,u]), 0)))" in str(program)
    again = pipeline.forward(str(program))
    assert [e.reduction for e in again.equations].count("logsumexp") == 1


@pytest.mark.parametrize("accuracy", ["exact", "training"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("form", FORMS)
def test_values_and_gradients(form, scale, accuracy):
    a = arrays(scale)
    f = derive.vjp(text(form), ["q", "k", "v"], accuracy=accuracy).compile()
    value, bars = reference(a, causal=form != "full")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(f.value(**a), value.astype(float), rtol=1e-10, atol=1e-13)
        found = f.vjp(weights(value.shape), **a)
    for name, bar in bars.items():
        wanted = bar.astype(float)
        np.testing.assert_allclose(found[name], wanted, rtol=1e-9, atol=1e-12 * scale)


def test_what_is_masked_is_0_and_nothing_else_follows_from_it():
    S = np.array([[1e4, 3.0, -1e4], [-1e4, 1e4, 1e300], [-1e4, -1e4, -1e4]])
    form = MASKED.replace("n,", "").strip()
    for accuracy in ("exact", "training"):
        f = derive.vjp(form, "S", accuracy=accuracy).compile()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            P = f.value(S=S)
            S_bar = f.vjp(weights(S.shape), S=S)["S"]
        np.testing.assert_allclose(P, [[1, 0, 0], [0, 1, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-15)
        assert (S_bar[np.triu_indices(3, 1)] == 0).all()
        assert np.isfinite(S_bar).all()


def test_no_loop_runs_over_data():
    source = derive.vjp(text("causal"), ["q", "k", "v"], accuracy="training").source()
    assert "for " not in source.split("def value")[1].split('"""')[-1]
    assert "einsum" not in source


def test_multi_head():
    rng = np.random.default_rng(0)
    a = {
        "x": rng.normal(size=(2, 4, 6)),
        "W_o": rng.normal(size=(2, 3, 6)),
        "b_o": rng.normal(size=6),
    }
    for name in "qkv":
        a |= {f"W_{name}": rng.normal(size=(6, 2, 3)), f"b_{name}": rng.normal(size=(2, 3))}
    d = derive.vjp(MULTI_HEAD, ["x", "W_q", "b_q", "W_k", "W_v", "W_o"], accuracy="training")
    wanted = (
        "S_bar[n,h,t,s] = P[n,h,t,s]*(P_bar[n,h,t,s] - sum[s_1](P[n,h,t,s_1]*P_bar[n,h,t,s_1]))"
    )
    assert wanted in map(str, d.equations)
    report = d.check(**a)
    assert report.ok, str(report)
