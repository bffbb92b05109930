"""The actions that change a group: delete, update, restart, and its tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vk_providers.alibabacloud.emulator.cloud import ApiCall
from vk_providers.alibabacloud.emulator.create import check
from vk_providers.alibabacloud.emulator.errors import EciApiError, missing, wrong_state
from vk_providers.alibabacloud.emulator.group import EmulatedGroup

__all__ = [
    "delete",
    "list_tags",
    "restart",
    "tag",
    "untag",
    "update",
]

_TAGS = 20
_SUPPORTED = ("Pending", "Running")
_NOT_MERGED = frozenset({"ContainerGroupId", "ClientToken", "UpdateType", "Tag"})
_NAMED = ("Container", "InitContainer", "Volume")


def delete(call: ApiCall) -> dict[str, Any]:
    """Delete a group, in every status except during another change."""
    group = call.group()
    force = bool(call.parameters.get("Force"))
    if group.status in ("Restarting", "Updating"):
        text = "Another operation on the container group is in progress."
        raise EciApiError(400, "OperationConflict", text)
    if group.status == "Terminating" and not force:
        raise wrong_state(group.status)
    group.delete(call.now, force=force)
    return {}


def restart(call: ApiCall) -> dict[str, Any]:
    """Restart all containers."""
    group = _changeable(call)
    group.replace(call.now, group.parameters, "Restarting")
    return {}


def update(call: ApiCall) -> dict[str, Any]:
    """Update containers and add tags; tags alone restart nothing."""
    group = _changeable(call)
    given = {key: value for key, value in call.parameters.items() if key not in _NOT_MERGED}
    tags = {each["Key"]: each.get("Value", "") for each in call.parameters.get("Tag", [])}
    whole_lists = call.parameters.get("UpdateType", "RenewUpdate") == "RenewUpdate"
    merged = given if whole_lists else _merged(group.parameters, given)
    wanted = {**group.parameters, **merged}
    for each in [*wanted["Container"], *wanted.get("InitContainer", [])]:
        if "Image" not in each:
            raise missing("Container.Image")
    check(wanted)
    if wanted == group.parameters and tags.items() <= group.tags.items():
        raise EciApiError(400, "NoNeedUpdate", "The container group needs no update.")
    _put_tags(group, tags, call.now)
    if wanted != group.parameters:
        group.replace(call.now, wanted, "Updating")
    return {}


def tag(call: ApiCall) -> dict[str, Any]:
    """Set tags of groups."""
    tags = {each["Key"]: each.get("Value", "") for each in call.parameters["Tag"]}
    groups = [call.cloud.group_store.get(each) for each in call.parameters["ResourceId"]]
    for group in groups:
        _put_tags(group, tags, call.now)
    return {}


def untag(call: ApiCall) -> dict[str, Any]:
    """Remove tags from groups."""
    groups = [call.cloud.group_store.get(each) for each in call.parameters["ResourceId"]]
    for group in groups:
        keys = list(group.tags) if call.parameters.get("All") else call.parameters.get("TagKey", [])
        for key in keys:
            group.tags.pop(key, None)
    return {}


def list_tags(call: ApiCall) -> dict[str, Any]:
    """Return a row for each tag of each requested group, on one page."""
    asked, tags = call.parameters.get("ResourceId"), call.tags()
    rows = [
        {
            "ResourceId": group.id,
            "ResourceType": "containergroup",
            "TagKey": key,
            "TagValue": value,
        }
        for group in call.cloud.group_store.all()
        if asked is None or group.id in asked
        for key, value in group.tags.items()
        if not tags or (key in tags and tags[key] in (None, value))
    ]
    return {"NextToken": "", "TagResources": rows}


def _changeable(call: ApiCall) -> EmulatedGroup:
    group = call.group()
    if group.status not in _SUPPORTED:
        raise wrong_state(group.status)
    return group


def _put_tags(group: EmulatedGroup, tags: dict[str, str], now: float) -> None:
    if len(group.tags | tags) > _TAGS:
        text = f"The length of tags exceeded limit: {_TAGS}."
        raise EciApiError(400, "NumberExceed.Tags", text)
    group.tags |= tags
    if tags:
        group.changed_at = now


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``old`` updated by ``new``; lists are merged by name."""
    merged = dict(new)
    for name in _NAMED:
        if name in new:
            known = {each["Name"]: each for each in old.get(name, [])}
            changed = {each["Name"]: {**known.get(each["Name"], {}), **each} for each in new[name]}
            merged[name] = list((known | changed).values())
    return merged
