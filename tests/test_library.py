"""Every entry of the library: against central differences, and against PyTorch if it is there."""

import math
import re

import numpy as np
import pytest
from sympy import S

from derive.gradients.derivation import reverse
from derive.gradients.normal_form import flatten
from derive.gradients.simplify import recognize
from derive.language.checker import check
from derive.language.formula import parse as formula
from derive.language.interpreter import evaluate
from derive.library.definitions import functions, library
from derive.library.toml_positions import parse
from derive.networks.network import compose
from derive.networks.spec import interpret

# A loss whose gradient by the output is the target: a random cotangent.
WEIGHTED = """
[define.loss.weighted]
formula = "L = sum[...](z[...] * y[...])"
"""

ELEMENTWISE = [
    *("sigmoid", "tanh", "relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "softplus"),
    *("softsign", "log_sigmoid", "silu", "mish", "gelu", "gelu_tanh", "hardsigmoid", "hardswish"),
]
ACTIVATIONS = [*ELEMENTWISE, "softmax", "log_softmax"]
LAYERS = [
    *("dense", "flatten", "reshape", "permute", "concat", "add", "multiply", "subtract"),
    *("last_step", "dropout", "gaussian_noise", "bilinear", "maxout"),
    *("conv1d", "conv2d", "depthwise_conv2d", "conv2d_transpose", "max_pool1d", "max_pool2d"),
    *("avg_pool1d", "avg_pool2d", "global_avg_pool2d", "global_max_pool2d", "upsample2d"),
    *("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm", "l2_normalize"),
    *("rnn", "lstm", "gru", "embedding", "positional_embedding", "attention"),
    *("multi_head_attention", "transformer_block"),
]
LOSSES = [
    *("mse", "mae", "huber", "softmax_cross_entropy", "binary_cross_entropy", "hinge", "poisson"),
]
MORE_LOSSES = [  # in test_library_losses.py
    *("log_cosh", "multiclass_hinge", "kl_divergence", "focal", "cosine_similarity"),
    *("triplet", "contrastive"),
]
OPTIMIZERS = [
    *("sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw"),
    *("amsgrad", "lion"),
]
INITIALIZERS = [
    *("zeros", "ones", "constant", "normal", "uniform", "glorot_uniform", "glorot_normal"),
    *("he_uniform", "he_normal", "lecun_normal"),
]


def network(text):
    net = compose(interpret(parse("name = 'net'\ndtype = 'float64'\n" + text, "net.toml")))
    check(net.program)
    return net


def layer(fields, shape):
    lines = "".join(f"{k} = {v}\n" for k, v in fields.items())
    return network(
        f"[input]\nshape = {list(shape)}\n[[layers]]\n{lines}[loss]\ntype = 'weighted'\n{WEIGHTED}"
    )


def loss(fields, shape):
    lines = "".join(f"{k} = {v}\n" for k, v in fields.items())
    return network(
        f"[input]\nshape = {list(shape)}\n[[layers]]\ntype = 'softsign'\n[loss]\n{lines}"
    )


def gradients(net, arrays, wrt):
    """Value and gradients by the derivation, evaluated by the interpreter."""
    forward, _ = recognize(flatten(net.program))
    derived = reverse(forward, tuple(wrt), {"L": S.One})
    values = evaluate(derived.program, arrays)
    return float(values["L"]), {name: values[derived.cotangents[name]] for name in wrt}


def differences(net, arrays, wrt, step=1e-5):
    """Central differences of the program as it was written."""
    found = {}
    for name in wrt:
        slopes = np.zeros_like(arrays[name])
        for k in np.ndindex(slopes.shape):
            ends = []
            for sign in (1, -1):
                moved = arrays[name].copy()
                moved[k] += sign * step
                ends.append(float(evaluate(net.program, {**arrays, name: moved})["L"]))
            slopes[k] = (ends[0] - ends[1]) / (2 * step)
        found[name] = slopes
    return found


def arrays_of(net, rng, batch=3):
    sizes = {"N": batch}
    found = {}
    for tensor in net.program.inputs:
        shape = [int(sizes.get(str(i.size), i.size)) for i in tensor.axes]
        if tensor.kind == "integer":
            found[tensor.name] = rng.integers(0, int(net.output.axes[-1].size), shape)
        else:
            found[tensor.name] = rng.normal(size=shape) * 2
    return found


def close(a, b, tolerance):
    scale = max(1.0, float(np.max(np.abs(b))))
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


def checked(net, arrays, wrt):
    """The gradients, after they agreed with central differences."""
    value, found = gradients(net, arrays, wrt)
    for name, slopes in differences(net, arrays, wrt).items():
        close(found[name], slopes, 2e-8)
    return value, found


def away_from_kinks(x):
    kinks = np.array([-3.0, 0.0, 3.0, 6.0])
    near = np.abs(x[..., None] - kinks).min(-1) < 0.05
    return np.where(near, x + 0.1, x)


def test_the_library_has_these_entries():
    kinds = {}
    for definition in library().entries.values():
        kinds.setdefault(definition.kind, set()).add(definition.name)
    assert kinds == {
        "activation": set(ACTIVATIONS),
        "layer": set(LAYERS),
        "loss": {*LOSSES, *MORE_LOSSES},
        "optimizer": set(OPTIMIZERS),
        "initializer": {*INITIALIZERS, "orthogonal"},
    }


def test_a_formula_of_the_library_is_a_handful_of_lines():
    """A line for each quantity that has a name; the line where a recurrence begins is none."""
    for definition in library().entries.values():
        for case in definition.cases:
            lines = case.formula.text.strip().splitlines()
            starts = [line for line in lines if re.match(r"\w+\[n,(-1|T),j\] = 0", line)]
            assert len(lines) - len(starts) <= 9


# Activations.

TORCH_ACTIVATIONS = {
    "log_sigmoid": lambda f, x: f.logsigmoid(x),
    "hardsigmoid": lambda f, x: f.hardsigmoid(x),
    "gelu_tanh": lambda f, x: f.gelu(x, approximate="tanh"),
    "softmax": lambda f, x: f.softmax(x, -1),
    "log_softmax": lambda f, x: f.log_softmax(x, -1),
    "prelu": lambda f, x: f.leaky_relu(x, 0.25),
}
VARIANTS = [(name, {}) for name in ACTIVATIONS] + [
    ("leaky_relu", {"slope": 0.2}),
    ("elu", {"alpha": 0.7}),
]
KEYWORDS = {"slope": "negative_slope", "alpha": "alpha"}


def torch_activation(torch, name, fields, x):
    functional = torch.nn.functional
    if name in TORCH_ACTIVATIONS:
        return TORCH_ACTIVATIONS[name](functional, x)
    return getattr(functional, name)(x, **{KEYWORDS[k]: v for k, v in fields.items()})


@pytest.mark.parametrize("name, fields", VARIANTS)
def test_activation(name, fields):
    net = layer({"type": f"'{name}'", **fields}, [4])
    arrays = arrays_of(net, np.random.default_rng(1), batch=6)
    arrays["x"] = away_from_kinks(arrays["x"] * 2)
    wrt = [t for t in arrays if t != "y"]
    if "alpha_1" in arrays:
        arrays["alpha_1"] = np.full(4, 0.25)
    value, found = checked(net, arrays, wrt)

    torch = pytest.importorskip("torch")
    x = torch.tensor(arrays["x"], requires_grad=True)
    expected = (torch_activation(torch, name, fields, x) * torch.tensor(arrays["y"])).sum()
    expected.backward()
    # Their hardsigmoid divides by 6 in float32.
    close(value, expected.item(), 1e-7 if name == "hardsigmoid" else 1e-12)
    close(found["x"], x.grad.numpy(), 1e-7 if name == "hardsigmoid" else 1e-10)


def test_prelu_has_one_slope_a_channel():
    net = layer({"type": "'prelu'"}, [2, 3])
    assert [(p.name, p.shape) for p in net.parameters] == [("prelu_1.alpha", (3,))]
    arrays = arrays_of(net, np.random.default_rng(2))
    _, found = checked(net, arrays, ["x", "alpha_1"])

    torch = pytest.importorskip("torch")
    x = torch.tensor(arrays["x"].reshape(-1, 3), requires_grad=True)
    alpha = torch.tensor(arrays["alpha_1"], requires_grad=True)
    y = torch.tensor(arrays["y"].reshape(-1, 3))
    (torch.nn.functional.prelu(x, alpha) * y).sum().backward()
    close(found["alpha_1"], alpha.grad.numpy(), 1e-10)
    close(found["x"].reshape(-1, 3), x.grad.numpy(), 1e-10)


KINKS = [
    ("relu", 0.0, 0.0),
    ("relu6", 0.0, 0.0),
    ("relu6", 6.0, 0.0),
    ("leaky_relu", 0.0, 0.01),
    ("elu", 0.0, 1.0),
    ("selu", 0.0, 1.0507009873554805 * 1.6732632423543773),
    ("hardsigmoid", -3.0, 0.0),
    ("hardsigmoid", 3.0, 0.0),
    ("hardswish", -3.0, 0.0),
    ("hardswish", 3.0, 1.0),
    ("softsign", 0.0, 1.0),
    ("prelu", 0.0, 0.25),
]


@pytest.mark.parametrize("name, point, slope", KINKS)
def test_the_derivative_at_a_kink_is_that_of_pytorch(name, point, slope):
    net = layer({"type": f"'{name}'"}, [1])
    arrays = {"x": np.array([[point]]), "y": np.ones((1, 1)), "alpha_1": np.array([0.25])}
    arrays = {t.name: arrays[t.name] for t in net.program.inputs}
    _, found = gradients(net, arrays, ["x"])
    assert found["x"][0, 0] == pytest.approx(slope, abs=1e-15)
    torch = pytest.importorskip("torch")
    x = torch.tensor([point], dtype=torch.float64, requires_grad=True)
    torch_activation(torch, name, {}, x).backward()
    assert float(x.grad) == pytest.approx(slope, abs=1e-7)


# Activations as functions of the language.


def test_every_elementwise_activation_is_a_function():
    assert set(ELEMENTWISE) <= set(functions())
    assert not {"softmax", "log_softmax"} & set(functions())


def test_a_function_takes_its_constants_as_keywords():
    program = formula(
        "y[n] = leaky_relu(x[n], slope=0.5) + elu(x[n]) + prelu(x[n], alpha=2)",
        functions=functions(),
    )
    x = np.array([-2.0, 3.0])
    expected = (
        np.where(x > 0, x, x / 2) + np.where(x > 0, x, np.expm1(x)) + np.where(x > 0, x, 2 * x)
    )
    np.testing.assert_allclose(evaluate(program, {"x": x})["y"], expected, rtol=1e-15)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_function_and_the_layer_of_that_name_agree(name):
    net = layer({"type": f"'{name}'"}, [5])
    program = formula(f"y[n,i] = {name}(x[n,i])", functions=functions())
    x = np.linspace(-4, 7, 10).reshape(2, 5)
    arrays = {"x": x, "y": np.ones((2, 5))}
    if net.parameters:
        arrays["alpha_1"] = np.full(5, 0.25)
    layered = evaluate(net.program, arrays)[net.output.name]
    np.testing.assert_allclose(evaluate(program, {"x": x})["y"], layered, rtol=1e-14)


# Layers.


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 2, 3)])
@pytest.mark.parametrize("bias", ["true", "false"])
def test_dense(shape, bias):
    net = layer({"type": "'dense'", "units": 4, "bias": bias}, shape)
    arrays = arrays_of(net, np.random.default_rng(3), batch=2)
    value, found = checked(net, arrays, [t for t in arrays if t != "y"])
    assert [p.name for p in net.parameters] == ["dense_1.W", "dense_1.b"][: 1 + (bias == "true")]

    torch = pytest.importorskip("torch")
    given = {k: torch.tensor(v, requires_grad=k != "y") for k, v in arrays.items()}
    z = given["x"] @ given["W_1"] + given.get("b_1", 0)
    expected = (z * given["y"]).sum()
    expected.backward()
    close(value, expected.item(), 1e-12)
    for name, gradient in found.items():
        close(gradient, given[name].grad.numpy(), 1e-10)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4)])
