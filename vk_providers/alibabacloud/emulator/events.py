"""The events of a group: what happened, how often, first and last when."""

from __future__ import annotations

import attrs

__all__ = ["Event", "Events"]

_KEPT = 50
"""Events that the service returns of a group at most."""


@attrs.define(eq=False)
class Event:
    """The same thing, once or often."""

    name: str
    type: str
    reason: str
    message: str
    source: str
    first: float
    last: float
    count: int = 1


@attrs.define(eq=False)
class Events:
    """The newest events of one group."""

    prefix: str
    """What their names begin with, for this group alone."""
    all: list[Event] = attrs.field(factory=list)
    _next: int = 1

    def add(self, at: float, *, type: str, reason: str, message: str, source: str) -> None:
        """Count the event, or add it."""
        for event in self.all:
            if (event.reason, event.message) == (reason, message):
                event.count += 1
                event.last = at
                return
        name = f"{self.prefix}{self._next:x}"
        self.all.append(Event(name, type, reason, message, source, at, at))
        self._next += 1
        del self.all[:-_KEPT]
