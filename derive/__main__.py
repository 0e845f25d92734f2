"""The command `derive`: generate, gradient, check, explain, layers, train.

Exit codes: 0 done, 1 a check failed, 2 the input was wrong (one message on stderr). What needs
SymPy is imported after the arguments were read, so that `derive --help` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

DATA = ("breast_cancer", "diabetes", "digits", "first_a", "iris", "text", "wine", "wine_pairs")

VIEWS = {
    "latex": "a LaTeX document",
    "html": "a page for a browser",
    "md": "Markdown, as GitHub has it",
    "source": "the NumPy module",
}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="derive",
        description="Write the forward equation; get the derivation, the NumPy code and the check.",
    )
    wanted = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    c = wanted.add_parser("generate", help="write the module and the derivation of each spec")
    c.add_argument("specs", nargs="+", type=Path, metavar="SPEC", help="a network, as TOML")
    c.add_argument(
        "--out", type=Path, default=Path("generated"), help="the folder to write to (generated)"
    )
    c.add_argument("--md", action="store_true", help="write the derivations as Markdown, too")
    c.add_argument("--pdf", action="store_true", help="typeset the derivations (needs pdflatex)")

    c = wanted.add_parser("gradient", help="derive the gradient of a formula")
    c.add_argument("formula", help='such as "L = sum[n]((y[n] - sum[i](X[n,i]*w[i]))**2)"')
    c.add_argument("--wrt", required=True, metavar="NAME,...", help="differentiate by these")
    c.add_argument(
        "--size",
        action="append",
        default=[],
        metavar="INDEX=NUMBER",
        help="the size of an index that no array fixes, such as --size p=7",
    )
    form = c.add_mutually_exclusive_group()
    for view, what in VIEWS.items():
        form.add_argument(
            f"--{view}", dest="view", action="store_const", const=view, help=f"print {what}"
        )

    c = wanted.add_parser("check", help="compare a spec's gradients with finite differences")
    c.add_argument("spec", type=Path, metavar="SPEC")

    c = wanted.add_parser("explain", help="tell what stands behind lines of generated code")
    c.add_argument(
        "place", metavar="FILE:LINE", help="such as generated/digits_mlp.py:120, or FILE:120-130"
    )
    c.add_argument("--spec", type=Path, metavar="SPEC", help="where the module's spec is")

    c = wanted.add_parser("layers", help="list the library, each entry with its forward formula")
    c.add_argument("name", nargs="?", help="only entries of this name")

    c = wanted.add_parser("train", help="train a network, and measure it on data held out")
    c.add_argument("spec", type=Path, metavar="SPEC")
    c.add_argument("--data", required=True, choices=DATA)
    c.add_argument("--epochs", type=int, help="instead of the spec's")
    c.add_argument("--seed", type=natural, default=0, help="of the parameters and the shuffling")
    return top


def natural(text: str) -> int:
    """0, 1, 2, ..."""
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    args = parser().parse_args(arguments)
    commands = importlib.import_module("derive.commands")
    return int(commands.run(args.command, args))


if __name__ == "__main__":
    sys.exit(main())
