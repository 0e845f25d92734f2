"""Specs: what is read, and what is said of those that are wrong."""

import random
import re
from pathlib import Path

import pytest

from derive.library.toml_positions import SpecError, parse
from derive.networks.network import compose
from derive.networks.spec import Input, Regularization, Training, interpret, load

SPECS = sorted((Path(__file__).parent.parent / "specs").glob("*.toml"))

GOOD = """name = "net"
[input]
shape = [4]
[[layers]]
type = "dense"
units = 3
[loss]
type = "mse"
"""
DEFINITIONS = """
[define.layer.conv1d]
input = "x[n,t,c]"
sizes = { k = "kernel_size", f = "filters", p = "(T - K) // stride + 1" }
parameters.W = { indices = "k,c,f", init = "he_normal", fan_in = "K*C", fan_out = "K*F" }
parameters.b = { indices = "f", when = "bias" }
constants = { stride = 1, bias = true }
forward = "z[n,p,f] = sum[k,c](x[n, stride*p + k, c] * W[k,c,f]) + b[f]"
[define.loss.own]
formula = "L = mean[...](maximum(q*(y[...] - z[...]), (q - 1)*(y[...] - z[...])))"
predict = "c[...] = z[...] > 0"
constants = { q = 0.5 }
[define.optimizer.signed]
formula = "w_next[...] = w[...] - learning_rate * scale * sign(g[...])"
constants = { scale = 2.0 }
"""


def read(text):
    return interpret(parse(text, "net.toml"))


def complaints(text):
    with pytest.raises(SpecError) as raised:
        compose(read(text))
    return raised.value.messages


def complaint(text):
    (message,) = complaints(text)
    return message


def with_line(line, after="", text=GOOD):
    """The spec with one more line below `after`; at the top if that is empty."""
    return text.replace(f"{after}\n", f"{after}\n{line}\n", 1) if after else f"{line}\n{text}"


# What is read.


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_the_specs_of_the_repository(path):
    spec = load(path)
    assert spec.name == path.stem
    assert compose(spec).program.result == "L"


def test_every_field():
    spec = read(
        """
name = "net"
title = "A \\"title\\" with $ and \\\\ and {{ braces }}\\nand a second line"
dtype = "float64"
accuracy = "exact"
second_order = true
[input]
shape = [4, 5]
[[layers]]
type = "leaky_relu"
slope = 0.3
[loss]
type = "huber"
delta = 2
[optimizer]
type = "adam"
learning_rate = 0.25
beta1 = 0.5
[regularization]
l1 = 0.1
l2 = 0.2
weight_decay = 0.3
[training]
epochs = 7
batch_size = 5
gradient_clip_norm = 1.5
"""
    )
    assert (spec.name, spec.dtype, spec.accuracy) == ("net", "float64", "exact")
    assert spec.second_order
    assert spec.title == 'A "title" with $ and \\ and {{ braces }} and a second line'
    assert spec.input == Input((4, 5), "float64")
    assert [(u.name, u.type, u.fields) for u in spec.layers] == [
        ("leaky_relu_1", "leaky_relu", (("slope", 0.3),))
    ]
    assert (spec.loss.type, spec.loss.fields) == ("huber", (("delta", 2),))
    assert spec.optimizer.type == "adam"
    assert dict(spec.optimizer.fields) == {
        "learning_rate": 0.25,
        "beta1": 0.5,
        "beta2": 0.999,
        "eps": 1e-8,
    }
    assert spec.regularization == Regularization(0.1, 0.2, 0.3)
    assert spec.training == Training(7, 5, 1.5)


def test_defaults():
    spec = read(GOOD)
    assert (spec.title, spec.dtype, spec.accuracy) == ("net", "float32", "training")
    assert not spec.second_order
    assert (spec.optimizer.type, dict(spec.optimizer.fields)["learning_rate"]) == ("adam", 1e-3)
    assert spec.regularization == Regularization()
    assert spec.training == Training()
    assert dict(spec.layers[0].fields) == {"units": 3, "bias": True}


def test_tokens():
    spec = read(with_line('dtype = "int64"\nvocabulary = 27', "[input]"))
    assert spec.input == Input((4,), "int64", 27)
    assert spec.input.is_tokens


