"""What the page of a network has besides its derivation: its layers, and the optimizer's update."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from derive.networks.updates import Update
from derive.pages.document import Prose, Row, Section, Table
from derive.pages.graph import Graph, Node, runs
from derive.pages.latex_rows import TAG, access_latex, broken, stacked
from derive.printing.latex_layout import LINE
from derive.printing.latex_names import Names

HEADS = ("", "output", "", "forward", "backward")


def layers(graph: Graph, cost: Prose) -> Section:
    """Each layer with its shape, its parameters and the numbers of its equations; the cost."""
    return Section("Network", (Table(HEADS, tuple(map(_row, graph.nodes))), cost))


def _row(node: Node) -> tuple[Prose, ...]:
    name = node.heading or f"`{node.name}`"
    shape = node.shape.replace("×", r"\times")
    shape = f"${shape}$" if "N" in shape else shape
    details = "" if node.kind == "dots" else ", ".join(node.details)
    return name, shape, details, _numbers(node.forward), _numbers(node.backward)


def _numbers(numbers: Sequence[int]) -> Prose:
    """(1), (2), (3), (7) as (1) to (3), (7)."""
    return ", ".join(map(_run, runs(numbers)))


def _run(run: Sequence[int]) -> Prose:
    if len(run) < 3:
        return ", ".join(f"(#{k})" for k in run)
    return f"(#{run[0]})\u00a0to\u00a0(#{run[-1]})"


def update(update: Update) -> Section:
    """What the optimizer does with the cotangents, in index form."""
    program = update.program
    names = Names((*(t.name for t in program.inputs), *(e.target for e in program.equations)))
    rows: list[Row] = []
    for e in program.equations:
        first = Row(access_latex(e, names), number=str(update.numbers[e.target]))
        rows += broken(e, first, names, LINE - TAG)
    return Section("Update", (" ".join(_words(update, names)), stacked(rows)))


def _words(update: Update, names: Names) -> Iterator[Prose]:
    states = [f"${names(s).indexed()}$" for s in update.optimizer.states]
    inputs = {t.name for t in update.program.inputs}
    yield (
        f"One step of `{update.optimizer.name}` on all parameters at once: $w$ holds them "
        "one after the other, $p$ counting their elements, and $g$ their cotangents in that order."
    )
    if states:
        verb = "is a state" if len(states) == 1 else "are states"
        yield f"{' and '.join(states)} {verb}, $0$ at the beginning."
    if "t" in inputs:
        yield r"$t = 1, 2, \ldots$ is the number of the step."
    if "learning_rate" in inputs:
        yield f"${names('learning_rate').indexed()}$ is the learning rate."
    yield r"What is marked $\mathrm{next}$ takes the place of what is not, for the step after."
