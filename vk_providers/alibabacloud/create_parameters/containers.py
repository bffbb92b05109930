"""One container of a pod: its parameters of CreateContainerGroup, probes and hooks included. Pure.

Variables, command and args come resolved. A variable that refers to the pod's address is sent as a
reference, which the service fills in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import attrs

import vk
from vk_providers.alibabacloud.create_parameters.field_errors import FieldErrors

__all__ = [
    "GPU",
    "PodContext",
    "amount",
    "container_parameters",
    "has_secrets",
    "init_parameters",
    "lifecycle_parameters",
    "probe_parameters",
]

_MOST_WORDS = 20
_MOST_ARGS = 101
_LONGEST_WORD = 256
_LONGEST_VALUE = 256
_MOST_VARIABLES = 240
_ADDED_VARIABLES = 3
"""Variables at most that are set for sidecars and the order of start."""
_LONGEST_IMAGE = 255
_KEY = re.compile(r"[A-Za-z_][0-9A-Za-z_]{0,127}", re.ASCII)
_GIB = Decimal(1 << 30)
GPU = "nvidia.com/gpu"
"""The resource that asks for GPUs."""
_KNOWN_RESOURCES = ("cpu", "memory", "ephemeral-storage", GPU)
_POD_IP = "status.podIP"
_SIDECAR_ENV = {"ECI_CONTAINER_TYPE": "sidecar", "ECI_CONTAINER_IGNORE_EXIT_CODE": "true"}
_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "KILL", "MKNOD", "NET_ADMIN",
        "NET_BIND_SERVICE", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP", "SYS_CHROOT",
        "SYS_PTRACE", "SYS_RAWIO",
    }
)  # fmt: skip
_NO_CONTEXT: Mapping[str, Any] = {}
_NOT_OF_INIT = frozenset(
    {
        "EnvironmentVarHide",
        "SecurityContextPrivileged",
        "SecurityContextRunAsGroup",
        "SecurityContextRunAsNonRoot",
    }
)
"""Parameters of containers that init containers lack."""


@attrs.frozen(kw_only=True)
class PodContext:
    """The settings of a pod that apply to its containers."""

    pod_context: Mapping[str, Any]
    """The pod's ``securityContext``."""
    privileged: bool = False
    """Whether the operator's allow-list permits privileged containers."""
    refuses_init_secrets: bool = False
    """Whether an init container with a variable from a Secret is refused."""
    sidecar: bool = False
    priority: int = 0
    """Launch priority of a sidecar: containers start in descending order of it."""


def container_parameters(
    container: vk.Container, path: str, placement: PodContext, problems: FieldErrors
) -> dict[str, Any]:
    """Return the parameters of a container or a native sidecar at ``path`` in the pod."""
    raw = container.raw
    if raw.get("startupProbe"):
        problems.add(f"{path}.startupProbe", "ECI has no startup probes")
    ports = {
        port["name"]: port["containerPort"] for port in raw.get("ports") or () if "name" in port
    }
    parameters = _common(container, path, placement, problems)
    parameters |= {
        "LivenessProbe": probe_parameters(raw, "livenessProbe", path, ports, problems),
        "ReadinessProbe": probe_parameters(raw, "readinessProbe", path, ports, problems),
        **lifecycle_parameters(raw, path, ports, problems),
        "Tty": raw.get("tty") or None,
        "Stdin": raw.get("stdin") or None,
        "StdinOnce": raw.get("stdinOnce") or None,
    }
    return parameters


def init_parameters(
    container: vk.Container, path: str, placement: PodContext, problems: FieldErrors
) -> dict[str, Any]:
    """Return the parameters of an init container; ECI has fewer for it than for containers.

    Hardening that has none is left out, and noted by `notes_on`; power that has none is refused.
    """
    own = container.raw.get("securityContext") or _NO_CONTEXT
    if own.get("privileged"):
        text = "ECI has no privileged init containers"
        problems.add(f"{path}.securityContext.privileged", text)
    if placement.refuses_init_secrets and has_secrets(container.raw):
        text = "ECI cannot hide variables of init containers, and init_secrets is refuse"
        problems.add(f"{path}.env", text)
    parameters = _common(container, path, placement, problems)
    return {name: value for name, value in parameters.items() if name not in _NOT_OF_INIT}


