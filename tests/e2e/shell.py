"""An operator's shell: what the pages say is typed there as it stands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest
from node_process import ROOT

from vk.testing.control_plane import ASSETS, ControlPlane

__all__ = ["Shell"]


@attrs.frozen
class Shell:
    """Has kubectl, vk and helm on its path, and the administrator's kubeconfig."""

    environment: Mapping[str, str]
    moved: Mapping[str, str] = attrs.field(factory=dict)
    """Folders below which the test may not write, and what stands for them."""

    @classmethod
    def of(cls, plane: ControlPlane, folder: Path, **moved: str) -> Shell:
        """Make one for a cluster; ``moved`` are top-level folders by name."""
        helm = os.environ.get("HELM") or shutil.which("helm")
        if not helm:
            pytest.skip("no helm on the path, and HELM does not name one")
        programs = folder / "programs"
        programs.mkdir()
        (programs / "helm").symlink_to(helm)
        (programs / "kubectl").symlink_to(Path(os.environ[ASSETS]) / "kubectl")
        (programs / "vk").write_text(f'#!/bin/sh\nexec {sys.executable} -m vk "$@"\n')
        (programs / "vk").chmod(0o755)
        path = os.pathsep.join((str(programs), os.environ["PATH"]))
        kubeconfig = str(plane.admin_kubeconfig)
        return cls({**os.environ, "PATH": path, "KUBECONFIG": kubeconfig}, moved)

    def here(self, text: str) -> str:
        """Return ``text`` with what stands for the moved folders."""
        for name, folder in self.moved.items():
            text = re.sub(rf"(?<![\w.])/{name}/", f"{folder}/", text)
        return text

    def run(self, command: str, *, input: str | None = None, folder: Path = ROOT) -> str:
        """Run a line, which must succeed; return what it printed."""
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", self.here(command)],
            input=input,
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        return done.stdout
