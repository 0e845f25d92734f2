"""Where in a string is the first a? An embedding and a recurrent layer

    input        x    N x 20
    embedding_1  y_1  N x 20 x 8  208 parameters
    rnn_1        y_2  N x 64      4,672 parameters
    dense_1      z_3  N x 20      1,300 parameters

6,180 parameters, float32. Loss: softmax_cross_entropy. Optimizer: adam, learning_rate = 0.002,
gradient_clip_norm = 1.

Generated from first_a.toml by `derive generate`; change the spec and generate it again, never this
file. It needs NumPy only.

A number such as (7) in a comment is that of the equation which the line computes a part of:
first_a.html and first_a.tex derive it under this number, and `derive explain` tells what stands
behind a line.

    (1) to (8)    the forward pass and the loss
    (9) to (18)   the cotangents
    (19) to (23)  a step of adam
    (24) to (25)  the loss with a weight for each sample
    (26)          labels
    (27) to (33)  the gradient of each sample
    (34) to (36)  initial values

`W_bar` is the cotangent of `W`, the derivative of the loss by it. N is the number of samples in a
batch; the axes of an array are the indices that its equation has, in order. `w` and `w_bar` hold
all parameters and their cotangents one after the other, element p.

A gradient on a batch of 64 takes 36.6 million floating-point operations and moves 11.4 million
bytes.

A training step on a batch of 64 works in 1,074,400 bytes of memory, which it uses again at every
step, beside 24,720 bytes of parameters, 24,720 of their cotangents and 49,440 of the state of
adam.
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

NAME = "first_a"
DTYPE = np.float32
PARAMETERS = {  # public name: shape
    "embedding_1.E": (26, 8),
    "rnn_1.W": (8, 64),
    "rnn_1.U": (64, 64),
    "rnn_1.b": (64,),
    "dense_1.W": (64, 20),
    "dense_1.b": (20,),
}
STATES = {}
ARRAYS = {**PARAMETERS, **STATES}  # all that `params` holds
SIZE = sum(math.prod(shape) for shape in PARAMETERS.values())  # 6,180
THREADS = 1  # threads that share a batch in training, where nothing else is said
NOT_SHARED = ""
ANSWERED = 1024  # samples that are answered at once, more in turn; None: all
MEASURED = 1024  # and those whose loss is computed at once
ANSWERING = 2  # threads that share an answer in turn
KEPT = 1024  # samples; arrays for as many are kept for the next answer
INPUT = {"name": "x", "axes": ("N", 20), "below": 26}
TARGET = {"name": "y", "axes": ("N",), "below": 20}


def init(seed=0):
    """Fresh parameters, {public name: array}; `seed` may be a `numpy.random.Generator`."""
    draw = np.random.default_rng(seed)
    params = _views(np.zeros(sum(map(math.prod, ARRAYS.values())), DTYPE), ARRAYS)
    params["embedding_1.E"][...] = draw.normal(size=(26, 8))  # (34)
    params["rnn_1.W"][...] = (  # (35)
        0.5773502691896257*draw.random((8, 64)) - 0.28867513459481287
    )
    params["rnn_1.U"][...] = (  # (35)
        0.4330127018922193*draw.random((64, 64)) - 0.21650635094610965
    )
    params["rnn_1.b"][...] = 0  # (36)
    params["dense_1.W"][...] = (  # (35)
        0.5345224838248488*draw.random((64, 20)) - 0.2672612419124244
    )
    params["dense_1.b"][...] = 0  # (36)
    return params


def forward(params, x):
    """The output z_3 in inference mode.

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
    raise ValueError(
        "input_grad: the input is made of integers; there is no derivative by it"
    )


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


