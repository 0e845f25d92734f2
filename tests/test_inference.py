"""Answers of a network: fresh arrays, parameters that are read where they are, parts of a batch."""

import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest
from networks import TINY, compiled, source

from derive import pipeline
from derive.networks.in_parts import coupled, no_mean

WIDE = TINY.replace("[4]", "[500]").replace("units = 5", "units = 700")
CENTRED = (
    TINY.replace('type = "dense"\nunits = 5\nactivation = "tanh"', 'type = "centred"')
    + '\n[define.layer.centred]\ninput = "x[n,i]"\n'
    + 'forward = "y[n,i] = x[n,i] - mean[n](x[n,i])"\n'
)


def regression(formula):
    text = TINY.replace("softmax_cross_entropy", "own")
    return f"{text}\n[define.loss.own]\nformula = {formula!r}\n"


MEAN = regression("L = mean[n,i]((z[n,i] - y[n,i])**2)")
ROOT = regression("L = sqrt(mean[n,i]((z[n,i] - y[n,i])**2))")
QUOTIENT = regression("L = sum[n,i](abs(z[n,i] - y[n,i])*y[n,i]**2)/(1 + sum[n,i](y[n,i]**2))")


def drawn(net, N, seed=0):
    rng = np.random.default_rng(seed)
    shapes = (N, *net.INPUT["axes"][1:]), (N, *net.TARGET["axes"][1:])
    x = rng.standard_normal(shapes[0]).astype(np.float32)
    below = net.TARGET["below"]
    return x, rng.integers(0, below, shapes[1]) if below else rng.standard_normal(shapes[1])


def in_parts(net, size, monkeypatch):
    """The module as it is, but for how many samples are taken at once."""
    for name in ("ANSWERED", "MEASURED"):
        assert getattr(net, name)
        monkeypatch.setattr(net, name, size)


def test_no_array_of_the_parameters_is_copied():
    net = compiled(WIDE)
    params = net.init(0)
    held, dtype = net._held(params, net.ARRAYS)
    assert dtype == np.float32
    assert all(held[name] is params[name] for name in params)
    ws = net.Inference(held, dtype, 1)
    assert np.shares_memory(ws.W_1, params["dense_1.W"])
    model = net.Model(0)
    x = drawn(net, 1)[0]
    for call in (lambda: net.forward(params, x), lambda: model.predict(x)):
        call()
        tracemalloc.start()
        call()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 * net.SIZE / 20


@pytest.mark.parametrize(
    "given", ["float64", "mixed", "reversed", "big-endian", "lists", "strided"]
)
def test_what_does_not_fit_is_converted(given):
    net = compiled(TINY)
    params = net.init(0)
    x = drawn(net, 5)[0]
    expected = net.forward(params, x)
    assert expected.dtype == np.float32
    name = "dense_1.W"
    other = {
        "float64": lambda a: a.astype(np.float64),
        "mixed": lambda a: a.astype(np.float64),
        "reversed": np.asfortranarray,
        "big-endian": lambda a: a.astype(">f4"),
        "lists": lambda a: a.tolist(),
        "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
    }[given]
    chosen = params if given == "float64" else [name]
    changed = {n: other(a) if n in chosen else a for n, a in params.items()}
    found = net.forward(changed, x)
    wide = given in ("float64", "mixed", "lists")
    assert found.dtype == (np.float64 if wide else np.float32)
    assert found.dtype.isnative
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_parameters_and_inputs_are_only_read():
    net = compiled(TINY)
    params = net.init(0)
    x, y = drawn(net, 7)
    for array in (*params.values(), x, y):
        array.flags.writeable = False
    first = net.forward(params, x)
    assert not any(np.shares_memory(first, a) for a in (*params.values(), x))
    first[...] = 0
    assert net.forward(params, x).any()


@pytest.mark.parametrize("text", [TINY, MEAN])
def test_answers_are_fresh(text):
    net = compiled(text)
    model = net.Model(0)
    x = drawn(net, 6)[0]
    methods = [model.predict, lambda x: net.forward(model.params, x)]
    methods += [model.predict_proba] if hasattr(model, "predict_proba") else []
    for method in methods:
        first = method(x)
        kept = first.copy()
        second = method(-x)
        assert not np.shares_memory(first, second)
        assert not any(np.shares_memory(first, a) for a in model.params.values())
        assert np.array_equal(first, kept)
        first[...] = 1
        assert np.array_equal(method(x), kept)


