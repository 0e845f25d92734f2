"""The memory that training steps take, ours and PyTorch's, each in a process of its own.

Two measures. *Arrays* counts what is allocated for arrays at the peak: parameters, gradients, the
optimizer's state, what a step needs, and the batch, which is the caller's, once. Ours are those
that `tracemalloc` knows as NumPy's between two steps, which keep all that they need, and the
batch, which was there before; PyTorch's are those that its profiler sees, the batch as tensors
among them. Neither counts objects of Python, nor the buffers that a call takes within: those of
NumPy's loops are in `temporary`, those of the libraries below in *resident*, which is how much the
process grew, at its peak, over what it was before the model was built.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import child
from benchmarks.workloads import WORKLOADS, Problem, Workload, problem

STEPS = 1000  # over which nothing may grow, or as many as fit in ten seconds


@dataclass(frozen=True)
class Memory:
    """Bytes, for one workload. `temporary` and `growth` are those of steady steps of ours."""

    label: str
    arrays: int
    resident: int
    workspace: int
    temporary: int
    growth: int
    torch_arrays: int | None
    torch_resident: int | None


def measured(workload: Workload, with_torch: bool) -> Memory:
    """The memory of a workload."""
    ours = child.call("benchmarks.memory", "derive", workload.letter, limit=120)
    other = {"arrays": None, "resident": None}
    if with_torch:
        other = child.call("benchmarks.memory", "torch", workload.letter, limit=120)
    return Memory(
        workload.label, **ours, torch_arrays=other["arrays"], torch_resident=other["resident"]
    )


def table(found: list[Memory]) -> list[str]:
    """A row a workload."""
    first = f"{'':26}{'temporary':>10}{'growth':>8}{'workspace':>11}"
    rows = [
        f"{'':55}{'arrays, MB':>19}{'resident, MB':>22}",
        f"{first}{'ours':>9}{'PyTorch':>10}{'':>3}{'ours':>9}{'PyTorch':>10}",
        f"{'':26}{'KB':>10}{'bytes':>8}{'MB':>11}",
    ]
    for one in found:
        rows.append(
            f"{one.label:26.26}{one.temporary / 1e3:10.0f}{one.growth:8}{_mb(one.workspace):>11}"
            f"{_mb(one.arrays):>9}{_mb(one.torch_arrays):>10}   "
            f"{_mb(one.resident):>9}{_mb(one.torch_resident):>10}"
        )
    return rows


def _mb(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:.2f}" if size < 1e7 else f"{size / 1e6:.0f}"


def _derive(given: Problem) -> dict[str, int]:
    """Ours: twice, since `tracemalloc` itself takes memory."""
    from benchmarks.peers.derive_peer import Derive

    before = _status("VmRSS")
    peer = Derive(given)
    for _ in range(3):
        peer.step()
    resident = _peak_resident() - before
    del peer
    tracemalloc.start()
    peer = Derive(given)
    built, _ = tracemalloc.get_traced_memory()
    peer.step()
    first, _ = tracemalloc.get_traced_memory()
    peer.step()
    arrays = _arrays() + given.x.nbytes + given.y.nbytes
    tracemalloc.reset_peak()
    steady, _ = tracemalloc.get_traced_memory()
    peer.step()
    temporary = tracemalloc.get_traced_memory()[1] - steady
    _repeat(peer.step)
    growth = tracemalloc.get_traced_memory()[0] - steady
    return {
        "arrays": arrays,
        "resident": resident,
        "workspace": first - built,
        "temporary": temporary,
        "growth": growth,
    }


def _arrays() -> int:
    """The bytes of all arrays of NumPy since `tracemalloc` began."""
    of_numpy = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    snapshot = tracemalloc.take_snapshot().filter_traces([of_numpy])
    return sum(trace.size for trace in snapshot.traces)


def _torch(given: Problem) -> dict[str, int]:
    """PyTorch's; a first step of a small network loads what it needs."""
    import torch

    from benchmarks.peers.torch_peer import Torch

    warm = Torch(problem(WORKLOADS[0]))
    warm.step()
    before = _status("VmRSS")
    peer = Torch(given)
    for _ in range(3):
        peer.step()
    resident = _peak_resident() - before
    del peer
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        peer = Torch(given)
        for _ in range(3):
            peer.step()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    held = peak = 0
    for event in sorted((e for e in events if e.get("name") == "[memory]"), key=_when):
        held += event["args"]["Bytes"]
        peak = max(peak, held)
    return {"arrays": peak, "resident": resident}


def _when(event: dict) -> float:
    return event["ts"]


def _repeat(step: Callable[[], object]) -> None:
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
        if time.perf_counter() - start > 10:
            return


def _peak_resident() -> int:
    return _status("VmHWM")


def _status(field: str) -> int:
    """A size of this process in bytes; 0 where there is no /proc."""
    path = Path("/proc/self/status")
    if not path.exists():
        return 0
    (row,) = (r for r in path.read_text(encoding="ascii").splitlines() if r.startswith(field))
    return 1024 * int(row.split()[1])


if __name__ == "__main__":
    kind, letter = sys.argv[1:]
    (chosen,) = (w for w in WORKLOADS if w.letter == letter)
    print(json.dumps({"derive": _derive, "torch": _torch}[kind](problem(chosen))))
