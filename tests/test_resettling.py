"""What a workspace borrows is free as long as it is read: results are as in memory of its own."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from derive import pipeline
from derive.code.packing import Place, Stay, packed
from derive.modules.loading import load

ROOT = Path(__file__).parent.parent
SPECS = sorted((ROOT / "specs").glob("*.toml"))
NAMES = ("mlp_64_32_10", "lenet", "lstm", "gru", "transformer_block", "language_model")
BENCHMARKS = [ROOT / "benchmarks" / "specs" / f"{name}.toml" for name in NAMES]


@cache
def module(path: Path) -> ModuleType:
    return load(pipeline.derive_network(path).source(), path.stem)


def own(given: ModuleType):
    """Memory that nothing else lies in, full of what is no number."""

    def made(memory, shape, dtype):
        array = given._empty(shape, dtype)
        array.fill(np.nan if np.dtype(dtype).kind == "f" else 1)
        return array

    return made


def batch(given: ModuleType, size: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)

    def drawn(wanted: dict) -> np.ndarray:
        shape = [size if a == "N" else a for a in wanted["axes"]]
        if wanted["below"] is not None:
            return generator.integers(0, wanted["below"], shape)
        return generator.random(shape, given.DTYPE)

    return drawn(given.INPUT), drawn(given.TARGET)


def batch_size(given: ModuleType) -> int:
    return int(re.findall(r"on a batch of (\d+)", given.__doc__ or "")[0])


@pytest.mark.parametrize("path", [*SPECS, *BENCHMARKS], ids=lambda p: p.stem)
def test_borrowed_memory_changes_no_gradient(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of batches that are larger than what memory is lent for, and of one sample."""
    given = module(path)
    params = given.init(0)
    usual = batch_size(given)
    for size in (usual, usual // 2 + 1, 2 * usual, 2):
        x, y = batch(given, size)
        value, found = given.value_and_grad(params, x, y, seed=0)
        with monkeypatch.context() as patch:
            patch.setattr(given, "_lent", own(given))
            expected_value, expected = given.value_and_grad(params, x, y, seed=0)
        assert value == expected_value
        for name, array in expected.items():
            assert np.array_equal(found[name], array), name


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("path", [*SPECS, *BENCHMARKS], ids=lambda p: p.stem)
def test_borrowed_memory_changes_no_training(
    path: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = module(path)
    if threads > 1 and given.NOT_SHARED:
        pytest.skip(given.NOT_SHARED)

    def trained() -> tuple[dict, dict]:
        model = given.Model(seed=0, threads=threads)
        x, y = batch(given, 2 * batch_size(given) + 1)
        history = model.fit(x, y, epochs=2, batch_size=batch_size(given), progress=False)
        for part in (slice(0, batch_size(given)), slice(3, 5), slice(0, batch_size(given))):
            model.train_step(x[part], y[part])
        return history, model.params

    history, params = trained()
    monkeypatch.setattr(given, "_lent", own(given))
    expected_history, expected = trained()
    assert history == expected_history
    for name, array in expected.items():
        assert np.array_equal(params[name], array), name


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    layers = '[[layers]]\ntype = "dense"\nunits = 64\nactivation = "tanh"\n' * 20
    path = tmp_path_factory.mktemp("deep") / "deep.toml"
    path.write_text(
        f'name = "deep"\n[input]\nshape = [64]\n{layers}[[layers]]\ntype = "dense"\nunits = 3\n'
        '[loss]\ntype = "softmax_cross_entropy"\n[optimizer]\ntype = "adam"\n'
        "learning_rate = 1e-3\n[training]\nbatch_size = 32\n"
    )
    return module(path)


def test_activations_lie_in_the_gradients(deep: ModuleType) -> None:
    """One of twenty has memory of its own."""
    (said,) = re.findall(r"works in ([\d,]+) bytes", " ".join((deep.__doc__ or "").split()))
    assert int(said.replace(",", "")) < 1.3 * 4 * 32 * 64


def test_an_update_takes_no_memory(deep: ModuleType) -> None:
    model = deep.Model()
    for tile in model._optimizer.tiles:
        for array in (a for a in tile if isinstance(a, np.ndarray)):
            vectors = (model._w, *model._w_bars, *model._optimizer.state.values())
            assert any(np.shares_memory(array, vector) for vector in vectors)


def test_history_measures_the_output(deep: ModuleType) -> None:
    """It is read before the gradients lie where it was."""
    model = deep.Model(seed=1)
    x, y = batch(deep, 32)
    x -= np.float32(0.5)
    expected = float(np.mean(model.predict(x) == y))
    assert 0 < expected < 1
    history = model.fit(x, y, epochs=1, batch_size=32, progress=False)
    assert history["accuracy"] == [expected]


def test_a_step_reads_its_input_where_it_is(deep: ModuleType) -> None:
    x, y = batch(deep, 32)
    before = x.copy()
    model = deep.Model()
    read = []
    forward = deep.forward_pass

    def watched(ws):
        read.append(ws.x)
        return forward(ws)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deep, "forward_pass", watched)
        model.train_step(x, y)
    assert read[0] is x or read[0].base is x
    assert np.array_equal(x, before)
    assert all(ws.x is None for ws in model._parts)  # the batch may go


@pytest.mark.parametrize(
    "given_as",
    [
        lambda x: x.astype(np.float64),
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: np.frombuffer(b"\0" + x.tobytes(), np.float32, x.size, 1).reshape(x.shape),
        lambda x: x.tolist(),
    ],
    ids=["double", "by columns", "every other row", "not aligned", "a list"],
)
def test_an_input_that_does_not_fit_is_copied(deep: ModuleType, given_as) -> None:
    x, y = batch(deep, 32)
    one, other = deep.Model(), deep.Model()
    for _ in range(2):
        assert one.train_step(given_as(x), y) == other.train_step(x, y)
    held = one._parts[0].held
    one.train_step(given_as(x), y)
    assert held is not None and one._parts[0].held is held
    assert other._parts[0].held is None


def test_what_has_a_place_elsewhere_begins_no_slot() -> None:
    stays = [Stay(32, 0, 3), Stay(64, 2, 5), Stay(16, 4, 6), Stay(40, 0, 9)]
    places, sizes = packed(stays, {2, 3})
    assert sizes == [64, 32]
    assert places == [Place(1, 0), Place(0, 0), Place(1, 0), None]


def test_what_is_as_long_as_a_cache_line_begins_at_one() -> None:
    stays = [Stay(100, 0, 1), Stay(7, 2, 5), Stay(20, 2, 5), Stay(16, 2, 5)]
    places, _ = packed(stays)
    assert places == [Place(0, 0), Place(0, 20), Place(0, 0), Place(0, 32)]


@pytest.mark.parametrize("loss", ["mse", "huber", "log_cosh", "cosine_similarity", "poisson"])
def test_the_output_stays_for_what_reads_it_after_the_loss(loss: str, tmp_path: Path) -> None:
    """A loss with weights, which is computed from it, in memory that is lent and in its own."""
    path = tmp_path / f"{loss}.toml"
    path.write_text(
        f'name = "{loss}"\n[input]\nshape = [8]\n[[layers]]\ntype = "dense"\nunits = 32\n'
        'activation = "tanh"\n[[layers]]\ntype = "dense"\nunits = 32\n'
        f'[loss]\ntype = "{loss}"\n[optimizer]\ntype = "sgd"\nlearning_rate = 1e-3\n'
    )
    given = module(path)
    params = given.init(0)
    for size in (32, 64):
        x, y = batch(given, size)
        value, expected = given.value_and_grad(params, x, y)
        weighted, found = given.value_and_grad(params, x, y, sample_weight=np.ones(size))
        assert np.isclose(weighted, value, rtol=1e-5)
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-6, err_msg=name)


def test_states_stay_until_they_are_renewed(tmp_path: Path) -> None:
    """Those of four normalizations, which are alike and could lie in one place."""
    path = tmp_path / "normalized.toml"
    layer = '[[layers]]\ntype = "dense"\nunits = 16\n[[layers]]\ntype = "batch_norm"\n'
    path.write_text(
        f'name = "normalized"\n[input]\nshape = [16]\n{layer * 4}[loss]\ntype = "mse"\n'
        '[optimizer]\ntype = "sgd"\nlearning_rate = 1e-3\n'
    )
    given = module(path)
    model = given.Model(seed=0)
    x, y = batch(given, 32)
    params = {name: array.copy() for name, array in model.params.items()}
    model.train_step(x, y)
    a = x
    for k in range(1, 5):
        z = a @ params[f"dense_{k}.W"] + params[f"dense_{k}.b"]
        mean, variance = z.mean(0), z.var(0)
        own = f"batch_norm_{k}.running"
        np.testing.assert_allclose(model.params[f"{own}_mean"], 0.1 * mean, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(model.params[f"{own}_var"], 0.9 + 0.1 * variance, rtol=1e-4)
        a = (z - mean) / np.sqrt(variance + 1e-5)
