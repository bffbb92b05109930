"""The mock executes no command and opens no port; it states that, and echoes its input."""

import asyncio
import http.client
import io

import pytest
from mock_world import Client, Side, build, pod, simulated

import vk
from vk_providers.mock.provider import MockProvider

NOT_RUN = b"simulated: nothing runs in container default/p/c, so the command was not run\n"
ATTACHED = b"simulated: nothing runs in container default/p/c, you see its log and echo\n"


async def started(provider: MockProvider, **scenario: str) -> vk.ContainerKey:
    wanted = pod(**scenario)
    await provider.create_pod(wanted)
    return vk.ContainerKey(wanted.key, "c")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["exit", "3"], 3),
        (["sh", "-c", "exit 137"], 137),
        (["/bin/bash", "-c", "exit 0"], 0),
        (["sh", "-c", "exit 256"], 0),
        (["sh", "-c", "exit"], 0),
        (["sh", "-c", "exit -1"], 0),
        (["sh", "-c", "exit 3; true"], 0),
        (["exit", "3" * 5000], 0),
    ],
)
async def test_exec_states_that_nothing_was_run_and_returns_the_code_of_exit(command, code):
    async with build() as provider:
        client = Client()
        assert await provider.exec(await started(provider), command, client) == code
        assert (client.out, client.err) == (b"", NOT_RUN)


async def test_exec_gives_back_what_is_piped_in_byte_for_byte():
    async with build() as provider:
        content = bytes(range(256)) * 300
        client = Client(Side().send(content[:70_000], content[70_000:], end=True))
        assert await provider.exec(await started(provider), ["cat"], client) == 0
        assert (client.out, client.err) == (content, NOT_RUN)


async def test_an_exit_waits_for_no_input():
    async with build() as provider:
        client = Client(Side())
        assert await provider.exec(await started(provider), ["sh", "-c", "exit 4"], client) == 4


async def test_exec_without_stderr_states_it_on_stdout():
    async with build() as provider:
        container = await started(provider)
        client = Client(stderr=None)
        assert await provider.exec(container, ["true"], client) == 0
        assert client.out == NOT_RUN
        client = Client(Side().send(b"x", end=True), stdout=None, stderr=None)
        assert await provider.exec(container, ["cat"], client) == 0


@pytest.mark.parametrize("key", [b"\x03", b"\x04"])
async def test_exec_on_a_terminal_shows_what_is_typed_and_can_be_left(key: bytes):
    async with build() as provider:
        client = Client.terminal(Side().send(b"l", b"s\r", b"bye" + key + b"not shown"))
        assert await provider.exec(await started(provider), ["sh"], client) == 0
        assert client.out == NOT_RUN[:-1] + b" (Ctrl-D leaves)\r\nls\r\nbye"


@simulated
async def test_exec_is_killed_when_its_container_ends():
    async with build() as provider:
        loop = asyncio.get_running_loop()
        container = await started(provider, run_for="2500ms", policy="Never")
        begin = loop.time()
        assert await provider.exec(container, ["sh"], Client(Side())) == 137
        assert loop.time() - begin == pytest.approx(2.5, abs=0.01)


@simulated
async def test_exec_is_killed_when_its_pod_is_deleted():
    async with build() as provider:
        container = await started(provider)
        session = asyncio.ensure_future(provider.exec(container, ["sh"], Client(Side())))
        await asyncio.sleep(5)
        assert not session.done()
        await provider.delete_pod(container.pod, grace_period=0)
        assert await asyncio.wait_for(session, 1.01) == 137


@simulated
async def test_a_cancelled_exec_leaves_nothing_behind():
    async with build() as provider:
        session = asyncio.ensure_future(
            provider.exec(await started(provider), ["sh"], Client(Side()))
        )
        await asyncio.sleep(5)
        session.cancel()
        with pytest.raises(asyncio.CancelledError):
            await session
        assert asyncio.all_tasks() == {asyncio.current_task()}


class Gone(Side):
    """A client that has gone."""

    async def write(self, data: bytes) -> None:
        raise ConnectionResetError("gone")


