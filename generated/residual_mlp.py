"""Residual blocks of dense layers on handwritten digits

    input         x     N x 64
    stem          z_1   N x 64   4,160 parameters
    layer_norm_1  y_2   N x 64   128 parameters
    dense_2       z_3   N x 128  8,320 parameters
    gelu_1        a_3   N x 128
    inner_1       z_4   N x 64   8,256 parameters
    block_1       y_5   N x 64
    layer_norm_2  y_6   N x 64   128 parameters
    dense_4       z_7   N x 128  8,320 parameters
    gelu_2        a_7   N x 128
    inner_2       z_8   N x 64   8,256 parameters
    block_2       y_9   N x 64
    dense_6       z_10  N x 10   650 parameters

38,218 parameters, float32. Loss: softmax_cross_entropy. Optimizer: adamw, learning_rate = 0.001.

Generated from residual_mlp.toml by `derive generate`; change the spec and generate it again, never
this file. It needs NumPy only.

A number such as (7) in a comment is that of the equation which the line computes a part of:
residual_mlp.html and residual_mlp.tex derive it under this number, and `derive explain` tells what
stands behind a line.

    (1) to (23)   the forward pass and the loss
    (24) to (52)  the cotangents
    (53) to (56)  a step of adamw
    (57) to (58)  the loss with a weight for each sample
    (59)          labels
    (60) to (76)  the gradient of each sample
    (77) to (79)  initial values

`W_bar` is the cotangent of `W`, the derivative of the loss by it. N is the number of samples in a
batch; the axes of an array are the indices that its equation has, in order. `w` and `w_bar` hold
all parameters and their cotangents one after the other, element p.

A gradient on a batch of 32 takes 8.01 million floating-point operations and moves 3.44 million
bytes.

A training step on a batch of 32 works in 30,308 bytes of memory, which it uses again at every
step, beside 152,872 bytes of parameters, 152,872 of their cotangents and 305,744 of the state of
adamw. An input that fits is read where it is.
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

NAME = "residual_mlp"
DTYPE = np.float32
PARAMETERS = {  # public name: shape
    "stem.W": (64, 64),
    "stem.b": (64,),
    "layer_norm_1.gamma": (64,),
    "layer_norm_1.beta": (64,),
    "dense_2.W": (64, 128),
    "dense_2.b": (128,),
    "inner_1.W": (128, 64),
    "inner_1.b": (64,),
    "layer_norm_2.gamma": (64,),
    "layer_norm_2.beta": (64,),
    "dense_4.W": (64, 128),
    "dense_4.b": (128,),
    "inner_2.W": (128, 64),
    "inner_2.b": (64,),
    "dense_6.W": (64, 10),
    "dense_6.b": (10,),
}
STATES = {}
ARRAYS = {**PARAMETERS, **STATES}  # all that `params` holds
SIZE = sum(math.prod(shape) for shape in PARAMETERS.values())  # 38,218
THREADS = 1  # threads that share a batch in training, where nothing else is said
NOT_SHARED = ""
ANSWERED = 512  # samples that are answered at once, more in turn; None: all
MEASURED = 512  # and those whose loss is computed at once
ANSWERING = 2  # threads that share an answer in turn
KEPT = 1024  # samples; arrays for as many are kept for the next answer
INPUT = {"name": "x", "axes": ("N", 64), "below": None}
TARGET = {"name": "y", "axes": ("N",), "below": 10}


def init(seed=0):
    """Fresh parameters, {public name: array}; `seed` may be a `numpy.random.Generator`."""
    draw = np.random.default_rng(seed)
    params = _views(np.zeros(sum(map(math.prod, ARRAYS.values())), DTYPE), ARRAYS)
    params["stem.W"][...] = (  # (77)
        0.4330127018922193*draw.random((64, 64)) - 0.21650635094610965
    )
    params["stem.b"][...] = 0  # (78)
    params["layer_norm_1.gamma"][...] = 1  # (79)
    params["layer_norm_1.beta"][...] = 0  # (78)
    params["dense_2.W"][...] = (  # (77)
        0.3535533905932738*draw.random((64, 128)) - 0.1767766952966369
    )
    params["dense_2.b"][...] = 0  # (78)
    params["inner_1.W"][...] = (  # (77)
        0.3535533905932738*draw.random((128, 64)) - 0.1767766952966369
    )
    params["inner_1.b"][...] = 0  # (78)
    params["layer_norm_2.gamma"][...] = 1  # (79)
    params["layer_norm_2.beta"][...] = 0  # (78)
    params["dense_4.W"][...] = (  # (77)
        0.3535533905932738*draw.random((64, 128)) - 0.1767766952966369
    )
    params["dense_4.b"][...] = 0  # (78)
    params["inner_2.W"][...] = (  # (77)
        0.3535533905932738*draw.random((128, 64)) - 0.1767766952966369
    )
    params["inner_2.b"][...] = 0  # (78)
    params["dense_6.W"][...] = (  # (77)
        0.5694947974514994*draw.random((64, 10)) - 0.2847473987257497
    )
    params["dense_6.b"][...] = 0  # (78)
    return params


def forward(params, x):
    """The output z_10 in inference mode.

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
        weight = _weights(sample_weight, len(x)).astype(ws.z_10.dtype)
        value, ws.z_10_bar[...] = weighted_loss(ws.z_10, ws.y, weight)
    backward_pass(ws)
    return float(value)


class Training:
    """The arrays of a training step on N samples; parameters are views into the flat `w`."""

    def __init__(ws, w, w_bar, N):
        p, g, dtype = _views(w, ARRAYS), _views(w_bar, PARAMETERS), w.dtype
        ws.W_1, ws.W_1_bar = p["stem.W"], g["stem.W"]  # 64 x 64
        ws.b_1, ws.b_1_bar = p["stem.b"], g["stem.b"]  # 64
        ws.gamma_2 = p["layer_norm_1.gamma"]  # 64
        ws.gamma_2_bar = g["layer_norm_1.gamma"]  # 64
        ws.beta_2, ws.beta_2_bar = p["layer_norm_1.beta"], g["layer_norm_1.beta"]  # 64
        ws.W_3, ws.W_3_bar = p["dense_2.W"], g["dense_2.W"]  # 64 x 128
        ws.b_3, ws.b_3_bar = p["dense_2.b"], g["dense_2.b"]  # 128
        ws.W_4, ws.W_4_bar = p["inner_1.W"], g["inner_1.W"]  # 128 x 64
        ws.b_4, ws.b_4_bar = p["inner_1.b"], g["inner_1.b"]  # 64
        ws.gamma_6 = p["layer_norm_2.gamma"]  # 64
        ws.gamma_6_bar = g["layer_norm_2.gamma"]  # 64
        ws.beta_6, ws.beta_6_bar = p["layer_norm_2.beta"], g["layer_norm_2.beta"]  # 64
        ws.W_7, ws.W_7_bar = p["dense_4.W"], g["dense_4.W"]  # 64 x 128
        ws.b_7, ws.b_7_bar = p["dense_4.b"], g["dense_4.b"]  # 128
        ws.W_8, ws.W_8_bar = p["inner_2.W"], g["inner_2.W"]  # 128 x 64
        ws.b_8, ws.b_8_bar = p["inner_2.b"], g["inner_2.b"]  # 64
        ws.W_10, ws.W_10_bar = p["dense_6.W"], g["dense_6.W"]  # 64 x 10
        ws.b_10, ws.b_10_bar = p["dense_6.b"], g["dense_6.b"]  # 10
        ws.x = ws.held = None  # an input is read where it is, or here
        ws.dtype = dtype
        ws.y = _empty(N, np.int64)
        ws.z_1 = _lent(w_bar[8192:10240], (N, 64), dtype)
        ws.y_5 = ws.z_1
        ws.y_9 = ws.z_1
        ws.mu_2 = _empty((N,), dtype)
        ws.m_2 = ws.mu_2
        ws.sd_2 = ws.mu_2
        ws.x_hat_2 = _empty((N, 64), dtype)
        ws.z_1_bar = ws.x_hat_2
        ws.y_2 = _empty((N, 64), dtype)
        ws.y_2_bar = ws.y_2
        ws.x_hat_2_bar = ws.y_2
        ws.z_3 = _lent(w_bar[29184:33280], (N, 128), dtype)
        ws.t_1 = _lent(w_bar[33280:37376], (N, 128), dtype)
        ws.t_2 = _lent(w_bar[20800:24896], (N, 128), dtype)
        ws.z_3_bar = _lent(w_bar[0:4096], (N, 128), dtype)
        ws.t_3 = _lent(w_bar[24896:28992], (N, 128), dtype)
        ws.t_4 = _lent(w_bar[20800:24896], (N, 128), dtype)
        ws.t_5 = _lent(w_bar[24896:28992], (N, 128), dtype)
        ws.t_6 = _lent(w_bar[24896:28992], (N, 128), dtype)
        ws.t_7 = _lent(w_bar[20800:24896], (N, 128), dtype)
        ws.a_3 = _lent(w_bar[4096:8192], (N, 128), dtype)
        ws.t_8 = _lent(w_bar[33280:37376], (N, 128), dtype)
        ws.t_10 = _lent(w_bar[20800:24896], (N, 128), dtype)
        ws.slot_17 = _empty(64*N, dtype)
        ws.z_4 = ws.slot_17[:64*N].reshape(N, 64)
        ws.x_hat_6 = ws.slot_17[:64*N].reshape(N, 64)
        ws.y_5_bar = ws.slot_17[:64*N].reshape(N, 64)
        ws.mu_6 = _lent(w_bar[37568:37600], (N,), dtype)
        ws.m_6 = _lent(w_bar[20672:20704], (N,), dtype)
        ws.sd_6 = ws.m_6
        ws.y_6 = _lent(w_bar[10240:12288], (N, 64), dtype)
        ws.z_7 = _lent(w_bar[29184:33280], (N, 128), dtype)
        ws.t_12 = _lent(w_bar[33280:37376], (N, 128), dtype)
        ws.t_13 = _lent(w_bar[20800:24896], (N, 128), dtype)
        ws.z_7_bar = _lent(w_bar[12480:16576], (N, 128), dtype)
        ws.t_14 = _lent(w_bar[24896:28992], (N, 128), dtype)
        ws.t_15 = _lent(w_bar[20800:24896], (N, 128), dtype)
        ws.t_16 = _lent(w_bar[24896:28992], (N, 128), dtype)
        ws.t_17 = _lent(w_bar[24896:28992], (N, 128), dtype)
        ws.t_18 = _lent(w_bar[20800:24896], (N, 128), dtype)
        ws.a_7 = _lent(w_bar[20800:24896], (N, 128), dtype)
        ws.t_19 = _lent(w_bar[33280:37376], (N, 128), dtype)
        ws.t_20 = _empty((N, 128), bool)
        ws.t_22 = ws.t_20
        ws.t_21 = _lent(w_bar[16576:20672], (N, 128), dtype)
        ws.z_8 = _lent(w_bar[29184:31232], (N, 64), dtype)
        ws.z_10 = _lent(w_bar[37504:37824], (N, 10), dtype)
        ws.t_23 = _lent(w_bar[37888:37920], (N,), dtype)
        ws.p = _lent(w_bar[29184:29504], (N, 10), dtype)
        ws.z_10_bar = ws.p
        ws.t_24 = _lent(w_bar[37824:37856], (N,), dtype)
        ws.t_25 = _lent(w_bar[37920:37952], (N,), dtype)
        ws.t_28 = _lent(w_bar[37824:37888], (N,), np.int64)
        ws.t_26 = _lent(w_bar[37952:37984], (N,), dtype)
        ws.y_9_bar = _lent(w_bar[16576:18624], (N, 64), dtype)
        ws.a_7_bar = _lent(w_bar[20800:24896], (N, 128), dtype)
        ws.y_6_bar = _lent(w_bar[18624:20672], (N, 64), dtype)
        ws.x_hat_6_bar = ws.y_6_bar
        ws.t_30 = _lent(w_bar[20800:20832], (N,), dtype)
        ws.t_31 = _lent(w_bar[20832:20864], (N,), dtype)
        ws.a_3_bar = _lent(w_bar[4096:8192], (N, 128), dtype)
        ws.t_32 = _lent(w_bar[4096:4128], (N,), dtype)
        ws.t_33 = _lent(w_bar[4128:4160], (N,), dtype)
        ws.t_9 = _lent(ws.slot_17[0:32*N], (N, 128), bool)
        ws.t_11 = _lent(ws.slot_17[0:32*N], (N, 128), bool)
        ws.ones = np.ones(64, dtype)  # (2)
        ws.ones_1 = np.ones(10, dtype)  # (21)
        ws.n = np.arange(N)  # (23)
        ws.t_27 = np.multiply(ws.n, 10)  # (23)
        ws.ones_2 = np.ones(N, dtype)  # (25)
        ws.number_0_015625 = np.array(0.015625, dtype)  # (2)
        ws.mu_2_column = ws.mu_2[:, None]  # (3)
        ws.number_1e_minus_5 = np.array(1e-05, dtype)  # (4)
        ws.sd_2_column = ws.sd_2[:, None]  # (5)
        ws.number_40 = np.array(40, dtype)  # (8)
        ws.number_32 = np.array(32, dtype)  # (8)
        ws.number_0_03125 = np.array(0.03125, dtype)  # (8)
        ws.minus_0_5 = np.array(-0.5, dtype)  # (8)
        ws.four = np.array(4, dtype)  # (8)
        ws.number_2_199e_minus_11 = np.array(2.1989612375505207e-11, dtype)  # (8)
        ws.number_2_0431e_minus_10 = np.array(2.0430758497810312e-10, dtype)  # (8)
        ws.number_0_70711 = np.array(0.7071067811865476, dtype)  # (8)
        ws.zero = np.array(0, dtype)  # (8)
        ws.number_0_7071067811865476_1_772453850905516 = np.array(  # (42)
            0.7071067811865476 / 1.772453850905516, dtype
        )
        ws.two = np.array(2, dtype)  # (42)
        ws.mu_6_column = ws.mu_6[:, None]  # (12)
        ws.sd_6_column = ws.sd_6[:, None]  # (14)
        ws.t_23_column = ws.t_23[:, None]  # (21)
        ws.t_24_column = ws.t_24[:, None]  # (22)
        ws.z_10_flat = ws.z_10.reshape(-1)  # (23)
        ws.z_10_bar_flat = ws.z_10_bar.reshape(-1)  # (24)
        ws.one = np.array(1, dtype)  # (24)
        ws.N = np.array(N, dtype)  # (24)
        ws.y_9_T = ws.y_9.T  # (26)
        ws.W_10_T = ws.W_10.T  # (27)
        ws.a_7_T = ws.a_7.T  # (29)
        ws.W_8_T = ws.W_8.T  # (30)
        ws.y_6_T = ws.y_6.T  # (33)
        ws.W_7_T = ws.W_7.T  # (34)
        ws.t_31_column = ws.t_31[:, None]  # (38)
        ws.t_30_column = ws.t_30[:, None]  # (38)
        ws.a_3_T = ws.a_3.T  # (40)
        ws.W_4_T = ws.W_4.T  # (41)
        ws.y_2_T = ws.y_2.T  # (44)
        ws.W_3_T = ws.W_3.T  # (45)
        ws.t_33_column = ws.t_33[:, None]  # (49)
        ws.t_32_column = ws.t_32[:, None]  # (49)


