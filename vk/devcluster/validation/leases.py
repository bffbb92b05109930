"""The rules of Leases. Pure.

In: decoded Leases. Out: `LEASES`, the strategy. Called through the table of strategies.
"""

from __future__ import annotations

from typing import Any

from vk.devcluster.validation.causes import Cause, invalid
from vk.devcluster.validation.strategy import Strategy

__all__ = ["LEASES"]


def _check(lease: dict[str, Any]) -> list[Cause]:
    spec = lease["spec"]
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    causes: list[Cause] = []
    if duration is not None and duration <= 0:
        causes.append(invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        detail = "must be greater than or equal to 0"
        causes.append(invalid("spec.leaseTransitions", transitions, detail))
    return causes


def _drop_coordinated(lease: dict[str, Any]) -> None:
    """Drop the fields of coordinated leader election, which is off by default."""
    for name in ("strategy", "preferredHolder"):
        lease["spec"].pop(name, None)


LEASES = Strategy(default=_drop_coordinated, check=_check)