def test_flatten(shape):
    net = layer({"type": "'flatten'"}, shape)
    arrays = arrays_of(net, np.random.default_rng(4), batch=2)
    _, found = checked(net, arrays, ["x"])
    output = evaluate(net.program, arrays)[net.output.name]
    np.testing.assert_array_equal(output, arrays["x"].reshape(2, -1))
    np.testing.assert_array_equal(found["x"], arrays["y"].reshape(2, *shape))


# Losses.

TORCH_LOSSES = {
    "mse": lambda f, z, y: f.mse_loss(z, y),
    "mae": lambda f, z, y: f.l1_loss(z, y),
    "huber": lambda f, z, y, delta=1.0: f.huber_loss(z, y, delta=delta),
    "binary_cross_entropy": lambda f, z, y: f.binary_cross_entropy_with_logits(z, y),
    "hinge": lambda f, z, y: (1 - z * y).clamp(min=0).mean(),
    "poisson": lambda f, z, y: f.poisson_nll_loss(z, y),
    "softmax_cross_entropy": lambda f, z, y, label_smoothing=0.0: f.cross_entropy(
        z.reshape(-1, z.shape[-1]), y.reshape(-1), label_smoothing=label_smoothing
    ),
}
LOSS_VARIANTS = [(name, {}, (4,)) for name in LOSSES] + [
    ("huber", {"delta": 0.3}, (4,)),
    ("softmax_cross_entropy", {"label_smoothing": 0.1}, (5,)),
    ("softmax_cross_entropy", {}, (3, 4)),
    ("mse", {}, (2, 3)),
    ("binary_cross_entropy", {}, (1,)),
]


