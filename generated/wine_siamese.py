"""Are two wines of one cultivar? A siamese network

    input         x    N x 2 x 13
    left          y_1  N x 13
    hidden        z_2  N x 32      448 parameters
    tanh_1        a_2  N x 32
    code          z_3  N x 8       264 parameters
    right         y_4  N x 13
    right_hidden  z_5  N x 32
    tanh_2        a_5  N x 32
    right_code    z_6  N x 8
    pair_1        y_7  N x 2 x 8

712 parameters, float32. Loss: contrastive. Optimizer: adam, learning_rate = 0.001.

Generated from wine_siamese.toml by `derive generate`; change the spec and generate it again, never
this file. It needs NumPy only.

A number such as (7) in a comment is that of the equation which the line computes a part of:
wine_siamese.html and wine_siamese.tex derive it under this number, and `derive explain` tells what
stands behind a line.

    (1) to (12)   the forward pass and the loss
    (13) to (24)  the cotangents
    (25) to (27)  a step of adam
    (28) to (29)  the loss with a weight for each sample
    (30) to (34)  the gradient of each sample
    (35) to (36)  initial values

`W_bar` is the cotangent of `W`, the derivative of the loss by it. N is the number of samples in a
batch; the axes of an array are the indices that its equation has, in order. `w` and `w_bar` hold
all parameters and their cotangents one after the other, element p.

Where a derivative does not exist: of equal arguments of a maximum or minimum the first has the
whole derivative.

A gradient on a batch of 64 takes 553,608 floating-point operations and moves 410,348 bytes.

A training step on a batch of 64 works in 39,822 bytes of memory, which it uses again at every
step, beside 2,848 bytes of parameters, 2,848 of their cotangents and 5,696 of the state of adam.
An input that fits is read where it is.
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

NAME = "wine_siamese"
DTYPE = np.float32
PARAMETERS = {  # public name: shape
    "hidden.W": (13, 32),
    "hidden.b": (32,),
    "code.W": (32, 8),
    "code.b": (8,),
}
STATES = {}
ARRAYS = {**PARAMETERS, **STATES}  # all that `params` holds
SIZE = sum(math.prod(shape) for shape in PARAMETERS.values())  # 712
THREADS = 1  # threads that share a batch in training, where nothing else is said
NOT_SHARED = ""
ANSWERED = 1024  # samples that are answered at once, more in turn; None: all
MEASURED = 1024  # and those whose loss is computed at once
ANSWERING = 1  # threads that share an answer in turn
KEPT = 1024  # samples; arrays for as many are kept for the next answer
INPUT = {"name": "x", "axes": ("N", 2, 13), "below": None}
TARGET = {"name": "y", "axes": ("N",), "below": None}


def init(seed=0):
    """Fresh parameters, {public name: array}; `seed` may be a `numpy.random.Generator`."""
    draw = np.random.default_rng(seed)
    params = _views(np.zeros(sum(map(math.prod, ARRAYS.values())), DTYPE), ARRAYS)
    params["hidden.W"][...] = (  # (35)
        0.7302967433402214*draw.random((13, 32)) - 0.3651483716701107
    )
    params["hidden.b"][...] = 0  # (36)
    params["code.W"][...] = (  # (35)
        0.7745966692414834*draw.random((32, 8)) - 0.3872983346207417
    )
    params["code.b"][...] = 0  # (36)
    return params


def forward(params, x):
    """The output y_7 in inference mode.

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
        weight = _weights(sample_weight, len(x)).astype(ws.y_7.T.dtype)
        value, ws.y_7_bar.T[...] = weighted_loss(ws.y_7.T, ws.y, weight)
    backward_pass(ws)
    return float(value)


