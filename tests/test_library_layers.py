"""Every layer of the library: against PyTorch, if it is there, and central differences."""

import numpy as np
import pytest
from library_accuracy import measured
from library_configurations import LAYERS, network, torch
from networks import compiled

from derive.library.definitions import library


@pytest.mark.parametrize("configuration", LAYERS, ids=lambda c: c.name)
def test_layer(configuration):
    errors = measured(configuration, torch)
    assert not errors.fault, errors.fault
    for error in (errors.value, errors.parameters, errors.input):
        assert error is None or error < 1e-10


def test_every_layer_with_numbers_to_get_right_is_compared():
    shapes = {"flatten", "reshape", "permute", "concat", "add", "multiply", "subtract", "last_step"}
    drawn = {"dropout", "gaussian_noise"}
    known = {d.name for d in library().entries.values() if d.kind == "layer"}
    assert known == {c.entry for c in LAYERS} | shapes | drawn


PARAMETERS = [
    ({"type": "dense", "units": 3}, [4], {"W": (4, 3), "b": (3,)}),
    ({"type": "bilinear", "units": 3}, [4], {"W": (4, 4, 3), "b": (3,)}),
    ({"type": "maxout", "units": 3, "pieces": 2}, [4], {"W": (4, 3, 2), "b": (3, 2)}),
    (
        {"type": "conv1d", "filters": 6, "kernel_size": 3, "groups": 2},
        [8, 4],
        {"W": (3, 2, 6), "b": (6,)},
    ),
    (
        {"type": "conv2d", "filters": 6, "kernel_size": [3, 2]},
        [8, 8, 4],
        {"W": (3, 2, 4, 6), "b": (6,)},
    ),
    (
        {"type": "depthwise_conv2d", "kernel_size": [3, 2]},
        [8, 8, 4],
        {"W": (3, 2, 4), "b": (4,)},
    ),
    (
        {"type": "conv2d_transpose", "filters": 6, "kernel_size": [3, 2]},
        [8, 8, 4],
        {"W": (3, 2, 6, 4), "b": (6,)},
    ),
    ({"type": "layer_norm"}, [5, 4], {"gamma": (4,), "beta": (4,)}),
    ({"type": "group_norm", "groups": 2}, [5, 5, 4], {"gamma": (4,), "beta": (4,)}),
    ({"type": "rms_norm"}, [5, 4], {"gamma": (4,)}),
    ({"type": "instance_norm"}, [5, 5, 4], {}),
    ({"type": "l2_normalize"}, [4], {}),
    ({"type": "positional_embedding", "length": 7}, [5, 4], {"P": (7, 4)}),
    ({"type": "rnn", "units": 3}, [5, 4], {"W": (4, 3), "U": (3, 3), "b": (3,)}),
    ({"type": "lstm", "units": 3}, [5, 4], {"W": (4, 12), "U": (3, 12), "b": (12,)}),
    ({"type": "gru", "units": 3}, [5, 4], {"W": (4, 9), "U": (3, 9), "b": (9,), "c": (9,)}),
    (
        {"type": "transformer_block", "heads": 2, "hidden": 7},
        [5, 4],
        {
            "gamma_1": (4,),
            "beta_1": (4,),
            **{f"W_{p}": (4, 2, 2) for p in "qkv"},
            **{f"b_{p}": (2, 2) for p in "qkv"},
            "W_o": (2, 2, 4),
            "b_o": (4,),
            "gamma_2": (4,),
            "beta_2": (4,),
            "W_1": (4, 7),
            "b_1": (7,),
            "W_2": (7, 4),
            "b_2": (4,),
        },
    ),
]


@pytest.mark.parametrize("fields, shape, expected", PARAMETERS, ids=lambda v: str(v)[:40])
def test_parameters_have_these_names_and_shapes(fields, shape, expected):
    net = compiled(network([fields], shape))
    found = {name.split(".")[1]: shape for name, shape in net.PARAMETERS.items()}
    assert found == expected


def test_batch_norm_answers_with_the_averages_of_its_training():
    text = network([{"type": "batch_norm", "momentum": 0.8}], [3])
    model = compiled(text).Model(seed=0)
    rng = np.random.default_rng(0)
    mean, variance = np.zeros(3), np.ones(3)
    for _ in range(3):
        x = rng.normal(2.0, 3.0, (16, 3))
        model.train_step(x, rng.normal(size=(16, 3)))
        mean = 0.8 * mean + 0.2 * x.mean(0)
        variance = 0.8 * variance + 0.2 * x.var(0)
    params = model.params
    np.testing.assert_allclose(params["batch_norm_1.running_mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(params["batch_norm_1.running_var"], variance, rtol=1e-12)
    x_hat = (x - mean) / np.sqrt(variance + 1e-5)
    expected = params["batch_norm_1.gamma"] * x_hat + params["batch_norm_1.beta"]
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-12)


WRONG = [
    ({"type": "conv1d", "filters": 4, "kernel_size": 9}, [8, 2], "nothing is left"),
    ({"type": "conv1d", "filters": 4, "kernel_size": 2, "groups": 3}, [8, 4], "C / groups"),
    ({"type": "conv2d", "filters": 4, "kernel_size": 2, "padding": "full"}, [8, 8, 4], "padding"),
    ({"type": "multi_head_attention", "heads": 3}, [5, 4], "D / heads"),
    ({"type": "positional_embedding", "length": 3}, [5, 4], "P"),
    ({"type": "lstm", "units": 3}, [4], "lstm takes x[n,t,d]"),
]


@pytest.mark.parametrize("fields, shape, message", WRONG, ids=lambda v: str(v)[:40])
def test_what_does_not_fit_is_an_error(fields, shape, message):
    with pytest.raises(ValueError) as error:
        compiled(network([fields], shape))
    assert message in str(error.value)
