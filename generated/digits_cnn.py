"""A convolutional network on handwritten digits

    input         x    N x 8 x 8 x 1
    conv2d_1      z_1  N x 8 x 8 x 16  160 parameters
    batch_norm_1  y_2  N x 8 x 8 x 16  32 parameters
    relu_1        a_2  N x 8 x 8 x 16
    conv2d_2      z_3  N x 8 x 8 x 32  4,640 parameters
    batch_norm_2  y_4  N x 8 x 8 x 32  64 parameters
    relu_2        a_4  N x 8 x 8 x 32
    max_pool2d_1  y_5  N x 4 x 4 x 32
    dropout_1     y_6  N x 4 x 4 x 32
    flatten_1     v_7  N x 512
    dense_1       z_8  N x 10          5,130 parameters

10,026 parameters, float32. Loss: softmax_cross_entropy. Optimizer: adam, learning_rate = 0.001.

Generated from digits_cnn.toml by `derive generate`; change the spec and generate it again, never
this file. It needs NumPy only.

A number such as (7) in a comment is that of the equation which the line computes a part of:
digits_cnn.html and digits_cnn.tex derive it under this number, and `derive explain` tells what
stands behind a line.

    (1) to (25)   the forward pass and the loss
    (26) to (49)  the cotangents
    (50) to (52)  a step of adam
    (53) to (55)  inference, where it differs from training
    (56) to (57)  the loss with a weight for each sample
    (58)          probabilities
    (59)          labels
    (60) to (62)  initial values

`W_bar` is the cotangent of `W`, the derivative of the loss by it. N is the number of samples in a
batch; the axes of an array are the indices that its equation has, in order. `w` and `w_bar` hold
all parameters and their cotangents one after the other, element p.

In training mode random numbers are drawn for every batch, u_6 (uniform); in inference mode there
are none. The arrays in STATES are renewed by every training step, and read in inference mode.

Where a derivative does not exist: relu'(0) = 0; at the border of two cases it is that of the case
which holds there; of equal elements the first in index order takes the whole cotangent.

A gradient on a batch of 32 takes 58.9 million floating-point operations and moves 25.9 million
bytes.

A training step on a batch of 32 works in 1,319,796 bytes of memory, which it uses again at every
step, beside 40,104 bytes of parameters, 40,104 of their cotangents and 80,208 of the state of
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

NAME = "digits_cnn"
DTYPE = np.float32
PARAMETERS = {  # public name: shape
    "conv2d_1.W": (3, 3, 1, 16),
    "conv2d_1.b": (16,),
    "batch_norm_1.gamma": (16,),
    "batch_norm_1.beta": (16,),
    "conv2d_2.W": (3, 3, 16, 32),
    "conv2d_2.b": (32,),
    "batch_norm_2.gamma": (32,),
    "batch_norm_2.beta": (32,),
    "dense_1.W": (512, 10),
    "dense_1.b": (10,),
}
STATES = {  # public name: shape
    "batch_norm_1.running_mean": (16,),
    "batch_norm_1.running_var": (16,),
    "batch_norm_2.running_mean": (32,),
    "batch_norm_2.running_var": (32,),
}
ARRAYS = {**PARAMETERS, **STATES}  # all that `params` holds
SIZE = sum(math.prod(shape) for shape in PARAMETERS.values())  # 10,026
THREADS = 1  # threads that share a batch in training, where nothing else is said
NOT_SHARED = "mu_2 depends on several samples at once: mu_2[j] = mean[n,p,q](z_1[n,p,q,j])"
ANSWERED = 32  # samples that are answered at once, more in turn; None: all
MEASURED = 32  # and those whose loss is computed at once
ANSWERING = 2  # threads that share an answer in turn
KEPT = 1024  # samples; arrays for as many are kept for the next answer
INPUT = {"name": "x", "axes": ("N", 8, 8, 1), "below": None}
TARGET = {"name": "y", "axes": ("N",), "below": 10}


def init(seed=0):
    """Fresh parameters, {public name: array}; `seed` may be a `numpy.random.Generator`."""
    draw = np.random.default_rng(seed)
    params = _views(np.zeros(sum(map(math.prod, ARRAYS.values())), DTYPE), ARRAYS)
    params["conv2d_1.W"][...] = (  # (60)
        0.3960590171906697*draw.random((3, 3, 1, 16)) - 0.19802950859533486
    )
    params["conv2d_1.b"][...] = 0  # (61)
    params["batch_norm_1.gamma"][...] = 1  # (62)
    params["batch_norm_1.beta"][...] = 0  # (61)
    params["conv2d_2.W"][...] = (  # (60)
        0.23570226039551584*draw.random((3, 3, 16, 32)) - 0.11785113019775792
    )
    params["conv2d_2.b"][...] = 0  # (61)
    params["batch_norm_2.gamma"][...] = 1  # (62)
    params["batch_norm_2.beta"][...] = 0  # (61)
    params["dense_1.W"][...] = (  # (60)
        0.21442250696755896*draw.random((512, 10)) - 0.10721125348377948
    )
    params["dense_1.b"][...] = 0  # (61)
    params["batch_norm_1.running_mean"][...] = 0.0  # (61)
    params["batch_norm_1.running_var"][...] = 1.0  # (62)
    params["batch_norm_2.running_mean"][...] = 0.0  # (61)
    params["batch_norm_2.running_var"][...] = 1.0  # (62)
    return params


def forward(params, x):
    """The output z_8 in inference mode.

    The arrays of `params`, and those to work in, are kept for the next call with the same ones.
    """
    return _answers(params).read(x, np.array)


def value_and_grad(params, x, y, seed=None, sample_weight=None):
    """The loss and its cotangents {public name: array}, in training mode, unregularized.

    `seed` fixes what is drawn at random: u_6 (uniform). `sample_weight`, of shape (N,), are
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
    raise ValueError(
        "per_sample_grad: mu_2 depends on several samples at once: mu_2[j] = "
        "mean[n,p,q](z_1[n,p,q,j])"
    )


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
        weight = _weights(sample_weight, len(x)).astype(ws.z_8.T.dtype)
        value, ws.z_8_bar.T[...] = weighted_loss(ws.z_8.T, ws.y, weight)
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
        ws.W_1, ws.W_1_bar = p["conv2d_1.W"], g["conv2d_1.W"]  # 3 x 3 x 1 x 16
        ws.b_1, ws.b_1_bar = p["conv2d_1.b"], g["conv2d_1.b"]  # 16
        ws.gamma_2 = p["batch_norm_1.gamma"]  # 16
        ws.gamma_2_bar = g["batch_norm_1.gamma"]  # 16
        ws.beta_2, ws.beta_2_bar = p["batch_norm_1.beta"], g["batch_norm_1.beta"]  # 16
        ws.W_3, ws.W_3_bar = p["conv2d_2.W"], g["conv2d_2.W"]  # 3 x 3 x 16 x 32
        ws.b_3, ws.b_3_bar = p["conv2d_2.b"], g["conv2d_2.b"]  # 32
        ws.gamma_4 = p["batch_norm_2.gamma"]  # 32
        ws.gamma_4_bar = g["batch_norm_2.gamma"]  # 32
        ws.beta_4, ws.beta_4_bar = p["batch_norm_2.beta"], g["batch_norm_2.beta"]  # 32
        ws.W_8, ws.W_8_bar = p["dense_1.W"], g["dense_1.W"]  # 512 x 10
        ws.b_8, ws.b_8_bar = p["dense_1.b"], g["dense_1.b"]  # 10
        ws.running_mean_2 = p["batch_norm_1.running_mean"]  # 16
        ws.running_var_2 = p["batch_norm_1.running_var"]  # 16
        ws.running_mean_4 = p["batch_norm_2.running_mean"]  # 32
        ws.running_var_4 = p["batch_norm_2.running_var"]  # 32
        ws.x_laid = _empty((8, 1, 8, N), dtype)
        ws.x = ws.x_laid.transpose(3, 0, 2, 1)  # N x 8 x 8 x 1
        ws.y = _empty(N, np.int64)
        ws.drawn = []  # arrays of random numbers, each with its distribution
        ws.u_6 = _empty((N, 4, 4, 32), dtype)
        ws.drawn.append(("uniform", ws.u_6))  # (15)
        ws.slot_1 = _empty(2048*N, dtype)
        ws.z_1 = ws.slot_1[:1024*N].reshape(8, 16, 8, N)
        ws.t_4 = ws.slot_1[1024*N:2048*N].reshape(16, 8, 8, N)
        ws.t_6 = ws.slot_1[:2048*N].reshape(8, 32, 8, N)
        ws.z_3 = ws.slot_1[:2048*N].reshape(8, 32, 8, N)
        ws.x_hat_4 = ws.slot_1[:2048*N].reshape(8, 32, 8, N)
        ws.z_3_bar = ws.slot_1[:2048*N].reshape(8, 32, 8, N)
        ws.mu_2 = _empty((16,), dtype)
        ws.running_mean_next_2 = ws.mu_2
        ws.var_2 = _empty((16,), dtype)
        ws.running_var_next_2 = ws.var_2
        ws.t_5 = _empty((16,), dtype)
        ws.slot_5 = _empty(1024*N, dtype)
        ws.x_hat_2 = ws.slot_5[:1024*N].reshape(8, 16, 8, N)
        ws.z_1_bar = ws.slot_5[:1024*N].reshape(8, 16, 8, N)
        ws.slot_6 = _empty(1024*N, dtype)
        ws.y_2 = ws.slot_6[:1024*N].reshape(8, 16, 8, N)
        ws.a_2 = ws.slot_6[:1024*N].reshape(8, 16, 8, N)
        ws.slot_7 = _empty(1024*N, dtype)
        ws.t_7 = ws.slot_7[:768*N].reshape(2, 3, 16, 8, N)
        ws.t_14 = ws.slot_7[:768*N].reshape(2, 3, 16, 8, N)
        ws.y_5 = ws.slot_7[:512*N].reshape(4, 32, 4, N)
        ws.y_6 = ws.slot_7[:512*N].reshape(4, 32, 4, N)
        ws.t_24 = ws.slot_7[512*N:1024*N].reshape(4, 4, 32, N)
        ws.t_25 = ws.slot_7[:512*N].reshape(4, 128, N)
        ws.v_7_bar = ws.slot_7[:512*N].reshape(512, N)
        ws.t_37 = ws.slot_7[:1024*N].reshape(8, 32, 4, N)
        ws.a_2_bar = ws.slot_7[:1024*N].reshape(8, 16, 8, N)
        ws.y_2_bar = ws.slot_7[:1024*N].reshape(8, 16, 8, N)
        ws.x_hat_2_bar = ws.slot_7[:1024*N].reshape(8, 16, 8, N)
        ws.slot_8 = _empty(2048*N, dtype)
        ws.t_10 = ws.slot_8[:1920*N].reshape(5, 3, 16, 8, N)
        ws.t_18 = ws.slot_8[:2048*N].reshape(32, 8, 8, N)
        ws.y_4 = ws.slot_8[:2048*N].reshape(8, 32, 8, N)
        ws.a_4 = ws.slot_8[:2048*N].reshape(8, 32, 8, N)
        ws.t_53 = ws.slot_8[:384*N].reshape(16, 3, 8, N)
        ws.t_56 = ws.slot_8[:1152*N].reshape(3, 16, 3, 8, N)
        ws.t_60 = ws.slot_8[:384*N].reshape(16, 3, 8, N)
        ws.mu_4 = _empty((32,), dtype)
        ws.running_mean_next_4 = ws.mu_4
        ws.var_4 = _empty((32,), dtype)
        ws.running_var_next_4 = ws.var_4
        ws.t_19 = _empty((32,), dtype)
        ws.t_20 = _empty((8, 32, 4, N), bool)
        ws.slot_13 = _empty(2048*N, dtype)
        ws.t_21 = ws.slot_13[:1024*N].reshape(8, 32, 4, N)
        ws.y_5_bar = ws.slot_13[:512*N].reshape(4, 32, 4, N)
        ws.a_4_bar = ws.slot_13[:2048*N].reshape(8, 32, 8, N)
        ws.y_4_bar = ws.slot_13[:2048*N].reshape(8, 32, 8, N)
        ws.x_hat_4_bar = ws.slot_13[:2048*N].reshape(8, 32, 8, N)
        ws.z_8 = _lent(w_bar[4800:5120], (10, N), dtype)
        ws.t_26 = _lent(w_bar[5184:5216], (N,), dtype)
        ws.p = _lent(w_bar[4096:4416], (10, N), dtype)
        ws.z_8_bar = ws.p
        ws.t_27 = _lent(w_bar[5120:5152], (N,), dtype)
        ws.t_28 = _lent(w_bar[5216:5248], (N,), dtype)
        ws.t_29 = _lent(w_bar[5248:5280], (N,), dtype)
        ws.t_3 = _lent(ws.slot_5[0:16*N], (8, 16), dtype)
        ws.t_17 = _lent(ws.slot_7[0:16*N], (8, 32), dtype)
        ws.t_22 = _lent(ws.slot_13[1024*N:1152*N], (4, 32, 4, N), bool)
        ws.t_23 = _lent(ws.slot_7[512*N:640*N], (4, 32, 4, N), bool)
        ws.t_30 = _lent(ws.slot_7[512*N:528*N], (N,), np.int64)
        ws.t_32 = _lent(ws.slot_7[528*N:544*N], (16,), dtype)
        ws.t_33 = _lent(ws.slot_7[528*N:544*N], (16,), dtype)
        ws.t_34 = _lent(ws.slot_7[528*N:544*N], (32,), dtype)
        ws.t_35 = _lent(ws.slot_7[528*N:544*N], (32,), dtype)
        ws.t_36 = _lent(ws.slot_7[512*N:640*N], (4, 32, 4, N), bool)
        ws.t_38 = _lent(ws.slot_7[0:512*N], (8, 32, 8, N), bool)
        ws.t_39 = _lent(ws.slot_7[0:16*N], (8, 32), dtype)
        ws.t_40 = _lent(ws.slot_7[0:16*N], (8, 32), dtype)
        ws.t_41 = _lent(ws.slot_7[16*N:32*N], (32,), dtype)
        ws.t_42 = _lent(ws.slot_7[0:16*N], (32,), dtype)
        ws.t_43 = _lent(ws.slot_7[0:16*N], (8, 32), dtype)
        ws.t_44 = _lent(ws.slot_8[0:1152*N], (8, 3, 3, 16, 32), dtype)
        ws.t_51 = _lent(ws.slot_7[0:144*N], (3, 3, 16, 32), dtype)
        ws.t_52 = _lent(ws.slot_13[0:144*N], (16, 3, 3, 32), dtype)
        ws.t_63 = _lent(ws.slot_1[0:256*N], (8, 16, 8, N), bool)
        ws.t_64 = _lent(ws.slot_6[0:16*N], (8, 16), dtype)
        ws.t_65 = _lent(ws.slot_6[0:16*N], (8, 16), dtype)
        ws.t_66 = _lent(ws.slot_6[16*N:32*N], (16,), dtype)
        ws.t_67 = _lent(ws.slot_6[0:16*N], (16,), dtype)
        ws.t_68 = _lent(ws.slot_6[0:16*N], (8, 16), dtype)
        ws.t_69 = _lent(ws.slot_6[0:48*N], (8, 3, 3, 1, 16), dtype)
        ws.t_1 = np.zeros((10, 3, 1, 8, N), dtype)  # (1)
        ws.t_2 = np.lib.stride_tricks.sliding_window_view(ws.t_1, 3, 0).transpose(  # (1)
            0, 5, 1, 2, 3, 4
        ).reshape(8, 9, 8*N)
        ws.ones = np.ones(8*N, dtype)  # (2)
        ws.ones_1 = np.ones(8, dtype)  # (2)
        ws.t_8 = ws.a_2[:2]  # (7)
        ws.t_9 = ws.t_6.reshape(8, 32, 8*N)[0]  # (7)
        ws.t_12 = np.lib.stride_tricks.sliding_window_view(ws.t_10, 3, 0).transpose(  # (7)
            0, 5, 1, 2, 3, 4
        ).reshape(3, 144, 8*N)
        ws.t_15 = ws.a_2[6:]  # (7)
        ws.t_16 = ws.t_6.reshape(8, 32, 8*N)[7]  # (7)
        ws.ones_2 = np.ones(10, dtype)  # (19)
        ws.n = np.arange(N)  # (21)
        ws.ones_3 = np.ones(N, dtype)  # (27)
        ws.t_45 = ws.a_2.reshape(128, 8*N)[:32]  # (40)
        ws.t_46 = ws.z_3_bar.reshape(8, 32, 8*N)[0]  # (40)
        ws.t_47 = np.lib.stride_tricks.sliding_window_view(  # (40)
            ws.a_2, 3, 0
        ).transpose(0, 4, 1, 2, 3).reshape(6, 48, 8*N)
        ws.t_48 = ws.z_3_bar.reshape(8, 32, 8*N)[1:7]  # (40)
        ws.t_49 = ws.a_2.reshape(128, 8*N)[96:]  # (40)
        ws.t_50 = ws.z_3_bar.reshape(8, 32, 8*N)[7]  # (40)
        ws.t_54 = ws.z_3_bar.reshape(256, 8*N)[:64]  # (41)
        ws.t_55 = ws.a_2_bar[0]  # (41)
        ws.t_57 = np.lib.stride_tricks.sliding_window_view(  # (41)
            ws.z_3_bar, 3, 0
        ).transpose(0, 4, 1, 2, 3).reshape(6, 96, 8*N)
        ws.t_61 = ws.z_3_bar.reshape(256, 8*N)[192:]  # (41)
        ws.t_62 = ws.a_2_bar[7]  # (41)
        ws.t_1_from1to9_at0_from1 = ws.t_1[1:9, 0, :, 1:]  # (1)
        ws.x_laid_to7 = ws.x_laid[:, :, :7]  # (1)
        ws.t_1_from1to9_at1 = ws.t_1[1:9, 1]  # (1)
        ws.t_1_from1to9_at2_to7 = ws.t_1[1:9, 2, :, :7]  # (1)
        ws.x_laid_from1 = ws.x_laid[:, :, 1:]  # (1)
        ws.W_1_matrix_T = ws.W_1.reshape(9, 16).T  # (1)
        ws.z_1_split = ws.z_1.reshape(8, 16, 8*N)  # (1)
        ws.b_1_wide = ws.b_1[:, None, None]  # (1)
        ws.z_1_matrix = ws.z_1.reshape(128, 8*N)  # (2)
        ws.t_3_flat = ws.t_3.reshape(128,)  # (2)
        ws.number_64_N = np.array(64*N, dtype)  # (2)
        ws.z_1_turned = ws.z_1.transpose(1, 0, 2, 3)  # (3)
        ws.mu_2_wide = ws.mu_2[:, None, None, None]  # (3)
        ws.t_4_matrix = ws.t_4.reshape(16, 64*N)  # (3)
        ws.number_1e_minus_5 = np.array(1e-05, dtype)  # (4)
        ws.t_4_turned = ws.t_4.transpose(1, 0, 2, 3)  # (4)
        ws.t_5_wide = ws.t_5[:, None, None]  # (4)
        ws.gamma_2_wide = ws.gamma_2[:, None, None]  # (5)
        ws.beta_2_wide = ws.beta_2[:, None, None]  # (5)
        ws.zero = np.array(0, dtype)  # (6)
        ws.t_7_at0_from1 = ws.t_7[:, 0, :, 1:]  # (7)
        ws.t_8_to7 = ws.t_8[:, :, :7]  # (7)
        ws.t_7_at1 = ws.t_7[:, 1]  # (7)
        ws.t_7_at2_to7 = ws.t_7[:, 2, :, :7]  # (7)
        ws.t_8_from1 = ws.t_8[:, :, 1:]  # (7)
        ws.W_3_matrix_T_from48 = ws.W_3.reshape(144, 32).T[:, 48:]  # (7)
        ws.t_7_matrix = ws.t_7.reshape(96, 8*N)  # (7)
        ws.t_10_at0_from1 = ws.t_10[:, 0, :, 1:]  # (7)
        ws.t_10_at1 = ws.t_10[:, 1]  # (7)
        ws.t_10_at2_to7 = ws.t_10[:, 2, :, :7]  # (7)
        ws.W_3_matrix_T = ws.W_3.reshape(144, 32).T  # (7)
        ws.steps_1 = [
            (
                ws.a_2[3*_p:5 + 3*_p], ws.a_2[3*_p:5 + 3*_p][:, :, :7],
                ws.a_2[3*_p:5 + 3*_p][:, :, 1:], ws.t_6.reshape(8, 32, 8*N)[1 + 3*_p:4 + 3*_p]
            )
            for _p in range(2)
        ]
        ws.t_14_at0_from1 = ws.t_14[:, 0, :, 1:]  # (7)
        ws.t_15_to7 = ws.t_15[:, :, :7]  # (7)
        ws.t_14_at1 = ws.t_14[:, 1]  # (7)
        ws.t_14_at2_to7 = ws.t_14[:, 2, :, :7]  # (7)
        ws.t_15_from1 = ws.t_15[:, :, 1:]  # (7)
        ws.W_3_matrix_T_to96 = ws.W_3.reshape(144, 32).T[:, :96]  # (7)
        ws.t_14_matrix = ws.t_14.reshape(96, 8*N)  # (7)
        ws.b_3_wide = ws.b_3[:, None, None]  # (7)
        ws.z_3_matrix = ws.z_3.reshape(256, 8*N)  # (8)
        ws.t_17_flat = ws.t_17.reshape(256,)  # (8)
        ws.z_3_turned = ws.z_3.transpose(1, 0, 2, 3)  # (9)
        ws.mu_4_wide = ws.mu_4[:, None, None, None]  # (9)
        ws.t_18_matrix = ws.t_18.reshape(32, 64*N)  # (9)
        ws.t_18_turned = ws.t_18.transpose(1, 0, 2, 3)  # (10)
        ws.t_19_wide = ws.t_19[:, None, None]  # (10)
        ws.gamma_4_wide = ws.gamma_4[:, None, None]  # (11)
        ws.beta_4_wide = ws.beta_4[:, None, None]  # (11)
        ws.a_4_to7by2 = ws.a_4[:, :, :7:2]  # (13)
        ws.a_4_from1by2 = ws.a_4[:, :, 1::2]  # (13)
        ws.t_21_to7by2 = ws.t_21[:7:2]  # (13)
        ws.t_21_from1by2 = ws.t_21[1::2]  # (13)
        ws.u_6_turned = ws.u_6.transpose(1, 3, 2, 0)  # (15)
        ws.number_0_4 = np.array(0.4, dtype)  # (15)
        ws.number_1_6667 = np.array(1.6666666666666667, dtype)  # (15)
        ws.y_6_turned = ws.y_6.transpose(0, 2, 1, 3)  # (16)
        ws.t_24_split = ws.t_24.reshape(4, 128, N)  # (17)
        ws.W_8_T = ws.W_8.T  # (18)
        ws.t_25_matrix = ws.t_25.reshape(512, N)  # (18)
        ws.b_8_column = ws.b_8[:, None]  # (18)
        ws.N_integer = np.array(N, np.int64)  # (21)
        ws.z_8_flat = ws.z_8.reshape(-1)  # (21)
        ws.number_10 = np.array(10, dtype)  # (22)
        ws.number_0_9 = np.array(0.9, dtype)  # (22)
        ws.z_8_bar_flat = ws.z_8_bar.reshape(-1)  # (26)
        ws.one = np.array(1, dtype)  # (26)
        ws.N = np.array(N, dtype)  # (26)
        ws.z_8_bar_T = ws.z_8_bar.T  # (28)
        ws.v_7_bar_split_turned = ws.v_7_bar.reshape(4, 4, 32, N).transpose(0, 2, 1, 3)  # (32)
        ws.t_37_from1by2 = ws.t_37[1::2]  # (33)
        ws.t_37_to7by2 = ws.t_37[:7:2]  # (33)
        ws.a_4_bar_from1by2 = ws.a_4_bar[:, :, 1::2]  # (33)
        ws.a_4_bar_to7by2 = ws.a_4_bar[:, :, :7:2]  # (33)
        ws.y_4_bar_matrix = ws.y_4_bar.reshape(256, 8*N)  # (36)
        ws.t_39_flat = ws.t_39.reshape(256,)  # (36)
        ws.x_hat_4_bar_matrix = ws.x_hat_4_bar.reshape(256, 8*N)  # (38)
        ws.t_40_flat = ws.t_40.reshape(256,)  # (38)
        ws.t_42_wide = ws.t_42[:, None, None]  # (38)
        ws.t_41_wide = ws.t_41[:, None, None]  # (38)
        ws.z_3_bar_matrix = ws.z_3_bar.reshape(256, 8*N)  # (39)
        ws.t_43_flat = ws.t_43.reshape(256,)  # (39)
        ws.t_44_split = ws.t_44.reshape(8, 3, 48, 32)  # (40)
        ws.t_45_part = ws.t_45[:, :7*N]  # (40)
        ws.t_46_part_T = ws.t_46[:, N:].T  # (40)
        ws.t_44_split_at0_at0_from16 = ws.t_44.reshape(8, 3, 48, 32)[0, 0, 16:]  # (40)
        ws.t_46_T = ws.t_46.T  # (40)
        ws.t_44_split_at0_at1_from16 = ws.t_44.reshape(8, 3, 48, 32)[0, 1, 16:]  # (40)
        ws.t_45_part_b = ws.t_45[:, N:]  # (40)
        ws.t_46_part_T_b = ws.t_46[:, :7*N].T  # (40)
        ws.t_44_split_at0_at2_from16 = ws.t_44.reshape(8, 3, 48, 32)[0, 2, 16:]  # (40)
        ws.t_47_part = ws.t_47[:, :, :7*N]  # (40)
        ws.t_48_part_turned = ws.t_48[:, :, N:].transpose(0, 2, 1)  # (40)
        ws.t_44_split_from1to7_at0 = ws.t_44.reshape(8, 3, 48, 32)[1:7, 0]  # (40)
        ws.t_48_turned = ws.t_48.transpose(0, 2, 1)  # (40)
        ws.t_44_split_from1to7_at1 = ws.t_44.reshape(8, 3, 48, 32)[1:7, 1]  # (40)
        ws.t_47_part_b = ws.t_47[:, :, N:]  # (40)
        ws.t_48_part_turned_b = ws.t_48[:, :, :7*N].transpose(0, 2, 1)  # (40)
        ws.t_44_split_from1to7_at2 = ws.t_44.reshape(8, 3, 48, 32)[1:7, 2]  # (40)
        ws.t_49_part = ws.t_49[:, :7*N]  # (40)
        ws.t_50_part_T = ws.t_50[:, N:].T  # (40)
        ws.t_44_split_at7_at0_to32 = ws.t_44.reshape(8, 3, 48, 32)[7, 0, :32]  # (40)
        ws.t_50_T = ws.t_50.T  # (40)
        ws.t_44_split_at7_at1_to32 = ws.t_44.reshape(8, 3, 48, 32)[7, 1, :32]  # (40)
        ws.t_49_part_b = ws.t_49[:, N:]  # (40)
        ws.t_50_part_T_b = ws.t_50[:, :7*N].T  # (40)
        ws.t_44_split_at7_at2_to32 = ws.t_44.reshape(8, 3, 48, 32)[7, 2, :32]  # (40)
        ws.t_44_matrix = ws.t_44.reshape(8, 4608)  # (40)
        ws.t_51_flat = ws.t_51.reshape(4608,)  # (40)
        ws.t_51_turned = ws.t_51.transpose(1, 0, 2, 3)  # (40)
        ws.W_3_reversed_reversed_turned = ws.W_3[::-1, ::-1].transpose(2, 1, 0, 3)  # (41)
        ws.t_52_matrix_from32 = ws.t_52.reshape(48, 96)[:, 32:]  # (41)
        ws.t_53_matrix = ws.t_53.reshape(48, 8*N)  # (41)
        ws.t_53_at1 = ws.t_53[:, 1]  # (41)
        ws.t_55_from1 = ws.t_55[:, 1:]  # (41)
        ws.t_53_at0_to7 = ws.t_53[:, 0, :7]  # (41)
        ws.t_55_to7 = ws.t_55[:, :7]  # (41)
        ws.t_53_at2_from1 = ws.t_53[:, 2, 1:]  # (41)
        ws.t_52_matrix = ws.t_52.reshape(48, 96)  # (41)
        ws.t_56_split = ws.t_56.reshape(3, 48, 8*N)  # (41)
        ws.t_56_at1 = ws.t_56[:, :, 1]  # (41)
        ws.t_56_at0_to7 = ws.t_56[:, :, 0, :7]  # (41)
        ws.t_56_at2_from1 = ws.t_56[:, :, 2, 1:]  # (41)
        ws.steps_2 = [
            (
                ws.t_57[3*_p:3 + 3*_p], ws.a_2_bar[1 + 3*_p:4 + 3*_p],
                ws.a_2_bar[1 + 3*_p:4 + 3*_p][:, :, 1:],
                ws.a_2_bar[1 + 3*_p:4 + 3*_p][:, :, :7]
            )
            for _p in range(2)
        ]
        ws.t_52_matrix_to64 = ws.t_52.reshape(48, 96)[:, :64]  # (41)
        ws.t_60_matrix = ws.t_60.reshape(48, 8*N)  # (41)
        ws.t_60_at1 = ws.t_60[:, 1]  # (41)
        ws.t_62_from1 = ws.t_62[:, 1:]  # (41)
        ws.t_60_at0_to7 = ws.t_60[:, 0, :7]  # (41)
        ws.t_62_to7 = ws.t_62[:, :7]  # (41)
        ws.t_60_at2_from1 = ws.t_60[:, 2, 1:]  # (41)
        ws.y_2_bar_matrix = ws.y_2_bar.reshape(128, 8*N)  # (44)
        ws.t_64_flat = ws.t_64.reshape(128,)  # (44)
        ws.x_hat_2_bar_matrix = ws.x_hat_2_bar.reshape(128, 8*N)  # (46)
        ws.t_65_flat = ws.t_65.reshape(128,)  # (46)
        ws.t_67_wide = ws.t_67[:, None, None]  # (46)
        ws.t_66_wide = ws.t_66[:, None, None]  # (46)
        ws.z_1_bar_matrix = ws.z_1_bar.reshape(128, 8*N)  # (47)
        ws.t_68_flat = ws.t_68.reshape(128,)  # (47)
        ws.z_1_bar_split_turned = ws.z_1_bar.reshape(8, 16, 8*N).transpose(0, 2, 1)  # (48)
        ws.t_69_split = ws.t_69.reshape(8, 9, 16)  # (48)
        ws.t_69_matrix = ws.t_69.reshape(8, 144)  # (48)
        ws.W_1_bar_flat = ws.W_1_bar.reshape(144,)  # (48)


