"""All actions that the emulator supports, with their parameters and implementations."""

from __future__ import annotations

from collections.abc import Mapping

from vk_providers.alibabacloud.emulator import (
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
from vk_providers.alibabacloud.emulator.parameters import CREATE, UPDATE
from vk_providers.alibabacloud.emulator.rpc import ApiAction

__all__ = ["ACTIONS"]

_ECI = "2018-08-08"
_VPC = "2016-04-28"
_ECS = "2014-05-26"
_STS = "2015-04-01"
ACTIONS: Mapping[tuple[str, str], ApiAction] = {
    (_ECI, "CreateContainerGroup"): ApiAction(CREATE, create.create),
    (_ECI, "DescribeContainerGroups"): ApiAction(describe.GROUPS, describe.describe_groups),
    (_ECI, "DescribeContainerGroupStatus"): ApiAction(describe.STATUSES, describe.describe_status),
    (_ECI, "DescribeContainerGroupEvents"): ApiAction(describe.EVENTS, describe.describe_events),
    (_ECI, "DeleteContainerGroup"): ApiAction(change.DELETE, change.delete),
    (_ECI, "UpdateContainerGroup"): ApiAction(UPDATE, change.update),
    (_ECI, "RestartContainerGroup"): ApiAction(change.RESTART, change.restart),
    (_ECI, "TagResources"): ApiAction(change.TAG, change.tag),
    (_ECI, "UntagResources"): ApiAction(change.UNTAG, change.untag),
    (_ECI, "ListTagResources"): ApiAction(change.LIST_TAGS, change.list_tags),
    (_ECI, "ListUsage"): ApiAction(region.NOTHING, region.usage),
    (_ECI, "DescribeRegions"): ApiAction(region.NOTHING, region.regions),
    (_ECI, "DescribeContainerGroupPrice"): ApiAction(region.PRICE, region.price),
    (_ECI, "DescribeAvailableResource"): ApiAction(region.AVAILABLE, region.available),
    (_ECI, "DescribeContainerLog"): ApiAction(logs.LOG, logs.describe_log),
    (_ECI, "ExecContainerCommand"): ApiAction(exec.EXEC, exec.execute),
    (_ECI, "DescribeContainerGroupMetric"): ApiAction(metrics.METRIC, metrics.describe_metric),
    (_ECI, "DescribeMultiContainerGroupMetric"): ApiAction(
        metrics.METRICS, metrics.describe_metrics
    ),
    (_ECS, "DescribeInstances"): ApiAction(
        instance_metadata.INSTANCES, instance_metadata.describe_instances
    ),
    (_STS, "AssumeRoleWithOIDC"): ApiAction(sts.ASSUME_ROLE, sts.assume_role, signed=False),
    (_STS, "GetCallerIdentity"): ApiAction(
        sts.GET_CALLER_IDENTITY, sts.get_caller_identity, regional=False
    ),
    (_VPC, "DescribeVSwitches"): ApiAction(region.VSWITCHES, region.vswitches),
}
