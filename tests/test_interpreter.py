"""The interpreter against the meaning that the language's page gives, line by line."""

import time

import mpmath
import numpy as np
import pytest
import sympy
from numpy.testing import assert_allclose, assert_array_equal
from sympy import Integer, Rational, exp, log, pi, sqrt, tanh
from sympy.codegen.cfunctions import expm1, log1p

from derive.language.functions import (
    and_,
    eq,
    floordiv,
    horner,
    le,
    lt,
    maximum,
    minimum,
    mod,
    named,
    ne,
    nearest,
    not_,
    or_,
    stop_gradient,
    where,
)
from derive.language.interpreter import evaluate, evaluate_mp
from derive.language.notation import (
    Access,
    DeriveError,
    Equation,
    Index,
    Partial,
    Program,
    Reduce,
    Tensor,
    size,
)

i, j, k, n, p = map(Index, "ijknp")
RNG = np.random.default_rng(0)


def tensor(name, *axes, kind="real"):
    return Tensor(name, axes, kind)


def run(body, indices=(), inputs=(), sizes=(), **arrays):
    """The value of `y[indices] = body`."""
    program = Program((Equation("y", indices, body),), tuple(inputs), tuple(sizes))
    return evaluate(program, arrays)["y"]


def scalar(body, **values):
    """A body in scalar inputs, given by name."""
    return run(body, inputs=[tensor(name) for name in values], **values)[()]


x, z = Access("x"), Access("z")


def test_dense_and_an_earlier_target():
    equations = (
        Equation(
            "z",
            (n, j),
            Reduce("sum", Access("x", n, i) * Access("W", i, j), (i,)) + Access("b", j),
        ),
        Equation("L", (), Reduce("mean", Access("z", n, j) ** 2, (n, j))),
    )
    inputs = (tensor("x", n, i), tensor("W", i, j), tensor("b", j))
    arrays = {"x": RNG.normal(size=(4, 3)), "W": RNG.normal(size=(3, 5)), "b": RNG.normal(size=5)}
    values = evaluate(Program(equations, inputs), arrays)
    expected = arrays["x"] @ arrays["W"] + arrays["b"]
    assert_allclose(values["z"], expected, rtol=1e-14)
    assert_allclose(values["L"], (expected**2).mean(), rtol=1e-14)
    assert values["z"].dtype == np.float64 and values["L"].shape == ()


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("sum", 2.0),
        ("mean", 0.5),
        ("prod", 36.0),
        ("max", 3.0),
        ("min", -2.0),
        ("logsumexp", np.log(2 * np.exp(3.0) + 2 * np.exp(-2.0))),
        ("argmax", 0),
        ("argmin", 1),
    ],
)
def test_reductions(op, expected):
    values = np.array([3.0, -2.0, 3.0, -2.0])
    value = run(Reduce(op, Access("x", i), (i,)), inputs=[tensor("x", i)], x=values)
    assert_allclose(value, expected, rtol=1e-15)
    assert value.dtype == (np.int64 if op.startswith("arg") else np.float64)


def test_argmax_of_several_indices_counts_in_row_major_order():
    a = np.array([[0.0, 1.0, 7.0], [2.0, 7.0, 7.0]])
    read = {"inputs": [tensor("x", i, j)], "x": a}
    assert run(Reduce("argmax", Access("x", i, j), (i, j)), **read) == 2
    assert run(Reduce("argmax", Access("x", i, j), (j, i)), **read) == 3  # j=1, i=1 comes first
    assert_array_equal(run(Reduce("argmin", -Access("x", i, j), (j,)), (i,), **read), [2, 1])


def test_logsumexp_does_not_overflow():
    body = Reduce("logsumexp", Access("x", i), (i,))
    for values, expected in [
        ([800.0, 800.0], 800 + np.log(2)),
        ([-np.inf, 1.0], 1.0),
        ([-np.inf, -np.inf], -np.inf),
        ([np.inf, 0.0], np.inf),
    ]:
        assert_allclose(run(body, inputs=[tensor("x", i)], x=values), expected, rtol=1e-15)


