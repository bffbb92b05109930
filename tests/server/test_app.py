"""Every route refuses without credentials and without rights; answers and refusals of the rest."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from server_world import Quiet, World, serving

from vk.server.routes import ROUTES, Route

NAMES = {"{namespace}": "default", "{pod}": "web", "{container}": "app", "{uid}": "u1"}
EXPECTED = {
    ("GET", "/pods"): ("get", ("pods", "proxy")),
    ("GET", "/runningpods/"): ("get", ("pods", "proxy")),
    ("GET", "/containerLogs/{namespace}/{pod}/{container}"): ("get", ("proxy",)),
    ("GET", "/exec/{namespace}/{pod}/{container}"): ("create", ("proxy",)),
    ("POST", "/exec/{namespace}/{pod}/{container}"): ("create", ("proxy",)),
    ("GET", "/exec/{namespace}/{pod}/{uid}/{container}"): ("create", ("proxy",)),
    ("POST", "/exec/{namespace}/{pod}/{uid}/{container}"): ("create", ("proxy",)),
    ("GET", "/attach/{namespace}/{pod}/{container}"): ("create", ("proxy",)),
    ("POST", "/attach/{namespace}/{pod}/{container}"): ("create", ("proxy",)),
    ("GET", "/attach/{namespace}/{pod}/{uid}/{container}"): ("create", ("proxy",)),
    ("POST", "/attach/{namespace}/{pod}/{uid}/{container}"): ("create", ("proxy",)),
    ("GET", "/portForward/{namespace}/{pod}"): ("create", ("proxy",)),
    ("POST", "/portForward/{namespace}/{pod}"): ("create", ("proxy",)),
    ("GET", "/portForward/{namespace}/{pod}/{uid}"): ("create", ("proxy",)),
    ("POST", "/portForward/{namespace}/{pod}/{uid}"): ("create", ("proxy",)),
    ("POST", "/run/{namespace}/{pod}/{container}"): ("create", ("proxy",)),
    ("POST", "/run/{namespace}/{pod}/{uid}/{container}"): ("create", ("proxy",)),
    ("GET", "/stats/summary"): ("get", ("stats",)),
    ("GET", "/metrics/resource"): ("get", ("metrics",)),
    ("GET", "/metrics"): ("get", ("metrics",)),
    ("GET", "/healthz"): ("get", ("healthz", "proxy")),
    ("GET", "/livez"): ("get", ("healthz", "proxy")),
    ("GET", "/readyz"): ("get", ("healthz", "proxy")),
    ("GET", "/configz"): ("get", ("configz", "proxy")),
    ("GET", "/vk/status"): ("get", ("proxy",)),
}
"""Verb and subresources of each route, written down a second time on purpose."""
SUBRESOURCES = ("pods", "stats", "metrics", "log", "healthz", "configz", "proxy")


def every_call() -> list[tuple[str, Route]]:
    return [(method, route) for route in ROUTES for method in route.methods]


async def test_no_route_is_registered_twice() -> None:
    """B16: a standard router refuses that, or panics."""
    calls = [(method, route.path) for method, route in every_call()]
    assert len(set(calls)) == len(calls)


def path_of(route: Route) -> str:
    path = route.path
    for name, value in NAMES.items():
        path = path.replace(name, value)
    return path


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with serving(tmp_path_factory.mktemp("app")) as world:
        yield world


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_each_route_has_its_right_written_down(world: World) -> None:
    """A new route fails here until its right is stated."""
    assert {(method, route.path) for method, route in every_call()} == set(EXPECTED)
    for method, route in every_call():
        assert (route.verb(method), route.subresources) == EXPECTED[method, route.path]


@pytest.mark.slow
async def test_without_credentials_every_route_says_401(world: World) -> None:
    """Also a path that does not exist, a wrong method, and an invalid token."""
    calls = [(method, path_of(route)) for method, route in every_call()]
    for method, path in [*calls, ("GET", "/nothing"), ("DELETE", "/pods"), ("GET", "/logs/")]:
        status, text = await world.call(path, method)
        assert (path, status) == (path, 401)
        assert "Unauthorized" in text
        assert "default" not in text
    assert (await world.call("/pods", token="made-up"))[0] == 401


@pytest.mark.slow
async def test_without_rights_every_route_says_403(world: World) -> None:
    tls = world.certificate("alice")
    for method, route in every_call():
        status, text = await world.call(path_of(route), method, tls=tls)
        assert (route.path, status) == (route.path, 403)
        assert "alice" in text


@pytest.mark.slow
@pytest.mark.parametrize("subresource", SUBRESOURCES)
@pytest.mark.parametrize("verb", ["get", "create"])
async def test_a_right_opens_its_routes_and_no_other(
    world: World, verb: str, subresource: str
) -> None:
    """A right to read never runs a command: exec, attach and port-forward need create."""
    user = f"{verb}-{subresource}"
    await world.grant(user, verb, subresource)
    tls = world.certificate(user)
    for (method, path), (needed, subresources) in EXPECTED.items():
        route = next(one for one in ROUTES if one.path == path)
        status, _ = await world.call(path_of(route), method, tls=tls)
        opened = needed == verb and subresource in subresources
        assert (path, status == 403) == (path, not opened)


async def test_a_group_and_a_service_account_have_their_rights(world: World) -> None:
    masters = world.certificate("anybody", ["system:masters"])
    assert (await world.call("/pods", tls=masters))[0] == 200
    token = await world.token("reader")
    assert (await world.call("/pods", token=token))[0] == 403
    await world.grant("system:serviceaccount:default:reader", "get", "pods")


async def test_an_unknown_path_is_404_to_an_authorized_user(world: World) -> None:
    tls = world.certificate()
    status, text = await world.call("/nothing", tls=tls)
    assert (status, json.loads(text)["reason"]) == (404, "NotFound")
    status, text = await world.call("/pods", "DELETE", tls=tls)
    assert (status, json.loads(text)["reason"]) == (405, "MethodNotAllowed")
    assert (await world.call("/runningpods", tls=tls))[0] == 404  # no redirects
    assert (await world.call("/pods/", tls=tls))[0] == 404
    assert (await world.call("/PODS", tls=tls))[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/metrics/../pods",
        "/metrics/%2e%2e/pods",
        "/metrics/%2E%2E/exec/default/web/app",
        "//pods",
        "/./pods",
        "/containerLogs/default/web%2Fapp/app",
        "/containerLogs/default/web%5Capp/app",
        "/containerLogs/default/web/app%00",
        "/containerLogs/default/web/app%0a",
        "/pods;x=1",
    ],
)
async def test_a_path_that_two_readers_may_read_in_two_ways_is_refused(
    world: World, path: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port, ssl=world.certificate())
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    assert answer.startswith("HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /pods HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /pods HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET /pods\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
        b"GET /pods HTTP/2.0\r\nHost: x\r\n\r\n",
    ],
)
async def test_what_is_no_plain_http_is_refused_and_the_connection_closed(
    world: World, request_bytes: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port, ssl=world.certificate())
    writer.write(request_bytes)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert answer.split(b" ")[1] == b"400"
    assert b"items" not in answer
    assert b"aiohttp" not in answer


async def test_answers_do_not_say_what_serves_them(world: World) -> None:
    async with world.session.get(world.url("/healthz"), ssl=world.certificate()) as answer:
        assert "Server" not in answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert await answer.text() == "ok"


async def test_pods_are_those_of_the_node(world: World) -> None:
    status, text = await world.call("/pods", tls=world.certificate())
    assert status == 200
    document = json.loads(text)
    assert document["kind"] == "PodList"
    assert [pod["metadata"]["name"] for pod in document["items"]] == ["web"]


async def test_running_pods_name_pod_and_containers(world: World) -> None:
    status, text = await world.call("/runningpods/", tls=world.certificate())
    assert status == 200
    pod = json.loads(text)["items"][0]
    assert pod["metadata"] == {"name": "web", "namespace": "default", "uid": "u1"}
    assert [one["name"] for one in pod["spec"]["containers"]] == ["app"]


async def test_the_summary_has_the_certificate(world: World) -> None:
    status, text = await world.call("/vk/status", tls=world.certificate())
    assert status == 200
    assert json.loads(text)["certificate"]["source"] == "self-signed"


async def test_the_configuration_shows_no_secret(tmp_path: Path) -> None:
    """Of the provider's own settings only the names of the keys are shown."""
    async with serving(tmp_path, provider_settings={"password": "hunter2"}) as world:
        status, text = await world.call("/configz", tls=world.certificate())
    assert status == 200
    assert "hunter2" not in text
    document = json.loads(text)
    assert document["vk"]["provider_settings"] == ["password"]
    assert document["kubeletconfig"]["authentication"]["anonymous"] == {"enabled": False}


