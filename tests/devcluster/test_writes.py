"""Writing over HTTP: what a POST, PUT and PATCH make, and what is refused."""

from __future__ import annotations

import re

import pytest
from cluster_api import (
    APPLY,
    CONFIG_MAPS,
    JSON_PATCH,
    MERGE,
    NAMESPACES,
    PODS,
    STRATEGIC,
    Api,
    Object,
    config_map,
    pod,
)

from vk.devcluster.cluster import DevCluster

LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"


def lease(name: str, holder: str, **metadata: str) -> Object:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, **metadata},
        "spec": {"holderIdentity": holder},
    }


async def test_a_new_object_gets_what_only_the_server_gives(api: Api) -> None:
    given = config_map("a", k="v")
    given["metadata"] |= {"uid": "mine", "creationTimestamp": "2000-01-01T00:00:00Z"}
    created = await api("POST", f"{CONFIG_MAPS}?fieldManager=test", given)
    metadata = created.body["metadata"]
    assert created.status == 201
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", metadata["uid"])
    assert metadata["creationTimestamp"] > "2020"
    assert metadata["namespace"] == "default"
    (entry,) = metadata["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("test", "Update")
    assert entry["fieldsV1"] == {"f:data": {".": {}, "f:k": {}}}


async def test_a_generated_name_begins_with_its_prefix(api: Api) -> None:
    body = pod("")
    body["metadata"] = {"generateName": "job-"}
    names = {(await api.ok("POST", PODS, body))["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(re.fullmatch(r"job-[bcdfghjklmnpqrstvwxz2456789]{5}", name) for name in names)


@pytest.mark.parametrize(
    ("path", "body", "status", "reason", "message"),
    [
        (
            f"{NAMESPACES}/nowhere/configmaps",
            config_map("a"),
            404,
            "NotFound",
            'namespaces "nowhere" not found',
        ),
        (
            f"{NAMESPACES}/kube-system/configmaps",
            {**config_map("a"), "metadata": {"name": "a", "namespace": "default"}},
            400,
            "BadRequest",
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            CONFIG_MAPS,
            {**config_map("a"), "kind": "Secret"},
            400,
            "BadRequest",
            "Secret in version",
        ),
        (
            CONFIG_MAPS,
            {**config_map("a"), "apiVersion": "v2"},
            400,
            "BadRequest",
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        (CONFIG_MAPS, b"{", 400, "BadRequest", "the object provided is unrecognized"),
        (CONFIG_MAPS, b"", 400, "BadRequest", "the object provided is unrecognized"),
        (CONFIG_MAPS, b"[1]", 400, "BadRequest", "the object provided is unrecognized"),
        (CONFIG_MAPS, config_map("Not Valid"), 422, "Invalid", 'ConfigMap "Not Valid" is invalid'),
        (CONFIG_MAPS, {**config_map("a"), "data": {"k": 5}}, 400, "BadRequest", "cannot unmarshal"),
        (CONFIG_MAPS, {**config_map("a"), "metadata": 5}, 400, "BadRequest", "cannot unmarshal"),
        (PODS, pod("a", containers=[]), 422, "Invalid", "spec.containers: Required value"),
    ],
)
async def test_what_cannot_be_created_is_refused_with_the_reason(
    api: Api, path: str, body: object, status: int, reason: str, message: str
) -> None:
    reply = await api("POST", path, body)
    assert (reply.status, reply.body["reason"]) == (status, reason)
    assert message in reply.body["message"]


async def test_a_name_that_is_taken_is_a_conflict(api: Api) -> None:
    await api.ok("POST", CONFIG_MAPS, config_map("a"))
    reply = await api("POST", CONFIG_MAPS, config_map("a"))
    assert (reply.status, reply.body["reason"]) == (409, "AlreadyExists")
    assert reply.body["message"] == 'configmaps "a" already exists'


async def test_yaml_is_a_body_too(api: Api) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: 'v'\n"
    created = await api.ok("POST", CONFIG_MAPS, text, form="application/yaml")
    assert created["data"] == {"k": "v"}
    reply = await api("POST", CONFIG_MAPS, b"a: [", form="application/yaml")
    assert reply.status == 400
    reply = await api("POST", CONFIG_MAPS, b"x", form="text/plain")
    assert (reply.status, reply.body["reason"]) == (415, "UnsupportedMediaType")


async def test_a_body_over_three_mebibytes_is_too_large(api: Api) -> None:
    reply = await api("POST", CONFIG_MAPS, b" " * (3 * 1024 * 1024 + 1))
    assert (reply.status, reply.body["reason"]) == (413, "RequestEntityTooLarge")


async def test_an_unknown_field_is_refused_only_for_strict_clients(api: Api) -> None:
    body = {**config_map("a"), "datta": {}}
    reply = await api("POST", f"{CONFIG_MAPS}?fieldValidation=Strict", body)
    assert (reply.status, reply.body["reason"]) == (400, "BadRequest")
    assert 'unknown field "datta"' in reply.body["message"]
    created = await api.ok("POST", CONFIG_MAPS, body)
    assert "datta" not in created


async def test_a_put_replaces_and_a_stale_one_is_a_conflict(api: Api) -> None:
    created = await api.ok("POST", CONFIG_MAPS, config_map("a", k="1"))
    changed = await api.ok("PUT", f"{CONFIG_MAPS}/a", {**created, "data": {"n": "2"}})
    assert changed["data"] == {"n": "2"}
    assert changed["metadata"]["uid"] == created["metadata"]["uid"]
    reply = await api("PUT", f"{CONFIG_MAPS}/a", {**created, "data": {"n": "3"}})
    assert (reply.status, reply.body["reason"]) == (409, "Conflict")
    assert reply.body["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; please '
        "apply your changes to the latest version and try again"
    )
    del created["metadata"]["resourceVersion"]
    assert (await api("PUT", f"{CONFIG_MAPS}/a", created)).status == 200


async def test_a_put_needs_the_name_and_the_uid_of_what_is_there(api: Api) -> None:
    created = await api.ok("POST", CONFIG_MAPS, config_map("a"))
    other = {**created, "metadata": {**created["metadata"], "name": "b"}}
    assert (await api("PUT", f"{CONFIG_MAPS}/a", other)).status == 400
    other = {**created, "metadata": {**created["metadata"], "uid": "b"}}
    reply = await api("PUT", f"{CONFIG_MAPS}/a", other)
    assert (reply.status, reply.body["reason"]) == (409, "Conflict")
    assert "Precondition failed: UID in precondition: b" in reply.body["message"]
    assert (await api("PUT", f"{CONFIG_MAPS}/b", config_map("b"))).status == 404


async def test_a_put_creates_a_lease_but_changes_none_without_its_version(api: Api) -> None:
    created = await api("PUT", f"{LEASES}/a", lease("a", "me"))
    assert created.status == 201
    reply = await api("PUT", f"{LEASES}/a", lease("a", "you"))
    assert (reply.status, reply.body["reason"]) == (422, "Invalid")
    version = created.body["metadata"]["resourceVersion"]
    held = await api.ok("PUT", f"{LEASES}/a", lease("a", "you", resourceVersion=version))
    assert held["spec"]["holderIdentity"] == "you"


async def test_a_change_that_changes_nothing_is_not_written(api: Api) -> None:
    created = await api.ok("POST", CONFIG_MAPS, config_map("a", k="v"))
    for method, body, form in (
        ("PUT", created, "application/json"),
        ("PATCH", {"data": {"k": "v"}}, MERGE),
        ("PATCH", {}, STRATEGIC),
    ):
        assert await api.ok(method, f"{CONFIG_MAPS}/a", body, form=form) == created


async def test_the_status_and_the_rest_are_written_apart(api: Api) -> None:
    await api.ok("POST", PODS, {**pod("a"), "status": {"phase": "Running"}})
    body = {"metadata": {"labels": {"x": "y"}}, "status": {"phase": "Failed"}}
    changed = await api.ok("PATCH", f"{PODS}/a", body, form=MERGE)
    assert (changed["metadata"]["labels"], changed["status"]["phase"]) == ({"x": "y"}, "Pending")
    body = {"spec": {"activeDeadlineSeconds": 5}, "status": {"phase": "Running"}}
    changed = await api.ok("PATCH", f"{PODS}/a/status", body, form=MERGE)
    assert "activeDeadlineSeconds" not in changed["spec"]
    assert changed["status"]["phase"] == "Running"
    assert changed["metadata"]["generation"] == 1


async def test_the_generation_counts_changes_of_the_spec_only(api: Api) -> None:
    await api.ok("POST", PODS, pod("a"))
    image = {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}
    changed = await api.ok("PATCH", f"{PODS}/a", image, form=STRATEGIC)
    assert changed["metadata"]["generation"] == 2
    label = {"metadata": {"labels": {"x": "y"}}}
    changed = await api.ok("PATCH", f"{PODS}/a", label, form=STRATEGIC)
    assert changed["metadata"]["generation"] == 2


async def test_each_type_of_patch_changes_an_object_in_its_way(api: Api) -> None:
    await api.ok("POST", CONFIG_MAPS, config_map("a", one="1", two="2"))
    path = f"{CONFIG_MAPS}/a"
    body: object = {"data": {"one": None, "three": "3"}}
    assert (await api.ok("PATCH", path, body, form=MERGE))["data"] == {"two": "2", "three": "3"}
    body = [
        {"op": "test", "path": "/data/two", "value": "2"},
        {"op": "remove", "path": "/data/two"},
    ]
    assert (await api.ok("PATCH", path, body, form=JSON_PATCH))["data"] == {"three": "3"}
    body = {"data": {"$patch": "replace", "four": "4"}}
    assert (await api.ok("PATCH", path, body, form=STRATEGIC))["data"] == {"four": "4"}
    body = config_map("a", five="5")
    applied = await api.ok("PATCH", f"{path}?fieldManager=me", body, form=APPLY)
    assert applied["data"] == {"four": "4", "five": "5"}


@pytest.mark.parametrize(
    ("query", "form", "body", "status"),
    [
        ("", "application/json", {}, 415),
        ("", MERGE, b"{", 400),
        ("", MERGE, [], 400),
        ("", JSON_PATCH, [{"op": "test", "path": "/data/k", "value": "x"}], 422),
        ("", MERGE, {"metadata": {"resourceVersion": "1"}}, 409),
        ("", MERGE, {"metadata": {"uid": "other"}}, 422),
        ("", MERGE, {"metadata": {"name": "other"}}, 400),
        ("", APPLY, config_map("a"), 422),
        ("?force=true", MERGE, {}, 422),
        ("?fieldManager=me", APPLY, {"kind": "ConfigMap"}, 400),
        ("?fieldManager=me", APPLY, config_map("other"), 400),
    ],
)
async def test_a_patch_that_does_not_fit_is_refused_and_changes_nothing(
    api: Api, query: str, form: str, body: object, status: int
) -> None:
    created = await api.ok("POST", CONFIG_MAPS, config_map("a", k="v"))
    reply = await api("PATCH", f"{CONFIG_MAPS}/a{query}", body, form=form)
    assert reply.status == status, reply
    assert reply.body["kind"] == "Status"
    assert await api.ok("GET", f"{CONFIG_MAPS}/a") == created


async def test_only_an_apply_creates(api: Api) -> None:
    assert (await api("PATCH", f"{CONFIG_MAPS}/a", {}, form=MERGE)).status == 404
    body = config_map("a", k="v")
    created = await api("PATCH", f"{CONFIG_MAPS}/a?fieldManager=me", body, form=APPLY)
    assert (created.status, created.body["data"]) == (201, {"k": "v"})
    (entry,) = created.body["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("me", "Apply")


async def test_applying_what_another_manager_has_set_is_a_conflict_that_force_overrides(
    api: Api,
) -> None:
    await api.ok("POST", f"{CONFIG_MAPS}?fieldManager=first", config_map("a", k="v"))
    path, body = f"{CONFIG_MAPS}/a?fieldManager=second", config_map("a", k="w")
    reply = await api("PATCH", path, body, form=APPLY)
    assert (reply.status, reply.body["reason"]) == (409, "Conflict")
    (cause,) = reply.body["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("FieldManagerConflict", ".data.k")
    forced = await api.ok("PATCH", f"{path}&force=true", body, form=APPLY)
    assert forced["data"] == {"k": "w"}


async def test_a_dry_run_answers_and_stores_nothing(dev_cluster: DevCluster, api: Api) -> None:
    await api.ok("POST", CONFIG_MAPS, config_map("there", k="v"))
    before = dev_cluster.storage.revision
    made = await api("POST", f"{CONFIG_MAPS}?dryRun=All", config_map("a"))
    assert (made.status, made.body["metadata"]["name"]) == (201, "a")
    path = f"{CONFIG_MAPS}/there?dryRun=All"
    assert (await api.ok("PATCH", path, {"data": {"k": "w"}}, form=MERGE))["data"] == {"k": "w"}
    assert (await api.ok("DELETE", path))["status"] == "Success"
    taken = await api("POST", f"{CONFIG_MAPS}?dryRun=All", config_map("there"))
    assert taken.status == 409
    assert (await api("POST", f"{CONFIG_MAPS}?dryRun=Some", config_map("b"))).status == 422
    assert dev_cluster.storage.revision == before


async def test_services_get_addresses_and_two_never_the_same(api: Api) -> None:
    path = "/api/v1/namespaces/default/services"

    def service(name: str, **spec: object) -> Object:
        return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}

    given = [(await api.ok("POST", path, service(name)))["spec"]["clusterIP"] for name in "ab"]
    assert len(set(given)) == 2
    assert all(ip.startswith("10.96.") for ip in given)
    assert (await api.ok("POST", path, service("c", clusterIP="None")))["spec"][
        "clusterIP"
    ] == "None"
    reply = await api("POST", path, service("d", clusterIP=given[0]))
    assert (reply.status, reply.body["reason"]) == (422, "Invalid")
    assert "provided IP is already allocated" in reply.body["message"]
    opened = await api.ok("POST", path, service("e", type="NodePort"))
    assert 30000 <= opened["spec"]["ports"][0]["nodePort"] <= 32767


async def test_the_server_refuses_more_objects_than_it_may_hold(
    dev_cluster: DevCluster, api: Api
) -> None:
    storage = dev_cluster.storage
    storage.limit = sum(len(storage.entries(kind)) for kind in storage.kinds()) + 1
    await api.ok("POST", CONFIG_MAPS, config_map("a"))
    reply = await api("POST", CONFIG_MAPS, config_map("b"))
    assert (reply.status, reply.body["kind"]) == (507, "Status")
    await api.ok("DELETE", f"{CONFIG_MAPS}/a")
    await api.ok("POST", CONFIG_MAPS, config_map("b"))
