"""Handwritten digits, read row by row by a long short-term memory

    input      x    N x 8 x 8
    lstm_1     y_1  N x 64     18,688 parameters
    dropout_1  y_2  N x 64
    dense_1    z_3  N x 10     650 parameters

19,338 parameters, float32. Loss: softmax_cross_entropy. Optimizer: adam, learning_rate = 0.003.

Generated from digits_lstm.toml by `derive generate`; change the spec and generate it again, never
this file. It needs NumPy only.

A number such as (7) in a comment is that of the equation which the line computes a part of:
digits_lstm.html and digits_lstm.tex derive it under this number, and `derive explain` tells what
stands behind a line.

    (1) to (14)   the forward pass and the loss
    (15) to (30)  the cotangents
    (31) to (33)  a step of adam
    (34)          inference, where it differs from training
    (35) to (36)  the loss with a weight for each sample
    (37)          labels
    (38) to (43)  the gradient of each sample
    (44) to (45)  initial values

`W_bar` is the cotangent of `W`, the derivative of the loss by it. N is the number of samples in a
batch; the axes of an array are the indices that its equation has, in order. `w` and `w_bar` hold
all parameters and their cotangents one after the other, element p.

In training mode random numbers are drawn for every batch, u_2 (uniform); in inference mode there
are none.

Where a derivative does not exist: at the border of two cases it is that of the case which holds
there.

A gradient on a batch of 32 takes 29.4 million floating-point operations and moves 12.8 million
bytes.

A training step on a batch of 32 works in 806,524 bytes of memory, which it uses again at every
step, beside 77,352 bytes of parameters, 77,352 of their cotangents and 154,704 of the state of
adam. An input that fits is read where it is.
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

NAME = "digits_lstm"
DTYPE = np.float32
PARAMETERS = {  # public name: shape
    "lstm_1.W": (8, 256),
    "lstm_1.U": (64, 256),
    "lstm_1.b": (256,),
    "dense_1.W": (64, 10),
    "dense_1.b": (10,),
}
STATES = {}
ARRAYS = {**PARAMETERS, **STATES}  # all that `params` holds
SIZE = sum(math.prod(shape) for shape in PARAMETERS.values())  # 19,338
THREADS = 1  # threads that share a batch in training, where nothing else is said
NOT_SHARED = ""
ANSWERED = 1024  # samples that are answered at once, more in turn; None: all
MEASURED = 1024  # and those whose loss is computed at once
ANSWERING = 2  # threads that share an answer in turn
KEPT = 1024  # samples; arrays for as many are kept for the next answer
INPUT = {"name": "x", "axes": ("N", 8, 8), "below": None}
TARGET = {"name": "y", "axes": ("N",), "below": 10}


def init(seed=0):
    """Fresh parameters, {public name: array}; `seed` may be a `numpy.random.Generator`."""
    draw = np.random.default_rng(seed)
    params = _views(np.zeros(sum(map(math.prod, ARRAYS.values())), DTYPE), ARRAYS)
    params["lstm_1.W"][...] = (  # (44)
        0.5773502691896257*draw.random((8, 256)) - 0.28867513459481287
    )
    params["lstm_1.U"][...] = (  # (44)
        0.4330127018922193*draw.random((64, 256)) - 0.21650635094610965
    )
    params["lstm_1.b"][...] = 0  # (45)
    params["dense_1.W"][...] = (  # (44)
        0.5694947974514994*draw.random((64, 10)) - 0.2847473987257497
    )
    params["dense_1.b"][...] = 0  # (45)
    return params


def forward(params, x):
    """The output z_3 in inference mode.

    The arrays of `params`, and those to work in, are kept for the next call with the same ones.
    """
    return _answers(params).read(x, np.array)


def value_and_grad(params, x, y, seed=None, sample_weight=None):
    """The loss and its cotangents {public name: array}, in training mode, unregularized.

    `seed` fixes what is drawn at random: u_2 (uniform). `sample_weight`, of shape (N,), are
    factors of the samples' losses; the mean is over all N as ever.
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
    draw(ws, np.random.default_rng(seed))


def _gradients(ws, x, y, seed, sample_weight=None):
    """The loss; the cotangents of the parameters are left in `ws`."""
    _room(ws, x)
    _fill(ws, x, y, seed)
    value = forward_pass(ws)
    if sample_weight is None:
        loss_backward(ws)
    else:
        weight = _weights(sample_weight, len(x)).astype(ws.z_3.dtype)
        value, ws.z_3_bar[...] = weighted_loss(ws.z_3, ws.y, weight)
    backward_pass(ws)
    return float(value)


def draw(ws, generator):
    """New random numbers, for one training step."""
    for distribution, array in ws.drawn:
        if distribution == "uniform":
            generator.random(out=array, dtype=array.dtype)
        else:
            generator.standard_normal(out=array, dtype=array.dtype)


