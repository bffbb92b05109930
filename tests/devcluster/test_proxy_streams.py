"""Upgraded connections through the cluster: passed on untouched, or translated for the kubelet."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio
from cluster_api import PODS, Api
from scripted_kubelet import (
    EXEC,
    Asked,
    Connection,
    ScriptedKubelet,
    SpdyServer,
    make_node,
    make_pod,
    scripted_kubelet,
)

from vk.devcluster.cluster import DevCluster
from vk.streaming.spdy.frames import Data
from vk.streaming.spdy.session import HalfClosed, StreamOpened
from vk.streaming.websocket.channels import Channel, ChannelMessage, Channels

MEBI = 1 << 20
V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
TUNNEL = "SPDY/3.1+portforward.k8s.io"
WEBSOCKETS = "ExtendWebSocketsToKubelet"
FORWARD = f"{PODS}/web/portforward"
COMMAND = f"{EXEC}?command=a&command=b+c&stdin=true&stdout=true&stderr=true"
TARGET = "/exec/default/web/main"


@pytest_asyncio.fixture
async def kubelet(dev_cluster: DevCluster, api: Api) -> AsyncIterator[ScriptedKubelet]:
    async with scripted_kubelet(dev_cluster) as kubelet:
        await make_node(api, kubelet.port)
        await make_pod(api)
        async with asyncio.timeout(60):
            yield kubelet


@asynccontextmanager
async def upgraded(
    cluster: DevCluster, path: str, *headers: str, method: str = "POST"
) -> AsyncIterator[tuple[str, Connection]]:
    """Ask for an upgrade as administrator; give the head of the answer and the connection."""
    user = orjson.loads(cluster.kubeconfig.read_bytes())["users"][0]["user"]
    context = ssl.create_default_context(cafile=str(cluster.certificate_authority))
    context.load_cert_chain(user["client-certificate"], user["client-key"])
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster.port, ssl=context)
    lines = [f"{method} {path} HTTP/1.1", "Host: cluster", "Connection: Upgrade", *headers]
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode())
        yield (await reader.readuntil(b"\r\n\r\n")).decode(), Connection(reader, writer)
    finally:
        writer.transport.abort()


SPDY = ("Upgrade: SPDY/3.1", f"X-Stream-Protocol-Version: {V5}", f"X-Stream-Protocol-Version: {V4}")


async def test_spdy_is_passed_on_byte_for_byte(
    dev_cluster: DevCluster, kubelet: ScriptedKubelet
) -> None:
    every = bytes(range(256)) * 100

    async def script(asked: Asked, connection: Connection) -> None:
        await connection.upgrade(X_Stream_Protocol_Version=V4, X_Own="1")
        await connection.say(every)
        await connection.say((await connection.reader.readexactly(len(every)))[::-1])

    kubelet.script = script
    async with upgraded(dev_cluster, COMMAND, *SPDY, "Authorization: none") as (head, connection):
        assert head.startswith("HTTP/1.1 101 ")
        assert f"X-Stream-Protocol-Version: {V4}\r\n" in head
        assert "X-Own: 1\r\n" in head
        assert await connection.reader.readexactly(len(every)) == every
        await connection.say(every)
        assert await connection.reader.readexactly(len(every)) == every[::-1]
    asked = kubelet.asked[0]
    assert (asked.method, asked.path) == ("POST", TARGET)
    assert asked.query == {
        "input": ["1"],
        "output": ["1"],
        "error": ["1"],
        "command": ["a", "b c"],
    }
    assert asked.headers["x-stream-protocol-version"] == f"{V5},{V4}"
    assert "authorization" not in asked.headers


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_refusal_is_passed_on(
    dev_cluster: DevCluster, kubelet: ScriptedKubelet, chunked: bool
) -> None:
    async def script(asked: Asked, connection: Connection) -> None:
        if chunked:
            head = b"HTTP/1.1 403 No\r\nContent-Type: text/x\r\nTransfer-Encoding: chunked\r\n\r\n"
            await connection.say(head + b"3\r\nnot\r\n5\r\n here\r\n0\r\n\r\n")
        else:
            await connection.answer(403, b"not here", Content_Type="text/x")

    kubelet.script = script
    async with upgraded(dev_cluster, COMMAND, *SPDY) as (head, connection):
        assert head.startswith("HTTP/1.1 403 ")
        assert "Content-Type: text/x\r\n" in head
        assert await connection.reader.readexactly(8) == b"not here"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "invalid upgrade response: status code 200"),
        (b"SSH-2.0-x\r\n\r\n", "error dialing backend: malformed HTTP response 'SSH-2.0-x'"),
        (b"HTTP/1.1 101 Up\r\n", "error dialing backend: EOF"),
    ],
)
async def test_nonsense_of_a_kubelet_is_an_error(
    kubelet: ScriptedKubelet, api: Api, said: bytes, message: str
) -> None:
    async def script(asked: Asked, connection: Connection) -> None:
        await connection.say(said)
        raise EOFError

    kubelet.script = script
    headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
    reply = await api("POST", COMMAND, headers=headers)
    assert (reply.status, reply.body["message"]) == (500, message)


async def test_what_a_side_sent_before_it_left_arrives(
    dev_cluster: DevCluster, kubelet: ScriptedKubelet
) -> None:
    data, got = os.urandom(4 * MEBI), asyncio.get_running_loop().create_future()

    async def take(asked: Asked, connection: Connection) -> None:
        await connection.upgrade()
        got.set_result(await connection.reader.read())

    kubelet.script = take
    async with upgraded(dev_cluster, COMMAND, *SPDY) as (_, connection):
        await connection.say(data)
        connection.writer.close()
        assert await got == data

    async def give(asked: Asked, connection: Connection) -> None:
        await connection.upgrade()
        await connection.say(data)
        connection.writer.close()
        await connection.writer.wait_closed()
        raise EOFError

    kubelet.script = give
    async with upgraded(dev_cluster, COMMAND, *SPDY) as (_, connection):
        assert await connection.reader.read() == data


@pytest.mark.slow
async def test_a_kubelet_that_does_not_read_holds_its_client_back_and_nothing_else(
    dev_cluster: DevCluster, kubelet: ScriptedKubelet
) -> None:
    go_on, count = asyncio.Event(), 0

    async def script(asked: Asked, connection: Connection) -> None:
        nonlocal count
        await connection.upgrade()
        connection.writer.transport.pause_reading()
        await connection.say(b"still here")
        await go_on.wait()
        connection.writer.transport.resume_reading()
        while chunk := await connection.reader.read(65536):
            count += len(chunk)
            if count == sent:
                await connection.say(b"!")

    kubelet.script = script
    sent = 0
    async with upgraded(dev_cluster, COMMAND, *SPDY) as (_, connection):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                while sent < 256 * MEBI:
                    connection.writer.write(bytes(MEBI))
                    sent += MEBI
                    await connection.writer.drain()
        assert sent < 64 * MEBI
        assert await connection.reader.readexactly(10) == b"still here"
        go_on.set()
        assert await connection.reader.readexactly(1) == b"!"
        assert count == sent


HANDSHAKE = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: bm9uY2U=")


@pytest.mark.parametrize(
    ("path", "protocol", "declared"),
    [
        (COMMAND, V5, True),
        (COMMAND, V4, True),
        (COMMAND, V4, False),
        (FORWARD, TUNNEL, True),
        (f"{FORWARD}?ports=80&ports=81", V4, False),
    ],
)
async def test_a_websocket_is_passed_on_as_it_is(
    dev_cluster: DevCluster,
    kubelet: ScriptedKubelet,
    api: Api,
    path: str,
    protocol: str,
    declared: bool,
) -> None:
    async def script(asked: Asked, connection: Connection) -> None:
        await connection.upgrade(
            "websocket", Sec_WebSocket_Accept="x", Sec_WebSocket_Protocol=protocol
        )
        await connection.say(await connection.reader.readexactly(5))

    kubelet.script = script
    await make_node(api, kubelet.port, *([WEBSOCKETS] if declared else []))
    wanted = (*HANDSHAKE, f"Sec-WebSocket-Protocol: {protocol}")
    async with upgraded(dev_cluster, path, *wanted, method="GET") as (head, connection):
        assert "Sec-WebSocket-Accept: x\r\n" in head
        await connection.say(b"bytes")
        assert await connection.reader.readexactly(5) == b"bytes"
    asked = kubelet.asked[0]
    assert asked.method == "GET"
    assert asked.headers["upgrade"] == "websocket"
    assert asked.headers["sec-websocket-protocol"] == protocol
    assert asked.headers["sec-websocket-key"] == "bm9uY2U="
    if "ports" in path:
        assert asked.target == "/portForward/default/web?port=80%2C81"


async def test_a_port_forward_in_messages_is_unpacked(kubelet: ScriptedKubelet, api: Api) -> None:
    async def script(asked: Asked, connection: Connection) -> None:
        await connection.upgrade(X_Stream_Protocol_Version="portforward.k8s.io")
        await connection.say(b"first")
        await connection.say((await connection.reader.readexactly(6))[::-1])
        assert not await connection.reader.read()
        raise EOFError

    kubelet.script = script
    url = api.url + FORWARD
    async with api.session.ws_connect(url, protocols=[TUNNEL]) as socket:
        assert socket.protocol == TUNNEL
        assert await socket.receive_bytes() == b"first"
        await socket.send_bytes(b"abc")
        await socket.send_bytes(b"def")
        assert await socket.receive_bytes() == b"fedcba"
    await kubelet.left.wait()
    asked = kubelet.asked[0]
    assert (asked.method, asked.target) == ("POST", "/portForward/default/web")
    assert asked.headers["upgrade"] == "SPDY/3.1"
    assert asked.headers["x-stream-protocol-version"] == "portforward.k8s.io"


async def test_a_refused_port_forward_opens_no_websocket(
    kubelet: ScriptedKubelet, api: Api
) -> None:
    async def script(asked: Asked, connection: Connection) -> None:
        await connection.answer(404, b"no such pod")

    kubelet.script = script
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await api.session.ws_connect(api.url + FORWARD, protocols=[TUNNEL])
    assert refused.value.status == 404


# What is translated: a WebSocket of version 5 for a kubelet that has only SPDY.


@asynccontextmanager
async def session(api: Api, path: str = COMMAND) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with api.session.ws_connect(api.url + path, protocols=[V5], max_msg_size=0) as socket:
        assert socket.protocol == V5
        assert await receive(socket) == ChannelMessage(Channel.STDOUT, b"")
        yield socket


CHANNELS = Channels(len(Channel), closes=True)


async def receive(socket: aiohttp.ClientWebSocketResponse) -> ChannelMessage:
    decoded = CHANNELS.decode(await socket.receive_bytes())
    assert isinstance(decoded, ChannelMessage)
    return decoded


async def outcome(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """Return what the error channel says, dropping what other channels still carry."""
    while (message := await receive(socket)).channel != Channel.ERROR:
        pass
    return json.loads(message.data)


class Command:
    """The kubelet's side: accepts the streams, sends stdin back, tells an outcome."""

    def __init__(self, protocol: str, says: bytes = b"") -> None:
        self.protocol, self.says = protocol, says
        self.kinds: dict[str, int] = {}
        self.resized = b""

    async def __call__(self, asked: Asked, connection: Connection) -> None:
        await connection.upgrade(X_Stream_Protocol_Version=self.protocol)
        server = SpdyServer(connection)
        while True:
            match await server.next():
                case StreamOpened(stream_id, headers):
                    self.kinds[headers["streamtype"]] = stream_id
                    server.session.accept(stream_id)
                case Data(stream_id, data) as piece:
                    server.session.consumed(piece)
                    if stream_id == self.kinds.get("stdin"):
                        server.session.send(self.kinds["stdout"], data)
                    else:
                        self.resized += data
                case HalfClosed(stream_id) if stream_id == self.kinds["stdin"]:
                    self.end(server)

    def end(self, server: SpdyServer) -> None:
        if self.says:
            server.session.send(self.kinds["error"], self.says)
        for stream_id in self.kinds.values():
            server.session.finish(stream_id)


