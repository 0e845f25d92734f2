"""A network spec as a list of layers with their shapes: what every peer is built from.

    [[layers]] type = "dense" units = 8 activation = "relu"
    ->  Layer("dense_1", "dense", ("input",), {"units": 8}, (8,))
        Layer("relu_1", "relu", ("dense_1",), {}, (8,))

It is read here a second time, without the compiler, so that the peers compute what the spec says
and not what the compiler made of it.
"""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Layer:
    """A layer, the layers that it reads, and the shape of what it gives, batch axis left out."""

    name: str
    type: str
    inputs: tuple[str, ...]
    fields: Mapping[str, Any]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """The layers in order; the shape of the input, and its vocabulary where it holds tokens."""

    layers: tuple[Layer, ...]
    input: tuple[int, ...]
    vocabulary: int | None

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a layer's output, or of the input."""
        return self.input if name == "input" else self.layer(name).shape

    def layer(self, name: str) -> Layer:
        """The layer of that name."""
        (found,) = (layer for layer in self.layers if layer.name == name)
        return found


def read(path: Path) -> Network:
    """The network of a spec."""
    spec = tomllib.loads(path.read_text(encoding="utf-8"))
    shape, vocabulary = tuple(spec["input"]["shape"]), spec["input"].get("vocabulary")
    shapes, seen, before = {"input": shape}, Counter[str](), "input"
    activated = {"input": "input"}  # the name of a layer -> that of what others read of it
    layers: list[Layer] = []

    def append(name: str | None, type: str, inputs: tuple[str, ...], fields: dict) -> str:
        seen[type] += 1
        name = name or f"{type}_{seen[type]}"
        shapes[name] = _shape(type, fields, *(shapes[read] for read in inputs))
        layers.append(Layer(name, type, inputs, fields, shapes[name]))
        return name

    for table in spec["layers"]:
        fields = {k: v for k, v in table.items() if k not in ("name", "type", "inputs")}
        activation = fields.pop("activation", None)
        inputs = tuple(activated[name] for name in table["inputs"]) if "inputs" in table else None
        name = append(table.get("name"), table["type"], inputs or (before,), fields)
        before = append(None, activation, (name,), {}) if activation else name
        activated[name] = activated[before] = before
    return Network(tuple(layers), shape, vocabulary)


def _shape(type: str, fields: Mapping[str, Any], *inputs: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that a layer gives; one that is not named here keeps that of its input."""
    shape = inputs[0]
    if type == "dense":
        return (*shape[:-1], fields["units"])
    if type == "conv2d":
        lost = 0 if fields.get("padding") == "same" else fields["kernel_size"] - 1
        return (shape[0] - lost, shape[1] - lost, fields["filters"])
    if type == "max_pool2d":
        return (shape[0] // fields["pool_size"], shape[1] // fields["pool_size"], shape[2])
    if type in ("lstm", "gru"):
        return (fields["units"],)
    if type == "flatten":
        return (math.prod(shape),)
    if type in ("global_avg_pool2d", "mean_over_time"):
        return shape[-1:]
    if type == "embedding":
        return (*shape, fields["dim"])
    return shape


def run(network: Network, functions: Mapping[str, Callable], params: Mapping, x: Any) -> Any:
    """The output of the last layer; each type of layer is a `function(p, fields, *inputs)`.

    `p` holds the parameters of the layer, by their names within it.
    """
    values = {"input": x}
    for layer in network.layers:
        inputs = (values[name] for name in layer.inputs)
        values[layer.name] = functions[layer.type](own(params, layer), layer.fields, *inputs)
    return values[network.layers[-1].name]


def own(params: Mapping[str, Any], layer: Layer) -> dict[str, Any]:
    """{"W": array, ...}: the parameters of one layer among all."""
    start = layer.name + "."
    return {name.removeprefix(start): params[name] for name in params if name.startswith(start)}
