"""The training module of a network: `templates/network.py.jinja`, filled in.

    spec, network, gradients  ->  kernels (workspaces, and functions on them)  ->  the module's text

The module needs NumPy alone. Its text depends on nothing but the spec and the library.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sympy import Symbol

from derive.code.numpy_printer import LARGE, LINE
from derive.code.planning import MOST
from derive.code.scheduling import Schedule
from derive.code.tiling import TILE
from derive.gradients.derivation import Gradients
from derive.gradients.normal_form import needed
from derive.language.notation import Equation, Program, Tensor
from derive.modules import initial_values, workspaces
from derive.modules.kernels import Kernel, Routine, literals, public, raised, target
from derive.modules.line_layout import WIDTH, tidy
from derive.modules.network_summary import count, drawn, summary
from derive.modules.optimizer_kernel import LONG, kernel
from derive.modules.output_functions import functions
from derive.modules.rolling import resolve
from derive.networks.in_parts import coupled, no_mean
from derive.networks.network_parts import Network, Parameter, State
from derive.networks.passes import Derivatives
from derive.networks.spec import Spec
from derive.networks.supplements import Supplement
from derive.networks.updates import Update
from derive.render import render


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
    line: int  # bytes of a cache line
    large: int  # bytes of an array that begins at one
    tile: tuple[int, ...]  # elements of a tile, where loops go over tiles
    threads: int
    long: tuple[int, ...]  # parameters, where threads share their update
    not_shared: tuple[str, ...]
    answered: str  # the most samples at once
    measured: str
    answering: int  # threads that share an answer
    kept: int  # the most samples for which arrays are kept
    input: str
    target: str
    init: tuple[str, ...]
    output: str
    output_array: str
    output_bar: str
    arguments: tuple[str, ...]
    draws: tuple[str, ...]
    renewals: tuple[str, ...]
    bound: tuple[str, ...]  # the input, where a step does not copy it
    copied: tuple[str, ...]  # where it does
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


def source(
    spec: Spec,
    network: Network,
    derivatives: Derivatives,
    update: Update,
    beside: Mapping[str, Supplement],
    trained: tuple[Kernel, Schedule],
) -> str:
    """The text of the module; deterministic, and tidy as it is.

    `trained` is the workspace of a training step, with its schedule.
    """
    training, schedule = trained
    batch = spec.training.batch_size
    inference, samples = workspaces.inference(derivatives, network, spec.accuracy, batch, beside)
    each = workspaces.per_sample(derivatives, network, spec.accuracy, beside)
    second = workspaces.second(derivatives, network, spec.accuracy, beside)
    last = network.output.axes[-1].size
    classes = int(last) if last.is_Integer else None  # an output of axes (N,) has none
    bars = derivatives.gradients.cotangents
    ignored = dict(spec.loss.fields).get("ignore_index")
    ignored = ignored if isinstance(ignored, int) else None
    total = count(network.parameters)
    optimizer = kernel(update, total)
    kernels = tuple(k for k in (training, inference, each, second, optimizer) if k)
    not_shared = _not_shared(network, derivatives, ignored)
    threads = 1 if not_shared else training.threads
    whole, measured_whole = _whole(derivatives, network, ignored)
    made = [
        line for k in kernels for part in (k.setup, *(r.lines for r in k.passes)) for line in part
    ]
    is_tiled = any("_tiles(" in line for line in made)
    module = Module(
        name=spec.name,
        title=literal(spec.title or spec.name),
        summary=tuple(
            summary(
                spec,
                network,
                derivatives.gradients,
                update,
                beside,
                schedule,
                threads,
                training.is_copied,
            )
        ),
        dtype=spec.dtype,
        parameters=_declared("PARAMETERS", network.parameters),
        states=_declared("STATES", network.states),
        size=f"{total:,}",
        line=LINE,
        large=LARGE,
        tile=(TILE,) * is_tiled,
        threads=threads,
        long=(total,) * (total >= LONG),
        not_shared=_reason("NOT_SHARED", not_shared),
        answered=_most(samples, whole),
        measured=_most(samples, measured_whole),
        answering=inference.threads,
        kept=MOST,
        input=_described(network.input, spec.input.vocabulary),
        target=_described(target(network), classes, ignored),
        init=tuple(initial_values.lines(network, WIDTH - 4, beside)),
        output=network.output.name,
        output_array=training.output,
        output_bar=training.output_bar,
        arguments=tuple(_arguments(network)),
        draws=("draw",) * bool(network.draws),
        renewals=("renew",) * bool(network.states),
        bound=("x",) * (not training.is_copied),
        copied=("x",) * training.is_copied,
        input_bar=(bars["x"],) if "x" in bars else (),
        no_input_grad=() if "x" in bars else raised(_NO_INPUT_GRAD),
        per_sample=tuple(k.workspace for k in (each,) if k),
        no_per_sample=() if each else raised(f"per_sample_grad: {derivatives.each}"),
        second=tuple(k.workspace for k in (second,) if k),
        kernels=kernels,
        functions=(
            *initial_values.functions(network, spec.accuracy, beside),
            *functions(derivatives, network, spec.accuracy, ignored, beside),
        ),
        optimizer=network.optimizer.name,
        epochs=spec.training.epochs,
        batch_size=spec.training.batch_size,
        predict="Class labels, without meaning where the output is nan."
        if network.predict
        else f"The output {network.output.name}.",
        predicted="labels" if network.predict else "np.array",
        predict_proba=_PREDICT_PROBA if network.proba else (),
        ignored=() if ignored is None else (ignored,),
        of_batch="len(rows)" if ignored is None else "of_batch",
        of_epoch="done" if ignored is None else "max(counted, 1)",
        of_all="len(x)" if ignored is None else "max(counted, 1)",
    )
    return tidy(render("network.py.jinja", module=module))


def _reason(name: str, message: str) -> tuple[str, ...]:
    """The lines that set a constant to a message."""
    first, *others = literals(message) or ['""']
    if not others:
        return (f"{name} = {first}",)
    return (f"{name} = (", *(f"    {part}" for part in (first, *others)), ")")


def _not_shared(network: Network, derivatives: Derivatives, ignored: int | None) -> str:
    """Why the gradient of a batch is no mean of those of its parts; "" where it is."""
    if not isinstance(derivatives.each, Gradients):
        return str(derivatives.each)
    if ignored is not None:
        return "the loss is a mean over the targets that are not ignored"
    forward = derivatives.gradients.forward
    if found := no_mean(forward, _after(forward, network), network.input.axes[0]):
        return f"the loss is no mean over the samples: {found}"
    return ""


def _whole(derivatives: Derivatives, network: Network, ignored: int | None) -> tuple[bool, bool]:
    """Whether only all samples together have an answer, and whether only they have a loss."""
    program, batch = derivatives.inference.forward, network.input.axes[0]
    before = needed(program, (network.output.name,)).equations
    if coupled(program, before, batch):
        return True, True
    return False, ignored is not None or bool(no_mean(program, _after(program, network), batch))


def _after(program: Program, network: Network) -> Iterable[Equation]:
    """The equations of the loss that come after the output."""
    before = {e.target for e in needed(program, (network.output.name,)).equations}
    return (e for e in needed(program, program.results[:1]).equations if e.target not in before)


def _most(samples: int, whole: bool) -> str:
    return "None" if whole else str(samples)


def _arguments(network: Network) -> Iterable[str]:
    """What `seed` and `sample_weight` are."""
    yield from textwrap.wrap(
        f"`seed` fixes what is drawn at random: {drawn(network)}. `sample_weight`, of shape (N,), "
        "are factors of the samples' losses; the mean is over all N as ever.",
        WIDTH - 4,
    )


_NO_INPUT_GRAD = "input_grad: the input is made of integers; there is no derivative by it"
_PREDICT_PROBA = (
    "def predict_proba(self, x):",
    '    """The probability of each class."""',
    "    return self._answers.read(x, lambda z: np.array(probabilities(z)))",
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