EXITED = {
    "metadata": {},
    "status": "Failure",
    "reason": "NonZeroExitCode",
    "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
}
SUCCESS = {"metadata": {}, "status": "Success"}
TEXT = {
    "metadata": {},
    "status": "Failure",
    "message": "it broke",
    "reason": "InternalError",
    "code": 500,
}


@pytest.mark.parametrize(
    ("version", "says", "told"),
    [
        (5, orjson.dumps(EXITED), EXITED),
        (4, orjson.dumps(EXITED), EXITED),
        (4, orjson.dumps(SUCCESS), SUCCESS),
        (4, b"", SUCCESS),
        (3, b"", SUCCESS),
        (3, b"it broke", TEXT),
        (2, b"it broke", TEXT),
    ],
)
async def test_exec_is_translated_to_each_version_of_spdy(
    kubelet: ScriptedKubelet, api: Api, version: int, says: bytes, told: Any
) -> None:
    kubelet.script = command = Command(f"v{version}.channel.k8s.io", says)
    async with session(api) as socket:
        await socket.send_bytes(CHANNELS.encode(Channel.STDIN, b"hello"))
        assert await receive(socket) == ChannelMessage(Channel.STDOUT, b"hello")
        await socket.send_bytes(CHANNELS.close(Channel.STDIN))
        assert await outcome(socket) == told
    assert list(command.kinds) == ["error", "stdin", "stdout", "stderr"]
    asked = kubelet.asked[0]
    assert (asked.method, asked.path, asked.headers["upgrade"]) == ("POST", TARGET, "SPDY/3.1")
    names = [f"v{number}.channel.k8s.io" for number in (5, 4, 3, 2)]
    assert asked.headers["x-stream-protocol-version"] == ",".join(names)


