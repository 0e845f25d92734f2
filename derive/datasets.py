"""Data to train the examples on: real data that is at hand offline, or honest draws.

    digits, wine, iris, breast_cancer, diabetes    scikit-learn's, a quarter of them held out
    wine_pairs    pairs of wines; 1 where both are of one cultivar
    first_a       random strings with an `a`; the place of the first one
    text          Python's own documentation, a character at a time; the character that follows

Every set is drawn and split by fixed seeds, and given in the shapes that a network expects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pydoc_data.topics import topics
from typing import Any, NamedTuple

import numpy as np

from derive.language.notation import DeriveError

TABLES = ("breast_cancer", "diabetes", "digits", "iris", "wine")
NAMES = (*TABLES, "first_a", "text", "wine_pairs")


class Data(NamedTuple):
    """Inputs and targets, those of training and those held out, and what is known about them."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    remark: str = ""


def load(name: str, wanted: Mapping[str, Any], target: Mapping[str, Any]) -> Data:
    """The data set for a network whose module describes its input and target so.

    Raises `DeriveError` where scikit-learn is needed and missing, or where the network is of
    another kind than the data.
    """
    shape = wanted["axes"][1:]
    if name in ("first_a", "text") and (len(shape) != 1 or wanted["below"] is None):
        raise DeriveError(f"{name} is made of characters: the network's input must be tokens")
    match name:
        case "first_a":
            return first_a(shape[0], wanted["below"])
        case "text":
            return text(shape[0], wanted["below"])
        case "wine_pairs":
            return wine_pairs()
    data = table(name, "f" if target["below"] is None else "i")
    x, x_test = (
        x.reshape(-1, *shape) if np.prod(shape) == x[0].size else x for x in (data.x, data.x_test)
    )
    return data._replace(x=x, x_test=x_test)


def table(name: str, kind: str = "i") -> Data:
    """A set of scikit-learn, shuffled, a quarter held out, standardized by the rest.

    Columns are standardized one by one; pixels, which are all of one unit, together.
    """
    try:
        from sklearn import datasets
    except ModuleNotFoundError:
        raise DeriveError(
            "the data comes with scikit-learn, which is missing: pip install scikit-learn"
        ) from None
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    test, training = np.split(order, [len(x) // 4])
    x = _standardized(x, training, None if name == "digits" else 0)
    if y.dtype.kind == "f":
        y = _standardized(y, training, 0)
    return Data(x[training], y[training], x[test], y[test])


def _standardized(values: np.ndarray, training: np.ndarray, axis: int | None) -> np.ndarray:
    mean, deviation = values[training].mean(axis), values[training].std(axis)
    return (values - mean) / np.where(deviation == 0, 1, deviation)


def wine_pairs(train: int = 4000, test: int = 1000) -> Data:
    """Pairs of wines, [n,2,13]; half of them of one cultivar (1). No wine is in both parts."""
    data = table("wine")
    rng = np.random.default_rng(0)
    pairs = (_pairs(data.x, data.y, train, rng), _pairs(data.x_test, data.y_test, test, rng))
    (x, y), (x_test, y_test) = pairs
    return Data(x, y, x_test, y_test)


def _pairs(
    x: np.ndarray, y: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    first, same = rng.integers(0, len(x), count), rng.random(count) < 0.5
    second = np.array(
        [rng.choice(np.flatnonzero((y == y[k]) == s)) for k, s in zip(first, same, strict=True)]
    )
    return np.stack([x[first], x[second]], axis=1), same.astype(float)


def first_a(length: int, letters: int, train: int = 8000, test: int = 2000) -> Data:
    """Strings of that length over `letters` letters, `a` being 0, and where the first `a` stands.

    The place is uniform; before it stand other letters, behind it any.
    """
    rng = np.random.default_rng(0)
    count = train + test
    place = rng.integers(0, length, count)
    before = rng.integers(1, letters, (count, length))
    behind = rng.integers(0, letters, (count, length))
    at = np.arange(length)
    x = np.where(at < place[:, None], before, behind)
    x[np.arange(count), place] = 0
    return Data(x[:train], place[:train], x[train:], place[train:])


def text(length: int, vocabulary: int) -> Data:
    """Windows of Python's documentation, [n,length], and for each character the one that follows.

    The last tenth of the text is held out. The characters are the most frequent ones of the rest;
    the last id stands for all others. The remark gives the entropy of the held-out characters under
    the bigram frequencies of the rest (one added to each count), in nats.
    """
    whole = "\n".join(topics[name] for name in sorted(topics))
    cut = len(whole) * 9 // 10
    frequent = [c for c, _ in Counter(whole[:cut]).most_common(vocabulary - 1)]
    number = {c: k for k, c in enumerate(frequent)}
    ids = np.array([number.get(c, vocabulary - 1) for c in whole])
    counts = np.ones((vocabulary, vocabulary))
    np.add.at(counts, (ids[: cut - 1], ids[1:cut]), 1)
    surprise = -np.log(counts / counts.sum(1, keepdims=True))
    entropy = surprise[ids[cut:-1], ids[cut + 1 :]].mean()
    x, y = _windows(ids[:cut], length)
    x_test, y_test = _windows(ids[cut:], length)
    remark = f"the bigrams of the text have an entropy of {entropy:.4f} nats a character"
    return Data(x, y, x_test, y_test, remark)


def _windows(ids: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    count = (len(ids) - 1) // length
    return (
        ids[: count * length].reshape(count, length),
        ids[1 : count * length + 1].reshape(count, length),
    )
