"""What a derivation arrives at, beside the closed form that a textbook prints.

    python tests/test_textbook_forms.py      # the table: symbols arrived at, closed form, ratio

A closed form is written here from knowledge, in the language of formulas: the library holds no
gradients. It must have the value of what was derived, and what was derived may have at most 1.25
times its symbols: each cotangent that both have, and all equations of the backward pass together.

The symbols of an equation are the leaves and operators of its right side, as they are printed. A
tensor with its subscripts, a size and a number are one symbol each, `+ - * /` one each, a power two
(superscript and number), a square root one, a function one, a condition `[a < b]` its two sides and
the sign between; a reduction is one and one more for each of its indices. What the forward pass has
computed and the backward pass reads counts one, like any tensor.
"""

import re
import sys
import tempfile
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from library_configurations import network, table
from sympy import Add, Mul, Pow, S, Symbol
from test_steps import sizes_of

from derive.gradients.derivation import reverse, with_numbers
from derive.gradients.normal_form import flatten
from derive.gradients.simplify import recognize
from derive.language.formula import parse
from derive.language.functions import Condition, where
from derive.language.interpreter import evaluate
from derive.language.notation import Access, Program, Reduce, Tensor
from derive.language.text_printer import solved
from derive.library.definitions import functions, library
from derive.networks.network import compose
from derive.networks.spec import load
from derive.pipeline import forward
from derive.printing.matrix_form import matrix_form

LONGEST = 1.25
SEED = "dL"  # the cotangent of a result that is no number


@dataclass(frozen=True)
class Entry:
    """What is derived, and the closed form, one equation a line. `name` is of the library, or not.

    `layers` and `shape` make a network; `text` is a formula, its gradient by the names in `wrt`.
    """

    name: str
    closed: str
    text: str = ""
    wrt: str = ""
    layers: tuple = ()
    shape: tuple = ()
    loss: dict = field(default_factory=dict)
    sizes: dict = field(default_factory=dict)
    limits: dict = field(default_factory=dict)  # of integer inputs: how many values they take
    given: dict = field(default_factory=dict)  # further keys of the input
    low: float = 0.2  # inputs of a formula are drawn from low to 1.5


def layer(kind, shape, closed, /, tokens=None, **fields):
    given = {} if tokens is None else {"dtype": "int64", "vocabulary": tokens}
    layers = ({"type": kind, **fields},)
    return Entry(kind, closed, layers=layers, shape=shape, given=given)


def loss(kind, shape, closed, **fields):
    layers = ({"type": "same"},)
    return Entry(kind, closed, layers=layers, shape=shape, loss={"type": kind, **fields})


def formula(name, text, wrt, closed, **given):
    return Entry(name, closed, text=text, wrt=wrt, **given)


SAME = """
[define.layer.same]
input = "x[...]"
forward = "z[...] = 1*x[...]"
"""

ACTIVATIONS = [
    layer("sigmoid", (4,), "x_bar[n,i] = dL[n,i]*a[n,i]*(1 - a[n,i])"),
    layer("tanh", (4,), "x_bar[n,i] = dL[n,i]*(1 - a[n,i]**2)"),
    layer("relu", (4,), "x_bar[n,i] = dL[n,i]*(x[n,i] > 0)"),
    layer("relu6", (4,), "x_bar[n,i] = where(x[n,i] > 0 and x[n,i] < 6, dL[n,i], 0)"),
    layer("leaky_relu", (4,), "x_bar[n,i] = dL[n,i]*where(x[n,i] > 0, 1, 0.01)"),
    layer(
        "prelu",
        (4,),
        "x_bar[n,c] = dL[n,c]*where(x[n,c] > 0, 1, alpha[c])\n"
        "alpha_bar[c] = sum[n](dL[n,c]*where(x[n,c] > 0, 0, x[n,c]))",
    ),
    layer("elu", (4,), "x_bar[n,i] = dL[n,i]*where(x[n,i] > 0, 1, exp(x[n,i]))"),
    layer("elu", (4,), "x_bar[n,i] = dL[n,i]*where(x[n,i] > 0, 1, 0.5*exp(x[n,i]))", alpha=0.5),
    layer(
        "selu",
        (4,),
        "x_bar[n,i] = 1.0507009873554805*dL[n,i]"
        "*where(x[n,i] > 0, 1, 1.6732632423543772*exp(x[n,i]))",
    ),
    layer("softplus", (4,), "x_bar[n,i] = dL[n,i]*sigmoid(x[n,i])"),
    layer("softsign", (4,), "x_bar[n,i] = dL[n,i]/(1 + abs(x[n,i]))**2"),
    layer("log_sigmoid", (4,), "x_bar[n,i] = dL[n,i]*(1 - sigmoid(x[n,i]))"),
    layer("silu", (4,), "x_bar[n,i] = dL[n,i]*(a[n,i] + sigmoid(x[n,i])*(1 - a[n,i]))"),
    layer(
        "mish",
        (4,),
        "x_bar[n,i] = dL[n,i]*(tanh(softplus(x[n,i]))"
        " + x[n,i]*sigmoid(x[n,i])*(1 - tanh(softplus(x[n,i]))**2))",
    ),
    layer(
        "gelu",
        (4,),
        "x_bar[n,i] = dL[n,i]*((1 + erf(x[n,i]/sqrt(2)))/2 + x[n,i]*exp(-x[n,i]**2/2)/sqrt(2*pi))",
    ),
    layer(
        "gelu_tanh",
        (4,),
        "x_bar[n,i] = dL[n,i]*((1 + tanh(sqrt(2/pi)*(x[n,i] + 0.044715*x[n,i]**3)))/2"
        " + x[n,i]*(1 - tanh(sqrt(2/pi)*(x[n,i] + 0.044715*x[n,i]**3))**2)"
        "*sqrt(2/pi)*(1 + 0.134145*x[n,i]**2)/2)",
    ),
    layer("hardsigmoid", (4,), "x_bar[n,i] = where(x[n,i] > -3 and x[n,i] < 3, dL[n,i]/6, 0)"),
    layer(
        "hardswish",
        (4,),
        "x_bar[n,i] = dL[n,i]*where(x[n,i] <= -3, 0, where(x[n,i] < 3, (2*x[n,i] + 3)/6, 1))",
    ),
    layer("softmax", (4,), "x_bar[n,j] = a[n,j]*(dL[n,j] - sum[k](dL[n,k]*a[n,k]))"),
    layer("log_softmax", (4,), "x_bar[n,j] = dL[n,j] - exp(a[n,j])*sum[k](dL[n,k])"),
]

