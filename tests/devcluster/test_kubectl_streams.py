"""kubectl's logs, exec, attach, run, port-forward, cp and top, through the embedded cluster.

The node is a real one, its pods are processes of this machine. Each test of a stream goes three
ways: a WebSocket that is passed on to the kubelet, one that is translated to SPDY for it since the
node does not say that it takes WebSockets, and SPDY.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import sys
import termios
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
import pytest_asyncio
from kubectl_process import CONTROL_PLANE, WHEEL, Kubectl, line_of, program

from vk.devcluster.cluster import DevCluster
from vk.devcluster.login import read_access
from vk.kubelet import VirtualKubelet
from vk.settings import Settings
from vk_providers.process.config import ProcessConfig
from vk_providers.process.provider import ProcessProvider

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

WAYS = ("websocket", "translated", "spdy")
NO_WEBSOCKETS = {
    "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false",
    "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false",
}
MEBI = 1 << 20
REVERSING = """
import asyncio

async def answer(reader, writer):
    writer.write((await reader.read())[::-1])
    await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@attrs.frozen
class World:
    """A cluster with one node, and a folder for what pods and tests tell each other."""

    cluster: DevCluster
    folder: Path
    path: Path
    environment: dict[str, str] = attrs.field(factory=dict)

    @property
    def kubectl(self) -> Kubectl:
        cache = self.folder / "cache"
        return Kubectl(self.path, self.cluster.kubeconfig, cache, self.environment)

    async def run_pod(self, name: str, script: str, *, ready: bool = True, **spec: Any) -> None:
        """Create a pod of one container that runs a shell script; wait until it is Ready."""
        container = {"name": "main", "image": "none", "command": ["sh", "-c", script]}
        container |= spec.pop("container", {})
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"name": name}},
            "spec": {
                "nodeName": "n1",
                "terminationGracePeriodSeconds": 0,
                "containers": [container],
                **spec,
            },
        }
        await self.kubectl("apply", "-f", "-", input=orjson.dumps(pod).decode())
        if ready:
            await self.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=20s")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    path = program(WHEEL) or program(CONTROL_PLANE)
    if path is None:
        pytest.skip("no kubectl on this machine")
    folder = tmp_path_factory.mktemp("streams")
    async with (
        ProcessProvider.development() as state,
        DevCluster(folder / "cluster") as cluster,
    ):
        settings = Settings(
            provider="process",
            node_name="n1",
            internal_ip="127.0.0.1",
            kubelet_port=0,
            serving_signer="",
            state_folder=folder / "node",
        )
        config = ProcessConfig(**state, isolation="none")
        access = read_access(cluster.kubeconfig)
        node = VirtualKubelet(settings, ProcessProvider, config, access=access)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(node.run())
            async with asyncio.timeout(20):
                await node.ready.wait()
            world = World(cluster, folder, path)
            await world.run_pod("web", "for i in 1 2 3; do echo line $i; done; exec sleep 1000")
            yield world
            await world.kubectl("delete", "pods", "--all", "--grace-period=0", "--force")
            running.cancel()


@pytest_asyncio.fixture(params=WAYS, loop_scope="module")
async def way(request: pytest.FixtureRequest, world: World) -> World:
    """Give the world with a kubectl and a node that speak as the way has it."""
    features = None if request.param == "translated" else ["ExtendWebSocketsToKubelet"]
    patch = orjson.dumps({"status": {"declaredFeatures": features}}).decode()
    how = ("--subresource=status", "--type=merge", "-p", patch)
    await world.kubectl("patch", "node", "n1", *how)
    return attrs.evolve(world, environment=NO_WEBSOCKETS if request.param == "spdy" else {})


async def test_logs_obey_every_flag(world: World) -> None:
    kubectl = world.kubectl
    assert await kubectl("logs", "web") == "line 1\nline 2\nline 3\n"
    assert await kubectl("logs", "web", "-c", "main", "--tail=1") == "line 3\n"
    assert await kubectl("logs", "web", "--tail=0") == ""
    assert await kubectl("logs", "web", "--limit-bytes=9") == "line 1\nli"
    assert await kubectl("logs", "web", "--since=1h") == "line 1\nline 2\nline 3\n"
    assert await kubectl("logs", "web", "--since-time=2099-01-01T00:00:00Z") == ""
    assert await kubectl("logs", "-l", "name=web", "--prefix") == "".join(
        f"[pod/web/main] line {number}\n" for number in (1, 2, 3)
    )
    stamped = (await kubectl("logs", "web", "--timestamps")).splitlines()
    assert [line.split(" ", 1)[1] for line in stamped] == ["line 1", "line 2", "line 3"]
    assert all(line.split(" ")[0].endswith("Z") for line in stamped)
    previous = await kubectl("logs", "web", "--previous", code=1)
    assert "previous" in previous


