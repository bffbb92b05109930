"""How fast refused pods turn Failed: the first of an owner at once, later ones one at a time.

A ReplicaSet replaces a Failed pod at once: failing each at once would make a storm. Pure.
"""

from __future__ import annotations

import attrs

from vk.models.pod import Json

__all__ = ["FIRST", "LONGEST", "FailureRateLimiter"]

FIRST = 10.0
LONGEST = 300.0


@attrs.define
class _Rate:
    next_at: float
    interval: float = FIRST


@attrs.define
class FailureRateLimiter:
    """Keeps one rate for each owner and reason; entries that are long over are dropped."""

    _rates: dict[tuple[str, str], _Rate] = attrs.field(factory=dict, init=False)

    def wait(self, pod: Json, reason: str, now: float) -> float:
        """Return the seconds for which the pod stays Pending; 0: it may fail now."""
        owner = _owner(pod)
        if not owner:
            return 0.0
        rate = self._rates.get((owner, reason))
        if rate is None or now - rate.next_at > 2 * LONGEST:
            self._prune(now)
            self._rates[owner, reason] = _Rate(now + FIRST)
            return 0.0
        if now < rate.next_at:
            return rate.next_at - now
        rate.interval = min(rate.interval * 2, LONGEST)
        rate.next_at = now + rate.interval
        return 0.0

    def _prune(self, now: float) -> None:
        old = [key for key, rate in self._rates.items() if now - rate.next_at > 2 * LONGEST]
        for key in old:
            del self._rates[key]


def _owner(pod: Json) -> str:
    for reference in pod["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference.get("uid") or "")
    return ""
