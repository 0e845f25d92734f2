"""The network's output in inference mode, for one sample and for 256, ours against every peer."""

from __future__ import annotations

from benchmarks.contest import Contest
from benchmarks.peers.table import OURS
from benchmarks.ratios import Line, line
from benchmarks.rounds import Entry, measure

BATCHES = (1, 256)


def measured(found: Contest, batch: int, rounds: int) -> Line:
    """The line of a workload and a size of batch. `predict`, which gives labels, is a column too.

    Its ratio says how much of its time `forward` takes.
    """
    x = found.problem.with_batch(batch).x
    entries = {
        heading: Entry(one.peer.predictor(x), one.enter)
        for heading, one in found.peers.items()
        if hasattr(one.peer, "predictor")
    }
    ours = found.peers[OURS.heading]
    entries["predict"] = Entry(ours.peer.labeller(x), ours.enter)
    label = f"{found.problem.workload.label[:21]}, {batch}"
    return line(label, measure(entries, rounds, budget=20), OURS.heading)
