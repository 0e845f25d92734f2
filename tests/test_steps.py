"""Every recorded step of a derivation, evaluated: what stands before and after it has one value.

A chain-rule step leads from a forward equation to what one of its operands adds to a cotangent. It
is compared with the derivative of the forward equation, given the cotangent of the equation's
target. Both, and every cotangent that the derivation does not name, come from the complex step
(complex_step.py): exact to rounding, and independent of the derivation.

    python tests/test_steps.py       # how many steps are recorded, and how many of them evaluated
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import complex_step
import numpy as np
import pytest
from complex_step import gradients, moved
from numpy.testing import assert_allclose

from derive.checks import compare, contracted, random_cotangent
from derive.gradients.derivation import reverse
from derive.gradients.normal_form import flatten
from derive.gradients.simplify import recognize
from derive.language.checker import check, check_normal
from derive.language.formula import parse
from derive.language.interpreter import evaluate
from derive.language.notation import (
    ELLIPSIS,
    Access,
    Partial,
    Program,
    Tensor,
    accesses,
    indices,
)
from derive.language.scans import elsewhere, groups
from derive.library.definitions import functions
from derive.networks.network import compose
from derive.networks.spec import load

RULES = ("chain rule", "local derivative", "Kronecker delta", "contraction")


class Formula(NamedTuple):
    name: str
    text: str
    sizes: Mapping = MappingProxyType({})  # of the text: what no axis fixes
    limits: Mapping = MappingProxyType({})  # of integer inputs: how many values they take
    axes: Mapping = MappingProxyType({})  # sizes of axes, where the usual ones do not fit
    low: float = -2.0  # of real inputs: the range they are drawn from
    high: float = 2.0


F = Formula
LIMITS = {
    "digits_cnn": {"y": 3},
    "digits_lstm": {"y": 3},
    "first_a": {"x": 4, "y": 3},
    "tiny_transformer": {"x": 4, "y": 4},
    "wine_siamese": {},
}
SPECS = Path(__file__).parent.parent / "specs"
# Their texts alone do not say all their sizes: derived as networks are, of fewer units.
BLOCK = """[[layers]]
type = "transformer_block"
heads = 4
hidden = 256
causal = true

