"""The service's rate limits: one token bucket for each action.

From the service's documentation. Create and delete: a burst of 100, then 20 a second. Others: a
rate a minute without a documented burst; a whole minute's calls may come at once, so that no client
that keeps to the documented rate is throttled.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from vk_providers.alibabacloud.emulator.errors import EciApiError

__all__ = ["RATES", "CallBuckets"]

RATES: Mapping[str, tuple[float, float]] = {
    "CreateContainerGroup": (100, 20),
    "DeleteContainerGroup": (100, 20),
    **{
        action: (each_minute, each_minute / 60)
        for action, each_minute in {
            "DescribeContainerGroups": 2000,
            "DescribeContainerGroupStatus": 10_000,
            "DescribeContainerGroupEvents": 10_000,
            "DescribeContainerGroupMetric": 2000,
            "DescribeMultiContainerGroupMetric": 500,
            "DescribeContainerGroupPrice": 1000,
            "DescribeContainerLog": 500,
            "ExecContainerCommand": 500,
            "RestartContainerGroup": 500,
            "UpdateContainerGroup": 500,
        }.items()
    },
}
"""By action: burst, and rate a second."""


@attrs.define(eq=False)
class CallBuckets:
    """The token buckets of all actions."""

    factor: float = 1.0
    """Factor on the documented rates; 0: no limits."""
    _left: dict[str, tuple[float, float]] = attrs.field(factory=dict, init=False)

    def take(self, action: str, now: float) -> None:
        """Count a call. Raises `EciApiError` where the rate is exceeded."""
        if action not in RATES or not self.factor:
            return
        most, rate = (figure * self.factor for figure in RATES[action])
        left, since = self._left.get(action, (most, now))
        left = min(most, left + (now - since) * rate)
        if left < 1:
            self._left[action] = (left, now)
            raise EciApiError(400, "Throttling", "Request was denied due to request throttling.")
        self._left[action] = (left - 1, now)
