"""A process whose wall clock is wrong, for all that runs in it; its monotonic clock is right."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path


def behind(seconds: int) -> dict[str, str]:
    """Return the environment of a process whose clock is ``seconds`` behind ours.

    libfaketime does that below Python. Fails where it has no effect here.
    """
    spec = find_spec("libfaketime")
    assert spec is not None and spec.origin is not None, "the extra 'test' is not installed"
    library = Path(spec.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"-{seconds}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    code = "import time; print(time.time(), time.monotonic())"
    shown = subprocess.check_output(
        [sys.executable, "-c", code], env=os.environ | environment, text=True
    )
    wall, monotonic = (float(word) for word in shown.split())
    assert abs(time.time() - seconds - wall) < seconds / 2, f"{library} does not move the clock"
    assert abs(time.monotonic() - monotonic) < seconds / 2, f"{library} moves every clock"
    return environment
