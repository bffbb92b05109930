"""Settings: what the command line, the environment and the configuration file say, as one value.

Filled by `vk.cli`; programs that embed a node build it themselves. Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from vk.models.node import Taint

__all__ = ["LIVE", "LiveSettings", "Settings", "live"]

LIVE = frozenset(
    {
        "log_level",
        "max_creates_per_minute",
        "not_ready_after",
        "not_ready_on_exit",
        "orphans",
        "taints",
    }
)
"""The settings that a running node takes over when they change; the others need a restart."""


@attrs.frozen(kw_only=True)
class Settings:
    """Everything about one node that is not the provider's own configuration."""

    provider: str = ""
    """Name of the provider, as a plugin registered it; empty where a class is given instead."""
    plugins: tuple[Path, ...] = ()
    """Python files that register providers, beside the installed ones."""
    node_name: str = "virtual-kubelet"
    """Name of the Node, a DNS name, unique in the cluster; the default is the Go program's."""
    kubeconfig: str = ""
    """Path; empty: ``~/.kube/config`` if it is there, else the pod's ServiceAccount."""
    provider_config: Path | None = None
    """The provider's configuration file, in TOML, YAML or JSON; None: its defaults."""
    provider_settings: Mapping[str, str] = attrs.field(factory=dict)
    """Single keys of the provider's configuration, as ``--set key=value`` gives them."""
    os: str = "linux"
    """Operating system of the node, linux or windows, where the provider's NodeInfo names none."""
    cluster_domain: str = "cluster.local"
    """DNS domain of the cluster, for the search list of pods; the default is Kubernetes' own."""
    cluster_dns: tuple[str, ...] = ()
    """Resolver addresses of pods; empty: the address of Service kube-system/kube-dns."""
    pod_api_server: str = ""
    """HOST:PORT that pods get as KUBERNETES_SERVICE_HOST and _PORT; empty: the Service's."""
    internal_ip: str = ""
    """Address of the node; empty: the local address that reaches the API server."""
    kubelet_port: int = 10250
    """Port of the kubelet's API; 0: any that is free. The default is a kubelet's."""
    health_port: int = 0
    """Port that answers probes, and nothing else, without TLS and credentials; 0: none."""
    serving_certificate: Path | None = None
    """PEM file, with ``serving_key``; None: self-signed until ``serving_signer`` has signed one."""
    serving_key: Path | None = None
    """PEM file with the private key of ``serving_certificate``; None: without a certificate."""
    client_ca_file: Path | None = None
    """PEM file that verifies clients; None: where API servers publish theirs."""
    serving_signer: str = "kubernetes.io/kubelet-serving"
    """Signer of serving certificates; empty: none is requested."""
    stream_idle_timeout: float = 4 * 3600.0
    """Seconds without traffic that end an exec, attach or port-forward; as long as a kubelet's."""
    authorization_webhook_get_exec: bool = False
    """A GET of exec, attach and port-forward needs verb ``get`` only, as the Go program has it."""
    insecure_dev: bool = False
    """Serve any local user, without credentials, on loopback only."""
    taints: tuple[Taint, ...] = ()
    """Taints of the node; the command line's default is one that keeps ordinary pods away."""
    pod_sync_workers: int = 64
    """Limit of creates in flight at once; at least 1."""
    watch_references: bool = False
    """Watch the config maps and secrets that pods use instead of reading them every 60 s; off,
    since it needs the right to list and watch them."""
    full_resync_period: float = 60.0
    """Seconds after which every pod is looked at again, changed or not; after ten times as long the
    caches of the API server's objects are compared with a fresh list."""
    startup_timeout: float = 0.0
    """Seconds until the node must be ready, else the program ends; 0: no limit."""
    not_ready_on_exit: bool = False
    """Set Ready=False at a stop; off, so that a restart leaves the node's condition as it was."""
    not_ready_after: float = 300.0
    """Seconds for which the provider must be unreachable before the node reports Ready=False."""
    daemonsets: str = "refuse"
    """What happens to pods of DaemonSets: refuse (they stay Pending) or run."""
    orphans: str = "delete"
    """What happens to workloads that no pod asks for: delete, report or keep."""
    max_creates_per_minute: float = 0.0
    """Creates a minute, a cap on what a provider may spend; 0: no limit. Pods above it wait."""
    kube_api_qps: float = 0.0
    """Requests to the API server a second, on average; 0: no limit on this side."""
    kube_api_burst: int = 0
    """Requests at once under ``kube_api_qps``, counted as at least 1; unused without that limit."""
    node_lease_duration: float = 30.0
    """Seconds that the node's lease holds without renewal; then another replica may take it."""
    state_folder: Path | None = None
    """Folder of the lock file that gives a replica's identity to one process at a time; None:
    ``$XDG_STATE_HOME/virtual-kubelet``, else a folder of this user in the temporary one."""
    log_level: str = "info"
    """Least severe level that is logged, by one of the names that ``vk --help`` lists."""


@attrs.define(eq=False)
class LiveSettings:
    """The settings of a running node. Read ``current`` each time: those of `LIVE` may change."""

    current: Settings


def live(settings: Settings | LiveSettings) -> LiveSettings:
    """Return ``settings`` as a holder: for components that may be built with either."""
    return settings if isinstance(settings, LiveSettings) else LiveSettings(settings)
