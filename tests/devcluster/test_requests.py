"""What the server says to every request: paths, methods, discovery, health."""

from __future__ import annotations

from typing import Any

import pytest
from cluster_api import CONFIG_MAPS, PODS, Api, config_map

from vk.devcluster.cluster import DevCluster
from vk.devcluster.kinds import KINDS, Kind
from vk.devcluster.storage.storage import Change


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/nonsense",
        "/api/v2/pods",
        "/apis/apps/v1/namespaces/default/deployments",
        "/apis/nowhere.example.com/v1/things",
        "/apis/nowhere.example.com",
        "/api/v1/pods/a",
        "/api/v1/namespaces/default/nodes",
        f"{PODS}/a/nonsense",
        f"{PODS}/a/status/more",
        "/api/v1//pods",
        "/openapi/v3/apis/apps/v1",
        "/swagger.json",
    ],
)
async def test_an_unknown_path_is_a_404_status(api: Api, path: str) -> None:
    reply = await api("GET", path)
    assert reply.status == 404
    assert (reply.body["kind"], reply.body["reason"]) == ("Status", "NotFound")
    assert reply.body["message"] == "the server could not find the requested resource"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{PODS}/a"),
        ("PUT", PODS),
        ("PATCH", PODS),
        ("POST", "/api/v1/pods"),
        ("DELETE", "/api/v1/pods"),
        ("DELETE", "/api/v1/namespaces"),
        ("DELETE", f"{PODS}/a/status"),
        ("GET", f"{PODS}/a/binding"),
        ("GET", "/apis/authentication.k8s.io/v1/tokenreviews"),
        ("OPTIONS", PODS),
        ("POST", "/version/x"),
    ],
)
async def test_a_method_that_does_not_fit_is_refused(api: Api, method: str, path: str) -> None:
    reply = await api(method, path, {})
    assert (reply.status, reply.body["kind"]) in ((405, "Status"), (404, "Status"))
    assert (reply.status == 404) == (path == "/version/x")


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/readyz/ping", "/livez/ping"])
async def test_the_server_is_well(api: Api, path: str) -> None:
    reply = await api("GET", path)
    assert (reply.status, reply.body) == (200, "ok")


async def test_the_version_is_that_of_the_kubernetes_it_follows(api: Api) -> None:
    version = await api.ok("GET", "/version")
    assert (version["major"], version["minor"]) == ("1", "36")
    assert version["gitVersion"].startswith("v1.36.")


async def test_plain_and_aggregated_discovery_name_the_same_resources(api: Api) -> None:
    plain: set[tuple[str, str, str, str]] = set()
    core = await api.ok("GET", "/api")
    assert core["versions"] == ["v1"]
    groups = await api.ok("GET", "/apis")
    paths = ["/api/v1"] + [
        f"/apis/{version['groupVersion']}"
        for group in groups["groups"]
        for version in group["versions"]
    ]
    for path in paths:
        listed = await api.ok("GET", path)
        for one in listed["resources"]:
            plain.add((listed["groupVersion"], one["name"], one["kind"], " ".join(one["verbs"])))
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    aggregated: set[tuple[str, str, str, str]] = set()
    for path in ("/api", "/apis"):
        document = await api.ok("GET", path, headers={"Accept": accept})
        assert document["kind"] == "APIGroupDiscoveryList"
        for group in document["items"]:
            aggregated |= described(group)
    assert aggregated == plain
    assert {(kind.api_version, kind.plural) for kind in KINDS} <= {one[:2] for one in plain}


def described(group: dict[str, Any]) -> set[tuple[str, str, str, str]]:
    """Return the resources and subresources of a group in the aggregated form."""
    found = set()
    for version in group["versions"]:
        name = group["metadata"].get("name", "")
        prefix = f"{name}/{version['version']}" if name else version["version"]
        for one in version["resources"]:
            kind, verbs = one["responseKind"]["kind"], " ".join(one["verbs"])
            found.add((prefix, one["resource"], kind, verbs))
            for part in one.get("subresources", ()):
                kind, verbs = part["responseKind"]["kind"], " ".join(part["verbs"])
                found.add((prefix, f"{one['resource']}/{part['subresource']}", kind, verbs))
    return found


async def test_each_group_is_described_by_itself(api: Api) -> None:
    group = await api.ok("GET", "/apis/coordination.k8s.io")
    assert group["kind"] == "APIGroup"
    assert group["preferredVersion"]["groupVersion"] == "coordination.k8s.io/v1"


async def test_openapi_has_what_kubectl_looks_for(api: Api) -> None:
    index = await api.ok("GET", "/openapi/v3")
    page = await api.ok("GET", index["paths"]["api/v1"]["serverRelativeURL"])
    patch = page["paths"]["/api/v1/namespaces/{namespace}/configmaps/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"]["kind"] == "ConfigMap"
    assert "fieldValidation" in [one["name"] for one in patch["parameters"]]


async def test_a_failure_inside_is_a_status_and_the_server_goes_on(
    dev_cluster: DevCluster, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(kind: Kind, change: Change) -> None:
        raise RuntimeError("broken inside")

    dev_cluster.storage.observers.append(fail)
    reply = await api("POST", CONFIG_MAPS, config_map("a"))
    dev_cluster.storage.observers.remove(fail)
    assert (reply.status, reply.body["reason"]) == (500, "InternalError")
    assert "request failed" in caplog.text
    assert (await api("GET", CONFIG_MAPS)).status == 200


async def test_requests_are_counted_as_a_real_api_server_counts_them(api: Api) -> None:
    await api.ok("POST", CONFIG_MAPS, config_map("a"))
    for _ in range(2):
        await api.ok("GET", f"{CONFIG_MAPS}/a")
    assert (await api("GET", f"{CONFIG_MAPS}/b")).status == 404
    await api.ok("GET", PODS)
    lines = (await api.ok("GET", "/metrics")).splitlines()
    rest = 'group="",resource="configmaps",subresource=""'
    assert f'apiserver_request_total{{code="201",{rest},verb="POST",version="v1"}} 1' in lines
    assert f'apiserver_request_total{{code="200",{rest},verb="GET",version="v1"}} 2' in lines
    assert f'apiserver_request_total{{code="404",{rest},verb="GET",version="v1"}} 1' in lines
    assert any('resource="pods"' in line and 'verb="LIST"' in line for line in lines)
