"""A container's namespaces: created and held by bubblewrap, entered by each of its commands.

`container` creates namespaces for each run (`create_namespaces`); `spawn` enters them for the
container's process and for every later command, each in a session of its own with its terminal.

The first process in the namespaces is bubblewrap itself, which is blocked before it executes a
command, since it reads a pipe that is never written. So it needs no program of the image and does
not see the container's environment. When the pipe is closed, by `ContainerNamespaces.close` or at
the supervisor's exit, that process exits and the kernel kills all others in its PID namespace.
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
"""Wait for EOF of stdin; executing a folder then fails, which ends the process."""
_NAMESPACES = ("mnt", "uts", "ipc", "pid")
_PATIENCE = 60.0
"""Seconds; bubblewrap takes some milliseconds, unless a file system hangs."""
_LOOK_AGAIN = 0.005
"""Poll interval in seconds; bubblewrap does not signal that it is ready."""


class ContainerNamespaces:
    """The namespaces of one run of a container."""

    def __init__(self, first: int, pipe: int) -> None:
        """Open the namespaces of the process ``first``, which lives while ``pipe`` is open.

        Raises OSError, and closes ``pipe``, where it has ended.
        """
        # Descriptors, since the process may have ended when they are needed.
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
        """Enter the namespaces (the PID namespace for forked processes only); raises OSError.

        The process must run as the container's user already, and have one thread.
        """
        if not self._files:
            raise OSError(errno.ESRCH, "the container has ended")
        _, root, *namespaces = self._files
        for namespace in namespaces:
            linux.set_namespace(namespace)
        os.fchdir(root)
        os.chroot(".")

    def close(self) -> None:
        """End all processes in the namespaces."""
        for fd in self._files:
            os.close(fd)
        self._files = []


async def create_namespaces(
    loop: EventLoop, children: Children, plan: ContainerPlanJson, called_off: LoopFuture
) -> ContainerNamespaces | None:
    """Create the namespaces of a container; None for one that is not isolated.

    Raises StartError, and leaves nothing behind, where that fails or is called off.
    """
    if not plan["namespaces"]:
        return None
    held, pipe = os.pipe()
    stderr, stderr_write = os.pipe()
    os.set_blocking(stderr, False)
    child, first = None, 0
    try:
        try:
            child = children.start(plan["name"], _builder(plan), (held, stderr_write, stderr_write))
        finally:
            os.close(held)
            os.close(stderr_write)
        first = await _built(loop, child, stderr, called_off)
    finally:
        os.close(stderr)
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
    """Raise StartError where a mount is outside of its volume.

    bubblewrap follows symbolic links, and containers can create links in their volumes at any time:
    so the result is verified while no process runs in the namespaces yet.
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


async def _built(loop: EventLoop, builder: Child, stderr: int, called_off: LoopFuture) -> int:
    """Wait for the process that holds the namespaces, and return it; raises StartError."""
    over, patience = any_of(builder.exited, called_off), loop.time() + _PATIENCE
    while not (why := _read(stderr)) and not over.done and loop.time() < patience:
        if first := _first_process(builder.pid):
            return first
        await loop.within(over, _LOOK_AGAIN)
    raise StartError(why or "bubblewrap did not create the container's namespaces", 126)


def _builder(plan: ContainerPlanJson) -> Command:
    """Return the bwrap command, as the container's user, without its environment."""
    return Command(
        [*plan["namespaces"], *_HOLD],
        env={},
        cwd="/",
        uid=plan["uid"],
        gid=plan["gid"],
        groups=plan["groups"],
        # The first process inherits orphans; with SIGCHLD ignored the kernel reaps them.
        ignored=[signal.SIGCHLD],
    )


def _first_process(builder: int) -> int:
    """Return the process of ``builder`` that holds the namespaces, 0 until they are ready."""
    for pid, process in linux.process_table().items():
        if process.parent == builder and _is_built(pid):
            return pid
    return 0


def _is_built(pid: int) -> bool:
    """Return whether the process has its new root, recognised by its own /proc."""
    try:
        return os.stat(f"/proc/{pid}/root/proc").st_dev != os.stat("/proc").st_dev
    except OSError:  # not mounted yet, or the process has ended
        return False


def _foreign(first: int) -> tuple[str, ...]:
    """Return the namespaces to enter; the user namespace first, if it differs."""
    same = os.readlink("/proc/self/ns/user") == os.readlink(f"/proc/{first}/ns/user")
    return _NAMESPACES if same else ("user", *_NAMESPACES)


def _read(stderr: int) -> str:
    try:
        return os.read(stderr, 4096).decode(errors="replace").strip()
    except BlockingIOError:
        return ""
