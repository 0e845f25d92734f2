"""Definitions: fields, cases, axis groups, states, draws, and layers made of layers."""

import random
import re
from pathlib import Path

import numpy as np
import pytest
from test_definitions import complaint, outputs, spec
from test_library import arrays_of, checked

import derive
from derive.language.checker import check
from derive.language.interpreter import evaluate
from derive.language.notation import DeriveError
from derive.library import groups, size_expressions
from derive.library.toml_positions import SpecError, parse
from derive.networks.network import compose
from derive.networks.spec import interpret

DENSE = "[[layers]]\ntype = 'dense'\nunits = {}\n"
DRAWN = np.random.default_rng(5)


def network(layers, definitions="", shape="[3]", **more):
    net = compose(spec(layers, definitions, shape, **more))
    check(net.program)
    check(net.inference)
    return net


def lines(net):
    return str(net.program).split("\n")


def layer(type_, *fields):
    return "\n".join(["[[layers]]", f"type = '{type_}'", *fields]) + "\n"


# Expressions.

VALUES = {"H": 7, "k": 3, "pad": "same", "bias": True, "rate": 0.5, "s": (2, 3)}


@pytest.mark.parametrize(
    "text, expected",
    [
        ("0 if pad == 'valid' else k", 3),
        ("H // 2 if pad == 'same' and k < 4 else 0 // 0", 3),
        ("max(H - 10, 0) + min(H, k, 5)", 3),
        ("len(s) + prod(s)", 8),
        ("12 / k", 4),
    ],
)
def test_sizes_depend_on_fields(text, expected):
    assert size_expressions.size(text, VALUES) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("pad == 'same'", True),
        ("pad != 0 and not bias", False),
        ("bias or H < 0", True),
        ("0 <= rate < 1", True),
        ("1 < k <= 2", False),
        ("H % k == 1", True),
    ],
)
def test_conditions(text, expected):
    assert size_expressions.holds(text, VALUES) is expected


@pytest.mark.parametrize(
    "text, message",
    [
        ("H / 2", "H / 2 = 7/2 is no integer"),
        ("H if k else 1", "k is neither true nor false"),
        ("pad + 1", "pad is 'same' here, and no number"),
        ("pad < 1", "compares what has no order"),
        ("len(H)", "H is no list"),
        ("rate", "rate = 0.5 is no integer"),
        ("len(s, s)", "a size is made of"),
        ("max(H)", "a size is made of"),
        ("print(H)", "a size is made of"),
        ("lambda: H", "a size is made of"),
        ("s[0]", "a size is made of"),
        ("H == H == None", "a size is made of"),
        ("W + 1", "nothing says what W is"),
    ],
)
def test_expressions_that_are_none(text, message):
    with pytest.raises(DeriveError, match=re.escape(message)):
        size_expressions.size(text, VALUES)


def test_a_number_is_no_condition():
    with pytest.raises(DeriveError, match="neither true nor false"):
        size_expressions.holds("H", VALUES)


# Fields: pairs, choices, lists; numbers and cases.

CONV = """
[define.layer.conv]
input = "x[n,h,w,c]"
pairs = { kernel_size = ["kh", "kw"], stride = ["sh", "sw"] }
choices = { padding = ["valid", "same", 0] }
constants = { stride = 1, padding = "valid" }
parameters.W = { indices = "k,l,c,j", fan_in = "kh*kw*C", fan_out = "kh*kw*J" }
[define.layer.conv.sizes]
k = "kh"
l = "kw"
j = "filters"
p = '(H + sh - 1)//sh if padding == "same" else (H + 2*low - kh)//sh + 1'
q = '(W + sw - 1)//sw if padding == "same" else (W + 2*low - kw)//sw + 1'
[define.layer.conv.numbers]
low = '0 if padding == "valid" or padding == "same" else padding'
top = 'max((P - 1)*sh + kh - H, 0)//2 if padding == "same" else low'
left = 'max((Q - 1)*sw + kw - W, 0)//2 if padding == "same" else low'
[[define.layer.conv.cases]]
when = "kh == 1 and kw == 1 and sh == 1 and sw == 1"
forward = "z[n,p,q,j] = sum[c](x[n,p,q,c] * W[0,0,c,j])"
sizes = { k = "1", l = "1", j = "filters", p = "H", q = "W" }
[[define.layer.conv.cases]]
forward = '''
z[n,p,q,j] = sum[k,l,c](x[n, sh*p + k - top, sw*q + l - left, c] * W[k,l,c,j])
'''
"""


