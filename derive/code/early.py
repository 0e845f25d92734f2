"""Derivatives of functions computed with the functions, while their common parts are at hand.

    a[n,j]     = z[n,j]*s(z[n,j])              a[n,j] = z[n,j]*s(z[n,j])
    ...                                        d[n,j] = s(z[n,j])*(1 + z[n,j]*c(z[n,j]))
    z_bar[n,j] = s(z[n,j])*(1 +        ->      ...
                 z[n,j]*c(z[n,j]))*            z_bar[n,j] = d[n,j]*a_bar[n,j]
                 a_bar[n,j]

    z_bar[n,j] = where(0 < z[n,j],             d[n,j] = where(0 < z[n,j], 1, exp(z[n,j]))
                 a_bar[n,j],           ->      ...
                 exp(z[n,j])*a_bar[n,j])       z_bar[n,j] = d[n,j]*a_bar[n,j]

From the one pass to the other a single array is kept, in place of all that the two have in common,
and a tile of z is read once. Exact, because what all addends, or both values
of a choice, have as a factor is a factor of the whole.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import replace

from sympy import Add, Expr, Mul, S

from derive.code.elementwise import FUNCTIONS, anywhere
from derive.gradients.normal_form import fresh, names
from derive.gradients.reuse import is_everywhere
from derive.language import functions as f
from derive.language import scans
from derive.language.notation import Equation, Program, accesses, holds

CHEAP = frozenset(("abs", "sign", "rint", "maximum", "minimum", "mod", "floor_divide", "floor"))
COSTLY = (f.horner, *(kind for kind, name in FUNCTIONS.items() if name not in CHEAP))


def early(program: Program, forward: Collection[str]) -> tuple[Program, frozenset[str]]:
    """The program, and the equations that now have a factor computed among those of `forward`."""
    steps = {
        e.target
        for group in scans.groups(program.equations)
        if scans.recurrence(group) is not None
        for e in group
    }
    place = {t.name: -1 for t in program.inputs}
    known: dict[Hashable, int] = {}  # the last equation that computes a function
    for k, e in enumerate(program.equations):
        if e.target in forward:
            place[e.target] = k
            if e.target not in steps and e.reduction is None:
                known |= dict.fromkeys(_functions(e.body), k)
    taken = names(program)
    behind: dict[int, list[Equation]] = {}
    changed: list[Equation] = []
    moved: set[str] = set()
    for e in program.equations:
        changed.append(e)
        if e.target in place or e.target in steps or e.reduction or not holds(e.body, COSTLY):
            continue
        rest, factor = _apart(e.body, place)
        shared = [known[x] for x in _functions(factor) if x in known]
        if not shared or rest == 1:
            continue
        own = tuple(i for i in e.indices if factor.has(i))
        origin = e.origin or e.target
        named = Equation(fresh(f"{e.target}_in", taken), own, factor, origin)
        changed[-1] = replace(e, body=Mul(named.access, rest))
        at = max(*shared, *(place[a.tensor] for a in accesses(factor)))
        behind.setdefault(at, []).append(named)
        moved.add(origin)
    if not moved:
        return program, frozenset()
    equations = [x for k, e in enumerate(changed) for x in (e, *behind.get(k, ()))]
    results = program.results or (program.result,)
    return replace(program, equations=tuple(equations), results=results), frozenset(moved)


def _apart(e: Expr, there: Collection[str]) -> tuple[Expr, Expr]:
    """Two factors of an expression, the second one of tensors that are there.

    Addends, and both values of a choice, have the first one in common: a*b + a*c is a*(b + c). What
    is taken out of a choice is finite, and inside its tensors, at every point.
    """
    if _is_there(e, there):
        return S.One, e
    if e.is_Mul:
        rests, factors = zip(*(_apart(x, there) for x in e.args), strict=True)
        return Mul(*rests), Mul(*factors)
    chosen = e.args[1:] if isinstance(e, f.where) and _is_there(e.args[0], there) else ()
    if parts := e.args if e.is_Add else chosen:
        rests, factors = zip(*(_apart(x, there) for x in parts), strict=True)
        if len({rest for rest, factor in zip(rests, factors, strict=True) if factor != 0}) == 1:
            rest = next(rest for rest, factor in zip(rests, factors, strict=True) if factor != 0)
            if e.is_Add:
                return rest, Add(*factors)
            if all(map(is_everywhere, Mul.make_args(rest))):
                return rest, f.where(e.args[0], *factors)
    return e, S.One


def _is_there(e: Expr, there: Collection[str]) -> bool:
    return all(a.tensor in there for a in accesses(e))


def _functions(e: Expr) -> set[Hashable]:
    """The costly functions in an expression, whatever their indices are called."""
    return {anywhere(x)[1] for x in e.atoms(*COSTLY)} if holds(e, COSTLY) else set()