class Training:
    """The arrays of a training step on N samples; parameters are views into the flat `w`."""

    def __init__(ws, w, w_bar, N):
        p, g, dtype = _views(w, ARRAYS), _views(w_bar, PARAMETERS), w.dtype
        ws.W_2, ws.W_2_bar = p["hidden.W"], g["hidden.W"]  # 13 x 32
        ws.b_2, ws.b_2_bar = p["hidden.b"], g["hidden.b"]  # 32
        ws.W_3, ws.W_3_bar = p["code.W"], g["code.W"]  # 32 x 8
        ws.b_3, ws.b_3_bar = p["code.b"], g["code.b"]  # 8
        ws.x = ws.held = None  # an input is read where it is, or here
        ws.dtype = dtype
        ws.y = _empty(N, dtype)
        ws.z_2 = _empty((32, N), dtype)
        ws.a_2 = ws.z_2
        ws.z_2_bar = ws.z_2
        ws.slot_2 = _empty(8*N, dtype)
        ws.z_3 = ws.slot_2[:8*N].reshape(8, N)
        ws.s = ws.slot_2[2*N:3*N].reshape(N,)
        ws.r = ws.slot_2[3*N:4*N].reshape(N,)
        ws.t_3 = ws.slot_2[4*N:5*N].reshape(N,)
        ws.t_4 = ws.slot_2[:N].reshape(N,)
        ws.t_5 = ws.slot_2[N:2*N].reshape(N,)
        ws.t_12 = ws.slot_2[2*N:3*N].reshape(N,)
        ws.t_13 = ws.slot_2[:N].reshape(N,)
        ws.t_14 = ws.slot_2[:N].reshape(N,)
        ws.t_15 = ws.slot_2[:2*N].reshape(2, N)
        ws.z_6_bar = ws.slot_2[:8*N].reshape(8, N)
        ws.z_5 = _empty((32, N), dtype)
        ws.a_5 = ws.z_5
        ws.a_2_bar = ws.z_5
        ws.slot_4 = _empty(16*N, dtype)
        ws.z_6 = ws.slot_4[:8*N].reshape(8, N)
        ws.t_18 = ws.slot_4[:16*N].reshape(2, 8, N)
        ws.slot_5 = _empty(32*N, dtype)
        ws.y_7 = ws.slot_5[:16*N].reshape(8, 2, N)
        ws.y_7_bar = ws.slot_5[16*N:32*N].reshape(8, 2, N)
        ws.a_5_bar = ws.slot_5[:32*N].reshape(32, N)
        ws.z_3_bar = ws.slot_5[:8*N].reshape(8, N)
        ws.slot_6 = _empty(32*N, dtype)
        ws.t_2 = ws.slot_6[:8*N].reshape(8, N)
        ws.z_5_bar = ws.slot_6[:32*N].reshape(32, N)
        ws.t_11 = _lent(ws.slot_4[0:16*N], (N,), bool)
        ws.t_20 = _lent(ws.slot_4[0:16*N], (8,), dtype)
        ws.t_21 = _lent(ws.slot_4[0:16*N], (32, 8), dtype)
        ws.t_22 = _lent(ws.slot_4[0:16*N], (32,), dtype)
        ws.t_23 = _lent(ws.slot_4[0:16*N], (13, 32), dtype)
        ws.s_1 = np.arange(2)  # (9)
        ws.t_1 = np.equal(ws.s_1, 0)  # (9)
        ws.t_7 = np.equal(ws.s_1, 1)  # (13)
        ws.t_8 = ws.t_1.astype(dtype)  # (13)
        ws.t_9 = ws.t_7.astype(dtype)  # (13)
        ws.t_10 = np.subtract(ws.t_8, ws.t_9)  # (13)
        ws.t_16 = np.logical_not(ws.t_1)  # (14)
        ws.t_17 = ws.t_16.astype(dtype)  # (14)
        ws.t_19 = ws.t_1.astype(dtype)  # (17)
        ws.ones = np.ones(N, dtype)  # (18)
        ws.W_2_T = ws.W_2.T  # (2)
        ws.b_2_column = ws.b_2[:, None]  # (2)
        ws.W_3_T = ws.W_3.T  # (4)
        ws.b_3_column = ws.b_3[:, None]  # (4)
        ws.z_6_wide = ws.z_6[:, None]  # (9)
        ws.z_3_wide = ws.z_3[:, None]  # (9)
        ws.t_1_column = ws.t_1[:, None]  # (9)
        ws.y_7_at0 = ws.y_7[:, 0]  # (10)
        ws.y_7_at1 = ws.y_7[:, 1]  # (10)
        ws.number_1e_minus_24 = np.array(1e-24, dtype)  # (11)
        ws.one = np.array(1, dtype)  # (12)
        ws.zero = np.array(0, dtype)  # (12)
        ws.number_2_N = np.array(2 / N, dtype)  # (13)
        ws.t_10_column = ws.t_10[:, None]  # (13)
        ws.t_2_wide = ws.t_2[:, None]  # (13)
        ws.y_7_bar_turned = ws.y_7_bar.transpose(1, 0, 2)  # (14)
        ws.t_18_matrix_T = ws.t_18.reshape(2, 8*N).T  # (14)
        ws.z_6_bar_flat = ws.z_6_bar.reshape(8*N,)  # (14)
        ws.z_3_bar_flat = ws.z_3_bar.reshape(8*N,)  # (17)
        ws.z_3_bar_T = ws.z_3_bar.T  # (19)
        ws.z_6_bar_T = ws.z_6_bar.T  # (19)
        ws.z_2_bar_T = ws.z_2_bar.T  # (23)
        ws.z_5_bar_T = ws.z_5_bar.T  # (23)


