"""The emulated cloud: its access keys, region, container groups, faults and ledger.

`rpc` admits calls, the action modules work on it, `control_api` sets faults and stock.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from vk_providers.alibabacloud.emulator.authentication import AccessKey, AccessKeys
from vk_providers.alibabacloud.emulator.exec_tickets import ExecTickets
from vk_providers.alibabacloud.emulator.faults import Faults, InjectedFault
from vk_providers.alibabacloud.emulator.group import EmulatedGroup
from vk_providers.alibabacloud.emulator.group_store import GroupStore
from vk_providers.alibabacloud.emulator.ledger import Ledger, LedgerEntry, pod_uid
from vk_providers.alibabacloud.emulator.placement import Region
from vk_providers.alibabacloud.emulator.settings import EmulatorSettings
from vk_providers.alibabacloud.emulator.sizes import BilledSize
from vk_providers.alibabacloud.emulator.throttling import CallBuckets
from vk_providers.alibabacloud.emulator.timeline import Timeline

__all__ = ["ApiCall", "Cloud"]


@attrs.define(eq=False)
class Cloud:
    """The state of the emulator."""

    settings: EmulatorSettings
    clock: Callable[[], float] = attrs.field(repr=False)
    """Seconds of the wall clock."""
    random: random.Random = attrs.field(init=False, repr=False)
    timeline: Timeline = attrs.field(init=False)
    account: AccessKeys = attrs.field(init=False, repr=False)
    buckets: CallBuckets = attrs.field(init=False, repr=False)
    group_store: GroupStore = attrs.field(init=False, repr=False)
    region: Region = attrs.field(init=False, repr=False)
    faults: Faults = attrs.field(init=False)
    sessions: ExecTickets = attrs.field(init=False, repr=False)
    caches: dict[str, Any] = attrs.field(factory=dict, init=False, repr=False)
    """Image and data caches by id."""
    ledger: Ledger = attrs.field(factory=Ledger, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        settings = self.settings
        self.random = random.Random(settings.seed)
        self.timeline = Timeline(self.clock, settings.speed)
        self.account = AccessKeys(self.random)
        for id in settings.access_key_id.split(","):
            self.account.add(AccessKey(id, settings.access_key_secret))
        self.buckets = CallBuckets(settings.rates)
        self.group_store = GroupStore(self.timeline, self.random, settings.list_lag)
        self.region = Region(settings, self.random)
        self.faults = Faults(self.random)
        self.sessions = ExecTickets(self.random)

    def create(
        self, parameters: dict[str, Any], size: BilledSize, now: float, *, unplaced: str = ""
    ) -> EmulatedGroup:
        """Create a group. Raises `Refusal` where it cannot be placed."""
        placement, stocked = self.region.choose(parameters, size)
        id, number = self.group_store.new_id()
        group = EmulatedGroup(
            id=id,
            number=number,
            parameters=parameters,
            placement=placement,
            size=size,
            timeline=self.timeline,
            settings=self.settings,
            entry=LedgerEntry(id, None, now),
            on_end=self._ended,
            on_gone=self.group_store.drop,
            unplaced=unplaced or ("" if stocked else "NoStock"),
            stocked=stocked,
        )
        group.entry.pod_uid = pod_uid(group.tags)
        self.ledger.groups.append(group.entry)
        self.group_store.add(group)
        group.begin()
        return group

    def _ended(self, group: EmulatedGroup, at: float) -> None:
        self.region.give_back(group.placement, group.size, stocked=group.stocked)
        self.group_store.ended(group, at)

    def request_id(self) -> str:
        """Return the id of a new request."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4)).upper()


@attrs.frozen
class ApiCall:
    """One admitted call."""

    cloud: Cloud
    action: str
    parameters: dict[str, Any] = attrs.field(repr=False)
    now: float
    identity: AccessKey | None
    fault: InjectedFault | None = None
    record: dict[str, Any] = attrs.field(factory=dict)
    """The ledger entry of the call."""
    base: str = ""
    """The URL of the emulator, for URLs in responses."""

    def text(self, name: str) -> str:
        """Return a parameter as a string; empty where it is not set."""
        return str(self.parameters.get(name, ""))

    def group(self) -> EmulatedGroup:
        """Return the group of the call. Raises `Refusal`."""
        self.record["group"] = self.text("ContainerGroupId")
        return self.cloud.group_store.get(self.text("ContainerGroupId"))

    def tags(self) -> Mapping[str, str | None]:
        """Return the requested tags; None: any value."""
        return {each["Key"]: each.get("Value") for each in self.parameters.get("Tag", [])}
