"""Definitions: the users' format, which is that of the library."""

import ast
from pathlib import Path

import numpy as np
import pytest

import derive
from derive.language.interpreter import evaluate
from derive.language.notation import DeriveError
from derive.library import size_expressions
from derive.library.cases import DRAW_KEYS, PARAMETER_KEYS, STATE_KEYS
from derive.library.definitions import (
    CASE_KEYS,
    INITIALIZER_CASE_KEYS,
    KEYS,
    LOSS_CASE_KEYS,
    functions,
    library,
)
from derive.library.toml_positions import SpecError, parse
from derive.networks.network import compose
from derive.networks.spec import interpret, load

SWISH = """
[define.activation.swish]
formula = "y[...] = x[...] * sigmoid(beta * x[...])"
constants = { beta = 1.5 }
"""
BILINEAR = """
[define.layer.bilinear]
input = "x[n,i]"
sizes = { j = "units" }
parameters.W = { indices = "i,k,j", init = "glorot_uniform" }
parameters.b = { indices = "j", init = "zeros" }
forward = "y[n,j] = sum[i,k](x[n,i] * W[i,k,j] * x[n,k]) + b[j]"
"""


def spec(layers, definitions="", shape="[3]", loss="type = 'mse'", rest=""):
    head = f"name = 'net'\n{rest}\n[input]\nshape = {shape}\n"
    return interpret(parse(f"{head}{layers}\n[loss]\n{loss}\n{definitions}", "net.toml"))


def outputs(network, **arrays):
    """The value of every tensor; `y` is made up."""
    rng = np.random.default_rng(0)
    for tensor in network.program.inputs:
        shape = [len(arrays["x"]) if str(i.size) == "N" else int(i.size) for i in tensor.axes]
        arrays.setdefault(tensor.name, rng.normal(size=shape))
    return arrays | evaluate(network.program, arrays)


def complaint(*arguments, **keywords):
    with pytest.raises(SpecError) as raised:
        compose(spec(*arguments, **keywords))
    return str(raised.value)


# The format.


def test_no_key_could_hold_a_backward_formula():
    """The keys are these and no others; the only ones with formulas are forward ones."""
    fields = ("constants", "pairs", "choices", "lists")
    assert (
        *("when", "input", "inputs", "sizes", "numbers", "ranks", "require"),
        *("parameters", "draws", "state", "forward", "inference", "layers"),
    ) == CASE_KEYS
    assert LOSS_CASE_KEYS == ("when", "formula", "numbers", "require")
    assert INITIALIZER_CASE_KEYS == ("when", "formula")
    assert {
        "initializer": ("formula", "constants", "cases"),
        "activation": ("formula", "parameters", "constants"),
        "layer": (*fields, *CASE_KEYS[1:], "associative", "cases"),
        "loss": (*fields, *LOSS_CASE_KEYS[1:], "predict", "proba", "cases"),
        "optimizer": ("formula", "constants"),
    } == KEYS
    assert PARAMETER_KEYS == ("indices", "init", "when", "fan_in", "fan_out")
    assert STATE_KEYS == ("indices", "initial")
    assert DRAW_KEYS == ("indices", "distribution")


@pytest.mark.parametrize(
    "key", ["backward", "gradient", "derivative", "vjp", "x_bar", "forward_bar", "adjoint"]
)
@pytest.mark.parametrize("place", ["layer.own", "layer.own.parameters.W", "loss.own"])
def test_a_key_for_a_backward_formula_is_refused(key, place):
    text = """
[define.layer.own]
input = "x[n,i]"
forward = "y[n,i] = W[i]*x[n,i]"
[define.layer.own.parameters.W]
indices = "i"
[define.loss.own]
formula = "L = sum[...](z[...])"
"""
    table = f"[define.{place}]\n"
    broken = text.replace(table, f"{table}{key} = 'x_bar[n,i] = y_bar[n,i]'\n")
    assert f"unknown key {key!r}" in complaint("[[layers]]\ntype = 'relu'", broken)


