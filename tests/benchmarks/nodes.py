"""The nodes that streams go to, each with one pod: vk with a provider, and the yardstick.

Comes in: a control plane. Goes out: `Node`, whose pod runs. All have the same API server, an
endpoint on loopback, a process of their own and the same pod; the yardstick `raw.py` is no node, so
its Node object and the status of its pod are written here.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import attrs
from access import NAMESPACE, PODS
from load import Process
from workload import log

from vk.devcluster.auth.certificates import Authority
from vk.testing.programs import free_port

__all__ = ["Node", "Setting", "raw_node", "vk_node"]

_HERE = Path(__file__).parent
_START = 60.0
_FEATURES = ["ExtendWebSocketsToKubelet"]
_MERGE = {"Content-Type": "application/strategic-merge-patch+json"}


@attrs.frozen
class Setting:
    """What all nodes of a run share."""

    kubeconfig: Path
    session: aiohttp.ClientSession
    folder: Path
    megabytes: int
    """Of the log, and of what is sent through a stream."""
    echo_port: int
    flood_port: int


@attrs.frozen
class Node:
    """A node with its pod, which has the same name, and its process."""

    name: str
    process: Process
    framed: bool
    """Whether bytes come in messages."""


@asynccontextmanager
async def vk_node(
    setting: Setting, provider: str, settings: Sequence[str], profile: Path | None
) -> AsyncIterator[Node]:
    """Run vk with ``provider``."""
    name, folder = provider, setting.folder / provider
    profiler = ["-m", "cProfile", "-o", str(profile)] if profile else []
    variables = (f"KUBELET_PORT={free_port()}", "VKUBELET_POD_IP=127.0.0.1", f"POD_UID={name}")
    command = ["env", *variables, sys.executable, *profiler, "-m", "vk", f"--provider={provider}"]
    command += [f"--nodename={name}", f"--kubeconfig={setting.kubeconfig}"]
    command += [f"--state-folder={folder}"]
    for each in settings:
        command += ["--set", each]
    async with Process(command, setting.folder / f"{name}.log") as process:
        await _create_pod(setting, name)
        try:
            await _until(lambda: _is_ready(setting, name), process)
            yield Node(name, process, framed=True)
        finally:
            await _delete_pod(setting, name, process)


@asynccontextmanager
async def raw_node(setting: Setting) -> AsyncIterator[Node]:
    """Run the yardstick."""
    name, port, file = "raw", free_port(), setting.folder / "raw.txt"
    await asyncio.to_thread(file.write_bytes, log(setting.megabytes))
    folder = setting.folder / "raw"
    folder.mkdir()
    pair = Authority(folder).server(name, "127.0.0.1")
    files = (str(pair.certificate), str(pair.key), str(file))
    command = [sys.executable, str(_HERE / "raw.py"), str(port), *files]
    async with Process(command, setting.folder / f"{name}.log") as process:
        await _until(lambda: _listens(port), process)
        await _create_node(setting, name, port)
        await _create_pod(setting, name)
        states = [
            {"name": each["name"], "image": each["image"], "imageID": "", "ready": True}
            | {"restartCount": 0, "state": {"running": {}}}
            for each in _containers(setting)
        ]
        status = {"phase": "Running", "containerStatuses": states}
        await _patch(setting, f"{PODS}/{name}/status", {"status": status})
        yield Node(name, process, framed=False)


def _containers(setting: Setting) -> list[dict[str, Any]]:
    programs = {
        "print": ("print", setting.megabytes),
        "tick": ("tick",),
        "echo": ("echo", setting.echo_port),
        "flood": ("flood", setting.flood_port),
    }
    start = [sys.executable, str(_HERE / "workload.py")]
    return [
        {"name": name, "image": "python", "command": [*start, *map(str, arguments)]}
        for name, arguments in programs.items()
    ]


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _create_pod(setting: Setting, name: str) -> None:
    spec = {
        "nodeName": name,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "containers": _containers(setting),
    }
    body = {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}
    async with setting.session.post(PODS, json=body) as answer:
        answer.raise_for_status()


async def _create_node(setting: Setting, name: str, port: int) -> None:
    async with setting.session.post("/api/v1/nodes", json={"metadata": {"name": name}}) as answer:
        answer.raise_for_status()
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "declaredFeatures": _FEATURES,
    }
    await _patch(setting, f"/api/v1/nodes/{name}/status", {"status": status})


async def _patch(setting: Setting, path: str, body: dict[str, Any]) -> None:
    async with setting.session.patch(path, json=body, headers=_MERGE) as answer:
        answer.raise_for_status()


async def _until(holds: Callable[[], Awaitable[bool]], process: Process) -> None:
    """Return once it holds; raises RuntimeError, with the log, when the process has ended."""
    async with asyncio.timeout(_START):
        while not await holds():
            assert process.pid
            await asyncio.sleep(0.1)


async def _is_ready(setting: Setting, name: str) -> bool:
    """Return whether the pod runs and its log is written to the end."""
    async with setting.session.get(f"{PODS}/{name}") as answer:
        status = (await answer.json())["status"]
    states = {each["name"]: each["state"] for each in status.get("containerStatuses", ())}
    printed = name == "mock" or "terminated" in states.get("print", {})
    return printed and "running" in states.get("echo", {})


async def _delete_pod(setting: Setting, name: str, process: Process) -> None:
    async with setting.session.delete(f"{PODS}/{name}") as answer:
        answer.raise_for_status()

    async def is_gone() -> bool:
        async with setting.session.get(f"{PODS}/{name}") as answer:
            return answer.status == 404

    await _until(is_gone, process)
