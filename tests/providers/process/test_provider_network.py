"""Pods with a network namespace of their own: addresses, probes, port-forward, and cleaning up."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import attrs
import pytest
from isolation_here import NO_BUBBLEWRAP, needs_bubblewrap, needs_namespaces
from process_world import CLUSTER, LIMIT, NODE, Node, container, ended, is_up, node, pod, sh

import vk
from vk_providers.process.network import Network

pytestmark = [pytest.mark.slow, *needs_namespaces]

_SERVER = """
import socket, sys
server = socket.create_server((sys.argv[1], 8080))
print("ready", flush=True)
while True:
    client, _ = server.accept()
    asked = client.recv(100)
    client.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + sys.argv[2].encode())
    client.close()
"""
_PYTHON = str(Path(sys.executable).resolve())
"""Of the machine: a virtual environment below /tmp is hidden by the pod's own."""
_ISOLATION = "none" if NO_BUBBLEWRAP else "bubblewrap"


def _server(text: str, *, address: str = "", **fields: Any) -> dict[str, Any]:
    command = [_PYTHON, "-I", "-S", "-c", _SERVER, address, text]
    return {"name": "c", "command": command, **fields}


@attrs.define(eq=False)
class _Caller:
    """A `ByteStream`: what it sends, then what it hears."""

    sends: bytes = b"GET / HTTP/1.0\r\n\r\n"
    hears: bytes = b""
    ended: bool = False

    async def read(self, limit: int = 65536) -> bytes:
        piece, self.sends = self.sends[:limit], self.sends[limit:]
        return piece

    async def write(self, data: bytes) -> None:
        self.hears += data

    async def write_eof(self) -> None:
        self.ended = True


@pytest.fixture
def own() -> Iterator[dict[str, Any]]:
    """Settings with a bridge and a range that no other test has; the bridge is removed."""
    number = os.getpid() % 200  # two runs at once have neighbouring ids, if anything
    bridge = f"vkt{os.getpid()}"[:15]
    yield {
        "network": "namespace",
        "isolation": _ISOLATION,
        "bridge": bridge,
        "pod_cidr": f"10.{number + 40}.0.0/24",
    }
    for name in _namespaces():  # of a test that failed
        _ip("netns", "delete", name)
    if Path("/sys/class/net", bridge).exists():
        _ip("link", "delete", bridge)


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def _namespaces() -> set[str]:
    return {path.name for path in Path("/run/netns").glob(f"vk-*-uid-{os.getpid()}-*")}


async def _ask(here: Node, wanted: vk.Pod) -> bytes:
    caller = _Caller()
    async with asyncio.timeout(LIMIT):
        await here.provider.port_forward(wanted.key, 8080, caller)
    assert caller.ended
    return caller.hears.rpartition(b"\r\n")[2]


async def test_twenty_pods_listen_on_one_port_each_at_its_own_address(
    state: Path, own: dict[str, Any]
) -> None:
    async with node(state, **own) as here:
        wanted = [pod(_server(f"pod {number}")) for number in range(20)]
        await asyncio.gather(*(here.create(each) for each in wanted))
        for each in wanted:
            assert await here.first_line(each) == "ready"
        ips = [(await here.until(each)).pod_ips[0] for each in wanted]
        assert len(set(ips)) == 20
        answers = await asyncio.gather(*(_ask(here, each) for each in wanted))
        assert answers == [f"pod {number}".encode() for number in range(20)]
        for number, ip in enumerate(ips):  # from the machine over the bridge
            assert await asyncio.to_thread(_get, ip) == f"pod {number}".encode()
        between = f"exec 3<>/dev/tcp/{ips[1]}/8080; echo >&3; cat <&3"
        io = await here.output(wanted[0], f"bash -c '{between}'")
        assert io.endswith("pod 1")
    assert not _namespaces()


def _get(ip: str) -> bytes:
    with socket.create_connection((ip, 8080), timeout=LIMIT) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with client.makefile("rb") as file:
            return file.read().rpartition(b"\r\n")[2]


async def test_a_port_that_only_the_pods_loopback_has_is_forwarded_as_well(
    state: Path, own: dict[str, Any]
) -> None:
    async with node(state, **own) as here:
        for address in ("127.0.0.1", "::1"):
            server = _SERVER.replace("8080)", "8080), family=socket.AF_INET6")
            script = server if address == "::1" else _SERVER
            argv = [_PYTHON, "-I", "-S", "-c", script, address, "inside"]
            wanted = pod({"name": "c", "command": argv})
            await here.create(wanted)
            assert await here.first_line(wanted) == "ready"
            assert await _ask(here, wanted) == b"inside"
            with pytest.raises(vk.TemporaryError, match="cannot connect to port 9999"):
                await here.provider.port_forward(wanted.key, 9999, _Caller())


@needs_bubblewrap
async def test_the_namespaces_of_others_are_no_mounts_of_a_container(
    state: Path, own: dict[str, Any]
) -> None:
    """They come and go: bubblewrap fails where one goes while it makes a copy of it read-only."""
    async with node(state, **own) as here:
        other, wanted = pod(sh("sleep 1000")), pod(sh("cat /proc/self/mountinfo; echo end"))
        await here.create(other)
        await here.create(wanted)
        await here.until(wanted, ended)
        mounts = await here.log(wanted)
        assert mounts.endswith("end\n") and "netns" not in mounts


