"""One program of the control plane as a child process with a log file; ended by its id."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import attrs

__all__ = ["Program"]


@attrs.define
class Program:
    """A command, and the process that it is while it runs."""

    command: Sequence[str]
    log: Path
    _process: subprocess.Popen[bytes] | None = attrs.field(default=None, init=False)

    def start(self) -> None:
        """Start the program; its output is added to the log."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def check(self) -> None:
        """Raise RuntimeError when the program has ended."""
        code = self._process.poll() if self._process else None
        if code is not None:
            tail = self.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.command[0]} ended with {code}; its log:\n{tail}")

    def stop(self) -> None:
        """End the program and wait for that; repeatable."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(3.0)  # an API server waits up to a minute for its watchers to leave
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