class Training:
    """The arrays of a training step on N samples; parameters are views into the flat `w`."""

    def __init__(ws, w, w_bar, N):
        p, g, dtype = _views(w, ARRAYS), _views(w_bar, PARAMETERS), w.dtype
        ws.E_1, ws.E_1_bar = p["embedding_1.E"], g["embedding_1.E"]  # 26 x 8
        ws.W_2, ws.W_2_bar = p["rnn_1.W"], g["rnn_1.W"]  # 8 x 64
        ws.U_2, ws.U_2_bar = p["rnn_1.U"], g["rnn_1.U"]  # 64 x 64
        ws.b_2, ws.b_2_bar = p["rnn_1.b"], g["rnn_1.b"]  # 64
        ws.W_3, ws.W_3_bar = p["dense_1.W"], g["dense_1.W"]  # 64 x 20
        ws.b_3, ws.b_3_bar = p["dense_1.b"], g["dense_1.b"]  # 20
        ws.x = _empty((N, 20), np.int64)
        ws.y = _empty(N, np.int64)
        ws.slot_1 = _empty(1280*N, dtype)
        ws.y_1 = ws.slot_1[:160*N].reshape(N, 20, 8)
        ws.z_3 = ws.slot_1[32*N:52*N].reshape(N, 20)
        ws.p = ws.slot_1[:20*N].reshape(N, 20)
        ws.z_3_bar = ws.slot_1[:20*N].reshape(N, 20)
        ws.t_10 = ws.slot_1[:1280*N].reshape(20, N, 64)
        ws.y_1_bar = ws.slot_1[:160*N].reshape(20, N, 8)
        ws.t_14 = ws.slot_1[160*N:320*N].reshape(N, 20, 8)
        ws.h_2_all = _empty((21, N, 64), dtype)
        ws.s_2_bar_all = ws.h_2_all
        ws.h_2_rows = _empty((20, N, 73), dtype)
        ws.t_2 = _lent(w_bar[6096:6160], (N,), dtype)
        ws.t_3 = _lent(w_bar[720:784], (N,), dtype)
        ws.t_4 = _lent(w_bar[848:912], (N,), dtype)
        ws.t_5 = _lent(w_bar[912:976], (N,), dtype)
        ws.t_9 = _lent(w_bar[0:4096], (N, 64), dtype)
        ws.slot_9 = _empty(4096, dtype)
        ws.t_11 = ws.slot_9[:4096].reshape(64, 64)
        ws.t_1 = _lent(ws.slot_1[160*N:240*N], (73, 64), dtype)
        ws.t_7 = _lent(ws.slot_9[0:128], (N,), np.int64)
        ws.t_13 = _lent(ws.slot_1[0:80*N], (73, 64), dtype)
        ws.t_15 = _lent(ws.slot_1[0:48*N], (N, 20), np.int64)
        ws.t_16 = _lent(ws.slot_1[320*N:640*N], (N, 20, 8), np.int64)
        ws.d = np.arange(8)  # (1)
        ws.h_2 = ws.h_2_all[1:]  # (3)
        ws.h_2_before = ws.h_2_all[:-1]  # (3)
        ws.ones = np.ones(20, dtype)  # (6)
        ws.n = np.arange(N)  # (8)
        ws.t_6 = np.multiply(ws.n, 20)  # (8)
        ws.ones_1 = np.ones(N, dtype)  # (10)
        ws.s_2_bar = ws.s_2_bar_all[:-1]  # (13)
        ws.s_2_bar_after = ws.s_2_bar_all[1:]  # (13)
        ws.y_1_turned = ws.y_1.transpose(1, 0, 2)  # (3)
        ws.steps_1 = [(ws.h_2_rows[i], ws.h_2_before[i], ws.h_2[i]) for i in range(20)]
        ws.h_2_at19 = ws.h_2[19]  # (5)
        ws.t_2_column = ws.t_2[:, None]  # (6)
        ws.t_3_column = ws.t_3[:, None]  # (7)
        ws.z_3_flat = ws.z_3.reshape(-1)  # (8)
        ws.z_3_bar_flat = ws.z_3_bar.reshape(-1)  # (9)
        ws.one = np.array(1, dtype)  # (9)
        ws.N = np.array(N, dtype)  # (9)
        ws.h_2_at19_T = ws.h_2[19].T  # (11)
        ws.W_3_T = ws.W_3.T  # (12)
        ws.U_2_T = ws.U_2.T  # (12)
        ws.steps_2 = [
            (i, ws.s_2_bar_after[i], ws.t_10[i], ws.s_2_bar[i])
            for i in range(19, -1, -1)
        ]
        ws.h_2_rows_matrix_T = ws.h_2_rows.reshape(20*N, 73).T  # (14)
        ws.s_2_bar_matrix = ws.s_2_bar.reshape(20*N, 64)  # (14)
        ws.t_13_from9 = ws.t_13[9:]  # (14)
        ws.t_13_at8 = ws.t_13[8]  # (15)
        ws.t_13_to8 = ws.t_13[:8]  # (16)
        ws.W_2_T = ws.W_2.T  # (17)
        ws.y_1_bar_matrix = ws.y_1_bar.reshape(20*N, 8)  # (17)
        ws.y_1_bar_turned = ws.y_1_bar.transpose(1, 0, 2)  # (18)
        ws.number_8_integer = np.array(8, np.int64)  # (18)
        ws.t_15_wide = ws.t_15[:, :, None]  # (18)
        ws.E_1_bar_flat = ws.E_1_bar.reshape(-1)  # (18)
        ws.t_16_flat = ws.t_16.reshape(-1)  # (18)
        ws.t_14_flat = ws.t_14.reshape(-1)  # (18)


