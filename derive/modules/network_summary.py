"""What the docstring of a training module says: the network, numbers, conventions, cost."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping
from itertools import pairwise

from sympy import Expr, Mul, Symbol

from derive.code.numpy_printer import LARGE, LINE
from derive.code.scheduling import Schedule
from derive.code.tiling import MOST, TILE
from derive.gradients.derivation import Gradients
from derive.language.notation import Tensor
from derive.modules.kernels import target
from derive.modules.line_layout import WIDTH
from derive.modules.rolling import elided, marked
from derive.networks.network_parts import Network, Parameter
from derive.networks.spec import Spec
from derive.networks.supplements import (
    INFERENCE,
    INITIAL,
    LABELS,
    PER_SAMPLE,
    PROBABILITIES,
    SECOND,
    WEIGHTED,
    Supplement,
)
from derive.networks.updates import Update
from derive.pages.kinks import kinks


def summary(
    spec: Spec,
    network: Network,
    gradients: Gradients,
    update: Update,
    beside: Mapping[str, Supplement],
    schedule: Schedule,
    threads: int,
    is_copied: bool,
) -> Iterable[str]:
    """The docstring below the title: the network, whence the file, names, kinks, cost."""
    yield from _table(network)
    name, rate = network.optimizer.name, network.optimizer.learning_rate
    extra = [
        f"{key} = {value:g}"
        for key, value in (
            ("l1", spec.regularization.l1),
            ("l2", spec.regularization.l2),
            ("weight_decay", spec.regularization.weight_decay),
            ("gradient_clip_norm", spec.training.gradient_clip_norm or 0),
        )
        if value
    ]
    yield ""
    yield from _paragraph(
        f"{count(network.parameters):,} parameters, {spec.dtype}. Loss: {spec.loss.type}. "
        f"Optimizer: {', '.join([f'{name}, learning_rate = {rate:g}', *extra])}."
    )
    yield ""
    yield from _paragraph(
        f"Generated from {spec.name}.toml by `derive generate`; change the spec and generate it "
        "again, never this file. It needs NumPy only."
    )
    yield ""
    yield from _paragraph(
        "A number such as (7) in a comment is that of the equation which the line computes a part "
        f"of: {spec.name}.html and {spec.name}.tex derive it under this number, and `derive "
        "explain` tells what stands behind a line."
    )
    yield ""
    yield from _numbered(gradients, update, beside)
    yield ""
    yield from _paragraph(
        "`W_bar` is the cotangent of `W`, the derivative of the loss by it. N is the number of "
        "samples in a batch; the axes of an array are the indices that its equation has, in order. "
        "`w` and `w_bar` hold all parameters and their cotangents one after the other, element p."
    )
    modes = [*_modes(network)]
    if modes:
        yield ""
        yield from _paragraph(" ".join(modes))
    conventions = kinks(gradients.forward)
    if conventions:
        yield ""
        yield from _paragraph(
            f"Where a derivative does not exist: {'; '.join(k.plain for k in conventions)}."
        )
    yield ""
    yield from _paragraph(cost(spec, schedule))
    yield ""
    yield from _paragraph(memory(spec, network, update, schedule, threads, is_copied))


def cost(spec: Spec, schedule: Schedule) -> str:
    """What a gradient on a batch of the spec's size takes, in words."""
    batch = {Symbol("N", integer=True, positive=True): spec.training.batch_size}
    operations, elements = (
        float(e.xreplace(batch)) for e in (schedule.operations, schedule.elements)
    )
    size = 4 if spec.dtype == "float32" else 8
    return (
        f"A gradient on a batch of {spec.training.batch_size} takes {_rounded(operations)} "
        f"floating-point operations and moves {_rounded(elements * size)} bytes."
    )


