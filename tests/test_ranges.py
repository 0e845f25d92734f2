"""Ranges of indices: inferred, given, contradictory; and what an access may reach."""

import itertools

import pytest
import sympy
from sympy import Expr, Integer, Symbol

from derive.language import reach
from derive.language.formula import FormulaError, parse
from derive.language.functions import floordiv, mod
from derive.language.notation import Access, DeriveError, Index, Program, size, zero


def shapes(program: Program) -> dict[str, str]:
    """The sizes of each input's axes."""
    return {t.name: " ".join(str(i.size) for i in t.axes) for t in program.inputs}


def derived(text: str, **sizes: object) -> dict[str, Expr]:
    return {s.name: value for s, value in parse(text, sizes=sizes).sizes}  # type: ignore[arg-type]


def number(e: Expr, **sizes: int) -> int:
    return int(e.xreplace({size(k): Integer(v) for k, v in sizes.items()}).doit())


def error(text: str, **sizes: object) -> str:
    with pytest.raises(FormulaError) as caught:
        parse(text, sizes=sizes)  # type: ignore[arg-type]
    return str(caught.value)


# Indices that stand alone.


def test_indices_that_share_an_axis_share_a_size() -> None:
    program = parse("z[n,j] = sum[i](x[n,i]*W[i,j])\ny[m] = sum[k](z[m,k])\nL = sum[q](y[q]*c[q])")
    assert shapes(program) == {"W": "I J", "x": "N I", "c": "N"}
    assert {i.size for e in program.equations for i in e.indices} == {size("N"), size("J")}


def test_ranges_pass_through_assigned_tensors_both_ways() -> None:
    # p stands alone only on axes that equations make; the range comes from c, further down.
    program = parse("a[p] = 2*p\nb[q] = a[q] + 1\nL = sum[r](b[r]*c[r])")
    assert shapes(program) == {"c": "P"}
    assert {i.size for e in program.equations for i in e.indices} == {size("P")}


def test_the_size_of_every_spelling_is_the_shared_one() -> None:
    program = parse("y[i] = x[i] + I\nz[j] = y[j]*J")
    assert program.equations[1].body.has(size("I"))
    assert not program.equations[1].body.has(size("J"))


def test_the_first_spelling_that_no_tensor_hides_is_preferred() -> None:
    assert shapes(parse("y[i] = x[i]\nz[j] = y[j]*I[j]")) == {"x": "J", "I": "J"}
    assert shapes(parse("y[i] = x[i]*I[i]")) == {"x": "i_size", "I": "i_size"}


def test_axes_without_a_plain_index_get_a_new_name() -> None:
    program = parse("y[p] = sum[k](x[2*p+k]*w[k])")
    assert [str(t) for t in program.inputs] == ["w[k]", "x[i]"]
    program = parse("y[j,i] = A[i,i]*i*j + u[j] + B[id[i],2*i] + J[3]")
    axes = {t.name: t.axes for t in program.inputs}
    assert all(len(set(a)) == len(a) for a in axes.values())
    assert axes["A"][0] == Index("i")
    assert axes["A"][1].size == size("I")
    assert axes["B"][0].size not in {size("I"), size("J")}


def test_a_diagonal_has_two_axes_of_one_size() -> None:
    (tensor,) = parse("L = sum[i](A[i,i])").inputs
    assert tensor.axes[0] != tensor.axes[1]
    assert tensor.axes[0].size == tensor.axes[1].size == size("I")


# Indices that never stand alone.