def forward_pass(ws):
    """The loss of the batch in `ws.x` and `ws.y`."""
    N = len(ws.x)
    # (1) z_1[n,p,q,j] = sum[k,l,c](x[n,k+p-1,l+q-1,c]*W_1[k,l,c,j]) + b_1[j]
    # ws.t_1[p_k,l,c,q,n] = ws.x_laid[p_k - 1,c,l + q - 1,n]  # (1)
    np.copyto(ws.t_1_from1to9_at0_from1, ws.x_laid_to7)  # (1)
    np.copyto(ws.t_1_from1to9_at1, ws.x_laid)  # (1)
    np.copyto(ws.t_1_from1to9_at2_to7, ws.x_laid_from1)  # (1)
    np.matmul(ws.W_1_matrix_T, ws.t_2, out=ws.z_1_split)  # (1)
    np.add(ws.z_1, ws.b_1_wide, out=ws.z_1)  # (1)
    # (2) mu_2[j] = mean[n,p,q](z_1[n,p,q,j])
    np.dot(ws.z_1_matrix, ws.ones, out=ws.t_3_flat)  # (2)
    np.dot(ws.ones_1, ws.t_3, out=ws.mu_2)  # (2)
    np.divide(ws.mu_2, ws.number_64_N, out=ws.mu_2)  # (2)
    # (3) var_2[j] = mean[n,p,q]((z_1[n,p,q,j] - mu_2[j])**2)
    np.subtract(ws.z_1_turned, ws.mu_2_wide, out=ws.t_4)  # (3)
    np.vecdot(ws.t_4_matrix, ws.t_4_matrix, out=ws.var_2)  # (3)
    np.divide(ws.var_2, ws.number_64_N, out=ws.var_2)  # (3)
    # (4) x_hat_2[n,p,q,j] = (z_1[n,p,q,j] - mu_2[j])/sqrt(0.00001 + var_2[j])
    np.add(ws.var_2, ws.number_1e_minus_5, out=ws.t_5)  # (4)
    np.sqrt(ws.t_5, out=ws.t_5)  # (4)
    np.divide(ws.t_4_turned, ws.t_5_wide, out=ws.x_hat_2)  # (4)
    # (5) y_2[n,p,q,j] = x_hat_2[n,p,q,j]*gamma_2[j] + beta_2[j]
    np.multiply(ws.gamma_2_wide, ws.x_hat_2, out=ws.y_2)  # (5)
    np.add(ws.y_2, ws.beta_2_wide, out=ws.y_2)  # (5)
    # (6) a_2[n,p,q,j] = where(0 < y_2[n,p,q,j], y_2[n,p,q,j], 0)
    np.maximum(ws.y_2, ws.zero, out=ws.a_2)  # (6)
    # (7) z_3[n,p,q,i] = sum[k,l,j](a_2[n,k+p-1,l+q-1,j]*W_3[k,l,j,i]) + b_3[i]
    ws.t_7[:, 0, :, :1] = 0  # (7)
    ws.t_7[:, 2, :, 7:] = 0  # (7)
    # ws.t_7[h,l,j,q,n] = ws.t_8[h,j,l + q - 1,n]  # (7)
    np.copyto(ws.t_7_at0_from1, ws.t_8_to7)  # (7)
    np.copyto(ws.t_7_at1, ws.t_8)  # (7)
    np.copyto(ws.t_7_at2_to7, ws.t_8_from1)  # (7)
    np.matmul(ws.W_3_matrix_T_from48, ws.t_7_matrix, out=ws.t_9)  # (7)
    ws.t_10[:, 0, :, :1] = 0  # (7)
    ws.t_10[:, 2, :, 7:] = 0  # (7)
    for t_11, t_11_to7, t_11_from1, t_13 in ws.steps_1:
        # (7) z_3[n,p,q,i] = sum[k,l,j](a_2[n,k+p-1,l+q-1,j]*W_3[k,l,j,i]) + b_3[i]
        # ws.t_10[h,l,j,q,n] = t_11[h,j,l + q - 1,n]  # (7)
        np.copyto(ws.t_10_at0_from1, t_11_to7)  # (7)
        np.copyto(ws.t_10_at1, t_11)  # (7)
        np.copyto(ws.t_10_at2_to7, t_11_from1)  # (7)
        np.matmul(ws.W_3_matrix_T, ws.t_12, out=t_13)  # (7)
    ws.t_14[:, 0, :, :1] = 0  # (7)
    ws.t_14[:, 2, :, 7:] = 0  # (7)
    # ws.t_14[h,l,j,q,n] = ws.t_15[h,j,l + q - 1,n]  # (7)
    np.copyto(ws.t_14_at0_from1, ws.t_15_to7)  # (7)
    np.copyto(ws.t_14_at1, ws.t_15)  # (7)
    np.copyto(ws.t_14_at2_to7, ws.t_15_from1)  # (7)
    np.matmul(ws.W_3_matrix_T_to96, ws.t_14_matrix, out=ws.t_16)  # (7)
    np.add(ws.t_6, ws.b_3_wide, out=ws.z_3)  # (7)
    # (8) mu_4[i] = mean[n,p,q](z_3[n,p,q,i])
    np.dot(ws.z_3_matrix, ws.ones, out=ws.t_17_flat)  # (8)
    np.dot(ws.ones_1, ws.t_17, out=ws.mu_4)  # (8)
    np.divide(ws.mu_4, ws.number_64_N, out=ws.mu_4)  # (8)
    # (9) var_4[i] = mean[n,p,q]((z_3[n,p,q,i] - mu_4[i])**2)
    np.subtract(ws.z_3_turned, ws.mu_4_wide, out=ws.t_18)  # (9)
    np.vecdot(ws.t_18_matrix, ws.t_18_matrix, out=ws.var_4)  # (9)
    np.divide(ws.var_4, ws.number_64_N, out=ws.var_4)  # (9)
    # (10) x_hat_4[n,p,q,i] = (z_3[n,p,q,i] - mu_4[i])/sqrt(0.00001 + var_4[i])
    np.add(ws.var_4, ws.number_1e_minus_5, out=ws.t_19)  # (10)
    np.sqrt(ws.t_19, out=ws.t_19)  # (10)
    np.divide(ws.t_18_turned, ws.t_19_wide, out=ws.x_hat_4)  # (10)
    # (11) y_4[n,p,q,i] = x_hat_4[n,p,q,i]*gamma_4[i] + beta_4[i]
    np.multiply(ws.gamma_4_wide, ws.x_hat_4, out=ws.y_4)  # (11)
    np.add(ws.y_4, ws.beta_4_wide, out=ws.y_4)  # (11)
    # (12) a_4[n,p,q,i] = where(0 < y_4[n,p,q,i], y_4[n,p,q,i], 0)
    np.maximum(ws.y_4, ws.zero, out=ws.a_4)  # (12)
    # (13) y_5_argmax[n,m,r,i] = argmax[s,u](a_4[n,2*m+s,2*r+u,i])
    np.less(ws.a_4_to7by2, ws.a_4_from1by2, out=ws.t_20)  # (13)
    np.maximum(ws.a_4_to7by2, ws.a_4_from1by2, out=ws.t_21)  # (13)
    np.less(ws.t_21_to7by2, ws.t_21_from1by2, out=ws.t_22)  # (13)
    np.maximum(ws.t_21_to7by2, ws.t_21_from1by2, out=ws.y_5)  # (13)
    # (15) y_6[n,m,r,i] = where(u_6[n,m,r,i] < 0.4, 0, 5*y_5[n,m,r,i]/3)
    np.less(ws.u_6_turned, ws.number_0_4, out=ws.t_23)  # (15)
    np.multiply(ws.y_5, ws.number_1_6667, out=ws.y_6)  # (15)
    np.logical_not(ws.t_23, out=ws.t_23)  # (15)
    np.multiply(ws.y_6, ws.t_23, out=ws.y_6)  # (15)
    # (16) u_7[n,m,g] = y_6[n,m,g//32,g%32]
    np.copyto(ws.t_24, ws.y_6_turned)  # (16)
    # (17) v_7[n,f] = u_7[n,f//128,f%128]
    np.copyto(ws.t_25, ws.t_24_split)  # (17)
    # (18) z_8[n,j_1] = sum[f](v_7[n,f]*W_8[f,j_1]) + b_8[j_1]
    np.dot(ws.W_8_T, ws.t_25_matrix, out=ws.z_8)  # (18)
    np.add(ws.z_8, ws.b_8_column, out=ws.z_8)  # (18)
    # (19) l[n] = logsumexp[j_1](z_8[n,j_1])
    np.maximum.reduce(ws.z_8, axis=0, out=ws.t_26)  # (19)
    np.subtract(ws.z_8, ws.t_26, out=ws.p)  # (19)
    np.exp(ws.p, out=ws.p)  # (19)
    np.dot(ws.ones_2, ws.p, out=ws.t_27)  # (19)
    np.log(ws.t_27, out=ws.t_28)  # (19)
    # (20) p[n,j_1] = exp(z_8[n,j_1] - l[n])
    np.divide(ws.p, ws.t_27, out=ws.p)  # (20)
    # (21) L = mean[n](l[n] - z_8[n,y[n]])
    np.multiply(ws.y, ws.N_integer, out=ws.t_30)  # (21)
    np.add(ws.n, ws.t_30, out=ws.t_30)  # (21)
    ws.z_8_flat.take(ws.t_30, None, ws.t_29, "clip")  # (21)
    np.subtract(ws.t_29, ws.t_26, out=ws.t_29)  # (21)
    np.subtract(ws.t_28, ws.t_29, out=ws.t_28)  # (21)
    t_31 = np.add.reduce(ws.t_28, axis=None)  # (21)
    L = t_31 / N  # (21)
    return L