@pytest.mark.parametrize(
    "fields, kernel, shape, before",
    [
        (("kernel_size = 3",), (3, 3), (3, 4), (0, 0)),
        (("kernel_size = [3, 2]", "stride = [2, 1]"), (3, 2), (2, 5), (0, 0)),
        (("kernel_size = [3, 2]", "padding = 'same'"), (3, 2), (5, 6), (1, 0)),
        (("kernel_size = 2", "padding = 1", "stride = 3"), (2, 2), (2, 3), (1, 1)),
    ],
)
def test_pairs_choices_and_numbers(fields, kernel, shape, before):
    net = network(layer("conv", "filters = 2", *fields), CONV, "[5, 6, 3]")
    (w,) = net.parameters
    assert (w.shape, w.fan_in, w.fan_out) == (
        (*kernel, 3, 2),
        *(np.prod(kernel) * n for n in (3, 2)),
    )
    assert net.layers[0].shape == (*shape, 2)
    v = outputs(net, x=DRAWN.normal(size=(2, 5, 6, 3)))
    stride = {"stride = [2, 1]": (2, 1), "stride = 3": (3, 3)}.get(fields[-1], (1, 1))
    padded = np.zeros((2, 12, 12, 3))
    padded[:, before[0] : before[0] + 5, before[1] : before[1] + 6] = v["x"]
    for p in range(shape[0]):
        for q in range(shape[1]):
            y, x = p * stride[0], q * stride[1]
            window = padded[:, y : y + kernel[0], x : x + kernel[1]]
            expected = np.einsum("nklc,klcj->nj", window, v["W_1"])
            np.testing.assert_allclose(v["z_1"][:, p, q], expected, rtol=1e-12)


CASED = """
[define.layer.own]
input = "x[n,i]"
constants = { order = 1, flip = false }
[[define.layer.own.cases]]
when = "order == 1 and not flip"
forward = "y[n,i] = x[n,i]"
[[define.layer.own.cases]]
when = "flip"
forward = "y[n,i] = -x[n,i]"
"""


def test_cases_with_conditions():
    assert lines(network(layer("own"), CASED))[0] == "y_1[n,i] = x[n,i]"
    assert lines(network(layer("own", "flip = true"), CASED))[0] == "y_1[n,i] = -x[n,i]"
    found = complaint(layer("own", "order = 2"), CASED)
    assert "layer own_1: own has no case for order = 2, flip = False" in found


@pytest.mark.parametrize(
    "field, message",
    [
        ("kernel_size = 0", "kernel_size must be an integer above 0, or a list of 2 of them"),
        ("kernel_size = [3]", "kernel_size must be an integer above 0, or a list of 2 of them"),
        ("kernel_size = [3, true]", "kernel_size must be an integer above 0"),
        ("kernel_size = 'a'", "kernel_size must be an integer above 0"),
        ("padding = 'sam'", 'padding must be "valid" or "same" or an integer, at least 0'),
        ("padding = -1", "padding must be"),
        ("padding = true", "padding must be"),
        ("padding = 1.5", "padding must be"),
        ("stride = 1.5", "stride must be an integer above 0"),
    ],
)
def test_a_field_that_is_wrong_has_its_place(field, message):
    needed = "" if field.startswith("kernel") else "kernel_size = 2"
    found = complaint(layer("conv", "filters = 2", needed, field), CONV, "[5, 6, 3]")
    assert message in found and found.startswith("net.toml:9:")


def test_a_pair_is_read_by_its_parts():
    wrong = CONV.replace("kh == 1 and kw", "kernel_size == 1 and kw")
    assert "a size reads kernel_size, which is a pair: read kh and kw" in complaint(
        layer("relu"), wrong
    )


