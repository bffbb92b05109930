"""Ages as kubectl prints them: ``5s``, ``3m20s``, ``7h``, ``2d4h``, ``1y20d``. Pure.

In: times as JSON has them, and now. Out: short texts. Called by the cells of every kind. The larger
the age, the coarser: seconds up to two minutes, minutes up to three hours, and so on.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from vk.models.time import parse_time

__all__ = ["UNKNOWN", "duration_text", "since"]

UNKNOWN = "<unknown>"
_HOUR, _DAY, _YEAR = 60, 24, 365


def since(time: object, now: datetime) -> str:
    """Return how long ago a time was; ``<unknown>`` for none."""
    moment = parse_time(time)
    return UNKNOWN if moment is None else duration_text(now - moment)


def duration_text(duration: timedelta) -> str:
    """Return a length of time; ``<invalid>`` for one that is more than two seconds below zero."""
    seconds = int(duration.total_seconds())  # towards zero, as Go does
    if seconds < 0:
        return "<invalid>" if seconds < -1 else "0s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 2 * 60:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % _HOUR, "m")
    if days < 2:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % _DAY, "h")
    if days < 2 * _YEAR:
        return f"{days}d"
    if days < 8 * _YEAR:
        return _two(days // _YEAR, "y", days % _YEAR, "d")
    return f"{days // _YEAR}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"