def renew(ws):
    """The next values of the states."""
    # (22) running_mean_next_2[j] = 0.1*mu_2[j] + 0.9*running_mean_2[j]
    np.divide(ws.mu_2, ws.number_10, out=ws.running_mean_next_2)  # (22)
    np.multiply(ws.running_mean_2, ws.number_0_9, out=ws.t_32)  # (22)
    np.add(ws.running_mean_next_2, ws.t_32, out=ws.running_mean_next_2)  # (22)
    # (23) running_var_next_2[j] = 0.1*var_2[j] + 0.9*running_var_2[j]
    np.divide(ws.var_2, ws.number_10, out=ws.running_var_next_2)  # (23)
    np.multiply(ws.running_var_2, ws.number_0_9, out=ws.t_33)  # (23)
    np.add(ws.running_var_next_2, ws.t_33, out=ws.running_var_next_2)  # (23)
    # (24) running_mean_next_4[i] = 0.1*mu_4[i] + 0.9*running_mean_4[i]
    np.divide(ws.mu_4, ws.number_10, out=ws.running_mean_next_4)  # (24)
    np.multiply(ws.running_mean_4, ws.number_0_9, out=ws.t_34)  # (24)
    np.add(ws.running_mean_next_4, ws.t_34, out=ws.running_mean_next_4)  # (24)
    # (25) running_var_next_4[i] = 0.1*var_4[i] + 0.9*running_var_4[i]
    np.divide(ws.var_4, ws.number_10, out=ws.running_var_next_4)  # (25)
    np.multiply(ws.running_var_4, ws.number_0_9, out=ws.t_35)  # (25)
    np.add(ws.running_var_next_4, ws.t_35, out=ws.running_var_next_4)  # (25)
    np.copyto(ws.running_mean_2, ws.running_mean_next_2)  # (22)
    np.copyto(ws.running_var_2, ws.running_var_next_2)  # (23)
    np.copyto(ws.running_mean_4, ws.running_mean_next_4)  # (24)
    np.copyto(ws.running_var_4, ws.running_var_next_4)  # (25)


