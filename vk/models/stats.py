"""The resource usage of the node, its pods and their containers, as a provider measured it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from vk.models.keys import PodKey
from vk.models.tuples import as_tuple

__all__ = ["NodeStats", "PodStats", "Usage"]


@attrs.frozen(kw_only=True)
class Usage:
    """One measurement. None: not known, and left out of the statistics that the node serves."""

    time: datetime
    """When it was measured (with a time zone)."""
    cpu_seconds: float | None = None
    """CPU time used since the start, in core seconds; rates are computed from it."""
    cpu_cores: float | None = None
    """Cores in use at that time, for backends that measure rates."""
    memory_bytes: int | None = None
    """Memory in use, including caches."""
    working_set_bytes: int | None = None
    """Memory that cannot be reclaimed: what `kubectl top` shows."""
    started_at: datetime | None = None
    """The start of the container or pod that is measured."""


@attrs.frozen(kw_only=True)
class PodStats:
    """One pod: its containers by name, and values that are only known for the whole pod."""

    key: PodKey = attrs.field(kw_only=False)
    containers: Mapping[str, Usage] = attrs.field(factory=dict)
    total: Usage | None = None
    """The whole pod; None: the sum of its containers."""
    received_bytes: int | None = None
    """Bytes received over the pod's network."""
    sent_bytes: int | None = None


@attrs.frozen(kw_only=True)
class NodeStats:
    """The node and its pods. ``total`` None: the sum of the pods."""

    pods: tuple[PodStats, ...] = attrs.field(default=(), converter=as_tuple)
    total: Usage | None = None
