"""Networks: a spec composed into one program."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derive.language import formula
from derive.language.checker import check
from derive.language.interpreter import evaluate
from derive.library.definitions import functions, library
from derive.library.toml_positions import parse
from derive.networks.network import compose
from derive.networks.spec import interpret, load

SPECS = Path(__file__).parent.parent / "specs"


def network(layers, shape, loss="mse", more=""):
    text = "".join(
        "[[layers]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in layer.items())
        for layer in layers
    )
    text = f"name = 'net'\n[input]\nshape = {list(shape)}\n{text}[loss]\ntype = '{loss}'\n{more}"
    return compose(interpret(parse(text, "net.toml")))


def dense(units, **fields):
    return {"type": "dense", "units": units, **fields}


def lines(net):
    return str(net.program).split("\n")


def test_digits_mlp():
    net = compose(load(SPECS / "digits_mlp.toml"))
    check(net.program)
    assert lines(net) == [
        "z_1[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]",
        "a_1[n,j] = where(0 < z_1[n,j], z_1[n,j], 0)",
        "z_2[n,k] = sum[j](a_1[n,j]*W_2[j,k]) + b_2[k]",
        "L = mean[n](logsumexp[k](z_2[n,k]) - z_2[n,y[n]])",
    ]
    assert [str(t) for t in net.program.inputs] == [
        "x[n,i]",
        "y[n]",
        "W_1[i,j]",
        "b_1[j]",
        "W_2[j,k]",
        "b_2[k]",
    ]
    assert [(p.name, p.tensor, p.shape, p.fan_in, p.fan_out) for p in net.parameters] == [
        ("dense_1.W", "W_1", (64, 128), 64, 128),
        ("dense_1.b", "b_1", (128,), 1, 128),
        ("dense_2.W", "W_2", (128, 10), 128, 10),
        ("dense_2.b", "b_2", (10,), 1, 10),
    ]
    assert [(u.name, u.type, u.output, u.shape) for u in net.layers] == [
        ("dense_1", "dense", "z_1", (128,)),
        ("relu_1", "relu", "a_1", (128,)),
        ("dense_2", "dense", "z_2", (10,)),
    ]
    assert [str(i.size) for i in net.output.axes] == ["N", "10"]
    assert net.parameters[0].initializer is net.parameters[2].initializer
    assert (net.optimizer.name, net.optimizer.states) == ("adam", ("m", "v"))
    assert net.optimizer.program.results == ("w_next", "m_next", "v_next")


def test_an_activation_has_the_number_of_its_layer():
    layers = [dense(3), {"type": "softplus"}, {"type": "tanh"}, {"type": "prelu"}, dense(3)]
    net = network([*layers, {"type": "softmax"}], [4])
    assert [u.output for u in net.layers] == ["z_1", "a_1", "a_2", "a_3", "z_4", "a_4"]
    assert [p.tensor for p in net.parameters] == ["W_1", "b_1", "alpha_3", "W_4", "b_4"]


def test_equal_layers_read_alike():
    net = network([dense(8, activation="relu")] * 4, [8])
    equal = [line.replace("_2", "_#").replace("_1", "_@") for line in lines(net)[2:4]]
    assert equal == [line.replace("_3", "_#").replace("_2", "_@") for line in lines(net)[4:6]]
    assert lines(net)[2] == "z_2[n,j] = sum[i](a_1[n,i]*W_2[i,j]) + b_2[j]"


def test_an_index_has_one_size():
    widths = list(range(40, 70))
    net = network([dense(w, activation="tanh") for w in widths], [7, 39])
    check(net.program)
    sizes = {}
    for equation in net.program.equations:
        for index in equation.indices:
            assert sizes.setdefault(index.name, index.size) == index.size
    assert len(sizes) > len(widths)
    assert not set(sizes) & {t.name for t in net.program.inputs}


def test_leading_axes_are_written_out():
    net = network([dense(5), {"type": "softmax"}], [6, 4], "softmax_cross_entropy")
    assert lines(net) == [
        "z_1[n,t,j] = sum[i](x[n,t,i]*W_1[i,j]) + b_1[j]",
        "a_1[n,t,j] = exp(z_1[n,t,j])/sum[k](exp(z_1[n,t,k]))",
        "L = mean[n,t](logsumexp[k](a_1[n,t,k]) - a_1[n,t,y[n,t]])",
    ]
    assert str(net.target) == "y[n,t]"


def test_a_layer_without_bias():
    net = network([dense(3, bias=False)], [4])
    assert lines(net)[0] == "z_1[n,j] = sum[i](x[n,i]*W_1[i,j])"
    assert [p.name for p in net.parameters] == ["dense_1.W"]


def test_smoothing_is_there_only_where_it_is_asked_for():
    plain = network([dense(3)], [4], "softmax_cross_entropy")
    assert "mean[j]" not in str(plain.program)
    smooth = network([dense(3)], [4], "softmax_cross_entropy", "label_smoothing = 0.1")
    assert "mean[j]" in str(smooth.program)


def test_a_definition_may_use_names_that_the_network_uses_too():
    own = """
