"""The guardian: the supervisor's parent, which ends the pod's processes should it be killed.

A killed supervisor takes the main processes of its containers along (PR_SET_PDEATHSIG), but not
what these have started. The guardian is a subreaper above it: whoever the supervisor leaves behind
becomes the guardian's child, is killed, and reaped. It is forked before anything is loaded, sleeps
in ``waitpid``, and holds the pod's lock: a free lock says that no process of the pod is left.

The other way round, a supervisor whose guardian is killed gets SIGUSR1 and ends the pod at once
(`start`). Only killing both in the same moment leaves grandchildren alive.
"""

from __future__ import annotations

import os
import signal

from . import linux

__all__ = ["reap"]


def reap(supervisor: int) -> int:
    """Wait for the supervisor, then kill and reap all that is left; return its exit code."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    exit_code = 1
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return exit_code
        if pid == supervisor:
            exit_code, supervisor = (0 if status == 0 else 1), 0
        if not supervisor:
            _kill_descendants()


def _kill_descendants() -> None:
    for pid in linux.descendants(linux.process_table(), os.getpid()):
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
