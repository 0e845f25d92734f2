"""What a generated module does: `train_step`, `fit`, answers, `save`, `load`, and wrong input."""

import copy
import json
import tracemalloc
import zipfile

import numpy as np
import pytest
from networks import TINY, compiled, spec

net = compiled(TINY)
BINARY = TINY.replace("units = 3", "units = 1").replace(
    "softmax_cross_entropy", "binary_cross_entropy"
)
REGRESSION = TINY.replace("units = 3", "units = 2").replace("softmax_cross_entropy", "mse")


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(30, 4))
    return x, (x[:, 0] > 0) + (x[:, 1] > 0.5).astype(np.int64)


def copies(params):
    return {name: array.copy() for name, array in params.items()}


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


# One step.


def reference(spec_text, x, y, steps, update):
    """The parameters after `steps` steps of an update written by hand, in float64."""
    module = compiled(spec_text)
    params = {name: array.astype(np.float64) for name, array in module.init(0).items()}
    state = {}
    for t in range(1, steps + 1):
        _, gradients = module.value_and_grad(params, x, y)
        for name, g in gradients.items():
            params[name] = update(params[name], g, state.setdefault(name, {}), t, gradients)
    return params


def trained(spec_text, x, y, steps):
    model = compiled(spec_text).Model(0)
    for _ in range(steps):
        model.train_step(x, y)
    return model.params


def adam(w, g, s, t, _):
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g**2
    return w - 0.01 * (s["m"] / (1 - 0.9**t)) / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-8)


def sgd(w, g, s, t, _):
    return w - 0.1 * g


def clipped(limit):
    def update(w, g, s, t, gradients):
        norm = np.sqrt(sum((other**2).sum() for other in gradients.values()))
        return w - 0.1 * (g * min(1.0, limit / norm) + 0.03 * w)

    return update