def loss_backward(ws):
    """The cotangent z_8_bar of the output."""
    # (26) z_8_bar[n,j_1] = (p[n,j_1] - (j_1 == y[n]))/N
    ws.z_8_bar_flat[ws.t_30] -= ws.one  # (26)
    np.divide(ws.z_8_bar, ws.N, out=ws.z_8_bar)  # (26)


def backward_pass(ws):
    """The cotangents of all parameters, from z_8_bar."""
    # (27) b_8_bar[j_1] = sum[n](z_8_bar[n,j_1])
    np.dot(ws.z_8_bar, ws.ones_3, out=ws.b_8_bar)  # (27)
    # (28) W_8_bar[f,j_1] = sum[n](v_7[n,f]*z_8_bar[n,j_1])
    np.dot(ws.t_25_matrix, ws.z_8_bar_T, out=ws.W_8_bar)  # (28)
    # (29) v_7_bar[n,f] = sum[j_1](z_8_bar[n,j_1]*W_8[f,j_1])
    np.dot(ws.W_8, ws.z_8_bar, out=ws.v_7_bar)  # (29)
    # (32) y_5_bar[n,m,r,i] = where(0.4 <= u_6[n,m,r,i], 5*y_6_bar[n,m,r,i]/3, 0)
    np.less_equal(ws.number_0_4, ws.u_6_turned, out=ws.t_36)  # (32)
    np.multiply(ws.v_7_bar_split_turned, ws.number_1_6667, out=ws.y_5_bar)  # (32)
    np.multiply(ws.y_5_bar, ws.t_36, out=ws.y_5_bar)  # (32)
    # (33) a_4_bar[n,p,q,i] = (2*(p % 2) + (q % 2) ==
    #     y_5_argmax[n,p//2,q//2,i])*y_5_bar[n,p//2,q//2,i]
    np.multiply(ws.y_5_bar, ws.t_22, out=ws.t_37_from1by2)  # (33)
    np.subtract(ws.y_5_bar, ws.t_37_from1by2, out=ws.t_37_to7by2)  # (33)
    np.multiply(ws.t_37, ws.t_20, out=ws.a_4_bar_from1by2)  # (33)
    np.subtract(ws.t_37, ws.a_4_bar_from1by2, out=ws.a_4_bar_to7by2)  # (33)
    # (34) y_4_bar[n,p,q,i] = where(0 < y_4[n,p,q,i], a_4_bar[n,p,q,i], 0)
    np.less(ws.zero, ws.a_4, out=ws.t_38)  # (34)
    np.multiply(ws.a_4_bar, ws.t_38, out=ws.y_4_bar)  # (34)
    # (35) gamma_4_bar[i] = sum[n,p,q](x_hat_4[n,p,q,i]*y_4_bar[n,p,q,i])
    np.einsum("piqn,piqn->i", ws.x_hat_4, ws.y_4_bar, out=ws.gamma_4_bar)  # (35)
    # (36) beta_4_bar[i] = sum[n,p,q](y_4_bar[n,p,q,i])
    np.dot(ws.y_4_bar_matrix, ws.ones, out=ws.t_39_flat)  # (36)
    np.dot(ws.ones_1, ws.t_39, out=ws.beta_4_bar)  # (36)
    # (37) x_hat_4_bar[n,p,q,i] = y_4_bar[n,p,q,i]*gamma_4[i]
    np.multiply(ws.gamma_4_wide, ws.y_4_bar, out=ws.x_hat_4_bar)  # (37)
    # (38) z_3_bar[n,p,q,i] = (x_hat_4_bar[n,p,q,i] -
    #     mean[n_1,p_1,q_1](x_hat_4_bar[n_1,p_1,q_1,i]) - x_hat_4[n,p,q,i]*mean[n_1,p_1,q_1](
    #     x_hat_4[n_1,p_1,q_1,i]*x_hat_4_bar[n_1,p_1,q_1,i]))/sqrt(0.00001 + var_4[i])
    np.dot(ws.x_hat_4_bar_matrix, ws.ones, out=ws.t_40_flat)  # (38)
    np.dot(ws.ones_1, ws.t_40, out=ws.t_41)  # (38)
    np.divide(ws.t_41, ws.number_64_N, out=ws.t_41)  # (38)
    np.einsum("aibc,aibc->i", ws.x_hat_4, ws.x_hat_4_bar, out=ws.t_42)  # (38)
    np.divide(ws.t_42, ws.number_64_N, out=ws.t_42)  # (38)
    np.multiply(ws.t_42_wide, ws.x_hat_4, out=ws.z_3_bar)  # (38)
    np.subtract(ws.x_hat_4_bar, ws.z_3_bar, out=ws.z_3_bar)  # (38)
    np.subtract(ws.z_3_bar, ws.t_41_wide, out=ws.z_3_bar)  # (38)
    np.divide(ws.z_3_bar, ws.t_19_wide, out=ws.z_3_bar)  # (38)
    # (39) b_3_bar[i] = sum[n,p,q](z_3_bar[n,p,q,i])
    np.dot(ws.z_3_bar_matrix, ws.ones, out=ws.t_43_flat)  # (39)
    np.dot(ws.ones_1, ws.t_43, out=ws.b_3_bar)  # (39)
    # (40) W_3_bar[k,l,j,i] = sum[n,p,q](a_2[n,k+p-1,l+q-1,j]*z_3_bar[n,p,q,i])
    ws.t_44_split[0, :, :16] = 0  # (40)
    np.matmul(ws.t_45_part, ws.t_46_part_T, out=ws.t_44_split_at0_at0_from16)  # (40)
    np.dot(ws.t_45, ws.t_46_T, out=ws.t_44_split_at0_at1_from16)  # (40)
    np.matmul(ws.t_45_part_b, ws.t_46_part_T_b, out=ws.t_44_split_at0_at2_from16)  # (40)
    np.matmul(ws.t_47_part, ws.t_48_part_turned, out=ws.t_44_split_from1to7_at0)  # (40)
    np.matmul(ws.t_47, ws.t_48_turned, out=ws.t_44_split_from1to7_at1)  # (40)
    np.matmul(ws.t_47_part_b, ws.t_48_part_turned_b, out=ws.t_44_split_from1to7_at2)  # (40)
    ws.t_44_split[7, :, 32:] = 0  # (40)
    np.matmul(ws.t_49_part, ws.t_50_part_T, out=ws.t_44_split_at7_at0_to32)  # (40)
    np.dot(ws.t_49, ws.t_50_T, out=ws.t_44_split_at7_at1_to32)  # (40)
    np.matmul(ws.t_49_part_b, ws.t_50_part_T_b, out=ws.t_44_split_at7_at2_to32)  # (40)
    np.dot(ws.ones_1, ws.t_44_matrix, out=ws.t_51_flat)  # (40)
    np.copyto(ws.W_3_bar, ws.t_51_turned)  # (40)
    # (41) a_2_bar[n,p,q,j] = sum[i,k,l](z_3_bar[n,p-k+1,q-l+1,i]*W_3[k,l,j,i])
    np.copyto(ws.t_52, ws.W_3_reversed_reversed_turned)  # (41)
    np.matmul(ws.t_52_matrix_from32, ws.t_54, out=ws.t_53_matrix)  # (41)
    # ws.t_55[j,q,n] = sum[l](ws.t_53[j,l,l + q - 1,n])  # (41)
    np.copyto(ws.t_55, ws.t_53_at1)  # (41)
    np.add(ws.t_55_from1, ws.t_53_at0_to7, out=ws.t_55_from1)  # (41)
    np.add(ws.t_55_to7, ws.t_53_at2_from1, out=ws.t_55_to7)  # (41)
    for t_58, t_59, t_59_from1, t_59_to7 in ws.steps_2:
        # (41) a_2_bar[n,p,q,j] = sum[i,k,l](z_3_bar[n,p-k+1,q-l+1,i]*W_3[k,l,j,i])
        np.matmul(ws.t_52_matrix, t_58, out=ws.t_56_split)  # (41)
        # t_59[row,j,q,n] = sum[l](ws.t_56[row,j,l,l + q - 1,n])  # (41)
        np.copyto(t_59, ws.t_56_at1)  # (41)
        np.add(t_59_from1, ws.t_56_at0_to7, out=t_59_from1)  # (41)
        np.add(t_59_to7, ws.t_56_at2_from1, out=t_59_to7)  # (41)
    np.matmul(ws.t_52_matrix_to64, ws.t_61, out=ws.t_60_matrix)  # (41)
    # ws.t_62[j,q,n] = sum[l](ws.t_60[j,l,l + q - 1,n])  # (41)
    np.copyto(ws.t_62, ws.t_60_at1)  # (41)
    np.add(ws.t_62_from1, ws.t_60_at0_to7, out=ws.t_62_from1)  # (41)
    np.add(ws.t_62_to7, ws.t_60_at2_from1, out=ws.t_62_to7)  # (41)
    # (42) y_2_bar[n,p,q,j] = where(0 < y_2[n,p,q,j], a_2_bar[n,p,q,j], 0)
    np.less(ws.zero, ws.a_2, out=ws.t_63)  # (42)
    np.multiply(ws.a_2_bar, ws.t_63, out=ws.y_2_bar)  # (42)
    # (43) gamma_2_bar[j] = sum[n,p,q](x_hat_2[n,p,q,j]*y_2_bar[n,p,q,j])
    np.einsum("pjqn,pjqn->j", ws.x_hat_2, ws.y_2_bar, out=ws.gamma_2_bar)  # (43)
    # (44) beta_2_bar[j] = sum[n,p,q](y_2_bar[n,p,q,j])
    np.dot(ws.y_2_bar_matrix, ws.ones, out=ws.t_64_flat)  # (44)
    np.dot(ws.ones_1, ws.t_64, out=ws.beta_2_bar)  # (44)
    # (45) x_hat_2_bar[n,p,q,j] = y_2_bar[n,p,q,j]*gamma_2[j]
    np.multiply(ws.gamma_2_wide, ws.y_2_bar, out=ws.x_hat_2_bar)  # (45)
    # (46) z_1_bar[n,p,q,j] = (x_hat_2_bar[n,p,q,j] -
    #     mean[n_1,p_1,q_1](x_hat_2_bar[n_1,p_1,q_1,j]) - x_hat_2[n,p,q,j]*mean[n_1,p_1,q_1](
    #     x_hat_2[n_1,p_1,q_1,j]*x_hat_2_bar[n_1,p_1,q_1,j]))/sqrt(0.00001 + var_2[j])
    np.dot(ws.x_hat_2_bar_matrix, ws.ones, out=ws.t_65_flat)  # (46)
    np.dot(ws.ones_1, ws.t_65, out=ws.t_66)  # (46)
    np.divide(ws.t_66, ws.number_64_N, out=ws.t_66)  # (46)
    np.einsum("ajbc,ajbc->j", ws.x_hat_2, ws.x_hat_2_bar, out=ws.t_67)  # (46)
    np.divide(ws.t_67, ws.number_64_N, out=ws.t_67)  # (46)
    np.multiply(ws.t_67_wide, ws.x_hat_2, out=ws.z_1_bar)  # (46)
    np.subtract(ws.x_hat_2_bar, ws.z_1_bar, out=ws.z_1_bar)  # (46)
    np.subtract(ws.z_1_bar, ws.t_66_wide, out=ws.z_1_bar)  # (46)
    np.divide(ws.z_1_bar, ws.t_5_wide, out=ws.z_1_bar)  # (46)
    # (47) b_1_bar[j] = sum[n,p,q](z_1_bar[n,p,q,j])
    np.dot(ws.z_1_bar_matrix, ws.ones, out=ws.t_68_flat)  # (47)
    np.dot(ws.ones_1, ws.t_68, out=ws.b_1_bar)  # (47)
    # (48) W_1_bar[k,l,c,j] = sum[n,p,q](x[n,k+p-1,l+q-1,c]*z_1_bar[n,p,q,j])
    np.matmul(ws.t_2, ws.z_1_bar_split_turned, out=ws.t_69_split)  # (48)
    np.dot(ws.ones_1, ws.t_69_matrix, out=ws.W_1_bar_flat)  # (48)


