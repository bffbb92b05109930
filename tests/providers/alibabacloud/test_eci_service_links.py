"""A namespace with more Services than a container's environment holds: they are the first to go."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from eci_world import IDENTITY, config, pod

import vk
from vk_providers.alibabacloud.config import Profile
from vk_providers.alibabacloud.create_parameters.group import group_parameters

pytestmark = pytest.mark.field


def planned(services: int, own: int = 1) -> Any:
    """Plan a pod with so many Services, each with seven variables, and variables of its own."""
    links = {f"S{n}_PORT_{part}": "x" for n in range(services) for part in range(7)}
    mine = {f"OWN_{number}": "mine" for number in range(own)}
    plain = pod({"pod": {"spec": {"containers": [{"name": "c", "image": "busybox"}]}}})
    assert plain.resolution is not None
    [container] = plain.containers
    full = attrs.evolve(container, env={**links, **mine}, service_env=frozenset(links))
    resolution = attrs.evolve(plain.resolution, containers=(full,))
    return group_parameters(
        attrs.evolve(plain, resolution=resolution),
        config=config(),
        profile=Profile(),
        identity=IDENTITY,
        attempt=0,
    )


def names(result: Any) -> list[str]:
    return [one["Key"] for one in result.parameters["Container"][0]["EnvironmentVar"]]


def test_services_are_left_out_where_they_do_not_fit_and_one_note_says_how_to_avoid_it() -> None:
    result = planned(40)
    assert names(result) == ["OWN_0"]
    [note] = result.notes
    assert "280 variables" in note
    assert "enableServiceLinks: false" in note


def test_services_that_fit_stay() -> None:
    result = planned(30)
    assert len(names(result)) == 211
    assert result.notes == ()


def test_too_many_variables_of_the_pod_itself_are_refused() -> None:
    with pytest.raises(vk.InvalidInputError, match="variables"):
        planned(40, own=241)