DENSE = """
W_bar[i,j] = sum[n](x[n,i]*dL[n,j])
x_bar[n,i] = sum[j](dL[n,j]*W[i,j])
b_bar[j] = sum[n](dL[n,j])
"""
CONV1D = """
W_bar[k,c,j] = sum[n,p](x[n,p+k,c]*dL[n,p,j])
x_bar[n,h,c] = sum[k,j](dL[n,h-k,j]*W[k,c,j])
b_bar[j] = sum[n,p](dL[n,p,j])
"""
CONV2D = """
W_bar[k,l,c,j] = sum[n,p,q](x[n,p+k-1,q+l-1,c]*dL[n,p,q,j])
x_bar[n,h,v,c] = sum[k,l,j](dL[n,h-k+1,v-l+1,j]*W[k,l,c,j])
b_bar[j] = sum[n,p,q](dL[n,p,q,j])
"""
STRIDED = """
W_bar[k,l,c,j] = sum[n,p,q](x[n,2*p+k,2*q+l,c]*dL[n,p,q,j])
x_bar[n,h,v,c] = sum[p,q,j](dL[n,p,q,j]*W[h-2*p,v-2*q,c,j])
b_bar[j] = sum[n,p,q](dL[n,p,q,j])
"""
GROUPED = """
s_bar[n,p,g,m] = dL[n,p,3*g+m]
W_bar[k,i,j] = sum[n,p](x[n,p+k,2*(j//3)+i]*s_bar[n,p,j//3,j%3])
x_bar[n,h,c] = sum[k,m](s_bar[n,h-k,c//2,m]*W[k,c%2,3*(c//2)+m])
b_bar[j] = sum[n,p](dL[n,p,j])
"""
NORM = """
gamma_bar[d] = sum[n](dL[n,d]*x_hat[n,d])
beta_bar[d] = sum[n](dL[n,d])
x_hat_bar[n,d] = dL[n,d]*gamma[d]
"""
RNN = """
h_bar[n,t,j] = dL[n,t,j] + sum[k](s_bar[n,t+1,k]*U[j,k])
s_bar[n,{T},j] = 0
s_bar[n,t,j] = h_bar[n,t,j]*(1 - h[n,t,j]**2)
U_bar[k,j] = sum[n,t](h[n,t-1,k]*s_bar[n,t,j])
W_bar[d,j] = sum[n,t](x[n,t,d]*s_bar[n,t,j])
b_bar[j] = sum[n,t](s_bar[n,t,j])
x_bar[n,t,d] = sum[j](s_bar[n,t,j]*W[d,j])
"""
LSTM = """
h_bar[n,t,j] = dL[n,t,j] + sum[m](z_bar[n,t+1,m]*U[j,m])
o_bar[n,t,j] = h_bar[n,t,j]*a[n,t,j]
a_bar[n,t,j] = h_bar[n,t,j]*o[n,t,j]
c_back[n,{T},j] = 0
c_back[n,t,j] = c_bar[n,t,j]*f[n,t,j]
c_bar[n,t,j] = a_bar[n,t,j]*(1 - a[n,t,j]**2) + c_back[n,t+1,j]
f_bar[n,t,j] = c_bar[n,t,j]*c[n,t-1,j]
i_bar[n,t,j] = c_bar[n,t,j]*g[n,t,j]
g_bar[n,t,j] = c_bar[n,t,j]*i[n,t,j]
z_bar[n,{T},m] = 0
z_bar[n,t,m] = where(m < 3, i_bar[n,t,m-0*M]*i[n,t,m-0*M]*(1 - i[n,t,m-0*M]), 0)\
 + where(3 <= m and m < 6, f_bar[n,t,m-3]*f[n,t,m-3]*(1 - f[n,t,m-3]), 0)\
 + where(6 <= m and m < 9, g_bar[n,t,m-6]*(1 - g[n,t,m-6]**2), 0)\
 + where(9 <= m, o_bar[n,t,m-9]*o[n,t,m-9]*(1 - o[n,t,m-9]), 0)
U_bar[j,m] = sum[n,t](h[n,t-1,j]*z_bar[n,t,m])
W_bar[d,m] = sum[n,t](x[n,t,d]*z_bar[n,t,m])
b_bar[m] = sum[n,t](z_bar[n,t,m])
x_bar[n,t,d] = sum[m](z_bar[n,t,m]*W[d,m])
"""
GRU = """
h_bar[n,t,j] = dL[n,t,j] + h_back[n,t+1,j]
g_bar[n,t,j] = h_bar[n,t,j]*(1 - z[n,t,j])
q_bar[n,t,j] = g_bar[n,t,j]*(1 - g[n,t,j]**2)
z_bar[n,t,j] = h_bar[n,t,j]*(h[n,t-1,j] - g[n,t,j])
r_bar[n,t,j] = q_bar[n,t,j]*v[n,t,j+6]
v_bar[n,t,m] = where(m < 3, r_bar[n,t,m-0*M]*r[n,t,m-0*M]*(1 - r[n,t,m-0*M]), 0)\
 + where(3 <= m and m < 6, z_bar[n,t,m-3]*z[n,t,m-3]*(1 - z[n,t,m-3]), 0)\
 + where(6 <= m, q_bar[n,t,m-6]*r[n,t,m-6], 0)
u_bar[n,t,m] = where(m < 3, r_bar[n,t,m-0*M]*r[n,t,m-0*M]*(1 - r[n,t,m-0*M]), 0)\
 + where(3 <= m and m < 6, z_bar[n,t,m-3]*z[n,t,m-3]*(1 - z[n,t,m-3]), 0)\
 + where(6 <= m, q_bar[n,t,m-6], 0)
h_back[n,{T},j] = 0
h_back[n,t,j] = h_bar[n,t,j]*z[n,t,j] + sum[m](v_bar[n,t,m]*U[j,m])
U_bar[j,m] = sum[n,t](h[n,t-1,j]*v_bar[n,t,m])
c_bar[m] = sum[n,t](v_bar[n,t,m])
W_bar[d,m] = sum[n,t](x[n,t,d]*u_bar[n,t,m])
b_bar[m] = sum[n,t](u_bar[n,t,m])
x_bar[n,t,d] = sum[m](u_bar[n,t,m]*W[d,m])
"""


def recurrent(kind, closed):
    """All four cases; the last state alone has its cotangent at its own step."""
    seen = closed.replace("dL[n,t,j]", "dL[n,j]*(t == {last})")
    back = {"t+1": "t~", "t-1": "t+1", "t~": "t-1"}

    def turned(text):
        for old, new in back.items():
            text = text.replace(old, new)
        return text

    for sequences, text in ((True, closed), (False, seen)):
        fields = {"units": 3, "return_sequences": sequences}
        ahead = text.replace("{T}", "4").replace("{last}", "3")
        yield layer(kind, (4, 2), ahead, **fields)
        behind = turned(text).replace("{T}", "-1").replace("{last}", "0")
        yield layer(kind, (4, 2), behind, reverse=True, **fields)


ATTENTION = """
v_bar[n,s,e] = sum[t](P[n,t,s]*y_bar[n,t,e])
P_bar[n,t,s] = sum[e](y_bar[n,t,e]*v[n,s,e])
S_bar[n,t,s] = P[n,t,s]*(P_bar[n,t,s] - sum[r](P_bar[n,t,r]*P[n,t,r]))
k_bar[n,s,d] = sum[t](S_bar[n,t,s]*q[n,t,d])/sqrt(D)
q_bar[n,t,d] = sum[s](S_bar[n,t,s]*k[n,s,d])/sqrt(D)
"""
HEADS = """
b_o_bar[e] = sum[n,t](dL[n,t,e])
W_o_bar[h,k,e] = sum[n,t](o[n,t,h,k]*dL[n,t,e])
o_bar[n,t,h,k] = sum[e](dL[n,t,e]*W_o[h,k,e])
P_bar[n,h,t,s] = sum[k](o_bar[n,t,h,k]*v[n,s,h,k])
S_bar[n,h,t,s] = P[n,h,t,s]*(P_bar[n,h,t,s] - sum[u](P_bar[n,h,t,u]*P[n,h,t,u]))
v_bar[n,s,h,k] = sum[t](P[n,h,t,s]*o_bar[n,t,h,k])
b_v_bar[h,k] = sum[n,s](v_bar[n,s,h,k])
W_v_bar[d,h,k] = sum[n,s](x[n,s,d]*v_bar[n,s,h,k])
r_bar[n,s,h,k] = sum[t](S_bar[n,h,t,s]*q[n,t,h,k])/sqrt(2)
b_k_bar[h,k] = sum[n,s](r_bar[n,s,h,k])
W_k_bar[d,h,k] = sum[n,s](x[n,s,d]*r_bar[n,s,h,k])
q_bar[n,t,h,k] = sum[s](S_bar[n,h,t,s]*r[n,s,h,k])/sqrt(2)
b_q_bar[h,k] = sum[n,t](q_bar[n,t,h,k])
W_q_bar[d,h,k] = sum[n,t](x[n,t,d]*q_bar[n,t,h,k])
x_bar[n,t,d] = sum[h,k](q_bar[n,t,h,k]*W_q[d,h,k]) + sum[h,k](r_bar[n,t,h,k]*W_k[d,h,k])\
 + sum[h,k](v_bar[n,t,h,k]*W_v[d,h,k])
"""

