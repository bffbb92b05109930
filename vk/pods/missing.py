"""What the rules say of an object that a pod refers to: that it is missing, or worth an event."""

from __future__ import annotations

import attrs

from vk.errors import VkError

__all__ = ["MissingReference", "Notice"]


class MissingReference(VkError):
    """A config map, a secret or a key in one that the pod requires is not there.

    ``kind`` is ConfigMap or Secret, ``key`` empty where the object itself is missing, ``reason``
    the event's, ``volume`` empty where the environment refers to it.
    """

    def __init__(
        self, *, kind: str, name: str, key: str, reason: str, message: str, volume: str = ""
    ) -> None:
        super().__init__(message)
        self.kind, self.name, self.key = kind, name, key
        self.reason, self.message, self.volume = reason, message, volume


@attrs.frozen(kw_only=True)
class Notice:
    """An event to write about the pod."""

    type: str = "Warning"
    reason: str
    message: str
