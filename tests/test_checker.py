"""Each invariant: a program that keeps it passes, and the one that breaks only it is refused."""

from dataclasses import replace

import pytest
import sympy
from sympy import Integer, exp

from derive.language.checker import INVARIANTS, check, check_normal, integer_tensors
from derive.language.functions import and_, floordiv, lt, maximum, mod, where
from derive.language.notation import (
    Access,
    DeriveError,
    Equation,
    Index,
    Partial,
    Program,
    Recurrence,
    Reduce,
    Tensor,
    size,
    zero,
)

i, j, k, n, p = map(Index, "ijknp")
dots = Index("...")
x, W = Tensor("x", (n, i)), Tensor("W", (i, j))
DENSE = Equation("y", (n, j), Reduce("sum", Access("x", n, i) * Access("W", i, j), (i,)))


def program(*equations, inputs=(x, W), sizes=(), results=()):
    return Program(equations, inputs, sizes, results)


def y(body, indices=(n,), **rest):
    return program(Equation("y", indices, body), **rest)


xn = Access("x", n, i)
row = Reduce("sum", xn, (i,))
ids = Tensor("t", (n,), "integer")

k_ = i.renamed("k_")
S = Equation("s", (n, i), Reduce("sum", Access("h", n - 1, k_) * Access("V", k_, i), (k_,)))
H = Equation("h", (n, i), Access("s", n, i) + xn, recurrence=Recurrence(n, -1, Integer(0)))
V = Tensor("V", (k_, i))
SCAN = program(S, H, Equation("z", (n,), Access("h", n - 1, 0)), inputs=(x, V))
BACKWARD = replace(H, body=Access("h", n + 1, i) * xn, recurrence=Recurrence(n, 1, Integer(0)))

WELL_FORMED = {
    "dense": program(DENSE),
    "nested": y(Reduce("mean", maximum(row, 0), (n,)), ()),
    "two lines": program(DENSE, Equation("L", (), Reduce("max", Access("y", n, j), (n, j)))),
    "a bound name again in another equation": program(
        Equation("a", (n,), row), Equation("b", (n,), row)
    ),
    "diagonal": y(Access("A", n, n), inputs=(Tensor("A", (n, j.resized(n.size))),)),
    "affine": y(
        Access("v", 2 * p + 1),
        (p,),
        inputs=(Tensor("v", (i,)),),
        sizes=((p.size, floordiv(i.size - 2, 2) + 1),),
    ),
    "modulo": y(Access("x", mod(n - 1, n.size), i), (n, i)),
    "lookup": y(Access("E", Access("t", n), k), (n, k), inputs=(Tensor("E", (i, k)), ids)),
    "lookup by argmax": program(
        Equation("best", (n,), Reduce("argmax", xn, (i,))),
        Equation("top", (n,), Access("x", n, Access("best", n))),
    ),
    "ellipsis": y(Access("v", dots) ** 2, (dots,), inputs=(Tensor("v", (dots,)),)),
    "a condition guards a shorter range": y(
        where(lt(n, i.size), Access("v", n), 0), (n,), inputs=(Tensor("v", (i,)), x)
    ),
    "a part of an axis, both sizes known": y(
        Access("v", p), (p,), inputs=(Tensor("v", (Index("i", 4),)),), sizes=((p.size, Integer(3)),)
    ),
    "a block of an axis": y(
        Access("W", n, zero(p.size) + p),
        (n, p),
        inputs=(Tensor("W", (n, j)),),
        sizes=((p.size, floordiv(j.size, 4)), (zero(p.size), Integer(0))),
    ),
    "a size that an input has as well": program(DENSE, sizes=((n.size, i.size + 1),)),
    "a scan, and a reading of its start": SCAN,
    "a scan that runs backward": program(BACKWARD),
    "numbers": y(sympy.pi * n + n.size / sympy.Integer(3)),
}