def forward_pass(ws):
    """The loss of the batch in `ws.x` and `ws.y`."""
    N = len(ws.x)
    # (1) y_1[n,i,d] = E_1[x[n,i],d]
    np.take(ws.E_1, ws.x, axis=0, out=ws.y_1, mode="clip")  # (1)
    # (3) h_2[n,i,j] = tanh(sum[d](y_1[n,i,d]*W_2[d,j]) + b_2[j] + s_2[n,i,j])
    ws.t_1[:8] = ws.W_2  # (3)
    ws.t_1[8:9] = ws.b_2  # (3)
    ws.t_1[9:] = ws.U_2  # (3)
    ws.h_2_all[0] = 0  # (3)
    ws.h_2_rows[:, :, 8:9] = 1  # (3)
    ws.h_2_rows[:, :, :8] = ws.y_1_turned  # (3)
    for h_2_rows_i, h_2_before_i, h_2_i in ws.steps_1:
        # (3) h_2[n,i,j] = tanh(sum[d](y_1[n,i,d]*W_2[d,j]) + b_2[j] + s_2[n,i,j])
        h_2_rows_i[:, 9:] = h_2_before_i  # (3)
        np.dot(h_2_rows_i, ws.t_1, out=h_2_i)  # (3)
        np.tanh(h_2_i, out=h_2_i)  # (3)
    # (5) z_3[n,i] = sum[j](y_2[n,j]*W_3[j,i]) + b_3[i]
    np.dot(ws.h_2_at19, ws.W_3, out=ws.z_3)  # (5)
    np.add(ws.z_3, ws.b_3, out=ws.z_3)  # (5)
    # (6) l[n] = logsumexp[i](z_3[n,i])
    np.maximum.reduce(ws.z_3, axis=1, out=ws.t_2)  # (6)
    np.subtract(ws.z_3, ws.t_2_column, out=ws.p)  # (6)
    np.exp(ws.p, out=ws.p)  # (6)
    np.dot(ws.p, ws.ones, out=ws.t_3)  # (6)
    np.log(ws.t_3, out=ws.t_4)  # (6)
    # (7) p[n,i] = exp(z_3[n,i] - l[n])
    np.divide(ws.p, ws.t_3_column, out=ws.p)  # (7)
    # (8) L = mean[n](l[n] - z_3[n,y[n]])
    np.add(ws.t_6, ws.y, out=ws.t_7)  # (8)
    ws.z_3_flat.take(ws.t_7, None, ws.t_5, "clip")  # (8)
    np.subtract(ws.t_5, ws.t_2, out=ws.t_5)  # (8)
    np.subtract(ws.t_4, ws.t_5, out=ws.t_4)  # (8)
    t_8 = np.add.reduce(ws.t_4, axis=None)  # (8)
    L = t_8 / N  # (8)
    return L


def loss_backward(ws):
    """The cotangent z_3_bar of the output."""
    # (9) z_3_bar[n,i] = (p[n,i] - (i == y[n]))/N
    ws.z_3_bar_flat[ws.t_7] -= ws.one  # (9)
    np.divide(ws.z_3_bar, ws.N, out=ws.z_3_bar)  # (9)


def backward_pass(ws):
    """The cotangents of all parameters, from z_3_bar."""
    # (10) b_3_bar[i] = sum[n](z_3_bar[n,i])
    np.dot(ws.ones_1, ws.z_3_bar, out=ws.b_3_bar)  # (10)
    # (11) W_3_bar[j,i] = sum[n](y_2[n,j]*z_3_bar[n,i])
    np.dot(ws.h_2_at19_T, ws.z_3_bar, out=ws.W_3_bar)  # (11)
    # (12) h_2_bar[n,i,j] = sum[i_1](z_3_bar[n,i_1]*W_3[j,i_1])*(i == 19) +
    #     sum[j_1](s_2_bar[n,i+1,j_1]*U_2[j,j_1])
    np.dot(ws.z_3_bar, ws.W_3_T, out=ws.t_9)  # (12)
    # (13) s_2_bar[n,i,j] = (1 - h_2[n,i,j]**2)*h_2_bar[n,i,j]
    np.square(ws.h_2, out=ws.t_10)  # (13)
    np.subtract(ws.one, ws.t_10, out=ws.t_10)  # (13)
    ws.s_2_bar_all[-1] = 0  # (13)
    np.copyto(ws.t_11, ws.U_2_T)  # (12)
    for i, s_2_bar_after_i, t_12, s_2_bar_i in ws.steps_2:
        # (12) h_2_bar[n,i,j] = sum[i_1](z_3_bar[n,i_1]*W_3[j,i_1])*(i == 19) +
        #     sum[j_1](s_2_bar[n,i+1,j_1]*U_2[j,j_1])
        np.dot(s_2_bar_after_i, ws.t_11, out=s_2_bar_i)  # (12)
        if i == 19:  # (12)
            np.add(s_2_bar_i, ws.t_9, out=s_2_bar_i)  # (12)
        # (13) s_2_bar[n,i,j] = (1 - h_2[n,i,j]**2)*h_2_bar[n,i,j]
        np.multiply(s_2_bar_i, t_12, out=s_2_bar_i)  # (13)
    # (14) U_2_bar[k,j] = sum[n,i](h_2[n,i-1,k]*s_2_bar[n,i,j])
    np.dot(ws.h_2_rows_matrix_T, ws.s_2_bar_matrix, out=ws.t_13)  # (14)
    np.copyto(ws.U_2_bar, ws.t_13_from9)  # (14)
    # (15) b_2_bar[j] = sum[n,i](s_2_bar[n,i,j])
    np.copyto(ws.b_2_bar, ws.t_13_at8)  # (15)
    # (16) W_2_bar[d,j] = sum[n,i](y_1[n,i,d]*s_2_bar[n,i,j])
    np.copyto(ws.W_2_bar, ws.t_13_to8)  # (16)
    # (17) y_1_bar[n,i,d] = sum[j](s_2_bar[n,i,j]*W_2[d,j])
    np.dot(ws.s_2_bar_matrix, ws.W_2_T, out=ws.y_1_bar_matrix)  # (17)
    # (18) E_1_bar[v,d] = sum[n,i]((v == x[n,i])*y_1_bar[n,i,d])
    np.copyto(ws.t_14, ws.y_1_bar_turned)  # (18)
    np.multiply(ws.x, ws.number_8_integer, out=ws.t_15)  # (18)
    np.copyto(ws.t_16, ws.d)  # (18)
    np.add(ws.t_16, ws.t_15_wide, out=ws.t_16)  # (18)
    ws.E_1_bar.fill(0)  # (18)
    np.add.at(ws.E_1_bar_flat, ws.t_16_flat, ws.t_14_flat)  # (18)