class Training:
    """The arrays of a training step on N samples; parameters are views into the flat `w`."""

    def __init__(ws, w, w_bar, N):
        p, g, dtype = _views(w, ARRAYS), _views(w_bar, PARAMETERS), w.dtype
        ws.W_1, ws.W_1_bar = p["lstm_1.W"], g["lstm_1.W"]  # 8 x 256
        ws.U_1, ws.U_1_bar = p["lstm_1.U"], g["lstm_1.U"]  # 64 x 256
        ws.b_1, ws.b_1_bar = p["lstm_1.b"], g["lstm_1.b"]  # 256
        ws.W_3, ws.W_3_bar = p["dense_1.W"], g["dense_1.W"]  # 64 x 10
        ws.b_3, ws.b_3_bar = p["dense_1.b"], g["dense_1.b"]  # 10
        ws.x = ws.held = None  # an input is read where it is, or here
        ws.dtype = dtype
        ws.y = _empty(N, np.int64)
        ws.drawn = []  # arrays of random numbers, each with its distribution
        ws.u_2 = _empty((N, 64), dtype)
        ws.drawn.append(("uniform", ws.u_2))  # (10)
        ws.slot_1 = _empty(18688, dtype)
        ws.t_1 = ws.slot_1[:18688].reshape(73, 256)
        ws.t_18 = ws.slot_1[:16384].reshape(256, 64)
        ws.t_24 = ws.slot_1[:18688].reshape(73, 256)
        ws.slot_2 = _empty(2304*N, dtype)
        ws.c_1_all = ws.slot_2[:576*N].reshape(9, N, 64)
        ws.a_1 = ws.slot_2[576*N:1088*N].reshape(8, N, 64)
        ws.g_1 = ws.slot_2[1088*N:1600*N].reshape(8, N, 64)
        ws.i_1 = ws.slot_2[1600*N:2112*N].reshape(8, N, 64)
        ws.z_1_bar_all = ws.slot_2[:2304*N].reshape(9, N, 256)
        ws.slot_3 = _empty(512*N, dtype)
        ws.h_1_pair = ws.slot_3[256*N:384*N].reshape(2, N, 64)
        ws.z_1_t = ws.slot_3[:256*N].reshape(N, 256)
        ws.t_13 = ws.slot_3[:512*N].reshape(8, N, 64)
        ws.z_1_rows = _empty((8, N, 73), dtype)
        ws.f_1 = _empty((8, N, 64), dtype)
        ws.o_1 = _empty((8, N, 64), dtype)
        ws.t_16 = ws.o_1
        ws.slot_7 = _empty(128*N, dtype)
        ws.t_2 = ws.slot_7[:64*N].reshape(N, 64)
        ws.z_3 = ws.slot_7[16*N:26*N].reshape(N, 10)
        ws.p = ws.slot_7[26*N:36*N].reshape(N, 10)
        ws.z_3_bar = ws.slot_7[26*N:36*N].reshape(N, 10)
        ws.c_1_back_pair = ws.slot_7[:128*N].reshape(2, N, 64)
        ws.slot_8 = _empty(64*N, dtype)
        ws.y_2 = ws.slot_8[:64*N].reshape(N, 64)
        ws.h_1_bar_t = ws.slot_8[:64*N].reshape(N, 64)
        ws.t_4 = _lent(w_bar[18816:18848], (N,), dtype)
        ws.t_5 = _lent(w_bar[18752:18784], (N,), dtype)
        ws.t_6 = _lent(w_bar[18848:18880], (N,), dtype)
        ws.t_7 = _lent(w_bar[18880:18912], (N,), dtype)
        ws.t_11 = _lent(w_bar[16384:18432], (N, 64), dtype)
        ws.t_12 = _lent(w_bar[0:16384], (8, N, 64), dtype)
        ws.t_14 = _empty((8, N, 64), dtype)
        ws.t_15 = _empty((8, N, 64), dtype)
        ws.t_3 = _lent(ws.slot_7[0:16*N], (N, 64), bool)
        ws.t_9 = _lent(ws.slot_7[0:16*N], (N,), np.int64)
        ws.t_17 = _lent(ws.slot_8[0:16*N], (N, 64), bool)
        ws.c_1 = ws.c_1_all[1:]  # (6)
        ws.c_1_before = ws.c_1_all[:-1]  # (6)
        ws.ones = np.ones(10, dtype)  # (12)
        ws.n = np.arange(N)  # (14)
        ws.t_8 = np.multiply(ws.n, 10)  # (14)
        ws.ones_1 = np.ones(N, dtype)  # (16)
        ws.z_1_bar = ws.z_1_bar_all[:-1]  # (25)
        ws.z_1_bar_after = ws.z_1_bar_all[1:]  # (25)
        ws.z_1_t_to64 = ws.z_1_t[:, :64]  # (2)
        ws.half = np.array(0.5, dtype)  # (2)
        ws.one = np.array(1, dtype)  # (2)
        ws.z_1_t_from64to128 = ws.z_1_t[:, 64:128]  # (3)
        ws.z_1_t_from128to192 = ws.z_1_t[:, 128:192]  # (4)
        ws.z_1_t_from192 = ws.z_1_t[:, 192:]  # (5)
        ws.steps_1 = [
            (
                ws.z_1_rows[t], ws.h_1_pair[t % 2], ws.i_1[t], ws.f_1[t], ws.g_1[t],
                ws.o_1[t], ws.c_1_before[t], ws.c_1[t], ws.a_1[t],
                ws.h_1_pair[(t + 1) % 2]
            )
            for t in range(8)
        ]
        ws.number_0_2 = np.array(0.2, dtype)  # (10)
        ws.h_1_pair_at0 = ws.h_1_pair[8 % 2]  # (10)
        ws.number_1_25 = np.array(1.25, dtype)  # (10)
        ws.t_4_column = ws.t_4[:, None]  # (12)
        ws.t_5_column = ws.t_5[:, None]  # (13)
        ws.z_3_flat = ws.z_3.reshape(-1)  # (14)
        ws.z_3_bar_flat = ws.z_3_bar.reshape(-1)  # (15)
        ws.N = np.array(N, dtype)  # (15)
        ws.y_2_T = ws.y_2.T  # (17)
        ws.W_3_T = ws.W_3.T  # (18)
        ws.U_1_T = ws.U_1.T  # (18)
        ws.steps_2 = [
            (
                t, ws.z_1_bar_after[t], ws.t_12[t], ws.c_1_back_pair[(7 - t) % 2],
                ws.t_13[t], ws.t_14[t], ws.t_15[t], ws.t_16[t], ws.f_1[t],
                ws.c_1_back_pair[(8 - t) % 2], ws.z_1_bar[t][:, :64],
                ws.z_1_bar[t][:, 64:128], ws.z_1_bar[t][:, 128:192], ws.z_1_bar[t][:, 192:]
            )
            for t in range(7, -1, -1)
        ]
        ws.z_1_rows_matrix_T = ws.z_1_rows.reshape(8*N, 73).T  # (27)
        ws.z_1_bar_matrix = ws.z_1_bar.reshape(8*N, 256)  # (27)
        ws.t_24_from9 = ws.t_24[9:]  # (27)
        ws.t_24_at8 = ws.t_24[8]  # (28)
        ws.t_24_to8 = ws.t_24[:8]  # (29)


