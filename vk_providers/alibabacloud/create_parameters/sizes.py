"""The sizes of ECI, and the choice for a pod. Pure; the table is from the vendor's documentation
("specify the number of vCPUs and memory size").

The service rounds up as well; the size is computed here to reject pods that are too large.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

import attrs

__all__ = ["LARGEST", "InstanceSize", "choose_size", "size_of"]

LARGEST = Decimal(64)

_COMMON: Mapping[str, str] = {
    "0.25": "0.5 1",
    "0.5": "1 2",
    "1": "2 4 8",
    "2": "1 2 4 8 16",
    "4": "2 4 8 16 32",
    "8": "4 8 16 32 64",
    "12": "12 24 48 96",
    "16": "16 32 64 128",
    "24": "24 48 96 192",
    "32": "32 64 128 256",
    "52": "96 192 384",
    "64": "128 256 512",
}
_MORE: Mapping[str, tuple[int, ...]] = {
    "2": (6, 10, 12, 14),
    "4": (6, 10, 12, 14, *range(18, 31, 2)),
    "6": tuple(range(6, 49, 2)),
    "8": tuple(range(10, 63, 2)),
}
_MORE_REGIONS = frozenset(
    {
        "cn-hangzhou", "cn-shanghai", "cn-qingdao", "cn-beijing", "cn-zhangjiakou",
        "cn-huhehaote", "cn-wulanchabu", "cn-shenzhen", "cn-heyuan", "cn-guangzhou",
        "cn-chengdu", "ap-southeast-1",
    }
)  # fmt: skip
_GIB = Decimal(1 << 30)


@attrs.frozen(order=True)
class InstanceSize:
    """vCPU and GiB of memory."""

    cpu: Decimal
    memory: Decimal

    def __str__(self) -> str:
        return f"{_plain(self.cpu)}-{_plain(self.memory)}Gi"


_DEFAULT = InstanceSize(Decimal(2), Decimal(4))


def choose_size(
    cpu: Decimal, memory: Decimal, *, region: str, spot: bool = False
) -> InstanceSize | None:
    """Return the size for ``cpu`` vCPU and ``memory`` bytes; None where none is large enough.

    The smallest number of vCPU with enough memory, and the smallest such memory. Without requests
    (both 0): 2 vCPU with 4 GiB, the default of the service.
    """
    if not cpu and not memory:
        return _DEFAULT
    wanted = memory / _GIB
    sizes = (one for one in _sizes(region, spot=spot) if one.cpu >= cpu and one.memory >= wanted)
    return min(sizes, default=None)


def size_of(cpu: object, memory: object) -> InstanceSize | None:
    """Return the size in an answer; None where it has none."""
    if not isinstance(cpu, int | float) or not isinstance(memory, int | float):
        return None
    return InstanceSize(Decimal(str(cpu)), Decimal(str(memory)))


def _sizes(region: str, *, spot: bool) -> Iterator[InstanceSize]:
    for cpu, memories in _COMMON.items():
        if not spot or Decimal(cpu) >= 2:
            for memory in memories.split():
                yield InstanceSize(Decimal(cpu), Decimal(memory))
    if region in _MORE_REGIONS and not spot:
        for cpu, several in _MORE.items():
            for each in several:
                yield InstanceSize(Decimal(cpu), Decimal(each))


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"