def test_names_of_layers_count_every_layer_of_a_type():
    spec = read(
        """name = "net"
[input]
shape = [4]
[[layers]]
type = "dense"
units = 3
activation = "relu"
[[layers]]
type = "relu"
[[layers]]
type = "dense"
name = "own"
units = 3
activation = "relu"
[[layers]]
type = "dense"
units = 3
[loss]
type = "mse"
"""
    )
    assert [(u.name, u.inputs) for u in spec.layers] == [
        ("dense_1", ("input",)),
        ("relu_1", ("dense_1",)),
        ("relu_2", ("relu_1",)),
        ("own", ("relu_2",)),
        ("relu_3", ("own",)),
        ("dense_3", ("relu_3",)),
    ]


def test_a_name_in_inputs_means_the_activated_output():
    text = with_line('activation = "relu"', "units = 3") + '[[layers]]\ntype = "tanh"\n'
    spec = read(text + 'inputs = ["dense_1"]\n')
    assert spec.layers[-1].inputs == ("relu_1",)
    both = (
        '[define.layer.both]\ninputs = ["a[n,i]", "b[n,j]"]\nforward = "c[n,i] = a[n,i]*b[n,0]"\n'
    )
    last = '[[layers]]\ntype = "both"\ninputs = ["tanh_1", "dense_1"]\n'
    spec = read(text + 'inputs = ["input"]\n' + last + both)
    assert [layer.inputs for layer in spec.layers[2:]] == [("input",), ("tanh_1", "relu_1")]


def test_a_shared_layer():
    text = GOOD + '[[layers]]\ntype = "dense"\nunits = 3\ninputs = ["input"]\nshare = "dense_1"\n'
    network = compose(read(text))
    assert [p.name for p in network.parameters] == ["dense_1.W", "dense_1.b"]
    assert network.layers[1].parameters == ("dense_1.W", "dense_1.b")
    assert str(network.program.equations[1]) == "z_2[n,j] = sum[i](x[n,i]*W_1[i,j]) + b_1[j]"
    message = complaint(text.replace('inputs = ["input"]\n', ""))
    assert "layer dense_2: dense_1.W has the shape (4, 3), but (3, 3) is needed here" in message


# What is refused. The caret stands where it should: line and column are given.

