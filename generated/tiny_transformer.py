"""A small transformer that continues text character by character

    input                          x     N x 64
    embedding_1                    y_1   N x 64 x 64   4,096 parameters
    positional_embedding_1         y_2   N x 64 x 64   4,096 parameters
    transformer_block_1.norm_1     y_3   N x 64 x 64   128 parameters
    transformer_block_1.attention  y_4   N x 64 x 64   16,640 parameters
    transformer_block_1.sum_1      y_5   N x 64 x 64
    transformer_block_1.norm_2     y_6   N x 64 x 64   128 parameters
    transformer_block_1.hidden     z_7   N x 64 x 256  16,640 parameters
    transformer_block_1.gelu_1     a_7   N x 64 x 256
    transformer_block_1.dense      z_8   N x 64 x 64   16,448 parameters
    transformer_block_1.sum_2      y_9   N x 64 x 64
    transformer_block_2.norm_1     y_10  N x 64 x 64   128 parameters
    transformer_block_2.attention  y_11  N x 64 x 64   16,640 parameters
    transformer_block_2.sum_1      y_12  N x 64 x 64
    transformer_block_2.norm_2     y_13  N x 64 x 64   128 parameters
    transformer_block_2.hidden     z_14  N x 64 x 256  16,640 parameters
    transformer_block_2.gelu_1     a_14  N x 64 x 256
    transformer_block_2.dense      z_15  N x 64 x 64   16,448 parameters
    transformer_block_2.sum_2      y_16  N x 64 x 64
    layer_norm_1                   y_17  N x 64 x 64   128 parameters
    dense_1                        z_18  N x 64 x 64   4,160 parameters

112,448 parameters, float32. Loss: softmax_cross_entropy. Optimizer: adam, learning_rate = 0.001,
gradient_clip_norm = 1.

Generated from tiny_transformer.toml by `derive generate`; change the spec and generate it again,
never this file. It needs NumPy only.

A number such as (7) in a comment is that of the equation which the line computes a part of:
tiny_transformer.html and tiny_transformer.tex derive it under this number, and `derive explain`
tells what stands behind a line.

    (1) to (57)     the forward pass and the loss
    (58) to (127)   the cotangents
    (128) to (132)  a step of adam
    (133) to (134)  the loss with a weight for each sample
    (135)           labels
    (136) to (174)  the gradient of each sample
    (175) to (179)  initial values

`W_bar` is the cotangent of `W`, the derivative of the loss by it. N is the number of samples in a
batch; the axes of an array are the indices that its equation has, in order. `w` and `w_bar` hold
all parameters and their cotangents one after the other, element p.

A gradient on a batch of 32 takes 1.58 billion floating-point operations and moves 261 million
bytes.

A training step on a batch of 32, shared by 2 threads, works in 22,192,912 bytes of memory, which
it uses again at every step, beside 449,792 bytes of parameters, 899,584 of their cotangents and
899,584 of the state of adam.
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

NAME = "tiny_transformer"
DTYPE = np.float32
PARAMETERS = {  # public name: shape
    "embedding_1.E": (64, 64),
    "positional_embedding_1.P": (64, 64),
    "transformer_block_1.gamma_1": (64,),
    "transformer_block_1.beta_1": (64,),
    "transformer_block_1.W_q": (64, 4, 16),
    "transformer_block_1.W_k": (64, 4, 16),
    "transformer_block_1.W_v": (64, 4, 16),
    "transformer_block_1.b_q": (4, 16),
    "transformer_block_1.b_k": (4, 16),
    "transformer_block_1.b_v": (4, 16),
    "transformer_block_1.W_o": (4, 16, 64),
    "transformer_block_1.b_o": (64,),
    "transformer_block_1.gamma_2": (64,),
    "transformer_block_1.beta_2": (64,),
    "transformer_block_1.W_1": (64, 256),
    "transformer_block_1.b_1": (256,),
    "transformer_block_1.W_2": (256, 64),
    "transformer_block_1.b_2": (64,),
    "transformer_block_2.gamma_1": (64,),
    "transformer_block_2.beta_1": (64,),
    "transformer_block_2.W_q": (64, 4, 16),
    "transformer_block_2.W_k": (64, 4, 16),
    "transformer_block_2.W_v": (64, 4, 16),
    "transformer_block_2.b_q": (4, 16),
    "transformer_block_2.b_k": (4, 16),
    "transformer_block_2.b_v": (4, 16),
    "transformer_block_2.W_o": (4, 16, 64),
    "transformer_block_2.b_o": (64,),
    "transformer_block_2.gamma_2": (64,),
    "transformer_block_2.beta_2": (64,),
    "transformer_block_2.W_1": (64, 256),
    "transformer_block_2.b_1": (256,),
    "transformer_block_2.W_2": (256, 64),
    "transformer_block_2.b_2": (64,),
    "layer_norm_1.gamma": (64,),
    "layer_norm_1.beta": (64,),
    "dense_1.W": (64, 64),
    "dense_1.b": (64,),
}
STATES = {}
ARRAYS = {**PARAMETERS, **STATES}  # all that `params` holds
SIZE = sum(math.prod(shape) for shape in PARAMETERS.values())  # 112,448
TILE = 32768  # elements of an array that stay in the cache while they are worked on
THREADS = 2  # threads that share a batch in training, where nothing else is said
NOT_SHARED = ""
ANSWERED = 16  # samples that are answered at once, more in turn; None: all
MEASURED = 16  # and those whose loss is computed at once
ANSWERING = 2  # threads that share an answer in turn
KEPT = 1024  # samples; arrays for as many are kept for the next answer
INPUT = {"name": "x", "axes": ("N", 64), "below": 64}
TARGET = {"name": "y", "axes": ("N", 64), "below": 64}


def init(seed=0):
    """Fresh parameters, {public name: array}; `seed` may be a `numpy.random.Generator`."""
    draw = np.random.default_rng(seed)
    params = _views(np.zeros(sum(map(math.prod, ARRAYS.values())), DTYPE), ARRAYS)
    params["embedding_1.E"][...] = draw.normal(size=(64, 64))  # (175)
    params["positional_embedding_1.P"][...] = 0.02*draw.normal(size=(64, 64))  # (176)
    params["transformer_block_1.gamma_1"][...] = 1  # (177)
    params["transformer_block_1.beta_1"][...] = 0  # (178)
    params["transformer_block_1.W_q"][...] = (  # (179)
        0.4330127018922193*draw.random((64, 4, 16)) - 0.21650635094610965
    )
    params["transformer_block_1.W_k"][...] = (  # (179)
        0.4330127018922193*draw.random((64, 4, 16)) - 0.21650635094610965
    )
    params["transformer_block_1.W_v"][...] = (  # (179)
        0.4330127018922193*draw.random((64, 4, 16)) - 0.21650635094610965
    )
    params["transformer_block_1.b_q"][...] = 0  # (178)
    params["transformer_block_1.b_k"][...] = 0  # (178)
    params["transformer_block_1.b_v"][...] = 0  # (178)
    params["transformer_block_1.W_o"][...] = (  # (179)
        0.4330127018922193*draw.random((4, 16, 64)) - 0.21650635094610965
    )
    params["transformer_block_1.b_o"][...] = 0  # (178)
    params["transformer_block_1.gamma_2"][...] = 1  # (177)
    params["transformer_block_1.beta_2"][...] = 0  # (178)
    params["transformer_block_1.W_1"][...] = (  # (179)
        0.27386127875258304*draw.random((64, 256)) - 0.13693063937629152
    )
    params["transformer_block_1.b_1"][...] = 0  # (178)
    params["transformer_block_1.W_2"][...] = (  # (179)
        0.27386127875258304*draw.random((256, 64)) - 0.13693063937629152
    )
    params["transformer_block_1.b_2"][...] = 0  # (178)
    params["transformer_block_2.gamma_1"][...] = 1  # (177)
    params["transformer_block_2.beta_1"][...] = 0  # (178)
    params["transformer_block_2.W_q"][...] = (  # (179)
        0.4330127018922193*draw.random((64, 4, 16)) - 0.21650635094610965
    )
    params["transformer_block_2.W_k"][...] = (  # (179)
        0.4330127018922193*draw.random((64, 4, 16)) - 0.21650635094610965
    )
    params["transformer_block_2.W_v"][...] = (  # (179)
        0.4330127018922193*draw.random((64, 4, 16)) - 0.21650635094610965
    )
    params["transformer_block_2.b_q"][...] = 0  # (178)
    params["transformer_block_2.b_k"][...] = 0  # (178)
    params["transformer_block_2.b_v"][...] = 0  # (178)
    params["transformer_block_2.W_o"][...] = (  # (179)
        0.4330127018922193*draw.random((4, 16, 64)) - 0.21650635094610965
    )
    params["transformer_block_2.b_o"][...] = 0  # (178)
    params["transformer_block_2.gamma_2"][...] = 1  # (177)
    params["transformer_block_2.beta_2"][...] = 0  # (178)
    params["transformer_block_2.W_1"][...] = (  # (179)
        0.27386127875258304*draw.random((64, 256)) - 0.13693063937629152
    )
    params["transformer_block_2.b_1"][...] = 0  # (178)
    params["transformer_block_2.W_2"][...] = (  # (179)
        0.27386127875258304*draw.random((256, 64)) - 0.13693063937629152
    )
    params["transformer_block_2.b_2"][...] = 0  # (178)
    params["layer_norm_1.gamma"][...] = 1  # (177)
    params["layer_norm_1.beta"][...] = 0  # (178)
    params["dense_1.W"][...] = (  # (179)
        0.4330127018922193*draw.random((64, 64)) - 0.21650635094610965
    )
    params["dense_1.b"][...] = 0  # (178)
    return params


def forward(params, x):
    """The output z_18 in inference mode.

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
        weight = _weights(sample_weight, len(x)).astype(ws.z_18.dtype)
        value, ws.z_18_bar[...] = weighted_loss(ws.z_18, ws.y, weight)
    backward_pass(ws)
    return float(value)


