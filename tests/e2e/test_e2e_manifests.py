"""What examples/deploy has for kubectl and for Helm, taken by a real API server."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from node_process import ROOT

from vk.testing.control_plane import ControlPlane

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

DEPLOY = ROOT / "examples" / "deploy"
STRICT = ("apply", "--dry-run=server", "--validate=strict")


@pytest.mark.parametrize("folder", ["base", "overlays/mock"])
def test_kustomize_folders_are_valid(control_plane: ControlPlane, folder: str) -> None:
    """Every object, with unknown and doubled fields refused."""
    taken = control_plane.kubectl(*STRICT, "-k", str(DEPLOY / folder))
    assert "deployment.apps/vk created (server dry run)" in taken


def test_the_chart_is_valid(control_plane: ControlPlane, tmp_path: Path) -> None:
    """With everything switched on that needs no custom resource; hooks too."""
    helm = os.environ.get("HELM") or shutil.which("helm")
    if not helm:
        pytest.skip("no helm on the path, and HELM does not name one")
    flags = ("--namespace=kube-system", "--kube-version=1.36.0")
    flags += (
        "--set=references.namespaces={default}",
        "--set=networkPolicy.apiServers={10.0.0.0/8}",
    )
    command = [helm, "template", "vk", str(DEPLOY / "chart"), *flags]
    rendered = tmp_path / "all.yaml"
    rendered.write_text(subprocess.check_output(command, text=True))
    taken = control_plane.kubectl(*STRICT, "-f", str(rendered))
    for name in ("deployment.apps/vk", "flowschema.flowcontrol.apiserver.k8s.io/kube-system-vk"):
        assert f"{name} created (server dry run)" in taken
    assert "job.batch/vk-drain-post-delete created" in taken
