"""Recurrences as NumPy: loops over steps mean what the interpreter says, in both forms."""

from __future__ import annotations

import functools
import math
import tracemalloc

import numpy as np
import pytest

from derive.code.hoisting import hoisted
from derive.code.lowering import lower
from derive.code.numpy_printer import allocation, lines, prefixed
from derive.code.scheduling import fresh, workspace
from derive.gradients.derivation import Gradients
from derive.language.interpreter import evaluate
from derive.language.notation import Program
from derive.numerics.stability import stabilize
from derive.pipeline import differentiate, forward
from tests.lowered_programs import Workspace, run_fresh, run_workspace

SIZES = {"n": 3, "t": 4, "i": 2, "j": 3, "k": 3, "d": 2, "s": 2, "g": 4, "m": 3, "v": 5}

SCANS = {
    "rnn": """
        h[n,-1,j] = h0[n,j]
        h[n,t,j] = tanh(sum[i](x[n,t,i]*W[i,j]) + sum[k](h[n,t-1,k]*U[k,j]) + b[j])
        L = sum[n,t,j](h[n,t,j]*r[n,t,j])""",
    "last step": """
        h[n,-1,j] = 0
        h[n,t,j] = tanh(sum[i](x[n,t,i]*W[i,j]) + sum[k](h[n,t-1,k]*U[k,j]) + b[j])
        L = sum[n,j](h[n,T-1,j]*r[n,j])""",
    "reversed": """
        h[n,T,j] = 0
        h[n,t,j] = tanh(sum[i](x[n,t,i]*W[i,j]) + sum[k](h[n,t+1,k]*U[k,j]))
        L = sum[n,t,j](h[n,t,j]*r[n,t,j])""",
    "lstm": """
        z[n,t,g,j] = sum[i](x[n,t,i]*W[i,g,j]) + sum[k](h[n,t-1,k]*U[k,g,j]) + b[g,j]
        c[n,-1,j] = 0
        c[n,t,j] = sigmoid(z[n,t,1,j])*c[n,t-1,j] + sigmoid(z[n,t,0,j])*tanh(z[n,t,2,j])
        h[n,-1,j] = 0
        h[n,t,j] = sigmoid(z[n,t,3,j])*tanh(c[n,t,j])
        L = sum[n,t,j](h[n,t,j]*r[n,t,j])""",
    "gru": """
        h[n,-1,j] = 0
        u[n,t,j] = sigmoid(sum[i](x[n,t,i]*A[i,j]) + sum[k](h[n,t-1,k]*B[k,j]))
        q[n,t,j] = sigmoid(sum[i](x[n,t,i]*C[i,j]) + sum[k](h[n,t-1,k]*D[k,j]))
        e[n,t,j] = tanh(sum[i](x[n,t,i]*W[i,j]) + q[n,t,j]*sum[k](h[n,t-1,k]*U[k,j]))
        h[n,t,j] = (1 - u[n,t,j])*e[n,t,j] + u[n,t,j]*h[n,t-1,j]
        L = sum[n,j](h[n,T-1,j]*r[n,j])""",
    "moving average": """
        m[-1] = 0
        m[t] = a*m[t-1] + (1 - a)*x[t]
        L = sum[t]((x[t] - m[t])**2)""",
    "state space": """
        h[n,-1,d,s] = 0
        h[n,t,d,s] = exp(-u[n,t,d]*exp(A[d,s]))*h[n,t-1,d,s] + u[n,t,d]*B[n,t,s]*x[n,t,d]
        y[n,t,d] = sum[s](h[n,t,d,s]*C[n,t,s])
        L = sum[n,t,d](y[n,t,d]*r[n,t,d])""",
    "stacked": """
        h[n,-1,j] = 0
        h[n,t,j] = tanh(sum[i](x[n,t,i]*W[i,j]) + sum[k](h[n,t-1,k]*U[k,j]))
        q[n,-1,j] = 0
        q[n,t,j] = tanh(sum[k](h[n,t,k]*V[k,j]) + sum[k](q[n,t-1,k]*Z[k,j]))
        L = sum[n,t,j](q[n,t,j]*r[n,t,j])""",
    "steps first": """
        h[-1,n,j] = h0[n,j]
        h[t,n,j] = tanh(x[t,n,j] + sum[k](h[t-1,n,k]*U[k,j]))
        L = sum[t,n,j](h[t,n,j]**2)""",
    "powers": """
        p[-1,j] = v[j]
        p[t,j] = sum[k](A[j,k]*p[t-1,k])
        L = sum[j](p[T-1,j]*w[j]) + sum[t,j](p[t,j]*r[t,j])""",
    "embedded": """
        h[-1,j] = 0
        h[t,j] = tanh(E[c[t],j] + 0.5*h[t-1,j]*x[T-1-t,j] + x[t,j])
        L = sum[t,j](h[t,j]**2)""",
}
WRT = {
    "rnn": "x W U b h0",
    "last step": "x W U b",
    "reversed": "x W U",
    "lstm": "x W U b",
    "gru": "x A B C D W U",
    "moving average": "a x",
    "state space": "u A B C x",
    "stacked": "x W U V Z",
    "steps first": "h0 x U",
    "powers": "A v",
    "embedded": "E x",
}


