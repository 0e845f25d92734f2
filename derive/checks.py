"""Gradient checks: derivatives against central differences of the value, in float64.

Each element is moved by `h` and by `2h`, `h = eps**(1/3) * max(1, |theta|)` as a power of two, so
that the step is exact. The two differences are extrapolated. Where they and the bend of the value
disagree by as much as the gradient is off, the value has a kink there: the element is not judged.
Errors are relative to the largest element of a tensor's gradient, since small elements carry the
rounding of the whole value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from derive.language.notation import DeriveError

EPS = 2.0**-52
TOLERANCE = 1e-8  # a hundred times what central differences are off by
MOST = 200  # elements of a tensor that are moved one by one

Arrays = Mapping[str, np.ndarray]
Value = Callable[[Arrays], float]


@dataclass(frozen=True)
class Row:
    """One operand: how much of its gradient was compared, and the worst that was found."""

    operand: str
    shape: tuple[int, ...]
    compared: int
    kinks: int
    largest: float  # the largest element of the gradient
    error: float  # relative to it
    fault: str = ""  # what is wrong, in words

    @property
    def ok(self) -> bool:
        return not self.fault

    def __str__(self) -> str:
        name = self.operand
        if len(name) > 26:
            name = f"{name[:12]}~{name[-13:]}"
        shape = "x".join(map(str, self.shape)) or "scalar"
        counts = f"{self.compared:>8} {self.kinks:>6}"
        line = f"{name:<26} {shape:>12} {counts} {self.largest:>9.2e} {self.error:>8.1e}"
        return line + (" ok" if self.ok else f" WRONG\n    {self.fault}")


@dataclass(frozen=True)
class Report:
    """The outcome for every operand; `str()` is a table."""

    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows)

    @property
    def worst(self) -> float:
        """The largest relative error of any operand."""
        return max((row.error for row in self.rows), default=0.0)

    def __str__(self) -> str:
        columns = f"{'compared':>8} {'kinks':>6} {'max |g|':>9} {'error':>8}"
        head = f"{'operand':<26} {'shape':>12} {columns}"
        return "\n".join([head, *map(str, self.rows)])


def compare(
    value: Value,
    gradients: Mapping[str, Any],
    arrays: Mapping[str, Any],
    wrt: Iterable[str],
    seed: int = 0,
    most: int = MOST,
) -> Report:
    """Whether `gradients[name]` is the derivative of `value` by `arrays[name]`, for each of `wrt`.

    Of a tensor with more than `most` elements so many are drawn and moved one by one, and all of
    them together once, in a random direction.
    """
    at = {name: in_double(array) for name, array in arrays.items()}
    rng = np.random.default_rng(seed)
    return Report(tuple(_compare(value, gradients, at, name, rng, most) for name in wrt))


def contracted(function: Callable[[Arrays], Any], cotangent: np.ndarray) -> Value:
    """`sum(cotangent * function(arrays))`: its gradient is the vector-Jacobian product."""
    return lambda arrays: float(np.sum(np.asarray(function(arrays)) * cotangent))


def random_cotangent(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Of both signs and away from 0; all ones would hide what cancels in a sum."""
    rng = np.random.default_rng(seed)
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.5, shape)


def in_double(array: Any) -> np.ndarray:
    """The array in float64; integers stay what they are."""
    array = np.asarray(array)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _compare(
    value: Value,
    gradients: Mapping[str, Any],
    at: Arrays,
    name: str,
    rng: np.random.Generator,
    most: int,
) -> Row:
    if name not in gradients or name not in at:
        raise DeriveError(f"there is no {'gradient' if name in at else 'array'} named {name}")
    theta, gradient = at[name].astype(np.float64), np.asarray(gradients[name], np.float64)
    largest = float(np.max(np.abs(gradient), initial=0.0))
    if gradient.shape != theta.shape:
        fault = f"{name} has shape {theta.shape}, but its gradient {gradient.shape}"
        return Row(name, theta.shape, 0, 0, largest, math.inf, fault)
    if not math.isfinite(largest):
        fault = f"the gradient by {name} is not finite"
        return Row(name, theta.shape, 0, 0, largest, math.inf, fault)
    worst, kinks, fault = 0.0, 0, ""
    directions = list(_directions(theta, rng, most))
    for label, direction in directions:
        scale = largest * math.sqrt(np.count_nonzero(direction))
        moved = direction != 0
        given = float(np.sum(gradient[moved] * direction[moved]))
        found = _difference(value, at, name, theta, direction)
        off = abs(found.derivative - given)
        scale = max(scale, abs(found.derivative))
        if math.isfinite(off) and off <= TOLERANCE * scale + found.noise:
            worst = max(worst, off / scale if scale else 0.0)
        elif math.isfinite(off) and off <= 2 * found.doubt:
            kinks += 1
        else:
            error = off / scale if math.isfinite(off) else math.inf
            if not fault or error > worst:
                fault = f"{name}{label}: {given:.9g}, but differences give {found.derivative:.9g}"
            worst = max(worst, error)
    compared = len(directions) - kinks
    if directions and not compared:
        fault = f"{name}: the value has a kink at every element; compare at another point"
    return Row(name, theta.shape, compared, kinks, largest, worst, fault)


def _directions(
    theta: np.ndarray, rng: np.random.Generator, most: int
) -> Iterable[tuple[str, np.ndarray]]:
    """What to move: single elements, and all at once if not each of them is."""
    drawn = np.arange(theta.size)
    if theta.size > most:
        yield " in a random direction", rng.choice([-1.0, 1.0], theta.shape)
        drawn = np.sort(rng.choice(theta.size, most, replace=False))
    for flat in drawn:
        place = np.unravel_index(flat, theta.shape)
        direction = np.zeros(theta.shape)
        direction[place] = 1.0
        yield f"[{','.join(map(str, place))}]" if place else "", direction


@dataclass(frozen=True)
class _Difference:
    derivative: float
    doubt: float  # by how much the two step sizes and the bend disagree
    noise: float  # what rounding of the value makes of it


def _difference(
    value: Value, at: Arrays, name: str, theta: np.ndarray, direction: np.ndarray
) -> _Difference:
    """The derivative along a direction, from five values on the line."""
    size = float(np.max(np.abs(theta[direction != 0])))
    h = 2.0 ** round(math.log2(EPS ** (1 / 3) * max(1.0, size)))
    far_below, below, here, above, far_above = (
        float(value({**at, name: theta + k * h * direction})) for k in (-2, -1, 0, 1, 2)
    )
    near, far = (above - below) / (2 * h), (far_above - far_below) / (4 * h)
    # Where the value is smooth, the jump of the slope across the step is proportional to the step.
    jump, far_jump = (above - 2 * here + below) / h, (far_above - 2 * here + far_below) / (2 * h)
    return _Difference(
        derivative=(4 * near - far) / 3,
        doubt=max(abs(near - far), abs(2 * jump - far_jump)),
        noise=32 * EPS * max(map(abs, (far_below, here, far_above))) / h,
    )
