"""Sections of tables, for the terminal, and for RESULTS.md with what was measured on."""

from __future__ import annotations

import datetime
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.contest import Contest
from benchmarks.machine import machine, versions


@dataclass(frozen=True)
class Section:
    """A table and what a reader must know to read it."""

    title: str
    rows: tuple[str, ...]
    note: str


STEP = """\
Our time for a training step divided by the peer's, within the same round: below 1 we are faster.
Median, and below it the range over the quiet rounds, those in which other programs took less than
a quarter of a core. PyTorch is eager, with Adam(fused=True); compiled is torch.compile; JAX is one
jitted function with donated state; sklearn is the inside of MLPClassifier's loop; NumPy is a
textbook's; products are the bare matrix products of a step. Every peer has the best of its
settings."""
INFERENCE = """\
The network's output in inference mode for one sample and for 256, as above, by forward, called
again with the same parameters. predict: its time divided by that of Model.predict, which gives
labels."""
MEMORY = """\
temporary: what a steady step of ours allocates beside its workspace, at its peak. growth: what is
left of it after 1,000 steps. arrays: parameters, gradients, optimizer state, what a step needs, and
the caller's batch once, at the peak, array by array. resident: how much the process grew at its
peak."""
BUILD = "From a spec, or a function, to code that runs; each once, in a process of its own."


def accuracy(contests: Sequence[Contest], headings: Sequence[str]) -> Section:
    """How far the gradients of each peer are from the exact ones, and who took no part."""
    rows = [f"{'max|g - r| / max|r|':26}" + "".join(f"{h:>10}" for h in headings)]
    for one in contests:
        errors = [one.peers[h].error if h in one.peers else None for h in headings]
        cells = (f"{e.worst:>10.0e}" if e else f"{'-':>10}" for e in errors)
        rows.append(f"{one.problem.workload.label:26.26}" + "".join(cells))
    for one in contests:
        for verb, reasons in (("is wrong", one.wrong), ("takes no part", one.absent)):
            for heading, why in reasons.items():
                rows.append(f"{one.problem.workload.name}: {heading} {verb}: {why}"[:99])
    note = "The worst array of gradients, against float64; every element is within 1e-4 of it."
    return Section("Accuracy of the gradients", tuple(rows), note)


def settings(contests: Sequence[Contest]) -> Section:
    """Which of its settings was the best for each peer."""
    rows = []
    for one in contests:
        chosen = [f"{h}: {c.setting}" for h, c in one.peers.items() if c.setting]
        text = f"{one.problem.workload.name}: " + "; ".join(chosen)
        rows += textwrap.wrap(text, 98, subsequent_indent="    ")
    return Section("Settings", tuple(rows), "Those that a short trial found the fastest.")


def markdown(sections: Sequence[Section], command: str) -> str:
    """RESULTS.md."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    text = f"# Benchmarks\n\nMeasured on {today} by `{command}` on {machine()}.\n{versions()}.\n"
    for section in sections:
        body = "\n".join(section.rows)
        text += f"\n## {section.title}\n\n{section.note}\n\n```\n{body}\n```\n"
    return text