def forward_pass(ws):
    """The loss of the batch in `ws.x` and `ws.y`."""
    N = len(ws.x)
    # (1) z_1[n,t,m] = sum[k](h_1[n,t-1,k]*U_1[k,m]) + sum[d](x[n,t,d]*W_1[d,m]) + b_1[m]
    ws.t_1[:8] = ws.W_1  # (1)
    ws.t_1[8:9] = ws.b_1  # (1)
    ws.t_1[9:] = ws.U_1  # (1)
    # (6) c_1[n,t,j] = c_1[n,t-1,j]*f_1[n,t,j] + g_1[n,t,j]*i_1[n,t,j]
    ws.c_1_all[0] = 0  # (6)
    # (8) h_1[n,t,j] = a_1[n,t,j]*o_1[n,t,j]
    ws.h_1_pair[0] = 0  # (8)
    ws.z_1_rows[:, :, 8:9] = 1  # (1)
    ws.z_1_rows[:, :, :8] = ws.x.transpose(1, 0, 2)  # (1)
    for (
        z_1_rows_t, h_1_before_t, i_1_t, f_1_t, g_1_t, o_1_t, c_1_before_t,
        c_1_t, a_1_t, h_1_t
    ) in ws.steps_1:
        # (1) z_1[n,t,m] = sum[k](h_1[n,t-1,k]*U_1[k,m]) + sum[d](x[n,t,d]*W_1[d,m]) + b_1[m]
        z_1_rows_t[:, 9:] = h_1_before_t  # (1)
        np.dot(z_1_rows_t, ws.t_1, out=ws.z_1_t)  # (1)
        # (2) i_1[n,t,j] = sigmoid(z_1[n,t,j])
        np.multiply(ws.z_1_t_to64, ws.half, out=i_1_t)  # (2)
        np.tanh(i_1_t, out=i_1_t)  # (2)
        np.add(i_1_t, ws.one, out=i_1_t)  # (2)
        np.multiply(i_1_t, ws.half, out=i_1_t)  # (2)
        # (3) f_1[n,t,j] = sigmoid(z_1[n,t,j+64])
        np.multiply(ws.z_1_t_from64to128, ws.half, out=f_1_t)  # (3)
        np.tanh(f_1_t, out=f_1_t)  # (3)
        np.add(f_1_t, ws.one, out=f_1_t)  # (3)
        np.multiply(f_1_t, ws.half, out=f_1_t)  # (3)
        # (4) g_1[n,t,j] = tanh(z_1[n,t,j+128])
        np.tanh(ws.z_1_t_from128to192, out=g_1_t)  # (4)
        # (5) o_1[n,t,j] = sigmoid(z_1[n,t,j+192])
        np.multiply(ws.z_1_t_from192, ws.half, out=o_1_t)  # (5)
        np.tanh(o_1_t, out=o_1_t)  # (5)
        np.add(o_1_t, ws.one, out=o_1_t)  # (5)
        np.multiply(o_1_t, ws.half, out=o_1_t)  # (5)
        # (6) c_1[n,t,j] = c_1[n,t-1,j]*f_1[n,t,j] + g_1[n,t,j]*i_1[n,t,j]
        np.multiply(c_1_before_t, f_1_t, out=c_1_t)  # (6)
        np.multiply(g_1_t, i_1_t, out=ws.t_2)  # (6)
        np.add(c_1_t, ws.t_2, out=c_1_t)  # (6)
        # (7) a_1[n,t,j] = tanh(c_1[n,t,j])
        np.tanh(c_1_t, out=a_1_t)  # (7)
        # (8) h_1[n,t,j] = a_1[n,t,j]*o_1[n,t,j]
        np.multiply(a_1_t, o_1_t, out=h_1_t)  # (8)
    # (10) y_2[n,j] = where(u_2[n,j] < 0.2, 0, 5*y_1[n,j]/4)
    np.less(ws.u_2, ws.number_0_2, out=ws.t_3)  # (10)
    np.multiply(ws.h_1_pair_at0, ws.number_1_25, out=ws.y_2)  # (10)
    np.logical_not(ws.t_3, out=ws.t_3)  # (10)
    np.multiply(ws.y_2, ws.t_3, out=ws.y_2)  # (10)
    # (11) z_3[n,i] = sum[j](y_2[n,j]*W_3[j,i]) + b_3[i]
    np.dot(ws.y_2, ws.W_3, out=ws.z_3)  # (11)
    np.add(ws.z_3, ws.b_3, out=ws.z_3)  # (11)
    # (12) l[n] = logsumexp[i](z_3[n,i])
    np.maximum.reduce(ws.z_3, axis=1, out=ws.t_4)  # (12)
    np.subtract(ws.z_3, ws.t_4_column, out=ws.p)  # (12)
    np.exp(ws.p, out=ws.p)  # (12)
    np.dot(ws.p, ws.ones, out=ws.t_5)  # (12)
    np.log(ws.t_5, out=ws.t_6)  # (12)
    # (13) p[n,i] = exp(z_3[n,i] - l[n])
    np.divide(ws.p, ws.t_5_column, out=ws.p)  # (13)
    # (14) L = mean[n](l[n] - z_3[n,y[n]])
    np.add(ws.t_8, ws.y, out=ws.t_9)  # (14)
    ws.z_3_flat.take(ws.t_9, None, ws.t_7, "clip")  # (14)
    np.subtract(ws.t_7, ws.t_4, out=ws.t_7)  # (14)
    np.subtract(ws.t_6, ws.t_7, out=ws.t_6)  # (14)
    t_10 = np.add.reduce(ws.t_6, axis=None)  # (14)
    L = t_10 / N  # (14)
    return L


def loss_backward(ws):
    """The cotangent z_3_bar of the output."""
    # (15) z_3_bar[n,i] = (p[n,i] - (i == y[n]))/N
    ws.z_3_bar_flat[ws.t_9] -= ws.one  # (15)
    np.divide(ws.z_3_bar, ws.N, out=ws.z_3_bar)  # (15)


def backward_pass(ws):
    """The cotangents of all parameters, from z_3_bar."""
    # (16) b_3_bar[i] = sum[n](z_3_bar[n,i])
    np.dot(ws.ones_1, ws.z_3_bar, out=ws.b_3_bar)  # (16)
    # (17) W_3_bar[j,i] = sum[n](y_2[n,j]*z_3_bar[n,i])
    np.dot(ws.y_2_T, ws.z_3_bar, out=ws.W_3_bar)  # (17)
    # (18) h_1_bar[n,t,j] = where(0.2 <= u_2[n,j], 5*sum[i](z_3_bar[n,i]*W_3[j,i])/4, 0)*(t ==
    #     7) + sum[m](z_1_bar[n,t+1,m]*U_1[j,m])
    np.dot(ws.z_3_bar, ws.W_3_T, out=ws.t_11)  # (18)
    # (19) a_1_bar[n,t,j] = h_1_bar[n,t,j]*o_1[n,t,j]
    np.square(ws.a_1, out=ws.t_12)  # (19)
    np.subtract(ws.one, ws.t_12, out=ws.t_12)  # (19)
    np.multiply(ws.t_12, ws.o_1, out=ws.t_12)  # (19)
    # (22) g_1_bar[n,t,j] = c_1_bar[n,t,j]*i_1[n,t,j]
    np.square(ws.g_1, out=ws.t_13)  # (22)
    np.subtract(ws.one, ws.t_13, out=ws.t_13)  # (22)
    np.multiply(ws.t_13, ws.i_1, out=ws.t_13)  # (22)
    # (23) f_1_bar[n,t,j] = c_1[n,t-1,j]*c_1_bar[n,t,j]
    np.subtract(ws.one, ws.f_1, out=ws.t_14)  # (23)
    np.multiply(ws.t_14, ws.c_1_before, out=ws.t_14)  # (23)
    np.multiply(ws.t_14, ws.f_1, out=ws.t_14)  # (23)
    # (20) o_1_bar[n,t,j] = a_1[n,t,j]*h_1_bar[n,t,j]
    np.subtract(ws.one, ws.o_1, out=ws.t_15)  # (20)
    np.multiply(ws.t_15, ws.a_1, out=ws.t_15)  # (20)
    np.multiply(ws.t_15, ws.o_1, out=ws.t_15)  # (20)
    # (24) i_1_bar[n,t,j] = c_1_bar[n,t,j]*g_1[n,t,j]
    np.subtract(ws.one, ws.i_1, out=ws.t_16)  # (24)
    np.multiply(ws.t_16, ws.g_1, out=ws.t_16)  # (24)
    np.multiply(ws.t_16, ws.i_1, out=ws.t_16)  # (24)
    np.less_equal(ws.number_0_2, ws.u_2, out=ws.t_17)  # (18)
    np.multiply(ws.t_11, ws.number_1_25, out=ws.t_11)  # (18)
    np.multiply(ws.t_11, ws.t_17, out=ws.t_11)  # (18)
    # (25) z_1_bar[n,t,m] = where(128 <= m and m < 192, (1 -
    #     g_1[n,t,m-128]**2)*g_1_bar[n,t,m-128], 0) + where(64 <= m and m < 128, (1 -
    #     f_1[n,t,m-64])*f_1[n,t,m-64]*f_1_bar[n,t,m-64], 0) + where(192 <= m, (1 -
    #     o_1[n,t,m-192])*o_1[n,t,m-192]*o_1_bar[n,t,m-192], 0) + where(m < 64, (1 -
    #     i_1[n,t,m])*i_1[n,t,m]*i_1_bar[n,t,m], 0)
    ws.z_1_bar_all[-1] = 0  # (25)
    # (26) c_1_back[n,t,j] = c_1_bar[n,t,j]*f_1[n,t,j]
    ws.c_1_back_pair[0] = 0  # (26)
    np.copyto(ws.t_18, ws.U_1_T)  # (18)
    for (
        t, z_1_bar_after_t, t_19, c_1_back_after_t, t_20, t_21, t_22, t_23,
        f_1_t, c_1_back_t, z_1_bar_t_to64, z_1_bar_t_from64to128,
        z_1_bar_t_from128to192, z_1_bar_t_from192
    ) in ws.steps_2:
        # (18) h_1_bar[n,t,j] = where(0.2 <= u_2[n,j], 5*sum[i](z_3_bar[n,i]*W_3[j,i])/4, 0)*(t
        #     == 7) + sum[m](z_1_bar[n,t+1,m]*U_1[j,m])
        np.dot(z_1_bar_after_t, ws.t_18, out=ws.h_1_bar_t)  # (18)
        if t == 7:  # (18)
            np.add(ws.h_1_bar_t, ws.t_11, out=ws.h_1_bar_t)  # (18)
        # (21) c_1_bar[n,t,j] = (1 - a_1[n,t,j]**2)*a_1_bar[n,t,j] + c_1_back[n,t+1,j]
        np.multiply(t_19, ws.h_1_bar_t, out=c_1_back_t)  # (21)
        np.add(c_1_back_t, c_1_back_after_t, out=c_1_back_t)  # (21)
        # (25) z_1_bar[n,t,m] = where(128 <= m and m < 192, (1 -
        #     g_1[n,t,m-128]**2)*g_1_bar[n,t,m-128], 0) + where(64 <= m and m < 128, (1 -
        #     f_1[n,t,m-64])*f_1[n,t,m-64]*f_1_bar[n,t,m-64], 0) + where(192 <= m, (1 -
        #     o_1[n,t,m-192])*o_1[n,t,m-192]*o_1_bar[n,t,m-192], 0) + where(m < 64, (1 -
        #     i_1[n,t,m])*i_1[n,t,m]*i_1_bar[n,t,m], 0)
        np.multiply(c_1_back_t, t_23, out=z_1_bar_t_to64)  # (25)
        np.multiply(c_1_back_t, t_21, out=z_1_bar_t_from64to128)  # (25)
        np.multiply(c_1_back_t, t_20, out=z_1_bar_t_from128to192)  # (25)
        np.multiply(ws.h_1_bar_t, t_22, out=z_1_bar_t_from192)  # (25)
        # (26) c_1_back[n,t,j] = c_1_bar[n,t,j]*f_1[n,t,j]
        np.multiply(c_1_back_t, f_1_t, out=c_1_back_t)  # (26)
    # (27) U_1_bar[j,m] = sum[n,t](h_1[n,t-1,j]*z_1_bar[n,t,m])
    np.dot(ws.z_1_rows_matrix_T, ws.z_1_bar_matrix, out=ws.t_24)  # (27)
    np.copyto(ws.U_1_bar, ws.t_24_from9)  # (27)
    # (28) b_1_bar[m] = sum[n,t](z_1_bar[n,t,m])
    np.copyto(ws.b_1_bar, ws.t_24_at8)  # (28)
    # (29) W_1_bar[d,m] = sum[n,t](x[n,t,d]*z_1_bar[n,t,m])
    np.copyto(ws.W_1_bar, ws.t_24_to8)  # (29)


