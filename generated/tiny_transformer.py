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

A gradient on a batch of 32 takes 1.58 billion floating-point operations and moves 549 million
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
    """The output z_18 in inference mode."""
    w = _flat(params, ARRAYS)
    x, sizes = _fitting(x, INPUT, {})
    ws = Inference(w, **sizes)
    ws.x[...] = x
    return inference_pass(ws)


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
        for name in ["t", "mu"]:
            setattr(ws, name, {})  # by the number of the layer
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
        ws.x = np.empty((N, 64), np.int64)
        ws.y = np.empty((N, 64), np.int64)
        ws.slot_1 = np.empty(4096*N, dtype)
        ws.y_1 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_2 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_5 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_9 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_12 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_16 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.x_hat_17 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_16_bar = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.o_11_bar = ws.slot_1[:4096*N].reshape(N, 64, 4, 16)
        ws.r_11_bar = ws.slot_1[:4096*N].reshape(N, 64, 4, 16)
        ws.t[44] = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.x_hat_10_bar = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_6_bar = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.x_hat_6_bar = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.o_4_bar = ws.slot_1[:4096*N].reshape(N, 64, 4, 16)
        ws.r_4_bar = ws.slot_1[:4096*N].reshape(N, 64, 4, 16)
        ws.t[54] = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.x_hat_3_bar = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.mu[3] = np.empty((N, 64), dtype)
        ws.m_3 = ws.mu[3]
        ws.sd_3 = ws.mu[3]
        ws.x_hat_3 = np.empty((N, 64, 64), dtype)
        ws.y_2_bar = ws.x_hat_3
        ws.y_3 = np.empty((N, 64, 64), dtype)
        ws.t[53] = ws.y_3
        ws.slot_5 = np.empty(4096*N, dtype)
        ws.q_4 = ws.slot_5[:4096*N].reshape(N, 64, 4, 16)
        ws.q_4_bar = ws.slot_5[:4096*N].reshape(N, 64, 4, 16)
        ws.y_3_bar = ws.slot_5[:4096*N].reshape(N, 64, 64)
        ws.r_4 = np.empty((N, 64, 4, 16), dtype)
        ws.v_4 = np.empty((N, 64, 4, 16), dtype)
        ws.v_4_bar = ws.v_4
        ws.slot_8 = np.empty(16384*N, dtype)
        ws.t[1] = ws.slot_8[:4096*N].reshape(N, 4, 64, 16)
        ws.t[3] = ws.slot_8[:16384*N].reshape(N, 4, 64, 64)
        ws.P_4 = ws.slot_8[:16384*N].reshape(N, 4, 64, 64)
        ws.slot_9 = np.empty(16384*N, dtype)
        ws.S_4 = ws.slot_9[:16384*N].reshape(N, 4, 64, 64)
        ws.o_4 = ws.slot_9[:4096*N].reshape(N, 64, 4, 16)
        ws.P_4_bar = ws.slot_9[:16384*N].reshape(N, 4, 64, 64)
        ws.S_4_bar = ws.slot_9[:16384*N].reshape(N, 4, 64, 64)
        ws.slot_10 = np.empty(256*N, dtype)
        ws.t[4] = ws.slot_10[:256*N].reshape(N, 4, 64)
        ws.t[6] = ws.slot_10[:256*N].reshape(N, 4, 64)
        ws.mu[6] = ws.slot_10[:64*N].reshape(N, 64)
        ws.m_6 = ws.slot_10[:64*N].reshape(N, 64)
        ws.sd_6 = ws.slot_10[:64*N].reshape(N, 64)
        ws.t[52] = ws.slot_10[:256*N].reshape(N, 4, 64)
        ws.y_4 = np.empty((N, 64, 64), dtype)
        ws.x_hat_6 = ws.y_4
        ws.y_5_bar = ws.y_4
        ws.y_6 = np.empty((N, 64, 64), dtype)
        ws.z_7 = np.empty((N, 64, 256), dtype)
        ws.t[48] = ws.z_7
        ws.t[7] = np.empty((N, 64, 256), bool)
        ws.slot_15 = np.empty(16384*N, dtype)
        ws.t[8] = ws.slot_15[:16384*N].reshape(N, 64, 256)
        ws.t[14] = ws.slot_15[:16384*N].reshape(N, 64, 256)
        ws.z_8 = ws.slot_15[:4096*N].reshape(N, 64, 64)
        ws.x_hat_10 = ws.slot_15[:4096*N].reshape(N, 64, 64)
        ws.a_7_bar = ws.slot_15[:16384*N].reshape(N, 64, 256)
        ws.t[9] = np.empty((N, 64, 256), dtype)
        ws.t[11] = ws.t[9]
        ws.t[12] = ws.t[9]
        ws.a_7 = ws.t[9]
        ws.t[49] = ws.t[9]
        ws.t[10] = np.empty((N, 64, 256), dtype)
        ws.z_7_bar = ws.t[10]
        ws.t[13] = np.empty((N, 64, 256), dtype)
        ws.mu[10] = np.empty((N, 64), dtype)
        ws.m_10 = ws.mu[10]
        ws.sd_10 = ws.mu[10]
        ws.t[50] = ws.mu[10]
        ws.t[55] = ws.mu[10]
        ws.y_10 = np.empty((N, 64, 64), dtype)
        ws.y_10_bar = ws.y_10
        ws.y_9_bar = ws.y_10
        ws.slot_21 = np.empty(4096*N, dtype)
        ws.q_11 = ws.slot_21[:4096*N].reshape(N, 64, 4, 16)
        ws.q_11_bar = ws.slot_21[:4096*N].reshape(N, 64, 4, 16)
        ws.t[45] = ws.slot_21[:4096*N].reshape(N, 64, 64)
        ws.r_11 = np.empty((N, 64, 4, 16), dtype)
        ws.v_11 = np.empty((N, 64, 4, 16), dtype)
        ws.v_11_bar = ws.v_11
        ws.slot_24 = np.empty(16384*N, dtype)
        ws.t[15] = ws.slot_24[:4096*N].reshape(N, 4, 64, 16)
        ws.t[16] = ws.slot_24[:16384*N].reshape(N, 4, 64, 64)
        ws.P_11 = ws.slot_24[:16384*N].reshape(N, 4, 64, 64)
        ws.slot_25 = np.empty(16384*N, dtype)
        ws.S_11 = ws.slot_25[:16384*N].reshape(N, 4, 64, 64)
        ws.o_11 = ws.slot_25[:4096*N].reshape(N, 64, 4, 16)
        ws.P_11_bar = ws.slot_25[:16384*N].reshape(N, 4, 64, 64)
        ws.S_11_bar = ws.slot_25[:16384*N].reshape(N, 4, 64, 64)
        ws.slot_26 = np.empty(256*N, dtype)
        ws.t[17] = ws.slot_26[:256*N].reshape(N, 4, 64)
        ws.t[19] = ws.slot_26[:256*N].reshape(N, 4, 64)
        ws.mu[13] = ws.slot_26[:64*N].reshape(N, 64)
        ws.m_13 = ws.slot_26[:64*N].reshape(N, 64)
        ws.sd_13 = ws.slot_26[:64*N].reshape(N, 64)
        ws.t[43] = ws.slot_26[:256*N].reshape(N, 4, 64)
        ws.y_11 = np.empty((N, 64, 64), dtype)
        ws.x_hat_13 = ws.y_11
        ws.y_12_bar = ws.y_11
        ws.y_13 = np.empty((N, 64, 64), dtype)
        ws.y_13_bar = ws.y_13
        ws.x_hat_13_bar = ws.y_13
        ws.z_14 = np.empty((N, 64, 256), dtype)
        ws.t[39] = ws.z_14
        ws.t[20] = np.empty((N, 64, 256), bool)
        ws.slot_31 = np.empty(16384*N, dtype)
        ws.t[21] = ws.slot_31[:16384*N].reshape(N, 64, 256)
        ws.t[27] = ws.slot_31[:16384*N].reshape(N, 64, 256)
        ws.z_15 = ws.slot_31[:4096*N].reshape(N, 64, 64)
        ws.y_17 = ws.slot_31[:4096*N].reshape(N, 64, 64)
        ws.y_17_bar = ws.slot_31[:4096*N].reshape(N, 64, 64)
        ws.x_hat_17_bar = ws.slot_31[:4096*N].reshape(N, 64, 64)
        ws.a_14_bar = ws.slot_31[:16384*N].reshape(N, 64, 256)
        ws.t[22] = np.empty((N, 64, 256), dtype)
        ws.t[24] = ws.t[22]
        ws.t[25] = ws.t[22]
        ws.a_14 = ws.t[22]
        ws.t[40] = ws.t[22]
        ws.t[23] = np.empty((N, 64, 256), dtype)
        ws.z_14_bar = ws.t[23]
        ws.t[26] = np.empty((N, 64, 256), dtype)
        ws.mu[17] = np.empty((N, 64), dtype)
        ws.m_17 = ws.mu[17]
        ws.sd_17 = ws.mu[17]
        for l in range(41, 61, 5):
            ws.t[l] = ws.mu[17]
        ws.z_18 = np.empty((N, 64, 64), dtype)
        ws.t[28] = np.empty((N, 64), dtype)
        ws.t[37] = ws.t[28]
        ws.t[42] = ws.t[28]
        ws.t[47] = ws.t[28]
        ws.p = np.empty((N, 64, 64), dtype)
        ws.z_18_bar = ws.p
        ws.t[29] = np.empty((N, 64), dtype)
        ws.t[31] = ws.t[29]
        ws.t[38] = ws.t[29]
        ws.t[30] = np.empty((N, 64), dtype)
        ws.t[35] = np.empty((N, 64), np.int64)
        ws.t[57] = ws.t[35]
        ws.t[58] = np.empty((N, 64, 64), np.int64)
        ws.d = np.arange(64)  # (1)
        ws.u = np.arange(64)  # (12)
        ws.i = np.arange(64)  # (12)
        ws.t[2] = np.less_equal(ws.u, ws.i[:, None])  # (12)
        ws.t[5] = ws.t[2].astype(dtype)  # (12)
        ws.t[18] = ws.t[2].astype(dtype)  # (35)
        ws.n = np.arange(N)  # (57)
        ws.t[32] = np.multiply(ws.i, 64)  # (57)
        ws.t[33] = np.multiply(ws.n, 4096)  # (57)
        ws.t[34] = np.add(ws.t[32], ws.t[33][:, None])  # (57)


