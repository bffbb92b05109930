"""The client against a scripted server: paths, bodies, errors, retries."""

from __future__ import annotations

import asyncio
import socket

import orjson
import pytest
from aiohttp import web
from scripted import Tokens, answer, client_of, listing, pod, status

from vk import errors
from vk.cluster.client import Client
from vk.cluster.config import Access, Credentials
from vk.cluster.resources import LEASES, NODES, PODS


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (PODS.path(), "/api/v1/pods"),
        (PODS.path("a", "b", "status"), "/api/v1/namespaces/b/pods/a/status"),
        (NODES.path("n", "ignored"), "/api/v1/nodes/n"),
        (LEASES.path("l", "x"), "/apis/coordination.k8s.io/v1/namespaces/x/leases/l"),
        (PODS.path("a/../b", "c"), "/api/v1/namespaces/c/pods/a%2F..%2Fb"),
    ],
)
def test_paths(path: str, expected: str) -> None:
    assert path == expected


@pytest.mark.parametrize(("name", "subresource"), [("..", ""), (".", ""), ("", "status")])
def test_paths_that_name_something_else_are_refused(name: str, subresource: str) -> None:
    with pytest.raises(ValueError, match=r"name"):
        PODS.path(name, "x", subresource)


async def test_patch_sends_form_body_and_credentials() -> None:
    async def handle(request: web.Request) -> web.Response:
        assert request.method == "PATCH"
        assert request.path == "/api/v1/namespaces/default/pods/a/status"
        assert request.headers["Content-Type"] == "application/strategic-merge-patch+json"
        assert request.headers["Authorization"] == "Bearer first"
        assert request.headers["User-Agent"] == "vk-test/1"
        return answer({"kind": "Pod", "got": await request.json()})

    async with client_of(handle) as client:
        body = {"status": {"phase": "Running"}}
        got = await client.patch(PODS, "a", body, namespace="default", subresource="status")
        assert got["got"] == body
        assert client.local_address() == "127.0.0.1"


async def test_a_list_of_metadata_asks_for_nothing_else() -> None:
    seen = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.headers["Accept"])
        return listing(1, pod("a", 1))

    async with client_of(handle) as client:
        partial = await client.list(PODS, metadata_only=True)
        assert partial.items[0]["metadata"]["name"] == "a"
        await client.list(PODS)
    form = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    assert seen == [f"{form},application/json", "application/json"]


async def test_delete_carries_uid_and_grace_period() -> None:
    seen = {}

    async def handle(request: web.Request) -> web.Response:
        seen.update(orjson.loads(await request.read()))
        return answer({"kind": "Status", "status": "Success"})

    async with client_of(handle) as client:
        await client.delete(PODS, "a", namespace="default", uid="u", grace_period=0)
    assert seen["preconditions"] == {"uid": "u"}
    assert seen["gracePeriodSeconds"] == 0


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, errors.ClusterError),
        (403, errors.ForbiddenError),
        (404, errors.ClusterError),
        (409, errors.ConflictError),
        (410, errors.ExpiredError),
        (422, errors.InvalidObjectError),
        (500, errors.UnavailableError),
        (503, errors.UnavailableError),
    ],
)
async def test_status_codes(code: int, kind: type[errors.ClusterError]) -> None:
    async def handle(request: web.Request) -> web.Response:
        return answer(status(code, "Why", "because"), code)

    async with client_of(handle) as client:
        with pytest.raises(kind) as caught:
            await client.get(PODS, "a", namespace="default")
    assert type(caught.value) is kind
    assert caught.value.status == code
    assert caught.value.reason == "Why"
    assert str(caught.value).startswith(f"get pods a: {code} Why")


@pytest.mark.parametrize("body", [b"<html>not here</html>", b"{}", b"404 page not found"])
async def test_only_the_api_server_itself_proves_that_an_object_is_gone(body: bytes) -> None:
    """A workload must not end because a proxy on the way knows no such path."""

    async def handle(request: web.Request) -> web.Response:
        told = request.path.endswith("gone")
        return answer(status(404, "NotFound"), 404) if told else web.Response(status=404, body=body)

    async with client_of(handle) as client:
        with pytest.raises(errors.ObjectNotFoundError):
            await client.get(PODS, "gone", namespace="default")
        with pytest.raises(errors.ClusterError) as caught:
            await client.get(PODS, "a", namespace="default")
        assert not isinstance(caught.value, errors.ObjectNotFoundError)


async def test_html_errors_are_not_quoted() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=502, body=b"<html>secret</html>")

    async with client_of(handle) as client:
        with pytest.raises(errors.UnavailableError) as caught:
            await client.get(PODS, "a", namespace="x")
    assert str(caught.value) == "get pods a: 502"


async def test_validation_errors_name_fields_and_no_values() -> None:
    causes = [{"field": "spec.env", "message": "Invalid value: s3cret"}]

    async def handle(request: web.Request) -> web.Response:
        return answer(status(422, "Invalid", "Invalid value: s3cret", causes=causes), 422)

    async with client_of(handle) as client:
        with pytest.raises(errors.InvalidObjectError, match=r"spec\.env") as caught:
            await client.create(PODS, {}, namespace="x")
    assert "s3cret" not in str(caught.value)


