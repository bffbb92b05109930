"""Every action that the emulator answers, with what it takes and what does it."""

from __future__ import annotations

from collections.abc import Mapping

from vk_providers.alibabacloud.emulator import (
    catalogue,
    changes,
    creation,
    exec_command,
    identity,
    logs,
    machine,
    metrics,
    reads,
)
from vk_providers.alibabacloud.emulator.container_shapes import CREATE, UPDATE
from vk_providers.alibabacloud.emulator.rpc import Action

__all__ = ["ACTIONS"]

_ECI = "2018-08-08"
_VPC = "2016-04-28"
_ECS = "2014-05-26"
_STS = "2015-04-01"
ACTIONS: Mapping[tuple[str, str], Action] = {
    (_ECI, "CreateContainerGroup"): Action(CREATE, creation.create),
    (_ECI, "DescribeContainerGroups"): Action(reads.GROUPS, reads.describe_groups),
    (_ECI, "DescribeContainerGroupStatus"): Action(reads.STATUSES, reads.describe_status),
    (_ECI, "DescribeContainerGroupEvents"): Action(reads.EVENTS, reads.describe_events),
    (_ECI, "DeleteContainerGroup"): Action(changes.DELETE, changes.delete),
    (_ECI, "UpdateContainerGroup"): Action(UPDATE, changes.update),
    (_ECI, "RestartContainerGroup"): Action(changes.RESTART, changes.restart),
    (_ECI, "TagResources"): Action(changes.TAG, changes.tag),
    (_ECI, "UntagResources"): Action(changes.UNTAG, changes.untag),
    (_ECI, "ListTagResources"): Action(changes.LIST_TAGS, changes.list_tags),
    (_ECI, "ListUsage"): Action(catalogue.NOTHING, catalogue.usage),
    (_ECI, "DescribeRegions"): Action(catalogue.NOTHING, catalogue.regions),
    (_ECI, "DescribeContainerGroupPrice"): Action(catalogue.PRICE, catalogue.price),
    (_ECI, "DescribeAvailableResource"): Action(catalogue.AVAILABLE, catalogue.available),
    (_ECI, "DescribeContainerLog"): Action(logs.LOG, logs.describe_log),
    (_ECI, "ExecContainerCommand"): Action(exec_command.EXEC, exec_command.execute),
    (_ECI, "DescribeContainerGroupMetric"): Action(metrics.METRIC, metrics.describe_metric),
    (_ECI, "DescribeMultiContainerGroupMetric"): Action(metrics.METRICS, metrics.describe_metrics),
    (_ECS, "DescribeInstances"): Action(machine.INSTANCES, machine.describe_instances),
    (_STS, "AssumeRoleWithOIDC"): Action(identity.ASSUME, identity.assume, signed=False),
    (_STS, "GetCallerIdentity"): Action(identity.WHO, identity.who, regional=False),
    (_VPC, "DescribeVSwitches"): Action(catalogue.VSWITCHES, catalogue.vswitches),
}
