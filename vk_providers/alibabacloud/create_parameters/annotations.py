"""The annotations ``k8s.aliyun.com/...`` of a pod as parameters of CreateContainerGroup. Pure.

The names are those of the vendor's own virtual nodes. One table (`RULES`) maps each annotation to a
parser: the annotation's text in, parameters out; a parser's ValueError states what was expected.
An unknown name below the prefix is refused, so that a misspelled annotation is not ignored
silently. Annotations that grant rights (`PRIVILEGED`) are accepted only where the operator's
allow-list permits them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import orjson

import vk
from vk_providers.alibabacloud.create_parameters.field_errors import FieldErrors

__all__ = [
    "HOST",
    "IGNORED",
    "PREFIX",
    "PRIVILEGED",
    "READ_BY_VK",
    "RULES",
    "WRITTEN_BY_NODE",
    "AnnotationParameters",
    "Parse",
    "acr",
    "annotation_parameters",
    "arns",
    "bandwidth",
    "choice",
    "dns",
    "flag",
    "hosts",
    "ids",
    "listed",
    "megabits",
    "number",
    "price",
    "specs",
    "storage",
    "sysctls",
    "tags",
    "word",
]

Parse = Callable[[str], dict[str, Any]]

_SPEC = re.compile(r"\d+(\.\d+)?-\d+(\.\d+)?Gi|ecs\.[a-z0-9.-]+", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)Gi", re.ASCII)
_ID = re.compile(r"[a-z]{2,5}-[A-Za-z0-9]+", re.ASCII)
_ACR = re.compile(r"(?:([a-z0-9-]+):)?(cri-[a-z0-9]+)", re.ASCII)
HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]*", re.ASCII)
"""Host names and addresses."""


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def choice(parameter: str, *known: str) -> Parse:
    """Return a parser of one of ``known``."""

    def parse(text: str) -> dict[str, Any]:
        if text not in known:
            raise ValueError(f"one of {', '.join(known)}")
        return {parameter: text}

    return parse


def flag(parameter: str, yes: object = True) -> Parse:
    """Return a parser of ``true`` or ``false``; ``yes`` is sent for true."""

    def parse(text: str) -> dict[str, Any]:
        if text not in ("true", "false"):
            raise ValueError("true or false")
        if yes is True:
            return {parameter: text == "true"}
        return {parameter: yes} if text == "true" else {}

    return parse


def number(parameter: str, least: int, most: int) -> Parse:
    """Return a parser of an integer."""

    def parse(text: str) -> dict[str, Any]:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValueError(f"an integer from {least} to {most}")
        return {parameter: int(text)}

    return parse


def megabits(parameter: str, least: int, most: int) -> Parse:
    """Return a parser of Mbit/s, with or without the unit ``M``."""
    parse = number(parameter, least, most)

    def read(text: str) -> dict[str, Any]:
        try:
            return parse(text.removesuffix("M"))
        except ValueError:
            raise ValueError(f"Mbit/s from {least} to {most}, such as 100M") from None

    return read


def word(parameter: str, pattern: re.Pattern[str] = _ID, *, expected: str = "an id") -> Parse:
    """Return a parser of strings that match ``pattern``."""

    def parse(text: str) -> dict[str, Any]:
        if not pattern.fullmatch(text):
            raise ValueError(expected)
        return {parameter: text}

    return parse


def ids(parameter: str, most: int) -> Parse:
    """Return a parser of comma-separated ids, sent as one string."""

    def parse(text: str) -> dict[str, Any]:
        found = _items(text)
        if not 0 < len(found) <= most or not all(_ID.fullmatch(one) for one in found):
            raise ValueError(f"1 to {most} comma-separated ids")
        return {parameter: ",".join(found)}

    return parse


def listed(parameter: str, most: int, *, joined: bool = False) -> Parse:
    """Return a parser of comma-separated names or addresses, sent as a list or joined."""

    def parse(text: str) -> dict[str, Any]:
        items = _items(text)
        if not 0 < len(items) <= most or not all(HOST.fullmatch(one) for one in items):
            raise ValueError(f"1 to {most} comma-separated names or addresses")
        return {parameter: ",".join(items) if joined else items}

    return parse


def specs(text: str) -> dict[str, Any]:
    """Parse sizes and instance types; a single size is vCPU and memory."""
    found = _items(text)
    if not 0 < len(found) <= 5 or not all(_SPEC.fullmatch(one) for one in found):
        raise ValueError("1 to 5 comma-separated sizes such as 2-4Gi or ecs.c6.xlarge")
    if len(found) == 1 and (size := _SIZE.fullmatch(found[0])):
        return {"Cpu": size[1], "Memory": size[2], "specs": tuple(found)}
    return {"specs": tuple(found)}


def price(text: str) -> dict[str, Any]:
    """Parse an hourly price."""
    if not re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text, re.ASCII):
        raise ValueError("a price with three decimals at most")
    return {"SpotPriceLimit": text}


def storage(text: str) -> dict[str, Any]:
    """Parse a size in whole GiB."""
    size = vk.parse_quantity(text) / (1 << 30)
    if size != int(size) or not 0 <= size <= 5000:
        raise ValueError("whole GiB, 5000Gi at most")
    return {"EphemeralStorage": int(size)}


def bandwidth(parameter: str) -> Parse:
    """Return a parser of a bandwidth in bytes a second."""

    def parse(text: str) -> dict[str, Any]:
        value = vk.parse_quantity(text)
        if value <= 0 or value != int(value):
            raise ValueError("bytes a second, such as 40M")
        return {parameter: int(value)}

    return parse


def tags(text: str) -> dict[str, Any]:
    """Parse tags ``key:value``."""
    pairs = [item.partition(":") for item in _items(text)]
    if not 0 < len(pairs) <= 3 or not all(sign for _, sign, _ in pairs):
        raise ValueError("1 to 3 comma-separated tags key:value")
    for key, _, value in pairs:
        banned = key.startswith(("aliyun", "acs:", "vk-", "label/")) or value.startswith(
            ("aliyun", "acs:")
        )
        if banned or not 0 < len(key) <= 64 or len(value) > 128:
            raise ValueError(
                "keys up to 64 and values up to 128 characters, none of vk, label or aliyun"
            )
    return {"Tag": [{"Key": key, "Value": value} for key, _, value in pairs]}


def hosts(text: str) -> dict[str, Any]:
    """Parse JSON with entries of the hosts file."""
    entries = orjson.loads(text)
    return {"HostAliase": [{"Ip": one["ip"], "Hostname": [one["host"]]} for one in entries]}


def dns(text: str) -> dict[str, Any]:
    """Parse JSON with DNS settings."""
    fields = orjson.loads(text)
    options = [item.partition(":") for item in _items(fields.get("options") or "")]
    return {
        "DnsPolicy": "None",
        "DnsConfig": {
            "NameServer": _items(fields.get("nameservers") or ""),
            "Search": _items(fields.get("searches") or ""),
            "Option": [{"Name": name, "Value": value or None} for name, _, value in options],
        },
    }


def sysctls(text: str) -> dict[str, Any]:
    """Parse JSON with sysctls."""
    entries = [{"Name": one["name"], "Value": one["value"]} for one in orjson.loads(text)]
    return {"HostSecurityContext": {"Sysctl": entries}}


def acr(text: str) -> dict[str, Any]:
    """Parse ids of ACR instances, each with or without its region."""
    found = [_ACR.fullmatch(item) for item in _items(text)]
    if not found or not all(found):
        raise ValueError("comma-separated ids such as cri-x or cn-beijing:cri-x")
    return {
        "AcrRegistryInfo": [
            {"InstanceId": one[2], "RegionId": one[1]} for one in found if one is not None
        ]
    }


def arns(parameter: str) -> Parse:
    """Return a parser of the ARN of a role for a registry."""

    def parse(text: str) -> dict[str, Any]:
        if not text.startswith("acs:ram::"):
            raise ValueError("the ARN of a role")
        return {"AcrArns": {parameter: text}}

    return parse


PREFIX = "k8s.aliyun.com/"

PRIVILEGED = frozenset(
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
"""Annotations that grant a pod rights, addresses or networks; need the allow-list."""
WRITTEN_BY_NODE = frozenset(
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
"""Annotations that the node writes."""
READ_BY_VK = frozenset({"eci-fail-strategy", "pod-fail-on-create-err", "eci-spot-fallback"})
"""Annotations that control vk and are not sent to the service."""
IGNORED: Mapping[str, str] = {
    "eci-reschedule-enable": "vk always retries unless the strategy is fail-fast",
    "eci-eviction-enable": "the cluster controls evictions",
    "eci-wait-clusterip-ready": "the cluster's network provides ClusterIPs",
    "eip-internet-charge-type": "the service has no parameter for it",
    "eip-public-ip-address-pool-id": "the service has no parameter for it",
    "imc-perfect-match": "the service has no parameter for it",
    "imc-match-count-request": "the service has no parameter for it",
    "eci-instance-family": "the service has no parameter for it; see eci-use-specs",
    "eci-instance-generation": "the service has no parameter for it; see eci-use-specs",
    "eci-privatepool-matchcriteria": "the service has no parameter for it",
    "eci-privatepool-id": "the service has no parameter for it",
    "eci-ephemeral-storage-options": "the service has no parameter for it",
}
"""Known annotations without effect, each with the reason."""


@attrs.frozen
class AnnotationParameters:
    """Parameters from annotations, and the sizes of eci-use-specs in order of preference."""

    parameters: Mapping[str, Any]
    specs: tuple[str, ...] = ()


def annotation_parameters(
    annotations: Mapping[str, str], allowed: frozenset[str], problems: FieldErrors
) -> AnnotationParameters:
    """Return the parameters of ``annotations``; ``allowed``: permitted privileged ones."""
    parameters: dict[str, Any] = {}
    specs: tuple[str, ...] = ()
    for full, text in sorted(annotations.items()):
        if full.startswith(PREFIX):
            name, prefix = full.removeprefix(PREFIX), PREFIX
        elif full in RULES:
            name, prefix = full, ""
        else:
            continue
        found = _read_annotation(
            name, text, allowed, f"metadata.annotations[{prefix}{name}]", problems
        )
        specs = found.pop("specs", specs)
        _merge(parameters, found)
    return AnnotationParameters(parameters, specs)


def _read_annotation(
    name: str, text: str, allowed: frozenset[str], path: str, problems: FieldErrors
) -> dict[str, Any]:
    if name in WRITTEN_BY_NODE or name in READ_BY_VK or name in IGNORED:
        return {}
    rule = RULES.get(name)
    if rule is None:
        problems.add(path, "unknown annotation")
        return {}
    if name in PRIVILEGED and name not in allowed:
        problems.add(path, "the operator's allow-list does not permit it in this namespace")
        return {}
    try:
        return rule(text)
    except (ValueError, ArithmeticError, KeyError, TypeError, AttributeError) as error:
        known = type(error) is ValueError and not isinstance(error, orjson.JSONDecodeError)
        problems.add(path, f"expected {error}" if known else "invalid value")
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
    "eci-use-specs": specs,
    "eci-instance-type": specs,
    "eci-vswitch": ids("VSwitchId", 10),
    "eci-schedule-strategy": choice("ScheduleStrategy", "VSwitchOrdered", "VSwitchRandom"),
    "eci-security-group": ids("SecurityGroupId", 5),
    "eci-resource-group-id": word("ResourceGroupId"),
    "eci-ram-role-name": word(
        "RamRoleName", re.compile(r"[\w.-]{1,64}", re.ASCII), expected="the name of a role"
    ),
    "eci-spot-strategy": choice("SpotStrategy", "NoSpot", "SpotAsPriceGo", "SpotWithPriceLimit"),
    "eci-spot-price-limit": price,
    "eci-spot-duration": number("SpotDuration", 0, 6),
    "eci-with-eip": flag("AutoCreateEip"),
    "eip-bandwidth": number("EipBandwidth", 1, 500),
    "eip-isp": choice("EipISP", "BGP", "BGP_PRO"),
    "eip-common-bandwidth-package-id": word("EipCommonBandwidthPackage"),
    "eci-eip-instanceid": word("EipInstanceId"),
    "eci-enable-ipv6": flag("Ipv6AddressCount", 1),
    "eci-ipv6-count": number("Ipv6AddressCount", 1, 1),
    "eci-ipv6-bandwidth-enable": flag("Ipv6GatewayBandwidthEnable"),
    "eci-ipv6-bandwidth": megabits("Ipv6GatewayBandwidth", 1, 5000),
    "eci-image-cache": flag("AutoMatchImageCache"),
    "eci-auto-imc": flag("AutoMatchImageCache"),
    "eci-image-snapshot-id": word("ImageSnapshotId"),
    "eci-imc-id": word("ImageSnapshotId"),
    "acr-instance-id": acr,
    "acr-instance-ids": acr,
    "acr-service-arns": arns("ArnService"),
    "acr-user-arns": arns("ArnUser"),
    "plain-http-registry": listed("PlainHttpRegistry", 10, joined=True),
    "insecure-registry": listed("InsecureRegistry", 10, joined=True),
    "eci-extra-ephemeral-storage": storage,
    "eci-core-pattern": word(
        "CorePattern", re.compile(r"[^|\s]\S{0,255}", re.ASCII), expected="a path, no pipe"
    ),
    "eci-ntp-server": listed("NtpServer", 20),
    "eci-custom-tags": tags,
    "eci-custom-hosts": hosts,
    "eci-custom-dnsconfig": dns,
    "eci-host-sysctls": sysctls,
    "eci-private-ip-address": word("PrivateIpAddress", HOST, expected="an address"),
    "eci-fixed-ip": flag("FixedIp"),
    "eci-fixed-ip-retain-hour": number("FixedIpRetainHour", 1, 8760),
    "eci-cpu-option-core": number("CpuOptionsCore", 1, 256),
    "eci-cpu-option-ht": number("CpuOptionsThreadsPerCore", 1, 2),
    "eci-gpu-driver-version": word(
        "GpuDriverVersion",
        re.compile(r"[A-Za-z0-9][\w.=-]{0,63}", re.ASCII),
        expected="a version such as tesla=535.161.08",
    ),
    "eci-compute-category": listed("ComputeCategory", 2),
    "eci-max-pending-minute": number("MaxPendingMinute", 10, 1440),
    "eci-sls-enable": flag("SlsEnable"),
    "eci-data-cache-bucket": word(
        "DataCacheBucket", re.compile(r"[\w.-]{1,63}", re.ASCII), expected="the name of a bucket"
    ),
    "eci-data-cache-pl": choice("DataCachePL", "PL0", "PL1", "PL2", "PL3"),
    "eci-data-cache-provisionedIops": number("DataCacheProvisionedIops", 0, 50000),
    "eci-data-cache-burstingEnabled": flag("DataCacheBurstingEnabled"),
    "kubernetes.io/ingress-bandwidth": bandwidth("IngressBandwidth"),
    "kubernetes.io/egress-bandwidth": bandwidth("EgressBandwidth"),
}
"""The parser of each annotation, by its name without the prefix."""
