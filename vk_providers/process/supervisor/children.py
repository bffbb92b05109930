"""The supervisor's child processes: start, reap and kill, by owner.

An *owner* is the name of a container (or a probe, or the supervisor itself) that processes are
attributed to. Each command starts a new session; an owner has all descendants of the supervisor in
one of its sessions or below one of its commands. The supervisor is the subreaper, so orphaned
processes stay its descendants; and only descendants are signalled, so that no reused PID is hit.

A daemon that opened its own session *and* lost its parents belongs to no owner any more; it ends
with the pod (`Children.kill_rest`), as in a pod whose containers share a PID namespace.
"""

from __future__ import annotations

import os
import signal

from . import linux
from .loop import LoopFuture
from .spawn import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .loop import EventLoop
    from .spawn import Command

__all__ = ["Child", "Children", "exit_code_of"]

_PASSES = 10
"""Passes over the process table, to catch processes forked while others were killed."""


class Child:
    """A started command; ``exited`` is set to its wait status once it is reaped."""

    __slots__ = ("exited", "pid")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.exited = LoopFuture()


class Children:
    """All processes of the pod."""

    def __init__(self, loop: EventLoop) -> None:
        self._running: dict[int, Child] = {}
        self._owners: dict[int, str] = {}
        """The owner of each session, by session id."""
        self._next_end = LoopFuture()
        self._watch(loop)

    def start(
        self, owner: str, command: Command, streams: tuple[int, int, int], *, terminal: bool = False
    ) -> Child:
        """Start ``command``; raises StartError."""
        child = Child(spawn(command, streams, terminal=terminal))
        self._running[child.pid] = child
        self._owners[child.pid] = owner
        return child

    def members(self, owner: str) -> list[int]:
        """Return the PIDs of ``owner``, its commands first."""
        return _members({pid for pid, each in self._owners.items() if each == owner})

    def members_of(self, child: Child) -> list[int]:
        """Return the PIDs of one command and its descendants; empty once its PID was reused."""
        if self._running.get(child.pid, child) is not child:
            return []
        return _members({child.pid})

    def signal(self, child: Child, number: int) -> None:
        """Send a signal to one command and its descendants."""
        for pid in self.members_of(child):
            _send(pid, number)

    def release(self, child: Child, *, terminal: bool) -> None:
        """Drop the session of an exited command if no process is left in it."""
        if not _group_exists(child.pid) and not (terminal and _session_exists(child.pid)):
            self._owners.pop(child.pid, None)

    def kill(self, owner: str) -> None:
        """Kill all processes of ``owner``, and drop its sessions."""
        _kill_all(lambda: self.members(owner))
        self._owners = {pid: each for pid, each in self._owners.items() if each != owner}

    def kill_command(self, child: Child) -> None:
        """Kill one command with its descendants."""
        _kill_all(lambda: self.members_of(child))
        if self._running.get(child.pid, child) is child:
            self._owners.pop(child.pid, None)

    def kill_rest(self) -> None:
        """Kill all descendants of the supervisor."""
        _kill_all(lambda: _alive_descendants(os.getpid()))

    def next_end(self) -> LoopFuture:
        """Return a future that is set when a child has exited, including adopted ones."""
        return self._next_end

    def _watch(self, loop: EventLoop) -> None:
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

        def wake() -> None:
            try:
                os.read(read_end, 4096)
            except BlockingIOError:
                return
            self._reap()

        loop.on_readable(read_end, wake)

    def _reap(self) -> None:
        ended = False
        while (found := _wait_for_any()) is not None:
            pid, status = found
            ended = True
            child = self._running.pop(pid, None)
            if child is not None:
                child.exited.set(status)
        if ended:
            waited_for, self._next_end = self._next_end, LoopFuture()
            waited_for.set()


def exit_code_of(status: int) -> tuple[int, int]:
    """Return exit code and signal of a wait status; for a signal the code is 128 + signal."""
    code = os.waitstatus_to_exitcode(status)
    return (128 - code, -code) if code < 0 else (code, 0)


def _wait_for_any() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def _members(roots: set[int]) -> list[int]:
    """Return the living processes in the sessions of ``roots`` or below them, ``roots`` first."""
    table = linux.process_table()
    ours = linux.descendants(table, os.getpid())
    found = {pid for pid in ours if table[pid].session in roots}
    for root in roots & ours:
        found |= linux.descendants(table, root)
    return sorted((pid for pid in found if not table[pid].zombie), key=lambda p: p not in roots)


def _kill_all(members: Callable[[], list[int]]) -> None:
    killed: set[int] = set()
    for _ in range(_PASSES):
        fresh = [pid for pid in members() if pid not in killed]
        if not fresh:
            return
        for pid in fresh:
            _send(pid, signal.SIGKILL)
        killed.update(fresh)


def _alive_descendants(root: int) -> list[int]:
    table = linux.process_table()
    return [pid for pid in linux.descendants(table, root) if not table[pid].zombie]


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _session_exists(session: int) -> bool:
    return any(process.session == session for process in linux.process_table().values())


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