def test_a_default_may_be_another_field():
    pool = """
[define.layer.pool]
input = "x[n,t]"
pairs = { size = ["k"], stride = ["s"] }
constants = { stride = "size" }
sizes = { i = "k", p = "(T - k)//s + 1" }
forward = "y[n,p] = max[i](x[n,s*p+i])"
"""
    assert network(layer("pool", "size = 2"), pool, "[8]").layers[0].shape == (4,)
    assert network(layer("pool", "size = 2", "stride = 1"), pool, "[8]").layers[0].shape == (7,)


def test_what_a_layer_requires():
    own = """
[define.layer.own]
input = "x[n,i]"
constants = { groups = 1, rate = 0.5 }
require = ["I % groups == 0", "rate < 1"]
sizes = { g = "groups" }
forward = "y[n,g] = rate*sum[i](x[n,i])"
"""
    assert network(layer("own", "groups = 3"), own).layers[0].shape == (3,)
    found = complaint(layer("own", "groups = 2"), own)
    assert "layer own_1: I % groups == 0 must hold, but I = 3, groups = 2" in found
    assert "rate < 1 must hold, but rate = 1.0" in complaint(layer("own", "rate = 1.0"), own)


def test_a_formula_calls_a_function_by_a_field():
    own = """
[define.layer.own]
input = "x[n,i]"
choices = { activation = ["tanh", "relu"] }
constants = { activation = "tanh" }
forward = "y[n,i] = activation(x[n,i]) + activation(2*x[n,i])"
"""
    x = np.array([[1.0, -2.0, 0.5]])
    tanh = outputs(network(layer("own"), own), x=x)["y_1"]
    relu = outputs(network(layer("own", "activation = 'relu'"), own), x=x)["y_1"]
    np.testing.assert_allclose(tanh, np.tanh(x) + np.tanh(2 * x), rtol=1e-12)
    np.testing.assert_allclose(relu, np.maximum(x, 0) * 3, rtol=1e-12)
    assert [u.name for u in network(layer("own", "activation = 'relu'"), own).layers] == ["own_1"]
    found = complaint(layer("own", "activation = 'exp'"), own)
    assert 'activation must be "tanh" or "relu", not \'exp\'' in found


# Axis groups.


def test_groups_are_written_out_with_their_places():
    text = "y[n,*r] = x[n, *reshaped(r, s)] + z[*s[axes]]"
    written = groups.written(text, {"r": ("r_1",), "s": ("s_1", "s_2")}, {"axes": (-1, 0)})
    assert written.text == "y[n,r_1] = x[n, ((r_1)//(S_2)),(r_1)%S_2] + z[s_2,s_1]"
    assert written.origin(0, written.text.index("z")) == text.index("z")
    empty = groups.written("y[n,*s] = x[*s,n]*w[*s]", {"s": ()}, {})
    assert empty.text == "y[n] = x[n]*w"
    assert empty.origin(0, 7) == 10


@pytest.mark.parametrize("shape", [[5], [3, 4], [2, 3, 4], [2, 3, 2, 2]])
def test_layers_on_inputs_of_any_rank(shape):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, *shape))
    total = int(np.prod(shape))
    order = list(rng.permutation(len(shape)))
    found = outputs(network(layer("permute", f"axes = {[int(a) for a in order]}"), "", shape), x=x)
    np.testing.assert_array_equal(found["y_1"], np.transpose(x, [0, *(a + 1 for a in order)]))
    found = outputs(network(layer("flatten"), "", shape), x=x)
    np.testing.assert_array_equal(found["v_1"], x.reshape(2, -1))
    for new in ([total], shape[::-1], [1, total], [total, 1, 1]):
        found = outputs(network(layer("reshape", f"shape = {new}"), "", shape), x=x)
        np.testing.assert_array_equal(found["y_1"], x.reshape(2, *new))
    inputs = "inputs = ['relu_1', 'input', 'input']"
    relu = np.maximum(x, 0)
    for name, expected in (("add", relu + x + x), ("multiply", relu * x * x)):
        net = network(layer("relu") + layer(name, inputs), "", shape)
        np.testing.assert_allclose(outputs(net, x=x)[net.output.name], expected, rtol=1e-12)
    for axis in range(-len(shape), len(shape)):
        net = network(layer("relu") + layer("concat", f"axis = {axis}", inputs), "", shape)
        expected = np.concatenate([relu, x, x], axis + 1 if axis >= 0 else axis)
        np.testing.assert_array_equal(outputs(net, x=x)[net.output.name], expected)


