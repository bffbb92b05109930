"""Reading over HTTP: get, list, pages, selectors, and the forms of answers."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from cluster_api import CONFIG_MAPS, METADATA, PODS, TABLE, Api, config_map, pod

from vk.devcluster.cluster import DevCluster


async def test_an_object_is_read_as_it_was_created(api: Api) -> None:
    created = await api.ok("POST", CONFIG_MAPS, config_map("a", key="value"))
    read = await api.ok("GET", f"{CONFIG_MAPS}/a")
    assert read == created
    assert (read["kind"], read["apiVersion"], read["data"]) == ("ConfigMap", "v1", {"key": "value"})


async def test_a_missing_object_is_a_404_status_that_names_it(api: Api) -> None:
    reply = await api("GET", "/apis/coordination.k8s.io/v1/namespaces/default/leases/x")
    assert reply.status == 404
    assert reply.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'leases.coordination.k8s.io "x" not found',
        "reason": "NotFound",
        "details": {"name": "x", "group": "coordination.k8s.io", "kind": "leases"},
        "code": 404,
    }


async def test_a_list_has_a_revision_and_items_without_kind(api: Api) -> None:
    await api.ok("POST", CONFIG_MAPS, config_map("a"))
    listed = await api.ok("GET", "/api/v1/configmaps")
    assert (listed["kind"], listed["apiVersion"]) == ("ConfigMapList", "v1")
    assert int(listed["metadata"]["resourceVersion"]) > 0
    names = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in listed["items"]}
    assert {("default", "a"), ("kube-system", "kube-root-ca.crt")} <= names
    assert all("kind" not in one for one in listed["items"])


async def test_selectors_choose_by_labels_and_fields(api: Api) -> None:
    for name, labels, node in (("a", {"app": "x"}, "n1"), ("b", {"app": "x"}, ""), ("c", {}, "n1")):
        await api.ok("POST", PODS, pod(name, labels=labels, **({"nodeName": node} if node else {})))

    async def found(query: str) -> list[str]:
        listed = await api.ok("GET", f"{PODS}?{query}")
        return [one["metadata"]["name"] for one in listed["items"]]

    assert await found("labelSelector=app%3Dx") == ["a", "b"]
    assert await found("labelSelector=!app") == ["c"]
    assert await found("fieldSelector=spec.nodeName%3Dn1") == ["a", "c"]
    assert await found("fieldSelector=spec.nodeName%3D") == ["b"]
    assert await found("labelSelector=app&fieldSelector=metadata.name!%3Da") == ["b"]


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        (PODS, "fieldSelector=spec.foo%3Dx", "field label not supported: spec.foo"),
        (
            CONFIG_MAPS,
            "fieldSelector=data%3Dx",
            '"data" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
    ],
)
async def test_an_unknown_field_is_a_bad_request(
    api: Api, path: str, query: str, message: str
) -> None:
    reply = await api("GET", f"{path}?{query}")
    assert (reply.status, reply.body["reason"]) == (400, "BadRequest")
    assert reply.body["message"] == message


async def test_a_selector_that_cannot_be_read_is_a_bad_request(api: Api) -> None:
    reply = await api("GET", f"{PODS}?labelSelector=a%3D%3D%3Db")
    assert (reply.status, reply.body["reason"]) == (400, "BadRequest")


async def test_pages_show_one_moment_though_objects_change_in_between(api: Api) -> None:
    for name in "abcde":
        await api.ok("POST", CONFIG_MAPS, config_map(name))
    first = await api.ok("GET", f"{CONFIG_MAPS}?limit=2")
    assert first["metadata"]["remainingItemCount"] == 4  # with kube-root-ca.crt
    await api.ok("DELETE", f"{CONFIG_MAPS}/c")
    await api.ok("POST", CONFIG_MAPS, config_map("cc"))
    token, names = (
        first["metadata"]["continue"],
        [one["metadata"]["name"] for one in first["items"]],
    )
    while token:
        page = await api.ok("GET", f"{CONFIG_MAPS}?limit=2&continue={quote(token)}")
        assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        names += [one["metadata"]["name"] for one in page["items"]]
        token = page["metadata"].get("continue")
    assert names == ["a", "b", "c", "d", "e", "kube-root-ca.crt"]


async def test_a_token_from_before_a_compaction_is_expired_and_brings_another(
    dev_cluster: DevCluster, api: Api
) -> None:
    for name in "abc":
        await api.ok("POST", CONFIG_MAPS, config_map(name))
    first = await api.ok("GET", f"{CONFIG_MAPS}?limit=1")
    await api.ok("DELETE", f"{CONFIG_MAPS}/b")
    dev_cluster.storage.compact()
    token = quote(first["metadata"]["continue"])
    reply = await api("GET", f"{CONFIG_MAPS}?limit=1&continue={token}")
    assert (reply.status, reply.body["reason"]) == (410, "Expired")
    token = quote(reply.body["metadata"]["continue"])
    rest = await api.ok("GET", f"{CONFIG_MAPS}?limit=9&continue={token}")
    assert [one["metadata"]["name"] for one in rest["items"]] == ["c", "kube-root-ca.crt"]


async def test_a_selection_that_fills_its_last_page_has_no_further_one(api: Api) -> None:
    for name in ("a", "b", "c"):
        body = config_map(name)
        body["metadata"]["labels"] = {"even": str(name == "b")}
        await api.ok("POST", CONFIG_MAPS, body)
    page = await api.ok("GET", f"{CONFIG_MAPS}?limit=1&labelSelector=even%3DTrue")
    assert [one["metadata"]["name"] for one in page["items"]] == ["b"]
    assert set(page["metadata"]) == {"resourceVersion"}


async def test_a_list_at_an_exact_revision_shows_that_moment(
    dev_cluster: DevCluster, api: Api
) -> None:
    await api.ok("POST", CONFIG_MAPS, config_map("a"))
    then = (await api.ok("GET", CONFIG_MAPS))["metadata"]["resourceVersion"]
    await api.ok("DELETE", f"{CONFIG_MAPS}/a")
    path = f"{CONFIG_MAPS}?resourceVersion={then}&resourceVersionMatch=Exact"
    listed = await api.ok("GET", path)
    assert [one["metadata"]["name"] for one in listed["items"]] == ["a", "kube-root-ca.crt"]
    dev_cluster.storage.compact()
    reply = await api("GET", path)
    assert (reply.status, reply.body["reason"]) == (410, "Expired")


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [  # a version that is no number: the real server calls that a failure of its own
        ("resourceVersion=99999999", 504, "Timeout"),
        ("resourceVersion=abc", 500, None),
        ("resourceVersionMatch=Exact", 422, "Invalid"),
        ("resourceVersionMatch=Sometimes&resourceVersion=1", 422, "Invalid"),
        ("sendInitialEvents=true", 422, "Invalid"),
        ("continue=nonsense", 400, "BadRequest"),
        ("limit=many", 400, "BadRequest"),
    ],
)
async def test_options_that_make_no_sense_are_refused(
    api: Api, query: str, status: int, reason: str
) -> None:
    reply = await api("GET", f"{CONFIG_MAPS}?{query}")
    assert (reply.status, reply.body.get("reason")) == (status, reason)


async def test_a_table_has_columns_and_a_row_for_each_object(api: Api) -> None:
    await api.ok("POST", PODS, pod("a"))
    shown = await api.ok("GET", PODS, headers={"Accept": TABLE})
    assert (shown["kind"], shown["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    columns = [one["name"] for one in shown["columnDefinitions"] if not one["priority"]]
    assert columns == ["Name", "Ready", "Status", "Restarts", "Age"]
    assert shown["rows"][0]["cells"][:3] == ["a", "0/1", "Pending"]
    assert shown["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


async def test_metadata_alone_is_the_answer_where_it_is_requested(api: Api) -> None:
    await api.ok("POST", CONFIG_MAPS, config_map("a", secret="no"))
    shown = await api.ok("GET", CONFIG_MAPS, headers={"Accept": METADATA})
    assert (shown["kind"], shown["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert [set(one) for one in shown["items"]] == [{"kind", "apiVersion", "metadata"}] * 2


async def test_protobuf_alone_is_not_acceptable(api: Api) -> None:
    only = {"Accept": "application/vnd.kubernetes.protobuf"}
    reply = await api("GET", PODS, headers=only)
    assert (reply.status, reply.body["reason"]) == (406, "NotAcceptable")
    both = {"Accept": "application/vnd.kubernetes.protobuf,application/json"}
    assert (await api("GET", PODS, headers=both)).status == 200
