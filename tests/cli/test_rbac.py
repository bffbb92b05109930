"""`vk rbac`: roles from the features that are on; the ones that examples/deploy ships are these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from doc_blocks import block

from vk.cli.main import command
from vk.cluster.permissions import PERMISSIONS

ROLES = Path(__file__).parents[2] / "examples/deploy/base/rbac.yaml"


def printed(*flags: str, provider: str = "mock") -> str:
    """Return what ``vk rbac`` prints."""
    result = CliRunner().invoke(command, ["rbac", "--provider", provider, *flags])
    assert result.exit_code == 0, result.output
    return result.output


def rules(text: str) -> list[dict[str, Any]]:
    """Return the rules of all roles."""
    return [rule for one in yaml.safe_load_all(text) for rule in one.get("rules") or ()]


def granted(text: str) -> set[tuple[str, str]]:
    """Return every (resource, verb)."""
    return {
        (resource, verb)
        for rule in rules(text)
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_roles_of_the_example_are_what_the_command_prints() -> None:
    assert ROLES.read_text() == printed("--every-node", provider="process")


def test_a_node_s_roles_name_the_node_wherever_the_api_can_tell() -> None:
    (shown,) = block("docs/operations/permissions.md", "$ vk rbac").commands(
        PROVIDER="mock", NODE="n1"
    )
    result = CliRunner().invoke(command, shown.split()[1:])
    assert result.output == printed("--nodename", "n1")
    named = rules(result.output)
    kinds = ("nodes", "nodes/status", "leases")
    open_rules = [rule for rule in named if rule["resources"][0] in kinds]
    for rule in open_rules:
        assert rule.get("resourceNames") == (None if rule["verbs"] == ["create"] else ["n1"])


@pytest.mark.parametrize(
    ("flags", "gone"),
    [
        (("--serving-signer", "none"), {"certificatesigningrequests"}),
        (("--insecure-dev",), {"tokenreviews", "subjectaccessreviews"}),
    ],
)
def test_what_is_switched_off_is_not_granted(flags: tuple[str, ...], gone: set[str]) -> None:
    everything, less = granted(printed()), granted(printed(*flags))
    assert {resource for resource, _ in everything - less} == gone


def test_references_are_watched_only_where_that_is_switched_on() -> None:
    more = granted(printed("--watch-references")) - granted(printed())
    assert more == {
        (kind, verb) for kind in ("secrets", "configmaps") for verb in ("list", "watch")
    }


def test_what_the_provider_does_not_honour_is_not_granted() -> None:
    """The mock has no claims, the process provider has."""
    more = granted(printed(provider="process")) - granted(printed())
    assert more == {("persistentvolumes", "get"), ("persistentvolumeclaims", "get")}


def test_nobody_is_granted_what_could_raise_its_own_rights() -> None:
    """The list of design and security review: none of these, for any feature of the node."""
    everything = granted(printed("--every-node"))
    assert not {verb for _, verb in everything} & {"*", "bind", "escalate", "impersonate"}
    assert not {resource for resource, _ in everything} & {"*", "nodes/proxy", "pods/exec"}
    assert ("secrets", "list") not in everything and ("nodes", "delete") not in everything


def test_every_permission_says_why() -> None:
    assert all(one.why for one in PERMISSIONS)
