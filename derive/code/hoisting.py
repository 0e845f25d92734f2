"""Hoisting: what a scan reads from no member of it is computed before it, for all steps at once.

    h[n,t,j] = tanh(s_1[n,t,j] + s_2[n,t,j] + b[j])     (s_2 reads h[n,t-1,k])

    ->    h_in[n,t,j] = s_1[n,t,j] + b[j]
          h[n,t,j]    = tanh(s_2[n,t,j] + h_in[n,t,j])

It saves a call at each step, which counts where a step's arrays are small; large ones would only be
written to memory and read again. Exact, because an equation before the scan names a subexpression
and changes no value. Elements outside a tensor, which some condition leaves out, are 0 there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from sympy import Add, Expr, Function, Pow, S

from derive.code.views import SMALL, count
from derive.gradients.blocks import Block, partition
from derive.gradients.normal_form import conditions_inside, fresh, names, reached
from derive.language import scans
from derive.language.functions import and_, eq, le, lt, ne, not_, or_, where
from derive.language.notation import Access, Equation, Index, Program, Reduce, accesses


def hoisted(program: Program) -> Program:
    """The program, in normal form, with the scans' constant parts as equations before them."""
    if all(e.recurrence is None for e in program.equations):
        return program
    hoisting = _Hoisting(program)
    equations: list[Equation] = []
    for group in scans.groups(scans.ordered(program.equations)):
        equations += group if scans.recurrence(group) is None else hoisting.group(group)
    results = program.results or (program.result,)
    return replace(program, equations=tuple(equations), results=results)


def is_plain(a: Access, t: Index, steps: dict[str, tuple[int, Index, int]]) -> bool:
    """Whether an access reads, at a step t, one place on one axis: x[n,t,j], or h[n,t-1,j].

    `steps` gives of each tensor with a recurrence the axis, the index and the step.
    """
    with_t = [(k, x) for k, x in enumerate(a.indices) if x.has(t)]
    if len(with_t) != 1:
        return not with_t
    ((axis, x),) = with_t
    own = steps.get(a.tensor)
    return x == t or (own is not None and own[0] == axis and x == t + own[2])


def steps_of(equations: Iterable[Equation]) -> dict[str, tuple[int, Index, int]]:
    """Of each tensor with a recurrence the axis on which it is read at the step, index and step."""
    return {
        e.target: (e.indices.index(e.recurrence.index), e.recurrence.index, e.recurrence.step)
        for e in equations
        if e.recurrence is not None
    }