WRONG = [
    ('titel = "a"', "", "1:1: unknown key 'titel'; the nearest known key is 'title'"),
    ('dtype = "float16"', "", '1:9: dtype must be "float32" or "float64", not \'float16\''),
    ('accuracy = "high"', "", '1:12: accuracy must be "training" or "exact"'),
    ("second_order = 1", "", "1:16: second_order must be true or false, not 1"),
    ("title = 3", "", "1:9: title must be a string"),
    ("include = 'a.toml'", "", "1:11: include must be a list of relative paths"),
    ("units = 3", "[input]", "3:1: unknown key 'units'"),
    ("repeat = 3", "[input]", "3:1: unknown key 'repeat'; the known keys are 'dtype', 'shape',"),
    ("vocabulary = 3", "[input]", "3:1: a vocabulary is for tokens"),
    ('dtype = "int32"', "[input]", '3:9: dtype must be "float32" or "int64"'),
    ("unitz = 3", "units = 3", "7:1: unknown key 'unitz'; the nearest known key is 'units'"),
    ("name = 'a b'", "units = 3", "7:8: name must be a name"),
    ("name = 'lambda'", "units = 3", "7:8: name must be a name"),
    ("name = 'input'", "units = 3", "7:8: no layer can be called 'input'"),
    ("name = 3", "units = 3", "7:8: name must be a name"),
    ("name = '../x'", "units = 3", "7:8: name must be a name"),
    ("activation = 'rellu'", "units = 3", "7:14: unknown layer 'rellu'; the nearest is 'relu'"),
    ("activation = 'dense'", "units = 3", "7:14: dense has fields of its own"),
    ("activation = 3", "units = 3", "7:14: activation must be a string, not 3"),
    ("bias = 1", "units = 3", "7:8: bias must be true or false, not 1"),
    ("inputs = ['dense_1']", "units = 3", "7:11: no layer before this one is called 'dense_1'"),
    ("inputs = ['imput']", "units = 3", "7:11: no layer before this one is called 'imput'; the"),
    ("inputs = 'input'", "units = 3", "7:10: inputs must be a list of names"),
    ("inputs = []", "units = 3", "7:10: inputs must be a list of names"),
    ("share = 'a'", "units = 3", "7:9: no layer before this one is called 'a'"),
    ("delta = 1", 'type = "mse"', "9:1: unknown key 'delta'"),
]
GRAPHS = [
    ("[[layers]]\ntype = 'relu'\ninputs = ['relu_1']", "11:11: no layer before this one is called"),
    (
        "[[layers]]\ntype = 'relu'\ninputs = ['b']\n[[layers]]\ntype = 'relu'\nname = 'b'",
        "11:11: no layer before this one is called 'b'; a layer reads what stands above it",
    ),
    (
        "[[layers]]\ntype = 'relu'\ninputs = ['dense_2']",
        "11:11: no layer before this one is called 'dense_2'; the nearest name is 'dense_1'",
    ),
    (
        "[[layers]]\ntype = 'relu'\ninputs = ['input']",
        "4:1: the layer 'dense_1' is left dangling: nothing reads its output",
    ),
    (
        "[[layers]]\ntype = 'subtract'\ninputs = ['dense_1', 'input', 'input']",
        "11:1: layer subtract_1: subtract takes a[n,*s], b[n,*s], but is given dense_1",
    ),
    ("[[layers]]\ntype = 'add'", "9:1: layer add_1: add takes a[n,*s], b[n,*s] and more of them"),
    (
        "[[layers]]\ntype = 'add'\ninputs = ['dense_1', 'input']",
        "9:1: layer add_1: index s_1 has the size 3 in dense_1 and 4 in the input",
    ),
]
SECTIONS = [
    ("[optimizer]\ntype = 'adm'", "10:8: unknown optimizer 'adm'; the nearest is 'adam'"),
    ("[optimizer]\nlearning_rate = 1", "9:1: type is missing; it must be a string"),
    ("[optimizer]\ntype = 'sgd'\nlearning_rate = 0", "11:17: learning_rate must be a finite"),
    ("[optimizer]\ntype = 'sgd'\nlearning_rate = -1e-3", "11:17: learning_rate must be"),
    ("[optimizer]\ntype = 'sgd'\nlearning_rate = inf", "11:17: learning_rate must be"),
    ("[optimizer]\ntype = 'sgd'\nlearning_rate = nan", "11:17: learning_rate must be"),
    ("[optimizer]\ntype = 'sgd'\nlearning_rate = true", "11:17: learning_rate must be"),
    ("[optimizer]\ntype = 'sgd'\nlearning_rate = '1'", "11:17: learning_rate must be"),
    ("[optimizer]\ntype = 'sgd'\nbeta1 = 0.9", "11:1: unknown key 'beta1'"),
    ("[optimizer]\ntype = 'adam'\nbeta1 = 1.0", "11:9: beta1 must be at least 0 and below 1"),
    ("[optimizer]\ntype = 'adam'\neps = -1", "11:7: eps must be a finite number, at least 0"),
    ("[regularization]\nl2 = -1", "10:6: l2 must be a finite number above 0, not -1"),
    ("[regularization]\nl3 = 1", "10:1: unknown key 'l3'; the nearest known key is 'l"),
    ("[training]\nepochs = true", "10:10: epochs must be an integer above 0, not true"),
    ("[training]\nbatch_size = 0", "10:14: batch_size must be an integer above 0, not 0"),
    ("[training]\nbatch_size = 2.0", "10:14: batch_size must be an integer above 0, not 2.0"),
    ("[training]\ngradient_clip_norm = inf", "10:22: gradient_clip_norm must be a finite"),
    (
        "[trainings]\nepochs = 1",
        "9:1: unknown key 'trainings'; the nearest known key is 'training'",
    ),
    (
        "[optimizer]\ntype = 'adamw'\nweight_decay = 0.1\n[regularization]\nweight_decay = 0.1",
        "13:1: adamw has a weight_decay of its own",
    ),
    ("[[layers]]\ntype = 'dense'", "9:1: units is missing; it must be an integer above 0"),
    (
        "[[layers]]\ntype = 'dense'\nunits = true",
        "11:9: units must be an integer above 0, not true",
    ),
    ("[[layers]]\ntype = 'dense'\nunits = 0", "11:9: units must be an integer above 0, not 0"),
    ("[[layers]]\ntype = 'dense'\nunits = 3e9", "11:9: units must be an integer above 0"),
    ("[[layers]]\ntype = 'dense'\nunits = 99999999999", "11:9: units must be an integer above 0"),
    ("[[layers]]\nunits = 1", "9:1: type is missing; it must be a string"),
    ("[[layers]]\ntype = 'dens'\nunits = 1", "10:8: unknown layer 'dens'; the nearest is 'dense'"),
    ("[[layers]]\ntype = 'relu'\nname = 'dense_1'", "11:8: two layers have the name 'dense_1'"),
    ("[[layers]]\ntype = 'relu'\nshare = 'dense_1'", "11:9: 'dense_1' is of another type: dense"),
    ("[[layers]]\ntype = 'elu'\nalpha = inf", "11:9: alpha must be a finite number"),
    (f"[[layers]]\ntype = 'elu'\nalpha = 1{'0' * 400}", "11:9: alpha must be a finite number"),
]


