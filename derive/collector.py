"""Python's search for cycles, put off while a derivation is made.

What is made for a deep network are millions of small objects, nearly all of which stay. Python
would walk over them again and again, for a quarter of the whole time, and find next to nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deferred() -> Iterator[None]:
    """Within it no cycles are looked for; also a decorator."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            # The young count as old now, or the next object would set off a walk over them all.
            gc.freeze()
            gc.unfreeze()
        if was_on:
            gc.enable()
