"""The size of a group: requested vCPU and GiB, rounded up as the service does. Pure.

The smallest vCPU with enough memory, then the smallest such memory. The pairs are those of the
service's documentation; some exist in some regions only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from vk_providers.alibabacloud.emulator.errors import EciApiError, invalid

__all__ = ["FAMILIES", "BilledSize", "instance_types", "size_of"]

_EVERYWHERE: Mapping[float, Sequence[float]] = {
    0.25: (0.5, 1),
    0.5: (1, 2),
    1: (2, 4, 8),
    2: (1, 2, 4, 8, 16),
    4: (2, 4, 8, 16, 32),
    8: (4, 8, 16, 32, 64),
    12: (12, 24, 48, 96),
    16: (16, 32, 64, 128),
    24: (24, 48, 96, 192),
    32: (32, 64, 128, 256),
    52: (96, 192, 384),
    64: (128, 256, 512),
}
_EXTRA: Mapping[float, Sequence[float]] = {
    2: (6, 10, 12, 14),
    4: (6, 10, 12, 14, *range(18, 31, 2)),
    6: range(6, 49, 2),
    8: range(10, 63, 2),
}
_EXTRA_REGIONS = frozenset(
    {
        "cn-hangzhou",
        "cn-shanghai",
        "cn-qingdao",
        "cn-beijing",
        "cn-zhangjiakou",
        "cn-huhehaote",
        "cn-wulanchabu",
        "cn-shenzhen",
        "cn-heyuan",
        "cn-guangzhou",
        "cn-chengdu",
        "ap-southeast-1",
    }
)
_PAIR = re.compile(r"([0-9.]+)-([0-9.]+)Gi", re.ASCII)
_TYPE = re.compile(r"ecs\.([a-z]+)[0-9a-z-]*\.(?:([0-9]+)?xlarge|large)", re.ASCII)
_GIB_A_CORE = {"c": 2, "g": 4, "r": 8}
_MOST = 5
FAMILIES = tuple(f"ecs.{kind}{number}" for number in (5, 6, 7) for kind in "cgr")
"""The families of instance types that are listed; a group may name others."""
_SIZES = ("large", "xlarge", "2xlarge", "4xlarge")


@attrs.frozen
class BilledSize:
    """The billed size of a group."""

    cpu: float
    memory: float
    instance_type: str = ""


def size_of(parameters: Mapping[str, Any], region: str) -> BilledSize:
    """Return the size of a group. Raises `EciApiError`."""
    types = [each for each in parameters.get("InstanceType", "").split(",") if each]
    if len(types) > _MOST:
        raise invalid("InstanceType", f"expected at most {_MOST} types", "ValueExceeded")
    if types:
        return _typed(types[0], region)
    cpu, memory = parameters.get("Cpu", 0), parameters.get("Memory", 0)
    if not (cpu or memory):
        cpu, memory = _sum(parameters)
    return _rounded(cpu or 2, memory or (0 if cpu else 4), region)


def instance_types() -> list[BilledSize]:
    """Return the listed instance types with their sizes."""
    return [_typed(f"{family}.{size}", "") for family in FAMILIES for size in _SIZES]


def _sum(parameters: Mapping[str, Any]) -> tuple[float, float]:
    counted = [
        each
        for each in parameters["Container"]
        if {"Key": "__ECI_RESOURCE_IGNORE__", "Value": "TRUE"} not in each.get("EnvironmentVar", [])
    ]
    inits = parameters.get("InitContainer", [])

    def total(name: str) -> float:
        together = sum(each.get(name, 0) for each in counted)
        return float(max([together, *(each.get(name, 0) for each in inits)]))

    return total("Cpu"), total("Memory")


def _typed(text: str, region: str) -> BilledSize:
    pair = _PAIR.fullmatch(text)
    if pair:
        return _rounded(float(pair[1]), float(pair[2]), region)
    found = _TYPE.fullmatch(text)
    if not found:
        raise invalid("InstanceType", "expected types such as 2-4Gi or ecs.c6.xlarge")
    cpu = 4 * int(found[2] or 1) if text.endswith("xlarge") else 2
    return BilledSize(cpu, cpu * _GIB_A_CORE.get(found[1][0], 4), text)


def _rounded(cpu: float, memory: float, region: str) -> BilledSize:
    extra = _EXTRA if region in _EXTRA_REGIONS else {}
    for cores in sorted({*_EVERYWHERE, *extra}):
        for gib in sorted({*_EVERYWHERE.get(cores, ()), *extra.get(cores, ())}):
            if cores >= cpu and gib >= memory:
                return BilledSize(cores, gib)
    text = "The CPU or memory of the container group is larger than any that is sold."
    raise EciApiError(400, "InvalidParameter.CPU.Memory", text)