@pytest.mark.parametrize(
    "fields, message",
    [
        (("permute", "axes = [0, 0]"), "[0, 0] is no permutation of 2 axes, 0 to 1"),
        (("permute", "axes = [0]"), "[0] is no permutation of 2 axes"),
        (("permute", "axes = [1, 2]"), "[1, 2] is no permutation of 2 axes"),
        (("permute", "axes = [0, 1.5]"), "axes must be a list of integers"),
        (("permute",), "axes is missing"),
        (("reshape", "shape = [2, 5]"), "[2, 5] has 10 elements, but [3, 4] has 12 elements"),
        (("reshape", "shape = [2, -6]"), "shape must be a list of integers above 0"),
        (("reshape", "shape = [3, 0]"), "shape must be a list of integers above 0"),
        (("add",), "add takes a[n,*s], b[n,*s] and more of them, but is given the input, of shape"),
    ],
)
def test_axes_that_do_not_fit(fields, message):
    found = complaint(layer(*fields), "", "[3, 4]")
    assert message in found and found.startswith("net.toml:")


def test_inputs_of_different_shapes():
    both = "inputs = ['dense_1', 'input']"
    found = complaint(DENSE.format(5) + layer("concat", both, "axis = 0"), "", "[3, 4]")
    assert "has the size 5 in dense_1 and 4 in the input" in found
    found = complaint(DENSE.format(5) + layer("concat", both, "axis = 2"), "", "[3, 4]")
    assert "axis = 2 is no axis of the shape (3, 5)" in found
    found = complaint(DENSE.format(5) + layer("add", both), "", "[3, 4]")
    assert "has the size 5 in dense_1 and 4 in the input" in found
    found = complaint(
        layer("flatten") + layer("add", "inputs = ['flatten_1', 'input']"), "", "[3, 4]"
    )
    assert "axes" in found


def test_an_error_in_a_formula_with_groups_has_its_place():
    own = '[define.layer.own]\ninput = "x[n,*s]"\nforward = "y[n,*s] = x[n,*s] * bet"\n'
    found = complaint(layer("relu"), own)
    line, caret = found.split("\n")[1:3]
    assert "unknown name `bet`" in found
    assert line[caret.index("^") :].startswith("bet")


# Draws, states, inference.


def test_draws():
    net = network(DENSE.format(4) + layer("dropout", "rate = 0.25"))
    assert [(str(d.axes), d.distribution) for d in net.draws] == [("u_2[n,j]", "uniform")]
    assert [t.name for t in net.program.inputs] == ["x", "y", "W_1", "b_1", "u_2"]
    assert [t.name for t in net.inference.inputs] == ["x", "y", "W_1", "b_1"]
    v = outputs(net, x=np.ones((2, 3)), u_2=np.array([[0.1, 0.2, 0.3, 0.25], [0.9, 0.0, 0.5, 0.7]]))
    kept = np.array([[0, 0, 1, 1], [1, 0, 1, 1]])
    np.testing.assert_allclose(v["y_2"], kept * v["z_1"] / 0.75, rtol=1e-12)
    given = {t.name: v[t.name] for t in net.inference.inputs}
    np.testing.assert_array_equal(evaluate(net.inference, given)["y_2"], v["z_1"])
    noise = network(layer("gaussian_noise", "std = 0.5"))
    assert noise.draws[0].distribution == "normal"
    v = outputs(noise, x=np.zeros((2, 3)))
    np.testing.assert_allclose(v["y_1"], 0.5 * v["e_1"], rtol=1e-12)


