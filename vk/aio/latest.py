"""Latest: a channel that keeps the newest value of each key.

Callbacks of a backend put values in, from any thread; one consumer iterates, in
`Provider.watch_pods` for example. A slow consumer costs one value a key, never a growing queue,
and misses only what a newer value of the same key has replaced.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, Self, TypeVar

import attrs

__all__ = ["Latest"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@attrs.define(eq=False)
class Latest(Generic[K, V]):
    """Takes values by key; iterating gives the newest of each key, oldest key first.

    One consumer at a time. Iteration never ends by itself; cancelling it loses nothing that was
    not handed out, and iterating again goes on with what is there.
    """

    # An OrderedDict takes its first entry out in constant time; a dict scans what was removed.
    _values: OrderedDict[K, V] = attrs.field(factory=OrderedDict, init=False)
    _lock: Lock = attrs.field(factory=Lock, init=False, repr=False)
    _ready: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)
    _waiting: asyncio.AbstractEventLoop | None = attrs.field(default=None, init=False, repr=False)

    def put(self, key: K, value: V) -> None:
        """Set the newest value of ``key``. Never blocks; may be called from any thread."""
        with self._lock:
            self._values[key] = value
            loop, self._waiting = self._waiting, None
            if loop is not None and not loop.is_closed():
                loop.call_soon_threadsafe(self._ready.set)

    def discard(self, key: K) -> None:
        """Forget the value of ``key`` that was not taken yet, if there is one."""
        with self._lock:
            self._values.pop(key, None)

    def __len__(self) -> int:
        """Return how many keys have a value that was not taken yet."""
        return len(self._values)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> V:
        while True:
            with self._lock:
                if self._values:
                    return self._values.popitem(last=False)[1]
                # A new event each time: an old one may belong to a loop that has ended.
                self._ready = ready = asyncio.Event()
                self._waiting = asyncio.get_running_loop()
            await ready.wait()