def forward_pass(ws):
    """The loss of the batch in `ws.x` and `ws.y`."""
    N = len(ws.x)
    # (1) z_1[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]
    np.dot(ws.x, ws.W_1, out=ws.z_1)  # (1)
    np.add(ws.z_1, ws.b_1, out=ws.z_1)  # (1)
    # (2) mu_2[n] = mean[j](z_1[n,j])
    np.dot(ws.z_1, ws.ones, out=ws.mu_2)  # (2)
    np.multiply(ws.mu_2, ws.number_0_015625, out=ws.mu_2)  # (2)
    # (3) m_2[n] = mean[j]((z_1[n,j] - mu_2[n])**2)
    np.subtract(ws.z_1, ws.mu_2_column, out=ws.x_hat_2)  # (3)
    np.vecdot(ws.x_hat_2, ws.x_hat_2, out=ws.m_2)  # (3)
    np.multiply(ws.m_2, ws.number_0_015625, out=ws.m_2)  # (3)
    # (4) sd_2[n] = sqrt(0.00001 + m_2[n])
    np.add(ws.m_2, ws.number_1e_minus_5, out=ws.sd_2)  # (4)
    np.sqrt(ws.sd_2, out=ws.sd_2)  # (4)
    # (5) x_hat_2[n,j] = (z_1[n,j] - mu_2[n])/sd_2[n]
    np.divide(ws.x_hat_2, ws.sd_2_column, out=ws.x_hat_2)  # (5)
    # (6) y_2[n,j] = x_hat_2[n,j]*gamma_2[j] + beta_2[j]
    np.multiply(ws.gamma_2, ws.x_hat_2, out=ws.y_2)  # (6)
    np.add(ws.y_2, ws.beta_2, out=ws.y_2)  # (6)
    # (7) z_3[n,k] = sum[i](y_2[n,i]*W_3[i,k]) + b_3[k]
    np.dot(ws.y_2, ws.W_3, out=ws.z_3)  # (7)
    np.add(ws.z_3, ws.b_3, out=ws.z_3)  # (7)
    # (8) a_3[n,k] = (1 + erf(sqrt(2)*z_3[n,k]/2))*z_3[n,k]/2
    np.abs(ws.z_3, out=ws.t_1)  # (8)
    np.minimum(ws.t_1, ws.number_40, out=ws.t_1)  # (8)
    np.multiply(ws.t_1, ws.number_32, out=ws.t_2)  # (8)
    np.rint(ws.t_2, out=ws.t_2)  # (8)
    np.multiply(ws.t_2, ws.number_0_03125, out=ws.t_2)  # (8)
    np.subtract(ws.t_1, ws.t_2, out=ws.z_3_bar)  # (8)
    np.add(ws.t_2, ws.t_1, out=ws.t_3)  # (8)
    np.multiply(ws.z_3_bar, ws.t_3, out=ws.z_3_bar)  # (8)
    np.multiply(ws.z_3_bar, ws.minus_0_5, out=ws.z_3_bar)  # (8)
    np.exp(ws.z_3_bar, out=ws.z_3_bar)  # (8)
    np.square(ws.t_2, out=ws.t_2)  # (8)
    np.multiply(ws.t_2, ws.minus_0_5, out=ws.t_2)  # (8)
    np.exp(ws.t_2, out=ws.t_2)  # (8)
    np.multiply(ws.z_3_bar, ws.t_2, out=ws.z_3_bar)  # (8)
    np.subtract(ws.t_1, ws.four, out=ws.t_4)  # (8)
    np.add(ws.t_1, ws.four, out=ws.t_5)  # (8)
    np.divide(ws.t_4, ws.t_5, out=ws.t_4)  # (8)
    np.multiply(ws.t_4, ws.number_2_199e_minus_11, out=ws.t_6)  # (8)
    np.add(ws.t_6, ws.number_2_0431e_minus_10, out=ws.t_6)  # (8)
    for coefficient in (  # (8)
        1.9934291811404328e-11, -2.007568973012324e-09, -2.0979259834686953e-09,
        9.578108642303533e-09, 1.9454128113961554e-08, -2.701165180102501e-08,
        -1.1641854592611652e-07, 1.992732181331363e-08, 5.818591068926917e-07,
        3.4250794243102623e-07, -2.807894357569154e-06, -3.188662049116423e-06,
        1.4887791236177921e-05, 1.9893344615216637e-05, -9.624419076970786e-05,
        -8.108750885003464e-05, 0.000749722122355924, -0.00047272734590219983,
        -0.005151040082175343, 0.020423374660062863, -0.041237929250779355, 0.0496029774014633,
        -0.02243020572551263, -0.04679514018372027, 0.44440096988866873
    ):
        np.multiply(ws.t_6, ws.t_4, out=ws.t_6)  # (8)
        np.add(ws.t_6, coefficient, out=ws.t_6)  # (8)
    np.add(ws.t_1, ws.number_0_70711, out=ws.t_7)  # (8)
    np.divide(ws.t_6, ws.t_7, out=ws.t_6)  # (8)
    np.multiply(ws.t_6, ws.t_1, out=ws.t_1)  # (8)
    np.multiply(ws.z_3_bar, ws.t_1, out=ws.t_1)  # (8)
    np.maximum(ws.z_3, ws.zero, out=ws.a_3)  # (8)
    np.subtract(ws.a_3, ws.t_1, out=ws.a_3)  # (8)
    # (42) z_3_bar[n,k] = (1 + sqrt(2)*exp(-z_3[n,k]**2/2)*z_3[n,k]/sqrt(pi) +
    #     erf(sqrt(2)*z_3[n,k]/2))*a_3_bar[n,k]/2
    np.multiply(ws.z_3, ws.number_0_7071067811865476_1_772453850905516, out=ws.t_8)  # (42)
    np.less(ws.z_3, ws.zero, out=ws.t_9)  # (42)
    np.multiply(ws.t_9, ws.t_6, out=ws.t_10)  # (42)
    np.multiply(ws.t_10, ws.two, out=ws.t_10)  # (42)
    np.subtract(ws.t_6, ws.t_10, out=ws.t_6)  # (42)
    np.subtract(ws.t_6, ws.t_8, out=ws.t_6)  # (42)
    np.multiply(ws.z_3_bar, ws.t_6, out=ws.z_3_bar)  # (42)
    np.less_equal(ws.zero, ws.z_3, out=ws.t_11)  # (42)
    np.subtract(ws.t_11, ws.z_3_bar, out=ws.z_3_bar)  # (42)
    # (9) z_4[n,j] = sum[k](a_3[n,k]*W_4[k,j]) + b_4[j]
    np.dot(ws.a_3, ws.W_4, out=ws.z_4)  # (9)
    np.add(ws.z_4, ws.b_4, out=ws.z_4)  # (9)
    # (10) y_5[n,j] = z_1[n,j] + z_4[n,j]
    np.add(ws.z_1, ws.z_4, out=ws.y_5)  # (10)
    # (11) mu_6[n] = mean[j](y_5[n,j])
    np.dot(ws.y_5, ws.ones, out=ws.mu_6)  # (11)
    np.multiply(ws.mu_6, ws.number_0_015625, out=ws.mu_6)  # (11)
    # (12) m_6[n] = mean[j]((y_5[n,j] - mu_6[n])**2)
    np.subtract(ws.y_5, ws.mu_6_column, out=ws.x_hat_6)  # (12)
    np.vecdot(ws.x_hat_6, ws.x_hat_6, out=ws.m_6)  # (12)
    np.multiply(ws.m_6, ws.number_0_015625, out=ws.m_6)  # (12)
    # (13) sd_6[n] = sqrt(0.00001 + m_6[n])
    np.add(ws.m_6, ws.number_1e_minus_5, out=ws.sd_6)  # (13)
    np.sqrt(ws.sd_6, out=ws.sd_6)  # (13)
    # (14) x_hat_6[n,j] = (y_5[n,j] - mu_6[n])/sd_6[n]
    np.divide(ws.x_hat_6, ws.sd_6_column, out=ws.x_hat_6)  # (14)
    # (15) y_6[n,j] = x_hat_6[n,j]*gamma_6[j] + beta_6[j]
    np.multiply(ws.gamma_6, ws.x_hat_6, out=ws.y_6)  # (15)
    np.add(ws.y_6, ws.beta_6, out=ws.y_6)  # (15)
    # (16) z_7[n,k] = sum[i](y_6[n,i]*W_7[i,k]) + b_7[k]
    np.dot(ws.y_6, ws.W_7, out=ws.z_7)  # (16)
    np.add(ws.z_7, ws.b_7, out=ws.z_7)  # (16)
    # (17) a_7[n,k] = (1 + erf(sqrt(2)*z_7[n,k]/2))*z_7[n,k]/2
    np.abs(ws.z_7, out=ws.t_12)  # (17)
    np.minimum(ws.t_12, ws.number_40, out=ws.t_12)  # (17)
    np.multiply(ws.t_12, ws.number_32, out=ws.t_13)  # (17)
    np.rint(ws.t_13, out=ws.t_13)  # (17)
    np.multiply(ws.t_13, ws.number_0_03125, out=ws.t_13)  # (17)
    np.subtract(ws.t_12, ws.t_13, out=ws.z_7_bar)  # (17)
    np.add(ws.t_13, ws.t_12, out=ws.t_14)  # (17)
    np.multiply(ws.z_7_bar, ws.t_14, out=ws.z_7_bar)  # (17)
    np.multiply(ws.z_7_bar, ws.minus_0_5, out=ws.z_7_bar)  # (17)
    np.exp(ws.z_7_bar, out=ws.z_7_bar)  # (17)
    np.square(ws.t_13, out=ws.t_13)  # (17)
    np.multiply(ws.t_13, ws.minus_0_5, out=ws.t_13)  # (17)
    np.exp(ws.t_13, out=ws.t_13)  # (17)
    np.multiply(ws.z_7_bar, ws.t_13, out=ws.z_7_bar)  # (17)
    np.subtract(ws.t_12, ws.four, out=ws.t_15)  # (17)
    np.add(ws.t_12, ws.four, out=ws.t_16)  # (17)
    np.divide(ws.t_15, ws.t_16, out=ws.t_15)  # (17)
    np.multiply(ws.t_15, ws.number_2_199e_minus_11, out=ws.t_17)  # (17)
    np.add(ws.t_17, ws.number_2_0431e_minus_10, out=ws.t_17)  # (17)
    for coefficient in (  # (17)
        1.9934291811404328e-11, -2.007568973012324e-09, -2.0979259834686953e-09,
        9.578108642303533e-09, 1.9454128113961554e-08, -2.701165180102501e-08,
        -1.1641854592611652e-07, 1.992732181331363e-08, 5.818591068926917e-07,
        3.4250794243102623e-07, -2.807894357569154e-06, -3.188662049116423e-06,
        1.4887791236177921e-05, 1.9893344615216637e-05, -9.624419076970786e-05,
        -8.108750885003464e-05, 0.000749722122355924, -0.00047272734590219983,
        -0.005151040082175343, 0.020423374660062863, -0.041237929250779355, 0.0496029774014633,
        -0.02243020572551263, -0.04679514018372027, 0.44440096988866873
    ):
        np.multiply(ws.t_17, ws.t_15, out=ws.t_17)  # (17)
        np.add(ws.t_17, coefficient, out=ws.t_17)  # (17)
    np.add(ws.t_12, ws.number_0_70711, out=ws.t_18)  # (17)
    np.divide(ws.t_17, ws.t_18, out=ws.t_17)  # (17)
    np.multiply(ws.t_17, ws.t_12, out=ws.t_12)  # (17)
    np.multiply(ws.z_7_bar, ws.t_12, out=ws.t_12)  # (17)
    np.maximum(ws.z_7, ws.zero, out=ws.a_7)  # (17)
    np.subtract(ws.a_7, ws.t_12, out=ws.a_7)  # (17)
    # (31) z_7_bar[n,k] = (1 + sqrt(2)*exp(-z_7[n,k]**2/2)*z_7[n,k]/sqrt(pi) +
    #     erf(sqrt(2)*z_7[n,k]/2))*a_7_bar[n,k]/2
    np.multiply(ws.z_7, ws.number_0_7071067811865476_1_772453850905516, out=ws.t_19)  # (31)
    np.less(ws.z_7, ws.zero, out=ws.t_20)  # (31)
    np.multiply(ws.t_20, ws.t_17, out=ws.t_21)  # (31)
    np.multiply(ws.t_21, ws.two, out=ws.t_21)  # (31)
    np.subtract(ws.t_17, ws.t_21, out=ws.t_17)  # (31)
    np.subtract(ws.t_17, ws.t_19, out=ws.t_17)  # (31)
    np.multiply(ws.z_7_bar, ws.t_17, out=ws.z_7_bar)  # (31)
    np.less_equal(ws.zero, ws.z_7, out=ws.t_22)  # (31)
    np.subtract(ws.t_22, ws.z_7_bar, out=ws.z_7_bar)  # (31)
    # (18) z_8[n,j] = sum[k](a_7[n,k]*W_8[k,j]) + b_8[j]
    np.dot(ws.a_7, ws.W_8, out=ws.z_8)  # (18)
    np.add(ws.z_8, ws.b_8, out=ws.z_8)  # (18)
    # (19) y_9[n,j] = y_5[n,j] + z_8[n,j]
    np.add(ws.y_5, ws.z_8, out=ws.y_9)  # (19)
    # (20) z_10[n,l] = sum[i](y_9[n,i]*W_10[i,l]) + b_10[l]
    np.dot(ws.y_9, ws.W_10, out=ws.z_10)  # (20)
    np.add(ws.z_10, ws.b_10, out=ws.z_10)  # (20)
    # (21) l[n] = logsumexp[l](z_10[n,l])
    np.maximum.reduce(ws.z_10, axis=1, out=ws.t_23)  # (21)
    np.subtract(ws.z_10, ws.t_23_column, out=ws.p)  # (21)
    np.exp(ws.p, out=ws.p)  # (21)
    np.dot(ws.p, ws.ones_1, out=ws.t_24)  # (21)
    np.log(ws.t_24, out=ws.t_25)  # (21)
    # (22) p[n,l] = exp(z_10[n,l] - l[n])
    np.divide(ws.p, ws.t_24_column, out=ws.p)  # (22)
    # (23) L = mean[n](l[n] - z_10[n,y[n]])
    np.add(ws.t_27, ws.y, out=ws.t_28)  # (23)
    ws.z_10_flat.take(ws.t_28, None, ws.t_26, "clip")  # (23)
    np.subtract(ws.t_26, ws.t_23, out=ws.t_26)  # (23)
    np.subtract(ws.t_25, ws.t_26, out=ws.t_25)  # (23)
    t_29 = np.add.reduce(ws.t_25, axis=None)  # (23)
    L = t_29 / N  # (23)
    return L


