"""The data sets of the examples: shapes, seeds, and that nothing held out is trained on."""

import numpy as np
import pytest

from derive import __main__, datasets
from derive.language.notation import DeriveError

TOKENS = {"axes": ("N", 20), "below": 26}
CLASSES = {"axes": ("N",), "below": 20}


def test_the_command_offers_every_set():
    assert tuple(sorted(datasets.NAMES)) == __main__.DATA


def test_first_a_is_where_the_target_says():
    data = datasets.load("first_a", TOKENS, CLASSES)
    for x, y in ((data.x, data.y), (data.x_test, data.y_test)):
        assert (np.argmax(x == 0, axis=1) == y).all()
        assert (x.min(), x.max()) == (0, 25)
    assert np.unique(data.y).size == 20


def test_the_text_is_followed_character_by_character():
    data = datasets.load("text", {"axes": ("N", 32), "below": 60}, CLASSES)
    x, y = data.x, data.y
    assert x.shape == y.shape and x.shape[1] == 32 and x.max() < 60
    np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
    np.testing.assert_array_equal(x[1:, 0], y[:-1, -1])
    assert "nats" in data.remark


def test_no_wine_is_in_both_parts():
    pytest.importorskip("sklearn")
    data = datasets.load("wine_pairs", {"axes": ("N", 2, 13), "below": None}, CLASSES)
    known, held_out = ({row.tobytes() for row in x.reshape(-1, 13)} for x in (data.x, data.x_test))
    assert not known & held_out
    assert 0.45 < data.y.mean() < 0.55


def test_an_image_is_given_in_the_shape_that_the_network_expects():
    pytest.importorskip("sklearn")
    data = datasets.load("digits", {"axes": ("N", 8, 8, 1), "below": None}, {"below": 10})
    assert data.x.shape[1:] == data.x_test.shape[1:] == (8, 8, 1)


def test_characters_need_tokens():
    with pytest.raises(DeriveError, match="tokens"):
        datasets.load("text", {"axes": ("N", 8, 8, 1), "below": None}, CLASSES)