def forward_pass(ws):
    """The loss of the batch in `ws.x` and `ws.y`."""
    N = len(ws.x)
    # (2) z_2[n,j] = sum[i](y_1[n,i]*W_2[i,j]) + b_2[j]
    np.matmul(ws.W_2_T, ws.x[:, 0].T, out=ws.z_2)  # (2)
    np.add(ws.z_2, ws.b_2_column, out=ws.z_2)  # (2)
    # (3) a_2[n,j] = tanh(z_2[n,j])
    np.tanh(ws.z_2, out=ws.a_2)  # (3)
    # (4) z_3[n,k] = sum[j](a_2[n,j]*W_3[j,k]) + b_3[k]
    np.dot(ws.W_3_T, ws.a_2, out=ws.z_3)  # (4)
    np.add(ws.z_3, ws.b_3_column, out=ws.z_3)  # (4)
    # (6) z_5[n,j] = sum[i](y_4[n,i]*W_2[i,j]) + b_2[j]
    np.matmul(ws.W_2_T, ws.x[:, 1].T, out=ws.z_5)  # (6)
    np.add(ws.z_5, ws.b_2_column, out=ws.z_5)  # (6)
    # (7) a_5[n,j] = tanh(z_5[n,j])
    np.tanh(ws.z_5, out=ws.a_5)  # (7)
    # (8) z_6[n,k] = sum[j](a_5[n,j]*W_3[j,k]) + b_3[k]
    np.dot(ws.W_3_T, ws.a_5, out=ws.z_6)  # (8)
    np.add(ws.z_6, ws.b_3_column, out=ws.z_6)  # (8)
    # (9) y_7[n,s,k] = where(s == 0, z_3[n,k], z_6[n,k])
    np.copyto(ws.y_7, ws.z_6_wide)  # (9)
    np.copyto(ws.y_7, ws.z_3_wide, where=ws.t_1_column)  # (9)
    # (10) s[n] = sum[k]((y_7[n,0,k] - y_7[n,1,k])**2)
    np.subtract(ws.y_7_at0, ws.y_7_at1, out=ws.t_2)  # (10)
    np.einsum("kn,kn->n", ws.t_2, ws.t_2, out=ws.s)  # (10)
    # (11) r[n] = sqrt(maximum(s[n], 1E-24))
    np.maximum(ws.s, ws.number_1e_minus_24, out=ws.r)  # (11)
    np.sqrt(ws.r, out=ws.r)  # (11)
    # (12) L = mean[n](r[n]**2*y[n] + (1 - y[n])*maximum(1 - r[n], 0)**2)
    np.square(ws.r, out=ws.t_3)  # (12)
    np.multiply(ws.t_3, ws.y, out=ws.t_3)  # (12)
    np.subtract(ws.one, ws.r, out=ws.t_4)  # (12)
    np.maximum(ws.t_4, ws.zero, out=ws.t_4)  # (12)
    np.square(ws.t_4, out=ws.t_4)  # (12)
    np.subtract(ws.one, ws.y, out=ws.t_5)  # (12)
    np.multiply(ws.t_4, ws.t_5, out=ws.t_4)  # (12)
    np.add(ws.t_3, ws.t_4, out=ws.t_3)  # (12)
    t_6 = np.add.reduce(ws.t_3, axis=None)  # (12)
    L = t_6 / N  # (12)
    return L


def loss_backward(ws):
    """The cotangent y_7_bar of the output."""
    # (13) y_7_bar[n,s,k] = 2*where(1E-24 <= s[n], (maximum(1 - r[n], 0)*(y[n] - 1) +
    #     r[n]*y[n])/r[n], 0)*(y_7[n,0,k] - y_7[n,1,k])*((s == 0) - (s == 1))/N
    np.less_equal(ws.number_1e_minus_24, ws.s, out=ws.t_11)  # (13)
    np.subtract(ws.y, ws.one, out=ws.t_12)  # (13)
    np.subtract(ws.one, ws.r, out=ws.t_13)  # (13)
    np.maximum(ws.t_13, ws.zero, out=ws.t_13)  # (13)
    np.multiply(ws.t_12, ws.t_13, out=ws.t_12)  # (13)
    np.multiply(ws.r, ws.y, out=ws.t_14)  # (13)
    np.add(ws.t_12, ws.t_14, out=ws.t_12)  # (13)
    np.divide(ws.t_12, ws.r, out=ws.t_12)  # (13)
    np.multiply(ws.t_12, ws.t_11, out=ws.t_12)  # (13)
    np.multiply(ws.t_12, ws.number_2_N, out=ws.t_12)  # (13)
    np.multiply(ws.t_12, ws.t_10_column, out=ws.t_15)  # (13)
    np.multiply(ws.t_15, ws.t_2_wide, out=ws.y_7_bar)  # (13)


def backward_pass(ws):
    """The cotangents of all parameters, from y_7_bar."""
    # (14) z_6_bar[n,k] = sum[s](where(not (s == 0), y_7_bar[n,s,k], 0))
    np.copyto(ws.t_18, ws.y_7_bar_turned)  # (14)
    np.dot(ws.t_18_matrix_T, ws.t_17, out=ws.z_6_bar_flat)  # (14)
    # (15) a_5_bar[n,j] = sum[k](z_6_bar[n,k]*W_3[j,k])
    np.dot(ws.W_3, ws.z_6_bar, out=ws.a_5_bar)  # (15)
    # (16) z_5_bar[n,j] = (1 - a_5[n,j]**2)*a_5_bar[n,j]
    np.square(ws.a_5, out=ws.z_5_bar)  # (16)
    np.subtract(ws.one, ws.z_5_bar, out=ws.z_5_bar)  # (16)
    np.multiply(ws.z_5_bar, ws.a_5_bar, out=ws.z_5_bar)  # (16)
    # (17) z_3_bar[n,k] = sum[s](where(s == 0, y_7_bar[n,s,k], 0))
    np.dot(ws.t_18_matrix_T, ws.t_19, out=ws.z_3_bar_flat)  # (17)
    # (18) b_3_bar[k] = sum[n](z_3_bar[n,k]) + sum[n](z_6_bar[n,k])
    np.dot(ws.z_3_bar, ws.ones, out=ws.b_3_bar)  # (18)
    np.dot(ws.z_6_bar, ws.ones, out=ws.t_20)  # (18)
    np.add(ws.b_3_bar, ws.t_20, out=ws.b_3_bar)  # (18)
    # (19) W_3_bar[j,k] = sum[n](a_2[n,j]*z_3_bar[n,k]) + sum[n](a_5[n,j]*z_6_bar[n,k])
    np.dot(ws.a_2, ws.z_3_bar_T, out=ws.W_3_bar)  # (19)
    np.dot(ws.a_5, ws.z_6_bar_T, out=ws.t_21)  # (19)
    np.add(ws.W_3_bar, ws.t_21, out=ws.W_3_bar)  # (19)
    # (20) a_2_bar[n,j] = sum[k](z_3_bar[n,k]*W_3[j,k])
    np.dot(ws.W_3, ws.z_3_bar, out=ws.a_2_bar)  # (20)
    # (21) z_2_bar[n,j] = (1 - a_2[n,j]**2)*a_2_bar[n,j]
    np.square(ws.a_2, out=ws.z_2_bar)  # (21)
    np.subtract(ws.one, ws.z_2_bar, out=ws.z_2_bar)  # (21)
    np.multiply(ws.z_2_bar, ws.a_2_bar, out=ws.z_2_bar)  # (21)
    # (22) b_2_bar[j] = sum[n](z_2_bar[n,j]) + sum[n](z_5_bar[n,j])
    np.dot(ws.z_2_bar, ws.ones, out=ws.t_22)  # (22)
    np.dot(ws.z_5_bar, ws.ones, out=ws.b_2_bar)  # (22)
    np.add(ws.b_2_bar, ws.t_22, out=ws.b_2_bar)  # (22)
    # (23) W_2_bar[i,j] = sum[n](y_1[n,i]*z_2_bar[n,j]) + sum[n](y_4[n,i]*z_5_bar[n,j])
    np.matmul(ws.x[:, 0].T, ws.z_2_bar_T, out=ws.W_2_bar)  # (23)
    np.matmul(ws.x[:, 1].T, ws.z_5_bar_T, out=ws.t_23)  # (23)
    np.add(ws.W_2_bar, ws.t_23, out=ws.W_2_bar)  # (23)