LAYERS = [
    layer("dense", (4,), DENSE, units=3),
    layer("dense", (4,), DENSE.rpartition("b_bar")[0], units=3, bias=False),
    layer("dense", (2, 4), DENSE.replace("sum[n]", "sum[n,t]").replace("[n,", "[n,t,")
          .replace("sum[n,t,t]", "sum[n,t]"), units=3),
    layer(
        "bilinear",
        (4,),
        "W_bar[i,k,j] = sum[n](x[n,i]*x[n,k]*dL[n,j])\n"
        "x_bar[n,i] = sum[k,j](x[n,k]*W[i,k,j]*dL[n,j]) + sum[k,j](x[n,k]*W[k,i,j]*dL[n,j])\n"
        "b_bar[j] = sum[n](dL[n,j])",
        units=3,
    ),
    layer(
        "maxout",
        (4,),
        "z_bar[n,j,k] = dL[n,j]*(k == y_argmax[n,j])\n"
        "W_bar[i,j,k] = sum[n](x[n,i]*z_bar[n,j,k])\n"
        "x_bar[n,i] = sum[j,k](z_bar[n,j,k]*W[i,j,k])\n"
        "b_bar[j,k] = sum[n](z_bar[n,j,k])",
        units=3,
        pieces=2,
    ),
    layer("conv1d", (6, 2), CONV1D, filters=3, kernel_size=2),
    layer("conv1d", (6, 4), GROUPED, filters=6, kernel_size=2, groups=2),
    layer("conv2d", (4, 5, 2), CONV2D, filters=3, kernel_size=3, padding="same"),
    layer("conv2d", (6, 5, 2), STRIDED, filters=3, kernel_size=3, stride=2),
    layer(
        "conv2d",
        (4, 4, 4),
        "s_bar[n,p,q,g,m] = dL[n,p,q,3*g+m]\n"
        "W_bar[k,l,i,j] = sum[n,p,q](x[n,p+k,q+l,2*(j//3)+i]*s_bar[n,p,q,j//3,j%3])\n"
        "x_bar[n,h,v,c] = sum[k,l,m](s_bar[n,h-k,v-l,c//2,m]*W[k,l,c%2,3*(c//2)+m])\n"
        "b_bar[j] = sum[n,p,q](dL[n,p,q,j])",
        filters=6, kernel_size=2, groups=2,
    ),
    layer(
        "depthwise_conv2d",
        (4, 5, 2),
        "W_bar[k,l,c] = sum[n,p,q](x[n,p+k,q+l,c]*dL[n,p,q,c])\n"
        "x_bar[n,h,v,c] = sum[k,l](dL[n,h-k,v-l,c]*W[k,l,c])\n"
        "b_bar[c] = sum[n,p,q](dL[n,p,q,c])",
        kernel_size=2,
    ),
    layer(
        "conv2d_transpose",
        (3, 3, 2),
        "W_bar[k,l,j,c] = sum[n,p,q](dL[n,p+k,q+l,j]*x[n,p,q,c])\n"
        "x_bar[n,p,q,c] = sum[k,l,j](dL[n,p+k,q+l,j]*W[k,l,j,c])\n"
        "b_bar[j] = sum[n,h,v](dL[n,h,v,j])",
        filters=3, kernel_size=2,
    ),
    layer("max_pool1d", (6, 2), "x_bar[n,h,c] = sum[p](dL[n,p,c]*(h == 2*p + y_argmax[n,p,c]))",
          pool_size=2),
    layer("max_pool1d", (6, 2), "x_bar[n,h,c] = sum[p](dL[n,p,c]*(h == p + y_argmax[n,p,c]))",
          pool_size=2, stride=1),
    layer("avg_pool1d", (6, 2), "x_bar[n,h,c] = sum[k](dL[n,h-k,c])/2", pool_size=2, stride=1),
    layer(
        "max_pool2d",
        (4, 4, 2),
        "x_bar[n,h,v,c] = dL[n,h//2,v//2,c]*(2*(h%2) + v%2 == y_argmax[n,h//2,v//2,c])",
        pool_size=2,
    ),
    layer("avg_pool2d", (4, 4, 2), "x_bar[n,h,v,c] = dL[n,h//2,v//2,c]/4", pool_size=2),
    layer("avg_pool2d", (4, 4, 2), "x_bar[n,h,v,c] = sum[k,l](dL[n,h-k,v-l,c])/4",
          pool_size=2, stride=1),
    layer("global_avg_pool2d", (3, 4, 2), "x_bar[n,h,v,c] = dL[n,c]/12"),
    layer("global_max_pool2d", (3, 4, 2), "x_bar[n,h,v,c] = dL[n,c]*(4*h + v == y_argmax[n,c])"),
    layer("upsample2d", (2, 3, 2), "x_bar[n,h,v,c] = sum[r,s](dL[n,2*h+r,2*v+s,c])", factor=2),
    layer("flatten", (4,), "x_bar[n,i] = dL[n,i]"),
    layer("flatten", (2, 3), "x_bar[n,i,j] = dL[n,3*i+j]"),
    layer("flatten", (2, 3, 2),
          "u_bar[n,i,g] = dL[n,6*i+g]\nx_bar[n,i,j,k] = u_bar[n,i,2*j+k]"),
    layer("flatten", (2, 3, 2, 2), "x_bar[n,i,j,k,l] = dL[n,12*i+4*j+2*k+l]"),
    layer("reshape", (4, 3), "x_bar[n,i,j] = dL[n,(3*i+j)//6,(3*i+j)%6]", shape=[2, 6]),
    layer("permute", (4, 3), "x_bar[n,i,j] = dL[n,j,i]", axes=[1, 0]),
    layer("last_step", (4, 3), "x_bar[n,t,i] = dL[n,i]*(t == 3)"),
    formula("add", "y[n,i] = a[n,i] + b[n,i]", "a b",
            "a_bar[n,i] = dL[n,i]\nb_bar[n,i] = dL[n,i]"),
    formula("subtract", "y[n,i] = a[n,i] - b[n,i]", "a b",
            "a_bar[n,i] = dL[n,i]\nb_bar[n,i] = -dL[n,i]"),
    formula("multiply", "y[n,i] = a[n,i]*b[n,i]", "a b",
            "a_bar[n,i] = dL[n,i]*b[n,i]\nb_bar[n,i] = dL[n,i]*a[n,i]"),
    formula("concat",
            "a[n,i] = tanh(u[n,i])\nb[n,j] = tanh(v[n,j])\n"
            "y[n,k] = where(k < I, a[n,0*I+k], b[n,k-I])", "a b",
            "a_bar[n,i] = dL[n,0*K+i]\nb_bar[n,j] = dL[n,I+j]", sizes={"k": 5, "i": 3, "j": 2}),
    layer("batch_norm", (4,), NORM.replace("d]", "c]") +
          "x_bar[n,c] = (x_hat_bar[n,c] - mean[m](x_hat_bar[m,c])"
          " - x_hat[n,c]*mean[m](x_hat_bar[m,c]*x_hat[m,c]))/sqrt(var[c] + 0.00001)"),
    layer("layer_norm", (4,), NORM +
          "x_bar[n,d] = (x_hat_bar[n,d] - mean[k](x_hat_bar[n,k])"
          " - x_hat[n,d]*mean[k](x_hat_bar[n,k]*x_hat[n,k]))/sd[n]"),
    layer("rms_norm", (4,), NORM.replace("beta_bar[d] = sum[n](dL[n,d])\n", "") +
          "x_bar[n,d] = (x_hat_bar[n,d] - x_hat[n,d]*mean[k](x_hat_bar[n,k]*x_hat[n,k]))/rms[n]"),
    layer(
        "group_norm",
        (3, 4),
        "gamma_bar[c] = sum[n,i](dL[n,i,c]*x_hat[n,i,c//2,c%2])\n"
        "beta_bar[c] = sum[n,i](dL[n,i,c])\n"
        "x_hat_bar[n,i,g,k] = dL[n,i,2*g+k]*gamma[2*g+k]\n"
        "u_bar[n,i,g,k] = (x_hat_bar[n,i,g,k] - mean[r,l](x_hat_bar[n,r,g,l])"
        " - x_hat[n,i,g,k]*mean[r,l](x_hat_bar[n,r,g,l]*x_hat[n,r,g,l]))/sd[n,g]\n"
        "x_bar[n,i,c] = u_bar[n,i,c//2,c%2]",
        groups=2,
    ),
    layer(
        "instance_norm",
        (3, 2),
        "x_bar[n,t,c] = (dL[n,t,c] - mean[r](dL[n,r,c])"
        " - y[n,t,c]*mean[r](dL[n,r,c]*y[n,r,c]))/sd[n,c]",
    ),
    layer("l2_normalize", (4,), "x_bar[n,d] = (dL[n,d] - y[n,d]*sum[k](dL[n,k]*y[n,k]))/s[n]"),
    layer("dropout", (4,), "x_bar[n,i] = where(u[n,i] >= 0.2, dL[n,i]/0.8, 0)", rate=0.2),
    layer("gaussian_noise", (4,), "x_bar[n,i] = dL[n,i]"),
    *recurrent("rnn", RNN),
    *recurrent("lstm", LSTM),
    *recurrent("gru", GRU),
    layer("embedding", (4,), "E_bar[v,d] = sum[n,t](dL[n,t,d]*(v == x[n,t]))", tokens=5,
          vocabulary=5, dim=3),
    layer("positional_embedding", (4, 3),
          "x_bar[n,t,d] = dL[n,t,d]\nP_bar[l,d] = sum[n](dL[n,l,d])", length=4),
    layer("multi_head_attention", (3, 4), HEADS, heads=2),
    layer("multi_head_attention", (3, 4), HEADS, heads=2, causal=True),
]  # fmt: skip

