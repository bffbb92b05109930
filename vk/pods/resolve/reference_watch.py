"""Watches the config maps and secrets of namespaces, where the operator grants that.

In: the kinds and namespaces that running pods use. Out: `ReferenceWatch.changes`, each object that
is another than before. Only names and versions are kept: the object itself is read when a pod needs
it. Where a watch is refused or broken, nothing is covered, and changes are found by reading again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Set

import attrs

from vk.aio.latest import Latest
from vk.aio.tasks import supervise
from vk.cluster.client import Client
from vk.cluster.reflector import Reflector
from vk.cluster.resources import CONFIG_MAPS, SECRETS
from vk.cluster.store import Store
from vk.models.pod import Json

__all__ = ["Reference", "ReferenceWatch"]

Reference = tuple[str, str, str]
"""Plural, namespace and name of an object."""

_RESOURCES = {one.plural: one for one in (CONFIG_MAPS, SECRETS)}
_Scope = tuple[str, str]
"""Plural and namespace."""


@attrs.define(eq=False)
class ReferenceWatch:
    """One watch for each kind and namespace that is wanted, while `run` runs."""

    client: Client
    allowed: bool
    """Whether the operator grants watches; without that nothing is watched."""
    changes: Latest[Reference, Reference] = attrs.field(factory=Latest, init=False)
    """Objects that changed; for one consumer."""
    _wanted: frozenset[_Scope] = attrs.field(default=frozenset(), init=False)
    _reflectors: dict[_Scope, Reflector] = attrs.field(factory=dict, init=False)
    _versions: dict[_Scope, dict[str, int]] = attrs.field(factory=dict, init=False)
    """How often each object of a watched namespace changed."""
    _renewed: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    def want(self, scopes: Set[_Scope]) -> None:
        """Watch these kinds and namespaces from now on, and no others."""
        if self.allowed and scopes != self._wanted:
            self._wanted = frozenset(scopes)
            self._renewed.set()

    def version(self, reference: Reference) -> tuple[int, int] | None:
        """Return what changes whenever the object does; None where changes are not seen."""
        plural, namespace, name = reference
        reflector = self._reflectors.get((plural, namespace))
        if reflector is None or not reflector.watching:
            return None
        return id(reflector), self._versions[plural, namespace].get(name, 0)

    async def run(self) -> None:
        """Watch what is wanted until cancelled."""
        tasks: dict[_Scope, asyncio.Task[None]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    for scope in tasks.keys() - self._wanted:
                        tasks.pop(scope).cancel()
                        del self._reflectors[scope], self._versions[scope]
                    for scope in self._wanted - tasks.keys():
                        self._versions[scope] = {}
                        reflector = self._reflectors[scope] = self._reflector(scope)
                        name = f"watch of {scope[0]} in {scope[1]}"
                        tasks[scope] = group.create_task(supervise(name, reflector.run))
                    await self._renewed.wait()
                    self._renewed.clear()
        finally:
            self._reflectors.clear()
            self._versions.clear()

    def _reflector(self, scope: _Scope) -> Reflector:
        plural, namespace = scope
        versions = self._versions[scope]

        def on_change(old: Json | None, new: Json | None) -> None:
            name = (new or old or {})["metadata"]["name"]
            versions[name] = versions.get(name, 0) + 1
            reference = (plural, namespace, name)
            self.changes.put(reference, reference)

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