def forward_pass(ws):
    """The loss of the batch in `ws.x` and `ws.y`."""
    N = len(ws.x)
    # (1) y_1[n,i,d] = E_1[x[n,i],d]
    np.take(ws.E_1, ws.x, axis=0, out=ws.y_1, mode="clip")  # (1)
    # (2) y_2[n,i,d] = P_2[i,d] + y_1[n,i,d]
    np.add(ws.y_1, ws.P_2, out=ws.y_2)  # (2)
    # (3) mu_3[n,i] = mean[d](y_2[n,i,d])
    np.add.reduce(ws.y_2, axis=2, out=ws.mu[3])  # (3)
    np.multiply(ws.mu[3], 0.015625, out=ws.mu[3])  # (3)
    # (4) m_3[n,i] = mean[d]((y_2[n,i,d] - mu_3[n,i])**2)
    np.subtract(ws.y_2, ws.mu[3][:, :, None], out=ws.x_hat_3)  # (4)
    np.vecdot(ws.x_hat_3, ws.x_hat_3, out=ws.m_3)  # (4)
    np.multiply(ws.m_3, 0.015625, out=ws.m_3)  # (4)
    # (5) sd_3[n,i] = sqrt(0.00001 + m_3[n,i])
    np.add(ws.m_3, 1e-05, out=ws.sd_3)  # (5)
    np.sqrt(ws.sd_3, out=ws.sd_3)  # (5)
    # (6) x_hat_3[n,i,d] = (y_2[n,i,d] - mu_3[n,i])/sd_3[n,i]
    np.divide(ws.x_hat_3, ws.sd_3[:, :, None], out=ws.x_hat_3)  # (6)
    # (7) y_3[n,i,d] = x_hat_3[n,i,d]*gamma_3[d] + beta_3[d]
    np.multiply(ws.gamma_3, ws.x_hat_3, out=ws.y_3)  # (7)
    np.add(ws.y_3, ws.beta_3, out=ws.y_3)  # (7)
    # (8) q_4[n,i,h,k] = sum[d](y_3[n,i,d]*W_q_4[d,h,k]) + b_q_4[h,k]
    np.matmul(  # (8)
        ws.y_3.reshape(64*N, 64), ws.W_q_4.reshape(64, 64), out=ws.q_4.reshape(64*N, 64)
    )
    np.add(ws.q_4, ws.b_q_4, out=ws.q_4)  # (8)
    # (9) r_4[n,s,h,k] = sum[d](y_3[n,s,d]*W_k_4[d,h,k]) + b_k_4[h,k]
    np.matmul(  # (9)
        ws.y_3.reshape(64*N, 64), ws.W_k_4.reshape(64, 64), out=ws.r_4.reshape(64*N, 64)
    )
    np.add(ws.r_4, ws.b_k_4, out=ws.r_4)  # (9)
    # (10) v_4[n,s,h,k] = sum[d](y_3[n,s,d]*W_v_4[d,h,k]) + b_v_4[h,k]
    np.matmul(  # (10)
        ws.y_3.reshape(64*N, 64), ws.W_v_4.reshape(64, 64), out=ws.v_4.reshape(64*N, 64)
    )
    np.add(ws.v_4, ws.b_v_4, out=ws.v_4)  # (10)
    # (11) S_4[n,h,i,s] = sum[k](q_4[n,i,h,k]*r_4[n,s,h,k]/4)
    np.multiply(ws.q_4.transpose(0, 2, 1, 3), 0.25, out=ws.t[1])  # (11)
    np.matmul(ws.t[1], ws.r_4.transpose(0, 2, 3, 1), out=ws.S_4)  # (11)
    # (12) l_1[n,h,i] = log(sum[u](where(u <= i, exp(S_4[n,h,i,u]), 0)))
    np.copyto(ws.t[3], -np.inf)  # (12)
    np.copyto(ws.t[3], ws.S_4, where=ws.t[2])  # (12)
    np.maximum.reduce(ws.t[3], axis=3, out=ws.t[4])  # (12)
    np.subtract(ws.S_4, ws.t[4][:, :, :, None], out=ws.P_4)  # (12)
    np.minimum(ws.P_4, 0, out=ws.P_4)  # (12)
    np.exp(ws.P_4, out=ws.P_4)  # (12)
    np.multiply(ws.P_4, ws.t[2], out=ws.P_4)  # (12)
    np.matmul(  # (12)
        ws.P_4.reshape(4*N, 64, 64).transpose(1, 0, 2),
        ws.t[5][..., None],
        out=ws.t[6].reshape(4*N, 64).T[..., None],
    )
    # (13) P_4[n,h,i,s] = where(s <= i, exp(S_4[n,h,i,s] - l_1[n,h,i]), 0)
    np.divide(ws.P_4, ws.t[6][:, :, :, None], out=ws.P_4)  # (13)
    # (14) o_4[n,i,h,k] = sum[s](P_4[n,h,i,s]*v_4[n,s,h,k])
    np.matmul(ws.P_4, ws.v_4.transpose(0, 2, 1, 3), out=ws.o_4.transpose(0, 2, 1, 3))  # (14)
    # (15) y_4[n,i,e] = sum[h,k](o_4[n,i,h,k]*W_o_4[h,k,e]) + b_o_4[e]
    np.matmul(  # (15)
        ws.o_4.reshape(64*N, 64), ws.W_o_4.reshape(64, 64), out=ws.y_4.reshape(64*N, 64)
    )
    np.add(ws.y_4, ws.b_o_4, out=ws.y_4)  # (15)
    # (16) y_5[n,i,d] = y_2[n,i,d] + y_4[n,i,d]
    np.add(ws.y_2, ws.y_4, out=ws.y_5)  # (16)
    # (17) mu_6[n,i] = mean[d](y_5[n,i,d])
    np.add.reduce(ws.y_5, axis=2, out=ws.mu[6])  # (17)
    np.multiply(ws.mu[6], 0.015625, out=ws.mu[6])  # (17)
    # (18) m_6[n,i] = mean[d]((y_5[n,i,d] - mu_6[n,i])**2)
    np.subtract(ws.y_5, ws.mu[6][:, :, None], out=ws.x_hat_6)  # (18)
    np.vecdot(ws.x_hat_6, ws.x_hat_6, out=ws.m_6)  # (18)
    np.multiply(ws.m_6, 0.015625, out=ws.m_6)  # (18)
    # (19) sd_6[n,i] = sqrt(0.00001 + m_6[n,i])
    np.add(ws.m_6, 1e-05, out=ws.sd_6)  # (19)
    np.sqrt(ws.sd_6, out=ws.sd_6)  # (19)
    # (20) x_hat_6[n,i,d] = (y_5[n,i,d] - mu_6[n,i])/sd_6[n,i]
    np.divide(ws.x_hat_6, ws.sd_6[:, :, None], out=ws.x_hat_6)  # (20)
    # (21) y_6[n,i,d] = x_hat_6[n,i,d]*gamma_6[d] + beta_6[d]
    np.multiply(ws.gamma_6, ws.x_hat_6, out=ws.y_6)  # (21)
    np.add(ws.y_6, ws.beta_6, out=ws.y_6)  # (21)
    # (22) z_7[n,i,j] = sum[d](y_6[n,i,d]*W_7[d,j]) + b_7[j]
    np.matmul(ws.y_6.reshape(64*N, 64), ws.W_7, out=ws.z_7.reshape(64*N, 256))  # (22)
    np.add(ws.z_7, ws.b_7, out=ws.z_7)  # (22)
    # (23) a_7[n,i,j] = (1 + erf(sqrt(2)*z_7[n,i,j]/2))*z_7[n,i,j]/2
    np.less(ws.z_7, 0, out=ws.t[7])  # (23)
    np.abs(ws.z_7, out=ws.t[8])  # (23)
    np.minimum(ws.t[8], 40, out=ws.t[8])  # (23)
    np.subtract(ws.t[8], 4, out=ws.t[9])  # (23)
    np.add(ws.t[8], 4, out=ws.t[10])  # (23)
    np.divide(ws.t[9], ws.t[10], out=ws.t[9])  # (23)
    np.multiply(ws.t[9], 2.1989612375505207e-11, out=ws.z_7_bar)  # (23)
    np.add(ws.z_7_bar, 2.0430758497810312e-10, out=ws.z_7_bar)  # (23)
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
        np.multiply(ws.z_7_bar, ws.t[9], out=ws.z_7_bar)  # (23)
        np.add(ws.z_7_bar, coefficient, out=ws.z_7_bar)  # (23)
    np.add(ws.t[8], 0.7071067811865476, out=ws.t[11])  # (23)
    np.divide(ws.z_7_bar, ws.t[11], out=ws.z_7_bar)  # (23)
    np.multiply(ws.t[8], 32, out=ws.t[12])  # (23)
    np.rint(ws.t[12], out=ws.t[12])  # (23)
    np.multiply(ws.t[12], 0.03125, out=ws.t[12])  # (23)
    np.subtract(ws.t[8], ws.t[12], out=ws.t[13])  # (23)
    np.add(ws.t[12], ws.t[8], out=ws.t[8])  # (23)
    np.multiply(ws.t[13], ws.t[8], out=ws.t[13])  # (23)
    np.multiply(ws.t[13], -0.5, out=ws.t[13])  # (23)
    np.exp(ws.t[13], out=ws.t[13])  # (23)
    np.square(ws.t[12], out=ws.t[12])  # (23)
    np.multiply(ws.t[12], -0.5, out=ws.t[12])  # (23)
    np.exp(ws.t[12], out=ws.t[12])  # (23)
    np.multiply(ws.t[13], ws.t[12], out=ws.t[13])  # (23)
    np.multiply(ws.z_7, ws.z_7_bar, out=ws.t[14])  # (23)
    np.multiply(ws.t[14], ws.t[13], out=ws.t[14])  # (23)
    np.subtract(ws.z_7, ws.t[14], out=ws.a_7)  # (23)
    np.copyto(ws.a_7, ws.t[14], where=ws.t[7])  # (23)
    # (24) z_8[n,i,d] = sum[j](a_7[n,i,j]*W_8[j,d]) + b_8[d]
    np.matmul(ws.a_7.reshape(64*N, 256), ws.W_8, out=ws.z_8.reshape(64*N, 64))  # (24)
    np.add(ws.z_8, ws.b_8, out=ws.z_8)  # (24)
    # (25) y_9[n,i,d] = y_5[n,i,d] + z_8[n,i,d]
    np.add(ws.y_5, ws.z_8, out=ws.y_9)  # (25)
    # (26) mu_10[n,i] = mean[d](y_9[n,i,d])
    np.add.reduce(ws.y_9, axis=2, out=ws.mu[10])  # (26)
    np.multiply(ws.mu[10], 0.015625, out=ws.mu[10])  # (26)
    # (27) m_10[n,i] = mean[d]((y_9[n,i,d] - mu_10[n,i])**2)
    np.subtract(ws.y_9, ws.mu[10][:, :, None], out=ws.x_hat_10)  # (27)
    np.vecdot(ws.x_hat_10, ws.x_hat_10, out=ws.m_10)  # (27)
    np.multiply(ws.m_10, 0.015625, out=ws.m_10)  # (27)
    # (28) sd_10[n,i] = sqrt(0.00001 + m_10[n,i])
    np.add(ws.m_10, 1e-05, out=ws.sd_10)  # (28)
    np.sqrt(ws.sd_10, out=ws.sd_10)  # (28)
    # (29) x_hat_10[n,i,d] = (y_9[n,i,d] - mu_10[n,i])/sd_10[n,i]
    np.divide(ws.x_hat_10, ws.sd_10[:, :, None], out=ws.x_hat_10)  # (29)
    # (30) y_10[n,i,d] = x_hat_10[n,i,d]*gamma_10[d] + beta_10[d]
    np.multiply(ws.gamma_10, ws.x_hat_10, out=ws.y_10)  # (30)
    np.add(ws.y_10, ws.beta_10, out=ws.y_10)  # (30)
    # (31) q_11[n,i,h,k] = sum[d](y_10[n,i,d]*W_q_11[d,h,k]) + b_q_11[h,k]
    np.matmul(  # (31)
        ws.y_10.reshape(64*N, 64),
        ws.W_q_11.reshape(64, 64),
        out=ws.q_11.reshape(64*N, 64),
    )
    np.add(ws.q_11, ws.b_q_11, out=ws.q_11)  # (31)
    # (32) r_11[n,s,h,k] = sum[d](y_10[n,s,d]*W_k_11[d,h,k]) + b_k_11[h,k]
    np.matmul(  # (32)
        ws.y_10.reshape(64*N, 64),
        ws.W_k_11.reshape(64, 64),
        out=ws.r_11.reshape(64*N, 64),
    )
    np.add(ws.r_11, ws.b_k_11, out=ws.r_11)  # (32)
    # (33) v_11[n,s,h,k] = sum[d](y_10[n,s,d]*W_v_11[d,h,k]) + b_v_11[h,k]
    np.matmul(  # (33)
        ws.y_10.reshape(64*N, 64),
        ws.W_v_11.reshape(64, 64),
        out=ws.v_11.reshape(64*N, 64),
    )
    np.add(ws.v_11, ws.b_v_11, out=ws.v_11)  # (33)
    # (34) S_11[n,h,i,s] = sum[k](q_11[n,i,h,k]*r_11[n,s,h,k]/4)
    np.multiply(ws.q_11.transpose(0, 2, 1, 3), 0.25, out=ws.t[15])  # (34)
    np.matmul(ws.t[15], ws.r_11.transpose(0, 2, 3, 1), out=ws.S_11)  # (34)
    # (35) l_2[n,h,i] = log(sum[u](where(u <= i, exp(S_11[n,h,i,u]), 0)))
    np.copyto(ws.t[16], -np.inf)  # (35)
    np.copyto(ws.t[16], ws.S_11, where=ws.t[2])  # (35)
    np.maximum.reduce(ws.t[16], axis=3, out=ws.t[17])  # (35)
    np.subtract(ws.S_11, ws.t[17][:, :, :, None], out=ws.P_11)  # (35)
    np.minimum(ws.P_11, 0, out=ws.P_11)  # (35)
    np.exp(ws.P_11, out=ws.P_11)  # (35)
    np.multiply(ws.P_11, ws.t[2], out=ws.P_11)  # (35)
    np.matmul(  # (35)
        ws.P_11.reshape(4*N, 64, 64).transpose(1, 0, 2),
        ws.t[18][..., None],
        out=ws.t[19].reshape(4*N, 64).T[..., None],
    )
    # (36) P_11[n,h,i,s] = where(s <= i, exp(S_11[n,h,i,s] - l_2[n,h,i]), 0)
    np.divide(ws.P_11, ws.t[19][:, :, :, None], out=ws.P_11)  # (36)
    # (37) o_11[n,i,h,k] = sum[s](P_11[n,h,i,s]*v_11[n,s,h,k])
    np.matmul(ws.P_11, ws.v_11.transpose(0, 2, 1, 3), out=ws.o_11.transpose(0, 2, 1, 3))  # (37)
    # (38) y_11[n,i,e] = sum[h,k](o_11[n,i,h,k]*W_o_11[h,k,e]) + b_o_11[e]
    np.matmul(  # (38)
        ws.o_11.reshape(64*N, 64),
        ws.W_o_11.reshape(64, 64),
        out=ws.y_11.reshape(64*N, 64),
    )
    np.add(ws.y_11, ws.b_o_11, out=ws.y_11)  # (38)
    # (39) y_12[n,i,d] = y_11[n,i,d] + y_9[n,i,d]
    np.add(ws.y_11, ws.y_9, out=ws.y_12)  # (39)
    # (40) mu_13[n,i] = mean[d](y_12[n,i,d])
    np.add.reduce(ws.y_12, axis=2, out=ws.mu[13])  # (40)
    np.multiply(ws.mu[13], 0.015625, out=ws.mu[13])  # (40)
    # (41) m_13[n,i] = mean[d]((y_12[n,i,d] - mu_13[n,i])**2)
    np.subtract(ws.y_12, ws.mu[13][:, :, None], out=ws.x_hat_13)  # (41)
    np.vecdot(ws.x_hat_13, ws.x_hat_13, out=ws.m_13)  # (41)
    np.multiply(ws.m_13, 0.015625, out=ws.m_13)  # (41)
    # (42) sd_13[n,i] = sqrt(0.00001 + m_13[n,i])
    np.add(ws.m_13, 1e-05, out=ws.sd_13)  # (42)
    np.sqrt(ws.sd_13, out=ws.sd_13)  # (42)
    # (43) x_hat_13[n,i,d] = (y_12[n,i,d] - mu_13[n,i])/sd_13[n,i]
    np.divide(ws.x_hat_13, ws.sd_13[:, :, None], out=ws.x_hat_13)  # (43)
    # (44) y_13[n,i,d] = x_hat_13[n,i,d]*gamma_13[d] + beta_13[d]
    np.multiply(ws.gamma_13, ws.x_hat_13, out=ws.y_13)  # (44)
    np.add(ws.y_13, ws.beta_13, out=ws.y_13)  # (44)
    # (45) z_14[n,i,j] = sum[d](y_13[n,i,d]*W_14[d,j]) + b_14[j]
    np.matmul(ws.y_13.reshape(64*N, 64), ws.W_14, out=ws.z_14.reshape(64*N, 256))  # (45)
    np.add(ws.z_14, ws.b_14, out=ws.z_14)  # (45)
    # (46) a_14[n,i,j] = (1 + erf(sqrt(2)*z_14[n,i,j]/2))*z_14[n,i,j]/2
    np.less(ws.z_14, 0, out=ws.t[20])  # (46)
    np.abs(ws.z_14, out=ws.t[21])  # (46)
    np.minimum(ws.t[21], 40, out=ws.t[21])  # (46)
    np.subtract(ws.t[21], 4, out=ws.t[22])  # (46)
    np.add(ws.t[21], 4, out=ws.t[23])  # (46)
    np.divide(ws.t[22], ws.t[23], out=ws.t[22])  # (46)
    np.multiply(ws.t[22], 2.1989612375505207e-11, out=ws.z_14_bar)  # (46)
    np.add(ws.z_14_bar, 2.0430758497810312e-10, out=ws.z_14_bar)  # (46)
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
        np.multiply(ws.z_14_bar, ws.t[22], out=ws.z_14_bar)  # (46)
        np.add(ws.z_14_bar, coefficient, out=ws.z_14_bar)  # (46)
    np.add(ws.t[21], 0.7071067811865476, out=ws.t[24])  # (46)
    np.divide(ws.z_14_bar, ws.t[24], out=ws.z_14_bar)  # (46)
    np.multiply(ws.t[21], 32, out=ws.t[25])  # (46)
    np.rint(ws.t[25], out=ws.t[25])  # (46)
    np.multiply(ws.t[25], 0.03125, out=ws.t[25])  # (46)
    np.subtract(ws.t[21], ws.t[25], out=ws.t[26])  # (46)
    np.add(ws.t[25], ws.t[21], out=ws.t[21])  # (46)
    np.multiply(ws.t[26], ws.t[21], out=ws.t[26])  # (46)
    np.multiply(ws.t[26], -0.5, out=ws.t[26])  # (46)
    np.exp(ws.t[26], out=ws.t[26])  # (46)
    np.square(ws.t[25], out=ws.t[25])  # (46)
    np.multiply(ws.t[25], -0.5, out=ws.t[25])  # (46)
    np.exp(ws.t[25], out=ws.t[25])  # (46)
    np.multiply(ws.t[26], ws.t[25], out=ws.t[26])  # (46)
    np.multiply(ws.z_14, ws.z_14_bar, out=ws.t[27])  # (46)
    np.multiply(ws.t[27], ws.t[26], out=ws.t[27])  # (46)
    np.subtract(ws.z_14, ws.t[27], out=ws.a_14)  # (46)
    np.copyto(ws.a_14, ws.t[27], where=ws.t[20])  # (46)
    # (47) z_15[n,i,d] = sum[j](a_14[n,i,j]*W_15[j,d]) + b_15[d]
    np.matmul(ws.a_14.reshape(64*N, 256), ws.W_15, out=ws.z_15.reshape(64*N, 64))  # (47)
    np.add(ws.z_15, ws.b_15, out=ws.z_15)  # (47)
    # (48) y_16[n,i,d] = y_12[n,i,d] + z_15[n,i,d]
    np.add(ws.y_12, ws.z_15, out=ws.y_16)  # (48)
    # (49) mu_17[n,i] = mean[d](y_16[n,i,d])
    np.add.reduce(ws.y_16, axis=2, out=ws.mu[17])  # (49)
    np.multiply(ws.mu[17], 0.015625, out=ws.mu[17])  # (49)
    # (50) m_17[n,i] = mean[d]((y_16[n,i,d] - mu_17[n,i])**2)
    np.subtract(ws.y_16, ws.mu[17][:, :, None], out=ws.x_hat_17)  # (50)
    np.vecdot(ws.x_hat_17, ws.x_hat_17, out=ws.m_17)  # (50)
    np.multiply(ws.m_17, 0.015625, out=ws.m_17)  # (50)
    # (51) sd_17[n,i] = sqrt(0.00001 + m_17[n,i])
    np.add(ws.m_17, 1e-05, out=ws.sd_17)  # (51)
    np.sqrt(ws.sd_17, out=ws.sd_17)  # (51)
    # (52) x_hat_17[n,i,d] = (y_16[n,i,d] - mu_17[n,i])/sd_17[n,i]
    np.divide(ws.x_hat_17, ws.sd_17[:, :, None], out=ws.x_hat_17)  # (52)
    # (53) y_17[n,i,d] = x_hat_17[n,i,d]*gamma_17[d] + beta_17[d]
    np.multiply(ws.gamma_17, ws.x_hat_17, out=ws.y_17)  # (53)
    np.add(ws.y_17, ws.beta_17, out=ws.y_17)  # (53)
    # (54) z_18[n,i,v] = sum[d](y_17[n,i,d]*W_18[d,v]) + b_18[v]
    np.matmul(ws.y_17.reshape(64*N, 64), ws.W_18, out=ws.z_18.reshape(64*N, 64))  # (54)
    np.add(ws.z_18, ws.b_18, out=ws.z_18)  # (54)
    # (55) l[n,i] = logsumexp[v](z_18[n,i,v])
    np.maximum.reduce(ws.z_18, axis=2, out=ws.t[28])  # (55)
    np.subtract(ws.z_18, ws.t[28][:, :, None], out=ws.p)  # (55)
    np.exp(ws.p, out=ws.p)  # (55)
    np.add.reduce(ws.p, axis=2, out=ws.t[29])  # (55)
    np.log(ws.t[29], out=ws.t[30])  # (55)
    # (56) p[n,i,v] = exp(z_18[n,i,v] - l[n,i])
    np.divide(ws.p, ws.t[29][:, :, None], out=ws.p)  # (56)
    # (57) L = mean[n,i](l[n,i] - z_18[n,i,y[n,i]])
    np.add(ws.t[34], ws.y, out=ws.t[35])  # (57)
    ws.z_18.reshape(-1).take(ws.t[35], None, ws.t[31], "clip")  # (57)
    np.subtract(ws.t[31], ws.t[28], out=ws.t[31])  # (57)
    np.subtract(ws.t[30], ws.t[31], out=ws.t[30])  # (57)
    t_36 = np.add.reduce(ws.t[30], axis=None)  # (57)
    L = t_36 / (64*N)  # (57)
    return L


def loss_backward(ws):
    """The cotangent z_18_bar of the output."""
    N = len(ws.x)
    # (58) z_18_bar[n,i,v] = 0.015625*(p[n,i,v] - (v == y[n,i]))/N
    ws.z_18_bar.reshape(-1)[ws.t[35]] -= 1  # (58)
    np.multiply(ws.z_18_bar, 0.015625 / N, out=ws.z_18_bar)  # (58)


