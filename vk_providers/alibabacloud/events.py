"""Forwards the events of container groups (NoStock, image pulls, OOM) to their pods, once each.

Statuses do not depend on it: a failure to read events delays no status.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import Any

import attrs

import vk
from vk_providers.alibabacloud.errors import RequestOutcomeUnknownError
from vk_providers.alibabacloud.inventory import Inventory
from vk_providers.alibabacloud.time_window import since_second

__all__ = ["EventFeed"]

log = logging.getLogger(__name__)

_ROUNDS = 3
_OVERLAP = 60
_LONGEST = 1024
_TOLD = frozenset({"Created", "Started", "Killing", "Scheduled", "BackOff"})
"""Reasons of events that the scheduler and vk emit themselves."""


@attrs.define(eq=False)
class EventFeed:
    """Reads events every third round at most, and forwards new ones."""

    inventory: Inventory
    emit: vk.Emit
    poll: float
    """Seconds between two rounds."""
    _tried_at: float = attrs.field(default=float("-inf"), init=False)
    _asked_at: float | None = attrs.field(default=None, init=False)
    """Time of the service's last answer."""

    async def forward(self) -> None:
        """Forward new events, if the interval has passed."""
        now = asyncio.get_running_loop().time()
        if now - self._tried_at < self.poll * _ROUNDS:
            return
        if next(iter(self.inventory), None) is None:
            return
        tags = self.inventory.identity.owner_tags()
        query: dict[str, Any] = {"Tag": [{"Key": k, "Value": v} for k, v in tags.items()]}
        passed = 0.0 if self._asked_at is None else now - self._asked_at
        query["SinceSecond"] = since_second(passed + _OVERLAP)
        self._tried_at = now
        try:
            answer = await self.inventory.client.call("DescribeContainerGroupEvents", query)
        except (vk.ProviderError, RequestOutcomeUnknownError) as error:
            log.info("no events", extra={"error": str(error)})
            return
        self._asked_at = now
        for row in answer.get("data") or ():
            group = self.inventory.get(str(row.get("containergroupid")))
            if group is not None:
                for event in row.get("events") or ():
                    self._pass_on(group.key, group.id, event)

    def _pass_on(self, key: vk.PodKey, group: str, event: dict[str, Any]) -> None:
        if event.get("reason") in _TOLD:
            return
        kind = "Warning" if event.get("type") == "Warning" else "Normal"
        reason, message = str(event.get("reason") or "ECI"), str(event.get("message") or "")
        text = f"{group}/{reason}/{message}/{event.get('firsttimestamp')}"
        id = hashlib.sha256(text.encode()).hexdigest()[:20]
        self.emit(key, kind, reason, message[:_LONGEST], id=id)
