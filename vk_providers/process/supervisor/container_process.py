"""One run of a container: its process, streams, log and exit.

`container` creates one for each start. `ContainerProcess.ended` is set to exit code and signal once
the log is complete and every process of the run is gone. Attached sessions receive the output
(`OutputTap`) and can slow it down, for a time that is limited by the session (`sessions`).
"""

from __future__ import annotations

from .children import exit_code_of
from .frames import CHUNK, STDERR, STDOUT
from .loop import LoopFuture
from .pipes import OutputReader, StdinWriter, open_streams, resize
from .spawn import Command, StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from .children import Child, Children
    from .deadline import Deadline
    from .log_file import LogFile
    from .loop import EventLoop
    from .namespaces import ContainerNamespaces
    from .plan import ContainerPlanJson

    class OutputTap(Protocol):
        """A receiver of the container's output, such as an attached session."""

        def room(self, stream: int) -> int:
            """Return how many bytes of the stream it can receive now."""

        def take(self, stream: int, chunk: bytes) -> None:
            """Receive a piece, not longer than `room`."""

        def container_ended(self, exit_code: int, signal: int) -> None:
            """Handle the exit of the container."""


__all__ = ["ContainerProcess", "command_of"]

_NAMES = {STDOUT: "stdout", STDERR: "stderr"}


class ContainerProcess:
    """A started container. The constructor raises StartError where it cannot start.

    It runs in ``namespaces``, if given, which are closed at its end.
    """

    def __init__(
        self,
        loop: EventLoop,
        children: Children,
        plan: ContainerPlanJson,
        log: LogFile,
        namespaces: ContainerNamespaces | None = None,
    ) -> None:
        self._loop = loop
        self._children = children
        self.plan = plan
        self.log = log
        self.namespaces = namespaces
        self.output_taps: list[OutputTap] = []
        self.deadline: Deadline | None = None
        """Set once the container is being stopped."""
        self.ended = LoopFuture()
        streams = open_streams(stdin=plan["stdin"], terminal=plan["tty"])
        try:
            self.child: Child = children.start(
                plan["name"],
                command_of(plan, plan["argv"], namespaces, terminal=plan["tty"]),
                streams.childs,
                terminal=plan["tty"],
            )
        except StartError:
            streams.close()
            self._end_all()
            raise
        finally:
            streams.close_childs()
        self._terminal = streams.stdout if plan["tty"] else -1
        self.stdin_writer = (
            StdinWriter(loop, streams.stdin, terminal=plan["tty"]) if plan["stdin"] else None
        )
        self._readers = {STDOUT: self._reader(STDOUT, streams.stdout)}
        if streams.stderr >= 0:
            self._readers[STDERR] = self._reader(STDERR, streams.stderr)
        loop.task(self._finish())

    def resume(self) -> None:
        """Continue reading after a tap has room again or was removed."""
        for outlet in self._readers.values():
            outlet.resume()

    def resize(self, width: int, height: int) -> None:
        """Set the size of the container's terminal, if it has an open one."""
        if self._terminal >= 0 and not self._readers[STDOUT].ended.done:
            resize(self._terminal, width, height)

    def _reader(self, stream: int, fd: int) -> OutputReader:
        def room() -> int:
            return min((tap.room(stream) for tap in self.output_taps), default=CHUNK)

        def take(chunk: bytes) -> None:
            self.log.write(_NAMES[stream], chunk)
            for tap in list(self.output_taps):
                tap.take(stream, chunk)

        return OutputReader(self._loop, fd, room=room, take=take)

    def _end_all(self) -> None:
        self._children.kill(self.plan["name"])
        if self.namespaces is not None:
            self.namespaces.close()

    async def _finish(self) -> None:
        status = await self.child.exited
        await self._let_rest_end()
        self._end_all()
        for outlet in self._readers.values():
            outlet.finish()
        for outlet in self._readers.values():
            await outlet.ended
        if self.stdin_writer is not None:
            self.stdin_writer.close()
        self.log.close()
        exit_code, signal = exit_code_of(status)
        for tap in list(self.output_taps):
            tap.container_ended(exit_code, signal)
        self.ended.set((exit_code, signal))

    async def _let_rest_end(self) -> None:
        """Wait for the descendants of the main process, within the grace period of a stop.

        After an exit without a stop, or in a PID namespace, all processes are killed at once.
        """
        if self.namespaces is not None:
            return
        while self.deadline is not None and self._children.members_of(self.child):
            if not await self.deadline.wait(self._children.next_end()):
                return


def command_of(
    plan: ContainerPlanJson,
    argv: list[str],
    namespaces: ContainerNamespaces | None,
    *,
    terminal: bool = False,
) -> Command:
    """Return ``argv`` as a command with the container's namespaces, environment and user."""
    term = {"TERM": "xterm"} if terminal else {}  # as container runtimes do
    return Command(
        argv,
        env={**term, **plan["env"]},
        cwd=plan["cwd"],
        uid=plan["uid"],
        gid=plan["gid"],
        groups=plan["groups"],
        namespaces=namespaces,
    )
