"""Hourly prices of groups, queried once for each size and set as an annotation of the pods.

Statuses do not depend on prices: a failed query is repeated after ten minutes.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import attrs

import vk
from vk_providers.alibabacloud.client import RpcClient
from vk_providers.alibabacloud.errors import RequestOutcomeUnknownError
from vk_providers.alibabacloud.groups import ContainerGroup

__all__ = ["Prices"]

log = logging.getLogger(__name__)

_AGAIN = 600.0
_PATIENCE = 5.0
"""Time-out of a price query in seconds."""
_UNREADABLE = (KeyError, TypeError, ValueError)
"""Exceptions of reading an answer without a price."""
Kind = tuple[str, str, str, str]


@attrs.define(eq=False)
class Prices:
    """Known prices by size, instance type and spot strategy."""

    client: RpcClient
    wanted: bool
    _known: dict[Kind, str] = attrs.field(factory=dict, init=False)
    _asked: dict[Kind, float] = attrs.field(factory=dict, init=False)

    def of(self, group: ContainerGroup) -> str:
        """Return the known price of a group, such as ``0.42 CNY``, or an empty string."""
        return self._known.get(_kind(group), "")

    async def learn(self, group: ContainerGroup) -> bool:
        """Query the price of a group's size once; return whether it became known."""
        kind, now = _kind(group), asyncio.get_running_loop().time()
        asked = self._asked.get(kind)
        if not self.wanted or kind in self._known or (asked is not None and now - asked < _AGAIN):
            return False
        self._asked[kind] = now
        try:
            async with asyncio.timeout(_PATIENCE):  # the statuses of all pods wait meanwhile
                answer = await self.client.call("DescribeContainerGroupPrice", _query(kind))
            price = (answer.get("priceinfo") or {}).get("price") or {}
            self._known[kind] = (
                f"{float(price['tradeprice']):g} {price.get('currency') or ''}".strip()
            )
        except (vk.ProviderError, RequestOutcomeUnknownError, TimeoutError, *_UNREADABLE) as error:
            log.info("no price", extra={"error": str(error) or type(error).__name__})
            return False
        return True


def _kind(group: ContainerGroup) -> Kind:
    raw = group.raw
    names = ("instancetype", "cpu", "memory", "spotstrategy")
    kind, cpu, memory, spot = (str(raw.get(name) or "") for name in names)
    return (kind if kind.startswith("ecs.") else "", cpu, memory, spot)


def _query(kind: Kind) -> dict[str, Any]:
    instance_type, cpu, memory, spot = kind
    size = {"InstanceType": instance_type} if instance_type else {"Cpu": cpu, "Memory": memory}
    return {**size, "SpotStrategy": spot or None}
