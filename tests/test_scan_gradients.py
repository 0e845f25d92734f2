"""Gradients through recurrences: a scan forward, its adjoint a scan that runs backward."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose

import derive
from derive.checks import compare, contracted, random_cotangent
from derive.gradients.derivation import reverse
from derive.gradients.identities import sigmoid
from derive.gradients.normal_form import flatten
from derive.gradients.simplify import recognize
from derive.language.checker import check, check_normal
from derive.language.formula import parse
from derive.language.functions import FUNCTIONS, eq
from derive.language.interpreter import evaluate
from derive.language.notation import (
    Access,
    Equation,
    Partial,
    Program,
    Recurrence,
    Tensor,
    accesses,
    indices,
)
from derive.numerics.stability import stabilize

KNOWN = {**FUNCTIONS, "sigmoid": sigmoid}
RNN = """
h[-1,j] = h0[j]
h[t,j] = tanh(sum[k](h[t-1,k]*U[k,j]) + u[t,j])
"""
LSTM = """
i[n,t,j] = sigmoid(sum[d](x[n,t,d]*W_i[d,j]) + sum[k](h[n,t-1,k]*U_i[k,j]) + b_i[j])
f[n,t,j] = sigmoid(sum[d](x[n,t,d]*W_f[d,j]) + sum[k](h[n,t-1,k]*U_f[k,j]) + b_f[j])
g[n,t,j] = tanh(sum[d](x[n,t,d]*W_g[d,j]) + sum[k](h[n,t-1,k]*U_g[k,j]) + b_g[j])
o[n,t,j] = sigmoid(sum[d](x[n,t,d]*W_o[d,j]) + sum[k](h[n,t-1,k]*U_o[k,j]) + b_o[j])
c[n,-1,j] = c0[n,j]
c[n,t,j] = f[n,t,j]*c[n,t-1,j] + i[n,t,j]*g[n,t,j]
h[n,-1,j] = h0[n,j]
h[n,t,j] = o[n,t,j]*tanh(c[n,t,j])
"""
GRU = """
r[t,j] = sigmoid(sum[d](x[t,d]*W_r[d,j]) + sum[k](h[t-1,k]*U_r[k,j]))
z[t,j] = sigmoid(sum[d](x[t,d]*W_z[d,j]) + sum[k](h[t-1,k]*U_z[k,j]))
m[t,j] = tanh(sum[d](x[t,d]*W_m[d,j]) + sum[k](r[t,k]*h[t-1,k]*U_m[k,j]))
h[-1,j] = h0[j]
h[t,j] = z[t,j]*h[t-1,j] + (1 - z[t,j])*m[t,j]
"""
FORMULAS = {
    "rnn": RNN,
    "rnn, the last state": RNN + "y[j] = h[T-1,j]**2",
    "rnn, every state and the last": RNN + "L = sum[t,j](h[t,j]*g[t,j]) + sum[j](h[T-1,j]**2)",
    "rnn in batches, with projections": """
        h[n,-1,j] = 0
        h[n,t,j] = tanh(sum[k](h[n,t-1,k]*U[k,j]) + sum[i](x[n,t,i]*W[i,j]) + b[j])
        y[n,t,o] = sum[j](h[n,t,j]*V[j,o])""",
    "reversed": """
        h[t,j] = tanh(sum[k](h[t+1,k]*U[k,j]) + u[t,j])
        h[T,j] = h0[j]""",
    "lstm": LSTM,
    "gru": GRU,
    "moving average": "m[-1] = m0\nm[t] = a*m[t-1] + (1 - a)*x[t]",
    "sum so far": "s[-1] = 0\ns[t] = s[t-1] + x[t]**2",
    "gated": "h[-1,j] = h0[j]\nh[t,j] = f[t,j]*h[t-1,j] + u[t,j]",
    "gated by what comes before": "h[-1,j] = h0[j]\nh[t,j] = h[t-1,j]*sigmoid(a[t,j]*h[t-1,j])",
    "selective state space": """
        h[n,-1,d,s] = 0
        h[n,t,d,s] = exp(-e[n,t,d]*A[d,s])*h[n,t-1,d,s] + e[n,t,d]*B[n,t,s]*x[n,t,d]
        y[n,t,d] = sum[s](C[n,t,s]*h[n,t,d,s])""",
    "stacked": """
        h[-1,j] = h0[j]
        h[t,j] = tanh(sum[k](h[t-1,k]*U[k,j]) + u[t,j])
        q[-1,j] = 0
        q[t,j] = tanh(sum[k](q[t-1,k]*V[k,j]) + h[t,j])""",
    "encoder and decoder": """
        h[-1,j] = 0
        h[t,j] = tanh(sum[k](h[t-1,k]*U[k,j]) + u[t,j])
        q[-1,j] = h[T-1,j]
        q[s,j] = tanh(sum[k](q[s-1,k]*V[k,j]) + w[s,j])""",
    "both ways": """
        h[-1,j] = h0[j]
        h[t,j] = tanh(sum[k](h[t-1,k]*U[k,j]) + u[t,j])
        q[T,j] = 0
        q[t,j] = tanh(sum[k](q[t+1,k]*V[k,j]) + h[t,j]*u[t,j])""",
    "two that read each other": """
        p[-1] = p0
        p[t] = p[t-1] + e*v[t-1]
        v[-1] = v0
        v[t] = v[t-1] - e*sin(p[t]) - c[t]*v[t-1]*p[t-1]""",
    "an initial value that is computed": """
        h[-1,j] = tanh(sum[i](c[i]*W[i,j]))
        h[t,j] = tanh(sum[k](h[t-1,k]*U[k,j]) + u[t,j])""",
    "one initial value for all": "h[n,-1,j] = h0[j]\nh[n,t,j] = tanh(h[n,t-1,j]*w[n,t,j])",
    "the state before": RNN + "y[t,j] = h[t-1,j]*g[t,j]",
    "a softmax in the scan": """
        p[t,j] = exp(s[t,j])/sum[k](exp(s[t,k]))
        s[t,j] = sum[k](p[t-1,k]*U[k,j]) + u[t,j]
        p[-1,j] = p0[j]""",
    "a maximum in the scan": "m[-1] = m0\nm[t] = 0.9*m[t-1] + max[i](x[t,i]*m[t-1])",
    "logsumexp": "a[-1,j] = a0[j]\na[t,j] = logsumexp[i](a[t-1,i] + A[i,j]) + b[t,j]",
    "logsumexp alone": "a[-1,j] = a0[j]\na[t,j] = logsumexp[i](a[t-1,i] + A[t,i,j])",
    "a layer norm in the scan": """
        h[-1,j] = h0[j]
        z[t,j] = sum[k](h[t-1,k]*U[k,j]) + u[t,j]
        mu[t] = mean[j](z[t,j])
        v[t] = mean[j]((z[t,j] - mu[t])**2)
        h[t,j] = tanh((z[t,j] - mu[t])/sqrt(v[t] + 0.1))""",
    "a product of the state": "h[-1,j] = h0[j]\nh[t,j] = prod[k](h[t-1,k] + u[t,j,k])/4",
    "a scan that is not read": RNN + "L = sum[t,j](u[t,j]**2)",
    "a decay": "h[-1] = h0\nh[t] = c*h[t-1]\nL = sum[t](h[t]*g[t])",
    "a decay that starts alone": "h[-1] = 1\nh[t] = c*h[t-1] + 0*g[t]",
    "convolution of the state": """
        h[-1,i] = h0[i]
        h[t,i] = tanh(sum[l](h[t-1,i+l-1]*w[l]) + u[t,i])""",
}
SIZES = {"N": 2, "T": 4, "S": 3, "I": 3, "J": 2, "K": 2, "D": 2, "O": 2, "L": 3}


class Case:
    """A formula derived by all of its inputs, and arrays to evaluate it at."""

    def __init__(self, name: str, sizes: Mapping[str, int] = SIZES) -> None:
        self.program = parse(FORMULAS[name].strip(), functions=KNOWN)
        check(self.program)
        forward, _ = recognize(flatten(self.program))
        check_normal(forward)
        rng = np.random.default_rng(0)
        self.arrays = {
            t.name: rng.uniform(0.2, 1.0, [sizes[str(i.size)] for i in t.axes])
            for t in self.program.inputs
        }
        result = self.value(self.arrays)
        self.seed = random_cotangent(result.shape, 0)
        axes = forward.equation(forward.result).indices
        seeded = replace(
            forward,
            inputs=(*forward.inputs, Tensor("seed", axes)),
            results=forward.results or (forward.result,),
        )
        self.wrt = tuple(t.name for t in self.program.inputs)
        self.gradients = reverse(seeded, self.wrt, {forward.result: Access("seed", *axes)})

    def value(self, arrays: Mapping) -> np.ndarray:
        return evaluate(self.program, arrays)[self.program.result]

    def values(self, program: Program | None = None) -> dict[str, np.ndarray]:
        return evaluate(program or self.gradients.program, {**self.arrays, "seed": self.seed})

    def assert_differences(self, values: Mapping[str, np.ndarray]) -> None:
        found = {name: values[self.gradients.cotangents[name]] for name in self.wrt}
        report = compare(contracted(self.value, self.seed), found, self.arrays, self.wrt)
        assert report.ok, f"\n{self.gradients.program}\n{report}"


@cache
def derived(name: str) -> Case:
    return Case(name)


@pytest.fixture(params=FORMULAS)
def case(request: pytest.FixtureRequest) -> Case:
    return derived(request.param)


def test_gradients_are_those_of_central_differences(case: Case) -> None:
    check_normal(case.gradients.program)
    case.assert_differences(case.values())


@pytest.mark.parametrize("name", [n for n, text in FORMULAS.items() if "t-1" in text])
def test_one_step(name: str) -> None:
    case = Case(name, {**SIZES, "T": 1})
    case.assert_differences(case.values())


@pytest.mark.parametrize("accuracy", ["exact", "training"])
def test_the_stable_program_has_the_same_values(case: Case, accuracy: str) -> None:
    stable = stabilize(case.gradients.program, accuracy)
    check_normal(stable)
    found = case.values(stable)
    for name, value in case.values().items():
        if name in case.gradients.cotangents.values():
            assert_allclose(found[name], value, rtol=1e-12, atol=1e-13, err_msg=name)


def test_what_is_shown_reads_back(case: Case) -> None:
    shown = "\n".join(map(str, case.gradients.equations))
    values = case.values()
    for text in (shown, str(case.gradients.program)):
        again = parse(text, sizes=sizes_of(case), functions=KNOWN)
        read = {t.name for t in again.inputs}
        arrays = {**case.arrays, "seed": case.seed}
        for name, value in evaluate(again, {n: a for n, a in arrays.items() if n in read}).items():
            assert_allclose(value, values[name], rtol=1e-11, atol=1e-13, err_msg=name)


def sizes_of(case: Case) -> dict[str, int]:
    whole = case.gradients.program
    given = {s: int(v) for s, v in whole.sizes if v.is_Integer}
    used = {i for e in whole.equations for i in (*e.indices, *indices(e.body))}
    return {i.name: given.get(i.size, SIZES.get(str(i.size))) for i in used if "__" not in i.name}


def test_every_step_keeps_the_value(case: Case) -> None:
    values = {**case.arrays, "seed": case.seed, **case.values()}
    for step in case.gradients.steps:
        assert step.before != step.after, step.rule
        read = {a.tensor for a in accesses(step.before.body + step.after.body)}
        if step.rule != "chain rule" and read <= values.keys():
            before, after = (alone(e, case, values) for e in (step.before, step.after))
            tolerance = 1e-7 if step.before.body.has(Partial) else 1e-12
            message = f"{step.rule}\n{step.before}\n{step.after}"
            assert_allclose(before, after, rtol=tolerance, atol=tolerance, err_msg=message)


def alone(equation: Equation, case: Case, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """One equation, its tensors given; those with an initial value have it."""
    whole = case.gradients.program
    tensors, copies = list(whole.inputs), []
    given = {t.name: values[t.name] for t in tensors}
    for e in whole.equations:
        if e.recurrence is None:
            kind = "integer" if values[e.target].dtype.kind == "i" else "real"
            tensors.append(Tensor(e.target, e.indices, kind))
            given[e.target] = values[e.target]
        else:
            tensors.append(Tensor(f"{e.target}_given", e.indices))
            given[f"{e.target}_given"] = values[e.target]
            copies.append(replace(e, body=Access(f"{e.target}_given", *e.indices)))
    program = Program((*copies, replace(equation, target="it")), tuple(tensors), whole.sizes)
    return evaluate(program, given)["it"]


def test_a_scan_of_which_nothing_depends_costs_nothing() -> None:
    found = derived("a scan that is not read").gradients
    assert [str(e) for e in found.backward if "seed" in str(e)] == ["u_bar[t,j] = 2*seed*u[t,j]"]
    assert not any(e.recurrence for e in found.backward)


# What a derivation arrives at.


def shown(text: str, *wrt: str) -> list[str]:
    program, _ = recognize(flatten(parse(text.strip(), functions=KNOWN)))
    found = reverse(program, wrt, {program.result: Access("g", *program.equations[-1].indices)})
    return [str(line) for e in found.backward for line in e.lines]


def test_rnn_in_textbook_form() -> None:
    """d_t = (G_t + U d_{t+1}) * (1 - h_t**2)"""
    assert shown(RNN, "h0", "U", "u") == [
        "h_bar[t,j] = sum[j_1](s_bar[t+1,j_1]*U[j,j_1]) + g[t,j]",
        "s_bar[T,j] = 0",
        "s_bar[t,j] = (1 - h[t,j]**2)*h_bar[t,j]",
        "U_bar[k,j] = sum[t](h[t-1,k]*s_bar[t,j])",
        "u_bar[t,j] = s_bar[t,j]",
        "h0_bar[j] = sum[j_1](s_bar[0,j_1]*U[j,j_1])",
    ]


def test_projections_and_biases_read_the_one_cotangent_of_what_is_summed() -> None:
    text = "h[t,j] = tanh(sum[k](h[t-1,k]*U[k,j]) + sum[i](x[t,i]*W[i,j]) + b[j])\nh[-1,j] = 0"
    assert shown(text, "x", "W", "b")[-3:] == [
        "b_bar[j] = sum[t](s_bar[t,j])",
        "W_bar[i,j] = sum[t](x[t,i]*s_bar[t,j])",
        "x_bar[t,i] = sum[j](s_bar[t,j]*W[i,j])",
    ]


def test_moving_average_in_textbook_form() -> None:
    assert shown(FORMULAS["moving average"], "a", "m0", "x") == [
        "m_bar[T] = 0",
        "m_bar[t] = a*m_bar[t+1] + g[t]",
        "a_bar = sum[t]((m[t-1] - x[t])*m_bar[t])",
        "x_bar[t] = (1 - a)*m_bar[t]",
        "m0_bar = a*m_bar[0]",
    ]


def test_a_factor_of_the_step_is_passed_back() -> None:
    assert shown(FORMULAS["gated"], "f", "h0") == [
        "h_bar[t,j] = g[t,j] + h_back[t+1,j]",
        "h_back[T,j] = 0",
        "h_back[t,j] = f[t,j]*h_bar[t,j]",
        "f_bar[t,j] = h[t-1,j]*h_bar[t,j]",
        "h0_bar[j] = h_back[0,j]",
    ]


def test_the_last_state_takes_its_cotangent_at_the_last_step() -> None:
    found = shown(RNN + "y[j] = h[T-1,j]**2", "U")
    end = "2*(t == T - 1)*g[j]*h[T-1,j]"
    assert found[0] == f"h_bar[t,j] = sum[j_1](s_bar[t+1,j_1]*U[j,j_1]) + {end}"


# What the pipeline makes of it.

LOSS = RNN + "L = sum[t,j]((h[t,j] - y[t,j])**2)"


def some(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {name: rng.uniform(-1, 1, shape) for name, shape in shapes.items()}


ARRAYS = some(h0=(2,), U=(2, 2), u=(3, 2), y=(3, 2))


@pytest.mark.parametrize("wrt", ["U", "h0", "u"])
def test_second_derivatives_differentiate_the_backward_scan(wrt: str) -> None:
    first = derive.differentiate(LOSS, wrt)
    assert first.check(**ARRAYS).ok
    second = derive.hvp(LOSS, wrt)
    assert second.check(**ARRAYS).ok
    direction = random_cotangent(ARRAYS[wrt].shape, 0)
    whole = derive.hessian(LOSS, wrt)
    assert whole.check(**ARRAYS).ok
    product = np.tensordot(whole.compile().hessian(**ARRAYS), direction, direction.ndim)
    assert_allclose(second.compile().hvp(direction, **ARRAYS), product, rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "wrt", "shapes"),
    [
        ("y[n,j] = tanh(sum[i](x[n,i]*W[i,j]))", "W", {"x": (3, 2), "W": (2, 4)}),
        ("y[n,j] = tanh(sum[i](x[n,i]*W[i,j]))", "x", {"x": (3, 2), "W": (2, 4)}),
        ("y[...,j] = tanh(sum[i](x[...,i]*W[i,j]))", "x", {"x": (3, 2, 2), "W": (2, 4)}),
        ("y[...,j] = tanh(sum[i](x[...,i]*W[i,j]))", "W", {"x": (3, 2, 2), "W": (2, 4)}),
        ("L = sum[i](x[i]**3)", "x", {"x": (4,)}),
        ("y = a*b", "a", {"a": (), "b": ()}),
        ("y[p] = sum[k](x[p+k]**2*w[k])", "x", {"x": (5,), "w": (2,)}),
        (RNN, "U", {"h0": (2,), "U": (2, 2), "u": (3, 2)}),
    ],
)
def test_jacobian(text: str, wrt: str, shapes: Mapping) -> None:
    arrays = some(**shapes)
    derived_ = derive.jacobian(text, wrt)
    module = derived_.compile()
    found = module.jacobian(**arrays)
    assert found.shape == np.shape(module.value(**arrays)) + shapes[wrt]
    assert derived_.check(**arrays).ok
    for place in np.ndindex(shapes[wrt]):
        moved = np.zeros(shapes[wrt])
        moved[place] = 1e-6
        above, below = (module.value(**{**arrays, wrt: arrays[wrt] + s * moved}) for s in (1, -1))
        assert_allclose(found[(..., *place)], (above - below) / 2e-6, rtol=1e-6, atol=1e-8)


def test_a_jacobian_is_by_one_tensor() -> None:
    with pytest.raises(derive.DeriveError, match="by one tensor"):
        derive.jacobian("y[i] = a[i]*b[i]", ["a", "b"])


def test_initial_lines_stand_beside_their_equations() -> None:
    text = derive.differentiate(LOSS, "U").latex()
    assert r"h_{-1,\,j} &= h^{(0)}_{j} \tag" in text
    assert r"\bar{s}_{T,\,j} &= 0 \tag" in text


def test_numbers_count_equations_and_not_initial_lines() -> None:
    found = derive.differentiate(LOSS, "U").gradients
    assert list(found.numbers.values()) == list(range(1, len(found.shown) + 1))
    assert len(found.equations) == len(found.shown) + 2


def test_recurrence_by_hand() -> None:
    """The sweep needs no text: a program made by hand will do."""
    program = parse("h[-1] = h0\nh[t] = a*h[t-1] + x[t]")
    (equation,) = program.equations
    assert isinstance(equation.recurrence, Recurrence)
    found = reverse(program, ("a", "x", "h0"), {"h": eq(equation.indices[0], 0)})
    assert [str(line) for e in found.backward for line in e.lines] == [
        "h_bar[T] = 0",
        "h_bar[t] = a*h_bar[t+1] + (t == 0)",
        "a_bar = sum[t](h[t-1]*h_bar[t])",
        "x_bar[t] = h_bar[t]",
        "h0_bar = a*h_bar[0]",
    ]