SGD = 'type = "sgd"\nlearning_rate = 0.1'
STEPS = {
    "adam": (spec(), adam),
    "sgd": (spec(optimizer=SGD), sgd),
    "l2": (
        spec(optimizer=SGD, regularization="l2 = 0.03"),
        lambda w, g, s, t, _: w - 0.1 * (g + 0.03 * w),
    ),
    "l1": (
        spec(optimizer=SGD, regularization="l1 = 0.03"),
        lambda w, g, s, t, _: w - 0.1 * (g + 0.03 * np.sign(w)),
    ),
    "decoupled weight decay": (
        spec(regularization="weight_decay = 0.2"),
        lambda w, g, s, t, _: adam(w * (1 - 0.01 * 0.2), g, s, t, _),
    ),
    "clipping, before regularization": (
        spec(
            optimizer=SGD,
            regularization="l2 = 0.03",
            training="epochs = 3\nbatch_size = 8\ngradient_clip_norm = 0.05",
        ),
        clipped(0.05),
    ),
    "a norm below the limit": (
        spec(
            optimizer=SGD,
            regularization="l2 = 0.03",
            training="epochs = 3\nbatch_size = 8\ngradient_clip_norm = 1e3",
        ),
        clipped(1e3),
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_steps_are_those_of_the_update_by_hand(name, data):
    text, update = STEPS[name]
    expected = reference(text, *data, steps=7, update=update)
    params = trained(text, *data, steps=7)
    for parameter, array in params.items():
        np.testing.assert_allclose(array, expected[parameter], rtol=2e-4, atol=2e-6)


def test_a_step_gives_the_unregularized_loss_before_it(data):
    regularized = compiled(spec(regularization="l2 = 10.0"))
    model = regularized.Model(1)
    value, _ = regularized.value_and_grad(model.params, *data)
    assert model.train_step(*data) == pytest.approx(value, rel=1e-6)


def test_a_large_vector_is_updated_in_tiles():
    text = spec(optimizer=SGD).replace("units = 5", "units = 20000")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 4)), np.array([0, 1, 2, 0])
    assert compiled(text).SIZE > 3 * 32768
    expected = reference(text, x, y, 2, sgd)
    for name, array in trained(text, x, y, 2).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_warm_step_allocates_nothing_of_the_size_of_the_data(dtype):
    wide = compiled(TINY.replace("units = 5", "units = 1024").replace("[4]", "[256]"))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2048, 256)).astype(dtype), rng.integers(0, 3, 2048)
    model = wide.Model(0)
    for _ in range(2):
        model.train_step(x, y)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        model.train_step(x, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before <= 256 * 1024


def test_workspaces_of_many_sizes_do_not_pile_up(data):
    model = net.Model(0)
    for n in range(1, 20):
        model.train_step(data[0][:n], data[1][:n])
    assert len(model._workspaces) <= 4


def test_batches_of_other_sizes_do_not_disturb_each_other(data):
    x, y = data
    one, other = net.Model(0), net.Model(0)
    for n in (8, 3, 8, 30, 3):
        one.train_step(x[:n], y[:n])
        other._workspaces.clear()
        other.train_step(x[:n], y[:n])
    assert same(one.params, other.params)


def test_parameters_are_writable_views(data):
    model = net.Model(0)
    for array in model.params.values():
        array[...] = 0
    assert model.evaluate(*data)["loss"] == pytest.approx(np.log(3), rel=1e-6)
    assert model.train_step(*data) == pytest.approx(np.log(3), rel=1e-6)


# Gradients.


def test_gradients_are_fresh_named_like_the_parameters_and_of_their_type(data):
    params = net.init(0)
    value, first = net.value_and_grad(params, *data)
    kept = copies(first)
    net.value_and_grad(params, data[0] + 1, data[1])
    assert isinstance(value, float)
    assert same(first, kept)
    assert {n: g.shape for n, g in first.items()} == net.PARAMETERS
    assert {g.dtype for g in first.values()} == {np.dtype(np.float32)}
    assert same(params, net.init(0))


def test_gradients_in_float64_agree_with_central_differences(data):
    rng = np.random.default_rng(2)
    params = {name: array.astype(np.float64) for name, array in net.init(3).items()}
    _, gradients = net.value_and_grad(params, *data)
    direction = {name: rng.normal(size=a.shape) for name, a in params.items()}

    def along(h):
        moved = {name: a + h * direction[name] for name, a in params.items()}
        return net.value_and_grad(moved, *data)[0]

    expected = (along(1e-5) - along(-1e-5)) / 2e-5
    found = sum((gradients[name] * direction[name]).sum() for name in params)
    assert found == pytest.approx(expected, rel=1e-8)


def test_integers_lists_and_odd_strides_are_read_as_what_they_are(data):
    params, x = net.init(0), np.round(data[0] * 3)
    expected, _ = net.value_and_grad(params, x, data[1])
    wide = np.zeros((60, 8))
    wide[::2, ::2] = x
    for given in (x.astype(np.int64), x.tolist(), np.asfortranarray(x), wide[::2, ::2]):
        assert net.value_and_grad(params, given, data[1].tolist())[0] == expected


# fit.


def test_fit_gives_the_history_and_goes_down(data, capsys):
    model = net.Model(0)
    history = model.fit(*data, epochs=30, batch_size=7, validation_data=data)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert all(len(values) == 30 and np.isfinite(values).all() for values in history.values())
    assert history["loss"][-1] < history["loss"][0]
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(*data)["loss"])
    assert model.epoch == 30
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "epoch 30/30" in printed.err


def test_progress_can_be_silent(data, capsys):
    net.Model(0).fit(*data, progress=False)
    assert capsys.readouterr() == ("", "")


def test_the_defaults_of_fit_are_those_of_the_spec(data):
    history = net.Model(0).fit(*data, progress=False)
    assert len(history["loss"]) == 3
    assert net.Model.fit.__defaults__[:2] == (3, 8)


def test_the_last_batch_may_be_smaller_and_no_sample_is_left_out(data):
    x, y = data
    model, all_at_once = net.Model(0), []
    before = model.evaluate(x, y)["loss"]
    frozen = compiled(spec(optimizer='type = "sgd"\nlearning_rate = 1e-30')).Model(0)
    for batch_size in (7, 30, 100):
        history = frozen.fit(x, y, epochs=1, batch_size=batch_size, progress=False)
        all_at_once.append(history["loss"][0])
    np.testing.assert_allclose(all_at_once, before, rtol=1e-5)


