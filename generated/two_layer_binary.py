"""The two-layer network of the textbooks: two classes

    input    x    N x 30
    dense_1  z_1  N x 16  496 parameters
    tanh_1   a_1  N x 16
    dense_2  z_2  N x 1   17 parameters

513 parameters, float64. Loss: binary_cross_entropy. Optimizer: momentum, learning_rate = 0.05.

Generated from two_layer_binary.toml by `derive generate`; change the spec and generate it again,
never this file. It needs NumPy only.

A number such as (7) in a comment is that of the equation which the line computes a part of:
two_layer_binary.html and two_layer_binary.tex derive it under this number, and `derive explain`
tells what stands behind a line.

    (1) to (4)    the forward pass and the loss
    (5) to (12)   the cotangents
    (13) to (14)  a step of momentum
    (15) to (16)  the loss with a weight for each sample
    (17)          probabilities
    (18)          labels
    (19) to (23)  the gradient of each sample
    (24) to (25)  initial values

`W_bar` is the cotangent of `W`, the derivative of the loss by it. N is the number of samples in a
batch; the axes of an array are the indices that its equation has, in order. `w` and `w_bar` hold
all parameters and their cotangents one after the other, element p.

A gradient on a batch of 32 takes 98,944 floating-point operations and moves 105,640 bytes.

A training step on a batch of 32 works in 8,864 bytes of memory, which it uses again at every step,
beside 4,104 bytes of parameters, 4,104 of their cotangents and 4,104 of the state of momentum. An
input that fits is read where it is.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import contextvars
import functools
import importlib
import importlib.util
import json
import math
import operator
import os
import sys
import time
import zipfile

import numpy as np

NAME = "two_layer_binary"
DTYPE = np.float64
PARAMETERS = {  # public name: shape
    "dense_1.W": (30, 16),
    "dense_1.b": (16,),
    "dense_2.W": (16, 1),
    "dense_2.b": (1,),
}
STATES = {}
ARRAYS = {**PARAMETERS, **STATES}  # all that `params` holds
SIZE = sum(math.prod(shape) for shape in PARAMETERS.values())  # 513
THREADS = 1  # threads that share a batch in training, where nothing else is said
NOT_SHARED = ""
ANSWERED = 1024  # samples that are answered at once, more in turn; None: all
MEASURED = 1024  # and those whose loss is computed at once
ANSWERING = 1  # threads that share an answer in turn
KEPT = 1024  # samples; arrays for as many are kept for the next answer
INPUT = {"name": "x", "axes": ("N", 30), "below": None}
TARGET = {"name": "y", "axes": ("N", 1), "below": None}


def init(seed=0):
    """Fresh parameters, {public name: array}; `seed` may be a `numpy.random.Generator`."""
    draw = np.random.default_rng(seed)
    params = _views(np.zeros(sum(map(math.prod, ARRAYS.values())), DTYPE), ARRAYS)
    params["dense_1.W"][...] = (  # (24)
        0.7223151185146152*draw.random((30, 16)) - 0.3611575592573076
    )
    params["dense_1.b"][...] = 0  # (25)
    params["dense_2.W"][...] = (  # (24)
        1.1881770515720091*draw.random((16, 1)) - 0.5940885257860046
    )
    params["dense_2.b"][...] = 0  # (25)
    return params


def forward(params, x):
    """The output z_2 in inference mode.

    The arrays of `params`, and those to work in, are kept for the next call with the same ones.
    """
    return _answers(params).read(x, np.array)


def value_and_grad(params, x, y, seed=None, sample_weight=None):
    """The loss and its cotangents {public name: array}, in training mode, unregularized.

    `seed` fixes what is drawn at random: nothing in this network. `sample_weight`, of shape (N,),
    are factors of the samples' losses; the mean is over all N as ever.
    """
    w = _flat(params, PARAMETERS)
    w_bar = np.zeros(SIZE, w.dtype)
    x, y, sizes = _batch(x, y)
    ws = Training(w, w_bar, **sizes)
    value = _gradients(ws, x, y, seed, sample_weight)
    return value, _views(w_bar, PARAMETERS)


def input_grad(params, x, y, seed=None):
    """The derivative of the loss by the input, shaped like `x`; in training mode."""
    w = _flat(params, PARAMETERS)
    x, y, sizes = _batch(x, y)
    ws = Training(w, np.zeros(SIZE, w.dtype), **sizes)
    _gradients(ws, x, y, seed)
    ws.x_bar = np.empty_like(ws.x)
    input_arrays(ws)
    input_pass(ws)
    return ws.x_bar


def per_sample_grad(params, x, y, seed=None):
    """{public name: array (N, *shape)}: [n] is the gradient of the loss of sample n alone."""
    x, y, sizes = _batch(x, y)
    ws = PerSample(_flat(params, PARAMETERS), **sizes)
    _fill(ws, x, y, seed)
    per_sample_pass(ws)
    return ws.gradients


def _take(ws, x, y):
    """The batch in a workspace, the input where it is, if that can be read there."""
    if x.dtype == ws.dtype and x.flags.c_contiguous and x.flags.aligned:
        ws.x = x
    else:
        _room(ws, x)[...] = x
    ws.y[...] = y


def _room(ws, x):
    """Memory of the workspace for an input of this shape."""
    if ws.held is None:
        ws.held = _empty((ws.y.shape[0], *x.shape[1:]), ws.dtype)
    ws.x = ws.held
    return ws.x


def _fill(ws, x, y, seed):
    """What a workspace starts from: the batch, and what is drawn at random."""
    ws.x[...], ws.y[...] = x, y


def _gradients(ws, x, y, seed, sample_weight=None):
    """The loss; the cotangents of the parameters are left in `ws`."""
    _room(ws, x)
    _fill(ws, x, y, seed)
    value = forward_pass(ws)
    if sample_weight is None:
        loss_backward(ws)
    else:
        weight = _weights(sample_weight, len(x)).astype(ws.z_2.dtype)
        value, ws.z_2_bar[...] = weighted_loss(ws.z_2, ws.y, weight)
    backward_pass(ws)
    return float(value)


class Training:
    """The arrays of a training step on N samples; parameters are views into the flat `w`."""

    def __init__(ws, w, w_bar, N):
        p, g, dtype = _views(w, ARRAYS), _views(w_bar, PARAMETERS), w.dtype
        ws.W_1, ws.W_1_bar = p["dense_1.W"], g["dense_1.W"]  # 30 x 16
        ws.b_1, ws.b_1_bar = p["dense_1.b"], g["dense_1.b"]  # 16
        ws.W_2, ws.W_2_bar = p["dense_2.W"], g["dense_2.W"]  # 16 x 1
        ws.b_2, ws.b_2_bar = p["dense_2.b"], g["dense_2.b"]  # 1
        ws.x = ws.held = None  # an input is read where it is, or here
        ws.dtype = dtype
        ws.y = _empty((N, 1), dtype)
        ws.z_1 = _empty((N, 16), dtype)
        ws.a_1 = ws.z_1
        ws.z_1_bar = ws.z_1
        ws.slot_2 = _empty(16*N, dtype)
        ws.z_2 = ws.slot_2[:N].reshape(N, 1)
        ws.t_1 = ws.slot_2[N:2*N].reshape(N, 1)
        ws.t_2 = ws.slot_2[2*N:3*N].reshape(N, 1)
        ws.t_3 = ws.slot_2[2*N:3*N].reshape(N, 1)
        ws.t_4 = ws.slot_2[3*N:4*N].reshape(N, 1)
        ws.a_1_bar = ws.slot_2[:16*N].reshape(N, 16)
        ws.z_2_bar = _lent(w_bar[0:32], (N, 1), dtype)
        ws.ones = np.ones(N, dtype)  # (6)
        ws.one = np.array(1, dtype)  # (4)
        ws.zero = np.array(0, dtype)  # (4)
        ws.half = np.array(0.5, dtype)  # (5)
        ws.N = np.array(N, dtype)  # (5)
        ws.a_1_T = ws.a_1.T  # (7)
        ws.W_2_T = ws.W_2.T  # (8)


def forward_pass(ws):
    """The loss of the batch in `ws.x` and `ws.y`."""
    N = len(ws.x)
    # (1) z_1[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]
    np.dot(ws.x, ws.W_1, out=ws.z_1)  # (1)
    np.add(ws.z_1, ws.b_1, out=ws.z_1)  # (1)
    # (2) a_1[n,j] = tanh(z_1[n,j])
    np.tanh(ws.z_1, out=ws.a_1)  # (2)
    # (3) z_2[n,k] = sum[j](a_1[n,j]*W_2[j,k]) + b_2[k]
    np.dot(ws.a_1, ws.W_2, out=ws.z_2)  # (3)
    np.add(ws.z_2, ws.b_2, out=ws.z_2)  # (3)
    # (4) L = mean[n,k]((1 - y[n,k])*softplus(z_2[n,k]) + softplus(-z_2[n,k])*y[n,k])
    np.subtract(ws.one, ws.y, out=ws.t_1)  # (4)
    np.maximum(ws.z_2, ws.zero, out=ws.t_2)  # (4)
    np.multiply(ws.t_1, ws.t_2, out=ws.t_1)  # (4)
    np.minimum(ws.z_2, ws.zero, out=ws.t_3)  # (4)
    np.multiply(ws.y, ws.t_3, out=ws.t_3)  # (4)
    np.abs(ws.z_2, out=ws.t_4)  # (4)
    np.negative(ws.t_4, out=ws.t_4)  # (4)
    np.exp(ws.t_4, out=ws.t_4)  # (4)
    np.log1p(ws.t_4, out=ws.t_4)  # (4)
    np.add(ws.t_1, ws.t_4, out=ws.t_1)  # (4)
    np.subtract(ws.t_1, ws.t_3, out=ws.t_1)  # (4)
    t_5 = np.add.reduce(ws.t_1, axis=None)  # (4)
    L = t_5 / N  # (4)
    return L


def loss_backward(ws):
    """The cotangent z_2_bar of the output."""
    # (5) z_2_bar[n,k] = (sigmoid(z_2[n,k]) - y[n,k])/N
    np.multiply(ws.z_2, ws.half, out=ws.z_2_bar)  # (5)
    np.tanh(ws.z_2_bar, out=ws.z_2_bar)  # (5)
    np.add(ws.z_2_bar, ws.one, out=ws.z_2_bar)  # (5)
    np.multiply(ws.z_2_bar, ws.half, out=ws.z_2_bar)  # (5)
    np.subtract(ws.z_2_bar, ws.y, out=ws.z_2_bar)  # (5)
    np.divide(ws.z_2_bar, ws.N, out=ws.z_2_bar)  # (5)


def backward_pass(ws):
    """The cotangents of all parameters, from z_2_bar."""
    # (6) b_2_bar[k] = sum[n](z_2_bar[n,k])
    np.dot(ws.ones, ws.z_2_bar, out=ws.b_2_bar)  # (6)
    # (7) W_2_bar[j,k] = sum[n](a_1[n,j]*z_2_bar[n,k])
    np.dot(ws.a_1_T, ws.z_2_bar, out=ws.W_2_bar)  # (7)
    # (8) a_1_bar[n,j] = sum[k](z_2_bar[n,k]*W_2[j,k])
    np.dot(ws.z_2_bar, ws.W_2_T, out=ws.a_1_bar)  # (8)
    # (9) z_1_bar[n,j] = (1 - a_1[n,j]**2)*a_1_bar[n,j]
    np.square(ws.a_1, out=ws.z_1_bar)  # (9)
    np.subtract(ws.one, ws.z_1_bar, out=ws.z_1_bar)  # (9)
    np.multiply(ws.z_1_bar, ws.a_1_bar, out=ws.z_1_bar)  # (9)
    # (10) b_1_bar[j] = sum[n](z_1_bar[n,j])
    np.dot(ws.ones, ws.z_1_bar, out=ws.b_1_bar)  # (10)
    # (11) W_1_bar[i,j] = sum[n](x[n,i]*z_1_bar[n,j])
    np.dot(ws.x.T, ws.z_1_bar, out=ws.W_1_bar)  # (11)


def input_arrays(ws):
    """What `input_pass` needs, the array of its result aside."""
    ws.W_1_T = ws.W_1.T  # (12)


def input_pass(ws):
    """The cotangent x_bar of the input, after those of the parameters."""
    # (12) x_bar[n,i] = sum[j](z_1_bar[n,j]*W_1[i,j])
    np.matmul(ws.z_1_bar, ws.W_1_T, out=ws.x_bar)  # (12)


class Inference:
    """The arrays of an answer to N samples; the parameters `p` are only read."""

    def __init__(ws, p, dtype, N):
        ws.dtype = dtype
        ws.W_1 = p["dense_1.W"]  # 30 x 16
        ws.b_1 = p["dense_1.b"]  # 16
        ws.W_2 = p["dense_2.W"]  # 16 x 1
        ws.b_2 = p["dense_2.b"]  # 1
        ws.z_1 = _empty((N, 16), dtype)
        ws.a_1 = ws.z_1
        ws.z_2 = _empty((N, 1), dtype)


def inference_pass(ws, x):
    """The output z_2 for x, in memory of the workspace."""
    x = np.ascontiguousarray(x, ws.dtype)  # itself, if it is so
    # (1) z_1[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]
    np.dot(x, ws.W_1, out=ws.z_1)  # (1)
    np.add(ws.z_1, ws.b_1, out=ws.z_1)  # (1)
    # (2) a_1[n,j] = tanh(z_1[n,j])
    np.tanh(ws.z_1, out=ws.a_1)  # (2)
    # (3) z_2[n,k] = sum[j](a_1[n,j]*W_2[j,k]) + b_2[k]
    np.dot(ws.a_1, ws.W_2, out=ws.z_2)  # (3)
    np.add(ws.z_2, ws.b_2, out=ws.z_2)  # (3)
    return ws.z_2


def loss_arrays(ws):
    """What `loss_pass` needs."""
    N = len(ws.z_2)
    dtype = ws.dtype
    ws.y = _empty((N, 1), dtype)
    ws.t_1 = _empty((N, 1), dtype)
    ws.t_2 = _empty((N, 1), dtype)
    ws.t_3 = ws.t_2
    ws.t_4 = _empty((N, 1), dtype)
    ws.one = np.array(1, dtype)  # (4)
    ws.zero = np.array(0, dtype)  # (4)


def loss_pass(ws):
    """The loss of that output for `ws.y`."""
    N = len(ws.y)
    # (4) L = mean[n,k]((1 - y[n,k])*softplus(z_2[n,k]) + softplus(-z_2[n,k])*y[n,k])
    np.subtract(ws.one, ws.y, out=ws.t_1)  # (4)
    np.maximum(ws.z_2, ws.zero, out=ws.t_2)  # (4)
    np.multiply(ws.t_1, ws.t_2, out=ws.t_1)  # (4)
    np.minimum(ws.z_2, ws.zero, out=ws.t_3)  # (4)
    np.multiply(ws.y, ws.t_3, out=ws.t_3)  # (4)
    np.abs(ws.z_2, out=ws.t_4)  # (4)
    np.negative(ws.t_4, out=ws.t_4)  # (4)
    np.exp(ws.t_4, out=ws.t_4)  # (4)
    np.log1p(ws.t_4, out=ws.t_4)  # (4)
    np.add(ws.t_1, ws.t_4, out=ws.t_1)  # (4)
    np.subtract(ws.t_1, ws.t_3, out=ws.t_1)  # (4)
    t_5 = np.add.reduce(ws.t_1, axis=None)  # (4)
    L = t_5 / N  # (4)
    return L


class PerSample:
    """The arrays of the gradients of N samples, each alone."""

    def __init__(ws, w, N):
        p, dtype = _views(w, ARRAYS), w.dtype
        ws.gradients = g = {n: np.empty((N, *s), dtype) for n, s in PARAMETERS.items()}
        ws.W_1, ws.W_1_bar = p["dense_1.W"], g["dense_1.W"]  # 30 x 16
        ws.b_1, ws.b_1_bar = p["dense_1.b"], g["dense_1.b"]  # 16
        ws.W_2, ws.W_2_bar = p["dense_2.W"], g["dense_2.W"]  # 16 x 1
        ws.b_2, ws.b_2_bar = p["dense_2.b"], g["dense_2.b"]  # 1
        ws.x = _empty((N, 30), dtype)
        ws.y = _empty((N, 1), dtype)
        ws.z_1 = _empty((N, 16), dtype)
        ws.a_1 = ws.z_1
        ws.z_1_bar = ws.z_1
        ws.z_2 = _empty((N, 1), dtype)
        ws.z_2_bar = ws.z_2
        ws.a_1_bar = _empty((N, 16), dtype)
        ws.half = np.array(0.5, dtype)  # (19)
        ws.one = np.array(1, dtype)  # (19)
        ws.z_2_bar_wide = ws.z_2_bar[:, None]  # (21)
        ws.a_1_wide = ws.a_1[:, :, None]  # (21)
        ws.W_2_T = ws.W_2.T  # (8)
        ws.z_1_bar_wide = ws.z_1_bar[:, None]  # (23)
        ws.x_wide = ws.x[:, :, None]  # (23)


def per_sample_pass(ws):
    """The cotangents of all parameters, sample by sample."""
    # (1) z_1[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]
    np.dot(ws.x, ws.W_1, out=ws.z_1)  # (1)
    np.add(ws.z_1, ws.b_1, out=ws.z_1)  # (1)
    # (2) a_1[n,j] = tanh(z_1[n,j])
    np.tanh(ws.z_1, out=ws.a_1)  # (2)
    # (3) z_2[n,k] = sum[j](a_1[n,j]*W_2[j,k]) + b_2[k]
    np.dot(ws.a_1, ws.W_2, out=ws.z_2)  # (3)
    np.add(ws.z_2, ws.b_2, out=ws.z_2)  # (3)
    # (19) z_2_bar[n,k] = sigmoid(z_2[n,k]) - y[n,k]
    np.multiply(ws.z_2, ws.half, out=ws.z_2_bar)  # (19)
    np.tanh(ws.z_2_bar, out=ws.z_2_bar)  # (19)
    np.add(ws.z_2_bar, ws.one, out=ws.z_2_bar)  # (19)
    np.multiply(ws.z_2_bar, ws.half, out=ws.z_2_bar)  # (19)
    np.subtract(ws.z_2_bar, ws.y, out=ws.z_2_bar)  # (19)
    # (20) b_2_bar[n,k] = z_2_bar[n,k]
    np.copyto(ws.b_2_bar, ws.z_2_bar)  # (20)
    # (21) W_2_bar[n,j,k] = a_1[n,j]*z_2_bar[n,k]
    np.multiply(ws.z_2_bar_wide, ws.a_1_wide, out=ws.W_2_bar)  # (21)
    # (8) a_1_bar[n,j] = sum[k](z_2_bar[n,k]*W_2[j,k])
    np.dot(ws.z_2_bar, ws.W_2_T, out=ws.a_1_bar)  # (8)
    # (9) z_1_bar[n,j] = (1 - a_1[n,j]**2)*a_1_bar[n,j]
    np.square(ws.a_1, out=ws.z_1_bar)  # (9)
    np.subtract(ws.one, ws.z_1_bar, out=ws.z_1_bar)  # (9)
    np.multiply(ws.z_1_bar, ws.a_1_bar, out=ws.z_1_bar)  # (9)
    # (22) b_1_bar[n,j] = z_1_bar[n,j]
    np.copyto(ws.b_1_bar, ws.z_1_bar)  # (22)
    # (23) W_1_bar[n,i,j] = x[n,i]*z_1_bar[n,j]
    np.multiply(ws.z_1_bar_wide, ws.x_wide, out=ws.W_1_bar)  # (23)


class Optimizer:
    """The state of momentum, and the flat vectors in tiles."""

    def __init__(ws, w, w_bar, *w_bars):
        ws.learning_rate = 0.05
        ws.t = np.zeros((), np.int64)  # steps made
        ws.v = _zeros(len(w), w.dtype)  # (13)
        ws.state = {"t": ws.t, "v": ws.v}
        ws.units = {}  # what states are divided by
        ws.c_1 = np.array(0.9, w.dtype)  # (13)
        ws.c_2 = np.empty((), w.dtype)
        flat = (w, w_bar, ws.v)
        tile = min(262144 // w.itemsize, len(w)) or 1
        scratch = [_empty(tile, dtype) for dtype in []]
        ws.tiles = [  # so many elements that they stay in the cache
            (
                *(a[i : i + tile] for a in flat),
                *(a[: len(w) - i] for a in scratch),
                [a[i : i + tile] for a in w_bars],
            )
            for i in range(0, len(w), tile)
        ]


def update(ws):
    """One step of momentum, from `w_bar`."""
    t = int(ws.t) + 1
    ws.t[()] = t
    learning_rate = ws.learning_rate
    ws.c_2[()] = learning_rate  # (14)
    for w, g, v, parts in ws.tiles:
        for part in parts:
            np.add(g, part, out=g)  # (13)
        # (13) v_next[p] = 0.9*v[p] + g[p]
        np.multiply(v, ws.c_1, out=v)  # (13)
        np.add(v, g, out=v)  # (13)
        # (14) w_next[p] = w[p] - learning_rate*v_next[p]
        np.multiply(v, ws.c_2, out=g)  # (14)
        np.subtract(w, g, out=w)  # (14)


def weighted_loss(z_2, y, sample_weight):
    """The loss with a weight for each sample, and the cotangent of z_2."""
    N = len(z_2)
    # (15) L = mean[n,k](((1 - y[n,k])*softplus(z_2[n,k]) +
    #     softplus(-z_2[n,k])*y[n,k])*sample_weight[n])
    t_1 = np.subtract(1, y)  # (15)
    t_2 = np.maximum(z_2, 0)  # (15)
    np.multiply(t_1, t_2, out=t_1)  # (15)
    t_3 = np.minimum(z_2, 0)  # (15)
    np.multiply(y, t_3, out=t_3)  # (15)
    t_4 = np.abs(z_2)  # (15)
    np.negative(t_4, out=t_4)  # (15)
    np.exp(t_4, out=t_4)  # (15)
    np.log1p(t_4, out=t_4)  # (15)
    np.add(t_1, t_4, out=t_1)  # (15)
    np.subtract(t_1, t_3, out=t_1)  # (15)
    t_5 = np.add.reduce(t_1, axis=1)  # (15)
    t_6 = np.vdot(t_5, sample_weight)  # (15)
    L = t_6 / N  # (15)
    # (16) z_2_bar[n,k] = sample_weight[n]*(sigmoid(z_2[n,k]) - y[n,k])/N
    z_2_bar = np.multiply(z_2, 0.5)  # (16)
    np.tanh(z_2_bar, out=z_2_bar)  # (16)
    np.add(z_2_bar, 1, out=z_2_bar)  # (16)
    np.multiply(z_2_bar, 0.5, out=z_2_bar)  # (16)
    np.subtract(z_2_bar, y, out=z_2_bar)  # (16)
    t_7 = np.divide(sample_weight, N)  # (16)
    np.multiply(t_7[:, None], z_2_bar, out=z_2_bar)  # (16)
    return L, z_2_bar


def probabilities(z_2):
    """p[n,k] = sigmoid(z_2[n,k])"""
    # (17) p[n,k] = sigmoid(z_2[n,k])
    p = np.multiply(z_2, 0.5)  # (17)
    np.tanh(p, out=p)  # (17)
    np.add(p, 1, out=p)  # (17)
    np.multiply(p, 0.5, out=p)  # (17)
    return p


def labels(z_2):
    """c[n,k] = (0 < z_2[n,k])"""
    dtype = z_2.dtype
    # (18) c[n,k] = (0 < z_2[n,k])
    t_1 = np.less(0, z_2)  # (18)
    c = t_1.astype(dtype)  # (18)
    return c.astype(np.int64, copy=False)


def metrics(z, y):
    """What is measured besides the loss."""
    return {"accuracy": float(np.mean(labels(z) == y))}


def _forward(ws):
    """The loss of a batch; what a part of one adds to it."""
    return ws.share * float(forward_pass(ws))


def _backward(ws):
    """The cotangents of all parameters, those of a part of a batch weighted with its share."""
    loss_backward(ws)
    if ws.share != 1:
        np.multiply(ws.z_2_bar, ws.share, out=ws.z_2_bar)
    backward_pass(ws)


def _both(ws):
    """Loss and cotangents, one after the other."""
    value = _forward(ws)
    _backward(ws)
    return value


def _each(function, parts):
    """What a function gives for each part of a batch, the later ones in threads of their own."""
    if len(parts) == 1:
        return [function(parts[0])]
    later = [_pool().submit(contextvars.copy_context().run, function, ws) for ws in parts[1:]]
    return [function(parts[0]), *(future.result() for future in later)]


@functools.cache
def _pool():
    """The threads that work beside the one that calls."""
    return concurrent.futures.ThreadPoolExecutor(max(THREADS, ANSWERING, os.cpu_count() or 1))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of these threads


@functools.cache
def _controller():
    """What sets the threads of matrix products, where `threadpoolctl` is installed."""
    found = importlib.util.find_spec("threadpoolctl")
    return importlib.import_module("threadpoolctl").ThreadpoolController() if found else None


_UNCHANGED = contextlib.nullcontext()


def _blas(parts):
    """A context in which matrix products have one thread each, where several share a batch."""
    if len(parts) == 1 or _controller() is None:
        return _UNCHANGED
    return _controller().limit(limits=1, user_api="blas")


def _alone():
    """Whether the environment wants one thread."""
    return "1" in (os.environ.get(f"{n}_NUM_THREADS") for n in ("OPENBLAS", "OMP"))


def _threads(wanted, usual):
    """How many threads are at work: the usual, where products can be kept from having more."""
    if wanted is None:
        return usual if usual == 1 or _alone() or _controller() else 1
    if isinstance(wanted, bool) or not isinstance(wanted, int | np.integer) or wanted < 1:
        raise ValueError(f"threads: expected an integer above 0, given {wanted!r}")
    if wanted > 1 and NOT_SHARED:
        raise ValueError(f"threads: a batch cannot be shared: {NOT_SHARED}")
    return wanted


class Model:
    """Parameters, optimizer state and workspaces: all that training needs.

    `params` holds writable views of the parameters, {public name: array}. `threads` are the Python
    threads that share each batch in training; for a given number results are the same every time.
    """

    def __init__(self, seed=0, threads=None):
        self.epoch = 0  # epochs trained
        self.generator = np.random.default_rng(seed)
        self._w = _flat(init(self.generator), ARRAYS)
        self._w_bars = [_zeros(SIZE, DTYPE) for _ in range(_threads(threads, THREADS))]
        self._optimizer = Optimizer(self._w[:SIZE], *self._w_bars)
        self._workspaces = {}
        self._kind = self._parts = None  # shapes and types of the last batch, and its workspaces
        self.params = _Parameters(_views(self._w, ARRAYS))
        own = dict(self.params), DTYPE, threads
        self._answers, self._evaluations = _Answers(*own), _Answers(*own, with_loss=True)

    def train_step(self, x, y):
        """One step of momentum on a batch; gives the loss before it, unregularized.

        A batch whose loss is nan or inf changes no parameter and no state.
        """
        parts = self._holding(np.asarray(x), np.asarray(y))
        with _blas(parts):
            value = self._value(parts)
            if math.isfinite(value):
                self._step(parts)
        for ws in parts:
            ws.x = None  # which is the caller's
        return value

    def _holding(self, x, y):
        """The workspaces for batches like this one, with this one in them."""
        kind = x.shape, x.dtype, y.shape, y.dtype
        if kind != self._kind:  # of the batch before, which was found to fit
            self._parts = self._workspace(_batch(x, y)[2])
            self._kind = kind
        for ws in self._parts:
            _take(ws, x[ws.rows], y[ws.rows])
            for held, below in ws.ids:
                if held.item(held.argmax()) >= below:
                    _batch(x, y)  # says what is wrong
        return self._parts

    def _value(self, parts):
        """The loss of a batch: the mean over its parts, of several with their cotangents.

        So their threads need not wait for each other before the step.
        """
        return _forward(parts[0]) if len(parts) == 1 else sum(_each(_both, parts))

    def _step(self, parts):
        """What follows a loss that is finite."""
        if len(parts) == 1:
            _backward(parts[0])
        for unused in self._w_bars[len(parts) :]:
            unused.fill(0)
        update(self._optimizer)

    def _workspace(self, sizes):
        """The arrays for batches of these sizes, part by part; the last few sizes are kept."""
        key = tuple(sizes.values())
        if key not in self._workspaces:
            for oldest in list(self._workspaces)[:-3]:
                del self._workspaces[oldest]
            N = sizes["N"]
            count = max(1, min(len(self._w_bars), N))
            ends = [k * N // count for k in range(count + 1)]
            self._workspaces[key] = parts = []
            for w_bar, start, stop in zip(self._w_bars, ends, ends[1:], strict=False):
                ws = Training(self._w, w_bar, **sizes | {"N": stop - start})
                ws.rows, ws.share = slice(start, stop), (stop - start) / N if N else 1.0
                # As unsigned numbers those below 0 are above all others.
                ws.ids = [
                    (array.view(np.uint64), wanted["below"])
                    for array, wanted in ((ws.x, INPUT), (ws.y, TARGET))
                    if wanted["below"] is not None
                ]
                parts.append(ws)
        return self._workspaces[key]

    def fit(
        self,
        x,
        y,
        epochs=40,
        batch_size=32,
        validation_data=None,
        progress=True,
    ):
        """Train on shuffled batches; gives the history, {quantity: its value in each epoch}.

        The quantities are those of `evaluate`, as means over the batches while they were trained
        on, and as `val_...` those of `evaluate(*validation_data)` after each epoch. Where a loss
        becomes nan or inf, training stops with a FloatingPointError, and the parameters are then
        those that gave the last finite loss.
        """
        for name, number in (("epochs", epochs), ("batch_size", batch_size)):
            if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 1:
                raise ValueError(f"{name}: expected an integer above 0, given {number!r}")
        x, y, sizes = _batch(x, y, finite=True)
        if validation_data is not None:
            _batch(*validation_data, finite=True)
        history, last_finite, report = {}, self._w.copy(), _Report(epochs, progress)
        for epoch in range(1, epochs + 1):
            order, sums = self.generator.permutation(len(x)), {}
            for start in range(0, len(x), batch_size):
                rows = order[start : start + batch_size]
                parts = self._workspace(sizes | {"N": len(rows)})
                for ws in parts:
                    _room(ws, x)
                    _gather(x, rows[ws.rows], ws.x)
                    _gather(y, rows[ws.rows], ws.y)
                # What overflows shows in the loss.
                with np.errstate(all="ignore"), _blas(parts):
                    value = sum(_each(_forward, parts))
                    if not math.isfinite(value):
                        self._w[...] = last_finite
                        raise FloatingPointError(
                            f"the loss became {value} in epoch {epoch}, at sample {start} of "
                            f"{len(x)}; the parameters of the last finite loss are kept. "
                            "A smaller learning_rate or a gradient_clip_norm may help."
                        )
                    last_finite[...] = self._w
                    measured = {"loss": value}  # while the output is there
                    for ws in parts:
                        for name, mean in metrics(ws.z_2, ws.y).items():
                            measured[name] = measured.get(name, 0.0) + ws.share * mean
                    if len(parts) > 1:
                        _each(_backward, parts)
                    self._step(parts)
                for name, mean in measured.items():
                    sums[name] = sums.get(name, 0) + mean * len(rows)
                done = start + len(rows)
                report.batch(epoch, done / len(x), sums["loss"] / done)
            self.epoch += 1
            values = {name: total / len(x) for name, total in sums.items()}
            if validation_data is not None:
                validation = self.evaluate(*validation_data)
                values |= {f"val_{name}": value for name, value in validation.items()}
            for name, value in values.items():
                history.setdefault(name, []).append(value)
            report.epoch(epoch, values)
        return history

    def predict(self, x):
        """Class labels, without meaning where the output is nan."""
        return self._answers.read(x, labels)

    def predict_proba(self, x):
        """The probability of each class."""
        return self._answers.read(x, lambda z: np.array(probabilities(z)))

    def evaluate(self, x, y):
        """The loss, unregularized, and what else measures the network, in inference mode."""
        x, y, sizes = _batch(x, y)

        def measured(z, ws, rows):
            ws.y[...] = y[rows]
            share = len(z) / len(x)
            found = {"loss": float(loss_pass(ws)), **metrics(z, ws.y)}
            return {name: share * value for name, value in found.items()}

        first, *others = self._evaluations.each(x, sizes, MEASURED, measured)
        return {name: value + sum(o[name] for o in others) for name, value in first.items()}

    def _state(self):
        """All that changes while training, {name: view}, the generator aside."""
        optimizer = self._optimizer
        return {**self.params, **{f"optimizer.{name}": a for name, a in optimizer.state.items()}}

    def __getstate__(self):  # of a copy, whose views must be of arrays of its own
        arrays = {name: array.copy() for name, array in self._state().items()}
        return len(self._w_bars), self.epoch, self.generator, arrays

    def __setstate__(self, saved):
        threads, epoch, generator, arrays = saved
        self.__init__(threads=threads)
        self.epoch, self.generator = epoch, generator
        for name, array in self._state().items():
            array[...] = arrays[name]

    def save(self, path):
        """Write parameters, optimizer state, epoch and generator state to one .npz file."""
        beside = f"{os.fspath(path)}.{os.getpid()}.tmp"
        arrays = {"network": NAME, "epoch": self.epoch, **self._state()}
        arrays["generator"] = json.dumps(self.generator.bit_generator.state)
        # `optimizer.m` is m divided by its unit
        arrays["units"] = json.dumps(self._optimizer.units)
        try:
            with open(beside, "wb") as file:
                np.savez(file, **arrays)
            os.replace(beside, path)
        finally:
            if os.path.exists(beside):
                os.remove(beside)

    @classmethod
    def load(cls, path, threads=None):
        """The model that `save` wrote; with as many threads its training goes on bit for bit."""
        with open(path, "rb") as file:
            saved = {}
            if zipfile.is_zipfile(file):
                file.seek(0)
                with np.load(file, allow_pickle=False) as held:
                    saved = {name: held[name] for name in held.files}
        if not saved.keys() >= {"network", "epoch", "generator"}:
            raise ValueError(f"{path} is no file that Model.save wrote")
        network, epoch, generator = (saved.pop(key) for key in ("network", "epoch", "generator"))
        units = json.loads(str(saved.pop("units", "{}")))
        if str(network) != NAME:
            raise ValueError(f"{path} holds the network {network}, not {NAME}")
        model = cls(threads=threads)
        state = model._state()
        for name in sorted(state.keys() | saved.keys()):
            given, expected = (np.shape(d[name]) if name in d else None for d in (saved, state))
            if given != expected:
                raise ValueError(
                    f"{path} is of another version of {NAME}: {name}: "
                    f"expected {expected or 'nothing'}, given {given or 'nothing'}"
                )
        for name, array in state.items():
            array[...] = saved[name]
        own = model._optimizer.units
        for name in units.keys() | own.keys():  # of a module that kept states in other units
            if units.get(name, 1) != own.get(name, 1):
                model._optimizer.state[name] *= units.get(name, 1) / own.get(name, 1)
        model.epoch = int(epoch)
        model.generator.bit_generator.state = json.loads(str(generator))
        return model


class _Answers:
    """Workspaces of inference, each in one thread at a time; those of the last sizes are kept."""

    def __init__(self, params, dtype, threads=None, with_loss=False):
        self.params, self.dtype, self.threads = params, dtype, threads
        self.with_loss = with_loss
        self.free = {}
        self.last = None, {}  # shape and type of the last input, and the sizes that they fix

    def read(self, x, read):
        """`read(z)` of the output for all of `x`; what that gives must not be memory of `z`."""
        x = np.asarray(x)
        kind, sizes = self.last
        if kind != (x.shape, x.dtype) or INPUT["below"] is not None:
            x, sizes = _fitting(x, INPUT, {})
            self.last = (x.shape, x.dtype), sizes
        found = self.each(x, sizes, ANSWERED, lambda z, ws, rows: read(z))
        return found[0] if len(found) == 1 else np.concatenate(found)

    def each(self, x, sizes, most, read):
        """`read(z, ws, rows)` of the output of each part of `x`, of so many samples at most.

        What it gives must not be memory of the workspace `ws`.
        """
        N = len(x)
        if most is None or N <= most:
            return [self.one(x, sizes, slice(0, N), read)]
        parts = [slice(k, min(k + most, N)) for k in range(0, N, most)]
        count = min(len(parts), _threads(self.threads, ANSWERING))

        def some(k):
            own = parts[k::count]
            return [self.one(x[r], sizes | {"N": r.stop - r.start}, r, read) for r in own]

        found = [None] * len(parts)
        with _blas(range(count)):
            for k, own in enumerate(_each(some, range(count))):
                found[k::count] = own
        return found

    def one(self, x, sizes, rows, read):
        """The same of one part."""
        key = tuple(sizes.values())
        try:
            ws = self.free[key].pop()
        except (KeyError, IndexError):  # of a new size, or all are in use by other threads
            ws = Inference(self.params, self.dtype, **sizes)
            if self.with_loss:
                loss_arrays(ws)
            for oldest in [*self.free][:-3]:
                self.free.pop(oldest, None)
        found = read(inference_pass(ws, x), ws, rows)
        if len(x) <= KEPT:
            self.free.setdefault(key, []).append(ws)
        return found


_last = {}, None  # the arrays of the last call of `forward`, and the workspaces that read them


def _answers(params):
    """The workspaces for these parameters: those of the last call, if its arrays are given again.

    They read the arrays where these are, so that changes in them are seen. Where one is of another
    type or order, a copy is made at each call and nothing is kept.
    """
    global _last
    arrays, answers = _last
    same = map(operator.is_, map(params.get, arrays), arrays.values())
    if answers is None or len(params) != len(arrays) or not all(same):
        arrays, dtype = _held(params, ARRAYS)
        answers = _Answers(arrays, dtype)
        if all(params[name] is array for name, array in arrays.items()):
            _last = arrays, answers
    return answers


class _Parameters(dict):
    """The views of a model's parameters; `params[name] = array` writes into one of them."""

    def __setitem__(self, name, array):
        if name not in self:
            raise KeyError(f"{name}: the parameters are {', '.join(self)}")
        self[name][...] = array

    def update(self, *others, **named):
        """Writes each of these arrays into its view."""
        for name, array in dict(*others, **named).items():
            self[name] = array

    def __ior__(self, others):
        self.update(others)
        return self

    def __reduce__(self):  # a copy is a plain dictionary of arrays
        return dict, (dict(self),)