def backward_pass(ws):
    """The cotangents of all parameters, from z_18_bar."""
    N = len(ws.x)
    # (59) b_18_bar[v] = sum[n,i](z_18_bar[n,i,v])
    np.add.reduce(ws.z_18_bar, axis=(0, 1), out=ws.b_18_bar)  # (59)
    # (60) W_18_bar[d,v] = sum[n,i](y_17[n,i,d]*z_18_bar[n,i,v])
    np.matmul(  # (60)
        ws.y_17.reshape(64*N, 64).T, ws.z_18_bar.reshape(64*N, 64), out=ws.W_18_bar
    )
    # (61) y_17_bar[n,i,d] = sum[v](z_18_bar[n,i,v]*W_18[d,v])
    np.matmul(  # (61)
        ws.z_18_bar.reshape(64*N, 64), ws.W_18.T, out=ws.y_17_bar.reshape(64*N, 64)
    )
    # (62) gamma_17_bar[d] = sum[n,i](x_hat_17[n,i,d]*y_17_bar[n,i,d])
    np.einsum("nid,nid->d", ws.x_hat_17, ws.y_17_bar, out=ws.gamma_17_bar)  # (62)
    # (63) beta_17_bar[d] = sum[n,i](y_17_bar[n,i,d])
    np.add.reduce(ws.y_17_bar, axis=(0, 1), out=ws.beta_17_bar)  # (63)
    # (64) x_hat_17_bar[n,i,d] = y_17_bar[n,i,d]*gamma_17[d]
    np.multiply(ws.gamma_17, ws.y_17_bar, out=ws.x_hat_17_bar)  # (64)
    # (65) y_16_bar[n,i,d] = (x_hat_17_bar[n,i,d] - mean[d_1](x_hat_17_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_17[n,i,d_1]*x_hat_17_bar[n,i,d_1])*x_hat_17[n,i,d])/sd_17[n,i]
    np.add.reduce(ws.x_hat_17_bar, axis=2, out=ws.t[37])  # (65)
    np.multiply(ws.t[37], 0.015625, out=ws.t[37])  # (65)
    np.vecdot(ws.x_hat_17, ws.x_hat_17_bar, out=ws.t[38])  # (65)
    np.multiply(ws.t[38], 0.015625, out=ws.t[38])  # (65)
    np.multiply(ws.t[38][:, :, None], ws.x_hat_17, out=ws.y_16_bar)  # (65)
    np.subtract(ws.x_hat_17_bar, ws.y_16_bar, out=ws.y_16_bar)  # (65)
    np.subtract(ws.y_16_bar, ws.t[37][:, :, None], out=ws.y_16_bar)  # (65)
    np.divide(ws.y_16_bar, ws.sd_17[:, :, None], out=ws.y_16_bar)  # (65)
    # (66) b_15_bar[d] = sum[n,i](y_16_bar[n,i,d])
    np.add.reduce(ws.y_16_bar, axis=(0, 1), out=ws.b_15_bar)  # (66)
    # (67) W_15_bar[j,d] = sum[n,i](a_14[n,i,j]*y_16_bar[n,i,d])
    np.matmul(  # (67)
        ws.a_14.reshape(64*N, 256).T, ws.y_16_bar.reshape(64*N, 64), out=ws.W_15_bar
    )
    # (68) a_14_bar[n,i,j] = sum[d](y_16_bar[n,i,d]*W_15[j,d])
    np.matmul(  # (68)
        ws.y_16_bar.reshape(64*N, 64), ws.W_15.T, out=ws.a_14_bar.reshape(64*N, 256)
    )
    # (69) z_14_bar[n,i,j] = (1 + sqrt(2)*exp(-z_14[n,i,j]**2/2)*z_14[n,i,j]/sqrt(pi) +
    #     erf(sqrt(2)*z_14[n,i,j]/2))*a_14_bar[n,i,j]/2
    np.multiply(ws.a_14_bar, ws.z_14_bar, out=ws.z_14_bar)  # (69)
    np.multiply(ws.a_14_bar, ws.z_14, out=ws.t[39])  # (69)
    np.multiply(ws.t[39], 0.7071067811865476 / 1.772453850905516, out=ws.t[39])  # (69)
    np.add(ws.z_14_bar, ws.t[39], out=ws.t[40])  # (69)
    np.multiply(ws.t[40], ws.t[26], out=ws.t[40])  # (69)
    np.subtract(ws.z_14_bar, ws.t[39], out=ws.z_14_bar)  # (69)
    np.multiply(ws.z_14_bar, ws.t[26], out=ws.z_14_bar)  # (69)
    np.subtract(ws.a_14_bar, ws.z_14_bar, out=ws.z_14_bar)  # (69)
    np.copyto(ws.z_14_bar, ws.t[40], where=ws.t[20])  # (69)
    # (70) b_14_bar[j] = sum[n,i](z_14_bar[n,i,j])
    np.add.reduce(ws.z_14_bar, axis=(0, 1), out=ws.b_14_bar)  # (70)
    # (71) W_14_bar[d,j] = sum[n,i](y_13[n,i,d]*z_14_bar[n,i,j])
    np.matmul(  # (71)
        ws.y_13.reshape(64*N, 64).T, ws.z_14_bar.reshape(64*N, 256), out=ws.W_14_bar
    )
    # (72) y_13_bar[n,i,d] = sum[j](z_14_bar[n,i,j]*W_14[d,j])
    np.matmul(  # (72)
        ws.z_14_bar.reshape(64*N, 256), ws.W_14.T, out=ws.y_13_bar.reshape(64*N, 64)
    )
    # (73) gamma_13_bar[d] = sum[n,i](x_hat_13[n,i,d]*y_13_bar[n,i,d])
    np.einsum("nid,nid->d", ws.x_hat_13, ws.y_13_bar, out=ws.gamma_13_bar)  # (73)
    # (74) beta_13_bar[d] = sum[n,i](y_13_bar[n,i,d])
    np.add.reduce(ws.y_13_bar, axis=(0, 1), out=ws.beta_13_bar)  # (74)
    # (75) x_hat_13_bar[n,i,d] = y_13_bar[n,i,d]*gamma_13[d]
    np.multiply(ws.gamma_13, ws.y_13_bar, out=ws.x_hat_13_bar)  # (75)
    # (76) y_12_bar[n,i,d] = (x_hat_13_bar[n,i,d] - mean[d_1](x_hat_13_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_13[n,i,d_1]*x_hat_13_bar[n,i,d_1])*x_hat_13[n,i,d])/sd_13[n,i] +
    #     y_16_bar[n,i,d]
    np.add.reduce(ws.x_hat_13_bar, axis=2, out=ws.t[41])  # (76)
    np.multiply(ws.t[41], 0.015625, out=ws.t[41])  # (76)
    np.vecdot(ws.x_hat_13, ws.x_hat_13_bar, out=ws.t[42])  # (76)
    np.multiply(ws.t[42], 0.015625, out=ws.t[42])  # (76)
    np.multiply(ws.t[42][:, :, None], ws.x_hat_13, out=ws.y_12_bar)  # (76)
    np.subtract(ws.x_hat_13_bar, ws.y_12_bar, out=ws.y_12_bar)  # (76)
    np.subtract(ws.y_12_bar, ws.t[41][:, :, None], out=ws.y_12_bar)  # (76)
    np.divide(ws.y_12_bar, ws.sd_13[:, :, None], out=ws.y_12_bar)  # (76)
    np.add(ws.y_12_bar, ws.y_16_bar, out=ws.y_12_bar)  # (76)
    # (77) b_o_11_bar[e] = sum[n,i](y_12_bar[n,i,e])
    np.add.reduce(ws.y_12_bar, axis=(0, 1), out=ws.b_o_11_bar)  # (77)
    # (78) W_o_11_bar[h,k,e] = sum[n,i](o_11[n,i,h,k]*y_12_bar[n,i,e])
    np.matmul(  # (78)
        ws.o_11.reshape(64*N, 64).T,
        ws.y_12_bar.reshape(64*N, 64),
        out=ws.W_o_11_bar.reshape(64, 64),
    )
    # (79) o_11_bar[n,i,h,k] = sum[e](y_12_bar[n,i,e]*W_o_11[h,k,e])
    np.matmul(  # (79)
        ws.y_12_bar.reshape(64*N, 64),
        ws.W_o_11.reshape(64, 64).T,
        out=ws.o_11_bar.reshape(64*N, 64),
    )
    # (80) P_11_bar[n,h,i,s] = sum[k](o_11_bar[n,i,h,k]*v_11[n,s,h,k])
    np.matmul(  # (80)
        ws.o_11_bar.transpose(0, 2, 1, 3), ws.v_11.transpose(0, 2, 3, 1), out=ws.P_11_bar
    )
    # (81) S_11_bar[n,h,i,s] = P_11[n,h,i,s]*(P_11_bar[n,h,i,s] -
    #     sum[s_1](P_11[n,h,i,s_1]*P_11_bar[n,h,i,s_1]))
    np.vecdot(ws.P_11, ws.P_11_bar, out=ws.t[43])  # (81)
    np.subtract(ws.P_11_bar, ws.t[43][:, :, :, None], out=ws.S_11_bar)  # (81)
    np.multiply(ws.S_11_bar, ws.P_11, out=ws.S_11_bar)  # (81)
    # (82) v_11_bar[n,s,h,k] = sum[i](P_11[n,h,i,s]*o_11_bar[n,i,h,k])
    np.matmul(  # (82)
        ws.P_11.transpose(0, 1, 3, 2),
        ws.o_11_bar.transpose(0, 2, 1, 3),
        out=ws.v_11_bar.transpose(0, 2, 1, 3),
    )
    # (83) b_v_11_bar[h,k] = sum[n,s](v_11_bar[n,s,h,k])
    np.add.reduce(ws.v_11_bar, axis=(0, 1), out=ws.b_v_11_bar)  # (83)
    # (84) W_v_11_bar[d,h,k] = sum[n,s](y_10[n,s,d]*v_11_bar[n,s,h,k])
    np.matmul(  # (84)
        ws.y_10.reshape(64*N, 64).T,
        ws.v_11_bar.reshape(64*N, 64),
        out=ws.W_v_11_bar.reshape(64, 64),
    )
    # (85) r_11_bar[n,s,h,k] = sum[i](S_11_bar[n,h,i,s]*q_11[n,i,h,k])/4
    np.matmul(  # (85)
        ws.S_11_bar.transpose(0, 1, 3, 2),
        ws.q_11.transpose(0, 2, 1, 3),
        out=ws.r_11_bar.transpose(0, 2, 1, 3),
    )
    np.multiply(ws.r_11_bar, 0.25, out=ws.r_11_bar)  # (85)
    # (86) b_k_11_bar[h,k] = sum[n,s](r_11_bar[n,s,h,k])
    np.add.reduce(ws.r_11_bar, axis=(0, 1), out=ws.b_k_11_bar)  # (86)
    # (87) W_k_11_bar[d,h,k] = sum[n,s](y_10[n,s,d]*r_11_bar[n,s,h,k])
    np.matmul(  # (87)
        ws.y_10.reshape(64*N, 64).T,
        ws.r_11_bar.reshape(64*N, 64),
        out=ws.W_k_11_bar.reshape(64, 64),
    )
    # (88) q_11_bar[n,i,h,k] = sum[s](S_11_bar[n,h,i,s]*r_11[n,s,h,k])/4
    np.matmul(  # (88)
        ws.S_11_bar, ws.r_11.transpose(0, 2, 1, 3), out=ws.q_11_bar.transpose(0, 2, 1, 3)
    )
    np.multiply(ws.q_11_bar, 0.25, out=ws.q_11_bar)  # (88)
    # (89) b_q_11_bar[h,k] = sum[n,i](q_11_bar[n,i,h,k])
    np.add.reduce(ws.q_11_bar, axis=(0, 1), out=ws.b_q_11_bar)  # (89)
    # (90) W_q_11_bar[d,h,k] = sum[n,i](y_10[n,i,d]*q_11_bar[n,i,h,k])
    np.matmul(  # (90)
        ws.y_10.reshape(64*N, 64).T,
        ws.q_11_bar.reshape(64*N, 64),
        out=ws.W_q_11_bar.reshape(64, 64),
    )
    # (91) y_10_bar[n,i,d] = sum[h,k](r_11_bar[n,i,h,k]*W_k_11[d,h,k]) +
    #     sum[h,k](q_11_bar[n,i,h,k]*W_q_11[d,h,k]) + sum[h,k](v_11_bar[n,i,h,k]*W_v_11[d,h,k])
    np.matmul(  # (91)
        ws.r_11_bar.reshape(64*N, 64),
        ws.W_k_11.reshape(64, 64).T,
        out=ws.y_10_bar.reshape(64*N, 64),
    )
    np.matmul(  # (91)
        ws.q_11_bar.reshape(64*N, 64),
        ws.W_q_11.reshape(64, 64).T,
        out=ws.t[44].reshape(64*N, 64),
    )
    np.matmul(  # (91)
        ws.v_11_bar.reshape(64*N, 64),
        ws.W_v_11.reshape(64, 64).T,
        out=ws.t[45].reshape(64*N, 64),
    )
    np.add(ws.y_10_bar, ws.t[44], out=ws.y_10_bar)  # (91)
    np.add(ws.y_10_bar, ws.t[45], out=ws.y_10_bar)  # (91)
    # (92) gamma_10_bar[d] = sum[n,i](x_hat_10[n,i,d]*y_10_bar[n,i,d])
    np.einsum("nid,nid->d", ws.x_hat_10, ws.y_10_bar, out=ws.gamma_10_bar)  # (92)
    # (93) beta_10_bar[d] = sum[n,i](y_10_bar[n,i,d])
    np.add.reduce(ws.y_10_bar, axis=(0, 1), out=ws.beta_10_bar)  # (93)
    # (94) x_hat_10_bar[n,i,d] = y_10_bar[n,i,d]*gamma_10[d]
    np.multiply(ws.gamma_10, ws.y_10_bar, out=ws.x_hat_10_bar)  # (94)
    # (95) y_9_bar[n,i,d] = (x_hat_10_bar[n,i,d] - mean[d_1](x_hat_10_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_10[n,i,d_1]*x_hat_10_bar[n,i,d_1])*x_hat_10[n,i,d])/sd_10[n,i] +
    #     y_12_bar[n,i,d]
    np.add.reduce(ws.x_hat_10_bar, axis=2, out=ws.t[46])  # (95)
    np.multiply(ws.t[46], 0.015625, out=ws.t[46])  # (95)
    np.vecdot(ws.x_hat_10, ws.x_hat_10_bar, out=ws.t[47])  # (95)
    np.multiply(ws.t[47], 0.015625, out=ws.t[47])  # (95)
    np.multiply(ws.t[47][:, :, None], ws.x_hat_10, out=ws.y_9_bar)  # (95)
    np.subtract(ws.x_hat_10_bar, ws.y_9_bar, out=ws.y_9_bar)  # (95)
    np.subtract(ws.y_9_bar, ws.t[46][:, :, None], out=ws.y_9_bar)  # (95)
    np.divide(ws.y_9_bar, ws.sd_10[:, :, None], out=ws.y_9_bar)  # (95)
    np.add(ws.y_9_bar, ws.y_12_bar, out=ws.y_9_bar)  # (95)
    # (96) b_8_bar[d] = sum[n,i](y_9_bar[n,i,d])
    np.add.reduce(ws.y_9_bar, axis=(0, 1), out=ws.b_8_bar)  # (96)
    # (97) W_8_bar[j,d] = sum[n,i](a_7[n,i,j]*y_9_bar[n,i,d])
    np.matmul(ws.a_7.reshape(64*N, 256).T, ws.y_9_bar.reshape(64*N, 64), out=ws.W_8_bar)  # (97)
    # (98) a_7_bar[n,i,j] = sum[d](y_9_bar[n,i,d]*W_8[j,d])
    np.matmul(ws.y_9_bar.reshape(64*N, 64), ws.W_8.T, out=ws.a_7_bar.reshape(64*N, 256))  # (98)
    # (99) z_7_bar[n,i,j] = (1 + sqrt(2)*exp(-z_7[n,i,j]**2/2)*z_7[n,i,j]/sqrt(pi) +
    #     erf(sqrt(2)*z_7[n,i,j]/2))*a_7_bar[n,i,j]/2
    np.multiply(ws.a_7_bar, ws.z_7_bar, out=ws.z_7_bar)  # (99)
    np.multiply(ws.a_7_bar, ws.z_7, out=ws.t[48])  # (99)
    np.multiply(ws.t[48], 0.7071067811865476 / 1.772453850905516, out=ws.t[48])  # (99)
    np.add(ws.z_7_bar, ws.t[48], out=ws.t[49])  # (99)
    np.multiply(ws.t[49], ws.t[13], out=ws.t[49])  # (99)
    np.subtract(ws.z_7_bar, ws.t[48], out=ws.z_7_bar)  # (99)
    np.multiply(ws.z_7_bar, ws.t[13], out=ws.z_7_bar)  # (99)
    np.subtract(ws.a_7_bar, ws.z_7_bar, out=ws.z_7_bar)  # (99)
    np.copyto(ws.z_7_bar, ws.t[49], where=ws.t[7])  # (99)
    # (100) b_7_bar[j] = sum[n,i](z_7_bar[n,i,j])
    np.add.reduce(ws.z_7_bar, axis=(0, 1), out=ws.b_7_bar)  # (100)
    # (101) W_7_bar[d,j] = sum[n,i](y_6[n,i,d]*z_7_bar[n,i,j])
    np.matmul(ws.y_6.reshape(64*N, 64).T, ws.z_7_bar.reshape(64*N, 256), out=ws.W_7_bar)  # (101)
    # (102) y_6_bar[n,i,d] = sum[j](z_7_bar[n,i,j]*W_7[d,j])
    np.matmul(ws.z_7_bar.reshape(64*N, 256), ws.W_7.T, out=ws.y_6_bar.reshape(64*N, 64))  # (102)
    # (103) gamma_6_bar[d] = sum[n,i](x_hat_6[n,i,d]*y_6_bar[n,i,d])
    np.einsum("nid,nid->d", ws.x_hat_6, ws.y_6_bar, out=ws.gamma_6_bar)  # (103)
    # (104) beta_6_bar[d] = sum[n,i](y_6_bar[n,i,d])
    np.add.reduce(ws.y_6_bar, axis=(0, 1), out=ws.beta_6_bar)  # (104)
    # (105) x_hat_6_bar[n,i,d] = y_6_bar[n,i,d]*gamma_6[d]
    np.multiply(ws.gamma_6, ws.y_6_bar, out=ws.x_hat_6_bar)  # (105)
    # (106) y_5_bar[n,i,d] = (x_hat_6_bar[n,i,d] - mean[d_1](x_hat_6_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_6[n,i,d_1]*x_hat_6_bar[n,i,d_1])*x_hat_6[n,i,d])/sd_6[n,i] +
    #     y_9_bar[n,i,d]
    np.add.reduce(ws.x_hat_6_bar, axis=2, out=ws.t[50])  # (106)
    np.multiply(ws.t[50], 0.015625, out=ws.t[50])  # (106)
    np.vecdot(ws.x_hat_6, ws.x_hat_6_bar, out=ws.t[51])  # (106)
    np.multiply(ws.t[51], 0.015625, out=ws.t[51])  # (106)
    np.multiply(ws.t[51][:, :, None], ws.x_hat_6, out=ws.y_5_bar)  # (106)
    np.subtract(ws.x_hat_6_bar, ws.y_5_bar, out=ws.y_5_bar)  # (106)
    np.subtract(ws.y_5_bar, ws.t[50][:, :, None], out=ws.y_5_bar)  # (106)
    np.divide(ws.y_5_bar, ws.sd_6[:, :, None], out=ws.y_5_bar)  # (106)
    np.add(ws.y_5_bar, ws.y_9_bar, out=ws.y_5_bar)  # (106)
    # (107) b_o_4_bar[e] = sum[n,i](y_5_bar[n,i,e])
    np.add.reduce(ws.y_5_bar, axis=(0, 1), out=ws.b_o_4_bar)  # (107)
    # (108) W_o_4_bar[h,k,e] = sum[n,i](o_4[n,i,h,k]*y_5_bar[n,i,e])
    np.matmul(  # (108)
        ws.o_4.reshape(64*N, 64).T,
        ws.y_5_bar.reshape(64*N, 64),
        out=ws.W_o_4_bar.reshape(64, 64),
    )
    # (109) o_4_bar[n,i,h,k] = sum[e](y_5_bar[n,i,e]*W_o_4[h,k,e])
    np.matmul(  # (109)
        ws.y_5_bar.reshape(64*N, 64),
        ws.W_o_4.reshape(64, 64).T,
        out=ws.o_4_bar.reshape(64*N, 64),
    )
    # (110) P_4_bar[n,h,i,s] = sum[k](o_4_bar[n,i,h,k]*v_4[n,s,h,k])
    np.matmul(  # (110)
        ws.o_4_bar.transpose(0, 2, 1, 3), ws.v_4.transpose(0, 2, 3, 1), out=ws.P_4_bar
    )
    # (111) S_4_bar[n,h,i,s] = P_4[n,h,i,s]*(P_4_bar[n,h,i,s] -
    #     sum[s_1](P_4[n,h,i,s_1]*P_4_bar[n,h,i,s_1]))
    np.vecdot(ws.P_4, ws.P_4_bar, out=ws.t[52])  # (111)
    np.subtract(ws.P_4_bar, ws.t[52][:, :, :, None], out=ws.S_4_bar)  # (111)
    np.multiply(ws.S_4_bar, ws.P_4, out=ws.S_4_bar)  # (111)
    # (112) v_4_bar[n,s,h,k] = sum[i](P_4[n,h,i,s]*o_4_bar[n,i,h,k])
    np.matmul(  # (112)
        ws.P_4.transpose(0, 1, 3, 2),
        ws.o_4_bar.transpose(0, 2, 1, 3),
        out=ws.v_4_bar.transpose(0, 2, 1, 3),
    )
    # (113) b_v_4_bar[h,k] = sum[n,s](v_4_bar[n,s,h,k])
    np.add.reduce(ws.v_4_bar, axis=(0, 1), out=ws.b_v_4_bar)  # (113)
    # (114) W_v_4_bar[d,h,k] = sum[n,s](y_3[n,s,d]*v_4_bar[n,s,h,k])
    np.matmul(  # (114)
        ws.y_3.reshape(64*N, 64).T,
        ws.v_4_bar.reshape(64*N, 64),
        out=ws.W_v_4_bar.reshape(64, 64),
    )
    # (115) r_4_bar[n,s,h,k] = sum[i](S_4_bar[n,h,i,s]*q_4[n,i,h,k])/4
    np.matmul(  # (115)
        ws.S_4_bar.transpose(0, 1, 3, 2),
        ws.q_4.transpose(0, 2, 1, 3),
        out=ws.r_4_bar.transpose(0, 2, 1, 3),
    )
    np.multiply(ws.r_4_bar, 0.25, out=ws.r_4_bar)  # (115)
    # (116) b_k_4_bar[h,k] = sum[n,s](r_4_bar[n,s,h,k])
    np.add.reduce(ws.r_4_bar, axis=(0, 1), out=ws.b_k_4_bar)  # (116)
    # (117) W_k_4_bar[d,h,k] = sum[n,s](y_3[n,s,d]*r_4_bar[n,s,h,k])
    np.matmul(  # (117)
        ws.y_3.reshape(64*N, 64).T,
        ws.r_4_bar.reshape(64*N, 64),
        out=ws.W_k_4_bar.reshape(64, 64),
    )
    # (118) q_4_bar[n,i,h,k] = sum[s](S_4_bar[n,h,i,s]*r_4[n,s,h,k])/4
    np.matmul(  # (118)
        ws.S_4_bar, ws.r_4.transpose(0, 2, 1, 3), out=ws.q_4_bar.transpose(0, 2, 1, 3)
    )
    np.multiply(ws.q_4_bar, 0.25, out=ws.q_4_bar)  # (118)
    # (119) b_q_4_bar[h,k] = sum[n,i](q_4_bar[n,i,h,k])
    np.add.reduce(ws.q_4_bar, axis=(0, 1), out=ws.b_q_4_bar)  # (119)
    # (120) W_q_4_bar[d,h,k] = sum[n,i](y_3[n,i,d]*q_4_bar[n,i,h,k])
    np.matmul(  # (120)
        ws.y_3.reshape(64*N, 64).T,
        ws.q_4_bar.reshape(64*N, 64),
        out=ws.W_q_4_bar.reshape(64, 64),
    )
    # (121) y_3_bar[n,i,d] = sum[h,k](r_4_bar[n,i,h,k]*W_k_4[d,h,k]) +
    #     sum[h,k](q_4_bar[n,i,h,k]*W_q_4[d,h,k]) + sum[h,k](v_4_bar[n,i,h,k]*W_v_4[d,h,k])
    np.matmul(  # (121)
        ws.r_4_bar.reshape(64*N, 64),
        ws.W_k_4.reshape(64, 64).T,
        out=ws.t[53].reshape(64*N, 64),
    )
    np.matmul(  # (121)
        ws.q_4_bar.reshape(64*N, 64),
        ws.W_q_4.reshape(64, 64).T,
        out=ws.t[54].reshape(64*N, 64),
    )
    np.matmul(  # (121)
        ws.v_4_bar.reshape(64*N, 64),
        ws.W_v_4.reshape(64, 64).T,
        out=ws.y_3_bar.reshape(64*N, 64),
    )
    np.add(ws.y_3_bar, ws.t[53], out=ws.y_3_bar)  # (121)
    np.add(ws.y_3_bar, ws.t[54], out=ws.y_3_bar)  # (121)
    # (122) gamma_3_bar[d] = sum[n,i](x_hat_3[n,i,d]*y_3_bar[n,i,d])
    np.einsum("nid,nid->d", ws.x_hat_3, ws.y_3_bar, out=ws.gamma_3_bar)  # (122)
    # (123) beta_3_bar[d] = sum[n,i](y_3_bar[n,i,d])
    np.add.reduce(ws.y_3_bar, axis=(0, 1), out=ws.beta_3_bar)  # (123)
    # (124) x_hat_3_bar[n,i,d] = y_3_bar[n,i,d]*gamma_3[d]
    np.multiply(ws.gamma_3, ws.y_3_bar, out=ws.x_hat_3_bar)  # (124)
    # (125) y_2_bar[n,i,d] = (x_hat_3_bar[n,i,d] - mean[d_1](x_hat_3_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_3[n,i,d_1]*x_hat_3_bar[n,i,d_1])*x_hat_3[n,i,d])/sd_3[n,i] +
    #     y_5_bar[n,i,d]
    np.add.reduce(ws.x_hat_3_bar, axis=2, out=ws.t[55])  # (125)
    np.multiply(ws.t[55], 0.015625, out=ws.t[55])  # (125)
    np.vecdot(ws.x_hat_3, ws.x_hat_3_bar, out=ws.t[56])  # (125)
    np.multiply(ws.t[56], 0.015625, out=ws.t[56])  # (125)
    np.multiply(ws.t[56][:, :, None], ws.x_hat_3, out=ws.y_2_bar)  # (125)
    np.subtract(ws.x_hat_3_bar, ws.y_2_bar, out=ws.y_2_bar)  # (125)
    np.subtract(ws.y_2_bar, ws.t[55][:, :, None], out=ws.y_2_bar)  # (125)
    np.divide(ws.y_2_bar, ws.sd_3[:, :, None], out=ws.y_2_bar)  # (125)
    np.add(ws.y_2_bar, ws.y_5_bar, out=ws.y_2_bar)  # (125)
    # (126) P_2_bar[l,d] = sum[n](y_2_bar[n,l,d])
    np.add.reduce(ws.y_2_bar, axis=0, out=ws.P_2_bar)  # (126)
    # (127) E_1_bar[v,d] = sum[n,i]((v == x[n,i])*y_2_bar[n,i,d])
    np.multiply(ws.x, 64, out=ws.t[57])  # (127)
    np.add(ws.d, ws.t[57][:, :, None], out=ws.t[58])  # (127)
    ws.E_1_bar.fill(0)  # (127)
    np.add.at(ws.E_1_bar.reshape(-1), ws.t[58].reshape(-1), ws.y_2_bar.reshape(-1))  # (127)