@pytest.mark.parametrize("name, fields, shape", LOSS_VARIANTS)
def test_loss(name, fields, shape):
    net = loss({"type": f"'{name}'", **fields}, shape)
    rng = np.random.default_rng(5)
    arrays = arrays_of(net, rng)
    if name == "binary_cross_entropy":
        arrays["y"] = rng.integers(0, 2, arrays["y"].shape).astype(float)
    elif name == "hinge":
        arrays["y"] = np.sign(arrays["y"])
    elif name == "poisson":
        arrays["y"] = np.abs(arrays["y"])
    value, found = checked(net, arrays, ["x"])

    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x = torch.tensor(arrays["x"], requires_grad=True)
    y = torch.tensor(arrays["y"])
    expected = TORCH_LOSSES[name](functional, functional.softsign(x), y, **fields)
    expected.backward()
    close(value, expected.item(), 1e-12)
    close(found["x"], x.grad.numpy(), 1e-10)


def test_what_a_model_answers():
    z = np.array([[0.0, 2.0, 1.0], [3.0, 3.0, -1.0]])
    net = loss({"type": "'softmax_cross_entropy'"}, [3])
    output = {net.output.name: z}
    np.testing.assert_array_equal(evaluate(net.predict, output)[net.predict.result], [1, 0])
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    np.testing.assert_allclose(evaluate(net.proba, output)[net.proba.result], p, rtol=1e-14)

    net = loss({"type": "'binary_cross_entropy'"}, [3])
    predicted = evaluate(net.predict, {net.output.name: z})[net.predict.result]
    np.testing.assert_array_equal(predicted, z > 0)
    proba = evaluate(net.proba, {net.output.name: z})[net.proba.result]
    np.testing.assert_allclose(proba, 1 / (1 + np.exp(-z)), rtol=1e-14)

    net = loss({"type": "'mse'"}, [3])
    assert net.predict is None and net.proba is None