def test_nested_reductions_leave_out_the_innermost_term_only():
    # y[i] = sum[j](10 + sum[k](x[i+j+k]))  with x of 3 elements: the tens all stay.
    inner = Reduce("sum", Access("x", i + j + k), (k,))
    body = Reduce("sum", 10 + inner, (j,))
    two = [Index(name, 2) for name in "ijk"]
    body = body.xreplace(dict(zip((i, j, k), two, strict=True)))
    value = run(body, (two[0],), [tensor("x", p)], x=[1.0, 2.0, 4.0])
    assert_array_equal(value, [20 + 1 + 2 + 2 + 4, 20 + 2 + 4 + 4])


def test_mean_divides_by_the_full_range_and_empty_reductions():
    axes = [tensor("x", p)]
    far = Index("i", 4)
    read = Access("x", far + 1)
    assert run(Reduce("mean", read, (far,)), inputs=axes, x=[1.0, 2.0, 4.0]) == 6 / 4
    never = Access("x", far + 9)
    assert run(Reduce("sum", never, (far,)), inputs=axes, x=[1.0]) == 0
    assert run(Reduce("mean", never, (far,)), inputs=axes, x=[1.0]) == 0
    assert run(Reduce("prod", never, (far,)), inputs=axes, x=[1.0]) == 1
    for op in ("max", "min", "logsumexp", "argmax", "argmin"):
        with pytest.raises(DeriveError, match=rf"{op}\[i\] has no term left"):
            run(Reduce(op, never, (far,)), inputs=axes, x=[1.0])


def test_left_out_terms_are_no_zeros():
    read = Access("x", Index("i", 3) - 1)
    values = [-5.0, -3.0]
    body = Reduce("max", read, (Index("i", 3),))
    assert run(body, inputs=[tensor("x", p)], x=values) == -3
    assert run(Reduce("argmax", read, (Index("i", 3),)), inputs=[tensor("x", p)], x=values) == 2


def test_guards_leave_terms_out():
    body = Reduce("prod", Access("x", i), (i,), ne(i, 1))
    assert run(body, inputs=[tensor("x", i)], x=[2.0, 0.0, 5.0]) == 10
    # The guard comes first: under it the access is inside.
    body = Reduce("sum", Access("x", i + 1), (i,), lt(i + 1, i.size))
    assert run(body, inputs=[tensor("x", i)], x=[2.0, 3.0, 5.0]) == 8


def test_where_looks_only_at_the_branch_taken():
    body = where(lt(i + 1, i.size), Access("x", i + 1), Integer(-1))
    assert_array_equal(run(body, (i,), [tensor("x", i)], x=[1.0, 2.0, 3.0]), [2, 3, -1])
    body = Reduce("sum", where(eq(i, 0), 7, Access("x", i + 1)), (i,))
    assert run(body, inputs=[tensor("x", i)], x=[1.0, 2.0, 3.0]) == 7 + 3


def test_and_or_short_circuit():
    inside = lt(i + 1, i.size)
    positive = lt(0, Access("x", i + 1))
    read = {"inputs": [tensor("x", i)], "x": [1.0, 2.0, -3.0]}
    assert_array_equal(run(where(and_(inside, positive), 1, 0), (i,), **read), [1, 0, 0])
    assert_array_equal(run(where(or_(not_(inside), positive), 1, 0), (i,), **read), [1, 0, 1])
    with pytest.raises(DeriveError, match="reads element 3"):
        run(where(and_(positive, inside), 1, 0), (i,), **read)


