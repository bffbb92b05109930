"""What a group costs an hour, by its size: asked once a size, noted on the pods. Never in the way.

A price that cannot be had leaves the pod without one; it is asked for again after ten minutes.
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
"""Seconds until a price counts as one that cannot be had."""
_UNREADABLE = (KeyError, TypeError, ValueError)
"""What an answer without a price raises where it is read."""
Kind = tuple[str, str, str, str]


@attrs.define(eq=False)
class Prices:
    """Prices by size, type and way of paying."""

    client: RpcClient
    wanted: bool
    _known: dict[Kind, str] = attrs.field(factory=dict, init=False)
    _asked: dict[Kind, float] = attrs.field(factory=dict, init=False)

    def of(self, group: ContainerGroup) -> str:
        """Return the price of a group as far as it is known, such as ``0.42 CNY``."""
        return self._known.get(_kind(group), "")

    async def learn(self, group: ContainerGroup) -> bool:
        """Ask for the price of a group of this kind, once; True: now it is known."""
        kind, now = _kind(group), asyncio.get_running_loop().time()
        asked = self._asked.get(kind)
        if not self.wanted or kind in self._known or (asked is not None and now - asked < _AGAIN):
            return False
        self._asked[kind] = now
        try:
            async with asyncio.timeout(_PATIENCE):  # the statuses of all pods wait meanwhile
                answer = await self.client.call("DescribeContainerGroupPrice", _question(kind))
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


def _question(kind: Kind) -> dict[str, Any]:
    instance_type, cpu, memory, spot = kind
    size = {"InstanceType": instance_type} if instance_type else {"Cpu": cpu, "Memory": memory}
    return {**size, "SpotStrategy": spot or None}
