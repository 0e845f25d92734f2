"""Workspaces and the functions that run in them: the parts of a network's module, as lines of text.

    training     forward equations, then cotangents         ws.z_1, ws.W_1_bar, ...
    inference    the equations of output and loss           ws.z_1, ...
    functions    probabilities and labels of an output, in arrays of their own

Each statement cites the number of its equation, which stands above the first of them. The numbers
of layers are marked, so that `rolling` can print repeated layers as loops.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from derive.derivation import Gradients
from derive.lowering import lower
from derive.network import Network
from derive.normal_form import flatten, needed
from derive.notation import Program, Tensor
from derive.numpy_printer import allocation, lines, prefixed
from derive.rolling import field, resolve
from derive.scheduling import Schedule, fresh, workspace
from derive.simplify import recognize
from derive.stability import stabilize
from derive.statements import Statement

COMMENT = 88  # columns of a comment


@dataclass(frozen=True)
class Routine:
    """A function of the module; `lines` are its body."""

    name: str
    arguments: str
    summary: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Kernel:
    """A workspace class and the functions that run in it."""

    workspace: str
    arguments: str
    summary: str
    setup: tuple[str, ...]
    passes: tuple[Routine, ...]
    output: str = ""  # where the network's output is after the first pass


@dataclass(frozen=True)
class Citations:
    """Number and text of each equation, by target, the numbers of layers in them marked."""

    numbers: Mapping[str, str]
    equations: Mapping[str, str]

    def lines(self, statements: Iterable[Statement], names: Mapping[str, str]) -> Iterable[str]:
        """The statements as lines of Python, those of each equation below the equation."""
        computing = (s for s in statements if s.out)  # the others check what the module checks
        for origin, group in groupby(computing, key=lambda s: s.origin):
            if origin in self.equations:
                text = f"({self.numbers[origin]}) {self.equations[origin]}"
                yield from textwrap.wrap(
                    text, COMMENT, initial_indent="# ", subsequent_indent="#     "
                )
            yield from lines(tuple(group), names, self.numbers)


def training(
    gradients: Gradients, network: Network, accuracy: str, cited: Citations
) -> tuple[Kernel, Schedule]:
    """Forward equations, then cotangents, in one workspace; also its schedule, for the cost."""
    forward, output = gradients.forward, network.output.name
    cotangents = tuple(gradients.cotangents[p.tensor] for p in network.parameters)
    program = stabilize(gradients.program, accuracy)
    inputs = tuple(t.name for t in program.inputs)
    schedule = workspace(
        lower(program, results=(forward.result, output, *cotangents)),
        given=(*inputs, *cotangents),
    )
    first, second = schedule.split({e.target for e in forward.equations})
    names = _fields(schedule, _crossing(first, second))
    setup = [
        "p, g, dtype = _views(w), _views(w_bar), w.dtype",
        *_bound(network, schedule, names, cotangents),
        *_arrays(network.input, target(network)),
        *allocation(schedule, names),
    ]
    loss = names[schedule.names[forward.result]]
    kept, (setup_, forward_, backward_, (output_,)) = resolve(
        [
            setup,
            opened([*cited.lines(first, names), f"return {loss}"]),
            opened([*cited.lines(second, names)]),
            [names[schedule.names[output]]],
        ]
    )
    kernel = Kernel(
        "Training",
        "w, w_bar, N",
        "The arrays of a training step on N samples; parameters are views into the flat `w`.",
        (*_mappings(kept), *setup_),
        (
            Routine("forward_pass", "ws", "The loss of the batch in `ws.x` and `ws.y`.", forward_),
            Routine("backward_pass", "ws", "The cotangents of all parameters.", backward_),
        ),
        output_,
    )
    return kernel, schedule


def inference(forward: Program, network: Network, accuracy: str, cited: Citations) -> Kernel:
    """The equations of the output, then those of the loss, in a workspace of their own."""
    loss, output = forward.result, network.output.name
    before = needed(forward, (output,)).equations
    targets = {e.target for e in before}
    after = tuple(e for e in needed(forward, (loss,)).equations if e.target not in targets)
    program = replace(forward, equations=before + after, results=(output, loss))
    schedule = workspace(
        lower(stabilize(program, accuracy), results=program.results),
        given=tuple(t.name for t in program.inputs),
    )
    first, second = schedule.split(targets)
    names = _fields(schedule, _crossing(first, second))
    setup = [
        "p, dtype = _views(w), w.dtype",
        *_bound(network, schedule, names, ()),
        *_arrays(network.input, target(network)),
        *allocation(schedule, names),
    ]
    kept, (setup_, *bodies) = resolve(
        [
            setup,
            opened([*cited.lines(first, names), f"return {names[schedule.names[output]]}"]),
            opened([*cited.lines(second, names), f"return {names[schedule.names[loss]]}"]),
        ]
    )
    return Kernel(
        "Inference",
        "w, N",
        "The arrays of an answer to N samples; parameters are views into the flat `w`.",
        (*_mappings(kept), *setup_),
        (
            Routine("inference_pass", "ws", f"The output {output} for `ws.x`.", bodies[0]),
            Routine("loss_pass", "ws", "The loss of that output for `ws.y`.", bodies[1]),
        ),
    )


def _crossing(first: Iterable[Statement], second: Iterable[Statement]) -> set[str]:
    """What one function computes and the next one reads."""
    return {s.out for s in first} & {b for s in second for b in s.reads}


def _fields(schedule: Schedule, crossing: Collection[str] = ()) -> Mapping[str, str]:
    """The buffers as fields of the workspace, the numbers of layers in their names marked.

    Scalars are local names, but for those that are `crossing` from one function to another.
    """
    arrays = {b.name for b in schedule.buffers if b.shape}
    names = prefixed(schedule, "ws.")
    return {b: field(b) if b in arrays or b in crossing else name for b, name in names.items()}


_LOCAL = {"N": "N = len(ws.x)", "dtype": "dtype = ws.x.dtype"}


def opened(body: Sequence[str], local: Mapping[str, str] = _LOCAL) -> list[str]:
    """A function's body, after what binds the local names that its statements read."""
    words = set(re.findall(r"\w+", " ".join(line.split("#")[0] for line in body)))
    return [binding for name, binding in local.items() if name in words] + [*body]


