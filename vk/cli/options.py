"""The settings of `vk`, one row each, and how flag, environment and file become Settings.

A flag comes before the environment, that before the file of ``--config``, that before the default
in `vk.settings`. Flags arrive as text and are parsed here, so that every complaint names the place
that the value came from. Note: the names are the Go program's, and
so is the one exception: the environment's taint comes before ``--taint``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from vk.cli import values
from vk.cli.files import read_mapping
from vk.errors import ConfigError
from vk.models.node import Taint
from vk.settings import Settings

__all__ = ["LEVELS", "OPTIONS", "Option", "build_settings"]

LEVELS = ("trace", "debug", "info", "warn", "warning", "error", "fatal", "panic")
_EFFECTS = ("NoSchedule", "NoExecute", "PreferNoSchedule")
_TAINT_KEY = "virtual-kubelet.io/provider"


@attrs.frozen
class Option:
    """One setting; ``flag`` is without dashes, empty where there is only a variable."""

    flag: str
    field: str
    """Field of Settings; one that starts with ``taint_`` or ``disable_`` is put together here."""
    parse: Callable[[Any], Any]
    help: str
    variable: str = ""
    many: bool = False
    variable_first: bool = False
    """The variable comes before the flag."""

    @property
    def key(self) -> str:
        """The setting's name in a file."""
        return self.flag or self.field.replace("_", "-")

    @property
    def switch(self) -> bool:
        return self.parse is values.boolean


OPTIONS = (
    Option("provider", "provider", values.text, "Provider that runs the pods."),
    Option(
        "plugin",
        "plugins",
        values.paths,
        "Python file that registers a provider; may be repeated.",
        many=True,
    ),
    Option(
        "provider-config", "provider_config", values.path, "The provider's file: TOML, YAML, JSON."
    ),
    Option(
        "set",
        "provider_settings",
        values.key_values,
        "One key of the provider's configuration; may be repeated.",
        many=True,
    ),
    Option("nodename", "node_name", values.name, "Name of the node.", "DEFAULT_NODE_NAME"),
    Option("kubeconfig", "kubeconfig", values.text, "Path of the kubeconfig.", "KUBECONFIG"),
    Option("os", "os", values.choice("linux", "windows"), "Operating system: linux or windows."),
    Option("cluster-domain", "cluster_domain", values.name, "DNS domain of the cluster."),
    Option(
        "cluster-dns",
        "cluster_dns",
        values.addresses,
        "Resolvers of pods, with commas; else the address of Service kube-system/kube-dns.",
    ),
    Option(
        "pod-api-server",
        "pod_api_server",
        values.host_port,
        "HOST:PORT of the API server for pods outside the cluster network.",
    ),
    Option(
        "taint",
        "taint_key",
        values.taint_key,
        "Key of the taint; the variable comes first.",
        "VKUBELET_TAINT_KEY",
        variable_first=True,
    ),
    Option("disable-taint", "disable_taint", values.boolean, "Register the node without a taint."),
    Option(
        "pod-sync-workers", "pod_sync_workers", values.count(1), "Pods worked on at the same time."
    ),
    Option(
        "full-resync-period",
        "full_resync_period",
        values.positive_duration,
        "How often every pod is looked at again.",
    ),
    Option(
        "watch-references",
        "watch_references",
        values.boolean,
        "Watch config maps and secrets of pods, where that is granted, not read them every 60 s.",
    ),
    Option(
        "startup-timeout",
        "startup_timeout",
        values.duration,
        "Give up when the node is not ready by then; 0: never.",
    ),
    Option(
        "daemonsets",
        "daemonsets",
        values.choice("refuse", "run"),
        "What happens to pods of DaemonSets: refuse (they stay Pending) or run.",
    ),
    Option(
        "orphans",
        "orphans",
        values.choice("delete", "report", "keep"),
        "What happens to workloads that no pod asks for: delete, report or keep.",
    ),
    Option(
        "not-ready-on-exit", "not_ready_on_exit", values.boolean, "Say Ready=False when stopping."
    ),
    Option(
        "not-ready-after",
        "not_ready_after",
        values.duration,
        "Provider unreachable for this long: the node says Ready=False.",
    ),
    Option(
        "node-lease-duration",
        "node_lease_duration",
        values.positive_duration,
        "How long the node's lease holds without renewal.",
    ),
    Option(
        "state-folder",
        "state_folder",
        values.path,
        "Where the lock file of this replica lives.",
    ),
    Option(
        "max-creates-per-minute",
        "max_creates_per_minute",
        values.number,
        "Cap on new pods a minute; 0: none.",
    ),
    Option("kube-api-qps", "kube_api_qps", values.number, "API requests a second; 0: no limit."),
    Option("kube-api-burst", "kube_api_burst", values.count(0), "Requests above that at once."),
    Option(
        "serving-signer",
        "serving_signer",
        values.signer,
        "Who signs the serving certificate; none: it stays self-signed.",
    ),
    Option(
        "stream-idle-timeout",
        "stream_idle_timeout",
        values.positive_duration,
        "An exec, attach or port-forward that nothing passes for so long is ended.",
    ),
    Option(
        "authorization-webhook-get-exec",
        "authorization_webhook_get_exec",
        values.boolean,
        "GET of exec, attach and port-forward needs verb get only, not create.",
    ),
    Option(
        "insecure-dev",
        "insecure_dev",
        values.boolean,
        "Serve any local user, without credentials, on loopback only.",
    ),
    Option(
        "health-port",
        "health_port",
        values.port,
        "Answer /healthz, /livez and /readyz here, without TLS and credentials.",
    ),
    Option("log-level", "log_level", values.choice(*LEVELS), f"One of {', '.join(LEVELS)}."),
    Option("", "kubelet_port", values.port, "Port of the kubelet's API.", "KUBELET_PORT"),
    Option(
        "",
        "serving_certificate",
        values.path,
        "Certificate of the kubelet's API, PEM.",
        "APISERVER_CERT_LOCATION",
    ),
    Option("", "serving_key", values.path, "Its key, PEM.", "APISERVER_KEY_LOCATION"),
    Option(
        "",
        "client_ca_file",
        values.path,
        "Client CA bundle: authorities of client certificates, PEM.",
        "APISERVER_CA_CERT_LOCATION",
    ),
    Option("", "internal_ip", values.address, "Address of the node.", "VKUBELET_POD_IP"),
    Option("", "taint_value", str, "Value of the taint.", "VKUBELET_TAINT_VALUE"),
    Option(
        "",
        "taint_effect",
        values.choice(*_EFFECTS),
        "Effect of the taint.",
        "VKUBELET_TAINT_EFFECT",
    ),
)


