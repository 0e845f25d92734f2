"""Why each recorded step holds: what was differentiated, solved, counted, read or rewritten.

    local derivative   d sigmoid(u)/du = exp(-u)/(1 + exp(-u))**2 = sigmoid(u)*(1 - sigmoid(u))
    Kronecker delta    n' = n,  p = i//2  where  i % 2 == 0
    contraction        sum[j](1) = J

A reason follows from the step alone. Its equalities are between expressions, which every view
prints in its own way. It is empty where the name of the rule says it all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, permutations
from types import MappingProxyType

from sympy import Expr, Mul, Pow, S, preorder_traversal
from sympy.core.function import Function

from derive.gradients import calculus
from derive.gradients.calculus import Step, contribution
from derive.gradients.deltas import Sum, eliminate
from derive.gradients.derivation import Gradients
from derive.gradients.lengths import length
from derive.gradients.shortest import simplified
from derive.language.functions import (
    Condition,
    and_,
    differentiate_scalar,
    eq,
    floordiv,
    mod,
    where,
)
from derive.language.notation import Access, Equation, Index, Partial, Reduce, accesses, indices
from derive.pages import rewritings
from derive.pages.document import Prose
from derive.pages.kinks import Kink, kink
from derive.pages.rewritings import LETTERS, SHORT, Equality
from derive.printing.display import displayed
from derive.printing.latex_names import Names
from derive.printing.latex_printer import PageLatex

NONE: Mapping[str, Equation] = MappingProxyType({})
ORDERS = 24  # in which deltas are tried


@dataclass(frozen=True)
class Reason:
    """Why a step holds.

    `general` are equalities in `u`, `v`, `w` and `z` for all values of these; `here` are those
    between tensors of the derivation, at all values of the indices in them; `solved` are indices
    that Kronecker deltas gave away, each with its value, where `conditions` hold; `kinks` are the
    conventions that the step makes use of.
    """

    general: tuple[Equality, ...] = ()
    here: tuple[Equality, ...] = ()
    solved: tuple[tuple[Index, Expr], ...] = ()
    conditions: tuple[Expr, ...] = ()
    kinks: tuple[Kink, ...] = ()


def reason(step: Step, known: Mapping[str, Equation] = NONE) -> Reason:
    """Why a step holds; empty where its rule says it all.

    `known` are equations by target, those that a page shows: what a step reads again is then said
    as it stands there, and without them only where it follows from the step.
    """
    match step.rule:
        case calculus.CHAIN_RULE:
            return Reason(general=_reduction(step.before.reduction), kinks=kink(step))
        case calculus.LOCAL_DERIVATIVE:
            return Reason(general=tuple(_derivatives(step.before.body)), kinks=kink(step))
        case calculus.KRONECKER_DELTA:
            return Reason(solved=_solved(step), conditions=_conditions(step))
        case calculus.CONTRACTION:
            return Reason(here=tuple(_counts(step)))
    return Reason(rewritings.general(step), rewritings.here(step, known))


def equations(gradients: Gradients) -> Mapping[str, Equation]:
    """The equations of a derivation by target: as a page shows them, of others the last form."""
    last = {step.after.target: step.after for step in gradients.steps}
    return last | {e.target: e for e in gradients.shown}


def prose(why: Reason, names: Names, order: tuple[Index, ...] = ()) -> Prose:
    """The reason for a page; nothing where there is none."""
    page = PageLatex(names, order)

    def shown(e: Expr) -> str:
        return page.index(e) if isinstance(e, Index) else page.doprint(displayed(e))

    equal = [" = ".join(map(shown, equality)) for equality in (*why.general, *why.here)]
    equal += [f"{shown(index)} = {page.side(value)}" for index, value in why.solved]
    words = ", ".join(f"${equality}$" for equality in equal)
    if why.conditions:
        where_ = page.condition(and_(*why.conditions))
        words += f"{' where ' if words else 'Where '}${where_}$"
    if words and why.kinks:
        words += "."
    return " ".join((*([words] if words else []), *(k.prose for k in why.kinks)))


# Derivatives.


@lru_cache
def _reduction(op: str | None) -> tuple[Equality, ...]:
    """`d logsumexp[k](z[k]) / d z[j] = exp(z[j] - logsumexp[k](z[k]))`"""
    if op not in ("logsumexp", "prod"):
        return ()
    j, k = Index("j"), Index("k", Index("j").size)
    whole = Equation("y", (), Reduce(op, Access("z", k), (k,)))
    one = Access("z_bar", j)
    body = contribution(whole, Access("z", k), S.One, one, {}, {"j", "k"}).body
    return ((Partial(whole.body, Access("z", j)), body.xreplace({whole.access: whole.body})),)


def _derivatives(body: Expr) -> Iterator[Equality]:
    """Of each function that the operand stands in, its derivative."""
    found: dict[Equality, None] = {}
    for partial in sorted(body.atoms(Partial), key=str):
        for part in preorder_traversal(partial.body):
            if _is_worth_saying(part) and part.has(partial.operand):
                found |= dict.fromkeys(_derivative(part, partial.operand))
    yield from (e for e in found if sum(map(length, e[:2])) <= SHORT)


def _is_worth_saying(e: Expr) -> bool:
    if isinstance(e, Pow):
        return not (e.exp.is_Integer and e.exp.is_positive)
    return isinstance(e, Function) and not isinstance(e, Condition | where | floordiv | mod)


def _derivative(part: Expr, operand: Access) -> Iterator[Equality]:
    letters = iter(LETTERS)
    arguments = [a if a.is_number else next(letters, None) for a in part.args]
    if None in arguments:
        return
    general = part.func(*arguments)
    for letter, argument in zip(arguments, part.args, strict=True):
        if letter in LETTERS and argument.has(operand):
            derivative = differentiate_scalar(general, letter)
            shorter, _ = simplified(derivative)
            forms = dict.fromkeys((derivative, shorter))
            yield (Partial(general, letter), *forms)


# Kronecker deltas and what they leave behind.


def _solved(step: Step) -> tuple[tuple[Index, Expr], ...]:
    """The indices that are summed over no more, with what they are."""
    given = _sum(step.before.body)
    after = _sum(step.after.body)
    gone = tuple(i for i in given.bound if i not in after.bound)
    marker = Access("_", *gone)
    first: tuple[Expr, ...] = ()
    for deltas in islice(permutations(given.deltas), ORDERS):
        taken = {i.name for i in indices(step.before.body)}
        taken |= {i.name for i in step.before.indices}
        solved = eliminate(Sum(marker * given.term, given.bound, given.guard, deltas), {}, taken)
        marked = [a for a in accesses(solved.term) if a.tensor == marker.tensor]
        if len(marked) == 1:
            first = first or marked[0].indices
            if solved.term.xreplace({marked[0]: S.One}) == after.term * Mul(*after.deltas):
                first = marked[0].indices
                break
    return tuple((i, e) for i, e in zip(gone, first, strict=False) if i != e)


def _sum(body: Expr) -> Sum:
    """A contribution to a cotangent, taken apart."""
    bound: tuple[Index, ...] = ()
    guard, term = S.One, body
    if isinstance(body, Reduce):
        bound, guard, term = body.bound, body.guard, body.term
    elif isinstance(body, where) and body.args[2] == 0:
        guard, term = body.args[:2]
    deltas = tuple(f for f in Mul.make_args(term) if isinstance(f, eq))
    return Sum(Mul(*(f for f in Mul.make_args(term) if f not in deltas)), bound, guard, deltas)


def _conditions(step: Step) -> tuple[Expr, ...]:
    """The conditions on the indices that are new."""
    before, after = _conjuncts(step.before.body), _conjuncts(step.after.body)
    return tuple(c for c in after if c not in before and c != 1)


def _conjuncts(body: Expr) -> tuple[Expr, ...]:
    guard = _sum(body).guard
    return guard.args if isinstance(guard, and_) else (guard,)


def _counts(step: Step) -> Iterator[Equality]:
    left = _sum(step.after.body).bound
    for i in _sum(step.before.body).bound:
        if i not in left:
            yield (Reduce("sum", S.One, (i,)), i.size)
