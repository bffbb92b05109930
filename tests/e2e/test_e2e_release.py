"""From nothing to a node and back to nothing, with two commands: the chart's whole life.

A real control plane with a machine that runs pods as processes; `helm install`, `kubectl run`, the
holder is killed, `helm uninstall`. Judged by the ECI emulator's ledger and by what is left.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from doc_blocks import block
from eci_emulator import Emulator
from host import Host
from node_process import ROOT
from shell import Shell

from vk.node.lease import replica_of
from vk.testing.control_plane import ControlPlane, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(240)]

NAMESPACE = "vk-system"
NODE = "vk-release"
MINE = "-l=app.kubernetes.io/instance=vk"
KINDS = (
    "deployments,replicasets,pods,jobs,services,configmaps,serviceaccounts,networkpolicies,"
    "poddisruptionbudgets,roles,rolebindings,clusterroles,clusterrolebindings,flowschemas"
)
TOLERANT = {"tolerations": [{"key": "virtual-kubelet.io/provider", "operator": "Exists"}]}


def test_two_commands_bring_a_node_and_take_it_away(
    control_plane: ControlPlane, eci: Emulator, tmp_path: Path
) -> None:
    """The pod outlives the process that created it, and nothing outlives the release."""
    key = {"ECI_ACCESS_KEY": "emulator", "ECI_SECRET_KEY": "emulator-secret"}
    values = {
        "config": {"set": eci.settings(), "node-lease-duration": "3s"},
        "env": [{"name": name, "value": text} for name, text in key.items()],
    }
    shell = Shell.of(control_plane, tmp_path)
    names = {
        "REGISTRY": "registry.example.com",
        "TAG": "v1",
        "PROVIDER": "alibabacloud",
        "NODE": NODE,
    }
    (install,) = block("docs/operations/install.md", "$ helm install").commands(**names)
    (look,) = block("docs/operations/install.md", "$ kubectl -n vk-system exec").commands()
    (tmp_path / "pods").mkdir()
    with Host(control_plane, tmp_path / "pods") as host:
        shell.run(f"{install} --timeout=100s --values=-", input=json.dumps(values))
        replicas = control_plane.get("pods", f"-n={NAMESPACE}")["items"]
        assert len(replicas) == 2
        program, _, arguments = look.partition(" -- vk ")  # the machine has no API for exec
        assert program == "kubectl -n vk-system exec deploy/vk"
        doctor = host.containers[replicas[0]["metadata"]["uid"]].run(*arguments.split())
        assert doctor.returncode == 0, doctor.stdout + doctor.stderr
        assert doctor.stdout.endswith("all is well\n")
        run = ("run", "web", "--image=nginx", f"--overrides={json.dumps({'spec': spec()})}")
        control_plane.kubectl(*run)
        control_plane.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
        before = control_plane.get("pod", "web")

        killed = holder(control_plane)
        host.kill(killed)
        probe = ("run", "after", *run[2:])
        control_plane.kubectl(*probe)  # it runs only once a process acts again
        control_plane.kubectl("wait", "--for=condition=Ready", "pod/after", "--timeout=60s")
        after = control_plane.get("pod", "web")
        for path in (("metadata", "uid"), ("status", "phase"), ("status", "startTime")):
            assert after[path[0]][path[1]] == before[path[0]][path[1]]
        assert len(eci.ledger()["groups"]) == len(eci.living()) == 2

        shell.run("helm uninstall vk --namespace vk-system --wait --timeout=100s")
        assert eci.living() == []
        eventually(host.is_idle, "the processes have ended")
    left = control_plane.kubectl("get", KINDS, "-A", MINE, "-o=name")
    roles = control_plane.kubectl("get", "clusterroles,clusterrolebindings", "-o=name")
    assert left == "" and f"{NAMESPACE}:vk" not in roles
    for kind in (("node",), ("lease", "-n=kube-node-lease")):
        assert not control_plane.kubectl("get", kind[0], NODE, *kind[1:], "--ignore-not-found")
    control_plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def test_several_releases_share_nothing(control_plane: ControlPlane, tmp_path: Path) -> None:
    """Each has an account, a Deployment and roles of its own, which name its node alone."""
    shell = Shell.of(control_plane, tmp_path)
    for name in ("a", "b"):
        values = {"provider": "mock", "image": {"repository": "registry.example.com/vk"}}
        (tmp_path / f"{name}.yaml").write_text(json.dumps(values))
    page = block("docs/operations/several-nodes.md", "$ helm install vk-a")
    control_plane.kubectl("create", "namespace", "vk-two")
    releases = ("vk-a", "vk-b")
    for command in page.commands():
        command = command.replace("vk-system", "vk-two").replace("examples", f"{ROOT}/examples")
        shell.run(command, folder=tmp_path)
    try:
        deployments = control_plane.get("deployments", "-n=vk-two")["items"]
        assert sorted(one["metadata"]["name"] for one in deployments) == ["vk-a", "vk-b"]
        for name, node, other in (("vk-a", "vn-a", "vn-b"), ("vk-b", "vn-b", "vn-a")):
            mine = ("-A", f"-l=app.kubernetes.io/instance={name}", "-o=yaml")
            made = control_plane.kubectl("get", KINDS, *mine)
            assert node in made and other not in made
    finally:
        for name in releases:
            shell.run(f"helm uninstall {name} -n vk-two --no-hooks")
        control_plane.kubectl("delete", "namespace", "vk-two", "--wait=false")


def spec() -> dict[str, Any]:
    """Return what puts a pod on the node."""
    return {**TOLERANT, "nodeSelector": {"kubernetes.io/hostname": NODE}}


def holder(control_plane: ControlPlane) -> str:
    """Return the UID of the pod that acts."""
    lease = control_plane.get("lease", NODE, "-n=kube-node-lease")
    return str(replica_of(lease))
