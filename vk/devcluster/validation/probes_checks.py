"""Checks of probes and lifecycle hooks. Pure.

In: a probe or a lifecycle of a container. Out: causes. Called by the containers' checks.
"""

from __future__ import annotations

from typing import Any

from vk.devcluster.validation.causes import (
    Cause,
    forbidden,
    invalid,
    invalid_each,
    required,
    unsupported,
)
from vk.devcluster.validation.names import header_faults, port_faults, port_name_faults

__all__ = ["lifecycle_faults", "probe_faults"]

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_SCHEMES = ("HTTP", "HTTPS")
_COUNTS = (
    *("initialDelaySeconds", "timeoutSeconds", "periodSeconds"),
    *("successThreshold", "failureThreshold"),
)


def probe_faults(field: str, name: str, probe: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with one probe; ``name`` is the field that holds it."""
    causes = _handler_faults(field, probe)
    for count in _COUNTS:
        if probe.get(count, 0) < 0:
            detail = "must be greater than or equal to 0"
            causes.append(invalid(f"{field}.{count}", probe[count], detail))
    grace = probe.get("terminationGracePeriodSeconds")
    where = f"{field}.terminationGracePeriodSeconds"
    if grace is not None and name == "readinessProbe":
        causes.append(invalid(where, grace, "must not be set for readinessProbes"))
    elif grace is not None and grace <= 0:
        causes.append(invalid(where, grace, "must be greater than 0"))
    successes = probe["successThreshold"]
    if name != "readinessProbe" and successes != 1:
        causes.append(invalid(f"{field}.successThreshold", successes, "must be 1"))
    return causes


def lifecycle_faults(field: str, lifecycle: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with the hooks of a container."""
    causes: list[Cause] = []
    for hook in ("postStart", "preStop"):
        if hook in lifecycle:
            causes += _handler_faults(f"{field}.{hook}", lifecycle[hook])
    return causes


def _handler_faults(field: str, handler: dict[str, Any]) -> list[Cause]:
    present = [name for name in _HANDLERS if name in handler]
    if not present:
        return [required(field, "must specify a handler type")]
    causes: list[Cause] = []
    for name in present[1:]:
        detail = "may not specify more than 1 handler type"
        causes.append(forbidden(f"{field}.{name}", detail))
    name = present[0]
    at, action = f"{field}.{name}", handler[name]
    if name == "exec" and not action.get("command"):
        causes.append(required(f"{at}.command"))
    elif name == "httpGet":
        causes += _http_faults(at, action)
    elif name in ("tcpSocket", "grpc"):
        causes += _port_faults(f"{at}.port", action["port"])
    elif name == "sleep" and action["seconds"] < 0:
        causes.append(invalid(f"{at}.seconds", action["seconds"], "must be non-negative"))
    return causes


def _http_faults(field: str, action: dict[str, Any]) -> list[Cause]:
    causes = _port_faults(f"{field}.port", action["port"])
    if action["scheme"] not in _SCHEMES:
        causes.append(unsupported(f"{field}.scheme", action["scheme"], _SCHEMES))
    for header in action.get("httpHeaders") or ():
        faults = header_faults(header["name"])
        causes += invalid_each(f"{field}.httpHeaders", header["name"], faults)
    return causes


def _port_faults(field: str, port: int | str) -> list[Cause]:
    faults = port_faults(port) if isinstance(port, int) else port_name_faults(port)
    return invalid_each(field, port, faults)
