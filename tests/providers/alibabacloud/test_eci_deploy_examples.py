"""The manifests to deploy with: least rights, no key but in a Secret, and the one of 2018."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from click.testing import CliRunner

from vk.cli.main import command as vk_command
from vk_providers.alibabacloud.config import EciConfig
from vk_providers.alibabacloud.requests import MUTATIONS

DEPLOY = Path(__file__).parents[3] / "examples" / "deploy"
FOLDER = DEPLOY / "alibabacloud"
PACKAGE = Path(__file__).parents[3] / "vk_providers" / "alibabacloud"


def documents(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def of(path: Path, kind: str) -> list[dict[str, Any]]:
    return [one for one in documents(path) if one["kind"] == kind]


def container(path: Path) -> dict[str, Any]:
    (deployment,) = of(path, "Deployment")
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return found  # type: ignore[no-any-return] # parsed YAML


@pytest.mark.slow
@pytest.mark.parametrize("name", ["role.yaml", "access-key.yaml"])
def test_the_rights_are_those_that_vk_rbac_prints_and_no_more(name: str) -> None:
    command = ["rbac", "--provider", "alibabacloud", "--nodename", "vk-eci"]
    printed = CliRunner().invoke(vk_command, command, catch_exceptions=False).output
    kinds = ("ClusterRole", "Role", "ClusterRoleBinding")
    needed = [one for one in yaml.safe_load_all(printed) if one and one["kind"] in kinds]
    assert len(needed) > 3
    assert [one for one in documents(FOLDER / name) if one["kind"] in kinds] == needed
    assert "cluster-admin" not in (FOLDER / name).read_text()


@pytest.mark.parametrize("name", ["role.yaml", "access-key.yaml"])
def test_no_key_is_in_the_deployment(name: str) -> None:
    (deployment,) = of(FOLDER / name, "Deployment")
    assert "ACCESS_KEY" not in json.dumps(deployment)
    assert "SECRET_KEY" not in json.dumps(deployment)


def test_the_key_goes_in_by_its_secret() -> None:
    (secret,) = of(FOLDER / "access-key.yaml", "Secret")
    known = {field.metadata.get("env") for field in attrs.fields(EciConfig)}
    assert set(secret["stringData"]) <= known
    (source,) = container(FOLDER / "access-key.yaml")["envFrom"]
    assert source["secretRef"]["name"] == secret["metadata"]["name"]


@pytest.mark.parametrize("name", ["role.yaml", "access-key.yaml", "virtual-nodes-2018.yaml"])
def test_every_variable_is_one_that_the_provider_reads(name: str) -> None:
    names = {one["name"] for one in container(FOLDER / name)["env"]}
    known = {field.metadata.get("env") for field in attrs.fields(EciConfig)}
    assert {one for one in names if one.startswith("ECI_")} <= known


def test_the_manifest_of_2018_is_what_its_users_have() -> None:
    found = container(FOLDER / "virtual-nodes-2018.yaml")
    assert found["args"] == ["--provider", "alibabacloud"]
    assert [one["name"] for one in found["env"]] == [
        "KUBELET_PORT", "VKUBELET_POD_IP", "VKUBELET_TAINT_KEY", "VKUBELET_TAINT_VALUE",
        "VKUBELET_TAINT_EFFECT", "ECI_REGION", "ECI_VSWITCH", "ECI_SECURITY_GROUP",
        "ECI_ACCESS_KEY", "ECI_SECRET_KEY",
    ]  # fmt: skip


def test_the_policy_allows_every_action_that_the_provider_calls_and_no_other() -> None:
    (statement,) = json.loads((FOLDER / "ram-policy.json").read_text())["Statement"]
    sources = "".join(path.read_text() for path in PACKAGE.glob("*.py"))
    actions = [action.partition(":")[2] for action in statement["Action"]]
    assert [action for action in actions if f'"{action}"' not in sources] == []
    assert set(actions) >= MUTATIONS
