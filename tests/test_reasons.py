"""Reasons of steps: every equality holds in value, every delta solved and every kink is named."""

from __future__ import annotations

from functools import cache
from random import Random

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sympy import Expr, Integer, Mul, S, Symbol, asin, log
from test_steps import FORMULAS, SIZES, derived, everything

from derive.gradients.calculus import Step
from derive.gradients.derivation import Gradients, reverse
from derive.gradients.identities import u, v, w
from derive.gradients.normal_form import flatten
from derive.gradients.simplify import recognize
from derive.language.formula import parse
from derive.language.functions import Named, eq
from derive.language.interpreter import evaluate
from derive.language.notation import (
    Access,
    Equation,
    Index,
    Partial,
    Program,
    Reduce,
    Tensor,
    accesses,
    indices,
)
from derive.library.definitions import functions
from derive.pages.kinks import ARGUMENTS, CASES, ELEMENTS, kink, kinks
from derive.pages.reasons import Reason, equations, prose, reason
from derive.printing.latex_names import Names

# Away from kinks and inside every domain; then to the left of 0.
POINTS = ({u: 0.37, v: 0.61, w: 0.83}, {u: -0.37, v: 0.61, w: -0.83})
ALL = [f.name for f in FORMULAS]


@cache
def gradients(text: str, *wrt: str) -> Gradients:
    program, _ = recognize(flatten(parse(text, functions=functions())))
    by = wrt or tuple(t.name for t in program.inputs if t.kind == "real")
    return reverse(program, by, {program.result: S.One})


def reasons(found: Gradients, rule: str) -> list[Reason]:
    return [reason(s) for s in found.steps if rule in s.rule.split(", ")]


def shown(found: Gradients, rule: str) -> list[str]:
    return [prose(why, Names()) for why in reasons(found, rule)]


# What holds for all values.


def sides(equality, arrays):
    """The values of expressions over scalars."""
    inputs = tuple(Tensor(name, ()) for name in arrays)
    table = {Symbol(name, real=True): Access(name) for name in arrays}
    for e in equality:
        program = Program((Equation("it", (), e.xreplace(table)),), inputs)
        yield float(evaluate(program, arrays)["it"])


def reduction_sides(equality):
    """`d reduce[k](z[k]) / d z[j]` by differences, and what it is said to be."""
    partial, derivative = equality
    (j,) = partial.operand.indices
    (k,) = partial.body.bound
    z = Tensor("z", (Index("k", j.size),))
    array = np.array([0.3, -0.7, 1.1])

    def value(array):
        return float(
            evaluate(Program((Equation("it", (), partial.body),), (z,)), {"z": array})["it"]
        )

    h = 1e-5
    steps = h * np.eye(3)
    yield np.array([(value(array + s) - value(array - s)) / (2 * h) for s in steps])
    axis = {j: Index("j", k.size)}
    yield evaluate(
        Program((Equation("it", (axis[j],), derivative.xreplace(axis)),), (z,)), {"z": array}
    )["it"]


def assert_general(equality):
    if equality[0].has(Partial) and equality[0].has(Reduce):
        first, second = reduction_sides(equality)
        assert_allclose(first, second, rtol=1e-8)
        return
    if any(e.has(Access, Index) for e in equality):
        return  # a statement of the table, sampled there
    for point in POINTS:
        outside = any(e.has(log, asin) or e.atoms(Symbol) - set(point) for e in equality)
        powers = any(not p.exp.is_Integer for e in equality for p in e.atoms(type(u**v)))
        if point[u] < 0 and (outside or powers):
            continue
        arrays = {s.name: np.float64(x) for s, x in point.items()}
        arrays |= {s.name: np.float64(3) for e in equality for s in e.atoms(Symbol) - set(point)}
        first, *others = sides(equality, arrays)
        for other in others:
            assert_allclose(other, first, rtol=1e-7, atol=1e-9, err_msg=str(equality))


@pytest.mark.parametrize("name", ALL)
def test_what_holds_in_general_holds(name):
    general = {e for s in derived(name).gradients.steps for e in reason(s).general}
    for equality in general:
        assert_general(equality)


