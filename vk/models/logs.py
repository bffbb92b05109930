"""What part of a container's log is wanted."""

from __future__ import annotations

from datetime import datetime

import attrs

__all__ = ["LogOptions"]


@attrs.frozen(kw_only=True)
class LogOptions:
    """The query of `kubectl logs`, checked. The default asks for all that there is."""

    follow: bool = False
    """Go on with what the container writes until it ends."""
    tail_lines: int | None = None
    """Only this many of the last lines; 0: none of what is there."""
    limit_bytes: int | None = None
    """End after this many bytes."""
    since: datetime | None = None
    """Only what was written at or after this moment (it has a time zone)."""
    timestamps: bool = False
    """Begin each line with its time in RFC 3339 and a space."""
    previous: bool = False
    """The log of the run before the container's last restart."""
    stream: str | None = None
    """``stdout`` or ``stderr`` alone; asked only of providers with `Provider.splits_logs`."""
