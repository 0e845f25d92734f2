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

A gradient on a batch of 32 takes 62.8 million floating-point operations and moves 25.9 million
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
    """The output z_8 in inference mode."""
    w = _flat(params, ARRAYS)
    x, sizes = _fitting(x, INPUT, {})
    ws = Inference(w, **sizes)
    ws.x[...] = x
    return inference_pass(ws)


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
    ws.x_bar = np.empty_like(ws.x)
    _gradients(ws, x, y, seed)
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
        weight = _weights(sample_weight, len(x)).astype(ws.z_8.dtype)
        value, ws.z_8_bar[...] = weighted_loss(ws.z_8, ws.y, weight)
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
        ws.x = np.empty((N, 8, 8, 1), dtype)
        ws.y = np.empty(N, np.int64)
        ws.drawn = []  # arrays of random numbers, each with its distribution
        ws.u_6 = np.empty((N, 4, 4, 32), dtype)
        ws.drawn.append(("uniform", ws.u_6))  # (15)
        ws.t_1 = np.empty((N, 10, 10, 1), dtype)
        ws.t_37 = ws.t_1
        ws.slot_2 = np.empty(576*N, dtype)
        ws.t_2 = ws.slot_2[:576*N].reshape(N, 8, 8, 3, 3, 1)
        ws.t_36 = ws.slot_2[:576*N].reshape(3, 3, N, 8, 8, 1)
        ws.z_1 = np.empty((N, 8, 8, 16), dtype)
        ws.x_hat_2 = ws.z_1
        ws.z_1_bar = ws.z_1
        ws.mu_2 = np.empty((16,), dtype)
        ws.running_mean_next_2 = ws.mu_2
        ws.slot_5 = np.empty(1024*N, dtype)
        ws.t_3 = ws.slot_5[:1024*N].reshape(16, N, 8, 8)
        ws.y_2 = ws.slot_5[:1024*N].reshape(N, 8, 8, 16)
        ws.a_2 = ws.slot_5[:1024*N].reshape(N, 8, 8, 16)
        ws.y_2_bar = ws.slot_5[:1024*N].reshape(N, 8, 8, 16)
        ws.x_hat_2_bar = ws.slot_5[:1024*N].reshape(N, 8, 8, 16)
        ws.var_2 = np.empty((16,), dtype)
        ws.running_var_next_2 = ws.var_2
        ws.t_4 = np.empty((16,), dtype)
        ws.slot_8 = np.empty(2048*N, dtype)
        ws.t_5 = ws.slot_8[:1600*N].reshape(N, 10, 10, 16)
        ws.z_3 = ws.slot_8[:2048*N].reshape(N, 8, 8, 32)
        ws.x_hat_4 = ws.slot_8[:2048*N].reshape(N, 8, 8, 32)
        ws.z_3_bar = ws.slot_8[:2048*N].reshape(N, 8, 8, 32)
        ws.slot_9 = np.empty(9216*N, dtype)
        ws.t_6 = ws.slot_9[:9216*N].reshape(N, 8, 8, 3, 3, 16)
        ws.t_31 = ws.slot_9[:9216*N].reshape(3, 3, N, 8, 8, 16)
        ws.mu_4 = np.empty((32,), dtype)
        ws.running_mean_next_4 = ws.mu_4
        ws.slot_11 = np.empty(2048*N, dtype)
        ws.t_7 = ws.slot_11[:2048*N].reshape(32, N, 8, 8)
        ws.y_4 = ws.slot_11[:2048*N].reshape(N, 8, 8, 32)
        ws.a_4 = ws.slot_11[:2048*N].reshape(N, 8, 8, 32)
        ws.y_4_bar = ws.slot_11[:2048*N].reshape(N, 8, 8, 32)
        ws.x_hat_4_bar = ws.slot_11[:2048*N].reshape(N, 8, 8, 32)
        ws.var_4 = np.empty((32,), dtype)
        ws.running_var_next_4 = ws.var_4
        ws.t_8 = np.empty((32,), dtype)
        ws.slot_14 = np.empty(2048*N, dtype)
        ws.t_9 = ws.slot_14[:2048*N].reshape(2, 2, N, 4, 4, 32)
        ws.y_5_bar = ws.slot_14[:512*N].reshape(N, 4, 4, 32)
        ws.slot_15 = np.empty(2048*N, dtype)
        ws.y_5 = ws.slot_15[:512*N].reshape(N, 4, 4, 32)
        ws.y_6 = ws.slot_15[:512*N].reshape(N, 4, 4, 32)
        ws.v_7_bar = ws.slot_15[:512*N].reshape(N, 512)
        ws.t_27 = ws.slot_15[:2048*N].reshape(N, 4, 2, 4, 2, 32)
        ws.t_32 = ws.slot_15[:1600*N].reshape(N, 10, 10, 16)
        ws.slot_16 = np.empty(2048*N, bool)
        ws.t_10 = ws.slot_16[:1536*N].reshape(3, N, 4, 4, 32)
        ws.t_11 = ws.slot_16[:512*N].reshape(N, 4, 4, 32)
        ws.t_23 = ws.slot_16[:512*N].reshape(N, 4, 4, 32)
        ws.t_26 = ws.slot_16[:2048*N].reshape(N, 4, 2, 4, 2, 32)
        ws.t_28 = ws.slot_16[:2048*N].reshape(N, 8, 8, 32)
        ws.t_33 = ws.slot_16[:1024*N].reshape(N, 8, 8, 16)
        ws.y_5_argmax = np.empty((N, 4, 4, 32), np.int64)
        ws.z_8 = np.empty((N, 10), dtype)
        ws.t_12 = np.empty((N,), dtype)
        ws.p = np.empty((N, 10), dtype)
        ws.z_8_bar = ws.p
        ws.t_13 = np.empty((N,), dtype)
        ws.t_15 = ws.t_13
        ws.t_14 = np.empty((N,), dtype)
        ws.t_17 = np.empty((N,), np.int64)
        ws.slot_24 = np.empty(32, dtype)
        ws.t_19 = ws.slot_24[:16].reshape(16,)
        ws.t_20 = ws.slot_24[:16].reshape(16,)
        ws.t_21 = ws.slot_24[:32].reshape(32,)
        ws.t_22 = ws.slot_24[:32].reshape(32,)
        ws.t_29 = ws.slot_24[:32].reshape(32,)
        ws.t_35 = ws.slot_24[:16].reshape(16,)
        ws.slot_25 = np.empty(32, dtype)
        ws.t_30 = ws.slot_25[:32].reshape(32,)
        ws.t_34 = ws.slot_25[:16].reshape(16,)
        ws.n = np.arange(N)  # (21)
        ws.t_16 = np.multiply(ws.n, 10)  # (21)
        ws.p_ = np.arange(2)  # (33)
        ws.t_24 = np.multiply(ws.p_, 2)  # (33)
        ws.q_ = np.arange(2)  # (33)
        ws.t_25 = np.add(ws.t_24[:, None], ws.q_)  # (33)


