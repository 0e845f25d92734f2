"""Each row of the table of identities is its own test: both sides are sampled."""

import mpmath
import numpy as np
import pytest
import sympy
from sympy import Symbol, erf, exp, log, sign

from derive.gradients.identities import (
    IDENTITIES,
    INDEXED,
    REWRITINGS,
    rewritten,
    sigmoid,
    softplus,
    u,
    v,
    w,
)
from derive.language.functions import Named, lt, maximum, minimum, where
from derive.language.interpreter import evaluate
from derive.language.notation import Equation, Index, Program, Tensor

MP = [
    {
        "maximum": lambda a, b: a if a >= b else b,
        "minimum": lambda a, b: a if a <= b else b,
        "where": lambda c, a, b: a if c else b,
        "lt": lambda a, b: a < b,
        "and_": lambda a, b: a and b,
        "log1p": mpmath.log1p,
        "expm1": mpmath.expm1,
    },
    "mpmath",
]


def value(e, at):
    while e.atoms(Named):
        e = e.xreplace({f: f.expanded() for f in e.atoms(Named)})
    return sympy.lambdify((u, v, w), e, MP)(*at)


@pytest.mark.parametrize("row", IDENTITIES, ids=lambda row: f"{row.name}: {row.left}")
def test_both_sides_are_equal(row):
    rng = np.random.default_rng(0)
    with mpmath.workdps(60):
        for _ in range(40):
            at = [mpmath.mpf(float(a)) for a in rng.uniform(*row.domain, size=3)]
            left, right = value(row.left, at), value(row.right, at)
            assert abs(left - right) <= mpmath.mpf(10) ** -25 * max(abs(left), abs(right))


@pytest.mark.parametrize("row", INDEXED, ids=lambda row: row.name)
def test_both_sides_are_equal_for_tensors(row):
    j = Index("j")
    sides = (Equation("left", (j,), row.left), Equation("right", (j,), row.right))
    z = np.random.default_rng(0).normal(size=5)
    found = evaluate(Program(sides, (Tensor("z", (j,)),)), {"z": z})
    absolute = 1e-14 if row.right == 0 else 0.0  # nothing is relative to 0
    np.testing.assert_allclose(found["left"], found["right"], rtol=1e-13, atol=absolute)


@pytest.mark.parametrize("row", IDENTITIES, ids=lambda row: f"{row.name}: {row.left}")
def test_statements_are_latex(row):
    assert " = " in row.statement
    assert row.statement.count("{") == row.statement.count("}")


x, y, g = (Symbol(name, real=True) for name in "xyg")


def first(e):
    return next((r for row in REWRITINGS if (r := rewritten(e, row)) is not None), None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (log(1 + exp(x - 2 * y)), softplus(x - 2 * y)),
        (log(1 + exp(-x)), softplus(-x)),
        (log(sigmoid(x * y)), -softplus(-x * y)),
        (exp(-softplus(x)), sigmoid(-x)),
        (g * x * sign(x), g * sympy.Abs(x)),
        (where(lt(0, y), y, 0), maximum(0, y)),
        (y + 1 - erf(x), None),
        (log(2 + exp(x)), None),
        (g * x * sign(y), None),
        (where(lt(0, y), x, 0), None),
        (minimum(x, y), None),
    ],
    ids=str,
)
def test_patterns_match_what_they_should(before, after):
    if after is None and before.has(erf):
        after = y + sympy.erfc(x)  # 1 - erf(x) within a longer sum
    assert first(before) == after
