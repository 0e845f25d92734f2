"""Recurrences against loops over time: what they compute, read back as, and refuse."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sympy
from numpy.testing import assert_allclose, assert_array_equal

from derive.language.checker import check
from derive.language.formula import FormulaError, parse
from derive.language.functions import FUNCTIONS, named
from derive.language.interpreter import evaluate, evaluate_mp
from derive.language.notation import Access, DeriveError, Index, Program, Recurrence
from derive.language.reach import check_accesses
from derive.language.scans import groups, recurrence

RNG = np.random.default_rng(0)
t, j = Index("t"), Index("j")
z_ = sympy.Symbol("z", real=True)
KNOWN = FUNCTIONS | {"sigmoid": named("sigmoid", (z_,), 1 / (1 + sympy.exp(-z_)))}


def read(text: str, **options: Any) -> Program:
    """The program, well formed and the same when its own text is read.

    A text does not say which is the result, if another equation of its scan is computed later.
    """
    program = parse(text, functions=KNOWN, **options)
    check(program)
    again = parse(str(program), functions=KNOWN, **options)
    assert again == replace(program, results=()), str(program)
    return program


def run(text: str, **arrays: Any) -> dict[str, np.ndarray]:
    return evaluate(read(text), arrays)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


RNN = "h[t,j] = tanh(sum[k](h[t-1,k]*U[k,j]) + u[t,j])\nh[-1,j] = h0[j]"


# What they compute.


def test_a_recurrence_is_one_equation_that_knows_its_start() -> None:
    program = read(RNN)
    (equation,) = program.equations
    assert equation.recurrence == Recurrence(t, -1, Access("h0", j))
    assert [str(line) for line in equation.lines] == RNN.split("\n")[::-1]
    assert groups(program.equations) == ((equation,),)
    assert recurrence((equation,)) == equation.recurrence
    assert program.sizes == ()


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_rnn(steps: int) -> None:
    u, U, h0 = normal(steps, 3), normal(3, 3), normal(3)
    expected, h = [], h0
    for at in range(steps):
        h = np.tanh(h @ U + u[at])
        expected.append(h)
    last = "\nlast[j] = h[T-1,j]\nbefore[t,j] = h[t-1,j]\nstart[j] = h[-1,j]"
    values = run(RNN + last, u=u, U=U, h0=h0)
    assert_allclose(values["h"], expected, rtol=1e-12)
    assert_array_equal(values["last"], values["h"][-1])
    assert_array_equal(values["before"], [h0, *values["h"][:-1]])
    assert_array_equal(values["start"], h0)


@pytest.mark.parametrize(
    ("left", "axis"), [("{},i,j", 0), ("i,{},j", 1), ("i,j,{}", 2), ("...,{},j", 1)]
)
@pytest.mark.parametrize("index", ["t", "n", "step"])
def test_any_axis_and_any_name(left: str, axis: int, index: str) -> None:
    def at(place: str) -> str:
        return f"h[{left.format(place)}]"

    shape = [2, 3]
    shape.insert(axis, 4)
    a, x = normal(2, 3), normal(*shape)
    others = left.replace("{},", "").replace(",{}", "")
    text = f"{at('-1')} = a[{others}]\n{at(index)} = {at(index + '-1')}*a[{others}] + "
    h, expected = a, []
    for part in np.moveaxis(x, axis, 0):
        h = h * a + part
        expected.append(h)
    values = run(text + at(index).replace("h", "x", 1), a=a, x=x)
    assert_allclose(np.moveaxis(values["h"], axis, 0), expected, rtol=1e-12)
    back = text.replace("-1]", f"{index.upper()}]").replace("-1,", f"{index.upper()},")
    back = back.replace(f"{index}{index.upper()}", f"{index}+1")
    h, expected = a, []
    for part in np.moveaxis(x, axis, 0)[::-1]:
        h = h * a + part
        expected.insert(0, h)
    values = run(back + at(index).replace("h", "x", 1), a=a, x=x)
    assert_allclose(np.moveaxis(values["h"], axis, 0), expected, rtol=1e-12)


def test_scalars_at_each_step() -> None:
    x, weights = normal(6), RNG.random(6)
    values = run("s[-1] = 0\ns[t] = s[t-1] + x[t]", x=x)
    assert_allclose(values["s"], np.cumsum(x), rtol=1e-12)
    values = run("p[t] = p[t-1]*w[t]\np[-1] = 1\nL = sum[t](p[t])", w=weights)
    assert_allclose(values["L"], np.cumprod(weights).sum(), rtol=1e-12)
    values = run("m[t] = beta*m[t-1] + (1 - beta)*x[t]\nm[-1] = x[0]", x=x, beta=0.9)
    m, expected = x[0], []
    for each in x:
        m = 0.9 * m + (1 - 0.9) * each
        expected.append(m)
    assert_allclose(values["m"], expected, rtol=1e-12)
    values = run("m[t] = maximum(m[t-1], x[t])\nm[-1] = x[0]", x=x)
    assert_array_equal(values["m"], np.maximum.accumulate(x))


LSTM = """
i[n,t,j] = sigmoid(sum[d](x[n,t,d]*W[d,0*J+j]) + sum[k](h[n,t-1,k]*U[k,0*J+j]))
f[n,t,j] = sigmoid(sum[d](x[n,t,d]*W[d,J+j]) + sum[k](h[n,t-1,k]*U[k,J+j]))
g[n,t,j] = tanh(sum[d](x[n,t,d]*W[d,2*J+j]) + sum[k](h[n,t-1,k]*U[k,2*J+j]))
o[n,t,j] = sigmoid(sum[d](x[n,t,d]*W[d,3*J+j]) + sum[k](h[n,t-1,k]*U[k,3*J+j]))
c[n,t,j] = f[n,t,j]*c[n,t-1,j] + i[n,t,j]*g[n,t,j]
h[n,t,j] = o[n,t,j]*tanh(c[n,t,j])
c[n,-1,j] = c0[n,j]
h[n,-1,j] = 0
y[n,j] = h[n,T-1,j]
"""


def lstm(x: np.ndarray, W: np.ndarray, U: np.ndarray, c: np.ndarray) -> np.ndarray:
    h = np.zeros_like(c)
    for at in range(x.shape[1]):
        i, f, g, o = np.split(x[:, at] @ W + h @ U, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h


def test_lstm_in_any_order_of_its_lines() -> None:
    arrays = {"x": normal(2, 5, 3), "W": normal(3, 16), "U": normal(4, 16), "c0": normal(2, 4)}
    expected = lstm(*arrays.values())
    lines = LSTM.strip().split("\n")
    for _ in range(5):
        text = "\n".join([*(str(line) for line in RNG.permutation(lines[:-1])), lines[-1]])
        program = read(text)
        assert [len(group) for group in groups(program.equations)] == [6, 1]
        assert_allclose(evaluate(program, arrays)["y"], expected, rtol=1e-12)


def test_the_last_equation_is_the_result_wherever_the_initial_lines_stand() -> None:
    assert parse("h[t] = h[t-1]*x[t]\nL = h[T-1]\nh[-1] = 1").result == "L"
    program = parse("h[t] = c[t]*x[t]\ny[t] = h[t]\nc[t] = h[t-1]\nh[-1] = 1")
    assert [e.target for e in program.equations] == ["c", "h", "y"]
    assert program.result == "c"


def test_gru() -> None:
    x, W, U, b, c = normal(2, 4, 3), normal(3, 6), normal(2, 6), normal(6), normal(6)
    values = run(
        """
        r[m,t,j] = sigmoid(s[m,t,0*J+j] + v[m,t,0*J+j])
        z[m,t,j] = sigmoid(s[m,t,J+j] + v[m,t,J+j])
        n[m,t,j] = tanh(s[m,t,2*J+j] + r[m,t,j]*v[m,t,2*J+j])
        v[m,t,i] = sum[k](h[m,t-1,k]*U[k,i]) + c[i]
        h[m,t,j] = (1 - z[m,t,j])*n[m,t,j] + z[m,t,j]*h[m,t-1,j]
        h[m,-1,j] = 0
        """,
        s=x @ W + b,
        U=U,
        c=c,
    )
    h = np.zeros((2, 2))
    for at in range(4):
        s, v = np.split(x[:, at] @ W + b, 3, axis=1), np.split(h @ U + c, 3, axis=1)
        r, z = sigmoid(s[0] + v[0]), sigmoid(s[1] + v[1])
        h = (1 - z) * np.tanh(s[2] + r * v[2]) + z * h
        assert_allclose(values["h"][:, at], h, rtol=1e-12)


def test_a_selective_state_space_layer() -> None:
    arrays = {
        "x": normal(5, 3),
        "delta": RNG.random((5, 3)),
        "A": -RNG.random((3, 4)),
        "B": normal(5, 4),
        "C": normal(5, 4),
    }
    x, delta, A, B, C = arrays.values()
    values = run(
        """
        h[-1,d,s] = 0
        h[t,d,s] = exp(delta[t,d]*A[d,s])*h[t-1,d,s] + delta[t,d]*B[t,s]*x[t,d]
        y[t,d] = sum[s](C[t,s]*h[t,d,s])
        """,
        **arrays,
    )
    h = np.zeros((3, 4))
    for at in range(5):
        h = np.exp(delta[at, :, None] * A) * h + (delta[at] * x[at])[:, None] * B[at]
        assert_allclose(values["y"][at], h @ C[at], rtol=1e-12)


def test_independent_scans_and_one_after_the_other() -> None:
    x = normal(5)
    values = run(
        """
        f[t] = f[t-1] + x[t]
        f[-1] = 0
        b[T] = f[T-1]
        b[t] = b[t+1] + f[t]
        e[-1] = b[0]
        e[t] = e[t-1]*x[t]
        """,
        x=x,
    )
    f = np.cumsum(x)
    b = f[-1] + np.cumsum(f[::-1])[::-1]
    assert_allclose(values["b"], b, rtol=1e-12)
    assert_allclose(values["e"], b[0] * np.cumprod(x), rtol=1e-12)


def test_what_a_step_reads_may_be_a_lookup_a_shift_or_a_reduction() -> None:
    token, E, h0 = RNG.integers(0, 5, (2, 4)), normal(5, 3), normal(6, 3)
    values = run(
        """
        h[n,-1,d] = sum[i](h0[i,d])/I
        h[n,t,d] = h[n,t-1,(d+1) % D]/2 + E[token[n,t],d]
        """,
        token=token,
        E=E,
        h0=h0,
    )
    h = np.broadcast_to(h0.mean(0), (2, 3))
    for at in range(4):
        h = np.roll(h, -1, axis=1) / 2 + E[token[:, at]]
        assert_allclose(values["h"][:, at], h, rtol=1e-12)


def test_integers_stay_integers_and_may_be_positions() -> None:
    move, E = RNG.integers(-2, 3, 6), normal(7, 2)
    text = "c[t] = (c[t-1] + move[t]) % I\nc[-1] = 0\ny[t,d] = E[c[t],d]\nz = sum[i](E[i,0])"
    values = run(text, move=move, E=E)
    assert values["c"].dtype == np.int64
    assert_array_equal(values["c"], np.cumsum(move) % 7)
    assert_array_equal(values["y"], E[values["c"]])


def test_a_reading_that_constants_remove_leaves_no_recurrence() -> None:
    program = parse("m[t] = beta*m[t-1] + x[t]\nm[-1] = 0", constants={"beta": 0.0})
    assert str(program) == "m[t] = x[t]"
    assert program.equations[0].recurrence is None


def test_two_steps_back_by_a_tensor_that_carries_one() -> None:
    values = run(
        "f[t] = f[t-1] + g[t-1] + x[t]\ng[t] = f[t-1]\nf[-1] = 1\ng[-1] = 0", x=np.zeros(8)
    )
    assert_array_equal(values["f"], [1, 2, 3, 5, 8, 13, 21, 34])


def test_with_many_digits() -> None:
    program = read("s[t] = s[t-1]/3 + x[t]\ns[-1] = 0")
    values = evaluate_mp(program, {"x": np.ones(40)}, 40)
    exact = sum(1 / (type(values["s"][-1])(3) ** k) for k in range(40))
    assert abs(values["s"][-1] - exact) < 1e-38


@pytest.mark.parametrize("seed", range(12))
def test_random_scans(seed: int) -> None:
    """Linear, of up to four tensors that read each other at the step itself and before."""
    rng = np.random.default_rng(seed)
    count, step, axis = int(rng.integers(1, 5)), rng.choice([-1, 1]), rng.integers(0, 2)
    names, steps = "abcd"[:count], 4
    same = np.tril(rng.random((count, count)) < 0.5, -1)
    back = (rng.random((count, count)) < 0.5) | np.roll(np.eye(count) == 1, 1, axis=1)
    start = rng.normal(size=(count, 3))

    def at(name: str, place: str) -> str:
        return f"{name}[{place},j]" if axis == 0 else f"{name}[j,{place}]"

    lines = []
    for m, name in enumerate(names):
        terms = [at(names[k], "t") for k in np.flatnonzero(same[m])]
        terms += [f"{at(names[k], f't{step:+}')}/2" for k in np.flatnonzero(back[m])]
        lines.append(f"{at(name, 't')} = {' + '.join(terms)} + {at('x', 't')}")
        lines.append(f"{at(name, '-1' if step < 0 else 'T')} = start[{m},j]")
    text = "\n".join(str(line) for line in rng.permutation(lines))
    x = rng.normal(size=(steps, 3))
    now, expected = start, np.empty((count, steps, 3))
    for k in range(steps)[::-step]:
        before, now = now, np.empty((count, 3))
        for m in range(count):
            now[m] = same[m, :m] @ now[:m] + back[m] @ before / 2 + x[k]
        expected[:, k] = now
    values = run(text, x=x if axis == 0 else x.T, start=start)
    for name, each in zip(names, expected, strict=True):
        assert_allclose(values[name], each if axis == 0 else each.T, rtol=1e-10)


def test_a_definition() -> None:
    lines = "s[n,t] = a*s[n,t-1] + x[n,t]\ns[n,-1] = sum[t](x[n,t])/T\ny[n] = s[n,T-1]"
    program = parse(lines, inputs={"x": ("n", "t")}, constants={"a": 0.5})
    x = normal(2, 3)
    s = x.mean(1)
    for each in x.T:
        s = s / 2 + each
    assert_allclose(evaluate(program, {"x": x})["y"], s, rtol=1e-12)
    assert read(str(program)) == program
    with pytest.raises(FormulaError, match="unknown name `h0`"):
        parse("h[t] = h[t-1]*x[t]\nh[-1] = h0", inputs={"x": ("t",)})


# Ranges.


def test_the_length_comes_from_the_inputs_or_is_given() -> None:
    assert read("h[t] = h[t-1] + x[2*t]\nh[-1] = 0").sizes
    program = read("h[t] = 2*h[t-1]\nh[-1] = 1", sizes={"t": 5})
    assert_array_equal(evaluate(program, {})["h"], [2, 4, 8, 16, 32])
    program = read("h[t] = h[t+1]*x\nh[5] = 1", sizes={"t": 5})
    assert str(program) == "h[T] = 1\nh[t] = x*h[t+1]"
    assert_allclose(evaluate(program, {"x": 2.0})["h"], [32, 16, 8, 4, 2])
    with pytest.raises(FormulaError, match="nothing fixes the range of the index `t`"):
        parse("h[t] = 2*h[t-1]\nh[-1] = 1")


def test_a_size_that_its_capitals_cannot_spell() -> None:
    program = read("h[t] = h[t+1]*x[t]\nh[sum[t](1)] = T[0]")
    assert str(program).startswith("h[sum[t](1)] = ")
    values = evaluate(program, {"x": np.array([2.0, 3.0]), "T": np.array([5.0])})
    assert_array_equal(values["h"], [30, 15])


def test_no_step_is_an_error() -> None:
    with pytest.raises(DeriveError, match="the recurrence of s has no step"):
        run("s[t] = s[t-1] + x[t]\ns[-1] = 0", x=np.zeros(0))


def test_a_padded_access_to_a_recurrence_takes_the_initial_value_and_leaves_out_the_rest() -> None:
    x, w = normal(5), normal(3)
    values = run("s[t] = s[t-1] + x[t]\ns[-1] = 7\ny[t] = sum[k](s[t-k]*w[k])", x=x, w=w)
    s = np.concatenate([[7], 7 + np.cumsum(x)])
    expected = [sum(s[at + 1 - k] * w[k] for k in range(3) if at + 1 - k >= 0) for at in range(5)]
    assert_allclose(values["y"], expected, rtol=1e-12)


def test_one_more_place_may_be_read() -> None:
    x = normal(4)
    values = run("s[t] = s[t-1] + x[t]\ns[-1] = 7\ny[p] = s[p-1]\nz[q] = s[2*q-1]", x=x)
    assert_array_equal(values["y"], [7, *values["s"]])
    assert_array_equal(values["z"], [7, *values["s"][1::2]])
    values = run("s[t] = s[t+1] + x[t]\ns[T] = 7\nz[q] = s[2*q]", x=x)
    assert_array_equal(values["z"], [*values["s"][::2], 7])
    for text in ("s[t] = s[t-1] + x[t]\ns[-1] = 7", "s[t] = s[t+1] + x[t]\ns[T] = 7"):
        program = parse(f"{text}\nL = s[3]")
        check_accesses(program, {t.size: 4})
        with pytest.raises(DeriveError, match=r"`s\[3\]` leaves its tensor"):
            check_accesses(program, {t.size: 2})
    for place in ("t-2", "t+1"):
        with pytest.raises(FormulaError, match="leaves `s`"):
            parse(f"s[t] = s[t-1] + x[t]\ns[-1] = 7\ny[t] = s[{place}]")


# What is refused.


@pytest.mark.parametrize(
    ("text", "caret", "message", "hint"),
    [
        ("h[t] = h[t-1] + x[t]", "h[t-1]", "no initial line", "`h[-1] = 0`"),
        ("h[n,t,j] = h[n,t+1,j] + x[n,t,j]", "h[n,t+1,j]", "no initial", "`h[n,T,j] = 0`"),
        ("h[-1] = 0\nh[t] = h[t-2] + x[t]", "h[t-2]", "may read `h` at `t-1`", "g[t] = h[t-1]"),
        ("h[T] = 0\nh[t] = h[t+2] + x[t]", "h[t+2]", "`h[t+2]` is read", "g[t] = h[t+1]"),
        ("h[t] = h[t-2] + x[t]", "h[t-2]", "may read `h` at `t-1`", "g[t] = h[t-1]"),
        ("h[-1] = 0\nh[t] = h[2*t] + x[t]", "h[2*t]", "at another place", "After the recurrence"),
        ("h[-1] = 0\nh[t] = h[t-1] + h[0]*x[t]", "h[0]", "at another place", "After"),
        ("h[-1] = 0\nh[t] = sum[t](h[t]) + x[t]", "h[t]", "at another place", "After"),
        ("h[-1] = 0\nh[t] = h[t-1]*h[t+1] + x[t]", "h[t+1]", "that starts at -1", "at `t-1`"),
        ("h[T] = 0\nh[t] = h[t-1]*h[t+1] + x[t]", "h[t-1]", "that starts at T", "at `t+1`"),
        ("a[t] = b[t]\nb[t] = a[t]", "b[t]", "itself computed from `a`", "reads at t-1"),
        ("a[t] = a[t] + x[t]", "a[t]", "the equation that assigns it", "h[-1] = 0"),
        (
            "a[t] = b[t] + a[t-1]\nb[t] = a[t] + x[t]\na[-1] = 0",
            "b[t]",
            "`a` and `b` are computed from each other at the same `t`",
            "reads at t-1",
        ),
        ("h[-1] = 0\nh[t] = h[t]*h[t-1] + x[t]", "h[t]", "at the same `t`", "reads at t-1"),
        (
            "h[-1] = 0\nh[t] = g[t-1] + x[t]\ng[t] = h[t]",
            "g[t-1]",
            "`g` is read at `t-1`, but has no initial line",
            "`g[-1] = 0`",
        ),
        ("h[0,j] = 0\nh[t,j] = h[t-1,j]*x[t]", "0", "stands at 0", "`h[-1,j] = ...` if"),
        ("h[-2,j] = 0\nh[t,j] = h[t-1,j]*x[t]", "-2", "stands at -2", "`h[T,j] = ...` if"),
        ("h[T-1] = 0\nh[t] = h[t+1]*x[t]", "T-1", "stands at T - 1", "if at `t+1`"),
        ("h[J] = 0\nh[t] = h[t+1]*x[t]*sum[j](y[j])", "J", "stands at J", "`h[T] = ...`"),
        ("h[6] = 0\nh[t] = h[t+1]*x[t]", "6", "stands at 6", "`h[T] = ...`"),
        ("h[-1,J] = 0\nh[t,j] = h[t-1,j]*x[t,j]", "J", "two positions", "over one index"),
        ("h[-1,k] = a[k]\nh[t,j] = h[t-1,j]", "h[-1,k]", "`k` where", "`h[-1,j] = ...`"),
        ("h[-1] = 0\nh[t,j] = h[t-1,j]*x[t]", "h[t,j]", "2 axes here", ""),
        ("h[-1] = x[t]\nh[t] = h[t-1]*x[t]", "t", "neither on the left side", ""),
        ("h[-1] = 0\ny[t] = x[t]", "h[-1]", "no equation", "h[-1] = 0"),
        ("h[-1] = 0\nh[t] = x[t]", "-1", "nothing reads it at `t-1`", "reads at t-1"),
        ("h[-1] = 0\nh[T] = 0\nh[t] = h[t-1]*x[t]", "h[T]", "two initial lines", "line 1"),
        ("h[-1] = h[0]\nh[t] = h[t-1]*x[t]", "h[0]", "the initial line of `h` reads `h`", ""),
        (
            "h[t] = c[t] + x[t]\nc[t] = h[t-1]\nh[-1] = c[0]",
            "c[0]",
            "reads `c`, which is computed from `h`",
            "",
        ),
        ("h[-1] = a\na = 2*x[0]\nh[t] = h[t-1]*x[t]", "a", "above its line", "Line 2"),
        ("h[t] = h[t-1]*u[t]\nh[-1] = 0\nu[t] = x[t]", "u[t]", "above its line", "Line 3"),
        (
            "h[-1] = 0\nc[T] = 0\nh[t] = h[t-1] + c[t]\nc[t] = c[t+1] + h[t]*x[t]",
            "T",
            "`t` that starts at -1, the other over `t` that starts at T",
            "",
        ),
        (
            "h[-1] = 0\nh[t] = h[t-1] + c\nc = sum[t](h[t]*x[t])",
            "c",
            "`c` has no index `t`",
            "",
        ),
        ("h[t+1] = h[t] + x[t]", "t+1", "plain name", "h[-1] = 0"),
        ("T = 3\nh[t] = h[t-1]*x[t]\nh[T] = 0", "T", "stands at T", ""),
    ],
)
def test_refusals(text: str, caret: str, message: str, hint: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text)
    shown, line, carets, *rest = str(caught.value).split("\n")
    assert message in shown
    assert line[carets.index("^") : carets.rindex("^") + 1] == caret
    assert hint in "".join(rest)