NORM = """
[define.layer.norm]
input = "x[n,c]"
constants = { momentum = 0.9 }
parameters.gamma = { indices = "c", init = "ones" }
state.running_mean = { indices = "c", initial = 0.5 }
forward = '''
mu[c] = mean[n](x[n,c])
running_mean_next[c] = momentum * running_mean[c] + (1 - momentum) * mu[c]
y[n,c] = gamma[c] * (x[n,c] - mu[c])
'''
inference = "y[n,c] = gamma[c] * (x[n,c] - running_mean[c])"
"""


def test_states():
    net = network(layer("norm") + DENSE.format(2), NORM)
    (state,) = net.states
    assert (state.name, str(state.axes), state.initial) == (
        "norm_1.running_mean",
        "running_mean_1[c]",
        0.5,
    )
    assert net.program.results == ("L", "z_2", "running_mean_next_1")
    assert [t.name for t in net.program.inputs][-1] == "running_mean_1"
    assert net.layers[0].output == "y_1"
    v = outputs(net, x=DRAWN.normal(size=(4, 3)))
    mu = v["x"].mean(0)
    np.testing.assert_allclose(
        v["running_mean_next_1"], 0.9 * v["running_mean_1"] + 0.1 * mu, rtol=1e-12
    )
    given = {t.name: v[t.name] for t in net.inference.inputs}
    answer = evaluate(net.inference, given)
    expected = v["gamma_1"] * (v["x"] - v["running_mean_1"])
    np.testing.assert_allclose(answer["y_1"], expected, rtol=1e-12)
    assert "running_mean_next_1" not in answer
    loss = evaluate(net.loss, {"z_2": answer["z_2"], "y": v["y"]})
    assert float(loss["L"]) == pytest.approx(float(answer["L"]))


def test_a_shared_state_is_renewed_by_one_layer_after_the_other():
    net = network(layer("norm") + layer("norm", "share = 'norm_1'"), NORM)
    (state,) = net.states
    assert state.next == net.program.results[2]
    v = outputs(net, x=DRAWN.normal(size=(4, 3)))
    once = 0.9 * v["running_mean_1"] + 0.1 * v["x"].mean(0)
    twice = 0.9 * once + 0.1 * v["y_1"].mean(0)
    np.testing.assert_allclose(v[state.next], twice, rtol=1e-12)
    given = {t.name: v[t.name] for t in net.inference.inputs}
    first = v["gamma_1"] * (v["x"] - v["running_mean_1"])
    expected = v["gamma_1"] * (first - v["running_mean_1"])
    np.testing.assert_allclose(evaluate(net.inference, given)["y_2"], expected, rtol=1e-12)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("running_mean_next[c] =", "other[c] =", "must compute running_mean_next[c]"),
        ("initial = 0.5", "initial = 'a'", "initial must be a finite number"),
        ("initial = 0.5", "start = 0.5", "unknown key 'start'"),
        ("x[n,c] - running_mean[c]", "x[n,c] - mu[c]", "unknown name `mu`"),
        ("state.running_mean", "state.mu", "`mu`"),
    ],
)
def test_states_that_are_refused(old, new, message):
    assert message in complaint(layer("relu"), NORM.replace(old, new, 1))


def test_draws_need_an_inference_formula():
    own = """
[define.layer.own]
input = "x[n,i]"
draws.u = { indices = "n,i", distribution = "uniform" }
forward = "y[n,i] = x[n,i]*u[n,i]"
"""
    assert "a layer with draws needs an inference formula" in complaint(layer("relu"), own)
    uneven = own + 'inference = "y[n,i] = x[n,i]*u[n,i]"\n'
    assert "unknown name `u`" in complaint(layer("relu"), uneven)
    assert 'distribution must be "uniform" or "normal"' in complaint(
        layer("relu"), own.replace('"uniform"', '"gamma"')
    )
    other = own + 'inference = "y[n] = x[n,0]"\n'
    assert "results of different shapes" in complaint(layer("own"), other)


