"""The formula language: what reads as what, what reads back, and where errors point."""

import time

import pytest
import sympy
from sympy import Rational, Symbol

from derive.language.checker import check
from derive.language.formula import FormulaError, parse
from derive.language.functions import (
    FUNCTIONS,
    and_,
    eq,
    le,
    lt,
    maximum,
    mod,
    named,
    ne,
    not_,
    where,
)
from derive.language.notation import Access, DeriveError, Equation, Index, Program, Reduce, size

x_, alpha_ = sympy.symbols("x alpha", real=True)
ELU = named(
    "elu",
    (x_, alpha_),
    where(lt(0, x_), x_, alpha_ * (sympy.exp(x_) - 1)),
    defaults=(sympy.Integer(1),),
)
FUNCTIONS_AND_ELU = FUNCTIONS | {"elu": ELU}


def body(text: str, **options: object) -> sympy.Expr:
    return parse(text, **options).equations[-1].body  # type: ignore[arg-type]


def error(text: str, **options: object) -> FormulaError:
    with pytest.raises(FormulaError) as caught:
        parse(text, **options)  # type: ignore[arg-type]
    return caught.value


def points_at(text: str, **options: object) -> str:
    """The piece of the text that the caret of its error underlines."""
    _, line, caret, *_ = str(error(text, **options)).split("\n")
    return line[caret.index("^") : caret.rindex("^") + 1]


# What reads as what.


def test_a_dense_layer() -> None:
    program = parse("z[n,j] = sum[i](x[n,i]*W[i,j]) + b[j]")
    n, i, j = Index("n"), Index("i"), Index("j")
    assert program.equations[0].indices == (n, j)
    assert program.equations[0].body == Reduce(
        "sum", Access("x", n, i) * Access("W", i, j), (i,)
    ) + Access("b", j)
    assert {str(t) for t in program.inputs} == {"x[n,i]", "W[i,j]", "b[j]"}
    assert program.sizes == ()
    assert program.result == "z"


def test_names_never_assigned_are_inputs_and_the_last_equation_is_the_result() -> None:
    program = parse("a[n] = x[n]*s\nunused = s + 1\nL = mean[n](a[n])")
    assert [str(t) for t in program.inputs] == ["s", "x[n]"]
    assert program.result == "L"


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("0.1", Rational(1, 10)),
        ("1e-5", Rational(1, 100000)),
        ("1_000.5", Rational(2001, 2)),
        ("0x10", 16),
        (".5", Rational(1, 2)),
        ("2**0.5", sympy.sqrt(2)),
        ("1e308", 10**308),
        ("2**-3", Rational(1, 8)),
        ("pi/2", sympy.pi / 2),
        ("-3 % 5", -3),
        ("(-3) % 5", 2),
        ("-7 // 2", -4),
    ],
)
def test_numbers_are_exact(literal: str, value: sympy.Expr) -> None:
    read = body(f"y = {literal}")
    assert read == (value if literal != "-3 % 5" else 2)
    assert not read.has(sympy.Float)


def test_powers_that_would_be_long_become_floats_and_none_hangs() -> None:
    start = time.perf_counter()
    assert abs(float(body("y = 1.0000001**10000000")) - 2.718281692544966) < 1e-15
    for text in ("9**9**9", "(2*x)**(10**9)", "exp(10**12*log(2))", "exp(exp(exp(9)))"):
        with pytest.raises(FormulaError):
            parse(f"y = {text}")
    assert time.perf_counter() - start < 5


def test_operators_and_comparisons() -> None:
    x, z = Access("x"), Access("z")
    assert body("y = x % z") == mod(x, z)
    assert body("y = (x > z)*2") == 2 * lt(z, x)
    assert body("y = x >= z") == le(z, x)
    assert body("y = 0 <= x < z") == and_(le(0, x), lt(x, z))
    assert body("y = where(x and not z, 1, 2)") == where(and_(ne(x, 0), not_(ne(z, 0))), 1, 2)
    assert body("y = where(x == 1, z, 0)") == where(eq(x, 1), z, 0)
    assert body("y = maximum(x, z)") == maximum(x, z)
    assert body("y = +x - -z") == x + z


