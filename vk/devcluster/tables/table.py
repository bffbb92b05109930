"""Objects as kubectl's table: the columns of their kind and one row each. Pure.

In: a kind, stored objects, and now. Out: a ``meta.k8s.io/v1`` Table as JSON. Called by the server
for a client that accepts one, as ``kubectl get`` does. What is in the cells is in
`vk.devcluster.tables`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from vk.devcluster.kinds import Kind
from vk.devcluster.tables import network, nodes, others, pods, storage
from vk.devcluster.tables.column import Columns

__all__ = ["table"]

_COLUMNS: dict[str, Columns] = {
    "CertificateSigningRequest": others.SIGNING_REQUESTS,
    "ClusterRoleBinding": others.ROLE_BINDINGS,
    "ConfigMap": others.CONFIG_MAPS,
    "EndpointSlice": network.ENDPOINT_SLICES,
    "Endpoints": network.ENDPOINTS,
    "Event": others.EVENTS,
    "Lease": others.LEASES,
    "Namespace": others.NAMESPACES,
    "Node": nodes.NODES,
    "PersistentVolume": storage.PERSISTENT_VOLUMES,
    "PersistentVolumeClaim": storage.CLAIMS,
    "Pod": pods.PODS,
    "RoleBinding": others.ROLE_BINDINGS,
    "Secret": others.SECRETS,
    "Service": network.SERVICES,
    "ServiceAccount": others.SERVICE_ACCOUNTS,
}


def table(
    kind: Kind,
    objects: Sequence[dict[str, Any]],
    *,
    now: datetime,
    resource_version: str,
    continue_: str | None = None,
    remaining: int | None = None,
    include: str = "Metadata",
    columns: bool = True,
) -> dict[str, Any]:
    """Return the Table of ``objects``, in their order.

    ``include``: what a row carries of its object: ``Metadata``, ``Object`` or ``None``.
    ``columns=False`` leaves the definitions out, as all but the first event of a watch do.
    """
    shown = _COLUMNS.get(kind.name, others.PLAIN)
    metadata: dict[str, Any] = {"resourceVersion": resource_version}
    if continue_:
        metadata["continue"] = continue_
    if remaining:
        metadata["remainingItemCount"] = remaining
    definitions = [column.definition() for column in shown.columns] if columns else None
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": [_row(shown, obj, now, include) for obj in objects],
    }


def _row(columns: Columns, obj: dict[str, Any], now: datetime, include: str) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": columns.cells(obj, now)}
    conditions = columns.conditions(obj) if columns.conditions else []
    if conditions:
        row["conditions"] = conditions
    row["object"] = _carried(obj, include)
    return row


def _carried(obj: dict[str, Any], include: str) -> dict[str, Any] | None:
    if include == "None":
        return None
    if include == "Object":
        return obj
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return {**partial, "metadata": obj["metadata"]}