"""
SMALLER = {
    "digits_cnn": {
        "shape = [8, 8, 1]": "shape = [4, 4, 1]",
        "filters = 16": "filters = 2",
        "filters = 32": "filters = 2",
        "kernel_size = 3": "kernel_size = 2",
        "units = 10": "units = 3",
    },
    "digits_lstm": {
        "shape = [8, 8]": "shape = [3, 2]",
        "units = 64": "units = 2",
        "units = 10": "units = 3",
    },
    "first_a": {
        "shape = [20]": "shape = [3]",
        "vocabulary = 26": "vocabulary = 4",
        "dim = 8": "dim = 2",
        "units = 64": "units = 2",
        "units = 20": "units = 3",
    },
    "tiny_transformer": {
        2 * BLOCK: BLOCK,
        "shape = [64]": "shape = [2]",
        "vocabulary = 64": "vocabulary = 4",
        "dim = 64": "dim = 4",
        "length = 64": "length = 2",
        "heads = 4": "heads = 2",
        "hidden = 256": "hidden = 3",
        "units = 64": "units = 4",
    },
    "wine_siamese": {
        "shape = [2, 13]": "shape = [2, 3]",
        "units = 32": "units = 3",
        "units = 8": "units = 2",
    },
}


def small(name):
    """A committed network with the sizes of `SMALLER`: its program."""
    text = (SPECS / f"{name}.toml").read_text()
    for before, after in SMALLER[name].items():
        assert before in text
        text = text.replace(before, after)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.toml"
        path.write_text(text)
        return compose(load(path)).program


FORMULAS = [
    F("dense", "z[n,j] = sum[i](x[n,i]*W[i,j]) + b[j]"),
    F("dense, any rank", "z[...,j] = sum[i](x[...,i]*W[i,j]) + b[j]"),
    F("two layers", "h[n,j] = tanh(sum[i](x[n,i]*W[i,j]))\nz[n,k] = sum[j](h[n,j]*V[j,k])"),
    F("softmax", "p[n,k] = exp(z[n,k])/sum[k](exp(z[n,k]))"),
    F("log-softmax", "l[n,k] = log(exp(z[n,k])/sum[j](exp(z[n,j])))"),
    F("log-softmax by logsumexp", "l[n,k] = z[n,k] - logsumexp[k](z[n,k])"),
    F("cross entropy", "L = mean[n](logsumexp[k](z[n,k]) - z[n,y[n]])", limits={"y": 2}),
    F(
        "naive cross entropy",
        "p[n,k] = exp(z[n,k])/sum[j](exp(z[n,j]))\nL = -mean[n](sum[k](y[n,k]*log(p[n,k])))",
        low=0.2,
    ),
    F("l2 normalized", "y[n,i] = x[n,i]/sqrt(sum[i](x[n,i]**2) + 0.1)"),
    F(
        "layer norm",
        "mu[n] = mean[d](x[n,d])\nv[n] = mean[d]((x[n,d] - mu[n])**2)\n"
        "y[n,d] = gamma[d]*(x[n,d] - mu[n])/sqrt(v[n] + 0.00001) + beta[d]",
    ),
    F(
        "layer norm, its quotient named",
        "mu[n] = sum[d](x[n,d])/D\nsd[n] = sqrt(mean[d]((x[n,d] - mu[n])**2) + 0.5)\n"
        "h[n,d] = (x[n,d] - mu[n])/sd[n]\ny[n,d] = gamma[d]*h[n,d] + beta[d]",
    ),
    F(
        "batch norm",
        "mu[c] = mean[...](x[...,c])\nv[c] = mean[...](x[...,c]**2) - mu[c]**2\n"
        "h[...,c] = (x[...,c] - mu[c])/sqrt(v[c] + 0.5)\ny[...,c] = gamma[c]*h[...,c]",
    ),
    F("rms norm", "r[n] = sqrt(mean[i](x[n,i]**2) + 0.1)\ny[n,i] = gamma[i]*x[n,i]/r[n]"),
    F("length", "a[n,d] = x[n,d] - y[n,d]\nr[n] = sqrt(sum[d](a[n,d]**2))\nL = sum[n](r[n]**3)"),
    F(
        "causal softmax",
        "P[t,s] = where(s <= t, exp(S[t,s]), 0)/sum[u](where(u <= t, exp(S[t,u]), 0))",
    ),
    F(
        "focal",
        "p[n,k] = exp(z[n,k])/sum[j](exp(z[n,j]))\n"
        "L = -mean[n]((1 - p[n,y[n]])**2*log(p[n,y[n]]))",
        limits={"y": 2},
    ),
    F(
        "weighted cross entropy",
        "L = sum[n](w[y[n]]*(logsumexp[k](z[n,k]) - z[n,y[n]]))/sum[n](w[y[n]])",
        limits={"y": 2},
        low=0.2,
    ),
    F("quadratic form", "L = sum[i,j](x[i]*A[i,j]*x[j])"),
    F("bilinear", "y[n,j] = sum[i,k](x[n,i]*W[i,k,j]*x[n,k]) + b[j]"),
    F("diagonal", "y[i] = A[i,i]*x[i]"),
    F("trace", "L = sum[i](A[i,i])**2"),
    F("diagonal of three", "L = sum[i,j](A[i,j,i]*A[j,i,i])"),
    F("the same operand four times", "L = sum[i,j](A[i,j]*A[j,i]*x[i]*x[j])"),
    F("product", "y[n] = prod[i](x[n,i])"),
    F("product of two indices", "y = prod[n,i](x[n,i] + b[i])"),
    F("max", "y[n] = max[i](x[n,i]*w[i])"),
    F("min of two indices", "y[n] = min[i,j](x[n,i] + w[j]**2)"),
    F("logsumexp", "y[n] = logsumexp[i,j](x[n,i]*W[i,j])"),
    F("mean of two indices", "y[i] = mean[n,j](x[n,i]*W[i,j]**2)"),
    F("log of a mean", "L = log(mean[n](exp(x[n])))"),
    F("nested sums", "y[n] = sum[i](x[n,i]*sum[j](x[n,j]*W[i,j])**2)"),
    F("sum of a max", "L = sum[n](max[i](x[n,i])*min[i](x[n,i]))"),
    F("shift within a sum", "y[i] = sum[k](x[i+k]*w[k])"),
    F("stride", "y[p] = sum[k](x[2*p+k]*w[k])"),
    F("stride and padding", "y[p] = sum[k](x[2*p+k-1]*w[k])", {"p": 3}),
    F("dilation", "y[p] = sum[k](x[p+2*k]*w[k])"),
    F("stride and dilation", "y[p,j] = sum[k,i](x[3*p+2*k-2,i]*w[k,i,j])", {"p": 3}),
    F("a far shift", "y[i] = x[i+2]*x[i+1]"),
    F("reversed", "y[i] = x[I-1-i]*w[i]", axes={"J": 4}),
    F("padded max", "y[p] = max[k](x[2*p+k-1])", {"p": 3, "k": 3}),
    F("padded mean", "y[p] = mean[k](x[2*p+k-1]**2)", {"p": 3, "k": 3}),
    F("padded product", "y[p] = prod[k](x[p+k-1])", {"p": 5, "k": 3}),
    F("padded logsumexp", "y[p] = logsumexp[k](x[2*p+k-1])", {"p": 3, "k": 3}),
    F("two dimensions", "y[p,q] = sum[k,l](x[2*p+k-1,q+l-1]*w[k,l])", {"p": 2, "q": 4}),
    F("ring", "y[i] = x[(i-1) % I]*w[i]", axes={"J": 4}),
    F("circulant", "y[i] = sum[j](c[(i-j) % J]*x[j])", {"i": 4}),
    F("circulant, both indices", "y[i] = sum[j](c[(i-j) % I]*x[j])"),
    F("repeated", "y[i] = x[i//2]*w[i]"),
    F("upsampled", "y[i,j] = x[i//2,j//3]*w[i,j]"),
    F("digits", "y[i] = A[i//3, i%3]*w[i]", axes={"I": 7, "K": 3}),
    F("three digits", "y[f] = A[f//6, f//2 % 3, f%2]*w[f]", {"f": 17}, axes={"I": 3, "K": 2}),
    F("a shape split", "y[n,i,j] = x[n, i*J+j]*w[i,j]", axes={"K": 13}),
    F("every other", "y[i] = x[i % 2]*w[i]", {"i": 5}),
    F("blocks", "y[i,j] = W[i,0*J+j]*W[i,J+j]*x[j]", axes={"K": 7}),
    F("embedding", "e[n,d] = E[t[n],d]*w[d]", limits={"t": 3}),
    F("embedding of sequences", "L = sum[n,t,d](E[y[n,t],d]**2)", limits={"y": 3}),
    F("two lookups", "L = sum[n](A[y[n],t[n]]*x[n])", limits={"y": 2, "t": 3}),
    F("best of each row", "k[n] = argmax[i](x[n,i])\ny[n] = w[k[n]]*x[n,k[n]]"),
    F("where", "y[n,i] = where(x[n,i] > w[i], x[n,i]**2, w[i]*x[n,i])"),
    F("where of indices", "L = sum[i,j](where(i < j, A[i,j]*x[i], A[j,i]))"),
    F("causal", "y[t,s] = where(s <= t, q[t]*k[s], 0)"),
    F("branches that stay inside", "y[i] = where(i > 0, x[i] - x[i-1], x[i])"),
    F("comparison as a number", "L = sum[i,j](A[i,j]*(i == j)) + sum[i](A[i,0])"),
    F("abs and sign", "y[n] = abs(x[n])*sign(w[n]) + abs(x[n]*w[n])"),
    F("maximum", "y[n,i] = maximum(x[n,i], w[i])*minimum(x[n,i], 0.5)"),
    F("relu", "y[n,i] = maximum(x[n,i], 0)"),
    F("modulo of values", "y[n] = (x[n] % 0.7)*w[n] + x[n] % abs(w[n])"),
    F("powers", "y[n] = x[n]**w[n] + x[n]**3 + 2**x[n] + x[n]**-2", low=0.5),
    F("functions", "y[n] = sin(x[n])*cos(w[n]) + atan(x[n]*w[n]) + erf(x[n]) + tan(x[n]/2)"),
    F("more functions", "y[n] = log1p(x[n])*expm1(w[n]) + sqrt(x[n]) + sinh(x[n])/cosh(w[n])",
      low=0.2),
    F("inverse functions", "y[n] = asin(x[n]/3)*acos(w[n]/3) + erfc(x[n])"),
    F("naive sigmoid", "a[n] = 1/(1+exp(-x[n]))"),
    F("naive softplus", "a[n] = log(1+exp(x[n]))"),
    F("gated", "y[n] = x[n]/(1+exp(-x[n]))*tanh(w[n])"),
    F("an index as a number", "y[i] = x[i]*(i+1)/I"),
    F("attention", "s[t,u] = sum[d](q[t,d]*k[u,d])/sqrt(D)\n"
      "p[t,u] = exp(s[t,u])/sum[u](exp(s[t,u]))\no[t,d] = sum[u](p[t,u]*v[u,d])"),
    F("fan-out", "a[i] = exp(x[i])\nb[i] = a[i]*x[i]\nL = sum[i](a[i]*b[i]) + b[0]"),
    F("an operand that is assigned", "a[i] = x[i]**2\nL = sum[i](a[i]*x[i])"),
    F("a bias in a sum", "L = sum[n,i](x[n,i]*c + b[i])"),
    F("a scalar operand", "y[n] = c*x[n]**2/(1 + c**2)"),
    F("distances", "D[n,m] = sqrt(sum[d]((x[n,d] - y[m,d])**2))"),
    F("outer", "y[i,j,k] = a[i]*b[j]*c[k]"),
    F("huber", "L = mean[n](where(abs(x[n]-y[n]) < 1, (x[n]-y[n])**2/2, abs(x[n]-y[n]) - 0.5))"),
    *(
        F(path.stem, str(compose(load(path)).program), limits={"y": 2}, low=-0.7, high=0.7)
        for path in sorted(SPECS.glob("*.toml"))
        if path.stem not in SMALLER
    ),
    *(F(name, "", limits=LIMITS[name], axes={"N": 2}, low=-0.7, high=0.7) for name in SMALLER),
]  # fmt: skip

SIZES = {"N": 3, "M": 2, "I": 4, "J": 3, "K": 2, "D": 3, "T": 3, "S": 2, "U": 4, "P": 2, "L": 3}


class Case(NamedTuple):
    """A formula derived, and arrays to evaluate it at; `seed` is the result's cotangent."""

    formula: Formula
    program: Program
    gradients: object
    arrays: dict
    wrt: tuple

    def value(self, program=None):
        """`sum(seed * result)` of the forward equations, by the interpreter."""
        program = program or self.program
        seed = self.arrays["seed"]
        return contracted(lambda arrays: evaluate(program, arrays)[program.result], seed)


