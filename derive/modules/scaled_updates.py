"""An update in fewer passes: states kept in another unit, scalars put together.

    m_next[p] = 0.9*m[p] + 0.1*g[p]               m_next[p] = 0.9*m[p] + g[p]      m in units of 0.1
    w_next[p] = w[p] - learning_rate*m_next[p] -> w_next[p] = w[p] - c*m_next[p]   c: once a step

A tensor `s` kept in the unit `k` is read as `k*s`; every equation is written as a scalar times an
expression in which as few arrays as possible have factors. Exact, because only these rules are
used, with scalars `k`, and `q > 0` known to be so:

    q*x + b   = q*(x + b/q)               sqrt(q*x)   = sqrt(q)*sqrt(x)      (k*x)**2  = k**2*x**2
    sign(q*x) = sign(x)     |q*x| = q*|x|     maximum(q*x, q*y) = q*maximum(x, y)

Which units states have, and whether an intermediate tensor is computed with its factor or without,
is decided by counting passes over all few possibilities; the plain form wins where it is as short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice, product

import sympy
from sympy import Abs, Add, Expr, Float, Mul, Pow, S

from derive.gradients.normal_form import fresh, names
from derive.language import functions as f
from derive.language.notation import Access, Equation, Index, Program, Tensor, accesses

MOST = 64  # possibilities looked at
# Units in which the range of single precision shrinks to no less than 1e-32 to 1e32.
SMALLEST, LARGEST = S("1e-6"), S("1e6")
CONDITIONS = (f.eq, f.ne, f.lt, f.le, f.and_, f.or_, f.not_)
Factored = tuple[Expr, Expr]  # scalar, expression without a scalar factor


class Whole(sympy.Function):
    """Its argument, a sum that a number is not multiplied into."""


@dataclass(frozen=True)
class Scaled:
    """An update of arrays whose scalars are computed before: once (`constants`), or every step.

    `units` gives for each state that is not kept as it is what it is divided by.
    """

    constants: tuple[Equation, ...]
    scalars: tuple[Equation, ...]
    program: Program
    units: Mapping[str, Expr]

    @property
    def named(self) -> frozenset[str]:
        """The scalars that the equations over arrays read."""
        computed = {e.target for e in (*self.constants, *self.scalars)}
        return frozenset(t.name for t in self.program.inputs if t.name in computed)


def scaled(program: Program, states: Iterable[str], fixed: Iterable[str] = ()) -> Scaled:
    """The update in the fewest passes, `fixed` states in their own units.

    `program` has equations over the one axis of all vectors alone; sums are inputs of it.
    """
    free = tuple(s for s in states if s not in set(fixed))
    units = [_units(program, s, free) for s in free]
    kept = [e.target for e in program.equations if e.target not in program.results]
    choices = [*units, *((False, True) for _ in kept)]
    best: tuple[int, _Update] | None = None
    for chosen in islice(product(*choices), MOST):
        unit = dict(zip(free, chosen, strict=False))
        whole = {t for t, plain in zip(kept, chosen[len(free) :], strict=True) if plain}
        update = _Update(program, unit, whole)
        if best is None or update.passes < best[0]:
            best = (update.passes, update)
    assert best is not None
    return best[1].named()


class _Update:
    """The equations for one choice of units, and how many passes they take."""

    def __init__(self, program: Program, unit: Mapping[str, Expr], whole: set[str]) -> None:
        self.program = program
        self.unit = {s: k for s, k in unit.items() if k != 1}
        self.scale = dict(self.unit) | {f"{s}_next": k for s, k in self.unit.items()}
        self.alias: dict[str, Expr] = {}
        self.taken = names(program)
        self.scalars: list[Equation] = []
        self.equations: list[Equation] = []
        for e in program.equations:
            self.equation(e, e.target in whole)
        seen: set[Expr] = set()
        self.passes = sum(passes(e.body, seen) for e in self.equations)

    def equation(self, e: Equation, whole: bool) -> None:
        k, core = self.factored(e.body)
        if e.target in self.program.results or whole:
            body = self.shorter(e.body, k / self.scale.get(e.target, S.One))
            self.equations.append(replace(e, body=body))
            return
        if k.has(Access) and not is_positive(k) and not k.is_number:
            sign, size = _signed(k)
            name = fresh(f"{e.target}_factor", self.taken)
            self.scalars.append(Equation(name, (), size, e.origin or e.target))
            k = sign * Access(name)
        self.scale[e.target] = k
        if isinstance(core, Access):
            self.alias[e.target] = core
        else:
            self.equations.append(replace(e, body=core))

    def shorter(self, body: Expr, k: Expr) -> Expr:
        """`k*core` of a body, or the sum of its terms each with its factor, if as short."""
        own, core = self.factored(body)
        one = _times(k, core)
        if not body.is_Add:
            return one
        parts = [self.factored(a) for a in body.args]
        distributed = Add(*(_times(a * k / own, x) for a, x in parts))
        return distributed if passes(distributed, set()) <= passes(one, set()) else one

    def factored(self, e: Expr) -> Factored:
        """A scalar, and an expression: their product is `e`, tensors being read in their units."""
        if not e.has(Index):
            return e, S.One
        if isinstance(e, Access):
            return self.scale.get(e.tensor, S.One), self.alias.get(e.tensor, e)
        if isinstance(e, Pow) and e.exp.is_Rational:
            k, x = self.factored(e.base)
            known = e.exp.is_Integer or is_positive(k)
            return (_power(k, e.exp), x**e.exp) if known else (S.One, Pow(_times(k, x), e.exp))
        parts = [self.factored(a) for a in e.args]
        if e.is_Mul:
            return Mul(*(k for k, _ in parts)), Mul(*(x for _, x in parts))
        if e.is_Add:
            return _sum(parts)
        if isinstance(e, sympy.sign | Abs):
            ((k, x),) = parts
            sign, size = _signed(k)
            if is_positive(size):
                return (sign, e.func(x)) if isinstance(e, sympy.sign) else (size, e.func(x))
        if isinstance(e, f.maximum | f.minimum | f.where):
            compared = parts[1:] if isinstance(e, f.where) else parts
            factors = {k for k, x in compared if k * x != 0}
            if len(factors) == 1 and (isinstance(e, f.where) or is_positive(*factors)):
                (k,) = factors
                branches = [x if a * x != 0 else S.Zero for a, x in compared]
                first = [_times(*parts[0])] if isinstance(e, f.where) else []
                return k, e.func(*first, *branches)
        return S.One, e.func(*(_times(k, x) for k, x in parts))

    def named(self) -> Scaled:
        """The update with a name for each scalar."""
        return _Naming(self).run()


def _sum(parts: list[Factored]) -> Factored:
    """q*(...): `q` such that the fewest arrays keep a factor."""
    arrays = [k for k, x in parts if x != 1]
    candidates = [S.One, *(size for _, size in map(_signed, arrays) if is_moderate(size))]

    def left(q: Expr) -> int:
        return sum(k / q not in (1, -1) for k in arrays)

    q = min(candidates, key=left)
    return q, Add(*(_times(k / q, x) for k, x in parts))


def _power(k: Expr, exponent: Expr) -> Expr:
    """A power of a scalar; sqrt(1/k) is 1/sqrt(k)."""
    if k.is_Mul:
        return Mul(*(_power(a, exponent) for a in k.args))
    if isinstance(k, Pow) and (exponent.is_Integer or is_positive(k.base)):
        return Pow(k.base, k.exp * exponent)
    return Pow(k, exponent)


def _signed(k: Expr) -> Factored:
    """The sign that is written before a scalar, and the scalar without it."""
    return (S.NegativeOne, -k) if k.as_coeff_Mul()[0].is_negative else (S.One, k)


def _times(k: Expr, x: Expr) -> Expr:
    """k*x; a number stays in front of a sum, where SymPy would multiply each term by it."""
    return k * Whole(x) if x.is_Add and k not in (1, -1) else k * x


def is_positive(k: Expr) -> bool:
    """Whether a scalar is known to be above 0; `t` counts from 1."""
    if k.is_number:
        return bool(k > 0)
    if isinstance(k, Access):
        return k.tensor == "t"
    if k.is_Mul or k.is_Add:
        return all(map(is_positive, k.args)) or _is_complement(k)
    return isinstance(k, Pow) and is_positive(k.base)


def is_moderate(k: Expr) -> bool:
    """Whether a scalar is known to be above 0, and neither small nor large at any step."""
    if not is_positive(k):
        return False
    number = k.evalf(17)  # powers of fractions would be integers of a million digits
    at = (number.xreplace({Access("t"): Float(t)}).evalf() for t in (1, 10, 100, 1000, 10**6))
    return all(bool(value >= SMALLEST) and bool(value <= LARGEST) for value in at)


def _is_complement(k: Expr) -> bool:
    """1 - b**t with 0 < b < 1."""
    rest = 1 - k
    return (
        isinstance(rest, Pow)
        and rest.base.is_number
        and bool(rest.base > 0)
        and bool(rest.base < 1)
        and is_positive(rest.exp)
    )


def passes(e: Expr, seen: set[Expr]) -> int:
    """How many operations on arrays an expression takes besides those in `seen`."""
    if e in seen or not e.has(Index) or isinstance(e, Access | Index):
        return 0
    seen.add(e)
    if isinstance(e, Whole):
        return passes(e.args[0], seen)
    inner = sum(passes(a, seen) for a in e.args if not _is_reciprocal(a))
    inner += sum(passes(1 / a, seen) for a in e.args if _is_reciprocal(a))
    if not (e.is_Add or e.is_Mul):
        return inner + 1
    arrays = [a for a in e.args if a.has(Index)]
    scalar = e.func(*(a for a in e.args if not a.has(Index)))
    free = (S.Zero,) if e.is_Add else (S.One, S.NegativeOne)
    return inner + len(arrays) - 1 + (scalar not in free)


def _is_reciprocal(e: Expr) -> bool:
    return isinstance(e, Pow) and e.has(Index) and e.exp.could_extract_minus_sign()


def _units(program: Program, state: str, free: Iterable[str]) -> list[Expr]:
    """Units in which a state may be kept: the factors of what it is a sum of, and of itself."""
    found: dict[Expr, None] = {S.One: None}
    equation = {e.target: e for e in program.equations}
    # What is read through other states and intermediate tensors comes with their factors.
    around = [e for s in free if (e := equation.get(f"{s}_next")) is not None]
    for unit in [S.One, *_factors(around, lambda a: f"{a.tensor}_next" not in equation)]:
        others = {s: unit for s in free if s != state}
        update = _Update(program, others, set())
        own = equation[f"{state}_next"]
        for term in Add.make_args(own.body):
            k, x = update.factored(term)
            if not any(a.tensor == state for a in accesses(x)):
                found[k] = None
        found[update.factored(own.body)[0]] = None
        found |= {update.scale.get(a.tensor, S.One): None for a in accesses(own.body)}
    ways = (state, f"{state}_next")
    elsewhere = [e for e in program.equations if e is not own]
    found |= dict.fromkeys(1 / k for k in _factors(elsewhere, lambda a: a.tensor in ways))
    usable = (abs(k) for k in found if k.is_number)
    return list(dict.fromkeys(k for k in usable if is_moderate(k)))


def _factors(equations: Iterable[Equation], wanted: Callable[[Access], bool]) -> list[Expr]:
    """The numbers by which tensors are multiplied."""
    found: dict[Expr, None] = {}
    for e in equations:
        for m in e.body.atoms(Mul):
            if any(wanted(a) for x in m.args for a in accesses(x)):
                found[m.as_coeff_Mul()[0]] = None
    return [k for k in found if k not in (1, -1, 0)]


class _Naming:
    """Scalars of the update's equations as inputs of rank 0, each computed before."""

    def __init__(self, update: _Update) -> None:
        self.update = update
        self.found: dict[Expr, Access] = {}
        self.constants: list[Equation] = []
        self.scalars = list(update.scalars)
        self.cores: list[Equation] = []
        self.parent = update.program.equations[0]

    def run(self) -> Scaled:
        equations: list[Equation] = []
        for e in self.update.equations:
            self.parent, self.cores = e, []
            body = self.part(e.body)
            equations += [*self.cores, replace(e, body=body)]
        program = self.update.program
        given = {a.tensor for e in equations for a in accesses(e.body)}
        inputs = tuple(t for t in program.inputs if t.name in given)
        inputs += tuple(Tensor(a.tensor, ()) for a in self.found.values())
        inputs += tuple(Tensor(e.target, ()) for e in self.update.scalars if e.target in given)
        changed = replace(program, equations=tuple(equations), inputs=inputs)
        return Scaled(tuple(self.constants), tuple(self.scalars), changed, self.update.unit)

    def part(self, e: Expr) -> Expr:
        if isinstance(e, Access | Index | f.rounded) or e.is_Integer:
            return e
        if isinstance(e, Whole):
            return self.part(e.args[0])
        if isinstance(e, f.horner):
            return e.func(self.part(e.args[0]), *e.args[1:])
        if not e.has(Index):
            return e if isinstance(e, CONDITIONS) else self.scalar(e)
        if isinstance(e, Pow) and e.exp.is_Rational:
            return Pow(self.part(e.base), e.exp)
        if not (e.is_Add or e.is_Mul):
            return e.func(*map(self.part, e.args))
        scalar = e.func(*(a for a in e.args if not a.has(Index)))
        arrays = [self.part(a) for a in e.args if a.has(Index)]
        if scalar in ((S.Zero,) if e.is_Add else (S.One, S.NegativeOne)):
            return e.func(scalar, *arrays)
        sign, size = _signed(scalar)
        core = e.func(*arrays)
        if e.is_Mul and not isinstance(core, Access):
            # The scalar comes last, so that it needs no array of its own.
            name = fresh(f"{self.parent.target}_core", self.update.taken)
            origin = self.parent.origin or self.parent.target
            self.cores.append(Equation(name, self.parent.indices, core, origin))
            core = self.cores[-1].access
        return e.func(sign * self.scalar(size), core)

    def scalar(self, e: Expr) -> Access:
        """The scalar as an input."""
        if e not in self.found:
            origin = self.parent.origin or self.parent.target
            k = len(self.constants) + len(self.scalars) + 1
            self.found[e] = Access(fresh(f"c_{k}", self.update.taken))
            equations = self.scalars if e.has(Access) else self.constants
            equations.append(Equation(self.found[e].tensor, (), e, origin))
        return self.found[e]
