"""The options of a request for a container's log."""

from __future__ import annotations

from datetime import datetime

import attrs

__all__ = ["LogOptions"]


@attrs.frozen(kw_only=True)
class LogOptions:
    """The options of `kubectl logs`, validated. By default the whole log is returned."""

    follow: bool = False
    """Continue with new output until the container ends."""
    tail_lines: int | None = None
    """Only this many of the last lines; 0: none of the existing ones."""
    limit_bytes: int | None = None
    """End after this many bytes."""
    since: datetime | None = None
    """Only lines written at or after this time (with a time zone)."""
    timestamps: bool = False
    """Begin each line with its time in RFC 3339 and a space."""
    previous: bool = False
    """The log of the run before the container's last restart."""
    stream: str | None = None
    """Only ``stdout`` or ``stderr``; set only for providers with `Provider.splits_logs`."""