LOSSES = [
    loss("mse", (4,), "z_bar[n,i] = 2*(z[n,i] - y[n,i])/(4*N)"),
    loss("mae", (4,), "z_bar[n,i] = sign(z[n,i] - y[n,i])/(4*N)"),
    loss("huber", (4,), "r_bar[n,i] = where(abs(r[n,i]) <= 1, r[n,i], sign(r[n,i]))/(4*N)"),
    loss("huber", (4,), "r_bar[n,i] = where(abs(r[n,i]) <= 0.5, r[n,i], 0.5*sign(r[n,i]))/(4*N)",
         delta=0.5),
    loss("softmax_cross_entropy", (4,), "z_bar[n,k] = (p[n,k] - (k == y[n]))/N"),
    loss("softmax_cross_entropy", (3, 4), "z_bar[n,t,k] = (p[n,t,k] - (k == y[n,t]))/(3*N)"),
    loss("softmax_cross_entropy", (4,),
         "z_bar[n,k] = (p[n,k] - 0.75*(k == y[n]) - 0.25/4)/N", label_smoothing=0.25),
    loss("softmax_cross_entropy", (3,),
         "l_bar[n] = ((y[n] == 2)/2 + 2*(y[n] == 1) + (y[n] == 0))/s_1\n"
         "z_bar[n,k] = l_bar[n]*(p[n,k] - (k == y[n]))",
         class_weight=[1.0, 2.0, 0.5]),
    loss("softmax_cross_entropy", (3,),
         "l_bar[n] = where(y[n] != 1, 1/maximum(s_1, 1), 0)\n"
         "z_bar[n,k] = l_bar[n]*(p[n,k] - (k == y[n]%3))",
         ignore_index=1),
    loss("softmax_cross_entropy", (3,),
         "l_bar[n] = where(y[n] != 1, w[n]/s_1, 0)\nz_bar[n,k] = l_bar[n]*(p[n,k] - (k == y[n]%3))",
         ignore_index=1, class_weight=[1.0, 2.0, 0.5]),
    loss("binary_cross_entropy", (4,), "z_bar[n,i] = (sigmoid(z[n,i]) - y[n,i])/(4*N)"),
    loss("hinge", (4,), "z_bar[n,i] = where(1 - y[n,i]*z[n,i] >= 0, -y[n,i], 0)/(4*N)"),
    loss("poisson", (4,), "z_bar[n,i] = (exp(z[n,i]) - y[n,i])/(4*N)"),
    loss("log_cosh", (4,), "z_bar[n,i] = tanh(z[n,i] - y[n,i])/(4*N)"),
    loss("multiclass_hinge", (4,),
         "z_bar[n,k] = (where(k != y[n] and 1 + z[n,k] - z[n,y[n]] >= 0, 1, 0)"
         " - (k == y[n])*sum[j](where(j != y[n] and 1 + z[n,j] - z[n,y[n]] >= 0, 1, 0)))/(4*N)"),
    loss("kl_divergence", (4,), "x_bar[n,k] = -y[n,k]/N"),
    loss("focal", (4,),
         "q_bar[n] = 2*q[n]*l[n]/N\nl_bar[n] = q[n]**2/N + exp(-l[n])*q_bar[n]\n"
         "z_bar[n,k] = l_bar[n]*(p[n,k] - (k == y[n]))"),
    loss("cosine_similarity", (4,),
         "z_bar[n,k] = (where(s[n] >= 1E-16, s_2[n]*z[n,k]/a[n]**2, 0) - y[n,k])/(N*a[n]*b[n])"),
    loss("triplet", (3, 4),
         "a_bar[n] = where(1 + a[n] - b[n] >= 0, 1, 0)/N\n"
         "s_bar[n] = where(s[n] >= 1E-24, a_bar[n]/(2*a[n]), 0)\n"
         "s_1_bar[n] = where(s_1[n] >= 1E-24, -a_bar[n]/(2*b[n]), 0)\n"
         "z_bar[n,i,d] = 2*s_bar[n]*(z[n,0,d] - z[n,1,d])*((i == 0) - (i == 1))"
         " + 2*s_1_bar[n]*(z[n,0,d] - z[n,2,d])*((i == 0) - (i == 2))"),
    loss("contrastive", (2, 4),
         "z_bar[n,i,d] = 2*where(s[n] >= 1E-24,"
         " (y[n]*r[n] - (1 - y[n])*maximum(1 - r[n], 0))/r[n], 0)"
         "*(z[n,0,d] - z[n,1,d])*((i == 0) - (i == 1))/N"),
]  # fmt: skip

LINEAR = "sum[i](X[n,i]*w[i])"
MIXTURE = "logsumexp[k](log(w[k]) - (x[n]-m[k])**2/(2*s[k]**2) - log(s[k]))"
NAIVE = "exp(z[n,k])/sum[j](exp(z[n,j]))"
TWO_LAYERS = """
h[n,j] = {}(sum[i](x[n,i]*W[i,j]) + b[j])
z[n,k] = sum[j](h[n,j]*V[j,k]) + c[k]
L = mean[n](sum[k]((z[n,k]-y[n,k])**2))
"""
TWO_LAYERS_BACK = """
z_bar[n,k] = 2*(z[n,k] - y[n,k])/N
V_bar[j,k] = sum[n](h[n,j]*z_bar[n,k])
c_bar[k] = sum[n](z_bar[n,k])
h_bar[n,j] = sum[k](z_bar[n,k]*V[j,k])
s_bar[n,j] = h_bar[n,j]*{}
W_bar[i,j] = sum[n](x[n,i]*s_bar[n,j])
b_bar[j] = sum[n](s_bar[n,j])
"""
SLOPES = {
    "tanh": "(1 - h[n,j]**2)",
    "sigmoid": "h[n,j]*(1 - h[n,j])",
    "relu": "(s[n,j] + b[j] > 0)",
    "leaky_relu": "where(s[n,j] + b[j] > 0, 1, 0.01)",
    "softplus": "sigmoid(s[n,j] + b[j])",
    "softsign": "1/(1 + abs(s[n,j] + b[j]))**2",
    "elu": "where(s[n,j] + b[j] > 0, 1, exp(s[n,j] + b[j]))",
    "silu": "sigmoid(s[n,j] + b[j])*(1 + (s[n,j] + b[j])*(1 - sigmoid(s[n,j] + b[j])))",
    "gelu": "((1 + erf((s[n,j] + b[j])/sqrt(2)))/2"
    " + (s[n,j] + b[j])*exp(-(s[n,j] + b[j])**2/2)/sqrt(2*pi))",
}