async def test_a_terminal_has_no_stderr_and_its_size_is_passed_on(
    kubelet: ScriptedKubelet, api: Api
) -> None:
    kubelet.script = command = Command(V4)
    async with session(api, f"{COMMAND}&tty=true") as socket:
        size = b'{"Width":80,"Height":24}'
        await socket.send_bytes(CHANNELS.encode(Channel.RESIZE, size))
        await socket.send_bytes(CHANNELS.encode(Channel.STDIN, b"x"))
        assert (await receive(socket)).data == b"x"
        await socket.send_bytes(CHANNELS.close(Channel.STDIN))
        assert await outcome(socket) == SUCCESS
    assert list(command.kinds) == ["error", "stdin", "stdout", "resize"]
    assert command.resized == size


async def test_a_kubelet_that_refuses_is_quoted(kubelet: ScriptedKubelet, api: Api) -> None:
    async def script(asked: Asked, connection: Connection) -> None:
        await connection.answer(404, b"container not found\n")

    kubelet.script = script
    async with session(api) as socket:
        said = await outcome(socket)
    assert (said["status"], said["code"]) == ("Failure", 500)
    assert said["message"] == (
        "Internal error occurred: unable to upgrade connection: container not found"
    )


async def test_an_unreachable_kubelet_is_reported(kubelet: ScriptedKubelet, api: Api) -> None:
    await make_node(api, 1)
    async with session(api) as socket:
        said = await outcome(socket)
    refused = "dial tcp 127.0.0.1:1: connect: connection refused"
    assert said["message"] == f"Internal error occurred: {refused}"


