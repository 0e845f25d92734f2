"""The backward pass as it is written: its equations so far, and each new one in textbook form.

    x_bar = the sum of what the uses add   ->   the same value, read from what is there already

What is there already are the forward equations that have to do with those that the new one reads,
and the cotangents written before it. Every change is a step of the derivation: two equal equations
and the name of what makes them equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from sympy import Expr, Function, Mul, Symbol

from derive.gradients.activity import tensors_read
from derive.gradients.calculus import Step
from derive.gradients.identities import COMMON_FACTOR
from derive.gradients.lengths import length
from derive.gradients.normal_form import pruned, span, spans, without_implied_guards
from derive.gradients.reuse import READ_BACKWARD, outside, reused, signed, values_of
from derive.gradients.simplify import textbook
from derive.gradients.statistics import with_equals
from derive.language.functions import eq
from derive.language.likeness import Memory, Pattern, likeness, outline
from derive.language.notation import (
    Access,
    Equation,
    Index,
    Program,
    Recurrence,
    Reduce,
    accesses,
)
from derive.language.scans import ordered, reads

EQUAL = "equal cotangents"


@dataclass(frozen=True)
class Reading:
    """What a new cotangent may read instead of computing it: see `textbook`.

    `again` are cotangents computed before, of which scalar ones are read again.
    """

    known: tuple[Equation, ...]
    inline: tuple[Equation, ...]
    cotangents: Mapping[str, Equation]
    further: tuple[Equation, ...]
    again: tuple[Equation, ...]


@dataclass(frozen=True)
class Written:
    """The forms of a right side, each with the rule that leads to it, and what it is at the end.

    `turned` is the last form with its signs turned, `body` that without what the ranges say.
    """

    forms: tuple[tuple[str, Expr], ...]
    turned: Expr
    body: Expr


@dataclass(frozen=True)
class _Form:
    """What was written of the first of those alike, in the order of the fields of `Written`."""

    rules: tuple[str, ...]
    bodies: Pattern


_FORMS: Memory[_Form | None] = Memory()  # None where names were made that these lack


class BackwardPass:
    """`wrt` are the operands asked for; `sizes` and `spans` grow while the pass is written."""

    def __init__(self, program: Program, wrt: Iterable[str], sizes: dict[Symbol, Expr]) -> None:
        self.wrt = frozenset(wrt)
        self.sizes = sizes
        self.spans = spans(program)
        self.readers: dict[str, list[Equation]] = {}
        for e in program.equations:
            for name in dict.fromkeys((*tensors_read(e), e.target)):
                self.readers.setdefault(name, []).append(e)
        self.reads = {e.target: reads(e) for e in program.equations}
        self.tensors: dict[str, str] = {}  # by the names of their cotangents
        self.equations: list[Equation] = []
        self.computed: list[Equation] = []  # the cotangents in scans, to be read again
        self.auxiliary: dict[str, Equation] = {}  # those of parts of equations
        # The longer ones of these, by the first tensor that each reads, with their places.
        self.rereaders: dict[str, list[tuple[int, Equation]]] = {}
        self.written: dict[str, Equation] = {}  # all by target, without those asked for
        self.sums: dict[str, Equation] = {}  # the cotangents as they were summed up
        self.steps: list[Step] = []

    def add(self, equation: Equation, recurrence: Recurrence | None = None) -> None:
        """One more equation, the last so far; one of a scan has its recurrence."""
        self.equations.append(equation)
        if self.tensors.get(equation.target) not in self.wrt:
            self.written[equation.target] = equation
        self.spans[equation.target] = span(equation.indices, recurrence)
        if recurrence:
            self.computed.append(replace(equation, recurrence=recurrence))

    def add_part(self, equation: Equation) -> None:
        """The last equation is the cotangent of a part of an equation."""
        self.auxiliary[equation.target] = equation
        if not _is_short(equation.body):
            first = min((a.tensor for a in accesses(equation.body)), default="")
            self.rereaders.setdefault(first, []).append((len(self.auxiliary), equation))

    def put_from(self, begin: int, equations: Iterable[Equation]) -> None:
        """Other forms of the equations from a place on."""
        self.equations[begin:] = equations
        for equation in self.equations[begin:]:
            if equation.target in self.written:
                self.written[equation.target] = equation

    def in_textbook_form(self, raw: Equation) -> Equation:
        """A cotangent as it is summed up, in textbook form; the steps to it recorded."""
        raw = self.with_equals(raw)
        asked = self.tensors.get(raw.target) in self.wrt
        near = self.near(raw)
        written = (
            self.write(raw, self.reading(raw), asked)
            if near is None
            else self.write_once(raw, near, asked)
        )
        equation = raw
        for rule, body in written.forms:
            after = raw.with_body(body)
            self.steps.append(Step(rule, equation, after))
            equation = after
        if asked and written.turned != equation.body:
            turned = raw.with_body(written.turned)
            # A mere change of sign is no step of its own where it comes with one.
            last = self.steps[-1] if self.steps else None
            if last and last.after == equation and last.before not in (equation, turned):
                self.steps[-1] = replace(last, after=turned)
            else:
                self.steps.append(Step(COMMON_FACTOR, equation, turned))
        return raw.with_body(written.body)

    def write(self, raw: Equation, reading: Reading, asked: bool) -> Written:
        """The forms of a cotangent; of one asked for, the last with its signs turned."""
        r = reading
        equation, rewrites = textbook(raw, r.known, r.inline, r.cotangents, r.further)
        forms = [(identity, after.body) for identity, _, after in rewrites]
        again = with_cotangents(equation.body, r.again)
        if again != equation.body:
            forms.append((READ_BACKWARD, again))
        turned = signed(again)
        body = without_implied_guards(turned if asked else again, self.spans, self.sizes)
        return Written(tuple(forms), turned, pruned(body, self.sizes))

    def write_once(self, raw: Equation, near: Reading, asked: bool) -> Written:
        """The same, with other names what was written of the first like it.

        Exact, because no more of a name is looked at than where else it stands and its order, and
        of a size, where an index is but a place in a tensor, no more than which others equal it.
        """
        parts = (near.known, near.inline, near.again)
        given = [raw.access, raw.body]
        for e in chain(*parts):
            given += (e.access, e.body)
        like = likeness(given)
        where_read = tuple(
            [self.spans.get(name.name) for name in like.names if like.ranged] if like.ranged else ()
        )
        looked_at = like.key if like.ranged else like.in_sizes
        key = (looked_at, where_read, tuple(map(len, parts)), asked)
        first = _FORMS.get(key)
        if first is not None:
            *forms, turned, body = first.bodies((*like.names, raw.body))
            return Written(tuple(zip(first.rules, forms, strict=True)), turned, body)
        written = self.write(raw, near, asked)
        if key not in _FORMS:
            bodies = (*(body for _, body in written.forms), written.turned, written.body)
            own = {name for body in bodies for name in outline(body).names}
            pattern = Pattern(bodies, (*like.names, raw.body))
            rules = tuple(rule for rule, _ in written.forms)
            _FORMS[key] = _Form(rules, pattern) if own <= {*like.names} else None
        return written

    def reading(self, raw: Equation) -> Reading:
        """All there is to read, and all cotangents to be written out."""
        known = (e for e in self.related(raw) if not (e.recurrence and e.reduction))
        # What is read at another step than it is computed at is not to be written out.
        in_scans = {e.target for e in self.computed}
        elsewhere = {
            a.tensor
            for a in accesses(raw.body)
            if a.tensor in in_scans and not all(isinstance(i, Index) for i in a.indices)
        }
        inline = (e for t, e in self.auxiliary.items() if t not in elsewhere)
        others = self.written
        if elsewhere:
            others = {t: e for t, e in others.items() if t not in elsewhere}
        again = (*self.computed, *(e for e in self.auxiliary.values() if not _is_short(e.body)))
        return Reading(tuple(known), tuple(inline), others, self.behind(raw), again)

    def near(self, raw: Equation) -> Reading | None:
        """Those alone that read nothing but what `raw` reads, what it is to be written with and
        they compute: no other can be of use. None where more may be: within scans, and where a
        cotangent with fewer axes may be written out, and in it another.
        """
        axes = set(raw.indices)
        found = tuple(accesses(raw.body))
        related = self.related(raw)
        if self.computed or self.sizes or any(e.recurrence for e in related):
            return None
        if any(a.tensor in self.written and set(a.indices) < axes for a in found):
            return None
        read = {a.tensor for a in found}
        inline = tuple(self.auxiliary[t] for t in sorted(read & self.auxiliary.keys()))
        read |= {a.tensor for e in inline for a in accesses(e.body)}
        known: set[str] = set()
        while new := {
            e.target for e in related if e.target not in known and self.reads[e.target] <= read
        }:
            known |= new
            read |= new
        parts = {k: e for t in ("", *read) for k, e in self.rereaders.get(t, ())}
        again = tuple(
            e for _, e in sorted(parts.items()) if {a.tensor for a in accesses(e.body)} <= read
        )
        return Reading(tuple(e for e in related if e.target in known), inline, {}, (), again)

    def with_equals(self, raw: Equation) -> Equation:
        """Its terms read a cotangent that was summed up from the same terms."""
        equal = raw.with_body(with_equals(raw.body, self.sums))
        if equal.body != raw.body:
            self.steps.append(Step(EQUAL, raw, equal))
        self.sums[raw.target] = equal
        return equal

    def reads_cotangents(self, body: Expr) -> bool:
        return any(a.tensor in self.tensors for a in accesses(body))

    def behind(self, equation: Equation) -> tuple[Equation, ...]:
        """The forward equations that have to do with the tensors whose cotangents it reads."""
        read = (self.tensors.get(a.tensor, "") for a in accesses(equation.body))
        return tuple(dict.fromkeys(e for name in read for e in self.readers.get(name, ())))

    def related(self, equation: Equation) -> tuple[Equation, ...]:
        """The forward equations that read a tensor which `equation` reads, or define it."""
        found = {e: None for a in accesses(equation.body) for e in self.readers.get(a.tensor, ())}
        return tuple(found)

    def in_order(self) -> tuple[Equation, ...]:
        """The equations of the backward pass in an order of evaluation."""
        return ordered(self.equations) if self.computed else tuple(self.equations)


def with_cotangents(body: Expr, computed: Iterable[Equation]) -> Expr:
    """Cotangents computed before read again: of all that is added up within a `tanh`."""
    scalar = (e for e in computed if e.reduction is None and not plain(e.body))
    values: dict[Expr, Any] = dict(values_of(body, scalar))
    for value, access in tuple(values.items()):
        number, rest = value.as_coeff_Mul()
        values.setdefault(rest, access / number)  # a number stands before a sum
    after = outside(reused(body, values))
    return after if length(after) < length(body) else body


def slight(body: Expr) -> bool:
    """Whether a number is as short as a name for it: 1/s, -1/(2*s**2)."""
    return not body.has(Reduce, Index, Function) and length(body) <= 9


def plain(body: Expr) -> bool:
    """Whether to write a cotangent out says more than to name it: 1/N, -g[n], i == j."""
    if all(isinstance(factor, eq) for factor in Mul.make_args(body)):
        return True
    coefficient, access = (
        Mul(*(a for a in Mul.make_args(body) if not isinstance(a, Access))),
        [a for a in Mul.make_args(body) if isinstance(a, Access)],
    )
    if coefficient.has(Access, Index, Reduce) or len(access) > 1:
        return False
    return all(isinstance(i, Index) for a in access for i in a.indices)


def _is_short(body: Expr) -> bool:
    """Whether a part's cotangent is a quotient such as r_bar/(2*r), which needs no name."""
    factors = (factor.as_base_exp()[0] for factor in Mul.make_args(body))
    return all(isinstance(base, Access | Symbol) or base.is_Number for base in factors)