def input_arrays(ws):
    """What `input_pass` needs, the array of its result aside."""
    N = len(ws.x)
    dtype = ws.x.dtype
    ws.t_70 = _empty((1, 3, 3, 16), dtype)
    ws.slot_21 = _empty(144*N, dtype)
    ws.t_71 = ws.slot_21[:24*N].reshape(1, 3, 8, N)
    ws.t_74 = ws.slot_21[:144*N].reshape(6, 1, 3, 8, N)
    ws.t_77 = ws.slot_21[:24*N].reshape(1, 3, 8, N)
    ws.t_72 = ws.z_1_bar.reshape(128, 8*N)[:32]  # (49)
    ws.t_73 = ws.x_bar[:, 0]  # (49)
    ws.t_75 = np.lib.stride_tricks.sliding_window_view(  # (49)
        ws.z_1_bar, 3, 0
    ).transpose(0, 4, 1, 2, 3).reshape(6, 48, 8*N)
    ws.t_76 = ws.x_bar[:, 1:7]  # (49)
    ws.t_78 = ws.z_1_bar.reshape(128, 8*N)[96:]  # (49)
    ws.t_79 = ws.x_bar[:, 7]  # (49)
    ws.W_1_reversed_reversed_turned = ws.W_1[::-1, ::-1].transpose(2, 1, 0, 3)  # (49)
    ws.t_70_matrix_from16 = ws.t_70.reshape(3, 48)[:, 16:]  # (49)
    ws.t_71_matrix = ws.t_71.reshape(3, 8*N)  # (49)
    ws.t_71_at1_T = ws.t_71[:, 1].T  # (49)
    ws.t_73_from1 = ws.t_73[:, 1:]  # (49)
    ws.t_71_at0_to7_T = ws.t_71[:, 0, :7].T  # (49)
    ws.t_73_to7 = ws.t_73[:, :7]  # (49)
    ws.t_71_at2_from1_T = ws.t_71[:, 2, 1:].T  # (49)
    ws.t_70_matrix = ws.t_70.reshape(3, 48)  # (49)
    ws.t_74_split = ws.t_74.reshape(6, 3, 8*N)  # (49)
    ws.t_74_at1_turned = ws.t_74[:, :, 1].transpose(3, 0, 2, 1)  # (49)
    ws.t_76_from1 = ws.t_76[:, :, 1:]  # (49)
    ws.t_74_at0_to7_turned = ws.t_74[:, :, 0, :7].transpose(3, 0, 2, 1)  # (49)
    ws.t_76_to7 = ws.t_76[:, :, :7]  # (49)
    ws.t_74_at2_from1_turned = ws.t_74[:, :, 2, 1:].transpose(3, 0, 2, 1)  # (49)
    ws.t_70_matrix_to32 = ws.t_70.reshape(3, 48)[:, :32]  # (49)
    ws.t_77_matrix = ws.t_77.reshape(3, 8*N)  # (49)
    ws.t_77_at1_T = ws.t_77[:, 1].T  # (49)
    ws.t_79_from1 = ws.t_79[:, 1:]  # (49)
    ws.t_77_at0_to7_T = ws.t_77[:, 0, :7].T  # (49)
    ws.t_79_to7 = ws.t_79[:, :7]  # (49)
    ws.t_77_at2_from1_T = ws.t_77[:, 2, 1:].T  # (49)


