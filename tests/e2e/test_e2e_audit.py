"""The roles that `vk rbac` prints, against what the API server saw: not too little nor too much.

One node does everything that its features are for, with the rights of its own ServiceAccount; then
the audit log is compared with the table. For the whole session `conftest` holds that nothing which
a node with the documented roles asked for was denied.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import manifests
import pytest
from ledger import Ledger
from node_process import NodeProcess, StartNode

from vk.cluster.permissions import PERMISSIONS
from vk.testing.audit import requests_of
from vk.testing.control_plane import CommandError, ControlPlane, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(240)]

ACCOUNT = "vk-audited"
USER = f"system:serviceaccount:kube-system:{ACCOUNT}"


CLAIM = """
apiVersion: v1
kind: PersistentVolume
metadata: {name: vk-audited}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  storageClassName: ""
  claimRef: {name: data, namespace: NAMESPACE}
  hostPath: {path: /nowhere}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: NAMESPACE}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  volumeName: vk-audited
  resources: {requests: {storage: 1Gi}}
"""


def grant(control_plane: ControlPlane, node: str, namespace: str) -> Path:
    """Give the account the roles for this node, as its operator would; return its kubeconfig."""
    command = [sys.executable, "-m", "vk", "rbac", "--provider=process", f"--nodename={node}"]
    command += ["--watch-references"]
    roles = subprocess.check_output([*command, f"--account={ACCOUNT}"], text=True)
    control_plane.kubectl("apply", "-f", "-", input=roles)
    control_plane.kubectl(
        "create",
        "rolebinding",
        "audited-references",
        f"--clusterrole={ACCOUNT}-references",
        f"--serviceaccount=kube-system:{ACCOUNT}",
        f"--namespace={namespace}",
    )
    return control_plane.kubeconfig_for_service_account("kube-system", ACCOUNT)


def pod(name: str, node: str, config_map: str = "there") -> str:
    """Return a pod with variables from a config map and a secret, a claim, and its token."""
    sources = [{"configMapRef": {"name": config_map}}, {"secretRef": {"name": "there"}}]
    volumes = [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "files", "secret": {"secretName": "there"}},
        {"name": "more", "configMap": {"name": "there"}},
    ]
    mounts = [{"name": one["name"], "mountPath": f"/{one['name']}"} for one in volumes]
    container = {"name": "main", "image": "nginx", "envFrom": sources, "volumeMounts": mounts}
    return manifests.pod(name, node, containers=[container], volumes=volumes)


def test_nothing_is_granted_and_unused_and_nothing_is_denied(
    control_plane: ControlPlane, make_node: StartNode, namespace: str, tmp_path: Path
) -> None:
    ledger, name = Ledger(tmp_path), "vk-audited"
    ledger.seed("default", "nobody-asks", "00000000-0000-4000-8000-000000000000")
    account = grant(control_plane, name, namespace)

    def start(*flags: str) -> NodeProcess:
        more = {
            "provider": "ledger-files",
            "environment": ledger.environment(),
            "kubeconfig": account,
        }
        node = make_node(name, *ledger.flags(), *flags, **more)
        node.start()
        return node

    control_plane.kubectl("create", "configmap", "there", "--from-literal=a=b", f"-n={namespace}")
    control_plane.kubectl("create", "secret", "generic", "there", f"-n={namespace}")
    control_plane.kubectl("apply", "-f", "-", input=CLAIM.replace("NAMESPACE", namespace))
    node = start()
    node.wait_ready()
    control_plane.kubectl("label", "node", name, "kubernetes.io/role-")  # it is put back
    for manifest in (
        pod("runs", name),
        pod("waits", name, config_map="missing"),
        pod("stays", name),
    ):
        control_plane.kubectl("apply", f"-n={namespace}", "-f", "-", input=manifest)
    ready = ("--for=condition=Ready", "pod/runs", "pod/stays", "--timeout=60s")
    control_plane.kubectl("wait", *ready, f"-n={namespace}")
    with pytest.raises(CommandError, match="has no logs"):  # asked, allowed, and not there
        control_plane.kubectl("logs", "runs", f"-n={namespace}")
    control_plane.kubectl("delete", "pod", "runs", f"-n={namespace}")
    eventually(lambda: "nobody-asks" in json.dumps(ledger.lines("delete")), "the orphan is gone")
    assert node.stop() == 0
    start("--watch-references")

    granted = {
        (one.group, one.resource, verb)
        for one in PERMISSIONS
        if one.feature != "drain"
        for verb in one.verbs
    }

    def unused() -> set[tuple[str, str, str]]:
        requests = requests_of(control_plane.folder, USER)
        return granted - {(one.group, one.resource, one.verb) for one in requests}

    with suppress(AssertionError):  # which says less than the next line
        eventually(lambda: not unused(), "every permission is used", timeout=30.0)
    assert unused() == set()
    requests = requests_of(control_plane.folder, USER)
    assert {one for one in requests if one.denied} == set()
