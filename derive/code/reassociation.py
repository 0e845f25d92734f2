"""A sum of products whose factor is a sum of products, by a product that is known already.

    o[t,k] = sum[s](P[t,s]*v[s,k])                     o[t,k] = sum[s](P[t,s]*v[s,k])
    g[t,s] = sum[k](u[t,k]*v[s,k])             ->      g[t,s] = sum[k](u[t,k]*v[s,k])
    d[t]   = sum[s](P[t,s]*g[t,s])                     d[t]   = sum[k](u[t,k]*o[t,k])

Exact, because both are sum[s,k](P[t,s]*u[t,k]*v[s,k]): a finite sum is linear, and its order is
free. Done where d is no matrix product and the other form has fewer terms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import permutations

from sympy import Expr, Mul

from derive.code.views import count
from derive.language import scans
from derive.language.notation import Access, Equation, Index, Program, Reduce

Pair = tuple[Expr, Access, Access]  # a number and the two factors that it has


def reassociated(program: Program) -> Program:
    """The program with such sums in the form that has fewer terms."""
    results = program.results or (program.result,)
    known: dict[str, tuple[Equation, Pair]] = {}
    of_factor: dict[str, list[str]] = {}  # the products that a tensor is a factor of
    found: list[Equation] = []
    for group in scans.groups(program.equations):
        alone = scans.recurrence(group) is None
        for e in group:
            if alone and (pair := _product(e)):
                if better := _reassociated(e, pair, known, of_factor):
                    e = better
                known[e.target] = (e, pair)
                for a in {pair[1].tensor, pair[2].tensor}:
                    of_factor.setdefault(a, []).append(e.target)
            found.append(e)
    return replace(program, equations=tuple(found), results=results)


def _product(e: Equation) -> Pair | None:
    """The two tensors whose products an equation sums, each read at plain indices."""
    if e.reduction != "sum" or e.guard != 1 or e.recurrence is not None:
        return None
    number, rest = e.term.as_coeff_Mul()
    factors = Mul.make_args(rest)
    if len(factors) != 2 or not all(isinstance(a, Access) and _is_plain(a) for a in factors):
        return None
    return number, factors[0], factors[1]


def _is_plain(a: Access) -> bool:
    return all(isinstance(x, Index) for x in a.indices) and len(set(a.indices)) == len(a.indices)


def _reassociated(
    e: Equation,
    pair: Pair,
    known: Mapping[str, tuple[Equation, Pair]],
    of_factor: Mapping[str, list[str]],
) -> Equation | None:
    number, *factors = pair
    everything = {*e.indices, *e.bound}
    if any(set(a.indices) != everything for a in factors):
        return None  # a matrix product
    for p, g in permutations(factors):
        if g.tensor not in known:
            continue
        inner, own = known[g.tensor]
        # The factor's own equation in this one's indices, what it sums over under new names.
        new = dict(zip(inner.indices, g.indices, strict=True))
        new |= {i: i.renamed(f"_{i.name}") for i in inner.bound}
        if not _is_renaming(new) or {new[i] for i in inner.bound} & everything:
            continue
        for u, v in permutations(a.xreplace(new) for a in own[1:]):
            if set(u.indices) & set(e.bound):
                continue
            for at in of_factor.get(p.tensor, ()):
                for scale, product in _read(*known[at], p, v, e.bound):
                    bound = tuple(new[i] for i in inner.bound)
                    kept = {*u.indices, *product.indices}
                    if kept == {*e.indices, *bound} and 2 * count(kept) <= count(everything):
                        term = number * own[0] / scale * u * product
                        return replace(e, body=Reduce(e.body.op, term, bound, e.guard))
    return None


def _read(
    e: Equation, pair: Pair, p: Access, v: Access, bound: tuple[Index, ...]
) -> Iterator[tuple[Expr, Access]]:
    """Where a product holds sum[bound](p*v), and times which number."""
    for a, b in permutations(pair[1:]):
        if (a.tensor, b.tensor) != (p.tensor, v.tensor):
            continue
        own = dict(zip(a.indices, p.indices, strict=True))
        if any(own.setdefault(i, j) != j for i, j in zip(b.indices, v.indices, strict=True)):
            continue
        if _is_renaming(own) and {own[i] for i in e.bound} == set(bound):
            yield pair[0], Access(e.target, *(own[i] for i in e.indices))


def _is_renaming(new: Mapping[Index, Index]) -> bool:
    """Whether indices keep their ranges, and stay different ones."""
    return len(set(new.values())) == len(new) and all(i.size == j.size for i, j in new.items())
