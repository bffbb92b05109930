"""Watches the config maps and secrets of namespaces, where the operator grants that.

In: the kinds and namespaces that running pods use. Out: a call of ``changed`` for each object that
is another than before. Only names and versions are kept: the object itself is read when a pod needs
it. Where a watch is refused or broken, nothing is covered, and changes are found by reading again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set

import attrs

from vk.aio.tasks import supervise
from vk.cluster.client import Client
from vk.cluster.reflector import Reflector
from vk.cluster.resources import CONFIG_MAPS, SECRETS
from vk.cluster.store import Store
from vk.models.pod import Json
from vk.pods.resolve.references import Reference

__all__ = ["ReferenceWatch"]

_RESOURCES = {one.plural: one for one in (CONFIG_MAPS, SECRETS)}
_Place = tuple[str, str]


@attrs.define(eq=False)
class ReferenceWatch:
    """One watch for each kind and namespace that is wanted, while `run` runs."""

    client: Client
    allowed: bool
    """Whether the operator grants watches; without that nothing is watched."""
    changed: Callable[[Reference], None] = lambda reference: None
    _wanted: frozenset[_Place] = frozenset()
    _reflectors: dict[_Place, Reflector] = attrs.field(factory=dict, init=False)
    _renewed: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    def want(self, places: Set[_Place]) -> None:
        """Watch these kinds and namespaces from now on, and no others."""
        if self.allowed and places != self._wanted:
            self._wanted = frozenset(places)
            self._renewed.set()

    def covers(self, plural: str, namespace: str) -> bool:
        """Say whether every change of such an object is told."""
        reflector = self._reflectors.get((plural, namespace))
        return reflector is not None and reflector.watching

    async def run(self) -> None:
        """Watch what is wanted until cancelled."""
        tasks: dict[_Place, asyncio.Task[None]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    for place in tasks.keys() - self._wanted:
                        tasks.pop(place).cancel()
                        del self._reflectors[place]
                    for place in self._wanted - tasks.keys():
                        reflector = self._reflectors[place] = self._reflector(place)
                        name = f"watch of {place[0]} in {place[1]}"
                        tasks[place] = group.create_task(supervise(name, reflector.run))
                    await self._renewed.wait()
                    self._renewed.clear()
        finally:
            self._reflectors.clear()

    def _reflector(self, place: _Place) -> Reflector:
        plural, namespace = place

        def on_change(old: Json | None, new: Json | None) -> None:
            name = (new or old or {})["metadata"]["name"]
            self.changed((plural, namespace, name))

        return Reflector(
            self.client,
            _RESOURCES[plural],
            Store(),
            on_change,
            namespace=namespace,
            transform=_slim,
        )


def _slim(raw: Json) -> dict[str, object]:
    metadata = raw["metadata"]
    return {
        "metadata": {
            name: metadata.get(name) for name in ("namespace", "name", "uid", "resourceVersion")
        }
    }
