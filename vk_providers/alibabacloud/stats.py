"""Usage of pods from DescribeMultiContainerGroupMetric, for `kubectl top` and /stats."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

import vk
from vk_providers.alibabacloud.client import RpcClient
from vk_providers.alibabacloud.groups import ContainerGroup

__all__ = ["measure"]

_PAGE = 20
_NANO = 1e-9


async def measure(client: RpcClient, groups: Sequence[ContainerGroup]) -> vk.NodeStats:
    """Return the newest measurement of each of ``groups`` that has one."""
    by_id = {group.id: group for group in groups}
    ids = sorted(by_id)
    chunks = [ids[start : start + _PAGE] for start in range(0, len(ids), _PAGE)]
    answers = await asyncio.gather(*(_ask(client, chunk) for chunk in chunks))
    rows = [row for answer in answers for row in answer.get("monitordatas") or ()]
    return vk.NodeStats(pods=[one for row in rows for one in _pods(row, by_id)])


async def _ask(client: RpcClient, ids: Sequence[str]) -> Mapping[str, Any]:
    query = {"ContainerGroupIds": orjson.dumps(ids).decode(), "MetricType": "summary"}
    return await client.call("DescribeMultiContainerGroupMetric", query)


def _pods(row: Mapping[str, Any], groups: Mapping[str, ContainerGroup]) -> Iterable[vk.PodStats]:
    group = groups.get(str(row.get("containergroupid")))
    records = row.get("records") or ()
    record = max(records, key=lambda one: str(one.get("timestamp")), default=None)
    if group is None or record is None or vk.parse_time(record.get("timestamp")) is None:
        return
    time = record["timestamp"]
    interfaces = (record.get("network") or {}).get("interfaces") or ()
    yield vk.PodStats(
        group.key,
        containers={
            str(one.get("name")): _usage(one, time, group) for one in record.get("containers") or ()
        },
        total=_usage(record, time, group),
        received_bytes=sum(int(one.get("rxbytes") or 0) for one in interfaces),
        sent_bytes=sum(int(one.get("txbytes") or 0) for one in interfaces),
    )


def _usage(raw: Mapping[str, Any], time: str, group: ContainerGroup) -> vk.Usage:
    cpu, memory = raw.get("cpu") or {}, raw.get("memory") or {}
    total, rate = cpu.get("usagecorenanoseconds"), cpu.get("usagenanocores")
    moment = vk.parse_time(time)
    assert moment is not None  # checked by the caller
    return vk.Usage(
        time=moment,
        cpu_seconds=None if total is None else float(total) * _NANO,
        cpu_cores=None if rate is None else float(rate) * _NANO,
        memory_bytes=_whole(memory.get("usagebytes")),
        working_set_bytes=_whole(memory.get("workingset")),
        started_at=group.created,
    )


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None