@pytest.mark.field
@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            'Invalid value: "s3c\\"ret: s3cret": must be no more than 63 bytes',
            "metadata.labels: Invalid value: must be no more than 63 bytes",
        ),
        ("Invalid value: 70000: must be between 1 and 65535", "Invalid value: must be between 1"),
        ("Required value: name or generateName is required", "Required value: name or"),
        ("Forbidden: may not be changed\n  s3cret", "Forbidden: may not be changed"),
        ('Invalid value: {"a":"b: s3cret"}: is odd', "metadata.labels"),
        ('Duplicate value: "s3cret"', "metadata.labels"),
    ],
)
async def test_validation_errors_say_what_is_wrong_with_the_field(message: str, shown: str) -> None:
    causes = [{"field": "metadata.labels", "message": message}]

    async def handle(request: web.Request) -> web.Response:
        return answer(status(422, "Invalid", message, causes=causes), 422)

    async with client_of(handle) as client:
        with pytest.raises(errors.InvalidObjectError) as caught:
            await client.create(PODS, {}, namespace="x")
    assert shown in str(caught.value)
    assert "s3c" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"<html>"])
async def test_a_success_that_is_no_object_is_an_unknown_outcome(body: bytes) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=body)

    async with client_of(handle) as client:
        with pytest.raises(errors.UnavailableError):
            await client.create(PODS, {}, namespace="x")


async def test_401_reads_the_token_again_once() -> None:
    async def handle(request: web.Request) -> web.Response:
        good = request.headers["Authorization"] == "Bearer second"
        return answer(pod("a", 1)) if good else answer(status(401, "Unauthorized"), 401)

    async with client_of(handle, "first", "second") as client:
        assert (await client.get(PODS, "a", namespace="default"))["kind"] == "Pod"
    async with client_of(handle, "first", "other") as client:
        with pytest.raises(errors.ForbiddenError):
            await client.get(PODS, "a", namespace="default")


@pytest.mark.slow  # the header knows whole seconds only
async def test_429_waits_as_told_and_tries_again_within_the_timeout() -> None:
    answers = [answer(status(429), 429, Retry_After="1"), answer(pod("a", 1))]
    clock = asyncio.get_running_loop().time
    began = clock()

    async def handle(request: web.Request) -> web.Response:
        return answers.pop(0)

    async with client_of(handle) as client:
        assert (await client.get(PODS, "a", namespace="x"))["kind"] == "Pod"
    assert clock() - began >= 1.0


async def test_429_without_time_left_is_raised_with_its_hint() -> None:
    async def handle(request: web.Request) -> web.Response:
        return answer(status(429), 429, Retry_After="50")

    async with client_of(handle) as client:
        with pytest.raises(errors.ThrottledError) as caught:
            await client.get(PODS, "a", namespace="x", timeout=5)
    assert caught.value.retry_after == 50


async def test_list_takes_all_pages_and_starts_over_when_the_token_expires() -> None:
    expired: list[bool] = []

    async def handle(request: web.Request) -> web.Response:
        assert request.query["limit"] == "500"
        assert request.query["fieldSelector"] == "spec.nodeName=n"
        if "continue" not in request.query:
            return listing(7, {"metadata": {"name": "a"}}, token="more")
        if not expired:
            expired.append(True)
            return answer(status(410, "Expired"), 410)
        return listing(7, {"metadata": {"name": "b"}})

    async with client_of(handle) as client:
        got = await client.list(PODS, field_selector="spec.nodeName=n")
    assert [item["metadata"]["name"] for item in got.items] == ["a", "b"]
    assert got.items[0]["kind"] == "Pod"
    assert got.resource_version == "7"


async def test_a_null_list_is_empty() -> None:
    async def handle(request: web.Request) -> web.Response:
        return answer({"kind": "PodList", "metadata": {"resourceVersion": "3"}, "items": None})

    async with client_of(handle) as client:
        assert (await client.list(PODS)).items == []


async def test_a_silent_server_is_unavailable_at_the_timeout() -> None:
    async def handle(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with client_of(handle) as client:
        with pytest.raises(errors.UnavailableError, match="no answer within"):
            await client.get(PODS, "a", namespace="x", timeout=0.05)


async def test_an_unreachable_server_is_unavailable() -> None:
    with socket.socket() as taken:  # bound, not listening: nothing else gets the port
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        server = f"http://{address}"
        access = Access(Tokens(["t"], server=server), Credentials(server=server))
        async with Client(access, user_agent="x") as client:
            told = f"^list pods: cannot connect to {address}: Connection refused$"
            with pytest.raises(errors.UnavailableError, match=told):
                await client.list(PODS)
            assert client.local_address() == "127.0.0.1"


async def test_redirects_are_not_followed() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with client_of(handle) as client:
        with pytest.raises(errors.ClusterError) as caught:
            await client.get(PODS, "a", namespace="x")
    assert caught.value.status == 302


async def test_qps_paces_requests() -> None:
    async def handle(request: web.Request) -> web.Response:
        return answer(pod("a", 1))

    async with client_of(handle, qps=100.0, burst=1) as client:
        clock = asyncio.get_running_loop().time
        started = clock()
        for _ in range(6):
            await client.get(PODS, "a", namespace="x")
        assert clock() - started >= 0.045


async def test_every_request_is_told_with_its_status() -> None:
    """0 where there was no answer; a watch counts when its answer begins."""
    told: list[tuple[str, int]] = []

    def observe(method: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        told.append((method, status))

    async def handler(request: web.Request) -> web.Response:
        if request.method == "DELETE":
            return answer(status(404, "NotFound"), 404)
        return answer({"kind": "Pod"})

    async with client_of(handler, observe=observe) as client:
        await client.get(PODS, "a", namespace="b")
        with pytest.raises(errors.ObjectNotFoundError):
            await client.delete(PODS, "a", namespace="b")
    assert told == [("GET", 200), ("DELETE", 404)]
