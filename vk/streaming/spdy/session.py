"""A SPDY/3.1 session without I/O: bytes in, events out; calls in, bytes out.

In: the bytes that the connection received, and what its owner sends. Out: events, and the bytes to
write. The kubelet server serves exec, attach and port-forward with it, on a socket or inside
WebSocket messages; the embedded API server is a client with the same class.

Note, of every Kubernetes peer (moby/spdystream):

- **There is no flow control per stream.** SETTINGS and WINDOW_UPDATE are neither sent nor applied.
  The only way to slow a peer down is not to read its connection, which stops all of its streams:
  stop while `SpdySession.congested`, and report used pieces with `SpdySession.consumed`. The peer
  does the same to this side: a stream that it does not read stops, after some 50 frames, all others
  and the answers to pings, so a missing `Pong` does not prove that a peer is dead.
- It drops bytes for a stream that is not accepted yet, so `SpdySession.send` refuses to send them.
- It stops reading at GOAWAY: `SpdySession.go_away` comes after everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

import attrs

from vk.aio.token_bucket import TokenBucket
from vk.streaming.spdy.frames import (
    Data,
    Decoder,
    Frame,
    GoAway,
    GoAwayStatus,
    Headers,
    Ping,
    ResetStatus,
    RstStream,
    SpdyError,
    SynReply,
    SynStream,
    data_head,
)
from vk.streaming.spdy.headers import Deflater, Inflater

__all__ = [
    "CONTROL_BURST",
    "CONTROL_RATE",
    "FRAME_SIZE",
    "UNREAD",
    "Event",
    "HalfClosed",
    "Pong",
    "SessionFailed",
    "SpdySession",
    "StreamAccepted",
    "StreamOpened",
    "StreamReset",
    "WentAway",
]

FRAME_SIZE = 1 << 16
"""Bytes in a DATA frame that is sent; longer payloads become several frames."""

UNREAD = 1 << 20
"""Bytes of one stream that may wait for its owner before the connection is not read."""
PIECE_COST = 128
"""What a waiting piece counts beyond its bytes, so that many small ones are not free."""
CONTROL_BURST = 2000.0
"""Control frames that a peer may send at once; a port-forwarded connection costs it about 6."""
CONTROL_RATE = 1000.0
"""Control frames a second that a peer may send indefinitely."""

_NONE: Mapping[str, str] = MappingProxyType({})


@attrs.frozen
class StreamOpened:
    """The peer opens a stream: `SpdySession.accept` or `SpdySession.reset` it.

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
    """The last event: send what `SpdySession.take` still has and close the connection."""

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


@attrs.define(eq=False)
class _Stream:
    """An open stream: both sides know it and at least one of them may still send."""

    accepted: bool = False
    sent_fin: bool = False
    got_fin: bool = False
    unread: int = 0


@attrs.define(eq=False)
class _OpenStreams:
    """The open streams by id, and which of them hold too much."""

    by_id: dict[int, _Stream] = attrs.field(factory=dict, init=False)
    over: set[int] = attrs.field(factory=set, init=False)

    def count(self, parity: int) -> int:
        """Return how many streams of one side are open: 1 the client's, 0 the server's."""
        return sum(stream_id % 2 == parity for stream_id in self.by_id)

    def received(self, stream: _Stream, piece: Data) -> None:
        """Count a piece that waits for the owner."""
        stream.unread += len(piece.data) + PIECE_COST
        if stream.unread > UNREAD:
            self.over.add(piece.stream_id)

    def consumed(self, piece: Data) -> None:
        """Count a piece as used; its stream may be gone."""
        stream = self.by_id.get(piece.stream_id)
        if stream is not None:
            stream.unread -= len(piece.data) + PIECE_COST
            if stream.unread <= UNREAD:
                self.over.discard(piece.stream_id)

    def drop(self, stream_id: int) -> None:
        """Forget a stream; its owner drops what it still holds of it."""
        del self.by_id[stream_id]
        self.over.discard(stream_id)

    def drop_if_done(self, stream_id: int, stream: _Stream) -> None:
        """Forget a stream on which neither side sends any more."""
        if stream.sent_fin and stream.got_fin:
            self.drop(stream_id)