def input_arrays(ws):
    """What `input_pass` needs, the array of its result aside."""
    N = len(ws.x)
    dtype = ws.x.dtype
    ws.t_25 = _empty((8, N, 8), dtype)
    ws.W_1_T = ws.W_1.T  # (30)
    ws.t_25_matrix = ws.t_25.reshape(8*N, 8)  # (30)
    ws.t_25_turned = ws.t_25.transpose(1, 0, 2)  # (30)


def input_pass(ws):
    """The cotangent x_bar of the input, after those of the parameters."""
    # (30) x_bar[n,t,d] = sum[m](z_1_bar[n,t,m]*W_1[d,m])
    np.dot(ws.z_1_bar_matrix, ws.W_1_T, out=ws.t_25_matrix)  # (30)
    np.copyto(ws.x_bar, ws.t_25_turned)  # (30)


class Inference:
    """The arrays of an answer to N samples; the parameters `p` are only read."""

    def __init__(ws, p, dtype, N):
        ws.dtype = dtype
        ws.W_1 = p["lstm_1.W"]  # 8 x 256
        ws.U_1 = p["lstm_1.U"]  # 64 x 256
        ws.b_1 = p["lstm_1.b"]  # 256
        ws.W_3 = p["dense_1.W"]  # 64 x 10
        ws.b_3 = p["dense_1.b"]  # 10
        ws.t_1 = _empty((73, 256), dtype)
        ws.c_1_pair = _empty((2, N, 64), dtype)
        ws.h_1_pair = _empty((2, N, 64), dtype)
        ws.z_1_rows = _empty((8, N, 73), dtype)
        ws.z_1_t = _empty((N, 256), dtype)
        ws.slot_6 = _empty(64*N, dtype)
        ws.i_1_t = ws.slot_6[:64*N].reshape(N, 64)
        ws.z_3 = ws.slot_6[:10*N].reshape(N, 10)
        ws.t_2 = _empty((N, 64), dtype)
        ws.o_1_t = _empty((N, 64), dtype)
        ws.z_1_t_to64 = ws.z_1_t[:, :64]  # (2)
        ws.half = np.array(0.5, dtype)  # (2)
        ws.one = np.array(1, dtype)  # (2)
        ws.z_1_t_from64to128 = ws.z_1_t[:, 64:128]  # (3)
        ws.z_1_t_from128to192 = ws.z_1_t[:, 128:192]  # (4)
        ws.z_1_t_from192 = ws.z_1_t[:, 192:]  # (5)
        ws.steps_1 = [
            (
                ws.z_1_rows[t], ws.h_1_pair[t % 2], ws.c_1_pair[t % 2],
                ws.c_1_pair[(t + 1) % 2], ws.h_1_pair[(t + 1) % 2]
            )
            for t in range(8)
        ]
        ws.h_1_pair_at0 = ws.h_1_pair[8 % 2]  # (11)


