"""A machine of the cluster for the tests: runs pods of `vk` as plain processes.

It is a Node that kube-scheduler binds pods to, and a small kubelet: containers become processes
with the variables, files and the ServiceAccount of their pod; readiness is probed; who ends is
started again or, in a Job, judged by the exit code. Paths of the container that are mounted become
folders below the test's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs
from node_process import ROOT

from vk.testing.control_plane import CommandError, ControlPlane

Json = dict[str, Any]
NAME = "host"
LEASES = "kube-node-lease"


@attrs.define(eq=False)
class Container:
    """The one container of one pod, as a process."""

    pod: Json
    address: str
    folder: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = attrs.field(default=None, init=False)

    @property
    def spec(self) -> Json:
        """The container's part of the pod."""
        (found,) = self.pod["spec"]["containers"]
        return dict(found)

    def start(self) -> None:
        """Start the process; the image is taken for ours, whose entry point is vk."""
        command = [sys.executable, "-m", "vk", *self.spec.get("args", ())]
        environment = {**os.environ, **self.environment, **self._variables()}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log
            )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command of the container beside it, as ``kubectl exec`` does."""
        command = [sys.executable, "-m", "vk", *arguments]
        environment = {**os.environ, **self.environment, **self._variables()}
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )

    def here(self, text: str) -> str:
        """Return ``text`` with the container's mounted paths as what they are on this machine."""
        mounts = self.spec.get("volumeMounts", ())
        for mount in (one for one in mounts if one["mountPath"] != "/tmp"):  # is there anyway
            text = text.replace(mount["mountPath"], str(self.folder / mount["name"]))
        return text

    def is_ready(self) -> bool:
        """Whether its readiness probe, if there is one, is answered."""
        probe = self.spec.get("readinessProbe")
        if probe is None:
            return True
        (port,) = (
            one["containerPort"]
            for one in self.spec["ports"]
            if one["name"] == probe["httpGet"]["port"]
        )
        url = f"http://{self.address}:{port}{probe['httpGet']['path']}"
        with suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    def _variables(self) -> dict[str, str]:
        fields = {"status.podIP": self.address, "metadata.uid": self.pod["metadata"]["uid"]}
        return {
            one["name"]: fields[one["valueFrom"]["fieldRef"]["fieldPath"]]
            if "valueFrom" in one
            else self.here(one["value"])
            for one in self.spec.get("env", ())
        }


