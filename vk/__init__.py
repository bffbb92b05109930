"""vk turns anything able to run a pod into a Kubernetes node.

The public names are loaded on first use (PEP 562), so that importing vk costs nothing and loads no
controller and no network code.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vk._version import __version__ as __version__
    from vk.aio.latest import Latest
    from vk.errors import (
        ClusterError,
        ConfigError,
        InvalidInputError,
        NotFoundError,
        PermanentError,
        PluginError,
        ProviderError,
        TemporaryError,
        UnsupportedError,
        VkError,
    )
    from vk.fields import FieldTable
    from vk.hookspecs import Register, hookimpl
    from vk.kubelet import VirtualKubelet
    from vk.log_lines import LineFilter, filter_lines
    from vk.models.check import Check
    from vk.models.files import File, FileTree, RegistryCredential
    from vk.models.keys import ContainerKey, PodKey
    from vk.models.logs import LogOptions
    from vk.models.node import Address, NodeInfo, Taint
    from vk.models.pod import DNS, Container, HostAlias, Pod
    from vk.models.stats import NodeStats, PodStats, Usage
    from vk.models.status import (
        Condition,
        ContainerState,
        ContainerStatus,
        Gone,
        PodChange,
        PodStatus,
        Running,
        Terminated,
        Unplaced,
        Waiting,
    )
    from vk.models.volumes import CSI, NFS, EmptyDir, HostPath, ImageSource, Volume, VolumeSource
    from vk.mounts import files_below, sub_path
    from vk.provider import API_VERSION, Provider, ProviderContext
    from vk.settings import Settings
    from vk.streams import ByteReader, ByteStream, ByteWriter, ExecIO, TerminalSize
    from vk.volume_folder import write_files

_HOMES = {
    "vk._version": ("__version__",),
    "vk.aio.latest": ("Latest",),
    "vk.errors": (
        "ClusterError",
        "ConfigError",
        "InvalidInputError",
        "NotFoundError",
        "PermanentError",
        "PluginError",
        "ProviderError",
        "TemporaryError",
        "UnsupportedError",
        "VkError",
    ),
    "vk.fields": ("FieldTable",),
    "vk.hookspecs": ("Register", "hookimpl"),
    "vk.kubelet": ("VirtualKubelet",),
    "vk.log_lines": ("LineFilter", "filter_lines"),
    "vk.models.check": ("Check",),
    "vk.models.files": ("File", "FileTree", "RegistryCredential"),
    "vk.models.keys": ("ContainerKey", "PodKey"),
    "vk.models.logs": ("LogOptions",),
    "vk.models.node": ("Address", "NodeInfo", "Taint"),
    "vk.models.pod": ("DNS", "Container", "HostAlias", "Pod"),
    "vk.models.stats": ("NodeStats", "PodStats", "Usage"),
    "vk.models.status": (
        "Condition",
        "ContainerState",
        "ContainerStatus",
        "Gone",
        "PodChange",
        "PodStatus",
        "Running",
        "Terminated",
        "Unplaced",
        "Waiting",
    ),
    "vk.models.volumes": (
        "CSI",
        "NFS",
        "EmptyDir",
        "HostPath",
        "ImageSource",
        "Volume",
        "VolumeSource",
    ),
    "vk.provider": ("API_VERSION", "Provider", "ProviderContext"),
    "vk.settings": ("Settings",),
    "vk.streams": ("ByteReader", "ByteStream", "ByteWriter", "ExecIO", "TerminalSize"),
    "vk.mounts": ("files_below", "sub_path"),
    "vk.volume_folder": ("write_files",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # written out for type checkers; a test compares it with _HOMES
    "API_VERSION",
    "CSI",
    "DNS",
    "NFS",
    "Address",
    "ByteReader",
    "ByteStream",
    "ByteWriter",
    "Check",
    "ClusterError",
    "Condition",
    "ConfigError",
    "Container",
    "ContainerKey",
    "ContainerState",
    "ContainerStatus",
    "EmptyDir",
    "ExecIO",
    "FieldTable",
    "File",
    "FileTree",
    "Gone",
    "HostAlias",
    "HostPath",
    "ImageSource",
    "InvalidInputError",
    "Latest",
    "LineFilter",
    "LogOptions",
    "NodeInfo",
    "NodeStats",
    "NotFoundError",
    "PermanentError",
    "PluginError",
    "Pod",
    "PodChange",
    "PodKey",
    "PodStats",
    "PodStatus",
    "Provider",
    "ProviderContext",
    "ProviderError",
    "Register",
    "RegistryCredential",
    "Running",
    "Settings",
    "Taint",
    "TemporaryError",
    "TerminalSize",
    "Terminated",
    "Unplaced",
    "UnsupportedError",
    "Usage",
    "VirtualKubelet",
    "VkError",
    "Volume",
    "VolumeSource",
    "Waiting",
    "__version__",
    "files_below",
    "filter_lines",
    "hookimpl",
    "sub_path",
    "write_files",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'vk' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
