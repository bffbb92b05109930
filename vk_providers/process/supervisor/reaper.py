"""The reaper: the supervisor's parent, which kills the pod's processes if the supervisor is killed.

The main processes of containers die with the supervisor (PR_SET_PDEATHSIG), but not their
descendants. The reaper is a subreaper above it: orphaned processes become its children, are killed
and reaped. It is forked before other modules are loaded, blocks in ``waitpid``, and holds the pod's
lock: a free lock means that no process of the pod is left.

A supervisor whose reaper is killed gets SIGUSR1 and ends the pod at once (`start`). Only killing
both at the same moment leaves descendants alive.
"""

from __future__ import annotations

import os
import signal

from . import linux

__all__ = ["reap"]


def reap(supervisor: int) -> int:
    """Wait for the supervisor, then kill and reap all its orphans; return its exit code."""
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
