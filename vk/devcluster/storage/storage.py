"""The objects of the embedded API server, in memory: revisions, lists, changes, limits.

In come whole objects that the server has checked; out go the stored ones and their changes. No HTTP
and no rules here. One event loop, every write synchronous: a caller that reads, decides and writes
without an await between them needs no lock and cannot conflict.

Note: objects that are returned are copies, the caller may change them; and both kinds of
Event are one set of objects, kept in the form of the core group, in a ring of their own.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import cache
from typing import Any

import attrs
import orjson

from vk.devcluster import refusals
from vk.devcluster.kinds import KINDS, Kind
from vk.devcluster.storage.history import Change, Compacted, Entry, History
from vk.devcluster.validation import converted, selectable_fields

__all__ = ["Change", "Compacted", "Entry", "Storage", "encode", "parse"]

Observer = Callable[[Kind, Change], None]


@cache
def _type_meta(name: str, api_version: str) -> bytes:
    return b'{"kind":"%b","apiVersion":"%b",' % (name.encode(), api_version.encode())


def encode(kind: Kind, entry: Entry, *, item: bool = False) -> bytes:
    """Return the object's JSON as ``kind`` shows it; as an ``item`` of a list without its kind."""
    body = entry.body
    if kind.name == "Event" and kind.group:
        shown = converted(kind, {"kind": "Event", "apiVersion": "v1", **orjson.loads(body)})
        body = orjson.dumps(_without_type(shown))
    return body if item else _type_meta(kind.name, kind.api_version) + body[1:]


def parse(kind: Kind, entry: Entry) -> dict[str, Any]:
    """Return a copy of the object as ``kind`` shows it."""
    parsed: dict[str, Any] = orjson.loads(encode(kind, entry))
    return parsed


@attrs.define(eq=False)
class _Shelf:
    """The objects of one kind."""

    kind: Kind
    history: History
    entries: dict[str, Entry] = attrs.field(factory=dict, init=False)
    keys: list[str] = attrs.field(factory=list, init=False)  # sorted

    def put(self, entry: Entry) -> None:
        """Set the object; the one written last comes last in ``entries``."""
        if self.entries.pop(entry.key, None) is None:
            insort(self.keys, entry.key)
        self.entries[entry.key] = entry

    def take(self, key: str) -> None:
        del self.entries[key]
        del self.keys[bisect_left(self.keys, key)]

    def within(self, namespace: str | None) -> Sequence[str]:
        """Return the keys of a namespace in order, all for None."""
        if not namespace:
            return self.keys
        first = bisect_left(self.keys, f"{namespace}/")
        return self.keys[first : bisect_left(self.keys, f"{namespace}0")]  # 0 follows /


