"""The node as a provider describes it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from vk.models.status import Condition
from vk.models.tuples import as_tuple

__all__ = ["DRAINING", "Address", "NodeInfo", "Taint"]


@attrs.frozen
class Address:
    """One address of the node; ``type`` is InternalIP, ExternalIP, Hostname, InternalDNS, ..."""

    type: str
    address: str


@attrs.frozen
class Taint:
    """A taint, which keeps pods away that do not tolerate it; ``effect`` is NoSchedule, ..."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"


DRAINING = Taint("virtual-kubelet.io/draining")
"""Set by `vk drain`. The node takes no new pod while it is there, not even one that tolerates
every taint: pods of DaemonSets would be billed after the drain.
"""


@attrs.frozen(kw_only=True)
class NodeInfo:
    """The node as the provider describes it. Quantities are Kubernetes notation (``"8Gi"``).

    ``capacity`` needs ``cpu``, ``memory`` and ``pods``; a resource that it does not name is not
    offered, and pods that ask for it stay unscheduled. ``allocatable`` None means all of it. ``os``
    and ``architecture`` None: the configuration's, ``linux`` and ``amd64`` by default. Labels,
    annotations and taints are added to those that every node of this project has.
    """

    capacity: Mapping[str, str]
    allocatable: Mapping[str, str] | None = None
    addresses: tuple[Address, ...] = attrs.field(default=(), converter=as_tuple)
    os: str | None = None
    architecture: str | None = None
    labels: Mapping[str, str] = attrs.field(factory=dict)
    annotations: Mapping[str, str] = attrs.field(factory=dict)
    taints: tuple[Taint, ...] = attrs.field(default=(), converter=as_tuple)
    conditions: tuple[Condition, ...] = attrs.field(default=(), converter=as_tuple)
    provider_id: str = ""