def example_arrays(program, formula, rng):
    """Arrays of sizes that fit each other, away from kinks as chance has it."""
    usual = SIZES | dict(formula.axes)
    given = dict(program.sizes)
    free = {i.size for t in program.inputs for i in t.axes} | set(given)
    free |= {symbol for value in given.values() for symbol in value.free_symbols}
    free = {symbol for symbol in free if symbol.is_Symbol}
    sizes = {symbol: usual.get(str(symbol), 7) for symbol in free - set(given)}
    for symbol, value in given.items():
        sizes[symbol] = value.xreplace(sizes)
    arrays = {}
    for tensor in program.inputs:
        shape = [int(i.size.xreplace(sizes)) for i in tensor.axes]
        if tensor.kind == "integer":
            arrays[tensor.name] = rng.integers(0, formula.limits[tensor.name], shape)
        else:
            arrays[tensor.name] = rng.uniform(formula.low, formula.high, shape)
    return arrays


def sizes_of(program, arrays):
    """The size of every index by its name, as numbers."""
    sizes = {}
    for tensor in program.inputs:
        if ELLIPSIS not in {i.name for i in tensor.axes}:
            sizes |= {
                i.size: n for i, n in zip(tensor.axes, arrays[tensor.name].shape, strict=True)
            }
    for symbol, value in program.sizes:
        sizes[symbol] = value.xreplace(sizes)
    used = {i for e in program.equations for i in e.indices} | {
        i for e in program.equations for i in indices(e.body)
    }
    # An inner index that bears the name of an outer one is `i__1` and printed as `i`.
    plain = [i for i in used if i.name != ELLIPSIS and "__" not in i.name]
    return {i.name: int(i.size.xreplace(sizes)) for i in plain}


