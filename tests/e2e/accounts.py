"""ServiceAccounts that lack a right which the documented ones have."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import attrs
import yaml
from node_process import DEPLOY

from vk.testing.control_plane import ControlPlane

_numbers = itertools.count(1)


@attrs.frozen
class Account:
    """A ServiceAccount of its own; ``grant`` gives it all that the documented one has."""

    plane: ControlPlane
    name: str = attrs.field(factory=lambda: f"vk-poor-{next(_numbers)}")

    def without(self, resource: str, *verbs: str) -> Path:
        """Make the account with all rights but these and return its kubeconfig."""
        self._apply(resource, verbs)
        return self.plane.kubeconfig_for_service_account("kube-system", self.name)

    def grant(self) -> None:
        """Give it what it lacks."""
        self._apply("", ())

    def _apply(self, resource: str, verbs: tuple[str, ...]) -> None:
        items = [
            self._own(one, resource, verbs)
            for one in yaml.safe_load_all((DEPLOY / "rbac.yaml").read_text())
            if one["metadata"]["name"] == "vk"
        ]
        objects = {"apiVersion": "v1", "kind": "List", "items": items}
        self.plane.kubectl("apply", "-f", "-", input=json.dumps(objects))

    def _own(self, one: dict[str, Any], resource: str, verbs: tuple[str, ...]) -> dict[str, Any]:
        one["metadata"]["name"] = self.name
        for reference in (one.get("roleRef"), *one.get("subjects", ())):
            if reference is not None:
                reference["name"] = self.name
        rules = one.get("rules", [])
        for rule in rules:
            if resource in rule["resources"]:
                rule["verbs"] = [verb for verb in rule["verbs"] if verb not in verbs]
        rules[:] = [rule for rule in rules if rule["verbs"]]
        return one