def forward_pass(ws):
    """The loss of the batch in `ws.x` and `ws.y`."""
    N = len(ws.x)
    # (1) z_1[n,p,q,j] = sum[k,l,c](x[n,k+p-1,l+q-1,c]*W_1[k,l,c,j]) + b_1[j]
    ws.t_1.fill(0)  # (1)
    ws.t_1[:, 1:9, 1:9] = ws.x  # (1)
    np.copyto(  # (1)
        ws.t_2,
        np.lib.stride_tricks.sliding_window_view(ws.t_1, (8, 8), (1, 2)).transpose(0, 4, 5, 1, 2,
            3),
    )
    np.matmul(  # (1)
        ws.t_2.reshape(64*N, 9), ws.W_1.reshape(9, 16), out=ws.z_1.reshape(64*N, 16)
    )
    np.add(ws.z_1, ws.b_1, out=ws.z_1)  # (1)
    # (2) mu_2[j] = mean[n,p,q](z_1[n,p,q,j])
    np.add.reduce(ws.z_1, axis=(0, 1, 2), out=ws.mu_2)  # (2)
    np.divide(ws.mu_2, 64*N, out=ws.mu_2)  # (2)
    # (3) var_2[j] = mean[n,p,q]((z_1[n,p,q,j] - mu_2[j])**2)
    np.subtract(ws.z_1.transpose(3, 0, 1, 2), ws.mu_2[:, None, None, None], out=ws.t_3)  # (3)
    np.vecdot(ws.t_3.reshape(16, 64*N), ws.t_3.reshape(16, 64*N), out=ws.var_2)  # (3)
    np.divide(ws.var_2, 64*N, out=ws.var_2)  # (3)
    # (4) x_hat_2[n,p,q,j] = (z_1[n,p,q,j] - mu_2[j])/sqrt(0.00001 + var_2[j])
    np.add(ws.var_2, 1e-05, out=ws.t_4)  # (4)
    np.sqrt(ws.t_4, out=ws.t_4)  # (4)
    np.divide(ws.t_3.transpose(1, 2, 3, 0), ws.t_4, out=ws.x_hat_2)  # (4)
    # (5) y_2[n,p,q,j] = x_hat_2[n,p,q,j]*gamma_2[j] + beta_2[j]
    np.multiply(ws.gamma_2, ws.x_hat_2, out=ws.y_2)  # (5)
    np.add(ws.y_2, ws.beta_2, out=ws.y_2)  # (5)
    # (6) a_2[n,p,q,j] = where(0 < y_2[n,p,q,j], y_2[n,p,q,j], 0)
    np.maximum(ws.y_2, 0, out=ws.a_2)  # (6)
    # (7) z_3[n,p,q,i] = sum[k,l,j](a_2[n,k+p-1,l+q-1,j]*W_3[k,l,j,i]) + b_3[i]
    ws.t_5.fill(0)  # (7)
    ws.t_5[:, 1:9, 1:9] = ws.a_2  # (7)
    np.copyto(  # (7)
        ws.t_6,
        np.lib.stride_tricks.sliding_window_view(ws.t_5, (8, 8), (1, 2)).transpose(0, 4, 5, 1, 2,
            3),
    )
    np.matmul(  # (7)
        ws.t_6.reshape(64*N, 144), ws.W_3.reshape(144, 32), out=ws.z_3.reshape(64*N, 32)
    )
    np.add(ws.z_3, ws.b_3, out=ws.z_3)  # (7)
    # (8) mu_4[i] = mean[n,p,q](z_3[n,p,q,i])
    np.add.reduce(ws.z_3, axis=(0, 1, 2), out=ws.mu_4)  # (8)
    np.divide(ws.mu_4, 64*N, out=ws.mu_4)  # (8)
    # (9) var_4[i] = mean[n,p,q]((z_3[n,p,q,i] - mu_4[i])**2)
    np.subtract(ws.z_3.transpose(3, 0, 1, 2), ws.mu_4[:, None, None, None], out=ws.t_7)  # (9)
    np.vecdot(ws.t_7.reshape(32, 64*N), ws.t_7.reshape(32, 64*N), out=ws.var_4)  # (9)
    np.divide(ws.var_4, 64*N, out=ws.var_4)  # (9)
    # (10) x_hat_4[n,p,q,i] = (z_3[n,p,q,i] - mu_4[i])/sqrt(0.00001 + var_4[i])
    np.add(ws.var_4, 1e-05, out=ws.t_8)  # (10)
    np.sqrt(ws.t_8, out=ws.t_8)  # (10)
    np.divide(ws.t_7.transpose(1, 2, 3, 0), ws.t_8, out=ws.x_hat_4)  # (10)
    # (11) y_4[n,p,q,i] = x_hat_4[n,p,q,i]*gamma_4[i] + beta_4[i]
    np.multiply(ws.gamma_4, ws.x_hat_4, out=ws.y_4)  # (11)
    np.add(ws.y_4, ws.beta_4, out=ws.y_4)  # (11)
    # (12) a_4[n,p,q,i] = where(0 < y_4[n,p,q,i], y_4[n,p,q,i], 0)
    np.maximum(ws.y_4, 0, out=ws.a_4)  # (12)
    # (13) y_5_argmax[n,m,r,i] = argmax[s,u](a_4[n,2*m+s,2*r+u,i])
    np.copyto(ws.t_9, ws.a_4.reshape(N, 4, 2, 4, 2, 32).transpose(2, 4, 0, 1, 3, 5))  # (13)
    np.maximum.reduce(ws.t_9.reshape(4, N, 4, 4, 32), axis=0, out=ws.y_5)  # (13)
    np.not_equal(ws.t_9.reshape(4, N, 4, 4, 32)[:-1], ws.y_5, out=ws.t_10)  # (13)
    for _k in range(2):  # (13)
        np.logical_and(ws.t_10[_k], ws.t_10[_k + 1], out=ws.t_10[_k + 1])  # (13)
    np.add.reduce(ws.t_10, axis=0, out=ws.y_5_argmax)  # (13)
    # (15) y_6[n,m,r,i] = where(u_6[n,m,r,i] < 0.4, 0, 5*y_5[n,m,r,i]/3)
    np.less(ws.u_6, 0.4, out=ws.t_11)  # (15)
    np.multiply(ws.y_5, 1.6666666666666667, out=ws.y_6)  # (15)
    np.logical_not(ws.t_11, out=ws.t_11)  # (15)
    np.multiply(ws.y_6, ws.t_11, out=ws.y_6)  # (15)
    # (18) z_8[n,j_1] = sum[f](v_7[n,f]*W_8[f,j_1]) + b_8[j_1]
    np.matmul(ws.y_6.reshape(N, 512), ws.W_8, out=ws.z_8)  # (18)
    np.add(ws.z_8, ws.b_8, out=ws.z_8)  # (18)
    # (19) l[n] = logsumexp[j_1](z_8[n,j_1])
    np.maximum.reduce(ws.z_8, axis=1, out=ws.t_12)  # (19)
    np.subtract(ws.z_8, ws.t_12[:, None], out=ws.p)  # (19)
    np.exp(ws.p, out=ws.p)  # (19)
    np.add.reduce(ws.p, axis=1, out=ws.t_13)  # (19)
    np.log(ws.t_13, out=ws.t_14)  # (19)
    # (20) p[n,j_1] = exp(z_8[n,j_1] - l[n])
    np.divide(ws.p, ws.t_13[:, None], out=ws.p)  # (20)
    # (21) L = mean[n](l[n] - z_8[n,y[n]])
    np.add(ws.t_16, ws.y, out=ws.t_17)  # (21)
    ws.z_8.reshape(-1).take(ws.t_17, None, ws.t_15, "clip")  # (21)
    np.subtract(ws.t_15, ws.t_12, out=ws.t_15)  # (21)
    np.subtract(ws.t_14, ws.t_15, out=ws.t_14)  # (21)
    t_18 = np.add.reduce(ws.t_14, axis=None)  # (21)
    L = t_18 / N  # (21)
    return L


