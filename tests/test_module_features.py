"""What a generated module has besides the gradient: states, draws, other derivatives, weights."""

import tracemalloc

import numpy as np
import pytest
from networks import TINY, compiled, spec

from derive.checks import compare

NORM = (
    TINY.replace(
        '[[layers]]\ntype = "dense"\nunits = 3',
        '[[layers]]\ntype = "normed"\n[[layers]]\ntype = "dense"\nunits = 3',
    )
    + """
[define.layer.normed]
input = "x[n,c]"
parameters = { gamma = { indices = "c", init = "ones" }, beta = { indices = "c", init = "zeros" } }
constants = { momentum = 0.9, eps = 1e-5 }
state.running_mean = { indices = "c", initial = 0 }
state.running_var = { indices = "c", initial = 1 }
forward = '''
mu[c] = mean[n](x[n,c])
var[c] = mean[n]((x[n,c] - mu[c])**2)
running_mean_next[c] = momentum*running_mean[c] + (1 - momentum)*mu[c]
running_var_next[c] = momentum*running_var[c] + (1 - momentum)*var[c]
y[n,c] = gamma[c] * (x[n,c] - mu[c]) / sqrt(var[c] + eps) + beta[c]
'''
inference = '''
y[n,c] = gamma[c] * (x[n,c] - running_mean[c]) / sqrt(running_var[c] + eps) + beta[c]
'''
"""
)
RANDOM = (
    TINY.replace(
        '[[layers]]\ntype = "dense"\nunits = 3',
        '[[layers]]\ntype = "noise"\n[[layers]]\ntype = "drop"\n'
        '[[layers]]\ntype = "dense"\nunits = 3',
    )
    + """
[define.layer.drop]
input = "x[n,*s]"
constants = { rate = 0.4 }
draws = { u = { indices = "n,*s", distribution = "uniform" } }
forward = "y[n,*s] = where(u[n,*s] < rate, 0, x[n,*s] / (1 - rate))"
inference = "y[n,*s] = x[n,*s]"
[define.layer.noise]
input = "x[n,c]"
constants = { std = 0.1 }
draws = { e = { indices = "n,c", distribution = "normal" } }
forward = "y[n,c] = x[n,c] + std*e[n,c]"
inference = "y[n,c] = x[n,c]"
"""
)
REGRESSION = TINY.replace("softmax_cross_entropy", "mse")
SECOND = TINY.replace('name = "tiny"', 'name = "tiny"\nsecond_order = true')
TOKENS = """
name = "tokens"
[input]
shape = [5]
dtype = "int64"
vocabulary = 7
[[layers]]
type = "table"
units = 3
[[layers]]
type = "dense"
units = 4
[loss]
type = "over_time"
[optimizer]
type = "sgd"
learning_rate = 0.1
[define.layer.table]
input = "x[n,t]"
sizes = { d = "units", v = "units + 4" }
parameters = { E = { indices = "v,d", init = "normal" } }
forward = "e[n,t,d] = E[x[n,t],d]"
[define.loss.over_time]
formula = "L = mean[n,t](logsumexp[k](z[n,t,k]) - z[n,t,y[n,t]])"
"""


def own_loss(formula):
    definition = f"\n[define.loss.own]\nformula = {formula!r}\n"
    return TINY.replace('"softmax_cross_entropy"', '"own"') + definition


def drawn(net, rng, N=6):
    """Parameters in float64, an input and a target that fit."""
    params = {
        n: a + 0.1 * rng.standard_normal(a.shape)
        for n, a in net.init(rng).items()
        if n in net.PARAMETERS
    }

    def array(wanted):
        shape = tuple(N if isinstance(axis, str) else axis for axis in wanted["axes"])
        if wanted["below"] is not None:
            return rng.integers(0, wanted["below"], shape)
        return rng.normal(size=shape)

    return params, array(net.INPUT), array(net.TARGET)