def test_predictions_follow_the_parameters():
    net = compiled(MEAN)
    model = net.Model(0)
    x, y = drawn(net, 6)
    before = model.predict(x)
    model.train_step(x, y)
    assert not np.array_equal(model.predict(x), before)
    np.testing.assert_allclose(model.predict(x), net.forward(model.params, x), rtol=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("text", [TINY, MEAN])
def test_parts_answer_as_the_whole(text, threads, monkeypatch):
    net = compiled(text.replace('name = "tiny"', 'name = "tiny"\ndtype = "float64"'))
    model = net.Model(0, threads=threads)
    x, y = drawn(net, 23)
    reads = [model.predict, lambda x: net.forward(model.params, x)]
    whole, measured = [read(x) for read in reads], model.evaluate(x, y)
    for size in (1, 5, 22, 23, 24):
        with monkeypatch.context() as patched:
            in_parts(net, size, patched)
            for read, expected in zip(reads, whole, strict=True):
                np.testing.assert_allclose(read(x), expected, rtol=1e-12, atol=1e-14)
            assert model.evaluate(x, y) == pytest.approx(measured, rel=1e-12)


def test_few_workspaces_are_kept():
    net = compiled(TINY)
    model = net.Model(0)
    for N in range(1, 12):
        model.predict(drawn(net, N)[0])
        model.evaluate(*drawn(net, N))
    assert len(model._answers.free) <= 4
    assert len(model._evaluations.free) <= 4


def test_memory_does_not_grow_with_the_data():
    net = compiled(WIDE)
    model = net.Model(0)
    peaks = []
    for N in (2 * net.MEASURED, 8 * net.MEASURED):
        x, y = drawn(net, N)
        tracemalloc.start()
        model.evaluate(x, y)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_threads_may_share_a_model():
    net = compiled(MEAN)
    model = net.Model(0)
    x, _ = drawn(net, 40)
    expected = model.predict(x)
    wrong = []

    def ask():
        for _ in range(50):
            if not np.array_equal(model.predict(x), expected):
                wrong.append(1)

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert not wrong


def test_coupled_samples_are_answered_together():
    net = compiled(CENTRED)
    assert net.ANSWERED is None
    assert net.MEASURED is None


@pytest.mark.parametrize("text", [ROOT, QUOTIENT])
def test_a_loss_that_is_no_mean_is_measured_at_once(text):
    net = compiled(text)
    assert net.ANSWERED
    assert net.MEASURED is None
    assert net.NOT_SHARED.startswith("the loss is no mean over the samples")


def program(*lines):
    return pipeline.forward("\n".join(lines))


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["z[n,j] = sum[i](x[n,i]*W[i,j])"], False),
        (["z[n,j] = x[n,j] - mean[n](x[n,j])"], True),
        (["z[n,j] = x[n,j]*N"], True),
        (["z[n,j] = x[n,j]*n"], True),
    ],
)
def test_what_couples_samples(lines, found):
    made = program(*lines)
    batch = next(i for t in made.inputs for i in t.axes if str(i.size) == "N")
    assert bool(coupled(made, made.equations, batch)) == found


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["L = mean[n](z[n])"], False),
        (["L = mean[n,j](z[n,j]**2)"], False),
        (["a = mean[n](z[n])", "L = 2*a + 1"], False),
        (["a = mean[n](z[n])", "b = mean[n](z[n]**2)", "L = b - a"], False),
        (["a = mean[n](z[n])", "b = mean[n](z[n]**2)", "L = b - a**2"], True),
        (["a = mean[n](z[n])", "b = mean[n](z[n]**2)", "L = b/a"], True),
        (["a = mean[n](z[n])", "L = mean[n]((z[n] - a)**2)"], True),
        (["L = sum[n](z[n])"], True),
        (["L = max[n](z[n])"], True),
        (["L = mean[n](z[n]*n)"], True),
        (["L = mean[n](z[n])*N"], True),
        (["L = sqrt(mean[n](z[n]))"], True),
    ],
)
def test_what_is_no_mean(lines, found):
    made = program(*lines)
    batch = next(i for t in made.inputs for i in t.axes if str(i.size) == "N")
    assert bool(no_mean(made, made.equations, batch)) == found