def inference_pass(ws, x):
    """The output z_3 for x, in memory of the workspace."""
    x = np.ascontiguousarray(x, ws.dtype)  # itself, if it is so
    # (1) z_1[n,t,m] = sum[k](h_1[n,t-1,k]*U_1[k,m]) + sum[d](x[n,t,d]*W_1[d,m]) + b_1[m]
    ws.t_1[:8] = ws.W_1  # (1)
    ws.t_1[8:9] = ws.b_1  # (1)
    ws.t_1[9:] = ws.U_1  # (1)
    # (6) c_1[n,t,j] = c_1[n,t-1,j]*f_1[n,t,j] + g_1[n,t,j]*i_1[n,t,j]
    ws.c_1_pair[0] = 0  # (6)
    # (8) h_1[n,t,j] = a_1[n,t,j]*o_1[n,t,j]
    ws.h_1_pair[0] = 0  # (8)
    ws.z_1_rows[:, :, 8:9] = 1  # (1)
    ws.z_1_rows[:, :, :8] = x.transpose(1, 0, 2)  # (1)
    for z_1_rows_t, h_1_before_t, c_1_before_t, c_1_t, h_1_t in ws.steps_1:
        # (1) z_1[n,t,m] = sum[k](h_1[n,t-1,k]*U_1[k,m]) + sum[d](x[n,t,d]*W_1[d,m]) + b_1[m]
        z_1_rows_t[:, 9:] = h_1_before_t  # (1)
        np.dot(z_1_rows_t, ws.t_1, out=ws.z_1_t)  # (1)
        # (2) i_1[n,t,j] = sigmoid(z_1[n,t,j])
        np.multiply(ws.z_1_t_to64, ws.half, out=ws.i_1_t)  # (2)
        np.tanh(ws.i_1_t, out=ws.i_1_t)  # (2)
        np.add(ws.i_1_t, ws.one, out=ws.i_1_t)  # (2)
        np.multiply(ws.i_1_t, ws.half, out=ws.i_1_t)  # (2)
        # (3) f_1[n,t,j] = sigmoid(z_1[n,t,j+64])
        np.multiply(ws.z_1_t_from64to128, ws.half, out=c_1_t)  # (3)
        np.tanh(c_1_t, out=c_1_t)  # (3)
        np.add(c_1_t, ws.one, out=c_1_t)  # (3)
        np.multiply(c_1_t, ws.half, out=c_1_t)  # (3)
        # (4) g_1[n,t,j] = tanh(z_1[n,t,j+128])
        np.tanh(ws.z_1_t_from128to192, out=ws.t_2)  # (4)
        # (5) o_1[n,t,j] = sigmoid(z_1[n,t,j+192])
        np.multiply(ws.z_1_t_from192, ws.half, out=ws.o_1_t)  # (5)
        np.tanh(ws.o_1_t, out=ws.o_1_t)  # (5)
        np.add(ws.o_1_t, ws.one, out=ws.o_1_t)  # (5)
        np.multiply(ws.o_1_t, ws.half, out=ws.o_1_t)  # (5)
        # (6) c_1[n,t,j] = c_1[n,t-1,j]*f_1[n,t,j] + g_1[n,t,j]*i_1[n,t,j]
        np.multiply(c_1_before_t, c_1_t, out=c_1_t)  # (6)
        np.multiply(ws.t_2, ws.i_1_t, out=ws.t_2)  # (6)
        np.add(c_1_t, ws.t_2, out=c_1_t)  # (6)
        # (7) a_1[n,t,j] = tanh(c_1[n,t,j])
        np.tanh(c_1_t, out=h_1_t)  # (7)
        # (8) h_1[n,t,j] = a_1[n,t,j]*o_1[n,t,j]
        np.multiply(h_1_t, ws.o_1_t, out=h_1_t)  # (8)
    # (11) z_3[n,i] = sum[j](y_2[n,j]*W_3[j,i]) + b_3[i]
    np.dot(ws.h_1_pair_at0, ws.W_3, out=ws.z_3)  # (11)
    np.add(ws.z_3, ws.b_3, out=ws.z_3)  # (11)
    return ws.z_3


def loss_arrays(ws):
    """What `loss_pass` needs."""
    N = len(ws.z_3)
    dtype = ws.dtype
    ws.y = _empty(N, np.int64)
    ws.t_3 = _empty((N,), dtype)
    ws.slot_10 = _empty(10*N, dtype)
    ws.t_4 = ws.slot_10[:10*N].reshape(N, 10)
    ws.t_6 = ws.slot_10[:N].reshape(N,)
    ws.t_5 = _empty((N,), dtype)
    ws.t_8 = _empty((N,), np.int64)
    ws.ones = np.ones(10, dtype)  # (12)
    ws.n = np.arange(N)  # (14)
    ws.t_7 = np.multiply(ws.n, 10)  # (14)
    ws.t_3_column = ws.t_3[:, None]  # (12)
    ws.z_3_flat = ws.z_3.reshape(-1)  # (14)


def loss_pass(ws):
    """The loss of that output for `ws.y`."""
    N = len(ws.y)
    # (12) l[n] = logsumexp[i](z_3[n,i])
    np.maximum.reduce(ws.z_3, axis=1, out=ws.t_3)  # (12)
    np.subtract(ws.z_3, ws.t_3_column, out=ws.t_4)  # (12)
    np.exp(ws.t_4, out=ws.t_4)  # (12)
    np.dot(ws.t_4, ws.ones, out=ws.t_5)  # (12)
    np.log(ws.t_5, out=ws.t_5)  # (12)
    # (14) L = mean[n](l[n] - z_3[n,y[n]])
    np.add(ws.t_7, ws.y, out=ws.t_8)  # (14)
    ws.z_3_flat.take(ws.t_8, None, ws.t_6, "clip")  # (14)
    np.subtract(ws.t_6, ws.t_3, out=ws.t_6)  # (14)
    np.subtract(ws.t_5, ws.t_6, out=ws.t_5)  # (14)
    t_9 = np.add.reduce(ws.t_5, axis=None)  # (14)
    L = t_9 / N  # (14)
    return L


