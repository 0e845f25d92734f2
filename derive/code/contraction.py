"""Sums of products as matrix products.

    sum[i](x[n,i]*W[i,j])             np.matmul(x, W)
    sum[n](x[n,i]*z_bar[n,j])         np.matmul(x.T, z_bar)
    sum[n,t](x[n,t,i]*g[n,t,j])       np.matmul(x.reshape(N*T, I).T, g.reshape(N*T, J))
    sum[j](p[n,j]*g[n,j])             np.vecdot(p, g)

Factors over the same indices are multiplied first, each sum is carried out as soon as no other
factor needs its index, and several factors are paired in the cheapest order. Each factor of a pair
is a stack of matrices: indices that both have and the result keeps count the matrices, those that
both have and are summed are the inner axis, the others are rows or columns. Matrices are views
wherever memory allows it. Exact, because sums are linear and multiplication commutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from string import ascii_letters
from typing import Any

from sympy import Add, Expr, Mul, Pow, S

from derive.code.elementwise import Elementwise
from derive.code.statements import Value, size_text
from derive.code.views import arranged, count, estimate, merged, shape_text
from derive.language.notation import Index, indices

Order = tuple[Index, ...]
Tree = Any  # the position of a factor, or a pair of trees

LONG_SUM = 65536  # terms; more are summed in pairs, which rounds less
SMALL_MATRIX = 1024  # elements of a matrix in a stack, below which BLAS gains nothing


def summed(values: Elementwise, term: Expr, bound: Order, conditions: Sequence[Expr] = ()) -> Value:
    """sum[bound](term) over the points where all `conditions` hold."""
    addends = Add.make_args(term)
    if len(addends) > 1 and _differ(addends, bound):
        first, *rest = sorted(addends, key=lambda a: a.could_extract_minus_sign())
        total = summed(values, first, bound, conditions)
        for addend in rest:
            negative = addend.could_extract_minus_sign()
            part = summed(values, -addend if negative else addend, bound, conditions)
            total = values.apply("subtract" if negative else "add", total, part)
        return total
    return _sum_of_product(values, (*Mul.make_args(term), *conditions), bound)


def reduced(values: Elementwise, function: str, value: Value, over: Iterable[Index]) -> Value:
    """`function.reduce` over some axes of a value."""
    axes = [k for k, i in enumerate(value.indices) if i in set(over)]
    if not axes:
        return value
    kept = tuple(i for i in value.indices if i not in set(over))
    if function == "add" and (found := _times_ones(values, value, kept)):
        return reduced(values, function, found, over)
    axis = "None" if not kept else str(axes[0] if len(axes) == 1 else tuple(axes))
    out = values.code.array(kept)
    arguments = f"{value.text}, axis={axis}"
    return values.code.call(f"np.{function}.reduce", arguments, out, operations=value.elements)


def _times_ones(values: Elementwise, value: Value, kept: Order) -> Value | None:
    """The sums over axes that lie in one block of memory, as products of a matrix and ones.

    b[j] = sum[n,t](z[j,n,t])    ->    np.matmul(z.reshape(J, N*T), ones)
    s[n] = sum[d](x[d,n])        ->    np.matmul(ones, x)

    BLAS sums some times faster. Where earlier axes are summed too, the last ones are now and the
    others after that, two calls that each have whole rows:

    s[c] = sum[p,q,n](z[p,c,q,n])    ->    t[p,c] = sum[q,n](z[p,c,q,n]*1), s[c] = sum[p](t[p,c])
    """
    if not kept or values.code.loop is not None or value.kind != "real" or not value.whole:
        return None
    whole = value.indices
    last = max(whole.index(i) for i in kept)
    stack: Order = ()
    columns: Order = ()
    if last + 1 < len(whole):
        rows, run = whole[: last + 1], whole[last + 1 :]
        if len(rows) > len(kept) and count(run) < 256:
            return None
    else:
        end = max(k for k, i in enumerate(whole) if i not in kept) + 1
        begin = next(k for k, i in enumerate(whole) if i not in kept)
        stack, run, rows, columns = whole[:begin], whole[begin:end], (), whole[end:]
        if set(run) & set(kept) or (stack and count((*run, *columns)) < SMALL_MATRIX):
            return None
    if count(run) > LONG_SUM:
        return None
    ones = _ones(values, Mul(*(i.size for i in run)))
    out = values.code.array((*stack, *rows, *columns))
    matrix, into = merged(value, (stack, rows, run, columns)), merged(out, (stack, rows, columns))
    both = f"{ones}, {matrix}" if columns else f"{matrix}, {ones}"
    axes = tuple(whole.index(i) for i in run)
    axis = axes[0] if len(axes) == 1 else axes
    return values.code.emit(
        out,
        f"{{out}} = np.add.reduce({value.text}, axis={axis})",
        f"np.matmul({both}, out={into})",
        operations=value.elements,
    )


def _ones(values: Elementwise, length: Expr) -> str:
    """A vector of ones, made once."""
    if length not in values.ones:
        ones = values.code.array((Index("_", length),), label="ones")
        made = f"{{out}} = np.ones({size_text(length)}, dtype)"
        values.ones[length] = values.code.emit(ones, made, "", operations=S.Zero)
    return values.ones[length].text


def _differ(addends: Sequence[Expr], bound: Order) -> bool:
    """Whether addends are cheaper summed one by one: some lack an index, or are contractions."""
    sets = [indices(a) for a in addends]
    if any(s != sets[0] for s in sets):
        return True
    return any(len(_groups(Mul.make_args(a))) > 1 for a in addends)


def _groups(factors: Iterable[Expr]) -> dict[frozenset[Index], list[Expr]]:
    """The factors by the indices that they depend on."""
    groups: dict[frozenset[Index], list[Expr]] = {}
    for factor in factors:
        groups.setdefault(indices(factor), []).append(factor)
    return groups


def _sum_of_product(values: Elementwise, factors: Iterable[Expr], bound: Order) -> Value:
    groups = _groups(factors)
    scalar = Mul(*groups.pop(frozenset(), ()))
    if len(groups) == 1 and bound:
        ((_, same),) = groups.items()
        parts = _pair_of_group(values, same)
    else:
        parts = [values.value(Mul(*same)) for same in groups.values()]
    present = {i for v in parts for i in v.indices}
    over = tuple(i for i in bound if i in present)
    scalar = Mul(scalar, *(i.size for i in bound if i not in present))
    if not parts:
        return values.value(scalar)
    if scalar != 1:
        smallest = min(parts, key=lambda v: estimate(v.elements))
        result = estimate(Mul(*(i.size for i in present if i not in over)))
        if 2 * estimate(smallest.elements) <= result:
            parts[parts.index(smallest)] = scaled(values, smallest, scalar)
            scalar = S.One
    return scaled(values, _contracted(values, parts, over), scalar)


def scaled(values: Elementwise, value: Value, scalar: Expr) -> Value:
    """The value times an expression without indices, in one multiplication or division."""
    if scalar == 1:
        return value
    numerator, denominator = scalar.as_numer_denom()
    if numerator == 1 and denominator not in (2, 4, 8, 16, 32, 64):
        return values.apply("divide", value, values.value(denominator))
    if scalar == -1:
        return values.apply("negative", value)
    return values.apply("multiply", value, values.value(scalar))


def _pair_of_group(values: Elementwise, factors: Sequence[Expr]) -> list[Value]:
    """Factors over the same indices as one value, or as two whose sum is a dot product."""
    above = [f for f in factors if not (f.is_Pow and f.exp.could_extract_minus_sign())]
    if len(above) > 1:
        rest = list(factors)
        rest.remove(above[0])
        return [values.value(above[0]), values.value(Mul(*rest))]
    (factor,) = factors if len(factors) == 1 else (Mul(*factors),)
    if factor.is_Pow and factor.exp.is_Integer and factor.exp > 0 and factor.exp % 2 == 0:
        root = values.value(Pow(factor.base, factor.exp // 2))
        return [root, root]
    return [values.value(factor)]


def _dot(values: Elementwise, a: Value, b: Value, over: Order) -> Value:
    """sum[over](a*b), the two having the same indices."""
    a, b = values.real(a), values.real(b)
    kept = tuple(i for i in values.frame if i in a.indices and i not in over)
    out = values.code.array(kept)
    operations = 2 * a.elements
    if not kept:
        if b.indices != a.indices:  # np.vdot would copy it unseen
            there, text = values.code.array(a.indices), arranged(b, a.indices)
            b = values.code.emit(there, f"{{out}} = {text}.copy()", f"np.copyto({{out}}, {text})")
        arguments = f"{a.text}, {b.text}"
        return values.code.call("np.vdot", arguments, out, operations=operations)
    inner = tuple(i for i in a.indices if i in over)
    left, right = (merged(v, (*((i,) for i in kept), inner)) for v in (a, b))
    if left and right and a.indices == b.indices == kept + inner:
        return values.code.call("np.vecdot", f"{left}, {right}", out, operations=operations)
    letters = dict(zip(values.frame, _letters(values.frame), strict=True))
    first, second, result = ("".join(letters[i] for i in x) for x in (a.indices, b.indices, kept))
    arguments = f'"{first},{second}->{result}", {a.text}, {b.text}'
    return values.code.call("np.einsum", arguments, out, operations=operations)


def _letters(indices: Order) -> Iterable[str]:
    """A letter for each index, its own name where that is one."""
    own = {i.name for i in indices if len(i.name) == 1 and i.name in ascii_letters}
    spare = (c for c in ascii_letters if c not in own)
    return [i.name if i.name in own else next(spare) for i in indices]


def _contracted(values: Elementwise, parts: Sequence[Value], over: Order) -> Value:
    """sum[over] of the product of the parts, paired in the cheapest order."""
    summed_early = []
    for k, part in enumerate(parts):
        others = {i for j, other in enumerate(parts) if j != k for i in other.indices}
        own = [i for i in part.indices if i in over and i not in others]
        summed_early.append(reduced(values, "add", values.real(part), own) if own else part)
    order = _order([frozenset(p.indices) for p in summed_early], frozenset(over))
    total, _ = _carried_out(values, summed_early, order, frozenset(over))
    return total


def _order(sets: Sequence[frozenset[Index]], over: frozenset[Index]) -> Tree:
    """The cheapest tree of pairs: leaves are positions, nodes are pairs of trees."""
    if len(sets) < 3:
        return (0, 1) if len(sets) == 2 else 0
    everything = frozenset(range(len(sets)))

    def indices(members: frozenset[int]) -> frozenset[Index]:
        inside = frozenset().union(*(sets[k] for k in members))
        outside = frozenset().union(*(sets[k] for k in everything - members))
        return frozenset(i for i in inside if i not in over or i in outside)

    @cache
    def best(members: frozenset[int]) -> tuple[float, Tree]:
        if len(members) == 1:
            return 0.0, next(iter(members))
        first, *rest = sorted(members)
        found = []
        for bits in range(2 ** len(rest) - 1):
            left = frozenset([first, *(m for k, m in enumerate(rest) if bits >> k & 1)])
            right = members - left
            (a, left_tree), (b, right_tree) = best(left), best(right)
            found.append(
                (
                    a + b + _cost(indices(left), indices(right), indices(members)),
                    bits,
                    (left_tree, right_tree),
                )
            )
        cost, _, tree = min(found, key=lambda t: t[:2])
        return cost, tree

    if len(sets) > 8:  # 3**8 pairs are looked at; a longer product is multiplied from the left
        tree: Tree = 0
        for k in range(1, len(sets)):
            tree = (tree, k)
        return tree
    return best(everything)[1]


def _cost(a: frozenset[Index], b: frozenset[Index], out: frozenset[Index]) -> float:
    """Time of one pair, in elements written: sixteen multiplications of a matrix product to one."""

    work = count(a | b)
    return count(out) + (work / 16 if a | b != out else 0.0)


def _carried_out(
    values: Elementwise, parts: Sequence[Value], tree: Tree, over: frozenset[Index]
) -> tuple[Value, frozenset[int]]:
    if isinstance(tree, int):
        return parts[tree], frozenset([tree])
    left, right = tree
    a, of_a = _carried_out(values, parts, left, over)
    b, of_b = _carried_out(values, parts, right, over)
    members = of_a | of_b
    outside = {i for k, p in enumerate(parts) if k not in members for i in p.indices}
    inner = tuple(i for i in a.indices if i in b.indices and i in over and i not in outside)
    return _pair(values, a, b, inner), members


def _pair(values: Elementwise, a: Value, b: Value, inner: Order) -> Value:
    """sum[inner](a*b), inner indices being ones of both."""
    if not inner:
        return values.apply("multiply", a, b)
    shared = set(a.indices) & set(b.indices)
    if set(a.indices) == set(b.indices):
        return _dot(values, a, b, inner)
    a, b = (_copied_before(values, values.real(v)) for v in (a, b))
    kept = tuple(i for i in values.frame if i in {*a.indices, *b.indices} and i not in inner)
    last = kept[-1] if kept[-1] not in shared else None
    if last in a.indices and not shared >= set(b.indices):
        a, b = b, a  # so that the last axis of the result is the columns
    elif shared == set(a.indices) == set(inner) and b.indices[-1] in inner:
        a, b = b, a  # a matrix and a vector
    stack = tuple(i for i in kept if i in shared)
    rows = tuple(i for i in a.indices if i not in shared)
    columns = tuple(i for i in b.indices if i not in shared)
    inner = _inner_order(a, b, stack, rows, columns, inner)
    # What a loop around picks counts matrices, so that each of its steps reads one block.
    first = tuple(i for i in kept if i in values.counted)
    if not stack and kept[: len(first)] == first and set(first) < set(columns):
        stack, columns = first, tuple(i for i in columns if i not in first)
    left = matrices(values, a, tuple(i for i in stack if i in a.indices), rows, inner)
    right = matrices(values, b, stack, inner, columns)
    if right.endswith(".T") and rows and columns and not stack and _is_steady(values, b):
        right = _copied(values, b, (*inner, *columns), (inner, columns))
    out = values.code.array(kept)
    into = merged(out, (*((i,) for i in stack), rows, columns))
    if into is None:
        out = values.code.array((*stack, *rows, *columns))
        into = merged(out, (*((i,) for i in stack), rows, columns))
    back = ""
    if stack and not rows:
        left, into, back = f"{left}[..., None, :]", f"{into}[..., None, :]", "[..., 0, :]"
    if stack and not columns:
        right, into, back = f"{right}[..., None]", f"{into}[..., None]", "[..., 0]"
    if len(rows) > 1 or len(columns) > 1:
        back += f".reshape{shape_text(i.size for i in (*stack, *rows, *columns))}"
    natural = (*stack, *rows, *columns)
    if out.indices != natural:
        back += (
            ""
            if not natural
            else f".transpose({', '.join(str(natural.index(i)) for i in out.indices)})"
        )
    return values.code.emit(
        out,
        f"{{out}} = np.matmul({left}, {right}){back}",
        f"np.matmul({left}, {right}, out={into})",
        operations=2 * Mul(*(i.size for i in {*a.indices, *b.indices})),
    )


def _copied_before(values: Elementwise, v: Value) -> Value:
    """The copy of a view that an earlier product made, say of the windows of an image."""
    if v.text not in values.copies:
        return v
    order, copied = values.copies[v.text]
    return Value(copied.text, tuple(v.indices[k] for k in order), v.kind)


def _inner_order(
    a: Value, b: Value, stack: Order, rows: Order, columns: Order, inner: Order
) -> Order:
    """The order of the inner axes in which fewer copies are needed; in doubt that of the larger."""
    orders = {tuple(i for i in v.indices if i in inner) for v in (a, b)}
    if len(orders) == 1:
        return orders.pop()
    stacks = tuple((i,) for i in stack)

    def badness(v: Value) -> tuple[float, float]:
        order = tuple(i for i in v.indices if i in inner)
        copied = [
            w
            for w, g in ((a, (rows, order)), (b, (order, columns)))
            if merged(w, (*stacks, *g)) is None
        ]
        return sum(estimate(w.elements) for w in copied), -estimate(v.elements)

    best = min((a, b), key=badness)
    return tuple(i for i in best.indices if i in inner)


def matrices(values: Elementwise, v: Value, stack: Order, rows: Order, columns: Order) -> str:
    """The value as a stack of matrices or vectors: a view, or a copy where no view has its axes."""
    groups = (*((i,) for i in stack), rows, columns)
    text = merged(v, groups)
    if text is None:
        # The last axis stays the last one: what lies beside each other is copied together.
        turned = bool(rows) and rows[-1] == v.indices[-1]
        order = (*stack, *columns, *rows) if turned else (*stack, *rows, *columns)
        return _copied(values, v, order, groups)
    return text


def _copied(values: Elementwise, v: Value, order: Order, groups: Sequence[Order]) -> str:
    """A copy of the value with its axes in order, as matrices."""
    out = values.code.array(order)
    text = arranged(v, order)
    copied = values.code.emit(out, f"{{out}} = {text}.copy()", f"np.copyto({{out}}, {text})")
    values.copies[v.text] = (tuple(v.indices.index(i) for i in order), copied)
    found = merged(copied, groups)
    assert found is not None
    return found


def _is_steady(values: Elementwise, v: Value) -> bool:
    """Whether a value is an array that the loop around does not change.

    A product of few rows takes half the time where its right matrix is no transposed view: a copy
    before the loop serves all steps.
    """
    loop, buffer = values.code.loop, values.code.buffers.get(v.buffer)
    if loop is None or buffer is None or buffer.of or buffer.local or buffer.stored:
        return False
    changed = (s.out == buffer.name and s.loop == loop for s in values.code.statements)
    return not any(changed) and not (loop.size.is_Integer and loop.size < 8)
