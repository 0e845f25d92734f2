"""Cotangents of accesses of every kind, lowered and run, against the interpreter."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sympy
from numpy.testing import assert_allclose

from derive.code.lowering import lower
from derive.code.numpy_printer import lines, prefixed
from derive.code.scheduling import fresh
from derive.gradients.derivation import reverse
from derive.gradients.normal_form import flatten
from derive.language.formula import parse
from derive.language.interpreter import evaluate
from tests.lowered_programs import run_fresh, run_workspace
from tests.test_lowering import sample

# text, operands, what must stand in the code, what must not
CASES = {
    "convolution": (
        "y[n,p,j] = sum[k,i](x[n,2*p+k,i]*W[k,i,j])",
        "xW",
        ("for _m in range(K):", "np.matmul"),
        ("np.add.at", "np.einsum"),
    ),
    "convolution, stride 1": ("y[n,p] = sum[k](x[n,p+k]*W[k])", "xW", (), ("np.add.at",)),
    "convolution of images": (
        "y[n,p,q,j] = sum[h,k,i](x[n,p+h,2*q+k,i]*W[h,k,i,j])",
        "xW",
        ("np.matmul",),
        ("np.add.at",),
    ),
    "padded convolution": (
        "y[n,m,j] = sum[k,i](u[n,m+k-1,i]*W[k,i,j]) + b[j] + 0*c[m]",
        "uWb",
        ("sliding_window_view", "np.matmul"),
        ("np.add.at", "np.where"),
    ),
    "padded, stride 2": (
        "y[n,m,j] = sum[k,i](u[n,2*m+k-2,i]*W[k,i,j])*c[m]",
        "uW",
        ("np.matmul",),
        ("np.add.at",),
    ),
    "maximum of windows": (
        "y[n,p,i] = max[k](x[n,2*p+k,i] + 0*c[k])",
        "x",
        ("for _j in range(",),
        ("np.add.at",),
    ),
    "maximum of squares": (
        "y[n,p,q] = max[h,k](x[n,2*p+h,2*q+k] + 0*c[h,k])",
        "x",
        ("for _i in range(H):",),
        ("np.add.at",),
    ),
    "padded maximum": ("y[n,m] = max[k](u[n,m+k-1] + 0*c[k]) + 0*u[n,m]", "u", (), ()),
    "maximum": ("y[n] = max[i](x[n,i])", "x", (), ()),
    "minimum of all": ("y = min[n,i](x[n,i])", "x", (), ()),
    "embedding": ("y[n,t,d] = E[c[n,t],d]", "E", ("np.add.at",), ("np.matmul",)),
    "embedding, summed": ("y[n,d] = sum[t](E[c[n,t],d]*w[t])", "Ew", ("np.add.at",), ()),
    "pick": ("y[n] = z[n,c[n]]", "z", ("np.add.at",), ("np.equal",)),
    "pick in time": ("y[n,t] = z[n,t,c[n,t]]*w[n]", "zw", ("np.add.at",), ()),
    "pairs": ("y[p] = x[2*p]*c[p]", "x", (), ()),
    "circular": ("y[i] = sum[j](x[(i-j) % I]*w[j])", "xw", (), ()),
    "doubled": ("y[i] = x[i//2]*c[i]", "x", (), ()),
    "reversed": ("y[i] = x[I-1-i]**2", "x", ("[::-1]",), ("np.take",)),
    "blocks": ("y[g,i] = c[g]*sum[j](W[i,g*J+j]*x[j])", "Wx", (), ()),
    "gates": (
        "y[i,j] = W[i,0*J+j] + W[i,2*J+j]*x[j] + 0*sum[v](W[i,v])",
        "Wx",
        ("+=",),
        ("np.take",),
    ),
    "difference": ("y[t] = x[t+1] - x[t+0*T]*c[t]", "x", ("+=",), ("np.take",)),
    "diagonal": ("y[i] = A[i,i]*b[i]", "A", (), ()),
    "trace of a product": ("y = sum[i,j](A[i,j]*B[j,i])", "AB", (), ()),
    "transposed convolution": (
        "y[m,j] = sum[p,k](where(m == 2*p + k, x[p]*W[k,j], 0)) + 0*z[m]*sum[p,k](x[p]*v[k])",
        "xW",
        (),
        (),
    ),
}


def cotangents(name: str) -> tuple[object, tuple[str, ...], dict[str, object]]:
    text, operands, _, _ = CASES[name]
    left = text.partition(" = ")[0]
    indices = left.partition("[")[2].rstrip("]")
    loss = f"L = sum[{indices}]({left}**3)" if indices else "L = y**3"
    forward = flatten(parse(f"{text}\n{loss}"))
    program = reverse(forward, tuple(operands), {"L": sympy.S.One}).program
    results = tuple(e.target for e in program.equations)
    return program, results, sample(program, 9 if name in ("pairs", "blocks", "gates") else 4)


@pytest.mark.parametrize("form", [run_fresh, run_workspace])
@pytest.mark.parametrize("name", CASES)
def test_means_the_same_to_numpy(name: str, form: Callable) -> None:
    program, results, arrays = cotangents(name)
    exact = evaluate(program, arrays)
    computed = form(program, results, arrays)
    for target in results:
        assert_allclose(computed[target], exact[target], 1e-10, 1e-12, err_msg=target)


@pytest.mark.parametrize("name", CASES)
def test_takes_the_form_meant(name: str) -> None:
    program, _, _ = cotangents(name)
    schedule = fresh(lower(program))
    code = "\n".join(lines(schedule.statements, prefixed(schedule, ""), {}))
    _, _, wanted, unwanted = CASES[name]
    for piece in wanted:
        assert piece in code, code
    for piece in unwanted:
        assert piece not in code, code
