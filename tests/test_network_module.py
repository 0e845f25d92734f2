"""The text of generated network modules, and how it grows with the network."""

import ast
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from networks import TINY, compiled, deep, derived, source, spec

from derive.checks import compare
from derive.modules.network_module import literal

PASSES = (
    "forward_pass",
    "loss_backward",
    "backward_pass",
    "input_pass",
    "inference_pass",
    "loss_pass",
    "update",
)


def functions(text):
    return {
        node.name: node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)
    }


@pytest.fixture(scope="module", params=["tiny", "deep"])
def text(request):
    return source({"tiny": TINY, "deep": deep(30)}[request.param])


def test_it_imports_numpy_and_the_standard_library_alone(text):
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    assert "numpy" in names
    assert {name.split(".")[0] for name in names - {"numpy"}} <= sys.stdlib_module_names


def test_lines_fit_99_columns_and_have_no_trailing_blanks(text):
    lines = text.split("\n")
    assert max(map(len, lines)) <= 99
    assert not [line for line in lines if line != line.rstrip()]
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert "\n\n\n\n" not in text


def test_every_statement_of_the_mathematics_cites_its_equation(text):
    lines = text.split("\n")
    for name in PASSES:
        for node in ast.walk(functions(text)[name]):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                assert re.search(r"# \([-0-9l*+]+\)$", lines[node.lineno - 1]), lines[
                    node.lineno - 1
                ]


def test_equations_stand_above_their_statements_under_their_number():
    text = source(TINY)
    assert "    # (1) z_1[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]\n    np.dot(" in text
    numbers = [int(n) for n in re.findall(r"^ +# \((\d+)\) ", text, re.MULTILINE)]
    assert set(numbers) == set(range(1, max(numbers) + 1))


def test_the_docstring_says_what_it_is():
    doc = ast.get_docstring(ast.parse(source(TINY)))
    for part in (
        "tiny.toml",
        "derive generate",
        "N x 5",
        "43 parameters",
        "adam",
        "floating-point",
    ):
        assert part in doc


def test_kinks_are_stated_where_there_are_any():
    relu = source(TINY.replace('"tanh"', '"relu"'))
    assert "relu'(0) = 0" in ast.get_docstring(ast.parse(relu))
    assert "relu'" not in source(TINY)


def test_the_text_is_the_same_every_time():
    first = source(TINY)
    source.cache_clear()
    derived.cache_clear()
    assert source(TINY) == first


# What a spec says cannot become code.


@pytest.mark.parametrize(
    "title",
    [
        'A """ in the middle',
        'at the end "',
        "back\\slash \\",
        '"""\nimport os\nos.abort()\n"""',
        "\\N{BULLET} {{ 7*7 }} {% raw %}",
        "über 1 000 Zeichen ∂ ✓",
    ],
)
def test_a_title_is_only_ever_text(title):
    tree = ast.parse(f'"""{literal(title)}\n"""\n')
    assert len(tree.body) == 1
    assert ast.get_docstring(tree) == title.replace("\n", " ").strip()


def test_a_hostile_title_reaches_the_docstring_and_no_further():
    title = r"\"\"\"; import os; os.abort() {{ 7*7 }} \\"
    text = source(f'title = "{title}"\n' + TINY)
    assert "import os; os.abort() {{ 7*7 }} \\" in ast.get_docstring(ast.parse(text))


# Repeated layers.


def test_the_module_grows_by_distinct_layers_and_not_by_layers():
    assert abs(source(deep(200)).count("\n") - source(deep(40)).count("\n")) <= 2
    assert source(deep(200)).count("\n") < source(TINY).count("\n") + 120


def unrolled(params, x, y, layers):
    """Loss and gradients of the stack, written by hand in float64."""
    W = [params[f"dense_{l}.W"] for l in range(1, layers + 1)]
    b = [params[f"dense_{l}.b"] for l in range(1, layers + 1)]
    a = [x]
    for l in range(layers):
        z = a[-1] @ W[l] + b[l]
        a.append(np.maximum(z, 0) if l < layers - 1 else z)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    d = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(len(y))
    loss = -np.log(d[rows, y]).mean()
    d[rows, y] -= 1
    d /= len(y)
    gradients = {}
    for l in reversed(range(layers)):
        gradients[f"dense_{l + 1}.W"] = a[l].T @ d
        gradients[f"dense_{l + 1}.b"] = d.sum(axis=0)
        d = (d @ W[l].T) * (a[l] > 0)
    return loss, gradients, z


