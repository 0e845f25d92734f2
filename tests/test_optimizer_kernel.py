"""Updates in few passes: how many, and that they are those of torch.optim."""

import re

import numpy as np
import pytest
from networks import compiled, source, spec

PASSES = {"sgd": 2, "momentum": 4, "nesterov": 5, "adagrad": 7, "rmsprop": 8, "adam": 10}
PASSES |= {"adamw": 11, "amsgrad": 11, "lion": 7}


def text(name):
    return spec(optimizer=f'type = "{name}"\nlearning_rate = 0.01')


@pytest.mark.parametrize("name", PASSES)
def test_passes_are_few(name):
    update = source(text(name)).split("in ws.tiles:")[1].split("\n\n\n")[0]
    assert len(re.findall(r"^        np\.", update, re.MULTILINE)) == PASSES[name]


@pytest.mark.parametrize("amsgrad", [False, True])
def test_300_steps_are_those_of_torch_in_double_precision(amsgrad):
    torch = pytest.importorskip("torch")
    module = compiled(text("amsgrad" if amsgrad else "adam"))
    rng = np.random.default_rng(1)
    w = rng.normal(size=997).astype(np.float32)
    exact = torch.tensor(w.astype(np.float64), requires_grad=True)
    peer = torch.optim.Adam([exact], lr=0.01, amsgrad=amsgrad)
    one, other = np.zeros_like(w), np.zeros_like(w)
    ws, size = module.Optimizer(w, one, other), 10 ** rng.uniform(-10, 1, 997)
    for _ in range(300):
        one[:] = size * rng.normal(size=997)
        other[:] = size * rng.normal(size=997)
        exact.grad = torch.tensor((one + other).astype(np.float64))
        peer.step()
        module.update(ws)
    np.testing.assert_allclose(w, exact.detach().numpy(), rtol=0, atol=5e-6)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("clip", ["", "gradient_clip_norm = 1.0"])
def test_threads_that_share_a_long_update_make_the_same_one(threads, clip, monkeypatch):
    few, many = (
        compiled(spec(optimizer='type = "adamw"', training=clip, input=f"shape = [{n}]"))
        for n in (5, 500_000)
    )
    assert not hasattr(few, "_updating") and many.SIZE > 2**21
    monkeypatch.setattr(many, "_updating", lambda: threads)
    rng = np.random.default_rng(2)
    one = rng.normal(size=600_001).astype(np.float32)
    other = one.copy()
    parts = [rng.normal(size=one.size).astype(np.float32) for _ in range(2)]
    alone = few.Optimizer(one, *map(np.copy, parts))
    together = many.Optimizer(other, *map(np.copy, parts))
    assert len(together.shares) == threads
    for _ in range(2):
        few.update(alone)
        many.update(together)
    np.testing.assert_array_equal(one, other)
    assert alone.t == together.t == 2