class Inference:
    """The arrays of an answer to N samples; parameters are views into the flat `w`."""

    def __init__(ws, w, N):
        p, dtype = _views(w, ARRAYS), w.dtype
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
        ws.x = np.empty((N, 64), np.int64)
        ws.y = np.empty((N, 64), np.int64)
        ws.y_1 = np.empty((N, 64, 64), dtype)
        ws.y_2 = ws.y_1
        ws.y_5 = ws.y_1
        ws.y_9 = ws.y_1
        ws.y_12 = ws.y_1
        ws.y_16 = ws.y_1
        ws.x_hat_17 = ws.y_1
        ws.y_17 = ws.y_1
        ws.t_29 = ws.y_1
        ws.slot_2 = np.empty(256*N, dtype)
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
        ws.mu_13 = ws.slot_2[:64*N].reshape(N, 64)
        ws.m_13 = ws.slot_2[:64*N].reshape(N, 64)
        ws.sd_13 = ws.slot_2[:64*N].reshape(N, 64)
        ws.mu_17 = ws.slot_2[:64*N].reshape(N, 64)
        ws.m_17 = ws.slot_2[:64*N].reshape(N, 64)
        ws.sd_17 = ws.slot_2[:64*N].reshape(N, 64)
        ws.t_28 = ws.slot_2[:64*N].reshape(N, 64)
        ws.slot_3 = np.empty(16384*N, dtype)
        ws.x_hat_3 = ws.slot_3[:4096*N].reshape(N, 64, 64)
        ws.y_3 = ws.slot_3[:4096*N].reshape(N, 64, 64)
        ws.t_1 = ws.slot_3[:4096*N].reshape(N, 4, 64, 16)
        ws.t_3 = ws.slot_3[:16384*N].reshape(N, 4, 64, 64)
        ws.P_4 = ws.slot_3[:16384*N].reshape(N, 4, 64, 64)
        ws.z_7 = ws.slot_3[:16384*N].reshape(N, 64, 256)
        ws.a_7 = ws.slot_3[:16384*N].reshape(N, 64, 256)
        ws.S_11 = ws.slot_3[:16384*N].reshape(N, 4, 64, 64)
        ws.P_11 = ws.slot_3[:16384*N].reshape(N, 4, 64, 64)
        ws.z_14 = ws.slot_3[:16384*N].reshape(N, 64, 256)
        ws.a_14 = ws.slot_3[:16384*N].reshape(N, 64, 256)
        ws.slot_4 = np.empty(16384*N, dtype)
        ws.q_4 = ws.slot_4[:4096*N].reshape(N, 64, 4, 16)
        ws.S_4 = ws.slot_4[:16384*N].reshape(N, 4, 64, 64)
        ws.t_8 = ws.slot_4[:16384*N].reshape(N, 64, 256)
        ws.v_11 = ws.slot_4[:4096*N].reshape(N, 64, 4, 16)
        ws.t_21 = ws.slot_4[:16384*N].reshape(N, 64, 256)
        ws.slot_5 = np.empty(16384*N, dtype)
        ws.r_4 = ws.slot_5[:4096*N].reshape(N, 64, 4, 16)
        ws.o_4 = ws.slot_5[:4096*N].reshape(N, 64, 4, 16)
        ws.x_hat_6 = ws.slot_5[:4096*N].reshape(N, 64, 64)
        ws.y_6 = ws.slot_5[:4096*N].reshape(N, 64, 64)
        ws.t_9 = ws.slot_5[:16384*N].reshape(N, 64, 256)
        ws.t_12 = ws.slot_5[:16384*N].reshape(N, 64, 256)
        ws.t_13 = ws.slot_5[:16384*N].reshape(N, 64, 256)
        ws.r_11 = ws.slot_5[:4096*N].reshape(N, 64, 4, 16)
        ws.t_16 = ws.slot_5[:16384*N].reshape(N, 4, 64, 64)
        ws.t_22 = ws.slot_5[:16384*N].reshape(N, 64, 256)
        ws.t_25 = ws.slot_5[:16384*N].reshape(N, 64, 256)
        ws.t_26 = ws.slot_5[:16384*N].reshape(N, 64, 256)
        ws.slot_6 = np.empty(16384*N, dtype)
        ws.v_4 = ws.slot_6[:4096*N].reshape(N, 64, 4, 16)
        ws.y_4 = ws.slot_6[:4096*N].reshape(N, 64, 64)
        ws.t_10 = ws.slot_6[:16384*N].reshape(N, 64, 256)
        ws.t_11 = ws.slot_6[:16384*N].reshape(N, 64, 256)
        ws.q_11 = ws.slot_6[:4096*N].reshape(N, 64, 4, 16)
        ws.y_11 = ws.slot_6[:4096*N].reshape(N, 64, 64)
        ws.t_23 = ws.slot_6[:16384*N].reshape(N, 64, 256)
        ws.t_24 = ws.slot_6[:16384*N].reshape(N, 64, 256)
        ws.t_7 = np.empty((N, 64, 256), bool)
        ws.t_20 = ws.t_7
        ws.slot_8 = np.empty(16384*N, dtype)
        ws.t_14 = ws.slot_8[:16384*N].reshape(N, 64, 256)
        ws.z_8 = ws.slot_8[:4096*N].reshape(N, 64, 64)
        ws.x_hat_10 = ws.slot_8[:4096*N].reshape(N, 64, 64)
        ws.y_10 = ws.slot_8[:4096*N].reshape(N, 64, 64)
        ws.t_15 = ws.slot_8[:4096*N].reshape(N, 4, 64, 16)
        ws.o_11 = ws.slot_8[:4096*N].reshape(N, 64, 4, 16)
        ws.x_hat_13 = ws.slot_8[:4096*N].reshape(N, 64, 64)
        ws.y_13 = ws.slot_8[:4096*N].reshape(N, 64, 64)
        ws.t_27 = ws.slot_8[:16384*N].reshape(N, 64, 256)
        ws.z_15 = ws.slot_8[:4096*N].reshape(N, 64, 64)
        ws.z_18 = ws.slot_8[:4096*N].reshape(N, 64, 64)
        ws.t_30 = np.empty((N, 64), dtype)
        ws.t_35 = np.empty((N, 64), np.int64)
        ws.t_31 = np.empty((N, 64), dtype)
        ws.u = np.arange(64)  # (12)
        ws.i = np.arange(64)  # (12)
        ws.t_2 = np.less_equal(ws.u, ws.i[:, None])  # (12)
        ws.t_5 = ws.t_2.astype(dtype)  # (12)
        ws.t_18 = ws.t_2.astype(dtype)  # (35)
        ws.n = np.arange(N)  # (57)
        ws.t_32 = np.multiply(ws.i, 64)  # (57)
        ws.t_33 = np.multiply(ws.n, 4096)  # (57)
        ws.t_34 = np.add(ws.t_32, ws.t_33[:, None])  # (57)