def derive_case(formula, seed=0):
    rng = np.random.default_rng(seed)
    if formula.name in SMALLER:
        program = small(formula.name)
    else:
        program = parse(formula.text, sizes=formula.sizes, functions=functions())
    check(program)
    forward, _ = recognize(flatten(program))
    check_normal(forward)
    arrays = example_arrays(program, formula, rng)
    result = evaluate(program, arrays)[program.result]
    arrays["seed"] = random_cotangent(result.shape, seed)
    axes = forward.equation(forward.result).indices
    with_seed = replace(forward, inputs=(*forward.inputs, Tensor("seed", axes)))
    wrt = tuple(t.name for t in program.inputs if t.kind == "real")
    gradients = reverse(with_seed, wrt, {forward.result: Access("seed", *axes)})
    return Case(formula, program, gradients, arrays, wrt)


@cache
def derived(name):
    return derive_case(next(f for f in FORMULAS if f.name == name))


@pytest.fixture(params=[f.name for f in FORMULAS])
def case(request):
    return derived(request.param)


def without_seed(arrays):
    return {name: a for name, a in arrays.items() if name != "seed"}


def everything(case):
    """The value of every tensor of the derivation, and of every cotangent that only steps read.

    The latter are those of the complex step, which knows nothing of the derivation.
    """
    values = {**case.arrays, **evaluate(case.gradients.program, case.arrays)}
    found = cotangents(case)
    return {bar: found[name] for name, bar in bars_of(case).items() if name in found} | values


