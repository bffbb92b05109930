"""Image caches and data caches: created, listed until they are ready, deleted.

A cache takes a minute of the service to become ready and stays until it is deleted. It holds
nothing: a group that names one, or asks for a match, is not compared with these.
"""

from __future__ import annotations

import random
import string
from collections.abc import Mapping
from typing import Any

import attrs

from vk_providers.alibabacloud.emulator.cloud import ApiCall
from vk_providers.alibabacloud.emulator.errors import missing, not_found
from vk_providers.alibabacloud.emulator.states import moment

__all__ = [
    "create_data_cache",
    "create_image_cache",
    "delete_data_cache",
    "delete_image_cache",
    "describe_data_caches",
    "describe_image_caches",
]

_SECONDS = 60.0
"""Seconds from the creation of a cache until it can be used."""
_DAY = 86_400.0
_PAGE = 20
_BUCKET = "default"


@attrs.frozen
class _Kind:
    """What differs between the two kinds of cache."""

    prefix: str
    busy: str
    ready: str


_IMAGE = _Kind("imc", "Creating", "Ready")
_DATA = _Kind("edc", "Loading", "Available")


@attrs.frozen(eq=False)
class _Cache:
    """One cache."""

    kind: _Kind
    id: str
    parameters: Mapping[str, Any] = attrs.field(repr=False)
    created: float
    takes: float

    def row(self, call: ApiCall) -> dict[str, Any]:
        """Return the fields that both kinds have."""
        done = min(1.0, (call.now - self.created) / self.takes) if self.takes else 1.0
        text, days = self.id.split("-")[1], self.parameters.get("RetentionDays")
        row: dict[str, Any] = {
            "ContainerGroupId": f"eci-{text}",
            "CreationTime": moment(self.created),
            "Events": [],
            "Progress": f"{int(done * 100)}%",
            "RegionId": call.cloud.settings.region,
            "ResourceGroupId": self.parameters.get("ResourceGroupId", ""),
            "Status": self.kind.ready if done >= 1 else self.kind.busy,
            "Tags": [
                {"Key": each["Key"], "Value": each.get("Value", "")}
                for each in self.parameters.get("Tag", ())
            ],
        }
        if done >= 1:
            row["SnapshotId"] = f"s-{text}"
        if days:
            row["ExpireDateTime"] = moment(self.created + days * _DAY)
        return row


def create_image_cache(call: ApiCall) -> dict[str, Any]:
    """Begin an image cache; return its id, and that of the group that pulls."""
    cache = _create(call, _IMAGE)
    return {"ImageCacheId": cache.id, "ContainerGroupId": f"eci-{cache.id.split('-')[1]}"}


def describe_image_caches(call: ApiCall) -> dict[str, Any]:
    """Return a page of image caches; with MatchImage those that hold one of these images."""
    asked = call.parameters
    plain = {
        name: asked[name]
        for name in ("ImageCacheId", "ImageCacheName", "SnapshotId")
        if name in asked
    }
    rows = [
        row
        for row in (_image_row(call, cache) for cache in _all(call, _IMAGE))
        if plain.items() <= row.items() and _tagged(call, row) and _matches(asked, row["Images"])
    ]
    return _page(call, "ImageCaches", rows[: asked.get("ImageMatchCountRequest", len(rows))])


def delete_image_cache(call: ApiCall) -> dict[str, Any]:
    """Delete an image cache."""
    return _delete(call, call.text("ImageCacheId"), "ImageCacheId")


def create_data_cache(call: ApiCall) -> dict[str, Any]:
    """Begin a data cache; return its id."""
    for name in ("Name", "Path", "VSwitchId", "SecurityGroupId"):
        if name not in call.parameters:
            raise missing(name)
    return {"DataCacheId": _create(call, _DATA).id}


def describe_data_caches(call: ApiCall) -> dict[str, Any]:
    """Return a page of data caches."""
    asked = call.parameters
    plain = {name: asked[name] for name in ("Bucket", "Path") if name in asked}
    rows = [
        row
        for row in (_data_row(call, cache) for cache in _all(call, _DATA))
        if plain.items() <= row.items()
        and _tagged(call, row)
        and row["DataCacheId"] in asked.get("DataCacheId", [row["DataCacheId"]])
    ]
    return _page(call, "DataCaches", rows)


def delete_data_cache(call: ApiCall) -> dict[str, Any]:
    """Delete a data cache, by its id or by bucket and path."""
    place = (call.parameters.get("Bucket", _BUCKET), call.parameters.get("Path"))
    found = call.text("DataCacheId") or next(
        (cache.id for cache in _all(call, _DATA) if _place(cache) == place), ""
    )
    return _delete(call, found, "DataCacheId")


def _create(call: ApiCall, kind: _Kind) -> _Cache:
    id = f"{kind.prefix}-{_letters(call.cloud.random)}"
    takes = call.cloud.timeline.scaled(_SECONDS)
    cache = _Cache(kind, id, call.parameters, call.now, takes)
    call.cloud.caches[id] = cache
    return cache


def _letters(source: random.Random) -> str:
    return "".join(source.choices(string.ascii_lowercase + string.digits, k=20))


def _all(call: ApiCall, kind: _Kind) -> list[_Cache]:
    return [cache for cache in call.cloud.caches.values() if cache.kind is kind]


def _image_row(call: ApiCall, cache: _Cache) -> dict[str, Any]:
    asked = cache.parameters
    return {
        **cache.row(call),
        "EliminationStrategy": asked.get("EliminationStrategy", ""),
        "ImageCacheId": cache.id,
        "ImageCacheName": asked["ImageCacheName"],
        "ImageCacheSize": asked.get("ImageCacheSize", 20),
        "Images": asked["Image"],
    }


def _data_row(call: ApiCall, cache: _Cache) -> dict[str, Any]:
    asked = cache.parameters
    bucket, path = _place(cache)
    return {
        **cache.row(call),
        "Bucket": bucket,
        "DataCacheId": cache.id,
        "DataSource": {"Type": asked.get("DataSource", {}).get("Type", ""), "Options": ""},
        "Name": asked["Name"],
        "Path": path,
        "Size": asked.get("Size", 20),
    }


def _place(cache: _Cache) -> tuple[str, str]:
    return str(cache.parameters.get("Bucket", _BUCKET)), str(cache.parameters["Path"])


def _matches(asked: Mapping[str, Any], images: list[str]) -> bool:
    """Return whether a cache with these images answers the query."""
    wanted = set(asked.get("MatchImage", ()))
    if asked.get("ImageFullMatch"):
        return wanted <= set(images)
    found = not wanted or bool(wanted & set(images))
    return found and asked.get("Image", images[0]) in images


def _tagged(call: ApiCall, row: Mapping[str, Any]) -> bool:
    tags = {each["Key"]: each["Value"] for each in row["Tags"]}
    return all(key in tags and value in (None, tags[key]) for key, value in call.tags().items())


def _page(call: ApiCall, name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a page; a token is the number of rows before it."""
    start, limit = int(call.text("NextToken") or 0), call.parameters.get("Limit", _PAGE)
    more = start + limit < len(rows)
    return {
        "TotalCount": len(rows),
        "NextToken": str(start + limit) if more else "",
        name: rows[start : start + limit],
    }


def _delete(call: ApiCall, id: str, name: str) -> dict[str, Any]:
    if call.cloud.caches.pop(id, None) is None:
        raise not_found(name)
    return {}
