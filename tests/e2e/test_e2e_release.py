"""From nothing to a node and back to nothing, with two commands: the chart's whole life.

A real control plane with a machine that runs pods as processes; `helm install`, `kubectl run`, the
holder is killed, `helm uninstall`. Judged by the ECI emulator's ledger and by what is left.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from eci_emulator import Emulator
from host import Host
from node_process import ROOT

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


def helm(control_plane: ControlPlane, *arguments: str, values: Any = None) -> None:
    """Run helm as the cluster's administrator."""
    program = os.environ.get("HELM") or shutil.which("helm")
    if not program:
        pytest.skip("no helm on the path, and HELM does not name one")
    command = [program, f"--kubeconfig={control_plane.admin_kubeconfig}", *arguments]
    command += [] if values is None else ["--values=-"]
    given = None if values is None else json.dumps(values)
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout


def test_two_commands_bring_a_node_and_take_it_away(
    control_plane: ControlPlane, eci: Emulator, tmp_path: Path
) -> None:
    """The pod outlives the process that created it, and nothing outlives the release."""
    key = {"ECI_ACCESS_KEY": "emulator", "ECI_SECRET_KEY": "emulator-secret"}
    values = {
        "provider": "alibabacloud",
        "nodeName": NODE,
        "config": {"set": eci.settings(), "node-lease-duration": "3s"},
        "env": [{"name": name, "value": text} for name, text in key.items()],
    }
    where = (f"--namespace={NAMESPACE}", "--wait", "--timeout=100s")
    (tmp_path / "pods").mkdir()
    with Host(control_plane, tmp_path / "pods") as host:
        chart = str(ROOT / "examples" / "deploy" / "chart")
        helm(control_plane, "install", "vk", chart, *where, "--create-namespace", values=values)
        replicas = control_plane.get("pods", f"-n={NAMESPACE}")["items"]
        assert len(replicas) == 2
        doctor = host.containers[replicas[0]["metadata"]["uid"]].run("doctor")
        assert doctor.returncode == 0, doctor.stdout + doctor.stderr
        assert doctor.stdout.endswith("all is well\n")
        run = ("run", "web", "--image=nginx", f"--overrides={json.dumps({'spec': spec()})}")
        control_plane.kubectl(*run)
        control_plane.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
        before = control_plane.get("pod", "web")

        killed = holder(control_plane)
        host.kill(killed)
        probe = ("run", "after", *run[2:])
        control_plane.kubectl(*probe)  # it runs only once somebody acts again
        control_plane.kubectl("wait", "--for=condition=Ready", "pod/after", "--timeout=60s")
        after = control_plane.get("pod", "web")
        for path in (("metadata", "uid"), ("status", "phase"), ("status", "startTime")):
            assert after[path[0]][path[1]] == before[path[0]][path[1]]
        assert len(eci.ledger()["groups"]) == len(eci.living()) == 2

        helm(control_plane, "uninstall", "vk", *where)
        assert eci.living() == []
        eventually(host.is_idle, "the processes have ended")
    left = control_plane.kubectl("get", KINDS, "-A", MINE, "-o=name")
    roles = control_plane.kubectl("get", "clusterroles,clusterrolebindings", "-o=name")
    assert left == "" and f"{NAMESPACE}:vk" not in roles
    for kind in (("node",), ("lease", "-n=kube-node-lease")):
        assert not control_plane.kubectl("get", kind[0], NODE, *kind[1:], "--ignore-not-found")
    control_plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def spec() -> dict[str, Any]:
    """Return what puts a pod on the node."""
    return {**TOLERANT, "nodeSelector": {"kubernetes.io/hostname": NODE}}


def holder(control_plane: ControlPlane) -> str:
    """Return the UID of the pod that acts."""
    lease = control_plane.get("lease", NODE, "-n=kube-node-lease")
    return str(lease["spec"]["holderIdentity"])