class Training:
    """The arrays of a training step on N samples; parameters are views into the flat `w`."""

    def __init__(ws, w, w_bar, N):
        p, g, dtype = _views(w, ARRAYS), _views(w_bar, PARAMETERS), w.dtype
        ws.E_1, ws.E_1_bar = p["embedding_1.E"], g["embedding_1.E"]  # 64 x 64
        ws.P_2 = p["positional_embedding_1.P"]  # 64 x 64
        ws.P_2_bar = g["positional_embedding_1.P"]  # 64 x 64
        ws.gamma_3 = p["transformer_block_1.gamma_1"]  # 64
        ws.gamma_3_bar = g["transformer_block_1.gamma_1"]  # 64
        ws.beta_3 = p["transformer_block_1.beta_1"]  # 64
        ws.beta_3_bar = g["transformer_block_1.beta_1"]  # 64
        ws.W_q_4 = p["transformer_block_1.W_q"]  # 64 x 4 x 16
        ws.W_q_4_bar = g["transformer_block_1.W_q"]  # 64 x 4 x 16
        ws.W_k_4 = p["transformer_block_1.W_k"]  # 64 x 4 x 16
        ws.W_k_4_bar = g["transformer_block_1.W_k"]  # 64 x 4 x 16
        ws.W_v_4 = p["transformer_block_1.W_v"]  # 64 x 4 x 16
        ws.W_v_4_bar = g["transformer_block_1.W_v"]  # 64 x 4 x 16
        ws.b_q_4 = p["transformer_block_1.b_q"]  # 4 x 16
        ws.b_q_4_bar = g["transformer_block_1.b_q"]  # 4 x 16
        ws.b_k_4 = p["transformer_block_1.b_k"]  # 4 x 16
        ws.b_k_4_bar = g["transformer_block_1.b_k"]  # 4 x 16
        ws.b_v_4 = p["transformer_block_1.b_v"]  # 4 x 16
        ws.b_v_4_bar = g["transformer_block_1.b_v"]  # 4 x 16
        ws.W_o_4 = p["transformer_block_1.W_o"]  # 4 x 16 x 64
        ws.W_o_4_bar = g["transformer_block_1.W_o"]  # 4 x 16 x 64
        ws.b_o_4 = p["transformer_block_1.b_o"]  # 64
        ws.b_o_4_bar = g["transformer_block_1.b_o"]  # 64
        ws.gamma_6 = p["transformer_block_1.gamma_2"]  # 64
        ws.gamma_6_bar = g["transformer_block_1.gamma_2"]  # 64
        ws.beta_6 = p["transformer_block_1.beta_2"]  # 64
        ws.beta_6_bar = g["transformer_block_1.beta_2"]  # 64
        ws.W_7 = p["transformer_block_1.W_1"]  # 64 x 256
        ws.W_7_bar = g["transformer_block_1.W_1"]  # 64 x 256
        ws.b_7 = p["transformer_block_1.b_1"]  # 256
        ws.b_7_bar = g["transformer_block_1.b_1"]  # 256
        ws.W_8 = p["transformer_block_1.W_2"]  # 256 x 64
        ws.W_8_bar = g["transformer_block_1.W_2"]  # 256 x 64
        ws.b_8 = p["transformer_block_1.b_2"]  # 64
        ws.b_8_bar = g["transformer_block_1.b_2"]  # 64
        ws.gamma_10 = p["transformer_block_2.gamma_1"]  # 64
        ws.gamma_10_bar = g["transformer_block_2.gamma_1"]  # 64
        ws.beta_10 = p["transformer_block_2.beta_1"]  # 64
        ws.beta_10_bar = g["transformer_block_2.beta_1"]  # 64
        ws.W_q_11 = p["transformer_block_2.W_q"]  # 64 x 4 x 16
        ws.W_q_11_bar = g["transformer_block_2.W_q"]  # 64 x 4 x 16
        ws.W_k_11 = p["transformer_block_2.W_k"]  # 64 x 4 x 16
        ws.W_k_11_bar = g["transformer_block_2.W_k"]  # 64 x 4 x 16
        ws.W_v_11 = p["transformer_block_2.W_v"]  # 64 x 4 x 16
        ws.W_v_11_bar = g["transformer_block_2.W_v"]  # 64 x 4 x 16
        ws.b_q_11 = p["transformer_block_2.b_q"]  # 4 x 16
        ws.b_q_11_bar = g["transformer_block_2.b_q"]  # 4 x 16
        ws.b_k_11 = p["transformer_block_2.b_k"]  # 4 x 16
        ws.b_k_11_bar = g["transformer_block_2.b_k"]  # 4 x 16
        ws.b_v_11 = p["transformer_block_2.b_v"]  # 4 x 16
        ws.b_v_11_bar = g["transformer_block_2.b_v"]  # 4 x 16
        ws.W_o_11 = p["transformer_block_2.W_o"]  # 4 x 16 x 64
        ws.W_o_11_bar = g["transformer_block_2.W_o"]  # 4 x 16 x 64
        ws.b_o_11 = p["transformer_block_2.b_o"]  # 64
        ws.b_o_11_bar = g["transformer_block_2.b_o"]  # 64
        ws.gamma_13 = p["transformer_block_2.gamma_2"]  # 64
        ws.gamma_13_bar = g["transformer_block_2.gamma_2"]  # 64
        ws.beta_13 = p["transformer_block_2.beta_2"]  # 64
        ws.beta_13_bar = g["transformer_block_2.beta_2"]  # 64
        ws.W_14 = p["transformer_block_2.W_1"]  # 64 x 256
        ws.W_14_bar = g["transformer_block_2.W_1"]  # 64 x 256
        ws.b_14 = p["transformer_block_2.b_1"]  # 256
        ws.b_14_bar = g["transformer_block_2.b_1"]  # 256
        ws.W_15 = p["transformer_block_2.W_2"]  # 256 x 64
        ws.W_15_bar = g["transformer_block_2.W_2"]  # 256 x 64
        ws.b_15 = p["transformer_block_2.b_2"]  # 64
        ws.b_15_bar = g["transformer_block_2.b_2"]  # 64
        ws.gamma_17 = p["layer_norm_1.gamma"]  # 64
        ws.gamma_17_bar = g["layer_norm_1.gamma"]  # 64
        ws.beta_17 = p["layer_norm_1.beta"]  # 64
        ws.beta_17_bar = g["layer_norm_1.beta"]  # 64
        ws.W_18, ws.W_18_bar = p["dense_1.W"], g["dense_1.W"]  # 64 x 64
        ws.b_18, ws.b_18_bar = p["dense_1.b"], g["dense_1.b"]  # 64
        ws.x = _empty((N, 64), np.int64)
        ws.y = _empty((N, 64), np.int64)
        ws.y_1 = _empty((N, 64, 64), dtype)
        ws.y_2 = ws.y_1
        ws.y_5 = ws.y_1
        ws.y_9 = ws.y_1
        ws.x_hat_13 = ws.y_1
        ws.y_12_bar = ws.y_1
        ws.mu_3 = _empty((N, 64), dtype)
        ws.m_3 = ws.mu_3
        ws.sd_3 = ws.mu_3
        ws.x_hat_3 = _empty((N, 64, 64), dtype)
        ws.y_2_bar = ws.x_hat_3
        ws.slot_4 = _empty(16384*N, dtype)
        ws.y_3 = ws.slot_4[:4096*N].reshape(N, 64, 64)
        ws.S_4 = ws.slot_4[:16384*N].reshape(N, 4, 64, 64)
        ws.P_4 = ws.slot_4[:16384*N].reshape(N, 4, 64, 64)
        ws.slot_5 = _empty(4096*N, dtype)
        ws.q_4 = ws.slot_5[:4096*N].reshape(N, 64, 4, 16)
        ws.q_4_bar = ws.slot_5[:4096*N].reshape(N, 64, 4, 16)
        ws.y_3_bar = ws.slot_5[:4096*N].reshape(N, 64, 64)
        ws.x_hat_3_bar = ws.slot_5[:4096*N].reshape(N, 64, 64)
        ws.slot_6 = _empty(4096*N, dtype)
        ws.r_4 = ws.slot_6[:4096*N].reshape(N, 64, 4, 16)
        ws.t_64 = ws.slot_6[:4096*N].reshape(N, 64, 64)
        ws.slot_7 = _empty(4096*N, dtype)
        ws.v_4 = ws.slot_7[:4096*N].reshape(N, 64, 4, 16)
        ws.t_60 = ws.slot_7[:256*N].reshape(N, 4, 64)
        ws.v_4_bar = ws.slot_7[:4096*N].reshape(N, 64, 4, 16)
        ws.slot_8 = _empty(16384*N, dtype)
        ws.t_1 = ws.slot_8[:4096*N].reshape(N, 4, 64, 16)
        ws.t_3 = ws.slot_8[:16384*N].reshape(N, 4, 64, 64)
        ws.y_4 = ws.slot_8[:4096*N].reshape(N, 64, 64)
        ws.z_7 = ws.slot_8[:16384*N].reshape(N, 64, 256)
        ws.z_8 = ws.slot_8[:4096*N].reshape(N, 64, 64)
        ws.y_10 = ws.slot_8[:4096*N].reshape(N, 64, 64)
        ws.S_11 = ws.slot_8[:16384*N].reshape(N, 4, 64, 64)
        ws.P_11 = ws.slot_8[:16384*N].reshape(N, 4, 64, 64)
        ws.a_7_bar = ws.slot_8[:16384*N].reshape(N, 64, 256)
        ws.P_4_bar = ws.slot_8[:16384*N].reshape(N, 4, 64, 64)
        ws.S_4_bar = ws.slot_8[:16384*N].reshape(N, 4, 64, 64)
        ws.slot_9 = _empty(4096*N, dtype)
        ws.t_4 = ws.slot_9[:256*N].reshape(N, 4, 64)
        ws.t_6 = ws.slot_9[:256*N].reshape(N, 4, 64)
        ws.o_4 = ws.slot_9[:4096*N].reshape(N, 64, 4, 16)
        ws.r_4_bar = ws.slot_9[:4096*N].reshape(N, 64, 4, 16)
        ws.t_65 = ws.slot_9[:4096*N].reshape(N, 64, 64)
        ws.mu_6 = _empty((N, 64), dtype)
        ws.m_6 = ws.mu_6
        ws.sd_6 = ws.mu_6
        ws.t_66 = ws.mu_6
        ws.x_hat_6 = _empty((N, 64, 64), dtype)
        ws.y_5_bar = ws.x_hat_6
        ws.slot_12 = _empty(16384*N, dtype)
        ws.y_6 = ws.slot_12[:4096*N].reshape(N, 64, 64)
        ws.a_7 = ws.slot_12[:16384*N].reshape(N, 64, 256)
        ws.t_10 = ws.slot_12[:16384*N].reshape(N, 64, 256)
        ws.t_13 = ws.slot_12[:16384*N].reshape(N, 64, 256)
        ws.t_8 = ws.slot_12[:16384*N].reshape(N, 64, 256)
        ws.z_7_bar = _empty((N, 64, 256), dtype)
        ws.scratch_a = _lent(w_bar[0:32768], (min(TILE, 16384*N),), dtype)
        ws.scratch_b = _empty((min(TILE, 16384*N),), dtype)
        ws.scratch_c = _empty((min(TILE, 16384*N),), dtype)
        ws.mask_a = _lent(w_bar[32768:40960], (min(TILE, 16384*N),), bool)
        ws.mu_10 = _empty((N, 64), dtype)
        ws.m_10 = ws.mu_10
        ws.sd_10 = ws.mu_10
        ws.t_58 = ws.mu_10
        ws.t_67 = ws.mu_10
        ws.slot_19 = _empty(4096*N, dtype)
        ws.x_hat_10 = ws.slot_19[:4096*N].reshape(N, 64, 64)
        ws.y_9_bar = ws.slot_19[:4096*N].reshape(N, 64, 64)
        ws.o_4_bar = ws.slot_19[:4096*N].reshape(N, 64, 4, 16)
        ws.slot_20 = _empty(4096*N, dtype)
        ws.q_11 = ws.slot_20[:4096*N].reshape(N, 64, 4, 16)
        ws.q_11_bar = ws.slot_20[:4096*N].reshape(N, 64, 4, 16)
        ws.t_54 = ws.slot_20[:4096*N].reshape(N, 64, 64)
        ws.t_56 = ws.slot_20[:64*N].reshape(N, 64)
        ws.y_6_bar = ws.slot_20[:4096*N].reshape(N, 64, 64)
        ws.x_hat_6_bar = ws.slot_20[:4096*N].reshape(N, 64, 64)
        ws.slot_21 = _empty(4096*N, dtype)
        ws.r_11 = ws.slot_21[:4096*N].reshape(N, 64, 4, 16)
        ws.y_10_bar = ws.slot_21[:4096*N].reshape(N, 64, 64)
        ws.x_hat_10_bar = ws.slot_21[:4096*N].reshape(N, 64, 64)
        ws.slot_22 = _empty(4096*N, dtype)
        ws.v_11 = ws.slot_22[:4096*N].reshape(N, 64, 4, 16)
        ws.t_49 = ws.slot_22[:256*N].reshape(N, 4, 64)
        ws.v_11_bar = ws.slot_22[:4096*N].reshape(N, 64, 4, 16)
        ws.slot_23 = _empty(16384*N, dtype)
        ws.t_18 = ws.slot_23[:4096*N].reshape(N, 4, 64, 16)
        ws.t_19 = ws.slot_23[:16384*N].reshape(N, 4, 64, 64)
        ws.z_14 = ws.slot_23[:16384*N].reshape(N, 64, 256)
        ws.z_15 = ws.slot_23[:4096*N].reshape(N, 64, 64)
        ws.y_17 = ws.slot_23[4096*N:8192*N].reshape(N, 64, 64)
        ws.z_18 = ws.slot_23[:4096*N].reshape(N, 64, 64)
        ws.p = ws.slot_23[4096*N:8192*N].reshape(N, 64, 64)
        ws.z_18_bar = ws.slot_23[4096*N:8192*N].reshape(N, 64, 64)
        ws.y_17_bar = ws.slot_23[:4096*N].reshape(N, 64, 64)
        ws.x_hat_17_bar = ws.slot_23[:4096*N].reshape(N, 64, 64)
        ws.a_14_bar = ws.slot_23[:16384*N].reshape(N, 64, 256)
        ws.y_13_bar = ws.slot_23[:4096*N].reshape(N, 64, 64)
        ws.x_hat_13_bar = ws.slot_23[:4096*N].reshape(N, 64, 64)
        ws.P_11_bar = ws.slot_23[:16384*N].reshape(N, 4, 64, 64)
        ws.S_11_bar = ws.slot_23[:16384*N].reshape(N, 4, 64, 64)
        ws.slot_24 = _empty(4096*N, dtype)
        ws.t_20 = ws.slot_24[:256*N].reshape(N, 4, 64)
        ws.t_22 = ws.slot_24[:256*N].reshape(N, 4, 64)
        ws.o_11 = ws.slot_24[:4096*N].reshape(N, 64, 4, 16)
        ws.r_11_bar = ws.slot_24[:4096*N].reshape(N, 64, 4, 16)
        ws.t_53 = ws.slot_24[:4096*N].reshape(N, 64, 64)
        ws.slot_25 = _empty(4096*N, dtype)
        ws.y_11 = ws.slot_25[:4096*N].reshape(N, 64, 64)
        ws.y_12 = ws.slot_25[:4096*N].reshape(N, 64, 64)
        ws.y_16 = ws.slot_25[:4096*N].reshape(N, 64, 64)
        ws.x_hat_17 = ws.slot_25[:4096*N].reshape(N, 64, 64)
        ws.y_16_bar = ws.slot_25[:4096*N].reshape(N, 64, 64)
        ws.o_11_bar = ws.slot_25[:4096*N].reshape(N, 64, 4, 16)
        ws.mu_13 = _empty((N, 64), dtype)
        ws.m_13 = ws.mu_13
        ws.sd_13 = ws.mu_13
        ws.t_55 = ws.mu_13
        ws.t_59 = ws.mu_13
        ws.slot_27 = _empty(16384*N, dtype)
        ws.y_13 = ws.slot_27[:4096*N].reshape(N, 64, 64)
        ws.a_14 = ws.slot_27[:16384*N].reshape(N, 64, 256)
        ws.t_24 = ws.slot_27[:16384*N].reshape(N, 64, 256)
        ws.t_26 = ws.slot_27[:16384*N].reshape(N, 64, 256)
        ws.t_29 = ws.slot_27[:16384*N].reshape(N, 64, 256)
        ws.z_14_bar = _empty((N, 64, 256), dtype)
        ws.mu_17 = _lent(w_bar[108096:109120], (N, 64), dtype)
        ws.m_17 = _lent(w_bar[28992:30016], (N, 64), dtype)
        ws.sd_17 = ws.m_17
        ws.t_34 = _lent(w_bar[109056:110080], (N, 64), dtype)
        ws.t_35 = _lent(w_bar[110080:111104], (N, 64), dtype)
        ws.t_36 = _lent(w_bar[111104:112128], (N, 64), dtype)
        ws.t_41 = _lent(w_bar[107008:109056], (N, 64), np.int64)
        ws.t_37 = _lent(w_bar[110080:111104], (N, 64), dtype)
        ws.t_44 = _lent(w_bar[91456:92480], (N, 64), dtype)
        ws.t_45 = _lent(w_bar[92480:93504], (N, 64), dtype)
        ws.t_47 = _lent(w_bar[73728:74752], (N, 64), dtype)
        ws.t_48 = _lent(w_bar[4096:5120], (N, 64), dtype)
        ws.t_43 = _lent(ws.slot_23[0:256*N], (64, 64), dtype)
        ws.t_46 = _lent(ws.slot_23[0:1024*N], (64, 256), dtype)
        ws.t_50 = _lent(ws.slot_24[0:256*N], (64, 4, 16), dtype)
        ws.t_51 = _lent(ws.slot_20[0:256*N], (64, 4, 16), dtype)
        ws.t_52 = _lent(ws.slot_21[0:256*N], (64, 4, 16), dtype)
        ws.t_57 = _lent(ws.slot_20[0:1024*N], (64, 256), dtype)
        ws.t_61 = _lent(ws.slot_9[0:256*N], (64, 4, 16), dtype)
        ws.t_62 = _lent(ws.slot_5[0:256*N], (64, 4, 16), dtype)
        ws.t_63 = _lent(ws.slot_6[0:256*N], (64, 4, 16), dtype)
        ws.t_68 = _lent(ws.slot_5[0:128*N], (N, 64), np.int64)
        ws.t_69 = _lent(ws.slot_4[0:8192*N], (N, 64, 64), np.int64)
        ws.d = np.arange(64)  # (1)
        ws.ones = np.ones(64, dtype)  # (3)
        ws.u = np.arange(64)  # (12)
        ws.i = np.arange(64)  # (12)
        ws.t_2 = np.less_equal(ws.u, ws.i[:, None])  # (12)
        ws.t_5 = ws.t_2.astype(dtype)  # (12)
        ws.t_21 = ws.t_2.astype(dtype)  # (35)
        ws.n = np.arange(N)  # (57)
        ws.t_38 = np.multiply(ws.i, 64)  # (57)
        ws.t_39 = np.multiply(ws.n, 4096)  # (57)
        ws.t_40 = np.add(ws.t_38, ws.t_39[:, None])  # (57)
        ws.ones_1 = np.ones(64*N, dtype)  # (59)
        ws.ones_2 = np.ones(N, dtype)  # (126)
        ws.y_3_tiles = _tiles(  # (7)
            ws.x_hat_3.reshape(64*N, 64),
            ws.sd_3.reshape(64*N, 1),
            ws.y_3.reshape(64*N, 64),
            ws.gamma_3.reshape(1, 64),
            ws.beta_3.reshape(1, 64),
        )
        ws.l_1_tiles = _tiles(  # (12)
            ws.P_4.reshape(4*N, 64, 64),
            ws.S_4.reshape(4*N, 64, 64),
            ws.t_4.reshape(4*N, 64, 1),
            ws.t_2.reshape(1, 64, 64),
        )
        ws.y_5_tiles = _tiles(  # (16)
            ws.y_4.reshape(64*N, 64),
            ws.b_o_4.reshape(1, 64),
            ws.y_5.reshape(64*N, 64),
            ws.y_2.reshape(64*N, 64),
        )
        ws.y_6_tiles = _tiles(  # (21)
            ws.x_hat_6.reshape(64*N, 64),
            ws.sd_6.reshape(64*N, 1),
            ws.y_6.reshape(64*N, 64),
            ws.gamma_6.reshape(1, 64),
            ws.beta_6.reshape(1, 64),
        )
        ws.z_7_bar_tiles = _tiles(  # (99)
            ws.z_7.reshape(64*N, 256),
            ws.b_7.reshape(1, 256),
            ws.t_8.reshape(64*N, 256),
            ws.z_7_bar.reshape(64*N, 256),
            ws.t_10.reshape(64*N, 256),
            ws.t_13.reshape(64*N, 256),
            ws.a_7.reshape(64*N, 256),
            scratch=(ws.scratch_a, ws.scratch_b, ws.mask_a, ws.scratch_c),
        )
        ws.y_9_tiles = _tiles(  # (25)
            ws.z_8.reshape(64*N, 64),
            ws.b_8.reshape(1, 64),
            ws.y_9.reshape(64*N, 64),
            ws.y_5.reshape(64*N, 64),
        )
        ws.y_10_tiles = _tiles(  # (30)
            ws.x_hat_10.reshape(64*N, 64),
            ws.sd_10.reshape(64*N, 1),
            ws.y_10.reshape(64*N, 64),
            ws.gamma_10.reshape(1, 64),
            ws.beta_10.reshape(1, 64),
        )
        ws.l_2_tiles = _tiles(  # (35)
            ws.P_11.reshape(4*N, 64, 64),
            ws.S_11.reshape(4*N, 64, 64),
            ws.t_20.reshape(4*N, 64, 1),
            ws.t_2.reshape(1, 64, 64),
        )
        ws.y_12_tiles = _tiles(  # (39)
            ws.y_11.reshape(64*N, 64),
            ws.b_o_11.reshape(1, 64),
            ws.y_12.reshape(64*N, 64),
            ws.y_9.reshape(64*N, 64),
        )
        ws.y_13_tiles = _tiles(  # (44)
            ws.x_hat_13.reshape(64*N, 64),
            ws.sd_13.reshape(64*N, 1),
            ws.y_13.reshape(64*N, 64),
            ws.gamma_13.reshape(1, 64),
            ws.beta_13.reshape(1, 64),
        )
        ws.z_14_bar_tiles = _tiles(  # (69)
            ws.z_14.reshape(64*N, 256),
            ws.b_14.reshape(1, 256),
            ws.t_24.reshape(64*N, 256),
            ws.z_14_bar.reshape(64*N, 256),
            ws.t_26.reshape(64*N, 256),
            ws.t_29.reshape(64*N, 256),
            ws.a_14.reshape(64*N, 256),
            scratch=(ws.scratch_a, ws.scratch_b, ws.mask_a, ws.scratch_c),
        )
        ws.y_16_tiles = _tiles(  # (48)
            ws.z_15.reshape(64*N, 64),
            ws.b_15.reshape(1, 64),
            ws.y_16.reshape(64*N, 64),
            ws.y_12.reshape(64*N, 64),
        )
        ws.y_17_tiles = _tiles(  # (53)
            ws.x_hat_17.reshape(64*N, 64),
            ws.sd_17.reshape(64*N, 1),
            ws.y_17.reshape(64*N, 64),
            ws.gamma_17.reshape(1, 64),
            ws.beta_17.reshape(1, 64),
        )
        ws.l_tiles = _tiles(  # (55)
            ws.p.reshape(64*N, 64), ws.z_18.reshape(64*N, 64), ws.t_34.reshape(64*N, 1)
        )
        ws.y_16_bar_tiles = _tiles(  # (65)
            ws.y_16_bar.reshape(64*N, 64),
            ws.t_45.reshape(64*N, 1),
            ws.x_hat_17.reshape(64*N, 64),
            ws.x_hat_17_bar.reshape(64*N, 64),
            ws.t_44.reshape(64*N, 1),
            ws.sd_17.reshape(64*N, 1),
        )
        ws.y_12_bar_tiles = _tiles(  # (76)
            ws.y_12_bar.reshape(64*N, 64),
            ws.t_48.reshape(64*N, 1),
            ws.x_hat_13.reshape(64*N, 64),
            ws.x_hat_13_bar.reshape(64*N, 64),
            ws.t_47.reshape(64*N, 1),
            ws.sd_13.reshape(64*N, 1),
            ws.y_16_bar.reshape(64*N, 64),
        )
        ws.S_11_bar_tiles = _tiles(  # (81)
            ws.S_11_bar.reshape(256*N, 64),
            ws.P_11_bar.reshape(256*N, 64),
            ws.t_49.reshape(256*N, 1),
            ws.P_11.reshape(256*N, 64),
        )
        ws.y_10_bar_tiles = _tiles(  # (91)
            ws.y_10_bar.reshape(-1), ws.t_53.reshape(-1), ws.t_54.reshape(-1)
        )
        ws.y_9_bar_tiles = _tiles(  # (95)
            ws.y_9_bar.reshape(64*N, 64),
            ws.t_56.reshape(64*N, 1),
            ws.x_hat_10.reshape(64*N, 64),
            ws.x_hat_10_bar.reshape(64*N, 64),
            ws.t_55.reshape(64*N, 1),
            ws.sd_10.reshape(64*N, 1),
            ws.y_12_bar.reshape(64*N, 64),
        )
        ws.y_5_bar_tiles = _tiles(  # (106)
            ws.y_5_bar.reshape(64*N, 64),
            ws.t_59.reshape(64*N, 1),
            ws.x_hat_6.reshape(64*N, 64),
            ws.x_hat_6_bar.reshape(64*N, 64),
            ws.t_58.reshape(64*N, 1),
            ws.sd_6.reshape(64*N, 1),
            ws.y_9_bar.reshape(64*N, 64),
        )
        ws.S_4_bar_tiles = _tiles(  # (111)
            ws.S_4_bar.reshape(256*N, 64),
            ws.P_4_bar.reshape(256*N, 64),
            ws.t_60.reshape(256*N, 1),
            ws.P_4.reshape(256*N, 64),
        )
        ws.y_3_bar_tiles = _tiles(  # (121)
            ws.y_3_bar.reshape(-1), ws.t_64.reshape(-1), ws.t_65.reshape(-1)
        )
        ws.y_2_bar_tiles = _tiles(  # (125)
            ws.y_2_bar.reshape(64*N, 64),
            ws.t_67.reshape(64*N, 1),
            ws.x_hat_3.reshape(64*N, 64),
            ws.x_hat_3_bar.reshape(64*N, 64),
            ws.t_66.reshape(64*N, 1),
            ws.sd_3.reshape(64*N, 1),
            ws.y_5_bar.reshape(64*N, 64),
        )
        ws.y_2_matrix = ws.y_2.reshape(64*N, 64)  # (3)
        ws.mu_3_flat = ws.mu_3.reshape(64*N,)  # (3)
        ws.number_0_015625 = np.array(0.015625, dtype)  # (3)
        ws.mu_3_wide = ws.mu_3[:, :, None]  # (4)
        ws.number_1e_minus_5 = np.array(1e-05, dtype)  # (5)
        ws.y_3_matrix = ws.y_3.reshape(64*N, 64)  # (8)
        ws.W_q_4_matrix = ws.W_q_4.reshape(64, 64)  # (8)
        ws.q_4_matrix = ws.q_4.reshape(64*N, 64)  # (8)
        ws.W_k_4_matrix = ws.W_k_4.reshape(64, 64)  # (9)
        ws.r_4_matrix = ws.r_4.reshape(64*N, 64)  # (9)
        ws.W_v_4_matrix = ws.W_v_4.reshape(64, 64)  # (10)
        ws.v_4_matrix = ws.v_4.reshape(64*N, 64)  # (10)
        ws.q_4_turned = ws.q_4.transpose(0, 2, 1, 3)  # (11)
        ws.number_0_25 = np.array(0.25, dtype)  # (11)
        ws.r_4_turned = ws.r_4.transpose(0, 2, 3, 1)  # (11)
        ws.zero = np.array(0, dtype)  # (12)
        ws.P_4_split_turned = ws.P_4.reshape(4*N, 64, 64).transpose(1, 0, 2)  # (12)
        ws.t_6_matrix_T = ws.t_6.reshape(4*N, 64).T  # (12)
        ws.t_6_wide = ws.t_6[:, :, :, None]  # (13)
        ws.v_4_turned = ws.v_4.transpose(0, 2, 1, 3)  # (14)
        ws.o_4_turned = ws.o_4.transpose(0, 2, 1, 3)  # (14)
        ws.o_4_matrix = ws.o_4.reshape(64*N, 64)  # (15)
        ws.W_o_4_matrix = ws.W_o_4.reshape(64, 64)  # (15)
        ws.y_4_matrix = ws.y_4.reshape(64*N, 64)  # (15)
        ws.y_5_matrix = ws.y_5.reshape(64*N, 64)  # (17)
        ws.mu_6_flat = ws.mu_6.reshape(64*N,)  # (17)
        ws.mu_6_wide = ws.mu_6[:, :, None]  # (18)
        ws.y_6_matrix = ws.y_6.reshape(64*N, 64)  # (22)
        ws.z_7_matrix = ws.z_7.reshape(64*N, 256)  # (22)
        ws.number_40 = np.array(40, dtype)  # (23)
        ws.number_32 = np.array(32, dtype)  # (23)
        ws.number_0_03125 = np.array(0.03125, dtype)  # (23)
        ws.minus_0_5 = np.array(-0.5, dtype)  # (23)
        ws.four = np.array(4, dtype)  # (23)
        ws.number_2_199e_minus_11 = np.array(2.1989612375505207e-11, dtype)  # (23)
        ws.number_2_0431e_minus_10 = np.array(2.0430758497810312e-10, dtype)  # (23)
        ws.number_0_70711 = np.array(0.7071067811865476, dtype)  # (23)
        ws.number_0_7071067811865476_1_772453850905516 = np.array(  # (99)
            0.7071067811865476 / 1.772453850905516, dtype
        )
        ws.two = np.array(2, dtype)  # (99)
        ws.a_7_matrix = ws.a_7.reshape(64*N, 256)  # (24)
        ws.z_8_matrix = ws.z_8.reshape(64*N, 64)  # (24)
        ws.y_9_matrix = ws.y_9.reshape(64*N, 64)  # (26)
        ws.mu_10_flat = ws.mu_10.reshape(64*N,)  # (26)
        ws.mu_10_wide = ws.mu_10[:, :, None]  # (27)
        ws.y_10_matrix = ws.y_10.reshape(64*N, 64)  # (31)
        ws.W_q_11_matrix = ws.W_q_11.reshape(64, 64)  # (31)
        ws.q_11_matrix = ws.q_11.reshape(64*N, 64)  # (31)
        ws.W_k_11_matrix = ws.W_k_11.reshape(64, 64)  # (32)
        ws.r_11_matrix = ws.r_11.reshape(64*N, 64)  # (32)
        ws.W_v_11_matrix = ws.W_v_11.reshape(64, 64)  # (33)
        ws.v_11_matrix = ws.v_11.reshape(64*N, 64)  # (33)
        ws.q_11_turned = ws.q_11.transpose(0, 2, 1, 3)  # (34)
        ws.r_11_turned = ws.r_11.transpose(0, 2, 3, 1)  # (34)
        ws.P_11_split_turned = ws.P_11.reshape(4*N, 64, 64).transpose(1, 0, 2)  # (35)
        ws.t_22_matrix_T = ws.t_22.reshape(4*N, 64).T  # (35)
        ws.t_22_wide = ws.t_22[:, :, :, None]  # (36)
        ws.v_11_turned = ws.v_11.transpose(0, 2, 1, 3)  # (37)
        ws.o_11_turned = ws.o_11.transpose(0, 2, 1, 3)  # (37)
        ws.o_11_matrix = ws.o_11.reshape(64*N, 64)  # (38)
        ws.W_o_11_matrix = ws.W_o_11.reshape(64, 64)  # (38)
        ws.y_11_matrix = ws.y_11.reshape(64*N, 64)  # (38)
        ws.y_12_matrix = ws.y_12.reshape(64*N, 64)  # (40)
        ws.mu_13_flat = ws.mu_13.reshape(64*N,)  # (40)
        ws.mu_13_wide = ws.mu_13[:, :, None]  # (41)
        ws.y_13_matrix = ws.y_13.reshape(64*N, 64)  # (45)
        ws.z_14_matrix = ws.z_14.reshape(64*N, 256)  # (45)
        ws.a_14_matrix = ws.a_14.reshape(64*N, 256)  # (47)
        ws.z_15_matrix = ws.z_15.reshape(64*N, 64)  # (47)
        ws.y_16_matrix = ws.y_16.reshape(64*N, 64)  # (49)
        ws.mu_17_flat = ws.mu_17.reshape(64*N,)  # (49)
        ws.mu_17_wide = ws.mu_17[:, :, None]  # (50)
        ws.y_17_matrix = ws.y_17.reshape(64*N, 64)  # (54)
        ws.z_18_matrix = ws.z_18.reshape(64*N, 64)  # (54)
        ws.p_matrix = ws.p.reshape(64*N, 64)  # (55)
        ws.t_35_flat = ws.t_35.reshape(64*N,)  # (55)
        ws.t_35_wide = ws.t_35[:, :, None]  # (56)
        ws.z_18_flat = ws.z_18.reshape(-1)  # (57)
        ws.z_18_bar_flat = ws.z_18_bar.reshape(-1)  # (58)
        ws.one = np.array(1, dtype)  # (58)
        ws.number_0_015625_N = np.array(0.015625 / N, dtype)  # (58)
        ws.z_18_bar_matrix = ws.z_18_bar.reshape(64*N, 64)  # (59)
        ws.x_hat_17_matrix_T = ws.x_hat_17.reshape(64*N, 64).T  # (60)
        ws.beta_17_column = ws.beta_17[:, None]  # (60)
        ws.gamma_17_column = ws.gamma_17[:, None]  # (60)
        ws.W_18_T = ws.W_18.T  # (61)
        ws.y_17_bar_matrix = ws.y_17_bar.reshape(64*N, 64)  # (61)
        ws.x_hat_17_bar_matrix = ws.x_hat_17_bar.reshape(64*N, 64)  # (65)
        ws.t_44_flat = ws.t_44.reshape(64*N,)  # (65)
        ws.y_16_bar_matrix = ws.y_16_bar.reshape(64*N, 64)  # (66)
        ws.a_14_matrix_T = ws.a_14.reshape(64*N, 256).T  # (67)
        ws.W_15_T = ws.W_15.T  # (68)
        ws.a_14_bar_matrix = ws.a_14_bar.reshape(64*N, 256)  # (68)
        ws.z_14_bar_matrix = ws.z_14_bar.reshape(64*N, 256)  # (70)
        ws.x_hat_13_matrix_T = ws.x_hat_13.reshape(64*N, 64).T  # (71)
        ws.beta_13_column = ws.beta_13[:, None]  # (71)
        ws.gamma_13_column = ws.gamma_13[:, None]  # (71)
        ws.W_14_T = ws.W_14.T  # (72)
        ws.y_13_bar_matrix = ws.y_13_bar.reshape(64*N, 64)  # (72)
        ws.x_hat_13_bar_matrix = ws.x_hat_13_bar.reshape(64*N, 64)  # (76)
        ws.t_47_flat = ws.t_47.reshape(64*N,)  # (76)
        ws.y_12_bar_matrix = ws.y_12_bar.reshape(64*N, 64)  # (77)
        ws.o_11_matrix_T = ws.o_11.reshape(64*N, 64).T  # (78)
        ws.W_o_11_bar_matrix = ws.W_o_11_bar.reshape(64, 64)  # (78)
        ws.W_o_11_matrix_T = ws.W_o_11.reshape(64, 64).T  # (79)
        ws.o_11_bar_matrix = ws.o_11_bar.reshape(64*N, 64)  # (79)
        ws.o_11_bar_turned = ws.o_11_bar.transpose(0, 2, 1, 3)  # (80)
        ws.v_11_turned_b = ws.v_11.transpose(0, 2, 3, 1)  # (80)
        ws.P_11_turned = ws.P_11.transpose(0, 1, 3, 2)  # (82)
        ws.v_11_bar_turned = ws.v_11_bar.transpose(0, 2, 1, 3)  # (82)
        ws.v_11_bar_matrix = ws.v_11_bar.reshape(64*N, 64)  # (83)
        ws.b_v_11_bar_flat = ws.b_v_11_bar.reshape(64,)  # (83)
        ws.x_hat_10_matrix_T = ws.x_hat_10.reshape(64*N, 64).T  # (84)
        ws.t_50_matrix = ws.t_50.reshape(64, 64)  # (84)
        ws.beta_10_wide = ws.beta_10[:, None, None]  # (84)
        ws.gamma_10_wide = ws.gamma_10[:, None, None]  # (84)
        ws.S_11_bar_turned = ws.S_11_bar.transpose(0, 1, 3, 2)  # (85)
        ws.r_11_bar_turned = ws.r_11_bar.transpose(0, 2, 1, 3)  # (85)
        ws.r_11_bar_matrix = ws.r_11_bar.reshape(64*N, 64)  # (86)
        ws.b_k_11_bar_flat = ws.b_k_11_bar.reshape(64,)  # (86)
        ws.t_51_matrix = ws.t_51.reshape(64, 64)  # (87)
        ws.r_11_turned_b = ws.r_11.transpose(0, 2, 1, 3)  # (88)
        ws.q_11_bar_turned = ws.q_11_bar.transpose(0, 2, 1, 3)  # (88)
        ws.q_11_bar_matrix = ws.q_11_bar.reshape(64*N, 64)  # (89)
        ws.b_q_11_bar_flat = ws.b_q_11_bar.reshape(64,)  # (89)
        ws.t_52_matrix = ws.t_52.reshape(64, 64)  # (90)
        ws.W_k_11_matrix_T = ws.W_k_11.reshape(64, 64).T  # (91)
        ws.y_10_bar_matrix = ws.y_10_bar.reshape(64*N, 64)  # (91)
        ws.W_q_11_matrix_T = ws.W_q_11.reshape(64, 64).T  # (91)
        ws.t_53_matrix = ws.t_53.reshape(64*N, 64)  # (91)
        ws.W_v_11_matrix_T = ws.W_v_11.reshape(64, 64).T  # (91)
        ws.t_54_matrix = ws.t_54.reshape(64*N, 64)  # (91)
        ws.x_hat_10_bar_matrix = ws.x_hat_10_bar.reshape(64*N, 64)  # (95)
        ws.t_55_flat = ws.t_55.reshape(64*N,)  # (95)
        ws.y_9_bar_matrix = ws.y_9_bar.reshape(64*N, 64)  # (96)
        ws.a_7_matrix_T = ws.a_7.reshape(64*N, 256).T  # (97)
        ws.W_8_T = ws.W_8.T  # (98)
        ws.a_7_bar_matrix = ws.a_7_bar.reshape(64*N, 256)  # (98)
        ws.z_7_bar_matrix = ws.z_7_bar.reshape(64*N, 256)  # (100)
        ws.x_hat_6_matrix_T = ws.x_hat_6.reshape(64*N, 64).T  # (101)
        ws.beta_6_column = ws.beta_6[:, None]  # (101)
        ws.gamma_6_column = ws.gamma_6[:, None]  # (101)
        ws.W_7_T = ws.W_7.T  # (102)
        ws.y_6_bar_matrix = ws.y_6_bar.reshape(64*N, 64)  # (102)
        ws.x_hat_6_bar_matrix = ws.x_hat_6_bar.reshape(64*N, 64)  # (106)
        ws.t_58_flat = ws.t_58.reshape(64*N,)  # (106)
        ws.y_5_bar_matrix = ws.y_5_bar.reshape(64*N, 64)  # (107)
        ws.o_4_matrix_T = ws.o_4.reshape(64*N, 64).T  # (108)
        ws.W_o_4_bar_matrix = ws.W_o_4_bar.reshape(64, 64)  # (108)
        ws.W_o_4_matrix_T = ws.W_o_4.reshape(64, 64).T  # (109)
        ws.o_4_bar_matrix = ws.o_4_bar.reshape(64*N, 64)  # (109)
        ws.o_4_bar_turned = ws.o_4_bar.transpose(0, 2, 1, 3)  # (110)
        ws.v_4_turned_b = ws.v_4.transpose(0, 2, 3, 1)  # (110)
        ws.P_4_turned = ws.P_4.transpose(0, 1, 3, 2)  # (112)
        ws.v_4_bar_turned = ws.v_4_bar.transpose(0, 2, 1, 3)  # (112)
        ws.v_4_bar_matrix = ws.v_4_bar.reshape(64*N, 64)  # (113)
        ws.b_v_4_bar_flat = ws.b_v_4_bar.reshape(64,)  # (113)
        ws.x_hat_3_matrix_T = ws.x_hat_3.reshape(64*N, 64).T  # (114)
        ws.t_61_matrix = ws.t_61.reshape(64, 64)  # (114)
        ws.beta_3_wide = ws.beta_3[:, None, None]  # (114)
        ws.gamma_3_wide = ws.gamma_3[:, None, None]  # (114)
        ws.S_4_bar_turned = ws.S_4_bar.transpose(0, 1, 3, 2)  # (115)
        ws.r_4_bar_turned = ws.r_4_bar.transpose(0, 2, 1, 3)  # (115)
        ws.r_4_bar_matrix = ws.r_4_bar.reshape(64*N, 64)  # (116)
        ws.b_k_4_bar_flat = ws.b_k_4_bar.reshape(64,)  # (116)
        ws.t_62_matrix = ws.t_62.reshape(64, 64)  # (117)
        ws.r_4_turned_b = ws.r_4.transpose(0, 2, 1, 3)  # (118)
        ws.q_4_bar_turned = ws.q_4_bar.transpose(0, 2, 1, 3)  # (118)
        ws.q_4_bar_matrix = ws.q_4_bar.reshape(64*N, 64)  # (119)
        ws.b_q_4_bar_flat = ws.b_q_4_bar.reshape(64,)  # (119)
        ws.t_63_matrix = ws.t_63.reshape(64, 64)  # (120)
        ws.W_k_4_matrix_T = ws.W_k_4.reshape(64, 64).T  # (121)
        ws.t_64_matrix = ws.t_64.reshape(64*N, 64)  # (121)
        ws.W_q_4_matrix_T = ws.W_q_4.reshape(64, 64).T  # (121)
        ws.t_65_matrix = ws.t_65.reshape(64*N, 64)  # (121)
        ws.W_v_4_matrix_T = ws.W_v_4.reshape(64, 64).T  # (121)
        ws.y_3_bar_matrix = ws.y_3_bar.reshape(64*N, 64)  # (121)
        ws.x_hat_3_bar_matrix = ws.x_hat_3_bar.reshape(64*N, 64)  # (125)
        ws.t_66_flat = ws.t_66.reshape(64*N,)  # (125)
        ws.y_2_bar_matrix = ws.y_2_bar.reshape(N, 4096)  # (126)
        ws.P_2_bar_flat = ws.P_2_bar.reshape(4096,)  # (126)
        ws.number_64_integer = np.array(64, np.int64)  # (127)
        ws.t_68_wide = ws.t_68[:, :, None]  # (127)
        ws.E_1_bar_flat = ws.E_1_bar.reshape(-1)  # (127)
        ws.t_69_flat = ws.t_69.reshape(-1)  # (127)
        ws.y_2_bar_flat = ws.y_2_bar.reshape(-1)  # (127)