@pytest.mark.parametrize("line, after, message", WRONG)
def test_a_line_that_is_wrong(line, after, message):
    assert complaint(with_line(line, after)).startswith(f"net.toml:{message}")


@pytest.mark.parametrize("layers, message", GRAPHS)
def test_layers_that_do_not_go_together(layers, message):
    text = GOOD.replace("[loss]", "").replace('type = "mse"\n', "")
    assert complaint(f"{text}\n{layers}\n[loss]\ntype = 'mse'").startswith(f"net.toml:{message}")


@pytest.mark.parametrize("section, message", SECTIONS)
def test_a_section_that_is_wrong(section, message):
    assert complaint(GOOD + section).startswith(f"net.toml:{message}")


@pytest.mark.parametrize(
    "value", ["'class'", "'1net'", "'a-b'", "''", "'a/b'", "'../a'", "3", "'\u00e9'", "'__init__'"]
)
def test_the_name_must_be_good_for_a_module(value):
    assert complaint(GOOD.replace('"net"', value)).startswith("net.toml:1:8: ")


@pytest.mark.parametrize(
    "value",
    [
        "[]",
        "[0]",
        "[-1]",
        "[true]",
        "[1.5]",
        "64",
        "['a']",
        "[3, 99999999999]",
        "{}",
        f"{[1] * 17}",
    ],
)
def test_sizes_are_integers_above_0(value):
    message = complaint(GOOD.replace("[4]", value))
    assert message.startswith("net.toml:3:9: shape must be a list of integers above 0")


@pytest.mark.parametrize(
    "section, missing",
    [
        ('name = "net"\n', "name is missing"),
        ("[input]\nshape = [4]\n", "the section [input] is missing"),
        ('[[layers]]\ntype = "dense"\nunits = 3\n', "the list [[layers]] is missing"),
        ('[loss]\ntype = "mse"\n', "the section [loss] is missing"),
    ],
)
def test_what_is_required(section, missing):
    assert missing in complaint(GOOD.replace(section, ""))


def test_all_that_is_wrong_is_said_at_once():
    messages = complaints(
        """name = "class"
titel = "x"
[input]
shape = [64, 0]
[[layers]]
type = "dens"
[[layers]]
type = "dense"
unit = 3
[loss]
type = "msee"
[training]
epochs = 0
"""
    )
    lines = sorted(int(m.split(":")[1]) for m in messages)
    assert lines == [1, 2, 4, 6, 7, 9, 11, 13]
    for message in messages:
        head, line, caret = message.split("\n")[:3]
        number, column = map(int, head.split(":")[1:3])
        assert caret.strip(" ^") == ""
        assert number and column and line.startswith("    ")


def test_a_message_shows_line_and_caret():
    assert complaint(with_line("  unitz = 3", "units = 3")) == (
        "net.toml:7:3: unknown key 'unitz'; the nearest known key is 'units'\n    unitz = 3\n    ^"
    )


