"""Derivatives of functions computed with the functions, while their common parts are at hand.

    a[n,j]     = z[n,j]*s(z[n,j])              a[n,j] = z[n,j]*s(z[n,j])
    ...                                        d[n,j] = s(z[n,j])*(1 + z[n,j]*c(z[n,j]))
    z_bar[n,j] = s(z[n,j])*(1 +        ->      ...
                 z[n,j]*c(z[n,j]))*            z_bar[n,j] = d[n,j]*a_bar[n,j]
                 a_bar[n,j]

From the one pass to the other a single array is kept, in place of all that the two have in common,
and a tile of z is read once. Exact, because a factor gets a name and changes no value.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sympy import Expr, Mul, preorder_traversal

from derive.code.elementwise import FUNCTIONS
from derive.gradients.normal_form import fresh, names
from derive.language import functions as f
from derive.language import scans
from derive.language.notation import Equation, Index, Program, accesses

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
    known: dict[Expr, int] = {}  # the last equation that computes a function
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
        if e.target in {*place, *steps} or e.reduction is not None or not e.body.is_Mul:
            continue
        factors = [x for x in e.body.args if all(a.tensor in place for a in accesses(x))]
        factor = Mul(*factors)
        shared = [known[x] for x in _functions(factor) if x in known]
        if not shared or len(factors) == len(e.body.args):
            continue
        own = tuple(i for i in e.indices if factor.has(i))
        origin = e.origin or e.target
        named = Equation(fresh(f"{e.target}_in", taken), own, factor, origin)
        rest = Mul(*(x for x in e.body.args if x not in factors))
        changed[-1] = replace(e, body=Mul(named.access, rest))
        at = max(*shared, *(place[a.tensor] for a in accesses(factor)))
        behind.setdefault(at, []).append(named)
        moved.add(origin)
    if not moved:
        return program, frozenset()
    equations = [x for k, e in enumerate(changed) for x in (e, *behind.get(k, ()))]
    results = program.results or (program.result,)
    return replace(program, equations=tuple(equations), results=results), frozenset(moved)


def _functions(e: Expr) -> set[Expr]:
    """The costly functions in an expression, whatever their indices are called."""
    found = set()
    for x in e.atoms(*COSTLY):
        own = dict.fromkeys(i for i in preorder_traversal(x) if isinstance(i, Index))
        found.add(x.xreplace({i: i.renamed(f"_{k}") for k, i in enumerate(own)}))
    return found