def forward_pass(ws):
    """The loss of the batch in `ws.x` and `ws.y`."""
    N = len(ws.x)
    # (1) y_1[n,i,d] = E_1[x[n,i],d]
    np.take(ws.E_1, ws.x, axis=0, out=ws.y_1, mode="clip")  # (1)
    # (2) y_2[n,i,d] = P_2[i,d] + y_1[n,i,d]
    np.add(ws.y_1, ws.P_2, out=ws.y_2)  # (2)
    # (3) mu_3[n,i] = mean[d](y_2[n,i,d])
    np.dot(ws.y_2_matrix, ws.ones, out=ws.mu_3_flat)  # (3)
    np.multiply(ws.mu_3, ws.number_0_015625, out=ws.mu_3)  # (3)
    # (4) m_3[n,i] = mean[d]((y_2[n,i,d] - mu_3[n,i])**2)
    np.subtract(ws.y_2, ws.mu_3_wide, out=ws.x_hat_3)  # (4)
    np.vecdot(ws.x_hat_3, ws.x_hat_3, out=ws.m_3)  # (4)
    np.multiply(ws.m_3, ws.number_0_015625, out=ws.m_3)  # (4)
    # (5) sd_3[n,i] = sqrt(0.00001 + m_3[n,i])
    np.add(ws.m_3, ws.number_1e_minus_5, out=ws.sd_3)  # (5)
    np.sqrt(ws.sd_3, out=ws.sd_3)  # (5)
    for x_hat_3, sd_3, y_3, gamma_3, beta_3 in ws.y_3_tiles:
        # (6) x_hat_3[n,i,d] = (y_2[n,i,d] - mu_3[n,i])/sd_3[n,i]
        np.divide(x_hat_3, sd_3, out=x_hat_3)  # (6)
        # (7) y_3[n,i,d] = x_hat_3[n,i,d]*gamma_3[d] + beta_3[d]
        np.multiply(gamma_3, x_hat_3, out=y_3)  # (7)
        np.add(y_3, beta_3, out=y_3)  # (7)
    # (8) q_4[n,i,h,k] = sum[d](y_3[n,i,d]*W_q_4[d,h,k]) + b_q_4[h,k]
    np.dot(ws.y_3_matrix, ws.W_q_4_matrix, out=ws.q_4_matrix)  # (8)
    np.add(ws.q_4, ws.b_q_4, out=ws.q_4)  # (8)
    # (9) r_4[n,s,h,k] = sum[d](y_3[n,s,d]*W_k_4[d,h,k]) + b_k_4[h,k]
    np.dot(ws.y_3_matrix, ws.W_k_4_matrix, out=ws.r_4_matrix)  # (9)
    np.add(ws.r_4, ws.b_k_4, out=ws.r_4)  # (9)
    # (10) v_4[n,s,h,k] = sum[d](y_3[n,s,d]*W_v_4[d,h,k]) + b_v_4[h,k]
    np.dot(ws.y_3_matrix, ws.W_v_4_matrix, out=ws.v_4_matrix)  # (10)
    np.add(ws.v_4, ws.b_v_4, out=ws.v_4)  # (10)
    # (11) S_4[n,h,i,s] = sum[k](q_4[n,i,h,k]*r_4[n,s,h,k]/4)
    np.multiply(ws.q_4_turned, ws.number_0_25, out=ws.t_1)  # (11)
    np.matmul(ws.t_1, ws.r_4_turned, out=ws.S_4)  # (11)
    # (12) l_1[n,h,i] = log(sum[u](where(u <= i, exp(S_4[n,h,i,u]), 0)))
    np.copyto(ws.t_3, -np.inf)  # (12)
    np.copyto(ws.t_3, ws.S_4, where=ws.t_2)  # (12)
    np.maximum.reduce(ws.t_3, axis=3, out=ws.t_4)  # (12)
    for P_4, S_4, t_4, t_2 in ws.l_1_tiles:
        np.subtract(S_4, t_4, out=P_4)  # (12)
        np.minimum(P_4, ws.zero, out=P_4)  # (12)
        np.exp(P_4, out=P_4)  # (12)
        np.multiply(P_4, t_2, out=P_4)  # (12)
    np.matmul(ws.P_4_split_turned, ws.t_5[..., None], out=ws.t_6_matrix_T[..., None])  # (12)
    # (13) P_4[n,h,i,s] = where(s <= i, exp(S_4[n,h,i,s] - l_1[n,h,i]), 0)
    np.divide(ws.P_4, ws.t_6_wide, out=ws.P_4)  # (13)
    # (14) o_4[n,i,h,k] = sum[s](P_4[n,h,i,s]*v_4[n,s,h,k])
    np.matmul(ws.P_4, ws.v_4_turned, out=ws.o_4_turned)  # (14)
    # (15) y_4[n,i,e] = sum[h,k](o_4[n,i,h,k]*W_o_4[h,k,e]) + b_o_4[e]
    np.dot(ws.o_4_matrix, ws.W_o_4_matrix, out=ws.y_4_matrix)  # (15)
    for y_4, b_o_4, y_5, y_2 in ws.y_5_tiles:
        np.add(y_4, b_o_4, out=y_4)  # (15)
        # (16) y_5[n,i,d] = y_2[n,i,d] + y_4[n,i,d]
        np.add(y_2, y_4, out=y_5)  # (16)
    # (17) mu_6[n,i] = mean[d](y_5[n,i,d])
    np.dot(ws.y_5_matrix, ws.ones, out=ws.mu_6_flat)  # (17)
    np.multiply(ws.mu_6, ws.number_0_015625, out=ws.mu_6)  # (17)
    # (18) m_6[n,i] = mean[d]((y_5[n,i,d] - mu_6[n,i])**2)
    np.subtract(ws.y_5, ws.mu_6_wide, out=ws.x_hat_6)  # (18)
    np.vecdot(ws.x_hat_6, ws.x_hat_6, out=ws.m_6)  # (18)
    np.multiply(ws.m_6, ws.number_0_015625, out=ws.m_6)  # (18)
    # (19) sd_6[n,i] = sqrt(0.00001 + m_6[n,i])
    np.add(ws.m_6, ws.number_1e_minus_5, out=ws.sd_6)  # (19)
    np.sqrt(ws.sd_6, out=ws.sd_6)  # (19)
    for x_hat_6, sd_6, y_6, gamma_6, beta_6 in ws.y_6_tiles:
        # (20) x_hat_6[n,i,d] = (y_5[n,i,d] - mu_6[n,i])/sd_6[n,i]
        np.divide(x_hat_6, sd_6, out=x_hat_6)  # (20)
        # (21) y_6[n,i,d] = x_hat_6[n,i,d]*gamma_6[d] + beta_6[d]
        np.multiply(gamma_6, x_hat_6, out=y_6)  # (21)
        np.add(y_6, beta_6, out=y_6)  # (21)
    # (22) z_7[n,i,j] = sum[d](y_6[n,i,d]*W_7[d,j]) + b_7[j]
    np.dot(ws.y_6_matrix, ws.W_7, out=ws.z_7_matrix)  # (22)
    for (
        z_7, b_7, t_8, z_7_bar, t_10, t_13, a_7, t_7, t_9, t_15, t_16
    ) in ws.z_7_bar_tiles:
        np.add(z_7, b_7, out=z_7)  # (22)
        # (23) a_7[n,i,j] = (1 + erf(sqrt(2)*z_7[n,i,j]/2))*z_7[n,i,j]/2
        np.abs(z_7, out=t_7)  # (23)
        np.minimum(t_7, ws.number_40, out=t_7)  # (23)
        np.multiply(t_7, ws.number_32, out=t_8)  # (23)
        np.rint(t_8, out=t_8)  # (23)
        np.multiply(t_8, ws.number_0_03125, out=t_8)  # (23)
        np.subtract(t_7, t_8, out=z_7_bar)  # (23)
        np.add(t_8, t_7, out=t_9)  # (23)
        np.multiply(z_7_bar, t_9, out=z_7_bar)  # (23)
        np.multiply(z_7_bar, ws.minus_0_5, out=z_7_bar)  # (23)
        np.exp(z_7_bar, out=z_7_bar)  # (23)
        np.square(t_8, out=t_8)  # (23)
        np.multiply(t_8, ws.minus_0_5, out=t_8)  # (23)
        np.exp(t_8, out=t_8)  # (23)
        np.multiply(z_7_bar, t_8, out=z_7_bar)  # (23)
        np.subtract(t_7, ws.four, out=t_10)  # (23)
        np.add(t_7, ws.four, out=t_9)  # (23)
        np.divide(t_10, t_9, out=t_10)  # (23)
        np.multiply(t_10, ws.number_2_199e_minus_11, out=t_9)  # (23)
        np.add(t_9, ws.number_2_0431e_minus_10, out=t_9)  # (23)
        for coefficient in (  # (23)
            1.9934291811404328e-11, -2.007568973012324e-09, -2.0979259834686953e-09,
            9.578108642303533e-09, 1.9454128113961554e-08, -2.701165180102501e-08,
            -1.1641854592611652e-07, 1.992732181331363e-08, 5.818591068926917e-07,
            3.4250794243102623e-07, -2.807894357569154e-06, -3.188662049116423e-06,
            1.4887791236177921e-05, 1.9893344615216637e-05, -9.624419076970786e-05,
            -8.108750885003464e-05, 0.000749722122355924, -0.00047272734590219983,
            -0.005151040082175343, 0.020423374660062863, -0.041237929250779355,
            0.0496029774014633, -0.02243020572551263, -0.04679514018372027, 0.44440096988866873
        ):
            np.multiply(t_9, t_10, out=t_9)  # (23)
            np.add(t_9, coefficient, out=t_9)  # (23)
        np.add(t_7, ws.number_0_70711, out=t_13)  # (23)
        np.divide(t_9, t_13, out=t_9)  # (23)
        np.multiply(t_9, t_7, out=t_7)  # (23)
        np.multiply(z_7_bar, t_7, out=t_7)  # (23)
        np.maximum(z_7, ws.zero, out=a_7)  # (23)
        np.subtract(a_7, t_7, out=a_7)  # (23)
        # (99) z_7_bar[n,i,j] = (1 + sqrt(2)*exp(-z_7[n,i,j]**2/2)*z_7[n,i,j]/sqrt(pi) +
        #     erf(sqrt(2)*z_7[n,i,j]/2))*a_7_bar[n,i,j]/2
        np.multiply(z_7, ws.number_0_7071067811865476_1_772453850905516, out=t_7)  # (99)
        np.less(z_7, ws.zero, out=t_15)  # (99)
        np.multiply(t_15, t_9, out=t_16)  # (99)
        np.multiply(t_16, ws.two, out=t_16)  # (99)
        np.subtract(t_9, t_16, out=t_9)  # (99)
        np.subtract(t_9, t_7, out=t_9)  # (99)
        np.multiply(z_7_bar, t_9, out=z_7_bar)  # (99)
        np.less_equal(ws.zero, z_7, out=t_15)  # (99)
        np.subtract(t_15, z_7_bar, out=z_7_bar)  # (99)
    # (24) z_8[n,i,d] = sum[j](a_7[n,i,j]*W_8[j,d]) + b_8[d]
    np.dot(ws.a_7_matrix, ws.W_8, out=ws.z_8_matrix)  # (24)
    for z_8, b_8, y_9, y_5 in ws.y_9_tiles:
        np.add(z_8, b_8, out=z_8)  # (24)
        # (25) y_9[n,i,d] = y_5[n,i,d] + z_8[n,i,d]
        np.add(y_5, z_8, out=y_9)  # (25)
    # (26) mu_10[n,i] = mean[d](y_9[n,i,d])
    np.dot(ws.y_9_matrix, ws.ones, out=ws.mu_10_flat)  # (26)
    np.multiply(ws.mu_10, ws.number_0_015625, out=ws.mu_10)  # (26)
    # (27) m_10[n,i] = mean[d]((y_9[n,i,d] - mu_10[n,i])**2)
    np.subtract(ws.y_9, ws.mu_10_wide, out=ws.x_hat_10)  # (27)
    np.vecdot(ws.x_hat_10, ws.x_hat_10, out=ws.m_10)  # (27)
    np.multiply(ws.m_10, ws.number_0_015625, out=ws.m_10)  # (27)
    # (28) sd_10[n,i] = sqrt(0.00001 + m_10[n,i])
    np.add(ws.m_10, ws.number_1e_minus_5, out=ws.sd_10)  # (28)
    np.sqrt(ws.sd_10, out=ws.sd_10)  # (28)
    for x_hat_10, sd_10, y_10, gamma_10, beta_10 in ws.y_10_tiles:
        # (29) x_hat_10[n,i,d] = (y_9[n,i,d] - mu_10[n,i])/sd_10[n,i]
        np.divide(x_hat_10, sd_10, out=x_hat_10)  # (29)
        # (30) y_10[n,i,d] = x_hat_10[n,i,d]*gamma_10[d] + beta_10[d]
        np.multiply(gamma_10, x_hat_10, out=y_10)  # (30)
        np.add(y_10, beta_10, out=y_10)  # (30)
    # (31) q_11[n,i,h,k] = sum[d](y_10[n,i,d]*W_q_11[d,h,k]) + b_q_11[h,k]
    np.dot(ws.y_10_matrix, ws.W_q_11_matrix, out=ws.q_11_matrix)  # (31)
    np.add(ws.q_11, ws.b_q_11, out=ws.q_11)  # (31)
    # (32) r_11[n,s,h,k] = sum[d](y_10[n,s,d]*W_k_11[d,h,k]) + b_k_11[h,k]
    np.dot(ws.y_10_matrix, ws.W_k_11_matrix, out=ws.r_11_matrix)  # (32)
    np.add(ws.r_11, ws.b_k_11, out=ws.r_11)  # (32)
    # (33) v_11[n,s,h,k] = sum[d](y_10[n,s,d]*W_v_11[d,h,k]) + b_v_11[h,k]
    np.dot(ws.y_10_matrix, ws.W_v_11_matrix, out=ws.v_11_matrix)  # (33)
    np.add(ws.v_11, ws.b_v_11, out=ws.v_11)  # (33)
    # (34) S_11[n,h,i,s] = sum[k](q_11[n,i,h,k]*r_11[n,s,h,k]/4)
    np.multiply(ws.q_11_turned, ws.number_0_25, out=ws.t_18)  # (34)
    np.matmul(ws.t_18, ws.r_11_turned, out=ws.S_11)  # (34)
    # (35) l_2[n,h,i] = log(sum[u](where(u <= i, exp(S_11[n,h,i,u]), 0)))
    np.copyto(ws.t_19, -np.inf)  # (35)
    np.copyto(ws.t_19, ws.S_11, where=ws.t_2)  # (35)
    np.maximum.reduce(ws.t_19, axis=3, out=ws.t_20)  # (35)
    for P_11, S_11, t_20, t_2 in ws.l_2_tiles:
        np.subtract(S_11, t_20, out=P_11)  # (35)
        np.minimum(P_11, ws.zero, out=P_11)  # (35)
        np.exp(P_11, out=P_11)  # (35)
        np.multiply(P_11, t_2, out=P_11)  # (35)
    np.matmul(ws.P_11_split_turned, ws.t_21[..., None], out=ws.t_22_matrix_T[..., None])  # (35)
    # (36) P_11[n,h,i,s] = where(s <= i, exp(S_11[n,h,i,s] - l_2[n,h,i]), 0)
    np.divide(ws.P_11, ws.t_22_wide, out=ws.P_11)  # (36)
    # (37) o_11[n,i,h,k] = sum[s](P_11[n,h,i,s]*v_11[n,s,h,k])
    np.matmul(ws.P_11, ws.v_11_turned, out=ws.o_11_turned)  # (37)
    # (38) y_11[n,i,e] = sum[h,k](o_11[n,i,h,k]*W_o_11[h,k,e]) + b_o_11[e]
    np.dot(ws.o_11_matrix, ws.W_o_11_matrix, out=ws.y_11_matrix)  # (38)
    for y_11, b_o_11, y_12, y_9 in ws.y_12_tiles:
        np.add(y_11, b_o_11, out=y_11)  # (38)
        # (39) y_12[n,i,d] = y_11[n,i,d] + y_9[n,i,d]
        np.add(y_11, y_9, out=y_12)  # (39)
    # (40) mu_13[n,i] = mean[d](y_12[n,i,d])
    np.dot(ws.y_12_matrix, ws.ones, out=ws.mu_13_flat)  # (40)
    np.multiply(ws.mu_13, ws.number_0_015625, out=ws.mu_13)  # (40)
    # (41) m_13[n,i] = mean[d]((y_12[n,i,d] - mu_13[n,i])**2)
    np.subtract(ws.y_12, ws.mu_13_wide, out=ws.x_hat_13)  # (41)
    np.vecdot(ws.x_hat_13, ws.x_hat_13, out=ws.m_13)  # (41)
    np.multiply(ws.m_13, ws.number_0_015625, out=ws.m_13)  # (41)
    # (42) sd_13[n,i] = sqrt(0.00001 + m_13[n,i])
    np.add(ws.m_13, ws.number_1e_minus_5, out=ws.sd_13)  # (42)
    np.sqrt(ws.sd_13, out=ws.sd_13)  # (42)
    for x_hat_13, sd_13, y_13, gamma_13, beta_13 in ws.y_13_tiles:
        # (43) x_hat_13[n,i,d] = (y_12[n,i,d] - mu_13[n,i])/sd_13[n,i]
        np.divide(x_hat_13, sd_13, out=x_hat_13)  # (43)
        # (44) y_13[n,i,d] = x_hat_13[n,i,d]*gamma_13[d] + beta_13[d]
        np.multiply(gamma_13, x_hat_13, out=y_13)  # (44)
        np.add(y_13, beta_13, out=y_13)  # (44)
    # (45) z_14[n,i,j] = sum[d](y_13[n,i,d]*W_14[d,j]) + b_14[j]
    np.dot(ws.y_13_matrix, ws.W_14, out=ws.z_14_matrix)  # (45)
    for (
        z_14, b_14, t_24, z_14_bar, t_26, t_29, a_14, t_23, t_25, t_31,
        t_32
    ) in ws.z_14_bar_tiles:
        np.add(z_14, b_14, out=z_14)  # (45)
        # (46) a_14[n,i,j] = (1 + erf(sqrt(2)*z_14[n,i,j]/2))*z_14[n,i,j]/2
        np.abs(z_14, out=t_23)  # (46)
        np.minimum(t_23, ws.number_40, out=t_23)  # (46)
        np.multiply(t_23, ws.number_32, out=t_24)  # (46)
        np.rint(t_24, out=t_24)  # (46)
        np.multiply(t_24, ws.number_0_03125, out=t_24)  # (46)
        np.subtract(t_23, t_24, out=z_14_bar)  # (46)
        np.add(t_24, t_23, out=t_25)  # (46)
        np.multiply(z_14_bar, t_25, out=z_14_bar)  # (46)
        np.multiply(z_14_bar, ws.minus_0_5, out=z_14_bar)  # (46)
        np.exp(z_14_bar, out=z_14_bar)  # (46)
        np.square(t_24, out=t_24)  # (46)
        np.multiply(t_24, ws.minus_0_5, out=t_24)  # (46)
        np.exp(t_24, out=t_24)  # (46)
        np.multiply(z_14_bar, t_24, out=z_14_bar)  # (46)
        np.subtract(t_23, ws.four, out=t_26)  # (46)
        np.add(t_23, ws.four, out=t_25)  # (46)
        np.divide(t_26, t_25, out=t_26)  # (46)
        np.multiply(t_26, ws.number_2_199e_minus_11, out=t_25)  # (46)
        np.add(t_25, ws.number_2_0431e_minus_10, out=t_25)  # (46)
        for coefficient in (  # (46)
            1.9934291811404328e-11, -2.007568973012324e-09, -2.0979259834686953e-09,
            9.578108642303533e-09, 1.9454128113961554e-08, -2.701165180102501e-08,
            -1.1641854592611652e-07, 1.992732181331363e-08, 5.818591068926917e-07,
            3.4250794243102623e-07, -2.807894357569154e-06, -3.188662049116423e-06,
            1.4887791236177921e-05, 1.9893344615216637e-05, -9.624419076970786e-05,
            -8.108750885003464e-05, 0.000749722122355924, -0.00047272734590219983,
            -0.005151040082175343, 0.020423374660062863, -0.041237929250779355,
            0.0496029774014633, -0.02243020572551263, -0.04679514018372027, 0.44440096988866873
        ):
            np.multiply(t_25, t_26, out=t_25)  # (46)
            np.add(t_25, coefficient, out=t_25)  # (46)
        np.add(t_23, ws.number_0_70711, out=t_29)  # (46)
        np.divide(t_25, t_29, out=t_25)  # (46)
        np.multiply(t_25, t_23, out=t_23)  # (46)
        np.multiply(z_14_bar, t_23, out=t_23)  # (46)
        np.maximum(z_14, ws.zero, out=a_14)  # (46)
        np.subtract(a_14, t_23, out=a_14)  # (46)
        # (69) z_14_bar[n,i,j] = (1 + sqrt(2)*exp(-z_14[n,i,j]**2/2)*z_14[n,i,j]/sqrt(pi) +
        #     erf(sqrt(2)*z_14[n,i,j]/2))*a_14_bar[n,i,j]/2
        np.multiply(z_14, ws.number_0_7071067811865476_1_772453850905516, out=t_23)  # (69)
        np.less(z_14, ws.zero, out=t_31)  # (69)
        np.multiply(t_31, t_25, out=t_32)  # (69)
        np.multiply(t_32, ws.two, out=t_32)  # (69)
        np.subtract(t_25, t_32, out=t_25)  # (69)
        np.subtract(t_25, t_23, out=t_25)  # (69)
        np.multiply(z_14_bar, t_25, out=z_14_bar)  # (69)
        np.less_equal(ws.zero, z_14, out=t_31)  # (69)
        np.subtract(t_31, z_14_bar, out=z_14_bar)  # (69)
    # (47) z_15[n,i,d] = sum[j](a_14[n,i,j]*W_15[j,d]) + b_15[d]
    np.dot(ws.a_14_matrix, ws.W_15, out=ws.z_15_matrix)  # (47)
    for z_15, b_15, y_16, y_12 in ws.y_16_tiles:
        np.add(z_15, b_15, out=z_15)  # (47)
        # (48) y_16[n,i,d] = y_12[n,i,d] + z_15[n,i,d]
        np.add(y_12, z_15, out=y_16)  # (48)
    # (49) mu_17[n,i] = mean[d](y_16[n,i,d])
    np.dot(ws.y_16_matrix, ws.ones, out=ws.mu_17_flat)  # (49)
    np.multiply(ws.mu_17, ws.number_0_015625, out=ws.mu_17)  # (49)
    # (50) m_17[n,i] = mean[d]((y_16[n,i,d] - mu_17[n,i])**2)
    np.subtract(ws.y_16, ws.mu_17_wide, out=ws.x_hat_17)  # (50)
    np.vecdot(ws.x_hat_17, ws.x_hat_17, out=ws.m_17)  # (50)
    np.multiply(ws.m_17, ws.number_0_015625, out=ws.m_17)  # (50)
    # (51) sd_17[n,i] = sqrt(0.00001 + m_17[n,i])
    np.add(ws.m_17, ws.number_1e_minus_5, out=ws.sd_17)  # (51)
    np.sqrt(ws.sd_17, out=ws.sd_17)  # (51)
    for x_hat_17, sd_17, y_17, gamma_17, beta_17 in ws.y_17_tiles:
        # (52) x_hat_17[n,i,d] = (y_16[n,i,d] - mu_17[n,i])/sd_17[n,i]
        np.divide(x_hat_17, sd_17, out=x_hat_17)  # (52)
        # (53) y_17[n,i,d] = x_hat_17[n,i,d]*gamma_17[d] + beta_17[d]
        np.multiply(gamma_17, x_hat_17, out=y_17)  # (53)
        np.add(y_17, beta_17, out=y_17)  # (53)
    # (54) z_18[n,i,v] = sum[d](y_17[n,i,d]*W_18[d,v]) + b_18[v]
    np.dot(ws.y_17_matrix, ws.W_18, out=ws.z_18_matrix)  # (54)
    np.add(ws.z_18, ws.b_18, out=ws.z_18)  # (54)
    # (55) l[n,i] = logsumexp[v](z_18[n,i,v])
    np.maximum.reduce(ws.z_18, axis=2, out=ws.t_34)  # (55)
    for p, z_18, t_34 in ws.l_tiles:
        np.subtract(z_18, t_34, out=p)  # (55)
        np.exp(p, out=p)  # (55)
    np.dot(ws.p_matrix, ws.ones, out=ws.t_35_flat)  # (55)
    np.log(ws.t_35, out=ws.t_36)  # (55)
    # (56) p[n,i,v] = exp(z_18[n,i,v] - l[n,i])
    np.divide(ws.p, ws.t_35_wide, out=ws.p)  # (56)
    # (57) L = mean[n,i](l[n,i] - z_18[n,i,y[n,i]])
    np.add(ws.t_40, ws.y, out=ws.t_41)  # (57)
    ws.z_18_flat.take(ws.t_41, None, ws.t_37, "clip")  # (57)
    np.subtract(ws.t_37, ws.t_34, out=ws.t_37)  # (57)
    np.subtract(ws.t_36, ws.t_37, out=ws.t_36)  # (57)
    t_42 = np.add.reduce(ws.t_36, axis=None)  # (57)
    L = t_42 / (64*N)  # (57)
    return L


def loss_backward(ws):
    """The cotangent z_18_bar of the output."""
    # (58) z_18_bar[n,i,v] = 0.015625*(p[n,i,v] - (v == y[n,i]))/N
    ws.z_18_bar_flat[ws.t_41] -= ws.one  # (58)
    np.multiply(ws.z_18_bar, ws.number_0_015625_N, out=ws.z_18_bar)  # (58)