def test_an_index_a_size_and_a_comparison_of_indices_are_numbers() -> None:
    i, j = Index("i"), Index("j", size("I"))
    assert body("y[i] = x[i]*i/I") == Access("x", Index("i")) * Index("i") / size("I")
    assert body("L = sum[i,j](A[i,j]*(i == j)) + v[0]*sum[i](A[i,i])").has(eq(i, j))


def test_a_tensor_hides_the_size_of_its_spelling() -> None:
    program = parse("D[d] = x[d]\ny[d] = D[d]/sum[d](1)")
    assert program.equations[1].body == Access("D", *program.equations[1].indices) / Symbol(
        "d_size", integer=True, positive=True
    )
    assert parse(str(program)) == program
    assert body("D = s\ny[d] = x[d]/D").has(Access("D"))
    assert body("y[d] = x[d]/D").has(size("D"))
    assert body("y = x/D") == Access("x") / Access("D")


def test_the_name_of_a_reduction_may_be_a_tensor() -> None:
    program = parse(
        "mean[d] = sum[n](x[n,d])/N\ny[n,d] = x[n,d] - mean[d] + max\nL = max[n,d](y[n,d])"
    )
    assert [t.name for t in program.inputs] == ["x", "max"]
    assert program.equations[2].body.op == "max"


def test_an_inner_index_of_the_same_name_is_another() -> None:
    program = parse("y[i] = x[i]/sum[i](x[i]*sum[i](z[i]))")
    outer = Index("i")
    reductions = program.equations[0].body.atoms(Reduce)
    bound = {b for r in reductions for b in r.bound}
    assert len(bound) == 2
    assert outer not in bound
    assert {b.size for b in bound} == {size("I")}
    assert str(program) == "y[i] = x[i]/sum[i](sum[i](z[i])*x[i])"


def test_an_inner_index_is_printed_under_its_written_name_where_nothing_else_has_it() -> None:
    i, inner, j = Index("i"), Index("i__1", size("I")), Index("j")
    x = Access("x", inner)
    assert str(Equation("s", (), Reduce("sum", x, (inner,)))) == "s = sum[i](x[i])"
    both = Reduce("sum", Access("A", i, inner), (inner,))
    assert str(Equation("y", (i,), both)) == "y[i] = sum[i__1](A[i,i__1])"
    other = Index("i__1")
    assert "i__1" in str(Equation("s", (j,), Reduce("sum", Access("x", other), (other,))))
    rest, merged = Index("leading__1", size("...")), Index("...")
    total = Reduce("sum", Access("x", rest), (rest,))
    assert str(Equation("s", (), total)) == "s = sum[...](x[...])"
    quotient = Access("x", merged) / total
    assert str(Equation("y", (merged,), quotient)) == "y[...] = x[...]/sum[...](x[...])"


def test_integer_tensors() -> None:
    program = parse(
        "k[n] = argmax[c](z[n,c])\n"
        "m[n] = 2*y[n] % 3 + k[n]\n"
        "L = sum[n](E[m[n],0] + x[id[n]+1]) + E[first,0]",
        inputs={"z": None, "y": None, "E": None, "x": None, "id": None, "first": ()},
    )
    kinds = {t.name: t.kind for t in program.inputs}
    assert kinds == {
        "z": "real", "y": "integer", "E": "real", "x": "real", "id": "integer", "first": "integer"
    }  # fmt: skip


def test_library_functions_take_their_parameters_by_name() -> None:
    x = Access("x", Index("n"))

    def read(call: str) -> sympy.Expr:
        return body(f"y[n] = {call}", functions=FUNCTIONS_AND_ELU)

    assert read("elu(x[n])") == ELU(x, 1)
    assert read("elu(x[n], alpha=0.5)") == ELU(x, Rational(1, 2)) == read("elu(x[n], 0.5)")
    assert read("elu(x[n], alpha=a[n])") == ELU(x, Access("a", Index("n")))
    options = {"functions": FUNCTIONS_AND_ELU}
    assert "Did you mean `alpha`?" in str(error("y = elu(x, alhpa=2)", **options))
    assert points_at("y = elu(x, alhpa=2)", **options) == "alhpa=2"
    assert "`alpha` is given twice" in str(error("y = elu(x, 1, alpha=2)", **options))
    assert "lacks its argument `x`" in str(error("y = elu()", **options))
    assert "at most" in str(error("y = elu(1, 2, 3)", **options))


