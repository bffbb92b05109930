"""The actions that describe groups: in full, as statuses, or their events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from vk_providers.alibabacloud.api_description import describe
from vk_providers.alibabacloud.emulator.cloud import ApiCall
from vk_providers.alibabacloud.emulator.group import EmulatedGroup
from vk_providers.alibabacloud.emulator.group_store import GroupPage
from vk_providers.alibabacloud.emulator.rows import (
    events_row,
    group_row,
    in_both_casings,
    status_row,
)

__all__ = [
    "describe_events",
    "describe_groups",
    "describe_status",
]

_BY: Mapping[str, Callable[[EmulatedGroup], Any]] = {
    "ZoneId": lambda group: group.placement.zone,
    "VSwitchId": lambda group: group.placement.vswitch,
    "ResourceGroupId": lambda group: group.parameters.get("ResourceGroupId", ""),
    "SecurityGroupId": lambda group: group.parameters.get(
        "SecurityGroupId", group.settings.security_group
    ),
    "ContainerGroupName": lambda group: group.name,
    "Status": lambda group: group.status,
}
"""The value that a filter is compared with."""


def describe_groups(call: ApiCall) -> dict[str, Any]:
    """Return a page of groups."""
    page = _page(call, 20)
    events = bool(call.parameters.get("WithEvent"))
    rows = [group_row(each, events=events) for each in page.groups]
    return _listed(page, {"ContainerGroups": rows})


def describe_status(call: ApiCall) -> dict[str, Any]:
    """Return a page of statuses; with SinceSecond of groups that changed since."""
    page = _page(call, 200)
    return _listed(page, {"Data": _both(call, [status_row(each) for each in page.groups])})


def describe_events(call: ApiCall) -> dict[str, Any]:
    """Return the events of a page of groups."""
    page = _page(call, 200)
    since = call.now - call.parameters["SinceSecond"] if "SinceSecond" in call.parameters else 0.0
    rows = [events_row(each, since, call.text("EventSource")) for each in page.groups]
    rows = _both(call, [each for each in rows if each["events"]])
    return {"TotalCount": page.total, "Data": rows}


def _both(call: ApiCall, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    (described,) = describe(call.action).response["Data"]
    return [in_both_casings(row, described) for row in rows]


def _listed(page: GroupPage, rows: dict[str, Any]) -> dict[str, Any]:
    return {"TotalCount": page.total, "NextToken": page.next_token, **rows}


def _page(call: ApiCall, usual: int) -> GroupPage:
    """Return the requested page, or a part of it by a fault."""
    asked = call.parameters
    limit = asked.get("Limit", usual)
    if call.fault and call.fault.kind == "denied":
        return GroupPage([], 0, "")
    short = call.fault is not None and call.fault.kind in ("short_page", "cut_list")
    query = {key: value for key, value in asked.items() if key not in ("NextToken", "Limit")}
    page = call.cloud.group_store.page(
        _wanted(call),
        ids=asked.get("ContainerGroupIds"),
        limit=min(limit, max(1, call.fault.rows)) if short and call.fault else limit,
        token=call.text("NextToken"),
        query=call.action + orjson.dumps(query, option=orjson.OPT_SORT_KEYS).decode(),
        now=call.now,
    )
    if call.fault and call.fault.kind == "cut_list":
        return GroupPage(page.groups[: call.fault.rows], page.total, "")
    return page


def _wanted(call: ApiCall) -> Callable[[EmulatedGroup], bool]:
    plain = [(of, call.parameters[name]) for name, of in _BY.items() if name in call.parameters]
    tags = call.tags()
    seconds = call.parameters.get("SinceSecond") if call.action.endswith("Status") else None
    since = None if seconds is None else call.now - seconds

    def wanted(group: EmulatedGroup) -> bool:
        if since is not None and group.changed_at < since:
            return False
        if any(of(group) != value for of, value in plain):
            return False
        return all(
            key in group.tags and value in (None, group.tags[key]) for key, value in tags.items()
        )

    return wanted
