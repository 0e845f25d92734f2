"""What each command does; `__main__` reads the arguments.

A command gives its exit code. Wrong input is a `DeriveError`, or an `OSError` where a file cannot
be read or written; both become one message on stderr, and nothing has been written by then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from argparse import Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from derive import pipeline
from derive.checks import compare
from derive.definition import Definition
from derive.definitions import library
from derive.derived import Derivation, load
from derive.notation import DeriveError, Equation
from derive.render import write
from derive.toml_tables import nearest

WIDTH = 80  # columns of a terminal


def run(name: str, args: Namespace) -> int:
    commands = {
        "generate": generate,
        "gradient": gradient,
        "check": check,
        "layers": layers,
        "train": train,
    }
    try:
        code = commands[name](args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("derive: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"derive: {place}{error.strerror or error}", file=sys.stderr)
    except DeriveError as error:
        print(f"derive: {error}", file=sys.stderr)
    return 2


def generate(args: Namespace) -> int:
    """Every spec is read, derived and rendered before the first file is written."""
    texts: dict[Path, str] = {}
    for spec in args.specs:
        for name, text in pipeline.generate(spec).items():
            path = args.out / name
            if path in texts:
                raise DeriveError(f"{spec}: another spec given is also named {path.stem}")
            texts[path] = text
    changed = write(texts)
    for path in texts:
        print(path if path in changed else f"{path} (unchanged)")
    documents = [path for path in texts if path.suffix == ".tex"] if args.pdf else []
    if documents and shutil.which("pdflatex") is None:
        print(
            "derive: no PDF: pdflatex is missing "
            "(Debian, Ubuntu: sudo apt install texlive-latex-base)",
            file=sys.stderr,
        )
        return 0
    for path in documents:
        print(typeset(path))
    return 0


def typeset(path: Path) -> Path:
    """The PDF of a LaTeX document, beside it. LaTeX runs twice, for the references."""
    target = path.with_suffix(".pdf")
    with tempfile.TemporaryDirectory() as folder:
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error"]
        for _ in range(2):
            done = subprocess.run(
                [*command, f"-output-directory={folder}", str(path)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise DeriveError(f"pdflatex failed on {path}:\n{done.stdout[-2000:]}")
        shutil.copyfile(Path(folder) / target.name, target)
    return target


def gradient(args: Namespace) -> int:
    wrt = [name for name in args.wrt.replace(",", " ").split() if name]
    d = pipeline.differentiate(args.formula, wrt, sizes=_sizes(args.size))
    if args.latex:
        print(d.latex(), end="")
    elif args.source:
        print(d.source(), end="")
    else:
        print("\n".join(_derivation(d)))
    return 0


def _sizes(given: Iterable[str]) -> dict[str, int]:
    """`p=7` as {"p": 7}."""
    sizes = {}
    for text in given:
        name, _, number = text.partition("=")
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            raise DeriveError(f"--size {text}: write an index and a number, such as --size p=7")
        sizes[name] = int(number)
    return sizes


def _derivation(d: Derivation) -> Iterable[str]:
    """A derivation as plain text: forward equations, steps with their rules' names, results."""
    forward = {e.target for e in d.gradients.forward.equations}
    numbered = [
        (e.target in forward, _wrapped(f"{_number(d, e):>6} {e}", " " * 11)) for e in d.equations
    ]
    yield "Forward"
    for is_forward, lines in numbered:
        yield from lines * is_forward
    yield "\nSteps"
    before = None
    for step in d.steps:
        if step.before != before:
            yield from _wrapped(f"\n  {step.before}", "      ")
        reason = f"  ({step.because})" if step.because else ""
        yield from _wrapped(f"  {step.rule}{reason}", "    ")
        yield from _wrapped(f"      {step.after}", "          ")
        before = step.after
    yield "\nResult"
    for is_forward, lines in numbered:
        yield from lines * (not is_forward)


def _number(d: Derivation, equation: Equation) -> str:
    number = d.gradients.numbers.get(equation.target)
    return f"({number})" if number else ""


def _wrapped(line: str, indent: str) -> list[str]:
    return [
        part
        for text in line.split("\n")
        for part in textwrap.wrap(text, WIDTH, subsequent_indent=indent) or [""]
    ]


