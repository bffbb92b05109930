"""Every action that the emulator answers, with what it takes and what does it."""

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
from vk_providers.alibabacloud.emulator.rpc import Action

__all__ = ["ACTIONS"]

_ECI = "2018-08-08"
_VPC = "2016-04-28"
_ECS = "2014-05-26"
_STS = "2015-04-01"
ACTIONS: Mapping[tuple[str, str], Action] = {
    (_ECI, "CreateContainerGroup"): Action(CREATE, create.create),
    (_ECI, "DescribeContainerGroups"): Action(describe.GROUPS, describe.describe_groups),
    (_ECI, "DescribeContainerGroupStatus"): Action(describe.STATUSES, describe.describe_status),
    (_ECI, "DescribeContainerGroupEvents"): Action(describe.EVENTS, describe.describe_events),
    (_ECI, "DeleteContainerGroup"): Action(change.DELETE, change.delete),
    (_ECI, "UpdateContainerGroup"): Action(UPDATE, change.update),
    (_ECI, "RestartContainerGroup"): Action(change.RESTART, change.restart),
    (_ECI, "TagResources"): Action(change.TAG, change.tag),
    (_ECI, "UntagResources"): Action(change.UNTAG, change.untag),
    (_ECI, "ListTagResources"): Action(change.LIST_TAGS, change.list_tags),
    (_ECI, "ListUsage"): Action(region.NOTHING, region.usage),
    (_ECI, "DescribeRegions"): Action(region.NOTHING, region.regions),
    (_ECI, "DescribeContainerGroupPrice"): Action(region.PRICE, region.price),
    (_ECI, "DescribeAvailableResource"): Action(region.AVAILABLE, region.available),
    (_ECI, "DescribeContainerLog"): Action(logs.LOG, logs.describe_log),
    (_ECI, "ExecContainerCommand"): Action(exec.EXEC, exec.execute),
    (_ECI, "DescribeContainerGroupMetric"): Action(metrics.METRIC, metrics.describe_metric),
    (_ECI, "DescribeMultiContainerGroupMetric"): Action(metrics.METRICS, metrics.describe_metrics),
    (_ECS, "DescribeInstances"): Action(
        instance_metadata.INSTANCES, instance_metadata.describe_instances
    ),
    (_STS, "AssumeRoleWithOIDC"): Action(sts.ASSUME, sts.assume, signed=False),
    (_STS, "GetCallerIdentity"): Action(sts.WHO, sts.who, regional=False),
    (_VPC, "DescribeVSwitches"): Action(region.VSWITCHES, region.vswitches),
}
