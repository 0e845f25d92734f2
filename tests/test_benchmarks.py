"""The benchmark's peers compute what the generated modules compute; its statistics are right."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmarks import layouts, ratios, rounds
from benchmarks.accuracy import error
from benchmarks.networks import own, read
from benchmarks.peers import matrix_products, table
from benchmarks.peers.numpy_peer import TextbookNumPy
from benchmarks.rounds import Entry, Ratio, Round
from benchmarks.workloads import WORKLOADS, Workload, module, problem

BY_LETTER = {workload.letter: workload for workload in WORKLOADS}
# The layers of the workloads, in small: their own gradients are compared before they are timed.
SMALL = {
    "mlp": ("[6]", 'dense"\nunits = 5\nactivation = "relu"', 'dense"\nunits = 4'),
    "cnn": (
        "[6, 6, 2]",
        'conv2d"\nfilters = 3\nkernel_size = 3\npadding = "same"\nbias = false',
        'batch_norm"\nactivation = "relu"',
        'max_pool2d"\npool_size = 2',
        'conv2d"\nfilters = 4\nkernel_size = 2\nactivation = "relu"',
        'flatten"',
        'dense"\nunits = 4',
    ),
    "averages": ("[5, 5, 2]", 'conv2d"\nfilters = 3\nkernel_size = 3', 'global_avg_pool2d"'),
    "lstm": ("[4, 3]", 'lstm"\nunits = 5', 'dense"\nunits = 4'),
    "gru": ("[4, 3]", 'gru"\nunits = 5', 'dense"\nunits = 4'),
    "tokens": (
        '[5]\ndtype = "int64"\nvocabulary = 7',
        'embedding"\nvocabulary = 7\ndim = 4',
        'positional_embedding"\nlength = 5',
        'transformer_block"\nheads = 2\nhidden = 6\ncausal = true',
        'layer_norm"',
        'dense"\nunits = 7',
    ),
    "attention": (
        "[5, 4]",
        'multi_head_attention"\nheads = 2',
        'add"\ninputs = ["input", "multi_head_attention_1"]',
        'dense"\nunits = 4\nactivation = "gelu_tanh"',
        'mean_over_time"',
    ),
}
END = """
[define.layer.mean_over_time]
input = "x[n,t,d]"
forward = "y[n,d] = mean[t](x[n,t,d])"
[loss]
type = "softmax_cross_entropy"
[optimizer]
type = "adam"
learning_rate = 1e-3
"""


@dataclasses.dataclass(frozen=True)
class Written(Workload):
    """A network whose spec is written by these tests."""

    folder: Path = Path()

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.toml"


def test_layers_in_small_are_those_of_the_workloads() -> None:
    of_workloads = {layer.type for w in WORKLOADS for layer in read(w.path).layers}
    in_small = {layer.partition('"')[0] for _, *layers in SMALL.values() for layer in layers}
    assert of_workloads <= in_small | {"relu", "gelu_tanh"}


@pytest.fixture(scope="module", params=SMALL)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A small network with a batch of 3, in float64."""
    shape, *layers = SMALL[request.param]
    workload = Written("", request.param, "", 8, folder=tmp_path_factory.mktemp("specs"))
    workload.path.write_text(
        f'name = "{request.param}"\n[input]\nshape = {shape}\n'
        + "".join(f'[[layers]]\ntype = "{layer}\n' for layer in layers)
        + END
    )
    given = problem(workload).with_batch(3)
    params = {name: w.astype(np.float64) for name, w in given.params.items()}
    x = given.x if given.x.dtype.kind == "i" else given.x.astype(np.float64)
    return dataclasses.replace(given, params=params, x=x)


def ours(given) -> dict[str, np.ndarray]:
    compiled = module(given.workload)
    states = {name: w for name, w in compiled.init().items() if name in compiled.STATES}
    return compiled.value_and_grad({**given.params, **states}, given.x, given.y)[1]


def test_textbook_numpy_has_our_gradients(small) -> None:
    found = error(TextbookNumPy(small).gradients(), ours(small))
    assert found.worst < 1e-5  # constants such as eps are float32 there


def test_pytorch_has_our_gradients(small) -> None:
    torch = pytest.importorskip("torch")
    kind = table.PEERS[0]
    assert error(kind.build(small, {"dtype": torch.float64}).gradients(), ours(small)).worst < 1e-9


def test_parameters_come_back_from_the_layouts_of_peers(small) -> None:
    packed = layouts.packed(small.params)
    back = layouts.from_torch(layouts.to_torch(packed, small.network), small.network)
    shapes = {name: w.shape for name, w in small.params.items()}
    for name, array in layouts.unpacked(back, shapes).items():
        np.testing.assert_array_equal(array, small.params[name])


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w.name)
def test_the_spec_read_by_itself_has_the_layers_of_the_module(workload: Workload) -> None:
    network = read(workload.path)
    assert network.layers[-1].shape[-1] in (10, 512, 1000)
    products = matrix_products.products(network, 4)
    assert products and all(p.m * p.k * p.n * p.times * p.stack > 0 for p in products)


