"""The functions of a network's output alone, which make their arrays as they go."""

from __future__ import annotations

from collections.abc import Iterable

from derive.derivation import Gradients
from derive.kernels import Citations, Routine, opened, raised
from derive.lowering import lower
from derive.network_parts import Network
from derive.normal_form import flatten
from derive.notation import Program
from derive.numpy_printer import lines, prefixed
from derive.passes import Derivatives
from derive.scheduling import fresh
from derive.simplify import recognize
from derive.stability import stabilize


def functions(
    derivatives: Derivatives, network: Network, accuracy: str, ignored: int | None
) -> Iterable[Routine]:
    """Functions of the output alone: weighted loss, probabilities, labels, what is measured.

    Targets that are `ignored` are not measured.
    """
    yield _weighted(derivatives.weighted, network, accuracy)
    if network.proba:
        yield _function("probabilities", network.proba, accuracy)
    if network.predict:
        yield _function("labels", network.predict, accuracy, ".astype(np.int64, copy=False)")
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


def _weighted(own: Gradients | str, network: Network, accuracy: str) -> Routine:
    """The loss with weights and the cotangent of the output, in arrays of their own."""
    output = network.output.name
    arguments = f"{output}, y, sample_weight"
    if isinstance(own, str):
        summary = "There is no such thing for this loss."
        return Routine("weighted_loss", arguments, summary, raised(f"sample_weight: {own}"))
    results = (own.forward.result, own.cotangents[output])
    schedule = fresh(lower(stabilize(own.program, accuracy), results=results))
    names = prefixed(schedule, "")
    texts = {e.target: str(e) for e in own.equations}
    local = {"N": f"N = len({output})", "dtype": f"dtype = {output}.dtype"}
    body = opened([*Citations({}, texts).lines(schedule.statements, names)], local)
    body.append(f"return {', '.join(names[schedule.names[r]] for r in results)}")
    summary = f"The loss with a weight for each sample, and the cotangent of {output}."
    return Routine("weighted_loss", arguments, summary, tuple(body))


def _function(name: str, program: Program, accuracy: str, converted: str = "") -> Routine:
    """A program of one result as a function that makes its arrays as it goes."""
    result = program.results[0] if program.results else program.result
    recognized, _ = recognize(flatten(program))
    schedule = fresh(lower(stabilize(recognized, accuracy), results=(result,)))
    names = prefixed(schedule, "")
    arguments = [names[schedule.names[t.name]] for t in program.inputs]
    first = arguments[0]
    computing = [s for s in schedule.statements if s.out]
    body = opened(
        lines(computing, names, {}), {"N": f"N = len({first})", "dtype": f"dtype = {first}.dtype"}
    )
    body.append(f"return {names[schedule.names[result]]}{converted}")
    return Routine(name, ", ".join(arguments), str(program.equation(result)), tuple(body))