FORMULAS = [
    formula(
        "attention",
        "S[n,t,s] = sum[d](q[n,t,d]*k[n,s,d])/sqrt(D)\n"
        "P[n,t,s] = exp(S[n,t,s])/sum[u](exp(S[n,t,u]))\ny[n,t,e] = sum[s](P[n,t,s]*v[n,s,e])",
        "q k v",
        ATTENTION.replace("y_bar", "dL"),
    ),
    formula(
        "attention",
        "S[n,t,s] = sum[d](q[n,t,d]*k[n,s,d])/sqrt(D)\n"
        "P[n,t,s] = where(s <= t, exp(S[n,t,s]), 0)/sum[u](where(u <= t, exp(S[n,t,u]), 0))\n"
        "y[n,t,e] = sum[s](P[n,t,s]*v[n,s,e])",
        "q k v",
        ATTENTION.replace("y_bar", "dL"),
    ),
    formula("least squares", f"L = sum[n]((y[n] - {LINEAR})**2)", "w",
            "s_bar[n] = 2*(s[n] - y[n])\nw_bar[i] = sum[n](X[n,i]*s_bar[n])"),
    formula("ridge", f"L = sum[n](({LINEAR} - y[n])**2)/2 + c/2*sum[i](w[i]**2)", "w",
            "s_bar[n] = s[n] - y[n]\nw_bar[i] = sum[n](X[n,i]*s_bar[n]) + c*w[i]"),
    formula("elastic net",
            f"L = sum[n]((y[n] - {LINEAR})**2)/2 + a*sum[i](abs(w[i])) + b/2*sum[i](w[i]**2)", "w",
            "s_bar[n] = s[n] - y[n]\nw_bar[i] = sum[n](X[n,i]*s_bar[n]) + a*sign(w[i]) + b*w[i]"),
    formula("logistic regression, naive", f"L = sum[n](log(1 + exp(-y[n]*{LINEAR})))", "w",
            "s_bar[n] = -y[n]*(1 - sigmoid(y[n]*s[n]))\nw_bar[i] = sum[n](X[n,i]*s_bar[n])"),
    formula("logistic regression, probabilities",
            f"p[n] = 1/(1 + exp(-{LINEAR}))\n"
            "L = -mean[n](y[n]*log(p[n]) + (1 - y[n])*log(1 - p[n]))", "w",
            "s_bar[n] = (sigmoid(s[n]) - y[n])/N\nw_bar[i] = sum[n](X[n,i]*s_bar[n])"),
    formula("poisson regression", f"L = sum[n](exp({LINEAR}) - y[n]*{LINEAR})", "w",
            "s_bar[n] = exp(s[n]) - y[n]\nw_bar[i] = sum[n](X[n,i]*s_bar[n])"),
    formula("softmax regression",
            "z[n,k] = sum[i](X[n,i]*W[i,k])\nL = mean[n](logsumexp[k](z[n,k]) - z[n,y[n]])", "W",
            "z_bar[n,k] = (p[n,k] - (k == y[n]))/N\nW_bar[i,k] = sum[n](X[n,i]*z_bar[n,k])",
            limits={"y": 3}),
    formula("cross entropy, naive", "L = -mean[n](log(exp(z[n,y[n]])/sum[k](exp(z[n,k]))))", "z",
            "z_bar[n,k] = (p[n,k] - (k == y[n]))/N", limits={"y": 3}),
    formula("cross entropy of distributions, naive",
            f"p[n,k] = {NAIVE}\nL = -sum[n,k](y[n,k]*log(p[n,k]))", "z",
            "z_bar[n,k] = p[n,k]*sum[j](y[n,j]) - y[n,k]"),
    formula("temperature",
            "p[k] = exp(z[k]/c)/sum[j](exp(z[j]/c))\nL = -sum[k](y[k]*log(p[k]))", "z c",
            "z_bar[k] = (p[k]*sum[j](y[j]) - y[k])/c\n"
            "c_bar = (sum[k](y[k]*z[k]) - sum[j](y[j])*sum[k](p[k]*z[k]))/c**2"),
    formula("entropy of a softmax",
            "p[k] = exp(z[k])/sum[j](exp(z[j]))\nL = -sum[k](p[k]*log(p[k]))", "z",
            "z_bar[k] = -p[k]*(z[k] - sum[j](p[j]*z[j]))"),
    formula("divergence", "L = sum[k](p[k]*log(p[k]/q[k]))", "p q",
            "p_bar[k] = log(p[k]/q[k]) + 1\nq_bar[k] = -p[k]/q[k]"),
    formula("gaussian log likelihood",
            "L = -sum[n]((x[n] - m)**2)/(2*s**2) - N*log(s) - N/2*log(2*pi)", "m s",
            "m_bar = sum[n](x[n] - m)/s**2\ns_bar = s_1/s**3 - N/s"),
    formula("gaussian with a variance for each",
            "L = sum[n]((x[n] - m[n])**2/v[n] + log(v[n]))/2", "m v",
            "m_bar[n] = (m[n] - x[n])/v[n]\nv_bar[n] = (1/v[n] - (x[n] - m[n])**2/v[n]**2)/2"),
    formula("mixture of gaussians", f"L = sum[n]({MIXTURE})", "m s w x",
            "m_bar[k] = sum[n](p[n,k]*(x[n] - m[k]))/s[k]**2\n"
            "s_bar[k] = sum[n](p[n,k]*((x[n] - m[k])**2/s[k]**3 - 1/s[k]))\n"
            "w_bar[k] = sum[n](exp(-(x[n] - m[k])**2/(2*s[k]**2) - l[n]))/s[k]\n"
            "x_bar[n] = sum[k](p[n,k]*(m[k] - x[n])/s[k]**2)"),
    formula("kernel", "K[i,j] = exp(-c*sum[d]((x[i,d] - y[j,d])**2))", "x c",
            "c_bar = -sum[i,j](dL[i,j]*K[i,j]*s[i,j])\ns_bar[i,j] = -c*dL[i,j]*K[i,j]\n"
            "x_bar[i,d] = 2*sum[j](s_bar[i,j]*(x[i,d] - y[j,d]))"),
    formula("distances", "D[i,j] = sqrt(sum[d]((x[i,d] - y[j,d])**2))", "x y",
            "s_bar[i,j] = dL[i,j]/(2*D[i,j])\n"
            "x_bar[i,d] = 2*sum[j](s_bar[i,j]*(x[i,d] - y[j,d]))\n"
            "y_bar[j,d] = 2*sum[i](s_bar[i,j]*(y[j,d] - x[i,d]))"),
    formula("x^T A x", "L = sum[i,j](x[i]*A[i,j]*x[j])", "x A",
            "x_bar[i] = sum[j](A[i,j]*x[j]) + sum[j](A[j,i]*x[j])\nA_bar[i,j] = x[i]*x[j]"),
    formula("mahalanobis", "L = sqrt(sum[i,j]((x[i]-m[i])*P[i,j]*(x[j]-m[j])))", "x P",
            "x_bar[i] = (sum[j](P[i,j]*(x[j]-m[j])) + sum[j](P[j,i]*(x[j]-m[j])))/(2*L)\n"
            "P_bar[i,j] = (x[i]-m[i])*(x[j]-m[j])/(2*L)"),
    formula("a^T X b", "L = sum[i,j](a[i]*X[i,j]*b[j])", "X", "X_bar[i,j] = a[i]*b[j]"),
    formula("a^T X^T X b", "L = sum[i,j,k](a[i]*X[j,i]*X[j,k]*b[k])", "X",
            "X_bar[j,i] = a[i]*sum[k](X[j,k]*b[k]) + b[i]*sum[k](X[j,k]*a[k])"),
    formula("tr(A B)", "L = sum[i,j](A[i,j]*B[j,i])", "A", "A_bar[i,j] = B[j,i]"),
    formula("tr(A X B)", "L = sum[i,j,k](A[i,j]*X[j,k]*B[k,i])", "X",
            "X_bar[j,k] = sum[i](A[i,j]*B[k,i])"),
    formula("tr(X A X^T)", "L = sum[i,j,k](X[i,j]*A[j,k]*X[i,k])", "X",
            "X_bar[i,j] = sum[k](X[i,k]*A[j,k]) + sum[k](X[i,k]*A[k,j])"),
    formula("tr(A)^2", "L = sum[i](A[i,i])**2", "A", "A_bar[i,j] = 2*s*(i == j)"),
    formula("sin(x^T A) y", "L = sum[j](sin(sum[i](x[i]*A[i,j]))*y[j])", "x A y",
            "y_bar[j] = sin(s[j])\ns_bar[j] = cos(s[j])*y[j]\nx_bar[i] = sum[j](A[i,j]*s_bar[j])\n"
            "A_bar[i,j] = x[i]*s_bar[j]"),
    formula("|A x - b|", "L = sqrt(sum[i]((sum[j](A[i,j]*x[j]) - b[i])**2))", "x A",
            "s_bar[i] = (s[i] - b[i])/L\nx_bar[j] = sum[i](A[i,j]*s_bar[i])\n"
            "A_bar[i,j] = s_bar[i]*x[j]"),
    formula("|A|_F", "L = sqrt(sum[i,j](A[i,j]**2))", "A", "A_bar[i,j] = A[i,j]/L"),
    formula("|x|", "L = sqrt(sum[i](x[i]**2))", "x", "x_bar[i] = x[i]/L"),
    formula("sum of exponentials", "L = sum[i](exp(sum[j](A[i,j]*x[j])))", "x",
            "s_bar[i] = exp(s[i])\nx_bar[j] = sum[i](A[i,j]*s_bar[i])"),
    formula("log of a sum of exponentials", "L = log(sum[i](exp(x[i])))", "x", "x_bar[i] = p[i]"),
    formula("matrix factorization", "L = sum[i,j]((R[i,j] - sum[k](U[i,k]*V[j,k]))**2)", "U V",
            "s_bar[i,j] = 2*(s[i,j] - R[i,j])\nU_bar[i,k] = sum[j](s_bar[i,j]*V[j,k])\n"
            "V_bar[j,k] = sum[i](s_bar[i,j]*U[i,k])"),
    formula("matrix factorization, masked",
            "L = sum[i,j](M[i,j]*(R[i,j] - sum[k](U[i,k]*V[j,k]))**2) + c*sum[i,k](U[i,k]**2)",
            "U V",
            "s_1_bar[i,j] = 2*M[i,j]*(s_1[i,j] - R[i,j])\n"
            "U_bar[i,k] = sum[j](s_1_bar[i,j]*V[j,k]) + 2*c*U[i,k]\n"
            "V_bar[j,k] = sum[i](s_1_bar[i,j]*U[i,k])"),
    formula("principal components",
            "L = sum[n,i]((X[n,i] - sum[j,k](X[n,j]*W[j,k]*W[i,k]))**2)", "W",
            "s_bar[n,i] = 2*(s[n,i] - X[n,i])\n"
            "W_bar[i,k] = sum[n,j](s_bar[n,j]*X[n,i]*W[j,k]) + sum[n,j](X[n,j]*s_bar[n,i]*W[j,k])"),
    formula("cosine similarity",
            "L = sum[i](x[i]*y[i])/(sqrt(sum[i](x[i]**2))*sqrt(sum[i](y[i]**2)))", "x",
            "x_bar[i] = (y[i] - s_2*x[i]/s)/(sqrt(s)*sqrt(s_1))"),
    formula("cosine similarity, lengths named",
            "a = sqrt(sum[i](x[i]**2))\nb = sqrt(sum[i](y[i]**2))\nL = sum[i](x[i]*y[i])/(a*b)",
            "x", "x_bar[i] = (y[i]/b - L*x[i]/a)/a"),
    formula("bilinear attention",
            "s[i,j] = sum[d,e](q[i,d]*W[d,e]*k[j,e])\np[i,j] = exp(s[i,j])/sum[j](exp(s[i,j]))\n"
            "y[i,f] = sum[j](p[i,j]*v[j,f])", "q W k v",
            "v_bar[j,f] = sum[i](p[i,j]*dL[i,f])\np_bar[i,j] = sum[f](dL[i,f]*v[j,f])\n"
            "s_bar[i,j] = p[i,j]*(p_bar[i,j] - sum[m](p_bar[i,m]*p[i,m]))\n"
            "q_bar[i,d] = sum[j,e](s_bar[i,j]*k[j,e]*W[d,e])\n"
            "k_bar[j,e] = sum[i,d](s_bar[i,j]*q[i,d]*W[d,e])\n"
            "W_bar[d,e] = sum[i,j](q[i,d]*s_bar[i,j]*k[j,e])"),
    formula("l2 normalization", "y[i] = x[i]/sqrt(sum[i](x[i]**2))", "x",
            "x_bar[i] = (dL[i] - y[i]*sum[k](dL[k]*y[k]))/sqrt(s)"),
    formula("normalization", "p[i] = x[i]/sum[j](x[j])", "x",
            "x_bar[i] = (dL[i] - sum[k](dL[k]*p[k]))/s"),
    formula("softplus of a sum", "L = sum[n](log(1 + exp(a[n] + b[n])))", "a",
            "a_bar[n] = sigmoid(a[n] + b[n])"),
    formula("log of a sigmoid", "L = sum[n](log(1/(1 + exp(-x[n]))))", "x",
            "x_bar[n] = sigmoid(-x[n])"),
    formula("swish", "y[n] = x[n]/(1 + exp(-x[n]))", "x",
            "x_bar[n] = dL[n]*(y[n] + sigmoid(x[n])*(1 - y[n]))"),
    formula("gated linear unit",
            "y[n,j] = sum[i](x[n,i]*W[i,j])*sigmoid(sum[i](x[n,i]*V[i,j]))", "W V x",
            "s_bar[n,j] = dL[n,j]*sigmoid(s_1[n,j])\n"
            "s_1_bar[n,j] = dL[n,j]*y[n,j]*(1 - sigmoid(s_1[n,j]))\n"
            "W_bar[i,j] = sum[n](x[n,i]*s_bar[n,j])\nV_bar[i,j] = sum[n](x[n,i]*s_1_bar[n,j])\n"
            "x_bar[n,i] = sum[j](s_bar[n,j]*W[i,j]) + sum[j](s_1_bar[n,j]*V[i,j])"),
    formula("huber", "L = sum[n](where(abs(r[n]) <= 1, r[n]**2/2, abs(r[n]) - 1/2))", "r",
            "r_bar[n] = where(abs(r[n]) <= 1, r[n], sign(r[n]))"),
    formula("focal, naive", "p[n] = 1/(1 + exp(-x[n]))\nL = -sum[n]((1 - p[n])**2*log(p[n]))", "x",
            "x_bar[n] = (1 - sigmoid(x[n]))**2"
            "*(2*sigmoid(x[n])*log(sigmoid(x[n])) - (1 - sigmoid(x[n])))"),
    formula("squared hinge", f"L = mean[n](maximum(0, 1 - y[n]*{LINEAR})**2)", "w",
            "s_bar[n] = -2*y[n]*maximum(0, 1 - y[n]*s[n])/N\nw_bar[i] = sum[n](X[n,i]*s_bar[n])"),
    formula("support vectors",
            f"L = mean[n](maximum(0, 1 - y[n]*{LINEAR})) + c/2*sum[i](w[i]**2)", "w",
            "s_1_bar[n] = where(1 - y[n]*s_1[n] > 0, -y[n], 0)/N\n"
            "w_bar[i] = sum[n](X[n,i]*s_1_bar[n]) + c*w[i]"),
    formula("group lasso", "L = sum[g](sqrt(sum[i](W[g,i]**2)))", "W",
            "W_bar[g,i] = W[g,i]/sqrt(s[g])"),
    formula("discriminator",
            "L = -mean[n](log(1/(1 + exp(-r[n])))) - mean[m](log(1 - 1/(1 + exp(-f[m]))))", "r f",
            "r_bar[n] = (sigmoid(r[n]) - 1)/N\nf_bar[m] = sigmoid(f[m])/M"),
    formula("generator, non-saturating", "L = -mean[m](log(1/(1 + exp(-f[m]))))", "f",
            "f_bar[m] = (sigmoid(f[m]) - 1)/M"),
    formula("evidence lower bound",
            "L = -sum[n,d](1 + v[n,d] - m[n,d]**2 - exp(v[n,d]))/2", "m v",
            "m_bar[n,d] = m[n,d]\nv_bar[n,d] = (exp(v[n,d]) - 1)/2"),
    formula("fisher vector", "y[k,d] = sum[n](p[n,k]*(x[n,d] - m[k,d])/s[k,d])", "x m s p",
            "x_bar[n,d] = sum[k](dL[k,d]*p[n,k]/s[k,d])\n"
            "m_bar[k,d] = -dL[k,d]*sum[n](p[n,k])/s[k,d]\n"
            "s_bar[k,d] = sum[n](p[n,k]*(m[k,d] - x[n,d]))*dL[k,d]/s[k,d]**2\n"
            "p_bar[n,k] = sum[d](dL[k,d]*(x[n,d] - m[k,d])/s[k,d])"),
    formula("fisher vector, its length",
            "L = sum[k](sum[d](sum[n](p[n,k]*(x[n,d] - m[k,d]))**2))", "x m p",
            "x_bar[n,d] = 2*sum[k](p[n,k]*s[k,d])\nm_bar[k,d] = -2*s[k,d]*sum[n](p[n,k])\n"
            "p_bar[n,k] = 2*sum[d](s[k,d]*(x[n,d] - m[k,d]))"),
    formula("max pooling", "y[p,c] = max[k](x[2*p+k,c])", "x",
            "x_bar[i,c] = sum[p](dL[p,c]*(i == 2*p + y_argmax[p,c]))", sizes={"k": 2}),
    formula("product", "L = prod[i](x[i])", "x", "x_bar[i] = prod[k](where(k != i, x[k], 1))"),
    formula("products", "y[n] = prod[i](x[n,i])", "x",
            "x_bar[n,i] = dL[n]*prod[k](where(k != i, x[n,k], 1))"),
    formula("factorization machine",
            "y[n] = a + sum[i](w[i]*x[n,i])"
            " + sum[k](sum[i](V[i,k]*x[n,i])**2 - sum[i](V[i,k]**2*x[n,i]**2))/2", "V w",
            "w_bar[i] = sum[n](dL[n]*x[n,i])\ns_bar[n,k] = s[n,k]*dL[n]\n"
            "V_bar[i,k] = sum[n](x[n,i]*s_bar[n,k]) - V[i,k]*sum[n](dL[n]*x[n,i]**2)"),
    formula("triplets",
            "L = sum[n](maximum(sum[d]((a[n,d]-p[n,d])**2) - sum[d]((a[n,d]-q[n,d])**2) + 1, 0))",
            "a p q",
            "s_1_bar[n] = where(1 + s_1[n] - s[n] >= 0, 1, 0)\n"
            "a_bar[n,d] = 2*s_1_bar[n]*(q[n,d] - p[n,d])\n"
            "p_bar[n,d] = 2*s_1_bar[n]*(p[n,d] - a[n,d])\n"
            "q_bar[n,d] = 2*s_1_bar[n]*(a[n,d] - q[n,d])"),
    formula("contrastive predictive coding",
            "s[i,j] = sum[d](a[i,d]*b[j,d])/c\nL = mean[i](logsumexp[j](s[i,j]) - s[i,i])", "a b",
            "s_bar[i,j] = (p[i,j] - (i == j))/I\ns_1_bar[i,j] = s_bar[i,j]/c\n"
            "a_bar[i,d] = sum[j](s_1_bar[i,j]*b[j,d])\nb_bar[j,d] = sum[i](s_1_bar[i,j]*a[i,d])"),
    formula("cauchy", "L = sum[n](log(1 + r[n]**2))", "r", "r_bar[n] = 2*r[n]/(1 + r[n]**2)"),
    formula("variance", "m = mean[n](x[n])\nL = mean[n]((x[n] - m)**2)", "x",
            "x_bar[n] = 2*(x[n] - m)/N"),
    formula("standard deviation", "m = mean[n](x[n])\nL = sqrt(mean[n]((x[n] - m)**2))", "x",
            "x_bar[n] = (x[n] - m)/(N*L)"),
    formula("correlation",
            "a = mean[n](x[n])\nb = mean[n](y[n])\nL = sum[n]((x[n]-a)*(y[n]-b))"
            "/sqrt(sum[n]((x[n]-a)**2)*sum[n]((y[n]-b)**2))", "x",
            "x_bar[n] = (y[n] - b)/sqrt(s*s_1) - L*(x[n] - a)/s"),
    formula("dice", "L = 1 - 2*sum[n](p[n]*y[n])/(sum[n](p[n]) + sum[n](y[n]))", "p",
            "p_bar[n] = 2*(s_2/(s + s_1) - y[n])/(s + s_1)"),
    formula("smoothness", "L = sum[i]((x[i+1] - x[i])**2)", "x",
            "x_bar[i] = where(1 <= i, 2*(x[i] - x[i-1]), 0)"
            " + where(i + 1 < I, 2*(x[i] - x[i+1]), 0)"),
    formula("linear recurrence",
            "h[-1] = h0\nh[t] = a*h[t-1] + b*x[t]\nL = sum[t]((y[t] - h[t])**2)", "a b h0 x",
            "h_bar[T] = 0\nh_bar[t] = 2*(h[t] - y[t]) + a*h_bar[t+1]\n"
            "a_bar = sum[t](h_bar[t]*h[t-1])\nb_bar = sum[t](h_bar[t]*x[t])\n"
            "x_bar[t] = b*h_bar[t]\nh0_bar = a*h_bar[0]"),
    formula("moving average", "s[-1] = 0\ns[t] = b*s[t-1] + (1-b)*x[t]\nL = sum[t](w[t]*s[t])",
            "b x",
            "s_bar[T] = 0\ns_bar[t] = w[t] + b*s_bar[t+1]\nb_bar = sum[t](s_bar[t]*(s[t-1]-x[t]))\n"
            "x_bar[t] = (1 - b)*s_bar[t]"),
    *(
        formula(f"two layers, {name}", TWO_LAYERS.format(name), "W b V c",
                TWO_LAYERS_BACK.format(slope))
        for name, slope in SLOPES.items()
    ),
]  # fmt: skip

