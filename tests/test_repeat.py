"""Layers that are repeated: `repeat = R` against the same layers written out one by one."""

import re

import numpy as np
import pytest
from networks import compiled, derived, files, source
from test_citations import cited, numbered, shown

from derive.language.notation import DeriveError

REPEAT = 3
SPEC = """
name = "deep"
dtype = "float64"
second_order = {second}
accuracy = "{accuracy}"
[input]
shape = {shape}
{layers}
[[layers]]
type = "flatten"
[[layers]]
type = "dense"
name = "top"
units = 3
[loss]
type = "softmax_cross_entropy"
[optimizer]
type = "adam"
"""
BLOCKS = {
    "dense": ([6], "type = 'dense'\nunits = 6\nactivation = 'tanh'"),
    "relu": ([6], "type = 'dense'\nunits = 6\nactivation = 'relu'\nbias = false"),
    "activation alone": ([6], "type = 'prelu'"),
    "layer norm": ([6], "type = 'layer_norm'"),
    "batch norm": ([6], "type = 'batch_norm'"),
    "convolution": (
        [5, 5, 2],
        "type = 'conv2d'\nfilters = 2\nkernel_size = 3\npadding = 'same'\nactivation = 'relu'",
    ),
    "pooling": ([5, 5, 2], "type = 'max_pool2d'\npool_size = 3\nstride = 1\npadding = 1"),
    "transformer block": ([5, 4], "type = 'transformer_block'\nheads = 2\nhidden = 8"),
}


def text(layers, shape, second=False, accuracy="training"):
    second = str(second).lower()
    return SPEC.format(layers=layers, shape=shape, second=second, accuracy=accuracy)


def pair(block, **options):
    """The network with a block that is repeated, and with one written out."""
    shape, fields = BLOCKS[block]
    name = "[[layers]]\nname = 'block{}'\n"
    once = name.format("") + f"repeat = {REPEAT}\n{fields}"
    each = "\n".join(name.format(f"_{k}") + fields for k in range(REPEAT))
    return text(once, shape, **options), text(each, shape, **options)


def drawn(net, seed=0):
    """Parameters and states that differ from layer to layer."""
    draw = np.random.default_rng(seed)
    params = {n: draw.normal(size=a.shape) / 2 for n, a in net.init(seed=0).items()}
    return params | {n: draw.uniform(0.5, 1.5, params[n].shape) for n in net.STATES}


def unstacked(stacked, names):
    """The arrays under the names of the network that is written out."""
    found = {}
    for name in names:
        layer, _, tensor = name.partition(".")
        base, _, number = layer.rpartition("_")
        own = next((n for n in (f"{base}.{tensor}", f"{base}_1.{tensor}") if n in stacked), None)
        found[name] = stacked[own][int(number) - (base != "block")] if own else stacked[name]
    return found


def batch(shape, samples=4, seed=1):
    draw = np.random.default_rng(seed)
    return draw.normal(size=(samples, *shape)), draw.integers(0, 3, samples)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("accuracy", ["training", "exact"])
@pytest.mark.parametrize("block", BLOCKS)
def test_it_computes_what_the_layers_one_by_one_compute(block, accuracy):
    net, each = (compiled(t) for t in pair(block, accuracy=accuracy))
    params = drawn(net)
    parted = unstacked(params, each.init(seed=0))
    x, y = batch(BLOCKS[block][0])
    close(net.forward(params, x), each.forward(parted, x))
    value, gradients = net.value_and_grad(params, x, y)
    expected_value, expected = each.value_and_grad(parted, x, y)
    close(value, expected_value)
    for name, g in unstacked(gradients, expected).items():
        close(g, expected[name])
    close(net.input_grad(params, x, y), each.input_grad(parted, x, y))
    if block != "batch norm":
        for name, g in net.per_sample_grad(params, x, y).items():
            close(g.mean(axis=0), gradients[name])


@pytest.mark.parametrize("block", ["dense", "layer norm"])
def test_second_derivatives(block):
    net, each = (compiled(t) for t in pair(block, second=True))
    params, direction = drawn(net), drawn(net, seed=2)
    x, y = batch(BLOCKS[block][0])
    names = each.init(seed=0)
    expected = each.hvp(unstacked(params, names), unstacked(direction, names), x, y)
    for name, product in unstacked(net.hvp(params, direction, x, y), expected).items():
        close(product, expected[name])


