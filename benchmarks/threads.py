"""How many threads NumPy's BLAS uses; it can be set where threadpoolctl is installed."""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from typing import Any


def use(threads: int) -> None:
    """Let matrix products run on so many threads, from now on."""
    for library in _libraries():
        library.set_num_threads(threads)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def settable() -> bool:
    """Whether `use` has an effect."""
    return importlib.util.find_spec("threadpoolctl") is not None


@cache
def _libraries() -> list[Any]:
    if not settable():
        return []
    import numpy  # noqa: F401  # loads its BLAS
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)
