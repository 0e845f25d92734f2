"""Indices, and what an expression is made of, are what SymPy takes them to be."""

from __future__ import annotations

import itertools

import pytest
import sympy
from sympy import Basic, E, Function, Pow, exp, tanh

from derive.gradients.normal_form import flatten
from derive.language import functions as f
from derive.language.formula import parse
from derive.language.notation import (
    Access,
    Index,
    Reduce,
    accesses,
    holds,
    indices,
    reads_plainly,
    size,
)

TEXT = """
h[n,j] = tanh(sum[i](x[n,i]*W[i,j])/sqrt(I) - where(0 < b[j], b[j], exp(b[j])))
c[n,p] = sum[k](h[n,2*p+k]*V[k])
l[n] = -log(sum[j](exp(h[n,j] - h[n,t[n]])*(j == t[n])))
r = maximum(mean[n](l[n]), 0)**2
"""
BODIES = [e.body for e in flatten(parse(TEXT)).equations]


def test_indices_are_equal_as_symbols_are() -> None:
    own = [Index("i"), Index("j"), Index("i", 3), Index("i", size("J")), Index("j", 3)]
    others = [0, 1, None, "i", sympy.Symbol("i"), size("I"), sympy.Integer(3), Access("x")]
    others += [sympy.Tuple(), sympy.Symbol("i", integer=True, nonnegative=True)]
    for a, b in itertools.product(own, [*own, *others]):
        assert (a == b) is Basic.__eq__(a, b) or Basic.__eq__(a, b) is NotImplemented
        assert (a == b) == (b == a) == (a is b)
        assert (a != b) is (a is not b)
        assert (("x", a) == ("x", b)) is (a is b)
    new = [Index._made.__wrapped__(Index, i.name, i.size) for i in own]
    for a, b in itertools.product(own, new):
        assert (a == b) is (own.index(a) == new.index(b)) is Basic.__eq__(a, b)
        assert a is not b
        assert a != b or hash(a) == hash(b)


@pytest.mark.parametrize("body", BODIES)
def test_an_expression_is_made_of_what_sympy_finds(body: sympy.Expr) -> None:
    parts = [*sympy.preorder_traversal(body)]
    assert [*accesses(body)] == [e for e in parts if isinstance(e, Access)]
    assert indices(body) == body.atoms(Index)
    assert reads_plainly(body) == all(i.is_Symbol for a in accesses(body) for i in a.indices)
    for kinds in [(Reduce,), (Pow,), (exp, tanh), (f.where,), (f.eq, f.lt), (Function,)]:
        assert holds(body, kinds) == bool(body.atoms(*kinds))


def test_a_power_of_e_is_an_exponential() -> None:
    assert holds(Pow(E, Access("x"), evaluate=False) + 1, (exp,))
    assert not holds(Access("x") ** 2, (exp,))