async def test_a_standby_refuses_what_needs_the_provider(tmp_path: Path) -> None:
    """With 503 and a time to come back; lists and health work."""
    async with serving(tmp_path, acting=False) as world:
        tls = world.certificate()
        for path in ("/containerLogs/default/web/app", "/exec/default/web/app?command=x&output=1"):
            url = world.url(path)
            async with world.session.get(url, ssl=tls) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert (await world.call("/stats/summary", tls=tls))[0] == 503
        assert (await world.call("/pods", tls=tls))[0] == 200
        assert (await world.call("/readyz", tls=tls))[0] == 200


async def test_an_unexpected_error_is_logged_and_not_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Quiet(usage=RuntimeError("password=hunter2"))
    async with serving(tmp_path, provider) as world:
        status, text = await world.call("/stats/summary", tls=world.certificate())
    assert status == 500
    assert "hunter2" not in text
    assert "hunter2" in caplog.text


async def test_metrics_label_requests_by_the_template(world: World) -> None:
    tls = world.certificate()
    await world.call("/containerLogs/default/web/app", tls=tls)
    await world.call("/containerLogs/default/elsewhere/app", tls=tls)
    await world.call("/surprise/me", tls=tls)
    status, text = await world.call("/metrics", tls=tls)
    assert status == 200
    assert 'path="/containerLogs/{namespace}/{pod}/{container}"' in text
    assert "elsewhere" not in text
    assert "surprise" not in text
    assert 'path="unknown"' in text


@pytest.mark.parametrize("path", ["/metrics", "/vk/status", "/pods", "/runningpods/"])
async def test_concurrent_requests_share_one_rendering(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path) as world:
        numbers = itertools.count()
        world.server.metrics.gauge("test_renderings", "Counted.", lambda: [({}, next(numbers))])
        world.server.summary = lambda: {"rendering": next(numbers)}
        tls = world.certificate()
        found = await asyncio.gather(*(world.call(path, tls=tls) for _ in range(10)))
    assert {status for status, _ in found} == {200}
    assert len({text for _, text in found}) == 1
    assert next(numbers) <= 1
