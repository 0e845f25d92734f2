"""The memory of training: planned, as large as the module says, and the same at every step."""

from __future__ import annotations

import gc
import math
import re
import tracemalloc
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from derive import pipeline
from derive.code.packing import Place, Stay, packed
from derive.modules.loading import load

ROOT = Path(__file__).parent.parent
SPECS = sorted((ROOT / "specs").glob("*.toml"))
LARGE = [
    (ROOT / "benchmarks" / "specs" / f"{name}.toml", batch)
    for name, batch in (("lenet", 64), ("vgg_block", 32), ("lstm", 32), ("transformer_block", 16))
]
TEMPORARY = 256 * 1024  # bytes, of the buffers that NumPy itself takes within a call


@cache
def module(path: Path) -> ModuleType:
    return load(pipeline.derive_network(path).source(), path.stem)


def batch_size(path: Path) -> int:
    (found,) = re.findall(r"on a batch of (\d+)[^.]* works in", words(path))
    return int(found)


def words(path: Path) -> str:
    return " ".join((module(path).__doc__ or "").split())


def batch(given: ModuleType, size: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)

    def drawn(wanted: dict) -> np.ndarray:
        shape = [size if a == "N" else a for a in wanted["axes"]]
        if wanted["below"] is not None:
            return generator.integers(0, wanted["below"], shape)
        return generator.random(shape, given.DTYPE)

    return drawn(given.INPUT), drawn(given.TARGET)


def base(a: np.ndarray) -> np.ndarray:
    """The array whose memory a view, also one of overlapping windows, is in."""
    inner = a
    while inner is not None:
        if isinstance(inner, np.ndarray):
            a = inner
        inner = getattr(inner, "base", None)
    return a


def arrays(value: object) -> list[np.ndarray]:
    if isinstance(value, np.ndarray):
        return [base(value)]
    if isinstance(value, dict):
        value = [*value.values()]
    return [a for v in value for a in arrays(v)] if isinstance(value, list | tuple) else []


def held(model: object) -> int:
    """The bytes of the arrays of all workspaces, parameters and cotangents aside."""
    found = {id(a): a for ws in model._parts for a in arrays(vars(ws))}
    for a in (model._w, *model._w_bars):
        found.pop(id(base(a)), None)
    return sum(a.nbytes for a in found.values())


@pytest.mark.parametrize("path", [*SPECS, *(p for p, _ in LARGE)], ids=lambda p: p.stem)
def test_the_module_says_how_large_its_memory_is(path: Path) -> None:
    given = module(path)
    model = given.Model(threads=given.THREADS)
    model.train_step(*batch(given, batch_size(path)))
    (said,) = re.findall(r"works in ([\d,]+) bytes", words(path))
    assert math.isclose(int(said.replace(",", "")), held(model), rel_tol=0.01)
    (own,) = re.findall(r"([\d,]+) bytes of parameters", words(path))
    assert int(own.replace(",", "")) == given.SIZE * np.dtype(given.DTYPE).itemsize


def test_a_convolution_takes_little_beside_its_activations() -> None:
    """Four of them, 32 x 32 x 32 each, are there at once in the backward pass of the block."""
    path, size = next((p, n) for p, n in LARGE if p.stem == "vgg_block")
    (said,) = re.findall(r"works in ([\d,]+) bytes", words(path))
    assert int(said.replace(",", "")) < 5 * 4 * size * 32**3


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("path", "size"), [*((p, 0) for p in SPECS), *LARGE], ids=lambda p: getattr(p, "stem", "")
)
def test_no_temporary_grows_with_the_data(
    path: Path, size: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = module(path)
    if threads > 1 and given.NOT_SHARED:
        pytest.skip(given.NOT_SHARED)
    size = size or batch_size(path)
    model = given.Model(threads=threads)
    x, y = batch(given, 3 * size)
    for _ in range(2):
        model.train_step(x[:size], y[:size])
    model.fit(x, y, epochs=1, batch_size=size, progress=False)
    gc.collect()
    tracemalloc.start()
    try:
        model.train_step(x[:size], y[:size])
        assert _peak(lambda: model.train_step(x[:size], y[:size])) <= TEMPORARY
        marks: list[tuple[int, int]] = []  # held, and the peak before, where a step begins
        begin = given._blas

        def marked(parts: object) -> object:
            marks.append(tracemalloc.get_traced_memory())
            tracemalloc.reset_peak()
            return begin(parts)

        monkeypatch.setattr(given, "_blas", marked)
        model.fit(x, y, epochs=2, batch_size=size, progress=False)
        assert len(marks) == 6
        assert max(peak - here for (here, _), (_, peak) in pairwise(marks)) <= TEMPORARY
    finally:
        tracemalloc.stop()


def _peak(call) -> int:
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    call()
    return tracemalloc.get_traced_memory()[1] - before


@pytest.mark.parametrize("name", ["digits_mlp", "digits_cnn"])
def test_a_thousand_steps_leave_nothing_behind(name: str) -> None:
    (path,) = (p for p in SPECS if p.stem == name)
    given = module(path)
    model = given.Model()
    x, y = batch(given, batch_size(path))
    for _ in range(10):
        model.train_step(x, y)
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(10):
            model.train_step(x, y)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(1000):
            model.train_step(x, y)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 4096
    finally:
        tracemalloc.stop()


def test_what_is_never_there_at_once_takes_the_same_memory() -> None:
    stays = [Stay(6, 1, 4), Stay(4, 5, 9), Stay(2, 7, 8), Stay(6, 4, 6)]
    assert packed(stays) == ([Place(0, 0), Place(0, 0), Place(0, 4), Place(1, 0)], [6, 6])


@pytest.mark.parametrize("seed", range(20))
def test_places_that_are_taken_at_once_are_apart(seed: int) -> None:
    generator = np.random.default_rng(seed)
    stays = [
        Stay(int(size), int(first), int(first + length))
        for size, first, length in generator.integers((1, 0, 0), (20, 50, 10), (60, 3))
    ]
    found, sizes = packed(stays)
    for k, (a, own) in enumerate(zip(stays, found, strict=True)):
        assert own.start >= 0 and own.start + a.size <= sizes[own.slot]
        for b, other in zip(stays[:k], found, strict=False):
            at_once = a.first <= b.last and b.first <= a.last
            if own.slot == other.slot and at_once:
                apart = own.start + a.size <= other.start or other.start + b.size <= own.start
                assert apart
    at_once = max(sum(s.size for s in stays if s.first <= k <= s.last) for k in range(60))
    assert at_once <= sum(sizes) <= 1.4 * at_once