def test_an_access_outside_is_an_error_without_a_reduction():
    with pytest.raises(DeriveError) as error:
        run(Access("x", i + 1), (i,), [tensor("x", i)], x=[1.0, 2.0, 3.0])
    assert str(error.value).startswith("in y[i] = x[")
    assert "element 3 on axis 0 of x, which has 3" in str(error.value)
    with pytest.raises(DeriveError, match="element -1 on axis 0"):
        run(Access("x", i - 1), (i,), [tensor("x", i)], x=[1.0, 2.0])


def test_lookups():
    ids = tensor("y", n, kind="integer")
    body = Access("E", Access("y", n), k)
    table = RNG.normal(size=(4, 3))
    program = Program((Equation("e", (n, k), body),), (tensor("E", i, k), ids))
    ids_given = np.array([3, 0, 3])
    assert_array_equal(evaluate(program, {"E": table, "y": ids_given})["e"], table[ids_given])
    # Outside the table is an error, in a sum too; so are negative ids.
    total = Program((Equation("L", (), Reduce("sum", body, (n, k))),), program.inputs)
    for bad in (4, -1):
        with pytest.raises(DeriveError, match=rf"element {bad} on axis 0 of E, which has 4"):
            evaluate(total, {"E": table, "y": np.array([bad])})
    # The lookup itself may lie outside: then the term is left out.
    shifted = Reduce("sum", Access("E", Access("y", n + 1), k), (n, k))
    shifted = Program((Equation("L", (), shifted),), program.inputs)
    assert_allclose(evaluate(shifted, {"E": table, "y": ids_given})["L"], table[[0, 3]].sum())


def test_lookup_by_an_argmax_and_integers_as_numbers():
    equations = (
        Equation("best", (n,), Reduce("argmax", Access("x", n, k), (k,))),
        Equation("top", (n,), Access("x", n, Access("best", n)) + Access("best", n)),
        Equation("flag", (n,), 2 * eq(Access("best", n), 1) + Rational(1, 2)),
    )
    a = np.array([[1.0, 5.0], [4.0, 2.0]])
    values = evaluate(Program(equations, (tensor("x", n, k),)), {"x": a})
    assert_array_equal(values["best"], [1, 0])
    assert values["best"].dtype == np.int64
    assert_array_equal(values["top"], [6, 4])
    assert_array_equal(values["flag"], [2.5, 0.5])


def test_an_index_must_be_an_integer():
    with pytest.raises(DeriveError, match="no integer"):
        inputs = [tensor("x", i), tensor("r", n)]
        run(Access("x", Access("r", n)), (n,), inputs, x=[1.0, 2.0], r=[1.0])
    with pytest.raises(DeriveError, match="r must be integer, but its type is float64"):
        run(Access("r", n) + 0, (n,), [tensor("r", n, kind="integer")], r=[1.0])


def test_affine_diagonal_modulo_and_floor_division():
    a = np.arange(25.0).reshape(5, 5)
    square = [Tensor("x", (i, j.resized(i.size)))]
    assert_array_equal(run(Access("x", i, i), (i,), square, x=a), np.diag(a))
    ring = run(Access("x", mod(i - 2, i.size)), (i,), [tensor("x", i)], x=a[0])
    assert_array_equal(ring, [3, 4, 0, 1, 2])
    four = Index("i", 4)
    halves = run(Access("x", floordiv(four, 2)), (four,), [tensor("x", p)], x=[7.0, 8.0])
    assert_array_equal(halves, [7, 7, 8, 8])
    down = run(floordiv(four - 3, 2), (four,))
    assert_array_equal(down, [-2, -1, -1, 0])


def test_derived_sizes():
    size_of_p = floordiv(i.size - k.size, 2) + 1
    body = Reduce("sum", Access("x", 2 * p + k) * Access("w", k), (k,))
    given = ((p,), [tensor("x", i), tensor("w", k)], [(p.size, size_of_p)])
    assert_array_equal(run(body, *given, x=np.arange(6.0), w=[1.0, 10.0]), [10, 32, 54])
    with pytest.raises(DeriveError, match=r"the size P = .* is 0"):
        run(body, *given, x=[1.0], w=[1.0, 10.0, 3.0])
    seven = [(p.size, Integer(7))]
    assert run(i.size + size("P"), (), [tensor("x", i)], seven, x=[1.0]) == 8