class Inference:
    """The arrays of an answer to N samples; the parameters `p` are only read."""

    def __init__(ws, p, dtype, N):
        ws.dtype = dtype
        ws.E_1 = p["embedding_1.E"]  # 26 x 8
        ws.W_2 = p["rnn_1.W"]  # 8 x 64
        ws.U_2 = p["rnn_1.U"]  # 64 x 64
        ws.b_2 = p["rnn_1.b"]  # 64
        ws.W_3 = p["dense_1.W"]  # 64 x 20
        ws.b_3 = p["dense_1.b"]  # 20
        ws.slot_1 = _empty(160*N, dtype)
        ws.y_1 = ws.slot_1[:160*N].reshape(N, 20, 8)
        ws.z_3 = ws.slot_1[:20*N].reshape(20, N)
        ws.t_1 = _empty((73, 64), dtype)
        ws.h_2_pair = _empty((2, 64, N), dtype)
        ws.h_2_rows = _empty((20, 73, N), dtype)
        ws.y_1_turned = ws.y_1.transpose(1, 2, 0)  # (3)
        ws.t_1_T = ws.t_1.T  # (3)
        ws.steps_1 = [
            (ws.h_2_rows[i], ws.h_2_pair[i % 2], ws.h_2_pair[(i + 1) % 2])
            for i in range(20)
        ]
        ws.W_3_T = ws.W_3.T  # (5)
        ws.h_2_pair_at0 = ws.h_2_pair[20 % 2]  # (5)
        ws.b_3_column = ws.b_3[:, None]  # (5)


def inference_pass(ws, x):
    """The output z_3 for x, in memory of the workspace."""
    x = np.ascontiguousarray(x, np.int64)  # itself, if it is so
    # (1) y_1[n,i,d] = E_1[x[n,i],d]
    np.take(ws.E_1, x, axis=0, out=ws.y_1, mode="clip")  # (1)
    # (3) h_2[n,i,j] = tanh(sum[d](y_1[n,i,d]*W_2[d,j]) + b_2[j] + s_2[n,i,j])
    ws.t_1[:8] = ws.W_2  # (3)
    ws.t_1[8:9] = ws.b_2  # (3)
    ws.t_1[9:] = ws.U_2  # (3)
    ws.h_2_pair[0] = 0  # (3)
    ws.h_2_rows[:, 8:9] = 1  # (3)
    ws.h_2_rows[:, :8] = ws.y_1_turned  # (3)
    for h_2_rows_i, h_2_before_i, h_2_i in ws.steps_1:
        # (3) h_2[n,i,j] = tanh(sum[d](y_1[n,i,d]*W_2[d,j]) + b_2[j] + s_2[n,i,j])
        h_2_rows_i[9:] = h_2_before_i  # (3)
        np.dot(ws.t_1_T, h_2_rows_i, out=h_2_i)  # (3)
        np.tanh(h_2_i, out=h_2_i)  # (3)
    # (5) z_3[n,i] = sum[j](y_2[n,j]*W_3[j,i]) + b_3[i]
    np.dot(ws.W_3_T, ws.h_2_pair_at0, out=ws.z_3)  # (5)
    np.add(ws.z_3, ws.b_3_column, out=ws.z_3)  # (5)
    return ws.z_3.T


