"""Logs and exec against the emulator: what is asked for, exit codes, limits, where it connects."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
from eci_world import World, is_running, until

import vk
from vk_providers.alibabacloud.emulator import EmulatorSettings, serve
from vk_providers.alibabacloud.exec import EciExecSession, _check_address, execute

pytestmark = pytest.mark.slow
LOOP = ["sh", "-c", "echo line 1; echo line 2; echo line 3; echo line 4; echo line 5; sleep 3600"]


@attrs.define(eq=False)
class Writer:
    data: bytes = b""

    async def write(self, data: bytes) -> None:
        self.data += data


@attrs.define(eq=False)
class Reader:
    pieces: list[bytes]

    async def read(self, limit: int = 65536) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


@attrs.define(eq=False)
class Streams:
    """The streams of one exec."""

    stdin: Reader | None = None
    stdout: Writer = attrs.field(factory=Writer)
    stderr: Writer = attrs.field(factory=Writer)
    tty: bool = False

    async def sizes(self) -> AsyncIterator[vk.TerminalSize]:
        for size in [vk.TerminalSize(80, 24)] if self.tty else []:
            yield size


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serve(EmulatorSettings(speed=40.0)) as emulator:
        yield World(emulator)


async def started(world: World, provider: Any, command: list[str]) -> vk.ContainerKey:
    pod = world.add(containers=[{"name": "c", "image": "busybox", "command": command}])
    await provider.create_pod(pod)
    await until(provider, is_running)
    return vk.ContainerKey(pod.key, "c")


async def read(provider: Any, container: vk.ContainerKey, **options: Any) -> bytes:
    pieces = provider.logs(container, vk.LogOptions(**options))
    return b"".join([piece async for piece in pieces])


async def test_logs_are_cut_as_asked(world: World) -> None:
    async with world.provider() as provider:
        container = await started(world, provider, LOOP)
        everything = await read(provider, container)
        assert everything == b"".join(b"line %d\n" % n for n in range(1, 6))
        assert await read(provider, container, tail_lines=2) == b"line 4\nline 5\n"
        assert await read(provider, container, tail_lines=0) == b""
        assert await read(provider, container, limit_bytes=6) == b"line 1"
        stamped = await read(provider, container, timestamps=True, tail_lines=1)
        assert stamped.startswith(b"20")
        assert stamped.endswith(b" line 5\n")


async def test_after_a_restart_the_earlier_runs_log_is_the_previous_one(world: World) -> None:
    command = ["sh", "-c", "echo ran; exit 1"]
    async with world.provider() as provider:
        pod = world.add(containers=[{"name": "c", "image": "busybox", "command": command}])
        await provider.create_pod(pod)
        await until(provider, lambda change: change.containers and change.containers[0].last_state)
        assert await read(provider, vk.ContainerKey(pod.key, "c"), previous=True) == b"ran\n"


@pytest.mark.parametrize("kind", ["throttle", "reset"])
async def test_a_followed_log_goes_on_after_an_answer_that_failed(world: World, kind: str) -> None:
    command = ["sh", "-c", "echo before; sleep 80; echo after; sleep 3600"]
    async with world.provider() as provider:
        container = await started(world, provider, command)
        running = {"containerStatuses": [{"name": "c", "state": {"running": {}}}]}
        pod = world.pods[container.pod.uid]
        world.pods[container.pod.uid] = vk.Pod({**pod.raw, "status": running})
        pieces = provider.logs(container, vk.LogOptions(follow=True))
        data = await anext(pieces)
        await world.emulator.set_faults(
            {"kind": kind, "actions": ["DescribeContainerLog"], "count": 2}
        )
        while b"after" not in data:
            data += await anext(pieces)
        assert data == b"before\nafter\n"


async def test_the_log_of_a_pod_without_group_is_not_there(world: World) -> None:
    async with world.provider() as provider:
        with pytest.raises(vk.NotFoundError):
            await read(provider, vk.ContainerKey(world.add().key, "c"))


@pytest.mark.parametrize(("command", "code"), [(["true"], 0), (["sh", "-c", "exit 3"], 3)])
async def test_a_shell_reports_the_exit_code_invisibly(
    world: World, command: list[str], code: int
) -> None:
    async with world.provider(exec_exit_code="wrap") as provider:
        container = await started(world, provider, LOOP)
        io = Streams()
        assert await provider.exec(container, command, io) == code
        assert io.stdout.data == b""


async def test_output_and_input_pass_and_no_code_is_made_up(world: World) -> None:
    async with world.provider(exec_exit_code="service") as provider:
        container = await started(world, provider, LOOP)
        io = Streams()
        assert await provider.exec(container, ["echo", "hello"], io) is None
        assert io.stdout.data == b"hello\n"
        io = Streams(stdin=Reader([b"through ", b"stdin\n"]))
        assert await provider.exec(container, ["cat"], io) is None
        assert io.stdout.data == b"through stdin\n"


async def test_the_services_own_status_is_read_where_it_comes() -> None:
    async with serve(EmulatorSettings(speed=40.0, exec_status=True)) as emulator:
        world = World(emulator)
        async with world.provider(exec_exit_code="service") as provider:
            container = await started(world, provider, LOOP)
            assert await provider.exec(container, ["sh", "-c", "exit 3"], Streams()) == 3
            assert await provider.exec(container, ["true"], Streams()) == 0


@pytest.mark.parametrize("words", [["x"] * 21, ["y" * 257], ["z" * 250] * 9])
async def test_a_command_that_the_service_would_not_take_is_refused_before(
    world: World, words: list[str]
) -> None:
    async with world.provider() as provider:
        client = provider._service.client
        with pytest.raises(vk.InvalidInputError, match="ECI accepts commands"):
            await execute(
                client, group="eci-a", container="c", command=words, io=Streams(), wrap=False
            )
    assert await world.calls("ExecContainerCommand") == []


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("wss://eci-cn-shanghai.aliyun.com/exec/?s=x", True),
        ("wss://x.aliyuncs.com/exec/?s=x", True),
        ("ws://eci-cn-shanghai.aliyun.com/exec/?s=x", False),
        ("wss://aliyun.com.evil.example/exec/?s=x", False),
        ("https://x.aliyun.com/", False),
        ("", False),
    ],
)
def test_exec_connects_to_the_service_alone(url: str, allowed: bool) -> None:
    if allowed:
        _check_address(url, "https://eci.cn-shanghai.aliyuncs.com")
        return
    with pytest.raises(vk.TemporaryError) as caught:
        _check_address(url, "https://eci.cn-shanghai.aliyuncs.com")
    assert "s=x" not in str(caught.value)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_the_line_with_the_code_is_taken_out_however_it_is_cut(size: int) -> None:
    io = Streams()
    session = EciExecSession(io, b"vk-abc:")
    text = b"before vk vk-ab line\nno newline at the endvk-abc:42\n"
    for start in range(0, len(text), size):
        await session._out(text[start : start + size])
    await session._out(b"", last=True)
    assert io.stdout.data == b"before vk vk-ab line\nno newline at the end"
    assert session.code == 42


@pytest.mark.parametrize(
    ("frame", "out", "err"),
    [
        (b"\x01out", b"out", b""),
        (b"\x02err", b"", b"err"),
        (b"raw text", b"raw text", b""),
        (b"\x03not json", b"", b""),
        (b"\x01", b"", b""),
        (b"", b"", b""),
    ],
)
async def test_frames_are_read_leniently(frame: bytes, out: bytes, err: bytes) -> None:
    io = Streams()
    session = EciExecSession(io)
    await session._take(frame)
    assert (io.stdout.data, io.stderr.data, session.code) == (out, err, None)


@pytest.mark.parametrize("causes", [b'[{"reason":"ExitCode","message":null}]', b"5"])
async def test_a_status_without_a_code_gives_none_and_ends_nothing(causes: bytes) -> None:
    session = EciExecSession(Streams())
    await session._take(b'\x03{"status":"Failure","details":{"causes":' + causes + b"}}")
    assert session.code is None
