"""Keeps every state of one object that the API server tells of, beside whatever else goes on."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

from vk.testing.control_plane import ControlPlane, eventually

REPLICA = r"{.metadata.annotations.virtual-kubelet\.io/replica}"
"""The replica that holds a lease."""
READY = '{.status.conditions[?(@.type=="Ready")].status}'
"""JSONPath of a node's Ready."""


@attrs.define(eq=False)
class Recorder:
    """``kubectl get --watch``: one line a state, in a JSONPath. Records while it is entered."""

    plane: ControlPlane
    file: Path
    path: str
    arguments: tuple[str, ...]
    """What to get, such as ``("node", "a")``."""
    _process: subprocess.Popen[bytes] | None = attrs.field(default=None, init=False)

    def __enter__(self) -> Self:
        command = [
            str(self.plane.assets / "kubectl"),
            f"--kubeconfig={self.plane.admin_kubeconfig}",
        ]
        command += ["get", *self.arguments]
        command += ["--watch", f'-o=jsonpath={self.path}{{"\\n"}}']
        with self.file.open("wb") as file:
            self._process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        eventually(self.states, f"{self.arguments} is recorded")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def states(self) -> list[str]:
        """Return the states so far, the first one being that of the start."""
        assert self._process is not None and self._process.poll() is None, self.file.read_text()
        text = self.file.read_text()
        return [line[:-1] for line in text.splitlines(keepends=True) if line.endswith("\n")]