def loss_arrays(ws):
    """What `loss_pass` needs."""
    N = len(ws.z_3.T)
    dtype = ws.dtype
    ws.y = _empty(N, np.int64)
    ws.t_2 = _empty((N,), dtype)
    ws.slot_6 = _empty(20*N, dtype)
    ws.t_3 = ws.slot_6[:20*N].reshape(20, N)
    ws.t_5 = ws.slot_6[:N].reshape(N,)
    ws.t_4 = _empty((N,), dtype)
    ws.t_6 = _empty((N,), np.int64)
    ws.ones = np.ones(20, dtype)  # (6)
    ws.n = np.arange(N)  # (8)
    ws.N_integer = np.array(N, np.int64)  # (8)
    ws.z_3_flat = ws.z_3.reshape(-1)  # (8)


def loss_pass(ws):
    """The loss of that output for `ws.y`."""
    N = len(ws.y)
    # (6) l[n] = logsumexp[i](z_3[n,i])
    np.maximum.reduce(ws.z_3, axis=0, out=ws.t_2)  # (6)
    np.subtract(ws.z_3, ws.t_2, out=ws.t_3)  # (6)
    np.exp(ws.t_3, out=ws.t_3)  # (6)
    np.dot(ws.ones, ws.t_3, out=ws.t_4)  # (6)
    np.log(ws.t_4, out=ws.t_4)  # (6)
    # (8) L = mean[n](l[n] - z_3[n,y[n]])
    np.multiply(ws.y, ws.N_integer, out=ws.t_6)  # (8)
    np.add(ws.n, ws.t_6, out=ws.t_6)  # (8)
    ws.z_3_flat.take(ws.t_6, None, ws.t_5, "clip")  # (8)
    np.subtract(ws.t_5, ws.t_2, out=ws.t_5)  # (8)
    np.subtract(ws.t_4, ws.t_5, out=ws.t_4)  # (8)
    t_7 = np.add.reduce(ws.t_4, axis=None)  # (8)
    L = t_7 / N  # (8)
    return L


class PerSample:
    """The arrays of the gradients of N samples, each alone."""

    def __init__(ws, w, N):
        p, dtype = _views(w, ARRAYS), w.dtype
        ws.gradients = g = {n: np.empty((N, *s), dtype) for n, s in PARAMETERS.items()}
        ws.E_1, ws.E_1_bar = p["embedding_1.E"], g["embedding_1.E"]  # 26 x 8
        ws.W_2, ws.W_2_bar = p["rnn_1.W"], g["rnn_1.W"]  # 8 x 64
        ws.U_2, ws.U_2_bar = p["rnn_1.U"], g["rnn_1.U"]  # 64 x 64
        ws.b_2, ws.b_2_bar = p["rnn_1.b"], g["rnn_1.b"]  # 64
        ws.W_3, ws.W_3_bar = p["dense_1.W"], g["dense_1.W"]  # 64 x 20
        ws.b_3, ws.b_3_bar = p["dense_1.b"], g["dense_1.b"]  # 20
        ws.x = _empty((N, 20), np.int64)
        ws.y = _empty(N, np.int64)
        ws.slot_1 = _empty(160*N, dtype)
        ws.y_1 = ws.slot_1[:160*N].reshape(N, 20, 8)
        ws.y_1_bar = ws.slot_1[:160*N].reshape(20, N, 8)
        ws.slot_2 = _empty(4672, dtype)
        ws.t_1 = ws.slot_2[:4672].reshape(73, 64)
        ws.t_7 = ws.slot_2[:4096].reshape(64, 64)
        ws.h_2_all = _empty((21, N, 64), dtype)
        ws.slot_4 = _empty(1460*N, dtype)
        ws.h_2_rows = ws.slot_4[:1460*N].reshape(20, N, 73)
        ws.t_5 = ws.slot_4[1344*N:1408*N].reshape(N, 64)
        ws.s_2_bar_all = ws.slot_4[:1344*N].reshape(21, N, 64)
        ws.slot_5 = _empty(1280*N, dtype)
        ws.z_3 = ws.slot_5[:20*N].reshape(N, 20)
        ws.p = ws.slot_5[:20*N].reshape(N, 20)
        ws.z_3_bar = ws.slot_5[:20*N].reshape(N, 20)
        ws.t_6 = ws.slot_5[:1280*N].reshape(20, N, 64)
        ws.t_9 = ws.slot_5[:160*N].reshape(N, 20, 8)
        ws.t_2 = _empty((N,), dtype)
        ws.t_3 = ws.t_2
        ws.t_4 = _empty((N, 20), bool)
        ws.t_10 = _empty((N, 20), np.int64)
        ws.t_13 = _empty((N, 20, 8), np.int64)
        ws.d = np.arange(8)  # (1)
        ws.h_2 = ws.h_2_all[1:]  # (3)
        ws.h_2_before = ws.h_2_all[:-1]  # (3)
        ws.ones = np.ones(20, dtype)  # (6)
        ws.i_1 = np.arange(20)  # (27)
        ws.s_2_bar = ws.s_2_bar_all[:-1]  # (13)
        ws.s_2_bar_after = ws.s_2_bar_all[1:]  # (13)
        ws.n = np.arange(N)  # (33)
        ws.t_11 = np.multiply(ws.n, 208)  # (33)
        ws.t_12 = np.add(ws.t_11[:, None], ws.d)  # (33)
        ws.y_1_turned = ws.y_1.transpose(1, 0, 2)  # (3)
        ws.steps_1 = [(ws.h_2_rows[i], ws.h_2_before[i], ws.h_2[i]) for i in range(20)]
        ws.h_2_at19 = ws.h_2[19]  # (5)
        ws.t_2_column = ws.t_2[:, None]  # (6)
        ws.t_3_column = ws.t_3[:, None]  # (7)
        ws.y_column = ws.y[:, None]  # (27)
        ws.z_3_bar_wide = ws.z_3_bar[:, None]  # (29)
        ws.h_2_at19_wide = ws.h_2[19][:, :, None]  # (29)
        ws.W_3_T = ws.W_3.T  # (12)
        ws.one = np.array(1, dtype)  # (13)
        ws.U_2_T = ws.U_2.T  # (12)
        ws.steps_2 = [
            (i, ws.s_2_bar_after[i], ws.t_6[i], ws.s_2_bar[i])
            for i in range(19, -1, -1)
        ]
        ws.h_2_before_turned = ws.h_2_before.transpose(1, 2, 0)  # (30)
        ws.s_2_bar_turned = ws.s_2_bar.transpose(1, 0, 2)  # (30)
        ws.s_2_bar_matrix = ws.s_2_bar.reshape(20, 64*N)  # (31)
        ws.b_2_bar_flat = ws.b_2_bar.reshape(64*N,)  # (31)
        ws.y_1_turned_b = ws.y_1.transpose(0, 2, 1)  # (32)
        ws.s_2_bar_matrix_b = ws.s_2_bar.reshape(20*N, 64)  # (17)
        ws.W_2_T = ws.W_2.T  # (17)
        ws.y_1_bar_matrix = ws.y_1_bar.reshape(20*N, 8)  # (17)
        ws.y_1_bar_turned = ws.y_1_bar.transpose(1, 0, 2)  # (33)
        ws.number_8_integer = np.array(8, np.int64)  # (33)
        ws.t_12_wide = ws.t_12[:, None]  # (33)
        ws.t_10_wide = ws.t_10[:, :, None]  # (33)
        ws.E_1_bar_flat = ws.E_1_bar.reshape(-1)  # (33)
        ws.t_13_flat = ws.t_13.reshape(-1)  # (33)
        ws.t_9_flat = ws.t_9.reshape(-1)  # (33)


