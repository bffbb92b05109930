"""Defaults, strategy and validation of objects before they are stored. Pure.

In: parsed JSON of a client, of any shape. Out: the object as the real server would store it, or why
it is refused. The server calls `for_create` and then `check_create`, `for_update` and then
`check_update`; uid, creationTimestamp, resourceVersion, the rest of a generateName, managedFields
and the addresses of Services are its own matter. Only `prepared` changes what it is given.

Note: the checks rely on the types, so they take only what ``for_create`` and ``for_update``
return. Where the real server reports a cause twice, it is reported once.
"""

from __future__ import annotations

from typing import Any

from vk.devcluster.kinds import Kind
from vk.devcluster.validation.access_kinds import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
)
from vk.devcluster.validation.causes import Cause
from vk.devcluster.validation.config_data import CONFIG_MAPS, SECRETS
from vk.devcluster.validation.decoding import WrongTypeError, decode, unknown_fields
from vk.devcluster.validation.endpoints import ENDPOINT_SLICES, ENDPOINTS
from vk.devcluster.validation.events import CORE_EVENTS, NEW_EVENTS
from vk.devcluster.validation.events import converted as converted_event
from vk.devcluster.validation.leases import LEASES
from vk.devcluster.validation.metadata import (
    keep_metadata,
    metadata_faults,
    metadata_update_faults,
    reset_metadata,
)
from vk.devcluster.validation.namespaces import NAMESPACES
from vk.devcluster.validation.nodes import NODES
from vk.devcluster.validation.persistent_volumes import CLAIMS, PERSISTENT_VOLUMES
from vk.devcluster.validation.pods import PODS
from vk.devcluster.validation.selectable import field_labels, selectable_fields
from vk.devcluster.validation.services import SERVICES, needs_cluster_ip
from vk.devcluster.validation.signing_requests import SIGNING_REQUESTS
from vk.devcluster.validation.strategy import Strategy

__all__ = [
    "Cause",
    "WrongTypeError",
    "check_create",
    "check_update",
    "converted",
    "field_labels",
    "for_create",
    "for_update",
    "needs_cluster_ip",
    "prepared",
    "selectable_fields",
    "unknown_fields",
    "with_defaults",
]

_STRATEGIES = {
    ("", "ConfigMap"): CONFIG_MAPS,
    ("", "Endpoints"): ENDPOINTS,
    ("", "Event"): CORE_EVENTS,
    ("", "Namespace"): NAMESPACES,
    ("", "Node"): NODES,
    ("", "PersistentVolume"): PERSISTENT_VOLUMES,
    ("", "PersistentVolumeClaim"): CLAIMS,
    ("", "Pod"): PODS,
    ("", "Secret"): SECRETS,
    ("", "Service"): SERVICES,
    ("certificates.k8s.io", "CertificateSigningRequest"): SIGNING_REQUESTS,
    ("coordination.k8s.io", "Lease"): LEASES,
    ("discovery.k8s.io", "EndpointSlice"): ENDPOINT_SLICES,
    ("events.k8s.io", "Event"): NEW_EVENTS,
    ("rbac.authorization.k8s.io", "ClusterRole"): CLUSTER_ROLES,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): CLUSTER_ROLE_BINDINGS,
    ("rbac.authorization.k8s.io", "Role"): ROLES,
    ("rbac.authorization.k8s.io", "RoleBinding"): ROLE_BINDINGS,
}
_PLAIN = Strategy()


def _strategy_of(kind: Kind) -> Strategy:
    """Return the steps of a kind; one that is not in the table is stored as it came."""
    return _STRATEGIES.get((kind.group, kind.name), _PLAIN)


def for_create(kind: Kind, obj: dict[str, Any]) -> dict[str, Any]:
    """Return a defaulted copy, ready for check_create and then to be stored.

    Takes any JSON object: unknown fields and empty optional values are dropped, quantities and
    times are written as the real server writes them. Raises WrongTypeError.
    """
    return prepared(kind, with_defaults(kind, obj))


def with_defaults(kind: Kind, obj: dict[str, Any]) -> dict[str, Any]:
    """Return the first half of for_create: what managedFields records as given.

    Raises WrongTypeError.
    """
    new = decode(kind, obj)
    _strategy_of(kind).default(new)
    return new


def prepared(kind: Kind, new: dict[str, Any]) -> dict[str, Any]:
    """Return the second half of for_create, which is the server's part; changes ``new``."""
    strategy = _strategy_of(kind)
    reset_metadata(new["metadata"], generation=strategy.generation is not None)
    strategy.prepare_create(new)
    return new


def for_update(
    kind: Kind, old: dict[str, Any], new: dict[str, Any], subresource: str = ""
) -> dict[str, Any]:
    """Return what ``new`` makes of the stored ``old``, ready for check_update.

    Defaults are filled in; spec or status are the old ones where the (sub)resource may not change
    them; the generation rises with the part that it counts; immutable metadata is restored. A
    ``subresource`` is also ``"deletion"``, with which the server passes its own change of
    deletionTimestamp and grace period, and ``"binding"``, with which it passes a pod that it has
    given a node: everything in them is kept. Raises WrongTypeError.
    """
    strategy = _strategy_of(kind)
    result = decode(kind, new)
    strategy.default(result)
    deletion = result["metadata"].get("deletionTimestamp")
    keep_metadata(old["metadata"], result["metadata"])
    strategy.prepare_update(old, result, subresource)
    if subresource == "deletion":
        result["metadata"]["deletionTimestamp"] = deletion
    if _raises_generation(kind, old, result, subresource):
        result["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
    return result


def _raises_generation(
    kind: Kind, old: dict[str, Any], new: dict[str, Any], subresource: str
) -> bool:
    generation = _strategy_of(kind).generation
    if subresource == "deletion":
        first = "deletionTimestamp" not in old["metadata"]
        return first and bool(old["metadata"].get("generation"))
    if generation is None or subresource == "binding":  # which is no change of the desired state
        return False
    return generation(old) != generation(new)


def check_create(kind: Kind, obj: dict[str, Any]) -> list[Cause]:
    """Return why the object (after for_create, with its name) is refused; empty = valid."""
    strategy = _strategy_of(kind)
    causes = metadata_faults(obj["metadata"], strategy.name_faults)
    return _once(causes + strategy.check(obj) + strategy.check_create(obj))


def check_update(
    kind: Kind, old: dict[str, Any], new: dict[str, Any], subresource: str = ""
) -> list[Cause]:
    """Return why the change (``new`` after for_update) is refused; empty = valid."""
    strategy = _strategy_of(kind)
    causes: list[Cause] = []
    if subresource != "deletion":
        causes += metadata_faults(new["metadata"], lambda name: [])
        causes += metadata_update_faults(old["metadata"], new["metadata"])
    causes += strategy.check(new)
    return _once(causes + strategy.check_update(old, new, subresource))


def converted(kind: Kind, obj: dict[str, Any]) -> dict[str, Any]:
    """Return a stored object as this kind shows it; differs for the two kinds of Event only."""
    return converted_event(kind, obj) if kind.name == "Event" else obj


def _once(causes: list[Cause]) -> list[Cause]:
    return list(dict.fromkeys(causes))