def input_arrays(ws):
    """What `input_pass` needs, the array of its result aside."""
    N = len(ws.x)
    dtype = ws.x.dtype
    ws.t_24 = _empty((13, N), dtype)
    ws.t_25 = _empty((13, N), dtype)
    ws.t_24_T = ws.t_24.T  # (24)
    ws.t_25_T = ws.t_25.T  # (24)


def input_pass(ws):
    """The cotangent x_bar of the input, after those of the parameters."""
    # (24) x_bar[n,s,i] = sum[j](z_2_bar[n,j]*W_2[i,j])*(s == 0) +
    #     sum[j](z_5_bar[n,j]*W_2[i,j])*(s == 1)
    np.dot(ws.W_2, ws.z_2_bar, out=ws.t_24)  # (24)
    np.dot(ws.W_2, ws.z_5_bar, out=ws.t_25)  # (24)
    ws.x_bar[:, 0] = ws.t_24_T  # (24)
    ws.x_bar[:, 1] = ws.t_25_T  # (24)


class Inference:
    """The arrays of an answer to N samples; the parameters `p` are only read."""

    def __init__(ws, p, dtype, N):
        ws.dtype = dtype
        ws.W_2 = p["hidden.W"]  # 13 x 32
        ws.b_2 = p["hidden.b"]  # 32
        ws.W_3 = p["code.W"]  # 32 x 8
        ws.b_3 = p["code.b"]  # 8
        ws.slot_1 = _empty(32*N, dtype)
        ws.z_2 = ws.slot_1[:32*N].reshape(32, N)
        ws.a_2 = ws.slot_1[:32*N].reshape(32, N)
        ws.z_5 = ws.slot_1[:32*N].reshape(32, N)
        ws.a_5 = ws.slot_1[:32*N].reshape(32, N)
        ws.y_7 = ws.slot_1[:16*N].reshape(8, 2, N)
        ws.z_3 = _empty((8, N), dtype)
        ws.z_6 = _empty((8, N), dtype)
        ws.s_1 = np.arange(2)  # (9)
        ws.t_1 = np.equal(ws.s_1, 0)  # (9)
        ws.W_2_T = ws.W_2.T  # (2)
        ws.b_2_column = ws.b_2[:, None]  # (2)
        ws.W_3_T = ws.W_3.T  # (4)
        ws.b_3_column = ws.b_3[:, None]  # (4)
        ws.z_6_wide = ws.z_6[:, None]  # (9)
        ws.z_3_wide = ws.z_3[:, None]  # (9)
        ws.t_1_column = ws.t_1[:, None]  # (9)


def inference_pass(ws, x):
    """The output y_7 for x, in memory of the workspace."""
    x = np.ascontiguousarray(x, ws.dtype)  # itself, if it is so
    # (2) z_2[n,j] = sum[i](y_1[n,i]*W_2[i,j]) + b_2[j]
    np.matmul(ws.W_2_T, x[:, 0].T, out=ws.z_2)  # (2)
    np.add(ws.z_2, ws.b_2_column, out=ws.z_2)  # (2)
    # (3) a_2[n,j] = tanh(z_2[n,j])
    np.tanh(ws.z_2, out=ws.a_2)  # (3)
    # (4) z_3[n,k] = sum[j](a_2[n,j]*W_3[j,k]) + b_3[k]
    np.dot(ws.W_3_T, ws.a_2, out=ws.z_3)  # (4)
    np.add(ws.z_3, ws.b_3_column, out=ws.z_3)  # (4)
    # (6) z_5[n,j] = sum[i](y_4[n,i]*W_2[i,j]) + b_2[j]
    np.matmul(ws.W_2_T, x[:, 1].T, out=ws.z_5)  # (6)
    np.add(ws.z_5, ws.b_2_column, out=ws.z_5)  # (6)
    # (7) a_5[n,j] = tanh(z_5[n,j])
    np.tanh(ws.z_5, out=ws.a_5)  # (7)
    # (8) z_6[n,k] = sum[j](a_5[n,j]*W_3[j,k]) + b_3[k]
    np.dot(ws.W_3_T, ws.a_5, out=ws.z_6)  # (8)
    np.add(ws.z_6, ws.b_3_column, out=ws.z_6)  # (8)
    # (9) y_7[n,s,k] = where(s == 0, z_3[n,k], z_6[n,k])
    np.copyto(ws.y_7, ws.z_6_wide)  # (9)
    np.copyto(ws.y_7, ws.z_3_wide, where=ws.t_1_column)  # (9)
    return ws.y_7.T


