"""Pairs of a pod and the request that it becomes: one file of `golden` each, for every field.

``request`` is what differs from the pair in ``plain.yaml``; null: the parameter is not there. A
refused pod has ``problems`` instead: all of them, each with its path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from eci_world import IDENTITY, config, pod

import vk
from vk_providers.alibabacloud.config import Profile
from vk_providers.alibabacloud.create_parameters.group import group_parameters
from vk_providers.alibabacloud.requests import flatten

FOLDER = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return found


def planned(case: dict[str, Any]) -> dict[str, str]:
    profile = Profile(**case.get("profile", {}))
    result = group_parameters(
        pod(case),
        config=config(**case.get("config", {})),
        profile=profile,
        identity=IDENTITY,
        attempt=case.get("attempt", 0),
    )
    return flatten(result.parameters)


def difference(before: dict[str, str], after: dict[str, str]) -> dict[str, str | None]:
    names = before.keys() | after.keys()
    return {name: after.get(name) for name in names if before.get(name) != after.get(name)}


def test_there_are_enough_pairs() -> None:
    assert len(NAMES) >= 60


@pytest.mark.parametrize("name", NAMES)
def test_a_pod_becomes_this_request(name: str) -> None:
    case = read(name)
    if "problems" in case:
        with pytest.raises(vk.InvalidInputError) as caught:
            planned(case)
        assert str(caught.value).split("; ") == case["problems"]
        return
    base = {} if name == "plain" else read("plain")["request"]
    assert difference(base, planned(case)) == case["request"]
