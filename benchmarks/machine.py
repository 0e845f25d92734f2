"""What the numbers were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

from benchmarks.threads import cores

PACKAGES = ("numpy", "torch", "jax", "autograd", "scikit-learn", "scipy", "sympy", "threadpoolctl")


def machine() -> str:
    """The processor, the cores that this process may use, and the system."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        models = [row.split(":", 1)[1] for row in text.splitlines() if row.startswith("model name")]
        name = models[0].strip() if models else name
    return f"{name}, {cores()} of {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def versions() -> str:
    """Python's and those of the packages that take part; of the others that they are not here."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {package}")
    return ", ".join(found)