def renew(ws):
    """The next values of the states."""
    # (22) running_mean_next_2[j] = 0.1*mu_2[j] + 0.9*running_mean_2[j]
    np.divide(ws.mu_2, 10, out=ws.running_mean_next_2)  # (22)
    np.multiply(ws.running_mean_2, 0.9, out=ws.t_19)  # (22)
    np.add(ws.running_mean_next_2, ws.t_19, out=ws.running_mean_next_2)  # (22)
    # (23) running_var_next_2[j] = 0.1*var_2[j] + 0.9*running_var_2[j]
    np.divide(ws.var_2, 10, out=ws.running_var_next_2)  # (23)
    np.multiply(ws.running_var_2, 0.9, out=ws.t_20)  # (23)
    np.add(ws.running_var_next_2, ws.t_20, out=ws.running_var_next_2)  # (23)
    # (24) running_mean_next_4[i] = 0.1*mu_4[i] + 0.9*running_mean_4[i]
    np.divide(ws.mu_4, 10, out=ws.running_mean_next_4)  # (24)
    np.multiply(ws.running_mean_4, 0.9, out=ws.t_21)  # (24)
    np.add(ws.running_mean_next_4, ws.t_21, out=ws.running_mean_next_4)  # (24)
    # (25) running_var_next_4[i] = 0.1*var_4[i] + 0.9*running_var_4[i]
    np.divide(ws.var_4, 10, out=ws.running_var_next_4)  # (25)
    np.multiply(ws.running_var_4, 0.9, out=ws.t_22)  # (25)
    np.add(ws.running_var_next_4, ws.t_22, out=ws.running_var_next_4)  # (25)
    np.copyto(ws.running_mean_2, ws.running_mean_next_2)  # (22)
    np.copyto(ws.running_var_2, ws.running_var_next_2)  # (23)
    np.copyto(ws.running_mean_4, ws.running_mean_next_4)  # (24)
    np.copyto(ws.running_var_4, ws.running_var_next_4)  # (25)


