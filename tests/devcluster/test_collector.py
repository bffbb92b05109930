"""What goes because something else went: dependents and the contents of namespaces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from cluster_api import CONFIG_MAPS, MERGE, NAMESPACES, PODS, Api, Object, config_map, pod

from vk.devcluster.cluster import DevCluster
from vk.devcluster.kinds import Kind, find


def kind_of(plural: str) -> Kind:
    kind = find("", "v1", plural)
    assert kind is not None
    return kind


async def settled(cluster: DevCluster, plural: str, reached: Callable[[], bool]) -> None:
    """Return once objects of a kind are in a state; fails after 5 s."""
    storage = cluster.storage
    async with asyncio.timeout(5):
        while not reached():
            await storage.wait(kind_of(plural), storage.revision)


def there(cluster: DevCluster, plural: str, namespace: str = "default") -> list[str]:
    """Return the names of what is in a namespace."""
    entries = cluster.storage.entries(kind_of(plural), namespace)
    names = [entry.name for entry in entries]
    return [name for name in names if name not in ("kube-root-ca.crt", "default")]


def owned(name: str, *owners: Object, blocks: bool = False) -> Object:
    """Return a ConfigMap that belongs to other ConfigMaps."""
    body = config_map(name)
    body["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": blocks,
        }
        for owner in owners
    ]
    return body


async def test_dependents_go_after_their_owner(dev_cluster: DevCluster, api: Api) -> None:
    owner = await api.ok("POST", CONFIG_MAPS, config_map("owner"))
    child = await api.ok("POST", CONFIG_MAPS, owned("child", owner))
    await api.ok("POST", CONFIG_MAPS, owned("grandchild", child))
    await api.ok("POST", CONFIG_MAPS, config_map("stranger"))
    await api.ok("DELETE", f"{CONFIG_MAPS}/owner")
    await settled(
        dev_cluster, "configmaps", lambda: there(dev_cluster, "configmaps") == ["stranger"]
    )


async def test_a_dependent_with_another_owner_stays_and_loses_the_deleted_one(
    dev_cluster: DevCluster, api: Api
) -> None:
    first = await api.ok("POST", CONFIG_MAPS, config_map("first"))
    second = await api.ok("POST", CONFIG_MAPS, config_map("second"))
    await api.ok("POST", CONFIG_MAPS, owned("child", first, second))
    async with api.watch(f"{CONFIG_MAPS}/child?watch=1") as watch:
        await watch.next()
        await api.ok("DELETE", f"{CONFIG_MAPS}/first")
        changed = await watch.next()
    owners = changed["object"]["metadata"]["ownerReferences"]
    assert [one["name"] for one in owners] == ["second"]


async def test_in_the_foreground_the_owner_waits_for_those_that_block_it(
    dev_cluster: DevCluster, api: Api
) -> None:
    owner = await api.ok("POST", CONFIG_MAPS, config_map("owner"))
    body = owned("child", owner, blocks=True)
    body["metadata"]["finalizers"] = ["example.com/slow"]
    await api.ok("POST", CONFIG_MAPS, body)
    options = {"propagationPolicy": "Foreground"}
    marked = await api.ok("DELETE", f"{CONFIG_MAPS}/owner", options)
    assert marked["metadata"]["finalizers"] == ["foregroundDeletion"]
    async with api.watch(f"{CONFIG_MAPS}/child?watch=1") as watch:
        while not (await watch.next())["object"]["metadata"].get("deletionTimestamp"):
            pass
    assert there(dev_cluster, "configmaps") == ["child", "owner"]
    await api.ok("PATCH", f"{CONFIG_MAPS}/child", {"metadata": {"finalizers": None}}, form=MERGE)
    await settled(dev_cluster, "configmaps", lambda: there(dev_cluster, "configmaps") == [])


async def test_orphans_stay_without_their_owner(dev_cluster: DevCluster, api: Api) -> None:
    owner = await api.ok("POST", CONFIG_MAPS, config_map("owner"))
    await api.ok("POST", CONFIG_MAPS, owned("child", owner))
    await api.ok("DELETE", f"{CONFIG_MAPS}/owner", {"propagationPolicy": "Orphan"})
    await settled(dev_cluster, "configmaps", lambda: there(dev_cluster, "configmaps") == ["child"])
    child = await api.ok("GET", f"{CONFIG_MAPS}/child")
    assert "ownerReferences" not in child["metadata"]


async def test_an_owner_that_never_was_takes_its_dependent_along(
    dev_cluster: DevCluster, api: Api
) -> None:
    ghost = {"metadata": {"name": "ghost", "uid": "no-such-uid"}}
    await api.ok("POST", CONFIG_MAPS, owned("child", ghost))
    await settled(dev_cluster, "configmaps", lambda: there(dev_cluster, "configmaps") == [])


async def test_an_owner_of_a_kind_that_is_not_here_counts_as_present(
    dev_cluster: DevCluster, api: Api
) -> None:
    body = pod("web-1")
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u"}
    body["metadata"]["ownerReferences"] = [reference]
    await api.ok("POST", PODS, body)
    ghost = {"metadata": {"name": "ghost", "uid": "no-such-uid"}}
    await api.ok("POST", CONFIG_MAPS, owned("child", ghost))
    await settled(dev_cluster, "configmaps", lambda: there(dev_cluster, "configmaps") == [])
    assert there(dev_cluster, "pods") == ["web-1"]


async def test_a_namespace_goes_with_everything_in_it(dev_cluster: DevCluster, api: Api) -> None:
    created = await api.ok("POST", NAMESPACES, {"metadata": {"name": "team"}})
    assert created["status"] == {"phase": "Active"}
    path = f"{NAMESPACES}/team"
    await api.ok("POST", f"{path}/configmaps", config_map("a"))
    await api.ok("POST", f"{path}/pods", pod("on-node", nodeName="n1"))
    await api.ok("POST", f"{path}/pods", pod("pending"))
    marked = await api.ok("DELETE", path)
    assert marked["status"]["phase"] == "Terminating"
    refused = await api("POST", f"{path}/configmaps", config_map("late"))
    assert (refused.status, refused.body["reason"]) == (403, "Forbidden")
    (cause,) = refused.body["details"]["causes"]
    assert cause["reason"] == "NamespaceTerminating"
    await settled(dev_cluster, "pods", lambda: there(dev_cluster, "pods", "team") == ["on-node"])
    assert (await api("GET", path)).status == 200
    left = await api.ok("GET", f"{path}/pods/on-node")
    assert left["metadata"]["deletionGracePeriodSeconds"] == 30
    await api.ok("DELETE", f"{path}/pods/on-node?gracePeriodSeconds=0")
    await settled(
        dev_cluster, "namespaces", lambda: "team" not in there(dev_cluster, "namespaces", "")
    )
    assert (await api("GET", f"{path}/configmaps")).body["items"] == []


async def test_a_namespace_with_a_finalizer_of_its_own_waits_for_that(
    dev_cluster: DevCluster, api: Api
) -> None:
    body = {"metadata": {"name": "team", "finalizers": ["example.com/mine"]}}
    await api.ok("POST", NAMESPACES, body)
    await api.ok("DELETE", f"{NAMESPACES}/team")
    await settled(dev_cluster, "namespaces", lambda: not spec_of(dev_cluster, "team"))
    assert dev_cluster.storage.is_empty("team")
    path, free = f"{NAMESPACES}/team", {"metadata": {"finalizers": None}}
    await api.ok("PATCH", path, free, form=MERGE)
    assert (await api("GET", path)).status == 404


async def test_finalize_takes_a_namespace_s_own_finalizers(
    dev_cluster: DevCluster, api: Api
) -> None:
    body = {"metadata": {"name": "team"}, "spec": {"finalizers": ["kubernetes", "example.com/x"]}}
    await api.ok("POST", NAMESPACES, body)
    await api.ok("DELETE", f"{NAMESPACES}/team")
    left = ["example.com/x"]
    await settled(
        dev_cluster, "namespaces", lambda: spec_of(dev_cluster, "team") == {"finalizers": left}
    )
    waiting = await api.ok("GET", f"{NAMESPACES}/team")
    waiting["spec"] = {}
    await api.ok("PUT", f"{NAMESPACES}/team/finalize", waiting)
    assert (await api("GET", f"{NAMESPACES}/team")).status == 404


def spec_of(cluster: DevCluster, namespace: str) -> Any:
    found = cluster.storage.get(kind_of("namespaces"), "", namespace)
    return (found or {}).get("spec") or {}


@pytest.mark.slow
async def test_a_thousand_dependents_go_too(dev_cluster: DevCluster, api: Api) -> None:
    owner = await api.ok("POST", CONFIG_MAPS, config_map("owner"))
    for number in range(1000):
        await api.ok("POST", CONFIG_MAPS, owned(f"child-{number}", owner))
    await api.ok("DELETE", f"{CONFIG_MAPS}/owner")
    await settled(dev_cluster, "configmaps", lambda: there(dev_cluster, "configmaps") == [])
