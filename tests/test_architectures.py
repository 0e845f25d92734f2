"""Networks composed at random of entries of the library: gradients against central differences.

A network grows from its input: each layer reads a value that is there already, of which a rank
allows some layers and not others. Two values of one shape may be added, of one but for the last
axis joined; a dense layer may share the parameters of another.
"""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from library_configurations import table
from networks import compiled

from derive.checks import compare
from derive.library.toml_positions import parse
from derive.networks.network import compose
from derive.networks.spec import interpret

EXAMPLES = int(os.environ.get("DERIVE_RANDOM_NETWORKS", "10"))

INPUTS = [
    {"shape": [5]},
    {"shape": [4, 3]},
    {"shape": [3, 4]},
    {"shape": [5, 4, 2]},
    {"shape": [4, 4, 2]},
    {"shape": [4], "dtype": "int64", "vocabulary": 6},
]
SMOOTH = ["tanh", "sigmoid", "softplus", "gelu", "silu", "mish", "elu", "softsign", "relu"]
ACTIVATIONS = [{"type": name} for name in [*SMOOTH, "prelu", "softmax", "log_softmax"]]
ANYWHERE = [
    {"type": "dense", "units": 3},
    {"type": "dense", "units": 4, "bias": False, "activation": "tanh"},
    {"type": "layer_norm"},
    {"type": "rms_norm"},
    {"type": "l2_normalize"},
    {"type": "batch_norm"},
    {"type": "flatten"},
]
RECURRENT = [
    {"type": kind, "units": 3, "return_sequences": sequences, "reverse": reverse}
    for kind in ("rnn", "lstm", "gru")
    for sequences in (False, True)
    for reverse in (False, True)
]
BY_RANK = {
    1: [
        {"type": "bilinear", "units": 3},
        {"type": "maxout", "units": 3, "pieces": 2},
    ],
    2: [
        *RECURRENT,
        {"type": "conv1d", "filters": 4, "kernel_size": 2},
        {"type": "conv1d", "filters": 3, "kernel_size": 3, "padding": "same", "stride": 2},
        {"type": "max_pool1d", "pool_size": 2},
        {"type": "avg_pool1d", "pool_size": 2, "stride": 1},
        {"type": "positional_embedding", "length": 6},
        {"type": "multi_head_attention", "heads": 1, "causal": True},
        {"type": "multi_head_attention", "heads": 2},
        {"type": "transformer_block", "heads": 1, "hidden": 4, "causal": True},
        {"type": "last_step"},
        {"type": "permute", "axes": [1, 0]},
    ],
    3: [
        {"type": "conv2d", "filters": 2, "kernel_size": 2},
        {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same"},
        {"type": "conv2d", "filters": 2, "kernel_size": 3, "padding": 1, "stride": 2},
        {"type": "conv2d", "filters": 2, "kernel_size": [1, 2], "groups": 2},
        {"type": "depthwise_conv2d", "kernel_size": 2, "padding": "same"},
        {"type": "conv2d_transpose", "filters": 2, "kernel_size": 2, "stride": 2, "padding": 1},
        {"type": "max_pool2d", "pool_size": 2},
        {"type": "avg_pool2d", "pool_size": 2, "stride": 1},
        {"type": "global_avg_pool2d"},
        {"type": "global_max_pool2d"},
        {"type": "upsample2d", "factor": [1, 2]},
        {"type": "group_norm", "groups": 2},
        {"type": "instance_norm"},
        {"type": "permute", "axes": [1, 0, 2]},
    ],
}
LARGEST = 60  # elements of a value


def spec(given, layers, loss):
    body = "".join(table("[layers]", layer) for layer in layers)
    head = 'name = "net"\ndtype = "float64"\n' + table("input", given)
    return head + body + table("loss", {"type": loss})


def shape_of(given, layers):
    """The shape of the last layer's output; None where the layer does not fit."""
    try:
        return compose(interpret(parse(spec(given, layers, "mse"), "net.toml"))).layers[-1].shape
    except ValueError:
        return None


@st.composite
def networks(draw):
    given_ = draw(st.sampled_from(INPUTS))
    layers, shapes = [], {"input": tuple(given_["shape"])}
    if "vocabulary" in given_:
        layers.append({"name": "table", "type": "embedding", "vocabulary": 6, "dim": 4})
        shapes = {"table": shape_of(given_, layers)}
    last = list(shapes)[-1]
    for number in range(draw(st.integers(1, 5))):
        layer = draw(_layer(layers, shapes, last))
        layer = {"name": f"layer_{number}", **layer}
        shape = shape_of(given_, [*layers, layer])
        if shape is None or np.prod(shape) > LARGEST:
            continue
        layers.append(layer)
        last = layer["name"]
        shapes[last] = shape
    if not layers:
        layers.append({"type": "dense", "units": 2})
        shapes["dense_1"] = shape_of(given_, layers)
        last = "dense_1"
    rank, classes = len(shapes[last]), shapes[last][-1]
    losses = ["mse", "huber", "log_cosh", "binary_cross_entropy", "poisson", "cosine_similarity"]
    losses += (
        ["softmax_cross_entropy", "focal", "multiclass_hinge"] if classes > 1 and rank < 3 else []
    )
    return spec(given_, layers, draw(st.sampled_from(losses)))


@st.composite
def _layer(draw, layers, shapes, last):
    """A layer that may fit: most often on what is there last, sometimes on two values."""
    here = shapes[last]
    alike = [name for name, shape in shapes.items() if shape == here and name != last]
    joined = [
        name
        for name, shape in shapes.items()
        if shape[:-1] == here[:-1] and len(here) == len(shape)
    ]
    dense = [layer for layer in layers if layer["type"] == "dense" and "share" not in layer]
    kind = draw(st.sampled_from(["one"] * 6 + ["two", "two", "join", "share", "attention"]))
    if kind == "two" and alike:
        other = draw(st.sampled_from(alike))
        operation = draw(st.sampled_from(["add", "multiply", "subtract"]))
        return {"type": operation, "inputs": [last, other]}
    if kind == "join" and joined:
        return {"type": "concat", "axis": -1, "inputs": [draw(st.sampled_from(joined)), last]}
    if kind == "share" and dense:
        shared = draw(st.sampled_from(dense))
        fields = {k: v for k, v in shared.items() if k in ("type", "units", "bias")}
        return {**fields, "share": shared["name"], "inputs": [last]}
    if kind == "attention" and len(here) == 2:
        return {"type": "attention", "inputs": [last] * 3, "causal": draw(st.booleans())}
    source = draw(st.sampled_from([last, last, *shapes]))
    entries = BY_RANK[len(shapes[source])] * 2 + ANYWHERE + ACTIVATIONS
    return {**draw(st.sampled_from(entries)), "inputs": [source]}


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
@given(networks())
def test_a_network_of_random_layers(text):
    net = compiled(text)
    rng = np.random.default_rng(0)
    params = {k: 0.5 * rng.normal(size=v.shape) for k, v in net.init(0).items()}
    shapes = [
        tuple(2 if isinstance(axis, str) else axis for axis in wanted["axes"])
        for wanted in (net.INPUT, net.TARGET)
    ]
    x, y = (
        rng.uniform(0.1, 0.9, shape)
        if wanted["below"] is None
        else rng.integers(0, wanted["below"], shape)
        for wanted, shape in zip((net.INPUT, net.TARGET), shapes, strict=True)
    )
    found = dict(net.value_and_grad(params, x, y)[1])
    if x.dtype.kind == "f":
        found["x"] = net.input_grad(params, x, y)
    report = compare(
        lambda at: net.value_and_grad({k: at[k] for k in params}, at["x"], y)[0],
        found,
        {**params, "x": x},
        found,
    )
    if not report.ok:
        pytest.fail(f"{text}\n{report}")
