"""Which strategy each kind has. Pure.

In: a Kind. Out: `strategy_of`. Called by the package's functions. A kind that is not here is stored
as it came, with the checks of metadata alone.
"""

from __future__ import annotations

from vk.devcluster.kinds import Kind
from vk.devcluster.validation.access_kinds import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
)
from vk.devcluster.validation.config_data import CONFIG_MAPS, SECRETS
from vk.devcluster.validation.endpoints import ENDPOINT_SLICES, ENDPOINTS
from vk.devcluster.validation.events import CORE_EVENTS, NEW_EVENTS
from vk.devcluster.validation.leases import LEASES
from vk.devcluster.validation.namespaces import NAMESPACES
from vk.devcluster.validation.nodes import NODES
from vk.devcluster.validation.persistent_volumes import CLAIMS, PERSISTENT_VOLUMES
from vk.devcluster.validation.pods import PODS
from vk.devcluster.validation.services import SERVICES
from vk.devcluster.validation.signing_requests import SIGNING_REQUESTS
from vk.devcluster.validation.strategy import Strategy

__all__ = ["strategy_of"]

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


def strategy_of(kind: Kind) -> Strategy:
    """Return the steps of a kind."""
    return _STRATEGIES.get((kind.group, kind.name), _PLAIN)
