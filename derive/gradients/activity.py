"""Activity: the tensors whose cotangents are wanted or lead to one that is.

A tensor is active if it depends on an operand asked for, by a way that a derivative may flow:
through no index and no position of an extremum. What is not active has no cotangent, and nothing is
passed on to it.
"""

from __future__ import annotations

from derive.gradients.calculus import operands
from derive.gradients.normal_form import names
from derive.language.notation import DeriveError, Equation, Program, accesses
from derive.language.scans import groups, reads

POSITIONS = ("argmax", "argmin")


def active(program: Program, wrt: tuple[str, ...]) -> set[str]:
    """The tensors that depend on an operand asked for, and these themselves."""
    known = names(program)
    for name in wrt:
        if name not in known:
            raise DeriveError(f"{name}: nothing of that name stands in the equations")
    integer = {t.name for t in program.inputs if t.kind == "integer"}
    for name in wrt:
        if name in integer:
            raise DeriveError(f"{name} holds integers; there is no derivative by it")
    found = set(wrt)
    for group in groups(program.equations):
        before = -1
        while before < len(found):  # in a scan an equation may read what stands below it
            before = len(found)
            found |= {e.target for e in group if _is_active(e, found)}
            if len(group) == 1:
                break
    return found


def _is_active(equation: Equation, active: set[str]) -> bool:
    start = equation.recurrence
    if start and any(a.tensor in active for a in accesses(start.initial)):
        return True
    if equation.reduction in POSITIONS:
        return False
    return any(operand.tensor in active for operand in operands(equation))


def tensors_read(equation: Equation) -> list[str]:
    """The tensors that an equation reads, in the order of their reading."""
    own = [a.tensor for a in accesses(equation.body)]
    return list(dict.fromkeys((*own, *sorted(reads(equation)))))