def test_shapes_that_do_not_fit():
    text = GOOD.replace("shape = [4]", "shape = [2, 3, 4, 5]").replace(
        'type = "dense"\nunits = 3', 'type = "last_step"'
    )
    assert complaint(text) == (
        "net.toml:4:1: layer last_step_1: last_step takes x[n,t,i], but is "
        "given the input, of shape (2, 3, 4, 5)\n    [[layers]]\n    ^"
    )
    add = """
[[layers]]
type = "sum_of"
inputs = ["dense_1", "input"]
[define.layer.sum_of]
inputs = ["a[n,i]", "b[n,i]"]
forward = "s[n,i] = a[n,i] + b[n,i]"
"""
    assert complaint(GOOD + add).startswith(
        "net.toml:10:1: layer sum_of_1: index i has the size 3 in dense_1 and 4 in the input"
    )
    one = add.replace('inputs = ["dense_1", "input"]\n', "")
    assert "sum_of takes a[n,i], b[n,i], but is given dense_1, of shape (3,)" in complaint(
        GOOD + one
    )


def test_numbers_and_tokens_are_told_apart():
    look_up = """
[[layers]]
type = "look_up"
[define.layer.look_up]
input = "x[n,t]"
sizes = { v = "3", d = "2" }
parameters = { E = { indices = "v,d" } }
forward = "e[n,t,d] = E[x[n,t], d]"
"""
    dense = '[[layers]]\ntype = "dense"\nunits = 3\n'
    text = GOOD.replace(dense, "") + look_up
    assert 'x is used as an index: add dtype = "int64" to [input]' in complaint(text)
    assert compose(read(with_line("dtype = 'int64'", "[input]", text))).input.kind == "integer"
    after = GOOD + look_up
    assert "dense_1 is not made of integers" in complaint(after)


def test_softmax_cross_entropy_has_integer_classes():
    network = compose(read(GOOD.replace("mse", "softmax_cross_entropy")))
    assert (str(network.target), network.target.kind) == ("y[n]", "integer")


# Files.


def test_files_that_cannot_be_read(tmp_path):
    for name, data, message in [
        ("a.toml", b"name = 'a\n", "a.toml:"),
        ("b.toml", b"name = 'a'\n\xff\n", "b.toml:2:1: this line is not UTF-8 text"),
        ("c.toml", b"x = 1\n" * 200_000, "c.toml:1:1: the text has 1,200,000 characters"),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SpecError, match=message):
            load(tmp_path / name)
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        load(tmp_path / "missing.toml")
    with pytest.raises(SpecError, match="cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "d.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(tmp_path / "d.toml").name == "net"


@pytest.mark.parametrize(
    "value", ["1979-05-27", "1979-05-27T07:32:00Z", "[[1]]", "{a = 1}", "07:32:00"]
)
def test_values_of_any_type_are_refused_where_they_do_not_belong(value):
    for key in ("name", "title", "dtype", "accuracy", "second_order", "include", "layers", "input"):
        lines = [line for line in GOOD.split("\n") if not line.startswith(f"{key} =")]
        text = "\n".join([f"{key} = {value}", *lines])
        if key in ("layers", "input"):
            text = text.replace("[[layers]]\n", "[x]\n").replace("[input]\n", "[y]\n")
        assert complaints(text)


def test_a_spec_however_broken_gives_messages_and_no_crash():
    """Words and lines of good specs, cut, moved and exchanged."""
    rng = random.Random(0)
    texts = [path.read_text() + DEFINITIONS for path in SPECS]
    odd = ["0", "-1", "true", "[]", "{}", "[n,i]", "...", "(", ")", "]", "=", '"', "'", "nan", "é"]
    read_well = 0
    for _ in range(400):
        text = rng.choice(texts)
        for _ in range(rng.choice([1, 1, 2, 4])):
            k = rng.randrange(len(text))
            words = text.split(" ")
            match rng.randrange(4):
                case 0:
                    text = text[:k] + text[k + rng.randrange(1, 6) :]
                case 1:
                    text = text[:k] + rng.choice(odd) + text[k:]
                case 2:
                    words[rng.randrange(len(words))] = rng.choice(words + odd)
                    text = " ".join(words)
                case 3:
                    lines = text.split("\n")
                    lines.insert(k % len(lines), lines.pop())
                    text = "\n".join(lines)
        try:
            compose(read(text))
            read_well += 1
        except SpecError as error:
            for message in error.messages:
                assert re.match(r"net\.toml:\d+:\d+: ", message), message
    assert 0 < read_well < 400