def test_the_library_is_read_by_the_code_that_reads_a_users_definitions():
    """Every file of the library is accepted as a user's own."""
    for file in sorted((Path(derive.__file__).parent / "library").glob("*.toml")):
        text = "[[layers]]\ntype = 'dense'\nunits = 1"
        own = spec(text, file.read_text()).definitions
        assert set(own.entries) == set(library().entries)
        assert any(own.entries[key] is not library().entries[key] for key in own.entries)


def test_reading_evaluates_nothing():
    package = Path(derive.__file__).parent
    paths = [p for folder in ("library", "networks") for p in (package / folder).glob("*.py")]
    assert len(paths) > 15
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        called = {
            n.func.id
            for n in ast.walk(tree)
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        }
        assert not called & {"eval", "exec", "compile", "sympify", "__import__", "getattr", "S"}


# What a user defines.


def test_an_activation():
    layers = "[[layers]]\ntype = 'swish'\n[[layers]]\ntype = 'swish'\nbeta = 0.5"
    network = compose(spec(layers, SWISH))
    assert [str(e) for e in network.program.equations[:2]] == [
        "y_1[n,i] = sigmoid(3*x[n,i]/2)*x[n,i]",
        "y_2[n,i] = sigmoid(y_1[n,i]/2)*y_1[n,i]",
    ]


def test_an_activation_as_shorthand_and_as_a_function_of_another_definition():
    layer = """
[define.layer.gate]
input = "x[n,i]"
parameters = { w = { indices = "i", init = 1.0 } }
forward = "y[n,i] = swish(w[i] * x[n,i], beta=2) + swish(x[n,i])"
"""
    layers = "[[layers]]\ntype = 'gate'\nactivation = 'swish'"
    values = outputs(compose(spec(layers, SWISH + layer)), x=np.array([[1.0, -2.0, 0.5]]))
    swish = lambda x, beta=1.5: x / (1 + np.exp(-beta * x))  # noqa: E731
    gate = swish(values["w_1"] * values["x"], 2) + swish(values["x"])
    np.testing.assert_allclose(values["y_2"], swish(gate), rtol=1e-12)


def test_a_layer():
    network = compose(spec("[[layers]]\ntype = 'bilinear'\nunits = 2", BILINEAR))
    assert [(p.name, p.shape) for p in network.parameters] == [
        ("bilinear_1.W", (3, 3, 2)),
        ("bilinear_1.b", (2,)),
    ]
    assert (network.parameters[0].fan_in, network.parameters[0].fan_out) == (9, 2)
    v = outputs(network, x=np.random.default_rng(1).normal(size=(4, 3)))
    expected = np.einsum("ni,ikj,nk->nj", v["x"], v["W_1"], v["x"]) + v["b_1"]
    np.testing.assert_allclose(v["y_1"], expected, rtol=1e-12)


def test_a_layer_with_strides_and_sizes_that_are_expressions():
    conv = """
[define.layer.conv1d]
input = "x[n,t,c]"
sizes = { k = "kernel_size", f = "filters", p = "(T - K) // stride + 1" }
parameters.W = { indices = "k,c,f", init = "he_normal", fan_in = "K*C", fan_out = "K*F" }
parameters.b = { indices = "f", when = "bias" }
constants = { stride = 1, bias = true }
forward = "z[n,p,f] = sum[k,c](x[n, stride*p + k, c] * W[k,c,f]) + b[f]"
"""
    layers = "[[layers]]\ntype = 'conv1d'\nfilters = 4\nkernel_size = 3\nstride = 2\nbias = false"
    network = compose(spec(layers, conv, shape="[8, 2]"))
    (w,) = network.parameters
    assert (w.shape, w.fan_in, w.fan_out) == ((3, 2, 4), 6, 12)
    assert network.layers[0].shape == (3, 4)
    v = outputs(network, x=np.random.default_rng(1).normal(size=(2, 8, 2)))
    windows = np.stack([v["x"][:, 2 * p : 2 * p + 3] for p in range(3)], 1)
    np.testing.assert_allclose(v["z_1"], np.einsum("npkc,kcf->npf", windows, v["W_1"]), rtol=1e-12)
    message = complaint(layers.replace("kernel_size = 3", "kernel_size = 9"), conv, shape="[8, 2]")
    assert (
        "layer conv1d_1: nothing is left along p: its size is (T - K) // stride + 1 = 0" in message
    )


