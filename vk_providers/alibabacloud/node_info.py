"""The node's capacity, labels and provider id, from the account's quota and configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import vk
from vk_providers.alibabacloud.client import RpcClient
from vk_providers.alibabacloud.config import EciConfig

__all__ = ["describe_node"]

_MEMORY_A_CPU = 8
"""GiB of memory for each vCPU where not configured: the account's quota is in vCPU, and no size
has more memory for each vCPU."""
_PODS = "1000"
_STORAGE_A_POD = 30
"""GiB of ephemeral storage that each group has free of charge."""


async def describe_node(client: RpcClient, config: EciConfig, *, node_name: str) -> vk.NodeInfo:
    """Return the node: as configured, limited by the account's quota."""
    answer = await client.call("ListUsage", {})
    most = _quota(answer.get("attributes") or {})
    cpu = config.cpu or (str(most) if most else "1000")
    if most and vk.parse_quantity(cpu) > most:
        cpu = str(most)
    memory = config.memory or f"{int(vk.parse_quantity(cpu) * _MEMORY_A_CPU)}Gi"
    pods = config.pods or _PODS
    others = {name: str(quantity) for name, quantity in config.others.items()}
    storage = f"{int(vk.parse_quantity(pods) * _STORAGE_A_POD)}Gi"
    return vk.NodeInfo(
        capacity={
            "cpu": cpu,
            "memory": memory,
            "pods": pods,
            "ephemeral-storage": storage,
            **others,
        },
        os="linux",
        architecture=config.architecture,
        labels=_labels(config),
        provider_id=config.provider_id or f"alibabacloud-eci://{config.region}/{node_name}",
    )


def _quota(attributes: Mapping[str, Any]) -> int:
    value = attributes.get("maxcpu")
    try:
        return int(float(value)) if value is not None else 0
    except (TypeError, ValueError):
        return 0


def _labels(config: EciConfig) -> dict[str, str]:
    labels = {"topology.kubernetes.io/region": config.region}
    if config.zone:
        labels["topology.kubernetes.io/zone"] = config.zone
    return labels