def test_comments_blank_lines_indentation_and_brackets() -> None:
    program = parse(
        """
        # ünïcode is fine here [ ( '
        y[n] = sum[i](      # so is an open bracket
            x[n,i]

          * w[i])           # the end
        L = sum[n](y[n])
        """
    )
    assert str(program) == "y[n] = sum[i](w[i]*x[n,i])\nL = sum[n](y[n])"
    assert parse("y = x\r\nz = y\r") == parse("y = x\nz = y")


def test_definitions_read_only_what_they_declare() -> None:
    given = {"x": ("...", "i"), "W": ("i", "j"), "s": (), "t": None}
    program = parse(
        "z[...,j] = gain*sum[i](x[...,i]*W[i,j])", inputs=given, constants={"gain": 0.1}
    )
    assert [str(t) for t in program.inputs] == ["x[...,i]", "W[i,j]", "s"]
    assert program.equations[0].body.has(Rational(1, 10))
    failure = error("z[n] = w[n]*s", inputs={"weights": None, "s": ()})
    assert failure.message == "unknown name `w`"
    assert points_at("z = weigts + 1", inputs={"weights": ()}) == "weigts"
    assert "Did you mean `weights`?" in str(error("z = weigts", inputs={"weights": ()}))
    assert "cannot be assigned" in str(error("x = 1", inputs={"x": ()}))
    assert "cannot be assigned" in str(error("eps = 1", constants={"eps": 1e-5}))
    assert "2 axes" in str(error("y[i] = x[i]", inputs={"x": ("i", "j")}))
    stepped = parse("y[p] = x[stride*p]", constants={"stride": 2})
    assert stepped.equations[0].body == Access("x", 2 * Index("p"))
    assert "no integer" in str(error("y[p] = x[stride*p]", constants={"stride": 0.5}))


# What is printed reads back.