def loss_backward(ws):
    """The cotangent z_8_bar of the output."""
    N = len(ws.x)
    # (26) z_8_bar[n,j_1] = (p[n,j_1] - (j_1 == y[n]))/N
    ws.z_8_bar.reshape(-1)[ws.t_17] -= 1  # (26)
    np.divide(ws.z_8_bar, N, out=ws.z_8_bar)  # (26)


def backward_pass(ws):
    """The cotangents of all parameters, from z_8_bar."""
    N = len(ws.x)
    # (27) b_8_bar[j_1] = sum[n](z_8_bar[n,j_1])
    np.add.reduce(ws.z_8_bar, axis=0, out=ws.b_8_bar)  # (27)
    # (28) W_8_bar[f,j_1] = sum[n](v_7[n,f]*z_8_bar[n,j_1])
    np.matmul(ws.y_6.reshape(N, 512).T, ws.z_8_bar, out=ws.W_8_bar)  # (28)
    # (29) v_7_bar[n,f] = sum[j_1](z_8_bar[n,j_1]*W_8[f,j_1])
    np.matmul(ws.z_8_bar, ws.W_8.T, out=ws.v_7_bar)  # (29)
    # (32) y_5_bar[n,m,r,i] = where(0.4 <= u_6[n,m,r,i], 5*y_6_bar[n,m,r,i]/3, 0)
    np.less_equal(0.4, ws.u_6, out=ws.t_23)  # (32)
    np.multiply(ws.v_7_bar.reshape(N, 4, 4, 32), 1.6666666666666667, out=ws.y_5_bar)  # (32)
    np.multiply(ws.y_5_bar, ws.t_23, out=ws.y_5_bar)  # (32)
    # (33) a_4_bar[n,p,q,i] = (2*(p % 2) + (q % 2) ==
    #     y_5_argmax[n,p//2,q//2,i])*y_5_bar[n,p//2,q//2,i]
    np.equal(ws.t_25[:, None, :, None], ws.y_5_argmax[:, :, None, :, None], out=ws.t_26)  # (33)
    np.multiply(ws.y_5_bar[:, :, None, :, None], ws.t_26, out=ws.t_27)  # (33)
    # (34) y_4_bar[n,p,q,i] = where(0 < y_4[n,p,q,i], a_4_bar[n,p,q,i], 0)
    np.less(0, ws.a_4, out=ws.t_28)  # (34)
    np.multiply(ws.t_27.reshape(N, 8, 8, 32), ws.t_28, out=ws.y_4_bar)  # (34)
    # (35) gamma_4_bar[i] = sum[n,p,q](x_hat_4[n,p,q,i]*y_4_bar[n,p,q,i])
    np.einsum("npqi,npqi->i", ws.x_hat_4, ws.y_4_bar, out=ws.gamma_4_bar)  # (35)
    # (36) beta_4_bar[i] = sum[n,p,q](y_4_bar[n,p,q,i])
    np.add.reduce(ws.y_4_bar, axis=(0, 1, 2), out=ws.beta_4_bar)  # (36)
    # (37) x_hat_4_bar[n,p,q,i] = y_4_bar[n,p,q,i]*gamma_4[i]
    np.multiply(ws.gamma_4, ws.y_4_bar, out=ws.x_hat_4_bar)  # (37)
    # (38) z_3_bar[n,p,q,i] = (x_hat_4_bar[n,p,q,i] -
    #     mean[n_1,p_1,q_1](x_hat_4_bar[n_1,p_1,q_1,i]) - x_hat_4[n,p,q,i]*mean[n_1,p_1,q_1](
    #     x_hat_4[n_1,p_1,q_1,i]*x_hat_4_bar[n_1,p_1,q_1,i]))/sqrt(0.00001 + var_4[i])
    np.add.reduce(ws.x_hat_4_bar, axis=(0, 1, 2), out=ws.t_29)  # (38)
    np.divide(ws.t_29, 64*N, out=ws.t_29)  # (38)
    np.einsum("abci,abci->i", ws.x_hat_4, ws.x_hat_4_bar, out=ws.t_30)  # (38)
    np.divide(ws.t_30, 64*N, out=ws.t_30)  # (38)
    np.multiply(ws.t_30, ws.x_hat_4, out=ws.z_3_bar)  # (38)
    np.subtract(ws.x_hat_4_bar, ws.z_3_bar, out=ws.z_3_bar)  # (38)
    np.subtract(ws.z_3_bar, ws.t_29, out=ws.z_3_bar)  # (38)
    np.divide(ws.z_3_bar, ws.t_8, out=ws.z_3_bar)  # (38)
    # (39) b_3_bar[i] = sum[n,p,q](z_3_bar[n,p,q,i])
    np.add.reduce(ws.z_3_bar, axis=(0, 1, 2), out=ws.b_3_bar)  # (39)
    # (40) W_3_bar[k,l,j,i] = sum[n,p,q](a_2[n,k+p-1,l+q-1,j]*z_3_bar[n,p,q,i])
    np.matmul(  # (40)
        ws.t_6.reshape(64*N, 144).T,
        ws.z_3_bar.reshape(64*N, 32),
        out=ws.W_3_bar.reshape(144, 32),
    )
    # (41) a_2_bar[n,p,q,j] = sum[i,k,l](z_3_bar[n,p-k+1,q-l+1,i]*W_3[k,l,j,i])
    np.matmul(  # (41)
        ws.z_3_bar.reshape(64*N, 32),
        ws.W_3.transpose(0, 1, 3, 2),
        out=ws.t_31.reshape(3, 3, 64*N, 16),
    )
    ws.t_32.fill(0)  # (41)
    for _k in range(3):  # (41)
        for _l in range(3):  # (41)
            ws.t_32[:, _k:8 + _k, _l:8 + _l] += ws.t_31[_k, _l]  # (41)
    # (42) y_2_bar[n,p,q,j] = where(0 < y_2[n,p,q,j], a_2_bar[n,p,q,j], 0)
    np.less(0, ws.a_2, out=ws.t_33)  # (42)
    np.multiply(ws.t_32[:, 1:9, 1:9], ws.t_33, out=ws.y_2_bar)  # (42)
    # (43) gamma_2_bar[j] = sum[n,p,q](x_hat_2[n,p,q,j]*y_2_bar[n,p,q,j])
    np.einsum("npqj,npqj->j", ws.x_hat_2, ws.y_2_bar, out=ws.gamma_2_bar)  # (43)
    # (44) beta_2_bar[j] = sum[n,p,q](y_2_bar[n,p,q,j])
    np.add.reduce(ws.y_2_bar, axis=(0, 1, 2), out=ws.beta_2_bar)  # (44)
    # (45) x_hat_2_bar[n,p,q,j] = y_2_bar[n,p,q,j]*gamma_2[j]
    np.multiply(ws.gamma_2, ws.y_2_bar, out=ws.x_hat_2_bar)  # (45)
    # (46) z_1_bar[n,p,q,j] = (x_hat_2_bar[n,p,q,j] -
    #     mean[n_1,p_1,q_1](x_hat_2_bar[n_1,p_1,q_1,j]) - x_hat_2[n,p,q,j]*mean[n_1,p_1,q_1](
    #     x_hat_2[n_1,p_1,q_1,j]*x_hat_2_bar[n_1,p_1,q_1,j]))/sqrt(0.00001 + var_2[j])
    np.add.reduce(ws.x_hat_2_bar, axis=(0, 1, 2), out=ws.t_34)  # (46)
    np.divide(ws.t_34, 64*N, out=ws.t_34)  # (46)
    np.einsum("abcj,abcj->j", ws.x_hat_2, ws.x_hat_2_bar, out=ws.t_35)  # (46)
    np.divide(ws.t_35, 64*N, out=ws.t_35)  # (46)
    np.multiply(ws.t_35, ws.x_hat_2, out=ws.z_1_bar)  # (46)
    np.subtract(ws.x_hat_2_bar, ws.z_1_bar, out=ws.z_1_bar)  # (46)
    np.subtract(ws.z_1_bar, ws.t_34, out=ws.z_1_bar)  # (46)
    np.divide(ws.z_1_bar, ws.t_4, out=ws.z_1_bar)  # (46)
    # (47) b_1_bar[j] = sum[n,p,q](z_1_bar[n,p,q,j])
    np.add.reduce(ws.z_1_bar, axis=(0, 1, 2), out=ws.b_1_bar)  # (47)
    # (48) W_1_bar[k,l,c,j] = sum[n,p,q](x[n,k+p-1,l+q-1,c]*z_1_bar[n,p,q,j])
    np.matmul(  # (48)
        ws.t_2.reshape(64*N, 9).T,
        ws.z_1_bar.reshape(64*N, 16),
        out=ws.W_1_bar.reshape(9, 16),
    )