def loss_arrays(ws):
    """What `loss_pass` needs."""
    N = len(ws.y_7.T)
    dtype = ws.dtype
    ws.y = _empty(N, dtype)
    ws.slot_4 = _empty(8*N, dtype)
    ws.t_2 = ws.slot_4[:8*N].reshape(8, N)
    ws.t_3 = ws.slot_4[:N].reshape(N,)
    ws.t_5 = ws.slot_4[N:2*N].reshape(N,)
    ws.s = _empty((N,), dtype)
    ws.r = ws.s
    ws.t_4 = ws.s
    ws.y_7_at0 = ws.y_7[:, 0]  # (10)
    ws.y_7_at1 = ws.y_7[:, 1]  # (10)
    ws.number_1e_minus_24 = np.array(1e-24, dtype)  # (11)
    ws.one = np.array(1, dtype)  # (12)
    ws.zero = np.array(0, dtype)  # (12)


def loss_pass(ws):
    """The loss of that output for `ws.y`."""
    N = len(ws.y)
    # (10) s[n] = sum[k]((y_7[n,0,k] - y_7[n,1,k])**2)
    np.subtract(ws.y_7_at0, ws.y_7_at1, out=ws.t_2)  # (10)
    np.einsum("kn,kn->n", ws.t_2, ws.t_2, out=ws.s)  # (10)
    # (11) r[n] = sqrt(maximum(s[n], 1E-24))
    np.maximum(ws.s, ws.number_1e_minus_24, out=ws.r)  # (11)
    np.sqrt(ws.r, out=ws.r)  # (11)
    # (12) L = mean[n](r[n]**2*y[n] + (1 - y[n])*maximum(1 - r[n], 0)**2)
    np.square(ws.r, out=ws.t_3)  # (12)
    np.multiply(ws.t_3, ws.y, out=ws.t_3)  # (12)
    np.subtract(ws.one, ws.r, out=ws.t_4)  # (12)
    np.maximum(ws.t_4, ws.zero, out=ws.t_4)  # (12)
    np.square(ws.t_4, out=ws.t_4)  # (12)
    np.subtract(ws.one, ws.y, out=ws.t_5)  # (12)
    np.multiply(ws.t_4, ws.t_5, out=ws.t_4)  # (12)
    np.add(ws.t_3, ws.t_4, out=ws.t_3)  # (12)
    t_6 = np.add.reduce(ws.t_3, axis=None)  # (12)
    L = t_6 / N  # (12)
    return L


