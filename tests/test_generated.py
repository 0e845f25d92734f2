"""`generated/` is what the compiler makes of `specs/`, byte for byte, and it does what it says."""

import re
import subprocess
import sys

import numpy as np
import pytest
from networks import ROOT, SPECS, committed_files

from derive.checks import MOST, compare
from derive.modules.loading import load

REQUIRED = {"digits_mlp", "two_layer_binary", "two_layer_multiclass", "two_layer_regression"}


@pytest.fixture(scope="module", params=SPECS, ids=lambda path: path.stem)
def spec(request):
    return request.param


@pytest.fixture(scope="module")
def net(spec):
    return load((ROOT / "generated" / f"{spec.stem}.py").read_text(encoding="utf-8"), spec.stem)


def test_the_networks_of_the_textbooks_are_there():
    assert {path.stem for path in SPECS} >= REQUIRED


def test_committed_files_are_what_the_specs_give(spec):
    files = dict(committed_files(spec))
    del files[f"{spec.stem}.md"]  # written only where it is asked for
    for name, text in files.items():
        committed = ROOT / "generated" / name
        assert committed.is_file(), f"{name} is missing: run `make generate` and commit it"
        assert committed.read_bytes() == text.encode(), (
            f"{name} differs: run `make generate` and commit the difference with its cause"
        )


def test_nothing_else_is_committed_there():
    stems = {path.stem for path in SPECS}
    kinds = (".py", ".tex", ".html", ".md")
    strays = [
        path.name
        for path in (ROOT / "generated").iterdir()
        if path.suffix in kinds and path.stem not in stems and path.name != "__init__.py"
    ]
    assert strays == []


def test_neither_paths_nor_dates_are_in_it(spec):
    for path in (ROOT / "generated").glob(f"{spec.stem}.*"):
        if path.suffix in (".py", ".tex", ".html"):
            text = path.read_text(encoding="utf-8")
            assert str(ROOT) not in text and "/home" not in text and "/tmp" not in text
            assert not any(f"{year}-" in text for year in range(2024, 2040))


def test_it_runs_without_sympy_jinja_and_derive(spec):
    program = (
        "import sys\n"
        "for name in ('sympy', 'jinja2', 'derive', 'sklearn', 'tqdm', 'scipy'):\n"
        "    sys.modules[name] = None\n"
        f"import {spec.stem} as net\n"
        "import numpy as np\n"
        "model = net.Model(0)\n"
        "print(sorted(net.init(0)) == sorted(model.params))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT / "generated",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("True", "")


def drawn(wanted, rng):
    shape = tuple(7 if isinstance(axis, str) else axis for axis in wanted["axes"])
    if wanted["below"] is not None:
        return rng.integers(0, wanted["below"], shape)
    return rng.uniform(0.1, 0.9, shape)


def test_its_gradients_agree_with_central_differences(net):
    rng = np.random.default_rng(1)
    params = {n: a + 0.1 * rng.standard_normal(a.shape) for n, a in net.init(rng).items()}
    x, y = drawn(net.INPUT, rng), drawn(net.TARGET, rng)
    _, gradients = net.value_and_grad(params, x, y, seed=0)
    report = compare(
        lambda arrays: net.value_and_grad(arrays, x, y, seed=0)[0],
        gradients,
        params,
        list(gradients),
        most=MOST if net.SIZE < 10_000 else 100 // len(gradients) if net.SIZE < 50_000 else 0,
    )
    assert report.ok, f"\n{report}"


# What another shape or a part of an array is takes no code.
VIEWS = {
    "digits_cnn": {"30", "31", "55"},
    "digits_lstm": {"9", "34"},
    "first_a": {"2", "4"},  # (2) is some rows of the product in (3)
    "wine_siamese": {"1", "5"},
}


def test_what_the_code_cites_is_derived_under_that_number(spec):
    code = (ROOT / "generated" / f"{spec.stem}.py").read_text(encoding="utf-8")
    page = (ROOT / "generated" / f"{spec.stem}.tex").read_text(encoding="utf-8")
    cited = set(re.findall(r"  # \((\d+)\)$", code, re.MULTILINE))
    derived = set(re.findall(r"\\tag\{\\eqtarget\{(\d+)\}\}", page))
    assert cited <= derived or "likewise" in page  # of layers that repeat, it derives the first
    assert derived - cited == VIEWS.get(spec.stem, set())


# Real data.


def held_out(name):
    """A quarter of a data set of scikit-learn held out, all standardized by the rest."""
    datasets = pytest.importorskip("sklearn.datasets")
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    test, training = np.split(order, [len(x) // 4])
    deviation = x[training].std(axis=0)
    x = (x - x[training].mean(axis=0)) / np.where(deviation == 0, 1, deviation)
    return (x[training], y[training]), (x[test], y[test])


def committed(name):
    return load((ROOT / "generated" / f"{name}.py").read_text(encoding="utf-8"), name)


def test_digits_are_read_at_97_percent():
    (x, y), test = held_out("digits")
    model = committed("digits_mlp").Model(seed=0)
    history = model.fit(x, y, validation_data=test, progress=False)
    assert model.evaluate(*test)["accuracy"] >= 0.97
    assert history["val_accuracy"][-1] == model.evaluate(*test)["accuracy"]


def test_tumours_are_told_apart():
    (x, y), (xt, yt) = held_out("breast_cancer")
    model = committed("two_layer_binary").Model(seed=0)
    model.fit(x, y[:, None], progress=False)
    assert model.evaluate(xt, yt[:, None])["accuracy"] >= 0.95


def test_wines_are_told_apart():
    (x, y), test = held_out("wine")
    model = committed("two_layer_multiclass").Model(seed=0)
    model.fit(x, y, progress=False)
    assert model.evaluate(*test)["accuracy"] >= 0.95


def test_the_progress_of_diabetes_is_foretold_better_than_by_its_mean():
    (x, y), (xt, yt) = held_out("diabetes")
    mean, deviation = y.mean(), y.std()
    model = committed("two_layer_regression").Model(seed=0)
    model.fit(x, ((y - mean) / deviation)[:, None], progress=False)
    target = ((yt - mean) / deviation)[:, None]
    assert model.evaluate(xt, target)["loss"] <= 0.7 * np.mean(target**2)