def loss_backward(ws):
    """The cotangent z_10_bar of the output."""
    # (24) z_10_bar[n,l] = (p[n,l] - (l == y[n]))/N
    ws.z_10_bar_flat[ws.t_28] -= ws.one  # (24)
    np.divide(ws.z_10_bar, ws.N, out=ws.z_10_bar)  # (24)


def backward_pass(ws):
    """The cotangents of all parameters, from z_10_bar."""
    # (25) b_10_bar[l] = sum[n](z_10_bar[n,l])
    np.dot(ws.ones_2, ws.z_10_bar, out=ws.b_10_bar)  # (25)
    # (26) W_10_bar[i,l] = sum[n](y_9[n,i]*z_10_bar[n,l])
    np.dot(ws.y_9_T, ws.z_10_bar, out=ws.W_10_bar)  # (26)
    # (27) y_9_bar[n,j] = sum[l](z_10_bar[n,l]*W_10[j,l])
    np.dot(ws.z_10_bar, ws.W_10_T, out=ws.y_9_bar)  # (27)
    # (28) b_8_bar[j] = sum[n](y_9_bar[n,j])
    np.dot(ws.ones_2, ws.y_9_bar, out=ws.b_8_bar)  # (28)
    # (29) W_8_bar[k,j] = sum[n](a_7[n,k]*y_9_bar[n,j])
    np.dot(ws.a_7_T, ws.y_9_bar, out=ws.W_8_bar)  # (29)
    # (30) a_7_bar[n,k] = sum[j](y_9_bar[n,j]*W_8[k,j])
    np.dot(ws.y_9_bar, ws.W_8_T, out=ws.a_7_bar)  # (30)
    # (31) z_7_bar[n,k] = (1 + sqrt(2)*exp(-z_7[n,k]**2/2)*z_7[n,k]/sqrt(pi) +
    #     erf(sqrt(2)*z_7[n,k]/2))*a_7_bar[n,k]/2
    np.multiply(ws.a_7_bar, ws.z_7_bar, out=ws.z_7_bar)  # (31)
    # (32) b_7_bar[k] = sum[n](z_7_bar[n,k])
    np.dot(ws.ones_2, ws.z_7_bar, out=ws.b_7_bar)  # (32)
    # (33) W_7_bar[i,k] = sum[n](y_6[n,i]*z_7_bar[n,k])
    np.dot(ws.y_6_T, ws.z_7_bar, out=ws.W_7_bar)  # (33)
    # (34) y_6_bar[n,j] = sum[k](z_7_bar[n,k]*W_7[j,k])
    np.dot(ws.z_7_bar, ws.W_7_T, out=ws.y_6_bar)  # (34)
    # (35) gamma_6_bar[j] = sum[n](x_hat_6[n,j]*y_6_bar[n,j])
    np.einsum("nj,nj->j", ws.x_hat_6, ws.y_6_bar, out=ws.gamma_6_bar)  # (35)
    # (36) beta_6_bar[j] = sum[n](y_6_bar[n,j])
    np.dot(ws.ones_2, ws.y_6_bar, out=ws.beta_6_bar)  # (36)
    # (37) x_hat_6_bar[n,j] = y_6_bar[n,j]*gamma_6[j]
    np.multiply(ws.gamma_6, ws.y_6_bar, out=ws.x_hat_6_bar)  # (37)
    # (38) y_5_bar[n,j] = (x_hat_6_bar[n,j] - mean[j_1](x_hat_6_bar[n,j_1]) -
    #     mean[j_1](x_hat_6[n,j_1]*x_hat_6_bar[n,j_1])*x_hat_6[n,j])/sd_6[n] + y_9_bar[n,j]
    np.dot(ws.x_hat_6_bar, ws.ones, out=ws.t_30)  # (38)
    np.multiply(ws.t_30, ws.number_0_015625, out=ws.t_30)  # (38)
    np.vecdot(ws.x_hat_6, ws.x_hat_6_bar, out=ws.t_31)  # (38)
    np.multiply(ws.t_31, ws.number_0_015625, out=ws.t_31)  # (38)
    np.multiply(ws.t_31_column, ws.x_hat_6, out=ws.y_5_bar)  # (38)
    np.subtract(ws.x_hat_6_bar, ws.y_5_bar, out=ws.y_5_bar)  # (38)
    np.subtract(ws.y_5_bar, ws.t_30_column, out=ws.y_5_bar)  # (38)
    np.divide(ws.y_5_bar, ws.sd_6_column, out=ws.y_5_bar)  # (38)
    np.add(ws.y_5_bar, ws.y_9_bar, out=ws.y_5_bar)  # (38)
    # (39) b_4_bar[j] = sum[n](y_5_bar[n,j])
    np.dot(ws.ones_2, ws.y_5_bar, out=ws.b_4_bar)  # (39)
    # (40) W_4_bar[k,j] = sum[n](a_3[n,k]*y_5_bar[n,j])
    np.dot(ws.a_3_T, ws.y_5_bar, out=ws.W_4_bar)  # (40)
    # (41) a_3_bar[n,k] = sum[j](y_5_bar[n,j]*W_4[k,j])
    np.dot(ws.y_5_bar, ws.W_4_T, out=ws.a_3_bar)  # (41)
    # (42) z_3_bar[n,k] = (1 + sqrt(2)*exp(-z_3[n,k]**2/2)*z_3[n,k]/sqrt(pi) +
    #     erf(sqrt(2)*z_3[n,k]/2))*a_3_bar[n,k]/2
    np.multiply(ws.a_3_bar, ws.z_3_bar, out=ws.z_3_bar)  # (42)
    # (43) b_3_bar[k] = sum[n](z_3_bar[n,k])
    np.dot(ws.ones_2, ws.z_3_bar, out=ws.b_3_bar)  # (43)
    # (44) W_3_bar[i,k] = sum[n](y_2[n,i]*z_3_bar[n,k])
    np.dot(ws.y_2_T, ws.z_3_bar, out=ws.W_3_bar)  # (44)
    # (45) y_2_bar[n,j] = sum[k](z_3_bar[n,k]*W_3[j,k])
    np.dot(ws.z_3_bar, ws.W_3_T, out=ws.y_2_bar)  # (45)
    # (46) gamma_2_bar[j] = sum[n](x_hat_2[n,j]*y_2_bar[n,j])
    np.einsum("nj,nj->j", ws.x_hat_2, ws.y_2_bar, out=ws.gamma_2_bar)  # (46)
    # (47) beta_2_bar[j] = sum[n](y_2_bar[n,j])
    np.dot(ws.ones_2, ws.y_2_bar, out=ws.beta_2_bar)  # (47)
    # (48) x_hat_2_bar[n,j] = y_2_bar[n,j]*gamma_2[j]
    np.multiply(ws.gamma_2, ws.y_2_bar, out=ws.x_hat_2_bar)  # (48)
    # (49) z_1_bar[n,j] = (x_hat_2_bar[n,j] - mean[j_1](x_hat_2_bar[n,j_1]) -
    #     mean[j_1](x_hat_2[n,j_1]*x_hat_2_bar[n,j_1])*x_hat_2[n,j])/sd_2[n] + y_5_bar[n,j]
    np.dot(ws.x_hat_2_bar, ws.ones, out=ws.t_32)  # (49)
    np.multiply(ws.t_32, ws.number_0_015625, out=ws.t_32)  # (49)
    np.vecdot(ws.x_hat_2, ws.x_hat_2_bar, out=ws.t_33)  # (49)
    np.multiply(ws.t_33, ws.number_0_015625, out=ws.t_33)  # (49)
    np.multiply(ws.t_33_column, ws.x_hat_2, out=ws.z_1_bar)  # (49)
    np.subtract(ws.x_hat_2_bar, ws.z_1_bar, out=ws.z_1_bar)  # (49)
    np.subtract(ws.z_1_bar, ws.t_32_column, out=ws.z_1_bar)  # (49)
    np.divide(ws.z_1_bar, ws.sd_2_column, out=ws.z_1_bar)  # (49)
    np.add(ws.z_1_bar, ws.y_5_bar, out=ws.z_1_bar)  # (49)
    # (50) b_1_bar[j] = sum[n](z_1_bar[n,j])
    np.dot(ws.ones_2, ws.z_1_bar, out=ws.b_1_bar)  # (50)
    # (51) W_1_bar[i,j] = sum[n](x[n,i]*z_1_bar[n,j])
    np.dot(ws.x.T, ws.z_1_bar, out=ws.W_1_bar)  # (51)


