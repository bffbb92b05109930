"""Two processes, one node: whatever ends the holder, nothing runs twice and Ready stays True.

One run under load: the holder is killed, stopped in the middle, and replaced in a clean way, again
and again, while pods come and go. Judged by the ledger of the ECI emulator, where each replica has
an access key of its own, and by every state of Node and lease that the API server told of.
FAILOVER_SECONDS makes the run longer; the figures are printed.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import attrs
import manifests
import pytest
from eci_emulator import Emulator, emulator
from node_process import NodeProcess, StartNode
from recorder import READY, REPLICA, Recorder

from vk.node.lease import replica_of
from vk.testing.control_plane import ControlPlane, eventually
from vk_providers.alibabacloud.emulator import billed_twice
from vk_providers.alibabacloud.requests import MUTATIONS

SECONDS = float(os.environ.get("FAILOVER_SECONDS", "120"))
LEASE = 5.0  # s: less, and a busy machine alone makes the holder lose it
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(240 + SECONDS)]


@attrs.define(eq=False)
class Pair:
    """The replicas of one node; a new one has a name of its own, as a new pod has."""

    plane: ControlPlane
    make_node: StartNode
    eci: Emulator
    name: str
    holder: NodeProcess = attrs.field(init=False)
    standby: NodeProcess = attrs.field(init=False)
    _count: int = attrs.field(default=0, init=False)

    def start(self) -> None:
        self.holder = self.replica()
        self.holder.wait_ready()
        self.standby = self.replica()

    def replica(self) -> NodeProcess:
        """Start one more replica and wait until it is ready, as a rolling update does."""
        self._count += 1
        replica = replica_name(self._count)
        node = self.make_node(
            self.name,
            "--node-lease-duration",
            f"{LEASE:g}s",
            *self.eci.flags(access_key=replica, quota_share="1"),
            provider="alibabacloud",
            replica=replica,
            address=f"127.0.0.{self._count + 1}",
        )
        node.start()
        eventually(lambda: "waiting for the node's lease" in node.log.read_text(), "it is there")
        return node

    def lease(self) -> dict[str, Any]:
        """Return the node's lease."""
        lease: dict[str, Any] = self.plane.get("lease", self.name, "-n=kube-node-lease")
        return lease

    def taken_over(self, since: float) -> float:
        """Wait until the standby holds the lease; return how long after ``since`` it wrote that."""
        eventually(lambda: replica_of(self.lease()) == self.standby.replica, "takeover")
        acquired = datetime.fromisoformat(self.lease()["spec"]["acquireTime"]).timestamp()
        self.holder, self.standby = self.standby, self.replica()
        return acquired - since


def replica_name(number: int) -> str:
    """Return the name of a replica, which is also its access key."""
    return f"replica-{number}"


@pytest.fixture
def eci() -> Iterator[Emulator]:
    """An emulator that knows the access key of a replica a second, more than a run has."""
    keys = ",".join(map(replica_name, range(1, 10 + int(SECONDS))))
    with emulator("--speed=10", "--rates=0", f"--access-key-id={keys}") as running:
        yield running


@contextmanager
def load(control_plane: ControlPlane, namespace: str, name: str) -> Iterator[None]:
    """Let pods come and go on the node for as long as the block lasts."""
    manifest = manifests.workload("Deployment", "web", name, 4)
    control_plane.kubectl("apply", f"-n={namespace}", "-f", "-", input=manifest)
    ended = threading.Event()

    def work() -> None:
        for count in range(10_000):
            if ended.wait(0.5):
                return
            flag = f"--replicas={4 + count % 4 * 4}"
            control_plane.kubectl("scale", "deployment/web", flag, f"-n={namespace}")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def kill(pair: Pair) -> float:
    """SIGKILL; the bound is the lease and 2 s."""
    moment = time.time()
    pair.holder.kill()
    return pair.taken_over(moment)


def replace(pair: Pair) -> float:
    """SIGTERM, as in a rolling update; the bound is 2 s, from the end of the process's work."""
    moment = time.time()
    assert pair.holder.stop() == 0
    return pair.taken_over(moment)


def pause(pair: Pair) -> float:
    """SIGSTOP, and SIGCONT once the other one acts: the former holder must be a standby then."""
    former, moment = pair.holder, time.time()
    former.signal(signal.SIGSTOP)
    try:
        taken = pair.taken_over(moment)
    finally:
        former.signal(signal.SIGCONT)
    eventually(lambda: former.said("lease lost"), "the former holder has seen the loss")
    assert former.stop() == 0
    return taken


BOUNDS: dict[Callable[[Pair], float], float] = {kill: LEASE + 2, pause: LEASE + 2, replace: 2.0}


