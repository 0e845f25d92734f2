"""What a rewriting step relies on: the identities it applies, and what the tensors it reads are.

-(1 - y) + ... -> y - 1 + ...     an identity, at the parts that changed, over plain letters
x**2*w -> a*w                     a = x**2, the access that stands for a part of the other form
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from sympy import Add, Expr, Mul, Pow, S, Symbol, preorder_traversal

from derive.gradients.calculus import Step
from derive.gradients.identities import (
    IDENTITIES,
    IN_CODE,
    INDEXED,
    SOFTMAX,
    SUM_OF_DEVIATIONS,
    u,
    v,
    w,
)
from derive.gradients.lengths import length
from derive.gradients.reuse import WRITTEN_OUT, value_at
from derive.gradients.stepping import PASSED_ON
from derive.language.functions import Condition, where
from derive.language.notation import Access, Equation, Index, Partial, Reduce, accesses

# All equal, two or three of them.
Equality = tuple[Expr, ...]

LETTERS = (u, v, w)
FEW = 24  # symbols of two parts of a step that are said to be equal
SHORT = 40  # symbols of an equality that is worth its place
_STATED = IN_CODE[:1] + INDEXED  # what is clearer as its statement than as it was used


def general(step: Step) -> tuple[Equality, ...]:
    """The identities that a step applies, as they are stated or at the parts that it changes."""
    before, after = step.before.body, step.after.body
    found: dict[Equality, None] = {}
    if step.rule in (PASSED_ON, SUM_OF_DEVIATIONS):  # it is said of the tensors
        return ()
    for rule in step.rule.split(", "):
        stated = [i for i in _STATED if i.name == rule]
        if rule == SOFTMAX:  # a name for it, or its sum
            stated = stated[:1] if _fresh(before, after) else stated[1:]
        if stated:
            found |= {(i.left, i.right): None for i in stated}
        elif any(i.name == rule for i in IDENTITIES):
            found |= dict.fromkeys(_instances(before, after))
    return tuple(found)


def here(step: Step, known: Mapping[str, Equation]) -> tuple[Equality, ...]:
    """What holds between the tensors that a step reads, or no longer reads."""
    before, after = step.before.body, step.after.body
    if step.rule == PASSED_ON:
        passed = _named(before, after, known)
        return (*passed, *_nothing_after(after))
    if step.rule == SUM_OF_DEVIATIONS:
        return tuple(_balanced(before, after))
    if set(accesses(before)) == set(accesses(after)):
        return ()
    ends = (after, before) if step.rule == WRITTEN_OUT else (before, after)
    return tuple(dict.fromkeys(_reads(*ends, known)))


def _nothing_after(body: Expr) -> Iterator[Equality]:
    """`h_bar[T,j] = 0`: what a backward recurrence reads beyond the last step."""
    found: dict[Equality, None] = {}
    for a in accesses(body):
        places = list(a.indices)
        for k, place in enumerate(places):
            step, index = place.as_coeff_Add()
            if isinstance(index, Index) and step in (1, -1):
                places[k] = index.size if step == 1 else S.NegativeOne
                found[Access(a.tensor, *places), S.Zero] = None
    yield from found


def _balanced(before: Expr, after: Expr) -> Iterator[Equality]:
    """`sum[d](x[n,d] - mu[n]) = 0`"""
    for old, new in _changes(before, after):
        sums = [f for f in Mul.make_args(old) if isinstance(f, Reduce)]
        if new == 0 and len(sums) == 1:
            yield (sums[0], S.Zero)


def _instances(before: Expr, after: Expr) -> Iterator[Equality]:
    """The parts that an identity has changed, over plain letters."""
    for old, new in _changes(before, after, within=where):
        leaves = dict.fromkeys(_leaves(old))
        if len(leaves) <= len(LETTERS) and leaves.keys() == set(_leaves(new)):
            table = dict(zip(leaves, LETTERS, strict=False))
            equality = (old.xreplace(table), new.xreplace(table))
            if sum(map(length, equality)) <= SHORT:
                yield equality


def _leaves(e: Expr) -> Iterator[Expr]:
    if isinstance(e, Access | Reduce) or (isinstance(e, Symbol) and not e.is_number):
        yield e
    else:
        for a in e.args:
            yield from _leaves(a)


def _reads(before: Expr, after: Expr, known: Mapping[str, Equation]) -> Iterator[Equality]:
    """What the accesses are that only one of two forms has: `a[n,j] = sigmoid(z[n,j])`."""
    if any(a.tensor in known for a in _fresh(before, after)):
        yield from _named(before, after, known)
        return
    for old, new in _changes(before, after):
        found = _read(old, new) or _read(new, old)
        forms = found or (old, new)
        short = sum(map(length, forms)) <= (SHORT if found else FEW) and forms != (before, after)
        if short and not (found and old.has(where)):  # it may hold in that case alone
            yield forms


def _named(before: Expr, after: Expr, known: Mapping[str, Equation]) -> Iterator[Equality]:
    """The equations of the tensors that only the second form reads, the short ones."""
    fresh = _fresh(before, after)
    named = {a.tensor: _as_known(a, known[a.tensor]) for a in fresh if a.tensor in known}
    yield from (e for e in named.values() if sum(map(length, e)) <= SHORT)


def _as_known(a: Access, equation: Equation) -> Equality:
    """An equation at the indices of an access; `g[m-4]` is not there for every m."""
    pairs = zip(a.indices, equation.indices, strict=True)
    if all(isinstance(i, Index) and i.size == k.size for i, k in pairs):
        return a, value_at(equation, a)
    return equation.access, equation.body


def _fresh(before: Expr, after: Expr) -> list[Access]:
    """The accesses to tensors that only the second expression reads, or reads more often."""
    read = Counter(a.tensor for a in accesses(before))
    reads = Counter(a.tensor for a in accesses(after))
    new = reads.keys() - read.keys() or (reads - read).keys()
    bound = {i for r in after.atoms(Reduce) for i in r.bound}
    found = [a for a in dict.fromkeys(accesses(after)) if a.tensor in new]
    return sorted(found, key=lambda a: bound.isdisjoint(a.indices))  # at plain indices last


def _read(old: Expr, new: Expr) -> Equality | None:
    """The access that stands in one form for a part of the other, and that part."""
    before = set(accesses(old))
    fresh = [a for a in dict.fromkeys(accesses(new)) if a not in before]
    if len(fresh) != 1:
        return None
    (access,) = fresh
    if isinstance(old, Pow) and isinstance(new, Pow) and new.base == access:
        return access, old.base ** (old.exp / new.exp)
    for part in preorder_traversal(old):
        if isinstance(part, Expr) and part.args and not isinstance(part, Access):
            if old.xreplace({part: access}) == new:
                return access, part
            if old.xreplace({part: -access}) == new:
                return access, -part
    return None


def _changes(old: Expr, new: Expr, within: type | tuple[()] = ()) -> Iterator[tuple[Expr, Expr]]:
    """The smallest parts in which two forms of an expression differ.

    They have one value everywhere; `within` branches of `where`, in the case that holds there.
    """
    if old == new:
        return
    for joined in (Add, Mul):
        if isinstance(old, joined) or isinstance(new, joined):
            first, second = joined.make_args(old), joined.make_args(new)
            shared = [a for a in first if a in second]
            if shared:
                yield from _changes(
                    joined(*(a for a in first if a not in shared)),
                    joined(*(a for a in second if a not in shared)),
                    within,
                )
                return
    if isinstance(old, Reduce) and isinstance(new, Reduce):
        if (old.op, old.bound, old.guard, S.One) == (new.op, new.bound, new.guard, new.guard):
            yield from _changes(old.term, new.term, within)
            return
    elif old.func is new.func and len(old.args) == len(new.args) and _is_open(old, within):
        pairs = [(a, b) for a, b in zip(old.args, new.args, strict=True) if a != b]
        if len(pairs) == 1:
            yield from _changes(*pairs[0], within)
            return
    yield old, new


def _is_open(e: Expr, within: type | tuple[()]) -> bool:
    if isinstance(e, where):
        return isinstance(e, within)
    return bool(e.args) and not isinstance(e, Access | Reduce | Condition | Partial)
