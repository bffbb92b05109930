"""Deleting over HTTP: grace periods, finalizers, preconditions, collections."""

from __future__ import annotations

from typing import Any

import pytest
from cluster_api import CONFIG_MAPS, MERGE, NAMESPACES, PODS, Api, Object, config_map, pod

from vk.models.time import now, parse_time

LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"


async def running(api: Api, name: str = "a", **spec: Any) -> Object:
    """Create a pod that runs on a node."""
    await api.ok("POST", PODS, pod(name, nodeName="n1", **spec))
    body = {"status": {"phase": "Running"}}
    started: Object = await api.ok("PATCH", f"{PODS}/{name}/status", body, form=MERGE)
    return started


def grace(seconds: int) -> Object:
    return {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": seconds}


async def test_a_pod_on_a_node_is_marked_and_removed_when_its_kubelet_deletes_it(api: Api) -> None:
    started = await running(api, terminationGracePeriodSeconds=40)
    marked = await api("DELETE", f"{PODS}/a")
    metadata = marked.body["metadata"]
    assert (marked.status, marked.body["kind"]) == (200, "Pod")
    assert metadata["deletionGracePeriodSeconds"] == 40
    assert metadata["generation"] == started["metadata"]["generation"] + 1
    deadline = parse_time(metadata["deletionTimestamp"])
    assert deadline is not None and 30 < (deadline - now()).total_seconds() <= 40
    again = await api.ok("DELETE", f"{PODS}/a")
    assert again == marked.body  # a second wish that asks for nothing changes nothing
    gone = await api.ok("DELETE", f"{PODS}/a", grace(0))
    assert gone["metadata"]["uid"] == metadata["uid"]
    assert (await api("GET", f"{PODS}/a")).status == 404


async def test_a_grace_period_can_shrink_and_never_grow(api: Api) -> None:
    await running(api)
    marked = await api.ok("DELETE", f"{PODS}/a", grace(100))
    longer = await api.ok("DELETE", f"{PODS}/a", grace(200))
    assert longer == marked
    shorter = await api.ok("DELETE", f"{PODS}/a?gracePeriodSeconds=10")
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 10
    before, after = (parse_time(one["metadata"]["deletionTimestamp"]) for one in (marked, shorter))
    assert before is not None and after is not None
    assert (before - after).total_seconds() == 90


@pytest.mark.parametrize("phase", ["Succeeded", "Failed", ""])
async def test_a_pod_that_has_ended_or_no_node_goes_at_once(api: Api, phase: str) -> None:
    if phase:
        await running(api)
        await api.ok("PATCH", f"{PODS}/a/status", {"status": {"phase": phase}}, form=MERGE)
    else:
        await api.ok("POST", PODS, pod("a"))
    await api.ok("DELETE", f"{PODS}/a")
    assert (await api("GET", f"{PODS}/a")).status == 404


async def test_watchers_see_a_pod_marked_before_it_is_gone(api: Api) -> None:
    await running(api)
    async with api.watch(f"{PODS}?watch=1") as watch:
        assert await watch.take(1) == [("ADDED", "a")]
        await api.ok("DELETE", f"{PODS}/a", grace(0))
        modified, deleted = await watch.next(), await watch.next()
    assert (modified["type"], deleted["type"]) == ("MODIFIED", "DELETED")
    assert modified["object"]["metadata"]["deletionGracePeriodSeconds"] == 0


async def test_an_object_with_finalizers_goes_with_the_last_of_them(api: Api) -> None:
    body = config_map("a")
    body["metadata"]["finalizers"] = ["example.com/one", "example.com/two"]
    await api.ok("POST", CONFIG_MAPS, body)
    marked = await api("DELETE", f"{CONFIG_MAPS}/a")
    assert (marked.status, marked.body["kind"]) == (200, "ConfigMap")
    assert marked.body["metadata"]["deletionGracePeriodSeconds"] == 0
    path, one_left = f"{CONFIG_MAPS}/a", {"metadata": {"finalizers": ["example.com/two"]}}
    await api.ok("PATCH", path, one_left, form=MERGE)
    taken = await api("POST", CONFIG_MAPS, config_map("a"))
    assert taken.body["message"] == 'object is being deleted: configmaps "a" already exists'
    last = await api.ok("PATCH", path, {"metadata": {"finalizers": None}}, form=MERGE)
    assert "finalizers" not in last["metadata"]
    assert (await api("GET", path)).status == 404


async def test_a_pod_with_a_finalizer_stays_after_its_kubelet_is_done(api: Api) -> None:
    body = pod("a", nodeName="n1")
    body["metadata"]["finalizers"] = ["example.com/one"]
    await api.ok("POST", PODS, body)
    await api.ok("DELETE", f"{PODS}/a", grace(5))
    stays = await api.ok("DELETE", f"{PODS}/a", grace(0))
    assert stays["metadata"]["finalizers"] == ["example.com/one"]
    await api.ok("PATCH", f"{PODS}/a", {"metadata": {"finalizers": None}}, form=MERGE)
    assert (await api("GET", f"{PODS}/a")).status == 404


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
async def test_a_precondition_that_fails_keeps_the_object(api: Api, field: str) -> None:
    created = await api.ok("POST", CONFIG_MAPS, config_map("a"))
    wrong = {"preconditions": {field: "1"}}
    reply = await api("DELETE", f"{CONFIG_MAPS}/a", wrong)
    assert (reply.status, reply.body["reason"]) == (409, "Conflict")
    assert "in the precondition (1) does not match" in reply.body["message"]
    right = {"preconditions": {field: created["metadata"][field]}}
    done = await api.ok("DELETE", f"{CONFIG_MAPS}/a", right)
    assert done["details"] == {"name": "a", "kind": "configmaps", "uid": created["metadata"]["uid"]}


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"propagationPolicy": "Sideways"}, 422),
        ({"propagationPolicy": "Orphan", "orphanDependents": True}, 422),
        ({"gracePeriodSeconds": "soon"}, 400),
        ([1], 400),
        (b"{", 400),
    ],
)
async def test_options_that_make_no_sense_are_refused(
    api: Api, options: object, status: int
) -> None:
    await api.ok("POST", CONFIG_MAPS, config_map("a"))
    assert (await api("DELETE", f"{CONFIG_MAPS}/a", options)).status == status
    assert (await api("GET", f"{CONFIG_MAPS}/a")).status == 200