def _common(
    container: vk.Container, path: str, placement: PodContext, problems: FieldErrors
) -> dict[str, Any]:
    raw = container.raw
    problems.at_most(f"{path}.image", len(container.image), _LONGEST_IMAGE, "characters")
    if not container.image:
        problems.add(f"{path}.image", "expected an image")
    return {
        "Name": container.name,
        "Image": container.image,
        "ImagePullPolicy": raw.get("imagePullPolicy"),
        "WorkingDir": raw.get("workingDir"),
        **_resources(raw, path, problems),
        **_command(container, path, problems),
        "EnvironmentVar": list(_variables(container, path, placement, problems)),
        "EnvironmentVarHide": has_secrets(raw) or None,
        "Port": [_port(port, f"{path}.ports", problems) for port in raw.get("ports") or ()],
        "VolumeMount": [
            _mount(container, mount, f"{path}.volumeMounts[{index}]", problems)
            for index, mount in enumerate(raw.get("volumeMounts") or ())
        ],
        **_security(raw, path, placement, problems),
        "TerminationMessagePath": raw.get("terminationMessagePath"),
        "TerminationMessagePolicy": raw.get("terminationMessagePolicy"),
    }


def amount(raw: Mapping[str, Any], resource: str) -> Decimal:
    """Return the limit of a container, or else its request, or else 0."""
    resources = raw.get("resources") or {}
    for kind in ("limits", "requests"):
        quantity = (resources.get(kind) or {}).get(resource)
        if quantity is not None:
            return vk.parse_quantity(str(quantity))
    return Decimal(0)


def _resources(raw: Mapping[str, Any], path: str, problems: FieldErrors) -> dict[str, Any]:
    resources = raw.get("resources") or {}
    limits = resources.get("limits") or {}
    for kind in ("limits", "requests"):
        for name in resources.get(kind) or {}:
            if name not in _KNOWN_RESOURCES:
                problems.add(f"{path}.resources.{kind}.{name}", "ECI has no such resource")
    gpus = amount(raw, GPU)
    return {
        "Cpu": _number(vk.parse_quantity(str(limits["cpu"]))) if "cpu" in limits else None,
        "Memory": _number(vk.parse_quantity(str(limits["memory"])) / _GIB)
        if "memory" in limits
        else None,
        "Gpu": int(gpus) if gpus else None,
    }


def _number(value: Decimal) -> str:
    """Format a number of vCPU or GiB with three decimals at most, rounded up."""
    thousandths = int((value * 1000).to_integral_value(rounding="ROUND_CEILING"))
    return f"{(Decimal(thousandths) / 1000).normalize():f}"


def _command(container: vk.Container, path: str, problems: FieldErrors) -> dict[str, Any]:
    """Return command and arguments.

    The service limits number and length of the command's words, and only the number of arguments.
    A process gets both as one list, so what a command cannot hold becomes arguments.
    """
    command, args = list(container.command), list(container.args)
    held = [
        index < _MOST_WORDS and len(word) <= _LONGEST_WORD for index, word in enumerate(command)
    ]
    if False in held[1:]:
        first = held.index(False, 1)
        command, args = command[:first], command[first:] + args
    for word in command[:1]:
        problems.at_most(f"{path}.command[0]", len(word), _LONGEST_WORD, "characters")
    problems.at_most(f"{path}.args", len(args), _MOST_ARGS, "words with those of the command")
    return {"Command": command, "Arg": args}


