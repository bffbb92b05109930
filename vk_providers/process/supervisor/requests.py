"""Handles the requests of one client: stop, signal, exec, attach, and their sessions.

`clients.Client` makes one for each connection, hands it requests and the frames of the sessions,
and closes it with the connection. Output is sent with ``send``.
"""

from __future__ import annotations

import signal

from . import frames
from .container_process import command_of
from .frames import ProtocolError
from .sessions import AttachedClient, ExecCommand, SessionChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .children import Children
    from .container_process import ContainerProcess
    from .loop import EventLoop
    from .pod import SupervisedPod
    from .sessions import Session
    from .status import Json, StatusJournal

__all__ = ["RequestHandler"]


class RequestHandler:
    """Handles the requests of one client."""

    def __init__(
        self,
        loop: EventLoop,
        pod: SupervisedPod,
        children: Children,
        journal: StatusJournal,
        send: Callable[[bytes], None],
    ) -> None:
        self._loop = loop
        self._pod = pod
        self._children = children
        self._journal = journal
        self._send = send
        self._sessions: dict[int, Session] = {}
        self._services: dict[str, Callable[[Json], Json]] = {
            "status": lambda _: journal.report(),
            "stop": self._stop,
            "signal": self._signal,
            "processes": self._processes,
            "exec": self._exec,
            "attach": self._attach,
            "resize": self._resize,
            "close": self._close_session,
        }

    def answer(self, request: Json) -> Json:
        """Handle a request; raises LookupError, ValueError or TypeError for a malformed one."""
        service = self._services[request["do"]]
        try:
            return {"id": request["id"], "answer": service(request)}
        except _Refused as refused:
            return {"id": request["id"], "error": str(refused)}

    def take(self, kind: int, channel: int, body: bytes) -> None:
        """Handle a frame of a session; raises ProtocolError."""
        session = self._sessions.get(channel)
        if session is None:  # it ended while the frame was in flight
            return
        if kind == frames.CREDIT:
            session.channel.allow(body)
            session.resume()
        elif kind != frames.STDIN:
            raise ProtocolError(f"unexpected stream {kind} from a client")
        elif body:
            session.feed(body)
        else:
            session.end_input()

    def close(self) -> None:
        """Drop a closed client."""
        for session in list(self._sessions.values()):
            session.close()
        self._sessions.clear()

    def _stop(self, request: Json) -> Json:
        self._pod.stop(float(request["grace_period"]))
        return self._journal.report()

    def _signal(self, request: Json) -> Json:
        run, number = self._run_of(request["container"]), int(request["signal"])
        if number not in signal.valid_signals():
            raise ValueError(f"signal {number}")
        self._children.signal(run.child, number)
        return {}

    def _processes(self, request: Json) -> Json:
        children = self._children
        return {name: children.members(name) for name in self._pod.containers}

    def _exec(self, request: Json) -> Json:
        run, number, tty = self._run_of(request["container"]), _channel(request), request["tty"]
        command = command_of(run.plan, list(request["argv"]), run.namespaces, terminal=bool(tty))
        command.env.update(request["env"])
        session = ExecCommand(
            self._loop,
            self._children,
            owner=run.plan["name"],
            command=command,
            channel=SessionChannel(number, self._send),
            stdin=bool(request["stdin"]),
            tty=bool(tty),
            size=(int(request["width"]), int(request["height"])),
            over=lambda: self._forget(number),
        )
        self._sessions[number] = session
        return {"tty": bool(tty)}

    def _attach(self, request: Json) -> Json:
        run, number = self._run_of(request["container"]), _channel(request)
        self._sessions[number] = AttachedClient(
            self._loop,
            run,
            channel=SessionChannel(number, self._send),
            stdin=bool(request["stdin"]),
            over=lambda: self._forget(number),
        )
        return {"tty": run.plan["tty"]}

    def _run_of(self, name: str) -> ContainerProcess:
        container = self._pod.containers.get(name)
        run = container.run if container is not None else None
        if run is None or run.child.exited.done:
            raise _Refused(f"container {name} is not running")
        return run

    def _resize(self, request: Json) -> Json:
        session = self._sessions.get(request["channel"])
        if session is not None:
            session.resize(int(request["width"]), int(request["height"]))
        return {}

    def _close_session(self, request: Json) -> Json:
        session = self._sessions.pop(request["channel"], None)
        if session is not None:
            session.close()
        return {}

    def _forget(self, number: int) -> None:
        self._sessions.pop(number, None)


def _channel(request: Json) -> int:
    number = int(request["channel"])
    if not 0 < number < 2**32:
        raise ValueError(f"channel {number}")
    return number


class _Refused(Exception):
    """A well-formed request that cannot be fulfilled; the message is the reason."""
