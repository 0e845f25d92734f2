"""Random affine formulas: the derived cotangents against differences of the forward value.

Both are computed by the interpreter, so that the calculus alone is on trial. A formula is made as a
program and not as text: accesses with strides, dilations, offsets, diagonals, `%`, `//`, lookups,
the same tensor read at several places, reductions within reductions, conditions on indices.

`DERIVE_RANDOM_FORMULAS=5000` makes it a longer run, of other formulas each time.
"""

import os
from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, Phase, assume, event, given, note, settings
from hypothesis import strategies as st
from sympy import Integer, exp, sin, tanh

from derive.checks import compare, contracted, random_cotangent
from derive.gradients.derivation import reverse
from derive.gradients.normal_form import flatten
from derive.language.checker import check, check_normal
from derive.language.functions import eq, floordiv, lt, maximum, mod, where
from derive.language.interpreter import evaluate
from derive.language.notation import (
    Access,
    DeriveError,
    Equation,
    Index,
    Program,
    Reduce,
    Tensor,
    size,
)

MANY = int(os.environ.get("DERIVE_RANDOM_FORMULAS", "0"))
OPERATIONS = ("sum", "sum", "sum", "mean", "max", "min", "prod", "logsumexp")


class Formula:
    """A program as it is drawn: its inputs, and the number that each size is."""

    def __init__(self, draw):
        self.draw = draw
        self.names = iter("ijklmnpqrs")
        self.inputs = []
        self.lengths = {}
        self.limits = {}  # of lookups: the size of the axis that they point into

    def chance(self, one_in):
        return self.draw(st.integers(1, one_in)) == 1

    def one_of(self, *options):
        return self.draw(st.sampled_from(options))

    def index(self):
        i = Index(next(self.names))
        self.lengths[i.size] = self.draw(st.integers(1, 4))
        return i

    def tensor(self, prefix, sizes, kind="real"):
        name = f"{prefix}_{len(self.inputs)}"
        axes = tuple(Index(f"{name}_{axis}", s) for axis, s in enumerate(sizes))
        self.inputs.append(Tensor(name, axes, kind))
        return self.inputs[-1]

    def position(self, scope):
        """An index, an affine expression of indices, or a % or // of one."""
        i, j = self.one_of(*scope), self.one_of(*scope)
        a, b, c = (
            self.one_of(1, 1, 2, 3, -1, -2),
            self.one_of(1, 2, -1),
            self.one_of(-2, -1, 0, 1, 3),
        )
        affine = self.one_of(a * i + c, a * i + b * j + c)
        divisor = self.one_of(Integer(2), Integer(3), i.size, j.size)
        return self.one_of(
            i, i, affine, affine, mod(affine, divisor), floordiv(affine, divisor), i.size - 1 - i
        )

    def access(self, scope, rank=3):
        """An element of a new tensor, or of one that is read elsewhere already."""
        known = [t for t in self.inputs if t.kind == "real"]
        if known and self.chance(2):
            t = self.one_of(*known)
            places = [self.position(scope) for _ in t.axes]
            # Alone an index runs over the whole axis.
            places = [
                p - 1 if isinstance(p, Index) and p.size != axis.size else p
                for p, axis in zip(places, t.axes, strict=True)
            ]
        else:
            places = [self.position(scope) for _ in range(self.draw(st.integers(0, rank)))]
            sizes = [p.size if isinstance(p, Index) else self.new_size() for p in places]
            t = self.tensor("x", sizes)
        if places and self.chance(8):
            axis = self.draw(st.integers(0, len(places) - 1))
            i = self.one_of(*scope)
            ids = self.tensor("t", [i.size], "integer")
            self.limits[ids.name] = t.axes[axis].size
            places[axis] = Access(ids.name, i)
            event("lookup")
        return Access(t.name, *places)

    def new_size(self):
        s = size(f"S_{len(self.lengths)}")
        self.lengths[s] = self.draw(st.integers(1, 5))
        return s

    def scalar(self, scope):
        """An expression of two or three accesses, smooth almost everywhere."""
        a, b = self.access(scope, rank=4), self.access(scope)
        i, j = self.one_of(*scope), self.one_of(*scope)
        match self.draw(st.integers(0, 7)):
            case 0 | 1:
                return a * b
            case 2:
                return a * b * self.access(scope)
            case 3:
                return sin(a) + b**2
            case 4:
                return a * exp(b / 2) + i
            case 5:
                return where(lt(i, j + 1), tanh(a * b), b)
            case 6:
                return a * b * eq(i, j) + a
            case _:
                return maximum(a, b) * a

    def reduced(self, outer, bound, term):
        op = self.one_of(*OPERATIONS)
        event(op)
        guard = lt(self.one_of(*bound), self.one_of(*outer, *bound) + 1) if self.chance(4) else 1
        return Reduce(op, term, bound, guard)

    def equations(self):
        outer = tuple(self.index() for _ in range(self.draw(st.integers(0, 2))))
        inner = tuple(self.index() for _ in range(self.draw(st.integers(1, 2))))
        scope = (*outer, *inner)
        if len(inner) == 2 and self.chance(2):
            event("nested")
            within = self.reduced(scope[:-1], inner[1:], self.scalar(scope))
            body = self.reduced(outer, inner[:1], within * self.access(scope[:-1]))
        else:
            body = self.reduced(outer, inner, self.scalar(scope))
        y = Equation("y", outer, self.one_of(body, body, tanh(body), body * sin(body)))
        if not outer or not self.chance(3):
            return (y,)
        event("two equations")
        j = self.index().resized(outer[0].size)
        crossed = y.access * Access("y", j, *outer[1:]) * self.access((*outer, j))
        return (y, Equation("z", outer, Reduce("sum", crossed, (j,))))