LOSSES = {
    "cross entropy": TINY,
    "mse": REGRESSION,
    "a sum of means": own_loss("L = 2*mean[n,k]((z[n,k]-y[n,k])**2) + mean[n](abs(z[n,0]))"),
    "a sum over the size": own_loss("L = sum[n,k](exp(z[n,k]))/N"),
}


@pytest.fixture(params=LOSSES)
def net(request):
    return compiled(LOSSES[request.param])


# States.


def test_states_are_read_in_answers_and_renewed_by_steps():
    net = compiled(NORM)
    assert set(net.STATES) == {"normed_1.running_mean", "normed_1.running_var"}
    assert not set(net.STATES) & set(net.PARAMETERS)
    params = net.init(0)
    assert params.keys() == {**net.PARAMETERS, **net.STATES}.keys()
    assert not params["normed_1.running_mean"].any()
    assert (params["normed_1.running_var"] == 1).all()
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    model = net.Model(0)
    mean, var = 0.0, 1.0
    for _ in range(3):
        h = np.tanh(x @ model.params["dense_1.W"] + model.params["dense_1.b"])
        mean, var = 0.9 * mean + 0.1 * h.mean(axis=0), 0.9 * var + 0.1 * h.var(axis=0)
        model.train_step(x, y)
    np.testing.assert_allclose(model.params["normed_1.running_mean"], mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.params["normed_1.running_var"], var, rtol=1e-4)
    p = model.params
    h = np.tanh(x @ p["dense_1.W"] + p["dense_1.b"])
    n = p["normed_1.gamma"] * (h - p["normed_1.running_mean"])
    n = n / np.sqrt(p["normed_1.running_var"] + 1e-5) + p["normed_1.beta"]
    expected = n @ p["dense_2.W"] + p["dense_2.b"]
    np.testing.assert_allclose(net.forward(p, x), expected, rtol=1e-4, atol=1e-5)
    assert model.evaluate(x, y)["loss"] > 0


def test_running_averages_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    net = compiled(NORM)
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    model = net.Model(0)
    theirs = torch.nn.BatchNorm1d(5, momentum=0.1, eps=1e-5, dtype=torch.float64)
    for _ in range(4):
        p = {n: a.astype(np.float64) for n, a in model.params.items()}
        h = np.tanh(x @ p["dense_1.W"] + p["dense_1.b"])
        given = torch.tensor(h)
        before = theirs.running_var.clone()
        theirs(given)
        # PyTorch keeps the unbiased variance.
        biased = (theirs.running_var - 0.9 * before) * (len(x) - 1) / len(x)
        theirs.running_var.copy_(0.9 * before + biased)
        model.train_step(x, y)
    for name, expected in (("mean", theirs.running_mean), ("var", theirs.running_var)):
        np.testing.assert_allclose(
            model.params[f"normed_1.running_{name}"], expected.numpy(), rtol=1e-4, atol=1e-6
        )


def test_gradients_neither_need_nor_change_nor_hold_states():
    net = compiled(NORM)
    rng = np.random.default_rng(1)
    params, x, y = drawn(net, rng)
    assert params.keys() == net.PARAMETERS.keys()
    value, gradients = net.value_and_grad(params, x, y)
    assert gradients.keys() == net.PARAMETERS.keys()
    whole = {**net.init(0), **params}
    before = {n: a.copy() for n, a in whole.items()}
    assert net.value_and_grad(whole, x, y)[0] == value
    assert all(np.array_equal(whole[n], before[n]) for n in whole)
    with pytest.raises(ValueError, match="running_mean"):
        net.forward(params, x)


def test_decay_and_clipping_leave_states_alone():
    text = NORM.replace("batch_size = 8", "batch_size = 8\ngradient_clip_norm = 1e-9")
    text = text.replace("[training]", "[regularization]\nl2 = 0.5\nweight_decay = 0.5\n[training]")
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(16, 4)), rng.integers(0, 3, 16)
    one, other = compiled(text).Model(0), compiled(NORM).Model(0)
    one.train_step(x, y), other.train_step(x, y)
    for name in compiled(NORM).STATES:
        assert np.array_equal(one.params[name], other.params[name])