@functools.cache
def gradients(name: str) -> Gradients:
    sizes = {"G": 4} if name == "lstm" else None
    return differentiate(SCANS[name], WRT[name].split(), sizes).gradients


def sample(program: Program, steps: int = 4) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    arrays = {}
    for tensor in program.inputs:
        letters = (str(i.size).lower() for i in tensor.axes)
        shape = [
            int(i.size) if i.size.is_Integer else steps if letter in "tx" else SIZES.get(letter, 3)
            for i, letter in zip(tensor.axes, letters, strict=True)
        ]
        values = random.uniform(-1, 1, shape)
        arrays[tensor.name] = random.integers(0, 2, shape) if tensor.kind == "integer" else values
    return arrays


@pytest.mark.parametrize("name", SCANS)
def test_loops_mean_what_the_equations_say(name: str) -> None:
    found = gradients(name)
    results = (found.forward.result, *found.cotangents.values())
    for steps in (4, 1):
        arrays = sample(found.program, steps)
        exact = evaluate(found.program, arrays)
        for accuracy in ("exact", "training"):
            stable = stabilize(found.program, accuracy)
            for form in (run_fresh, run_workspace):
                computed = form(stable, results, arrays)
                for t in results:
                    np.testing.assert_allclose(
                        computed[t], exact[t], 1e-10, 1e-12, err_msg=f"{t} {form.__name__}"
                    )


@pytest.mark.parametrize("name", ["rnn", "moving average", "state space", "embedded"])
def test_every_member_can_be_a_result(name: str) -> None:
    program = forward(SCANS[name])
    arrays = sample(program)
    results = tuple(e.target for e in program.equations)
    exact = evaluate(program, arrays)
    for form in (run_fresh, run_workspace):
        computed = form(stabilize(program, "exact"), results, arrays)
        for t in results:
            np.testing.assert_allclose(computed[t], exact[t], 1e-10, 1e-12, err_msg=t)


@pytest.mark.parametrize(("axes", "before"), [("n,j", True), ("n,i,j", False)])
def test_what_is_large_is_computed_where_it_is_read(axes: str, before: bool) -> None:
    """A call less at a step is worth less than reading its arrays from memory."""
    lines = ("h[t,{}] = h[t-1,{}]*exp(x[t,{}] + 1)", "h[-1,{}] = 0", "y[{}] = h[T-1,{}]")
    program = forward("\n".join(lines).replace("{}", axes))
    assert any(e.target == "h_in" for e in hoisted(program).equations) is before


@pytest.mark.parametrize("name", SCANS)
def test_hoisting_changes_no_value(name: str) -> None:
    program = gradients(name).program
    arrays = sample(program)
    before, after = evaluate(program, arrays), evaluate(hoisted(program), arrays)
    for t in before:
        np.testing.assert_allclose(after[t], before[t], 1e-12, 1e-14, err_msg=t)


@pytest.mark.parametrize("name", ["rnn", "lstm", "state space"])
def test_loops_keep_float32(name: str) -> None:
    found = gradients(name)
    results = tuple(found.cotangents.values())
    computed = run_fresh(stabilize(found.program, "exact"), results, sample(found.program), "f4")
    assert {np.asarray(a).dtype for a in computed.values()} == {np.dtype("f4")}


def function(program: Program, *results: str) -> str:
    schedule = fresh(lower(program, results))
    return "\n".join(lines(schedule.statements, prefixed(schedule, ""), {}))


def test_one_step_of_a_network() -> None:
    text = function(forward(SCANS["rnn"]), "L")
    assert text.endswith(
        """\
for t in range(T):
    h_before_t = h_before[t]
    t_3 = t_2[t]
    h_t = h[t]
    np.matmul(h_before_t, U, out=h_t)
    np.add(t_3, h_t, out=h_t)
    np.tanh(h_t, out=h_t)
t_4 = r.transpose(1, 0, 2).copy()
L = np.vdot(h, t_4)"""
    ), text


def test_what_the_last_step_alone_needs_is_kept_for_two_steps() -> None:
    text = function(forward(SCANS["last step"]), "L")
    assert "h_pair = np.empty((2, N, J), dtype)" in text
    assert "h_t = h_pair[(t + 1) % 2]" in text


def test_weights_meet_all_steps_in_one_product() -> None:
    found = gradients("rnn")
    text = function(stabilize(found.program, "training"), found.cotangents["U"])
    after = text[text.rindex("    ") :]
    assert after.count("np.matmul(h_before.reshape(N*T, J).T, ") == 1, text
    assert "einsum" not in text


def test_no_step_is_an_error() -> None:
    compiled = differentiate(SCANS["rnn"], ["U"]).compile()
    arrays = sample(gradients("rnn").program, 0)
    with pytest.raises(ValueError, match=r"x: axis 1 \(index t\) has size 0"):
        compiled.value(**arrays)


