"""The addresses of Services: cluster IPs and node ports, allocated when a Service names none.

`Addresses.admit` is an admission of new Services. Nothing listens there: no kube-proxy runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from vk.devcluster import refusals
from vk.devcluster.kinds import Kind
from vk.devcluster.refusals import Cause
from vk.devcluster.storage.storage import Storage, parse
from vk.devcluster.validation import needs_cluster_ip

__all__ = ["Addresses"]

_IPS = [f"10.96.{high}.{low}" for high in range(1, 255) for low in range(1, 255)]
_PORTS = range(30000, 32768)


@attrs.define(eq=False)
class Addresses:
    """Gives Services their addresses, the first that is free."""

    storage: Storage

    def admit(self, kind: Kind, obj: dict[str, Any]) -> dict[str, Any]:
        """Return a new Service with its addresses; other objects as they are.

        Raises the refusal invalid for an address that another Service has.
        """
        if kind.name != "Service" or kind.group:
            return obj
        spec = dict(obj["spec"])
        taken = {ip for one in self._specs(kind) for ip in one.get("clusterIPs") or ()}
        for ip in spec.get("clusterIPs") or ():
            if ip in taken and ip != "None":
                why = f'Invalid value: ["{ip}"]: failed to allocate IP {ip}: '
                why += "provided IP is already allocated"
                cause = Cause("FieldValueInvalid", why, "spec.clusterIPs")
                raise refusals.invalid(kind, obj["metadata"].get("name", ""), [cause])
        if needs_cluster_ip(obj):
            spec["clusterIP"] = next(ip for ip in _IPS if ip not in taken)
            spec["clusterIPs"] = [spec["clusterIP"]]
        if spec.get("type") in ("NodePort", "LoadBalancer") and spec.get("ports"):
            free = self._free_ports(kind)
            spec["ports"] = [
                port if port.get("nodePort") else {**port, "nodePort": next(free)}
                for port in spec["ports"]
            ]
        return {**obj, "spec": spec}

    def _free_ports(self, kind: Kind) -> Iterator[int]:
        specs = list(self._specs(kind))
        taken = {port.get("nodePort") for spec in specs for port in spec.get("ports") or ()}
        return (port for port in _PORTS if port not in taken)

    def _specs(self, kind: Kind) -> Iterator[dict[str, Any]]:
        return (parse(kind, entry)["spec"] for entry in self.storage.entries(kind))