@pytest.mark.parametrize("layers", [2, 3, 5, 6, 9, 30])
def test_loops_over_layers_compute_what_the_layers_do(layers):
    net = compiled(deep(layers))
    rng = np.random.default_rng(layers)
    params = {n: 1.3 * a.astype(np.float64) + 0.02 for n, a in net.init(layers).items()}
    x, y = rng.normal(size=(7, 8)), rng.integers(0, 3, 7)
    loss, expected, output = unrolled(params, x, y, layers)
    value, gradients = net.value_and_grad(params, x, y)
    assert value == pytest.approx(loss, rel=1e-12)
    assert list(gradients) == list(net.PARAMETERS)
    for name, gradient in expected.items():
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(net.forward(params, x), output, rtol=1e-12)


def test_a_deep_stack_declares_and_draws_every_parameter():
    net = compiled(deep(30))
    names = [f"dense_{l}.{p}" for l in range(1, 31) for p in "Wb"]
    assert list(net.PARAMETERS) == names
    params = net.init(0)
    drawn = [params[name] for name in names if name.endswith("W")]
    assert len({array.tobytes() for array in drawn}) == 30
    assert sum(array.size for array in params.values()) == net.SIZE


def test_a_deep_stack_trains_and_answers():
    net = compiled(deep(6, units=16))
    assert "for l in range" in source(deep(6, units=16))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 16))
    y = (x[:, 0] > 0).astype(int)
    model = net.Model(0)
    history = model.fit(x, y, epochs=60, batch_size=8, validation_data=(x, y), progress=False)
    assert history["val_accuracy"][-1] > 0.8
    assert np.array_equal(model.predict(x), model.predict_proba(x).argmax(axis=1))


# Losses whose parts cross from the forward pass to the backward pass, or from output to loss.


def agrees(net, x, y):
    """Whether the gradient is that of the loss, along a random direction."""
    rng = np.random.default_rng(3)
    params = {n: a.astype(np.float64) for n, a in net.init(1).items()}
    way = {n: rng.normal(size=a.shape) for n, a in params.items()}

    def along(h):
        return net.value_and_grad({n: a + h * way[n] for n, a in params.items()}, x, y)[0]

    _, gradients = net.value_and_grad(params, x, y)
    found = sum((gradients[n] * way[n]).sum() for n in params)
    return found == pytest.approx((along(1e-5) - along(-1e-5)) / 2e-5, rel=1e-7)


def own_loss(formula):
    definition = f"\n[define.loss.own]\nformula = {formula!r}\n"
    return TINY.replace('"softmax_cross_entropy"', '"own"') + definition


def test_scalars_of_the_forward_pass_are_there_in_the_backward_pass():
    net = compiled(own_loss("L = log(1 + mean[...]((z[...] - y[...])**2))"))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 3))
    assert agrees(net, x, y)
    model = net.Model(0)
    expected = np.log(1 + np.mean((model.predict(x) - y) ** 2))
    assert model.evaluate(x, y)["loss"] == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_an_output_that_went_through_softmax_stays_finite():
    text = own_loss("L = -mean[n](log(z[n,y[n]]))")
    net = compiled(text.replace("units = 3", 'units = 3\nactivation = "softmax"'))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 4)), rng.integers(0, 3, 6)
    assert agrees(net, x, y)
    model = net.Model(0)
    model.params["dense_2.W"][...] *= 1e4
    with np.errstate(all="raise", under="ignore"):
        assert 10 < model.evaluate(x, y)["loss"] < np.inf
        assert model.train_step(x, y) < np.inf


# Initialization.


