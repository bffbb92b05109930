"""Bookkeeping of a SPDY session: its open streams, what waits in them, how much a peer may ask.

`vk.streaming.spdy.session` reads and changes it; nothing else does.
"""

from __future__ import annotations

import attrs

from vk.streaming.spdy.frames import Data, SpdyError

__all__ = ["CONTROL_BURST", "CONTROL_RATE", "PIECE_COST", "UNREAD", "Budget", "Stream", "Streams"]

UNREAD = 1 << 20
"""Bytes of one stream that may wait for its owner before the connection is not read."""
PIECE_COST = 128
"""What a waiting piece counts beyond its bytes, so that many small ones are not free."""
CONTROL_BURST = 2000.0
"""Control frames that a peer may send at once; a port-forwarded connection costs it about 6."""
CONTROL_RATE = 1000.0
"""Control frames a second that a peer may send for ever."""


@attrs.define(eq=False)
class Stream:
    """An open stream: both sides know it and at least one of them may still send."""

    accepted: bool = False
    sent_fin: bool = False
    got_fin: bool = False
    unread: int = 0


@attrs.define(eq=False)
class Streams:
    """The open streams by id, and which of them hold too much."""

    by_id: dict[int, Stream] = attrs.field(factory=dict, init=False)
    over: set[int] = attrs.field(factory=set, init=False)

    def count(self, parity: int) -> int:
        """Return how many streams of one side are open: 1 the client's, 0 the server's."""
        return sum(stream_id % 2 == parity for stream_id in self.by_id)

    def received(self, stream: Stream, piece: Data) -> None:
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
        """Forget a stream; what its owner still holds of it is the owner's to throw away."""
        del self.by_id[stream_id]
        self.over.discard(stream_id)

    def drop_if_done(self, stream_id: int, stream: Stream) -> None:
        """Forget a stream on which neither side sends any more."""
        if stream.sent_fin and stream.got_fin:
            self.drop(stream_id)


@attrs.define(eq=False)
class Budget:
    """Control frames that a peer may still send; time refills it."""

    _tokens: float = attrs.field(default=CONTROL_BURST, init=False)
    _refilled: float | None = attrs.field(default=None, init=False)

    def refill(self, now: float) -> None:
        """Add what the time since the last call allows."""
        if self._refilled is not None:
            earned = (now - self._refilled) * CONTROL_RATE
            self._tokens = min(CONTROL_BURST, self._tokens + earned)
        self._refilled = now

    def spend(self) -> None:
        """Take one; raises SpdyError when none is left."""
        if self._tokens < 1:
            raise SpdyError(
                f"too many control frames, expected at most {CONTROL_RATE:.0f} a second"
            )
        self._tokens -= 1
