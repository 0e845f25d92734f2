"""Every loss of the library: against PyTorch, if it is there, and central differences."""

import numpy as np
import pytest
from library_accuracy import measured
from library_configurations import LOSSES, network, table, torch
from networks import compiled

from derive.library.definitions import library


@pytest.mark.parametrize("configuration", LOSSES, ids=lambda c: c.name)
def test_loss(configuration):
    errors = measured(configuration, torch)
    assert not errors.fault, errors.fault
    for error in (errors.value, errors.parameters, errors.input):
        assert error is None or error < 1e-10


def test_every_loss_is_compared():
    known = {d.name for d in library().entries.values() if d.kind == "loss"}
    assert known == {c.entry for c in LOSSES}


IDENTITY = """
[define.layer.same]
input = "x[...]"
forward = "z[...] = 1*x[...]"
"""
EXTREME = [
    ("log_cosh", [[1e3, -1e3]], [[0.0, 0.0]], 1e3 - np.log(2)),
    ("focal", [[1e3, 0.0]], [0], 0.0),
    ("focal", [[1e3, 0.0]], [1], 1e3),
    ("kl_divergence", [[-1.0, -2.0]], [[0.0, 1.0]], 2.0),
    ("cosine_similarity", [[0.0, 0.0]], [[1.0, 2.0]], 1.0),
    ("contrastive", [[[1.0, 2.0], [1.0, 2.0]]], [1.0], 0.0),
]


@pytest.mark.parametrize("kind, z, y, expected", EXTREME)
@pytest.mark.filterwarnings("error")
def test_a_loss_is_finite_where_it_is_extreme(kind, z, y, expected):
    z, y = np.array(z), np.array(y)
    net = compiled(
        network([{"type": "same"}], z.shape[1:], table("loss", {"type": kind}) + IDENTITY)
    )
    value, _ = net.value_and_grad({}, z, y)
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9)
    assert np.isfinite(net.input_grad({}, z, y)).all()


def test_a_mean_over_targets_that_are_all_ignored_is_zero():
    loss = table("loss", {"type": "softmax_cross_entropy", "ignore_index": 0})
    net = compiled(network([{"type": "same"}], [3], loss + IDENTITY))
    z, y = np.ones((2, 3)), np.zeros(2, int)
    assert net.value_and_grad({}, z, y)[0] == 0
    assert (net.input_grad({}, z, y) == 0).all()


@pytest.mark.parametrize("weights", [[], [1.0, 2.0, 0.5]])
def test_the_class_that_is_ignored_need_be_none(weights):
    loss = {"type": "softmax_cross_entropy", "ignore_index": -100, "class_weight": weights}
    net = compiled(network([{"type": "same"}], [2, 3], table("loss", loss) + IDENTITY))
    z, y = np.zeros((2, 2, 3)), np.array([[0, -100], [-100, 2]])
    assert net.value_and_grad({}, z, y)[0] == pytest.approx(np.log(3))
    assert (net.input_grad({}, z, y)[y == -100] == 0).all()