def test_initial_values_follow_their_formulas():
    net = compiled(TINY.replace("units = 5", "units = 400").replace("[4]", "[600]"))
    params = net.init(0)
    limit = np.sqrt(6 / (600 + 400))
    assert np.abs(params["dense_1.W"]).max() <= limit * (1 + 1e-6)
    assert params["dense_1.W"].std() == pytest.approx(limit / np.sqrt(3), rel=0.02)
    assert not params["dense_1.b"].any()
    assert {array.dtype for array in params.values()} == {np.dtype(np.float32)}
    again, other = net.init(0), net.init(1)
    assert all(np.array_equal(params[n], again[n]) for n in params)
    assert not np.array_equal(params["dense_1.W"], other["dense_1.W"])


def test_the_spec_decides_the_type():
    net = compiled('dtype = "float64"\n' + TINY)
    x, y = np.zeros((2, 4)), np.zeros(2, int)
    assert {a.dtype for a in net.init(0).values()} == {np.dtype(np.float64)}
    assert net.forward(net.init(0), x).dtype == np.float64
    assert {g.dtype for g in net.value_and_grad(net.init(0), x, y)[1].values()} == {
        np.dtype(np.float64)
    }


# Optimizers whose equations come in another order.


def test_a_state_that_is_read_after_its_next_value_is_known():
    definition = """
[define.optimizer.difference]
formula = '''
m_next[...] = 0.5 * m[...] + g[...]
w_next[...] = w[...] - learning_rate * (m_next[...] - m[...])
'''
"""
    net = compiled(spec(optimizer='type = "difference"\nlearning_rate = 0.1') + definition)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 4)), rng.integers(0, 3, 6)
    model = net.Model(0)
    params = {n: a.astype(np.float64) for n, a in model.params.items()}
    m = dict.fromkeys(params, 0.0)
    for _ in range(4):
        model.train_step(x, y)
        _, gradients = net.value_and_grad(params, x, y)
        for n, g in gradients.items():
            following = 0.5 * m[n] + g
            params[n] -= 0.1 * (following - m[n])
            m[n] = following
    for n, array in model.params.items():
        np.testing.assert_allclose(array, params[n], rtol=1e-5, atol=1e-7)


BLOCKS = """
[define.layer.shared]
input = "x[n,i]"
sizes = { j = "units*2", k = "units" }
parameters = { W = { indices = "i,k", init = "normal" } }
forward = "z[n,j] = sum[i](x[n,i] * W[i,j//2])"
"""


def test_sizes_that_the_derivation_introduces_are_numbers_in_a_network():
    """W_bar[i,k] = sum[n,r](x[n,i]*z_bar[n,2*k+r]), r in 0..1."""
    text = TINY.replace('type = "dense"\nunits = 3', 'type = "shared"\nunits = 3') + BLOCKS
    assert text.count("shared") == 2
    module = compiled(text)
    params = {name: p.astype(np.float64) for name, p in module.init(0).items()}
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 4)), rng.integers(0, 6, 5)

    def value(p):
        return float(module.value_and_grad(p, x, y)[0])

    assert compare(value, module.value_and_grad(params, x, y)[1], params, list(params)).ok


def test_the_source_is_the_same_under_every_hash_seed(tmp_path):
    """Also where of `z[n,p,q,2*g+k]` both g and k may stand for the axis."""
    path = tmp_path / "groups.toml"
    path.write_text(
        "name = 'groups'\n[input]\nshape = [4, 4, 3]\n"
        "[[layers]]\ntype = 'conv2d_transpose'\nfilters = 4\nkernel_size = 3\nstride = 2\n"
        "[[layers]]\ntype = 'group_norm'\ngroups = 2\n"
        "[[layers]]\ntype = 'flatten'\n[[layers]]\ntype = 'dense'\nunits = 3\n"
        "[loss]\ntype = 'softmax_cross_entropy'\n[optimizer]\ntype = 'adam'\n"
    )
    code = "import sys, pathlib; from derive.pipeline import derive_network\n"
    code += "print(derive_network(pathlib.Path(sys.argv[1])).source())"
    sources = {
        subprocess.run(
            [sys.executable, "-c", code, str(path)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(sources) == 1