ENTRIES = ACTIVATIONS + LAYERS + LOSSES + FORMULAS


# Symbols.


def symbols(e):
    """How many symbols a reader sees; the rules are those of the module's docstring."""
    if isinstance(e, Access | Symbol) or e.is_Integer or e.is_Float:
        return 1 + int(e.is_negative is True and e.is_Number)
    if e.is_Rational:
        return symbols(S(e.p)) + 2
    if isinstance(e, Reduce):
        guard = 0 if e.guard == 1 else 1 + symbols(e.guard)
        return 1 + len(e.bound) + symbols(e.term) + guard
    if isinstance(e, Pow):
        if e.exp == S.Half:
            return 1 + symbols(e.base)
        if e.exp.is_Number and e.exp.is_negative:
            return 2 + symbols(1 / e)  # 1/...
        return symbols(e.base) + (2 if e.exp.is_Number else 1 + symbols(e.exp))
    if isinstance(e, Add):
        parts = e.as_ordered_terms()
        signs = sum(1 for a in parts if a.could_extract_minus_sign())
        # a - b is no longer than a + b; a sum of negatives alone begins with its sign.
        return sum(symbols(-a if a.could_extract_minus_sign() else a) for a in parts) + (
            len(parts) - 1 + (signs == len(parts))
        )
    if isinstance(e, Mul):
        number, rest = e.as_coeff_Mul()
        if number.is_negative:
            return 1 + symbols(-e)
        above = [f for f in Mul.make_args(rest) if not _divides(f)]
        below = [1 / f for f in Mul.make_args(rest) if _divides(f)]
        above += [S(number.p)] * (number.p != 1) if number.is_Rational else [number]
        below += [S(number.q)] * (number.is_Rational and number.q != 1)
        joints = len(above) + len(below) - 1 + (not above) * 2
        return sum(map(symbols, above + below)) + joints
    if isinstance(e, where) and 0 in e.args[1:]:
        condition, a, b = e.args
        value = b if a == 0 else a
        return symbols(condition) + (0 if value == 1 else 1 + symbols(value))
    if isinstance(e, Condition):
        e = solved(e)  # 3 <= m for 0 <= m - 3, as it is printed
        return sum(map(symbols, e.args)) + max(len(e.args) - 1, 1)
    return 1 + sum(map(symbols, e.args))


