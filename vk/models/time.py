"""RFC 3339 times as the API server writes them: UTC, whole seconds, a Z at the end."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["format_time", "now", "parse_time"]


def now() -> datetime:
    """Return the current time in UTC, cut to whole seconds as Kubernetes stores it."""
    return datetime.now(UTC).replace(microsecond=0)


def format_time(value: datetime) -> str:
    """Return a time as the API server writes it: ``2026-01-31T12:00:00Z``.

    Args:
        value: Must have a time zone; fractions of a second are dropped.
    """
    return f"{value.astimezone(UTC).isoformat(timespec='seconds')[:-6]}Z"  # strftime is slow


def parse_time(text: object) -> datetime | None:
    """Return the time that an RFC 3339 text means, None for any other value. Never raises.

    Args:
        text: Such as ``2026-01-31T12:00:00Z``, also with fractions or an offset; UTC is assumed
            where there is no offset.
    """
    if not isinstance(text, str):
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
