"""Arrays as a program reads them: of numbers of one arithmetic, their leading axes one axis.

y[...,j] = x[...,j]**2        x of shape (4, 7, 3) is read as one of shape (28, 3)
"""

from __future__ import annotations

import math

import numpy as np

from derive.language.arithmetic import FLOATS, Arithmetic
from derive.language.notation import ELLIPSIS, DeriveError, Index, Tensor

MERGED = Index(ELLIPSIS).size


def numbers(tensor: Tensor, array: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    """The array in the numbers of an arithmetic, or of integers if the tensor holds integers."""
    kinds = "iu" if tensor.kind == "integer" else "iufbO"
    if array.dtype.kind not in kinds:
        raise DeriveError(f"{tensor.name} must be {tensor.kind}, but its type is {array.dtype}")
    if tensor.kind == "integer":
        return array.astype(np.int64)
    found = np.empty(array.shape, np.float64 if arithmetic is FLOATS else object)
    for place, number in zip(np.ndindex(array.shape), array.ravel().tolist(), strict=True):
        found[place] = arithmetic.real(number)
    return found


def merge(tensor: Tensor, array: np.ndarray, shapes: dict[str, tuple[int, ...]]) -> np.ndarray:
    """The array with the axes that `...` stands for made one; they are noted in `shapes`."""
    rank = len(tensor.axes)
    place = next((k for k, i in enumerate(tensor.axes) if i.size == MERGED), None)
    if array.ndim != rank if place is None else array.ndim < rank - 1:
        raise DeriveError(f"{tensor} has {rank} axes, but the array has shape {array.shape}")
    if place is None:
        return array
    end = place + array.ndim - (rank - 1)
    shapes[tensor.name] = own = array.shape[place:end]
    other, shape = next(iter(shapes.items()))
    if own != shape:
        raise DeriveError(f"{tensor.name} has the leading axes {own}, but {other} has {shape}")
    return array.reshape((*array.shape[:place], math.prod(own), *array.shape[end:]))


def unmerge(array: np.ndarray, indices: tuple[Index, ...], leading: tuple[int, ...]) -> np.ndarray:
    """The array with the leading axes that stand for one of its indices."""
    shape: list[int] = []
    for index, size in zip(indices, array.shape, strict=True):
        shape.extend(leading if index.size == MERGED else (size,))
    return array.reshape(shape)
