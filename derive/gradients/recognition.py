"""Naive forms get their names, before anything is differentiated."""

from __future__ import annotations

from dataclasses import replace

import sympy
from sympy import Expr, Mul, Pow, cosh, exp, log, sinh
from sympy.codegen.cfunctions import log1p

from derive.gradients.identities import sigmoid
from derive.gradients.lengths import length
from derive.gradients.normal_form import fresh, names, needed
from derive.gradients.reuse import Rewriting, value_at, values_of, with_term
from derive.gradients.shortest import simplified
from derive.language.functions import where
from derive.language.notation import Access, Equation, Program, Reduce, accesses
from derive.language.scans import in_order, reads


def recognize(program: Program) -> tuple[Program, tuple[Rewriting, ...]]:
    """A program in normal form with its naive forms named, and what was done.

        t[n] = sum[k](exp(z[n,k]))     ->   l[n] = logsumexp[k](z[n,k]),  t[n] = exp(l[n])
        exp(z[n,j]) / t[n]             ->   exp(z[n,j] - l[n])
        log(t[n])                      ->   l[n]
        1 / (1 + exp(-z[n,j]))         ->   sigmoid(z[n,j])

    Equations that nothing reads any more are dropped.
    """
    return _Recognition(program).run()


class _Recognition:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.taken = names(program)
        self.read = {a.tensor for e in program.equations for a in accesses(e.body)}
        self.done: list[Equation] = []
        self.meant: dict[str, Equation] = {}  # what a target is, where this says more than its name
        self.steps: list[Rewriting] = []

    def run(self) -> tuple[Program, tuple[Rewriting, ...]]:
        for equation in self.program.equations:
            equation = self.with_what_is_meant(equation)
            equation = self.with_names(equation)
            if equation.reduction == "sum":
                equation = self.with_logsumexp(equation)
            self.done.append(equation)
            plain = equation.reduction is None and equation.recurrence is None
            if equation.body.has(exp, sigmoid) and plain:
                self.meant.setdefault(equation.target, equation)
        return self.without_unread(), tuple(self.steps)

    def record(self, identity: str, before: Equation, body: Expr) -> Equation:
        after = before.with_body(body)
        if after.body != before.body:
            self.steps.append(Rewriting(identity, before, after))
        return after

    def with_names(self, equation: Equation) -> Equation:
        if not equation.term.has(exp, log, log1p, sinh, cosh):
            return equation
        term, used = simplified(equation.term)
        return self.record(", ".join(used), equation, with_term(equation, term))

    def with_what_is_meant(self, equation: Equation) -> Equation:
        """`a/t[n] -> a*exp(-l[n])`, `log(t[n]) -> l[n]` where `t[n] = exp(l[n])`."""
        table = {
            a: value_at(self.meant[a.tensor], a)
            for a in accesses(equation.term)
            if a.tensor in self.meant and _worth(equation.term, a)
        }
        term = _merged(equation.term.xreplace(table))
        for a in dict.fromkeys(accesses(term)):
            if a.tensor in self.meant and term.has(exp):
                shorter = _merged(term.xreplace({a: value_at(self.meant[a.tensor], a)}))
                term = min(term, shorter, key=length)
        return self.record("logsumexp", equation, with_term(equation, term))

    def with_logsumexp(self, equation: Equation) -> Equation:
        """`sum[k](a*exp(e)) -> exp(l) * sum[k](a*exp(e - l))` for `l = logsumexp[k](e)`."""
        factors = Mul.make_args(equation.term)
        powers = [f for f in factors if isinstance(f, exp) and f.has(*equation.bound)]
        if len(powers) != 1 or equation.target not in self.read:
            return equation  # a sum that nothing reads is what it is
        (power,) = powers
        rest = Mul(*(f for f in factors if f is not power))
        l = self.logsumexp(equation, power) if rest == 1 else self.known_logsumexp(equation, power)
        if l is None:
            return equation
        if rest == 1:
            return self.record("logsumexp", equation, exp(l))
        term = rest * exp(power.args[0] - l)
        scaled = replace(
            equation,
            target=fresh(f"{equation.target}_scaled", self.taken),
            body=Reduce("sum", term, equation.bound, equation.guard),
            origin=equation.origin or equation.target,
            recurrence=None,
        )
        self.done.append(scaled)
        return self.record("logsumexp", equation, exp(l) * scaled.access)

    def logsumexp(self, equation: Equation, power: Expr) -> Expr:
        known = self.known_logsumexp(equation, power)
        if known is not None:
            return known
        body = Reduce("logsumexp", power.args[0], equation.bound, equation.guard)
        origin = equation.origin or equation.target
        l = Equation(fresh("l", self.taken), equation.indices, body, origin)
        self.done.append(l)
        return l.access

    def known_logsumexp(self, equation: Equation, power: Expr) -> Expr | None:
        """A logsumexp of the exponent of `power` over the same indices, if there is one."""
        for l in self.done + self.ahead(equation):
            if l.reduction == "logsumexp" and l.guard == equation.guard == 1:
                pattern = replace(l, indices=(*l.indices, *l.bound), body=exp(l.term))
                a = values_of(power, (pattern,)).get(power)
                if a is not None and set(a.indices[len(l.indices) :]) == set(equation.bound):
                    if l not in self.done:
                        self.done.append(l)
                    return Access(l.target, *a.indices[: len(l.indices)])
        return None

    def ahead(self, equation: Equation) -> list[Equation]:
        """The logsumexps that the plain sums of exponentials below `equation` will give."""
        found = []
        position = next(
            k for k, e in enumerate(self.program.equations) if e.target == equation.target
        )
        for e in self.program.equations[position + 1 :]:
            if e.reduction == "sum" and isinstance(e.term, exp) and e.term.has(*e.bound):
                body = Reduce("logsumexp", e.term.args[0], e.bound, e.guard)
                origin = e.origin or e.target
                found.append(Equation("l", e.indices, body, origin))
        return found

    def without_unread(self) -> Program:
        """The program without the equations that only the naive forms have read.

        A sigmoid that the user gave a name stays: cotangents read it.
        """
        read_before = {name for e in self.program.equations for name in reads(e)}
        unread_before = {e.target for e in self.program.equations} - read_before
        sigmoids = (e.target for e in self.done if isinstance(e.body, sigmoid) and not e.origin)
        wanted = (*(self.program.results or (self.program.result,)), *unread_before, *sigmoids)
        kept = needed(replace(self.program, equations=tuple(self.done)), wanted).equations
        return in_order(replace(self.program, equations=kept))


def _merged(e: Expr) -> Expr:
    """`exp(a)*exp(b) -> exp(a + b)`, everywhere, and `where(c, exp(a), 0)*exp(b)` too."""
    if not e.has(exp):
        return e
    if e.has(where):
        e = e.replace(lambda part: isinstance(part, Mul) and part.has(where), _under_mask)
    return sympy.powsimp(e, combine="exp", deep=True)


def _under_mask(product: Expr) -> Expr:
    """`where(c, exp(a), 0) * exp(b) -> where(c, exp(a)*exp(b), 0)`"""
    for k, factor in enumerate(product.args):
        if isinstance(factor, where) and factor.args[2] == 0 and factor.args[1].has(exp):
            rest = (*product.args[:k], *product.args[k + 1 :])
            powers = [f for f in rest if isinstance(f, exp)]
            others = [f for f in rest if not isinstance(f, exp)]
            return Mul(*others, where(factor.args[0], Mul(factor.args[1], *powers), 0))
    return product


def _worth(e: Expr, a: Access) -> bool:
    """Whether `a` stands where an exponential would merge: in a denominator or a logarithm."""
    return any(
        part.args[0].has(a)
        for part in e.atoms(log, Pow)
        if isinstance(part, log) or part.exp.is_negative
    )
