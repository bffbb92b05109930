"""ServiceAccounts with the roles that `vk rbac` prints, or with all of these but one right."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import attrs
import yaml
from node_process import ROOT

from vk.testing.control_plane import ControlPlane

_numbers = itertools.count(1)


@attrs.frozen
class Account:
    """A ServiceAccount of its own, whose roles are for a node with these flags."""

    plane: ControlPlane
    flags: tuple[str, ...] = ("--provider=process", "--every-node")
    name: str = attrs.field(factory=lambda: f"vk-account-{next(_numbers)}")

    def without(self, resource: str, *verbs: str) -> Path:
        """Make the account with all rights but these and return its kubeconfig."""
        self._apply(resource, verbs)
        return self.plane.kubeconfig_for_service_account("kube-system", self.name)

    def grant(self) -> Path:
        """Give it all that it has a role for, and return its kubeconfig."""
        return self.without("")

    def bind_references(self, namespace: str, role: str = "") -> None:
        """Let it read what pods of the namespace refer to: by its own role, or by another one."""
        role, account = role or f"{self.name}-references", f"kube-system:{self.name}"
        self.plane.kubectl(
            *("create", "rolebinding", f"{self.name}-references", f"--clusterrole={role}"),
            *(f"--serviceaccount={account}", f"--namespace={namespace}"),
        )

    def _apply(self, resource: str, verbs: tuple[str, ...]) -> None:
        command = [sys.executable, "-m", "vk", "rbac", *self.flags, f"--account={self.name}"]
        items = list(yaml.safe_load_all(subprocess.check_output(command, cwd=ROOT, text=True)))
        for rules in (one["rules"] for one in items if "rules" in one):
            for rule in rules:
                if resource in rule["resources"]:
                    rule["verbs"] = [verb for verb in rule["verbs"] if verb not in verbs]
            rules[:] = [rule for rule in rules if rule["verbs"]]
        objects = {"apiVersion": "v1", "kind": "List", "items": items}
        self.plane.kubectl("apply", "-f", "-", input=json.dumps(objects))
