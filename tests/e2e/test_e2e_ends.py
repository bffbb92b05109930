"""A pod has ended when its processes have, with their own exit codes: real processes, real Jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import manifests
import pytest
from node_process import NodeProcess, StartNode

from vk.testing.control_plane import ControlPlane, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.field]


@pytest.fixture
def node(make_node: StartNode, tmp_path: Path) -> NodeProcess:
    """A node that runs pods as processes of this machine."""
    state = ("--set", f"state={tmp_path / 'pods'}", "--set", "isolation=none")
    node = make_node("", *state, provider="process")
    node.start()
    node.wait_ready()
    return node


def job(name: str, node: NodeProcess, script: str, **more: Any) -> str:
    """Return a Job of one try whose only container runs ``script``."""
    container = {"name": "main", "image": "any", "command": ["sh", "-c", script]}
    spec = manifests.pod_spec(node.name, restartPolicy="Never", containers=[container], **more)
    fields = {"backoffLimit": 0, "template": {"spec": spec}}
    return manifests.thing("batch/v1", "Job", name, spec=fields)


def status(control_plane: ControlPlane, namespace: str, name: str) -> dict[str, Any]:
    """Return the status of the Job's pod; empty before there is one."""
    label = f"--selector=job-name={name}"
    [*pods] = control_plane.get("pods", label, f"-n={namespace}")["items"]
    return dict(pods[0]["status"]) if pods else {}


def test_a_pod_that_is_ended_for_its_deadline_shows_its_own_exit_code(
    control_plane: ControlPlane, node: NodeProcess, namespace: str
) -> None:
    """It is not Failed while it still cleans up."""
    script = 'trap "sleep 4; exit 7" TERM; while true; do sleep 0.1; done'
    limits = {"activeDeadlineSeconds": 2, "terminationGracePeriodSeconds": 30}
    manifest = job("late", node, script, **limits)
    control_plane.kubectl("apply", f"-n={namespace}", "-f", "-", input=manifest)
    seen: list[str] = []

    def failed() -> bool:
        found = status(control_plane, namespace, "late")
        [row] = found.get("containerStatuses") or [{"state": {}}]
        seen.append(f"{found.get('phase')} {' '.join(row['state'])}")
        return found.get("phase") == "Failed"

    eventually(failed, "the pod has failed", timeout=60.0)
    found = status(control_plane, namespace, "late")
    [row] = found["containerStatuses"]
    assert (found["reason"], row["state"]["terminated"]["exitCode"]) == ("DeadlineExceeded", 7)
    assert "Failed running" not in seen
    began, ended = (row["state"]["terminated"][name] for name in ("startedAt", "finishedAt"))
    assert began < ended


def test_a_job_ends_after_its_sidecar(
    control_plane: ControlPlane, node: NodeProcess, namespace: str
) -> None:
    """The sidecar ignores SIGTERM, so it is killed after the grace period; the Job completes."""
    stubborn = ["sh", "-c", 'trap "" TERM; while true; do sleep 0.1; done']
    side = {"name": "side", "image": "any", "restartPolicy": "Always", "command": stubborn}
    more = {"terminationGracePeriodSeconds": 3, "initContainers": [side]}
    manifest = job("withside", node, "sleep 1", **more)
    control_plane.kubectl("apply", f"-n={namespace}", "-f", "-", input=manifest)
    seen: list[str] = []

    def ended() -> bool:
        found = status(control_plane, namespace, "withside")
        [row] = found.get("initContainerStatuses") or [{"state": {}}]
        seen.append(f"{found.get('phase')} {' '.join(row['state'])}")
        return found.get("phase") == "Succeeded"

    eventually(ended, "the pod has succeeded", timeout=60.0)
    found = status(control_plane, namespace, "withside")
    [row] = found["initContainerStatuses"]
    assert row["state"]["terminated"]["exitCode"] == 137
    assert "Succeeded running" not in seen
    complete = ("wait", "--for=condition=Complete", "job/withside", "--timeout=30s")
    control_plane.kubectl(*complete, f"-n={namespace}")
