"""Each request that the provider sends for a pod has only what the vendor describes.

Beside the pods of the golden files as they are: each with its fields in an init container, with its
probes exchanged, and with its hooks exchanged.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from eci_world import IDENTITY, config, pod
from test_eci_golden import NAMES, planned, read

import vk
from vk_providers.alibabacloud.config import Profile
from vk_providers.alibabacloud.create_parameters.group import group_parameters
from vk_providers.alibabacloud.emulator.create import check
from vk_providers.alibabacloud.emulator.parameters import schema
from vk_providers.alibabacloud.emulator.schema import parse
from vk_providers.alibabacloud.emulator.sizes import size_of
from vk_providers.alibabacloud.groups import just_created
from vk_providers.alibabacloud.requests import flatten
from vk_providers.alibabacloud.update_parameters import image_update

Case = dict[str, Any]
CREATE, UPDATE = schema("CreateContainerGroup"), schema("UpdateContainerGroup")
ACCEPTED = [name for name in NAMES if "request" in read(name)]
NOT_IN_INIT = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
"""Fields that the API server refuses in an init container."""


def as_init_container(case: Case) -> Case:
    """Give the pod an init container with the fields of its first container."""
    spec = case["pod"]["spec"]
    first = {key: one for key, one in spec["containers"][0].items() if key not in NOT_IN_INIT}
    spec["initContainers"] = [*spec.get("initContainers", ()), {**first, "name": "moved"}]
    for name in ("env", "open_env"):
        if (found := case.get(name, {}).get(first["name"])) is not None:
            case[name]["moved"] = found
    return case


def with_probes_exchanged(case: Case) -> Case:
    """Make liveness probes readiness probes, and the other way round."""
    for container in case["pod"]["spec"]["containers"]:
        probes = container.pop("livenessProbe", None), container.pop("readinessProbe", None)
        for name, probe in zip(("readinessProbe", "livenessProbe"), probes, strict=True):
            if probe is not None:
                container[name] = {**probe, "successThreshold": 1}
    return case


def with_hooks_exchanged(case: Case) -> Case:
    """Run what was to run before the stop after the start, and the other way round."""
    for container in case["pod"]["spec"]["containers"]:
        hooks = container.get("lifecycle", {})
        exchanged = {"preStop": hooks.get("postStart"), "postStart": hooks.get("preStop")}
        if hooks:
            container["lifecycle"] = {name: hook for name, hook in exchanged.items() if hook}
    return case


def as_it_is(case: Case) -> Case:
    return case


CHANGES = (as_it_is, as_init_container, with_probes_exchanged, with_hooks_exchanged)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("name", ACCEPTED)
def test_a_pod_becomes_a_request_that_the_service_takes(
    name: str, change: Callable[[Case], Case]
) -> None:
    case = change(copy.deepcopy(read(name)))
    try:
        request = planned(case)
    except vk.InvalidInputError:
        assert change is as_init_container  # a field that is refused there, with its name
        return
    tree = parse(CREATE, request)
    check(tree)
    assert size_of(tree, "cn-hangzhou").cpu > 0


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_changed_image_becomes_an_update_that_the_service_takes(name: str) -> None:
    case = read(name)
    wanted = group_parameters(
        pod(case),
        config=config(**case.get("config", {})),
        profile=Profile(**case.get("profile", {})),
        identity=IDENTITY,
        attempt=0,
    ).parameters
    group = just_created("eci-a", pod(case).key, 0)
    update = image_update(wanted, group)
    assert update is not None
    tree = parse(UPDATE, flatten(update))
    assert tree["UpdateType"] == "IncrementalUpdate"
    names = [one["Name"] for one in wanted["Container"]]
    assert [one["Name"] for one in tree["Container"]] == names


def test_only_the_container_whose_image_differs_is_named() -> None:
    row = {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:1"}]}
    group = attrs.evolve(just_created("eci-a", pod(read("plain")).key, 0), raw=row)
    wanted = {"Container": [{"Name": "a", "Image": "x:1"}, {"Name": "b", "Image": "y:2"}]}
    update = image_update(wanted, group)
    assert update is not None
    assert update["Container"] == [{"Name": "b", "Image": "y:2"}]
    assert "InitContainer" not in update
    wanted["Container"][1]["Image"] = "y:1"
    assert image_update(wanted, group) is None


def test_hardening_that_is_left_out_of_an_init_container_is_noted() -> None:
    case = read("init-hardening")
    result = group_parameters(
        pod(case), config=config(), profile=Profile(), identity=IDENTITY, attempt=0
    )
    assert result.notes == (
        "spec.initContainers[].securityContext.runAsGroup",
        "spec.initContainers[].securityContext.runAsNonRoot",
        "spec.initContainers[].env (values from Secrets are not hidden)",
    )
