"""Stacking: the products of a scan's step, and those of its cotangents, as one product each.

    z[n,t,m] = sum[d](x[n,t,d]*W[d,m]) + sum[k](h[n,t-1,k]*U[k,m]) + b[m]

    ->    V[q,m]   = W, b and U above each other        once, before the scan
          v[n,t,q] = x[n,t], 1 and h[n,t-1] beside each other
          z[n,t,m] = sum[q](v[n,t,q]*V[q,m])

    W_bar[d,m] = sum[n,t](x[n,t,d]*y[n,t,m])      and those of U and b likewise

    ->    V_bar[q,m] = sum[n,t](v[n,t,q]*y[n,t,m])
          W_bar[d,m] = V_bar[d,m], ...

Exact: a sum over q is the sum of the sums over its blocks. A step of few columns is then one call
instead of two, and no array has to hold the products of all steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sympy import Add, Expr, Mul, S, Symbol, preorder_traversal

from derive.gradients.normal_form import fresh, names
from derive.language import scans
from derive.language.functions import and_, le, lt, where
from derive.language.notation import Access, Equation, Index, Program, Reduce, accesses


@dataclass(frozen=True)
class Layer:
    """An addend of a member: `data` of the step times `weight`, summed over `bound`.

    That of a constant has no `bound`, and 1 for its data.
    """

    data: Expr
    weight: Access
    bound: Index | None
    by: str = ""  # the equation of the sum

    @property
    def size(self) -> Expr:
        return S.One if self.bound is None else self.bound.size


@dataclass(frozen=True)
class Stack:
    """Layers one above the other, which together are rows 0 to `row.size - 1`.

    `inputs` are the indices of the array of that name, `indices` those of the member; `columns`
    are the ones that the weights have.
    """

    name: str
    indices: tuple[Index, ...]
    inputs: tuple[Index, ...]
    row: Index
    columns: tuple[Index, ...]
    layers: tuple[Layer, ...]

    def starts(self) -> Iterator[tuple[Expr, Layer]]:
        start = S.Zero
        for layer in self.layers:
            yield start, layer
            start = start + layer.size


def stacked(program: Program) -> Program:
    """The program, in normal form, with the products of each member of a scan as one."""
    if all(e.recurrence is None for e in program.equations):
        return program
    results = program.results or (program.result,)
    taken, sizes = names(program), dict(program.sizes)
    equations = {e.target: e for e in program.equations}
    for group in scans.groups(scans.ordered(program.equations)):
        found = scans.recurrence(group)
        if found is None:
            continue
        inside = {e.target for e in group}
        for e in group:
            for added in _sums(e):
                layers = _layers(added, e, equations, inside, found.index, results)
                if len({l.data for l in layers}) == len(layers) and _pays(layers, inside, sizes):
                    stack = _Stacking(equations, taken, e, added, layers).run()
                    _cotangents(equations, taken, stack, inside)
                    break
    return replace(program, equations=tuple(equations.values()), results=results)


def _pays(layers: Sequence[Layer], inside: set[str], sizes: Mapping[Symbol, Expr]) -> bool:
    """Whether rows of the state, of which there must be some, are at least half of all."""
    state, before = S.Zero, S.Zero
    for layer in layers:
        if isinstance(layer.data, Access) and layer.data.tensor in inside:
            state = state + layer.size
        elif isinstance(layer.data, Access):
            before = before + layer.size
    more = (state - before).xreplace(dict(sizes))
    return bool(state != 0 and before != 0 and more.is_number and more >= 0)


def _sums(e: Equation) -> list[Expr]:
    """The sums a + b + ... in a body, outermost first."""
    return [] if e.reduction else [a for a in preorder_traversal(e.body) if a.is_Add]


def _layers(
    added: Expr,
    e: Equation,
    equations: Mapping[str, Equation],
    inside: set[str],
    t: Index,
    results: Sequence[str],
) -> tuple[Layer, ...]:
    """The layers among the addends of a sum in a member."""
    read = [a.tensor for other in equations.values() for a in accesses(other.body)]
    found: dict[tuple[Index, ...], list[Layer]] = {}
    for addend in Add.make_args(added):
        layer, columns = _layer(addend, e, equations, inside, t)
        if layer is None:
            continue
        if layer.by and (read.count(layer.by) > 1 or layer.by in results):
            continue
        found.setdefault(columns, []).append(layer)
    if not found:
        return ()
    best = max(found.values(), key=len)
    constants = [l for l in best if l.bound is None]
    products = [l for l in best if l.bound is not None]
    products.sort(key=lambda l: any(a.tensor in inside for a in accesses(l.data)))
    before = [l for l in products if not any(a.tensor in inside for a in accesses(l.data))]
    return (*before, *constants[:1], *products[len(before) :])


def _layer(
    addend: Expr, e: Equation, equations: Mapping[str, Equation], inside: set[str], t: Index
) -> tuple[Layer | None, tuple[Index, ...]]:
    """An addend as a layer, and the axes of the member that its weights have."""
    none = None, ()
    if not isinstance(addend, Access) or not set(addend.indices) <= set(e.indices):
        return none
    if t not in addend.indices:
        columns = tuple(i for i in e.indices if i in addend.indices)
        return none if addend.tensor in inside else (Layer(S.One, addend, None), columns)
    s = equations.get(addend.tensor)
    if s is None or s.reduction != "sum" or s.guard != 1 or len(s.bound) != 1:
        return none
    if s.recurrence is not None or set(addend.indices) != set(e.indices):
        return none
    (k,) = s.bound
    if k in e.indices:
        return none
    term = s.term.xreplace(dict(zip(s.indices, addend.indices, strict=True)))
    factors = Mul.make_args(term)
    if len(factors) != 2 or not all(isinstance(a, Access) for a in factors):
        return none
    weight, data = sorted(factors, key=lambda a: len(a.indices))
    columns = tuple(i for i in e.indices if i in weight.indices)
    if weight.tensor in inside or t in columns or not columns:
        return none
    if len(weight.indices) != len(columns) + 1 or set(weight.indices) != {k, *columns}:
        return none
    plain = [x for x in data.indices if isinstance(x, Index)]
    moved = [x for x in data.indices if not isinstance(x, Index)]
    others = set(e.indices) - set(columns)
    if moved:
        step = {(x - t).expand() for x in moved}
        if len(moved) > 1 or data.tensor not in inside or not all(x.is_Integer for x in step):
            return none
        plain.append(t)
    if len(plain) != len(set(plain)) or set(plain) != others | {k}:
        return none
    return Layer(data, weight, k, addend.tensor), columns


class _Stacking:
    """A member's layers replaced by one sum."""

    def __init__(
        self,
        equations: dict[str, Equation],
        taken: set[str],
        e: Equation,
        added: Expr,
        layers: tuple[Layer, ...],
    ) -> None:
        self.equations, self.taken, self.e, self.added = equations, taken, e, added
        columns = tuple(i for i in e.indices if i in layers[0].weight.indices)
        names_ = {i.name for i in e.indices} | {l.bound.name for l in layers if l.bound}
        row = Index(fresh("q", names_), Add(*(l.size for l in layers)))
        inputs = (*(i for i in e.indices if i not in columns), row)
        name = fresh(f"{e.target}_rows", taken)
        self.stack = Stack(name, e.indices, inputs, row, columns, layers)

    def run(self) -> Stack:
        e, stack = self.e, self.stack
        origin = e.origin or e.target
        weights = fresh(f"{e.target}_weights", self.taken)
        total = fresh(f"{e.target}_sum", self.taken)
        row, columns = stack.row, stack.columns
        below, beside = S.Zero, S.Zero
        for start, layer in stack.starts():
            there = {} if layer.bound is None else {layer.bound: row - start}
            below = below + block(row, start, layer.size, layer.weight.xreplace(there))
            beside = beside + block(row, start, layer.size, layer.data.xreplace(there))
            self.equations.pop(layer.by, None)
        mine = {l.by or l.weight.tensor for l in stack.layers}
        rest = Add(*(a for a in Add.make_args(self.added) if _tensor(a) not in mine))
        product = Access(stack.name, *stack.inputs) * Access(weights, row, *columns)
        found = [
            Equation(weights, (row, *columns), below, origin),
            Equation(stack.name, stack.inputs, beside, origin),
            Equation(total, e.indices, Reduce("sum", product, (row,)), origin),
            replace(e, body=e.body.xreplace({self.added: Access(total, *e.indices) + rest})),
        ]
        _put(self.equations, e.target, found)
        return stack


