"""The functions of a network's output alone, which make their arrays as they go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from derive.code.lowering import lower
from derive.code.numpy_printer import prefixed
from derive.code.scheduling import fresh
from derive.language.notation import Program
from derive.modules.kernels import Routine, cited_beside, opened, raised
from derive.modules.rolling import resolve
from derive.networks.network_parts import Network
from derive.networks.passes import Derivatives
from derive.networks.supplements import LABELS, PROBABILITIES, WEIGHTED, Supplement
from derive.numerics.stability import stabilize


def functions(
    derivatives: Derivatives,
    network: Network,
    accuracy: str,
    ignored: int | None,
    beside: Mapping[str, Supplement],
) -> Iterable[Routine]:
    """Functions of the output alone: weighted loss, probabilities, labels, what is measured.

    Targets that are `ignored` are not measured.
    """
    yield _weighted(derivatives, network, accuracy, beside)
    if network.proba:
        own = beside[PROBABILITIES]
        yield _function(PROBABILITIES, network.proba, derivatives, own, accuracy)
    if network.predict:
        function = _function(LABELS, network.predict, derivatives, beside[LABELS], accuracy)
        *computing, last = function.lines
        last += ".astype(np.int64, copy=False)"
        yield replace(function, lines=(*computing, last))
    measured = ["return {}"]
    if network.predict and ignored is None:
        measured = ['return {"accuracy": float(np.mean(labels(z) == y))}']
    elif network.predict:
        measured = [
            f"counted = y != {ignored}",
            "right = np.sum((labels(z) == y) & counted)",
            'return {"accuracy": float(right / max(np.sum(counted), 1))}',
        ]
    yield Routine("metrics", "z, y", "What is measured besides the loss.", tuple(measured))


def _weighted(
    derivatives: Derivatives, network: Network, accuracy: str, beside: Mapping[str, Supplement]
) -> Routine:
    """The loss with weights and the cotangent of the output, in arrays of their own."""
    output = network.output.name
    arguments = f"{output}, y, sample_weight"
    if isinstance(derivatives.weighted, str):
        summary = "There is no such thing for this loss."
        return Routine(
            "weighted_loss", arguments, summary, raised(f"sample_weight: {derivatives.weighted}")
        )
    own = beside[WEIGHTED]
    results = own.program.results
    schedule = fresh(lower(stabilize(own.program, accuracy), results=results))
    names = prefixed(schedule, "")
    citations = cited_beside(derivatives.gradients, own)
    local = {"N": f"N = len({output})", "dtype": f"dtype = {output}.dtype"}
    body = opened([*citations.lines(schedule.statements, names)], local)
    body.append(f"return {', '.join(names[schedule.names[r]] for r in results)}")
    summary = f"The loss with a weight for each sample, and the cotangent of {output}."
    return Routine("weighted_loss", arguments, summary, _finished(body))


def _function(
    name: str, program: Program, derivatives: Derivatives, own: Supplement, accuracy: str
) -> Routine:
    """A program of one result as a function that makes its arrays as it goes."""
    (result,) = own.program.results
    schedule = fresh(lower(stabilize(own.program, accuracy), results=(result,)))
    names = prefixed(schedule, "")
    arguments = [names[schedule.names[t.name]] for t in program.inputs]
    first = arguments[0]
    citations = cited_beside(derivatives.gradients, own)
    computing = [*citations.lines(schedule.statements, names)]
    body = opened(computing, {"N": f"N = len({first})", "dtype": f"dtype = {first}.dtype"})
    body.append(f"return {names[schedule.names[result]]}")
    stated = str(program.equation(program.result))
    return Routine(name, ", ".join(arguments), stated, _finished(body))


def _finished(lines: Sequence[str]) -> tuple[str, ...]:
    """The lines with the numbers in them written out."""
    _, (resolved,) = resolve([lines])
    return resolved
