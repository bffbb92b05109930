"""Garbage collection: dependents of a deleted owner, and the contents of a deleted namespace.

Observes the storage; `Collector.run` does the work a moment after each change, as the controllers
of a real cluster do, in one task of `vk.devcluster.cluster`.

Note: an owner of a kind that this server does not have counts as present, so pods that name
they belong to a ReplicaSet stay.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import Any

import attrs

from vk.devcluster.deletion import FOREGROUND, ORPHAN, Remover
from vk.devcluster.kinds import Kind, kind_of, stored_kind
from vk.devcluster.refusals import Refusal
from vk.devcluster.storage.storage import Change, Entry, Storage, parse
from vk.devcluster.updates import finished
from vk.models.api_object import spec_of

__all__ = ["Collector"]

log = logging.getLogger(__name__)

Object = dict[str, Any]


@attrs.define(eq=False)
class Collector:
    """Deletes what has no owner any more, and empties namespaces."""

    storage: Storage
    remover: Remover
    _objects: OrderedDict[tuple[str, str, str], Kind] = attrs.field(
        factory=OrderedDict, init=False, repr=False
    )  # to look at, by store, namespace and name
    _owners: OrderedDict[str, None] = attrs.field(factory=OrderedDict, init=False, repr=False)
    _namespaces: OrderedDict[str, bool] = attrs.field(factory=OrderedDict, init=False, repr=False)
    # to look at by name; whether to delete the contents, or only to see whether they are gone
    _wake: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.storage.observers.append(self._observe)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._objects or self._owners or self._namespaces:
                self._step()
                await asyncio.sleep(0)  # requests go first

    def _observe(self, kind: Kind, change: Change) -> None:
        entry = change.entry
        if change.type == "DELETED":
            self._owners[entry.uid] = None
            self._note_owners(kind, entry)
            if self._is_terminating(entry.namespace):
                self._namespaces.setdefault(entry.namespace, False)
        elif entry.owners or b'"deletionTimestamp"' in entry.body:
            self._objects[kind.store, entry.namespace, entry.name] = kind
        if kind.name == "Namespace" and self._is_terminating(entry.name):
            self._namespaces[entry.name] = True
        self._wake.set()

    def _note_owners(self, kind: Kind, entry: Entry) -> None:
        """Look at the owners of what is gone: one may wait for that."""
        references = parse(kind, entry)["metadata"].get("ownerReferences") if entry.owners else ()
        for reference in references or ():
            of = kind_of(reference.get("apiVersion"), reference.get("kind"))
            if of is not None and of.stored:
                namespace = entry.namespace if of.namespaced else ""
                self._objects[of.store, namespace, reference.get("name", "")] = of

    def _step(self) -> None:
        """Do one piece of work; an error costs that piece only."""
        try:
            if self._owners:
                uid, _ = self._owners.popitem(last=False)
                for kind, entry in self.storage.dependents(uid):
                    self._objects[kind.store, entry.namespace, entry.name] = kind
            elif self._objects:
                (_, namespace, name), kind = self._objects.popitem(last=False)
                obj = self.storage.get(kind, namespace, name)
                if obj is not None:
                    self._look_at(kind, obj)
            else:
                name, deletes = self._namespaces.popitem(last=False)
                self._empty(name, deletes=deletes)
        except Refusal as refusal:
            log.warning("garbage collection of an object failed", extra={"error": str(refusal)})

    def _look_at(self, kind: Kind, obj: Object) -> None:
        """Delete an object that lost its owners; finish one that waits for its dependents."""
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp"):
            finalizers = metadata.get("finalizers") or ()
            if ORPHAN in finalizers:
                self._orphan(kind, obj)
            elif FOREGROUND in finalizers:
                self._foreground(kind, obj)
            return
        references = metadata.get("ownerReferences") or []
        solid = [reference for reference in references if self._owner_stays(reference, metadata)]
        if references and not solid:
            self.remover.remove(kind, obj, self._options(references, metadata))
        elif len(solid) < len(references) and self._some_gone(references, metadata):
            kept = [one for one in references if not self._is_gone(one, metadata)]
            self._update(kind, {**obj, "metadata": {**metadata, "ownerReferences": kept}})

    def _orphan(self, kind: Kind, owner: Object) -> None:
        uid = owner["metadata"]["uid"]
        for of, entry in self.storage.dependents(uid):
            dependent = parse(of, entry)
            metadata = dict(dependent["metadata"])
            metadata["ownerReferences"] = [
                one for one in metadata["ownerReferences"] if one.get("uid") != uid
            ]
            if not metadata["ownerReferences"]:
                del metadata["ownerReferences"]
            self._update(of, {**dependent, "metadata": metadata})
        self._without(kind, owner, ORPHAN)

    def _foreground(self, kind: Kind, owner: Object) -> None:
        uid, waits = owner["metadata"]["uid"], False
        for of, entry in self.storage.dependents(uid):
            dependent = parse(of, entry)
            if _blocks(dependent, uid):
                waits = True
            if not dependent["metadata"].get("deletionTimestamp"):
                self._look_at(of, dependent)
        if not waits or not any(_blocks(parse(*one), uid) for one in self.storage.dependents(uid)):
            self._without(kind, owner, FOREGROUND)

    def _without(self, kind: Kind, owner: Object, finalizer: str) -> None:
        """Take a finalizer of the collector from an object, which may end it."""
        metadata = owner["metadata"]
        kept = [one for one in metadata.get("finalizers") or () if one != finalizer]
        changed = {**metadata, "finalizers": kept}
        if not kept:
            del changed["finalizers"]
        self._update(kind, {**owner, "metadata": changed})

    def _update(self, kind: Kind, obj: Object) -> None:
        metadata = obj["metadata"]
        if finished(kind, obj, obj):
            self.storage.remove(kind, metadata.get("namespace", ""), metadata["name"])
        else:
            self.storage.update(kind, obj)

    def _owner_stays(self, reference: Object, metadata: Object) -> bool:
        """Return whether the owner is there and does not wait for this dependent to go."""
        owner = self._owner(reference, metadata)
        return owner is None or (owner != {} and not _waits(owner))

    def _is_gone(self, reference: Object, metadata: Object) -> bool:
        return self._owner(reference, metadata) == {}

    def _some_gone(self, references: list[Object], metadata: Object) -> bool:
        return any(self._is_gone(reference, metadata) for reference in references)

    def _options(self, references: list[Object], metadata: Object) -> Object:
        """Return how to delete a dependent: as its owner is deleted, if it owns something."""
        waits = any(_waits(self._owner(reference, metadata) or {}) for reference in references)
        if waits and self.storage.dependents(metadata["uid"]):
            return {"propagationPolicy": "Foreground"}
        return {}

    def _owner(self, reference: Object, metadata: Object) -> Object | None:
        """Return the owner: empty if it is gone, None if its kind is unknown here."""
        kind = kind_of(reference.get("apiVersion"), reference.get("kind"))
        if kind is None or not kind.stored:
            return None
        namespace = metadata.get("namespace", "") if kind.namespaced else ""
        owner = self.storage.get(kind, namespace, reference.get("name", ""))
        return owner if owner and owner["metadata"]["uid"] == reference.get("uid") else {}

    def _is_terminating(self, namespace: str) -> bool:
        entry = self.storage.entry(stored_kind("namespaces"), "", namespace)
        return entry is not None and entry.fields.get("status.phase") == "Terminating"

    def _empty(self, name: str, *, deletes: bool) -> None:
        """Delete what a namespace that is being deleted contains; let it go once it is empty."""
        if deletes:
            for kind in self.storage.kinds():
                for entry in self.storage.entries(kind, name) if kind.namespaced else ():
                    obj = parse(kind, entry)
                    if not obj["metadata"].get("deletionTimestamp"):
                        self.remover.remove(kind, obj, {"propagationPolicy": "Background"})
        namespace = self.storage.get(stored_kind("namespaces"), "", name)
        if namespace is None or not self.storage.is_empty(name):
            return
        spec = dict(spec_of(namespace))
        kept = [one for one in spec.pop("finalizers", None) or () if one != "kubernetes"]
        if kept:
            spec["finalizers"] = kept
        if spec != namespace.get("spec"):
            self._update(stored_kind("namespaces"), {**namespace, "spec": spec})


def _waits(owner: Object) -> bool:
    """Return whether an owner is deleted in the foreground: after its dependents."""
    metadata = owner.get("metadata") or {}
    marked = metadata.get("deletionTimestamp")
    return bool(marked) and FOREGROUND in (metadata.get("finalizers") or ())


def _blocks(dependent: Object, uid: str) -> bool:
    references = dependent["metadata"].get("ownerReferences") or ()
    return any(one.get("uid") == uid and one.get("blockOwnerDeletion") for one in references)