async def test_a_collection_is_deleted_by_selector_and_answered_as_it_was(api: Api) -> None:
    for name, labels in (("a", {"x": "1"}), ("b", {"x": "2"}), ("c", {"x": "1"})):
        await api.ok("POST", PODS, pod(name, labels=labels, nodeName="n1"))
    deleted = await api.ok("DELETE", f"{PODS}?labelSelector=x%3D1", grace(0))
    assert deleted["kind"] == "PodList"
    assert [one["metadata"]["name"] for one in deleted["items"]] == ["a", "c"]
    left = await api.ok("GET", PODS)
    assert [one["metadata"]["name"] for one in left["items"]] == ["b"]


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_the_namespaces_of_the_cluster_itself_cannot_be_deleted(api: Api, name: str) -> None:
    reply = await api("DELETE", f"{NAMESPACES}/{name}")
    assert (reply.status, reply.body["reason"]) == (403, "Forbidden")
    assert reply.body["message"].endswith("this namespace may not be deleted")


async def test_an_eviction_marks_the_pod_and_deletes_it(api: Api) -> None:
    await running(api)
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": "a"},
        "deleteOptions": {"gracePeriodSeconds": 7},
    }
    reply = await api("POST", f"{PODS}/a/eviction", body)
    assert (reply.status, reply.body["status"]) == (201, "Success")
    evicted = await api.ok("GET", f"{PODS}/a")
    assert evicted["metadata"]["deletionGracePeriodSeconds"] == 7
    (condition,) = evicted["status"]["conditions"]
    assert (condition["type"], condition["reason"]) == ("DisruptionTarget", "EvictionByEvictionAPI")


async def test_a_binding_gives_a_pod_its_node_once(api: Api) -> None:
    await api.ok("POST", PODS, pod("a"))
    binding = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}}
    reply = await api("POST", f"{PODS}/a/binding", binding)
    assert (reply.status, reply.body["status"]) == (201, "Success")
    bound = await api.ok("GET", f"{PODS}/a")
    assert bound["spec"]["nodeName"] == "n1"
    (condition,) = bound["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("PodScheduled", "True")
    again = await api("POST", "/api/v1/namespaces/default/bindings", binding)
    assert (again.status, again.body["reason"]) == (409, "Conflict")
    assert again.body["message"].endswith('pod a is already assigned to node "n1"')
    assert (await api("POST", f"{PODS}/b/binding", {**binding, "metadata": {}})).status == 404
    assert (await api("POST", f"{PODS}/a/binding", {"target": {}})).status == 422
