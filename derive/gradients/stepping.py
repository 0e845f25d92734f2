"""What a step of a scan passes on to the step before it, in the reverse sweep.

    h[t,j] = f[t,j]*h[t-1,j] + ...      h_bar[t,j] = ... + where(t+1 < T, f[t+1,j]*h_bar[t+1,j], 0)

After the last step there is nothing: with `h_bar[T,j] = 0` a term needs no condition if all that it
reads exists at T and it is linear in what is 0 there. Else it is computed at its own step, and then
passed on:  h_back[t,j] = f[t,j]*h_bar[t,j],  h_bar[t,j] = ... + h_back[t+1,j],  h_back[T,j] = 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sympy import Expr, S, Symbol

from derive.gradients.normal_form import Span, conditions_inside, conditions_of
from derive.language.functions import Condition, and_, floordiv, maximum, minimum, mod, where
from derive.language.notation import Access, Equation, Index, Recurrence, Reduce, accesses
from derive.language.scans import Group

PASSED_ON, FIRST = "backward recurrence", "first step"


@dataclass
class Scan:
    """A scan while the sweep goes through it, and what it has found so far."""

    group: Group
    recurrence: Recurrence
    bars: set[str] = field(default_factory=set)  # the cotangents of its members
    carried: set[str] = field(default_factory=set)  # the members that are read at the step
    # What the cotangents of these get from the step after, and whether it is linear in a bar.
    passed: dict[str, list[tuple[Expr, bool]]] = field(default_factory=dict)
    started: dict[str, list[Expr]] = field(default_factory=dict)  # and their initial values

    @property
    def index(self) -> Index:
        return self.recurrence.index

    @property
    def after(self) -> Expr:
        """Where the sweep comes from: `t + 1` in a scan that reads `t - 1`."""
        return self.index - self.recurrence.step

    @property
    def backward(self) -> Recurrence:
        """The recurrence of the cotangents."""
        return Recurrence(self.index, -self.recurrence.step, S.Zero)

    def reads_at_the_step(self, access: Access) -> bool:
        """Whether an access is to a member at the step: `h[t-1,k]`."""
        members = (e for e in self.group if e.target == access.tensor)
        return any(access.indices[e.indices.index(self.index)] != self.index for e in members)

    def pass_on(self, tensor: str, body: Expr, cotangent: Expr) -> None:
        """Note what a use of a member at the step adds to the member's cotangent."""
        linear = any(a.tensor in self.bars for a in accesses(cotangent))
        self.passed.setdefault(tensor, []).append((body, linear))

    def is_the_same_at_each_step(self, tensor: str) -> bool:
        """Whether what reads a member at the step has one form: none such as
        `where(0 < t, h[t-1]*x[t-1], h[t-1])`, of which a later step knows that `0 < t`.
        """
        for e in self.group:
            if not any(a.tensor == tensor and self.reads_at_the_step(a) for a in accesses(e.body)):
                continue
            for part in e.body.atoms(Condition, mod, floordiv, maximum, minimum):
                if part.has(self.index) and not part.has(Access):
                    return False
            for a in accesses(e.body):
                own = (i for i in a.indices if not isinstance(i, Access))
                places = {place for place in own if place.has(self.index)}
                if places - {self.index} and not self.reads_at_the_step(a):
                    return False
        return True

    def at_own_step(self, e: Expr) -> Expr:
        """A term passed on, as it is at the step that computes it."""
        return e.xreplace({self.index: self.index + self.recurrence.step})

    def without_end(self, e: Expr, sizes: dict[Symbol, Expr]) -> Expr:
        """A term without the condition that there is a step after."""
        ends = conditions_inside(self.after, self.index.size, sizes)

        def rest(guard: Expr) -> Expr:
            conjuncts = guard.args if isinstance(guard, and_) else (guard,)
            return and_(*(c for c in conjuncts if c not in ends))

        if isinstance(e, Reduce):
            return Reduce(e.op, e.term, e.bound, rest(e.guard))
        if isinstance(e, where) and e.args[2] == 0:
            return where(rest(e.args[0]), e.args[1], S.Zero)
        return e

    def exists_at_the_end(
        self, e: Expr, spans: Mapping[str, Span], sizes: dict[Symbol, Expr]
    ) -> bool:
        """Whether a term without its condition reads nothing that is not there after the end."""
        return all(
            not (index.has(self.index) and conditions)
            for a in accesses(e)
            for index, conditions in zip(
                a.indices, conditions_of(a, spans[a.tensor], sizes), strict=True
            )
        )

    def with_recurrences(self, equations: Iterable[Equation]) -> list[Equation]:
        """The cotangents, those that are read at the step after with what they are there, 0."""
        found = list(equations)
        axes = {e.target: e.indices.index(self.index) for e in found if self.index in e.indices}
        read = {
            a.tensor
            for e in found
            for a in accesses(e.body)
            if a.tensor in axes and a.indices[axes[a.tensor]] == self.after
        }
        return [replace(e, recurrence=self.backward) if e.target in read else e for e in found]