def _divides(e):
    return isinstance(e, Pow) and e.exp.is_Number and e.exp.is_negative


# Deriving and evaluating.


@dataclass(frozen=True)
class Form:
    """The equations shown, and the text of the closed form with the forward equations before it."""

    derived: tuple  # of the backward pass
    closed: tuple
    names: dict  # of what is derived -> as the closed form calls it
    program: Program  # forward equations and closed form
    gradients: object
    arrays: dict


def short(name, entry):
    """`W_1_bar` of the first layer as `W_bar`; the target of a network as the cotangent it is."""
    if entry.text or (entry.loss and not name.startswith("z_1")):
        return name
    return SEED if name == "y" else re.sub(r"^(.+?)_1(_bar|_back|_argmax)?$", r"\1\2", name)


def gradients_of(entry):
    if entry.text:
        program = forward(entry.text, entry.sizes or None)
        result = program.equation(program.result)
        seed = S.One
        if result.indices:
            given = (*program.inputs, Tensor(SEED, result.indices))
            program, seed = replace(program, inputs=given), Access(SEED, *result.indices)
        return reverse(program, tuple(entry.wrt.split()), {program.result: seed})
    program, _ = recognize(flatten(composed(entry).program))
    real = (t.name for t in program.inputs if t.kind == "real")
    wrt = tuple(name for name in real if name not in ("y", "u_1", "e_1", "class_weight_1"))
    return with_numbers(reverse(program, wrt, {program.result: S.One}))