def test_batches_are_drawn_by_the_generator_of_the_model(data):
    x, y = data
    fitted, shuffled, in_order = (net.Model(4) for _ in range(3))
    fitted.fit(x, y, epochs=2, batch_size=8, progress=False)
    for _ in range(2):
        drawn = shuffled.generator.permutation(len(x))
        for model, order in ((shuffled, drawn), (in_order, np.arange(len(x)))):
            for rows in np.split(order, range(8, len(x), 8)):
                model.train_step(x[rows], y[rows])
    assert same(fitted.params, shuffled.params)
    assert not same(fitted.params, in_order.params)


def test_equal_seeds_train_alike_and_others_do_not(data):
    one, two, three = (net.Model(seed) for seed in (4, 4, 5))
    for model in (one, two, three):
        model.fit(*data, epochs=2, batch_size=8, progress=False)
    assert same(one.params, two.params)
    assert not same(one.params, three.params)
    assert same(net.Model(seed=4).params, net.init(seed=4))


def test_a_loss_that_is_not_finite_stops_fit_with_the_last_finite_parameters(data):
    x, y = data[0], data[0][:, :2]
    text = REGRESSION.replace("learning_rate = 0.01", "learning_rate = 1e8").replace("adam", "sgd")
    model = compiled(text).Model(0)
    with pytest.raises(FloatingPointError, match=r"the loss became (nan|inf) in epoch \d+"):
        model.fit(x, y, epochs=20, batch_size=8, progress=False)
    assert all(np.isfinite(array).all() for array in model.params.values())
    assert np.isfinite(model.evaluate(x, y)["loss"])


def test_a_first_loss_that_is_not_finite_changes_nothing(data):
    model = net.Model(0)
    model.params["dense_2.W"][...] = 3e38
    before = copies(model.params)
    with pytest.raises(FloatingPointError, match="epoch 1"):
        model.fit(*data, epochs=1, progress=False)
    assert same(model.params, before)


def test_a_single_step_without_a_finite_loss_changes_nothing(data):
    x, y = data
    model = net.Model(0)
    model.train_step(x, y)
    before = copies(model._state())
    assert np.isnan(model.train_step(np.full_like(x, np.nan), y))
    assert same(model._state(), before)


# Answers.


def test_predictions_are_the_most_probable_classes(data):
    model = net.Model(0)
    model.fit(*data, epochs=40, progress=False)
    p, labels = model.predict_proba(data[0]), model.predict(data[0])
    assert p.shape == (30, 3)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    assert labels.dtype.kind == "i"
    assert np.array_equal(labels, p.argmax(axis=1))
    assert model.evaluate(*data)["accuracy"] == np.mean(labels == data[1])
    assert np.array_equal(net.forward(model.params, data[0]).argmax(axis=1), labels)


def test_answers_belong_to_the_caller(data):
    model = net.Model(0)
    first = model.predict_proba(data[0])
    kept = first.copy()
    model.predict_proba(data[0][::-1])
    assert np.array_equal(first, kept)


def test_two_classes_have_a_probability_and_labels_0_and_1(data):
    x, y = data[0], (data[1][:, None] > 0).astype(int)
    model = compiled(BINARY).Model(0)
    history = model.fit(x, y, epochs=60, validation_data=(x, y), progress=False)
    assert history["accuracy"][-1] > 0.8
    p = model.predict_proba(x)
    assert p.shape == (30, 1)
    assert ((p > 0) & (p < 1)).all()
    assert np.array_equal(model.predict(x), (p > 0.5).astype(int))
    assert set(model.evaluate(x, y)) == {"loss", "accuracy"}


