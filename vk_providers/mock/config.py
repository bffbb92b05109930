"""The mock provider's configuration, and the JSON file of the Go program's mock provider.

That file maps node names to ``cpu``, ``memory``, ``pods``, ``others`` and ``providerID``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import attrs

import vk
from vk_providers.mock.scenario import Scenario, parse

__all__ = ["MockConfig"]

_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|[MGTPE]|[KMGTPE]i|[eE]\d+)?", re.ASCII)
_STORAGE = "1Ti"
"""Ephemeral storage where ``others`` has none: a pod that asks for some is to fit."""
_UPSTREAM = {
    "cpu": "cpu",
    "memory": "memory",
    "pods": "pods",
    "others": "others",
    "providerID": "provider_id",
}


def _quantity(name: str, text: str) -> None:
    if not _QUANTITY.fullmatch(text):
        raise vk.ConfigError(f'{name}: expected a quantity such as "20" or "8Gi", found {text!r}')


def _check_quantity(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    _quantity(attribute.name, value)


def _check_others(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, Mapping):
        raise vk.ConfigError(f"others: expected resource names with quantities, found {value!r}")
    for name, quantity in value.items():
        _quantity(f"others.{name}", str(quantity))


def _check_setting(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if value:
        try:
            parse(attribute.name.replace("_", "-"), value)
        except ValueError as error:
            raise vk.ConfigError(f"{attribute.name}: expected {error}, found {value!r}") from None


def _check_network(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    try:
        ip_network(value, strict=False)
    except ValueError:
        expected = 'an address range such as "10.200.0.0/16"'
        raise vk.ConfigError(f"pod_cidr: expected {expected}, found {value!r}") from None


def _capacity(default: str) -> str:
    return attrs.field(default=default, converter=str, validator=_check_quantity)


def _setting() -> str:
    return attrs.field(default="", converter=str, validator=_check_setting)


@attrs.frozen(kw_only=True, slots=False)  # cached properties are worth more than the slots
class MockConfig:
    """The node's capacity, and the default scenario of pods.

    The fields from ``start_delay`` on are the defaults of the annotations ``mock.vk/...``, in the
    same notation; empty: not set.
    """

    cpu: str = _capacity("20")
    """CPUs that the node offers."""
    memory: str = _capacity("100Gi")
    """Memory that the node offers."""
    pods: str = _capacity("1000")
    """Pods that the node takes at once."""
    others: Mapping[str, str] = attrs.field(factory=dict, validator=_check_others)
    """Other resources, such as ``nvidia.com/gpu`` or ``ephemeral-storage``."""
    provider_id: str = ""
    """``spec.providerID`` of the Node; empty: none."""
    pod_cidr: str = attrs.field(default="10.200.0.0/16", validator=_check_network)
    """The network whose addresses the pods show."""
    state: str = ""
    """Path of the state file that keeps pods across restarts; empty: pods end with the process."""
    start_delay: str = _setting()
    """How long a pod waits before its containers start, such as ``2s``."""
    run_for: str = _setting()
    """How long the containers run before they end; empty: until the pod is deleted."""
    exit_code: str = _setting()
    """The exit code with which containers end; empty: 0."""
    crash_loop: str = _setting()
    """``true``: containers end with an error and wait for their next start in CrashLoopBackOff."""
    fail_create: str = _setting()
    """The reason for which creates fail, such as ``OutOfStock``; empty: they succeed."""
    fail_create_times: str = _setting()
    """How many creates of a pod fail before one succeeds; empty: all of them."""
    ready_after: str = _setting()
    """How long a container that has started is not ready."""
    restart_every: str = _setting()
    """How long a container runs before it restarts."""
    lost_after: str = _setting()
    """How long a pod runs before the backend has lost it."""
    log_line: str = _setting()
    """The line that a container writes to its log each second."""

    @classmethod
    def from_file(cls, data: Mapping[str, Any], node_name: str) -> dict[str, Any]:
        """Return the settings of ``node_name`` in a configuration file, by field name.

        A file of the Go program's mock contains only nodes; any other file is returned unchanged.
        Raises ConfigError where such a file lacks the node or has an unknown key.
        """
        ours = {field.name for field in attrs.fields(cls)}
        nodes = all(isinstance(value, Mapping) for value in data.values())
        if not data or not nodes or ours & data.keys():
            return dict(data)
        if node_name not in data:
            raise vk.ConfigError(f"no node {node_name!r}: expected one of {', '.join(data)}")
        found = {"pods": "20"}  # the default there
        for key, value in data[node_name].items():
            if key not in _UPSTREAM:
                expected = ", ".join(_UPSTREAM)
                raise vk.ConfigError(f"{node_name}.{key}: unknown key, expected one of {expected}")
            found[_UPSTREAM[key]] = value
        return found

    @property
    def capacity(self) -> dict[str, str]:
        """All resources of the node."""
        others = {name: str(quantity) for name, quantity in self.others.items()}
        own = {"cpu": self.cpu, "memory": self.memory, "pods": self.pods}
        return {**own, "ephemeral-storage": _STORAGE, **others}

    @property
    def network(self) -> IPv4Network | IPv6Network:
        """The network of the pods."""
        return ip_network(self.pod_cidr, strict=False)

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario of a pod without annotations."""
        names = {field.name for field in attrs.fields(Scenario)}
        texts = {name: getattr(self, name) for name in names}
        return Scenario(
            **{name: parse(name.replace("_", "-"), text) for name, text in texts.items() if text}
        )