def per_sample_pass(ws):
    """The cotangents of all parameters, sample by sample."""
    # (1) y_1[n,i,d] = E_1[x[n,i],d]
    np.take(ws.E_1, ws.x, axis=0, out=ws.y_1, mode="clip")  # (1)
    # (3) h_2[n,i,j] = tanh(sum[d](y_1[n,i,d]*W_2[d,j]) + b_2[j] + s_2[n,i,j])
    ws.t_1[:8] = ws.W_2  # (3)
    ws.t_1[8:9] = ws.b_2  # (3)
    ws.t_1[9:] = ws.U_2  # (3)
    ws.h_2_all[0] = 0  # (3)
    ws.h_2_rows[:, :, 8:9] = 1  # (3)
    ws.h_2_rows[:, :, :8] = ws.y_1_turned  # (3)
    for h_2_rows_i, h_2_before_i, h_2_i in ws.steps_1:
        # (3) h_2[n,i,j] = tanh(sum[d](y_1[n,i,d]*W_2[d,j]) + b_2[j] + s_2[n,i,j])
        h_2_rows_i[:, 9:] = h_2_before_i  # (3)
        np.dot(h_2_rows_i, ws.t_1, out=h_2_i)  # (3)
        np.tanh(h_2_i, out=h_2_i)  # (3)
    # (5) z_3[n,i] = sum[j](y_2[n,j]*W_3[j,i]) + b_3[i]
    np.dot(ws.h_2_at19, ws.W_3, out=ws.z_3)  # (5)
    np.add(ws.z_3, ws.b_3, out=ws.z_3)  # (5)
    # (6) l[n] = logsumexp[i](z_3[n,i])
    np.maximum.reduce(ws.z_3, axis=1, out=ws.t_2)  # (6)
    np.subtract(ws.z_3, ws.t_2_column, out=ws.p)  # (6)
    np.exp(ws.p, out=ws.p)  # (6)
    np.dot(ws.p, ws.ones, out=ws.t_3)  # (6)
    # (7) p[n,i] = exp(z_3[n,i] - l[n])
    np.divide(ws.p, ws.t_3_column, out=ws.p)  # (7)
    # (27) z_3_bar[n,i] = p[n,i] - (i == y[n])
    np.equal(ws.i_1, ws.y_column, out=ws.t_4)  # (27)
    np.subtract(ws.p, ws.t_4, out=ws.z_3_bar)  # (27)
    # (28) b_3_bar[n,i] = z_3_bar[n,i]
    np.copyto(ws.b_3_bar, ws.z_3_bar)  # (28)
    # (29) W_3_bar[n,j,i] = y_2[n,j]*z_3_bar[n,i]
    np.multiply(ws.z_3_bar_wide, ws.h_2_at19_wide, out=ws.W_3_bar)  # (29)
    # (12) h_2_bar[n,i,j] = sum[i_1](z_3_bar[n,i_1]*W_3[j,i_1])*(i == 19) +
    #     sum[j_1](s_2_bar[n,i+1,j_1]*U_2[j,j_1])
    np.dot(ws.z_3_bar, ws.W_3_T, out=ws.t_5)  # (12)
    # (13) s_2_bar[n,i,j] = (1 - h_2[n,i,j]**2)*h_2_bar[n,i,j]
    np.square(ws.h_2, out=ws.t_6)  # (13)
    np.subtract(ws.one, ws.t_6, out=ws.t_6)  # (13)
    ws.s_2_bar_all[-1] = 0  # (13)
    np.copyto(ws.t_7, ws.U_2_T)  # (12)
    for i, s_2_bar_after_i, t_8, s_2_bar_i in ws.steps_2:
        # (12) h_2_bar[n,i,j] = sum[i_1](z_3_bar[n,i_1]*W_3[j,i_1])*(i == 19) +
        #     sum[j_1](s_2_bar[n,i+1,j_1]*U_2[j,j_1])
        np.dot(s_2_bar_after_i, ws.t_7, out=s_2_bar_i)  # (12)
        if i == 19:  # (12)
            np.add(s_2_bar_i, ws.t_5, out=s_2_bar_i)  # (12)
        # (13) s_2_bar[n,i,j] = (1 - h_2[n,i,j]**2)*h_2_bar[n,i,j]
        np.multiply(s_2_bar_i, t_8, out=s_2_bar_i)  # (13)
    # (30) U_2_bar[n,k,j] = sum[i](h_2[n,i-1,k]*s_2_bar[n,i,j])
    np.matmul(ws.h_2_before_turned, ws.s_2_bar_turned, out=ws.U_2_bar)  # (30)
    # (31) b_2_bar[n,j] = sum[i](s_2_bar[n,i,j])
    np.dot(ws.ones, ws.s_2_bar_matrix, out=ws.b_2_bar_flat)  # (31)
    # (32) W_2_bar[n,d,j] = sum[i](s_2_bar[n,i,j]*y_1[n,i,d])
    np.matmul(ws.y_1_turned_b, ws.s_2_bar_turned, out=ws.W_2_bar)  # (32)
    # (17) y_1_bar[n,i,d] = sum[j](s_2_bar[n,i,j]*W_2[d,j])
    np.dot(ws.s_2_bar_matrix_b, ws.W_2_T, out=ws.y_1_bar_matrix)  # (17)
    # (33) E_1_bar[n,v,d] = sum[i]((v == x[n,i])*y_1_bar[n,i,d])
    np.copyto(ws.t_9, ws.y_1_bar_turned)  # (33)
    np.multiply(ws.x, ws.number_8_integer, out=ws.t_10)  # (33)
    np.copyto(ws.t_13, ws.t_12_wide)  # (33)
    np.add(ws.t_13, ws.t_10_wide, out=ws.t_13)  # (33)
    ws.E_1_bar.fill(0)  # (33)
    np.add.at(ws.E_1_bar_flat, ws.t_13_flat, ws.t_9_flat)  # (33)


