"""The description of the API in the package is what the vendor's material says today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import vk
from vk_providers.alibabacloud import api_description
from vk_providers.alibabacloud.api_description import UNDESCRIBED, describe

ROOT = Path(vk.__file__).parent.parent
COMMAND = [sys.executable, ROOT / "tools/describe_eci.py"]


@pytest.mark.slow
def test_the_description_is_written_anew_without_a_difference() -> None:
    done = subprocess.run([*COMMAND, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_action_of_the_vendors_client_is_described() -> None:
    from alibabacloud_eci20180808.client import Client

    ending = "_with_options"
    named = {name.removesuffix(ending) for name in vars(Client) if name.endswith(ending)}
    described = {name.lower() for name in api_description.action_names()}
    assert {name.replace("_", "") for name in named} == described


@pytest.mark.parametrize(
    ("action", "name", "facts"),
    [
        ("CreateContainerGroup", "Container", {"required": True, "max_items": 41}),
        ("CreateContainerGroup", "Container.N.Image", {"minimum": 1, "maximum": 255}),
        ("CreateContainerGroup", "CpuOptionsCore", {"minimum": 0, "maximum": 1000}),
        ("CreateContainerGroup", "CpuArchitecture", {"values": ("AMD64", "ARM64")}),
        ("DescribeContainerGroupStatus", "SinceSecond", {"minimum": 60, "maximum": 3600}),
        ("UpdateContainerGroup", "Container.N.Port.N.Port", {"minimum": 1, "maximum": 65535}),
    ],
)
def test_a_parameter_has_the_facts_of_both_sources(
    action: str, name: str, facts: dict[str, object]
) -> None:
    found = describe(action).parameters[name]
    assert {key: getattr(found, key) for key in facts} == facts


def test_the_documented_errors_of_create_have_their_statuses() -> None:
    errors = describe("CreateContainerGroup").errors
    assert len(errors) == 71
    assert errors["QuotaExceeded"] == (403,)
    assert errors["NoPermission"] == (400, 403)


def test_what_the_vendor_leaves_out_says_where_it_is_from_and_what_a_refusal_means() -> None:
    for one in UNDESCRIBED:
        assert one.source
        assert one.if_refused
        assert describe(one.action).parameters[one.name] == one.description