def input_pass(ws):
    """The cotangent x_bar of the input, after those of the parameters."""
    N = len(ws.x)
    # (49) x_bar[n,h,v,c] = sum[j,k,l](z_1_bar[n,h-k+1,v-l+1,j]*W_1[k,l,c,j])
    np.matmul(  # (49)
        ws.z_1_bar.reshape(64*N, 16),
        ws.W_1.transpose(0, 1, 3, 2),
        out=ws.t_36.reshape(3, 3, 64*N, 1),
    )
    ws.t_37.fill(0)  # (49)
    for _k in range(3):  # (49)
        for _l in range(3):  # (49)
            ws.t_37[:, _k:8 + _k, _l:8 + _l] += ws.t_36[_k, _l]  # (49)
    np.copyto(ws.x_bar, ws.t_37[:, 1:9, 1:9])  # (49)


class Inference:
    """The arrays of an answer to N samples; parameters are views into the flat `w`."""

    def __init__(ws, w, N):
        p, dtype = _views(w, ARRAYS), w.dtype
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
        ws.x = np.empty((N, 8, 8, 1), dtype)
        ws.y = np.empty(N, np.int64)
        ws.t_1 = np.empty((N, 10, 10, 1), dtype)
        ws.slot_2 = np.empty(2048*N, dtype)
        ws.t_2 = ws.slot_2[:576*N].reshape(N, 8, 8, 3, 3, 1)
        ws.t_4 = ws.slot_2[:1600*N].reshape(N, 10, 10, 16)
        ws.z_3 = ws.slot_2[:2048*N].reshape(N, 8, 8, 32)
        ws.y_4 = ws.slot_2[:2048*N].reshape(N, 8, 8, 32)
        ws.a_4 = ws.slot_2[:2048*N].reshape(N, 8, 8, 32)
        ws.y_5 = ws.slot_2[:512*N].reshape(N, 4, 4, 32)
        ws.slot_3 = np.empty(2048*N, dtype)
        ws.z_1 = ws.slot_3[:1024*N].reshape(N, 8, 8, 16)
        ws.y_2 = ws.slot_3[:1024*N].reshape(N, 8, 8, 16)
        ws.a_2 = ws.slot_3[:1024*N].reshape(N, 8, 8, 16)
        ws.t_7 = ws.slot_3[:2048*N].reshape(2, 2, N, 4, 4, 32)
        ws.slot_4 = np.empty(32, dtype)
        ws.t_3 = ws.slot_4[:16].reshape(16,)
        ws.t_6 = ws.slot_4[:32].reshape(32,)
        ws.t_5 = np.empty((N, 8, 8, 3, 3, 16), dtype)
        ws.z_8 = np.empty((N, 10), dtype)
        ws.t_8 = np.empty((N,), dtype)
        ws.t_9 = np.empty((N, 10), dtype)
        ws.t_10 = np.empty((N,), dtype)
        ws.t_13 = np.empty((N,), np.int64)
        ws.t_11 = np.empty((N,), dtype)
        ws.n = np.arange(N)  # (21)
        ws.t_12 = np.multiply(ws.n, 10)  # (21)