def test_no_fault_of_the_holder_runs_anything_twice_or_touches_ready(
    control_plane: ControlPlane,
    make_node: StartNode,
    namespace: str,
    eci: Emulator,
    tmp_path: Path,
) -> None:
    """Takeover in time; 0 double groups; 0 mutations begun with an old lease; Ready is True."""
    pair = Pair(control_plane, make_node, eci, "vk-failover")
    pair.start()
    ready = Recorder(control_plane, tmp_path / "ready", READY, ("node", pair.name))
    path = f"{REPLICA} {{.spec.acquireTime}}"
    holders = Recorder(
        control_plane, tmp_path / "lease", path, ("lease", pair.name, "-n=kube-node-lease")
    )
    took: dict[str, list[float]] = {}
    with ready, holders, load(control_plane, namespace, pair.name):
        end = time.monotonic() + SECONDS
        for fault, bound in itertools.cycle(BOUNDS.items()):
            if time.monotonic() > end and len(took) == len(BOUNDS):
                break
            eventually(lambda: acts(pair), "the holder works on the load")
            seconds = fault(pair)
            took.setdefault(fault.__name__, []).append(seconds)
            assert seconds <= bound, (fault.__name__, took)
        eventually(lambda: acts(pair), "the last holder works on the load")
        states, tenures = ready.states(), tenures_of(holders.states())
    print({name: (len(each), round(max(each), 2)) for name, each in took.items()})
    assert set(states) == {"True"}
    control_plane.kubectl("rollout", "status", "deployment/web", "--timeout=60s", f"-n={namespace}")
    check_ledger(eci.ledger(), tenures)
    listed = control_plane.get("pods", f"-n={namespace}")["items"]
    left = [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]
    assert {pod["status"]["phase"] for pod in left} == {"Running"}


def acts(pair: Pair) -> bool:
    """Whether the holder has begun a mutation."""
    pair.holder.check()
    return any(call["key"] == pair.holder.replica for call in mutations(pair.eci.ledger()))


def mutations(ledger: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that change something."""
    return [call for call in ledger["calls"] if call["action"] in MUTATIONS]


def tenures_of(states: list[str]) -> list[tuple[str, float]]:
    """Return each holder with the time when it took the lease."""
    found: dict[str, float] = {}
    for holder, _, moment in (state.partition(" ") for state in states):
        if holder:
            found.setdefault(holder, datetime.fromisoformat(moment).timestamp())
    return list(found.items())


def check_ledger(ledger: dict[str, Any], tenures: list[tuple[str, float]]) -> None:
    """One group a pod, and no replica began a mutation outside of its own term.

    A call is signed right before the lease is looked at, and that is its beginning: a process that
    is stopped after that sends it when it goes on. The moment has full seconds only, which is
    enough: who goes on after SIGSTOP does so seconds after the takeover.
    """
    assert billed_twice(ledger) == []
    uids = [group["pod_uid"] for group in ledger["groups"]]
    assert len(uids) == len(set(uids))
    ends = [moment for _, moment in tenures[1:]] + [math.inf]
    own = {holder: (begin, end) for (holder, begin), end in zip(tenures, ends, strict=True)}
    begun = [(call, *own[call["key"]]) for call in mutations(ledger)]
    old = [one for one, begin, end in begun if not math.floor(begin) <= one["signed"] < end]
    assert old == []
    print(f"{len(uids)} groups, {len(begun)} mutations, {len(tenures)} holders")
    late = [one for one, _, end in begun if one["at"] >= end]
    print(f"{len(late)} of the mutations came after the takeover, though they began before")


def test_a_standby_says_that_it_does_not_act(
    control_plane: ControlPlane, make_node: StartNode, namespace: str, eci: Emulator
) -> None:
    """503 with a sentence and when to come back; its probes are fine, or an update would hang."""
    pair = Pair(control_plane, make_node, eci, "vk-standby")
    pair.start()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is self-signed
    context.load_cert_chain(
        control_plane.folder / "kubelet.crt", control_plane.folder / "kubelet.key"
    )

    def ask(path: str) -> tuple[int, str, str | None]:
        host, port = pair.standby.address, pair.standby.port
        with closing(HTTPSConnection(host, port, timeout=10, context=context)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers["Retry-After"]

    eventually(lambda: ask("/readyz")[0] == 200, "the standby is ready")
    status, text, again = ask(f"/containerLogs/{namespace}/one/main")
    assert status == 503 and again is not None
    assert "this process does not act for the node" in text
    status, text, _ = ask("/stats/summary")
    assert status == 503 and "does not act" in json.loads(text)["message"]
