"""Stacked products of scans: the same values, in every layout, by fewer products."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from derive.code.layout import AS_WRITTEN, BATCH_LAST, FEATURES_FIRST
from derive.code.stacking import stacked
from derive.gradients.derivation import Gradients
from derive.language.interpreter import evaluate
from derive.language.notation import Index, Program
from derive.numerics.stability import stabilize
from derive.pipeline import differentiate
from tests.lowered_programs import run_fresh, run_workspace

SIZES = {"I": 2, "J": 3, "K": 3, "G": 4, "M": 12}

SCANS = {
    "rnn": """
        h[n,-1,j] = h0[n,j]
        h[n,t,j] = tanh(sum[i](x[n,t,i]*W[i,j]) + sum[k](h[n,t-1,k]*U[k,j]) + b[j])
        L = sum[n,t,j](h[n,t,j]*r[n,t,j])""",
    "reversed": """
        h[n,T,j] = 0
        h[n,t,j] = tanh(sum[i](x[n,t,i]*W[j,i]) + sum[k](h[n,t+1,k]*U[k,j]))
        L = sum[n,j](h[n,0,j]*s[n,j])""",
    "steps first": """
        h[-1,n,j] = h0[n,j]
        h[t,n,j] = tanh(sum[i](x[t,n,i]*W[i,j]) + sum[k](h[t-1,n,k]*U[k,j]) + b[j] + c[n,j])
        L = sum[t,n,j](h[t,n,j]**2)""",
    "two axes of weights": """
        z[n,t,g,j] = sum[i](x[n,t,i]*W[i,g,j]) + sum[k](h[n,t-1,k]*U[k,g,j]) + b[g,j]
        c[n,-1,j] = 0
        c[n,t,j] = sigmoid(z[n,t,1,j])*c[n,t-1,j] + sigmoid(z[n,t,0,j])*tanh(z[n,t,2,j])
        h[n,-1,j] = 0
        h[n,t,j] = sigmoid(z[n,t,3,j])*tanh(c[n,t,j])
        L = sum[n,t,j](h[n,t,j]*r[n,t,j])""",
    "two scans": """
        h[n,-1,j] = 0
        h[n,t,j] = tanh(sum[i](x[n,t,i]*W[i,j]) + sum[k](h[n,t-1,k]*U[k,j]) + b[j])
        q[n,-1,j] = 0
        q[n,t,j] = tanh(sum[k](h[n,t,k]*V[k,j]) + sum[k](q[n,t-1,k]*Z[k,j]) + d[j])
        L = sum[n,t,j](q[n,t,j]*r[n,t,j])""",
    "one weight for both": """
        h[n,-1,j] = 0
        h[n,t,j] = tanh(sum[k](y[n,t,k]*U[k,j]) + sum[k](h[n,t-1,k]*U[k,j]))
        L = sum[n,t,j](h[n,t,j]*r[n,t,j])""",
}
WRT = {
    "rnn": "x W U b h0",
    "reversed": "x W U",
    "steps first": "x W U b c h0",
    "two axes of weights": "x W U b",
    "two scans": "x W U b V Z d",
    "one weight for both": "y U",
}


def gradients(name: str) -> Gradients:
    used = {s: n for s, n in SIZES.items() if f"{s.lower()}]" in SCANS[name]}
    used |= {s: n for s, n in SIZES.items() if f"{s.lower()}," in SCANS[name]}
    return differentiate(SCANS[name], WRT[name].split(), used).gradients


def sample(program: Program, steps: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(2)
    lengths = {"N": 5, "T": steps} | {str(s): int(e) for s, e in program.sizes}
    return {
        t.name: random.uniform(-1, 1, [lengths.get(str(i.size)) or int(i.size) for i in t.axes])
        for t in program.inputs
    }


def numeric(program: Program) -> Program:
    """The program with numbers for the sizes that it knows."""
    sizes = dict(program.sizes)

    def resized(i: Index) -> Index:
        return i.resized(sizes.get(i.size, i.size))

    equations = []
    for e in program.equations:
        found = {i: resized(i) for i in {*e.indices, *e.body.atoms(Index)}}
        recurrence = e.recurrence
        if recurrence is not None:
            recurrence = replace(
                recurrence,
                index=resized(recurrence.index),
                initial=recurrence.initial.xreplace({i: resized(i) for i in e.indices}),
            )
        own, body = tuple(map(resized, e.indices)), e.body.xreplace(found)
        equations.append(replace(e, indices=own, body=body, recurrence=recurrence))
    inputs = tuple(replace(t, axes=tuple(map(resized, t.axes))) for t in program.inputs)
    return replace(program, inputs=inputs, equations=tuple(equations), sizes=())


def rows(program: Program) -> list[str]:
    return [e.target for e in stacked(program).equations if e.target.endswith("_rows")]


@pytest.mark.parametrize("name", SCANS)
def test_stacking_changes_no_value(name: str) -> None:
    program = numeric(gradients(name).program)
    assert rows(program)
    joint = [e for e in stacked(program).equations if e.target.endswith("_rows_bar")]
    assert len(joint) == len([r for r in rows(program) if "_bar" not in r])
    for steps in (4, 1):
        arrays = sample(program, steps)
        before, after = evaluate(program, arrays), evaluate(stacked(program), arrays)
        for t in set(before) & set(after):
            np.testing.assert_allclose(after[t], before[t], 1e-12, 1e-14, err_msg=t)


@pytest.mark.parametrize(
    "layout", [AS_WRITTEN, BATCH_LAST, FEATURES_FIRST], ids=["written", "batch", "features"]
)
@pytest.mark.parametrize("name", SCANS)
def test_loops_with_stacked_products(name: str, layout: tuple[str, ...]) -> None:
    found = gradients(name)
    results = (found.forward.result, *found.cotangents.values())
    for steps in (4, 1):
        arrays = sample(found.program, steps)
        exact = evaluate(found.program, arrays)
        stable = stabilize(found.program, "training")
        for form in (run_fresh, run_workspace):
            computed = form(stable, results, arrays, layout=layout)
            for t in results:
                np.testing.assert_allclose(
                    computed[t], exact[t], 1e-10, 1e-12, err_msg=f"{t} {form.__name__}"
                )


@pytest.mark.parametrize(
    "scan",
    [
        "tanh(sum[k](h[n,t-1,k]*U[k,j]) + b[j])*x[n,t,j]",  # nothing but the state
        "tanh(x[n,t,j] + sum[k](h[n,t-1,k]*U[k,j]))",  # no second product
        "tanh(sum[i](x[n,t,i]*W[n,i,j]) + sum[k](h[n,t-1,k]*U[k,j]))",  # weights of a sample
        "tanh(sum[i](x[n,t,i]*W[i,t,j]) + sum[k](h[n,t-1,k]*U[k,j]))",  # weights of a step
        "v[n,t,j] + tanh(sum[i](x[n,i]*W[i,j]) + sum[k](h[n,t-1,k]*U[k,j]))",  # the same at all
        "tanh(sum[i](x[n,t,i]*W[i,j]*v[i]) + sum[k](h[n,t-1,k]*U[k,j]))",  # three factors
    ],
)
def test_what_is_no_stack_stays(scan: str) -> None:
    text = f"h[n,-1,j] = 0\nh[n,t,j] = {scan}\nL = sum[n,t,j](h[n,t,j]**2)"
    sizes = {"J": 3, "I": 2} if "sum[i]" in scan else {"J": 3}
    program = differentiate(text, ["U"], sizes).gradients.program
    assert rows(program) == []


def test_a_large_input_is_multiplied_for_all_steps_at_once() -> None:
    text = SCANS["rnn"]
    small = differentiate(text, ["W"], {"I": 3, "J": 3, "K": 3}).gradients.program
    large = differentiate(text, ["W"], {"I": 4, "J": 3, "K": 3}).gradients.program
    assert rows(small)
    assert rows(large) == []