async def test_logs_are_followed_until_the_container_ends(world: World) -> None:
    gate = world.folder / "gate"
    script = f"echo one; until [ -e {gate} ]; do sleep 0.05; done; echo two"
    await world.run_pod("ending", script, restartPolicy="Never")
    async with world.kubectl.running("logs", "-f", "ending") as child:
        assert await line_of(child) == "one"
        gate.touch()
        assert await line_of(child) == "two"
        assert await line_of(child) == ""
        assert await child.wait() == 0


async def test_the_log_before_a_restart_is_there(world: World) -> None:
    mark = world.folder / "mark"
    script = f"[ -e {mark} ] && echo second && exec sleep 1000; touch {mark}; echo first; exit 1"
    await world.run_pod("restarting", script, ready=False)
    count = "jsonpath={.status.containerStatuses[0].restartCount}=1"
    await world.kubectl("wait", "pod/restarting", f"--for={count}", "--timeout=25s")
    assert await world.kubectl("logs", "restarting", "--previous") == "first\n"


async def test_a_container_must_be_named_where_there_are_several(world: World) -> None:
    second = [
        {"name": name, "image": "none", "command": ["sh", "-c", f"echo {name}; exec sleep 1000"]}
        for name in ("a", "b")
    ]
    await world.run_pod("two", "", containers=second)
    text = await world.kubectl("logs", "two")
    assert text == 'a\nDefaulted container "a" out of: a, b\n'
    assert await world.kubectl("logs", "two", "-c", "b") == "b\n"
    raw = "/api/v1/namespaces/default/pods/two/log"
    refused = await world.kubectl("get", "--raw", raw, code=1)
    assert "a container name must be specified for pod two, choose one of: [a b]" in refused
    wrong = await world.kubectl("exec", "two", "-c", "x", "--", "true", code=1)
    assert "container x is not valid for pod two" in wrong


@pytest.mark.parametrize("code", [0, 1, 137])
async def test_an_exit_code_arrives_with_both_outputs(way: World, code: int) -> None:
    script = f"echo out; echo err >&2; exit {code}"
    done = await way.kubectl.run("exec", "web", "--", "sh", "-c", script)
    assert (done.code, done.out) == (code, b"out\n")
    assert done.errors.startswith(b"err\n")


async def test_a_command_that_is_not_there_is_an_error(way: World) -> None:
    done = await way.kubectl.run("exec", "web", "--", "no-such-command")
    assert done.code not in (0, None)
    assert b"no-such-command" in done.errors


async def test_64_mib_come_back_byte_for_byte(way: World) -> None:
    data = os.urandom(64 * MEBI)
    done = await way.kubectl.run("exec", "-i", "web", "--", "cat", input=data)
    assert done.code == 0, done.errors
    assert done.out == data


async def test_attach_reaches_the_main_process(way: World) -> None:
    name = f"attached-{'spdy' if way.environment else os.urandom(3).hex()}"
    await way.run_pod(
        name, "exec cat", restartPolicy="Never", container={"stdin": True, "stdinOnce": True}
    )
    done = await way.kubectl.run("attach", "-i", name, input=b"hello\n")
    assert (done.code, done.out) == (0, b"hello\n"), done.errors


async def test_run_starts_attaches_and_removes(way: World) -> None:
    overrides = '{"spec":{"nodeName":"n1"}}'
    command = ("run", "once", "--image=none", "-i", "--rm", "--restart=Never", "--quiet")
    done = await way.kubectl.run(
        *command, f"--overrides={overrides}", "--command", "--", "cat", input=b"hello\n"
    )
    assert (done.code, done.out) == (0, b"hello\n"), done.errors
    assert "not found" in await way.kubectl("get", "pod", "once", code=1)


async def test_a_terminal_has_the_clients_size_and_follows_it(way: World) -> None:
    ours, theirs = os.openpty()
    _resize(theirs, 33, 101)
    # As with a container runtime, the command may start before the first size has come.
    script = (
        "for rows in 33 44; do until [ $(stty size | cut -c1-2) = $rows ]; do sleep 0.05; done; "
        "stty size; done; exit 3"
    )
    kubectl = way.kubectl
    child = await asyncio.create_subprocess_exec(
        *(kubectl.path, f"--kubeconfig={kubectl.kubeconfig}", f"--cache-dir={kubectl.cache}"),
        *("exec", "-it", "web", "--", "sh", "-c", script),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **way.environment},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    try:
        await _read_until(ours, b"33 101")
        _resize(ours, 44, 120)
        child.send_signal(signal.SIGWINCH)
        await _read_until(ours, b"44 120")
        async with asyncio.timeout(20):
            assert await child.wait() == 3
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        os.close(ours)