# Layers made of layers.

BLOCK = """
[define.layer.block]
input = "x[n,*t,d]"
constants = { rate = 0.25, bias = true }
[[define.layer.block.layers]]
type = "dense"
name = "first"
units = "hidden"
bias = "bias"
activation = "relu"
parameters = { W = "W_1", b = "b_1" }
[[define.layer.block.layers]]
type = "dropout"
rate = "rate"
[[define.layer.block.layers]]
type = "dense"
units = "D"
parameters = { W = "W_2", b = "b_2" }
[[define.layer.block.layers]]
type = "add"
inputs = ["input", "dense_2"]
"""
NESTED = (
    BLOCK
    + """
[define.layer.double]
input = "x[n,d]"
[[define.layer.double.layers]]
type = "block"
hidden = "2*width"
[[define.layer.double.layers]]
type = "block"
hidden = "2*width"
share = "block_1"
[[define.layer.double.layers]]
type = "block"
hidden = "D + 1"
rate = 0.0
parameters = { W_1 = "U_1", b_1 = "c_1", W_2 = "U_2", b_2 = "c_2" }
"""
)


def test_a_layer_made_of_layers():
    net = network(layer("block", "hidden = 5") + DENSE.format(2), BLOCK, "[4, 3]")
    assert [(p.name, p.shape) for p in net.parameters] == [
        ("block_1.W_1", (3, 5)),
        ("block_1.b_1", (5,)),
        ("block_1.W_2", (5, 3)),
        ("block_1.b_2", (3,)),
        ("dense_1.W", (3, 2)),
        ("dense_1.b", (2,)),
    ]
    assert [(u.name, u.inputs) for u in net.layers] == [
        ("block_1.first", ("input",)),
        ("block_1.relu_1", ("block_1.first",)),
        ("block_1.dropout_1", ("block_1.relu_1",)),
        ("block_1.dense_2", ("block_1.dropout_1",)),
        ("block_1.add_1", ("input", "block_1.dense_2")),
        ("dense_1", ("block_1.add_1",)),
    ]
    w = {p.name: p.tensor for p in net.parameters}
    v = outputs(net, x=DRAWN.normal(size=(2, 4, 3)))
    given = {t.name: v[t.name] for t in net.inference.inputs}
    hidden = np.maximum(v["x"] @ v[w["block_1.W_1"]] + v[w["block_1.b_1"]], 0)
    expected = v["x"] + hidden @ v[w["block_1.W_2"]] + v[w["block_1.b_2"]]
    found = evaluate(net.inference, given)[net.layers[-2].output]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert "0.3" in str(network(layer("block", "hidden = 5", "rate = 0.3"), BLOCK).program)
    plain = network(layer("block", "hidden = 5", "bias = false"), BLOCK)
    assert [p.name for p in plain.parameters] == ["block_1.W_1", "block_1.W_2", "block_1.b_2"]


def test_a_nested_layer_and_a_shared_one():
    names = [f"double_1.{n}" for n in ("W_1", "b_1", "W_2", "b_2", "U_1", "c_1", "U_2", "c_2")]
    net = network(layer("double", "width = 3"), NESTED)
    assert [p.name for p in net.parameters] == names
    assert [p.shape for p in net.parameters[::2]] == [(3, 6), (6, 3), (3, 4), (4, 3)]
    shared = "share = 'double_1'"
    net = network(layer("double", "width = 3") + layer("double", "width = 3", shared) * 2, NESTED)
    assert [p.name for p in net.parameters] == names
    assert len(net.draws) == 9
    found = complaint(layer("double", "width = 3") + layer("double", "width = 4", shared), NESTED)
    assert "layer double_2.block_1.first: double_1.W_1 has the shape (3, 6), but (3, 8)" in found
    found = complaint(DENSE.format(3) + layer("double", "width = 3", "share = 'dense_1'"), NESTED)
    assert "'dense_1' is of another type: dense" in found


def test_a_shared_layer_that_lacks_a_parameter():
    found = complaint(DENSE.format(3) + "bias = false\n" + DENSE.format(3) + "share = 'dense_1'")
    assert "layer dense_2: there is no parameter dense_1.b to share" in found


