"""Textbook NumPy: each layer as a forward function that gives its backward function too.

It is what a good tutorial shows: vectorized, im2col for convolutions, a loop over the steps of a
recurrence, new arrays everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.layouts import packed, unpacked
from benchmarks.networks import own
from benchmarks.peers.adam import BETA1, BETA2, EPS, RATE
from benchmarks.workloads import Problem


class TextbookNumPy:
    """A training step by hand-written layers."""

    def __init__(self, problem: Problem, threads: int = 2) -> None:
        self.problem, self.threads = problem, threads
        self.params = packed(problem.params)
        self.adam = Adam(self.params)

    def step(self) -> Any:
        loss, gradients = self._value_and_grad()
        self.adam.step(gradients)
        return loss

    def gradients(self) -> dict[str, np.ndarray]:
        _, found = self._value_and_grad()
        return unpacked(found, {k: v.shape for k, v in self.problem.params.items()})

    def predictor(self, x: np.ndarray) -> Callable[[], Any]:
        return lambda: self._forward(x, training=False)[0]

    def _forward(self, x: np.ndarray, training: bool = True) -> tuple[np.ndarray, list]:
        values, backward = {"input": x}, []
        for layer in self.problem.network.layers:
            name = layer.type if training or layer.type != "batch_norm" else "batch_norm_inference"
            inputs = [values[name] for name in layer.inputs]
            y, back = LAYERS[name](own(self.params, layer), layer.fields, *inputs)
            values[layer.name] = y
            backward.append(back)
        return y, backward

    def _value_and_grad(self) -> tuple[Any, dict[str, np.ndarray]]:
        z, backward = self._forward(self.problem.x)
        loss, d = softmax_cross_entropy(z, self.problem.y)
        layers = self.problem.network.layers
        cotangents, gradients = {layers[-1].name: d}, {}
        for layer, back in zip(reversed(layers), reversed(backward), strict=True):
            inputs, found = back(cotangents.pop(layer.name), layer.inputs != ("input",))
            gradients |= {f"{layer.name}.{name}": g for name, g in found.items()}
            for name, d in zip(layer.inputs, inputs, strict=True):
                cotangents[name] = cotangents[name] + d if name in cotangents else d
        return loss, gradients


class Adam:
    """One array after another, with the formulas as they stand in the paper."""

    def __init__(self, params: dict[str, np.ndarray]) -> None:
        self.params, self.t = params, 0
        self.m = {name: np.zeros_like(w) for name, w in params.items()}
        self.v = {name: np.zeros_like(w) for name, w in params.items()}

    def step(self, gradients: dict[str, np.ndarray]) -> None:
        self.t += 1
        for name, g in gradients.items():
            self.m[name] = m = BETA1 * self.m[name] + (1 - BETA1) * g
            self.v[name] = v = BETA2 * self.v[name] + (1 - BETA2) * g**2
            m_hat, v_hat = m / (1 - BETA1**self.t), v / (1 - BETA2**self.t)
            self.params[name] = self.params[name] - RATE * m_hat / (np.sqrt(v_hat) + EPS)


def softmax_cross_entropy(z: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    """The mean loss and the cotangent of the logits, (p - y)/N."""
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    rows, classes = p.reshape(-1, p.shape[-1]), y.reshape(-1)
    n = np.arange(len(rows))
    loss = -np.mean(np.log(rows[n, classes]))
    rows[n, classes] -= 1
    return loss, p / np.float32(len(rows))


# Each function gives y, and `back(d, wanted)`: the cotangents of its inputs, and {name: gradient}.
# `wanted` is false where the input is the network's own, whose cotangent nobody reads.


def dense(p, fields, x):
    def back(d, wanted):
        rows = d.reshape(-1, d.shape[-1])
        g = {"W": x.reshape(-1, x.shape[-1]).T @ rows, "b": rows.sum(axis=0)}
        return (d @ p["W"].T if wanted else None,), g

    return x @ p["W"] + p["b"], back


def relu(p, fields, x):
    y = np.maximum(x, 0)
    return y, lambda d, wanted: ((d * (y > 0),), {})


def flatten(p, fields, x):
    return x.reshape(len(x), -1), lambda d, wanted: ((d.reshape(x.shape),), {})


def add(p, fields, a, b):
    return a + b, lambda d, wanted: ((d, d), {})


def conv2d(p, fields, x):
    kh, kw, c, filters = p["W"].shape
    around = kh // 2 if fields.get("padding") == "same" else 0
    padded = np.pad(x, ((0, 0), (around, around), (around, around), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(1, 2))
    n, h, w = windows.shape[:3]
    columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(n * h * w, kh * kw * c)
    W = p["W"].reshape(kh * kw * c, filters)

    def back(d, wanted):
        rows = d.reshape(n * h * w, filters)
        g = {"W": (columns.T @ rows).reshape(p["W"].shape)}
        if "b" in p:
            g["b"] = rows.sum(axis=0)
        if not wanted:
            return (None,), g
        d_columns = (rows @ W.T).reshape(n, h, w, kh, kw, c)
        d_padded = np.zeros_like(padded)
        for k in range(kh):
            for l in range(kw):
                d_padded[:, k : k + h, l : l + w] += d_columns[:, :, :, k, l]
        inside = slice(around, -around if around else None)
        return (d_padded[:, inside, inside],), g

    y = columns @ W
    if "b" in p:
        y += p["b"]
    return y.reshape(n, h, w, filters), back


def max_pool2d(p, fields, x):
    n, h, w, c = x.shape
    blocks = x.reshape(n, h // 2, 2, w // 2, 2, c)
    y = blocks.max(axis=(2, 4))

    def back(d, wanted):
        largest = blocks == y[:, :, None, :, None]
        shares = largest / largest.sum(axis=(2, 4), keepdims=True, dtype=d.dtype)
        return ((d[:, :, None, :, None] * shares).astype(d.dtype).reshape(x.shape),), {}

    return y, back


def global_avg_pool2d(p, fields, x):
    return _mean(x, (1, 2))


def mean_over_time(p, fields, x):
    return _mean(x, (1,))


def _mean(x, axes):
    y = x.mean(axis=axes, keepdims=True)
    share = x.dtype.type(y.size / x.size)

    def back(d, wanted):
        return (np.broadcast_to(d.reshape(y.shape) * share, x.shape),), {}

    return y.squeeze(axes), back


def batch_norm(p, fields, x):
    return _norm(p["gamma"], p["beta"], x, (0, 1, 2), ("gamma", "beta"))


def batch_norm_inference(p, fields, x):
    return x / np.float32(math.sqrt(1 + 1e-5)) * p["gamma"] + p["beta"], None


def layer_norm(p, fields, x, of=""):
    names = ("gamma" + of, "beta" + of)
    return _norm(p[names[0]], p[names[1]], x, (-1,), names)


def _norm(gamma, beta, x, axes, names):
    r = 1 / np.sqrt(x.var(axis=axes, keepdims=True) + np.float32(1e-5))
    x_hat = (x - x.mean(axis=axes, keepdims=True)) * r

    def back(d, wanted):
        leading = tuple(range(d.ndim - 1))
        g = {names[0]: (d * x_hat).sum(axis=leading), names[1]: d.sum(axis=leading)}
        h = d * gamma
        mean = h.mean(axis=axes, keepdims=True)
        return (r * (h - mean - x_hat * (h * x_hat).mean(axis=axes, keepdims=True)),), g

    return gamma * x_hat + beta, back


def multi_head_attention(p, fields, x):
    n, t, d = x.shape
    heads, scale = fields["heads"], np.float32((d // fields["heads"]) ** -0.5)
    qkv = (x @ p["W_qkv"] + p["b_qkv"]).reshape(n, t, 3, heads, d // heads)
    q, k, v = qkv.transpose(2, 0, 3, 1, 4)
    S = q @ k.swapaxes(2, 3) * scale
    if fields.get("causal"):
        S = np.where(np.tri(t, dtype=bool), S, -np.inf).astype(x.dtype)
    P = np.exp(S - S.max(axis=-1, keepdims=True))
    P /= P.sum(axis=-1, keepdims=True)
    o = (P @ v).swapaxes(1, 2).reshape(n, t, d)

    def back(dy, wanted):
        dy2, o2, x2 = dy.reshape(-1, d), o.reshape(-1, d), x.reshape(-1, d)
        do = (dy @ p["W_o"].T).reshape(n, t, heads, -1).swapaxes(1, 2)
        dv, dP = P.swapaxes(2, 3) @ do, do @ v.swapaxes(2, 3)
        dS = P * (dP - (dP * P).sum(axis=-1, keepdims=True)) * scale
        dqkv = np.stack([dS @ k, dS.swapaxes(2, 3) @ q, dv]).transpose(1, 3, 0, 2, 4)
        rows = dqkv.reshape(n * t, 3 * d)
        g = {"W_o": o2.T @ dy2, "b_o": dy2.sum(axis=0)}
        g |= {"W_qkv": x2.T @ rows, "b_qkv": rows.sum(axis=0)}
        return ((rows @ p["W_qkv"].T).reshape(x.shape),), g

    return o @ p["W_o"] + p["b_o"], back


def gelu_tanh(p, fields, x):
    a, c = np.float32(0.044715), np.float32(math.sqrt(2 / math.pi))
    t = np.tanh(c * (x + a * x**3))

    def back(d, wanted):
        slope = np.float32(0.5) * x * (1 - t**2) * c * (1 + 3 * a * x**2)
        return (d * (np.float32(0.5) * (1 + t) + slope),), {}

    return np.float32(0.5) * x * (1 + t), back


def gelu(p, fields, x):
    from scipy.special import erf  # NumPy has none

    half = np.float32(0.5) * (1 + erf(x * np.float32(0.5**0.5)))

    def back(d, wanted):
        density = np.exp(x * x * np.float32(-0.5)) * np.float32(1 / math.sqrt(2 * math.pi))
        return (d * (half + x * density),), {}

    return x * half, back


def transformer_block(p, fields, x):
    norm_1, norm_1_back = layer_norm(p, fields, x, "_1")
    attended, attention_back = multi_head_attention(p, fields, norm_1)
    y = x + attended
    norm_2, norm_2_back = layer_norm(p, fields, y, "_2")
    hidden, hidden_back = dense({"W": p["W_1"], "b": p["b_1"]}, fields, norm_2)
    active, gelu_back = gelu(p, fields, hidden)
    out, out_back = dense({"W": p["W_2"], "b": p["b_2"]}, fields, active)

    def back(d, wanted):
        (da,), second = out_back(d, True)
        (da,), first = hidden_back(*gelu_back(da, True)[0], True)
        (dy,), norms = norm_2_back(da, True)
        dy = dy + d
        (da,), attention = attention_back(dy, True)
        (dx,), norm = norm_1_back(da, True)
        g = {"W_1": first["W"], "b_1": first["b"], "W_2": second["W"], "b_2": second["b"]}
        return (dx + dy,), g | norms | attention | norm

    return y + out, back


def embedding(p, fields, token):
    def back(d, wanted):
        g = np.zeros_like(p["E"])
        np.add.at(g, token, d)
        return (None,), {"E": g}

    return p["E"][token], back


def positional_embedding(p, fields, x):
    return x + p["P"], lambda d, wanted: ((d,), {"P": d.sum(axis=0)})


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(p, fields, x):
    (n, steps, _), size = x.shape, fields["units"]
    h = c = np.zeros((n, size), x.dtype)
    kept = []
    for t in range(steps):
        z = x[:, t] @ p["W"] + h @ p["U"] + p["b"]
        i, f, o = (sigmoid(z[:, k * size : (k + 1) * size]) for k in (0, 1, 3))
        g = np.tanh(z[:, 2 * size : 3 * size])
        c_next = f * c + i * g
        a = np.tanh(c_next)
        kept.append((h, c, i, f, g, o, a))
        h, c = o * a, c_next

    def back(dh, wanted):
        grads = {name: np.zeros_like(w) for name, w in p.items()}
        dc, dx = np.zeros_like(c), np.zeros_like(x) if wanted else None
        for t in reversed(range(steps)):
            h, c_before, i, f, g, o, a = kept[t]
            dc = dc + dh * o * (1 - a**2)
            parts = [dc * g * i * (1 - i), dc * c_before * f * (1 - f), dc * i * (1 - g**2)]
            dz = np.concatenate([*parts, dh * a * o * (1 - o)], axis=1)
            grads["W"] += x[:, t].T @ dz
            grads["U"] += h.T @ dz
            grads["b"] += dz.sum(axis=0)
            dh, dc = dz @ p["U"].T, dc * f
            if wanted:
                dx[:, t] = dz @ p["W"].T
        return (dx,), grads

    return h, back


def gru(p, fields, x):
    (n, steps, _), size = x.shape, fields["units"]
    h, kept = np.zeros((n, size), x.dtype), []
    for t in range(steps):
        u, v = x[:, t] @ p["W"] + p["b"], h @ p["U"] + p["c"]
        r, z = (sigmoid((u + v)[:, k * size : (k + 1) * size]) for k in (0, 1))
        g = np.tanh(u[:, 2 * size :] + r * v[:, 2 * size :])
        kept.append((h, r, z, g, v[:, 2 * size :]))
        h = (1 - z) * g + z * h

    def back(dh, wanted):
        grads = {name: np.zeros_like(w) for name, w in p.items()}
        dx = np.zeros_like(x) if wanted else None
        for t in reversed(range(steps)):
            h, r, z, g, v = kept[t]
            dq = dh * (1 - z) * (1 - g**2)
            dr, dz = dq * v * r * (1 - r), dh * (h - g) * z * (1 - z)
            du, dv = (np.concatenate([dr, dz, last], axis=1) for last in (dq, dq * r))
            grads["W"] += x[:, t].T @ du
            grads["U"] += h.T @ dv
            grads["b"] += du.sum(axis=0)
            grads["c"] += dv.sum(axis=0)
            dh = dh * z + dv @ p["U"].T
            if wanted:
                dx[:, t] = du @ p["W"].T
        return (dx,), grads

    return h, back


LAYERS: dict[str, Callable] = {
    function.__name__: function
    for function in (
        add, batch_norm, batch_norm_inference, conv2d, dense, embedding, flatten, gelu_tanh,
        global_avg_pool2d, gru, layer_norm, lstm, max_pool2d, mean_over_time,
        multi_head_attention, positional_embedding, relu, transformer_block,
    )
}  # fmt: skip