class PerSample:
    """The arrays of the gradients of N samples, each alone."""

    def __init__(ws, w, N):
        p, dtype = _views(w, ARRAYS), w.dtype
        ws.gradients = g = {n: np.empty((N, *s), dtype) for n, s in PARAMETERS.items()}
        ws.W_1, ws.W_1_bar = p["lstm_1.W"], g["lstm_1.W"]  # 8 x 256
        ws.U_1, ws.U_1_bar = p["lstm_1.U"], g["lstm_1.U"]  # 64 x 256
        ws.b_1, ws.b_1_bar = p["lstm_1.b"], g["lstm_1.b"]  # 256
        ws.W_3, ws.W_3_bar = p["dense_1.W"], g["dense_1.W"]  # 64 x 10
        ws.b_3, ws.b_3_bar = p["dense_1.b"], g["dense_1.b"]  # 10
        ws.x = _empty((N, 8, 8), dtype)
        ws.y = _empty(N, np.int64)
        ws.drawn = []  # arrays of random numbers, each with its distribution
        ws.u_2 = _empty((N, 64), dtype)
        ws.drawn.append(("uniform", ws.u_2))  # (10)
        ws.slot_1 = _empty(18688, dtype)
        ws.t_1 = ws.slot_1[:18688].reshape(73, 256)
        ws.t_14 = ws.slot_1[:16384].reshape(256, 64)
        ws.slot_2 = _empty(2304*N, dtype)
        ws.c_1_all = ws.slot_2[592*N:1168*N].reshape(9, N, 64)
        ws.z_1_rows = ws.slot_2[:584*N].reshape(8, N, 73)
        ws.i_1 = ws.slot_2[1168*N:1680*N].reshape(8, N, 64)
        ws.g_1 = ws.slot_2[1680*N:2192*N].reshape(8, N, 64)
        ws.z_1_bar_all = ws.slot_2[:2304*N].reshape(9, N, 256)
        ws.h_1_all = _empty((9, N, 64), dtype)
        ws.f_1 = _empty((8, N, 64), dtype)
        ws.o_1 = _empty((8, N, 64), dtype)
        ws.t_12 = ws.o_1
        ws.slot_6 = _empty(512*N, dtype)
        ws.a_1 = ws.slot_6[:512*N].reshape(8, N, 64)
        ws.c_1_back_pair = ws.slot_6[:128*N].reshape(2, N, 64)
        ws.h_1_bar_t = ws.slot_6[128*N:192*N].reshape(N, 64)
        ws.slot_7 = _empty(512*N, dtype)
        ws.z_1_t = ws.slot_7[:256*N].reshape(N, 256)
        ws.t_2 = ws.slot_7[:64*N].reshape(N, 64)
        ws.y_2 = ws.slot_7[:64*N].reshape(N, 64)
        ws.z_3 = ws.slot_7[64*N:74*N].reshape(N, 10)
        ws.p = ws.slot_7[64*N:74*N].reshape(N, 10)
        ws.z_3_bar = ws.slot_7[64*N:74*N].reshape(N, 10)
        ws.t_8 = ws.slot_7[:512*N].reshape(8, N, 64)
        ws.slot_8 = _empty(64*N, bool)
        ws.t_3 = ws.slot_8[:64*N].reshape(N, 64)
        ws.t_6 = ws.slot_8[:10*N].reshape(N, 10)
        ws.t_13 = ws.slot_8[:64*N].reshape(N, 64)
        ws.slot_9 = _empty(64*N, dtype)
        ws.t_4 = ws.slot_9[:N].reshape(N,)
        ws.t_5 = ws.slot_9[:N].reshape(N,)
        ws.t_7 = ws.slot_9[:64*N].reshape(N, 64)
        ws.t_9 = _empty((8, N, 64), dtype)
        ws.t_10 = _empty((8, N, 64), dtype)
        ws.t_11 = _empty((8, N, 64), dtype)
        ws.c_1 = ws.c_1_all[1:]  # (6)
        ws.c_1_before = ws.c_1_all[:-1]  # (6)
        ws.h_1 = ws.h_1_all[1:]  # (8)
        ws.h_1_before = ws.h_1_all[:-1]  # (8)
        ws.ones = np.ones(10, dtype)  # (12)
        ws.i = np.arange(10)  # (38)
        ws.z_1_bar = ws.z_1_bar_all[:-1]  # (25)
        ws.z_1_bar_after = ws.z_1_bar_all[1:]  # (25)
        ws.ones_1 = np.ones(8, dtype)  # (42)
        ws.x_turned = ws.x.transpose(1, 0, 2)  # (1)
        ws.z_1_t_to64 = ws.z_1_t[:, :64]  # (2)
        ws.half = np.array(0.5, dtype)  # (2)
        ws.one = np.array(1, dtype)  # (2)
        ws.z_1_t_from64to128 = ws.z_1_t[:, 64:128]  # (3)
        ws.z_1_t_from128to192 = ws.z_1_t[:, 128:192]  # (4)
        ws.z_1_t_from192 = ws.z_1_t[:, 192:]  # (5)
        ws.steps_1 = [
            (
                ws.z_1_rows[t], ws.h_1_before[t], ws.i_1[t], ws.f_1[t], ws.g_1[t],
                ws.o_1[t], ws.c_1_before[t], ws.c_1[t], ws.a_1[t], ws.h_1[t]
            )
            for t in range(8)
        ]
        ws.number_0_2 = np.array(0.2, dtype)  # (10)
        ws.h_1_at7 = ws.h_1[7]  # (10)
        ws.number_1_25 = np.array(1.25, dtype)  # (10)
        ws.t_4_column = ws.t_4[:, None]  # (12)
        ws.t_5_column = ws.t_5[:, None]  # (13)
        ws.y_column = ws.y[:, None]  # (38)
        ws.z_3_bar_wide = ws.z_3_bar[:, None]  # (40)
        ws.y_2_wide = ws.y_2[:, :, None]  # (40)
        ws.W_3_T = ws.W_3.T  # (18)
        ws.U_1_T = ws.U_1.T  # (18)
        ws.steps_2 = [
            (
                t, ws.z_1_bar_after[t], ws.t_8[t], ws.c_1_back_pair[(7 - t) % 2],
                ws.t_9[t], ws.t_10[t], ws.t_11[t], ws.t_12[t], ws.f_1[t],
                ws.c_1_back_pair[(8 - t) % 2], ws.z_1_bar[t][:, :64],
                ws.z_1_bar[t][:, 64:128], ws.z_1_bar[t][:, 128:192], ws.z_1_bar[t][:, 192:]
            )
            for t in range(7, -1, -1)
        ]
        ws.h_1_before_turned = ws.h_1_before.transpose(1, 2, 0)  # (41)
        ws.z_1_bar_turned = ws.z_1_bar.transpose(1, 0, 2)  # (41)
        ws.z_1_bar_matrix = ws.z_1_bar.reshape(8, 256*N)  # (42)
        ws.b_1_bar_flat = ws.b_1_bar.reshape(256*N,)  # (42)
        ws.x_turned_b = ws.x.transpose(0, 2, 1)  # (43)


