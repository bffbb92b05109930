"""What a SPDY session tells its owner. Bytes of a stream come as `frames.Data`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import attrs

from vk.streaming.spdy.frames import Data

__all__ = [
    "Event",
    "HalfClosed",
    "Pong",
    "SessionFailed",
    "StreamAccepted",
    "StreamOpened",
    "StreamReset",
    "WentAway",
]


@attrs.frozen
class StreamOpened:
    """The peer wants a stream: `Session.accept` or `Session.reset` it.

    ``headers`` have lower-case names, such as ``streamtype``.
    """

    stream_id: int
    headers: Mapping[str, str]


@attrs.frozen
class StreamAccepted:
    """The peer has accepted a stream that this side opened; now bytes may be sent on it."""

    stream_id: int
    headers: Mapping[str, str]


@attrs.frozen
class HalfClosed:
    """The peer sends nothing more on this stream; it may still be sent to. Comes once."""

    stream_id: int


@attrs.frozen
class StreamReset:
    """The stream is gone, both ways: the peer reset it, or sent on it after its end."""

    stream_id: int
    status: int


@attrs.frozen
class Pong:
    """The peer has answered this side's ping. Its own pings are answered without an event."""

    ping_id: int


@attrs.frozen
class WentAway:
    """The peer opens no further streams and accepts none; those that are open may go on."""

    last_id: int
    status: int


@attrs.frozen
class SessionFailed:
    """The last event: send what `Session.take` still has and close the connection."""

    reason: str


Event: TypeAlias = (
    Data
    | StreamOpened
    | StreamAccepted
    | HalfClosed
    | StreamReset
    | Pong
    | WentAway
    | SessionFailed
)