[define.layer.odd]
input = "L[n,y]"
parameters = { N = { indices = "y" }, x = { indices = "y" } }
forward = '''
i_1[n,y] = N[y] * L[n,y]
y_1[n,y] = i_1[n,y] + x[y]
'''
[define.loss.own]
formula = '''
N[...] = z[...] - y[...]
n[...] = N[...]**2
R = sum[...](n[...])
'''
"""
    net = network([{"type": "odd"}, {"type": "odd"}], [4], "own", own)
    check(net.program)
    names = [t.name for t in net.program.inputs] + [e.target for e in net.program.equations]
    assert len(set(names)) == len(names)
    assert net.program.equations[-1].target == "L"
    rng = np.random.default_rng(0)
    arrays = {
        t.name: rng.normal(size=[2 if str(i.size) == "N" else 4 for i in t.axes])
        for t in net.program.inputs
    }
    z = arrays["x"]
    for k in (1, 2):
        z = arrays[f"N_{k}"] * z + arrays[f"x_{k}"]
    loss = evaluate(net.program, arrays)["L"]
    assert float(loss) == pytest.approx(float(((z - arrays["y"]) ** 2).sum()))


def test_each_definition_is_parsed_once_however_many_layers_use_it(monkeypatch):
    library()
    texts = []
    original = formula.parse

    def counted(text, **keywords):
        texts.append(text)
        return original(text, **keywords)

    monkeypatch.setattr(formula, "parse", counted)
    net = network([dense(30 + k % 7, activation="gelu") for k in range(200)], [16])
    assert len(net.parameters) == 400
    assert len(texts) < 10


def test_the_size_of_a_network_changes_nothing_but_numbers():
    small = network([dense(7, activation="relu"), dense(3)], [5])
    large = network([dense(8192, activation="relu"), dense(1000)], [4096])
    assert lines(small) == lines(large)


widths = st.sampled_from([1, 2, 3, 4])
some_layers = st.lists(
    st.one_of(
        st.builds(dense, widths, bias=st.booleans()),
        st.builds(
            dense,
            widths,
            activation=st.sampled_from(["relu", "tanh", "sigmoid", "softmax", "mish"]),
        ),
        st.sampled_from(["selu", "log_softmax", "prelu", "flatten"]).map(lambda t: {"type": t}),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(some_layers, st.lists(widths, min_size=1, max_size=3))
def test_a_program_is_sound_and_its_text_reads_back(layers, shape):
    net = network(layers, shape)
    check(net.program)
    sizes = {
        i.name: int(i.size)
        for e in net.program.equations
        for i in e.body.atoms(type(e.indices[0]) if e.indices else type(net.output.axes[0]))
        if i.size.is_Integer
    }
    again = formula.parse(str(net.program), sizes=sizes, functions=functions())
    assert str(again) == str(net.program)
    rng = np.random.default_rng(0)
    arrays = {
        t.name: rng.normal(size=[2 if str(i.size) == "N" else int(i.size) for i in t.axes])
        for t in net.program.inputs
    }
    first, second = evaluate(net.program, arrays), evaluate(again, arrays)
    np.testing.assert_array_equal(first["L"], second["L"])
    expected = arrays["x"]
    for layer in net.layers:
        assert first[layer.output].shape == (2, *layer.shape)
    assert np.isfinite(expected).all()