class _Report:
    """Progress on stderr: a line that is rewritten on a terminal, elsewhere some lines in all."""

    def __init__(self, epochs, wanted):
        self.epochs, self.wanted = epochs, wanted
        self.live = wanted and sys.stderr.isatty()
        self.began = self.shown = time.monotonic()

    def batch(self, epoch, part, value):
        if self.live and time.monotonic() - self.shown > 0.1:
            self.shown = time.monotonic()
            done = (epoch - 1 + part) / self.epochs
            left = (self.shown - self.began) * (1 - done) / done
            bar = ("#" * round(30 * done)).ljust(30, ".")
            line = f"epoch {epoch}/{self.epochs} [{bar}] loss {value:.4g}, {left:.0f} s left"
            print("\r" + line.ljust(79), end="", file=sys.stderr, flush=True)

    def epoch(self, epoch, values):
        if self.wanted and (epoch * 20 // self.epochs > (epoch - 1) * 20 // self.epochs):
            line = " ".join(f"{name} {value:.4g}" for name, value in values.items())
            line = f"epoch {epoch}/{self.epochs} {line}"
            print("\r" + line.ljust(79) if self.live else line, file=sys.stderr)


def _empty(shape, dtype):
    """An array; a large one begins at a cache line, where NumPy's loops over it are fastest."""
    count = math.prod(shape) if isinstance(shape, tuple) else shape
    size = count * np.dtype(dtype).itemsize
    if size < 4096:
        return np.empty(shape, dtype)
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


def _lent(memory, shape, dtype):
    """An array in memory that is free as long as it is read; one of its own where it is larger."""
    count = math.prod(shape) if isinstance(shape, tuple) else shape
    held = memory.view(dtype)
    return held[:count].reshape(shape) if count <= len(held) else _empty(shape, dtype)


def _zeros(shape, dtype):
    """The same, filled with 0."""
    array = _empty(shape, dtype)
    array.fill(0)
    return array


def _views(flat, shapes):
    """{public name: view} of a flat array that holds all arrays, one after the other."""
    views, start = {}, 0
    for name, shape in shapes.items():
        stop = start + math.prod(shape)
        views[name] = flat[start:stop].reshape(shape)
        start = stop
    return views


def _held(params, needed):
    """The arrays of `params`, of float64 where one is, else of float32; and that type.

    What fits is not copied. States that are not `needed` may be left out; they are 0 then. Without
    any arrays the type is the network's own.
    """
    if params.keys() != ARRAYS.keys():
        odd = sorted(name for name in params.keys() ^ ARRAYS.keys() if name in {**params,
            **needed})
        if odd:
            raise ValueError(f"params: expected the names in ARRAYS; missing or unknown: {odd}")
    arrays = {}
    for name, shape in ARRAYS.items():
        array = np.asarray(params[name] if name in params else np.zeros(shape, np.float32))
        if array.shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, given {array.shape}")
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{name}: expected numbers, given elements of type {array.dtype}")
        arrays[name] = array
    dtype = np.result_type(np.float32, *({a.dtype for a in arrays.values()} or [DTYPE]))
    return {name: np.asarray(a, dtype, order="C") for name, a in arrays.items()}, dtype


def _gather(array, rows, out):
    """Rows of an array; where they do not lie one after the other in `out`, a few at a time."""
    if out.flags.c_contiguous:
        np.take(array, rows, axis=0, out=out, mode="clip")
        return
    few = max(1, 2**14 // math.prod(out.shape[1:]))
    for k in range(0, len(rows), few):
        out[k : k + few] = array[rows[k : k + few]]


def _flat(params, needed):
    """The same arrays copied into one, one after the other."""
    arrays, dtype = _held(params, needed)
    flat = _empty(sum(a.size for a in arrays.values()), dtype)
    return np.concatenate([np.empty(0, dtype), *map(np.ravel, arrays.values())], out=flat)


def _weights(sample_weight, N):
    """Weights that fit N samples."""
    array = np.asarray(sample_weight)
    if array.shape != (N,):
        raise ValueError(f"sample_weight: expected shape ({N},), given {array.shape}")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"sample_weight: expected numbers, given elements of type {array.dtype}")
    return array


def _batch(x, y, finite=False):
    """Inputs and targets that fit, and the sizes that they fix."""
    x, sizes = _fitting(x, INPUT, {}, finite)
    y, _ = _fitting(y, TARGET, sizes, finite)
    return x, y, sizes


def _fitting(array, wanted, sizes, finite=False):
    """The array as `wanted` describes it, and with `sizes` those that it fixes."""
    array, name, stop = np.asarray(array), wanted["name"], wanted["below"]
    axes = [sizes.get(axis, axis) for axis in wanted["axes"]]
    if len(axes) != array.ndim or not all(
        size == axis or (size > 0 and isinstance(axis, str))
        for size, axis in zip(array.shape, axes, strict=True)
    ):
        expected = str(tuple(axes)).replace("'", "")
        if 0 in array.shape:
            expected += " without a 0"
        raise ValueError(f"{name}: expected shape {expected}, given {array.shape}")
    if array.dtype.kind not in ("fiub" if stop is None else "iub"):
        expected = "numbers" if stop is None else "integers"
        raise ValueError(f"{name}: expected {expected}, given elements of type {array.dtype}")
    held = array[array != wanted["ignored"]] if "ignored" in wanted else array
    if stop is not None and held.size and not 0 <= held.min() <= held.max() < stop:
        raise ValueError(
            f"{name}: expected integers from 0 to {stop - 1}, given {held.min()} to {held.max()}"
        )
    if finite:
        with np.errstate(over="ignore"):
            array = array.astype(DTYPE if stop is None else np.int64, order="C", copy=False)
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite numbers, given nan, inf or too large ones")
    sizes = {a: s for a, s in zip(wanted["axes"], array.shape, strict=True) if isinstance(a, str)}
    return array, sizes