def backward_pass(ws):
    """The cotangents of all parameters, from z_18_bar."""
    # (59) b_18_bar[v] = sum[n,i](z_18_bar[n,i,v])
    np.dot(ws.ones_1, ws.z_18_bar_matrix, out=ws.b_18_bar)  # (59)
    # (60) W_18_bar[d,v] = sum[n,i](y_17[n,i,d]*z_18_bar[n,i,v])
    np.dot(ws.x_hat_17_matrix_T, ws.z_18_bar_matrix, out=ws.t_43)  # (60)
    np.multiply(ws.beta_17_column, ws.b_18_bar, out=ws.W_18_bar)  # (60)
    np.multiply(ws.gamma_17_column, ws.t_43, out=ws.t_43)  # (60)
    np.add(ws.W_18_bar, ws.t_43, out=ws.W_18_bar)  # (60)
    # (61) y_17_bar[n,i,d] = sum[v](z_18_bar[n,i,v]*W_18[d,v])
    np.dot(ws.z_18_bar_matrix, ws.W_18_T, out=ws.y_17_bar_matrix)  # (61)
    # (62) gamma_17_bar[d] = sum[n,i](x_hat_17[n,i,d]*y_17_bar[n,i,d])
    np.einsum("nid,nid->d", ws.x_hat_17, ws.y_17_bar, out=ws.gamma_17_bar)  # (62)
    # (63) beta_17_bar[d] = sum[n,i](y_17_bar[n,i,d])
    np.dot(ws.ones_1, ws.y_17_bar_matrix, out=ws.beta_17_bar)  # (63)
    # (64) x_hat_17_bar[n,i,d] = y_17_bar[n,i,d]*gamma_17[d]
    np.multiply(ws.gamma_17, ws.y_17_bar, out=ws.x_hat_17_bar)  # (64)
    # (65) y_16_bar[n,i,d] = (x_hat_17_bar[n,i,d] - mean[d_1](x_hat_17_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_17[n,i,d_1]*x_hat_17_bar[n,i,d_1])*x_hat_17[n,i,d])/sd_17[n,i]
    np.dot(ws.x_hat_17_bar_matrix, ws.ones, out=ws.t_44_flat)  # (65)
    np.multiply(ws.t_44, ws.number_0_015625, out=ws.t_44)  # (65)
    np.vecdot(ws.x_hat_17, ws.x_hat_17_bar, out=ws.t_45)  # (65)
    np.multiply(ws.t_45, ws.number_0_015625, out=ws.t_45)  # (65)
    for y_16_bar, t_45, x_hat_17, x_hat_17_bar, t_44, sd_17 in ws.y_16_bar_tiles:
        np.multiply(t_45, x_hat_17, out=y_16_bar)  # (65)
        np.subtract(x_hat_17_bar, y_16_bar, out=y_16_bar)  # (65)
        np.subtract(y_16_bar, t_44, out=y_16_bar)  # (65)
        np.divide(y_16_bar, sd_17, out=y_16_bar)  # (65)
    # (66) b_15_bar[d] = sum[n,i](y_16_bar[n,i,d])
    np.dot(ws.ones_1, ws.y_16_bar_matrix, out=ws.b_15_bar)  # (66)
    # (67) W_15_bar[j,d] = sum[n,i](a_14[n,i,j]*y_16_bar[n,i,d])
    np.dot(ws.a_14_matrix_T, ws.y_16_bar_matrix, out=ws.W_15_bar)  # (67)
    # (68) a_14_bar[n,i,j] = sum[d](y_16_bar[n,i,d]*W_15[j,d])
    np.dot(ws.y_16_bar_matrix, ws.W_15_T, out=ws.a_14_bar_matrix)  # (68)
    # (69) z_14_bar[n,i,j] = (1 + sqrt(2)*exp(-z_14[n,i,j]**2/2)*z_14[n,i,j]/sqrt(pi) +
    #     erf(sqrt(2)*z_14[n,i,j]/2))*a_14_bar[n,i,j]/2
    np.multiply(ws.a_14_bar, ws.z_14_bar, out=ws.z_14_bar)  # (69)
    # (70) b_14_bar[j] = sum[n,i](z_14_bar[n,i,j])
    np.dot(ws.ones_1, ws.z_14_bar_matrix, out=ws.b_14_bar)  # (70)
    # (71) W_14_bar[d,j] = sum[n,i](y_13[n,i,d]*z_14_bar[n,i,j])
    np.dot(ws.x_hat_13_matrix_T, ws.z_14_bar_matrix, out=ws.t_46)  # (71)
    np.multiply(ws.beta_13_column, ws.b_14_bar, out=ws.W_14_bar)  # (71)
    np.multiply(ws.gamma_13_column, ws.t_46, out=ws.t_46)  # (71)
    np.add(ws.W_14_bar, ws.t_46, out=ws.W_14_bar)  # (71)
    # (72) y_13_bar[n,i,d] = sum[j](z_14_bar[n,i,j]*W_14[d,j])
    np.dot(ws.z_14_bar_matrix, ws.W_14_T, out=ws.y_13_bar_matrix)  # (72)
    # (73) gamma_13_bar[d] = sum[n,i](x_hat_13[n,i,d]*y_13_bar[n,i,d])
    np.einsum("nid,nid->d", ws.x_hat_13, ws.y_13_bar, out=ws.gamma_13_bar)  # (73)
    # (74) beta_13_bar[d] = sum[n,i](y_13_bar[n,i,d])
    np.dot(ws.ones_1, ws.y_13_bar_matrix, out=ws.beta_13_bar)  # (74)
    # (75) x_hat_13_bar[n,i,d] = y_13_bar[n,i,d]*gamma_13[d]
    np.multiply(ws.gamma_13, ws.y_13_bar, out=ws.x_hat_13_bar)  # (75)
    # (76) y_12_bar[n,i,d] = (x_hat_13_bar[n,i,d] - mean[d_1](x_hat_13_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_13[n,i,d_1]*x_hat_13_bar[n,i,d_1])*x_hat_13[n,i,d])/sd_13[n,i] +
    #     y_16_bar[n,i,d]
    np.dot(ws.x_hat_13_bar_matrix, ws.ones, out=ws.t_47_flat)  # (76)
    np.multiply(ws.t_47, ws.number_0_015625, out=ws.t_47)  # (76)
    np.vecdot(ws.x_hat_13, ws.x_hat_13_bar, out=ws.t_48)  # (76)
    np.multiply(ws.t_48, ws.number_0_015625, out=ws.t_48)  # (76)
    for (
        y_12_bar, t_48, x_hat_13, x_hat_13_bar, t_47, sd_13, y_16_bar
    ) in ws.y_12_bar_tiles:
        np.multiply(t_48, x_hat_13, out=y_12_bar)  # (76)
        np.subtract(x_hat_13_bar, y_12_bar, out=y_12_bar)  # (76)
        np.subtract(y_12_bar, t_47, out=y_12_bar)  # (76)
        np.divide(y_12_bar, sd_13, out=y_12_bar)  # (76)
        np.add(y_12_bar, y_16_bar, out=y_12_bar)  # (76)
    # (77) b_o_11_bar[e] = sum[n,i](y_12_bar[n,i,e])
    np.dot(ws.ones_1, ws.y_12_bar_matrix, out=ws.b_o_11_bar)  # (77)
    # (78) W_o_11_bar[h,k,e] = sum[n,i](o_11[n,i,h,k]*y_12_bar[n,i,e])
    np.dot(ws.o_11_matrix_T, ws.y_12_bar_matrix, out=ws.W_o_11_bar_matrix)  # (78)
    # (79) o_11_bar[n,i,h,k] = sum[e](y_12_bar[n,i,e]*W_o_11[h,k,e])
    np.dot(ws.y_12_bar_matrix, ws.W_o_11_matrix_T, out=ws.o_11_bar_matrix)  # (79)
    # (80) P_11_bar[n,h,i,s] = sum[k](o_11_bar[n,i,h,k]*v_11[n,s,h,k])
    np.matmul(ws.o_11_bar_turned, ws.v_11_turned_b, out=ws.P_11_bar)  # (80)
    # (81) S_11_bar[n,h,i,s] = P_11[n,h,i,s]*(P_11_bar[n,h,i,s] -
    #     sum[s_1](P_11[n,h,i,s_1]*P_11_bar[n,h,i,s_1]))
    np.einsum("niha,niha->nhi", ws.o_11, ws.o_11_bar, out=ws.t_49)  # (81)
    for S_11_bar, P_11_bar, t_49, P_11 in ws.S_11_bar_tiles:
        np.subtract(P_11_bar, t_49, out=S_11_bar)  # (81)
        np.multiply(S_11_bar, P_11, out=S_11_bar)  # (81)
    # (82) v_11_bar[n,s,h,k] = sum[i](P_11[n,h,i,s]*o_11_bar[n,i,h,k])
    np.matmul(ws.P_11_turned, ws.o_11_bar_turned, out=ws.v_11_bar_turned)  # (82)
    # (83) b_v_11_bar[h,k] = sum[n,s](v_11_bar[n,s,h,k])
    np.dot(ws.ones_1, ws.v_11_bar_matrix, out=ws.b_v_11_bar_flat)  # (83)
    # (84) W_v_11_bar[d,h,k] = sum[n,s](y_10[n,s,d]*v_11_bar[n,s,h,k])
    np.dot(ws.x_hat_10_matrix_T, ws.v_11_bar_matrix, out=ws.t_50_matrix)  # (84)
    np.multiply(ws.beta_10_wide, ws.b_v_11_bar, out=ws.W_v_11_bar)  # (84)
    np.multiply(ws.gamma_10_wide, ws.t_50, out=ws.t_50)  # (84)
    np.add(ws.W_v_11_bar, ws.t_50, out=ws.W_v_11_bar)  # (84)
    # (85) r_11_bar[n,s,h,k] = sum[i](S_11_bar[n,h,i,s]*q_11[n,i,h,k])/4
    np.matmul(ws.S_11_bar_turned, ws.q_11_turned, out=ws.r_11_bar_turned)  # (85)
    np.multiply(ws.r_11_bar, ws.number_0_25, out=ws.r_11_bar)  # (85)
    # (86) b_k_11_bar[h,k] = sum[n,s](r_11_bar[n,s,h,k])
    np.dot(ws.ones_1, ws.r_11_bar_matrix, out=ws.b_k_11_bar_flat)  # (86)
    # (87) W_k_11_bar[d,h,k] = sum[n,s](y_10[n,s,d]*r_11_bar[n,s,h,k])
    np.dot(ws.x_hat_10_matrix_T, ws.r_11_bar_matrix, out=ws.t_51_matrix)  # (87)
    np.multiply(ws.beta_10_wide, ws.b_k_11_bar, out=ws.W_k_11_bar)  # (87)
    np.multiply(ws.gamma_10_wide, ws.t_51, out=ws.t_51)  # (87)
    np.add(ws.W_k_11_bar, ws.t_51, out=ws.W_k_11_bar)  # (87)
    # (88) q_11_bar[n,i,h,k] = sum[s](S_11_bar[n,h,i,s]*r_11[n,s,h,k])/4
    np.matmul(ws.S_11_bar, ws.r_11_turned_b, out=ws.q_11_bar_turned)  # (88)
    np.multiply(ws.q_11_bar, ws.number_0_25, out=ws.q_11_bar)  # (88)
    # (89) b_q_11_bar[h,k] = sum[n,i](q_11_bar[n,i,h,k])
    np.dot(ws.ones_1, ws.q_11_bar_matrix, out=ws.b_q_11_bar_flat)  # (89)
    # (90) W_q_11_bar[d,h,k] = sum[n,i](y_10[n,i,d]*q_11_bar[n,i,h,k])
    np.dot(ws.x_hat_10_matrix_T, ws.q_11_bar_matrix, out=ws.t_52_matrix)  # (90)
    np.multiply(ws.beta_10_wide, ws.b_q_11_bar, out=ws.W_q_11_bar)  # (90)
    np.multiply(ws.gamma_10_wide, ws.t_52, out=ws.t_52)  # (90)
    np.add(ws.W_q_11_bar, ws.t_52, out=ws.W_q_11_bar)  # (90)
    # (91) y_10_bar[n,i,d] = sum[h,k](r_11_bar[n,i,h,k]*W_k_11[d,h,k]) +
    #     sum[h,k](q_11_bar[n,i,h,k]*W_q_11[d,h,k]) + sum[h,k](v_11_bar[n,i,h,k]*W_v_11[d,h,k])
    np.dot(ws.r_11_bar_matrix, ws.W_k_11_matrix_T, out=ws.y_10_bar_matrix)  # (91)
    np.dot(ws.q_11_bar_matrix, ws.W_q_11_matrix_T, out=ws.t_53_matrix)  # (91)
    np.dot(ws.v_11_bar_matrix, ws.W_v_11_matrix_T, out=ws.t_54_matrix)  # (91)
    for y_10_bar, t_53, t_54 in ws.y_10_bar_tiles:
        np.add(y_10_bar, t_53, out=y_10_bar)  # (91)
        np.add(y_10_bar, t_54, out=y_10_bar)  # (91)
    # (92) gamma_10_bar[d] = sum[n,i](x_hat_10[n,i,d]*y_10_bar[n,i,d])
    np.einsum("nid,nid->d", ws.x_hat_10, ws.y_10_bar, out=ws.gamma_10_bar)  # (92)
    # (93) beta_10_bar[d] = sum[n,i](y_10_bar[n,i,d])
    np.dot(ws.ones_1, ws.y_10_bar_matrix, out=ws.beta_10_bar)  # (93)
    # (94) x_hat_10_bar[n,i,d] = y_10_bar[n,i,d]*gamma_10[d]
    np.multiply(ws.gamma_10, ws.y_10_bar, out=ws.x_hat_10_bar)  # (94)
    # (95) y_9_bar[n,i,d] = (x_hat_10_bar[n,i,d] - mean[d_1](x_hat_10_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_10[n,i,d_1]*x_hat_10_bar[n,i,d_1])*x_hat_10[n,i,d])/sd_10[n,i] +
    #     y_12_bar[n,i,d]
    np.dot(ws.x_hat_10_bar_matrix, ws.ones, out=ws.t_55_flat)  # (95)
    np.multiply(ws.t_55, ws.number_0_015625, out=ws.t_55)  # (95)
    np.vecdot(ws.x_hat_10, ws.x_hat_10_bar, out=ws.t_56)  # (95)
    np.multiply(ws.t_56, ws.number_0_015625, out=ws.t_56)  # (95)
    for (
        y_9_bar, t_56, x_hat_10, x_hat_10_bar, t_55, sd_10, y_12_bar
    ) in ws.y_9_bar_tiles:
        np.multiply(t_56, x_hat_10, out=y_9_bar)  # (95)
        np.subtract(x_hat_10_bar, y_9_bar, out=y_9_bar)  # (95)
        np.subtract(y_9_bar, t_55, out=y_9_bar)  # (95)
        np.divide(y_9_bar, sd_10, out=y_9_bar)  # (95)
        np.add(y_9_bar, y_12_bar, out=y_9_bar)  # (95)
    # (96) b_8_bar[d] = sum[n,i](y_9_bar[n,i,d])
    np.dot(ws.ones_1, ws.y_9_bar_matrix, out=ws.b_8_bar)  # (96)
    # (97) W_8_bar[j,d] = sum[n,i](a_7[n,i,j]*y_9_bar[n,i,d])
    np.dot(ws.a_7_matrix_T, ws.y_9_bar_matrix, out=ws.W_8_bar)  # (97)
    # (98) a_7_bar[n,i,j] = sum[d](y_9_bar[n,i,d]*W_8[j,d])
    np.dot(ws.y_9_bar_matrix, ws.W_8_T, out=ws.a_7_bar_matrix)  # (98)
    # (99) z_7_bar[n,i,j] = (1 + sqrt(2)*exp(-z_7[n,i,j]**2/2)*z_7[n,i,j]/sqrt(pi) +
    #     erf(sqrt(2)*z_7[n,i,j]/2))*a_7_bar[n,i,j]/2
    np.multiply(ws.a_7_bar, ws.z_7_bar, out=ws.z_7_bar)  # (99)
    # (100) b_7_bar[j] = sum[n,i](z_7_bar[n,i,j])
    np.dot(ws.ones_1, ws.z_7_bar_matrix, out=ws.b_7_bar)  # (100)
    # (101) W_7_bar[d,j] = sum[n,i](y_6[n,i,d]*z_7_bar[n,i,j])
    np.dot(ws.x_hat_6_matrix_T, ws.z_7_bar_matrix, out=ws.t_57)  # (101)
    np.multiply(ws.beta_6_column, ws.b_7_bar, out=ws.W_7_bar)  # (101)
    np.multiply(ws.gamma_6_column, ws.t_57, out=ws.t_57)  # (101)
    np.add(ws.W_7_bar, ws.t_57, out=ws.W_7_bar)  # (101)
    # (102) y_6_bar[n,i,d] = sum[j](z_7_bar[n,i,j]*W_7[d,j])
    np.dot(ws.z_7_bar_matrix, ws.W_7_T, out=ws.y_6_bar_matrix)  # (102)
    # (103) gamma_6_bar[d] = sum[n,i](x_hat_6[n,i,d]*y_6_bar[n,i,d])
    np.einsum("nid,nid->d", ws.x_hat_6, ws.y_6_bar, out=ws.gamma_6_bar)  # (103)
    # (104) beta_6_bar[d] = sum[n,i](y_6_bar[n,i,d])
    np.dot(ws.ones_1, ws.y_6_bar_matrix, out=ws.beta_6_bar)  # (104)
    # (105) x_hat_6_bar[n,i,d] = y_6_bar[n,i,d]*gamma_6[d]
    np.multiply(ws.gamma_6, ws.y_6_bar, out=ws.x_hat_6_bar)  # (105)
    # (106) y_5_bar[n,i,d] = (x_hat_6_bar[n,i,d] - mean[d_1](x_hat_6_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_6[n,i,d_1]*x_hat_6_bar[n,i,d_1])*x_hat_6[n,i,d])/sd_6[n,i] +
    #     y_9_bar[n,i,d]
    np.dot(ws.x_hat_6_bar_matrix, ws.ones, out=ws.t_58_flat)  # (106)
    np.multiply(ws.t_58, ws.number_0_015625, out=ws.t_58)  # (106)
    np.vecdot(ws.x_hat_6, ws.x_hat_6_bar, out=ws.t_59)  # (106)
    np.multiply(ws.t_59, ws.number_0_015625, out=ws.t_59)  # (106)
    for (
        y_5_bar, t_59, x_hat_6, x_hat_6_bar, t_58, sd_6, y_9_bar
    ) in ws.y_5_bar_tiles:
        np.multiply(t_59, x_hat_6, out=y_5_bar)  # (106)
        np.subtract(x_hat_6_bar, y_5_bar, out=y_5_bar)  # (106)
        np.subtract(y_5_bar, t_58, out=y_5_bar)  # (106)
        np.divide(y_5_bar, sd_6, out=y_5_bar)  # (106)
        np.add(y_5_bar, y_9_bar, out=y_5_bar)  # (106)
    # (107) b_o_4_bar[e] = sum[n,i](y_5_bar[n,i,e])
    np.dot(ws.ones_1, ws.y_5_bar_matrix, out=ws.b_o_4_bar)  # (107)
    # (108) W_o_4_bar[h,k,e] = sum[n,i](o_4[n,i,h,k]*y_5_bar[n,i,e])
    np.dot(ws.o_4_matrix_T, ws.y_5_bar_matrix, out=ws.W_o_4_bar_matrix)  # (108)
    # (109) o_4_bar[n,i,h,k] = sum[e](y_5_bar[n,i,e]*W_o_4[h,k,e])
    np.dot(ws.y_5_bar_matrix, ws.W_o_4_matrix_T, out=ws.o_4_bar_matrix)  # (109)
    # (110) P_4_bar[n,h,i,s] = sum[k](o_4_bar[n,i,h,k]*v_4[n,s,h,k])
    np.matmul(ws.o_4_bar_turned, ws.v_4_turned_b, out=ws.P_4_bar)  # (110)
    # (111) S_4_bar[n,h,i,s] = P_4[n,h,i,s]*(P_4_bar[n,h,i,s] -
    #     sum[s_1](P_4[n,h,i,s_1]*P_4_bar[n,h,i,s_1]))
    np.einsum("niha,niha->nhi", ws.o_4, ws.o_4_bar, out=ws.t_60)  # (111)
    for S_4_bar, P_4_bar, t_60, P_4 in ws.S_4_bar_tiles:
        np.subtract(P_4_bar, t_60, out=S_4_bar)  # (111)
        np.multiply(S_4_bar, P_4, out=S_4_bar)  # (111)
    # (112) v_4_bar[n,s,h,k] = sum[i](P_4[n,h,i,s]*o_4_bar[n,i,h,k])
    np.matmul(ws.P_4_turned, ws.o_4_bar_turned, out=ws.v_4_bar_turned)  # (112)
    # (113) b_v_4_bar[h,k] = sum[n,s](v_4_bar[n,s,h,k])
    np.dot(ws.ones_1, ws.v_4_bar_matrix, out=ws.b_v_4_bar_flat)  # (113)
    # (114) W_v_4_bar[d,h,k] = sum[n,s](y_3[n,s,d]*v_4_bar[n,s,h,k])
    np.dot(ws.x_hat_3_matrix_T, ws.v_4_bar_matrix, out=ws.t_61_matrix)  # (114)
    np.multiply(ws.beta_3_wide, ws.b_v_4_bar, out=ws.W_v_4_bar)  # (114)
    np.multiply(ws.gamma_3_wide, ws.t_61, out=ws.t_61)  # (114)
    np.add(ws.W_v_4_bar, ws.t_61, out=ws.W_v_4_bar)  # (114)
    # (115) r_4_bar[n,s,h,k] = sum[i](S_4_bar[n,h,i,s]*q_4[n,i,h,k])/4
    np.matmul(ws.S_4_bar_turned, ws.q_4_turned, out=ws.r_4_bar_turned)  # (115)
    np.multiply(ws.r_4_bar, ws.number_0_25, out=ws.r_4_bar)  # (115)
    # (116) b_k_4_bar[h,k] = sum[n,s](r_4_bar[n,s,h,k])
    np.dot(ws.ones_1, ws.r_4_bar_matrix, out=ws.b_k_4_bar_flat)  # (116)
    # (117) W_k_4_bar[d,h,k] = sum[n,s](y_3[n,s,d]*r_4_bar[n,s,h,k])
    np.dot(ws.x_hat_3_matrix_T, ws.r_4_bar_matrix, out=ws.t_62_matrix)  # (117)
    np.multiply(ws.beta_3_wide, ws.b_k_4_bar, out=ws.W_k_4_bar)  # (117)
    np.multiply(ws.gamma_3_wide, ws.t_62, out=ws.t_62)  # (117)
    np.add(ws.W_k_4_bar, ws.t_62, out=ws.W_k_4_bar)  # (117)
    # (118) q_4_bar[n,i,h,k] = sum[s](S_4_bar[n,h,i,s]*r_4[n,s,h,k])/4
    np.matmul(ws.S_4_bar, ws.r_4_turned_b, out=ws.q_4_bar_turned)  # (118)
    np.multiply(ws.q_4_bar, ws.number_0_25, out=ws.q_4_bar)  # (118)
    # (119) b_q_4_bar[h,k] = sum[n,i](q_4_bar[n,i,h,k])
    np.dot(ws.ones_1, ws.q_4_bar_matrix, out=ws.b_q_4_bar_flat)  # (119)
    # (120) W_q_4_bar[d,h,k] = sum[n,i](y_3[n,i,d]*q_4_bar[n,i,h,k])
    np.dot(ws.x_hat_3_matrix_T, ws.q_4_bar_matrix, out=ws.t_63_matrix)  # (120)
    np.multiply(ws.beta_3_wide, ws.b_q_4_bar, out=ws.W_q_4_bar)  # (120)
    np.multiply(ws.gamma_3_wide, ws.t_63, out=ws.t_63)  # (120)
    np.add(ws.W_q_4_bar, ws.t_63, out=ws.W_q_4_bar)  # (120)
    # (121) y_3_bar[n,i,d] = sum[h,k](r_4_bar[n,i,h,k]*W_k_4[d,h,k]) +
    #     sum[h,k](q_4_bar[n,i,h,k]*W_q_4[d,h,k]) + sum[h,k](v_4_bar[n,i,h,k]*W_v_4[d,h,k])
    np.dot(ws.r_4_bar_matrix, ws.W_k_4_matrix_T, out=ws.t_64_matrix)  # (121)
    np.dot(ws.q_4_bar_matrix, ws.W_q_4_matrix_T, out=ws.t_65_matrix)  # (121)
    np.dot(ws.v_4_bar_matrix, ws.W_v_4_matrix_T, out=ws.y_3_bar_matrix)  # (121)
    for y_3_bar, t_64, t_65 in ws.y_3_bar_tiles:
        np.add(y_3_bar, t_64, out=y_3_bar)  # (121)
        np.add(y_3_bar, t_65, out=y_3_bar)  # (121)
    # (122) gamma_3_bar[d] = sum[n,i](x_hat_3[n,i,d]*y_3_bar[n,i,d])
    np.einsum("nid,nid->d", ws.x_hat_3, ws.y_3_bar, out=ws.gamma_3_bar)  # (122)
    # (123) beta_3_bar[d] = sum[n,i](y_3_bar[n,i,d])
    np.dot(ws.ones_1, ws.y_3_bar_matrix, out=ws.beta_3_bar)  # (123)
    # (124) x_hat_3_bar[n,i,d] = y_3_bar[n,i,d]*gamma_3[d]
    np.multiply(ws.gamma_3, ws.y_3_bar, out=ws.x_hat_3_bar)  # (124)
    # (125) y_2_bar[n,i,d] = (x_hat_3_bar[n,i,d] - mean[d_1](x_hat_3_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_3[n,i,d_1]*x_hat_3_bar[n,i,d_1])*x_hat_3[n,i,d])/sd_3[n,i] +
    #     y_5_bar[n,i,d]
    np.dot(ws.x_hat_3_bar_matrix, ws.ones, out=ws.t_66_flat)  # (125)
    np.multiply(ws.t_66, ws.number_0_015625, out=ws.t_66)  # (125)
    np.vecdot(ws.x_hat_3, ws.x_hat_3_bar, out=ws.t_67)  # (125)
    np.multiply(ws.t_67, ws.number_0_015625, out=ws.t_67)  # (125)
    for (
        y_2_bar, t_67, x_hat_3, x_hat_3_bar, t_66, sd_3, y_5_bar
    ) in ws.y_2_bar_tiles:
        np.multiply(t_67, x_hat_3, out=y_2_bar)  # (125)
        np.subtract(x_hat_3_bar, y_2_bar, out=y_2_bar)  # (125)
        np.subtract(y_2_bar, t_66, out=y_2_bar)  # (125)
        np.divide(y_2_bar, sd_3, out=y_2_bar)  # (125)
        np.add(y_2_bar, y_5_bar, out=y_2_bar)  # (125)
    # (126) P_2_bar[l,d] = sum[n](y_2_bar[n,l,d])
    np.dot(ws.ones_2, ws.y_2_bar_matrix, out=ws.P_2_bar_flat)  # (126)
    # (127) E_1_bar[v,d] = sum[n,i]((v == x[n,i])*y_2_bar[n,i,d])
    np.multiply(ws.x, ws.number_64_integer, out=ws.t_68)  # (127)
    np.copyto(ws.t_69, ws.d)  # (127)
    np.add(ws.t_69, ws.t_68_wide, out=ws.t_69)  # (127)
    ws.E_1_bar.fill(0)  # (127)
    np.add.at(ws.E_1_bar_flat, ws.t_69_flat, ws.y_2_bar_flat)  # (127)


class Inference:
    """The arrays of an answer to N samples; the parameters `p` are only read."""

    def __init__(ws, p, dtype, N):
        ws.dtype = dtype
        ws.E_1 = p["embedding_1.E"]  # 64 x 64
        ws.P_2 = p["positional_embedding_1.P"]  # 64 x 64
        ws.gamma_3 = p["transformer_block_1.gamma_1"]  # 64
        ws.beta_3 = p["transformer_block_1.beta_1"]  # 64
        ws.W_q_4 = p["transformer_block_1.W_q"]  # 64 x 4 x 16
        ws.W_k_4 = p["transformer_block_1.W_k"]  # 64 x 4 x 16
        ws.W_v_4 = p["transformer_block_1.W_v"]  # 64 x 4 x 16
        ws.b_q_4 = p["transformer_block_1.b_q"]  # 4 x 16
        ws.b_k_4 = p["transformer_block_1.b_k"]  # 4 x 16
        ws.b_v_4 = p["transformer_block_1.b_v"]  # 4 x 16
        ws.W_o_4 = p["transformer_block_1.W_o"]  # 4 x 16 x 64
        ws.b_o_4 = p["transformer_block_1.b_o"]  # 64
        ws.gamma_6 = p["transformer_block_1.gamma_2"]  # 64
        ws.beta_6 = p["transformer_block_1.beta_2"]  # 64
        ws.W_7 = p["transformer_block_1.W_1"]  # 64 x 256
        ws.b_7 = p["transformer_block_1.b_1"]  # 256
        ws.W_8 = p["transformer_block_1.W_2"]  # 256 x 64
        ws.b_8 = p["transformer_block_1.b_2"]  # 64
        ws.gamma_10 = p["transformer_block_2.gamma_1"]  # 64
        ws.beta_10 = p["transformer_block_2.beta_1"]  # 64
        ws.W_q_11 = p["transformer_block_2.W_q"]  # 64 x 4 x 16
        ws.W_k_11 = p["transformer_block_2.W_k"]  # 64 x 4 x 16
        ws.W_v_11 = p["transformer_block_2.W_v"]  # 64 x 4 x 16
        ws.b_q_11 = p["transformer_block_2.b_q"]  # 4 x 16
        ws.b_k_11 = p["transformer_block_2.b_k"]  # 4 x 16
        ws.b_v_11 = p["transformer_block_2.b_v"]  # 4 x 16
        ws.W_o_11 = p["transformer_block_2.W_o"]  # 4 x 16 x 64
        ws.b_o_11 = p["transformer_block_2.b_o"]  # 64
        ws.gamma_13 = p["transformer_block_2.gamma_2"]  # 64
        ws.beta_13 = p["transformer_block_2.beta_2"]  # 64
        ws.W_14 = p["transformer_block_2.W_1"]  # 64 x 256
        ws.b_14 = p["transformer_block_2.b_1"]  # 256
        ws.W_15 = p["transformer_block_2.W_2"]  # 256 x 64
        ws.b_15 = p["transformer_block_2.b_2"]  # 64
        ws.gamma_17 = p["layer_norm_1.gamma"]  # 64
        ws.beta_17 = p["layer_norm_1.beta"]  # 64
        ws.W_18 = p["dense_1.W"]  # 64 x 64
        ws.b_18 = p["dense_1.b"]  # 64
        ws.y_1 = _empty((N, 64, 64), dtype)
        ws.y_2 = ws.y_1
        ws.y_5 = ws.y_1
        ws.y_9 = ws.y_1
        ws.x_hat_13 = ws.y_1
        ws.y_13 = ws.y_1
        ws.z_15 = ws.y_1
        ws.z_18 = ws.y_1
        ws.slot_2 = _empty(4096*N, dtype)
        ws.mu_3 = ws.slot_2[:64*N].reshape(N, 64)
        ws.m_3 = ws.slot_2[:64*N].reshape(N, 64)
        ws.sd_3 = ws.slot_2[:64*N].reshape(N, 64)
        ws.t_4 = ws.slot_2[:256*N].reshape(N, 4, 64)
        ws.t_6 = ws.slot_2[:256*N].reshape(N, 4, 64)
        ws.mu_6 = ws.slot_2[:64*N].reshape(N, 64)
        ws.m_6 = ws.slot_2[:64*N].reshape(N, 64)
        ws.sd_6 = ws.slot_2[:64*N].reshape(N, 64)
        ws.mu_10 = ws.slot_2[:64*N].reshape(N, 64)
        ws.m_10 = ws.slot_2[:64*N].reshape(N, 64)
        ws.sd_10 = ws.slot_2[:64*N].reshape(N, 64)
        ws.t_17 = ws.slot_2[:256*N].reshape(N, 4, 64)
        ws.t_19 = ws.slot_2[:256*N].reshape(N, 4, 64)
        ws.y_11 = ws.slot_2[:4096*N].reshape(N, 64, 64)
        ws.y_12 = ws.slot_2[:4096*N].reshape(N, 64, 64)
        ws.y_16 = ws.slot_2[:4096*N].reshape(N, 64, 64)
        ws.x_hat_17 = ws.slot_2[:4096*N].reshape(N, 64, 64)
        ws.y_17 = ws.slot_2[:4096*N].reshape(N, 64, 64)
        ws.slot_3 = _empty(16384*N, dtype)
        ws.x_hat_3 = ws.slot_3[:4096*N].reshape(N, 64, 64)
        ws.y_3 = ws.slot_3[:4096*N].reshape(N, 64, 64)
        ws.q_4 = ws.slot_3[4096*N:8192*N].reshape(N, 64, 4, 16)
        ws.S_4 = ws.slot_3[:16384*N].reshape(N, 4, 64, 64)
        ws.P_4 = ws.slot_3[:16384*N].reshape(N, 4, 64, 64)
        ws.y_4 = ws.slot_3[:4096*N].reshape(N, 64, 64)
        ws.z_7 = ws.slot_3[:16384*N].reshape(N, 64, 256)
        ws.a_7 = ws.slot_3[:16384*N].reshape(N, 64, 256)
        ws.x_hat_10 = ws.slot_3[:4096*N].reshape(N, 64, 64)
        ws.y_10 = ws.slot_3[:4096*N].reshape(N, 64, 64)
        ws.q_11 = ws.slot_3[4096*N:8192*N].reshape(N, 64, 4, 16)
        ws.S_11 = ws.slot_3[:16384*N].reshape(N, 4, 64, 64)
        ws.P_11 = ws.slot_3[:16384*N].reshape(N, 4, 64, 64)
        ws.z_14 = ws.slot_3[:16384*N].reshape(N, 64, 256)
        ws.a_14 = ws.slot_3[:16384*N].reshape(N, 64, 256)
        ws.slot_4 = _empty(16384*N, dtype)
        ws.r_4 = ws.slot_4[:4096*N].reshape(N, 64, 4, 16)
        ws.t_1 = ws.slot_4[4096*N:8192*N].reshape(N, 4, 64, 16)
        ws.t_3 = ws.slot_4[:16384*N].reshape(N, 4, 64, 64)
        ws.o_4 = ws.slot_4[:4096*N].reshape(N, 64, 4, 16)
        ws.x_hat_6 = ws.slot_4[:4096*N].reshape(N, 64, 64)
        ws.y_6 = ws.slot_4[:4096*N].reshape(N, 64, 64)
        ws.z_8 = ws.slot_4[:4096*N].reshape(N, 64, 64)
        ws.r_11 = ws.slot_4[:4096*N].reshape(N, 64, 4, 16)
        ws.t_15 = ws.slot_4[4096*N:8192*N].reshape(N, 4, 64, 16)
        ws.t_16 = ws.slot_4[:16384*N].reshape(N, 4, 64, 64)
        ws.o_11 = ws.slot_4[:4096*N].reshape(N, 64, 4, 16)
        ws.v_4 = _empty((N, 64, 4, 16), dtype)
        ws.v_11 = ws.v_4
        ws.mu_13 = _empty((N, 64), dtype)
        ws.m_13 = ws.mu_13
        ws.sd_13 = ws.mu_13
        ws.mu_17 = ws.mu_13
        ws.m_17 = ws.mu_13
        ws.sd_17 = ws.mu_13
        ws.ones = np.ones(64, dtype)  # (3)
        ws.u = np.arange(64)  # (12)
        ws.i = np.arange(64)  # (12)
        ws.t_2 = np.less_equal(ws.u, ws.i[:, None])  # (12)
        ws.t_5 = ws.t_2.astype(dtype)  # (12)
        ws.t_18 = ws.t_2.astype(dtype)  # (35)
        ws.scratch_a = _empty(min(TILE, 16384*N), dtype)
        ws.scratch_b = _empty(min(TILE, 16384*N), dtype)
        ws.scratch_c = _empty(min(TILE, 16384*N), dtype)
        ws.scratch_d = _empty(min(TILE, 16384*N), dtype)
        ws.l_1_tiles = _tiles(  # (12)
            ws.P_4.reshape(4*N, 64, 64),
            ws.S_4.reshape(4*N, 64, 64),
            ws.t_4.reshape(4*N, 64, 1),
            ws.t_2.reshape(1, 64, 64),
        )
        ws.y_5_tiles = _tiles(  # (16)
            ws.y_4.reshape(64*N, 64),
            ws.b_o_4.reshape(1, 64),
            ws.y_5.reshape(64*N, 64),
            ws.y_2.reshape(64*N, 64),
        )
        ws.a_7_tiles = _tiles(  # (23)
            ws.z_7.reshape(64*N, 256),
            ws.b_7.reshape(1, 256),
            ws.a_7.reshape(64*N, 256),
            scratch=(ws.scratch_a, ws.scratch_b, ws.scratch_c, ws.scratch_d),
        )
        ws.y_9_tiles = _tiles(  # (25)
            ws.z_8.reshape(64*N, 64),
            ws.b_8.reshape(1, 64),
            ws.y_9.reshape(64*N, 64),
            ws.y_5.reshape(64*N, 64),
        )
        ws.l_2_tiles = _tiles(  # (35)
            ws.P_11.reshape(4*N, 64, 64),
            ws.S_11.reshape(4*N, 64, 64),
            ws.t_17.reshape(4*N, 64, 1),
            ws.t_2.reshape(1, 64, 64),
        )
        ws.y_12_tiles = _tiles(  # (39)
            ws.y_11.reshape(64*N, 64),
            ws.b_o_11.reshape(1, 64),
            ws.y_12.reshape(64*N, 64),
            ws.y_9.reshape(64*N, 64),
        )
        ws.a_14_tiles = _tiles(  # (46)
            ws.z_14.reshape(64*N, 256),
            ws.b_14.reshape(1, 256),
            ws.a_14.reshape(64*N, 256),
            scratch=(ws.scratch_a, ws.scratch_b, ws.scratch_c, ws.scratch_d),
        )
        ws.y_16_tiles = _tiles(  # (48)
            ws.z_15.reshape(64*N, 64),
            ws.b_15.reshape(1, 64),
            ws.y_16.reshape(64*N, 64),
            ws.y_12.reshape(64*N, 64),
        )
        ws.y_2_matrix = ws.y_2.reshape(64*N, 64)  # (3)
        ws.mu_3_flat = ws.mu_3.reshape(64*N,)  # (3)
        ws.number_0_015625 = np.array(0.015625, dtype)  # (3)
        ws.mu_3_wide = ws.mu_3[:, :, None]  # (4)
        ws.number_1e_minus_5 = np.array(1e-05, dtype)  # (5)
        ws.sd_3_wide = ws.sd_3[:, :, None]  # (6)
        ws.y_3_matrix = ws.y_3.reshape(64*N, 64)  # (8)
        ws.W_q_4_matrix = ws.W_q_4.reshape(64, 64)  # (8)
        ws.q_4_matrix = ws.q_4.reshape(64*N, 64)  # (8)
        ws.W_k_4_matrix = ws.W_k_4.reshape(64, 64)  # (9)
        ws.r_4_matrix = ws.r_4.reshape(64*N, 64)  # (9)
        ws.W_v_4_matrix = ws.W_v_4.reshape(64, 64)  # (10)
        ws.v_4_matrix = ws.v_4.reshape(64*N, 64)  # (10)
        ws.q_4_turned = ws.q_4.transpose(0, 2, 1, 3)  # (11)
        ws.number_0_25 = np.array(0.25, dtype)  # (11)
        ws.r_4_turned = ws.r_4.transpose(0, 2, 3, 1)  # (11)
        ws.zero = np.array(0, dtype)  # (12)
        ws.P_4_split_turned = ws.P_4.reshape(4*N, 64, 64).transpose(1, 0, 2)  # (12)
        ws.t_6_matrix_T = ws.t_6.reshape(4*N, 64).T  # (12)
        ws.t_6_wide = ws.t_6[:, :, :, None]  # (13)
        ws.v_4_turned = ws.v_4.transpose(0, 2, 1, 3)  # (14)
        ws.o_4_turned = ws.o_4.transpose(0, 2, 1, 3)  # (14)
        ws.o_4_matrix = ws.o_4.reshape(64*N, 64)  # (15)
        ws.W_o_4_matrix = ws.W_o_4.reshape(64, 64)  # (15)
        ws.y_4_matrix = ws.y_4.reshape(64*N, 64)  # (15)
        ws.y_5_matrix = ws.y_5.reshape(64*N, 64)  # (17)
        ws.mu_6_flat = ws.mu_6.reshape(64*N,)  # (17)
        ws.mu_6_wide = ws.mu_6[:, :, None]  # (18)
        ws.sd_6_wide = ws.sd_6[:, :, None]  # (20)
        ws.y_6_matrix = ws.y_6.reshape(64*N, 64)  # (22)
        ws.z_7_matrix = ws.z_7.reshape(64*N, 256)  # (22)
        ws.number_40 = np.array(40, dtype)  # (23)
        ws.number_32 = np.array(32, dtype)  # (23)
        ws.number_0_03125 = np.array(0.03125, dtype)  # (23)
        ws.minus_0_5 = np.array(-0.5, dtype)  # (23)
        ws.four = np.array(4, dtype)  # (23)
        ws.number_2_199e_minus_11 = np.array(2.1989612375505207e-11, dtype)  # (23)
        ws.number_2_0431e_minus_10 = np.array(2.0430758497810312e-10, dtype)  # (23)
        ws.number_0_70711 = np.array(0.7071067811865476, dtype)  # (23)
        ws.a_7_matrix = ws.a_7.reshape(64*N, 256)  # (24)
        ws.z_8_matrix = ws.z_8.reshape(64*N, 64)  # (24)
        ws.y_9_matrix = ws.y_9.reshape(64*N, 64)  # (26)
        ws.mu_10_flat = ws.mu_10.reshape(64*N,)  # (26)
        ws.mu_10_wide = ws.mu_10[:, :, None]  # (27)
        ws.sd_10_wide = ws.sd_10[:, :, None]  # (29)
        ws.y_10_matrix = ws.y_10.reshape(64*N, 64)  # (31)
        ws.W_q_11_matrix = ws.W_q_11.reshape(64, 64)  # (31)
        ws.q_11_matrix = ws.q_11.reshape(64*N, 64)  # (31)
        ws.W_k_11_matrix = ws.W_k_11.reshape(64, 64)  # (32)
        ws.r_11_matrix = ws.r_11.reshape(64*N, 64)  # (32)
        ws.W_v_11_matrix = ws.W_v_11.reshape(64, 64)  # (33)
        ws.v_11_matrix = ws.v_11.reshape(64*N, 64)  # (33)
        ws.q_11_turned = ws.q_11.transpose(0, 2, 1, 3)  # (34)
        ws.r_11_turned = ws.r_11.transpose(0, 2, 3, 1)  # (34)
        ws.P_11_split_turned = ws.P_11.reshape(4*N, 64, 64).transpose(1, 0, 2)  # (35)
        ws.t_19_matrix_T = ws.t_19.reshape(4*N, 64).T  # (35)
        ws.t_19_wide = ws.t_19[:, :, :, None]  # (36)
        ws.v_11_turned = ws.v_11.transpose(0, 2, 1, 3)  # (37)
        ws.o_11_turned = ws.o_11.transpose(0, 2, 1, 3)  # (37)
        ws.o_11_matrix = ws.o_11.reshape(64*N, 64)  # (38)
        ws.W_o_11_matrix = ws.W_o_11.reshape(64, 64)  # (38)
        ws.y_11_matrix = ws.y_11.reshape(64*N, 64)  # (38)
        ws.y_12_matrix = ws.y_12.reshape(64*N, 64)  # (40)
        ws.mu_13_flat = ws.mu_13.reshape(64*N,)  # (40)
        ws.mu_13_wide = ws.mu_13[:, :, None]  # (41)
        ws.sd_13_wide = ws.sd_13[:, :, None]  # (43)
        ws.y_13_matrix = ws.y_13.reshape(64*N, 64)  # (45)
        ws.z_14_matrix = ws.z_14.reshape(64*N, 256)  # (45)
        ws.a_14_matrix = ws.a_14.reshape(64*N, 256)  # (47)
        ws.z_15_matrix = ws.z_15.reshape(64*N, 64)  # (47)
        ws.y_16_matrix = ws.y_16.reshape(64*N, 64)  # (49)
        ws.mu_17_flat = ws.mu_17.reshape(64*N,)  # (49)
        ws.mu_17_wide = ws.mu_17[:, :, None]  # (50)
        ws.sd_17_wide = ws.sd_17[:, :, None]  # (52)
        ws.y_17_matrix = ws.y_17.reshape(64*N, 64)  # (54)
        ws.z_18_matrix = ws.z_18.reshape(64*N, 64)  # (54)


