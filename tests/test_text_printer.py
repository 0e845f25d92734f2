"""The text of equations: how it is spelled, and that it reads back."""

import numpy as np
from sympy import S

from derive import pipeline
from derive.language.formula import parse
from derive.language.interpreter import evaluate
from derive.language.notation import Access, Equation, Index, Program, Tensor


def test_an_odd_function_takes_the_sign_in():
    found = pipeline.vjp("L[n] = log(cosh(y[n] - z[n]))", "z").equations
    assert str(found[-1]) == "z_bar[n] = L_bar[n]*tanh(z[n] - y[n])"


def test_an_index_stands_by_itself_in_a_condition():
    found = pipeline.vjp("y[n,j] = z[n,0*J+j]*z[n,J+j]*w[j]", "z", sizes={"j": 3}).equations
    assert "J <= i and i < 2*J" in str(found[-1])


def test_an_index_of_a_part_of_an_axis_reads_back():
    """Sizes that are numbers make `0*J + j` the index alone; the program knows the axis."""
    i, j = Index("i", S(5)), Index("j", S(2))
    program = Program((Equation("y", (j,), Access("z", j) ** 2),), (Tensor("z", (i,)),))
    assert str(program) == "y[j] = z[0*J+j]**2"
    again = parse(str(program), sizes={"j": 2})
    assert evaluate(again, {"z": np.arange(5.0)})["y"].tolist() == [0, 1]


def test_so_does_one_whose_size_is_spelled_like_a_tensor():
    i, j = Index("i", S(5)), Index("j", S(2))
    program = Program(
        (Equation("y", (j,), Access("z", j) * Access("J", j)),),
        (Tensor("z", (i,)), Tensor("J", (j,))),
    )
    again = parse(str(program), sizes={"j": 2})
    values = evaluate(again, {"z": np.arange(5.0), "J": np.arange(2.0)})
    assert values["y"].tolist() == [0, 1]
