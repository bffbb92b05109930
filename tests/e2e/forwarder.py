"""A port that leads to the API server while it is open; other connections are refused."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

import attrs


@attrs.define(eq=False)
class Forwarder:
    """A loopback port, taken at once; connections go to ``target`` between `open` and `cut`."""

    target: tuple[str, int]
    _listener: socket.socket = attrs.field(factory=socket.socket, init=False)
    _forwards: threading.Event = attrs.field(factory=threading.Event, init=False)
    _sockets: list[socket.socket] = attrs.field(factory=list, init=False)
    _listening: bool = attrs.field(default=False, init=False)

    def __enter__(self) -> Self:
        self._listener.bind(("127.0.0.1", 0))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def port(self) -> int:
        """The port; until `open` connections to it are refused."""
        port: int = self._listener.getsockname()[1]
        return port

    def open(self) -> None:
        """Forward from now on."""
        self._forwards.set()
        if not self._listening:
            self._listening = True
            self._listener.listen()
            threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close every connection, and new ones at once."""
        self._forwards.clear()
        while self._sockets:
            one = self._sockets.pop()
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                if not self._forwards.is_set():
                    near.close()
                    continue
                far = socket.create_connection(self.target)
                self._sockets += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