def _mappings(kept: tuple[str, ...]) -> Iterable[str]:
    """What loops over layers read: for each of these fields a mapping from a layer's number."""
    if kept:
        yield from textwrap.wrap(
            f"for name in {list(kept)}:".replace("'", '"'),
            COMMENT,
            subsequent_indent="    ",
        )
        yield "    setattr(ws, name, {})  # by the number of the layer"


def _bound(
    network: Network, schedule: Schedule, names: Mapping[str, str], cotangents: tuple[str, ...]
) -> Iterable[str]:
    """Parameters, and their cotangents, as views into the flat vectors."""
    for k, parameter in enumerate(network.parameters):
        name = public(parameter.name)
        left, right = [names[schedule.names[parameter.tensor]]], [f'p["{name}"]']
        for cotangent in cotangents[k : k + 1]:
            left.append(names[schedule.names[cotangent]])
            right.append(f'g["{name}"]')
        shape = " x ".join(map(str, parameter.shape)) or "scalar"
        yield f"{', '.join(left)} = {', '.join(right)}  # {shape}"


def public(name: str) -> str:
    """The public name of a parameter, `dense_2.W`, with the number of its layer marked."""
    layer, _, rest = name.partition(".")
    return f"{field(layer).removeprefix('ws.')}.{rest}"


def target(network: Network) -> Tensor:
    """`y`; where the loss reads none, a number for each sample."""
    return network.target or Tensor("y", network.input.axes[:1])


def _arrays(*tensors: Tensor) -> Iterable[str]:
    """The arrays that a batch is copied to."""
    for tensor in tensors:
        shape = ", ".join(str(i.size) for i in tensor.axes)
        shape = f"({shape})" if len(tensor.axes) > 1 else shape
        dtype = "np.int64" if tensor.kind == "integer" else "dtype"
        yield f"ws.{tensor.name} = np.empty({shape}, {dtype})"


def functions(network: Network, accuracy: str) -> Iterable[Routine]:
    """Functions of the output alone: probabilities, labels, and what is measured by them."""
    if network.proba:
        yield _function("probabilities", network.proba, accuracy)
    if network.predict:
        yield _function("labels", network.predict, accuracy, ".astype(np.int64, copy=False)")
    measured = '{"accuracy": float(np.mean(labels(z) == y))}' if network.predict else "{}"
    yield Routine("metrics", "z, y", "What is measured besides the loss.", (f"return {measured}",))


def _function(name: str, program: Program, accuracy: str, converted: str = "") -> Routine:
    """A program of one result as a function that makes its arrays as it goes."""
    result = program.results[0] if program.results else program.result
    recognized, _ = recognize(flatten(program))
    schedule = fresh(lower(stabilize(recognized, accuracy), results=(result,)))
    names = prefixed(schedule, "")
    arguments = [names[schedule.names[t.name]] for t in program.inputs]
    first = arguments[0]
    computing = [s for s in schedule.statements if s.out]
    body = opened(
        lines(computing, names, {}), {"N": f"N = len({first})", "dtype": f"dtype = {first}.dtype"}
    )
    body.append(f"return {names[schedule.names[result]]}{converted}")
    return Routine(name, ", ".join(arguments), str(program.equation(result)), tuple(body))
