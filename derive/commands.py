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
from argparse import Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from derive import datasets, listing, module_origin, pipeline
from derive.checks import compare
from derive.explanation import Explanation
from derive.language.notation import DeriveError
from derive.language.source import printable
from derive.library.definitions import library
from derive.library.toml_tables import nearest
from derive.modules.loading import load
from derive.pages import terminal
from derive.pages.terminal_rows import columns_of, style_of
from derive.render import write

MOVES = 400  # elements that a check moves one by one, in all


def run(name: str, args: Namespace) -> int:
    commands = {
        "generate": generate,
        "gradient": gradient,
        "check": check,
        "explain": explain,
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
            if path.suffix == ".md" and not args.md:
                continue
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
    match args.view:
        case "latex":
            text = d.latex()
        case "html":
            coding = sys.stdout.encoding or "ascii"
            text = d.html().encode(coding, "xmlcharrefreplace").decode(coding)
        case "md":
            text = d.markdown()
        case "source":
            text = d.source()
        case _:
            columns, style = columns_of(sys.stdout), style_of(sys.stdout, os.environ)
            text = "".join(f"{line}\n" for line in terminal.derivation(d.gradients, columns, style))
    print(text, end="")
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
    if net.INPUT["below"] is None:
        gradients["input"] = net.input_grad(params, x, y, seed=0)

    def value(arrays: Mapping[str, np.ndarray]) -> float:
        """With all that is drawn at random held fixed."""
        moved = {name: array for name, array in arrays.items() if name != "input"}
        return float(net.value_and_grad(moved, arrays["input"], y, seed=0)[0])

    most = max(4, MOVES // len(gradients))
    report = compare(value, gradients, {**params, "input": x}, gradients, most=most)
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
    derived = pipeline.derive_network(spec)
    return load(derived.source(), derived.spec.name)


def explain(args: Namespace) -> int:
    """The equations that lines of a generated module cite, and the steps behind them."""
    place, _, lines = args.place.rpartition(":")
    bounds = lines.split("-")
    if not place or len(bounds) > 2 or not all(b.isascii() and b.isdigit() for b in bounds):
        raise DeriveError(
            f"explain {printable(args.place)}: write FILE:LINE or FILE:FIRST-LAST, "
            "such as generated/digits_mlp.py:120"
        )
    path, shown = Path(place), printable(place)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DeriveError(f"{shown} is no file")  # a device need not end
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DeriveError(f"{shown} is no text") from None
    first, last = int(bounds[0][:18]), int(bounds[-1][:18])
    count = len(text.split("\n")) - text.endswith("\n")
    if not 1 <= first <= last <= count:
        raise DeriveError(f"{shown} has the lines 1 to {count}; there is no {lines}")
    subject = module_origin.subject(path, text, args.spec)
    columns, style = columns_of(sys.stdout), style_of(sys.stdout, os.environ)
    explanation = Explanation(subject, text, path, columns, style)
    found = [*explanation.lines(first, last)]
    if explanation.stale:
        print(
            f"derive: {shown} is not what would be generated now, first in line "
            f"{explanation.stale}; these equations are still the same",
            file=sys.stderr,
        )
    print("\n".join(found))
    return 0


def layers(args: Namespace) -> int:
    """The library, each entry with its forward formula; of one entry all that there is to say."""
    entries = library().entries.values()
    found = [d for d in entries if d.name == args.name]
    if args.name is None:
        print("\n".join(listing.listing(entries)))
    elif found:
        print("\n\n".join("\n".join(listing.entry(d)) for d in found))
    else:
        near = nearest(args.name, sorted({d.name for d in entries}))
        raise DeriveError(f"the library has no {args.name!r}; the nearest name is {near!r}")
    return 0


def train(args: Namespace) -> int:
    """Train a network, then measure it on what was held out."""
    net = _module(args.spec)
    data = datasets.load(args.data, net.INPUT, net.TARGET)
    y, y_test = (_shaped(y, net.TARGET) for y in (data.y, data.y_test))
    model = net.Model(args.seed)
    settings = {} if args.epochs is None else {"epochs": args.epochs}
    try:
        model.fit(data.x, y, validation_data=(data.x_test, y_test), **settings)
        figures = model.evaluate(data.x_test, y_test)
    except FloatingPointError as error:
        print(f"derive: {args.spec}: {error}", file=sys.stderr)
        return 1
    except ValueError as error:  # the data set does not fit the network
        raise DeriveError(f"{args.spec}, data {args.data}: {error}") from None
    print(f"{args.data}: {len(y)} samples to train on, {len(y_test)} held out")
    for quantity, value in figures.items():
        print(f"test {quantity} {value:.4f}")
    if data.remark:
        print(data.remark)
    return 0


def _shaped(y: np.ndarray, wanted: Mapping[str, Any]) -> np.ndarray:
    """One number a sample as a column, where the network's target has two axes."""
    column = y.ndim == 1 and len(wanted["axes"]) == 2
    return y.reshape(-1, *wanted["axes"][1:]) if column else y