def test_any_strides_will_do() -> None:
    found = differentiate(SCANS["rnn"], ["x", "U"]).compile()
    arrays = sample(gradients("rnn").program)
    loss, exact = found.value_and_grad(**arrays)
    odd = {name: np.asfortranarray(a)[..., ::-1][..., ::-1] for name, a in arrays.items()}
    again, computed = found.value_and_grad(**odd)
    assert abs(loss - again) < 1e-12
    for name, a in exact.items():
        np.testing.assert_allclose(computed[name], a, 1e-12, 1e-14)


def test_lstm_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    arrays = sample(gradients("lstm").program)
    compiled = differentiate(SCANS["lstm"], WRT["lstm"].split(), {"G": 4}).compile()
    loss, found = compiled.value_and_grad(**arrays)
    given = {k: torch.tensor(a, requires_grad=k in found) for k, a in arrays.items()}
    flat = {k: given[k].flatten(-2) for k in "WUb"}
    layer = torch.nn.LSTM(2, 3, batch_first=True, dtype=torch.float64)
    parameters = {
        "weight_ih_l0": flat["W"].T,
        "weight_hh_l0": flat["U"].T,
        "bias_ih_l0": flat["b"],
        "bias_hh_l0": torch.zeros_like(flat["b"]),
    }
    h, _ = torch.func.functional_call(layer, parameters, given["x"])
    total = (h * given["r"]).sum()
    total.backward()
    assert abs(loss - total.item()) < 1e-12
    for name, a in found.items():
        np.testing.assert_allclose(a, given[name].grad.numpy(), 1e-10, 1e-12, err_msg=name)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_a_workspace_makes_no_array_of_the_datas_size(name: str) -> None:
    found = gradients(name)
    program = stabilize(found.program, "training")
    results = (found.forward.result, *found.cotangents.values())
    schedule = workspace(lower(program, results))
    names = prefixed(schedule, "ws.")
    random = np.random.default_rng(1)
    lengths = {"n": 64, "t": 16, "i": 48, "j": 64, "k": 64}
    known: dict[str, object] = {"np": np, "math": math, "dtype": np.dtype("f4")}
    known["_empty"] = np.empty
    known["ws"] = Workspace()
    for tensor in program.inputs:
        shape = [lengths.get(str(i.size).lower(), 4) for i in tensor.axes]
        known |= {str(i.size): length for i, length in zip(tensor.axes, shape, strict=True)}
        known["given"] = random.uniform(-1, 1, shape).astype("f4")
        exec(f"{names[schedule.names[tensor.name]]} = given", known)
    known |= {str(size): int(value) for size, value in program.sizes}
    exec("\n".join(allocation(schedule, names, {})), known)
    step = compile("\n".join(lines(schedule.statements, names, {})), "step", "exec")
    exec(step, known)
    tracemalloc.start()
    exec(step, known)
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    exec(step, known)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < 150_000  # buffers of NumPy's iterators; the data are 64*16*64*4 bytes


@pytest.mark.parametrize(
    "text",
    [
        "h[t] = tanh(h[t-1]*x[t])\nL = sum[t](h[t-1]*h[t]*x[t]) + sum[t](h[t])",
        "h[t] = where(t > 0, h[t-1]*x[t-1], h[t-1]*3)*g[t]\nL = sum[t](h[t])",
        "h[t] = where(t < T-1, h[t-1]*x[t+1], h[t-1]*3)*g[t]\nL = sum[t](h[t])",
    ],
)
def test_ends_that_a_condition_leaves_out(text: str) -> None:
    names = ("h0", "x", "g") if "g[t]" in text else ("h0", "x")
    arrays = {name: np.linspace(0.3, 0.9, 4) for name in names} | {"h0": np.array(0.5)}
    report = differentiate("h[-1] = h0\n" + text, names).check(**arrays)
    assert report.ok, report


def test_a_block_stays_on_its_axis() -> None:
    text = "L = sum[t](where(0 < t and t-1 < I, x[t-1]*a[t], a[t]*3)) + 0*sum[i](x[i])"
    for shorter, longer in ((2, 5), (4, 1), (3, 3)):
        arrays = {"x": np.linspace(0.3, 0.9, shorter), "a": np.linspace(0.2, 0.8, longer)}
        assert differentiate(text, ("x", "a")).check(**arrays).ok


def test_places_of_maxima_in_a_scan_are_kept_as_integers() -> None:
    text = "m[-1,j] = m0[j]\nk[t] = argmax[j](m[t-1,j])\nm[t,j] = m[t-1,j]*b[t,j] + A[k[t],j]"
    found = differentiate(f"{text}\nL = sum[t,j](m[t,j]**2)", ("m0", "b", "A"))
    arrays = {"m0": np.array([0.3, 0.5]), "b": np.array([[0.4, 0.7], [0.9, 0.2], [0.3, 0.6]])}
    assert found.check(**arrays, A=np.array([[0.1, 0.8], [0.6, 0.2]])).ok
