"""The window ``SinceSecond`` of the status and event lists: from one minute to one hour. Pure."""

from __future__ import annotations

import math

__all__ = ["since_second"]

_SHORTEST = 60
_LONGEST = 3600


def since_second(seconds: float) -> int | None:
    """Return the window that covers the last ``seconds``; None: longer than the service permits.

    Where it is None the parameter is left out, so that the list is whole.
    """
    window = max(_SHORTEST, math.ceil(seconds))
    return window if window <= _LONGEST else None
