"""A node under test: `python -m vk` as a process of its own, with the rights that we document."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from vk.testing.control_plane import ControlPlane, eventually
from vk.testing.programs import free_port

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "examples" / "deploy" / "base"


def own_address() -> str:
    """Return an address of this machine that others could use; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.254", 9))
        address: str = probe.getsockname()[0]
        return address


@attrs.define(eq=False)
class NodeProcess:
    """One replica of a node. ``replica`` is its POD_UID: who it says it is to the lease.

    ``environment`` comes over ours.
    """

    plane: ControlPlane
    name: str
    kubeconfig: Path
    folder: Path
    flags: tuple[str, ...] = ()
    replica: str = "first"
    address: str = "127.0.0.1"
    provider: str = "mock"
    environment: Mapping[str, str] = attrs.field(factory=dict)
    port: int = attrs.field(factory=free_port, init=False)
    """Where its kubelet's API listens."""
    _process: subprocess.Popen[bytes] | None = attrs.field(default=None, init=False)

    @property
    def log(self) -> Path:
        """What the process wrote."""
        return self.folder / f"{self.name}-{self.replica}.log"

    def start(self) -> None:
        """Start the process; it need not be ready when this returns."""
        command = [sys.executable, "-m", "vk", "--provider", self.provider, "--nodename", self.name]
        command += ["--kubeconfig", str(self.kubeconfig), *self.flags]
        environment = os.environ | {
            "KUBELET_PORT": str(self.port),
            "POD_UID": self.replica,
            "VKUBELET_POD_IP": self.address,
            "HOME": str(self.folder),  # state and caches of each replica apart
            "XDG_STATE_HOME": str(self.folder / f"state-{self.replica}"),
            "PYTHONUNBUFFERED": "1",
            **self.environment,
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log
            )

    def wait_ready(self, *, timeout: float = 60.0) -> None:
        """Wait until the node is Ready and takes pods."""

        def taken() -> bool:
            self.check()
            node = self.plane.get("node", self.name)
            said = node["status"].get("conditions", ())
            conditions = {one["type"]: one["status"] for one in said}
            taints = {taint["key"] for taint in node["spec"].get("taints", ())}
            ready = conditions.get("Ready") == "True"
            return ready and "node.kubernetes.io/not-ready" not in taints

        eventually(taken, f"node {self.name} is ready", timeout=timeout)

    def check(self) -> None:
        """Raise when the process has ended; the text has the end of its log."""
        code = self._process.poll() if self._process else None
        if code is not None:
            text = self.log.read_text(errors="replace")[-3000:]
            raise RuntimeError(f"node {self.name} ended with {code}:\n{text}")

    def said(self, text: str) -> list[str]:
        """Return the lines of its log that hold ``text``; raise when the process has ended."""
        self.check()
        return [line for line in self.lines() if text in line]

    def lines(self) -> list[str]:
        """Return the lines of its log."""
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []

    def wait_end(self, *, timeout: float = 60.0) -> int:
        """Wait until the process has ended by itself and return its exit code."""
        assert self._process is not None
        code = self._process.wait(timeout)
        self._process = None
        return code

    def kill(self) -> None:
        """End the process with SIGKILL; repeatable."""
        self._end(subprocess.Popen.kill)

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> int:
        """End the process with SIGTERM and return its exit code."""
        return self._end(subprocess.Popen.terminate)

    def _end(self, signal: Callable[[subprocess.Popen[bytes]], None]) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        signal(process)
        return process.wait(40.0)


StartNode = Callable[..., NodeProcess]
"""``make(name="", *flags, **more)``: makes a node, with a new name by default.

``more`` are fields of NodeProcess.
"""
