"""Runs a node behind a faulty API server, with kills, and prints each promise that was not kept.

``python tests/faults/fault_run.py --seconds 300 --seed 1`` starts a control plane of its own
(``KUBEBUILDER_ASSETS``), two replicas of one node that reach it through `fault_proxy`, and a client
that makes, changes and deletes pods; then comes quiet, and `fault_recorder` judges. Exit code 1:
something is broken. The same seed gives the same storms and the same orders, not the same
interleaving.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from fault_recorder import Api, Recorder, broken

from vk.testing.control_plane import ControlPlane, eventually
from vk.testing.programs import free_port

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DEPLOY = ROOT / "examples" / "deploy" / "base"
LEASE = 4.0
QUIET = 45.0
"""Seconds that everything has to come to rest; backoffs of the storms end within them."""


@dataclass
class Replica:
    """One process of the node. Started again when it ends, as a Deployment would."""

    name: str
    command: list[str]
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    ends: list[int] = field(default_factory=list)
    """Exit codes of what ended by itself."""

    def keep(self) -> None:
        """Start the process unless it runs."""
        if self.process is not None:
            code = self.process.poll()
            if code is None:
                return
            self.ends.append(code)
        environment = os.environ | {
            "KUBELET_PORT": str(self.port),
            "POD_UID": self.name,
            "VKUBELET_POD_IP": "127.0.0.1",
            "HOME": str(self.folder),
            "XDG_STATE_HOME": str(self.folder / f"state-{self.name}"),
        }
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self, seconds: float) -> None:
        """Stop it for a while, as a machine does that is out of memory."""
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            self.process.send_signal(signal.SIGCONT)


class Client:
    """A user of the cluster: makes, changes and deletes pods at the API server itself."""

    def __init__(self, api: Api, namespace: str, node: str, orders: random.Random) -> None:
        self.api, self.namespace, self.node, self.orders = api, namespace, node, orders
        self.made = 0
        self.living: list[str] = []

    def act(self) -> None:
        """Do one thing."""
        order = self.orders.random()
        if order < 0.5 or not self.living:
            self._create()
        elif order < 0.65:
            self._label(self.orders.choice(self.living))
        elif order < 0.75:
            self._condition(self.orders.choice(self.living))
        else:
            name = self.orders.choice(self.living)
            self.living.remove(name)
            self._delete(name, forced=self.orders.random() < 0.15)

    def _path(self, name: str = "") -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{name}".rstrip("/")

    def _create(self) -> None:
        self.made += 1
        name, annotations = f"p-{self.made}", {"fault-run/stubborn": self.orders.choice("00014")}
        policy = "Always"
        if self.orders.random() < 0.35:
            policy = "Never"
            annotations["fault-run/ends-after"] = str(self.orders.randint(1, 12))
            annotations["fault-run/exit-code"] = self.orders.choice(("0", "0", "3"))
        body = {
            "metadata": {"name": name, "annotations": annotations},
            "spec": {
                "nodeName": self.node,
                "restartPolicy": policy,
                "terminationGracePeriodSeconds": self.orders.choice((1, 3)),
                "automountServiceAccountToken": False,
                "containers": [{"name": "main", "image": "none"}],
                "tolerations": [{"operator": "Exists"}],
            },
        }
        status, answer = self.api.call("POST", self._path(), body)
        assert status == 201, answer
        self.living.append(name)

    def _label(self, name: str) -> None:
        patch = {"metadata": {"labels": {"changed": str(self.orders.randint(0, 9999))}}}
        self.api.call("PATCH", self._path(name), patch, "application/merge-patch+json")

    def _condition(self, name: str) -> None:
        """Be another writer of the status, as the scheduler and autoscalers are."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = str(self.orders.randint(0, 9999))
        condition = {"type": "example.com/Seen", "status": "True", "message": text}
        patch = {"status": {"conditions": [condition | {"lastTransitionTime": now}]}}
        kind = "application/strategic-merge-patch+json"
        self.api.call("PATCH", self._path(name) + "/status", patch, kind)

    def _delete(self, name: str, *, forced: bool) -> None:
        if forced:
            patch = {"metadata": {"annotations": {"fault-run/forced": "yes"}}}
            self.api.call("PATCH", self._path(name), patch, "application/merge-patch+json")
        options = {"gracePeriodSeconds": 0} if forced else {}
        self.api.call("DELETE", self._path(name), options)