def inference_pass(ws):
    """The output z_18 for `ws.x`."""
    N = len(ws.x)
    # (1) y_1[n,i,d] = E_1[x[n,i],d]
    np.take(ws.E_1, ws.x, axis=0, out=ws.y_1, mode="clip")  # (1)
    # (2) y_2[n,i,d] = P_2[i,d] + y_1[n,i,d]
    np.add(ws.y_1, ws.P_2, out=ws.y_2)  # (2)
    # (3) mu_3[n,i] = mean[d](y_2[n,i,d])
    np.add.reduce(ws.y_2, axis=2, out=ws.mu_3)  # (3)
    np.multiply(ws.mu_3, 0.015625, out=ws.mu_3)  # (3)
    # (4) m_3[n,i] = mean[d]((y_2[n,i,d] - mu_3[n,i])**2)
    np.subtract(ws.y_2, ws.mu_3[:, :, None], out=ws.x_hat_3)  # (4)
    np.vecdot(ws.x_hat_3, ws.x_hat_3, out=ws.m_3)  # (4)
    np.multiply(ws.m_3, 0.015625, out=ws.m_3)  # (4)
    # (5) sd_3[n,i] = sqrt(0.00001 + m_3[n,i])
    np.add(ws.m_3, 1e-05, out=ws.sd_3)  # (5)
    np.sqrt(ws.sd_3, out=ws.sd_3)  # (5)
    # (6) x_hat_3[n,i,d] = (y_2[n,i,d] - mu_3[n,i])/sd_3[n,i]
    np.divide(ws.x_hat_3, ws.sd_3[:, :, None], out=ws.x_hat_3)  # (6)
    # (7) y_3[n,i,d] = x_hat_3[n,i,d]*gamma_3[d] + beta_3[d]
    np.multiply(ws.gamma_3, ws.x_hat_3, out=ws.y_3)  # (7)
    np.add(ws.y_3, ws.beta_3, out=ws.y_3)  # (7)
    # (8) q_4[n,i,h,k] = sum[d](y_3[n,i,d]*W_q_4[d,h,k]) + b_q_4[h,k]
    np.matmul(  # (8)
        ws.y_3.reshape(64*N, 64), ws.W_q_4.reshape(64, 64), out=ws.q_4.reshape(64*N, 64)
    )
    np.add(ws.q_4, ws.b_q_4, out=ws.q_4)  # (8)
    # (9) r_4[n,s,h,k] = sum[d](y_3[n,s,d]*W_k_4[d,h,k]) + b_k_4[h,k]
    np.matmul(  # (9)
        ws.y_3.reshape(64*N, 64), ws.W_k_4.reshape(64, 64), out=ws.r_4.reshape(64*N, 64)
    )
    np.add(ws.r_4, ws.b_k_4, out=ws.r_4)  # (9)
    # (10) v_4[n,s,h,k] = sum[d](y_3[n,s,d]*W_v_4[d,h,k]) + b_v_4[h,k]
    np.matmul(  # (10)
        ws.y_3.reshape(64*N, 64), ws.W_v_4.reshape(64, 64), out=ws.v_4.reshape(64*N, 64)
    )
    np.add(ws.v_4, ws.b_v_4, out=ws.v_4)  # (10)
    # (11) S_4[n,h,i,s] = sum[k](q_4[n,i,h,k]*r_4[n,s,h,k]/4)
    np.multiply(ws.q_4.transpose(0, 2, 1, 3), 0.25, out=ws.t_1)  # (11)
    np.matmul(ws.t_1, ws.r_4.transpose(0, 2, 3, 1), out=ws.S_4)  # (11)
    # (12) l_1[n,h,i] = log(sum[u](where(u <= i, exp(S_4[n,h,i,u]), 0)))
    np.copyto(ws.t_3, -np.inf)  # (12)
    np.copyto(ws.t_3, ws.S_4, where=ws.t_2)  # (12)
    np.maximum.reduce(ws.t_3, axis=3, out=ws.t_4)  # (12)
    np.subtract(ws.S_4, ws.t_4[:, :, :, None], out=ws.P_4)  # (12)
    np.minimum(ws.P_4, 0, out=ws.P_4)  # (12)
    np.exp(ws.P_4, out=ws.P_4)  # (12)
    np.multiply(ws.P_4, ws.t_2, out=ws.P_4)  # (12)
    np.matmul(  # (12)
        ws.P_4.reshape(4*N, 64, 64).transpose(1, 0, 2),
        ws.t_5[..., None],
        out=ws.t_6.reshape(4*N, 64).T[..., None],
    )
    # (13) P_4[n,h,i,s] = where(s <= i, exp(S_4[n,h,i,s] - l_1[n,h,i]), 0)
    np.divide(ws.P_4, ws.t_6[:, :, :, None], out=ws.P_4)  # (13)
    # (14) o_4[n,i,h,k] = sum[s](P_4[n,h,i,s]*v_4[n,s,h,k])
    np.matmul(ws.P_4, ws.v_4.transpose(0, 2, 1, 3), out=ws.o_4.transpose(0, 2, 1, 3))  # (14)
    # (15) y_4[n,i,e] = sum[h,k](o_4[n,i,h,k]*W_o_4[h,k,e]) + b_o_4[e]
    np.matmul(  # (15)
        ws.o_4.reshape(64*N, 64), ws.W_o_4.reshape(64, 64), out=ws.y_4.reshape(64*N, 64)
    )
    np.add(ws.y_4, ws.b_o_4, out=ws.y_4)  # (15)
    # (16) y_5[n,i,d] = y_2[n,i,d] + y_4[n,i,d]
    np.add(ws.y_2, ws.y_4, out=ws.y_5)  # (16)
    # (17) mu_6[n,i] = mean[d](y_5[n,i,d])
    np.add.reduce(ws.y_5, axis=2, out=ws.mu_6)  # (17)
    np.multiply(ws.mu_6, 0.015625, out=ws.mu_6)  # (17)
    # (18) m_6[n,i] = mean[d]((y_5[n,i,d] - mu_6[n,i])**2)
    np.subtract(ws.y_5, ws.mu_6[:, :, None], out=ws.x_hat_6)  # (18)
    np.vecdot(ws.x_hat_6, ws.x_hat_6, out=ws.m_6)  # (18)
    np.multiply(ws.m_6, 0.015625, out=ws.m_6)  # (18)
    # (19) sd_6[n,i] = sqrt(0.00001 + m_6[n,i])
    np.add(ws.m_6, 1e-05, out=ws.sd_6)  # (19)
    np.sqrt(ws.sd_6, out=ws.sd_6)  # (19)
    # (20) x_hat_6[n,i,d] = (y_5[n,i,d] - mu_6[n,i])/sd_6[n,i]
    np.divide(ws.x_hat_6, ws.sd_6[:, :, None], out=ws.x_hat_6)  # (20)
    # (21) y_6[n,i,d] = x_hat_6[n,i,d]*gamma_6[d] + beta_6[d]
    np.multiply(ws.gamma_6, ws.x_hat_6, out=ws.y_6)  # (21)
    np.add(ws.y_6, ws.beta_6, out=ws.y_6)  # (21)
    # (22) z_7[n,i,j] = sum[d](y_6[n,i,d]*W_7[d,j]) + b_7[j]
    np.matmul(ws.y_6.reshape(64*N, 64), ws.W_7, out=ws.z_7.reshape(64*N, 256))  # (22)
    np.add(ws.z_7, ws.b_7, out=ws.z_7)  # (22)
    # (23) a_7[n,i,j] = (1 + erf(sqrt(2)*z_7[n,i,j]/2))*z_7[n,i,j]/2
    np.less(ws.z_7, 0, out=ws.t_7)  # (23)
    np.abs(ws.z_7, out=ws.t_8)  # (23)
    np.minimum(ws.t_8, 40, out=ws.t_8)  # (23)
    np.subtract(ws.t_8, 4, out=ws.t_9)  # (23)
    np.add(ws.t_8, 4, out=ws.t_10)  # (23)
    np.divide(ws.t_9, ws.t_10, out=ws.t_9)  # (23)
    np.multiply(ws.t_9, 2.1989612375505207e-11, out=ws.t_11)  # (23)
    np.add(ws.t_11, 2.0430758497810312e-10, out=ws.t_11)  # (23)
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
        np.multiply(ws.t_11, ws.t_9, out=ws.t_11)  # (23)
        np.add(ws.t_11, coefficient, out=ws.t_11)  # (23)
    np.add(ws.t_8, 0.7071067811865476, out=ws.t_12)  # (23)
    np.divide(ws.t_11, ws.t_12, out=ws.t_11)  # (23)
    np.multiply(ws.t_8, 32, out=ws.t_13)  # (23)
    np.rint(ws.t_13, out=ws.t_13)  # (23)
    np.multiply(ws.t_13, 0.03125, out=ws.t_13)  # (23)
    np.subtract(ws.t_8, ws.t_13, out=ws.t_14)  # (23)
    np.add(ws.t_13, ws.t_8, out=ws.t_8)  # (23)
    np.multiply(ws.t_14, ws.t_8, out=ws.t_14)  # (23)
    np.multiply(ws.t_14, -0.5, out=ws.t_14)  # (23)
    np.exp(ws.t_14, out=ws.t_14)  # (23)
    np.square(ws.t_13, out=ws.t_13)  # (23)
    np.multiply(ws.t_13, -0.5, out=ws.t_13)  # (23)
    np.exp(ws.t_13, out=ws.t_13)  # (23)
    np.multiply(ws.t_14, ws.t_13, out=ws.t_14)  # (23)
    np.multiply(ws.z_7, ws.t_11, out=ws.t_11)  # (23)
    np.multiply(ws.t_11, ws.t_14, out=ws.t_11)  # (23)
    np.subtract(ws.z_7, ws.t_11, out=ws.a_7)  # (23)
    np.copyto(ws.a_7, ws.t_11, where=ws.t_7)  # (23)
    # (24) z_8[n,i,d] = sum[j](a_7[n,i,j]*W_8[j,d]) + b_8[d]
    np.matmul(ws.a_7.reshape(64*N, 256), ws.W_8, out=ws.z_8.reshape(64*N, 64))  # (24)
    np.add(ws.z_8, ws.b_8, out=ws.z_8)  # (24)
    # (25) y_9[n,i,d] = y_5[n,i,d] + z_8[n,i,d]
    np.add(ws.y_5, ws.z_8, out=ws.y_9)  # (25)
    # (26) mu_10[n,i] = mean[d](y_9[n,i,d])
    np.add.reduce(ws.y_9, axis=2, out=ws.mu_10)  # (26)
    np.multiply(ws.mu_10, 0.015625, out=ws.mu_10)  # (26)
    # (27) m_10[n,i] = mean[d]((y_9[n,i,d] - mu_10[n,i])**2)
    np.subtract(ws.y_9, ws.mu_10[:, :, None], out=ws.x_hat_10)  # (27)
    np.vecdot(ws.x_hat_10, ws.x_hat_10, out=ws.m_10)  # (27)
    np.multiply(ws.m_10, 0.015625, out=ws.m_10)  # (27)
    # (28) sd_10[n,i] = sqrt(0.00001 + m_10[n,i])
    np.add(ws.m_10, 1e-05, out=ws.sd_10)  # (28)
    np.sqrt(ws.sd_10, out=ws.sd_10)  # (28)
    # (29) x_hat_10[n,i,d] = (y_9[n,i,d] - mu_10[n,i])/sd_10[n,i]
    np.divide(ws.x_hat_10, ws.sd_10[:, :, None], out=ws.x_hat_10)  # (29)
    # (30) y_10[n,i,d] = x_hat_10[n,i,d]*gamma_10[d] + beta_10[d]
    np.multiply(ws.gamma_10, ws.x_hat_10, out=ws.y_10)  # (30)
    np.add(ws.y_10, ws.beta_10, out=ws.y_10)  # (30)
    # (31) q_11[n,i,h,k] = sum[d](y_10[n,i,d]*W_q_11[d,h,k]) + b_q_11[h,k]
    np.matmul(  # (31)
        ws.y_10.reshape(64*N, 64),
        ws.W_q_11.reshape(64, 64),
        out=ws.q_11.reshape(64*N, 64),
    )
    np.add(ws.q_11, ws.b_q_11, out=ws.q_11)  # (31)
    # (32) r_11[n,s,h,k] = sum[d](y_10[n,s,d]*W_k_11[d,h,k]) + b_k_11[h,k]
    np.matmul(  # (32)
        ws.y_10.reshape(64*N, 64),
        ws.W_k_11.reshape(64, 64),
        out=ws.r_11.reshape(64*N, 64),
    )
    np.add(ws.r_11, ws.b_k_11, out=ws.r_11)  # (32)
    # (33) v_11[n,s,h,k] = sum[d](y_10[n,s,d]*W_v_11[d,h,k]) + b_v_11[h,k]
    np.matmul(  # (33)
        ws.y_10.reshape(64*N, 64),
        ws.W_v_11.reshape(64, 64),
        out=ws.v_11.reshape(64*N, 64),
    )
    np.add(ws.v_11, ws.b_v_11, out=ws.v_11)  # (33)
    # (34) S_11[n,h,i,s] = sum[k](q_11[n,i,h,k]*r_11[n,s,h,k]/4)
    np.multiply(ws.q_11.transpose(0, 2, 1, 3), 0.25, out=ws.t_15)  # (34)
    np.matmul(ws.t_15, ws.r_11.transpose(0, 2, 3, 1), out=ws.S_11)  # (34)
    # (35) l_2[n,h,i] = log(sum[u](where(u <= i, exp(S_11[n,h,i,u]), 0)))
    np.copyto(ws.t_16, -np.inf)  # (35)
    np.copyto(ws.t_16, ws.S_11, where=ws.t_2)  # (35)
    np.maximum.reduce(ws.t_16, axis=3, out=ws.t_17)  # (35)
    np.subtract(ws.S_11, ws.t_17[:, :, :, None], out=ws.P_11)  # (35)
    np.minimum(ws.P_11, 0, out=ws.P_11)  # (35)
    np.exp(ws.P_11, out=ws.P_11)  # (35)
    np.multiply(ws.P_11, ws.t_2, out=ws.P_11)  # (35)
    np.matmul(  # (35)
        ws.P_11.reshape(4*N, 64, 64).transpose(1, 0, 2),
        ws.t_18[..., None],
        out=ws.t_19.reshape(4*N, 64).T[..., None],
    )
    # (36) P_11[n,h,i,s] = where(s <= i, exp(S_11[n,h,i,s] - l_2[n,h,i]), 0)
    np.divide(ws.P_11, ws.t_19[:, :, :, None], out=ws.P_11)  # (36)
    # (37) o_11[n,i,h,k] = sum[s](P_11[n,h,i,s]*v_11[n,s,h,k])
    np.matmul(ws.P_11, ws.v_11.transpose(0, 2, 1, 3), out=ws.o_11.transpose(0, 2, 1, 3))  # (37)
    # (38) y_11[n,i,e] = sum[h,k](o_11[n,i,h,k]*W_o_11[h,k,e]) + b_o_11[e]
    np.matmul(  # (38)
        ws.o_11.reshape(64*N, 64),
        ws.W_o_11.reshape(64, 64),
        out=ws.y_11.reshape(64*N, 64),
    )
    np.add(ws.y_11, ws.b_o_11, out=ws.y_11)  # (38)
    # (39) y_12[n,i,d] = y_11[n,i,d] + y_9[n,i,d]
    np.add(ws.y_11, ws.y_9, out=ws.y_12)  # (39)
    # (40) mu_13[n,i] = mean[d](y_12[n,i,d])
    np.add.reduce(ws.y_12, axis=2, out=ws.mu_13)  # (40)
    np.multiply(ws.mu_13, 0.015625, out=ws.mu_13)  # (40)
    # (41) m_13[n,i] = mean[d]((y_12[n,i,d] - mu_13[n,i])**2)
    np.subtract(ws.y_12, ws.mu_13[:, :, None], out=ws.x_hat_13)  # (41)
    np.vecdot(ws.x_hat_13, ws.x_hat_13, out=ws.m_13)  # (41)
    np.multiply(ws.m_13, 0.015625, out=ws.m_13)  # (41)
    # (42) sd_13[n,i] = sqrt(0.00001 + m_13[n,i])
    np.add(ws.m_13, 1e-05, out=ws.sd_13)  # (42)
    np.sqrt(ws.sd_13, out=ws.sd_13)  # (42)
    # (43) x_hat_13[n,i,d] = (y_12[n,i,d] - mu_13[n,i])/sd_13[n,i]
    np.divide(ws.x_hat_13, ws.sd_13[:, :, None], out=ws.x_hat_13)  # (43)
    # (44) y_13[n,i,d] = x_hat_13[n,i,d]*gamma_13[d] + beta_13[d]
    np.multiply(ws.gamma_13, ws.x_hat_13, out=ws.y_13)  # (44)
    np.add(ws.y_13, ws.beta_13, out=ws.y_13)  # (44)
    # (45) z_14[n,i,j] = sum[d](y_13[n,i,d]*W_14[d,j]) + b_14[j]
    np.matmul(ws.y_13.reshape(64*N, 64), ws.W_14, out=ws.z_14.reshape(64*N, 256))  # (45)
    np.add(ws.z_14, ws.b_14, out=ws.z_14)  # (45)
    # (46) a_14[n,i,j] = (1 + erf(sqrt(2)*z_14[n,i,j]/2))*z_14[n,i,j]/2
    np.less(ws.z_14, 0, out=ws.t_20)  # (46)
    np.abs(ws.z_14, out=ws.t_21)  # (46)
    np.minimum(ws.t_21, 40, out=ws.t_21)  # (46)
    np.subtract(ws.t_21, 4, out=ws.t_22)  # (46)
    np.add(ws.t_21, 4, out=ws.t_23)  # (46)
    np.divide(ws.t_22, ws.t_23, out=ws.t_22)  # (46)
    np.multiply(ws.t_22, 2.1989612375505207e-11, out=ws.t_24)  # (46)
    np.add(ws.t_24, 2.0430758497810312e-10, out=ws.t_24)  # (46)
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
    np.add(ws.t_21, 0.7071067811865476, out=ws.t_25)  # (46)
    np.divide(ws.t_24, ws.t_25, out=ws.t_24)  # (46)
    np.multiply(ws.t_21, 32, out=ws.t_26)  # (46)
    np.rint(ws.t_26, out=ws.t_26)  # (46)
    np.multiply(ws.t_26, 0.03125, out=ws.t_26)  # (46)
    np.subtract(ws.t_21, ws.t_26, out=ws.t_27)  # (46)
    np.add(ws.t_26, ws.t_21, out=ws.t_21)  # (46)
    np.multiply(ws.t_27, ws.t_21, out=ws.t_27)  # (46)
    np.multiply(ws.t_27, -0.5, out=ws.t_27)  # (46)
    np.exp(ws.t_27, out=ws.t_27)  # (46)
    np.square(ws.t_26, out=ws.t_26)  # (46)
    np.multiply(ws.t_26, -0.5, out=ws.t_26)  # (46)
    np.exp(ws.t_26, out=ws.t_26)  # (46)
    np.multiply(ws.t_27, ws.t_26, out=ws.t_27)  # (46)
    np.multiply(ws.z_14, ws.t_24, out=ws.t_24)  # (46)
    np.multiply(ws.t_24, ws.t_27, out=ws.t_24)  # (46)
    np.subtract(ws.z_14, ws.t_24, out=ws.a_14)  # (46)
    np.copyto(ws.a_14, ws.t_24, where=ws.t_20)  # (46)
    # (47) z_15[n,i,d] = sum[j](a_14[n,i,j]*W_15[j,d]) + b_15[d]
    np.matmul(ws.a_14.reshape(64*N, 256), ws.W_15, out=ws.z_15.reshape(64*N, 64))  # (47)
    np.add(ws.z_15, ws.b_15, out=ws.z_15)  # (47)
    # (48) y_16[n,i,d] = y_12[n,i,d] + z_15[n,i,d]
    np.add(ws.y_12, ws.z_15, out=ws.y_16)  # (48)
    # (49) mu_17[n,i] = mean[d](y_16[n,i,d])
    np.add.reduce(ws.y_16, axis=2, out=ws.mu_17)  # (49)
    np.multiply(ws.mu_17, 0.015625, out=ws.mu_17)  # (49)
    # (50) m_17[n,i] = mean[d]((y_16[n,i,d] - mu_17[n,i])**2)
    np.subtract(ws.y_16, ws.mu_17[:, :, None], out=ws.x_hat_17)  # (50)
    np.vecdot(ws.x_hat_17, ws.x_hat_17, out=ws.m_17)  # (50)
    np.multiply(ws.m_17, 0.015625, out=ws.m_17)  # (50)
    # (51) sd_17[n,i] = sqrt(0.00001 + m_17[n,i])
    np.add(ws.m_17, 1e-05, out=ws.sd_17)  # (51)
    np.sqrt(ws.sd_17, out=ws.sd_17)  # (51)
    # (52) x_hat_17[n,i,d] = (y_16[n,i,d] - mu_17[n,i])/sd_17[n,i]
    np.divide(ws.x_hat_17, ws.sd_17[:, :, None], out=ws.x_hat_17)  # (52)
    # (53) y_17[n,i,d] = x_hat_17[n,i,d]*gamma_17[d] + beta_17[d]
    np.multiply(ws.gamma_17, ws.x_hat_17, out=ws.y_17)  # (53)
    np.add(ws.y_17, ws.beta_17, out=ws.y_17)  # (53)
    # (54) z_18[n,i,v] = sum[d](y_17[n,i,d]*W_18[d,v]) + b_18[v]
    np.matmul(ws.y_17.reshape(64*N, 64), ws.W_18, out=ws.z_18.reshape(64*N, 64))  # (54)
    np.add(ws.z_18, ws.b_18, out=ws.z_18)  # (54)
    return ws.z_18


def loss_pass(ws):
    """The loss of that output for `ws.y`."""
    N = len(ws.x)
    # (55) l[n,i] = logsumexp[v](z_18[n,i,v])
    np.maximum.reduce(ws.z_18, axis=2, out=ws.t_28)  # (55)
    np.subtract(ws.z_18, ws.t_28[:, :, None], out=ws.t_29)  # (55)
    np.exp(ws.t_29, out=ws.t_29)  # (55)
    np.add.reduce(ws.t_29, axis=2, out=ws.t_30)  # (55)
    np.log(ws.t_30, out=ws.t_30)  # (55)
    # (57) L = mean[n,i](l[n,i] - z_18[n,i,y[n,i]])
    np.add(ws.t_34, ws.y, out=ws.t_35)  # (57)
    ws.z_18.reshape(-1).take(ws.t_35, None, ws.t_31, "clip")  # (57)
    np.subtract(ws.t_31, ws.t_28, out=ws.t_31)  # (57)
    np.subtract(ws.t_30, ws.t_31, out=ws.t_30)  # (57)
    t_36 = np.add.reduce(ws.t_30, axis=None)  # (57)
    L = t_36 / (64*N)  # (57)
    return L


class PerSample:
    """The arrays of the gradients of N samples, each alone."""

    def __init__(ws, w, N):
        for name in ["t", "mu"]:
            setattr(ws, name, {})  # by the number of the layer
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
        ws.x = np.empty((N, 64), np.int64)
        ws.y = np.empty((N, 64), np.int64)
        ws.slot_1 = np.empty(4096*N, dtype)
        ws.y_1 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_2 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_5 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_9 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_12 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_16 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.x_hat_17 = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_16_bar = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.o_11_bar = ws.slot_1[:4096*N].reshape(N, 64, 4, 16)
        ws.r_11_bar = ws.slot_1[:4096*N].reshape(N, 64, 4, 16)
        ws.t[38] = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.x_hat_10_bar = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.y_6_bar = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.x_hat_6_bar = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.o_4_bar = ws.slot_1[:4096*N].reshape(N, 64, 4, 16)
        ws.r_4_bar = ws.slot_1[:4096*N].reshape(N, 64, 4, 16)
        ws.t[48] = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.x_hat_3_bar = ws.slot_1[:4096*N].reshape(N, 64, 64)
        ws.mu[3] = np.empty((N, 64), dtype)
        ws.m_3 = ws.mu[3]
        ws.sd_3 = ws.mu[3]
        ws.x_hat_3 = np.empty((N, 64, 64), dtype)
        ws.y_2_bar = ws.x_hat_3
        ws.y_3 = np.empty((N, 64, 64), dtype)
        ws.t[47] = ws.y_3
        ws.slot_5 = np.empty(4096*N, dtype)
        ws.q_4 = ws.slot_5[:4096*N].reshape(N, 64, 4, 16)
        ws.q_4_bar = ws.slot_5[:4096*N].reshape(N, 64, 4, 16)
        ws.y_3_bar = ws.slot_5[:4096*N].reshape(N, 64, 64)
        ws.r_4 = np.empty((N, 64, 4, 16), dtype)
        ws.v_4 = np.empty((N, 64, 4, 16), dtype)
        ws.v_4_bar = ws.v_4
        ws.slot_8 = np.empty(16384*N, dtype)
        ws.t[1] = ws.slot_8[:4096*N].reshape(N, 4, 64, 16)
        ws.t[3] = ws.slot_8[:16384*N].reshape(N, 4, 64, 64)
        ws.P_4 = ws.slot_8[:16384*N].reshape(N, 4, 64, 64)
        ws.slot_9 = np.empty(16384*N, dtype)
        ws.S_4 = ws.slot_9[:16384*N].reshape(N, 4, 64, 64)
        ws.o_4 = ws.slot_9[:4096*N].reshape(N, 64, 4, 16)
        ws.P_4_bar = ws.slot_9[:16384*N].reshape(N, 4, 64, 64)
        ws.S_4_bar = ws.slot_9[:16384*N].reshape(N, 4, 64, 64)
        ws.slot_10 = np.empty(256*N, dtype)
        ws.t[4] = ws.slot_10[:256*N].reshape(N, 4, 64)
        ws.t[6] = ws.slot_10[:256*N].reshape(N, 4, 64)
        ws.mu[6] = ws.slot_10[:64*N].reshape(N, 64)
        ws.m_6 = ws.slot_10[:64*N].reshape(N, 64)
        ws.sd_6 = ws.slot_10[:64*N].reshape(N, 64)
        ws.t[46] = ws.slot_10[:256*N].reshape(N, 4, 64)
        ws.y_4 = np.empty((N, 64, 64), dtype)
        ws.x_hat_6 = ws.y_4
        ws.y_5_bar = ws.y_4
        ws.y_6 = np.empty((N, 64, 64), dtype)
        ws.z_7 = np.empty((N, 64, 256), dtype)
        ws.t[42] = ws.z_7
        ws.t[7] = np.empty((N, 64, 256), bool)
        ws.slot_15 = np.empty(16384*N, dtype)
        ws.t[8] = ws.slot_15[:16384*N].reshape(N, 64, 256)
        ws.t[14] = ws.slot_15[:16384*N].reshape(N, 64, 256)
        ws.z_8 = ws.slot_15[:4096*N].reshape(N, 64, 64)
        ws.x_hat_10 = ws.slot_15[:4096*N].reshape(N, 64, 64)
        ws.a_7_bar = ws.slot_15[:16384*N].reshape(N, 64, 256)
        ws.t[9] = np.empty((N, 64, 256), dtype)
        ws.t[11] = ws.t[9]
        ws.t[12] = ws.t[9]
        ws.a_7 = ws.t[9]
        ws.t[43] = ws.t[9]
        ws.t[10] = np.empty((N, 64, 256), dtype)
        ws.z_7_bar = ws.t[10]
        ws.t[13] = np.empty((N, 64, 256), dtype)
        ws.mu[10] = np.empty((N, 64), dtype)
        ws.m_10 = ws.mu[10]
        ws.sd_10 = ws.mu[10]
        ws.t[44] = ws.mu[10]
        ws.t[49] = ws.mu[10]
        ws.y_10 = np.empty((N, 64, 64), dtype)
        ws.y_10_bar = ws.y_10
        ws.y_9_bar = ws.y_10
        ws.slot_21 = np.empty(4096*N, dtype)
        ws.q_11 = ws.slot_21[:4096*N].reshape(N, 64, 4, 16)
        ws.q_11_bar = ws.slot_21[:4096*N].reshape(N, 64, 4, 16)
        ws.t[39] = ws.slot_21[:4096*N].reshape(N, 64, 64)
        ws.r_11 = np.empty((N, 64, 4, 16), dtype)
        ws.v_11 = np.empty((N, 64, 4, 16), dtype)
        ws.v_11_bar = ws.v_11
        ws.slot_24 = np.empty(16384*N, dtype)
        ws.t[15] = ws.slot_24[:4096*N].reshape(N, 4, 64, 16)
        ws.t[16] = ws.slot_24[:16384*N].reshape(N, 4, 64, 64)
        ws.P_11 = ws.slot_24[:16384*N].reshape(N, 4, 64, 64)
        ws.slot_25 = np.empty(16384*N, dtype)
        ws.S_11 = ws.slot_25[:16384*N].reshape(N, 4, 64, 64)
        ws.o_11 = ws.slot_25[:4096*N].reshape(N, 64, 4, 16)
        ws.P_11_bar = ws.slot_25[:16384*N].reshape(N, 4, 64, 64)
        ws.S_11_bar = ws.slot_25[:16384*N].reshape(N, 4, 64, 64)
        ws.slot_26 = np.empty(256*N, dtype)
        ws.t[17] = ws.slot_26[:256*N].reshape(N, 4, 64)
        ws.t[19] = ws.slot_26[:256*N].reshape(N, 4, 64)
        ws.mu[13] = ws.slot_26[:64*N].reshape(N, 64)
        ws.m_13 = ws.slot_26[:64*N].reshape(N, 64)
        ws.sd_13 = ws.slot_26[:64*N].reshape(N, 64)
        ws.t[37] = ws.slot_26[:256*N].reshape(N, 4, 64)
        ws.y_11 = np.empty((N, 64, 64), dtype)
        ws.x_hat_13 = ws.y_11
        ws.y_12_bar = ws.y_11
        ws.y_13 = np.empty((N, 64, 64), dtype)
        ws.y_13_bar = ws.y_13
        ws.x_hat_13_bar = ws.y_13
        ws.z_14 = np.empty((N, 64, 256), dtype)
        ws.t[33] = ws.z_14
        ws.t[20] = np.empty((N, 64, 256), bool)
        ws.slot_31 = np.empty(16384*N, dtype)
        ws.t[21] = ws.slot_31[:16384*N].reshape(N, 64, 256)
        ws.t[27] = ws.slot_31[:16384*N].reshape(N, 64, 256)
        ws.z_15 = ws.slot_31[:4096*N].reshape(N, 64, 64)
        ws.y_17 = ws.slot_31[:4096*N].reshape(N, 64, 64)
        ws.y_17_bar = ws.slot_31[:4096*N].reshape(N, 64, 64)
        ws.a_14_bar = ws.slot_31[:16384*N].reshape(N, 64, 256)
        ws.t[22] = np.empty((N, 64, 256), dtype)
        ws.t[24] = ws.t[22]
        ws.t[25] = ws.t[22]
        ws.a_14 = ws.t[22]
        ws.t[34] = ws.t[22]
        ws.t[23] = np.empty((N, 64, 256), dtype)
        ws.z_14_bar = ws.t[23]
        ws.t[26] = np.empty((N, 64, 256), dtype)
        ws.mu[17] = np.empty((N, 64), dtype)
        ws.m_17 = ws.mu[17]
        ws.sd_17 = ws.mu[17]
        for l in range(35, 55, 5):
            ws.t[l] = ws.mu[17]
        ws.z_18 = np.empty((N, 64, 64), dtype)
        ws.p = ws.z_18
        ws.z_18_bar = ws.z_18
        ws.x_hat_17_bar = ws.z_18
        ws.t[28] = np.empty((N, 64), dtype)
        ws.t[29] = ws.t[28]
        ws.t[31] = ws.t[28]
        ws.t[36] = ws.t[28]
        ws.t[41] = ws.t[28]
        ws.t[30] = np.empty((N, 64, 64), bool)
        ws.t[32] = np.empty((N, 64), dtype)
        ws.t[51] = np.empty((N, 64), np.int64)
        ws.t[54] = np.empty((N, 64, 64), np.int64)
        ws.d = np.arange(64)  # (1)
        ws.u = np.arange(64)  # (12)
        ws.i = np.arange(64)  # (12)
        ws.t[2] = np.less_equal(ws.u, ws.i[:, None])  # (12)
        ws.t[5] = ws.t[2].astype(dtype)  # (12)
        ws.t[18] = ws.t[2].astype(dtype)  # (35)
        ws.v = np.arange(64)  # (136)
        ws.n = np.arange(N)  # (174)
        ws.t[52] = np.multiply(ws.n, 4096)  # (174)
        ws.t[53] = np.add(ws.t[52][:, None], ws.d)  # (174)