def test_a_layer_with_several_inputs_and_lines():
    attention = """
[define.layer.attend]
inputs = ["q[n,t,d]", "k[n,s,d]", "v[n,s,e]"]
forward = '''
s[n,t,s] = sum[d](q[n,t,d] * k[n,s,d]) / sqrt(D)
a[n,t,e] = sum[s](exp(w[n,t,s]) * v[n,s,e]) / sum[s](exp(w[n,t,s]))
'''
"""
    attention = attention.replace("s[n,t,s] =", "w[n,t,s] =")
    layers = """
[[layers]]
type = "dense"
units = 4
name = "key"
[[layers]]
type = "dense"
units = 5
name = "value"
inputs = ["input"]
[[layers]]
type = "attend"
inputs = ["key", "key", "value"]
"""
    v = outputs(compose(spec(layers, attention, shape="[3, 2]")), x=np.ones((2, 3, 2)) * 0.3)
    scores = np.einsum("ntd,nsd->nts", v["z_1"], v["z_1"]) / 2
    p = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(v["a_3"], np.einsum("nts,nse->nte", p, v["z_2"]), rtol=1e-12)


def test_a_loss_and_an_optimizer_and_an_initializer():
    definitions = """
[define.loss.pinball]
formula = "L = mean[...](maximum(q*(y[...] - z[...]), (q - 1)*(y[...] - z[...])))"
constants = { q = 0.5 }
[define.optimizer.signed]
formula = "w_next[...] = w[...] - learning_rate * scale * sign(g[...])"
constants = { scale = 2.0 }
[define.initializer.halves]
formula = "w[...] = 1/2"
[define.layer.own]
input = "x[n,i]"
parameters = { w = { indices = "i", init = "halves" } }
forward = "y[n,i] = w[i] * x[n,i]"
"""
    rest = "[optimizer]\ntype = 'signed'\nlearning_rate = 0.25"
    network = compose(
        spec("[[layers]]\ntype = 'own'", definitions + rest, loss="type = 'pinball'\nq = 0.9")
    )
    x, y = np.ones((1, 3)), np.array([[0.0, 0.5, 2.0]])
    values = outputs(network, x=x, y=y, w_1=np.full(3, 0.5))
    assert float(values["L"]) == pytest.approx((0.1 * 0.5 + 0.9 * 1.5) / 3)
    assert str(network.parameters[0].initializer.program) == "w[...] = 0.5"
    step = {"w": np.zeros(2), "g": np.array([3.0, -1.0]), "learning_rate": 0.25}
    np.testing.assert_allclose(evaluate(network.optimizer.program, step)["w_next"], [-0.5, 0.5])


def test_a_definition_takes_precedence_over_the_library():
    relu = "[define.activation.relu]\nformula = 'r[...] = 7 * relu(x[...])'\n"
    layers = "[[layers]]\ntype = 'dense'\nunits = 2\nactivation = 'relu'"
    network = compose(spec(layers, relu))
    v = outputs(network, x=np.ones((1, 3)))
    np.testing.assert_allclose(v["r_1"], 7 * np.maximum(v["z_1"], 0))
    assert functions()["relu"] is not network  # the library itself is as it was
    assert "r_1" not in str(compose(spec(layers)).program)


def test_constants_of_a_formula_stay_exact():
    network = compose(spec("[[layers]]\ntype = 'leaky_relu'\nslope = 0.1"))
    assert "0.1*x[n,i]" in str(network.program)


