"""Delays creates for owners whose groups keep failing. Pure state.

A Job or ReplicaSet replaces a failed pod at once, and the service bills each group from Pending on.
"""

from __future__ import annotations

from collections import deque

import attrs

import vk

__all__ = ["FailureBackoff"]

_FAILURES = 5
"""Failed groups of one owner within `_WITHIN` seconds after which further creates wait."""
_WITHIN = 600.0
_PAUSE = 60.0
"""Seconds after a failure until the next create; twice that for each further failure."""
_LONGEST_PAUSE = 600.0


@attrs.define(eq=False)
class FailureBackoff:
    """Counts failures by owner, in seconds of the event loop's clock."""

    _failures: dict[str, deque[float]] = attrs.field(factory=dict, init=False)
    _counted: set[str] = attrs.field(factory=set, init=False)

    def failed(self, pod: vk.Pod, group: str, now: float) -> None:
        """Count the failure of a pod's group, once for each group."""
        owner = owner_of(pod)
        if owner and group not in self._counted:
            self._counted.add(group)
            self._failures.setdefault(owner, deque(maxlen=32)).append(now)

    def wait(self, pod: vk.Pod, now: float) -> float:
        """Return the seconds until the owner's next create is allowed; 0: now."""
        failures = self._failures.get(owner_of(pod))
        if failures is None:
            return 0.0
        while failures and now - failures[0] > _WITHIN:
            failures.popleft()
        excess = len(failures) - _FAILURES
        if excess < 0:
            return 0.0
        pause = min(_LONGEST_PAUSE, _PAUSE * 2.0 ** min(excess, 8))
        return max(0.0, failures[-1] + pause - now)


def owner_of(pod: vk.Pod) -> str:
    """Return the UID of the pod's controller; empty where it has none."""
    for owner in pod.metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner.get("uid") or "")
    return ""
