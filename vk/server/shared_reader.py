"""One call of the provider that follows a log, for any number of clients.

In: the provider's pieces. Out: batches of lines, to each `Subscription`. Owned by
`vk.server.log_follow`. Nobody holds the reader up: who falls too far behind is told so instead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import attrs

from vk.errors import TemporaryError
from vk.log_lines import LineFilter, Lines, Seam, split_stamp
from vk.models.keys import ContainerKey
from vk.models.logs import LogOptions
from vk.provider import Provider

__all__ = ["BEHIND", "Batch", "SharedReader", "Subscription", "closing", "next_piece"]

BEHIND = 1 << 20
"""Bytes that a client may have to read yet before it counts as behind."""


@asynccontextmanager
async def closing(pieces: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """Close a provider's iterator at the end, if it can be closed."""
    try:
        yield pieces
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


async def next_piece(pieces: AsyncIterator[bytes]) -> bytes | None:
    """Return the next piece that is not empty, None at the end."""
    async for piece in pieces:
        if piece:
            return piece
    return None


@attrs.frozen
class Batch:
    """Lines that came together, cut once for all who read them: time, whole line, its text."""

    lines: list[tuple[str, bytes, bytes]]
    size: int

    @classmethod
    def of(cls, lines: list[bytes]) -> Batch:
        """Return the batch of ``lines``."""
        cut = [(line, *split_stamp(line)) for line in lines]
        return cls([(stamp, line, text) for line, stamp, text in cut], sum(map(len, lines)))

    def new(self, seam: Seam, wanted: LineFilter) -> bytes:
        """Return what is ``wanted`` of the lines that are new after ``seam``."""
        return wanted.limit(b"".join(self._new(seam, wanted)))

    def _new(self, seam: Seam, wanted: LineFilter) -> Iterator[bytes]:
        stamped = wanted.options.timestamps
        for stamp, line, text in self.lines:
            if seam.is_new(stamp):
                begun = seam.begun(stamp)
                if wanted.is_late(stamp):
                    yield text[begun:] if begun or not stamped else line


@attrs.define(eq=False)
class Subscription:
    """What one client has still to read. ``missed`` is how far the reader was when he came."""

    missed: Seam
    behind: bool = attrs.field(default=False, init=False)
    _batches: deque[Batch] = attrs.field(factory=deque, init=False)
    _size: int = attrs.field(default=0, init=False)
    _over: bool = attrs.field(default=False, init=False)
    _wake: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    def put(self, batch: Batch) -> bool:
        """Keep a batch; False: it is too much, and this client is behind from now on."""
        if self._batches and self._size + batch.size > BEHIND:
            self.behind = True
            self._batches.clear()
            self.end()
            return False
        self._batches.append(batch)
        self._size += batch.size
        self._wake.set()
        return True

    def end(self) -> None:
        """Note that nothing more comes."""
        self._over = True
        self._wake.set()

    async def next(self) -> Batch | None:
        """Return the next batch, None at the end."""
        while not self._batches:
            if self._over:
                return None
            self._wake.clear()
            await self._wake.wait()
        batch = self._batches.popleft()
        self._size -= batch.size
        return batch


@attrs.define(eq=False)
class SharedReader:
    """Follows one container's log for as long as anybody wants it."""

    error: Exception | None = attrs.field(default=None, init=False)
    """What the provider raised in the end."""
    task: asyncio.Task[None] | None = attrs.field(default=None, init=False)
    _subscriptions: list[Subscription] = attrs.field(factory=list, init=False)
    _seam: Seam = attrs.field(factory=Seam, init=False)
    _over: bool = attrs.field(default=False, init=False)

    async def run(self, provider: Provider, container: ContainerKey, options: LogOptions) -> None:
        """Read until the log ends; raises nothing but cancellation."""
        lines = Lines()
        try:
            async with closing(provider.logs(container, options)) as pieces:
                async for piece in pieces:
                    self._publish(lines.feed(piece))
                    await asyncio.sleep(0)  # a provider that never waits would outrun everybody
            self._publish(lines.finish())
        except asyncio.CancelledError:
            self.error = TemporaryError("the node stops")
            raise
        except Exception as error:  # noqa: BLE001 # every client raises it in his own request
            self.error = error
        finally:
            self._over = True
            for subscription in self._subscriptions:
                subscription.end()

    def subscribe(self) -> Subscription:
        """Return the subscription of one more client."""
        subscription = Subscription(Seam(self._seam.stamp, self._seam.count))
        self._subscriptions.append(subscription)
        if self._over:
            subscription.end()
        return subscription

    @property
    def unused(self) -> bool:
        """Whether nobody reads."""
        return not self._subscriptions

    def leave(self, subscription: Subscription) -> None:
        """End a subscription. May be repeated."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def _publish(self, lines: list[bytes]) -> None:
        if not lines:
            return
        batch = Batch.of(lines)
        for stamp, _, _ in batch.lines:
            self._seam.note(stamp)
        self._subscriptions = [one for one in self._subscriptions if one.put(batch)]
