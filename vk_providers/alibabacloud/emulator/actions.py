"""All actions that the emulator supports, with their parameters and implementations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vk_providers.alibabacloud.emulator import (
    caches,
    change,
    create,
    describe,
    exec,
    instance_metadata,
    logs,
    metrics,
    region,
    sts,
)
from vk_providers.alibabacloud.emulator.cloud import ApiCall
from vk_providers.alibabacloud.emulator.parameters import schema
from vk_providers.alibabacloud.emulator.rpc import ApiAction

__all__ = ["ACTIONS"]

_ECI = "2018-08-08"
_VPC = "2016-04-28"
_ECS = "2014-05-26"
_STS = "2015-04-01"
_PERFORM: Mapping[str, Callable[[ApiCall], dict[str, Any]]] = {
    "CreateContainerGroup": create.create,
    "DescribeContainerGroups": describe.describe_groups,
    "DescribeContainerGroupStatus": describe.describe_status,
    "DescribeContainerGroupEvents": describe.describe_events,
    "DeleteContainerGroup": change.delete,
    "UpdateContainerGroup": change.update,
    "RestartContainerGroup": change.restart,
    "TagResources": change.tag,
    "UntagResources": change.untag,
    "ListTagResources": change.list_tags,
    "ListUsage": region.usage,
    "DescribeRegions": region.regions,
    "DescribeContainerGroupPrice": region.price,
    "DescribeAvailableResource": region.available,
    "DescribeContainerLog": logs.describe_log,
    "ExecContainerCommand": exec.execute,
    "DescribeContainerGroupMetric": metrics.describe_metric,
    "DescribeMultiContainerGroupMetric": metrics.describe_metrics,
    "CreateImageCache": caches.create_image_cache,
    "DescribeImageCaches": caches.describe_image_caches,
    "DeleteImageCache": caches.delete_image_cache,
    "CreateDataCache": caches.create_data_cache,
    "DescribeDataCaches": caches.describe_data_caches,
    "DeleteDataCache": caches.delete_data_cache,
}
ACTIONS: Mapping[tuple[str, str], ApiAction] = {
    **{(_ECI, name): ApiAction(schema(name), perform) for name, perform in _PERFORM.items()},
    (_ECS, "DescribeInstances"): ApiAction(
        instance_metadata.INSTANCES, instance_metadata.describe_instances
    ),
    (_STS, "AssumeRoleWithOIDC"): ApiAction(sts.ASSUME_ROLE, sts.assume_role, signed=False),
    (_STS, "GetCallerIdentity"): ApiAction(
        sts.GET_CALLER_IDENTITY, sts.get_caller_identity, regional=False
    ),
    (_VPC, "DescribeVSwitches"): ApiAction(region.VSWITCHES, region.vswitches),
}