def run(plane: ControlPlane, *, seed: int, seconds: float, namespace: str = "default") -> list[str]:
    """Make one run on ``plane`` and return what was broken."""
    print(f"fault run: seed {seed}, {seconds:g} s", flush=True)
    plane.kubectl("apply", "-f", str(DEPLOY / "rbac.yaml"))
    orders, node = random.Random(seed), f"faults-{seed}"
    admin = yaml.safe_load(plane.admin_kubeconfig.read_text())["users"][0]["user"]
    files = (admin["client-certificate"], admin["client-key"])
    api = Api(plane.url.removeprefix("https://"), str(plane.certificate_authority), *files)
    recorder = Recorder(api)
    recorder.follow("/api/v1/nodes", f"metadata.name={node}")
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    recorder.follow(leases, f"metadata.name={node}")
    recorder.follow(f"/api/v1/namespaces/{namespace}/pods", f"spec.nodeName={node}")
    folder = Path(tempfile.mkdtemp(prefix="vk-faults-"))
    (folder / "workloads").mkdir()
    port = free_port()
    with (folder / "proxy.log").open("wb") as log:
        proxy = subprocess.Popen(
            [
                *(sys.executable, str(HERE / "fault_proxy.py"), "--target", plane.url),
                *("--authority", str(plane.certificate_authority)),
                *("--certificate", str(plane.folder / "serving.crt")),
                *("--key", str(plane.folder / "serving.key")),
                *("--port", str(port), "--seed", str(seed), "--seconds", str(seconds)),
            ],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    replicas = []
    try:
        serving = folder / "proxy.log"
        eventually(lambda: "serving" in serving.read_text(), "the proxy serves")
        kubeconfig = plane.kubeconfig_for_service_account("kube-system", "vk")
        config = yaml.safe_load(kubeconfig.read_text())
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
        behind = folder / "kubeconfig"
        behind.write_text(yaml.safe_dump(config))
        behind.chmod(0o600)
        command = [
            *(sys.executable, "-m", "vk", "--plugin", str(HERE / "ledger_provider.py")),
            *("--provider", "ledger", "--set", f"folder={folder / 'workloads'}"),
            *("--nodename", node, "--kubeconfig", str(behind)),
            *("--node-lease-duration", f"{LEASE:g}s", "--full-resync-period", "10s"),
        ]
        replicas = [Replica(name, command, folder) for name in ("first", "second")]
        for replica in replicas:
            replica.keep()
        eventually(lambda: _is_ready(api, node), f"node {node} is ready")
        assert proxy.stdin is not None
        proxy.stdin.write(b"\n")
        proxy.stdin.flush()
        client, began = Client(api, namespace, node, orders), time.monotonic()
        while time.monotonic() - began < seconds:
            client.act()
            if orders.random() < 0.02:
                orders.choice(replicas).kill()
            if orders.random() < 0.01:
                orders.choice(replicas).pause(orders.uniform(0.5, 1.5 * LEASE))
            for replica in replicas:
                replica.keep()
            time.sleep(orders.uniform(0.05, 0.5))
        found = broken(recorder, folder=folder / "workloads", node=node, settled=True)
        deadline = time.monotonic() + QUIET
        while found and time.monotonic() < deadline:
            time.sleep(1.0)
            for replica in replicas:
                replica.keep()
            found = broken(recorder, folder=folder / "workloads", node=node, settled=True)
        rest = time.monotonic() - deadline + QUIET
        ends = {replica.name: replica.ends for replica in replicas}
        print(f"{client.made} pods, at rest after {rest:.0f} s, ended by themselves: {ends}")
        recorder.stop()
        if found:
            print(f"logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
        return found
    finally:
        for replica in replicas:
            replica.kill()
        proxy.kill()
        proxy.communicate()
        for name in [
            pod["metadata"]["name"]
            for pod in api.call("GET", f"/api/v1/namespaces/{namespace}/pods")[1]["items"]
            if pod["spec"].get("nodeName") == node
        ]:
            path = f"/api/v1/namespaces/{namespace}/pods/{name}"
            api.call("DELETE", path, {"gracePeriodSeconds": 0})
        api.call("DELETE", f"/api/v1/nodes/{node}")


def _is_ready(api: Api, node: str) -> bool:
    status, found = api.call("GET", f"/api/v1/nodes/{node}")
    conditions = found["status"].get("conditions", ()) if status == 200 else ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=random.randrange(100_000))
    arguments = parser.parse_args()
    with ControlPlane(controllers=True) as control_plane:
        problems = run(control_plane, seed=arguments.seed, seconds=arguments.seconds)
    print(json.dumps(problems, indent=2))
    raise SystemExit(1 if problems else 0)