def inference_pass(ws, x):
    """The output z_18 for x, in memory of the workspace."""
    x = np.ascontiguousarray(x, np.int64)  # itself, if it is so
    # (1) y_1[n,i,d] = E_1[x[n,i],d]
    np.take(ws.E_1, x, axis=0, out=ws.y_1, mode="clip")  # (1)
    # (2) y_2[n,i,d] = P_2[i,d] + y_1[n,i,d]
    np.add(ws.y_1, ws.P_2, out=ws.y_2)  # (2)
    # (3) mu_3[n,i] = mean[d](y_2[n,i,d])
    np.dot(ws.y_2_matrix, ws.ones, out=ws.mu_3_flat)  # (3)
    np.multiply(ws.mu_3, ws.number_0_015625, out=ws.mu_3)  # (3)
    # (4) m_3[n,i] = mean[d]((y_2[n,i,d] - mu_3[n,i])**2)
    np.subtract(ws.y_2, ws.mu_3_wide, out=ws.x_hat_3)  # (4)
    np.vecdot(ws.x_hat_3, ws.x_hat_3, out=ws.m_3)  # (4)
    np.multiply(ws.m_3, ws.number_0_015625, out=ws.m_3)  # (4)
    # (5) sd_3[n,i] = sqrt(0.00001 + m_3[n,i])
    np.add(ws.m_3, ws.number_1e_minus_5, out=ws.sd_3)  # (5)
    np.sqrt(ws.sd_3, out=ws.sd_3)  # (5)
    # (6) x_hat_3[n,i,d] = (y_2[n,i,d] - mu_3[n,i])/sd_3[n,i]
    np.divide(ws.x_hat_3, ws.sd_3_wide, out=ws.x_hat_3)  # (6)
    # (7) y_3[n,i,d] = x_hat_3[n,i,d]*gamma_3[d] + beta_3[d]
    np.multiply(ws.gamma_3, ws.x_hat_3, out=ws.y_3)  # (7)
    np.add(ws.y_3, ws.beta_3, out=ws.y_3)  # (7)
    # (8) q_4[n,i,h,k] = sum[d](y_3[n,i,d]*W_q_4[d,h,k]) + b_q_4[h,k]
    np.dot(ws.y_3_matrix, ws.W_q_4_matrix, out=ws.q_4_matrix)  # (8)
    np.add(ws.q_4, ws.b_q_4, out=ws.q_4)  # (8)
    # (9) r_4[n,s,h,k] = sum[d](y_3[n,s,d]*W_k_4[d,h,k]) + b_k_4[h,k]
    np.dot(ws.y_3_matrix, ws.W_k_4_matrix, out=ws.r_4_matrix)  # (9)
    np.add(ws.r_4, ws.b_k_4, out=ws.r_4)  # (9)
    # (10) v_4[n,s,h,k] = sum[d](y_3[n,s,d]*W_v_4[d,h,k]) + b_v_4[h,k]
    np.dot(ws.y_3_matrix, ws.W_v_4_matrix, out=ws.v_4_matrix)  # (10)
    np.add(ws.v_4, ws.b_v_4, out=ws.v_4)  # (10)
    # (11) S_4[n,h,i,s] = sum[k](q_4[n,i,h,k]*r_4[n,s,h,k]/4)
    np.multiply(ws.q_4_turned, ws.number_0_25, out=ws.t_1)  # (11)
    np.matmul(ws.t_1, ws.r_4_turned, out=ws.S_4)  # (11)
    # (12) l_1[n,h,i] = log(sum[u](where(u <= i, exp(S_4[n,h,i,u]), 0)))
    np.copyto(ws.t_3, -np.inf)  # (12)
    np.copyto(ws.t_3, ws.S_4, where=ws.t_2)  # (12)
    np.maximum.reduce(ws.t_3, axis=3, out=ws.t_4)  # (12)
    for P_4, S_4, t_4, t_2 in ws.l_1_tiles:
        np.subtract(S_4, t_4, out=P_4)  # (12)
        np.minimum(P_4, ws.zero, out=P_4)  # (12)
        np.exp(P_4, out=P_4)  # (12)
        np.multiply(P_4, t_2, out=P_4)  # (12)
    np.matmul(ws.P_4_split_turned, ws.t_5[..., None], out=ws.t_6_matrix_T[..., None])  # (12)
    # (13) P_4[n,h,i,s] = where(s <= i, exp(S_4[n,h,i,s] - l_1[n,h,i]), 0)
    np.divide(ws.P_4, ws.t_6_wide, out=ws.P_4)  # (13)
    # (14) o_4[n,i,h,k] = sum[s](P_4[n,h,i,s]*v_4[n,s,h,k])
    np.matmul(ws.P_4, ws.v_4_turned, out=ws.o_4_turned)  # (14)
    # (15) y_4[n,i,e] = sum[h,k](o_4[n,i,h,k]*W_o_4[h,k,e]) + b_o_4[e]
    np.dot(ws.o_4_matrix, ws.W_o_4_matrix, out=ws.y_4_matrix)  # (15)
    for y_4, b_o_4, y_5, y_2 in ws.y_5_tiles:
        np.add(y_4, b_o_4, out=y_4)  # (15)
        # (16) y_5[n,i,d] = y_2[n,i,d] + y_4[n,i,d]
        np.add(y_2, y_4, out=y_5)  # (16)
    # (17) mu_6[n,i] = mean[d](y_5[n,i,d])
    np.dot(ws.y_5_matrix, ws.ones, out=ws.mu_6_flat)  # (17)
    np.multiply(ws.mu_6, ws.number_0_015625, out=ws.mu_6)  # (17)
    # (18) m_6[n,i] = mean[d]((y_5[n,i,d] - mu_6[n,i])**2)
    np.subtract(ws.y_5, ws.mu_6_wide, out=ws.x_hat_6)  # (18)
    np.vecdot(ws.x_hat_6, ws.x_hat_6, out=ws.m_6)  # (18)
    np.multiply(ws.m_6, ws.number_0_015625, out=ws.m_6)  # (18)
    # (19) sd_6[n,i] = sqrt(0.00001 + m_6[n,i])
    np.add(ws.m_6, ws.number_1e_minus_5, out=ws.sd_6)  # (19)
    np.sqrt(ws.sd_6, out=ws.sd_6)  # (19)
    # (20) x_hat_6[n,i,d] = (y_5[n,i,d] - mu_6[n,i])/sd_6[n,i]
    np.divide(ws.x_hat_6, ws.sd_6_wide, out=ws.x_hat_6)  # (20)
    # (21) y_6[n,i,d] = x_hat_6[n,i,d]*gamma_6[d] + beta_6[d]
    np.multiply(ws.gamma_6, ws.x_hat_6, out=ws.y_6)  # (21)
    np.add(ws.y_6, ws.beta_6, out=ws.y_6)  # (21)
    # (22) z_7[n,i,j] = sum[d](y_6[n,i,d]*W_7[d,j]) + b_7[j]
    np.dot(ws.y_6_matrix, ws.W_7, out=ws.z_7_matrix)  # (22)
    for z_7, b_7, a_7, t_7, t_8, t_9, t_10 in ws.a_7_tiles:
        np.add(z_7, b_7, out=z_7)  # (22)
        # (23) a_7[n,i,j] = (1 + erf(sqrt(2)*z_7[n,i,j]/2))*z_7[n,i,j]/2
        np.abs(z_7, out=t_7)  # (23)
        np.minimum(t_7, ws.number_40, out=t_7)  # (23)
        np.multiply(t_7, ws.number_32, out=t_8)  # (23)
        np.rint(t_8, out=t_8)  # (23)
        np.multiply(t_8, ws.number_0_03125, out=t_8)  # (23)
        np.subtract(t_7, t_8, out=t_9)  # (23)
        np.add(t_8, t_7, out=t_10)  # (23)
        np.multiply(t_9, t_10, out=t_9)  # (23)
        np.multiply(t_9, ws.minus_0_5, out=t_9)  # (23)
        np.exp(t_9, out=t_9)  # (23)
        np.square(t_8, out=t_8)  # (23)
        np.multiply(t_8, ws.minus_0_5, out=t_8)  # (23)
        np.exp(t_8, out=t_8)  # (23)
        np.multiply(t_9, t_8, out=t_9)  # (23)
        np.subtract(t_7, ws.four, out=t_8)  # (23)
        np.add(t_7, ws.four, out=t_10)  # (23)
        np.divide(t_8, t_10, out=t_8)  # (23)
        np.multiply(t_8, ws.number_2_199e_minus_11, out=t_10)  # (23)
        np.add(t_10, ws.number_2_0431e_minus_10, out=t_10)  # (23)
        for coefficient in (  # (23)
            1.9934291811404328e-11, -2.007568973012324e-09, -2.0979259834686953e-09,
            9.578108642303533e-09, 1.9454128113961554e-08, -2.701165180102501e-08,
            -1.1641854592611652e-07, 1.992732181331363e-08, 5.818591068926917e-07,
            3.4250794243102623e-07, -2.807894357569154e-06, -3.188662049116423e-06,
            1.4887791236177921e-05, 1.9893344615216637e-05, -9.624419076970786e-05,
            -8.108750885003464e-05, 0.000749722122355924, -0.00047272734590219983,
            -0.005151040082175343, 0.020423374660062863, -0.041237929250779355,
            0.0496029774014633, -0.02243020572551263, -0.04679514018372027, 0.44440096988866873
        ):
            np.multiply(t_10, t_8, out=t_10)  # (23)
            np.add(t_10, coefficient, out=t_10)  # (23)
        np.add(t_7, ws.number_0_70711, out=t_8)  # (23)
        np.divide(t_10, t_8, out=t_10)  # (23)
        np.multiply(t_10, t_7, out=t_10)  # (23)
        np.multiply(t_9, t_10, out=t_9)  # (23)
        np.maximum(z_7, ws.zero, out=a_7)  # (23)
        np.subtract(a_7, t_9, out=a_7)  # (23)
    # (24) z_8[n,i,d] = sum[j](a_7[n,i,j]*W_8[j,d]) + b_8[d]
    np.dot(ws.a_7_matrix, ws.W_8, out=ws.z_8_matrix)  # (24)
    for z_8, b_8, y_9, y_5 in ws.y_9_tiles:
        np.add(z_8, b_8, out=z_8)  # (24)
        # (25) y_9[n,i,d] = y_5[n,i,d] + z_8[n,i,d]
        np.add(y_5, z_8, out=y_9)  # (25)
    # (26) mu_10[n,i] = mean[d](y_9[n,i,d])
    np.dot(ws.y_9_matrix, ws.ones, out=ws.mu_10_flat)  # (26)
    np.multiply(ws.mu_10, ws.number_0_015625, out=ws.mu_10)  # (26)
    # (27) m_10[n,i] = mean[d]((y_9[n,i,d] - mu_10[n,i])**2)
    np.subtract(ws.y_9, ws.mu_10_wide, out=ws.x_hat_10)  # (27)
    np.vecdot(ws.x_hat_10, ws.x_hat_10, out=ws.m_10)  # (27)
    np.multiply(ws.m_10, ws.number_0_015625, out=ws.m_10)  # (27)
    # (28) sd_10[n,i] = sqrt(0.00001 + m_10[n,i])
    np.add(ws.m_10, ws.number_1e_minus_5, out=ws.sd_10)  # (28)
    np.sqrt(ws.sd_10, out=ws.sd_10)  # (28)
    # (29) x_hat_10[n,i,d] = (y_9[n,i,d] - mu_10[n,i])/sd_10[n,i]
    np.divide(ws.x_hat_10, ws.sd_10_wide, out=ws.x_hat_10)  # (29)
    # (30) y_10[n,i,d] = x_hat_10[n,i,d]*gamma_10[d] + beta_10[d]
    np.multiply(ws.gamma_10, ws.x_hat_10, out=ws.y_10)  # (30)
    np.add(ws.y_10, ws.beta_10, out=ws.y_10)  # (30)
    # (31) q_11[n,i,h,k] = sum[d](y_10[n,i,d]*W_q_11[d,h,k]) + b_q_11[h,k]
    np.dot(ws.y_10_matrix, ws.W_q_11_matrix, out=ws.q_11_matrix)  # (31)
    np.add(ws.q_11, ws.b_q_11, out=ws.q_11)  # (31)
    # (32) r_11[n,s,h,k] = sum[d](y_10[n,s,d]*W_k_11[d,h,k]) + b_k_11[h,k]
    np.dot(ws.y_10_matrix, ws.W_k_11_matrix, out=ws.r_11_matrix)  # (32)
    np.add(ws.r_11, ws.b_k_11, out=ws.r_11)  # (32)
    # (33) v_11[n,s,h,k] = sum[d](y_10[n,s,d]*W_v_11[d,h,k]) + b_v_11[h,k]
    np.dot(ws.y_10_matrix, ws.W_v_11_matrix, out=ws.v_11_matrix)  # (33)
    np.add(ws.v_11, ws.b_v_11, out=ws.v_11)  # (33)
    # (34) S_11[n,h,i,s] = sum[k](q_11[n,i,h,k]*r_11[n,s,h,k]/4)
    np.multiply(ws.q_11_turned, ws.number_0_25, out=ws.t_15)  # (34)
    np.matmul(ws.t_15, ws.r_11_turned, out=ws.S_11)  # (34)
    # (35) l_2[n,h,i] = log(sum[u](where(u <= i, exp(S_11[n,h,i,u]), 0)))
    np.copyto(ws.t_16, -np.inf)  # (35)
    np.copyto(ws.t_16, ws.S_11, where=ws.t_2)  # (35)
    np.maximum.reduce(ws.t_16, axis=3, out=ws.t_17)  # (35)
    for P_11, S_11, t_17, t_2 in ws.l_2_tiles:
        np.subtract(S_11, t_17, out=P_11)  # (35)
        np.minimum(P_11, ws.zero, out=P_11)  # (35)
        np.exp(P_11, out=P_11)  # (35)
        np.multiply(P_11, t_2, out=P_11)  # (35)
    np.matmul(ws.P_11_split_turned, ws.t_18[..., None], out=ws.t_19_matrix_T[..., None])  # (35)
    # (36) P_11[n,h,i,s] = where(s <= i, exp(S_11[n,h,i,s] - l_2[n,h,i]), 0)
    np.divide(ws.P_11, ws.t_19_wide, out=ws.P_11)  # (36)
    # (37) o_11[n,i,h,k] = sum[s](P_11[n,h,i,s]*v_11[n,s,h,k])
    np.matmul(ws.P_11, ws.v_11_turned, out=ws.o_11_turned)  # (37)
    # (38) y_11[n,i,e] = sum[h,k](o_11[n,i,h,k]*W_o_11[h,k,e]) + b_o_11[e]
    np.dot(ws.o_11_matrix, ws.W_o_11_matrix, out=ws.y_11_matrix)  # (38)
    for y_11, b_o_11, y_12, y_9 in ws.y_12_tiles:
        np.add(y_11, b_o_11, out=y_11)  # (38)
        # (39) y_12[n,i,d] = y_11[n,i,d] + y_9[n,i,d]
        np.add(y_11, y_9, out=y_12)  # (39)
    # (40) mu_13[n,i] = mean[d](y_12[n,i,d])
    np.dot(ws.y_12_matrix, ws.ones, out=ws.mu_13_flat)  # (40)
    np.multiply(ws.mu_13, ws.number_0_015625, out=ws.mu_13)  # (40)
    # (41) m_13[n,i] = mean[d]((y_12[n,i,d] - mu_13[n,i])**2)
    np.subtract(ws.y_12, ws.mu_13_wide, out=ws.x_hat_13)  # (41)
    np.vecdot(ws.x_hat_13, ws.x_hat_13, out=ws.m_13)  # (41)
    np.multiply(ws.m_13, ws.number_0_015625, out=ws.m_13)  # (41)
    # (42) sd_13[n,i] = sqrt(0.00001 + m_13[n,i])
    np.add(ws.m_13, ws.number_1e_minus_5, out=ws.sd_13)  # (42)
    np.sqrt(ws.sd_13, out=ws.sd_13)  # (42)
    # (43) x_hat_13[n,i,d] = (y_12[n,i,d] - mu_13[n,i])/sd_13[n,i]
    np.divide(ws.x_hat_13, ws.sd_13_wide, out=ws.x_hat_13)  # (43)
    # (44) y_13[n,i,d] = x_hat_13[n,i,d]*gamma_13[d] + beta_13[d]
    np.multiply(ws.gamma_13, ws.x_hat_13, out=ws.y_13)  # (44)
    np.add(ws.y_13, ws.beta_13, out=ws.y_13)  # (44)
    # (45) z_14[n,i,j] = sum[d](y_13[n,i,d]*W_14[d,j]) + b_14[j]
    np.dot(ws.y_13_matrix, ws.W_14, out=ws.z_14_matrix)  # (45)
    for z_14, b_14, a_14, t_20, t_21, t_22, t_23 in ws.a_14_tiles:
        np.add(z_14, b_14, out=z_14)  # (45)
        # (46) a_14[n,i,j] = (1 + erf(sqrt(2)*z_14[n,i,j]/2))*z_14[n,i,j]/2
        np.abs(z_14, out=t_20)  # (46)
        np.minimum(t_20, ws.number_40, out=t_20)  # (46)
        np.multiply(t_20, ws.number_32, out=t_21)  # (46)
        np.rint(t_21, out=t_21)  # (46)
        np.multiply(t_21, ws.number_0_03125, out=t_21)  # (46)
        np.subtract(t_20, t_21, out=t_22)  # (46)
        np.add(t_21, t_20, out=t_23)  # (46)
        np.multiply(t_22, t_23, out=t_22)  # (46)
        np.multiply(t_22, ws.minus_0_5, out=t_22)  # (46)
        np.exp(t_22, out=t_22)  # (46)
        np.square(t_21, out=t_21)  # (46)
        np.multiply(t_21, ws.minus_0_5, out=t_21)  # (46)
        np.exp(t_21, out=t_21)  # (46)
        np.multiply(t_22, t_21, out=t_22)  # (46)
        np.subtract(t_20, ws.four, out=t_21)  # (46)
        np.add(t_20, ws.four, out=t_23)  # (46)
        np.divide(t_21, t_23, out=t_21)  # (46)
        np.multiply(t_21, ws.number_2_199e_minus_11, out=t_23)  # (46)
        np.add(t_23, ws.number_2_0431e_minus_10, out=t_23)  # (46)
        for coefficient in (  # (46)
            1.9934291811404328e-11, -2.007568973012324e-09, -2.0979259834686953e-09,
            9.578108642303533e-09, 1.9454128113961554e-08, -2.701165180102501e-08,
            -1.1641854592611652e-07, 1.992732181331363e-08, 5.818591068926917e-07,
            3.4250794243102623e-07, -2.807894357569154e-06, -3.188662049116423e-06,
            1.4887791236177921e-05, 1.9893344615216637e-05, -9.624419076970786e-05,
            -8.108750885003464e-05, 0.000749722122355924, -0.00047272734590219983,
            -0.005151040082175343, 0.020423374660062863, -0.041237929250779355,
            0.0496029774014633, -0.02243020572551263, -0.04679514018372027, 0.44440096988866873
        ):
            np.multiply(t_23, t_21, out=t_23)  # (46)
            np.add(t_23, coefficient, out=t_23)  # (46)
        np.add(t_20, ws.number_0_70711, out=t_21)  # (46)
        np.divide(t_23, t_21, out=t_23)  # (46)
        np.multiply(t_23, t_20, out=t_23)  # (46)
        np.multiply(t_22, t_23, out=t_22)  # (46)
        np.maximum(z_14, ws.zero, out=a_14)  # (46)
        np.subtract(a_14, t_22, out=a_14)  # (46)
    # (47) z_15[n,i,d] = sum[j](a_14[n,i,j]*W_15[j,d]) + b_15[d]
    np.dot(ws.a_14_matrix, ws.W_15, out=ws.z_15_matrix)  # (47)
    for z_15, b_15, y_16, y_12 in ws.y_16_tiles:
        np.add(z_15, b_15, out=z_15)  # (47)
        # (48) y_16[n,i,d] = y_12[n,i,d] + z_15[n,i,d]
        np.add(y_12, z_15, out=y_16)  # (48)
    # (49) mu_17[n,i] = mean[d](y_16[n,i,d])
    np.dot(ws.y_16_matrix, ws.ones, out=ws.mu_17_flat)  # (49)
    np.multiply(ws.mu_17, ws.number_0_015625, out=ws.mu_17)  # (49)
    # (50) m_17[n,i] = mean[d]((y_16[n,i,d] - mu_17[n,i])**2)
    np.subtract(ws.y_16, ws.mu_17_wide, out=ws.x_hat_17)  # (50)
    np.vecdot(ws.x_hat_17, ws.x_hat_17, out=ws.m_17)  # (50)
    np.multiply(ws.m_17, ws.number_0_015625, out=ws.m_17)  # (50)
    # (51) sd_17[n,i] = sqrt(0.00001 + m_17[n,i])
    np.add(ws.m_17, ws.number_1e_minus_5, out=ws.sd_17)  # (51)
    np.sqrt(ws.sd_17, out=ws.sd_17)  # (51)
    # (52) x_hat_17[n,i,d] = (y_16[n,i,d] - mu_17[n,i])/sd_17[n,i]
    np.divide(ws.x_hat_17, ws.sd_17_wide, out=ws.x_hat_17)  # (52)
    # (53) y_17[n,i,d] = x_hat_17[n,i,d]*gamma_17[d] + beta_17[d]
    np.multiply(ws.gamma_17, ws.x_hat_17, out=ws.y_17)  # (53)
    np.add(ws.y_17, ws.beta_17, out=ws.y_17)  # (53)
    # (54) z_18[n,i,v] = sum[d](y_17[n,i,d]*W_18[d,v]) + b_18[v]
    np.dot(ws.y_17_matrix, ws.W_18, out=ws.z_18_matrix)  # (54)
    np.add(ws.z_18, ws.b_18, out=ws.z_18)  # (54)
    return ws.z_18


def loss_arrays(ws):
    """What `loss_pass` needs."""
    N = len(ws.z_18)
    dtype = ws.dtype
    ws.y = _empty((N, 64), np.int64)
    ws.t_28 = _empty((N, 64), dtype)
    ws.slot_10 = _empty(4096*N, dtype)
    ws.t_29 = ws.slot_10[:4096*N].reshape(N, 64, 64)
    ws.t_31 = ws.slot_10[:64*N].reshape(N, 64)
    ws.t_30 = _empty((N, 64), dtype)
    ws.t_35 = _empty((N, 64), np.int64)
    ws.n = np.arange(N)  # (57)
    ws.t_32 = np.multiply(ws.i, 64)  # (57)
    ws.t_33 = np.multiply(ws.n, 4096)  # (57)
    ws.t_34 = np.add(ws.t_32, ws.t_33[:, None])  # (57)
    ws.l_tiles = _tiles(  # (55)
        ws.t_29.reshape(64*N, 64), ws.z_18.reshape(64*N, 64), ws.t_28.reshape(64*N, 1)
    )
    ws.t_29_matrix = ws.t_29.reshape(64*N, 64)  # (55)
    ws.t_30_flat = ws.t_30.reshape(64*N,)  # (55)
    ws.z_18_flat = ws.z_18.reshape(-1)  # (57)


def loss_pass(ws):
    """The loss of that output for `ws.y`."""
    N = len(ws.y)
    # (55) l[n,i] = logsumexp[v](z_18[n,i,v])
    np.maximum.reduce(ws.z_18, axis=2, out=ws.t_28)  # (55)
    for t_29, z_18, t_28 in ws.l_tiles:
        np.subtract(z_18, t_28, out=t_29)  # (55)
        np.exp(t_29, out=t_29)  # (55)
    np.dot(ws.t_29_matrix, ws.ones, out=ws.t_30_flat)  # (55)
    np.log(ws.t_30, out=ws.t_30)  # (55)
    # (57) L = mean[n,i](l[n,i] - z_18[n,i,y[n,i]])
    np.add(ws.t_34, ws.y, out=ws.t_35)  # (57)
    ws.z_18_flat.take(ws.t_35, None, ws.t_31, "clip")  # (57)
    np.subtract(ws.t_31, ws.t_28, out=ws.t_31)  # (57)
    np.subtract(ws.t_30, ws.t_31, out=ws.t_30)  # (57)
    t_36 = np.add.reduce(ws.t_30, axis=None)  # (57)
    L = t_36 / (64*N)  # (57)
    return L


