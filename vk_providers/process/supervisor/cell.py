"""A container's own namespaces: built and held by bubblewrap, entered by each of its commands.

`container` opens a cell for each run (`open_cell`); `spawn` enters it for the container's process
and for every later command, so each of them is a session of its own inside, with its terminal.

The surprising part: the first process of a cell is bubblewrap itself, built up and then kept from
executing anything, since it reads a pipe that nobody writes. So it needs no program of the image
and sees nothing of the container's environment. When the pipe ends, by `Cell.close` or with the
supervisor, that process ends and the kernel kills all others in the cell.
"""

from __future__ import annotations

import errno
import os
import signal

from . import linux
from .loop import any_of
from .spawn import Command, StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .children import Children
    from .loop import Future, Loop
    from .plan import ContainerPlan

__all__ = ["Cell", "open_cell"]

_HOLD = ("--as-pid-1", "--block-fd", "0", "--", "/")
"""Wait for the end of stdin; then a folder cannot be executed, which is the end."""
_NAMESPACES = ("mnt", "uts", "ipc", "pid")
_PATIENCE = 60.0
"""Seconds; bubblewrap takes some milliseconds, unless a file system does not answer."""
_LOOK_AGAIN = 0.005
"""Seconds; bubblewrap tells nobody that it is ready, and is so within a few of these."""


class Cell:
    """The namespaces of one run of a container."""

    def __init__(self, first: int, pipe: int) -> None:
        """``first`` is the process that holds them, for as long as ``pipe`` is open."""
        self._pipe = pipe
        own = os.readlink("/proc/self/ns/user") == os.readlink(f"/proc/{first}/ns/user")
        names = _NAMESPACES if own else ("user", *_NAMESPACES)
        # Open files, since the process and its id may be gone when they are needed.
        self._spaces = [_open(f"/proc/{first}/ns/{name}", os.O_RDONLY) for name in names]
        self._root = _open(f"/proc/{first}/root", os.O_PATH)

    def enter(self) -> None:
        """Bring this process inside, of the process namespace only what it forks; raises OSError.

        It must be the user of the container already, and have one thread.
        """
        if not self._spaces:
            raise OSError(errno.ESRCH, "the container has ended")
        for space in self._spaces:
            linux.set_namespace(space)
        os.fchdir(self._root)
        os.chroot(".")

    def close(self) -> None:
        """End everything inside."""
        for fd in (self._pipe, self._root, *self._spaces):
            os.close(fd)
        self._spaces = []


async def open_cell(
    loop: Loop, children: Children, plan: ContainerPlan, called_off: Future
) -> Cell | None:
    """Build the cell of a container, None for one that has none.

    Raises StartError, and nothing is left, where that fails or is called off.
    """
    if not plan["cell"]:
        return None
    held, pipe = os.pipe()
    said, says = os.pipe()
    os.set_blocking(said, False)
    try:
        child = children.start(plan["name"], _builder(plan), (held, says, says))
    except StartError:
        os.close(pipe)
        os.close(said)
        raise
    finally:
        os.close(held)
        os.close(says)
    over, patience = any_of(child.exited, called_off), loop.time() + _PATIENCE
    try:
        while True:
            why = _read(said)
            if over.done or why or loop.time() > patience:
                raise StartError(why or "bubblewrap did not build the container's namespaces", 126)
            if first := _first_process(child.pid):
                return Cell(first, pipe)
            await loop.within(over, _LOOK_AGAIN)
    except BaseException:
        os.close(pipe)
        children.kill_command(child)
        raise
    finally:
        os.close(said)


def _builder(plan: ContainerPlan) -> Command:
    """Return bubblewrap as the container's user, but without its environment."""
    return Command(
        [*plan["cell"], *_HOLD],
        env={},
        cwd="/",
        uid=plan["uid"],
        gid=plan["gid"],
        groups=plan["groups"],
        # The first process inherits the orphans of the others; so the kernel reaps them for it.
        ignored=[signal.SIGCHLD],
    )


def _first_process(builder: int) -> int:
    """Return the process that holds the cell of ``builder``, 0 as long as it is not built."""
    for pid, process in linux.process_table().items():
        if process.parent == builder and _is_built(pid):
            return pid
    return 0


def _is_built(pid: int) -> bool:
    """Whether the process has its own root, known by the /proc of its process namespace there."""
    try:
        return os.stat(f"/proc/{pid}/root/proc").st_dev != os.stat("/proc").st_dev
    except OSError:  # it has no such folder while it builds, or has ended
        return False


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC)


def _read(said: int) -> str:
    try:
        return os.read(said, 4096).decode(errors="replace").strip()
    except BlockingIOError:
        return ""
