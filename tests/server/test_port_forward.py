"""Port-forward, over every protocol: many connections, half-closes, errors, refusals."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from exec_clients import websocket
from spdy_client import ClientStream, RefusedError, SpdyClient, spdy
from streaming_world import POD, Served, served

from vk.streaming.spdy.frames import ResetStatus, SynStream
from vk.streaming.spdy.headers import Deflater
from vk.streaming.websocket.channels import Channels

PATH = "/portForward/default/web"
NAME = "portforward.k8s.io"
TUNNEL = "SPDY/3.1+portforward.k8s.io"


@pytest.fixture
async def server():
    async with served() as one:
        yield one


class _Tunnel:
    """Reader and writer of a SPDY client over the messages of a WebSocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._sending = socket, set()

    async def read(self, limit: int) -> bytes:
        message = await self._socket.receive()
        return message.data if isinstance(message.data, bytes) else b""

    def write(self, data: bytes) -> None:
        if data:
            task = asyncio.ensure_future(self._socket.send_bytes(data))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def drain(self) -> None:
        if self._sending:
            await asyncio.wait(self._sending)


@asynccontextmanager
async def forwarding(server: Served, how: str) -> AsyncIterator[SpdyClient]:
    """Give a session for port-forward, on a socket or inside WebSocket messages."""
    if how == "spdy":
        async with spdy(server, PATH, [NAME]) as client:
            yield client
        return
    async with websocket(server, PATH, TUNNEL) as socket:
        pipe = _Tunnel(socket)
        client = SpdyClient(pipe, pipe, NAME)  # type: ignore[arg-type] # has what is used of both
        client.reading.set()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(client.run())
            yield client
            running.cancel()


async def connect(
    client: SpdyClient, port: int, request: str | None = "0"
) -> tuple[ClientStream, ClientStream]:
    """Open a pair; without ``request`` as clients did before there were ids."""
    tied = {} if request is None else {"requestid": request}
    error = await client.open(streamtype="error", port=str(port), **tied)
    await error.finish()
    return await client.open(streamtype="data", port=str(port), **tied), error


both = pytest.mark.parametrize("how", ["spdy", "tunnel"])


@both
@pytest.mark.parametrize("request_id", ["0", None])
async def test_bytes_go_there_and_back(server: Served, how: str, request_id: str | None) -> None:
    sent = os.urandom(200_000)
    async with forwarding(server, how) as client:
        data, error = await connect(client, 80, request_id)
        await data.write(sent)
        await data.finish()
        assert await data.read_to_end() == sent
        assert await error.read_to_end() == b""
    assert server.provider.calls == [("default/web", 80)]


@both
async def test_twenty_connections_go_through_one_session(server: Served, how: str) -> None:
    sent = [os.urandom(50_000) for _ in range(20)]

    async def through(client: SpdyClient, number: int) -> bytes:
        data, error = await connect(client, 80, str(number))
        await data.write(sent[number])
        await data.finish()
        assert await error.read_to_end() == b""
        return await data.read_to_end()

    async with forwarding(server, how) as client:
        got = await asyncio.gather(*(through(client, number) for number in range(20)))
    assert got == sent


@both
async def test_a_pod_that_speaks_first_and_ends_is_read_to_its_end(
    server: Served, how: str
) -> None:
    async with forwarding(server, how) as client:
        data, error = await connect(client, 82)
        assert len(await data.read_to_end()) == 1 << 20
        await data.finish()
        assert await error.read_to_end() == b""


@both
async def test_an_answer_after_the_clients_end_arrives(server: Served, how: str) -> None:
    async with forwarding(server, how) as client:
        data, _ = await connect(client, 83)
        await data.write(b"request")
        await data.finish()
        assert await data.read_to_end() == b"7 bytes"


@both
async def test_what_went_wrong_is_said_on_the_error_stream_of_its_connection(
    server: Served, how: str
) -> None:
    async with forwarding(server, how) as client:
        failed, error = await connect(client, 81, "1")
        text = b"error forwarding port 81 to pod web_default, uid u1: nothing listens on port 81"
        assert await error.read_to_end() == text
        assert await failed.read_to_end() == b""
        data, _ = await connect(client, 80, "2")
        await data.write(b"still works")
        assert await data.read_until(11) == b"still works"


async def test_a_connection_that_the_client_gives_up_ends_the_call(server: Served) -> None:
    async with forwarding(server, "spdy") as client:
        data, error = await connect(client, 84)
        await server.provider.started.wait()
        await data.break_off()
        assert await error.read_to_end() == b""
        assert server.provider.cancelled.is_set()
        assert not client.closed.is_set()


@both
async def test_a_client_that_leaves_ends_all_calls(server: Served, how: str) -> None:
    async with forwarding(server, how) as client:
        await connect(client, 84)
        await server.provider.started.wait()
    await asyncio.wait_for(server.provider.cancelled.wait(), 10)


@pytest.mark.parametrize(
    "headers",
    [
        {"streamtype": "data"},
        {"streamtype": "data", "port": "0"},
        {"streamtype": "data", "port": "-1"},
        {"streamtype": "data", "port": "65536"},
        {"streamtype": "data", "port": "http"},
        {"streamtype": "data", "port": "169.254.169.254:80"},
        {"streamtype": "data", "port": "80@100.100.100.200"},
        {"port": "80"},
        {"streamtype": "stdin", "port": "80"},
    ],
)
async def test_a_stream_without_a_port_or_a_kind_is_refused(
    server: Served, headers: dict[str, str]
) -> None:
    async with forwarding(server, "spdy") as client:
        stream = await client.open(**headers)
        assert stream.reset == ResetStatus.REFUSED_STREAM
        data, _ = await connect(client, 80)
        assert data.reset is None


