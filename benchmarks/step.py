"""A training step: forward, loss, backward and Adam, ours against every peer."""

from __future__ import annotations

from benchmarks.contest import Contest
from benchmarks.peers.table import OURS
from benchmarks.ratios import Line, line
from benchmarks.rounds import measure


def measured(found: Contest, rounds: int) -> Line:
    """The line of a workload."""
    entries = {heading: one.step for heading, one in found.peers.items()}
    return line(found.problem.workload.label, measure(entries, rounds), OURS.heading)