def inference_pass(ws):
    """The output z_8 for `ws.x`."""
    N = len(ws.x)
    # (1) z_1[n,p,q,j] = sum[k,l,c](x[n,k+p-1,l+q-1,c]*W_1[k,l,c,j]) + b_1[j]
    ws.t_1.fill(0)  # (1)
    ws.t_1[:, 1:9, 1:9] = ws.x  # (1)
    np.copyto(  # (1)
        ws.t_2,
        np.lib.stride_tricks.sliding_window_view(ws.t_1, (8, 8), (1, 2)).transpose(0, 4, 5, 1, 2,
            3),
    )
    np.matmul(  # (1)
        ws.t_2.reshape(64*N, 9), ws.W_1.reshape(9, 16), out=ws.z_1.reshape(64*N, 16)
    )
    np.add(ws.z_1, ws.b_1, out=ws.z_1)  # (1)
    # (53) y_2[n,p,q,j] = (z_1[n,p,q,j] - running_mean_2[j])*gamma_2[j]/sqrt(0.00001 +
    #     running_var_2[j]) + beta_2[j]
    np.subtract(ws.z_1, ws.running_mean_2, out=ws.y_2)  # (53)
    np.add(ws.running_var_2, 1e-05, out=ws.t_3)  # (53)
    np.sqrt(ws.t_3, out=ws.t_3)  # (53)
    np.multiply(ws.gamma_2, ws.y_2, out=ws.y_2)  # (53)
    np.divide(ws.y_2, ws.t_3, out=ws.y_2)  # (53)
    np.add(ws.y_2, ws.beta_2, out=ws.y_2)  # (53)
    # (6) a_2[n,p,q,j] = where(0 < y_2[n,p,q,j], y_2[n,p,q,j], 0)
    np.maximum(ws.y_2, 0, out=ws.a_2)  # (6)
    # (7) z_3[n,p,q,i] = sum[k,l,j](a_2[n,k+p-1,l+q-1,j]*W_3[k,l,j,i]) + b_3[i]
    ws.t_4.fill(0)  # (7)
    ws.t_4[:, 1:9, 1:9] = ws.a_2  # (7)
    np.copyto(  # (7)
        ws.t_5,
        np.lib.stride_tricks.sliding_window_view(ws.t_4, (8, 8), (1, 2)).transpose(0, 4, 5, 1, 2,
            3),
    )
    np.matmul(  # (7)
        ws.t_5.reshape(64*N, 144), ws.W_3.reshape(144, 32), out=ws.z_3.reshape(64*N, 32)
    )
    np.add(ws.z_3, ws.b_3, out=ws.z_3)  # (7)
    # (54) y_4[n,p,q,i] = (z_3[n,p,q,i] - running_mean_4[i])*gamma_4[i]/sqrt(0.00001 +
    #     running_var_4[i]) + beta_4[i]
    np.subtract(ws.z_3, ws.running_mean_4, out=ws.y_4)  # (54)
    np.add(ws.running_var_4, 1e-05, out=ws.t_6)  # (54)
    np.sqrt(ws.t_6, out=ws.t_6)  # (54)
    np.multiply(ws.gamma_4, ws.y_4, out=ws.y_4)  # (54)
    np.divide(ws.y_4, ws.t_6, out=ws.y_4)  # (54)
    np.add(ws.y_4, ws.beta_4, out=ws.y_4)  # (54)
    # (12) a_4[n,p,q,i] = where(0 < y_4[n,p,q,i], y_4[n,p,q,i], 0)
    np.maximum(ws.y_4, 0, out=ws.a_4)  # (12)
    # (14) y_5[n,m,r,i] = max[s,u](a_4[n,2*m+s,2*r+u,i])
    np.copyto(ws.t_7, ws.a_4.reshape(N, 4, 2, 4, 2, 32).transpose(2, 4, 0, 1, 3, 5))  # (14)
    np.maximum.reduce(ws.t_7.reshape(4, N, 4, 4, 32), axis=0, out=ws.y_5)  # (14)
    # (18) z_8[n,j_1] = sum[f](v_7[n,f]*W_8[f,j_1]) + b_8[j_1]
    np.matmul(ws.y_5.reshape(N, 512), ws.W_8, out=ws.z_8)  # (18)
    np.add(ws.z_8, ws.b_8, out=ws.z_8)  # (18)
    return ws.z_8


