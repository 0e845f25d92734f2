"""Every recorded step of a derivation, evaluated: what stands before and after it has one value.

A chain-rule step leads from a forward equation to what one of its operands adds to a cotangent. It
is compared with differences of the forward equation, given the cotangent of the equation's target,
which in turn comes from differences of the equations below it.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose

from derive.checker import check, check_normal
from derive.checks import compare, contracted, random_cotangent
from derive.definitions import functions
from derive.derivation import reverse
from derive.formula import parse
from derive.interpreter import evaluate
from derive.network import compose
from derive.normal_form import flatten
from derive.notation import (
    ELLIPSIS,
    Access,
    Equation,
    Partial,
    Program,
    Tensor,
    accesses,
    indices,
)
from derive.simplify import recognize
from derive.spec import load

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
# Networks whose text alone does not say their sizes; formulas of their kinds stand below.
NUMERIC = ("digits_cnn", "digits_lstm", "first_a", "tiny_transformer", "wine_siamese")

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
        for path in sorted((Path(__file__).parent.parent / "specs").glob("*.toml"))
        if path.stem not in NUMERIC
    ),
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
    """The value of every tensor of the derivation, and of every cotangent that only steps read."""
    values = {**case.arrays, **evaluate(case.gradients.program, case.arrays)}
    read = {a.tensor for s in case.gradients.steps for a in accesses(s.before.body + s.after.body)}
    forward = {e.target for e in case.gradients.forward.equations}
    for name, bar in bars_of(case).items():
        if name in forward and bar in read and bar not in values:
            values[bar] = cotangent_by_differences(name, case, values)
    return values


def evaluated(equation, case, values):
    """One equation, its tensors given."""
    whole = case.gradients.program
    axes = {t.name: t for t in whole.inputs}
    axes |= {e.target: Tensor(e.target, e.indices) for e in whole.equations}
    for name, bar in bars_of(case).items():
        if bar in values and bar not in axes:
            axes[bar] = replace(axes[name], name=bar)
    inputs = tuple(
        replace(t, kind="integer" if values[t.name].dtype.kind == "i" else "real")
        for t in axes.values()
        if t.name != equation.target
    )
    program = Program((replace(equation, target="it"),), inputs, whole.sizes)
    given = {t.name: values[t.name] for t in inputs}
    return evaluate(program, given)["it"]


def test_the_program_is_well_formed_and_keeps_its_values(case):
    whole = case.gradients.program
    check_normal(whole)
    before = evaluate(case.program, without_seed(case.arrays))
    after = evaluate(whole, case.arrays)
    for name, value in before.items():
        assert_allclose(after[name], value, rtol=1e-12, atol=1e-13, err_msg=name)


def test_the_program_reads_back_from_its_text(case):
    whole = case.gradients.program
    # A size that no axis fixes, such as that of a cotangent's, has to be said.
    again = parse(str(whole), sizes=sizes_of(whole, case.arrays), functions=functions())
    read = {t.name for t in again.inputs}
    values = evaluate(again, {name: a for name, a in case.arrays.items() if name in read})
    for name, value in evaluate(whole, case.arrays).items():
        assert_allclose(values[name], value, rtol=1e-12, atol=1e-13, err_msg=name)


def test_gradients_are_those_of_central_differences(case):
    values = everything(case)
    gradients = {name: values[case.gradients.cotangents[name]] for name in case.wrt}
    report = compare(case.value(), gradients, without_seed(case.arrays), case.wrt)
    assert report.ok, f"\n{case.gradients.program}\n{report}"


def test_every_step_but_the_chain_rule_keeps_the_value(case):
    values = everything(case)
    for step in case.gradients.steps:
        assert step.before != step.after, step.rule
        if step.rule != "chain rule":
            before, after = (evaluated(e, case, values) for e in (step.before, step.after))
            scale = np.max(np.abs(after), initial=1e-3)
            # A partial derivative not yet carried out is a difference quotient, and so is the
            # cotangent of an auxiliary equation.
            tolerance = 1e-12 if exact(step, case) else 1e-8
            message = f"{step.rule}\n{step.before}\n{step.after}"
            assert_allclose(before, after, rtol=0, atol=tolerance * scale, err_msg=message)


def test_every_chain_rule_step_is_the_derivative_of_its_equation(case):
    values = everything(case)
    forward = case.gradients.forward
    chains = [s for s in case.gradients.steps if s.rule == "chain rule"]
    bars = {bar: name for name, bar in bars_of(case).items()}
    for equation in forward.equations:
        parts: dict[str, list[Equation]] = {}
        for step in chains:
            if step.before.target == equation.target:
                parts.setdefault(bars[step.after.target], []).append(step.after)
        if not parts:
            continue
        cotangent = cotangent_by_differences(equation.target, case, values)

        def value(arrays, equation=equation, cotangent=cotangent):
            return float(np.sum(cotangent * evaluated(equation, case, {**values, **arrays})))

        sums = {
            name: sum(evaluated(after, case, values) for after in afters)
            for name, afters in parts.items()
        }
        operands = {name: values[name] for name in parts}
        report = compare(value, sums, operands, parts)
        assert report.ok, f"\n{equation}\n{[str(a) for p in parts.values() for a in p]}\n{report}"


def exact(step, case):
    read = {a.tensor for a in accesses(step.before.body)}
    known = {t.name for t in case.gradients.program.inputs}
    known |= {e.target for e in case.gradients.program.equations}
    return read <= known and not step.before.body.has(Partial)


def bars_of(case):
    """The cotangent's name of every tensor that a step may lead to."""
    forward = case.gradients.forward
    known = [t.name for t in forward.inputs] + [e.target for e in forward.equations]
    return {name: case.gradients.cotangents.get(name, f"{name}_bar") for name in known}


def cotangent_by_differences(name, case, values):
    """The derivative of `sum(seed * result)` by one assigned tensor, moved at will."""
    forward = case.gradients.forward
    if name == forward.result:
        return case.arrays["seed"]
    position = [e.target for e in forward.equations].index(name)
    rest = forward.equations[position + 1 :]
    above = forward.equations[: position + 1]
    known = (Tensor(e.target, e.indices, kind_of(values[e.target])) for e in above)
    inputs = (*forward.inputs, *known)
    below = replace(forward, equations=rest, inputs=inputs, results=(forward.result,))
    given = {t.name: values[t.name] for t in inputs}
    value = case.value(below)
    theta = values[name]
    gradient = np.zeros(theta.shape)
    for place in np.ndindex(theta.shape):
        h = 2.0**-13 * max(1.0, abs(theta[place]))
        moved = np.zeros(theta.shape)
        moved[place] = h
        near, far = (
            (value({**given, name: theta + k * moved}) - value({**given, name: theta - k * moved}))
            / (2 * k * h)
            for k in (1, 2)
        )
        gradient[place] = (4 * near - far) / 3
    return gradient


def kind_of(array):
    return "integer" if array.dtype.kind == "i" else "real"


def test_every_rule_occurs_and_nothing_else_goes_unnamed():
    rules = {s.rule for f in FORMULAS for s in derived(f.name).gradients.steps}
    assert rules >= set(RULES)
    assert all(rule.strip() for rule in rules)