@cache
def _cotangents(name):
    return complex_cotangents(derived(name))


def cotangents(case):
    """The derivative of `sum(seed*result)` by every tensor, each moved at will."""
    return _cotangents(case.formula.name)


def complex_cotangents(case):
    """Each equation gets one more term, 0 but for what moves its target; in a scan at each step."""
    forward = case.gradients.forward
    values = evaluate(forward, without_seed(case.arrays) | unread(case, forward))
    real = {t.name: case.arrays[t.name] for t in forward.inputs if t.kind == "real"}
    added = {e.target: f"{e.target}~" for e in forward.equations if values[e.target].dtype == float}
    equations = tuple(
        replace(e, body=e.body + Access(added[e.target], *e.indices)) if e.target in added else e
        for e in forward.equations
    )
    inputs = tuple(Tensor(added[e.target], e.indices) for e in equations if e.target in added)
    zeros = {new: np.zeros(values[target].shape) for target, new in added.items()}
    free = {name: a for name, a in real.items() if name != "seed"} | zeros
    arrays, places, count = moved(free)
    program = replace(forward, equations=equations, inputs=(*forward.inputs, *inputs))
    results = complex_step.evaluate(program, {**case.arrays, **arrays})
    result = results[forward.result]
    found = gradients([(case.arrays["seed"], result)], free, places, count)
    return {name.removesuffix("~"): gradient for name, gradient in found.items()}


def unread(case, program):
    return {t.name: case.arrays[t.name] for t in program.inputs if t.name == "seed"}


def alone(equation, case, values):
    """One equation as a program whose inputs are the tensors that it reads, `it` its target.

    A recurrence is given its values, too, and keeps its initial value: `c[n,t-1,j]` is read at the
    first step.
    """
    whole = case.gradients.program
    axes = {t.name: Tensor(t.name, t.axes) for t in whole.inputs}
    axes |= {e.target: Tensor(e.target, e.indices) for e in whole.equations}
    for name, bar in bars_of(case).items():
        axes.setdefault(bar, replace(axes[name], name=bar))
    read = {a.tensor for a in accesses(equation.body)}
    given = given_recurrences(accesses(equation.body), (), whole)
    starts = {e.target for e in given}
    read |= {t.name for t in whole.inputs}  # they fix the sizes
    inputs = tuple(
        replace(
            tensor,
            name=f"{name}_given" if name in starts else name,
            kind="integer" if values[name].dtype.kind == "i" else "real",
        )
        for name, tensor in axes.items()
        if name in read
    )
    it = replace(equation, target="it", recurrence=None)
    return Program((*given, it), inputs, whole.sizes)


