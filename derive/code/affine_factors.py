"""Sums of products with a factor that need not be kept: it follows from one that is kept anyway.

    y[n,i] = x[n,i]*c[i] + b[i]                 y[n,i] = x[n,i]*c[i] + b[i]
    ...                                         ...
    v[j]   = sum[n](g[n,j])              ->     v[j]   = sum[n](g[n,j])
    W[i,j] = sum[n](y[n,i]*g[n,j])              s[i,j] = sum[n](x[n,i]*g[n,j])
                                                W[i,j] = s[i,j]*c[i] + b[i]*v[j]

Exact, because sum[n]((x*c + b)*g) = c*sum[n](x*g) + b*sum[n](g) where c and b do not have the index
n. Done where y, the output of a normalization, is then read by the forward pass alone, so that its
memory is free from there on, and where the sums together have fewer elements than it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, takewhile

from sympy import Add, Expr, Mul

from derive.code.views import count
from derive.gradients.normal_form import fresh, names
from derive.language import scans
from derive.language.notation import Access, Equation, Index, Program, Reduce, accesses


@dataclass(frozen=True)
class _Affine:
    """An equation `y = kept*scale + shift`, at the same indices of y and what is kept."""

    equation: Equation
    kept: Access
    scale: Expr
    shift: Expr

    @property
    def own(self) -> set[Index]:
        """The indices of scale and shift."""
        return {i for a in accesses(self.scale + self.shift) for i in a.indices}


def without_affine_factors(program: Program, forward: Collection[str]) -> Program:
    """The program with such sums; `forward` are the targets of the forward pass."""
    results = {*program.results} or {program.result}
    steps = {
        e.target
        for group in scans.groups(program.equations)
        if scans.recurrence(group) is not None
        for e in group
    }
    back = [e for e in program.equations if e.target not in forward]
    read_back = {a.tensor for e in back for a in accesses(e.body)}
    of_tensor: dict[str, list[Equation]] = {}  # that read it, in order
    for e in back:
        for tensor in {a.tensor for a in accesses(e.body)}:
            of_tensor.setdefault(tensor, []).append(e)
    taken = names(program)
    instead: dict[str, tuple[Equation, ...]] = {}
    for e in program.equations:
        y = _affine(e, read_back) if e.target in forward and e.target not in results else None
        readers = of_tensor.get(e.target, []) if y else []
        if not y or not readers or any(r.target in steps or r.target in instead for r in readers):
            continue
        if sum(count(r.indices) for r in readers) > count(e.indices):
            continue
        found = [_apart(r, y, of_tensor) for r in readers]
        if not all(found):
            continue
        for r, parts in zip(readers, found, strict=True):
            assert parts is not None
            product, scale, rest = parts
            name = fresh("s", taken)
            first = replace(r, target=name, body=product, origin=r.origin or r.target)
            whole = Access(name, *r.indices) * scale + rest
            instead[r.target] = (first, replace(r, body=whole))
    equations = (f for e in program.equations for f in instead.get(e.target, (e,)))
    return replace(program, equations=tuple(equations))


def _affine(e: Equation, read: Collection[str]) -> _Affine | None:
    """The parts of `y[n,i] = x[n,i]*c[i] + b[i]`, x being one of the tensors that are `read`."""
    if e.reduction is not None or e.recurrence is not None or len(Add.make_args(e.body)) != 2:
        return None
    for product, shift in permutations(Add.make_args(e.body)):
        for kept in Mul.make_args(product):
            if not (isinstance(kept, Access) and kept.indices == e.indices and kept.tensor in read):
                continue
            y = _Affine(e, kept, product / kept, shift)
            plain = all(isinstance(a, Access) for a in (y.scale, shift))
            if plain and y.own < {*e.indices} and count(y.own) < count(e.indices):
                return y
    return None


def _apart(
    e: Equation, y: _Affine, of_tensor: Mapping[str, Sequence[Equation]]
) -> tuple[Expr, Expr, Expr] | None:
    """For `sum(y*g)`: the sum with what is kept, its factor, and what is added to it."""
    factors = Mul.make_args(e.term)
    if e.reduction != "sum" or e.guard != 1 or e.recurrence is not None or len(factors) != 2:
        return None
    for a, g in permutations(factors):
        if not (isinstance(a, Access) and isinstance(g, Access) and _is_plain(a) and _is_plain(g)):
            return None
        if a.tensor != y.equation.target or g.tensor == a.tensor:
            continue
        new = dict(zip(y.equation.indices, a.indices, strict=True))
        if {new[i] for i in y.own} & {*e.bound, *g.indices}:
            continue
        scale, shift, kept = (part.xreplace(new) for part in (y.scale, y.shift, y.kept))
        before = takewhile(lambda other: other is not e, of_tensor[g.tensor])
        for total in _sums(g, e.bound, before):
            return Reduce("sum", kept * g, e.bound), scale, shift * total
    return None


def _sums(g: Access, bound: tuple[Index, ...], equations: Iterable[Equation]) -> Iterator[Access]:
    """Where one of some equations computes `sum[bound](g)`."""
    for e in equations:
        a = e.term
        if e.reduction != "sum" or e.guard != 1 or e.recurrence is not None:
            continue
        if isinstance(a, Access) and _is_plain(a):
            own = dict(zip(a.indices, g.indices, strict=True))
            if {own[i] for i in e.bound} == {*bound}:
                yield Access(e.target, *(own[i] for i in e.indices))


def _is_plain(a: Access) -> bool:
    return all(isinstance(i, Index) for i in a.indices) and len({*a.indices}) == len(a.indices)
