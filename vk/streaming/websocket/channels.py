"""Channels of a WebSocket: several streams in one, each message led by the number of its channel.

In: WebSocket messages and bytes of a stream. Out: the other one. Used by exec and attach (channels
0 to 4) and by port-forward (two channels a port); the embedded API server is the client side.

The base64 forms are text messages whose first character is the channel's digit, the others are
binary. Only ``v5.channel.k8s.io`` can end one direction of one channel: before it, a client that
has no more input can only close the connection.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from enum import IntEnum

import attrs

from vk.errors import VkError

__all__ = [
    "MAX_PORTS",
    "Channel",
    "ChannelClosed",
    "ChannelError",
    "ChannelMessage",
    "Channels",
    "forwarded_ports",
    "port_channels",
    "port_number",
    "port_preface",
]

MAX_PORTS = 40
"""Ports in one request: the base64 form has 80 channel characters."""

_CLOSE = 255
_DIGIT = ord("0")


class Channel(IntEnum):
    """The channels of exec and attach; the first three are numbered as file descriptors."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    ERROR = 3
    RESIZE = 4


class ChannelError(VkError):
    """A message that breaks the protocol; the connection is closed."""


@attrs.frozen
class ChannelMessage:
    """Bytes for one channel, perhaps none."""

    channel: int
    data: bytes


@attrs.frozen
class ChannelClosed:
    """The peer sends nothing more on this channel."""

    channel: int


@attrs.frozen
class Channels:
    """The encoding of one connection. ``count`` channels exist, numbered from 0."""

    count: int
    base64: bool = False
    closes: bool = False
    """Whether a channel can be closed by a message: true of v5 only."""

    def decode(self, message: bytes | str) -> ChannelMessage | ChannelClosed | None:
        """Return the content of a message; None: it is empty or for a channel that does not exist.

        Raises ChannelError for a malformed close message and for text that is not base64.
        """
        raw = message.encode() if isinstance(message, str) else message
        if not raw:
            return None
        if self.closes and raw[0] == _CLOSE:
            return self._closed(raw)
        channel = raw[0] - _DIGIT if self.base64 else raw[0]
        if not 0 <= channel < self.count:
            return None
        return ChannelMessage(channel, _unbase64(raw[1:]) if self.base64 else raw[1:])

    def encode(self, channel: int, data: bytes | memoryview) -> bytes | str:
        """Return the message to send: bytes for a binary one, str for a text one."""
        if self.base64:
            return chr(_DIGIT + channel) + binascii.b2a_base64(data, newline=False).decode()
        return b"".join((bytes((channel,)), data))

    def close(self, channel: int) -> bytes:
        """Return the message that ends one channel. ValueError: the protocol has none."""
        if not self.closes:
            raise ValueError("only v5.channel.k8s.io can close one channel")
        return bytes((_CLOSE, channel))

    def _closed(self, raw: bytes) -> ChannelClosed:
        if len(raw) != 2 or raw[1] >= self.count:
            raise ChannelError(f"close message {raw[:8]!r}, expected one channel of {self.count}")
        return ChannelClosed(raw[1])


def _unbase64(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text.translate(None, b"\r\n"), strict_mode=True)
    except binascii.Error as error:
        raise ChannelError(f"message is not base64: {error}") from None


def forwarded_ports(values: Sequence[str]) -> tuple[int, ...]:
    """Return the ports of a port-forward over channels, from its ``port`` query parameters.

    Each may be a list with commas. Raises ValueError: none, too many, or not 1 to 65535.
    """
    texts = [text for value in values for text in value.split(",")]
    if not 0 < len(texts) <= MAX_PORTS:
        raise ValueError(f"{len(texts)} ports in query parameter port, expected 1 to {MAX_PORTS}")
    return tuple(map(port_number, texts))


def port_number(text: str) -> int:
    """Return a port from a query parameter or a stream's header; ValueError: not 1 to 65535."""
    digits = text.isascii() and text.isdigit() and len(text) <= 5
    port = int(text) if digits else 0
    if not 0 < port < 1 << 16:
        raise ValueError(f"not a port: {text[:20]!r}, expected 1 to 65535")
    return port


def port_channels(index: int) -> tuple[int, int]:
    """Return the data and the error channel of the port at ``index`` in the request."""
    return 2 * index, 2 * index + 1


def port_preface(port: int) -> bytes:
    """Return what the server first sends on both channels of a port."""
    return port.to_bytes(2, "little")
