"""The stored objects as they are kept, and the changes of one kind in the order they happened.

`vk.devcluster.storage.storage` adds each change; watches read on from the revision that they have
seen. Watchers have no queue of their own: a slow one that falls behind what is kept gets
`Compacted`.

Note: an object is kept as the bytes that go over the wire, without ``kind`` and
``apiVersion``, so that a list or a watch event joins bytes and nothing can change what is stored.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Mapping, Sequence

import attrs

__all__ = ["Change", "Compacted", "Entry", "History"]

_BYTES = 16 * 1024 * 1024  # of one kind's changes; the latest of them are shared with the objects


class Compacted(Exception):
    """The changes since ``revision`` are not kept any more; ``oldest`` is the first usable one."""

    def __init__(self, revision: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {revision} ({oldest})")
        self.revision = revision
        self.oldest = oldest


@attrs.frozen(eq=False)
class Entry:
    """One object at one revision."""

    key: str
    """``namespace/name``; ``name`` where the kind has no namespaces. Lists are in its order."""
    namespace: str
    name: str
    uid: str
    revision: int
    body: bytes = attrs.field(repr=False)
    """The JSON without ``kind`` and ``apiVersion``."""
    labels: Mapping[str, str] = attrs.field(repr=False)
    fields: Mapping[str, str] = attrs.field(repr=False)
    """The fields that field selectors can name."""
    owners: tuple[str, ...] = attrs.field(default=(), repr=False)
    """The uids of its ownerReferences."""


@attrs.frozen(eq=False)
class Change:
    """One write: the type of its watch event, the object after it and before it.

    ``entry`` of a DELETED change is the last state, with the revision of the deletion.
    """

    type: str
    entry: Entry
    previous: Entry | None
    revision: int


@attrs.define(eq=False)
class History:
    """The latest changes of one kind, at most ``limit`` of them and 16 MiB."""

    limit: int
    oldest: int = attrs.field(default=0, init=False)
    """Changes up to this revision are gone."""
    last: int = attrs.field(default=0, init=False)
    """The revision of the newest change."""
    _changes: list[Change] = attrs.field(factory=list, init=False, repr=False)
    _size: int = attrs.field(default=0, init=False)
    _waiters: list[asyncio.Future[None]] = attrs.field(factory=list, init=False, repr=False)

    def add(self, change: Change) -> None:
        """Keep a change and wake all that wait for one."""
        self._changes.append(change)
        self._size += len(change.entry.body)
        self.last = change.revision
        if len(self._changes) > self.limit or self._size > _BYTES:
            self._drop(max(1, len(self._changes) // 4))
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def after(self, revision: int) -> Sequence[Change]:
        """Return the changes after ``revision``, oldest first. Raises Compacted."""
        if revision >= self.last:
            return ()
        if revision < self.oldest:
            raise Compacted(revision, self.oldest)
        return self._changes[bisect_right(self._changes, revision, key=_revision) :]

    async def wait(self, revision: int) -> None:
        """Return once there is a change after ``revision``; may be cancelled."""
        if self.last > revision:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def compact(self) -> None:
        """Forget every change."""
        self._drop(len(self._changes))

    def _drop(self, count: int) -> None:
        if count == 0:
            return
        dropped = self._changes[:count]
        del self._changes[:count]
        self.oldest = dropped[-1].revision
        self._size -= sum(len(change.entry.body) for change in dropped)


def _revision(change: Change) -> int:
    return change.revision
