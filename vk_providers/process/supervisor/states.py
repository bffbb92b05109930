"""Container states in Kubernetes' format, and termination messages.

Used by `container`.
"""

from __future__ import annotations

import errno
import os
import stat

from .log_file import last_lines
from .rules import termination_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from .log_file import LogFile
    from .plan import ContainerPlanJson
    from .status import Json

__all__ = ["empty_message", "go_duration", "read_message", "terminated", "waiting"]


def waiting(reason: str, message: str = "") -> Json:
    """Return a waiting state."""
    return {"waiting": {"reason": reason, "message": message}}


def terminated(
    exit_code: int,
    reason: str,
    message: str = "",
    *,
    signal: int = 0,
    started: str | None = None,
    finished: str | None = None,
) -> Json:
    """Return a terminated state."""
    return {
        "terminated": {
            "exitCode": exit_code,
            "signal": signal,
            "reason": reason,
            "message": message,
            "startedAt": started,
            "finishedAt": finished,
        }
    }


def go_duration(seconds: float) -> str:
    """Return whole seconds as the kubelet prints them: 10s, 1m20s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def empty_message(path: str | None) -> str:
    """Truncate the message file before a start; return the error, or an empty string."""
    if path is None:
        return ""
    try:
        with _open_message(path, os.O_WRONLY | os.O_CREAT) as file:
            file.truncate(0)
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""


def read_message(plan: ContainerPlanJson, log: LogFile, exit_code: int) -> str:
    """Return the termination message of a container that ended."""
    content, path = b"", plan["message_file"]
    if path is not None:
        try:
            with _open_message(path, os.O_RDONLY) as file:
                content = file.read(4096)
        except OSError:  # the container removed or replaced it
            content = b""
    end = last_lines(log.tail(16 * 1024), lines=80, size=2048)
    return termination_message(content, log=end, policy=plan["message_policy"], exit_code=exit_code)


def _open_message(path: str, flags: int) -> BinaryIO:
    """Open a message file, but no file that replaced it; raises OSError.

    A link could point to any file of this machine, and a FIFO would block the supervisor.
    """
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a FIFO without a reader
            raise OSError(errno.EINVAL, "not a regular file") from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file")
    return open(fd, "rb" if flags == os.O_RDONLY else "wb", buffering=0)
