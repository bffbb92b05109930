"""Objects that pods refer to: read one by one, by name; simultaneous readers share a request.

Never listed: the permission is a RoleBinding a namespace. There are two kinds of readers: preparing
a pod accepts an answer that is a few seconds old; looking for changes gives the oldest time that
counts. For the latter, an answer about an immutable object stays valid, and one about a watched
object (`vk.pods.resolve.reference_watch`) is valid until the watch shows a change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import attrs

from vk.cluster.client import Client
from vk.cluster.resources import CONFIG_MAPS, SECRETS, Resource
from vk.errors import ObjectNotFoundError
from vk.models.pod import Json
from vk.pods.resolve.reference_watch import Reference, ReferenceWatch

__all__ = ["References"]

KEEP = 10.0
"""Seconds for which an answer is used again."""
KEEP_ABSENT = (0.4, 2.0)
"""The same where there is no such object: at first, and once that is not new."""
UNUSED = 150.0
"""Seconds without a use after which an answer that would still hold is dropped all the same."""


@attrs.define
class _Answer:
    value: Json | None
    read_at: float
    """When its request began: no change after that is surely in it."""
    until: float
    """When it is no longer used again; counted from the request's end, however long that took."""
    used_at: float
    version: tuple[int, int] | None
    """What the watch had of the object before the request began; None: it was not watched."""


@attrs.define(eq=False)
class References:
    """Reads single objects. Raises ClusterError where the API server refuses."""

    client: Client
    watch: ReferenceWatch | None = None
    """Shows changes of some of the objects."""
    _kept: dict[Reference, _Answer] = attrs.field(factory=dict, init=False)
    _locks: dict[Reference, asyncio.Lock] = attrs.field(factory=dict, init=False)

    async def config_map(self, namespace: str, name: str) -> Json | None:
        """Return the config map, None where there is none."""
        return await self.read(CONFIG_MAPS, namespace, name)

    async def secret(self, namespace: str, name: str) -> Json | None:
        """Return the secret, None where there is none."""
        return await self.read(SECRETS, namespace, name)

    async def several(
        self, resource: Resource, namespace: str, names: Iterable[str], since: float | None = None
    ) -> dict[str, Json | None]:
        """Return several objects by name."""
        return {name: await self.read(resource, namespace, name, since=since) for name in names}

    async def read(
        self, resource: Resource, namespace: str, name: str, *, since: float | None = None
    ) -> Json | None:
        """Return an object, None where there is none.

        ``since``, by the loop's clock: an older answer is not used, unless the object cannot have
        changed since; None: a few seconds ago.
        """
        key = (resource.plural, namespace, name)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            clock = asyncio.get_running_loop().time
            now = clock()
            kept = self._kept.get(key)
            if kept is not None and self._holds(key, kept, now, since):
                kept.used_at = now
                return kept.value
            self._prune(now)
            version = self._version(key)
            value = await self._get(resource, namespace, name)
            if version is not None and version != self._version(key):
                self._kept.pop(key, None)  # it changed while it was read
                return value
            known_absent = kept is not None and kept.value is None
            keep = KEEP if value is not None else KEEP_ABSENT[known_absent]
            ended = clock()
            self._kept[key] = _Answer(
                value, read_at=now, until=ended + keep, used_at=ended, version=version
            )
            return value

    def _version(self, reference: Reference) -> tuple[int, int] | None:
        return None if self.watch is None else self.watch.version(reference)

    async def _get(self, resource: Resource, namespace: str, name: str) -> Json | None:
        try:
            return await self.client.get(resource, name, namespace=namespace)
        except ObjectNotFoundError:
            return None

    def _holds(self, key: Reference, answer: _Answer, now: float, since: float | None) -> bool:
        version = self._version(key)
        if version is not None:  # the watch shows each change, and at its start every object
            return answer.version == version
        if since is not None:
            return answer.read_at >= since or _is_immutable(answer.value)
        return now < answer.until

    def _prune(self, now: float) -> None:
        """Drop answers that are no longer used: secrets stay in memory no longer than needed."""
        for key, answer in list(self._kept.items()):
            lasting = _is_immutable(answer.value) or self._version(key) is not None
            if now - answer.used_at > (UNUSED if lasting else KEEP):
                del self._kept[key]
                lock = self._locks.get(key)  # none where a later read already removed it
                if lock is not None and not lock.locked():
                    del self._locks[key]


def _is_immutable(value: Json | None) -> bool:
    return value is not None and value.get("immutable") is True
