"""Lines of NumPy: what a statement looks like, cites, and where it is broken."""

from __future__ import annotations

import pytest

from derive.code.lowering import lower
from derive.code.numpy_printer import lines, prefixed, wrapped
from derive.code.scheduling import fresh
from derive.gradients.normal_form import flatten
from derive.language.formula import parse


def code(text: str) -> str:
    schedule = fresh(lower(flatten(parse(text))))
    return "\n".join(lines(schedule.statements, prefixed(schedule, ""), {}))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("y[n,j] = sum[i](x[n,i]*W[i,j])", "y = np.matmul(x, W)"),
        ("W_bar[i,j] = sum[n](x[n,i]*g[n,j])", "W_bar = np.matmul(x.T, g)"),
        ("x_bar[n,i] = sum[j](g[n,j]*W[i,j])", "x_bar = np.matmul(g, W.T)"),
        ("y[i] = sum[j](A[i,j]*v[j])", "y = np.matmul(A, v)"),
        ("b_bar[j] = sum[n](g[n,j])", "b_bar = np.add.reduce(g, axis=0)"),
        ("L = sum[i](a[i]*b[i])", "L = np.vdot(a, b)"),
        ("y[n] = sum[i](a[n,i]*b[n,i])", "y = np.vecdot(a, b)"),
        ("y[i] = sum[n](a[n,i]*b[n,i])", 'y = np.einsum("ni,ni->i", a, b)'),
        ("y[i] = x[i]**2", "y = np.square(x)"),
        ("y[i] = 1/x[i]", "y = np.divide(1, x)"),
        ("y[i] = x[i]**-2", "y = np.square(x)\nnp.divide(1, y, out=y)"),
        ("y[i] = x[i]/2", "y = np.multiply(x, 0.5)"),
        ("y[i] = sqrt(x[i])", "y = np.sqrt(x)"),
        ("y[i] = maximum(x[i], 0)", "y = np.maximum(x, 0)"),
        ("y[i] = where(x[i] > 0, x[i], 0)", "y = np.maximum(x, 0)"),
        ("y[i] = where(x[i] > 0, z[i], 0)", "t_1 = np.less(0, x)\ny = np.multiply(z, t_1)"),
        ("y[n] = max[i](x[n,i])", "y = np.maximum.reduce(x, axis=1)"),
        ("y[n] = argmax[i](x[n,i])", "y = np.argmax(x, axis=1)"),
        ("y[j,i] = x[i,j]", "y = x.T.copy()"),
        ("y[p] = x[2*p+1]*c[p]", "y = np.multiply(c, x[1:2*P:2])"),
        ("y[i] = 1/sqrt(I) + x[i]", "y = np.add(x, 1 / math.sqrt(I))"),
    ],
)
def test_form(text: str, wanted: str) -> None:
    printed = code(text)
    assert wanted in printed, printed


def test_cites_the_equation() -> None:
    schedule = fresh(lower(flatten(parse("z[i] = x[i] + 1\ny[i] = exp(z[i])"))))
    printed = lines(schedule.statements, prefixed(schedule, ""), {"z": 1, "y": 2})
    assert printed == ("z = np.add(x, 1)  # (1)", "y = np.exp(z)  # (2)")


def test_prefix_is_for_arrays_and_not_for_scalars() -> None:
    schedule = fresh(lower(flatten(parse("s = sum[i](x[i])\ny[i] = x[i]/s"))))
    printed = lines(schedule.statements, prefixed(schedule, "ws."), {})
    assert printed == ("s = np.add.reduce(ws.x, axis=None)", "ws.y = np.divide(ws.x, s)")


def test_is_deterministic() -> None:
    text = "y[n] = sum[i,j,k](a[i]*b[j]*C[i,j,k]*d[k]*x[n,i]*x[n,j]) + sum[i,j](C[i,j,0]*a[j])"
    assert len({code(text) for _ in range(3)}) == 1


@pytest.mark.parametrize(
    "line",
    [
        "y = np.matmul(" + ", ".join(f"argument_{k}" for k in range(12)) + ")",
        "    z = np.function(x.reshape(N*T, I)[:, None], W)" + ".transpose(0, 1)" * 5,
        'y = np.einsum("' + "a" * 60 + '", first_array_of_two, second_array_of_two)',
    ],
)
def test_long_lines_are_broken_within_brackets(line: str) -> None:
    broken = wrapped(line, 60)
    assert len(broken) > 1
    inside = "".join(part.strip() for part in broken)
    assert inside.replace(",)", ")").replace(" ", "") == line.strip().replace(" ", "")


def test_an_expression_in_brackets_does_not_become_a_tuple() -> None:
    line = f"s = ({' + '.join(f'value_{k}' for k in range(12))}) / count"
    values = {f"value_{k}": k for k in range(12)} | {"count": 2}
    exec("\n".join(wrapped(line, 60)), values)
    assert values["s"] == 33


def test_the_head_of_a_long_loop_is_broken_within_its_tuple():
    numbers = ", ".join(f"-1.{k}e-0{k}" for k in range(9))
    first, *inner, last = wrapped(f"for coefficient in ({numbers}):", 40)
    assert (first, last) == ("for coefficient in (", "):")
    assert " ".join(line.strip() for line in inner) == numbers
    assert max(map(len, inner)) <= 40 and all(line.startswith("    -") for line in inner)