@attrs.define(eq=False)
class Storage:
    """Every object of the cluster and what changed lately.

    At most ``limit`` objects besides Events (then a write is refused with 507), and the ``events``
    Events that were written last; ``history`` changes of each kind.
    """

    limit: int = 10_000
    events: int = 10_000
    history: int = 10_000
    revision: int = attrs.field(default=0, init=False)
    """The revision of the latest write of all."""
    observers: list[Observer] = attrs.field(factory=list, init=False, repr=False)
    """Called after each write, synchronously; they may write."""
    _count: int = attrs.field(default=0, init=False)
    _dependents: dict[str, dict[tuple[str, str], Kind]] = attrs.field(
        factory=dict, init=False, repr=False
    )
    _shelves: dict[str, _Shelf] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._shelves = {}
        for kind in KINDS:
            if kind.stored:
                self._shelves.setdefault(kind.store, _Shelf(kind, History(self.history)))

    def kinds(self) -> list[Kind]:
        """Return the stored kinds, Event once, as the core group has it."""
        return [shelf.kind for shelf in self._shelves.values()]

    def entry(self, kind: Kind, namespace: str, name: str) -> Entry | None:
        """Return the object as it is kept."""
        return self._shelves[kind.store].entries.get(_key(namespace, name))

    def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
        """Return a copy of the object, None when there is none."""
        entry = self.entry(kind, namespace, name)
        return parse(kind, entry) if entry else None

    def existing_entry(self, kind: Kind, namespace: str, name: str) -> Entry:
        """Return the object as it is kept. Raises the refusal not_found."""
        entry = self.entry(kind, namespace, name)
        if entry is None:
            raise refusals.not_found(kind, name)
        return entry

    def existing(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        """Return a copy of the object. Raises the refusal not_found."""
        return parse(kind, self.existing_entry(kind, namespace, name))

    def entries(self, kind: Kind, namespace: str | None = None) -> list[Entry]:
        """Return the objects of a namespace, or of all, as they are kept, in the order of keys."""
        shelf = self._shelves[kind.store]
        return [shelf.entries[key] for key in shelf.within(namespace)]

    def is_empty(self, namespace: str) -> bool:
        """Return whether a namespace has no objects."""
        shelves = self._shelves.values()
        return not any(shelf.kind.namespaced and shelf.within(namespace) for shelf in shelves)

    def list(self, kind: Kind, namespace: str | None = None) -> tuple[list[dict[str, Any]], int]:
        """Return copies of the objects of a namespace, or of all, and the revision of the list."""
        return [parse(kind, entry) for entry in self.entries(kind, namespace)], self.revision

    def entries_at(self, kind: Kind, namespace: str | None, revision: int) -> Sequence[Entry]:
        """Return the objects as they were at an earlier revision. Raises Compacted."""
        shelf = self._shelves[kind.store]
        changes = shelf.history.after(revision)
        if not changes:
            return self.entries(kind, namespace)
        state: dict[str, Entry | None] = dict(shelf.entries)
        for change in reversed(changes):
            state[change.entry.key] = change.previous
        found = [entry for entry in state.values() if entry is not None]
        found.sort(key=lambda entry: entry.key)
        return [entry for entry in found if not namespace or entry.namespace == namespace]

    def create(self, kind: Kind, obj: dict[str, Any]) -> dict[str, Any]:
        """Store a new object and return it with its resourceVersion set; ``obj`` is taken over.

        Raises the refusals already_exists and insufficient_storage.
        """
        metadata = obj["metadata"]
        shelf = self._shelves[kind.store]
        if _key(metadata.get("namespace", ""), metadata["name"]) in shelf.entries:
            raise refusals.already_exists(kind, metadata["name"])
        if shelf.kind.name != "Event":
            if self._count >= self.limit:
                raise refusals.insufficient_storage(self.limit)
            self._count += 1
        elif len(shelf.entries) >= self.events:
            self._remove(shelf, next(iter(shelf.entries.values())))
        self._write(shelf, "ADDED", kind, obj, None)
        return obj

    def update(self, kind: Kind, obj: dict[str, Any]) -> dict[str, Any]:
        """Replace an object and return it with its resourceVersion set; ``obj`` is taken over.

        Raises the refusal not_found. Comparing resource versions is the caller's part.
        """
        metadata = obj["metadata"]
        shelf = self._shelves[kind.store]
        previous = shelf.entries.get(_key(metadata.get("namespace", ""), metadata["name"]))
        if previous is None:
            raise refusals.not_found(kind, metadata["name"])
        self._write(shelf, "MODIFIED", kind, obj, previous)
        return obj

    def remove(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        """Take an object out and return its last state. Raises the refusal not_found."""
        shelf, entry = self._shelves[kind.store], self.existing_entry(kind, namespace, name)
        if shelf.kind.name != "Event":
            self._count -= 1
        return parse(kind, self._remove(shelf, entry))

    def changes(self, kind: Kind, since: int) -> Sequence[Change]:
        """Return what changed after the revision ``since``. Raises Compacted."""
        return self._shelves[kind.store].history.after(since)

    async def wait(self, kind: Kind, since: int) -> None:
        """Return once objects of the kind have changed after ``since``."""
        await self._shelves[kind.store].history.wait(since)

    async def watch(self, kind: Kind, since: int) -> AsyncGenerator[Change, None]:
        """Yield each change after ``since``, until closed. Raises Compacted."""
        history = self._shelves[kind.store].history
        while True:
            for change in history.after(since):
                since = change.revision
                yield change
            await history.wait(since)

    def dependents(self, uid: str) -> Sequence[tuple[Kind, Entry]]:
        """Return the objects that name ``uid`` among their owners."""
        found = self._dependents.get(uid, {})
        return [(kind, self._shelves[store].entries[key]) for (store, key), kind in found.items()]

    def compact(self) -> None:
        """Forget the changes so far: reading on from before them is refused from now on."""
        for shelf in self._shelves.values():
            shelf.history.compact()

    def _write(
        self, shelf: _Shelf, type_: str, kind: Kind, obj: dict[str, Any], previous: Entry | None
    ) -> None:
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        entry = _entry(shelf.kind, converted(shelf.kind, obj) if kind is not shelf.kind else obj)
        shelf.put(entry)
        self._note(shelf, Change(type_, entry, previous, entry.revision))

    def _remove(self, shelf: _Shelf, entry: Entry) -> Entry:
        self.revision += 1
        last = orjson.loads(entry.body)
        last["metadata"]["resourceVersion"] = str(self.revision)
        shelf.take(entry.key)
        gone = attrs.evolve(entry, revision=self.revision, body=orjson.dumps(last))
        self._note(shelf, Change("DELETED", gone, entry, self.revision))
        return gone

    def _note(self, shelf: _Shelf, change: Change) -> None:
        place = (shelf.kind.store, change.entry.key)
        for uid in change.previous.owners if change.previous else ():
            left = self._dependents[uid]
            del left[place]
            if not left:
                del self._dependents[uid]
        for uid in change.entry.owners if change.type != "DELETED" else ():
            self._dependents.setdefault(uid, {})[place] = shelf.kind
        shelf.history.add(change)
        for observe in self.observers:
            observe(shelf.kind, change)


def _key(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _without_type(obj: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}


def _entry(kind: Kind, obj: dict[str, Any]) -> Entry:
    metadata = obj["metadata"]
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    owners = {owner.get("uid", "") for owner in metadata.get("ownerReferences") or ()}
    return Entry(
        key=_key(namespace, name),
        namespace=namespace,
        name=name,
        uid=metadata.get("uid", ""),
        revision=int(metadata["resourceVersion"]),
        body=orjson.dumps(_without_type(obj)),
        labels=dict(metadata.get("labels") or {}),
        fields=selectable_fields(kind, obj),
        owners=tuple(sorted(owners)),
    )
