"""The checks of this provider for `vk doctor`. Nothing is changed.

Permissions to change are tested with a group id that cannot exist, the permission to create with a
dry run. Without the permission to list, a list is empty and not an error; so that permission is
confirmed only where a group is listed, else reported as unconfirmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import vk
from vk_providers.alibabacloud.client import RpcClient
from vk_providers.alibabacloud.config import EciConfig
from vk_providers.alibabacloud.errors import AccessError, DryRunError, RequestOutcomeUnknownError
from vk_providers.alibabacloud.service import Service, open_service

__all__ = ["check_all"]

_NO_SUCH_GROUP = "eci-00000000000000000000"
_MOST_SKEW = 60.0
_NO_GROUP: Mapping[str, Mapping[str, Any]] = {
    "DeleteContainerGroup": {},
    "UpdateContainerGroup": {},
    "DescribeContainerLog": {"ContainerName": "none", "Tail": 1},
    "ExecContainerCommand": {"ContainerName": "none", "Command": '["true"]', "TTY": False},
}
"""Actions that are called for a group that does not exist, with their other parameters."""
_NO_RESOURCE = {"ResourceType": "ContainerGroup", "ResourceId": [_NO_SUCH_GROUP]}
_PLAIN: Mapping[str, Mapping[str, Any]] = {
    "TagResources": {**_NO_RESOURCE, "Tag": [{"Key": "vk-doctor", "Value": ""}]},
    "UntagResources": {**_NO_RESOURCE, "TagKey": ["vk-doctor"]},
    "DescribeContainerGroupStatus": {"Limit": 1},
    "DescribeContainerGroupEvents": {"SinceSecond": 60},
    "DescribeMultiContainerGroupMetric": {"ContainerGroupIds": f'["{_NO_SUCH_GROUP}"]'},
}


async def check_all(config: EciConfig) -> AsyncIterator[vk.Check]:
    """Yield the result of each check."""
    try:
        async with open_service(config, check_lease=lambda: None) as service:
            yield vk.Check("configuration", True, _where(service.config))
            async for check in _with(service):
                yield check
    except vk.ConfigError as error:
        yield vk.Check("configuration", False, str(error), "set what is missing")


def _where(config: EciConfig) -> str:
    switches = ", ".join(config.vswitches)
    return f"region {config.region}, vSwitches {switches}, security group {config.security_group}"


async def _with(service: Service) -> AsyncIterator[vk.Check]:
    credentials = await _credentials(service)
    yield credentials
    if not credentials.ok:
        return
    endpoint = await _endpoint(service.client)
    yield endpoint
    if not endpoint.ok:
        return
    yield _clock(service.client)
    yield await _quota(service.client)
    yield await _create(service)
    for action, more in _NO_GROUP.items():
        yield await _allowed(service.client, action, {"ContainerGroupId": _NO_SUCH_GROUP, **more})
    for action, parameters in _PLAIN.items():
        yield await _allowed(service.client, action, parameters)
    yield await _list(service.client)
    for switch in service.config.vswitches:
        yield await _addresses(service, switch)


async def _credentials(service: Service) -> vk.Check:
    try:
        found = await service.credentials.get()
    except (vk.ConfigError, vk.TemporaryError) as error:
        return vk.Check("credentials", False, str(error), "docs/alibabacloud.md#credentials")
    kind = "temporary" if found.expires is not None or found.token else "a long-lived access key"
    advice = "" if kind == "temporary" else "prefer RRSA or a RAM role: nothing to leak or rotate"
    return vk.Check("credentials", True, f"{kind}, from {service.credentials.found}", advice)


async def _endpoint(client: RpcClient) -> vk.Check:
    name = f"endpoint {client.endpoint}"
    try:
        answer = await client.call("DescribeRegions", {})
    except RequestOutcomeUnknownError as error:
        return vk.Check(name, False, str(error), "check for a network policy or proxy in between")
    except vk.ProviderError as error:
        return vk.Check(name, False, str(error), "see the code in docs/alibabacloud.md")
    regions = {str(one.get("regionid")) for one in answer.get("regions") or ()}
    if regions and client.region not in regions:
        text = f"ECI does not know region {client.region}"
        return vk.Check(name, False, text, f"one of {', '.join(sorted(regions))}")
    return vk.Check(name, True, "reachable; the credentials are accepted")


def _clock(client: RpcClient) -> vk.Check:
    if client.skew is None:
        return vk.Check("clock", True, "the service does not report its time")
    text = f"{abs(client.skew):.0f} s from the service's"
    fits = abs(client.skew) <= _MOST_SKEW
    advice = "" if fits else "synchronise it by NTP; certificates depend on it too"
    return vk.Check("clock", fits, text, advice)


async def _quota(client: RpcClient) -> vk.Check:
    try:
        attributes = (await client.call("ListUsage", {})).get("attributes") or {}
    except (vk.ProviderError, RequestOutcomeUnknownError) as error:
        return vk.Check("ListUsage", False, str(error), "allow eci:ListUsage")
    most, used = attributes.get("maxcpu"), attributes.get("usedcpu")
    try:
        left = float(most or "") - float(used or 0)
    except (TypeError, ValueError):
        return vk.Check("quota", True, "the service reports no figures")
    advice = "" if left > 0 else "ask Alibaba Cloud for a larger quota"
    return vk.Check("quota", left > 0, f"{left:g} of {most} vCPU are free", advice)


async def _create(service: Service) -> vk.Check:
    name, config = "eci:CreateContainerGroup", service.config
    query = {
        "ContainerGroupName": "vk-doctor",
        "DryRun": True,
        "VSwitchId": ",".join(config.vswitches),
        "SecurityGroupId": config.security_group,
        "Container": [{"Name": "c", "Image": "busybox"}],
        "Cpu": "0.25",
        "Memory": "0.5",
    }
    try:
        await service.client.call("CreateContainerGroup", query)
    except DryRunError:
        return vk.Check(name, True, "allowed; the dry run was accepted")
    except AccessError as error:
        return vk.Check(name, False, str(error), f"allow {name} in the RAM policy")
    except (vk.ProviderError, RequestOutcomeUnknownError) as error:
        return vk.Check(name, False, str(error), "see the code in docs/alibabacloud.md")
    return vk.Check(name, True, "allowed; the dry run was accepted")


async def _allowed(client: RpcClient, action: str, parameters: Mapping[str, Any]) -> vk.Check:
    name = f"eci:{action}"
    try:
        await client.call(action, parameters)
    except AccessError as error:
        return vk.Check(name, False, str(error), f"allow {name} in the RAM policy")
    except RequestOutcomeUnknownError as error:
        return vk.Check(name, False, str(error), "run the check again; the outcome is unknown")
    except vk.ProviderError:
        pass  # rejected for its parameters, so it was authorized
    return vk.Check(name, True, "allowed")


async def _list(client: RpcClient) -> vk.Check:
    name = "eci:DescribeContainerGroups"
    try:
        answer = await client.call("DescribeContainerGroups", {"Limit": 1})
    except (vk.ProviderError, RequestOutcomeUnknownError) as error:
        return vk.Check(name, False, str(error), f"allow {name} in the RAM policy")
    if answer.get("containergroups"):
        return vk.Check(name, True, "allowed; a group is listed")
    text = "the list is empty: there is no group, or the permission is missing"
    return vk.Check(name, True, text, "run the check again while a pod runs")


async def _addresses(service: Service, switch: str) -> vk.Check:
    name = f"vSwitch {switch}"
    try:
        async with asyncio.timeout(10.0):
            answer = await service.vpc.call("DescribeVSwitches", {"VSwitchId": switch})
    except (vk.ProviderError, RequestOutcomeUnknownError, TimeoutError) as error:
        text = f"free addresses unknown: {error or 'no answer'}"
        return vk.Check(name, True, text, "allow vpc:DescribeVSwitches to see them")
    rows = (answer.get("vswitches") or {}).get("vswitch") or ()
    if not rows:
        return vk.Check(name, False, "no such vSwitch in this region", "correct ECI_VSWITCH")
    left = rows[0].get("availableipaddresscount")
    advice = "" if left else "add a vSwitch with free addresses to ECI_VSWITCH"
    return vk.Check(name, bool(left), f"{left} free addresses", advice)
