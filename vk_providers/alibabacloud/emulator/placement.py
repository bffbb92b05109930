"""The placement of groups: addresses of vSwitches, stock of zones, the account's quota."""

from __future__ import annotations

import random
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import attrs

from vk_providers.alibabacloud.emulator.errors import EciApiError, invalid
from vk_providers.alibabacloud.emulator.settings import EmulatorSettings, VSwitch
from vk_providers.alibabacloud.emulator.sizes import BilledSize

__all__ = ["Placement", "Region", "VSwitchAddresses"]

_MOST_VSWITCHES = 10
_RESERVED = 4
"""Reserved addresses of each range: the first and the last three."""


@attrs.frozen
class Placement:
    """Zone, vSwitch and address of a group."""

    zone: str
    vswitch: str
    address: str


@attrs.define(eq=False)
class VSwitchAddresses:
    """A vSwitch and its allocated addresses."""

    vswitch: VSwitch
    network: IPv4Network
    limit: int
    """Total number of addresses."""
    taken: set[int] = attrs.field(factory=set)
    _next: int = 1

    @classmethod
    def of(cls, vswitch: VSwitch) -> VSwitchAddresses:
        """Return a vSwitch without allocated addresses."""
        network = IPv4Network(vswitch.cidr)
        size = network.num_addresses - _RESERVED
        limit = size if vswitch.addresses is None else min(size, vswitch.addresses)
        return cls(vswitch, network, limit)

    @property
    def free(self) -> int:
        """The number of free addresses."""
        return max(0, self.limit - len(self.taken))

    def allow(self, free: int | None) -> None:
        """Limit the free addresses; None: all of the range."""
        size = self.network.num_addresses - _RESERVED
        self.limit = size if free is None else min(size, len(self.taken) + free)

    def take(self) -> str:
        """Allocate the next free address; reuse addresses as late as possible."""
        size = self.network.num_addresses - _RESERVED
        while self._next in self.taken:
            self._next = self._next % size + 1
        offset, self._next = self._next, self._next % size + 1
        self.taken.add(offset)
        return str(self.network[offset])

    def take_this(self, address: str) -> str:
        """Allocate this address. Raises `EciApiError`."""
        try:
            wanted = IPv4Address(address)
        except ValueError:
            raise invalid("PrivateIpAddress", "expected an IPv4 address") from None
        if wanted not in self.network:
            raise invalid("PrivateIpAddress", "expected an address of the vSwitch")
        offset = int(wanted) - int(self.network.network_address)
        if offset in self.taken:
            text = "The specified PrivateIpAddress is already in use."
            raise EciApiError(400, "PrivateIpAddress.Already.InUse", text)
        self.taken.add(offset)
        return address

    def give_back(self, address: str) -> None:
        """Release an address."""
        self.taken.discard(int(IPv4Address(address)) - int(self.network.network_address))


@attrs.define(eq=False)
class Region:
    """Stock, quota and addresses of the region."""

    settings: EmulatorSettings
    random: random.Random
    stock: dict[str, float | None] = attrs.field(factory=dict)
    """Remaining vCPU by zone; no entry or None: unlimited."""
    quota_cpu: float = attrs.field(init=False)
    used_cpu: float = 0.0
    subnets: dict[str, VSwitchAddresses] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.quota_cpu = self.settings.quota_cpu
        self.subnets = {each.id: VSwitchAddresses.of(each) for each in self.settings.vswitches}

    def choose(self, parameters: Mapping[str, Any], size: BilledSize) -> tuple[Placement, bool]:
        """Allocate a placement; return it and whether the zone has stock. Raises `EciApiError`."""
        if self.used_cpu + size.cpu > self.quota_cpu:
            raise EciApiError(403, "QuotaExceeded", "ECI vCPU quota exceeded.")
        subnets = [each for each in self._asked(parameters) if each.free]
        if not subnets:
            text = "The available IP addresses of the specified vSwitch are not enough."
            raise EciApiError(403, "InvalidVSwitchId.IpNotEnough", text)
        stocked = [each for each in subnets if self._has(each.vswitch.zone, size)]
        subnet = (stocked or subnets)[0]
        asked = parameters.get("PrivateIpAddress")
        address = subnet.take_this(asked) if asked else subnet.take()
        self.used_cpu += size.cpu
        self._move_stock(subnet.vswitch.zone, -size.cpu if stocked else 0)
        return Placement(subnet.vswitch.zone, subnet.vswitch.id, address), bool(stocked)

    def give_back(self, placement: Placement, size: BilledSize, *, stocked: bool) -> None:
        """Release the resources of a group."""
        self.used_cpu -= size.cpu
        self.subnets[placement.vswitch].give_back(placement.address)
        self._move_stock(placement.zone, size.cpu if stocked else 0)

    def _asked(self, parameters: Mapping[str, Any]) -> list[VSwitchAddresses]:
        names = [each for each in parameters.get("VSwitchId", "").split(",") if each]
        names = names or [self.settings.vswitches[0].id]
        if len(names) > _MOST_VSWITCHES:
            expected = f"expected at most {_MOST_VSWITCHES} vSwitches"
            raise invalid("VSwitchId", expected, "ValueExceeded")
        for name in names:
            if name not in self.subnets:
                text = f"The specified VSwitchId {name} does not exist."
                raise EciApiError(404, "InvalidVSwitchId.NotFound", text)
        if parameters.get("ScheduleStrategy") == "VSwitchRandom":
            self.random.shuffle(names)
        found = [self.subnets[name] for name in names]
        zone = parameters.get("ZoneId")
        if zone and all(each.vswitch.zone != zone for each in found):
            text = "The specified vSwitch is not in the specified zone."
            raise EciApiError(400, "OperationDenied.VswZoneMisMatch", text)
        return found

    def _has(self, zone: str, size: BilledSize) -> bool:
        left = self.stock.get(zone)
        return left is None or left >= size.cpu

    def _move_stock(self, zone: str, cpu: float) -> None:
        left = self.stock.get(zone)
        if left is not None:
            self.stock[zone] = left + cpu
