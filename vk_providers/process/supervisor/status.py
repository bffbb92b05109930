"""What the supervisor says of its pod: the status, the events, and the file that outlives both.

The status has the shape of a Kubernetes pod status with a few keys beside it (`StatusJournal.report`).
``status.json`` is replaced as a whole at every change, so that vk reads the last state also where
the supervisor is dead; it is not forced to the disk, since a machine that restarts has lost the
pod anyway. Containers write (`StatusJournal.changed`, `StatusJournal.event`), clients listen.
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
    """Collects the changes of one turn of the loop, writes them and tells the listeners."""

    def __init__(self, loop: EventLoop, plan: PodPlanJson) -> None:
        self._loop = loop
        self._plan = plan
        self._pending = False
        self._sequence = 0
        self._started_at = timestamp()
        self.containers: Callable[[], Json] = dict
        """Gives ``initContainerStatuses`` and ``containerStatuses``; the pod sets it."""
        self.ended = False
        self.stopping = False
        self.listeners: list[Callable[[], None]] = []
        self.events: deque[Json] = deque(maxlen=_EVENTS)

    def changed(self) -> None:
        """Something of the status is different."""
        if not self._pending:
            self._pending = True
            self._loop.soon(self.publish)

    def event(self, container: str, type: str, reason: str, message: str) -> None:
        """Something happened that ``kubectl describe`` should show."""
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
        """Write the file and tell the listeners, now."""
        self._pending = False
        _replace("status.json", {"status": self.report(), "events": list(self.events)})
        for listener in list(self.listeners):
            listener()


def timestamp() -> str:
    """Return the time as Kubernetes writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _replace(path: str, content: Mapping[str, Any]) -> None:
    try:
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(content, file)
        os.rename(path + ".new", path)
    except OSError as error:  # a full disk must not end the pod; the next change tries again
        os.write(2, f"{timestamp()} cannot write {path}: {error}\n".encode())
