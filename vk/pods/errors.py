"""Errors that keep a pod from being created, and events to write while it is prepared."""

from __future__ import annotations

from math import inf

import attrs

from vk.errors import VkError

__all__ = ["LOOK_WITHIN", "MissingReference", "NotReadyError", "Notice", "RefusedError"]

LOOK_WITHIN = 5.0
"""Seconds at most between two reads of an object that does not exist yet. The first reads are
closer together: one `kubectl apply` of a pod and its objects may create them in any order."""


class MissingReference(VkError):
    """A config map, a secret or a key in one that the pod requires does not exist.

    ``kind`` is ConfigMap or Secret, ``key`` empty where the object itself is missing, ``reason``
    the event's, ``volume`` empty where the environment refers to it.
    """

    def __init__(
        self, *, kind: str, name: str, key: str, reason: str, message: str, volume: str = ""
    ) -> None:
        super().__init__(message)
        self.kind, self.name, self.key = kind, name, key
        self.reason, self.message, self.volume = reason, message, volume


class NotReadyError(VkError):
    """The pod cannot start yet: an object that it needs is missing or not ready.

    ``retry_after`` None: the waits between tries grow, but never above ``within``.
    """

    def __init__(
        self, message: str, *, reason: str, retry_after: float | None = None, within: float = inf
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after
        self.within = within


class RefusedError(VkError):
    """The pod can never run on this node; ``reason`` is the kubelet's."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@attrs.frozen(kw_only=True)
class Notice:
    """An event to write about the pod."""

    type: str = "Warning"
    reason: str
    message: str
