"""The metadata that the server sets on a new object: name, uid and times. Pure."""

from __future__ import annotations

import random
import uuid
from datetime import datetime
from typing import Any

from vk.models.time import format_time

__all__ = ["generated", "new_metadata", "suffix"]

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST = 58  # of the prefix, so that the name stays within 63 characters
_GIVEN_BY_SERVER = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "resourceVersion",
    "selfLink",
    "uid",
)


def suffix() -> str:
    """Return five random characters, of those that make no words."""
    return "".join(random.choices(_LETTERS, k=5))


def generated(prefix: str) -> str:
    """Return a name that begins with ``prefix``, as for ``generateName``."""
    return prefix[:_LONGEST] + suffix()


def new_metadata(metadata: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return the metadata of an object that is created now."""
    kept = {key: value for key, value in metadata.items() if key not in _GIVEN_BY_SERVER}
    return {**kept, "uid": str(uuid.uuid4()), "creationTimestamp": format_time(now)}
