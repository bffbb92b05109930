"""The client of one pod's supervisor.

The provider calls `start_supervisor` for a new pod and `connect` after a restart of vk; it follows
`SupervisorClient.changes` and `SupervisorClient.events`, and uses the client for stop, exec and
attach. Any number of clients can be connected. A client runs no task: input is handled as it
arrives.

A supervisor exits when its pod has ended: `SupervisorClient.changes` then yields the last report
and ends. A killed supervisor raises SupervisorDisconnected instead.
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
        """Return the current status. Raises SupervisorDisconnected."""
        return Report(await self._connection.request({"do": "status"}))

    async def changes(self) -> AsyncGenerator[Report, None]:
        """Yield the current status, then the newest one after each change.

        Ends after the report of a pod that has ended; raises SupervisorDisconnected where the
        supervisor, or this connection, ended before.
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
                raise SupervisorDisconnected("the supervisor exited before its pod ended")
            else:
                await news.wait()

    async def events(self, after: int = 0) -> AsyncGenerator[PodEvent, None]:
        """Yield events with a sequence above ``after``; ends with the connection.

        A supervisor keeps the last 100 events, also in its file.
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
        """Stop the pod within ``grace_period`` seconds; return its status without waiting.

        Later calls can only shorten the grace period; 0 kills at once. Raises
        SupervisorDisconnected.
        """
        return Report(await self._connection.request({"do": "stop", "grace_period": grace_period}))

    async def signal(self, container: str, number: int) -> None:
        """Send a signal to all processes of a container. Raises SupervisorDisconnected."""
        await self._connection.request({"do": "signal", "container": container, "signal": number})

    async def processes(self) -> Mapping[str, Sequence[int]]:
        """Return the PIDs of each container. Raises SupervisorDisconnected."""
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

        ``size`` is the initial width and height of a terminal.

        For a command that cannot be found or executed, the session ends with 127 or 126 and an
        error on stderr. The command ends with its session, the session with the connection. Raises
        TemporaryError where the container is not running, SupervisorDisconnected without a
        supervisor.
        """
        request = {"argv": list(command), "env": dict(env or {}), "tty": tty, "stdin": stdin}
        request |= {"width": size[0], "height": size[1]}
        return await self._open({"do": "exec", "container": container, **request})

    async def attach(self, container: str, *, stdin: bool = False) -> SupervisorSession:
        """Attach to the streams of a container's main process; earlier output is in its log.

        Raises TemporaryError where the container is not running, SupervisorDisconnected without a
        supervisor.
        """
        return await self._open({"do": "attach", "container": container, "stdin": stdin})

    def close(self) -> None:
        """Close the connection: its sessions end, the pod keeps running."""
        self._connection.close()

    @property
    def closed(self) -> bool:
        """Whether the connection is closed."""
        return self._connection.closed

    async def open(self) -> None:
        """Connect, and watch for changes; raises OSError."""
        # A socket path is limited to 107 bytes; /proc/self/fd keeps it short.
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
        """Return the report of an ended pod from the file, where the connection missed it."""
        found = last_report(self.folder)
        return found[0] if found is not None and found[0].ended else None

    async def _open(self, request: dict[str, Any]) -> SupervisorSession:
        channel = self._connection.number()
        session = SupervisorSession(channel, self._connection.send, self._connection.send_request)
        self._sessions[channel] = session
        try:
            answer = await self._connection.request({**request, "channel": channel})
        except BaseException:  # also when cancelled: the command may have been started
            session.close()
            self._sessions.pop(channel, None)
            raise
        session.tty = answer["tty"]
        return session


async def start_supervisor(
    folder: Path, plan: PodPlan, *, wrap: Sequence[str] = ()
) -> SupervisorClient:
    """Start the pod of ``plan`` in ``folder``, unless it runs there already, and connect.

    ``wrap`` is a command prefix for the supervisor, so that the whole pod runs in a namespace.

    The pod outlives this process. Idempotent. For a pod that ended before the connection, the
    client is closed and has the last report. Raises PermanentError where the pod of this folder ran
    before, TemporaryError where the supervisor does not start.
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
        _, stderr = await process.communicate()
        if process.returncode == RAN_BEFORE:
            raise vk.PermanentError(f"pod {plan.key} ran before", reason="SupervisorLost")
        if process.returncode not in (STARTED, RUNS_ALREADY):
            raise vk.TemporaryError(f"the supervisor of {plan.key} did not start: {_why(stderr)}")
    try:
        return await connect(folder)
    except (vk.NotFoundError, vk.TemporaryError):
        if (found := last_report(folder)) is not None and found[0].ended:
            return SupervisorClient(folder)
        raise


async def connect(folder: Path) -> SupervisorClient:
    """Connect to the supervisor of the pod in ``folder``.

    Raises NotFoundError where none is running (see `protocol.last_report`), TemporaryError where it
    is just starting or exiting.
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


def _why(stderr: bytes) -> str:
    return stderr.decode(errors="replace").strip().rpartition("\n")[2] or "no error output"