def test_states_that_a_loss_without_end_would_renew_are_kept():
    model = compiled(NORM).Model(0)
    before = {n: a.copy() for n, a in model.params.items()}
    assert np.isnan(model.train_step(np.full((4, 4), np.nan), np.zeros(4, int)))
    assert all(np.array_equal(model.params[n], a) for n, a in before.items())


# Random numbers.


def test_masks_are_scaled_and_fixed_by_the_seed_and_answers_have_none():
    net = compiled(RANDOM)
    params, x, y = drawn(net, np.random.default_rng(3), N=8)
    first, again, other = (net.value_and_grad(params, x, y, seed=s)[0] for s in (1, 1, 2))
    assert first == again != other
    assert np.array_equal(net.forward(params, x), net.forward(params, x))
    wide = compiled(
        RANDOM.replace("units = 5", "units = 3000")
        .replace("std = 0.1", "std = 0")
        .replace("units = 3\n", "units = 2\n")
    )
    params = {n: np.zeros_like(a) for n, a in wide.init(0).items()}
    params["dense_1.b"] += 2.0  # tanh(2) everywhere, of which 0.6 is kept and scaled by 1/0.6
    x, y = np.zeros((1, 4)), np.zeros(1, int)
    _, gradients = wide.value_and_grad(params, x, y, seed=0)
    kept = gradients["dense_2.W"][:, 0] / gradients["dense_2.b"][0]
    assert np.allclose(kept[kept != 0], np.tanh(2.0) / 0.6)
    assert np.mean(kept != 0) == pytest.approx(0.6, abs=0.04)


@pytest.mark.parametrize("text", [NORM, RANDOM], ids=["states", "draws"])
def test_with_the_draws_fixed_gradients_agree_with_differences(text):
    net = compiled(text)
    rng = np.random.default_rng(4)
    params, x, y = drawn(net, rng)

    def at(arrays):
        given = {n: a for n, a in arrays.items() if n != "x"}
        return net.value_and_grad(given, arrays["x"], y, seed=5)[0]

    _, gradients = net.value_and_grad(params, x, y, seed=5)
    gradients["x"] = net.input_grad(params, x, y, seed=5)
    report = compare(at, gradients, {**params, "x": x}, list(gradients))
    judged = [row for row in report.rows if row.largest > 1e-12]  # a bias before `normed` has none
    assert all(row.ok for row in judged), f"\n{report}"


def test_per_sample_gradients_have_the_masks_of_the_batch():
    net = compiled(RANDOM)
    params, x, y = drawn(net, np.random.default_rng(5))
    _, whole = net.value_and_grad(params, x, y, seed=6)
    for name, gradient in net.per_sample_grad(params, x, y, seed=6).items():
        np.testing.assert_allclose(gradient.mean(axis=0), whole[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("text", [NORM, RANDOM], ids=["states", "draws"])
def test_training_goes_on_bit_for_bit(text, tmp_path):
    net = compiled(text)
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    model, twin = net.Model(3), net.Model(3)
    for m in (model, twin):
        m.fit(x, y, epochs=2, batch_size=7, progress=False)
    model.save(tmp_path / "weights.npz")
    loaded = net.Model.load(tmp_path / "weights.npz")
    for m in (twin, loaded):
        m.train_step(x, y)
        m.fit(x, y, epochs=1, batch_size=7, progress=False)
    assert all(np.array_equal(twin.params[n], a) for n, a in loaded.params.items())


@pytest.mark.parametrize("text", [NORM, RANDOM], ids=["states", "draws"])
def test_a_warm_step_allocates_nothing_of_the_size_of_the_data(text):
    net = compiled(text.replace("units = 5", "units = 512"))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2048, 4)).astype(np.float32), rng.integers(0, 3, 2048)
    model = net.Model(0)
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


