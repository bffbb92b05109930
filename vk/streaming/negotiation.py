"""Protocol negotiation of a streaming request. Pure: header values in, a choice or an error out.

Called by exec, attach and port-forward before anything is answered; the answers are those of the
kubelet: 400 for a request without a protocol, 403 with the list of supported protocols for a
request of others. The first of the client's protocols that is supported wins.

Over SPDY the protocols stand in ``X-Stream-Protocol-Version``, one a line or separated by commas; a
WebSocket without any gets the oldest one. Port-forward may request SPDY frames inside WebSocket
messages, as kubectl does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

import attrs

from vk.errors import VkError

__all__ = [
    "EXEC_SPDY",
    "EXEC_WEBSOCKET",
    "PORT_FORWARD_SPDY",
    "PORT_FORWARD_WEBSOCKET",
    "NegotiationError",
    "Protocol",
    "RequestedStreams",
    "StreamTransport",
    "choose_spdy",
    "choose_websocket",
    "requested_transport",
]

_REQUESTED = "X-Stream-Protocol-Version"
_ACCEPTED = "X-Accepted-Stream-Protocol-Versions"


class StreamTransport(Enum):
    """What a connection is upgraded to."""

    SPDY = "SPDY/3.1"
    WEBSOCKET = "websocket"


@attrs.frozen
class Protocol:
    """A negotiated protocol. ``name`` goes into the answer; empty: the client named none."""

    name: str
    version: int
    base64: bool = False
    tunnel: bool = False
    """SPDY frames inside binary WebSocket messages."""

    @property
    def closes_channels(self) -> bool:
        """Whether a WebSocket message can end one channel."""
        return self.version >= 5

    @property
    def resizes(self) -> bool:
        """Whether a client that requests a terminal also opens a SPDY stream for its size."""
        return self.version >= 3


def _versions(*versions: int) -> tuple[Protocol, ...]:
    names = {version: f"v{version}.channel.k8s.io" for version in versions} | {1: "channel.k8s.io"}
    return tuple(Protocol(names[version], version) for version in versions)


EXEC_SPDY = _versions(5, 4, 3, 2, 1)
"""Exec and attach over SPDY."""
EXEC_WEBSOCKET = (
    *_versions(5, 4, 1),
    Protocol("v4.base64.channel.k8s.io", 4, base64=True),
    Protocol("base64.channel.k8s.io", 1, base64=True),
    Protocol("", 1),
)
"""Exec and attach over WebSocket. Kubernetes has no base64 form of v5."""
PORT_FORWARD_SPDY = (Protocol("portforward.k8s.io", 1),)
PORT_FORWARD_WEBSOCKET = (
    Protocol("SPDY/3.1+portforward.k8s.io", 1, tunnel=True),
    Protocol("v4.channel.k8s.io", 4),
    Protocol("v4.base64.channel.k8s.io", 4, base64=True),
    Protocol("", 4),
)


class NegotiationError(VkError):
    """The request is refused with ``status``, this text and these headers."""

    def __init__(
        self, message: str, *, status: int, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = tuple(headers)


def requested_transport(connection: Sequence[str], upgrade: Sequence[str]) -> StreamTransport:
    """Return what the values of the headers Connection and Upgrade request.

    Raises NegotiationError (400) unless that is an upgrade to SPDY/3.1 or to WebSocket.
    """
    requested = {value.strip().lower() for value in upgrade}
    if any("upgrade" in value.lower() for value in connection):
        for transport in StreamTransport:
            if transport.value.lower() in requested:
                return transport
    raise NegotiationError(
        "unable to upgrade: expected an upgrade to SPDY/3.1 or to websocket", status=400
    )


def choose_spdy(values: Sequence[str], offered: Sequence[Protocol]) -> Protocol:
    """Return the protocol for the values of ``X-Stream-Protocol-Version``.

    Its name goes back in the same header. Raises NegotiationError: 400 without any, 403 with none
    that is offered.
    """
    requested = _listed(values)
    if not requested:
        raise NegotiationError(
            f"unable to upgrade: header {_REQUESTED} names no protocol", status=400
        )
    chosen = _first(requested, offered)
    if chosen is None:
        headers = [(_ACCEPTED, protocol.name) for protocol in offered]
        raise NegotiationError(_refusal(requested, offered), status=403, headers=headers)
    return chosen


def choose_websocket(values: Sequence[str], offered: Sequence[Protocol]) -> Protocol:
    """Return the protocol for the values of ``Sec-WebSocket-Protocol``.

    Its name goes back in the same header, unless it is empty. Raises NegotiationError (403) when
    none is offered.
    """
    requested = _listed(values) or [""]
    chosen = _first(requested, offered)
    if chosen is None:
        raise NegotiationError(_refusal(requested, offered), status=403)
    return chosen


def _listed(values: Sequence[str]) -> list[str]:
    return [name for value in values for part in value.split(",") if (name := part.strip())]


def _first(requested: Sequence[str], offered: Sequence[Protocol]) -> Protocol | None:
    by_name = {protocol.name: protocol for protocol in offered}
    return next((by_name[name] for name in requested if name in by_name), None)


def _refusal(requested: Sequence[str], offered: Sequence[Protocol]) -> str:
    accepted = ", ".join(protocol.name for protocol in offered if protocol.name)
    shown = ", ".join(requested)[:200]
    return f"unable to upgrade: client supports {shown}, server accepts {accepted}"


@attrs.frozen
class RequestedStreams:
    """Which streams the client of exec or attach requests."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> RequestedStreams:
        """Read the query as a kubelet does: a terminal has no stderr. ValueError: no stream."""
        stdin, stdout, stderr, tty = (
            query.get(name) == "1" for name in ("input", "output", "error", "tty")
        )
        if not (stdin or stdout or stderr):
            raise ValueError("expected at least one of input=1, output=1, error=1")
        return cls(stdin, stdout, stderr and not tty, tty)

    def spdy_types(self, protocol: Protocol) -> frozenset[str]:
        """Return the ``streamtype`` of each SPDY stream that the client opens.

        The command starts when all of them are open. A terminal has no stderr of its own.
        """
        wanted = {
            "error": True,
            "stdin": self.stdin,
            "stdout": self.stdout,
            "stderr": self.stderr and not self.tty,
            "resize": self.tty and protocol.resizes,
        }
        return frozenset(name for name, requested in wanted.items() if requested)