def test_an_answer_needs_no_arrays_of_the_loss():
    text = source(TINY)
    made = text[text.index("class Inference") : text.index("def inference_pass")]
    assert made.count("_empty(") == 2  # the outputs of two layers; the input is where it is


# What `forward` keeps for the next call.


def test_arrays_are_kept_for_the_same_parameters():
    net = compiled(MEAN)
    params = net.init(0)
    x, _ = drawn(net, 6)
    first = net.forward(params, x)
    kept = net._last[1]
    assert np.array_equal(net.forward({**params}, x), first)  # another dict of the same arrays
    assert net._last[1] is kept
    assert [len(spaces) for spaces in kept.free.values()] == [1]


def test_what_changes_in_the_parameters_is_seen():
    net = compiled(MEAN)
    params, (x, _) = net.init(0), drawn(net, 6)
    other = net.init(1)
    expected = net.forward(other, x).copy()
    net.forward(params, x)
    for name, array in other.items():
        params[name][...] = array  # in place
    assert np.array_equal(net.forward(params, x), expected)
    for name, array in net.init(2).items():
        params[name] = array  # replaced, one by one
        alone = {n: a.copy() for n, a in params.items()}
        assert np.array_equal(net.forward(params, x), net.forward(alone, x))
        net.forward(params, x)
    model = net.Model(3)
    before = net.forward(model.params, x)
    model.params["dense_1.W"] = 0
    assert not np.array_equal(net.forward(model.params, x), before)


@pytest.mark.parametrize("other", [np.asfortranarray, lambda a: a.astype(">f4"), np.float64])
def test_what_changes_in_converted_parameters_is_seen(other):
    net = compiled(MEAN)
    params, (x, _) = {n: other(a) for n, a in net.init(0).items()}, drawn(net, 6)
    first = net.forward(params, x)
    params["dense_1.W"] *= 2
    second = net.forward(params, x)
    assert not np.array_equal(first, second)
    fresh = {n: a.copy() for n, a in params.items()}
    assert np.array_equal(second, net.forward(fresh, x))


def test_what_does_not_fit_is_told_after_what_fits():
    net = compiled(TINY)
    params, (x, _) = net.init(0), drawn(net, 6)
    net.forward(params, x)
    without = {n: a for n, a in params.items() if n != "dense_1.b"}
    with pytest.raises(ValueError, match=r"missing or unknown: \['dense_1.b'\]"):
        net.forward(without, x)
    with pytest.raises(ValueError, match=r"missing or unknown: \['c'\]"):
        net.forward({**params, "c": params["dense_1.b"]}, x)
    with pytest.raises(ValueError, match=r"missing or unknown: \['c', 'dense_1.b'\]"):
        net.forward({**without, "c": params["dense_1.b"]}, x)
    with pytest.raises(ValueError, match=r"dense_1.b: expected shape \(5,\), given \(4,\)"):
        net.forward({**params, "dense_1.b": np.zeros(4)}, x)
    for given in (x[:, :3], x[0], x[:0], x[None]):
        with pytest.raises(ValueError, match=r"x: expected shape \(N, 4\)"):
            net.forward(params, given)
    with pytest.raises(ValueError, match="x: expected numbers"):
        net.forward(params, x.astype(complex))
    for of in (complex, str):
        with pytest.raises(ValueError, match=r"dense_1\.b: expected numbers"):
            net.forward({**params, "dense_1.b": params["dense_1.b"].astype(of)}, x)
    assert net.forward(params, x).shape == (6, 3)


def test_tokens_are_looked_at_each_time():
    net = compiled(TOKENS)
    params = net.init(0)
    x = np.array([[0, 1, 6]])
    first = net.forward(params, x)
    for given in (7, -1):
        x[0, 1] = given
        with pytest.raises(ValueError, match="x: expected integers from 0 to 6"):
            net.forward(params, x)
    x[0, 1] = 1
    assert np.array_equal(net.forward(params, x.astype(np.int32)), first)


TOKENS = """
name = "tokens"
[input]
shape = [3]
dtype = "int64"
vocabulary = 7
[[layers]]
type = "embedding"
vocabulary = 7
dim = 4
[[layers]]
type = "flatten"
[[layers]]
type = "dense"
units = 3
[loss]
type = "softmax_cross_entropy"
[optimizer]
type = "sgd"
learning_rate = 0.1
"""
IMAGES = """
name = "images"
[input]
shape = [6, 6, 2]
[[layers]]
type = "conv2d"
filters = 3
kernel_size = 3
activation = "relu"
[[layers]]
type = "flatten"
[[layers]]
type = "dense"
units = 3
[loss]
type = "softmax_cross_entropy"
[optimizer]
type = "sgd"
learning_rate = 0.1
"""


