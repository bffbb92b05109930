"""The form of an answer that a client requests, and the answer in it.

The header ``Accept`` comes in; an object or a list goes out as it is (``plain``), as the table that
kubectl prints (``table``), or only its metadata (``metadata``). Reads, writes and watches use it.

Note: plain lists are joined from the stored bytes, never parsed; typed clients prefer
protobuf, which is never chosen, and they take JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import orjson

from vk.devcluster import refusals
from vk.devcluster.kinds import Kind
from vk.devcluster.storage.storage import Entry, encode, parse
from vk.devcluster.tables.table import table
from vk.models.time import now

__all__ = ["JSON", "Form", "form_of", "many", "one", "shown"]

JSON = "application/json"
_PLAIN = (JSON, "application/*", "*/*")

Form = Literal["plain", "table", "metadata"]

_FORMS: dict[str, Form] = {
    "Table": "table",
    "PartialObjectMetadata": "metadata",
    "PartialObjectMetadataList": "metadata",
}


@lru_cache(maxsize=256)
def form_of(accept: str) -> Form:
    """Return the first form of the header that the server can write; plain for an empty one.

    Raises the refusal not_acceptable.
    """
    for clause in accept.split(",") if accept.strip() else ("*/*",):
        media, *rest = [part.strip() for part in clause.split(";")]
        if media not in _PLAIN:
            continue
        parameters = dict(part.partition("=")[::2] for part in rest)
        if "as" not in parameters:
            return "plain"
        if parameters.get("g") == "meta.k8s.io" and parameters.get("v") == "v1":
            form = _FORMS.get(parameters["as"])
            if form is not None:
                return form
    raise refusals.not_acceptable(JSON)


def one(kind: Kind, entry: Entry, form: Form = "plain", include: str = "") -> bytes:
    """Return a stored object as the body of an answer."""
    if form == "plain":
        return encode(kind, entry)
    return orjson.dumps(shown(kind, parse(kind, entry), form, include))


def shown(
    kind: Kind, obj: dict[str, Any], form: Form, include: str = "", *, columns: bool = True
) -> dict[str, Any]:
    """Return an object in a form; ``columns``: a table describes its columns."""
    if form == "plain":
        return obj
    if form == "metadata":
        return _metadata(obj)
    return table(
        kind,
        [obj],
        now=now(),
        resource_version=obj["metadata"].get("resourceVersion", ""),
        include=include or "Metadata",
        columns=columns,
    )


def many(
    kind: Kind,
    entries: Sequence[Entry],
    form: Form,
    *,
    metadata: dict[str, Any],
    include: str = "",
) -> bytes:
    """Return a list of stored objects as the body of an answer; ``metadata`` is the list's own."""
    if form == "plain":
        head = orjson.dumps(
            {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": metadata}
        )
        items = b",".join(encode(kind, entry, item=True) for entry in entries)
        return b'%b,"items":[%b]}\n' % (head[:-1], items)
    objects = [parse(kind, entry) for entry in entries]
    if form == "metadata":
        return orjson.dumps(
            {
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata,
                "items": [_metadata(obj) for obj in objects],
            }
        )
    answer = table(
        kind,
        objects,
        now=now(),
        resource_version=metadata["resourceVersion"],
        continue_=metadata.get("continue"),
        include=include or "Metadata",
    )
    answer["metadata"] = metadata
    return orjson.dumps(answer)


def _metadata(obj: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }
