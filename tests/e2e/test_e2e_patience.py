"""What takes a minute in a real cluster: all of it is started together, then looked at.

A takeover by a replica whose clock is behind, through the whole grace period of the node
controller; a CronJob that its schedule starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import attrs
import manifests
import pytest
from clocks import behind
from node_process import NodeProcess, StartNode
from recorder import READY, REPLICA, Recorder

from vk.models.time import parse_time
from vk.testing.control_plane import ControlPlane, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

BEHIND = 60
"""Seconds by which the successor's clock is wrong: more than the node controller's patience."""
CRON_NODE = "vk-cron"


@attrs.frozen
class Takeover:
    """A node whose first replica was killed, and what was recorded from a moment before on."""

    successor: NodeProcess
    renewals: Recorder
    readiness: Recorder

    def renewed(self) -> list[tuple[str, float]]:
        """Return the holder, and seconds since 1970 by its own words, of each renewal."""
        found = []
        for state in self.renewals.states():
            holder, _, moment = state.partition(" ")
            time = parse_time(moment)
            assert time is not None
            found.append((holder, time.timestamp()))
        return found


@pytest.fixture(scope="module", autouse=True)
def cron_job(
    control_plane: ControlPlane, make_lasting_node: StartNode, lasting_namespace: str
) -> None:
    """A CronJob for every minute, and a node that runs its pods."""
    node = make_lasting_node(CRON_NODE)
    node.start()
    spec = {"schedule": "* * * * *", "jobTemplate": {"spec": manifests.job_spec(CRON_NODE)}}
    manifest = manifests.thing("batch/v1", "CronJob", "cron", spec=spec)
    control_plane.kubectl("apply", f"-n={lasting_namespace}", "-f", "-", input=manifest)
    node.wait_ready()


@pytest.fixture(scope="module", autouse=True)
def takeover(
    control_plane: ControlPlane,
    make_lasting_node: StartNode,
    tmp_path_factory: pytest.TempPathFactory,
    cron_job: None,
) -> Iterator[Takeover]:
    """The first replica dies without a word while another, with a wrong clock, stands by."""
    lease = ("--node-lease-duration", "5s")
    first = make_lasting_node("vk-skew", *lease, replica="first")
    first.start()
    second = make_lasting_node(
        "vk-skew", *lease, replica="second", environment=behind(BEHIND), address="127.0.0.2"
    )
    first.wait_ready()
    second.start()
    eventually(lambda: second.said("another process holds"), "the successor stands by")
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("recorded")
        renewals = record(
            control_plane,
            folder / "renewals",
            f"{REPLICA} {{.spec.renewTime}}",
            *("lease", "vk-skew", "--namespace=kube-node-lease"),
        )
        readiness = record(control_plane, folder / "readiness", READY, "node", "vk-skew")
        taken = Takeover(second, stack.enter_context(renewals), stack.enter_context(readiness))
        first.kill()
        yield taken


def record(control_plane: ControlPlane, file: Path, path: str, *arguments: str) -> Recorder:
    """Return a Recorder that is not yet entered."""
    return Recorder(control_plane, file, path, arguments)


def test_a_successor_whose_clock_is_behind_keeps_the_node_ready(
    control_plane: ControlPlane, takeover: Takeover, lasting_namespace: str
) -> None:
    """The node controller counts only renewals that move forward: all of them do.

    The watched minute ends when the successor's own clock has come to the moment of the takeover:
    from then on it renews by its clock again. That is longer than the node controller waits.
    """

    def caught_up() -> bool:
        takeover.successor.check()
        own = [moment for holder, moment in takeover.renewed() if holder == "second"]
        return bool(own) and own[-1] - own[0] > 3.0

    eventually(caught_up, "the successor's clock has caught up", timeout=BEHIND + 60.0)
    renewals = takeover.renewed()
    assert [holder for holder, _ in renewals] == sorted(holder for holder, _ in renewals)
    moments = [moment for _, moment in renewals]
    assert moments == sorted(set(moments))
    own = [moment for holder, moment in renewals if holder == "second"]
    assert len([moment for moment in own if moment - own[0] < 0.001]) > BEHIND / 5
    assert set(takeover.readiness.states()) == {"True"}
    manifest = manifests.pod("after", "vk-skew")
    control_plane.kubectl("apply", f"-n={lasting_namespace}", "-f", "-", input=manifest)
    ready = ("--for=condition=Ready", "pod/after", "--timeout=60s")
    control_plane.kubectl("wait", *ready, f"-n={lasting_namespace}")


def test_a_cron_job_completes_by_its_schedule(
    control_plane: ControlPlane, lasting_namespace: str
) -> None:
    """Within the minute the controller makes a Job of it, whose pod runs on our node and ends."""

    def completed() -> list[str]:
        jobs = control_plane.get("jobs", f"-n={lasting_namespace}")["items"]
        return [
            job["metadata"]["name"]
            for job in jobs
            if job["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
            and any(
                one["type"] == "Complete" and one["status"] == "True"
                for one in job["status"].get("conditions") or ()
            )
        ]

    (job, *_) = eventually(completed, "a Job of the CronJob is complete", timeout=90.0)
    selector = f"--selector=batch.kubernetes.io/job-name={job}"
    (pod,) = control_plane.get("pods", selector, f"-n={lasting_namespace}")["items"]
    assert pod["spec"]["nodeName"] == CRON_NODE
    assert pod["status"]["phase"] == "Succeeded"