def input_pass(ws):
    """The cotangent x_bar of the input, after those of the parameters."""
    # (49) x_bar[n,h,v,c] = sum[j,k,l](z_1_bar[n,h-k+1,v-l+1,j]*W_1[k,l,c,j])
    np.copyto(ws.t_70, ws.W_1_reversed_reversed_turned)  # (49)
    np.matmul(ws.t_70_matrix_from16, ws.t_72, out=ws.t_71_matrix)  # (49)
    # ws.t_73[n,v,c] = sum[l](ws.t_71[c,l,l + v - 1,n])  # (49)
    np.copyto(ws.t_73, ws.t_71_at1_T)  # (49)
    np.add(ws.t_73_from1, ws.t_71_at0_to7_T, out=ws.t_73_from1)  # (49)
    np.add(ws.t_73_to7, ws.t_71_at2_from1_T, out=ws.t_73_to7)  # (49)
    np.matmul(ws.t_70_matrix, ws.t_75, out=ws.t_74_split)  # (49)
    # ws.t_76[n,row,v,c] = sum[l](ws.t_74[row,c,l,l + v - 1,n])  # (49)
    np.copyto(ws.t_76, ws.t_74_at1_turned)  # (49)
    np.add(ws.t_76_from1, ws.t_74_at0_to7_turned, out=ws.t_76_from1)  # (49)
    np.add(ws.t_76_to7, ws.t_74_at2_from1_turned, out=ws.t_76_to7)  # (49)
    np.matmul(ws.t_70_matrix_to32, ws.t_78, out=ws.t_77_matrix)  # (49)
    # ws.t_79[n,v,c] = sum[l](ws.t_77[c,l,l + v - 1,n])  # (49)
    np.copyto(ws.t_79, ws.t_77_at1_T)  # (49)
    np.add(ws.t_79_from1, ws.t_77_at0_to7_T, out=ws.t_79_from1)  # (49)
    np.add(ws.t_79_to7, ws.t_77_at2_from1_T, out=ws.t_79_to7)  # (49)


