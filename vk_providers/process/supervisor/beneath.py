"""Opens a path beneath a folder that containers can write, without leaving the folder.

In: a volume's folder and a path in it (a subPath). Out: an open file, which cannot be replaced any
more. Symbolic links that stay inside are followed, as by the kubelet; links that lead out are
rejected, since they would expose any file of this machine. `vk_providers.process.volumes` creates
folders with it, `namespaces` verifies the mounts of bubblewrap.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["open_beneath"]

_FOUND = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MADE = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_beneath(folder: str, path: str, made: Callable[[int], None] | None = None) -> int:
    """Return a descriptor of ``path`` beneath ``folder``; the caller closes it.

    With ``made``, missing folders are created, and it is called with a descriptor of each. Raises
    OSError, also for a link that leads out of the folder.
    """
    root = os.path.realpath(folder)
    found = os.path.relpath(os.path.realpath(os.path.join(root, path)), root)
    parts = [] if found == "." else found.split("/")
    if ".." in parts:
        raise OSError(errno.EXDEV, "a link leads out of the volume")
    file = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            inner = _open(file, part, made)
            os.close(file)
            file = inner
            if stat.S_ISLNK(os.fstat(file).st_mode):  # created in the meantime
                raise OSError(errno.ELOOP, "a link was created in the volume")
    except OSError:
        os.close(file)
        raise
    return file


def _open(folder: int, name: str, made: Callable[[int], None] | None) -> int:
    try:
        return os.open(name, _FOUND, dir_fd=folder)
    except FileNotFoundError:
        if made is None:
            raise
    os.mkdir(name, dir_fd=folder)
    file = os.open(name, _MADE, dir_fd=folder)
    try:
        made(file)
    except OSError:
        os.close(file)
        raise
    return file