def per_sample_pass(ws):
    """The cotangents of all parameters, sample by sample."""
    # (1) z_1[n,t,m] = sum[k](h_1[n,t-1,k]*U_1[k,m]) + sum[d](x[n,t,d]*W_1[d,m]) + b_1[m]
    ws.t_1[:8] = ws.W_1  # (1)
    ws.t_1[8:9] = ws.b_1  # (1)
    ws.t_1[9:] = ws.U_1  # (1)
    # (6) c_1[n,t,j] = c_1[n,t-1,j]*f_1[n,t,j] + g_1[n,t,j]*i_1[n,t,j]
    ws.c_1_all[0] = 0  # (6)
    # (8) h_1[n,t,j] = a_1[n,t,j]*o_1[n,t,j]
    ws.h_1_all[0] = 0  # (8)
    ws.z_1_rows[:, :, 8:9] = 1  # (1)
    ws.z_1_rows[:, :, :8] = ws.x_turned  # (1)
    for (
        z_1_rows_t, h_1_before_t, i_1_t, f_1_t, g_1_t, o_1_t, c_1_before_t,
        c_1_t, a_1_t, h_1_t
    ) in ws.steps_1:
        # (1) z_1[n,t,m] = sum[k](h_1[n,t-1,k]*U_1[k,m]) + sum[d](x[n,t,d]*W_1[d,m]) + b_1[m]
        z_1_rows_t[:, 9:] = h_1_before_t  # (1)
        np.dot(z_1_rows_t, ws.t_1, out=ws.z_1_t)  # (1)
        # (2) i_1[n,t,j] = sigmoid(z_1[n,t,j])
        np.multiply(ws.z_1_t_to64, ws.half, out=i_1_t)  # (2)
        np.tanh(i_1_t, out=i_1_t)  # (2)
        np.add(i_1_t, ws.one, out=i_1_t)  # (2)
        np.multiply(i_1_t, ws.half, out=i_1_t)  # (2)
        # (3) f_1[n,t,j] = sigmoid(z_1[n,t,j+64])
        np.multiply(ws.z_1_t_from64to128, ws.half, out=f_1_t)  # (3)
        np.tanh(f_1_t, out=f_1_t)  # (3)
        np.add(f_1_t, ws.one, out=f_1_t)  # (3)
        np.multiply(f_1_t, ws.half, out=f_1_t)  # (3)
        # (4) g_1[n,t,j] = tanh(z_1[n,t,j+128])
        np.tanh(ws.z_1_t_from128to192, out=g_1_t)  # (4)
        # (5) o_1[n,t,j] = sigmoid(z_1[n,t,j+192])
        np.multiply(ws.z_1_t_from192, ws.half, out=o_1_t)  # (5)
        np.tanh(o_1_t, out=o_1_t)  # (5)
        np.add(o_1_t, ws.one, out=o_1_t)  # (5)
        np.multiply(o_1_t, ws.half, out=o_1_t)  # (5)
        # (6) c_1[n,t,j] = c_1[n,t-1,j]*f_1[n,t,j] + g_1[n,t,j]*i_1[n,t,j]
        np.multiply(c_1_before_t, f_1_t, out=c_1_t)  # (6)
        np.multiply(g_1_t, i_1_t, out=ws.t_2)  # (6)
        np.add(c_1_t, ws.t_2, out=c_1_t)  # (6)
        # (7) a_1[n,t,j] = tanh(c_1[n,t,j])
        np.tanh(c_1_t, out=a_1_t)  # (7)
        # (8) h_1[n,t,j] = a_1[n,t,j]*o_1[n,t,j]
        np.multiply(a_1_t, o_1_t, out=h_1_t)  # (8)
    # (10) y_2[n,j] = where(u_2[n,j] < 0.2, 0, 5*y_1[n,j]/4)
    np.less(ws.u_2, ws.number_0_2, out=ws.t_3)  # (10)
    np.multiply(ws.h_1_at7, ws.number_1_25, out=ws.y_2)  # (10)
    np.logical_not(ws.t_3, out=ws.t_3)  # (10)
    np.multiply(ws.y_2, ws.t_3, out=ws.y_2)  # (10)
    # (11) z_3[n,i] = sum[j](y_2[n,j]*W_3[j,i]) + b_3[i]
    np.dot(ws.y_2, ws.W_3, out=ws.z_3)  # (11)
    np.add(ws.z_3, ws.b_3, out=ws.z_3)  # (11)
    # (12) l[n] = logsumexp[i](z_3[n,i])
    np.maximum.reduce(ws.z_3, axis=1, out=ws.t_4)  # (12)
    np.subtract(ws.z_3, ws.t_4_column, out=ws.p)  # (12)
    np.exp(ws.p, out=ws.p)  # (12)
    np.dot(ws.p, ws.ones, out=ws.t_5)  # (12)
    # (13) p[n,i] = exp(z_3[n,i] - l[n])
    np.divide(ws.p, ws.t_5_column, out=ws.p)  # (13)
    # (38) z_3_bar[n,i] = p[n,i] - (i == y[n])
    np.equal(ws.i, ws.y_column, out=ws.t_6)  # (38)
    np.subtract(ws.p, ws.t_6, out=ws.z_3_bar)  # (38)
    # (39) b_3_bar[n,i] = z_3_bar[n,i]
    np.copyto(ws.b_3_bar, ws.z_3_bar)  # (39)
    # (40) W_3_bar[n,j,i] = y_2[n,j]*z_3_bar[n,i]
    np.multiply(ws.z_3_bar_wide, ws.y_2_wide, out=ws.W_3_bar)  # (40)
    # (18) h_1_bar[n,t,j] = where(0.2 <= u_2[n,j], 5*sum[i](z_3_bar[n,i]*W_3[j,i])/4, 0)*(t ==
    #     7) + sum[m](z_1_bar[n,t+1,m]*U_1[j,m])
    np.dot(ws.z_3_bar, ws.W_3_T, out=ws.t_7)  # (18)
    # (19) a_1_bar[n,t,j] = h_1_bar[n,t,j]*o_1[n,t,j]
    np.square(ws.a_1, out=ws.t_8)  # (19)
    np.subtract(ws.one, ws.t_8, out=ws.t_8)  # (19)
    np.multiply(ws.t_8, ws.o_1, out=ws.t_8)  # (19)
    # (22) g_1_bar[n,t,j] = c_1_bar[n,t,j]*i_1[n,t,j]
    np.square(ws.g_1, out=ws.t_9)  # (22)
    np.subtract(ws.one, ws.t_9, out=ws.t_9)  # (22)
    np.multiply(ws.t_9, ws.i_1, out=ws.t_9)  # (22)
    # (23) f_1_bar[n,t,j] = c_1[n,t-1,j]*c_1_bar[n,t,j]
    np.subtract(ws.one, ws.f_1, out=ws.t_10)  # (23)
    np.multiply(ws.t_10, ws.c_1_before, out=ws.t_10)  # (23)
    np.multiply(ws.t_10, ws.f_1, out=ws.t_10)  # (23)
    # (20) o_1_bar[n,t,j] = a_1[n,t,j]*h_1_bar[n,t,j]
    np.subtract(ws.one, ws.o_1, out=ws.t_11)  # (20)
    np.multiply(ws.t_11, ws.a_1, out=ws.t_11)  # (20)
    np.multiply(ws.t_11, ws.o_1, out=ws.t_11)  # (20)
    # (24) i_1_bar[n,t,j] = c_1_bar[n,t,j]*g_1[n,t,j]
    np.subtract(ws.one, ws.i_1, out=ws.t_12)  # (24)
    np.multiply(ws.t_12, ws.g_1, out=ws.t_12)  # (24)
    np.multiply(ws.t_12, ws.i_1, out=ws.t_12)  # (24)
    np.less_equal(ws.number_0_2, ws.u_2, out=ws.t_13)  # (18)
    np.multiply(ws.t_7, ws.number_1_25, out=ws.t_7)  # (18)
    np.multiply(ws.t_7, ws.t_13, out=ws.t_7)  # (18)
    # (25) z_1_bar[n,t,m] = where(128 <= m and m < 192, (1 -
    #     g_1[n,t,m-128]**2)*g_1_bar[n,t,m-128], 0) + where(64 <= m and m < 128, (1 -
    #     f_1[n,t,m-64])*f_1[n,t,m-64]*f_1_bar[n,t,m-64], 0) + where(192 <= m, (1 -
    #     o_1[n,t,m-192])*o_1[n,t,m-192]*o_1_bar[n,t,m-192], 0) + where(m < 64, (1 -
    #     i_1[n,t,m])*i_1[n,t,m]*i_1_bar[n,t,m], 0)
    ws.z_1_bar_all[-1] = 0  # (25)
    # (26) c_1_back[n,t,j] = c_1_bar[n,t,j]*f_1[n,t,j]
    ws.c_1_back_pair[0] = 0  # (26)
    np.copyto(ws.t_14, ws.U_1_T)  # (18)
    for (
        t, z_1_bar_after_t, t_15, c_1_back_after_t, t_16, t_17, t_18, t_19,
        f_1_t, c_1_back_t, z_1_bar_t_to64, z_1_bar_t_from64to128,
        z_1_bar_t_from128to192, z_1_bar_t_from192
    ) in ws.steps_2:
        # (18) h_1_bar[n,t,j] = where(0.2 <= u_2[n,j], 5*sum[i](z_3_bar[n,i]*W_3[j,i])/4, 0)*(t
        #     == 7) + sum[m](z_1_bar[n,t+1,m]*U_1[j,m])
        np.dot(z_1_bar_after_t, ws.t_14, out=ws.h_1_bar_t)  # (18)
        if t == 7:  # (18)
            np.add(ws.h_1_bar_t, ws.t_7, out=ws.h_1_bar_t)  # (18)
        # (21) c_1_bar[n,t,j] = (1 - a_1[n,t,j]**2)*a_1_bar[n,t,j] + c_1_back[n,t+1,j]
        np.multiply(t_15, ws.h_1_bar_t, out=c_1_back_t)  # (21)
        np.add(c_1_back_t, c_1_back_after_t, out=c_1_back_t)  # (21)
        # (25) z_1_bar[n,t,m] = where(128 <= m and m < 192, (1 -
        #     g_1[n,t,m-128]**2)*g_1_bar[n,t,m-128], 0) + where(64 <= m and m < 128, (1 -
        #     f_1[n,t,m-64])*f_1[n,t,m-64]*f_1_bar[n,t,m-64], 0) + where(192 <= m, (1 -
        #     o_1[n,t,m-192])*o_1[n,t,m-192]*o_1_bar[n,t,m-192], 0) + where(m < 64, (1 -
        #     i_1[n,t,m])*i_1[n,t,m]*i_1_bar[n,t,m], 0)
        np.multiply(c_1_back_t, t_19, out=z_1_bar_t_to64)  # (25)
        np.multiply(c_1_back_t, t_17, out=z_1_bar_t_from64to128)  # (25)
        np.multiply(c_1_back_t, t_16, out=z_1_bar_t_from128to192)  # (25)
        np.multiply(ws.h_1_bar_t, t_18, out=z_1_bar_t_from192)  # (25)
        # (26) c_1_back[n,t,j] = c_1_bar[n,t,j]*f_1[n,t,j]
        np.multiply(c_1_back_t, f_1_t, out=c_1_back_t)  # (26)
    # (41) U_1_bar[n,j,m] = sum[t](h_1[n,t-1,j]*z_1_bar[n,t,m])
    np.matmul(ws.h_1_before_turned, ws.z_1_bar_turned, out=ws.U_1_bar)  # (41)
    # (42) b_1_bar[n,m] = sum[t](z_1_bar[n,t,m])
    np.dot(ws.ones_1, ws.z_1_bar_matrix, out=ws.b_1_bar_flat)  # (42)
    # (43) W_1_bar[n,d,m] = sum[t](x[n,t,d]*z_1_bar[n,t,m])
    np.matmul(ws.x_turned_b, ws.z_1_bar_turned, out=ws.W_1_bar)  # (43)


