"""Probes and lifecycle hooks of a container, as CreateContainerGroup takes them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vk_providers.alibabacloud.problems import Problems

__all__ = ["lifecycle_parameters", "probe_parameters"]

Raw = Mapping[str, Any]
_MOST_WORDS = 20
_TIMES = {
    "initialDelaySeconds": "InitialDelaySeconds",
    "periodSeconds": "PeriodSeconds",
    "timeoutSeconds": "TimeoutSeconds",
    "successThreshold": "SuccessThreshold",
    "failureThreshold": "FailureThreshold",
}
_HOOKS = {"postStart": "LifecyclePostStartHandler", "preStop": "LifecyclePreStopHandler"}


def probe_parameters(
    raw: Raw, field: str, path: str, ports: Mapping[str, int], problems: Problems
) -> dict[str, Any] | None:
    """Return the parameters of the probe in ``field``; None where the container has none."""
    probe = raw.get(field)
    if not probe:
        return None
    path = f"{path}.{field}"
    times = {name: probe.get(ours) for ours, name in _TIMES.items()}
    if http := probe.get("httpGet"):
        for unknown in ("host", "httpHeaders"):
            if http.get(unknown):
                problems.add(f"{path}.httpGet.{unknown}", "ECI's probes have no such field")
        port = _port(http.get("port"), ports, f"{path}.httpGet.port", problems)
        how = {
            "Path": http.get("path") or "/",
            "Port": port,
            "Scheme": http.get("scheme") or "HTTP",
        }
        return {"HttpGet": how, **times}
    if tcp := probe.get("tcpSocket"):
        if tcp.get("host"):
            problems.add(f"{path}.tcpSocket.host", "ECI's probes have no such field")
        port = _port(tcp.get("port"), ports, f"{path}.tcpSocket.port", problems)
        return {"TcpSocket": {"Port": port}, **times}
    if command := (probe.get("exec") or {}).get("command"):
        problems.at_most(f"{path}.exec.command", len(command), _MOST_WORDS, "words")
        return {"Exec": {"Command": command}, **times}
    problems.add(path, "expected httpGet, tcpSocket or exec: ECI has no other probes")
    return None


def lifecycle_parameters(
    raw: Raw, path: str, ports: Mapping[str, int], problems: Problems
) -> dict[str, Any]:
    """Return the parameters of the hooks, all names flat as the service has them."""
    lifecycle = raw.get("lifecycle") or {}
    parameters: dict[str, Any] = {}
    for field, prefix in _HOOKS.items():
        if hook := lifecycle.get(field):
            where = f"{path}.lifecycle.{field}"
            found = _hook(hook, where, ports, problems)
            parameters |= {prefix + name: value for name, value in found.items()}
    return parameters


def _hook(hook: Raw, path: str, ports: Mapping[str, int], problems: Problems) -> dict[str, Any]:
    if command := (hook.get("exec") or {}).get("command"):
        problems.at_most(f"{path}.exec.command", len(command), _MOST_WORDS, "words")
        return {"Exec": command}
    if http := hook.get("httpGet"):
        headers = [
            {"Name": header["name"], "Value": header.get("value") or ""}
            for header in http.get("httpHeaders") or ()
        ]
        return {
            "HttpGetHost": http.get("host"),
            "HttpGetPort": _port(http.get("port"), ports, f"{path}.httpGet.port", problems),
            "HttpGetPath": http.get("path") or "/",
            "HttpGetScheme": http.get("scheme") or "HTTP",
            "HttpGetHttpHeader": headers,
        }
    if tcp := hook.get("tcpSocket"):
        port = _port(tcp.get("port"), ports, f"{path}.tcpSocket.port", problems)
        return {"TcpSocketHost": tcp.get("host"), "TcpSocketPort": port}
    problems.add(path, "expected exec, httpGet or tcpSocket: ECI has no other hooks")
    return {}


def _port(value: object, ports: Mapping[str, int], path: str, problems: Problems) -> int | None:
    """Return a port by its number or its name."""
    if isinstance(value, int):
        return value
    text = str(value)
    if text in ports:
        return ports[text]
    if text.isascii() and text.isdigit():
        return int(text)
    problems.add(path, "expected a number, or the name of a port of this container")
    return None