@simulated
async def test_a_client_that_has_gone_ends_exec_and_attach_with_its_own_error():
    async with build() as provider:
        container = await started(provider, log_line="tick")
        with pytest.raises(ConnectionResetError):
            await provider.exec(container, ["cat"], Client(Side().send(b"x"), stdout=Gone()))
        with pytest.raises(ConnectionResetError):
            await provider.attach(container, Client(Side(), stdout=Gone()))


@simulated
async def test_attach_shows_the_log_from_now_on_and_the_input_until_the_container_ends():
    async with build() as provider:
        container = await started(provider, log_line="tick", run_for="4s", policy="Never")
        await asyncio.sleep(1.5)
        client = Client(Side().send(b"typed\n", end=True))
        await provider.attach(container, client)
        assert client.err == ATTACHED
        assert client.out == b"typed\ntick\ntick\ntick\n"


@simulated
@pytest.mark.parametrize(("tty", "expected"), [(False, b"tick\n"), (True, b"tick\r\n")])
async def test_attach_without_input_shows_the_log(tty: bool, expected: bytes):
    async with build() as provider:
        client = Client(tty=tty)
        await provider.attach(
            await started(provider, log_line="tick", run_for="2s", policy="Never"), client
        )
        assert client.out == 2 * expected


@simulated
async def test_a_terminal_can_be_left_while_the_container_runs():
    async with build() as provider:
        client = Client.terminal(typed := Side())
        session = asyncio.ensure_future(
            provider.attach(await started(provider, log_line="tick"), client)
        )
        await asyncio.sleep(1.5)
        typed.send(b"\x04")
        await asyncio.wait_for(session, 0.01)
        assert client.out == ATTACHED[:-1] + b" (Ctrl-D leaves)\r\ntick\r\n"


async def test_a_forwarded_port_answers_http_that_nothing_listens():
    async with build() as provider:
        container = await started(provider)
        side = Side().send(b"GET / HTTP/1.1\r\n", b"Host: x\r\n\r\n", end=True)
        await provider.port_forward(container.pod, 8080, side)
        assert side.ended
        response = http.client.HTTPResponse(Connection(side.received))
        response.begin()
        assert (response.status, response.getheader("Connection")) == (200, "close")
        expected = b"simulated: pod default/p runs nowhere, so nothing listens on its port 8080\n"
        assert response.read() == expected


class Connection:
    """What http.client reads an answer from."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._content)


@simulated
async def test_a_forwarded_connection_ends_when_both_sides_have():
    async with build() as provider:
        container, side = await started(provider), Side()
        forwarding = asyncio.ensure_future(provider.port_forward(container.pod, 80, side))
        await asyncio.sleep(60)
        assert (side.received, side.ended) == (b"", False)
        side.send(b"PING\n")
        await asyncio.sleep(60)
        assert side.ended and side.received.startswith(b"HTTP/1.1 200 OK\r\n")
        assert not forwarding.done()
        side.send(end=True)
        await asyncio.wait_for(forwarding, 0.01)


async def test_a_connection_that_sends_nothing_gets_nothing():
    async with build() as provider:
        container, side = await started(provider), Side().send(end=True)
        await provider.port_forward(container.pod, 80, side)
        assert (side.received, side.ended) == (b"", True)


@simulated
@pytest.mark.parametrize("scenario", [{"start_delay": "1h"}, {"run_for": "1s", "policy": "Never"}])
async def test_a_container_that_does_not_run_takes_no_streams(scenario: dict[str, str]):
    async with build() as provider:
        container = await started(provider, **scenario)
        await asyncio.sleep(10)
        with pytest.raises(vk.TemporaryError, match="default/p/c is not running"):
            await provider.exec(container, ["true"], Client())
        with pytest.raises(vk.TemporaryError):
            await provider.attach(container, Client())
        with pytest.raises(vk.TemporaryError):
            await provider.port_forward(container.pod, 80, Side())


async def test_ephemeral_containers_are_not_run():
    async with build() as provider:
        container = await started(provider)
        debugger = vk.ContainerKey(container.pod, "debugger")
        with pytest.raises(vk.TemporaryError, match="debugger is not running"):
            await provider.attach(debugger, Client())