def service_variables_left_out(container: vk.Container) -> frozenset[str]:
    """Return the variables of Services that a container does without: ECI takes 240 in all."""
    count = len(container.env) + len(container.open_env) + _ADDED_VARIABLES
    return container.service_env if count > _MOST_VARIABLES else frozenset()


def _variables(
    container: vk.Container, path: str, placement: PodContext, problems: FieldErrors
) -> Iterator[dict[str, Any]]:
    added = dict(_SIDECAR_ENV) if placement.sidecar else {}
    if placement.priority:
        added["ECI_CONTAINER_LAUNCH_PRIORITY"] = str(placement.priority)
    left_out = service_variables_left_out(container)
    kept = {name: value for name, value in container.env.items() if name not in left_out}
    values = {**kept, **added}
    problems.at_most(
        f"{path}.env", len(values) + len(container.open_env), _MOST_VARIABLES, "variables"
    )
    for name, value in values.items():
        where = f"{path}.env ({name})"
        if not _KEY.fullmatch(name):
            problems.add(where, "expected letters, digits and _, 128 at most")
        problems.at_most(where, len(value), _LONGEST_VALUE, "characters")
        yield {"Key": name, "Value": value}
    references = {one["name"]: one for one in container.raw.get("env") or ()}
    for name in container.open_env:
        source = references.get(name, {}).get("valueFrom") or {}
        if (source.get("fieldRef") or {}).get("fieldPath") != _POD_IP:
            text = f"ECI supports only {_POD_IP}, as the whole value of a variable"
            problems.add(f"{path}.env ({name})", text)
        yield {"Key": name, "FieldRef": {"FieldPath": _POD_IP}}


def has_secrets(raw: Mapping[str, Any]) -> bool:
    """Return whether a variable of the container is from a Secret."""
    return any(source.get("secretRef") for source in raw.get("envFrom") or ()) or any(
        (variable.get("valueFrom") or {}).get("secretKeyRef") for variable in raw.get("env") or ()
    )


def _port(port: Mapping[str, Any], path: str, problems: FieldErrors) -> dict[str, Any]:
    protocol = port.get("protocol") or "TCP"
    if protocol not in ("TCP", "UDP"):
        problems.add(f"{path} ({port['containerPort']})", "expected protocol TCP or UDP")
    return {"Port": port["containerPort"], "Protocol": protocol}


def _mount(
    container: vk.Container, mount: Mapping[str, Any], path: str, problems: FieldErrors
) -> dict[str, Any]:
    sub_path = mount.get("subPath")
    if expression := mount.get("subPathExpr"):
        sub_path = vk.expand_variables(expression, container.env)
        if "$(" in sub_path:
            problems.add(
                f"{path}.subPathExpr", "expected only variables known before the pod starts"
            )
    return {
        "Name": mount["name"],
        "MountPath": mount["mountPath"],
        "SubPath": sub_path or None,
        "ReadOnly": mount.get("readOnly") or None,
        "MountPropagation": mount.get("mountPropagation"),
    }


def _security(
    raw: Mapping[str, Any], path: str, placement: PodContext, problems: FieldErrors
) -> dict[str, Any]:
    own, pod = raw.get("securityContext") or _NO_CONTEXT, placement.pod_context
    both = {**{name: pod.get(name) for name in ("runAsUser", "runAsGroup", "runAsNonRoot")}, **own}
    added = (own.get("capabilities") or {}).get("add") or []
    for capability in added:
        if capability.removeprefix("CAP_") not in _CAPABILITIES:
            problems.add(f"{path}.securityContext.capabilities.add", f"ECI has no {capability}")
    if own.get("privileged") and not placement.privileged:
        text = "the operator's allow-list does not permit 'privileged' in this namespace"
        problems.add(f"{path}.securityContext.privileged", text)
    return {
        "SecurityContext": {
            "RunAsUser": both.get("runAsUser"),
            "ReadOnlyRootFilesystem": own.get("readOnlyRootFilesystem") or None,
            "Capability": {"Add": [name.removeprefix("CAP_") for name in added]},
        },
        "SecurityContextRunAsGroup": both.get("runAsGroup"),
        "SecurityContextRunAsNonRoot": both.get("runAsNonRoot") or None,
        "SecurityContextPrivileged": own.get("privileged") or None,
    }


