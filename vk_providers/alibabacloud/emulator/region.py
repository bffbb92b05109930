"""The actions about the region: zones, quota, prices, stock; and the vSwitches of the VPC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vk_providers.alibabacloud.emulator.cloud import ApiCall
from vk_providers.alibabacloud.emulator.placement import VSwitchAddresses
from vk_providers.alibabacloud.emulator.schema import (
    ListSchema,
    ObjectSchema,
    choice,
    integer,
    text,
)
from vk_providers.alibabacloud.emulator.settings import zones
from vk_providers.alibabacloud.emulator.sizes import FAMILIES, instance_types, size_of
from vk_providers.alibabacloud.emulator.states import moment

__all__ = [
    "VSWITCHES",
    "available",
    "price",
    "regions",
    "usage",
    "vswitches",
]

_CPU_HOUR = 0.1764
_GIB_HOUR = 0.02205
"""CNY an hour, close to list prices: for comparison only."""
_SPOT = 0.3
VSWITCHES = ObjectSchema(
    {
        "VSwitchId": text(64),
        "VpcId": text(64),
        "ZoneId": text(64),
        "PageNumber": integer(1, 10_000),
        "PageSize": integer(1, 50),
        "Tag": ListSchema(ObjectSchema({"Key": text(64, 1), "Value": text(128)}), 20),
        "ResourceGroupId": text(64),
        "IsDefault": choice("true", "false"),
        "DryRun": choice("false"),
    }
)


def regions(call: ApiCall) -> dict[str, Any]:
    """Return the emulated region."""
    settings = call.cloud.settings
    region = {
        "RegionId": settings.region,
        "RegionEndpoint": call.base,
        "Zones": zones(settings),
        "RecommendZones": zones(settings)[:1],
    }
    return {"Regions": [region]}


def usage(call: ApiCall) -> dict[str, Any]:
    """Return quota and usage of the account."""
    region = call.cloud.region
    return {"Attributes": {"MaxCpu": f"{region.quota_cpu:g}", "UsedCpu": f"{region.used_cpu:g}"}}


def price(call: ApiCall) -> dict[str, Any]:
    """Return the hourly price."""
    size = size_of({**call.parameters, "Container": []}, call.cloud.settings.region)
    full = round(size.cpu * _CPU_HOUR + size.memory * _GIB_HOUR, 6)
    spot = call.parameters.get("SpotStrategy", "NoSpot") != "NoSpot"
    trade = round(full * _SPOT, 6) if spot else full
    shown = {
        "Currency": "CNY",
        "OriginalPrice": full,
        "DiscountPrice": round(full - trade, 6),
        "TradePrice": trade,
        "DetailInfos": {"DetailInfo": []},
    }
    rows = [
        {
            "ZoneId": zone,
            "InstanceType": size.instance_type,
            "OriginPrice": full,
            "SpotPrice": trade,
        }
        for zone in zones(call.cloud.settings)
        if spot
    ]
    info = {"Price": shown, "SpotPrices": {"SpotPrice": rows}, "Rules": {"Rule": []}}
    return {"PriceInfo": info}


def available(call: ApiCall) -> dict[str, Any]:
    """Return the instance types, or families, of each zone that fit, with their stock."""
    cloud, values = call.cloud, _fitting(call.parameters["DestinationResource"])
    rows = list[dict[str, Any]]()
    for zone in zones(cloud.settings):
        if call.text("ZoneId") in ("", zone):
            left = cloud.region.stock.get(zone)
            status = "WithoutStock" if left is not None and left <= 0 else "WithStock"
            supported = [{"Value": value, "StatusCategory": status} for value in values]
            resource = {
                "Type": call.parameters["DestinationResource"]["Category"],
                "SupportedResources": {"SupportedResource": supported},
            }
            rows.append(
                {
                    "RegionId": cloud.settings.region,
                    "ZoneId": zone,
                    "AvailableResources": {"AvailableResource": [resource]},
                }
            )
    return {"AvailableZones": {"AvailableZone": rows}}


def _fitting(asked: Mapping[str, Any]) -> list[str]:
    """Return what is sold and fits, by its name or by its vCPU and GiB."""
    value, cores, memory = asked.get("Value"), asked.get("Cores"), asked.get("Memory")
    if asked["Category"] == "InstanceTypeFamily":
        return [family for family in FAMILIES if value in (None, family)]
    return [
        size.instance_type
        for size in instance_types()
        if value in (None, size.instance_type)
        and cores in (None, size.cpu)
        and memory in (None, size.memory)
    ]


def vswitches(call: ApiCall) -> dict[str, Any]:
    """Return a page of vSwitches with their free addresses, as the VPC API does."""
    asked = {name: call.text(name) for name in ("VSwitchId", "ZoneId") if call.text(name)}
    settings = call.cloud.settings
    denied = call.fault is not None and call.fault.kind == "denied"
    found = [
        each
        for each in call.cloud.region.subnets.values()
        if not denied
        and call.text("VpcId") in ("", settings.vpc)
        and asked.items() <= {"VSwitchId": each.vswitch.id, "ZoneId": each.vswitch.zone}.items()
    ]
    size = call.parameters.get("PageSize", 10)
    number = call.parameters.get("PageNumber", 1)
    rows = [_vswitch(call, each) for each in found[(number - 1) * size : number * size]]
    return {
        "TotalCount": len(found),
        "PageNumber": number,
        "PageSize": size,
        "VSwitches": {"VSwitch": rows},
    }


def _vswitch(call: ApiCall, subnet: VSwitchAddresses) -> dict[str, Any]:
    return {
        "VSwitchId": subnet.vswitch.id,
        "VSwitchName": subnet.vswitch.id,
        "VpcId": call.cloud.settings.vpc,
        "ZoneId": subnet.vswitch.zone,
        "CidrBlock": subnet.vswitch.cidr,
        "Status": "Available",
        "AvailableIpAddressCount": subnet.free,
        "CreationTime": moment(0.0),
    }
