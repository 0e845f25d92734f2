"""How exact the library is: its entries in several configurations, compiled, in float64.

    python tests/library_configurations.py [ENTRY ...]

For each entry the number of configurations and the worst error: of the value, the gradients by the
parameters and by the input against PyTorch, and of all gradients against central differences.
Errors are relative to the largest element of what is compared, or to a thousandth of the largest
of all gradients: that of a bias of keys is 0, and what is found is rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from networks import compiled

from derive.checks import compare

# A loss whose gradient by the output is the target: a random cotangent.
WEIGHTED = """
[loss]
type = "weighted"
[define.loss.weighted]
formula = "L = sum[...](z[...] * y[...])"
"""
BATCH = 3


@dataclass(frozen=True)
class Configuration:
    """A network around one entry of the library, and what PyTorch computes instead.

    `reference(p, x, y)` is the loss, of tensors; `p` maps public names of parameters to tensors.
    """

    entry: str
    spec: str
    reference: Callable
    target: Callable | None = None  # a random generator and a shape -> the target
    name: str = field(default="", compare=False)


@dataclass(frozen=True)
class Errors:
    """Relative to the largest element; None where there is nothing to compare (with)."""

    value: float | None = None
    parameters: float | None = None
    input: float | None = None
    differences: float = 0.0
    fault: str = ""


def drawn(configuration, seed=0):
    """The module and random arrays: parameters, input, target."""
    net = compiled(configuration.spec)
    rng = np.random.default_rng(seed)
    params = {name: rng.normal(size=array.shape) for name, array in net.init(0).items()}
    x = _array(net.INPUT, rng)
    y = None
    if net.TARGET is not None:
        shape = _shape(net.TARGET)
        y = configuration.target(rng, shape) if configuration.target else _array(net.TARGET, rng)
    return net, params, x, y


def _shape(wanted):
    return tuple(BATCH if isinstance(axis, str) else axis for axis in wanted["axes"])


def _array(wanted, rng):
    if wanted["below"] is not None:
        return rng.integers(0, wanted["below"], _shape(wanted))
    return rng.normal(size=_shape(wanted))


def measured(configuration, torch=None, differences=True):
    """The errors of one configuration; without `torch` only those against differences."""
    net, params, x, y = drawn(configuration)
    value, found = net.value_and_grad(params, x, y, seed=0)
    found = dict(found)
    if x.dtype.kind == "f":
        found["x"] = net.input_grad(params, x, y)
    worst, fault = 0.0, ""
    if differences:
        report = compare(
            lambda at: net.value_and_grad({k: at[k] for k in params}, at["x"], y, seed=0)[0],
            found,
            {**params, "x": x},
            found,
        )
        least = max(row.largest for row in report.rows) / 1000
        worst = max((row.error for row in report.rows if row.largest > least), default=0.0)
        fault = "" if report.ok else str(report)
    if torch is None:
        return Errors(differences=worst, fault=fault)
    p = {k: torch.tensor(v, requires_grad=k in found) for k, v in params.items()}
    given = torch.tensor(x, requires_grad="x" in found)
    expected = configuration.reference(p, given, None if y is None else torch.tensor(y))
    expected.backward()
    theirs = {k: v.grad.numpy() for k, v in p.items() if v.grad is not None}
    if "x" in found:
        theirs["x"] = given.grad.numpy()
    least = max(np.max(np.abs(g), initial=0.0) for g in theirs.values()) / 1000
    off = {k: _off(found[k], g, least) for k, g in theirs.items()}
    by_input = off.pop("x", None)
    by_parameters = max(off.values(), default=None)
    return Errors(_off(value, expected.item()), by_parameters, by_input, worst, fault)


def _off(ours, theirs, least=0.0):
    """The largest difference, relative to the largest element."""
    scale = max(np.max(np.abs(theirs), initial=0.0), least)
    return float(np.max(np.abs(np.asarray(ours) - theirs), initial=0.0) / (scale or 1.0))


def worst(rows):
    """The largest error of each kind; None where no configuration has it."""
    found = []
    for kind in ("value", "parameters", "input", "differences"):
        known = [e for e in (getattr(row, kind) for row in rows) if e is not None]
        found.append(max(known, default=None))
    return found


def report(configurations, torch):
    """The lines of a table: entry, configurations, worst errors."""
    yield f"{'entry':<22}{'configurations':>15}{'value':>9}{'params':>9}{'input':>9}{'diff':>9}"
    for entry in dict.fromkeys(c.entry for c in configurations):
        rows = [measured(c, torch) for c in configurations if c.entry == entry]
        shown = "".join(f"{'-' if e is None else f'{e:.1e}':>9}" for e in worst(rows))
        wrong = "" if not any(row.fault for row in rows) else "  WRONG"
        yield f"{entry:<22}{len(rows):>15}{shown}{wrong}"