def input_arrays(ws):
    """What `input_pass` needs, the array of its result aside."""
    ws.W_1_T = ws.W_1.T  # (52)


def input_pass(ws):
    """The cotangent x_bar of the input, after those of the parameters."""
    # (52) x_bar[n,i] = sum[j](z_1_bar[n,j]*W_1[i,j])
    np.matmul(ws.z_1_bar, ws.W_1_T, out=ws.x_bar)  # (52)


class Inference:
    """The arrays of an answer to N samples; the parameters `p` are only read."""

    def __init__(ws, p, dtype, N):
        ws.dtype = dtype
        ws.W_1 = p["stem.W"]  # 64 x 64
        ws.b_1 = p["stem.b"]  # 64
        ws.gamma_2 = p["layer_norm_1.gamma"]  # 64
        ws.beta_2 = p["layer_norm_1.beta"]  # 64
        ws.W_3 = p["dense_2.W"]  # 64 x 128
        ws.b_3 = p["dense_2.b"]  # 128
        ws.W_4 = p["inner_1.W"]  # 128 x 64
        ws.b_4 = p["inner_1.b"]  # 64
        ws.gamma_6 = p["layer_norm_2.gamma"]  # 64
        ws.beta_6 = p["layer_norm_2.beta"]  # 64
        ws.W_7 = p["dense_4.W"]  # 64 x 128
        ws.b_7 = p["dense_4.b"]  # 128
        ws.W_8 = p["inner_2.W"]  # 128 x 64
        ws.b_8 = p["inner_2.b"]  # 64
        ws.W_10 = p["dense_6.W"]  # 64 x 10
        ws.b_10 = p["dense_6.b"]  # 10
        ws.z_1 = _empty((N, 64), dtype)
        ws.y_5 = ws.z_1
        ws.y_9 = ws.z_1
        ws.mu_2 = _empty((N,), dtype)
        ws.m_2 = ws.mu_2
        ws.sd_2 = ws.mu_2
        ws.mu_6 = ws.mu_2
        ws.m_6 = ws.mu_2
        ws.sd_6 = ws.mu_2
        ws.slot_3 = _empty(128*N, dtype)
        ws.x_hat_2 = ws.slot_3[:64*N].reshape(N, 64)
        ws.y_2 = ws.slot_3[:64*N].reshape(N, 64)
        ws.t_1 = ws.slot_3[:128*N].reshape(N, 128)
        ws.z_4 = ws.slot_3[:64*N].reshape(N, 64)
        ws.x_hat_6 = ws.slot_3[:64*N].reshape(N, 64)
        ws.y_6 = ws.slot_3[:64*N].reshape(N, 64)
        ws.t_9 = ws.slot_3[:128*N].reshape(N, 128)
        ws.z_8 = ws.slot_3[:64*N].reshape(N, 64)
        ws.slot_4 = _empty(128*N, dtype)
        ws.z_3 = ws.slot_4[:128*N].reshape(N, 128)
        ws.a_3 = ws.slot_4[:128*N].reshape(N, 128)
        ws.z_7 = ws.slot_4[:128*N].reshape(N, 128)
        ws.a_7 = ws.slot_4[:128*N].reshape(N, 128)
        ws.z_10 = ws.slot_4[:10*N].reshape(N, 10)
        ws.t_2 = _empty((N, 128), dtype)
        ws.t_5 = ws.t_2
        ws.t_8 = ws.t_2
        ws.t_10 = ws.t_2
        ws.t_13 = ws.t_2
        ws.t_16 = ws.t_2
        ws.t_3 = _empty((N, 128), dtype)
        ws.t_11 = ws.t_3
        ws.t_4 = _empty((N, 128), dtype)
        ws.t_6 = ws.t_4
        ws.t_7 = ws.t_4
        ws.t_12 = ws.t_4
        ws.t_14 = ws.t_4
        ws.t_15 = ws.t_4
        ws.ones = np.ones(64, dtype)  # (2)
        ws.number_0_015625 = np.array(0.015625, dtype)  # (2)
        ws.mu_2_column = ws.mu_2[:, None]  # (3)
        ws.number_1e_minus_5 = np.array(1e-05, dtype)  # (4)
        ws.sd_2_column = ws.sd_2[:, None]  # (5)
        ws.number_40 = np.array(40, dtype)  # (8)
        ws.number_32 = np.array(32, dtype)  # (8)
        ws.number_0_03125 = np.array(0.03125, dtype)  # (8)
        ws.minus_0_5 = np.array(-0.5, dtype)  # (8)
        ws.four = np.array(4, dtype)  # (8)
        ws.number_2_199e_minus_11 = np.array(2.1989612375505207e-11, dtype)  # (8)
        ws.number_2_0431e_minus_10 = np.array(2.0430758497810312e-10, dtype)  # (8)
        ws.number_0_70711 = np.array(0.7071067811865476, dtype)  # (8)
        ws.zero = np.array(0, dtype)  # (8)
        ws.mu_6_column = ws.mu_6[:, None]  # (12)
        ws.sd_6_column = ws.sd_6[:, None]  # (14)