@attrs.define(eq=False)
class SpdySession:
    """One connection. Not for several threads; no call blocks.

    After any call there may be bytes to write: see `take`. ``max_streams`` limits how many streams
    of the peer are open at a time; further ones are refused and give no event.
    """

    client: bool = False
    max_streams: int = 128
    _decoder: Decoder = attrs.field(factory=Decoder, init=False, repr=False)
    _deflater: Deflater = attrs.field(factory=Deflater, init=False, repr=False)
    _inflater: Inflater = attrs.field(factory=Inflater, init=False, repr=False)
    _streams: _OpenStreams = attrs.field(factory=_OpenStreams, init=False, repr=False)
    _control_frames: TokenBucket = attrs.field(
        factory=lambda: TokenBucket(CONTROL_RATE, CONTROL_BURST), init=False, repr=False
    )
    _now: float = attrs.field(default=0.0, init=False)
    _outgoing: list[bytes | memoryview] = attrs.field(factory=list, init=False, repr=False)
    _events: list[Event] = attrs.field(factory=list, init=False, repr=False)
    _parity: int = attrs.field(init=False)
    _next_id: int = attrs.field(init=False)
    _next_ping: int = attrs.field(init=False)
    _peer_id: int = attrs.field(default=0, init=False)
    _going: bool = attrs.field(default=False, init=False)
    _failed: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._parity = int(self.client)
        self._next_id = self._next_ping = 2 - self._parity

    def receive(self, chunk: bytes, now: float) -> list[Event]:
        """Return what ``chunk``, read at ``now`` (seconds of a monotonic clock), means.

        Never raises for what a peer sent: `SessionFailed` is then the last event, a GOAWAY is to
        be written, and whatever comes later is dropped.
        """
        if self._failed:
            return []
        self._now = now
        try:
            for frame in self._decoder.feed(chunk):
                if type(frame) is Data:
                    self._data(frame)
                else:
                    self._control(frame)
        except SpdyError as error:
            self._failed = True
            self._outgoing.append(GoAway(self._peer_id, GoAwayStatus.PROTOCOL_ERROR).encode())
            self._events.append(SessionFailed(str(error)))
        events, self._events = self._events, []
        return events

    @property
    def congested(self) -> bool:
        """Whether a stream has more bytes that its owner has not used than one may have.

        The owner then stops reading the connection; it goes on when this is False again.
        """
        return bool(self._streams.over)

    def consumed(self, piece: Data) -> None:
        """Note that ``piece``, an event of this session, waits no longer. Once for each."""
        self._streams.consumed(piece)

    @property
    def open_streams(self) -> int:
        """How many streams are open, half-closed ones too."""
        return len(self._streams.by_id)

    def take(self) -> list[bytes | memoryview]:
        """Return the bytes to write, in order, and remove them."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def open(self, headers: Mapping[str, str], *, fin: bool = False) -> int:
        """Open a stream and return its id; it may be sent to after `StreamAccepted`."""
        stream_id = self._next_id
        self._next_id += 2
        self._streams.by_id[stream_id] = _Stream(sent_fin=fin)
        block = self._deflater.block(headers)
        self._outgoing.append(SynStream(stream_id, block, fin).encode())
        return stream_id

    def accept(self, stream_id: int, headers: Mapping[str, str] = _NONE) -> bool:
        """Accept a stream of the peer; a second time does nothing. False: it is gone."""
        stream = self._streams.by_id.get(stream_id)
        if stream is not None and not stream.accepted and not self._own(stream_id):
            stream.accepted = True
            self._outgoing.append(SynReply(stream_id, self._deflater.block(headers)).encode())
        return stream is not None

    def send(self, stream_id: int, payload: bytes | memoryview) -> bool:
        """Send bytes. They are not copied, so they must not change until they are written.

        False: the stream is gone or finished, and nothing is sent. Raises ValueError for a stream
        that was not accepted: its peer would drop the bytes.
        """
        if self._sendable(stream_id) is None:
            return False
        if len(payload) > FRAME_SIZE:
            payload = memoryview(payload)
        for start in range(0, len(payload), FRAME_SIZE):
            part = payload[start : start + FRAME_SIZE]
            self._outgoing += (data_head(stream_id, len(part), fin=False), part)
        return True

    def finish(self, stream_id: int) -> bool:
        """Send nothing more on a stream; the peer may still send. False: gone or finished.

        Raises ValueError for a stream that was not accepted.
        """
        stream = self._sendable(stream_id)
        if stream is None:
            return False
        self._outgoing.append(data_head(stream_id, 0, fin=True))
        stream.sent_fin = True
        self._streams.drop_if_done(stream_id, stream)
        return True

    def reset(self, stream_id: int, status: int = ResetStatus.CANCEL) -> bool:
        """End a stream at once, both ways. False: it is gone already."""
        if stream_id not in self._streams.by_id:
            return False
        self._streams.drop(stream_id)
        self._outgoing.append(RstStream(stream_id, status).encode())
        return True

    def ping(self) -> int:
        """Send a ping; a `Pong` with the returned id answers it."""
        ping_id = self._next_ping
        self._next_ping += 2
        self._outgoing.append(Ping(ping_id).encode())
        return ping_id

    def go_away(self, status: int = GoAwayStatus.OK) -> None:
        """Send GOAWAY: this side is done. The peer may read nothing that is sent after this."""
        if not self._going and not self._failed:
            self._going = True
            self._outgoing.append(GoAway(self._peer_id, status).encode())

    def _sendable(self, stream_id: int) -> _Stream | None:
        stream = self._streams.by_id.get(stream_id)
        if stream is None or stream.sent_fin:
            return None
        if not stream.accepted:
            raise ValueError(f"stream {stream_id} is not accepted yet")
        return stream

    def _own(self, stream_id: int) -> bool:
        return stream_id % 2 == self._parity

    def _data(self, frame: Data) -> None:
        stream = self._known(frame.stream_id)
        if stream is None:
            return  # sent before the peer knew that the stream is gone
        if stream.got_fin:
            self._refuse(frame.stream_id, ResetStatus.STREAM_ALREADY_CLOSED)
            return
        if frame.data:
            self._streams.received(stream, frame)
            self._events.append(frame)
        elif not frame.fin:
            self._count_control_frame()
        if frame.fin:
            self._half_close(frame.stream_id, stream)

    def _count_control_frame(self) -> None:
        if self._control_frames.take(self._now):
            raise SpdyError(
                f"too many control frames, expected at most {CONTROL_RATE:.0f} a second"
            )

    def _control(self, frame: Frame) -> None:
        self._count_control_frame()
        match frame:
            case SynStream():
                self._syn_stream(frame)
            case SynReply():
                self._syn_reply(frame)
            case Headers(stream_id, block, fin):
                self._inflater.headers(block)  # unused, but the next block continues this one
                stream = self._known(stream_id)
                if stream is not None and fin:
                    self._half_close(stream_id, stream)
            case RstStream(stream_id, status):
                if self._known(stream_id) is not None:
                    self._streams.drop(stream_id)
                    self._events.append(StreamReset(stream_id, status))
            case Ping(ping_id) if self._own(ping_id):
                self._events.append(Pong(ping_id))
            case Ping():
                self._outgoing.append(frame.encode())
            case GoAway(last_id, status):
                self._events.append(WentAway(last_id, status))

    def _syn_stream(self, frame: SynStream) -> None:
        headers = self._inflater.headers(frame.block)
        stream_id = frame.stream_id
        if self._own(stream_id) or stream_id <= self._peer_id:
            raise SpdyError(f"stream {stream_id} opened after {self._peer_id}, by the wrong side")
        self._peer_id = stream_id
        if self._going:
            return
        if self._streams.count(1 - self._parity) >= self.max_streams:
            refusal = RstStream(stream_id, ResetStatus.REFUSED_STREAM)
            self._outgoing.append(refusal.encode())
            return
        stream = self._streams.by_id[stream_id] = _Stream(sent_fin=frame.unidirectional)
        self._events.append(StreamOpened(stream_id, headers))
        if frame.fin:
            self._half_close(stream_id, stream)

    def _syn_reply(self, frame: SynReply) -> None:
        headers = self._inflater.headers(frame.block)
        stream_id = frame.stream_id
        if not self._own(stream_id):
            raise SpdyError(f"stream {stream_id} accepted by the side that opened it")
        stream = self._known(stream_id)
        if stream is None:
            return
        if stream.accepted:
            self._refuse(stream_id, ResetStatus.STREAM_IN_USE)
            return
        stream.accepted = True
        self._events.append(StreamAccepted(stream_id, headers))
        if frame.fin:
            self._half_close(stream_id, stream)

    def _known(self, stream_id: int) -> _Stream | None:
        """Return the stream, or None when it is gone; raises SpdyError for one that never was."""
        latest = self._next_id - 2 if self._own(stream_id) else self._peer_id
        if stream_id > latest:
            raise SpdyError(f"stream {stream_id} was never opened")
        return self._streams.by_id.get(stream_id)

    def _half_close(self, stream_id: int, stream: _Stream) -> None:
        if not stream.got_fin:
            stream.got_fin = True
            self._events.append(HalfClosed(stream_id))
            self._streams.drop_if_done(stream_id, stream)

    def _refuse(self, stream_id: int, status: ResetStatus) -> None:
        """Reset a stream because its peer broke the protocol, and report it to the owner."""
        self.reset(stream_id, status)
        self._events.append(StreamReset(stream_id, status))
