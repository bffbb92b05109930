"""The rules of events, of which there are two kinds that show the same objects. Pure.

In: decoded events. Out: `CORE_EVENTS` and `NEW_EVENTS`, the strategies; `converted`, which turns an
event of one kind into the other; `core_form`, which only renames its fields. Called through the
table of strategies, and by the storage for clients of the other kind.

Note: an event with an ``eventTime`` is of the new sort whichever kind it came as, and has
more required fields; only ``events.k8s.io`` refuses changes of all but the series.
"""

from __future__ import annotations

from typing import Any

from vk.devcluster.kinds import Kind
from vk.devcluster.validation.causes import Cause, invalid, invalid_each, required
from vk.devcluster.validation.decoding import decode
from vk.devcluster.validation.names import qualified_name_faults
from vk.devcluster.validation.strategy import Strategy

__all__ = ["CORE_EVENTS", "NEW_EVENTS", "converted", "core_form"]

_NEW_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_CORE_NAMES = {new: core for core, new in _NEW_NAMES.items()}
_LIMITS = {"reportingInstance": 128, "action": 128, "reason": 128, "message": 1024}
_TYPES = ("Normal", "Warning")
_DEPRECATED = ("firstTimestamp", "lastTimestamp", "count", "source")
_FIXED = (
    *("involvedObject", "reason", "message", *_DEPRECATED, "type", "eventTime", "action"),
    *("related", "reportingComponent", "reportingInstance"),
)


def converted(kind: Kind, event: dict[str, Any]) -> dict[str, Any]:
    """Return an event of either kind as one of ``kind``; the event itself where it is one."""
    if event.get("apiVersion") == kind.api_version:
        return event
    names = _NEW_NAMES if kind.group else _CORE_NAMES
    return decode(kind, {names.get(name, name): value for name, value in event.items()})


def core_form(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event of either kind with the names of the core one."""
    return {_CORE_NAMES.get(name, name): value for name, value in event.items()}


def _check_core(event: dict[str, Any]) -> list[Cause]:
    return _common_faults(event, "reportingComponent")


def _check_new(event: dict[str, Any]) -> list[Cause]:
    return _common_faults(core_form(event), "reportingController")


def _common_faults(event: dict[str, Any], controller_field: str) -> list[Cause]:
    namespace = event["metadata"].get("namespace", "")
    about = event["involvedObject"].get("namespace", "")
    mismatch = invalid("involvedObject.namespace", about, "does not match event.namespace")
    if not event["eventTime"]:
        same = namespace == about if about else namespace in ("", "default")
        return [] if same else [mismatch]
    causes: list[Cause] = []
    if not about and namespace not in ("default", "kube-system"):
        causes.append(mismatch)
    controller = event.get("reportingComponent", "")
    if not controller:
        causes.append(required(controller_field))
    causes += invalid_each(controller_field, controller, qualified_name_faults(controller))
    for name, limit in _LIMITS.items():
        text = event.get(name) or ""
        if not text and name != "message":
            causes.append(required(name))
        if len(text.encode()) > limit:
            causes.append(invalid(name, "", f"can have at most {limit} characters"))
    return causes


def _check_new_create(new: dict[str, Any]) -> list[Cause]:
    event = core_form(new)
    causes = _series_faults(event)
    if not event["eventTime"]:
        causes.append(required("eventTime"))
    if event.get("type") not in _TYPES:
        causes.append(invalid("type", "", f"has invalid value: {event.get('type', '')}"))
    set_ones = [name for name in _DEPRECATED if event.get(name)]
    return causes + [invalid(name, "", "needs to be unset") for name in set_ones]


def _check_new_update(old: dict[str, Any], new: dict[str, Any], subresource: str) -> list[Cause]:
    before, after = core_form(old), core_form(new)
    causes = _series_faults(after) if before.get("series") != after.get("series") else []
    for name in _FIXED:
        if before.get(name) != after.get(name):
            field = "reportingController" if name == "reportingComponent" else name
            causes.append(invalid(field, after.get(name, ""), "field is immutable"))
    return causes


def _series_faults(event: dict[str, Any]) -> list[Cause]:
    series = event.get("series")
    if series is None:
        return []
    causes = []
    if series.get("count", 0) < 2:
        causes.append(invalid("series.count", "", "should be at least 2"))
    if not series["lastObservedTime"]:
        causes.append(required("series.lastObservedTime"))
    return causes


CORE_EVENTS = Strategy(check=_check_core)
NEW_EVENTS = Strategy(
    check=_check_new, check_create=_check_new_create, check_update=_check_new_update
)
