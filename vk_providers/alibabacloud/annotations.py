"""What the annotations of a pod ask for, as parameters of CreateContainerGroup. Pure.

The names are those of the vendor's own virtual nodes, ``k8s.aliyun.com/...``. One table has all of
them: its parameter, or why there is none. A name below the prefix that is not in the table is
refused, so that a misspelled one is not silently without effect. Those that grant power are open
only where the operator's allow-list says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs
import orjson

from vk_providers.alibabacloud import annotation_values as values
from vk_providers.alibabacloud.annotation_values import Parse
from vk_providers.alibabacloud.problems import Problems

__all__ = ["BEHAVIOUR", "IGNORED", "POWERFUL", "PREFIX", "RULES", "WRITTEN", "Wishes", "wishes"]

PREFIX = "k8s.aliyun.com/"

POWERFUL = frozenset(
    {
        "eci-ram-role-name",
        "eci-security-group",
        "eci-vswitch",
        "eci-with-eip",
        "eci-eip-instanceid",
        "eip-common-bandwidth-package-id",
        "eci-resource-group-id",
        "eci-host-sysctls",
        "acr-service-arns",
        "acr-user-arns",
    }
)
"""Annotations that give a pod rights, addresses or networks: closed unless allowed."""
WRITTEN = frozenset(
    {
        "eci-instance-id",
        "eci-instance-spec",
        "eci-instance-price",
        "eci-create-attempt",
        "eci-instance-compute-category",
        "allocated-eipAddress",
        "allocated-ipv6Address",
    }
)
"""Annotations that a node writes: no wishes."""
BEHAVIOUR = frozenset({"eci-fail-strategy", "pod-fail-on-create-err", "eci-spot-fallback"})
"""Annotations that say what vk does, not what the service does."""
IGNORED: Mapping[str, str] = {
    "eci-reschedule-enable": "vk always tries again unless the strategy is fail-fast",
    "eci-eviction-enable": "evictions are the cluster's",
    "eci-wait-clusterip-ready": "cluster addresses are the cluster's network's",
    "eip-internet-charge-type": "the service has no parameter for it",
    "eip-public-ip-address-pool-id": "the service has no parameter for it",
    "imc-perfect-match": "the service has no parameter for it",
    "imc-match-count-request": "the service has no parameter for it",
    "eci-instance-family": "the service has no parameter for it; name types in eci-use-specs",
    "eci-instance-generation": "the service has no parameter for it; name types in eci-use-specs",
    "eci-privatepool-matchcriteria": "the service has no parameter for it",
    "eci-privatepool-id": "the service has no parameter for it",
    "eci-ephemeral-storage-options": "the service has no parameter for it",
}
"""Annotations that are understood and have no effect here, each with the reason."""


@attrs.frozen
class Wishes:
    """What the annotations ask for: parameters, and the sizes of eci-use-specs in their order."""

    parameters: Mapping[str, Any]
    specs: tuple[str, ...] = ()


def wishes(annotations: Mapping[str, str], allowed: frozenset[str], problems: Problems) -> Wishes:
    """Return what ``annotations`` ask for; ``allowed`` are the powerful ones that are open."""
    parameters: dict[str, Any] = {}
    specs: tuple[str, ...] = ()
    for full, text in sorted(annotations.items()):
        if full.startswith(PREFIX):
            name, prefix = full.removeprefix(PREFIX), PREFIX
        elif full in RULES:
            name, prefix = full, ""
        else:
            continue
        found = _one(name, text, allowed, f"metadata.annotations[{prefix}{name}]", problems)
        specs = found.pop("specs", specs)
        _merge(parameters, found)
    return Wishes(parameters, specs)


def _one(
    name: str, text: str, allowed: frozenset[str], path: str, problems: Problems
) -> dict[str, Any]:
    if name in WRITTEN or name in BEHAVIOUR or name in IGNORED:
        return {}
    rule = RULES.get(name)
    if rule is None:
        problems.add(path, "no such annotation is known")
        return {}
    if name in POWERFUL and name not in allowed:
        problems.add(path, "the operator's allow-list does not open it for this namespace")
        return {}
    try:
        return rule(text)
    except (ValueError, ArithmeticError, KeyError, TypeError, AttributeError) as error:
        known = type(error) is ValueError and not isinstance(error, orjson.JSONDecodeError)
        problems.add(path, f"expected {error}" if known else "the value cannot be read")
        return {}


def _merge(parameters: dict[str, Any], found: Mapping[str, Any]) -> None:
    for name, value in found.items():
        before = parameters.get(name)
        if isinstance(before, list):
            parameters[name] = before + value
        elif isinstance(before, dict):
            parameters[name] = {**before, **value}
        else:
            parameters[name] = value


RULES: Mapping[str, Parse] = {
    "eci-use-specs": values.specs,
    "eci-instance-type": values.specs,
    "eci-vswitch": values.ids("VSwitchId", 10),
    "eci-schedule-strategy": values.choice("ScheduleStrategy", "VSwitchOrdered", "VSwitchRandom"),
    "eci-security-group": values.ids("SecurityGroupId", 5),
    "eci-resource-group-id": values.word("ResourceGroupId"),
    "eci-ram-role-name": values.word(
        "RamRoleName", re.compile(r"[\w.-]{1,64}", re.ASCII), expected="the name of a role"
    ),
    "eci-spot-strategy": values.choice(
        "SpotStrategy", "NoSpot", "SpotAsPriceGo", "SpotWithPriceLimit"
    ),
    "eci-spot-price-limit": values.price,
    "eci-spot-duration": values.number("SpotDuration", 0, 6),
    "eci-with-eip": values.flag("AutoCreateEip"),
    "eip-bandwidth": values.number("EipBandwidth", 1, 500),
    "eip-isp": values.choice("EipISP", "BGP", "BGP_PRO"),
    "eip-common-bandwidth-package-id": values.word("EipCommonBandwidthPackage"),
    "eci-eip-instanceid": values.word("EipInstanceId"),
    "eci-enable-ipv6": values.flag("Ipv6AddressCount", 1),
    "eci-ipv6-count": values.number("Ipv6AddressCount", 1, 1),
    "eci-ipv6-bandwidth-enable": values.flag("Ipv6GatewayBandwidthEnable"),
    "eci-ipv6-bandwidth": values.number("Ipv6GatewayBandwidth", 1, 5000),
    "eci-image-cache": values.flag("AutoMatchImageCache"),
    "eci-auto-imc": values.flag("AutoMatchImageCache"),
    "eci-image-snapshot-id": values.word("ImageSnapshotId"),
    "eci-imc-id": values.word("ImageSnapshotId"),
    "acr-instance-id": values.acr,
    "acr-instance-ids": values.acr,
    "acr-service-arns": values.arns("ArnService"),
    "acr-user-arns": values.arns("ArnUser"),
    "plain-http-registry": values.listed("PlainHttpRegistry", 10, joined=True),
    "insecure-registry": values.listed("InsecureRegistry", 10, joined=True),
    "eci-extra-ephemeral-storage": values.storage,
    "eci-core-pattern": values.word(
        "CorePattern", re.compile(r"[^|\s]\S{0,255}", re.ASCII), expected="a path, no pipe"
    ),
    "eci-ntp-server": values.listed("NtpServer", 20),
    "eci-custom-tags": values.tags,
    "eci-custom-hosts": values.hosts,
    "eci-custom-dnsconfig": values.dns,
    "eci-host-sysctls": values.sysctls,
    "eci-private-ip-address": values.word("PrivateIpAddress", values.HOST, expected="an address"),
    "eci-fixed-ip": values.flag("FixedIp"),
    "eci-fixed-ip-retain-hour": values.number("FixedIpRetainHour", 1, 8760),
    "eci-cpu-option-core": values.number("CpuOptionsCore", 1, 256),
    "eci-cpu-option-ht": values.number("CpuOptionsThreadsPerCore", 1, 2),
    "eci-gpu-driver-version": values.word("GpuDriverVersion", values.HOST, expected="a version"),
    "eci-compute-category": values.listed("ComputeCategory", 2),
    "eci-max-pending-minute": values.number("MaxPendingMinute", 10, 1440),
    "eci-sls-enable": values.flag("SlsEnable"),
    "eci-data-cache-bucket": values.word(
        "DataCacheBucket", re.compile(r"[\w.-]{1,63}", re.ASCII), expected="the name of a bucket"
    ),
    "eci-data-cache-pl": values.choice("DataCachePL", "PL0", "PL1", "PL2", "PL3"),
    "eci-data-cache-provisionedIops": values.number("DataCacheProvisionedIops", 0, 50000),
    "eci-data-cache-burstingEnabled": values.flag("DataCacheBurstingEnabled"),
    "kubernetes.io/ingress-bandwidth": values.bandwidth("IngressBandwidth"),
    "kubernetes.io/egress-bandwidth": values.bandwidth("EgressBandwidth"),
}
"""Each annotation, without its prefix, and how its text becomes parameters.

A parser's ValueError says what was expected.
"""