class _Hoisting:
    def __init__(self, program: Program) -> None:
        self.taken = names(program)
        self.shapes = {t.name: tuple(i.size for i in t.axes) for t in program.inputs}
        for e in program.equations:
            self.shapes[e.target] = tuple(i.size for i in e.indices)
        self.sizes = dict(program.sizes)
        self.steps = steps_of(program.equations)
        self.whole = _stored_whole(program)
        self.found: dict[tuple[Expr, tuple[Index, ...]], Equation] = {}
        self.members: frozenset[str] = frozenset()
        self.t = Index("t")
        self.parent = program.equations[0]

    def group(self, group: scans.Group) -> Iterable[Equation]:
        found = scans.recurrence(group)
        assert found is not None
        self.t, self.members, self.found = found.index, frozenset(e.target for e in group), {}
        changed = []
        for e in group:
            self.parent = e
            if isinstance(e.body, Reduce):
                term, guard = self.part(e.term), self.part(e.guard)
                changed.append(replace(e, body=Reduce(e.body.op, term, e.bound, guard)))
            elif (parted := partition(e)) and parted[0].axis != self.t:
                changed.append(replace(e, body=Add(*map(self.block, parted))))
            else:
                changed.append(replace(e, body=self.part(e.body)))
        return (*self.found.values(), *changed)

    def block(self, b: Block) -> Expr:
        """A block of an axis, what it has of constants named in its own index."""
        whole = self.parent
        axes = tuple(b.own if i == b.axis else i for i in whole.indices)
        self.parent = replace(whole, indices=axes)
        term = self.part(b.term)
        self.parent = whole
        return b.with_term(term).chosen

    def part(self, e: Expr) -> Expr:
        """The expression with what reads no member named."""
        if isinstance(e, Access) and e.tensor in self.members:
            return e
        if not self.varies(e):
            return self.named(e) if self.is_worth_it(e) else self.inside(e)
        if e.is_Add or e.is_Mul:
            # A factor (g == 2) says where the others count, and is no reason to spread them.
            free = [
                a
                for a in e.args
                if not (self.varies(a) or self.has_bound(a)) and (e.is_Add or not _is_mask(a))
            ]
            constant = e.func(*free)
            if len(free) > 1 and self.is_worth_it(constant):
                rest = (self.part(a) for a in e.args if a not in free)
                return e.func(self.named(constant), *rest)
        return self.inside(e)

    def inside(self, e: Expr) -> Expr:
        if not e.args or isinstance(e, Access):
            return e
        args = [self.part(a) for a in e.args]
        return e if all(a is b for a, b in zip(args, e.args, strict=True)) else e.func(*args)

    def varies(self, e: Expr) -> bool:
        return any(a.tensor in self.members for a in accesses(e))

    def has_bound(self, e: Expr) -> bool:
        return not e.atoms(Index) <= set(self.parent.indices)

    def is_worth_it(self, e: Expr) -> bool:
        """Whether an expression without members is computed before the scan."""
        if isinstance(e, Access):
            return not is_plain(e, self.t, self.steps)
        if self.has_bound(e) or _is_mask(e):
            return False
        coefficient, rest = e.as_coeff_Mul()
        if abs(coefficient) == 1 and isinstance(rest, Access):
            return is_plain(rest, self.t, self.steps) is False and coefficient == 1
        free = e.atoms(Index)
        if not any(accesses(e)) and (free <= {self.t} or not e.atoms(Function, Pow)):
            return False
        if self.t in free and count(free - {self.t}) > SMALL:
            return False
        return self.parent.target in self.whole or self.is_no_larger(e, free)

    def is_no_larger(self, e: Expr, free: Collection[Index]) -> bool:
        """Whether it takes, over all steps, no more memory than something that it reads."""
        return self.t not in free or any(set(free) <= a.atoms(Index) for a in accesses(e))

    def named(self, e: Expr) -> Access:
        free = e.atoms(Index)
        own = tuple(i for i in self.parent.indices if i in free)
        own += tuple(sorted(free - set(own), key=lambda i: i.name))
        if (e, own) not in self.found:
            target = fresh(f"{self.parent.target}_in", self.taken)
            origin = self.parent.origin or self.parent.target
            body = where(guard, e, S.Zero) if (guard := self.guard(e)) != 1 else e
            self.found[e, own] = Equation(target, own, body, origin)
            self.shapes[target] = tuple(i.size for i in own)
        return self.found[e, own].access

    def guard(self, e: Expr) -> Expr:
        """Where every element that it reads is there; a branch of `where` reads what it takes."""
        needed = []
        for a, branches in reached(e, ()):
            taken = and_(*branches)
            implied = taken.args if isinstance(taken, and_) else (taken,)
            for x, size in zip(a.indices, self.shapes[a.tensor], strict=True):
                if not self.is_stepped(a):
                    inside = (c for c in conditions_inside(x, size, self.sizes) if c not in implied)
                    needed += [or_(not_(taken), c) for c in inside]
        return and_(*needed)

    def is_stepped(self, a: Access) -> bool:
        return a.tensor in self.steps and is_plain(a, self.t, self.steps)


def _is_mask(e: Expr) -> bool:
    """Whether an expression is a condition on indices alone."""
    return isinstance(e, eq | ne | lt | le) and not any(accesses(e))


def _stored_whole(program: Program) -> set[str]:
    """The members of scans that are read at more than one step from outside, or are results."""
    whole = set(program.results or (program.result,))
    for group in scans.groups(scans.ordered(program.equations)):
        inside = {e.target for e in group}
        found = scans.recurrence(group)
        for e in program.equations:
            if found is None or e.target in inside:
                continue
            for a in accesses(e.body):
                if a.tensor in inside and not reads_last(a, group, found.step):
                    whole.add(a.tensor)
    return whole


def reads_last(a: Access, group: scans.Group, step: int) -> bool:
    """Whether an access reads a member at the last step alone: h[n,T-1,j]."""
    e = next(e for e in group if e.target == a.tensor)
    found = scans.recurrence(group)
    assert found is not None
    position = a.indices[e.indices.index(found.index)]
    last = found.index.size - 1 if step < 0 else S.Zero
    return bool((position - last).expand() == 0)