def test_states_are_renewed_layer_by_layer():
    net, each = (compiled(t) for t in pair("batch norm"))
    x, y = batch([6], samples=16)
    model, other = net.Model(seed=0), each.Model(seed=0)
    params = drawn(net)
    for name, a in params.items():
        model.params[name][...] = a
    for name, a in unstacked(params, other.params).items():
        other.params[name][...] = a
    for _ in range(3):
        close(model.train_step(x, y), other.train_step(x, y))
    for name, a in unstacked(model.params, other.params).items():
        close(a, other.params[name])
    close(model.predict(x), other.predict(x))


def test_each_layer_draws_for_itself():
    spec = text("[[layers]]\ntype = 'dropout'\nrate = 0.5\nrepeat = 4", [200])
    assert "_empty((N, 4, 200), dtype)" in source(spec)  # behind the batch, which threads share
    net = compiled(spec)
    x, y = np.ones((64, 200)), np.zeros(64, int)
    params = net.init(seed=0)
    params["top.W"][...], params["top.b"][...] = 1, 0
    assert set(np.unique(net.forward(params, x))) == {200.0}
    params["top.W"][:, 0] = 0  # so that the cotangent of what is left is the same everywhere
    kept = net.input_grad(params, x, y, seed=1) != 0
    # An element is left with the probability 1/2**4: four draws, each for itself.
    assert 0.05 < kept.mean() < 0.075


def test_layers_that_share_their_parameters():
    dense = "[[layers]]\ntype = 'dense'\nunits = 6\nactivation = 'tanh'\n"
    shared = dense + "share = 'dense_1'\n"
    net = compiled(text(dense + shared + "repeat = 3\n", [6]))
    each = compiled(text(dense + shared * 3, [6]))
    params, (x, y) = drawn(net), batch([6])
    assert params["dense_1.W"].shape == (6, 6)
    value, gradients = net.value_and_grad(params, x, y)
    expected_value, expected = each.value_and_grad(params, x, y)
    close(value, expected_value)
    for name, g in gradients.items():
        close(g, expected[name])


def test_a_layer_with_a_second_input():
    """What is not repeated is the same for every layer."""
    layers = (
        "[[layers]]\nname = 'skip'\ntype = 'dense'\nunits = 6\n"
        "[[layers]]\nname = 'h'\ntype = 'dense'\nunits = 6\nactivation = 'tanh'\n"
        "[[layers]]\ntype = 'multiply'\ninputs = ['h', 'skip']\nrepeat = {}\n"
    )
    layers = layers.replace("'h'\ntype", "'h'\ninputs = ['input']\ntype")
    net = compiled(text(layers.format(3), [6]))
    params, (x, _) = drawn(net), batch([6])
    h = np.tanh(x @ params["h.W"] + params["h.b"])
    skip = x @ params["skip.W"] + params["skip.b"]
    expected = (h * skip**3) @ params["top.W"] + params["top.b"]
    close(net.forward(params, x), expected)


def test_the_first_values_are_those_of_single_layers():
    fields = "type = 'dense'\nunits = 40\nrepeat = 5\n"
    net = compiled(text("[[layers]]\n" + fields, [40]))
    W = net.init(seed=0)["dense_1.W"]
    limit = np.sqrt(6 / 80)  # glorot_uniform, of one matrix
    assert W.shape == (5, 40, 40)
    assert 0.95 * limit < abs(W).max() <= limit
    own = (
        "[define.layer.turned]\ninput = 'x[n,i]'\nsizes = { j = 'units' }\n"
        "parameters.W = { indices = 'i,j', init = 'orthogonal' }\n"
        "forward = 'z[n,j] = sum[i](x[n,i]*W[i,j])'\n"
    )
    net = compiled(text(own + "[[layers]]\n" + fields.replace("dense", "turned"), [40]))
    turned = net.init(seed=0)["turned_1.W"]
    assert turned.shape == (5, 40, 40)
    for w in turned:
        np.testing.assert_allclose(w @ w.T, np.eye(40), atol=1e-12)