@pytest.mark.parametrize("protocol", ["channel.k8s.io", "v9.channel.k8s.io", ""])
async def test_a_protocol_that_was_not_requested_is_an_error(
    kubelet: ScriptedKubelet, api: Api, protocol: str
) -> None:
    kubelet.script = Command(protocol)
    async with session(api) as socket:
        said = await outcome(socket)
    assert "the kubelet chose no known protocol" in said["message"]


@pytest.mark.parametrize("streams", [0, 2, 4])
async def test_a_kubelet_that_vanishes_is_a_failure(
    kubelet: ScriptedKubelet, api: Api, streams: int
) -> None:
    async def script(asked: Asked, connection: Connection) -> None:
        await connection.upgrade(X_Stream_Protocol_Version=V4)
        server = SpdyServer(connection)
        for _ in range(streams):
            opened = await server.next()
            assert isinstance(opened, StreamOpened)
            server.session.accept(opened.stream_id)
        await server.flush()
        raise EOFError

    kubelet.script = script
    async with session(api) as socket:
        said = await outcome(socket)
    assert said["status"] == "Failure"
    assert "the kubelet has" in said["message"]


async def test_a_command_that_reads_no_input_still_answers(
    kubelet: ScriptedKubelet, api: Api
) -> None:
    class Deaf(Command):
        async def __call__(self, asked: Asked, connection: Connection) -> None:
            await connection.upgrade(X_Stream_Protocol_Version=V4)
            server = SpdyServer(connection)
            while True:
                match await server.next():
                    case StreamOpened(stream_id, headers):
                        self.kinds[headers["streamtype"]] = stream_id
                        server.session.accept(stream_id)
                        if headers["streamtype"] == "stdin":
                            server.session.reset(stream_id)
                    case Data(stream_id) if stream_id == self.kinds.get("resize"):
                        self.end(server)

    kubelet.script = Deaf(V4, orjson.dumps(EXITED))
    async with session(api, f"{COMMAND}&tty=true") as socket:
        for _ in range(64):
            await socket.send_bytes(CHANNELS.encode(Channel.STDIN, bytes(65536)))
        await socket.send_bytes(CHANNELS.encode(Channel.RESIZE, b'{"Width":1,"Height":1}'))
        assert await outcome(socket) == EXITED


