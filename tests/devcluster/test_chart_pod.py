"""A chart-like pod on the embedded API server: the list of tests/e2e/test_e2e_volumes.py."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import chart
import pytest
import pytest_asyncio
from kubectl_process import CONTROL_PLANE, WHEEL, Kubectl, program

from vk.cluster.config import load_access
from vk.devcluster.cluster import DevCluster
from vk.kubelet import VirtualKubelet
from vk.provider import Provider
from vk.settings import Settings
from vk.testing.control_plane import CommandError
from vk_providers.mock.config import MockConfig
from vk_providers.mock.provider import MockProvider
from vk_providers.process.config import ProcessConfig
from vk_providers.process.provider import ProcessProvider

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        program(WHEEL) is None and program(CONTROL_PLANE) is None,
        reason="no kubectl on this machine",
    ),
]
needs_bubblewrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed"
)
LIMIT = 20.0
NODE = "embedded"


@pytest_asyncio.fixture
async def kubectl(dev_cluster: DevCluster, tmp_path: Path) -> Kubectl:
    path = program(WHEEL) or program(CONTROL_PLANE)
    assert path is not None
    return Kubectl(path, dev_cluster.kubeconfig, tmp_path / "cache")


@asynccontextmanager
async def node(
    cluster: DevCluster, kubectl: Kubectl, folder: Path, provider: type[Provider], config: Any
) -> AsyncIterator[None]:
    """Run a node that watches what its pods refer to."""
    settings = Settings(
        provider="tested",
        node_name=NODE,
        internal_ip="127.0.0.1",
        kubelet_port=0,
        serving_signer="",
        state_folder=folder,
        watch_references=True,
    )
    access = await load_access(str(cluster.kubeconfig))
    kubelet = VirtualKubelet(provider, config, settings, access=access)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(kubelet.run())
        async with asyncio.timeout(LIMIT):
            await kubelet.ready.wait()
        yield
        await kubectl("delete", "pods", "--all", "--timeout=20s")
        running.cancel()


async def until(probe: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again, with kubectl, until it is so."""
    async with asyncio.timeout(LIMIT):
        while True:
            try:
                if await probe():
                    return
            except CommandError:
                continue


def bound_pod() -> str:
    """Return the pod as a scheduler, which does not run here, would leave it."""
    pod = json.loads(chart.pod("web", NODE))
    return json.dumps({**pod, "spec": {**pod["spec"], "nodeName": NODE}})


async def bind(kubectl: Kubectl, volume: str) -> None:
    """Bind the claim to its volume, as a controller would."""
    claim = json.loads(await kubectl("get", "pvc", "data", "-o=json"))
    reference = {"namespace": "default", "name": "data", "uid": claim["metadata"]["uid"]}
    patch = json.dumps({"spec": {"claimRef": reference}})
    await kubectl("patch", "pv", volume, "-p", patch)
    await kubectl("patch", "pvc", "data", "-p", json.dumps({"spec": {"volumeName": volume}}))
    bound = json.dumps({"status": {"phase": "Bound"}})
    await kubectl("patch", "pvc", "data", "--subresource=status", "-p", bound)


async def inside(kubectl: Kubectl, script: str) -> str:
    return await kubectl("exec", "web", "-c", "main", "--", "sh", "-c", script)


@pytest.fixture
def state() -> Iterator[Path]:
    """A folder for pods and claims that is not below /tmp, which containers have for themselves."""
    folder = Path(tempfile.mkdtemp(prefix="vk-chart-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@needs_bubblewrap
async def test_processes_have_all_that_a_chart_refers_to_and_see_changes(
    dev_cluster: DevCluster, kubectl: Kubectl, tmp_path: Path, state: Path
) -> None:
    config = ProcessConfig(state=str(state / "pods"), isolation="bubblewrap")
    async with node(dev_cluster, kubectl, tmp_path / "node", ProcessProvider, config):
        data = state / "data"
        await kubectl("apply", "-f", "-", input=chart.objects(data))
        await kubectl("apply", "-f", "-", input=bound_pod())
        waits = "PersistentVolumeClaim 'data' is not bound"

        async def says_why() -> bool:
            return waits in await kubectl("describe", "pod", "web")

        await until(says_why)
        await bind(kubectl, "data")
        await kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=25s")
        shown = await inside(kubectl, "cat /conf/conf/app.conf /etc/app.conf /hush/password")
        assert shown == "v1\nv1\ngeheim"
        assert await inside(kubectl, "cat /info/cpu; echo $PASSWORD") == "2geheim\n"
        assert (data / "seen-first").read_text() == "v1\n"

        await kubectl("patch", "configmap", "settings", "-p", '{"data": {"app.conf": "v2\\n"}}')
        await kubectl("label", "pod", "web", "colour=green")

        async def sees_both() -> bool:
            said = await inside(kubectl, "cat /conf/conf/app.conf /info/labels")
            return said == 'v2\ncolour="green"'

        await until(sees_both)
    assert (data / "pre-stop").read_text() == "before\n"


async def test_the_mock_shows_what_a_container_would_find(
    dev_cluster: DevCluster, kubectl: Kubectl, tmp_path: Path
) -> None:
    async with node(dev_cluster, kubectl, tmp_path / "node", MockProvider, MockConfig()):
        await kubectl("apply", "-f", "-", input=chart.objects(tmp_path / "data"))
        await kubectl("apply", "-f", "-", input=bound_pod())
        await kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=20s")
        cat = ("exec", "web", "-c", "main", "--", "cat")
        shown = await kubectl(*cat, "/conf/conf/app.conf", "/hush/password")
        assert shown.startswith("v1\ngeheim")

        await kubectl("patch", "secret", "hush", "-p", '{"stringData": {"password": "neu"}}')

        async def sees_it() -> bool:
            return (await kubectl(*cat, "/hush/password")).startswith("neu")

        await until(sees_it)