def inference_pass(ws, x):
    """The output z_10 for x, in memory of the workspace."""
    x = np.ascontiguousarray(x, ws.dtype)  # itself, if it is so
    # (1) z_1[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]
    np.dot(x, ws.W_1, out=ws.z_1)  # (1)
    np.add(ws.z_1, ws.b_1, out=ws.z_1)  # (1)
    # (2) mu_2[n] = mean[j](z_1[n,j])
    np.dot(ws.z_1, ws.ones, out=ws.mu_2)  # (2)
    np.multiply(ws.mu_2, ws.number_0_015625, out=ws.mu_2)  # (2)
    # (3) m_2[n] = mean[j]((z_1[n,j] - mu_2[n])**2)
    np.subtract(ws.z_1, ws.mu_2_column, out=ws.x_hat_2)  # (3)
    np.vecdot(ws.x_hat_2, ws.x_hat_2, out=ws.m_2)  # (3)
    np.multiply(ws.m_2, ws.number_0_015625, out=ws.m_2)  # (3)
    # (4) sd_2[n] = sqrt(0.00001 + m_2[n])
    np.add(ws.m_2, ws.number_1e_minus_5, out=ws.sd_2)  # (4)
    np.sqrt(ws.sd_2, out=ws.sd_2)  # (4)
    # (5) x_hat_2[n,j] = (z_1[n,j] - mu_2[n])/sd_2[n]
    np.divide(ws.x_hat_2, ws.sd_2_column, out=ws.x_hat_2)  # (5)
    # (6) y_2[n,j] = x_hat_2[n,j]*gamma_2[j] + beta_2[j]
    np.multiply(ws.gamma_2, ws.x_hat_2, out=ws.y_2)  # (6)
    np.add(ws.y_2, ws.beta_2, out=ws.y_2)  # (6)
    # (7) z_3[n,k] = sum[i](y_2[n,i]*W_3[i,k]) + b_3[k]
    np.dot(ws.y_2, ws.W_3, out=ws.z_3)  # (7)
    np.add(ws.z_3, ws.b_3, out=ws.z_3)  # (7)
    # (8) a_3[n,k] = (1 + erf(sqrt(2)*z_3[n,k]/2))*z_3[n,k]/2
    np.abs(ws.z_3, out=ws.t_1)  # (8)
    np.minimum(ws.t_1, ws.number_40, out=ws.t_1)  # (8)
    np.multiply(ws.t_1, ws.number_32, out=ws.t_2)  # (8)
    np.rint(ws.t_2, out=ws.t_2)  # (8)
    np.multiply(ws.t_2, ws.number_0_03125, out=ws.t_2)  # (8)
    np.subtract(ws.t_1, ws.t_2, out=ws.t_3)  # (8)
    np.add(ws.t_2, ws.t_1, out=ws.t_4)  # (8)
    np.multiply(ws.t_3, ws.t_4, out=ws.t_3)  # (8)
    np.multiply(ws.t_3, ws.minus_0_5, out=ws.t_3)  # (8)
    np.exp(ws.t_3, out=ws.t_3)  # (8)
    np.square(ws.t_2, out=ws.t_2)  # (8)
    np.multiply(ws.t_2, ws.minus_0_5, out=ws.t_2)  # (8)
    np.exp(ws.t_2, out=ws.t_2)  # (8)
    np.multiply(ws.t_3, ws.t_2, out=ws.t_3)  # (8)
    np.subtract(ws.t_1, ws.four, out=ws.t_5)  # (8)
    np.add(ws.t_1, ws.four, out=ws.t_6)  # (8)
    np.divide(ws.t_5, ws.t_6, out=ws.t_5)  # (8)
    np.multiply(ws.t_5, ws.number_2_199e_minus_11, out=ws.t_7)  # (8)
    np.add(ws.t_7, ws.number_2_0431e_minus_10, out=ws.t_7)  # (8)
    for coefficient in (  # (8)
        1.9934291811404328e-11, -2.007568973012324e-09, -2.0979259834686953e-09,
        9.578108642303533e-09, 1.9454128113961554e-08, -2.701165180102501e-08,
        -1.1641854592611652e-07, 1.992732181331363e-08, 5.818591068926917e-07,
        3.4250794243102623e-07, -2.807894357569154e-06, -3.188662049116423e-06,
        1.4887791236177921e-05, 1.9893344615216637e-05, -9.624419076970786e-05,
        -8.108750885003464e-05, 0.000749722122355924, -0.00047272734590219983,
        -0.005151040082175343, 0.020423374660062863, -0.041237929250779355, 0.0496029774014633,
        -0.02243020572551263, -0.04679514018372027, 0.44440096988866873
    ):
        np.multiply(ws.t_7, ws.t_5, out=ws.t_7)  # (8)
        np.add(ws.t_7, coefficient, out=ws.t_7)  # (8)
    np.add(ws.t_1, ws.number_0_70711, out=ws.t_8)  # (8)
    np.divide(ws.t_7, ws.t_8, out=ws.t_7)  # (8)
    np.multiply(ws.t_7, ws.t_1, out=ws.t_7)  # (8)
    np.multiply(ws.t_3, ws.t_7, out=ws.t_3)  # (8)
    np.maximum(ws.z_3, ws.zero, out=ws.a_3)  # (8)
    np.subtract(ws.a_3, ws.t_3, out=ws.a_3)  # (8)
    # (9) z_4[n,j] = sum[k](a_3[n,k]*W_4[k,j]) + b_4[j]
    np.dot(ws.a_3, ws.W_4, out=ws.z_4)  # (9)
    np.add(ws.z_4, ws.b_4, out=ws.z_4)  # (9)
    # (10) y_5[n,j] = z_1[n,j] + z_4[n,j]
    np.add(ws.z_1, ws.z_4, out=ws.y_5)  # (10)
    # (11) mu_6[n] = mean[j](y_5[n,j])
    np.dot(ws.y_5, ws.ones, out=ws.mu_6)  # (11)
    np.multiply(ws.mu_6, ws.number_0_015625, out=ws.mu_6)  # (11)
    # (12) m_6[n] = mean[j]((y_5[n,j] - mu_6[n])**2)
    np.subtract(ws.y_5, ws.mu_6_column, out=ws.x_hat_6)  # (12)
    np.vecdot(ws.x_hat_6, ws.x_hat_6, out=ws.m_6)  # (12)
    np.multiply(ws.m_6, ws.number_0_015625, out=ws.m_6)  # (12)
    # (13) sd_6[n] = sqrt(0.00001 + m_6[n])
    np.add(ws.m_6, ws.number_1e_minus_5, out=ws.sd_6)  # (13)
    np.sqrt(ws.sd_6, out=ws.sd_6)  # (13)
    # (14) x_hat_6[n,j] = (y_5[n,j] - mu_6[n])/sd_6[n]
    np.divide(ws.x_hat_6, ws.sd_6_column, out=ws.x_hat_6)  # (14)
    # (15) y_6[n,j] = x_hat_6[n,j]*gamma_6[j] + beta_6[j]
    np.multiply(ws.gamma_6, ws.x_hat_6, out=ws.y_6)  # (15)
    np.add(ws.y_6, ws.beta_6, out=ws.y_6)  # (15)
    # (16) z_7[n,k] = sum[i](y_6[n,i]*W_7[i,k]) + b_7[k]
    np.dot(ws.y_6, ws.W_7, out=ws.z_7)  # (16)
    np.add(ws.z_7, ws.b_7, out=ws.z_7)  # (16)
    # (17) a_7[n,k] = (1 + erf(sqrt(2)*z_7[n,k]/2))*z_7[n,k]/2
    np.abs(ws.z_7, out=ws.t_9)  # (17)
    np.minimum(ws.t_9, ws.number_40, out=ws.t_9)  # (17)
    np.multiply(ws.t_9, ws.number_32, out=ws.t_10)  # (17)
    np.rint(ws.t_10, out=ws.t_10)  # (17)
    np.multiply(ws.t_10, ws.number_0_03125, out=ws.t_10)  # (17)
    np.subtract(ws.t_9, ws.t_10, out=ws.t_11)  # (17)
    np.add(ws.t_10, ws.t_9, out=ws.t_12)  # (17)
    np.multiply(ws.t_11, ws.t_12, out=ws.t_11)  # (17)
    np.multiply(ws.t_11, ws.minus_0_5, out=ws.t_11)  # (17)
    np.exp(ws.t_11, out=ws.t_11)  # (17)
    np.square(ws.t_10, out=ws.t_10)  # (17)
    np.multiply(ws.t_10, ws.minus_0_5, out=ws.t_10)  # (17)
    np.exp(ws.t_10, out=ws.t_10)  # (17)
    np.multiply(ws.t_11, ws.t_10, out=ws.t_11)  # (17)
    np.subtract(ws.t_9, ws.four, out=ws.t_13)  # (17)
    np.add(ws.t_9, ws.four, out=ws.t_14)  # (17)
    np.divide(ws.t_13, ws.t_14, out=ws.t_13)  # (17)
    np.multiply(ws.t_13, ws.number_2_199e_minus_11, out=ws.t_15)  # (17)
    np.add(ws.t_15, ws.number_2_0431e_minus_10, out=ws.t_15)  # (17)
    for coefficient in (  # (17)
        1.9934291811404328e-11, -2.007568973012324e-09, -2.0979259834686953e-09,
        9.578108642303533e-09, 1.9454128113961554e-08, -2.701165180102501e-08,
        -1.1641854592611652e-07, 1.992732181331363e-08, 5.818591068926917e-07,
        3.4250794243102623e-07, -2.807894357569154e-06, -3.188662049116423e-06,
        1.4887791236177921e-05, 1.9893344615216637e-05, -9.624419076970786e-05,
        -8.108750885003464e-05, 0.000749722122355924, -0.00047272734590219983,
        -0.005151040082175343, 0.020423374660062863, -0.041237929250779355, 0.0496029774014633,
        -0.02243020572551263, -0.04679514018372027, 0.44440096988866873
    ):
        np.multiply(ws.t_15, ws.t_13, out=ws.t_15)  # (17)
        np.add(ws.t_15, coefficient, out=ws.t_15)  # (17)
    np.add(ws.t_9, ws.number_0_70711, out=ws.t_16)  # (17)
    np.divide(ws.t_15, ws.t_16, out=ws.t_15)  # (17)
    np.multiply(ws.t_15, ws.t_9, out=ws.t_15)  # (17)
    np.multiply(ws.t_11, ws.t_15, out=ws.t_11)  # (17)
    np.maximum(ws.z_7, ws.zero, out=ws.a_7)  # (17)
    np.subtract(ws.a_7, ws.t_11, out=ws.a_7)  # (17)
    # (18) z_8[n,j] = sum[k](a_7[n,k]*W_8[k,j]) + b_8[j]
    np.dot(ws.a_7, ws.W_8, out=ws.z_8)  # (18)
    np.add(ws.z_8, ws.b_8, out=ws.z_8)  # (18)
    # (19) y_9[n,j] = y_5[n,j] + z_8[n,j]
    np.add(ws.y_5, ws.z_8, out=ws.y_9)  # (19)
    # (20) z_10[n,l] = sum[i](y_9[n,i]*W_10[i,l]) + b_10[l]
    np.dot(ws.y_9, ws.W_10, out=ws.z_10)  # (20)
    np.add(ws.z_10, ws.b_10, out=ws.z_10)  # (20)
    return ws.z_10


def loss_arrays(ws):
    """What `loss_pass` needs."""
    N = len(ws.z_10)
    dtype = ws.dtype
    ws.y = _empty(N, np.int64)
    ws.t_17 = _empty((N,), dtype)
    ws.slot_9 = _empty(10*N, dtype)
    ws.t_18 = ws.slot_9[:10*N].reshape(N, 10)
    ws.t_20 = ws.slot_9[:N].reshape(N,)
    ws.t_19 = _empty((N,), dtype)
    ws.t_22 = _empty((N,), np.int64)
    ws.ones_1 = np.ones(10, dtype)  # (21)
    ws.n = np.arange(N)  # (23)
    ws.t_21 = np.multiply(ws.n, 10)  # (23)
    ws.t_17_column = ws.t_17[:, None]  # (21)
    ws.z_10_flat = ws.z_10.reshape(-1)  # (23)


def loss_pass(ws):
    """The loss of that output for `ws.y`."""
    N = len(ws.y)
    # (21) l[n] = logsumexp[l](z_10[n,l])
    np.maximum.reduce(ws.z_10, axis=1, out=ws.t_17)  # (21)
    np.subtract(ws.z_10, ws.t_17_column, out=ws.t_18)  # (21)
    np.exp(ws.t_18, out=ws.t_18)  # (21)
    np.dot(ws.t_18, ws.ones_1, out=ws.t_19)  # (21)
    np.log(ws.t_19, out=ws.t_19)  # (21)
    # (23) L = mean[n](l[n] - z_10[n,y[n]])
    np.add(ws.t_21, ws.y, out=ws.t_22)  # (23)
    ws.z_10_flat.take(ws.t_22, None, ws.t_20, "clip")  # (23)
    np.subtract(ws.t_20, ws.t_17, out=ws.t_20)  # (23)
    np.subtract(ws.t_19, ws.t_20, out=ws.t_19)  # (23)
    t_23 = np.add.reduce(ws.t_19, axis=None)  # (23)
    L = t_23 / N  # (23)
    return L