def _resize(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


async def _read_until(terminal: int, text: bytes) -> None:
    loop, seen = asyncio.get_running_loop(), b""
    async with asyncio.timeout(20):
        while text not in seen:
            readable = asyncio.Event()
            loop.add_reader(terminal, readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(terminal)
            seen += os.read(terminal, 4096)


async def test_a_folder_is_copied_there_and_back(way: World, tmp_path: Path) -> None:
    source, there, back = (tmp_path / name for name in ("source", "there", "back"))
    source.mkdir()
    (source / "large").write_bytes(os.urandom(5 * MEBI))
    await way.kubectl("cp", str(source), f"web:{there}")
    await way.kubectl("cp", f"web:{there}", str(back))
    assert (back / "large").read_bytes() == (source / "large").read_bytes()


async def test_twenty_connections_are_forwarded_at_a_time_and_half_closed(way: World) -> None:
    script = way.folder / "reversing.py"
    script.write_text(REVERSING)
    await way.run_pod("server", f"exec {sys.executable} {script}")
    async with way.kubectl.running("logs", "-f", "server") as following:
        port = await line_of(following)
    async with way.kubectl.running("port-forward", "server", f":{port}") as child:
        local = await _local_port(child)
        sent = [os.urandom(200_000) for _ in range(20)]
        got = await asyncio.gather(*(_ask(local, data) for data in sent))
    assert [data[::-1] for data in got] == sent


async def test_a_port_on_which_nothing_listens_closes_the_connection(way: World) -> None:
    async with way.kubectl.running("port-forward", "web", ":1") as child:
        assert await _ask(await _local_port(child), b"x") == b""


async def _local_port(child: Process) -> int:
    return int((await line_of(child)).split()[2].rpartition(":")[2])


async def _ask(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_top_shows_what_nodes_and_pods_use(world: World) -> None:
    busy = "x=$(head -c 20971520 /dev/zero | tr '\\0' x); echo full; while :; do :; done"
    await world.run_pod("busy", busy)
    async with world.kubectl.running("logs", "-f", "busy") as child:
        assert await line_of(child) == "full"
    header, row = (
        await world.kubectl("top", "pods", "--containers", "-l", "name=busy")
    ).splitlines()
    assert header.split() == ["POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]
    pod, container, cpu, memory = row.split()
    assert (pod, container) == ("busy", "main")
    assert 50 < int(cpu.removesuffix("m")) < 2000
    assert 20 <= int(memory.removesuffix("Mi")) < 200
    everywhere = await world.kubectl("top", "pods", "-A")
    assert {"default", "busy", "web"} <= set(everywhere.split())
    _, node = (await world.kubectl("top", "nodes")).splitlines()
    name, cpu, share, memory, _ = node.split()
    assert name == "n1"
    assert int(cpu.removesuffix("m")) > 0
    assert int(memory.removesuffix("Mi")) > 20
    assert share.endswith("%")
    await world.kubectl("delete", "pod", "busy", "--grace-period=0", "--force")


async def test_the_nodes_proxy_reaches_the_kubelet(world: World) -> None:
    path = "/api/v1/nodes/n1/proxy"
    assert await world.kubectl("get", "--raw", f"{path}/healthz") == "ok"
    pods = orjson.loads(await world.kubectl("get", "--raw", f"{path}/pods"))
    assert "web" in [one["metadata"]["name"] for one in pods["items"]]
    log = await world.kubectl("get", "--raw", f"{path}/containerLogs/default/web/main?tailLines=1")
    assert log == "line 3\n"
    missing = await world.kubectl("get", "--raw", f"{path}/nothing", code=1)
    assert "NotFound" in missing


async def test_a_user_without_the_right_gets_nothing(world: World) -> None:
    kubeconfig = world.cluster.kubeconfig_for("nobody")
    kubectl = attrs.evolve(world.kubectl, kubeconfig=kubeconfig)
    for path in ("pods/web/log", "pods/web/exec"):
        refused = await kubectl("get", "--raw", f"/api/v1/namespaces/default/{path}", code=1)
        assert "Forbidden" in refused
        assert f'cannot get resource "{path.replace("web/", "")}"' in refused
