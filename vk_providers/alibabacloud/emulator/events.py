"""The events of a group, with counts and first and last time."""

from __future__ import annotations

import attrs

__all__ = ["Event", "Events"]

_KEPT = 50
"""Maximum number of events of a group."""


@attrs.define(eq=False)
class Event:
    """An event with its count."""

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
    """Prefix of their names, unique for the group."""
    all: list[Event] = attrs.field(factory=list)
    _next: int = 1

    def add(self, at: float, *, type: str, reason: str, message: str, source: str) -> None:
        """Increase the count of an event, or add it."""
        for event in self.all:
            if (event.reason, event.message) == (reason, message):
                event.count += 1
                event.last = at
                return
        name = f"{self.prefix}{self._next:x}"
        self.all.append(Event(name, type, reason, message, source, at, at))
        self._next += 1
        del self.all[:-_KEPT]