@pytest.mark.parametrize(
    "old, new, message",
    [
        ('W = "W_2"', 'V = "W_2"', "dense has no parameter 'V'; the nearest is"),
        ('W = "W_2", ', "", ""),
        ('b = "b_2"', 'b = "b_1"', "first and dense_2 both have a parameter 'b_1': rename one"),
        (
            'type = "dropout"',
            'type = "dropuot"',
            "unknown layer 'dropuot'; the nearest is 'dropout'",
        ),
        ('type = "dropout"', 'type = "block"', "'block' cannot be made of itself"),
        ('type = "dropout"', 'type = "later"', "'later' is defined below"),
        ('units = "hidden"', 'units = "hidden**2"', "a size is made of"),
        ('"dense_2"]', '"dense_1"]', "no layer before this one is called 'dense_1'; the nearest"),
        ('"dense_2"]', '"add_1"]', "and not itself"),
        ('inputs = ["input", "dense_2"]', 'inputs = ["input", "first"]', "left dangling"),
    ],
)
def test_a_layer_made_of_layers_that_is_refused(old, new, message):
    later = '[define.layer.later]\ninput = "x[n,i]"\nforward = "y[n,i] = x[n,i]"\n'
    text = BLOCK.replace(old, new, 1) + later
    if not message:
        assert network(layer("relu"), text)
        return
    assert message in complaint(layer("relu"), text)


def test_a_field_computed_within_a_layer_must_fit_too():
    wrong = BLOCK.replace('"hidden"', '"hidden - 5"')
    found = complaint(layer("block", "hidden = 5"), wrong)
    assert "layer block_1.first: units must be an integer above 0, not 0" in found


# Derivatives.


@pytest.mark.parametrize(
    "layers, definitions",
    [
        (DENSE.format(3) + layer("permute", "axes = [1, 0]"), ""),
        (DENSE.format(3) + layer("reshape", "shape = [2, 3, 2]"), ""),
        (DENSE.format(3) + layer("reshape", "shape = [3, 2, 2]") + layer("flatten"), ""),
        (DENSE.format(2) + layer("concat", "axis = 1", "inputs = ['dense_1', 'input']"), ""),
        (DENSE.format(3) + layer("multiply", "inputs = ['dense_1', 'input', 'dense_1']"), ""),
        (DENSE.format(3) + layer("last_step") + layer("dropout", "rate = 0.25"), ""),
        (layer("last_step") + layer("norm") + layer("norm", "share = 'norm_1'"), NORM),
        (layer("block", "hidden = 2") + layer("block", "hidden = 2", "share = 'block_1'"), BLOCK),
    ],
)
def test_derivatives_agree_with_central_differences(layers, definitions):
    net = network(layers, definitions, "[4, 3]")
    arrays = arrays_of(net, np.random.default_rng(2), batch=2)
    checked(net, arrays, [p.tensor for p in net.parameters])


# Losses.

WEIGHTED = """
[define.loss.weighted]
constants = { class_weight = [], ignore = -1 }
lists = ["class_weight"]
predict = "c[...] = argmax[k](z[...,k])"
[[define.loss.weighted.cases]]
when = "len(class_weight) > 0"
formula = "L = mean[...](class_weight[y[...]] * (logsumexp[k](z[...,k]) - z[...,y[...]]))"
[[define.loss.weighted.cases]]
formula = "L = mean[...](logsumexp[k](z[...,k]) - z[...,y[...]])"
"""