def composed(entry):
    ending = table("loss", entry.loss) + SAME if entry.loss else None
    text = network(entry.layers, entry.shape, *([ending] if ending else []), **entry.given)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.toml"
        path.write_text(text)
        return compose(load(path))


def example_arrays(entry, program):
    rng = np.random.default_rng(0)
    sizes = {"N": 4, "I": 3, "J": 3, "K": 3, "D": 2}
    given = dict(program.sizes)

    def size(e):
        e = e.xreplace(given)
        return int(e.xreplace({s: S(sizes.get(s.name, 3)) for s in e.free_symbols}))

    arrays = {}
    for tensor in program.inputs:
        shape = [size(i.size) for i in tensor.axes]
        if tensor.kind == "integer":
            least = entry.limits.get(tensor.name, entry.shape[-1] if entry.loss else 5)
            arrays[tensor.name] = rng.integers(0, least, shape)
        elif entry.text:
            arrays[tensor.name] = rng.uniform(entry.low, 1.5, shape)
        elif tensor.name == "u_1":
            arrays[tensor.name] = rng.uniform(size=shape)
        else:
            arrays[tensor.name] = rng.normal(size=shape) * 2
    return arrays


@cache
def form(number):
    entry = ENTRIES[number]
    gradients = gradients_of(entry)
    known = {e.target for e in gradients.forward.equations}
    shown = [e for e in gradients.shown if e.target not in known]
    names = {e.target: short(e.target, entry) for e in gradients.program.equations}
    names |= {t.name: short(t.name, entry) for t in gradients.forward.inputs}
    lines = (line for e in gradients.shown if e.target in known for line in e.lines)
    text = "\n".join(map(gradients.program.text, lines))
    text = re.sub(r"[A-Za-z]\w*", lambda m: names.get(m[0], m[0]), text)
    arrays = example_arrays(entry, gradients.forward)
    sizes = {**sizes_of(gradients.program, arrays), **entry.sizes}
    free = set(re.findall(r"\w+", entry.closed))
    whole = parse(
        f"{text}\n{entry.closed.strip()}",
        sizes={k: v for k, v in sizes.items() if k in free or k in entry.sizes},
        functions=functions(),
    )
    lines = re.findall(r"^(\w+)(?:\[.*?\])? =", entry.closed, re.M)
    closed = tuple(whole.equation(name) for name in dict.fromkeys(lines))
    return Form(tuple(shown), closed, names, whole, gradients, arrays)


def labels():
    return [f"{e.name}-{k}" for k, e in enumerate(ENTRIES)]


@pytest.mark.parametrize("number", range(len(ENTRIES)), ids=labels())
def test_the_closed_form_has_the_value_of_what_is_derived(number):
    found = form(number)
    values = evaluate(found.gradients.program, found.arrays)
    given = {found.names[name]: array for name, array in found.arrays.items()}
    wanted = {t.name for t in found.program.inputs}
    closed = evaluate(found.program, {k: a for k, a in given.items() if k in wanted})
    compared = 0
    for equation in found.derived:
        name = found.names[equation.target]
        if name in closed:
            compared += 1
            scale = max(1.0, np.max(np.abs(closed[name]), initial=0.0))
            np.testing.assert_allclose(
                values[equation.target], closed[name], rtol=1e-11, atol=1e-12 * scale, err_msg=name
            )
    assert compared == len(found.closed)


def counts(found):
    """Of each cotangent, and of the whole: symbols derived, symbols of the closed form."""
    derived = {found.names[e.target]: symbols(e.body) for e in found.derived}
    closed = {e.target: symbols(e.body) for e in found.closed}
    rows = {name: (derived[name], closed[name]) for name in closed}
    return rows | {"": (sum(derived.values()), sum(closed.values()))}


@pytest.mark.parametrize("number", range(len(ENTRIES)), ids=labels())
def test_what_is_derived_is_as_short_as_the_closed_form(number):
    found = form(number)
    for name, (derived, closed) in counts(found).items():
        shown = "\n".join(map(str, (*found.derived, "", *found.closed)))
        assert derived <= LONGEST * closed, f"{name}: {derived}, not {closed}\n{shown}"


def matrix_forms(number):
    """Each equation of the backward pass, and its matrix form or None."""
    return [(e, matrix_form(e)) for e in form(number).derived]


@pytest.mark.parametrize("number", range(len(ENTRIES)), ids=labels())
def test_a_matrix_form_has_the_value_of_its_equation(number):
    found = form(number)
    values = found.arrays | evaluate(found.gradients.program, found.arrays)
    sizes = {}
    for tensor in found.gradients.program.inputs:
        shape = found.arrays[tensor.name].shape
        sizes |= {i.size: S(n) for i, n in zip(tensor.axes, shape, strict=True)}
    for symbol, value in found.gradients.program.sizes:
        sizes[symbol] = value.xreplace(sizes)
    sizes = {str(symbol): int(value) for symbol, value in sizes.items()}
    for equation, matrix in matrix_forms(number):
        if matrix is not None:
            value = matrix.evaluate(values, sizes)
            np.testing.assert_allclose(
                value, values[equation.target], rtol=1e-9, atol=1e-11, err_msg=str(matrix)
            )


def test_every_layer_activation_and_loss_has_a_closed_form():
    kinds = ("activation", "layer", "loss")
    known = {d.name for d in library().entries.values() if d.kind in kinds}
    # A transformer block is layers of the library and has no equation of its own.
    assert known - {e.name for e in ENTRIES} == {"transformer_block"}


def report():
    rows = []
    for k, entry in enumerate(ENTRIES):
        found = counts(form(k))
        whole = found.pop("")
        name, (a, b) = max(found.items(), key=lambda row: row[1][0] / row[1][1])
        rows.append((whole[0] / whole[1], whole, f"{name} {a}/{b}", entry.name))
    yield f"{'entry':<40}{'derived':>8}{'closed':>8}{'ratio':>7}  longest cotangent"
    for ratio, (derived, closed), longest, name in sorted(rows, reverse=True):
        yield f"{name:<40}{derived:>8}{closed:>8}{ratio:>7.2f}  {longest}"


if __name__ == "__main__":
    sys.stdout.write("\n".join(report()) + "\n")