@attrs.define(eq=False)
class Host:
    """Runs what is bound to it while it is entered."""

    plane: ControlPlane
    folder: Path
    containers: dict[str, Container] = attrs.field(factory=dict, init=False)
    """By the UID of the pod."""
    _count: int = attrs.field(default=0, init=False)
    _ended: threading.Event = attrs.field(factory=threading.Event, init=False)
    _thread: threading.Thread | None = attrs.field(default=None, init=False)
    _heartbeat: float = attrs.field(default=0.0, init=False)

    def __enter__(self) -> Self:
        self._register()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        assert self._thread is not None
        self._thread.join()
        for container in self.containers.values():
            if container.process is not None:
                container.process.kill()
                container.process.wait()
        for log in sorted(self.folder.glob("*/log")):
            print(f"--- {log.parent.name}\n{log.read_text()[-3000:]}")
        self.plane.kubectl("delete", "node", NAME)

    def kill(self, uid: str) -> None:
        """End the process of a pod as the kernel does, when memory is short for example."""
        process = self.containers[uid].process
        assert process is not None
        process.kill()

    def is_idle(self) -> bool:
        """Whether no process runs."""
        processes = [one.process for one in self.containers.values()]
        return all(one is None or one.poll() is not None for one in processes)

    def _register(self) -> None:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}}
        self.plane.kubectl("create", "-f", "-", input=json.dumps(node))
        self._beat()
        room = {"cpu": "8", "memory": "16Gi", "pods": "20"}
        status = {
            "capacity": room,
            "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        }
        self._patch("node", NAME, status)

    def _run(self) -> None:
        while not self._ended.wait(0.3):
            with suppress(CommandError):  # a pod that has just gone, an API server that restarts
                self._beat()
                self._look()

    def _beat(self) -> None:
        """Renew the lease now and then, or the node's pods would be evicted."""
        moment = datetime.now(UTC)
        if moment.timestamp() - self._heartbeat < 10:
            return
        spec = {"holderIdentity": NAME, "leaseDurationSeconds": 40, "renewTime": moment.isoformat()}
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": NAME, "namespace": LEASES},
            "spec": spec,
        }
        self.plane.kubectl("apply", "-f", "-", input=json.dumps(lease))
        self._heartbeat = moment.timestamp()

    def _look(self) -> None:
        pods = self.plane.get("pods", "-A", f"--field-selector=spec.nodeName={NAME}")["items"]
        for pod in pods:
            uid, phase = pod["metadata"]["uid"], pod["status"].get("phase")
            if pod["metadata"].get("deletionTimestamp"):
                self._end(pod)
            elif uid not in self.containers and phase in ("Pending", None):
                self._begin(pod)
            elif uid in self.containers and phase not in ("Succeeded", "Failed"):
                self._follow(pod, self.containers[uid])

    def _begin(self, pod: Json) -> None:
        self._count += 1
        uid, namespace = pod["metadata"]["uid"], pod["metadata"]["namespace"]
        folder = self.folder / f"{pod['metadata']['name']}-{self._count}"
        account = self.plane.kubeconfig_for_service_account(
            namespace, pod["spec"]["serviceAccountName"]
        )
        environment = {"KUBECONFIG": str(account), "PYTHONUNBUFFERED": "1", "HOME": str(folder)}
        address = f"127.0.1.{self._count}"
        container = Container(pod, address, folder, environment)
        for volume in pod["spec"]["volumes"]:
            place = folder / volume["name"]
            place.mkdir(parents=True)
            if "configMap" in volume:
                name = volume["configMap"]["name"]
                data = self.plane.get("configmap", name, f"-n={namespace}")["data"]
                for file, text in data.items():
                    (place / file).write_text(container.here(text))
        container.start()
        self.containers[uid] = container

    def _follow(self, pod: Json, container: Container) -> None:
        assert container.process is not None
        code = container.process.poll()
        if code is not None and pod["spec"]["restartPolicy"] == "Always":
            container.start()
            code = None
        if code is None:
            ready, state = container.is_ready(), {"running": {}}
            self._tell(pod, container, "Running", ready, state)
        else:
            state = {
                "terminated": {"exitCode": code, "reason": "Completed" if not code else "Error"}
            }
            self._tell(pod, container, "Failed" if code else "Succeeded", False, state)

    def _end(self, pod: Json) -> None:
        container = self.containers.pop(pod["metadata"]["uid"], None)
        if container is not None and container.process is not None:
            container.process.terminate()
            container.process.wait(pod["spec"]["terminationGracePeriodSeconds"])
        where = (pod["metadata"]["name"], f"-n={pod['metadata']['namespace']}")
        force = ("--force", "--grace-period=0", "--wait=false", "--ignore-not-found")
        self.plane.kubectl("delete", "pod", *where, *force)

    def _tell(self, pod: Json, container: Container, phase: str, ready: bool, state: Json) -> None:
        one = {"name": container.spec["name"], "ready": ready, "restartCount": 0, "state": state}
        one |= {"image": container.spec["image"], "imageID": ""}
        status = {
            "phase": phase,
            "podIP": container.address,
            "podIPs": [{"ip": container.address}],
            "conditions": [
                {"type": name, "status": str(ready)} for name in ("Ready", "ContainersReady")
            ],
            "containerStatuses": [one],
        }
        known = pod["status"].get("conditions") or ()
        was = {each["type"]: each["status"] for each in known}.get("Ready")
        if (phase, str(ready)) != (pod["status"].get("phase"), was):
            namespace = pod["metadata"]["namespace"]
            self._patch("pod", pod["metadata"]["name"], status, f"-n={namespace}")

    def _patch(self, kind: str, name: str, status: Json, *flags: str) -> None:
        patch = json.dumps({"status": status})
        self.plane.kubectl("patch", kind, name, "--subresource=status", f"-p={patch}", *flags)