def per_sample_pass(ws):
    """The cotangents of all parameters, sample by sample."""
    N = len(ws.x)
    # (1) y_1[n,i,d] = E_1[x[n,i],d]
    np.take(ws.E_1, ws.x, axis=0, out=ws.y_1, mode="clip")  # (1)
    # (2) y_2[n,i,d] = P_2[i,d] + y_1[n,i,d]
    np.add(ws.y_1, ws.P_2, out=ws.y_2)  # (2)
    # (3) mu_3[n,i] = mean[d](y_2[n,i,d])
    np.add.reduce(ws.y_2, axis=2, out=ws.mu[3])  # (3)
    np.multiply(ws.mu[3], 0.015625, out=ws.mu[3])  # (3)
    # (4) m_3[n,i] = mean[d]((y_2[n,i,d] - mu_3[n,i])**2)
    np.subtract(ws.y_2, ws.mu[3][:, :, None], out=ws.x_hat_3)  # (4)
    np.vecdot(ws.x_hat_3, ws.x_hat_3, out=ws.m_3)  # (4)
    np.multiply(ws.m_3, 0.015625, out=ws.m_3)  # (4)
    # (5) sd_3[n,i] = sqrt(0.00001 + m_3[n,i])
    np.add(ws.m_3, 1e-05, out=ws.sd_3)  # (5)
    np.sqrt(ws.sd_3, out=ws.sd_3)  # (5)
    # (6) x_hat_3[n,i,d] = (y_2[n,i,d] - mu_3[n,i])/sd_3[n,i]
    np.divide(ws.x_hat_3, ws.sd_3[:, :, None], out=ws.x_hat_3)  # (6)
    # (7) y_3[n,i,d] = x_hat_3[n,i,d]*gamma_3[d] + beta_3[d]
    np.multiply(ws.gamma_3, ws.x_hat_3, out=ws.y_3)  # (7)
    np.add(ws.y_3, ws.beta_3, out=ws.y_3)  # (7)
    # (8) q_4[n,i,h,k] = sum[d](y_3[n,i,d]*W_q_4[d,h,k]) + b_q_4[h,k]
    np.matmul(  # (8)
        ws.y_3.reshape(64*N, 64), ws.W_q_4.reshape(64, 64), out=ws.q_4.reshape(64*N, 64)
    )
    np.add(ws.q_4, ws.b_q_4, out=ws.q_4)  # (8)
    # (9) r_4[n,s,h,k] = sum[d](y_3[n,s,d]*W_k_4[d,h,k]) + b_k_4[h,k]
    np.matmul(  # (9)
        ws.y_3.reshape(64*N, 64), ws.W_k_4.reshape(64, 64), out=ws.r_4.reshape(64*N, 64)
    )
    np.add(ws.r_4, ws.b_k_4, out=ws.r_4)  # (9)
    # (10) v_4[n,s,h,k] = sum[d](y_3[n,s,d]*W_v_4[d,h,k]) + b_v_4[h,k]
    np.matmul(  # (10)
        ws.y_3.reshape(64*N, 64), ws.W_v_4.reshape(64, 64), out=ws.v_4.reshape(64*N, 64)
    )
    np.add(ws.v_4, ws.b_v_4, out=ws.v_4)  # (10)
    # (11) S_4[n,h,i,s] = sum[k](q_4[n,i,h,k]*r_4[n,s,h,k]/4)
    np.multiply(ws.q_4.transpose(0, 2, 1, 3), 0.25, out=ws.t[1])  # (11)
    np.matmul(ws.t[1], ws.r_4.transpose(0, 2, 3, 1), out=ws.S_4)  # (11)
    # (12) l_1[n,h,i] = log(sum[u](where(u <= i, exp(S_4[n,h,i,u]), 0)))
    np.copyto(ws.t[3], -np.inf)  # (12)
    np.copyto(ws.t[3], ws.S_4, where=ws.t[2])  # (12)
    np.maximum.reduce(ws.t[3], axis=3, out=ws.t[4])  # (12)
    np.subtract(ws.S_4, ws.t[4][:, :, :, None], out=ws.P_4)  # (12)
    np.minimum(ws.P_4, 0, out=ws.P_4)  # (12)
    np.exp(ws.P_4, out=ws.P_4)  # (12)
    np.multiply(ws.P_4, ws.t[2], out=ws.P_4)  # (12)
    np.matmul(  # (12)
        ws.P_4.reshape(4*N, 64, 64).transpose(1, 0, 2),
        ws.t[5][..., None],
        out=ws.t[6].reshape(4*N, 64).T[..., None],
    )
    # (13) P_4[n,h,i,s] = where(s <= i, exp(S_4[n,h,i,s] - l_1[n,h,i]), 0)
    np.divide(ws.P_4, ws.t[6][:, :, :, None], out=ws.P_4)  # (13)
    # (14) o_4[n,i,h,k] = sum[s](P_4[n,h,i,s]*v_4[n,s,h,k])
    np.matmul(ws.P_4, ws.v_4.transpose(0, 2, 1, 3), out=ws.o_4.transpose(0, 2, 1, 3))  # (14)
    # (15) y_4[n,i,e] = sum[h,k](o_4[n,i,h,k]*W_o_4[h,k,e]) + b_o_4[e]
    np.matmul(  # (15)
        ws.o_4.reshape(64*N, 64), ws.W_o_4.reshape(64, 64), out=ws.y_4.reshape(64*N, 64)
    )
    np.add(ws.y_4, ws.b_o_4, out=ws.y_4)  # (15)
    # (16) y_5[n,i,d] = y_2[n,i,d] + y_4[n,i,d]
    np.add(ws.y_2, ws.y_4, out=ws.y_5)  # (16)
    # (17) mu_6[n,i] = mean[d](y_5[n,i,d])
    np.add.reduce(ws.y_5, axis=2, out=ws.mu[6])  # (17)
    np.multiply(ws.mu[6], 0.015625, out=ws.mu[6])  # (17)
    # (18) m_6[n,i] = mean[d]((y_5[n,i,d] - mu_6[n,i])**2)
    np.subtract(ws.y_5, ws.mu[6][:, :, None], out=ws.x_hat_6)  # (18)
    np.vecdot(ws.x_hat_6, ws.x_hat_6, out=ws.m_6)  # (18)
    np.multiply(ws.m_6, 0.015625, out=ws.m_6)  # (18)
    # (19) sd_6[n,i] = sqrt(0.00001 + m_6[n,i])
    np.add(ws.m_6, 1e-05, out=ws.sd_6)  # (19)
    np.sqrt(ws.sd_6, out=ws.sd_6)  # (19)
    # (20) x_hat_6[n,i,d] = (y_5[n,i,d] - mu_6[n,i])/sd_6[n,i]
    np.divide(ws.x_hat_6, ws.sd_6[:, :, None], out=ws.x_hat_6)  # (20)
    # (21) y_6[n,i,d] = x_hat_6[n,i,d]*gamma_6[d] + beta_6[d]
    np.multiply(ws.gamma_6, ws.x_hat_6, out=ws.y_6)  # (21)
    np.add(ws.y_6, ws.beta_6, out=ws.y_6)  # (21)
    # (22) z_7[n,i,j] = sum[d](y_6[n,i,d]*W_7[d,j]) + b_7[j]
    np.matmul(ws.y_6.reshape(64*N, 64), ws.W_7, out=ws.z_7.reshape(64*N, 256))  # (22)
    np.add(ws.z_7, ws.b_7, out=ws.z_7)  # (22)
    # (23) a_7[n,i,j] = (1 + erf(sqrt(2)*z_7[n,i,j]/2))*z_7[n,i,j]/2
    np.less(ws.z_7, 0, out=ws.t[7])  # (23)
    np.abs(ws.z_7, out=ws.t[8])  # (23)
    np.minimum(ws.t[8], 40, out=ws.t[8])  # (23)
    np.subtract(ws.t[8], 4, out=ws.t[9])  # (23)
    np.add(ws.t[8], 4, out=ws.t[10])  # (23)
    np.divide(ws.t[9], ws.t[10], out=ws.t[9])  # (23)
    np.multiply(ws.t[9], 2.1989612375505207e-11, out=ws.z_7_bar)  # (23)
    np.add(ws.z_7_bar, 2.0430758497810312e-10, out=ws.z_7_bar)  # (23)
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
        np.multiply(ws.z_7_bar, ws.t[9], out=ws.z_7_bar)  # (23)
        np.add(ws.z_7_bar, coefficient, out=ws.z_7_bar)  # (23)
    np.add(ws.t[8], 0.7071067811865476, out=ws.t[11])  # (23)
    np.divide(ws.z_7_bar, ws.t[11], out=ws.z_7_bar)  # (23)
    np.multiply(ws.t[8], 32, out=ws.t[12])  # (23)
    np.rint(ws.t[12], out=ws.t[12])  # (23)
    np.multiply(ws.t[12], 0.03125, out=ws.t[12])  # (23)
    np.subtract(ws.t[8], ws.t[12], out=ws.t[13])  # (23)
    np.add(ws.t[12], ws.t[8], out=ws.t[8])  # (23)
    np.multiply(ws.t[13], ws.t[8], out=ws.t[13])  # (23)
    np.multiply(ws.t[13], -0.5, out=ws.t[13])  # (23)
    np.exp(ws.t[13], out=ws.t[13])  # (23)
    np.square(ws.t[12], out=ws.t[12])  # (23)
    np.multiply(ws.t[12], -0.5, out=ws.t[12])  # (23)
    np.exp(ws.t[12], out=ws.t[12])  # (23)
    np.multiply(ws.t[13], ws.t[12], out=ws.t[13])  # (23)
    np.multiply(ws.z_7, ws.z_7_bar, out=ws.t[14])  # (23)
    np.multiply(ws.t[14], ws.t[13], out=ws.t[14])  # (23)
    np.subtract(ws.z_7, ws.t[14], out=ws.a_7)  # (23)
    np.copyto(ws.a_7, ws.t[14], where=ws.t[7])  # (23)
    # (24) z_8[n,i,d] = sum[j](a_7[n,i,j]*W_8[j,d]) + b_8[d]
    np.matmul(ws.a_7.reshape(64*N, 256), ws.W_8, out=ws.z_8.reshape(64*N, 64))  # (24)
    np.add(ws.z_8, ws.b_8, out=ws.z_8)  # (24)
    # (25) y_9[n,i,d] = y_5[n,i,d] + z_8[n,i,d]
    np.add(ws.y_5, ws.z_8, out=ws.y_9)  # (25)
    # (26) mu_10[n,i] = mean[d](y_9[n,i,d])
    np.add.reduce(ws.y_9, axis=2, out=ws.mu[10])  # (26)
    np.multiply(ws.mu[10], 0.015625, out=ws.mu[10])  # (26)
    # (27) m_10[n,i] = mean[d]((y_9[n,i,d] - mu_10[n,i])**2)
    np.subtract(ws.y_9, ws.mu[10][:, :, None], out=ws.x_hat_10)  # (27)
    np.vecdot(ws.x_hat_10, ws.x_hat_10, out=ws.m_10)  # (27)
    np.multiply(ws.m_10, 0.015625, out=ws.m_10)  # (27)
    # (28) sd_10[n,i] = sqrt(0.00001 + m_10[n,i])
    np.add(ws.m_10, 1e-05, out=ws.sd_10)  # (28)
    np.sqrt(ws.sd_10, out=ws.sd_10)  # (28)
    # (29) x_hat_10[n,i,d] = (y_9[n,i,d] - mu_10[n,i])/sd_10[n,i]
    np.divide(ws.x_hat_10, ws.sd_10[:, :, None], out=ws.x_hat_10)  # (29)
    # (30) y_10[n,i,d] = x_hat_10[n,i,d]*gamma_10[d] + beta_10[d]
    np.multiply(ws.gamma_10, ws.x_hat_10, out=ws.y_10)  # (30)
    np.add(ws.y_10, ws.beta_10, out=ws.y_10)  # (30)
    # (31) q_11[n,i,h,k] = sum[d](y_10[n,i,d]*W_q_11[d,h,k]) + b_q_11[h,k]
    np.matmul(  # (31)
        ws.y_10.reshape(64*N, 64),
        ws.W_q_11.reshape(64, 64),
        out=ws.q_11.reshape(64*N, 64),
    )
    np.add(ws.q_11, ws.b_q_11, out=ws.q_11)  # (31)
    # (32) r_11[n,s,h,k] = sum[d](y_10[n,s,d]*W_k_11[d,h,k]) + b_k_11[h,k]
    np.matmul(  # (32)
        ws.y_10.reshape(64*N, 64),
        ws.W_k_11.reshape(64, 64),
        out=ws.r_11.reshape(64*N, 64),
    )
    np.add(ws.r_11, ws.b_k_11, out=ws.r_11)  # (32)
    # (33) v_11[n,s,h,k] = sum[d](y_10[n,s,d]*W_v_11[d,h,k]) + b_v_11[h,k]
    np.matmul(  # (33)
        ws.y_10.reshape(64*N, 64),
        ws.W_v_11.reshape(64, 64),
        out=ws.v_11.reshape(64*N, 64),
    )
    np.add(ws.v_11, ws.b_v_11, out=ws.v_11)  # (33)
    # (34) S_11[n,h,i,s] = sum[k](q_11[n,i,h,k]*r_11[n,s,h,k]/4)
    np.multiply(ws.q_11.transpose(0, 2, 1, 3), 0.25, out=ws.t[15])  # (34)
    np.matmul(ws.t[15], ws.r_11.transpose(0, 2, 3, 1), out=ws.S_11)  # (34)
    # (35) l_2[n,h,i] = log(sum[u](where(u <= i, exp(S_11[n,h,i,u]), 0)))
    np.copyto(ws.t[16], -np.inf)  # (35)
    np.copyto(ws.t[16], ws.S_11, where=ws.t[2])  # (35)
    np.maximum.reduce(ws.t[16], axis=3, out=ws.t[17])  # (35)
    np.subtract(ws.S_11, ws.t[17][:, :, :, None], out=ws.P_11)  # (35)
    np.minimum(ws.P_11, 0, out=ws.P_11)  # (35)
    np.exp(ws.P_11, out=ws.P_11)  # (35)
    np.multiply(ws.P_11, ws.t[2], out=ws.P_11)  # (35)
    np.matmul(  # (35)
        ws.P_11.reshape(4*N, 64, 64).transpose(1, 0, 2),
        ws.t[18][..., None],
        out=ws.t[19].reshape(4*N, 64).T[..., None],
    )
    # (36) P_11[n,h,i,s] = where(s <= i, exp(S_11[n,h,i,s] - l_2[n,h,i]), 0)
    np.divide(ws.P_11, ws.t[19][:, :, :, None], out=ws.P_11)  # (36)
    # (37) o_11[n,i,h,k] = sum[s](P_11[n,h,i,s]*v_11[n,s,h,k])
    np.matmul(ws.P_11, ws.v_11.transpose(0, 2, 1, 3), out=ws.o_11.transpose(0, 2, 1, 3))  # (37)
    # (38) y_11[n,i,e] = sum[h,k](o_11[n,i,h,k]*W_o_11[h,k,e]) + b_o_11[e]
    np.matmul(  # (38)
        ws.o_11.reshape(64*N, 64),
        ws.W_o_11.reshape(64, 64),
        out=ws.y_11.reshape(64*N, 64),
    )
    np.add(ws.y_11, ws.b_o_11, out=ws.y_11)  # (38)
    # (39) y_12[n,i,d] = y_11[n,i,d] + y_9[n,i,d]
    np.add(ws.y_11, ws.y_9, out=ws.y_12)  # (39)
    # (40) mu_13[n,i] = mean[d](y_12[n,i,d])
    np.add.reduce(ws.y_12, axis=2, out=ws.mu[13])  # (40)
    np.multiply(ws.mu[13], 0.015625, out=ws.mu[13])  # (40)
    # (41) m_13[n,i] = mean[d]((y_12[n,i,d] - mu_13[n,i])**2)
    np.subtract(ws.y_12, ws.mu[13][:, :, None], out=ws.x_hat_13)  # (41)
    np.vecdot(ws.x_hat_13, ws.x_hat_13, out=ws.m_13)  # (41)
    np.multiply(ws.m_13, 0.015625, out=ws.m_13)  # (41)
    # (42) sd_13[n,i] = sqrt(0.00001 + m_13[n,i])
    np.add(ws.m_13, 1e-05, out=ws.sd_13)  # (42)
    np.sqrt(ws.sd_13, out=ws.sd_13)  # (42)
    # (43) x_hat_13[n,i,d] = (y_12[n,i,d] - mu_13[n,i])/sd_13[n,i]
    np.divide(ws.x_hat_13, ws.sd_13[:, :, None], out=ws.x_hat_13)  # (43)
    # (44) y_13[n,i,d] = x_hat_13[n,i,d]*gamma_13[d] + beta_13[d]
    np.multiply(ws.gamma_13, ws.x_hat_13, out=ws.y_13)  # (44)
    np.add(ws.y_13, ws.beta_13, out=ws.y_13)  # (44)
    # (45) z_14[n,i,j] = sum[d](y_13[n,i,d]*W_14[d,j]) + b_14[j]
    np.matmul(ws.y_13.reshape(64*N, 64), ws.W_14, out=ws.z_14.reshape(64*N, 256))  # (45)
    np.add(ws.z_14, ws.b_14, out=ws.z_14)  # (45)
    # (46) a_14[n,i,j] = (1 + erf(sqrt(2)*z_14[n,i,j]/2))*z_14[n,i,j]/2
    np.less(ws.z_14, 0, out=ws.t[20])  # (46)
    np.abs(ws.z_14, out=ws.t[21])  # (46)
    np.minimum(ws.t[21], 40, out=ws.t[21])  # (46)
    np.subtract(ws.t[21], 4, out=ws.t[22])  # (46)
    np.add(ws.t[21], 4, out=ws.t[23])  # (46)
    np.divide(ws.t[22], ws.t[23], out=ws.t[22])  # (46)
    np.multiply(ws.t[22], 2.1989612375505207e-11, out=ws.z_14_bar)  # (46)
    np.add(ws.z_14_bar, 2.0430758497810312e-10, out=ws.z_14_bar)  # (46)
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
        np.multiply(ws.z_14_bar, ws.t[22], out=ws.z_14_bar)  # (46)
        np.add(ws.z_14_bar, coefficient, out=ws.z_14_bar)  # (46)
    np.add(ws.t[21], 0.7071067811865476, out=ws.t[24])  # (46)
    np.divide(ws.z_14_bar, ws.t[24], out=ws.z_14_bar)  # (46)
    np.multiply(ws.t[21], 32, out=ws.t[25])  # (46)
    np.rint(ws.t[25], out=ws.t[25])  # (46)
    np.multiply(ws.t[25], 0.03125, out=ws.t[25])  # (46)
    np.subtract(ws.t[21], ws.t[25], out=ws.t[26])  # (46)
    np.add(ws.t[25], ws.t[21], out=ws.t[21])  # (46)
    np.multiply(ws.t[26], ws.t[21], out=ws.t[26])  # (46)
    np.multiply(ws.t[26], -0.5, out=ws.t[26])  # (46)
    np.exp(ws.t[26], out=ws.t[26])  # (46)
    np.square(ws.t[25], out=ws.t[25])  # (46)
    np.multiply(ws.t[25], -0.5, out=ws.t[25])  # (46)
    np.exp(ws.t[25], out=ws.t[25])  # (46)
    np.multiply(ws.t[26], ws.t[25], out=ws.t[26])  # (46)
    np.multiply(ws.z_14, ws.z_14_bar, out=ws.t[27])  # (46)
    np.multiply(ws.t[27], ws.t[26], out=ws.t[27])  # (46)
    np.subtract(ws.z_14, ws.t[27], out=ws.a_14)  # (46)
    np.copyto(ws.a_14, ws.t[27], where=ws.t[20])  # (46)
    # (47) z_15[n,i,d] = sum[j](a_14[n,i,j]*W_15[j,d]) + b_15[d]
    np.matmul(ws.a_14.reshape(64*N, 256), ws.W_15, out=ws.z_15.reshape(64*N, 64))  # (47)
    np.add(ws.z_15, ws.b_15, out=ws.z_15)  # (47)
    # (48) y_16[n,i,d] = y_12[n,i,d] + z_15[n,i,d]
    np.add(ws.y_12, ws.z_15, out=ws.y_16)  # (48)
    # (49) mu_17[n,i] = mean[d](y_16[n,i,d])
    np.add.reduce(ws.y_16, axis=2, out=ws.mu[17])  # (49)
    np.multiply(ws.mu[17], 0.015625, out=ws.mu[17])  # (49)
    # (50) m_17[n,i] = mean[d]((y_16[n,i,d] - mu_17[n,i])**2)
    np.subtract(ws.y_16, ws.mu[17][:, :, None], out=ws.x_hat_17)  # (50)
    np.vecdot(ws.x_hat_17, ws.x_hat_17, out=ws.m_17)  # (50)
    np.multiply(ws.m_17, 0.015625, out=ws.m_17)  # (50)
    # (51) sd_17[n,i] = sqrt(0.00001 + m_17[n,i])
    np.add(ws.m_17, 1e-05, out=ws.sd_17)  # (51)
    np.sqrt(ws.sd_17, out=ws.sd_17)  # (51)
    # (52) x_hat_17[n,i,d] = (y_16[n,i,d] - mu_17[n,i])/sd_17[n,i]
    np.divide(ws.x_hat_17, ws.sd_17[:, :, None], out=ws.x_hat_17)  # (52)
    # (53) y_17[n,i,d] = x_hat_17[n,i,d]*gamma_17[d] + beta_17[d]
    np.multiply(ws.gamma_17, ws.x_hat_17, out=ws.y_17)  # (53)
    np.add(ws.y_17, ws.beta_17, out=ws.y_17)  # (53)
    # (54) z_18[n,i,v] = sum[d](y_17[n,i,d]*W_18[d,v]) + b_18[v]
    np.matmul(ws.y_17.reshape(64*N, 64), ws.W_18, out=ws.z_18.reshape(64*N, 64))  # (54)
    np.add(ws.z_18, ws.b_18, out=ws.z_18)  # (54)
    # (55) l[n,i] = logsumexp[v](z_18[n,i,v])
    np.maximum.reduce(ws.z_18, axis=2, out=ws.t[28])  # (55)
    np.subtract(ws.z_18, ws.t[28][:, :, None], out=ws.p)  # (55)
    np.exp(ws.p, out=ws.p)  # (55)
    np.add.reduce(ws.p, axis=2, out=ws.t[29])  # (55)
    # (56) p[n,i,v] = exp(z_18[n,i,v] - l[n,i])
    np.divide(ws.p, ws.t[29][:, :, None], out=ws.p)  # (56)
    # (136) z_18_bar[n,i,v] = 0.015625*(p[n,i,v] - (v == y[n,i]))
    np.equal(ws.v, ws.y[:, :, None], out=ws.t[30])  # (136)
    np.subtract(ws.p, ws.t[30], out=ws.z_18_bar)  # (136)
    np.multiply(ws.z_18_bar, 0.015625, out=ws.z_18_bar)  # (136)
    # (137) b_18_bar[n,v] = sum[i](z_18_bar[n,i,v])
    np.add.reduce(ws.z_18_bar, axis=1, out=ws.b_18_bar)  # (137)
    # (138) W_18_bar[n,d,v] = sum[i](y_17[n,i,d]*z_18_bar[n,i,v])
    np.matmul(ws.y_17.transpose(0, 2, 1), ws.z_18_bar, out=ws.W_18_bar)  # (138)
    # (61) y_17_bar[n,i,d] = sum[v](z_18_bar[n,i,v]*W_18[d,v])
    np.matmul(  # (61)
        ws.z_18_bar.reshape(64*N, 64), ws.W_18.T, out=ws.y_17_bar.reshape(64*N, 64)
    )
    # (139) gamma_17_bar[n,d] = sum[i](x_hat_17[n,i,d]*y_17_bar[n,i,d])
    np.einsum("nid,nid->nd", ws.x_hat_17, ws.y_17_bar, out=ws.gamma_17_bar)  # (139)
    # (140) beta_17_bar[n,d] = sum[i](y_17_bar[n,i,d])
    np.add.reduce(ws.y_17_bar, axis=1, out=ws.beta_17_bar)  # (140)
    # (64) x_hat_17_bar[n,i,d] = y_17_bar[n,i,d]*gamma_17[d]
    np.multiply(ws.gamma_17, ws.y_17_bar, out=ws.x_hat_17_bar)  # (64)
    # (65) y_16_bar[n,i,d] = (x_hat_17_bar[n,i,d] - mean[d_1](x_hat_17_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_17[n,i,d_1]*x_hat_17_bar[n,i,d_1])*x_hat_17[n,i,d])/sd_17[n,i]
    np.add.reduce(ws.x_hat_17_bar, axis=2, out=ws.t[31])  # (65)
    np.multiply(ws.t[31], 0.015625, out=ws.t[31])  # (65)
    np.vecdot(ws.x_hat_17, ws.x_hat_17_bar, out=ws.t[32])  # (65)
    np.multiply(ws.t[32], 0.015625, out=ws.t[32])  # (65)
    np.multiply(ws.t[32][:, :, None], ws.x_hat_17, out=ws.y_16_bar)  # (65)
    np.subtract(ws.x_hat_17_bar, ws.y_16_bar, out=ws.y_16_bar)  # (65)
    np.subtract(ws.y_16_bar, ws.t[31][:, :, None], out=ws.y_16_bar)  # (65)
    np.divide(ws.y_16_bar, ws.sd_17[:, :, None], out=ws.y_16_bar)  # (65)
    # (141) b_15_bar[n,d] = sum[i](y_16_bar[n,i,d])
    np.add.reduce(ws.y_16_bar, axis=1, out=ws.b_15_bar)  # (141)
    # (142) W_15_bar[n,j,d] = sum[i](a_14[n,i,j]*y_16_bar[n,i,d])
    np.matmul(ws.a_14.transpose(0, 2, 1), ws.y_16_bar, out=ws.W_15_bar)  # (142)
    # (68) a_14_bar[n,i,j] = sum[d](y_16_bar[n,i,d]*W_15[j,d])
    np.matmul(  # (68)
        ws.y_16_bar.reshape(64*N, 64), ws.W_15.T, out=ws.a_14_bar.reshape(64*N, 256)
    )
    # (69) z_14_bar[n,i,j] = (1 + sqrt(2)*exp(-z_14[n,i,j]**2/2)*z_14[n,i,j]/sqrt(pi) +
    #     erf(sqrt(2)*z_14[n,i,j]/2))*a_14_bar[n,i,j]/2
    np.multiply(ws.a_14_bar, ws.z_14_bar, out=ws.z_14_bar)  # (69)
    np.multiply(ws.a_14_bar, ws.z_14, out=ws.t[33])  # (69)
    np.multiply(ws.t[33], 0.7071067811865476 / 1.772453850905516, out=ws.t[33])  # (69)
    np.add(ws.z_14_bar, ws.t[33], out=ws.t[34])  # (69)
    np.multiply(ws.t[34], ws.t[26], out=ws.t[34])  # (69)
    np.subtract(ws.z_14_bar, ws.t[33], out=ws.z_14_bar)  # (69)
    np.multiply(ws.z_14_bar, ws.t[26], out=ws.z_14_bar)  # (69)
    np.subtract(ws.a_14_bar, ws.z_14_bar, out=ws.z_14_bar)  # (69)
    np.copyto(ws.z_14_bar, ws.t[34], where=ws.t[20])  # (69)
    # (143) b_14_bar[n,j] = sum[i](z_14_bar[n,i,j])
    np.add.reduce(ws.z_14_bar, axis=1, out=ws.b_14_bar)  # (143)
    # (144) W_14_bar[n,d,j] = sum[i](y_13[n,i,d]*z_14_bar[n,i,j])
    np.matmul(ws.y_13.transpose(0, 2, 1), ws.z_14_bar, out=ws.W_14_bar)  # (144)
    # (72) y_13_bar[n,i,d] = sum[j](z_14_bar[n,i,j]*W_14[d,j])
    np.matmul(  # (72)
        ws.z_14_bar.reshape(64*N, 256), ws.W_14.T, out=ws.y_13_bar.reshape(64*N, 64)
    )
    # (145) gamma_13_bar[n,d] = sum[i](x_hat_13[n,i,d]*y_13_bar[n,i,d])
    np.einsum("nid,nid->nd", ws.x_hat_13, ws.y_13_bar, out=ws.gamma_13_bar)  # (145)
    # (146) beta_13_bar[n,d] = sum[i](y_13_bar[n,i,d])
    np.add.reduce(ws.y_13_bar, axis=1, out=ws.beta_13_bar)  # (146)
    # (75) x_hat_13_bar[n,i,d] = y_13_bar[n,i,d]*gamma_13[d]
    np.multiply(ws.gamma_13, ws.y_13_bar, out=ws.x_hat_13_bar)  # (75)
    # (76) y_12_bar[n,i,d] = (x_hat_13_bar[n,i,d] - mean[d_1](x_hat_13_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_13[n,i,d_1]*x_hat_13_bar[n,i,d_1])*x_hat_13[n,i,d])/sd_13[n,i] +
    #     y_16_bar[n,i,d]
    np.add.reduce(ws.x_hat_13_bar, axis=2, out=ws.t[35])  # (76)
    np.multiply(ws.t[35], 0.015625, out=ws.t[35])  # (76)
    np.vecdot(ws.x_hat_13, ws.x_hat_13_bar, out=ws.t[36])  # (76)
    np.multiply(ws.t[36], 0.015625, out=ws.t[36])  # (76)
    np.multiply(ws.t[36][:, :, None], ws.x_hat_13, out=ws.y_12_bar)  # (76)
    np.subtract(ws.x_hat_13_bar, ws.y_12_bar, out=ws.y_12_bar)  # (76)
    np.subtract(ws.y_12_bar, ws.t[35][:, :, None], out=ws.y_12_bar)  # (76)
    np.divide(ws.y_12_bar, ws.sd_13[:, :, None], out=ws.y_12_bar)  # (76)
    np.add(ws.y_12_bar, ws.y_16_bar, out=ws.y_12_bar)  # (76)
    # (147) b_o_11_bar[n,e] = sum[i](y_12_bar[n,i,e])
    np.add.reduce(ws.y_12_bar, axis=1, out=ws.b_o_11_bar)  # (147)
    # (148) W_o_11_bar[n,h,k,e] = sum[i](o_11[n,i,h,k]*y_12_bar[n,i,e])
    np.matmul(  # (148)
        ws.o_11.reshape(N, 64, 64).transpose(0, 2, 1),
        ws.y_12_bar,
        out=ws.W_o_11_bar.reshape(N, 64, 64),
    )
    # (79) o_11_bar[n,i,h,k] = sum[e](y_12_bar[n,i,e]*W_o_11[h,k,e])
    np.matmul(  # (79)
        ws.y_12_bar.reshape(64*N, 64),
        ws.W_o_11.reshape(64, 64).T,
        out=ws.o_11_bar.reshape(64*N, 64),
    )
    # (80) P_11_bar[n,h,i,s] = sum[k](o_11_bar[n,i,h,k]*v_11[n,s,h,k])
    np.matmul(  # (80)
        ws.o_11_bar.transpose(0, 2, 1, 3), ws.v_11.transpose(0, 2, 3, 1), out=ws.P_11_bar
    )
    # (81) S_11_bar[n,h,i,s] = P_11[n,h,i,s]*(P_11_bar[n,h,i,s] -
    #     sum[s_1](P_11[n,h,i,s_1]*P_11_bar[n,h,i,s_1]))
    np.vecdot(ws.P_11, ws.P_11_bar, out=ws.t[37])  # (81)
    np.subtract(ws.P_11_bar, ws.t[37][:, :, :, None], out=ws.S_11_bar)  # (81)
    np.multiply(ws.S_11_bar, ws.P_11, out=ws.S_11_bar)  # (81)
    # (82) v_11_bar[n,s,h,k] = sum[i](P_11[n,h,i,s]*o_11_bar[n,i,h,k])
    np.matmul(  # (82)
        ws.P_11.transpose(0, 1, 3, 2),
        ws.o_11_bar.transpose(0, 2, 1, 3),
        out=ws.v_11_bar.transpose(0, 2, 1, 3),
    )
    # (149) b_v_11_bar[n,h,k] = sum[s](v_11_bar[n,s,h,k])
    np.add.reduce(ws.v_11_bar, axis=1, out=ws.b_v_11_bar)  # (149)
    # (150) W_v_11_bar[n,d,h,k] = sum[s](v_11_bar[n,s,h,k]*y_10[n,s,d])
    np.matmul(  # (150)
        ws.y_10.transpose(0, 2, 1),
        ws.v_11_bar.reshape(N, 64, 64),
        out=ws.W_v_11_bar.reshape(N, 64, 64),
    )
    # (85) r_11_bar[n,s,h,k] = sum[i](S_11_bar[n,h,i,s]*q_11[n,i,h,k])/4
    np.matmul(  # (85)
        ws.S_11_bar.transpose(0, 1, 3, 2),
        ws.q_11.transpose(0, 2, 1, 3),
        out=ws.r_11_bar.transpose(0, 2, 1, 3),
    )
    np.multiply(ws.r_11_bar, 0.25, out=ws.r_11_bar)  # (85)
    # (151) b_k_11_bar[n,h,k] = sum[s](r_11_bar[n,s,h,k])
    np.add.reduce(ws.r_11_bar, axis=1, out=ws.b_k_11_bar)  # (151)
    # (152) W_k_11_bar[n,d,h,k] = sum[s](r_11_bar[n,s,h,k]*y_10[n,s,d])
    np.matmul(  # (152)
        ws.y_10.transpose(0, 2, 1),
        ws.r_11_bar.reshape(N, 64, 64),
        out=ws.W_k_11_bar.reshape(N, 64, 64),
    )
    # (88) q_11_bar[n,i,h,k] = sum[s](S_11_bar[n,h,i,s]*r_11[n,s,h,k])/4
    np.matmul(  # (88)
        ws.S_11_bar, ws.r_11.transpose(0, 2, 1, 3), out=ws.q_11_bar.transpose(0, 2, 1, 3)
    )
    np.multiply(ws.q_11_bar, 0.25, out=ws.q_11_bar)  # (88)
    # (153) b_q_11_bar[n,h,k] = sum[i](q_11_bar[n,i,h,k])
    np.add.reduce(ws.q_11_bar, axis=1, out=ws.b_q_11_bar)  # (153)
    # (154) W_q_11_bar[n,d,h,k] = sum[i](q_11_bar[n,i,h,k]*y_10[n,i,d])
    np.matmul(  # (154)
        ws.y_10.transpose(0, 2, 1),
        ws.q_11_bar.reshape(N, 64, 64),
        out=ws.W_q_11_bar.reshape(N, 64, 64),
    )
    # (91) y_10_bar[n,i,d] = sum[h,k](r_11_bar[n,i,h,k]*W_k_11[d,h,k]) +
    #     sum[h,k](q_11_bar[n,i,h,k]*W_q_11[d,h,k]) + sum[h,k](v_11_bar[n,i,h,k]*W_v_11[d,h,k])
    np.matmul(  # (91)
        ws.r_11_bar.reshape(64*N, 64),
        ws.W_k_11.reshape(64, 64).T,
        out=ws.y_10_bar.reshape(64*N, 64),
    )
    np.matmul(  # (91)
        ws.q_11_bar.reshape(64*N, 64),
        ws.W_q_11.reshape(64, 64).T,
        out=ws.t[38].reshape(64*N, 64),
    )
    np.matmul(  # (91)
        ws.v_11_bar.reshape(64*N, 64),
        ws.W_v_11.reshape(64, 64).T,
        out=ws.t[39].reshape(64*N, 64),
    )
    np.add(ws.y_10_bar, ws.t[38], out=ws.y_10_bar)  # (91)
    np.add(ws.y_10_bar, ws.t[39], out=ws.y_10_bar)  # (91)
    # (155) gamma_10_bar[n,d] = sum[i](x_hat_10[n,i,d]*y_10_bar[n,i,d])
    np.einsum("nid,nid->nd", ws.x_hat_10, ws.y_10_bar, out=ws.gamma_10_bar)  # (155)
    # (156) beta_10_bar[n,d] = sum[i](y_10_bar[n,i,d])
    np.add.reduce(ws.y_10_bar, axis=1, out=ws.beta_10_bar)  # (156)
    # (94) x_hat_10_bar[n,i,d] = y_10_bar[n,i,d]*gamma_10[d]
    np.multiply(ws.gamma_10, ws.y_10_bar, out=ws.x_hat_10_bar)  # (94)
    # (95) y_9_bar[n,i,d] = (x_hat_10_bar[n,i,d] - mean[d_1](x_hat_10_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_10[n,i,d_1]*x_hat_10_bar[n,i,d_1])*x_hat_10[n,i,d])/sd_10[n,i] +
    #     y_12_bar[n,i,d]
    np.add.reduce(ws.x_hat_10_bar, axis=2, out=ws.t[40])  # (95)
    np.multiply(ws.t[40], 0.015625, out=ws.t[40])  # (95)
    np.vecdot(ws.x_hat_10, ws.x_hat_10_bar, out=ws.t[41])  # (95)
    np.multiply(ws.t[41], 0.015625, out=ws.t[41])  # (95)
    np.multiply(ws.t[41][:, :, None], ws.x_hat_10, out=ws.y_9_bar)  # (95)
    np.subtract(ws.x_hat_10_bar, ws.y_9_bar, out=ws.y_9_bar)  # (95)
    np.subtract(ws.y_9_bar, ws.t[40][:, :, None], out=ws.y_9_bar)  # (95)
    np.divide(ws.y_9_bar, ws.sd_10[:, :, None], out=ws.y_9_bar)  # (95)
    np.add(ws.y_9_bar, ws.y_12_bar, out=ws.y_9_bar)  # (95)
    # (157) b_8_bar[n,d] = sum[i](y_9_bar[n,i,d])
    np.add.reduce(ws.y_9_bar, axis=1, out=ws.b_8_bar)  # (157)
    # (158) W_8_bar[n,j,d] = sum[i](a_7[n,i,j]*y_9_bar[n,i,d])
    np.matmul(ws.a_7.transpose(0, 2, 1), ws.y_9_bar, out=ws.W_8_bar)  # (158)
    # (98) a_7_bar[n,i,j] = sum[d](y_9_bar[n,i,d]*W_8[j,d])
    np.matmul(ws.y_9_bar.reshape(64*N, 64), ws.W_8.T, out=ws.a_7_bar.reshape(64*N, 256))  # (98)
    # (99) z_7_bar[n,i,j] = (1 + sqrt(2)*exp(-z_7[n,i,j]**2/2)*z_7[n,i,j]/sqrt(pi) +
    #     erf(sqrt(2)*z_7[n,i,j]/2))*a_7_bar[n,i,j]/2
    np.multiply(ws.a_7_bar, ws.z_7_bar, out=ws.z_7_bar)  # (99)
    np.multiply(ws.a_7_bar, ws.z_7, out=ws.t[42])  # (99)
    np.multiply(ws.t[42], 0.7071067811865476 / 1.772453850905516, out=ws.t[42])  # (99)
    np.add(ws.z_7_bar, ws.t[42], out=ws.t[43])  # (99)
    np.multiply(ws.t[43], ws.t[13], out=ws.t[43])  # (99)
    np.subtract(ws.z_7_bar, ws.t[42], out=ws.z_7_bar)  # (99)
    np.multiply(ws.z_7_bar, ws.t[13], out=ws.z_7_bar)  # (99)
    np.subtract(ws.a_7_bar, ws.z_7_bar, out=ws.z_7_bar)  # (99)
    np.copyto(ws.z_7_bar, ws.t[43], where=ws.t[7])  # (99)
    # (159) b_7_bar[n,j] = sum[i](z_7_bar[n,i,j])
    np.add.reduce(ws.z_7_bar, axis=1, out=ws.b_7_bar)  # (159)
    # (160) W_7_bar[n,d,j] = sum[i](y_6[n,i,d]*z_7_bar[n,i,j])
    np.matmul(ws.y_6.transpose(0, 2, 1), ws.z_7_bar, out=ws.W_7_bar)  # (160)
    # (102) y_6_bar[n,i,d] = sum[j](z_7_bar[n,i,j]*W_7[d,j])
    np.matmul(ws.z_7_bar.reshape(64*N, 256), ws.W_7.T, out=ws.y_6_bar.reshape(64*N, 64))  # (102)
    # (161) gamma_6_bar[n,d] = sum[i](x_hat_6[n,i,d]*y_6_bar[n,i,d])
    np.einsum("nid,nid->nd", ws.x_hat_6, ws.y_6_bar, out=ws.gamma_6_bar)  # (161)
    # (162) beta_6_bar[n,d] = sum[i](y_6_bar[n,i,d])
    np.add.reduce(ws.y_6_bar, axis=1, out=ws.beta_6_bar)  # (162)
    # (105) x_hat_6_bar[n,i,d] = y_6_bar[n,i,d]*gamma_6[d]
    np.multiply(ws.gamma_6, ws.y_6_bar, out=ws.x_hat_6_bar)  # (105)
    # (106) y_5_bar[n,i,d] = (x_hat_6_bar[n,i,d] - mean[d_1](x_hat_6_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_6[n,i,d_1]*x_hat_6_bar[n,i,d_1])*x_hat_6[n,i,d])/sd_6[n,i] +
    #     y_9_bar[n,i,d]
    np.add.reduce(ws.x_hat_6_bar, axis=2, out=ws.t[44])  # (106)
    np.multiply(ws.t[44], 0.015625, out=ws.t[44])  # (106)
    np.vecdot(ws.x_hat_6, ws.x_hat_6_bar, out=ws.t[45])  # (106)
    np.multiply(ws.t[45], 0.015625, out=ws.t[45])  # (106)
    np.multiply(ws.t[45][:, :, None], ws.x_hat_6, out=ws.y_5_bar)  # (106)
    np.subtract(ws.x_hat_6_bar, ws.y_5_bar, out=ws.y_5_bar)  # (106)
    np.subtract(ws.y_5_bar, ws.t[44][:, :, None], out=ws.y_5_bar)  # (106)
    np.divide(ws.y_5_bar, ws.sd_6[:, :, None], out=ws.y_5_bar)  # (106)
    np.add(ws.y_5_bar, ws.y_9_bar, out=ws.y_5_bar)  # (106)
    # (163) b_o_4_bar[n,e] = sum[i](y_5_bar[n,i,e])
    np.add.reduce(ws.y_5_bar, axis=1, out=ws.b_o_4_bar)  # (163)
    # (164) W_o_4_bar[n,h,k,e] = sum[i](o_4[n,i,h,k]*y_5_bar[n,i,e])
    np.matmul(  # (164)
        ws.o_4.reshape(N, 64, 64).transpose(0, 2, 1),
        ws.y_5_bar,
        out=ws.W_o_4_bar.reshape(N, 64, 64),
    )
    # (109) o_4_bar[n,i,h,k] = sum[e](y_5_bar[n,i,e]*W_o_4[h,k,e])
    np.matmul(  # (109)
        ws.y_5_bar.reshape(64*N, 64),
        ws.W_o_4.reshape(64, 64).T,
        out=ws.o_4_bar.reshape(64*N, 64),
    )
    # (110) P_4_bar[n,h,i,s] = sum[k](o_4_bar[n,i,h,k]*v_4[n,s,h,k])
    np.matmul(  # (110)
        ws.o_4_bar.transpose(0, 2, 1, 3), ws.v_4.transpose(0, 2, 3, 1), out=ws.P_4_bar
    )
    # (111) S_4_bar[n,h,i,s] = P_4[n,h,i,s]*(P_4_bar[n,h,i,s] -
    #     sum[s_1](P_4[n,h,i,s_1]*P_4_bar[n,h,i,s_1]))
    np.vecdot(ws.P_4, ws.P_4_bar, out=ws.t[46])  # (111)
    np.subtract(ws.P_4_bar, ws.t[46][:, :, :, None], out=ws.S_4_bar)  # (111)
    np.multiply(ws.S_4_bar, ws.P_4, out=ws.S_4_bar)  # (111)
    # (112) v_4_bar[n,s,h,k] = sum[i](P_4[n,h,i,s]*o_4_bar[n,i,h,k])
    np.matmul(  # (112)
        ws.P_4.transpose(0, 1, 3, 2),
        ws.o_4_bar.transpose(0, 2, 1, 3),
        out=ws.v_4_bar.transpose(0, 2, 1, 3),
    )
    # (165) b_v_4_bar[n,h,k] = sum[s](v_4_bar[n,s,h,k])
    np.add.reduce(ws.v_4_bar, axis=1, out=ws.b_v_4_bar)  # (165)
    # (166) W_v_4_bar[n,d,h,k] = sum[s](v_4_bar[n,s,h,k]*y_3[n,s,d])
    np.matmul(  # (166)
        ws.y_3.transpose(0, 2, 1),
        ws.v_4_bar.reshape(N, 64, 64),
        out=ws.W_v_4_bar.reshape(N, 64, 64),
    )
    # (115) r_4_bar[n,s,h,k] = sum[i](S_4_bar[n,h,i,s]*q_4[n,i,h,k])/4
    np.matmul(  # (115)
        ws.S_4_bar.transpose(0, 1, 3, 2),
        ws.q_4.transpose(0, 2, 1, 3),
        out=ws.r_4_bar.transpose(0, 2, 1, 3),
    )
    np.multiply(ws.r_4_bar, 0.25, out=ws.r_4_bar)  # (115)
    # (167) b_k_4_bar[n,h,k] = sum[s](r_4_bar[n,s,h,k])
    np.add.reduce(ws.r_4_bar, axis=1, out=ws.b_k_4_bar)  # (167)
    # (168) W_k_4_bar[n,d,h,k] = sum[s](r_4_bar[n,s,h,k]*y_3[n,s,d])
    np.matmul(  # (168)
        ws.y_3.transpose(0, 2, 1),
        ws.r_4_bar.reshape(N, 64, 64),
        out=ws.W_k_4_bar.reshape(N, 64, 64),
    )
    # (118) q_4_bar[n,i,h,k] = sum[s](S_4_bar[n,h,i,s]*r_4[n,s,h,k])/4
    np.matmul(  # (118)
        ws.S_4_bar, ws.r_4.transpose(0, 2, 1, 3), out=ws.q_4_bar.transpose(0, 2, 1, 3)
    )
    np.multiply(ws.q_4_bar, 0.25, out=ws.q_4_bar)  # (118)
    # (169) b_q_4_bar[n,h,k] = sum[i](q_4_bar[n,i,h,k])
    np.add.reduce(ws.q_4_bar, axis=1, out=ws.b_q_4_bar)  # (169)
    # (170) W_q_4_bar[n,d,h,k] = sum[i](q_4_bar[n,i,h,k]*y_3[n,i,d])
    np.matmul(  # (170)
        ws.y_3.transpose(0, 2, 1),
        ws.q_4_bar.reshape(N, 64, 64),
        out=ws.W_q_4_bar.reshape(N, 64, 64),
    )
    # (121) y_3_bar[n,i,d] = sum[h,k](r_4_bar[n,i,h,k]*W_k_4[d,h,k]) +
    #     sum[h,k](q_4_bar[n,i,h,k]*W_q_4[d,h,k]) + sum[h,k](v_4_bar[n,i,h,k]*W_v_4[d,h,k])
    np.matmul(  # (121)
        ws.r_4_bar.reshape(64*N, 64),
        ws.W_k_4.reshape(64, 64).T,
        out=ws.t[47].reshape(64*N, 64),
    )
    np.matmul(  # (121)
        ws.q_4_bar.reshape(64*N, 64),
        ws.W_q_4.reshape(64, 64).T,
        out=ws.t[48].reshape(64*N, 64),
    )
    np.matmul(  # (121)
        ws.v_4_bar.reshape(64*N, 64),
        ws.W_v_4.reshape(64, 64).T,
        out=ws.y_3_bar.reshape(64*N, 64),
    )
    np.add(ws.y_3_bar, ws.t[47], out=ws.y_3_bar)  # (121)
    np.add(ws.y_3_bar, ws.t[48], out=ws.y_3_bar)  # (121)
    # (171) gamma_3_bar[n,d] = sum[i](x_hat_3[n,i,d]*y_3_bar[n,i,d])
    np.einsum("nid,nid->nd", ws.x_hat_3, ws.y_3_bar, out=ws.gamma_3_bar)  # (171)
    # (172) beta_3_bar[n,d] = sum[i](y_3_bar[n,i,d])
    np.add.reduce(ws.y_3_bar, axis=1, out=ws.beta_3_bar)  # (172)
    # (124) x_hat_3_bar[n,i,d] = y_3_bar[n,i,d]*gamma_3[d]
    np.multiply(ws.gamma_3, ws.y_3_bar, out=ws.x_hat_3_bar)  # (124)
    # (125) y_2_bar[n,i,d] = (x_hat_3_bar[n,i,d] - mean[d_1](x_hat_3_bar[n,i,d_1]) -
    #     mean[d_1](x_hat_3[n,i,d_1]*x_hat_3_bar[n,i,d_1])*x_hat_3[n,i,d])/sd_3[n,i] +
    #     y_5_bar[n,i,d]
    np.add.reduce(ws.x_hat_3_bar, axis=2, out=ws.t[49])  # (125)
    np.multiply(ws.t[49], 0.015625, out=ws.t[49])  # (125)
    np.vecdot(ws.x_hat_3, ws.x_hat_3_bar, out=ws.t[50])  # (125)
    np.multiply(ws.t[50], 0.015625, out=ws.t[50])  # (125)
    np.multiply(ws.t[50][:, :, None], ws.x_hat_3, out=ws.y_2_bar)  # (125)
    np.subtract(ws.x_hat_3_bar, ws.y_2_bar, out=ws.y_2_bar)  # (125)
    np.subtract(ws.y_2_bar, ws.t[49][:, :, None], out=ws.y_2_bar)  # (125)
    np.divide(ws.y_2_bar, ws.sd_3[:, :, None], out=ws.y_2_bar)  # (125)
    np.add(ws.y_2_bar, ws.y_5_bar, out=ws.y_2_bar)  # (125)
    # (173) P_2_bar[n,l,d] = y_2_bar[n,l,d]
    np.copyto(ws.P_2_bar, ws.y_2_bar)  # (173)
    # (174) E_1_bar[n,v,d] = sum[i]((v == x[n,i])*y_2_bar[n,i,d])
    np.multiply(ws.x, 64, out=ws.t[51])  # (174)
    np.add(ws.t[53][:, None], ws.t[51][:, :, None], out=ws.t[54])  # (174)
    ws.E_1_bar.fill(0)  # (174)
    np.add.at(ws.E_1_bar.reshape(-1), ws.t[54].reshape(-1), ws.y_2_bar.reshape(-1))  # (174)