@st.composite
def formulas(draw):
    """A program and arrays for it; sizes of indices are symbols or known numbers."""
    formula = Formula(draw)
    equations = formula.equations()
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    fixed = {i.size for t in formula.inputs for i in t.axes}
    rest = [s for s in formula.lengths if s not in fixed]
    sizes = ()
    if draw(st.booleans()):
        sizes = tuple((s, Integer(formula.lengths[s])) for s in rest)
    else:
        for s in rest:
            formula.tensor("s", [s])
    arrays = {}
    for t in formula.inputs:
        shape = tuple(formula.lengths[i.size] for i in t.axes)
        if t.kind == "integer":
            arrays[t.name] = rng.integers(0, formula.lengths[formula.limits[t.name]], shape)
        else:
            arrays[t.name] = rng.uniform(-1.5, 1.5, shape)
    return Program(equations, tuple(formula.inputs), sizes), arrays


def evaluated(program, arrays):
    """The values; a formula that takes the maximum of nothing is no example."""
    try:
        return evaluate(program, arrays)
    except DeriveError as error:
        assume("no term left" not in str(error))
        raise


def against_differences(value, gradients, arrays):
    """Every element is moved at once: the derivative along a random direction."""
    for name, gradient in gradients.items():
        assert gradient.shape == arrays[name].shape
        direction = random_cotangent(gradient.shape, len(name) + gradient.size)

        def along(a, name=name, direction=direction):
            return value({**arrays, name: arrays[name] + a["step"] * direction})

        slope = {"step": np.sum(gradient * direction)}
        report = compare(along, slope, {"step": np.zeros(())}, ["step"])
        if not report.rows[0].kinks:
            assert report.ok, f"{name}\n{report}"


def cotangents(program, result, seed, wrt, suffix="_bar"):
    """The sweep from one result, whose cotangent is a new input."""
    axes = program.equation(result).indices
    seeded = replace(program, inputs=(*program.inputs, Tensor(seed, axes)))
    return reverse(seeded, wrt, {result: Access(seed, *axes)}, suffix=suffix)


def random_formulas(examples):
    return settings(
        max_examples=MANY or examples,
        derandomize=not MANY,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # shrinking takes minutes, and the formulas are short
        suppress_health_check=list(HealthCheck),
    )


def drawn(formula):
    """The parts of a formula, its values, and the operands to differentiate by."""
    program, arrays = formula
    shapes = ", ".join(f"{t}: {arrays[t.name].shape}" for t in program.inputs)
    note(f"{program}\n{shapes}")
    values = evaluated(program, arrays)
    assume(all(np.abs(v).max(initial=0) < 1e3 for v in values.values()))
    wrt = tuple(t.name for t in program.inputs if t.kind == "real")
    return program, arrays, values, wrt


@random_formulas(examples=150)
@given(formulas())
def test_cotangents_are_those_of_differences(formula):
    program, arrays, values, wrt = drawn(formula)
    check(program)
    forward = flatten(program)
    check_normal(forward)
    first = cotangents(forward, program.result, "seed", wrt)
    note(str(first.program))
    check_normal(first.program)
    seed = random_cotangent(values[program.result].shape)
    derived = evaluated(first.program, {**arrays, "seed": seed})
    for name, value in values.items():
        np.testing.assert_allclose(derived[name], value, rtol=1e-12, atol=1e-13)
    value = contracted(lambda a: evaluate(program, a)[program.result], seed)
    against_differences(value, {n: derived[first.cotangents[n]] for n in wrt}, arrays)


@random_formulas(examples=25)
@given(formulas())
def test_second_derivatives_are_those_of_differences(formula):
    program, arrays, values, wrt = drawn(formula)
    first = cotangents(flatten(program), program.result, "seed", wrt)
    note(str(first.program))
    gradient = first.cotangents[wrt[0]]
    second = cotangents(first.program, gradient, "direction", wrt, "_hvp")
    note(str(second.program))
    check_normal(second.program)
    arrays["seed"] = random_cotangent(values[program.result].shape)
    direction = random_cotangent(arrays[wrt[0]].shape, 1)
    derived = evaluated(second.program, {**arrays, "direction": direction})
    value = contracted(lambda a: evaluate(first.program, a)[gradient], direction)
    against_differences(value, {n: derived[second.cotangents[n]] for n in wrt}, arrays)
