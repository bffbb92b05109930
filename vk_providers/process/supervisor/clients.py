"""The supervisor's socket: its client connections, and status notifications.

`start` opens the `SupervisorServer`; the protocol is described in ``protocol.py`` of vk's side.
Requests are handled by `RequestHandler`. A client that violates the protocol or disconnects loses
its sessions, without other effects. Status notes are not queued: a slow client gets the newest one.
"""

from __future__ import annotations

import json
import os
import socket
from collections import deque

from . import frames
from .frames import ProtocolError
from .loop import LoopFuture
from .requests import RequestHandler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .children import Children
    from .loop import EventLoop
    from .pod import SupervisedPod
    from .status import Json, StatusJournal

__all__ = ["SupervisorServer"]

_FULL = 4 * 1024 * 1024
"""Unsent bytes above which no more requests are read from a client."""


class SupervisorServer:
    """Accepts clients on ``supervisor.sock`` in the current folder."""

    def __init__(
        self, loop: EventLoop, *, pod: SupervisedPod, children: Children, journal: StatusJournal
    ) -> None:
        self.loop = loop
        self.pod = pod
        self.children = children
        self.journal = journal
        self._clients: list[ClientConnection] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        if os.path.exists("supervisor.sock"):  # left by a failed start
            os.unlink("supervisor.sock")
        self._socket.bind("supervisor.sock")
        self._socket.listen(64)
        loop.on_readable(self._socket.fileno(), self._accept)
        journal.listeners.append(self._tell)

    async def flush(self, seconds: float) -> None:
        """Accept no more clients, and wait until the connected ones have read everything."""
        self.loop.on_readable(self._socket.fileno(), None)
        os.unlink("supervisor.sock")
        for client in list(self._clients):
            await self.loop.within(client.idle(), seconds)

    def forget(self, client: ClientConnection) -> None:
        """Drop a closed client."""
        if client in self._clients:
            self._clients.remove(client)

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:  # it disconnected before it was accepted
            return
        self._clients.append(ClientConnection(self, connection))

    def _tell(self) -> None:
        for client in list(self._clients):
            client.status_changed()


class ClientConnection:
    """One connection."""

    def __init__(self, server: SupervisorServer, connection: socket.socket) -> None:
        self._server = server
        self._loop = server.loop
        self._socket = connection
        self._frames = frames.Frames()
        self._out: deque[memoryview] = deque()
        self._unsent = 0
        self._sent_all = LoopFuture()
        self._sent_all.set()
        self._watches = False
        self._stale = False
        self._last_event = 0
        self._requests = RequestHandler(
            server.loop, server.pod, server.children, server.journal, self.send
        )
        self._closed = False
        connection.setblocking(False)
        self._loop.on_readable(connection.fileno(), self._read)

    def idle(self) -> LoopFuture:
        """Return a future that is set when everything is sent."""
        return self._sent_all

    def status_changed(self) -> None:
        """Notify a watching client, now or once earlier output is sent."""
        self._stale = self._watches
        self._tell()

    def send(self, content: bytes) -> None:
        """Send whole frames."""
        if self._closed:
            return
        self._out.append(memoryview(content))
        self._unsent += len(content)
        if self._sent_all.done:
            self._sent_all = LoopFuture()
            self._write()

    def _tell(self) -> None:
        if not self._stale or self._closed or not self._sent_all.done:
            return
        self._stale = False
        journal = self._server.journal
        notes = [
            frames.json_frame({"note": "event", "event": event})
            for event in journal.events
            if event["sequence"] > self._last_event
        ]
        if journal.events:
            self._last_event = journal.events[-1]["sequence"]
        notes.append(frames.json_frame({"note": "status", "status": journal.report()}))
        self.send(b"".join(notes))

    def _write(self) -> None:
        while self._out:
            content = self._out.popleft()
            try:
                sent = self._socket.send(content)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._close()
                return
            self._unsent -= sent
            if sent < len(content):
                self._out.appendleft(content[sent:])
                self._loop.on_writable(self._socket.fileno(), self._write)
                return
        self._loop.on_writable(self._socket.fileno(), None)
        self._loop.on_readable(self._socket.fileno(), self._read)
        self._sent_all.set()
        self._tell()

    def _read(self) -> None:
        if self._unsent > _FULL:
            self._loop.on_readable(self._socket.fileno(), None)
            return
        try:
            content = self._socket.recv(4 * frames.CHUNK)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        if not content:
            self._close()
            return
        try:
            for kind, channel, body in self._frames.feed(content):
                self._take(kind, channel, body)
        except ProtocolError as error:
            os.write(2, f"client disconnected: {error}\n".encode())
            self._close()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._loop.on_readable(self._socket.fileno(), None)
        self._loop.on_writable(self._socket.fileno(), None)
        self._socket.close()
        self._out.clear()
        self._sent_all.set()
        self._requests.close()
        self._server.forget(self)

    def _take(self, kind: int, channel: int, body: bytes) -> None:
        if self._closed:
            return
        if kind != frames.JSON:
            self._requests.take(kind, channel, body)
            return
        try:
            request = json.loads(body)
            self.send(frames.json_frame(self._answer(request)))
        except (ValueError, LookupError, TypeError) as error:
            raise ProtocolError(f"malformed request: {error!r}") from error

    def _answer(self, request: Json) -> Json:
        if request["do"] != "watch":
            return self._requests.answer(request)
        self._last_event = int(request["after"])
        self._watches = True
        self._loop.soon(self.status_changed)
        return {"id": request["id"], "answer": {}}
