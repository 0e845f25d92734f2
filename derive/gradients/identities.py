"""Named identities between scalar expressions: the table that the textbook form is made with.

    Identity(name, left, right, domain)      left = right for every real u in the domain

A row is a statement, a rewriting and a test: `tests/test_identities.py` samples both sides. Rows
are used from left to right, and only where they make the expression smaller. `SUBSTITUTIONS` give
another generator for the field of rational functions of `exp(u)`; all that is known of the
sigmoid and of tanh (their complements, reflections and derivatives) follows from these by
cancellation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import sympy
from sympy import (
    Abs,
    Add,
    Expr,
    Mul,
    Rational,
    Symbol,
    cosh,
    erf,
    erfc,
    exp,
    log,
    sign,
    sinh,
    tanh,
)
from sympy.codegen.cfunctions import expm1, log1p

from derive.language.functions import and_, lt, maximum, minimum, named, where
from derive.language.notation import Access, Index, Reduce, size

u = Symbol("u", real=True)
v = Symbol("v", real=True)
w = Symbol("w", real=True)

# Names of rewritings that are code; here is what they say.
COMMON_FACTOR, EXPONENTIAL, MASK = "common factor", "exponential", "mask"
SOFTMAX, SUM_OF_DEVIATIONS = "softmax", "sum of deviations"

sigmoid = named("sigmoid", (u,), 1 / (1 + exp(-u)))
softplus = named("softplus", (u,), log(1 + exp(u)))


class Identity(NamedTuple):
    """`left = right` for all `u` (`v`, `w`) in `domain`, an open interval to sample from."""

    name: str
    left: Expr
    right: Expr
    domain: tuple[float, float] = (-30.0, 30.0)

    @property
    def statement(self) -> str:
        """The identity as LaTeX."""
        return f"{_latex(self.left)} = {_latex(self.right)}"


def _latex(e: Expr) -> str:
    for function, symbol in ((sigmoid, r"\sigma"), (softplus, r"\operatorname{softplus}")):
        name = sympy.Function(symbol)
        e = e.replace(function, name)
    return str(sympy.latex(e, ln_notation=False))


# exp(k*u) in terms of another function of u: candidates for the generator of a rational function.
SUBSTITUTIONS = (
    Identity("sigmoid", exp(u), sigmoid(u) / (1 - sigmoid(u))),
    Identity("sigmoid", exp(u), (1 - sigmoid(-u)) / sigmoid(-u)),
    Identity("tanh", exp(2 * u), (1 + tanh(u)) / (1 - tanh(u)), (-12.0, 12.0)),
)

# What the functions of the language are in terms of exp; the way into the field.
EXPONENTIAL_FORMS = (
    Identity("sigmoid", sigmoid(u), exp(u) / (1 + exp(u))),
    Identity("tanh", tanh(u), (exp(2 * u) - 1) / (exp(2 * u) + 1)),
    Identity("sinh", sinh(u), (exp(u) - exp(-u)) / 2),
    Identity("cosh", cosh(u), (exp(u) + exp(-u)) / 2),
    Identity("expm1", expm1(u), exp(u) - 1),
    Identity("exponential of softplus", exp(softplus(u)), 1 + exp(u)),
)

# Rows applied to every subexpression of the shape on the left, innermost first.
REWRITINGS = (
    Identity("softplus", log(1 + exp(u)), softplus(u)),
    Identity("softplus", log1p(exp(u)), softplus(u)),
    Identity("log sigmoid", log(sigmoid(u)), -softplus(-u)),
    Identity("exponential of softplus", exp(softplus(u)), 1 + exp(u)),
    Identity("exponential of softplus", exp(-softplus(u)), sigmoid(-u)),
    Identity("log of exp", log1p(expm1(u)), u),
    Identity("exp of log", expm1(log1p(u)), u, (-0.9, 30.0)),
    Identity("absolute value", sign(u) * u, Abs(u)),
    Identity("complementary error function", 1 - erf(u), erfc(u), (-5.0, 5.0)),
    Identity("relu", where(lt(0, u), u, 0), maximum(0, u)),
)

# Rows that turn a function of u into the same function of -u: applied where this makes it smaller.
REFLECTIONS = (
    Identity("reflection of softplus", softplus(-u), softplus(u) - u),
    Identity("reflection of sigmoid", sigmoid(-u), 1 - sigmoid(u)),
)

# Consequences that the rows above prove; stated for the reader and sampled like the others.
COROLLARIES = (
    Identity("sigmoid", 1 / (1 + exp(-u)), sigmoid(u)),
    Identity("sigmoid", exp(u) / (1 + exp(u)), sigmoid(u)),
    Identity("sigmoid", (1 + tanh(u / 2)) / 2, sigmoid(u)),
    Identity("complement of sigmoid", 1 - sigmoid(u), sigmoid(-u)),
    Identity("derivative of sigmoid", exp(-u) / (1 + exp(-u)) ** 2, sigmoid(u) * (1 - sigmoid(u))),
    Identity("tanh", (exp(u) - exp(-u)) / (exp(u) + exp(-u)), tanh(u)),
    Identity("tanh", 2 * sigmoid(2 * u) - 1, tanh(u)),
    Identity("derivative of tanh", 1 / cosh(u) ** 2, 1 - tanh(u) ** 2, (-12.0, 12.0)),
    Identity("derivative of softplus", exp(u) / (1 + exp(u)), sigmoid(u)),
    Identity("log of softplus pair", log(exp(u) + exp(v)), u + softplus(v - u)),
    Identity("extremes", maximum(u, v) + minimum(u, v), u + v),
    Identity("mean of extremes", maximum(u, v), (u + v + Abs(u - v)) * Rational(1, 2)),
)

# What the rewritings say that are code and no rows.
IN_CODE = (
    Identity(COMMON_FACTOR, u * v + u * w, u * (v + w)),
    Identity(EXPONENTIAL, exp(u) / (1 + exp(u)), 1 / (1 + exp(-u))),
    Identity(MASK, where(lt(0, u), 1, 0) * v, where(lt(0, u), v, 0)),
    Identity(
        MASK,
        where(lt(0, u), where(lt(0, v), w, 0), 0),
        where(and_(lt(0, u), lt(0, v)), w, 0),
    ),
    Identity(MASK, where(lt(0, u), maximum(u, 0) * v, 0), maximum(u, 0) * v),
)

IDENTITIES = SUBSTITUTIONS + EXPONENTIAL_FORMS + REWRITINGS + REFLECTIONS + COROLLARIES + IN_CODE

# The same for tensors.
_j, _k, _m = (Index(name, size("J")) for name in "jkm")
_zj, _zk = Access("z", _j), Access("z", _k)
INDEXED = (
    Identity(
        SOFTMAX,
        exp(_zj - Reduce("logsumexp", _zk, (_k,))),
        exp(_zj) / Reduce("sum", exp(_zk), (_k,)),
    ),
    Identity(
        SOFTMAX,
        Reduce("sum", exp(_zk - Reduce("logsumexp", Access("z", _m), (_m,))) * (1 + _zk), (_k,)),
        1 + Reduce("sum", exp(_zk - Reduce("logsumexp", Access("z", _m), (_m,))) * _zk, (_k,)),
    ),
    Identity(
        SUM_OF_DEVIATIONS,
        Reduce("sum", _zk - Reduce("mean", Access("z", _m), (_m,)), (_k,)),
        sympy.S.Zero,
    ),
)


Found = dict[Symbol, Expr]


def rewritten(e: Expr, identity: Identity) -> Expr | None:
    """The right side where `e`, or some of its terms or factors, are an instance of the left."""
    pattern = identity.left
    if pattern.func is not e.func:
        return None
    if not isinstance(e, Add | Mul):
        found = next(_in_order(pattern.args, e.args, {}), None)
        return None if found is None else identity.right.xreplace(found)
    match = next(_in_any_order(pattern.args, e.args, {}), None)
    if match is None:
        return None
    found, rest = match
    return e.func(identity.right.xreplace(found), *rest)


def _matches(pattern: Any, e: Any, found: Found) -> Iterator[Found]:
    if pattern in (u, v):
        if found.get(pattern, e) == e:
            yield found | {pattern: e}
    elif pattern.is_Mul and pattern.args[0].is_Number and pattern.args[1:] in ((u,), (v,)):
        # -u matches anything: u is then its negative.
        yield from _matches(pattern.args[1], e / pattern.args[0], found)
    elif not pattern.args:
        if pattern == e:
            yield found
    elif pattern.func is e.func and len(pattern.args) == len(e.args):
        if isinstance(pattern, Add | Mul):
            yield from (f for f, _ in _in_any_order(pattern.args, e.args, found))
        else:
            yield from _in_order(pattern.args, e.args, found)


def _in_order(patterns: Any, parts: Any, found: Found) -> Iterator[Found]:
    if not patterns:
        yield found
        return
    for further in _matches(patterns[0], parts[0], found):
        yield from _in_order(patterns[1:], parts[1:], further)


def _in_any_order(patterns: Any, parts: Any, found: Found) -> Iterator[tuple[Found, Any]]:
    """Ways to match all patterns, each with the parts that are left over."""
    if not patterns:
        yield found, parts
        return
    for k, part in enumerate(parts):
        for further in _matches(patterns[0], part, found):
            yield from _in_any_order(patterns[1:], parts[:k] + parts[k + 1 :], further)