class Optimizer:
    """The state of adam, and the flat vectors in tiles."""

    def __init__(ws, w, w_bar):
        ws.learning_rate, ws.g = 0.001, w_bar
        ws.t = np.zeros((), np.int64)  # steps made
        ws.m = np.zeros_like(w)  # (130)
        ws.v = np.zeros_like(w)  # (131)
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
    g = ws.g
    # (128) g_norm = sqrt(sum[p](g[p]**2))
    s = np.vdot(g, g)  # (128)
    g_norm = np.sqrt(s)  # (128)
    for w, g, m, v, slot_1, slot_2 in ws.tiles:
        # (129) g_clipped[p] = where(1 < g_norm, 1/g_norm, 1)*g[p]
        np.multiply(g, (1 / np.maximum(g_norm, 1)) if (1 < g_norm) else 1, out=slot_1)  # (129)
        # (130) m_next[p] = 0.1*g_clipped[p] + 0.9*m[p]
        np.multiply(m, 0.9, out=m)  # (130)
        np.multiply(slot_1, 0.1, out=slot_2)  # (130)
        np.add(m, slot_2, out=m)  # (130)
        # (131) v_next[p] = 0.001*g_clipped[p]**2 + 0.999*v[p]
        np.square(slot_1, out=slot_1)  # (131)
        np.multiply(slot_1, 0.001, out=slot_1)  # (131)
        np.multiply(v, 0.999, out=v)  # (131)
        np.add(slot_1, v, out=v)  # (131)
        # (132) w_next[p] = w[p] - learning_rate*m_next[p]/((1 - (0.9)**t)*(1E-8 +
        #     sqrt(v_next[p]/(1 - (0.999)**t))))
        np.divide(v, 1 - (0.999 ** t), out=slot_1)  # (132)
        np.sqrt(slot_1, out=slot_1)  # (132)
        np.add(slot_1, 1e-08, out=slot_1)  # (132)
        np.multiply(m, learning_rate / (1 - (0.9 ** t)), out=slot_2)  # (132)
        np.divide(slot_2, slot_1, out=slot_2)  # (132)
        np.subtract(w, slot_2, out=w)  # (132)


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
                ws = self._workspace(sizes | {"N": len(rows)})
                np.take(x, rows, axis=0, out=ws.x, mode="clip")
                np.take(y, rows, axis=0, out=ws.y, mode="clip")
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
                measured = {"loss": value, **metrics(ws.z_18, ws.y)}
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