# By the input.


def test_the_gradient_by_the_input_agrees_with_differences(net):
    rng = np.random.default_rng(0)
    params, x, y = drawn(net, rng)
    way = rng.normal(size=x.shape)

    def along(h):
        return net.value_and_grad(params, x + h * way, y)[0]

    found = net.input_grad(params, x, y)
    assert found.shape == x.shape
    expected = (along(1e-5) - along(-1e-5)) / 2e-5
    assert np.sum(found * way) == pytest.approx(expected, rel=1e-7)


# By sample.


def agree_with_single_samples(net, params, x, y, **more):
    gradients = net.per_sample_grad(params, x, y, **more)
    assert list(gradients) == list(net.PARAMETERS)
    for n in range(len(x)):
        _, single = net.value_and_grad(params, x[n : n + 1], y[n : n + 1])
        for name, gradient in gradients.items():
            assert gradient.shape == (len(x), *net.PARAMETERS[name])
            np.testing.assert_allclose(gradient[n], single[name], rtol=1e-9, atol=1e-12)
    return gradients


def test_per_sample_gradients_are_those_of_each_sample_alone(net):
    params, x, y = drawn(net, np.random.default_rng(1))
    gradients = agree_with_single_samples(net, params, x, y)
    _, whole = net.value_and_grad(params, x, y)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient.mean(axis=0), whole[name], rtol=1e-9, atol=1e-12)


def test_per_sample_gradients_of_a_loss_that_is_no_mean():
    text = own_loss(
        "L = sqrt(mean[n,k]((z[n,k]-y[n,k])**2)) + sum[n,k](z[n,k])/sum[n,k](1 + y[n,k]**2)"
    )
    net = compiled(text)
    agree_with_single_samples(net, *drawn(net, np.random.default_rng(2)))


def test_per_sample_gradients_of_a_table_over_time():
    net = compiled(TOKENS)
    params, x, y = drawn(net, np.random.default_rng(3))
    agree_with_single_samples(net, params, x, y)
    with pytest.raises(ValueError, match="input_grad: the input is made of integers"):
        net.input_grad(params, x, y)


SHARED = (
    TINY.replace("units = 5", "units = 4")
    .replace(
        '[[layers]]\ntype = "dense"\nunits = 3',
        '[[layers]]\ntype = "dense"\nunits = 4\nshare = "dense_1"\n'
        '[[layers]]\ntype = "unit_norm"\nunits = 3',
    )
    .replace(
        "[loss]",
        """[define.layer.unit_norm]
input = "x[n,i]"
sizes = { j = "units" }
parameters = { W = { indices = "i,j", init = "normal" } }
forward = '''
V[i,j] = W[i,j] / sqrt(sum[i](W[i,j]**2))
y[n,j] = sum[i](x[n,i]*V[i,j])
'''
[loss]""",
    )
)


def test_per_sample_gradients_of_shared_parameters_and_of_what_is_made_of_them_alone():
    net = compiled(SHARED)
    agree_with_single_samples(net, *drawn(net, np.random.default_rng(4)))


SCAN = """
name = "scan"
[input]
shape = [5, 3]
[[layers]]
type = "memory"
units = 4
[[layers]]
type = "dense"
units = 3
[loss]
type = "softmax_cross_entropy"
[optimizer]
type = "adam"
[define.layer.memory]
input = "x[n,t,i]"
sizes = { j = "units" }
parameters.W = { indices = "i,j", init = "normal" }
parameters.U = { indices = "k,j", init = "normal" }
parameters.h0 = { indices = "j", init = "normal" }
forward = '''
h[n,-1,j] = h0[j]
h[n,t,j] = tanh(sum[i](x[n,t,i]*W[i,j]) + sum[k](h[n,t-1,k]*U[k,j]))
y[n,j] = h[n,T-1,j]
'''
"""