def given_recurrences(read, beside, whole):
    """What the accesses read before the first step, or beyond the last: copies of an input."""
    read = list(read)
    return tuple(
        replace(e, body=Access(f"{e.target}_given", *e.indices))
        for e in whole.equations
        if e not in beside and any(a.tensor == e.target and elsewhere(e, a) for a in read)
    )


def evaluated(equation, case, values):
    """One equation, its tensors given; a partial derivative by the complex step."""
    program = alone(equation, case, values)
    given = {t.name: values[t.name.removesuffix("_given")] for t in program.inputs}
    if not equation.body.has(Partial):
        return evaluate(program, given)["it"]
    return complex_step.real(complex_step.evaluate(program, given)["it"])


def test_the_program_is_well_formed_and_keeps_its_values(case):
    whole = case.gradients.program
    check_normal(whole)
    before = evaluate(case.program, without_seed(case.arrays))
    after = evaluate(whole, case.arrays)
    for name, value in before.items():
        assert_allclose(after[name], value, rtol=1e-12, atol=1e-13, err_msg=name)


def test_the_program_reads_back_from_its_text(case):
    """In a network an index name has a range for each layer: its equations read back one by one."""
    whole = case.gradients.program
    values = case.arrays | evaluate(whole, case.arrays)
    network = case.formula.name in SMALLER
    for part in groups(whole.equations) if network else [whole.equations]:
        known = given_recurrences([a for e in part for a in accesses(e.body)], part, whole)
        lines = (*known, *part)
        copied = tuple(Tensor(f"{e.target}_given", e.indices) for e in known)
        printed = replace(whole, inputs=(*whole.inputs, *copied))
        text = "\n".join(printed.text(line) for e in lines for line in e.lines)
        # A size that no axis fixes, such as that of a cotangent's, has to be said.
        sizes = sizes_of(replace(whole, equations=lines), case.arrays)
        again = parse(text, sizes=sizes, functions=functions())
        given = {t.name: values[t.name.removesuffix("_given")] for t in again.inputs}
        for name, value in evaluate(again, given).items():
            assert_allclose(value, values[name], rtol=1e-12, atol=1e-13, err_msg=text)


def test_gradients_are_those_of_the_complex_step(case):
    """Of the equations as they were written, not those of the derivation."""
    program, arrays = case.program, without_seed(case.arrays)
    free = {name: arrays[name] for name in case.wrt}
    given, places, count = moved(free)
    result = complex_step.evaluate(program, {**arrays, **given})[program.result]
    found = gradients([(case.arrays["seed"], result)], free, places, count)
    values = evaluate(case.gradients.program, case.arrays)
    for name in case.wrt:
        swept = values[case.gradients.cotangents[name]]
        scale = np.max(np.abs(found[name]), initial=1e-4)  # one may be 0 but for rounding
        assert_allclose(swept, found[name], rtol=0, atol=1e-11 * scale, err_msg=name)


def test_central_differences_agree_with_the_complex_step():
    case = derived("layer norm")
    found = {name: cotangents(case)[name] for name in case.wrt}
    report = compare(case.value(), found, without_seed(case.arrays), case.wrt)
    assert report.ok, str(report)


def test_every_named_cotangent_is_that_of_the_complex_step(case):
    found = cotangents(case)
    values = evaluate(case.gradients.program, case.arrays)
    floor = 1e-15 * max(np.max(np.abs(a), initial=0.0) for a in found.values())
    for name, bar in bars_of(case).items():
        if name in found and bar in values:
            atol = 1e-11 * np.max(np.abs(found[name]), initial=0.0) + floor
            assert_allclose(values[bar], found[name], rtol=0, atol=atol, err_msg=bar)