def test_ellipsis_is_all_leading_axes():
    dots = Index("...")
    body = Reduce("sum", Access("x", dots, i) * Access("W", i, j), (i,))
    inputs = [tensor("x", dots, i), tensor("W", i, j)]
    W = RNG.normal(size=(3, 2))
    for leading in [(), (4,), (2, 3, 1)]:
        a = RNG.normal(size=(*leading, 3))
        y = run(body, (dots, j), inputs, x=a, W=W)
        assert y.shape == (*leading, 2)
        assert_allclose(y, a @ W, rtol=1e-14)
        assert_allclose(run(Reduce("sum", body, (dots, j)), (), inputs, x=a, W=W), (a @ W).sum())
    both = [tensor("x", dots), tensor("z", dots)]
    with pytest.raises(DeriveError, match=r"z has the leading axes \(3, 2\), but x has \(2, 3\)"):
        a = np.ones((2, 3))
        run(Access("x", dots) + Access("z", dots), (dots,), both, x=a, z=a.T)
    with pytest.raises(DeriveError, match="axes"):
        run(body, (dots, j), inputs, x=np.float64(1.0), W=W)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.ones((2, 3))}, "no array is given for W"),
        ({"x": np.ones((2, 3)), "W": np.ones(3), "Q": np.ones(1)}, "does not read Q"),
        (
            {"x": np.ones((2, 3)), "W": np.ones(4)},
            r"axis 0 of W \(index i\) has size 4, but axis 1 of x \(index i\) has 3",
        ),
        (
            {"x": np.ones(3), "W": np.ones(3)},
            r"x\[n,i\] has 2 axes, but the array has shape \(3,\)",
        ),
        (
            {"x": np.ones((2, 3)), "W": np.ones(3) * 1j},
            "W must be real, but its type is complex128",
        ),
    ],
)
def test_arrays_that_do_not_fit(arrays, message):
    with pytest.raises(DeriveError, match=message):
        body = Reduce("sum", Access("x", n, i) * Access("W", i), (n, i))
        run(body, inputs=[tensor("x", n, i), tensor("W", i)], **arrays)


def test_a_given_size_that_an_array_contradicts():
    three = Index("i", 3)
    with pytest.raises(DeriveError, match="has size 2, but the program has 3"):
        run(Access("x", three), (three,), [tensor("x", three)], x=[1.0, 2.0])