def test_a_regression_predicts_its_output_and_has_no_accuracy(data):
    x, y = data[0], data[0][:, :2] * 2
    module = compiled(REGRESSION)
    model = module.Model(0)
    history = model.fit(x, y, epochs=5, validation_data=(x, y), progress=False)
    assert set(history) == {"loss", "val_loss"}
    assert np.array_equal(model.predict(x), module.forward(model.params, x))
    assert model.evaluate(x, y) == {
        "loss": pytest.approx(np.mean((model.predict(x) - y) ** 2), rel=1e-5)
    }
    assert not hasattr(model, "predict_proba")


# Saving.


def test_training_goes_on_bit_for_bit_after_loading(data, tmp_path):
    whole = net.Model(9)
    whole.fit(*data, epochs=5, batch_size=7, progress=False)
    part = net.Model(9)
    part.fit(*data, epochs=2, batch_size=7, progress=False)
    part.save(tmp_path / "weights.npz")
    loaded = net.Model.load(tmp_path / "weights.npz")
    assert loaded.epoch == 2
    history = loaded.fit(*data, epochs=3, batch_size=7, progress=False)
    assert same(loaded._state(), whole._state())
    assert loaded.epoch == 5
    assert loaded.generator.bit_generator.state == whole.generator.bit_generator.state
    assert len(history["loss"]) == 3


def test_a_file_is_written_whole_where_it_was_asked_for(tmp_path):
    model = net.Model(0)
    model.save(str(tmp_path / "weights"))
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
    model.save(str(tmp_path / "weights"))
    assert same(net.Model.load(str(tmp_path / "weights")).params, model.params)


def test_a_file_holds_no_pickles(tmp_path):
    path = tmp_path / "weights.npz"
    net.Model(0).save(path)
    with np.load(path, allow_pickle=False) as held:
        assert {held[name].dtype.kind for name in held.files} <= set("fiU")
        assert set(net.PARAMETERS) < set(held.files)
    with np.load(path) as held:
        arrays = dict(held)
    np.savez(path, **{**arrays, "epoch": np.array([{}], object)})
    with pytest.raises(ValueError, match="pickle"):
        net.Model.load(path)


def test_a_file_of_another_network_is_refused(tmp_path):
    path = tmp_path / "weights.npz"
    compiled(TINY.replace('"tiny"', '"other"')).Model(0).save(path)
    with pytest.raises(ValueError, match="holds the network other, not tiny"):
        net.Model.load(path)
    compiled(TINY.replace("units = 5", "units = 6")).Model(0).save(path)
    with pytest.raises(ValueError, match=r"dense_1.W: expected \(4, 5\), given \(4, 6\)"):
        net.Model.load(path)
    compiled(spec(optimizer=SGD)).Model(0).save(path)
    with pytest.raises(ValueError, match=r"optimizer.m: expected \(43,\), given nothing"):
        net.Model.load(path)