@pytest.mark.parametrize("name", WELL_FORMED)
def test_well_formed(name):
    check(WELL_FORMED[name])


s_i = Access("s", i) + Access("h", n - 1, i)


def scan(h, *rest):
    """The scan of `s` and another `h`."""
    return program(S, h, *rest, inputs=(x, V))


def started(initial):
    return replace(H, recurrence=Recurrence(n, -1, initial))


BROKEN = {
    "names_are_given_once": [
        (program(DENSE, DENSE), "y is given twice"),
        (program(replace(DENSE, target="W")), "W is given twice"),
    ],
    "left_hand_indices_are_plain_and_distinct": [
        (y(Integer(1), (n, n)), r"y\[n,n\]: an index stands on two axes"),
        (y(Integer(1), (n + 1,)), "no plain index"),
        (program(DENSE, inputs=(x, W, Tensor("A", (i, i)))), r"A\[i,i\]"),
    ],
    "bodies_are_of_the_language": [
        (y(sympy.Heaviside(row)), "Heaviside"),
        (y(sympy.zoo), "zoo"),
        (y(Partial(row, xn)), "Partial"),
        (y(sympy.KroneckerDelta(n, 1)), "KroneckerDelta"),
    ],
    "reductions_are_known": [
        (y(Reduce("median", xn, (i,))), "median is no reduction"),
        (y(Reduce("sum", Integer(1), ())), "over no index"),
    ],
    "bound_names_are_fresh": [
        (y(Reduce("sum", xn, (n, i))), "binds n, which is already in scope"),
        (y(Reduce("sum", row * xn, (i,))), "binds i, which is already in scope"),
        (y(Reduce("sum", xn, (i, i))), "binds i"),
    ],
    "indices_are_on_the_left_or_bound": [
        (scan(started(xn)), r"h\[-1,i\] = x\[n,i\]: nothing gives the index n"),
        (y(xn), "nothing gives the index i of size I a range here"),
        (y(Reduce("sum", xn, (i,), lt(j, 2))), "index j"),
        (y(Reduce("sum", xn, (i.resized(Integer(3)),))), "index i of size I"),
    ],
    "recurrences_run_over_an_index_of_the_left": [
        (scan(replace(H, recurrence=Recurrence(j, -1, Integer(0)))), "over j, which is not"),
        (scan(replace(H, recurrence=Recurrence(n, -2, Integer(0)))), "by a step of -2"),
    ],
    "tensors_are_read_below_their_line": [
        (y(Access("q", n)), "q is read"),
        (program(Equation("a", (n,), Access("a", n))), "a is read"),
        (program(Equation("L", (), Reduce("sum", Access("y", n, j), (n, j))), DENSE), "y is read"),
        (scan(started(Access("s", 0, i))), r"h\[-1,i\] = s\[0,i\]: s is read"),
        (scan(replace(H, recurrence=None)), "h is read"),
    ],
    "accesses_have_an_index_for_each_axis": [
        (y(Access("x", n)), r"x\[n\] where x has 2 axes"),
        (program(DENSE, Equation("L", (n,), Access("y", n))), r"y\[n\] where y has 2 axes"),
    ],
    "index_names_have_one_size": [
        (
            program(DENSE, Equation("z", (n.resized(Integer(2)),), Integer(1))),
            "index n has size 2, but above N",
        ),
    ],
    "indices_alone_run_over_their_axis": [
        (y(Access("x", n, n)), r"in x\[n,n\] the index n has size N, but the axis I"),
        (y(Reduce("sum", Access("x", n, j), (j,))), "has size J, but the axis I"),
        (
            y(
                Access("v", p),
                (p,),
                inputs=(Tensor("v", (Index("i", 4),)),),
                sizes=((p.size, Integer(5)),),
            ),
            "has size P, but the axis 4",
        ),
    ],
    "scans_go_step_by_step": [
        (scan(replace(H, body=Access("s", n - 1, i))), r"s\[n-1,i\] is not known yet"),
        (scan(replace(H, body=Access("s", n, i) + Access("h", n + 1, i))), r"h\[n\+1,i\] is not"),
        (scan(replace(H, body=Access("s", n, i) + Access("h", 0, i))), r"h\[0,i\] is not"),
        (program(H, S, inputs=(x, V)), r"s\[n,i\] is not known yet"),
        (
            program(
                replace(S, indices=(i,), body=Access("h", 0, i)), replace(H, body=s_i), inputs=(x,)
            ),
            "in a scan over n, which is not on the left",
        ),
        (
            scan(
                replace(H, body=H.body + Access("g", n, i)),
                replace(BACKWARD, target="g", body=Access("h", n, i)),
            ),
            "g",
        ),
    ],
    "members_of_a_scan_stand_together": [
        (
            program(S, Equation("a", (n, i), xn), H, inputs=(x, V)),
            r"a\[n,i\] = .*: stands within a scan to which it does not belong",
        ),
    ],
    "positions_are_integers": [
        (y(Access("x", n, Access("x", n, 0))), "is no integer expression"),
        (y(Access("x", n, exp(n))), r"the index exp\(n\)"),
        (y(Access("x", n, n / 2)), "is no integer expression"),
        (
            y(Access("v", dots + 1), (dots,), inputs=(Tensor("v", (dots,)),)),
            "computes with ...",
        ),
    ],
    "sizes_follow_from_the_inputs": [
        (program(DENSE, sizes=((p.size, n.size), (p.size, i.size))), "P is given twice"),
        (program(DENSE, sizes=((p.size, size("Q") + 1),)), "P = .* does not follow"),
        (y(Access("x", 2 * p, 0), (p,)), "nothing fixes the size P"),
        (y(row * size("Q")), "nothing fixes the size Q"),
    ],
    "results_are_targets": [
        (program(DENSE, results=("y", "z")), "z is asked for"),
        (program(), "there is no equation"),
    ],
}