class PerSample:
    """The arrays of the gradients of N samples, each alone."""

    def __init__(ws, w, N):
        p, dtype = _views(w, ARRAYS), w.dtype
        ws.gradients = g = {n: np.empty((N, *s), dtype) for n, s in PARAMETERS.items()}
        ws.W_2, ws.W_2_bar = p["hidden.W"], g["hidden.W"]  # 13 x 32
        ws.b_2, ws.b_2_bar = p["hidden.b"], g["hidden.b"]  # 32
        ws.W_3, ws.W_3_bar = p["code.W"], g["code.W"]  # 32 x 8
        ws.b_3, ws.b_3_bar = p["code.b"], g["code.b"]  # 8
        ws.x = _empty((N, 2, 13), dtype)
        ws.y = _empty(N, dtype)
        ws.slot_1 = _empty(416*N, dtype)
        ws.z_2 = ws.slot_1[256*N:288*N].reshape(N, 32)
        ws.a_2 = ws.slot_1[256*N:288*N].reshape(N, 32)
        ws.z_5 = ws.slot_1[288*N:320*N].reshape(N, 32)
        ws.a_5 = ws.slot_1[288*N:320*N].reshape(N, 32)
        ws.t_2 = ws.slot_1[:8*N].reshape(N, 8)
        ws.t_14 = ws.slot_1[32*N:48*N].reshape(2, N, 8)
        ws.z_6_bar = ws.slot_1[320*N:328*N].reshape(N, 8)
        ws.a_5_bar = ws.slot_1[:32*N].reshape(N, 32)
        ws.z_3_bar = ws.slot_1[328*N:336*N].reshape(N, 8)
        ws.t_16 = ws.slot_1[:256*N].reshape(N, 32, 8)
        ws.a_2_bar = ws.slot_1[:32*N].reshape(N, 32)
        ws.z_2_bar = ws.slot_1[256*N:288*N].reshape(N, 32)
        ws.t_17 = ws.slot_1[:416*N].reshape(N, 13, 32)
        ws.slot_2 = _empty(32*N, dtype)
        ws.z_3 = ws.slot_2[16*N:24*N].reshape(N, 8)
        ws.z_6 = ws.slot_2[24*N:32*N].reshape(N, 8)
        ws.y_7 = ws.slot_2[:16*N].reshape(N, 2, 8)
        ws.s = ws.slot_2[:N].reshape(N,)
        ws.r = ws.slot_2[N:2*N].reshape(N,)
        ws.t_8 = ws.slot_2[:N].reshape(N,)
        ws.t_9 = ws.slot_2[2*N:3*N].reshape(N,)
        ws.t_10 = ws.slot_2[2*N:3*N].reshape(N,)
        ws.t_11 = ws.slot_2[16*N:18*N].reshape(N, 2)
        ws.y_7_bar = ws.slot_2[:16*N].reshape(N, 2, 8)
        ws.z_5_bar = ws.slot_2[:32*N].reshape(N, 32)
        ws.t_7 = _empty((N,), bool)
        ws.s_1 = np.arange(2)  # (9)
        ws.t_1 = np.equal(ws.s_1, 0)  # (9)
        ws.t_3 = np.equal(ws.s_1, 1)  # (30)
        ws.t_4 = ws.t_1.astype(dtype)  # (30)
        ws.t_5 = ws.t_3.astype(dtype)  # (30)
        ws.t_6 = np.subtract(ws.t_4, ws.t_5)  # (30)
        ws.t_12 = np.logical_not(ws.t_1)  # (14)
        ws.t_13 = ws.t_12.astype(dtype)  # (14)
        ws.t_15 = ws.t_1.astype(dtype)  # (17)
        ws.x_at0 = ws.x[:, 0]  # (2)
        ws.x_at1 = ws.x[:, 1]  # (6)
        ws.z_6_wide = ws.z_6[:, None]  # (9)
        ws.z_3_wide = ws.z_3[:, None]  # (9)
        ws.t_1_column = ws.t_1[:, None]  # (9)
        ws.y_7_at0 = ws.y_7[:, 0]  # (10)
        ws.y_7_at1 = ws.y_7[:, 1]  # (10)
        ws.number_1e_minus_24 = np.array(1e-24, dtype)  # (11)
        ws.one = np.array(1, dtype)  # (30)
        ws.zero = np.array(0, dtype)  # (30)
        ws.two = np.array(2, dtype)  # (30)
        ws.t_8_column = ws.t_8[:, None]  # (30)
        ws.t_11_wide = ws.t_11[:, :, None]  # (30)
        ws.t_2_wide = ws.t_2[:, None]  # (30)
        ws.y_7_bar_turned = ws.y_7_bar.transpose(1, 0, 2)  # (14)
        ws.t_14_matrix_T = ws.t_14.reshape(2, 8*N).T  # (14)
        ws.z_6_bar_flat = ws.z_6_bar.reshape(8*N,)  # (14)
        ws.W_3_T = ws.W_3.T  # (15)
        ws.z_3_bar_flat = ws.z_3_bar.reshape(8*N,)  # (17)
        ws.z_3_bar_wide = ws.z_3_bar[:, None]  # (32)
        ws.a_2_wide = ws.a_2[:, :, None]  # (32)
        ws.z_6_bar_wide = ws.z_6_bar[:, None]  # (32)
        ws.a_5_wide = ws.a_5[:, :, None]  # (32)
        ws.z_2_bar_wide = ws.z_2_bar[:, None]  # (34)
        ws.x_at0_wide = ws.x[:, 0][:, :, None]  # (34)
        ws.z_5_bar_wide = ws.z_5_bar[:, None]  # (34)
        ws.x_at1_wide = ws.x[:, 1][:, :, None]  # (34)