def kept(case, values):
    """Each step that keeps the value: what stands before it and after it."""
    for step in case.gradients.steps:
        if step.rule != "chain rule":
            yield step, *(evaluated(e, case, values) for e in (step.before, step.after))


def test_every_step_but_the_chain_rule_keeps_the_value(case):
    values = everything(case)
    for step, before, after in kept(case, values):
        assert step.before != step.after, step.rule
        scale = np.max(np.abs(after), initial=1e-3)  # a sum may be 0 but for rounding
        message = f"{step.rule}\n{step.before}\n{step.after}"
        assert_allclose(before, after, rtol=0, atol=1e-12 * scale, err_msg=message)


def chained(case, values):
    """Of each equation and operand: the chain-rule steps, their sum, and the complex step's."""
    found = cotangents(case)
    steps = [s for s in case.gradients.steps if s.rule == "chain rule"]
    bars = bars_of(case)
    for equation in case.gradients.forward.equations:
        if equation.target not in found:
            continue  # of integers
        program = alone(equation, case, values)
        given = {t: values[t.name.removesuffix("_given")] for t in program.inputs}
        read = {
            a.tensor for e in program.equations for line in e.lines for a in accesses(line.body)
        }
        free = {t.name: a for t, a in given.items() if t.kind == "real" and t.name in read}
        fixed = {t.name: a for t, a in given.items() if t.name not in free}
        arrays, places, count = moved(free)
        result = complex_step.evaluate(program, {**fixed, **arrays})["it"]
        wanted = gradients([(found[equation.target], result)], free, places, count)
        for name, gradient in wanted.items():
            tensor = name.removesuffix("_given")
            ends = equation.target, bars[tensor]
            own = [s for s in steps if (s.before.target, s.after.target) == ends]
            total = sum((evaluated(s.after, case, values) for s in own), np.zeros(gradient.shape))
            yield equation, own, total, gradient


def test_every_chain_rule_step_is_the_derivative_of_its_equation(case):
    """The steps from one equation to one operand, together; where there are none it is 0."""
    values = everything(case)
    found = cotangents(case)
    largest = max(np.max(np.abs(a), initial=0.0) for a in found.values())
    seen = []
    for equation, steps, total, gradient in chained(case, values):
        seen += steps
        # What no result depends on, the bias before a norm, has the cotangent 0 but for rounding:
        # that of a sum of such terms.
        size = max(np.max(np.abs(a), initial=0.0) for a in (gradient, found[equation.target]))
        message = "\n".join(map(str, (equation, *(s.after for s in steps))))
        atol = 1e-11 * size + 1e-15 * largest
        assert_allclose(total, gradient, rtol=0, atol=atol, err_msg=message)
    every = [s for s in case.gradients.steps if s.rule == "chain rule"]
    assert Counter(map(id, seen)) == Counter(map(id, every))


def bars_of(case):
    """The cotangent's name of every tensor that a step may lead to."""
    forward = case.gradients.forward
    known = [t.name for t in forward.inputs] + [e.target for e in forward.equations]
    return {name: case.gradients.cotangents.get(name, f"{name}_bar") for name in known}


def test_every_rule_occurs_and_nothing_else_goes_unnamed():
    rules = {s.rule for f in FORMULAS for s in derived(f.name).gradients.steps}
    assert rules >= set(RULES)
    assert all(rule.strip() for rule in rules)


def report():
    """How many steps are recorded, and how many of each rule the tests above evaluate."""
    recorded, counts = 0, Counter()
    for case in (derived(f.name) for f in FORMULAS):
        values = everything(case)
        recorded += len(case.gradients.steps)
        counts.update(step.rule for step, _, _ in kept(case, values))
        counts.update(s.rule for _, steps, _, _ in chained(case, values) for s in steps)
    yield f"{recorded} steps of {len(FORMULAS)} derivations, {counts.total()} of them evaluated"
    for rule, count in counts.most_common():
        yield f"{count:6}  {rule}"


if __name__ == "__main__":
    sys.stdout.write("\n".join(report()) + "\n")
