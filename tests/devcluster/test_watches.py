"""Watching over HTTP: what is sent, from where on, and how a watch ends."""

from __future__ import annotations

import pytest
from cluster_api import CONFIG_MAPS, MERGE, PODS, TABLE, Api, Object, config_map, pod

from vk.devcluster.cluster import DevCluster


async def revision(api: Api) -> str:
    listed = await api.ok("GET", CONFIG_MAPS)
    found: str = listed["metadata"]["resourceVersion"]
    return found


async def label(api: Api, name: str, value: str | None) -> Object:
    body = {"metadata": {"labels": {"on": value}}}
    changed: Object = await api.ok("PATCH", f"{CONFIG_MAPS}/{name}", body, form=MERGE)
    return changed


async def test_a_watch_gives_each_change_after_its_revision(api: Api) -> None:
    await api.ok("POST", CONFIG_MAPS, config_map("before"))
    async with api.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion={await revision(api)}") as watch:
        await api.ok("POST", CONFIG_MAPS, config_map("a"))
        changed = await label(api, "a", "yes")
        gone = await api.ok("DELETE", f"{CONFIG_MAPS}/a")
        assert gone["status"] == "Success"
        added, modified, deleted = [await watch.next() for _ in range(3)]
    assert [one["type"] for one in (added, modified, deleted)] == ["ADDED", "MODIFIED", "DELETED"]
    assert modified["object"] == changed
    assert deleted["object"]["metadata"]["labels"] == {"on": "yes"}
    versions = [int(one["object"]["metadata"]["resourceVersion"]) for one in (modified, deleted)]
    assert versions[1] > versions[0]


async def test_a_watch_resumes_where_another_one_ended(api: Api) -> None:
    start = await revision(api)
    for name in "abc":
        await api.ok("POST", CONFIG_MAPS, config_map(name))
    async with api.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion={start}") as watch:
        first = await watch.next()
    seen = first["object"]["metadata"]["resourceVersion"]
    async with api.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion={seen}") as watch:
        assert await watch.take(2) == [("ADDED", "b"), ("ADDED", "c")]


@pytest.mark.parametrize("query", ["", "&resourceVersion=0"])
async def test_without_a_revision_a_watch_begins_with_what_is_there(api: Api, query: str) -> None:
    await api.ok("POST", CONFIG_MAPS, config_map("a"))
    async with api.watch(f"{CONFIG_MAPS}?watch=1{query}") as watch:
        assert await watch.take(2) == [("ADDED", "a"), ("ADDED", "kube-root-ca.crt")]
        await api.ok("POST", CONFIG_MAPS, config_map("b"))
        assert await watch.take(1) == [("ADDED", "b")]


async def test_initial_events_end_with_a_marked_bookmark(api: Api) -> None:
    await api.ok("POST", CONFIG_MAPS, config_map("a"))
    now = await revision(api)
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    async with api.watch(f"{CONFIG_MAPS}?{query}&allowWatchBookmarks=true") as watch:
        assert await watch.take(2) == [("ADDED", "a"), ("ADDED", "kube-root-ca.crt")]
        mark = await watch.next()
        assert mark["type"] == "BOOKMARK"
        assert (mark["object"]["kind"], mark["object"]["apiVersion"]) == ("ConfigMap", "v1")
        assert mark["object"]["metadata"] == {
            "resourceVersion": now,
            "annotations": {"k8s.io/initial-events-end": "true"},
        }
        await api.ok("POST", CONFIG_MAPS, config_map("b"))
        assert await watch.take(1) == [("ADDED", "b")]


@pytest.mark.slow
async def test_a_watch_ends_after_its_time_with_a_bookmark_before(api: Api) -> None:
    query = f"watch=1&resourceVersion={await revision(api)}&timeoutSeconds=1"
    await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
    async with api.watch(f"{CONFIG_MAPS}?{query}&allowWatchBookmarks=true") as watch:
        events = await watch.rest_of()
    assert [one["type"] for one in events] == ["BOOKMARK"]
    assert events[0]["object"]["metadata"]["resourceVersion"] == await revision(api)


