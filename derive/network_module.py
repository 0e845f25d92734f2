"""The training module of a network: `templates/network.py.jinja`, filled in.

    spec, network, gradients  ->  kernels (workspaces, and functions on them)  ->  the module's text

The module needs NumPy alone. Its text depends on nothing but the spec and the library.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sympy import Abs, Expr, Function, Integer, Symbol, sign

from derive import kernels
from derive.derivation import Gradients
from derive.functions import Named, maximum, minimum, where
from derive.kernels import Citations, Kernel, Routine, public
from derive.network import Network, Parameter
from derive.notation import Program, Reduce, Tensor, accesses
from derive.optimizer_kernel import kernel
from derive.render import render
from derive.rolling import elided, mark, marked, resolve
from derive.scheduling import Schedule
from derive.spec import Spec
from derive.text_printer import text
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
    size: str
    input: str
    target: str
    init: tuple[str, ...]
    output: str
    output_array: str
    kernels: tuple[Kernel, ...]
    functions: tuple[Routine, ...]
    optimizer: str
    epochs: int
    batch_size: int
    predict: str
    predicted: str
    predict_proba: tuple[str, ...]


def source(spec: Spec, network: Network, gradients: Gradients, update: Update) -> str:
    """The text of the module; deterministic, and tidy as it is."""
    cited = Citations(
        {target: mark(number) for target, number in gradients.numbers.items()},
        {e.target: marked(str(e)) for e in gradients.equations},
    )
    training, schedule = kernels.training(gradients, network, spec.accuracy, cited)
    inference = kernels.inference(gradients.forward, network, spec.accuracy, cited)
    last = network.output.axes[-1].size
    classes = int(last) if last.is_Integer else None  # an output of axes (N,) has none
    module = Module(
        name=spec.name,
        title=literal(spec.title or spec.name),
        summary=tuple(_summary(spec, network, gradients, update, schedule)),
        dtype=spec.dtype,
        parameters=_declared(network.parameters),
        size=f"{_count(network.parameters):,}",
        input=_described(network.input, spec.input.vocabulary),
        target=_described(kernels.target(network), classes),
        init=_initialized(network.parameters),
        output=network.output.name,
        output_array=training.output,
        kernels=(training, inference, kernel(update)),
        functions=tuple(kernels.functions(network, spec.accuracy)),
        optimizer=network.optimizer.name,
        epochs=spec.training.epochs,
        batch_size=spec.training.batch_size,
        predict="Class labels." if network.predict else f"The output {network.output.name}.",
        predicted="labels(z)" if network.predict else "z",
        predict_proba=_PREDICT_PROBA if network.proba else (),
    )
    return tidy(render("network.py.jinja", module=module))


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


def _described(tensor: Tensor, stop: int | None) -> str:
    """The axes of an input, a free size by its letter, and the bound of its integers."""
    axes = ", ".join(
        f'"{i.size}"' if isinstance(i.size, Symbol) else str(i.size) for i in tensor.axes
    )
    below = stop if tensor.kind == "integer" else None
    comma = "," if len(tensor.axes) == 1 else ""
    return f'{{"name": "{tensor.name}", "axes": ({axes}{comma}), "below": {below}}}'


def _count(parameters: Iterable[Parameter]) -> int:
    return sum(math.prod(p.shape) for p in parameters)


def _declared(parameters: Iterable[Parameter]) -> tuple[str, ...]:
    """The table of public names and shapes, repeated layers in a loop."""
    lines = [f'PARAMETERS["{public(p.name)}"] = {p.shape}' for p in parameters]
    _, (resolved,) = resolve([lines])
    if any(line.startswith("for ") for line in resolved):
        return ("PARAMETERS = {}  # public name: shape", *resolved)
    entries = (f'    "{p.name}": {p.shape},' for p in parameters)
    return ("PARAMETERS = {  # public name: shape", *entries, "}")


def _initialized(parameters: Iterable[Parameter]) -> tuple[str, ...]:
    """The initializers' formulas with a draw for each element."""
    lines = [f'params["{public(p.name)}"][...] = {_initial(p)}' for p in parameters]
    return resolve([lines])[1][0]


def _initial(parameter: Parameter) -> str:
    """The formula with a draw for each element and numbers for the fans.

    sqrt(6/(fan_in + fan_out))*(2*u[p] - 1)  ->  0.1767766952966369*(2*draw.random((64, 128)) - 1)
    """
    draws = {"u": f"draw.random({parameter.shape})", "e": f"draw.normal(size={parameter.shape})"}
    values: dict[str, Expr] = {name: Symbol(call) for name, call in draws.items()}
    values |= {"fan_in": Integer(parameter.fan_in), "fan_out": Integer(parameter.fan_out)}
    for equation in parameter.initializer.program.equations:
        read = {a: values[a.tensor] for a in accesses(equation.body)}
        values[equation.target] = equation.body.xreplace(read)
    body = values[parameter.initializer.program.result]
    body = body.replace(lambda e: e.is_number and not e.is_Rational, lambda e: e.evalf(30))
    return text(body.replace(lambda e: e.is_Float, lambda e: Symbol(repr(float(e)))))


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
    """A call that is too long, its comment above it and its arguments on lines of their own."""
    if len(line) <= WIDTH:
        return [line]
    margin = line[: len(line) - len(line.lstrip())]
    code, _, comment = line.partition("  # ")
    lines = [f"{margin}# {comment}"] if comment else []
    return lines + textwrap.wrap(
        code,
        WIDTH,
        subsequent_indent=margin + "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
