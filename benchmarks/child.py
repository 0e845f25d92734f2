"""A measurement in a process of its own: nothing that ran before it weighs on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


class TooLong(Exception):
    """It did not end within the limit."""


def call(module: str, *arguments: str, limit: float) -> Any:
    """What `python -m module arguments` prints as JSON in its last line.

    The allocator's settings are the system's, whatever those of this process are.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, timeout=limit, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        raise TooLong(f"more than {limit:.0f} s") from None
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr else "no message")
    return json.loads(done.stdout.strip().splitlines()[-1])
