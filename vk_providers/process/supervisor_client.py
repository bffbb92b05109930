"""The link from vk to the supervisor of one pod.

The provider calls `start_supervisor` for a new pod and `connect` after a restart of vk; it follows
`SupervisorClient.changes` and `SupervisorClient.events`, and uses the link for stop, exec and attach. Any number of links
to one supervisor may be open. The link runs no task: what comes in is handled as it comes.

The surprising part: a supervisor ends by itself when its pod has ended. `SupervisorClient.changes` then yields
the last report and ends; a supervisor that was killed raises LinkClosed instead.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

import vk
from vk_providers.process import supervisor
from vk_providers.process.plan import PodPlan
from vk_providers.process.protocol import PodEvent, Report, SessionExit, is_running, last_report
from vk_providers.process.supervisor.start import RAN_BEFORE, RUNS_ALREADY, STARTED
from vk_providers.process.supervisor_connection import SupervisorConnection
from vk_providers.process.supervisor_session import SupervisorDisconnected, SupervisorSession

__all__ = ["SupervisorClient", "SupervisorDisconnected", "connect", "start_supervisor"]

_PROGRAM = Path(supervisor.__file__).parent
_EVENTS = 100


@attrs.define(eq=False)
class SupervisorClient:
    """A connection to a supervisor. `connect` makes it; close it with `close`."""

    folder: Path
    _connection: SupervisorConnection = attrs.field(init=False)
    _sessions: dict[int, SupervisorSession] = attrs.field(factory=dict, init=False)
    _report: Report | None = attrs.field(default=None, init=False)
    _events: deque[PodEvent] = attrs.field(factory=lambda: deque(maxlen=_EVENTS), init=False)
    _news: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._connection = SupervisorConnection(self._take_note, self._take_frame, self._lose)

    async def status(self) -> Report:
        """Return how the pod is now. Raises LinkClosed."""
        return Report(await self._connection.request({"do": "status"}))

    async def changes(self) -> AsyncGenerator[Report, None]:
        """Yield how the pod is now, then each change; what comes faster than it is read is folded.

        Ends after the report that says that the pod has ended; raises LinkClosed where the
        supervisor, or this link, ended before.
        """
        told: Report | None = None
        while True:
            news = self._news
            if self._report is not None and self._report is not told:
                told = self._report
                yield told
                if told.ended:
                    return
            elif self.closed:
                if (final := self._final()) is not None:
                    yield final
                    return
                raise SupervisorDisconnected("the supervisor ended before its pod")
            else:
                await news.wait()

    async def events(self, after: int = 0) -> AsyncGenerator[PodEvent, None]:
        """Yield the events above ``after``, then each new one; ends with either side.

        A supervisor keeps the last 100, in its file too.
        """
        while True:
            news = self._news
            for event in [each for each in self._events if each.sequence > after]:
                after = event.sequence
                yield event
            if self.closed:
                break
            if news is self._news:
                await news.wait()
        for event in (last_report(self.folder) or (None, ()))[1]:
            if event.sequence > after:
                yield event

    async def stop(self, grace_period: float) -> Report:
        """Ask the pod to end within ``grace_period`` seconds, and return how it is; never waits.

        A later call can only shrink the grace period; 0 kills at once. Raises LinkClosed.
        """
        return Report(await self._connection.request({"do": "stop", "grace_period": grace_period}))

    async def signal(self, container: str, number: int) -> None:
        """Send a signal to every process of a container. Raises LinkClosed."""
        await self._connection.request({"do": "signal", "container": container, "signal": number})

    async def processes(self) -> Mapping[str, Sequence[int]]:
        """Return the ids of the processes of each container, for stats. Raises LinkClosed."""
        return await self._connection.request({"do": "processes"})

    async def exec(
        self,
        container: str,
        command: Sequence[str],
        *,
        tty: bool = False,
        stdin: bool = False,
        env: Mapping[str, str] | None = None,
        size: tuple[int, int] = (0, 0),
    ) -> SupervisorSession:
        """Run a command in a container, with ``env`` added to the container's environment.

        ``size`` is the width and height that a terminal has from the start.

        A command that cannot be found or executed is a session that ends with 127 or 126 and says
        why on stderr. The command ends with its session, and the session with the link. Raises
        TemporaryError where the container does not run, LinkClosed without a supervisor.
        """
        request = {"argv": list(command), "env": dict(env or {}), "tty": tty, "stdin": stdin}
        request |= {"width": size[0], "height": size[1]}
        return await self._open({"do": "exec", "container": container, **request})

    async def attach(self, container: str, *, stdin: bool = False) -> SupervisorSession:
        """Join the streams of a container's own process; what it said before is in its log.

        Raises TemporaryError where the container does not run, LinkClosed without a supervisor.
        """
        return await self._open({"do": "attach", "container": container, "stdin": stdin})

    def close(self) -> None:
        """Close the connection: its sessions end, the pod goes on."""
        self._connection.close()

    @property
    def closed(self) -> bool:
        """Whether the connection is gone."""
        return self._connection.closed

    async def open(self) -> None:
        """Connect, and ask for everything that changes; raises OSError."""
        # The path of a socket may have 107 bytes only; this one is short for any folder.
        descriptor = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
        try:
            path = f"/proc/self/fd/{descriptor}/supervisor.sock"
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: self._connection, path)
        finally:
            os.close(descriptor)
        self._connection.send_request({"do": "watch", "after": 0})

    def _take_note(self, message: Mapping[str, Any]) -> None:
        if message["note"] == "status":
            self._report = Report(message["status"])
            self._wake()
        elif message["note"] == "event":
            self._events.append(PodEvent.from_json(message["event"]))
            self._wake()
        elif (session := self._sessions.pop(message["channel"], None)) is not None:
            session.finish(SessionExit(message["exit_code"], message["signal"], message["message"]))

    def _take_frame(self, kind: int, channel: int, content: bytes) -> None:
        if (session := self._sessions.get(channel)) is not None:
            session.take(kind, content)

    def _lose(self) -> None:
        for session in self._sessions.values():
            session.finish(None)
        self._sessions.clear()
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _final(self) -> Report | None:
        """Return the report of a pod that ended, where the file has it and the link missed it."""
        found = last_report(self.folder)
        return found[0] if found is not None and found[0].ended else None

    async def _open(self, request: dict[str, Any]) -> SupervisorSession:
        channel = self._connection.number()
        session = SupervisorSession(channel, self._connection.send, self._connection.send_request)
        self._sessions[channel] = session
        try:
            answer = await self._connection.request({**request, "channel": channel})
        except BaseException:  # also when cancelled: the command may have started
            session.close()
            self._sessions.pop(channel, None)
            raise
        session.tty = answer["tty"]
        return session


async def start_supervisor(
    folder: Path, plan: PodPlan, *, wrap: Sequence[str] = ()
) -> SupervisorClient:
    """Start the pod of ``plan`` in ``folder`` and connect; a pod that runs there is left alone.

    ``wrap`` stands before the supervisor's command, so that all of the pod runs in a namespace.

    The pod then runs whatever becomes of this process. Safe to repeat. A pod that ends before it
    can be connected to gives a link that is closed already and has the last report. Raises
    PermanentError where the folder's pod ran before, TemporaryError where the supervisor does not
    start.
    """
    if not is_running(folder):
        _write_plan(folder, plan)
        process = await asyncio.create_subprocess_exec(
            *(*wrap, sys.executable, "-I", "-S", str(_PROGRAM), str(folder)),
            env={},
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        _, said = await process.communicate()
        if process.returncode == RAN_BEFORE:
            raise vk.PermanentError(f"pod {plan.key} ran before", reason="SupervisorLost")
        if process.returncode not in (STARTED, RUNS_ALREADY):
            raise vk.TemporaryError(f"the supervisor of {plan.key} did not start: {_why(said)}")
    try:
        return await connect(folder)
    except (vk.NotFoundError, vk.TemporaryError):
        if (found := last_report(folder)) is not None and found[0].ended:
            return SupervisorClient(folder)
        raise


async def connect(folder: Path) -> SupervisorClient:
    """Return a link to the supervisor of the folder's pod.

    Raises NotFoundError where none runs (`wire.last_report` has what it said last), TemporaryError
    where it is just starting or ending.
    """
    client = SupervisorClient(folder)
    try:
        await client.open()
    except OSError as error:
        if is_running(folder):
            raise vk.TemporaryError(f"the supervisor in {folder} cannot be reached") from error
        raise vk.NotFoundError(f"no supervisor runs in {folder}") from error
    return client


def _write_plan(folder: Path, plan: PodPlan) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "plan.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(plan.to_json(), file)


def _why(said: bytes) -> str:
    return said.decode(errors="replace").strip().rpartition("\n")[2] or "it said nothing"
