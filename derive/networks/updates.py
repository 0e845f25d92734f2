"""One step of an optimizer on all parameters at once, as a program.

    v_next[...] = 0.9*v[...] + g[...]
    w_next[...] = w[...] - learning_rate*v_next[...]

Clipping and regularization are equations of it, before those of the optimizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from derive.gradients.normal_form import fresh, names
from derive.language.formula import parse
from derive.language.notation import ELLIPSIS, Access, Index, Program, accesses, indices
from derive.library.definition import constant
from derive.networks.spec import Spec


@dataclass(frozen=True)
class Optimizer:
    """One step of the optimizer on all parameters at once, as a program.

    Inputs: `w[...]` (parameters), `g[...]` (gradient), the states, and the numbers `t` (the step,
    from 1) and `learning_rate`. It computes `w_next` and `s_next` for every state `s`; a state
    begins at 0. Clipping by the global norm, l1, l2 and weight decay are equations of it.
    """

    name: str  # "adam"
    program: Program  # results: ("w_next", "m_next", "v_next")
    states: tuple[str, ...]  # ("m", "v")
    learning_rate: float


@dataclass(frozen=True)
class Update:
    """The equations of an optimizer over the flat vector of all parameters, with their numbers.

    `...` is the vector's one axis, `p`; the numbers go on from those of the derivation.
    """

    optimizer: Optimizer
    program: Program
    numbers: Mapping[str, int]


def numbered(optimizer: Optimizer, numbers: Mapping[str, int]) -> Update:
    """The update after the equations that have these numbers."""
    program = on_axis(optimizer.program, Index("p"))
    first = len(numbers) + 1
    return Update(optimizer, program, {e.target: k for k, e in enumerate(program.equations, first)})


def on_axis(program: Program, axis: Index) -> Program:
    """The program with the leading axes `...` as one index."""
    axes = {i for e in program.equations for i in indices(e.access)}
    axes |= {i for t in program.inputs for i in t.axes}
    renamed = {i: axis for i in axes if i.name == ELLIPSIS}
    return replace(
        program,
        equations=tuple(
            replace(
                e,
                indices=tuple(renamed.get(i, i) for i in e.indices),
                body=e.body.xreplace(renamed),
            )
            for e in program.equations
        ),
        inputs=tuple(
            replace(t, axes=tuple(renamed.get(i, i) for i in t.axes)) for t in program.inputs
        ),
    )


def optimizer(spec: Spec) -> Optimizer:
    """The update equations, after clipping and regularization as equations of their own.

    g_clipped = g * min(1, clip/|g|),  g_regularized = g_clipped + l2*w + l1*sign(w),
    w_decayed = (1 - learning_rate*weight_decay) * w
    """
    use = spec.optimizer
    definition, fields = use.definition, dict(use.fields)
    learning_rate = float(fields.pop("learning_rate"))
    update = lean(definition.program(definition.cases[0], constant(fields)))
    given = {"clip": spec.training.gradient_clip_norm, **vars(spec.regularization)}
    rates = {name: value for name, value in given.items() if value}
    taken = names(update)
    lines, g, w = [], "g", "w"
    if "clip" in rates:
        norm, g = fresh("g_norm", taken), fresh("g_clipped", taken)
        lines.append(f"{norm} = sqrt(sum[...](g[...]**2))")
        lines.append(f"{g}[...] = where({norm} > clip, clip / {norm}, 1) * g[...]")
    penalties = [f"{k} * {f}" for k, f in (("l2", "w[...]"), ("l1", "sign(w[...])")) if k in rates]
    if penalties:
        before, g = g, fresh("g_regularized", taken)
        lines.append(f"{g}[...] = {' + '.join([f'{before}[...]', *penalties])}")
    if "weight_decay" in rates:
        w = fresh("w_decayed", taken)
        lines.append(f"{w}[...] = (1 - learning_rate * weight_decay) * w[...]")
    program = _preceded(update, lines, rates, {"g": g, "w": w})
    # With momentum = 0, say, a state is computed but never read.
    states = tuple(s for s in definition.states if s in names(update))
    results = ("w_next", *(f"{s}_next" for s in states))
    return Optimizer(use.type, replace(program, results=results), states, learning_rate)


def _preceded(
    update: Program, lines: list[str], rates: Mapping[str, float], renamed: Mapping[str, str]
) -> Program:
    """The update, reading under their new names what these lines before it compute."""
    if not lines:
        return update
    axes = ("...",)
    given = {"w": axes, "g": axes, "learning_rate": ()}
    first = parse("\n".join(lines), inputs=given, constants=rates)
    reads = {
        a: Access(renamed[a.tensor], *a.indices)
        for e in update.equations
        for a in accesses(e.body)
        if a.tensor in renamed
    }
    equations = (replace(e, body=e.body.xreplace(reads)) for e in update.equations)
    inputs = {t.name: t for t in (*first.inputs, *update.inputs)}
    return lean(Program((*first.equations, *equations), tuple(inputs.values())))


def lean(program: Program) -> Program:
    """The program with only those inputs that it reads."""
    read = {a.tensor for e in program.equations for a in accesses(e.body)}
    return replace(program, inputs=tuple(t for t in program.inputs if t.name in read))