class Optimizer:
    """The state of adam, and the flat vectors in tiles."""

    def __init__(ws, w, w_bar, *w_bars):
        ws.learning_rate = 0.003
        ws.t = np.zeros((), np.int64)  # steps made
        ws.m = _zeros(len(w), w.dtype)  # (31) m/0.1
        ws.v = _zeros(len(w), w.dtype)  # (32) v/0.001
        ws.state = {"t": ws.t, "m": ws.m, "v": ws.v}
        ws.units = {"m": 0.1, "v": 0.001}  # what states are divided by
        ws.c_1 = np.array(0.9, w.dtype)  # (31)
        ws.c_2 = np.array(0.999, w.dtype)  # (32)
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
    ws.c_3[()] = 3.162277660168379e-07 * math.sqrt(1 - (0.999 ** t))  # (33)
    ws.c_4[()] = (  # (33)
        (3.1622776601683795 * math.sqrt(1 - (0.999 ** t))) * learning_rate
    ) / (1 - (0.9 ** t))
    for w, g, m, v, parts in ws.tiles:
        for part in parts:
            np.add(g, part, out=g)  # (31)
        # (31) m_next[p] = 0.1*g[p] + 0.9*m[p]
        np.multiply(m, ws.c_1, out=m)  # (31)
        np.add(m, g, out=m)  # (31)
        # (32) v_next[p] = 0.001*g[p]**2 + 0.999*v[p]
        np.square(g, out=g)  # (32)
        np.multiply(v, ws.c_2, out=v)  # (32)
        np.add(g, v, out=v)  # (32)
        # (33) w_next[p] = w[p] - learning_rate*m_next[p]/((1 - (0.9)**t)*(1E-8 +
        #     sqrt(v_next[p]/(1 - (0.999)**t))))
        np.sqrt(v, out=g)  # (33)
        np.add(g, ws.c_3, out=g)  # (33)
        np.divide(m, g, out=g)  # (33)
        np.multiply(g, ws.c_4, out=g)  # (33)
        np.subtract(w, g, out=w)  # (33)


def weighted_loss(z_3, y, sample_weight):
    """The loss with a weight for each sample, and the cotangent of z_3."""
    N = len(z_3)
    # (12) l[n] = logsumexp[i](z_3[n,i])
    t_1 = np.maximum.reduce(z_3, axis=1)  # (12)
    p = np.subtract(z_3, t_1[:, None])  # (12)
    np.exp(p, out=p)  # (12)
    t_2 = np.add.reduce(p, axis=1)  # (12)
    t_3 = np.log(t_2)  # (12)
    # (13) p[n,i] = exp(z_3[n,i] - l[n])
    np.divide(p, t_2[:, None], out=p)  # (13)
    # (35) L = mean[n]((l[n] - z_3[n,y[n]])*sample_weight[n])
    n = np.arange(N)  # (35)
    t_4 = z_3[n, y]  # (35)
    np.subtract(t_4, t_1, out=t_4)  # (35)
    np.subtract(t_3, t_4, out=t_3)  # (35)
    t_5 = np.vdot(t_3, sample_weight)  # (35)
    L = t_5 / N  # (35)
    # (36) z_3_bar[n,i] = (p[n,i] - (i == y[n]))*sample_weight[n]/N
    z_3_bar = p.copy()  # (36)
    z_3_bar[n, y] -= 1  # (36)
    t_6 = np.divide(sample_weight, N)  # (36)
    np.multiply(t_6[:, None], z_3_bar, out=z_3_bar)  # (36)
    return L, z_3_bar


def probabilities(z_3):
    """p[n,i] = exp(z_3[n,i])/sum[l](exp(z_3[n,l]))"""
    # (13) p[n,i] = exp(z_3[n,i] - l[n])
    t_1 = np.maximum.reduce(z_3, axis=1)  # (13)
    p = np.subtract(z_3, t_1[:, None])  # (13)
    np.exp(p, out=p)  # (13)
    t_2 = np.add.reduce(p, axis=1)  # (13)
    np.divide(p, t_2[:, None], out=p)  # (13)
    return p


def labels(z_3):
    """c[n] = argmax[i](z_3[n,i])"""
    # (37) c[n] = argmax[i](z_3[n,i])
    c = np.argmax(z_3, axis=1)  # (37)
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
        np.multiply(ws.z_3_bar, ws.share, out=ws.z_3_bar)
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
        What is drawn at random for it is drawn.
        """
        parts = self._holding(np.asarray(x), np.asarray(y))
        for ws in parts:
            draw(ws, self.generator)
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
        epochs=25,
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
                    draw(ws, self.generator)
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
                        for name, mean in metrics(ws.z_3, ws.y).items():
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
