"""The plan of a pod: the complete input of its supervisor.

In: the containers of a `vk.Pod` and their settings on this machine. Out: the JSON described in
`supervisor.plan`. Probes and hooks are validated: unsupported ones raise InvalidInputError.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

import vk

__all__ = ["ContainerPlan", "PodPlan", "ProbePlan"]

Json = Mapping[str, Any]
Kind = Literal["init", "sidecar", "container"]

_LOG_LIMIT = 10 * 1024 * 1024  # the kubelet's containerLogMaxSize
_LOG_FILES = 5  # and its containerLogMaxFiles


@attrs.frozen(kw_only=True)
class ProbePlan:
    """One probe, with the defaults of Kubernetes."""

    action: Json
    initial_delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3
    grace_period: float | None = None

    @classmethod
    def of(cls, raw: Json | None, *, host: str, ports: Mapping[str, int]) -> ProbePlan | None:
        """Return a probe of a container; None where there is none.

        ``host`` is the default host of the probe; ``ports`` are the container's ports by name.
        """
        if not raw:
            return None
        grace_period = raw.get("terminationGracePeriodSeconds")
        return cls(
            action=_action(raw, host=host, ports=ports),
            initial_delay=float(raw.get("initialDelaySeconds") or 0),
            period=float(raw.get("periodSeconds") or 10),
            timeout=float(raw.get("timeoutSeconds") or 1),
            success_threshold=int(raw.get("successThreshold") or 1),
            failure_threshold=int(raw.get("failureThreshold") or 3),
            grace_period=None if grace_period is None else float(grace_period),
        )


@attrs.frozen(kw_only=True)
class ContainerPlan:
    """One container.

    ``namespaces`` is the bwrap command, without the command to execute, that creates the
    container's namespaces; empty: not isolated. It also runs as ``uid`` and ``gid``, but without
    ``env``; ``argv``, ``cwd`` and ``env`` apply inside. ``confined_mounts`` must be inside of a
    volume: its folder, the path beneath it, and the mount point. ``message_file`` is the host path
    of the termination message, or None.
    """

    name: str
    kind: Kind = "container"
    argv: Sequence[str]
    env: Mapping[str, str] = attrs.field(factory=dict, repr=False)  # may hold secrets
    cwd: str = "/"
    uid: int | None = None
    gid: int | None = None
    groups: Sequence[int] = ()
    namespaces: Sequence[str] = ()
    confined_mounts: Sequence[tuple[str, str, str]] = ()
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    stop_signal: int = int(signal.SIGTERM)
    post_start: Json | None = None
    pre_stop: Json | None = None
    startup: ProbePlan | None = None
    readiness: ProbePlan | None = None
    liveness: ProbePlan | None = None
    message_file: str | None = None
    message_policy: str = "File"

    @classmethod
    def of(
        cls,
        container: vk.Container,
        *,
        argv: Sequence[str],
        host: str,
        initial: bool = False,
        **where: Any,
    ) -> ContainerPlan:
        """Return the plan of a container; ``where`` are fields of this class.

        ``initial``: it is one of the init containers. ``host`` is the pod's address, for probes.
        Raises InvalidInputError.
        """
        raw = container.raw
        hooks: Json = raw.get("lifecycle") or {}
        ports = {port["name"]: port["containerPort"] for port in _list(raw, "ports", "name")}
        sidecar = raw.get("restartPolicy") == "Always"
        fields: dict[str, Any] = {
            "kind": ("sidecar" if sidecar else "init") if initial else "container",
            "env": dict(container.env),
            "stdin": bool(raw.get("stdin")),
            "stdin_once": bool(raw.get("stdinOnce")),
            "tty": bool(raw.get("tty")),
            "stop_signal": _signal(hooks.get("stopSignal") or "SIGTERM"),
            "post_start": _hook(hooks.get("postStart"), host=host, ports=ports),
            "pre_stop": _hook(hooks.get("preStop"), host=host, ports=ports),
            "startup": ProbePlan.of(raw.get("startupProbe"), host=host, ports=ports),
            "readiness": ProbePlan.of(raw.get("readinessProbe"), host=host, ports=ports),
            "liveness": ProbePlan.of(raw.get("livenessProbe"), host=host, ports=ports),
            "message_policy": raw.get("terminationMessagePolicy") or "File",
        }
        return cls(name=container.name, argv=tuple(argv), **{**fields, **where})


@attrs.frozen(kw_only=True)
class PodPlan:
    """One pod. ``containers`` has the init containers first, in the order of the spec."""

    key: vk.PodKey
    restart_policy: str = "Always"
    grace_period: float = 30.0
    log_limit: int = _LOG_LIMIT
    """Bytes of a container's log file before it is rotated."""
    log_files: int = _LOG_FILES
    containers: Sequence[ContainerPlan]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as the supervisor reads it."""
        raw = attrs.asdict(self)
        key = raw.pop("key")
        return {**raw, **key}


def _action(raw: Json, *, host: str, ports: Mapping[str, int]) -> Json:
    """Return the handler of a probe or hook; raises InvalidInputError for unsupported ones."""
    if raw.get("exec"):
        return {"exec": list(raw["exec"].get("command") or ())}
    if raw.get("httpGet"):
        http = raw["httpGet"]
        path = http.get("path") or "/"
        return {
            "http": {
                "scheme": (http.get("scheme") or "HTTP").lower(),
                "host": http.get("host") or host,
                "port": _port(http.get("port"), ports),
                "path": path if path.startswith("/") else f"/{path}",
                "headers": [(each["name"], each["value"]) for each in _list(http, "httpHeaders")],
            }
        }
    if raw.get("tcpSocket"):
        tcp = raw["tcpSocket"]
        return {"tcp": {"host": tcp.get("host") or host, "port": _port(tcp.get("port"), ports)}}
    if raw.get("sleep"):
        return {"sleep": float(raw["sleep"].get("seconds") or 0)}
    expected = "exec, httpGet, tcpSocket or, in a hook, sleep"
    raise vk.InvalidInputError(f"a probe or hook of {sorted(raw)}, expected {expected}")


def _hook(raw: Json | None, *, host: str, ports: Mapping[str, int]) -> Json | None:
    return _action(raw, host=host, ports=ports) if raw else None


def _port(port: object, ports: Mapping[str, int]) -> int:
    if isinstance(port, int):
        return port
    if isinstance(port, str) and (port in ports or port.isdigit()):
        return ports.get(port) or int(port)
    raise vk.InvalidInputError(f"port {port!r} of a probe or hook, expected one of {sorted(ports)}")


def _signal(name: str) -> int:
    try:
        return int(signal.Signals[name])
    except KeyError:
        raise vk.InvalidInputError(f"stop signal {name!r}, expected one of this machine") from None


def _list(raw: Json, field: str, needed: str = "") -> list[Json]:
    return [each for each in raw.get(field) or () if not needed or each.get(needed)]