# Optimizers.


def optimizer(fields, sections=""):
    lines = "".join(f"{k} = {v}\n" for k, v in fields.items())
    return network(
        "[input]\nshape = [2]\n[[layers]]\ntype = 'dense'\nunits = 1\n[loss]\ntype = 'mse'\n"
        f"[optimizer]\n{lines}{sections}"
    ).optimizer


def run(optimizer, w, gradients):
    states = {s: np.zeros_like(w) for s in optimizer.states}
    for t, g in enumerate(gradients, 1):
        given = {"w": w, "g": g, "t": float(t), "learning_rate": optimizer.learning_rate, **states}
        read = {tensor.name for tensor in optimizer.program.inputs}
        values = evaluate(optimizer.program, {k: v for k, v in given.items() if k in read})
        w = values["w_next"]
        states = {s: values[f"{s}_next"] for s in optimizer.states}
    return w


TORCH_OPTIMIZERS = [
    ("sgd", {}, "SGD", {}),
    ("sgd", {"learning_rate": 0.1}, "SGD", {"lr": 0.1}),
    ("momentum", {}, "SGD", {"momentum": 0.9}),
    ("nesterov", {"momentum": 0.7}, "SGD", {"momentum": 0.7, "nesterov": True}),
    ("adagrad", {}, "Adagrad", {}),
    ("adadelta", {}, "Adadelta", {}),
    ("rmsprop", {}, "RMSprop", {}),
    ("rmsprop", {"rho": 0.5}, "RMSprop", {"alpha": 0.5}),
    ("rmsprop", {"momentum": 0.8}, "RMSprop", {"momentum": 0.8}),
    ("adam", {}, "Adam", {}),
    ("adam", {"beta1": 0.5, "eps": 1e-3}, "Adam", {"betas": (0.5, 0.999), "eps": 1e-3}),
    ("adamw", {}, "AdamW", {}),
    ("adamw", {"weight_decay": 0.2}, "AdamW", {"weight_decay": 0.2}),
    ("amsgrad", {}, "Adam", {"amsgrad": True}),
]


