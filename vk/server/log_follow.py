"""Followed logs: many clients of one container share one call of the provider.

In: a container and the log options of one client. Out: a `LogFollower` that sends the log. Each
client first gets the log so far, from a call of its own without ``follow``, then the lines of one
shared reader that follows; `vk.log_lines.Seam` joins the two. Used by `vk.server.logs`.

A client that reads too slowly delays no other, and loses nothing: it is taken off the shared reader
and reads again from where it was. Logs whose lines have no times cannot be joined: there each
client gets a call of its own.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import attrs

from vk.errors import TemporaryError
from vk.log_lines import OVERLAP, LineFilter, LineSplitter, Seam, split_stamp, stamp_time
from vk.models.keys import ContainerKey
from vk.models.logs import LogOptions
from vk.provider import Provider
from vk.server.errors import StatusError

__all__ = ["LogFollower", "LogFollowers", "closing", "next_piece"]

MAX_FOLLOWERS = 128
"""Followers of one container."""

_CLOCKS = timedelta(minutes=1)
"""How far the clock of a backend may be behind this one."""
_MOST = (1 << 63) - 1
MAX_BACKLOG = 1 << 20
"""Bytes that a client may have to read yet before it counts as behind."""

Write = Callable[[bytes], Awaitable[None]]
_Key = tuple[ContainerKey, str | None]


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


@attrs.define(eq=False)
class LogFollowers:
    """The followers of logs on this node."""

    provider: Provider
    _readers: dict[_Key, _SharedReader] = attrs.field(factory=dict, init=False)
    _count: Counter[ContainerKey] = attrs.field(factory=Counter, init=False)

    async def open(self, container: ContainerKey, options: LogOptions) -> LogFollower:
        """Return a follower that sends the log to one client; close it at the end.

        Raises what the provider raises, and StatusError 429 where too many follow the container.
        """
        if self._count[container] >= MAX_FOLLOWERS:
            text = f"{MAX_FOLLOWERS} clients follow the log of this container already"
            raise StatusError(429, text, retry_after=10.0)
        self._count[container] += 1
        follower = LogFollower(self, container, options)
        try:
            await follower.open()
        except BaseException:
            await follower.close()
            raise
        return follower

    async def close(self) -> None:
        """End all shared readers, and their followers."""
        tasks = [reader.task for reader in self._readers.values() if reader.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def reader(self, key: _Key) -> _SharedReader | None:
        """Return the shared reader where there is one."""
        return self._readers.get(key)

    def start(self, key: _Key, options: LogOptions) -> _SharedReader:
        """Start the shared reader."""
        reader = self._readers[key] = _SharedReader()
        run = reader.run(self.provider, key[0], options)
        reader.task = asyncio.get_running_loop().create_task(run, name=f"log of {key[0]}")
        reader.task.add_done_callback(lambda _: self._forget(key, reader))
        return reader

    def drop_unused(self, key: _Key, reader: _SharedReader) -> None:
        """Stop a shared reader without subscriptions; the next client starts another one."""
        if reader.unused and reader.task is not None:
            self._forget(key, reader)
            reader.task.cancel()

    def left(self, container: ContainerKey) -> None:
        """Note that a follower has ended."""
        self._count[container] -= 1
        if not self._count[container]:
            del self._count[container]

    def _forget(self, key: _Key, reader: _SharedReader) -> None:
        if self._readers.get(key) is reader:
            del self._readers[key]


@attrs.define(eq=False)
class LogFollower:
    """One follower: how far it is, and what comes next. `send` once, `close` always."""

    followers: LogFollowers
    container: ContainerKey
    options: LogOptions
    _seam: Seam = attrs.field(factory=Seam, init=False)
    _wanted: LineFilter = attrs.field(init=False)
    _reader: _SharedReader | None = attrs.field(default=None, init=False)
    _live: _Subscription | None = attrs.field(default=None, init=False)
    _snapshot: AsyncExitStack = attrs.field(factory=AsyncExitStack, init=False, repr=False)
    """Closes the provider's iterator of the log so far."""
    _pieces: AsyncIterator[bytes] = attrs.field(init=False, repr=False)
    _first: bytes = attrs.field(default=b"", init=False, repr=False)
    _closed: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._wanted = LineFilter(self.options)

    async def open(self) -> None:
        """Subscribe, then begin the snapshot of the log: so nothing is lost between the two.

        Returns with its first piece, or at its end. Raises what the provider raises before that.
        """
        self._subscribe()
        tail = self.options.tail_lines
        options = attrs.evolve(
            self.options,
            follow=False,
            timestamps=True,
            limit_bytes=None,
            tail_lines=None if tail is None else min(tail + OVERLAP, _MOST),
        )
        there = closing(self.followers.provider.logs(self.container, options))
        self._pieces = await self._snapshot.enter_async_context(there)
        self._first = await next_piece(self._pieces) or b""

    async def send(self, write: Write) -> None:
        """Send until the container's log ends. Raises what the provider raises."""
        if not await self._send_snapshot(write):
            await self._send_own(write)
            return
        while not self._wanted.full:
            if self._live is None:
                if self._subscribe():
                    await self._catch_up(write)
                else:
                    self._start()
            if await self._send_live(write):
                return

    async def close(self) -> None:
        """Unsubscribe; may be repeated."""
        if not self._closed:
            self._closed = True
            self._unsubscribe()
            self.followers.left(self.container)
            await self._snapshot.aclose()

    @property
    def _key(self) -> _Key:
        return self.container, self.options.stream

    def _subscribe(self) -> bool:
        """Join the shared reader; False: there is none."""
        self._reader = self.followers.reader(self._key)
        self._live = self._reader.subscribe() if self._reader is not None else None
        return self._live is not None

    def _unsubscribe(self) -> None:
        if self._reader is not None and self._live is not None:
            self._reader.leave(self._live)
            self.followers.drop_unused(self._key, self._reader)
        self._reader = self._live = None

    def _start(self) -> None:
        """Start the shared reader where this client is; later clients join it."""
        since = stamp_time(self._seam.stamp)
        if since is None and self.options.since is not None:
            # This client may wait for a future time; others do not.
            since = min(self.options.since, datetime.now(UTC) - _CLOCKS)
        options = LogOptions(follow=True, timestamps=True, since=since, stream=self.options.stream)
        self._reader = self.followers.start(self._key, options)
        self._live = self._reader.subscribe()

    async def _send_snapshot(self, write: Write) -> bool:
        """Send the log so far; False, and nothing sent, where lines have no times."""
        lines = LineSplitter()
        piece: bytes | None = self._first
        async with self._snapshot:
            while piece is not None:
                complete = lines.feed(piece)
                if complete and not self._seam.stamp and not split_stamp(complete[0])[0]:
                    return False
                for line in complete:
                    self._seam.note(split_stamp(line)[0])
                await _send(write, self._wanted.feed_lines(complete))
                piece = await next_piece(self._pieces)
        rest = lines.finish()
        for line in rest:
            self._begin(line)
        await _send(write, self._wanted.feed_lines(rest) + self._wanted.finish())
        return True

    async def _send_own(self, write: Write) -> None:
        self._unsubscribe()
        async with closing(self.followers.provider.logs(self.container, self.options)) as pieces:
            async for piece in pieces:
                await _send(write, piece)

    async def _catch_up(self, write: Write) -> None:
        """Send the lines written since this client was last up to date."""
        since = stamp_time(self._seam.stamp) or self.options.since
        options = LogOptions(timestamps=True, since=since, stream=self.options.stream)
        lines = LineSplitter()
        self._seam.rejoin()
        async with closing(self.followers.provider.logs(self.container, options)) as pieces:
            async for piece in pieces:
                await self._send_new(write, _Batch.of(lines.feed(piece)))
        for line in lines.finish():
            stamp, text = split_stamp(line)
            begun = self._begin(line)
            if self._wanted.is_late(stamp):
                new = text[begun:] if begun or not self.options.timestamps else line
                await _send(write, self._wanted.limit(new))

    def _begin(self, line: bytes) -> int:
        """Note the last line, which has not ended; return how much of it was sent before.

        The shared reader yields it again, whole.
        """
        stamp, text = split_stamp(line)
        begun = self._seam.begun(stamp)
        self._seam.begin(stamp, len(text))
        return begun

    async def _send_live(self, write: Write) -> bool:
        """Send the lines of the shared reader; False: this client fell behind."""
        reader, live = self._reader, self._live
        assert reader is not None and live is not None
        self._seam.rejoin(live.missed)
        while not self._wanted.full and (batch := await live.next()) is not None:
            await self._send_new(write, batch)
        if not live.behind and reader.error is not None:
            raise reader.error
        behind = live.behind
        self._unsubscribe()
        return not behind

    async def _send_new(self, write: Write, batch: _Batch) -> None:
        await _send(write, batch.new(self._seam, self._wanted))


