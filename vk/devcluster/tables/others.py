"""The columns of the kinds with few of them. Pure.

In: stored objects. Out: their cells; called by `vk.devcluster.tables.table`. A kind without columns
of its own shows its name and when it was created, as any kind does on the real server.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from vk.devcluster.tables.column import (
    AGE,
    NAME,
    NONE,
    Cells,
    Column,
    Columns,
    duration_text,
    since,
    wide,
)
from vk.devcluster.validation.events import core_form
from vk.models.api_object import Json, spec_of, status_of

__all__ = [
    "CONFIG_MAPS",
    "EVENTS",
    "LEASES",
    "NAMESPACES",
    "PLAIN",
    "ROLE_BINDINGS",
    "SECRETS",
    "SERVICE_ACCOUNTS",
    "SIGNING_REQUESTS",
]


def _between(cells: Cells) -> Cells:
    """Put the name before, and the age after, what ``cells`` gives."""

    def all_cells(obj: dict[str, Any], now: datetime) -> list[Any]:
        metadata = obj["metadata"]
        return [
            metadata["name"],
            *cells(obj, now),
            since(metadata.get("creationTimestamp"), now),
        ]

    return all_cells


def _namespace(namespace: dict[str, Any], now: datetime) -> list[Any]:
    return [status_of(namespace).get("phase", "")]


def _config_map(config_map: dict[str, Any], now: datetime) -> list[Any]:
    return [len(config_map.get("data") or ()) + len(config_map.get("binaryData") or ())]


def _secret(secret: dict[str, Any], now: datetime) -> list[Any]:
    return [secret.get("type", ""), len(secret.get("data") or ())]


def _lease(lease: dict[str, Any], now: datetime) -> list[Any]:
    return [spec_of(lease).get("holderIdentity", "")]


def _plain(obj: dict[str, Any], now: datetime) -> list[Any]:
    metadata = obj["metadata"]
    return [metadata["name"], metadata.get("creationTimestamp", "")]


def _event(event: dict[str, Any], now: datetime) -> list[Any]:
    event = core_form(event)
    about, source = event.get("involvedObject") or {}, event.get("source") or {}
    first = since(event.get("firstTimestamp") or event.get("eventTime"), now)
    last = since(event["lastTimestamp"], now) if event.get("lastTimestamp") else first
    series = event.get("series")
    count = event.get("count") or 1
    if series is not None:
        last, count = since(series.get("lastObservedTime"), now), series.get("count", 0)
    kind, name = about.get("kind", "").lower(), about.get("name", "")
    component = source.get("component") or event.get("reportingComponent", "")
    instance = source.get("host") or event.get("reportingInstance", "")
    return [
        last,
        event.get("type", ""),
        event.get("reason", ""),
        f"{kind}/{name}" if name else kind,
        about.get("fieldPath", ""),
        f"{component}, {instance}" if instance else component,
        event.get("message", "").strip(),
        first,
        count,
        event["metadata"]["name"],
    ]


def _binding(binding: dict[str, Any], now: datetime) -> list[Any]:
    reference, subjects = binding["roleRef"], binding.get("subjects") or []
    names = {
        kind: ", ".join(one["name"] for one in subjects if one["kind"] == kind)
        for kind in ("User", "Group")
    }
    accounts = [
        f"{one.get('namespace', '')}/{one['name']}"
        for one in subjects
        if one["kind"] == "ServiceAccount"
    ]
    return [
        binding["metadata"]["name"],
        f"{reference['kind']}/{reference['name']}",
        since(binding["metadata"].get("creationTimestamp"), now),
        names["User"],
        names["Group"],
        ", ".join(accounts),
    ]


def _signing_request(request: dict[str, Any], now: datetime) -> list[Any]:
    spec = request["spec"]
    seconds = spec.get("expirationSeconds")
    return [
        request["metadata"]["name"],
        since(request["metadata"].get("creationTimestamp"), now),
        spec.get("signerName") or NONE,
        spec.get("username", ""),
        NONE if seconds is None else duration_text(timedelta(seconds=seconds)),
        _signing_state(status_of(request)),
    ]


def _signing_state(status: Json) -> str:
    kinds = {condition["type"] for condition in status.get("conditions") or ()}
    words = ["Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"]
    if "Failed" in kinds:
        words.append("Failed")
    if status.get("certificate"):
        words.append("Issued")
    return ",".join(words)


_DATA = Column("Data", "How many keys it has.")
NAMESPACES = Columns((NAME, Column("Status", "Active or Terminating."), AGE), _between(_namespace))
CONFIG_MAPS = Columns((NAME, _DATA, AGE), _between(_config_map))
SECRETS = Columns((NAME, Column("Type", "What it is for."), _DATA, AGE), _between(_secret))
SERVICE_ACCOUNTS = Columns((NAME, AGE), _between(lambda account, now: []))
LEASES = Columns((NAME, Column("Holder", "Who holds it."), AGE), _between(_lease))
PLAIN = Columns((NAME, Column("Created At", "When it was created.", type="date")), _plain)
EVENTS = Columns(
    (
        Column("Last Seen", "Time since it happened last."),
        Column("Type", "Normal or Warning."),
        Column("Reason", "Why, in a word for machines."),
        Column("Object", "What it is about."),
        wide("Subobject", "Which part of the object."),
        wide("Source", "Who reported it."),
        Column("Message", "What happened."),
        wide("First Seen", "Time since it happened first."),
        wide("Count", "How often it happened."),
        Column("Name", "Name of the event.", 1, format="name"),
    ),
    _event,
)
ROLE_BINDINGS = Columns(
    (
        NAME,
        Column("Role", "The role that is given."),
        AGE,
        wide("Users", "Users who have it."),
        wide("Groups", "Groups that have it."),
        wide("ServiceAccounts", "ServiceAccounts that have it."),
    ),
    _binding,
)
SIGNING_REQUESTS = Columns(
    (
        NAME,
        AGE,
        Column("SignerName", "Who is to sign."),
        Column("Requestor", "The user that made the request."),
        Column("RequestedDuration", "How long the certificate should be valid."),
        Column("Condition", "What has been decided."),
    ),
    _signing_request,
)
