"""The pod's status and events, and the file ``status.json`` that outlives the supervisor.

The status has the format of a Kubernetes pod status with some extra keys (`StatusJournal.report`).
``status.json`` is replaced atomically at every change, so that vk can read the last state of a dead
supervisor; it is not synced to disk, since a pod does not survive a restart of the machine.
Containers report changes (`StatusJournal.changed`, `StatusJournal.event`), clients listen.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .loop import EventLoop
    from .plan import PodPlanJson

    Json = dict[str, Any]

__all__ = ["StatusJournal", "timestamp"]

_EVENTS = 100


class StatusJournal:
    """Batches changes, writes the status file and notifies listeners."""

    def __init__(self, loop: EventLoop, plan: PodPlanJson) -> None:
        self._loop = loop
        self._plan = plan
        self._pending = False
        self._sequence = 0
        self._started_at = timestamp()
        self.containers: Callable[[], Json] = dict
        """Returns ``initContainerStatuses`` and ``containerStatuses``; set by the pod."""
        self.ended = False
        self.stopping = False
        self.listeners: list[Callable[[], None]] = []
        self.events: deque[Json] = deque(maxlen=_EVENTS)

    def changed(self) -> None:
        """Schedule a publication of the changed status."""
        if not self._pending:
            self._pending = True
            self._loop.soon(self.publish)

    def event(self, container: str, type: str, reason: str, message: str) -> None:
        """Add an event for ``kubectl describe``."""
        self._sequence += 1
        self.events.append(
            {
                "sequence": self._sequence,
                "time": timestamp(),
                "container": container,
                "type": type,
                "reason": reason,
                "message": message,
            }
        )
        self.changed()

    def report(self) -> Json:
        """Return the status."""
        return {
            "uid": self._plan["uid"],
            "namespace": self._plan["namespace"],
            "name": self._plan["name"],
            "startTime": self._started_at,
            "stopping": self.stopping,
            "ended": self.ended,
            **self.containers(),
        }

    def publish(self) -> None:
        """Write the file and notify the listeners."""
        self._pending = False
        _replace("status.json", {"status": self.report(), "events": list(self.events)})
        for listener in list(self.listeners):
            listener()


def timestamp() -> str:
    """Return the current time in Kubernetes' format."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _replace(path: str, content: Mapping[str, Any]) -> None:
    try:
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(content, file)
        os.rename(path + ".new", path)
    except OSError as error:  # a full disk must not end the pod; the next change tries again
        os.write(2, f"{timestamp()} cannot write {path}: {error}\n".encode())