class Optimizer:
    """The state of adam, and the flat vectors in tiles."""

    def __init__(ws, w, w_bar, *w_bars):
        ws.learning_rate = 0.002
        ws.t = np.zeros((), np.int64)  # steps made
        ws.g = w_bar
        ws.parts = w_bars
        ws.m = _zeros(len(w), w.dtype)  # (21)
        ws.v = _zeros(len(w), w.dtype)  # (22)
        ws.state = {"t": ws.t, "m": ws.m, "v": ws.v}
        ws.units = {}  # what states are divided by
        ws.c_2 = np.array(0.9, w.dtype)  # (21)
        ws.c_4 = np.array(0.999, w.dtype)  # (22)
        ws.c_3 = np.empty((), w.dtype)
        ws.c_5 = np.empty((), w.dtype)
        ws.c_6 = np.empty((), w.dtype)
        ws.c_7 = np.empty((), w.dtype)
        flat = (w, w_bar, ws.m, ws.v)
        tile = min(131072 // w.itemsize, len(w)) or 1
        scratch = [_empty(tile, dtype) for dtype in [w.dtype]]
        ws.tiles = [  # so many elements that they stay in the cache
            (
                *(a[i : i + tile] for a in flat),
                *(a[: len(w) - i] for a in scratch),
            )
            for i in range(0, len(w), tile)
        ]


def update(ws):
    """One step of adam, from `w_bar`."""
    t = int(ws.t) + 1
    ws.t[()] = t
    for part in ws.parts:
        np.add(ws.g, part, out=ws.g)  # (19)
    learning_rate = ws.learning_rate
    g = ws.g
    # (19) g_norm = sqrt(sum[p](g[p]**2))
    s = np.vdot(g, g)  # (19)
    g_norm = np.sqrt(s)  # (19)
    g_clipped_factor = (1 / np.maximum(g_norm, 1)) if (1 < g_norm) else 1  # (20)
    ws.c_3[()] = 0.1 * g_clipped_factor  # (21)
    ws.c_5[()] = 0.001 * (g_clipped_factor ** 2)  # (22)
    ws.c_6[()] = 1e-08 * math.sqrt(1 - (0.999 ** t))  # (23)
    ws.c_7[()] = (math.sqrt(1 - (0.999 ** t)) * learning_rate) / (1 - (0.9 ** t))  # (23)
    for w, g, m, v, slot_1 in ws.tiles:
        # (21) m_next[p] = 0.1*g_clipped[p] + 0.9*m[p]
        np.multiply(m, ws.c_2, out=m)  # (21)
        np.multiply(g, ws.c_3, out=slot_1)  # (21)
        np.add(m, slot_1, out=m)  # (21)
        # (22) v_next[p] = 0.001*g_clipped[p]**2 + 0.999*v[p]
        np.square(g, out=slot_1)  # (22)
        np.multiply(v, ws.c_4, out=v)  # (22)
        np.multiply(slot_1, ws.c_5, out=slot_1)  # (22)
        np.add(v, slot_1, out=v)  # (22)
        # (23) w_next[p] = w[p] - learning_rate*m_next[p]/((1 - (0.9)**t)*(1E-8 +
        #     sqrt(v_next[p]/(1 - (0.999)**t))))
        np.sqrt(v, out=slot_1)  # (23)
        np.add(slot_1, ws.c_6, out=slot_1)  # (23)
        np.divide(m, slot_1, out=slot_1)  # (23)
        np.multiply(slot_1, ws.c_7, out=slot_1)  # (23)
        np.subtract(w, slot_1, out=w)  # (23)


def weighted_loss(z_3, y, sample_weight):
    """The loss with a weight for each sample, and the cotangent of z_3."""
    N = len(z_3)
    # (6) l[n] = logsumexp[i](z_3[n,i])
    t_1 = np.maximum.reduce(z_3, axis=1)  # (6)
    p = np.subtract(z_3, t_1[:, None])  # (6)
    np.exp(p, out=p)  # (6)
    t_2 = np.add.reduce(p, axis=1)  # (6)
    t_3 = np.log(t_2)  # (6)
    # (7) p[n,i] = exp(z_3[n,i] - l[n])
    np.divide(p, t_2[:, None], out=p)  # (7)
    # (24) L = mean[n]((l[n] - z_3[n,y[n]])*sample_weight[n])
    n = np.arange(N)  # (24)
    t_4 = z_3[n, y]  # (24)
    np.subtract(t_4, t_1, out=t_4)  # (24)
    np.subtract(t_3, t_4, out=t_3)  # (24)
    t_5 = np.vdot(t_3, sample_weight)  # (24)
    L = t_5 / N  # (24)
    # (25) z_3_bar[n,i] = (p[n,i] - (i == y[n]))*sample_weight[n]/N
    z_3_bar = p.copy()  # (25)
    z_3_bar[n, y] -= 1  # (25)
    t_6 = np.divide(sample_weight, N)  # (25)
    np.multiply(t_6[:, None], z_3_bar, out=z_3_bar)  # (25)
    return L, z_3_bar


def probabilities(z_3):
    """p[n,i] = exp(z_3[n,i])/sum[l](exp(z_3[n,l]))"""
    # (7) p[n,i] = exp(z_3[n,i] - l[n])
    t_1 = np.maximum.reduce(z_3, axis=1)  # (7)
    p = np.subtract(z_3, t_1[:, None])  # (7)
    np.exp(p, out=p)  # (7)
    t_2 = np.add.reduce(p, axis=1)  # (7)
    np.divide(p, t_2[:, None], out=p)  # (7)
    return p


def labels(z_3):
    """c[n] = argmax[i](z_3[n,i])"""
    # (26) c[n] = argmax[i](z_3[n,i])
    c = np.argmax(z_3, axis=1)  # (26)
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
        """
        parts = self._holding(np.asarray(x), np.asarray(y))
        with _blas(parts):
            value = self._value(parts)
            if math.isfinite(value):
                self._step(parts)
        return value

    def _holding(self, x, y):
        """The workspaces for batches like this one, with this one in them."""
        kind = x.shape, x.dtype, y.shape, y.dtype
        if kind != self._kind:  # of the batch before, which was found to fit
            self._parts = self._workspace(_batch(x, y)[2])
            self._kind = kind
        for ws in self._parts:
            ws.x[...], ws.y[...] = x[ws.rows], y[ws.rows]
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
