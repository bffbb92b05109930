"""Following a log: many clients of one container share one call of the provider.

In: a container and what one client wants of its log. Out: a `Follower` that sends it. Everybody
first gets what is there, from a call of his own, and then what one shared reader gets while the
container writes; `vk.log_lines.Seam` joins the two. Used by `vk.server.logs`.

Surprising: a client that reads too slowly holds up nobody, and loses nothing: it is taken off the
shared reader and reads again from where it was. A provider whose lines carry no times cannot be
joined: there each client gets a call of its own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import attrs

from vk.log_lines import OVERLAP, LineFilter, Lines, Seam, split_stamp, stamp_time
from vk.models.keys import ContainerKey
from vk.models.logs import LogOptions
from vk.provider import Provider
from vk.server.errors import Refusal
from vk.server.shared_reader import Batch, SharedReader, Subscription, closing, next_piece

__all__ = ["IN_ALL", "Follower", "Followers", "Write"]

IN_ALL = 128
"""Followers of one container."""

_CLOCKS = timedelta(minutes=1)
"""How far the clock of a backend may be behind ours."""
_MOST = (1 << 63) - 1

Write = Callable[[bytes], Awaitable[None]]
_Key = tuple[ContainerKey, str | None]


@attrs.define(eq=False)
class Followers:
    """All who follow logs on this node."""

    provider: Provider
    _readers: dict[_Key, SharedReader] = attrs.field(factory=dict, init=False)
    _count: Counter[ContainerKey] = attrs.field(factory=Counter, init=False)

    async def open(self, container: ContainerKey, options: LogOptions) -> Follower:
        """Return what sends the log to one client; close it at the end.

        Raises what the provider raises, and Refusal 429 where too many follow the container.
        """
        if self._count[container] >= IN_ALL:
            text = f"{IN_ALL} clients follow the log of this container already"
            raise Refusal(429, text, retry_after=10.0)
        self._count[container] += 1
        follower = Follower(self, container, options)
        try:
            await follower.open()
        except BaseException:
            await follower.close()
            raise
        return follower

    async def close(self) -> None:
        """End all shared readers; who follows ends with them."""
        tasks = [reader.task for reader in self._readers.values() if reader.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def reader(self, key: _Key) -> SharedReader | None:
        """Return the shared reader where there is one."""
        return self._readers.get(key)

    def start(self, key: _Key, options: LogOptions) -> SharedReader:
        """Start the shared reader."""
        reader = self._readers[key] = SharedReader()
        run = reader.run(self.provider, key[0], options)
        reader.task = asyncio.get_running_loop().create_task(run, name=f"log of {key[0]}")
        reader.task.add_done_callback(lambda _: self._forget(key, reader))
        return reader

    def drop_unused(self, key: _Key, reader: SharedReader) -> None:
        """Stop a shared reader that nobody reads; the next client starts another one."""
        if reader.unused and reader.task is not None:
            self._forget(key, reader)
            reader.task.cancel()

    def left(self, container: ContainerKey) -> None:
        """Note that a client has gone."""
        self._count[container] -= 1
        if not self._count[container]:
            del self._count[container]

    def _forget(self, key: _Key, reader: SharedReader) -> None:
        if self._readers.get(key) is reader:
            del self._readers[key]


@attrs.define(eq=False)
class Follower:
    """One who follows: how far he is, and what comes next. `send` once, `close` always."""

    followers: Followers
    container: ContainerKey
    options: LogOptions
    _seam: Seam = attrs.field(factory=Seam, init=False)
    _wanted: LineFilter = attrs.field(init=False)
    _reader: SharedReader | None = attrs.field(default=None, init=False)
    _live: Subscription | None = attrs.field(default=None, init=False)
    _there: AsyncExitStack = attrs.field(factory=AsyncExitStack, init=False, repr=False)
    """Closes the reading of what is there."""
    _pieces: AsyncIterator[bytes] = attrs.field(init=False, repr=False)
    _first: bytes = attrs.field(default=b"", init=False, repr=False)
    _closed: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._wanted = LineFilter(self.options)

    async def open(self) -> None:
        """Subscribe, then begin to read what is there: so nothing falls between the two.

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
        self._pieces = await self._there.enter_async_context(there)
        self._first = await next_piece(self._pieces) or b""

    async def send(self, write: Write) -> None:
        """Send until the container's log ends. Raises what the provider raises."""
        if not await self._send_there(write):
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
        """Leave; may be repeated."""
        if not self._closed:
            self._closed = True
            self._unsubscribe()
            self.followers.left(self.container)
            await self._there.aclose()

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
        """Be the first: the shared reader begins where this client is, for all who come later."""
        since = stamp_time(self._seam.stamp)
        if since is None and self.options.since is not None:
            # He may wait for a time to come; the others do not.
            since = min(self.options.since, datetime.now(UTC) - _CLOCKS)
        options = LogOptions(follow=True, timestamps=True, since=since, stream=self.options.stream)
        self._reader = self.followers.start(self._key, options)
        self._live = self._reader.subscribe()

    async def _send_there(self, write: Write) -> bool:
        """Send what is there; False, and nothing sent, where lines carry no times."""
        lines = Lines()
        piece: bytes | None = self._first
        async with self._there:
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
        """Send what was written since this client was last up to date."""
        since = stamp_time(self._seam.stamp) or self.options.since
        options = LogOptions(timestamps=True, since=since, stream=self.options.stream)
        lines = Lines()
        self._seam.rejoin()
        async with closing(self.followers.provider.logs(self.container, options)) as pieces:
            async for piece in pieces:
                await self._send_new(write, Batch.of(lines.feed(piece)))
        for line in lines.finish():
            stamp, text = split_stamp(line)
            begun = self._begin(line)
            if self._wanted.is_late(stamp):
                new = text[begun:] if begun or not self.options.timestamps else line
                await _send(write, self._wanted.limit(new))

    def _begin(self, line: bytes) -> int:
        """Note the last line, which has not ended; return how much of it was known before.

        The shared reader gives it again, whole.
        """
        stamp, text = split_stamp(line)
        begun = self._seam.begun(stamp)
        self._seam.begin(stamp, len(text))
        return begun

    async def _send_live(self, write: Write) -> bool:
        """Send what the shared reader gives; False: this client fell behind."""
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

    async def _send_new(self, write: Write, batch: Batch) -> None:
        await _send(write, batch.new(self._seam, self._wanted))


async def _send(write: Write, data: bytes) -> None:
    if data:
        await write(data)