def test_what_is_no_saved_model_is_refused(tmp_path):
    path = tmp_path / "weights.npz"
    path.write_text("not at all")
    with pytest.raises(ValueError, match=r"no file that Model.save wrote"):
        net.Model.load(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(ValueError, match=r"no file that Model.save wrote"):
        net.Model.load(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match=r"no file that Model.save wrote"):
        net.Model.load(path)
    with pytest.raises(FileNotFoundError):
        net.Model.load(tmp_path / "missing.npz")


def test_the_state_of_the_generator_is_json(tmp_path):
    net.Model(0).save(tmp_path / "weights.npz")
    with np.load(tmp_path / "weights.npz") as held:
        assert json.loads(str(held["generator"]))["bit_generator"] == "PCG64"


# Wrong input: one message, and nothing has changed.

X, Y = np.zeros((6, 4)), np.zeros(6, np.int64)
WRONG = {
    "features": (X[:, :3], Y, r"x: expected shape \(N, 4\), given \(6, 3\)"),
    "rank": (X[0], Y, r"x: expected shape \(N, 4\), given \(4,\)"),
    "no sample": (X[:0], Y[:0], r"x: expected shape \(N, 4\) without a 0, given \(0, 4\)"),
    "targets": (X, Y[:5], r"y: expected shape \(6,\), given \(5,\)"),
    "rank of targets": (X, Y[:, None], r"y: expected shape \(6,\), given \(6, 1\)"),
    "a class too high": (X, Y + 3, "y: expected integers from 0 to 2, given 3 to 3"),
    "a class too low": (X, Y - 1, "y: expected integers from 0 to 2, given -1 to -1"),
    "classes as floats": (X, Y + 0.5, "y: expected integers, given elements of type float64"),
    "text": (X.astype(str), Y, "x: expected numbers, given elements of type <U"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arrays_are_named_with_expected_and_given(name):
    x, y, message = WRONG[name]
    model = net.Model(0)
    before = copies(model._state())
    calls = [
        lambda: model.train_step(x, y),
        lambda: model.fit(x, y, epochs=1, progress=False),
        lambda: model.fit(X, Y, epochs=1, validation_data=(x, y), progress=False),
        lambda: model.evaluate(x, y),
        lambda: net.value_and_grad(model.params, x, y),
    ]
    if message.startswith("x"):
        calls += [lambda: model.predict(x), lambda: net.forward(model.params, x)]
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()
    assert same(model._state(), before)
    assert model.epoch == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_data_that_is_not_finite_is_refused_before_training(value):
    x = X.copy()
    x[3, 2] = value
    model = net.Model(0)
    before = copies(model._state())
    with pytest.raises(ValueError, match="x: expected finite numbers, given nan, inf"):
        model.fit(x, Y, progress=False)
    with pytest.raises(ValueError, match="x: expected finite numbers, given nan, inf"):
        model.fit(X, Y, validation_data=(x, Y), progress=False)
    assert same(model._state(), before)


@pytest.mark.parametrize("name", ["epochs", "batch_size"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "3", True])
def test_epochs_and_batch_size_are_integers_above_0(name, value):
    with pytest.raises(ValueError, match=f"{name}: expected an integer above 0"):
        net.Model(0).fit(X, Y, **{name: value}, progress=False)


def test_parameters_of_other_names_or_shapes_are_refused():
    params = net.init(0)
    with pytest.raises(ValueError, match=r"dense_1\.b"):
        net.forward({n: a for n, a in params.items() if n != "dense_1.b"}, X)
    with pytest.raises(ValueError, match=r"dense_9\.b"):
        net.forward({**params, "dense_9.b": X}, X)
    with pytest.raises(ValueError, match=r"dense_1.b: expected shape \(5,\), given \(6,\)"):
        net.value_and_grad({**params, "dense_1.b": np.zeros(6)}, X, Y)


def test_setting_a_parameter_writes_into_the_model(data):
    x, y = data
    model = net.Model(0)
    name = next(iter(net.PARAMETERS))
    view = model.params[name]
    model.params[name] = np.full(net.PARAMETERS[name], 0.5)
    assert model.params[name] is view
    assert (view == 0.5).all()
    before = model.evaluate(x, y)["loss"]
    model.params[name] = 0
    assert model.evaluate(x, y)["loss"] != before
    with pytest.raises(KeyError, match="no_such"):
        model.params["no_such.W"] = 0
    model.params.update({name: np.full(net.PARAMETERS[name], 0.5)})
    assert model.params[name] is view and (view == 0.5).all()
    model.params |= {name: np.zeros(net.PARAMETERS[name])}
    assert model.params[name] is view and (view == 0).all()
    with pytest.raises(KeyError, match="no_such"):
        model.params.update({"no_such.W": 0})
    apart = copy.deepcopy(model.params)
    apart[name] += 1
    assert (view == 0).all()


def test_numbers_too_large_for_the_network_are_refused(data):
    x, y = data
    with pytest.raises(ValueError, match="too large"):
        net.Model(0).fit(x * 1e300, y, progress=False)


def test_a_network_without_parameters_is_no_special_case():
    layers = "[[layers]]\ntype = 'flatten'\n"
    head, _, rest = TINY.partition("[[layers]]")
    net = compiled(head + layers + "[loss]" + rest.partition("[loss]")[2])
    model = net.Model(seed=0)
    x, y = np.ones((5, 4)), np.zeros(5, int)
    assert model.train_step(x, y) == pytest.approx(np.log(4))
    assert model.predict(x).shape == (5,)
