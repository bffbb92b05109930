"""Paths and requests that two readers may read in two ways, and paths that are not served."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from urllib.parse import unquote

import attrs
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_world import World, serving

from vk.server.routes import ROUTES

OPENED = {
    "metrics": {"/metrics", "/metrics/resource"},
    "pods": {"/pods", "/runningpods/"},
    "healthz": {"/healthz", "/livez", "/readyz"},
}
"""What the right to get a subresource opens."""
NAMES = {"namespace": "default", "pod": "web", "container": "app", "uid": "u1"}
PATHS = sorted({route.path.format(**NAMES) for route in ROUTES})
PIECES = (
    *(
        "/",
        "//",
        "/./",
        "/../",
        "/..",
        "%2f",
        "%2F",
        "\\",
        ";",
        ";x=1",
        "/%2e%2e/",
        "/.%2E/",
        "?",
        "#",
    ),
    *("%00", "%", "%zz", "%20", "é", "%C3%A9", "*", "@", ":", "https://x", "/metrics", "/healthz"),
)


@attrs.frozen
class Readers:
    """A world with one caller for each right to read."""

    world: World
    tls: dict[str, ssl.SSLContext]

    async def ask(self, user: str, request: bytes) -> bytes:
        """Send bytes as they are and return all that comes until the end."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.world.port, ssl=self.tls[user]
        )
        try:
            writer.write(request)
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()

    async def get(self, user: str, path: str) -> int:
        """Return the status of a GET of ``path``, whose bytes are sent as they are."""
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        return int((await self.ask(user, head.encode())).split(b" ")[1])


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def readers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Readers]:
    async with serving(tmp_path_factory.mktemp("paths")) as world:
        for subresource in OPENED:
            await world.grant(f"{subresource}-reader", "get", subresource)
        tls = {one: world.certificate(f"{one}-reader") for one in OPENED}
        yield Readers(world, {**tls, "admin": world.certificate()})


pytestmark = pytest.mark.asyncio(loop_scope="module")


@st.composite
def paths(draw: st.DrawFn) -> str:
    """Give the path of a route, with up to three changes."""
    path = draw(st.sampled_from(PATHS))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(path)))
        how = draw(st.sampled_from(("encode", "case", "insert", "insert")))
        one, rest = path[at : at + 1], path[at + 1 :]
        if how == "insert":
            path = path[:at] + draw(st.sampled_from(PIECES)) + one + rest
        elif how == "case":
            path = path[:at] + one.swapcase() + rest
        elif one.isascii() and one:
            path = path[:at] + f"%{ord(one):02x}" + rest
    return path


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(path=paths(), user=st.sampled_from(sorted(OPENED)))
async def test_no_path_opens_more_than_its_caller_may(
    readers: Readers, path: str, user: str
) -> None:
    """However it is written: the right is asked for what the router chose."""
    status = await readers.get(user, path)
    assert status in (200, 400, 403, 404, 405)
    assert status != 200 or unquote(path.partition("?")[0].partition("#")[0]) in OPENED[user]


@pytest.mark.parametrize(
    ("query", "status"),
    [("command=%E9", 400), ("command=%ED%A0%80", 400), ("%FF=1", 400), ("command=%C3%A9", 200)],
)
async def test_a_query_that_is_no_text_is_refused(
    readers: Readers, query: str, status: int
) -> None:
    """Read with replacements, a command would be another one."""
    assert await readers.get("pods", f"/pods?{query}") == status


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1/pods",
        "https://metrics/pods",
        "https://127.0.0.1:10250/exec/default/web/app",
        "*",
        "pods",
        "127.0.0.1:80",
    ],
)
async def test_what_names_more_than_a_path_is_refused(readers: Readers, target: str) -> None:
    """A proxy's form of a request could be routed by one part and authorised by another."""
    assert await readers.get("admin", target) == 400


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /pods HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /pods HTTP/1.1\r\nHost: x\r\nX-Folded: a\r\n b\r\n\r\n",
        b"GET /pods HTTP/1.1\nHost: x\n\n",
        b"GET /pods HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /pods HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\nx",
        b"GET /pods HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        b"GET /pods /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /pods\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_a_request_that_two_readers_may_read_in_two_ways_is_refused(
    readers: Readers, request_bytes: bytes
) -> None:
    """And nothing after it on this connection is taken for a request."""
    hidden = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await readers.ask("admin", request_bytes + hidden)
    assert answer.count(b"HTTP/1.") == 1
    assert answer.split(b" ")[1] in (b"400", b"405")


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/logs",
            "/logs/",
            "/logs/syslog",
            "/debug/pprof/",
            "/debug/pprof/heap",
            "/debug/flags/v",
        ),
        *("/checkpoint/default/web/app", "/cri/exec/x", "/spec/", "/stats", "/stats/container"),
        *("/metrics/cadvisor", "/metrics/probes", "/metrics/slis", "/flagz", "/statusz", "/"),
    ],
)
async def test_what_a_kubelet_serves_to_debug_it_is_not_served(readers: Readers, path: str) -> None:
    """401 without credentials, 404 to an admin: no profiles, no files of the machine."""
    assert await readers.get("admin", path) == 404
    assert (await readers.world.call(path))[0] == 401
