"""What `stop_gradient` takes for a constant, as inputs of its own.

    L = sum[i](x[i]*stop_gradient(h[i]))        L = sum[i](x[i]*stop_gradient(h_held[i]))
    h[i] = x[i]**2                        ->    h_held[i] = x_held[i]**2, x_held an input

The derivative of the right program by `x` is what a derivative of the left one is meant to be, so
that differences may move `x` where `x_held` stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sympy import Expr

from derive.gradients.normal_form import fresh, names, needed
from derive.language.functions import stop_gradient
from derive.language.notation import Access, Equation, Program, accesses


def holding(program: Program) -> tuple[Program, Mapping[str, str]]:
    """The program with such inputs, and for each of them the input that it is a copy of."""
    taken = names(program)
    copies = {name: fresh(f"{name}_held", taken) for name in sorted(names(program))}
    again = tuple(_renamed(e, copies) for e in program.equations)
    equations = tuple(_stopped(e, copies) for e in program.equations)
    held = tuple(replace(t, name=copies[t.name]) for t in program.inputs)
    whole = replace(program, equations=(*again, *equations), inputs=(*program.inputs, *held))
    whole = needed(whole, program.results or (program.result,))
    read = {a.tensor for e in whole.equations for line in e.lines for a in accesses(line.body)}
    of = {copies[t.name]: t.name for t in program.inputs if copies[t.name] in read}
    kept = (*program.inputs, *(t for t in held if t.name in of))
    return replace(whole, inputs=kept), of


def _copied(e: Expr, copies: Mapping[str, str]) -> Expr:
    """The expression of the copies; lookups within indices too."""
    return e.replace(
        lambda part: isinstance(part, Access), lambda a: Access(copies[a.tensor], *a.indices)
    )


def _stopped(e: Equation, copies: Mapping[str, str]) -> Equation:
    """The equation with copies in what it stops."""
    found = {part: _copied(part, copies) for part in e.body.atoms(stop_gradient)}
    return replace(e, body=e.body.xreplace(found))


def _renamed(e: Equation, copies: Mapping[str, str]) -> Equation:
    recurrence = e.recurrence
    if recurrence is not None:
        recurrence = replace(recurrence, initial=_copied(recurrence.initial, copies))
    return replace(
        e,
        target=copies[e.target],
        origin=copies.get(e.origin, e.origin),
        body=_copied(e.body, copies),
        recurrence=recurrence,
    )
