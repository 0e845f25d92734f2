"""Programs that floating point gets right: no spurious inf, nan or 0, and no warning.

    stabilize(program, accuracy)      normal form in, normal form out, the same values

"exact" holds bounds in ulp for values and derivatives; "training" an absolute error of a few eps,
for which it reads cached outputs (`a*(1 - a)`, `1 - a**2`) and takes the plain shift of a
softmax.

What is left for the printer: `+ - * /` and powers, `exp log log1p expm1 sin cos tan sinh cosh
tanh asin acos atan abs sign sqrt`, `maximum minimum where`, comparisons, `floordiv mod`,
`stop_gradient`, and from `functions`: `rounded` (its argument, no algebra across it), `nearest`
(rint), `horner`. No named function, no erf, no logsumexp.

A logsumexp is computed from the largest term, here for `z[n,k]`:

    m[n] = max[k](z[n,k])     e[n,k] = exp(z[n,k] - m[n])     s[n] = sum[k](e[n,k])
    exp(z - l) -> e/s         z - l -> (z - m) - log(s)       l[n] = m[n] + log(s[n])

In "exact" the largest term, which is 1, is kept out of the sum, so that `log(s) = log1p(r)` holds
when all others are small; `e` makes good the rounding of `z - m`; and `p - (j == y)` at the
target is minus the sum of the other probabilities, in which nothing cancels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import sympy
from sympy import Abs, Add, Dummy, Expr, Integer, Mul, Pow, Rational, exp, log
from sympy.codegen.cfunctions import log1p

from derive.gradients.blocks import partition
from derive.gradients.calculus import flat_position
from derive.gradients.normal_form import fresh, names
from derive.gradients.reuse import reused, value_at, values_of, with_term
from derive.language.functions import and_, eq, lt, maximum, minimum, ne, rounded, where
from derive.language.notation import (
    Access,
    Equation,
    Index,
    Program,
    Reduce,
    accesses,
    holds,
    indices,
)
from derive.language.scans import elsewhere, groups, in_order, recurrence
from derive.numerics.stable_forms import exponents_of, one_signed, stable
from derive.numerics.training_forms import cheap

_BLANK = Dummy("blank", real=True)
ACCURACIES = ("exact", "training")


def stabilize(program: Program, accuracy: str = "exact") -> Program:
    """The program with every equation in a stable form; auxiliary equations have its `origin`."""
    if accuracy not in ACCURACIES:
        raise ValueError(f"accuracy is one of {', '.join(ACCURACIES)}, not {accuracy!r}")
    return (_Exact if accuracy == "exact" else _Training)(program).run()


@dataclass(frozen=True)
class Shifted:
    """The parts of one logsumexp: its maximum, the exponentials, their sum and its logarithm."""

    equation: Equation
    m: Access
    e: Access
    s: Access
    log_s: Access

    @property
    def axes(self) -> tuple[Index, ...]:
        return (*self.equation.indices, *self.equation.bound)

    @property
    def logarithm(self) -> Equation:
        """`term - l` at every point: the logarithm of the softmax."""
        return Equation("", self.axes, self.equation.term - self.equation.access)

    @property
    def softmax(self) -> Equation:
        return Equation("", self.axes, exp(self.equation.term - self.equation.access))

    def guard_at(self, place: Access) -> Expr:
        """The condition under which a term counts, at the indices of an access to the softmax."""
        return self.equation.guard.xreplace(dict(zip(self.axes, place.indices, strict=True)))

    def at(self, part: Access, place: Access) -> Access:
        """A part at the indices of an access to the softmax."""
        values = dict(zip(self.axes, place.indices, strict=True))
        return part.xreplace(values)


class _Exact:
    keeps_digits = True  # of 1 - p where p is close to 1

    def __init__(self, program: Program) -> None:
        self.program = program
        self.taken = names(program)
        self.definitions = {e.target: e for e in program.equations if e.reduction is None}
        self.whole = {e.target: e for e in program.equations}
        self.steps = {  # by the members of scans, whose axis of steps is no array's
            e.target: found.index
            for group in groups(program.equations)
            if (found := recurrence(group)) is not None
            for e in group
        }
        self.shifted: list[Shifted] = []
        self.sums_of_others: dict[tuple[Expr, Expr], Access] = {}
        self.equations: list[Equation] = []

    def run(self) -> Program:
        for equation in self.program.equations:
            if equation.reduction == "logsumexp":
                self.logsumexp(equation)
            else:
                self.equations.append(with_term_of(equation, self.placed(equation)))
        results = self.program.results or (self.program.result,)
        return in_order(replace(self.program, equations=tuple(self.equations), results=results))

    def placed(self, equation: Equation) -> Expr:
        """The stable term; that of a block of an axis is computed nowhere else."""
        found = partition(equation)
        if not found or found[0].axis == self.steps.get(equation.target):
            return self.term(equation)
        terms = (self.term(replace(equation, body=b.term)) for b in found)
        return Add(*(b.with_term(t).chosen for b, t in zip(found, terms, strict=True)))

    def term(self, equation: Equation) -> Expr:
        term = self.with_softmax(self.with_definitions(equation.term), equation)
        return stable(self.with_norms(term))

    def auxiliary(self, base: str, axes: tuple[Index, ...], body: Expr, parent: Equation) -> Access:
        """A new equation; its access."""
        target = fresh(base, self.taken)
        origin = parent.origin or parent.target
        self.equations.append(Equation(target, axes, body, origin))
        return Access(target, *axes)

    # -------------------------------------------------- cached outputs

    def with_definitions(self, term: Expr) -> Expr:
        """Cached outputs written out where they would cancel: `1 - a[n,j]` for `a = sigmoid(z)`."""

        def visit(e: Expr) -> Expr:
            if isinstance(e, Access | Reduce) or not e.args:
                return e
            args = [visit(a) for a in e.args]
            if any(a is not b for a, b in zip(args, e.args, strict=True)):
                e = e.func(*args)
            if isinstance(e, Add | Pow) or (isinstance(e, exp) and e.has(Access)):
                read = [a for a in accesses(e) if self.cancels(a, e, term)]
                return e.xreplace({a: visit(self.meaning(a)) for a in read}) if read else e
            return e

        return visit(term)

    def meaning(self, a: Access) -> Expr:
        definition = self.definitions[a.tensor]
        return definition.body if a.indices == definition.indices else value_at(definition, a)

    def cancels(self, a: Access, e: Expr, term: Expr) -> bool:
        """Whether reading `a` within `e`, a sum or an exponential, would lose what is asked for."""
        definition = self.definitions.get(a.tensor)
        if definition is None or elsewhere(definition, a):
            return False
        if isinstance(e, exp):
            return self.reads_logsumexp(definition.body)
        if self.reads_logsumexp(definition.body):
            complement = any(part.is_Number for part in e.args) and isinstance(
                a.indices[-1], Access
            )
            return self.has_target(e) or (complement and self.keeps_digits)
        if isinstance(e, Pow):  # sigmoid(-800), which is 0, to the power 1/2
            lost = a == e.base and not e.exp.is_Integer
        else:
            lost = self.loses(a, definition, e, term)
        return lost and bool(exponents_of(definition.body))

    def loses(self, a: Access, definition: Equation, e: Expr, term: Expr) -> bool:
        number = any(part.is_Number for part in e.args)
        return number or one_signed(definition.body) or self.shares(a, e)

    def has_target(self, e: Expr) -> bool:
        """Whether a softmax read within the sum `e` may meet its one-hot target there."""
        return any(isinstance(part, eq) for part in sympy.preorder_traversal(e))

    def shares(self, a: Access, e: Expr) -> bool:
        """Whether `e` reads, beside `a`, what `a` is computed from."""
        read = tuple(accesses(e))
        if any(not isinstance(i, Index) for x in read for i in x.indices):
            read = tuple(accesses(e.xreplace({a: _BLANK})))  # without those within an index of `a`
        beside = {x for x in read if x != a}
        return bool(beside) and not beside.isdisjoint(accesses(self.meaning(a)))

    def reads_logsumexp(self, e: Expr) -> bool:
        targets = {s.equation.target for s in self.shifted}
        return any(a.tensor in targets for a in accesses(e))

    # -------------------------------------------------- norms

    def with_norms(self, term: Expr) -> Expr:
        """`a*x/r -> a*x/where(0 < r, r, 1)` for the norm `r` of x: 0 where the norm is 0."""

        def visit(e: Expr) -> Expr:
            if isinstance(e, Access | Reduce) or not e.args:
                return e
            if isinstance(e, Mul):
                powers = [f for f in e.args if isinstance(f, Pow) and f.exp.is_negative]
                for f in powers:
                    if isinstance(f.base, Access) and self.vanishes(e, f.base):
                        base = where(lt(Integer(0), f.base), f.base, Integer(1))
                        e = Mul(base**f.exp, *(g for g in e.args if g is not f))
            return e.func(*map(visit, e.args))

        if not holds(term, (Pow,)):
            return term
        read = (p for p in term.atoms(Pow) if isinstance(p.base, Access))
        return visit(term) if any(p.exp.is_negative for p in read) else term

    def vanishes(self, product: Mul, norm: Access) -> bool:
        """Whether a factor is 0 where the norm is: one of the terms whose squares it sums."""
        definition = self.whole.get(norm.tensor)
        if definition is None:
            return False
        root = definition.body
        if isinstance(root, Pow) and root.exp == Rational(1, 2) and isinstance(root.base, Access):
            return self.vanishes(product, value_at(definition, norm).base)
        if definition.reduction not in ("sum", "mean"):
            return False
        squares = [f.base for f in Mul.make_args(definition.term) if isinstance(f, Pow)]
        axes = (*definition.indices, *definition.bound)
        for a in squares:
            values = values_of(product, (Equation(norm.tensor, axes, a),))
            for value, place in values.items():
                here = place.indices[: len(norm.indices)] == norm.indices
                if here and {value, -value} & set(product.args):
                    return True
        return False

    # -------------------------------------------------- logsumexp and softmax

    def logsumexp(self, equation: Equation) -> None:
        axes = (*equation.indices, *equation.bound)
        term, bound, guard = stable(equation.term), equation.bound, equation.guard
        m = self.auxiliary("m", equation.indices, Reduce("max", term, bound, guard), equation)
        e = self.auxiliary("e", axes, self.exponential(term, m, guard), equation)
        s, log_s = self.sums(equation, term, e)
        self.shifted.append(Shifted(equation, m, e, s, log_s))
        self.equations.append(replace(equation, body=m + log_s))

    def exponential(self, term: Expr, m: Access, guard: Expr) -> Expr:
        """`exp(term - m)`, the error of the difference made good: `exp(d)*(1 + error)`."""
        # So far below the maximum that the exponential is 0 in any precision, and no further.
        lowest = m - (2000 + Rational(1, 2**20) * Abs(m))
        a = rounded(maximum(term, lowest))
        if guard != 1:
            a = rounded(minimum(a, m))  # a term that does not count may be the largest
        d = rounded(a - m)
        back = rounded(d - a)
        error = rounded(rounded(a - rounded(d - back)) - rounded(m + back))
        value = rounded(exp(d))
        return where(guard, value + value * error, Integer(0))

    def sums(self, equation: Equation, term: Expr, e: Access) -> tuple[Access, Access]:
        """The sum of the exponentials and its logarithm, from the sum without the largest."""
        indices_, bound, guard = equation.indices, equation.bound, equation.guard
        i = self.auxiliary("i", indices_, Reduce("argmax", term, bound, guard), equation)
        others = and_(guard, ne(flat_position(bound), i))
        r = self.auxiliary("r", indices_, Reduce("sum", e, bound, others), equation)
        s = self.auxiliary("s", indices_, 1 + r, equation)
        return s, self.auxiliary("h", indices_, log1p(r), equation)

    def with_softmax(self, term: Expr, equation: Equation) -> Expr:
        for parts in self.shifted:
            if parts.equation.access.tensor in {a.tensor for a in accesses(term)}:
                term = self.without_target(term, parts, equation)
                term = self.with_exponentials(term, parts)
                term = self.with_logarithm(term, parts)
        return term

    def with_exponentials(self, term: Expr, parts: Shifted) -> Expr:
        """`exp(z - l) -> e/s`"""
        values = values_of(term, (parts.softmax,))
        term = reused(term, values)
        quotients = {p: parts.at(parts.e, p) / parts.at(parts.s, p) for p in values.values()}
        masks = {
            where(parts.guard_at(p), q, Integer(0)): q for p, q in quotients.items()
        }  # the exponentials are 0 where the guard fails
        return term.xreplace(quotients).xreplace(masks)

    def with_logarithm(self, term: Expr, parts: Shifted) -> Expr:
        """`c*l - c*z -> c*(log_s - (z - m))` in every sum."""
        values = values_of(term, (parts.logarithm,))

        def visit(e: Expr) -> Expr:
            if isinstance(e, Access | Reduce) or not e.args:
                return e
            if isinstance(e, Add):
                for difference, place in values.items():
                    c = _coefficient_of_difference(e, difference, parts.equation.target)
                    if c is not None:
                        l = next(a for a in difference.args if -a == _of(parts, place))
                        z = difference - l
                        m, log_s = (parts.at(part, place) for part in (parts.m, parts.log_s))
                        return visit(e - sympy.expand_mul(c * difference)) + c * (
                            rounded(_held(z) - m) - log_s
                        )
            return e.func(*map(visit, e.args))

        return visit(term)

    def without_target(self, term: Expr, parts: Shifted, equation: Equation) -> Expr:
        """`c*exp(z - l) - c*(j == y) -> c*where(j == y, -q/s, e/s)`, q the sum of the others.

        And `1 - exp(z[y] - l) -> q/s`.
        """
        if len(parts.equation.bound) != 1:
            return term
        values = values_of(term, (parts.softmax,))

        def visit(e: Expr) -> Expr:
            if isinstance(e, Access | Reduce) or not e.args:
                return e
            if isinstance(e, Add):
                for value, place in values.items():
                    found = _one_hot(e, value, place.indices[-1])
                    if found is not None:
                        c, delta, rest = found
                        target = next(a for a in delta.args if a != place.indices[-1])
                        e_, s = parts.at(parts.e, place), parts.at(parts.s, place)
                        q = self.others(parts, place, target, equation)
                        return c * where(delta, -q, e_) / s + visit(rest)
                    c, rest = _complement(e, value)
                    if c != 0 and isinstance(place.indices[-1], Access):
                        q = self.others(parts, place, place.indices[-1], equation)
                        return -c * q / parts.at(parts.s, place) + visit(rest)
            return e.func(*map(visit, e.args))

        return visit(term)

    def others(self, parts: Shifted, place: Access, target: Expr, equation: Equation) -> Access:
        """The sum of all exponentials but that of `target`."""
        (k,) = parts.equation.bound
        outer = parts.at(parts.m, place)
        known = self.sums_of_others.get((outer, target))
        if known is not None:
            return known
        used = indices(outer) | indices(target)
        axes = tuple(i for i in (*equation.indices, *equation.bound) if i in used)
        k = k.renamed(fresh(k.name, {i.name for i in used}))
        term = Access(parts.e.tensor, *outer.indices, k)
        body = Reduce("sum", term, (k,), ne(k, target))
        found = self.auxiliary("q", axes, body, equation)
        self.sums_of_others[outer, target] = found
        return found


class _Training(_Exact):
    keeps_digits = False

    def term(self, equation: Equation) -> Expr:
        term = self.with_softmax(self.with_definitions(equation.term), equation)
        term = self.with_norms(term)
        return stable(cheap(term))

    def loses(self, a: Access, definition: Equation, e: Expr, term: Expr) -> bool:
        # An absolute error of a few eps in 1 - a is allowed, but not times z[n,j] = 40.
        return self.shares(a, term)

    def has_target(self, e: Expr) -> bool:
        return False

    def exponential(self, term: Expr, m: Access, guard: Expr) -> Expr:
        d = term - m if guard == 1 else minimum(term - m, Integer(0))
        return where(guard, exp(d), Integer(0))

    def sums(self, equation: Equation, term: Expr, e: Access) -> tuple[Access, Access]:
        total = Reduce("sum", e, equation.bound, equation.guard)
        s = self.auxiliary("s", equation.indices, total, equation)
        return s, self.auxiliary("h", equation.indices, log(s), equation)

    def without_target(self, term: Expr, parts: Shifted, equation: Equation) -> Expr:
        return term


def _held(e: Expr) -> Expr:
    return e if isinstance(e, Access) else rounded(e)


def with_term_of(equation: Equation, term: Expr) -> Equation:
    if term is equation.term:
        return equation
    return replace(equation, body=with_term(equation, term))


def _of(parts: Shifted, place: Access) -> Access:
    return parts.at(parts.equation.access, place)


def _coefficient_of_difference(e: Add, difference: Expr, target: str) -> Expr | None:
    """`c` where the sum `e` has the terms of `c*difference`, difference being `z - l`."""
    (l,) = (-a for a in difference.args if _is_negative_access(a, target))
    for part in e.args:
        c = -part.coeff(l) if part.has(l) else Integer(0)
        if c != 0 and sympy.expand_mul(part + c * l) == 0:
            terms = set(Add.make_args(sympy.expand_mul(c * difference)))
            if terms <= set(e.args):
                return c
    return None


def _is_negative_access(e: Expr, target: str) -> bool:
    return isinstance(-e, Access) and (-e).tensor == target


def _one_hot(e: Add, value: Expr, k: Expr) -> tuple[Expr, Expr, Expr] | None:
    """`c`, `k == target` and the rest where `e = c*value - c*(k == target) + rest`."""
    for part in e.args:
        factors = Mul.make_args(part)
        if value in factors:
            c = Mul(*(f for f in factors if f != value))
            for other in e.args:
                deltas = [f for f in Mul.make_args(other) if isinstance(f, eq) and k in f.args]
                if len(deltas) == 1 and sympy.expand_mul(other + c * deltas[0]) == 0:
                    return c, deltas[0], e - part - other
    return None


def _complement(e: Add, value: Expr) -> tuple[Expr, Expr]:
    """`c` and the rest where `e = c*value - c + rest` for a number c, which is else 0."""
    split = (part.as_coeff_Mul() for part in e.args)
    c = next((number for number, rest in split if rest == value), Integer(0))
    return (c, e - c * value + c) if -c in e.args else (Integer(0), e)