TEXTS = [
    "z[n,j] = sum[i](x[n,i]*W[i,j]) + b[j]",
    "m[n] = sum[d](x[n,d])/D\ny[n,d] = (x[n,d] - m[n])/sqrt(sum[d]((x[n,d] - m[n])**2)/D + 1e-5)",
    "L = mean[n](logsumexp[k](z[n,k]) - z[n,y[n]])",
    "y[n,k] = exp(z[n,k])/sum[k](exp(z[n,k]))",
    "y[p] = sum[k](x[2*p+k]*w[k])",
    "y[p] = max[k](x[3*p+k])*min[k](x[3*p+k])*prod[k](x[3*p+k]) + argmin[k](w[k])",
    "y[i] = x[i//2] + u[i]",
    "y[i] = x[(i-1)%I] + x[i]",
    "y[i] = sum[j](x[(i-j)%I]*k[j]) + x[i]",
    "y[i] = x[I-1-i] + x[i]",
    "y[i] = x[i]*sum[i](z[i])",
    "y[i] = x[i] + sum[i](z[2*i]*i*sum[j](A[i,j]*sum[i](A[i,j])))",
    "y[i] = x[i] - -(x[i] + 1)*(x[i] + 2)/(2*(x[i] + 3))*0.044715 - 0.3*x[i]",
    "y[...,j] = sum[i](x[...,i]*W[i,j])\nL = mean[...,j](y[...,j])",
    "y[...] = x[...]/sum[...](x[...])",
    "L = sum[...](x[...])/sum[...](1)",
    "g[n,j] = sum[i](x[n,i]*W[i,0*J+j]) + sum[i](x[n,i]*W[i,J+j]) + b[j]",
    "g[n,j,q] = sum[i](x[n,i]*W[i,q*J+j]) + b[j]*c[q]",
    "D[d] = x[d]\ny[d,e] = D[d]/sum[d](1) + W[0*sum[d](1)+d] + u[e]",
    "k[n] = argmax[c](z[n,c])\nL = sum[n](E[k[n],k[n]]*E[k[n]//2,0])",
    "y[i] = where(i < 3 and not (i == 1 or x[i] > 2), x[i], 0.3)",
    "y[i] = where(not i < 3 or x[i] and x[i] <= 2, 1, 0)*x[i]",
    "y[i] = (0 <= i < 3)*x[i]*(x[i] != 1) - (not_a == x[i])",
    "y[i] = (x[i] % 2.5) * (x[i] % (1 + s)) % 3 - 2**(x[i] % 2) // (3 + x[i]**2)",
    "y[i,j] = A[i,j] + A[j,i]",
    "L = sum[i](A[i,i])",
    "L = exp(1) + pi*2**0.5*x - x**(-1/3) + abs(x)**-1.5 + sqrt(abs(x))",
    "y[n] = elu(x[n]) + elu(x[n], alpha=0.5)*elu(-x[n], alpha=s)",
    "y[n] = maximum(x[n], minimum(0, s)) + stop_gradient(x[n]) + sign(x[n])*log1p(x[n]**2)",
    "y[n] = erf(x[n]) - erfc(x[n])/2 + expm1(x[n])*atan(x[n])*sinh(x[n])*tan(x[n])",
    "L = sum[i,j](A[i,j]*(i == j)) + N",
    "y[n] = x[n]**n/N**2 - n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_printed_reads_back(text: str) -> None:
    program = parse(text, functions=FUNCTIONS_AND_ELU)
    assert parse(str(program), functions=FUNCTIONS_AND_ELU) == program


def test_a_left_out_term_prints_so_that_it_counts_for_nothing() -> None:
    i = Index("i")
    x = Access("x", i)
    printed = [str(Equation("y", (), Reduce(op, x, (i,), lt(i, 3)))) for op in ("sum", "prod")]
    assert printed == ["y = sum[i](where(i < 3, x[i], 0))", "y = prod[i](where(i < 3, x[i], 1))"]


# Errors: what is refused, and the place shown.


def test_an_error_shows_file_line_caret_and_what_to_do() -> None:
    failure = error("a = x\n  y[n] = 2*sigmod(x1[n])\n", filename="net.toml", first_line=41)
    assert str(failure) == (
        "net.toml:42:12: unknown function `sigmod`\n"
        "    y[n] = 2*sigmod(x1[n])\n"
        "             ^^^^^^\n"
        "Did you mean `sign`?"
    )
    assert isinstance(failure, DeriveError)
    assert isinstance(failure, ValueError)
    assert failure.place is not None
    assert (failure.place.line, failure.place.column, failure.place.width) == (1, 11, 6)


def test_a_place_within_brackets_is_on_its_own_line() -> None:
    failure = error("y = (x +\n     z @ 2)")
    assert str(failure).startswith("<formula>:2:6: `@` is not part of the formula language\n")


@pytest.mark.parametrize(
    ("text", "caret", "message"),
    [
        ("y = x.real", "x.real", "attribute access"),
        ("y = (lambda: 1)()", "lambda: 1", "cannot be called"),
        ("y = (lambda: x)", "lambda: x", "`lambda`"),
        ("y = 'a'", "'", "unexpected character"),
        ("y = x[1:2]", "1:2", "a slice"),
        ("y = x if z else 2", "x if z else 2", "`if ... else`"),
        ("y = (x := 2)", "x := 2", "`:=`"),
        ("y = [1]", "[1]", "a list"),
        ("y = [i for i in x]", "[i for i in x]", "a comprehension"),
        ("y = sum[i](*x)", "*x", "`*` before"),
        ("y = exp(*x)", "*x", "`*` before"),
        ("y = ~x", "~x", "`~`"),
        ("y = x ^ 2", "x ^ 2", "`^`"),
        ("y = True", "True", "`True`"),
        ("y = 1j", "1j", "`1j`"),
        ("y = ...", "...", "`...` is an index"),
        ("y = x in z", "x in z", "`in` and `is`"),
        ("y = x; z = 2", ";", "unexpected character"),
        ("y = x\\", "\\", "unexpected character"),
        ("y = x\u00b2", "\u00b2", "unexpected character"),
        ("y = x\x00", "?", "unexpected character"),
        ("y = x ! z", "!", "unexpected character"),
        ("y = __import__(x)", "__import__", "unknown function `__import__`"),
        ("x + 1", "x + 1", "no equation"),
        ("y += 1", "y += 1", "no equation"),
        ("y = z = 1", "y = z = 1", "no equation"),
        ("import os", "import os", "no equation"),
        ("y.a = 1", "y.a", "left side"),
        ("y, z = 1", "y, z", "left side"),
        ("y = 2 +", "", "does not parse"),
        ("y = 1 if", "", "does not parse"),
        ("y = x[i", "[", "never closed"),
        ("y = (x]", "]", "closes nothing"),
        ("y = x)", ")", "closes nothing"),
        ("y[i,i] = A[i,i]", "i", "stands twice"),
        ("y[I] = x[I]", "I", "lower case"),
        ("y[2*i] = x[i]", "2*i", "plain name"),
        ("y = sum[3](x)", "3", "plain name"),
        ("y = sum[i,i](A[i,i])", "i", "bound twice"),
        ("y = sum(x)", "sum", "does not say what it runs over"),
        ("y = max(x, 0)", "max", "`maximum(a, b)`"),
        ("y = sum[()](x)", "sum[()](x)", "no index"),
        ("y = sum[i](x[i], 2)", "sum[i](x[i], 2)", "1 argument"),
        ("y[n] = x[n,i]", "i", "the index `i` is neither"),
        ("y = sum[i](x[i])*i", "i", "the index `i` is neither"),
        ("y = x[...]", "...", "the index `...` is neither"),
        ("y[...] = x[...+1]", "...", "stands alone"),
        ("y[...,i] = x[i,...]", "...", "the first index"),
        ("y[n,...] = x[n]", "...", "the first index"),
        ("y[...] = sum[n](x[n]) + x[...]", "...", "both `...` and a single axis"),
        ("y[n] = x[n] + x[n,n]", "x[n,n]", "`x` has 2 axes here, but 1 axis on line 1"),
        ("y[n] = x[n]*x", "x", "without its indices"),
        ("y[n] = x[n]\nz = y", "y", "without its indices"),
        ("a = 1\na = 2", "a", "assigned twice"),
        ("b = a\na = 1", "a", "above its line"),
        ("h[t] = h[t-1] + x[t]", "h[t-1]", "has no initial line"),
        ("h[-1] = 0\nh[t] = x[t]", "-1", "nothing reads it"),
        ("exp = 2", "exp", "it can name nothing else"),
        ("y[exp] = 2", "exp", "it can name nothing else"),
        ("pi = 3", "pi", "it can name nothing else"),
        ("y = exp", "exp", "is a function"),
        ("y = exp[i]", "exp[i]", "is a function"),
        ("y = log(x, 2)", "log(x, 2)", "`log` takes 1 argument, not 2"),
        ("y = where(x, 2)", "where(x, 2)", "`where` takes 3 arguments, not 2"),
        ("y = exp(a=2)", "a=2", "no parameters by name"),
        ("y[n] = x[n]\nz = x(2)", "x", "is a tensor"),
        ("y[n] = x[n][0]", "x[n][0]", "only the name of a tensor"),
        ("y = x and z", "x and z", "only in the condition of `where`"),
        ("y = not x", "not x", "only in the condition of `where`"),
        ("y[i] = x[i/2]", "i/2", "no index"),
        ("y[i] = x[i**2]", "i**2", "no index"),
        ("y[i] = x[exp(i)]", "exp(i)", "no index"),
        ("y[i] = x[pi]", "pi", "no integer"),
        ("k[n] = x[n]/2\ny[n] = E[k[n]]", "k[n]", "no integer tensor"),
        ("y = 1e400", "1e400", "overflows"),
        ("y = 1e-400", "1e-400", "too small"),
        ("y = x*9**9**9", "9**9**9", "overflows"),
        ("y = 1e300*1e300*x", "1e300*1e300*x", "overflows"),
        ("y = exp(1000)", "exp(1000)", "overflows"),
        ("y = 1/(2 - 2)", "2 - 2", "division by zero"),
        ("y = x/(z - z)", "z - z", "division by zero"),
        ("y = x % 0", "0", "division by zero"),
        ("y[i] = x[i//0]", "0", "division by zero"),
        ("y = log(0)", "log(0)", "finite real"),
        ("y = 2 + sqrt(-1)", "sqrt(-1)", "finite real"),
        ("y = asin(2)*x", "asin(2)", "finite real"),
        ("", "", "no equation"),
        ("# nothing", "#", "no equation"),
    ],
)
def test_refusals(text: str, caret: str, message: str) -> None:
    failure = error(text)
    assert message in str(failure).split("\n")[0]
    assert len(str(failure).split("\n")) >= 3
    if caret:
        assert points_at(text) == caret


@pytest.mark.parametrize(
    "text",
    [
        "y = " + "(" * 101 + "x" + ")" * 101,
        "y = " + "exp(" * 5000 + "x" + ")" * 5000,
        "y = " + "-" * 5000 + "x",
        "y = where(" + "not " * 3000 + "x, 1, 2)",
        "y = " + "x**" * 1000 + "x",
        "y = " + "x[" * 200 + "0" + "]" * 200,
        "y = " + "[" * 50000,
        "y = " + "x*" * 49000 + "x",
        "y = x" + " " * 100_000,
        "y = " + "9" * 5000,
        "y = 0." + "1" * 5000,
        "y = 1e-999999999",
        "y = " + "9**" * 30 + "9",
    ],
)
def test_what_is_too_large_is_refused_at_once(text: str) -> None:
    start = time.perf_counter()
    failure = error(text)
    assert time.perf_counter() - start < 2
    assert len(str(failure)) < 1000


def test_what_is_large_is_read() -> None:
    parse("y = " + "(" * 100 + "x" + ")" * 100)
    assert str(parse("y = " + "exp(" * 100 + "x" + ")" * 100)).count("exp") == 100
    program = parse("y = " + " + ".join(f"x_{k}" for k in range(2000)))
    assert len(program.inputs) == 2000


def test_nothing_of_the_text_is_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("evaluated")

    with monkeypatch.context() as patch:
        patch.setattr("builtins.eval", forbidden)
        patch.setattr("builtins.exec", forbidden)
        for text in ("y = __import__(x)", "y = eval(x)", "y = x.__class__", "y = exec(x)"):
            with pytest.raises(FormulaError):
                parse(text)
        program = parse("y = exp(x)*2")
    assert isinstance(program, Program)


def test_a_text_is_a_str() -> None:
    with pytest.raises(FormulaError, match="a formula is a str, not int"):
        parse(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("body", ["x[t] > 0", "sum[k](y[t,k])", "max[k](y[t,k])", "sqrt(y[t,0])"])
def test_what_is_no_integer_tensor_is_no_index(body):
    """Sums are floating-point numbers, conditions masks; `where(c, 1, 0)` is made of integers."""
    with pytest.raises(FormulaError, match="`c` is used as an index, but is no integer tensor"):
        parse(f"c[t] = {body}\nL = sum[t](E[c[t]])")


@pytest.mark.parametrize(
    ("body", "integers"),
    [
        ("where(x[t] > 0, y[t,0], 1)", {"y"}),
        ("maximum(abs(y[t,0] - 2), v[t] // 2)", {"y", "v"}),
        ("argmax[k](x[t,k])", set()),
    ],
)
def test_what_is_an_integer_tensor_may_be_an_index(body, integers):
    program = parse(f"c[t] = {body}\nL = sum[t](E[c[t]])")
    check(program)
    assert {t.name for t in program.inputs if t.kind == "integer"} == integers
