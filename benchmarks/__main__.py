"""`make bench`, or `python -m benchmarks [PART ...] [WORKLOAD ...]`.

Without names everything is measured and benchmarks/RESULTS.md is written. Exit code 1 where the
gradients of a peer, or ours, are wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import build, inference, memory, report, step, threads
from benchmarks.contest import Contest, contest
from benchmarks.peers.table import OURS, PEERS, load_file
from benchmarks.ratios import Line, rows, table
from benchmarks.report import Section
from benchmarks.workloads import WORKLOADS

PARTS = ("steps", "inference", "memory", "build")
RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    given = _arguments()
    if given.one_core and threads.cores() > 1:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]])
    parts = [part for part in PARTS if part in given.names] or [*PARTS]
    chosen = [w for w in WORKLOADS if {w.name, w.letter} & {*given.names}] or [*WORKLOADS]
    rounds = 5 if given.quick else given.rounds
    kinds = [kind for kind in PEERS if kind.heading not in given.without]
    reference = load_file(given.reference) if given.reference else None
    headings = [k.heading for k in kinds] + ["reference"] * (reference is not None)
    if not threads.settable():
        print("threadpoolctl is not installed: BLAS threads stay as they are", file=sys.stderr)

    contests: list[Contest] = []
    steps: list[Line] = []
    answers: list[Line] = []
    if {"steps", "inference"} & {*parts}:
        print(table([], headings)[0], flush=True)
        for workload in chosen:
            found = contest(workload, (OURS, *kinds), reference)
            contests.append(found)
            if OURS.heading not in found.peers:
                print(f"{workload.label}: {found.wrong | found.absent}", flush=True)
                continue
            if "steps" in parts:
                steps.append(step.measured(found, rounds))
                _show(rows(steps[-1], headings))
            if "inference" in parts:
                for batch in inference.BATCHES:
                    answers.append(inference.measured(found, batch, rounds))
                    _show(rows(answers[-1], headings))
    predicted = [h for h in headings if h not in ("sklearn", "reference")] + ["predict"]
    sections = []
    if steps:
        sections.append(Section("Training step", tuple(table(steps, headings)), report.STEP))
    if answers:
        found = tuple(table(answers, predicted))
        sections.append(Section("Inference", found, report.INFERENCE))
    if "memory" in parts:
        with_torch = any(k.heading == "PyTorch" and not k.missing() for k in kinds)
        measured = tuple(memory.table([memory.measured(w, with_torch) for w in chosen]))
        sections.append(Section("Memory of a training step", measured, report.MEMORY))
    if "build" in parts:
        sections.append(Section("Building", tuple(build.table()), report.BUILD))
    if contests:
        sections.append(report.accuracy(contests, [OURS.heading, *headings]))
        sections.append(report.settings(contests))
    for section in sections:
        print(f"\n{section.title}\n\n{section.note}\n")
        _show(section.rows)
    if given.write or not (given.names or given.quick or given.without or given.reference):
        RESULTS.write_text(report.markdown(sections, "make bench"), encoding="utf-8")
        print(f"\n{RESULTS}")
    return int(any(one.wrong or OURS.heading in one.absent for one in contests))


def _arguments() -> argparse.Namespace:
    names = {*PARTS, *(n for w in WORKLOADS for n in (w.name, w.letter))}
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    add = parser.add_argument
    workloads = ", ".join(f"{w.letter} or {w.name}" for w in WORKLOADS)
    add(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"parts ({', '.join(PARTS)}) and workloads ({workloads})",
    )
    add("--quick", action="store_true", help="five rounds")
    add(
        "--one-core",
        action="store_true",
        help="all on one core, in processor time: for a busy machine",
    )
    add("--rounds", type=int, default=9, help="quiet rounds that are wanted (9)")
    add(
        "--without", nargs="+", default=[], metavar="PEER", help="leave these out, such as compiled"
    )
    add("--reference", type=Path, metavar="FILE", help="a column more: make(letter) in a file")
    add("--write", action="store_true", help="write RESULTS.md from a part, too")
    given = parser.parse_args()
    if unknown := {*given.names} - names:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(names))}")
    return given


def _show(lines: Sequence[str]) -> None:
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    sys.exit(main())