def _tensor(e: Expr) -> str:
    return e.tensor if isinstance(e, Access) else ""


def block(axis: Index, start: Expr, size: Expr, term: Expr) -> Expr:
    """The term where an axis is from `start` to `start + size - 1`, elsewhere 0."""
    inside = []
    if start != 0:
        inside.append(le(S.Zero, axis - start))
    if (start + size - axis.size).expand() != 0:
        inside.append(lt(axis - start, size))
    return where(and_(*inside), term, S.Zero)


def _put(equations: dict[str, Equation], place: str, found: Sequence[Equation]) -> None:
    """Equations in the place of that of a tensor."""
    after = dict(equations)
    equations.clear()
    for target, e in after.items():
        if target == place:
            equations.update({f.target: f for f in found})
        else:
            equations[target] = e


def _cotangents(
    equations: dict[str, Equation], taken: set[str], stack: Stack, inside: set[str]
) -> None:
    """Sums over all steps of what the layers read times the same: rows of one such sum."""
    others = stack.inputs[:-1]
    found: dict[Access, list[tuple[Equation, Access]]] = {}
    for e in equations.values():
        if e.reduction != "sum" or e.guard != 1 or e.target in inside:
            continue
        for start, layer in stack.starts():
            if (matched := _matched(e, layer, stack)) is not None:
                y, row, columns = matched
                at = start if row is None else row + start
                found.setdefault(y, []).append((e, Access("", at, *columns)))
                break
    for y, matches in found.items():
        if len(matches) < 2:
            continue
        name = fresh(f"{stack.name}_bar", taken)
        product = Access(stack.name, *stack.inputs) * y
        first, _ = matches[0]
        body = Reduce("sum", product, others)
        joint = Equation(name, (stack.row, *stack.columns), body, first.origin or first.target)
        for e, at in matches:
            part = replace(e, body=Access(name, *at.indices))
            _put(equations, e.target, [joint, part] if e is first else [part])


