"""The DNS settings of a pod by dnsPolicy and dnsConfig, as the kubelet computes them.

In: the PodSpec and what cluster and host offer. Out: a `DNS` value. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from vk.models.pod import DNS, Json

__all__ = ["resolve_dns"]

# Limits of the resolver (nameservers) and of Kubernetes; what is beyond them is left out.
_MOST_SERVERS = 3
_MOST_SEARCHES = 32
_MOST_SEARCH_CHARACTERS = 2048

_CLUSTER_OPTIONS = ("ndots:5",)


def resolve_dns(
    raw_spec: Json,
    *,
    namespace: str,
    cluster_dns: Sequence[str],
    cluster_domain: str,
) -> DNS:
    """Return the DNS settings for a pod of ``namespace``; empty: the backend's own.

    That is what policy Default means here, where a kubelet takes its machine's: the pod runs on
    another one. Without ``cluster_dns`` the cluster policies fall back to it, as does ClusterFirst
    in the host's network.
    """
    policy = raw_spec.get("dnsPolicy") or "ClusterFirst"
    in_cluster = policy == "ClusterFirstWithHostNet" or (
        policy == "ClusterFirst" and not raw_spec.get("hostNetwork")
    )
    base = DNS()
    if in_cluster and cluster_dns:
        base = _cluster(namespace, tuple(cluster_dns), cluster_domain)
    config = raw_spec.get("dnsConfig")
    return _with_config(base, config) if config else base


@lru_cache(maxsize=1024)
def _cluster(namespace: str, servers: tuple[str, ...], domain: str) -> DNS:
    """Return the settings that nearly every pod of the namespace has."""
    searches = (f"{namespace}.svc.{domain}", f"svc.{domain}", domain) if domain else ()
    return _with_config(DNS(servers, searches, _CLUSTER_OPTIONS), {})


def _with_config(base: DNS, config: Json) -> DNS:
    servers = _once((*base.servers, *(config.get("nameservers") or ())))
    searches = _once((*base.searches, *(config.get("searches") or ())))
    return DNS(
        servers[:_MOST_SERVERS],
        _fitting(searches[:_MOST_SEARCHES]),
        _options(base.options, config.get("options") or ()),
    )


def _once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _fitting(searches: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out searches at the end until the line is short enough."""
    while len(" ".join(searches)) > _MOST_SEARCH_CHARACTERS:
        searches = searches[:-1]
    return searches


def _options(base: Sequence[str], config: Iterable[Json]) -> tuple[str, ...]:
    merged: dict[str, str] = {}
    for option in base:
        name, _, value = option.partition(":")
        merged[name] = value
    for entry in config:
        merged[entry["name"]] = entry.get("value") or ""
    return tuple(f"{name}:{value}" if value else name for name, value in merged.items())