@pytest.mark.parametrize(
    "other",
    [
        lambda x: x.astype(np.float64),
        lambda x: x.astype(">f4"),
        lambda x: x.astype(np.float16),
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
        lambda x: x[::-1].copy()[::-1],
        lambda x: np.frombuffer(b"?" + x.tobytes(), np.float32, offset=1).reshape(x.shape),
        lambda x: x.tolist(),
    ],
    ids=["double", "big-endian", "half", "reversed", "rows", "columns", "back", "odd", "list"],
)
@pytest.mark.parametrize("text", [TINY, IMAGES])
def test_an_input_may_lie_as_it_likes(text, other):
    net = compiled(text)
    params, model = net.init(0), net.Model(0)
    x = np.round(drawn(net, 7)[0], 1).astype(np.float16).astype(np.float32)
    for N in (7, 1):
        expected = net.forward(params, x[:N].copy())
        found = net.forward(params, other(x[:N]))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert found.dtype == np.float32
        assert np.array_equal(model.predict(other(x[:N])), model.predict(x[:N].copy()))


def test_an_input_that_fits_is_not_copied_nor_kept():
    net = compiled(TINY.replace("[4]", "[5000]"))
    params, model = net.init(0), net.Model(0)
    x = np.ones((100, 5000), np.float32)
    for call in (lambda x: net.forward(params, x), model.predict):
        call(x)
        tracemalloc.start()
        call(x)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < x.nbytes / 20
    died = weakref.finalize(x, int)
    del x
    gc.collect()
    assert not died.alive


def test_of_parameters_only_the_last_are_kept():
    net = compiled(MEAN)
    params, (x, _) = net.init(0), drawn(net, 6)
    net.forward(params, x)
    died = weakref.finalize(params["dense_1.W"], int)
    del params
    net.forward(net.init(1), x)
    gc.collect()
    assert not died.alive


def test_arrays_for_many_samples_are_not_kept():
    net = compiled(CENTRED)  # in which all samples are answered together
    params = net.init(0)
    for N, kept in ((net.KEPT, True), (net.KEPT + 1, False)):
        net.forward(params, drawn(net, N)[0])
        assert ((N,) in net._last[1].free) == kept


def test_threads_may_call_forward_with_other_parameters():
    net = compiled(MEAN)
    x, _ = drawn(net, 40)
    some = [net.init(seed) for seed in range(2)]
    expected = [net.forward(params, x) for params in some]
    wrong = []

    def ask(k):
        answers = [net.forward(some[(k + i) % 3 % 2], x) for i in range(200)]
        for i, found in enumerate(answers):  # after later calls: none may have been written over
            if not np.array_equal(found, expected[(k + i) % 3 % 2]):
                wrong.append(1)

    asking = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert not wrong


def test_parts_are_shared_where_training_is_not():
    net = compiled(NORMED)
    assert net.NOT_SHARED
    assert net.THREADS == 1
    assert net.ANSWERING == 2
    assert compiled(TINY).ANSWERING == 1  # done before another thread has begun
    x = drawn(net, 4)[0]
    x = np.concatenate([x] * net.ANSWERED)
    model = net.Model(0)
    alone = net.Model(0, threads=1)
    np.testing.assert_allclose(model.predict_proba(x), alone.predict_proba(x), rtol=1e-6)


NORMED = (
    IMAGES.replace("[6, 6, 2]", "[32, 32, 8]")
    .replace("filters = 3", "filters = 16")
    .replace('activation = "relu"', 'activation = "relu"\n[[layers]]\ntype = "batch_norm"')
)


def test_so_many_samples_are_answered_at_once_as_stay_in_the_cache():
    assert compiled(TINY).ANSWERED == 1024
    assert compiled(NORMED).ANSWERED <= 64
    # Small products in many steps: of so few samples most of the time would go to the calls.
    many = TINY.replace("[4]", "[200, 8]").replace('"dense"\nunits = 5', '"gru"\nunits = 64')
    assert compiled(many).ANSWERED >= 64