async def test_a_second_stream_of_a_kind_is_refused(server: Served) -> None:
    async with forwarding(server, "spdy") as client:
        await client.open(streamtype="error", port="80", requestid="7")
        again = await client.open(streamtype="error", port="80", requestid="7")
        assert again.reset == ResetStatus.REFUSED_STREAM


async def test_half_a_pair_is_not_waited_for_indefinitely() -> None:
    async with served(creation_timeout=0.1) as server, forwarding(server, "spdy") as client:
        error = await client.open(streamtype="error", port="80", requestid="7")
        assert b"opened in time" in await error.read_to_end()
        assert not server.provider.calls


async def test_more_streams_than_a_session_may_have_are_refused(server: Served) -> None:
    async with forwarding(server, "spdy") as client:
        for number in range(128):
            data, _ = await connect(client, 84, str(number))
            assert data.reset is None
        refused = await client.open(streamtype="error", port="80", requestid="x")
        assert refused.reset == ResetStatus.REFUSED_STREAM


async def test_connections_whose_streams_are_ended_count_until_they_are_over(
    server: Served,
) -> None:
    """Streams of one direction are over for the session once the client has ended them."""
    headers = Deflater()
    async with spdy(server, PATH, [NAME]) as client:
        for number in range(200):
            for stream_id, kind in ((4 * number + 1, "error"), (4 * number + 3, "data")):
                named = {"streamtype": kind, "port": "84", "requestid": str(number)}
                block = headers.block(named)
                one_way = SynStream(stream_id, block, fin=True, unidirectional=True)
                client.writer.write(one_way.encode())
        ping = client.session.ping()
        await client.flush()
        async with asyncio.timeout(10):
            while ping not in client.pongs:
                client.news.clear()
                await client.news.wait()
    assert len(server.provider.calls) == 128


@pytest.mark.parametrize("name", ["v4.channel.k8s.io", "v4.base64.channel.k8s.io", ""])
async def test_ports_of_the_request_are_channels_of_a_websocket(server: Served, name: str) -> None:
    channels = Channels(4, base64="base64" in name)

    async def send(socket, channel: int, data: bytes) -> None:
        message = channels.encode(channel, data)
        await (socket.send_str if isinstance(message, str) else socket.send_bytes)(message)

    async with websocket(server, f"{PATH}?port=80&port=81", name) as socket:
        got: dict[int, bytes] = {}
        await send(socket, 0, b"hello")
        expected = {0: b"P\x00hello", 1: b"P\x00", 2: b"Q\x00"}
        while {key: got.get(key) for key in expected} != expected or b"nothing" not in got[3]:
            message = channels.decode((await socket.receive()).data)
            assert message is not None
            got[message.channel] = got.get(message.channel, b"") + message.data
    assert got[3].startswith(b"Q\x00error forwarding port 81 to pod web_default")


async def test_a_websocket_ends_when_all_its_ports_have(server: Served) -> None:
    async with websocket(server, f"{PATH}?port=81", "v4.channel.k8s.io") as socket:
        assert [message async for message in socket]
        assert socket.close_code == 1000


async def test_a_websocket_ends_when_the_pods_side_of_its_ports_has(server: Served) -> None:
    """No message ends one direction of a channel: a client would wait for it indefinitely."""
    async with websocket(server, f"{PATH}?port=82", "v4.channel.k8s.io") as socket:
        async with asyncio.timeout(10):
            got = [message.data async for message in socket]
        assert b"".join(data[1:] for data in got if data[0] == 0) == b"R\0" + b"m" * (1 << 20)
        assert socket.close_code == 1000


@pytest.mark.parametrize("query", ["", "?port=0", "?port=http", "?port=80,"])
async def test_a_websocket_without_good_ports_is_refused(server: Served, query: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError, match="400"):
        async with websocket(server, PATH + query, "v4.channel.k8s.io"):
            pass


async def test_a_protocol_that_is_not_port_forward_is_refused(server: Served) -> None:
    with pytest.raises(RefusedError, match="403"):
        async with spdy(server, PATH, ["v4.channel.k8s.io"]):
            pass
    with pytest.raises(RefusedError, match="404"):
        async with spdy(server, "/portForward/default/other", [NAME]):
            pass


async def test_a_session_without_connections_is_ended_when_idle() -> None:
    async with served(idle_timeout=0.1) as server, forwarding(server, "spdy") as client:
        await asyncio.wait_for(client.closed.wait(), 10)


@pytest.mark.field
@both
async def test_a_connection_never_reaches_another_pod_of_the_same_name(
    server: Served, how: str
) -> None:
    """The pod was replaced while the client stayed connected."""
    async with forwarding(server, how) as client:
        data, error = await connect(client, 80, "0")
        await data.finish()
        assert await data.read_to_end() == b""
        server.pods.put({**POD, "metadata": {**POD["metadata"], "uid": "u2"}})
        data, error = await connect(client, 80, "1")
        assert b"pod default/web not found on this node" in await error.read_to_end()
    assert server.provider.calls == [("default/web", 80)]


@pytest.mark.field
@pytest.mark.slow
@pytest.mark.parametrize("new", [None, {"phase": "Succeeded"}])
async def test_a_session_ends_with_its_pod(server: Served, new: dict[str, str] | None) -> None:
    """Restarts of its containers leave it alone."""
    async with forwarding(server, "tunnel") as client:
        data, _ = await connect(client, 80)
        running = {"name": "app", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
        before = {**POD, "status": {"phase": "Running", "containerStatuses": [running]}}
        server.sessions.observe(before, {**POD, "status": {"phase": "Running"}})
        await data.write(b"x")
        server.sessions.observe(POD, None if new is None else {**POD, "status": new})
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                await data.read_to_end()
