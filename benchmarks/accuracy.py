"""The gradients of a peer against PyTorch's in float64: nothing is timed that computes another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Error:
    """The worst array: max|g - r| / max|r|; and the worst element in units of what is allowed."""

    worst: float
    name: str
    element: float

    @property
    def small(self) -> bool:
        """Whether every element is within 1e-4 |r| + 1e-4 rms(r)."""
        return self.element <= 1


def error(gradients: Mapping[str, np.ndarray], exact: Mapping[str, np.ndarray]) -> Error:
    """How far gradients are from the exact ones, all under our names.

    An array whose exact gradient is 0 is measured against all arrays together: attention's key
    bias moves each row of scores as a whole, which softmax does not see.
    """
    all_of = np.concatenate([np.ravel(r) for r in exact.values()])
    worst, where, element = 0.0, "", 0.0
    for name, r in exact.items():
        scale = r if _rms(r) > 1e-9 * _rms(all_of) else all_of
        difference = np.abs(np.asarray(gradients[name], np.float64) - r)
        relative = float(difference.max() / np.abs(scale).max())
        allowed = 1e-4 * np.abs(r) + 1e-4 * _rms(scale)
        element = max(element, float(np.nan_to_num(difference / allowed, nan=np.inf).max()))
        if not relative <= worst:  # also where it is nan
            worst, where = relative, name
    return Error(worst, where, element)


def _rms(r: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(r))))
