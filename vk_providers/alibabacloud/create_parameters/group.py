"""The parameters of CreateContainerGroup for a pod. Pure.

In: the resolved pod, the configuration, the identity of the node, and the number of the attempt.
Out: `GroupParameters`, or an InvalidInputError that lists all errors at once. Fields that ECI does
not support and that are ignored are in ``GroupParameters.notes``.

The order of vSwitches and sizes is rotated by the attempt: each attempt starts with the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import attrs

import vk
from vk_providers.alibabacloud.config import EciConfig, Profile
from vk_providers.alibabacloud.create_parameters.annotations import (
    PREFIX,
    AnnotationParameters,
    annotation_parameters,
)
from vk_providers.alibabacloud.create_parameters.containers import (
    GPU,
    PodContext,
    amount,
    container_parameters,
    init_parameters,
    service_variables_left_out,
)
from vk_providers.alibabacloud.create_parameters.field_errors import FieldErrors
from vk_providers.alibabacloud.create_parameters.network import hosts, resolver, sysctls
from vk_providers.alibabacloud.create_parameters.registries import acr_registries, credentials_for
from vk_providers.alibabacloud.create_parameters.sizes import LARGEST, InstanceSize, choose_size
from vk_providers.alibabacloud.create_parameters.volumes import volume_parameters
from vk_providers.alibabacloud.fields import notes_on
from vk_providers.alibabacloud.tags import LABEL, MOST_TAGS, NodeIdentity, group_name, label_tags

__all__ = ["GroupParameters", "group_parameters"]

_T = TypeVar("_T")
_MOST_CONTAINERS = 20
_MOST_VOLUMES = 20
_LONGEST_HOSTNAME = 63
_BASE_STORAGE = 30
_GIB = 1 << 30
_PRIVILEGED = "privileged"


@attrs.frozen
class GroupParameters:
    """Parameters; ``size`` None: by instance types. ``notes``: what ECI ignores."""

    parameters: Mapping[str, Any] = attrs.field(repr=False)  # contains secrets
    size: InstanceSize | None
    notes: tuple[str, ...] = ()


def group_parameters(
    pod: vk.Pod, *, config: EciConfig, profile: Profile, identity: NodeIdentity, attempt: int
) -> GroupParameters:
    """Return the parameters for an ``attempt`` of ``pod``. Raises InvalidInputError."""
    problems = FieldErrors()
    annotations = {**profile.annotations, **pod.annotations}
    allowed = _allowed(config, pod.key.namespace, profile)
    wished = annotation_parameters(annotations, allowed, problems)
    asked = dict(wished.parameters)
    tags = _tags(identity.tags(pod.key, attempt)) + asked.pop("Tag", [])
    problems.at_most("metadata.annotations", len(tags), MOST_TAGS, "tags")
    labels = label_tags(pod.labels, others=len(tags))
    parameters: dict[str, Any] = {
        "ContainerGroupName": group_name(pod.key, stable=bool(asked.get("FixedIp"))),
        "ClientToken": identity.token(pod.key.uid, attempt),
        **_placement(config, profile, asked, attempt),
        "RestartPolicy": pod.restart_policy,
        "TerminationGracePeriodSeconds": int(pod.grace_period),
        "ActiveDeadlineSeconds": pod.spec.get("activeDeadlineSeconds"),
        "HostName": (pod.spec.get("hostname") or pod.key.name)[:_LONGEST_HOSTNAME].rstrip("-."),
        "ShareProcessNamespace": pod.spec.get("shareProcessNamespace") or None,
        "CpuArchitecture": "ARM64" if config.architecture == "arm64" else None,
        **resolver(pod),
        **sysctls(pod, allowed, problems),
        "HostAliase": hosts(pod),
        "ImageRegistryCredential": credentials_for(pod, problems),
        **_contents(pod, allowed, config, problems),
        "EphemeralStorage": _extra_storage(pod),
    }
    size = _size(pod, wished, config, problems)
    if size is not None:
        parameters |= {"Cpu": f"{size.cpu:f}", "Memory": f"{size.memory:f}"}
    parameters |= _merged(parameters, _at_attempt(asked, annotations, attempt))
    parameters["AcrRegistryInfo"] = acr_registries(parameters)
    parameters.pop("AcrArns", None)
    parameters["InstanceType"] = _types(wished, attempt)
    parameters["Tag"] = tags + _tags(labels)
    problems.finish()
    untagged = [f"the label {name}" for name in pod.labels if f"{LABEL}{name}" not in labels]
    notes = (*notes_on(pod), *untagged, *_services_left_out(pod))
    return GroupParameters(parameters, size, notes)


def _services_left_out(pod: vk.Pod) -> Iterator[str]:
    count = len(
        frozenset().union(*map(service_variables_left_out, (*pod.containers, *pod.init_containers)))
    )
    if count:
        yield (
            f"the {count} variables of the namespace's Services, with which a container has more "
            "than 240 (enableServiceLinks: false in the pod's spec switches them off)"
        )


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]


def _allowed(config: EciConfig, namespace: str, profile: Profile) -> frozenset[str]:
    """Return the permitted annotations: for the namespace, and those of the profile."""
    names = {*config.allow.get("*", ()), *config.allow.get(namespace, ()), *profile.annotations}
    return frozenset(name.removeprefix(PREFIX) for name in names)


def _placement(
    config: EciConfig, profile: Profile, asked: Mapping[str, Any], attempt: int
) -> dict[str, Any]:
    switches = _rotated(profile.vswitches or config.vswitches, attempt)
    if "VSwitchId" in asked:
        switches = _rotated(asked["VSwitchId"].split(","), attempt)
    return {
        "VSwitchId": ",".join(switches),
        "ScheduleStrategy": "VSwitchOrdered" if len(switches) > 1 else None,
        "SecurityGroupId": profile.security_group or config.security_group,
        "ResourceGroupId": profile.resource_group or config.resource_group or None,
    }


def _rotated(items: Sequence[_T], attempt: int) -> list[_T]:
    first = attempt % len(items) if items else 0
    return [*items[first:], *items[:first]]


def _at_attempt(
    asked: Mapping[str, Any], annotations: Mapping[str, str], attempt: int
) -> dict[str, Any]:
    """Return the annotations' parameters; with spot-fallback without spot after attempt 0."""
    left = {name: value for name, value in asked.items() if name != "VSwitchId"}
    if attempt and annotations.get(f"{PREFIX}eci-spot-fallback") == "true":
        for name in ("SpotStrategy", "SpotPriceLimit", "SpotDuration"):
            left.pop(name, None)
    return left