async def test_probes_look_into_the_namespace(state: Path, own: dict[str, Any]) -> None:
    async with node(state, **own) as here:
        check = {"httpGet": {"port": "web"}, "periodSeconds": 1}
        ports = [{"name": "web", "containerPort": 8080}]
        wanted = pod(_server("ok", readinessProbe=check, ports=ports))
        await here.create(wanted)
        await here.until(wanted, lambda status: container(status).ready)


async def test_a_cancelled_start_leaves_no_namespace_behind(own: dict[str, Any]) -> None:
    network = Network(own["bridge"], IPv4Network(own["pod_cidr"]), f"{CLUSTER}/{NODE}")
    await network.open({})
    uid = f"uid-{os.getpid()}-cancelled"
    for steps in range(60):  # of the event loop, until it is cancelled
        start = asyncio.create_task(network.add(uid))
        for _ in range(steps):
            await asyncio.sleep(0)
        start.cancel()
        await asyncio.wait([start])
        if not start.cancelled():
            await network.remove(uid)
        assert not _namespaces()


async def test_removals_at_once_all_succeed(own: dict[str, Any]) -> None:
    """A link goes some time after its namespace: also between a look at it and its removal."""
    network = Network(own["bridge"], IPv4Network(own["pod_cidr"]), f"{CLUSTER}/{NODE}")
    await network.open({})
    uids = [f"uid-{os.getpid()}-{number}" for number in range(20)]
    for _ in range(5):
        for uid in uids:
            await network.add(uid)
        async with asyncio.TaskGroup() as group:
            for uid in uids * 2:
                group.create_task(network.remove(uid))
        assert not _namespaces()


async def test_a_pod_of_the_hosts_network_has_no_namespace(
    state: Path, own: dict[str, Any]
) -> None:
    async with node(state, **own) as here:
        wanted = pod(sh("sleep 1000"), hostNetwork=True)
        status = await here.create(wanted)
        assert status.pod_ips == status.host_ips
        assert not _namespaces()


async def test_a_restarted_vk_keeps_addresses_and_removes_unused_namespaces(
    state: Path, own: dict[str, Any]
) -> None:
    wanted = pod(_server("still here"))
    async with node(state, keep=True, **own) as first:
        status = await first.create(wanted)
        await first.first_line(wanted)
        (name,) = _namespaces()
        stale = name.replace(wanted.key.uid, f"uid-{os.getpid()}-unowned")
        _ip("netns", "add", stale)
    async with node(state, objects=first.pods, **own) as second:
        assert _namespaces() == {name}
        assert await _ask(second, wanted) == b"still here"
        (listed,) = await second.provider.list_pods()
        assert listed.pod_ips == status.pod_ips
        other = await second.create(pod(sh("sleep 1000")))
        assert other.pod_ips != status.pod_ips


async def test_namespace_and_address_of_a_pod_that_ended_are_given_back(
    state: Path, own: dict[str, Any]
) -> None:
    own = {**own, "pod_cidr": own["pod_cidr"].replace("/24", "/29")}  # five addresses for pods
    async with node(state, **own) as here:
        running = [pod(sh("sleep 1000")) for _ in range(5)]
        for each in running:
            await here.create(each)
        with pytest.raises(vk.TemporaryError, match="no free pod address"):
            await here.create(pod(sh("true")))
        await here.provider.delete_pod(running[0].key, grace_period=0)
        freed = (await here.until(running[0], ended)).pod_ips
        status = None
        async with asyncio.timeout(LIMIT):
            while status is None:  # its supervisor may still be ending
                with suppress(vk.TemporaryError):
                    status = await here.create(pod(sh("sleep 1000")))
        assert status.pod_ips == freed


async def test_a_bridge_that_another_nodes_pods_hang_on_is_refused(
    state: Path, own: dict[str, Any], tmp_path: Path
) -> None:
    async with node(state, **own) as here:
        await here.create(pod(sh("sleep 1000")))
        _ip("link", "set", own["bridge"], "alias", "other/node")
        with pytest.raises(vk.ConfigError, match="belongs to other/node"):
            async with node(tmp_path, **own):
                raise AssertionError("it opened")
    async with node(tmp_path, **own):  # no pods use it any more
        (bridge,) = json.loads(_ip("-json", "link", "show", own["bridge"]))
        assert bridge["ifalias"] == f"{CLUSTER}/{NODE}"


async def test_what_a_pod_sends_and_receives_is_measured(state: Path, own: dict[str, Any]) -> None:
    async with node(state, **own) as here:
        wanted = pod(_server("x" * 10_000))
        await here.create(wanted)
        await here.first_line(wanted)
        status = await here.until(wanted, is_up)
        (before,) = (await here.provider.stats()).pods
        await asyncio.to_thread(_get, status.pod_ips[0])
        (after,) = (await here.provider.stats()).pods
        assert after.sent_bytes - before.sent_bytes >= 10_000
        assert after.received_bytes > before.received_bytes