def test_derivatives_of_a_recurrence():
    net = compiled(SCAN)
    rng = np.random.default_rng(12)
    params, x, y = drawn(net, rng)
    agree_with_single_samples(net, params, x, y)
    _, gradients = net.value_and_grad(params, x, y)
    gradients["x"] = net.input_grad(params, x, y)

    def at(arrays):
        given = {n: a for n, a in arrays.items() if n != "x"}
        return net.value_and_grad(given, arrays["x"], y)[0]

    report = compare(at, gradients, {**params, "x": x}, list(gradients))
    assert report.ok, f"\n{report}"


CENTRED = TINY.replace(
    '[[layers]]\ntype = "dense"\nunits = 3',
    '[[layers]]\ntype = "centred"\n[[layers]]\ntype = "dense"\nunits = 3',
) + (
    '[define.layer.centred]\ninput = "x[n,i]"\n'
    'forward = "y[n,i] = x[n,i] - mean[m](x[m,i])"\n'.replace("[m]", "[n]").replace(
        "[m,i]", "[n,i]"
    )
)


def test_samples_that_depend_on_each_other_have_no_gradients_of_their_own():
    net = compiled(CENTRED)
    params, x, y = drawn(net, np.random.default_rng(5))
    with pytest.raises(ValueError, match=r"per_sample_grad: .* several samples"):
        net.per_sample_grad(params, x, y)


# Weighted.


def test_weights_of_one_change_nothing_and_others_repeat_samples(net):
    params, x, y = drawn(net, np.random.default_rng(6))
    value, plain = net.value_and_grad(params, x, y)
    ones, gradients = net.value_and_grad(params, x, y, sample_weight=np.ones(len(x)))
    assert ones == pytest.approx(value, rel=1e-12)
    for name in plain:
        np.testing.assert_allclose(gradients[name], plain[name], rtol=1e-9, atol=1e-14)
    times = np.array([2, 0, 1, 3, 0, 1])
    again = np.repeat(np.arange(6), times)
    weighted, gradients = net.value_and_grad(params, x, y, sample_weight=times)
    repeated, expected = net.value_and_grad(params, x[again], y[again])
    assert weighted == pytest.approx(repeated * len(again) / 6, rel=1e-12)
    for name in plain:
        np.testing.assert_allclose(
            gradients[name], expected[name] * len(again) / 6, rtol=1e-9, atol=1e-13
        )


def test_weights_of_a_quotient_go_to_its_numerator():
    net = compiled(own_loss("L = sum[n,k](z[n,k]*y[n,k]**2)/sum[n,k](1 + y[n,k]**2)"))
    params, x, y = drawn(net, np.random.default_rng(7))
    weights = np.array([2.0, 0, 1, 3, 0.5, 1])
    z = net.forward(params, x)
    expected = np.sum(weights[:, None] * z * y**2) / np.sum(1 + y**2)
    assert net.value_and_grad(params, x, y, sample_weight=weights)[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    "formula",
    ["L = sqrt(mean[n,k]((z[n,k]-y[n,k])**2))", "L = max[n](z[n,0])", "L = 1 + mean[n](z[n,0])"],
)
def test_a_loss_that_is_no_mean_takes_no_weights(formula):
    net = compiled(own_loss(formula))
    params, x, y = drawn(net, np.random.default_rng(8))
    net.value_and_grad(params, x, y)
    with pytest.raises(ValueError, match="sample_weight: the loss is no mean"):
        net.value_and_grad(params, x, y, sample_weight=np.ones(6))


def test_weights_that_do_not_fit_are_named():
    net = compiled(TINY)
    params, x, y = drawn(net, np.random.default_rng(9))
    with pytest.raises(ValueError, match=r"sample_weight: expected shape \(6,\), given \(5,\)"):
        net.value_and_grad(params, x, y, sample_weight=np.ones(5))


