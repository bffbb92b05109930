"""Config maps and secrets that pods name: read one by one, by name, with a short cache.

Never listed or watched: the permission is a RoleBinding a namespace. One request serves all pods
that ask at the same time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import attrs

from vk.cluster.client import Client
from vk.cluster.resources import CONFIG_MAPS, SECRETS, Resource
from vk.errors import ObjectNotFoundError
from vk.models.pod import Json

__all__ = ["References"]

KEEP = 10.0
"""Seconds for which an answer is used again."""
KEEP_ABSENT = 2.0

_Key = tuple[str, str, str]


@attrs.define(eq=False)
class References:
    """Reads single objects. Raises ClusterError where the API server refuses."""

    client: Client
    _kept: dict[_Key, tuple[float, Json | None]] = attrs.field(factory=dict, init=False)
    _locks: dict[_Key, asyncio.Lock] = attrs.field(factory=dict, init=False)

    async def config_map(self, namespace: str, name: str) -> Json | None:
        """Return the config map, None where there is none."""
        return await self._get(CONFIG_MAPS, namespace, name)

    async def secret(self, namespace: str, name: str) -> Json | None:
        """Return the secret, None where there is none."""
        return await self._get(SECRETS, namespace, name)

    async def config_maps(self, namespace: str, names: Iterable[str]) -> dict[str, Json | None]:
        """Return several config maps by name."""
        return {name: await self.config_map(namespace, name) for name in names}

    async def secrets(self, namespace: str, names: Iterable[str]) -> dict[str, Json | None]:
        """Return several secrets by name."""
        return {name: await self.secret(namespace, name) for name in names}

    async def _get(self, resource: Resource, namespace: str, name: str) -> Json | None:
        key = (resource.plural, namespace, name)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            now = asyncio.get_running_loop().time()
            kept = self._kept.get(key)
            if kept is not None and now < kept[0]:
                return kept[1]
            self._prune(now)
            value: Json | None
            try:
                value = await self.client.get(resource, name, namespace=namespace)
            except ObjectNotFoundError:
                value = None
            self._kept[key] = (now + (KEEP if value is not None else KEEP_ABSENT), value)
            return value

    def _prune(self, now: float) -> None:
        """Secrets are kept no longer than they are of use."""
        for key in [key for key, (until, _) in self._kept.items() if until < now]:
            del self._kept[key]
            if not self._locks[key].locked():
                del self._locks[key]