@pytest.mark.parametrize("v", [-800.0, -2.5, -1e-9, 0.0, 0.3, 2.0, 800.0])
def test_functions_are_those_of_numpy(v):
    with np.errstate(all="ignore"):
        for body, expected in [
            (exp(x), np.exp(v)),
            (log(x), np.log(v)),
            (sqrt(x), np.sqrt(v)),
            (1 / x, np.float64(1) / v),
            (x**-2 * 3, 3 / np.float64(v) ** 2),
            (x**3, v**3),
            (x ** Rational(3, 2), np.float64(v) ** 1.5),
            (log1p(x), np.log1p(v)),
            (expm1(x), np.expm1(v)),
            (tanh(x), np.tanh(v)),
            (sympy.asin(x), np.arcsin(v)),
            (sympy.Abs(x), abs(v)),
            (sympy.sign(x), np.sign(v)),
            (maximum(x, 1), max(v, 1)),
            (minimum(x, 1), min(v, 1)),
            (mod(x, Rational(3, 4)), v % 0.75),
            (floordiv(x, Rational(3, 4)), v // 0.75),
            (nearest(x), np.rint(v)),
            (stop_gradient(x) * pi, v * np.pi),
            (le(x, 0) + 2 * lt(0, x), 1 if v <= 0 else 2),
            (horner(x, 3, 2, 1), 3 + v * (2 + v)),
        ]:
            assert_allclose(scalar(body, x=v), expected, rtol=5e-16, err_msg=str(body))


def test_a_quotient_is_divided_once():
    assert scalar(x / z, x=1e-310, z=1e-310) == 1  # 1/z alone would overflow
    assert scalar(x / 3, x=1.0) == 1 / 3


def test_named_functions_mean_their_formula():
    a, b = sympy.symbols("a b", real=True)
    swish = named("swish", (a, b), a / (1 + exp(-b * a)), (Integer(1),))
    assert_allclose(scalar(swish(x, 2), x=0.7), 0.7 / (1 + np.exp(-1.4)), rtol=1e-15)


def test_partial_is_the_derivative_with_every_equal_access_moved():
    value = scalar(Partial(x**2 * z + exp(x), x), x=0.7, z=3.0)
    assert_allclose(value, 2 * 0.7 * 3 + np.exp(0.7), rtol=1e-9)
    assert scalar(Partial(x * stop_gradient(x), x), x=3.0) == pytest.approx(3.0, rel=1e-9)
    # Another access that happens to reach the same element stays where it is.
    body = Reduce("sum", Partial(Access("x", i) * Access("x", 2 - i), Access("x", i)), (i,))
    assert run(body, inputs=[tensor("x", i)], x=[1.0, 2.0, 4.0]) == pytest.approx(7.0, rel=1e-9)


def test_many_digits():
    program = Program((Equation("y", (), log(1 + exp(-Access("x")))),), (tensor("x"),))
    assert evaluate(program, {"x": 60.0})["y"] == 0
    value = evaluate_mp(program, {"x": 60.0}, digits=60)["y"][()]
    with mpmath.workdps(60):
        assert abs(value / mpmath.log1p(mpmath.exp(-60)) - 1) < mpmath.mpf(10) ** -30
    # Rationals, pi and reductions too; where there is no real value there is a nan.
    body = Reduce("logsumexp", Access("x", i) / 3, (i,)) + pi + sympy.E
    program = Program((Equation("y", (), body),), (tensor("x", i),))
    value = evaluate_mp(program, {"x": [1.0, 2.0]}, digits=40)["y"][()]
    with mpmath.workdps(40):
        third = mpmath.mpf(1) / 3
        exact = mpmath.log(mpmath.exp(third) + mpmath.exp(2 * third)) + mpmath.pi + mpmath.e
        assert abs(value - exact) < mpmath.mpf(10) ** -37
    program = Program((Equation("y", (), log(x) + 1 / z),), (tensor("x"), tensor("z")))
    assert mpmath.isnan(evaluate_mp(program, {"x": -1.0, "z": 1.0})["y"][()])
    assert evaluate_mp(program, {"x": 1.0, "z": 0.0})["y"][()] == mpmath.inf


def test_many_digits_of_a_partial():
    program = Program((Equation("y", (), Partial(tanh(x), x)),), (tensor("x"),))
    value = evaluate_mp(program, {"x": 0.5}, digits=60)["y"][()]
    with mpmath.workdps(60):
        assert abs(value - mpmath.sech(0.5) ** 2) < mpmath.mpf(10) ** -35


def test_what_is_not_of_the_language_has_no_value():
    with pytest.raises(DeriveError, match="Heaviside"):
        scalar(sympy.Heaviside(x), x=1.0)
    with pytest.raises(DeriveError, match="Q"):
        scalar(x + size("Q"), x=1.0)
    with pytest.raises(DeriveError, match="// 0"):
        run(mod(i, i.size - 2), (i,), [tensor("x", i)], x=[1.0, 2.0])


def test_it_is_bearable():
    body = Reduce("sum", Access("x", n, i) * Access("W", i, j), (i,))
    a = np.ones((10, 20))
    start = time.process_time()
    run(body, (n, j), [tensor("x", n, i), tensor("W", i, j)], x=a, W=a.T)
    assert time.process_time() - start < 1
