"""Parameters from our layout to that of a peer, and gradients back.

    ours                                    packed                          PyTorch
    attention W_q W_k W_v [d,h,k]           W_qkv [d,3hk]                   [3hk,d]
    dense W [in,out]                        the same                        [out,in]
    conv2d W [kh,kw,in,out]                 the same                        [out,in,kh,kw]
    dense after flatten W [h*w*c,out]       the same                        [out,c*h*w]

Packed is what a person writes in array code: one product for queries, keys and values.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.networks import Network

Arrays = Mapping[str, np.ndarray]


def packed(params: Arrays) -> dict[str, np.ndarray]:
    """W_q, W_k, W_v -> W_qkv, b_q, b_k, b_v -> b_qkv; W_o as a matrix; the others as they are."""
    result = {}
    for name, array in params.items():
        layer, own = name.split(".")
        if own == "W_q":
            three = (params[f"{layer}.W_{of}"].reshape(len(array), -1) for of in "qkv")
            result[f"{layer}.W_qkv"] = np.concatenate([*three], axis=1)
        elif own == "b_q":
            three = (params[f"{layer}.b_{of}"].reshape(-1) for of in "qkv")
            result[f"{layer}.b_qkv"] = np.concatenate([*three])
        elif own == "W_o":
            result[name] = array.reshape(-1, array.shape[-1])
        elif own[:-1] not in ("W_", "b_") or own[-1] not in "kv":
            result[name] = array
    return {name: array.copy() for name, array in result.items()}


def unpacked(gradients: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Gradients of packed parameters, as those of ours, which have these shapes."""
    result = {}
    for name, shape in shapes.items():
        layer, own = name.split(".")
        if own[:-1] in ("W_", "b_") and own[-1] in "qkv":
            three = np.split(np.asarray(gradients[f"{layer}.{own[:-1]}qkv"]), 3, axis=-1)
            result[name] = three["qkv".index(own[-1])].reshape(shape)
        else:
            result[name] = np.asarray(gradients[name]).reshape(shape)
    return result


def to_torch(params: Arrays, network: Network) -> dict[str, np.ndarray]:
    """Packed parameters as PyTorch's functions want them."""
    return {
        name: np.ascontiguousarray(
            array if _table(name) else _to_torch(array, _image(name, network))
        )
        for name, array in params.items()
    }


def from_torch(gradients: Arrays, network: Network) -> dict[str, np.ndarray]:
    """Gradients in PyTorch's layout, as those of packed parameters."""
    return {
        name: array if _table(name) else _from_torch(array, _image(name, network))
        for name, array in gradients.items()
    }


def _table(name: str) -> bool:
    """Whether a parameter is a table of vectors, which has the same axes everywhere."""
    return name.endswith((".E", ".P"))


def _to_torch(array: np.ndarray, image: tuple[int, ...] | None) -> np.ndarray:
    if image:
        h, w, c = image
        array = array.reshape(h, w, c, -1).transpose(2, 0, 1, 3).reshape(h * w * c, -1)
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def _from_torch(array: np.ndarray, image: tuple[int, ...] | None) -> np.ndarray:
    array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
    if image:
        h, w, c = image
        array = array.reshape(c, h, w, -1).transpose(1, 2, 0, 3).reshape(h * w * c, -1)
    return array


def _image(name: str, network: Network) -> tuple[int, ...] | None:
    """The shape of the image whose points the rows of a dense layer's weights stand for."""
    layer = network.layer(name.split(".")[0])
    before = [other for other in network.layers if other.name in layer.inputs]
    if name.endswith(".W") and before and before[0].type == "flatten":
        return network.shape(before[0].inputs[0])
    return None