def test_the_first_case_that_fits_is_taken():
    cases = """
[[define.layer.pool.cases]]
input = "x[n,t]"
forward = "y[n] = max[t](x[n,t])"
[[define.layer.pool.cases]]
input = "x[...,t]"
forward = "y[...] = sum[t](x[...,t])"
"""
    assert "max" in str(compose(spec("[[layers]]\ntype = 'pool'", cases)).program)
    assert "max" not in str(compose(spec("[[layers]]\ntype = 'pool'", cases, "[2, 3]")).program)


def test_sizes_are_integer_expressions():
    values = {"H": 7, "k": 3}
    for text, expected in [
        ("(H + 2*k - 1) // 2 + 1", 7),
        ("-H // 2", -4),
        ("-(H // 2)", -3),
        ("-H % k", 2),
        ("2 - 3 - 4", -5),
        ("12", 12),
    ]:
        assert size_expressions.size(text, values) == expected
    assert size_expressions.names("H*k + H") == {"H", "k"}
    for text in ("H/2", "H**2", "H.real", "f(H)", "[H]", "True", "1.5", "'a'", "H if k else 1", ""):
        with pytest.raises(DeriveError):
            size_expressions.size(text, values)
    with pytest.raises(DeriveError, match="nested"):
        size_expressions.size("-" * 200 + "H", values)
    with pytest.raises(DeriveError, match="nothing says what W is"):
        size_expressions.size("H*W", values)


# Include.