async def test_a_selector_that_begins_or_ceases_to_match_adds_and_deletes(api: Api) -> None:
    query = f"watch=1&labelSelector=on%3Dyes&resourceVersion={await revision(api)}"
    async with api.watch(f"{CONFIG_MAPS}?{query}") as watch:
        await api.ok("POST", CONFIG_MAPS, config_map("a"))
        await label(api, "a", "yes")
        ceased = await label(api, "a", "no")
        await label(api, "a", None)
        await label(api, "a", "yes")
        await api.ok("DELETE", f"{CONFIG_MAPS}/a")
        events = [await watch.next() for _ in range(4)]
    assert [one["type"] for one in events] == ["ADDED", "DELETED", "ADDED", "DELETED"]
    last = events[1]["object"]["metadata"]
    assert last["labels"] == {"on": "yes"}  # the last state that matched, at the later revision
    assert last["resourceVersion"] == ceased["metadata"]["resourceVersion"]


async def test_a_node_s_watch_gets_a_pod_when_it_is_bound(api: Api) -> None:
    query = "watch=1&fieldSelector=spec.nodeName%3Dn1"
    async with api.watch(f"/api/v1/pods?{query}") as watch:
        await api.ok("POST", PODS, pod("a"))
        await api.ok("POST", PODS, pod("b"))
        binding = {"target": {"kind": "Node", "name": "n1"}}
        await api.ok("POST", f"{PODS}/b/binding", binding)
        assert await watch.take(1) == [("ADDED", "b")]


async def test_one_object_is_watched_by_name(api: Api) -> None:
    async with api.watch(f"{CONFIG_MAPS}?watch=1&fieldSelector=metadata.name%3Db") as watch:
        await api.ok("POST", CONFIG_MAPS, config_map("a"))
        await api.ok("POST", CONFIG_MAPS, config_map("b"))
        assert await watch.take(1) == [("ADDED", "b")]
    async with api.watch(f"{CONFIG_MAPS}/a?watch=1") as watch:
        assert await watch.take(1) == [("ADDED", "a")]


async def test_a_revision_from_before_a_compaction_is_an_error_event(
    dev_cluster: DevCluster, api: Api
) -> None:
    start = await revision(api)
    await api.ok("POST", CONFIG_MAPS, config_map("a"))
    await api.ok("POST", CONFIG_MAPS, config_map("b"))
    dev_cluster.storage.compact()
    async with api.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion={start}") as watch:
        (event,) = await watch.rest_of()
    assert event["type"] == "ERROR"
    status = event["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert status["message"].startswith(f"too old resource version: {start} (")


async def test_an_open_watch_survives_a_compaction_that_it_has_no_part_in(
    dev_cluster: DevCluster, api: Api
) -> None:
    async with api.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion={await revision(api)}") as watch:
        await api.ok("POST", CONFIG_MAPS, config_map("a"))
        assert await watch.take(1) == [("ADDED", "a")]
        await api.ok("POST", PODS, pod("p"))
        dev_cluster.storage.compact()
        await api.ok("POST", CONFIG_MAPS, config_map("b"))
        assert await watch.take(1) == [("ADDED", "b")]


async def test_a_table_watch_describes_its_columns_once(api: Api) -> None:
    await api.ok("POST", PODS, pod("a"))
    async with api.watch(f"{PODS}?watch=1", Accept=TABLE) as watch:
        first = await watch.next()
        await api.ok("POST", PODS, pod("b"))
        second = await watch.next()
    assert [one["object"]["kind"] for one in (first, second)] == ["Table", "Table"]
    assert first["object"]["columnDefinitions"] and not second["object"].get("columnDefinitions")
    assert [one["object"]["rows"][0]["cells"][0] for one in (first, second)] == ["a", "b"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("sendInitialEvents=true", 422),
        ("resourceVersionMatch=NotOlderThan", 422),
        ("resourceVersionMatch=Exact&sendInitialEvents=true", 422),
        ("resourceVersion=x", 500),
        ("labelSelector=%2C%2C", 400),
        ("fieldSelector=spec.x%3D1", 400),
        ("timeoutSeconds=soon", 400),
    ],
)
async def test_a_watch_that_makes_no_sense_is_refused_before_it_begins(
    api: Api, query: str, status: int
) -> None:
    assert (await api("GET", f"{CONFIG_MAPS}?watch=1&{query}")).status == status


async def test_many_changes_reach_every_watcher_in_order(api: Api) -> None:
    path = f"{CONFIG_MAPS}?watch=1&resourceVersion={await revision(api)}"
    async with api.watch(path) as one, api.watch(path) as other:
        for number in range(60):
            await api.ok("POST", CONFIG_MAPS, config_map(f"c{number}"))
        expected = [("ADDED", f"c{number}") for number in range(60)]
        assert await one.take(60) == expected
        assert await other.take(60) == expected
