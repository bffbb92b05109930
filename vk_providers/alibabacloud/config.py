"""The provider's configuration: ``--provider-config``, ``--set`` and the environment.

Every field is optional: empty ones are read from the instance's metadata (`service`). Each plain
field can be set by a variable too, ``ECI_`` and its name in capitals, except for names that the Go
provider of 2018 defined differently; its TOML keys are accepted as well (`from_file`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs

import vk

__all__ = ["EciConfig", "Profile"]

_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|[MGTPE]|[KMGTPE]i|[eE]\d+)?", re.ASCII)
_GO_KEYS = {
    "Region": "region",
    "OperatingSystem": "operating_system",
    "CPU": "cpu",
    "Memory": "memory",
    "Pods": "pods",
    "VSwitch": "vswitches",
    "SecureGroup": "security_group",
    "ClusterName": "cluster_name",
}
_MOST_VSWITCHES = 10


def _names(value: Any) -> tuple[str, ...]:
    """Return a list as a tuple; the manifest of 2018 has a comma-separated string."""
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return tuple(value)


def _refuse(name: str, expected: str, found: object) -> vk.ConfigError:
    return vk.ConfigError(f"{name}: expected {expected}, found {found!r}")


def _check_quantity(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if value and not _QUANTITY.fullmatch(value):
        raise _refuse(attribute.name, 'a quantity such as "20" or "8Gi"', value)


def _check_url(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    parts = urlsplit(value)
    usable = parts.scheme in ("http", "https") and parts.hostname and not parts.path.strip("/")
    if value and (not usable or parts.username or parts.query):
        raise vk.ConfigError(f"{attribute.name}: expected a URL such as https://eci.example.com")


def _check_above_zero(_: Any, attribute: attrs.Attribute[float], value: float) -> None:
    if not value > 0:
        raise _refuse(attribute.name, "a number above 0", value)


def _check_share(_: Any, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value <= 1:
        raise _refuse(attribute.name, "a number above 0, at most 1", value)


def _check_system(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if value.lower() != "linux":
        raise _refuse(attribute.name, "Linux", value)


def _check_vswitches(_: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if len(value) > _MOST_VSWITCHES:
        raise _refuse(attribute.name, f"{_MOST_VSWITCHES} vSwitches at most", len(value))


def _check_texts(_: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    pairs = value.items() if isinstance(value, Mapping) else [(None, None)]
    if not all(isinstance(one, str) for pair in pairs for one in pair):
        raise _refuse(attribute.name, 'strings by name, with quotes as in "true"', value)


def _check_selector(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    try:
        vk.parse_label_selector(value or "")
    except (TypeError, ValueError):
        raise _refuse(attribute.name, "a label selector such as app=web", value) from None


def _text(variable: str, **more: Any) -> str:
    more.setdefault("default", "")
    field: str = attrs.field(metadata={"env": variable}, **more)
    return field


def _list(variable: str, **more: Any) -> tuple[str, ...]:
    return attrs.field(default=(), converter=_names, metadata={"env": variable}, **more)  # type: ignore[no-any-return] # as above


def _number(variable: str, default: float, check: Any = _check_above_zero) -> float:
    return attrs.field(default=default, validator=check, metadata={"env": variable})


def _check_others(_: Any, attribute: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    for name, quantity in value.items():
        if not _QUANTITY.fullmatch(str(quantity)):
            expected = 'a quantity such as "20" or "8Gi"'
            raise vk.ConfigError(f"others.{name}: expected {expected}, found {quantity!r}")


def _quantity(variable: str) -> str:
    return attrs.field(
        default="", converter=str, validator=_check_quantity, metadata={"env": variable}
    )


@attrs.frozen(kw_only=True)
class Profile:
    """Settings for some pods only. The first profile that matches a pod is used."""

    name: str = ""
    namespaces: tuple[str, ...] = attrs.field(default=(), converter=_names)
    """Namespaces of the pods that it applies to; empty: all."""
    selector: str = attrs.field(default="", validator=_check_selector)
    """Label selector of its pods, such as ``app=web,tier!=test``; empty: all."""
    vswitches: tuple[str, ...] = attrs.field(
        default=(), converter=_names, validator=_check_vswitches
    )
    security_group: str = ""
    resource_group: str = ""
    annotations: Mapping[str, str] = attrs.field(factory=dict, validator=_check_texts)
    """Defaults for annotations that a pod does not have."""


@attrs.frozen(kw_only=True)
class EciConfig:
    """The configuration of the provider `alibabacloud`."""

    region: str = _text("ECI_REGION")
    """The region of the account's groups, such as ``cn-hangzhou``."""
    zone: str = _text("ECI_ZONE")
    """A label of the node; the zone of a group is that of its vSwitch."""
    vswitches: tuple[str, ...] = _list("ECI_VSWITCH", validator=_check_vswitches)
    """vSwitches, comma-separated, also of several zones; tried in this order."""
    security_group: str = _text("ECI_SECURITY_GROUP")
    """ID of the security group of the pods' network interfaces."""
    resource_group: str = _text("ECI_RESOURCE_GROUP")
    """ID of the resource group of new groups; empty: the account's default one."""
    access_key: str = _text("ECI_ACCESS_KEY", repr=False)
    """With ``secret_key`` the first credentials that are tried; empty: see `credentials`."""
    secret_key: str = _text("ECI_SECRET_KEY", repr=False)
    """The secret of ``access_key``."""
    security_token: str = _text("ECI_SECURITY_TOKEN", repr=False)
    """The STS token of a temporary ``access_key``; empty: it is none."""
    cluster_name: str = _text("ECI_CLUSTER_NAME")
    """A display name, stored in a tag; clusters are distinguished by their UID."""
    operating_system: str = _text("ECI_OPERATING_SYSTEM", default="Linux", validator=_check_system)
    """The operating system of the pods, which the Node shows."""
    architecture: Literal["amd64", "arm64"] = attrs.field(
        default="amd64",
        validator=attrs.validators.in_(("amd64", "arm64")),
        metadata={"env": "ECI_ARCHITECTURE"},
    )
    """The processor architecture of the pods, which the Node shows."""
    cpu: str = _quantity("ECI_QUOTA_CPU")
    """Capacity of the node; empty: the account's quota."""
    memory: str = _quantity("ECI_QUOTA_MEMORY")
    """Memory that the node offers; empty: 8 GiB for each CPU."""
    pods: str = _quantity("ECI_QUOTA_POD")
    """Pods that the node takes at once."""
    others: Mapping[str, str] = attrs.field(factory=dict, validator=_check_others)
    """Other resources, such as ``nvidia.com/gpu``; ``ephemeral-storage`` is 30 GiB for each pod."""
    provider_id: str = _text("ECI_PROVIDER_ID")
    """``spec.providerID`` of the Node; empty: none."""
    endpoint: str = _text("ECI_ENDPOINT", validator=_check_url)
    """URL of the service; empty: the region's."""
    network: Literal["public", "vpc"] = attrs.field(
        default="public",
        validator=attrs.validators.in_(("public", "vpc")),
        metadata={"env": "ECI_NETWORK"},
    )
    """Whether the region's endpoints are those of the internet or of a VPC."""
    sts_endpoint: str = _text("ECI_STS_ENDPOINT", validator=_check_url)
    """URL of the Security Token Service; empty: the region's."""
    vpc_endpoint: str = _text("ECI_VPC_ENDPOINT", validator=_check_url)
    """URL of the API of VPCs; empty: the region's."""
    ecs_endpoint: str = _text("ECI_ECS_ENDPOINT", validator=_check_url)
    """URL of the API of ECS; empty: the region's."""
    metadata_endpoint: str = _text(
        "ECI_METADATA_ENDPOINT", default="http://100.100.100.200", validator=_check_url
    )
    """URL of the metadata service of an ECS instance, which gives a RAM role's credentials."""
    quota_share: float = _number("ECI_QUOTA_SHARE", 0.5, _check_share)
    """Share of the account's API rate limits that this node uses."""
    poll: float = _number("ECI_POLL", 3.0)
    """Seconds between two polls while groups change."""
    list_lag: float = _number("ECI_LIST_LAG", 30.0)
    """Seconds for which a new group may be missing from an answer."""
    max_pending: float = _number("ECI_MAX_PENDING", 3600.0)
    """Seconds that a group may stay Pending, which is billed, before it is deleted."""
    exec_exit_code: Literal["service", "wrap"] = attrs.field(
        default="service",
        validator=attrs.validators.in_(("service", "wrap")),
        metadata={"env": "ECI_EXEC_EXIT_CODE"},
    )
    """``wrap``: commands run in ``/bin/sh``, which prints their exit code."""
    init_secrets: Literal["send", "refuse"] = attrs.field(
        default="send",
        validator=attrs.validators.in_(("send", "refuse")),
        metadata={"env": "ECI_INIT_SECRETS"},
    )
    """Variables of init containers from Secrets, which ECI cannot hide from who may describe."""
    price: bool = attrs.field(default=True, metadata={"env": "ECI_PRICE"})
    """Whether the hourly price of a group is queried and set as an annotation of the pod."""
    allow: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    """Privileged annotations that pods may use, by namespace (``*``: any)."""
    profiles: tuple[Profile, ...] = ()
    """Annotations and settings for pods that a selector chooses; the first that fits holds."""
    profiles_file: str = _text("ECI_PROFILES_FILE")
    """YAML or JSON file with ``profiles`` that take precedence; reloaded when it changes."""

    @classmethod
    def from_file(cls, data: Mapping[str, Any], node_name: str) -> dict[str, Any]:
        """Return the settings of a file by field name; also reads the keys of the Go provider."""
        found = {_GO_KEYS.get(key, key): value for key, value in data.items()}
        if isinstance(data.get("VSwitch"), str):
            found["vswitches"] = _names(data["VSwitch"])
        return found