def test_include(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more/own.toml").write_text(SWISH)
    file = tmp_path / "net.toml"
    text = "name = 'n'\ninclude = ['more/own.toml']\n[input]\nshape = [2]\n[loss]\ntype = 'mse'\n"
    file.write_text(text + "[[layers]]\ntype = 'swish'\n")
    assert load(file).layers[0].definition.name == "swish"

    (tmp_path / "more/own.toml").write_text(SWISH.replace("beta * x", "bet * x") + "[layers]\n")
    with pytest.raises(SpecError) as raised:
        load(file)
    assert f"{tmp_path}/more/own.toml:3:" in str(raised.value)
    assert "unknown name `bet`" in str(raised.value)
    assert "unknown key 'layers'" in str(raised.value)


@pytest.mark.parametrize(
    "include, message",
    [
        ("'a.toml'", "include must be a list of relative paths"),
        ("['/etc/passwd']", "include must be a list of relative paths"),
        ("['/a.toml']", "must be relative"),
        ("['missing.toml']", "cannot be read: No such file or directory"),
        ("['.toml']", "cannot be read"),
    ],
)
def test_include_refuses(tmp_path, include, message):
    file = tmp_path / "net.toml"
    text = f"name = 'n'\ninclude = {include}\n[input]\nshape = [2]\n[loss]\ntype = 'mse'\n"
    file.write_text(text + "[[layers]]\ntype = 'relu'\n")
    with pytest.raises(SpecError, match=message) as raised:
        load(file)
    assert f"{file}:2:" in str(raised.value)


# What is refused.

LAYER = """
[define.layer.own]
input = "x[n,i]"
sizes = {{ j = "units" }}
parameters = {{ W = {{ indices = "i,j" }} }}
constants = {{ c = 2 }}
forward = '''
{}
'''
"""


@pytest.mark.parametrize(
    "formula, message",
    [
        ("z[n,j] = sum[i](x[n,i]*V[i,j])", "unknown name `V`"),
        ("z[n,j] = sum[i](x[n,i]*w[i,j])", "unknown name `w`"),
        ("z[n,j] = u[n,j]\nu[n,j] = sum[i](x[n,i]*W[i,j])", "`u`"),
        ("z[n,j] = sum[i](x[n,i]*W[i,j]) + d", "unknown name `d`"),
        ("z[n,j] = sum[i](x[n,i]*W[i])", "`W`"),
        ("x[n,i] = 1", "`x`"),
        ("z[n,j] = sum[i](x[n,i]*W[i,j])\nz[n,j] = 1", "assigned twice"),
        ("z[n,j] = sum[i](x[n,i]*W[i,j]).real", "attribute"),
        ("z[n,j] = __import__('os')", "unexpected character"),
        ("z[n,j] = sum[i](x[n,i]*W[i,j]) + 9**9**9", "overflow"),
        ("z[n,j] = sum[i](x[n,i]*W[i,j]) + 1e999", "overflow"),
        ("z[n,j] = sum[i](x[n,i]*W[i,j]) + \u03b1", "character"),
        ("z[n,j] = " + "(" * 101 + "1" + ")" * 101, "deep"),
        ("z[n,j] = 1" + " + 1" * 30_000, "100,?000"),
        ("", "no equation"),
    ],
)
def test_a_formula_that_is_refused_has_its_place_in_the_spec(formula, message):
    layers = "[[layers]]\ntype = 'own'\nunits = 2"
    with pytest.raises(SpecError, match=message) as raised:
        spec(layers, LAYER.format(formula))
    place = str(raised.value).split(" ")[0].split(":")
    assert place[0] == "net.toml"
    assert int(place[1]) > 10


def test_a_comment_may_be_of_any_alphabet():
    own = LAYER.format("z[n,j] = sum[i](x[n,i]*W[i,j])  # \u03b1 \u2211")
    assert spec("[[layers]]\ntype = 'own'\nunits = 2", own)


@pytest.mark.parametrize(
    "definition, message",
    [
        ("[define]\nlayers = 3", "unknown key 'layers'; the nearest known key is 'layer'"),
        ("[define.layer]\nown = 3", "own must be a table"),
        ("[define.layer.own]", "input is missing"),
        ("[define.layer.own]\ninput = 'x[n,i]'", "forward is missing"),
        ("[define.layer.own]\ninput = 'x'\nforward = 'y = 1'", "input must be a pattern"),
        ("[define.layer.own]\ninput = 'x[n,n]'\nforward = 'y = 1'", "input must be a pattern"),
        ("[define.layer.own]\ninput = 'x[n,...]'\nforward = 'y = 1'", "input must be a pattern"),
        ("[define.layer.own]\ninputs = ['x[n]', 'x[n]']\nforward = 'y = 1'", "must be a pattern"),
        ("[define.layer.own]\ninputs = []\nforward = 'y = 1'", "inputs must be a list"),
        ("[define.layer.own]\ninput = 'exp[n]'\nforward = 'y[n] = exp[n]'", "'exp' is a function"),
        (
            "[define.layer.own]\ninput = 'x[n]'\nforward = 'y[n] = x[n]'\nconstants = { x = 1 }",
            "'x' has more than one meaning",
        ),
        (
            "[define.layer.own]\ninput = 'x[n]'\nforward = 'y[n] = x[n]'\nconstants = { name = 1 }",
            "'name' is no name for a constant",
        ),
        (
            "[define.layer.own]\ninput = 'x[n]'\nforward = 'y[n] = x[n]'\nconstants = { c = 'a' }",
            "c must be a finite number",
        ),
        (
            "[define.layer.own]\ninput = 'x[n]'\nforward = 'y[n] = x[n]'\nsizes = { j = '2**3' }",
            "a size is made of",
        ),
        (
            "[define.layer.own]\ninput = 'x[n]'\nforward = 'y[n] = x[n]'\nsizes = { j = 'f(3)' }",
            "a size is made of",
        ),
        (
            "[define.layer.own]\ninput = 'x[n]'\nforward = 'y[n] = x[n]'\nsizes = { J = '3' }",
            "'J' is no name of an index",
        ),
        (
            "[define.layer.own]\ninput = 'x[n,i]'\nforward = 'y[n] = x[n,0]*W[0]'\n"
            "parameters = { W = { indices = 'i', when = 'bias' } }",
            "when must name a constant that is true or false",
        ),
        (
            "[define.layer.own]\ninput = 'x[n,i]'\nforward = 'y[n] = x[n,0]*W[0]'\n"
            "parameters = { W = { indices = 'i', init = { type = 'normal', sdt = 1 } } }",
            "initializer 'normal' has no field 'sdt'",
        ),
        ("[define.layer.'a b']\ninput = 'x[n]'\nforward = 'y[n] = x[n]'", "is no name"),
        ("[define.layer.input]\ninput = 'x[n]'\nforward = 'y[n] = x[n]'", "is no name"),
        ("[define.layer.lambda]\ninput = 'x[n]'\nforward = 'y[n] = x[n]'", "is no name"),
        (
            "[define.layer.own]\ninput = 'x[n]'\nforward = 'y[n] = x[n]'\n"
            "[define.activation.own]\nformula = 'y[...] = x[...]'",
            "'own' is defined as a layer and as an activation",
        ),
        ("[define.activation.own]\nformula = 'y[...] = z[...]'", "unknown name `z`"),
        ("[define.loss.own]\nformula = 'L = sum[...](x[...])'", "unknown name `x`"),
        ("[define.optimizer.own]\nformula = 'w_next[...] = v[...]'", "unknown name `v`"),
        ("[define.initializer.own]\nformula = 'w[...] = fan'", "unknown name `fan`"),
        ("[define.initializer.own]\nformula = 'v[...] = 1'", "must compute w[...]"),
        ("[define.optimizer.own]\nformula = 'v[...] = w[...]'", "must compute w_next[...]"),
        (
            "[define.optimizer.own]\nformula = '''w_next[...] = w[...] - g[...]\n"
            "s_next = sum[...](g[...])'''",
            "must compute s_next[...]",
        ),
    ],
)
def test_a_definition_that_is_refused(definition, message):
    assert message in complaint("[[layers]]\ntype = 'relu'", definition)


def test_an_error_in_a_definition_is_no_second_error_where_it_is_used():
    message = complaint("[[layers]]\ntype = 'swish'", SWISH.replace("beta *", "betta *"))
    assert message.count("net.toml:") == 1
    assert "Did you mean `beta`?" in message


def test_a_size_that_nothing_fixes():
    own = BILINEAR.replace("x[n,k])", "1)")
    assert "nothing fixes the size of index k" in complaint(
        "[[layers]]\ntype = 'bilinear'\nunits = 2", own
    )


@pytest.mark.parametrize(
    "fields, message",
    [
        ("forward = 'y[i,n] = x[n,i]'", "the first axis of its result y_1 must be the batch"),
        ("forward = 'y[i] = mean[n](x[n,i])'", "the first axis of its result y_1 must be"),
        ("forward = 'y = sum[n,i](x[n,i])'", "the first axis of its result y_1 must be"),
        ("forward = 'y[n,m] = sum[i](x[n,i]*x[m,i])'", "an axis of y_1 has the size of the batch"),
        (
            "forward = 'y[n,i] = x[n,i]*W[n]'\nparameters = { W = { indices = 'n' } }",
            "an axis of W has the size of the batch",
        ),
        ("forward = 'y[n,j] = x[n,0]'\nsizes = { j = 'N' }", "nothing says what N is"),
        ("forward = 'y[n,i] = x[n,i+1]'", "leaves"),
        ("forward = 'y[n,i] = x[n,3]'", "leaves"),
        (
            "forward = 'y[n,j] = x[n,0]'\nsizes = { j = '1 - I' }",
            "nothing is left along j: its size is 1 - I = -2",
        ),
        ("forward = 'y[n,j] = x[n,0]'\nsizes = { j = 'I // 0' }", "divides by 0"),
    ],
)
def test_a_layer_that_cannot_be_used_here(fields, message):
    own = f"[define.layer.own]\ninput = 'x[n,i]'\n{fields}"
    found = complaint("[[layers]]\ntype = 'own'", own)
    assert message in found and "net.toml:" in found


def test_a_loss_must_be_a_scalar():
    own = "[define.loss.own]\nformula = 'L[...] = z[...]'"
    assert "no scalar" in complaint("[[layers]]\ntype = 'relu'", own, loss="type = 'own'")