def loss_pass(ws):
    """The loss of that output for `ws.y`."""
    N = len(ws.x)
    # (19) l[n] = logsumexp[j_1](z_8[n,j_1])
    np.maximum.reduce(ws.z_8, axis=1, out=ws.t_8)  # (19)
    np.subtract(ws.z_8, ws.t_8[:, None], out=ws.t_9)  # (19)
    np.exp(ws.t_9, out=ws.t_9)  # (19)
    np.add.reduce(ws.t_9, axis=1, out=ws.t_10)  # (19)
    np.log(ws.t_10, out=ws.t_10)  # (19)
    # (21) L = mean[n](l[n] - z_8[n,y[n]])
    np.add(ws.t_12, ws.y, out=ws.t_13)  # (21)
    ws.z_8.reshape(-1).take(ws.t_13, None, ws.t_11, "clip")  # (21)
    np.subtract(ws.t_11, ws.t_8, out=ws.t_11)  # (21)
    np.subtract(ws.t_10, ws.t_11, out=ws.t_10)  # (21)
    t_14 = np.add.reduce(ws.t_10, axis=None)  # (21)
    L = t_14 / N  # (21)
    return L


class Optimizer:
    """The state of adam, and the flat vectors in tiles."""

    def __init__(ws, w, w_bar):
        ws.learning_rate, ws.g = 0.001, w_bar
        ws.t = np.zeros((), np.int64)  # steps made
        ws.m = np.zeros_like(w)  # (50)
        ws.v = np.zeros_like(w)  # (51)
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
        # (50) m_next[p] = 0.1*g[p] + 0.9*m[p]
        np.multiply(m, 0.9, out=m)  # (50)
        np.multiply(g, 0.1, out=slot_1)  # (50)
        np.add(m, slot_1, out=m)  # (50)
        # (51) v_next[p] = 0.001*g[p]**2 + 0.999*v[p]
        np.square(g, out=slot_1)  # (51)
        np.multiply(slot_1, 0.001, out=slot_1)  # (51)
        np.multiply(v, 0.999, out=v)  # (51)
        np.add(slot_1, v, out=v)  # (51)
        # (52) w_next[p] = w[p] - learning_rate*m_next[p]/((1 - (0.9)**t)*(1E-8 +
        #     sqrt(v_next[p]/(1 - (0.999)**t))))
        np.divide(v, 1 - (0.999 ** t), out=slot_1)  # (52)
        np.sqrt(slot_1, out=slot_1)  # (52)
        np.add(slot_1, 1e-08, out=slot_1)  # (52)
        np.multiply(m, learning_rate / (1 - (0.9 ** t)), out=slot_2)  # (52)
        np.divide(slot_2, slot_1, out=slot_2)  # (52)
        np.subtract(w, slot_2, out=w)  # (52)


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
        renew(ws)
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
                measured = {"loss": value, **metrics(ws.z_8, ws.y)}
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
