"""A check that cannot fail proves nothing: broken derivatives must be noticed.

Each mutant changes one place in the generated `value_and_grad`: another ufunc, a transpose
left out, operands exchanged, another axis, a constant or a bound off by one. The value that the
differences are taken of comes from the module's own `value`, which stays as it is.
"""

import ast
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

import derive
from derive.checks import compare
from derive.derived import load

OTHER = {
    "add": "subtract",
    "subtract": "add",
    "multiply": "divide",
    "divide": "multiply",
    "negative": "positive",
    "square": "positive",
    "less": "greater",
    "less_equal": "greater",
    "greater": "less",
    "greater_equal": "less",
    "exp": "exp2",
    "tanh": "sin",
    "sqrt": "cbrt",
    "maximum": "minimum",
    "where": "copysign",
}

FORMULAS = {
    "dense": "z[n,j] = sum[i](x[n,i]*W[i,j]) + b[j]\nL = sum[n,j](c[n,j]*tanh(z[n,j]))",
    "softmax": "p[n,j] = exp(W[n,j])/sum[k](exp(W[n,k]))\nL = sum[n,j](p[n,j]*c[n,j])",
    "normalized": "m[n] = mean[i](x[n,i])\nv[n] = mean[i]((x[n,i]-m[n])**2)\n"
    "L = sum[n,i]((x[n,i]-m[n])/sqrt(v[n] + 0.1)*e[n,i])",
    "relu": "L = sum[n,j](where(W[n,j] > 0, W[n,j], 0.1*W[n,j])*c[n,j])",
    "convolution": "y[p] = sum[k](b[2*p+k]*w[k])\nL = sum[p](y[p]**2)",
}
SHAPES = {"x": (4, 3), "W": (3, 5), "b": (5,), "c": (4, 5), "e": (4, 3), "w": (2,)}


def mutants(source: str, function: str) -> Iterator[tuple[str, str]]:
    """What was changed, and the module with it changed; one change each."""
    tree = ast.parse(source)
    body = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function)
    calls = [n for n in ast.walk(body) if isinstance(n, ast.Call) and _ufunc(n)]
    for call in calls:
        name = call.func.attr
        for change, undo in _changes(call):
            described = f"line {call.lineno}, {name}: {change}"
            yield described, ast.unparse(tree)
            undo()


def _ufunc(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name)


def _changes(call: ast.Call) -> Iterator[tuple[str, object]]:
    """Each change is made when it is yielded, and undone by the caller."""
    name = call.func.attr
    if name in OTHER:
        call.func.attr = OTHER[name]
        yield f"-> {OTHER[name]}", lambda: setattr(call.func, "attr", name)
    if len(call.args) == 2 and name in ("matmul", "subtract", "divide"):
        call.args.reverse()
        yield "operands exchanged", call.args.reverse
    for k, arg in enumerate(call.args):
        if isinstance(arg, ast.Attribute) and arg.attr == "T":
            call.args[k] = arg.value
            yield "no transpose", lambda k=k, arg=arg: call.args.__setitem__(k, arg)
        if isinstance(arg, ast.Constant) and isinstance(arg.value, int | float):
            value = arg.value
            arg.value = value + 1
            yield (
                f"{value} -> {value + 1}",
                lambda arg=arg, value=value: setattr(arg, "value", value),
            )


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
    made = list(mutants(d.source(), "value_and_grad"))
    unnoticed = []
    for change, mutant in made:
        found = gradients(load(mutant, "mutant"), given)
        if found is None or changes_nothing(found, right):
            continue
        if compare(lambda a: original.value(**a), found, given, wrt).ok:
            unnoticed.append(change)
    assert len(made) >= 8
    assert unnoticed == []
