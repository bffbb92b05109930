"""The ECI API as its vendor describes it: parameters, error codes and response fields.

Read from ``api_description.json``, which ``python tools/describe_eci.py`` writes from the vendor's
API metadata and clients. In a wire name ``N`` stands for the index of a list, from 1. What the
vendor leaves out and users need is in `UNDESCRIBED`, with its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import orjson

__all__ = [
    "UNDESCRIBED",
    "ActionDescription",
    "ParameterDescription",
    "UndescribedParameter",
    "action_names",
    "describe",
]


@attrs.frozen(kw_only=True)
class ParameterDescription:
    """One parameter."""

    type: str
    """string, integer, number, boolean, array or object."""
    format: str = ""
    """int32, int64 or float."""
    required: bool = False
    """In a list's item: where the item is given."""
    minimum: int | None = None
    """Of a number its least value, of a string its least length."""
    maximum: int | None = None
    max_items: int | None = None
    values: tuple[str, ...] = ()
    """The permitted values; empty: any."""


@attrs.frozen(kw_only=True)
class ActionDescription:
    """One action."""

    parameters: Mapping[str, ParameterDescription]
    """By wire name, those of `UNDESCRIBED` and the common ones included."""
    errors: Mapping[str, tuple[int, ...]]
    """The HTTP statuses of each documented code."""
    response: Mapping[str, Any]
    """The nested fields with their types; a list holds its one kind of item."""


@attrs.frozen
class UndescribedParameter:
    """A parameter that the vendor's metadata lacks."""

    action: str
    name: str
    description: ParameterDescription
    source: str
    """Where the vendor names it."""
    if_refused: str
    """What happens if the service refuses it, and what to do."""


_REFUSED = "the pod fails with InvalidParameter and the name: remove the annotation"
UNDESCRIBED = (
    UndescribedParameter(
        "CreateContainerGroup",
        "MaxPendingMinute",
        ParameterDescription(type="integer", minimum=10, maximum=1440),
        "documentation of the pod annotation k8s.aliyun.com/eci-max-pending-minute",
        _REFUSED,
    ),
    UndescribedParameter(
        "CreateContainerGroup",
        "SlsEnable",
        ParameterDescription(type="boolean"),
        "aliyun-python-sdk-eci 1.3.3",
        _REFUSED,
    ),
    UndescribedParameter(
        "DeleteContainerGroup",
        "Force",
        ParameterDescription(type="boolean"),
        "aliyun-python-sdk-eci 1.3.3",
        "the deletion fails with InvalidParameter and is tried again: delete without force",
    ),
)
"""All parameters beyond the vendor's metadata that provider or emulator know."""


def action_names() -> tuple[str, ...]:
    """Return the names of all described actions."""
    return tuple(_document()["actions"])


@cache
def describe(action: str) -> ActionDescription:
    """Return the description of an action. Raises KeyError for an unknown one."""
    document = _document()
    entry = document["actions"][action]
    parameters = {name: _parameter(one) for name, one in entry["parameters"].items()}
    parameters |= {name: ParameterDescription(type="string") for name in document["common"]}
    parameters |= {one.name: one.description for one in UNDESCRIBED if one.action == action}
    errors = {code: tuple(statuses) for code, statuses in entry["errors"].items()}
    return ActionDescription(parameters=parameters, errors=errors, response=entry["response"])


@cache
def _document() -> Any:
    return orjson.loads(Path(__file__).with_suffix(".json").read_bytes())


def _parameter(entry: str | Mapping[str, Any]) -> ParameterDescription:
    if isinstance(entry, str):
        return ParameterDescription(type=entry)
    return ParameterDescription(
        type=entry["type"],
        format=entry.get("format", ""),
        required=entry.get("required", False),
        minimum=entry.get("minimum"),
        maximum=entry.get("maximum"),
        max_items=entry.get("maxItems"),
        values=tuple(entry.get("enum", ())),
    )