Raw = Mapping[str, Any]
_MOST_PROBE_WORDS = 20
_TIMES = {
    "initialDelaySeconds": "InitialDelaySeconds",
    "periodSeconds": "PeriodSeconds",
    "timeoutSeconds": "TimeoutSeconds",
    "successThreshold": "SuccessThreshold",
    "failureThreshold": "FailureThreshold",
}
_HOOKS = {"postStart": "LifecyclePostStartHandler", "preStop": "LifecyclePreStopHandler"}


def probe_parameters(
    raw: Raw, field: str, path: str, ports: Mapping[str, int], problems: FieldErrors
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
        port = _probe_port(http.get("port"), ports, f"{path}.httpGet.port", problems)
        how = {
            "Path": http.get("path") or "/",
            "Port": port,
            "Scheme": http.get("scheme") or "HTTP",
        }
        return {"HttpGet": how, **times}
    if tcp := probe.get("tcpSocket"):
        if tcp.get("host"):
            problems.add(f"{path}.tcpSocket.host", "ECI's probes have no such field")
        port = _probe_port(tcp.get("port"), ports, f"{path}.tcpSocket.port", problems)
        return {"TcpSocket": {"Port": port}, **times}
    if command := (probe.get("exec") or {}).get("command"):
        problems.at_most(f"{path}.exec.command", len(command), _MOST_PROBE_WORDS, "words")
        return {"Exec": {"Command": command}, **times}
    problems.add(path, "expected httpGet, tcpSocket or exec: ECI has no other probes")
    return None


def lifecycle_parameters(
    raw: Raw, path: str, ports: Mapping[str, int], problems: FieldErrors
) -> dict[str, Any]:
    """Return the parameters of the lifecycle hooks, in the service's flat naming."""
    lifecycle = raw.get("lifecycle") or {}
    parameters: dict[str, Any] = {}
    for field, prefix in _HOOKS.items():
        if hook := lifecycle.get(field):
            where = f"{path}.lifecycle.{field}"
            found = _hook(hook, where, ports, problems)
            parameters |= {prefix + name: value for name, value in found.items()}
    return parameters


def _hook(hook: Raw, path: str, ports: Mapping[str, int], problems: FieldErrors) -> dict[str, Any]:
    if command := (hook.get("exec") or {}).get("command"):
        problems.at_most(f"{path}.exec.command", len(command), _MOST_PROBE_WORDS, "words")
        return {"Exec": command}
    if http := hook.get("httpGet"):
        headers = [
            {"Name": header["name"], "Value": header.get("value") or ""}
            for header in http.get("httpHeaders") or ()
        ]
        return {
            "HttpGetHost": http.get("host"),
            "HttpGetPort": _probe_port(http.get("port"), ports, f"{path}.httpGet.port", problems),
            "HttpGetPath": http.get("path") or "/",
            "HttpGetScheme": http.get("scheme") or "HTTP",
            "HttpGetHttpHeader": headers,
        }
    if tcp := hook.get("tcpSocket"):
        port = _probe_port(tcp.get("port"), ports, f"{path}.tcpSocket.port", problems)
        return {"TcpSocketHost": tcp.get("host"), "TcpSocketPort": port}
    problems.add(path, "expected exec, httpGet or tcpSocket: ECI has no other hooks")
    return {}


def _probe_port(
    value: object, ports: Mapping[str, int], path: str, problems: FieldErrors
) -> int | None:
    """Return a port number; resolve the name of a port."""
    if isinstance(value, int):
        return value
    text = str(value)
    if text in ports:
        return ports[text]
    if text.isascii() and text.isdigit():
        return int(text)
    problems.add(path, "expected a number, or the name of a port of this container")
    return None