async def test_a_client_that_leaves_ends_the_command(kubelet: ScriptedKubelet, api: Api) -> None:
    kubelet.script = Command(V4)
    async with session(api) as socket:
        await socket.send_bytes(CHANNELS.encode(Channel.STDIN, b"x"))
        assert (await receive(socket)).data == b"x"
    await kubelet.left.wait()


@pytest.mark.slow
async def test_a_client_that_does_not_read_holds_the_command_back(
    kubelet: ScriptedKubelet, api: Api
) -> None:
    sent, ended = 0, asyncio.Event()

    class Flood(Command):
        async def __call__(self, asked: Asked, connection: Connection) -> None:
            nonlocal sent
            await connection.upgrade(X_Stream_Protocol_Version=V4)
            server = SpdyServer(connection)
            while len(self.kinds) < 4:
                opened = await server.next()
                assert isinstance(opened, StreamOpened)
                self.kinds[opened.headers["streamtype"]] = opened.stream_id
                server.session.accept(opened.stream_id)
            try:
                async with asyncio.timeout(2):
                    while sent < 256 * MEBI:
                        server.session.send(self.kinds["stdout"], bytes(MEBI))
                        sent += MEBI
                        await server.flush()
            except TimeoutError:
                ended.set()
            self.end(server)
            await server.flush()
            await server.next()

    kubelet.script = Flood(V4)
    async with session(api) as socket:
        await ended.wait()
        assert sent < 64 * MEBI
        got = 0
        while (message := await receive(socket)).channel == Channel.STDOUT:
            got += len(message.data)
        assert (got, json.loads(message.data)) == (sent, SUCCESS)