async def _send(write: Write, data: bytes) -> None:
    if data:
        await write(data)


@attrs.frozen
class _Batch:
    """Lines that came together, split once for all readers: time, whole line, its text."""

    lines: list[tuple[str, bytes, bytes]]
    size: int

    @classmethod
    def of(cls, lines: list[bytes]) -> _Batch:
        """Return the batch of ``lines``."""
        cut = [(line, *split_stamp(line)) for line in lines]
        return cls([(stamp, line, text) for line, stamp, text in cut], sum(map(len, lines)))

    def new(self, seam: Seam, wanted: LineFilter) -> bytes:
        """Return the ``wanted`` part of the lines that are new after ``seam``."""
        return wanted.limit(b"".join(self._new(seam, wanted)))

    def _new(self, seam: Seam, wanted: LineFilter) -> Iterator[bytes]:
        stamped = wanted.options.timestamps
        for stamp, line, text in self.lines:
            if seam.is_new(stamp):
                begun = seam.begun(stamp)
                if wanted.is_late(stamp):
                    yield text[begun:] if begun or not stamped else line


@attrs.define(eq=False)
class _Subscription:
    """The unread lines of one client. ``missed`` is how far the reader was when it subscribed."""

    missed: Seam
    behind: bool = attrs.field(default=False, init=False)
    _batches: deque[_Batch] = attrs.field(factory=deque, init=False)
    _size: int = attrs.field(default=0, init=False)
    _over: bool = attrs.field(default=False, init=False)
    _wake: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    def put(self, batch: _Batch) -> bool:
        """Keep a batch; False: the backlog is full, and this client is behind from now on."""
        if self._batches and self._size + batch.size > MAX_BACKLOG:
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

    async def next(self) -> _Batch | None:
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
class _SharedReader:
    """Follows one container's log while it has subscriptions.

    It never waits for a client: one that falls too far behind is marked as ``behind``.
    """

    error: Exception | None = attrs.field(default=None, init=False)
    """What the provider raised in the end."""
    task: asyncio.Task[None] | None = attrs.field(default=None, init=False)
    _subscriptions: list[_Subscription] = attrs.field(factory=list, init=False)
    _seam: Seam = attrs.field(factory=Seam, init=False)
    _over: bool = attrs.field(default=False, init=False)

    async def run(self, provider: Provider, container: ContainerKey, options: LogOptions) -> None:
        """Read until the log ends; raises nothing but cancellation."""
        lines = LineSplitter()
        try:
            async with closing(provider.logs(container, options)) as pieces:
                async for piece in pieces:
                    self._publish(lines.feed(piece))
                    await asyncio.sleep(0)  # a provider that never waits would starve the clients
            self._publish(lines.finish())
        except asyncio.CancelledError:
            self.error = TemporaryError("the node's process is stopping")
            raise
        except Exception as error:  # noqa: BLE001 # every client raises it in its own request
            self.error = error
        finally:
            self._over = True
            for subscription in self._subscriptions:
                subscription.end()

    def subscribe(self) -> _Subscription:
        """Return the subscription of one more client."""
        subscription = _Subscription(Seam(self._seam.stamp, self._seam.count))
        self._subscriptions.append(subscription)
        if self._over:
            subscription.end()
        return subscription

    @property
    def unused(self) -> bool:
        """Whether there is no subscription."""
        return not self._subscriptions

    def leave(self, subscription: _Subscription) -> None:
        """End a subscription. May be repeated."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def _publish(self, lines: list[bytes]) -> None:
        if not lines:
            return
        batch = _Batch.of(lines)
        for stamp, _, _ in batch.lines:
            self._seam.note(stamp)
        self._subscriptions = [one for one in self._subscriptions if one.put(batch)]
