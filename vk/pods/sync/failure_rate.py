"""When a refused pod may turn Failed: at once for the first of an owner, later ones one at a time.

A ReplicaSet replaces a Failed pod at once, so failing each at once makes a storm (design 5.10).
"""

from __future__ import annotations

import attrs

from vk.models.pod import Json

__all__ = ["FIRST", "LONGEST", "Refusals"]

FIRST = 10.0
LONGEST = 300.0


@attrs.define
class _Pace:
    next_at: float
    interval: float = FIRST


@attrs.define
class Refusals:
    """Keeps the pace per owner and reason; entries that are long over are dropped."""

    _paces: dict[tuple[str, str], _Pace] = attrs.field(factory=dict, init=False)

    def wait(self, pod: Json, reason: str, now: float) -> float:
        """Return the seconds for which the pod stays Pending; 0: it may fail now."""
        owner = _owner(pod)
        if not owner:
            return 0.0
        pace = self._paces.get((owner, reason))
        if pace is None or now - pace.next_at > 2 * LONGEST:
            self._prune(now)
            self._paces[owner, reason] = _Pace(now + FIRST)
            return 0.0
        if now < pace.next_at:
            return pace.next_at - now
        pace.interval = min(pace.interval * 2, LONGEST)
        pace.next_at = now + pace.interval
        return 0.0

    def _prune(self, now: float) -> None:
        old = [key for key, pace in self._paces.items() if now - pace.next_at > 2 * LONGEST]
        for key in old:
            del self._paces[key]


def _owner(pod: Json) -> str:
    for reference in pod["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference.get("uid") or "")
    return ""