@pytest.mark.parametrize("name, fields, theirs, keywords", TORCH_OPTIMIZERS)
def test_optimizer_is_that_of_pytorch(name, fields, theirs, keywords):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(6)
    w, gs = rng.normal(size=5), rng.normal(size=(7, 5))
    parameter = torch.tensor(w.copy(), requires_grad=True)
    keywords = {"lr": 1e-3} | keywords if theirs == "SGD" else keywords
    expected = getattr(torch.optim, theirs)([parameter], **keywords)
    for g in gs:
        parameter.grad = torch.tensor(g)
        expected.step()
    found = run(optimizer({"type": f"'{name}'", **fields}), w, gs)
    np.testing.assert_allclose(found, parameter.detach().numpy(), rtol=1e-10)


def test_a_state_that_is_never_read_is_none():
    assert optimizer({"type": "'rmsprop'"}).states == ("v",)
    assert optimizer({"type": "'rmsprop'", "momentum": 0.5}).states == ("v", "b")


def test_lion():
    w, gs = np.array([1.0, -1.0]), np.array([[0.5, -2.0], [-3.0, -2.0], [0.1, 5.0]])
    m, expected = np.zeros(2), w
    for g in gs:
        expected = expected - 1e-4 * np.sign(0.9 * m + 0.1 * g)
        m = 0.99 * m + 0.01 * g
    found = run(optimizer({"type": "'lion'"}), w, gs)
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_clipping_comes_before_regularization_and_decay_before_the_step():
    rng = np.random.default_rng(7)
    w, gs = rng.normal(size=5), rng.normal(size=(4, 5))
    built = optimizer(
        {"type": "'sgd'", "learning_rate": 0.1},
        "[regularization]\nl1 = 0.03\nl2 = 0.02\nweight_decay = 0.5\n"
        "[training]\ngradient_clip_norm = 1.5\n",
    )
    expected = w
    for g in gs:
        g = g * min(1, 1.5 / np.linalg.norm(g)) + 0.02 * expected + 0.03 * np.sign(expected)
        expected = expected * (1 - 0.1 * 0.5) - 0.1 * g
    np.testing.assert_allclose(run(built, w, gs), expected, rtol=1e-12)


# Initializers.


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializer(name):
    text = f"""
[input]
shape = [40]
[[layers]]
type = "own"
units = 60
[loss]
type = "mse"
[define.layer.own]
input = "x[n,i]"
sizes = {{ j = "units" }}
parameters = {{ W = {{ indices = "i,j", init = "{name}" }} }}
forward = "z[n,j] = sum[i](x[n,i]*W[i,j])"
"""
    (parameter,) = network(text).parameters
    assert (parameter.fan_in, parameter.fan_out) == (40, 60)
    rng = np.random.default_rng(8)
    draws = {"u": rng.uniform(size=(40, 60)), "e": rng.normal(size=(40, 60))}
    program = parameter.initializer.program
    given = {"fan_in": 40.0, "fan_out": 60.0}
    given |= {parameter.initializer.draw: draws.get(parameter.initializer.draw)}
    read = {t.name for t in program.inputs}
    if not read:
        value = float(program.equations[0].body)
        assert value == {"zeros": 0, "ones": 1, "constant": 0}[name]
        return
    w = evaluate(program, {k: v for k, v in given.items() if k in read})["w"]
    deviation = {
        "normal": 0.05,
        "uniform": 0.1 / math.sqrt(12),
        "glorot_uniform": math.sqrt(2 / 100),
        "glorot_normal": math.sqrt(2 / 100),
        "he_uniform": math.sqrt(2 / 40),
        "he_normal": math.sqrt(2 / 40),
        "lecun_normal": math.sqrt(1 / 40),
    }[name]
    assert w.std() == pytest.approx(deviation, rel=0.06)
    assert abs(w.mean()) < 0.1 * deviation
