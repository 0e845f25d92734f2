"""A check that cannot fail proves nothing: broken derivatives must be noticed.

Each mutant changes one place in the generated `value_and_grad`: another ufunc, a transpose
left out, operands exchanged, another axis, a constant or a bound off by one. The value that the
differences are taken of comes from the module's own `value`, which stays as it is.
"""

import ast
from types import ModuleType

import numpy as np
import pytest
from mutations import function, mutants

import derive
from derive.checks import compare
from derive.modules.loading import load

FORMULAS = {
    "dense": "z[n,j] = sum[i](x[n,i]*W[i,j]) + b[j]\nL = sum[n,j](c[n,j]*tanh(z[n,j]))",
    "softmax": "p[n,j] = exp(W[n,j])/sum[k](exp(W[n,k]))\nL = sum[n,j](p[n,j]*c[n,j])",
    "normalized": "m[n] = mean[i](x[n,i])\nv[n] = mean[i]((x[n,i]-m[n])**2)\n"
    "L = sum[n,i]((x[n,i]-m[n])/sqrt(v[n] + 0.1)*e[n,i])",
    "relu": "L = sum[n,j](where(W[n,j] > 0, W[n,j], 0.1*W[n,j])*c[n,j])",
    "convolution": "y[p] = sum[k](b[2*p+k]*w[k])\nL = sum[p](y[p]**2)",
}
SHAPES = {"x": (4, 3), "W": (3, 5), "b": (5,), "c": (4, 5), "e": (4, 3), "w": (2,)}


FAILS = (ValueError, TypeError, IndexError, FloatingPointError)
Arrays = dict[str, np.ndarray]


def gradients(module: ModuleType, arrays: Arrays) -> Arrays | None:
    """What a mutant computes; None where it fails, which is noticed as well."""
    with np.errstate(all="ignore"):
        try:
            return module.value_and_grad(**arrays)[1]
        except FAILS:
            return None


def changes_nothing(found: Arrays, right: Arrays) -> bool:
    """Whether the gradients are the very same: an exchange of equal factors, say."""
    return all(
        np.shape(found[k]) == right[k].shape and np.allclose(found[k], right[k], 1e-13, 1e-13)
        for k in right
    )


@pytest.mark.parametrize("name", FORMULAS)
def test_every_mutant_is_noticed(name: str) -> None:
    rng = np.random.default_rng(1)
    text = FORMULAS[name]
    given = {n: rng.normal(size=s) for n, s in SHAPES.items() if f"{n}[" in text}
    if name in ("softmax", "relu"):
        given["W"] = rng.normal(size=(4, 5))
    wrt = [n for n in given if n not in ("c", "e")]
    d = derive.differentiate(text, wrt)
    original = d.compile()
    assert d.check(**given).ok
    right = original.value_and_grad(**given)[1]
    body = function(d.source(), "value_and_grad")
    broken, tried = load(d.source(), "mutant"), 0
    unnoticed = []
    for change in mutants(body):
        tried += 1
        exec(compile(ast.unparse(body), "mutant", "exec"), vars(broken))
        found = gradients(broken, given)
        if found is None or changes_nothing(found, right):
            continue
        if compare(lambda a: original.value(**a), found, given, wrt).ok:
            unnoticed.append(change)
    assert tried >= 8
    assert unnoticed == []