def test_every_invariant_is_tested():
    assert list(BROKEN) == [invariant.__name__ for invariant in INVARIANTS]


@pytest.mark.parametrize(
    ("name", "broken", "message"),
    [(name, broken, message) for name, cases in BROKEN.items() for broken, message in cases],
)
def test_broken(name, broken, message):
    sentence = name.replace("_", " ")
    with pytest.raises(DeriveError, match=message) as error:
        check(broken)
    assert sentence in str(error.value)


def test_normal_form():
    check_normal(program(DENSE))
    check_normal(y(Access("b", n) + 1, inputs=(Tensor("b", (n,)),)))
    for body in (row + 1, Reduce("max", row + 0 * n, (n,)), exp(row)):
        nested = y(body, () if isinstance(body, Reduce) else (n,))
        check(nested)
        with pytest.raises(DeriveError, match="reductions stand at the root"):
            check_normal(nested)


def test_integer_tensors():
    equations = (
        Equation("best", (n,), Reduce("argmin", xn, (i,))),
        Equation("next", (n,), mod(Access("best", n) + Access("t", n) + n, i.size)),
        Equation("half", (n,), Access("next", n) / 2),
        Equation("top", (n,), Access("x", n, Access("next", n))),
    )
    whole = program(*equations, inputs=(x, ids))
    check(whole)
    assert integer_tensors(whole) == {"t", "best", "next"}
    with pytest.raises(DeriveError, match="positions are integers"):
        check(
            program(
                *equations, Equation("z", (n,), Access("x", n, Access("half", n))), inputs=(x, ids)
            )
        )


def test_conditions_guard_their_branches_only():
    short = Access("v", n)
    inputs = (Tensor("v", (i,)), x)
    check(y(Reduce("sum", short, (n,), and_(lt(n, i.size))), (), inputs=inputs))
    with pytest.raises(DeriveError, match="index n has size N"):
        check(y(where(lt(0, short), 1, 0), (n,), inputs=inputs))