class PerSample:
    """The arrays of the gradients of N samples, each alone."""

    def __init__(ws, w, N):
        p, dtype = _views(w, ARRAYS), w.dtype
        ws.gradients = g = {n: np.empty((N, *s), dtype) for n, s in PARAMETERS.items()}
        ws.E_1, ws.E_1_bar = p["embedding_1.E"], g["embedding_1.E"]  # 64 x 64
        ws.P_2 = p["positional_embedding_1.P"]  # 64 x 64
        ws.P_2_bar = g["positional_embedding_1.P"]  # 64 x 64
        ws.gamma_3 = p["transformer_block_1.gamma_1"]  # 64
        ws.gamma_3_bar = g["transformer_block_1.gamma_1"]  # 64
        ws.beta_3 = p["transformer_block_1.beta_1"]  # 64
        ws.beta_3_bar = g["transformer_block_1.beta_1"]  # 64
        ws.W_q_4 = p["transformer_block_1.W_q"]  # 64 x 4 x 16
        ws.W_q_4_bar = g["transformer_block_1.W_q"]  # 64 x 4 x 16
        ws.W_k_4 = p["transformer_block_1.W_k"]  # 64 x 4 x 16
        ws.W_k_4_bar = g["transformer_block_1.W_k"]  # 64 x 4 x 16
        ws.W_v_4 = p["transformer_block_1.W_v"]  # 64 x 4 x 16
        ws.W_v_4_bar = g["transformer_block_1.W_v"]  # 64 x 4 x 16
        ws.b_q_4 = p["transformer_block_1.b_q"]  # 4 x 16
        ws.b_q_4_bar = g["transformer_block_1.b_q"]  # 4 x 16
        ws.b_k_4 = p["transformer_block_1.b_k"]  # 4 x 16
        ws.b_k_4_bar = g["transformer_block_1.b_k"]  # 4 x 16
        ws.b_v_4 = p["transformer_block_1.b_v"]  # 4 x 16
        ws.b_v_4_bar = g["transformer_block_1.b_v"]  # 4 x 16
        ws.W_o_4 = p["transformer_block_1.W_o"]  # 4 x 16 x 64
        ws.W_o_4_bar = g["transformer_block_1.W_o"]  # 4 x 16 x 64
        ws.b_o_4 = p["transformer_block_1.b_o"]  # 64
        ws.b_o_4_bar = g["transformer_block_1.b_o"]  # 64
        ws.gamma_6 = p["transformer_block_1.gamma_2"]  # 64
        ws.gamma_6_bar = g["transformer_block_1.gamma_2"]  # 64
        ws.beta_6 = p["transformer_block_1.beta_2"]  # 64
        ws.beta_6_bar = g["transformer_block_1.beta_2"]  # 64
        ws.W_7 = p["transformer_block_1.W_1"]  # 64 x 256
        ws.W_7_bar = g["transformer_block_1.W_1"]  # 64 x 256
        ws.b_7 = p["transformer_block_1.b_1"]  # 256
        ws.b_7_bar = g["transformer_block_1.b_1"]  # 256
        ws.W_8 = p["transformer_block_1.W_2"]  # 256 x 64
        ws.W_8_bar = g["transformer_block_1.W_2"]  # 256 x 64
        ws.b_8 = p["transformer_block_1.b_2"]  # 64
        ws.b_8_bar = g["transformer_block_1.b_2"]  # 64
        ws.gamma_10 = p["transformer_block_2.gamma_1"]  # 64
        ws.gamma_10_bar = g["transformer_block_2.gamma_1"]  # 64
        ws.beta_10 = p["transformer_block_2.beta_1"]  # 64
        ws.beta_10_bar = g["transformer_block_2.beta_1"]  # 64
        ws.W_q_11 = p["transformer_block_2.W_q"]  # 64 x 4 x 16
        ws.W_q_11_bar = g["transformer_block_2.W_q"]  # 64 x 4 x 16
        ws.W_k_11 = p["transformer_block_2.W_k"]  # 64 x 4 x 16
        ws.W_k_11_bar = g["transformer_block_2.W_k"]  # 64 x 4 x 16
        ws.W_v_11 = p["transformer_block_2.W_v"]  # 64 x 4 x 16
        ws.W_v_11_bar = g["transformer_block_2.W_v"]  # 64 x 4 x 16
        ws.b_q_11 = p["transformer_block_2.b_q"]  # 4 x 16
        ws.b_q_11_bar = g["transformer_block_2.b_q"]  # 4 x 16
        ws.b_k_11 = p["transformer_block_2.b_k"]  # 4 x 16
        ws.b_k_11_bar = g["transformer_block_2.b_k"]  # 4 x 16
        ws.b_v_11 = p["transformer_block_2.b_v"]  # 4 x 16
        ws.b_v_11_bar = g["transformer_block_2.b_v"]  # 4 x 16
        ws.W_o_11 = p["transformer_block_2.W_o"]  # 4 x 16 x 64
        ws.W_o_11_bar = g["transformer_block_2.W_o"]  # 4 x 16 x 64
        ws.b_o_11 = p["transformer_block_2.b_o"]  # 64
        ws.b_o_11_bar = g["transformer_block_2.b_o"]  # 64
        ws.gamma_13 = p["transformer_block_2.gamma_2"]  # 64
        ws.gamma_13_bar = g["transformer_block_2.gamma_2"]  # 64
        ws.beta_13 = p["transformer_block_2.beta_2"]  # 64
        ws.beta_13_bar = g["transformer_block_2.beta_2"]  # 64
        ws.W_14 = p["transformer_block_2.W_1"]  # 64 x 256
        ws.W_14_bar = g["transformer_block_2.W_1"]  # 64 x 256
        ws.b_14 = p["transformer_block_2.b_1"]  # 256
        ws.b_14_bar = g["transformer_block_2.b_1"]  # 256
        ws.W_15 = p["transformer_block_2.W_2"]  # 256 x 64
        ws.W_15_bar = g["transformer_block_2.W_2"]  # 256 x 64
        ws.b_15 = p["transformer_block_2.b_2"]  # 64
        ws.b_15_bar = g["transformer_block_2.b_2"]  # 64
        ws.gamma_17 = p["layer_norm_1.gamma"]  # 64
        ws.gamma_17_bar = g["layer_norm_1.gamma"]  # 64
        ws.beta_17 = p["layer_norm_1.beta"]  # 64
        ws.beta_17_bar = g["layer_norm_1.beta"]  # 64
        ws.W_18, ws.W_18_bar = p["dense_1.W"], g["dense_1.W"]  # 64 x 64
        ws.b_18, ws.b_18_bar = p["dense_1.b"], g["dense_1.b"]  # 64
        ws.x = _empty((N, 64), np.int64)
        ws.y = _empty((N, 64), np.int64)
        ws.slot_1 = _empty(16384*N, dtype)
        ws.y_1 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_2 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_5 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_9 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.t_19 = ws.slot_1[:16384*N].reshape(N, 64, 256)
        ws.z_15 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_17 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.z_18 = ws.slot_1[4096*N:8192*N].reshape(N, 64, 64)
        ws.p = ws.slot_1[4096*N:8192*N].reshape(N, 64, 64)
        ws.z_18_bar = ws.slot_1[4096*N:8192*N].reshape(N, 64, 64)
        ws.y_17_bar = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.x_hat_17_bar = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.a_14_bar = ws.slot_1[:16384*N].reshape(N, 64, 256)
        ws.slot_2 = _empty(4096*N, dtype)
        ws.mu_3 = ws.slot_2[:64*N].reshape(N, 64)
        ws.y_3 = ws.slot_2[:4096*N].reshape(N, 64, 64)
        ws.t_49 = ws.slot_2[:4096*N].reshape(N, 64, 64)
        ws.x_hat_3 = _empty((N, 64, 64), dtype)
        ws.y_2_bar = ws.x_hat_3
        ws.m_3 = _empty((N, 64), dtype)
        ws.sd_3 = ws.m_3
        ws.slot_5 = _empty(4096*N, dtype)
        ws.q_4 = ws.slot_5[:4096*N].reshape(N, 64, 4, 16)
        ws.q_4_bar = ws.slot_5[:4096*N].reshape(N, 64, 4, 16)
        ws.y_3_bar = ws.slot_5[:4096*N].reshape(N, 64, 64)
        ws.x_hat_3_bar = ws.slot_5[:4096*N].reshape(N, 64, 64)
        ws.slot_6 = _empty(4096*N, dtype)
        ws.r_4 = ws.slot_6[:4096*N].reshape(N, 64, 4, 16)
        ws.t_50 = ws.slot_6[:4096*N].reshape(N, 64, 64)
        ws.slot_7 = _empty(4096*N, dtype)
        ws.v_4 = ws.slot_7[:4096*N].reshape(N, 64, 4, 16)
        ws.t_48 = ws.slot_7[:256*N].reshape(N, 4, 64)
        ws.v_4_bar = ws.slot_7[:4096*N].reshape(N, 64, 4, 16)
        ws.slot_8 = _empty(16384*N, dtype)
        ws.t_1 = ws.slot_8[:4096*N].reshape(N, 4, 64, 16)
        ws.t_3 = ws.slot_8[:16384*N].reshape(N, 4, 64, 64)
        ws.y_4 = ws.slot_8[:4096*N].reshape(N, 64, 64)
        ws.z_7 = ws.slot_8[:16384*N].reshape(N, 64, 256)
        ws.P_4_bar = ws.slot_8[:16384*N].reshape(N, 4, 64, 64)
        ws.S_4_bar = ws.slot_8[:16384*N].reshape(N, 4, 64, 64)
        ws.S_4 = _empty((N, 4, 64, 64), dtype)
        ws.P_4 = ws.S_4
        ws.slot_10 = _empty(4096*N, dtype)
        ws.t_4 = ws.slot_10[:256*N].reshape(N, 4, 64)
        ws.t_6 = ws.slot_10[:256*N].reshape(N, 4, 64)
        ws.o_4 = ws.slot_10[:4096*N].reshape(N, 64, 4, 16)
        ws.o_4_bar = ws.slot_10[:4096*N].reshape(N, 64, 4, 16)
        ws.r_4_bar = ws.slot_10[:4096*N].reshape(N, 64, 4, 16)
        ws.slot_11 = _empty(4096*N, dtype)
        ws.mu_6 = ws.slot_11[:64*N].reshape(N, 64)
        ws.y_6 = ws.slot_11[:4096*N].reshape(N, 64, 64)
        ws.y_6_bar = ws.slot_11[:4096*N].reshape(N, 64, 64)
        ws.x_hat_6_bar = ws.slot_11[:4096*N].reshape(N, 64, 64)
        ws.x_hat_6 = _empty((N, 64, 64), dtype)
        ws.y_5_bar = ws.x_hat_6
        ws.m_6 = _empty((N, 64), dtype)
        ws.sd_6 = ws.m_6
        ws.t_51 = ws.m_6
        ws.slot_14 = _empty(16384*N, dtype)
        ws.t_7 = ws.slot_14[:16384*N].reshape(N, 64, 256)
        ws.z_8 = ws.slot_14[:4096*N].reshape(N, 64, 64)
        ws.S_11 = ws.slot_14[:16384*N].reshape(N, 4, 64, 64)
        ws.P_11 = ws.slot_14[:16384*N].reshape(N, 4, 64, 64)
        ws.a_7_bar = ws.slot_14[:16384*N].reshape(N, 64, 256)
        ws.t_8 = _empty((N, 64, 256), dtype)
        ws.t_10 = ws.t_8
        ws.t_13 = ws.t_8
        ws.a_7 = ws.t_8
        ws.t_42 = ws.t_8
        ws.z_7_bar = _empty((N, 64, 256), dtype)
        ws.t_9 = _empty((N, 64, 256), dtype)
        ws.t_11 = ws.t_9
        ws.t_12 = ws.t_9
        ws.slot_18 = _empty(4096*N, dtype)
        ws.mu_10 = ws.slot_18[:64*N].reshape(N, 64)
        ws.y_10 = ws.slot_18[:4096*N].reshape(N, 64, 64)
        ws.y_10_bar = ws.slot_18[:4096*N].reshape(N, 64, 64)
        ws.x_hat_10_bar = ws.slot_18[:4096*N].reshape(N, 64, 64)
        ws.x_hat_10 = _empty((N, 64, 64), dtype)
        ws.y_9_bar = ws.x_hat_10
        ws.m_10 = _empty((N, 64), dtype)
        ws.sd_10 = ws.m_10
        ws.t_46 = ws.m_10
        ws.t_52 = ws.m_10
        ws.slot_21 = _empty(4096*N, dtype)
        ws.q_11 = ws.slot_21[:4096*N].reshape(N, 64, 4, 16)
        ws.q_11_bar = ws.slot_21[:4096*N].reshape(N, 64, 4, 16)
        ws.t_39 = ws.slot_21[:4096*N].reshape(N, 64, 64)
        ws.slot_22 = _empty(4096*N, dtype)
        ws.r_11 = ws.slot_22[:4096*N].reshape(N, 64, 4, 16)
        ws.t_38 = ws.slot_22[:4096*N].reshape(N, 64, 64)
        ws.slot_23 = _empty(4096*N, dtype)
        ws.v_11 = ws.slot_23[:4096*N].reshape(N, 64, 4, 16)
        ws.t_37 = ws.slot_23[:256*N].reshape(N, 4, 64)
        ws.v_11_bar = ws.slot_23[:4096*N].reshape(N, 64, 4, 16)
        ws.slot_24 = _empty(16384*N, dtype)
        ws.t_14 = ws.slot_24[:4096*N].reshape(N, 4, 64, 16)
        ws.t_15 = ws.slot_24[:16384*N].reshape(N, 4, 64, 64)
        ws.z_14 = ws.slot_24[:16384*N].reshape(N, 64, 256)
        ws.P_11_bar = ws.slot_24[:16384*N].reshape(N, 4, 64, 64)
        ws.S_11_bar = ws.slot_24[:16384*N].reshape(N, 4, 64, 64)
        ws.t_44 = ws.slot_24[:16384*N].reshape(N, 64, 256)
        ws.slot_25 = _empty(4096*N, dtype)
        ws.t_16 = ws.slot_25[:256*N].reshape(N, 4, 64)
        ws.t_18 = ws.slot_25[:256*N].reshape(N, 4, 64)
        ws.o_11 = ws.slot_25[:4096*N].reshape(N, 64, 4, 16)
        ws.o_11_bar = ws.slot_25[:4096*N].reshape(N, 64, 4, 16)
        ws.r_11_bar = ws.slot_25[:4096*N].reshape(N, 64, 4, 16)
        ws.y_11 = _empty((N, 64, 64), dtype)
        ws.y_12 = ws.y_11
        ws.y_16 = ws.y_11
        ws.x_hat_17 = ws.y_11
        ws.y_16_bar = ws.y_11
        ws.slot_27 = _empty(4096*N, dtype)
        ws.mu_13 = ws.slot_27[:64*N].reshape(N, 64)
        ws.y_13 = ws.slot_27[:4096*N].reshape(N, 64, 64)
        ws.y_13_bar = ws.slot_27[:4096*N].reshape(N, 64, 64)
        ws.x_hat_13_bar = ws.slot_27[:4096*N].reshape(N, 64, 64)
        ws.x_hat_13 = _empty((N, 64, 64), dtype)
        ws.y_12_bar = ws.x_hat_13
        ws.m_13 = _empty((N, 64), dtype)
        ws.sd_13 = ws.m_13
        ws.t_40 = ws.m_13
        ws.t_47 = ws.m_13
        ws.t_20 = _empty((N, 64, 256), dtype)
        ws.t_22 = ws.t_20
        ws.t_25 = ws.t_20
        ws.a_14 = ws.t_20
        ws.t_31 = ws.t_20
        ws.z_14_bar = _empty((N, 64, 256), dtype)
        ws.t_21 = _empty((N, 64, 256), dtype)
        ws.t_23 = ws.t_21
        ws.t_24 = ws.t_21
        ws.mu_17 = _empty((N, 64), dtype)
        ws.m_17 = ws.mu_17
        ws.sd_17 = ws.mu_17
        ws.t_35 = ws.mu_17
        ws.t_41 = ws.mu_17
        ws.t_26 = _empty((N, 64), dtype)
        ws.t_27 = ws.t_26
        ws.t_29 = ws.t_26
        ws.t_36 = ws.t_26
        ws.slot_35 = _empty(16384*N, bool)
        ws.t_28 = ws.slot_35[:4096*N].reshape(N, 64, 64)
        ws.t_32 = ws.slot_35[:16384*N].reshape(N, 64, 256)
        ws.t_34 = ws.slot_35[:16384*N].reshape(N, 64, 256)
        ws.t_43 = ws.slot_35[:16384*N].reshape(N, 64, 256)
        ws.t_45 = ws.slot_35[:16384*N].reshape(N, 64, 256)
        ws.t_30 = _empty((N, 64), dtype)
        ws.t_33 = _empty((N, 64, 256), dtype)
        ws.t_53 = _empty((N, 64), np.int64)
        ws.t_56 = _empty((N, 64, 64), np.int64)
        ws.d = np.arange(64)  # (1)
        ws.ones = np.ones(64, dtype)  # (3)
        ws.u = np.arange(64)  # (12)
        ws.i = np.arange(64)  # (12)
        ws.t_2 = np.less_equal(ws.u, ws.i[:, None])  # (12)
        ws.t_5 = ws.t_2.astype(dtype)  # (12)
        ws.t_17 = ws.t_2.astype(dtype)  # (35)
        ws.v = np.arange(64)  # (136)
        ws.n = np.arange(N)  # (174)
        ws.t_54 = np.multiply(ws.n, 4096)  # (174)
        ws.t_55 = np.add(ws.t_54[:, None], ws.d)  # (174)
        ws.y_2_matrix = ws.y_2.reshape(64*N, 64)  # (3)
        ws.mu_3_flat = ws.mu_3.reshape(64*N,)  # (3)
        ws.number_0_015625 = np.array(0.015625, dtype)  # (3)
        ws.mu_3_wide = ws.mu_3[:, :, None]  # (4)
        ws.number_1e_minus_5 = np.array(1e-05, dtype)  # (5)
        ws.sd_3_wide = ws.sd_3[:, :, None]  # (6)
        ws.y_3_matrix = ws.y_3.reshape(64*N, 64)  # (8)
        ws.W_q_4_matrix = ws.W_q_4.reshape(64, 64)  # (8)
        ws.q_4_matrix = ws.q_4.reshape(64*N, 64)  # (8)
        ws.W_k_4_matrix = ws.W_k_4.reshape(64, 64)  # (9)
        ws.r_4_matrix = ws.r_4.reshape(64*N, 64)  # (9)
        ws.W_v_4_matrix = ws.W_v_4.reshape(64, 64)  # (10)
        ws.v_4_matrix = ws.v_4.reshape(64*N, 64)  # (10)
        ws.q_4_turned = ws.q_4.transpose(0, 2, 1, 3)  # (11)
        ws.number_0_25 = np.array(0.25, dtype)  # (11)
        ws.r_4_turned = ws.r_4.transpose(0, 2, 3, 1)  # (11)
        ws.t_4_wide = ws.t_4[:, :, :, None]  # (12)
        ws.zero = np.array(0, dtype)  # (12)
        ws.P_4_split_turned = ws.P_4.reshape(4*N, 64, 64).transpose(1, 0, 2)  # (12)
        ws.t_6_matrix_T = ws.t_6.reshape(4*N, 64).T  # (12)
        ws.t_6_wide = ws.t_6[:, :, :, None]  # (13)
        ws.v_4_turned = ws.v_4.transpose(0, 2, 1, 3)  # (14)
        ws.o_4_turned = ws.o_4.transpose(0, 2, 1, 3)  # (14)
        ws.o_4_matrix = ws.o_4.reshape(64*N, 64)  # (15)
        ws.W_o_4_matrix = ws.W_o_4.reshape(64, 64)  # (15)
        ws.y_4_matrix = ws.y_4.reshape(64*N, 64)  # (15)
        ws.y_5_matrix = ws.y_5.reshape(64*N, 64)  # (17)
        ws.mu_6_flat = ws.mu_6.reshape(64*N,)  # (17)
        ws.mu_6_wide = ws.mu_6[:, :, None]  # (18)
        ws.sd_6_wide = ws.sd_6[:, :, None]  # (20)
        ws.y_6_matrix = ws.y_6.reshape(64*N, 64)  # (22)
        ws.z_7_matrix = ws.z_7.reshape(64*N, 256)  # (22)
        ws.number_40 = np.array(40, dtype)  # (23)
        ws.number_32 = np.array(32, dtype)  # (23)
        ws.number_0_03125 = np.array(0.03125, dtype)  # (23)
        ws.minus_0_5 = np.array(-0.5, dtype)  # (23)
        ws.four = np.array(4, dtype)  # (23)
        ws.number_2_199e_minus_11 = np.array(2.1989612375505207e-11, dtype)  # (23)
        ws.number_2_0431e_minus_10 = np.array(2.0430758497810312e-10, dtype)  # (23)
        ws.number_0_70711 = np.array(0.7071067811865476, dtype)  # (23)
        ws.a_7_matrix = ws.a_7.reshape(64*N, 256)  # (24)
        ws.z_8_matrix = ws.z_8.reshape(64*N, 64)  # (24)
        ws.y_9_matrix = ws.y_9.reshape(64*N, 64)  # (26)
        ws.mu_10_flat = ws.mu_10.reshape(64*N,)  # (26)
        ws.mu_10_wide = ws.mu_10[:, :, None]  # (27)
        ws.sd_10_wide = ws.sd_10[:, :, None]  # (29)
        ws.y_10_matrix = ws.y_10.reshape(64*N, 64)  # (31)
        ws.W_q_11_matrix = ws.W_q_11.reshape(64, 64)  # (31)
        ws.q_11_matrix = ws.q_11.reshape(64*N, 64)  # (31)
        ws.W_k_11_matrix = ws.W_k_11.reshape(64, 64)  # (32)
        ws.r_11_matrix = ws.r_11.reshape(64*N, 64)  # (32)
        ws.W_v_11_matrix = ws.W_v_11.reshape(64, 64)  # (33)
        ws.v_11_matrix = ws.v_11.reshape(64*N, 64)  # (33)
        ws.q_11_turned = ws.q_11.transpose(0, 2, 1, 3)  # (34)
        ws.r_11_turned = ws.r_11.transpose(0, 2, 3, 1)  # (34)
        ws.t_16_wide = ws.t_16[:, :, :, None]  # (35)
        ws.P_11_split_turned = ws.P_11.reshape(4*N, 64, 64).transpose(1, 0, 2)  # (35)
        ws.t_18_matrix_T = ws.t_18.reshape(4*N, 64).T  # (35)
        ws.t_18_wide = ws.t_18[:, :, :, None]  # (36)
        ws.v_11_turned = ws.v_11.transpose(0, 2, 1, 3)  # (37)
        ws.o_11_turned = ws.o_11.transpose(0, 2, 1, 3)  # (37)
        ws.o_11_matrix = ws.o_11.reshape(64*N, 64)  # (38)
        ws.W_o_11_matrix = ws.W_o_11.reshape(64, 64)  # (38)
        ws.y_11_matrix = ws.y_11.reshape(64*N, 64)  # (38)
        ws.y_12_matrix = ws.y_12.reshape(64*N, 64)  # (40)
        ws.mu_13_flat = ws.mu_13.reshape(64*N,)  # (40)
        ws.mu_13_wide = ws.mu_13[:, :, None]  # (41)
        ws.sd_13_wide = ws.sd_13[:, :, None]  # (43)
        ws.y_13_matrix = ws.y_13.reshape(64*N, 64)  # (45)
        ws.z_14_matrix = ws.z_14.reshape(64*N, 256)  # (45)
        ws.a_14_matrix = ws.a_14.reshape(64*N, 256)  # (47)
        ws.z_15_matrix = ws.z_15.reshape(64*N, 64)  # (47)
        ws.y_16_matrix = ws.y_16.reshape(64*N, 64)  # (49)
        ws.mu_17_flat = ws.mu_17.reshape(64*N,)  # (49)
        ws.mu_17_wide = ws.mu_17[:, :, None]  # (50)
        ws.sd_17_wide = ws.sd_17[:, :, None]  # (52)
        ws.y_17_matrix = ws.y_17.reshape(64*N, 64)  # (54)
        ws.z_18_matrix = ws.z_18.reshape(64*N, 64)  # (54)
        ws.t_26_wide = ws.t_26[:, :, None]  # (55)
        ws.p_matrix = ws.p.reshape(64*N, 64)  # (55)
        ws.t_27_flat = ws.t_27.reshape(64*N,)  # (55)
        ws.t_27_wide = ws.t_27[:, :, None]  # (56)
        ws.y_wide = ws.y[:, :, None]  # (136)
        ws.y_17_turned = ws.y_17.transpose(0, 2, 1)  # (138)
        ws.z_18_bar_matrix = ws.z_18_bar.reshape(64*N, 64)  # (61)
        ws.W_18_T = ws.W_18.T  # (61)
        ws.y_17_bar_matrix = ws.y_17_bar.reshape(64*N, 64)  # (61)
        ws.x_hat_17_bar_matrix = ws.x_hat_17_bar.reshape(64*N, 64)  # (65)
        ws.t_29_flat = ws.t_29.reshape(64*N,)  # (65)
        ws.t_30_wide = ws.t_30[:, :, None]  # (65)
        ws.t_29_wide = ws.t_29[:, :, None]  # (65)
        ws.a_14_turned = ws.a_14.transpose(0, 2, 1)  # (142)
        ws.y_16_bar_matrix = ws.y_16_bar.reshape(64*N, 64)  # (68)
        ws.W_15_T = ws.W_15.T  # (68)
        ws.a_14_bar_matrix = ws.a_14_bar.reshape(64*N, 256)  # (68)
        ws.number_0_7071067811865476_1_772453850905516 = np.array(  # (69)
            0.7071067811865476 / 1.772453850905516, dtype
        )
        ws.two = np.array(2, dtype)  # (69)
        ws.y_13_turned = ws.y_13.transpose(0, 2, 1)  # (144)
        ws.z_14_bar_matrix = ws.z_14_bar.reshape(64*N, 256)  # (72)
        ws.W_14_T = ws.W_14.T  # (72)
        ws.y_13_bar_matrix = ws.y_13_bar.reshape(64*N, 64)  # (72)
        ws.x_hat_13_bar_matrix = ws.x_hat_13_bar.reshape(64*N, 64)  # (76)
        ws.t_35_flat = ws.t_35.reshape(64*N,)  # (76)
        ws.t_36_wide = ws.t_36[:, :, None]  # (76)
        ws.t_35_wide = ws.t_35[:, :, None]  # (76)
        ws.o_11_split_turned = ws.o_11.reshape(N, 64, 64).transpose(0, 2, 1)  # (148)
        ws.W_o_11_bar_split = ws.W_o_11_bar.reshape(N, 64, 64)  # (148)
        ws.y_12_bar_matrix = ws.y_12_bar.reshape(64*N, 64)  # (79)
        ws.W_o_11_matrix_T = ws.W_o_11.reshape(64, 64).T  # (79)
        ws.o_11_bar_matrix = ws.o_11_bar.reshape(64*N, 64)  # (79)
        ws.o_11_bar_turned = ws.o_11_bar.transpose(0, 2, 1, 3)  # (80)
        ws.v_11_turned_b = ws.v_11.transpose(0, 2, 3, 1)  # (80)
        ws.t_37_wide = ws.t_37[:, :, :, None]  # (81)
        ws.P_11_turned = ws.P_11.transpose(0, 1, 3, 2)  # (82)
        ws.v_11_bar_turned = ws.v_11_bar.transpose(0, 2, 1, 3)  # (82)
        ws.v_11_bar_split = ws.v_11_bar.reshape(N, 64, 64)  # (149)
        ws.b_v_11_bar_matrix = ws.b_v_11_bar.reshape(N, 64)  # (149)
        ws.y_10_turned = ws.y_10.transpose(0, 2, 1)  # (150)
        ws.W_v_11_bar_split = ws.W_v_11_bar.reshape(N, 64, 64)  # (150)
        ws.S_11_bar_turned = ws.S_11_bar.transpose(0, 1, 3, 2)  # (85)
        ws.r_11_bar_turned = ws.r_11_bar.transpose(0, 2, 1, 3)  # (85)
        ws.r_11_bar_split = ws.r_11_bar.reshape(N, 64, 64)  # (151)
        ws.b_k_11_bar_matrix = ws.b_k_11_bar.reshape(N, 64)  # (151)
        ws.W_k_11_bar_split = ws.W_k_11_bar.reshape(N, 64, 64)  # (152)
        ws.r_11_turned_b = ws.r_11.transpose(0, 2, 1, 3)  # (88)
        ws.q_11_bar_turned = ws.q_11_bar.transpose(0, 2, 1, 3)  # (88)
        ws.q_11_bar_split = ws.q_11_bar.reshape(N, 64, 64)  # (153)
        ws.b_q_11_bar_matrix = ws.b_q_11_bar.reshape(N, 64)  # (153)
        ws.W_q_11_bar_split = ws.W_q_11_bar.reshape(N, 64, 64)  # (154)
        ws.r_11_bar_matrix = ws.r_11_bar.reshape(64*N, 64)  # (91)
        ws.W_k_11_matrix_T = ws.W_k_11.reshape(64, 64).T  # (91)
        ws.y_10_bar_matrix = ws.y_10_bar.reshape(64*N, 64)  # (91)
        ws.q_11_bar_matrix = ws.q_11_bar.reshape(64*N, 64)  # (91)
        ws.W_q_11_matrix_T = ws.W_q_11.reshape(64, 64).T  # (91)
        ws.t_38_matrix = ws.t_38.reshape(64*N, 64)  # (91)
        ws.v_11_bar_matrix = ws.v_11_bar.reshape(64*N, 64)  # (91)
        ws.W_v_11_matrix_T = ws.W_v_11.reshape(64, 64).T  # (91)
        ws.t_39_matrix = ws.t_39.reshape(64*N, 64)  # (91)
        ws.x_hat_10_bar_matrix = ws.x_hat_10_bar.reshape(64*N, 64)  # (95)
        ws.t_40_flat = ws.t_40.reshape(64*N,)  # (95)
        ws.t_41_wide = ws.t_41[:, :, None]  # (95)
        ws.t_40_wide = ws.t_40[:, :, None]  # (95)
        ws.a_7_turned = ws.a_7.transpose(0, 2, 1)  # (158)
        ws.y_9_bar_matrix = ws.y_9_bar.reshape(64*N, 64)  # (98)
        ws.W_8_T = ws.W_8.T  # (98)
        ws.a_7_bar_matrix = ws.a_7_bar.reshape(64*N, 256)  # (98)
        ws.y_6_turned = ws.y_6.transpose(0, 2, 1)  # (160)
        ws.z_7_bar_matrix = ws.z_7_bar.reshape(64*N, 256)  # (102)
        ws.W_7_T = ws.W_7.T  # (102)
        ws.y_6_bar_matrix = ws.y_6_bar.reshape(64*N, 64)  # (102)
        ws.x_hat_6_bar_matrix = ws.x_hat_6_bar.reshape(64*N, 64)  # (106)
        ws.t_46_flat = ws.t_46.reshape(64*N,)  # (106)
        ws.t_47_wide = ws.t_47[:, :, None]  # (106)
        ws.t_46_wide = ws.t_46[:, :, None]  # (106)
        ws.o_4_split_turned = ws.o_4.reshape(N, 64, 64).transpose(0, 2, 1)  # (164)
        ws.W_o_4_bar_split = ws.W_o_4_bar.reshape(N, 64, 64)  # (164)
        ws.y_5_bar_matrix = ws.y_5_bar.reshape(64*N, 64)  # (109)
        ws.W_o_4_matrix_T = ws.W_o_4.reshape(64, 64).T  # (109)
        ws.o_4_bar_matrix = ws.o_4_bar.reshape(64*N, 64)  # (109)
        ws.o_4_bar_turned = ws.o_4_bar.transpose(0, 2, 1, 3)  # (110)
        ws.v_4_turned_b = ws.v_4.transpose(0, 2, 3, 1)  # (110)
        ws.t_48_wide = ws.t_48[:, :, :, None]  # (111)
        ws.P_4_turned = ws.P_4.transpose(0, 1, 3, 2)  # (112)
        ws.v_4_bar_turned = ws.v_4_bar.transpose(0, 2, 1, 3)  # (112)
        ws.v_4_bar_split = ws.v_4_bar.reshape(N, 64, 64)  # (165)
        ws.b_v_4_bar_matrix = ws.b_v_4_bar.reshape(N, 64)  # (165)
        ws.y_3_turned = ws.y_3.transpose(0, 2, 1)  # (166)
        ws.W_v_4_bar_split = ws.W_v_4_bar.reshape(N, 64, 64)  # (166)
        ws.S_4_bar_turned = ws.S_4_bar.transpose(0, 1, 3, 2)  # (115)
        ws.r_4_bar_turned = ws.r_4_bar.transpose(0, 2, 1, 3)  # (115)
        ws.r_4_bar_split = ws.r_4_bar.reshape(N, 64, 64)  # (167)
        ws.b_k_4_bar_matrix = ws.b_k_4_bar.reshape(N, 64)  # (167)
        ws.W_k_4_bar_split = ws.W_k_4_bar.reshape(N, 64, 64)  # (168)
        ws.r_4_turned_b = ws.r_4.transpose(0, 2, 1, 3)  # (118)
        ws.q_4_bar_turned = ws.q_4_bar.transpose(0, 2, 1, 3)  # (118)
        ws.q_4_bar_split = ws.q_4_bar.reshape(N, 64, 64)  # (169)
        ws.b_q_4_bar_matrix = ws.b_q_4_bar.reshape(N, 64)  # (169)
        ws.W_q_4_bar_split = ws.W_q_4_bar.reshape(N, 64, 64)  # (170)
        ws.r_4_bar_matrix = ws.r_4_bar.reshape(64*N, 64)  # (121)
        ws.W_k_4_matrix_T = ws.W_k_4.reshape(64, 64).T  # (121)
        ws.t_49_matrix = ws.t_49.reshape(64*N, 64)  # (121)
        ws.q_4_bar_matrix = ws.q_4_bar.reshape(64*N, 64)  # (121)
        ws.W_q_4_matrix_T = ws.W_q_4.reshape(64, 64).T  # (121)
        ws.t_50_matrix = ws.t_50.reshape(64*N, 64)  # (121)
        ws.v_4_bar_matrix = ws.v_4_bar.reshape(64*N, 64)  # (121)
        ws.W_v_4_matrix_T = ws.W_v_4.reshape(64, 64).T  # (121)
        ws.y_3_bar_matrix = ws.y_3_bar.reshape(64*N, 64)  # (121)
        ws.x_hat_3_bar_matrix = ws.x_hat_3_bar.reshape(64*N, 64)  # (125)
        ws.t_51_flat = ws.t_51.reshape(64*N,)  # (125)
        ws.t_52_wide = ws.t_52[:, :, None]  # (125)
        ws.t_51_wide = ws.t_51[:, :, None]  # (125)
        ws.number_64_integer = np.array(64, np.int64)  # (174)
        ws.t_55_wide = ws.t_55[:, None]  # (174)
        ws.t_53_wide = ws.t_53[:, :, None]  # (174)
        ws.E_1_bar_flat = ws.E_1_bar.reshape(-1)  # (174)
        ws.t_56_flat = ws.t_56.reshape(-1)  # (174)
        ws.y_2_bar_flat = ws.y_2_bar.reshape(-1)  # (174)