@pytest.mark.parametrize(
    ("text", "index", "inside"),
    [
        ("y[p] = x[2*p]", "P", lambda i, p: 2 * p < i),
        ("y[p] = x[2*p+3] + u[0*p]", "P", lambda i, p: 2 * p + 3 < i and 0 < 1),
        ("y[p] = x[p//2]", "P", lambda i, p: p // 2 < i),
        ("y[p] = x[2*(p//3)+1]", "P", lambda i, p: 2 * (p // 3) + 1 < i),
        ("y[p] = x[3*p//2]", "P", lambda i, p: 3 * p // 2 < i),
        ("y[p] = x[(p+4)//3]", "P", lambda i, p: (p + 4) // 3 < i),
        ("y[p] = x[2*p]*x[3*p+1]", "P", lambda i, p: 2 * p < i and 3 * p + 1 < i),
    ],
)
def test_the_largest_range_that_stays_inside(text: str, index: str, inside: object) -> None:
    program = parse(text)
    axis = next(t for t in program.inputs if t.name == "x").axes[0].size
    value = dict(program.sizes)[size(index)]
    for i in range(8, 40):
        fits = list(itertools.takewhile(lambda p: inside(i, p), range(1000)))  # type: ignore[operator]  # noqa: B023
        assert int(value.xreplace({axis: Integer(i)}).doit()) == len(fits)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_the_output_of_a_convolution(stride: int, dilation: int) -> None:
    found = derived(f"y[p] = sum[k](x[{stride}*p+{dilation}*k]*w[k])")["P"]
    for i, k in itertools.product(range(7, 20), (1, 2, 3)):
        assert number(found, I=i, K=k) == (i - dilation * (k - 1) - 1) // stride + 1


def test_the_form_of_a_derived_size() -> None:
    found = derived("y[p] = sum[k](x[2*p+k]*w[k])")
    assert found == {"P": floordiv(size("I") - size("K"), 2) + 1}
    assert derived("y[i] = x[I-1-i]") == {"I": size("J")}
    assert derived("y[p] = sum[k](x[p-k+K-1]*w[k])") == {"P": size("I") - size("K") + 1}
    two = derived("y[p] = a[3*p]*b[2*p]")["P"]
    assert isinstance(two, sympy.Min)
    assert number(two, I=6, J=6) == number(two, I=9, J=4) == number(two, I=4, J=9) == 2


def test_derived_sizes_build_on_each_other() -> None:
    found = derived("y[p] = sum[k](x[p+k]*w[k])\nz[q] = sum[l](y[2*q+l]*v[l])\ns = sum[r](z[r])")
    assert set(found) == {"P", "Q"}
    assert found["Q"].free_symbols == {size("I"), size("K"), size("L")}
    assert number(found["Q"], I=20, K=3, L=4) == (18 - 4) // 2 + 1


def test_a_lookup_fixes_no_range_of_the_table() -> None:
    assert shapes(parse("y[n,d] = E[t[n],d]")) == {"E": "I D", "t": "N"}
    assert "nothing fixes the range of the index `p`" in error("y[p] = x[t[0]+p]")


def test_a_product_with_a_size_fixes_no_range() -> None:
    program = parse("g[n,j] = sum[i](x[n,i]*(W[i,0*J+j] + W[i,J+j])) + b[j]")
    assert shapes(program) == {"W": "I K", "b": "J", "x": "N I"}
    assert program.sizes == ((zero(size("J")), Integer(0)),)
    widths = {a.indices[1] for a in program.equations[0].body.atoms(Access) if a.tensor == "W"}
    assert widths == {Index("j") + size("J"), Index("j") + zero(size("J"))}
    assert "`g`" in error("y[g,j] = W[g*J+j] + b[j]")
    assert "`j`" in error("y[j] = W[0*J+j]")


def test_an_index_beside_a_zero_does_not_stand_alone() -> None:
    program = parse("y[j] = b[j] + x[j+0]", sizes={"j": 3})
    assert shapes(program) == {"b": "J", "x": "I"}
    assert parse(str(program), sizes={"j": 3}) == program


# Sizes given.


def test_sizes_are_given_by_either_name() -> None:
    text = "y[p] = sum[k](x[p+k-1]*w[k])"
    assert derived(text, p=7) == derived(text, P=7) == {"P": 7}
    assert derived("y[n] = x[n]", n=3) == {"N": 3}


def test_a_size_may_be_given_as_an_expression_of_others() -> None:
    program = parse(
        "y[p] = sum[k](x[p+k-pad]*w[k])",
        sizes={"p": "I + 2*pad - K + 1"},
        inputs={"x": ("i",), "w": ("k",)},
        constants={"pad": 1},
    )
    assert program.sizes == ((size("P"), size("I") - size("K") + 3),)


@pytest.mark.parametrize(
    ("text", "sizes", "message"),
    [
        ("y[n] = x[n]", {"m": 3}, "no index is called so"),
        ("y[n] = x[n]", {"n": 0}, "positive integer, not 0"),
        ("y[n] = x[n]", {"n": True}, "positive integer, not True"),
        ("y[n] = x[n]", {"n": 2.0}, "positive integer, not 2.0"),
        ("y[n] = x[n]", {"n": "Q"}, "`Q`"),
        ("y[n] = x[n]", {"n": "__import__(x)"}, "no index"),
        ("y[n] = x[n]", {"n": "N + 1"}, "depends on itself"),
        ("y[n,m] = x[n,m]", {"n": "M + 1", "m": "N + 1"}, "depends on itself"),
        ("y[n] = x[n]", {"n": 3, "N": 4}, "given as 3 and 4"),
        ("y[n] = x[n]\nz[m] = y[m]", {"n": 3, "m": 4}, "`n` and `m` run over the same axis"),
        ("y[p] = sum[k](x[p+k]*w[k])\nz[i] = x[i]", {"k": 5, "i": 3}, "no range: P = -1"),
    ],
)
def test_sizes_that_do_not_fit(text: str, sizes: dict[str, object], message: str) -> None:
    assert message in error(text, **sizes)


def test_a_contradiction_names_the_index_and_both_sizes() -> None:
    message = error("y[n] = x[n]\nz[m] = y[m]", n=3, m=4)
    assert all(word in message for word in ("`n`", "`m`", "3", "4", "^"))


def test_what_nothing_fixes_is_an_error_that_says_what_to_do() -> None:
    message = error("y[p] = sum[k](x[p+k-1]*w[k])")
    assert message.startswith("<formula>:1:17: nothing fixes the range of the index `p`")
    assert "padding" in message
    assert 'sizes={"p": 7}' in message
    assert "`n`" in error("y[n] = 3*s")
    assert "depends on that of `" in error("y[i] = sum[k](x[i+k])")
    assert "reaches" in error("y[i,j] = x[id[i]+j] + u[i]")
    assert "`i`" in error("y[i] = x[i % 3]")


# Accesses that leave their tensors.


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("y[i] = x[i] + x[i+1]", {}),
        ("y[i] = x[i] + x[i-1]", {}),
        ("y[i] = x[i]*x[I]", {}),
        ("y[i] = x[i]*x[2*i-I]", {"i": 4}),
        ("y = x[-1]", {}),
        ("y[i] = x[i] + x[5]", {"i": 5}),
        ("y[i] = x[i] + x[i*i]", {"i": 3}),
        ("y[i] = x[i] + x[(i + 2) % 4]", {"i": 3}),
        ("y[i] = where(x[i-1] > 0, x[i], 0)", {"i": 3}),
        ("y[p] = x[p-1] + u[p]", {"p": 3}),
    ],
)
def test_an_access_that_leaves_its_tensor(text: str, sizes: dict[str, int]) -> None:
    message = error(text, **sizes)
    assert "leaves `x`" in message
    assert "^" in message


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("y[i] = x[i] + sum[k](x[i+k-1]*w[k])", {"i": 5, "k": 3}),
        ("y[i] = where(i > 0, x[i-1], x[i])", {"i": 5}),
        ("y[i] = x[i] + x[(i-1)%I]", {"i": 5}),
        ("y[i] = x[i] + x[(2*i)%4]", {"i": 3}),
        ("y[i] = x[i] + x[i - i//2]", {"i": 5}),
        ("y[i] = x[i] + x[4]", {"i": 5}),
        ("y[i] = x[i] + x[4]", {}),
        ("y[i] = x[i] + x[I-1-i]", {}),
        ("y[i] = x[i] + x[i//2]", {}),
    ],
)
def test_an_access_that_stays_inside_or_may_be_left_out(text: str, sizes: dict[str, int]) -> None:
    parse(text, sizes=sizes)


def test_once_the_sizes_are_known_accesses_are_checked_again() -> None:
    program = parse("y[i] = x[i] + x[4]")
    reach.check_accesses(program, {size("I"): 5})
    with pytest.raises(DeriveError, match=r"`x\[4\]` leaves its tensor.*from 4 to 4.* is 4"):
        reach.check_accesses(program, {size("I"): 4})


def test_derived_sizes_as_numbers() -> None:
    program = parse("y[p] = sum[k](x[2*p+k]*w[k])")
    known = reach.numbers(program, {size("I"): 9, size("K"): 3})
    assert known[size("P")] == 4
    with pytest.raises(DeriveError, match="must be positive"):
        reach.numbers(program, {size("I"): 2, size("K"): 5})
    with pytest.raises(DeriveError, match="is 4 in the arrays, but given as 3"):
        reach.numbers(parse("y[n] = x[n]", sizes={"n": 3}), {size("N"): 4})


# Bounds.

I, J = Index("i"), Index("j")
N = size("N")


@pytest.mark.parametrize(
    "e",
    [
        I,
        I + 2 * J,
        3 - I,
        2 * I - 3 * J + 4,
        I * J,
        I**2 + J,
        floordiv(I, 2),
        floordiv(I - 3, 2) - J,
        -floordiv(2 * I + 1, 3),
        mod(I, 3),
        mod(I - 2, 5),
        mod(2 * I, 4),
        mod(I + 7, 9),
        I - floordiv(I, 2),
        (I - 1) * (J - 2),
        N * I + J,
        N - 1 - I,
        mod(I - J, N),
        floordiv(I, N),
        I + zero(N),
        Integer(-3),
    ],
)
@pytest.mark.parametrize(("i", "j"), [(1, 1), (4, 3), (7, 2)])
def test_bounds_are_exact(e: Expr, i: int, j: int) -> None:
    sizes: dict[Symbol, int] = {size("I"): i, size("J"): j, N: 5}
    values = [
        int(e.xreplace({I: Integer(a), J: Integer(b), N: Integer(5), zero(N): Integer(0)}))
        for a, b in itertools.product(range(i), range(j))
    ]
    assert reach.bounds(e, sizes) == (min(values), max(values))


def test_bounds_of_a_lookup_are_unknown() -> None:
    assert reach.bounds(Access("t", I) + 1, {size("I"): 3}) is None


def test_ends_are_expressions_of_sizes() -> None:
    assert reach.ends(2 * I + J - 1) == (-1, 2 * size("I") + size("J") - 4)
    assert reach.ends(size("J") * I + J) == (0, size("J") * size("I") - 1)
    assert reach.ends(mod(I, N)) == (0, N - 1)
    assert reach.ends(Access("t", I)) is None