class Inference:
    """The arrays of an answer to N samples; the parameters `p` are only read."""

    def __init__(ws, p, dtype, N):
        ws.dtype = dtype
        ws.W_1 = p["conv2d_1.W"]  # 3 x 3 x 1 x 16
        ws.b_1 = p["conv2d_1.b"]  # 16
        ws.gamma_2 = p["batch_norm_1.gamma"]  # 16
        ws.beta_2 = p["batch_norm_1.beta"]  # 16
        ws.W_3 = p["conv2d_2.W"]  # 3 x 3 x 16 x 32
        ws.b_3 = p["conv2d_2.b"]  # 32
        ws.gamma_4 = p["batch_norm_2.gamma"]  # 32
        ws.beta_4 = p["batch_norm_2.beta"]  # 32
        ws.W_8 = p["dense_1.W"]  # 512 x 10
        ws.b_8 = p["dense_1.b"]  # 10
        ws.running_mean_2 = p["batch_norm_1.running_mean"]  # 16
        ws.running_var_2 = p["batch_norm_1.running_var"]  # 16
        ws.running_mean_4 = p["batch_norm_2.running_mean"]  # 32
        ws.running_var_4 = p["batch_norm_2.running_var"]  # 32
        ws.x_laid = _empty((8, 1, 8, N), dtype)
        ws.x = ws.x_laid.transpose(3, 0, 2, 1)  # N x 8 x 8 x 1
        ws.slot_1 = _empty(1024*N, dtype)
        ws.z_1 = ws.slot_1[:1024*N].reshape(8, 16, 8, N)
        ws.y_2 = ws.slot_1[:1024*N].reshape(8, 16, 8, N)
        ws.a_2 = ws.slot_1[:1024*N].reshape(8, 16, 8, N)
        ws.t_16 = ws.slot_1[:1024*N].reshape(8, 32, 4, N)
        ws.t_17 = ws.slot_1[:512*N].reshape(4, 4, 32, N)
        ws.t_18 = ws.slot_1[512*N:1024*N].reshape(4, 128, N)
        ws.slot_2 = _empty(32, dtype)
        ws.t_3 = ws.slot_2[:16].reshape(16,)
        ws.t_15 = ws.slot_2[:32].reshape(32,)
        ws.slot_3 = _empty(1920*N, dtype)
        ws.t_5 = ws.slot_3[:768*N].reshape(2, 3, 16, 8, N)
        ws.t_8 = ws.slot_3[:1920*N].reshape(5, 3, 16, 8, N)
        ws.t_12 = ws.slot_3[:768*N].reshape(2, 3, 16, 8, N)
        ws.y_5 = ws.slot_3[:512*N].reshape(4, 32, 4, N)
        ws.t_4 = _empty((8, 32, 8, N), dtype)
        ws.z_3 = ws.t_4
        ws.y_4 = ws.t_4
        ws.a_4 = ws.t_4
        ws.z_8 = _empty((10, N), dtype)
        ws.t_1 = np.zeros((10, 3, 1, 8, N), dtype)  # (1)
        ws.t_2 = np.lib.stride_tricks.sliding_window_view(ws.t_1, 3, 0).transpose(  # (1)
            0, 5, 1, 2, 3, 4
        ).reshape(8, 9, 8*N)
        ws.t_6 = ws.a_2[:2]  # (7)
        ws.t_7 = ws.t_4.reshape(8, 32, 8*N)[0]  # (7)
        ws.t_10 = np.lib.stride_tricks.sliding_window_view(ws.t_8, 3, 0).transpose(  # (7)
            0, 5, 1, 2, 3, 4
        ).reshape(3, 144, 8*N)
        ws.t_13 = ws.a_2[6:]  # (7)
        ws.t_14 = ws.t_4.reshape(8, 32, 8*N)[7]  # (7)
        ws.t_1_from1to9_at0_from1 = ws.t_1[1:9, 0, :, 1:]  # (1)
        ws.x_laid_to7 = ws.x_laid[:, :, :7]  # (1)
        ws.t_1_from1to9_at1 = ws.t_1[1:9, 1]  # (1)
        ws.t_1_from1to9_at2_to7 = ws.t_1[1:9, 2, :, :7]  # (1)
        ws.x_laid_from1 = ws.x_laid[:, :, 1:]  # (1)
        ws.W_1_matrix_T = ws.W_1.reshape(9, 16).T  # (1)
        ws.z_1_split = ws.z_1.reshape(8, 16, 8*N)  # (1)
        ws.b_1_wide = ws.b_1[:, None, None]  # (1)
        ws.running_mean_2_wide = ws.running_mean_2[:, None, None]  # (53)
        ws.number_1e_minus_5 = np.array(1e-05, dtype)  # (53)
        ws.gamma_2_wide = ws.gamma_2[:, None, None]  # (53)
        ws.t_3_wide = ws.t_3[:, None, None]  # (53)
        ws.beta_2_wide = ws.beta_2[:, None, None]  # (53)
        ws.zero = np.array(0, dtype)  # (6)
        ws.t_5_at0_from1 = ws.t_5[:, 0, :, 1:]  # (7)
        ws.t_6_to7 = ws.t_6[:, :, :7]  # (7)
        ws.t_5_at1 = ws.t_5[:, 1]  # (7)
        ws.t_5_at2_to7 = ws.t_5[:, 2, :, :7]  # (7)
        ws.t_6_from1 = ws.t_6[:, :, 1:]  # (7)
        ws.W_3_matrix_T_from48 = ws.W_3.reshape(144, 32).T[:, 48:]  # (7)
        ws.t_5_matrix = ws.t_5.reshape(96, 8*N)  # (7)
        ws.t_8_at0_from1 = ws.t_8[:, 0, :, 1:]  # (7)
        ws.t_8_at1 = ws.t_8[:, 1]  # (7)
        ws.t_8_at2_to7 = ws.t_8[:, 2, :, :7]  # (7)
        ws.W_3_matrix_T = ws.W_3.reshape(144, 32).T  # (7)
        ws.steps_1 = [
            (
                ws.a_2[3*_p:5 + 3*_p], ws.a_2[3*_p:5 + 3*_p][:, :, :7],
                ws.a_2[3*_p:5 + 3*_p][:, :, 1:], ws.t_4.reshape(8, 32, 8*N)[1 + 3*_p:4 + 3*_p]
            )
            for _p in range(2)
        ]
        ws.t_12_at0_from1 = ws.t_12[:, 0, :, 1:]  # (7)
        ws.t_13_to7 = ws.t_13[:, :, :7]  # (7)
        ws.t_12_at1 = ws.t_12[:, 1]  # (7)
        ws.t_12_at2_to7 = ws.t_12[:, 2, :, :7]  # (7)
        ws.t_13_from1 = ws.t_13[:, :, 1:]  # (7)
        ws.W_3_matrix_T_to96 = ws.W_3.reshape(144, 32).T[:, :96]  # (7)
        ws.t_12_matrix = ws.t_12.reshape(96, 8*N)  # (7)
        ws.b_3_wide = ws.b_3[:, None, None]  # (7)
        ws.running_mean_4_wide = ws.running_mean_4[:, None, None]  # (54)
        ws.gamma_4_wide = ws.gamma_4[:, None, None]  # (54)
        ws.t_15_wide = ws.t_15[:, None, None]  # (54)
        ws.beta_4_wide = ws.beta_4[:, None, None]  # (54)
        ws.a_4_to7by2 = ws.a_4[:, :, :7:2]  # (14)
        ws.a_4_from1by2 = ws.a_4[:, :, 1::2]  # (14)
        ws.t_16_to7by2 = ws.t_16[:7:2]  # (14)
        ws.t_16_from1by2 = ws.t_16[1::2]  # (14)
        ws.y_5_turned = ws.y_5.transpose(0, 2, 1, 3)  # (16)
        ws.t_17_split = ws.t_17.reshape(4, 128, N)  # (17)
        ws.W_8_T = ws.W_8.T  # (18)
        ws.t_18_matrix = ws.t_18.reshape(512, N)  # (18)
        ws.b_8_column = ws.b_8[:, None]  # (18)


