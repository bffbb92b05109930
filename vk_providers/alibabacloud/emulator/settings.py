"""The settings of an emulator: account, region, and the speed of time. Frozen values.

All durations are those of the service; ``speed`` divides them. Each setting is also an option of
the command line, with its description as the help text.
"""

from __future__ import annotations

from typing import Any

import attrs

__all__ = ["EmulatorSettings", "VSwitch", "zones"]


@attrs.frozen(kw_only=True)
class VSwitch:
    """A subnet in one zone."""

    id: str
    zone: str
    cidr: str = "172.16.0.0/18"
    addresses: int | None = None
    """Number of addresses for groups; None: all of its range."""


def _setting(default: Any, text: str, *, shown: bool = True) -> Any:
    return attrs.field(default=default, repr=shown, metadata={"help": text})


def _default_vswitches(settings: EmulatorSettings) -> tuple[VSwitch, ...]:
    return tuple(
        VSwitch(
            id=f"vsw-emulator-{letter}",
            zone=f"{settings.region}-{letter}",
            cidr=f"172.16.{64 * number}.0/18",
        )
        for number, letter in enumerate("hij")
    )


@attrs.frozen(kw_only=True)
class EmulatorSettings:
    """The settings with their defaults. Raises ValueError for invalid ones."""

    speed: float = _setting(1.0, "How many times faster than the service all durations pass.")
    rates: float = _setting(1.0, "Factor on the documented rate limits; 0: no throttling.")
    access_key_id: str = _setting(
        "emulator", "The access key id of callers; several: comma-separated."
    )
    access_key_secret: str = _setting("emulator-secret", "The secret of each.", shown=False)
    account: str = _setting("1000000000000000", "The account's number.")
    role: str = _setting("emulator-role", "The RAM role of the machine, in its metadata.")
    region: str = _setting("cn-hangzhou", "The region that is emulated.")
    vpc: str = _setting("vpc-emulator", "The VPC of all vSwitches.")
    vswitches: tuple[VSwitch, ...] = attrs.Factory(_default_vswitches, takes_self=True)
    """The instance of the metadata service is in the first one."""
    security_group: str = _setting("sg-emulator", "The security group of the machine.")
    quota_cpu: float = _setting(10_000.0, "vCPU that the account may use.")
    list_lag: float = _setting(0.0, "Seconds for which lists lack a new group.")
    scheduling: float = _setting(2.0, "Seconds in Scheduling.")
    image_pull: float = _setting(4.0, "Seconds that an image takes to pull.")
    image_pull_cached: float = _setting(0.5, "Seconds that it takes with an image cache.")
    exec_status: bool = _setting(
        False, "Send the exit code of an exec on channel 3, as Kubernetes does."
    )
    hardened_metadata: bool = _setting(True, "The metadata service requires a token.")
    skew: float = _setting(0.0, "Seconds by which its clock is ahead of this machine's.")
    seed: int | None = _setting(None, "Seed of random numbers.")

    def __attrs_post_init__(self) -> None:
        if not self.speed > 0:
            raise ValueError(f"speed: expected a number above 0, found {self.speed:g}")
        for name in ("rates", "list_lag", "scheduling", "image_pull", "image_pull_cached"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: expected a number from 0 on")
        if not self.vswitches:
            raise ValueError("vswitches: expected one or more")


def zones(settings: EmulatorSettings) -> list[str]:
    """Return the zones that have a vSwitch, in order."""
    return list(dict.fromkeys(each.zone for each in settings.vswitches))