def memory(
    spec: Spec,
    network: Network,
    update: Update,
    schedule: Schedule,
    threads: int,
    is_copied: bool,
) -> str:
    """The arrays that training holds, for batches of the spec's size, in words."""
    N = spec.training.batch_size
    parts = min(threads, N)
    ends = [k * N // parts for k in range(parts + 1)]
    item = 4 if spec.dtype == "float32" else 8
    held = (network.input,) * is_copied + (target(network), *(d.axes for d in network.draws))
    step = sum(workspace_bytes(held, schedule, b - a, item) for a, b in pairwise(ends))
    own, states = count(network.parameters), len(update.optimizer.states)
    kept = [f"{own * item:,} bytes of parameters", f"{own * item * threads:,} of their cotangents"]
    kept += [f"{own * item * states:,} of the state of {update.optimizer.name}"] * bool(states)
    together = ", ".join(kept[:-1]) + f" and {kept[-1]}"
    shared = f", shared by {threads} threads," if parts > 1 else ""
    read = "" if is_copied else " An input that fits is read where it is."
    return (
        f"A training step on a batch of {N}{shared} works in {step:,} bytes of memory, which it "
        f"uses again at every step, beside {together}.{read}"
    )


def workspace_bytes(held: Iterable[Tensor], schedule: Schedule, samples: int, item: int) -> int:
    """The bytes of the arrays in the workspace of so many samples, those `held` for a batch too."""
    sizes = {"real": item, "integer": 8, "boolean": 1}
    buffers = {b.name: b for b in schedule.buffers}

    def number(size: Expr) -> int:
        return int(size.subs({**dict.fromkeys(size.free_symbols, samples), MOST: TILE}))

    def allocated(kind: str, elements: int) -> int:
        size = sizes[kind] * elements
        return size + LINE * (size >= LARGE)

    total = sum(allocated(slot.kind, number(slot.size)) for slot in schedule.slots if not slot.lent)
    for tensor in held:
        total += allocated(tensor.kind, number(Mul(*(i.size for i in tensor.axes))))
    for s in schedule.setup:
        b = buffers.get(s.out)
        if b is None or b.of or b.kind not in sizes or " = [" in s.text:
            continue  # a view, or a list of views
        elements = number(Mul(*b.shape))
        total += sizes[b.kind] * elements
    return total


def _numbered(
    gradients: Gradients, update: Update, beside: Mapping[str, Supplement]
) -> Iterable[str]:
    """Which numbers are those of what, a line each: `(7) to (14)   its cotangents`."""
    own = {e.target for e in gradients.backward}
    of_page = gradients.numbers.items()
    groups = {
        "the forward pass and the loss": [k for t, k in of_page if t not in own],
        "the cotangents": [k for t, k in of_page if t in own],
        f"a step of {update.optimizer.name}": [*update.numbers.values()],
    }
    for supplement in beside.values():
        numbers = [supplement.numbers[e.target] for e in supplement.equations]
        groups.setdefault(_KINDS[supplement.kind], []).extend(numbers)
    ranges = {words: _range(min(some), max(some)) for words, some in groups.items() if some}
    widest = max(map(len, ranges.values()))
    for words, numbers_ in ranges.items():
        yield f"    {numbers_.ljust(widest)}  {words}"


def _range(first: int, last: int) -> str:
    return f"({first}) to ({last})" if last > first else f"({first})"


_KINDS = {
    INFERENCE: "inference, where it differs from training",
    WEIGHTED: "the loss with a weight for each sample",
    PROBABILITIES: "probabilities",
    LABELS: "labels",
    PER_SAMPLE: "the gradient of each sample",
    SECOND: "the Hessian times a direction",
    INITIAL: "initial values",
}


def _modes(network: Network) -> Iterable[str]:
    """How training and inference differ."""
    if network.draws:
        yield f"In training mode random numbers are drawn for every batch, {drawn(network)};"
        yield "in inference mode there are none."
    if network.states:
        yield "The arrays in STATES are renewed by every training step, and read in inference mode."


def _table(network: Network) -> Iterable[str]:
    """The layers, one a line: name, output with its shape, number of parameters."""
    counts = {p.name: math.prod(p.shape) for p in network.parameters}
    rows = [("input", "x", " x ".join(str(i.size) for i in network.input.axes), "")]
    for layer in network.layers:
        own = sum(counts.pop(name, 0) for name in layer.parameters)  # shared ones count once
        shape = " x ".join(["N", *map(str, layer.shape)])
        name = layer.name + (f", {layer.repeat} times" if layer.repeat > 1 else "")
        rows.append((name, layer.output, shape, f"{own:,} parameters" if own else ""))
    lines = list(elided(["\t".join(map(marked, row)) for row in rows], "...\t\t\t"))
    cells = [line.split("\t") for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        left = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"    {left}".rstrip()


def _paragraph(text_: str) -> list[str]:
    return textwrap.wrap(text_, WIDTH, break_on_hyphens=False, break_long_words=False)


def _rounded(number: float) -> str:
    """2.1 million"""
    for unit, name in ((1e12, " trillion"), (1e9, " billion"), (1e6, " million")):
        if number >= unit:
            return f"{number / unit:.3g}{name}"
    return f"{number:,.0f}"


def count(parameters: Iterable[Parameter]) -> int:
    """How many numbers the parameters are."""
    return sum(math.prod(p.shape) for p in parameters)


def drawn(network: Network) -> str:
    """What is drawn at random, in words."""
    if not network.draws:
        return "nothing in this network"
    found = [f"{d.axes.name} ({d.distribution})" for d in network.draws]
    more = ["..."] if len(found) > 4 else []
    return ", ".join([*found[:4], *more])
