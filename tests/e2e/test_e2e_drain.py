"""`vk drain` leaves nothing that runs or costs: proved by the ledger of the ECI emulator."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import manifests
import pytest
from eci_emulator import Emulator
from node_process import ROOT, StartNode

from vk.testing.control_plane import ControlPlane, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(240)]


@attrs.define(eq=False)
class DrainProcess:
    """``vk drain`` with an administrator's rights; what it says goes to ``file``."""

    file: Path
    process: subprocess.Popen[bytes]

    def said(self, text: str) -> bool:
        """Whether it has said this."""
        return text in self.file.read_text()


StartDrain = Callable[..., DrainProcess]


@pytest.fixture
def start_drain(control_plane: ControlPlane, tmp_path: Path) -> Iterator[StartDrain]:
    """Return a function that starts a drain with these arguments."""
    started: list[DrainProcess] = []

    def start(*arguments: str) -> DrainProcess:
        command = [sys.executable, "-m", "vk", "drain", *arguments]
        environment = os.environ | {"KUBECONFIG": str(control_plane.admin_kubeconfig)}
        file = tmp_path / f"drain-{len(started)}.txt"
        with file.open("wb") as out:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
        started.append(DrainProcess(file, process))
        return started[-1]

    yield start
    for one in started:
        print(one.file.read_text())
        one.process.kill()
        one.process.wait()


def test_a_drain_ends_everything_even_what_daemonsets_send(
    control_plane: ControlPlane,
    make_node: StartNode,
    start_drain: StartDrain,
    namespace: str,
    eci: Emulator,
) -> None:
    """Deployments move on, DaemonSets send again in vain; at the end Node and lease are gone."""
    flags = ("--node-lease-duration", "5s", "--daemonsets", "run", *eci.flags())
    node = make_node("", *flags, provider="alibabacloud")
    node.start()
    node.wait_ready()
    everywhere = manifests.template(node.name, tolerations=[{"operator": "Exists"}])
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": everywhere}
    for manifest in (
        manifests.workload("Deployment", "web", node.name, 5),
        manifests.thing("apps/v1", "DaemonSet", "agent", spec=spec),
    ):
        control_plane.kubectl("apply", f"-n={namespace}", "-f", "-", input=manifest)
    eventually(lambda: len(eci.living()) == 6, "six groups are there")

    drain = start_drain(node.name, "--delete-node")
    eventually(lambda: drain.said("stop the process of node"), "it asks for the process's end")
    assert drain.said(f"nothing runs on node {node.name}")
    assert eci.living() == []
    assert node.stop() == 0
    assert drain.process.wait(30) == 0
    assert eci.living() == []
    for kind in (("node",), ("lease", "-n=kube-node-lease")):
        left = control_plane.kubectl("get", kind[0], node.name, *kind[1:], "--ignore-not-found")
        assert left == ""


def test_a_budget_is_respected_and_named(
    control_plane: ControlPlane,
    make_node: StartNode,
    start_drain: StartDrain,
    namespace: str,
    eci: Emulator,
) -> None:
    """What may not be disrupted goes on, and the drain says what keeps it from ending."""
    node = make_node("", *eci.flags(), provider="alibabacloud")
    node.start()
    node.wait_ready()
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    for manifest in (
        manifests.thing("policy/v1", "PodDisruptionBudget", "web", spec=budget),
        manifests.workload("StatefulSet", "web", node.name, 1),
    ):
        control_plane.kubectl("apply", f"-n={namespace}", "-f", "-", input=manifest)
    ready = ("--for=condition=Ready", "pod/web-0", "--timeout=60s")
    control_plane.kubectl("wait", "--for=create", "pod/web-0", f"-n={namespace}")
    control_plane.kubectl("wait", *ready, f"-n={namespace}")
    drain = start_drain(node.name, "--timeout", "5s")
    assert drain.process.wait(60) == 1
    assert drain.said(f"a PodDisruptionBudget keeps {namespace}/web-0")
    assert len(eci.living()) == 1