def per_sample_pass(ws):
    """The cotangents of all parameters, sample by sample."""
    # (1) y_1[n,i,d] = E_1[x[n,i],d]
    np.take(ws.E_1, ws.x, axis=0, out=ws.y_1, mode="clip")  # (1)
    # (2) y_2[n,i,d] = P_2[i,d] + y_1[n,i,d]
    np.add(ws.y_1, ws.P_2, out=ws.y_2)  # (2)
    # (3) mu_3[n,i] = mean[d](y_2[n,i,d])
    np.dot(ws.y_2_matrix, ws.ones, out=ws.mu_3_flat)  # (3)
    np.multiply(ws.mu_3, ws.number_0_015625, out=ws.mu_3)  # (3)
    # (4) m_3[n,i] = mean[d]((y_2[n,i,d] - mu_3[n,i])**2)
    np.subtract(ws.y_2, ws.mu_3_wide, out=ws.x_hat_3)  # (4)
    np.vecdot(ws.x_hat_3, ws.x_hat_3, out=ws.m_3)  # (4)
    np.multiply(ws.m_3, ws.number_0_015625, out=ws.m_3)  # (4)
    # (5) sd_3[n,i] = sqrt(0.00001 + m_3[n,i])
    np.add(ws.m_3, ws.number_1e_minus_5, out=ws.sd_3)  # (5)
    np.sqrt(ws.sd_3, out=ws.sd_3)  # (5)
    # (6) x_hat_3[n,i,d] = (y_2[n,i,d] - mu_3[n,i])/sd_3[n,i]
    np.divide(ws.x_hat_3, ws.sd_3_wide, out=ws.x_hat_3)  # (6)
    # (7) y_3[n,i,d] = x_hat_3[n,i,d]*gamma_3[d] + beta_3[d]
    np.multiply(ws.gamma_3, ws.x_hat_3, out=ws.y_3)  # (7)
    np.add(ws.y_3, ws.beta_3, out=ws.y_3)  # (7)
    # (8) q_4[n,i,h,k] = sum[d](y_3[n,i,d]*W_q_4[d,h,k]) + b_q_4[h,k]
    np.dot(ws.y_3_matrix, ws.W_q_4_matrix, out=ws.q_4_matrix)  # (8)
    np.add(ws.q_4, ws.b_q_4, out=ws.q_4)  # (8)
    # (9) r_4[n,s,h,k] = sum[d](y_3[n,s,d]*W_k_4[d,h,k]) + b_k_4[h,k]
    np.dot(ws.y_3_matrix, ws.W_k_4_matrix, out=ws.r_4_matrix)  # (9)
    np.add(ws.r_4, ws.b_k_4, out=ws.r_4)  # (9)
    # (10) v_4[n,s,h,k] = sum[d](y_3[n,s,d]*W_v_4[d,h,k]) + b_v_4[h,k]
    np.dot(ws.y_3_matrix, ws.W_v_4_matrix, out=ws.v_4_matrix)  # (10)
    np.add(ws.v_4, ws.b_v_4, out=ws.v_4)  # (10)
    # (11) S_4[n,h,i,s] = sum[k](q_4[n,i,h,k]*r_4[n,s,h,k]/4)
    np.multiply(ws.q_4_turned, ws.number_0_25, out=ws.t_1)  # (11)
    np.matmul(ws.t_1, ws.r_4_turned, out=ws.S_4)  # (11)
    # (12) l_1[n,h,i] = log(sum[u](where(u <= i, exp(S_4[n,h,i,u]), 0)))
    np.copyto(ws.t_3, -np.inf)  # (12)
    np.copyto(ws.t_3, ws.S_4, where=ws.t_2)  # (12)
    np.maximum.reduce(ws.t_3, axis=3, out=ws.t_4)  # (12)
    np.subtract(ws.S_4, ws.t_4_wide, out=ws.P_4)  # (12)
    np.minimum(ws.P_4, ws.zero, out=ws.P_4)  # (12)
    np.exp(ws.P_4, out=ws.P_4)  # (12)
    np.multiply(ws.P_4, ws.t_2, out=ws.P_4)  # (12)
    np.matmul(ws.P_4_split_turned, ws.t_5[..., None], out=ws.t_6_matrix_T[..., None])  # (12)
    # (13) P_4[n,h,i,s] = where(s <= i, exp(S_4[n,h,i,s] - l_1[n,h,i]), 0)
    np.divide(ws.P_4, ws.t_6_wide, out=ws.P_4)  # (13)
    # (14) o_4[n,i,h,k] = sum[s](P_4[n,h,i,s]*v_4[n,s,h,k])
    np.matmul(ws.P_4, ws.v_4_turned, out=ws.o_4_turned)  # (14)
    # (15) y_4[n,i,e] = sum[h,k](o_4[n,i,h,k]*W_o_4[h,k,e]) + b_o_4[e]
    np.dot(ws.o_4_matrix, ws.W_o_4_matrix, out=ws.y_4_matrix)  # (15)
    np.add(ws.y_4, ws.b_o_4, out=ws.y_4)  # (15)
    # (16) y_5[n,i,d] = y_2[n,i,d] + y_4[n,i,d]
    np.add(ws.y_2, ws.y_4, out=ws.y_5)  # (16)
    # (17) mu_6[n,i] = mean[d](y_5[n,i,d])
    np.dot(ws.y_5_matrix, ws.ones, out=ws.mu_6_flat)  # (17)
    np.multiply(ws.mu_6, ws.number_0_015625, out=ws.mu_6)  # (17)
    # (18) m_6[n,i] = mean[d]((y_5[n,i,d] - mu_6[n,i])**2)
    np.subtract(ws.y_5, ws.mu_6_wide, out=ws.x_hat_6)  # (18)
    np.vecdot(ws.x_hat_6, ws.x_hat_6, out=ws.m_6)  # (18)
    np.multiply(ws.m_6, ws.number_0_015625, out=ws.m_6)  # (18)
    # (19) sd_6[n,i] = sqrt(0.00001 + m_6[n,i])
    np.add(ws.m_6, ws.number_1e_minus_5, out=ws.sd_6)  # (19)
    np.sqrt(ws.sd_6, out=ws.sd_6)  # (19)
    # (20) x_hat_6[n,i,d] = (y_5[n,i,d] - mu_6[n,i])/sd_6[n,i]
    np.divide(ws.x_hat_6, ws.sd_6_wide, out=ws.x_hat_6)  # (20)
    # (21) y_6[n,i,d] = x_hat_6[n,i,d]*gamma_6[d] + beta_6[d]
    np.multiply(ws.gamma_6, ws.x_hat_6, out=ws.y_6)  # (21)
    np.add(ws.y_6, ws.beta_6, out=ws.y_6)  # (21)
    # (22) z_7[n,i,j] = sum[d](y_6[n,i,d]*W_7[d,j]) + b_7[j]
    np.dot(ws.y_6_matrix, ws.W_7, out=ws.z_7_matrix)  # (22)
    np.add(ws.z_7, ws.b_7, out=ws.z_7)  # (22)
    # (23) a_7[n,i,j] = (1 + erf(sqrt(2)*z_7[n,i,j]/2))*z_7[n,i,j]/2
    np.abs(ws.z_7, out=ws.t_7)  # (23)
    np.minimum(ws.t_7, ws.number_40, out=ws.t_7)  # (23)
    np.multiply(ws.t_7, ws.number_32, out=ws.t_8)  # (23)
    np.rint(ws.t_8, out=ws.t_8)  # (23)
    np.multiply(ws.t_8, ws.number_0_03125, out=ws.t_8)  # (23)
    np.subtract(ws.t_7, ws.t_8, out=ws.z_7_bar)  # (23)
    np.add(ws.t_8, ws.t_7, out=ws.t_9)  # (23)
    np.multiply(ws.z_7_bar, ws.t_9, out=ws.z_7_bar)  # (23)
    np.multiply(ws.z_7_bar, ws.minus_0_5, out=ws.z_7_bar)  # (23)
    np.exp(ws.z_7_bar, out=ws.z_7_bar)  # (23)
    np.square(ws.t_8, out=ws.t_8)  # (23)
    np.multiply(ws.t_8, ws.minus_0_5, out=ws.t_8)  # (23)
    np.exp(ws.t_8, out=ws.t_8)  # (23)
    np.multiply(ws.z_7_bar, ws.t_8, out=ws.z_7_bar)  # (23)
    np.subtract(ws.t_7, ws.four, out=ws.t_10)  # (23)
    np.add(ws.t_7, ws.four, out=ws.t_11)  # (23)
    np.divide(ws.t_10, ws.t_11, out=ws.t_10)  # (23)
    np.multiply(ws.t_10, ws.number_2_199e_minus_11, out=ws.t_12)  # (23)
    np.add(ws.t_12, ws.number_2_0431e_minus_10, out=ws.t_12)  # (23)
    for coefficient in (  # (23)
        1.9934291811404328e-11, -2.007568973012324e-09, -2.0979259834686953e-09,
        9.578108642303533e-09, 1.9454128113961554e-08, -2.701165180102501e-08,
        -1.1641854592611652e-07, 1.992732181331363e-08, 5.818591068926917e-07,
        3.4250794243102623e-07, -2.807894357569154e-06, -3.188662049116423e-06,
        1.4887791236177921e-05, 1.9893344615216637e-05, -9.624419076970786e-05,
        -8.108750885003464e-05, 0.000749722122355924, -0.00047272734590219983,
        -0.005151040082175343, 0.020423374660062863, -0.041237929250779355, 0.0496029774014633,
        -0.02243020572551263, -0.04679514018372027, 0.44440096988866873
    ):
        np.multiply(ws.t_12, ws.t_10, out=ws.t_12)  # (23)
        np.add(ws.t_12, coefficient, out=ws.t_12)  # (23)
    np.add(ws.t_7, ws.number_0_70711, out=ws.t_13)  # (23)
    np.divide(ws.t_12, ws.t_13, out=ws.t_12)  # (23)
    np.multiply(ws.t_12, ws.t_7, out=ws.t_7)  # (23)
    np.multiply(ws.z_7_bar, ws.t_7, out=ws.t_7)  # (23)
    np.maximum(ws.z_7, ws.zero, out=ws.a_7)  # (23)
    np.subtract(ws.a_7, ws.t_7, out=ws.a_7)  # (23)
    # (24) z_8[n,i,d] = sum[j](a_7[n,i,j]*W_8[j,d]) + b_8[d]
    np.dot(ws.a_7_matrix, ws.W_8, out=ws.z_8_matrix)  # (24)
    np.add(ws.z_8, ws.b_8, out=ws.z_8)  # (24)
    # (25) y_9[n,i,d] = y_5[n,i,d] + z_8[n,i,d]
    np.add(ws.y_5, ws.z_8, out=ws.y_9)  # (25)
    # (26) mu_10[n,i] = mean[d](y_9[n,i,d])
    np.dot(ws.y_9_matrix, ws.ones, out=ws.mu_10_flat)  # (26)
    np.multiply(ws.mu_10, ws.number_0_015625, out=ws.mu_10)  # (26)
    # (27) m_10[n,i] = mean[d]((y_9[n,i,d] - mu_10[n,i])**2)
    np.subtract(ws.y_9, ws.mu_10_wide, out=ws.x_hat_10)  # (27)
    np.vecdot(ws.x_hat_10, ws.x_hat_10, out=ws.m_10)  # (27)
    np.multiply(ws.m_10, ws.number_0_015625, out=ws.m_10)  # (27)
    # (28) sd_10[n,i] = sqrt(0.00001 + m_10[n,i])
    np.add(ws.m_10, ws.number_1e_minus_5, out=ws.sd_10)  # (28)
    np.sqrt(ws.sd_10, out=ws.sd_10)  # (28)
    # (29) x_hat_10[n,i,d] = (y_9[n,i,d] - mu_10[n,i])/sd_10[n,i]
    np.divide(ws.x_hat_10, ws.sd_10_wide, out=ws.x_hat_10)  # (29)
    # (30) y_10[n,i,d] = x_hat_10[n,i,d]*gamma_10[d] + beta_10[d]
    np.multiply(ws.gamma_10, ws.x_hat_10, out=ws.y_10)  # (30)
    np.add(ws.y_10, ws.beta_10, out=ws.y_10)  # (30)
    # (31) q_11[n,i,h,k] = sum[d](y_10[n,i,d]*W_q_11[d,h,k]) + b_q_11[h,k]
    np.dot(ws.y_10_matrix, ws.W_q_11_matrix, out=ws.q_11_matrix)  # (31)
    np.add(ws.q_11, ws.b_q_11, out=ws.q_11)  # (31)
    # (32) r_11[n,s,h,k] = sum[d](y_10[n,s,d]*W_k_11[d,h,k]) + b_k_11[h,k]
    np.dot(ws.y_10_matrix, ws.W_k_11_matrix, out=ws.r_11_matrix)  # (32)
    np.add(ws.r_11, ws.b_k_11, out=ws.r_11)  # (32)
    # (33) v_11[n,s,h,k] = sum[d](y_10[n,s,d]*W_v_11[d,h,k]) + b_v_11[h,k]
    np.dot(ws.y_10_matrix, ws.W_v_11_matrix, out=ws.v_11_matrix)  # (33)
    np.add(ws.v_11, ws.b_v_11, out=ws.v_11)  # (33)
    # (34) S_11[n,h,i,s] = sum[k](q_11[n,i,h,k]*r_11[n,s,h,k]/4)
    np.multiply(ws.q_11_turned, ws.number_0_25, out=ws.t_14)  # (34)
    np.matmul(ws.t_14, ws.r_11_turned, out=ws.S_11)  # (34)
    # (35) l_2[n,h,i] = log(sum[u](where(u <= i, exp(S_11[n,h,i,u]), 0)))
    np.copyto(ws.t_15, -np.inf)  # (35)
    np.copyto(ws.t_15, ws.S_11, where=ws.t_2)  # (35)
    np.maximum.reduce(ws.t_15, axis=3, out=ws.t_16)  # (35)
    np.subtract(ws.S_11, ws.t_16_wide, out=ws.P_11)  # (35)
    np.minimum(ws.P_11, ws.zero, out=ws.P_11)  # (35)
    np.exp(ws.P_11, out=ws.P_11)  # (35)
    np.multiply(ws.P_11, ws.t_2, out=ws.P_11)  # (35)
    np.matmul(ws.P_11_split_turned, ws.t_17[..., None], out=ws.t_18_matrix_T[..., None])  # (35)
    # (36) P_11[n,h,i,s] = where(s <= i, exp(S_11[n,h,i,s] - l_2[n,h,i]), 0)
    np.divide(ws.P_11, ws.t_18_wide, out=ws.P_11)  # (36)
    # (37) o_11[n,i,h,k] = sum[s](P_11[n,h,i,s]*v_11[n,s,h,k])
    np.matmul(ws.P_11, ws.v_11_turned, out=ws.o_11_turned)  # (37)
    # (38) y_11[n,i,e] = sum[h,k](o_11[n,i,h,k]*W_o_11[h,k,e]) + b_o_11[e]
    np.dot(ws.o_11_matrix, ws.W_o_11_matrix, out=ws.y_11_matrix)  # (38)
    np.add(ws.y_11, ws.b_o_11, out=ws.y_11)  # (38)
    # (39) y_12[n,i,d] = y_11[n,i,d] + y_9[n,i,d]
    np.add(ws.y_11, ws.y_9, out=ws.y_12)  # (39)
    # (40) mu_13[n,i] = mean[d](y_12[n,i,d])
    np.dot(ws.y_12_matrix, ws.ones, out=ws.mu_13_flat)  # (40)
    np.multiply(ws.mu_13, ws.number_0_015625, out=ws.mu_13)  # (40)
    # (41) m_13[n,i] = mean[d]((y_12[n,i,d] - mu_13[n,i])**2)
    np.subtract(ws.y_12, ws.mu_13_wide, out=ws.x_hat_13)  # (41)
    np.vecdot(ws.x_hat_13, ws.x_hat_13, out=ws.m_13)  # (41)
    np.multiply(ws.m_13, ws.number_0_015625, out=ws.m_13)  # (41)
    # (42) sd_13[n,i] = sqrt(0.00001 + m_13[n,i])
    np.add(ws.m_13, ws.number_1e_minus_5, out=ws.sd_13)  # (42)
    np.sqrt(ws.sd_13, out=ws.sd_13)  # (42)
    # (43) x_hat_13[n,i,d] = (y_12[n,i,d] - mu_13[n,i])/sd_13[n,i]
    np.divide(ws.x_hat_13, ws.sd_13_wide, out=ws.x_hat_13)  # (43)
    # (44) y_13[n,i,d] = x_hat_13[n,i,d]*gamma_13[d] + beta_13[d]
    np.multiply(ws.gamma_13, ws.x_hat_13, out=ws.y_13)  # (44)
    np.add(ws.y_13, ws.beta_13, out=ws.y_13)  # (44)
    # (45) z_14[n,i,j] = sum[d](y_13[n,i,d]*W_14[d,j]) + b_14[j]
    np.dot(ws.y_13_matrix, ws.W_14, out=ws.z_14_matrix)  # (45)
    np.add(ws.z_14, ws.b_14, out=ws.z_14)  # (45)
    # (46) a_14[n,i,j] = (1 + erf(sqrt(2)*z_14[n,i,j]/2))*z_14[n,i,j]/2
    np.abs(ws.z_14, out=ws.t_19)  # (46)
    np.minimum(ws.t_19, ws.number_40, out=ws.t_19)  # (46)
    np.multiply(ws.t_19, ws.number_32, out=ws.t_20)  # (46)
    np.rint(ws.t_20, out=ws.t_20)  # (46)
    np.multiply(ws.t_20, ws.number_0_03125, out=ws.t_20)  # (46)
    np.subtract(ws.t_19, ws.t_20, out=ws.z_14_bar)  # (46)
    np.add(ws.t_20, ws.t_19, out=ws.t_21)  # (46)
    np.multiply(ws.z_14_bar, ws.t_21, out=ws.z_14_bar)  # (46)
    np.multiply(ws.z_14_bar, ws.minus_0_5, out=ws.z_14_bar)  # (46)
    np.exp(ws.z_14_bar, out=ws.z_14_bar)  # (46)
    np.square(ws.t_20, out=ws.t_20)  # (46)
    np.multiply(ws.t_20, ws.minus_0_5, out=ws.t_20)  # (46)
    np.exp(ws.t_20, out=ws.t_20)  # (46)
    np.multiply(ws.z_14_bar, ws.t_20, out=ws.z_14_bar)  # (46)
    np.subtract(ws.t_19, ws.four, out=ws.t_22)  # (46)
    np.add(ws.t_19, ws.four, out=ws.t_23)  # (46)
    np.divide(ws.t_22, ws.t_23, out=ws.t_22)  # (46)
    np.multiply(ws.t_22, ws.number_2_199e_minus_11, out=ws.t_24)  # (46)
    np.add(ws.t_24, ws.number_2_0431e_minus_10, out=ws.t_24)  # (46)
    for coefficient in (  # (46)
        1.9934291811404328e-11, -2.007568973012324e-09, -2.0979259834686953e-09,
        9.578108642303533e-09, 1.9454128113961554e-08, -2.701165180102501e-08,
        -1.1641854592611652e-07, 1.992732181331363e-08, 5.818591068926917e-07,
        3.4250794243102623e-07, -2.807894357569154e-06, -3.188662049116423e-06,
        1.4887791236177921e-05, 1.9893344615216637e-05, -9.624419076970786e-05,
        -8.108750885003464e-05, 0.000749722122355924, -0.00047272734590219983,
        -0.005151040082175343, 0.020423374660062863, -0.041237929250779355, 0.0496029774014633,
        -0.02243020572551263, -0.04679514018372027, 0.44440096988866873
    ):
        np.multiply(ws.t_24, ws.t_22, out=ws.t_24)  # (46)
        np.add(ws.t_24, coefficient, out=ws.t_24)  # (46)
    np.add(ws.t_19, ws.number_0_70711, out=ws.t_25)  # (46)
    np.divide(ws.t_24, ws.t_25, out=ws.t_24)  # (46)
    np.multiply(ws.t_24, ws.t_19, out=ws.t_19)  # (46)
    np.multiply(ws.z_14_bar, ws.t_19, out=ws.t_19)  # (46)
    np.maximum(ws.z_14, ws.zero, out=ws.a_14)  # (46)
    np.subtract(ws.a_14, ws.t_19, out=ws.a_14)  # (46)
    # (47) z_15[n,i,d] = sum[j](a_14[n,i,j]*W_15[j,d]) + b_15[d]
    np.dot(ws.a_14_matrix, ws.W_15, out=ws.z_15_matrix)  # (47)
    np.add(ws.z_15, ws.b_15, out=ws.z_15)  # (47)
    # (48) y_16[n,i,d] = y_12[n,i,d] + z_15[n,i,d]
    np.add(ws.y_12, ws.z_15, out=ws.y_16)  # (48)
    # (49) mu_17[n,i] = mean[d](y_16[n,i,d])
    np.dot(ws.y_16_matrix, ws.ones, out=ws.mu_17_flat)  # (49)
    np.multiply(ws.mu_17, ws.number_0_015625, out=ws.mu_17)  # (49)
    # (50) m_17[n,i] = mean[d]((y_16[n,i,d] - mu_17[n,i])**2)
    np.subtract(ws.y_16, ws.mu_17_wide, out=ws.x_hat_17)  # (50)
    np.vecdot(ws.x_hat_17, ws.x_hat_17, out=ws.m_17)  # (50)
    np.multiply(ws.m_17, ws.number_0_015625, out=ws.m_17)  # (50)
    # (51) sd_17[n,i] = sqrt(0.00001 + m_17[n,i])
    np.add(ws.m_17, ws.number_1e_minus_5, out=ws.sd_17)  # (51)
    np.sqrt(ws.sd_17, out=ws.sd_17)  # (51)
    # (52) x_hat_17[n,i,d] = (y_16[n,i,d] - mu_17[n,i])/sd_17[n,i]
    np.divide(ws.x_hat_17, ws.sd_17_wide, out=ws.x_hat_17)  # (52)
    # (53) y_17[n,i,d] = x_hat_17[n,i,d]*gamma_17[d] + beta_17[d]
    np.multiply(ws.gamma_17, ws.x_hat_17, out=ws.y_17)  # (53)
    np.add(ws.y_17, ws.beta_17, out=ws.y_17)  # (53)
    # (54) z_18[n,i,v] = sum[d](y_17[n,i,d]*W_18[d,v]) + b_18[v]
    np.dot(ws.y_17_matrix, ws.W_18, out=ws.z_18_matrix)  # (54)
    np.add(ws.z_18, ws.b_18, out=ws.z_18)  # (54)
    # (55) l[n,i] = logsumexp[v](z_18[n,i,v])
    np.maximum.reduce(ws.z_18, axis=2, out=ws.t_26)  # (55)
    np.subtract(ws.z_18, ws.t_26_wide, out=ws.p)  # (55)
    np.exp(ws.p, out=ws.p)  # (55)
    np.dot(ws.p_matrix, ws.ones, out=ws.t_27_flat)  # (55)
    # (56) p[n,i,v] = exp(z_18[n,i,v] - l[n,i])
    np.divide(ws.p, ws.t_27_wide, out=ws.p)  # (56)
    # (136) z_18_bar[n,i,v] = 0.015625*(p[n,i,v] - (v == y[n,i]))
    np.equal(ws.v, ws.y_wide, out=ws.t_28)  # (136)
    np.subtract(ws.p, ws.t_28, out=ws.z_18_bar)  # (136)
    np.multiply(ws.z_18_bar, ws.number_0_015625, out=ws.z_18_bar)  # (136)
    # (137) b_18_bar[n,v] = sum[i](z_18_bar[n,i,v])
    np.matmul(ws.ones, ws.z_18_bar, out=ws.b_18_bar)  # (137)
    # (138) W_18_bar[n,d,v] = sum[i](y_17[n,i,d]*z_18_bar[n,i,v])
    np.matmul(ws.y_17_turned, ws.z_18_bar, out=ws.W_18_bar)  # (138)
    # (61) y_17_bar[n,i,d] = sum[v](z_18_bar[n,i,v]*W_18[d,v])
    np.dot(ws.z_18_bar_matrix, ws.W_18_T, out=ws.y_17_bar_matrix)  # (61)
    # (139) gamma_17_bar[n,d] = sum[i](x_hat_17[n,i,d]*y_17_bar[n,i,d])
    np.einsum("nid,nid->nd", ws.x_hat_17, ws.y_17_bar, out=ws.gamma_17_bar)  # (139)
    # (140) beta_17_bar[n,d] = sum[i](y_17_bar[n,i,d])
    np.matmul(ws.ones, ws.y_17_bar, out=ws.beta_17_bar)  # (140)
    # (64) x_hat_17_bar[n,i,d] = y_17_bar[n,i,d]*gamma_17[d]
    np.multiply(ws.gamma_17, ws.y_17_bar, out=ws.x_hat_17_bar)  # (64)
    # (65) y_16_bar[n,i,d] = (x_hat_17_bar[n,i,d] - mean[d_1](x_hat_17_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_17[n,i,d_1]*x_hat_17_bar[n,i,d_1])*x_hat_17[n,i,d])/sd_17[n,i]
    np.dot(ws.x_hat_17_bar_matrix, ws.ones, out=ws.t_29_flat)  # (65)
    np.multiply(ws.t_29, ws.number_0_015625, out=ws.t_29)  # (65)
    np.vecdot(ws.x_hat_17, ws.x_hat_17_bar, out=ws.t_30)  # (65)
    np.multiply(ws.t_30, ws.number_0_015625, out=ws.t_30)  # (65)
    np.multiply(ws.t_30_wide, ws.x_hat_17, out=ws.y_16_bar)  # (65)
    np.subtract(ws.x_hat_17_bar, ws.y_16_bar, out=ws.y_16_bar)  # (65)
    np.subtract(ws.y_16_bar, ws.t_29_wide, out=ws.y_16_bar)  # (65)
    np.divide(ws.y_16_bar, ws.sd_17_wide, out=ws.y_16_bar)  # (65)
    # (141) b_15_bar[n,d] = sum[i](y_16_bar[n,i,d])
    np.matmul(ws.ones, ws.y_16_bar, out=ws.b_15_bar)  # (141)
    # (142) W_15_bar[n,j,d] = sum[i](a_14[n,i,j]*y_16_bar[n,i,d])
    np.matmul(ws.a_14_turned, ws.y_16_bar, out=ws.W_15_bar)  # (142)
    # (68) a_14_bar[n,i,j] = sum[d](y_16_bar[n,i,d]*W_15[j,d])
    np.dot(ws.y_16_bar_matrix, ws.W_15_T, out=ws.a_14_bar_matrix)  # (68)
    # (69) z_14_bar[n,i,j] = (1 + sqrt(2)*exp(-z_14[n,i,j]**2/2)*z_14[n,i,j]/sqrt(pi) +
    #     erf(sqrt(2)*z_14[n,i,j]/2))*a_14_bar[n,i,j]/2
    np.multiply(ws.z_14, ws.number_0_7071067811865476_1_772453850905516, out=ws.t_31)  # (69)
    np.less(ws.z_14, ws.zero, out=ws.t_32)  # (69)
    np.multiply(ws.t_32, ws.t_24, out=ws.t_33)  # (69)
    np.multiply(ws.t_33, ws.two, out=ws.t_33)  # (69)
    np.subtract(ws.t_24, ws.t_33, out=ws.t_24)  # (69)
    np.subtract(ws.t_24, ws.t_31, out=ws.t_24)  # (69)
    np.multiply(ws.z_14_bar, ws.t_24, out=ws.z_14_bar)  # (69)
    np.less_equal(ws.zero, ws.z_14, out=ws.t_34)  # (69)
    np.subtract(ws.t_34, ws.z_14_bar, out=ws.z_14_bar)  # (69)
    np.multiply(ws.z_14_bar, ws.a_14_bar, out=ws.z_14_bar)  # (69)
    # (143) b_14_bar[n,j] = sum[i](z_14_bar[n,i,j])
    np.matmul(ws.ones, ws.z_14_bar, out=ws.b_14_bar)  # (143)
    # (144) W_14_bar[n,d,j] = sum[i](y_13[n,i,d]*z_14_bar[n,i,j])
    np.matmul(ws.y_13_turned, ws.z_14_bar, out=ws.W_14_bar)  # (144)
    # (72) y_13_bar[n,i,d] = sum[j](z_14_bar[n,i,j]*W_14[d,j])
    np.dot(ws.z_14_bar_matrix, ws.W_14_T, out=ws.y_13_bar_matrix)  # (72)
    # (145) gamma_13_bar[n,d] = sum[i](x_hat_13[n,i,d]*y_13_bar[n,i,d])
    np.einsum("nid,nid->nd", ws.x_hat_13, ws.y_13_bar, out=ws.gamma_13_bar)  # (145)
    # (146) beta_13_bar[n,d] = sum[i](y_13_bar[n,i,d])
    np.matmul(ws.ones, ws.y_13_bar, out=ws.beta_13_bar)  # (146)
    # (75) x_hat_13_bar[n,i,d] = y_13_bar[n,i,d]*gamma_13[d]
    np.multiply(ws.gamma_13, ws.y_13_bar, out=ws.x_hat_13_bar)  # (75)
    # (76) y_12_bar[n,i,d] = (x_hat_13_bar[n,i,d] - mean[d_1](x_hat_13_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_13[n,i,d_1]*x_hat_13_bar[n,i,d_1])*x_hat_13[n,i,d])/sd_13[n,i] +
    #     y_16_bar[n,i,d]
    np.dot(ws.x_hat_13_bar_matrix, ws.ones, out=ws.t_35_flat)  # (76)
    np.multiply(ws.t_35, ws.number_0_015625, out=ws.t_35)  # (76)
    np.vecdot(ws.x_hat_13, ws.x_hat_13_bar, out=ws.t_36)  # (76)
    np.multiply(ws.t_36, ws.number_0_015625, out=ws.t_36)  # (76)
    np.multiply(ws.t_36_wide, ws.x_hat_13, out=ws.y_12_bar)  # (76)
    np.subtract(ws.x_hat_13_bar, ws.y_12_bar, out=ws.y_12_bar)  # (76)
    np.subtract(ws.y_12_bar, ws.t_35_wide, out=ws.y_12_bar)  # (76)
    np.divide(ws.y_12_bar, ws.sd_13_wide, out=ws.y_12_bar)  # (76)
    np.add(ws.y_12_bar, ws.y_16_bar, out=ws.y_12_bar)  # (76)
    # (147) b_o_11_bar[n,e] = sum[i](y_12_bar[n,i,e])
    np.matmul(ws.ones, ws.y_12_bar, out=ws.b_o_11_bar)  # (147)
    # (148) W_o_11_bar[n,h,k,e] = sum[i](o_11[n,i,h,k]*y_12_bar[n,i,e])
    np.matmul(ws.o_11_split_turned, ws.y_12_bar, out=ws.W_o_11_bar_split)  # (148)
    # (79) o_11_bar[n,i,h,k] = sum[e](y_12_bar[n,i,e]*W_o_11[h,k,e])
    np.dot(ws.y_12_bar_matrix, ws.W_o_11_matrix_T, out=ws.o_11_bar_matrix)  # (79)
    # (80) P_11_bar[n,h,i,s] = sum[k](o_11_bar[n,i,h,k]*v_11[n,s,h,k])
    np.matmul(ws.o_11_bar_turned, ws.v_11_turned_b, out=ws.P_11_bar)  # (80)
    # (81) S_11_bar[n,h,i,s] = P_11[n,h,i,s]*(P_11_bar[n,h,i,s] -
    #     sum[s_1](P_11[n,h,i,s_1]*P_11_bar[n,h,i,s_1]))
    np.vecdot(ws.P_11, ws.P_11_bar, out=ws.t_37)  # (81)
    np.subtract(ws.P_11_bar, ws.t_37_wide, out=ws.S_11_bar)  # (81)
    np.multiply(ws.S_11_bar, ws.P_11, out=ws.S_11_bar)  # (81)
    # (82) v_11_bar[n,s,h,k] = sum[i](P_11[n,h,i,s]*o_11_bar[n,i,h,k])
    np.matmul(ws.P_11_turned, ws.o_11_bar_turned, out=ws.v_11_bar_turned)  # (82)
    # (149) b_v_11_bar[n,h,k] = sum[s](v_11_bar[n,s,h,k])
    np.matmul(ws.ones, ws.v_11_bar_split, out=ws.b_v_11_bar_matrix)  # (149)
    # (150) W_v_11_bar[n,d,h,k] = sum[s](v_11_bar[n,s,h,k]*y_10[n,s,d])
    np.matmul(ws.y_10_turned, ws.v_11_bar_split, out=ws.W_v_11_bar_split)  # (150)
    # (85) r_11_bar[n,s,h,k] = sum[i](S_11_bar[n,h,i,s]*q_11[n,i,h,k])/4
    np.matmul(ws.S_11_bar_turned, ws.q_11_turned, out=ws.r_11_bar_turned)  # (85)
    np.multiply(ws.r_11_bar, ws.number_0_25, out=ws.r_11_bar)  # (85)
    # (151) b_k_11_bar[n,h,k] = sum[s](r_11_bar[n,s,h,k])
    np.matmul(ws.ones, ws.r_11_bar_split, out=ws.b_k_11_bar_matrix)  # (151)
    # (152) W_k_11_bar[n,d,h,k] = sum[s](r_11_bar[n,s,h,k]*y_10[n,s,d])
    np.matmul(ws.y_10_turned, ws.r_11_bar_split, out=ws.W_k_11_bar_split)  # (152)
    # (88) q_11_bar[n,i,h,k] = sum[s](S_11_bar[n,h,i,s]*r_11[n,s,h,k])/4
    np.matmul(ws.S_11_bar, ws.r_11_turned_b, out=ws.q_11_bar_turned)  # (88)
    np.multiply(ws.q_11_bar, ws.number_0_25, out=ws.q_11_bar)  # (88)
    # (153) b_q_11_bar[n,h,k] = sum[i](q_11_bar[n,i,h,k])
    np.matmul(ws.ones, ws.q_11_bar_split, out=ws.b_q_11_bar_matrix)  # (153)
    # (154) W_q_11_bar[n,d,h,k] = sum[i](q_11_bar[n,i,h,k]*y_10[n,i,d])
    np.matmul(ws.y_10_turned, ws.q_11_bar_split, out=ws.W_q_11_bar_split)  # (154)
    # (91) y_10_bar[n,i,d] = sum[h,k](r_11_bar[n,i,h,k]*W_k_11[d,h,k]) +
    #     sum[h,k](q_11_bar[n,i,h,k]*W_q_11[d,h,k]) + sum[h,k](v_11_bar[n,i,h,k]*W_v_11[d,h,k])
    np.dot(ws.r_11_bar_matrix, ws.W_k_11_matrix_T, out=ws.y_10_bar_matrix)  # (91)
    np.dot(ws.q_11_bar_matrix, ws.W_q_11_matrix_T, out=ws.t_38_matrix)  # (91)
    np.dot(ws.v_11_bar_matrix, ws.W_v_11_matrix_T, out=ws.t_39_matrix)  # (91)
    np.add(ws.y_10_bar, ws.t_38, out=ws.y_10_bar)  # (91)
    np.add(ws.y_10_bar, ws.t_39, out=ws.y_10_bar)  # (91)
    # (155) gamma_10_bar[n,d] = sum[i](x_hat_10[n,i,d]*y_10_bar[n,i,d])
    np.einsum("nid,nid->nd", ws.x_hat_10, ws.y_10_bar, out=ws.gamma_10_bar)  # (155)
    # (156) beta_10_bar[n,d] = sum[i](y_10_bar[n,i,d])
    np.matmul(ws.ones, ws.y_10_bar, out=ws.beta_10_bar)  # (156)
    # (94) x_hat_10_bar[n,i,d] = y_10_bar[n,i,d]*gamma_10[d]
    np.multiply(ws.gamma_10, ws.y_10_bar, out=ws.x_hat_10_bar)  # (94)
    # (95) y_9_bar[n,i,d] = (x_hat_10_bar[n,i,d] - mean[d_1](x_hat_10_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_10[n,i,d_1]*x_hat_10_bar[n,i,d_1])*x_hat_10[n,i,d])/sd_10[n,i] +
    #     y_12_bar[n,i,d]
    np.dot(ws.x_hat_10_bar_matrix, ws.ones, out=ws.t_40_flat)  # (95)
    np.multiply(ws.t_40, ws.number_0_015625, out=ws.t_40)  # (95)
    np.vecdot(ws.x_hat_10, ws.x_hat_10_bar, out=ws.t_41)  # (95)
    np.multiply(ws.t_41, ws.number_0_015625, out=ws.t_41)  # (95)
    np.multiply(ws.t_41_wide, ws.x_hat_10, out=ws.y_9_bar)  # (95)
    np.subtract(ws.x_hat_10_bar, ws.y_9_bar, out=ws.y_9_bar)  # (95)
    np.subtract(ws.y_9_bar, ws.t_40_wide, out=ws.y_9_bar)  # (95)
    np.divide(ws.y_9_bar, ws.sd_10_wide, out=ws.y_9_bar)  # (95)
    np.add(ws.y_9_bar, ws.y_12_bar, out=ws.y_9_bar)  # (95)
    # (157) b_8_bar[n,d] = sum[i](y_9_bar[n,i,d])
    np.matmul(ws.ones, ws.y_9_bar, out=ws.b_8_bar)  # (157)
    # (158) W_8_bar[n,j,d] = sum[i](a_7[n,i,j]*y_9_bar[n,i,d])
    np.matmul(ws.a_7_turned, ws.y_9_bar, out=ws.W_8_bar)  # (158)
    # (98) a_7_bar[n,i,j] = sum[d](y_9_bar[n,i,d]*W_8[j,d])
    np.dot(ws.y_9_bar_matrix, ws.W_8_T, out=ws.a_7_bar_matrix)  # (98)
    # (99) z_7_bar[n,i,j] = (1 + sqrt(2)*exp(-z_7[n,i,j]**2/2)*z_7[n,i,j]/sqrt(pi) +
    #     erf(sqrt(2)*z_7[n,i,j]/2))*a_7_bar[n,i,j]/2
    np.multiply(ws.z_7, ws.number_0_7071067811865476_1_772453850905516, out=ws.t_42)  # (99)
    np.less(ws.z_7, ws.zero, out=ws.t_43)  # (99)
    np.multiply(ws.t_43, ws.t_12, out=ws.t_44)  # (99)
    np.multiply(ws.t_44, ws.two, out=ws.t_44)  # (99)
    np.subtract(ws.t_12, ws.t_44, out=ws.t_12)  # (99)
    np.subtract(ws.t_12, ws.t_42, out=ws.t_12)  # (99)
    np.multiply(ws.z_7_bar, ws.t_12, out=ws.z_7_bar)  # (99)
    np.less_equal(ws.zero, ws.z_7, out=ws.t_45)  # (99)
    np.subtract(ws.t_45, ws.z_7_bar, out=ws.z_7_bar)  # (99)
    np.multiply(ws.z_7_bar, ws.a_7_bar, out=ws.z_7_bar)  # (99)
    # (159) b_7_bar[n,j] = sum[i](z_7_bar[n,i,j])
    np.matmul(ws.ones, ws.z_7_bar, out=ws.b_7_bar)  # (159)
    # (160) W_7_bar[n,d,j] = sum[i](y_6[n,i,d]*z_7_bar[n,i,j])
    np.matmul(ws.y_6_turned, ws.z_7_bar, out=ws.W_7_bar)  # (160)
    # (102) y_6_bar[n,i,d] = sum[j](z_7_bar[n,i,j]*W_7[d,j])
    np.dot(ws.z_7_bar_matrix, ws.W_7_T, out=ws.y_6_bar_matrix)  # (102)
    # (161) gamma_6_bar[n,d] = sum[i](x_hat_6[n,i,d]*y_6_bar[n,i,d])
    np.einsum("nid,nid->nd", ws.x_hat_6, ws.y_6_bar, out=ws.gamma_6_bar)  # (161)
    # (162) beta_6_bar[n,d] = sum[i](y_6_bar[n,i,d])
    np.matmul(ws.ones, ws.y_6_bar, out=ws.beta_6_bar)  # (162)
    # (105) x_hat_6_bar[n,i,d] = y_6_bar[n,i,d]*gamma_6[d]
    np.multiply(ws.gamma_6, ws.y_6_bar, out=ws.x_hat_6_bar)  # (105)
    # (106) y_5_bar[n,i,d] = (x_hat_6_bar[n,i,d] - mean[d_1](x_hat_6_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_6[n,i,d_1]*x_hat_6_bar[n,i,d_1])*x_hat_6[n,i,d])/sd_6[n,i] +
    #     y_9_bar[n,i,d]
    np.dot(ws.x_hat_6_bar_matrix, ws.ones, out=ws.t_46_flat)  # (106)
    np.multiply(ws.t_46, ws.number_0_015625, out=ws.t_46)  # (106)
    np.vecdot(ws.x_hat_6, ws.x_hat_6_bar, out=ws.t_47)  # (106)
    np.multiply(ws.t_47, ws.number_0_015625, out=ws.t_47)  # (106)
    np.multiply(ws.t_47_wide, ws.x_hat_6, out=ws.y_5_bar)  # (106)
    np.subtract(ws.x_hat_6_bar, ws.y_5_bar, out=ws.y_5_bar)  # (106)
    np.subtract(ws.y_5_bar, ws.t_46_wide, out=ws.y_5_bar)  # (106)
    np.divide(ws.y_5_bar, ws.sd_6_wide, out=ws.y_5_bar)  # (106)
    np.add(ws.y_5_bar, ws.y_9_bar, out=ws.y_5_bar)  # (106)
    # (163) b_o_4_bar[n,e] = sum[i](y_5_bar[n,i,e])
    np.matmul(ws.ones, ws.y_5_bar, out=ws.b_o_4_bar)  # (163)
    # (164) W_o_4_bar[n,h,k,e] = sum[i](o_4[n,i,h,k]*y_5_bar[n,i,e])
    np.matmul(ws.o_4_split_turned, ws.y_5_bar, out=ws.W_o_4_bar_split)  # (164)
    # (109) o_4_bar[n,i,h,k] = sum[e](y_5_bar[n,i,e]*W_o_4[h,k,e])
    np.dot(ws.y_5_bar_matrix, ws.W_o_4_matrix_T, out=ws.o_4_bar_matrix)  # (109)
    # (110) P_4_bar[n,h,i,s] = sum[k](o_4_bar[n,i,h,k]*v_4[n,s,h,k])
    np.matmul(ws.o_4_bar_turned, ws.v_4_turned_b, out=ws.P_4_bar)  # (110)
    # (111) S_4_bar[n,h,i,s] = P_4[n,h,i,s]*(P_4_bar[n,h,i,s] -
    #     sum[s_1](P_4[n,h,i,s_1]*P_4_bar[n,h,i,s_1]))
    np.vecdot(ws.P_4, ws.P_4_bar, out=ws.t_48)  # (111)
    np.subtract(ws.P_4_bar, ws.t_48_wide, out=ws.S_4_bar)  # (111)
    np.multiply(ws.S_4_bar, ws.P_4, out=ws.S_4_bar)  # (111)
    # (112) v_4_bar[n,s,h,k] = sum[i](P_4[n,h,i,s]*o_4_bar[n,i,h,k])
    np.matmul(ws.P_4_turned, ws.o_4_bar_turned, out=ws.v_4_bar_turned)  # (112)
    # (165) b_v_4_bar[n,h,k] = sum[s](v_4_bar[n,s,h,k])
    np.matmul(ws.ones, ws.v_4_bar_split, out=ws.b_v_4_bar_matrix)  # (165)
    # (166) W_v_4_bar[n,d,h,k] = sum[s](v_4_bar[n,s,h,k]*y_3[n,s,d])
    np.matmul(ws.y_3_turned, ws.v_4_bar_split, out=ws.W_v_4_bar_split)  # (166)
    # (115) r_4_bar[n,s,h,k] = sum[i](S_4_bar[n,h,i,s]*q_4[n,i,h,k])/4
    np.matmul(ws.S_4_bar_turned, ws.q_4_turned, out=ws.r_4_bar_turned)  # (115)
    np.multiply(ws.r_4_bar, ws.number_0_25, out=ws.r_4_bar)  # (115)
    # (167) b_k_4_bar[n,h,k] = sum[s](r_4_bar[n,s,h,k])
    np.matmul(ws.ones, ws.r_4_bar_split, out=ws.b_k_4_bar_matrix)  # (167)
    # (168) W_k_4_bar[n,d,h,k] = sum[s](r_4_bar[n,s,h,k]*y_3[n,s,d])
    np.matmul(ws.y_3_turned, ws.r_4_bar_split, out=ws.W_k_4_bar_split)  # (168)
    # (118) q_4_bar[n,i,h,k] = sum[s](S_4_bar[n,h,i,s]*r_4[n,s,h,k])/4
    np.matmul(ws.S_4_bar, ws.r_4_turned_b, out=ws.q_4_bar_turned)  # (118)
    np.multiply(ws.q_4_bar, ws.number_0_25, out=ws.q_4_bar)  # (118)
    # (169) b_q_4_bar[n,h,k] = sum[i](q_4_bar[n,i,h,k])
    np.matmul(ws.ones, ws.q_4_bar_split, out=ws.b_q_4_bar_matrix)  # (169)
    # (170) W_q_4_bar[n,d,h,k] = sum[i](q_4_bar[n,i,h,k]*y_3[n,i,d])
    np.matmul(ws.y_3_turned, ws.q_4_bar_split, out=ws.W_q_4_bar_split)  # (170)
    # (121) y_3_bar[n,i,d] = sum[h,k](r_4_bar[n,i,h,k]*W_k_4[d,h,k]) +
    #     sum[h,k](q_4_bar[n,i,h,k]*W_q_4[d,h,k]) + sum[h,k](v_4_bar[n,i,h,k]*W_v_4[d,h,k])
    np.dot(ws.r_4_bar_matrix, ws.W_k_4_matrix_T, out=ws.t_49_matrix)  # (121)
    np.dot(ws.q_4_bar_matrix, ws.W_q_4_matrix_T, out=ws.t_50_matrix)  # (121)
    np.dot(ws.v_4_bar_matrix, ws.W_v_4_matrix_T, out=ws.y_3_bar_matrix)  # (121)
    np.add(ws.y_3_bar, ws.t_49, out=ws.y_3_bar)  # (121)
    np.add(ws.y_3_bar, ws.t_50, out=ws.y_3_bar)  # (121)
    # (171) gamma_3_bar[n,d] = sum[i](x_hat_3[n,i,d]*y_3_bar[n,i,d])
    np.einsum("nid,nid->nd", ws.x_hat_3, ws.y_3_bar, out=ws.gamma_3_bar)  # (171)
    # (172) beta_3_bar[n,d] = sum[i](y_3_bar[n,i,d])
    np.matmul(ws.ones, ws.y_3_bar, out=ws.beta_3_bar)  # (172)
    # (124) x_hat_3_bar[n,i,d] = y_3_bar[n,i,d]*gamma_3[d]
    np.multiply(ws.gamma_3, ws.y_3_bar, out=ws.x_hat_3_bar)  # (124)
    # (125) y_2_bar[n,i,d] = (x_hat_3_bar[n,i,d] - mean[d_1](x_hat_3_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_3[n,i,d_1]*x_hat_3_bar[n,i,d_1])*x_hat_3[n,i,d])/sd_3[n,i] +
    #     y_5_bar[n,i,d]
    np.dot(ws.x_hat_3_bar_matrix, ws.ones, out=ws.t_51_flat)  # (125)
    np.multiply(ws.t_51, ws.number_0_015625, out=ws.t_51)  # (125)
    np.vecdot(ws.x_hat_3, ws.x_hat_3_bar, out=ws.t_52)  # (125)
    np.multiply(ws.t_52, ws.number_0_015625, out=ws.t_52)  # (125)
    np.multiply(ws.t_52_wide, ws.x_hat_3, out=ws.y_2_bar)  # (125)
    np.subtract(ws.x_hat_3_bar, ws.y_2_bar, out=ws.y_2_bar)  # (125)
    np.subtract(ws.y_2_bar, ws.t_51_wide, out=ws.y_2_bar)  # (125)
    np.divide(ws.y_2_bar, ws.sd_3_wide, out=ws.y_2_bar)  # (125)
    np.add(ws.y_2_bar, ws.y_5_bar, out=ws.y_2_bar)  # (125)
    # (173) P_2_bar[n,l,d] = y_2_bar[n,l,d]
    np.copyto(ws.P_2_bar, ws.y_2_bar)  # (173)
    # (174) E_1_bar[n,v,d] = sum[i]((v == x[n,i])*y_2_bar[n,i,d])
    np.multiply(ws.x, ws.number_64_integer, out=ws.t_53)  # (174)
    np.copyto(ws.t_56, ws.t_55_wide)  # (174)
    np.add(ws.t_56, ws.t_53_wide, out=ws.t_56)  # (174)
    ws.E_1_bar.fill(0)  # (174)
    np.add.at(ws.E_1_bar_flat, ws.t_56_flat, ws.y_2_bar_flat)  # (174)