def build_settings(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Return the settings; ``flags`` holds what the command line named, by flag, and ``config``.

    Raises ConfigError: one line that names the setting and says what was expected.
    """
    file = flags.get("config")
    content: Mapping[str, Any] = {}
    if file is not None:
        content = read_mapping(Path(file), setting="--config")
        _check_keys(content, file)
    found: dict[str, Any] = {}
    for option in OPTIONS:
        for place, value in reversed(_places(option, flags, environment, content, file)):
            parsed = _parse(option, place, value)
            if isinstance(parsed, dict):  # key by key: one more place adds to the others
                parsed = {**found.get(option.field, {}), **parsed}
            found[option.field] = parsed
    if "provider" not in found:
        raise ConfigError("--provider: expected the name of a provider; `vk providers` lists them")
    return Settings(**_with_taints(found))


def _check_keys(content: Mapping[str, Any], file: str) -> None:
    known = sorted(option.key for option in OPTIONS)
    for key in content:
        if key not in known:
            raise ConfigError(f"--config: {file}: unknown key {key!r}, known: {', '.join(known)}")


def _places(
    option: Option,
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    content: Mapping[str, Any],
    file: str | None,
) -> list[tuple[str, Any]]:
    """Return where the setting is given, as (name of the place, value), the strongest first."""
    places: list[tuple[str, Any]] = []
    given = flags.get(option.flag)
    if given is not None and given != ():
        places.append((f"--{option.flag}", given))
    if environment.get(option.variable):  # an empty variable counts as unset
        place = 0 if option.variable_first else len(places)
        places.insert(place, (option.variable, environment[option.variable]))
    if option.key in content:
        places.append((f"--config: {file}: {option.key}", content[option.key]))
    return places


def _parse(option: Option, place: str, value: Any) -> Any:
    try:
        return option.parse(value)
    except ValueError as error:
        shown = "" if option.many else f", not {str(value)[:80]!r}"  # --set may hold a secret
        raise ConfigError(f"{place}: expected {error}{shown}") from error


def _with_taints(found: Mapping[str, Any]) -> dict[str, Any]:
    """Put the taint together: the Go program's default keeps pods away that do not tolerate it."""
    own = {field.name for field in attrs.fields(Settings)}
    taint = Taint(
        key=found.get("taint_key", _TAINT_KEY),
        value=found.get("taint_value", found["provider"]),
        effect=found.get("taint_effect", "NoSchedule"),
    )
    taints = () if found.get("disable_taint") else (taint,)
    return {name: value for name, value in found.items() if name in own} | {"taints": taints}