# Twice.


def test_the_hessian_times_a_direction_agrees_with_differences_of_gradients():
    net = compiled(SECOND)
    rng = np.random.default_rng(10)
    params, x, y = drawn(net, rng)
    way = {n: rng.normal(size=a.shape) for n, a in params.items()}

    def along(h):
        moved = {n: a + h * way[n] for n, a in params.items()}
        return net.value_and_grad(moved, x, y)[1]

    found, above, below = net.hvp(params, way, x, y), along(1e-5), along(-1e-5)
    assert list(found) == list(net.PARAMETERS)
    for n in params:
        expected = (above[n] - below[n]) / 2e-5
        np.testing.assert_allclose(found[n], expected, rtol=1e-6, atol=1e-9)
    assert not hasattr(compiled(TINY), "hvp")


# Targets that do not count.

PADDED = (
    TOKENS.replace('"over_time"', '"padded"')
    + """
[define.loss.padded]
constants = { ignore_index = -1 }
formula = '''
s[n,t] = where(y[n,t] == ignore_index, 0, logsumexp[k](z[n,t,k]) - z[n,t,y[n,t]])
L = sum[n,t](s[n,t]) / maximum(sum[n,t](y[n,t] != ignore_index), 1)
'''
predict = "c[n,t] = argmax[k](z[n,t,k])"
proba = "p[n,t,j] = exp(z[n,t,j]) / sum[k](exp(z[n,t,k]))"
"""
)


def test_targets_that_are_ignored_count_nowhere():
    net = compiled(PADDED)
    rng = np.random.default_rng(11)
    params, x, y = drawn(net, rng)
    assert net.TARGET["ignored"] == -1
    y[rng.random(y.shape) < 0.4] = -1
    y[0] = -1
    z = net.forward(params, x)
    logs = z - np.log(np.exp(z).sum(axis=2, keepdims=True))
    counted = y >= 0
    losses = np.where(counted, -np.take_along_axis(logs, np.maximum(y, 0)[..., None], 2)[..., 0], 0)
    expected = losses.sum() / counted.sum()
    value, gradients = net.value_and_grad(params, x, y)
    assert value == pytest.approx(expected, rel=1e-12)
    report = compare(lambda a: net.value_and_grad(a, x, y)[0], gradients, params, list(params))
    assert report.ok, f"\n{report}"
    agree_with_single_samples(net, params, x, y)
    weights = rng.uniform(size=6)
    weighted, _ = net.value_and_grad(params, x, y, sample_weight=weights)
    assert weighted == pytest.approx((weights[:, None] * losses).sum() / counted.sum(), rel=1e-12)
    model = net.Model(0)
    for name, array in params.items():
        model.params[name] = array
    labels = model.predict(x)
    assert labels.shape == y.shape and model.predict_proba(x).shape == z.shape
    assert model.evaluate(x, y)["accuracy"] == np.mean(labels[counted] == y[counted])
    assert np.isfinite(model.train_step(x, np.full_like(y, -1)))
    with pytest.raises(ValueError, match="y: expected integers from 0 to 3, given 0 to 4"):
        model.train_step(x, np.where(y == -1, 4, 0))
    with pytest.raises(ValueError, match="given -2 to 0"):
        model.train_step(x, np.where(y == -1, -2, 0))


def test_what_fit_measures_is_a_mean_over_the_targets_that_count():
    net = compiled(
        spec(
            loss='type = "softmax_cross_entropy"\nignore_index = -100',
            optimizer='type = "sgd"\nlearning_rate = 1e-9',
        )
    )
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10, 4)), rng.integers(0, 3, 10)
    y[[0, 3, 4, 7]] = -100
    model = net.Model(0)
    expected = model.evaluate(x, y)
    history = model.fit(x, y, epochs=1, batch_size=3, progress=False)
    assert {name: values[0] for name, values in history.items()} == pytest.approx(
        expected, rel=1e-5
    )