def per_sample_pass(ws):
    """The cotangents of all parameters, sample by sample."""
    # (2) z_2[n,j] = sum[i](y_1[n,i]*W_2[i,j]) + b_2[j]
    np.matmul(ws.x_at0, ws.W_2, out=ws.z_2)  # (2)
    np.add(ws.z_2, ws.b_2, out=ws.z_2)  # (2)
    # (3) a_2[n,j] = tanh(z_2[n,j])
    np.tanh(ws.z_2, out=ws.a_2)  # (3)
    # (4) z_3[n,k] = sum[j](a_2[n,j]*W_3[j,k]) + b_3[k]
    np.dot(ws.a_2, ws.W_3, out=ws.z_3)  # (4)
    np.add(ws.z_3, ws.b_3, out=ws.z_3)  # (4)
    # (6) z_5[n,j] = sum[i](y_4[n,i]*W_2[i,j]) + b_2[j]
    np.matmul(ws.x_at1, ws.W_2, out=ws.z_5)  # (6)
    np.add(ws.z_5, ws.b_2, out=ws.z_5)  # (6)
    # (7) a_5[n,j] = tanh(z_5[n,j])
    np.tanh(ws.z_5, out=ws.a_5)  # (7)
    # (8) z_6[n,k] = sum[j](a_5[n,j]*W_3[j,k]) + b_3[k]
    np.dot(ws.a_5, ws.W_3, out=ws.z_6)  # (8)
    np.add(ws.z_6, ws.b_3, out=ws.z_6)  # (8)
    # (9) y_7[n,s,k] = where(s == 0, z_3[n,k], z_6[n,k])
    np.copyto(ws.y_7, ws.z_6_wide)  # (9)
    np.copyto(ws.y_7, ws.z_3_wide, where=ws.t_1_column)  # (9)
    # (10) s[n] = sum[k]((y_7[n,0,k] - y_7[n,1,k])**2)
    np.subtract(ws.y_7_at0, ws.y_7_at1, out=ws.t_2)  # (10)
    np.vecdot(ws.t_2, ws.t_2, out=ws.s)  # (10)
    # (11) r[n] = sqrt(maximum(s[n], 1E-24))
    np.maximum(ws.s, ws.number_1e_minus_24, out=ws.r)  # (11)
    np.sqrt(ws.r, out=ws.r)  # (11)
    # (30) y_7_bar[n,s,k] = 2*where(1E-24 <= s[n], (maximum(1 - r[n], 0)*(y[n] - 1) +
    #     r[n]*y[n])/r[n], 0)*(y_7[n,0,k] - y_7[n,1,k])*((s == 0) - (s == 1))
    np.less_equal(ws.number_1e_minus_24, ws.s, out=ws.t_7)  # (30)
    np.subtract(ws.y, ws.one, out=ws.t_8)  # (30)
    np.subtract(ws.one, ws.r, out=ws.t_9)  # (30)
    np.maximum(ws.t_9, ws.zero, out=ws.t_9)  # (30)
    np.multiply(ws.t_8, ws.t_9, out=ws.t_8)  # (30)
    np.multiply(ws.r, ws.y, out=ws.t_10)  # (30)
    np.add(ws.t_8, ws.t_10, out=ws.t_8)  # (30)
    np.divide(ws.t_8, ws.r, out=ws.t_8)  # (30)
    np.multiply(ws.t_8, ws.t_7, out=ws.t_8)  # (30)
    np.multiply(ws.t_8, ws.two, out=ws.t_8)  # (30)
    np.multiply(ws.t_8_column, ws.t_6, out=ws.t_11)  # (30)
    np.multiply(ws.t_11_wide, ws.t_2_wide, out=ws.y_7_bar)  # (30)
    # (14) z_6_bar[n,k] = sum[s](where(not (s == 0), y_7_bar[n,s,k], 0))
    np.copyto(ws.t_14, ws.y_7_bar_turned)  # (14)
    np.dot(ws.t_14_matrix_T, ws.t_13, out=ws.z_6_bar_flat)  # (14)
    # (15) a_5_bar[n,j] = sum[k](z_6_bar[n,k]*W_3[j,k])
    np.dot(ws.z_6_bar, ws.W_3_T, out=ws.a_5_bar)  # (15)
    # (16) z_5_bar[n,j] = (1 - a_5[n,j]**2)*a_5_bar[n,j]
    np.square(ws.a_5, out=ws.z_5_bar)  # (16)
    np.subtract(ws.one, ws.z_5_bar, out=ws.z_5_bar)  # (16)
    np.multiply(ws.z_5_bar, ws.a_5_bar, out=ws.z_5_bar)  # (16)
    # (17) z_3_bar[n,k] = sum[s](where(s == 0, y_7_bar[n,s,k], 0))
    np.dot(ws.t_14_matrix_T, ws.t_15, out=ws.z_3_bar_flat)  # (17)
    # (31) b_3_bar[n,k] = z_3_bar[n,k] + z_6_bar[n,k]
    np.add(ws.z_3_bar, ws.z_6_bar, out=ws.b_3_bar)  # (31)
    # (32) W_3_bar[n,j,k] = a_2[n,j]*z_3_bar[n,k] + a_5[n,j]*z_6_bar[n,k]
    np.multiply(ws.z_3_bar_wide, ws.a_2_wide, out=ws.W_3_bar)  # (32)
    np.multiply(ws.z_6_bar_wide, ws.a_5_wide, out=ws.t_16)  # (32)
    np.add(ws.W_3_bar, ws.t_16, out=ws.W_3_bar)  # (32)
    # (20) a_2_bar[n,j] = sum[k](z_3_bar[n,k]*W_3[j,k])
    np.dot(ws.z_3_bar, ws.W_3_T, out=ws.a_2_bar)  # (20)
    # (21) z_2_bar[n,j] = (1 - a_2[n,j]**2)*a_2_bar[n,j]
    np.square(ws.a_2, out=ws.z_2_bar)  # (21)
    np.subtract(ws.one, ws.z_2_bar, out=ws.z_2_bar)  # (21)
    np.multiply(ws.z_2_bar, ws.a_2_bar, out=ws.z_2_bar)  # (21)
    # (33) b_2_bar[n,j] = z_2_bar[n,j] + z_5_bar[n,j]
    np.add(ws.z_5_bar, ws.z_2_bar, out=ws.b_2_bar)  # (33)
    # (34) W_2_bar[n,i,j] = y_1[n,i]*z_2_bar[n,j] + y_4[n,i]*z_5_bar[n,j]
    np.multiply(ws.z_2_bar_wide, ws.x_at0_wide, out=ws.W_2_bar)  # (34)
    np.multiply(ws.z_5_bar_wide, ws.x_at1_wide, out=ws.t_17)  # (34)
    np.add(ws.W_2_bar, ws.t_17, out=ws.W_2_bar)  # (34)


