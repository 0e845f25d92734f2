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

A gradient on a batch of 32 takes 29.3 million floating-point operations and moves 13.5 million
bytes.
"""

from __future__ import annotations

import json
import math
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
    """The output z_3 in inference mode."""
    w = _flat(params, ARRAYS)
    x, sizes = _fitting(x, INPUT, {})
    ws = Inference(w, **sizes)
    ws.x[...] = x
    return inference_pass(ws)


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
    ws.x_bar = np.empty_like(ws.x)
    _gradients(ws, x, y, seed)
    input_pass(ws)
    return ws.x_bar


def per_sample_grad(params, x, y, seed=None):
    """{public name: array (N, *shape)}: [n] is the gradient of the loss of sample n alone."""
    x, y, sizes = _batch(x, y)
    ws = PerSample(_flat(params, PARAMETERS), **sizes)
    _fill(ws, x, y, seed)
    per_sample_pass(ws)
    return ws.gradients


def _fill(ws, x, y, seed):
    """What a workspace starts from: the batch, and what is drawn at random."""
    ws.x[...], ws.y[...] = x, y
    draw(ws, np.random.default_rng(seed))


def _gradients(ws, x, y, seed, sample_weight=None):
    """The loss; the cotangents of the parameters are left in `ws`."""
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
        for name in ["t"]:
            setattr(ws, name, {})  # by the number of the layer
        p, g, dtype = _views(w, ARRAYS), _views(w_bar, PARAMETERS), w.dtype
        ws.W_1, ws.W_1_bar = p["lstm_1.W"], g["lstm_1.W"]  # 8 x 256
        ws.U_1, ws.U_1_bar = p["lstm_1.U"], g["lstm_1.U"]  # 64 x 256
        ws.b_1, ws.b_1_bar = p["lstm_1.b"], g["lstm_1.b"]  # 256
        ws.W_3, ws.W_3_bar = p["dense_1.W"], g["dense_1.W"]  # 64 x 10
        ws.b_3, ws.b_3_bar = p["dense_1.b"], g["dense_1.b"]  # 10
        ws.x = np.empty((N, 8, 8), dtype)
        ws.y = np.empty(N, np.int64)
        ws.drawn = []  # arrays of random numbers, each with its distribution
        ws.u_2 = np.empty((N, 64), dtype)
        ws.drawn.append(("uniform", ws.u_2))  # (10)
        ws.slot_1 = np.empty(2048*N, dtype)
        ws.t[1] = ws.slot_1[:2048*N].reshape(N, 8, 256)
        ws.c_1_all = ws.slot_1[:576*N].reshape(9, N, 64)
        ws.slot_2 = np.empty(2048*N, dtype)
        ws.t[2] = ws.slot_2[:2048*N].reshape(8, N, 256)
        ws.t[15] = ws.slot_2[:512*N].reshape(8, N, 64)
        ws.h_1_all = np.empty((9, N, 64), dtype)
        ws.i_1 = np.empty((8, N, 64), dtype)
        ws.f_1 = np.empty((8, N, 64), dtype)
        ws.g_1 = np.empty((8, N, 64), dtype)
        ws.o_1 = np.empty((8, N, 64), dtype)
        ws.a_1 = np.empty((8, N, 64), dtype)
        ws.slot_9 = np.empty(256*N, dtype)
        ws.z_1_t = ws.slot_9[:256*N].reshape(N, 256)
        ws.t[4] = ws.slot_9[:64*N].reshape(N, 64)
        ws.y_2 = ws.slot_9[:64*N].reshape(N, 64)
        ws.t[13] = ws.slot_9[:64*N].reshape(N, 64)
        ws.t[5] = np.empty((N, 64), bool)
        ws.t[14] = ws.t[5]
        ws.z_3 = np.empty((N, 10), dtype)
        ws.t[6] = np.empty((N,), dtype)
        ws.p = np.empty((N, 10), dtype)
        ws.z_3_bar = ws.p
        ws.t[7] = np.empty((N,), dtype)
        ws.t[9] = ws.t[7]
        ws.t[8] = np.empty((N,), dtype)
        ws.t[11] = np.empty((N,), np.int64)
        for l in range(16, 20):
            ws.t[l] = np.empty((8, N, 64), dtype)
        ws.z_1_bar_all = np.empty((9, N, 256), dtype)
        ws.c_1_back_pair = np.empty((2, N, 64), dtype)
        ws.slot_23 = np.empty(64*N, dtype)
        ws.o_1_bar_t = ws.slot_23[:64*N].reshape(N, 64)
        ws.t[25] = ws.slot_23[:64*N].reshape(8, 8, N)
        ws.t[26] = ws.slot_23[:64*N].reshape(8, N, 8)
        ws.g_1_bar_t = np.empty((N, 64), dtype)
        ws.f_1_bar_t = np.empty((N, 64), dtype)
        ws.i_1_bar_t = np.empty((N, 64), dtype)
        ws.c_1 = ws.c_1_all[1:]  # (6)
        ws.c_1_before = ws.c_1_all[:-1]  # (6)
        ws.h_1 = ws.h_1_all[1:]  # (8)
        ws.h_1_before = ws.h_1_all[:-1]  # (8)
        ws.n = np.arange(N)  # (14)
        ws.t[10] = np.multiply(ws.n, 10)  # (14)
        ws.z_1_bar = ws.z_1_bar_all[:-1]  # (25)
        ws.z_1_bar_after = ws.z_1_bar_all[1:]  # (25)


def forward_pass(ws):
    """The loss of the batch in `ws.x` and `ws.y`."""
    N = len(ws.x)
    # (1) z_1[n,t,m] = sum[k](h_1[n,t-1,k]*U_1[k,m]) + sum[d](x[n,t,d]*W_1[d,m]) + b_1[m]
    np.matmul(ws.x.reshape(8*N, 8), ws.W_1, out=ws.t[1].reshape(8*N, 256))  # (1)
    np.add(ws.t[1].transpose(1, 0, 2), ws.b_1, out=ws.t[2])  # (1)
    # (6) c_1[n,t,j] = c_1[n,t-1,j]*f_1[n,t,j] + g_1[n,t,j]*i_1[n,t,j]
    ws.c_1_all[0] = 0  # (6)
    # (8) h_1[n,t,j] = a_1[n,t,j]*o_1[n,t,j]
    ws.h_1_all[0] = 0  # (8)
    for t in range(8):
        # (1) z_1[n,t,m] = sum[k](h_1[n,t-1,k]*U_1[k,m]) + sum[d](x[n,t,d]*W_1[d,m]) + b_1[m]
        h_1_before_t = ws.h_1_before[t]  # (1)
        t_3 = ws.t[2][t]  # (1)
        # (2) i_1[n,t,j] = sigmoid(z_1[n,t,j])
        i_1_t = ws.i_1[t]  # (2)
        # (3) f_1[n,t,j] = sigmoid(z_1[n,t,j+64])
        f_1_t = ws.f_1[t]  # (3)
        # (4) g_1[n,t,j] = tanh(z_1[n,t,j+128])
        g_1_t = ws.g_1[t]  # (4)
        # (5) o_1[n,t,j] = sigmoid(z_1[n,t,j+192])
        o_1_t = ws.o_1[t]  # (5)
        # (6) c_1[n,t,j] = c_1[n,t-1,j]*f_1[n,t,j] + g_1[n,t,j]*i_1[n,t,j]
        c_1_before_t = ws.c_1_before[t]  # (6)
        c_1_t = ws.c_1[t]  # (6)
        # (7) a_1[n,t,j] = tanh(c_1[n,t,j])
        a_1_t = ws.a_1[t]  # (7)
        # (8) h_1[n,t,j] = a_1[n,t,j]*o_1[n,t,j]
        h_1_t = ws.h_1[t]  # (8)
        np.matmul(h_1_before_t, ws.U_1, out=ws.z_1_t)  # (1)
        np.add(ws.z_1_t, t_3, out=ws.z_1_t)  # (1)
        np.multiply(ws.z_1_t[:, :64], 0.5, out=i_1_t)  # (2)
        np.tanh(i_1_t, out=i_1_t)  # (2)
        np.add(i_1_t, 1, out=i_1_t)  # (2)
        np.multiply(i_1_t, 0.5, out=i_1_t)  # (2)
        np.multiply(ws.z_1_t[:, 64:128], 0.5, out=f_1_t)  # (3)
        np.tanh(f_1_t, out=f_1_t)  # (3)
        np.add(f_1_t, 1, out=f_1_t)  # (3)
        np.multiply(f_1_t, 0.5, out=f_1_t)  # (3)
        np.tanh(ws.z_1_t[:, 128:192], out=g_1_t)  # (4)
        np.multiply(ws.z_1_t[:, 192:], 0.5, out=o_1_t)  # (5)
        np.tanh(o_1_t, out=o_1_t)  # (5)
        np.add(o_1_t, 1, out=o_1_t)  # (5)
        np.multiply(o_1_t, 0.5, out=o_1_t)  # (5)
        np.multiply(c_1_before_t, f_1_t, out=c_1_t)  # (6)
        np.multiply(g_1_t, i_1_t, out=ws.t[4])  # (6)
        np.add(c_1_t, ws.t[4], out=c_1_t)  # (6)
        np.tanh(c_1_t, out=a_1_t)  # (7)
        np.multiply(a_1_t, o_1_t, out=h_1_t)  # (8)
    # (10) y_2[n,j] = where(u_2[n,j] < 0.2, 0, 5*y_1[n,j]/4)
    np.less(ws.u_2, 0.2, out=ws.t[5])  # (10)
    np.multiply(ws.h_1[7], 1.25, out=ws.y_2)  # (10)
    np.logical_not(ws.t[5], out=ws.t[5])  # (10)
    np.multiply(ws.y_2, ws.t[5], out=ws.y_2)  # (10)
    # (11) z_3[n,i] = sum[j](y_2[n,j]*W_3[j,i]) + b_3[i]
    np.matmul(ws.y_2, ws.W_3, out=ws.z_3)  # (11)
    np.add(ws.z_3, ws.b_3, out=ws.z_3)  # (11)
    # (12) l[n] = logsumexp[i](z_3[n,i])
    np.maximum.reduce(ws.z_3, axis=1, out=ws.t[6])  # (12)
    np.subtract(ws.z_3, ws.t[6][:, None], out=ws.p)  # (12)
    np.exp(ws.p, out=ws.p)  # (12)
    np.add.reduce(ws.p, axis=1, out=ws.t[7])  # (12)
    np.log(ws.t[7], out=ws.t[8])  # (12)
    # (13) p[n,i] = exp(z_3[n,i] - l[n])
    np.divide(ws.p, ws.t[7][:, None], out=ws.p)  # (13)
    # (14) L = mean[n](l[n] - z_3[n,y[n]])
    np.add(ws.t[10], ws.y, out=ws.t[11])  # (14)
    ws.z_3.reshape(-1).take(ws.t[11], None, ws.t[9], "clip")  # (14)
    np.subtract(ws.t[9], ws.t[6], out=ws.t[9])  # (14)
    np.subtract(ws.t[8], ws.t[9], out=ws.t[8])  # (14)
    t_12 = np.add.reduce(ws.t[8], axis=None)  # (14)
    L = t_12 / N  # (14)
    return L


def loss_backward(ws):
    """The cotangent z_3_bar of the output."""
    N = len(ws.x)
    # (15) z_3_bar[n,i] = (p[n,i] - (i == y[n]))/N
    ws.z_3_bar.reshape(-1)[ws.t[11]] -= 1  # (15)
    np.divide(ws.z_3_bar, N, out=ws.z_3_bar)  # (15)


def backward_pass(ws):
    """The cotangents of all parameters, from z_3_bar."""
    N = len(ws.x)
    # (16) b_3_bar[i] = sum[n](z_3_bar[n,i])
    np.add.reduce(ws.z_3_bar, axis=0, out=ws.b_3_bar)  # (16)
    # (17) W_3_bar[j,i] = sum[n](y_2[n,j]*z_3_bar[n,i])
    np.matmul(ws.y_2.T, ws.z_3_bar, out=ws.W_3_bar)  # (17)
    # (18) h_1_bar[n,t,j] = where(0.2 <= u_2[n,j], 5*sum[i](z_3_bar[n,i]*W_3[j,i])/4, 0)*(t ==
    #     7) + sum[m](z_1_bar[n,t+1,m]*U_1[j,m])
    np.matmul(ws.z_3_bar, ws.W_3.T, out=ws.t[13])  # (18)
    np.less_equal(0.2, ws.u_2, out=ws.t[14])  # (18)
    np.multiply(ws.t[13], 1.25, out=ws.t[13])  # (18)
    np.multiply(ws.t[13], ws.t[14], out=ws.t[13])  # (18)
    # (21) c_1_bar[n,t,j] = (1 - a_1[n,t,j]**2)*a_1_bar[n,t,j] + c_1_back[n,t+1,j]
    np.square(ws.a_1, out=ws.t[15])  # (21)
    np.subtract(1, ws.t[15], out=ws.t[15])  # (21)
    # (25) z_1_bar[n,t,m] = where(128 <= m and m < 192, (1 -
    #     g_1[n,t,m-128]**2)*g_1_bar[n,t,m-128], 0) + where(64 <= m and m < 128, (1 -
    #     f_1[n,t,m-64])*f_1[n,t,m-64]*f_1_bar[n,t,m-64], 0) + where(192 <= m, (1 -
    #     o_1[n,t,m-192])*o_1[n,t,m-192]*o_1_bar[n,t,m-192], 0) + where(m < 64, (1 -
    #     i_1[n,t,m])*i_1[n,t,m]*i_1_bar[n,t,m], 0)
    np.square(ws.g_1, out=ws.t[16])  # (25)
    np.subtract(1, ws.t[16], out=ws.t[16])  # (25)
    np.subtract(1, ws.f_1, out=ws.t[17])  # (25)
    np.multiply(ws.t[17], ws.f_1, out=ws.t[17])  # (25)
    np.subtract(1, ws.o_1, out=ws.t[18])  # (25)
    np.multiply(ws.t[18], ws.o_1, out=ws.t[18])  # (25)
    np.subtract(1, ws.i_1, out=ws.t[19])  # (25)
    np.multiply(ws.t[19], ws.i_1, out=ws.t[19])  # (25)
    ws.z_1_bar_all[-1] = 0  # (25)
    # (26) c_1_back[n,t,j] = c_1_bar[n,t,j]*f_1[n,t,j]
    ws.c_1_back_pair[0] = 0  # (26)
    for t in range(7, -1, -1):
        # (18) h_1_bar[n,t,j] = where(0.2 <= u_2[n,j], 5*sum[i](z_3_bar[n,i]*W_3[j,i])/4, 0)*(t
        #     == 7) + sum[m](z_1_bar[n,t+1,m]*U_1[j,m])
        z_1_bar_after_t = ws.z_1_bar_after[t]  # (18)
        # (19) a_1_bar[n,t,j] = h_1_bar[n,t,j]*o_1[n,t,j]
        o_1_t_1 = ws.o_1[t]  # (19)
        # (20) o_1_bar[n,t,j] = a_1[n,t,j]*h_1_bar[n,t,j]
        a_1_t_1 = ws.a_1[t]  # (20)
        # (21) c_1_bar[n,t,j] = (1 - a_1[n,t,j]**2)*a_1_bar[n,t,j] + c_1_back[n,t+1,j]
        t_20 = ws.t[15][t]  # (21)
        c_1_back_after_t = ws.c_1_back_pair[(7 - t) % 2]  # (21)
        # (22) g_1_bar[n,t,j] = c_1_bar[n,t,j]*i_1[n,t,j]
        i_1_t_1 = ws.i_1[t]  # (22)
        # (23) f_1_bar[n,t,j] = c_1[n,t-1,j]*c_1_bar[n,t,j]
        c_1_before_t_1 = ws.c_1_before[t]  # (23)
        # (24) i_1_bar[n,t,j] = c_1_bar[n,t,j]*g_1[n,t,j]
        g_1_t_1 = ws.g_1[t]  # (24)
        # (25) z_1_bar[n,t,m] = where(128 <= m and m < 192, (1 -
        #     g_1[n,t,m-128]**2)*g_1_bar[n,t,m-128], 0) + where(64 <= m and m < 128, (1 -
        #     f_1[n,t,m-64])*f_1[n,t,m-64]*f_1_bar[n,t,m-64], 0) + where(192 <= m, (1 -
        #     o_1[n,t,m-192])*o_1[n,t,m-192]*o_1_bar[n,t,m-192], 0) + where(m < 64, (1 -
        #     i_1[n,t,m])*i_1[n,t,m]*i_1_bar[n,t,m], 0)
        t_21 = ws.t[16][t]  # (25)
        t_22 = ws.t[17][t]  # (25)
        t_23 = ws.t[18][t]  # (25)
        t_24 = ws.t[19][t]  # (25)
        z_1_bar_t = ws.z_1_bar[t]  # (25)
        # (26) c_1_back[n,t,j] = c_1_bar[n,t,j]*f_1[n,t,j]
        f_1_t_1 = ws.f_1[t]  # (26)
        c_1_back_t = ws.c_1_back_pair[(8 - t) % 2]  # (26)
        np.matmul(z_1_bar_after_t, ws.U_1.T, out=ws.o_1_bar_t)  # (18)
        if t == 7:  # (18)
            np.add(ws.o_1_bar_t, ws.t[13], out=ws.o_1_bar_t)  # (18)
        np.multiply(ws.o_1_bar_t, o_1_t_1, out=c_1_back_t)  # (19)
        np.multiply(a_1_t_1, ws.o_1_bar_t, out=ws.o_1_bar_t)  # (20)
        np.multiply(c_1_back_t, t_20, out=c_1_back_t)  # (21)
        np.add(c_1_back_t, c_1_back_after_t, out=c_1_back_t)  # (21)
        np.multiply(c_1_back_t, i_1_t_1, out=ws.g_1_bar_t)  # (22)
        np.multiply(c_1_before_t_1, c_1_back_t, out=ws.f_1_bar_t)  # (23)
        np.multiply(c_1_back_t, g_1_t_1, out=ws.i_1_bar_t)  # (24)
        np.multiply(ws.i_1_bar_t, t_24, out=z_1_bar_t[:, :64])  # (25)
        np.multiply(ws.f_1_bar_t, t_22, out=z_1_bar_t[:, 64:128])  # (25)
        np.multiply(ws.g_1_bar_t, t_21, out=z_1_bar_t[:, 128:192])  # (25)
        np.multiply(ws.o_1_bar_t, t_23, out=z_1_bar_t[:, 192:])  # (25)
        np.multiply(c_1_back_t, f_1_t_1, out=c_1_back_t)  # (26)
    # (27) U_1_bar[j,m] = sum[n,t](h_1[n,t-1,j]*z_1_bar[n,t,m])
    np.matmul(  # (27)
        ws.h_1_before.reshape(8*N, 64).T, ws.z_1_bar.reshape(8*N, 256), out=ws.U_1_bar
    )
    # (28) b_1_bar[m] = sum[n,t](z_1_bar[n,t,m])
    np.add.reduce(ws.z_1_bar, axis=(0, 1), out=ws.b_1_bar)  # (28)
    # (29) W_1_bar[d,m] = sum[n,t](x[n,t,d]*z_1_bar[n,t,m])
    np.copyto(ws.t[25], ws.x.T)  # (29)
    np.matmul(ws.t[25].reshape(8, 8*N), ws.z_1_bar.reshape(8*N, 256), out=ws.W_1_bar)  # (29)


def input_pass(ws):
    """The cotangent x_bar of the input, after those of the parameters."""
    N = len(ws.x)
    # (30) x_bar[n,t,d] = sum[m](z_1_bar[n,t,m]*W_1[d,m])
    np.matmul(ws.z_1_bar.reshape(8*N, 256), ws.W_1.T, out=ws.t[26].reshape(8*N, 8))  # (30)
    np.copyto(ws.x_bar, ws.t[26].transpose(1, 0, 2))  # (30)


class Inference:
    """The arrays of an answer to N samples; parameters are views into the flat `w`."""

    def __init__(ws, w, N):
        p, dtype = _views(w, ARRAYS), w.dtype
        ws.W_1 = p["lstm_1.W"]  # 8 x 256
        ws.U_1 = p["lstm_1.U"]  # 64 x 256
        ws.b_1 = p["lstm_1.b"]  # 256
        ws.W_3 = p["dense_1.W"]  # 64 x 10
        ws.b_3 = p["dense_1.b"]  # 10
        ws.x = np.empty((N, 8, 8), dtype)
        ws.y = np.empty(N, np.int64)
        ws.t_1 = np.empty((N, 8, 256), dtype)
        ws.t_2 = np.empty((8, N, 256), dtype)
        ws.c_1_pair = np.empty((2, N, 64), dtype)
        ws.h_1_pair = np.empty((2, N, 64), dtype)
        ws.z_1_t = np.empty((N, 256), dtype)
        ws.i_1_t = np.empty((N, 64), dtype)
        ws.t_4 = np.empty((N, 64), dtype)
        ws.o_1_t = np.empty((N, 64), dtype)
        ws.z_3 = np.empty((N, 10), dtype)
        ws.t_5 = np.empty((N,), dtype)
        ws.t_6 = np.empty((N, 10), dtype)
        ws.t_7 = np.empty((N,), dtype)
        ws.t_10 = np.empty((N,), np.int64)
        ws.t_8 = np.empty((N,), dtype)
        ws.n = np.arange(N)  # (14)
        ws.t_9 = np.multiply(ws.n, 10)  # (14)


def inference_pass(ws):
    """The output z_3 for `ws.x`."""
    N = len(ws.x)
    # (1) z_1[n,t,m] = sum[k](h_1[n,t-1,k]*U_1[k,m]) + sum[d](x[n,t,d]*W_1[d,m]) + b_1[m]
    np.matmul(ws.x.reshape(8*N, 8), ws.W_1, out=ws.t_1.reshape(8*N, 256))  # (1)
    np.add(ws.t_1.transpose(1, 0, 2), ws.b_1, out=ws.t_2)  # (1)
    # (6) c_1[n,t,j] = c_1[n,t-1,j]*f_1[n,t,j] + g_1[n,t,j]*i_1[n,t,j]
    ws.c_1_pair[0] = 0  # (6)
    # (8) h_1[n,t,j] = a_1[n,t,j]*o_1[n,t,j]
    ws.h_1_pair[0] = 0  # (8)
    for t in range(8):
        # (1) z_1[n,t,m] = sum[k](h_1[n,t-1,k]*U_1[k,m]) + sum[d](x[n,t,d]*W_1[d,m]) + b_1[m]
        h_1_before_t = ws.h_1_pair[t % 2]  # (1)
        t_3 = ws.t_2[t]  # (1)
        # (6) c_1[n,t,j] = c_1[n,t-1,j]*f_1[n,t,j] + g_1[n,t,j]*i_1[n,t,j]
        c_1_before_t = ws.c_1_pair[t % 2]  # (6)
        c_1_t = ws.c_1_pair[(t + 1) % 2]  # (6)
        # (8) h_1[n,t,j] = a_1[n,t,j]*o_1[n,t,j]
        h_1_t = ws.h_1_pair[(t + 1) % 2]  # (8)
        np.matmul(h_1_before_t, ws.U_1, out=ws.z_1_t)  # (1)
        np.add(ws.z_1_t, t_3, out=ws.z_1_t)  # (1)
        # (2) i_1[n,t,j] = sigmoid(z_1[n,t,j])
        np.multiply(ws.z_1_t[:, :64], 0.5, out=ws.i_1_t)  # (2)
        np.tanh(ws.i_1_t, out=ws.i_1_t)  # (2)
        np.add(ws.i_1_t, 1, out=ws.i_1_t)  # (2)
        np.multiply(ws.i_1_t, 0.5, out=ws.i_1_t)  # (2)
        # (3) f_1[n,t,j] = sigmoid(z_1[n,t,j+64])
        np.multiply(ws.z_1_t[:, 64:128], 0.5, out=c_1_t)  # (3)
        np.tanh(c_1_t, out=c_1_t)  # (3)
        np.add(c_1_t, 1, out=c_1_t)  # (3)
        np.multiply(c_1_t, 0.5, out=c_1_t)  # (3)
        # (4) g_1[n,t,j] = tanh(z_1[n,t,j+128])
        np.tanh(ws.z_1_t[:, 128:192], out=ws.t_4)  # (4)
        # (5) o_1[n,t,j] = sigmoid(z_1[n,t,j+192])
        np.multiply(ws.z_1_t[:, 192:], 0.5, out=ws.o_1_t)  # (5)
        np.tanh(ws.o_1_t, out=ws.o_1_t)  # (5)
        np.add(ws.o_1_t, 1, out=ws.o_1_t)  # (5)
        np.multiply(ws.o_1_t, 0.5, out=ws.o_1_t)  # (5)
        np.multiply(c_1_before_t, c_1_t, out=c_1_t)  # (6)
        np.multiply(ws.t_4, ws.i_1_t, out=ws.t_4)  # (6)
        np.add(c_1_t, ws.t_4, out=c_1_t)  # (6)
        # (7) a_1[n,t,j] = tanh(c_1[n,t,j])
        np.tanh(c_1_t, out=h_1_t)  # (7)
        np.multiply(h_1_t, ws.o_1_t, out=h_1_t)  # (8)
    # (11) z_3[n,i] = sum[j](y_2[n,j]*W_3[j,i]) + b_3[i]
    np.matmul(ws.h_1_pair[8 % 2], ws.W_3, out=ws.z_3)  # (11)
    np.add(ws.z_3, ws.b_3, out=ws.z_3)  # (11)
    return ws.z_3


def loss_pass(ws):
    """The loss of that output for `ws.y`."""
    N = len(ws.x)
    # (12) l[n] = logsumexp[i](z_3[n,i])
    np.maximum.reduce(ws.z_3, axis=1, out=ws.t_5)  # (12)
    np.subtract(ws.z_3, ws.t_5[:, None], out=ws.t_6)  # (12)
    np.exp(ws.t_6, out=ws.t_6)  # (12)
    np.add.reduce(ws.t_6, axis=1, out=ws.t_7)  # (12)
    np.log(ws.t_7, out=ws.t_7)  # (12)
    # (14) L = mean[n](l[n] - z_3[n,y[n]])
    np.add(ws.t_9, ws.y, out=ws.t_10)  # (14)
    ws.z_3.reshape(-1).take(ws.t_10, None, ws.t_8, "clip")  # (14)
    np.subtract(ws.t_8, ws.t_5, out=ws.t_8)  # (14)
    np.subtract(ws.t_7, ws.t_8, out=ws.t_7)  # (14)
    t_11 = np.add.reduce(ws.t_7, axis=None)  # (14)
    L = t_11 / N  # (14)
    return L


class PerSample:
    """The arrays of the gradients of N samples, each alone."""

    def __init__(ws, w, N):
        for name in ["t"]:
            setattr(ws, name, {})  # by the number of the layer
        p, dtype = _views(w, ARRAYS), w.dtype
        ws.gradients = g = {n: np.empty((N, *s), dtype) for n, s in PARAMETERS.items()}
        ws.W_1, ws.W_1_bar = p["lstm_1.W"], g["lstm_1.W"]  # 8 x 256
        ws.U_1, ws.U_1_bar = p["lstm_1.U"], g["lstm_1.U"]  # 64 x 256
        ws.b_1, ws.b_1_bar = p["lstm_1.b"], g["lstm_1.b"]  # 256
        ws.W_3, ws.W_3_bar = p["dense_1.W"], g["dense_1.W"]  # 64 x 10
        ws.b_3, ws.b_3_bar = p["dense_1.b"], g["dense_1.b"]  # 10
        ws.x = np.empty((N, 8, 8), dtype)
        ws.y = np.empty(N, np.int64)
        ws.drawn = []  # arrays of random numbers, each with its distribution
        ws.u_2 = np.empty((N, 64), dtype)
        ws.drawn.append(("uniform", ws.u_2))  # (10)
        ws.slot_1 = np.empty(2048*N, dtype)
        ws.t[1] = ws.slot_1[:2048*N].reshape(N, 8, 256)
        ws.c_1_all = ws.slot_1[:576*N].reshape(9, N, 64)
        ws.slot_2 = np.empty(2048*N, dtype)
        ws.t[2] = ws.slot_2[:2048*N].reshape(8, N, 256)
        ws.t[11] = ws.slot_2[:512*N].reshape(8, N, 64)
        ws.h_1_all = np.empty((9, N, 64), dtype)
        ws.i_1 = np.empty((8, N, 64), dtype)
        ws.f_1 = np.empty((8, N, 64), dtype)
        ws.g_1 = np.empty((8, N, 64), dtype)
        ws.o_1 = np.empty((8, N, 64), dtype)
        ws.a_1 = np.empty((8, N, 64), dtype)
        ws.slot_9 = np.empty(256*N, dtype)
        ws.z_1_t = ws.slot_9[:256*N].reshape(N, 256)
        ws.t[4] = ws.slot_9[:64*N].reshape(N, 64)
        ws.y_2 = ws.slot_9[:64*N].reshape(N, 64)
        ws.t[9] = ws.slot_9[:64*N].reshape(N, 64)
        ws.t[5] = np.empty((N, 64), bool)
        ws.t[10] = ws.t[5]
        ws.z_3 = np.empty((N, 10), dtype)
        ws.p = ws.z_3
        ws.z_3_bar = ws.z_3
        ws.t[6] = np.empty((N,), dtype)
        ws.t[7] = ws.t[6]
        ws.t[8] = np.empty((N, 10), bool)
        for l in range(12, 16):
            ws.t[l] = np.empty((8, N, 64), dtype)
        ws.z_1_bar_all = np.empty((9, N, 256), dtype)
        ws.c_1_back_pair = np.empty((2, N, 64), dtype)
        ws.o_1_bar_t = np.empty((N, 64), dtype)
        ws.g_1_bar_t = np.empty((N, 64), dtype)
        ws.f_1_bar_t = np.empty((N, 64), dtype)
        ws.i_1_bar_t = np.empty((N, 64), dtype)
        ws.c_1 = ws.c_1_all[1:]  # (6)
        ws.c_1_before = ws.c_1_all[:-1]  # (6)
        ws.h_1 = ws.h_1_all[1:]  # (8)
        ws.h_1_before = ws.h_1_all[:-1]  # (8)
        ws.i = np.arange(10)  # (38)
        ws.z_1_bar = ws.z_1_bar_all[:-1]  # (25)
        ws.z_1_bar_after = ws.z_1_bar_all[1:]  # (25)


def per_sample_pass(ws):
    """The cotangents of all parameters, sample by sample."""
    N = len(ws.x)
    # (1) z_1[n,t,m] = sum[k](h_1[n,t-1,k]*U_1[k,m]) + sum[d](x[n,t,d]*W_1[d,m]) + b_1[m]
    np.matmul(ws.x.reshape(8*N, 8), ws.W_1, out=ws.t[1].reshape(8*N, 256))  # (1)
    np.add(ws.t[1].transpose(1, 0, 2), ws.b_1, out=ws.t[2])  # (1)
    # (6) c_1[n,t,j] = c_1[n,t-1,j]*f_1[n,t,j] + g_1[n,t,j]*i_1[n,t,j]
    ws.c_1_all[0] = 0  # (6)
    # (8) h_1[n,t,j] = a_1[n,t,j]*o_1[n,t,j]
    ws.h_1_all[0] = 0  # (8)
    for t in range(8):
        # (1) z_1[n,t,m] = sum[k](h_1[n,t-1,k]*U_1[k,m]) + sum[d](x[n,t,d]*W_1[d,m]) + b_1[m]
        h_1_before_t = ws.h_1_before[t]  # (1)
        t_3 = ws.t[2][t]  # (1)
        # (2) i_1[n,t,j] = sigmoid(z_1[n,t,j])
        i_1_t = ws.i_1[t]  # (2)
        # (3) f_1[n,t,j] = sigmoid(z_1[n,t,j+64])
        f_1_t = ws.f_1[t]  # (3)
        # (4) g_1[n,t,j] = tanh(z_1[n,t,j+128])
        g_1_t = ws.g_1[t]  # (4)
        # (5) o_1[n,t,j] = sigmoid(z_1[n,t,j+192])
        o_1_t = ws.o_1[t]  # (5)
        # (6) c_1[n,t,j] = c_1[n,t-1,j]*f_1[n,t,j] + g_1[n,t,j]*i_1[n,t,j]
        c_1_before_t = ws.c_1_before[t]  # (6)
        c_1_t = ws.c_1[t]  # (6)
        # (7) a_1[n,t,j] = tanh(c_1[n,t,j])
        a_1_t = ws.a_1[t]  # (7)
        # (8) h_1[n,t,j] = a_1[n,t,j]*o_1[n,t,j]
        h_1_t = ws.h_1[t]  # (8)
        np.matmul(h_1_before_t, ws.U_1, out=ws.z_1_t)  # (1)
        np.add(ws.z_1_t, t_3, out=ws.z_1_t)  # (1)
        np.multiply(ws.z_1_t[:, :64], 0.5, out=i_1_t)  # (2)
        np.tanh(i_1_t, out=i_1_t)  # (2)
        np.add(i_1_t, 1, out=i_1_t)  # (2)
        np.multiply(i_1_t, 0.5, out=i_1_t)  # (2)
        np.multiply(ws.z_1_t[:, 64:128], 0.5, out=f_1_t)  # (3)
        np.tanh(f_1_t, out=f_1_t)  # (3)
        np.add(f_1_t, 1, out=f_1_t)  # (3)
        np.multiply(f_1_t, 0.5, out=f_1_t)  # (3)
        np.tanh(ws.z_1_t[:, 128:192], out=g_1_t)  # (4)
        np.multiply(ws.z_1_t[:, 192:], 0.5, out=o_1_t)  # (5)
        np.tanh(o_1_t, out=o_1_t)  # (5)
        np.add(o_1_t, 1, out=o_1_t)  # (5)
        np.multiply(o_1_t, 0.5, out=o_1_t)  # (5)
        np.multiply(c_1_before_t, f_1_t, out=c_1_t)  # (6)
        np.multiply(g_1_t, i_1_t, out=ws.t[4])  # (6)
        np.add(c_1_t, ws.t[4], out=c_1_t)  # (6)
        np.tanh(c_1_t, out=a_1_t)  # (7)
        np.multiply(a_1_t, o_1_t, out=h_1_t)  # (8)
    # (10) y_2[n,j] = where(u_2[n,j] < 0.2, 0, 5*y_1[n,j]/4)
    np.less(ws.u_2, 0.2, out=ws.t[5])  # (10)
    np.multiply(ws.h_1[7], 1.25, out=ws.y_2)  # (10)
    np.logical_not(ws.t[5], out=ws.t[5])  # (10)
    np.multiply(ws.y_2, ws.t[5], out=ws.y_2)  # (10)
    # (11) z_3[n,i] = sum[j](y_2[n,j]*W_3[j,i]) + b_3[i]
    np.matmul(ws.y_2, ws.W_3, out=ws.z_3)  # (11)
    np.add(ws.z_3, ws.b_3, out=ws.z_3)  # (11)
    # (12) l[n] = logsumexp[i](z_3[n,i])
    np.maximum.reduce(ws.z_3, axis=1, out=ws.t[6])  # (12)
    np.subtract(ws.z_3, ws.t[6][:, None], out=ws.p)  # (12)
    np.exp(ws.p, out=ws.p)  # (12)
    np.add.reduce(ws.p, axis=1, out=ws.t[7])  # (12)
    # (13) p[n,i] = exp(z_3[n,i] - l[n])
    np.divide(ws.p, ws.t[7][:, None], out=ws.p)  # (13)
    # (38) z_3_bar[n,i] = p[n,i] - (i == y[n])
    np.equal(ws.i, ws.y[:, None], out=ws.t[8])  # (38)
    np.subtract(ws.p, ws.t[8], out=ws.z_3_bar)  # (38)
    # (39) b_3_bar[n,i] = z_3_bar[n,i]
    np.copyto(ws.b_3_bar, ws.z_3_bar)  # (39)
    # (40) W_3_bar[n,j,i] = y_2[n,j]*z_3_bar[n,i]
    np.multiply(ws.z_3_bar[:, None], ws.y_2[:, :, None], out=ws.W_3_bar)  # (40)
    # (18) h_1_bar[n,t,j] = where(0.2 <= u_2[n,j], 5*sum[i](z_3_bar[n,i]*W_3[j,i])/4, 0)*(t ==
    #     7) + sum[m](z_1_bar[n,t+1,m]*U_1[j,m])
    np.matmul(ws.z_3_bar, ws.W_3.T, out=ws.t[9])  # (18)
    np.less_equal(0.2, ws.u_2, out=ws.t[10])  # (18)
    np.multiply(ws.t[9], 1.25, out=ws.t[9])  # (18)
    np.multiply(ws.t[9], ws.t[10], out=ws.t[9])  # (18)
    # (21) c_1_bar[n,t,j] = (1 - a_1[n,t,j]**2)*a_1_bar[n,t,j] + c_1_back[n,t+1,j]
    np.square(ws.a_1, out=ws.t[11])  # (21)
    np.subtract(1, ws.t[11], out=ws.t[11])  # (21)
    # (25) z_1_bar[n,t,m] = where(128 <= m and m < 192, (1 -
    #     g_1[n,t,m-128]**2)*g_1_bar[n,t,m-128], 0) + where(64 <= m and m < 128, (1 -
    #     f_1[n,t,m-64])*f_1[n,t,m-64]*f_1_bar[n,t,m-64], 0) + where(192 <= m, (1 -
    #     o_1[n,t,m-192])*o_1[n,t,m-192]*o_1_bar[n,t,m-192], 0) + where(m < 64, (1 -
    #     i_1[n,t,m])*i_1[n,t,m]*i_1_bar[n,t,m], 0)
    np.square(ws.g_1, out=ws.t[12])  # (25)
    np.subtract(1, ws.t[12], out=ws.t[12])  # (25)
    np.subtract(1, ws.f_1, out=ws.t[13])  # (25)
    np.multiply(ws.t[13], ws.f_1, out=ws.t[13])  # (25)
    np.subtract(1, ws.o_1, out=ws.t[14])  # (25)
    np.multiply(ws.t[14], ws.o_1, out=ws.t[14])  # (25)
    np.subtract(1, ws.i_1, out=ws.t[15])  # (25)
    np.multiply(ws.t[15], ws.i_1, out=ws.t[15])  # (25)
    ws.z_1_bar_all[-1] = 0  # (25)
    # (26) c_1_back[n,t,j] = c_1_bar[n,t,j]*f_1[n,t,j]
    ws.c_1_back_pair[0] = 0  # (26)
    for t in range(7, -1, -1):
        # (18) h_1_bar[n,t,j] = where(0.2 <= u_2[n,j], 5*sum[i](z_3_bar[n,i]*W_3[j,i])/4, 0)*(t
        #     == 7) + sum[m](z_1_bar[n,t+1,m]*U_1[j,m])
        z_1_bar_after_t = ws.z_1_bar_after[t]  # (18)
        # (19) a_1_bar[n,t,j] = h_1_bar[n,t,j]*o_1[n,t,j]
        o_1_t_1 = ws.o_1[t]  # (19)
        # (20) o_1_bar[n,t,j] = a_1[n,t,j]*h_1_bar[n,t,j]
        a_1_t_1 = ws.a_1[t]  # (20)
        # (21) c_1_bar[n,t,j] = (1 - a_1[n,t,j]**2)*a_1_bar[n,t,j] + c_1_back[n,t+1,j]
        t_16 = ws.t[11][t]  # (21)
        c_1_back_after_t = ws.c_1_back_pair[(7 - t) % 2]  # (21)
        # (22) g_1_bar[n,t,j] = c_1_bar[n,t,j]*i_1[n,t,j]
        i_1_t_1 = ws.i_1[t]  # (22)
        # (23) f_1_bar[n,t,j] = c_1[n,t-1,j]*c_1_bar[n,t,j]
        c_1_before_t_1 = ws.c_1_before[t]  # (23)
        # (24) i_1_bar[n,t,j] = c_1_bar[n,t,j]*g_1[n,t,j]
        g_1_t_1 = ws.g_1[t]  # (24)
        # (25) z_1_bar[n,t,m] = where(128 <= m and m < 192, (1 -
        #     g_1[n,t,m-128]**2)*g_1_bar[n,t,m-128], 0) + where(64 <= m and m < 128, (1 -
        #     f_1[n,t,m-64])*f_1[n,t,m-64]*f_1_bar[n,t,m-64], 0) + where(192 <= m, (1 -
        #     o_1[n,t,m-192])*o_1[n,t,m-192]*o_1_bar[n,t,m-192], 0) + where(m < 64, (1 -
        #     i_1[n,t,m])*i_1[n,t,m]*i_1_bar[n,t,m], 0)
        t_17 = ws.t[12][t]  # (25)
        t_18 = ws.t[13][t]  # (25)
        t_19 = ws.t[14][t]  # (25)
        t_20 = ws.t[15][t]  # (25)
        z_1_bar_t = ws.z_1_bar[t]  # (25)
        # (26) c_1_back[n,t,j] = c_1_bar[n,t,j]*f_1[n,t,j]
        f_1_t_1 = ws.f_1[t]  # (26)
        c_1_back_t = ws.c_1_back_pair[(8 - t) % 2]  # (26)
        np.matmul(z_1_bar_after_t, ws.U_1.T, out=ws.o_1_bar_t)  # (18)
        if t == 7:  # (18)
            np.add(ws.o_1_bar_t, ws.t[9], out=ws.o_1_bar_t)  # (18)
        np.multiply(ws.o_1_bar_t, o_1_t_1, out=c_1_back_t)  # (19)
        np.multiply(a_1_t_1, ws.o_1_bar_t, out=ws.o_1_bar_t)  # (20)
        np.multiply(c_1_back_t, t_16, out=c_1_back_t)  # (21)
        np.add(c_1_back_t, c_1_back_after_t, out=c_1_back_t)  # (21)
        np.multiply(c_1_back_t, i_1_t_1, out=ws.g_1_bar_t)  # (22)
        np.multiply(c_1_before_t_1, c_1_back_t, out=ws.f_1_bar_t)  # (23)
        np.multiply(c_1_back_t, g_1_t_1, out=ws.i_1_bar_t)  # (24)
        np.multiply(ws.i_1_bar_t, t_20, out=z_1_bar_t[:, :64])  # (25)
        np.multiply(ws.f_1_bar_t, t_18, out=z_1_bar_t[:, 64:128])  # (25)
        np.multiply(ws.g_1_bar_t, t_17, out=z_1_bar_t[:, 128:192])  # (25)
        np.multiply(ws.o_1_bar_t, t_19, out=z_1_bar_t[:, 192:])  # (25)
        np.multiply(c_1_back_t, f_1_t_1, out=c_1_back_t)  # (26)
    # (41) U_1_bar[n,j,m] = sum[t](h_1[n,t-1,j]*z_1_bar[n,t,m])
    np.matmul(  # (41)
        ws.h_1_before.transpose(1, 2, 0), ws.z_1_bar.transpose(1, 0, 2), out=ws.U_1_bar
    )
    # (42) b_1_bar[n,m] = sum[t](z_1_bar[n,t,m])
    np.add.reduce(ws.z_1_bar, axis=0, out=ws.b_1_bar)  # (42)
    # (43) W_1_bar[n,d,m] = sum[t](x[n,t,d]*z_1_bar[n,t,m])
    np.matmul(ws.x.transpose(0, 2, 1), ws.z_1_bar.transpose(1, 0, 2), out=ws.W_1_bar)  # (43)


class Optimizer:
    """The state of adam, and the flat vectors in tiles."""

    def __init__(ws, w, w_bar):
        ws.learning_rate, ws.g = 0.003, w_bar
        ws.t = np.zeros((), np.int64)  # steps made
        ws.m = np.zeros_like(w)  # (31)
        ws.v = np.zeros_like(w)  # (32)
        ws.state = {"t": ws.t, "m": ws.m, "v": ws.v}
        tile = min(32768, len(w))  # so many elements stay in the cache
        flat = (w, w_bar, ws.m, ws.v)
        scratch = [np.empty(tile, dtype) for dtype in [w.dtype, w.dtype]]
        ws.tiles = [
            (*(a[i : i + tile] for a in flat), *(a[: len(w) - i] for a in scratch))
            for i in range(0, len(w), tile)
        ]


def update(ws):
    """One step of adam, from `w_bar`."""
    ws.t += 1
    t = int(ws.t)
    learning_rate = ws.learning_rate
    for w, g, m, v, slot_1, slot_2 in ws.tiles:
        # (31) m_next[p] = 0.1*g[p] + 0.9*m[p]
        np.multiply(m, 0.9, out=m)  # (31)
        np.multiply(g, 0.1, out=slot_1)  # (31)
        np.add(m, slot_1, out=m)  # (31)
        # (32) v_next[p] = 0.001*g[p]**2 + 0.999*v[p]
        np.square(g, out=slot_1)  # (32)
        np.multiply(slot_1, 0.001, out=slot_1)  # (32)
        np.multiply(v, 0.999, out=v)  # (32)
        np.add(slot_1, v, out=v)  # (32)
        # (33) w_next[p] = w[p] - learning_rate*m_next[p]/((1 - (0.9)**t)*(1E-8 +
        #     sqrt(v_next[p]/(1 - (0.999)**t))))
        np.divide(v, 1 - (0.999 ** t), out=slot_1)  # (33)
        np.sqrt(slot_1, out=slot_1)  # (33)
        np.add(slot_1, 1e-08, out=slot_1)  # (33)
        np.multiply(m, learning_rate / (1 - (0.9 ** t)), out=slot_2)  # (33)
        np.divide(slot_2, slot_1, out=slot_2)  # (33)
        np.subtract(w, slot_2, out=w)  # (33)


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


class Model:
    """Parameters, optimizer state and workspaces: all that training needs.

    `params` holds writable views of the parameters, {public name: array}.
    """

    def __init__(self, seed=0):
        self.epoch = 0  # epochs trained
        self.generator = np.random.default_rng(seed)
        self._w = _flat(init(self.generator), ARRAYS)
        self._w_bar = np.zeros(SIZE, DTYPE)
        self._optimizer = Optimizer(self._w[:SIZE], self._w_bar)
        self._workspaces = {}
        self.params = _Parameters(_views(self._w, ARRAYS))

    def train_step(self, x, y):
        """One step of adam on a batch; gives the loss before it, unregularized.

        A batch whose loss is nan or inf changes nothing.
        """
        x, y, sizes = _batch(x, y)
        ws = self._workspace(sizes)
        ws.x[...], ws.y[...] = x, y
        draw(ws, self.generator)
        value = float(forward_pass(ws))
        if math.isfinite(value):
            self._step(ws)
        return value

    def _step(self, ws):
        """What follows a loss that is finite."""
        loss_backward(ws)
        backward_pass(ws)
        update(self._optimizer)

    def _workspace(self, sizes):
        """The arrays for batches of these sizes; those of the last few sizes are kept."""
        key = tuple(sizes.values())
        if key not in self._workspaces:
            for oldest in list(self._workspaces)[:-3]:
                del self._workspaces[oldest]
            self._workspaces[key] = Training(self._w, self._w_bar, **sizes)
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
                ws = self._workspace(sizes | {"N": len(rows)})
                np.take(x, rows, axis=0, out=ws.x, mode="clip")
                np.take(y, rows, axis=0, out=ws.y, mode="clip")
                draw(ws, self.generator)
                with np.errstate(all="ignore"):  # what overflows shows in the loss
                    value = float(forward_pass(ws))
                    if not math.isfinite(value):
                        self._w[...] = last_finite
                        raise FloatingPointError(
                            f"the loss became {value} in epoch {epoch}, at sample {start} of "
                            f"{len(x)}; the parameters of the last finite loss are kept. "
                            "A smaller learning_rate or a gradient_clip_norm may help."
                        )
                    last_finite[...] = self._w
                    self._step(ws)
                measured = {"loss": value, **metrics(ws.z_3, ws.y)}
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
        """Class labels."""
        z = forward(self.params, x)
        return labels(z)

    def predict_proba(self, x):
        """The probability of each class."""
        return probabilities(forward(self.params, x))

    def evaluate(self, x, y):
        """The loss, unregularized, and what else measures the network, in inference mode."""
        x, y, sizes = _batch(x, y)
        ws = Inference(self._w, **sizes)
        ws.x[...], ws.y[...] = x, y
        z = inference_pass(ws)
        return {"loss": float(loss_pass(ws)), **metrics(z, ws.y)}

    def _state(self):
        """All that changes while training, {name: view}, the generator aside."""
        optimizer = self._optimizer
        return {**self.params, **{f"optimizer.{name}": a for name, a in optimizer.state.items()}}

    def save(self, path):
        """Write parameters, optimizer state, epoch and generator state to one .npz file."""
        beside = f"{os.fspath(path)}.{os.getpid()}.tmp"
        arrays = {"network": NAME, "epoch": self.epoch, **self._state()}
        arrays["generator"] = json.dumps(self.generator.bit_generator.state)
        try:
            with open(beside, "wb") as file:
                np.savez(file, **arrays)
            os.replace(beside, path)
        finally:
            if os.path.exists(beside):
                os.remove(beside)

    @classmethod
    def load(cls, path):
        """The model that `save` wrote; its training goes on bit for bit."""
        with open(path, "rb") as file:
            saved = {}
            if zipfile.is_zipfile(file):
                file.seek(0)
                with np.load(file, allow_pickle=False) as held:
                    saved = {name: held[name] for name in held.files}
        if not saved.keys() >= {"network", "epoch", "generator"}:
            raise ValueError(f"{path} is no file that Model.save wrote")
        network, epoch, generator = (saved.pop(key) for key in ("network", "epoch", "generator"))
        if str(network) != NAME:
            raise ValueError(f"{path} holds the network {network}, not {NAME}")
        model = cls()
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
        model.epoch = int(epoch)
        model.generator.bit_generator.state = json.loads(str(generator))
        return model


class _Parameters(dict):
    """The views of a model's parameters; `params[name] = array` writes into one of them."""

    def __setitem__(self, name, array):
        if name not in self:
            raise KeyError(f"{name}: the parameters are {', '.join(self)}")
        self[name][...] = array

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


def _views(flat, shapes):
    """{public name: view} of a flat array that holds all arrays, one after the other."""
    views, start = {}, 0
    for name, shape in shapes.items():
        stop = start + math.prod(shape)
        views[name] = flat[start:stop].reshape(shape)
        start = stop
    return views


def _flat(params, needed):
    """Parameters, then states, one after the other, in float64 where they are, else in float32.

    Without any, the empty array of the network's own type.

    States that are not `needed` may be left out; they are 0 then.
    """
    odd = sorted(name for name in params.keys() ^ ARRAYS.keys() if name in {**params, **needed})
    if odd:
        raise ValueError(f"params: expected the names in ARRAYS; missing or unknown: {odd}")
    arrays = {name: params.get(name, np.float32(0)) for name in ARRAYS}
    for name in params:
        shape = np.shape(params[name])
        if shape != ARRAYS[name]:
            raise ValueError(f"{name}: expected shape {ARRAYS[name]}, given {shape}")
    dtype = np.result_type(np.float32, *(arrays.values() or [DTYPE]))
    whole = (np.broadcast_to(array, ARRAYS[name]) for name, array in arrays.items())
    return np.concatenate([np.empty(0, dtype), *map(np.ravel, whole)], dtype=dtype)


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
