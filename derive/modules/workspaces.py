"""The workspaces of a network's module, and the functions that run in them.

training     forward equations, then cotangents      ws.z_1, ws.W_1_bar, ...
inference    the equations of output and loss        ws.z_1, ...
per_sample   the cotangents of each sample's loss    ws.W_1_each_bar, ...
second       those of the gradient, in a direction   ws.W_1_hvp, ...
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import accumulate

from derive.code.affine_factors import without_affine_factors
from derive.code.early import early
from derive.code.known_blocks import with_known_blocks
from derive.code.lowering import BATCH, lower
from derive.code.named_views import named
from derive.code.numpy_printer import allocation
from derive.code.planning import at_once, planned, shared
from derive.code.reassociation import reassociated
from derive.code.resettling import Lent, resettled
from derive.code.scheduling import Schedule, divided, workspace
from derive.code.statements import Statement
from derive.code.tiling import tiled
from derive.gradients.derivation import Gradients
from derive.gradients.normal_form import needed
from derive.modules.kernels import (
    Kernel,
    Routine,
    arrays,
    bound,
    cited,
    cited_beside,
    copied,
    crossing,
    fielded,
    in_order,
    mappings,
    opened,
    parted,
    target,
)
from derive.modules.rolling import mark, resolve
from derive.networks.network_parts import Network
from derive.networks.passes import Derivatives, Targets
from derive.networks.supplements import INFERENCE, PER_SAMPLE, SECOND, Supplement
from derive.numerics.stability import stabilize


def training(
    derivatives: Derivatives, network: Network, accuracy: str, batch: int
) -> tuple[Kernel, Schedule]:
    """Loss, renewal of the states, and cotangents in one workspace; also its schedule, of which
    the memory is that of a training step.

    `batch` is the number of samples that it shall be fastest for.
    """
    gradients, output = derivatives.gradients, network.output.name
    cotangents = tuple(gradients.cotangents[p.tensor] for p in network.parameters)
    others = tuple(t for t in gradients.cotangents.values() if t not in cotangents)
    x_bar = gradients.cotangents.get("x", "")
    forward_section, *later_sections = derivatives.sections
    program = with_known_blocks(reassociated(stabilize(gradients.program, accuracy)))
    if accuracy == "training":  # where c*sum(x*g) and b*sum(g) are large, their sum may not be
        program = without_affine_factors(program, forward_section)
    program, moved = early(program, forward_section)
    sections = (forward_section | moved, *later_sections)
    following = tuple(s.next for s in network.states)
    results = (gradients.forward.result, output, *following, *cotangents, *others)
    given = (*(t.name for t in program.inputs), *cotangents, x_bar)
    output_bar = gradients.cotangents[output]
    free = (output, output_bar, network.input.name)
    later = sections[-1]
    schedule = planned(program, results, given, free, {BATCH: batch}, later)
    threads = shared(schedule, BATCH, {BATCH: batch})
    lengths = map(len, parted(schedule, sections))
    schedule = tiled(schedule, lengths, results, {BATCH: batch}, {x_bar})
    schedule = _resettled(schedule, sections, network, gradients, -(-batch // threads))
    x = network.input
    # Integers are seen to be in their range before they are read.
    is_copied = x.kind == "integer" or _is_copied(x.name, schedule, ())
    schedule = named(schedule, {x_bar} if is_copied else {x_bar, x.name})
    parts = parted(schedule, sections)
    names = fielded(schedule, crossing(parts))
    citations = cited(gradients)
    own, of_input = divided(schedule, parts[-1])
    setup = [
        "p, g, dtype = _views(w, ARRAYS), _views(w_bar, PARAMETERS), w.dtype",
        *bound(network.parameters, schedule, names, {"p": {}, "g": gradients.cotangents}),
        *bound(network.states, schedule, names, {"p": {}}),
        *arrays(network, citations, schedule, names, is_copied),
        *(_LENT.sub(_marked, line) for line in allocation(own, names, citations.numbers)),
    ]
    forward, renewal, loss, backward, input_ = ([*citations.lines(part, names)] for part in parts)
    value = names[schedule.names[gradients.forward.result]]
    for state in network.states:
        old, new = (names[schedule.names[t]] for t in (state.axes.name, state.next))
        renewal.append(f"np.copyto({old}, {new}){citations.note(state.next)}")
    kept, (setup_, forward_, renewal_, loss_, backward_, *inputs, (output_, bar_)) = resolve(
        [
            setup,
            opened([*forward, f"return {value}"]),
            opened(renewal),
            opened(loss),
            opened(backward),
            opened([*allocation(of_input, names, citations.numbers)]),
            opened(input_),
            [in_order(t, schedule, names) for t in (output, output_bar)],
        ]
    )
    routines = [
        Routine("forward_pass", "ws", "The loss of the batch in `ws.x` and `ws.y`.", forward_),
        Routine("loss_backward", "ws", f"The cotangent {output_bar} of the output.", loss_),
        Routine(
            "backward_pass",
            "ws",
            f"The cotangents of all parameters, from {output_bar}.",
            backward_,
        ),
    ]
    if renewal_:
        routines.insert(1, Routine("renew", "ws", "The next values of the states.", renewal_))
    if x_bar:
        summary = f"The cotangent {x_bar} of the input, after those of the parameters."
        arrays_ = "What `input_pass` needs, the array of its result aside."
        routines.append(Routine("input_arrays", "ws", arrays_, inputs[0]))
        routines.append(Routine("input_pass", "ws", summary, inputs[1]))
    kernel = Kernel(
        "Training",
        "w, w_bar, N",
        "The arrays of a training step on N samples; parameters are views into the flat `w`.",
        (*mappings(kept), *setup_),
        tuple(routines),
        output_,
        bar_,
        threads,
        is_copied,
    )
    return kernel, own


_LENT = re.compile(r"(?<=_lent\(w_bar\[)(\d+):(\d+)")


def _marked(found: re.Match[str]) -> str:
    """What gradients lend, the numbers marked: those of layers that are alike are apart alike."""
    return ":".join(mark(int(number)) for number in found.groups())


def _resettled(
    schedule: Schedule,
    sections: Iterable[Targets],
    network: Network,
    gradients: Gradients,
    batch: int,
) -> Schedule:
    """The schedule of a training step with the gradients' memory lent to what is there before.

    The output stays until its loss is known, its cotangent as long as it is read.
    """
    parts = parted(schedule, sections)
    *_, backward, input_, _ = accumulate(map(len, parts))
    end = len(schedule.statements)
    passing = {network.output.name, gradients.cotangents[network.output.name]}
    until = {
        schedule.names[t]: backward - 0.5 if t in passing else end
        for t in (*(s.next for s in network.states), *passing, *gradients.cotangents.values())
        if t in schedule.names
    }
    cotangents = (gradients.cotangents[p.tensor] for p in network.parameters)
    lent = Lent("w_bar", tuple(schedule.names[t] for t in cotangents))
    return resettled(schedule, lent, until, input_, {BATCH: batch})


def inference(
    derivatives: Derivatives,
    network: Network,
    accuracy: str,
    batch: int,
    beside: Mapping[str, Supplement],
) -> tuple[Kernel, int]:
    """The equations of the output, then those of the loss, in a workspace of their own.

    Also the number of samples that are answered at once where there are more.
    """
    program = beside[INFERENCE].program
    citations = cited_beside(derivatives.gradients, beside[INFERENCE])
    loss, output = program.results
    before = needed(program, (output,)).equations
    answered = {e.target for e in before}
    after = tuple(e for e in needed(program, (loss,)).equations if e.target not in answered)
    program = replace(program, equations=before + after, results=(output, loss))
    given = tuple(t.name for t in program.inputs)
    free = (output, network.input.name)
    stable = stabilize(program, accuracy)
    sections = (frozenset(e.origin or e.target for e in before), frozenset[str]())
    later = frozenset(e.origin or e.target for e in after)
    schedule = planned(stable, program.results, given, free, {BATCH: batch}, later)
    parts = parted(schedule, sections)
    answering = replace(divided(schedule, parts[-1])[0], statements=parts[0])
    samples = at_once(answering, BATCH)
    schedule = tiled(schedule, map(len, parts), program.results, {BATCH: batch})
    x = network.input
    is_copied = _is_copied(x.name, schedule, parted(schedule, sections)[-1])
    schedule = named(schedule, () if is_copied else {x.name})
    parts = parted(schedule, sections)
    names = fielded(schedule, crossing(parts))
    if not is_copied:
        names = {**names, schedule.names[x.name]: x.name}
    own, of_loss = divided(schedule, parts[-1])
    setup = [
        "ws.dtype = dtype",
        *bound((*network.parameters, *network.states), schedule, names, {"p": {}}),
        *(copied((x,), schedule, names) if is_copied else ()),
        *allocation(own, names, citations.numbers),
    ]
    first, second = ([*citations.lines(part, names)] for part in parts)
    dtype = "np.int64" if x.kind == "integer" else "ws.dtype"
    taken = f"ws.{x.name}[...] = {x.name}"
    if not is_copied:
        taken = f"{x.name} = np.ascontiguousarray({x.name}, {dtype})  # itself, if it is so"
    answer = in_order(output, schedule, names)
    local = {"N": f"N = len({x.name})", "dtype": "dtype = ws.dtype"}
    of_target = copied((target(network),), schedule, names)
    kept, (setup_, *bodies) = resolve(
        [
            setup,
            opened([taken, *first, f"return {answer}"], local),
            opened(
                [*of_target, *allocation(of_loss, names, citations.numbers)],
                {"N": f"N = len({answer})", "dtype": "dtype = ws.dtype"},
            ),
            opened(
                [*second, f"return {names[schedule.names[loss]]}"],
                {"N": "N = len(ws.y)", "dtype": "dtype = ws.dtype"},
            ),
        ]
    )
    kernel = Kernel(
        "Inference",
        "p, dtype, N",
        "The arrays of an answer to N samples; the parameters `p` are only read.",
        (*mappings(kept), *setup_),
        (
            Routine(
                "inference_pass",
                f"ws, {x.name}",
                f"The output {output} for {x.name}, in memory of the workspace.",
                bodies[0],
            ),
            Routine("loss_arrays", "ws", "What `loss_pass` needs.", bodies[1]),
            Routine("loss_pass", "ws", "The loss of that output for `ws.y`.", bodies[2]),
        ),
        threads=shared(answering, BATCH, {BATCH: 2 * samples}),
    )
    return kernel, samples


def _is_copied(x: str, schedule: Schedule, later: Iterable[Statement]) -> bool:
    """Whether the input must be copied to the workspace: where its axes lie in another order, where
    views of it are made beforehand, and where the loss reads it after the output.
    """
    if x in schedule.turned or x not in schedule.names:
        return True
    apart = (*schedule.setup, *later, *(s for s in schedule.statements if s.loop))
    return any(schedule.names[x] in s.reads for s in apart)


def per_sample(
    derivatives: Derivatives, network: Network, accuracy: str, beside: Mapping[str, Supplement]
) -> Kernel | None:
    """The gradients of the samples, in a workspace of their own."""
    own = beside.get(PER_SAMPLE)
    if own is None:
        return None
    head = (
        "p, dtype = _views(w, ARRAYS), w.dtype",
        "ws.gradients = g = {n: np.empty((N, *s), dtype) for n, s in PARAMETERS.items()}",
    )
    routine = Routine(
        "per_sample_pass", "ws", "The cotangents of all parameters, sample by sample.", ()
    )
    summary = "The arrays of the gradients of N samples, each alone."
    kernel = Kernel("PerSample", "w, N", summary, head, (routine,))
    return _alone(
        kernel, derivatives, own, network, accuracy, {"p": {}, "g": own.gradients.cotangents}
    )


def second(
    derivatives: Derivatives, network: Network, accuracy: str, beside: Mapping[str, Supplement]
) -> Kernel | None:
    """The Hessian of the loss times a direction, in a workspace of its own."""
    own = beside.get(SECOND)
    if own is None:
        return None
    parameters = tuple(p.tensor for p in network.parameters)
    inputs = own.gradients.forward.inputs
    added = inputs[len(inputs) - len(parameters) :]
    head = (
        "p, v, h = _views(w, ARRAYS), _views(direction, PARAMETERS), _views(product, PARAMETERS)",
        "dtype = w.dtype",
    )
    summary = "The Hessian times the direction: the cotangents of the gradient, so weighted."
    kernel = Kernel(
        "Second",
        "w, direction, product, N",
        "The arrays of a second derivative on N samples; `direction` is flat, as `w` is.",
        head,
        (Routine("second_pass", "ws", summary, ()),),
    )
    directions = {p: t.name for p, t in zip(parameters, added, strict=True)}
    columns = {"p": {}, "v": directions, "h": own.gradients.cotangents}
    return _alone(kernel, derivatives, own, network, accuracy, columns)


def _alone(
    kernel: Kernel,
    derivatives: Derivatives,
    own: Supplement,
    network: Network,
    accuracy: str,
    columns: Mapping[str, Mapping[str, str]],
) -> Kernel:
    """A kernel of one pass, which computes the cotangents of `own`: its setup and its body."""
    program, citations = own.program, cited_beside(derivatives.gradients, own)
    results = program.results
    given = (*(t.name for t in program.inputs), *results)
    lowered = lower(stabilize(program, accuracy), results=results)
    schedule = named(workspace(lowered, given))
    names = fielded(schedule)
    setup = [
        *kernel.setup,
        *bound(network.parameters, schedule, names, columns),
        *arrays(network, citations, schedule, names),
        *allocation(schedule, names, citations.numbers),
    ]
    body = [*citations.lines(schedule.statements, names)]
    kept, (setup_, body_) = resolve([setup, opened(body)])
    (routine,) = kernel.passes
    return replace(
        kernel, setup=(*mappings(kept), *setup_), passes=(replace(routine, lines=body_),)
    )
