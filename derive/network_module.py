"""The training module of a network: `templates/network.py.jinja`, filled in.

    spec, network, gradients  ->  kernels (workspaces, and functions on them)  ->  the module's text

The module needs NumPy alone. Its text depends on nothing but the spec and the library.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sympy import Abs, Function, Symbol, sign

from derive import initial_values, workspaces
from derive.derivation import Gradients
from derive.functions import Named, maximum, minimum, where
from derive.kernels import Kernel, Routine, public, raised, target
from derive.network_parts import Network, Parameter, State
from derive.notation import Program, Reduce, Tensor
from derive.optimizer_kernel import kernel
from derive.output_functions import functions
from derive.passes import Derivatives
from derive.render import render
from derive.rolling import elided, marked, resolve
from derive.scheduling import Schedule
from derive.spec import Spec
from derive.updates import Update

WIDTH = 99  # columns of a line


@dataclass(frozen=True)
class Module:
    """What the template reads: finished text, field by field."""

    name: str
    title: str
    summary: tuple[str, ...]
    dtype: str
    parameters: tuple[str, ...]
    states: tuple[str, ...]
    size: str
    input: str
    target: str
    init: tuple[str, ...]
    output: str
    output_array: str
    output_bar: str
    arguments: tuple[str, ...]
    draws: tuple[str, ...]
    renewals: tuple[str, ...]
    input_bar: tuple[str, ...]
    no_input_grad: tuple[str, ...]
    per_sample: tuple[str, ...]
    no_per_sample: tuple[str, ...]
    second: tuple[str, ...]
    kernels: tuple[Kernel, ...]
    functions: tuple[Routine, ...]
    optimizer: str
    epochs: int
    batch_size: int
    predict: str
    predicted: str
    predict_proba: tuple[str, ...]
    ignored: tuple[int, ...]
    of_batch: str  # how many targets a mean over a batch is of
    of_epoch: str  # and that of the batches so far, and of all
    of_all: str


def source(spec: Spec, network: Network, derivatives: Derivatives, update: Update) -> str:
    """The text of the module; deterministic, and tidy as it is."""
    training, schedule = workspaces.training(derivatives, network, spec.accuracy)
    inference = workspaces.inference(derivatives, network, spec.accuracy)
    each = workspaces.per_sample(derivatives, network, spec.accuracy)
    second = workspaces.second(derivatives, network, spec.accuracy)
    last = network.output.axes[-1].size
    classes = int(last) if last.is_Integer else None  # an output of axes (N,) has none
    bars = derivatives.gradients.cotangents
    ignored = dict(spec.loss.fields).get("ignore_index")
    ignored = ignored if isinstance(ignored, int) else None
    module = Module(
        name=spec.name,
        title=literal(spec.title or spec.name),
        summary=tuple(_summary(spec, network, derivatives.gradients, update, schedule)),
        dtype=spec.dtype,
        parameters=_declared("PARAMETERS", network.parameters),
        states=_declared("STATES", network.states),
        size=f"{_count(network.parameters):,}",
        input=_described(network.input, spec.input.vocabulary),
        target=_described(target(network), classes, ignored),
        init=tuple(initial_values.lines(network, WIDTH - 4)),
        output=network.output.name,
        output_array=training.output,
        output_bar=training.output_bar,
        arguments=tuple(_arguments(network)),
        draws=("draw",) * bool(network.draws),
        renewals=("renew",) * bool(network.states),
        input_bar=(bars["x"],) if "x" in bars else (),
        no_input_grad=() if "x" in bars else raised(_NO_INPUT_GRAD),
        per_sample=tuple(k.workspace for k in (each,) if k),
        no_per_sample=() if each else raised(f"per_sample_grad: {derivatives.each}"),
        second=tuple(k.workspace for k in (second,) if k),
        kernels=tuple(k for k in (training, inference, each, second, kernel(update)) if k),
        functions=(
            *initial_values.functions(network, spec.accuracy),
            *functions(derivatives, network, spec.accuracy, ignored),
        ),
        optimizer=network.optimizer.name,
        epochs=spec.training.epochs,
        batch_size=spec.training.batch_size,
        predict="Class labels." if network.predict else f"The output {network.output.name}.",
        predicted="labels(z)" if network.predict else "z",
        predict_proba=_PREDICT_PROBA if network.proba else (),
        ignored=() if ignored is None else (ignored,),
        of_batch="len(rows)" if ignored is None else "of_batch",
        of_epoch="done" if ignored is None else "max(counted, 1)",
        of_all="len(x)" if ignored is None else "max(counted, 1)",
    )
    return tidy(render("network.py.jinja", module=module))


def _arguments(network: Network) -> Iterable[str]:
    """What `seed` and `sample_weight` are."""
    yield from textwrap.wrap(
        f"`seed` fixes what is drawn at random: {_drawn(network)}. `sample_weight`, of shape (N,), "
        "are factors of the samples' losses; the mean is over all N as ever.",
        WIDTH - 4,
    )


def _drawn(network: Network) -> str:
    """What is drawn at random, in words."""
    if not network.draws:
        return "nothing in this network"
    found = [f"{d.axes.name} ({d.distribution})" for d in network.draws]
    more = ["..."] if len(found) > 4 else []
    return ", ".join([*found[:4], *more])


_NO_INPUT_GRAD = "input_grad: the input is made of integers; there is no derivative by it"
_PREDICT_PROBA = (
    "def predict_proba(self, x):",
    '    """The probability of each class."""',
    "    return probabilities(forward(self.params, x))",
    "",
)


def literal(title: str) -> str:
    """Free text as it may stand in a docstring: it cannot end it, and is one line."""
    shown = "".join(c if c.isprintable() else " " for c in title)
    return shown.replace("\\", "\\\\").replace('"', '\\"')


def _described(tensor: Tensor, stop: int | None, ignored: int | None = None) -> str:
    """The axes of an input, a free size by its letter, and the integers that it may hold."""
    axes = ", ".join(
        f'"{i.size}"' if isinstance(i.size, Symbol) else str(i.size) for i in tensor.axes
    )
    below = stop if tensor.kind == "integer" else None
    comma = "," if len(tensor.axes) == 1 else ""
    also = f', "ignored": {ignored}' if ignored is not None else ""
    return f'{{"name": "{tensor.name}", "axes": ({axes}{comma}), "below": {below}{also}}}'


def _count(parameters: Iterable[Parameter]) -> int:
    return sum(math.prod(p.shape) for p in parameters)


def _declared(table: str, tensors: Iterable[Parameter | State]) -> tuple[str, ...]:
    """A table of public names and shapes, repeated layers in a loop."""
    shapes = {t.name: tuple(int(i.size) for i in t.axes.axes) for t in tensors}
    lines = [f'{table}["{public(name)}"] = {shape}' for name, shape in shapes.items()]
    _, (resolved,) = resolve([lines])
    if not shapes:
        return (f"{table} = {{}}",)
    if any(line.startswith("for ") for line in resolved):
        return (f"{table} = {{}}  # public name: shape", *resolved)
    entries = (f'    "{name}": {shape},' for name, shape in shapes.items())
    return (f"{table} = {{  # public name: shape", *entries, "}")


def _summary(
    spec: Spec, network: Network, gradients: Gradients, update: Update, schedule: Schedule
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
        f"{_count(network.parameters):,} parameters, {spec.dtype}. Loss: {spec.loss.type}. "
        f"Optimizer: {', '.join([f'{name}, learning_rate = {rate:g}', *extra])}."
    )
    yield ""
    yield from _paragraph(
        f"Generated from {spec.name}.toml by `derive generate`; change the spec and generate it "
        "again, never this file. It needs NumPy only. A number such as (7) is that of an equation: "
        f"{spec.name}.tex derives each of them under the same number. Those from "
        f"({min(update.numbers.values())}) on are "
        f"the equations of {name}."
    )
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
    kinks = list(_kinks(gradients.forward, {layer.type for layer in network.layers}))
    if kinks:
        yield ""
        yield from _paragraph(f"Where a derivative does not exist: {'; '.join(kinks)}.")
    batch = {Symbol("N", integer=True, positive=True): spec.training.batch_size}
    operations, elements = (
        float(e.xreplace(batch)) for e in (schedule.operations, schedule.elements)
    )
    size = 4 if spec.dtype == "float32" else 8
    yield ""
    yield from _paragraph(
        f"A gradient on a batch of {spec.training.batch_size} takes {_rounded(operations)} "
        f"floating-point operations and moves {_rounded(elements * size)} bytes."
    )


def _modes(network: Network) -> Iterable[str]:
    """How training and inference differ."""
    if network.draws:
        yield f"In training mode random numbers are drawn for every batch, {_drawn(network)};"
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
        rows.append((layer.name, layer.output, shape, f"{own:,} parameters" if own else ""))
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


def _kinks(program: Program, types: Collection[str]) -> Iterable[str]:
    """The conventions in force, one for each kind of kink in the program."""
    bodies = [e.body for e in program.equations]
    parts = [*bodies, *(f.expanded() for body in bodies for f in body.atoms(Named))]
    functions = {type(f) for part in parts for f in part.atoms(Function)}
    reductions = {r.op for part in parts for r in part.atoms(Reduce)}
    if functions & {Abs, sign}:
        yield "|x|'(0) = 0"
    if functions & {maximum, minimum}:
        yield "of equal arguments of a maximum or minimum the first has the whole derivative"
    if where in functions:
        example = " (relu'(0) = 0)" if "relu" in types else ""
        yield f"at the border of two cases it is that of the case which holds there{example}"
    if reductions & {"max", "min"}:
        yield "of equal elements the first in index order takes the whole cotangent"


def tidy(module: str) -> str:
    """Lines of at most 99 columns."""
    return "\n".join(part.rstrip() for line in module.split("\n") for part in _shortened(line))


def _shortened(line: str) -> list[str]:
    """A line that is too long; of a call the comment is above it, the arguments are below."""
    if len(line) <= WIDTH:
        return [line]
    margin = line[: len(line) - len(line.lstrip())]
    if line.startswith(f"{margin}# "):
        first, *rest = _broken(line[len(margin) + 2 :], WIDTH - len(margin) - 6)
        return [f"{margin}# {first}", *(f"{margin}#     {part}" for part in rest)]
    code, _, comment = line.partition("  # ")
    lines = [f"{margin}# {comment}"] if comment else []
    return lines + textwrap.wrap(
        code,
        WIDTH,
        subsequent_indent=margin + "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _broken(text: str, width: int) -> Iterable[str]:
    """Text on several lines: broken at spaces, a long word behind an operator or a bracket."""
    line = ""
    for word in text.split():
        parts = [word] if len(word) <= width else re.findall(r"[^*(]*[*(]*", word)
        for k, part in enumerate(parts):
            space = " " if line and not k else ""
            if line and len(line) + len(space) + len(part) > width:
                yield line
                line, space = "", ""
            line += space + part
    yield line