def _matched(
    e: Equation, layer: Layer, stack: Stack
) -> tuple[Access, Index | None, tuple[Index, ...]] | None:
    """What a sum multiplies a layer's data by, in a stack's indices; its own for row and columns.

    The axes of that factor are those of the member, in order.
    """
    factors = Mul.make_args(e.term)
    if not all(isinstance(a, Access) for a in factors):
        return None
    pairs: list[tuple[dict[Index, Index], Access]] = []
    if layer.bound is None and len(factors) == 1:
        pairs = [({}, factors[0])]
    elif layer.bound is not None and len(factors) == 2:
        for data, y in (factors, factors[::-1]):
            if (to := _unified(data, layer.data)) is not None:
                pairs.append((to, y))
    for to, y in pairs:
        if len(y.indices) != len(stack.indices) or len(set(y.indices)) < len(y.indices):
            continue
        axes = dict(zip(y.indices, stack.indices, strict=True))
        if not all(isinstance(i, Index) and i.size == k.size for i, k in axes.items()):
            continue
        if any(axes.get(i, k) != k for i, k in to.items()):
            continue
        own = {k: i for i, k in {**to, **axes}.items()}
        columns = tuple(own[k] for k in stack.columns)
        row = None if layer.bound is None else own.get(layer.bound)
        left = columns if row is None else (row, *columns)
        if (row is None) != (layer.bound is None) or set(e.indices) != set(left):
            continue
        if {axes.get(i) for i in e.bound} == set(stack.inputs[:-1]):
            return y.xreplace(axes), row, columns
    return None


def _unified(a: Expr, b: Expr) -> dict[Index, Index] | None:
    """Which indices of `a` are which of `b`, both reading the same elements of a tensor."""
    if not (isinstance(a, Access) and isinstance(b, Access)) or a.tensor != b.tensor:
        return None
    to: dict[Index, Index] = {}
    for x, y in zip(a.indices, b.indices, strict=True):
        own, its = sorted(x.atoms(Index), key=str), sorted(y.atoms(Index), key=str)
        if len(own) != 1 or len(its) != 1 or own[0] in to or own[0].size != its[0].size:
            return None
        if (x.xreplace({own[0]: its[0]}) - y).expand() != 0:
            return None
        to[own[0]] = its[0]
    return to
