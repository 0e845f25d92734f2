"""The layers in array code without gradients, for JAX and autograd: they differentiate it.

It is written as their users write it: N,H,W,C for images, one product for queries, keys and
values, a step of a recurrence on all gates at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

Functions = Mapping[str, Callable[..., Any]]


def functions(xp: ModuleType, special: Functions, training: bool) -> Functions:
    """{type: function(p, fields, *inputs)}; `special` has what is no function of NumPy.

    That is `convolve(x, W)`, `pool(x)`, `scan(step, states, x)` and `erf(x)`.
    """

    def dense(p, fields, x):
        return xp.matmul(x, p["W"]) + p["b"]

    def conv2d(p, fields, x):
        if fields.get("padding") == "same":
            around = fields["kernel_size"] // 2
            x = xp.pad(x, ((0, 0), (around, around), (around, around), (0, 0)), mode="constant")
        z = special["convolve"](x, p["W"])
        return z + p["b"] if fields.get("bias", True) else z

    def batch_norm(p, fields, x):
        if not training:  # the running averages are those of a new network: 0 and 1
            return x / math.sqrt(1 + 1e-5) * p["gamma"] + p["beta"]
        d = x - xp.mean(x, axis=(0, 1, 2))
        return d / xp.sqrt(xp.mean(d * d, axis=(0, 1, 2)) + 1e-5) * p["gamma"] + p["beta"]

    def layer_norm(p, fields, x, of=""):
        d = x - xp.mean(x, axis=-1, keepdims=True)
        sd = xp.sqrt(xp.mean(d * d, axis=-1, keepdims=True) + 1e-5)
        return d / sd * p["gamma" + of] + p["beta" + of]

    def attention(p, fields, x):
        n, t, d = x.shape
        heads = fields["heads"]
        qkv = xp.reshape(xp.matmul(x, p["W_qkv"]) + p["b_qkv"], (n, t, 3, heads, d // heads))
        q, k, v = xp.transpose(qkv, (2, 0, 3, 1, 4))
        s = xp.matmul(q, xp.swapaxes(k, 2, 3)) * (d // heads) ** -0.5
        if fields.get("causal"):
            s = xp.where(xp.tril(xp.ones((t, t), bool)), s, -xp.inf)
        e = xp.exp(s - xp.max(s, axis=-1, keepdims=True))
        o = xp.matmul(e / xp.sum(e, axis=-1, keepdims=True), v)
        return xp.matmul(xp.reshape(xp.swapaxes(o, 1, 2), (n, t, d)), p["W_o"]) + p["b_o"]

    def gelu(p, fields, x):
        return 0.5 * x * (1 + special["erf"](x * 0.5**0.5))

    def gelu_tanh(p, fields, x):
        return 0.5 * x * (1 + xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))

    def transformer_block(p, fields, x):
        x = x + attention(p, fields, layer_norm(p, fields, x, "_1"))
        hidden = xp.matmul(layer_norm(p, fields, x, "_2"), p["W_1"]) + p["b_1"]
        return x + xp.matmul(gelu(p, fields, hidden), p["W_2"]) + p["b_2"]

    def sigmoid(x):
        return 0.5 * (xp.tanh(0.5 * x) + 1)

    def lstm(p, fields, x):
        size = fields["units"]

        def step(states, u):
            h, c = states
            z = u + xp.matmul(h, p["U"])
            i, f, o = (sigmoid(z[:, k * size : (k + 1) * size]) for k in (0, 1, 3))
            c = f * c + i * xp.tanh(z[:, 2 * size : 3 * size])
            return o * xp.tanh(c), c

        start = xp.zeros((x.shape[0], size), x.dtype)
        u = xp.matmul(xp.swapaxes(x, 0, 1), p["W"]) + p["b"]
        return special["scan"](step, (start, start), u)[0]

    def gru(p, fields, x):
        size = fields["units"]

        def step(states, u):
            (h,) = states
            v = xp.matmul(h, p["U"]) + p["c"]
            r, z = (sigmoid((u + v)[:, k * size : (k + 1) * size]) for k in (0, 1))
            g = xp.tanh(u[:, 2 * size :] + r * v[:, 2 * size :])
            return ((1 - z) * g + z * h,)

        u = xp.matmul(xp.swapaxes(x, 0, 1), p["W"]) + p["b"]
        return special["scan"](step, (xp.zeros((x.shape[0], size), x.dtype),), u)[0]

    return {
        "add": lambda p, fields, a, b: a + b,
        "batch_norm": batch_norm,
        "conv2d": conv2d,
        "dense": dense,
        "embedding": lambda p, fields, token: p["E"][token],
        "flatten": lambda p, fields, x: xp.reshape(x, (x.shape[0], -1)),
        "gelu_tanh": gelu_tanh,
        "global_avg_pool2d": lambda p, fields, x: xp.mean(x, axis=(1, 2)),
        "gru": gru,
        "layer_norm": layer_norm,
        "lstm": lstm,
        "max_pool2d": lambda p, fields, x: special["pool"](x),
        "mean_over_time": lambda p, fields, x: xp.mean(x, axis=1),
        "multi_head_attention": attention,
        "positional_embedding": lambda p, fields, x: x + p["P"],
        "relu": lambda p, fields, x: special["relu"](x),
        "transformer_block": transformer_block,
    }