class PerSample:
    """The arrays of the gradients of N samples, each alone."""

    def __init__(ws, w, N):
        p, dtype = _views(w, ARRAYS), w.dtype
        ws.gradients = g = {n: np.empty((N, *s), dtype) for n, s in PARAMETERS.items()}
        ws.W_1, ws.W_1_bar = p["stem.W"], g["stem.W"]  # 64 x 64
        ws.b_1, ws.b_1_bar = p["stem.b"], g["stem.b"]  # 64
        ws.gamma_2 = p["layer_norm_1.gamma"]  # 64
        ws.gamma_2_bar = g["layer_norm_1.gamma"]  # 64
        ws.beta_2, ws.beta_2_bar = p["layer_norm_1.beta"], g["layer_norm_1.beta"]  # 64
        ws.W_3, ws.W_3_bar = p["dense_2.W"], g["dense_2.W"]  # 64 x 128
        ws.b_3, ws.b_3_bar = p["dense_2.b"], g["dense_2.b"]  # 128
        ws.W_4, ws.W_4_bar = p["inner_1.W"], g["inner_1.W"]  # 128 x 64
        ws.b_4, ws.b_4_bar = p["inner_1.b"], g["inner_1.b"]  # 64
        ws.gamma_6 = p["layer_norm_2.gamma"]  # 64
        ws.gamma_6_bar = g["layer_norm_2.gamma"]  # 64
        ws.beta_6, ws.beta_6_bar = p["layer_norm_2.beta"], g["layer_norm_2.beta"]  # 64
        ws.W_7, ws.W_7_bar = p["dense_4.W"], g["dense_4.W"]  # 64 x 128
        ws.b_7, ws.b_7_bar = p["dense_4.b"], g["dense_4.b"]  # 128
        ws.W_8, ws.W_8_bar = p["inner_2.W"], g["inner_2.W"]  # 128 x 64
        ws.b_8, ws.b_8_bar = p["inner_2.b"], g["inner_2.b"]  # 64
        ws.W_10, ws.W_10_bar = p["dense_6.W"], g["dense_6.W"]  # 64 x 10
        ws.b_10, ws.b_10_bar = p["dense_6.b"], g["dense_6.b"]  # 10
        ws.x = _empty((N, 64), dtype)
        ws.y = _empty(N, np.int64)
        ws.slot_1 = _empty(128*N, dtype)
        ws.z_1 = ws.slot_1[:64*N].reshape(N, 64)
        ws.y_5 = ws.slot_1[:64*N].reshape(N, 64)
        ws.y_9 = ws.slot_1[:64*N].reshape(N, 64)
        ws.t_20 = ws.slot_1[:128*N].reshape(N, 128)
        ws.slot_2 = _empty(64*N, dtype)
        ws.mu_2 = ws.slot_2[:N].reshape(N,)
        ws.y_2 = ws.slot_2[:64*N].reshape(N, 64)
        ws.y_2_bar = ws.slot_2[:64*N].reshape(N, 64)
        ws.x_hat_2_bar = ws.slot_2[:64*N].reshape(N, 64)
        ws.x_hat_2 = _empty((N, 64), dtype)
        ws.z_1_bar = ws.x_hat_2
        ws.m_2 = _empty((N,), dtype)
        ws.sd_2 = ws.m_2
        ws.z_3 = _empty((N, 128), dtype)
        ws.slot_6 = _empty(128*N, dtype)
        ws.t_1 = ws.slot_6[:128*N].reshape(N, 128)
        ws.z_4 = ws.slot_6[:64*N].reshape(N, 64)
        ws.z_7 = ws.slot_6[:128*N].reshape(N, 128)
        ws.a_3_bar = ws.slot_6[:128*N].reshape(N, 128)
        ws.t_2 = _empty((N, 128), dtype)
        ws.t_4 = ws.t_2
        ws.t_7 = ws.t_2
        ws.a_3 = ws.t_2
        ws.t_24 = ws.t_2
        ws.z_3_bar = _empty((N, 128), dtype)
        ws.t_3 = _empty((N, 128), dtype)
        ws.t_5 = ws.t_3
        ws.t_6 = ws.t_3
        ws.slot_10 = _empty(64*N, dtype)
        ws.mu_6 = ws.slot_10[:N].reshape(N,)
        ws.y_6 = ws.slot_10[:64*N].reshape(N, 64)
        ws.y_6_bar = ws.slot_10[:64*N].reshape(N, 64)
        ws.x_hat_6_bar = ws.slot_10[:64*N].reshape(N, 64)
        ws.x_hat_6 = _empty((N, 64), dtype)
        ws.y_5_bar = ws.x_hat_6
        ws.m_6 = _empty((N,), dtype)
        ws.sd_6 = ws.m_6
        ws.t_28 = ws.m_6
        ws.slot_13 = _empty(128*N, dtype)
        ws.t_8 = ws.slot_13[:128*N].reshape(N, 128)
        ws.z_8 = ws.slot_13[:64*N].reshape(N, 64)
        ws.z_10 = ws.slot_13[:10*N].reshape(N, 10)
        ws.p = ws.slot_13[:10*N].reshape(N, 10)
        ws.z_10_bar = ws.slot_13[:10*N].reshape(N, 10)
        ws.a_7_bar = ws.slot_13[:128*N].reshape(N, 128)
        ws.t_26 = ws.slot_13[:128*N].reshape(N, 128)
        ws.t_9 = _empty((N, 128), dtype)
        ws.t_11 = ws.t_9
        ws.t_14 = ws.t_9
        ws.a_7 = ws.t_9
        ws.t_18 = ws.t_9
        ws.z_7_bar = _empty((N, 128), dtype)
        ws.t_10 = _empty((N, 128), dtype)
        ws.t_12 = ws.t_10
        ws.t_13 = ws.t_10
        ws.slot_17 = _empty(64*N, dtype)
        ws.t_15 = ws.slot_17[:N].reshape(N,)
        ws.t_16 = ws.slot_17[:N].reshape(N,)
        ws.y_9_bar = ws.slot_17[:64*N].reshape(N, 64)
        ws.slot_18 = _empty(128*N, bool)
        ws.t_17 = ws.slot_18[:10*N].reshape(N, 10)
        ws.t_19 = ws.slot_18[:128*N].reshape(N, 128)
        ws.t_21 = ws.slot_18[:128*N].reshape(N, 128)
        ws.t_25 = ws.slot_18[:128*N].reshape(N, 128)
        ws.t_27 = ws.slot_18[:128*N].reshape(N, 128)
        ws.t_22 = _empty((N,), dtype)
        ws.t_29 = ws.t_22
        ws.t_23 = _empty((N,), dtype)
        ws.ones = np.ones(64, dtype)  # (2)
        ws.ones_1 = np.ones(10, dtype)  # (21)
        ws.l = np.arange(10)  # (60)
        ws.number_0_015625 = np.array(0.015625, dtype)  # (2)
        ws.mu_2_column = ws.mu_2[:, None]  # (3)
        ws.number_1e_minus_5 = np.array(1e-05, dtype)  # (4)
        ws.sd_2_column = ws.sd_2[:, None]  # (5)
        ws.number_40 = np.array(40, dtype)  # (8)
        ws.number_32 = np.array(32, dtype)  # (8)
        ws.number_0_03125 = np.array(0.03125, dtype)  # (8)
        ws.minus_0_5 = np.array(-0.5, dtype)  # (8)
        ws.four = np.array(4, dtype)  # (8)
        ws.number_2_199e_minus_11 = np.array(2.1989612375505207e-11, dtype)  # (8)
        ws.number_2_0431e_minus_10 = np.array(2.0430758497810312e-10, dtype)  # (8)
        ws.number_0_70711 = np.array(0.7071067811865476, dtype)  # (8)
        ws.zero = np.array(0, dtype)  # (8)
        ws.mu_6_column = ws.mu_6[:, None]  # (12)
        ws.sd_6_column = ws.sd_6[:, None]  # (14)
        ws.t_15_column = ws.t_15[:, None]  # (21)
        ws.t_16_column = ws.t_16[:, None]  # (22)
        ws.y_column = ws.y[:, None]  # (60)
        ws.z_10_bar_wide = ws.z_10_bar[:, None]  # (62)
        ws.y_9_wide = ws.y_9[:, :, None]  # (62)
        ws.W_10_T = ws.W_10.T  # (27)
        ws.y_9_bar_wide = ws.y_9_bar[:, None]  # (64)
        ws.a_7_wide = ws.a_7[:, :, None]  # (64)
        ws.W_8_T = ws.W_8.T  # (30)
        ws.number_0_7071067811865476_1_772453850905516 = np.array(  # (31)
            0.7071067811865476 / 1.772453850905516, dtype
        )
        ws.two = np.array(2, dtype)  # (31)
        ws.z_7_bar_wide = ws.z_7_bar[:, None]  # (66)
        ws.y_6_wide = ws.y_6[:, :, None]  # (66)
        ws.W_7_T = ws.W_7.T  # (34)
        ws.t_23_column = ws.t_23[:, None]  # (38)
        ws.t_22_column = ws.t_22[:, None]  # (38)
        ws.y_5_bar_wide = ws.y_5_bar[:, None]  # (70)
        ws.a_3_wide = ws.a_3[:, :, None]  # (70)
        ws.W_4_T = ws.W_4.T  # (41)
        ws.z_3_bar_wide = ws.z_3_bar[:, None]  # (72)
        ws.y_2_wide = ws.y_2[:, :, None]  # (72)
        ws.W_3_T = ws.W_3.T  # (45)
        ws.t_29_column = ws.t_29[:, None]  # (49)
        ws.t_28_column = ws.t_28[:, None]  # (49)
        ws.z_1_bar_wide = ws.z_1_bar[:, None]  # (76)
        ws.x_wide = ws.x[:, :, None]  # (76)