def check(args: Namespace) -> int:
    """The gradients of a spec's module in float64, at random parameters, inputs and targets."""
    net = _module(args.spec)
    rng = np.random.default_rng(0)
    params = {
        name: array + 0.1 * rng.standard_normal(array.shape)  # away from 0, where kinks are
        for name, array in net.init(rng).items()
    }
    x, y = _drawn(net.INPUT, rng), _drawn(net.TARGET, rng)
    _, gradients = net.value_and_grad(params, x, y, seed=0)
    report = compare(
        lambda arrays: float(net.value_and_grad(arrays, x, y, seed=0)[0]),
        gradients,
        params,
        params,
    )
    print(report)
    return 0 if report.ok else 1


def _drawn(wanted: Mapping[str, Any], rng: np.random.Generator) -> np.ndarray:
    """A random input or target as the module describes it; any size is 5."""
    shape = tuple(5 if isinstance(axis, str) else axis for axis in wanted["axes"])
    if wanted["below"] is not None:
        return rng.integers(0, wanted["below"], shape)
    return rng.uniform(0.1, 0.9, shape)  # good as numbers and as probabilities


def _module(spec: Path) -> ModuleType:
    """The module of a spec, loaded."""
    files = pipeline.generate(spec)
    name = next(name for name in files if name.endswith(".py"))
    return load(files[name], Path(name).stem)


def layers(args: Namespace) -> int:
    """The library, each entry with its forward formula."""
    found = [d for d in library().entries.values() if args.name in (None, d.name)]
    if not found:
        names = sorted({d.name for d in library().entries.values()})
        near = nearest(args.name, names)
        raise DeriveError(f"the library has no {args.name!r}; the nearest name is {near!r}")
    for kind in ("layer", "activation", "loss", "optimizer", "initializer"):
        for definition in (d for d in found if d.kind == kind):
            print("\n".join(_entry(definition)))
    return 0


def _entry(definition: Definition) -> Iterable[str]:
    defaults = [f"{name}={_default(value)}" for name, value in definition.constants]
    fields = ", ".join([*definition.required, *defaults])
    yield f"{definition.kind} {definition.name}" + (f"({fields})" if fields else "")
    for case in definition.cases:
        for line in case.formula.text.strip().splitlines():
            yield from _wrapped(f"    {line.strip()}", " " * 8)


def _default(value: bool | int | float) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def train(args: Namespace) -> int:
    """Three quarters of the data train the network, the rest tests it."""
    net = _module(args.spec)
    (x, y), test = _data(args.data, net)
    model = net.Model(args.seed)
    settings = {} if args.epochs is None else {"epochs": args.epochs}
    try:
        model.fit(x, y, validation_data=test, **settings)
        figures = model.evaluate(*test)
    except FloatingPointError as error:
        print(f"derive: {args.spec}: {error}", file=sys.stderr)
        return 1
    except ValueError as error:  # the data set does not fit the network
        raise DeriveError(f"{args.spec}, data {args.data}: {error}") from None
    print(f"{args.data}: {len(x)} samples to train on, {len(test[0])} held out")
    for quantity, value in figures.items():
        print(f"test {quantity} {value:.4f}")
    return 0


def _data(name: str, net: ModuleType) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Training and test data, shuffled by a fixed seed and standardized by the training part."""
    try:
        from sklearn import datasets
    except ModuleNotFoundError:
        raise DeriveError(
            "the data comes with scikit-learn, which is missing: pip install scikit-learn"
        ) from None
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    test, training = np.split(order, [len(x) // 4])
    x = _standardized(x, training)
    if y.dtype.kind == "f":
        y = _standardized(y, training)
    shape = net.INPUT["axes"][1:]
    if np.prod(shape) == x[0].size:  # an image is stored as a row of pixels
        x = x.reshape(-1, *shape)
    y = y.reshape(-1, *net.TARGET["axes"][1:]) if len(net.TARGET["axes"]) == 2 else y
    return (x[training], y[training]), (x[test], y[test])


def _standardized(values: np.ndarray, training: np.ndarray) -> np.ndarray:
    mean, deviation = values[training].mean(0), values[training].std(0)
    return (values - mean) / np.where(deviation == 0, 1, deviation)