def test_the_first_kernels_are_those_of_single_layers():
    """Each of the repeated matrices has the axes of its layer's own parameter."""
    own = (
        "[define.layer.mixed]\ninput = 'x[n,p,i]'\nsizes = { j = 'units', k = '2' }\n"
        "parameters.W = { indices = 'k,i,j', init = 'orthogonal' }\n"
        "forward = 'z[n,p,j] = sum[k,i](x[n,p,i]*W[k,i,j])'\n"
    )
    layer = "[[layers]]\ntype = 'mixed'\nunits = 4\nrepeat = 3\n"
    W = compiled(text(own + layer, [5, 4])).init(seed=0)["mixed_1.W"]
    assert W.shape == (3, 2, 4, 4)
    for w in W.reshape(3, 8, 4):
        np.testing.assert_allclose(w.T @ w, np.eye(4), atol=1e-12)


def test_a_deep_network_is_derived_as_a_shallow_one():
    """The equations are as many; the texts differ in numbers."""
    block = "[[layers]]\ntype = 'dense'\nunits = 6\nactivation = 'tanh'\nrepeat = {}\n"
    shallow, deep = (text(block.format(n), [6]) for n in (1000, 2000))
    equations = [len(derived(t).derivatives.gradients.equations) for t in (shallow, deep)]
    assert equations[0] == equations[1]
    digits = [re.sub(r"[\d,.]+", "0", source(t)) for t in (shallow, deep)]
    assert len(digits[0].split("\n")) == len(digits[1].split("\n"))
    value, _ = compiled(deep).value_and_grad(compiled(deep).init(seed=0), *batch([6]))
    assert np.isfinite(value)


def test_statistics_are_compact_in_a_repeated_layer_too():
    once, _ = pair("layer norm")
    found = {e.target: str(e) for e in derived(once).derivatives.gradients.equations}
    assert found["y_1_back"] == (
        "y_1_back[l,n,d] = (x_hat_1_bar[l,n,d] - mean[d_1](x_hat_1_bar[l,n,d_1]) - "
        "mean[d_1](x_hat_1[l,n,d_1]*x_hat_1_bar[l,n,d_1])*x_hat_1[l,n,d])/sd_1[l,n]"
    )


@pytest.mark.parametrize("block", ["dense", "layer norm", "transformer block"])
def test_every_statement_cites(block):
    once, _ = pair(block)
    found = files(once)
    assert shown(found["deep.py"]) == []
    assert cited(found["deep.py"]) <= numbered(found["deep.tex"])


def test_it_is_the_last_layer():
    """The network's output is that of the last of the repeated layers."""
    layers = "[[layers]]\ntype = 'dense'\nunits = 3\nrepeat = 4\n"
    spec = text(layers, [3]).partition("[[layers]]\ntype = 'flatten'".replace("'", '"'))
    net = compiled(spec[0] + "[loss]" + spec[2].partition("[loss]")[2])
    params, (x, _) = drawn(net), batch([3])
    expected = x
    for W, b in zip(params["dense_1.W"], params["dense_1.b"], strict=True):
        expected = expected @ W + b
    close(net.forward(params, x), expected)


@pytest.mark.parametrize(
    ("layers", "shape", "words"),
    [
        ("type = 'dense'\nunits = 5\nrepeat = 2", [6], r"dense_1, of shape \(5,\).*input.*\(6,\)"),
        (
            "type = 'gru'\nunits = 4\nreturn_sequences = true\nrepeat = 2",
            [5, 4],
            "recurrence of its own",
        ),
        (
            "type = 'batch_norm'\n[[layers]]\n"
            "type = 'batch_norm'\nshare = 'batch_norm_1'\nrepeat = 2",
            [6],
            "batch_norm_1.running_mean is shared; a state cannot be renewed 2 times",
        ),
        ("type = 'dense'\nunits = 6\nrepeat = 0", [6], "repeat must be an integer above 0"),
        ("type = 'dense'\nunits = 6\nrepeat = 'two'", [6], "repeat must be an integer above 0"),
    ],
)
def test_what_cannot_be_repeated(layers, shape, words):
    with pytest.raises(DeriveError, match=words) as caught:
        derived(text("[[layers]]\n" + layers, shape))
    assert "network.toml:" in str(caught.value)


def test_a_layer_within_a_definition_is_not_repeated_alone():
    layers = (
        "[define.layer.double]\ninput = 'x[n,i]'\n"
        "[[define.layer.double.layers]]\ntype = 'dense'\nunits = 6\nrepeat = 2\n"
        "[[layers]]\ntype = 'double'\n"
    )
    with pytest.raises(DeriveError, match="repeat the layer that is defined"):
        derived(text(layers, [6]))
