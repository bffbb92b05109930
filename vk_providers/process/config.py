"""The process provider's configuration: ``--provider-config``, ``--set`` and the environment.

``images`` maps image names to commands and root folders of this machine; see `images`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from typing import Any, Literal

import attrs

import vk

__all__ = ["Image", "ProcessConfig"]

_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|[MGTPE]|[KMGTPE]i|[eE]\d+)?", re.ASCII)
_BRIDGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}", re.ASCII)
_LARGEST_PREFIX = 29


def _check_quantity(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if value and not _QUANTITY.fullmatch(value):
        expected = 'a quantity such as "20" or "8Gi"'
        raise vk.ConfigError(f"{attribute.name}: expected {expected}, found {value!r}")


def _check_others(_: Any, attribute: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    for name, quantity in value.items():
        if not _QUANTITY.fullmatch(str(quantity)):
            expected = 'a quantity such as "20" or "8Gi"'
            raise vk.ConfigError(f"others.{name}: expected {expected}, found {quantity!r}")


def _check_folder(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if value and not Path(value).is_absolute():
        raise vk.ConfigError(f"{attribute.name}: expected an absolute path, found {value!r}")


def _check_network(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    try:
        fits = IPv4Network(value).prefixlen <= _LARGEST_PREFIX
    except ValueError:
        fits = False
    if not fits:
        expected = f'an IPv4 range of /{_LARGEST_PREFIX} or wider, such as "10.88.0.0/16"'
        raise vk.ConfigError(f"{attribute.name}: expected {expected}, found {value!r}")


def _check_address(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    try:
        if value:
            ip_address(value)
    except ValueError:
        raise vk.ConfigError(f"{attribute.name}: expected an address, found {value!r}") from None


def _check_bridge(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if not _BRIDGE.fullmatch(value):
        expected = "the name of a network interface, 15 characters at most"
        raise vk.ConfigError(f"{attribute.name}: expected {expected}, found {value!r}")


def _at_least(least: int) -> Any:
    def check(_: Any, attribute: attrs.Attribute[int], value: int) -> None:
        if value < least:
            raise vk.ConfigError(f"{attribute.name}: expected {least} or more, found {value}")

    return check


def _quantity(default: str) -> str:
    return attrs.field(default=default, converter=str, validator=_check_quantity)


@attrs.frozen(kw_only=True)
class Image:
    """The mapping of an image name. All fields are optional."""

    root: str = attrs.field(default="/", validator=_check_folder)
    """Root folder of the container, read-only; other than ``/`` needs bubblewrap."""
    entrypoint: tuple[str, ...] = ()
    """Used where the container has no ``command``."""
    command: tuple[str, ...] = ()
    """Used where the container has neither ``args`` nor ``command``."""
    env: Mapping[str, str] = attrs.field(factory=dict)
    user: str = ""
    """``USER`` or ``USER:GROUP``, as numbers or as names of the root folder's files."""
    working_dir: str = ""


@attrs.frozen(kw_only=True)
class ProcessConfig:
    """The configuration of the provider `process`."""

    state: str = attrs.field(default="", validator=_check_folder)
    """State folder: logs, volumes and sockets of pods; empty: see `folder`."""
    images: Mapping[str, Image] = attrs.field(factory=dict)
    """By image name; ``*`` is a wildcard, and a name without a tag matches every tag."""
    isolation: Literal["auto", "bubblewrap", "none"] = attrs.field(
        default="auto", validator=attrs.validators.in_(("auto", "bubblewrap", "none"))
    )
    """``auto``: bubblewrap where it is installed and permitted."""
    network: Literal["host", "namespace"] = attrs.field(
        default="host", validator=attrs.validators.in_(("host", "namespace"))
    )
    """``namespace``: each pod has its own; needs root and iproute2."""
    pod_cidr: str = attrs.field(default="10.88.0.0/16", validator=_check_network)
    """The network of the pods; its first address is the bridge's."""
    bridge: str = attrs.field(default="vk0", validator=_check_bridge)
    """The bridge of the pods; each node needs its own."""
    address: str = attrs.field(default="", validator=_check_address)
    """Host address; empty: the source address of the default route."""
    log_size: int = attrs.field(default=10 * 1024 * 1024, validator=_at_least(1024))
    """Bytes of a container's log file before it is rotated."""
    log_files: int = attrs.field(default=5, validator=_at_least(1))
    """Log files to keep for each run of a container."""
    cpu: str = _quantity("")
    """Capacity of the node; empty: that of the machine."""
    memory: str = _quantity("")
    """Memory that the node offers; empty: that of the machine."""
    pods: str = _quantity("110")
    """Pods that the node takes at once."""
    others: Mapping[str, str] = attrs.field(factory=dict, validator=_check_others)
    """Other resources, such as ``example.com/licence``; ``ephemeral-storage`` is the disk's."""

    @property
    def folder(self) -> Path:
        """The state folder; by default root's is below /var/lib, another user's below its home."""
        if self.state:
            return Path(self.state)
        if os.geteuid() == 0:
            return Path("/var/lib/vk-process")
        state = os.environ.get("XDG_STATE_HOME", "")
        return (Path(state) if Path(state).is_absolute() else Path.home() / ".local/state") / (
            "vk-process"
        )
