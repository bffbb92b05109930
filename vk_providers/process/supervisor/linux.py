"""Linux interfaces that the standard library lacks: prctl, setns, OFD locks, the process table.

The lock is an open-file-description (OFD) lock: it is held until the last process that inherited it
exits, and can be tested without acquiring it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Process",
    "become_subreaper",
    "descendants",
    "die_with_parent",
    "hide",
    "is_locked",
    "keep_rights",
    "lock",
    "process_table",
    "set_namespace",
]

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_LOCK = "hhqqi0q"  # struct flock

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), *(ctypes.c_ulong(0),) * 3) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")


def die_with_parent(signal: int) -> None:
    """Send this process ``signal`` when its parent exits; a change of user resets it."""
    _prctl(_PR_SET_PDEATHSIG, signal)


def become_subreaper() -> None:
    """Become the parent of orphaned descendants."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def hide() -> None:
    """Make this process not dumpable, so that others of this user cannot read it until exec."""
    _prctl(_PR_SET_DUMPABLE, 0)


def keep_rights() -> None:
    """Set no_new_privs: executed commands gain no privileges from their file's mode."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def set_namespace(fd: int) -> None:
    """Enter the namespace of an open file of /proc/PID/ns; raises OSError."""
    if _libc.setns(fd, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def lock(fd: int) -> bool:
    """Lock the file while this process or a fork of it lives; False: locked already."""
    request = struct.pack(_LOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, request)
    except BlockingIOError:
        return False
    return True


def is_locked(path: str) -> bool:
    """Return whether another process holds the `lock` of the file; False without a file."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        request = struct.pack(_LOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, request)
    finally:
        os.close(fd)
    return bool(struct.unpack(_LOCK, answer)[0] != fcntl.F_UNLCK)


class Process:
    """One line of the process table."""

    __slots__ = ("parent", "session", "zombie")

    def __init__(self, *, parent: int, session: int, zombie: bool) -> None:
        self.parent = parent
        self.session = session
        self.zombie = zombie


def process_table() -> dict[int, Process]:
    """Return all processes of this machine (or PID namespace) by PID."""
    table = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (process := _process(name)):
            table[int(name)] = process
    return table


def _process(name: str) -> Process | None:
    try:
        with open(f"/proc/{name}/stat", "rb") as file:
            # The command name is in parentheses and may contain parentheses.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:  # it has ended
        return None
    return Process(parent=int(fields[1]), session=int(fields[3]), zombie=fields[0] in b"ZX")


def descendants(table: Mapping[int, Process], root: int) -> set[int]:
    """Return all descendants of ``root``."""
    children: dict[int, list[int]] = {}
    for pid, process in table.items():
        children.setdefault(process.parent, []).append(pid)
    found: set[int] = set()
    rest = children.get(root, [])
    while rest:
        pid = rest.pop()
        found.add(pid)
        rest.extend(children.get(pid, ()))
    return found
