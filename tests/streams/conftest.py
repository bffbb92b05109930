"""The same list of what kubectl does with a pod, through the embedded API server and a real one."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
import pytest_asyncio
from kubectl_process import CONTROL_PLANE, WHEEL, Kubectl, program
from metrics_server import PROGRAM, metrics_server
from streams_world import NODE, SERVERS, World, a_world

from vk.devcluster.cluster import DevCluster
from vk.testing.control_plane import ControlPlane
from vk.testing.programs import free_port

DEPLOY = Path(__file__).parents[2] / "examples" / "deploy" / "base"
WAYS = ("websocket", "translated", "spdy")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SERVERS)
async def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """Give a node with a running pod ``web`` on each API server; isolated where it is asked for."""
    folder = tmp_path_factory.mktemp("streams")
    if request.param == "real":
        plane: ControlPlane = request.getfixturevalue("control_plane")
        account = await asyncio.to_thread(_account, plane)
        kubectl = Kubectl(plane.assets / "kubectl", plane.admin_kubeconfig, folder / "cache")
        address = _own_address()  # an API server proxies to no loopback address
        async with a_world(
            kubectl, account=account, address=address, folder=folder, server="real"
        ) as one:
            yield one
        return
    path = program(WHEEL) or program(CONTROL_PLANE)
    if path is None:
        pytest.skip("no kubectl on this machine")
    async with DevCluster(folder / "cluster") as cluster:
        kubectl = Kubectl(path, cluster.kubeconfig, folder / "cache")
        async with a_world(
            kubectl,
            account=cluster.kubeconfig,
            address="127.0.0.1",
            folder=folder,
            server="embedded",
            isolation="bubblewrap" if request.param == "isolated" else "none",
        ) as one:
            yield one


@pytest_asyncio.fixture(loop_scope="module")
async def topped(
    request: pytest.FixtureRequest, world: World, tmp_path: Path
) -> AsyncIterator[World]:
    """Give the world with something that answers `kubectl top`: on a real one a metrics-server."""
    if world.server == "embedded":
        yield world
        return
    if not os.environ.get(PROGRAM):
        pytest.skip(f"{PROGRAM} does not name the metrics-server")
    plane: ControlPlane = request.getfixturevalue("control_plane")
    address = _own_address()
    server = metrics_server(plane, address=address, port=free_port(address), folder=tmp_path)
    await asyncio.to_thread(server.__enter__)
    try:
        yield world
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


@pytest_asyncio.fixture(params=WAYS, loop_scope="module")
async def way(request: pytest.FixtureRequest, world: World) -> World:
    """Give the world with a kubectl and a node that speak as the way has it.

    ``websocket`` is passed on to the kubelet, ``translated`` becomes SPDY for a node that does not
    say that it takes WebSockets, ``spdy`` is SPDY all the way.
    """
    features = None if request.param == "translated" else ["ExtendWebSocketsToKubelet"]
    patch = orjson.dumps({"status": {"declaredFeatures": features}}).decode()
    how = ("--subresource=status", "--type=merge", "-p", patch)
    await world.kubectl("patch", "node", NODE, *how)
    return world.on(request.param)


def _account(plane: ControlPlane) -> Path:
    plane.kubectl("apply", "-f", str(DEPLOY / "rbac.yaml"))
    plane.kubectl("apply", "-f", str(DEPLOY / "namespace.yaml"), "-n=default")
    plane.kubectl("wait", "--for=create", "serviceaccount/default", "-n=default")
    return plane.kubeconfig_for_service_account("kube-system", "vk")


def _own_address() -> str:
    """Return an address of this machine that others could use; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.254", 9))
        return str(probe.getsockname()[0])