def test_own_parameters_are_those_of_one_layer() -> None:
    layer = read(BY_LETTER["a"].path).layers[0]
    assert own({"dense_1.W": 1, "dense_10.W": 2}, layer) == {"W": 1}


def test_matrix_products_of_both_orientations_do_the_same_work() -> None:
    given = problem(BY_LETTER["a"])
    sizes = []
    for first in (False, True):
        peer = matrix_products.MatrixProducts(given, features_first=first)
        peer.step()
        sizes.append([sorted((a.shape[0], a.shape[1], b.shape[1])) for _, a, b, _ in peer.calls])
    assert sizes[0] == sizes[1]


def test_an_error_is_measured_per_array() -> None:
    exact = {"W": np.array([1.0, 2.0]), "b": np.array([1e-3])}
    found = error({"W": np.array([1.0, 2.0]), "b": np.array([1.1e-3])}, exact)
    assert found.name == "b" and not found.small and found.worst == pytest.approx(0.1)


def test_a_gradient_that_is_0_is_measured_against_the_others() -> None:
    exact = {"W": np.array([1.0, 2.0]), "b": np.array([1e-18])}
    assert error({"W": exact["W"], "b": np.array([1e-7])}, exact).small


def test_nan_is_no_small_error() -> None:
    assert not error({"W": np.array([np.nan])}, {"W": np.array([1.0])}).small


def test_ratios_are_of_the_same_round() -> None:
    found = [Round({"ours": t, "peer": 2 * t}, 0.0) for t in (1.0, 5.0, 0.5)]
    assert rounds.ratio(found, "ours", "peer") == Ratio(0.5, 0.5, 0.5)


def test_noisy_rounds_are_left_out_where_enough_are_quiet() -> None:
    calm, noisy = Round({}, 0.1), Round({}, 0.9)
    assert rounds.quiet([calm] * 5 + [noisy]) == ((calm,) * 5, True)
    assert rounds.quiet([calm] * 4 + [noisy]) == ((calm,) * 4 + (noisy,), False)


@pytest.fixture(autouse=True)
def no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up clocks need no garbage collected between rounds."""
    monkeypatch.setattr(rounds.gc, "collect", lambda: 0)


class Clock:
    """A clock that goes on by what calls take."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def entry(self, name: str, seconds: float) -> Entry:
        def call() -> None:
            self.now += seconds
            self.calls.append(name)

        return Entry(call)

    def read(self) -> float:
        return self.now


def test_a_round_times_each_peer_for_a_slot_and_in_turn() -> None:
    clock = Clock()
    entries = {"ours": clock.entry("ours", 0.001), "peer": clock.entry("peer", 0.002)}
    watch = lambda: lambda: 0.0  # noqa: E731
    found = rounds.measure(entries, 5, slot=0.02, clock=clock.read, foreign=watch)
    assert len(found) == 5
    assert found[0].seconds == pytest.approx({"ours": 0.001, "peer": 0.002})
    assert list(found[0].seconds) == ["ours", "peer"] and next(iter(found[1].seconds)) == "peer"
    assert rounds.ratio(found, "ours", "peer").median == pytest.approx(0.5)


def test_noisy_rounds_are_repeated_but_not_for_ever() -> None:
    clock, loads = Clock(), iter([0.9, 0.0, 0.9, 0.0, 0.0, 0.0, 0.0] + [0.9] * 100)
    entries = {"ours": clock.entry("ours", 0.001)}
    watch = lambda: lambda: next(loads)  # noqa: E731
    assert len(rounds.measure(entries, 5, clock=clock.read, foreign=watch)) == 7
    assert len(rounds.measure(entries, 5, clock=clock.read, foreign=watch)) == 10


def test_a_budget_ends_the_rounds_but_leaves_five() -> None:
    clock = Clock()
    entries = {"ours": clock.entry("ours", 3.0)}
    watch = lambda: lambda: 0.0  # noqa: E731
    assert len(rounds.measure(entries, 15, 1.0, clock=clock.read, foreign=watch)) == 5


def test_the_fastest_setting_is_chosen() -> None:
    clock = Clock()
    entries = {str(t): clock.entry("", t) for t in (0.002, 0.001, 0.003)}
    assert rounds.fastest(entries, clock.read) == "0.001"


def test_the_table_is_narrow() -> None:
    one = ratios.line("a network", [Round({"ours": 1e-3, "peer": 2e-3}, 0.0)] * 5, "ours")
    found = ratios.table([one], ["peer", *"bcdefg"])
    assert "0.50" in found[1] and ".50-.50" in found[2] and max(map(len, found)) <= 105
    assert [ratios.short(v) for v in (0.5, 1.234, 12.3)] == [".50", "1.2", "12"]
    assert [ratios.digits(v) for v in (0.0123, 1.234, 12.34, 123.4)] == [
        "0.012",
        "1.23",
        "12.3",
        "123",
    ]
