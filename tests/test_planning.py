"""Layouts, the dry run that judges them, and how many threads share a batch."""

from dataclasses import replace

import pytest

from derive.code.dry_run import estimate
from derive.code.layout import AS_WRITTEN, BATCH_LAST, FEATURES_FIRST, frames
from derive.code.lowering import BATCH, lower
from derive.code.planning import planned, shared
from derive.code.scheduling import workspace
from derive.gradients.normal_form import flatten
from derive.language.formula import parse
from derive.language.notation import Index, size

CONVOLUTION = """
z[n,p,q,j] = sum[k,l,c](x[n,p+k,q+l,c]*W[k,l,c,j]) + b[j]
a[n,p,q,j] = maximum(z[n,p,q,j], 0)
v[n,j] = sum[p,q](a[n,p,q,j])
"""


def program(text, **sizes):
    """A formula in normal form, its sizes numbers but that of the batch."""
    found = flatten(parse(text))
    numbers = {size(name.upper()): n for name, n in sizes.items()}

    def put(e):
        resized = {i: i.resized(numbers.get(i.size, i.size)) for i in e.atoms(Index)}
        return e.xreplace(resized).xreplace(numbers)

    def axes(own):
        return tuple(i.resized(numbers.get(i.size, i.size)) for i in own)

    equations = [replace(e, indices=axes(e.indices), body=put(e.body)) for e in found.equations]
    inputs = tuple(replace(t, axes=axes(t.axes)) for t in found.inputs)
    return replace(found, equations=tuple(equations), inputs=inputs, sizes=())


def order(found, tensor):
    return "".join(i.name for i in found[tensor])


def convolution():
    return program(CONVOLUTION, k=3, l=3, c=4, j=8, p=26, q=26)


def test_axes_lie_by_the_part_they_play():
    own = convolution()
    written = frames(own, AS_WRITTEN, BATCH, ())
    last = frames(own, BATCH_LAST, BATCH, ())
    first = frames(own, FEATURES_FIRST, BATCH, ())
    assert order(written, "a") == "npqj"
    assert order(last, "a") == "pjqn"
    assert order(first, "a") == "jnpq"
    assert order(last, "W") == order(first, "W") == "kl" + order(written, "W")[2:]


def test_fixed_tensors_stay_as_they_are_written():
    assert order(frames(convolution(), BATCH_LAST, BATCH, {"a"}), "a") == "npqj"


def dense(units):
    return program("z[n,j] = sum[i](x[n,i]*W[i,j]) + b[j]", i=units, j=units)


def timed(own, samples, layout=AS_WRITTEN):
    return estimate(workspace(lower(own, layout=layout, free=("x", "z"))), {BATCH: samples})


def test_a_dry_run_counts_products_and_touches_nothing():
    small, large = (timed(dense(64), n) for n in (64, 4096))
    assert small.calls == large.calls == 2
    assert large.products > 20 * small.products
    # 40 GB, of which no byte is touched.
    assert timed(dense(64), 10**8).time > 1000 * large.time


def test_a_dry_run_sees_short_inner_loops():
    bias = program("z[n,p,j] = x[n,p,j] + b[j]", p=256, j=4)
    written, last = (timed(bias, 64, layout).time for layout in (AS_WRITTEN, FEATURES_FIRST))
    assert written > 1.5 * last


def test_the_cheapest_layout_is_planned():
    own = program("z[n,p,j] = b[j]*exp(x[n,p,j] + b[j])", p=256, j=4)
    schedule = planned(own, ("z",), ("x", "b"), ("z", "x"), {BATCH: 64})
    assert schedule.turned.keys() == {"x", "z"}


@pytest.mark.parametrize(("units", "samples", "threads"), [(16, 32, 1), (2048, 64, 1)])
def test_small_steps_and_large_products_have_one_thread(units, samples, threads):
    schedule = workspace(lower(dense(units)))
    assert shared(schedule, BATCH, {BATCH: samples}) == threads


def test_many_long_elementwise_passes_are_shared():
    long = program("z[n,j] = exp(tanh(sin(x[n,j])))", j=100_000)
    assert shared(workspace(lower(long)), BATCH, {BATCH: 64}) == 2