def per_sample_pass(ws):
    """The cotangents of all parameters, sample by sample."""
    # (1) z_1[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]
    np.dot(ws.x, ws.W_1, out=ws.z_1)  # (1)
    np.add(ws.z_1, ws.b_1, out=ws.z_1)  # (1)
    # (2) mu_2[n] = mean[j](z_1[n,j])
    np.dot(ws.z_1, ws.ones, out=ws.mu_2)  # (2)
    np.multiply(ws.mu_2, ws.number_0_015625, out=ws.mu_2)  # (2)
    # (3) m_2[n] = mean[j]((z_1[n,j] - mu_2[n])**2)
    np.subtract(ws.z_1, ws.mu_2_column, out=ws.x_hat_2)  # (3)
    np.vecdot(ws.x_hat_2, ws.x_hat_2, out=ws.m_2)  # (3)
    np.multiply(ws.m_2, ws.number_0_015625, out=ws.m_2)  # (3)
    # (4) sd_2[n] = sqrt(0.00001 + m_2[n])
    np.add(ws.m_2, ws.number_1e_minus_5, out=ws.sd_2)  # (4)
    np.sqrt(ws.sd_2, out=ws.sd_2)  # (4)
    # (5) x_hat_2[n,j] = (z_1[n,j] - mu_2[n])/sd_2[n]
    np.divide(ws.x_hat_2, ws.sd_2_column, out=ws.x_hat_2)  # (5)
    # (6) y_2[n,j] = x_hat_2[n,j]*gamma_2[j] + beta_2[j]
    np.multiply(ws.gamma_2, ws.x_hat_2, out=ws.y_2)  # (6)
    np.add(ws.y_2, ws.beta_2, out=ws.y_2)  # (6)
    # (7) z_3[n,k] = sum[i](y_2[n,i]*W_3[i,k]) + b_3[k]
    np.dot(ws.y_2, ws.W_3, out=ws.z_3)  # (7)
    np.add(ws.z_3, ws.b_3, out=ws.z_3)  # (7)
    # (8) a_3[n,k] = (1 + erf(sqrt(2)*z_3[n,k]/2))*z_3[n,k]/2
    np.abs(ws.z_3, out=ws.t_1)  # (8)
    np.minimum(ws.t_1, ws.number_40, out=ws.t_1)  # (8)
    np.multiply(ws.t_1, ws.number_32, out=ws.t_2)  # (8)
    np.rint(ws.t_2, out=ws.t_2)  # (8)
    np.multiply(ws.t_2, ws.number_0_03125, out=ws.t_2)  # (8)
    np.subtract(ws.t_1, ws.t_2, out=ws.z_3_bar)  # (8)
    np.add(ws.t_2, ws.t_1, out=ws.t_3)  # (8)
    np.multiply(ws.z_3_bar, ws.t_3, out=ws.z_3_bar)  # (8)
    np.multiply(ws.z_3_bar, ws.minus_0_5, out=ws.z_3_bar)  # (8)
    np.exp(ws.z_3_bar, out=ws.z_3_bar)  # (8)
    np.square(ws.t_2, out=ws.t_2)  # (8)
    np.multiply(ws.t_2, ws.minus_0_5, out=ws.t_2)  # (8)
    np.exp(ws.t_2, out=ws.t_2)  # (8)
    np.multiply(ws.z_3_bar, ws.t_2, out=ws.z_3_bar)  # (8)
    np.subtract(ws.t_1, ws.four, out=ws.t_4)  # (8)
    np.add(ws.t_1, ws.four, out=ws.t_5)  # (8)
    np.divide(ws.t_4, ws.t_5, out=ws.t_4)  # (8)
    np.multiply(ws.t_4, ws.number_2_199e_minus_11, out=ws.t_6)  # (8)
    np.add(ws.t_6, ws.number_2_0431e_minus_10, out=ws.t_6)  # (8)
    for coefficient in (  # (8)
        1.9934291811404328e-11, -2.007568973012324e-09, -2.0979259834686953e-09,
        9.578108642303533e-09, 1.9454128113961554e-08, -2.701165180102501e-08,
        -1.1641854592611652e-07, 1.992732181331363e-08, 5.818591068926917e-07,
        3.4250794243102623e-07, -2.807894357569154e-06, -3.188662049116423e-06,
        1.4887791236177921e-05, 1.9893344615216637e-05, -9.624419076970786e-05,
        -8.108750885003464e-05, 0.000749722122355924, -0.00047272734590219983,
        -0.005151040082175343, 0.020423374660062863, -0.041237929250779355, 0.0496029774014633,
        -0.02243020572551263, -0.04679514018372027, 0.44440096988866873
    ):
        np.multiply(ws.t_6, ws.t_4, out=ws.t_6)  # (8)
        np.add(ws.t_6, coefficient, out=ws.t_6)  # (8)
    np.add(ws.t_1, ws.number_0_70711, out=ws.t_7)  # (8)
    np.divide(ws.t_6, ws.t_7, out=ws.t_6)  # (8)
    np.multiply(ws.t_6, ws.t_1, out=ws.t_1)  # (8)
    np.multiply(ws.z_3_bar, ws.t_1, out=ws.t_1)  # (8)
    np.maximum(ws.z_3, ws.zero, out=ws.a_3)  # (8)
    np.subtract(ws.a_3, ws.t_1, out=ws.a_3)  # (8)
    # (9) z_4[n,j] = sum[k](a_3[n,k]*W_4[k,j]) + b_4[j]
    np.dot(ws.a_3, ws.W_4, out=ws.z_4)  # (9)
    np.add(ws.z_4, ws.b_4, out=ws.z_4)  # (9)
    # (10) y_5[n,j] = z_1[n,j] + z_4[n,j]
    np.add(ws.z_1, ws.z_4, out=ws.y_5)  # (10)
    # (11) mu_6[n] = mean[j](y_5[n,j])
    np.dot(ws.y_5, ws.ones, out=ws.mu_6)  # (11)
    np.multiply(ws.mu_6, ws.number_0_015625, out=ws.mu_6)  # (11)
    # (12) m_6[n] = mean[j]((y_5[n,j] - mu_6[n])**2)
    np.subtract(ws.y_5, ws.mu_6_column, out=ws.x_hat_6)  # (12)
    np.vecdot(ws.x_hat_6, ws.x_hat_6, out=ws.m_6)  # (12)
    np.multiply(ws.m_6, ws.number_0_015625, out=ws.m_6)  # (12)
    # (13) sd_6[n] = sqrt(0.00001 + m_6[n])
    np.add(ws.m_6, ws.number_1e_minus_5, out=ws.sd_6)  # (13)
    np.sqrt(ws.sd_6, out=ws.sd_6)  # (13)
    # (14) x_hat_6[n,j] = (y_5[n,j] - mu_6[n])/sd_6[n]
    np.divide(ws.x_hat_6, ws.sd_6_column, out=ws.x_hat_6)  # (14)
    # (15) y_6[n,j] = x_hat_6[n,j]*gamma_6[j] + beta_6[j]
    np.multiply(ws.gamma_6, ws.x_hat_6, out=ws.y_6)  # (15)
    np.add(ws.y_6, ws.beta_6, out=ws.y_6)  # (15)
    # (16) z_7[n,k] = sum[i](y_6[n,i]*W_7[i,k]) + b_7[k]
    np.dot(ws.y_6, ws.W_7, out=ws.z_7)  # (16)
    np.add(ws.z_7, ws.b_7, out=ws.z_7)  # (16)
    # (17) a_7[n,k] = (1 + erf(sqrt(2)*z_7[n,k]/2))*z_7[n,k]/2
    np.abs(ws.z_7, out=ws.t_8)  # (17)
    np.minimum(ws.t_8, ws.number_40, out=ws.t_8)  # (17)
    np.multiply(ws.t_8, ws.number_32, out=ws.t_9)  # (17)
    np.rint(ws.t_9, out=ws.t_9)  # (17)
    np.multiply(ws.t_9, ws.number_0_03125, out=ws.t_9)  # (17)
    np.subtract(ws.t_8, ws.t_9, out=ws.z_7_bar)  # (17)
    np.add(ws.t_9, ws.t_8, out=ws.t_10)  # (17)
    np.multiply(ws.z_7_bar, ws.t_10, out=ws.z_7_bar)  # (17)
    np.multiply(ws.z_7_bar, ws.minus_0_5, out=ws.z_7_bar)  # (17)
    np.exp(ws.z_7_bar, out=ws.z_7_bar)  # (17)
    np.square(ws.t_9, out=ws.t_9)  # (17)
    np.multiply(ws.t_9, ws.minus_0_5, out=ws.t_9)  # (17)
    np.exp(ws.t_9, out=ws.t_9)  # (17)
    np.multiply(ws.z_7_bar, ws.t_9, out=ws.z_7_bar)  # (17)
    np.subtract(ws.t_8, ws.four, out=ws.t_11)  # (17)
    np.add(ws.t_8, ws.four, out=ws.t_12)  # (17)
    np.divide(ws.t_11, ws.t_12, out=ws.t_11)  # (17)
    np.multiply(ws.t_11, ws.number_2_199e_minus_11, out=ws.t_13)  # (17)
    np.add(ws.t_13, ws.number_2_0431e_minus_10, out=ws.t_13)  # (17)
    for coefficient in (  # (17)
        1.9934291811404328e-11, -2.007568973012324e-09, -2.0979259834686953e-09,
        9.578108642303533e-09, 1.9454128113961554e-08, -2.701165180102501e-08,
        -1.1641854592611652e-07, 1.992732181331363e-08, 5.818591068926917e-07,
        3.4250794243102623e-07, -2.807894357569154e-06, -3.188662049116423e-06,
        1.4887791236177921e-05, 1.9893344615216637e-05, -9.624419076970786e-05,
        -8.108750885003464e-05, 0.000749722122355924, -0.00047272734590219983,
        -0.005151040082175343, 0.020423374660062863, -0.041237929250779355, 0.0496029774014633,
        -0.02243020572551263, -0.04679514018372027, 0.44440096988866873
    ):
        np.multiply(ws.t_13, ws.t_11, out=ws.t_13)  # (17)
        np.add(ws.t_13, coefficient, out=ws.t_13)  # (17)
    np.add(ws.t_8, ws.number_0_70711, out=ws.t_14)  # (17)
    np.divide(ws.t_13, ws.t_14, out=ws.t_13)  # (17)
    np.multiply(ws.t_13, ws.t_8, out=ws.t_8)  # (17)
    np.multiply(ws.z_7_bar, ws.t_8, out=ws.t_8)  # (17)
    np.maximum(ws.z_7, ws.zero, out=ws.a_7)  # (17)
    np.subtract(ws.a_7, ws.t_8, out=ws.a_7)  # (17)
    # (18) z_8[n,j] = sum[k](a_7[n,k]*W_8[k,j]) + b_8[j]
    np.dot(ws.a_7, ws.W_8, out=ws.z_8)  # (18)
    np.add(ws.z_8, ws.b_8, out=ws.z_8)  # (18)
    # (19) y_9[n,j] = y_5[n,j] + z_8[n,j]
    np.add(ws.y_5, ws.z_8, out=ws.y_9)  # (19)
    # (20) z_10[n,l] = sum[i](y_9[n,i]*W_10[i,l]) + b_10[l]
    np.dot(ws.y_9, ws.W_10, out=ws.z_10)  # (20)
    np.add(ws.z_10, ws.b_10, out=ws.z_10)  # (20)
    # (21) l[n] = logsumexp[l](z_10[n,l])
    np.maximum.reduce(ws.z_10, axis=1, out=ws.t_15)  # (21)
    np.subtract(ws.z_10, ws.t_15_column, out=ws.p)  # (21)
    np.exp(ws.p, out=ws.p)  # (21)
    np.dot(ws.p, ws.ones_1, out=ws.t_16)  # (21)
    # (22) p[n,l] = exp(z_10[n,l] - l[n])
    np.divide(ws.p, ws.t_16_column, out=ws.p)  # (22)
    # (60) z_10_bar[n,l] = p[n,l] - (l == y[n])
    np.equal(ws.l, ws.y_column, out=ws.t_17)  # (60)
    np.subtract(ws.p, ws.t_17, out=ws.z_10_bar)  # (60)
    # (61) b_10_bar[n,l] = z_10_bar[n,l]
    np.copyto(ws.b_10_bar, ws.z_10_bar)  # (61)
    # (62) W_10_bar[n,i,l] = y_9[n,i]*z_10_bar[n,l]
    np.multiply(ws.z_10_bar_wide, ws.y_9_wide, out=ws.W_10_bar)  # (62)
    # (27) y_9_bar[n,j] = sum[l](z_10_bar[n,l]*W_10[j,l])
    np.dot(ws.z_10_bar, ws.W_10_T, out=ws.y_9_bar)  # (27)
    # (63) b_8_bar[n,j] = y_9_bar[n,j]
    np.copyto(ws.b_8_bar, ws.y_9_bar)  # (63)
    # (64) W_8_bar[n,k,j] = a_7[n,k]*y_9_bar[n,j]
    np.multiply(ws.y_9_bar_wide, ws.a_7_wide, out=ws.W_8_bar)  # (64)
    # (30) a_7_bar[n,k] = sum[j](y_9_bar[n,j]*W_8[k,j])
    np.dot(ws.y_9_bar, ws.W_8_T, out=ws.a_7_bar)  # (30)
    # (31) z_7_bar[n,k] = (1 + sqrt(2)*exp(-z_7[n,k]**2/2)*z_7[n,k]/sqrt(pi) +
    #     erf(sqrt(2)*z_7[n,k]/2))*a_7_bar[n,k]/2
    np.multiply(ws.z_7, ws.number_0_7071067811865476_1_772453850905516, out=ws.t_18)  # (31)
    np.less(ws.z_7, ws.zero, out=ws.t_19)  # (31)
    np.multiply(ws.t_19, ws.t_13, out=ws.t_20)  # (31)
    np.multiply(ws.t_20, ws.two, out=ws.t_20)  # (31)
    np.subtract(ws.t_13, ws.t_20, out=ws.t_13)  # (31)
    np.subtract(ws.t_13, ws.t_18, out=ws.t_13)  # (31)
    np.multiply(ws.z_7_bar, ws.t_13, out=ws.z_7_bar)  # (31)
    np.less_equal(ws.zero, ws.z_7, out=ws.t_21)  # (31)
    np.subtract(ws.t_21, ws.z_7_bar, out=ws.z_7_bar)  # (31)
    np.multiply(ws.z_7_bar, ws.a_7_bar, out=ws.z_7_bar)  # (31)
    # (65) b_7_bar[n,k] = z_7_bar[n,k]
    np.copyto(ws.b_7_bar, ws.z_7_bar)  # (65)
    # (66) W_7_bar[n,i,k] = y_6[n,i]*z_7_bar[n,k]
    np.multiply(ws.z_7_bar_wide, ws.y_6_wide, out=ws.W_7_bar)  # (66)
    # (34) y_6_bar[n,j] = sum[k](z_7_bar[n,k]*W_7[j,k])
    np.dot(ws.z_7_bar, ws.W_7_T, out=ws.y_6_bar)  # (34)
    # (67) gamma_6_bar[n,j] = x_hat_6[n,j]*y_6_bar[n,j]
    np.multiply(ws.x_hat_6, ws.y_6_bar, out=ws.gamma_6_bar)  # (67)
    # (68) beta_6_bar[n,j] = y_6_bar[n,j]
    np.copyto(ws.beta_6_bar, ws.y_6_bar)  # (68)
    # (37) x_hat_6_bar[n,j] = y_6_bar[n,j]*gamma_6[j]
    np.multiply(ws.gamma_6, ws.y_6_bar, out=ws.x_hat_6_bar)  # (37)
    # (38) y_5_bar[n,j] = (x_hat_6_bar[n,j] - mean[j_1](x_hat_6_bar[n,j_1]) -
    #     mean[j_1](x_hat_6[n,j_1]*x_hat_6_bar[n,j_1])*x_hat_6[n,j])/sd_6[n] + y_9_bar[n,j]
    np.dot(ws.x_hat_6_bar, ws.ones, out=ws.t_22)  # (38)
    np.multiply(ws.t_22, ws.number_0_015625, out=ws.t_22)  # (38)
    np.vecdot(ws.x_hat_6, ws.x_hat_6_bar, out=ws.t_23)  # (38)
    np.multiply(ws.t_23, ws.number_0_015625, out=ws.t_23)  # (38)
    np.multiply(ws.t_23_column, ws.x_hat_6, out=ws.y_5_bar)  # (38)
    np.subtract(ws.x_hat_6_bar, ws.y_5_bar, out=ws.y_5_bar)  # (38)
    np.subtract(ws.y_5_bar, ws.t_22_column, out=ws.y_5_bar)  # (38)
    np.divide(ws.y_5_bar, ws.sd_6_column, out=ws.y_5_bar)  # (38)
    np.add(ws.y_5_bar, ws.y_9_bar, out=ws.y_5_bar)  # (38)
    # (69) b_4_bar[n,j] = y_5_bar[n,j]
    np.copyto(ws.b_4_bar, ws.y_5_bar)  # (69)
    # (70) W_4_bar[n,k,j] = a_3[n,k]*y_5_bar[n,j]
    np.multiply(ws.y_5_bar_wide, ws.a_3_wide, out=ws.W_4_bar)  # (70)
    # (41) a_3_bar[n,k] = sum[j](y_5_bar[n,j]*W_4[k,j])
    np.dot(ws.y_5_bar, ws.W_4_T, out=ws.a_3_bar)  # (41)
    # (42) z_3_bar[n,k] = (1 + sqrt(2)*exp(-z_3[n,k]**2/2)*z_3[n,k]/sqrt(pi) +
    #     erf(sqrt(2)*z_3[n,k]/2))*a_3_bar[n,k]/2
    np.multiply(ws.z_3, ws.number_0_7071067811865476_1_772453850905516, out=ws.t_24)  # (42)
    np.less(ws.z_3, ws.zero, out=ws.t_25)  # (42)
    np.multiply(ws.t_25, ws.t_6, out=ws.t_26)  # (42)
    np.multiply(ws.t_26, ws.two, out=ws.t_26)  # (42)
    np.subtract(ws.t_6, ws.t_26, out=ws.t_6)  # (42)
    np.subtract(ws.t_6, ws.t_24, out=ws.t_6)  # (42)
    np.multiply(ws.z_3_bar, ws.t_6, out=ws.z_3_bar)  # (42)
    np.less_equal(ws.zero, ws.z_3, out=ws.t_27)  # (42)
    np.subtract(ws.t_27, ws.z_3_bar, out=ws.z_3_bar)  # (42)
    np.multiply(ws.z_3_bar, ws.a_3_bar, out=ws.z_3_bar)  # (42)
    # (71) b_3_bar[n,k] = z_3_bar[n,k]
    np.copyto(ws.b_3_bar, ws.z_3_bar)  # (71)
    # (72) W_3_bar[n,i,k] = y_2[n,i]*z_3_bar[n,k]
    np.multiply(ws.z_3_bar_wide, ws.y_2_wide, out=ws.W_3_bar)  # (72)
    # (45) y_2_bar[n,j] = sum[k](z_3_bar[n,k]*W_3[j,k])
    np.dot(ws.z_3_bar, ws.W_3_T, out=ws.y_2_bar)  # (45)
    # (73) gamma_2_bar[n,j] = x_hat_2[n,j]*y_2_bar[n,j]
    np.multiply(ws.x_hat_2, ws.y_2_bar, out=ws.gamma_2_bar)  # (73)
    # (74) beta_2_bar[n,j] = y_2_bar[n,j]
    np.copyto(ws.beta_2_bar, ws.y_2_bar)  # (74)
    # (48) x_hat_2_bar[n,j] = y_2_bar[n,j]*gamma_2[j]
    np.multiply(ws.gamma_2, ws.y_2_bar, out=ws.x_hat_2_bar)  # (48)
    # (49) z_1_bar[n,j] = (x_hat_2_bar[n,j] - mean[j_1](x_hat_2_bar[n,j_1]) -
    #     mean[j_1](x_hat_2[n,j_1]*x_hat_2_bar[n,j_1])*x_hat_2[n,j])/sd_2[n] + y_5_bar[n,j]
    np.dot(ws.x_hat_2_bar, ws.ones, out=ws.t_28)  # (49)
    np.multiply(ws.t_28, ws.number_0_015625, out=ws.t_28)  # (49)
    np.vecdot(ws.x_hat_2, ws.x_hat_2_bar, out=ws.t_29)  # (49)
    np.multiply(ws.t_29, ws.number_0_015625, out=ws.t_29)  # (49)
    np.multiply(ws.t_29_column, ws.x_hat_2, out=ws.z_1_bar)  # (49)
    np.subtract(ws.x_hat_2_bar, ws.z_1_bar, out=ws.z_1_bar)  # (49)
    np.subtract(ws.z_1_bar, ws.t_28_column, out=ws.z_1_bar)  # (49)
    np.divide(ws.z_1_bar, ws.sd_2_column, out=ws.z_1_bar)  # (49)
    np.add(ws.z_1_bar, ws.y_5_bar, out=ws.z_1_bar)  # (49)
    # (75) b_1_bar[n,j] = z_1_bar[n,j]
    np.copyto(ws.b_1_bar, ws.z_1_bar)  # (75)
    # (76) W_1_bar[n,i,j] = x[n,i]*z_1_bar[n,j]
    np.multiply(ws.z_1_bar_wide, ws.x_wide, out=ws.W_1_bar)  # (76)


