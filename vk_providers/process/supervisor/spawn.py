"""Starts one process: its session, streams, user, and termination with the supervisor.

In: a `Command` and the descriptors of its three streams. Out: the PID of a process that has
executed the command, or a StartError. Ordinary Python runs between fork and exec, which is safe
because the supervisor has a single thread.

A command in namespaces needs two forks, since only a forked process enters a PID namespace. The
first one exits at once, and the supervisor, as the subreaper, becomes the parent of the second.
Nothing may be imported after entering, since the files are the container's.
"""

from __future__ import annotations

import fcntl
import os
import signal
import termios
import warnings as _  # noqa: F401 # execvpe would import it in each fork, from the container's files

from . import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .namespaces import ContainerNamespaces

__all__ = ["Command", "StartError", "spawn"]

_DEFAULTS = (
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGCHLD,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
)
"""Signals whose handling may differ in the supervisor, its interpreter or its parent."""


class Command:
    """A command with environment, folder and user; ``uid``/``gid`` None: the supervisor's.

    ``ignored`` are signals that it ignores from the start. Commands in namespaces end with them,
    others with the supervisor.
    """

    __slots__ = ("argv", "cwd", "env", "gid", "groups", "ignored", "namespaces", "uid")

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        uid: int | None = None,
        gid: int | None = None,
        groups: Sequence[int] = (),
        ignored: Sequence[int] = (),
        namespaces: ContainerNamespaces | None = None,
    ) -> None:
        self.argv = list(argv)
        self.env = dict(env)
        self.cwd = cwd
        self.uid = uid
        self.gid = gid
        self.groups = list(groups)
        self.ignored = ignored
        self.namespaces = namespaces


class StartError(Exception):
    """The command could not be executed; ``exit_code`` is that of a shell."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def spawn(command: Command, streams: tuple[int, int, int], *, terminal: bool) -> int:
    """Execute ``command`` with ``streams`` as its stdin, stdout and stderr; return its PID.

    With ``terminal`` the first stream is a terminal and becomes the controlling one. Raises
    StartError, and nothing runs, where a step before or the execution itself fails.
    """
    read_end, write_end = os.pipe()
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(read_end)
        os.close(write_end)
        raise StartError(f"cannot fork: {error.strerror}", 126) from error
    if pid == 0:
        _become(command, streams, parent=parent, terminal=terminal, report=write_end)
    os.close(write_end)
    with open(read_end, "rb") as file:
        report = file.read()  # EOF when the command is executed or its process has exited
    results = dict(
        line.split(" ", 1) for line in report.decode(errors="replace").split("\n") if line
    )
    if command.namespaces is not None:
        os.waitpid(pid, 0)
        pid = int(results.get("inside", 0))
    if "error" not in results and pid:
        return pid
    if pid:
        os.waitpid(pid, 0)
    exit_code, text = results.get("error", "126 it exited before it entered the namespaces").split(
        " ", 1
    )
    raise StartError(text, int(exit_code))


def _become(
    command: Command, streams: tuple[int, int, int], *, parent: int, terminal: bool, report: int
) -> None:
    """Become the command in the forked process; never returns."""
    step = "start"
    try:
        if command.namespaces is not None:
            step = "enter the container"
            _enter(command, command.namespaces, report)
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number, inheritable=True)
        if terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.set_wakeup_fd(-1)
        for each in _DEFAULTS:
            signal.signal(each, signal.SIG_IGN if each in command.ignored else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(0o022)
        step = f"working directory {command.cwd!r}"
        os.chdir(command.cwd)
        if command.namespaces is None:
            step = f"user {command.uid}, group {command.gid}"
            _change_user(command)
            linux.die_with_parent(signal.SIGKILL)
            if os.getppid() != parent:  # the supervisor exited before the signal was set
                os._exit(127)
        step = f"exec {command.argv[0]!r}"
        os.execvpe(command.argv[0], command.argv, command.env)
    except BaseException as error:  # noqa: BLE001 # this fork must not continue
        _write_report(report, step, error)
    os._exit(127)


def _enter(command: Command, namespaces: ContainerNamespaces, report: int) -> None:
    """Continue as a fork in the namespaces, as the container's user; this process exits."""
    linux.hide()  # the supervisor's memory must not be readable in there
    linux.keep_rights()  # as bubblewrap does for its command
    _change_user(command)
    namespaces.enter()
    inside = os.fork()
    if inside:
        os.write(report, f"inside {inside}\n".encode())
        os._exit(0)


def _change_user(command: Command) -> None:
    if command.uid is None and command.gid is None:
        return
    if os.geteuid() == 0:
        os.setgroups(command.groups)
    if command.gid is not None:
        os.setgid(command.gid)
    if command.uid is not None:
        os.setuid(command.uid)


def _write_report(report: int, step: str, error: BaseException) -> None:
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    text = error.strerror if isinstance(error, OSError) else repr(error)
    os.write(report, f"error {127 if missing else 126} {step}: {text}\n".encode())
