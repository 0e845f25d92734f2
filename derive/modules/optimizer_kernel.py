"""The update of all parameters at once: equations over the flat vectors, tile by tile.

    w_next[p] = w[p] - learning_rate*g[p]    ->    for w, g, slot_1 in ws.tiles:
                                                       np.multiply(learning_rate, g, out=slot_1)
                                                       np.subtract(w, slot_1, out=w)

Parameters, gradient and states are each one vector, so that a step takes as many calls for a
hundred layers as for one. The vectors are worked on in tiles that stay in the cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sympy import Expr, Pow

from derive.code.lowering import lower
from derive.code.numpy_printer import prefixed
from derive.code.scheduling import fresh, workspace
from derive.gradients.normal_form import flatten, needed
from derive.language.notation import Access, Program, Tensor, accesses
from derive.modules.kernels import Citations, Kernel, Routine, opened
from derive.networks.updates import Update
from derive.numerics.stability import stabilize

TILE = 32768  # elements
RATE = "learning_rate"


def kernel(update: Update) -> Kernel:
    """The update of all parameters at once, tile by tile; sums over them all come before that."""
    optimizer, program = update.optimizer, update.program
    cited = Citations(
        {target: str(number) for target, number in update.numbers.items()},
        {e.target: str(e) for e in program.equations},
    )
    whole, tile = _divided(_decimal(stabilize(flatten(program), "training")))
    states = ("w", *optimizer.states)
    over = {f"{s}_next": s for s in states}
    schedule = workspace(lower(tile, tuple(over)), (t.name for t in tile.inputs), over)
    names = {b: b for b in prefixed(schedule, "")}
    names |= {b: slot.name for slot in schedule.slots for b in slot.buffers}
    scratch = [slot.name for slot in schedule.slots]
    body = [
        *opened([*_whole(whole, cited)], {"g": "g = ws.g"}),
        f"for {', '.join(('w', 'g', *optimizer.states, *scratch))} in ws.tiles:",
        *(f"    {line}" for line in cited.lines(schedule.statements, names)),
    ]
    body = ["ws.t += 1", *opened(body, {"t": "t = int(ws.t)", RATE: f"{RATE} = ws.{RATE}"})]
    state = "".join(f', "{s}": ws.{s}' for s in optimizer.states)
    flat = ", ".join(("w", "w_bar", *(f"ws.{s}" for s in optimizer.states)))
    kinds = ", ".join(_DTYPE[slot.kind] for slot in schedule.slots)
    setup = (
        f"ws.learning_rate, ws.g = {optimizer.learning_rate!r}, w_bar",
        "ws.t = np.zeros((), np.int64)  # steps made",
        *(f"ws.{s} = np.zeros_like(w){cited.note(f'{s}_next')}" for s in optimizer.states),
        f'ws.state = {{"t": ws.t{state}}}',
        f"tile = min({TILE}, len(w))  # so many elements stay in the cache",
        f"flat = ({flat})",
        f"scratch = [np.empty(tile, dtype) for dtype in [{kinds}]]",
        "ws.tiles = [",
        "    (*(a[i : i + tile] for a in flat), *(a[: len(w) - i] for a in scratch))",
        "    for i in range(0, len(w), tile)",
        "]",
    )
    return Kernel(
        "Optimizer",
        "w, w_bar",
        f"The state of {optimizer.name}, and the flat vectors in tiles.",
        setup,
        (Routine("update", "ws", f"One step of {optimizer.name}, from `w_bar`.", tuple(body)),),
    )


_DTYPE = {"real": "w.dtype", "integer": "np.int64", "boolean": "bool"}


def _decimal(program: Program) -> Program:
    """The program with its fractions as floating-point numbers: 9*m/10 -> 0.9*m."""

    def decimal(e: Expr) -> Expr:
        if isinstance(e, Access) or not e.args:
            return e.evalf(17) if e.is_Rational and not e.is_Integer else e
        if isinstance(e, Pow):
            return Pow(decimal(e.base), e.exp if e.exp.is_Rational else decimal(e.exp))
        return e.func(*map(decimal, e.args))

    equations = tuple(replace(e, body=decimal(e.body)) for e in program.equations)
    return replace(program, equations=equations)


def _divided(program: Program) -> tuple[Program, Program]:
    """What sums over the whole vector, and the rest, which reads those sums as inputs."""
    once = tuple(e for e in program.equations if not e.indices)
    each = tuple(e for e in program.equations if e.indices)
    read = {a.tensor for e in each for a in accesses(e.body)}
    sums = tuple(e.target for e in once if e.target in read)
    scalars = tuple(Tensor(name, ()) for name in sums)
    return (
        replace(needed(program, sums), results=sums),
        replace(program, equations=each, inputs=(*program.inputs, *scalars)),
    )


def _whole(program: Program, cited: Citations) -> Iterable[str]:
    """The statements of sums over the whole vector."""
    if program.equations:
        schedule = fresh(lower(program, results=program.results))
        yield from cited.lines(schedule.statements, prefixed(schedule, ""))
