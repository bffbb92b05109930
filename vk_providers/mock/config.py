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
    memory: str = _capacity("100Gi")
    pods: str = _capacity("1000")
    others: Mapping[str, str] = attrs.field(factory=dict, validator=_check_others)
    """Other resources, such as ``nvidia.com/gpu``."""
    provider_id: str = ""
    pod_cidr: str = attrs.field(default="10.200.0.0/16", validator=_check_network)
    state: str = ""
    """Path of the state file that keeps pods across restarts; empty: pods end with the process."""
    start_delay: str = _setting()
    run_for: str = _setting()
    exit_code: str = _setting()
    crash_loop: str = _setting()
    fail_create: str = _setting()
    fail_create_times: str = _setting()
    ready_after: str = _setting()
    restart_every: str = _setting()
    lost_after: str = _setting()
    log_line: str = _setting()

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
        return {"cpu": self.cpu, "memory": self.memory, "pods": self.pods, **others}

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