def inference_pass(ws, x):
    """The output z_8 for x, in memory of the workspace."""
    ws.x[...] = x
    # (1) z_1[n,p,q,j] = sum[k,l,c](x[n,k+p-1,l+q-1,c]*W_1[k,l,c,j]) + b_1[j]
    # ws.t_1[p_k,l,c,q,n] = ws.x_laid[p_k - 1,c,l + q - 1,n]  # (1)
    np.copyto(ws.t_1_from1to9_at0_from1, ws.x_laid_to7)  # (1)
    np.copyto(ws.t_1_from1to9_at1, ws.x_laid)  # (1)
    np.copyto(ws.t_1_from1to9_at2_to7, ws.x_laid_from1)  # (1)
    np.matmul(ws.W_1_matrix_T, ws.t_2, out=ws.z_1_split)  # (1)
    np.add(ws.z_1, ws.b_1_wide, out=ws.z_1)  # (1)
    # (53) y_2[n,p,q,j] = (z_1[n,p,q,j] - running_mean_2[j])*gamma_2[j]/sqrt(0.00001 +
    #     running_var_2[j]) + beta_2[j]
    np.subtract(ws.z_1, ws.running_mean_2_wide, out=ws.y_2)  # (53)
    np.add(ws.running_var_2, ws.number_1e_minus_5, out=ws.t_3)  # (53)
    np.sqrt(ws.t_3, out=ws.t_3)  # (53)
    np.multiply(ws.gamma_2_wide, ws.y_2, out=ws.y_2)  # (53)
    np.divide(ws.y_2, ws.t_3_wide, out=ws.y_2)  # (53)
    np.add(ws.y_2, ws.beta_2_wide, out=ws.y_2)  # (53)
    # (6) a_2[n,p,q,j] = where(0 < y_2[n,p,q,j], y_2[n,p,q,j], 0)
    np.maximum(ws.y_2, ws.zero, out=ws.a_2)  # (6)
    # (7) z_3[n,p,q,i] = sum[k,l,j](a_2[n,k+p-1,l+q-1,j]*W_3[k,l,j,i]) + b_3[i]
    ws.t_5[:, 0, :, :1] = 0  # (7)
    ws.t_5[:, 2, :, 7:] = 0  # (7)
    # ws.t_5[h,l,j,q,n] = ws.t_6[h,j,l + q - 1,n]  # (7)
    np.copyto(ws.t_5_at0_from1, ws.t_6_to7)  # (7)
    np.copyto(ws.t_5_at1, ws.t_6)  # (7)
    np.copyto(ws.t_5_at2_to7, ws.t_6_from1)  # (7)
    np.matmul(ws.W_3_matrix_T_from48, ws.t_5_matrix, out=ws.t_7)  # (7)
    ws.t_8[:, 0, :, :1] = 0  # (7)
    ws.t_8[:, 2, :, 7:] = 0  # (7)
    for t_9, t_9_to7, t_9_from1, t_11 in ws.steps_1:
        # (7) z_3[n,p,q,i] = sum[k,l,j](a_2[n,k+p-1,l+q-1,j]*W_3[k,l,j,i]) + b_3[i]
        # ws.t_8[h,l,j,q,n] = t_9[h,j,l + q - 1,n]  # (7)
        np.copyto(ws.t_8_at0_from1, t_9_to7)  # (7)
        np.copyto(ws.t_8_at1, t_9)  # (7)
        np.copyto(ws.t_8_at2_to7, t_9_from1)  # (7)
        np.matmul(ws.W_3_matrix_T, ws.t_10, out=t_11)  # (7)
    ws.t_12[:, 0, :, :1] = 0  # (7)
    ws.t_12[:, 2, :, 7:] = 0  # (7)
    # ws.t_12[h,l,j,q,n] = ws.t_13[h,j,l + q - 1,n]  # (7)
    np.copyto(ws.t_12_at0_from1, ws.t_13_to7)  # (7)
    np.copyto(ws.t_12_at1, ws.t_13)  # (7)
    np.copyto(ws.t_12_at2_to7, ws.t_13_from1)  # (7)
    np.matmul(ws.W_3_matrix_T_to96, ws.t_12_matrix, out=ws.t_14)  # (7)
    np.add(ws.t_4, ws.b_3_wide, out=ws.z_3)  # (7)
    # (54) y_4[n,p,q,i] = (z_3[n,p,q,i] - running_mean_4[i])*gamma_4[i]/sqrt(0.00001 +
    #     running_var_4[i]) + beta_4[i]
    np.subtract(ws.z_3, ws.running_mean_4_wide, out=ws.y_4)  # (54)
    np.add(ws.running_var_4, ws.number_1e_minus_5, out=ws.t_15)  # (54)
    np.sqrt(ws.t_15, out=ws.t_15)  # (54)
    np.multiply(ws.gamma_4_wide, ws.y_4, out=ws.y_4)  # (54)
    np.divide(ws.y_4, ws.t_15_wide, out=ws.y_4)  # (54)
    np.add(ws.y_4, ws.beta_4_wide, out=ws.y_4)  # (54)
    # (12) a_4[n,p,q,i] = where(0 < y_4[n,p,q,i], y_4[n,p,q,i], 0)
    np.maximum(ws.y_4, ws.zero, out=ws.a_4)  # (12)
    # (14) y_5[n,m,r,i] = max[s,u](a_4[n,2*m+s,2*r+u,i])
    np.maximum(ws.a_4_to7by2, ws.a_4_from1by2, out=ws.t_16)  # (14)
    np.maximum(ws.t_16_to7by2, ws.t_16_from1by2, out=ws.y_5)  # (14)
    # (16) u_7[n,m,g] = y_6[n,m,g//32,g%32]
    np.copyto(ws.t_17, ws.y_5_turned)  # (16)
    # (17) v_7[n,f] = u_7[n,f//128,f%128]
    np.copyto(ws.t_18, ws.t_17_split)  # (17)
    # (18) z_8[n,j_1] = sum[f](v_7[n,f]*W_8[f,j_1]) + b_8[j_1]
    np.dot(ws.W_8_T, ws.t_18_matrix, out=ws.z_8)  # (18)
    np.add(ws.z_8, ws.b_8_column, out=ws.z_8)  # (18)
    return ws.z_8.T


def loss_arrays(ws):
    """What `loss_pass` needs."""
    N = len(ws.z_8.T)
    dtype = ws.dtype
    ws.y = _empty(N, np.int64)
    ws.t_19 = _empty((N,), dtype)
    ws.slot_7 = _empty(10*N, dtype)
    ws.t_20 = ws.slot_7[:10*N].reshape(10, N)
    ws.t_22 = ws.slot_7[:N].reshape(N,)
    ws.t_21 = _empty((N,), dtype)
    ws.t_23 = _empty((N,), np.int64)
    ws.ones = np.ones(10, dtype)  # (19)
    ws.n = np.arange(N)  # (21)
    ws.N_integer = np.array(N, np.int64)  # (21)
    ws.z_8_flat = ws.z_8.reshape(-1)  # (21)


def loss_pass(ws):
    """The loss of that output for `ws.y`."""
    N = len(ws.y)
    # (19) l[n] = logsumexp[j_1](z_8[n,j_1])
    np.maximum.reduce(ws.z_8, axis=0, out=ws.t_19)  # (19)
    np.subtract(ws.z_8, ws.t_19, out=ws.t_20)  # (19)
    np.exp(ws.t_20, out=ws.t_20)  # (19)
    np.dot(ws.ones, ws.t_20, out=ws.t_21)  # (19)
    np.log(ws.t_21, out=ws.t_21)  # (19)
    # (21) L = mean[n](l[n] - z_8[n,y[n]])
    np.multiply(ws.y, ws.N_integer, out=ws.t_23)  # (21)
    np.add(ws.n, ws.t_23, out=ws.t_23)  # (21)
    ws.z_8_flat.take(ws.t_23, None, ws.t_22, "clip")  # (21)
    np.subtract(ws.t_22, ws.t_19, out=ws.t_22)  # (21)
    np.subtract(ws.t_21, ws.t_22, out=ws.t_21)  # (21)
    t_24 = np.add.reduce(ws.t_21, axis=None)  # (21)
    L = t_24 / N  # (21)
    return L


class Optimizer:
    """The state of adam, and the flat vectors in tiles."""

    def __init__(ws, w, w_bar, *w_bars):
        ws.learning_rate = 0.001
        ws.t = np.zeros((), np.int64)  # steps made
        ws.m = _zeros(len(w), w.dtype)  # (50) m/0.1
        ws.v = _zeros(len(w), w.dtype)  # (51) v/0.001
        ws.state = {"t": ws.t, "m": ws.m, "v": ws.v}
        ws.units = {"m": 0.1, "v": 0.001}  # what states are divided by
        ws.c_1 = np.array(0.9, w.dtype)  # (50)
        ws.c_2 = np.array(0.999, w.dtype)  # (51)
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
    ws.c_3[()] = 3.162277660168379e-07 * math.sqrt(1 - (0.999 ** t))  # (52)
    ws.c_4[()] = (  # (52)
        (3.1622776601683795 * math.sqrt(1 - (0.999 ** t))) * learning_rate
    ) / (1 - (0.9 ** t))
    for w, g, m, v, parts in ws.tiles:
        for part in parts:
            np.add(g, part, out=g)  # (50)
        # (50) m_next[p] = 0.1*g[p] + 0.9*m[p]
        np.multiply(m, ws.c_1, out=m)  # (50)
        np.add(m, g, out=m)  # (50)
        # (51) v_next[p] = 0.001*g[p]**2 + 0.999*v[p]
        np.square(g, out=g)  # (51)
        np.multiply(v, ws.c_2, out=v)  # (51)
        np.add(g, v, out=v)  # (51)
        # (52) w_next[p] = w[p] - learning_rate*m_next[p]/((1 - (0.9)**t)*(1E-8 +
        #     sqrt(v_next[p]/(1 - (0.999)**t))))
        np.sqrt(v, out=g)  # (52)
        np.add(g, ws.c_3, out=g)  # (52)
        np.divide(m, g, out=g)  # (52)
        np.multiply(g, ws.c_4, out=g)  # (52)
        np.subtract(w, g, out=w)  # (52)


def weighted_loss(z_8, y, sample_weight):
    """The loss with a weight for each sample, and the cotangent of z_8."""
    N = len(z_8)
    # (19) l[n] = logsumexp[j_1](z_8[n,j_1])
    t_1 = np.maximum.reduce(z_8, axis=1)  # (19)
    p = np.subtract(z_8, t_1[:, None])  # (19)
    np.exp(p, out=p)  # (19)
    t_2 = np.add.reduce(p, axis=1)  # (19)
    t_3 = np.log(t_2)  # (19)
    # (20) p[n,j_1] = exp(z_8[n,j_1] - l[n])
    np.divide(p, t_2[:, None], out=p)  # (20)
    # (56) L = mean[n]((l[n] - z_8[n,y[n]])*sample_weight[n])
    n = np.arange(N)  # (56)
    t_4 = z_8[n, y]  # (56)
    np.subtract(t_4, t_1, out=t_4)  # (56)
    np.subtract(t_3, t_4, out=t_3)  # (56)
    t_5 = np.vdot(t_3, sample_weight)  # (56)
    L = t_5 / N  # (56)
    # (57) z_8_bar[n,j_1] = (p[n,j_1] - (j_1 == y[n]))*sample_weight[n]/N
    z_8_bar = p.copy()  # (57)
    z_8_bar[n, y] -= 1  # (57)
    t_6 = np.divide(sample_weight, N)  # (57)
    np.multiply(t_6[:, None], z_8_bar, out=z_8_bar)  # (57)
    return L, z_8_bar


def probabilities(z_8):
    """p_1[n,j_1] = exp(z_8[n,j_1])/sum[k_1](exp(z_8[n,k_1]))"""
    # (58) p_1[n,j_1] = exp(z_8[n,j_1] - logsumexp[k_1](z_8[n,k_1]))
    t_1 = np.maximum.reduce(z_8, axis=1)  # (58)
    p_1 = np.subtract(z_8, t_1[:, None])  # (58)
    np.exp(p_1, out=p_1)  # (58)
    t_2 = np.add.reduce(p_1, axis=1)  # (58)
    np.divide(p_1, t_2[:, None], out=p_1)  # (58)
    return p_1


def labels(z_8):
    """c_1[n] = argmax[j_1](z_8[n,j_1])"""
    # (59) c_1[n] = argmax[j_1](z_8[n,j_1])
    c_1 = np.argmax(z_8, axis=1)  # (59)
    return c_1.astype(np.int64, copy=False)


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
        np.multiply(ws.z_8_bar.T, ws.share, out=ws.z_8_bar.T)
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
        renew(*parts)
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
                        for name, mean in metrics(ws.z_8.T, ws.y).items():
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
