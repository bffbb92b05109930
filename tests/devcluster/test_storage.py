"""The storage by itself: revisions, limits, what changed, and what it was before."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from vk.devcluster.kinds import Kind, find
from vk.devcluster.refusals import Refusal
from vk.devcluster.storage.history import Compacted
from vk.devcluster.storage.storage import Storage

Object = dict[str, Any]


def kind_of(plural: str, group: str = "") -> Kind:
    kind = find(group, "v1", plural)
    assert kind is not None
    return kind


PODS, NODES, EVENTS = kind_of("pods"), kind_of("nodes"), kind_of("events")
NEW_EVENTS = kind_of("events", "events.k8s.io")


def pod(name: str, namespace: str = "default", **metadata: Any) -> Object:
    own = {"name": name, "namespace": namespace, "uid": f"uid-{name}", **metadata}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": own, "spec": {}, "status": {}}


def event(name: str) -> Object:
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
    return {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "message": "hello"}


def names(objects: list[Object]) -> list[str]:
    return [one["metadata"]["name"] for one in objects]


def test_each_write_has_a_revision_of_its_own() -> None:
    storage = Storage()
    first = storage.create(PODS, pod("a"))
    second = storage.create(NODES, {"metadata": {"name": "n"}})
    third = storage.update(PODS, first)
    assert [first["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]] == [
        "3",  # the same object, written again
        "2",
    ]
    assert third is first
    gone = storage.remove(PODS, "default", "a")
    assert gone["metadata"]["resourceVersion"] == "4"
    assert storage.revision == 4


def test_what_is_returned_can_be_changed_without_changing_what_is_stored() -> None:
    storage = Storage()
    storage.create(PODS, pod("a"))
    copy = storage.get(PODS, "default", "a")
    assert copy is not None
    copy["metadata"]["labels"] = {"x": "y"}
    again = storage.get(PODS, "default", "a")
    assert again is not None and "labels" not in again["metadata"]
    assert (again["kind"], again["apiVersion"]) == ("Pod", "v1")


def test_lists_are_in_the_order_of_keys_and_of_one_namespace() -> None:
    storage = Storage()
    for namespace, name in (("b", "x"), ("a", "z"), ("a", "y"), ("a-b", "w")):
        storage.create(PODS, pod(name, namespace))
    everything, revision = storage.list(PODS)
    assert names(everything) == ["w", "y", "z", "x"]  # "a-b/w" comes before "a/y"
    assert revision == 4
    assert names(storage.list(PODS, "a")[0]) == ["y", "z"]
    assert storage.list(PODS, "c")[0] == []
    assert storage.is_empty("c") and not storage.is_empty("b")


def test_a_name_is_taken_once_and_a_missing_object_cannot_be_written() -> None:
    storage = Storage()
    storage.create(PODS, pod("a"))
    with pytest.raises(Refusal, match='pods "a" already exists') as taken:
        storage.create(PODS, pod("a"))
    assert taken.value.code == 409
    with pytest.raises(Refusal, match='pods "b" not found'):
        storage.update(PODS, pod("b"))
    with pytest.raises(Refusal, match='pods "b" not found'):
        storage.remove(PODS, "default", "b")


def test_more_objects_than_the_limit_are_refused_until_one_goes() -> None:
    storage = Storage(limit=2)
    storage.create(PODS, pod("a"))
    storage.create(NODES, {"metadata": {"name": "n"}})
    with pytest.raises(Refusal, match="at most 2 objects") as full:
        storage.create(PODS, pod("b"))
    assert full.value.code == 507
    storage.create(EVENTS, event("e"))  # events have room of their own
    storage.remove(PODS, "default", "a")
    storage.create(PODS, pod("b"))
    assert names(storage.list(PODS)[0]) == ["b"]


def test_of_the_events_the_latest_written_stay() -> None:
    storage = Storage(events=3)
    for name in ("a", "b", "c"):
        storage.create(EVENTS, event(name))
    storage.update(EVENTS, event("a"))
    storage.create(EVENTS, event("d"))
    assert names(storage.list(EVENTS)[0]) == ["a", "c", "d"]
    types = [(change.type, change.entry.name) for change in storage.changes(EVENTS, 4)]
    assert types == [("DELETED", "b"), ("ADDED", "d")]


def test_both_kinds_of_event_show_the_same_objects() -> None:
    storage = Storage()
    note = {**event("a"), "apiVersion": "events.k8s.io/v1", "note": "new form"}
    del note["message"]
    storage.create(NEW_EVENTS, note)
    old, new = storage.get(EVENTS, "default", "a"), storage.get(NEW_EVENTS, "default", "a")
    assert old is not None and new is not None
    assert (old["message"], old["apiVersion"]) == ("new form", "v1")
    assert (new["note"], new["apiVersion"]) == ("new form", "events.k8s.io/v1")


def test_an_earlier_state_can_be_listed_until_it_is_compacted() -> None:
    storage = Storage()
    storage.create(PODS, pod("a"))
    storage.create(PODS, pod("b"))
    then = storage.revision
    storage.create(PODS, pod("c"))
    storage.remove(PODS, "default", "a")
    storage.update(PODS, pod("b", labels={"changed": "yes"}))
    entries = storage.entries_at(PODS, None, then)
    assert [(entry.name, entry.labels) for entry in entries] == [("a", {}), ("b", {})]
    assert [entry.name for entry in storage.entries_at(PODS, "other", then)] == []
    storage.compact()
    with pytest.raises(Compacted):
        storage.entries_at(PODS, None, then)


def test_old_changes_are_dropped_and_reading_on_from_before_them_is_refused() -> None:
    storage = Storage(history=8)
    for number in range(20):
        storage.create(PODS, pod(f"p{number:02}"))
    with pytest.raises(Compacted) as refused:
        storage.changes(PODS, 3)
    oldest = refused.value.oldest
    assert str(refused.value) == f"too old resource version: 3 ({oldest})"
    kept = storage.changes(PODS, oldest)
    assert [change.revision for change in kept] == list(range(oldest + 1, 21))
    assert 5 <= len(kept) <= 8


def test_a_watch_that_has_seen_everything_is_not_too_old_after_a_compaction() -> None:
    storage = Storage()
    storage.create(PODS, pod("a"))
    storage.create(NODES, {"metadata": {"name": "n"}})
    storage.compact()
    assert storage.changes(PODS, 2) == ()
    storage.create(PODS, pod("b"))
    assert [change.entry.name for change in storage.changes(PODS, 2)] == ["b"]


async def test_a_watch_gives_changes_of_its_kind_as_they_happen() -> None:
    storage = Storage()
    storage.create(PODS, pod("a"))
    async with aclosing(storage.watch(PODS, 0)) as changes:
        assert (await anext(changes)).entry.name == "a"
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        storage.create(NODES, {"metadata": {"name": "n"}})
        storage.update(PODS, pod("a", labels={"x": "y"}))
        change = await waiting
        assert (change.type, change.revision) == ("MODIFIED", 3)
        assert change.previous is not None and change.previous.labels == {}
        assert change.entry.labels == {"x": "y"}


def test_dependents_are_found_by_the_uid_of_their_owner() -> None:
    storage = Storage()
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u1"}
    storage.create(PODS, pod("a", ownerReferences=[owner]))
    storage.create(PODS, pod("b"))
    assert [entry.name for _, entry in storage.dependents("u1")] == ["a"]
    storage.update(PODS, pod("b", ownerReferences=[owner]))
    storage.update(PODS, pod("a"))
    assert [entry.name for _, entry in storage.dependents("u1")] == ["b"]
    storage.remove(PODS, "default", "b")
    assert storage.dependents("u1") == []


def test_observers_see_each_write_and_may_write() -> None:
    storage, seen = Storage(), []

    def observe(kind: Kind, change: Any) -> None:
        seen.append((kind.name, change.type, change.entry.name))
        if kind.name == "Node":
            storage.create(PODS, pod("from-observer"))

    storage.observers.append(observe)
    storage.create(NODES, {"metadata": {"name": "n"}})
    assert seen == [("Node", "ADDED", "n"), ("Pod", "ADDED", "from-observer")]