def test_a_loss_with_cases_and_a_list():
    use = "type = 'weighted'\nclass_weight = [1.0, 0.5, 2]"
    net = network(layer("relu"), WEIGHTED, loss=use)
    assert net.target.kind == "integer" and net.predict is not None
    x, y = DRAWN.uniform(0.1, 1, size=(4, 3)), np.array([0, 2, 1, 2])
    each = np.log(np.exp(x).sum(1)) - x[np.arange(4), y]
    value = float(evaluate(net.program, {"x": x, "y": y})["L"])
    assert value == pytest.approx(float((np.array([1, 0.5, 2])[y] * each).mean()))
    plain = network(layer("relu"), WEIGHTED, loss="type = 'weighted'")
    assert float(evaluate(plain.program, {"x": x, "y": y})["L"]) == pytest.approx(each.mean())
    found = complaint(layer("relu"), WEIGHTED, loss="type = 'weighted'\nclass_weight = [1, 'a']")
    assert "class_weight must be a list of finite numbers" in found


# Recurrences.


def test_a_recurrence_and_the_fans_of_its_weights():
    own = """
[define.layer.own]
input = "x[n,t,i]"
sizes = { j = "units" }
parameters.W = { indices = "i,j", init = "glorot_uniform" }
parameters.U = { indices = "k,j", init = "glorot_uniform" }
forward = '''
h[n,-1,j] = 0
h[n,t,j] = tanh(sum[i](x[n,t,i]*W[i,j]) + sum[k](h[n,t-1,k]*U[k,j]))
'''
"""
    net = compose(spec(layer("own", "units = 4"), own, "[5, 3]"))
    (equation,) = [e for e in net.program.equations if e.target == "h_1"]
    assert equation.recurrence is not None
    assert (equation.recurrence.step, str(equation.recurrence.index)) == (-1, "t")
    assert [(p.fan_in, p.fan_out) for p in net.parameters] == [(3, 4), (4, 4)]
    x = DRAWN.normal(size=(2, 5, 3))
    v = outputs(net, x=x)
    h = np.zeros((2, 4))
    for t in range(5):
        h = np.tanh(x[:, t] @ v["W_1"] + h @ v["U_1"])
        np.testing.assert_allclose(v["h_1"][:, t], h, rtol=1e-12)


# Whatever is written.


def test_a_definition_however_broken_gives_messages_and_no_crash():
    """Words and lines of good definitions, cut, moved and exchanged."""
    rng = random.Random(0)
    head = "name = 'net'\n[input]\nshape = [5, 6, 3]\n"
    loss = "[loss]\ntype = 'mse'\n"
    shapes = (Path(derive.__file__).parent / "library/shapes.toml").read_text()
    layers = layer("relu") + layer("concat", "axis = 1", "inputs = ['relu_1', 'input']")
    texts = [
        head + layer("conv", "filters = 2", "kernel_size = [3, 2]") + loss + CONV,
        head + layer("double", "width = 3") + loss + NESTED,
        head + layers + layer("permute", "axes = [1, 0, 2]") + loss + shapes,
    ]
    odd = ["0", "true", "[]", "...", "]", "'", "*s", "*", "s[axes]", "reshaped(r,s)", "if", "len"]
    for _ in range(60):
        text = rng.choice(texts)
        for _ in range(rng.choice([1, 1, 2, 4])):
            k = rng.randrange(len(text))
            words, rows = text.split(" "), text.split("\n")
            words[rng.randrange(len(words))] = rng.choice(words + odd)
            rows.insert(k % len(rows), rows.pop(rng.randrange(len(rows))))
            text = rng.choice(
                [
                    text[:k] + text[k + rng.randrange(1, 6) :],
                    text[:k] + rng.choice(odd) + text[k:],
                    " ".join(words),
                    "\n".join(rows),
                ]
            )
        try:
            compose(interpret(parse(text, "net.toml")))
        except SpecError as error:
            for message in error.messages:
                assert re.match(r"net\.toml:\d+:\d+: ", message), message


@pytest.mark.parametrize(
    "shape, spec, words",
    [
        ("[6, 2]", layer("max_pool1d", "pool_size = 2", "padding = 2"), "padding < pool_size"),
        ("[6, 6, 2]", layer("max_pool2d", "pool_size = 2", "padding = 2"), "padding < kh"),
        ("[2]", layer("batch_norm", "momentum = 2"), "momentum <= 1"),
    ],
)
def test_what_a_layer_of_the_library_requires(shape, spec, words):
    assert words in complaint(spec, shape=shape)
