"""The ledger: every call, and every group with the times of its billing. Read by tests.

Kept in memory by the emulator's process, so that killing a client loses nothing. Of a call's
parameters it contains the ClientToken, the access key id and the time of the signature: no secret.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import attrs

__all__ = ["Ledger", "LedgerEntry", "billed_twice", "living", "pod_uid"]

_CALLS = 500_000
"""Maximum number of calls; the oldest are dropped."""


@attrs.define(eq=False)
class LedgerEntry:
    """One group. Times in seconds; None: not yet, or never."""

    id: str
    pod_uid: str | None
    created: float
    billed_from: float | None = None
    ended: float | None = None


@attrs.define(eq=False)
class Ledger:
    """All calls and billed groups."""

    groups: list[LedgerEntry] = attrs.field(factory=list)
    _calls: deque[dict[str, Any]] = attrs.field(factory=lambda: deque(maxlen=_CALLS), init=False)

    def call(self, action: str, at: float, token: str | None) -> dict[str, Any]:
        """Add a call; the other fields are filled in later."""
        call = {
            "action": action,
            "at": at,
            "key": None,
            "signed": None,
            "token": token,
            "code": None,
            "group": None,
            "fault": None,
        }
        self._calls.append(call)
        return call

    def document(self) -> dict[str, Any]:
        """Return the ledger as JSON values."""
        return {
            "calls": list(self._calls),
            "groups": [attrs.asdict(entry) for entry in self.groups],
        }


def pod_uid(tags: Mapping[str, str]) -> str | None:
    """Return the pod's UID from a group's tags: of a key such as ``UID`` or ``x/pod-uid``."""
    for key, value in tags.items():
        plain = "".join(sign for sign in key.lower() if sign.isalnum())
        if plain == "uid" or plain.endswith("poduid"):
            return value
    return None


def billed_twice(ledger: Mapping[str, Any]) -> list[str]:
    """Return the pod UIDs for which two groups were billed at the same time."""
    doubles = set[str]()
    spans = dict[str, list[tuple[float, float]]]()
    for group in ledger["groups"]:
        if group["pod_uid"] and group["billed_from"] is not None:
            end = float("inf") if group["ended"] is None else group["ended"]
            spans.setdefault(group["pod_uid"], []).append((group["billed_from"], end))
    for uid, times in spans.items():
        times.sort()
        if any(later[0] < earlier[1] for earlier, later in pairwise(times)):
            doubles.add(uid)
    return sorted(doubles)


def living(ledger: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the groups that have not ended: leaked ones, once no pod is left."""
    groups: Iterable[dict[str, Any]] = ledger["groups"]
    return [group for group in groups if group["ended"] is None]
