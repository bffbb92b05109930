"""Write the files of this folder that are made from others: roles, and what the chart renders.

Run it after a change of `vk.cluster.permissions` or of the chart; a test holds that nothing was
forgotten. Needs the project installed, and helm on the path or named by HELM.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import yaml

from vk.cluster.permissions import PERMISSIONS

HERE = Path(__file__).parent
_ROLES = ("ServiceAccount", "ConfigMap", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
_HEAD = "# Made by render.py: do not edit.\n"


def permissions() -> str:
    """Return the table that the chart's roles come from."""
    rows = [{**attrs.asdict(one), "verbs": list(one.verbs)} for one in PERMISSIONS]
    return _HEAD + yaml.safe_dump(rows, sort_keys=False, default_flow_style=None)


def roles() -> str:
    """Return what ``vk rbac`` prints for any node of a provider that honours volumes."""
    command = [sys.executable, "-m", "vk", "rbac", "--provider", "process", "--every-node"]
    return subprocess.check_output(command, text=True)


def node() -> str:
    """Return the chart's objects beside the roles and the configuration."""
    helm = os.environ.get("HELM", "helm")
    command = [helm, "template", "vk", str(HERE / "chart"), "--namespace=kube-system"]
    command += ["--no-hooks", "--kube-version=1.36.0"]
    return _HEAD + yaml.safe_dump_all(_plain(subprocess.check_output(command, text=True)))


def _plain(rendered: str) -> Iterator[dict[str, Any]]:
    for one in yaml.safe_load_all(rendered):
        if one is None or one["kind"] in _ROLES:
            continue
        for label in ("app.kubernetes.io/managed-by", "helm.sh/chart"):
            one["metadata"].get("labels", {}).pop(label, None)
        template = one["spec"].get("template")
        if template is not None:  # kustomize gives a changed ConfigMap another name instead
            del template["metadata"]["annotations"]
        yield one


FILES = {
    "chart/files/permissions.yaml": permissions,
    "base/rbac.yaml": roles,
    "base/node.yaml": node,
}

if __name__ == "__main__":
    for name, made in FILES.items():
        (HERE / name).write_text(made())