def _merged(parameters: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``asked`` merged with the pod's lists and structures."""
    result: dict[str, Any] = {}
    for name, value in asked.items():
        before = parameters.get(name)
        if isinstance(before, list) and isinstance(value, list):
            result[name] = before + value
        elif name == "HostSecurityContext" and isinstance(before, Mapping):
            result[name] = {"Sysctl": [*before.get("Sysctl", ()), *value["Sysctl"]]}
        else:
            result[name] = value
    return result


def _types(wished: AnnotationParameters, attempt: int) -> str | None:
    if not wished.specs or "Cpu" in wished.parameters:
        return None
    return ",".join(_rotated(wished.specs, attempt))


def _contents(
    pod: vk.Pod, allowed: frozenset[str], config: EciConfig, problems: FieldErrors
) -> dict[str, Any]:
    """Return containers, init containers and volumes; native sidecars become containers."""
    context = pod.spec.get("securityContext") or {}
    privileged = _PRIVILEGED in allowed
    sidecars: list[dict[str, Any]] = []
    inits: list[dict[str, Any]] = []
    ordinary = PodContext(
        pod_context=context,
        privileged=privileged,
        refuses_init_secrets=config.init_secrets == "refuse",
    )
    for index, container in enumerate(pod.init_containers):
        path = f"spec.initContainers[{index}]"
        if container.raw.get("restartPolicy") == "Always":
            placement = PodContext(
                pod_context=context,
                privileged=privileged,
                sidecar=True,
                priority=1000 - len(sidecars),
            )
            sidecars.append(container_parameters(container, path, placement, problems))
            continue
        if sidecars:
            problems.add(path, "ECI runs every init container before the first sidecar")
        inits.append(init_parameters(container, path, ordinary, problems))
    containers = [
        container_parameters(container, f"spec.containers[{index}]", ordinary, problems)
        for index, container in enumerate(pod.containers)
    ]
    count = len(sidecars) + len(inits) + len(containers)
    problems.at_most("spec.containers", count, _MOST_CONTAINERS, "containers of all kinds")
    problems.at_most("spec.volumes", len(pod.volumes), _MOST_VOLUMES, "volumes")
    volumes = [
        volume_parameters(pod, name, f"spec.volumes[{index}]", problems)
        for index, name in enumerate(pod.volumes)
    ]
    return {"Container": containers + sidecars, "InitContainer": inits, "Volume": volumes}


def _size(
    pod: vk.Pod, wished: AnnotationParameters, config: EciConfig, problems: FieldErrors
) -> InstanceSize | None:
    """Return the size of the group: by annotation, or the sum over its containers."""
    if wished.specs:
        given = wished.parameters
        return (
            InstanceSize(Decimal(given["Cpu"]), Decimal(given["Memory"]))
            if "Cpu" in given
            else None
        )
    if any(amount(container.raw, GPU) for container in pod.containers):
        problems.add("spec.containers[].resources", f"a GPU needs a type in {PREFIX}eci-use-specs")
    cpu, memory = (_total(pod, resource) for resource in ("cpu", "memory"))
    spot = wished.parameters.get("SpotStrategy", "NoSpot") != "NoSpot"
    size = choose_size(cpu, memory, region=config.region, spot=spot)
    if size is None:
        kind = " for spot" if spot else ""
        text = f"ECI has no size{kind} of {cpu:.2f} vCPU with {memory / _GIB:.2f} GiB"
        problems.add("spec.containers[].resources", f"{text}, {LARGEST} with 512 is the largest")
    return size


def _total(pod: vk.Pod, resource: str) -> Decimal:
    """Return the effective request: all containers together, or the largest init container."""
    own = amount(pod.spec, resource)  # pod-level resources take precedence
    if own:
        return own
    running = [one.raw for one in pod.containers]
    running += [one.raw for one in pod.init_containers if _is_sidecar(one.raw)]
    first = [one.raw for one in pod.init_containers if not _is_sidecar(one.raw)]
    together = sum((amount(raw, resource) for raw in running if not _is_ignored(raw)), Decimal(0))
    return max([together, *(amount(raw, resource) for raw in first)])


def _is_sidecar(raw: Mapping[str, Any]) -> bool:
    return raw.get("restartPolicy") == "Always"


def _is_ignored(raw: Mapping[str, Any]) -> bool:
    """Return whether the container is excluded from the size (__ECI_RESOURCE_IGNORE__)."""
    return any(_ignores(one) for one in raw.get("env") or ())


def _ignores(variable: Mapping[str, Any]) -> bool:
    name, value = variable.get("name"), variable.get("value")
    return name == "__ECI_RESOURCE_IGNORE__" and str(value).upper() == "TRUE"


def _extra_storage(pod: vk.Pod) -> int | None:
    """Return the GiB beyond those included in every group; None for none."""
    total = sum(_storages(pod), Decimal(0)) / _GIB
    extra = -int((_BASE_STORAGE - total) // 1) if total > _BASE_STORAGE else 0
    return extra or None


def _storages(pod: vk.Pod) -> Iterator[Decimal]:
    for container in pod.containers:
        yield amount(container.raw, "ephemeral-storage")