class Optimizer:
    """The state of adamw, and the flat vectors in tiles."""

    def __init__(ws, w, w_bar, *w_bars):
        ws.learning_rate = 0.001
        ws.t = np.zeros((), np.int64)  # steps made
        ws.m = _zeros(len(w), w.dtype)  # (53) m/0.1
        ws.v = _zeros(len(w), w.dtype)  # (54) v/0.001
        ws.state = {"t": ws.t, "m": ws.m, "v": ws.v}
        ws.units = {"m": 0.1, "v": 0.001}  # what states are divided by
        ws.c_1 = np.array(0.9, w.dtype)  # (53)
        ws.c_2 = np.array(0.999, w.dtype)  # (54)
        ws.c_3 = np.empty((), w.dtype)
        ws.c_4 = np.empty((), w.dtype)
        ws.c_5 = np.empty((), w.dtype)
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
    """One step of adamw, from `w_bar`."""
    t = int(ws.t) + 1
    ws.t[()] = t
    learning_rate = ws.learning_rate
    ws.c_3[()] = 3.162277660168379e-07 * math.sqrt(1 - (0.999 ** t))  # (55)
    ws.c_4[()] = 1 - (0.05 * learning_rate)  # (56)
    ws.c_5[()] = (  # (56)
        (3.1622776601683795 * math.sqrt(1 - (0.999 ** t))) * learning_rate
    ) / (1 - (0.9 ** t))
    for w, g, m, v, parts in ws.tiles:
        for part in parts:
            np.add(g, part, out=g)  # (53)
        # (53) m_next[p] = 0.1*g[p] + 0.9*m[p]
        np.multiply(m, ws.c_1, out=m)  # (53)
        np.add(m, g, out=m)  # (53)
        # (54) v_next[p] = 0.001*g[p]**2 + 0.999*v[p]
        np.square(g, out=g)  # (54)
        np.multiply(v, ws.c_2, out=v)  # (54)
        np.add(g, v, out=v)  # (54)
        # (55) d[p] = m_next[p]/((1 - (0.9)**t)*(1E-8 + sqrt(v_next[p]/(1 - (0.999)**t))))
        np.sqrt(v, out=g)  # (55)
        np.add(g, ws.c_3, out=g)  # (55)
        np.divide(m, g, out=g)  # (55)
        # (56) w_next[p] = (1 - 0.05*learning_rate)*w[p] - learning_rate*d[p]
        np.multiply(w, ws.c_4, out=w)  # (56)
        np.multiply(g, ws.c_5, out=g)  # (56)
        np.subtract(w, g, out=w)  # (56)


def weighted_loss(z_10, y, sample_weight):
    """The loss with a weight for each sample, and the cotangent of z_10."""
    N = len(z_10)
    # (21) l[n] = logsumexp[l](z_10[n,l])
    t_1 = np.maximum.reduce(z_10, axis=1)  # (21)
    p = np.subtract(z_10, t_1[:, None])  # (21)
    np.exp(p, out=p)  # (21)
    t_2 = np.add.reduce(p, axis=1)  # (21)
    t_3 = np.log(t_2)  # (21)
    # (22) p[n,l] = exp(z_10[n,l] - l[n])
    np.divide(p, t_2[:, None], out=p)  # (22)
    # (57) L = mean[n]((l[n] - z_10[n,y[n]])*sample_weight[n])
    n = np.arange(N)  # (57)
    t_4 = z_10[n, y]  # (57)
    np.subtract(t_4, t_1, out=t_4)  # (57)
    np.subtract(t_3, t_4, out=t_3)  # (57)
    t_5 = np.vdot(t_3, sample_weight)  # (57)
    L = t_5 / N  # (57)
    # (58) z_10_bar[n,l] = (p[n,l] - (l == y[n]))*sample_weight[n]/N
    z_10_bar = p.copy()  # (58)
    z_10_bar[n, y] -= 1  # (58)
    t_6 = np.divide(sample_weight, N)  # (58)
    np.multiply(t_6[:, None], z_10_bar, out=z_10_bar)  # (58)
    return L, z_10_bar


def probabilities(z_10):
    """p[n,l] = exp(z_10[n,l])/sum[m](exp(z_10[n,m]))"""
    # (22) p[n,l] = exp(z_10[n,l] - l[n])
    t_1 = np.maximum.reduce(z_10, axis=1)  # (22)
    p = np.subtract(z_10, t_1[:, None])  # (22)
    np.exp(p, out=p)  # (22)
    t_2 = np.add.reduce(p, axis=1)  # (22)
    np.divide(p, t_2[:, None], out=p)  # (22)
    return p


def labels(z_10):
    """c[n] = argmax[l](z_10[n,l])"""
    # (59) c[n] = argmax[l](z_10[n,l])
    c = np.argmax(z_10, axis=1)  # (59)
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
        np.multiply(ws.z_10_bar, ws.share, out=ws.z_10_bar)
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
        """One step of adamw on a batch; gives the loss before it, unregularized.

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
        epochs=30,
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
                        for name, mean in metrics(ws.z_10, ws.y).items():
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
