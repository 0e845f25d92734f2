"""A batch that several Python threads share: the same steps, to rounding."""

import copy
import os
import signal

import numpy as np
import pytest
from networks import TINY, compiled


def steps(model, sizes=(8, 7, 1, 2, 8)):
    rng = np.random.default_rng(1)
    return [model.train_step(rng.standard_normal((n, 4)), rng.integers(0, 3, n)) for n in sizes]


def test_threads_train_as_one_does():
    net = compiled(TINY.replace('name = "tiny"', 'name = "tiny"\ndtype = "float64"'))
    one, two, three = (net.Model(seed=3, threads=k) for k in (1, 2, 3))
    expected = steps(one)
    np.testing.assert_allclose(steps(two), expected, rtol=1e-12)
    np.testing.assert_allclose(steps(three), expected, rtol=1e-12)
    for name, array in one.params.items():
        np.testing.assert_allclose(two.params[name], array, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(three.params[name], array, rtol=1e-8, atol=1e-12)


def test_a_number_of_threads_fixes_every_bit():
    net = compiled(TINY)
    first, second = (net.Model(seed=0, threads=2) for _ in range(2))
    assert steps(first) == steps(second)
    assert all(np.array_equal(first.params[n], second.params[n]) for n in net.PARAMETERS)


def test_fit_measures_all_parts_of_a_batch():
    net = compiled(TINY)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((37, 4)), rng.integers(0, 3, 37)
    histories = [
        net.Model(seed=0, threads=k).fit(x, y, epochs=2, batch_size=16, progress=False)
        for k in (1, 2)
    ]
    assert histories[0].keys() == histories[1].keys()
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-5)


def test_what_fails_in_a_thread_fails_in_the_step():
    net = compiled(TINY)
    model = net.Model(seed=0, threads=2)
    with pytest.raises(ValueError, match="y: expected integers from 0 to 2, given 0 to 3"):
        model.train_step(np.zeros((4, 4)), np.array([0, 0, 0, 3]))
    assert np.isnan(model.train_step(np.full((4, 4), np.nan), np.zeros(4, int)))


def test_samples_that_depend_on_each_other_are_not_shared():
    coupled = TINY.replace("[loss]", '[[layers]]\ntype = "batch_norm"\n[loss]')
    net = compiled(coupled)
    with pytest.raises(ValueError, match=r"threads: a batch cannot be shared: mu_\d+ depends"):
        net.Model(threads=2)
    assert net.Model().train_step(np.ones((4, 4)), np.array([0, 1, 2, 0])) > 0


def test_neither_are_those_that_count_differently():
    """Why is told in full, on as many lines of the module as it takes."""
    weights = 'type = "softmax_cross_entropy"\nclass_weight = [0.5, 1.0, 3.0]'
    net = compiled(TINY.replace('type = "softmax_cross_entropy"', weights))
    reason = r"no mean over the samples: .* = sum\[n\]\(.*y\[n\] == 2.*\)$"
    with pytest.raises(ValueError, match=reason):
        net.Model(threads=2)


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "2"])
def test_a_wrong_number_of_threads_is_an_error(wrong):
    with pytest.raises(ValueError, match="threads: expected an integer above 0"):
        compiled(TINY).Model(threads=wrong)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_copy_trains_on_as_the_model_does(threads, tmp_path):
    """In parameters of its own: those of the model are views, which plain copies would lose."""
    net = compiled(TINY)
    model = net.Model(seed=2, threads=np.int64(threads))
    steps(model)
    model.save(tmp_path / "model.npz")
    others = [copy.deepcopy(model), net.Model.load(tmp_path / "model.npz", threads=threads)]
    before = {name: array.copy() for name, array in model.params.items()}
    expected = steps(model)
    for other in others:
        assert all(np.array_equal(other.params[name], a) for name, a in before.items())
        assert steps(other) == expected
        assert all(np.array_equal(other.params[name], a) for name, a in model.params.items())


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_has_threads_of_its_own():
    net = compiled(TINY)
    steps(net.Model(threads=2))
    child = os.fork()
    if not child:
        signal.alarm(20)  # where it waits for threads that it does not have
        steps(net.Model(threads=2))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