class Optimizer:
    """The state of adam, and the flat vectors in tiles."""

    def __init__(ws, w, w_bar, *w_bars):
        ws.learning_rate = 0.001
        ws.t = np.zeros((), np.int64)  # steps made
        ws.m = _zeros(len(w), w.dtype)  # (25) m/0.1
        ws.v = _zeros(len(w), w.dtype)  # (26) v/0.001
        ws.state = {"t": ws.t, "m": ws.m, "v": ws.v}
        ws.units = {"m": 0.1, "v": 0.001}  # what states are divided by
        ws.c_1 = np.array(0.9, w.dtype)  # (25)
        ws.c_2 = np.array(0.999, w.dtype)  # (26)
        ws.c_3 = np.empty((), w.dtype)
        ws.c_4 = np.empty((), w.dtype)
        flat = (w, w_bar, ws.m, ws.v)
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
    """One step of adam, from `w_bar`."""
    t = int(ws.t) + 1
    ws.t[()] = t
    learning_rate = ws.learning_rate
    ws.c_3[()] = 3.162277660168379e-07 * math.sqrt(1 - (0.999 ** t))  # (27)
    ws.c_4[()] = (  # (27)
        (3.1622776601683795 * math.sqrt(1 - (0.999 ** t))) * learning_rate
    ) / (1 - (0.9 ** t))
    for w, g, m, v, parts in ws.tiles:
        for part in parts:
            np.add(g, part, out=g)  # (25)
        # (25) m_next[p] = 0.1*g[p] + 0.9*m[p]
        np.multiply(m, ws.c_1, out=m)  # (25)
        np.add(m, g, out=m)  # (25)
        # (26) v_next[p] = 0.001*g[p]**2 + 0.999*v[p]
        np.square(g, out=g)  # (26)
        np.multiply(v, ws.c_2, out=v)  # (26)
        np.add(g, v, out=v)  # (26)
        # (27) w_next[p] = w[p] - learning_rate*m_next[p]/((1 - (0.9)**t)*(1E-8 +
        #     sqrt(v_next[p]/(1 - (0.999)**t))))
        np.sqrt(v, out=g)  # (27)
        np.add(g, ws.c_3, out=g)  # (27)
        np.divide(m, g, out=g)  # (27)
        np.multiply(g, ws.c_4, out=g)  # (27)
        np.subtract(w, g, out=w)  # (27)


def weighted_loss(y_7, y, sample_weight):
    """The loss with a weight for each sample, and the cotangent of y_7."""
    N = len(y_7)
    dtype = y_7.dtype
    # (10) s[n] = sum[k]((y_7[n,0,k] - y_7[n,1,k])**2)
    t_1 = np.subtract(y_7[:, 0], y_7[:, 1])  # (10)
    s = np.vecdot(t_1, t_1)  # (10)
    # (11) r[n] = sqrt(maximum(s[n], 1E-24))
    r = np.maximum(s, 1e-24)  # (11)
    np.sqrt(r, out=r)  # (11)
    # (28) L = mean[n]((r[n]**2*y[n] + (1 - y[n])*maximum(1 - r[n], 0)**2)*sample_weight[n])
    t_2 = np.square(r)  # (28)
    np.multiply(t_2, y, out=t_2)  # (28)
    t_3 = np.subtract(1, r)  # (28)
    np.maximum(t_3, 0, out=t_3)  # (28)
    np.square(t_3, out=t_3)  # (28)
    t_4 = np.subtract(1, y)  # (28)
    np.multiply(t_3, t_4, out=t_3)  # (28)
    np.add(t_2, t_3, out=t_2)  # (28)
    t_5 = np.vdot(t_2, sample_weight)  # (28)
    L = t_5 / N  # (28)
    # (29) y_7_bar[n,s,k] = 2*where(1E-24 <= s[n], (maximum(1 - r[n], 0)*(y[n] - 1) +
    #     r[n]*y[n])*sample_weight[n]/r[n], 0)*(y_7[n,0,k] - y_7[n,1,k])*((s == 0) - (s == 1))/N
    s_1 = np.arange(2)  # (29)
    t_6 = np.equal(s_1, 1)  # (29)
    t_7 = np.equal(s_1, 0)  # (29)
    t_8 = t_7.astype(dtype)  # (29)
    t_9 = t_6.astype(dtype)  # (29)
    np.subtract(t_8, t_9, out=t_8)  # (29)
    t_10 = np.less_equal(1e-24, s)  # (29)
    t_11 = np.subtract(y, 1)  # (29)
    t_12 = np.subtract(1, r)  # (29)
    np.maximum(t_12, 0, out=t_12)  # (29)
    np.multiply(t_11, t_12, out=t_11)  # (29)
    t_13 = np.multiply(r, y)  # (29)
    np.add(t_11, t_13, out=t_11)  # (29)
    np.multiply(t_11, sample_weight, out=t_11)  # (29)
    np.divide(t_11, r, out=t_11)  # (29)
    np.multiply(t_11, t_10, out=t_11)  # (29)
    np.multiply(t_11, 2 / N, out=t_11)  # (29)
    t_14 = np.multiply(t_11[:, None], t_8)  # (29)
    y_7_bar = np.multiply(t_14[:, :, None], t_1[:, None])  # (29)
    return L, y_7_bar


def metrics(z, y):
    """What is measured besides the loss."""
    return {}


def _forward(ws):
    """The loss of a batch; what a part of one adds to it."""
    return ws.share * float(forward_pass(ws))


def _backward(ws):
    """The cotangents of all parameters, those of a part of a batch weighted with its share."""
    loss_backward(ws)
    if ws.share != 1:
        np.multiply(ws.y_7_bar.T, ws.share, out=ws.y_7_bar.T)
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
        """One step of adam on a batch; gives the loss before it, unregularized.

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
        epochs=20,
        batch_size=64,
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
                        for name, mean in metrics(ws.y_7.T, ws.y).items():
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
        """The output y_7."""
        return self._answers.read(x, np.array)

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
