"""Logs and the nodes' proxy: what the kubelet is asked, and what clients hear of its answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from cluster_api import PODS, Api, api_of, pod
from scripted_kubelet import (
    EXEC,
    LOGS,
    Asked,
    Connection,
    ScriptedKubelet,
    make_node,
    make_pod,
    scripted_kubelet,
)

from vk.devcluster.cluster import DevCluster

PROXY = "/api/v1/nodes/n1/proxy"


@pytest_asyncio.fixture
async def kubelet(dev_cluster: DevCluster, api: Api) -> AsyncIterator[ScriptedKubelet]:
    async with scripted_kubelet(dev_cluster) as kubelet:
        await make_node(api, kubelet.port)
        await make_pod(api)
        yield kubelet


def says(status: int, body: bytes = b"", **headers: str) -> Any:
    async def script(asked: Asked, connection: Connection) -> None:
        await connection.answer(status, body, **headers)

    return script


async def test_the_kubelet_gets_every_option_of_a_log(kubelet: ScriptedKubelet, api: Api) -> None:
    kubelet.script = says(200, b"one\ntwo\n")
    query = (
        "container=main&follow=false&tailLines=0&limitBytes=9&sinceSeconds=5&timestamps=true"
        "&previous=true&stream=Stderr"
    )
    reply = await api("GET", f"{LOGS}?{query}")
    assert (reply.status, reply.body) == (200, "one\ntwo\n")
    asked = kubelet.asked[0]
    assert (asked.method, asked.path) == ("GET", "/containerLogs/default/web/main")
    assert asked.query == {
        "tailLines": ["0"],
        "limitBytes": ["9"],
        "sinceSeconds": ["5"],
        "timestamps": ["true"],
        "previous": ["true"],
        "stream": ["Stderr"],
    }
    assert asked.user == "kube-apiserver-kubelet-client"


async def test_the_only_container_needs_no_name(kubelet: ScriptedKubelet, api: Api) -> None:
    kubelet.script = says(200, b"")
    since = "2026-01-31T12:00:00Z"
    assert (await api("GET", f"{LOGS}?follow=true&sinceTime={since}")).status == 200
    assert kubelet.asked[0].target == (
        "/containerLogs/default/web/main?follow=true&sinceTime=2026-01-31T12%3A00%3A00Z"
    )


async def test_a_log_comes_piece_by_piece(kubelet: ScriptedKubelet, api: Api) -> None:
    more = asyncio.Event()

    async def script(asked: Asked, connection: Connection) -> None:
        await connection.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await connection.say(b"4\r\none\n\r\n")
        await more.wait()
        await connection.say(b"4\r\ntwo\n\r\n0\r\n\r\n")

    kubelet.script = script
    async with asyncio.timeout(5), api.session.get(f"{api.url}{LOGS}?follow=1") as response:
        assert await response.content.readline() == b"one\n"
        assert response.content_type == "text/plain"
        more.set()
        assert await response.content.read() == b"two\n"


async def test_a_client_that_leaves_ends_the_request_to_the_kubelet(
    kubelet: ScriptedKubelet, api: Api
) -> None:
    async def script(asked: Asked, connection: Connection) -> None:
        await connection.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n")
        assert not await connection.reader.read()
        raise EOFError

    kubelet.script = script
    response = await api.session.get(f"{api.url}{LOGS}?follow=1")
    assert await response.content.readline() == b"one\n"
    response.close()
    async with asyncio.timeout(5):
        await kubelet.left.wait()


async def test_a_log_that_breaks_off_is_no_complete_log(kubelet: ScriptedKubelet, api: Api) -> None:
    async def script(asked: Asked, connection: Connection) -> None:
        await connection.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none\n")
        raise EOFError

    kubelet.script = script
    with pytest.raises(aiohttp.ClientError):
        await api("GET", LOGS)


ANSWERS = [
    (400, b"bad tail", 400, "BadRequest", "bad tail"),
    (500, b"no disk", 500, "InternalError", "Internal error occurred: no disk"),
    (
        404,
        b"gone",
        404,
        "NotFound",
        "the server could not find the requested resource ( pods/log web)",
    ),
    (403, b"Forbidden (user=x)", 403, "Forbidden", "Forbidden (user=x) ( pods/log web)"),
    (
        501,
        b'this provider has "no" logs\n',
        501,
        "InternalError",
        'an error on the server ("this provider has \\"no\\" logs") has prevented the request from '
        "succeeding ( pods/log web)",
    ),
    (
        503,
        b"later",
        503,
        "ServiceUnavailable",
        "the server is currently unable to handle the request ( pods/log web)",
    ),
    (
        418,
        b"tea",
        418,
        None,
        "the server responded with the status code 418 but did not return more information "
        "( pods/log web)",
    ),
]


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: str(case[0]))
async def test_a_refusal_of_the_kubelet_is_reported(
    kubelet: ScriptedKubelet, api: Api, case: tuple[int, bytes, int, str | None, str]
) -> None:
    said, body, status, reason, message = case
    kubelet.script = says(said, body)
    reply = await api("GET", LOGS)
    assert reply.status == status
    assert (reply.body.get("reason"), reply.body["message"]) == (reason, message)


WRONG = [
    ("GET", f"{PODS}/no/log", 404, "NotFound", 'pods "no" not found'),
    ("GET", f"{LOGS}?container=x", 400, "BadRequest", "container x is not valid for pod web"),
    (
        "GET",
        f"{PODS}/two/log",
        400,
        "BadRequest",
        "a container name must be specified for pod two, choose one of: [first a b]",
    ),
    ("GET", f"{LOGS}?tailLines=x", 400, "BadRequest", "invalid syntax"),
    (
        "GET",
        f"{LOGS}?tailLines=-1",
        422,
        "Invalid",
        'PodLogOptions "web" is invalid: tailLines: Invalid value: -1: must be greater than or '
        "equal to 0",
    ),
    ("GET", f"{LOGS}?limitBytes=0", 422, "Invalid", "limitBytes: Invalid value: 0"),
    ("GET", f"{LOGS}?sinceSeconds=0", 422, "Invalid", "sinceSeconds: Invalid value: 0"),
    ("GET", f"{LOGS}?sinceTime=now", 400, "BadRequest", 'parsing time "now"'),
    (
        "GET",
        f"{LOGS}?sinceSeconds=1&sinceTime=2026-01-31T12:00:00Z",
        422,
        "Invalid",
        "at most one of `sinceTime` or `sinceSeconds` may be specified",
    ),
    ("GET", f"{LOGS}?stream=x", 422, "Invalid", 'stream: Unsupported value: "x"'),
    ("POST", LOGS, 405, "MethodNotAllowed", "does not allow this method"),
    ("POST", EXEC, 400, "BadRequest", "Upgrade request required"),
    ("PUT", EXEC, 405, "MethodNotAllowed", "does not allow this method"),
    ("POST", f"{PODS}/no/exec", 404, "NotFound", 'pods "no" not found'),
    ("POST", f"{PODS}/two/attach", 400, "BadRequest", "a container name must be specified"),
    ("POST", f"{PODS}/web/portforward?ports=x", 400, "BadRequest", "invalid syntax"),
    (
        "POST",
        f"{PODS}/waiting/exec",
        400,
        "BadRequest",
        "pod waiting does not have a host assigned",
    ),
    ("POST", f"{PODS}/lost/exec", 404, "NotFound", 'nodes "n2" not found'),
    ("GET", "/api/v1/nodes/n2/proxy/healthz", 404, "NotFound", 'nodes "n2" not found'),
    ("GET", "/api/v1/nodes/n1%2Fproxy/healthz", 404, "NotFound", "could not find the requested"),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: f"{case[0]} {case[1]}")
async def test_invalid_options_are_refused_in_the_real_servers_words(
    kubelet: ScriptedKubelet, api: Api, case: tuple[str, str, int, str, str]
) -> None:
    containers = [{"name": name, "image": "app:1"} for name in ("a", "b")]
    first = [{"name": "first", "image": "app:1"}]
    await make_pod(api, "two", containers=containers, initContainers=first)
    await api.ok("POST", PODS, pod("waiting"))
    await api.ok("POST", PODS, pod("lost", nodeName="n2"))
    method, path, status, reason, message = case
    reply = await api(method, path)
    assert (reply.status, reply.body["reason"]) == (status, reason)
    assert message in reply.body["message"]
    assert kubelet.asked == []


async def test_a_pod_on_no_node_has_an_empty_log(kubelet: ScriptedKubelet, api: Api) -> None:
    await api.ok("POST", PODS, pod("waiting"))
    assert (await api("GET", f"{PODS}/waiting/log")).status == 204


async def test_a_kubelet_that_does_not_listen_is_an_error(
    kubelet: ScriptedKubelet, api: Api
) -> None:
    await make_node(api, 1)
    refused = "dial tcp 127.0.0.1:1: connect: connection refused"
    log = await api("GET", LOGS)
    assert log.status == 500
    target = "https://127.0.0.1:1/containerLogs/default/web/main"
    assert log.body["message"] == f'Get "{target}": {refused}'
    upgrade = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
    streamed = await api("POST", EXEC, headers=upgrade)
    assert streamed.status == 500
    assert streamed.body["message"] == f"error dialing backend: {refused}"
    proxied = await api("GET", f"{PROXY}/healthz")
    assert (proxied.status, proxied.body["reason"]) == (503, "ServiceUnavailable")
    assert proxied.body["message"] == f"error trying to reach service: {refused}"


async def test_a_node_without_an_address_cannot_be_reached(api: Api) -> None:
    await api.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}})
    reply = await api("GET", f"{PROXY}/healthz")
    assert reply.status == 500
    assert reply.body["message"] == "no preferred addresses found; known addresses: []"


async def test_the_nodes_proxy_passes_requests_on(kubelet: ScriptedKubelet, api: Api) -> None:
    kubelet.script = says(202, b"done", Content_Type="text/x", X_Own="1", Keep_Alive="timeout=9")
    url = f"{api.url}{PROXY}/run/default/web/main?cmd=a%20b&x"
    headers = {"X-Mine": "2", "Accept": "text/plain", "Authorization": "Bearer unused"}
    async with api.session.post(url, data=b"body", headers=headers) as response:
        assert response.status == 202
        assert await response.read() == b"done"
        assert (response.content_type, response.headers["X-Own"]) == ("text/x", "1")
        assert "Keep-Alive" not in response.headers
    asked = kubelet.asked[0]
    assert (asked.method, asked.target) == ("POST", "/run/default/web/main?cmd=a%20b&x")
    assert asked.body == b"body"
    assert (asked.headers["x-mine"], asked.headers["accept"]) == ("2", "text/plain")
    assert asked.headers["host"] == f"127.0.0.1:{kubelet.port}"
    assert "authorization" not in asked.headers


async def test_the_nodes_proxy_follows_nothing_and_needs_no_path(
    kubelet: ScriptedKubelet, api: Api
) -> None:
    kubelet.script = says(302, b"", Location="/elsewhere")
    for path, target in ((PROXY, "/"), (f"{PROXY}/", "/"), (f"{PROXY}/a//b/", "/a//b/")):
        async with api.session.get(api.url + path, allow_redirects=False) as response:
            assert response.status == 302
        assert kubelet.asked[-1].target == target
    async with api.session.head(api.url + PROXY) as response:
        assert response.status == 302
    assert kubelet.asked[-1].method == "HEAD"


RIGHTS = [
    ("pods/log", "get", "GET", LOGS),
    ("pods/exec", "create", "POST", EXEC),
    ("pods/attach", "create", "POST", f"{PODS}/web/attach"),
    ("pods/portforward", "create", "POST", f"{PODS}/web/portforward"),
    ("nodes/proxy", "get", "GET", f"{PROXY}/healthz"),
    ("nodes/proxy", "create", "POST", f"{PROXY}/run"),
    ("nodes/proxy", "update", "PUT", f"{PROXY}/run"),
    ("nodes/proxy", "delete", "DELETE", f"{PROXY}/run"),
]


@pytest.mark.parametrize("right", RIGHTS, ids=lambda right: " ".join(right[:2]))
async def test_each_needs_its_own_right(
    dev_cluster: DevCluster,
    kubelet: ScriptedKubelet,
    api: Api,
    right: tuple[str, str, str, str],
) -> None:
    resource, verb, method, path = right
    kubelet.script = says(200)
    kubeconfig = dev_cluster.kubeconfig_for("someone")
    async with api_of(dev_cluster, kubeconfig) as someone:
        reply = await someone(method, path)
        assert reply.status == 403
        assert f'User "someone" cannot {verb} resource "{resource}"' in reply.body["message"]
        assert kubelet.asked == []
        await grant(api, "someone", resource, verb)
        assert (await someone(method, path)).status in (200, 400)


async def grant(api: Api, user: str, resource: str, *verbs: str) -> None:
    """Grant a user verbs on a resource."""
    group, name = "rbac.authorization.k8s.io", f"{user}-{resource.replace('/', '-')}"
    rules = [{"apiGroups": [""], "resources": [resource], "verbs": list(verbs)}]
    role = {"metadata": {"name": name}, "rules": rules}
    await api.ok("POST", f"/apis/{group}/v1/clusterroles", role)
    reference = {"apiGroup": group, "kind": "ClusterRole", "name": name}
    subjects = [{"apiGroup": group, "kind": "User", "name": user}]
    binding = {"metadata": {"name": name}, "roleRef": reference, "subjects": subjects}
    await api.ok("POST", f"/apis/{group}/v1/clusterrolebindings", binding)


async def test_a_right_to_read_opens_no_websocket(
    dev_cluster: DevCluster, kubelet: ScriptedKubelet, api: Api
) -> None:
    for right in ("pods/exec", "nodes/proxy"):
        await grant(api, "reader", right, "get")
    async with api_of(dev_cluster, dev_cluster.kubeconfig_for("reader")) as reader:
        for path in (EXEC, f"{PROXY}/exec/default/web/app"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await reader.session.ws_connect(f"{reader.url}{path}?command=true&stdout=1")
            assert refused.value.status == 403
    assert kubelet.asked == []


async def test_impersonation_is_not_passed_on_to_the_kubelet(
    kubelet: ScriptedKubelet, api: Api
) -> None:
    kubelet.script = says(200)
    await grant(api, "other", "nodes/proxy", "get")
    headers = {"Impersonate-User": "other", "Impersonate-Group": "x"}
    assert (await api("GET", f"{PROXY}/pods", headers=headers)).status == 200
    assert not [name for name in kubelet.asked[0].headers if name.startswith("impersonate")]