ACTIVATIONS = {
    name: f for name, f in functions().items() if isinstance(f, type) and issubclass(f, Named)
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_derivative_of_every_activation_holds(name):
    found = gradients(f"L = sum[n]({name}(x[n]))")
    general = [e for s in found.steps for e in reason(s).general]
    for equality in general:
        assert_general(equality)


def test_derivatives_of_functions_are_stated():
    found = gradients("L = sum[n](sigmoid(x[n]) + tanh(x[n]) + log(x[n]) + 3*x[n])")
    (why,) = reasons(found, "local derivative")
    stated = {e[0].body.func.__name__: e[-1] for e in why.general}
    sigmoid = functions()["sigmoid"]
    assert stated.keys() == {"sigmoid", "tanh", "log"}
    assert stated["sigmoid"] == sigmoid(u) * (1 - sigmoid(u))
    assert stated["log"] == 1 / u


def test_products_and_sums_need_no_reason():
    found = gradients("L = sum[n,i,j](x[n,i]*W[i,j] + b[j]*2)")
    assert all(why == Reason() for why in reasons(found, "local derivative"))


# What holds between the tensors of a derivation.


def values_of_sides(equality, case, values):
    whole = case.gradients.program
    bound = {i for e in equality for r in e.atoms(Reduce) for i in r.bound}
    free = tuple(sorted({i for e in equality for i in indices(e)} - bound, key=str))
    read = {a.tensor for e in equality for a in accesses(e)}
    axes = {t.name: t.axes for t in whole.inputs}
    axes |= {e.target: e.indices for e in whole.equations}
    for name in axes.copy():
        axes.setdefault(f"{name}_bar", axes[name])
    inputs = tuple(
        Tensor(name, axes[name], "integer" if values[name].dtype.kind == "i" else "real")
        for name in axes
        if name in values
    )
    assert read <= {t.name for t in inputs}
    for e in equality:
        program = Program((Equation("it", free, e),), inputs, whole.sizes)
        yield evaluate(program, {t.name: values[t.name] for t in inputs})["it"]


@pytest.mark.parametrize("name", ALL)
def test_what_holds_here_holds(name):
    case = derived(name)
    values = None
    known = equations(case.gradients)
    for step in case.gradients.steps:
        for equality in dict.fromkeys((*reason(step).here, *reason(step, known).here)):
            if step.rule == "backward recurrence" and equality[1] == 0:
                assert_is_the_end(equality, case)
                continue
            values = values or everything(case)
            first, second = values_of_sides(equality, case, values)
            scale = np.max(np.abs(first), initial=1e-3)
            assert_allclose(first, second, rtol=0, atol=1e-8 * scale, err_msg=str(equality))


def assert_is_the_end(equality, case):
    access, value = equality
    (equation,) = (e for e in case.gradients.backward if e.target == access.tensor)
    recurrence = equation.recurrence
    position = equation.indices.index(recurrence.index)
    assert access.indices[position] == recurrence.start
    assert value == recurrence.initial == 0


RECURRENT = (
    "h[t,j] = tanh(sum[k](h[t-1,k]*U[k,j]) + x[t,j])\nh[-1,j] = h0[j]\nL = sum[t,j](h[t,j]*g[t,j])"
)


def test_beyond_the_last_step_there_is_nothing():
    found = gradients(RECURRENT, "U", "h0")
    (why,) = reasons(found, "backward recurrence")
    ((access, zero),) = why.here
    assert access.indices[0] == Symbol("T", integer=True, positive=True) and zero == 0


def test_what_a_step_passes_back_is_said():
    text = "h[t,j] = c[t,j]*h[t-1,j]\nh[-1,j] = h0[j]\nL = sum[j](h[T-1,j]**2)"
    found = gradients(text, "c", "h0")
    (step,) = (s for s in found.steps if s.rule == "backward recurrence")
    passed, end = reason(step, equations(found)).here
    assert [[a.tensor for a in accesses(e)] for e in passed] == [["h_back"], ["c", "h_bar"]]
    assert end[0].tensor == "h_back" and end[1] == 0


def test_what_is_read_again_is_said():
    found = gradients("z[n] = x[n]*w\na[n] = sigmoid(z[n])\nL = sum[n](a[n])")
    assert shown(found, "reuse of the forward pass") == [r"$a_{n} = \sigma(z_{n})$"]
    assert shown(found, "sigmoid") == [
        r"$\frac{e^{-u}}{(1 + e^{-u})^{2}} = \sigma(u) (1 - \sigma(u))$"
    ]


def test_what_is_read_again_is_said_as_the_page_has_it():
    found = gradients(RECURRENT, "U", "h0")
    (why,) = {
        prose(reason(s, equations(found)), Names())
        for s in found.steps
        if s.rule == "reuse of the forward pass"
    }
    assert why == r"$h_{tj} = \tanh(s_{tj} + x_{tj})$"


def test_an_index_that_nothing_depends_on_is_counted():
    found = gradients("L = sum[n,i](x[n,i]*c + b[i])", "b")
    assert shown(found, "contraction") == [r"$\sum_{n} 1 = N$"]


# Kronecker deltas.


def solutions(step: Step) -> list[str]:
    return [f"{i} = {e}" for i, e in reason(step).solved]


SOLVED = [
    ("z[n,j] = sum[i](x[n,i]*W[i,j])\nL = sum[n,j](z[n,j]**2)", "x", ["i_1 = i", "n_1 = n"], []),
    ("y[i] = x[i//2]*w[i]\nL = sum[i](y[i])", "x", ["i = 2*j + r"], ["lt(2*j + r, I)"]),
    ("y[p] = x[2*p]\nL = sum[p](y[p]**2)", "x", ["p = floordiv(i, 2)"], ["eq(mod(i, 2), 0)"]),
    ("y[p] = sum[k](x[p+k]*w[k])\nL = sum[p](y[p]**2)", "x", ["p = i - k"], None),
]


@pytest.mark.parametrize(("text", "wrt", "solved", "conditions"), SOLVED)
def test_solutions_are_stated(text, wrt, solved, conditions):
    found = gradients(text, wrt)
    (step,) = (s for s in found.steps if s.rule == "Kronecker delta" and s.after.target == "x_bar")
    assert sorted(solutions(step)) == solved
    if conditions is not None:
        assert set(conditions) <= set(map(str, reason(step).conditions))


def parts(body):
    """The bound indices of a contribution, its guard, and its deltas."""
    if isinstance(body, Reduce):
        term, bound, guard = body.term, body.bound, body.guard
    else:
        masked = body.func.__name__ == "where" and body.args[2] == 0
        guard, term = body.args[:2] if masked else (S.One, body)
        bound = ()
    return bound, guard, [f for f in term.args if isinstance(f, eq)] if term.is_Mul else []


@pytest.mark.parametrize("name", ALL)
def test_every_delta_that_is_gone_is_solved(name):
    case = derived(name)
    random = Random(0)
    usual = SIZES | dict(case.formula.axes)
    given = dict(case.gradients.forward.sizes)

    def number(size: Expr) -> int:
        while not size.is_Integer:
            size = size.xreplace(
                {s: given.get(s, Integer(usual.get(str(s), 7))) for s in size.free_symbols}
            )
        return int(size)

    for step in case.gradients.steps:
        if step.rule != "Kronecker delta":
            continue
        why = reason(step)
        bound, _, deltas = parts(step.before.body)
        kept, guard, left = parts(step.after.body)
        assert {i for i, _ in why.solved} == set(bound) - set(kept)
        solved = dict(why.solved)
        solved_ones = [d.xreplace(solved) for d in deltas]
        stated = Mul(guard, *left)  # what is still to hold
        free = [*step.after.indices, *kept]
        symbols = {s for e in (stated, *solved_ones) for s in e.free_symbols}
        numbers = {s: Integer(number(s)) for s in symbols if not isinstance(s, Index)}
        for _ in range(20):
            at = {i: Integer(random.randrange(number(i.size))) for i in free} | numbers
            if stated.xreplace(at) == 1:
                for delta in solved_ones:
                    assert delta.has(Access) or delta.xreplace(at) == 1, delta


# Kinks.


def slope(name: str, at: float) -> float:
    found = gradients(f"L = sum[n]({name}(x[n]))", "x")
    values = evaluate(found.program, {"x": np.array([at])})
    return float(values["x_bar"][0])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_kink_of_an_activation_is_named(name):
    found = gradients(f"L = sum[n]({name}(x[n]))", "x")
    named = {k.plain for s in found.steps for k in kink(s)}
    expected = set()
    for k in range(-16, 17):
        at = k / 2
        left, right = slope(name, at - 1e-9), slope(name, at + 1e-9)
        if abs(left - right) > 1e-6:
            value = slope(name, at)
            assert min(left, right) - 1e-6 <= value <= max(left, right) + 1e-6
            expected.add((int(at) if at.is_integer() else at, value))
    stated = set()
    for text in named:
        place, _, rest = text.partition("'(")[2].partition(")")
        stated.add((float(place), float(rest.split()[-1])))
    assert {place for place, _ in stated} == {place for place, _ in expected}
    for place, value in stated:
        assert abs(dict(expected)[place] - value) < 1e-4


KINKS = [
    ("L = sum[n](abs(x[n]*w[n]))", ["|x|'(0) = 0"]),
    ("L = sum[n](relu(x[n])*w[n])", ["relu'(0) = 0"]),
    ("L = sum[n](where(x[n] > 0, x[n], 0))", ["relu'(0) = 0"]),
    ("L = sum[n](maximum(0, x[n]))", ["relu'(0) = 0"]),
    ("L = sum[n](maximum(x[n], w[n]))", [ARGUMENTS.plain]),
    ("L = sum[n](where(x[n] > w[n], x[n]**2, 0*w[n]))", [CASES.plain]),
    ("L = sum[n](max[i](x[n,i]))", [ELEMENTS.plain]),
    ("L = sum[i,j](where(i < j, A[i,j], A[j,i]**2))", []),
    ("L = sum[n](sigmoid(x[n]) + softplus(x[n]))", []),
]


@pytest.mark.parametrize(("text", "plain"), KINKS)
def test_a_page_and_its_steps_name_the_same_conventions(text, plain):
    found = gradients(text)
    assert [k.plain for k in kinks(found.forward)] == plain
    assert {k.plain for s in found.steps for k in kink(s)} == set(plain)
    assert {k for s in found.steps for k in reason(s).kinks} == set(kinks(found.forward))


def test_the_first_argument_takes_the_derivative():
    found = gradients("L = sum[n](maximum(x[n], 0))", "x")
    assert [k.plain for k in kinks(found.forward)] == [ARGUMENTS.plain]
    assert evaluate(found.program, {"x": np.zeros(1)})["x_bar"][0] == 1


def test_prose_is_finished_latex():
    found = gradients("L = sum[n](relu(x[n]))", "x")
    (text,) = shown(found, "local derivative")
    assert text.startswith(r"$\frac{\partial}{\partial u}\, \operatorname{relu}(u) = ")
    assert text.endswith(r"$\operatorname{relu}'(0) = 0$.")
    assert shown(found, "chain rule") == [""]
