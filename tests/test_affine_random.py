"""Random affine formulas, compiled, against plain loops: values and cotangents.

y[i,j] = sum or mean[k,l](x[2*i+k-1, (j+l) % 3] * x[i, j//2] * w[k,l] * ...), guards, offsets,
diagonals, the same tensor read several times, nested sums. The loops know nothing of the compiler:
a term is left out where one of its accesses falls outside, and its cotangents are the products of
the other factors. `DERIVE_RANDOM_FORMULAS=2000` makes it a longer run, of other formulas each time.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sympy import Integer, Mul

from derive.derived import Derivation
from derive.gradients.derivation import reverse
from derive.gradients.normal_form import flatten
from derive.language.functions import and_, eq, floordiv, le, lt, mod, where
from derive.language.notation import Access, Equation, Index, Program, Reduce, Tensor

MANY = int(os.environ.get("DERIVE_RANDOM_FORMULAS", "0"))
SEED = random.SystemRandom().randrange(10**9) if MANY else 0
CHUNK = 20


@dataclass(frozen=True)
class Place:
    """(sum of coefficients times indices + offset), % or // by a number or as it is."""

    terms: tuple[tuple[int, int], ...]  # (number of the index, coefficient)
    offset: int
    digit: str
    divisor: int

    def at(self, point: tuple[int, ...]) -> int:
        value = sum(c * point[i] for i, c in self.terms) + self.offset
        match self.digit:
            case "%":
                return value % self.divisor
            case "//":
                return value // self.divisor
        return value

    def expression(self, indices: tuple[Index, ...]) -> Any:
        e = Integer(self.offset) + sum(c * indices[i] for i, c in self.terms)
        match self.digit:
            case "%":
                return mod(e, Integer(self.divisor))
            case "//":
                return floordiv(e, Integer(self.divisor))
        return e


@dataclass(frozen=True)
class Formula:
    sizes: tuple[int, ...]  # of outer and then of inner indices
    outer: int
    factors: tuple[tuple[str, tuple[Place, ...]], ...]
    condition: tuple[str, Place, Place] | None
    nested: int  # this many of the inner indices are summed within the others
    mean: bool
    shapes: dict[str, tuple[int, ...]]


def drawn(rng: random.Random) -> Formula:
    """A formula: two to four indices, two or three factors of rank up to four."""
    outer, inner = rng.randint(0, 3), rng.randint(1, 3)
    sizes = tuple(rng.randint(1, 4) for _ in range(outer + inner))
    every = range(len(sizes))

    def place() -> Place:
        if rng.random() < 0.45:
            return Place(((rng.choice(every), 1),), 0, "", 1)
        used = rng.sample(every, min(len(sizes), rng.choice((1, 2, 2, 3))))
        terms = tuple((i, rng.choice((1, 1, 2, 3, -1, -2))) for i in used)
        digit = rng.choice(("", "", "", "%", "//"))
        divisor = rng.choice((2, 3, sizes[used[0]]))
        return Place(terms, rng.randint(-3, 3), digit, divisor)

    shapes: dict[str, tuple[int, ...]] = {}
    factors = []
    for _ in range(rng.choice((1, 2, 2, 3))):
        if shapes and rng.random() < 0.3:  # one that was read before
            name = rng.choice(list(shapes))
            places = tuple(place() for _ in shapes[name])
        else:
            name = f"x_{len(shapes)}"
            places = tuple(place() for _ in range(rng.randint(1, 4)))
            shapes[name] = tuple(
                # As long as it takes, or shorter or longer: then it is read outside.
                max(1, rng.choice((0, 0, 0, -1, 1)) + 1 + max(map(p.at, points(sizes))))
                for p in places
            )
        factors.append((name, places))
    condition = None
    if rng.random() < 0.3:
        condition = rng.choice(("<", "<=", "==")), place(), place()
    nested = rng.randint(1, inner - 1) if inner > 1 and rng.random() < 0.3 else 0
    return Formula(sizes, outer, tuple(factors), condition, nested, rng.random() < 0.2, shapes)


def points(sizes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return itertools.product(*map(range, sizes))


def derived(formula: Formula) -> Derivation:
    indices = tuple(
        Index(name, Integer(s)) for name, s in zip("ijklmn", formula.sizes, strict=False)
    )
    term = Mul(*(Access(x, *(p.expression(indices) for p in at)) for x, at in formula.factors))
    if formula.condition:
        comparison, a, b = formula.condition
        compare = {"<": lt, "<=": le, "==": eq}[comparison]
        term = where(and_(compare(a.expression(indices), b.expression(indices))), term, Integer(0))
    outer, inner = indices[: formula.outer], indices[formula.outer :]
    op = "mean" if formula.mean else "sum"
    first, second = inner[: len(inner) - formula.nested], inner[len(inner) - formula.nested :]
    body = Reduce(op, Reduce(op, term, second), first) if second else Reduce(op, term, first)
    inputs = tuple(
        Tensor(name, tuple(Index(f"{name}_{k}", Integer(s)) for k, s in enumerate(shape)))
        for name, shape in formula.shapes.items()
    )
    program = flatten(Program((Equation("y", outer, body),), inputs))
    seeded = Program(program.equations, (*inputs, Tensor("y_bar", outer)), program.sizes)
    wrt = tuple(formula.shapes)
    gradients = reverse(seeded, wrt, {"y": Access("y_bar", *outer)})
    return Derivation("vjp", str(program), wrt, gradients, "exact", "y_bar")


def looped(formula: Formula, arrays: dict[str, Any], seed: Any) -> tuple[Any, dict[str, Any]]:
    """The value and the cotangents, term by term."""
    outer = formula.sizes[: formula.outer]
    value = np.zeros(outer)
    cotangents = {name: np.zeros_like(a) for name, a in arrays.items()}
    weight = 1 / np.prod(formula.sizes[formula.outer :]) if formula.mean else 1.0
    for point in points(formula.sizes):
        if formula.condition:
            comparison, a, b = formula.condition
            left, right = a.at(point), b.at(point)
            if not {"<": left < right, "<=": left <= right, "==": left == right}[comparison]:
                continue
        at = [(name, tuple(p.at(point) for p in places)) for name, places in formula.factors]
        shapes = formula.shapes
        if any(not 0 <= i < n for x, place in at for i, n in zip(place, shapes[x], strict=True)):
            continue
        values = [arrays[name][place] for name, place in at]
        own = point[: formula.outer]
        value[own] += weight * np.prod(values)
        for k, (name, place) in enumerate(at):
            others = np.prod(values[:k] + values[k + 1 :])
            cotangents[name][place] += weight * seed[own] * others
    return value, cotangents


@pytest.mark.parametrize("chunk", range(-(-MANY // CHUNK) or 6))
def test_random_affine_formulas(chunk):
    for number in range(CHUNK):
        seed = SEED + CHUNK * chunk + number
        formula = drawn(random.Random(seed))
        rng = np.random.default_rng(seed)
        arrays = {name: rng.normal(size=shape) for name, shape in formula.shapes.items()}
        derivation = derived(formula)
        module = derivation.compile()
        y_bar = rng.normal(size=formula.sizes[: formula.outer])
        value, cotangents = looped(formula, arrays, y_bar)
        said = f"seed {seed}\n{derivation}"
        assert_allclose(module.value(**arrays), value, 1e-10, 1e-12, err_msg=said)
        found = module.vjp(y_bar, **arrays)
        for name, exact in cotangents.items():
            assert_allclose(found[name], exact, 1e-10, 1e-12, err_msg=f"{name}, {said}")
