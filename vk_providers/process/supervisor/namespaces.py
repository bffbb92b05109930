"""A container's own namespaces: built and held by bubblewrap, entered by each of its commands.

`container` opens a cell for each run (`create_namespaces`); `spawn` enters it for the container's process
and for every later command, so each of them is a session of its own inside, with its terminal.

The surprising part: the first process of a cell is bubblewrap itself, built up and then kept from
executing anything, since it reads a pipe that nobody writes. So it needs no program of the image
and sees nothing of the container's environment. When the pipe ends, by `ContainerNamespaces.close` or with the
supervisor, that process ends and the kernel kills all others in the cell.
"""

from __future__ import annotations

import errno
import os
import signal

from . import linux
from .beneath import open_beneath
from .loop import any_of
from .spawn import Command, StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .children import Child, Children
    from .loop import EventLoop, LoopFuture
    from .plan import ContainerPlanJson

__all__ = ["ContainerNamespaces", "create_namespaces"]

_HOLD = ("--as-pid-1", "--block-fd", "0", "--", "/")
"""Wait for the end of stdin; then a folder cannot be executed, which is the end."""
_NAMESPACES = ("mnt", "uts", "ipc", "pid")
_PATIENCE = 60.0
"""Seconds; bubblewrap takes some milliseconds, unless a file system does not answer."""
_LOOK_AGAIN = 0.005
"""Seconds; bubblewrap tells nobody that it is ready, and is so within a few of these."""


class ContainerNamespaces:
    """The namespaces of one run of a container."""

    def __init__(self, first: int, pipe: int) -> None:
        """``first`` is the process that holds them, for as long as ``pipe`` is open.

        Raises OSError where it has ended, and then ``pipe`` is closed.
        """
        # Open files, since the process and its id may be gone when they are needed.
        self._files = [pipe]
        try:
            self._files.append(os.open(f"/proc/{first}/root", os.O_PATH | os.O_CLOEXEC))
            for name in _foreign(first):
                path = f"/proc/{first}/ns/{name}"
                self._files.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            self.close()
            raise

    def enter(self) -> None:
        """Bring this process inside, of the process namespace only what it forks; raises OSError.

        It must be the user of the container already, and have one thread.
        """
        if not self._files:
            raise OSError(errno.ESRCH, "the container has ended")
        _, root, *namespaces = self._files
        for namespace in namespaces:
            linux.set_namespace(namespace)
        os.fchdir(root)
        os.chroot(".")

    def close(self) -> None:
        """End everything inside."""
        for fd in self._files:
            os.close(fd)
        self._files = []


async def create_namespaces(
    loop: EventLoop, children: Children, plan: ContainerPlanJson, called_off: LoopFuture
) -> ContainerNamespaces | None:
    """Build the cell of a container, None for one that has none.

    Raises StartError, and nothing is left, where that fails or is called off.
    """
    if not plan["namespaces"]:
        return None
    held, pipe = os.pipe()
    said, says = os.pipe()
    os.set_blocking(said, False)
    child, first = None, 0
    try:
        try:
            child = children.start(plan["name"], _builder(plan), (held, says, says))
        finally:
            os.close(held)
            os.close(says)
        first = await _built(loop, child, said, called_off)
    finally:
        os.close(said)
        if not first:
            os.close(pipe)
            if child is not None:
                children.kill_command(child)
    try:
        namespaces = ContainerNamespaces(first, pipe)
    except OSError as error:
        children.kill_command(child)
        raise StartError(f"{plan['namespaces'][0]} ended: {error.strerror}", 126) from error
    try:
        _check_confined(plan, first)
    except StartError:
        namespaces.close()
        raise
    return namespaces


def _check_confined(plan: ContainerPlanJson, first: int) -> None:
    """Raise StartError where a mount shows another place than it should.

    Bubblewrap follows links, and containers can make links in their volumes, at any moment: so what
    was mounted is compared, while nothing runs in the cell yet.
    """
    for folder, path, place in plan["confined_mounts"]:
        try:
            wanted = open_beneath(folder, path)
            try:
                same = os.path.samestat(os.fstat(wanted), os.stat(f"/proc/{first}/root{place}"))
            finally:
                os.close(wanted)
        except OSError as error:
            raise StartError(f"subPath {path!r} of {place}: {error.strerror}", 126) from error
        if not same:
            raise StartError(f"subPath {path!r} of {place}: a link leads out of the volume", 126)


async def _built(loop: EventLoop, builder: Child, said: int, called_off: LoopFuture) -> int:
    """Return the process that holds the cell once it is built; raises StartError."""
    over, patience = any_of(builder.exited, called_off), loop.time() + _PATIENCE
    while not (why := _read(said)) and not over.done and loop.time() < patience:
        if first := _first_process(builder.pid):
            return first
        await loop.within(over, _LOOK_AGAIN)
    raise StartError(why or "bubblewrap did not build the container's namespaces", 126)


def _builder(plan: ContainerPlanJson) -> Command:
    """Return bubblewrap as the container's user, but without its environment."""
    return Command(
        [*plan["namespaces"], *_HOLD],
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


def _foreign(first: int) -> tuple[str, ...]:
    """Return the names of the namespaces to enter: that of users first, where it is another one."""
    same = os.readlink("/proc/self/ns/user") == os.readlink(f"/proc/{first}/ns/user")
    return _NAMESPACES if same else ("user", *_NAMESPACES)


def _read(said: int) -> str:
    try:
        return os.read(said, 4096).decode(errors="replace").strip()
    except BlockingIOError:
        return ""
