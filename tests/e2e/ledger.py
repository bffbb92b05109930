"""The ledger provider from the tests' side: installs it for a process, and reads its lines."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import attrs

HERE = Path(__file__).parent


@attrs.frozen
class Ledger:
    """One backend in ``folder``, for as many processes as are given its flags and environment."""

    folder: Path

    @property
    def _file(self) -> Path:
        return self.folder / "ledger"

    def settings(self, *, hold: bool = False) -> dict[str, str]:
        """What the provider is told."""
        return {"file": str(self._file), "hold": str(hold).lower()}

    def flags(self, *, hold: bool = False) -> tuple[str, ...]:
        """The same as flags."""
        pairs = self.settings(hold=hold).items()
        return tuple(word for key, value in pairs for word in ("--set", f"{key}={value}"))

    def environment(self) -> dict[str, str]:
        """Make the plugin an installed distribution and return what lets a process find it."""
        information = self.folder / "ledger_provider-1.0.dist-info"
        information.mkdir(exist_ok=True)
        (information / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: ledger-provider\nVersion: 1.0\n"
        )
        (information / "entry_points.txt").write_text("[vk]\nledger = ledger_provider\n")
        return {"PYTHONPATH": os.pathsep.join((str(self.folder), str(HERE)))}

    def seed(self, namespace: str, name: str, uid: str) -> None:
        """Let the backend have a workload since long ago that no pod asks for."""
        line = {"did": "runs", "key": [namespace, name, uid], "containers": ["main"], "at": 0.0}
        self._file.write_text(json.dumps({**line, "by": "nobody"}) + "\n")

    def lines(self, *did: str) -> list[dict[str, Any]]:
        """Return the lines of these kinds."""
        text = self._file.read_text() if self._file.exists() else ""
        # The last line may still be on its way.
        found = [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]
        return [line for line in found if line["did"] in did]

    def running(self) -> set[str]:
        """Return the UIDs of the workloads that there are."""
        found: set[str] = set()
        for line in self.lines("runs", "delete"):
            (found.add if line["did"] == "runs" else found.discard)(line["key"][2])
        return found