class Optimizer:
    """The state of adam, and the flat vectors in tiles."""

    def __init__(ws, w, w_bar, *w_bars):
        ws.learning_rate = 0.001
        ws.t = np.zeros((), np.int64)  # steps made
        ws.g = w_bar
        ws.parts = w_bars
        ws.m = _zeros(len(w), w.dtype)  # (130)
        ws.v = _zeros(len(w), w.dtype)  # (131)
        ws.state = {"t": ws.t, "m": ws.m, "v": ws.v}
        ws.units = {}  # what states are divided by
        ws.c_2 = np.array(0.9, w.dtype)  # (130)
        ws.c_4 = np.array(0.999, w.dtype)  # (131)
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
        np.add(ws.g, part, out=ws.g)  # (128)
    learning_rate = ws.learning_rate
    g = ws.g
    # (128) g_norm = sqrt(sum[p](g[p]**2))
    s = np.vdot(g, g)  # (128)
    g_norm = np.sqrt(s)  # (128)
    g_clipped_factor = (1 / np.maximum(g_norm, 1)) if (1 < g_norm) else 1  # (129)
    ws.c_3[()] = 0.1 * g_clipped_factor  # (130)
    ws.c_5[()] = 0.001 * (g_clipped_factor ** 2)  # (131)
    ws.c_6[()] = 1e-08 * math.sqrt(1 - (0.999 ** t))  # (132)
    ws.c_7[()] = (math.sqrt(1 - (0.999 ** t)) * learning_rate) / (1 - (0.9 ** t))  # (132)
    for w, g, m, v, slot_1 in ws.tiles:
        # (130) m_next[p] = 0.1*g_clipped[p] + 0.9*m[p]
        np.multiply(m, ws.c_2, out=m)  # (130)
        np.multiply(g, ws.c_3, out=slot_1)  # (130)
        np.add(m, slot_1, out=m)  # (130)
        # (131) v_next[p] = 0.001*g_clipped[p]**2 + 0.999*v[p]
        np.square(g, out=slot_1)  # (131)
        np.multiply(v, ws.c_4, out=v)  # (131)
        np.multiply(slot_1, ws.c_5, out=slot_1)  # (131)
        np.add(v, slot_1, out=v)  # (131)
        # (132) w_next[p] = w[p] - learning_rate*m_next[p]/((1 - (0.9)**t)*(1E-8 +
        #     sqrt(v_next[p]/(1 - (0.999)**t))))
        np.sqrt(v, out=slot_1)  # (132)
        np.add(slot_1, ws.c_6, out=slot_1)  # (132)
        np.divide(m, slot_1, out=slot_1)  # (132)
        np.multiply(slot_1, ws.c_7, out=slot_1)  # (132)
        np.subtract(w, slot_1, out=w)  # (132)


def weighted_loss(z_18, y, sample_weight):
    """The loss with a weight for each sample, and the cotangent of z_18."""
    N = len(z_18)
    # (55) l[n,i] = logsumexp[v](z_18[n,i,v])
    t_1 = np.maximum.reduce(z_18, axis=2)  # (55)
    p = np.subtract(z_18, t_1[:, :, None])  # (55)
    np.exp(p, out=p)  # (55)
    t_2 = np.add.reduce(p, axis=2)  # (55)
    t_3 = np.log(t_2)  # (55)
    # (56) p[n,i,v] = exp(z_18[n,i,v] - l[n,i])
    np.divide(p, t_2[:, :, None], out=p)  # (56)
    # (133) L = mean[n,i]((l[n,i] - z_18[n,i,y[n,i]])*sample_weight[n])
    n = np.arange(N)  # (133)
    i = np.arange(64)  # (133)
    t_4 = z_18[n[:, None], i, y]  # (133)
    np.subtract(t_4, t_1, out=t_4)  # (133)
    np.subtract(t_3, t_4, out=t_3)  # (133)
    t_5 = np.add.reduce(t_3, axis=1)  # (133)
    t_6 = np.vdot(t_5, sample_weight)  # (133)
    L = t_6 / (64*N)  # (133)
    # (134) z_18_bar[n,i,v] = 0.015625*(p[n,i,v] - (v == y[n,i]))*sample_weight[n]/N
    z_18_bar = p.copy()  # (134)
    z_18_bar[n[:, None], i, y] -= 1  # (134)
    t_7 = np.multiply(sample_weight, 0.015625 / N)  # (134)
    np.multiply(t_7[:, None, None], z_18_bar, out=z_18_bar)  # (134)
    return L, z_18_bar


def probabilities(z_18):
    """p[n,i,v] = exp(z_18[n,i,v])/sum[d](exp(z_18[n,i,d]))"""
    # (56) p[n,i,v] = exp(z_18[n,i,v] - l[n,i])
    t_1 = np.maximum.reduce(z_18, axis=2)  # (56)
    p = np.subtract(z_18, t_1[:, :, None])  # (56)
    np.exp(p, out=p)  # (56)
    t_2 = np.add.reduce(p, axis=2)  # (56)
    np.divide(p, t_2[:, :, None], out=p)  # (56)
    return p


def labels(z_18):
    """c[n,i] = argmax[v](z_18[n,i,v])"""
    # (135) c[n,i] = argmax[v](z_18[n,i,v])
    c = np.argmax(z_18, axis=2)  # (135)
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
        np.multiply(ws.z_18_bar, ws.share, out=ws.z_18_bar)
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
        epochs=10,
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
                        for name, mean in metrics(ws.z_18, ws.y).items():
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


def _tiles(*arrays, scratch=()):
    """Arrays that broadcast, cut into tiles that stay in the cache; with scratch for each.

    A tile has at most TILE elements: of some rows, or of a part of one.
    """
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    row = math.prod(shape[1:])
    if row > TILE:
        parts = zip(*(a if len(a) > 1 else [a[0]] * shape[0] for a in arrays), strict=True)
        return [tile for part in parts for tile in _tiles(*part, scratch=scratch)]
    rows, tiles = TILE // row, []
    for k in range(0, shape[0], rows):
        own = (min(rows, shape[0] - k), *shape[1:])
        parts = (a[k : k + rows] if len(a) > 1 else a for a in arrays)
        tiles.append((*parts, *(s[: math.prod(own)].reshape(own) for s in scratch)))
    return tiles


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
