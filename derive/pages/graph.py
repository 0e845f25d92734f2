"""A network, or a formula, as a graph: its nodes know the numbers of their equations.

    of_network      a node for each layer, the input, the loss and its target
    of_gradients    a node for each input and each forward equation that is shown

An edge runs from what is read to what reads it; against it flows the cotangent, where there is one.
Every equation that has a number belongs to exactly one node.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from derive.gradients.calculus import CHAIN_RULE, Step
from derive.gradients.derivation import Gradients
from derive.language.notation import ELLIPSIS, Equation, Index, Partial, accesses
from derive.language.scans import reads
from derive.networks.network_parts import Layer, Network
from derive.networks.spec import Spec
from derive.pages.document import Prose

FEWEST = 5  # fewer layers alike in a row are all drawn
LONGEST = 32  # layers in a block that is looked for in a row of them


@dataclass(frozen=True)
class Node:
    """`forward` and `backward` are the numbers of its equations and of those of its cotangents.

    `name` is its own alone; of a layer or a tensor it is the name.
    """

    name: str
    kind: str  # "input", "target", "layer", "dots", "loss"; "operand", "equation", "result", "seed"
    details: tuple[Prose, ...] = ()  # lines below the name
    shape: str = ""  # "N × 128"
    tensor: str = ""  # whose shape that is, where the node does not bear its name
    forward: tuple[int, ...] = ()
    backward: tuple[int, ...] = ()
    heading: str = ""  # what it is called, if not by its name
    formula: str = ""  # the right side of its equation
    note: str = ""  # more to say of it than all these


@dataclass(frozen=True)
class Edge:
    """`tail` is read by `head`; where `recurrent`, at another step: `head` comes no later then.

    Where `backward`, a cotangent flows from head to tail; `number` is that of the tail's cotangent,
    0 where that has no equation of its own. A cotangent that is given is no `forward` edge.
    """

    tail: str
    head: str
    forward: bool = True
    backward: bool = False
    number: int = 0
    recurrent: bool = False


@dataclass(frozen=True)
class Graph:
    """`nodes` stand in an order of evaluation."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def runs(numbers: Iterable[int]) -> list[list[int]]:
    """1, 2, 3, 7 as [1, 2, 3], [7]."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return found


# Formulas.


def of_gradients(gradients: Gradients) -> Graph:
    """The graph of a formula: which equation reads which."""
    forward = {e.target for e in gradients.forward.equations}
    inputs = gradients.forward.inputs
    shown = [e for e in gradients.shown if e.target in forward]
    placed = _Placed(gradients, {n: n for n in (*(t.name for t in inputs), *_targets(shown))})
    results = gradients.forward.results or (gradients.forward.result,)
    read = {name for e in shown for name in reads(e)}
    later = {a.tensor for e in gradients.backward for a in accesses(e.body)}
    seeds = [t.name for t in inputs if t.name in later - read]
    nodes = [
        Node(t.name, "operand" if t.name in gradients.cotangents else "input", (), _shape(t.axes))
        for t in inputs
        if t.name not in seeds
    ]
    for e in shown:
        text = "\n".join(map(str, e.lines))
        kind = "result" if e.target in results else "equation"
        kind = "operand" if e.target in gradients.cotangents else kind
        over = (f"recurrence over `{e.recurrence.index}`",) if e.recurrence else ()
        nodes.append(Node(e.target, kind, over, _shape(e.indices), formula=_body(e), note=text))
    nodes += [Node(t.name, "seed", (), _shape(t.axes)) for t in inputs if t.name in seeds]
    order = {node.name: k for k, node in enumerate(nodes)}
    edges = []
    for e in shown:
        for name in sorted(reads(e) - {e.target}, key=order.__getitem__):
            number = gradients.numbers.get(placed.bars.get(name, ""), 0)
            flows = (name, e.target) in placed.flows
            edges.append(Edge(name, e.target, True, flows, number, order[name] >= order[e.target]))
    edges += [Edge(results[-1], name, forward=False, backward=True) for name in seeds]
    return Graph("The formula", tuple(map(placed.numbered, nodes)), tuple(edges))


def _targets(equations: Iterable[Equation]) -> list[str]:
    return [e.target for e in equations]


def _body(e: Equation) -> str:
    return str(e).partition(" = ")[2]


# Networks.


def of_network(spec: Spec, network: Network, gradients: Gradients) -> Graph:
    """The graph of a network; of many layers alike in a row the first and the last."""
    layers = network.layers
    names = {layer.name: layer.name for layer in layers}
    dots = []
    for start, period, count in _repeated(layers):
        hidden = layers[start + period : start + period * (count - 1)]
        names |= {layer.name: f"{hidden[0].name} ... {hidden[-1].name}" for layer in hidden}
        dots.append((hidden, period, count - 2))
    homes = {target: names[layer.name] for layer in layers for target in layer.equations}
    owners = {p: layer for layer in reversed(layers) for p in layer.parameters}
    homes |= {p.tensor: names[owners[p.name].name] for p in network.parameters}
    free, last = _Free(names), next(x for x in layers if x.output == network.output.name)
    source, target, result = free("input"), free("target"), free("loss")
    homes |= {e.target: result for e in network.loss.equations} | {"x": source, "y": target}
    placed = _Placed(gradients, homes)

    nodes = [Node(source, "input", (), _shape(network.input.axes), "x", heading="input")]
    standing = {hidden[0].name: _dots(hidden, *rest) for hidden, *rest in dots}
    for layer in layers:
        if layer.name in standing:
            nodes.append(replace(standing[layer.name], name=names[layer.name]))
        elif names[layer.name] == layer.name:
            nodes.append(_layer(layer, network, owners))
    if network.target:
        shape = _shape(network.target.axes)
        nodes.append(Node(target, "target", (), shape, "y", heading="target"))
    nodes.append(Node(result, "loss", (f"`{spec.loss.type}`",), "scalar", "L", heading="loss"))

    wires = [
        (name, source if name == "input" else names[name], names[layer.name])
        for layer in layers
        for name in layer.inputs
    ]
    wires.append((last.name, names[last.name], result))
    wires += [("target", target, result)] * bool(network.target)
    outputs = {layer.name: layer.output for layer in layers} | {"input": "x"}
    edges: dict[tuple[str, str], Edge] = {}
    for name, tail, head in wires:
        if tail != head:
            number = gradients.numbers.get(placed.bars.get(outputs.get(name, ""), ""), 0)
            edges[tail, head] = Edge(tail, head, True, (tail, head) in placed.flows, number)
    title = spec.title or spec.name
    return Graph(title, tuple(map(placed.numbered, nodes)), tuple(edges.values()))


class _Free:
    """Names for nodes that are no layers, kept apart from those of layers."""

    def __init__(self, taken: Collection[str]) -> None:
        self.taken = taken

    def __call__(self, name: str) -> str:
        while name in self.taken:
            name += "_"
        return name


def _layer(layer: Layer, network: Network, owners: Mapping[str, Layer]) -> Node:
    parameters = {p.name: p for p in network.parameters}
    own = [p for p in layer.parameters if owners[p] is layer]
    shared = dict.fromkeys(owners[p].name for p in layer.parameters if p not in own)
    count = sum(math.prod(parameters[p].shape) for p in own)
    called = layer.name.rpartition(".")[2]
    implied = layer.type in (called, called.rpartition("_")[0])
    details = [] if implied else [f"`{layer.type}`"]
    details += [f"{layer.repeat:,} times"] * (layer.repeat > 1)
    details += [f"{count:,} parameters"] if count else []
    owners_ = ", ".join(f"`{name}`" for name in shared)
    details += [f"shares those of {owners_}"] if shared else []
    note = "; ".join(f"{p}: {_sizes(parameters[p].shape)}" for p in layer.parameters)
    shape = _sizes(["N", *layer.shape])
    note = f"{layer.type}, output {layer.output}: {shape}" + (f"; {note}" if note else "")
    return Node(layer.name, "layer", tuple(details), shape, note=note)


def _dots(hidden: Sequence[Layer], period: int, count: int) -> Node:
    """The node for the layers that are not drawn."""
    heading = f"{count} {'more' if period == 1 else f'× {period} layers'} alike"
    return Node("", "dots", (f"`{hidden[0].name}`", f"to `{hidden[-1].name}`"), heading=heading)


def _repeated(layers: Sequence[Layer]) -> Iterable[tuple[int, int, int]]:
    """Where blocks of layers follow one another that are alike: start, layers in one, blocks."""
    place = {"input": -1} | {layer.name: k for k, layer in enumerate(layers)}
    alike = [
        (
            layer.type,
            layer.shape,
            tuple(k - place[i] for i in layer.inputs),
            tuple(p.rpartition(".")[2] for p in layer.parameters),
        )
        for k, layer in enumerate(layers)
    ]
    start = 0
    while start < len(layers):
        best = (0, 0, 0)
        for period in range(1, min(LONGEST, (len(layers) - start) // FEWEST) + 1):
            k = start
            while k + period < len(layers) and alike[k] == alike[k + period]:
                k += 1
            count = (k - start) // period + 1
            if count >= FEWEST and count * period > best[1] * best[2]:
                best = (start, period, count)
        if best[2]:
            yield best
        start += best[1] * best[2] or 1


# Which equations belong to a node.


class _Placed:
    """Equations, tensors and their cotangents, each in its node.

    `homes` gives the node of each input and of the targets that are known; the parts that equations
    are computed in follow what they are parts of.
    """

    def __init__(self, gradients: Gradients, homes: Mapping[str, str]) -> None:
        self.homes = dict(homes)
        self.order = {name: k for k, name in enumerate(dict.fromkeys(homes.values()))}
        self.place_parts(gradients)
        forward = {e.target: e for e in gradients.forward.equations}
        tensors = {bar: tensor for tensor, bar in gradients.cotangents.items()}
        self.flows: set[tuple[str, str]] = set()  # the edges against which a cotangent flows
        for step in gradients.steps:
            if step.rule == CHAIN_RULE:
                for tensor in _operands(step, forward, gradients.suffix):
                    tensors.setdefault(step.after.target, tensor)
                    self.flows.add((self.homes[tensor], self.homes[step.before.target]))
        self.bars = {tensor: bar for bar, tensor in tensors.items()}
        self.forward: dict[str, list[int]] = {}
        self.backward: dict[str, list[int]] = {}
        for e in gradients.shown:
            numbers = self.forward
            if e.target not in forward:
                numbers = self.backward
                tensor = tensors.get(e.target) or self.named(e.target)
                self.homes[e.target] = self.homes.get(tensor) or self.latest(e)
            numbers.setdefault(self.homes[e.target], []).append(gradients.numbers[e.target])

    def place_parts(self, gradients: Gradients) -> None:
        """The node of each forward equation: a part's is that of what it is a part of."""
        forward = gradients.forward.equations
        shown = {e.target for e in gradients.shown}
        reader = {name: e.target for e in reversed(forward) for name in reads(e)}
        for e in reversed(forward):
            known = self.homes.get(e.origin) or self.homes.get(reader.get(e.target, ""))
            if known and (e.origin or e.target not in shown):
                self.homes.setdefault(e.target, known)
        for e in forward:
            self.homes.setdefault(e.target, self.latest(e))

    def numbered(self, node: Node) -> Node:
        """The node with the numbers of its equations."""
        forward, backward = (of.get(node.name, ()) for of in (self.forward, self.backward))
        return replace(node, forward=tuple(forward), backward=tuple(backward))

    def latest(self, e: Equation) -> str:
        """Of the nodes whose tensors an equation reads the one that comes last."""
        found = [self.homes[name] for name in sorted(reads(e)) if name in self.homes]
        return max(found, key=lambda name: self.order.get(name, -1), default=next(iter(self.order)))

    def named(self, bar: str) -> str:
        """The tensor that a cotangent without steps of its own is called after: `c_back`, `c`."""
        return max((n for n in self.homes if bar.startswith(f"{n}_")), key=len, default="")


def _operands(step: Step, forward: Mapping[str, Equation], suffix: str) -> Iterable[str]:
    """The tensor whose cotangent a step adds to: `h`, or `h0` where that is h before.

    None where the cotangent is one of an earlier sweep: those of this one have its suffix.
    """
    read = [p.operand.tensor for p in sorted(step.after.body.atoms(Partial), key=str)]
    for start in [forward[t].recurrence for t in read if t in forward]:
        read += [a.tensor for a in accesses(start.initial)] if start else []
    yield from [t for t in read if step.after.target.startswith(t + suffix)][:1]


def _shape(axes: Iterable[Index]) -> str:
    return _sizes("…" if i.name == ELLIPSIS else i.size for i in axes) or "scalar"


def _sizes(sizes: Iterable[object]) -> str:
    return " × ".join(map(str, sizes))
