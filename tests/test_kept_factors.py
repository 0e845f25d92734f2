"""What the backward pass keeps of the forward pass: a factor, or what is known already, once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lowered_programs import run_fresh, run_workspace
from networks import derived

from derive.code.early import early
from derive.code.joined_factors import joined
from derive.code.known_blocks import with_known_blocks
from derive.gradients.normal_form import flatten
from derive.language.formula import parse
from derive.language.functions import le, lt, where
from derive.language.interpreter import evaluate
from derive.language.notation import Access, Equation, Index, Program, Tensor, accesses
from derive.language.text_printer import text
from derive.numerics.stability import stabilize

GRU = """
name = "small"
[input]
shape = [4, 2]
[[layers]]
type = "gru"
units = 3
[[layers]]
type = "dense"
units = 2
[loss]
type = "softmax_cross_entropy"
[optimizer]
type = "sgd"
"""


def gru() -> tuple[Program, tuple[str, ...]]:
    """The stable program of its gradients, and what that computes."""
    found = derived(GRU).derivatives.gradients
    results = (found.forward.result, *found.cotangents.values())
    return replace(stabilize(found.program, "training"), results=results), results


def drawn(program: Program) -> dict[str, np.ndarray]:
    random = np.random.default_rng(4)
    shapes = {t.name: [5 if i.name == "n" else int(i.size) for i in t.axes] for t in program.inputs}
    found = {name: random.normal(size=shape) for name, shape in shapes.items()}
    return found | {t.name: np.array([0, 1, 1, 0, 1]) for t in program.inputs if t.kind != "real"}


@pytest.mark.parametrize(
    "change", [joined, with_known_blocks, lambda p: joined(with_known_blocks(p))]
)
def test_a_scan_with_gates_has_the_same_gradients(change) -> None:
    program, results = gru()
    changed, arrays = change(program), drawn(program)
    wanted, found = evaluate(program, arrays), evaluate(changed, arrays)
    for t in results:
        np.testing.assert_allclose(found[t], wanted[t], rtol=1e-12, atol=1e-14)
    for run in (run_fresh, run_workspace):
        for t, a in run(changed, results, arrays).items():
            np.testing.assert_allclose(a, wanted[t], rtol=1e-11, atol=1e-13)


def test_factors_of_a_step_are_one_before_the_scan() -> None:
    program = with_known_blocks(gru()[0])
    found = {e.target: e for e in joined(program).equations}
    gone = {e.target for e in program.equations} - set(found)
    made = [e for t, e in found.items() if t.endswith("_in")]
    assert {e.origin for e in made} == gone == {"g_1_bar", "z_1_bar", "r_1_bar"}
    assert not any("_bar" in a.tensor for e in made for a in accesses(e.body))


def test_what_is_read_twice_or_a_result_stays() -> None:
    program, _ = gru()
    results = tuple(e.target for e in program.equations)
    kept = joined(replace(program, results=results))
    assert {e.target for e in kept.equations} == {*results}


def test_blocks_are_read_from_the_first_tensor_that_has_them() -> None:
    found = {e.target: e.body for e in with_known_blocks(gru()[0]).equations}
    first, other = sorted(("u_1_bar", "v_1_bar"), key=[*found].index)
    assert text(found[other]).count(f"{first}[n,t,m]") == 2
    assert first not in text(found[first])


def blocks_of(target: str, axes: tuple[Index, ...], other: str) -> Equation:
    """target[m,...] = r[m]*g[m] where m < 2, and other[m-2,...] elsewhere."""
    m, *rest = axes
    first = where(lt(m, 2), Access("r", m) * Access("g", m), 0)
    return Equation(target, axes, first + where(le(0, m - 2), Access(other, m - 2, *rest), 0))


@pytest.mark.parametrize(("size", "rank", "read"), [(4, 1, True), (4, 2, False), (5, 1, False)])
def test_blocks_of_a_shape_are_the_same_and_of_another_not(
    size: int, rank: int, read: bool
) -> None:
    """That r*g is in every column of b, or where b is longer, makes it none of a's."""
    m, n, other = Index("m", 4), Index("n", 3), Index("m", size)
    equations = (blocks_of("a", (m,), "q"), blocks_of("b", (other, n)[:rank], "p"))
    inputs = (Tensor("r", (m,)), Tensor("g", (m,)), Tensor("q", (m,)))
    inputs += (Tensor("p", (other, n)[:rank]),)
    changed = with_known_blocks(Program(equations, inputs, results=("a", "b")))
    assert ("a" in {x.tensor for x in accesses(changed.equation("b").body)}) == read


def test_what_stays_within_a_choice() -> None:
    """y_bar[n,t+1] is outside of its tensor where the condition does not hold."""
    formula = """
    u[n,t] = exp(x[n,t])
    y_bar[n,t] = u[n,t]*w[t]
    z[n,t] = where(t < T - 1, y_bar[n,t+1]*exp(x[n,t]), 0)
    """
    program = flatten(parse(formula, sizes={"n": 3, "t": 4}))
    changed, moved = early(program, {"u"})
    assert not moved
    assert changed == program


def test_both_values_of_a_choice_may_have_the_factor() -> None:
    """As in the derivative of an exponential linear unit: where(0 < z, a_bar, exp(z)*a_bar)."""
    formula = """
    z[n,j] = sum[i](x[n,i]*W[i,j])
    a[n,j] = where(0 < z[n,j], z[n,j], exp(z[n,j]) - 1)
    a_bar[n,j] = sum[i](a[n,i]*V[i,j])
    z_bar[n,j] = where(0 < z[n,j], a_bar[n,j], a_bar[n,j]*exp(z[n,j])/2 + a_bar[n,j]*exp(z[n,j]))
    y[n,j] = z_bar[n,j]*a[n,0]
    """
    program = flatten(parse(formula, sizes={"n": 3, "i": 4, "j": 4}))
    changed, moved = early(program, {"z", "a"})
    assert moved == {"z_bar"}
    made = {e.target: text(e.body) for e in changed.equations if not e.reduction}
    assert "a_bar" not in made["z_bar_in"]
    assert set(made["z_bar"].split("*")) == {"a_bar[n,j]", "z_bar_in[n,j]"}
    random = np.random.default_rng(5)
    given = {"x": random.normal(size=(3, 4))} | {
        name: random.normal(size=(4, 4)) for name in ("W", "V")
    }
    wanted = evaluate(program, given)
    for run in (run_fresh, run_workspace):
        np.testing.assert_allclose(run(changed, ("y",), given)["y"], wanted["y"], rtol=1e-12)
