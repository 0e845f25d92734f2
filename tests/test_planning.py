"""Layouts, the dry run that judges them, and how many threads share a batch."""

from dataclasses import replace
from itertools import count, pairwise, product

import numpy as np
import pytest

from derive.code import dry_run, planning
from derive.code.dry_run import estimate
from derive.code.layout import AS_WRITTEN, BATCH_LAST, FEATURES_FIRST, frames, roles
from derive.code.lowering import BATCH, arrangements, lower
from derive.code.planning import LAYOUTS, planned, shared
from derive.code.scheduling import workspace
from derive.code.statements import Statement
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


def arranged(own, layout, fixed=()):
    return frames(own, roles(own, BATCH), layout, fixed)


def order(found, tensor):
    return "".join(i.name for i in found[tensor])


def convolution():
    return program(CONVOLUTION, k=3, l=3, c=4, j=8, p=26, q=26)


def test_axes_lie_by_the_part_they_play():
    own = convolution()
    written = arranged(own, AS_WRITTEN)
    last = arranged(own, BATCH_LAST)
    first = arranged(own, FEATURES_FIRST)
    assert order(written, "a") == "npqj"
    assert order(last, "a") == "pjqn"
    assert order(first, "a") == "jnpq"
    assert order(last, "W") == order(first, "W") == "kl" + order(written, "W")[2:]


def test_fixed_tensors_stay_as_they_are_written():
    assert order(arranged(convolution(), BATCH_LAST, {"a"}), "a") == "npqj"


@pytest.mark.parametrize("text", ["z[n,j] = sum[i](x[n,i]*W[i,j]) + b[j]", CONVOLUTION])
def test_layouts_that_arrange_alike_are_lowered_once(text):
    own = program(text, k=3, l=3, i=4, c=4, j=8, p=6, q=6)
    choices = [*product(LAYOUTS, [(), ("x",), ("x", own.result)])]
    found = {c: lower(own, (own.result,), *c) for c in choices}
    once = {a.choice: a.lowered() for a in arrangements(own, (own.result,), choices)}
    assert len(once) < len(choices)
    for choice, lowered in once.items():
        assert lowered == found[choice]
    assert all(lowered in once.values() for lowered in found.values())


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


def test_no_element_is_read(monkeypatch):
    """Of arrays that the system would not give out there is one: what lies behind is not theirs."""
    behind = np.full(9, 7.0)

    def empty(shape, dtype):
        if np.prod(shape) > 1:
            raise MemoryError
        return behind[:1]

    clock = dry_run._Clock()
    monkeypatch.setattr(dry_run.np, "empty", empty)
    array = dry_run._made((3, 3), float, clock)
    places = np.array([0, 2])
    assert array[2, 1] == 1.0
    array[2, 1] = 5.0
    array[places, :] = 5.0
    assert array[places, :].shape == (2, 3)
    assert np.shares_memory(array[places, :], behind)  # made, not copied from there
    monkeypatch.undo()
    assert (behind == 7).all()
    assert clock.spent.calls > 2


ALIKE = """
a[n,j] = exp(x[n,j] + b[j])
c[n,j] = exp(a[n,j] + b[j])
d[n,k] = exp(y[n,k] + e[k])
f[n,j] = exp(W[j,n] + b[j])
g[n,j] = sum[k](d[n,k]*V[k,j])
h[n,j] = sum[k](y[n,k]*U[j,k])
i[n,j] = c[n,j]*f[n,j] + g[n,j]*h[n,j]
s[n,j] = sin(a[n,j] + b[j])
r = sum[n,j](i[n,j]*s[n,j])
"""


@pytest.mark.parametrize("samples", [8, 4096])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_statements_that_are_alike_take_what_each_alone_takes(monkeypatch, layout, samples):
    schedule = workspace(lower(program(ALIKE, j=40, k=8), layout=layout, free=("x", "W")))
    found = estimate(schedule, {BATCH: samples})
    unlike = count()
    monkeypatch.setattr(dry_run, "_likeness", lambda given: (next(unlike),))
    assert estimate(schedule, {BATCH: samples}) == found


def test_statements_are_not_alike_where_strides_differ():
    clock = dry_run._Clock()
    x, z = (dry_run._made((64, 64), np.float32, clock) for _ in range(2))
    run = dry_run._Run(clock, {"np": dry_run._NumPy(clock), "x": x, "y": x.T, "z": z})
    times = [0.0]
    for name in ("x", "x", "y"):
        run.one(Statement("z", into=f"np.exp({{{name}}}, out={{z}})"))
        times.append(clock.spent.time)
    first, second, third = (b - a for a, b in pairwise(times))
    assert first == second < third


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


def test_the_written_order_is_kept_where_another_gains_next_to_nothing(monkeypatch):
    layers = "z[n,j] = sum[i](x[n,i]*W[i,j])\na[n,j] = maximum(z[n,j], 0)\n"
    own = program(f"{layers}l[n] = sum[j](exp(a[n,j] - m[j]))", i=784, j=24)
    arguments = own, ("l", "a"), (), ("z", "a"), {BATCH: 64}
    assert not planned(*arguments).turned
    monkeypatch.setattr(planning, "CLEAR", 1.0)
    assert planned(*arguments).turned
    monkeypatch.undo()
    small = program(f"{layers}l[n] = sum[j](exp(a[n,j] - m[j]))", i=784, j=2)
    assert planned(small, *arguments[1:]).turned
