"""An exec session is a WebSocket with channels, to the simulated shell of one container."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from eci_client import Client, Refused, client_of

from vk_providers.alibabacloud import emulator


@pytest.fixture
async def group(client: Client) -> str:
    """A group that runs."""
    return await running_group(client)


async def running_group(client: Client, **more: object) -> str:
    """Return the id of a group once it runs."""
    id = await client.create(**more)
    while (await client.group(id))["Status"] != "Running":
        continue
    return id


async def opened(
    client: Client, id: str, *words: str, **more: object
) -> aiohttp.ClientWebSocketResponse:
    """Ask for a session and open it."""
    command = json.dumps(words)
    asked = {"ContainerGroupId": id, "ContainerName": "main", "Command": command, **more}
    answer = await client.call("ExecContainerCommand", **asked)
    return await client.session.ws_connect(answer["WebSocketUri"])


async def output(socket: aiohttp.ClientWebSocketResponse, channel: int = 1) -> bytes:
    """Return all that comes on a channel until the session ends."""
    frames = [message.data async for message in socket]
    assert all(isinstance(frame, bytes) for frame in frames)
    return b"".join(frame[1:] for frame in frames if frame[0] == channel)


async def until(socket: aiohttp.ClientWebSocketResponse, end: bytes) -> bytes:
    """Return what comes on channel 1 up to some bytes."""
    content = b""
    while not content.endswith(end):
        frame = await socket.receive_bytes(timeout=5)
        assert frame[0] == 1
        content += frame[1:]
    return content


async def test_output_and_errors_come_on_their_channels(client: Client, group: str):
    text = "echo out; echo err >&2"
    socket = await opened(client, group, "sh", "-c", text)
    frames = [message.data async for message in socket]
    assert frames == [b"\x01out\n", b"\x02err\n"]
    assert socket.close_code == 1000


async def test_input_reaches_the_command_byte_for_byte(client: Client, group: str):
    content = bytes(range(256)) * 40
    socket = await opened(client, group, "cat")
    await socket.send_bytes(b"\x00" + content)
    await socket.send_bytes(b"\x00")
    assert await output(socket) == content


async def test_a_shell_runs_the_lines_it_is_given(client: Client, group: str):
    socket = await opened(client, group, "bash", "-l")
    await socket.send_bytes(b"\x00echo one\necho t")
    await socket.send_bytes(b"\x00wo\nexit 3\n")
    assert await output(socket) == b"one\ntwo\n"


async def test_without_stdin_the_input_is_at_its_end(client: Client, group: str):
    socket = await opened(client, group, "cat", Stdin="false")
    assert await output(socket) == b""


async def test_a_terminal_echoes_and_prompts_and_takes_control_keys(client: Client, group: str):
    socket = await opened(client, group, "sh", TTY="true")
    assert await until(socket, b"/ # ") == b"/ # "
    await socket.send_bytes(b"\x00echo 2x\x7f\r")
    assert await until(socket, b"/ # ") == b"echo 2x\b \b\r\n2\r\n/ # "
    await socket.send_bytes(b"\x04" + b'{"Width": 132, "Height": 43}')
    await socket.send_bytes(b"\x00stty size\r")
    assert b"43 132\r\n" in await until(socket, b"/ # ")
    await socket.send_bytes(b"\x00sleep 1000000\r")
    await until(socket, b"\r\n")
    await socket.send_bytes(b"\x00\x03")
    assert await until(socket, b"/ # ") == b"^C\r\n/ # "
    await socket.send_bytes(b"\x00cat\r")
    await until(socket, b"\r\n")
    await socket.send_bytes(b"\x00a\r\x04")
    assert await until(socket, b"/ # ") == b"a\r\na\r\n/ # "
    await socket.send_bytes(b"\x00\x04")
    assert await output(socket) == b""


async def test_the_environment_and_the_files_of_the_container_are_there(client: Client):
    file = "Volume__1__ConfigFileVolume__ConfigFileToPath__1__"
    group = await running_group(
        client,
        Container__1__EnvironmentVar__1__Key="NAME",
        Container__1__EnvironmentVar__1__Value="web",
        Container__1__EnvironmentVar__2__Key="IP",
        Container__1__EnvironmentVar__2__FieldRef__FieldPath="status.podIP",
        Container__1__VolumeMount__1__Name="v",
        Container__1__VolumeMount__1__MountPath="/etc/web",
        Volume__1__Name="v",
        Volume__1__Type="ConfigFileVolume",
        **{f"{file}Path": "conf.d/a", f"{file}Content": "QUI="},
    )
    text = "echo $NAME $IP; cat /etc/web/conf.d/a"
    assert await output(await opened(client, group, "sh", "-c", text)) == b"web 172.16.0.1\nAB"


async def test_a_session_opens_once(client: Client, group: str):
    command = json.dumps(["true"])
    answer = await client.call(
        "ExecContainerCommand", ContainerGroupId=group, ContainerName="main", Command=command
    )
    await (await client.session.ws_connect(answer["WebSocketUri"])).close()
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        await client.session.ws_connect(answer["WebSocketUri"])


@pytest.mark.slow
async def test_a_session_ends_with_its_container(client: Client, group: str):
    socket = await opened(client, group, "sleep", "1000000")
    await client.call("DeleteContainerGroup", ContainerGroupId=group)
    assert await output(socket) == b""


async def test_a_client_that_leaves_ends_its_session(
    running: emulator.RunningEmulator, client: Client
):
    """Nothing is left to hold the emulator up when it stops; the fixture would hang."""
    group = await running_group(client)
    socket = await opened(client, group, "sleep", "1000000")
    await socket.close()


async def test_sync_answers_with_the_output(client: Client, group: str):
    asked = {"ContainerGroupId": group, "ContainerName": "main", "Sync": "true"}
    text = json.dumps(["sh", "-c", "echo out; echo err >&2"])
    answer = await client.call("ExecContainerCommand", **asked, Command=text)
    assert answer["SyncResponse"] == "out\nerr\n"
    with pytest.raises(Refused, match="400 InvalidParameter"):
        await client.call("ExecContainerCommand", **asked, Command=text, TTY="true")
    with pytest.raises(Refused, match="408 Request Timeout"):
        forever = json.dumps(["sleep", "infinity"])
        await client.call("ExecContainerCommand", **asked, Command=forever)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["x"] * 21, "InvalidParameter.ValueExceeded"),
        (["x" * 257], "InvalidParameter.ValueExceeded"),
        (["x" * 200] * 11, "InvalidParameter.ValueExceeded"),
        ([], "InvalidParameter.ValueExceeded"),
        ([1], "InvalidParameter"),
    ],
)
async def test_a_command_has_limits(client: Client, group: str, words: list[object], code: str):
    asked = {"ContainerGroupId": group, "ContainerName": "main", "Command": json.dumps(words)}
    with pytest.raises(Refused) as refusal:
        await client.call("ExecContainerCommand", **asked)
    assert refusal.value.code == code


async def test_only_a_running_container_is_entered(client: Client):
    group = await client.create(command="sleep 1", RestartPolicy="Never")
    while (await client.group(group))["Status"] != "Succeeded":
        continue
    asked = {"ContainerGroupId": group, "Command": '["true"]'}
    with pytest.raises(Refused, match="400 IncorrectStatus"):
        await client.call("ExecContainerCommand", **asked, ContainerName="main")
    with pytest.raises(Refused, match="400 InvalidParameter"):
        await client.call("ExecContainerCommand", **asked, ContainerName="other")


@pytest.fixture
async def telling() -> AsyncIterator[Client]:
    """A client of an emulator that reports exit codes."""
    settings = emulator.EmulatorSettings(speed=1000, rates=0, exec_status=True)
    async with emulator.serve(settings) as running, aiohttp.ClientSession() as session:
        yield client_of(running, session)


@pytest.mark.parametrize(("word", "status"), [("true", "Success"), ("false", "Failure")])
async def test_the_exit_code_comes_on_channel_3_where_asked_for(
    telling: Client, word: str, status: str
):
    group = await running_group(telling)
    document = json.loads(await output(await opened(telling, group, word), channel=3))
    assert document["status"] == status
    if status == "Failure":
        assert document["details"]["causes"] == [{"reason": "ExitCode", "message": "1"}]


async def test_many_sessions_run_side_by_side(client: Client, group: str):
    async def one(number: int) -> bytes:
        return await output(await opened(client, group, "sh", "-c", f"sleep 9; echo {number}"))

    found = await asyncio.gather(*(one(number) for number in range(20)))
    assert found == [f"{number}\n".encode() for number in range(20)]
