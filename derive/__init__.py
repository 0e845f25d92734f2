"""derive: write the forward equation; get the derivation, the NumPy code and the check.

    import derive

    d = derive.differentiate("L = sum[n]((y[n] - sum[i](X[n,i]*w[i]))**2)", wrt="w")
    print(*d.equations, sep="\\n")     # forward and cotangent equations
    f = d.compile()                    # a NumPy module
    loss, gradients = f.value_and_grad(X=X, y=y, w=w)

`derive.pipeline` shows the way through.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

# What SymPy remembers of each of its functions: its own 1000 do not last for a deep network.
os.environ.setdefault("SYMPY_CACHE_SIZE", "50000")

# Loaded on first use: importing the package must not cost the second that SymPy takes.
_HOME = {
    "DeriveError": "derive.language.notation",
    "Derivation": "derive.derived",
    "differentiate": "derive.pipeline",
    "hessian": "derive.pipeline",
    "hvp": "derive.pipeline",
    "jacobian": "derive.pipeline",
    "vjp": "derive.pipeline",
}

__all__ = ["Derivation", "DeriveError", "differentiate", "hessian", "hvp", "jacobian", "vjp"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'derive' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
